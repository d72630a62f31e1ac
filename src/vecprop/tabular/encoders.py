"""Encoders, which turn a column into features; learned in training and kept with the model."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Self, get_args, get_origin

import numpy as np
import numpy.typing as npt

from vecprop.data.dataset import is_number
from vecprop.data.spelling import TRUE, TRUTH, Form, exact, label, pl, readable
from vecprop.data.tables import Table, first_rows
from vecprop.tabular import column_stats

DAYS_OF_A_YEAR = 365.2425
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)?(?:(?:^|[ T])(\d\d:\d\d)(?::(\d\d)(?:\.(\d*?)0*)?)?)?")


class Found(NamedTuple):
    """Counts of missing values, of categories unseen in training, and of numbers far from its range."""

    missing: int = 0
    unseen: dict[str, int] = {}  # noqa: RUF012 - never modified
    far: int = 0

    def __add__(self, other: tuple[Any, ...]) -> "Found":
        return Found(self.missing + other[0], dict(Counter(self.unseen) + Counter(other[1])), self.far + other[2])


@dataclass(frozen=True)
class Number:
    """The encoder of a column of numbers; the mark of missing ones alone if all others were the same in training."""

    name: str
    fill: float  # the median in training, for missing values
    flag: bool = False  # whether training had missing values; then one more feature marks them
    decimal: str = "."  # how the training file writes the numbers, with the unit
    unit: str = ""
    low: float | None = None  # the range in training
    high: float | None = None
    kind: ClassVar[str] = "number"
    otherwise: ClassVar[str] = "--categorical"
    _what: ClassVar[str] = "numbers"
    _slack: ClassVar[float] = 1.0

    @classmethod
    def learn(cls, table: Table, name: str) -> Self:
        """Return the encoder learned from a table."""
        found, values = column_stats.as_numbers(table, name)
        form = (table.forms or {}).get(name, Form("number"))
        fill = float(np.nanmedian(values, overwrite_input=True))
        return cls(name, fill, found.missing > 0, form.decimal, form.unit, found.low, found.high)

    @property
    def is_constant(self) -> bool:
        """Whether the column had a single value in training, and missing ones."""
        return self.low is not None and self.low == self.high and self.flag

    @property
    def features(self) -> list[str]:
        """The names of the features."""
        return [self.name] * (not self.is_constant) + [f"{self.name} is missing"] * self.flag

    def encode(self, table: Table) -> tuple[npt.NDArray[np.float64], Found]:
        """Return the features (m, k), and counts of missing, unseen and far values."""
        if (dtype := table.dtype(self.name)).is_temporal():
            raise ValueError(f"{table.source}, column {self.name!r} must hold numbers, as in training; it has {dtype}")
        values = column_stats.whole(table, self.name)
        for row in np.flatnonzero(np.isinf(values))[:1].tolist():
            raise ValueError(f"{table.place(row, self.name)}: {values[row]} is not a finite number")
        far = _far(values, self.low, self.high, self._slack)
        missing = np.isnan(values)
        parts = [np.where(missing, self.fill, values)] * (not self.is_constant) + [missing] * self.flag
        return np.stack(parts, axis=1, dtype=np.float64), Found(int(missing.sum()), far=far)

    @property
    def filling(self) -> str:
        """What is done with a missing value."""
        return "marked" if self.is_constant else f"filled in with the median {self.fill:g}"

    def __str__(self) -> str:
        form = str(Form("number", self.decimal, self.unit))
        filled = f", missing ones filled with the median {self.fill:g} and marked" if self.flag else ""
        if self.is_constant:
            filled = f", all {self.low:g}: only the missing ones are marked"
        return f"{self._what}{' ' * bool(form)}{form}{filled}"


def _far(values: npt.NDArray[np.float64], low: float | None, high: float | None, slack: float = 1.0) -> int:
    """Return how many values lie outside the range of training by more than its width; of booleans, outside at all."""
    if low is None or high is None:
        return 0
    width = slack * (high - low)
    return int(((values > high + width) | (values < low - width)).sum())


@dataclass(frozen=True)
class Boolean(Number):
    """The encoder of a column of booleans, or of 1 and 0, however they are written."""

    kind: ClassVar[str] = "boolean"
    _what: ClassVar[str] = "true or false, as 1 and 0"
    _slack: ClassVar[float] = 0.0


@dataclass(frozen=True)
class Category:
    """The encoder of a column of categories: one feature for each, 1 for its examples, else 0.

    Rare categories share "(other)", unless there are means; one unseen in training has 0 in all features, and is
    counted. If all are numbers, cells are compared as numbers: 1, 1.0 and 01 are the same category. So are True and
    true among booleans.
    """

    name: str
    categories: tuple[str, ...]
    other: tuple[str, ...] = ()
    flag: bool = False
    means: tuple[tuple[float, ...], ...] = ()  # features of `target_encoding`: of each the values by codes
    kind: ClassVar[str] = "category"
    otherwise: ClassVar[str] = "--drop"

    def __post_init__(self) -> None:
        if any(len(row) != len(self.places) - 1 for row in self.means):
            raise ValueError(f"means of {self.name!r} must be one for each of {len(self.places) - 1} categories")

    @classmethod
    def learn(cls, table: Table, name: str, most: int) -> Self:
        """Return the encoder learned from a table; its `most` most frequent categories get a feature."""
        counted = column_stats.counts_of_labels(table, name)
        key, missing = same_as(counted), sum(counted.values()) < len(table)
        alike: dict[float | str, list[str]] = {}  # the labels of each category, the most frequent first
        for value in sorted(counted, key=lambda value: (-counted[value], value)):
            alike.setdefault(key(value), []).append(value)
        ranked = sorted(alike.values(), key=lambda labels: (-sum(counted[value] for value in labels), labels[0]))
        frequent, rare = (tuple(sorted(labels[0] for labels in part)) for part in (ranked[:most], ranked[most:]))
        return cls(name, frequent, rare, missing)

    @property
    def features(self) -> list[str]:
        """The names of the features."""
        more = ["(other)"] * self._has_heap + ["(missing)"] * self.flag
        zeros_and_ones = [f"{self.name}={category}" for category in (*self.categories, *more)]
        which = [f" {k}" for k in range(1, len(self.means) + 1)] if len(self.means) > 1 else [""] * len(self.means)
        return [*zeros_and_ones, *(f"{self.name}: mean target{k}" for k in which)]

    @property
    def _has_heap(self) -> bool:
        return bool(self.other) and not self.means

    @property
    def places(self) -> list[int]:
        """The 0/1 feature of each code, -1 for none, as for the last, which is code -1."""
        count = len(self.categories)
        rare = [count if self._has_heap else -1] * len(self.other)
        return [*range(count), *rare, *[count + self._has_heap] * self.flag, -1]

    def codes(self, cells: Sequence[Any]) -> npt.NDArray[np.int64]:
        """Return the index of each cell among categories, rare ones and "(missing)", -1 for others, (m,)."""
        names = (*self.categories, *self.other)
        key = same_as(names)
        known = {key(category): code for code, category in enumerate(names)}
        code = {cell: known.get(key(label(cell)), -1) for cell in set(cells) if cell is not None}
        code[None] = len(names) if self.flag else -1
        return np.array([code[cell] for cell in cells], dtype=np.int64)

    def encode(self, table: Table) -> tuple[npt.NDArray[np.float64], Found]:
        """Return the features (m, k), and counts of missing, unseen and far values."""
        cells = [cell for series in table.parts(self.name) for cell in series.to_list()]
        codes = self.codes(cells)
        count = len(self.features) - len(self.means)
        rows = np.column_stack([np.eye(count + 1, count)[self.places], *((*values, 0.0) for values in self.means)])
        unseen = Counter(label(cells[row]) for row in np.flatnonzero(codes < 0) if cells[row] is not None)
        return rows[codes], Found(cells.count(None), dict(unseen))

    @property
    def filling(self) -> str:
        """What is done with a missing value."""
        return "a category of its own" if self.flag else "as training had none: of no category"

    def __str__(self) -> str:
        count = len(self.categories)
        how = ", all with their mean target" if self.means else " as one more"
        rest = f", and {len(self.other)} rare one{'s' * (len(self.other) > 1)}{how}" if self.other else ""
        return f"{count} categor{'y' if count == 1 else 'ies'}{rest}: {first_rows(self.categories)}"


def same_as(categories: Iterable[str]) -> Callable[[str], float | str]:
    """Return a function that gives texts of the same category the same key.

    >>> [same_as(["1", "2.0"])(text) for text in ("2.0", "01", "x")], same_as(["a"])("01")
    ([2.0, 1, 'x'], '01')
    >>> key = same_as(["2024-01-31"])
    >>> key("2024-01-31 00:00:00") == key("2024-01-31"), key("soon")
    (True, 'soon')
    """
    given = list(categories)
    if given and all(map(is_number, given)):
        return lambda text: exact(text) if is_number(text) else text
    if given and all(text.lower() in TRUTH for text in given) and len({text.lower() in TRUE for text in given}) == 2:
        return lambda text: str(text.lower() in TRUE) if text.lower() in TRUTH else text
    return _moment if given and all(map(_MOMENT.fullmatch, given)) else str


def _moment(text: str) -> str:
    """Return a date or a time of the day in one form, whatever type or program has written it, other text as it is."""
    if not (found := _MOMENT.fullmatch(text)):
        return text
    day, clock, second, part = found.groups("")
    return f"{day} {clock or '00:00'}:{second or '00'}.{part}"


@dataclass(frozen=True)
class Date:
    """The encoder of dates: the year with its fraction; season and weekday as points on circles."""

    name: str
    format: str | None  # of the training file; None if it has a type for dates
    fill: float  # the median, in days since 1970
    time: bool = False  # whether the time of the day is encoded, too, as one more circle
    flag: bool = False  # as of numbers
    day: bool = True  # whether there are dates, not only times of the day
    week: bool = True  # whether the weekday is encoded; not for months, all of which have their first day
    low: float | None = None  # the range in training, in days since 1970
    high: float | None = None
    kind: ClassVar[str] = "date"
    filling: ClassVar[str] = "filled in with the median"

    @classmethod
    def learn(cls, table: Table, name: str) -> Self:
        """Return the encoder learned from a table."""
        found, days = column_stats.as_numbers(table, name, column_stats.days)
        day = table.dtype(name) != pl.Time
        form = (table.forms or {}).get(name)
        fill, time = float(np.nanmedian(days, overwrite_input=True)), not (day and found.whole)
        week = day and not all((part.dt.day() == 1).all() for part in table.parts(name))
        return cls(name, form and form.format, fill, time, found.missing > 0, day, week, found.low, found.high)

    @property
    def features(self) -> list[str]:
        """The names of the features."""
        parts = ["years"] * self.day + [f"{part} in the {c}" for c in self.circles for part in ("cos", "sin")]
        return [f"{self.name}: {part}" for part in parts + ["is missing"] * self.flag]

    @property
    def otherwise(self) -> str:
        """The option that changes what the column is taken for: the format of dates that are texts."""
        return "--date-format" if self.format else "--drop"

    @property
    def circles(self) -> dict[str, float]:
        """The circles, and their periods in days."""
        periods = (("year", DAYS_OF_A_YEAR, self.day), ("week", 7.0, self.week), ("day", 1.0, self.time))
        return {circle: period for circle, period, there in periods if there}

    def encode(self, table: Table) -> tuple[npt.NDArray[np.float64], Found]:
        """Return the features (m, k), and counts of missing, unseen and far values."""
        dtype = table.dtype(self.name)
        if dtype not in ((pl.Date, pl.Datetime) if self.day else (pl.Time,)):
            what = "dates" if self.day else "times of the day"
            raise ValueError(f"{table.source}, column {self.name!r} must hold {what}, as in training; it has {dtype}")
        days = column_stats.whole(table, self.name, column_stats.days)
        missing, far = np.isnan(days), _far(days, self.low, self.high) if self.day else 0
        days = np.where(missing, self.fill, days)
        columns = [1970 + days / DAYS_OF_A_YEAR] * self.day
        for period in self.circles.values():
            angle = 2 * np.pi * days / period
            columns += [np.cos(angle), np.sin(angle)]
        return np.stack(columns + [missing] * self.flag, axis=1, dtype=np.float64), Found(int(missing.sum()), far=far)

    def __str__(self) -> str:
        if not self.day:
            return "times of the day, as points on a circle"
        shape = f" {readable(self.format)}" if self.format else ""
        parts = "year, season and day of the week" if self.week else "year and season"
        return f"dates{shape}, as {parts}{', hour' if self.time else ''}"


Column = Number | Boolean | Category | Date
KINDS: dict[str, type[Any]] = {cls.kind: cls for cls in (Number, Boolean, Category, Date)}

# What holds of fields of encoders and targets in a file beside their type.
_HOLDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("categories", "other"), lambda value: len(set(value)) == len(value)),
    "decimal": lambda value: value in (".", ","),
    "means": lambda value: all(np.isfinite(row).all() for row in value),
}
_LATER = frozenset({"unit", "low", "high", "day", "week", "truth", "means"})  # fields that the oldest files lack


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of an encoder or target for a file, newer ones only if not the default."""
    given = {f.name: (getattr(value, f.name), f.default) for f in fields(value)}
    return {name: entry for name, (entry, usual) in given.items() if name not in _LATER or entry != usual}


def check_fields(cls: type[Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a data class read from a file; ValueError or KeyError for one that is wrong or missing."""
    given = {f: value[f.name] for f in fields(cls) if f.name in value or f.name not in _LATER}
    for f, entry in given.items():
        if not _is_of(entry, f.type) or (f.name in _HOLDS and not _HOLDS[f.name](entry)):
            raise ValueError(f"{f.name} is {entry!r}")
    return {f.name: _as_tuple(entry) for f, entry in given.items()}


def _is_of(value: Any, kind: Any) -> bool:
    """Tell whether a value is of a type, where a tuple may be a list."""
    if get_origin(kind) is not tuple:
        return isinstance(value, kind)
    return isinstance(value, list | tuple) and all(_is_of(entry, get_args(kind)[0]) for entry in value)


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list | tuple) else value
