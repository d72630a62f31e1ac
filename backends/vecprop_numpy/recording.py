"""Records loops: the body once, with its inputs, carried values and outputs.

`NumPyBackend` calls these functions for its loops over symbolic arrays.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vecprop_numpy.graph import Graph, Region, Shape, TraceError, Value
from vecprop_numpy.trees import Structure, flatten, unflatten


@dataclass(frozen=True)
class Segment:
    """Rounds of a loop with one body: the first, their number, and the columns of a batch."""

    first: int
    count: int
    columns: int


@dataclass(frozen=True)
class LoopPlan:
    """The inputs of a loop: carried values, inputs of each step, data for batches, an order."""

    carried: int
    inputs: int
    data: int
    ordered: bool
    batch_size: int
    segments: tuple[Segment, ...]


def _described(values: Iterable[Any]) -> list[tuple[Shape, Any]]:
    return [(v.shape, v.dtype) for v in values]


def _trace(
    graph: Graph, function: Callable[[Iterator[Value]], Any], bodies: Iterable[Sequence[tuple[Shape, Any]]]
) -> tuple[list[Region], Structure]:
    """Record a function of its leaves once for the leaves of each body, and return the structure of its results."""
    regions, structures = [], []
    for leaves in bodies:
        with graph.region(leaves) as region:
            found: list[Any] = []
            structures.append(flatten(function(iter(region.leaves)), found))
            region.results = [graph.value(x) for x in found]
        regions.append(region)
    for region, structure in zip(regions, structures, strict=True):
        if structure != structures[0] or _described(region.results) != _described(regions[0].results):
            raise TraceError("the rounds of a loop return different structures")
    return regions, structures[0]


def _segments(columns: Sequence[Value], batch_size: int, steps: int) -> tuple[Segment, ...]:
    if not columns:
        return (Segment(0, steps, 0),)
    m = columns[0].shape[-1]
    whole, rest = divmod(m, batch_size)
    parts = (Segment(0, whole, batch_size), Segment(whole, 1 if rest else 0, rest))
    return tuple(part for part in parts if part.count)


def record_batches(
    graph: Graph,
    step: Callable[..., Any],
    carry: Any,
    data: tuple[Any, ...],
    order: Any,
    batch_size: int,
    inputs: tuple[Any, ...],
) -> Any:
    """Record `Backend.scan_batches`; without data, `Backend.scan`."""
    leaves: list[Any] = []
    structure = flatten(carry, leaves)
    carried = [graph.value(x) for x in leaves]
    per_step = [graph.value(x) for x in inputs]
    present = [graph.value(x) for x in data if x is not None]
    orders = [] if order is None else [graph.value(order)]
    stack = () if order is None else orders[0].shape[:-1]
    segments = _segments((*orders, *present), batch_size, per_step[0].shape[0] if per_step else 0)
    steps = sum(segment.count for segment in segments)
    plan = LoopPlan(len(carried), len(per_step), len(present), bool(orders), batch_size, segments)

    def body(values: Iterator[Value]) -> Any:
        old = unflatten(structure, values)
        rows = tuple(next(values) for _ in per_step)
        batch = tuple(None if x is None else next(values) for x in data)
        carry, outputs = step(old, batch, rows)
        new: list[Any] = []
        flatten(carry, new)
        if _described(new) != _described(carried):
            raise TraceError("what a step carries on has other shapes or dtypes than what it got")
        return carry, outputs

    bodies = [
        [
            *_described(carried),
            *((v.shape[1:], v.dtype) for v in per_step),
            *(((*stack, *v.shape[:-1], segment.columns), v.dtype) for v in present),
        ]
        for segment in segments
    ]
    regions, returned = _trace(graph, body, bodies)
    collected = [((steps, *v.shape), v.dtype) for v in regions[0].results[len(carried) :]]
    inputs = (*carried, *per_step, *present, *orders)
    return unflatten(returned, graph.record_loop("loop", inputs, plan, regions, [*_described(carried), *collected]))


def record_blocks(graph: Graph, function: Callable[..., Any], block_size: int, arrays: tuple[Any, ...]) -> Any:
    """Record `Backend.sum_blocks`."""
    present = [graph.value(a) for a in arrays if a is not None]
    m = present[0].shape[-1]
    whole, rest = divmod(m, min(block_size, m))
    size = min(block_size, m)
    bodies = [[((*v.shape[:-1], n), v.dtype) for v in present] for n in ([size, rest] if rest else [size])]

    def block(values: Iterator[Value]) -> Any:
        return function(*(None if a is None else next(values) for a in arrays))

    regions, structure = _trace(graph, block, bodies)
    outputs = _described(regions[0].results)
    return unflatten(structure, graph.record_loop("blocks", tuple(present), (size, whole), regions, outputs))


def record_fused(graph: Graph, function: Callable[..., Any], arrays: tuple[Any, ...]) -> Any:
    """Record `Backend.fuse(function)(*arrays)`, as one operation if it is elementwise."""
    values = [graph.value(a) for a in arrays]
    if graph.scope_of(values) is not graph.scopes[-1]:
        return function(*values)  # it is the same in every round of this loop, and is recorded before it
    shape = np.broadcast_shapes(*(v.shape for v in values))
    wide = [v for v in values if v.size > 1 and v.splat is None]

    def kernel(leaves: Iterator[Value]) -> Any:
        leaf = dict(zip(wide, leaves, strict=True))
        return function(*(leaf.get(v, v) for v in values))

    (region,), structure = _trace(graph, kernel, [_described(wide)])
    found, scope = region.results, region.scope
    ours = [v for v in found if v.op.scope is scope]
    used = {x for op in scope.ops for x in op.inputs if x.op.scope is not scope}
    if (
        any(op.kind not in ("ufunc", "where", "cast") for op in scope.ops)
        or any(v.shape != shape or v.op.kind == "leaf" for v in ours)
        or any(v.size > 1 and v.splat is None for v in used)
    ):
        return function(*values)
    region.results = list(dict.fromkeys(ours))
    outputs = graph.record_loop("fuse", tuple(wide), shape, [region], _described(region.results))
    outer = dict(zip(region.results, outputs, strict=True))
    return unflatten(structure, iter([outer.get(v, v) for v in found]))
