"""The pictures of `vecprop train` from a process of their own: the same bytes as from this one."""

import os
import sys
from contextlib import ExitStack

import numpy as np
import pytest

from helpers.processes import python
from vecprop.cli import pictures

COSTS = {"cost": [[1.0, 0.8], [0.5, 0.6]], "validation_cost": [[1.1, 0.9], [0.7, np.float64(0.8)]]}
DRAWS, FAILS = pictures._COMMAND, (sys.executable, "-c", "exit(1)")
RUNS = {
    "classes": pictures.Run(COSTS, 1, 2, np.array(["no", "yes", "no"]), np.array(["no", "yes", "yes"]), None),
    "numbers": pictures.Run(COSTS, 0, None, np.array([0.1, 2.3, 4.5]), np.float32([0.2, 2.2, 4.7]), "price"),
}


@pytest.mark.parametrize("command", [DRAWS, FAILS], ids=["draws", "fails"])
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_another_process_draws_the_same(run, command, monkeypatch):
    here, draws = run.draw(), pictures.Run.draw
    drawn_here = []
    monkeypatch.setattr(pictures.Run, "draw", lambda run: drawn_here.append(run) or draws(run))
    monkeypatch.setattr(pictures, "_COMMAND", command)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with ExitStack() as stack:
        with monkeypatch.context() as before_matplotlib_is_imported:
            before_matplotlib_is_imported.delitem(sys.modules, "matplotlib")
            draw = stack.enter_context(pictures.drawing(True))
        assert draw(run)() == here
    assert len(drawn_here) == (command != DRAWS)


def test_what_a_copy_of_the_process_does_not_draw_is_drawn():
    python(
        "-c",
        "import os; from vecprop.cli import pictures\n"
        "run = pictures.Run({'cost': [1.0, 0.5]}, 0, None, ['a', 'b'], ['a', 'a'], None)\n"
        "here, png, own = run.draw(), pictures.Run.png, os.getpid()\n"
        "pictures.Run.png = lambda run, file: png(run, file) if os.getpid() == own else 1 / 0\n"
        "assert pictures._drawn_at_once(run) == here",
    )
