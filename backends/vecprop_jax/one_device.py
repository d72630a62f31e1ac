"""JAX on one device, jit-compiled.

JAX would take three quarters of a GPU's memory at its first use; unless the user has said otherwise, or has imported
JAX already, it is told to take what it needs.
"""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import lru_cache
from typing import Any, ClassVar

if "jax" not in sys.modules:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vecprop.backend.contract import Backend, Carry, Tree, add_trees, to_host
from vecprop.backend.main_memory import room_below_the_limit
from vecprop.backend.namespaces import Array, on_cuda
from vecprop.utils.directories import why_not_private
from vecprop.utils.errors import BackendUnusableError

_WIDE = {"float64", "int64", "uint64", "complex128"}
# JAX's own default is TensorFloat-32 on recent GPUs.
_MATMUL_PRECISION = {"highest": "highest", "fast": "tensorfloat32"}


# A compiled program takes some 4 MB, and each function has one for each network and shape; JAX itself would keep 4096.
MOST_PROGRAMS = 128
# XLA's compiler does not raise an error where `ulimit -v` leaves too little, it aborts; measured: at 20 MiB, not at 50.
COMPILER_MEMORY = 1 << 26


@lru_cache(maxsize=256)
def _jit(function: Callable[..., Any], static: tuple[int, ...], donated: tuple[int, ...] = ()) -> Any:
    return jax.jit(function, static_argnums=static, donate_argnums=donated)


def compiled(
    function: Callable[..., Any], static: tuple[int, ...], donated: tuple[int, ...] = ()
) -> Callable[..., Any]:
    """Return the function under `jax.jit`, with its programs forgotten when there are too many of them."""
    jitted = _jit(function, static, donated)
    if jitted._cache_size() >= MOST_PROGRAMS:
        jitted.clear_cache()
    return jitted  # type: ignore[no-any-return]


_forked = False  # this process is a copy, by os.fork, of one that had JAX; JAX's threads are not in it


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def require_what_jax_needs() -> None:
    """Raise an error where JAX would wait for ever, or end the process."""
    room = room_below_the_limit()
    if room is not None and room < COMPILER_MEMORY and jax.default_backend() == "cpu":
        raise MemoryError(f"XLA may need {COMPILER_MEMORY} bytes to compile, and ends the process if it gets none")
    if _forked:
        raise BackendUnusableError(
            "JAX cannot compute in a process made by os.fork() after JAX was loaded: its threads were not forked, and "
            "it would wait for them for ever. Use NumPy there (vecprop.use_backend('numpy')), or start processes "
            "otherwise: multiprocessing.get_context('spawn'), or joblib's default, which scikit-learn's n_jobs uses"
        )


def _refuse_shared_cache() -> None:
    """Raise BackendUnusableError if JAX is told to keep compiled programs where others can put theirs."""
    folder = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if folder and "://" not in folder and (why := why_not_private(folder)):
        raise BackendUnusableError(
            f"JAX would take compiled programs from its cache {folder}, and {why}: what somebody else puts there would "
            "run as yours. Set JAX_COMPILATION_CACHE_DIR to a folder of your own (chmod 700), or unset it"
        )


class JAXOnOneDevice(Backend):
    """JAX on its default device."""

    compiles_shapes: ClassVar[bool] = True
    least_memory: ClassVar[int] = COMPILER_MEMORY

    def __init__(self) -> None:
        super().__init__(jnp, "jax")
        require_what_jax_needs()
        _refuse_shared_cache()

    def asarray(self, values: Any, dtype: str | None = None) -> Array:
        """Return the values as a JAX array; float64 stays float64, with the global flag untouched.

        An array of another library on the same GPU is not copied.
        """
        require_what_jax_needs()
        foreign = not isinstance(values, jax.Array)
        shared = foreign and on_cuda(values)
        if foreign and not shared:
            values = to_host(values)
        wanted = dtype or str(values.dtype)
        # an array 64 bits wide can only be made, and only be read, where x64 is enabled
        with jax.enable_x64(True) if _WIDE & {wanted, str(values.dtype)} else ExitStack():
            return jnp.asarray(jnp.from_dlpack(values) if shared else values, dtype=wanted)

    def argument(self, values: npt.NDArray[Any], dtype: str) -> Array:
        """Return the values in NumPy: a compiled function moves them itself, in a third of the time."""
        return values.astype(dtype, copy=False)

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        """Return a copy on the host."""
        return np.array(array)

    def scope(self, dtype: str, precision: str) -> AbstractContextManager[object]:
        """Return the context for `dtype` and `precision`: JAX keeps float64 only where x64 is enabled."""
        require_what_jax_needs()
        stack = ExitStack()
        if dtype == "float64":
            stack.enter_context(jax.enable_x64(True))
        stack.enter_context(jax.default_matmul_precision(_MATMUL_PRECISION[precision]))
        return stack

    def compile(self, function: Callable[..., Any], static: tuple[int, ...] = ()) -> Callable[..., Any]:
        """Return `jax.jit(function)`, the same one for the same function, so that nothing is compiled twice."""
        return compiled(function, static)

    def scan(
        self,
        step: Callable[[Carry, Any], tuple[Carry, tuple[Array, ...]]],
        carry: Carry,
        inputs: tuple[Array, ...],
    ) -> tuple[Carry, tuple[Array, ...]]:
        """Run the steps as one `lax.scan`."""
        return jax.lax.scan(step, carry, inputs)

    def compile_loop(
        self,
        function: Callable[..., Any],
        static: tuple[int, ...] = (),
        bound: tuple[int, ...] = (),  # noqa: ARG002
        donated: tuple[int, ...] = (),
    ) -> Callable[..., Any]:
        """Return `jax.jit(function)` that may write over the donated arguments."""
        return compiled(function, static, donated)

    def arrange(self, array: Array) -> Array:
        """Return the examples in rows: the numbers of one example stand together and are gathered as one."""
        return array.T if array.ndim == 2 else array

    def load_columns(self, columns: npt.NDArray[Any], dtype: str) -> Array:
        """Return a copy on the device."""
        require_what_jax_needs()
        with jax.enable_x64(True) if dtype == "float64" else ExitStack():
            return jax.block_until_ready(jnp.array(columns, dtype=dtype, copy=True))  # type: ignore[no-untyped-call]

    def load(self, columns: npt.NDArray[Any], dtype: str) -> Array:
        """Return the examples in rows, which they are in memory already."""
        return self.load_columns(columns.T, dtype)

    def scan_batches(
        self,
        step: Callable[[Carry, tuple[Array | None, ...], tuple[Array, ...]], tuple[Carry, tuple[Array, ...]]],
        carry: Carry,
        data: tuple[Array | None, ...],
        order: Array | None,
        batch_size: int,
        inputs: tuple[Array, ...],
    ) -> tuple[Carry, tuple[Array, ...]]:
        """Run over mini-batches: the examples are put in order once, then cut; or each batch is gathered by itself."""
        m = next(a.shape[0] for a in data if a is not None) if order is None else order.shape[-1]
        whole, present = m // batch_size, [a is not None for a in data]
        rows = [a for a in data if a is not None]
        gathers = order is not None and self._gathers_each_batch(order)
        if order is not None and not gathers:
            rows = [jnp.take(a, order, axis=0) for a in rows]

        def run(carry: Carry, batch: list[Array], x: tuple[Array, ...]) -> tuple[Carry, tuple[Array, ...]]:
            columns = iter(batch)
            return step(carry, tuple(next(columns) if there else None for there in present), x)

        def unpack(carry: Carry, x: tuple[Array, ...]) -> tuple[Carry, tuple[Array, ...]]:
            if gathers:
                return run(carry, [self._columns_at(a, x[0]) for a in rows], x[1:])
            return run(carry, [_in_columns(b, a) for a, b in zip(rows, x, strict=False)], x[len(rows) :])

        first = whole * batch_size
        if gathers:
            cut = [jnp.moveaxis(order[..., :first].reshape(*order.shape[:-1], whole, batch_size), -2, 0)]  # type: ignore[index, union-attr]
        else:
            cut = [a[:first].reshape(whole, batch_size, *a.shape[1:]) for a in rows]
        carry, outputs = jax.lax.scan(unpack, carry, (*cut, *(a[:whole] for a in inputs)))
        if m > first:
            rest = (order[..., first:],) if gathers else tuple(a[first:] for a in rows)  # type: ignore[index]
            carry, last = unpack(carry, (*rest, *(a[whole] for a in inputs)))
            outputs = tuple(jnp.concatenate([o, a[None]]) for o, a in zip(outputs, last, strict=True))
        return carry, outputs

    def _gathers_each_batch(self, order: Array) -> bool:
        """Whether a batch is gathered when its turn comes: K orders of all the examples would be K copies of them."""
        return bool(order.ndim == 2)

    def _columns_at(self, rows: Array, places: Array) -> Array:
        """Return the columns (…, n, B), or weights (…, B), at some places (…, B) of rows (m, n) or (m,)."""
        return _in_columns(jnp.take(rows, places, axis=0), rows)

    def sum_blocks(self, function: Callable[..., Tree], block_size: int, *arrays: Array | None) -> Tree:
        """Sum over column blocks: a compiled loop over the whole blocks, then the ragged last one."""
        m = next(a.shape[-1] for a in arrays if a is not None)
        whole = m // block_size

        def block(start: Any, size: int) -> Tree:
            return function(
                *(None if a is None else jax.lax.dynamic_slice_in_dim(a, start, size, axis=-1) for a in arrays)
            )

        if whole == 0:
            return block(0, m)
        total = block(0, block_size)
        if whole > 1:

            def add(sums: Tree, i: Any) -> tuple[Tree, None]:
                return add_trees(sums, block(i * block_size, block_size)), None

            total, _ = jax.lax.scan(add, total, jnp.arange(1, whole))
        if m % block_size:
            total = add_trees(total, block(whole * block_size, m % block_size))
        return total

    def map_blocks(self, function: Callable[[Array], Array], block_size: int, array: Array) -> Array:
        """Map over column blocks: a compiled loop over the whole blocks, then the ragged last one."""
        m = array.shape[-1]
        whole = m // block_size
        parts = []
        if whole:
            starts = jnp.arange(whole) * block_size
            blocks = jax.lax.map(lambda s: function(jax.lax.dynamic_slice_in_dim(array, s, block_size, -1)), starts)
            blocks = jnp.moveaxis(blocks, 0, -2)
            parts.append(blocks.reshape(*blocks.shape[:-2], whole * block_size))
        if m % block_size:
            parts.append(function(array[..., whole * block_size :]))
        return jnp.concatenate(parts, axis=-1)

    def auto_block(self, m: int, units: int, itemsize: int) -> int | None:
        """Return the columns of one turn of a compiled loop: on a CPU as many as stay in the cache with their numbers.

        On a GPU all at once, or as many as take a quarter of the memory that is free.
        """
        if jax.default_backend() != "cpu":
            return self.fitting_block(m, units, itemsize)
        block = 2048 if units >= 32 else 8192
        return None if m < 4 * block else block

    def free_memory(self) -> int | None:
        """Return the memory free on the device, where it tells; on a CPU main memory."""
        told = jax.local_devices()[0].memory_stats()
        if told and "bytes_limit" in told:
            return int(told["bytes_limit"]) - int(told["bytes_in_use"])
        return super().free_memory()

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Tell it by XLA's word for it."""
        return super().is_out_of_memory(error) or (
            isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
        )

    @property
    def widest_pass(self) -> int | None:
        """On a CPU, the most columns before XLA's fusion of a product with its neighbours gets 25 times too slow."""
        return 8192 if jax.default_backend() == "cpu" else None

    def synchronize(self, array: Array) -> None:
        """Wait for the array."""
        jax.block_until_ready(array)  # type: ignore[no-untyped-call]

    @property
    def has_gpu(self) -> bool:
        """Whether JAX's default device is a GPU."""
        return jax.default_backend() == "gpu"

    def describe(self) -> Mapping[str, str]:
        """Return JAX's version and its default device."""
        device = jax.local_devices()[0]
        return {"jax": jax.__version__, "device": f"{device.platform.upper()} ({device.device_kind})"}


def _in_columns(batch: Array, rows: Array) -> Array:
    """Return a batch of rows (…, B, n) as columns, and one of weights (…, B) as it is."""
    return jnp.swapaxes(batch, -1, -2) if rows.ndim == 2 else batch
