"""Feature maps of packs as ONNX operators, in float64."""

from typing import Any

import numpy as np

from vecprop.estimators.feature_maps import Bins, Cosines, FeatureMap, Normal, Robust, Standard
from vecprop.export.onnx_graph import OnnxGraph


def mapped(graph: OnnxGraph, view: FeatureMap, X: str, place: str) -> str:
    """Add a map of X (n, n_x); return its features (n, n'). `place` begins the names of its constants."""
    parts = [_part(graph, part, X, f"{place}_{k}") for k, part in enumerate(view.parts) if len(part.column)]
    return graph.joined(parts)


def _part(graph: OnnxGraph, part: Bins | Standard, X: str, place: str) -> str:
    def real(name: str, values: Any) -> str:
        return graph.real(f"{place}_{name}", values, np.float64)

    columns = graph.add("Gather", X, graph.constant(f"{place}_column", part.column), axis=1)
    if isinstance(part, Bins):
        shifted = graph.add("Sub", columns, real("low", part.low))
        shares = graph.add("Div", shifted, real("width", part.high - part.low))
        shares = graph.add("Clip", shares, real("zero", 0.0), real("one", 1.0))
        if not isinstance(part, Normal):
            return shares
        return graph.add("Add", graph.add("MatMul", shares, real("sums", part.sums)), real("start", part.start))
    shifted = graph.add("Sub", columns, real("center", part.center))
    z = graph.add("Div", shifted, real("width", part.width))
    z = graph.add("Clip", z, real("least", -part.farthest), real("most", part.farthest))
    if not isinstance(part, Robust):
        return z
    third = graph.add("Div", z, real("three", 3.0))
    root = graph.add("Sqrt", graph.add("Add", graph.add("Mul", third, third), real("one", 1.0)))
    z = graph.add("Div", z, root)
    if not isinstance(part, Cosines):
        return z
    spread = np.kron(np.eye(len(part.column)), part.frequencies[None, :])  # (d, dw): each number by each frequency
    turns = graph.add("MatMul", z, real("frequencies", spread))
    return graph.add("Concat", *graph.circle(turns, real), axis=1)
