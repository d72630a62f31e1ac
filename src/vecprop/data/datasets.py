"""Data sets: generated, shipped with scikit-learn, or read from one's own files.

Data stands in columns, as everywhere in vecprop: X is (n_x, m), one example per column, and Y is (n_y, m).
Every function returns a `Dataset`, which unpacks as `X, Y`.

>>> X, Y = flower(m=400)
>>> X.shape, Y.shape
((2, 400), (1, 400))
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecprop.data.dataset import MOST_INTEGER_CLASSES, TASKS, PathLike, Task, is_number
from vecprop.data.dataset import Dataset as Dataset
from vecprop.data.dataset import standardize as standardize
from vecprop.data.spelling import label, markers_of, pl
from vecprop.utils import random_streams
from vecprop.utils.arguments import check_choice, check_flag, check_integer, check_path, check_real, check_size
from vecprop.utils.errors import imported, unknown_name

# Random streams of this module (`vecprop.utils.random_streams.generator`), apart from those of the core.
_FLOWER, _MOONS, _CIRCLES, _SPIRALS, _LINE, _XOR, _HOUSES = range(101, 108)


def _check_noise(noise: object, most: float = 1e100) -> float:
    number = check_real(noise, "noise", "of at least 0", lambda value: value >= 0)
    if number > most:
        raise ValueError(f"noise must be at most {most:g}, got {noise!r}")
    return number


# --- generated ----------------------------------------------------------------------------------------------


def _check_count(m: object, least: int) -> int:
    """Return the number of examples, checked."""
    count = check_integer(m, "m", least)
    check_size(count, "m", m)
    return count


def _places(m: object, classes: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the classes of m examples, in turn, and their places, 0 to 1, on the curve."""
    index = np.arange(_check_count(m, classes))
    labels = index % classes
    return labels, (index // classes) / np.maximum(np.bincount(labels)[labels] - 1, 1)


def _planar(
    name: str,
    x1: NDArray[Any],
    x2: NDArray[Any],
    labels: NDArray[np.int64],
    classes: tuple[str, ...],
    random: np.random.Generator,
    noise: float | None = None,
) -> Dataset:
    """Return the data set with normal noise, in random order, as mini-batches need classes to be mixed."""
    X = np.stack([x1, x2])
    if noise is not None:
        X += noise * random.standard_normal(X.shape)
    order = random.permutation(labels.size)
    return _classified(name, X[:, order], labels[order], ("x1", "x2"), classes)


def _classified(
    name: str, X: NDArray[Any], labels: NDArray[Any], feature_names: tuple[str, ...], classes: tuple[str, ...]
) -> Dataset:
    if len(classes) == 2:
        return Dataset(X, labels[np.newaxis], name, feature_names, classes, "binary")
    return Dataset(X, np.eye(len(classes))[:, labels], name, feature_names, classes, "classification")


def flower(m: int = 400, seed: int = 0, noise: float = 0.2) -> Dataset:
    """Return the planar flower: eight petals on r = 4 sin(4θ), class 0 where θ < π, else 1.

    A negative r lies on the far side of the centre: each petal faces one of the other class, and around the
    centre the classes alternate except at θ = 0 and π. No line separates them (logistic regression stays
    near 50 %); one hidden layer of 4 or 5 tanh units gets about 90 %. A binary task: X (2, m), Y (1, m).
    TypeError or ValueError for an argument of the wrong kind, or outside its range.

    Parameters
    ----------
    m : int, default 400
        The number of examples, 2 or more; the classes differ by one at most.
    seed : int, default 0
        From 0 to 2**64 - 1; the same seed gives the same numbers.
    noise : float, default 0.2
        The standard deviation of the normal noise on the angle (radians) and on the radius.

    Examples
    --------
    >>> X, Y = flower(m=401, noise=0)
    >>> round(float(np.hypot(X[0], X[1]).max()), 2), Y.sum()
    (4.0, np.float64(200.0))
    """
    labels, place = _places(m, 2)
    noise, random = _check_noise(noise), random_streams.generator(seed, _FLOWER)
    angle = np.pi * (labels + place) + noise * random.standard_normal(labels.size)
    radius = 4 * np.sin(4 * angle) + noise * random.standard_normal(labels.size)
    return _planar("flower", radius * np.cos(angle), radius * np.sin(angle), labels, ("red", "blue"), random)


def moons(m: int = 400, seed: int = 0, noise: float = 0.1) -> Dataset:
    """Return two interleaved half circles of radius 1, with normal noise on both coordinates.

    The upper one is centred at (0, 0), the lower one at (1, 0.5). Arguments and errors as in `flower`.

    >>> X, Y = moons(m=6, noise=0)
    >>> np.hypot(X[0] - Y[0], X[1] - 0.5 * Y[0])
    array([1., 1., 1., 1., 1., 1.])
    """
    labels, place = _places(m, 2)
    noise, random = _check_noise(noise), random_streams.generator(seed, _MOONS)
    side = 1 - 2 * labels
    x1, x2 = labels + side * np.cos(np.pi * place), 0.5 * labels + side * np.sin(np.pi * place)
    return _planar("moons", x1, x2, labels, ("upper", "lower"), random, noise)


def circles(m: int = 400, seed: int = 0, noise: float = 0.05) -> Dataset:
    """Return a circle of radius 0.5 (class 1) inside one of radius 1 (class 0).

    There is normal noise on both coordinates. Arguments and errors as in `flower`.

    >>> X, Y = circles(m=100, noise=0)
    >>> bool(np.allclose(np.hypot(X[0], X[1]), 1 - 0.5 * Y[0]))
    True
    """
    labels, _ = _places(m, 2)
    noise, random = _check_noise(noise), random_streams.generator(seed, _CIRCLES)
    angle = 2 * np.pi * (np.arange(labels.size) // 2) / np.bincount(labels)[labels]
    radius = 1 - 0.5 * labels
    return _planar("circles", radius * np.cos(angle), radius * np.sin(angle), labels, ("outer", "inner"), random, noise)


def spirals(m: int = 400, seed: int = 0, noise: float = 0.03, *, arms: int = 2, turns: float = 1.0) -> Dataset:
    """Return K spirals that wind around each other, one for each class.

    Arm k of K = `arms` has r from 0.1 to 1 at angle 2π (turns·r + k/K), with normal noise on both coordinates. Two arms
    are a binary task with Y (1, m), more give a one-hot Y (K, m). Arguments and errors as in `flower`; m is `arms` or
    more, `turns` more than 0.

    >>> X, Y = spirals(m=300, arms=3, noise=0)
    >>> X.shape, Y.shape, round(float(np.hypot(X[0], X[1]).max()), 6)
    ((2, 300), (3, 300), 1.0)
    """
    arms = check_integer(arms, "arms", 2)
    if arms > check_integer(m, "m", 2):
        raise ValueError(f"m must be an integer of at least {arms}, got {m}: an example for each of the arms")
    turns = check_real(turns, "turns", "above 0", lambda value: value > 0)
    labels, place = _places(m, arms)
    noise, random = _check_noise(noise), random_streams.generator(seed, _SPIRALS)
    radius = 0.1 + 0.9 * place
    angle = 2 * np.pi * (turns * radius + labels / arms)
    names = tuple(f"arm {k}" for k in range(arms))
    return _planar("spirals", radius * np.cos(angle), radius * np.sin(angle), labels, names, random, noise)


def linearly_separable(m: int = 400, seed: int = 0, *, margin: float = 0.2) -> Dataset:
    """Return two classes in the plane, on either side of a line.

    The line has a random direction and passes the origin at a distance of up to 0.5. Along it examples lie
    within ±1; their distance from it is `margin`, more than 0, to `margin + 1`. Arguments and errors as in `flower`.

    >>> X, Y = linearly_separable(m=10)
    >>> X.shape, Y.sum()
    ((2, 10), np.float64(5.0))
    """
    margin = check_real(margin, "margin", "above 0", lambda value: value > 0)
    labels, _ = _places(m, 2)
    random = random_streams.generator(seed, _LINE)
    direction, offset = random.uniform(0, 2 * np.pi), random.uniform(-0.5, 0.5)
    along = random.uniform(-1, 1, labels.size)
    across = offset + (2 * labels - 1) * (margin + random.uniform(0, 1, labels.size))
    x1 = across * np.cos(direction) - along * np.sin(direction)
    x2 = across * np.sin(direction) + along * np.cos(direction)
    return _planar("linearly_separable", x1, x2, labels, ("negative", "positive"), random)


def xor(m: int = 400, seed: int = 0, noise: float = 0.3) -> Dataset:
    """Return four normal clusters around (±1, ±1), class 1 where the centre's signs differ.

    Arguments, shapes and errors as in `flower`.

    >>> X, Y = xor(m=40, noise=0)
    >>> bool((X[0] * X[1] == 1 - 2 * Y[0]).all())
    True
    """
    labels, _ = _places(m, 2)
    noise, random = _check_noise(noise), random_streams.generator(seed, _XOR)
    x2 = 1.0 - 2 * (np.arange(labels.size) // 2 % 2)
    return _planar("xor", x2 * (1 - 2 * labels), x2, labels, ("equal", "different"), random, noise)


def house_prices(m: int = 1000, seed: int = 0, noise: float = 0.1) -> Dataset:
    """Return houses and their prices: a regression in square metres, years, kilometres, euros.

    price = area · rate(distance) · condition(age, energy) + garden · value(distance), times e^(noise · normal), with

    - rate = 1800 + 3200 e^(-distance/6) euros a square metre,
    - condition = 0.7 + 0.3 e^(-age/25), + 0.2 from 90 years of age on, - 0.0005 (energy - 100),
    - value = 40 + 260 e^(-distance/8) euros a square metre.

    Bedrooms follow the area and add no information. Use `standardize`, and scale the prices as well. X is (6, m), Y
    (1, m). Arguments and errors as in `flower`; m is 1 or more.

    >>> data = house_prices(m=4)
    >>> data.feature_names
    ('area', 'bedrooms', 'age', 'distance', 'garden', 'energy')
    >>> data.Y.round(-3).tolist()
    [[109000.0, 290000.0, 337000.0, 84000.0]]
    """
    m, noise, random = _check_count(m, 1), _check_noise(noise, 100), random_streams.generator(seed, _HOUSES)
    area = np.clip(95 * np.exp(0.4 * random.standard_normal(m)), 25, 400).round(1)
    bedrooms = np.clip((area / 35 + 0.6 * random.standard_normal(m)).round(), 1, 8)
    age = np.floor(120 * random.random(m))
    distance = np.clip(random.gamma(2.0, 4.0, m), 0.1, 40).round(2)
    garden = np.where(random.random(m) < 0.3, 0.0, (40 + 25 * distance) * random.random(m)).round()
    energy = (45 + 1.6 * age * random.random(m) + 15 * random.random(m)).round()
    condition = 0.7 + 0.3 * np.exp(-age / 25) + 0.2 * (age >= 90) - 0.0005 * (energy - 100)
    built = area * (1800 + 3200 * np.exp(-distance / 6)) * condition
    price = (built + garden * (40 + 260 * np.exp(-distance / 8))) * np.exp(noise * random.standard_normal(m))
    features = {
        "area": area, "bedrooms": bedrooms, "age": age, "distance": distance, "garden": garden, "energy": energy
    }  # fmt: skip
    X = np.stack(list(features.values()))
    return Dataset(X, price.round()[np.newaxis], "house_prices", tuple(features), ("price",), "regression")


# --- shipped with scikit-learn ------------------------------------------------------------------------------


def _shipped(name: str) -> Any:
    """Return scikit-learn's own data set."""
    missing = f'{name} comes with scikit-learn, which cannot be imported: pip install "vecprop[sklearn]"'
    return getattr(imported("sklearn.datasets", missing), f"load_{name}")()


def _shipped_classes(name: str, scale: float = 1.0) -> Dataset:
    bunch = _shipped(name)
    features, classes = tuple(map(str, bunch.feature_names)), tuple(map(str, bunch.target_names))
    return _classified(name, bunch.data.T / scale, bunch.target, features, classes)


def digits() -> Dataset:
    """Return 1797 handwritten digits of 8 × 8 pixels: X (64, 1797) in [0, 1], Y (10, 1797) one-hot.

    Needs scikit-learn (else ImportError), as do `breast_cancer`, `wine`, `iris` and `diabetes`.
    """
    return _shipped_classes("digits", scale=16.0)


def breast_cancer() -> Dataset:
    """Return 569 tumours, malignant (0) or benign (1): X (30, 569), Y (1, 569). Use `standardize`."""
    return _shipped_classes("breast_cancer")


def wine() -> Dataset:
    """Return 178 wines of three growers: X (13, 178), Y (3, 178) one-hot. Use `standardize`."""
    return _shipped_classes("wine")


def iris() -> Dataset:
    """Return 150 irises of three species, measured in cm: X (4, 150), Y (3, 150) one-hot."""
    return _shipped_classes("iris")


def diabetes() -> Dataset:
    """Return a regression of the progress of diabetes in 442 patients: X (10, 442), Y (1, 442)."""
    bunch = _shipped("diabetes")
    features = tuple(map(str, bunch.feature_names))
    return Dataset(bunch.data.T, bunch.target[np.newaxis], "diabetes", features, ("progression",), "regression")


# --- one's own data -----------------------------------------------------------------------------------------


def from_csv(
    path: PathLike,
    target: str | int | Sequence[str | int] = -1,
    delimiter: str | None = None,
    header: bool | None = None,
    task: Task | None = None,
    classes: Sequence[str | float] | None = None,
) -> Dataset:
    r"""Read a CSV file of numbers (UTF-8), one example per line, with polars.

    Parameters
    ----------
    path : str or path
        The file.
    target : int, str, or a list of them, default -1
        The column to be learned, by its index or its name in the header. A list of several is a classification
        if they are one-hot, else a regression with several targets. All other columns are features: numbers.
    delimiter : str, optional
        By default one of , ; tab | is inferred.
    header : bool, optional
        Whether line 1 holds names; by default it does if no cell of it is a number.
    task : {"binary", "classification", "regression"}, optional
        By default inferred: a target column of words, or of integers with at most 20 distinct values, holds
        classes ("binary" if two); any other is a regression.
    classes : sequence, optional
        All labels in their order, for a file that may lack some; by default the labels of the file, sorted.

    Raises
    ------
    FileNotFoundError, ImportError
        If there is no such file, or no polars: pip install "vecprop[cli]".
    ValueError, TypeError
        For a file with no examples, a ragged row, a missing value, a feature that is not a finite number, an unknown
        column or class (with the nearest known one), a wrong argument: the message has file, line and column.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "flowers.csv")
    ...     _ = path.write_text("width,height,kind\n1,2,rose\n3,4,lily\n5,6,rose\n")
    ...     data = from_csv(path)
    >>> data.X
    array([[1., 3., 5.],
           [2., 4., 6.]])
    >>> data.Y, data.target_names
    (array([[1., 0., 1.]]), ('lily', 'rose'))
    """
    from vecprop.data.tables import kind_of, read  # imported only where a file is read

    header = None if header is None else check_flag(header, "header")
    if (kind := kind_of(check_path(path))) != "csv":
        raise ValueError(f"path must be a CSV file, got {path}, which is {kind}")
    table = read(path, delimiter, header=False)
    first = [cell or "" for cell in table.frame.row(0)]
    if header is None:
        header = any(first) and not any(map(is_number, first))
    skipped = int(header)  # rows of `table` above the examples
    names = [cell if header and cell else f"column {i}" for i, cell in enumerate(first)]
    targets = _positions(target, names, table.source)
    rows = table.frame[skipped:]
    if not len(rows):
        raise ValueError(
            f"{table.source} has only a header ({', '.join(names)}) and no examples; if line 1 is an example, pass "
            "header=False"
        )
    features = [i for i in range(len(names)) if i not in targets]
    X = rows[:, features].cast(pl.Float64, strict=False).to_numpy()  # NaN where a cell is not a number
    for row, k in np.argwhere(~np.isfinite(X))[:1].tolist():
        cell = rows[row, features[k]] or ""
        place = table.place(row + skipped, names[features[k]])
        if cell.lower() in markers_of(table.spelling, names[features[k]]):
            raise ValueError(f"{place}: the value is missing ({cell!r}); fill it in, or leave out the line")
        raise ValueError(
            f"{place}: {cell!r} is not a finite number such as 1.5; code words as numbers, leave the column out, or "
            "name it as target= if it holds the labels (header= says whether line 1 holds names)"
        )

    def column(i: int) -> _Column:
        texts = [cell or "" for cell in rows[:, i]]
        return _text_column(names[i], texts, lambda row: table.place(row + skipped, names[i]))

    Y, target_names, task = _encoded([column(i) for i in targets], task, classes)
    return Dataset(X.T, Y, Path(path).stem, tuple(names[i] for i in features), target_names, task)


def from_npy(
    x_path: PathLike,
    y_path: PathLike | None = None,
    target: int | Sequence[int] = -1,
    examples: Literal["rows", "columns"] = "rows",
    task: Task | None = None,
    classes: Sequence[str | float] | None = None,
) -> Dataset:
    """Read arrays that np.save wrote; pickled objects are refused.

    Parameters
    ----------
    x_path : str or path
        The features: (m, n_x), or (n_x, m) with examples="columns".
    y_path : str or path, optional
        The targets: numbers or text labels (m,), or one or several per example, laid out as X.
    target : int or list of int, default -1
        Without `y_path`, the columns of the first array that are the targets (rows with examples="columns").
    examples : {"rows", "columns"}, default "rows"
        Whether an example is a row or a column of the files.
    task, classes
        As in `from_csv`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For a file that is not .npy, a wrong number of axes, a dtype that is not real, values that are not
        finite, or unequal numbers of examples and targets. The message has the argument and the file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "table.npy")
    ...     np.save(path, np.array([[1.0, 2.0, 0.5], [3.0, 4.0, 1.5]]))
    ...     data = from_npy(path)
    >>> data.X.tolist(), data.Y.tolist(), data.task
    ([[1.0, 3.0], [2.0, 4.0]], [[0.5, 1.5]], 'regression')
    """
    if not isinstance(examples, str) or examples not in ("rows", "columns"):
        raise ValueError(f"examples must be 'rows' or 'columns', got {examples!r}")
    place = f"x_path {check_path(x_path, 'x_path')!r}"
    X = _load(x_path, place, "(m, n_x)" if examples == "rows" else "(n_x, m)", (2,))
    X = _finite(X if examples == "rows" else X.T, place, "feature")
    names = [f"feature {i}" for i in range(X.shape[1])]
    if y_path is None:
        targets = _positions(target, names, place)
        Y, target_names = X[:, targets], [names[i] for i in targets]
        X, names = np.delete(X, targets, axis=1), [name for name in names if name not in target_names]
    else:
        place = f"y_path {check_path(y_path, 'y_path')!r}"
        Y = _load(y_path, place, "(m,) or (m, n_y)" if examples == "rows" else "(m,) or (n_y, m)", (1, 2))
        Y = _fitting(Y, examples, X, place)
        target_names = [f"target {i}" for i in range(Y.shape[1])]

    def where(row: int) -> str:
        return f"{place}, example {row}"

    columns = [
        _text_column(name, np.strings.strip(values).tolist(), where)
        if Y.dtype.kind == "U"
        else _Column(name, values, where)
        for name, values in zip(target_names, Y.T, strict=True)
    ]
    coded, classes_or_names, task = _encoded(columns, task, classes)
    return Dataset(X.T, coded, Path(x_path).stem, tuple(names), classes_or_names, task)


def _positions(target: object, names: Sequence[str], source: str) -> list[int]:
    """Return the indices of the target columns."""
    wanted = list(target) if isinstance(target, list | tuple) else [target]
    positions, width = [], len(names)
    for one in wanted:
        if isinstance(one, str):
            if one not in names:
                raise ValueError(f"target, {source}: {unknown_name('column', one, names)}")
            if names.count(one) > 1:
                raise ValueError(
                    f"target={one!r}: {source} has {names.count(one)} columns of this name; give the index"
                )
            positions.append(names.index(one))
        elif not isinstance(one, int | np.integer) or isinstance(one, bool):
            raise TypeError(f"target must be a column's name or index, or a list of them, got {one!r}")
        elif not -width <= one < width:
            raise ValueError(f"target must be from {-width} to {width - 1}: {source} has {width} columns, got {one}")
        else:
            positions.append(int(one) % width)
    if not positions or len(set(positions)) < len(positions):
        raise ValueError(f"target must name at least one column and none twice, got {target!r}")
    if len(positions) == width:
        raise ValueError(
            f"{source}: target={target!r} takes all columns ({width}) and leaves no feature; name fewer, or "
            "pass delimiter= if the columns were not told apart"
        )
    return positions


def _load(path: PathLike, place: str, wanted: str, ranks: tuple[int, ...]) -> NDArray[Any]:
    """Return the array of a .npy file; an error if it is damaged, empty or of a wrong rank."""
    try:
        with open(path, "rb") as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except FileNotFoundError:
        raise FileNotFoundError(f"{place} does not exist (looked from {os.getcwd()})") from None
    except (ValueError, EOFError) as error:  # not .npy, cut short, or pickled objects
        raise ValueError(f"{place} cannot be read as a .npy file of numbers, as np.save writes it: {error}") from None
    if array.ndim not in ranks or not array.size:
        raise ValueError(f"{place} must hold an array {wanted} with something in it, got shape {array.shape}")
    return array


def _finite(values: NDArray[Any], place: str, what: str) -> NDArray[np.float64]:
    """Return the array as float64; ValueError unless its values are finite real numbers."""
    if values.dtype.kind not in "biuf":
        text = " or text labels" if what == "target" else ""
        raise ValueError(f"{place} must hold real numbers{text}, got dtype {values.dtype}")
    numbers = values.astype(np.float64)
    for i, j in np.argwhere(~np.isfinite(numbers))[:1].tolist():
        raise ValueError(
            f"{place}, example {i}, {what} {j}: the value is {numbers[i, j]}; replace it by a finite number, or "
            "leave out the example"
        )
    return numbers


def _fitting(Y: NDArray[Any], examples: str, X: NDArray[Any], place: str) -> NDArray[Any]:
    """Return the targets as (m, n_y); ValueError if they do not fit X (m, n_x)."""
    rows = Y[:, np.newaxis] if Y.ndim == 1 else Y if examples == "rows" else Y.T
    if len(rows) != len(X):
        other = "columns" if examples == "rows" else "rows"
        hint = f"; if X holds one example per {other[:-1]}, pass examples={other!r}" if len(Y) == X.shape[1] else ""
        raise ValueError(f"{place} holds {len(rows)} examples (shape {Y.shape}) and x_path holds {len(X)}{hint}")
    return rows if rows.dtype.kind == "U" else _finite(rows, place, "target")


# --- targets ------------------------------------------------------------------------------------------------


class _Column(NamedTuple):
    """A target column: numbers, or texts if some are not numbers, and the place of example i."""

    name: str
    values: NDArray[np.float64] | list[str]
    place: Callable[[int], str]


def _text_column(name: str, texts: list[str], place: Callable[[int], str]) -> _Column:
    """Return the column; ValueError where a target is missing, which 'none' and '?' are not: they may be classes."""
    for i, text in enumerate(texts):
        if text.lower() in ("", "nan"):
            raise ValueError(f"{place(i)}: the target is missing ({text!r}); fill it in, or leave out the example")
    return _Column(name, np.array(texts, dtype=np.float64) if all(map(is_number, texts)) else texts, place)


def _encoded(
    columns: Sequence[_Column], task: Task | None, classes: Sequence[str | float] | None
) -> tuple[NDArray[np.float64], tuple[str, ...], Task]:
    """Return Y (n_y, m), the names of its classes or rows, and the task, inferred if None."""
    if task is not None:
        check_choice(task, "task", TASKS)
    if classes is not None and (
        not isinstance(classes, Sequence)
        or isinstance(classes, str)
        or not all(isinstance(given, str | int | float | np.generic) for given in classes)
    ):
        raise TypeError(f"classes must be a list of labels, each a text or a number, got {classes!r}")
    if len(columns) == 1:
        task = task or _inferred(columns[0].values, classes)
        if task != "regression":
            return _encoded_classes(columns[0], task, classes)
    if classes is not None:
        raise ValueError(f"classes are for one target column with labels, got classes={classes!r} for a regression")
    Y, names = np.stack([_numbers(column) for column in columns]), tuple(column.name for column in columns)
    one_hot = len(columns) > 1 and bool(((Y == 0) | (Y == 1)).all() and (Y.sum(axis=0) == 1).all())
    if task == "binary" or (task == "classification" and not one_hot):
        raise ValueError(f"task={task!r} needs one target column (or one-hot columns), got {', '.join(names)}")
    return Y, names, "classification" if one_hot and task != "regression" else "regression"


def _numbers(column: _Column) -> NDArray[np.float64]:
    if not isinstance(column.values, list):
        return column.values
    bad = next(i for i, text in enumerate(column.values) if not is_number(text))
    raise ValueError(
        f"{column.place(bad)}: {column.values[bad]!r} is not a finite number, as the target of a regression must be; "
        "correct it, or pass task='classification' if the targets are labels"
    )


def _inferred(values: NDArray[np.float64] | list[str], classes: Sequence[str | float] | None) -> Task:
    """Return the task of one target column; a text among many numbers is taken for an error."""
    count = len(set(values) if classes is None else classes)
    many = count > MOST_INTEGER_CLASSES
    of_numbers = many and any(map(is_number, values)) if isinstance(values, list) else many or (values % 1 != 0).any()
    if classes is None and of_numbers:
        return "regression"
    return "binary" if count == 2 else "classification"


def _encoded_classes(
    column: _Column, task: Task, classes: Sequence[str | float] | None
) -> tuple[NDArray[np.float64], tuple[str, ...], Task]:
    """Return Y, one row of 0 and 1 (binary) or one-hot, the labels in order, and the task."""
    values: list[Any] = column.values if isinstance(column.values, list) else column.values.tolist()
    if classes is None:
        known = sorted(set(values))
    elif isinstance(values[0], float):
        known = [given if isinstance(given, str) and not is_number(given) else float(given) for given in classes]
    else:
        known = [str(given) for given in classes]
    names, count = tuple(map(label, known)), len(known)
    if len(set(known)) < count or count < 2 or (task == "binary" and count != 2):
        wanted = "two" if task == "binary" else "two or more"
        found = ", ".join(names[:10]) + (" ..." if count > 10 else "")
        raise ValueError(
            f"target {column.name!r}: task={task!r} needs {wanted} different classes, got {found}; "
            "name all with classes=, or pass another task="
        )
    index = {value: i for i, value in enumerate(known)}
    for i, value in enumerate(values):
        if value not in index:
            message = unknown_name("class", label(value), names)
            raise ValueError(f"{column.place(i)}: {message}; name all with classes=")
    coded = np.array([index[value] for value in values])
    return coded[np.newaxis] if task == "binary" else np.eye(count)[:, coded], names, task


# --- by name ------------------------------------------------------------------------------------------------

_NAMED: dict[str, Callable[..., Dataset]] = {
    function.__name__: function
    for function in (
        flower, moons, circles, spirals, linearly_separable, xor, house_prices,
        digits, breast_cancer, wine, iris, diabetes,
    )
}  # fmt: skip


def names() -> tuple[str, ...]:
    """Return the names of the data sets for `load`.

    >>> names()[:3]
    ('flower', 'moons', 'circles')
    """
    return tuple(_NAMED)


def load(name: str, **arguments: Any) -> Dataset:
    """Return the data set of a name; the arguments go to its function.

    ValueError for an unknown name has the nearest known one.

    >>> load("moons", m=100)
    Dataset('moons', binary, X (2, 100), Y (1, 100))
    """
    if not isinstance(name, str) or name not in _NAMED:
        raise ValueError(f"name: {unknown_name('data set', name, _NAMED)}")
    return _NAMED[name](**arguments)
