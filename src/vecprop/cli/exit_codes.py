"""The exit codes of the commands."""

BAD_INPUT = 2  # wrong usage or input
FAILED = 1  # what was checked does not hold
INTERRUPTED = 130  # Ctrl-C
