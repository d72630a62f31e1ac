"""Statistics of a column, read in parts: most need no more than 9 bytes of memory for each row."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.data.spelling import label, pl
from vecprop.data.tables import Table

Convert = Callable[[pl.Series], "npt.NDArray[Any]"]


@dataclass
class Numbers:
    """Statistics of a column of numbers."""

    finite: int = 0  # how many cells are, as of the next two
    missing: int = 0
    infinite: int = 0
    low: float = np.inf  # the lowest and the highest finite number
    high: float = -np.inf
    whole: bool = True  # whether all finite numbers are

    def add(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Add a part of the column, and return it."""
        known = values[np.isfinite(values)]
        missing = int(np.isnan(values).sum())
        self.finite, self.missing = self.finite + len(known), self.missing + missing
        self.infinite += len(values) - len(known) - missing
        self.low, self.high = float(known.min(initial=self.low)), float(known.max(initial=self.high))
        self.whole = self.whole and bool((known % 1 == 0).all())
        return values


def floats(series: pl.Series) -> npt.NDArray[np.float64]:
    """Return numbers or booleans as floats (m,), NaN where they are missing."""
    return series.cast(pl.Float64, strict=False).to_numpy()


def days(series: pl.Series) -> npt.NDArray[np.float64]:
    """Return dates as days since 1970, or times as fractions of a day, (m,); NaN if missing."""
    if series.dtype == pl.Time:
        return floats(series.cast(pl.Int64)) / 86_400_000_000_000
    return floats(series.cast(pl.Datetime("ms")).dt.epoch("ms")) / 86_400_000


def whole(table: Table, name: str, convert: Convert = floats, dtype: Any = np.float64) -> npt.NDArray[Any]:
    """Return a whole column, converted part by part, (m,), or less where a conversion leaves cells out."""
    found, end = np.empty(len(table), dtype), 0
    for part in map(convert, table.parts(name)):
        found[end : end + len(part)] = part
        end += len(part)
    return found[:end]


def as_numbers(table: Table, name: str, convert: Convert = floats) -> tuple[Numbers, npt.NDArray[np.float64]]:
    """Return the statistics of a column, and its numbers (m,)."""
    found = Numbers()
    return found, whole(table, name, lambda series: found.add(convert(series)))


def different(values: npt.NDArray[Any]) -> int:
    """Return how many different values (m,) there are, NaN not among them; sorts them in place.

    >>> different(np.array([3.0, 1.0, np.nan, 3.0, np.nan]))
    2
    """
    values.sort()
    groups = int(np.count_nonzero(values[1:] != values[:-1])) + (len(values) > 0)
    return groups - int(np.count_nonzero(values != values))  # each NaN is a group of its own


def count_different(table: Table, name: str) -> int:
    """Return how many different texts or dates a column has, by hashes: of 10⁸, two are equal in 1 of 3000 columns."""
    return different(whole(table, name, lambda series: series.drop_nulls().hash(0).to_numpy(), np.uint64))


def counts_of_labels(table: Table, name: str) -> Counter[str]:
    """Return how often each label occurs in a column; every different label is in memory."""
    counted: Counter[str] = Counter()
    for series in table.parts(name):
        for value, count in series.drop_nulls().alias("label").value_counts().iter_rows():
            counted[label(value)] += count
    return counted
