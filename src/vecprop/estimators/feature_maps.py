"""Feature maps: views of a table's numbers for the networks of a pack; bounded for every later row.

A map is learned from training rows X (m, n). Columns with more than two different values there are numbers; the others
are codes. With x a number, q_0 < q_1 < … its quantiles without repetition, and clip to [0, 1]:

    codes      clip((x - min) / (max - min)): 0 or 1; a column with one value gives nothing
    standard   (x - mean) / σ, cut at ±20
    robust     z / √(1 + (z/3)²), z = (x - median) / (q_75 - q_25)
    bins       for each t: clip((x - q_t) / (q_{t+1} - q_t)), piecewise linear
    normal     Φ⁻¹ of the share of smaller values, linear between quantiles, cut at shares of 0.001 and 0.999
    cosines    cos(2π f_k r), sin(2π f_k r) with r the robust number and fixed random frequencies f_k

Sources: robust scale and smooth clip as RealMLP (Holzmüller and others, 2024, arXiv 2407.04491); bins and cosines as
Gorishniy, Rubachev and Babenko, 2022, arXiv 2203.05556, there called piecewise linear and periodic embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Columns = Sequence[int] | npt.NDArray[np.int64]

_BINS, _KNOTS, _WAVES = 16, 64, 16  # for each number, if there are few of them
_MOST_FEATURES = 2048  # of all numbers together, and
_MOST_ENTRIES = 1 << 26  # of all training rows
_FREQUENCY = 0.5  # the standard deviation of frequencies
_FARTHEST = 1e6  # interquartile ranges: farther numbers are all the same
_CUT = 20.0
_ROUNDING = 1e-10  # of the range
_TAIL = 1e-3


@dataclass(frozen=True, eq=False)
class Bins:
    """Piecewise-linear features: one for each bin, of column `column` between `low` and `high`, all (B,).

    >>> bins = Bins.learn(np.array([[0.0], [1.0], [2.0], [6.0]]), [0], 2)
    >>> bins.low.tolist(), bins.high.tolist(), bins(np.array([[3.0], [99.0]])).round(3).tolist()
    ([0.0, 1.5], [1.5, 6.0], [[1.0, 0.333], [1.0, 1.0]])
    """

    column: npt.NDArray[np.int64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    kind: ClassVar[str] = "bins"

    @classmethod
    def learn(cls, X: npt.NDArray[Any], columns: Columns, count: int) -> Bins:
        """Return at most `count` bins for each of the columns, between quantiles of X (m, n)."""
        column, low, high = [], [], []
        for j in columns:
            edges = _quantiles(X[:, j], count)
            column += [j] * (len(edges) - 1)
            low += edges[:-1].tolist()
            high += edges[1:].tolist()
        return cls(np.array(column, dtype=np.int64), np.array(low), np.array(high))

    def __call__(self, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the features (m, B), each in [0, 1]."""
        with np.errstate(over="ignore"):
            found = (X[:, self.column] - self.low) / (self.high - self.low)
        return np.clip(found, 0.0, 1.0, out=found)


@dataclass(frozen=True, eq=False)
class Standard:
    """Numbers less their mean, by their deviation, cut at ±20; all (d,).

    >>> Standard.learn(np.array([[0.0], [2.0]]), [0])(np.array([[2.0], [1e300]])).tolist()
    [[1.0], [20.0]]
    """

    column: npt.NDArray[np.int64]
    center: npt.NDArray[np.float64]
    width: npt.NDArray[np.float64]
    kind: ClassVar[str] = "standard"
    farthest: ClassVar[float] = _CUT

    @classmethod
    def learn(cls, X: npt.NDArray[Any], columns: Columns) -> Self:
        """Return the map of these columns of X (m, n), which vary."""
        part = X[:, columns]
        unit = power_of_2(part)
        part /= unit
        return cls(np.array(columns, dtype=np.int64), part.mean(axis=0) * unit, part.std(axis=0) * unit)

    def __call__(self, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the features (m, d)."""
        with np.errstate(over="ignore"):
            z = (X[:, self.column] - self.center) / self.width
        return np.clip(z, -self.farthest, self.farthest, out=z)


@dataclass(frozen=True, eq=False)
class Robust(Standard):
    """Numbers less their median, by their interquartile range, smoothly clipped to [-3, 3]; all (d,).

    >>> robust = Robust.learn(np.array([[0.0], [1.0], [2.0], [3.0], [4.0]]), [0])
    >>> robust(np.array([[2.0], [4.0], [1e300]])).round(3).tolist()
    [[0.0], [0.949], [3.0]]
    """

    kind: ClassVar[str] = "robust"
    farthest: ClassVar[float] = _FARTHEST

    @classmethod
    def learn(cls, X: npt.NDArray[Any], columns: Columns) -> Self:
        """Return the map of these columns of X (m, n); where half of a column is equal, half its range is the width."""
        part = X[:, columns]
        lower, center, upper = np.quantile(part, [0.25, 0.5, 0.75], axis=0)
        spread = part.max(axis=0) / 2 - part.min(axis=0) / 2
        return cls(np.array(columns, dtype=np.int64), center, np.where(upper > lower, upper - lower, spread))

    def __call__(self, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the features (m, d)."""
        z = super().__call__(X)
        return z / np.sqrt(1.0 + (z / 3.0) ** 2)


@dataclass(frozen=True, eq=False)
class Cosines(Robust):
    """Cosines and sines of robust numbers, with the frequencies (w,).

    >>> wave = Cosines(np.array([0]), np.array([0.0]), np.array([1.0]), np.array([0.25]))
    >>> wave(np.array([[0.0], [1e300]])).round(3).tolist()  # robust 0 and 3: a quarter and three quarters of a turn
    [[1.0, 0.0], [-0.0, -1.0]]
    """

    frequencies: npt.NDArray[np.float64]
    kind: ClassVar[str] = "cosines"

    def __call__(self, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the features (m, 2wd)."""
        angle = (2 * np.pi * super().__call__(X)[:, :, None] * self.frequencies).reshape(len(X), -1)
        return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


@dataclass(frozen=True, eq=False)
class Normal(Bins):
    """Numbers as quantiles of the normal distribution: `start` (n,), and the `rise` (B,) over each bin.

    >>> normal = Normal.learn(np.arange(5.0)[:, None], [0], 4)
    >>> normal(np.array([[2.0], [3.0], [-9.0]])).round(2).tolist()  # 0.5, 0.7 and 0.1 of a normal distribution
    [[0.0], [0.52], [-1.28]]
    """

    start: npt.NDArray[np.float64]
    rise: npt.NDArray[np.float64]
    kind: ClassVar[str] = "normal"

    @classmethod
    def learn(cls, X: npt.NDArray[Any], columns: Columns, count: int) -> Normal:
        """Return the map of these columns of X (m, n), with at most `count` bins each."""
        from scipy.special import ndtri

        bins = Bins.learn(X, columns, count)
        start, rise = [], []
        for j in columns:
            mine = bins.column == j
            edges, values = np.append(bins.low[mine], bins.high[mine][-1]), np.sort(X[:, j])
            below = np.searchsorted(values, edges, "left") + np.searchsorted(values, edges, "right")
            heights = ndtri(np.clip(below / (2 * len(values)), _TAIL, 1 - _TAIL))
            start.append(heights[0])
            rise += np.diff(heights).tolist()
        return cls(bins.column, bins.low, bins.high, np.array(start), np.array(rise))

    @property
    def sums(self) -> npt.NDArray[np.float64]:
        """The matrix (B, d) that turns the bins' features into rises over the start."""
        _, place = np.unique(self.column, return_inverse=True)
        return np.where(place[:, None] == np.arange(len(self.start)), self.rise[:, None], 0.0)

    def __call__(self, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the features (m, d)."""
        columns, first = np.unique(self.column, return_index=True)
        ends = [*first[1:], len(self.column)]
        found = np.empty((len(X), len(columns)))
        for k, (j, a, b) in enumerate(zip(columns, first, ends, strict=True)):
            heights = self.start[k] + np.concatenate([[0.0], np.cumsum(self.rise[a:b])])
            found[:, k] = np.interp(X[:, j], np.append(self.low[a:b], self.high[b - 1]), heights)
        return found


Part = Bins | Standard
PARTS: dict[str, type[Any]] = {cls.kind: cls for cls in (Bins, Standard, Robust, Cosines, Normal)}


@dataclass(frozen=True)
class FeatureMap:
    """Parts side by side, each a function of X (m, n); the features are float32."""

    name: str
    parts: tuple[Part, ...]

    def __call__(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the features (m, n')."""
        return np.concatenate([part(X) for part in self.parts], axis=1, dtype=np.float32, casting="same_kind")

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return the learned arrays, in float64, by the names under which a file has them."""
        named = ((f"{k}.{part.kind}", part) for k, part in enumerate(self.parts))
        return {
            f"{at}.{f.name}": np.asarray(getattr(part, f.name), np.float64) for at, part in named for f in fields(part)
        }

    @classmethod
    def from_tensors(cls, name: str, tensors: Mapping[str, npt.NDArray[Any]]) -> FeatureMap:
        """Return the map of arrays by the names of `to_tensors`; KeyError, TypeError or ValueError for others."""
        found: dict[tuple[int, str], dict[str, Any]] = {}
        for key, array in tensors.items():
            k, kind, field = key.split(".")
            found.setdefault((int(k), kind), {})[field] = array.astype(np.int64) if field == "column" else array
        parts = tuple(PARTS[kind](**arrays) for (_, kind), arrays in sorted(found.items()))
        for part, f in [(own, f) for own in parts for f in fields(own)]:
            array, count = getattr(part, f.name), part.column.size
            wanted = {"frequencies": array.size, "start": len(np.unique(part.column))}.get(f.name, count)
            if array.shape != (wanted,) or part.column.min(initial=0) < 0:
                raise ValueError(f"{f.name} of its {part.kind} numbers has shape {array.shape} for {count} columns")
        return cls(name, parts)


def power_of_2(X: npt.NDArray[Any]) -> Any:
    """Return the largest power of 2 up to the largest |x| of each column of X (m, …): in it no square overflows.

    >>> power_of_2(np.array([[1.0, -9.0], [3.0, 5.0]])).tolist()
    [2.0, 8.0]
    """
    _, power = np.frexp(np.maximum(X.max(axis=0), -X.min(axis=0)))
    return np.ldexp(X.dtype.type(1), power - 1)


def learn(name: str, X: npt.NDArray[Any], rng: np.random.Generator, m: int | None = None) -> FeatureMap:
    """Return a map learned from training rows X, all of them or some of m: "standard", "bins", "normal" or "cosines".

    "bins" has the robust numbers beside the bins, "normal" bins beside the normal quantiles. Only "cosines" draws.

    >>> X = np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 6.0], [3.0, 6.0]])
    >>> learn("standard", X, np.random.default_rng(0))(X).astype(float).round(1).tolist()
    [[-1.3, 0.0], [-0.4, 0.0], [0.4, 1.0], [1.3, 1.0]]
    """
    several = np.array([len(np.unique(X[:1000, j])) > 2 or len(np.unique(X[:, j])) > 2 for j in range(X.shape[1])])
    numbers, codes = np.flatnonzero(several), np.flatnonzero(~several)
    parts: list[Part] = []
    if len(numbers):
        share = max(2, min(_MOST_FEATURES, _MOST_ENTRIES // (m or len(X))) // len(numbers))
        if name == "standard":
            parts.append(Standard.learn(X, numbers))
        elif name == "normal":
            parts.append(Normal.learn(X, numbers, _KNOTS))
        else:
            parts.append(Robust.learn(X, numbers))
        if name in ("bins", "normal"):
            parts.append(Bins.learn(X, numbers, min(_BINS, share)))
        if name == "cosines":
            robust, frequencies = parts[0], rng.normal(0.0, _FREQUENCY, min(_WAVES, share) // 2)
            parts.append(Cosines(robust.column, robust.center, robust.width, frequencies))  # type: ignore[union-attr]
    return FeatureMap(name, (*parts, Bins.learn(X, codes, 1)))


def _quantiles(values: npt.NDArray[Any], count: int) -> npt.NDArray[np.float64]:
    """Return the different ones of count + 1 quantiles; a constant has one.

    Values that differ by rounding alone are the same: a bin between them would turn rounding into a jump.
    """
    edges = np.quantile(values, np.linspace(0.0, 1.0, count + 1))
    least = _ROUNDING * (edges[-1] - edges[0])
    kept = [edges[0]]
    for edge in edges[1:]:
        if edge - kept[-1] > least:
            kept.append(edge)
    return np.array(kept)
