"""The data sets: what is generated, what is split and scaled, and what is read from files, faults included."""

import numpy as np
import pytest
import sklearn.datasets

from helpers import cases, refusals
from vecprop import datasets
from vecprop.data.datasets import Dataset
from vecprop.data.tables import infer_delimiter

BINARY = ["flower", "moons", "circles", "spirals", "linearly_separable", "xor"]
NOISY = [name for name in BINARY if name != "linearly_separable"]


def make(task="binary", X=None, Y=None, names=("x1", "x2"), classes=("no", "yes")):
    X = np.zeros((2, 4)) if X is None else X
    Y = np.array([[0, 1, 0, 1]]) if Y is None else Y
    return Dataset(X, Y, "tiny", names, classes, task)


def labelled(counts):
    """Return a classification whose only feature is the number of the example."""
    labels = np.repeat(np.arange(len(counts)), counts)
    X = np.arange(labels.size, dtype=float)[np.newaxis]
    names = tuple(f"class {k}" for k in range(len(counts)))
    return Dataset(X, np.eye(len(counts))[:, labels], "counted", ("index",), names, "classification")


# --- generated ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("m", [2, 3, 101, 400])
def test_generated_shapes_and_types(name, m):
    data = datasets.load(name, m=m)
    assert data.name == name and data.task == "binary" and data.feature_names == ("x1", "x2")
    assert data.X.shape == (2, m) and data.Y.shape == (1, m)
    for array in data:
        assert array.dtype == np.float64 and array.flags.c_contiguous and np.isfinite(array).all()
    assert set(np.unique(data.Y)) == {0.0, 1.0}
    assert np.bincount(data.labels).tolist() == [(m + 1) // 2, m // 2]


@pytest.mark.parametrize("name", BINARY)
def test_the_seed_alone_decides(name):
    first, again, other = (datasets.load(name, m=50, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.X, again.X) and np.array_equal(first.Y, again.Y)
    assert not np.isclose(first.X, other.X).any()
    assert not np.array_equal(first.Y, other.Y)
    largest = datasets.load(name, m=50, seed=2**64 - 1)
    assert not np.isclose(largest.X, datasets.load(name, m=50, seed=0).X).any()


def test_data_sets_do_not_share_their_random_numbers():
    noises = [datasets.load(name, m=64, noise=1.0).X - datasets.load(name, m=64, noise=0).X for name in NOISY[1:]]
    for i, one in enumerate(noises):
        for other in noises[:i]:
            assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.4


@pytest.mark.parametrize("name", [*BINARY, "digits"])
def test_examples_are_not_sorted_by_class(name):
    labels = datasets.load(name).labels
    assert np.count_nonzero(np.diff(labels)) > labels.size / 4


@pytest.mark.parametrize("name", NOISY[1:])
def test_noise_is_the_standard_deviation(name):
    noise = datasets.load(name, m=4000, seed=1, noise=0.25).X - datasets.load(name, m=4000, seed=1, noise=0).X
    assert abs(noise.mean()) < 0.02 and noise.std() == pytest.approx(0.25, rel=0.05)


def test_house_prices_follow_their_formula():
    data = datasets.house_prices(m=2000, seed=1, noise=0)
    area, bedrooms, age, distance, garden, energy = data.X
    assert (data.task, data.X.shape, data.Y.shape) == ("regression", (6, 2000), (1, 2000))
    for values, low, high in ((area, 25, 400), (bedrooms, 1, 8), (age, 0, 119), (distance, 0.1, 40), (energy, 45, 252)):
        assert low <= values.min() and values.max() <= high
    assert (garden == 0).mean() == pytest.approx(0.3, abs=0.04)
    condition = 0.7 + 0.3 * np.exp(-age / 25) + np.where(age >= 90, 0.2, 0) - 0.0005 * (energy - 100)
    price = area * (1800 + 3200 * np.exp(-distance / 6)) * condition + garden * (40 + 260 * np.exp(-distance / 8))
    assert np.allclose(data.Y[0], price, atol=0.5)
    noisy = datasets.house_prices(m=2000, seed=1, noise=0.2)
    assert np.array_equal(noisy.X, data.X)
    assert np.log(noisy.Y / data.Y).std() == pytest.approx(0.2, rel=0.05)
    assert not np.array_equal(datasets.house_prices(m=2000, seed=2, noise=0).X, data.X)


def test_flower_lies_on_its_curve():
    X, Y = datasets.flower(m=200, noise=0)
    radius, angle = np.hypot(*X), np.arctan2(X[1], X[0])
    # A negative r turns the angle by π, which leaves sin(4θ) as it is: only its size can be read from a point.
    assert np.allclose(radius, np.abs(4 * np.sin(4 * angle)), atol=1e-9)
    sector = np.floor(np.mod(angle, 2 * np.pi) / (np.pi / 4)).astype(int)
    inside = radius > 0.5
    assert np.array_equal(Y[0, inside], np.array([0, 1, 0, 1, 1, 0, 1, 0])[sector[inside]])


def test_moons_and_circles_lie_on_their_parts_of_the_curves():
    """That they lie on the curves is in the docstrings."""
    X, Y = datasets.moons(m=31, noise=0)
    assert (X[1, Y[0] == 0] > -1e-12).all() and (X[1, Y[0] == 1] < 0.5 + 1e-12).all()
    X, Y = datasets.circles(m=31, noise=0)
    assert np.allclose([X[:, Y[0] == k].mean(axis=1) for k in (0, 1)], 0)  # all around, evenly


@pytest.mark.parametrize(("arms", "turns"), [(2, 1.0), (3, 0.75), (5, 2.0)])
def test_spirals_lie_on_their_curves(arms, turns):
    data = datasets.spirals(m=101, arms=arms, turns=turns, noise=0)
    radius = np.hypot(*data.X)
    assert radius.min() == pytest.approx(0.1) and radius.max() == pytest.approx(1)
    angle = 2 * np.pi * (turns * radius + data.labels / arms)
    assert np.allclose(data.X, radius * np.stack([np.cos(angle), np.sin(angle)]))


def test_more_than_two_arms_are_one_hot():
    data = datasets.spirals(m=100, arms=3)
    assert data.task == "classification" and data.Y.shape == (3, 100) and data.Y.flags.c_contiguous
    assert np.array_equal(data.Y.sum(axis=0), np.ones(100)) and set(np.unique(data.Y)) == {0.0, 1.0}
    assert np.bincount(data.labels).tolist() == [34, 33, 33]
    assert data.target_names == ("arm 0", "arm 1", "arm 2")


def widest_gap(data):
    """Return half the widest gap between the classes over 20 000 directions: negative if no line separates them."""
    angle = np.linspace(0, 2 * np.pi, 20_000)
    across = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ data.X
    return ((across[:, data.labels == 1].min(axis=1) - across[:, data.labels == 0].max(axis=1)) / 2).max()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("margin", [0.01, 0.2, 2.0])
def test_a_line_separates_with_the_margin(seed, margin):
    gap = widest_gap(datasets.linearly_separable(m=300, seed=seed, margin=margin))
    assert margin * 0.999 <= gap < margin + 0.2


@pytest.mark.parametrize("name", NOISY)
def test_no_line_separates_the_others(name):
    assert widest_gap(datasets.load(name)) < 0


def test_xor_has_four_even_clusters():
    X, _ = datasets.xor(m=400, noise=0)
    assert np.array_equal(np.abs(X), np.ones((2, 400)))
    assert np.unique(X, axis=1, return_counts=True)[1].tolist() == [100] * 4


# --- Dataset ------------------------------------------------------------------------------------------------


def test_a_data_set_is_frozen_and_unpacks():
    data = make()
    X, Y = data
    assert X is data.X and Y is data.Y and Y.dtype == np.float64
    with pytest.raises(AttributeError):
        data.X = X


test_what_does_not_fit_together_is_refused = refusals(
    lambda arguments: make(**arguments),
    ({"X": np.zeros(4)}, "X must have one example per column, (n, m), got shape (4,)"),
    ({"Y": np.zeros(4)}, "Y must have one example per column, (n, m), got shape (4,)"),
    ({"X": np.zeros((4, 2))}, "X and Y must have one column per example, got X (4, 2) and Y (1, 4)"),
    ({"task": "binry"}, "task: unknown task 'binry': did you mean 'binary'?"),
    ({"names": ("x1",)}, "feature_names must be 2 names"),
    ({"classes": ("yes",)}, "target_names must be 2 names"),
    ({"Y": np.array([[0, 1, 2, 0]])}, "Y must hold only 0 and 1 for task='binary'"),
    ({"Y": np.array([[0, np.nan, 1, 0]])}, "Y must hold only 0 and 1 for task='binary'"),
    ({"Y": np.zeros((2, 4))}, "Y must be (1, m) for task='binary', got shape (2, 4)"),
    ({"task": "classification", "Y": np.ones((2, 4))}, "Y must have exactly one 1 in each column"),
    ({"task": "classification", "Y": np.zeros((2, 4))}, "Y must have exactly one 1 in each column"),
    literal="^",
)


def test_labels():
    assert make().labels.tolist() == [0, 1, 0, 1] and make().labels.dtype == np.int64
    one_hot = make("classification", Y=np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 1]]), classes=("a", "b", "c"))
    assert one_hot.labels.tolist() == [1, 2, 0, 2]
    regression = make("regression", classes=("y",))
    with pytest.raises(AttributeError, match="tiny is a regression"):
        _ = regression.labels
    assert not hasattr(regression, "labels")


# --- split --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [(50, 50), (90, 10), (6, 6, 6, 6, 6, 6, 6), (2, 3, 40), (1, 30)])
@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.99, np.nextafter(1, 0)])
def test_split_is_a_partition_with_every_class_on_both_sides(counts, fraction):
    data = labelled(counts)
    train, test = data.split(fraction, seed=5)
    assert sorted([*train.X[0], *test.X[0]]) == data.X[0].tolist()
    for part in (train, test):  # each example keeps its own label
        assert np.array_equal(part.labels, data.labels[part.X[0].astype(int)])
        assert (part.name, part.task, part.target_names) == (data.name, data.task, data.target_names)
        assert part.X.flags.c_contiguous and part.Y.flags.c_contiguous
    in_test = np.bincount(test.labels, minlength=len(counts))
    for count, taken in zip(counts, in_test, strict=True):
        assert 1 <= taken <= count - 1 if count > 1 else taken == 0
        assert abs(taken - fraction * count) <= 1 or taken in (1, count - 1)


@pytest.mark.parametrize(("counts", "fraction", "size"), [((6,) * 10, 0.2, 12), ((50, 31), 0.25, 20), ((3, 3), 0.5, 3)])
def test_split_has_the_size_asked_for(counts, fraction, size):
    train, test = labelled(counts).split(fraction)
    assert test.X.shape[1] == size and train.X.shape[1] == sum(counts) - size


def test_split_depends_on_the_seed_alone():
    data = labelled((40, 60))
    (one, _), (same, _), (other, _) = (data.split(seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.X, same.X) and not np.array_equal(one.X, other.X)
    assert not np.array_equal(one.X, np.sort(one.X))
    assert np.array_equal(data.X[0], np.arange(100))


def test_split_without_classes():
    data = Dataset(np.arange(10.0)[None], np.arange(10.0)[None] / 2, "line", ("x",), ("y",), "regression")
    train, test = data.split(0.3)
    assert test.X.shape == (1, 3) and np.array_equal(test.Y, test.X / 2) and np.array_equal(train.Y, train.X / 2)
    assert sorted([*train.X[0], *test.X[0]]) == list(range(10))
    sizes = {labelled((50, 50)).split(0.2, seed=seed, stratify=False)[1].Y[0].sum() for seed in range(20)}
    assert len(sizes) > 1  # classes fall as chance has it


test_what_cannot_be_split = refusals(
    lambda data, arguments: data.split(**arguments),
    (labelled((1,)), {}, "split needs two examples or more of some class, counted has m = 1"),
    (labelled((1, 1, 1)), {}, "split needs two examples or more of some class"),
    (labelled((1,)), {"stratify": False}, "split needs two examples or more, counted has m = 1"),
    (make("regression", classes=("y",)), {"stratify": True}, "tiny is a regression"),
    literal="^",
)


# --- standardize --------------------------------------------------------------------------------------------


def test_standardize_uses_the_statistics_of_the_first():
    random = np.random.default_rng(0)
    train, test = (
        make("regression", random.normal([[5.0], [-2.0]], [[3.0], [0.1]], (2, m)), np.zeros((1, m)), classes=("y",))
        for m in (300, 40)
    )
    before = train.X.copy()
    scaled, other, _ = datasets.standardize(train, test, test)
    assert np.allclose(scaled.X.mean(axis=1), 0, atol=1e-14) and np.allclose(scaled.X.std(axis=1), 1)
    assert np.allclose(other.X, (test.X - before.mean(axis=1)[:, None]) / before.std(axis=1)[:, None])
    assert np.array_equal(train.X, before) and scaled.Y.shape == (1, 300)
    (alone,) = datasets.standardize(train)
    assert np.array_equal(alone.X, scaled.X)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 + 0.1, -3.7])
def test_constant_features_are_centred_only(value):
    X = np.stack([np.full(7, value), np.arange(7.0)])
    train = make(X=X, Y=np.zeros((1, 7)))
    test = make(X=np.array([[value + 2], [3.0]]), Y=np.zeros((1, 1)))
    scaled, other = datasets.standardize(train, test)
    assert np.array_equal(scaled.X[0], np.zeros(7))
    assert other.X[:, 0] == pytest.approx([2.0, 0.0])


test_standardize_refuses_what_does_not_fit = refusals(
    datasets.standardize,
    (datasets.moons(m=10), np.zeros((2, 4)), TypeError, r"others\[0\] must be a Dataset, got ndarray"),
    (np.zeros((2, 4)), TypeError, "train must be a Dataset, got ndarray"),
    (datasets.moons(m=10), labelled((2, 2)), "counted has 1 features and moons has 2"),
    (make(X=np.zeros((2, 0)), Y=np.zeros((1, 0))), "tiny has no examples"),
)


# --- shipped with scikit-learn ------------------------------------------------------------------------------


SHIPPED = {
    "digits": (64, 1797, 10), "breast_cancer": (30, 569, 2), "wine": (13, 178, 3), "iris": (4, 150, 3),
    "diabetes": (10, 442, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_data_is_scikit_learns(name):
    bunch, data, (n_x, m, classes) = getattr(sklearn.datasets, f"load_{name}")(), datasets.load(name), SHIPPED[name]
    assert data.X.shape == (n_x, m) and data.X.flags.c_contiguous and data.X.dtype == np.float64
    assert np.array_equal(data.X, bunch.data.T / (16 if name == "digits" else 1))
    assert name != "digits" or (data.X.min(), data.X.max()) == (0, 1)
    assert data.feature_names == tuple(bunch.feature_names)
    if classes:
        assert np.array_equal(data.labels, bunch.target)
        assert data.Y.shape == (1 if classes == 2 else classes, m)
        assert data.target_names == tuple(str(c) for c in bunch.target_names)
        assert data.task == ("binary" if classes == 2 else "classification")
    else:
        assert data.task == "regression" and np.array_equal(data.Y, bunch.target[None])


# --- by name ------------------------------------------------------------------------------------------------


def test_names_are_the_functions():
    assert datasets.names() == (*BINARY, "house_prices", *SHIPPED)
    assert all(callable(getattr(datasets, name)) for name in datasets.names())
    assert np.array_equal(datasets.load("xor", m=9, seed=2).X, datasets.xor(9, 2).X)


test_names_and_arguments_that_do_not_exist = refusals(
    lambda name, arguments: datasets.load(name, **arguments),
    ("flowers", {}, "^name: unknown data set 'flowers': did you mean 'flower'"),
    ("linearly_separable", {"noise": 1}, TypeError, "noise"),
    ("spirals", {"m": 4, "arms": 5}, "^m must be an integer of at least 5, got 4"),
)


# --- CSV ----------------------------------------------------------------------------------------------------


@pytest.fixture
def csv(file):
    pytest.importorskip("polars")
    return file


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", ["", "alpha,beta,label\n"])
@pytest.mark.parametrize("given", [False, True])
def test_round_trip(csv, delimiter, header, given):
    rows = np.random.default_rng(0).normal(size=(40, 2)) * [1e-3, 1e7]
    labels = np.arange(40) % 3
    lines = [f"{float(a)!r},{float(b)!r},{label}\n" for (a, b), label in zip(rows, labels, strict=True)]
    path = csv((header + "".join(lines)).replace(",", delimiter), name="my.data.csv")
    data = datasets.from_csv(str(path) if given else path, delimiter=delimiter if given else None)
    assert np.array_equal(data.X, rows.T) and data.X.flags.c_contiguous and data.X.dtype == np.float64
    assert data.task == "classification" and np.array_equal(data.labels, labels)
    assert data.Y.shape == (3, 40) and data.target_names == ("0", "1", "2") and data.name == "my.data"
    assert data.feature_names == (("alpha", "beta") if header else ("column 0", "column 1"))


def reads(data, wanted):
    """Assert that attributes of a data set are those wanted."""
    for name, value in wanted.items():
        found = getattr(data, name)
        assert (found.tolist() if isinstance(found, np.ndarray) else found) == value, name


KIND = {"X": [[1, 3], [2, 4]], "feature_names": ("a", "b"), "Y": [[0, 1]], "target_names": ("x", "y"), "task": "binary"}
TWO = {"task": "regression", "target_names": ("a", "c"), "feature_names": ("b",), "X": [[2, 5]], "Y": [[1, 4], [3, 6]]}
ONE_HOT, ANIMALS = "x,cat,dog\n1,1,0\n2,0,1\n3,1,0\n", {"target": ["cat", "dog"]}
LOW_HIGH, ORDER = "1,low\n2,high\n3,low\n", ("low", "high")
DIGITS = ([0, 1, 2, 3], ("0", "1.0", "2", "3"), [0.0, 1.0, 2.0, 3.0])
FOUR = {"target_names": ("0", "1", "2", "3"), "labels": [2, 0]}
EXCEL = '\ufeff"a, or so", b,kind\r\n\r\n 1 ,-2e3,"x, y"\r\n  \r\n+3,.5,z\r\n'
SAYS = {"feature_names": ("a, or so", "b"), "target_names": ("x, y", "z"), "X": [[1, 3], [-2000, 0.5]]}
NUMBERED, TOLD = "0,1,2\n3,4,0\n5,6,1\n", {"header": True, "target": "2"}
REGRESSION, BINARY_TASK, CLASSES = ({"task": task} for task in ("regression", "binary", "classification"))
MANY = "".join(f"{i},{i}.25\n" for i in range(30))


@cases(
    *(("kind,a,b\nx,1,2\ny,3,4\n", {"target": target}, KIND) for target in ("kind", 0, -3)),
    *(("a,b,c\n1,2,3\n4,5,6\n", {"target": target}, TWO) for target in (["a", "c"], (0, 2), ["a", -1])),
    (ONE_HOT, ANIMALS, CLASSES | {"target_names": ("cat", "dog"), "labels": [0, 1, 0]}),
    (ONE_HOT, ANIMALS | REGRESSION, REGRESSION),
    ("x,cat,dog\n1,1,1\n2,0,0\n", ANIMALS, REGRESSION | {"Y": [[1, 0], [1, 0]]}),
    ("1,0\n2,1\n3,1\n", REGRESSION, {"Y": [[0, 1, 1]]}),
    ("1,0\n2,1\n3,1\n", CLASSES, {"Y": [[1, 0, 0], [0, 1, 1]]}),
    ("1,0.5\n2,1.5\n", BINARY_TASK, {"target_names": ("0.5", "1.5")}),
    *(("1,2\n2,0\n", {"classes": classes}, FOUR) for classes in DIGITS),
    (LOW_HIGH, {"classes": ORDER}, BINARY_TASK | {"target_names": ORDER, "Y": [[0, 1, 0]]}),
    (EXCEL, {}, SAYS),
    ("1 2 0\n3 4 1\n", {"delimiter": " "}, {"X": [[1, 3], [2, 4]]}),
    ("1:2:0\n3:4:1\n", {"delimiter": ":"}, {"X": [[1, 3], [2, 4]]}),
    (NUMBERED, TOLD, {"feature_names": ("0", "1"), "X": [[3, 5], [4, 6]]}),
    (",b\n1,0\n2,1\n", {}, {"feature_names": ("column 0",)}),
    (" \n\na,b\n1,0\n2,1\n", {}, {"feature_names": ("a",)}),
)
def test_what_a_file_says(text, arguments, wanted, csv):
    reads(datasets.from_csv(csv(text), **arguments), wanted)


@cases(
    ("0 1 0", "binary", ("0", "1")),
    ("0.0 1.0 1e0", "binary", ("0", "1")),
    ("5 -1 5", "binary", ("-1", "5")),
    ("2 10 9", "classification", ("2", "9", "10")),
    ("no yes no", "binary", ("no", "yes")),
    ("b a c", "classification", ("a", "b", "c")),
    ("1 2 3a", "classification", ("1", "2", "3a")),
    ("none ? none", "binary", ("?", "none")),
    ("1_0 2 2", "binary", ("1_0", "2")),
    ("0.5 1 0", "regression", ("column 1",)),
    (" ".join(map(str, range(20))), "classification", tuple(map(str, range(20)))),
    (" ".join(map(str, range(21))), "regression", ("column 1",)),
    (" ".join(f"c{i:02}" for i in range(30)), "classification", tuple(f"c{i:02}" for i in range(30))),
)
def test_the_task_is_inferred(targets, task, classes, csv):
    text = "".join(f"{i}.5,{target}\n" for i, target in enumerate(targets.split()))
    reads(datasets.from_csv(csv(text)), {"task": task, "target_names": classes})


@cases(
    ("a;b;c\n1,5;2,5;x, y\n", ";"),
    ("1;2;red, dark\n3;4;blue\n", ";"),
    ("1;2;red, dark\n3;4;blue, light\n", ";"),
    ('"a";"b"\n1;0\n', ";"),
    ("a b|c d\n1|0\n", "|"),
    ("1,2\n", ","),
    ("1,2;3\n", ";"),  # with a decimal comma all cells are numbers
    ("a;b,c;d\n3,0;x;y\n", ";"),
    ("a,b;c\n", ","),  # a tie
    ("one column\n1\n", ","),
)
def test_the_delimiter_is_inferred(text, delimiter):
    assert infer_delimiter(text) == delimiter


def test_a_delimiter_that_gives_the_expected_names_is_preferred():
    assert [infer_delimiter("a,b;c\n1,5;2\n", names) for names in ((), ("a,b", "c"), ("a", "b;c"))] == [";", ";", ","]


test_faults_of_a_csv_file_are_named = refusals(
    lambda csv, text, arguments: datasets.from_csv(csv(text), **arguments),
    ("a,b,c\n", {}, r"data.csv has only a header \(a, b, c\) and no examples"),
    ("a,b\n1,0\n2,1\n", {"header": False}, "line 1, column 'column 0': 'a' is not a finite number"),
    ("a,b,c\n1,2,0\n1,,0\n", {}, r"data.csv, line 3, column 'b': the value is missing \(''\)"),
    ("a,b,c\n1,NaN,0\n", {}, r"data.csv, line 2, column 'b': the value is missing \('NaN'\)"),
    ("1,2,0\n?,2,0\n", {}, r"data.csv, line 2, column 'column 0': the value is missing \('\?'\)"),
    ("a,b,c\n1,2,0\n1,red,0\n", {}, r"data.csv, line 3, column 'b': 'red' is not a finite number"),
    ("a,b,c\n1,1_0,0\n", {}, r"data.csv, line 2, column 'b': '1_0' is not a finite number"),
    ("a,b,c\n1,inf,0\n", {}, r"data.csv, line 2, column 'b': 'inf' is not a finite number"),
    ("a;b\n1,5;0\n", {}, r"data.csv, line 2, column 'a': '1,5' is not a finite number"),
    ("a,b\n1,0\n2,\n", {}, r"data.csv, line 3, column 'b': the target is missing \(''\)"),
    ("a,b\n1,0\n2,nan\n", {}, r"data.csv, line 3, column 'b': the target is missing \('nan'\)"),
    (MANY + "1,3O\n", {}, "line 31, column 'column 1': '3O' is not a finite number"),  # a slip, and no class
    ("a,b\n1,x\n2,y\n", {"task": "regression"}, r"line 2, column 'b': 'x' is not a finite number"),
    ("a,b,c\n1,2,3\n4,5,x\n", {"target": ["b", "c"]}, r"line 3, column 'c': 'x' is not a finite number"),
    ("width,height\n1,2\n", {"target": "hight"}, "unknown column 'hight': did you mean 'height'"),
    ("1,2\n", {"target": "height"}, "unknown column 'height': Known: column 0, column 1$"),
    ("a,a\n1,2\n", {"target": "a"}, "has 2 columns of this name; give the index"),
    ("a,b\n1,2\n", {"target": 2}, "target must be from -2 to 1: .*data.csv has 2 columns, got 2"),
    ("a,b\n1,2\n", {"target": ["b", 1]}, "target must name at least one column and none twice"),
    ("a,b\n1,2\n", {"target": []}, "target must name at least one column and none twice"),
    ("a,b\n1,2\n", {"target": ["a", "b"]}, r"takes all columns \(2\) and leaves no feature"),
    ("a\n1\n", {}, r"takes all columns \(1\) and leaves no feature; .*pass delimiter="),
    ("a,b\n1,0\n2,1\n", {"task": "classify"}, "task: unknown task 'classify': did you mean 'classification'"),
    ("a,b\n1,0\n2,1\n3,2\n", BINARY_TASK, "target 'b': task='binary' needs two different classes, got 0, 1, 2"),
    ("a,b\n1,7\n2,7\n", {}, "target 'b': task='classification' needs two or more different classes, got 7"),
    ("a,b\n1,x\n2,y\n", {"classes": ["x", "z"]}, "line 3, column 'b': unknown class 'y'"),
    ("a,b\n1,x\n2,y\n", {"classes": ["x", "y", "x"]}, "needs two or more different classes"),
    ("a,b\n1,0\n2,1\n", {"classes": [0, 1], "task": "regression"}, "classes are for one target column"),
    ("a,b,c\n1,2,3\n", {"target": [1, 2], "task": "binary"}, "task='binary' needs one target column"),
    ("a,b,c\n1,2,3\n", {"target": [1, 2], "task": "classification"}, "needs one target column"),
    *(
        ("a,b\n1,x\n2,y\n", {name: value}, TypeError, f"^{name} must be ")
        for name, values in {"target": (1.0, None, True), "classes": ("xy", {"x": 0, "y": 1})}.items()
        for value in values
    ),
    fixtures=["csv"],
)


# --- .npy ---------------------------------------------------------------------------------------------------

ROWS = np.array([[1.0, 2.0, 0.5], [3.0, 4.0, 1.5], [5.0, 6.0, 0.25], [7.0, 8.0, 0.125]])


@pytest.fixture
def npy(tmp_path):
    def write(array, name="x.npy"):
        np.save(tmp_path / name, array)
        return tmp_path / name

    return write


@pytest.mark.parametrize("examples", ["rows", "columns"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int32, np.uint8])
def test_npy_round_trip(npy, examples, dtype):
    rows = ROWS[:, :2].astype(dtype)
    X = npy(rows if examples == "rows" else np.asfortranarray(rows.T))
    data = datasets.from_npy(X, npy(np.array([0, 1, 1, 0]), "y.npy"), examples=examples)
    assert np.array_equal(data.X, ROWS[:, :2].T) and data.X.dtype == np.float64 and data.X.flags.c_contiguous
    assert data.task == "binary" and data.Y.tolist() == [[0, 1, 1, 0]] and data.name == "x"
    assert data.feature_names == ("feature 0", "feature 1")


@pytest.mark.parametrize("examples", ["rows", "columns"])
@pytest.mark.parametrize(("target", "kept"), [(-1, [0, 1]), (0, [1, 2]), ([0, 2], [1])])
def test_targets_from_the_same_array(npy, examples, target, kept):
    X = npy(ROWS if examples == "rows" else ROWS.T)
    names = tuple(f"feature {i}" for i in kept)
    wanted = {"X": ROWS.T[kept].tolist(), "Y": np.atleast_2d(ROWS.T[target]).tolist(), "feature_names": names}
    reads(datasets.from_npy(X, target=target, examples=examples, task="regression"), wanted)


NUMBERS = np.array([[0.5, 1.5, 2.5, 3.5], [1.0, 2.0, 3.0, 4.0]])
IN_COLUMNS = REGRESSION | {"Y": NUMBERS.tolist(), "target_names": ("target 0", "target 1")}


@cases(
    (np.array([3, 1, 2, 1]), {}, CLASSES | {"labels": [2, 0, 1, 0]}),
    (np.array(["b", "a", "b", "a"]), {}, BINARY_TASK | {"labels": [1, 0, 1, 0]}),
    (np.array([True, False, True, True]), {}, BINARY_TASK | {"labels": [1, 0, 1, 1]}),
    (np.eye(3)[[2, 0, 1, 1]], {}, CLASSES | {"labels": [2, 0, 1, 1]}),
    (np.array([[0.0], [1.0], [1.0], [0.0]]), {}, BINARY_TASK | {"labels": [0, 1, 1, 0]}),
    (np.array([0, 1, 0, 1]), REGRESSION, REGRESSION | {"Y": [[0, 1, 0, 1]]}),
    (NUMBERS, {"examples": "columns"}, IN_COLUMNS),
)
def test_kinds_of_targets(Y, arguments, wanted, npy):
    X = ROWS.T if "examples" in arguments else ROWS
    reads(datasets.from_npy(npy(X), npy(Y, "y.npy"), **arguments), wanted)


NAN = np.where(ROWS == 4.0, np.nan, ROWS)


test_faults_of_arrays_are_named = refusals(
    lambda npy, X, Y, arguments: datasets.from_npy(
        **{"x_path": npy(X), "y_path": None if Y is None else npy(Y, "y.npy")} | arguments
    ),
    (ROWS[0], None, {}, r"x_path '.*x.npy' must hold an array \(m, n_x\) .*got shape \(3,\)"),
    (ROWS[0], None, {"examples": "columns"}, r"must hold an array \(n_x, m\) .*got shape \(3,\)"),
    (ROWS[:0], None, {}, r"must hold an array \(m, n_x\) with something in it, got shape \(0, 3\)"),
    (ROWS + 1j, None, {}, "x_path '.*x.npy' must hold real numbers, got dtype complex128"),
    (ROWS.astype(str), None, {}, "x_path '.*x.npy' must hold real numbers, got dtype <U"),
    (NAN, None, {}, "x_path '.*x.npy', example 1, feature 1: the value is nan"),
    (NAN.T, None, {"examples": "columns"}, "x_path '.*x.npy', example 1, feature 1: the value is nan"),
    (ROWS, np.array([0.0, np.inf, 1, 1]), {}, "y_path '.*y.npy', example 1, target 0: the value is inf"),
    (
        ROWS,
        np.array([0, 1, 0]),
        {},
        r"y_path '.*y.npy' holds 3 examples \(shape \(3,\)\) and x_path .* 4; .*'columns'",
    ),
    (ROWS, np.array([0, 1]), {}, r"y_path '.*y.npy' holds 2 examples \(shape \(2,\)\) and x_path holds 4$"),
    (ROWS, np.zeros((2, 4)), {}, r"y_path '.*y.npy' holds 2 examples \(shape \(2, 4\)\)"),
    (ROWS, np.zeros((4, 1, 1)), {}, r"y_path '.*y.npy' must hold an array \(m,\) or \(m, n_y\)"),
    (ROWS, np.zeros(4, dtype=complex), {}, "y_path '.*y.npy' must hold real numbers or text labels"),
    (ROWS, np.array(["a", "", "b", "b"]), {}, "y_path '.*y.npy', example 1: the target is missing"),
    (ROWS, np.array(["a", "b", "b", "b"]), {"task": "regression"}, "y.npy', example 0: 'a' is not a finite"),
    (ROWS, np.array([0, 1, 5, 1]), {"classes": [0, 1]}, "y.npy', example 2: unknown class '5'"),
    (ROWS, None, {"target": 3}, "target must be from -3 to 2"),
    (ROWS, None, {"target": "y"}, "x_path .*: unknown column 'y': Known: feature 0, feature 1, feature 2$"),
    (ROWS, None, {"target": [0, 1, 2]}, "leaves no feature"),
    (ROWS, None, {"x_path": "nowhere.npy"}, FileNotFoundError, r"x_path '.*nowhere\.npy' does not exist"),
    (ROWS, None, {"y_path": "nowhere.npy"}, FileNotFoundError, r"y_path '.*nowhere\.npy' does not exist"),
    fixtures=["npy"],
)


def test_what_is_no_npy_file_is_refused(npy, tmp_path):
    objects, cut, text, empty = (tmp_path / f"{name}.npy" for name in ("objects", "cut", "text", "empty"))
    np.save(objects, np.array([{"a": 1}, None]), allow_pickle=True)
    cut.write_bytes(npy(ROWS).read_bytes()[:-8])
    text.write_text("1,2,3\n")
    empty.write_bytes(b"")
    for path in (objects, cut, text, empty):
        with pytest.raises(ValueError, match=rf"x_path '.*{path.name}' cannot be read as a .npy file"):
            datasets.from_npy(path)
