"""Finds out how each column of a table is written, and turns its texts into numbers, booleans and dates.

All columns of text are looked at together: one that shows a decimal comma decides what 5.000 is in another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from vecprop.tabular.reading import Table
from vecprop.tabular.spelling import (
    DATE_FORMATS,
    Form,
    booleans,
    dates,
    import_polars,
    may_be_dates,
    numbers,
    readable,
)

if TYPE_CHECKING:
    import polars as pl

_HEAD = 100
_MOSTLY = 0.9  # where this share of the cells are numbers, the others are mistakes and no categories
_MANY = 20  # more different numbers than this are no categories
_FEW = 5  # different words among numbers that can be asked about
_KEPT = 1000  # different words of a column that are remembered
_GROUPS = r"^[-+]?[1-9]\d{0,2}(?:\.\d{3})+$"  # a number with a dot, or a larger one where the comma is the decimal sign


@dataclass
class Evidence:
    """What the texts of a column show, found out part by part.

    known : cells that stand for no missing value
    fits : (decimal sign, unit) -> how many of them are numbers then
    differ : cells that are two different numbers under the two signs
    different : some of the numbers, up to `_MANY` and one more
    words : the cells that are no number under either sign, with how often
    truth : whether all are true or false
    formats : format of dates -> how many cells have it; "" is a time of the day
    """

    known: int = 0
    fits: Counter[tuple[str, str]] = field(default_factory=Counter)
    differ: int = 0
    different: set[float] = field(default_factory=set)
    words: Counter[str] = field(default_factory=Counter)
    truth: bool = True
    formats: Counter[str] | None = None

    def add(self, cells: pl.Series, markers: Collection[str], said: str | None) -> None:
        """Add cells; `markers` stand for missing values, `said` is a format of dates that is to be tried."""
        pl = import_polars()
        values = cells.cast(pl.Float64, strict=False)
        plain = values.is_finite().fill_null(False)
        rest = cells.filter(~plain).drop_nulls()
        count = int(plain.sum())
        if count:
            self._add_numbers(
                *((cells, values) if count == len(cells) else (cells.filter(plain), values.filter(plain)))
            )
        if len(rest):
            rest = rest.filter(~is_marker(rest, markers))
        self.known += count + len(rest)
        if len(rest):
            self._add_texts(rest)
        if said or len(rest):
            self._add_dates(pl.concat([cells.filter(plain), rest]) if said else rest, said)

    def _add_numbers(self, cells: pl.Series, values: pl.Series) -> None:
        """Add cells that are numbers as they stand."""
        self.fits[".", ""] += len(cells)
        if len(self.different) <= _MANY:
            self.different.update(values.head(_KEPT).unique().head(_MANY + 1).to_list())
        self.truth = self.truth and self.different <= {0.0, 1.0}
        dotted = cells.filter(cells.str.contains(".", literal=True))
        groups = int(dotted.head(_HEAD).str.contains(_GROUPS).sum()) and int(dotted.str.contains(_GROUPS).sum())
        self.differ += groups
        self.fits[",", ""] += len(cells) - len(dotted) + groups

    def _add_texts(self, cells: pl.Series) -> None:
        """Add cells that are more than a plain number, or none."""
        small = cells.unique() if len(cells) > _HEAD else cells
        self.truth = self.truth and not booleans(small.head(_HEAD)).null_count() and not booleans(small).null_count()
        if not cells.str.contains(r"\d").any():
            self._add_words(cells)
            return
        (dot, dot_units), (comma, comma_units) = (numbers(cells, sign) for sign in (".", ","))
        for sign, units in ((".", dot_units), (",", comma_units)):
            for unit, count in [] if units is None else units.drop_nulls().value_counts().iter_rows():
                self.fits[sign, unit] += count
        self.differ += int((dot != comma).fill_null(False).sum())
        self.different.update(dot.fill_null(comma).drop_nulls().head(_KEPT).unique().head(_MANY + 1).to_list())
        self._add_words(cells.filter(dot.is_null() & comma.is_null()))

    def _add_dates(self, cells: pl.Series, said: str | None) -> None:
        if self.formats is None:
            head = cells.head(_HEAD)
            tried = (said, *DATE_FORMATS, "") if said else (*DATE_FORMATS, "") if may_be_dates(head) else ()
            self.formats = Counter({form: 0 for form in tried if dates(head, form).null_count() < len(head)})
        for form in self.formats:
            self.formats[form] += len(cells) - dates(cells, form).null_count()

    def _add_words(self, cells: pl.Series) -> None:
        for word, count in cells.value_counts().head(_KEPT).iter_rows() if len(self.words) < _KEPT else ():
            self.words[word] += count

    def count(self, decimal: str) -> int:
        """Return how many cells are numbers with this sign and one unit, or none."""
        return self.fits[decimal, ""] + self.fits[decimal, self.unit(decimal)] * bool(self.unit(decimal))

    def unit(self, decimal: str) -> str:
        """Return the most frequent unit."""
        units = {unit: count for (sign, unit), count in self.fits.items() if sign == decimal and unit}
        return max(units, key=lambda unit: (units[unit], unit), default="")

    @property
    def shown(self) -> str | None:
        """The decimal sign that the column shows, if it is one of numbers and shows any."""
        dot, comma = self.count("."), self.count(",")
        if dot == comma or max(dot, comma) < _MOSTLY * self.known:
            return None
        return "." if dot > comma else ","


def gather(table: Table, names: Collection[str], target: str | None = None) -> dict[str, Evidence]:
    """Return what the columns of text among these show."""
    pl = import_polars()
    found = {name: Evidence() for name in names if table.dtype(name) == pl.String}
    known = set(table.names)
    markers = {name: table.spelling.markers(name, known, name == target) for name in found}
    formats = {name: table.spelling.format(name, known)[0] for name in found}
    for block in table.blocks() if found else ():
        for name, evidence in found.items():
            evidence.add(block.column(name), markers[name], formats[name])
    return found


def is_marker(cells: pl.Series, markers: Collection[str]) -> pl.Series:
    """Tell which cells stand for a missing value."""
    return cells.str.to_lowercase().is_in(list(markers))


def sign_of(table: Table, evidence: Mapping[str, Evidence], otherwise: str | None = None) -> str | None:
    """Return the decimal sign of a table: what is said, what its columns show, or else; None if they show both."""
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
    """Return the table with what its columns of text hold: numbers, booleans, dates, or text.

    Parameters
    ----------
    table : Table
        As it was read.
    text, numeric : collection of str
        Columns that are to be text, or numbers.
    target : str, optional
        A column whose cells stay as they are, though it is found out how they are written.
    classes : bool
        Whether words among the numbers of the target are classes.

    Raises
    ------
    ValueError
        For columns of numbers with a few words among them, for dates with two meanings, or with a cell that is none:
        all such columns in one message.
    """
    evidence = gather(table, table.names, target)
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
    if problems:
        raise ValueError(_told(problems))
    return replace(typed(table, {name: form for name, form in forms.items() if name != target}), forms=forms)


class Wanted(NamedTuple):
    """What a model wants a column to hold.

    kind : "number", "boolean", "category", "date" or "clock"
    categories : texts that stand for themselves, and for no missing value
    format : of the dates of the training file, which decides where two formats fit
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    format: str | None = None


def understand_as(table: Table, wanted: Collection[Wanted], decimal: str) -> Table:
    """Return the table with columns of text as a model wants them, however this file writes them.

    `decimal` is the sign of the training file, for a table that shows none. ValueError names the first cell that is
    something else.
    """
    evidence = gather(table, table.names)
    sign = sign_of(table, evidence, decimal) or decimal
    forms = {}
    for column in wanted:
        if column.name not in evidence:
            continue
        found = evidence[column.name]
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


def _number_form(table: Table, found: Evidence, sign: str | None) -> Form:
    decimal = table.spelling.sign or found.shown or sign or "."
    return Form("number", decimal, found.unit(decimal))


def _wanted_dates(table: Table, column: Wanted, found: Evidence) -> Form:
    """Return the format of a column that holds dates: what is said, what fits, and of two that fit that of training."""
    said, _ = table.spelling.format(column.name, set(table.names))
    formats = found.formats or Counter()
    best = max(formats.values(), default=0)
    known = column.format or "%Y-%m-%d"
    if said is not None or not best:
        return Form("date", format=said or known)
    fitting = [form for form, count in formats.items() if count == best and form]
    alike = [form for form in fitting if known.startswith(form)]
    return Form("date", format=alike[0]) if alike else _date_form(table, column.name, found)


def _form(table: Table, name: str, found: Evidence, sign: str | None, is_target: bool) -> Form:
    """Return how a column is written; `_Mixture` if that cannot be told."""
    said, own = table.spelling.format(name, set(table.names))
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
    words_few = len(found.words) <= _FEW and 2 * fits >= found.known and len(found.different) > _MANY
    if fits and (numbers_mostly or words_few):
        raise _words_among(table, name, number, found, is_target)
    return Form("text")


def _date_form(table: Table, name: str, found: Evidence) -> Form:
    """Return the format of dates; `_Mixture` if some cell does not have it, or two formats fit."""
    formats = found.formats or Counter()
    best = max(formats.values())
    fitting = [form for form, count in formats.items() if count == best]
    if best < found.known:
        place, cell = next(wrong_cells(table, name, Form("date", format=fitting[0])))
        raise _Mixture(
            f"{place}: {cell!r} is not a date such as {readable(fitting[0]) or 'hh:mm'}, as {best} of {found.known} "
            f"cells of this column are; correct it, or say what it is (--missing {cell!r}, --drop {name!r})"
        )
    # what chrono reads in two ways that mean the same, such as May for %b and %B, is no question
    first, *others = fitting
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
    """A column whose cells are not of one kind."""

    def __init__(self, message: str, options: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.options = options


def _words_among(table: Table, name: str, form: Form, found: Evidence, is_target: bool) -> _Mixture:
    """Return that of a column of numbers with some words among them."""
    place, cell = next(wrong_cells(table, name, form))
    words = [word for word, _ in found.words.most_common(_FEW)] or [cell]
    fits, bad = found.count(form.decimal), found.known - found.count(form.decimal)
    alike = f" ({bad} are {cell!r})" if bad > 1 and len(words) == 1 else ""
    options = tuple(f"--missing {word!r}" for word in words)
    others = "--task classification" if is_target else f"--categorical {name!r}, --drop {name!r}"
    return _Mixture(
        f"{place}: {cell!r} is not a number, and {fits} of {found.known} cells of this column are{alike}; correct it, "
        f"or say what it is ({' '.join(options)}, {others})",
        options,
    )


def _told(problems: list[_Mixture]) -> str:
    """Return one message for all columns, with the options that settle those of words among numbers at once."""
    options = dict.fromkeys(option for problem in problems for option in problem.options)
    together = [f"all of them stand for missing values? {' '.join(options)}"] if len(problems) > 1 and options else []
    return "\n".join([*map(str, problems), *together])


# --- from texts to values -----------------------------------------------------------------------------------


def typed(table: Table, forms: Mapping[str, Form], kept: Mapping[str, Collection[str]] | None = None) -> Table:
    """Return the table with columns of text as their forms say; texts in `kept` stand for no missing value.

    Raises
    ------
    ValueError
        At the first cell that does not fit. Of a table that stays in its file, when it is read.
    """

    def block(part: Table) -> Table:
        names = set(part.names)
        columns = [_typed(part, name, forms[name], (kept or {}).get(name, ())) for name in part.names if name in forms]
        return replace(part, frame=part.frame.with_columns(columns)) if names & forms.keys() else part

    return table.mapped(block)


def _typed(table: Table, name: str, form: Form, kept: Collection[str]) -> pl.Series:
    cells = table.column(name)
    markers = table.spelling.markers(name, set(table.names))
    if form.kind == "text":
        missing = is_marker(cells, markers) & ~cells.is_in(list(kept))
        return cells.set(missing.fill_null(False), None).alias(name) if missing.any() else cells
    values = values_of(cells, form)
    if values.null_count() > cells.null_count():
        wrong = (values.is_null() & cells.is_not_null() & ~is_marker(cells, markers)).fill_null(False).arg_true()
        if len(wrong):
            raise not_of_kind(table, name, int(wrong[0]), cells[int(wrong[0])], len(wrong), form)
    return values.alias(name)


def not_of_kind(table: Table, name: str, row: int, cell: Any, count: int, form: Form) -> ValueError:
    """Return the error for a cell, the first of some, that is not what its column holds."""
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
    """Return texts as what a form says, null where they are something else."""
    pl = import_polars()
    if form.kind == "number":
        values, units = numbers(cells, form.decimal)
        fits = values.is_finite().fill_null(True)
        if units is not None:
            fits = fits & units.is_in(["", form.unit]).fill_null(True)
        return values if fits.all() else values.set(~fits, None)
    if form.kind == "boolean":
        return booleans(cells)
    if form.kind == "clock":
        return dates(cells, "").cast(pl.Time)
    return dates(cells, form.format) if form.kind == "date" else cells


def wrong_cells(table: Table, name: str, form: Form) -> Iterator[tuple[str, Any]]:
    """Yield place and text of each cell that is neither what a form says nor missing."""
    markers, start = table.spelling.markers(name, set(table.names)), 0
    for cells in table.parts(name):
        bad = values_of(cells, form).is_null() & cells.is_not_null() & ~is_marker(cells, markers)
        for row in bad.fill_null(False).arg_true():
            yield table.place(start + row, name), cells[row]
        start += len(cells)
