"""Finds out how columns are written, and turns their texts into numbers, booleans and dates.

All columns of text are examined together: a decimal comma in one decides what 5.000 means in another.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.data import spelling
from vecprop.data.dataset import is_number
from vecprop.data.spelling import Form, pl, readable
from vecprop.data.tables import Table

_HEAD = 100
_MOSTLY = 0.9  # where this share of the cells are numbers or dates, the others are mistakes, not categories
_DATES = 0.25  # where this share has one date format, all cells that look like dates should have it
_MANY = 20  # more different numbers than this are no categories
_FEW = 5  # words that a message names; more among numbers make a column text, unless nearly all are numbers
_SOME = 3  # a way of writing that fewer numbers show may be an accident
_KEPT = 1000  # cells of a block that are searched for different numbers
_CELLS = 1 << 20  # cells that are examined together
_GROUPS = r"^[-+]?[1-9]\d{0,2}(?:\.\d{3})+$"  # such as 5.000: five thousand if the comma is the decimal sign


@dataclass
class ColumnEvidence:
    """What the texts of a column show, gathered block by block."""

    known: int = 0  # cells that are not missing
    like: int = 0  # cells that look like dates or times
    fits: Counter[tuple[str, str]] = field(default_factory=Counter)  # cells that are numbers with a sign and a unit
    differ: int = 0  # cells that are different numbers under the two signs
    different: set[float] = field(default_factory=set)  # numbers, gathered until there are more than `_MANY`
    truth: bool = True  # whether all cells are true or false
    formats: Counter[str] = field(default_factory=Counter)  # cells that have each date format, "" a time

    def count(self, decimal: str) -> int:
        """Return how many cells are numbers with this sign, and with no unit or the commonest."""
        unit = self.unit(decimal)
        return self.fits[decimal, ""] + (self.fits[decimal, unit] if unit else 0)

    def unit(self, decimal: str) -> str:
        """Return the most frequent unit with this decimal sign, "" if none has one."""
        units = {unit: count for (sign, unit), count in self.fits.items() if sign == decimal and unit}
        return max(units, key=lambda unit: (units[unit], unit), default="")

    def keep(self, values: npt.NDArray[np.float64]) -> None:
        """Add to the different numbers, unless they are many already."""
        if len(self.different) <= _MANY:
            own = values[:_KEPT]
            self.different.update(np.unique(own[np.isfinite(own)])[: _MANY + 1].tolist())

    @property
    def dated(self) -> tuple[int, list[str]]:
        """How many cells at most have the same date format, and the formats that as many have."""
        best = max(self.formats.values(), default=0)
        return best, [form for form, count in self.formats.items() if count == best]

    @property
    def shown(self) -> str | None:
        """The decimal sign that a column of numbers shows; None for others, or if it shows none."""
        dot, comma = self.count("."), self.count(",")
        if dot == comma or max(dot, comma) < _MOSTLY * self.known:
            return None
        return "." if dot > comma else ","


def gather(table: Table, target: str | None = None) -> tuple[dict[str, ColumnEvidence], str | None]:
    """Return the evidence of each column of text, and the decimal sign: None if both are shown, "" if none."""
    found = {name: ColumnEvidence() for name in table.names if table.dtype(name) == pl.String}
    said = {}
    for name in found:
        markers = spelling.markers_of(table.spelling, name, table.known, name == target)
        said[name] = markers, spelling.format_of(table.spelling, name, table.known)[0]
    for block in table.blocks() if found else ():
        for (markers, date_format), names, cells in _together(said, block):
            _add([found[name] for name in names], cells, markers, date_format)
    shown = {evidence.shown for evidence in found.values()} - {None}
    return found, table.spelling.sign or (next(iter(shown), "") if len(shown) < 2 else None)


def _together(keys: Mapping[str, Any], table: Table) -> Iterator[tuple[Any, Sequence[str], pl.Series]]:
    """Yield groups of columns with one key, and the cells of each: a call of polars for each column would be slow."""
    groups: dict[Any, list[str]] = {}
    for name, key in keys.items():
        groups.setdefault(key, []).append(name)
    size = max(1, _CELLS // max(1, len(table)))
    for key, names in groups.items():
        for start in range(0, len(names), size):
            some = names[start : start + size]
            yield key, some, pl.concat([table.column(name) for name in some], rechunk=True)


def _add(found: Sequence[ColumnEvidence], cells: pl.Series, markers: Collection[str], said: str | None) -> None:
    """Add a block of columns; `markers` mean missing values, `said` is the user's date format."""
    rows = len(cells) // len(found)

    def grid(series: pl.Series) -> npt.NDArray[Any]:
        return series.to_numpy().reshape(len(found), rows)

    values = grid(cells.cast(pl.Float64, strict=False))
    plain = np.isfinite(values)
    rest = ~plain & ~grid(is_missing(cells, markers))
    dotted, groups = (plain & grid(cells.str.contains(pattern).fill_null(False)) for pattern in (r"\.", _GROUPS))
    counts = [mask.sum(axis=1).tolist() for mask in (plain, rest, dotted, groups)]
    for k, (evidence, number, others, dots, grouped) in enumerate(zip(found, *counts, strict=True)):
        evidence.known += number + others
        evidence.fits[".", ""] += number
        evidence.fits[",", ""] += number - dots + grouped
        evidence.differ += grouped
        if number:
            evidence.keep(values[k])
            evidence.truth = evidence.truth and evidence.different <= {0.0, 1.0}
    if rest.any():
        _add_texts(found, np.nonzero(rest)[0], cells.filter(pl.Series(rest.ravel())))
    known = plain | rest if said else rest
    dated = known if said else rest & grid(spelling.may_be_dates(cells).fill_null(False))
    for k in np.flatnonzero(dated.any(axis=1)).tolist():
        texts, formats = cells[k * rows : (k + 1) * rows].filter(pl.Series(known[k])), found[k].formats
        if not found[k].like:  # none was looked for yet: the user's, first, or those that the first cells have
            first = [*([] if said is None else [said]), *spelling.formats_of(texts.head(_HEAD).to_list())]
            formats.update(dict.fromkeys(first, 0))
        found[k].like += int(dated[k].sum())
        for form in formats:
            formats[form] += len(texts) - spelling.dates(texts, form).null_count()


def _add_texts(found: Sequence[ColumnEvidence], owner: npt.NDArray[np.int64], cells: pl.Series) -> None:
    """Add cells that are not plain numbers; `owner` (cells,) is the index of each cell's column, sorted."""
    for k in np.unique(owner[spelling.booleans(cells).is_null().to_numpy()]):
        found[k].truth = False
    digits = cells.str.contains(r"\d").to_numpy()
    if not digits.any():
        return
    cells, owner = cells.filter(pl.Series(digits)), owner[digits]
    (dot, dot_units), (comma, comma_units) = (spelling.numbers(cells, sign) for sign in (".", ","))
    for sign, units in ((".", dot_units), (",", comma_units)):
        frame = pl.DataFrame({"owner": owner, "unit": cells.clear(len(cells)) if units is None else units}).drop_nulls()
        for k, unit, count in frame.group_by("owner", "unit").len().iter_rows():
            found[k].fits[sign, unit] += count
    for k, count in zip(*np.unique(owner[(dot != comma).fill_null(False).to_numpy()], return_counts=True), strict=True):
        found[k].differ += int(count)
    values = dot.fill_null(comma).to_numpy()
    for k in np.unique(owner[np.isfinite(values)]):
        found[k].keep(values[slice(*np.searchsorted(owner, (k, k + 1)))])


def is_missing(cells: pl.Series, markers: Collection[str]) -> pl.Series:
    """Tell which cells are missing, or texts that mean it."""
    if cells.dtype != pl.String:
        return cells.is_null()
    return cells.str.to_lowercase().is_in(list(markers)).fill_null(True)


def spelled(table: Table, missing: Sequence[str], date_format: str | Sequence[str] | None = None) -> Table:
    """Return the table with texts for gaps and date formats added to its spelling, gaps made, and 20240131 a text."""
    formats = (date_format,) if isinstance(date_format, str) else tuple(date_format or ())
    unusable = tuple(f"{name}=" for name in table.unusable)
    formats = tuple(form for form in (*table.spelling.date_format, *formats) if not form.startswith(unusable))
    missing = (*table.spelling.missing, *missing)
    table = replace(table, spelling=replace(table.spelling, missing=missing, date_format=formats))
    said = {name: spelling.said_markers(table.spelling, name, table.known) - {""} for name in table.names}
    numbers = [name for name in table.names if table.dtype(name).is_numeric()]
    dated = {name for name in numbers if spelling.format_of(table.spelling, name, table.known)[1]}

    def block(part: Table) -> Table:
        columns = [_with_gaps(part.column(name), said[name]) for name in part.names if said[name] or name in dated]
        columns = [cells.cast(pl.Int64).cast(pl.String) if cells.name in dated else cells for cells in columns]
        return replace(part, frame=part.frame.with_columns(columns))

    return table.mapped(block) if dated or any(said.values()) else table


def _with_gaps(cells: pl.Series, markers: Collection[str]) -> pl.Series:
    texts, said = cells.cast(pl.String), set(map(spelling.exact, filter(is_number, markers)))
    days = texts.str.replace(r"[ Tt]00:00(:00)?(\.0+)?$", "")
    missing = is_missing(texts, markers) | is_missing(days, markers)
    if said and not cells.dtype.is_temporal():  # floats first, then all digits of whole numbers
        plain = texts.str.replace(r"^([-+]?\d+),(\d\d?|\d{4,})$", "$1.$2").cast(pl.Float64, strict=False)
        floats = pl.Series([float(number) for number in said])
        near = plain.is_in(floats.append(floats.cast(pl.Float32).cast(pl.Float64)).implode()).fill_null(False)
        found = texts.filter(near).unique()
        alike = [text for text in found if not text.lstrip("-").isdecimal() or spelling.exact(text) in said]
        missing |= texts.is_in(alike)
    return cells.set(missing, None)


def _refuse_groups(table: Table, name: str, found: ColumnEvidence, sign: str | None, decimal: str) -> None:
    """Raise `_Mixture` where no column shows a sign and 1.400 beside 517 may be 1400, or all are as 1,400 with `;`."""
    if sign != "" or found.differ < _SOME or not found.count(".") == found.count(",") == found.known:
        return
    patterns = (r"^[-+]?\d{4,}$", _GROUPS.replace(".", decimal), r"^[-+]?[1-9]\d*$", ",")
    counts = [[int(cells.str.contains(pattern).sum()) for pattern in patterns] for cells in table.parts(name)]
    ungrouped, groups, small, commas = np.sum(counts, axis=0).tolist()
    all_commas = decimal == "." and commas == found.known and table.delimiter not in (None, ",")
    if ungrouped or (min(groups, small) < _SOME and not all_commas):
        return
    decimal = "," if all_commas else decimal
    raise _Mixture(
        f"{table.source}, column {name!r}: {decimal!r} in its numbers may be a decimal or a thousands sign: three "
        f"digits follow each{', and numbers below 1000 have none' * (small > 0)}; say --decimal {decimal} or "
        f"--thousands {decimal}"
    )


def understand(
    table: Table, said: Mapping[str, bool] | None = None, target: str | None = None, classes: bool = False
) -> Table:
    """Return the table with its texts turned into what they are; ValueError tells of all columns that are unclear.

    `said` tells of some columns whether they are numbers or text. Of the `target` only the form is found out; `classes`
    says that words among its numbers are classes.
    """
    evidence, sign = gather(table, target)
    for form in spelling.general_formats(table.spelling, table.known):
        if not any(found.formats[form] for found in evidence.values()):
            raise ValueError(
                f"--date-format {form!r}: no text in {table.source} is a date such as {readable(form)}; correct it, "
                f"leave it out, or say COLUMN={form} if a column of numbers holds dates"
            )
    said = dict.fromkeys(table.categorical, False) | dict(said or {})
    forms, problems = {}, []
    for name, found in evidence.items():
        try:
            if name in said:
                forms[name] = _number_form(table, name, found, sign) if said[name] else Form("text")
            else:
                forms[name] = _form(table, name, found, sign, name == target)
        except _Mixture as mixture:
            if name == target and classes:
                forms[name] = Form("text")
            else:
                problems.append(mixture.args)
    if problems:  # one message, with the options that declare all such words missing
        lines = [message for message, *_ in problems]
        options = " ".join(dict.fromkeys(option for _, *own in problems for option in own))
        lines += [f"all of them stand for missing values? {options}"] if len(problems) > 1 and options else []
        raise ValueError("\n".join(lines))
    return replace(typed(table, {name: form for name, form in forms.items() if name != target}), forms=forms)


def understand_as(table: Table, wanted: Mapping[str, Form]) -> Table:
    """Return the table with its texts as a model expects them, else ValueError; what it leaves open is training's."""
    evidence, sign = gather(table)
    # where columns of training differed, a comma was that of its own column; a point may be that of a type for numbers
    alike = len({form.decimal for form in wanted.values() if form.kind == "number"}) < 2
    forms = {}
    for name, form in wanted.items():
        if (found := evidence.get(name)) is None:
            continue
        if form.kind == "date":
            said, _ = spelling.format_of(table.spelling, name, table.known)
            best, fitting = found.dated
            trained = form.format or "%Y-%m-%d"
            fitted = next((own for own in fitting if own and trained.startswith(own)), None) if best else trained
            fit = fitted if said is None else said or trained  # training's if it is among those that fit
            form = Form("date", format=fit) if fit else _date_form(table, name, found, "")
        elif form.kind in ("number", "boolean"):
            shown = sign if alike or form.decimal == "." else ","
            _refuse_groups(table, name, found, shown, form.decimal)
            is_boolean, form = form.kind == "boolean", _number_form(table, name, found, shown, form.decimal)
            if (is_boolean or found.truth) and found.count(form.decimal) < found.known:
                form = Form("boolean")
        forms[name] = form
    return replace(typed(table, forms), forms=forms)


def _number_form(table: Table, name: str, found: ColumnEvidence, sign: str | None, trained: str = ".") -> Form:
    """Return the form of numbers; raise `_Mixture` for unclear signs, and shares such as 0.5 beside percentages."""
    if sign is None and found.shown is None and found.differ and found.count(".") == found.known:
        raise _Mixture(
            f"{table.source}, column {name!r}: some columns show a decimal comma, others a decimal point, and this one "
            "can be read with both; say --decimal . or --decimal ,"
        )
    decimal = table.spelling.sign or found.shown or sign or max(trained, ".", ",", key=found.count)
    unit = found.unit(decimal)
    largest: Counter[str] = Counter()  # by unit
    for cells in table.parts(name) if unit == "%" and found.fits[decimal, ""] else ():
        values, units = spelling.numbers(cells, decimal)
        frame = pl.DataFrame({"size": values.abs()}).with_columns(unit=pl.lit("") if units is None else units)
        for size, own in frame.drop_nulls().group_by("unit").max().select("size", "unit").iter_rows():
            largest[own] = max(largest[own], size)
    if 0 < largest[""] <= 1 < largest["%"]:
        raise _Mixture(
            f"{table.source}, column {name!r}: some of its numbers are percentages, up to {largest['%']:g} %, and the "
            f"others at most {largest['']:g}, as shares are; write all of them alike"
        )
    return Form("number", decimal, unit)


def _form(table: Table, name: str, found: ColumnEvidence, sign: str | None, is_target: bool) -> Form:
    """Return how a column is written; raise `_Mixture` if that is unclear."""
    said, own = spelling.format_of(table.spelling, name, table.known)
    if said is not None and found.known and (own or found.formats[said] == found.known):
        return Form("date", format=said)
    number = _number_form(table, name, found, sign)
    _refuse_groups(table, name, found, sign, ".")
    fits = found.count(number.decimal)
    if found.known == fits > 0:
        return number
    if found.truth and found.known:
        return Form("boolean")
    others = "--task classification" if is_target else f"--categorical {name!r}, --drop {name!r}"
    best, formats = found.dated
    share = _DATES if all(form == "" or "%d" in form for form in formats) else _MOSTLY  # 2013-14 may be a season
    if best >= share * found.known and found.like >= _MOSTLY * found.known > 0:
        return _date_form(table, name, found, others, is_target)
    may_be_few = len(found.different) > _MANY and (is_target or 2 * fits >= found.known)
    if fits and (may_be_few or fits >= _MOSTLY * found.known):
        _refuse_words(table, name, number, found, others, is_target)
    return Form("text")


def _date_form(table: Table, name: str, found: ColumnEvidence, options: str, is_target: bool = False) -> Form:
    """Return the date format; raise `_Mixture` with options, or "", if a cell does not have it, or two fit."""
    best, (first, *others) = found.dated
    if best < found.known:
        row, cell = next(wrong_cells(table, name, Form("date", format=first), is_target))
        raise _Mixture(
            f"{table.place(row, name)}: {cell!r} is not a date such as {readable(first) or 'hh:mm'}, as {best} of "
            f"{found.known} cells of this column are; correct it, or say what it is (--missing {cell!r}"
            f"{options and f', {options}'})"
        )
    # two formats that give the same dates, such as %b and %B for May, are no question
    head = next(table.parts(name)).drop_nulls().head(_HEAD)
    other = next((form for form in others if not spelling.dates(head, form).equals(spelling.dates(head, first))), None)
    if other is not None:
        raise _Mixture(
            f"{table.source}, column {name!r}: its dates, such as {head[0]!r}, can be read as {readable(first)} and as "
            f"{readable(other)}; write them as YYYY-MM-DD, or say --date-format {first!r}"
            f"{options and f', or that they are no dates ({options})'}"
        )
    return Form("date", format=first) if first else Form("clock")


class _Mixture(ValueError):  # noqa: N818 - it is told together with those of other columns
    """The error for a column whose cells are not of one kind: a message, and options that call them missing."""


def _refuse_words(table: Table, name: str, form: Form, found: ColumnEvidence, others: str, is_target: bool) -> None:
    """Raise `_Mixture` for the cells of a column that are no numbers, unless they are too different for mistakes."""
    words: dict[str, int] = {}  # and the first row of each
    for row, cell in wrong_cells(table, name, form, is_target):
        words.setdefault(cell, row)
        if len(words) > _FEW:
            break
    fits, known = found.count(form.decimal), found.known
    if len(words) > _FEW and fits < _MOSTLY * known:
        return
    cell, row = next(iter(words.items()))
    alike = f" ({known - fits} are {cell!r})" if known - fits > 1 and len(words) == 1 else ""
    options = [f"--missing {word!r}" for word in list(words)[:_FEW]]
    raise _Mixture(
        f"{table.place(row, name)}: {cell!r} is not a number, and {fits} of {known} cells of this column are{alike}; "
        f"correct it, or say what it is ({' '.join(options)}, {others})",
        *options,
    )


def typed(table: Table, forms: Mapping[str, Form]) -> Table:
    """Return the table with its texts in their columns' forms."""

    def block(part: Table) -> Table:
        keys, columns = {}, []
        for name in (name for name in part.names if name in forms):
            markers = spelling.markers_of(part.spelling, name, part.known)
            known = tuple(text for text in forms[name].known if text.lower() in markers)
            keys[name] = forms[name]._replace(known=known), markers
        for (form, markers), names, cells in _together(keys, part):
            values, wrong = converted(cells, form, markers)
            if wrong:
                column, row = divmod(wrong[0], len(part))
                count = sum(place // len(part) == column for place in wrong)
                raise not_of_kind(part, names[column], row, cells[wrong[0]], count, form)
            if form.kind == "text":
                values = values.set(is_missing(cells, markers) & ~cells.is_in(form.known), None)
            columns += [values[k * len(part) : (k + 1) * len(part)].alias(name) for k, name in enumerate(names)]
        return replace(part, frame=part.frame.with_columns(columns))

    return table.mapped(block)


def not_of_kind(table: Table, name: str, row: int, cell: Any, count: int, form: Form) -> ValueError:
    """Return the error for the first of `count` cells that do not fit their column's form."""
    wanted = {
        "boolean": "true or false, 1 or 0",
        "whole number": "a whole number",
        "clock": "a time such as 14:30",
        "date": f"a date such as {readable(form.format)}",
    }.get(form.kind, "a finite number")
    return ValueError(
        f"{table.place(row, name)}: {cell!r} is not {wanted}, as all of this column are to be"
        f"{f' ({count} such cells)' if count > 1 else ''}; correct it, leave the cell empty, or say that it stands for "
        f"a missing value (--missing {cell!r})"
    )


def converted(cells: pl.Series, form: Form, markers: Collection[str]) -> tuple[pl.Series, list[int]]:
    """Return texts converted to a form, null where they do not fit, and the rows where these are not missing either."""
    values = cells
    if form.kind == "number":
        values, units = spelling.numbers(cells, form.decimal)
        if units is not None:
            values = values.set(~units.is_in(["", form.unit]).fill_null(True), None)
        values = values.set(~values.is_finite(), None)
    elif form.kind == "boolean":
        values = spelling.booleans(cells)
    elif form.kind in ("date", "clock"):
        values = spelling.dates(cells, form.format)
        values = values.cast(pl.Time) if form.kind == "clock" else values
    if values.null_count() == cells.null_count():
        return values, []
    return values, (values.is_null() & ~is_missing(cells, markers)).arg_true().to_list()


def wrong_cells(table: Table, name: str, form: Form, is_target: bool) -> Iterator[tuple[int, str]]:
    """Yield the row and the text of each cell that neither fits a form nor is missing."""
    markers, start = spelling.markers_of(table.spelling, name, table.known, is_target), 0
    for cells in table.parts(name):
        yield from ((start + row, cells[row]) for row in converted(cells, form, markers)[1])
        start += len(cells)
