"""Target encoding of categories: its numbers by hand, no row sees its own target, and what is trained with it."""

import functools
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import vecprop as vp
from helpers import assert_near
from helpers.tables import outputs, run_onnx, train
from vecprop import tabular
from vecprop.data.streaming import examples as streamed
from vecprop.export import onnx_tables
from vecprop.export.onnx_graph import OnnxGraph, Port
from vecprop.tabular import Settings, target_encoding
from vecprop.tabular.encoders import Category, Number
from vecprop.tabular.preparation import Preparation

QUICK = Settings(networks=1, epochs=3, hidden=(4,))
TASKS = {"regression": 0, "binary": 2, "three classes": 3}


def shops(m=900, shops=90, seed=0, task="regression"):
    """Rows of shops with effects of their own; what y is depends on the task."""
    random = np.random.default_rng(seed)
    shop, x = random.integers(0, shops, m), random.standard_normal(m)
    z = 2 * random.standard_normal(shops)[shop] + x + 0.1 * random.standard_normal(m)
    y = z if task == "regression" else np.array(["a", "b", "c"])[np.digitize(z, [0.0, 1.0][: TASKS[task] - 1])]
    return pl.DataFrame({"shop": [f"shop {k}" for k in shop], "x": x, "y": y})


def learned(cells, y, classes=0, w=None, most=1, seed=0):
    """The encoder of one column, and the features of its training rows."""
    table = tabular.table_of(pl.DataFrame({"c": cells}))
    column = Category.learn(table, "c", most)
    random = np.random.default_rng(seed)
    preparation, found = target_encoding.learn(Preparation((column,), {}), table, np.array(y), w, classes, random)
    X = preparation.transform(table).X
    for part in found:
        part.write(X)
    return preparation.columns[0], X, found


@pytest.fixture
def always(monkeypatch):
    """Means of every column with rare categories, however few rows there are to learn from."""
    monkeypatch.setattr(target_encoding, "_SIGNIFICANT", -np.inf)


def encoded(column, cells):
    return column.encode(tabular.table_of(pl.DataFrame({"c": cells})))[0]


@pytest.mark.usefixtures("always")
def test_the_means_by_hand():
    """Two a with 4, two b with 1, one missing with 10: their mean is 4; a = 10."""
    column, _, _ = learned(["a", "a", "b", "b", None], [4.0, 4.0, 1.0, 1.0, 10.0])
    assert column.features == ["c=a", "c=(missing)", "c: mean target"]
    np.testing.assert_allclose(
        encoded(column, ["b", "a", None, "new"]), [[0, 0, -6 / 12], [1, 0, 0], [0, 1, 6 / 11], [0, 0, 0]], rtol=1e-15
    )
    assert str(column) == "1 category, and 1 rare one, all with their mean target: 'a'"


@pytest.mark.usefixtures("always")
def test_the_means_of_classes_by_hand():
    """One feature for each class but the first; shares 2/4 and 1/4 in all rows."""
    column, _, _ = learned(["a", "a", "b", "c"], [0, 1, 1, 2], classes=3)
    assert column.features[-2:] == ["c: mean target 1", "c: mean target 2"]
    np.testing.assert_allclose(encoded(column, ["a"])[0, -2:], [0, -0.5 / 12], atol=1e-16)
    np.testing.assert_allclose(encoded(column, ["c"])[0, -2:], [-0.5 / 11, 0.75 / 11], rtol=1e-15)


@pytest.mark.usefixtures("always")
def test_of_many_classes_the_frequent_ones_have_means():
    """b holds all rows of four classes: one of the ten most frequent, and the three that are left out."""
    y = np.repeat(np.arange(14), [9, 2, 5, 3, 5, 5, 5, 5, 5, 5, 5, 5, 5, 1])
    column, _, _ = learned(np.where(np.isin(y, [1, 2, 3, 13]), "b", "a").tolist(), y, classes=14)
    assert len(column.means) == 10
    assert (encoded(column, ["b"])[0, -10:] > 0).tolist() == [True] + [False] * 9


FOLDS = np.array([0, 0, 0, 1, 1, 1])


def test_the_significance_by_hand():
    """Two folds of one 4 in a and two 1 in b, whose mean is 2; weights of a half for all change the units alone."""
    codes, y = np.array([0, 1, 1] * 2), np.array([4.0, 1.0, 1.0] * 2)
    expected = (4 / 11 + 4 / 12) / np.sqrt(2 * (4 / 11**2 + 2 / 6**2))  # v = 2/11 and -2/12
    for weights in (None, np.full(6, 0.5)):
        values, significance = target_encoding.means(codes, FOLDS, y, weights, 2, 0)
        assert significance == pytest.approx(expected, rel=1e-14)
        np.testing.assert_allclose(values[:, 0], [[2 / 11, -1 / 6]] * 2 + [[4 / 12, -4 / 14]] * 4, rtol=1e-14)


def test_the_significance_of_classes_is_the_greatest():
    """Of three classes, a third each: a has all of class 1, √3; class 2 is in another category in each fold."""
    y = np.array([1, 0, 2, 1, 2, 0])
    assert target_encoding.means(np.array([0, 1, 2] * 2), FOLDS, y, None, 3, 3)[1] == pytest.approx(3**0.5, rel=1e-14)


def test_columns_have_means_from_three_deviations_on(monkeypatch):
    """With effects of shops between none and large."""
    random, y = np.random.default_rng(0), np.random.default_rng(1).standard_normal(600)
    shop, effects = random.integers(0, 60, 600), random.standard_normal(60)
    cells, found = [f"c{k:02}" for k in shop], []
    for effect in np.linspace(0.0, 0.5, 21):
        t = y + effect * effects[shop]
        folds = np.random.default_rng(0).integers(5, size=600, dtype=np.uint8)
        found.append(target_encoding.means(shop, folds, t, None, 60, 0)[1])
        assert bool(learned(cells, t)[0].means) == (found[-1] > 3)
    assert {2, 3, 5} <= set(np.floor(found))
    monkeypatch.setattr(target_encoding, "_SIGNIFICANT", found[-1])
    assert not learned(cells, t)[0].means
    monkeypatch.setattr(target_encoding, "_SIGNIFICANT", np.nextafter(found[-1], 0.0))
    assert learned(cells, t)[0].means


@pytest.mark.usefixtures("always")
def test_parts_of_the_rows_give_the_same_in_any_column(monkeypatch, tmp_path):
    """Columns one after the other; rows seven at a time; and into a file, as a map of which X comes."""
    random = np.random.default_rng(0)
    frame = pl.DataFrame({name: [f"{name}{k}" for k in random.integers(0, 9, 60)] for name in "cd"} | {"x": range(60)})
    table, y, w = tabular.table_of(frame), random.integers(0, 9, 60).astype(float), np.repeat([0.5, 1.5], 30)
    columns = (Number.learn(table, "x"), *(Category.learn(table, name, 3) for name in "cd"))
    features = []
    for rows in (1 << 18, 7):
        monkeypatch.setattr(target_encoding, "_AT_ONCE", rows)
        preparation, found = target_encoding.learn(Preparation(columns, {}), table, y, w, 0, np.random.default_rng(0))
        later = preparation.transform(table).X
        np.save(tmp_path / "X.npy", later)
        for part in found:
            part.write(np.load(tmp_path / "X.npy", mmap_mode="r"))
        features.append(np.load(tmp_path / "X.npy"))
        assert [part.first for part in found] == [4, 8] and features[0].shape == (60, 9)
        np.testing.assert_array_equal(np.delete(features[-1], [4, 8], axis=1), np.delete(later, [4, 8], axis=1))
        assert (features[-1][:, [4, 8]] != later[:, [4, 8]]).mean() > 0.9
        for part in found:
            np.testing.assert_array_equal(features[-1][:, part.first], part.values[part.folds, 0, part.codes])
    np.testing.assert_array_equal(features[0], features[1])


@pytest.mark.usefixtures("always")
def test_columns_with_few_rare_rows_stay_as_they_were():
    column, X, found = learned(["a", "b"] * 5, np.arange(10.0), most=2)
    assert column.means == () and not found and X.shape == (10, 2)
    for rare, has_means in ((4, False), (5, True)):
        column, X, found = learned(["a"] * (90 - rare) + ["b"] * rare + [None] * 10, np.arange(100.0))
        assert bool(column.means) is bool(found) is has_means and X.shape == (100, 3)
        assert column.features[1] == ("c=(missing)" if has_means else "c=(other)")


@pytest.mark.parametrize("task", TASKS)
def test_a_training_row_has_the_means_of_the_other_folds(task):
    frame = shops(300, 30, task=task)
    y = frame["y"].to_numpy() if task == "regression" else frame["y"].rank("dense").to_numpy().astype(int) - 1
    w = np.random.default_rng(1).random(300)
    column, X, [found] = learned(frame["shop"].to_list(), y, TASKS[task], w, most=5)
    assert len(np.unique(found.folds)) == 5
    for k, values in enumerate([y] if task == "regression" else [y == c for c in range(1, TASKS[task])]):
        for row in range(0, 300, 7):
            others = found.folds != found.folds[row]
            here = others & (frame["shop"] == frame["shop"][row]).to_numpy()
            mean, share = np.average(values[others], weights=w[others]), w / w.mean()
            expected = (share[here] * (values[here] - mean)).sum() / (share[here].sum() + 10)
            assert X[row, len(column.features) - len(column.means) + k] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("task", TASKS)
def test_no_row_sees_its_own_target(task):
    """Another target in one row changes rows of its category in other folds, and not a bit of its own features."""
    random = np.random.default_rng(2)
    cells = [f"c{k}" for k in random.integers(0, 20, 200)]
    y = random.standard_normal(200) if task == "regression" else random.integers(0, TASKS[task], 200)
    _, before, [found] = learned(cells, y, TASKS[task])
    for row in range(0, 200, 9):
        changed = y.copy()
        changed[row] = y[row] + 1000 if task == "regression" else (y[row] + 1) % TASKS[task]
        after = learned(cells, changed, TASKS[task])[1]
        np.testing.assert_array_equal(after[row], before[row])
        siblings = np.array([c == cells[row] for c in cells]) & (found.folds != found.folds[row])
        assert siblings.any() and (after[siblings] != before[siblings]).any(axis=1).all()


def test_the_folds_follow_the_seed(monkeypatch):
    folds, learn = [], target_encoding.learn

    def watched(*args):
        preparation, [found] = learn(*args)
        folds.append(found.folds.tolist())
        return preparation, [found]

    monkeypatch.setattr(target_encoding, "learn", watched)
    for seed in (0, 0, 1):
        train(shops(), settings=replace(QUICK, seed=seed))
    assert folds[0] == folds[1] != folds[2]


def test_no_training_row_of_a_whole_run_sees_its_own_target():
    """And rows for validation and the test have what the model gives them later."""
    frame = shops(400, 70)
    trained = train(frame, settings=QUICK)
    X, names = trained.training.X, trained.model.preparation.features
    place, rows = names.index("shop: mean target"), trained.rows["training"] - trained.rows["validation"]
    x = dict(zip(frame["x"].to_list(), range(400), strict=True))
    order = [x[value] for value in X[:, names.index("x")]]
    later = trained.model.prepare(frame[order]).X
    np.testing.assert_array_equal(X[rows:], later[rows:])
    np.testing.assert_array_equal(np.delete(X, place, axis=1), np.delete(later, place, axis=1))
    assert (X[:rows, place] != later[:rows, place]).mean() > 0.9
    for row in (0, 7, 100):
        y = frame["y"].to_numpy().copy()
        y[order[row]] += 50
        other = train(frame.with_columns(y=y), settings=QUICK)
        assert other.training.X[row, place] == X[row, place]
        assert other.model.preparation != trained.model.preparation
    y = frame["y"].to_numpy().copy()
    y[order[rows]] += 50  # for validation
    other = train(frame.with_columns(y=y), settings=QUICK)
    assert other.model.preparation == trained.model.preparation


@pytest.mark.usefixtures("always")
def test_weights_count_as_rows_do():
    random = np.random.default_rng(0)
    cells, y = [f"c{k}" for k in random.integers(0, 9, 60)], random.standard_normal(60)
    w = random.integers(0, 3, 60).astype(float)
    column = learned(cells, y, w=w)[0]
    assert learned(cells, y, w=2 * w)[0] == column
    assert learned(cells, np.where(w == 0, 1e6, y), w=w)[0] == column
    nothing = learned(cells, y, w=np.zeros(60))[0]
    assert not np.any(nothing.means)


def with_gaps(task):
    frame = shops(1000, 100, task=task)
    return frame.with_columns(shop=pl.when(pl.col("x") > 1.8).then(None).otherwise(pl.col("shop")))


@functools.cache
def pack(task):
    return train(with_gaps(task), settings=None)


@pytest.mark.parametrize("task", TASKS)
def test_rare_categories_carry_information(task):
    """Shops alone explain four fifths, and half of the rows are in rare ones."""
    scores = pack(task).scores
    if task == "regression":
        assert scores["network"]["r2"] > 0.8 and scores["linear"]["r2"] > 0.75
    else:
        assert max(scores[name]["log_loss"] for name in ("network", "linear")) < 0.65 * scores["constant"]["log_loss"]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("task", TASKS)
def test_file_and_onnx_give_the_same(task, packed, tmp_path):
    frame = with_gaps(task)
    model = (pack(task) if packed else train(frame, settings=QUICK)).model
    later = frame.with_columns(shop=pl.when(pl.col("x") < -1.5).then(pl.lit("new")).otherwise(pl.col("shop")))
    wanted = outputs(model, later)
    vp.save(tmp_path / "m", model)
    loaded = vp.load(tmp_path / "m")
    assert loaded.preparation == model.preparation and loaded.preparation.columns[0].means
    np.testing.assert_array_equal(outputs(loaded, later), wanted)
    found = run_onnx(model, later)[0][-1]
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.usefixtures("always")
def test_the_features_in_onnx_are_those_of_the_encoder():
    """Of categories, gaps and unseen ones, to the last bit: the export looks the same numbers up."""
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    column = learned(["a", "b", "c", None] * 5, [1.0, 5.0, 2.0, 1 / 3] * 5)[0]
    graph = OnnxGraph(onnx, "float32")
    features = onnx_tables._category(graph, column, "c")
    ports = [Port("cell", "c", np.dtype(object), (1,))], [Port("f", features, np.dtype(np.float64), (3,))]
    session = ort.InferenceSession(graph.serialize("encoder", 13, *ports, ""))
    cells = ["c", None, "a", "new", "b"]
    [found] = session.run(None, {"cell": np.array([[cell or ""] for cell in cells], dtype=object)})
    np.testing.assert_array_equal(found, encoded(column, cells))


def test_preparations_of_files_without_means_load_as_they_were():
    column = Category("c", ("a", "b"), ("c", "d"))
    stored = json.loads(json.dumps(Preparation((column,), {}).to_json()))
    assert "means" not in stored["columns"][0]
    assert Preparation.from_json(stored).columns == (column,)
    for wrong in ([[0.0, 1.0]], [[0.0, 1.0, 2.0, float("nan")]], [0.0], "m", [["a"] * 4]):
        with pytest.raises(ValueError, match="means"):
            Preparation.from_json({**stored, "columns": [{**stored["columns"][0], "means": wrong}]})


@pytest.mark.parametrize("task", TASKS)
def test_a_table_in_its_file_has_the_same_means(task, tmp_path, monkeypatch):
    path, frame = tmp_path / "t.parquet", shops(400, 70, task=task)
    frame.write_parquet(path)
    whole = train(path, settings=QUICK).model.preparation
    monkeypatch.setattr(streamed, "SMALL", 0)
    written = []
    write = target_encoding.OutOfFold.write
    monkeypatch.setattr(target_encoding.OutOfFold, "write", lambda self, X: (written.append((self, X)), write(self, X)))
    in_parts = train(tabular.scan(path), settings=QUICK).model.preparation
    assert_near(in_parts.columns[0].means, whole.columns[0].means, rtol=1e-12, atol=1e-14)
    [(part, X)] = written
    assert isinstance(X, np.memmap) and len(part.codes) == len(X) == 272


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("y", [[5.0] * 30, [1e150, -1e150] * 15])
def test_extreme_targets_stay_finite(y):
    column, X, _ = learned([f"c{k % 7}" for k in range(30)], y)
    assert np.isfinite(X).all() and np.isfinite(column.means).all()
    assert np.abs(X[:, -1]).max() <= 2 * max(np.abs(y))
