"""How a file spells its cells: numbers, true and false, dates, missing values.

A spelling belongs to one file, and is inferred from it or given by the user. The meaning of a column belongs to the
model (`vecprop.tabular`). `understand` turns the texts of a table into numbers, booleans and dates.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from vecprop.utils.arguments import check_choice, check_instance, check_texts
from vecprop.utils.errors import imported

if TYPE_CHECKING:
    import polars

    pl = polars
else:

    class _Polars:
        """Polars, imported when something of it is first used; ImportError has the install command."""

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):  # as doctest and inspect ask of everything in a module
                raise AttributeError(name)
            return getattr(imported("polars", 'tables are read by polars: pip install "vecprop[cli]"'), name)

    pl = _Polars()

# Common marks of a missing value, in lower case. In a target these words may be classes.
_WORDS = frozenset({"none", "null", "nil", "unknown", "missing"})
_MARKS = frozenset({
    "", "?", "-", "--", ".", "na", "n/a", "n.a.", "nan", "nat", "<na>", r"\n", "#n/a", "#na", "#nv", "#div/0!",
    "#value!", "#ref!", "#name?", "#num!", "#null!",
})  # fmt: skip
TRUE = frozenset({"true", "t", "yes", "y", "ja", "wahr", "oui", "vrai", "1", "1.0"})
TRUTH = TRUE | {"false", "f", "no", "n", "nein", "falsch", "non", "faux", "0", "0.0"}

_CURRENCY = r"[A-Z]{0,3}\p{Sc}|USD|EUR|GBP|CHF|JPY|CNY|INR|Rs\.?|kr\.?|±|~|≈"
_UNIT = r"%|‰|° ?[CFK]?|[\p{L}\p{Sc}][\p{L}\p{Sc}/·.²³°^]{0,11}[23]?"


def _pattern(decimal: str, thousands: str) -> str:
    """Return the pattern of a number with a sign; its groups are currency, number and unit."""
    groups = "|".join(rf"(?:{mark}\d{{3}})+" for mark in (thousands, "['’]", " "))
    grouped = rf"[1-9]\d{{0,2}}(?:{groups})" + (r"|[1-9]\d?(?:,\d\d)+,\d{3}" if thousands == "," else "")
    number = rf"(?:{grouped})(?:{decimal}\d*)?|(?:\d+(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][-+]?\d+)?"
    return rf"^[-+]? ?({_CURRENCY})? ?[-+]?({number}) ?({_UNIT})?-?$"


_NUMBER = {".": _pattern(r"\.", ","), ",": _pattern(",", r"\.")}

_TIME = r"(\d{1,2}):(\d{2})(?::(\d{2}(?:[.,]\d+)?))?(?: ?([AaPp])\.?[Mm]\.?)?"
_DAY = (
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})"
    r"|\d{1,2}[-/ .]{1,2}[A-Za-z]{3,9}[-/ ,.]{1,2}(?:\d{4}|\d{2})|[A-Za-z]{3,9}[- ]\d{1,2},? \d{4}"
    r"|\d{4}[-/]\d{2}|\d{2}/\d{4}|[A-Za-z]{3,9}[- ](?:\d{4}|\d{2})"
)
_WHEN = rf"^(?:[A-Za-z]{{3,9}}, )?({_DAY})(?:(?:[Tt]|,? ){_TIME} ?(Z|UTC|GMT|[-+]\d{{2}}(?::?\d{{2}})?)?)?$"
_CLOCK = rf"^(){_TIME}()$"  # the same groups
DATE_FORMATS = (
    *(f"%Y{sign}%m{sign}%d" for sign in "-/."),
    "%d.%m.%Y", "%d.%m.%y",
    *(form for sign in "/-" for y in "Yy" for form in (f"%d{sign}%m{sign}%{y}", f"%m{sign}%d{sign}%{y}")),
    *(f"%d{sign}%{b}{sign}%{y}" for sign in "- /" for b in "bB" for y in "Yy"),
    *(f"%{b} %d{sign} %Y" for b in "bB" for sign in (",", "")),
    *(f"%d. %{b} %Y" for b in "bB"),
    "%Y-%m", "%Y/%m", "%m/%Y", *(f"%{b}{sign}%Y" for b in "bB" for sign in "- "), "%b-%y",
)  # fmt: skip
_DIRECTIVES = {
    "%Y": r"\d{4}", "%y": r"\d{2}", "%m": r"\d{1,2}", "%d": r"\d{1,2}", "%b": "[A-Za-z]{3}", "%B": "[A-Za-z]{3,9}",
}  # fmt: skip
_READABLE = {
    "%Y": "YYYY", "%y": "YY", "%m": "MM", "%d": "DD", "%b": "Mon", "%B": "Month", "%H": "hh", "%M": "mm", "%S": "ss",
}  # fmt: skip


def readable(format: str) -> str:
    """Return a format of dates in the form that people write."""
    return re.sub(r"%[A-Za-z]", lambda found: _READABLE.get(found[0], found[0]), format)


@dataclass(frozen=True)
class Spelling:
    """The user's settings for how a file spells its cells; the rest is inferred.

    decimal : the decimal sign, "." or ","
    thousands : the sign between groups of three digits: ",", ".", "'" or " "
    missing : further texts for a missing value, or COLUMN=TEXT for one column; "" means that only an empty cell is
        missing
    date_format : FORMAT for all columns with dates, or COLUMN=FORMAT for one, such as %d/%m/%Y
    """

    decimal: str | None = None
    thousands: str | None = None
    missing: Sequence[str] = ()
    date_format: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.decimal is not None:
            check_choice(self.decimal, "decimal", (".", ","))
        if self.thousands is not None:
            check_choice(self.thousands, "thousands", (",", ".", "'", " "))
        if self.thousands is not None and self.thousands == self.decimal:
            raise ValueError(f"thousands and decimal must be two different signs, got {self.decimal!r} for both")
        check_texts(self.missing, "missing", "texts")
        for form in check_texts(self.date_format, "date_format", "formats"):
            if "%" not in form:
                raise ValueError(f"date_format must be one such as %d/%m/%Y, or COLUMN=%d/%m/%Y, got {form!r}")

    @property
    def sign(self) -> str | None:
        """The decimal sign that the settings imply, or None."""
        return self.decimal or {",": ".", ".": ","}.get(self.thousands or "")


def markers_of(spelling: Spelling, name: str, names: Collection[str] = (), target: bool = False) -> frozenset[str]:
    """Return the texts, in lower case, that stand for a missing value in a column."""
    said = said_markers(spelling, name, names)
    return said if "" in said else said | _MARKS | (frozenset() if target else _WORDS)


def said_markers(spelling: Spelling, name: str, names: Collection[str]) -> frozenset[str]:
    """Return the user's texts, in lower case, for a missing value in a column: its own, and those for all."""
    split = [column_and_text(entry, names) for entry in spelling.missing]
    return frozenset(text.strip().lower() for column, text in split if column in (None, name))


def column_and_text(entry: str, names: Collection[str]) -> tuple[str | None, str]:
    """Return column and text of COLUMN=TEXT, None and the whole entry if it begins with no column; both may have =.

    >>> column_and_text("sex=f=9", ["sex=f"]), column_and_text("sex=9", ["age"])
    (('sex=f', '9'), (None, 'sex=9'))
    """
    ends = [k for k, sign in enumerate(entry) if sign == "=" and entry[:k] in names]
    return (entry[: ends[-1]], entry[ends[-1] + 1 :]) if ends else (None, entry)


def format_of(spelling: Spelling, name: str, names: Collection[str]) -> tuple[str | None, bool]:
    """Return the date format for a column or None, and whether it names this very column."""
    split = [column_and_text(entry, names) for entry in spelling.date_format]
    own = [form for column, form in split if column == name]
    return next(reversed(own or general_formats(spelling, names)), None), bool(own)


def general_formats(spelling: Spelling, names: Collection[str]) -> list[str]:
    """Return the date formats that name no column."""
    return [entry for entry in spelling.date_format if column_and_text(entry, names)[0] is None]


def check_spelling(value: Any) -> Spelling:
    """Return the spelling, an empty one for None; TypeError for anything else."""
    return check_instance(value, Spelling | None, "spelling", "a tabular.Spelling or None") or Spelling()


def label(value: Any) -> str:
    """Return the label of a value: '1' for 1.0, a text unchanged."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def exact(text: str) -> float | int:
    """Return the number of a text; a whole one as an integer, which has all digits beyond 2^53.

    >>> exact("9007199254740993"), exact("1.0")
    (9007199254740993, 1.0)
    """
    return (int if text.lstrip("+-").isdecimal() else float)(text)


# --- cells --------------------------------------------------------------------------------------------------


class Form(NamedTuple):
    """How the cells of one column are written.

    kind : "number", "boolean", "date", "clock" or "text"
    decimal, unit : of numbers; the unit, a currency or "%", stands beside each
    format : of dates
    known : of text, categories that do not mean a missing value
    """

    kind: str
    decimal: str = "."
    unit: str = ""
    format: str = ""
    known: tuple[str, ...] = ()

    def __str__(self) -> str:
        comma = "with a decimal comma" if self.decimal == "," else ""
        return " ".join(part for part in (comma, self.unit and f"in {self.unit}", readable(self.format)) if part)


def numbers(cells: pl.Series, decimal: str) -> tuple[pl.Series, pl.Series | None]:
    """Return texts as numbers, null if they are not numbers, and their units, None if no cell has any.

    >>> import polars
    >>> values, units = numbers(polars.Series(["1.234,5", "-3 %", "(2)", "28.02.2022"]), ",")
    >>> values.to_list(), units.to_list()
    ([1234.5, -3.0, -2.0, None], ['', '%', '', None])
    """
    values = cells.cast(pl.Float64, strict=False)
    there = cells.is_not_null()
    open = there & values.is_null()
    if decimal == ",":
        open = open | cells.str.contains(".", literal=True).fill_null(False)
    if not open.any():
        return values, None
    texts = cells.filter(open).str.replace_all("[−–]", "-").str.replace_all(r"[\u00a0\u202f\u2009]", " ")
    brackets = texts.str.contains(r"^\([^-]+\)$")
    texts = texts.str.replace(r"^\(([^-]+)\)$", "$1")
    negative = brackets | texts.str.contains(r"^[^\d.,]*-|-$")
    currency, plain, unit = (texts.str.extract(_NUMBER[decimal], group) for group in (1, 2, 3))
    plain = plain.str.replace_all("[ '’,]" if decimal == "." else "[ '’.]", "")
    found = plain.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    found = found.zip_with(~negative, -found)
    unit = currency.fill_null("") + unit.fill_null("")
    rows = open.arg_true()
    units = pl.select(pl.when(there).then(pl.lit(""))).to_series()
    return values.scatter(rows, found), units.scatter(rows, unit.zip_with(found.is_not_null(), units.clear(len(unit))))


def booleans(cells: pl.Series) -> pl.Series:
    """Return texts as booleans, null if they are neither true nor false."""
    small = cells.str.to_lowercase()
    return _where(small.is_in(TRUTH), small.is_in(TRUE))


def dates(cells: pl.Series, format: str) -> pl.Series:
    """Return texts as dates with a time, in UTC, null if they do not have the format.

    The format "" is a time of the day alone. A time of the day and a time zone may follow a date without being in the
    format. A month without a day is its first day.

    >>> import polars
    >>> dates(polars.Series(["28.02.2022 12:00", "01.03.2022", "2022-03-01"]), "%d.%m.%Y").dt.day().to_list()
    [28, 1, None]
    """
    if format and format not in DATE_FORMATS:  # the user's own format
        try:
            return cells.str.to_datetime(format, strict=False).dt.replace_time_zone(None).cast(pl.Datetime("ms"))
        except pl.exceptions.PolarsError as error:
            raise ValueError(f"date_format: polars does not know {format!r}: {str(error).splitlines()[0]}") from None
    pattern = _WHEN if format else _CLOCK
    if format:
        text = cells.str.extract(pattern, 1)
        day = _where(text.str.contains(f"^{_shape(format)}$"), text)
        if "%d" not in format:
            day, format = day + " 1", f"{format} %d"
        day = day.str.to_date(format, strict=False).cast(pl.Int64) * 86_400_000
    else:
        day = _where(cells.str.contains(pattern), pl.zeros(len(cells), pl.Int64, eager=True))
    if cells.str.contains(":", literal=True).any():
        day = day + _time(cells, pattern)
    return day.cast(pl.Datetime("ms"))


def _shape(format: str) -> str:
    """Return the pattern of texts with a date format; %Y has four digits, unlike in strptime."""
    return re.sub("%[A-Za-z]", lambda found: _DIRECTIVES[found[0]], format.replace(".", r"\."))


def formats_of(texts: Sequence[str]) -> list[str]:
    """Return the date formats that any of the texts may have; "" is a time of the day.

    >>> formats_of(["1/2/2024", "13/2/2024 10:30"]), formats_of(["10:30"]), formats_of(["red"])
    (['%d/%m/%Y', '%m/%d/%Y'], [''], [])
    """
    days = {found[1] for found in map(re.compile(_WHEN).match, texts) if found}
    found = [form for form in DATE_FORMATS if any(re.fullmatch(_shape(form), day) for day in days)]
    return [*found, ""] if any(re.match(_CLOCK, text) for text in texts) else found


def may_be_dates(cells: pl.Series) -> pl.Series:
    """Tell which texts look like dates or times of the day."""
    return cells.str.contains(_WHEN) | cells.str.contains(_CLOCK)


def _time(cells: pl.Series, pattern: str) -> pl.Series:
    """Return the time of the day in UTC, in milliseconds, null if there is no such time."""
    hour, minute, second = (
        cells.str.extract(pattern, k).str.replace(",", ".", literal=True).cast(pl.Float64).fill_null(0)
        for k in (2, 3, 4)
    )
    half = cells.str.extract(pattern, 5).str.to_lowercase()
    hour = (hour % 12 + 12 * (half == "p").cast(pl.Float64)).zip_with(half.is_not_null(), hour)
    zone = cells.str.extract(pattern, 6)
    hours, minutes = (zone.str.extract(r"^[-+](\d{2}):?(\d{2})?", k).cast(pl.Int64).fill_null(0) for k in (1, 2))
    offset = (hours * 3600 + minutes * 60) * (1 - 2 * zone.str.starts_with("-").fill_null(False).cast(pl.Int64))
    seconds = hour * 3600 + minute * 60 + second
    real = (hour < 24) & (minute < 60) & (second < 61)
    return _where(real, ((seconds - offset) * 1000).round().cast(pl.Int64))


def _where(mask: pl.Series, values: pl.Series) -> pl.Series:
    """Return the values where the mask is true, null elsewhere."""
    return values.zip_with(mask.fill_null(False), values.clear(len(values)))
