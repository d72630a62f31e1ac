"""The pictures of `vecprop train`: a process of their own imports matplotlib while the network trains.

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
from vecprop.inspection.plots.curves import draw_history
from vecprop.inspection.plots.histories import best_of, epoch_given_back
from vecprop.tabular.model import leading

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
        model, result = trained.model, leading(trained.model.estimator).result_
        quantity = None if model.classes else model.target.name
        return cls(
            result.history, best_of(result), epoch_given_back(result), trained.truth, trained.predicted, quantity
        )

    def draw(self) -> dict[str, bytes]:
        """Return file name -> PNG."""
        pictures = {"cost-curve.png": draw_history(self.history, self.best, self.given_back)}
        true, predicted = np.asarray(self.true), np.asarray(self.predicted)
        if self.quantity is None:
            pictures["confusion-matrix.png"] = plots.confusion_matrix(true, predicted)
        else:
            axes = plots.panels(2)
            plots.predicted_against_true(true, predicted, axes[0], quantity=self.quantity)
            pictures["predicted-against-true.png"] = plots.residuals(true, predicted, axes[1], quantity=self.quantity)
        return {file: _png(ax) for file, ax in pictures.items()}


Draw = Callable[[Run], dict[str, bytes]]


@contextmanager
def drawing(wanted: bool) -> Iterator[Draw]:
    """Return a function that draws as `Run.draw`, in a process that gets ready meanwhile.

    This process draws if it has matplotlib already, if there is no other core, or if the other process fails.
    """
    other = None
    if wanted and "matplotlib" not in sys.modules and (os.cpu_count() or 1) > 1:
        with suppress(OSError):
            other = subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def draw(run: Run) -> dict[str, bytes]:
        if other is not None:
            printed, _ = other.communicate(json.dumps(run, default=lambda value: value.tolist()).encode())
            if other.returncode == 0:
                return {file: b64decode(text) for file, text in json.loads(printed).items()}
        return run.draw()

    try:
        yield draw
    finally:
        if other is not None:
            other.kill()
            other.communicate()


def _png(ax: Any) -> bytes:
    buffer = io.BytesIO()
    ax.figure.canvas.print_png(buffer)  # `savefig` would compute the layout twice
    return buffer.getvalue()


if __name__ == "__main__":
    imports.load_less()
    _png(plots.panels()[0])  # loads fonts
    print(json.dumps({file: b64encode(data).decode() for file, data in Run(*json.load(sys.stdin)).draw().items()}))
