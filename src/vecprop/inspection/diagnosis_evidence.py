"""The evidence for a diagnosis: the history, the parameters, and their results on some data."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop import propagation
from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import array_namespace
from vecprop.backend.selection import backend_for
from vecprop.nn.losses import BinaryCrossEntropy, CrossEntropy, SquaredError
from vecprop.nn.network import Network
from vecprop.propagation import Layer
from vecprop.training.results import Best, FitResult
from vecprop.utils.errors import DivergenceError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """A set of examples, one per column, and what the network computes from it."""

    X: Floats
    Y: Floats
    Z: list[Any]  # None, Z_1, …, Z_L
    A: list[Floats]  # X, A_1, …, A_L
    losses: Floats  # (m,)

    @property
    def cost(self) -> float:
        """The mean loss, without penalties."""
        return float(self.losses.mean())


@dataclass(frozen=True)
class Evidence:
    """The evidence given to the checks, None if unknown; they add their numbers to `numbers`."""

    net: Network | None
    sizes: tuple[int, ...]
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
        """The cost of predicting the mean of the training targets, NaN if it is unknown or 0."""
        known = self.net is not None and self.training is not None
        J = _baseline(self.net.loss, self.training.Y) if known else np.nan  # type: ignore[union-attr]
        return J if J > 0 else float("nan")

    @property
    def learned(self) -> float:
        """The share of the baseline that training removed from the training cost; NaN if unknown.

        With classes the share is also computed with equal weight for each class, as class weights have it in training,
        and the larger one is taken.
        """
        if self.training is None or self.net is None:
            return float("nan")
        losses, Y = self.training.losses, self.training.Y
        share = 1 - losses.mean() / self.baseline
        rows = np.concatenate([1 - Y, Y]) if isinstance(self.net.loss, BinaryCrossEntropy) and len(Y) == 1 else Y
        if isinstance(self.net.loss, SquaredError) or len(rows) < 2 or not np.allclose(rows.sum(axis=0), 1):
            return float(share)
        rows = rows[rows.sum(axis=1) > 0]
        balanced = 1 - np.mean(rows @ losses / rows.sum(axis=1)) / np.log(max(len(rows), 2))
        return float(max(share, balanced))


def evidence_of_result(result: FitResult) -> Evidence:
    """Return the evidence in a result of one network, not of a stack."""
    net, backend, history = result.net, result.backend, result.history
    layers = _on_host(result.params, backend)
    kept = result.state.given_back
    sample, parts = result.sample, []
    for X, Y in ((sample.X, sample.Y), (sample.X_validation, sample.Y_validation)) if sample is not None else ():
        parts.append(None if X is None or Y is None else _part(net, layers, X, Y))
    costs = np.asarray(history.get("cost", []), dtype=np.float64)
    return Evidence(
        net,
        net.sizes,
        layers,
        costs,
        np.asarray(history.get("validation_cost", costs), dtype=np.float64),
        np.asarray(history.get("gradient_norm", []), dtype=np.float64).reshape(-1, len(layers)),
        float(max(history.get("learning_rate") or [np.nan])),
        result.stopped,
        isinstance(kept, Best),
        result.state.scale is not None,
        *(parts or (None, None)),
    )


def evidence_of_error(error: DivergenceError) -> Evidence:
    """Return the evidence in an error; for a stack, all of which diverged, of its first network."""
    layers = _on_host(error.params, backend_for(array_namespace(error.params[0].W)))
    stack = layers[0].W.ndim == 3
    layers = tuple(Layer(W[0], b[0]) for W, b in layers) if stack else layers

    def column(key: str) -> Floats:
        return np.asarray([np.asarray(v)[0] if stack else v for v in error.history.get(key, [])], dtype=np.float64)

    sizes = (layers[0].W.shape[1], *(len(W) for W, _ in layers))
    costs, rates, norms = column("cost"), column("learning_rate"), column("gradient_norm").reshape(-1, len(layers))
    rate = float(rates.max()) if len(rates) else float("nan")
    return Evidence(
        None, sizes, layers, costs, costs, norms, rate, "divergence", False, error.state.scale is not None, None, None
    )


def _on_host(params: Any, backend: Backend) -> tuple[Layer, ...]:
    return tuple(Layer(*(backend.to_numpy(a).astype(np.float64) for a in layer)) for layer in params)


def _part(net: Network, layers: tuple[Layer, ...], X: npt.NDArray[Any], Y: npt.NDArray[Any]) -> Part:
    X, Y = X.astype(np.float64), Y.astype(np.float64)
    with np.errstate(all="ignore"):
        Z, A = propagation.forward(net, layers, X)
        losses = net.loss.values(np, net.output, Z[-1], A[-1], Y).sum(axis=0)
    return Part(X, Y, Z, A, losses)


def _baseline(loss: Any, Y: Floats) -> float:
    """Return the lowest cost of a constant prediction: the mean of Y, for classes their shares."""
    mean = Y.mean(axis=1, keepdims=True)
    if isinstance(loss, SquaredError):
        return float(0.5 * ((Y - mean) ** 2).sum(axis=0).mean())
    p = np.clip(mean, 1e-300, 1.0)
    if isinstance(loss, CrossEntropy):
        return float(-(mean * np.log(p)).sum())
    if isinstance(loss, BinaryCrossEntropy):
        return float(-(mean * np.log(p) + (1 - mean) * np.log(np.clip(1 - mean, 1e-300, 1.0))).sum())
    return float("nan")
