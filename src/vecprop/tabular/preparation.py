"""Finds out what the columns of a table are, and turns them into the features of a network, as learned in training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt

from vecprop.data.spelling import Form, column_and_text, general_formats
from vecprop.data.tables import Table, first_rows, shown
from vecprop.tabular.encoders import KINDS, Category, Column, Date, Found, Number, check_fields, fields_of
from vecprop.tabular.kinds import Kind, find_kind, left_out
from vecprop.tabular.targets import Target, find_target, labelled
from vecprop.tabular.understanding import spelled, understand, understand_as
from vecprop.utils.arguments import (
    check_annotated,
    check_flag,
    check_instance,
    check_positive_integer,
    check_text,
    check_texts,
)

FEWEST = 10  # examples: with fewer, no part of the split is of use
_WEIGHT = left_out("it says how much each row counts")
_FEW = 10  # up to this many cells with unseen categories are no error
_SHOWN = 20  # names of columns in a line
_LINES, _WIDE = 60, 70  # of the list of columns


@dataclass(frozen=True)
class Prepared:
    """Features X (m, n_x), one row for each example, and what encoding counted in each column."""

    X: npt.NDArray[np.float64]
    found: dict[str, Found]
    ignored: tuple[str, ...] = ()
    filled: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def __add__(self, other: Self) -> Self:
        """Return the sums of the counts, with X of the first."""
        found = {name: met + other.found[name] for name, met in self.found.items()}
        return replace(self, found=found, remarks=tuple(dict.fromkeys(self.remarks + other.remarks)))

    def notes(self) -> list[str]:
        """Return notes on missing, unseen and far values, and on columns that were not used."""
        lines = [f"{name}: {f.missing} missing, {self.filled[name]}" for name, f in self.found.items() if f.missing]
        for name, f in self.found.items():
            if f.unseen:
                count = sum(f.unseen.values())
                ranked = sorted(f.unseen.items(), key=lambda pair: (-pair[1], pair[0]))
                most = first_rows([f"{shown(value)} ({count})" for value, count in ranked], show=str)
                lines.append(f"{name}: {count} value{'s' * (count > 1)} that training did not have: {most}")
            if f.far:
                lines.append(f"{name}: {f.far} value{'s' * (f.far > 1)} far outside the range of training")
        unused = [f"not used: {first_rows(self.ignored, _SHOWN, str)}"] if self.ignored else []
        return [*lines, *self.remarks, *unused]


@dataclass(frozen=True)
class Preparation:
    """What each column of a table becomes.

    columns : encoders, in the order of the features
    left_out : column -> why it is not used
    missing : the user's texts for missing values (`Spelling.missing`)
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

        ValueError, with column and line, if a column is missing, or a cell is not of the kind that training had.
        """
        if missing := [name for name in self.names if name not in table.known]:
            for name in missing:
                table.find(name, "column") if name in table.unusable else None
            hint = table.near(missing[0]) if len(missing) == 1 else f"; it has: {', '.join(table.names)}"
            names = f"column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}"
            raise ValueError(f"{table.source} lacks the {names} of the training{hint}")
        remarks, own = [], table.forms is not None
        if not own:
            table = spelled(table, self.missing)
            check_columns_said(table, self.missing)
            for form in table.spelling.date_format:
                there = [column for column in self.columns if column.name == column_and_text(form, table.known)[0]]
                if not any(isinstance(column, Date) for column in there or self.columns):
                    where = " in this column" if there else ""
                    raise ValueError(f"--date-format {form!r}: the model uses no dates{where}; leave it out")
            table = understand_as(table, {column.name: _form(column) for column in self.columns})
            remarks = units(table, [column for column in self.columns if isinstance(column, Number)])
        parts, counts = zip(*(column.encode(table) for column in self.columns), strict=True)
        # the training table may have nearly as many different texts as cells
        for column, met in () if own else zip(self.columns, counts, strict=True):
            count, there = sum(met.unseen.values()), len(table) - met.missing
            if isinstance(column, Category) and count > max(0.9 * there, _FEW):
                raise ValueError(
                    f"{table.source}, column {column.name!r}: {count} of {there} cells are categories that training "
                    f"did not have, such as {first_rows(list(met.unseen), 2)}; it had {first_rows(column.categories)}: "
                    "spell them alike, or leave the cells empty"
                )
        known = {*self.names, *self.left_out, target}
        filled = {column.name: column.filling for column in self.columns}
        ignored = tuple(n for n in table.names if n not in known)
        found = dict(zip(self.names, counts, strict=True))
        return Prepared(np.concatenate(parts, axis=1), found, ignored, filled, tuple(remarks))

    def to_json(self) -> dict[str, Any]:
        """Return the preparation as values for JSON."""
        columns = [{"kind": c.kind, **fields_of(c)} for c in self.columns]
        return {"columns": columns, "left_out": self.left_out, "missing": list(self.missing)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the preparation from values of `to_json`; ValueError or KeyError for any others."""
        columns = [(kind := KINDS[c["kind"]])(**check_fields(kind, c)) for c in value["columns"]]
        left_out = {name: str(reason) for name, reason in value["left_out"].items()}
        preparation = cls(tuple(columns), left_out, tuple(map(str, value["missing"])))
        if len({*preparation.names, *preparation.left_out}) < len(preparation.columns) + len(preparation.left_out):
            raise ValueError("a column stands twice in its preparation")
        return preparation

    def __str__(self) -> str:
        """Say what each column is taken for, and which option changes that."""
        rows = [(column.name, str(column), column.otherwise) for column in self.columns]
        rows += [(name, f"left out: {reason}", _otherwise(reason)) for name, reason in self.left_out.items()]
        shown, rest = rows[:_LINES], len(rows) - _LINES
        widths = [max((min(len(row[k]), _WIDE) for row in shown), default=0) for k in (0, 1)]
        lines = [f"  {name.ljust(widths[0])}  {what.ljust(widths[1])}  {say}".rstrip() for name, what, say in shown]
        return "\n".join([*lines, *([f"  … and {rest} more, all of them in the report"] if rest > 0 else [])])


def _otherwise(reason: str) -> str:
    """Return the option that uses a column left out for this reason, "" if there is none."""
    options = {"names, no categories": "--categorical", "the rows": "--numeric", "names of the examples": "--numeric"}
    return next((option for words, option in options.items() if reason.endswith(words)), "")


def _form(column: Column) -> Form:
    """Return the form of the values that an encoder takes."""
    if isinstance(column, Date):
        return Form("date" if column.day else "clock", format=column.format or "")
    if isinstance(column, Category):
        return Form("text", known=(*column.categories, *column.other))
    return Form(column.kind, column.decimal)


def units(table: Table, columns: Sequence[Number | Target]) -> list[str]:
    """Return a remark for each column of numbers whose unit is not that of training, or that has one alone there."""
    lines = []
    for column in columns:
        unit = (table.forms or {}).get(column.name, Form("number")).unit
        if unit != column.unit and not _is_empty(table, column.name):
            now, then = (f"in {one}" if one else "without a unit" for one in (unit, column.unit))
            lines.append(f"{column.name}: {now}, and in training it was {then}; taken as it stands")
    return lines


def _is_empty(table: Table, name: str) -> bool:
    return all(series.null_count() == len(series) for series in table.parts(name))


_Names = Annotated[Sequence[str], partial(check_texts, of="names of columns")]
_Formats = Annotated[
    str | Sequence[str] | None, lambda given, name: isinstance(given, str) or check_texts(given, name, "formats")
]


@dataclass(frozen=True)
class Choices:
    """The user's choices for the columns; all else is found out.

    drop, categorical, numeric : names of columns
    date_format : FORMAT for all columns of dates, COLUMN=FORMAT for one, or several of these
    missing : further texts for a missing value, or COLUMN=TEXT; "" means that only an empty cell is missing
    most_categories : how many categories of a column get a feature of their own
    weight : the column with the weight of each row
    """

    drop: _Names = ()
    categorical: _Names = ()
    numeric: _Names = ()
    date_format: _Formats = None
    missing: Annotated[Sequence[str], partial(check_texts, of="texts")] = ()
    most_categories: Annotated[int, check_positive_integer] = 50
    weight: Annotated[str | None, check_text] = None

    def __post_init__(self) -> None:
        check_annotated(self)


def check_columns_said(table: Table, of_training: Sequence[str] = ()) -> None:
    """Raise ValueError for COLUMN=TEXT and COLUMN=FORMAT with a column that is not there, or two formats for all.

    What was said `of_training` may name columns that a new file lacks, such as the target.
    """
    said = table.spelling
    names = {name.lower() for name in table.names}
    for option, entries in (("--missing", said.missing), ("--date-format", said.date_format)):
        said_now = [entry for entry in entries if "=" in entry and entry not in of_training]
        unknown = [entry for entry in said_now if column_and_text(entry, table.known)[0] is None]
        for column in (entry.partition("=")[0] for entry in unknown):
            # a text for a missing value may have = in it
            like = get_close_matches(column.lower(), names, cutoff=0.75) if option == "--missing" else "%" not in column
            if like and column not in table.unusable:
                table.find(column, option)
    general = set(general_formats(said, table.known))
    if len(general) > 1:
        raise ValueError(
            f"--date-format: {' and '.join(map(repr, sorted(general)))} are each for all columns; name the columns of "
            "all but one: COLUMN=FORMAT"
        )


def said_of(table: Table, target: str, choices: Choices) -> dict[str, Kind]:
    """Return the kind that the user gave for columns."""
    said: dict[str, Kind] = {}
    kinds = {"drop": left_out("as asked for"), "categorical": Kind("category"), "numeric": Kind("number")}
    for option, kind in {**kinds, "weight": _WEIGHT}.items():
        entries = getattr(choices, option) or ()
        for given in [entries] if isinstance(entries, str) else entries:
            if given in table.unusable and option == "drop":
                continue
            name = table.find(given, f"--{option}")
            if name == target:
                raise ValueError(f"--{option} {name!r} is the target; name another column")
            if name in said and said[name].kind != kind.kind:
                raise ValueError(f"--{option} {name!r}: the column is named twice, as two different things")
            said[name] = kind
    return said


@dataclass(frozen=True)
class Plan:
    """What to train on: the table without unlabelled rows, its target, and its columns' kinds."""

    table: Table
    target: Target
    kinds: dict[str, Kind]
    choices: Choices
    unlabelled: int = 0


def plan(
    table: Table, target: str, task: str | None = None, choices: Choices | None = None, drop_unlabelled: bool = True
) -> Plan:
    """Find out the task of a target, and the kind of each other column of a table.

    Rows whose target is missing are left out, or an error if `drop_unlabelled` is False. ValueError for fewer than 10
    examples, a target of one value or unfit for the task, and columns that can be read in two ways.
    """
    check_instance(table, Table, "table", "a Table, as tabular.read and tabular.table_of make them")
    check_text(target, "target")
    check_flag(drop_unlabelled, "drop_unlabelled")
    choices = check_instance(choices, Choices | None, "choices", "tabular.Choices or None") or Choices()
    table = spelled(table, choices.missing, choices.date_format)
    check_columns_said(table)
    name = table.find(target, "target")
    said = said_of(table, name, choices)
    table, unlabelled = labelled(table, name, drop=drop_unlabelled)
    numeric = {column: kind in (Kind("number"), _WEIGHT) for column, kind in said.items()}
    table = understand(table, numeric, name, task == "classification")
    found = find_target(table, name, task)
    if len(table) < FEWEST:
        count = f"{len(table)} example{'s' if len(table) > 1 else ''}"
        raise ValueError(f"{table.source} has {count}; at least {FEWEST} are needed to train and to test")
    kinds = {column: said.get(column) or find_kind(table, column) for column in table.names if column != name}
    kinds |= {column: left_out(reason) for column, reason in table.unusable.items()}
    return Plan(table, found, kinds, choices, unlabelled)


def learn(table: Table, kinds: Mapping[str, Kind], choices: Choices) -> Preparation:
    """Return the preparation learned from the training examples."""
    columns: list[Column] = []
    left_out = {}
    for name, (kind, reason) in kinds.items():
        if kind == "left out":
            left_out[name] = reason
        elif _is_empty(table, name):
            left_out[name] = "it has no values among the training examples"
        elif kind == "category":
            columns.append(Category.learn(table, name, choices.most_categories))
        else:
            columns.append(KINDS[kind].learn(table, name))
    if not columns:
        says = [(name, reason, _otherwise(reason)) for name, reason in left_out.items()]
        reasons = "; ".join(f"{n}: {why}" + (f", {say} {n!r} says otherwise" if say else "") for n, why, say in says)
        raise ValueError(f"{table.source} has no column to learn from ({reasons or 'the target is its only one'})")
    return Preparation(tuple(columns), left_out, tuple(choices.missing))
