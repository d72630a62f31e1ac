"""What a column holds, found out from its values, and how it becomes numbers: numeric, categorical, dates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from vecprop.tables import MISSING
from vecprop.tabular.reading import Table, first_rows, import_polars

if TYPE_CHECKING:
    import numpy.typing as npt
    import polars as pl

MOST_CATEGORIES = 50
_MOSTLY = 0.9  # where so many of the texts are numbers, the others are errors and no categories
_SAFE_CATEGORIES = 20  # so many different texts are categories in a small table, too
DAYS_OF_A_YEAR = 365.2425
# Each pattern, and its name in messages. Of the last four only that is taken which fits all cells alone.
DATE_FORMATS = {
    "%Y-%m-%d": "YYYY-MM-DD",
    "%Y/%m/%d": "YYYY/MM/DD",
    "%d.%m.%Y": "DD.MM.YYYY",
    "%Y-%m-%d %H:%M": "YYYY-MM-DD hh:mm",
    "%Y-%m-%d %H:%M:%S": "YYYY-MM-DD hh:mm:ss",
    "%Y-%m-%dT%H:%M:%S": "YYYY-MM-DDThh:mm:ss",
    "%d/%m/%Y": "DD/MM/YYYY",
    "%m/%d/%Y": "MM/DD/YYYY",
    "%d-%m-%Y": "DD-MM-YYYY",
    "%m-%d-%Y": "MM-DD-YYYY",
}


class Found(NamedTuple):
    """What encoding a column met: missing values, and values that training did not have, with how often."""

    missing: int = 0
    unseen: dict[str, int] = {}  # noqa: RUF012 - never modified


Encoded = tuple["npt.NDArray[np.float64]", Found]


@dataclass(frozen=True)
class Number:
    """A numeric column: missing values get the training examples' median, and a second feature if there were any."""

    name: str
    fill: float
    flag: bool = False
    decimal: str = "."
    kind: ClassVar[str] = "number"

    @classmethod
    def learn(cls, table: Table, name: str, decimal: str = ".") -> Number:
        """Return the encoding for the values of a table."""
        values = numbers(table, name, decimal)
        known = values[~np.isnan(values)]
        return cls(name, float(np.median(known)) if len(known) else 0.0, len(known) < len(values), decimal)

    @property
    def features(self) -> list[str]:
        """The names of what it becomes."""
        return [self.name, f"{self.name} is missing"] if self.flag else [self.name]

    def encode(self, table: Table) -> Encoded:
        """Return the features (m, k) and what was met."""
        values = numbers(table, self.name, self.decimal)
        missing = np.isnan(values)
        filled = np.where(missing, self.fill, values)
        return np.stack([filled, missing] if self.flag else [filled], axis=1, dtype=np.float64), Found(
            int(missing.sum())
        )

    def __str__(self) -> str:
        filled = f", missing ones filled with the median {self.fill:g} and marked" if self.flag else ""
        return f"numbers{' with a decimal comma' if self.decimal == ',' else ''}{filled}"


@dataclass(frozen=True)
class Category:
    """A categorical column: one feature for each category, 1 for its examples.

    Rare ones share "(other)"; an unseen one has 0 in all features, and is counted.
    """

    name: str
    categories: tuple[str, ...]
    other: tuple[str, ...] = ()
    flag: bool = False
    kind: ClassVar[str] = "category"

    @classmethod
    def learn(cls, table: Table, name: str, most: int = MOST_CATEGORIES) -> Category:
        """Return the encoding for the values of a table: the most frequent categories, by name where they tie."""
        counted: dict[str, int] = {}
        for value, count in table.column(name).drop_nulls().value_counts().iter_rows():
            counted[label(value)] = counted.get(label(value), 0) + count
        ranked = sorted(counted, key=lambda value: (-counted[value], value))
        missing = table.column(name).null_count() > 0
        return cls(name, tuple(sorted(ranked[:most])), tuple(sorted(ranked[most:])), missing)

    @property
    def features(self) -> list[str]:
        """The names of what it becomes."""
        more = [*(["(other)"] if self.other else []), *(["(missing)"] if self.flag else [])]
        return [f"{self.name}={category}" for category in (*self.categories, *more)]

    def encode(self, table: Table) -> Encoded:
        """Return the features (m, k) and what was met."""
        cells = texts(table, self.name)
        places: dict[str | None, int] = {category: i for i, category in enumerate(self.categories)}
        places |= dict.fromkeys(self.other, len(self.categories))
        if self.flag:
            places[None] = len(self.features) - 1
        encoded = np.zeros((len(cells), len(self.features)))
        column = np.array([places.get(cell, -1) for cell in cells], dtype=np.int64)
        known = np.flatnonzero(column >= 0)
        encoded[known, column[known]] = 1.0
        unseen: dict[str, int] = {}
        for cell in cells:
            if cell is not None and cell not in places:
                unseen[cell] = unseen.get(cell, 0) + 1
        return encoded, Found(sum(cell is None for cell in cells), unseen)

    def __str__(self) -> str:
        count = len(self.categories)
        rest = f", and {len(self.other)} rare ones as one more" if self.other else ""
        return f"{count} categor{'y' if count == 1 else 'ies'}{rest}: {first_rows(self.categories)}"


@dataclass(frozen=True)
class Date:
    """Dates: the year with its fraction, and where in the year and in the week they are, as points on circles."""

    name: str
    format: str | None  # None where the file itself has dates
    fill: float  # the median, in days since 1970
    time: bool = False
    flag: bool = False
    kind: ClassVar[str] = "date"

    @classmethod
    def learn(cls, table: Table, name: str, format: str | None = None) -> Date:
        """Return the encoding for the values of a table."""
        days = dates(table, name, format)
        known = days[~np.isnan(days)]
        time = bool((known % 1 != 0).any())
        return cls(name, format, float(np.median(known)) if len(known) else 0.0, time, len(known) < len(days))

    @property
    def features(self) -> list[str]:
        """The names of what it becomes."""
        circles = ["year", "week", *(["day"] if self.time else [])]
        parts = ["years", *(f"{part} in the {circle}" for circle in circles for part in ("cos", "sin"))]
        return [f"{self.name}: {part}" for part in [*parts, *(["is missing"] if self.flag else [])]]

    @property
    def periods(self) -> tuple[float, ...]:
        """The circles, in days."""
        return (DAYS_OF_A_YEAR, 7.0, *([1.0] if self.time else []))

    def encode(self, table: Table) -> Encoded:
        """Return the features (m, k) and what was met."""
        days = dates(table, self.name, self.format)
        missing = np.isnan(days)
        days = np.where(missing, self.fill, days)
        columns = [1970 + days / DAYS_OF_A_YEAR]
        for period in self.periods:
            angle = 2 * np.pi * days / period
            columns += [np.cos(angle), np.sin(angle)]
        if self.flag:
            columns.append(missing.astype(np.float64))
        return np.stack(columns, axis=1), Found(int(missing.sum()))

    def __str__(self) -> str:
        shape = f" {DATE_FORMATS.get(self.format, self.format)}" if self.format else ""
        return f"dates{shape}, as year, season and day of the week{', hour' if self.time else ''}"


Column = Number | Category | Date
KINDS: dict[str, type[Any]] = {cls.kind: cls for cls in (Number, Category, Date)}


# What the fields of encodings and targets hold, in a file: a list there is a tuple here.
_FIELDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("name", "reason", "task"), lambda value: isinstance(value, str)),
    **dict.fromkeys(("flag", "time", "whole"), lambda value: isinstance(value, bool)),
    **dict.fromkeys(
        ("categories", "other"),
        lambda value: (
            isinstance(value, list | tuple) and all(isinstance(v, str) for v in value) and len(set(value)) == len(value)
        ),
    ),
    "fill": lambda value: isinstance(value, float),
    "decimal": lambda value: value in (".", ","),
    "format": lambda value: value is None or isinstance(value, str),
}


def check_fields(cls: type[Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a data class from a file; ValueError or KeyError if one is missing or of another kind."""
    given = {f.name: value[f.name] for f in fields(cls)}
    for name, entry in given.items():
        if not _FIELDS[name](entry):
            raise ValueError(f"{name} is {entry!r}")
    return {name: tuple(entry) if isinstance(entry, list) else entry for name, entry in given.items()}


# --- values -------------------------------------------------------------------------------------------------


def numbers(table: Table, name: str, decimal: str = ".") -> npt.NDArray[np.float64]:
    """Return a column as numbers (m,), NaN where they are missing, or raise ValueError at the first that is none."""
    series = table.column(name)
    values, bad = _parsed(series, decimal)
    if len(bad):
        cell = series[int(bad[0])]
        raise ValueError(
            f"{table.place(int(bad[0]), name)}: {cell!r} is not a finite number, as all of this column are to be"
            f"{f' ({len(bad)} such cells)' if len(bad) > 1 else ''}; correct it, or leave the cell empty"
        )
    return values


def decimal_of(table: Table, name: str) -> str:
    """Return the sign between whole and fraction of a column of numbers; ValueError if it has something else."""
    series = table.column(name)
    if table.delimiter == ";" and len(_parsed(series, ".")[1]) and not len(_parsed(series, ",")[1]):
        return ","
    numbers(table, name)
    return "."


def _parsed(series: pl.Series, decimal: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return numbers (m,), and the rows of what is neither a finite number nor missing."""
    pl = import_polars()
    if series.dtype.is_temporal():
        return np.full(len(series), np.nan), np.flatnonzero(~series.is_null().to_numpy())
    missing = series.is_null()
    if series.dtype == pl.String:
        missing = missing | series.str.to_lowercase().is_in(sorted(MISSING))
        if decimal == ",":
            series = series.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    values = series.cast(pl.Float64, strict=False).to_numpy().astype(np.float64)
    known = ~missing.to_numpy().astype(bool)
    values = np.where(known, values, np.nan)
    return values, np.flatnonzero(known & ~np.isfinite(values))


def texts(table: Table, name: str) -> list[str | None]:
    """Return a column as texts, None where they are missing; a number as its label, '1' for 1.0."""
    series = table.column(name)
    cells = series.to_list()
    if series.dtype == import_polars().String:
        return cells
    return [None if cell is None else label(cell) for cell in cells]


def label(value: Any) -> str:
    """Return the label of a value: '1' for 1.0, a text as it is.

    >>> label(1.0), label(0.5), label("red")
    ('1', '0.5', 'red')
    """
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def dates(table: Table, name: str, format: str | None) -> npt.NDArray[np.float64]:
    """Return a column of dates as days since 1970 (m,), NaN where they are missing, or raise ValueError."""
    pl = import_polars()
    series = table.column(name)
    if series.dtype == pl.String and format is not None:
        parsed = series.str.to_datetime(format, strict=False, exact=True)
        bad = np.flatnonzero((parsed.is_null() & ~series.is_null()).to_numpy())
        if len(bad):
            raise ValueError(
                f"{table.place(int(bad[0]), name)}: {series[int(bad[0])]!r} is not a date such as "
                f"{DATE_FORMATS.get(format, format)}, as the others of this column are; correct it, or leave it empty"
            )
        series = parsed
    elif not series.dtype.is_temporal() or series.dtype == pl.Time:
        raise ValueError(f"{table.source}, column {name!r} must hold dates, as in training; it has {series.dtype}")
    milliseconds = series.cast(pl.Datetime("ms")).dt.epoch("ms").cast(pl.Float64).to_numpy()
    return np.asarray(milliseconds, dtype=np.float64) / 86_400_000


# --- what a column is ---------------------------------------------------------------------------------------


class LeftOut(NamedTuple):
    """A column that is not used, and why."""

    reason: str


class Numeric(NamedTuple):
    """A column of numbers; the sign between whole and fraction."""

    decimal: str


class Dated(NamedTuple):
    """A column of dates in this format; None where the file has a type for them."""

    format: str | None


class Categorical(NamedTuple):
    """A column of categories."""


Kind = LeftOut | Numeric | Dated | Categorical


def find_kind(table: Table, name: str) -> Kind:
    """Return what a column holds; ValueError where numbers and words are mixed, and for dates with two meanings."""
    pl = import_polars()
    series = table.column(name)
    known = series.drop_nulls()
    if not len(known):
        return LeftOut("it has no values")
    if known.n_unique() == 1 and not series.null_count():
        return LeftOut(f"all its values are {known[0]!r}")
    if series.dtype.is_temporal():
        return Dated(None) if series.dtype in (pl.Date, pl.Datetime) else LeftOut(f"{series.dtype} is not used")
    if series.dtype != pl.String:
        return _of_numbers(name, *_parsed(series, "."), decimal=".")
    decimals = (".", ",") if table.delimiter == ";" else (".",)
    parsed = {decimal: _parsed(series, decimal) for decimal in decimals}
    for decimal, (values, bad) in parsed.items():
        if not len(bad) and not np.isnan(values).all():
            return _of_numbers(name, values, bad, decimal=decimal)
    _refuse_a_mixture(table, name, *min(parsed.values(), key=lambda pair: len(pair[1])))
    format = _date_format(table, name, known)
    if format is not None:
        return Dated(format)
    count, m = known.n_unique(), len(series)
    if count > max(_SAFE_CATEGORIES, m // 2):
        return LeftOut(f"{count} different texts in {m} rows are names, no categories")
    return Categorical()


def _of_numbers(name: str, values: Any, bad: Any, decimal: str) -> Kind:
    if len(bad):
        return LeftOut(f"{len(bad)} of its values are not finite")
    known = values[~np.isnan(values)]
    if len(np.unique(known)) == 1 and len(known) == len(values):
        return LeftOut(f"all its values are {known[0]:g}")
    steps = np.unique(np.diff(known))
    if len(known) == len(values) > 2 and steps.tolist() == [1.0] and known[0] in (0, 1):
        return LeftOut("it counts the rows")
    whole = bool((known % 1 == 0).all())
    if whole and len(np.unique(known)) == len(known) > _SAFE_CATEGORIES and _is_identifier(name):
        return LeftOut("its numbers are names of the examples")
    return Numeric(decimal)


def _is_identifier(name: str) -> bool:
    """Tell whether a name is that of an identifier.

    >>> [_is_identifier(name) for name in ("id", "house_id", "Customer ID", "paid", "identity")]
    [True, True, True, False, False]
    """
    return name.lower().replace("_", " ").replace("-", " ").split()[-1:] in (["id"], ["index"], ["key"])


def _refuse_a_mixture(table: Table, name: str, values: Any, bad: npt.NDArray[np.int64]) -> None:
    """Raise ValueError if nearly all texts are numbers: the first that is none, with what can be done."""
    right = int(np.isfinite(values).sum())
    if right < _MOSTLY * (right + len(bad)):
        return
    cell = table.column(name)[int(bad[0])]
    raise ValueError(
        f"{table.place(int(bad[0]), name)}: {cell!r} is not a number, and {right} of {right + len(bad)} cells of this "
        f"column are; correct it, or say what it is (--missing {cell!r}, --categorical {name!r}, --drop {name!r})"
    )


def _date_format(table: Table, name: str, known: pl.Series) -> str | None:
    """Return the format that all texts of a column have; None if they are no dates, ValueError if two fit."""
    if not known.head(50).str.contains(r"^\d{1,4}[-./]\d{1,2}[-./]\d{1,4}").all():
        return None
    fitting = [f for f in DATE_FORMATS if not known.str.to_datetime(f, strict=False, exact=True).null_count()]
    if len(fitting) > 1:
        first, second = (DATE_FORMATS[f] for f in fitting[:2])
        raise ValueError(
            f"{table.source}, column {name!r}: its dates, such as {known[0]!r}, can be read as {first} and as "
            f"{second}; write them as YYYY-MM-DD, say --date-format {fitting[0]!r}, or leave them out (--drop {name!r})"
        )
    return fitting[0] if fitting else None
