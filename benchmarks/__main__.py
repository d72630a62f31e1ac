"""Run with `python -m benchmarks`; command.py has the options."""

from benchmarks.command import main

main()
