"""X that stays in its file: rows (m, n) of a memory map or of `vp.rows`, read when needed."""

from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vecprop.backend.main_memory import map_of
from vecprop.data.streaming import Rows, rows
from vecprop.data.streaming import examples as streamed
from vecprop.data.streaming.sources import Chosen, Derived, Source
from vecprop.nn.input_scaling import InputScale, moments_of

_AT_ONCE = 1 << 22  # bytes
SOME, SOME_NUMBERS = 100_000, 1 << 22  # the most rows, and the most numbers in them, that `some` names


class LargeRows:
    """Rows (m, n) of a source, one example each; whole numbers are float64, as in memory."""

    ndim, in_file = 2, True

    def __init__(self, source: Source) -> None:
        self._source, self.dtype, self.shape = source, _floating(source.dtype), source.shape[::-1]
        self._numbers, self._m = source.shape

    def __len__(self) -> int:
        return self._m

    @property
    def at_once(self) -> int:
        """The number of rows to read at a time."""
        return max(1, _AT_ONCE // (self._numbers * 8))

    def block(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return rows start … stop - 1 in memory, as floating-point numbers."""
        return self._source.raw(start, stop).T.astype(self.dtype, copy=False)

    def blocks(self) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
        """Yield (start, stop, rows start … stop - 1) for consecutive blocks of all the rows."""
        try:
            for start in range(0, self._m, self.at_once):
                stop = min(start + self.at_once, self._m)
                yield start, stop, self.block(start, stop)
        finally:
            self._source.close()

    def parts(self) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        """Yield (what errors call it, block), values still to be checked, for consecutive blocks."""
        for start, stop, block in self.blocks():
            yield f"X, in rows {start} to {stop - 1},", block

    def some(self, w: npt.NDArray[np.float64] | None, codes: npt.NDArray[Any] | None = None) -> npt.NDArray[np.int64]:
        """Return numbers of rows spread evenly over those with a weight, few enough for memory.

        With the classes' `codes` (m,) there is a row of each class among them, with a weight if one has any.
        """
        counting = np.arange(self._m) if w is None else np.flatnonzero(w)
        count = min(len(counting), SOME, max(1000, SOME_NUMBERS // self._numbers))
        places = counting[np.linspace(0, len(counting) - 1, count).astype(np.int64)]
        if codes is None:
            return places
        first = np.zeros(int(codes.max()) + 1, dtype=np.int64)
        for backwards in (np.arange(self._m)[::-1], counting[::-1]):
            first[codes[backwards]] = backwards  # where an index comes several times, the last one counts
        return np.union1d(places, first)

    def take(self, places: npt.NDArray[Any]) -> Self:
        """Return the rows with these numbers, which must increase."""
        return type(self)(Chosen(self._source, places, self.at_once))

    def scaled(self, scale: InputScale) -> Self:
        """Return the rows with every feature scaled as they are read."""
        return type(self)(_Scaled(self._source, scale))

    def mapped(self, view: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> "LargeRows":
        """Return the features (m, n') that a function makes of rows, block by block, as they are read."""
        return LargeRows(_Mapped(self._source, view))

    def columns(self) -> Any:
        """Return the source that `fit` takes."""
        return Rows(self._source)

    def input_scale(self, w: npt.NDArray[np.float64] | None, checked: bool = False) -> InputScale:
        """Return the mean and the deviation of every feature, (n, 1), from one pass; `checked`, if they are finite."""

        def parts() -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]]:
            for start, stop, block in self.blocks():
                if not (checked or np.isfinite(block.sum())) and not np.isfinite(block).all():
                    raise ValueError(f"Input X contains NaN or infinity, in rows {start} to {stop - 1}")
                yield block.T.astype(np.float64), None if w is None else w[start:stop]

        with np.errstate(all="ignore"):
            return moments_of(parts()).scale(np)

    def skeleton(self) -> npt.NDArray[Any]:
        """Return an array of this shape that takes no memory, for checks that ignore values."""
        return np.broadcast_to(np.zeros((), np.float32), self.shape)


def of_all(
    w: npt.NDArray[np.float64] | None, codes: npt.NDArray[Any], places: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return weights of some rows, by which each class of `codes` (m,) counts as much as it does in all rows.

    `LargeRows.some` adds a row of each class: one of a rare class, or with a large weight, would else count too much.

    >>> of_all(np.array([1.0, 1, 1, 1, 4]), np.array([0, 0, 0, 0, 1]), np.array([0, 4])).tolist()
    [1.6, 1.6]
    """
    some = codes[places]
    own, count = (np.ones(len(some)), len(codes)) if w is None else (w[places], np.count_nonzero(w))
    total, part = np.bincount(codes, w), np.bincount(some, own)
    factors = total / np.where(part > 0, part, 1) * (np.count_nonzero(own) / count)
    return np.asarray(own * factors[some])


class LargeTargets(LargeRows):
    """Targets (n_L, m) for rows in a file, made as they are read from targets in memory."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.shape = source.shape

    def whole(self) -> npt.NDArray[Any]:
        """Return the targets in memory."""
        return np.concatenate([block.T for _, _, block in self.blocks()], axis=1)

    def of_each(self, function: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return a function's values, (m,), of the targets (n_L, m), block by block."""
        return np.concatenate([function(block.T).astype(np.int32) for _, _, block in self.blocks()])

    def mean(
        self, w: npt.NDArray[np.float64] | None, of: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
    ) -> npt.NDArray[np.float64]:
        """Return the weighted mean of every target, or of the function `of` of the targets, in blocks."""
        total, weight = np.zeros(()), 0.0
        for start, stop, block in self.blocks():
            part, found = None if w is None else w[start:stop], of(block.T)
            count = float(stop - start) if part is None else float(part.sum())
            if count:
                total, weight = total + np.average(found, axis=1, weights=part) * count, weight + count
        return np.asarray(total / weight, dtype=np.float64)


class OneHot(Source):
    """One-hot columns, made from indices of classes (m,) as they are read.

    >>> OneHot(np.array([0, 2]), 3).raw(0, 2).tolist()
    [[1, 0], [0, 0], [0, 1]]
    """

    dtype = np.dtype(np.int8)

    def __init__(self, codes: npt.NDArray[Any], classes: int) -> None:
        self._codes, self.shape = codes, (classes, len(codes))

    def raw(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return examples start … stop - 1."""
        columns = np.zeros((stop - start, self.shape[0]), self.dtype).T
        columns[self._codes[start:stop], np.arange(stop - start)] = 1
        return columns


class _Scaled(Derived):
    """A source whose numbers are scaled as they are read."""

    def __init__(self, source: Source, scale: InputScale) -> None:
        super().__init__(source)
        self._scale, self.dtype, self.shape = scale, _floating(source.dtype), source.shape

    def raw(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return examples start … stop - 1."""
        with np.errstate(all="ignore"):
            return scaled(self.source.raw(start, stop).astype(self.dtype, copy=False), *self._scale)


class _Mapped(Derived):
    """Features that a function makes of the examples, which have to be finite, as they are read."""

    def __init__(self, source: Source, view: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> None:
        super().__init__(source)
        self._view = view
        example = self.raw(0, 1)
        self.shape, self.dtype = (len(example), source.shape[1]), example.dtype
        self.rows_first = True

    def raw(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the features of examples start … stop - 1."""
        X = self.source.raw(start, stop)
        if not (finite := np.isfinite(X)).all():
            column, number = np.argwhere(~finite.T)[0]
            place = self.place(start + int(column))
            raise ValueError(f"row {place}, column {number} must be finite, got {X[number, column]}")
        return self._view(X.T.astype(np.float64, copy=False)).T


def _floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if dtype in (np.float32, np.float64) else np.dtype(np.float64)


def scaled(X: npt.NDArray[Any], mean: npt.NDArray[Any], deviation: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return (X - mean) / deviation in the dtype of X, computed in the most exact dtype of the three.

    Far from 0 a float32 mean would be off by half a unit: float32 cannot hold 16 000 000.5.

    >>> X = np.array([16000000, 16000001], dtype=np.float32)
    >>> scaled(X, np.array([16000000.5]), np.array([0.5])).tolist()
    [-1.0, 1.0]
    """
    difference: npt.NDArray[Any] = np.subtract(X, mean, out=np.empty_like(X), casting="same_kind")
    np.divide(difference, deviation, out=difference, casting="same_kind")
    return difference


def large_rows(X: Any, smallest: int | None = None) -> LargeRows | None:
    """Return the rows of `vp.rows`, or of a memory map of more than `smallest` bytes, 256 MiB by default; else None."""
    if isinstance(X, LargeRows):
        return X
    is_map = map_of(X) is not None and X.ndim == 2 and X.dtype.kind in "biuf"
    is_large = is_map and X.nbytes > (streamed.SMALL if smallest is None else smallest)
    return LargeRows(rows(X).source) if is_large or isinstance(X, Rows) else None
