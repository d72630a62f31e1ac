"""Remarks on a trained model: rare classes, columns that give the target away, numbers for missing values."""

import re
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vecprop.data.spelling import pl
from vecprop.data.tables import first_rows
from vecprop.tabular.preparation import Preparation

Values: TypeAlias = npt.NDArray[Any]

_ROWS, _NUMBERS = 5000, 1 << 22  # the most of a table that is examined
_RARE_ROWS, _RARE = 2, 0.02  # so few rows of a class, or such a share of all, are told
_SHOWN = 5
_SEVERAL = 3  # fewer equal values may be an accident
_SAME = 0.99999  # a correlation of ranks that no independent measurement reaches


def about_classes(classes: Values, y: Values, y_test: Values, predicted: Values, weighted: bool = False) -> list[str]:
    """Return notes on rare, untested, never predicted and nearly equal classes; the arrays are indices of classes.

    If they are `weighted` already, no weights are advised.

    >>> about_classes(np.array(["a", "b"]), np.array([0] * 99 + [1]), np.array([0, 0]), np.array([0, 0]))
    ["class 'b' has 1 row to learn from", "class 'b' is not among the test rows: no score says anything of it"]
    """
    count = len(classes)
    known, test, found = (np.bincount(codes, minlength=count) for codes in (y, y_test, predicted))
    few, untested = known <= _RARE_ROWS, test == 0
    rare = ~few & (known < _RARE * known.sum())
    them = "it" if untested.sum() == 1 else "them"
    balance = "" if weighted else ": --balance gives all classes the same weight"
    notes = [
        *((known == n, "has", "have each", f"{n} row{'s' * (n != 1)} to learn from") for n in range(_RARE_ROWS + 1)),
        (rare, "has", "have each", f"less than 2 % of the rows{balance}"),
        (untested, "is", "are", f"not among the test rows: no score says anything of {them}"),
        (~untested & (found == 0), "is", "are", "never predicted for a test row"),
    ]
    lines = []
    for which, one, several, what in notes:
        if names := classes[which].tolist():
            begin, verb = ("class", one) if len(names) == 1 else ("classes", several)
            in_all = f" ({len(names)} in all)" if len(names) > _SHOWN else ""
            lines.append(f"{begin} {first_rows(names, _SHOWN, repr)}{in_all} {verb} {what}")
    _, places, counts = np.unique([str(name).casefold() for name in classes], return_inverse=True, return_counts=True)
    if same := classes[counts[places] > 1].tolist():
        what = "differ in capital letters alone: if they mean the same, write them alike"
        lines.append(f"classes {first_rows(same, _SHOWN, repr)} {what}")
    return lines


def about_columns(preparation: Preparation, X: Values, y: Values, task: str) -> list[str]:
    """Return notes on columns that have the target's ranks or classes, or numbers that seem to mean missing values.

    They are looked for in some rows of X (m, n_x) and y (m,).
    """
    rows = np.unique(np.linspace(0, len(X) - 1, max(2, min(len(X), _ROWS, _NUMBERS // X.shape[1]))).astype(np.int64))
    X, y = np.asarray(X[rows]), np.asarray(y[rows])
    enough = len(rows) >= 20 and (task == "regression" or len(np.unique(y)) > 1)
    ends = np.cumsum([len(column.features) for column in preparation.columns])
    notes = []
    for column, part in zip(preparation.columns, np.split(X, ends[:-1], axis=1), strict=True):
        name, first = column.name, part[:, 0]
        if enough and (_ranks_alike(first, y) if task == "regression" else _tells_classes(part, y)):
            leave = f"leave it out (--drop {name!r})"
            notes.append(f"{name} alone tells the target: if it is not known before the target is, {leave}")
        for value in _stand_ins(first) if column.kind == "number" else ():
            say = f"say --missing {f'{name}={value}'!r}"
            notes.append(f"{name}: several values are {value}, far from all others; if that means a missing one, {say}")
    return notes


def _stand_ins(values: Values) -> list[str]:
    """Return the ends of some numbers that are as -99 or 9999, occur several times, and are far from all others.

    >>> _stand_ins(np.array([3.0, 27, 8, 999, 999, 999])), _stand_ins(np.array([1.0, 98, 40, 99, 99, 99]))
    (['999'], [])
    """
    numbers, counts = np.unique(values, return_counts=True)
    found = []
    for end, others in ((0, numbers[1:]), (-1, numbers[:-1])):
        text, is_far = f"{numbers[end]:.17g}", len(others) > 1 and np.abs(others - numbers[end]).min() > np.ptp(others)
        if is_far and counts[end] >= _SEVERAL and re.fullmatch("-?99+", text):
            found.append(text)
    return found


def _ranks_alike(values: Values, y: Values) -> bool:
    """Tell whether numbers have the order of the targets, or its reverse, but for rounding."""
    several = len(np.unique(values)) > min(20, len(np.unique(y)) // 2)
    ranks, own = (pl.Series(numbers).rank().to_numpy() for numbers in (values, y))
    return several and abs(float(np.corrcoef(ranks, own)[0, 1])) > _SAME


def _tells_classes(part: Values, y: Values) -> bool:
    """Tell whether each different row has one class, and there is at most one more row than classes.

    Where most rows are the only ones of their class, that would be no surprise.

    >>> codes, names = np.arange(30.0)[:, None] // 10, np.arange(30.0)[:, None]
    >>> _tells_classes(codes, codes[:, 0]), _tells_classes(names, names[:, 0])
    (True, False)
    """
    rows = pl.DataFrame(part)
    different = rows.n_unique()
    return different <= min(len(y) // 2, len(np.unique(y)) + 1) and different == rows.with_columns(y=y).n_unique()
