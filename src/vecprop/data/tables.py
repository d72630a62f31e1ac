"""Reads a table from a CSV, Parquet or .npy file; errors give the place of the fault.

Polars reads CSV and Parquet. Columns of CSV come as text, so that an error can show the cell and its line; Parquet and
.npy have types.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from itertools import dropwhile, islice, pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from vecprop.data.dataset import PathLike, is_number
from vecprop.data.spelling import Form, Spelling, check_spelling, label, pl
from vecprop.utils.arguments import check_flag, check_integer, check_path, check_text, check_texts

AnyTable = TypeVar("AnyTable", bound="Table")
_DELIMITERS = ",;\t|"
_ENCODINGS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_KINDS = {".parquet": "parquet", ".pq": "parquet", ".npy": "npy"}
_MAGIC = {b"PAR1": "parquet", b"ARRO": "arrow", b"\x93NUM": "npy"}
_NOT_TABLES = {
    b"PK\x03\x04": "a zip file or a spreadsheet",
    b"\x1f\x8b": "a gzip file",
    b"\xd0\xcf\x11\xe0": "a spreadsheet",
    b"FEA1": "a Feather file of the first version",
    b"\xff\xff\xff\xff": "an Arrow stream",
    b"\x80\x05": "a pickle",
    b"\x89HDF": "an HDF5 file",
    b"SQLi": "a database of SQLite",
}
_NOT_CSV = {r"\s*(\{|\[\s*[\[{])": "JSON", r"(?i)\s*<(!doctype|html|\?xml|table)\b": "HTML or XML"}
_A_YEAR = range(1900, 2101)
_LONGEST = 60  # characters of a value in a message
_limits: list[int] = []  # of the csv module before each of those that read


@dataclass(frozen=True)
class Table:
    """The columns of a file.

    frame : polars DataFrame; texts are stripped of blanks, empty ones are null
    source : the file's name as given
    kind : "csv", "parquet", "arrow", "npy" or "frame"
    delimiter, encoding, header, skip : of CSV; `skip` is the number of lines left out above the header
    blank : the number of blank lines left out
    origin : the row in the file of each row, if some were left out
    spelling : the user's settings for how cells are written
    categorical : the columns with a categorical type
    unusable : column -> why its type cannot be used; it is not in the frame
    forms : column -> how its cells are written, once known (`understanding.understand`)
    """

    frame: pl.DataFrame
    source: str
    kind: str = "frame"
    delimiter: str | None = None
    encoding: str = "utf-8"
    header: bool = True
    skip: int = 0
    blank: int = 0
    origin: npt.NDArray[np.int64] | None = None
    spelling: Spelling = field(default_factory=Spelling)
    categorical: frozenset[str] = frozenset()
    unusable: Mapping[str, str] = field(default_factory=dict)
    forms: Mapping[str, Form] | None = None

    def __len__(self) -> int:
        return int(self.frame.height)

    @cached_property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self.frame.columns)

    @cached_property
    def known(self) -> frozenset[str]:
        """The names as a set."""
        return frozenset(self.names)

    def column(self, name: str) -> pl.Series:
        """Return a whole column."""
        return pl.concat(list(self.parts(name)))

    def dtype(self, name: str) -> Any:
        """Return the type of a column, one of polars."""
        return self.frame.get_column(name).dtype

    def parts(self, name: str) -> Iterator[pl.Series]:
        """Yield the parts of a column, in the order of the rows."""
        yield self.frame.get_column(name)

    def blocks(self) -> Iterator[Table]:
        """Yield blocks of rows in the order of the file, one in memory at a time."""
        yield self

    def mapped(self, step: Callable[[Table], Table]) -> Table:
        """Return the table with `step` applied to every block."""
        return step(self)

    def take(self, rows: npt.NDArray[Any]) -> Table:
        """Return the table of some rows, given by numbers or a mask (m,)."""
        rows = np.arange(len(self))[rows]
        return replace(self, frame=self.frame[rows], origin=rows if self.origin is None else self.origin[rows])

    def place(self, row: int, name: str) -> str:
        """Return the place of a cell for messages; for CSV the line, as an editor counts it."""
        row = row if self.origin is None else int(self.origin[row])
        if self.kind == "csv":
            return f"{self.source}, line {self._lines[row]}, column {name!r}"
        return f"{self.source}, row {row} (counted from 0), column {name!r}"

    def find(self, name: str, what: str) -> str:
        """Return the name of a column given by name or index; ValueError, with the nearest name, if there is none."""
        if name in self.known:
            return name
        if name in self.unusable:
            raise ValueError(f"{what}: column {name!r} of {self.source} cannot be used: {self.unusable[name]}")
        if re.fullmatch(r"-?\d+", name) and -len(self.names) <= int(name) < len(self.names):
            return self.names[int(name)]
        raise ValueError(f"{what}: {self.source} has no column {name!r}{self.near(name)}")

    def near(self, name: str) -> str:
        """Return the end of a message about a missing column."""
        lower = {known.lower(): known for known in self.names}
        near = get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
        hint = f": did you mean {lower[near[0]]!r}? " if near else "; "
        if self.kind == "csv" and len(self.names) == 1 and re.search(r"\s", self.names[0]):
            hint = f"; if its columns are cut by blanks, say --delimiter ' '{hint}"
        elif self.kind == "csv" and (self.names[0].startswith("#") or (self.header and "column 1" in self.names[1:2])):
            hint = f"; if comments or a title stand above its header, say how many lines (--skip){hint}"
        return f"{hint}{'It' if near else 'it'} has: {first_rows(self.names, 30, str)}"

    @cached_property
    def _lines(self) -> list[int]:
        """The line of each row; read again from the file, as only errors need it."""
        lines, before = [], self.skip
        text = _text(Path(self.source).read_bytes(), self.source, self.encoding, self.skip, self.delimiter)
        for line, cells in _records(text, self.delimiter):
            if not _is_blank(cells):
                lines.append(before + 1)
            before = line + self.skip
        return lines[1:] if self.header else lines


def read(
    path: PathLike,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    skip: int = 0,
    spelling: Spelling | None = None,
    expected: Collection[str] = (),
) -> Table:
    """Return the table of a file.

    Parameters
    ----------
    path : str or path
        CSV, Parquet, Arrow (Feather), or .npy with an array (m, columns) or one with named fields.
    delimiter : str, optional
        Of CSV; by default that of , ; tab | which gives the expected names, and cuts the lines most evenly. A blank
        stands for any number of blanks.
    encoding : str, optional
        Of CSV; by default UTF-8, or UTF-16 with a byte-order mark.
    header : bool, optional
        Whether the first line of CSV holds names. By default it does if no cell of it is a number, if it has one of
        the expected names, or nothing but expected numbers, or if its numbers are years or consecutive, above columns
        of another kind. 0, 1, 2, …, as pandas writes for columns without names, need a column below that is not all
        whole numbers, or to be five.
    skip : int
        The number of lines of CSV to leave out above the header.
    spelling : Spelling, optional
        How the cells are written; the rest is inferred.
    expected : collection of str
        Names that a header would have: the target, the columns of a model.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, OSError
        If the file is missing or cannot be read.
    ValueError
        For a file that is empty, has only a header, is not a table or is damaged; for two columns of one name.
    """
    source = check_path(path)
    header = None if header is None else check_flag(header, "header")
    if delimiter is not None and (
        not isinstance(delimiter, str) or len(delimiter) != 1 or not "\0" < delimiter < "\x80" or delimiter in '"\r\n'
    ):
        raise ValueError(f"delimiter must be one character such as ',' or ';', got {delimiter!r}")
    if encoding is not None and not (check_text(encoding, "encoding") and encoding.isprintable()):
        raise ValueError(f"encoding must be the name of one, such as 'utf-8', got {encoding!r}")
    check_integer(skip, "skip", 0, "an integer from 0 on")
    spelling = check_spelling(spelling)
    expected = check_texts(expected, "expected", "names of columns")
    if (kind := kind_of(source)) == "csv":
        table = _read_csv(source, delimiter, encoding, header, skip, expected)
    else:
        refuse_options_of_csv(source, delimiter, encoding, header, skip)
        with polars_reads(source, kind.title()):
            if kind == "npy":
                frame = _read_npy(source)
            else:  # polars takes [1] and * in a path for patterns
                parquet = kind == "parquet"
                frame = pl.read_parquet(source, glob=False) if parquet else pl.read_ipc(Path(source).read_bytes())
            table = Table(frame, source, kind)
    return replace(tidied(table), spelling=spelling)


def kind_of(source: str) -> str:
    """Return "csv", "parquet", "arrow" or "npy"; an error unless the file is a table."""
    if Path(source).is_dir():
        raise IsADirectoryError(f"{source} is a directory; give a file in it")
    if not Path(source).exists() and source != "-":  # as programs call their standard input
        raise FileNotFoundError(f"{source} does not exist (looked from {os.getcwd()})")
    if not Path(source).is_file():
        raise OSError(
            f"{source} is a pipe or a device, which cannot be read twice; write it into a file, and give that"
        )
    with open(source, "rb") as file:
        start = file.read(4)
    if not start:
        raise ValueError(f"{source} is empty; wanted is a table with a header and one example on each line")
    for magic, what in _NOT_TABLES.items():
        if start.startswith(magic):
            raise ValueError(f"{source} is {what}; save it as CSV or Parquet")
    return _MAGIC.get(start) or _KINDS.get(Path(source).suffix.lower(), "csv")


def refuse_options_of_csv(
    source: str, delimiter: str | None, encoding: str | None, header: bool | None, skip: int
) -> None:
    """Raise ValueError if an option is given that says how to read CSV."""
    options = {"delimiter": delimiter, "encoding": encoding, "header": header, "skip": skip or None}
    for name in (name for name, value in options.items() if value is not None):
        raise ValueError(f"{name} is for CSV, and {source} is none; leave it out, got {name} {options[name]!r}")


@contextmanager
def polars_reads(source: str, kind: str) -> Iterator[None]:
    """Name the file and its kind in the errors of polars."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{source} cannot be read as {kind}: {str(error).splitlines()[0]}") from None


def table_of(given: Any, what: str = "data", expected: Collection[str] = ()) -> Table:
    """Return a table from a table, a path, or a data frame of polars or pandas; `expected` as for `read`."""
    check_text(what, "what")
    expected = check_texts(expected, "expected", "names of columns")
    if isinstance(given, Table):
        return given
    if isinstance(given, str | os.PathLike):
        return read(given, expected=expected)
    categorical: frozenset[str] = frozenset()
    if not isinstance(given, pl.DataFrame) and hasattr(given, "to_dict") and hasattr(given, "columns"):
        # pandas; `polars.from_pandas` would need pyarrow
        categorical = frozenset(str(name).strip() for name, dtype in given.dtypes.items() if str(dtype) == "category")
        given = [_from_pandas(given.iloc[:, k]).alias(str(name)) for k, name in enumerate(given.columns)]
        _check_names([column.name for column in given], what)
    elif not hasattr(given, "__arrow_c_stream__") or getattr(given, "ndim", 2) == 1:  # a series of pandas
        raise TypeError(f"{what} must be a path or a data frame of pandas or polars, got {type(given).__name__}")
    return tidied(Table(pl.DataFrame(given), what, categorical=categorical))


# --- CSV ----------------------------------------------------------------------------------------------------


def _read_csv(
    source: str, delimiter: str | None, encoding: str | None, header: bool | None, skip: int, expected: Collection[str]
) -> Table:
    data = Path(source).read_bytes()
    encoding = encoding or next((e for mark, e in _ENCODINGS.items() if data.startswith(mark)), "utf-8")
    text = _text(data, source, encoding, skip, delimiter)
    if said := re.match(r"(?i)sep=(.)\r?\n", text):  # as Excel writes and reads it
        text, skip, delimiter = text[said.end() :], skip + 1, delimiter or said[1]
    if delimiter is None:
        delimiter = infer_delimiter(text, expected)
    if re.search(rf'(?m)(?:^|{re.escape(delimiter)}) +"', text):  # polars would miss quotes after blanks
        written = io.StringIO()
        records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        with _cells_of_any_length(text):
            csv.writer(written, delimiter=delimiter, lineterminator="\n").writerows(records)
        text = written.getvalue()
    head = [cells for _, cells in islice(_records(text, delimiter, source), 50) if any(map(str.strip, cells))]
    if not head:
        raise ValueError(f"{source} is empty; wanted is a table with a header and one example on each line")
    width = len(head[0])
    header = _has_names(head, expected) if header is None else header
    names = [(header and name.strip()) or f"column {i}" for i, name in enumerate(head[0])]
    _check_names(names, source)
    try:
        frame = pl.read_csv(
            io.BytesIO(re.sub(r"\A(?: *[\r\n])+", "", text).encode()),  # polars counts the columns of the first line
            separator=delimiter,
            has_header=header,
            new_columns=names,
            infer_schema=False,
        )
    except pl.exceptions.NoDataError:
        frame = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    except pl.exceptions.PolarsError as error:
        _check_widths(text, delimiter, source, width, skip)
        odd = next((k for k, line in enumerate(text.split("\n"), 1 + skip) if line.count('"') % 2), None)
        if odd is not None:
            what = "not valid CSV: a quote that stands inside a cell, or is not closed"
            raise ValueError(f"{source}, line {odd}: {what}") from None
        raise ValueError(f"{source} cannot be read as CSV: {str(error).splitlines()[0]}") from None
    if frame.height and frame.get_columns()[-1].null_count():  # polars fills lines that are too short with nulls
        _check_widths(text, delimiter, source, width, skip)
    kept = frame.filter(_examples(frame, text, delimiter, header))
    table = Table(kept, source, "csv", delimiter, encoding, header, skip, frame.height - kept.height)
    if header and width > 1:
        _check_single_header(table, head[0])
    return table


def _text(data: bytes, source: str, encoding: str, skip: int, delimiter: str | None) -> str:
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise ValueError(f"encoding: Python knows no encoding {encoding!r}; try utf-8, latin-1 or cp1252") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        of_windows = re.search(rb"[\x80-\x9f]", data)  # such as €; in latin-1 these bytes are no characters
        other = ("cp1252" if of_windows else "latin-1") if encoding.startswith("utf-8") else "utf-8"
        raise ValueError(
            f"{source}, line {line}: the byte {data[error.start]:#04x} is not {encoding} text; save the file as UTF-8, "
            f"or name its encoding, such as {other} (--encoding {other})"
        ) from None
    if "\0" in text:
        raise ValueError(f"{source} is no text: it has a zero byte; wanted is CSV, Parquet or .npy")
    for start, what in _NOT_CSV.items():
        if re.match(start, text):
            raise ValueError(f"{source} is {what}; save it as CSV or Parquet")
    text = re.sub("\r(?!\n)", "\n", text)  # old Macs
    if skip:
        text = "".join(islice(io.StringIO(text), skip, None))
    if delimiter == " ":
        text = re.sub("[ \t]+", " ", re.sub("(?m)^[ \t]+|[ \t]+$", "", text))
    return text


def infer_delimiter(text: str, expected: Collection[str] = ()) -> str:
    """Return the delimiter that gives most of the expected names, then cuts the first lines most evenly; else ','.

    Of equals, the one that gives the most numbers, and then the most cells. csv.Sniffer counts characters, and is
    easily misled by text or by a short table.
    """

    def score(delimiter: str) -> tuple[float, ...]:
        records = _records(text, delimiter, skipinitialspace=True)
        try:
            rows = list(islice((cells for _, cells in records if not _is_blank(cells)), 50))
        except ValueError:  # quotes in wrong places for this delimiter
            return (0,)
        widths = list(map(len, rows))
        width = max(widths, key=widths.count, default=0)
        if width < 2:
            return (0,)
        names = set(map(str.strip, rows[0])) & set(expected)
        decimal = "." if delimiter == "," else ","  # a comma that does not cut may be the decimal sign
        numbers = [is_number(cell.replace(decimal, ".")) for cells in rows for cell in cells]
        return len(names), widths.count(width) / len(rows), sum(numbers), width

    return max(_DELIMITERS, key=score)


def _has_names(head: Sequence[Sequence[str]], expected: Collection[str]) -> bool:
    """Tell whether the first line holds names.

    >>> _has_names([["country", "2019", "2020"], ["A", "0.5", "7"]], ()), _has_names([["3", "4"], ["5", "6"]], ())
    (True, False)
    """
    first = [cell.strip() for cell in head[0]]
    numbers = [cell for cell in first if is_number(cell)]
    if not numbers or any(name in first and not is_number(name) for name in expected):
        return any(first)
    if len(first) > 1 and set(first) <= set(expected):
        return True
    if first == list(map(str, range(len(first)))):  # as pandas names columns without names
        below = [[cell for cell in cells if cell.strip()] for cells in zip(*head[1:], strict=False)]
        return len(first) > 4 or any(cells and not any(map(str.isdecimal, cells)) for cells in below)
    if len(numbers) == len(first) or not all(map(str.isdecimal, numbers)):
        return False
    steps = {int(b) - int(a) for a, b in pairwise(numbers)}
    return len(set(numbers)) == len(numbers) and (steps == {1} or all(int(number) in _A_YEAR for number in numbers))


def _is_blank(cells: Sequence[str]) -> bool:
    """Tell whether a line is blank; one of delimiters alone, or of two quotes, is an example without values."""
    return not cells or (len(cells) == 1 and cells[0].isspace())


def _examples(frame: pl.DataFrame, text: str, delimiter: str, header: bool) -> npt.NDArray[np.bool_]:
    """Tell which rows are examples, not the empty rows that polars makes of blank lines."""
    empty = frame.select(pl.all_horizontal(pl.all().str.strip_chars().fill_null("") == "")).to_series()
    if not empty.any():
        return np.ones(frame.height, dtype=bool)
    records = dropwhile(_is_blank, (cells for _, cells in _records(text, delimiter)))
    return np.array([not _is_blank(cells) for cells in islice(records, int(header), None)])


def _records(
    text: str, delimiter: str | None, source: str = "", skipinitialspace: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield each record as (number of its last line, cells)."""
    file = io.StringIO(text, newline="")
    reader = csv.reader(file, delimiter=delimiter or ",", skipinitialspace=skipinitialspace, strict=True)
    try:
        with _cells_of_any_length(text):
            for cells in reader:
                yield reader.line_num, cells
    except csv.Error as error:
        raise ValueError(f"{source}, line {reader.line_num}: not valid CSV: {error}") from None


@contextmanager
def _cells_of_any_length(text: str) -> Iterator[None]:
    """Let the csv module read cells as long as the text; by itself it refuses more than 131 072 characters.

    The limit is one for all threads: the last that reads restores it.
    """
    _limits.append(csv.field_size_limit(max(csv.field_size_limit(), len(text))))
    try:
        yield
    finally:
        limit = _limits.pop()
        if not _limits:
            csv.field_size_limit(limit)


def _check_widths(text: str, delimiter: str, source: str, width: int, skip: int) -> None:
    """Raise ValueError at the first line with more or fewer cells than the header."""
    for line, cells in _records(text, delimiter, source):
        if len(cells) != width and any(map(str.strip, cells)):
            above = width < len(cells) or text.lstrip().startswith("#")
            hint = ", or say how many lines stand above the header (--skip)" if above else ""
            raise ValueError(
                f"{source}, line {line + skip}: {len(cells)} cells where line {1 + skip} has {width}; correct it, "
                f"quote a cell that holds the delimiter {delimiter!r}, or name another one (--delimiter){hint}"
            )


def _check_single_header(table: Table, header: Sequence[str]) -> None:
    """Raise ValueError if a line has the cells of the header, as where files were joined."""
    cells = zip(map(str.strip, header), table.frame.get_columns(), strict=True)
    rows = np.arange(len(table))
    for name, column in sorted(cells, key=lambda cell: not cell[0]):  # empty ones last, as they may be many
        rows = rows[(column[rows].fill_null("").str.strip_chars() == name).to_numpy()]
        if not len(rows):
            return
    raise ValueError(f"{table.source}, line {table._lines[rows[0]]}: the header a second time; delete this line")


def _check_names(names: Sequence[str], source: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{source} has two columns of the name {twice[0]!r}; give each a name of its own")


# --- other files --------------------------------------------------------------------------------------------


def _read_npy(source: str) -> pl.DataFrame:
    try:
        with open(source, "rb") as file:
            array: Any = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{source} cannot be read as a .npy file, as np.save writes it: {error}") from None
    if array.dtype.names and array.ndim == 1:
        columns = {name: array[name] for name in array.dtype.names}
    elif array.ndim == 2 and array.shape[1] and array.dtype.kind in "biufU":
        columns = {f"column {i}": column for i, column in enumerate(array.T)}
    else:
        raise ValueError(
            f"{source} must hold an array (m, columns) of numbers or text, or one with named fields, got shape "
            f"{array.shape} of {array.dtype}"
        )
    return pl.DataFrame(columns)


def _from_pandas(series: Any) -> Any:
    if str(series.dtype).startswith(("datetime64", "timestamp")):
        return pl.Series(series.to_numpy("datetime64[us]"))
    if str(series.dtype).startswith("period"):
        return _from_pandas(series.dt.to_timestamp())
    values = series.to_numpy(dtype=object, na_value=None).tolist()
    if str(series.dtype) == "category" and series.cat.categories.dtype.kind not in "iub":
        labels = [None if value is None else label(value) for value in values]
        return pl.Series(labels, dtype=pl.String).cast(pl.Categorical)
    try:
        return pl.Series([v.item() if isinstance(v, np.generic) else v for v in values], strict=False)
    except (TypeError, ValueError, pl.exceptions.PolarsError):  # a type that polars does not have
        return pl.Series(values, dtype=pl.Object)


# --- one form for all ---------------------------------------------------------------------------------------


def tidied(table: AnyTable) -> AnyTable:
    """Return a table of usable columns, with names and texts stripped, empty texts as null; an error without rows."""
    if not len(table):
        raise ValueError(f"{table.source} has only a header ({', '.join(table.names)}) and no examples")
    names, kinds = table.frame.columns, pl.selectors
    frame = table.frame.rename(dict(zip(names, tidied_names(names), strict=True)))
    categorical = kinds.by_dtype(pl.Categorical, pl.Enum)
    untyped = kinds.by_dtype(pl.Null)
    dates = kinds.temporal() - kinds.duration()
    patterns = [name for name in frame.columns if re.fullmatch(r"\*|\^.*\$", name)]
    usable = kinds.numeric() | kinds.string() | kinds.boolean() | dates | categorical | untyped
    usable -= kinds.by_name(patterns)
    unusable = {
        name: "polars takes its name for a pattern; give it another name"
        if name in patterns
        else f"{dtype} is not used; wanted are numbers, texts, true and false, or dates"
        for name, dtype in frame.select(~usable).schema.items()
    }
    tidy = frame.select(usable).with_columns(
        kinds.float().fill_nan(None),
        kinds.datetime(time_zone="*").dt.convert_time_zone("UTC").dt.replace_time_zone(None),
        (categorical | untyped).cast(pl.String),
    )
    tidy = tidy.with_columns(kinds.string().str.strip_chars().replace("", None))
    said = table.categorical | frozenset(frame.select(categorical).columns)
    return replace(table, frame=tidy, categorical=said, unusable=unusable)


def tidied_names(names: Sequence[str]) -> list[str]:
    """Return names stripped, accents as one character; unchanged where two would become equal."""
    found = [unicodedata.normalize("NFC", name).strip() for name in names]
    twice = {name for name, count in Counter(found).items() if count > 1}
    return [old if new in twice or not new else new for old, new in zip(names, found, strict=True)]


def shown(value: Any) -> str:
    """Return a value for a message, which needs no whole paragraphs."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def first_rows(values: Sequence[Any], count: int = 3, show: Callable[[Any], str] = shown) -> str:
    """Return the first values, for a message."""
    return ", ".join([*map(show, values[:count]), *(["…"] if len(values) > count else [])])
