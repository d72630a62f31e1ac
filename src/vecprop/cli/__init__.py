"""The command `vecprop`; `app` and `models` define its commands.

`main` needs the extra `cli` (typer, rich), and says so in one line if that is missing.
"""

import sys
from contextlib import suppress
from io import TextIOWrapper

from vecprop.cli.exit_codes import BAD_INPUT, INTERRUPTED


def main() -> None:
    """Run the command line and exit with its code: 0, one of `exit_codes`, or 143 after SIGTERM."""
    _print_anywhere()
    try:
        from vecprop.cli import imports

        imports.load_less()
        imports.keep_compiled_programs()
        try:
            import rich  # noqa: F401 - only to see whether it is there
            import typer  # noqa: F401
        except ImportError as error:
            print(f'The command line needs {error.name}: pip install "vecprop[cli]"', file=sys.stderr)
            sys.exit(BAD_INPUT)
        from vecprop.cli.app import app

        app(prog_name="vecprop")
    except KeyboardInterrupt:  # during imports; later `app` handles it
        sys.exit(INTERRUPTED)


def _print_anywhere() -> None:
    """Let a terminal that lacks λ or ‖ show a question mark instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            with suppress(ValueError):  # a closed stream
                stream.reconfigure(errors="replace")
