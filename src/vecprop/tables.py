"""Read one's own tables: CSV and .npy files, as features and targets, with every fault named by its place.

Nothing is repaired here: a missing cell, a ragged row or a word among the numbers is an error that says where
it stands and what to do. `vecprop.datasets.from_csv` and `from_npy` turn what is read into a `Dataset`.
"""

import csv
import io
import math
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vecprop.arguments import check_choice, check_flag, check_path
from vecprop.errors import unknown_name

Task: TypeAlias = Literal["binary", "classification", "regression"]
PathLike: TypeAlias = str | os.PathLike[str]
Target: TypeAlias = str | int | Sequence[str | int]

TASKS: tuple[Task, ...] = ("binary", "classification", "regression")
DELIMITERS = ",;\t|"
MOST_INTEGER_CLASSES = 20
MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})


@dataclass(frozen=True)
class Column:
    """A target column: its cells where it came as text, and its values where all of them are numbers."""

    name: str
    place: Callable[[int], str]
    """Says where the cell of example i stands."""
    cells: Sequence[str]
    numbers: NDArray[np.float64] | None

    def labels(self) -> Sequence[str]:
        """Return the label of each example: '1' for 1.0 in a column of numbers, the text itself otherwise."""
        return self.cells if self.numbers is None else [_label(value) for value in self.numbers.tolist()]

    def values(self) -> NDArray[np.float64]:
        """Return the values (m,), or raise ValueError at the first cell that is not a number."""
        if self.numbers is not None:
            return self.numbers
        bad = next(i for i, cell in enumerate(self.cells) if _number(cell) is None)
        raise ValueError(
            f"{self.place(bad)}: {self.cells[bad]!r} is not a finite number, as the target of a regression "
            "must be; correct it, or pass task='classification' if the targets are labels"
        )


@dataclass(frozen=True)
class Table:
    """What a file held: the features, one example per row (m, n_x), and the target columns."""

    features: NDArray[np.float64]
    feature_names: tuple[str, ...]
    targets: tuple[Column, ...]


def _number(text: str) -> float | None:
    """Return the finite number a cell holds, or None. Python's own '1_000' is text here."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def _label(value: str | float) -> str:
    """Return the label of a number, '1' for 1.0; a text that holds no number is its own label."""
    number = _number(value) if isinstance(value, str) else float(value)
    if number is None:
        return str(value)
    return str(int(number)) if number.is_integer() else repr(number)


# --- CSV ----------------------------------------------------------------------------------------------------


def read_csv(path: PathLike, target: Target, delimiter: str | None, header: bool | None) -> Table:
    """Read a CSV file; the arguments, and what is raised, are those of `vecprop.datasets.from_csv`."""
    source = check_path(path)
    header = None if header is None else check_flag(header, "header")
    text = _read_text(source)
    if delimiter is None:
        delimiter = infer_delimiter(text)
    elif not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        raise ValueError(f"delimiter must be one character such as ',' or ';', got {delimiter!r}")
    records = _records(text, delimiter, source)
    first = next(records, None)
    if first is None:
        raise ValueError(f"{source} is empty: expected one example per line, separated by , ; tab or |")
    names = names_of_header(first[1], header)
    width = len(first[1])
    targets = _positions(target, names, width, source)
    table = _parse(chain([first] if names is None else [], records), names, targets, width, source)
    if len(table.features) == 0:
        raise ValueError(
            f"{source} has only a header ({', '.join(names or ())}) and no examples; "
            "if line 1 is an example, pass header=False"
        )
    return table


def _read_text(source: str) -> str:
    try:
        with open(source, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except FileNotFoundError:
        raise FileNotFoundError(f"{source} does not exist (looked from {os.getcwd()})") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{source} is not UTF-8 text ({error.reason}); save it as CSV in UTF-8") from None


def _records(text: str, delimiter: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of every line that is not blank."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=delimiter != " ", strict=True
    )
    try:
        for cells in reader:
            if len(cells) > 1 or "".join(cells).strip():
                yield reader.line_num, cells
    except csv.Error as error:
        raise ValueError(f"{source}, line {reader.line_num}: not valid CSV: {error}") from None


def infer_delimiter(text: str) -> str:
    """Return the delimiter that cuts the first lines most evenly, then into most numbers; ',' if none does.

    csv.Sniffer decides by how often a character occurs, and is easily misled by text or by a short table.
    """
    best, best_score = ",", (0.0, 0.0)
    for delimiter in DELIMITERS:
        try:
            rows = [cells for _, cells in islice(_records(text, delimiter, ""), 50)]
        except ValueError:  # quotes that make no sense with this delimiter
            continue
        widths = [len(cells) for cells in rows]
        width = max(widths, key=widths.count, default=0)
        if width < 2:
            continue
        cells = [cell for row in rows for cell in row]
        score = (
            widths.count(width) / len(rows),
            sum(_number(cell) is not None for cell in cells) / len(cells),
        )
        if score > best_score:
            best, best_score = delimiter, score
    return best


def names_of_header(first: list[str], header: bool | None) -> tuple[str, ...] | None:
    """Return the names of the columns if the first line holds them; unless told: if no cell is a number."""
    if header is None:
        header = any(map(str.strip, first)) and all(_number(cell) is None for cell in first)
    return tuple(name.strip() or f"column {i}" for i, name in enumerate(first)) if header else None


def _positions(target: Target, names: Sequence[str] | None, width: int, source: str) -> list[int]:
    """Return the indices of the target columns."""
    wanted = list(target) if isinstance(target, list | tuple) else [target]
    positions = [_position(one, names, width, source) for one in wanted]
    if not positions or len(set(positions)) < len(positions):
        raise ValueError(f"target must name at least one column and none twice, got {target!r}")
    if len(positions) == width:
        raise ValueError(
            f"{source}: target={target!r} takes all columns ({width}) and leaves no feature; name fewer, or "
            "pass delimiter= if the columns were not told apart"
        )
    return positions


def _position(target: object, names: Sequence[str] | None, width: int, source: str) -> int:
    if isinstance(target, int | np.integer) and not isinstance(target, bool):
        if not -width <= target < width:
            raise ValueError(f"target must be from {-width} to {width - 1}: {source} has {width} columns, got {target}")
        return int(target) % width
    if not isinstance(target, str):
        raise TypeError(f"target must be a column's name or index, or a list of them, got {target!r}")
    if names is None:
        raise ValueError(
            f"target={target!r}: {source} has no names in it; give the column's index (or header=True, if line 1 "
            "of a CSV file holds names)"
        )
    if target not in names:
        raise ValueError(f"target, {source}: {unknown_name('column', target, names)}")
    if names.count(target) > 1:
        raise ValueError(f"target={target!r}: {source} has {names.count(target)} columns of this name; give the index")
    return names.index(target)


def _parse(
    records: Iterable[tuple[int, list[str]]],
    names: Sequence[str] | None,
    targets: list[int],
    width: int,
    source: str,
) -> Table:
    """Turn the cells into numbers line by line, strictly: the cells of a whole file as text would fill the memory."""

    def place(line: int, i: int) -> str:
        column = f"column {names[i]!r}" if names else f"column {i} (counted from 0)"
        return f"{source}, line {line}, {column}"

    def place_in_column(i: int, example: int) -> str:
        return place(lines[example], i)

    features = [i for i in range(width) if i not in targets]
    numbers, lines = array("d"), array("q")
    target_cells: dict[int, list[str]] = {i: [] for i in targets}
    for line, cells in records:
        if len(cells) != width:
            raise ValueError(
                f"{source}, line {line}: {len(cells)} cells where the first line has {width}; correct the line "
                "(quote a cell that holds the delimiter), or pass delimiter="
            )
        numbers.extend(_feature_row(cells, features, partial(place, line)))
        lines.append(line)
        for i, column in target_cells.items():
            column.append(cells[i].strip())
    titles = names or [f"column {i}" for i in range(width)]
    columns = [_text_column(titles[i], partial(place_in_column, i), column) for i, column in target_cells.items()]
    rows = np.asarray(numbers, dtype=np.float64).reshape(len(lines), len(features))
    return Table(rows, tuple(titles[i] for i in features), tuple(columns))


def _feature_row(cells: list[str], features: list[int], place: Callable[[int], str]) -> list[float]:
    """Return the features of one line, or raise ValueError at the first cell that holds no finite number."""
    picked = [cells[i] for i in features]
    try:
        values = [float(cell) for cell in picked]
    except ValueError:
        values = [math.nan]
    if all(map(math.isfinite, values)) and "_" not in "".join(picked):
        return values
    bad = next(i for i in features if _number(cells[i]) is None)
    if cells[bad].strip().lower() in MISSING:
        raise ValueError(f"{place(bad)}: the value is missing ({cells[bad]!r}); fill it in, or leave out the line")
    raise ValueError(
        f"{place(bad)}: {cells[bad]!r} is not a finite number such as 1.5; code words as numbers, leave the "
        "column out, or name it as target= if it holds the labels (header= says whether line 1 holds names)"
    )


def _text_column(name: str, place: Callable[[int], str], cells: Sequence[str]) -> Column:
    """Return the column, or raise ValueError where a target is missing. 'none' and '?' may well be classes."""
    for i, cell in enumerate(cells):
        if cell.lower() in ("", "nan"):
            raise ValueError(f"{place(i)}: the target is missing ({cell!r}); fill it in, or leave out the example")
    values = [_number(cell) for cell in cells]
    return Column(name, place, cells, None if None in values else np.array(values, dtype=np.float64))


# --- .npy ---------------------------------------------------------------------------------------------------


def read_npy(x_path: PathLike, y_path: PathLike | None, target: Target, examples: str) -> Table:
    """Read one or two .npy files; arguments, and what is raised, are those of `vecprop.datasets.from_npy`."""
    if not isinstance(examples, str) or examples not in ("rows", "columns"):
        raise ValueError(f"examples must be 'rows' or 'columns', got {examples!r}")
    x_place = f"x_path {check_path(x_path, 'x_path')!r}"
    X = _load_npy(x_path, x_place)
    if X.ndim != 2 or X.size == 0:
        shape = "(m, n_x)" if examples == "rows" else "(n_x, m)"
        raise ValueError(f"{x_place} must hold an array {shape} with something in it, got shape {X.shape}")
    rows = _as_numbers(X if examples == "rows" else X.T, x_place, "feature")
    if y_path is None:
        positions = _positions(target, None, rows.shape[1], x_place)
        columns = [_npy_column(rows[:, i], f"feature {i}", x_place) for i in positions]
        kept = [i for i in range(rows.shape[1]) if i not in positions]
        return Table(rows[:, kept], tuple(f"feature {i}" for i in kept), tuple(columns))
    y_place = f"y_path {check_path(y_path, 'y_path')!r}"
    Y = _target_rows(_load_npy(y_path, y_place), examples, rows.shape, y_place)
    Y = Y if Y.dtype.kind == "U" else _as_numbers(Y, y_place, "target")
    columns = [_npy_column(Y[:, i], f"target {i}", y_place) for i in range(Y.shape[1])]
    return Table(rows, tuple(f"feature {i}" for i in range(rows.shape[1])), tuple(columns))


def _load_npy(path: PathLike, place: str) -> NDArray[Any]:
    try:
        with open(path, "rb") as file:
            loaded: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
            return loaded
    except FileNotFoundError:
        raise FileNotFoundError(f"{place} does not exist (looked from {os.getcwd()})") from None
    except (ValueError, EOFError) as error:  # no .npy, cut short, or pickled objects
        raise ValueError(f"{place} cannot be read as a .npy file of numbers, as np.save writes it: {error}") from None


def _as_numbers(values: NDArray[Any], place: str, what: str) -> NDArray[np.float64]:
    """Return the array as float64, or raise ValueError for another kind or a value that is not finite."""
    if values.dtype.kind not in "biuf":
        text = " or text labels" if what == "target" else ""
        raise ValueError(f"{place} must hold real numbers{text}, got dtype {values.dtype}")
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        i, j = np.argwhere(~np.isfinite(numbers))[0].tolist()
        raise ValueError(
            f"{place}, example {i}, {what} {j}: the value is {numbers[i, j]}; replace it by a finite number, or "
            "leave out the example"
        )
    return numbers


def _target_rows(Y: NDArray[Any], examples: str, shape: tuple[int, ...], place: str) -> NDArray[Any]:
    """Return the targets one example per row, (m, n_y), or raise ValueError if they do not fit X."""
    if Y.ndim not in (1, 2) or Y.size == 0:
        wanted = "(m,) or (m, n_y)" if examples == "rows" else "(m,) or (n_y, m)"
        raise ValueError(f"{place} must hold an array {wanted} with something in it, got shape {Y.shape}")
    rows = Y[:, np.newaxis] if Y.ndim == 1 else Y if examples == "rows" else Y.T
    m, n_x = shape
    if rows.shape[0] != m:
        other = "columns" if examples == "rows" else "rows"
        hint = f"; if X holds one example per {other[:-1]}, pass examples={other!r}" if n_x == Y.shape[0] else ""
        raise ValueError(f"{place} holds {rows.shape[0]} examples (shape {Y.shape}) and x_path holds {m}{hint}")
    return rows


def _npy_column(values: NDArray[Any], name: str, place: str) -> Column:
    def where(example: int) -> str:
        return f"{place}, example {example}"

    if values.dtype.kind == "U":
        return _text_column(name, where, [str(cell).strip() for cell in values.tolist()])
    return Column(name, where, (), values)


# --- targets ------------------------------------------------------------------------------------------------


def encode_targets(
    columns: Sequence[Column], task: Task | None, classes: Sequence[str | float] | None
) -> tuple[NDArray[np.float64], tuple[str, ...], Task]:
    """Return Y (n_y, m), the names of its classes or rows, and the task, inferred where it is None."""
    if task is not None:
        check_choice(task, "task", TASKS)
    if classes is not None and (isinstance(classes, str) or not isinstance(classes, Sequence)):
        raise TypeError(f"classes must be a list or tuple of labels, got {classes!r}")
    if classes is not None and not all(isinstance(label, str | int | float | np.generic) for label in classes):
        raise TypeError(f"classes must be a list of labels, each a text or a number, got {classes!r}")
    if len(columns) == 1 and task is None:
        task = _infer_task(columns[0], classes)
    if len(columns) == 1 and task is not None and task != "regression":
        return _encode_classes(columns[0], task, classes)
    if classes is not None:
        raise ValueError(f"classes are for one target column with labels, got classes={classes!r} for a regression")
    Y = np.stack([column.values() for column in columns])
    names = tuple(column.name for column in columns)
    one_hot = len(columns) > 1 and bool(((Y == 0) | (Y == 1)).all() and (Y.sum(axis=0) == 1).all())
    if task not in (None, "regression") and not (task == "classification" and one_hot):
        raise ValueError(f"task={task!r} needs one target column (or one-hot columns), got {', '.join(names)}")
    return Y, names, "classification" if one_hot and task != "regression" else "regression"


def _infer_task(column: Column, classes: Sequence[str | float] | None) -> Task:
    if classes is not None:
        return "binary" if len(classes) == 2 else "classification"
    count = len(set(column.labels()))
    numbers = column.numbers
    if numbers is not None and (count > MOST_INTEGER_CLASSES or bool((numbers % 1 != 0).any())):
        return "regression"
    if numbers is None and count > MOST_INTEGER_CLASSES and any(_number(cell) is not None for cell in column.cells):
        bad = next(i for i, cell in enumerate(column.cells) if _number(cell) is None)
        raise ValueError(
            f"{column.place(bad)}: {column.cells[bad]!r} is not a number where others of the column "
            "are; correct it, or pass task='classification' if these are labels"
        )
    return "binary" if count == 2 else "classification"


def _encode_classes(
    column: Column, task: Task, classes: Sequence[str | float] | None
) -> tuple[NDArray[np.float64], tuple[str, ...], Task]:
    """Return 0 and 1 in one row (binary) or one-hot columns, the labels in order, and the task."""
    labels = column.labels()
    if classes is None:
        known = sorted(set(labels), key=None if column.numbers is None else float)
    else:
        known = [str(label) if column.numbers is None else _label(label) for label in classes]
    count = len(known)
    if len(set(known)) < count or count < 2 or (task == "binary" and count != 2):
        wanted = "two" if task == "binary" else "two or more"
        found = ", ".join(known[:10]) + (" ..." if count > 10 else "")
        raise ValueError(
            f"target {column.name!r}: task={task!r} needs {wanted} different classes, got {found}; "
            "name all with classes=, or pass another task="
        )
    index = {label: i for i, label in enumerate(known)}
    for i, label in enumerate(labels):
        if label not in index:
            hint = "" if classes is None else "; name all with classes="
            raise ValueError(f"{column.place(i)}: {unknown_name('class', label, known)}{hint}")
    coded = np.array([index[label] for label in labels])
    Y = coded[np.newaxis].astype(np.float64) if task == "binary" else np.eye(count)[:, coded]
    return Y, tuple(known), task
