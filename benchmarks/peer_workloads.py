"""What the libraries are compared on: networks, data, and how much quicker vecprop is wanted to be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

import vecprop as vp


class Examples(NamedTuple):
    """The data of a workload in the two forms that libraries take, float32 and in memory of their own.

    Attributes
    ----------
    rows : array (m, n0)
        One example per row; vecprop is handed `rows.T`, a view.
    targets : array (m,) of class numbers, or (m, nL) of float32
        The class numbers for softmax, else the values.
    columns : array (nL, m)
        The targets as vecprop takes them, one-hot for softmax.
    """

    rows: np.ndarray
    targets: np.ndarray
    columns: np.ndarray


@dataclass(frozen=True)
class Training:
    """Mini-batch training with Adam, learning rate 1e-3; what is reported is the time of one step."""

    name: str
    sizes: tuple[int, ...]
    hidden: str
    output: str
    m: int
    batch_size: int
    data: str = "normal"
    unit = "step"

    @property
    def steps(self) -> int:
        """The number of steps in an epoch, a smaller last batch included."""
        return -(-self.m // self.batch_size)

    @property
    def full_batch(self) -> bool:
        """Whether an epoch is one step, for which nobody shuffles."""
        return self.batch_size >= self.m

    def network(self) -> vp.Network:
        """Return the network."""
        return vp.Network(self.sizes, hidden=self.hidden, output=self.output)

    def shrunk(self, m: int) -> Training:
        """Return the same workload with fewer examples, for a quick look whether everything runs."""
        return replace(self, m=m, batch_size=m if self.full_batch else min(self.batch_size, max(1, m // 3)))

    def draw(self) -> Examples:
        """Return the examples: normal inputs and random classes, a rule with noise, or the data set named."""
        if self.data == "normal":
            return draw_examples(self.sizes, self.output, self.m)
        X, Y = getattr(vp.datasets, self.data)(m=self.m)
        labels = Y[0].astype(np.int64)
        return _of_classes(np.ascontiguousarray(X.T, dtype=np.float32), labels, self.sizes[-1])


@dataclass(frozen=True)
class FullGradient:
    """The cost and its gradients over all m examples; what is reported is the time of one pass."""

    name: str
    sizes: tuple[int, ...]
    m: int
    hidden = "tanh"
    output = "sigmoid"
    unit = "pass"
    steps = 1

    def network(self) -> vp.Network:
        """Return the network."""
        return vp.Network(self.sizes, hidden=self.hidden, output=self.output)

    def shrunk(self, m: int) -> FullGradient:
        """Return the same workload with fewer examples."""
        return replace(self, m=m)

    def draw(self) -> Examples:
        """Return normal inputs and random labels."""
        return draw_examples(self.sizes, self.output, self.m)


@dataclass(frozen=True)
class Ensemble(Training):
    """K networks of one shape, each from its own seed; what is reported is the time in which each makes one step."""

    networks: int = 64


@dataclass(frozen=True)
class Accuracy:
    """Handwritten digits: seconds from nothing (no parameters, nothing compiled) to an accuracy on the test set."""

    name: str = "digits to 97 %"
    wanted: float = 0.97
    most_epochs: int = 100
    unit = "run"
    steps = 1

    def problem(self) -> tuple[Training, Examples, Examples]:
        """Return the training, its examples and those to be judged by."""
        train, test = vp.datasets.digits().split(0.2, seed=0)
        sizes, m = (64, 128, 10), train.X.shape[1]
        parts = [
            _of_classes(np.ascontiguousarray(d.X.T, dtype=np.float32), np.argmax(d.Y, axis=0), 10)
            for d in (train, test)
        ]
        return Training(self.name, sizes, "relu", "softmax", m, 32, "digits"), *parts


def draw_examples(sizes: tuple[int, ...], output: str, m: int, seed: int = 0) -> Examples:
    """Return m examples for a network: normally distributed inputs, random but valid targets."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((m, sizes[0]), dtype=np.float32)
    if output == "softmax":
        return _of_classes(rows, rng.integers(0, sizes[-1], m), sizes[-1])
    if output == "sigmoid":
        targets = rng.integers(0, 2, (m, sizes[-1])).astype(np.float32)
    else:
        targets = np.sin(rows[:, : sizes[-1]]) + 0.1 * rng.standard_normal((m, sizes[-1]), dtype=np.float32)
    return Examples(rows, targets, np.ascontiguousarray(targets.T))


def _of_classes(rows: np.ndarray, labels: np.ndarray, classes: int) -> Examples:
    return Examples(rows, labels, np.ascontiguousarray(np.eye(classes, dtype=np.float32)[labels].T))


TRAININGS = (
    Training("784-128-10", (784, 128, 10), "relu", "softmax", 20_480, 256),
    Training("784-1024-10", (784, 1024, 10), "relu", "softmax", 20_480, 1024),
    Training("30-100-2", (30, 100, 2), "relu", "softmax", 4_000, 200),
    Training("2-4-2", (2, 4, 2), "tanh", "softmax", 400, 400, "flower"),
    Training("4-500-1", (4, 500, 1), "relu", "identity", 1_000_000, 1024),
)
GRADIENTS = (
    FullGradient("gradient 64-256-1", (64, 256, 1), 200_000),
    FullGradient("gradient 16-64-1", (16, 64, 1), 400_000),
    FullGradient("gradient 2-4-1", (2, 4, 1), 1_000_000),
)
ENSEMBLES = (Ensemble("64 × 30-16-1", (30, 16, 1), "tanh", "sigmoid", 2_048, 32),)
ACCURACIES = (Accuracy(),)
WORKLOADS = {w.name: w for w in (*TRAININGS, *GRADIENTS, *ENSEMBLES, *ACCURACIES)}


class Bar(NamedTuple):
    """A ratio that is wanted: the time of the quickest of `theirs` over that of the quickest of `ours`."""

    workload: str
    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    least: float


_OURS, _NUMPY, _JAX = ("vecprop-numpy", "vecprop-jax"), ("vecprop-numpy",), ("vecprop-jax",)
_OPTAX, _TORCH, _SKLEARN = ("optax-step", "optax-scan"), ("torch",), ("sklearn",)

BARS = (
    *(
        bar
        for name, numpy, jax, torch, optax in (
            ("784-128-10", 2.5, 3.0, 1.5, 1.15),
            ("30-100-2", 3.0, 6.0, 8.0, 1.6),
            ("2-4-2", 8.0, 25.0, 30.0, 5.0),
        )
        for bar in (
            Bar(name, _SKLEARN, _NUMPY, numpy),
            Bar(name, _SKLEARN, _JAX, jax),
            Bar(name, _TORCH, _OURS, torch),
            Bar(name, _OPTAX, _OURS, optax),
        )
    ),
    Bar("784-1024-10", _TORCH, _OURS, 1.0),
    Bar("784-1024-10", _OPTAX, _OURS, 1.0),
    Bar("784-1024-10", _SKLEARN, _OURS, 2.0),
    Bar("4-500-1", _TORCH, _OURS, 2.5),
    Bar("4-500-1", _OPTAX, _OURS, 1.1),
    Bar("4-500-1", _SKLEARN, _OURS, 3.5),
    *(Bar(work.name, _TORCH, ours, least) for work in GRADIENTS for ours, least in ((_NUMPY, 2.0), (_JAX, 2.5))),
    Bar("gradient 64-256-1", ("plain-numpy",), _NUMPY, 3.5),
    # the time of the bare products over that of the whole step: their share
    Bar("784-1024-10", ("products-numpy",), _NUMPY, 0.85),
    Bar("64 × 30-16-1", ("singles-numpy",), _NUMPY, 8.0),
)
