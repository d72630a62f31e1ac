"""Compiled functions: their programs, by the structure of the arguments, and the call."""

import math
import operator
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from vecprop.backend.blas import SMALL_PRODUCT
from vecprop.utils.threads import after_fork
from vecprop_numpy import blocks, loops, lowering  # noqa: F401 - they enter what they lower into a table
from vecprop_numpy.frames import Frame, Pool
from vecprop_numpy.functions import TraceNamespace
from vecprop_numpy.graph import Graph, NDArray, Value
from vecprop_numpy.rewrites import REWRITES
from vecprop_numpy.threads import BLAS, execute, usable_threads
from vecprop_numpy.trees import FIXED, Static, Structure, flatten, static, unflatten

# Recording a function takes milliseconds. Programs for small data take the data as an ordinary argument, so that the
# next run of the same shape can use them. Limits in bytes: SMALL_DATA for the data, SMALL_CALL for those of a function
# that is compiled for single calls, SMALL_PROGRAM for a program, ALL_PROGRAMS for all of them.
SMALL_DATA = 1 << 19
SMALL_CALL = 1 << 22
SMALL_PROGRAM = 1 << 23
ALL_PROGRAMS = 1 << 26
# The objects of a program take some 100 KB in addition.
MOST_PROGRAMS = 256


class Program:
    """One recorded function with all its memory, for one caller at a time."""

    def __init__(
        self, function: Callable[..., Any], structure: Structure, leaves: Sequence[NDArray], bound: frozenset[int]
    ) -> None:
        graph = Graph(TraceNamespace, REWRITES)
        values = [graph.leaf(a.shape, a.dtype) for a in leaves]
        result = function(*unflatten(structure, iter(values)))
        found: list[Any] = []
        self.structure = flatten(result, found)
        results = [graph.value(x) for x in found]
        # BLAS threads keep their cores busy for a while after a product, so our threads need the BLAS to use only one.
        threads = usable_threads()
        shared = threads > 1 and any(op.kind == "blocks" for op in graph.ops)
        products = (  # the multiplications of each, for one of a stack
            math.prod(op.outputs[0].shape[-2:]) * op.inputs[0].shape[-1] for op in graph.ops if op.kind == "matmul"
        )
        self.one_blas_thread = threads > 1 and (shared or max(products, default=0) < SMALL_PRODUCT)
        pools = [Pool() for _ in range(threads if shared else 1)]
        frame = Frame(graph.scopes[0], results, pools)
        self.inputs: list[tuple[NDArray, int]] = []
        for i, (value, array) in enumerate(zip(values, leaves, strict=True)):
            if i in bound:
                frame.arrays[value] = array
            else:
                self.inputs.append((frame.argument(value), i))
        frame.build()
        self.code = frame.code
        self.results = [frame.array(v) for v in results]
        self.bytes = sum(pool.allocated for pool in pools) + sum(buffer.nbytes for buffer, _ in self.inputs)

    def __call__(self, leaves: Sequence[Any]) -> Any:
        """Run the program for these arguments."""
        for buffer, i in self.inputs:
            buffer[...] = leaves[i]
        if self.one_blas_thread:
            with BLAS.single():
                execute(self.code)
        else:
            execute(self.code)
        return unflatten(self.structure, iter([a.copy() for a in self.results]))


class Shelf:
    """Idle small programs, kept for the next caller; the oldest are dropped when it is full."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.programs: OrderedDict[Any, list[Program]] = OrderedDict()
        self.bytes = 0
        self.count = 0

    def take(self, key: Any) -> Program | None:
        """Return a program of this key, or None."""
        with self.lock:
            programs = self.programs.get(key)
            if not programs:
                return None
            program = programs.pop()
            if not programs:
                del self.programs[key]
            self.bytes -= program.bytes
            self.count -= 1
            return program

    def give(self, key: Any, program: Program) -> None:
        """Keep a program."""
        with self.lock:
            self.programs.setdefault(key, []).append(program)
            self.programs.move_to_end(key)
            self.bytes += program.bytes
            self.count += 1
            while self.bytes > ALL_PROGRAMS or self.count > MOST_PROGRAMS:
                _, oldest = self.programs.popitem(last=False)
                self.bytes -= sum(p.bytes for p in oldest)
                self.count -= len(oldest)


SHELF = Shelf()


@after_fork
def _after_fork() -> None:
    """Begin with an empty shelf and a new lock: a thread that was not forked may hold the old one."""
    SHELF.__init__()  # type: ignore[misc]


class Compiled:
    """A function compiled by `NumPyBackend.compile_loop`."""

    small, binds = SMALL_DATA, True

    def __init__(self, function: Callable[..., Any], static: tuple[int, ...], bound: tuple[int, ...]) -> None:
        self.function = function
        self.static = frozenset(static)
        self.bound = frozenset(bound)
        self.lock = threading.Lock()
        # Idle programs by structure of the arguments; None if it cannot be recorded
        self.idle: dict[Any, list[Program] | None] = {}
        self.data: list[Any] = []
        self.fixed: dict[int, tuple[Any, Static]] = {}

    def __call__(self, *args: Any) -> Any:
        """Return function(*args)."""
        leaves: list[Any] = []
        entries: list[Structure] = []
        bound: list[int] = []
        for i, argument in enumerate(args):
            before = len(leaves)
            entries.append(self._fixed(i, argument) if i in self.static else flatten(argument, leaves))
            if i in self.bound:
                bound += range(before, len(leaves))
        if any(type(a) is Value for a in leaves):  # it is called while another function is recorded
            return self.function(*args)
        structure = (tuple, tuple(entries))
        key = (structure, tuple([(a.shape, a.dtype) for a in leaves]))
        shared = bool(bound) and sum([leaves[i].nbytes for i in bound]) <= self.small
        if shared:
            bound = []
        try:
            programs = self._programs(key, [leaves[i] for i in bound]) if shared or self.binds else None
        except TypeError:  # an argument that is not an array cannot be hashed
            programs = None
        if programs is None:
            return self.function(*args)
        shelf = (self.function, key, usable_threads()) if shared else None
        program = SHELF.take(shelf) if shared else None
        try:
            program = program or programs.pop()  # atomic: no other thread gets this program
        except IndexError:
            try:
                program = Program(self.function, structure, leaves, frozenset(bound))
            except MemoryError:  # running the function unrecorded takes even more
                raise
            except Exception:  # noqa: BLE001 - if it is the function's own error, the function raises it now
                result = self.function(*args)
                self.idle[key] = None
                return result
        result = program(leaves)
        # not after an exception: another thread may still be using its memory
        if shared and program.bytes <= SMALL_PROGRAM:
            SHELF.give(shelf, program)
        else:
            programs.append(program)
        return result

    def _fixed(self, place: int, argument: Any) -> Structure:
        """Return a static argument as a structure, nearly always the same object in all calls."""
        last, known = self.fixed.get(place, (None, None))
        if known is None or last is not argument:
            try:
                known = static(argument)
            except TypeError:  # not hashable
                return FIXED, type(argument), argument
            self.fixed[place] = argument, known
        return known

    def _programs(self, key: Any, data: list[Any]) -> list[Program] | None:
        """Return the idle programs, or None if the function cannot be recorded."""
        with self.lock:
            other = len(data) != len(self.data) or not all(map(operator.is_, data, self.data))
            if other or len(self.idle) > MOST_PROGRAMS:
                self.idle = {}
                self.data = data
            return self.idle.setdefault(key, [])


class CompiledForCalls(Compiled):
    """A function compiled by `NumPyBackend.compile`, for the whole process: it must not keep anybody's data."""

    small, binds = SMALL_CALL, False


def run_once(function: Callable[..., Any], args: Sequence[Any]) -> Any:
    """Return function(*args), recorded and run once, with nothing kept."""
    leaves: list[Any] = []
    structure = (tuple, tuple([flatten(a, leaves) for a in args]))
    return Program(function, structure, leaves, frozenset(range(len(leaves))))(leaves)
