"""What the rules ask of a column, found out part by part: beside a part, no more than 8 bytes a row are in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vecprop.tabular.reading import Table
from vecprop.tabular.values import label, not_a_number, parsed

if TYPE_CHECKING:
    import numpy.typing as npt
    import polars as pl

_SHOWN = 4  # different values for a message: three, and whether there are more
_HEAD = 50
_AT_ONCE = 1 << 16
_BEFORE_SORTING = 1 << 20  # so many more are gathered before the doubles among them go


@dataclass
class Cells:
    """A column as it is.

    missing, known : how many cells are null, and how many are not
    head : the first that are known
    alike : whether all that are known are the same
    """

    missing: int = 0
    known: int = 0
    head: list[Any] | None = None
    alike: bool = True

    @property
    def first(self) -> Any:
        """The first that is known."""
        assert self.head
        return self.head[0]

    def add(self, series: pl.Series) -> None:
        """Add a part."""
        self.missing += series.null_count()
        known = series.drop_nulls()
        if not len(known):
            return
        self.known += len(known)
        self.head = self.head or []
        if len(self.head) < _HEAD:
            self.head += known.head(_HEAD - len(self.head)).to_list()
        self.alike = self.alike and bool(known.n_unique() == 1 and known[0] == self.first)


def cells(table: Table, name: str) -> Cells:
    """Return what a column is, cell by cell."""
    found = Cells()
    for series in table.parts(name):
        found.add(series)
    return found


@dataclass
class Numbers:
    """A column read as numbers.

    finite, missing, bad : how many cells are finite numbers, are missing, and are neither
    wrong : row and cell of the first that is neither
    first, last : of the finite ones
    alike : whether all of them are the same
    whole : whether all of them are whole
    counting : whether each is larger by 1 than the one before
    """

    finite: int = 0
    missing: int = 0
    bad: int = 0
    wrong: tuple[int, Any] | None = None
    first: float = np.nan
    last: float = np.nan
    alike: bool = True
    whole: bool = True
    counting: bool = True

    def add(self, series: pl.Series, decimal: str) -> None:
        """Add a part."""
        values, bad = parsed(series, decimal)
        if len(bad) and self.wrong is None:
            row = self.finite + self.missing + self.bad + int(bad[0])
            self.wrong = row, series[int(bad[0])]
        known = values[np.isfinite(values)]
        self.bad += len(bad)
        self.missing += len(values) - len(bad) - len(known)
        if not len(known):
            return
        if not self.finite:
            self.first = float(known[0])
        elif known[0] - self.last != 1:
            self.counting = False
        self.alike = self.alike and bool((known == self.first).all())
        self.whole = self.whole and bool((known % 1 == 0).all())
        self.counting = self.counting and bool((np.diff(known) == 1).all())
        self.finite, self.last = self.finite + len(known), float(known[-1])


def as_numbers(table: Table, name: str, decimal: str = ".") -> Numbers:
    """Return what a column is, read as numbers."""
    found = Numbers()
    for series in table.parts(name):
        found.add(series, decimal)
    return found


def all_numbers(table: Table, name: str, decimal: str = ".") -> Numbers:
    """Return what a column of numbers is, or raise ValueError at the first cell that is none."""
    found = as_numbers(table, name, decimal)
    if found.wrong is not None:
        raise not_a_number(table, name, *found.wrong, found.bad)
    return found


def known_numbers(table: Table, name: str, decimal: str) -> Iterator[npt.NDArray[np.float64]]:
    """Yield the finite numbers of a column."""
    for series in table.parts(name):
        values, _ = parsed(series, decimal)
        yield values[np.isfinite(values)]


def known_cells(table: Table, name: str) -> Iterator[pl.Series]:
    """Yield the cells of a column that are not missing."""
    for series in table.parts(name):
        yield series.drop_nulls()


def sorted_set(parts: Iterable[npt.NDArray[Any]], most: int, dtype: Any) -> npt.NDArray[Any]:
    """Return the different ones among at most so many values, sorted: in memory are the values, and no copy of them.

    >>> sorted_set([np.array([3.0, 1.0]), np.array([1.0, 2.0])], 4, np.float64).tolist()
    [1.0, 2.0, 3.0]
    """
    kept = np.empty(most, dtype)  # takes memory as it is written to
    found = end = 0
    for part in parts:
        kept[end : end + len(part)] = part
        end += len(part)
        if end - found > max(found, _BEFORE_SORTING):
            found = end = _without_doubles(kept[:end])
    return kept[: _without_doubles(kept[:end])]


def _without_doubles(values: npt.NDArray[Any]) -> int:
    """Sort in place, the different ones first, and return how many they are."""
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


def different_numbers(table: Table, name: str, decimal: str = ".") -> npt.NDArray[np.float64]:
    """Return the different numbers of a column, sorted: 8 bytes for each row."""
    return sorted_set(known_numbers(table, name, decimal), len(table), np.float64)


def count_texts(table: Table, name: str) -> int:
    """Return how many different texts a column has, by their hashes: 8 bytes for each row.

    Two texts have the same hash, and are counted once, in one of 3000 columns of 10⁸ different ones.
    """
    return len(sorted_set((part.hash(0).to_numpy() for part in known_cells(table, name)), len(table), np.uint64))


def first_texts(table: Table, name: str) -> list[str]:
    """Return the first different texts of a column in the order of the alphabet, as many as a message needs."""
    first: set[str] = set()
    for part in known_cells(table, name):
        first = set(sorted(first | set(part.unique().sort().head(_SHOWN).to_list()))[:_SHOWN])
    return sorted(first)


def counts_of_labels(table: Table, name: str) -> dict[str, int]:
    """Return how often a column has each label; in memory is every different one."""
    counted: dict[str, int] = {}
    for series in table.parts(name):
        for value, count in series.drop_nulls().value_counts().iter_rows():
            counted[label(value)] = counted.get(label(value), 0) + count
    return counted


def has_fractions(values: npt.NDArray[np.float64]) -> bool:
    """Tell whether any of the numbers (m,) is not whole."""
    starts = range(0, len(values), _AT_ONCE)
    return any(bool((values[start : start + _AT_ONCE] % 1 > 0).any()) for start in starts)


def median(values: npt.NDArray[np.float64]) -> float:
    """Return the median of numbers (m,) in place, those that are no numbers left out; 0 if there are no others.

    >>> median(np.array([3.0, np.nan, 1.0, 2.0, 10.0]))
    2.5
    """
    end = 0
    for start in range(0, len(values), _AT_ONCE):
        part = values[start : start + _AT_ONCE]
        part = part[~np.isnan(part)]
        values[end : end + len(part)] = part
        end += len(part)
    return float(np.median(values[:end], overwrite_input=True)) if end else 0.0
