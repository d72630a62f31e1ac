"""The NumPy backend: the default, on the CPU. NumPy follows the array API standard itself.

Repeated computations are recorded and replayed. README.md beside this file follows one step through it.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from vecprop.backend.contract import Arrays, Backend, BatchStep, Carry, Function, Step, Tree
from vecprop.backend.device_memory import LARGEST_GROUP, DeviceMemory
from vecprop.backend.namespaces import NAMESPACES, Array, marked
from vecprop.backend.placement import Columns
from vecprop_numpy.graph import Graph, Value
from vecprop_numpy.programs import SMALL_CALL, Compiled, CompiledForCalls, run_once
from vecprop_numpy.recording import record_batches, record_blocks, record_fused
from vecprop_numpy.threads import usable_threads
from vecprop_numpy.trees import flatten

__all__ = ["NumPyBackend"]


# Bytes for the numbers of a block, within an L2 cache of 1 to 2 MB.
CACHE = 1 << 20
# The least columns of a block, in a mini-batch divided among threads and in a full batch: fewer make slow products.
NARROWEST_BLOCK = 256
NARROWEST_OF_MANY = 2048
# Computing fewer numbers than this is not worth a second thread.
SMALLEST_WORK = 1 << 18
# A stack whose steps, or whose compiled calls, make fewer numbers is not divided among threads, as each thread has to
# make all the calls.
SMALLEST_STACK, SMALLEST_CALL = 1 << 19, 1 << 20


def _graph(*trees: Any) -> Graph | None:
    """Return the graph that is being recorded, or None if no array is symbolic."""
    leaves: list[Any] = []
    for tree in trees:
        flatten(tree, leaves)
    return next((leaf.graph for leaf in leaves if isinstance(leaf, Value)), None)


@lru_cache(maxsize=64)
def _for_calls(function: Function) -> Function:
    return CompiledForCalls(function, marked(function, "Static"), marked(function, "Bound"))


class NumPyMemory(DeviceMemory):
    """Main memory and the caches of the CPU."""

    def auto_block(self, m: int, units: int, itemsize: int) -> int | None:
        """Return the columns that a thread computes at once, to stay in its L2 cache; None for too little work."""
        if m * units < SMALLEST_WORK:
            return None
        narrowest = NARROWEST_OF_MANY if m >= 8 * NARROWEST_OF_MANY else NARROWEST_BLOCK
        block = max(CACHE // (units * itemsize), narrowest)
        threads = usable_threads()
        if m < 2 * block:
            # One block for each thread shares the elementwise work and the update too, not only the products
            return -(-m // threads) if threads > 1 else None
        rounds = -(-m // (block * threads))  # blocks for each thread, all of one size
        return -(-m // (rounds * threads))

    def worth_blocks(self, m: int, inputs: int, others: int, itemsize: int) -> bool:
        """Blocks spare new memory for all that is made of X; a program for small data is kept for the next call."""
        return m * others >= (1 << 20 if m * inputs * itemsize <= SMALL_CALL else 1 << 22)

    def auto_groups(self, networks: int, numbers: int, steps: int) -> tuple[int, int]:
        """Return the groups of a stack's networks and the threads that share them."""
        if numbers < SMALLEST_STACK or numbers * steps < SMALLEST_CALL:
            return 1, 1
        threads = min(networks, usable_threads())
        return min(networks, threads * -(-numbers // (threads * LARGEST_GROUP))), threads


class NumPyBackend(Backend):
    """NumPy on the CPU."""

    flat_parameters: ClassVar[bool] = True
    memory: DeviceMemory = NumPyMemory()

    def __init__(self) -> None:
        super().__init__(np, "numpy")
        NAMESPACES[np.ndarray] = np

    def compile(self, function: Function) -> Function:
        """Return a function with `Bound` arguments as a recorded program, if they are small; others as they are."""
        return _for_calls(function) if marked(function, "Bound") else function

    def compile_loop(self, function: Function, *, bound: bool = True, donated: bool = True) -> Function:  # noqa: ARG002
        """Return the function as a recorded program, replayed in its own memory."""
        return Compiled(function, marked(function, "Static"), marked(function, "Bound") if bound else ())

    def fuse(self, function: Function) -> Function:
        """Return the function, recorded as one operation that runs in chunks of the arrays."""

        def fused(*arrays: Array) -> Any:
            graph = _graph(arrays)
            return function(*arrays) if graph is None else record_fused(graph, function, arrays)

        return fused

    def scan(self, step: Step[Carry], carry: Carry, inputs: Arrays) -> tuple[Carry, Arrays]:
        """Run the steps, or record one while a program is recorded."""
        graph = _graph(carry, inputs)
        if graph is None:
            return super().scan(step, carry, inputs)
        return record_batches(graph, lambda c, _, x: step(c, x), carry, (), None, 1, inputs)  # type: ignore[no-any-return]

    def scan_batches(
        self, step: BatchStep[Carry], carry: Carry, data: Columns, order: Array | None, batch_size: int, inputs: Arrays
    ) -> tuple[Carry, Arrays]:
        """Run the steps, or record one, which gathers one batch, while a program is recorded."""
        graph = _graph(carry, data, order, inputs)
        if graph is None:
            return super().scan_batches(step, carry, data, order, batch_size, inputs)
        return record_batches(graph, step, carry, data, order, batch_size, inputs)  # type: ignore[no-any-return]

    def sum_blocks(self, function: Callable[..., Tree], block_size: int, *arrays: Array | None) -> Tree:
        """Return the sum of function(*blocks), recorded for one block, replayed on all cores."""
        graph = _graph(arrays)
        if graph is not None:
            return record_blocks(graph, function, block_size, arrays)  # type: ignore[no-any-return]
        try:
            return run_once(lambda *a: self.sum_blocks(function, block_size, *a), arrays)  # type: ignore[no-any-return]
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - if it is the function's own error, the function raises it now
            return super().sum_blocks(function, block_size, *arrays)

    def describe(self) -> Mapping[str, str]:
        blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
        return {
            "numpy": np.__version__,
            "BLAS": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        }
