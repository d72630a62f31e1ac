"""The CuPy backend: CUDA.

CuPy imports happily on a machine without a GPU; the probe of `Backend` (a real 1-element product) finds out, and the
error has the driver's own words.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any, ClassVar

import array_api_compat.cupy
import cupy
import numpy as np
import numpy.typing as npt
from cupy._core import _routines_linalg as _linalg

from vecprop.backend import Backend
from vecprop.namespaces import Array, on_cuda

__all__ = ["CuPyBackend"]


# What a function raises that `cupy.fuse` cannot trace, a user's own activation for example.
_CANNOT_FUSE = (TypeError, ValueError, AttributeError, NotImplementedError)


class CuPyBackend(Backend):
    """CuPy on the current CUDA device."""

    flat_parameters: ClassVar[bool] = True
    fuses: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__(array_api_compat.cupy, "cupy")

    def asarray(self, values: Any, dtype: str | None = None) -> Array:
        """Return the values as an array on the device; an array of another library on the same GPU is not copied."""
        if not isinstance(values, cupy.ndarray):
            values = cupy.from_dlpack(values) if on_cuda(values) else np.asarray(values)
        return cupy.asarray(values, dtype=dtype)

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        """Return a copy on the host."""
        return cupy.asnumpy(array)  # type: ignore[no-any-return]

    def scope(self, dtype: str, precision: str) -> AbstractContextManager[object]:  # noqa: ARG002
        """Return the context in which float32 products are float32, or TensorFloat-32 for "fast"."""
        return _float32_products(_linalg.COMPUTE_TYPE_TF32 if precision == "fast" else _linalg.COMPUTE_TYPE_FP32)

    def fuse(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as one kernel, or as it is if it cannot be traced; equal functions share a kernel."""
        return _fused(function)

    def auto_block(self, m: int, units: int, itemsize: int) -> int | None:
        """Return all columns at once, or as many as take a quarter of the memory that is free."""
        return self.fitting_block(m, units, itemsize)

    def free_memory(self) -> int:
        """Return the device's free memory and what CuPy's pool holds unused."""
        free, _ = cupy.cuda.runtime.memGetInfo()
        return int(free) + int(cupy.get_default_memory_pool().free_bytes())

    def synchronize(self, array: Array) -> None:
        """Wait for everything queued on the array's device."""
        with array.device:
            cupy.cuda.get_current_stream().synchronize()

    @property
    def has_gpu(self) -> bool:
        """True: CuPy computes nowhere else."""
        return True

    def describe(self) -> Mapping[str, str]:
        """Return CuPy's version, the device, and the versions of the driver and the runtime."""
        device = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())
        driver, runtime = cupy.cuda.runtime.driverGetVersion(), cupy.cuda.runtime.runtimeGetVersion()
        return {
            "cupy": cupy.__version__,
            "device": f"GPU ({device['name'].decode()})",
            "CUDA": f"{runtime // 1000}.{runtime % 1000 // 10} (driver {driver // 1000}.{driver % 1000 // 10})",
        }


@cache
def _fused(function: Callable[..., Any]) -> Callable[..., Any]:
    kernel = cupy.fuse(kernel_name="vecprop_fused")(lambda *arrays: function(*arrays))
    works = True

    def call(*arrays: Array) -> Any:
        nonlocal works
        if works:
            try:
                return kernel(*arrays)
            except _CANNOT_FUSE:
                works = False
        return function(*arrays)

    return call


@contextmanager
def _float32_products(compute_type: int) -> Iterator[None]:
    """Set how cuBLAS computes float32 products. CuPy has no public switch but the variable CUPY_TF32, read once."""
    before = _linalg.get_compute_type(np.dtype("float32"))
    _linalg.set_compute_type(np.dtype("float32"), compute_type)
    try:
        yield
    finally:
        _linalg.set_compute_type(np.dtype("float32"), before)
