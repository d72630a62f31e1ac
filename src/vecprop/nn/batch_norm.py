"""Batch normalization (E34) with its exact backward pass, and how it folds into W and b.

A normalized layer computes A = g(γ ∘ Ẑ + β), Ẑ = (Z - μ) / √(σ² + ε), with the mean μ and the variance σ² of each
unit of Z over the batch. For predictions, running statistics replace μ and σ²; the normalization is then a fixed linear
map, and `fold` returns a plain layer that predicts the same. The bias in Z has no effect on Ẑ; it is kept so that a
layer is always (W, b), and its gradient is 0.
"""

from typing import NamedTuple

from vecprop.backend.namespaces import Array, Namespace
from vecprop.propagation import Layer, per_column

EPSILON = 1e-5  # Ioffe and Szegedy's, and PyTorch's
_FORGET = 0.1  # the weight of the newest batch in the running statistics


class Scale(NamedTuple):
    """The trained parameters of a normalized layer, or their gradients: γ and β (…, n_l, 1)."""

    gamma: Array
    beta: Array


class Statistics(NamedTuple):
    """Running statistics of a normalized layer (…, n_l, 1), and the count of batches (…, 1, 1)."""

    mean: Array
    variance: Array
    count: Array


class BatchNorm:
    """The normalization of one layer in one pass: first `forward`, then `backward`.

    m is the number of columns, or with weights w their sum: an integer weight counts as that many copies of the column
    (E10).

    Source: Ioffe and Szegedy, 2015, algorithm 1. The variance is divided by m; PyTorch divides its running variance by
    m - 1.

    On paper: Z = (1, 3) has the mean 2 and the variance 1.

    >>> import numpy as np
    >>> norm = BatchNorm(Scale(np.array([[2.0]]), np.array([[5.0]])), None, 2.0)
    >>> norm.forward(np, np.array([[1.0, 3.0]])).round(3).tolist()
    [[3.0, 7.0]]
    >>> norm.backward(np, np.array([[1.0, 1.0]])).tolist(), norm.grads.beta.tolist()
    ([[0.0, 0.0]], [[2.0]])
    """

    def __init__(self, scale: Scale, w: Array | None, m: Array | float) -> None:
        self.scale, self.w, self.m = scale, w, m
        self.mean: Array = None
        self.variance: Array = None
        self.grads: Scale

    def forward(self, xp: Namespace, Z: Array) -> Array:
        """Return γ ∘ Ẑ + β (…, n, m)."""
        m = per_column(self.m)
        self._share = 1.0 / m if self.w is None else self.w[..., None, :] / m
        self.mean = self._weighted_sum(xp, Z)
        centred = Z - self.mean
        self.variance = self._weighted_sum(xp, centred * centred)
        self._inverse = 1.0 / xp.sqrt(self.variance + EPSILON)
        self._Z_hat = centred * self._inverse
        return self.scale.gamma * self._Z_hat + self.scale.beta

    def _weighted_sum(self, xp: Namespace, Z: Array) -> Array:
        if self.w is None:
            return xp.sum(Z, axis=-1, keepdims=True) * self._share
        return xp.sum(Z * self._share, axis=-1, keepdims=True)

    def backward(self, xp: Namespace, dU: Array) -> Array:
        """Return dZ from dU, U = γ ∘ Ẑ + β, and leave dγ = Σ dU ∘ Ẑ and dβ = Σ dU in `grads`.

        As μ and σ² depend on every column, so does each column of dZ:
        dZ = γ/√(σ² + ε) ∘ (dU - (w/m) (dβ + Ẑ ∘ dγ)).
        """
        d_beta = xp.sum(dU, axis=-1, keepdims=True)
        d_gamma = xp.sum(dU * self._Z_hat, axis=-1, keepdims=True)
        self.grads = Scale(d_gamma, d_beta)
        return self.scale.gamma * self._inverse * (dU - self._share * (d_beta + self._Z_hat * d_gamma))


def initial(xp: Namespace, layer: Layer) -> tuple[Scale, Statistics]:
    """Return γ = 1, β = 0, and the statistics before the first batch."""
    one, zero = xp.ones_like(layer.b), xp.zeros_like(layer.b)
    return Scale(one, zero), Statistics(zero, one, zero[..., :1, :])


def update_statistics(xp: Namespace, seen: Statistics, norm: BatchNorm) -> Statistics:
    """Return the running statistics S after one more batch: S + r (batch's - S).

    r = max(0.1, 1/t) for batch t gives the mean of the first 10 batches, then an exponential average.
    """
    count = seen.count + 1.0
    rate = xp.maximum(1.0 / count, _FORGET * xp.ones_like(count))
    mean = seen.mean + rate * (norm.mean - seen.mean)
    return Statistics(mean, seen.variance + rate * (norm.variance - seen.variance), count)


def fold(xp: Namespace, layer: Layer, scale: Scale, seen: Statistics) -> Layer:
    """Return (W′, b′) with W′A + b′ = γ ∘ (WA + b - μ)/√(σ² + ε) + β, by the running statistics.

    On paper: γ/√(σ² + ε) = 2/√4 = 1 and b′ = (1 - 3)·1 + 5 = 3.

    >>> import numpy as np
    >>> one = np.ones((1, 1))
    >>> layer = fold(np, Layer(4 * one, one), Scale(2 * one, 5 * one), Statistics(3 * one, (4 - EPSILON) * one, one))
    >>> layer.W.tolist(), layer.b.tolist()
    ([[4.0]], [[3.0]])
    """
    factor = scale.gamma / xp.sqrt(seen.variance + EPSILON)
    return Layer(layer.W * factor, (layer.b - seen.mean) * factor + scale.beta)
