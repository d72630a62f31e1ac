"""The networks of a stack in groups, each trained by a thread of its own."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from vecprop.backend.namespaces import array_namespace
from vecprop.backend.pytrees import map_tree, map_trees
from vecprop.training.epochs import ByNetwork, Data, Run
from vecprop.training.parameter_buffer import layout
from vecprop.utils.threads import at_once

Compiled = Callable[..., Any]


def in_groups(compiled: Compiled, groups: int, threads: int) -> Compiled:
    """Return the compiled `epochs.epoch` of a stack for groups of its networks, at most as many, on some threads."""

    def epoch(run: Run, params: Any, *rest: Any) -> tuple[Any, ...]:
        K = params[0].W.shape[0]
        cuts = [K * i // groups for i in range(groups + 1)]
        jobs = [partial(compiled, *_group(slice(*pair), run, params, *rest)) for pair in pairwise(cuts)]
        return tuple(
            _joined(parts, axis=int(i > 3)) for i, parts in enumerate(zip(*at_once(jobs, threads), strict=True))
        )

    return epoch


def _group(
    k: slice, run: Run, params: Any, slots: Any, statistics: Any, data: Data, order: Any, inputs: Any,
    by_network: ByNetwork,
) -> tuple[Any, ...]:  # fmt: skip
    """Return the arguments of `epochs.epoch` for some networks."""

    def take(a: Any) -> Any:
        return a[k, ...] if getattr(a, "ndim", 0) else a

    part = map_tree(take, params)
    net = replace(run.net, loss=run.net.loss.member(np.arange(k.start, k.stop)))
    buffers = None if run.layout is None else layout(part, run.layout.apart)
    examples = tuple(a if a is None or a.ndim < n else take(a) for a, n in zip(data, (3, 3, 2), strict=True))
    if order is not None and order.ndim == (2 if run.epochs == 1 else 3):
        order = order[..., k, :]
    steps = tuple(a[:, k, ...] if a.ndim == n else a for a, n in zip(inputs, (2, 4), strict=False))
    run = run._replace(net=net, layout=buffers)
    return run, part, *map_tree(take, (slots, statistics)), examples, order, steps, map_tree(take, by_network)


def _joined(parts: tuple[Any, ...], axis: int) -> Any:
    """Return what the groups have given as one tree; the networks are along the axis, where an array has it."""

    def join(*arrays: Any) -> Any:
        return array_namespace(arrays[0]).concat(arrays, axis=axis) if arrays[0].ndim > axis else arrays[0]

    return map_trees(join, *parts)
