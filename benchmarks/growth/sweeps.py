"""How the cost of vecprop's gradients grows with the examples m, the units n and the networks K."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import vecprop as vp
from peer_workloads import draw_examples
from vecprop.inspection.plots import COLOURS, panels, save

SWEEPS: dict[str, tuple[int, ...]] = {
    "m": (10, 100, 1_000, 10_000, 100_000, 1_000_000),
    "n": (4, 16, 64, 256, 1024, 4096),
    "K": (1, 4, 16, 64, 256),
}
TITLES = {
    "m": "30-100-2, m examples",
    "n": "64-n-1, 1 000 examples",
    "K": "K networks 30-16-1, 32 examples",
}


def growth(backend: str, sweep: str, value: int) -> Callable[[], None]:
    """Return a pass: the gradients at one point of a sweep."""
    sizes, m = {
        "m": ((30, 100, 2), value),
        "n": ((64, value, 1), 1_000),
        "K": ((30, 16, 1), 32),
    }[sweep]
    net = vp.Network(sizes, output="softmax" if sizes[-1] > 1 else "sigmoid")
    target = vp.get_backend(backend)
    data = draw_examples(sizes, net.output.name, m)
    params = net.init(seed=range(value) if sweep == "K" else 0, dtype="float32", backend=target)
    X, Y = target.asarray(np.ascontiguousarray(data.rows.T)), target.asarray(data.columns)

    def one_pass() -> None:
        _, grads = net.gradients(params, X, Y)
        for layer in grads:
            target.synchronize(layer.W)

    return one_pass


def measure_growth(
    backends: Iterable[str], budget: float, sweeps: dict[str, tuple[int, ...]] = SWEEPS
) -> list[dict[str, Any]]:
    """Return, for each sweep, backend and value, the median seconds of a pass, about `budget` seconds spent on each."""
    rows = []
    for sweep, values in sweeps.items():
        for value in values:
            for backend in backends:
                one_pass = growth(backend, sweep, value)
                one_pass()  # compiles
                seconds = _sample(one_pass, budget)
                rows.append({"sweep": sweep, "value": value, "backend": backend, "seconds": statistics.median(seconds)})
    return rows


def _sample(one_pass: Callable[[], None], budget: float) -> list[float]:
    """Return the seconds of a pass, each the mean over as many as fill 2 ms: 3 to 51 of them."""

    def clock(times: int) -> float:
        begin = time.perf_counter()
        for _ in range(times):
            one_pass()
        return (time.perf_counter() - begin) / times

    once = clock(1)
    times = math.ceil(2e-3 / once)
    return [clock(times) for _ in range(min(51, max(3, int(budget / (times * once)))))]


def draw_growth(rows: list[dict[str, Any]], path: Path, dpi: float = 110) -> None:
    """Draw the three sweeps side by side, both axes logarithmic, with a line for growth in proportion."""
    backends = sorted({row["backend"] for row in rows}, reverse=True)
    sweeps = [sweep for sweep in SWEEPS if any(row["sweep"] == sweep for row in rows)]
    all_axes = panels(len(sweeps), width=4.0, height=4.2)
    for axes, sweep in zip(all_axes, sweeps, strict=True):
        for colour, backend in zip(COLOURS, backends, strict=False):
            points = [(r["value"], r["seconds"]) for r in rows if (r["sweep"], r["backend"]) == (sweep, backend)]
            axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=backend)
        last_value, last = max((r["value"], r["seconds"]) for r in rows if r["sweep"] == sweep)
        values = [r["value"] for r in rows if r["sweep"] == sweep]
        line = [last * v / last_value for v in (min(values), last_value)]
        axes.plot([min(values), last_value], line, color="0.6", linestyle="--", label="in proportion")
        axes.set(xscale="log", yscale="log", xlabel=sweep, title=TITLES[sweep])
        axes.grid(visible=True, color="0.9")
    all_axes[0].set_ylabel("seconds of a pass (cost and gradients), float32")
    all_axes[0].legend(frameon=False)
    save(all_axes[0], path, dpi)
