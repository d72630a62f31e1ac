"""Tables as people have them: however a file spells its cells, the model and its predictions are the same."""

import datetime
import random
import time

import numpy as np
import polars as pl
import pytest

import vecprop as vp
from helpers import cases, refusals
from helpers.tables import train
from vecprop import tabular
from vecprop.data.spelling import booleans, dates, numbers
from vecprop.tabular import Choices, Spelling
from vecprop.tabular.encoders import Date, Number, check_fields, fields_of
from vecprop.tabular.understanding import understand

M = 200


def values(seed=0):
    """Columns of every kind, as Python values; None is missing."""
    r = random.Random(seed)
    days = [datetime.date(2019, 1, 1) + datetime.timedelta(days=r.randrange(1200)) for _ in range(M)]
    area = [round(r.uniform(1, 30_000), 2) for _ in range(M)]
    gap = [None if i % 7 == 3 else round(r.gauss(0, 2), 3) for i in range(M)]
    flag = [i % 3 == 0 for i in range(M)]
    kind = [r.choice(["red", "grün", "deep blue"]) for _ in range(M)]
    y = [
        round(a / 100 + 50 * f + 30 * (k == "red") + d.year % 7, 2)
        for a, f, k, d in zip(area, flag, kind, days, strict=True)
    ]
    return {"area": area, "gap": gap, "flag": flag, "kind": kind, "day": days, "y": y}


def spelled(
    columns, delimiter=",", decimal=".", thousands="", truth=("true", "false"), day="%Y-%m-%d", missing="", before="",
    after="", minus="-", quoted=False, blanks="", end="\n",
):  # fmt: skip
    """The table as text."""

    def number(value, digits):
        text = f"{abs(value):,.{digits}f}".replace(",", "_").replace(".", decimal).replace("_", thousands)
        sign = (minus if value < 0 else "", "") if minus != "()" else ("(", ")") if value < 0 else ("", "")
        return sign[0] + before + text + after + sign[1]

    def cell(name, value):
        if value is None:
            return missing
        if name == "day":
            return f"{value:{day}}"
        text = number(value, 2 if name != "gap" else 3) if isinstance(value, float) else value
        return truth[not text] if isinstance(text, bool) else text

    def line(cells):
        quote = '"' if quoted or any(delimiter in c for c in cells) else ""
        return (blanks + delimiter + blanks).join(quote + c + quote for c in cells)

    rows = zip(*([cell(name, value) for value in column] for name, column in columns.items()), strict=True)
    return end.join([line(columns), *map(line, rows)]) + end


GERMAN = {"delimiter": ";", "decimal": ","}
SPELLINGS = {
    "plain": {},
    "tabs": {"delimiter": "\t"},
    "bars, quoted": {"delimiter": "|", "quoted": True},
    "German": {**GERMAN, "thousands": ".", "truth": ("wahr", "falsch"), "day": "%d.%m.%Y"},
    "German, no thousands": {**GERMAN, "truth": ("ja", "nein"), "day": "%d.%m.%y"},
    "decimal commas in tabs": {"delimiter": "\t", "decimal": ",", "truth": ("1", "0")},
    "decimal commas, quoted": {"decimal": ",", "quoted": True},
    "French": {**GERMAN, "thousands": "\u202f", "truth": ("oui", "non"), "day": "%d/%m/%Y"},
    "Swiss": {"delimiter": ";", "thousands": "'", "truth": ("VRAI", "FAUX"), "day": "%d.%m.%Y"},
    "American": {"thousands": ",", "truth": ("TRUE", "FALSE"), "day": "%m/%d/%Y", "missing": "NA"},
    "Excel's dates": {"day": "%m/%d/%y", "truth": ("Yes", "No"), "missing": "#N/A"},
    "Python": {"truth": ("True", "False"), "missing": "nan"},
    "SQL": {"truth": ("t", "f"), "missing": "\\N", "day": "%Y-%m-%d 00:00:00"},
    "polars": {"day": "%Y-%m-%dT00:00:00.000000"},
    "UTC": {"day": "%Y-%m-%dT00:00:00Z", "truth": ("Y", "N")},
    "an offset": {"day": "%Y-%m-%d 02:00:00+02:00", "missing": "n.a."},
    "names of months": {"day": "%d-%b-%Y", "missing": "-"},
    "long names of months": {"day": "%B %d, %Y", "missing": "?"},
    "twelve hours": {"day": "%Y/%m/%d 12:00 AM"},
    "dollars": {"before": "$", "thousands": ",", "missing": "unknown"},
    "euros": {**GERMAN, "after": " €", "thousands": ".", "missing": "--"},
    "accounting": {"minus": "()", "thousands": ","},
    "typographic minus": {"minus": "−", "missing": "<NA>"},
    "blanks and line ends": {"blanks": "  ", "end": "\r\n"},
    "old Macs": {"end": "\r", "day": "%Y.%m.%d"},
}


def pandas_frame(columns):
    return pytest.importorskip("pandas").DataFrame(columns)


LIBRARIES = {
    "polars": pl.DataFrame,
    "categories": lambda columns: pl.DataFrame(columns).cast({"kind": pl.Categorical, "flag": pl.Int8}),
    "times with a zone": lambda columns: pl.DataFrame(columns).cast({"day": pl.Datetime("us", "UTC")}),
    "pandas": lambda columns: pandas_frame(columns).astype({"day": str}),
    "pandas with types": lambda columns: (
        pandas_frame(columns).astype({"day": "datetime64[s]"}).convert_dtypes().astype({"kind": "category"})
    ),
}


@pytest.fixture(scope="module")
def reference():
    columns = values()
    return columns, train(pl.DataFrame(columns))


def same_model(found, trained):
    np.testing.assert_array_equal(found.training.X, trained.training.X)
    np.testing.assert_array_equal(found.predicted, trained.predicted)
    assert found.scores == trained.scores


# One of four in `make test`, all in `make test-all`
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.reliability] if i % 4 else []) for i, name in enumerate(SPELLINGS)]
)
def test_one_table_in_many_spellings_is_one_model(name, reference, file):
    columns, trained = reference
    path = file(spelled(columns, **SPELLINGS[name]))
    same_model(train(path), trained)
    np.testing.assert_array_equal(trained.model.predict(path), trained.model.predict(pl.DataFrame(columns)))
    new = values(seed=1)
    path = file(spelled(new, **SPELLINGS[name]))
    np.testing.assert_array_equal(trained.model.predict(path), trained.model.predict(pl.DataFrame(new)))
    assert trained.model.evaluate(path) == trained.model.evaluate(pl.DataFrame(new))


@pytest.mark.parametrize("library", LIBRARIES)
def test_one_table_in_many_types_is_one_model(library, reference, file, tmp_path):
    columns, trained = reference
    frame = LIBRARIES[library](columns)
    same_model(train(frame), trained)
    if isinstance(frame, pl.DataFrame):
        for kind, write in {"parquet": frame.write_parquet, "arrow": frame.write_ipc}.items():
            frame.head(0).write_parquet(tmp_path / f"t1.{kind}")
            write(path := tmp_path / f"t[1].{kind}")  # no pattern for another file
            same_model(train(path), trained)
            np.testing.assert_array_equal(trained.model.predict(path), trained.model.predict(frame))
            assert kind == "arrow" or len(tabular.scan(path)) == M
    german = train(file(spelled(columns, **SPELLINGS["German"])))
    np.testing.assert_array_equal(german.model.predict(frame), trained.model.predict(pl.DataFrame(columns)))


@cases(
    (("True", "False"), [False, True]),
    (("yes", "no"), ["no", "yes"]),
    (("1", "0"), [0, 1]),
    (("001", "002"), ["001", "002"]),
    (("12345678901234567", "12345678901234568"), [12345678901234567, 12345678901234568]),
)
def test_labels_are_given_back_as_they_were(words, classes, file):
    columns = values()
    columns["y"] = [words[a < 15_000] for a in columns["area"]]
    path = file(spelled(columns))
    model = train(path).model
    assert model.classes == classes and set(model.predict(path).tolist()) <= set(classes)
    if classes[1] is True:
        columns["y"] = [word == "True" for word in columns["y"]]
        assert (model.predict(pl.DataFrame(columns)) == np.array(columns["y"])).mean() > 0.5
        assert model.evaluate(pl.DataFrame(columns)) == model.evaluate(path)


# --- cells --------------------------------------------------------------------------------------------------


@cases(
    (["1,234.5", "12,34,567", "1 234", "1'234.5"], ".", [1234.5, 1234567, 1234, 1234.5]),
    (["1.234,5", "1.234.567", "5.000", "1,5"], ",", [1234.5, 1234567, 5000, 1.5]),
    (["28.02.2022", "1.3", "1.23.456", "1.2345"], ",", [None] * 4),
    (["1,23", "0,123", "1,2345", "3/5", "job 5", "12:30"], ".", [None] * 6),
    (["$1.50", "-$1.50", "$-2", "US$5", "€ 5", "5€"], ".", [1.5, -1.5, -2, 5, 5, 5]),
    (["5 %", "20 °C", "12 m2"], ".", [5, 20, 12]),
    (["(1.23)", "−1.5", "5.00-", "+7", "± 2"], ".", [-1.23, -1.5, -5, 7, 2]),
    (["1e3", "1.5E-2 kg", ".5", "5.", "1_000", "0x10", "9,417e-01"], ".", [1000, 0.015, 0.5, 5, None, None, None]),
)
def test_numbers_as_people_write_them(cells, decimal, found):
    assert numbers(pl.Series(cells), decimal)[0].to_list() == found


@cases(
    ("2021-03-04T05:06:07Z", "%Y-%m-%d", "2021-03-04 05:06:07"),
    ("2021-03-04 05:06:07.25", "%Y-%m-%d", "2021-03-04 05:06:07.250"),
    ("2021-03-04T05:06", "%Y-%m-%d", "2021-03-04 05:06:00"),
    ("2021-03-04 00:30:00+0200", "%Y-%m-%d", "2021-03-03 22:30:00"),
    ("2021-03-04 23:30-01", "%Y-%m-%d", "2021-03-05 00:30:00"),
    ("03/04/2021 12:05 PM", "%m/%d/%Y", "2021-03-04 12:05:00"),
    ("03/04/2021 12:05 am", "%m/%d/%Y", "2021-03-04 00:05:00"),
    ("4-Mar-2021", "%d-%b-%Y", "2021-03-04 00:00:00"),
    ("March 4, 2021", "%B %d, %Y", "2021-03-04 00:00:00"),
    ("Thu, 04 Mar 2021 05:06:07 GMT", "%d %b %Y", "2021-03-04 05:06:07"),
    ("12/31/99", "%m/%d/%y", "1999-12-31 00:00:00"),
    ("12/31/69", "%m/%d/%y", "2069-12-31 00:00:00"),
    ("20210304", "%Y%m%d", "2021-03-04 00:00:00"),
    *((cell, form, "2021-03-01 00:00:00") for cell, form in {"2021-03": "%Y-%m", "03/2021": "%m/%Y"}.items()),
    *((cell, form, "2021-03-01 00:00:00") for cell, form in {"Mar 2021": "%b %Y", "Mar-21": "%b-%y"}.items()),
    ("2021-13", "%Y-%m", None),
    ("04.03.21", "%d.%m.%Y", None),
    ("2021-02-30", "%Y-%m-%d", None),
    ("2021-03-04 25:00", "%Y-%m-%d", None),
    ("24:00", "", None),
    ("9:05 pm", "", "1970-01-01 21:05:00"),
)
def test_dates_as_people_write_them(cell, format, found):
    read = dates(pl.Series([cell]), format)[0]
    assert read == (found and datetime.datetime.fromisoformat(found))


def test_true_and_false_as_people_write_them():
    assert booleans(pl.Series(["True", "fALSE", "Y", "no", "1", "0.0", "2", "maybe"])).to_list() == [
        True, False, True, False, True, False, None, None
    ]  # fmt: skip


# --- faults from the field ----------------------------------------------------------------------------------


def german(text):
    return text.translate(str.maketrans(",.", ".,"))


def lines(head, row, m=M):
    return "\n".join([head, *(row(i) for i in range(m))]) + "\n"


def with_y(name, cell):
    """A column of cells, and one of numbers."""
    return lines(f"{name},y", lambda i: f"{cell(i)},{X[i]:.3f}")


MARKS = ["-", "--", ".", "n.a.", "#N/A", "#DIV/0!", "<NA>", "\\N", "unknown", "NaT", "nil", "missing", "?"]
NAMES = "left out: its numbers are names of the examples"
TINY = "its numbers differ by less than 1e-150, whose square is no number any more"
TEXTS = "left out: 90 different texts in 200 rows are names, no categories"
X = [random.Random(i).gauss(0, 1) for i in range(M)]


@cases(  # a file, one of its columns, and what that is
    (lines("v;a", lambda i: german(f"{300 + i * 47:,};{X[i]:.3f}")), "v", "number with a decimal comma"),
    (lines("v;a", lambda i: f"{1 + i % 90 / 1000 + i:.3f};{X[i]:.2f}"), "v", "number"),
    (with_y("when", lambda i: f"2013-01-0{1 + i % 4}T0{i % 9}:00:00Z"), "when", "date YYYY-MM-DD"),
    (with_y("when", lambda i: f"2016/01/0{1 + i % 4} 0{i % 9}:10"), "when", "date YYYY/MM/DD"),
    (with_y("clock", lambda i: f"0{i % 9}:{i % 4}5:00"), "clock", "date"),
    (with_y("job", lambda i: f"job {i % 90}"), "job", TEXTS),
    (with_y("rownames", lambda i: f"{3 * i + i % 3}"), "rownames", NAMES),
    (with_y("", lambda i: f"{(i * 37) % 200 + 5}"), "column 0", NAMES),
    (with_y("x", lambda i: f"{(i * 37) % 200}"), "x", "left out: it numbers the rows"),
    (with_y("CustomerId", lambda i: f"{15600000 + 37 * i}"), "CustomerId", NAMES),
    *(
        (lines("v,y", lambda i, mark=mark: f"{mark if i % 5 == 0 else round(X[i], 3)},{i % 9}"), "v", "number")
        for mark in MARKS
    ),
    (with_y("v", lambda i: f"{'-' if i % 5 == 0 else i % 4}"), "v", "number"),
    (lines("v,y", lambda i: f'"{X[i] * 1e4:,.2f}",{i % 9}'), "v", "number"),
    (with_y("v", lambda i: f"{i % 5} stars"), "v", "number in stars"),
    *(
        (with_y("v", lambda i, cells=cells: f'"{cells[i % len(cells)]}"'), "v", kind)
        for cells, kind in (
            (["$1,234.50", "$-2", "$0.99"], "number in $"),
            (["yes", "no"], "boolean"),
            ([1, 0, 1], "boolean"),
            (["1", "a"], "category"),
            (["2024-01", "2023-12"], "date YYYY-MM"),
            (["March 2024", "May 2023"], "date Month YYYY"),
            (["2009-10", "2013-14"], "category"),
            ([""], "left out: it has no values"),
            ([7], "left out: all its values are 7"),
            ([7e-200, 8e-200], f"left out: {TINY}"),
            (["7", "7.0", "7.00"], "left out: all its values are 7"),
            (range(200), "left out: it counts the rows"),
            (range(1, 201), "left out: it counts the rows"),
        )
    ),
    (with_y("v", lambda i: f"{i % 5}{'abc'[i % 3]}"), "v", "category"),
    (with_y("v", lambda i: f"1.{i % 3}.{i % 5}"), "v", "category"),
    (with_y("v", lambda i: f"{['True', 'TRUE', 'true', 'False', '1', '0'][i % 6]}"), "v", "boolean"),
    (lines("k,2019,2020,y", lambda i: f"{'AB'[i % 2]},{X[i]:.3f},{i},{'hl'[X[i] > 0]}"), "2019", "number"),
    *(
        (f"{sep}=;{end}" + lines("a;y", lambda i: f"{X[i]:.3f};{X[i]:.3f}").replace("\n", end), "a", "number")
        for sep, end in {"sep": "\n", "Sep": "\r\n"}.items()
    ),
    (with_y("a", lambda i: f"{X[i]:.3f}").replace("\n", "\r", 9), "a", "number"),
    (lines("a;y", lambda i: f"{german(f'{X[i]:.3e}')};{X[i]:.3f}"), "a", "number with a decimal comma"),
    ("\ufeff" + with_y("a", lambda i: f"{X[i]:.3f}"), "a", "number"),
    (lines(" a , y", lambda i: f" {X[i]:.3f} , {X[i]:.3f}"), "a", "number"),
)
def test_what_a_column_of_a_file_is(content, name, found, file):
    table = understand(tabular.read(file(content), encoding="utf-8"))
    target = table.names[0] if name == table.names[-1] else table.names[-1]
    kind, reason = tabular.plan(table, target, None if name == "2019" else "regression").kinds[name]
    form = str(table.forms[name]) if kind in ("number", "date") else ""
    assert f"{kind} {form}".strip() + (f": {reason}" if reason else "") == found


test_what_cannot_be_understood_is_said_at_once = refusals(
    lambda file, content, *choices: tabular.plan(tabular.read(file(content)), "y", choices=Choices(**dict(*choices))),
    (
        lines("a;y", lambda i: ("4,5" if i == 5 else f"{1 + i % 9}.3") + f";{X[i]:.3f}"),
        r"line 7, column 'a': '4,5' is not a number, and 199 of 200 cells",
    ),
    (
        with_y("b,c", lambda i: f"{9 + i % 4 if i % 40 else 'other'},{'x' if i % 50 == 1 else round(X[i], 3)}"),
        r"line 2, column 'b': 'other' .*\n.*line 3, column 'c': 'x' .*\n.*--missing 'other' --missing 'x'",
    ),
    (
        with_y("v", lambda i: round(X[i], 3) if i % 5 else "void"),
        r"'void' is not a number, and 160 of 200 cells of this column are \(40 are 'void'\)",
    ),
    (
        with_y("d", lambda i: "soon" if i == 9 else f"2021-01-{1 + i % 28:02}"),
        r"line 11, column 'd': 'soon' is not a date such as YYYY-MM-DD",
    ),
    (with_y("d", lambda i: f"{i % 12 + 1:02}/{i % 9 + 1:02}/2021"), "can be read as DD/MM/YYYY and as MM/DD/YYYY"),
    (
        with_y("d", lambda i: f"2021-01-{1 + i % 28:02}" if i < 120 else f"{1 + i % 28:02}.01.2021"),
        r"line 122, column 'd': '09.01.2021' is not a date such as YYYY-MM-DD, as 120 of 200 .* --categorical 'd'",
    ),
    (with_y("d", lambda i: f"{i % 50}:20:00"), r"line 26, column 'd': '24:20:00' is not a date such as hh:mm, as 96"),
    (
        lines("a,y", lambda i: f"{X[i]:.3f},{X[i] if i else '[kg]'}"),
        r"'\[kg\]' is not a number, .* \(--missing '\[kg\]', --task classification\)",
    ),
    (
        lines("a,y", lambda i: f"{X[i]:.3f},{X[i] if i % 40 else 'unknown'}"),
        r"line 2, column 'y': 'unknown' is not a number, and 195 of 200 cells",
    ),
    (
        lines("a,y", lambda i: f"{X[i]:.3f},{f'2021-01-{1 + i % 28:02}' if i % 40 else 'unknown'}"),
        r"line 2, column 'y': 'unknown' is not a date such as YYYY-MM-DD, as 195 of 200 .* --task classification",
    ),
    (
        lines("v;a;b;y", lambda i: f"{1 + i % 5}.{i % 900 + 100};{X[i]:.2f};{german(f'{X[i]:.2f}')};{i % 7}"),
        "can be read with both; say --decimal . or --decimal ,",
    ),
    (
        lines("v;a;y", lambda i: f"{german(f'{i * 7:,}')};{i % 5};{i % 60}"),
        r"column 'v': '.' in its numbers may .* a thousands sign: .*; say --decimal . or --thousands .",
    ),
    (with_y("v", lambda i: f"{i % 9 / 10}" if i % 3 else f"{i % 60} %"), r"column 'v': .* up to 57 %, .* at most 0.8"),
    (
        lines("v;y", lambda i: f"{german(f'{1 + i / 300:.3f}')};{i % 60}"),
        "column 'v': ',' in its numbers may .*: three digits follow each; say --decimal , or --thousands ,",
    ),
    (lines("a,y", lambda i: f"{X[i]:.3f},2021-01-{1 + i % 9:02}"), "'y' holds dates; .* say --task classification"),
    (lines("a,y", lambda i: f"{X[i]:.3f},{i % 9:02}:30"), "'y' holds dates"),
    (
        lines("a,y", lambda i: f"{X[i]:.3f},{'NULL' if i % 3 else i}"),
        r"'NULL' is not a number, and 67 of 200 cells of this column are \(133 are 'NULL'\)",
    ),
    (
        with_y("v", lambda i: f"n{i % 5}"),
        {"numeric": ["v"]},
        "line 2, column 'v': 'n0' is not a finite .*200 such cells",
    ),
    fixtures=["file"],
)


@cases(
    ({"decimal": ","}, [5000, 1250]),
    ({"thousands": "."}, [5000, 1250]),
    ({"decimal": "."}, [5, 1.25]),
    ({}, [5, 1.25]),
)
def test_the_user_says_what_the_decimal_sign_is(spelling, found, file):
    table = tabular.read(file("v;y\n5.000;1\n1.250;2\n"), spelling=Spelling(**spelling))
    assert understand(table).column("v").to_list() == found


test_wrong_spellings = refusals(
    lambda spelling: Spelling(**spelling), ({"thousands": "_"}, "thousands"),
    ({"decimal": ",", "thousands": ","}, "two different signs"),
    ({"date_format": ["d=DD/MM/YYYY"]}, "date_format must be one such as %d/%m/%Y, .* got 'd=DD/MM"),
    error=(ValueError, TypeError),
)  # fmt: skip


FLAG = [x > 0 for x in X]


@cases(
    (None, lambda i: int(FLAG[i]), [lambda i: "ny"[FLAG[i]], lambda i: f"{int(FLAG[i])},0", lambda i: FLAG[i]]),
    (None, lambda i: 1000 * (1 + FLAG[i]), [lambda i: f"{1 + FLAG[i]},000", lambda i: f"{1 + FLAG[i]}e3"]),
    ("regression", lambda i: FLAG[i], [lambda i: "ny"[FLAG[i]], lambda i: int(FLAG[i])]),
    ("classification", lambda i: f"{1.5 * (1 + FLAG[i])}", [lambda i: ("1.50", 3)[FLAG[i]]]),
    (None, lambda i: ("001", "002")[FLAG[i]], [lambda i: 1 + FLAG[i]]),
    (None, lambda i: ("no", "yes")[FLAG[i]], [lambda i: FLAG[i], lambda i: ("N", "Y")[FLAG[i]]]),
    (None, lambda i: f"{X[i]:.3f}", [lambda i: f"{X[i]:.3f}".replace(".", ","), lambda i: f"{X[i]:.3f} %"]),
)
def test_a_target_is_read_however_another_file_writes_it(task, cell, others, file):
    path = file(lines("a\ty", lambda i: f"{X[i]}\t{cell(i)}"))
    model = train(path, task=task).model
    for k, other in enumerate(others):
        written = file(lines("a\ty", lambda i, other=other: f"{X[i]}\t{other(i)}"), f"{k}.csv")
        assert model.evaluate(written) == model.evaluate(path), k
    if not model.classes:
        with pytest.raises(ValueError, match=r"row 1 .*, column 'y': inf is not a finite number"):
            model.evaluate(pl.DataFrame({"a": [0.5, 0.5], "y": [0.5, np.inf]}))


def test_a_text_for_missing_values_of_one_column_or_of_none(file):
    path = file(lines("a,b,y", lambda i: f"{'x' if i % 5 == 0 else 'NA'},{'x' if i % 5 == 0 else 'NA'},{X[i]:.3f}"))

    def missing(*texts):
        table = understand(tabular.read(path, spelling=Spelling(missing=texts)))
        return [table.column(name).null_count() for name in "ab"]

    assert missing() == [160, 160] and missing("") == [0, 0]
    assert missing("a=x") == [200, 160] and missing("x", "b=") == [200, 40]


def test_numbers_and_dates_may_stand_for_missing_values_whatever_file_they_are_in(file, tmp_path):
    """999 in a whole column, in one of decimals, or a day as a time of midnight."""
    day = [datetime.date(1900, 1, 1) if i % 4 == 0 else datetime.date(2020, 1, 1 + i % 28) for i in range(60)]
    age = [999 if i % 5 == 0 else i % 37 for i in range(60)]
    columns = {"age": age, "f": [float(a) for a in age], "g=h": pl.Series([a + 0.9 for a in age], dtype=pl.Float32)}
    frame = pl.DataFrame({**columns, "day": day, "at": pl.Series(day).cast(pl.Datetime), "y": X[:60]})
    frame.write_parquet(parquet := tmp_path / "t.parquet")
    texts = ("999", "g=h=999.9", "day=1900-01-01", "at=1900-01-01")
    wanted = {"age": 12, "f": 12, "g=h": 12, "day": 15, "at": 15}
    csv = file(frame.write_csv())
    for data in (frame, frame.to_pandas(), csv, parquet, tabular.scan(parquet)):
        trained = train(data, missing=texts)
        found = [{**part.found} for part in (trained.training, trained.test)]
        assert {name: sum(part[name].missing for part in found) for name in wanted} == wanted
    model = trained.model
    for data in (frame.to_pandas(), csv, parquet):
        np.testing.assert_allclose(model.predict(data), model.predict(frame), rtol=1e-5)
    # all digits of whole numbers count, and a comma may be the decimal sign
    wide = pl.DataFrame(
        {"id": [2**53 + i % 3 for i in range(60)], "y": ["-9,0" if i % 4 else f"{i},5" for i in range(60)]}
    )
    table = tabular.plan(tabular.table_of(wide), "y", choices=Choices(missing=(f"id={2**53 + 1}", "y=-9"))).table
    assert (len(table), table.column("id").null_count()) == (15, 5)
    # the target too, in whatever type
    assert tabular.plan(tabular.table_of(frame), "age", choices=Choices(missing=("age=999",))).unlabelled == 12


def test_a_date_is_a_date_whatever_file_it_comes_from(file, tmp_path):
    frame = pl.DataFrame({"d": [datetime.datetime(2020, 1, 1 + i % 28, i % 24) for i in range(60)], "y": X[:60]})
    model = train(frame).model
    for form in ("%d.%m.%Y %H:%M", "%m/%d/%Y %I:%M %p", "%Y-%m-%dT%H:%M:%SZ"):
        path = file(lines("d", lambda i, form=form: f"{frame['d'][i]:{form}}", 60))
        np.testing.assert_array_equal(model.predict(path), model.predict(frame))
    # as categories, too, and times of the day
    several = frame.with_columns(d=pl.col("d").dt.date(), at=pl.col("d"), t=pl.col("d").dt.time())
    forms = (several, file(several.write_csv()), several.with_columns(pl.col("d").cast(pl.Datetime)).to_pandas())
    for given in forms:
        model = train(given, categorical=["d", "at", "t"]).model
        for other in forms:
            np.testing.assert_array_equal(model.predict(other), model.predict(given))
    # numbers such as 20200131, with a type or without
    frame = frame.with_columns(frame["d"].dt.strftime("%Y%m%d").cast(pl.Int64))
    frame.write_parquet(parquet := tmp_path / "t.parquet")
    for data in (
        frame,
        frame.to_pandas().astype({"d": float}),
        file(frame.write_csv()),
        parquet,
        tabular.scan(parquet),
    ):
        column = train(data, date_format="d=%Y%m%d").model.preparation.columns[0]
        assert isinstance(column, Date) and 0 <= column.fill - 18262 < 31, "days since 1970"
    # one row can be read in two ways: as in the training file
    path = file(lines("d,y", lambda i: f"{1 + i % 28:02}/01/2020,{X[i]:.3f}", 60))
    model = train(path).model
    assert model.prepare(file("d\n02/01/2020\n")).X[0, 0] == 1970 + (365 * 50 + 12 + 1) / 365.2425


@cases(
    (
        lambda i: "ABCD"[i % 4],
        ["ABCD"[i % 4].lower() for i in range(M)],
        "200 of 200 cells are categories that training did not have, such as 'a'",
    ),
    (
        lambda i: 2**53 + 2 * (i % 4),
        [2**53 + 2 * (i % 4) + 1 for i in range(M)],
        "200 of 200 cells are categories that training did not have, such as '9007199254740993'",
    ),
    (lambda i: i % 4 + 1, [None if i == 3 else f"{i % 4 + 1:02}.0" for i in range(M)], None),
    (lambda i: ["True", "false"][i % 2], [i % 2 == 0 for i in range(M)], None),
)
def test_categories_are_compared_as_what_they_are(cell, kinds, message, file):
    path = file(lines("c,a,y", lambda i: f"{cell(i)},{X[i]:.3f},{i % 4}"))
    model = train(path, task="regression", categorical=["c"]).model
    frame = pl.DataFrame({"c": kinds, "a": X})
    if message is None:
        assert not model.prepare(frame).found["c"].unseen
    else:
        with pytest.raises(ValueError, match=message):
            model.predict(frame)


def test_a_model_asks_for_the_decimal_sign_as_training_does(file):
    for sign, first in ((".", "0"), (",", "0,5")):
        model = train(file(lines("v;y", lambda i, first=first: f"{i * 7 if i else first};{i % 60}"))).model
        few = file("v;\n" + "\n".join(f"{i * 7:,};".replace(",", sign) for i in range(140, 150)))
        with pytest.raises(
            ValueError, match=f"column 'v': '{sign}' in its numbers may be a decimal or a thousands sign"
        ):
            model.predict(few)
        table = tabular.read(few, spelling=Spelling(thousands=sign))
        np.testing.assert_array_equal(model.predict(table), model.predict(pl.DataFrame({"v": range(980, 1050, 7)})))
    american = file(lines("v,w", lambda i: f'"{i * 7:,}",{i % 60}'))
    assert understand(tabular.read(american)).column("v")[199] == 1393, "no question"


@cases(  # beside columns of yes and no; beside one with the other sign; beside two that differ in the new file alone
    (lambda i: f"{german(f'{X[i]:.3f}')};{'yn'[i % 2]};{'yn'[i % 3 > 0]}", "1,025;y;n", 1.025),
    (lambda i: f"{german(f'{X[i]:.3f}')};{i % 7}.5 %;{i % 4}", "1,025;2.5 %;3", 1.025),
    (lambda i: f"{X[i]:.3f};{i % 7};{i % 5}", "1.025;1,5;2.5", None),
)
def test_a_sign_that_no_column_of_a_new_file_shows_is_that_of_training(row, new, found, file):
    model = train(file(lines("v;p;q;y", lambda i: f"{row(i)};{i % 60}"))).model
    few = file(f"v;p;q\n{new}\n")
    if found is not None:
        assert model.prepare(few).X[0, 0] == found
    else:
        with pytest.raises(ValueError, match=r"'v': .* can be read with both; say --decimal . or --decimal ,"):
            model.prepare(few)
    typed = train(pl.DataFrame({"v": X, "p": [f"{x:.2f}".replace(".", ",") for x in X], "y": X})).model
    assert typed.prepare(file("v;p\n1.025;1,5\n")).X.tolist() == [[1025, 1.5]]


@pytest.mark.parametrize("cell", [lambda i: f"{X[i]:.3f}", lambda i: X[i] > 0, lambda i: i % 3])
def test_words_for_a_gap_are_no_targets_of_a_model_of_numbers(cell, file):
    model = train(file(lines("a,y", lambda i: f"{X[i]:.3f},{cell(i)}"))).model
    some, gaps = (
        file(lines("a,y", lambda i, gap=gap: f"{X[i]:.3f},{cell(i) if i % 4 else gap}"), f"{gap}.csv")
        for gap in ("", "NULL")
    )
    assert model.evaluate(gaps) == model.evaluate(some) and model.labelled(gaps)[1] == 50


def test_texts_that_the_test_rows_alone_have_do_not_stop_the_training():
    texts = pl.Series([f"{i}{90 * 'x'}" if i % 5 == 0 else None for i in range(M)])
    found = train(pl.DataFrame({"text": texts, "a": X, "y": X}))
    assert sum(found.test.found["text"].unseen.values()) > 5
    assert all(len(note) < 300 for note in found.test.notes())


def test_what_training_did_not_have_is_said(file, tmp_path):
    path = file(lines("a,c,y", lambda i: f"{X[i]:.3f},{3.5 if i % 2 else ''},{X[i] * 2 + i % 2:.3f}"))
    model = train(path).model
    assert model.preparation.features == ["a", "c is missing"], "of a column with one value only the mark is used"
    new = pl.DataFrame({"a": [0.5, 99.0, 0.5], "c": [3.5, 1000, None]})
    predicted = model.predict(new)
    assert predicted[0] == model.predict(new.with_columns(c=pl.lit(3.5)))[0]
    assert model.prepare(new).notes()[1:] == [
        "a: 1 value far outside the range of training", "c: 1 value far outside the range of training",
    ]  # fmt: skip
    vp.save(tmp_path / "m", model)
    np.testing.assert_array_equal(vp.load(tmp_path / "m").predict(new), predicted)
    with_unit = pl.DataFrame({"a": [f"{x:.2f} kg" for x in X], "y": X})
    model, without = train(with_unit).model, train(pl.DataFrame({"a": X, "y": X})).model
    assert "in lb, and in training it was in kg" in model.prepare(pl.DataFrame({"a": ["1 lb"]})).notes()[0]
    assert "without a unit, and in training it was in kg" in model.prepare(pl.DataFrame({"a": [1.0]})).notes()[0]
    assert "unit" not in str(model.prepare(pl.DataFrame({"a": ["", "-"]})).notes())
    assert "in %, and in training it was without a unit" in without.prepare(pl.DataFrame({"a": ["1 %"]})).notes()[0]
    model = train(pl.DataFrame({"a": X, "b": [i % 2 for i in range(M)], "y": X})).model
    assert model.prepare(pl.DataFrame({"a": [0.5], "b": [2]})).notes() == [
        "b: 1 value far outside the range of training"
    ]
    day = [datetime.date(2020, 1 + i % 12, 1 + i % 9) for i in range(M)]
    dated = train(pl.DataFrame({"day": day, "y": X})).model
    some = pl.DataFrame({"day": [datetime.date(year, 5, 1) for year in (1970, 2021, 2030)]})
    assert dated.prepare(some).notes() == ["day: 2 values far outside the range of training"]
    with pytest.raises(ValueError, match="'perhaps' is not true or false, 1 or 0"):
        model.prepare(pl.DataFrame({"a": [0.5], "b": ["perhaps"]}))


def test_many_columns_take_little_time():
    wide = pl.DataFrame({**{f"f{k}": [f"{x:.3f}" for x in X[:60]] for k in range(4000)}, "y": X[:60]})
    tabular.plan(tabular.table_of(wide.select([*wide.columns[:50], "y"])), "y")
    begin = time.process_time()
    tabular.plan(tabular.table_of(wide), "y")
    assert time.process_time() - begin < 2.0


def test_models_of_before_have_no_fields_that_came_later():
    written = {"name": "a", "fill": 0.5, "flag": True, "decimal": ","}
    column = Number(**check_fields(Number, written))
    assert fields_of(column) == written and column.low is None and column.features == ["a", "a is missing"]
    with pytest.raises(ValueError, match="low is 'x'"):
        check_fields(Number, written | {"low": "x"})
    with pytest.raises(KeyError, match="fill"):
        check_fields(Number, {"name": "a"})
