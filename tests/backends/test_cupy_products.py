"""Products of CuPy's arrays, without a GPU: memory of the host, and a cuBLAS in Python."""

import ctypes
import itertools
from types import SimpleNamespace

import numpy as np
import pytest

cupy = pytest.importorskip("cupy")
pytest.importorskip("vecprop_cupy")
from cupy._core import _routines_linalg as linalg  # noqa: E402

from vecprop_cupy import products  # noqa: E402

TYPES = {0: np.float32, 1: np.float64}
KEPT = []  # memory that stands in for that of a device


def on_host(values):
    """A CuPy array whose memory is that of a NumPy array."""
    memory = cupy.cuda.UnownedMemory(values.ctypes.data, 1 << 20, values, device_id=0)
    return cupy.ndarray(values.shape, values.dtype, cupy.cuda.MemoryPointer(memory, 0), strides=values.strides)


def memory(address, dtype):
    return np.frombuffer((ctypes.c_char * (np.dtype(dtype).itemsize << 12)).from_address(address), dtype)


def allocate(size):
    KEPT.append(np.full(size + (1 << 15), np.nan))
    return on_host(KEPT[-1]).data


class Blas:
    """cuBLAS: products of matrices whose columns lie one after the other in memory."""

    def __init__(self):
        self.compute = []

    def cublasSetStream_v2(self, handle, stream):  # noqa: N802
        return 0

    def cublasGemmEx(self, handle, ta, tb, m, n, k, one, a, at, lda, b, bt, ldb, zero, c, ct, ldc, compute, _):  # noqa: N802
        sizes = (ta, tb, m, n, k, one, a, at, lda, 0, b, bt, ldb, 0, zero, c, ct, ldc, 0, 1, compute, _)
        return self.cublasGemmStridedBatchedEx(handle, *sizes)

    def cublasGemmStridedBatchedEx(  # noqa: N802
        self, _, ta, tb, m, n, k, one, a, at, lda, sa, b, bt, ldb, sb, zero, c, ct, ldc, sc, count, compute, algorithm
    ):
        assert at == bt == ct and algorithm == -1 and (one._obj.value, zero._obj.value) == (1, 0)
        assert lda >= (k if ta else m) and ldb >= (n if tb else k) and ldc >= m
        self.compute.append(compute)
        for i in range(count):
            A = matrix(a, TYPES[at], i * sa, lda, (k, m) if ta else (m, k))
            B = matrix(b, TYPES[at], i * sb, ldb, (n, k) if tb else (k, n))
            matrix(c, TYPES[at], i * sc, ldc, (m, n))[...] = (A.T if ta else A) @ (B.T if tb else B)
        return 0


def matrix(address, dtype, begin, step, shape):
    """A matrix in columns of memory."""
    size = np.dtype(dtype).itemsize
    return np.lib.stride_tricks.as_strided(memory(address, dtype)[begin:], shape, (size, size * step))


@pytest.fixture
def blas(monkeypatch):
    found = Blas()
    monkeypatch.setattr(products, "library", lambda: found)
    monkeypatch.setattr(products, "device", SimpleNamespace(get_cublas_handle=lambda: 1))
    monkeypatch.setattr(products.cupy.cuda, "get_current_stream", lambda: SimpleNamespace(ptr=0))
    monkeypatch.setattr(products, "float32_compute_type", lambda: linalg.COMPUTE_TYPE_FP32)
    with cupy.cuda.using_allocator(allocate):
        yield found
    KEPT.clear()


def transposed(layout):
    return lambda a: np.swapaxes(layout(np.swapaxes(a, -1, -2)), -1, -2)


def cut(a):
    return np.concatenate([a, a], axis=-1)[..., : a.shape[-1]]


LAYOUTS = {
    "rows": np.ascontiguousarray,
    "columns": transposed(np.ascontiguousarray),
    "cut rows": cut,
    "cut columns": transposed(cut),
    "repeated": lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim == 3 else a,
}


@pytest.mark.parametrize("left", LAYOUTS)
@pytest.mark.parametrize("right", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_operands_are_multiplied_where_they_are(blas, left, right, dtype):
    """In every layout of training no operand is copied: an allocation would be one more than the result's."""
    random = np.random.default_rng(0)
    for stacks, (n, k, m) in itertools.product(
        [((), ()), ((4,), (4,)), ((4,), ()), ((), (4,))], [(3, 5, 2), (1, 5, 1), (3, 1, 2)]
    ):
        A = LAYOUTS[left](random.standard_normal((*stacks[0], n, k)).astype(dtype))
        B = LAYOUTS[right](random.standard_normal((*stacks[1], k, m)).astype(dtype))
        a, b = on_host(A), on_host(B)
        for x, y in ((a.view(products.Operand), b), (a, b.view(products.Operand))):
            before = len(KEPT)
            product = x @ y
            assert type(product) is products.Operand and len(KEPT) == before + 1
            found = memory(product.data.ptr, dtype)
            found = np.lib.stride_tricks.as_strided(found, product.shape, product.strides)
            np.testing.assert_allclose(found, A @ B, rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-6)
    assert set(blas.compute) == {68 if dtype == "float32" else 70}


@pytest.mark.parametrize("shapes", [((3, 5), (5, 2)), ((4, 3, 5), (4, 5, 2)), ((4, 3, 5), (5, 2))])
def test_fast_products_are_in_tensor_float(blas, monkeypatch, shapes):
    monkeypatch.setattr(products, "float32_compute_type", lambda: linalg.COMPUTE_TYPE_TF32)
    for dtype, compute in (("float32", 77), ("float64", 70)):
        a, b = (on_host(np.ones(shape, dtype)) for shape in shapes)
        a.view(products.Operand) @ b
        assert blas.compute.pop() == compute


@pytest.mark.usefixtures("blas")
def test_what_comes_from_operands_is_one():
    """So that each product of a pass has one: views, parts, and what a step computes from the data."""
    X = on_host(np.ones((3, 4))).view(products.Operand)
    parts = (X.T, X[:, 1:], X[0, ...], X.reshape(2, 6), cupy.swapaxes(X, 0, 1), X[None])
    assert {type(part) for part in parts} == {products.Operand}
    tree = products.as_arrays((X, (None, 1.0, parts)))
    assert type(tree[0]) is cupy.ndarray is type(tree[1][2][0]) and tree[1][:2] == (None, 1.0)
    assert type(products.as_operands(tree)[0]) is products.Operand


def test_an_error_of_cublas_is_raised(blas, monkeypatch):
    monkeypatch.setattr(blas, "cublasGemmEx", lambda *_: 13)
    a = on_host(np.ones((2, 2)))
    with pytest.raises((RuntimeError, ImportError)):  # without cuBLAS its error cannot be imported
        a.view(products.Operand) @ a
