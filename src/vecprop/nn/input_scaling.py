"""Input scaling (E35), and how it folds into the W and b of the first layer."""

from collections.abc import Iterable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from vecprop.backend.namespaces import Array, Namespace, Static
from vecprop.propagation import Layer


class InputScale(NamedTuple):
    """Mean and deviation of every feature of the training set, each (n_0, 1) (E35)."""

    mean: Array
    deviation: Array


class Moments(NamedTuple):
    """Of some examples the total weight, and of each feature, (n_0, 1), mean, variance, least and greatest value.

    The variance is in units of `unit`², so that no square overflows or vanishes.
    """

    weight: Any
    mean: Array
    variance: Array
    low: Array
    high: Array

    def unit(self, xp: Namespace) -> Array:
        """Return 1 for a feature of ordinary size, else its largest |x|."""
        top = xp.maximum(xp.abs(self.low), xp.abs(self.high))
        return xp.where((top == 0) | (top > 1e-15) & (top < 1e15), 1.0, top)

    def add(self, xp: Namespace, other: "Moments") -> "Moments":
        """Return the moments of the examples of both (Chan, Golub and LeVeque, 1983, equations 2.1).

        On paper: 1, 3 and 5 have the mean 3 and the variance 8/3.

        >>> import numpy as np
        >>> both = moments(np, np.array([[1.0, 3.0]]), None).add(np, moments(np, np.array([[5.0]]), None))
        >>> both.mean.tolist(), both.variance.round(6).tolist()
        ([[3.0]], [[2.666667]])
        """
        total = self.weight + other.weight
        ours, theirs = self.weight / total, other.weight / total
        change = other.mean - self.mean
        low, high = xp.minimum(self.low, other.low), xp.maximum(self.high, other.high)
        both = Moments(total, self.mean + change * theirs, change, low, high)
        unit = both.unit(xp)
        first, second = (part.variance * (part.unit(xp) / unit) ** 2 for part in (self, other))
        change = change / unit
        return both._replace(variance=first * ours + second * theirs + change * (change * (ours * theirs)))

    def scale(self, xp: Namespace) -> InputScale:
        """Return mean and deviation; 1 for the deviation of a constant feature."""
        constant = self.low == self.high  # tested exactly, as the mean is rounded
        deviation = xp.sqrt(self.variance) * self.unit(xp)
        return InputScale(xp.where(constant, self.low, self.mean), xp.where(constant, 1.0, deviation))


def moments(xp: Namespace, X: Array, w: Array | None) -> Moments:
    """Return the moments of the rows of X (n_0, m), with weights (m,) that are not all 0."""
    weight = float(X.shape[-1]) if w is None else xp.sum(w)
    share = (xp.ones_like(X[:1, :]) if w is None else w[None, :]) / weight
    counted = xp.where(share > 0, X, xp.nan * xp.ones_like(X)) if w is not None else X
    low = xp.min(xp.where(xp.isnan(counted), xp.inf, counted), axis=-1, keepdims=True)
    high = xp.max(xp.where(xp.isnan(counted), -xp.inf, counted), axis=-1, keepdims=True)
    mean = xp.where(low == high, low, xp.sum(X * share, axis=-1, keepdims=True))
    found = Moments(weight, mean, mean, low, high)
    return found._replace(variance=xp.sum(((X - mean) / found.unit(xp)) ** 2 * share, axis=-1, keepdims=True))


def moments_of(parts: Iterable[tuple[Array, Array | None]]) -> Moments:
    """Return the moments of examples that come as parts X (n, k) with weights (k,) or None, NumPy arrays."""
    found = [moments(np, X, w) for X, w in parts if w is None or w.any()]
    if not found:
        raise ValueError("sample_weight must not be all zero: no example would count")
    return reduce(lambda a, b: a.add(np, b), found)


def input_scale(xp: Static[Namespace], X: Array, w: Array | None) -> InputScale:
    """Return the weighted mean and deviation of every row of X (n_0, m); 1 for the deviation of a constant row."""
    return moments(xp, X, w).scale(xp)


def scaled(X: Array, scale: InputScale) -> Array:
    """Return (X - mean) / deviation (E35)."""
    return (X - scale.mean) / scale.deviation


def fold_input(xp: Namespace, layer: Layer, scale: InputScale) -> Layer:
    """Return (W′, b′), the first layer for unscaled X: W′X + b′ = W (X - mean)/deviation + b."""
    W = layer.W / xp.matrix_transpose(scale.deviation)
    return Layer(W, layer.b - W @ scale.mean)


def unfold_input(xp: Static[Namespace], layer: Layer, scale: InputScale) -> Layer:
    """Return (W, b) from (W′, b′): the inverse of `fold_input`."""
    return Layer(layer.W * xp.matrix_transpose(scale.deviation), layer.b + layer.W @ scale.mean)
