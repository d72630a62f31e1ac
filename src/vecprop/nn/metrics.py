"""Metrics that training can report beside the cost.

`metric(xp, A, Y, w)` compares the outputs A (…, n_L, m) with the targets Y, w being (m,) or None, and returns one
number for each network of a stack.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from vecprop.backend.namespaces import Array, Namespace
from vecprop.utils.errors import unknown_name

Metric: TypeAlias = Callable[[Namespace, Array, Array, Array | None], Array]


def _mean(xp: Namespace, values: Array, w: Array | None) -> Array:
    """Return the weighted mean over the examples of values (…, m)."""
    if w is None:
        return xp.sum(values, axis=-1) / float(values.shape[-1])
    return xp.sum(values * w, axis=-1) / xp.sum(w, axis=-1)


def accuracy(xp: Namespace, A: Array, Y: Array, w: Array | None = None) -> Array:
    """Return the share of the examples whose class is right.

    The class is a > ½ for one output. For several it is the largest output, if every column of Y sums to 1; if not,
    the outputs are labels that do not exclude each other, and all labels of an example have to be right.

    >>> import numpy as np
    >>> float(accuracy(np, np.array([[0.2, 0.9]]), np.array([[0.0, 0.0]])))
    0.5
    """
    if A.shape[-2] == 1:
        right = (A > 0.5) == (Y > 0.5)
        return _mean(xp, xp.astype(right[..., 0, :], A.dtype), w)
    exclusive = xp.all(xp.abs(xp.sum(Y, axis=-2) - 1.0) <= 1e-5)
    by_class = xp.argmax(A, axis=-2) == xp.argmax(Y, axis=-2)
    by_label = xp.all((A > 0.5) == (Y > 0.5), axis=-2)
    return _mean(xp, xp.astype(xp.where(exclusive, by_class, by_label), A.dtype), w)


def mean_squared_error(xp: Namespace, A: Array, Y: Array, w: Array | None = None) -> Array:
    """Return the mean of (a - y)² over examples and outputs.

    >>> import numpy as np
    >>> float(mean_squared_error(np, np.array([[1.0, 4.0]]), np.array([[1.0, 2.0]])))
    2.0
    """
    return _mean(xp, xp.mean((A - Y) ** 2, axis=-2), w)


def mean_absolute_error(xp: Namespace, A: Array, Y: Array, w: Array | None = None) -> Array:
    """Return the mean of |a - y| over examples and outputs."""
    return _mean(xp, xp.mean(xp.abs(A - Y), axis=-2), w)


def r2(xp: Namespace, A: Array, Y: Array, w: Array | None = None) -> Array:
    """Return R² = 1 - Σ (a - y)² / Σ (y - ȳ)², averaged over outputs; 0 for a constant y.

    >>> import numpy as np
    >>> float(r2(np, np.array([[1.0, 2.0]]), np.array([[1.0, 3.0]])))
    0.5
    """
    w_row = None if w is None else w[..., None, :]
    mean = _mean(xp, Y, w_row)[..., None]
    residual, spread = _mean(xp, (A - Y) ** 2, w_row), _mean(xp, (Y - mean) ** 2, w_row)
    varies = spread > 0
    score = xp.where(varies, 1.0 - residual / xp.where(varies, spread, xp.ones_like(spread)), 0.0 * residual)
    return xp.mean(score, axis=-1)


def subset_accuracy(xp: Namespace, A: Array, Y: Array, w: Array | None = None) -> Array:
    """Return the share of the examples whose labels, a > ½, are all right.

    >>> import numpy as np
    >>> float(subset_accuracy(np, np.array([[0.9, 0.9], [0.2, 0.9]]), np.array([[1.0, 1.0], [0.0, 0.0]])))
    0.5
    """
    right = xp.all((A > 0.5) == (Y > 0.5), axis=-2)
    return _mean(xp, xp.astype(right, A.dtype), w)


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "subset_accuracy": subset_accuracy,
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "r2": r2,
}


def greater_is_better(metric: Any) -> bool:
    """Tell whether greater values of a metric are better: true of all but the mean errors."""
    return metric not in (mean_squared_error, mean_absolute_error)


def get_metric(given: Any) -> Any:
    """Return the metric of a name, or a function of (Y, A) or None as it is; else raise an error."""
    if given is None or callable(given) or hasattr(given, "of_layers"):
        return given
    if isinstance(given, str):
        if given not in METRICS:
            raise ValueError(f"metric: {unknown_name('metric', given, METRICS)}")
        return METRICS[given]
    raise TypeError(f"metric must be a name or a function of (Y, A), got {given!r}")
