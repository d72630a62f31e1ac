"""The pack as the default model of tables: report, file, ONNX, settings of one kind, Ctrl-C."""

import numpy as np
import polars as pl
import pytest

import vecprop as vp
from helpers import raising
from helpers.tables import outputs, run_onnx
from vecprop import tabular
from vecprop.data.houses import houses
from vecprop.estimators import PackClassifier, PackRegressor
from vecprop.tabular import Settings
from vecprop.tabular.report import as_json, concluded

HOUSES = houses(240, 3)
CHEAP = HOUSES.with_columns(
    kind=pl.when(pl.col("price") < 300_000).then(pl.lit("cheap")).otherwise(pl.lit("dear"))
).drop("price")
PLANS = {
    "regression": tabular.plan(tabular.table_of(HOUSES), "price"),
    "classification": tabular.plan(tabular.table_of(CHEAP), "kind"),
}
FRAMES = {"regression": HOUSES.drop("price"), "classification": CHEAP.drop("kind")}
TASKS = tuple(PLANS)


@pytest.fixture(scope="module")
def trained():
    weights = {"cheap": 2.0}
    return {
        "regression": tabular.train(PLANS["regression"]),
        "classification": tabular.train(PLANS["classification"], Settings(class_weight=weights)),
    }


@pytest.mark.parametrize("task", TASKS)
def test_the_report_shows_each_kind_and_its_weights(trained, task):
    found = trained[task].model.estimator.found_
    assert isinstance(trained[task].model.estimator, PackRegressor if task == "regression" else PackClassifier)
    text, report = concluded(trained[task]), as_json(PLANS[task], trained[task])
    for name, weights in found:
        assert f"  {name.ljust(16)}  {'  '.join(f'{w:.2f}' for w in weights)}" in text
    assert report["pack"] == [(name, weights) for name, weights in found] or report["pack"] == [list(f) for f in found]
    assert trained[task].scores["network"] != trained[task].scores["linear"]
    assert trained[task].rows == {"training": 192, "validation": 29, "test": 48}


@pytest.mark.parametrize("task", TASKS)
def test_a_file_predicts_the_same(trained, task, tmp_path):
    model = trained[task].model
    vp.save(tmp_path / "model.safetensors", model)
    loaded = vp.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(outputs(loaded, FRAMES[task]), outputs(model, FRAMES[task]))
    assert str(loaded) == str(model) and loaded.classes == (["cheap", "dear"] if task == "classification" else [])


def test_rows_far_outside_are_predicted(trained):
    far = FRAMES["regression"].with_columns(area=pl.lit(1e40), rooms=pl.lit(-1e40))
    assert np.isfinite(trained["regression"].model.predict(far)).all()


@pytest.mark.parametrize("task", TASKS)
def test_onnx_takes_the_columns_as_they_come(trained, task):
    model, frame = trained[task].model, FRAMES[task]
    wanted = outputs(model, frame)
    found, types = run_onnx(model, frame)
    np.testing.assert_allclose(found[-1], wanted, rtol=2e-5, atol=2e-5 * np.abs(wanted).max())
    assert set(types.values()) == {"tensor(string)", "tensor(double)"}


def test_a_setting_of_one_kind_gives_networks_of_one_kind():
    trained = tabular.train(PLANS["regression"], Settings(epochs=2))
    assert trained.model.estimator.n_networks == 4
    assert "4 networks of one kind, since epochs was given; else a pack is trained" in trained.notes
    assert Settings(hidden=(64, 64), l2=1.0).of_one_kind == ["hidden", "l2"], "even if these hold anyway"
    assert Settings(networks=2).of_one_kind == ["networks"] and Settings(class_weight="balanced").of_one_kind == []


def test_ctrl_c_ends_the_pack():
    with pytest.raises(KeyboardInterrupt):
        tabular.train(PLANS["classification"], callbacks=[raising(KeyboardInterrupt(), 2)])
