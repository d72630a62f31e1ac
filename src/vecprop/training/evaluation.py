"""Judges a network between epochs: the cost of a validation set, and a metric."""

import math
from contextlib import nullcontext
from itertools import pairwise
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecprop import propagation
from vecprop.backend.blas import BLAS, SMALL_PRODUCT
from vecprop.backend.contract import Backend, Function, locked
from vecprop.backend.namespaces import Array, Bound, Static, array_namespace
from vecprop.backend.pytrees import map_tree
from vecprop.nn.batch_norm import Statistics, fold
from vecprop.nn.metrics import Metric
from vecprop.nn.network import Network
from vecprop.propagation import Params
from vecprop.training.epochs import Data
from vecprop.training.results import TrainingState
from vecprop.training.training_data import TrainingData


class Judge(NamedTuple):
    """How a set of examples is judged; hashable, so that it is compiled once."""

    backend: Backend
    net: Network
    normalized: tuple[bool, ...]
    metric: Any  # a `Metric`, a user's function (Y, A) of NumPy arrays, one `of_layers` (W, b) in NumPy, or None
    block_size: int | None


_BLAS = BLAS()
_OUTPUTS = "outputs"  # used as a metric: return the outputs themselves


def plain_layers(net: Network, normalized: tuple[bool, ...], params: Any, statistics: tuple[Statistics, ...]) -> Params:
    """Return the predicting layers (W, b), with batch normalization folded in."""
    count = len(net.activations)
    layers, pairs = list(params[:count]), zip(params[count:], statistics, strict=True)
    for l, is_normalized in enumerate(normalized):
        if is_normalized:
            scale, seen = next(pairs)
            layers[l] = fold(array_namespace(layers[l].W), layers[l], scale, seen)
    return tuple(layers)


def judge(by: Judge, compiled: Function, state: TrainingState, data: TrainingData) -> tuple[Any, Any]:
    """Return the cost (without penalties) and the metric of a set of examples.

    Both are floats, or (K,) for a stack; None if not judged. `compiled` is `cost_and_metric`, compiled for the run.
    """
    backend, metric = by.backend, by.metric
    if hasattr(metric, "of_layers"):
        J, _ = judge(by._replace(metric=None), compiled, state, data)
        layers = plain_layers(by.net, by.normalized, state.params, state.statistics)
        return J, metric.of_layers(map_tree(backend.to_numpy, layers))
    if not data.at_hand:
        return _judge_parts(by, state, data)
    largest = int(data.X.shape[-1]) * max(map(math.prod, pairwise(by.net.sizes)))
    small = backend.computes_in_main_memory and largest < SMALL_PRODUCT
    with _BLAS.single() if small else nullcontext():  # so that training keeps the other cores
        J, value = compiled(by, state.params, state.statistics, data.arrays)
    if isinstance(metric, Metric):
        value = backend.to_numpy(value).astype(np.float64)
    elif metric is not None:
        value = _users(metric, *map(backend.placement.unspread, (data.Y, value)))
    return backend.to_numpy(J).astype(np.float64), value


def _users(metric: Any, Y: npt.NDArray[Any], A: npt.NDArray[Any]) -> Any:
    """Return a user's own metric, (K,) for a stack."""
    Y = locked(Y)  # it may be the user's own array
    values = [metric(Y, a) for a in (A if A.ndim == 3 else A[None])]
    for value in values:
        if not isinstance(value, Real) and getattr(value, "shape", None) != ():
            raise TypeError(f"metric must return a number, got {value!r}")
    return np.array(values) if A.ndim == 3 else values[0]


def _judge_parts(by: Judge, state: TrainingState, data: TrainingData) -> tuple[Any, Any]:
    """Return the cost and the metric of examples that come in parts."""
    backend, metric = by.backend, by.metric
    compiled = backend.compile(cost_and_metric)
    asked = by._replace(metric=None if metric is None else _OUTPUTS)
    cost: Any = 0.0
    scored: Any = None
    total, outputs = 0.0, []
    for arrays in data.parts(backend):
        J, A = compiled(asked, state.params, state.statistics, arrays)
        mass = float(arrays[0].shape[-1]) if arrays[2] is None else _host(backend, arrays[2]).sum()
        if mass > 0:
            cost = cost + _host(backend, J) * mass
            total += mass
        if isinstance(metric, Metric) and mass > 0:
            part = metric.of(np, *(None if a is None else _host(backend, a) for a in (A, *arrays[1:])))
            scored = part if scored is None else metric.add(scored, part)
        elif metric is not None:
            outputs.append((backend.to_numpy(arrays[1]).copy(), backend.to_numpy(A).copy()))
    if isinstance(metric, Metric):
        scored = metric.result(np, scored)
    elif metric is not None:
        scored = _users(metric, *(np.concatenate(parts, axis=-1) for parts in zip(*outputs, strict=True)))
    return np.asarray(cost / total), scored


def _host(backend: Backend, array: Array) -> npt.NDArray[np.float64]:
    return backend.to_numpy(array).astype(np.float64)


def cost_and_metric(by: Static[Judge], params: Any, statistics: Any, data: Bound[Data]) -> tuple[Array, Any]:
    """Return J and the metric, or the outputs A for a user's own metric, or None."""
    X, Y, w = data
    xp = array_namespace(X)
    layers, m = plain_layers(by.net, by.normalized, params, statistics), propagation.total_weight(X, w)
    A: Array = None
    if by.block_size is None or by.block_size >= X.shape[-1]:
        Z, (*_, A) = propagation.forward(by.net, layers, X)
        J = propagation.mean_loss(by.net, Z[-1], A, Y, w, m)
    else:
        J = by.backend.sum_blocks(
            lambda X, Y, w: propagation.cost(by.net, layers, X, Y, w, m=m), by.block_size, X, Y, w
        )
        if by.metric is not None:
            A = by.backend.map_blocks(lambda X: propagation.output(by.net, layers, X), by.block_size, X)
    value = by.metric(xp, A, Y, w) if isinstance(by.metric, Metric) else A
    return J, None if by.metric is None else value
