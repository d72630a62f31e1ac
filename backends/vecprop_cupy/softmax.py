"""Softmax cross-entropy and its dZ (E21, E23) in one kernel, not twenty array operations."""

from functools import lru_cache
from typing import Any

import cupy

from vecprop.backend.namespaces import Array

COLUMNS, SLICES = 32, 8  # a block of threads has this many columns, each in this many slices of its rows

# Written for nvcc; `T` is float or double. Neighbouring threads have neighbouring columns, which lie side by side.
# `rest` is the sum without the largest term, e^0 = 1: see `vecprop.activations.log_softmax`.
SOURCE = r"""
extern "C" __global__ void softmax_cross_entropy(
    const T* Z, const T* Y, T* L, T* dZ, const long long n, const long long m, const long long columns,
    const long long y_stack, const long long y_row, const long long y_column, const T kept, const T spread)
{
    __shared__ double shared[SLICES][COLUMNS];
    __shared__ long long largest[SLICES][COLUMNS];
    const int x = threadIdx.x, slice = threadIdx.y;
    const long long column = (long long)blockIdx.x * COLUMNS + x;
    const bool there = column < columns;
    const long long stack = there ? column / m : 0, j = there ? column % m : 0;
    const T* z = Z + stack * n * m + j;
    const T* y = Y + stack * y_stack + j * y_column;

    T high = z[0];
    for (long long k = slice; k < n; k += SLICES) high = z[k * m] > high ? z[k * m] : high;
    shared[slice][x] = high;
    __syncthreads();
    for (int s = 0; s < SLICES; ++s) high = (T)shared[s][x] > high ? (T)shared[s][x] : high;
    __syncthreads();

    double sum = 0;
    long long ties = 0;
    for (long long k = slice; k < n; k += SLICES) {
        if (z[k * m] < high) sum += exp(z[k * m] - high);
        else ++ties;
    }
    shared[slice][x] = sum;
    largest[slice][x] = ties;
    __syncthreads();
    sum = 0;
    ties = -1;
    for (int s = 0; s < SLICES; ++s) {
        sum += shared[s][x];
        ties += largest[s][x];
    }
    const double rest = sum + (double)ties;
    __syncthreads();

    const double log_total = log1p(rest);
    double loss = 0;
    for (long long k = slice; k < n && there; k += SLICES) {
        const T below = z[k * m] - high, target = kept * y[k * y_row] + spread;
        dZ[stack * n * m + k * m + j] = (T)(exp(below) / (1 + rest)) - target;
        loss -= target * (below - log_total);
    }
    shared[slice][x] = loss;
    __syncthreads();
    if (slice == 0 && there) {
        for (int s = 1; s < SLICES; ++s) loss += shared[s][x];
        L[column] = (T)loss;
    }
}
"""


def source(dtype: str) -> str:
    """Return the source of the kernel for "float32" or "float64"."""
    c_type = {"float32": "float", "float64": "double"}[dtype]
    return f"#define SLICES {SLICES}\n#define COLUMNS {COLUMNS}\ntypedef {c_type} T;\n{SOURCE}"


@lru_cache
def _kernel(dtype: str) -> Any:
    return cupy.RawKernel(source(dtype), "softmax_cross_entropy")


def arguments(Z: Array, Y: Array, smoothing: float) -> tuple[Any, ...]:
    """Return the kernel's scalar arguments, for Z (…, n, m) in C order and Y of any strides."""
    *stack, n, m = Z.shape
    of_stack, (row, column) = Y.strides[:-2], (s // Y.itemsize for s in Y.strides[-2:])
    shared = not stack or Y.ndim == 2
    kind = Z.dtype.type
    return (
        n, m, m * (stack[0] if stack else 1), 0 if shared else of_stack[0] // Y.itemsize, row, column,
        kind(1.0 - smoothing), kind(smoothing / n),
    )  # fmt: skip


def softmax_cross_entropy(Z: Array, Y: Array, smoothing: float) -> tuple[Array, Array]:
    """Return the loss of each example (…, 1, m) and dZ (…, n, m), for Z (n, m) or (K, n, m)."""
    Z, Y = cupy.ascontiguousarray(Z), Y.astype(Z.dtype, copy=False)
    L, dZ = cupy.empty((*Z.shape[:-2], 1, Z.shape[-1]), Z.dtype), cupy.empty_like(Z).view(type(Z))
    sizes = arguments(Z, Y, smoothing)
    _kernel(Z.dtype.name)((-(-sizes[2] // COLUMNS),), (COLUMNS, SLICES), (Z, Y, L, dZ, *sizes))
    return L, dZ
