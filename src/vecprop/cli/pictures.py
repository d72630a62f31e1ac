"""The pictures of `vecprop train`: a process of their own imports matplotlib while this one reads and trains.

The process, `python -m vecprop.cli.pictures`, reads a `Run` as JSON and prints the files as JSON.
"""

import io
import json
import os
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np

from vecprop.cli import imports
from vecprop.inspection import plots
from vecprop.inspection.plots.curves import best_of, draw_history, epoch_given_back

_COMMAND = (sys.executable, "-P", "-m", "vecprop.cli.pictures")  # -P: nothing from the folder it is started in


class Run(NamedTuple):
    """What the pictures show; `quantity` is the name of a number, None for classes."""

    history: Any
    best: int
    given_back: int | None
    true: Any
    predicted: Any
    quantity: str | None

    @classmethod
    def of(cls, trained: Any) -> "Run":
        """Return the run of a `tabular.Trained`."""
        from vecprop.tabular.model import leading  # the process that draws does without

        model, result = trained.model, leading(trained.model.estimator).result_
        quantity = None if model.classes else model.target.name
        return cls(
            result.history, best_of(result), epoch_given_back(result), trained.truth, trained.predicted, quantity
        )

    @property
    def files(self) -> tuple[str, str]:
        """The names of the files."""
        return "cost-curve.png", "confusion-matrix.png" if self.quantity is None else "predicted-against-true.png"

    def png(self, file: str) -> bytes:
        """Return the contents of a file."""
        if file == "cost-curve.png":
            return _png(draw_history(self.history, self.best, self.given_back))
        true, predicted = np.asarray(self.true), np.asarray(self.predicted)
        if self.quantity is None:
            return _png(plots.confusion_matrix(true, predicted))
        axes = plots.panels(2)
        plots.predicted_against_true(true, predicted, axes[0], quantity=self.quantity)
        return _png(plots.residuals(true, predicted, axes[1], quantity=self.quantity))

    def draw(self) -> dict[str, bytes]:
        """Return file name -> PNG."""
        return {file: self.png(file) for file in self.files}


Files = Callable[[], dict[str, bytes]]
Draw = Callable[[Run], Files]


@contextmanager
def drawing(wanted: bool) -> Iterator[Draw]:
    """Return a function that has a run drawn, and returns one that waits for the files, as `Run.draw` gives them.

    A process that gets ready meanwhile draws. This one does if it has matplotlib already, if there is no other core, or
    if the other process fails.
    """
    other = None
    if wanted and "matplotlib" not in sys.modules and (os.cpu_count() or 1) > 1:
        with suppress(OSError):
            other = subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if other is None:
        yield lambda run: run.draw
        return
    with other:
        try:
            yield lambda run: _drawn_by(other, run)
        finally:
            other.kill()


def _drawn_by(other: Any, run: Run) -> Files:
    """Send the run to the process; return the function that waits for its files."""
    with suppress(BrokenPipeError), other.stdin:
        other.stdin.write(json.dumps(run, default=lambda value: value.tolist()).encode())

    def files() -> dict[str, bytes]:
        printed = other.stdout.read()
        if other.wait():
            return run.draw()
        return {file: b64decode(text) for file, text in json.loads(printed).items()}

    return files


def _drawn_at_once(run: Run) -> dict[str, bytes]:
    """Return `run.draw()`; on Linux a copy of this process, which is ready for it, draws one of the two pictures."""
    if sys.platform != "linux":
        return run.draw()
    first, second = run.files
    reader, writer = os.pipe()
    copy = os.fork()
    if not copy:
        try:
            with open(writer, "wb") as pipe:
                pipe.write(run.png(second))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    drawn = {first: run.png(first)}
    with open(reader, "rb") as pipe:
        drawn[second] = pipe.read()
    return run.draw() if os.waitpid(copy, 0)[1] else drawn


def _png(ax: Any) -> bytes:
    buffer = io.BytesIO()
    ax.figure.canvas.print_png(buffer)  # `savefig` would compute the layout twice
    return buffer.getvalue()


if __name__ == "__main__":
    imports.load_less()
    imports.leave_out_setters_texts()
    _png(plots.confusion_matrix([0], [0]))  # loads fonts, and modules that only a picture loads
    drawn = _drawn_at_once(Run(*json.load(sys.stdin)))
    print(json.dumps({file: b64encode(data).decode() for file, data in drawn.items()}))
