"""Statistics from one pass over streamed examples: means, deviations, classes, weights."""

from collections.abc import Iterable
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.data.streaming.examples import StreamedExamples, labels_of
from vecprop.nn.input_scaling import InputScale, Moments, moments


def moments_of(parts: Iterable[tuple[npt.NDArray[Any], npt.NDArray[Any] | None]]) -> Moments:
    """Return the moments of examples that come as parts X (n, k), with weights (k,) or None."""
    found = [moments(np, X, w) for X, w in parts if w is None or w.any()]
    if not found:
        raise ValueError("sample_weight must not be all zero: no example would count")
    return reduce(lambda a, b: a.add(np, b), found)


def input_scale(examples: StreamedExamples) -> InputScale:
    """Return mean and deviation of every row of X, (n_0, 1) (E35); deviation 1 if constant."""
    return moments_of((X, w) for X, _, w in examples.blocks(X=True, dtype="float64")).scale(np)


def class_totals(examples: StreamedExamples, classes: int) -> npt.NDArray[np.float64]:
    """Return the total weight of the examples of each class, (classes,)."""
    totals = np.zeros(classes)
    for _, Y, w in examples.blocks(Y=True):
        totals += np.bincount(labels_of(examples.net, Y), weights=w, minlength=classes)
    return totals


def class_sums(examples: StreamedExamples) -> npt.NDArray[np.float64]:
    """Return the sum of each row of Y, (n_L,)."""
    return sum(
        (Y.sum(axis=1, dtype=np.float64) for _, Y, _ in examples.blocks(Y=True)), np.zeros(examples.net.sizes[-1])
    )


def all_labels(examples: StreamedExamples) -> npt.NDArray[np.int64]:
    """Return the class of each example, (m,)."""
    return np.concatenate([labels_of(examples.net, Y) for _, Y, _ in examples.blocks(Y=True)])


def all_weights(examples: StreamedExamples) -> npt.NDArray[np.float64]:
    """Return the weight of each example, (m,)."""
    return np.concatenate([w.astype(np.float64) for _, _, w in examples.blocks()])


def total_weight(examples: StreamedExamples) -> float:
    """Return the sum of the weights."""
    if not examples.weighted:
        return float(examples.m)
    return float(sum(w.sum(dtype=np.float64) for _, _, w in examples.blocks()))
