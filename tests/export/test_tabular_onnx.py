"""ONNX of tables: onnxruntime gives what the model gives, also of numbers, dates and targets far from 0."""

import datetime

import numpy as np
import polars as pl
import pytest

from helpers.tables import run_onnx, train
from vecprop import tabular
from vecprop.export.onnx_tables import described

M, TINY = 300, tabular.Settings(networks=1, epochs=1, hidden=(2,))
RANDOM = np.random.default_rng(0)
NEAR = RANDOM.normal(size=M).astype(np.float32).astype(np.float64)  # as an input of float32 has it
WORDS = np.array(["x", "yy", "z"], dtype=object)[RANDOM.integers(0, 3, M)]
GAPS = np.where(RANDOM.random(M) < 0.1, np.nan, np.round(700 + 50 * NEAR))
PARTS = 20_000_000.0 + np.arange(M) * 7 % 50
SECONDS = 1_700_000_000.0 + RANDOM.integers(0, 3 * 86_400, M)
SITES = 5_800_000 + np.round(RANDOM.normal(size=M), 3)
MINUTES = RANDOM.integers(0, 2 * 1440, M).astype(float)
DAYS = (datetime.date(2021, 3, 4) - datetime.date(1970, 1, 1)).days + MINUTES / 1440
CLOCK = np.where(RANDOM.random(M) < 0.1, np.nan, MINUTES % 1440 / 1440)
WHEN = [datetime.datetime(2021, 3, 4) + datetime.timedelta(minutes=minutes) for minutes in MINUTES]

# columns, the target, the columns that are inputs of float64
CASES = {
    "ordinary": ({"a": NEAR, "words": WORDS, "gaps": GAPS}, 3 * NEAR + 4 * (WORDS == "x"), set()),
    "part numbers": ({"a": NEAR, "part": PARTS}, NEAR + (PARTS - 2e7) / 10, {"part"}),
    "UNIX seconds": ({"a": NEAR, "t": SECONDS}, NEAR / 10 + np.sin((SECONDS - 1.7e9) / 40_000), {"t"}),
    "northings": ({"a": NEAR, "north": SITES}, NEAR + (SITES - 5.8e6), {"north"}),
    "far, with gaps": ({"a": NEAR, "g": GAPS + 3e7}, NEAR + np.isnan(GAPS), {"g"}),
    "dates of two days": ({"a": NEAR, "when": WHEN}, NEAR / 10 + np.sin(3 * (DAYS - DAYS.min())), {"when"}),
    "a target of 1e8 ± 3": ({"a": NEAR, "words": WORDS}, 1e8 + 3 * NEAR, set()),
    "true, false and gaps": ({"a": NEAR, "flag": NEAR > 1, "only": np.where(GAPS > 700, 7.0, np.nan)}, NEAR, set()),
    "true with gaps": ({"a": NEAR, "flag": np.where(GAPS > 700, 1.0, np.nan)}, NEAR + (GAPS > 700), set()),
    "times of the day": ({"a": NEAR, "clock": CLOCK}, NEAR + 3 * np.isnan(CLOCK), {"clock"}),
    "numbers beyond float32": ({"a": NEAR, "huge": 1e100 * NEAR}, NEAR, {"huge"}),
}


def frame_of(columns, y):
    frame = pl.DataFrame({name: list(values) for name, values in columns.items()} | {"y": y})
    frame = frame.with_columns(pl.selectors.float().fill_nan(None))
    clock = (pl.col("^clock$") * 1440).round().cast(pl.Int64) * 60_000_000_000
    return frame.with_columns(clock.cast(pl.Time))


def run(model, columns, **options):
    """The first output, of columns as the inputs take them, and the inputs of float64."""
    given = columns | ({"when": DAYS} if "when" in columns else {})
    found, types = run_onnx(model, pl.DataFrame({name: list(values) for name, values in given.items()}), **options)
    return found[0], {name for name, kind in types.items() if kind == "tensor(double)"}


@pytest.mark.parametrize("name", CASES)
def test_a_table_in_onnx_is_as_exact_as_in_python(name):
    columns, y, double = CASES[name]
    frame = frame_of(columns, y)
    model = train(frame, settings=tabular.Settings(networks=2, epochs=30, hidden=(16, 16))).model
    expected = model.predict(frame)
    assert expected.dtype == np.float64 and model.evaluate(frame)["r2"] > 0.5
    for opset in (13, 17):
        found, inputs = run(model, columns, opset=opset)
        assert inputs == double and found.dtype == np.float64
        assert np.abs(found - expected).max() < 1e-6 * y.std()
    for column in columns:
        (line,) = (line for line in described(model).splitlines() if line.split()[0] == column)
        assert ("float64" in line) == (column in double)
    found, inputs = run(model, columns, dtype="float64")
    assert inputs == columns.keys() - {"words"}
    assert np.abs(found - expected).max() < 1e-6 * y.std()


@pytest.mark.parametrize("name", ["true, false and gaps", "times of the day"])
def test_every_kind_of_column_of_a_pack_in_onnx(name):
    columns, y, _ = CASES[name]
    frame = frame_of(columns, y)
    model = train(frame, settings=tabular.Settings(seed=1)).model
    found, inputs = run(model, columns)
    assert inputs == columns.keys()
    np.testing.assert_allclose(found, model.predict(frame), atol=2e-5 * y.std())


def test_the_sides_of_the_limit_between_float32_and_float64():
    """At a mean of 160 deviations float32 is still good to 1e-5 of one, at 180 it is not."""
    wave = np.where(np.arange(60) % 2, 1.0, -1.0) + np.arange(60) / 1e6
    for mean, double in ((160.0, set()), (-160.0, set()), (180.0, {"a"}), (-180.0, {"a"})):
        model = train(pl.DataFrame({"a": mean + wave, "y": wave}), settings=TINY).model
        assert run(model, {"a": mean + wave})[1] == double


def test_words_of_inputs_and_outputs():
    frame = frame_of(*CASES["ordinary"][:2]).with_columns(kind=pl.Series(WORDS))
    model = train(frame, "kind", TINY).model
    assert described(model).splitlines()[1] == "  a      numbers (float32); NaN where missing"
    assert described(model).splitlines()[2] == '  words  text; "" where missing, and no blanks around it'
    assert described(model, "float64").splitlines()[1] == "  a      numbers (float64); NaN where missing"
    assert described(model, "float64").splitlines()[-1] == "outputs: label, probabilities (float64)"


def test_categories_that_are_numbers_or_truths_in_their_usual_spellings():
    k, b = np.arange(M) % 3, np.arange(M) % 2

    def columns(numbers, truths):
        return {"k": np.array(numbers)[k], "b": np.array(truths)[b]}

    frame = pl.DataFrame(columns(["01", "2", "2.5"], ["no", "yes"])).with_columns(y=NEAR + k * 3 + b)
    model = train(frame, settings=TINY, categorical=["k", "b"]).model
    for others in (["1", "2", "2.5"], ["N", "Y"]), (["1.0", "2.0", "2.5"], ["False", "true"]):
        found, _ = run(model, columns(*others))
        np.testing.assert_allclose(found, model.predict(pl.DataFrame(columns(*others))), rtol=1e-5)
        np.testing.assert_allclose(found, model.predict(frame), rtol=1e-5)
