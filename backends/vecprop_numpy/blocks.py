"""Sums over blocks of columns and elementwise kernels in chunks, shared among threads."""

from collections.abc import Iterator

import numpy as np

from vecprop.backend.blas import shares_cores
from vecprop_numpy.frames import Destination, Frame, Pair, buffer_like, lowers, uses
from vecprop_numpy.graph import NDArray, Op, Region, Shape
from vecprop_numpy.threads import Code, Parallel, shares

# Numbers of each array that an elementwise kernel handles at a time, so that a few arrays stay in the L1 and L2.
CHUNK = 32768
PARALLEL_CHUNK = 131072
# An elementwise kernel over fewer numbers than this is not worth a second thread.
SMALLEST_PARALLEL = 131072


@lowers("blocks")
def _lower_blocks(frame: Frame, op: Op) -> None:
    """Write the code of a sum over blocks of columns, where each thread adds up its own blocks."""
    size, whole = op.attributes
    arrays = [frame.array(v) for v in op.inputs]
    threads = min(len(frame.pools), whole)
    outs = [frame.output(v) for v in op.outputs]
    workers: list[tuple[Frame, list[NDArray]]] = []
    for t, (first, last) in enumerate(shares(whole, threads)):
        worker = Frame(op.scope, (), [frame.pools[t]], frame)
        sums = outs if t == 0 else [worker.temporary(v.shape, v.dtype) for v in op.outputs]
        _sum_blocks(worker, op.regions[0], arrays, sums, range(first * size, last * size, size), False)
        if t == threads - 1 and len(op.regions) > 1:
            _sum_blocks(worker, op.regions[1], arrays, sums, range(whole * size, whole * size + 1), True)
        workers.append((worker, sums))
    frame.emit(Parallel([worker.code for worker, _ in workers])) if threads > 1 else frame.code.extend(worker.code)
    for _, sums in workers[1:]:
        for out, part in zip(outs, sums, strict=True):
            _emit_sum(frame, out, part)
    for worker, _ in workers:
        worker.close()


def _emit_sum(frame: Frame, out: NDArray, part: NDArray) -> None:
    """Write the code of out += part, on all threads if it is large."""
    if not out.ndim or out.size < SMALLEST_PARALLEL or len(out) < len(frame.pools) or len(frame.pools) == 1:
        frame.emit(np.add, out, part, out)
        return
    parts = shares(len(out), len(frame.pools))
    frame.emit(Parallel([[(np.add, (out[a:b], part[a:b], out[a:b]))] for a, b in parts]))


def _sum_blocks(
    worker: Frame, region: Region, arrays: list[NDArray], sums: list[NDArray], starts: range, more: bool
) -> None:
    """Write the code that sums the function over the blocks at `starts`, or adds it (`more`)."""
    body = Frame(region.scope, region.results, worker.pools, worker)
    columns = region.leaves[0].shape[-1]
    single = len(starts) == 1
    blocks = []
    for leaf, array in zip(region.leaves, arrays, strict=True):
        block = array[..., starts[0] : starts[0] + columns]
        body.arrays[leaf] = block if single else buffer_like(body, array, columns)
        blocks.append(body.arrays[leaf])
    if single and not more:
        body.deliver_to([Destination(total, None) for total in sums])
    body.build()
    parts = [(total, body.array(v)) for total, v in zip(sums, region.results, strict=True)]
    if single:
        worker.code += body.code
        worker.code += [(np.add, (total, part, total)) for total, part in parts if more]
    else:
        worker.emit(_sum_of_blocks, list(zip(blocks, arrays, strict=True)), starts, body.code, parts)
    body.close()


def _sum_of_blocks(blocks: list[Pair], starts: range, code: Code, sums: list[Pair]) -> None:
    """Run the code on each block, copied into its buffer, and add up what it leaves."""
    copy, add = np.copyto, np.add
    columns = blocks[0][0].shape[-1]
    for start in starts:
        for buffer, array in blocks:
            copy(buffer, array[..., start : start + columns])
        for function, arguments in code:
            function(*arguments)
        for total, part in sums:
            if start == starts[0]:
                copy(total, part)
            else:
                add(total, part, total)


@lowers("fuse")
def _lower_fused(frame: Frame, op: Op) -> None:
    """Write the code of an elementwise kernel in chunks, for large arrays on all threads."""
    (region,) = op.regions
    shape: Shape = op.attributes
    sources = [frame.array(v) for v in op.inputs]
    # In chunks, a result may only overwrite an operand that is read at the same places
    roots = [frame.root(v) for v in set(uses(op))]
    over = [v for v in op.inputs if sum(root is frame.root(v) for root in roots) == 1]
    outs = [frame.output(v, over) for v in op.outputs]
    size = op.outputs[0].size
    threads = len(frame.pools) if size >= SMALLEST_PARALLEL else 1
    # Threads pass on Python's lock after every call, so few calls on large chunks are cheaper
    several = threads > 1 or shares_cores()
    chunks = list(cut(shape, min(max(CHUNK, -(-size // threads)), PARALLEL_CHUNK) if several else CHUNK))
    threads = min(threads, len(chunks))
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
            targets.append(Destination(part, over[0] if over else None))
        body.deliver_to(targets)
        pieces[t].extend(body.build().code)
        body.close()
    frame.emit(Parallel(pieces)) if threads > 1 else frame.code.extend(pieces[0])


def cut(shape: Shape, size: int) -> Iterator[tuple[slice, ...]]:
    """Yield contiguous chunks of about this size that cover an array, the last ones smaller.

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
