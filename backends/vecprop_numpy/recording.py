"""Records loops: the body once, with its inputs, carried values and outputs.

`NumPyBackend` calls these functions for its loops over symbolic arrays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vecprop_numpy.graph import Graph, Region, Shape, TraceError, Value
from vecprop_numpy.trees import flatten, unflatten


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


def _trace_body(
    graph: Graph, step: Callable[..., Any], leaves: Sequence[tuple[Shape, Any]], carried: Sequence[Value]
) -> tuple[Region, Any, Any]:
    """Record one round; `step` takes the leaves and returns (carry, outputs)."""
    with graph.region(leaves) as region:
        carry, outputs = step(region.leaves)
        new: list[Any] = []
        carry_structure = flatten(carry, new)
        out: list[Any] = []
        out_structure = flatten(outputs, out)
        region.results = [graph.value(x) for x in (*new, *out)]
    if [(v.shape, v.dtype) for v in region.results[: len(carried)]] != [(v.shape, v.dtype) for v in carried]:
        raise TraceError("what a step carries on has other shapes or dtypes than what it got")
    if len(new) != len(carried):
        raise TraceError("a step carries on another number of arrays than it got")
    return region, carry_structure, out_structure


def record_scan(graph: Graph, step: Callable[..., Any], carry: Any, inputs: tuple[Any, ...]) -> Any:
    """Record `Backend.scan`."""
    return record_batches(graph, lambda c, _, x: step(c, x), carry, (), None, 1, inputs)


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
    steps = sum(s.count for s in segments)
    plan = LoopPlan(len(carried), len(per_step), len(present), bool(orders), batch_size, segments)

    def body(values: list[Value]) -> Any:
        rest = iter(values)
        old = unflatten(structure, rest)
        rows = tuple(next(rest) for _ in per_step)
        batch = tuple(None if x is None else next(rest) for x in data)
        return step(old, batch, rows)

    regions, structures = [], []
    for segment in segments:
        body_leaves = [
            *((v.shape, v.dtype) for v in carried),
            *((v.shape[1:], v.dtype) for v in per_step),
            *(((*stack, *v.shape[:-1], segment.columns), v.dtype) for v in present),
        ]
        region, *found = _trace_body(graph, body, body_leaves, carried)
        regions.append(region)
        structures.append(found)
    if any(found != structures[0] for found in structures[1:]):
        raise TraceError("steps return different structures")
    results = regions[0].results
    outputs = [
        *((v.shape, v.dtype) for v in carried),
        *(((steps, *v.shape), v.dtype) for v in results[len(carried) :]),
    ]
    values = graph.record_loop("loop", (*carried, *per_step, *present, *orders), plan, regions, outputs)
    arrays = iter(values)
    return unflatten(structures[0][0], arrays), unflatten(structures[0][1], arrays)


def record_blocks(graph: Graph, function: Callable[..., Any], block_size: int, arrays: tuple[Any, ...]) -> Any:
    """Record `Backend.sum_blocks`."""
    present = [graph.value(a) for a in arrays if a is not None]
    m = present[0].shape[-1]
    whole, rest = divmod(m, min(block_size, m))
    sizes = [min(block_size, m)] + [rest] * bool(rest)
    regions, structures = [], []
    for size in sizes:
        with graph.region([((*v.shape[:-1], size), v.dtype) for v in present]) as region:
            block = iter(region.leaves)
            result: list[Any] = []
            structures.append(flatten(function(*(None if a is None else next(block) for a in arrays)), result))
            region.results = [graph.value(x) for x in result]
        regions.append(region)
    described = [(v.shape, v.dtype) for v in regions[0].results]
    for region, structure in zip(regions[1:], structures[1:], strict=True):
        if structure != structures[0] or [(v.shape, v.dtype) for v in region.results] != described:
            raise TraceError("blocks return different structures")
    values = graph.record_loop("blocks", tuple(present), (sizes[0], whole), regions, described)
    return unflatten(structures[0], iter(values))


def record_fused(graph: Graph, function: Callable[..., Any], arrays: tuple[Any, ...]) -> Any:
    """Record `Backend.fuse(function)(*arrays)`, as one operation if it is elementwise."""
    values = [graph.value(a) for a in arrays]
    shape = np.broadcast_shapes(*(v.shape for v in values))
    wide = [v for v in values if v.size > 1 and v.splat is None]
    with graph.region([(v.shape, v.dtype) for v in wide]) as region:
        leaf = dict(zip(wide, region.leaves, strict=True))
        result = function(*(leaf.get(v, v) for v in values))
        found: list[Any] = []
        structure = flatten(result, found)
        region.results = [graph.value(x) for x in found]
    ours = [v for v in region.results if v.op.scope is region.scope]
    elementwise = all(op.kind in ("ufunc", "where", "cast") for op in region.scope.ops)
    if not elementwise or any(v.shape != shape or v.op.kind == "leaf" for v in ours):
        return function(*values)
    used = {x for op in region.scope.ops for x in op.inputs if x.op.scope is not region.scope}
    if any(v.size > 1 and v.splat is None for v in used):
        return function(*values)
    distinct = list(dict.fromkeys(ours))
    region.results = distinct
    outputs = graph.record_loop("fuse", tuple(wide), shape, [region], [(v.shape, v.dtype) for v in distinct])
    outer = dict(zip(distinct, outputs, strict=True))
    return unflatten(structure, iter([outer.get(v, v) for v in map(graph.value, found)]))
