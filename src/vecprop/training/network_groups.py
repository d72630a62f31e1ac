"""The networks of a stack in groups, each trained by a thread of its own."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from operator import is_
from typing import Any

import numpy as np

from vecprop.backend.blas import BLAS, sharing_cores
from vecprop.backend.namespaces import array_namespace
from vecprop.backend.pytrees import map_tree, map_trees
from vecprop.training.epochs import ByNetwork, Data, Run
from vecprop.utils.threads import at_once

_BLAS = BLAS()
# The first of the results of an epoch that has the steps before the networks: finite is (K,), cost (steps, K).
_COST = 4


class GroupedEpochs:
    """Compiled epochs (`epochs.epoch`) of a stack, for groups of its networks.

    compile_epoch : makes a compiled epoch; each group has its own, as it is bound to its own data
    groups, threads : at most as many as there are networks
    """

    def __init__(self, compile_epoch: Callable[[], Callable[..., Any]], groups: int, threads: int) -> None:
        self._compiled = [compile_epoch() for _ in range(groups)]
        self._threads = threads
        self._data: Data | tuple[()] = ()
        self._parts: list[Data] = []

    def __call__(
        self, run: Run, params: Any, slots: Any, statistics: Any, data: Data, order: Any, *rest: Any
    ) -> tuple[Any, ...]:
        """Return what an epoch of all networks does."""
        count, K = len(self._compiled), params[0].W.shape[0]
        places = [slice(*ends) for ends in pairwise(K * i // count for i in range(count + 1))]
        if len(self._data) != len(data) or not all(map(is_, self._data, data)):  # programs are bound to the views
            laid = data if order is None else _in_rows(data)
            self._data, self._parts = data, [_examples(k, laid) for k in places]
        jobs = [
            partial(compiled, *_group(k, run, params, slots, statistics, part, order, *rest))
            for compiled, k, part in zip(self._compiled, places, self._parts, strict=True)
        ]
        with _BLAS.single(), sharing_cores(self._threads):
            found = at_once(jobs, self._threads)
        return tuple(_joined(parts, axis=int(i >= _COST)) for i, parts in enumerate(zip(*found, strict=True)))


def _in_rows(data: Data) -> Data:
    """Return X and Y (n, m) with each example's numbers side by side, as each group would lay them out for itself."""
    X, Y = (a if a.ndim > 2 or len(a) == 1 else np.ascontiguousarray(a.T).T for a in data[:2])
    return X, Y, data[2]


def _take(k: slice, a: Any) -> Any:
    return a[k, ...] if getattr(a, "ndim", 0) else a


def _examples(k: slice, data: Data) -> Data:
    """Return X, Y and the weights for some networks: their own where these are (K, n, m), (K, n, m) and (K, m)."""
    X, Y, w = (a if a is None or a.ndim < n else _take(k, a) for a, n in zip(data, (3, 3, 2), strict=True))
    return X, Y, w


def _group(
    k: slice, run: Run, params: Any, slots: Any, statistics: Any, examples: Data, order: Any, inputs: Any,
    by_network: ByNetwork,
) -> tuple[Any, ...]:  # fmt: skip
    """Return the arguments of `epochs.epoch` for some networks."""
    take = partial(_take, k)
    part = map_tree(take, params)
    if order is not None and order.ndim == (2 if run.epochs == 1 else 3):
        order = order[..., k, :]
    rates, *keys = inputs  # (steps, K) and (steps, K, layers, 2), or for all networks without K
    steps = (rates if rates.ndim == 1 else rates[:, k], *(a if a.ndim == 3 else a[:, k, ...] for a in keys))
    run = run.of_networks(np.arange(k.start, k.stop), part)
    return run, part, *map_tree(take, (slots, statistics)), examples, order, steps, map_tree(take, by_network)


def _joined(parts: tuple[Any, ...], axis: int) -> Any:
    """Return what the groups have given as one tree; the networks are along the axis, where an array has it."""

    def join(first: Any, *others: Any) -> Any:
        return array_namespace(first).concat((first, *others), axis=axis) if first.ndim > axis else first

    return map_trees(join, *parts)
