"""Finds out how columns are written, and turns their texts into numbers, booleans and dates.

All columns of text are examined together: a decimal comma in one decides what 5.000 means in another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecprop.data.spelling import (
    Form,
    booleans,
    dates,
    format_of,
    formats_of,
    markers_of,
    may_be_dates,
    numbers,
    pl,
    readable,
)
from vecprop.data.tables import Table

_HEAD = 100
_MOSTLY = 0.9  # from this share of numbers or dates on, the other cells are mistakes, not categories
_MANY = 20  # more different numbers than this are no categories
_FEW = 5  # words that a message names; more among numbers make a column text, unless nearly all are numbers
_KEPT = 1000  # cells of a block that are searched for different numbers
_CELLS = 1 << 20  # cells that are examined together
_GROUPS = r"^[-+]?[1-9]\d{0,2}(?:\.\d{3})+$"  # such as 5.000: five thousand if the comma is the decimal sign


@dataclass
class ColumnEvidence:
    """What the texts of a column show, gathered block by block.

    known : the number of cells that are not missing
    fits : (decimal sign, unit) -> how many cells are numbers when read with these
    differ : how many cells are different numbers under the two signs
    different : different numbers, gathered until there are more than `_MANY`
    truth : whether all cells are true or false
    formats : date format -> how many cells have it; "" is a time of the day
    """

    known: int = 0
    fits: Counter[tuple[str, str]] = field(default_factory=Counter)
    differ: int = 0
    different: set[float] = field(default_factory=set)
    truth: bool = True
    formats: Counter[str] | None = None

    def count(self, decimal: str) -> int:
        """Return how many cells are numbers with this sign, and with no unit or the commonest."""
        unit = self.unit(decimal)
        return self.fits[decimal, ""] + (self.fits[decimal, unit] if unit else 0)

    def unit(self, decimal: str) -> str:
        """Return the most frequent unit with this decimal sign, "" if none has one."""
        units = {unit: count for (sign, unit), count in self.fits.items() if sign == decimal and unit}
        return max(units, key=lambda unit: (units[unit], unit), default="")

    @property
    def shown(self) -> str | None:
        """The decimal sign that a column of numbers shows; None for others, or if it shows none."""
        dot, comma = self.count("."), self.count(",")
        if dot == comma or max(dot, comma) < _MOSTLY * self.known:
            return None
        return "." if dot > comma else ","


def gather(table: Table, target: str | None = None) -> dict[str, ColumnEvidence]:
    """Return the evidence of each column of text."""
    found = {name: ColumnEvidence() for name in table.names if table.dtype(name) == pl.String}
    groups: dict[tuple[frozenset[str], str | None], list[str]] = {}
    for name in found:
        markers = markers_of(table.spelling, name, table.known, name == target)
        groups.setdefault((markers, format_of(table.spelling, name, table.known)[0]), []).append(name)
    for block in table.blocks() if groups else ():
        for (markers, said), names in groups.items():
            for some in _together(names, len(block)):
                _add([found[name] for name in some], [block.column(name) for name in some], markers, said)
    return found


def _together(names: Sequence[str], rows: int) -> Iterator[Sequence[str]]:
    """Yield groups of columns: calling polars for each small column would take most of the time."""
    size = max(1, _CELLS // max(1, rows))
    for start in range(0, len(names), size):
        yield names[start : start + size]


def _add(
    found: Sequence[ColumnEvidence], columns: Sequence[pl.Series], markers: Collection[str], said: str | None
) -> None:
    """Add a block of columns; `markers` mean missing values, `said` is the user's date format."""
    cells = pl.concat(columns, rechunk=True)
    owner = np.repeat(np.arange(len(found)), len(columns[0]))
    values = cells.cast(pl.Float64, strict=False).to_numpy()
    plain = np.isfinite(values)
    rest = (~pl.Series(plain) & cells.is_not_null() & ~is_marker(cells, markers)).fill_null(False).to_numpy()
    dotted, groups = (cells.str.contains(pattern).fill_null(False).to_numpy() & plain for pattern in (r"\.", _GROUPS))
    counts = [np.bincount(owner[mask], minlength=len(found)).tolist() for mask in (plain, rest, dotted, groups)]
    for k, (evidence, number, others, dots, grouped) in enumerate(zip(found, *counts, strict=True)):
        evidence.known += number + others
        evidence.fits[".", ""] += number
        evidence.fits[",", ""] += number - dots + grouped
        evidence.differ += grouped
        if number and len(evidence.different) <= _MANY:
            own = values[k * len(columns[0]) : (k + 1) * len(columns[0])][:_KEPT]
            evidence.different.update(np.unique(own[np.isfinite(own)])[: _MANY + 1].tolist())
    if rest.any():
        _add_texts(found, owner[rest], cells.filter(pl.Series(rest)))
    for evidence, number in zip(found, counts[0], strict=True):
        evidence.truth = evidence.truth and (not number or evidence.different <= {0.0, 1.0})
    dated = plain | rest if said else rest & may_be_dates(cells).fill_null(False).to_numpy()
    for k in np.unique(owner[dated]):
        part = slice(k * len(columns[0]), (k + 1) * len(columns[0]))
        own = columns[k].filter(pl.Series((plain | rest)[part] if said else rest[part]))
        if (formats := found[k].formats) is None:  # the user's, first, or those that the first cells have
            first = [*([] if said is None else [said]), *formats_of(own.head(_HEAD).to_list())]
            formats = found[k].formats = Counter(dict.fromkeys(first, 0))
        for form in formats:
            formats[form] += len(own) - dates(own, form).null_count()


def _add_texts(found: Sequence[ColumnEvidence], owner: npt.NDArray[np.int64], cells: pl.Series) -> None:
    """Add cells that are not plain numbers; `owner` (cells,) is the index of each cell's column."""
    for k in np.unique(owner[booleans(cells).is_null().to_numpy()]):
        found[k].truth = False
    digits = cells.str.contains(r"\d").to_numpy()
    if not digits.any():
        return
    cells, owner = cells.filter(pl.Series(digits)), owner[digits]
    (dot, dot_units), (comma, comma_units) = (numbers(cells, sign) for sign in (".", ","))
    for sign, units in ((".", dot_units), (",", comma_units)):
        frame = pl.DataFrame({"owner": owner, "unit": cells.clear(len(cells)) if units is None else units}).drop_nulls()
        for k, unit, count in frame.group_by("owner", "unit").len().iter_rows():
            found[k].fits[sign, unit] += count
    for k, count in zip(*np.unique(owner[(dot != comma).fill_null(False).to_numpy()], return_counts=True), strict=True):
        found[k].differ += int(count)
    values = dot.fill_null(comma).to_numpy()
    for k in np.unique(owner[np.isfinite(values)]):
        if len(found[k].different) <= _MANY:
            own = values[owner == k][:_KEPT]
            found[k].different.update(np.unique(own[np.isfinite(own)])[: _MANY + 1].tolist())


def is_marker(cells: pl.Series, markers: Collection[str]) -> pl.Series:
    """Tell which cells are texts for a missing value."""
    return cells.str.to_lowercase().is_in(list(markers))


def sign_of(table: Table, evidence: Mapping[str, ColumnEvidence], otherwise: str | None = None) -> str | None:
    """Return the user's decimal sign, the columns', or `otherwise`; None if they show both signs."""
    shown = {found.shown for found in evidence.values()} - {None}
    if table.spelling.sign or len(shown) > 1:
        return table.spelling.sign
    return next(iter(shown), otherwise or ".")


# --- what is written in the columns -------------------------------------------------------------------------


def understand(
    table: Table,
    text: Collection[str] = (),
    numeric: Collection[str] = (),
    target: str | None = None,
    classes: bool = False,
) -> Table:
    """Return the table with its texts turned into numbers, booleans and dates where they are such.

    Parameters
    ----------
    table : Table
        As it was read.
    text, numeric : collection of str
        Columns to be read as text, or as numbers.
    target : str, optional
        A column whose cells stay as they are; only their form is found out.
    classes : bool
        Whether a target of numbers with words among them is one of classes.

    Raises
    ------
    ValueError
        For columns of numbers with a few words among them, and of dates that have two readings or a cell that is no
        date: one message for all such columns.
    """
    evidence = gather(table, target)
    sign = sign_of(table, evidence)
    forms, problems = {}, []
    for name, found in evidence.items():
        try:
            if name in text or name in table.categorical:
                forms[name] = Form("text")
            elif name in numeric:
                forms[name] = _number_form(table, found, sign)
            else:
                forms[name] = _form(table, name, found, sign, name == target)
        except _Mixture as mixture:
            if name == target and classes:
                forms[name] = Form("text")
            else:
                problems.append(mixture)
    if problems:  # one message, with the options that declare all such words missing
        options = dict.fromkeys(option for problem in problems for option in problem.options)
        together = f"\nall of them stand for missing values? {' '.join(options)}"
        raise ValueError("\n".join(map(str, problems)) + (together if len(problems) > 1 and options else ""))
    return replace(typed(table, {name: form for name, form in forms.items() if name != target}), forms=forms)


class Wanted(NamedTuple):
    """The values that a model expects in a column.

    kind : "number", "boolean", "category", "date" or "clock"
    categories : texts that are categories even where they usually mean a missing value
    format : the date format of the training file, which decides where two formats fit
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    format: str | None = None


def understand_as(table: Table, wanted: Collection[Wanted], decimal: str) -> Table:
    """Return the table with its texts turned into the values that a model expects.

    `decimal` is the sign of the training file, for a table that shows none. ValueError names the first cell that does
    not fit.
    """
    evidence = gather(table)
    sign = sign_of(table, evidence, decimal) or decimal
    forms = {}
    for column in wanted:
        found = evidence.get(column.name)
        if found is None:
            continue
        if column.kind == "category":
            forms[column.name] = Form("text")
        elif column.kind == "date":
            forms[column.name] = _wanted_dates(table, column, found)
        elif column.kind == "clock":
            forms[column.name] = Form("clock")
        else:
            number = _number_form(table, found, sign)
            truth = found.truth and found.count(number.decimal) < found.known
            forms[column.name] = Form("boolean") if truth else number
    kept = {column.name: column.categories for column in wanted if column.kind == "category"}
    return replace(typed(table, forms, kept), forms=forms)


def _number_form(table: Table, found: ColumnEvidence, sign: str | None) -> Form:
    decimal = table.spelling.sign or found.shown or sign or "."
    return Form("number", decimal, found.unit(decimal))


def _wanted_dates(table: Table, column: Wanted, found: ColumnEvidence) -> Form:
    """Return the date format of a column: the user's, or one that fits, training's if several do."""
    said, _ = format_of(table.spelling, column.name, table.known)
    formats = found.formats or Counter()
    best = max(formats.values(), default=0)
    known = column.format or "%Y-%m-%d"
    if said is not None or not best:
        return Form("date", format=said or known)
    fitting = [form for form, count in formats.items() if count == best and form]
    alike = [form for form in fitting if known.startswith(form)]
    return Form("date", format=alike[0]) if alike else _date_form(table, column.name, found)


def _form(table: Table, name: str, found: ColumnEvidence, sign: str | None, is_target: bool) -> Form:
    """Return how a column is written; raise `_Mixture` if that is unclear."""
    said, own = format_of(table.spelling, name, table.known)
    formats = found.formats or Counter()
    if said is not None and found.known and (own or formats[said] == found.known):
        return Form("date", format=said)
    number = _number_form(table, found, sign)
    ambiguous = not (table.spelling.sign or found.shown or sign)
    if ambiguous and found.differ and found.count(".") == found.known:
        raise _Mixture(
            f"{table.source}, column {name!r}: some columns show a decimal comma, others a decimal point, and this one "
            "can be read with both; say --decimal . or --decimal ,"
        )
    fits = found.count(number.decimal)
    if found.known == fits > 0:
        return number
    if found.truth and found.known:
        return Form("boolean")
    best = max(formats.values(), default=0)
    if best >= _MOSTLY * found.known > 0:
        return _date_form(table, name, found)
    numbers_mostly = fits >= _MOSTLY * found.known
    may_be_few = 2 * fits >= found.known and len(found.different) > _MANY
    if fits and (numbers_mostly or (may_be_few and len(_words(table, name, number)) <= _FEW)):
        raise _words_among(table, name, number, found, is_target)
    return Form("text")


def _date_form(table: Table, name: str, found: ColumnEvidence) -> Form:
    """Return the date format; raise `_Mixture` if a cell does not have it, or two formats fit."""
    formats = found.formats or Counter()
    best = max(formats.values())
    fitting = [form for form, count in formats.items() if count == best]
    first, *others = fitting
    if best < found.known:
        row, cell = next(wrong_cells(table, name, Form("date", format=first)))
        raise _Mixture(
            f"{table.place(row, name)}: {cell!r} is not a date such as {readable(first) or 'hh:mm'}, as {best} of "
            f"{found.known} cells of this column are; correct it, or say what it is (--missing {cell!r}, --drop "
            f"{name!r})"
        )
    # two formats that give the same dates, such as %b and %B for May, are no question
    head = next(table.parts(name)).drop_nulls().head(_HEAD)
    other = next((form for form in others if not dates(head, form).equals(dates(head, first))), None)
    if other is not None:
        raise _Mixture(
            f"{table.source}, column {name!r}: its dates, such as {head[0]!r}, can be read as {readable(first)} and as "
            f"{readable(other)}; write them as YYYY-MM-DD, say --date-format {first!r}, or leave them out (--drop "
            f"{name!r})"
        )
    return Form("date", format=first) if first else Form("clock")


class _Mixture(ValueError):  # noqa: N818 - it is told together with those of other columns
    """The error for a column whose cells are not of one kind."""

    def __init__(self, message: str, options: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.options = options


def _words_among(table: Table, name: str, form: Form, found: ColumnEvidence, is_target: bool) -> _Mixture:
    row, cell = next(wrong_cells(table, name, form))
    words = _words(table, name, form)[:_FEW]
    fits, bad = found.count(form.decimal), found.known - found.count(form.decimal)
    alike = f" ({bad} are {cell!r})" if bad > 1 and len(words) == 1 else ""
    options = tuple(f"--missing {word!r}" for word in words)
    others = "--task classification" if is_target else f"--categorical {name!r}, --drop {name!r}"
    return _Mixture(
        f"{table.place(row, name)}: {cell!r} is not a number, and {fits} of {found.known} cells of this column are"
        f"{alike}; correct it, or say what it is ({' '.join(options)}, {others})",
        options,
    )


def _words(table: Table, name: str, form: Form) -> list[str]:
    """Return the different cells that do not fit a form, up to `_FEW` and one more."""
    words: dict[str, None] = {}
    for _, cell in wrong_cells(table, name, form):
        words[cell] = None
        if len(words) > _FEW:
            break
    return list(words)


# --- from texts to values -----------------------------------------------------------------------------------


def typed(table: Table, forms: Mapping[str, Form], kept: Mapping[str, Collection[str]] | None = None) -> Table:
    """Return the table with its texts in their columns' forms; those in `kept` are not missing.

    Raises
    ------
    ValueError
        At the first cell that does not fit; for a table that stays in its file, when it is read.
    """

    def block(part: Table) -> Table:
        groups: dict[Form, list[str]] = {}
        for name in part.names:
            if name in forms:
                groups.setdefault(forms[name], []).append(name)
        columns: list[pl.Series] = []
        for form, names in groups.items():
            for some in _together(names, len(part)):
                columns += _typed(part, some, form, kept or {})
        return replace(part, frame=part.frame.with_columns(columns)) if columns else part

    return table.mapped(block)


def _typed(table: Table, names: Sequence[str], form: Form, kept: Mapping[str, Collection[str]]) -> list[pl.Series]:
    columns = [table.column(name) for name in names]
    together = pl.concat(columns, rechunk=True)
    values = values_of(together, form)
    markers = markers_of(table.spelling, "", ())
    marked = is_marker(together, markers).fill_null(False).to_numpy() if form.kind == "text" else None
    found = []
    for k, cells in enumerate(columns):
        part = slice(k * len(cells), (k + 1) * len(cells))
        own = values[part].alias(cells.name)
        said = markers_of(table.spelling, cells.name, table.known)
        if form.kind == "text":
            if said != markers or (marked is not None and marked[part].any()):
                missing = is_marker(own, said) & ~own.is_in(list(kept.get(cells.name, ())))
                own = own.set(missing.fill_null(False), None)
        elif own.null_count() > cells.null_count():
            wrong = (own.is_null() & cells.is_not_null() & ~is_marker(cells, said)).fill_null(False).arg_true()
            if len(wrong):
                raise not_of_kind(table, cells.name, int(wrong[0]), cells[int(wrong[0])], len(wrong), form)
        found.append(own.alias(cells.name))
    return found


def not_of_kind(table: Table, name: str, row: int, cell: Any, count: int, form: Form) -> ValueError:
    """Return the error for the first of `count` cells that do not fit their column's form."""
    wanted = {
        "boolean": "true or false, 1 or 0",
        "clock": "a time such as 14:30",
        "date": f"a date such as {readable(form.format)}",
    }.get(form.kind, "a finite number")
    return ValueError(
        f"{table.place(row, name)}: {cell!r} is not {wanted}, as all of this column are to be"
        f"{f' ({count} such cells)' if count > 1 else ''}; correct it, leave the cell empty, or say that it stands for "
        f"a missing value (--missing {cell!r})"
    )


def values_of(cells: pl.Series, form: Form) -> pl.Series:
    """Return texts converted to a form, null where they do not fit."""
    if form.kind == "number":
        values, units = numbers(cells, form.decimal)
        if units is not None:
            values = values.set(~units.is_in(["", form.unit]).fill_null(True), None)
        finite = np.count_nonzero(np.isfinite(values.to_numpy()))
        return values if finite == len(values) - values.null_count() else values.set(~values.is_finite(), None)
    if form.kind == "boolean":
        return booleans(cells)
    if form.kind == "clock":
        return dates(cells, "").cast(pl.Time)
    return dates(cells, form.format) if form.kind == "date" else cells


def wrong_cells(table: Table, name: str, form: Form) -> Iterator[tuple[int, str]]:
    """Yield the row and the text of each cell that neither fits a form nor is missing."""
    markers, start = markers_of(table.spelling, name, table.known), 0
    for cells in table.parts(name):
        bad = values_of(cells, form).is_null() & cells.is_not_null() & ~is_marker(cells, markers)
        for row in bad.fill_null(False).arg_true():
            yield start + row, cells[row]
        start += len(cells)
