"""What a column holds, found out from its values, and how it becomes numbers: numeric, categorical, dates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from vecprop.tabular import facts
from vecprop.tabular.facts import Cells, Numbers
from vecprop.tabular.reading import Table, first_rows, import_polars
from vecprop.tabular.values import DATE_FORMATS, dates, not_a_number, numbers, texts

if TYPE_CHECKING:
    import numpy.typing as npt

MOST_CATEGORIES = 50
_MOSTLY = 0.9  # where so many of the texts are numbers, the others are errors and no categories
_SAFE_CATEGORIES = 20  # so many different texts are categories in a small table, too
DAYS_OF_A_YEAR = 365.2425
_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}")


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
        missing = bool(np.isnan(values).any())
        return cls(name, facts.median(values), missing, decimal)

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
        counted = facts.counts_of_labels(table, name)
        ranked = sorted(counted, key=lambda value: (-counted[value], value))
        missing = sum(counted.values()) < len(table)
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
        missing, time = bool(np.isnan(days).any()), facts.has_fractions(days)
        return cls(name, format, facts.median(days), time, missing)

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


def decimal_of(table: Table, name: str) -> str:
    """Return the sign between whole and fraction of a column of numbers; ValueError if it has something else."""
    found = facts.as_numbers(table, name)
    if found.wrong is None:
        return "."
    if table.delimiter == ";" and not facts.as_numbers(table, name, ",").bad:
        return ","
    raise not_a_number(table, name, *found.wrong, found.bad)


def find_kind(table: Table, name: str) -> Kind:
    """Return what a column holds; ValueError where numbers and words are mixed, and for dates with two meanings."""
    pl = import_polars()
    dtype, cells = table.dtype(name), facts.cells(table, name)
    if not cells.known:
        return LeftOut("it has no values")
    if cells.alike and not cells.missing:
        return LeftOut(f"all its values are {cells.first!r}")
    if dtype.is_temporal():
        return Dated(None) if dtype in (pl.Date, pl.Datetime) else LeftOut(f"{dtype} is not used")
    if dtype != pl.String:
        return _of_numbers(table, name, facts.as_numbers(table, name), decimal=".")
    decimals = (".", ",") if table.delimiter == ";" else (".",)
    parsed = {decimal: facts.as_numbers(table, name, decimal) for decimal in decimals}
    for decimal, found in parsed.items():
        if not found.bad and found.finite:
            return _of_numbers(table, name, found, decimal=decimal)
    _refuse_a_mixture(table, name, min(parsed.values(), key=lambda found: found.bad))
    format = _date_format(table, name, cells)
    if format is not None:
        return Dated(format)
    m, most = len(table), max(_SAFE_CATEGORIES, len(table) // 2)
    count = facts.count_texts(table, name)
    return LeftOut(f"{count} different texts in {m} rows are names, no categories") if count > most else Categorical()


def _of_numbers(table: Table, name: str, found: Numbers, decimal: str) -> Kind:
    if found.bad:
        return LeftOut(f"{found.bad} of its values are not finite")
    if found.alike and not found.missing:
        return LeftOut(f"all its values are {found.first:g}")
    if found.counting and not found.missing and found.finite > 2 and found.first in (0, 1):
        return LeftOut("it counts the rows")
    may_be_names = found.whole and found.finite > _SAFE_CATEGORIES and _is_identifier(name)
    if may_be_names and len(facts.different_numbers(table, name, decimal)) == found.finite:
        return LeftOut("its numbers are names of the examples")
    return Numeric(decimal)


def _is_identifier(name: str) -> bool:
    """Tell whether a name is that of an identifier.

    >>> [_is_identifier(name) for name in ("id", "house_id", "Customer ID", "paid", "identity")]
    [True, True, True, False, False]
    """
    return name.lower().replace("_", " ").replace("-", " ").split()[-1:] in (["id"], ["index"], ["key"])


def _refuse_a_mixture(table: Table, name: str, found: Numbers) -> None:
    """Raise ValueError if nearly all texts are numbers: the first that is none, with what can be done."""
    right, cells = found.finite, found.finite + found.bad
    if found.wrong is None or right < _MOSTLY * cells:
        return
    row, cell = found.wrong
    raise ValueError(
        f"{table.place(row, name)}: {cell!r} is not a number, and {right} of {cells} cells of this "
        f"column are; correct it, or say what it is (--missing {cell!r}, --categorical {name!r}, --drop {name!r})"
    )


def _date_format(table: Table, name: str, cells: Cells) -> str | None:
    """Return the format that all texts of a column have; None if they are no dates, ValueError if two fit."""
    if not all(map(_DATE.match, cells.head or ())):
        return None
    fitting = fitting_formats(table, name, DATE_FORMATS)
    if len(fitting) > 1:
        first, second = (DATE_FORMATS[f] for f in fitting[:2])
        raise ValueError(
            f"{table.source}, column {name!r}: its dates, such as {cells.first!r}, can be read as {first} and as "
            f"{second}; write them as YYYY-MM-DD, say --date-format {fitting[0]!r}, or leave them out (--drop {name!r})"
        )
    return fitting[0] if fitting else None


def fitting_formats(table: Table, name: str, formats: Iterable[str]) -> list[str]:
    """Return those of some formats of dates that all texts of a column have."""
    fitting = list(formats)
    for known in facts.known_cells(table, name):
        fitting = [f for f in fitting if not known.str.to_datetime(f, strict=False, exact=True).null_count()]
        if not fitting:
            break
    return fitting
