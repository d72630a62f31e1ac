"""The pack as the default model of tables: report, settings of one kind, Ctrl-C."""

import polars as pl
import pytest

from helpers import raising
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


@pytest.mark.parametrize("task", PLANS)
def test_the_report_shows_each_kind_and_its_weights(task):
    trained = tabular.train(PLANS[task], Settings(class_weight={"cheap": 2.0} if task == "classification" else None))
    found = trained.model.estimator.found_
    assert isinstance(trained.model.estimator, PackRegressor if task == "regression" else PackClassifier)
    text, report = concluded(trained), as_json(PLANS[task], trained)
    for name, weights in found:
        assert f"  {name.ljust(16)}  {'  '.join(f'{w:.2f}' for w in weights)}" in text
    assert report["pack"] == [(name, weights) for name, weights in found] or report["pack"] == [list(f) for f in found]
    assert trained.scores["network"] != trained.scores["linear"]
    assert trained.rows == {"training": 192, "validation": 29, "test": 48}


def test_a_setting_of_one_kind_gives_networks_of_one_kind():
    trained = tabular.train(PLANS["regression"], Settings(epochs=2))
    assert trained.model.estimator.n_networks == 4
    assert "4 networks of one kind, since epochs was given; else a pack is trained" in trained.notes
    assert Settings(hidden=(64, 64), l2=1.0).of_one_kind == ["hidden", "l2"], "even if these hold anyway"
    assert Settings(networks=2).of_one_kind == ["networks"] and Settings(class_weight="balanced").of_one_kind == []


def test_ctrl_c_ends_the_pack():
    with pytest.raises(KeyboardInterrupt):
        tabular.train(PLANS["classification"], callbacks=[raising(KeyboardInterrupt(), 2)])
