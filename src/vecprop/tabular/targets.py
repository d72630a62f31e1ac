"""The column to be predicted: numbers for a regression, labels for a classification."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vecprop.data.dataset import MOST_INTEGER_CLASSES
from vecprop.data.spelling import Form, label, markers_of, pl
from vecprop.data.tables import Table, first_rows
from vecprop.tabular import column_stats
from vecprop.tabular.encoders import check_fields, fields_of
from vecprop.tabular.kinds import LARGEST, find_kind
from vecprop.tabular.understanding import is_missing, not_of_kind, typed, understand_as
from vecprop.utils.arguments import check_choice

TASKS = ("regression", "classification")
_WHOLE = r"^[-+]?(?:0|[1-9]\d{0,17})(?:\.0+)?$"  # a text that is a whole number, without leading zeros


@dataclass(frozen=True)
class Target:
    """The target of a model.

    name : the name of its column
    task : "regression" or "classification"
    reason : why it has this task
    whole : whether its classes are whole numbers
    decimal : the decimal sign of the training file
    truth : whether its classes are true and false
    unit : how the training file writes the numbers of a regression
    """

    name: str
    task: str
    reason: str
    whole: bool = False
    decimal: str = "."
    truth: bool = False
    unit: str = ""

    @property
    def words(self) -> bool:
        """Whether its values may be any words."""
        return not (self.task == "regression" or self.whole or self.truth)

    def values(self, table: Table) -> npt.NDArray[Any]:
        """Return the targets (m,), numbers or labels; ValueError at the first missing or unfit one."""
        return np.concatenate(list(self.parts(table)))

    def coded(self, table: Table) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
        """Return numbers (m,) and None, or indices of classes (m,) in as few bytes as they need, and sorted classes."""
        if self.task == "regression":
            return self.values(table), None
        found = sorted({value for part in self.parts(table) for value in np.unique(part).tolist()})
        classes = np.array(found, dtype=bool if self.truth else np.int64 if self.whole else str)
        kind = np.min_scalar_type(max(len(classes) - 1, 0))
        return np.concatenate([np.searchsorted(classes, part).astype(kind) for part in self.parts(table)]), classes

    def parts(self, table: Table) -> Iterator[npt.NDArray[Any]]:
        """Yield the parts of the column as numbers or labels."""
        if self.name not in table.names:
            table.find(self.name, "target") if self.name in table.unusable else None
            raise ValueError(f"{table.source} lacks the target {self.name!r}{table.near(self.name)}")
        labelled(table, self.name, self.words, drop=False)
        if not self.words:
            if (found := table.dtype(self.name)).is_temporal():
                wanted = "true or false" if self.truth else "numbers"
                raise ValueError(f"{_called(table, self.name)} must hold {wanted}; it has {found}")
            # texts of whole numbers have all digits beyond 2^53
            if not (self.whole and all(self._converted(series)[1].all() for series in table.parts(self.name))):
                table = as_kind(table, self.name, "boolean" if self.truth else "number", self.decimal)
        start = 0
        for series in table.parts(self.name):
            values, fit = self._converted(series)
            for row in np.flatnonzero(~fit)[:1].tolist():
                form = Form("boolean" if self.truth else "whole number" if self.whole else "number")
                raise not_of_kind(table, self.name, start + row, series[row], int((~fit).sum()), form)
            yield values
            start += len(series)

    def _converted(self, series: pl.Series) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Return cells as numbers or labels, and which are such."""
        if self.whole:
            cells = series.str.replace(r"\.0+$", "") if series.dtype == pl.String else series
            found = cells.cast(pl.Int64, strict=False)
            fit = found.is_not_null() if series.dtype == pl.String else (found == series).fill_null(False)
            return found.fill_null(0).to_numpy(), fit.to_numpy()
        if self.words:  # '1' for 1.0
            return np.array([label(cell) for cell in series.to_list()], dtype=str), np.ones(len(series), dtype=bool)
        values = column_stats.floats(series)
        if self.truth:  # 1 and 0 are true and false
            return values == 1, (values == 0) | (values == 1)
        return values, np.isfinite(values)

    def to_json(self) -> dict[str, Any]:
        """Return the target as values for JSON."""
        return fields_of(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any], classes: npt.NDArray[Any] | None) -> Self:
        """Return the target from values of `to_json`; ValueError if the network's classes do not fit."""
        target = cls(**check_fields(cls, value))
        if target.task != ("regression" if classes is None else "classification"):
            raise ValueError(f"task {target.task!r} for a network that does something else")
        dtype, kind = (None, "") if classes is None else (classes.dtype, classes.dtype.kind)
        if (target.whole, target.truth) != (kind in ("i", "u"), kind == "b"):
            raise ValueError(f"classes of {dtype} for a target that is otherwise")
        return target


def as_kind(table: Table, name: str, kind: str, decimal: str) -> Table:
    """Return the table with a column as numbers or booleans, however the file writes them."""
    if table.dtype(name) != pl.String:
        return table
    form = (table.forms or {}).get(name)
    if form is None:
        return understand_as(table, {name: Form(kind, decimal)})
    return typed(table, {name: form if form.kind == "boolean" else form._replace(kind=kind)})


def find_target(table: Table, name: str, task: str | None) -> Target:
    """Return the target of an understood table without gaps in it; ValueError if its values are alike, or unfit."""
    if task is not None:
        check_choice(task, "task", TASKS)
    form, this = (table.forms or {}).get(name, Form("number")), _called(table, name)
    dates_as_text = form.kind in ("date", "clock") and task is None
    if dates_as_text or table.dtype(name).is_temporal():
        more = ", or say --task classification" if dates_as_text else ""
        raise ValueError(f"{this} holds dates; name another target, or make numbers of it, such as days{more}")
    truth = table.dtype(name) == pl.Boolean
    if form.kind == "boolean":  # labels such as yes and no are classes of their own
        truth = {cell.lower() for cell in column_stats.counts_of_labels(table, name)} <= {"true", "false", "1", "0"}
    if truth and task != "regression":
        target = Target(name, "classification", "it is true or false", truth=True)
    elif task == "regression" or (form.kind == "number" and name not in table.categorical):
        target = _of_numbers(table, name, task, form)
    else:
        m, count = len(table), column_stats.count_different(table, name)
        if count > max(MOST_INTEGER_CLASSES, m // 2) and task is None and name not in table.categorical:
            head = next(table.parts(name)).drop_nulls().head(3).to_list()
            raise ValueError(
                f"{this} has {count} different texts in {m} rows, such as {first_rows(head, 2)}: these are no classes; "
                "name another target, or say --task classification"
            )
        target = _of_labels(table, name, numbers=table.dtype(name) != pl.String)
    first = next(target.parts(table))[0]
    if all((part == first).all() for part in target.parts(table)):
        what = "class" if target.task == "classification" else "value"
        raise ValueError(f"{this} has only one {what}, {first.item()!r}: there is nothing to learn")
    return target


def _called(table: Table, name: str) -> str:
    """Return the beginning of a message about the target."""
    return f"{table.source}: the target {name!r}"


def _of_labels(table: Table, name: str, numbers: bool) -> Target:
    labels = sorted(column_stats.counts_of_labels(table, name))  # texts, with all their digits and leading zeros
    whole = numbers and bool(pl.Series(labels, dtype=pl.String).str.contains(_WHOLE).all())
    if whole:
        labels = list(map(str, sorted({int(text.partition(".")[0]) for text in labels})))
    return Target(name, "classification", f"it has {len(labels)} classes: {first_rows(labels)}", whole)


def _of_numbers(table: Table, name: str, task: str | None, form: Form) -> Target:
    """Return a target of numbers, or of classes that are numbers."""
    numeric = as_kind(table, name, "number", form.decimal)
    (found, values), this = column_stats.as_numbers(numeric, name), _called(table, name)
    if found.infinite:
        raise ValueError(f"{table.source}: {found.infinite} values of the target {name!r} are not finite; correct them")
    if max(-found.low, found.high) > LARGEST:
        beyond = f"{this} has numbers beyond {LARGEST:g}, whose squares are no numbers any more"
        raise ValueError(f"{beyond}; divide them, or leave these rows out")
    distinct = column_stats.different(values)
    if task is None:
        task = "classification" if found.whole and distinct <= MOST_INTEGER_CLASSES else "regression"
        if task == "regression" and distinct > 1 and (kind := find_kind(numeric, name)).kind == "left out":
            otherwise = "name another target, or say --task regression"
            raise ValueError(f"{this} is nothing to be learned: {kind.reason}; {otherwise}")
    if task == "regression":
        reason = f"it has {distinct} different {'whole ' if found.whole else ''}numbers"
        return Target(name, task, reason, decimal=form.decimal, unit=form.unit)
    if not found.whole and distinct > MOST_INTEGER_CLASSES:
        raise ValueError(f"{this} has {distinct} different numbers, too many for classes; say --task regression")
    return _of_labels(table, name, numbers=True)


def labelled(table: Table, name: str, words: bool = True, drop: bool = True) -> tuple[Table, int]:
    """Return the table without rows whose target is missing, and their number; an error unless they are to `drop`."""
    markers = markers_of(table.spelling, name, table.known, target=words)  # such as NULL, unless words may be classes
    missing = column_stats.whole(table, name, lambda cells: is_missing(cells, markers).to_numpy(), bool)
    for row in () if drop else np.flatnonzero(missing)[:1].tolist():
        more = f" ({missing.sum()} such rows)" if missing.sum() > 1 else ""
        raise ValueError(f"{table.place(row, name)}: the target is missing{more}; fill it in, or leave these rows out")
    if drop and missing.all():
        raise ValueError(f"{_called(table, name)} is missing in all rows")
    return (table.take(~missing), int(missing.sum())) if missing.any() else (table, 0)
