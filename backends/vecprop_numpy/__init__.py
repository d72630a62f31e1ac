"""The NumPy backend: the CPU, and the default. NumPy is the array API standard already.

What is computed again and again is recorded and replayed. README.md beside this file follows one step on its way.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import array_api_compat.numpy
import numpy as np

from vecprop.backend.contract import Backend, Carry, Tree
from vecprop.backend.namespaces import Array
from vecprop_numpy.graph import Graph, Value
from vecprop_numpy.programs import Compiled, run_once
from vecprop_numpy.recording import record_batches, record_blocks, record_fused, record_scan
from vecprop_numpy.threads import usable_threads
from vecprop_numpy.trees import flatten

__all__ = ["NumPyBackend"]


# Bytes that the numbers of a block may take, of an L2 cache of 1 to 2 MB.
CACHE = 1 << 20
# Products of fewer columns are slow: in a mini-batch, which is to be divided among threads, and in a full batch.
NARROWEST_BLOCK = 256
NARROWEST_OF_MANY = 2048
# Numbers to compute below which a second thread does not pay.
SMALLEST_WORK = 1 << 18


def _graph(*trees: Any) -> Graph | None:
    """Return the graph that is being recorded, if one of the arrays is symbolic."""
    leaves: list[Any] = []
    for tree in trees:
        flatten(tree, leaves)
    return next((leaf.graph for leaf in leaves if isinstance(leaf, Value)), None)


class NumPyBackend(Backend):
    """NumPy on the CPU."""

    flat_parameters: ClassVar[bool] = True
    computes_in_main_memory: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__(array_api_compat.numpy, "numpy")

    def compile_loop(
        self,
        function: Callable[..., Any],
        static: tuple[int, ...] = (),
        bound: tuple[int, ...] = (),
        donated: tuple[int, ...] = (),  # noqa: ARG002
    ) -> Callable[..., Any]:
        """Return the function as a recorded program that is replayed in memory of its own."""
        return Compiled(function, static, bound)

    def fuse(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function; while a program is recorded it becomes one operation, done in chunks of the arrays."""

        def fused(*arrays: Array) -> Any:
            graph = _graph(arrays)
            return function(*arrays) if graph is None else record_fused(graph, function, arrays)

        return fused

    def scan(
        self,
        step: Callable[[Carry, Any], tuple[Carry, tuple[Array, ...]]],
        carry: Carry,
        inputs: tuple[Array, ...],
    ) -> tuple[Carry, tuple[Array, ...]]:
        """Run the steps; while a program is recorded, record one."""
        graph = _graph(carry, inputs)
        if graph is None:
            return super().scan(step, carry, inputs)
        return record_scan(graph, step, carry, inputs)  # type: ignore[no-any-return]

    def scan_batches(
        self,
        step: Callable[[Carry, tuple[Array | None, ...], tuple[Array, ...]], tuple[Carry, tuple[Array, ...]]],
        carry: Carry,
        data: tuple[Array | None, ...],
        order: Array | None,
        batch_size: int,
        inputs: tuple[Array, ...],
    ) -> tuple[Carry, tuple[Array, ...]]:
        """Run the steps; while a program is recorded, record one, which gathers a batch at a time."""
        graph = _graph(carry, data, order, inputs)
        if graph is None:
            return super().scan_batches(step, carry, data, order, batch_size, inputs)
        return record_batches(graph, step, carry, data, order, batch_size, inputs)  # type: ignore[no-any-return]

    def sum_blocks(self, function: Callable[..., Tree], block_size: int, *arrays: Array | None) -> Tree:
        """Return the sum of function(*blocks): recorded for one block, replayed for all, on all cores."""
        graph = _graph(arrays)
        if graph is not None:
            return record_blocks(graph, function, block_size, arrays)  # type: ignore[no-any-return]
        try:
            return run_once(lambda *a: self.sum_blocks(function, block_size, *a), arrays)  # type: ignore[no-any-return]
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - if it is the function's own error, the function raises it now
            return super().sum_blocks(function, block_size, *arrays)

    def auto_block(self, m: int, units: int, itemsize: int) -> int | None:
        """Return how many columns a thread computes at once: their numbers stay in its L2 cache.

        None where there is less than a block for each thread, or so little work that handing it out costs more.
        """
        if m * units < SMALLEST_WORK:
            return None
        narrowest = NARROWEST_OF_MANY if m >= 8 * NARROWEST_OF_MANY else NARROWEST_BLOCK
        block = max(CACHE // (units * itemsize), narrowest)
        threads = usable_threads()
        if m < 2 * block:
            # With one block for each thread the elementwise work and the update are shared too, not the products alone
            return -(-m // threads) if threads > 1 else None
        rounds = -(-m // (block * threads))  # blocks for each thread, all of one size
        return -(-m // (rounds * threads))

    def describe(self) -> Mapping[str, str]:
        """Return NumPy's version and the BLAS that computes its matrix products."""
        blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
        return {
            "numpy": np.__version__,
            "BLAS": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        }
