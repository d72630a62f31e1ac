"""From a table to the features of a network: which column becomes what, learned once, kept with the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vecprop.arguments import check_positive_integer, check_text, check_texts
from vecprop.errors import unknown_name
from vecprop.tabular.columns import (
    KINDS,
    MOST_CATEGORIES,
    Categorical,
    Category,
    Column,
    Date,
    Dated,
    Found,
    Kind,
    LeftOut,
    Number,
    Numeric,
    check_fields,
    decimal_of,
    find_kind,
    fitting_formats,
)
from vecprop.tabular.facts import known_cells
from vecprop.tabular.reading import Table, import_polars

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class Prepared:
    """Features (m, n_x), one example in each row, and for each column what was met."""

    X: npt.NDArray[np.float64]
    found: dict[str, Found]
    ignored: tuple[str, ...] = ()

    def notes(self) -> list[str]:
        """Return in words what was filled in, what is unknown and what was not used."""
        lines = [f"{name}: {f.missing} missing, filled in" for name, f in self.found.items() if f.missing]
        for name, f in self.found.items():
            if f.unseen:
                ranked = sorted(f.unseen.items(), key=lambda pair: (-pair[1], pair[0]))
                shown = ", ".join(f"{value!r} ({count})" for value, count in ranked[:3]) + (
                    ", …" if len(ranked) > 3 else ""
                )
                count = sum(f.unseen.values())
                values = "1 value" if count == 1 else f"{count} values"
                lines.append(f"{name}: {values} that training did not have: {shown}")
        if self.ignored:
            lines.append(f"not used: {', '.join(self.ignored)}")
        return lines


@dataclass(frozen=True)
class Preparation:
    """What each column becomes.

    columns : encodings, in the order of the features
    left_out : column -> why it is not used
    missing : texts that stand for a missing value, besides an empty cell
    """

    columns: tuple[Column, ...]
    left_out: dict[str, str]
    missing: tuple[str, ...] = ()

    @property
    def features(self) -> list[str]:
        """The names of the features."""
        return [name for column in self.columns for name in column.features]

    @property
    def names(self) -> list[str]:
        """The names of the columns that are used."""
        return [column.name for column in self.columns]

    def transform(self, table: Table, target: str | None = None) -> Prepared:
        """Return the features of a table, whatever the order of its columns.

        Raises
        ------
        ValueError
            If a column is missing, or a cell does not hold what training had: the message has column and line.
        """
        missing = [name for name in self.names if name not in table.names]
        if missing:
            hint = table.near(missing[0]) if len(missing) == 1 else f"; it has: {', '.join(table.names)}"
            count = "the column" if len(missing) == 1 else "the columns"
            raise ValueError(f"{table.source} lacks {count} {', '.join(map(repr, missing))} of the training{hint}")
        table = without_missing(table, self.missing)
        parts, found = [], {}
        for column in self.columns:
            encoded, found[column.name] = column.encode(table)
            parts.append(encoded)
        known = {*self.names, *self.left_out, target}
        return Prepared(np.concatenate(parts, axis=1), found, tuple(n for n in table.names if n not in known))

    def to_json(self) -> dict[str, Any]:
        """Return the preparation as what JSON can hold."""
        columns = [{"kind": c.kind, **asdict(c)} for c in self.columns]
        return {"columns": columns, "left_out": self.left_out, "missing": list(self.missing)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Preparation:
        """Return the preparation that `to_json` described; ValueError or KeyError if none of this version did."""
        left_out = {name: str(reason) for name, reason in value["left_out"].items()}
        preparation = cls(tuple(map(_column, value["columns"])), left_out, tuple(map(str, value["missing"])))
        if len({*preparation.names, *preparation.left_out}) < len(preparation.columns) + len(preparation.left_out):
            raise ValueError("a column stands twice in its preparation")
        return preparation

    def __str__(self) -> str:
        width = max(map(len, (*self.names, *self.left_out)), default=0)
        lines = [f"  {column.name.ljust(width)}  {column}" for column in self.columns]
        lines += [f"  {name.ljust(width)}  left out: {reason}" for name, reason in self.left_out.items()]
        return "\n".join(lines)


def _column(value: Mapping[str, Any]) -> Column:
    cls = KINDS[value["kind"]]
    column: Column = cls(**check_fields(cls, value))
    return column


@dataclass(frozen=True)
class Choices:
    """What the user has said about the columns; what is not said is found out.

    drop, categorical, numeric : names of columns
    date_format : of all columns of dates
    missing : texts that stand for a missing value, besides an empty cell
    most_categories : as many of a column are told apart
    """

    drop: Sequence[str] = ()
    categorical: Sequence[str] = ()
    numeric: Sequence[str] = ()
    date_format: str | None = None
    missing: Sequence[str] = ()
    most_categories: int = MOST_CATEGORIES

    def __post_init__(self) -> None:
        for argument in ("drop", "categorical", "numeric"):
            check_texts(getattr(self, argument), argument, "names of columns")
        check_texts(self.missing, "missing", "texts")
        if self.date_format is not None:
            check_text(self.date_format, "date_format")
        check_positive_integer(self.most_categories, "most_categories")


def without_missing(table: Table, texts: Sequence[str]) -> Table:
    """Return the table with the user's texts for missing values as nulls."""
    if not texts:
        return table
    pl = import_polars()
    text = [name for name, dtype in table.frame.schema.items() if dtype == pl.String]
    marked = [pl.when(~pl.col(name).is_in(list(texts))).then(pl.col(name)).alias(name) for name in text]
    return replace(table, frame=table.frame.with_columns(*marked))


def kinds_of(table: Table, target: str, choices: Choices) -> dict[str, Kind]:
    """Return what each column but the target holds: as the user says, or as it is found out."""
    said: dict[str, Kind] = {}
    kinds: tuple[tuple[str, Sequence[str], Callable[[str], Kind]], ...] = (
        ("--drop", choices.drop, lambda _: LeftOut("as asked for")),
        ("--categorical", choices.categorical, lambda _: Categorical()),
        ("--numeric", choices.numeric, lambda name: Numeric(decimal_of(table, name))),
    )
    for option, names, kind in kinds:
        for name in names:
            if name == target:
                raise ValueError(f"{option} {name!r} is the target; name another column")
            if name not in table.names:
                raise ValueError(f"{option}: {unknown_name('column', name, table.names)}")
            if name in said:
                raise ValueError(f"{option} {name!r}: the column is named twice, as two different things")
            said[name] = kind(name)
    return {
        name: said[name] if name in said else _found(table, name, choices) for name in table.names if name != target
    }


def _found(table: Table, name: str, choices: Choices) -> Kind:
    format = choices.date_format if table.dtype(name) == import_polars().String else None
    if format is not None and any(map(len, known_cells(table, name))) and fitting_formats(table, name, [format]):
        return Dated(format)
    return find_kind(table, name)


def learn(table: Table, kinds: Mapping[str, Kind], choices: Choices) -> Preparation:
    """Return the preparation learned from the training examples."""
    columns: list[Column] = []
    left_out = {}
    for name, kind in kinds.items():
        if isinstance(kind, LeftOut):
            left_out[name] = kind.reason
        elif isinstance(kind, Numeric):
            columns.append(Number.learn(table, name, kind.decimal))
        elif isinstance(kind, Dated):
            columns.append(Date.learn(table, name, kind.format))
        elif any(map(len, known_cells(table, name))):
            columns.append(Category.learn(table, name, choices.most_categories))
        else:
            left_out[name] = "it has no values among the training examples"
    if not columns:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise ValueError(f"{table.source} has no column to learn from ({reasons or 'the target is its only one'})")
    return Preparation(tuple(columns), left_out, tuple(choices.missing))
