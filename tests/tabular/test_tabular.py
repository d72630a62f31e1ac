"""Tables: what is read, what a column is taken for, what it becomes, and what a model of them predicts."""

import csv
import datetime
import functools
import importlib.util
import math
import os

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

import vecprop as vp
from helpers import cases, raising, refusals
from helpers.processes import ROOT
from helpers.tables import run_onnx, train
from vecprop import tabular
from vecprop.data import tables
from vecprop.data.houses import houses
from vecprop.estimators import PackClassifier, PackRegressor
from vecprop.tabular import Choices, Settings, Spelling
from vecprop.tabular.encoders import Category, Date, Number
from vecprop.tabular.preparation import Preparation
from vecprop.tabular.report import as_json, concluded
from vecprop.tabular.scores import of_classes, of_numbers
from vecprop.tabular.targets import find_target
from vecprop.tabular.understanding import understand


def rows(count, *columns):
    """CSV of some rows, from functions of the row's number."""
    return "".join(",".join(str(column(i)) for column in columns) + "\n" for i in range(count))


X = np.random.default_rng(0).normal(size=40).tolist()


# --- reading ------------------------------------------------------------------------------------------------


def test_no_header(file):
    table = tabular.read(file("1,2\n3,4\n"))
    assert (table.names, table.header, len(table)) == (["column 0", "column 1"], False, 2)
    assert tabular.read(file("1,2\n3,4\n"), header=True).names == ["1", "2"]
    assert tabular.read(file("0,1\n3,4\n")).header is False
    # as pandas names columns without names
    for text in ("0,1\n3,a\n,\n", "0,1\n0.5,3\n1.25,4\n", "0,1,2,3,4\n5,6,7,8,9\n"):
        assert tabular.read(file(text)).names == text.partition("\n")[0].split(",")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_with_a_mark_are_known(file, encoding):
    table = tabular.read(file("größe,ort\n1,Köln\n2,Ulm\n", encoding=encoding))
    assert table.names == ["größe", "ort"] and table.column("ort")[0] == "Köln"


def test_an_encoding_that_is_named(file):
    path = file("größe,ort\n1,Köln\n", encoding="latin-1")
    assert tabular.read(path, encoding="latin-1").column("ort")[0] == "Köln"
    with pytest.raises(ValueError, match=r"data.csv, line 1: the byte 0xf6 is not utf-8 text; .*--encoding latin-1"):
        tabular.read(path)
    with pytest.raises(ValueError, match=r"line 2: the byte 0xe4 is not utf-8 text; .*--encoding cp1252"):
        tabular.read(file("preis\nä\n1 €\n", encoding="cp1252"))
    with pytest.raises(ValueError, match="knows no encoding 'latin-99'"):
        tabular.read(path, encoding="latin-99")


def test_blanks_and_lines_without_values(file):
    table = tabular.read(file("a, b \n 1 ,x\n\n   \n2,  \n"))
    assert table.names == ["a", "b"] and len(table) == 2 and table.blank == 2
    assert table.column("a").to_list() == ["1", "2"] and table.column("b").to_list() == ["x", None]
    table = tabular.read(file("a,b\n\n1,x\n,\n2,y\n\n"))
    assert table.column("a").to_list() == ["1", None, "2"], "a row of delimiters is one whose values are missing"
    table = tabular.read(file('a\n1\n""\n\n2\n'))
    assert table.column("a").to_list() == ["1", None, "2"] and table.blank == 1, "and pandas writes two quotes for one"


def test_quotes_after_a_blank_are_quotes(file):
    table = tabular.read(file('a, "b, c"\n1, "x, ""y"""\n\n2,  "z"\n'))
    assert table.names == ["a", "b, c"] and table.column("b, c").to_list() == ['x, "y"', "z"] and table.blank == 1


def test_lines_are_those_of_an_editor(file):
    table = tabular.read(file('a,b\n1,"two\nlines"\n\n3,x\n4,y\n'))
    assert [table.place(row, "b").split(",")[1] for row in range(3)] == [" line 2", " line 5", " line 6"]
    assert table.take(np.array([2])).place(0, "b").endswith("line 6, column 'b'"), "of some rows, too"


def test_parquet_and_npy_are_the_same_table(tmp_path):
    frame = houses(m=30)
    frame.write_csv(tmp_path / "h.csv")
    frame.write_parquet(tmp_path / "h.parquet")
    csv, parquet = (tabular.read(tmp_path / f"h.{kind}") for kind in ("csv", "parquet"))
    assert (csv.kind, parquet.kind) == ("csv", "parquet")
    np.testing.assert_array_equal(*(train(table, "price").training.X for table in (csv, parquet)))
    np.save(tmp_path / "h.npy", frame.select("area", "rooms", "price").to_numpy())
    table = tabular.read(tmp_path / "h.npy")
    assert table.names == ["column 0", "column 1", "column 2"]
    assert tabular.plan(table, "-1").target.name == "column 2"
    np.save(tmp_path / "fields.npy", np.zeros(5, dtype=[("x", "f8"), ("kind", "U3")]))
    assert tabular.read(tmp_path / "fields.npy").names == ["x", "kind"]


def test_cells_of_any_length(file):
    long = "x" * (1 << 18)
    for text in (f"a,b\n{long},1\n2,3\n", f'a, "b"\n{long}, 1\n2, 3\n'):
        assert tabular.read(path := file(text)).column("a").to_list() == [long, "2"]
        assert tabular.read(path).place(1, "a").endswith("line 3, column 'a'")
    limit = csv.field_size_limit()
    first, second = (tables._records(f"{long * n}\n{long * n}", ",") for n in (1, 2))  # as two threads read
    assert (next(first)[0], next(second)[0]) == (1, 1)
    first.close()
    assert len(next(second)[1][0]) == 2 * len(long) and not list(second)
    assert csv.field_size_limit() == limit


def test_options_of_csv_are_refused_for_other_files(tmp_path):
    houses(m=3).write_parquet(path := tmp_path / "h.parquet")
    for option in ({"delimiter": ";"}, {"encoding": "latin-1"}, {"header": False}, {"skip": 1}):
        with pytest.raises(ValueError, match=rf"^{next(iter(option))} is for CSV, and .*h.parquet is none"):
            tabular.read(path, **option)
    with pytest.raises(ValueError, match=r"path must be a CSV file, got .*h.parquet, which is parquet"):
        vp.datasets.from_csv(path)


test_files_that_are_no_tables = refusals(
    lambda file, content, name: tabular.read(file(content, name)),
    ("", "d.csv", "is empty; wanted is a table"),
    ("\n  \n\n", "d.csv", "is empty; wanted is a table"),
    ("a,b\n", "d.csv", r"has only a header \(a, b\) and no examples"),
    ("a,b,a\n1,2,3\n", "d.csv", "two columns of the name 'a'"),
    ("a,b\n1,2\n1,2,3\n", "d.csv", "line 3: 3 cells where line 1 has 2"),
    ("a,b\n1,2\n\n1\n", "d.csv", "line 4: 1 cells where line 1 has 2"),
    (',b\n0,"1\n2"\n , b\n1,3\n', "d.csv", "d.csv, line 4: the header a second time; delete this line"),
    ("sep=;\na;b\n1;2\na;b\n", "d.csv", "d.csv, line 4: the header a second time"),
    ("# by A, B\n# in C\na,b,c\n", "d.csv", r"line 2: 1 cells where line 1 has 2.* above the header \(--skip\)"),
    ('a,b\n1,"2\n', "d.csv", "line 2: not valid CSV"),
    (b"PK\x03\x04" + bytes(50), "d.xlsx", "is a zip file or a spreadsheet; save it as CSV or Parquet"),
    (b"\x1f\x8b\x08" + bytes(50), "d.csv.gz", "is a gzip file"),
    (b"\xff\xff\xff\xff" + bytes(50), "d.arrow", "is an Arrow stream; save it as CSV or Parquet"),
    (b"a,b\n1,\x00\n", "d.csv", "is no text: it has a zero byte"),
    (b"PAR1" + bytes(20), "d.parquet", "cannot be read as Parquet"),
    (b"a,b\n1,2\n", "d.parquet", "cannot be read as Parquet"),
    (b"\x93NUMPY\x01\x00", "d.npy", "cannot be read as a .npy file"),
    fixtures=["file"],
)


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.csv does not exist \(looked from"):
        tabular.read(tmp_path / "none.csv")
    with pytest.raises(IsADirectoryError, match="is a directory; give a file in it"):
        tabular.read(tmp_path)
    for pipe in (os.devnull, "-"):
        with pytest.raises(OSError, match=f"^{pipe} is a pipe or a device, which cannot be read twice; write it into"):
            tabular.read(pipe)


def test_arrays_that_are_no_tables(tmp_path):
    for array in (np.zeros(3), np.zeros((2, 2, 2)), np.zeros((2, 2), dtype=complex)):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(ValueError, match=r"must hold an array \(m, columns\)"):
            tabular.read(tmp_path / "a.npy")


def test_data_frames():
    pandas = pytest.importorskip("pandas")
    days = ["2024-01-01", None, "2024-03-01"]
    given = pandas.DataFrame(
        {"x": [1.0, None, 3.0], "k": ["a", "b", None], "d": pandas.to_datetime(days), "n": [1, 2, 3]}
    )
    table = tabular.table_of(given)
    assert table.column("x").to_list() == [1.0, None, 3.0] and table.column("k").to_list() == ["a", "b", None]
    assert table.column("d").dtype.is_temporal() and table.column("d")[1] is None
    if importlib.util.find_spec("pyarrow"):
        for kind in ("date32[pyarrow]", "timestamp[us][pyarrow]"):
            assert tabular.table_of(given.astype({"d": kind})).column("d").cast(pl.String)[2].startswith("2024-03-01")
    for wrong in ([1, 2], given["x"]):
        with pytest.raises(TypeError, match="data must be a path or a data frame of pandas or polars"):
            tabular.table_of(wrong)
    table = tabular.table_of(pl.DataFrame({"x": [[1], [2]], "z": [1, 2]}))
    assert table.names == ["z"] and table.unusable["x"].startswith("List(Int64) is not used")
    assert tabular.table_of(pandas.DataFrame({"x": np.ones(2, "longdouble"), "z": [1, 2]})).names == ["z"]
    odd = train(pl.DataFrame({"*": X, "^x$": X, "count": ["a", "b"] * 20, "len": X[::-1], "y": X}), "count")
    assert set(odd.model.preparation.names) == {"len", "y"}
    assert "takes its name for a pattern" in odd.model.preparation.left_out["*"]
    with pytest.raises(ValueError, match=r"target: column 'x' of data cannot be used: List"):
        table.find("x", "target")


# --- what a column is ---------------------------------------------------------------------------------------


def test_a_word_among_numbers_is_an_error_with_its_place(file):
    path = file("a,b\n" + rows(40, lambda i: i * i, lambda i: "abc" if i == 16 else i % 7 + 0.5))
    with pytest.raises(ValueError, match=r"data.csv, line 18, column 'b': 'abc' is not a number, and 39 of 40 cells"):
        tabular.plan(tabular.read(path), "a")
    for choice, found in (
        ({"missing": ["abc"]}, "number"), ({"categorical": ["b"]}, "category"), ({"drop": ["b"]}, "as asked for"),
    ):  # fmt: skip
        assert found in tabular.plan(tabular.read(path), "a", choices=Choices(**choice)).kinds["b"]


def test_a_text_for_missing_values_is_kept_with_the_model(tmp_path):
    frame = pl.DataFrame({"x": ["gone" if i % 9 == 0 else str(i * i) for i in range(60)], "y": np.arange(60) * 1.5})
    vp.save(tmp_path / "m", train(frame, missing=["gone"]).model)
    prepared = vp.load(tmp_path / "m").prepare(pl.DataFrame({"x": ["gone", "4"]}))
    assert prepared.X[:, 1].tolist() == [1.0, 0.0] and prepared.found["x"].missing == 1
    frame.write_csv(tmp_path / "t.csv")
    for form, where in (("%d.%m.%Y", ""), ("x=%Y", " in this column")):
        with pytest.raises(ValueError, match=rf"--date-format '{form}': the model uses no dates{where}; leave it out"):
            vp.load(tmp_path / "m").predict(tabular.read(tmp_path / "t.csv", spelling=Spelling(date_format=[form])))


@pytest.mark.parametrize("order", [1, -1])
def test_the_format_of_a_column_counts_before_that_of_all(order):
    """In either order; that of a column that is not used counts for none."""
    dates = [f"0{1 + i % 9}/0{1 + i % 7}/2024" for i in range(40)]
    spans = pl.Series(range(40)).cast(pl.Duration)
    table = tabular.table_of(pl.DataFrame({"day": dates, "other": dates, "span": spans, "y": [0, 1] * 20}))
    choices = Choices(date_format=["day=%d/%m/%Y", "%m/%d/%Y", "span=%Y"][::order])
    found = tabular.plan(table, "y", choices=choices).table.forms
    assert (found["day"].format, found["other"].format) == ("%d/%m/%Y", "%m/%d/%Y")


CHOSEN_FROM = pl.DataFrame({"area": np.arange(20) ** 2, "kind": ["a", "b"] * 10, "y": np.arange(20.0)})
CHOSEN_FROM = CHOSEN_FROM.with_columns(letter=pl.col("kind").cast(pl.Categorical), day=pl.date(2020, 1, 1), huge=2e38)

test_wrong_choices = refusals(
    lambda choices: train(CHOSEN_FROM, task="regression", **choices),
    ({"drop": ["aera"]}, "--drop: data has no column 'aera': did you mean 'area'"),
    ({"missing": ["aera=9"]}, "--missing: data has no column 'aera': did you mean 'area'"),
    ({"date_format": "%d/%m/%Y"}, "--date-format '%d/%m/%Y': no text in data is a date such as DD/MM/YYYY; correct"),
    (
        {"date_format": ["%Y", "%d.%m.%Y"]},
        "--date-format: '%Y' and '%d.%m.%Y' are each for all columns",
    ),
    ({"date_format": "sold=%d/%m/%Y"}, "--date-format: data has no column 'sold'; it has: area"),
    ({"date_format": "kind=%Y-%m-%d %H"}, "date_format: polars does not know '%Y-%m-%d %H': .* hour and minute"),
    ({"numeric": ["y"]}, "--numeric 'y' is the target"),
    ({"numeric": ["area"], "drop": ["area"]}, "--numeric 'area': the column is named twice"),
    ({"numeric": ["kind"]}, "column 'kind': 'a' is not a finite number"),
    ({"numeric": ["letter"]}, "column 'letter': 'a' is not a finite number"),
    ({"weight": "day"}, "--weight 'day' must hold numbers; it has Date"),
    ({"weight": "huge"}, "--weight 'huge': its numbers must have a sum above 0 that float32 can hold, got 4e"),
)


# --- what it becomes ----------------------------------------------------------------------------------------


def test_numbers_by_hand():
    table = tabular.table_of(pl.DataFrame({"c": [1.0, None, 4.0, 7.0]}))
    column = Number.learn(table, "c")
    assert column.features == ["c", "c is missing"] and column.fill == 4.0
    encoded, found = column.encode(table)
    np.testing.assert_array_equal(encoded, [[1, 0], [4, 1], [4, 0], [7, 0]])
    assert found.missing == 1


def test_categories_by_hand():
    table = tabular.table_of(pl.DataFrame({"c": ["b", "a", "b", "c", "d", None]}))
    column = Category.learn(table, "c", most=2)
    assert column.categories == ("a", "b") and column.other == ("c", "d")
    assert column.features == ["c=a", "c=b", "c=(other)", "c=(missing)"]
    encoded, found = column.encode(tabular.table_of(pl.DataFrame({"c": ["b", "c", None, "new", "new"]})))
    np.testing.assert_array_equal(encoded, [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert found.missing == 1 and found.unseen == {"new": 2}


def test_dates_by_hand():
    table = understand(tabular.table_of(pl.DataFrame({"d": ["1970-01-01", "1970-01-08", None, "1970-01-03"]})))
    encoded, found = Date.learn(table, "d").encode(table)
    year, week = 2 * np.pi / 365.2425, 2 * np.pi / 7
    for row, day in zip(encoded, [0, 7, 2, 2], strict=True):
        circle = [math.cos(year * day), math.sin(year * day), math.cos(week * day), math.sin(week * day)]
        np.testing.assert_allclose(row[:5], [1970 + day / 365.2425, *circle], rtol=1e-12, atol=1e-12)
    assert encoded[:, 5].tolist() == [0, 0, 1, 0] and found.missing == 1


def test_the_weekday_is_no_feature_of_months():
    months = Date.learn(understand(tabular.table_of(pl.DataFrame({"d": ["1970-01", None, "1970-07"]}))), "d")
    assert months.features == ["d: years", "d: cos in the year", "d: sin in the year", "d: is missing"]
    for day in (1, 2):
        column = Date.learn(tabular.table_of(pl.DataFrame({"d": [datetime.date(1970, k, day) for k in (1, 7)]})), "d")
        assert column.week == (day == 2)


def test_hours_are_features_of_dates_with_a_time():
    table = understand(tabular.table_of(pl.DataFrame({"d": ["1970-01-01 06:00", "1970-01-02 12:00"]})))
    column = Date.learn(table, "d")
    assert column.features[-2:] == ["d: cos in the day", "d: sin in the day"]
    np.testing.assert_allclose(column.encode(table)[0][:, -2:], [[0, 1], [-1, 0]], atol=1e-12)


def test_preparation_is_learned_from_training_rows_alone_and_survives_json():
    table = tabular.table_of(houses(m=200))
    trained = train(table, "price")
    preparation = trained.model.preparation
    prices = table.column("price").to_list()
    known = table.take(np.setdiff1d(np.arange(200), [prices.index(price) for price in trained.truth.tolist()]))
    area = next(c for c in preparation.columns if c.name == "area")
    assert area.fill == float(np.median(known.column("area").to_numpy()))
    again = Preparation.from_json(preparation.to_json())
    assert again == preparation
    np.testing.assert_array_equal(again.transform(table).X, preparation.transform(table).X)


def test_order_and_other_columns_do_not_matter():
    frame = houses(m=150)
    model = train(frame, "price").model
    predicted = model.predict(frame)
    other = frame.select(
        "sold", "price", pl.lit(1).alias("new"), "garden", "heating", "built", "rooms", "area", "district"
    )
    np.testing.assert_array_equal(model.predict(other), predicted)
    assert model.prepare(other).ignored == ("new",)
    np.testing.assert_array_equal(model.predict(frame.drop("price")), predicted)


@functools.cache
def houses_model():
    return train(houses(m=60), "price").model


test_tables_that_do_not_fit = refusals(
    lambda change: houses_model().predict(change(houses(m=60))),
    (lambda f: f.drop("area"), r"lacks the column 'area' of the training"),
    (lambda f: f.rename({"area": "Area"}), r"lacks the column 'area' of the training: did you mean 'Area'"),
    (lambda f: f.drop("area", "sold"), r"lacks the columns 'area', 'sold' of the training; it has: district"),
    (lambda f: f.with_columns(area=pl.lit("big")), "column 'area': 'big' is not a finite number"),
    (lambda f: f.with_columns(sold=pl.lit("soon")), "'soon' is not a date such as YYYY-MM-DD"),
    (lambda f: f.with_columns(sold=pl.lit("01/02/2020")), r"as MM/DD/YYYY; .*, or say --date-format '%d/%m/%Y'$"),
    (lambda f: f.with_columns(sold=pl.lit(3)), "must hold dates, as in training; it has Int32"),
    (lambda f: f.with_columns(area="sold"), "must hold numbers, as in training; it has Date"),
)


# --- targets ------------------------------------------------------------------------------------------------


@cases(
    ([1.5, 2.5, 3.5], None, "regression", 1.5),
    (list(range(0, 300, 10)), None, "regression", 0.0),
    ([1, 2, 3, 1], None, "classification", 1),
    ([1, 2, 3, 1], "regression", "regression", 1.0),
    (pl.Series(["10", "20", "10"], dtype=pl.Categorical), "regression", "regression", 10.0),
    (["b", "a", "b"], None, "classification", "b"),
    (["yes", "none", "no"], None, "classification", "yes"),
    ([True, False, True], None, "classification", True),
    ([True, False, True], "regression", "regression", 1.0),
    (["001", "002"], None, "classification", "001"),
    (["1", "01"], None, "classification", "1"),
)
@pytest.mark.parametrize("typed", [True, False])
def test_the_task_follows_the_target(cells, task, found, first, typed):
    values = cells if typed else [str(c) for c in cells]
    table = tabular.table_of(pl.DataFrame({"y": values}))
    target = find_target(understand(table, target="y"), "y", task)
    assert target.task == found
    value = target.values(table)[0].item()
    assert value == first and type(value) is type(first)


test_targets_that_cannot_be_learned = refusals(
    lambda cells, task: tabular.plan(
        tabular.table_of(pl.DataFrame({"y": cells, "x": range(len(cells))})), "y", task, drop_unlabelled=False
    ),
    (["a", "a"], None, "has only one class, 'a'"),
    ([2.5, 2.5], None, "has only one value, 2.5"),
    (["a", None, "b"], None, "row 1 .* the target is missing; fill it in, or leave these rows out"),
    (["1.5", "nan", "NaN"], None, r"the target is missing \(2 such rows\)"),
    (["a", "b"], "regression", "'a' is not a finite number"),
    (["1", "2", "3", "unknown"] * 9, "regression", r"row 3 .* the target is missing \(9 such rows\)"),
    ([f"word {i}" for i in range(50)], None, "50 different texts in 50 rows, .* are no classes"),
    ([1.0, 2e300, 3.5] * 9, None, "numbers beyond 1e[+]150, whose squares"),
    ([i + 0.5 for i in range(50)], "classification", "50 different numbers, too many for classes"),
    (["a", "b"], "clustering", "task: unknown task 'clustering'"),
    ([str(i + 0.5) for i in range(39)] + ["abc"], None, "'abc' is not a number, and 39 of 40"),
    (list(range(50)), None, "nothing to be learned: it counts the rows; name another .* --task regression"),
    ([str(i) for i in range(50)], None, "nothing to be learned: it counts the rows"),
)


test_targets_of_another_kind_are_no_targets_of_a_model = refusals(
    lambda trained, given: find_target(
        understand(tabular.table_of(pl.DataFrame({"y": trained})), target="y"), "y", None
    ).values(tabular.table_of(pl.DataFrame({"y": trained}).with_columns(y=given))),
    ([i / 7 for i in range(30)], pl.date(2020, 1, 1), "the target 'y' must hold numbers; it has Date"),
    (
        [i % 3 == 0 for i in range(30)],
        pl.lit(0.5),
        r"row 0 .*: 0.5 is not true or false, 1 or 0, .*\(30 such cells",
    ),
    ([i % 3 == 0 for i in range(30)], pl.lit("0.5"), "'?0.5'? is not true or false"),
    ([i % 3 for i in range(30)], pl.lit(0.5), "0.5 is not a whole number"),
    ([i % 3 for i in range(30)], pl.lit("1/2"), "'1/2' is not a finite number"),
    ([i % 3 for i in range(30)], pl.lit("0.5"), "0.5 is not a whole number"),
)


def test_rows_without_a_target_are_left_out_unless_that_is_refused(file):
    path = file("x,y\n" + rows(40, lambda i: i % 9, lambda i: "" if i in (3, 5) else i * 1.5))
    with pytest.raises(ValueError, match=r"line 5, column 'y': the target is missing \(2 such rows\)"):
        tabular.plan(tabular.read(path), "y", drop_unlabelled=False)
    plan = tabular.plan(tabular.read(path), "y")
    assert len(plan.table) == 38 and plan.unlabelled == 2
    assert plan.table.place(3, "y").endswith("line 6, column 'y'"), "lines are still those of the file"


test_tables_without_anything_to_learn = refusals(
    lambda columns: train(pl.DataFrame(columns), task="regression"),
    ({"x": range(9), "y": np.arange(9) / 2}, "data has 9 examples; at least 10 are needed"),
    ({"x": [1], "y": [2]}, "has only one value, 2"),
    ({"x": [1] * 20, "y": range(20)}, r"has no column to learn from \(x: all its values are 1\)"),
    ({"x": range(20), "y": np.arange(20) / 2}, r"\(x: it counts the rows, --numeric 'x' says otherwise\)"),
    ({"x": [], "y": []}, r"data has only a header \(x, y\) and no examples"),
)


# --- training -----------------------------------------------------------------------------------------------


def test_a_regression_finds_what_made_the_prices():
    trained = train(houses(m=1500), "price", None)
    network, linear, constant = (trained.scores[name] for name in ("network", "linear", "constant"))
    assert network["r2"] > 0.93 and network["r2"] > linear["r2"] > 0.8 and abs(constant["r2"]) < 0.05
    assert network["mean_absolute_error"] < 0.35 * constant["mean_absolute_error"]
    assert trained.rows == {"training": 1200, "validation": 180, "test": 300} and len(trained.truth) == 300
    np.testing.assert_allclose(network["r2"], of_numbers(trained.truth, trained.predicted)["r2"], rtol=1e-6)


@pytest.mark.parametrize("labels", [["rose", "lily", "aster"], [3, 1, 2]])
def test_a_classification_keeps_its_labels(labels, tmp_path):
    data = vp.datasets.iris()
    kinds = np.array(labels)[data.Y.argmax(axis=0)]
    frame = pl.DataFrame({f"x{i}": row for i, row in enumerate(data.X)} | {"kind": kinds})
    trained = train(frame, "kind", Settings(networks=2))
    assert trained.scores["network"]["accuracy"] > 0.85 > trained.scores["constant"]["accuracy"]
    model = trained.model
    assert model.classes == sorted(labels) and set(model.predict(frame)) <= set(labels)
    P = model.predict_proba(frame)
    assert P.shape == (150, 3) and np.allclose(P.sum(axis=1), 1, atol=1e-5)
    counts = [int((trained.truth == label).sum()) for label in model.classes]
    assert counts == [10, 10, 10], "the classes keep their shares"
    vp.save(tmp_path / "iris", model)
    again = vp.load(tmp_path / "iris")
    np.testing.assert_array_equal(again.predict_proba(frame), P)
    assert again.evaluate(frame) == model.evaluate(frame) and again.about == model.about


def test_advice_is_in_the_options_of_the_command():
    noise = pl.DataFrame({"x": X, "y": X[::-1]})
    trained = train(noise, settings=Settings(networks=1, epochs=20))
    assert "training ended after 20 epochs before it converged: more --epochs" in trained.notes
    advice = " ".join(finding.advice for finding in trained.diagnosis)
    assert "--seed" in advice and "--l2" in advice and "alpha" not in advice
    with pytest.raises(
        vp.DivergenceError, match=r"^training diverged: .*: lower the --learning-rate \(now 1e\+20\)\.$"
    ):
        train(noise, settings=Settings(networks=1, learning_rate=1e20))


def test_a_new_table_may_lack_columns_whose_gaps_were_named_in_training():
    frame = pl.DataFrame({"q1": X, "q9": X, "q10": X})
    model = train(frame, "q10", Settings(linear=True), missing=["q10=99", "q9=7"], drop=["q9"]).model
    np.testing.assert_array_equal(model.predict(frame.select("q1")), model.predict(frame))
    assert model.evaluate(frame.drop("q9")) == model.evaluate(frame)


def test_pandas_categories_of_numbers_are_predicted_as_such_and_periods_are_dates():
    pandas = pytest.importorskip("pandas")
    columns = {"k": pandas.Categorical(np.arange(40) % 3 * 10), "b": pandas.Categorical(np.arange(40) % 2 == 0)}
    frame = pandas.DataFrame({**columns, "x": X, "p": pandas.period_range("2024-01-01", periods=40, freq="D")})
    for name, classes, other in (("k", [0, 10, 20], "b"), ("b", [False, True], "k")):
        model = train(frame, name, Settings(linear=True)).model
        assert model.classes == classes and set(model.predict(frame)) <= set(frame[name])
        assert {c.name: c.kind for c in model.preparation.columns} == {other: "category", "x": "number", "p": "date"}
        np.testing.assert_array_equal(model.predict(frame.astype(str)), model.predict(frame))


def test_the_table_of_one_training_is_read_anew_by_the_model_of_another():
    frame = pl.DataFrame({"day": [f"2024-01-{1 + i % 28:02}" for i in range(40)], "x": X, "y": X})
    dates, categories = train(frame), train(frame, categorical=["day"])
    np.testing.assert_array_equal(dates.model.predict(categories.table), dates.model.predict(frame))
    np.testing.assert_array_equal(categories.model.predict(dates.table), categories.model.predict(frame))


def test_a_model_reads_a_file_with_its_columns_in_mind(file):
    """They tell the delimiter, where two would do, and that a line of numbers is the header."""
    frame = pl.DataFrame({"2019": X, "a,b": X[::-1], "y": X})
    model = train(frame, settings=Settings(linear=True)).model
    path = file(frame.select("a,b", "2019").write_csv(separator=";", decimal_comma=True, quote_style="never"))
    np.testing.assert_allclose(model.predict(path), model.predict(frame))
    frame = frame.rename({"a,b": "2000"})
    model = train(frame, settings=Settings(linear=True)).model
    path = file(frame.select("2000", "2019").write_csv())
    np.testing.assert_allclose(model.predict(path), model.predict(frame))


def test_the_model_of_one_backend_predicts_on_another(jax_backend, tmp_path):
    frame = houses(m=100)
    trained = train(frame, "price", Settings(epochs=5, networks=1))
    vp.save(tmp_path / "m", trained.model)
    np.testing.assert_allclose(
        vp.load(tmp_path / "m", backend=jax_backend).predict(frame), trained.model.predict(frame), rtol=1e-4
    )


def test_a_linear_model_is_no_hidden_layer():
    called: list[int] = []
    callbacks = [lambda _, history: called.append(len(history["cost"])) or len(called) == 2]
    linear = tabular.train(tabular.plan(tabular.table_of(houses(m=300)), "price"), Settings(linear=True), callbacks)
    assert called == [1, 2] and linear.model.estimator.stopped_ == "callback"
    with pytest.raises(ValueError, match="no validation_share; leave out --linear or --validation-share, got"):
        Settings(linear=True, validation_share=0.3)
    trained = train(houses(m=300), "price", Settings(hidden=()))
    assert trained.model.estimator.network_.sizes == (trained.training.X.shape[1], 1)
    np.testing.assert_allclose(trained.scores["network"]["r2"], trained.scores["linear"]["r2"], atol=0.02)


def test_scores_against_scikit_learn():
    random = np.random.default_rng(0)
    y, predicted = random.standard_normal((2, 50))
    names = ("mean_absolute_error", "median_absolute_error", "root_mean_squared_error")
    errors = {name: getattr(metrics, name)(y, predicted) for name in names}
    assert of_numbers(y, predicted) == pytest.approx({"r2": metrics.r2_score(y, predicted), **errors}, rel=1e-9)
    classes = np.array(["a", "b", "c"])
    labels, P = classes[random.integers(3, size=50)], random.dirichlet(np.ones(3), 50)
    best = classes[P.argmax(axis=1)]
    assert of_classes([(labels, np.log(P))], classes) == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(labels, best),
            "balanced_accuracy": metrics.balanced_accuracy_score(labels, best),
            "f1_macro": metrics.f1_score(labels, best, average="macro", zero_division=0.0),
            "log_loss": metrics.log_loss(labels, P, labels=classes),
        },
        rel=1e-9,
    )
    sure = random.integers(1, 6, size=50) / 6  # with ties
    labels = classes[random.integers(2, size=50)]
    own = of_classes([(labels, np.log(np.stack([1 - sure, sure], axis=1)))], classes[:2])
    assert own["roc_auc"] == pytest.approx(metrics.roc_auc_score(labels == "b", sure), rel=1e-9)
    found = of_classes([(np.array(["a", "z"]), np.log(P[:2]))], classes)
    alone = of_classes([(np.array(["a"]), np.log(P[:1]))], classes)
    assert found == alone | {"accuracy": alone["accuracy"] / 2}, "a class that training did not have is an error"
    with pytest.raises(ValueError, match="only classes that training did not have"):
        of_classes([(np.array(["z"]), np.log(P[:1]))], classes)


def test_a_number_far_beyond_those_of_the_training_is_refused_with_its_place(file):
    path = file("a,c,y\n" + rows(60, lambda i: i**2 % 17, lambda i: "" if i % 3 else 3.5, lambda i: f"{i / 2}"))
    model = train(path, task="regression").model
    new = file("a,c\n1,3.5\n1e300,3.5\n", "new.csv")
    for method in (model.predict, model.prepare):
        with pytest.raises(ValueError, match=r"new.csv, line 3, column 'a': .* is too far from the numbers"):
            method(new)
    # of a column with one value only the mark is used
    assert model.predict(file("a,c\n1,-1e40\n", "new.csv")) == model.predict(file("a,c\n1,3.5\n", "same.csv"))
    assert np.isfinite(model.predict(file("a,c\n1e20,1e20\n", "new.csv"))).all()


# --- the pack, the default model ------------------------------------------------------------------------------

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
    assert "that told when to stop, then trained on all\n" in text
    for name, weights in found:
        assert f"  {name.ljust(16)}  {'  '.join(f'{w:.2f}' for w in weights)}" in text
    assert report["pack"] == [(name, weights) for name, weights in found] or report["pack"] == [list(f) for f in found]
    assert trained.scores["network"] != trained.scores["linear"]
    assert trained.rows == {"training": 192, "validation": 29, "test": 48}


def test_rows_without_a_weight_do_not_tell_when_to_stop():
    frame = HOUSES.with_columns(w=(pl.int_range(pl.len()) % 20 == 0).cast(pl.Float64))
    for seed in range(3):
        trained = train(frame, "price", Settings(networks=1, epochs=2, seed=seed), weight="w")
        known = trained.rows["training"] - trained.rows["validation"]
        assert 0 < trained.rows["validation"] < 5 < known and np.isfinite(trained.scores["network"]["r2"])


def test_a_setting_of_one_kind_gives_networks_of_one_kind():
    trained = tabular.train(PLANS["regression"], Settings(epochs=2))
    assert trained.model.estimator.n_networks == 4
    assert "4 networks of one kind, since epochs was given; else a pack is trained" in trained.notes
    assert Settings(hidden=(64, 64), l2=1.0).of_one_kind == ["hidden", "l2"], "even if these hold anyway"
    assert Settings(networks=2).of_one_kind == ["networks"] and Settings(class_weight="balanced").of_one_kind == []


def test_ctrl_c_ends_the_pack():
    with pytest.raises(KeyboardInterrupt):
        tabular.train(PLANS["classification"], callbacks=[raising(KeyboardInterrupt(), 2)])


# --- files and ONNX -----------------------------------------------------------------------------------------


def test_onnx_has_no_two_values_of_one_name():
    pytest.importorskip("onnx")
    frame = pl.DataFrame({"label": np.arange(20.0) ** 2, "y": ["a", "b"] * 10})
    with pytest.raises(ValueError, match="a column of the name 'label' cannot be an input"):
        vp.export_onnx(train(frame).model)
    frame = pl.DataFrame({"W1": np.arange(20.0) ** 2, "X": np.arange(20.0)[::-1] ** 2, "y": ["a", "b"] * 10})
    model = train(frame).model
    assert run_onnx(model, frame)[0][0].tolist() == model.predict(frame).tolist()


def test_the_table_of_the_documentation_is_the_one_that_is_generated():
    path = ROOT / "docs" / "data" / "houses.csv"
    assert path.read_text(encoding="utf-8") == houses().write_csv()
