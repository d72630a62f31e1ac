"""The cells of a column as numbers, texts or dates; an error names the first that is none, with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vecprop.tables import MISSING
from vecprop.tabular.reading import Table, import_polars

if TYPE_CHECKING:
    import numpy.typing as npt
    import polars as pl

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


def numbers(table: Table, name: str, decimal: str = ".") -> npt.NDArray[np.float64]:
    """Return a column as numbers (m,), NaN where they are missing, or raise ValueError at the first that is none."""
    values, start = np.empty(len(table)), 0
    wrong, count = None, 0
    for series in table.parts(name):
        part, bad = parsed(series, decimal)
        if len(bad) and wrong is None:
            wrong = start + int(bad[0]), series[int(bad[0])]
        count += len(bad)
        values[start : start + len(part)] = part
        start += len(part)
    if wrong is not None:
        raise not_a_number(table, name, *wrong, count)
    return values


def not_a_number(table: Table, name: str, row: int, cell: Any, count: int) -> ValueError:
    """Return the error for a cell of a column of numbers, the first of so many that are none."""
    return ValueError(
        f"{table.place(row, name)}: {cell!r} is not a finite number, as all of this column are to be"
        f"{f' ({count} such cells)' if count > 1 else ''}; correct it, or leave the cell empty"
    )


def parsed(series: pl.Series, decimal: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
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
    return [cell for series in table.parts(name) for cell in labels(series)]


def labels(series: pl.Series) -> list[str | None]:
    """Return cells as texts, as `texts` does."""
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
    days, start = np.empty(len(table)), 0
    for series in table.parts(name):
        days[start : start + len(series)] = _days(table, name, series, start, format)
        start += len(series)
    return days


def _days(table: Table, name: str, series: pl.Series, start: int, format: str | None) -> npt.NDArray[np.float64]:
    """Return a part of a column, from a row on, as days since 1970."""
    pl = import_polars()
    if series.dtype == pl.String and format is not None:
        parsed = series.str.to_datetime(format, strict=False, exact=True)
        bad = np.flatnonzero((parsed.is_null() & ~series.is_null()).to_numpy())
        if len(bad):
            raise ValueError(
                f"{table.place(start + int(bad[0]), name)}: {series[int(bad[0])]!r} is not a date such as "
                f"{DATE_FORMATS.get(format, format)}, as the others of this column are; correct it, or leave it empty"
            )
        series = parsed
    elif not series.dtype.is_temporal() or series.dtype == pl.Time:
        raise ValueError(f"{table.source}, column {name!r} must hold dates, as in training; it has {series.dtype}")
    milliseconds = series.cast(pl.Datetime("ms")).dt.epoch("ms").cast(pl.Float64).to_numpy()
    return np.asarray(milliseconds, dtype=np.float64) / 86_400_000
