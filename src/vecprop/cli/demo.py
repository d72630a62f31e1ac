"""`vecprop demo`: every experiment of the demonstrations, and loops against the vectorized pass.

Each section says what it shows, prints numbers, and checks claims by them; the demo fails if a claim does.
"""

import textwrap
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from vecprop._version import __version__
from vecprop.backend.selection import backends, get_backend, use_backend
from vecprop.cli import demonstrations
from vecprop.cli.arguments import usable_backends
from vecprop.cli.output import console, reason
from vecprop.cli.writing import check_files, holds_benchmark
from vecprop.inspection import benchmark, plots
from vecprop.utils.alignment import aligned
from vecprop.utils.random_streams import check_seed

_WIDTH = 100
_FILES = (
    "cost-curve.png", "decision-boundary.png", "saturation.png", "vanishing-gradient.png", "speed-up.png", "bench.json",
)  # fmt: skip
# What the demo claims.
_DIGITS_GOAL = 0.96
_HIDDEN_LAYER_GAIN = 0.1  # the least accuracy that a hidden layer must add on the flower
_VANISHED = 1e-3  # ‖dW1‖ / ‖dW_L‖ below this: the first layer learns a thousand times slower than the last
_ALIVE = 0.1  # above this ratio the first layer learns about as fast as the last
_LEARNED = 0.85  # the least accuracy of a network that learns; others stay near 0.1
_SAME_SCORE = 0.02  # two networks on some 360 test digits differ less in accuracy
_COVERAGE = 0.1  # the largest error of the share of prices inside the 80 % interval
_SPEED_UP = 10.0  # the least speed-up of the vectorized pass over the loop at the largest m


@dataclass
class Demo:
    """The state that the sections share: where they print and write, and their claims so far."""

    out: Path
    seed: int
    quick: bool
    screen: Console = field(default_factory=console)
    claims: list[tuple[str, bool]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    sections: int = 0

    def heading(self, title: str, text: str) -> None:
        """Begin a section with its title and a text on what it shows."""
        self.sections += 1
        self.screen.print(f"\n{self.sections}. {title}", style="bold")
        self.screen.print(textwrap.fill(text, _WIDTH) + "\n")

    def show(self, text: str) -> None:
        """Print an indented text."""
        self.screen.print("\n".join(f"   {line}".rstrip() for line in text.splitlines()))

    def claim(self, text: str, holds: bool) -> None:
        """Record and print whether a claim holds."""
        self.claims.append((text, holds))
        self.screen.print(f"   {'ok' if holds else 'FAILED'}: {text}", style="green" if holds else "bold red")


def run(out: Path, seed: int, backend: str | None, quick: bool, force: bool) -> bool:
    """Run the demo, print it, write the pictures into `out`, and return whether every claim holds."""
    begin = time.perf_counter()
    needed = {"sklearn": "scikit-learn for the digits", "matplotlib": "matplotlib for the pictures"}
    if missing := [what for module, what in needed.items() if find_spec(module) is None]:  # else it fails halfway
        raise ImportError(f'the demo needs {" and ".join(missing)}: pip install "vecprop[cli,sklearn]"')
    demo = Demo(out, check_seed(seed), quick)
    check_files(out, _FILES, (), holds_benchmark, force)
    with nullcontext() if backend is None else use_backend(backend):
        active = get_backend().name
        demo.screen.print(f"vecprop {__version__}, seed {demo.seed}, backend {active} ({reason(backend)})")
        for section in _SECTIONS:
            section(demo)
    demo.heading("Summary", "What was written and what was claimed.")
    demo.show("\n".join(str(path) for path in demo.files))
    failed, count = [text for text, holds in demo.claims if not holds], len(demo.claims)
    verdict = f"{count - len(failed)} of {count} claims hold, {time.perf_counter() - begin:.0f} s"
    demo.screen.print(f"\n{verdict}", style="bold red" if failed else "bold green")
    for text in failed:
        demo.screen.print(f"   FAILED: {text}", style="red")
    return not failed


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _backends(demo: Demo) -> None:
    demo.heading(
        "Backends",
        "The mathematics is written once and runs on each of these array libraries. The star marks the active one.",
    )
    table = backends()
    demo.show(str(table))
    usable = [s.name for s in table.values() if s.usable]
    demo.claim(f"usable here: {', '.join(usable)}", bool(usable))


def _gradients(demo: Demo) -> None:
    demo.heading(
        "Gradient check (E40)",
        "Hand-derived gradients against numeric ones by a complex step, in float64: ‖difference‖ / (‖numeric‖ + "
        "‖analytic‖).",
    )
    checks = demonstrations.gradient_checks(demo.seed)
    for name, net, report in checks:
        errors = "  ".join(f"d{parameter} {error:.0e}" for parameter, error in report.items())
        demo.show(f"{name}: {net}\n    {errors}")
    tolerance = max(report.tolerance for _, _, report in checks)
    demo.claim(f"every gradient is right within {tolerance:g}", all(report.passed for _, _, report in checks))
    wrong = demonstrations.wrong_gradient(demo.seed)
    demo.show(f"\ndW1 of the second network made wrong by 1 %: error {wrong['W1']:.0e}, the others as before")
    demo.claim("the check finds it and names W1", wrong.wrong == ["W1"])


def _digits(demo: Demo) -> None:
    demo.heading(
        "Handwritten digits (E23, E30)",
        "1797 images of 8 × 8 pixels: mini-batch gradient descent on four fifths, a test on the fifth never seen.",
    )
    result = demonstrations.digits(demo.seed)
    network, train, test = result.network, result.train, result.test
    seconds = sum(network.history["seconds"])
    demo.show(
        f"{network.net}, {network.net.parameter_count} parameters\n"
        f"{len(network.history['cost'])} epochs in {seconds:.1f} s, training accuracy "
        f"{_percent(demonstrations.accuracy(network, train))}, {test.X.shape[1]} test digits\n"
    )
    most_common = np.bincount(train.labels).argmax()
    reached = demonstrations.accuracy(network, test)
    table = [
        ("", "test accuracy"),
        ("always the most common digit", _percent(float(np.mean(test.labels == most_common)))),
        ("softmax regression, no hidden layer", _percent(demonstrations.accuracy(result.regression, test))),
        ("one hidden layer", _percent(reached)),
    ]
    demo.show(aligned(table))
    demo.claim(f"at least {100 * _DIGITS_GOAL:.0f} % of the test digits are read correctly", reached >= _DIGITS_GOAL)
    label = "-".join(map(str, network.net.sizes))
    curves = {f"{label}, one hidden layer": network.history, "softmax regression": result.regression.history}
    left, right = plots.panels(2)
    plots.cost_curve(curves, left, log=True).set_title("Handwritten digits: cost over the epochs")
    plots.gradient_norms(network.history, right).set_title(f"{label}: norm of the gradient, by layer")
    demo.files.append(plots.save(left, demo.out / "cost-curve.png"))


def _planar(demo: Demo) -> None:
    demo.heading(
        "What a hidden layer adds (E4, E11)",
        "The planar flower, two classes in eight petals. Logistic regression can only draw a line; one hidden layer of "
        "6 tanh units bends it.",
    )
    result = demonstrations.planar(demo.seed)
    runs = (("logistic regression", result.regression), ("one hidden layer", result.network))
    table: list[tuple[str, ...]] = [("", "training", "test")]
    reached = []
    for (name, run_), ax in zip(runs, axes := plots.panels(2, width=5.0), strict=True):
        train, test = (demonstrations.accuracy(run_, data) for data in (result.train, result.test))
        table.append((f"{name}, {'-'.join(map(str, run_.net.sizes))}", _percent(train), _percent(test)))
        reached.append(test)
        plots.decision_boundary(run_.net, run_.params, result.train.X, result.train.Y, ax)
        ax.set_title(f"{name}: {_percent(test)} of test points".capitalize())
    demo.show(aligned(table))
    more = reached[1] - reached[0] > _HIDDEN_LAYER_GAIN
    demo.claim(f"the hidden layer adds more than {100 * _HIDDEN_LAYER_GAIN:.0f} points of accuracy", more)
    demo.files.append(plots.save(axes[0], demo.out / "decision-boundary.png"))


def _zeros(demo: Demo) -> None:
    demo.heading(
        "Zero initialization (E27)",
        "With zero weights all hidden units compute the same and get the same gradient, so no step can tell them "
        "apart. 4 hidden units on the flower, 200 epochs, from zeros and from random weights.",
    )
    results = {g: demonstrations.zero_initialization(demo.seed, hidden=g) for g in ("tanh", "sigmoid")}
    table = [("after training", "largest |W1|", "rows of W1 differ by", "cost", "accuracy")]
    for g, runs in results.items():
        for start, own in zip(("zeros", "random weights"), runs, strict=True):
            cells = (f"{own.largest_weight:.3g}", f"{own.row_difference:.3g}", f"{own.cost:.3f}")
            table.append((f"{g}, from {start}", *cells, _percent(own.accuracy)))
    demo.show(aligned(table))
    demo.show("tanh: W1 stays 0, for W2 = 0 lets no gradient through. sigmoid: W1 learns, every row the same.")
    equal = all(zeros.row_difference <= 1e-6 * zeros.largest_weight for zeros, _ in results.values())
    demo.claim("from zeros all rows of W1 stay equal", equal)
    demo.claim("from random weights the cost gets lower", all(r.cost < zeros.cost for zeros, r in results.values()))


def _saturation(demo: Demo) -> None:
    demo.heading(
        "Saturation (E28)",
        "tanh is flat for large |z|, and dZ1 = W2ᵀ dZ2 ∘ g1′(Z1) carries its slope. The same 2-4-1 network on two "
        "circles, 100 epochs, from the same weights of layer 1 times 1, 10 and 100.",
    )
    runs = demonstrations.saturation(demo.seed)
    table = [("W1 times", "mean slope g1′(Z1)", "‖dW1‖ at the start", "cost", "accuracy")]
    for r in runs:
        cells = (f"{r.slope:.3f}", f"{r.gradient_norm:.5f}", f"{r.cost:.3f}", _percent(r.accuracy))
        table.append((f"{r.scale:g}", *cells))
    demo.show(aligned(table))
    first, last = runs[0], runs[-1]
    slowed = last.slope < first.slope and last.gradient_norm < first.gradient_norm and last.cost > first.cost
    demo.claim("large weights make the gradient of layer 1 small and learning slow", slowed)
    demo.files.append(plots.save(draw_saturation(runs), demo.out / "saturation.png"))


def draw_saturation(runs: Sequence[demonstrations.SaturationRun], **size: float) -> Any:
    """Return axes with the cost of each run, and the gradient of layer 1."""
    left, right = plots.panels(2, **size)
    curves = {f"W1 × {r.scale:g}": r.training for r in runs}
    plots.cost_curve(curves, left, log=True).set_title("Two circles: cost for larger initial weights")
    return plots.gradient_norms_of_layer(curves, right)


def _depth(demo: Demo) -> None:
    demo.heading(
        "Vanishing gradients (E36), and two cures (E29, E34)",
        "A deep network on the digits, 8 hidden layers of 32 units, 20 epochs. On its way back to layer 1 the gradient "
        "gets a factor g′ in each layer, for the sigmoid 1/4 at most.",
    )
    result = demonstrations.deep_gradients(demo.seed)
    table = [("", "‖dW1‖", "‖dW9‖", "ratio", "cost", "test accuracy")]
    for r in result:
        norms = np.median(r.training.history["gradient_norm"], axis=0)
        cells = (f"{norms[0]:.2g}", f"{norms[-1]:.2g}", f"{r.ratio:.2g}", f"{r.training.history['cost'][-1]:.3f}")
        table.append((r.name, *cells, _percent(r.test_accuracy)))
    demo.show(aligned(table))
    sigmoid, *cures = result
    vanished = sigmoid.ratio < _VANISHED and sigmoid.test_accuracy < 0.5
    demo.claim(f"sigmoid: ‖dW1‖ is less than {_VANISHED:g} of ‖dW9‖, and nothing is learned", vanished)
    text = f"more than {_ALIVE:g} of it, and {100 * _LEARNED:.0f} % of the digits"
    cured = all(r.ratio > _ALIVE and r.test_accuracy > _LEARNED for r in cures)
    demo.claim(f"ReLU with He's weights, and batch normalization: {text}", cured)
    demo.files.append(plots.save(draw_vanishing(result), demo.out / "vanishing-gradient.png"))


def draw_vanishing(result: Sequence[demonstrations.DeepRun], **size: float) -> Any:
    """Return axes with the gradient of each layer, and the cost."""
    left, right = plots.panels(2, **size)
    runs = {r.name: r.training for r in result}
    plots.gradient_norms_by_layer(runs, left)
    plots.cost_curve(runs, right, log=True).set_title("Digits, 8 hidden layers: cost over the epochs")
    return right


def _estimators(demo: Demo) -> None:
    demo.heading(
        "In the place of scikit-learn's networks",
        "The same digits with sklearn.neural_network.MLPClassifier and with vecprop.estimators.MLPClassifier, both as "
        "they come; then intervals for house prices, which scikit-learn's networks do not give, and a model file.",
    )
    result = demonstrations.drop_in(demo.seed)
    table = [("MLPClassifier()", "epochs", "fit", "test accuracy")]
    for name, fitted in (("scikit-learn", result.theirs), ("vecprop", result.ours)):
        table.append((name, str(fitted.epochs), f"{fitted.seconds:.2f} s", _percent(fitted.accuracy)))
    demo.show(aligned(table))
    demo.show(
        f"\nhouse prices: R² of the median {result.median_r2:.2f}, {_percent(result.inside)} of the unseen "
        f"prices between the 10 % and the 90 % quantile\nmodel file: {result.file_bytes / 1000:.0f} kB, safetensors"
    )
    same = abs(result.theirs.accuracy - result.ours.accuracy) <= _SAME_SCORE
    demo.claim(f"both read as many digits, within {100 * _SAME_SCORE:g} points", same)
    covers = abs(result.inside - 0.8) <= _COVERAGE
    demo.claim(f"the interval holds 80 % of the prices, within {100 * _COVERAGE:g} points", covers)
    demo.claim("the model predicts the same when it is loaded", result.loaded_predicts_the_same)


def _speed(demo: Demo) -> None:
    names = usable_backends()
    demo.heading(
        "A loop over the examples against the vectorized pass (E8, E11)",
        "Cost and gradients of a 2-4-1 network in float32: one example after the other, and all m at once. This "
        "takes some seconds.",
    )
    report = benchmark.measure(
        backends=names,
        networks=("2-4-1",),
        sizes=(1, 100, 10_000) if demo.quick else (1, 10, 100, 1_000, 10_000, 100_000),
        dtypes=("float32",),
        passes=("gradients",),
        rungs=("per_example", "vectorized"),
        budget=0.05 if demo.quick else 0.2,
    )
    demo.show(report.table())
    most = max(row.m for row in report.rows)
    for name in names:
        row = report.find(backend=name, rung="vectorized", m=most)
        speedup = (row.speedup or 0.0) if row is not None else 0.0
        text = f"{name}: {speedup:.0f} times faster at m = {most}, more than {_SPEED_UP:g}"
        demo.claim(text, speedup > _SPEED_UP)
    demo.files.append(report.plot(demo.out / "speed-up.png"))
    demo.files += report.save(demo.out)


_SECTIONS = (_backends, _gradients, _digits, _planar, _zeros, _saturation, _depth, _estimators, _speed)
