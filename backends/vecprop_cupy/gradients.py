"""Gradients in one buffer, and their norms (E36): few kernels, where `concat`, `sum` and `stack` launch many."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cupy

from vecprop.backend.namespaces import Array
from vecprop.propagation import Layer

# First each row, then the rows: one block of threads for a whole matrix would leave the rest of the device idle.
_SQUARES = cupy.ReductionKernel("T x", "T y", "x * x", "a + b", "y = a", "0", "vecprop_squares_of_rows")
_NORM = cupy.ReductionKernel("T x", "T y", "x", "a + b", "y = sqrt(a)", "0", "vecprop_norm")

_MOST = 32  # columns that a kernel takes: its arguments have 4 KB


def gradient_norms(grads: Sequence[Layer]) -> Array:
    """Return ‖dW_l‖ (…, L), from two kernels for each layer."""
    first = grads[0].W
    norms = cupy.empty((*first.shape[:-2], len(grads)), first.dtype)
    for l, (dW, _) in enumerate(grads):
        _NORM(_SQUARES(dW, axis=-1), axis=-1, out=norms[..., l])
    return norms


@lru_cache
def joining(count: int) -> Any:
    """Return the kernel that joins arrays a0, a1, … with n0, n1, … numbers for each network of a stack."""
    choice = "".join(f"p < n{j} ? a{j}[k * n{j} + p] : (p -= n{j}, " for j in range(count - 1))
    last = f"a{count - 1}[k * n{count - 1} + p]" + ")" * (count - 1)
    return cupy.ElementwiseKernel(
        ", ".join(f"raw T a{j}, int64 n{j}" for j in range(count)) + ", int64 width",
        "T out",
        f"long long k = i / width, p = i % width; out = {choice}{last}",
        "vecprop_joined",
    )


def joined(columns: Sequence[Array]) -> Array:
    """Return columns (…, p, 1) as one, (…, P, 1), from one kernel, or for many columns from a few."""
    if len(columns) > _MOST:
        return joined([joined(columns[:_MOST]), *columns[_MOST:]])
    sizes = [a.shape[-2] for a in columns]
    out = cupy.empty((*columns[0].shape[:-2], sum(sizes), 1), columns[0].dtype)
    joining(len(columns))(*(x for pair in zip(columns, sizes, strict=True) for x in pair), sum(sizes), out)
    return out
