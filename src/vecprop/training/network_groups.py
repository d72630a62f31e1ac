"""The networks of a stack in groups, trained one after the other or each by a thread of its own."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from operator import is_
from typing import Any

import numpy as np

from vecprop.backend.blas import BLAS, sharing_cores
from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import Static, array_namespace
from vecprop.backend.pytrees import map_tree, map_trees
from vecprop.training.epochs import ByNetwork, Data, Run
from vecprop.training.spec import TrainingSpec
from vecprop.utils.threads import at_once

_BLAS = BLAS()
# The first of the results of an epoch that has the steps before the networks: finite is (K,), cost (steps, K).
_COST = 4


class GroupedEpochs:
    """Compiled epochs (`epochs.epoch`) of a stack, for groups of its networks.

    spec : of the run; its scope is entered in each thread, as a library may keep it by thread
    compile_epoch : makes a compiled epoch; each group has its own, as it is bound to its own data
    groups, threads : at most as many as there are networks
    """

    def __init__(
        self, backend: Backend, spec: TrainingSpec, compile_epoch: Callable[[], Callable[..., Any]], groups: int,
        threads: int,
    ) -> None:  # fmt: skip
        self._backend, self._spec = backend, spec
        self._compiled = [compile_epoch() for _ in range(groups)]
        self._divide, self._join = backend.compile(_divided), backend.compile(_joined)
        self._threads = threads
        self._data: Data | tuple[()] = ()
        self._parts: list[Data] = []

    def __call__(
        self, run: Run, params: Any, slots: Any, statistics: Any, data: Data, order: Any, *rest: Any
    ) -> tuple[Any, ...]:
        """Run an epoch of all networks; arguments and results as those of `epochs.epoch`."""
        places = _places(len(self._compiled), params[0].W.shape[0])
        if len(self._data) != len(data) or not all(map(is_, self._data, data)):  # programs are bound to the views
            laid = _in_rows(data) if order is not None and self._backend.computes_in_main_memory else data
            self._data, self._parts = data, [_examples(k, laid) for k in places]
        divided = self._divide(len(places), run.epochs > 1, params, slots, statistics, order, *rest)
        jobs = []
        for k, compiled, (part, *state), more, examples in zip(
            places, self._compiled, *divided, self._parts, strict=True
        ):
            own = run.of_networks(np.arange(k.start, k.stop), part)
            jobs.append(partial(self._in_scope, compiled, own, part, *state, examples, *more))
        with _BLAS.single(), sharing_cores(self._threads):
            found = at_once(jobs, self._threads)
        return self._join(tuple(found))  # type: ignore[no-any-return]

    def _in_scope(self, compiled: Callable[..., Any], *arguments: Any) -> Any:
        with self._backend.scope(self._spec.dtype, self._spec.precision):
            return compiled(*arguments)


def _places(groups: int, K: int) -> list[slice]:
    return [slice(*ends) for ends in pairwise(K * i // groups for i in range(groups + 1))]


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


def _divided(
    groups: Static[int], several: Static[bool], params: Any, slots: Any, statistics: Any, order: Any, inputs: Any,
    by_network: ByNetwork,
) -> tuple[Any, ...]:  # fmt: skip
    """Return the arguments of `epochs.epoch` for each group: those before the data, and those after it.

    several : whether it does several epochs
    """
    places = _places(groups, params[0].W.shape[0])
    rates, *keys = inputs  # (steps, K) and (steps, K, layers, 2), or for all networks without K

    def after(k: slice) -> tuple[Any, ...]:
        own = order[..., k, :] if order is not None and order.ndim == (3 if several else 2) else order
        steps = (rates if rates.ndim == 1 else rates[:, k], *(a if a.ndim == 3 else a[:, k, ...] for a in keys))
        return own, steps, map_tree(partial(_take, k), by_network)

    return tuple(map_tree(partial(_take, k), (params, slots, statistics)) for k in places), tuple(map(after, places))


def _joined(found: tuple[Any, ...]) -> tuple[Any, ...]:
    """Join the results of the groups, along the axis of the networks where an array has it."""

    def join(axis: int, first: Any, *others: Any) -> Any:
        return array_namespace(first).concat((first, *others), axis=axis) if first.ndim > axis else first

    return tuple(map_trees(partial(join, int(i >= _COST)), *parts) for i, parts in enumerate(zip(*found, strict=True)))
