"""The CuPy backend: CUDA.

CuPy can be imported on a machine without a GPU. The first use, a 1-element product, finds out, and its error
quotes the driver.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, ClassVar

import array_api_compat.cupy
import cupy
import numpy as np
import numpy.typing as npt
from cupy._core import _routines_linalg as _linalg

from vecprop.backend.contract import Arrays, Backend, Carry, Function, Step, take_columns
from vecprop.backend.device_memory import DeviceMemory
from vecprop.backend.namespaces import NAMESPACES, Array, Namespace, marked, on_cuda, share
from vecprop.backend.placement import Columns, Placement
from vecprop.utils.directories import refuse_shared_cache
from vecprop_cupy import gradients
from vecprop_cupy.graphs import Captured
from vecprop_cupy.products import Operand, as_arrays, as_operands, float32_products
from vecprop_cupy.softmax import softmax_cross_entropy

__all__ = ["CuPyBackend"]


_LARGE = 1 << 20  # bytes of a host array that is worth waiting for
_FLOATING = (np.dtype("float32"), np.dtype("float64"))

# Errors from functions that `cupy.fuse` cannot trace, such as a user's own activation.
_CANNOT_FUSE = (TypeError, ValueError, AttributeError, NotImplementedError, AssertionError, LookupError)


class CuPyMemory(DeviceMemory):
    """The memory of the GPU, with the pools that CuPy keeps of it."""

    def free(self) -> int:
        """Return the free bytes of the device and of CuPy's pool, up to the pool's limit."""
        free, _ = cupy.cuda.runtime.memGetInfo()
        pool = cupy.get_default_memory_pool()
        free = int(free) + int(pool.free_bytes())
        limit = int(pool.get_limit())  # 0 if there is none
        return min(free, max(limit - int(pool.used_bytes()), 0)) if limit else free

    def ran_out(self, error: BaseException) -> bool:
        """Recognise CuPy's own error, and those of CUDA and cuBLAS when they allocate."""
        return super().ran_out(error) or (
            type(error).__name__ in ("CUDARuntimeError", "CUDADriverError", "CUBLASError")
            and any(word in str(error) for word in ("ErrorMemoryAllocation", "OUT_OF_MEMORY", "ALLOC_FAILED"))
        )

    auto_block = DeviceMemory.fitting_block

    def release(self) -> None:
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()


class CuPyPlacement(Placement):
    """The current CUDA device."""

    def spread(self, data: Columns, batches: bool) -> Columns:
        """Return the data, for batches with the examples of X in rows of memory, so that a batch is contiguous.

        CuPy would copy an operand of a product that is contiguous in neither order, such as some columns of an array.
        Y is used in no product, and elementwise kernels read its rows.
        """
        # what is still on the host is a window, which comes while the one before is trained on
        X, *rest = (cupy.asarray(a) if isinstance(a, np.ndarray) else a for a in data)
        return (cupy.asfortranarray(X) if batches else X, *rest)


def _take_columns(xp: Namespace, array: Array, order: Array) -> Array:
    """Return columns in an order (m,), or in K orders (K, m) as a stack, in the memory order of the array."""
    if array.flags.c_contiguous:
        taken = take_columns(xp, array, order)
    else:
        taken = cupy.swapaxes(cupy.take(array.T, order, axis=0), -1, -2)
    return taken.view(type(array))


class CuPyBackend(Backend):
    """CuPy on the current CUDA device."""

    flat_parameters: ClassVar[bool] = True
    fuses: ClassVar[bool] = True
    most_steps: ClassVar[int] = 4096  # in one graph, in which each kernel takes some memory of the device
    memory: DeviceMemory = CuPyMemory()
    has_gpu, compiles = True, False  # a function takes arrays of all shapes

    def __init__(self) -> None:
        super().__init__(array_api_compat.cupy, "cupy")
        NAMESPACES[cupy.ndarray] = self.xp
        self.placement = CuPyPlacement(self)
        if os.environ.get("CUPY_CACHE_IN_MEMORY", "0") == "0":
            folder = os.environ.get("CUPY_CACHE_DIR") or os.path.expanduser("~/.cupy/kernel_cache")
            refuse_shared_cache(folder, "CuPy would take compiled kernels", "CUPY_CACHE_DIR", "CUPY_CACHE_IN_MEMORY=1")

    def asarray(self, values: Any, dtype: str | None = None) -> Array:
        """Return the values as an array on the device, shared with another library on the same GPU."""
        if not isinstance(values, cupy.ndarray):
            values = share(values, cupy.from_dlpack) if on_cuda(values) else np.asarray(values)
        on_host = isinstance(values, np.ndarray)
        if on_host and values.nbytes >= _LARGE and values.flags.forc and values.dtype in _FLOATING:
            return _brought(values.astype(dtype or values.dtype, copy=False))
        return cupy.asarray(values, dtype=dtype)

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        return cupy.asnumpy(array)  # type: ignore[no-any-return]

    def scope(self, dtype: str, precision: str) -> AbstractContextManager[object]:  # noqa: ARG002
        """Return the context for float32 products: in float32, or TensorFloat-32 for "fast"."""
        return float32_products(_linalg.COMPUTE_TYPE_TF32 if precision == "fast" else _linalg.COMPUTE_TYPE_FP32)

    def compile(self, function: Function) -> Function:
        """Return the function with arrays whose products go to cuBLAS as they are."""
        static = marked(function, "Static")

        def run(*args: Any) -> Any:
            return as_arrays(function(*(a if i in static else as_operands(a) for i, a in enumerate(args))))

        return run

    def compile_loop(self, function: Function, *, bound: bool = True, donated: bool = True) -> Function:  # noqa: ARG002
        """Return the function captured as CUDA graphs, one for each shape."""
        return Captured(function, marked(function, "Static"), marked(function, "Bound") if bound else (), self.memory)

    def fuse(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as one kernel, or unchanged if it cannot be traced."""
        try:
            return _fused(function)
        except TypeError:  # it has no hash, such as a mutable data class
            return function

    softmax_cross_entropy = staticmethod(softmax_cross_entropy)
    gradient_norms = staticmethod(gradients.gradient_norms)
    joined = staticmethod(gradients.joined)
    take_columns = staticmethod(_take_columns)

    def scan(self, step: Step[Carry], carry: Carry, inputs: Arrays) -> tuple[Carry, Arrays]:
        """Run the steps. Their outputs go to their places at once: joining them all needs addresses from the host."""
        count = inputs[0].shape[0]
        carry = as_operands(carry) if isinstance(inputs[0], Operand) else carry  # joined buffers are none
        outputs: Arrays = ()
        for i in range(count):
            carry, out = step(carry, tuple(a[i, ...] for a in inputs))
            outputs = outputs or tuple(cupy.empty((count, *a.shape), a.dtype) for a in out)
            for place, a in zip(outputs, out, strict=True):
                place[i, ...] = a
        return carry, outputs

    def synchronize(self, array: Array) -> None:
        with array.device:
            cupy.cuda.get_current_stream().synchronize()

    def describe(self) -> Mapping[str, str]:
        device = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())
        driver, runtime = cupy.cuda.runtime.driverGetVersion(), cupy.cuda.runtime.runtimeGetVersion()
        return {
            "cupy": cupy.__version__,
            "device": f"GPU ({device['name'].decode()})",
            "CUDA": f"{runtime // 1000}.{runtime % 1000 // 10} (driver {driver // 1000}.{driver % 1000 // 10})",
        }


def _brought(values: npt.NDArray[Any]) -> Array:
    """Return a contiguous host array on the device once it is there; CuPy would copy it first to pinned memory."""
    array = cupy.empty(values.shape, values.dtype, order="C" if values.flags.c_contiguous else "F")
    array.set(values)
    cupy.cuda.get_current_stream().synchronize()  # the caller may change the values next
    return array


# Bounded, as each user's own activation has a kernel; the least recently used is dropped.
@lru_cache(maxsize=256)
def _fused(function: Callable[..., Any]) -> Callable[..., Any]:
    kernel = cupy.fuse(kernel_name="vecprop_fused")(lambda *arrays: function(*arrays))
    works = True

    def call(*arrays: Array) -> Any:
        nonlocal works
        if works:
            try:
                result = kernel(*arrays)
                return as_operands(result) if any(isinstance(a, Operand) for a in arrays) else result
            except _CANNOT_FUSE:
                works = False
        return function(*arrays)

    return call
