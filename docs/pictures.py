"""Draw every picture of the documentation into docs/images/: `make pictures`, or `python docs/pictures.py [name …]`.

Everything is trained or read here and now, from fixed seeds on NumPy; times come from the files in benchmarks/results
and are not measured again. On one machine, with one set of versions, a second run writes the same bytes.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
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
from vecprop import datasets, plots, tabular  # noqa: E402
from vecprop.cli import demonstration_of_depth, demonstrations  # noqa: E402
from vecprop.inspection.benchmark_report import Report  # noqa: E402
from vecprop.training.results import FitResult  # noqa: E402

FOLDER = ROOT / "docs" / "images"
RESULTS = ROOT / "benchmarks" / "results"
DPI = 110

PICTURES: dict[str, Callable[[Path], object]] = {}


def picture(name: str) -> Callable[[Callable[[Path], object]], Callable[[Path], object]]:
    """Enter a function that draws into a path under the name of its file."""

    def enter(draw: Callable[[Path], object]) -> Callable[[Path], object]:
        PICTURES[name] = draw
        return draw

    return enter


def save(ax: Any, path: Path) -> Path:
    """Write the figure of these axes; 256 colours are enough for it, and make a third of the file."""
    plots.save(ax, path, DPI)
    return shrink(path)


def shrink(path: Path) -> Path:
    """Write a PNG again, with a palette."""
    with Image.open(path) as image:
        few = image.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    return path


# --- what is trained ----------------------------------------------------------------------------------------


@cache
def digits() -> tuple[FitResult, datasets.Dataset]:
    """Return a network that reads digits, and the images it has not seen."""
    train, test = datasets.digits().split(0.2, seed=0)
    net = vp.Network((64, 32, 10), output="softmax")
    optimizer = vp.Adam(3e-3, schedule=vp.Cosine())
    options: dict[str, Any] = {"epochs": 60, "batch_size": 32, "validation": 0.15, "metric": "accuracy"}
    return vp.fit(net, train.X, train.Y, optimizer=optimizer, l2=2.0, dropout=0.1, seed=0, **options), test


@cache
def houses() -> tuple[np.ndarray, np.ndarray]:
    """Return the true and the predicted prices of houses that `vecprop train` holds out, (m,) in euros."""
    trained = tabular.train(tabular.plan(tabular.read(ROOT / "docs" / "data" / "houses.csv"), "price"))
    return trained.truth, trained.predicted


@cache
def saturation() -> dict[str, FitResult]:
    """Return runs from larger and larger initial weights."""
    return {f"W1 × {r.scale:g}": r.training for r in demonstrations.saturation(0, backend="numpy").runs}


# --- training -----------------------------------------------------------------------------------------------


@picture("cost-curve.png")
def cost_curve(path: Path) -> None:
    """Three optimizers on two moons."""
    data = datasets.moons(m=400, seed=0)
    optimizers = {
        "gradient descent": vp.GradientDescent(0.1),
        "RMSProp": vp.RMSProp(0.01),
        "Adam": vp.Adam(0.01),
    }
    options: dict[str, Any] = {"epochs": 100, "batch_size": 50, "seed": 0}
    runs = {
        name: vp.fit(vp.Network((2, 16, 1)), data.X, data.Y, optimizer=optimizer, **options)
        for name, optimizer in optimizers.items()
    }
    ax = plots.cost_curve(runs, log=True)
    ax.set_title("Two moons, 2-16-1: cost over the epochs")
    save(ax, path)


@picture("history.png")
def history(path: Path) -> None:
    """All that a run on the digits wrote down."""
    save(plots.history(digits()[0]), path)


@picture("gradient-norms.png")
def gradient_norms(path: Path) -> None:
    """Draw the gradients of the same run, by layer."""
    save(plots.gradient_norms(digits()[0]), path)


@picture("saturation.png")
def saturated(path: Path) -> None:
    """Large initial weights: tanh is flat, its gradient small, learning slow."""
    left, right = plots.panels(2, width=5.2, height=4.4)
    plots.cost_curve(saturation(), left, log=True).set_title("Two circles: cost for larger initial weights")
    plots.gradient_norms_of_layer(saturation(), right)
    save(left, path)


@picture("vanishing-gradient.png")
def vanishing(path: Path) -> None:
    """Eight hidden layers of sigmoids, and two cures."""
    runs = {r.name: r.training for r in demonstration_of_depth.deep_gradients(0, backend="numpy").runs}
    left, right = plots.panels(2, width=5.2, height=4.4)
    plots.gradient_norms_by_layer(runs, left)
    plots.cost_curve(runs, right, log=True).set_title("Digits, 8 hidden layers: cost over the epochs")
    save(left, path)


# --- the plane ----------------------------------------------------------------------------------------------


@picture("decision-boundary.png")
def decision_boundary(path: Path) -> None:
    """Draw the flower, without and with a hidden layer."""
    result = demonstrations.planar(0, backend="numpy")
    axes = plots.panels(2, width=4.8, height=5.0)
    runs = {"No hidden layer": result.logistic, "6 hidden units": result.network}
    for ax, (name, run) in zip(axes, runs.items(), strict=True):
        plots.decision_boundary(run.net, run.params, *result.train, ax)
        ax.set_title(f"{name}: {100 * demonstrations.accuracy(run, result.test):.0f} % of unseen points right")
    save(axes[0], path)


@picture("decision-boundary.gif")
def decision_boundary_animation(path: Path) -> None:
    """Two spirals, over the epochs."""
    data = datasets.spirals(m=240, seed=0)
    net = vp.Network((2, 16, 16, 1))
    snapshots = plots.Snapshots(at=sorted({round(x) for x in [0, *np.geomspace(1, 100, 24)]}))
    options: dict[str, Any] = {"epochs": 100, "batch_size": 40, "standardize": True, "seed": 0}
    vp.fit(net, data.X, data.Y, optimizer=vp.Adam(0.01), callbacks=snapshots, **options)
    ax = plots.panels(width=4.5, height=4.7)[0]
    plots.decision_boundary_animation(net, snapshots, data.X, data.Y, path, ax, fps=8, dpi=72, names=data.target_names)


# --- networks -----------------------------------------------------------------------------------------------


@picture("network-diagram.png")
def network_diagram(path: Path) -> None:
    """Draw a network as it is specified."""
    save(plots.network_diagram(vp.Network((784, 128, 10), hidden="relu", output="softmax")), path)


@picture("network-weights.png")
def network_weights(path: Path) -> None:
    """Draw a small network with the weights it has learned."""
    data = datasets.moons(m=400, seed=0)
    net = vp.Network((2, 5, 3, 1))
    result = vp.fit(net, data.X, data.Y, optimizer=vp.Adam(0.02), epochs=150, batch_size=50, l2=0.1, seed=0)
    save(plots.network_diagram(net, result.params), path)


@picture("first-layer-weights.png")
def first_layer_weights(path: Path) -> None:
    """Draw what each hidden unit looks at in an image of a digit."""
    save(plots.first_layer_weights(digits()[0].params, (8, 8), columns=8), path)


@picture("activation.png")
def activation(path: Path) -> None:
    """One activation and its derivative."""
    left, right = plots.panels(2, width=4.6, height=4.0)
    plots.activation("tanh", left)
    plots.activation("leaky_relu", right)
    save(left, path)


@picture("activations.png")
def activations(path: Path) -> None:
    """All the usual ones, and their derivatives."""
    save(plots.activations(), path)


# --- predictions --------------------------------------------------------------------------------------------


@picture("confusion-matrix.png")
def confusion_matrix(path: Path) -> None:
    """Draw the digits that were not seen."""
    result, test = digits()
    save(plots.confusion_matrix(test.labels, result.forward(test.X).argmax(axis=0), names=test.target_names), path)


@picture("predicted-against-true.png")
def predicted_against_true(path: Path) -> None:
    """Prices of houses that were not seen."""
    save(plots.predicted_against_true(*houses(), quantity="price", units="€"), path)


@picture("residuals.png")
def residuals(path: Path) -> None:
    """Their residuals."""
    save(plots.residuals(*houses(), quantity="price", units="€"), path)


# --- speed --------------------------------------------------------------------------------------------------


@picture("speedup.png")
def speedup(path: Path) -> None:
    """Draw the loop against the vectorized pass."""
    save(plots.speedup(Report.load(RESULTS / "cpu-2-cores-ladder.json")), path)


@picture("peers.png")
def peers(path: Path) -> None:
    """Other libraries."""
    draw_ratios(Record.load(RESULTS / "cpu-2-cores-peers.json"), path, DPI)
    shrink(path)


@picture("peers-growth.png")
def peers_growth(path: Path) -> None:
    """How the cost grows."""
    draw_growth(Record.load(RESULTS / "cpu-2-cores-peers.json"), path, DPI)
    shrink(path)


@picture("tables.png")
def public_tables(path: Path) -> None:
    """Public tables."""
    draw_tables(Record.load(RESULTS / "cpu-2-cores-tables.json"), path, DPI)
    shrink(path)


# --- the tutorial -------------------------------------------------------------------------------------------


def draw_tutorial(name: str, path: Path) -> None:
    """Draw a picture of the tutorial."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tutorial_pictures.PICTURES[name]().savefig(path, dpi=tutorial_pictures.DPI, metadata={"Software": None})
    shrink(path)


PICTURES |= {f"tutorial/{name}.png": partial(draw_tutorial, name) for name in tutorial_pictures.PICTURES}


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
        PICTURES[name](path)
        print(f"{name:28}{path.stat().st_size / 1000:6.0f} kB {time.perf_counter() - begin:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
