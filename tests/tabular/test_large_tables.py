"""A table that stays in its file: what is found out part by part is what is found out in memory."""

import datetime
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import vecprop as vp
from helpers.tables import outputs
from vecprop import tabular
from vecprop.data import splitting
from vecprop.data.streaming import examples as streamed
from vecprop.estimators import large_data
from vecprop.estimators.inputs import Examples
from vecprop.tabular import large_tables
from vecprop.tabular.preparation import learn
from vecprop.tabular.report import concluded

pytestmark = pytest.mark.reliability


def zoo():
    """Columns of every kind and every fault, of 60 rows."""
    random = np.random.default_rng(3)
    m = 60
    whole, words = random.permutation(m), [["red", "green", "blue", "of a kind"][i] for i in random.integers(0, 4, m)]
    start = datetime.datetime(2020, 1, 1)
    days = [start + datetime.timedelta(days=int(i)) for i in random.integers(0, 900, m)]
    hours = [start + datetime.timedelta(hours=int(i)) for i in random.integers(0, 900, m)]
    real = random.standard_normal(m).tolist()

    def but(cells, changes):
        cells = list(cells)
        for place, value in changes.items():
            cells[place] = value
        return cells

    return {
        "numbers": real,
        "numbers with gaps": but(real, {3: None, 40: float("nan")}),
        "an even number of numbers": [*real[:59], None],
        "infinite": but(real, {20: float("inf"), 50: -float("inf")}),
        "constant": [2.5] * m,
        "constant with a gap": [2.5] * 59 + [None],
        "zeros of two signs": [0.0, -0.0] * 30,
        "nothing": pl.Series([None] * m, dtype=pl.Float64),
        "null": [None] * m,
        "only the last": [None] * 59 + [1.5],
        "count": list(range(m)),
        "count from 1": list(range(1, m + 1)),
        "count from 2": list(range(2, m + 2)),
        "count with a gap": but(range(m), {30: None}),
        "count that jumps": but(range(m), {m - 1: m}),
        "house id": whole,
        "other_id": but(whole, {m - 1: int(whole[0])}),
        "a key": [float(i) + 0.5 for i in whole],
        "gaps in an ID": but(whole.tolist(), {7: None}),
        "two numbers": random.integers(0, 2, m),
        "halves": (random.integers(0, 4, m) / 2),
        "many whole": random.integers(-500, 500, m),
        "large": [2**62 + int(i) for i in whole],
        "flags": [i % 3 == 0 for i in range(m)],
        "numbers as text": [f" {value:.3f}" for value in real],
        "numbers as text with gaps": but([f"{value:.3f}" for value in real], {0: "", 5: "NA", 50: None}),
        "whole numbers as text": [str(i % 7) for i in whole],
        "1 and 1.0": ["1", "1.0"] * 30,
        "one word among numbers": but([f"{value:.3f}" for value in real], {33: "n.a. yet"}),
        "some words among numbers": but([f"{value:.3f}" for value in real], dict.fromkeys(range(10, 30), "many")),
        "missing words": ["NA", "null"] * 30,
        "none is a class": ["none", "some"] * 30,
        "one text": ["a"] * m,
        "one text with gaps": but(["a"] * m, {1: None, 59: " "}),
        "categories": words,
        "categories with gaps": but(words, {0: None, 31: "", 59: None}),
        "categorical": pl.Series(words, dtype=pl.Categorical),
        "names": [f"name {i}" for i in range(m)],
        "31 of 60": [f"name {i % 31}" for i in range(m)],
        "30 of 60": [f"name {i % 30}" for i in range(m)],
        "dates": [day.date() for day in days],
        "dates with gaps": but([day.date() for day in days], {2: None}),
        "hours": hours,
        "times": [hour.time() for hour in hours],
        "durations": [hour - start for hour in hours],
        "dates as text": [f"{day:%Y-%m-%d}" for day in days],
        "hours as text": but([f"{hour:%Y-%m-%d %H:%M}" for hour in hours], {9: None}),
        "dates of two meanings": [f"0{1 + i % 9}/0{1 + i % 7}/2024" for i in range(m)],
        "dates of one meaning": but([f"0{1 + i % 9}/0{1 + i % 7}/2024" for i in range(m)], {58: "28/02/2024"}),
        "a word among dates": but([f"{day:%Y-%m-%d}" for day in days], {55: "soon"}),
        "rare categories": but(["often"] * m, {i: f"rare {i}" for i in range(0, m, 4)}),
    }


CHOICES = {
    "found out": {},
    "categories": {"categorical": ["c"], "most_categories": 3},
    "numbers": {"numeric": ["c"]},
    "dates": {"date_format": "%m/%d/%Y"},
    "missing": {"missing": ["red", "soon", "a", "n.a. yet", "many"]},
}


def outcome(function, *arguments):
    """What a function returns, or the error it raises."""
    try:
        return function(*arguments)
    except ValueError as error:
        return f"{type(error).__name__}: {error}"


def as_feature(table, choices):
    plan = tabular.plan(table, "y", choices=tabular.Choices(**choices))
    preparation = learn(plan.table, plan.kinds, plan.choices)
    return plan.kinds, str(preparation), preparation


def as_target(table, column, task, choices):
    plan = tabular.plan(table, column, task, tabular.Choices(**choices), drop_unlabelled=task is None and bool(choices))
    y, classes = plan.target.coded(plan.table)
    values = plan.target.values(plan.table)
    np.testing.assert_array_equal(y if classes is None else classes[y], values)
    return plan.target, plan.unlabelled, len(plan.table), values.tolist()


@pytest.fixture
def small_parts(monkeypatch):
    for module, name, size in (
        (large_tables, "_ROWS", 13), (large_tables, "_PART", 31), (large_tables, "_PART_OF_TEXTS", 37),
        (splitting, "_AT_ONCE", 17),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, size)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("name", zoo())
def test_a_table_in_its_file_is_what_it_is_in_memory(name, tmp_path, amount):
    """Kinds, medians, categories, targets, classes, and every error to the letter."""
    path = tmp_path / "t.parquet"
    y = np.random.default_rng(0).standard_normal(60)
    column = "c" if not name.lower().endswith(("id", "key")) else name
    pl.DataFrame({column: zoo()[name], "y": y, "x": y[::-1]}).write_parquet(path, row_group_size=25)
    tables = tabular.read(path), tabular.scan(path)
    for said in amount(("dates" if "date" in name else "found out",), CHOICES):
        choices = {k: [column] if v == ["c"] else v for k, v in CHOICES[said].items()}
        whole, in_parts = (outcome(as_feature, table, choices) for table in tables)
        assert whole == in_parts
        for task in amount((None,), (None, "regression", "classification")):
            whole, in_parts = (outcome(as_target, table, column, task, choices) for table in tables)
            assert repr(whole) == repr(in_parts)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("name", ["categories", "numbers", "whole numbers as text"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_same_rows_are_the_test_rows(name, tmp_path, monkeypatch):
    """The scores of the constant, which knows the split alone, are the same.

    Encoded, the table is read as a whole if it fits, else trained on in its file; nothing is left in the cache.
    """
    path, cache = tmp_path / "t.parquet", tmp_path / "cache"
    cache.mkdir()
    x = np.random.default_rng(0).standard_normal(60)
    pl.DataFrame({"c": zoo()[name], "x": x, "z": zoo()["rare categories"]}).write_parquet(path)
    settings = tabular.Settings(hidden=(3,), epochs=2, networks=2)
    for small, networks in ((streamed.SMALL, 2), (0, 1)):
        whole = tabular.train(tabular.plan(tabular.read(path), "c"), replace(settings, networks=networks))
        monkeypatch.setattr(streamed, "SMALL", small)
        large_one = tabular.train(tabular.plan(tabular.scan(path), "c"), replace(settings, cache=cache))
        assert large_one.model.estimator.n_networks == networks
        assert any("one network" in note for note in large_one.notes) == (networks == 1)
        assert sorted(large_one.truth.tolist()) == sorted(whole.truth.tolist())
        assert large_one.truth.dtype == whole.truth.dtype and large_one.predicted.dtype == whole.predicted.dtype
        assert large_one.model.preparation == whole.model.preparation
        assert large_one.model.classes == whole.model.classes
        assert large_one.scores["constant"] == pytest.approx(whole.scores["constant"], rel=1e-12)
        assert large_one.scores["linear"] == pytest.approx(whole.scores["linear"], rel=1e-3)
        assert large_one.model.evaluate(path) == pytest.approx(whole.model.evaluate(path), rel=0.5, abs=0.5)
        model, in_memory = large_one.model, tabular.read(path)
        np.testing.assert_allclose(outputs(model, path), outputs(model, in_memory), rtol=1e-6)
    assert not list(cache.iterdir())
    with pytest.raises(FileNotFoundError, match=r"cache: there is no folder .*none; make it, or name another"):
        tabular.train(tabular.plan(tabular.scan(path), "c"), tabular.Settings(cache=cache / "none"))


def test_a_pack_of_a_table_in_its_file(tmp_path, monkeypatch):
    """One network of each kind, and a note that says so; saved, it predicts the same."""
    path = tmp_path / "t.parquet"
    x = np.random.default_rng(0).standard_normal((400, 2))
    pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": np.where(x[:, 0] * x[:, 1] > 0, "in", "out")}).write_parquet(path)
    monkeypatch.setattr(streamed, "SMALL", 0)
    trained = tabular.train(tabular.plan(tabular.scan(path), "c"))
    assert [len(weights) for _, weights in trained.model.estimator.found_] == [1, 1, 1, 1]
    assert "then trained on all" not in concluded(trained)
    assert trained.notes[0].startswith("one network of each kind: several would each read the file")
    assert trained.scores["network"]["accuracy"] > 0.8 > trained.scores["linear"]["accuracy"]
    vp.save(tmp_path / "m", trained.model)
    np.testing.assert_array_equal(vp.load(tmp_path / "m").predict(path), trained.model.predict(path))


@pytest.mark.usefixtures("small_parts")
def test_rows_of_a_table_in_its_file(tmp_path):
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": range(60), "b": [None, *"x" * 59]}).write_parquet(path)
    table = tabular.scan(path)
    some = table.take(np.arange(60) % 2 == 1).take(np.array([29, 3])).take(np.array([False, True]))
    assert len(some) == 1 and some.column("a").to_list() == [59]
    assert [part.len() for part in table.parts("a")] == [31, 29]
    assert [len(block) for block in table.blocks()] == [13, 13, 13, 13, 8]
    assert some.place(0, "a").endswith("row 59 (counted from 0), column 'a'")
    with pytest.raises(IndexError):
        some.place(1, "a")


def test_a_file_without_values(tmp_path):
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": ["", " "], "b": [None, None]}).write_parquet(path)
    for read in (tabular.read, tabular.scan):
        with pytest.raises(ValueError, match=r"t.parquet: the target 'b' is missing in all rows"):
            tabular.plan(read(path), "b")
    pl.DataFrame({"a": []}).write_parquet(path)
    with pytest.raises(ValueError, match=r"t.parquet has only a header"):
        tabular.scan(path)
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ValueError, match=r"t.parquet cannot be read as Parquet"):
        tabular.scan(path)
    with pytest.raises(FileNotFoundError, match=r"no.parquet does not exist"):
        tabular.scan(tmp_path / "no.parquet")


def test_the_linear_model_sees_every_class(tmp_path, monkeypatch):
    """Also one that none of the evenly spread examples has."""
    monkeypatch.setattr(streamed, "SMALL", 1)
    monkeypatch.setattr(large_data, "SOME", 10)
    np.save(tmp_path / "X.npy", np.arange(2000.0).reshape(1000, 2))
    X, y = np.load(tmp_path / "X.npy", mmap_mode="r"), np.zeros(1000, dtype=np.uint8)
    y[501:503], y[7] = 1, 2
    examples = Examples(large_data.large_rows(X), y, None)
    some, classes, weights, *_ = examples.some(y)
    assert len(some) == 12
    np.testing.assert_array_equal(y[(some[:, 0] / 2).astype(int)], classes)
    assert set(classes) == {0, 1, 2}
    np.testing.assert_allclose(np.bincount(classes, weights) * 1000 / 12, np.bincount(y))
    assert len(examples.some().X) == 10
