"""The evidence for a diagnosis: the history, the parameters, and their results on some data."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop import propagation
from vecprop.backend.contract import to_host
from vecprop.nn.losses import BinaryCrossEntropy, CrossEntropy, SquaredError
from vecprop.nn.network import Network
from vecprop.propagation import Layer
from vecprop.training.results import Best, FitResult
from vecprop.utils.errors import DivergenceError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """A set of examples, one per column, and what the network computes from it."""

    net: Network
    X: Floats
    Y: Floats
    Z: list[Any]  # None, Z_1, …, Z_L
    A: list[Floats]  # X, A_1, …, A_L
    losses: Floats  # (m,)
    w: Floats | None  # (m,), the weights

    @property
    def cost(self) -> float:
        """The mean loss, without penalties."""
        return float(np.average(self.losses, weights=self.w))

    @property
    def baseline(self) -> float:
        """The cost of predicting the mean of the targets, for classes their shares; NaN if unknown or 0."""
        loss, Y, J = self.net.loss, self.Y, np.nan
        mean = np.average(Y, axis=1, weights=self.w, keepdims=True)
        p, q = np.clip(mean, 1e-300, 1.0), np.clip(1 - mean, 1e-300, 1.0)
        if isinstance(loss, SquaredError):
            J = 0.5 * np.average(((Y - mean) ** 2).sum(axis=0), weights=self.w)
        elif isinstance(loss, CrossEntropy):
            J = -(mean * np.log(p)).sum()
        elif isinstance(loss, BinaryCrossEntropy):
            J = -(mean * np.log(p) + (1 - mean) * np.log(q)).sum()
        return float(J) if J > 0 else float("nan")


@dataclass(frozen=True)
class Evidence:
    """The evidence given to the checks, None if unknown; they add their numbers to `numbers`."""

    layers: tuple[Layer, ...]
    costs: Floats  # (epochs,), of the training set
    watched: Floats  # (epochs,), of the validation set if there is one
    norms: Floats  # (epochs, L)
    rate: float  # the largest learning rate
    stopped: str
    keeps_best: bool
    standardized: bool
    training: Part | None
    validation: Part | None
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def baseline(self) -> float:
        """The cost of predicting the mean of the training targets; NaN if unknown."""
        return float("nan") if self.training is None else self.training.baseline

    @property
    def equal_shares(self) -> float:
        """The cost of the same probability for each class; NaN if there are no classes, or unknown."""
        if self.training is None or not isinstance(loss := self.training.net.loss, BinaryCrossEntropy | CrossEntropy):
            return float("nan")
        rows = len(self.training.Y)
        return float(np.log(rows) if isinstance(loss, CrossEntropy) else rows * np.log(2))

    @property
    def learned(self) -> float:
        """The share of the baseline that training removed from the training cost; NaN if unknown.

        With classes the share is also computed with equal weight for each class, as class weights have it in training,
        and the larger one is taken.
        """
        if self.training is None:
            return float("nan")
        loss, losses, Y = self.training.net.loss, self.training.losses, self.training.Y
        share = 1 - self.training.cost / self.baseline
        rows = np.concatenate([1 - Y, Y]) if isinstance(loss, BinaryCrossEntropy) and len(Y) == 1 else Y
        if isinstance(loss, SquaredError) or len(rows) < 2 or not np.allclose(rows.sum(axis=0), 1):
            return float(share)
        rows = rows[rows.sum(axis=1) > 0]
        balanced = 1 - np.mean(rows @ losses / rows.sum(axis=1)) / np.log(max(len(rows), 2))
        return float(max(share, balanced))


def evidence_of(run: FitResult | DivergenceError) -> Evidence:
    """Return the evidence in a result of one network, or in an error, of a stack that diverged in its first network."""
    net: Any = getattr(run, "net", None)
    sample = getattr(run, "sample", None)
    to_numpy = run.backend.to_numpy if isinstance(run, FitResult) else to_host
    layers = tuple(Layer(*(to_numpy(a).astype(np.float64) for a in layer)) for layer in run.params)
    history = run.history
    if layers[0].W.ndim == 3:
        layers = tuple(Layer(W[0], b[0]) for W, b in layers)
        history = {key: [v[0] if isinstance(v, list) else v for v in values] for key, values in history.items()}

    def column(key: str, default: Any = ()) -> Floats:
        return np.asarray(history.get(key, default), dtype=np.float64)

    def part(X: Any, Y: Any, w: Any) -> Part | None:
        if X is None:
            return None
        X, Y = X.astype(np.float64), Y.astype(np.float64)
        with np.errstate(all="ignore"):
            Z, A = propagation.forward(net, layers, X)
            losses = net.loss.values(np, net.output, Z[-1], A[-1], Y).sum(axis=0)
            return Part(net, X, Y, Z, A, losses, None if w is None or not w.any() else w.astype(np.float64))

    costs = column("cost")
    return Evidence(
        layers,
        costs,
        column("validation_cost", costs),
        column("gradient_norm").reshape(-1, len(layers)),
        float(max(history.get("learning_rate") or [np.nan])),
        getattr(run, "stopped", "divergence"),
        isinstance(run.state.given_back, Best),
        run.state.scale is not None,
        part(*sample[:3]) if sample else None,
        part(*sample[3:]) if sample else None,
    )
