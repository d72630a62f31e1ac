"""Judging a network between epochs: the cost of a validation set, a metric, and when to stop (early stopping)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from vecprop import propagation
from vecprop.backend import Backend
from vecprop.metrics import METRICS
from vecprop.namespaces import Array, array_namespace
from vecprop.network import Network
from vecprop.normalization import Statistics, fold
from vecprop.propagation import Params, per_column
from vecprop.results import Best, TrainingState
from vecprop.trees import map_trees


class Judge(NamedTuple):
    """What a set of examples is judged by; hashable, so that it is compiled once."""

    backend: Backend
    net: Network
    normalized: tuple[bool, ...]
    metric: Any  # one of METRICS, a user's function (Y, A) of NumPy arrays, or None
    block_size: int | None


class Patience(NamedTuple):
    """When to stop: after so many epochs in which the cost fell by no more than min_delta."""

    epochs: int
    min_delta: float


def plain_layers(net: Network, normalized: tuple[bool, ...], params: Any, statistics: tuple[Statistics, ...]) -> Params:
    """Return the layers (W, b) with batch normalization folded in: what predicts."""
    count = len(net.activations)
    layers, pairs = list(params[:count]), zip(params[count:], statistics, strict=True)
    for l, is_normalized in enumerate(normalized):
        if is_normalized:
            scale, seen = next(pairs)
            layers[l] = fold(array_namespace(layers[l].W), layers[l], scale, seen)
    return tuple(layers)


def judge(by: Judge, state: TrainingState, data: tuple[Array, Array, Array | None]) -> tuple[Any, Any]:
    """Return the cost (without penalties) and the metric of a set of examples, floats, or (K,) for a stack, or None."""
    compiled = by.backend.compile(_judge, static=(0,))
    own = by.metric is not None and by.metric not in METRICS.values()
    J, value = compiled(by, state.params, state.statistics, data)
    if own:
        A, Y = by.backend.to_numpy(value), by.backend.to_numpy(data[1])
        value = np.array([by.metric(Y, a) for a in A]) if A.ndim == 3 else by.metric(Y, A)
    elif value is not None:
        value = by.backend.to_numpy(value).astype(np.float64)
    return by.backend.to_numpy(J).astype(np.float64), value


def _judge(by: Judge, params: Any, statistics: Any, data: tuple[Array, Array, Array | None]) -> tuple[Array, Any]:
    """Return J and the metric, or the outputs A for a user's own metric, or None."""
    X, Y, w = data
    xp = array_namespace(X)
    layers = plain_layers(by.net, by.normalized, params, statistics)
    if by.block_size is None or by.block_size >= X.shape[-1]:
        Z, A = propagation.forward(by.net, layers, X)
        J, A = propagation.mean_loss(by.net, Z[-1], A[-1], Y, w, propagation.total_weight(X, w)), A[-1]
    else:
        m = propagation.total_weight(X, w)
        J = by.backend.sum_blocks(
            lambda X, Y, w: propagation.cost(by.net, layers, X, Y, w, m=m), by.block_size, X, Y, w
        )
        if by.metric is None:
            return J, None
        A = by.backend.map_blocks(lambda X: propagation.output(by.net, layers, X), by.block_size, X)
    if by.metric is None:
        return J, None
    return J, by.metric(xp, A, Y, w) if by.metric in METRICS.values() else A


def remember_best(best: Best | None, state: TrainingState, cost: Any, patience: Patience) -> tuple[Best, bool]:
    """Return the best network so far and whether patience has run out, for a stack that of all its networks.

    A network whose patience has run out is not looked at again: its best is that of its own run. A cost that is NaN is
    no improvement.
    """
    cost = np.asarray(cost, dtype=np.float64)
    if best is None:
        start = np.where(np.isfinite(cost), cost, np.inf)
        return Best(start, np.full(cost.shape, state.epoch), state.params, state.statistics), False
    waiting = state.epoch - 1 - best.epoch < patience.epochs
    with np.errstate(invalid="ignore"):
        better = waiting & (cost < best.cost - patience.min_delta)
    if better.any():
        params, statistics = state.params, state.statistics
        if better.ndim:
            xp = array_namespace(params[0].W)
            where = per_column(xp.asarray(better))
            params, statistics = (
                map_trees(lambda new, old: xp.where(where, new, old), *trees)
                for trees in ((params, best.params), (statistics, best.statistics))
            )
        best = Best(np.where(better, cost, best.cost), np.where(better, state.epoch, best.epoch), params, statistics)
    return best, bool((state.epoch - best.epoch >= patience.epochs).all())
