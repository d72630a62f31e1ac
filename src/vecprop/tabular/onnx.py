"""The preparation of a table's columns as ONNX: one input for each column.

A column of numbers is an input (n, 1) of float32, NaN where a value is missing; a column of categories one of text, ""
where it is missing; a date one of float64, days since 1970-01-01, NaN where it is missing. Its name is the column's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vecprop.onnx_graph import ML_DOMAIN, Graph, Port
from vecprop.tabular.columns import DAYS_OF_A_YEAR, Category, Column, Date, Number
from vecprop.tabular.model import TableModel

_OWN_NAMES = ("label", "probabilities", "prediction")  # of the outputs


def prepared(graph: Graph, model: TableModel) -> tuple[list[Port], str]:
    """Add the preparation, and return the inputs and the name of the features X (n, n_x).

    Raises
    ------
    ValueError
        If a column has the name of an output.
    """
    inputs, parts = [], []
    for k, column in enumerate(model.preparation.columns):
        if column.name in _OWN_NAMES:
            raise ValueError(
                f"a column of the name {column.name!r} cannot be an input beside the output of this name; rename it "
                "in the table and train again"
            )
        dtype, encode, _ = _KINDS[type(column)]
        place = f"column{k}"
        inputs.append(Port(column.name, place, np.dtype(dtype or graph.dtype), (1,)))
        parts.append(encode(graph, column, place))
    return inputs, graph.add("Concat", *parts, axis=1)


def described(model: TableModel) -> str:
    """Return in words what the inputs and outputs are."""
    columns = model.preparation.columns
    width = max(len(column.name) for column in columns)
    lines = [f"  {column.name.ljust(width)}  {_KINDS[type(column)][2]}" for column in columns]
    return "\n".join(
        ["inputs, each (n, 1):", *lines, f"outputs: {'label, probabilities' if model.classes else 'prediction'}"]
    )


def _features(graph: Graph, columns: list[str]) -> str:
    return graph.add("Concat", *columns, axis=1) if len(columns) > 1 else columns[0]


def _as_float(graph: Graph, value: str) -> str:
    return graph.add("Cast", value, to=graph.onnx.helper.np_dtype_to_tensor_dtype(graph.dtype))


def _number(graph: Graph, column: Number, value: str) -> str:
    """Add the median where a value is missing, and 1 there in a second feature if there is one."""
    missing = graph.add("IsNaN", value)
    filled = graph.add("Where", missing, graph.number(column.fill), value)
    return _features(graph, [filled, *([_as_float(graph, missing)] if column.flag else [])])


def _category(graph: Graph, column: Category, value: str) -> str:
    """Add the number of a text's feature, -1 for none, and 1 in that feature."""
    count = len(column.features)
    numbers = {category: k for k, category in enumerate(column.categories)}
    numbers |= dict.fromkeys(column.other, len(column.categories))
    if column.flag:
        numbers[""] = count - 1
    number = graph.add(
        "LabelEncoder",
        value,
        domain=ML_DOMAIN,
        keys_strings=list(numbers),
        values_int64s=list(numbers.values()),
        default_int64=-1,
    )
    features = graph.constant(f"features_of_{value}", np.arange(count, dtype=np.int64)[np.newaxis])
    return _as_float(graph, graph.add("Equal", number, features))


def _date(graph: Graph, column: Date, value: str) -> str:
    """Add the year and the points on the circles; in float64 up to there."""

    def real(name: str, number: float) -> str:
        return graph.constant(f"{name}_of_{value}", np.array(number, dtype=np.float64))

    missing = graph.add("IsNaN", value)
    days = graph.add("Where", missing, real("fill", column.fill), value)
    years = graph.add("Add", real("epoch", 1970.0), graph.add("Div", days, real("year", DAYS_OF_A_YEAR)))
    parts = [_as_float(graph, years)]
    for k, period in enumerate(column.periods):
        # the angle is reduced before it is rounded to what every runtime has cosines of
        turns = graph.add("Div", days, real(f"period{k}", period))
        turn = graph.add("Sub", turns, graph.add("Floor", turns))
        angle = _as_float(graph, graph.add("Mul", turn, real("circle", 2 * np.pi)))
        parts += [graph.add("Cos", angle), graph.add("Sin", angle)]
    if column.flag:
        parts.append(_as_float(graph, missing))
    return _features(graph, parts)


_KINDS: dict[type[Column], tuple[Any, Callable[..., str], str]] = {
    Number: (None, _number, "numbers; NaN where missing"),
    Category: (object, _category, 'text; "" where missing'),
    Date: (np.float64, _date, "days since 1970-01-01; NaN where missing"),
}
