"""Input scaling (E35), and how it folds into the W and b of the first layer."""

from __future__ import annotations

from typing import NamedTuple

from vecprop.backend.namespaces import Array, Namespace
from vecprop.propagation import Layer


class InputScale(NamedTuple):
    """Mean and deviation of every feature of the training set, each (n_0, 1) (E35)."""

    mean: Array
    deviation: Array


def input_scale(xp: Namespace, X: Array, w: Array | None) -> InputScale:
    """Return the weighted mean and deviation (1 if constant) of each row of X (n_0, m)."""
    share = (xp.ones_like(X[:1, :]) if w is None else w[None, :]) / (float(X.shape[-1]) if w is None else xp.sum(w))
    counted = xp.where(share > 0, X, xp.nan * xp.ones_like(X)) if w is not None else X
    low = xp.min(xp.where(xp.isnan(counted), xp.inf, counted), axis=-1, keepdims=True)
    high = xp.max(xp.where(xp.isnan(counted), -xp.inf, counted), axis=-1, keepdims=True)
    constant = low == high  # a constant 0.1 has a rounded mean and a tiny deviation: compare the values themselves
    mean = xp.where(constant, low, xp.sum(X * share, axis=-1, keepdims=True))
    variance = xp.sum((X - mean) ** 2 * share, axis=-1, keepdims=True)
    return InputScale(mean, xp.where(constant, 1.0, xp.sqrt(variance)))


def scaled(X: Array, scale: InputScale) -> Array:
    """Return (X - mean) / deviation (E35)."""
    return (X - scale.mean) / scale.deviation


def fold_input(xp: Namespace, layer: Layer, scale: InputScale) -> Layer:
    """Return (W′, b′), the first layer for unscaled X: W′X + b′ = W (X - mean)/deviation + b."""
    W = layer.W / xp.matrix_transpose(scale.deviation)
    return Layer(W, layer.b - W @ scale.mean)


def unfold_input(xp: Namespace, layer: Layer, scale: InputScale) -> Layer:
    """Return (W, b) from (W′, b′): the inverse of `fold_input`."""
    return Layer(layer.W * xp.matrix_transpose(scale.deviation), layer.b + layer.W @ scale.mean)
