"""The kind of a column of a table: numbers, booleans, categories, dates, or nothing to learn from."""

import re
from functools import partial
from typing import NamedTuple

from vecprop.data.spelling import pl
from vecprop.data.tables import Table
from vecprop.tabular import column_stats

_SAFE_CATEGORIES = 20  # up to this many different texts are categories even in a small table
_ROWS_OF_A_CATEGORY = 4  # on average; with fewer rows for each text, texts are names
_FEWEST_NAMED = 20  # rows: up to this many, numbers may all differ and yet be no identifier
_LARGE = 10_000  # numbers without gaps that begin here or above are an identifier
LARGEST = 1e150
_IDENTIFIER = re.compile(r"(?:u|uu|gu|row)?ids?|key|index|idx|row|rownames?|nr")


class Kind(NamedTuple):
    """The kind of a column: "number", "boolean", "category", "date", or "left out" for a reason."""

    kind: str
    reason: str = ""


left_out = partial(Kind, "left out")


def find_kind(table: Table, name: str) -> Kind:
    """Return the kind of a column whose texts are converted already (`understanding.understand`)."""
    dtype = table.dtype(name)
    if dtype != pl.String and not dtype.is_temporal() and name not in table.categorical:
        return _of_numbers(table, name)
    m, count = len(table), column_stats.count_different(table, name)
    if not count:
        return left_out("it has no values")
    if count == 1 and not any(series.null_count() for series in table.parts(name)):
        return left_out(f"all its values are {str(next(table.parts(name))[0])!r}")
    if dtype.is_temporal():
        return Kind("date")
    if count > max(_SAFE_CATEGORIES, m // _ROWS_OF_A_CATEGORY) and name not in table.categorical:
        return left_out(f"{count} different texts in {m} rows are names, no categories")
    return Kind("category")


def _of_numbers(table: Table, name: str) -> Kind:
    found, values = column_stats.as_numbers(table, name)
    if found.infinite:
        return left_out(f"{found.infinite} of its values are not finite")
    if not found.finite:
        return left_out("it has no values")
    if max(-found.low, found.high) > LARGEST:
        return left_out(f"it has numbers beyond {LARGEST:g}, whose squares are no numbers any more")
    if 0 < found.high - found.low < 1 / LARGEST:
        return left_out(f"its numbers differ by less than {1 / LARGEST:g}, whose square is no number any more")
    if found.low == found.high and not found.missing:
        return left_out(f"all its values are {found.low + 0.0:g}")
    fills = found.whole and found.high - found.low + 1 == found.finite  # the range, if all are different
    if fills and found.low in (0, 1) and 2 < found.finite == len(values) and (values[1:] > values[:-1]).all():
        return left_out("it counts the rows")
    if found.whole and found.finite > _FEWEST_NAMED:
        fills = fills and (found.low in (0, 1) or found.low >= _LARGE)
        # pandas writes an index without a name
        unnamed = table.kind == "csv" and table.header and re.fullmatch(r"column \d+", name)
        if (fills or unnamed or is_identifier(name)) and column_stats.different(values) == found.finite:
            return left_out("it numbers the rows" if fills else "its numbers are names of the examples")
    if table.dtype(name) == pl.Boolean or (found.whole and (found.low, found.high) == (0, 1)):
        return Kind("boolean")
    return Kind("number")


def is_identifier(name: str) -> bool:
    """Tell whether a column's name is that of an identifier.

    >>> [is_identifier(name) for name in ("id", "CustomerId", "SK_ID_CURR", "OrderNo", "paid", "identity")]
    [True, True, True, True, False, False]
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+", " ", name).lower().split()
    return any(map(_IDENTIFIER.fullmatch, words)) or words[-1:] == ["no"] or name.startswith("Unnamed: ")
