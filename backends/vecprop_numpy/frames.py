"""Turns a recorded graph into a list of NumPy calls that write into arrays allocated once.

Values that are not needed at the same time share memory; an elementwise operation overwrites an operand that is no
longer needed; the parts of a joined array are computed directly in it. Views cost nothing, as they are taken once, when
the program is built.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from vecprop_numpy.graph import NDArray, Op, Region, Scope, Shape, Value
from vecprop_numpy.threads import Code

ALIGNMENT = 64
# The function that writes the code of each kind of operation; lowering, loops and blocks enter theirs here.
Lowering: TypeAlias = "Callable[[Frame, Op], None]"
LOWERING: dict[str, Lowering] = {}
Pair: TypeAlias = tuple[NDArray, NDArray]  # where to, and what from
# Operations that can write their result to any given place.
_PRODUCERS = frozenset({"ufunc", "reduce", "matmul", "where", "cast", "dot", "blocks", "fuse"})
_ELEMENTWISE = frozenset({"ufunc", "where", "cast", "fuse"})


class Pool:
    """Memory that values use one after the other."""

    def __init__(self) -> None:
        self.free: list[NDArray] = []
        self.allocated = 0  # bytes

    def take(self, size: int) -> NDArray:
        """Return at least this many bytes: the smallest piece that is large enough, or a new one."""
        fitting = [i for i, memory in enumerate(self.free) if memory.size >= size]
        if fitting:
            return self.free.pop(min(fitting, key=lambda i: self.free[i].size))
        self.allocated += size + ALIGNMENT
        memory = np.empty(size + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        return memory[start : start + size]


class Destination(NamedTuple):
    """The final place of a result; `leaf` is the value in that memory until then."""

    array: NDArray
    leaf: Value | None


def lowers(kind: str) -> Callable[[Lowering], Lowering]:
    """Register a function that writes the code of a kind of operation."""

    def enter(function: Lowering) -> Lowering:
        LOWERING[kind] = function
        return function

    return enter


def uses(op: Op) -> list[Value]:
    """Return the values that an operation needs, including those in its bodies."""
    inner = [v for region in op.regions for v in free_values(region)]
    return [*op.inputs, *inner]


def free_values(region: Region) -> list[Value]:
    """Return the values of outer scopes that a body uses."""
    if region.free is None:
        depth = region.scope.depth
        ops = live_ops(region.scope, region.results)
        used = [v for op in ops for v in uses(op)] + region.results
        region.free = [v for v in used if v.op.scope.depth < depth]
    return region.free


def live_ops(scope: Scope, results: Iterable[Value]) -> list[Op]:
    """Return the operations of a scope that the results depend on."""
    needed = set(results)
    live = []
    for op in reversed(scope.ops):
        if any(v in needed for v in op.outputs):
            live.append(op)
            needed.update(uses(op))
    live.reverse()
    return live


class Frame:
    """The code and the arrays of one scope, built once or for each thread."""

    def __init__(
        self, scope: Scope, results: Sequence[Value], pools: Sequence[Pool], parent: "Frame | None" = None
    ) -> None:
        self.pools = pools  # one for each thread that may work at the same time, the first for this one
        self.pool = pools[0]
        self.parent = parent
        self.results = results
        self.chunked = False
        self.code: Code = []
        self.arrays: dict[Value, NDArray] = {}
        self.memory: dict[Value, NDArray] = {}  # of values and all their views, until their last use
        self.targets: dict[Value, Destination] = {}
        self.deliveries: list[tuple[Value, Destination]] = []
        self.places: dict[Value, tuple[Value, int]] = {}  # the join that a value is an entry of, and which one
        self.copies: set[Value] = set()
        self.scratch: list[NDArray] = []
        self.position = 0
        self.ends: list[int] = []  # the length of the code after each operation
        self.ops = live_ops(scope, results)
        self.scope = scope
        self.last: dict[Value, int] = {}
        for position, op in enumerate(self.ops):
            for value in uses(op):
                self._needed(value, position)
        for value in results:
            self._needed(value, len(self.ops))
        self._find_places()

    # Lifetimes and places of values

    def deliver_to(self, targets: Sequence[Destination | None]) -> None:
        """Set the final place of each result, None if it does not matter."""
        self.deliveries = [(v, t) for v, t in zip(self.results, targets, strict=True) if t is not None]
        for value, target in self.deliveries:
            self.targets.setdefault(value, target)

    def _needed(self, value: Value, position: int) -> None:
        """Note that a value is needed at a position, and the value whose memory it shares."""
        self.last[value] = max(self.last.get(value, -1), position)
        if value.op.kind == "view":
            self._needed(value.op.inputs[0], position)

    def _find_places(self) -> None:
        """Let entries of a concat or stack be computed in it, if they have no other place."""
        for op in self.ops:
            if op.kind != "join":
                continue
            (join,) = op.outputs
            for index, value in enumerate(op.inputs):
                while value.op.kind == "view" and value.op.attributes[0] in ("reshape", "expand_dims"):
                    value = value.op.inputs[0]
                fits = value.op.scope is self.scope and value.dtype == join.dtype
                if value.op.kind in _PRODUCERS and fits and value not in self.places:
                    self.places[value] = join, index
                    self._needed(join, self.last[value])

    def root(self, value: Value) -> Value:
        """Return the value that owns the memory of this one."""
        while value.op.kind == "view" and value not in self.copies:
            value = value.op.inputs[0]
        return value

    # Arrays

    def array(self, value: Value) -> NDArray:
        """Return the array that holds a value."""
        frame: Frame | None = self
        while frame is not None:
            if value in frame.arrays:
                return frame.arrays[value]
            frame = frame.parent
        assert value.op.kind == "constant", value
        array: NDArray = value.op.attributes
        return array if array.ndim else np.broadcast_to(array, value.shape)

    def operand(self, value: Value) -> NDArray:
        """Return a value's array for a broadcasting function; one number if constant."""
        return self.array(value) if value.splat is None else value.splat

    def temporary(self, shape: Shape, dtype: Any) -> NDArray:
        """Return memory that only this code uses."""
        memory = self.pool.take(math.prod(shape) * np.dtype(dtype).itemsize)
        self.scratch.append(memory)
        return shaped(memory, shape, dtype)

    def output(self, value: Value, over: Sequence[Value] = (), shape: Shape | None = None) -> NDArray:
        """Return the array for a value; maybe that of an operand in `over` last used here."""
        shape = value.shape if shape is None else shape
        target = self.targets.get(value)
        if target is not None and target.array.shape == shape and self._free(value, target):
            self.arrays[value] = target.array
            return target.array
        array = self._placed(value)
        if array is None:
            claimed = (self._claim(operand, shape, value.dtype) for operand in over)
            array = self._allocate(value, shape, next((memory for memory in claimed if memory is not None), None))
        self.arrays[value] = array
        return array

    def argument(self, value: Value) -> NDArray:
        """Return the array for an argument, whose memory is used again once it is not needed."""
        if value not in self.last:
            return np.empty(value.shape, value.dtype)
        self.position = -1
        return self.output(value)

    def _allocate(self, value: Value, shape: Shape, memory: NDArray | None = None) -> NDArray:
        if memory is None:
            memory = self.pool.take(math.prod(shape) * value.dtype.itemsize)
        self.memory[value] = memory
        return shaped(memory, shape, value.dtype)

    def _free(self, value: Value, target: Destination) -> bool:
        """Tell whether a result's array may be written now, as its old content is not needed."""
        if target.leaf is None:
            return True
        last, op = self.last.get(target.leaf, -1), value.op
        if last < self.position or (last == self.position and op.kind == "ufunc"):
            return True  # a ufunc handles operands that overlap its result
        if last > self.position:
            return False
        sharing = [x for x in uses(op) if self.root(x) is target.leaf]
        return op.kind in _ELEMENTWISE and all(x is target.leaf for x in sharing)

    def _placed(self, value: Value) -> NDArray | None:
        """Return the part of a concat or stack for a value, or None if its operation cannot write there."""
        if value not in self.places:
            return None
        join, entry = self.places[value]
        part = join_part(self.join(join), join.op, entry)
        array: NDArray = part.reshape(value.shape)
        op = value.op  # products of stacks may lie apart; those with one matrix are faster as one product
        strided = op.kind in ("ufunc", "reduce") or (op.kind == "matmul" and all(x.ndim == 3 for x in op.inputs))
        if part.flags.c_contiguous or (strided and np.may_share_memory(array, part)):
            return array
        del self.places[value]
        return None

    def join(self, value: Value) -> NDArray:
        """Return the array of a concat or stack, allocated with its first entry."""
        if value not in self.arrays:
            self.arrays[value] = self._allocate(value, value.shape)
        return self.arrays[value]

    def _claim(self, value: Value, shape: Shape, dtype: Any) -> NDArray | None:
        """Return the memory of a value last used here, of this shape and contiguous, now another's; else None."""
        root, array = self.root(value), self.arrays.get(value)
        if root not in self.memory or self.last[root] != self.position or root.op.kind == "join":
            return None
        if array is None or array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
            return None
        if array.ctypes.data != self.memory[root].ctypes.data or root.size != value.size:
            return None
        return self.memory.pop(root)

    # Building

    def emit(self, function: Any, *arguments: Any) -> None:
        """Add a call to the code."""
        self.code.append((function, arguments))

    def copy(self, target: NDArray, source: NDArray) -> None:
        """Add a copy to the code."""
        self.emit(np.copyto, target, source)

    def build(self) -> "Frame":
        """Write the code of all operations, then bring the results to their places."""
        for position, op in enumerate(self.ops):
            self.position = position
            LOWERING[op.kind](self, op)
            self._release()
            self.ends.append(len(self.code))
        self.position = len(self.ops)
        self._deliver()
        return self

    def code_after(self, values: Sequence[Value]) -> Code:
        """Return the calls that come after the last use of any of the values."""
        last = max((self.last.get(v, -1) for v in values), default=-1)
        return self.code if last < 0 else self.code[self.ends[last] :] if last < len(self.ops) else []

    def _release(self) -> None:
        for value in [v for v in self.memory if self.last.get(v, -1) <= self.position]:
            self.pool.free.append(self.memory.pop(value))

    def _deliver(self) -> None:
        """Copy results that were not computed in place; one that lies in another's place goes through a temporary."""
        moves = [
            (target.array, self.array(value))
            for value, target in self.deliveries
            if target.array is not self.array(value)
        ]
        targets = [target for target, _ in moves]
        for i, (target, source) in enumerate(moves):
            if any(np.may_share_memory(source, t) for t in targets):
                buffer = self.temporary(source.shape, source.dtype)
                self.copy(buffer, source)
                moves[i] = target, buffer
        for target, source in moves:
            self.copy(target, source)

    def close(self) -> None:
        """Give all memory back to the pool; this code still uses it, at other times than others."""
        self.pool.free += [*self.memory.values(), *self.scratch]
        self.memory.clear()
        self.scratch.clear()


def shaped(memory: NDArray, shape: Shape, dtype: Any) -> NDArray:
    """Return the start of a piece of memory as a C-ordered array."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    array: NDArray = memory[:size].view(dtype).reshape(shape)
    return array


def join_part(array: NDArray, op: Op, index: int) -> NDArray:
    """Return the part of a concat for entry `index`."""
    axis = op.attributes
    start = sum(v.shape[axis] for v in op.inputs[:index])
    cut = [slice(None)] * array.ndim
    cut[axis] = slice(start, start + op.inputs[index].shape[axis])
    part: NDArray = array[tuple(cut)]
    return part


def buffer_like(frame: Frame, array: NDArray, columns: int) -> NDArray:
    """Return a buffer (…, columns) whose columns are contiguous if those of the array are."""
    if array.ndim == 2 and array.strides[0] < array.strides[1]:
        return frame.temporary((columns, array.shape[0]), array.dtype).T
    return frame.temporary((*array.shape[:-1], columns), array.dtype)
