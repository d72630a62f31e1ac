"""A progress bar for long runs: on a terminal, after the first second, if `rich` is installed.

It shows the epoch, the cost, the validation cost and the metric, if there are any, and the time left.
"""

import sys
import time
from typing import Any

_DELAY = 1.0


class Progress:
    """The progress bar of `fit`.

    enabled : True shows it even if the error stream is no terminal, and raises ImportError without `rich`; False never
        shows it; None shows it on a terminal if `rich` is installed
    """

    def __init__(self, epochs: int, enabled: bool | None) -> None:
        self._epochs = epochs
        self._begin = time.monotonic()
        self._bar: Any = None
        self._task: Any = None
        self._wanted = sys.stderr.isatty() if enabled is None else enabled
        if self._wanted:
            try:
                import rich.progress  # noqa: F401 - only for runs that show it
            except ImportError:
                if enabled:
                    raise ImportError('progress=True needs rich: pip install "vecprop[cli]"') from None
                self._wanted = False

    def update(self, epoch: int, history: dict[str, list[Any]]) -> None:
        """Show that an epoch has ended, with the last entries of the history."""
        if not self._wanted or (self._bar is None and time.monotonic() - self._begin < _DELAY):
            return
        if self._bar is None:
            self._start()
        shown = (("cost", "cost"), ("validation_cost", "validation"), ("metric", "metric"))
        words = [f"{word} {_number(history[key][-1])}" for key, word in shown if history.get(key)]
        self._bar.update(self._task, completed=epoch, description=", ".join(words))

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("epoch"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"))
        self._bar = Progress(
            *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=sys.stderr.isatty()
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=self._epochs)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def _number(value: Any) -> str:
    """Return a number with four digits, or for a list the lowest and the highest."""
    if isinstance(value, list):
        return f"{min(value):.4g} … {max(value):.4g}"
    return f"{value:.4g}"
