"""Draw every picture of the documentation into docs/images/: `make pictures`, or `python docs/pictures.py [name …]`.

Everything is trained or read here and now, from fixed seeds on NumPy; times come from the files in benchmarks/results
and are not measured again. On one machine, with one set of versions, a second run writes the same bytes.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / name) for name in ("src", "backends", ".", "docs")]

import tutorial_pictures  # noqa: E402
import vecprop as vp  # noqa: E402
from benchmarks.harness.pictures import draw_growth, draw_ratios, draw_tables  # noqa: E402
from benchmarks.harness.report import Record  # noqa: E402
from benchmarks.harness.workloads import WORKLOADS  # noqa: E402
from vecprop import datasets, plots, tabular  # noqa: E402
from vecprop.cli import demo, demonstrations  # noqa: E402
from vecprop.inspection.benchmark_report import Report  # noqa: E402
from vecprop.training.results import FitResult  # noqa: E402

FOLDER = ROOT / "docs" / "images"
RESULTS = ROOT / "benchmarks" / "results"
DPI = 110


# --- what is trained ----------------------------------------------------------------------------------------


@cache
def digits() -> tuple[FitResult, datasets.Dataset]:
    """Return a network that reads digits, and the images it has not seen."""
    train, test = datasets.digits().split(0.2, seed=0)
    result = vp.fit(
        vp.Network((64, 32, 10), output="softmax"), train.X, train.Y, optimizer=vp.Adam(3e-3, schedule=vp.Cosine()),
        epochs=60, batch_size=32, l2=2.0, dropout=0.1, seed=0, validation=0.15, metric="accuracy",
    )  # fmt: skip
    return result, test


@cache
def houses() -> tuple[np.ndarray, np.ndarray]:
    """Return the true and the predicted prices of houses that `vecprop train` holds out, (m,) in euros."""
    trained = tabular.train(tabular.plan(tabular.read(ROOT / "docs" / "data" / "houses.csv"), "price"))
    return trained.truth, trained.predicted


# --- pictures that are more than one call -------------------------------------------------------------------


def cost_curve() -> Any:
    """Three optimizers on two moons."""
    data, net = datasets.moons(m=400, seed=0), vp.Network((2, 16, 1))
    optimizers = {"gradient descent": vp.GradientDescent(0.1), "RMSProp": vp.RMSProp(0.01), "Adam": vp.Adam(0.01)}
    runs = {
        name: vp.fit(net, data.X, data.Y, optimizer=optimizer, epochs=100, batch_size=50, seed=0)
        for name, optimizer in optimizers.items()
    }
    ax = plots.cost_curve(runs, log=True)
    ax.set_title("Two moons, 2-16-1: cost over the epochs")
    return ax


def decision_boundary() -> Any:
    """Draw the flower, without and with a hidden layer."""
    result = demonstrations.planar(0)
    axes = plots.panels(2, width=4.8, height=5.0)
    runs = {"No hidden layer": result.regression, "6 hidden units": result.network}
    for ax, (name, run) in zip(axes, runs.items(), strict=True):
        plots.decision_boundary(run.net, run.params, *result.train, ax)
        ax.set_title(f"{name}: {100 * demonstrations.accuracy(run, result.test):.0f} % of unseen points right")
    return ax


def decision_boundary_animation(path: Path) -> None:
    """Write a film of two spirals, over the epochs."""
    data = datasets.spirals(m=240, seed=0)
    net = vp.Network((2, 16, 16, 1))
    snapshots = plots.Snapshots(at=sorted({round(x) for x in [0, *np.geomspace(1, 100, 24)]}))
    vp.fit(
        net, data.X, data.Y, optimizer=vp.Adam(0.01), epochs=100, batch_size=40, standardize=True, seed=0,
        callbacks=snapshots,
    )  # fmt: skip
    ax = plots.panels(width=4.5, height=4.7)[0]
    plots.decision_boundary_animation(net, snapshots, data.X, data.Y, path, ax, fps=8, dpi=72, names=data.target_names)


def network_weights() -> Any:
    """Draw a small network with the weights it has learned."""
    data = datasets.moons(m=400, seed=0)
    net = vp.Network((2, 5, 3, 1))
    result = vp.fit(net, data.X, data.Y, optimizer=vp.Adam(0.02), epochs=150, batch_size=50, l2=0.1, seed=0)
    return plots.network_diagram(net, result.params)


def activation() -> Any:
    """Two activations and their derivatives."""
    left, right = plots.panels(2, width=4.6, height=4.0)
    plots.activation("tanh", left)
    return plots.activation("leaky_relu", right)


def confusion_matrix() -> Any:
    """Draw the digits that were not seen."""
    result, test = digits()
    return plots.confusion_matrix(test.labels, result.forward(test.X).argmax(axis=0), names=test.target_names)


# --- all of them --------------------------------------------------------------------------------------------


def measured(name: str) -> Record:
    """Return the record of a benchmark."""
    return Record.load(RESULTS / f"cpu-2-cores-{name}.json")


def _without_networks(record: Record) -> Record:
    """Leave out stacks of networks, which have tables of their own."""
    return replace(record, rows=[row for row in record.rows if WORKLOADS[row.workload].part != "networks"])


ANIMATION = "decision-boundary.gif"
# What draws each, and returns axes of it; the animation is written by itself.
PICTURES: dict[str, Callable[..., Any]] = {
    "cost-curve.png": cost_curve,
    "history.png": lambda: plots.history(digits()[0]),
    "gradient-norms.png": lambda: plots.gradient_norms(digits()[0]),
    "saturation.png": lambda: demo.draw_saturation(demonstrations.saturation(0), width=5.2, height=4.4),
    "vanishing-gradient.png": lambda: demo.draw_vanishing(demonstrations.deep_gradients(0), width=5.2, height=4.4),
    "decision-boundary.png": decision_boundary,
    ANIMATION: decision_boundary_animation,
    "network-diagram.png": lambda: plots.network_diagram(vp.Network((784, 128, 10), hidden="relu", output="softmax")),
    "network-weights.png": network_weights,
    "first-layer-weights.png": lambda: plots.first_layer_weights(digits()[0].params, (8, 8), columns=8),
    "activation.png": activation,
    "activations.png": lambda: plots.activations(),
    "confusion-matrix.png": confusion_matrix,
    "predicted-against-true.png": lambda: plots.predicted_against_true(*houses(), quantity="price", units="€"),
    "residuals.png": lambda: plots.residuals(*houses(), quantity="price", units="€"),
    "speedup.png": lambda: plots.speedup(Report.load(RESULTS / "cpu-2-cores-ladder.json")),
    "peers.png": lambda: draw_ratios(_without_networks(measured("peers"))),
    "peers-growth.png": lambda: draw_growth(measured("peers")),
    "tables.png": lambda: draw_tables(measured("xeon-tables")),
    **{f"tutorial/{name}.png": draw for name, draw in tutorial_pictures.PICTURES.items()},
}


def write(name: str, path: Path) -> None:
    """Draw a picture; 256 colours are enough for a PNG, and make a third of the file."""
    if name == ANIMATION:
        decision_boundary_animation(path)
        return
    plots.save(PICTURES[name](), path, tutorial_pictures.DPI if name.startswith("tutorial/") else DPI)
    with Image.open(path) as image:
        few = image.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def main(given: Sequence[str] | None = None) -> None:
    """Draw the pictures named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help="files to draw, as history.png; all unless given")
    parser.add_argument("--out", type=Path, default=FOLDER, help="the folder (docs/images)")
    arguments = parser.parse_args(given)
    unknown = [name for name in arguments.names if name not in PICTURES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(PICTURES)}")
    for name in arguments.names or PICTURES:
        begin, path = time.perf_counter(), arguments.out / name
        with vp.use_backend("numpy"):
            write(name, path)
        print(f"{name:28}{path.stat().st_size / 1000:6.0f} kB {time.perf_counter() - begin:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
