"""The preparation of a table's columns as ONNX: one input for each column.

Inputs (n, 1) have the names of their columns. Numbers are in the model's dtype, or in float64 if float32 would lose too
many digits (part numbers, UNIX times), with NaN where missing; so are true and false, as 1 and 0. Categories are text,
"" where missing. Dates are days since 1970-01-01 in float64, times of the day their part of a day, NaN where missing.
Features, their scaling and the predictions of a regression are computed in float64, as in `TableModel.predict`; the
network is in the model's dtype.

Texts must come without blanks around them, which the reader of tables strips: ONNX cannot before opset 20.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vecprop.backend.contract import to_host
from vecprop.data.dataset import is_number
from vecprop.data.spelling import TRUTH, exact, label
from vecprop.export.onnx_graph import ML_DOMAIN, OnnxGraph, Port
from vecprop.tabular.encoders import DAYS_OF_A_YEAR, Boolean, Category, Column, Date, Number, same_as
from vecprop.tabular.model import TableModel

_OWN_NAMES = ("label", "probabilities", "prediction")  # of the outputs
# The largest |mean| / deviation of float32 inputs: their rounding, up to 2^-24, is then at most 1e-5 of the deviation.
_FARTHEST = 1e-5 * 2.0**24
_SMALLEST, _LARGEST = 1e-30, 1e30  # deviations within float32


def prepared(graph: OnnxGraph, model: TableModel) -> tuple[list[Port], str]:
    """Add the preparation; return the inputs and the name of the features X (n, n_x) in float64."""
    inputs, parts = [], []
    for k, (column, dtype) in enumerate(_inputs(model, graph.dtype)):
        if column.name in _OWN_NAMES:
            raise ValueError(
                f"a column of the name {column.name!r} cannot be an input beside the output of this name; rename it "
                "in the table and train again"
            )
        place = f"column{k}"
        inputs.append(Port(column.name, place, dtype, (1,)))
        parts.append(_KINDS[type(column)][1](graph, column, place))
    return inputs, graph.add("Concat", *parts, axis=1)


def described(model: TableModel, dtype: str = "float32") -> str:
    """Return a text about the inputs and outputs of a model exported in this dtype."""
    columns = list(_inputs(model, np.dtype(dtype)))
    width = max(len(column.name) for column, _ in columns)
    lines = [
        f"  {column.name.ljust(width)}  {_KINDS[type(column)][2].format(dtype=given)}" for column, given in columns
    ]
    outputs = f"label, probabilities ({dtype})" if model.classes else "prediction (float64)"
    return "\n".join(["inputs, each (n, 1):", *lines, f"outputs: {outputs}"])


def _inputs(model: TableModel, dtype: np.dtype[Any]) -> Iterator[tuple[Column, np.dtype[Any]]]:
    """Yield each column with its input's dtype: of numbers the model's, or float64 if needed."""
    pack, first = hasattr(model.estimator, "groups_"), 0  # its maps are computed in float64
    scale = None if pack else model.estimator.scaling_
    for column in model.preparation.columns:
        wanted = np.float64 if pack and isinstance(column, Number) else _KINDS[type(column)][0]
        if wanted is None and scale is not None:
            mean, deviation = (float(to_host(a)[first, 0]) for a in scale)
            held = abs(mean) <= _FARTHEST * deviation and _SMALLEST <= deviation <= _LARGEST
            wanted = None if held else np.float64
        yield column, dtype if wanted is None else np.dtype(wanted)
        first += len(column.features)


def _number(graph: OnnxGraph, column: Number, value: str) -> str:
    """Add the numbers, with the median where missing, and with `flag` a feature that is 1 there."""
    number = graph.cast(value, np.float64)
    missing = graph.add("IsNaN", number)
    filled = graph.add("Where", missing, graph.real(f"fill_of_{value}", column.fill, np.float64), number)
    mark = graph.cast(missing, np.float64)
    return graph.joined([*([] if column.is_constant else [filled]), *([mark] if column.flag else [])])


def _category(graph: OnnxGraph, column: Category, value: str) -> str:
    """Add a feature for each category, 1 where the text belongs to it, and its means; unknown texts have none."""
    names = [*column.categories, *column.other]
    codes = _usual_spellings(names) | ({"": len(names)} if column.flag else {})
    code = graph.add(
        "LabelEncoder",
        value,
        domain=ML_DOMAIN,
        keys_strings=list(codes),
        values_int64s=list(codes.values()),
        default_int64=len(column.places) - 1,
    )
    place = graph.add("Gather", graph.constant(f"places_of_{value}", np.array(column.places)), code)
    shared = np.arange(len(column.features) - len(column.means), dtype=np.int64)[np.newaxis]
    features = [graph.cast(graph.add("Equal", place, graph.constant(f"features_of_{value}", shared)), np.float64)]
    for k, row in enumerate(column.means):
        features.append(graph.add("Gather", graph.real(f"means{k}_of_{value}", [*row, 0.0], np.float64), code))
    return graph.joined(features)


def _usual_spellings(names: list[str]) -> dict[str, int]:
    """Return text -> index of the categories, and of the same numbers or truths as programs write them.

    >>> _usual_spellings(["01", "2.5"]), _usual_spellings(["a", "1"])
    ({'01': 0, '2.5': 1, '1': 0, '1.0': 0}, {'a': 0, '1': 1})
    """
    codes, key = {name: code for code, name in enumerate(names)}, same_as(names)
    known = {key(name): code for name, code in codes.items()}
    numbers = [float(exact(name)) for name in names if is_number(name)]
    truths = [text for word in sorted(TRUTH) for text in (word, word.title(), word.upper())]
    others = (*map(label, numbers), *map(str, numbers), *truths)
    return codes | {text: known[key(text)] for text in others if text not in codes and key(text) in known}


def _date(graph: OnnxGraph, column: Date, value: str) -> str:
    """Add the year, cosine and sine in each period, and with `flag` a mark of missing dates."""

    def real(name: str, number: float) -> str:
        return graph.real(f"{name}_of_{value}", number, np.float64)

    missing = graph.add("IsNaN", value)
    days = graph.add("Where", missing, real("fill", column.fill), value)
    parts = []
    if column.day:
        parts.append(graph.add("Add", real("epoch", 1970.0), graph.add("Div", days, real("year", DAYS_OF_A_YEAR))))
    for k, period in enumerate(column.circles.values()):
        turns = graph.add("Div", days, real(f"period{k}", period))
        parts += graph.circle(graph.add("Sub", turns, graph.add("Floor", turns)), real)
    if column.flag:
        parts.append(graph.cast(missing, np.float64))
    return graph.joined(parts)


# For each kind of column: its input's dtype, None for the model's; the function that adds its features; a description.
_KINDS: dict[type[Column], tuple[Any, Callable[..., str], str]] = {
    Number: (None, _number, "numbers ({dtype}); NaN where missing"),
    Category: (object, _category, 'text; "" where missing, and no blanks around it'),
    Boolean: (None, _number, "1 for true, 0 for false ({dtype}); NaN where missing"),
    Date: (np.float64, _date, "days since 1970-01-01, 0.5 for noon (float64); NaN where missing"),
}
