"""The commands train, predict, evaluate, export, info and sample: what they print, write and refuse."""

import json
import os
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

import vecprop as vp
from helpers import cases
from helpers.commands import refused, vecprop
from helpers.processes import environment, python
from vecprop import tabular
from vecprop.cli.app import app
from vecprop.data.houses import houses
from vecprop.data.streaming import examples as streamed

QUICK = ("--hidden", "8", "--epochs", "10")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with houses.csv, flowers.csv and a model of each, made by the commands themselves."""
    folder = tmp_path_factory.mktemp("home")
    data = vp.datasets.iris()
    kinds = np.array(data.target_names)[data.Y.argmax(axis=0)]
    frame = pl.DataFrame(dict(zip(data.feature_names, data.X, strict=True)))
    frame.with_columns(kind=pl.Series(kinds)).write_csv(folder / "flowers.csv")
    vecprop("sample", folder / "houses.csv", "-n", 300)
    vecprop("train", folder / "houses.csv", "-t", "price", "-o", folder / "houses-model", "--epochs", 40, "-q")
    vecprop("train", folder / "flowers.csv", "-t", "kind", "-o", folder / "flowers-model", "--epochs", 40, "-q")
    return folder


# --- train --------------------------------------------------------------------------------------------------


def test_a_newcomer_trains_and_predicts(tmp_path, monkeypatch):
    """The four lines of the README, with nothing but their defaults."""
    monkeypatch.chdir(tmp_path)
    out, err = vecprop("sample", "houses.csv")
    assert "next: vecprop train houses.csv --target price" in out
    out, err = vecprop("train", "houses.csv", "--target", "price")
    assert err == ""
    assert "houses.csv: CSV with ',', 1000 rows, 8 columns" in out
    assert re.search(r"target price: regression, since it has \d+ different whole numbers", out)
    assert re.search(r"built +numbers, missing ones filled with the median 19\d\d and marked", out)
    assert re.search(r"district +6 categories: 'Garden City', 'Harbour', 'Northern Heights', …", out)
    assert "missing values filled in: built 48, heating 45, garden 28" in out
    assert "sold      dates YYYY-MM-DD, as year, season and day of the week" in out
    assert re.search(r"200 test rows +network +linear model +constant\nR² +0\.9\d\d +0\.8\d\d +-?0\.0", out)
    assert "diagnosis" in out
    files = ["cost-curve.png", "model.safetensors", "predicted-against-true.png", "report.json"]
    assert sorted(path.name for path in Path("houses-model").iterdir()) == files
    for name in files:
        assert os.path.join("houses-model", name) in out
        if name.endswith(".png"):
            image = imread(Path("houses-model", name))
            assert min(image.shape[:2]) >= 500 and image[..., :3].std() > 0.02
    out, err = vecprop("predict", "houses-model", "houses.csv", "-o", "predictions.csv")
    assert out == "" and "built: " in err and "wrote 1000 predictions to predictions.csv" in err
    written = pl.read_csv("predictions.csv")
    assert written.columns == ["predicted_price"] and len(written) == 1000
    truth = pl.read_csv("houses.csv")["price"].to_numpy()
    assert np.corrcoef(truth, written["predicted_price"].to_numpy())[0, 1] > 0.95


def test_the_report_is_strict_json_and_agrees_with_the_model(home):
    text = (home / "houses-model" / "report.json").read_text(encoding="utf-8")
    report = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert report["target"] == {
        "name": "price", "task": "regression", "classes": [], "reason": report["target"]["reason"]
    }  # fmt: skip
    assert report["rows"] == {"training": 240, "validation": 36, "test": 60} and report["data"]["rows"] == 300
    assert set(report["columns"]) == {"district", "area", "rooms", "built", "heating", "garden", "sold"}
    assert report["missing"]["training"]["heating"] > 0
    assert len(report["training"]["loss"]) == report["training"]["epochs"] == 40
    model = vp.load(home / "houses-model" / "model.safetensors")
    assert isinstance(model, tabular.TableModel) and model.about["scores"] == report["scores"]


def test_json_goes_to_stdout_alone(tmp_path, home):
    out, err = vecprop("train", home / "flowers.csv", "-t", "kind", "-o", tmp_path / "m", *QUICK, "--json")
    assert json.loads(out)["target"]["classes"] == ["setosa", "versicolor", "virginica"]
    assert "classification, since it has 3 classes" in err and "wrote " in err
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        "confusion-matrix.png", "cost-curve.png", "model.safetensors", "report.json",
    ]  # fmt: skip


def test_quiet_prints_nothing(tmp_path, home):
    assert vecprop("train", home / "flowers.csv", "-t", "kind", "-o", tmp_path / "m", *QUICK, "-q") == ("", "")
    assert vecprop("predict", tmp_path / "m", home / "flowers.csv", "-o", tmp_path / "p.csv", "-q") == ("", "")


def test_the_same_seed_gives_the_same_file(tmp_path, home):
    words = ("train", home / "houses.csv", "-t", "price", *QUICK, "-q", "-o")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        vecprop(*words, tmp_path / name, "--seed", seed)
    one, two, other = (vp.load(tmp_path / name / "model.safetensors") for name in "abc")
    frame = houses(m=20)
    np.testing.assert_array_equal(one.predict(frame), two.predict(frame))
    assert not np.array_equal(one.predict(frame), other.predict(frame))
    assert one.about["scores"]["constant"] != other.about["scores"]["constant"], "another split"


def test_one_s_own_table_with_text_and_missing_values(tmp_path, monkeypatch):
    """Of semicolons, decimal commas, a name in each row, gaps and an index."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    lines = ["id;Name;Größe;Farbe;Preis"]
    for i in range(120):
        size, colour = random.uniform(1, 9), ("rot", "grün", "blau")[i % 3]
        cells = ["" if i % 17 == 0 else f"{size:.2f}".replace(".", ","), "" if i % 19 == 0 else colour]
        lines.append(";".join([str(i + 1), f"Stück {i}", *cells, f"{3 * size + 10 * (i % 3):.2f}".replace(".", ",")]))
    Path("waren.csv").write_text("\n".join(lines), encoding="utf-8")
    out, _ = vecprop("train", "waren.csv", "-t", "Preis", "--learning-rate", "0.01")
    assert "CSV with ';', 120 rows, 5 columns" in out
    assert re.search(r"Größe +numbers with a decimal comma, missing ones filled", out)
    assert re.search(r"Farbe +3 categories: 'blau', 'grün', 'rot'", out)
    assert re.search(r"Name +left out: 120 different texts in 120 rows are names", out)
    assert re.search(r"id +left out: it counts the rows", out)
    lines = ["Farbe;Größe;Name;id", "grün;2,50;x;1", "", "lila;2,50;x;2", ";;;"]
    Path("neu.csv").write_text("\n".join(lines), encoding="utf-8")
    out, err = vecprop("predict", "waren-model", "neu.csv", "--keep", "Farbe")
    assert err.startswith("1 line without any value left out\n"), "so that nobody puts them beside the file as it is"
    assert "Farbe: 1 value that training did not have: 'lila' (1)" in err
    assert "Größe: 1 missing, filled in with the median" in err and "Farbe: 1 missing, a category of its own" in err
    rows = [line.split(",") for line in out.splitlines()]
    assert rows[0] == ["Farbe", "predicted_Preis"] and len(rows) == 4
    assert abs(float(rows[1][1]) - 17.5) < 4


# --- use ----------------------------------------------------------------------------------------------------


def test_probabilities_and_spread(tmp_path, home):
    out = tmp_path / "p.parquet"
    vecprop("predict", home / "flowers-model", home / "flowers.csv", "-o", out, "--proba", "--spread", "--keep", "kind")
    found = pl.read_parquet(out)
    kinds = ["setosa", "versicolor", "virginica"]
    columns = [f"{what}_{kind}" for what in ("probability", "spread") for kind in kinds]
    assert found.columns == ["kind", "predicted_kind", *columns]
    P = found.select(columns[:3]).to_numpy()
    np.testing.assert_allclose(P.sum(axis=1), 1, atol=1e-5)
    assert [kinds[k] for k in P.argmax(axis=1)] == found["predicted_kind"].to_list()
    assert (found["kind"] == found["predicted_kind"]).mean() > 0.9
    out, _ = vecprop("predict", home / "houses-model", home / "houses.csv", "--spread", "-q")
    assert out.splitlines()[0] == "predicted_price,spread" and float(out.splitlines()[1].split(",")[1]) > 0


def test_predictions_are_those_of_the_library(home):
    out, err = vecprop("predict", home / "houses-model", home / "houses.csv", "-q")
    assert err == ""
    model = vp.load(home / "houses-model" / "model.safetensors")
    np.testing.assert_array_equal(
        [np.float32(line) for line in out.splitlines()[1:]], model.predict(home / "houses.csv").astype(np.float32)
    )


def test_evaluate(home):
    out, _err = vecprop("evaluate", home / "flowers-model", home / "flowers.csv")
    assert re.search(r"150 rows +network +constant +test rows of the training\naccuracy +0\.9", out)
    found = json.loads(vecprop("evaluate", home / "houses-model", home / "houses.csv", "--json")[0])
    model = vp.load(home / "houses-model" / "model.safetensors")
    assert found["rows"] == 300 and found["network"] == model.evaluate(home / "houses.csv")
    assert abs(found["constant"]["r2"]) < 1e-9


def test_evaluate_says_that_the_target_has_another_unit(tmp_path):
    path, other = tmp_path / "t.csv", tmp_path / "o.csv"
    path.write_text("x,y\n" + "".join(f"{i % 7},{i % 7 + i % 3 / 2} %\n" for i in range(60)))
    other.write_text(path.read_text().replace(" %", ""))
    vecprop("train", path, "-t", "y", "--linear", "-q", "-o", tmp_path / "m")
    found = [vecprop("evaluate", tmp_path / "m", data) for data in (path, other)]
    assert found[0] == (found[1][0], ""), "the same numbers"
    assert found[1][1] == "y: without a unit, and in training it was in %; taken as it stands\n"


def test_export(tmp_path, home):
    ort = pytest.importorskip("onnxruntime")
    out, _ = vecprop("export", home / "houses-model", tmp_path / "h.onnx")
    assert re.search(r'heating +text; "" where missing', out) and "outputs: prediction" in out
    names = [given.name for given in ort.InferenceSession(tmp_path / "h.onnx").get_inputs()]
    assert names == ["district", "area", "rooms", "built", "heating", "garden", "sold"]
    out, _ = vecprop("export", home / "houses-model", tmp_path / "h.onnx", "--dtype", "float64")
    assert re.search(r"area +numbers \(float64\)", out)
    assert {given.type for given in ort.InferenceSession(tmp_path / "h.onnx").get_inputs()} == {
        "tensor(double)", "tensor(string)"
    }  # fmt: skip
    assert "dtype must be float32 or float64, got 'half'" in refused(
        "export", home / "houses-model", tmp_path / "h.onnx", "--dtype", "half"
    )
    vp.save(tmp_path / "net", vp.Network((2, 1)), vp.Network((2, 1)).init())
    assert vecprop("export", tmp_path / "net", tmp_path / "n.onnx")[0] == f"wrote {tmp_path / 'n.onnx'}\n"
    assert [given.name for given in ort.InferenceSession(tmp_path / "n.onnx").get_inputs()] == ["X"]


def test_info(tmp_path, home):
    out, _ = vecprop("info", home / "houses-model")
    assert "a model of tables" in out and "regression of 'price' from 7 columns" in out and "written by" in out
    found = json.loads(vecprop("info", home / "flowers-model", "--json")[0])
    assert found["kind"] == "table" and found["classes"] == ["setosa", "versicolor", "virginica"]
    assert found["parameters"] == 4 * (4 * 64 + 64 + 64 * 64 + 64 + 64 * 3 + 3)
    vp.save(tmp_path / "net", vp.Network((2, 4, 1)), vp.Network((2, 4, 1)).init())
    assert "a network, 17 parameters" in vecprop("info", tmp_path / "net")[0]
    X = np.arange(20.0).reshape(10, 2)
    estimator = vp.estimators.MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs", random_state=0).fit(X, X[:, 0])
    vp.save(tmp_path / "reg", estimator)
    assert "a MLPRegressor, 13 parameters" in vecprop("info", tmp_path / "reg")[0]


def test_sample(tmp_path):
    vecprop("sample", tmp_path / "a.parquet", "-n", 20)
    assert pl.read_parquet(tmp_path / "a.parquet").equals(houses(20))
    assert "is there already" in refused("sample", tmp_path / "a.parquet")
    vecprop("sample", tmp_path / "a.parquet", "-n", 5, "--force")
    assert len(pl.read_parquet(tmp_path / "a.parquet")) == 5


# --- what is written over -----------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path, home, monkeypatch):
    """A folder with copies that may be lost, and files of the user's own."""
    monkeypatch.chdir(tmp_path)
    for name in ("houses.csv", "houses-model/model.safetensors", "houses-model/report.json"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes((home / name).read_bytes())
    mine = ("mine/report.json", "mine/bench.json", "mine/cost-curve.png")
    for name in ("notes.csv", "notes.onnx", "ck.previous", *mine):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("a,b\n1,2\n")
    for column, name in (("a", "notes[1].parquet"), ("predicted_price", "notes1.parquet")):
        pl.DataFrame({column: [1]}).write_parquet(name)
    os.symlink("houses.csv", "link.csv")
    os.link("houses-model/model.safetensors", "linked")
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


TRAIN, PREDICT = ("train", "houses.csv", "-t", "price", *QUICK, "-q"), ("predict", "houses-model", "houses.csv", "-q")
READ, THERE = "this command reads it; name another file", "is there already, and not known as an output"


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["", "force"])
@cases(
    ((*PREDICT, "-o", "houses.csv"), READ),
    ((*PREDICT, "-o", "houses-model/../houses.csv"), READ),
    ((*PREDICT, "-o", "link.csv"), READ),
    ((*PREDICT, "-o", "linked"), READ),
    (("predict", "linked", "houses.csv", "-o", "linked"), READ),
    (("export", "houses-model", "houses-model/model.safetensors"), READ),
    (("export", "houses-model", "linked"), READ),
    ((*TRAIN, "--checkpoint", "houses.csv"), READ),
    ((*PREDICT, "-o", "t.xlsx"), "FILE must end in .csv or .parquet, which tells the format, got 't.xlsx'"),
    ((*PREDICT, "-o", "t.csv.gz"), "FILE must end in .csv or .parquet, which tells the format, got 't.csv.gz'"),
    (("sample", "t.json"), "FILE must end in .csv or .parquet, which tells the format, got 't.json'"),
    (("export", "houses-model", "m.pt"), "FILE must end in .onnx, which tells the format, got 'm.pt'"),
)
def test_what_is_read_is_never_written_over(words, message, own, force):
    before = contents(own)
    assert message in refused(*words, *force)
    assert contents(own) == before


@pytest.mark.reliability
@pytest.mark.parametrize(
    "words",
    [
        (*PREDICT, "-o", "notes.csv"),
        (*PREDICT, "-o", "notes[1].parquet"),
        ("export", "houses-model", "notes.onnx", "-q"),
        (*TRAIN, "-o", "mine"),
        (*TRAIN, "--checkpoint", "notes.onnx"),
        (*TRAIN, "--checkpoint", "ck"),
        ("bench", "--sizes", "1", "--budget", "0.01", "--out", "mine"),
        ("demo", "--quick", "--out", "mine"),
        ("sample", "houses.csv"),
    ],
)
def test_what_others_wrote_is_written_over_with_force_only(own, monkeypatch, words):
    before = contents(own)
    assert THERE in refused(*words)
    assert contents(own) == before
    monkeypatch.setattr("vecprop.cli.demo._SECTIONS", ())
    if words[0] == "export":
        pytest.importorskip("onnx")
    vecprop(*words, "--force")


@pytest.mark.reliability
@pytest.mark.parametrize(
    "words",
    [
        (*PREDICT, "-o", "p.csv"),
        (*PREDICT, "-o", "p.parquet", "--keep", "area"),
        (*PREDICT, "-o", "p"),
        (*PREDICT, "-o", "empty.csv"),
        ("export", "houses-model", "h.onnx"),
        (*TRAIN, "-o", "houses-model"),
        (*TRAIN, "-o", "new", "--checkpoint", "new.checkpoint"),
        (*TRAIN, "--checkpoint", "new.checkpoint", "--resume"),
        ("bench", "--sizes", "1", "--budget", "0.01", "--out", "new"),
    ],
)
@pytest.mark.usefixtures("own")
def test_what_the_same_command_wrote_is_written_over(words):
    if words[0] == "export":
        pytest.importorskip("onnx")
    Path("empty.csv").touch()
    vecprop(*words)
    vecprop(*words)


# --- help ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [c.name or c.callback.__name__ for c in app.registered_commands])
@pytest.mark.usefixtures("own")
def test_every_command_has_help_whose_example_works(command):
    out, _ = vecprop(command, "--help")
    assert out.startswith(f"Usage: vecprop {command} ") and "Options:" in out
    assert out == vecprop(command, "-h")[0]
    example = re.search(r"Example: vecprop (.*?)\n\n", out, re.S).group(1).split()
    assert example[0] == command
    if command == "sample":
        Path("houses.csv").unlink()
    if command == "demo":
        return  # tests/cli/test_cli.py runs it
    less = {"train": QUICK, "bench": ("--budget", "0.02")}
    vecprop(*example, *less.get(command, ()))


def test_completion_for_the_shell():
    done = python("-m", "vecprop", "--show-completion", check=False, env=environment(SHELL="/bin/bash"))
    assert (done.returncode == 0 and "COMPLETE" in done.stdout) or "Shell" in done.stderr


# --- what is refused ----------------------------------------------------------------------------------------

RARE = "x,w,k\n" + "".join(f"{i % 37},{1 + i % 3},{'only' if i == 7 else 'ab'[i % 37 > 9]}\n" for i in range(400))
SKEWED = "x,u,k\n" + "".join(f"{i % 37},{i % 11},{'no' if i % 37 < 35 or i % 5 else 'yes'}\n" for i in range(600))
GOOD = "x,k,y\n" + "".join(f"{i % 7},{'ab'[i % 2]},{i * 1.5}\n" for i in range(30))


@cases(
    (GOOD, (), "which column is to be predicted? --target NAME; {path} has: x, k, y"),
    (GOOD, ("-t", "yy"), "target: {path} has no column 'yy': did you mean 'y'?"),
    (GOOD, ("-t", "y", "--hidden", "8;8"), "--hidden must be integers such as 64,32"),
    (GOOD, ("-t", "y", "--task", "regresion"), "unknown task 'regresion': did you mean 'regression'"),
    (GOOD, ("-t", "y", "--drop", "z"), "--drop: {path} has no column 'z'; it has: x, k, y"),
    (GOOD, ("-t", "y", "--test-share", "2"), "test_share must be"),
    (GOOD, ("-t", "y", "--backend", "jaxx"), "unknown backend 'jaxx': did you mean 'jax'"),
    (GOOD, ("-t", "y", "--networks", "0"), "networks must be a positive integer"),
    (GOOD, ("-t", "y", "--delimiter", ";;"), "delimiter must be one character"),
    (GOOD, ("-t", "y", "--encoding", "utf-99"), "knows no encoding 'utf-99'"),
    (GOOD, ("-t", "x", "-t", "k"), "--target is one column, got 'x' and 'k'"),
    (RARE, ("-t", "k", "--balance", "--class-weight", "a=2"), "two different things"),
    *(
        (RARE, ("-t", "k", "--class-weight", weight), "--class-weight must be CLASS=WEIGHT")
        for weight in ("a", "3", "a=x")
    ),
    (
        RARE,
        ("-t", "k", "--class-weight", "a=2", "--class-weight", "a=3"),
        "--class-weight names the class 'a' twice",
    ),
    (RARE, ("-t", "k", "--weight", "w", "--categorical", "w"), "--weight 'w': the column is named twice"),
    (RARE, ("-t", "k", "--class-weight", "c=2"), "class_weight: unknown class 'c'"),
    (RARE, ("-t", "w", "--task", "regression", "--balance"), "class_weight is for classes, and the target is a n"),
    (RARE, ("-t", "k", "--weight", "v"), "--weight: {path} has no column 'v'"),
    (GOOD, ("-t", "y", "--test-share", "0.999"), "test_share 0.999 of 30 rows leaves none to learn from"),
    (RARE, ("-t", "k", "--test-share", "0.999"), "test_share 0.999 of 400 rows leaves none to learn from"),
    (GOOD, ("-t", "y", "--weight", "y"), "--weight 'y' is the target; name another column"),
    ("Title,,\n" + GOOD, ("-t", "y"), "if comments or a title stand above its header, say how many lines (--skip)"),
    (GOOD, ("-t", "--2"), "target: {path} has no column '--2'"),
    (GOOD, ("-t", "y", "--linear"), "linear: a linear model has no hidden; leave out --linear or --hidden, got"),
    (GOOD, ("-t", "y", "--cache", "."), "--cache is for the features of a table that stays in its file"),
    (GOOD, ("-t", "y", "--checkpoint-every", "2"), "checkpoint_every is for a checkpoint, and there is none"),
    (GOOD, ("-t", "y", "--quick", "--networks", "2"), "--quick and --networks exclude each other"),
    (RARE, ("-t", "k", "--decimal", ";"), "unknown decimal ';'"),
    (RARE, ("-t", "k", "--date-format", "w=%d/%m"), "column 'w': '1' is not a date such as DD/MM"),
)
def test_training_that_is_refused(content, words, message, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(content)
    assert message.format(path=path) in refused("train", path, *QUICK, *words, "-o", tmp_path / "m", "-q")
    assert not (tmp_path / "m").exists(), "nothing is written"


def test_paths_that_are_refused(tmp_path, home):
    data, model = home / "houses.csv", home / "houses-model"
    (tmp_path / "file").write_text("x")
    for message, *words in (
        ("does not exist (looked from", "train", tmp_path / "none.csv", "-t", "y"),
        ("is a directory; give a file in it", "train", tmp_path, "-t", "y"),
        ("it is a file; name a folder", "train", data, "-t", "price", "-q", "-o", tmp_path / "file"),
        ("it is a file; name a folder", "train", data, "-t", "price", "-q", "-o", tmp_path / "file" / "m"),
        ("there is no folder", "predict", model, data, "-q", "-o", tmp_path / "no" / "p.csv"),
        ("is a directory", "predict", model, data, "-q", "-o", tmp_path),
        ("has no model.safetensors, as `vecprop train`", "predict", tmp_path, data),
        ("none does not exist", "predict", tmp_path / "none", data),
        ("there is no folder", "export", model, tmp_path / "no" / "m.onnx"),
    ):
        assert message in refused(*words)


def test_models_that_are_refused(tmp_path, home):
    houses_csv = home / "houses.csv"
    vp.save(tmp_path / "net", vp.Network((2, 1)), vp.Network((2, 1)).init())
    assert "holds a FitResult, which knows nothing of tables" in refused("predict", tmp_path / "net", houses_csv)
    assert refused("predict", houses_csv, houses_csv).startswith(f"the file '{houses_csv}'")
    whole = (home / "houses-model" / "model.safetensors").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    for command in (("predict", tmp_path / "cut", houses_csv), ("info", tmp_path / "cut")):
        assert "cut" in refused(*command)


def test_tables_that_do_not_fit_the_model(tmp_path, home):
    frame, path = pl.read_csv(home / "houses.csv"), tmp_path / "new.csv"
    words = frame.with_columns(pl.col("area").cast(pl.String))
    words[4, "area"] = "big"
    for changed, *options, message in (
        (frame.rename({"area": "Area"}), "{path} lacks the column 'area' of the training: did you mean 'Area'? It has"),
        (words, "{path}, line 6, column 'area': 'big' is not a finite number"),
        (frame, "--keep", "arae", "--keep: {path} has no column 'arae': did you mean 'area'"),
        (frame, "--proba", "--proba is for classes, and 'price' is a number"),
    ):
        changed.write_csv(path)
        assert message.format(path=path) in refused("predict", home / "houses-model", path, *options)
    frame.drop("price").write_csv(path)
    assert "lacks the target 'price'" in vecprop("evaluate", home / "houses-model", path, code=2)[1]


def test_spread_needs_several_networks(tmp_path, home):
    vecprop("train", home / "houses.csv", "-t", "price", *QUICK, "--networks", 1, "-q", "-o", tmp_path / "one")
    assert "--spread needs a model of several networks" in refused(
        "predict", tmp_path / "one", home / "houses.csv", "--spread"
    )


def test_a_run_that_diverges_has_an_exit_code_of_its_own(tmp_path, home):
    words = ("train", home / "houses.csv", "-t", "price", "--learning-rate", "1e30", "-q", "-o", tmp_path / "m")
    _out, err = vecprop(*words, code=1)
    assert "lower the --learning-rate (now 1e+30).\n" in err and not (tmp_path / "m").exists()


def test_a_file_that_cannot_be_written_is_left_as_it_was(tmp_path, home, monkeypatch):
    old = tmp_path / "p.csv"
    old.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device", str(old))

    monkeypatch.setattr(os, "fsync", full)
    words = ("predict", home / "houses-model", home / "houses.csv", "-q", "-o", old, "--force")
    assert "No space left on device" in refused(*words)
    assert old.read_text() == "old" and os.listdir(tmp_path) == ["p.csv"]


# --- tables as people have them -----------------------------------------------------------------------------


@cases(
    (GOOD, ("-t", "y", "--linear"), r"trained on 24 rows in .*\n\n6 test rows"),
    (GOOD, ("-t", "y", "--validation-share", "0.3"), r"trained on 17 rows, and 7 more told when to stop"),
    ("a\u2028title\n" + GOOD, ("-t", "y", "--skip", "1"), "30 rows, 3 columns"),
    (GOOD.replace("1.5\n", "\n", 1), ("-t", "y"), "1 row without a target left out"),
    (
        RARE,
        ("-t", "k"),
        r"note: class 'only' has 1 row to learn from\nnote: class 'only' is not among the test rows",
    ),
    (RARE.replace("9,1,b", "9,1,B"), ("-t", "k", "--linear"), "classes 'B', 'b' differ in capital letters alone"),
    (RARE, ("-t", "k", "--weight", "w"), r"w +left out: it says how much each row counts"),
    (RARE, ("-t", "k", "--balance", "--epochs", "3"), "3 epochs"),
    (SKEWED, ("-t", "k", "--linear"), r"'yes' has less than 2 % of the rows: --balance gives all"),
    (SKEWED, ("-t", "k", "--linear", "--balance"), r"(?s): none\n\nnetwork.*'yes' has less than 2 % of the rows\n"),
    (GOOD, ("-t", "y", "--linear", "--decimal", "."), r"next: vecprop predict \S+/m '\S+/a t.csv' --decimal \. -o"),
    (RARE, ("-t", "k", "--networks", "1", "--missing", "w=3"), "missing values filled in: w 133"),
    (RARE, ("-t", "k", "--class-weight", "a=2", "--class-weight", "only=0.5"), "3 classes"),
    (RARE, ("-t", "w"), r"3 classes: '1', '2', '3' \(--task regression says otherwise\)"),
    (GOOD.replace("x,k,y", "x,k,x2").replace("0.0", "0"), ("-t", "x2"), "target x2: regression"),
    ("x,y\n" + "".join(f"{i % 7},{3 * (i % 7)}.5\n" for i in range(60)), ("-t", "y"), "x alone tells the target"),
    (
        "days,y\n" + "".join(f"{999 if i % 4 else i},{i % 7}.5\n" for i in range(60)),
        ("-t", "y", "--linear"),
        "note: days: several values are 999, far from all others; if that means .* say --missing 'days=999'\n",
    ),
)
def test_what_is_said_of_a_table(content, words, said, tmp_path):
    path = tmp_path / "a t.csv"
    path.write_text(content)
    quick = () if "--linear" in words else QUICK[:2] if "--epochs" in words else QUICK
    out, _ = vecprop("train", path, *words, "-o", tmp_path / "m", *quick)
    assert re.search(said, out), out
    model = vp.load(tmp_path / "m" / "model.safetensors")
    assert len(model.predict(path)) == content.count("\n") - 1 if "--skip" not in words else True


def test_a_checkpoint_is_named_only_if_it_is_there(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    (tmp_path / "t.csv").write_text(GOOD)
    monkeypatch.setattr("vecprop.tabular.train", interrupted)
    words = ("train", tmp_path / "t.csv", "-t", "y", "-o", tmp_path / "m", "--checkpoint", tmp_path / "c", "-q")
    assert refused(*words, code=130) == "interrupted"


def test_a_table_that_stays_in_its_file(tmp_path, home, monkeypatch):
    monkeypatch.setattr(streamed, "SMALL", 0)
    monkeypatch.setattr(streamed, "WINDOW", 100 * 12 * 4)
    pl.read_csv(home / "houses.csv").write_parquet(tmp_path / "h.parquet")
    words = ("-t", "price", "--stream", *QUICK, "-o", tmp_path / "m")
    said = "".join(vecprop("train", tmp_path / "h.parquet", *words, "--missing", "Harbour"))
    assert "300 rows, 8 columns" in said and "5 categories" in said and (tmp_path / "m" / "model.safetensors").exists()
    assert "is no Parquet file" in (told := refused("train", home / "houses.csv", *words)) and "sink_parquet" in told


def test_a_class_that_training_did_not_have_is_an_error(tmp_path, home):
    frame, path = pl.read_csv(home / "flowers.csv"), tmp_path / "f.csv"
    for kind, message, rows in (
        ("rose", "3 rows of a class that training did not have, errors all: 'rose'", "150 rows"),
        (None, "3 rows without a target left out", "147 rows"),
    ):
        frame.with_columns(kind=pl.Series([kind] * 3 + frame["kind"].to_list()[3:])).write_csv(path)
        out, err = vecprop("evaluate", home / "flowers-model", path)
        assert message in err and rows in out
