"""JAX on one device, jit-compiled.

By default JAX takes three quarters of a GPU's memory at its first use. Here it is told to take only what it needs,
unless the user has set that or has imported JAX already.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import lru_cache
from typing import Any, ClassVar

if "jax" not in sys.modules:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vecprop.backend.blas import usable_cores
from vecprop.backend.contract import Arrays, Backend, Carry, Function, Step, Tree, add_trees, to_host
from vecprop.backend.device_memory import LARGEST_GROUP, DeviceMemory
from vecprop.backend.main_memory import room_below_the_limit
from vecprop.backend.namespaces import NAMESPACES, Array, dtype_name, marked, on_cuda, share
from vecprop.backend.placement import Columns, Placement
from vecprop.utils.directories import refuse_shared_cache
from vecprop.utils.errors import BackendUnusableError
from vecprop.utils.threads import after_fork

_WIDE = {"float64", "int64", "uint64", "complex128"}
# JAX's own default is TensorFloat-32 on recent GPUs.
_MATMUL_PRECISION = {"highest": "highest", "fast": "tensorfloat32"}


# A compiled program takes some 4 MB, and a function has one for each network and shape; JAX itself would keep 4096.
MOST_PROGRAMS = 128
# With too little memory under `ulimit -v` XLA's compiler aborts instead of raising; measured: at 20 MiB, not at 50.
COMPILER_MEMORY = 1 << 26
# Arrays of _LARGE bytes and more are moved by way of NumPy; XLA's arrays begin at multiples of _ALIGNMENT bytes.
_LARGE = 1 << 22
_ALIGNMENT = 64
# A stack whose steps, or whose compiled calls, make fewer numbers is one program: each takes its time to start.
SMALLEST_STACK, SMALLEST_CALL = 1 << 16, 1 << 21
_LEVEL = "xla_backend_optimization_level"


@lru_cache(maxsize=256)
def _jit(function: Callable[..., Any], static: tuple[int, ...], donated: tuple[int, ...], quickly: bool) -> Any:
    options = {_LEVEL: 1} if quickly else None
    return jax.jit(function, static_argnums=static, donate_argnums=donated, compiler_options=options)


def compiled(function: Callable[..., Any], *, donated: bool = False, outermost: bool = False) -> Callable[..., Any]:
    """Return the function under `jax.jit`; programs are dropped when there are too many.

    outermost : whether it is never called within another: only then JAX takes options of the compiler. On a CPU level 1
        compiles in two thirds of the time, and a step is as fast; a level in XLA_FLAGS counts before it.
    """
    quickly = outermost and jax.default_backend() == "cpu" and _LEVEL not in os.environ.get("XLA_FLAGS", "")
    jitted = _jit(function, marked(function, "Static"), marked(function, "Donated") if donated else (), quickly)
    if jitted._cache_size() >= MOST_PROGRAMS:
        jitted.clear_cache()
    return jitted  # type: ignore[no-any-return]


_forked = False  # this process was forked from one that used JAX, whose threads it lacks


@after_fork
def _after_fork() -> None:
    global _forked
    _forked = True


def require_what_jax_needs() -> None:
    """Raise an error if JAX would hang or end the process."""
    room = room_below_the_limit()
    if room is not None and room < COMPILER_MEMORY and jax.default_backend() == "cpu":
        raise MemoryError(f"XLA may need {COMPILER_MEMORY} bytes to compile, and ends the process if it gets none")
    if _forked:
        raise BackendUnusableError(
            "JAX cannot compute in a process made by os.fork() after JAX was loaded: its threads were not forked, and "
            "it would wait for them for ever. Use NumPy there (vecprop.use_backend('numpy')), or start processes "
            "otherwise: multiprocessing.get_context('spawn'), or joblib's default, which scikit-learn's n_jobs uses"
        )


class JAXMemory(DeviceMemory):
    """The memory of JAX's first device, on a CPU main memory; as many others have as much."""

    least: ClassVar[int] = COMPILER_MEMORY

    def __init__(self, devices: int = 1) -> None:
        self.devices = devices
        if jax.default_backend() == "cpu":  # beyond it XLA fuses a product with its neighbours: 25 times slower
            self.widest_pass = 8192 * devices

    def free(self) -> int | None:
        told = jax.local_devices()[0].memory_stats()
        if told and "bytes_limit" in told:
            return int(told["bytes_limit"]) - int(told["bytes_in_use"])
        return super().free()

    def ran_out(self, error: BaseException) -> bool:
        return super().ran_out(error) or (
            isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
        )

    def auto_block(self, m: int, units: int, itemsize: int) -> int | None:
        """Return the columns of one round of a loop, on all devices; on a CPU they fit into the cache."""
        m = -(-m // self.devices)
        if jax.default_backend() != "cpu":
            block = self.fitting_block(m, units, itemsize)
        else:
            block = 2048 if units >= 32 else 8192
            block = None if m < 4 * block else block
        return None if block is None else block * self.devices

    def auto_groups(self, networks: int, numbers: int, steps: int) -> tuple[int, int]:
        """Return groups of one size, which one program serves, for the caches and cores of a CPU."""
        small = numbers < SMALLEST_STACK or numbers * steps < SMALLEST_CALL
        if small or self.devices > 1 or jax.default_backend() != "cpu":
            return 1, 1
        least = min(max(usable_cores(), -(-numbers // LARGEST_GROUP)), networks)
        groups = next((n for n in range(least, min(4 * least, networks) + 1) if networks % n == 0), 1)
        return groups, min(groups, usable_cores())


def _aligned(array: Any) -> Any:
    """Return a large host array as a copy that JAX on a CPU takes as it is: its own copy takes four times as long."""
    large = isinstance(array, np.ndarray) and array.nbytes >= _LARGE and array.flags.c_contiguous
    if not large or jax.default_backend() != "cpu":
        return array
    memory = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


class JAXPlacement(Placement):
    """JAX's default device."""

    def spread(self, data: Columns, batches: bool) -> Columns:
        """Return the data, for batches with the examples in rows, so that each is contiguous and gathered at once."""
        return super().spread(tuple(_aligned(a.T if batches and a is not None else a) for a in data), batches)

    def argument(self, values: npt.NDArray[Any], dtype: str) -> Array:
        """Return the values as NumPy's: a compiled function moves them in a third of the time."""
        return values.astype(dtype, copy=False)


class JAXOnOneDevice(Backend):
    """JAX on its default device."""

    gathers_each_batch = False  # in its turn, also where there is one order

    def __init__(self, devices: int = 1) -> None:
        super().__init__(jnp, "jax")
        require_what_jax_needs()
        folder = jax.config.values["jax_compilation_cache_dir"]
        if folder and "://" not in folder:
            refuse_shared_cache(folder, "JAX would take compiled programs", "JAX_COMPILATION_CACHE_DIR", "unset it")
        NAMESPACES[type(jax.device_put(np.zeros(0)))] = jnp
        self.memory, self.placement = JAXMemory(devices), JAXPlacement(self)

    def asarray(self, values: Any, dtype: str | None = None) -> Array:
        """Return the values as a JAX array, shared with another library on the same GPU; float64 stays float64."""
        require_what_jax_needs()
        foreign = not isinstance(values, jax.Array)
        shared = foreign and on_cuda(values)
        if foreign and not shared:
            values = np.asarray(to_host(values), dtype)  # else a program that converts is compiled for each shape
        own = dtype_name(values)
        # 64-bit arrays can only be made and read where x64 is enabled
        with jax.enable_x64(True) if _WIDE & {dtype, own} else ExitStack():
            return jnp.asarray(share(values, jnp.from_dlpack) if shared else values, dtype=dtype or own)

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        return np.array(array)

    def scope(self, dtype: str, precision: str) -> AbstractContextManager[object]:
        require_what_jax_needs()
        stack = ExitStack()
        if dtype == "float64":
            stack.enter_context(jax.enable_x64(True))
        stack.enter_context(jax.default_matmul_precision(_MATMUL_PRECISION[precision]))
        return stack

    def placed(self, function: Function) -> Function:
        """Return the function with its arguments and results where they are to be."""
        return function

    def compile(self, function: Function) -> Function:
        """Return `jax.jit(function)`, the same object for the same function to compile it once."""
        return compiled(self.placed(function))

    def scan(self, step: Step[Carry], carry: Carry, inputs: Arrays) -> tuple[Carry, Arrays]:
        return jax.lax.scan(step, carry, inputs)

    def compile_loop(self, function: Function, *, bound: bool = True, donated: bool = True) -> Function:  # noqa: ARG002
        """Return `jax.jit(function)`, which may overwrite the donated arguments."""
        return compiled(self.placed(function), donated=donated, outermost=True)

    def batches_from(
        self, arrays: Arrays, order: Array | None
    ) -> tuple[Arrays, int, Callable[[Arrays], Iterable[Array]]]:
        """Return rows put in order once, or the order, by which each batch is gathered."""
        if order is not None and (self.gathers_each_batch or order.ndim == 2):  # K orders would need K copies
            return (order,), -1, lambda cut: [self._columns_at(a, cut[0]) for a in arrays]
        rows = arrays if order is None else tuple(jnp.take(a, order, axis=0) for a in arrays)
        return rows, 0, lambda cut: [_in_columns(b, a) for a, b in zip(rows, cut, strict=True)]

    def _columns_at(self, rows: Array, places: Array) -> Array:
        """Return columns (…, n, B), or weights (…, B), at places (…, B) of rows (m, n) or (m,)."""
        return _in_columns(jnp.take(rows, places, axis=0), rows)

    def sum_blocks(self, function: Callable[..., Tree], block_size: int, *arrays: Array | None) -> Tree:
        m = next(a.shape[-1] for a in arrays if a is not None)
        block_size = min(block_size, m)
        whole, rest = divmod(m, block_size)

        def block(start: Any, size: int) -> Tree:
            return function(*(None if a is None else _block(a, start, size) for a in arrays))

        total = block(0, block_size)
        if whole > 1:
            starts = jnp.arange(1, whole)
            total, _ = jax.lax.scan(lambda t, i: (add_trees(t, block(i * block_size, block_size)), None), total, starts)
        return add_trees(total, block(whole * block_size, rest)) if rest else total

    def map_blocks(self, function: Callable[[Array], Array], block_size: int, array: Array) -> Array:
        whole, rest = divmod(array.shape[-1], block_size)
        parts = []
        if whole:
            starts = jnp.arange(whole) * block_size
            blocks = jax.lax.map(lambda start: function(_block(array, start, block_size)), starts)
            parts.append(jnp.moveaxis(blocks, 0, -2).reshape(*blocks.shape[1:-1], whole * block_size))
        if rest:
            parts.append(function(_block(array, whole * block_size, rest)))
        return jnp.concatenate(parts, axis=-1)

    def synchronize(self, array: Array) -> None:
        jax.block_until_ready(array)  # type: ignore[no-untyped-call]

    @property
    def has_gpu(self) -> bool:
        return jax.default_backend() == "gpu"

    def describe(self) -> Mapping[str, str]:
        device = jax.local_devices()[0]
        return {"jax": jax.__version__, "device": f"{device.platform.upper()} ({device.device_kind})"}


def _in_columns(batch: Array, rows: Array) -> Array:
    """Return a batch of rows (…, B, n) as columns, one of weights (…, B) unchanged."""
    return jnp.swapaxes(batch, -1, -2) if rows.ndim == 2 else batch


def _block(array: Array, start: Any, size: int) -> Array:
    return jax.lax.dynamic_slice_in_dim(array, start, size, axis=-1)
