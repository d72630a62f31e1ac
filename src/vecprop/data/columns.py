"""Examples that are not one array, whose columns come a part at a time."""

from __future__ import annotations


class Columns:
    """X (n_0, m), one example per column, that is never in memory as one dense array.

    shape : (n_0, m)
    dtype : "float32" or "float64", of the dense parts
    """

    ndim = 2
    shape: tuple[int, int]
    dtype: str

    @property
    def largest(self) -> float:
        """The largest |x|, or a lower bound of it."""
        raise NotImplementedError
