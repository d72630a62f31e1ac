"""Loops over steps and mini-batches, which replay a recorded body.

Values carried from round to round live in fixed arrays, which the body overwrites once the old content is no longer
needed. Each batch is gathered into one array, so that an epoch is never copied as a whole.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from vecprop.utils.threads import EndedError, other_failed
from vecprop_numpy.frames import Destination, Frame, Pair, buffer_like, free_values, lowers
from vecprop_numpy.graph import NDArray, Op
from vecprop_numpy.recording import LoopPlan, Segment
from vecprop_numpy.threads import Code, Parallel, execute, shares

# A batch of fewer bytes than this is not worth a second thread.
SMALLEST_PARALLEL_GATHER = 1 << 19
# Arrays of this many rows or more are gathered as rows of their transpose, where a column is contiguous in memory.
FEWEST_ROWS_TRANSPOSED = 32


Feed: TypeAlias = Callable[[int], object]  # fills an array for the round given


def _rounds(
    segment: Segment, feeds: list[Feed], batches: list[Feed], code: Code, rest: Code, outputs: list[Pair]
) -> Callable[[], None]:
    """Return some rounds of a loop as one call.

    feeds, batches : what fills the arrays of a round, and those of its batch
    rest : the end of `code`, which no longer needs the batch, if a second thread is to gather the next one meanwhile
    outputs : for each output that is collected, the rows and where a round leaves its row
    """
    code, first, end, number = code[: len(code) - len(rest)], segment.first, segment.first + segment.count, [0]

    def gather() -> None:
        for feed in batches:
            feed(number[0])

    ahead = Parallel([rest, [(gather, ())]]) if rest else None

    def run() -> None:
        failed = other_failed()
        for i in range(first, end):
            if failed is not None and failed.is_set():
                raise EndedError
            for feed in feeds:
                feed(i)
            if ahead is None or i == first:
                for feed in batches:
                    feed(i)
            for function, arguments in code:
                function(*arguments)
            if ahead is not None:
                number[0] = i + 1
                ahead() if i + 1 < end else execute(rest)
            for rows, row in outputs:
                rows[i] = row

    return run


@lowers("loop")
def _lower_loop(frame: Frame, op: Op) -> None:
    """Write the code of a loop."""
    plan: LoopPlan = op.attributes
    inits = op.inputs[: plan.carried]
    needed = Counter(frame.root(v) for v in (*op.inputs, *(v for r in op.regions for v in free_values(r))))
    carried = [_carry(frame, op, i, needed[frame.root(value)] > 1) for i, value in enumerate(inits)]
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
        feeds: list[Feed] = []
        old = [next(leaves) for _ in carried]
        body.arrays.update(zip(old, carried, strict=True))
        for rows in arrays[: plan.inputs]:
            leaf = next(leaves)
            body.arrays[leaf] = body.temporary(leaf.shape, leaf.dtype)
            feeds.append(_row_feed(body.arrays[leaf], rows))
        batches: list[Feed] = []
        batch = [next(leaves) for _ in sources]
        for leaf, source in zip(batch, sources, strict=True):
            body.arrays[leaf], feed = source.batch(body, plan, segment)
            batches.extend(feed)
        outs = region.results[plan.carried :]
        targets: list[Destination | None] = [Destination(c, leaf) for c, leaf in zip(carried, old, strict=True)]
        for v in outs:  # carried values are overwritten at the end of the round, so output a copy
            aside = any(body.root(v) is leaf for leaf in old)
            targets.append(Destination(body.temporary(v.shape, v.dtype), None) if aside else None)
        body.deliver_to(targets)
        body.build()
        rows_of = [
            (rows, body.array(v) if target is None else target.array)
            for rows, v, target in zip(collected, outs, targets[plan.carried :], strict=True)
        ]
        rest = body.code_after(batch)
        busy = any(isinstance(function, Parallel) for function, _ in rest)
        if rest and not busy and segment.count > 1 and any(isinstance(feed, _ParallelGather) for feed in batches):
            batches = [feed.alone if isinstance(feed, _ParallelGather) else feed for feed in batches]
        else:
            rest = []
        frame.emit(_rounds(segment, feeds, batches, body.code, rest, rows_of))
        body.close()


def _carry(frame: Frame, op: Op, index: int, shared: bool) -> NDArray:
    """Return the array of a carried value: that of its first value, if that is not shared."""
    value, init = op.outputs[index], op.inputs[index]
    source = frame.array(init)
    out = frame.output(value, () if shared else (init,))
    if out.ctypes.data != source.ctypes.data or not np.may_share_memory(out, source):
        frame.copy(out, source)
    return out


def _row_feed(buffer: NDArray, rows: NDArray) -> Feed:
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

    def batch(self, body: Frame, plan: LoopPlan, segment: Segment) -> tuple[NDArray, list[Feed]]:
        """Return the array that holds a batch, and the functions that fill it."""
        size, columns = plan.batch_size, segment.columns
        if self.order is None:
            if segment.count == 1:
                start = segment.first * size
                return self.array[..., start : start + columns], []
            buffer, array = buffer_like(body, self.array, columns), self.array
            return buffer, [lambda i: np.copyto(buffer, array[..., i * size : i * size + columns])]
        stack = self.order.shape[:-1]
        if self.rows is not None:
            rows = body.temporary((*stack, columns, self.rows.shape[1]), self.array.dtype)
            if not stack and len(body.pools) > 1 and rows.nbytes >= SMALLEST_PARALLEL_GATHER:
                return rows.T, [_ParallelGather(rows, self.rows, self.order, size, len(body.pools))]
            return np.swapaxes(rows, -1, -2), [_take_feed(rows, self.rows, self.order, 0, size, columns)]
        taken = body.temporary((*self.array.shape[:-1], *stack, columns), self.array.dtype)
        feed = _take_feed(taken, self.array, self.order, self.array.ndim - 1, size, columns)
        return np.moveaxis(taken, -2, 0) if stack else taken, [feed]


def _take_feed(buffer: NDArray, array: NDArray, order: NDArray, axis: int, size: int, columns: int) -> Feed:
    take = array.take
    return lambda i: take(order[..., i * size : i * size + columns], axis, buffer, "clip")


class _ParallelGather:
    """Gathers the rows of a batch on several threads."""

    def __init__(self, buffer: NDArray, array: NDArray, order: NDArray, size: int, threads: int) -> None:
        batch, take = [0], array.take

        def part(first: int, last: int, rows: NDArray) -> None:  # no method: a cycle would keep the arrays
            take(order[batch[0] * size + first : batch[0] * size + last], 0, rows, "clip")

        self.batch, self.whole = batch, partial(part, 0, len(buffer), buffer)
        self.run = Parallel([[(part, (a, b, buffer[a:b]))] for a, b in shares(len(buffer), threads)])

    def __call__(self, i: int) -> None:
        self.batch[0] = i
        self.run()

    def alone(self, i: int) -> None:
        """Gather batch i on this thread."""
        self.batch[0] = i
        self.whole()
