"""Functions captured as CUDA graphs: all their kernels are launched at once, without Python between them.

A kernel takes the device a microsecond or two, and Python five to thirty. So a function that is called again with
arrays of the same shapes, such as the epochs of a run, is captured in its second call, when all its kernels have been
compiled, and replayed from then on. Arguments are copied to where the graph reads them, results from where it leaves
them; what it computes in between has memory of its own. Capturing takes the time of a call that is not captured.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import cupy

from vecprop.backend.device_memory import DeviceMemory
from vecprop.backend.pytrees import leaves_of, map_tree
from vecprop_cupy.products import as_arrays, as_operands, float32_compute_type, library

_log = logging.getLogger(__name__)


def capturing() -> bool:
    """Tell whether what is launched now is captured."""
    return bool(cupy.cuda.get_current_stream().is_capturing())


class Graph:
    """A function captured with all its memory, for one caller at a time.

    inputs : the arguments that the graph reads: those that are bound themselves, and places for the others
    """

    def __init__(self, function: Callable[[Any], Any], inputs: Any, room: int) -> None:
        self._inputs, self._pool = inputs, cupy.cuda.MemoryPool()
        self._pool.set_limit(size=max(room, 1))
        stream = cupy.cuda.Stream(non_blocking=True)
        with cupy.cuda.using_allocator(self._pool.malloc), stream:
            stream.begin_capture()
            try:
                self._results = function(inputs)
            except BaseException:
                with suppress(Exception):  # a capture that the error has ended cannot be ended again
                    stream.end_capture()
                raise
            self._graph = stream.end_capture()

    def __call__(self, given: Any) -> Any:
        """Return function(given)."""
        for place, a in zip(leaves_of(self._inputs), leaves_of(given), strict=True):
            if isinstance(a, cupy.ndarray) and a is not place:
                place[...] = a
        self._graph.launch()
        return map_tree(cupy.ndarray.copy, self._results)


class Captured:
    """A function as `CuPyBackend.compile_loop` compiles it.

    why_not : why its calls are not captured, or None
    """

    def __init__(
        self, function: Callable[..., Any], static: tuple[int, ...], bound: tuple[int, ...], memory: DeviceMemory
    ) -> None:
        self.why_not = None if library() is not None else "the functions of cuBLAS are not found"
        self._function, self._static, self._bound, self._memory = function, static, bound, memory
        self._graphs: dict[Any, Graph | None] = {}  # by the form of the arguments; None after the first call
        self._lock = threading.Lock()

    def __call__(self, *args: Any) -> Any:
        """Return function(*args)."""
        given = tuple(None if i in self._static else a for i, a in enumerate(args))

        def run(given: Any) -> Any:
            operands = as_operands(given)
            return as_arrays(self._function(*(b if a is None else a for a, b in zip(operands, args, strict=True))))

        if self.why_not is not None or capturing():  # captured as a part of another function
            return run(given)
        with self._lock:
            try:
                graph = self._graph(run, args, given)
            except Exception as error:  # noqa: BLE001 - if it is the function's own error, the function raises it now
                self.why_not, self._graphs = f"{type(error).__name__}: {error}", {}
                _log.info("%s is not captured as a CUDA graph: %s", self._function.__name__, self.why_not)
                graph = None
            return run(given) if graph is None else graph(given)

    def _graph(self, run: Callable[[Any], Any], args: Any, given: Any) -> Graph | None:
        """Return the graph for arguments of this form, or None in their first call."""
        forms = (a if i in self._static else _form(a, i in self._bound) for i, a in enumerate(args))
        key = (float32_compute_type(), *forms)
        if key not in self._graphs:
            self._graphs[key] = None
        elif self._graphs[key] is None:
            self._memory.release()  # what the first call has used, as the graph needs as much
            inputs = tuple(a if i in self._bound else map_tree(_place, a) for i, a in enumerate(given))
            self._graphs[key] = Graph(run, inputs, self._memory.free() or 0)
        return self._graphs[key]


def _form(tree: Any, bound: bool) -> Any:
    """Return the key of a graph: shapes, dtypes, orders in memory, numbers, and the addresses of bound arrays."""
    if isinstance(tree, tuple):
        return type(tree), tuple([_form(a, bound) for a in tree])
    if isinstance(tree, cupy.ndarray):
        return tree.shape, tree.dtype, tree.strides, tree.data.ptr if bound else None
    return type(tree), tree


def _place(leaf: Any) -> Any:
    """Return memory for an argument, or a number as it is."""
    return cupy.empty_like(leaf) if isinstance(leaf, cupy.ndarray) else leaf
