"""The exit codes of the commands."""

BAD_INPUT = 2  # wrong usage or input
FAILED = 1  # a check failed, training diverged, or a process was lost
INTERRUPTED = 130  # Ctrl-C
