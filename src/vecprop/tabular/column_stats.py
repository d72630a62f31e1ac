"""Statistics of a column, read in parts: most need no more than 8 bytes of memory for each row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.data.spelling import label, pl
from vecprop.data.tables import Table

_AT_ONCE = 1 << 16
_BEFORE_SORTING = 1 << 20  # values that are gathered, at least, before duplicates are removed


@dataclass
class Numbers:
    """Statistics of a column of numbers, or of booleans as 1 and 0.

    finite, missing, infinite : the number of such cells
    low, high, first, last : the lowest, highest, first and last finite number
    whole : whether all finite numbers are whole
    counting : whether they are whole and each is larger by 1 than the one before
    """

    finite: int = 0
    missing: int = 0
    infinite: int = 0
    low: float = np.inf
    high: float = -np.inf
    first: float = np.nan
    last: float = np.nan
    whole: bool = True
    counting: bool = True

    def add(self, series: pl.Series) -> npt.NDArray[np.float64]:
        """Add a part of the column, and return it as `floats`."""
        values = floats(series)
        known = values[np.isfinite(values)]
        missing = len(values) - len(known) and int(np.isnan(values).sum())
        self.missing += missing
        self.infinite += len(values) - len(known) - missing
        if not len(known):
            return values
        if not self.finite:
            self.first = float(known[0])
        elif known[0] - self.last != 1:
            self.counting = False
        self.low, self.high = min(self.low, float(known.min())), max(self.high, float(known.max()))
        self.whole = self.whole and bool((known % 1 == 0).all())
        self.counting = self.counting and self.whole and bool((np.diff(known) == 1).all())
        self.finite, self.last = self.finite + len(known), float(known[-1])
        return values


def as_numbers(table: Table, name: str) -> Numbers:
    """Return the statistics of a column of numbers."""
    found = Numbers()
    for series in table.parts(name):
        found.add(series)
    return found


def floats(series: pl.Series) -> npt.NDArray[np.float64]:
    """Return numbers or booleans as floats (m,), NaN where they are missing."""
    return series.cast(pl.Float64, strict=False).to_numpy()


def whole(
    table: Table, name: str, convert: Callable[[pl.Series], npt.NDArray[np.float64]] = floats
) -> npt.NDArray[np.float64]:
    """Return a whole column, converted part by part, (m,)."""
    found, start = np.empty(len(table)), 0
    for part in map(convert, table.parts(name)):
        found[start : start + len(part)] = part
        start += len(part)
    return found


def sorted_set(parts: Iterable[npt.NDArray[Any]], most: int, dtype: Any) -> npt.NDArray[Any]:
    """Return the different values of parts with at most `most` values, sorted, without a copy.

    >>> sorted_set([np.array([3.0, 1.0]), np.array([1.0, 2.0])], 4, np.float64).tolist()
    [1.0, 2.0, 3.0]
    """
    kept = np.empty(most, dtype)  # takes up memory only as far as it is written
    found = end = 0
    for part in parts:
        kept[end : end + len(part)] = part
        end += len(part)
        if end - found > max(found, _BEFORE_SORTING):
            found = end = _without_doubles(kept[:end])
    return kept[: _without_doubles(kept[:end])]


def _without_doubles(values: npt.NDArray[Any]) -> int:
    """Move the different values to the front, sorted, in place; return how many they are."""
    values.sort()
    found = 0
    for start in range(0, len(values), _AT_ONCE):
        part = values[start : start + _AT_ONCE]
        new = np.ones(len(part), dtype=bool)
        new[1:] = part[1:] != part[:-1]
        new[0] = not found or part[0] != values[found - 1]
        part = part[new]
        values[found : found + len(part)] = part
        found += len(part)
    return found


def different_numbers(table: Table, name: str) -> npt.NDArray[np.float64]:
    """Return the different finite numbers of a column, sorted: 8 bytes for each row."""
    parts = (values[np.isfinite(values)] for values in map(floats, table.parts(name)))
    return sorted_set(parts, len(table), np.float64)


def count_texts(table: Table, name: str) -> int:
    """Return how many different texts a column has, by their hashes: 8 bytes for each row.

    In one of 3000 columns of 10⁸ different texts, two have the same hash and are counted as one.
    """
    hashes = (series.drop_nulls().hash(0).to_numpy() for series in table.parts(name))
    return len(sorted_set(hashes, len(table), np.uint64))


def counts_of_labels(table: Table, name: str) -> dict[str, int]:
    """Return how often each label occurs in a column; every different label is in memory."""
    counted: dict[str, int] = {}
    for series in table.parts(name):
        for value, count in series.drop_nulls().alias("label").value_counts().iter_rows():
            counted[label(value)] = counted.get(label(value), 0) + count
    return counted


def days(series: pl.Series) -> npt.NDArray[np.float64]:
    """Return dates as days since 1970, or times as fractions of a day, (m,); NaN if missing."""
    if series.dtype == pl.Time:
        return floats(series.cast(pl.Int64)) / 86_400_000_000_000
    return floats(series.cast(pl.Datetime("ms")).dt.epoch("ms")) / 86_400_000


def has_fractions(values: npt.NDArray[np.float64]) -> bool:
    """Tell whether any of the numbers (m,) is not whole."""
    starts = range(0, len(values), _AT_ONCE)
    return any(bool((values[start : start + _AT_ONCE] % 1 > 0).any()) for start in starts)


def median(values: npt.NDArray[np.float64]) -> float:
    """Return the median of the values (m,) that are not NaN, 0 if there are none; overwrites them.

    >>> median(np.array([3.0, np.nan, 1.0, 2.0, 10.0]))
    2.5
    """
    return 0.0 if np.isnan(values).all() else float(np.nanmedian(values, overwrite_input=True))
