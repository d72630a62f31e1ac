"""Sparse data: SciPy's matrices, made dense a part at a time to bound the memory.

Data that are small when dense are made dense at once. Larger data stay sparse, with examples in rows; an epoch makes
parts of some whole batches dense, one after the other, with the same order and result.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

# Data of up to SMALL bytes are made dense at once, larger ones in parts of PART bytes.
SMALL = 1 << 28
PART = 1 << 26


def is_sparse(value: Any) -> bool:
    """Tell whether a value is one of SciPy's sparse matrices or arrays."""
    return hasattr(value, "tocsr") and hasattr(value, "nnz")


class SparseColumns:
    """Sparse X (n_0, m), one example per column; TypeError or ValueError unless it holds finite real numbers.

    dtype : "float32" or "float64", of the dense columns
    """

    def __init__(self, matrix: Any, dtype: str) -> None:
        if matrix.ndim != 2:
            raise ValueError(f"X must have rank 2, one example per column, got shape {matrix.shape}")
        if matrix.dtype.kind not in "biuf":
            raise TypeError(f"X must be real numbers, float32 or float64, got dtype {matrix.dtype}")
        self.rows = matrix.T.tocsr()
        if not np.isfinite(self.rows.data).all():
            raise ValueError("X must be finite, got NaN or infinite values in a sparse matrix")
        self.dtype = dtype
        self.shape = (int(matrix.shape[0]), int(matrix.shape[1]))

    @property
    def dense_bytes(self) -> int:
        """The bytes that X would take dense."""
        return self.shape[0] * self.shape[1] * np.dtype(self.dtype).itemsize

    @property
    def largest(self) -> float:
        """The largest |x|."""
        return float(np.max(np.abs(self.rows.data), initial=0.0))

    def take(self, places: Any) -> npt.NDArray[Any]:
        """Return some columns, by their numbers or a slice, as a dense array."""
        return np.asarray(self.rows[places].toarray().T, dtype=self.dtype)

    def subset(self, places: npt.NDArray[np.int64]) -> "SparseColumns":
        """Return some columns, by their numbers, still sparse."""
        return SparseColumns(self.rows[places].T, self.dtype)

    def part(self, batch_size: int) -> int:
        """Return the number of columns to make dense at a time: whole batches, at least one."""
        fits = PART // (self.shape[0] * np.dtype(self.dtype).itemsize)
        return batch_size * max(1, fits // batch_size)
