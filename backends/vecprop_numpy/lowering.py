"""Turns each kind of operation into the fastest NumPy calls for its shape and layout."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from vecprop_numpy.frames import Frame, join_part, lowers
from vecprop_numpy.graph import NDArray, Op, Value
from vecprop_numpy.threads import BLAS

# A sum of more numbers than this is left to NumPy's pairwise summation.
LONGEST_PLAIN_SUM = 4096
# A scalar product of more numbers than this is computed in pieces.
LONGEST_DOT = 65536
# The shortest row on which a ufunc is about as fast as on a whole array. With rows of 4 to 16 KB it can be eight times
# slower, on processors that take addresses of equal last 12 bits for the same.
SHORTEST_ROW, LONGEST_ROW = 8192, 65536
# With these kernels of OpenBLAS a product with a transposed matrix takes a fifth longer than a copy and a product with
# the copy, within the limits below. Outside of them it takes less, down to a sixth.
COPYING_KERNELS = {"SkylakeX", "Cooperlake", "SapphireRapids"}
FEWEST_ROWS, FEWEST_RESULTS, MOST_MULTIPLICATIONS = 32, 1800, 10**6
# Integer types of the same size as the floating-point types.
_BITS: dict[Any, np.dtype[Any]] = {np.dtype(np.float32): np.dtype(np.int32), np.dtype(np.float64): np.dtype(np.int64)}


def _shape(frame: Frame, op: Op) -> tuple[int, ...]:
    """Return the shape of an elementwise result, or of the part that the frame computes."""
    if not frame.chunked:
        return op.outputs[0].shape
    return np.broadcast_shapes(*(frame.operand(x).shape for x in op.inputs))


@lowers("ufunc")
def _lower_ufunc(frame: Frame, op: Op) -> None:
    operands = [frame.operand(x) for x in op.inputs]
    out = frame.output(op.outputs[0], op.inputs, _shape(frame, op))
    if op.attributes in (np.maximum, np.minimum):
        if any(x.splat is not None for x in op.inputs):
            a, b, out = _with_row(operands[0], operands[1], out)
            operands = [a, b]
        # these two only accept `out` as a keyword
        frame.emit(functools.partial(op.attributes, out=out), *operands)
    else:
        frame.emit(op.attributes, *operands, out)


def _with_row(a: NDArray, b: NDArray, out: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Return operands for maximum and minimum with a constant, several times faster with a row than a number."""
    if a.ndim == 0:
        a, b = b, a
    contiguous = a.flags.c_contiguous and out.flags.c_contiguous and a.shape == out.shape
    if b.ndim or not a.ndim or not contiguous or a.dtype != b.dtype or not out.size:
        return a, b, out
    counts = range(-(-out.size // LONGEST_ROW), max(out.size // SHORTEST_ROW, 1) + 1)
    row = next((out.size // n for n in counts if out.size % n == 0), None)
    if row is None:
        return a, b, out
    return a.reshape(-1, row), np.full(row, b), out.reshape(-1, row)


@lowers("cast")
def _lower_cast(frame: Frame, op: Op) -> None:
    source = frame.array(op.inputs[0])
    out = frame.output(op.outputs[0], (), _shape(frame, op))
    frame.emit(np.copyto, out, source, "unsafe")


def _select_all(out: NDArray, condition: NDArray, a: NDArray, b: NDArray) -> None:
    """`where` for one condition."""
    chosen = a if condition.item() else b
    if chosen is not out:
        np.copyto(out, chosen)


@lowers("where")
def _lower_where(frame: Frame, op: Op) -> None:
    choices = op.inputs[1:]
    c, a, b = (frame.operand(x) for x in op.inputs)
    shape = _shape(frame, op)
    if c.size == 1:
        frame.emit(_select_all, frame.output(op.outputs[0], choices, shape), c, a, b)
    elif a.dtype == b.dtype and a.dtype in _BITS and c.shape == shape and c.flags.c_contiguous:
        _select_bits(frame, op, (c, a, b))
    else:
        frame.emit(_store, frame.output(op.outputs[0], choices, shape), np.where, c, a, b)


def _select_bits(frame: Frame, op: Op, arrays: tuple[NDArray, NDArray, NDArray]) -> None:
    """`where` as b ^ ((a ^ b) & mask), as branches on random signs are far slower."""
    condition, a, b = arrays
    bits = _BITS[a.dtype]
    a, b = a.view(bits), b.view(bits)
    signs = frame.temporary(condition.shape, np.int8)
    mask = frame.temporary(condition.shape, bits)
    frame.emit(np.negative, condition.view(np.int8), signs)
    frame.copy(mask, signs)
    chosen = frame.temporary(condition.shape, bits)
    frame.emit(np.bitwise_xor, a, b, chosen)
    frame.emit(np.bitwise_and, chosen, mask, chosen)
    out = frame.output(op.outputs[0], op.inputs[1:], condition.shape)
    frame.emit(np.bitwise_xor, chosen, b, out.view(bits))


@lowers("reduce")
def _lower_reduce(frame: Frame, op: Op) -> None:
    (x,) = op.inputs
    function, axes, keepdims = op.attributes
    source, value = frame.array(x), op.outputs[0]
    out = frame.output(value)
    is_float = source.dtype == value.dtype and source.dtype in (np.float32, np.float64)
    plain = is_float and source.ndim > 1 and source.flags.c_contiguous and out.flags.c_contiguous
    if not axes:
        frame.copy(out, source)
    elif function is np.add and axes == (x.ndim - 1,) and plain and 1 < source.shape[-1] <= LONGEST_PLAIN_SUM:
        # A sum over the columns is several times faster as a matrix-vector product of the BLAS
        ones = np.ones(source.shape[-1], source.dtype)
        frame.emit(np.dot, source.reshape(-1, source.shape[-1]), ones, out.reshape(-1))
    else:
        frame.emit(function.reduce, source, axes if len(axes) > 1 else axes[0], value.dtype, out, keepdims)


@lowers("dot")
def _lower_dot(frame: Frame, op: Op) -> None:
    """Sum products over the last axes."""
    value, count = op.outputs[0], op.attributes
    a, b = (_with_one_axis(frame, x, count) for x in op.inputs)
    out = frame.output(value)
    if a.shape[-1] > LONGEST_DOT:
        for index in np.ndindex(value.shape):
            _dot_in_pieces(frame, a[index], b[index], out[(*index, ...)])
    else:
        frame.emit(np.vecdot if value.ndim else np.dot, a, b, out)


def _dot_in_pieces(frame: Frame, a: NDArray, b: NDArray, out: NDArray) -> None:
    """Sum products in pieces, for accuracy: the BLAS sums in the arrays' own precision."""
    starts = range(0, len(a), LONGEST_DOT)
    sums = frame.temporary((len(starts),), a.dtype)
    for i, start in enumerate(starts):
        piece = slice(start, start + LONGEST_DOT)
        frame.emit(np.dot, a[piece], b[piece], sums[i, ...])
    frame.emit(np.add.reduce, sums, 0, None, out)


def _with_one_axis(frame: Frame, value: Value, count: int) -> NDArray:
    """Return a value with its last axes as one, whose numbers lie one after the other."""
    array = frame.array(value)
    flat = array.reshape(*array.shape[: array.ndim - count], -1)
    if not flat.size or (np.may_share_memory(flat, array) and flat.strides[-1] == flat.itemsize):
        return flat
    return _contiguous(frame, value).reshape(flat.shape)


def _contiguous(frame: Frame, value: Value) -> NDArray:
    array = frame.array(value)
    if array.flags.c_contiguous:
        return array
    buffer = frame.temporary(array.shape, array.dtype)
    frame.copy(buffer, array)
    return buffer


@lowers("matmul")
def _lower_matmul(frame: Frame, op: Op) -> None:
    a, b = (frame.array(x) for x in op.inputs)
    value = op.outputs[0]
    out = frame.output(value)
    same = a.dtype == b.dtype == value.dtype and value.dtype.kind == "f"
    if same and a.ndim == b.ndim and a.ndim > 1 and a.shape[-1] == 1:
        frame.emit(np.multiply, a, b, out)  # a column times a row
    elif same and a.ndim == b.ndim == 2 and out.flags.c_contiguous:
        frame.emit(np.dot, a, b, out)
    elif same and a.ndim > 2 and b.ndim == 2 and a.flags.c_contiguous and out.flags.c_contiguous:
        # A stack times one matrix is one product
        frame.emit(np.dot, a.reshape(-1, a.shape[-1]), b, out.reshape(-1, out.shape[-1]))
    else:
        copied = same and a.ndim == b.ndim == 3 and _copying_pays(a, b)
        frame.emit(np.matmul, a, _contiguous(frame, op.inputs[1]) if copied else b, out)


def _copying_pays(a: NDArray, b: NDArray) -> bool:
    """Tell whether a product of two stacks takes less time with a copy of the second one."""
    rows, inner = a.shape[-2:]
    results = rows * b.shape[-1]
    fits = rows >= FEWEST_ROWS and results >= FEWEST_RESULTS and results * inner <= MOST_MULTIPLICATIONS
    return fits and b.strides[-2] == b.itemsize and not COPYING_KERNELS.isdisjoint(BLAS.architectures())


@lowers("view")
def _lower_view(frame: Frame, op: Op) -> None:
    (value,) = op.outputs
    source = frame.array(op.inputs[0])
    view = op.attributes[1](source)
    if op.attributes[0] == "reshape" and view.size and not np.may_share_memory(view, source):
        frame.copies.add(value)
        frame.copy(frame.output(value).reshape(source.shape), source)
    else:
        frame.arrays[value] = view


@lowers("join")
def _lower_join(frame: Frame, op: Op) -> None:
    array = frame.join(op.outputs[0])
    for index, x in enumerate(op.inputs):
        part, source = join_part(array, op, index), frame.array(x)
        if source.ctypes.data != part.ctypes.data or not np.may_share_memory(source, part):
            frame.copy(part, source)


@lowers("take")
def _lower_take(frame: Frame, op: Op) -> None:
    source, indices = (frame.array(x) for x in op.inputs)
    frame.emit(_store, frame.output(op.outputs[0]), source.take, indices, op.attributes)


@lowers("call")
def _lower_call(frame: Frame, op: Op) -> None:
    function, options = op.attributes
    operands = [frame.array(x) for x in op.inputs]
    frame.emit(_store, frame.output(op.outputs[0]), functools.partial(function, **options), *operands)


def _store(out: NDArray, function: Callable[..., Any], *operands: Any) -> None:
    """Call a function that has nowhere to write to, and copy its result into place."""
    out[...] = function(*operands)
