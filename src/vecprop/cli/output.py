"""The output of commands: results on stdout, errors as one message on stderr and an exit code."""

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from vecprop.backend import distributed
from vecprop.backend.selection import BACKEND_VARIABLE
from vecprop.cli.exit_codes import BAD_INPUT, FAILED, INTERRUPTED
from vecprop.utils.errors import DivergenceError, ProcessLostError, VecpropError

if TYPE_CHECKING:
    from rich.console import Console


class Interrupted(Exception):  # noqa: N818 - it is no error
    """A command has ended because it was told to, with this exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


_BAD_INPUT_ERRORS = (VecpropError, ValueError, TypeError, ImportError, OSError, MemoryError)


class Commands(TyperGroup):
    """The group of commands; it turns the library's errors into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        lost = False
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader has closed, as in `vecprop shapes … | head`; typer handles it
            raise
        except KeyboardInterrupt:
            message, code = "interrupted", INTERRUPTED
        except Interrupted as stopped:
            message, code = str(stopped), stopped.code
        except (ProcessLostError, DivergenceError) as failed:
            message, code, lost = str(failed), FAILED, isinstance(failed, ProcessLostError)
        except _BAD_INPUT_ERRORS as wrong:
            message, code = _message(wrong), BAD_INPUT
        error(message)
        if lost or (code == BAD_INPUT and distributed.team().count > 1):
            # without disconnecting, which would wait for the other processes, or abort this one
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        raise typer.Exit(code)


def _message(wrong: BaseException) -> str:
    if isinstance(wrong, OSError) and wrong.strerror and wrong.filename:
        return f"{wrong.filename}: {wrong.strerror}"
    if isinstance(wrong, MemoryError):
        return f"not enough memory: {wrong}" if str(wrong) else "not enough memory"
    return str(wrong) or type(wrong).__name__


def error(message: str) -> None:
    """Print a message as an error."""
    typer.echo(f"Error: {message}", err=True)


def note(message: str) -> None:
    """Print a line that is no result, such as progress, to stderr."""
    typer.echo(message, err=True)


def console() -> "Console":
    """Return the console for results: colours only on a terminal, no added line breaks, no markup."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value as JSON, on one line of stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_either(as_json: bool, text: object, value: Any) -> None:
    """Print a result as JSON or as text."""
    print_json(value) if as_json else typer.echo(text)


def reason(option: str | None = None) -> str:
    """Return the reason for the choice of the active backend, given the value of `--backend`."""
    if option is not None:
        return "from --backend"
    if os.environ.get(BACKEND_VARIABLE):
        return f"from the environment variable {BACKEND_VARIABLE}"
    return "the default"
