"""Data to learn on: generated in the plane, shipped with scikit-learn, or read from one's own files.

Data stands in columns, as everywhere in vecprop: X is (n_x, m), one example per column, and Y is (n_y, m).
Every function returns a `Dataset`, which unpacks as `X, Y`.

>>> X, Y = flower(m=400)
>>> X.shape, Y.shape
((2, 400), (1, 400))
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vecprop import streams, tables
from vecprop.arguments import check_integer, check_real, check_size
from vecprop.dataset import Dataset as Dataset
from vecprop.dataset import standardize as standardize
from vecprop.errors import unknown_name
from vecprop.tables import PathLike, Target, Task

# The streams of this module (`vecprop.streams.generator`), far from those of the core.
_FLOWER, _MOONS, _CIRCLES, _SPIRALS, _LINE, _XOR, _HOUSES = range(101, 108)


def _check_noise(noise: object, most: float = 1e100) -> float:
    number = check_real(noise, "noise", "of at least 0", lambda value: value >= 0)
    if number > most:
        raise ValueError(f"noise must be at most {most:g}, got {noise!r}")
    return number


# --- generated ----------------------------------------------------------------------------------------------


def _check_count(m: object, least: int) -> int:
    """Return the number of examples."""
    count = check_integer(m, "m", least)
    check_size(count, "m", m)
    return count


def _places(m: object, classes: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the class of each of m examples, in turn, and its place on the class's curve, from 0 to 1."""
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
) -> Dataset:
    """Return the data set in random order: examples sorted by class would mislead a mini-batch."""
    order = random.permutation(labels.size)
    labels = labels[order]
    X = np.stack([x1[order], x2[order]])
    return _classified(name, X, labels, ("x1", "x2"), classes)


def _classified(
    name: str, X: NDArray[Any], labels: NDArray[Any], feature_names: tuple[str, ...], classes: tuple[str, ...]
) -> Dataset:
    if len(classes) == 2:
        return Dataset(X, labels[np.newaxis], name, feature_names, classes, "binary")
    return Dataset(X, np.eye(len(classes))[:, labels], name, feature_names, classes, "classification")


def flower(m: int = 400, seed: int = 0, noise: float = 0.2) -> Dataset:
    """Return the planar flower: eight petals on r = 4 sin(4θ), class 0 where θ < π and class 1 on the rest.

    A negative r lies on the far side of the centre: each petal faces one of the other class, and around the
    centre the classes alternate except at θ = 0 and π. No line tells them apart (logistic regression stays
    near 50 %); one hidden layer of 4 or 5 tanh units gets about 90 %.

    Parameters
    ----------
    m : int, default 400
        The number of examples, 2 or more; the classes differ by one at most.
    seed : int, default 0
        From 0 to 2**64 - 1; the same seed gives the same numbers.
    noise : float, default 0.2
        The standard deviation of the normal noise on the angle (radians) and on the radius.

    Returns
    -------
    Dataset
        Binary: X (2, m), Y (1, m).

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong kind, or outside its range.

    Examples
    --------
    >>> X, Y = flower(m=401, noise=0)
    >>> round(float(np.hypot(X[0], X[1]).max()), 2), Y.sum()
    (4.0, np.float64(200.0))
    """
    labels, place = _places(m, 2)
    noise, random = _check_noise(noise), streams.generator(seed, _FLOWER)
    angle = np.pi * (labels + place) + noise * random.standard_normal(labels.size)
    radius = 4 * np.sin(4 * angle) + noise * random.standard_normal(labels.size)
    return _planar("flower", radius * np.cos(angle), radius * np.sin(angle), labels, ("red", "blue"), random)


def moons(m: int = 400, seed: int = 0, noise: float = 0.1) -> Dataset:
    """Return two half circles of radius 1 that reach into each other, with normal noise on both coordinates.

    The upper one is centred at (0, 0), the lower one at (1, 0.5). Arguments and errors as in `flower`.

    Examples
    --------
    >>> X, Y = moons(m=6, noise=0)
    >>> np.hypot(X[0] - Y[0], X[1] - 0.5 * Y[0])
    array([1., 1., 1., 1., 1., 1.])
    """
    labels, place = _places(m, 2)
    noise, random = _check_noise(noise), streams.generator(seed, _MOONS)
    side = 1 - 2 * labels
    x1, x2 = labels + side * np.cos(np.pi * place), 0.5 * labels + side * np.sin(np.pi * place)
    e1, e2 = noise * random.standard_normal((2, labels.size))
    return _planar("moons", x1 + e1, x2 + e2, labels, ("upper", "lower"), random)


def circles(m: int = 400, seed: int = 0, noise: float = 0.05) -> Dataset:
    """Return a circle of radius 0.5 (class 1) inside one of radius 1 (class 0).

    There is normal noise on both coordinates. Arguments and errors as in `flower`.

    Examples
    --------
    >>> X, Y = circles(m=100, noise=0)
    >>> bool(np.allclose(np.hypot(X[0], X[1]), 1 - 0.5 * Y[0]))
    True
    """
    labels, _ = _places(m, 2)
    noise, random = _check_noise(noise), streams.generator(seed, _CIRCLES)
    angle = 2 * np.pi * (np.arange(labels.size) // 2) / np.bincount(labels)[labels]
    radius = 1 - 0.5 * labels
    e1, e2 = noise * random.standard_normal((2, labels.size))
    x1, x2 = radius * np.cos(angle) + e1, radius * np.sin(angle) + e2
    return _planar("circles", x1, x2, labels, ("outer", "inner"), random)


def spirals(m: int = 400, seed: int = 0, noise: float = 0.03, *, arms: int = 2, turns: float = 1.0) -> Dataset:
    """Return K spirals that wind around each other: arm k has r from 0.1 to 1 at angle 2π (turns·r + k/K).

    Parameters
    ----------
    m, seed
        As in `flower`; m is `arms` or more.
    noise : float, default 0.03
        The standard deviation of the normal noise on both coordinates.
    arms : int, default 2
        The number K of spirals, each a class: 2 is a binary task with Y (1, m), more give a one-hot Y (K, m).
    turns : float, default 1.0
        How often an arm winds around the centre; more than 0.

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong kind, or outside its range.

    Examples
    --------
    >>> X, Y = spirals(m=300, arms=3, noise=0)
    >>> X.shape, Y.shape, round(float(np.hypot(X[0], X[1]).max()), 6)
    ((2, 300), (3, 300), 1.0)
    """
    arms = check_integer(arms, "arms", 2)
    if arms > check_integer(m, "m", 2):
        raise ValueError(f"m must be an integer of at least {arms}, got {m}: an example for each of the arms")
    turns = check_real(turns, "turns", "above 0", lambda value: value > 0)
    labels, place = _places(m, arms)
    noise, random = _check_noise(noise), streams.generator(seed, _SPIRALS)
    radius = 0.1 + 0.9 * place
    angle = 2 * np.pi * (turns * radius + labels / arms)
    e1, e2 = noise * random.standard_normal((2, labels.size))
    x1, x2 = radius * np.cos(angle) + e1, radius * np.sin(angle) + e2
    return _planar("spirals", x1, x2, labels, tuple(f"arm {k}" for k in range(arms)), random)


def linearly_separable(m: int = 400, seed: int = 0, *, margin: float = 0.2) -> Dataset:
    """Return two classes in the plane that a line separates, every example at least `margin` away from it.

    The line has a random direction and passes the origin at a distance of up to 0.5. Along it examples lie
    within ±1, across it from `margin` to `margin + 1`.

    Parameters
    ----------
    m, seed
        As in `flower`.
    margin : float, default 0.2
        More than 0.

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong kind, or outside its range.

    Examples
    --------
    >>> X, Y = linearly_separable(m=10)
    >>> X.shape, Y.sum()
    ((2, 10), np.float64(5.0))
    """
    margin = check_real(margin, "margin", "above 0", lambda value: value > 0)
    labels, _ = _places(m, 2)
    random = streams.generator(seed, _LINE)
    direction, offset = random.uniform(0, 2 * np.pi), random.uniform(-0.5, 0.5)
    along = random.uniform(-1, 1, labels.size)
    across = offset + (2 * labels - 1) * (margin + random.uniform(0, 1, labels.size))
    x1 = across * np.cos(direction) - along * np.sin(direction)
    x2 = across * np.sin(direction) + along * np.cos(direction)
    return _planar("linearly_separable", x1, x2, labels, ("negative", "positive"), random)


def xor(m: int = 400, seed: int = 0, noise: float = 0.3) -> Dataset:
    """Return four clusters around (±1, ±1), with normal noise: class 1 where the signs of the centre differ.

    Arguments, shapes and errors as in `flower`.

    Examples
    --------
    >>> X, Y = xor(m=40, noise=0)
    >>> bool((X[0] * X[1] == 1 - 2 * Y[0]).all())
    True
    """
    labels, _ = _places(m, 2)
    noise, random = _check_noise(noise), streams.generator(seed, _XOR)
    x2 = 1.0 - 2 * (np.arange(labels.size) // 2 % 2)
    x1 = x2 * (1 - 2 * labels)
    e1, e2 = noise * random.standard_normal((2, labels.size))
    return _planar("xor", x1 + e1, x2 + e2, labels, ("equal", "different"), random)


def house_prices(m: int = 1000, seed: int = 0, noise: float = 0.1) -> Dataset:
    """Return houses and their prices, a regression in the units of life: square metres, years, kilometres, euros.

    price = area · rate(distance) · condition(age, energy) + garden · value(distance), times e^(noise · normal), with

    - rate = 1800 + 3200 e^(-distance/6) euros a square metre,
    - condition = 0.7 + 0.3 e^(-age/25), + 0.2 from 90 years of age on, - 0.0005 (energy - 100),
    - value = 40 + 260 e^(-distance/8) euros a square metre.

    Bedrooms go with the area and say nothing more. It wants `standardize`, and prices scaled as well.

    Parameters
    ----------
    m, seed
        As in `flower`; m is 1 or more.
    noise : float, default 0.1
        The standard deviation of the logarithm of the price.

    Returns
    -------
    Dataset
        A regression: X (6, m), Y (1, m).

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong kind, or outside its range.

    Examples
    --------
    >>> data = house_prices(m=4)
    >>> data.feature_names
    ('area', 'bedrooms', 'age', 'distance', 'garden', 'energy')
    >>> data.Y.round(-3).tolist()
    [[109000.0, 290000.0, 337000.0, 84000.0]]
    """
    m, noise, random = _check_count(m, 1), _check_noise(noise, 100), streams.generator(seed, _HOUSES)
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
    """Return scikit-learn's own data set, or raise ImportError with the install command."""
    try:
        from sklearn import datasets as shipped
    except ImportError as error:
        raise ImportError(
            f'{name} comes with scikit-learn, which cannot be imported: pip install "vecprop[sklearn]"'
        ) from error
    return getattr(shipped, f"load_{name}")()


def _shipped_classes(name: str, scale: float = 1.0) -> Dataset:
    bunch = _shipped(name)
    features, classes = tuple(map(str, bunch.feature_names)), tuple(map(str, bunch.target_names))
    return _classified(name, bunch.data.T / scale, bunch.target, features, classes)


def digits() -> Dataset:
    """Return 1797 handwritten digits of 8 × 8 pixels: X (64, 1797) in [0, 1], Y (10, 1797) one-hot.

    ImportError without scikit-learn, here and in the four below.
    """
    return _shipped_classes("digits", scale=16.0)


def breast_cancer() -> Dataset:
    """Return 569 tumours, malignant (0) or benign (1): X (30, 569), Y (1, 569). It wants `standardize`."""
    return _shipped_classes("breast_cancer")


def wine() -> Dataset:
    """Return 178 wines of three growers: X (13, 178), Y (3, 178) one-hot. It wants `standardize`."""
    return _shipped_classes("wine")


def iris() -> Dataset:
    """Return 150 irises of three species, measured in cm: X (4, 150), Y (3, 150) one-hot."""
    return _shipped_classes("iris")


def diabetes() -> Dataset:
    """Return 442 patients and the progression of their illness: X (10, 442), Y (1, 442), a regression."""
    bunch = _shipped("diabetes")
    features = tuple(map(str, bunch.feature_names))
    return Dataset(bunch.data.T, bunch.target[np.newaxis], "diabetes", features, ("progression",), "regression")


# --- one's own data -----------------------------------------------------------------------------------------


def from_csv(
    path: PathLike,
    target: Target = -1,
    delimiter: str | None = None,
    header: bool | None = None,
    task: Task | None = None,
    classes: Sequence[str | float] | None = None,
) -> Dataset:
    r"""Read a CSV file of numbers (UTF-8), one example per line, into columns.

    Parameters
    ----------
    path : str or path
        The file.
    target : int, str, or a list of them, default -1
        The column to be learned, by index or by its name in the header; a list of several is a regression
        with several targets, or a classification if they are one-hot. All others are features: numbers.
    delimiter : str, optional
        One of , ; tab | is inferred unless given.
    header : bool, optional
        Whether line 1 holds names. Inferred unless given: it does if no cell of it is a number.
    task : {"binary", "classification", "regression"}, optional
        Inferred unless given: a target column with words, or with integers of 20 different values at most,
        holds classes ("binary" if two); any other is a regression.
    classes : sequence, optional
        All labels in their order, for a file that may lack some. The default is those of the file, sorted.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For a file with no examples, a ragged row, a missing value, a feature that is not a finite number, an
        unknown column or class (with the nearest known one): the message has file, line and column.
    TypeError
        If `target` is neither an index nor a name nor a list of them.

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
    return _from_table(tables.read_csv(path, target, delimiter, header), path, task, classes)


def from_npy(
    x_path: PathLike,
    y_path: PathLike | None = None,
    target: int | Sequence[int] = -1,
    examples: Literal["rows", "columns"] = "rows",
    task: Task | None = None,
    classes: Sequence[str | float] | None = None,
) -> Dataset:
    """Read arrays that np.save wrote (never pickled objects) into columns.

    Parameters
    ----------
    x_path : str or path
        The features: (m, n_x), or (n_x, m) with examples="columns".
    y_path : str or path, optional
        The targets: (m,) numbers or text labels, or one or several per example, laid out as X.
    target : int or list of int, default -1
        Without `y_path`: which columns (rows with examples="columns") of the first array are the targets.
    examples : {"rows", "columns"}, default "rows"
        Where one example stands in the files.
    task, classes
        As in `from_csv`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For a file that is not .npy, another rank, a dtype that is not real, values that are not finite, or
        another number of targets than of examples: the message has the argument and the file.

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
    return _from_table(tables.read_npy(x_path, y_path, target, examples), x_path, task, classes)


def _from_table(
    table: tables.Table, path: PathLike, task: Task | None, classes: Sequence[str | float] | None
) -> Dataset:
    Y, target_names, task = tables.encode_targets(table.targets, task, classes)
    return Dataset(table.features.T, Y, Path(path).stem, table.feature_names, target_names, task)


# --- by name ------------------------------------------------------------------------------------------------

_NAMED: dict[str, Callable[..., Dataset]] = {
    function.__name__: function
    for function in (
        flower, moons, circles, spirals, linearly_separable, xor, house_prices,
        digits, breast_cancer, wine, iris, diabetes,
    )
}  # fmt: skip


def names() -> tuple[str, ...]:
    """Return the names that `load` knows.

    >>> names()[:3]
    ('flower', 'moons', 'circles')
    """
    return tuple(_NAMED)


def load(name: str, **arguments: Any) -> Dataset:
    """Return the data set of a name; the arguments are handed to its function.

    Raises
    ------
    ValueError
        For an unknown name; the message has the nearest known one.

    Examples
    --------
    >>> load("moons", m=100)
    Dataset('moons', binary, X (2, 100), Y (1, 100))
    """
    if not isinstance(name, str) or name not in _NAMED:
        raise ValueError(f"name: {unknown_name('data set', name, _NAMED)}")
    return _NAMED[name](**arguments)
