"""Matrix products by cuBLAS, and their precision: float32 or TensorFloat-32.

CuPy copies transposed operands of a stack, has TensorFloat-32 for single matrices only, and refuses products while a
CUDA graph is captured. `Operand` is an array whose products do none of this.
"""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import cupy
import numpy as np
from cupy._core import _routines_linalg as _linalg
from cupy.cuda import device

from vecprop.backend.namespaces import Array
from vecprop.backend.pytrees import map_tree
from vecprop.utils.threads import after_fork

# cuBLAS's numbers: by dtype the cudaDataType and the compute type, CUBLAS_COMPUTE_32F_FAST_TF32, CUBLAS_GEMM_DEFAULT.
_KINDS = {np.dtype("float32"): (0, 68, ctypes.c_float), np.dtype("float64"): (1, 70, ctypes.c_double)}
_TENSOR_FLOAT, _DEFAULT = 77, -1
_MOST = 2**31 - 1  # the largest size that it takes
_FLOAT32 = np.dtype("float32")


@lru_cache(maxsize=1)
def library() -> Any:
    """Return cuBLAS as CuPy has loaded it; None where it has none, as on AMD's GPUs."""
    from cupy_backends.cuda.libs import cublas  # only where there is a GPU

    found = ctypes.CDLL(cublas.__file__)  # a symbol is looked for in all that CuPy's module is linked with
    if not hasattr(found, "cublasGemmStridedBatchedEx"):
        return None
    number, pointer = ctypes.c_int, ctypes.c_void_p
    begin, matrix, end = (pointer, *(number,) * 5, pointer), (pointer, number, number), (number, number)
    stack = (*matrix, ctypes.c_longlong)
    found.cublasSetStream_v2.argtypes = (pointer, pointer)
    found.cublasGemmEx.argtypes = (*begin, *matrix, *matrix, pointer, *matrix, *end)
    found.cublasGemmStridedBatchedEx.argtypes = (*begin, *stack, *stack, pointer, *stack, number, *end)
    return found


class Operand(cupy.ndarray):  # type: ignore[misc]
    """An array whose products go to cuBLAS as they are.

    Its views and products are operands, too, and what elementwise functions make of it; sums and joined arrays are not.
    """

    def __matmul__(self, other: Array) -> Array:
        return _product(self, other)

    def __rmatmul__(self, other: Array) -> Array:
        return _product(other, self)


def as_operands(tree: Any) -> Any:
    """Return the tree with its arrays as operands."""
    if library() is None:
        return tree
    return map_tree(lambda a: a.view(Operand) if isinstance(a, cupy.ndarray) else a, tree)


def as_arrays(tree: Any) -> Any:
    """Return the tree with its operands as ordinary arrays."""
    return map_tree(lambda a: a.view(cupy.ndarray) if isinstance(a, Operand) else a, tree)


def float32_compute_type() -> int:
    """Return the precision of float32 products that is set, as CuPy numbers it."""
    return int(_linalg.get_compute_type(_FLOAT32))


def _product(a: Array, b: Array) -> Array:
    """Return a @ b for matrices and stacks of them, of which one may be shared."""
    stack = {x.shape[0] for x in (a, b) if x.ndim == 3}
    fits = all(x.ndim in (2, 3) and 0 < max(x.shape) <= _MOST and x.size for x in (a, b)) and len(stack) < 2
    if not fits or a.dtype != b.dtype or a.dtype not in _KINDS or a.shape[-1] != b.shape[-2]:
        return cupy.ndarray.__matmul__(a, b)
    out = Operand((*stack, a.shape[-2], b.shape[-1]), a.dtype)
    kind, compute, number = _KINDS[a.dtype]
    if kind == 0 and float32_compute_type() == _linalg.COMPUTE_TYPE_TF32:
        compute = _TENSOR_FLOAT
    handle, found = device.get_cublas_handle(), library()
    _check(found.cublasSetStream_v2(handle, cupy.cuda.get_current_stream().ptr))
    # cuBLAS has columns of memory where we have rows: it computes the transposed product, bᵀ aᵀ
    laid = _layout(b), _layout(a), _layout(out)
    right, left, result = ((x.data.ptr, kind, row, *([step] if stack else [])) for _, x, row, step in laid)
    sizes = (laid[0][0], laid[1][0], b.shape[-1], a.shape[-2], a.shape[-1])
    call, one, zero = found.cublasGemmStridedBatchedEx if stack else found.cublasGemmEx, number(1), number(0)
    _check(
        call(handle, *sizes, ctypes.byref(one), *right, *left, ctypes.byref(zero), *result, *stack, compute, _DEFAULT)
    )
    return out


def _layout(x: Array) -> tuple[bool, Array, int, int]:
    """Return whether cuBLAS has to transpose, the array, and its steps from row to row and from matrix to matrix.

    An array with gaps in both directions is copied.
    """
    step = x.strides[0] // x.itemsize if x.ndim == 3 else 0
    (rows, columns), (down, right) = x.shape[-2:], (s // x.itemsize for s in x.strides[-2:])
    if (right == 1 or columns == 1) and (down >= columns or rows == 1):
        return False, x, down if rows > 1 else columns, step
    if (down == 1 or rows == 1) and (right >= rows or columns == 1):
        return True, x, right if columns > 1 else rows, step
    return _layout(cupy.ascontiguousarray(x))


def _check(status: int) -> None:
    if status:
        from cupy_backends.cuda.libs.cublas import CUBLASError

        raise CUBLASError(status)


_free = threading.Condition()
_holders: list[tuple[int, int]] = []  # thread and compute type, the last one in force
_before = 0  # the compute type outside all contexts


@contextmanager
def float32_products(compute_type: int) -> Iterator[None]:
    """Set the precision of float32 products for all threads; those that want another one wait.

    CuPy's only public switch is the variable CUPY_TF32, read once.
    """
    global _before
    holder = threading.get_ident(), compute_type
    with _free:
        # a thread that already holds it changes it at once, as it cannot wait for itself
        while not any(thread == holder[0] for thread, _ in _holders) and any(t != compute_type for _, t in _holders):
            _free.wait()
        if not _holders:
            _before = _linalg.get_compute_type(_FLOAT32)
        _linalg.set_compute_type(_FLOAT32, compute_type)  # if this raises, nothing is held
        _holders.append(holder)
    try:
        yield
    finally:
        with _free:
            _holders.reverse()
            _holders.remove(holder)  # this thread's last
            _holders.reverse()
            _linalg.set_compute_type(_FLOAT32, _holders[-1][1] if _holders else _before)
            _free.notify_all()


@after_fork
def _after_fork() -> None:
    """Forget the threads that were not forked."""
    global _free
    _free = threading.Condition()
    _holders.clear()
