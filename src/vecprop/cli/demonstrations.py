"""Experiments that show what the equations say: each trains small networks and returns its results.

They print and judge nothing: `vecprop demo` does. They run on the active backend. The seed is that of the data or their
split, the initial weights and the shuffles; the same one gives the same result on every backend, up to rounding.
`epochs` are as for `vecprop.fit`, in mini-batches of 50 unless it is said otherwise.
"""

import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vecprop.backend.selection import get_backend
from vecprop.data import datasets
from vecprop.data.dataset import Dataset
from vecprop.export import files
from vecprop.inspection.benchmark import random_examples
from vecprop.inspection.gradient_check import GradientReport, check_gradients
from vecprop.nn.network import Network
from vecprop.propagation import Layer, gradient_norms
from vecprop.training.fitting import fit
from vecprop.training.optimizers import GradientDescent, Momentum, Optimizer
from vecprop.training.results import FitResult
from vecprop.utils.random_streams import check_seed

_TEST_SEED = 1_000_003  # added to the seed for points that no training has seen


def trained(net: Network, data: Dataset, optimizer: Optimizer, **options: Any) -> FitResult:
    """Train a network on a data set, in float32 and mini-batches of 50 unless the options say otherwise."""
    given: dict[str, Any] = {"batch_size": 50, "dtype": "float32"} | options
    return fit(net, data.X, data.Y, optimizer=optimizer, **given)


def accuracy(result: FitResult, data: Dataset) -> float:
    """Return the share of the examples of a data set that a trained network assigns to their class."""
    A = result.forward(data.X)
    predicted = A[0] > 0.5 if data.task == "binary" else A.argmax(axis=0)
    return float(np.mean(predicted == data.labels))


def cost(result: FitResult, data: Dataset) -> float:
    """Return J of a trained network on a data set (E10), without a penalty."""
    asarray = result.backend.asarray
    return float(result.net.cost(result.params, asarray(data.X), asarray(data.Y)))


# Layer sizes repeat, as some backends compile for each shape.
_CHECKED = (
    ("logistic regression (E4)", Network((3, 1)), 0.0, False),
    ("one hidden layer (E11)", Network((3, 4, 1)), 0.0, False),
    ("softmax, L2, sample weights (E23, E32)", Network((3, 4, 4, 3), ("relu", "tanh"), "softmax"), 0.1, True),
    ("regression with leaky ReLU (E20, E24)", Network((3, 4, 3), "leaky_relu", "identity"), 0.0, False),
    ("softmax with squared error (E25)", Network((3, 4, 3), "sigmoid", "softmax", "squared_error"), 0.0, False),
)


def gradient_checks(seed: int = 0) -> list[tuple[str, Network, GradientReport]]:
    """Check the hand-derived gradients of several kinds of networks on random examples, in float64 (E40).

    >>> all(report.passed for _, _, report in gradient_checks())
    True
    """
    checks = []
    for name, net, l2, weighted in _CHECKED:
        params, X, Y = _problem(net, seed)
        w = get_backend().asarray(np.arange(1.0, X.shape[1] + 1)) if weighted else None
        checks.append((name, net, check_gradients(net, params, X, Y, l2=l2, sample_weight=w)))
    return checks


def _problem(net: Network, seed: int) -> tuple[tuple[Layer, ...], Any, Any]:
    """Return parameters, X and Y of 7 random examples, in float64."""
    backend = get_backend()
    X, Y = (backend.asarray(V) for V in random_examples(net, 7, "float64", seed))
    return net.init(seed, dtype="float64", backend=backend), X, Y


def wrong_gradient(seed: int = 0, factor: float = 1.01) -> GradientReport:
    """Check a gradient that is wrong on purpose: dW1 of a 3-4-1 network, multiplied by `factor`.

    >>> wrong_gradient().wrong
    ['W1']
    """
    net, backend = Network((3, 4, 1)), get_backend()
    params, X, Y = _problem(net, seed)
    _, (first, *others) = net.gradients(params, X, Y)
    dW1 = backend.asarray(factor * backend.to_numpy(first.W))
    return check_gradients(net, params, X, Y, grads=[Layer(dW1, first.b), *others])


class Comparison(NamedTuple):
    """A network with one hidden layer beside one without, on the same data."""

    regression: FitResult  # logistic or softmax regression, which has no hidden layer
    network: FitResult
    train: Dataset
    test: Dataset


def digits(seed: int = 0, epochs: int = 40) -> Comparison:
    """Train a network 64-128-10 on digits (E23) by mini-batch gradient descent (E12, E30).

    The images are 1797 digits of 8 × 8 pixels that come with scikit-learn; without it, ImportError. Training has four
    fifths of them, the test one, every class in the same share. The settings were chosen on validation data inside the
    training part, not on the test fifth, where the seeds 1 to 200 then gave 96.4 % to 99.4 %. L2 (E32) shrinks the
    weights a little, which helps on unseen digits.
    """
    train, test = datasets.digits().split(0.2, seed=seed)
    nets = Network((64, 10), output="softmax"), Network((64, 128, 10), hidden="relu", output="softmax")
    regression, network = (
        trained(net, train, GradientDescent(1.0), epochs=epochs, batch_size=32, seed=seed, l2=0.3) for net in nets
    )
    return Comparison(regression, network, train, test)


def planar(seed: int = 0, epochs: int = 500) -> Comparison:
    """Learn 400 points of the planar flower by logistic regression (E4), then with a hidden layer (E9, E11).

    Logistic regression can only draw a line, and no line divides the petals. The hidden layer has 6 tanh units: 4 ended
    in a poor local optimum for 2 of 40 seeds, 6 for none (E38). The test set has as many other points of the flower.
    """
    train, test = datasets.flower(400, seed=seed), datasets.flower(400, seed=(seed + _TEST_SEED) % 2**64)
    logistic, network = (
        trained(Network(sizes), train, GradientDescent(0.5), seed=seed, epochs=epochs) for sizes in ((2, 1), (2, 6, 1))
    )
    return Comparison(logistic, network, train, test)


class SymmetryRun(NamedTuple):
    """One run of `zero_initialization`, and what is true of it after training."""

    training: FitResult
    row_difference: float  # the largest difference between two rows of W1, that is, between two hidden units
    largest_weight: float  # the largest |weight| in W1
    # the cost J, and the accuracy on the training points
    cost: float
    accuracy: float


def zero_initialization(seed: int = 0, hidden: str = "sigmoid", epochs: int = 200) -> tuple[SymmetryRun, SymmetryRun]:
    """Train a network on the flower twice, from zero and from random weights (E27), in float64.

    With zero weights all hidden units compute the same, so the rows of dW1 are equal, and so are the rows of W1 after
    the step: the layer can do no more than one unit. With hidden="tanh" even the weights never move: A1 = 0
    makes dW2 = 0, and W2 = 0 makes dW1 = 0; only b2 learns.

    Equality is exact as long as the matrix product rounds all rows alike. With 4 or 8 units it does, in NumPy and in
    JAX on a CPU. With 5, OpenBLAS computes the fifth row by another routine: its last bits differ, the difference
    grows from step to step, and rounding finally breaks the symmetry.
    """
    data, net = datasets.flower(seed=seed), Network((2, 4, 1), hidden=hidden)

    def started(init: str) -> SymmetryRun:
        run = trained(net, data, GradientDescent(3.0), init=init, dtype="float64", seed=seed, epochs=epochs)
        W1 = run.backend.to_numpy(run.params[0].W)
        difference, largest = float(np.ptp(W1, axis=0).max()), float(np.abs(W1).max())
        return SymmetryRun(run, difference, largest, cost(run, data), accuracy(run, data))

    return started("zeros"), started("auto")


class SaturationRun(NamedTuple):
    """One run of `saturation`."""

    scale: float  # the factor of the initial weights of the hidden layer
    slope: float  # the mean of g1′(Z1) over units and examples, at the start
    gradient_norm: float  # ‖dW1‖ over all examples, at the start (E36)
    # the cost and the accuracy after training
    cost: float
    accuracy: float
    training: FitResult


def saturation(seed: int = 0, scales: Sequence[float] = (1.0, 10.0, 100.0), epochs: int = 100) -> list[SaturationRun]:
    """Train a network on two circles from weights of the hidden layer times each scale (E28).

    tanh is flat for large |z|: g′(z) = 1 - tanh²(z) ≈ 4 e^(-2|z|) (E18), and dZ1 = W2ᵀ dZ2 ∘ g′(Z1) carries that
    factor into dW1. The scale 1 is Xavier's initialization (E29).
    """
    net, data = Network((2, 4, 1)), datasets.circles(seed=seed)
    g = net.activations[0]
    first, last = net.init(seed, "xavier", dtype="float32", backend="numpy")
    runs = []
    for scale in scales:
        params = (Layer(first.W * np.float32(scale), first.b), last)
        training = trained(net, data, GradientDescent(1.0), seed=seed, epochs=epochs, params=params)
        Z1 = params[0].W @ data.X + params[0].b
        slope = float(g.derivative(np, Z1, g.function(np, Z1)).mean())
        norm = float(gradient_norms(net.gradients(params, data.X, data.Y)[1])[0])
        runs.append(SaturationRun(scale, slope, norm, cost(training, data), accuracy(training, data), training))
    return runs


_WAYS = (  # name, hidden activation, initialization, batch normalization
    ("sigmoid", "sigmoid", "xavier", False),
    ("ReLU, He initialization", "relu", "he", False),
    ("sigmoid, batch normalization", "sigmoid", "xavier", True),
)


class DeepRun(NamedTuple):
    """One network of `deep_gradients`."""

    name: str  # what distinguishes the network
    training: FitResult
    ratio: float  # ‖dW1‖ / ‖dW_L‖, the median over the epochs
    test_accuracy: float  # the accuracy on the test digits


def deep_gradients(seed: int = 0) -> list[DeepRun]:
    """Train a deep network on digits three times: with sigmoid units, and with each of two cures.

    From layer l to layer l - 1 the gradient gets a factor W_lᵀ and a factor g′ (E15). For the sigmoid
    g′ ≤ 1/4 (E17), so each layer of Xavier's weights divides the norm by four or more (E36). ReLU's slope is 1 on the
    half of the units that are on, and He's weights make up for the other half (E19, E29). Batch normalization divides
    Z by its deviation, and the gradient with it, which undoes the loss whatever the activation (E34).

    There are 8 hidden layers of 32 units each, trained by `Momentum` for 20 epochs in mini-batches of 64.
    """
    train, test = datasets.digits().split(0.2, seed=seed)
    runs = []
    for name, hidden, init, batch_norm in _WAYS:
        net = Network((64, *[32] * 8, 10), hidden=hidden, output="softmax")
        options = {"epochs": 20, "batch_size": 64, "seed": seed, "progress": False}
        training = trained(net, train, Momentum(0.1), init=init, batch_norm=batch_norm, **options)
        norms = np.asarray(training.history["gradient_norm"])  # (epochs, L)
        ratio = float(np.median(norms[:, 0] / norms[:, -1]))
        runs.append(DeepRun(name, training, ratio, accuracy(training, test)))
    return runs


class Fitted(NamedTuple):
    """One estimator on the digits: seconds and epochs of its fit, and accuracy on the test digits."""

    seconds: float
    epochs: int
    accuracy: float


class DropInResult(NamedTuple):
    """The result of `drop_in`."""

    # `sklearn.neural_network.MLPClassifier` and ours, with default settings
    theirs: Fitted
    ours: Fitted
    median_r2: float  # R² of the predicted medians of the test house prices
    inside: float  # the share of the test prices between the 10 % and the 90 % quantile
    file_bytes: int  # the size of the classifier's model file
    loaded_predicts_the_same: bool


def drop_in(seed: int = 0) -> DropInResult:
    """Fit the estimators on the active backend, and scikit-learn's network beside them."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import r2_score
    from sklearn.neural_network import MLPClassifier as TheirClassifier

    from vecprop.estimators import MLPClassifier, MLPRegressor

    seed = check_seed(seed) % 2**32
    train, test = datasets.digits().split(0.2, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        results = []
        for kind in (TheirClassifier, MLPClassifier):
            begin = time.perf_counter()
            model = kind(random_state=seed).fit(train.X.T, train.labels)
            seconds = time.perf_counter() - begin
            results.append(Fitted(seconds, model.n_iter_, float(model.score(test.X.T, test.labels))))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "digits.safetensors")
            files.save(path, model)
            size, loaded = path.stat().st_size, files.load(path)
        same = bool((loaded.predict_proba(test.X.T) == model.predict_proba(test.X.T)).all())
        houses, unseen = datasets.house_prices(m=3000, seed=seed).split(0.2, seed=seed)
        intervals = MLPRegressor(
            "quantile",
            quantile=[0.1, 0.5, 0.9],
            hidden_layer_sizes=(50,),
            scale="standard",
            scale_target="standard",
            learning_rate_init=0.01,
            early_stopping=True,
            random_state=seed,
        ).fit(houses.X.T, houses.Y[0])
    low, median, high = intervals.predict(unseen.X.T).T
    inside = float(np.mean((low <= unseen.Y[0]) & (unseen.Y[0] <= high)))
    theirs, ours = results
    return DropInResult(theirs, ours, float(r2_score(unseen.Y[0], median)), inside, size, same)
