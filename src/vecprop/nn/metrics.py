"""What training can report beside the cost: how good the outputs A (…, n_L, m) are for the targets Y.

Each is a function `metric(xp, A, Y, w)`, with w (m,) or None, and gives one number for each network of a stack.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

from vecprop.backend.namespaces import Array, Namespace
from vecprop.propagation import total_weight
from vecprop.utils.arguments import check_choice

# The weight of some examples, and their weighted means
Part: TypeAlias = tuple[Any, ...]


class Metric:
    """A metric of examples that may come a part at a time: `result(add(of(some), of(others)))` is that of all."""

    name: ClassVar[str]
    greater_is_better: ClassVar[bool] = True

    def __call__(self, xp: Namespace, A: Array, Y: Array, w: Array | None = None) -> Array:
        """Return the metric of all examples at once."""
        return self.result(xp, self.of(xp, A, Y, w))

    def of(self, xp: Namespace, A: Array, Y: Array, w: Array | None = None) -> Part:
        """Return the weight of some examples, and the means that the metric needs."""
        return total_weight(Y, w), _mean(xp, self.values(xp, A, Y), w)

    def values(self, xp: Namespace, A: Array, Y: Array) -> Array:
        """Return the value of each example, (…, m), for a metric that is their mean."""
        raise NotImplementedError

    def add(self, a: Part, b: Part) -> Part:
        """Return the part that has the examples of both, each of some weight."""
        share = b[0] / (a[0] + b[0])
        return (a[0] + b[0], *(x + (y - x) * share for x, y in zip(a[1:], b[1:], strict=True)))

    def result(self, xp: Namespace, part: Part) -> Array:
        """Return the metric of the examples of a part."""
        return part[1]


def _mean(xp: Namespace, values: Array, w: Array | None) -> Array:
    """Return the weighted mean over the examples of values (…, m)."""
    if w is None:
        return xp.sum(values, axis=-1) / float(values.shape[-1])
    return xp.sum(values * w, axis=-1) / xp.sum(w, axis=-1)


class Accuracy(Metric):
    """The share of the examples whose class is right: the largest output, or for one output a > ½.

    With several outputs that do not exclude each other (sigmoid) all of an example's have to be right; `Y` tells: its
    columns then do not sum to 1.

    >>> import numpy as np
    >>> float(accuracy(np, np.array([[0.2, 0.9]]), np.array([[0.0, 0.0]])))
    0.5
    """

    name: ClassVar[str] = "accuracy"

    def of(self, xp: Namespace, A: Array, Y: Array, w: Array | None = None) -> Part:
        """Return the weight, the shares right by class and by label, and whether each example has one class."""
        by_label = by_class = subset_accuracy.values(xp, A, Y)
        if A.shape[-2] > 1:
            by_class = xp.astype(xp.argmax(A, axis=-2) == xp.argmax(Y, axis=-2), A.dtype)
        exclusive = xp.all(xp.abs(xp.sum(Y, axis=-2) - 1.0) <= 1e-5)
        return total_weight(Y, w), _mean(xp, by_class, w), _mean(xp, by_label, w), exclusive

    def add(self, a: Part, b: Part) -> Part:
        return (*super().add(a[:3], b[:3]), a[3] & b[3])

    def result(self, xp: Namespace, part: Part) -> Array:
        """Return the share by class, or by label if some examples have several."""
        return xp.where(part[3], part[1], part[2])


class SubsetAccuracy(Metric):
    """The share of the examples all of whose labels are right, a > ½ for each output.

    >>> import numpy as np
    >>> float(subset_accuracy(np, np.array([[0.9, 0.9], [0.2, 0.9]]), np.array([[1.0, 1.0], [0.0, 0.0]])))
    0.5
    """

    name: ClassVar[str] = "subset_accuracy"

    def values(self, xp: Namespace, A: Array, Y: Array) -> Array:
        return xp.astype(xp.all((A > 0.5) == (Y > 0.5), axis=-2), A.dtype)


class MeanSquaredError(Metric):
    """The mean of (a - y)² over examples and outputs.

    >>> import numpy as np
    >>> float(mean_squared_error(np, np.array([[1.0, 4.0]]), np.array([[1.0, 2.0]])))
    2.0
    """

    name: ClassVar[str] = "mean_squared_error"
    greater_is_better: ClassVar[bool] = False

    def values(self, xp: Namespace, A: Array, Y: Array) -> Array:
        return xp.mean((A - Y) ** 2, axis=-2)


class MeanAbsoluteError(Metric):
    """The mean of |a - y| over examples and outputs."""

    name: ClassVar[str] = "mean_absolute_error"
    greater_is_better: ClassVar[bool] = False

    def values(self, xp: Namespace, A: Array, Y: Array) -> Array:
        return xp.mean(xp.abs(A - Y), axis=-2)


class R2(Metric):
    """R² = 1 - Σ (a - y)² / Σ (y - ȳ)², the mean over the outputs; an output that is constant counts as 0.

    >>> import numpy as np
    >>> A, Y = np.array([[1.0, 2.0, 5.0]]), np.array([[1.0, 3.0, 5.0]])
    >>> float(r2(np, A, Y))
    0.875
    >>> float(r2.result(np, r2.add(r2.of(np, A[:, :2], Y[:, :2]), r2.of(np, A[:, 2:], Y[:, 2:]))))
    0.875
    >>> float(r2(np, A, np.full((1, 3), 0.1)))
    0.0
    """

    name: ClassVar[str] = "r2"

    def of(self, xp: Namespace, A: Array, Y: Array, w: Array | None = None) -> Part:
        """Return the weight, and for each output the mean of (a - y)², ȳ and the mean of (y - ȳ)²."""
        w_row = None if w is None else w[..., None, :]
        ends = (Y, Y) if w_row is None else (xp.where(w_row > 0, Y, end) for end in (xp.inf, -xp.inf))
        low, high = (end(a, axis=-1) for end, a in zip((xp.min, xp.max), ends, strict=True))
        mean = xp.where(low == high, low, _mean(xp, Y, w_row))  # a rounded mean of equal targets would have a spread
        spread = _mean(xp, (Y - mean[..., None]) ** 2, w_row)
        return total_weight(Y, w), _mean(xp, (A - Y) ** 2, w_row), mean, spread

    def add(self, a: Part, b: Part) -> Part:
        """Return the part that has the examples of both (Chan, Golub and LeVeque, 1983, equations 2.1)."""
        weight, residual, mean, spread = super().add(a, b)
        return weight, residual, mean, spread + (b[2] - a[2]) ** 2 * (a[0] * b[0] / weight**2)

    def result(self, xp: Namespace, part: Part) -> Array:
        _, residual, _, spread = part
        varies = spread > 0
        score = xp.where(varies, 1.0 - residual / xp.where(varies, spread, xp.ones_like(spread)), 0.0 * residual)
        return xp.mean(score, axis=-1)


accuracy, subset_accuracy, r2 = Accuracy(), SubsetAccuracy(), R2()
mean_squared_error, mean_absolute_error = MeanSquaredError(), MeanAbsoluteError()
METRICS: dict[str, Metric] = {
    m.name: m for m in (accuracy, subset_accuracy, mean_squared_error, mean_absolute_error, r2)
}


def greater_is_better(metric: Any) -> bool:
    """Tell whether a metric, as `get_metric` returned it, is better the greater it is: all but the mean errors."""
    return not isinstance(metric, Metric) or metric.greater_is_better


def get_metric(given: Any) -> Metric | Callable[..., Any] | Any:
    """Return the metric of a name, a function of (Y, A) as it is, or None; else raise an error that lists the names."""
    if given is None or callable(given) or hasattr(given, "of_layers"):
        return given
    if isinstance(given, str):
        return METRICS[check_choice(given, "metric", METRICS)]
    raise TypeError(f"metric must be a name or a function of (Y, A), got {given!r}")
