"""Models of tables in one call, and what ONNX Runtime makes of them."""

import numpy as np
import polars as pl
import pytest

import vecprop as vp
from vecprop import tabular

QUICK = tabular.Settings(hidden=(8,), epochs=20, networks=1)


def train(data, target="y", settings=QUICK, task=None, **choices):
    """Train on a table, a data frame or a file."""
    return tabular.train(tabular.plan(tabular.table_of(data), target, task, tabular.Choices(**choices)), settings)


def outputs(model, frame):
    """Probabilities or numbers."""
    return model.predict_proba(frame) if model.classes else model.predict(frame)


def run_onnx(model, frame, **options):
    """The outputs of a model in ONNX, and input -> its type."""
    session = pytest.importorskip("onnxruntime").InferenceSession(vp.export_onnx(model, **options))
    feed, types = {}, {port.name: port.type for port in session.get_inputs()}
    for name, kind in types.items():
        cells = frame[name]
        if kind == "tensor(string)":
            values = np.array([cell or "" for cell in cells], dtype=object)
        else:
            numbers = (cells.to_physical() if cells.dtype == pl.Date else cells).cast(pl.Float64)
            values = numbers.fill_null(np.nan).to_numpy().astype("f4" if kind == "tensor(float)" else "f8")
        feed[name] = values[:, None]
    return session.run(None, feed), types
