"""X and the targets of an estimator: each kind answers the same questions, so that nobody asks which kind it is.

Here are those in memory and the choice between all of them; `large_data` has those that stay in files.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.backend.namespaces import array_namespace, device_of
from vecprop.data import sparse
from vecprop.data.streaming.sources import ArraySource
from vecprop.estimators.large_data import LargeRows, LargeTargets, scaled
from vecprop.nn.input_scaling import InputScale, input_scale

_AT_ONCE = 8192  # the most rows of sparse X that are made dense at a time


class ArrayRows:
    """Rows X (n, n_0) of NumPy in memory; the other kinds override what they do otherwise."""

    in_file = False

    def __init__(self, X: Any) -> None:
        self.X = X

    def columns(self) -> Any:
        """Return X as `fit` takes it, one example per column, a view if possible; sparse X becomes dense."""
        return self.X.T

    def take(self, places: npt.NDArray[np.int64]) -> Any:
        """Return the examples at these places."""
        return self.X[places]

    def parts(self) -> Iterator[tuple[str, Any]] | None:
        """Return parts to predict one after the other, each with a name if it is to be checked; None: all at once."""
        return None

    def mapped(self, view: Callable[[Any], Any]) -> Any:
        """Return the features that a function makes of the rows."""
        return view(self.X)

    def input_scale(self, w: npt.NDArray[np.float64] | None) -> InputScale:
        """Return the mean and the deviation of every feature, (n_0, 1) (E35); sums are in float64."""
        return LargeRows(ArraySource(self.X)).input_scale(w, checked=True)

    def scaled(self, scale: InputScale) -> Any:
        """Return X (n, n_0) with every feature scaled."""
        return scaled(self.X, *(np.reshape(a, (1, -1)) for a in scale))


class SparseRows(ArrayRows):
    """Rows of SciPy's sparse matrices and arrays."""

    def columns(self) -> Any:
        """Return X dense, one example per column."""
        return self.X.toarray().T

    def parts(self) -> Iterator[tuple[str, Any]] | None:
        """Return parts that are small when dense."""
        size = max(1, min(_AT_ONCE, sparse.SMALL // (8 * self.X.shape[1])))
        return (("", self.X[start : start + size]) for start in range(0, self.X.shape[0], size))

    def input_scale(self, w: npt.NDArray[np.float64] | None) -> InputScale:  # noqa: ARG002
        """Raise ValueError: it would make X dense."""
        raise ValueError(
            'scale="standard" subtracts the mean of every feature, which would make sparse X dense; leave scale out '
            "and put sklearn.preprocessing.MaxAbsScaler() before the estimator in a pipeline"
        )


class LibraryRows(ArrayRows):
    """Rows in an array of another library, under scikit-learn's array API dispatch."""

    def columns(self) -> Any:
        """Return X with one example per column."""
        return array_namespace(self.X).matrix_transpose(self.X)

    def take(self, places: npt.NDArray[np.int64]) -> Any:
        """Return the examples at these places."""
        xp = array_namespace(self.X)
        return xp.take(self.X, xp.asarray(places, **device_of(self.X)), axis=0)

    def input_scale(self, w: npt.NDArray[np.float64] | None) -> InputScale:
        """Return the mean and the deviation, in the dtype of X."""
        xp = array_namespace(self.X)
        weights = None if w is None else xp.asarray(w, dtype=self.X.dtype, **device_of(self.X))
        return input_scale(xp, self.columns(), weights)

    def scaled(self, scale: InputScale) -> Any:
        """Return X scaled, in its dtype."""
        xp = array_namespace(self.X)
        mean, deviation = (xp.reshape(xp.astype(a, self.X.dtype), (1, -1)) for a in scale)
        return (self.X - mean) / deviation


def rows_of(X: Any) -> ArrayRows | LargeRows:
    """Return checked X as one of the kinds.

    >>> rows_of(np.array([[1.0, 2.0]])).columns().tolist()
    [[1.0], [2.0]]
    """
    if isinstance(X, LargeRows):
        return X
    if isinstance(X, np.ndarray):
        return ArrayRows(X)
    return (SparseRows if hasattr(X, "toarray") else LibraryRows)(X)


class ArrayTargets:
    """Coded targets Y (n_L, n) in memory."""

    in_file = False

    def __init__(self, Y: npt.NDArray[Any]) -> None:
        self.Y = Y

    def whole(self) -> npt.NDArray[Any]:
        """Return the targets in memory."""
        return self.Y

    def columns(self) -> Any:
        """Return Y as `fit` takes it."""
        return self.Y

    def take(self, places: npt.NDArray[np.int64]) -> Any:
        """Return the targets at these places."""
        return self.Y[:, places]

    def input_scale(self, w: npt.NDArray[np.float64] | None) -> InputScale:
        """Return the mean and the deviation of every target, (n_L, 1)."""
        return input_scale(np, self.Y, w)

    def scaled(self, scale: InputScale) -> Any:
        """Return the targets scaled."""
        return np.asarray((self.Y - scale.mean) / scale.deviation, dtype=np.float64)

    def of_each(self, function: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return a function's values, (n,), of the targets (n_L, n)."""
        return function(self.Y)

    def mean(
        self, w: npt.NDArray[np.float64] | None, of: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
    ) -> npt.NDArray[np.float64]:
        """Return the weighted mean of every row of Y, or of the function `of` of Y."""
        return np.asarray(np.average(of(self.Y), axis=1, weights=w), dtype=np.float64)


def average(
    Y: Any,
    w: npt.NDArray[np.float64] | None,
    of: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] = lambda block: block,
) -> npt.NDArray[np.float64]:
    """Return the weighted mean of every row of Y (n, m), or of the function `of` of Y.

    >>> average(np.array([[1, 2], [3, 5]]), None).tolist()
    [1.5, 4.0]
    """
    if w is not None and not w.sum() > 0:
        raise ValueError("sample_weight must not be all zero among the training examples: none of them would count")
    return targets_of(Y).mean(w, of)


def targets_of(Y: Any) -> ArrayTargets | LargeTargets:
    """Return coded targets as one of the kinds."""
    return Y if isinstance(Y, LargeTargets) else ArrayTargets(Y)
