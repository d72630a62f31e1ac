"""The column that is to be predicted: numbers to be hit, or classes to be told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vecprop.arguments import check_choice
from vecprop.tables import MISSING, MOST_INTEGER_CLASSES
from vecprop.tabular import facts
from vecprop.tabular.columns import LeftOut, Numeric, check_fields, find_kind
from vecprop.tabular.reading import Table, first_rows, import_polars
from vecprop.tabular.values import label, labels, not_a_number, numbers, parsed, texts

if TYPE_CHECKING:
    import numpy.typing as npt
    import polars as pl

TASKS = ("regression", "classification")


@dataclass(frozen=True)
class Target:
    """The target of a model.

    name : of its column
    task : "regression" or "classification"
    reason : why that is its task
    whole : whether its classes are whole numbers
    decimal : the sign between whole and fraction
    """

    name: str
    task: str
    reason: str
    whole: bool = False
    decimal: str = "."

    def values(self, table: Table) -> npt.NDArray[Any]:
        """Return the targets (m,): numbers or labels; ValueError at the first that is missing or of another kind."""
        if self.name not in table.names:
            raise ValueError(f"{table.source} lacks the target {self.name!r}{table.near(self.name)}")
        _refuse_missing(table, self.name)
        if self.task == "regression":
            return numbers(table, self.name, self.decimal)
        if self.whole:
            return numbers(table, self.name).astype(np.int64)
        return np.array(texts(table, self.name), dtype=str)

    def coded(self, table: Table) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
        """Return the targets as numbers (m,), of a classification those of the classes, and the classes, sorted.

        Errors as of `values`. A class takes 1 byte for each row, up to 4 where there are many.
        """
        if self.task == "regression":
            return self.values(table), None
        found: set[Any] = set()
        for part in self._parts(table):
            found.update(np.unique(part).tolist())
        classes = np.array(sorted(found), dtype=np.int64 if self.whole else str)
        codes, start = np.empty(len(table), np.min_scalar_type(max(len(classes) - 1, 0))), 0
        for part in self._parts(table):
            codes[start : start + len(part)] = np.searchsorted(classes, part)
            start += len(part)
        return codes, classes

    def _parts(self, table: Table) -> Iterator[npt.NDArray[Any]]:
        """Yield the labels."""
        _refuse_missing(table, self.name)
        start = 0
        for series in table.parts(self.name):
            if self.whole:
                found, bad = parsed(series, ".")
                if len(bad):
                    raise not_a_number(table, self.name, start + int(bad[0]), series[int(bad[0])], len(bad))
                yield found.astype(np.int64)
            else:
                yield np.array(labels(series), dtype=str)
            start += len(series)

    def to_json(self) -> dict[str, Any]:
        """Return the target as what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any], classes: npt.NDArray[Any] | None) -> Target:
        """Return the target that `to_json` described, of these classes, None for a regression; ValueError otherwise."""
        target = cls(**check_fields(cls, value))
        if target.task != ("regression" if classes is None else "classification"):
            raise ValueError(f"task {target.task!r} for a network that does something else")
        if target.whole != (classes is not None and classes.dtype.kind in "iu"):
            raise ValueError(f"whole {target.whole!r} for classes that are otherwise")
        return target


def find_target(table: Table, name: str, task: str | None = None) -> Target:
    """Return the target of this name (or index), its task found out unless given.

    Raises
    ------
    ValueError
        If there is no such column, a target is missing, all are alike, or they do not fit the task.
    """
    if task is not None:
        check_choice(task, "task", TASKS)
    name = table.find(name, "target")
    _refuse_missing(table, name)
    target = _of_text(table, name, task) if _is_text(table, name, task) else _of_numbers(table, name, task)
    if _is_constant(table, target):
        what = "class" if target.task == "classification" else "value"
        value = target.values(table.take(np.zeros(1, dtype=np.int64)))[0].item()
        raise ValueError(
            f"{table.source}: the target {name!r} has only one {what}, {value!r}: there is nothing to learn"
        )
    return target


def _is_constant(table: Table, target: Target) -> bool:
    if target.task == "classification" and not target.whole:
        return facts.cells(table, target.name).alike
    found = facts.all_numbers(table, target.name, target.decimal)
    return found.alike and (not found.missing or not found.finite)


def _is_text(table: Table, name: str, task: str | None) -> bool:
    if table.dtype(name) != import_polars().String:
        return False
    if facts.cells(table, name).alike:
        return True
    kind = find_kind(table, name)  # of numbers with a few words among them it says which cell is wrong
    if isinstance(kind, LeftOut) and _is_whole(table, name):
        return task == "classification"
    return not isinstance(kind, Numeric) and (task != "regression" or not _is_whole(table, name))


def _is_whole(table: Table, name: str) -> bool:
    found = facts.as_numbers(table, name)
    return found.whole and not found.bad and not found.missing


def _of_text(table: Table, name: str, task: str | None) -> Target:
    if task == "regression":
        facts.all_numbers(table, name)  # says which cell is none
    whole = _is_whole(table, name)
    count, m = facts.count_texts(table, name), len(table)
    if count > max(MOST_INTEGER_CLASSES, m // 2) and task is None:
        raise ValueError(
            f"{table.source}: the target {name!r} has {count} different texts in {m} rows, such as "
            f"{first_rows(facts.cells(table, name).head or (), 2)}: these are no classes; name another target, or say "
            "--task classification"
        )
    return Target(
        name, "classification", f"it has {count} classes: {first_rows(facts.first_texts(table, name))}", whole
    )


def _of_numbers(table: Table, name: str, task: str | None) -> Target:
    kind = find_kind(table, name)
    decimal = kind.decimal if isinstance(kind, Numeric) else "."
    found = facts.all_numbers(table, name, decimal)
    distinct = facts.different_numbers(table, name, decimal)
    if found.missing:
        distinct = np.append(distinct, np.nan)
    whole = found.whole and not found.missing
    if task is None:
        task = "classification" if whole and len(distinct) <= MOST_INTEGER_CLASSES else "regression"
        if task == "regression" and len(distinct) > 1 and isinstance(kind, LeftOut):
            raise ValueError(
                f"{table.source}: the target {name!r} is nothing to be learned: {kind.reason}; name another target, or "
                "say --task regression"
            )
    if task == "regression":
        words = "whole numbers" if whole else "numbers"
        return Target(name, task, f"it has {len(distinct)} different {words}", False, decimal)
    if not whole and len(distinct) > MOST_INTEGER_CLASSES:
        raise ValueError(
            f"{table.source}: the target {name!r} has {len(distinct)} different numbers, too many for classes; say "
            "--task regression"
        )
    shown = first_rows([label(float(value)) for value in distinct[:4]])
    return Target(name, task, f"it has {len(distinct)} classes: {shown}", whole)


def _refuse_missing(table: Table, name: str) -> None:
    first, count, start = None, 0, 0
    for series in table.parts(name):
        rows = np.flatnonzero(_missing(series))
        if len(rows) and first is None:
            first = start + int(rows[0])
        count, start = count + len(rows), start + len(series)
    if first is not None:
        more = f" ({count} such rows)" if count > 1 else ""
        raise ValueError(
            f"{table.place(first, name)}: the target is missing{more}; fill it in, or leave these rows out "
            "(--drop-unlabelled)"
        )


def without_unlabelled(table: Table, name: str) -> tuple[Table, int]:
    """Return the table without the rows whose target is missing, and how many they were."""
    name = table.find(name, "target")
    missing = np.concatenate([_missing(series) for series in table.parts(name)])
    if missing.all():
        raise ValueError(f"{table.source}: the target {name!r} is missing in all rows")
    return table.take(~missing), int(missing.sum())


def _missing(series: pl.Series) -> npt.NDArray[np.bool_]:
    """Tell which targets are missing."""
    missing = series.is_null()
    if series.dtype == import_polars().String:
        missing = missing | series.str.to_lowercase().is_in(sorted(MISSING - {"none", "null"}))  # may well be classes
    return missing.to_numpy().astype(bool)
