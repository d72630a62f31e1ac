"""Metrics of examples that come a part at a time, kept as sums of constant size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vecprop.backend.namespaces import array_namespace
from vecprop.nn import metrics

if TYPE_CHECKING:
    import numpy.typing as npt

    Host = npt.NDArray[Any]


class Tally:
    """Accumulates a metric over parts of the examples; `value` is the metric of all.

    Examples
    --------
    >>> tally = tally_of(metrics.mean_squared_error)
    >>> tally.add(np.array([[1.0]]), np.array([[1.0]]), None)
    >>> tally.add(np.array([[4.0, 2.0]]), np.array([[2.0, 2.0]]), None)
    >>> round(float(tally.value), 4)
    1.3333
    """

    def add(self, A: Host, Y: Host, w: Host | None) -> None:
        """Add outputs A (…, n_L, k), their targets Y (n_L, k) and weights (k,)."""
        raise NotImplementedError

    @property
    def value(self) -> Any:
        """The metric so far."""
        raise NotImplementedError


def tally_of(metric: Any) -> Tally:
    """Return the accumulator for a metric of `vecprop.metrics`, or a user's function (Y, A)."""
    if metric is metrics.r2:
        return _R2()
    if metric is metrics.accuracy:
        return _Accuracy()
    return _Mean(metric) if metric in metrics.METRICS.values() else _All(metric)


class _Mean(Tally):
    """A weighted mean over the examples."""

    def __init__(self, metric: Any) -> None:
        self.metric, self.weight = metric, 0.0
        self.sum: Any = 0.0

    def add(self, A: Host, Y: Host, w: Host | None) -> None:
        weight = float(Y.shape[-1]) if w is None else float(w.sum(dtype=np.float64))
        if weight > 0:
            self.sum = self.sum + np.asarray(self.metric(array_namespace(Y), A, Y, w), dtype=np.float64) * weight
            self.weight += weight

    @property
    def value(self) -> Any:
        return self.sum / self.weight


class _Accuracy(Tally):
    """The accuracy by class and by label; only all targets tell which of them applies."""

    def __init__(self) -> None:
        self.by_label, self.by_class = _Mean(metrics.subset_accuracy), _Mean(_class_accuracy)
        self.exclusive, self.one = True, False

    def add(self, A: Host, Y: Host, w: Host | None) -> None:
        self.one = Y.shape[0] == 1
        self.exclusive &= bool((np.abs(Y.sum(axis=0) - 1.0) <= 1e-5).all())
        self.by_label.add(A, Y, w)
        self.by_class.add(A, Y, w)

    @property
    def value(self) -> Any:
        return (self.by_class if self.exclusive and not self.one else self.by_label).value


def _class_accuracy(_: Any, A: Host, Y: Host, w: Host | None) -> Any:
    right = A.argmax(axis=-2) == Y.argmax(axis=-2)
    return np.average(right, axis=-1, weights=w)


class _R2(Tally):
    """R²: residuals, and the spread of the targets around their running mean."""

    def __init__(self) -> None:
        self.weight = 0.0
        self.mean: Any = 0.0
        self.spread: Any = 0.0
        self.residual: Any = 0.0

    def add(self, A: Host, Y: Host, w: Host | None) -> None:
        A, Y = A.astype(np.float64), Y.astype(np.float64)
        w = np.ones(Y.shape[-1]) if w is None else w.astype(np.float64)
        weight = float(w.sum())
        if weight == 0:
            return
        mean = Y @ w / weight
        total, change = self.weight + weight, mean - self.mean
        self.spread = self.spread + (Y - mean[:, None]) ** 2 @ w + change**2 * (self.weight * weight / total)
        self.mean = self.mean + change * (weight / total)
        self.residual = self.residual + (A - Y) ** 2 @ w
        self.weight = total

    @property
    def value(self) -> Any:
        varies = self.spread > 0
        return np.where(varies, 1.0 - self.residual / np.where(varies, self.spread, 1.0), 0.0).mean(axis=-1)


class _All(Tally):
    """A user's own function, which needs all outputs and targets."""

    def __init__(self, metric: Any) -> None:
        self.metric = metric
        self.parts: list[tuple[Host, Host]] = []

    def add(self, A: Host, Y: Host, w: Host | None) -> None:  # noqa: ARG002
        self.parts.append((A.copy(), Y.copy()))

    @property
    def value(self) -> Any:
        A, Y = (np.concatenate(parts, axis=-1) for parts in zip(*self.parts, strict=True))
        return np.array([self.metric(Y, a) for a in A]) if A.ndim == 3 else self.metric(Y, A)
