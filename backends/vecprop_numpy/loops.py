"""Loops in a recorded function: steps, mini-batches, sums over blocks of columns, elementwise kernels in chunks.

The body of a loop is recorded once and replayed. What is carried from one round to the next lives in fixed arrays,
which the body writes to wherever the old content is no longer needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vecprop_numpy.program import Frame, Pool, Target, free_values
from vecprop_numpy.threads import Code, Parallel
from vecprop_numpy.tracing import Graph, NDArray, Op, Region, Shape, TraceError, Value
from vecprop_numpy.trees import flatten, unflatten

# So many numbers of each array an elementwise kernel handles at a time: a few arrays of them stay in the L1 and L2.
CHUNK = 32768
# An elementwise kernel over fewer numbers than this is not worth a second thread.
SMALLEST_PARALLEL = 65536
# Arrays of so many rows are gathered as rows of their transpose, a column being one contiguous piece of memory.
FEWEST_ROWS_TRANSPOSED = 32


# Recording


@dataclass(frozen=True)
class Segment:
    """Rounds of a loop with one body: the first, how many, and the columns of a batch."""

    first: int
    count: int
    columns: int


@dataclass(frozen=True)
class LoopPlan:
    """The inputs of a loop in order: what it carries, what each step gets, data to cut into batches, their order."""

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
    return _record_steps(graph, lambda c, _, x: step(c, x), carry, (), None, 1, inputs)


def record_batches(
    graph: Graph,
    step: Callable[..., Any],
    carry: Any,
    data: tuple[Any, ...],
    order: Any,
    batch_size: int,
    inputs: tuple[Any, ...],
) -> Any:
    """Record `Backend.scan_batches`."""
    return _record_steps(graph, step, carry, data, order, batch_size, inputs)


def _segments(data: Sequence[Value], batch_size: int, steps: int) -> tuple[Segment, ...]:
    if not data:
        return (Segment(0, steps, 0),)
    m = data[0].shape[-1]
    whole, rest = divmod(m, batch_size)
    parts = (Segment(0, whole, batch_size), Segment(whole, 1 if rest else 0, rest))
    return tuple(part for part in parts if part.count)


def _record_steps(
    graph: Graph,
    step: Callable[..., Any],
    carry: Any,
    data: tuple[Any, ...],
    order: Any,
    batch_size: int,
    inputs: tuple[Any, ...],
) -> Any:
    leaves: list[Any] = []
    structure = flatten(carry, leaves)
    carried = [graph.value(x) for x in leaves]
    per_step = [graph.value(x) for x in inputs]
    present = [graph.value(x) for x in data if x is not None]
    orders = [] if order is None else [graph.value(order)]
    stack = () if order is None else orders[0].shape[:-1]
    segments = _segments(present, batch_size, per_step[0].shape[0] if per_step else 0)
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
    """Record `Backend.fuse(function)(*arrays)`: one operation, unless it turns out not to be elementwise."""
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


# Lowering


@dataclass
class _Rounds:
    """Rounds of a loop, ready to run."""

    segment: Segment
    feeds: list[Callable[[int], None]]
    code: Code
    outputs: list[tuple[NDArray, NDArray]]

    def __call__(self) -> None:
        """Run all rounds."""
        code, feeds, outputs = self.code, self.feeds, self.outputs
        for i in range(self.segment.first, self.segment.first + self.segment.count):
            for feed in feeds:
                feed(i)
            for function, arguments in code:
                function(*arguments)
            for rows, row in outputs:
                rows[i] = row


def lower_loop(frame: Frame, op: Op) -> None:
    """Write the code of a loop."""
    plan: LoopPlan = op.attributes
    inits = op.inputs[: plan.carried]
    carried = [_carry(frame, op, i, value) for i, value in enumerate(inits)]
    collected = [frame.output(v) for v in op.outputs[plan.carried :]]
    arrays = [frame.array(v) for v in op.inputs[plan.carried :]]
    order = None
    if plan.ordered:
        order = frame.temporary(arrays[-1].shape, np.intp)
        frame.copy(order, arrays[-1])
    data = arrays[plan.inputs : plan.inputs + plan.data]
    sources = [_Source(frame, a, order) for a in data]
    for region, segment in zip(op.regions, plan.segments, strict=True):
        body = Frame(region.scope, region.results, frame.pools, frame)
        leaves = iter(region.leaves)
        feeds: list[Callable[[int], None]] = []
        old = [next(leaves) for _ in carried]
        body.arrays.update(zip(old, carried, strict=True))
        for rows in arrays[: plan.inputs]:
            leaf = next(leaves)
            body.arrays[leaf] = body.temporary(leaf.shape, leaf.dtype)
            feeds.append(_row_feed(body.arrays[leaf], rows))
        for source in sources:
            leaf = next(leaves)
            body.arrays[leaf], feed = source.batch(body, plan, segment)
            feeds.extend(feed)
        outs = region.results[plan.carried :]
        targets: list[Target | None] = [Target(c, leaf) for c, leaf in zip(carried, old, strict=True)]
        for v in outs:  # what was carried in is overwritten at the end of the round: put out a copy of it
            aside = any(body.root(v) is leaf for leaf in old)
            targets.append(Target(body.temporary(v.shape, v.dtype), None) if aside else None)
        body.deliver_to(targets)
        body.build()
        rows_of = [
            (rows, body.array(v) if target is None else target.array)
            for rows, v, target in zip(collected, outs, targets[plan.carried :], strict=True)
        ]
        frame.emit(_Rounds(segment, feeds, body.code, rows_of))
        body.close()


def _carry(frame: Frame, op: Op, index: int, init: Value) -> NDArray:
    """Return the array in which a carried value lives: that of its first value, if nobody else needs it."""
    value = op.outputs[index]
    others = [*op.inputs[:index], *op.inputs[index + 1 :], *(v for r in op.regions for v in free_values(r))]
    shared = any(frame.root(v) is frame.root(init) for v in others)
    source = frame.array(init)
    out = frame.output(value, () if shared else (init,))
    if out.ctypes.data != source.ctypes.data or not np.may_share_memory(out, source):
        frame.copy(out, source)
    return out


def _row_feed(buffer: NDArray, rows: NDArray) -> Callable[[int], None]:
    def feed(i: int) -> None:
        buffer[...] = rows[i]

    return feed


class _Source:
    """An array (…, m) that mini-batches are taken from."""

    def __init__(self, frame: Frame, array: NDArray, order: NDArray | None) -> None:
        self.array = array
        self.order = order
        self.rows: NDArray | None = None
        if order is None or array.ndim != 2 or array.shape[0] == 1:
            return
        self.rows = array.T if array.T.flags.c_contiguous else None
        if self.rows is None and (array.shape[0] >= FEWEST_ROWS_TRANSPOSED or order.ndim == 2):
            self.rows = frame.temporary((array.shape[1], array.shape[0]), array.dtype)
            frame.copy(self.rows, array.T)

    def batch(self, body: Frame, plan: LoopPlan, segment: Segment) -> tuple[NDArray, list[Callable[[int], None]]]:
        """Return the array that holds a batch, and what fills it."""
        size, columns = plan.batch_size, segment.columns
        if self.order is None:
            if segment.count == 1:
                start = segment.first * size
                return self.array[..., start : start + columns], []
            buffer = _buffer_like(body, self.array, columns)
            return buffer, [_slice_feed(buffer, self.array, size)]
        stack = self.order.shape[:-1]
        if self.rows is not None:
            rows = body.temporary((*stack, columns, self.rows.shape[1]), self.array.dtype)
            return np.swapaxes(rows, -1, -2), [_take_feed(rows, self.rows, self.order, 0, size)]
        if not stack or self.array.ndim == 1:
            buffer = body.temporary((*stack, *self.array.shape[:-1], columns), self.array.dtype)
            return buffer, [_take_feed(buffer, self.array, self.order, self.array.ndim - 1, size)]
        taken = body.temporary((*self.array.shape[:-1], *stack, columns), self.array.dtype)
        return np.moveaxis(taken, -2, 0), [_take_feed(taken, self.array, self.order, self.array.ndim - 1, size)]


def _buffer_like(frame: Frame, array: NDArray, columns: int) -> NDArray:
    """Return a buffer (…, columns) in which a column of a matrix is contiguous if it is in the array."""
    if array.ndim == 2 and array.strides[0] < array.strides[1]:
        return frame.temporary((columns, array.shape[0]), array.dtype).T
    return frame.temporary((*array.shape[:-1], columns), array.dtype)


def _slice_feed(buffer: NDArray, array: NDArray, size: int) -> Callable[[int], None]:
    columns = buffer.shape[-1]

    def feed(i: int) -> None:
        np.copyto(buffer, array[..., i * size : i * size + columns])

    return feed


def _take_feed(buffer: NDArray, array: NDArray, order: NDArray, axis: int, size: int) -> Callable[[int], None]:
    take, columns = array.take, buffer.shape[axis] if order.ndim == 1 else 0

    def feed(i: int) -> None:
        take(order[i * size : i * size + columns], axis, buffer, "clip")

    def feed_stack(i: int) -> None:
        take(order[:, i * size : (i + 1) * size], axis, buffer, "clip")

    return feed if order.ndim == 1 else feed_stack


def lower_blocks(frame: Frame, op: Op) -> None:
    """Write the code of a sum over blocks of columns: each thread adds up blocks of its own."""
    size, whole = op.attributes
    arrays = [frame.array(v) for v in op.inputs]
    threads = min(len(frame.pools), whole)
    outs = [frame.output(v) for v in op.outputs]
    pieces: list[Code] = []
    totals: list[list[NDArray]] = []
    frames: list[Frame] = []
    for t in range(threads):
        first, last = whole * t // threads, whole * (t + 1) // threads
        worker = Frame(op.scope, (), [frame.pools[t]], frame)
        sums = outs if t == 0 else [worker.temporary(v.shape, v.dtype) for v in op.outputs]
        _sum_blocks(worker, op.regions[0], arrays, sums, range(first * size, last * size, size), False)
        if t == threads - 1 and len(op.regions) > 1:
            _sum_blocks(worker, op.regions[1], arrays, sums, range(whole * size, whole * size + 1), True)
        pieces.append(worker.code)
        totals.append(sums)
        frames.append(worker)
    frame.emit(Parallel(pieces)) if threads > 1 else frame.code.extend(pieces[0])
    for sums in totals[1:]:
        for out, part in zip(outs, sums, strict=True):
            frame.emit(np.add, out, part, out)
    for worker in frames:
        worker.close()


def _sum_blocks(
    worker: Frame, region: Region, arrays: list[NDArray], sums: list[NDArray], starts: range, more: bool
) -> None:
    """Write the code that sums, or adds (`more`), the function of the blocks that start at the given columns."""
    body = Frame(region.scope, region.results, worker.pools, worker)
    columns = region.leaves[0].shape[-1]
    single = len(starts) == 1
    blocks = []
    for leaf, array in zip(region.leaves, arrays, strict=True):
        block = array[..., starts[0] : starts[0] + columns]
        body.arrays[leaf] = block if single else _buffer_like(body, array, columns)
        blocks.append(body.arrays[leaf])
    if single and not more:
        body.deliver_to([Target(total, None) for total in sums])
    body.build()
    if single:
        worker.code.extend(body.code)
        if more:
            worker.code.extend(
                (np.add, (total, body.array(v), total)) for total, v in zip(sums, region.results, strict=True)
            )
    else:
        results = [body.array(v) for v in region.results]
        worker.emit(
            _Blocks(list(zip(blocks, arrays, strict=True)), starts, body.code, list(zip(sums, results, strict=True)))
        )
    body.close()


@dataclass
class _Blocks:
    """A sum over several blocks, ready to run."""

    blocks: list[tuple[NDArray, NDArray]]
    starts: range
    code: Code
    sums: list[tuple[NDArray, NDArray]]

    def __call__(self) -> None:
        """Run all blocks."""
        code, copy, add = self.code, np.copyto, np.add
        columns = self.blocks[0][0].shape[-1]
        for start in self.starts:
            for buffer, array in self.blocks:
                copy(buffer, array[..., start : start + columns])
            for function, arguments in code:
                function(*arguments)
            for total, part in self.sums:
                if start == self.starts[0]:
                    copy(total, part)
                else:
                    add(total, part, total)


def lower_fused(frame: Frame, op: Op) -> None:
    """Write the code of an elementwise kernel: a chunk of the arrays at a time, large ones on all threads."""
    (region,) = op.regions
    shape: Shape = op.attributes
    sources = [frame.array(v) for v in op.inputs]
    outs = [frame.output(v, op.inputs) for v in op.outputs]
    chunks = list(cut(shape, CHUNK))
    size = op.outputs[0].size
    threads = min(len(frame.pools), len(chunks)) if size >= SMALLEST_PARALLEL else 1
    pieces: list[Code] = [[] for _ in range(threads)]
    for i, chunk in enumerate(chunks):
        t = i * threads // len(chunks)
        body = Frame(region.scope, region.results, [frame.pools[t]], frame)
        body.chunked = True
        for leaf, source in zip(region.leaves, sources, strict=True):
            body.arrays[leaf] = part_of(source, shape, chunk)
        targets = []
        for out in outs:
            part = part_of(out, shape, chunk)
            over = [x for x, s in zip(region.leaves, sources, strict=True) if np.may_share_memory(out, s)]
            targets.append(Target(part, over[0] if over else None))
        body.deliver_to(targets)
        pieces[t].extend(body.build().code)
        body.close()
    frame.emit(Parallel(pieces)) if threads > 1 else frame.code.extend(pieces[0])


def cut(shape: Shape, size: int) -> Iterator[tuple[slice, ...]]:
    """Cut an array into contiguous chunks of about a size, the last ones smaller.

    >>> list(cut((4, 3), 6))
    [(slice(0, 2, None),), (slice(2, 4, None),)]
    """
    total = int(np.prod(shape))
    if total <= size or not shape:
        yield ()
        return
    row = total // shape[0]
    if row >= size and len(shape) > 1:
        for i in range(shape[0]):
            for rest in cut(shape[1:], size):
                yield slice(i, i + 1), *rest
        return
    count = -(-total // size)
    rows = -(-shape[0] // count)
    for start in range(0, shape[0], rows):
        yield (slice(start, min(start + rows, shape[0])),)


def part_of(array: NDArray, shape: Shape, chunk: tuple[slice, ...]) -> NDArray:
    """Return the chunk of an array that broadcasts to a shape."""
    array = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    return array[tuple(s if n > 1 else slice(None) for s, n in zip(chunk, array.shape, strict=False))]


def new_pools(threads: int) -> list[Pool]:
    """Return memory for so many threads."""
    return [Pool() for _ in range(threads)]
