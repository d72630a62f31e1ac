"""Scores of predictions of numbers and of classes, for data in memory or in files."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.estimators.large_data import large_rows

_AT_ONCE = 1 << 18
# What each score means, in the order in which they are shown.
MEANINGS = {
    "r2": "R²: the share of the variance that is explained; 1 is perfect, 0 is the mean",
    "mean_absolute_error": "how far off on average, in the units of the target",
    "median_absolute_error": "half of the predictions are nearer than this",
    "root_mean_squared_error": "as the mean error, but large errors count more",
    "accuracy": "the share of right answers",
    "balanced_accuracy": "the mean of the classes' shares of right answers",
    "f1_macro": "the mean of the classes' F1, 2 precision·recall / (precision + recall)",
    "log_loss": "the mean of -ln of the true class's probability; 0 is perfect",
    "roc_auc": "how often the positive one of a pair gets the higher probability",
}


def scores(estimator: Any, X: npt.NDArray[Any], y: npt.NDArray[Any]) -> dict[str, float]:
    """Return the scores of a fitted estimator on features X (m, n_x) and targets y (m,)."""
    if not hasattr(estimator, "classes_"):
        return of_numbers(y, predictions(estimator, X), overwrite=True)
    found = _Counts(estimator.classes_)
    for start, stop, block in _blocks(X):
        found.add(y[start:stop], estimator.predict_log_proba(block))
    return found.scores()


def predictions(estimator: Any, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return predictions (m,) of a fitted estimator; features in a file are read in blocks."""
    found = np.empty(0)
    for start, stop, block in _blocks(X):
        part = estimator.predict(block)
        if not start:
            found = np.empty(len(X), part.dtype)
        found[start:stop] = part
    return found


def _blocks(X: npt.NDArray[Any]) -> Iterable[tuple[int, int, npt.NDArray[Any]]]:
    """Return (start, stop, features) of blocks if X is in a file, of all rows otherwise."""
    large = large_rows(X, smallest=0)
    return [(0, len(X), X)] if large is None else large.blocks()


def of_numbers(y: npt.NDArray[Any], predicted: npt.NDArray[Any], overwrite: bool = False) -> dict[str, float]:
    """Return the scores of a regression; `overwrite` saves an array (m,) and may overwrite predictions.

    >>> {name: round(value, 3) for name, value in of_numbers(np.array([1.0, 3.0]), np.array([1.0, 2.0])).items()}
    {'r2': 0.5, 'mean_absolute_error': 0.5, 'median_absolute_error': 0.5, 'root_mean_squared_error': 0.707}
    """
    mean, total = y.mean(), 0.0
    for start in range(0, len(y), _AT_ONCE):
        total += float(np.sum(np.square(np.subtract(y[start : start + _AT_ONCE], mean, dtype=np.float64))))
    variance = total / len(y)
    own = predicted if overwrite and predicted.dtype == np.float64 else np.empty(len(y))
    error = np.subtract(y, predicted, out=own)
    squared = float(np.dot(error, error)) / len(y)
    np.abs(error, out=error)
    return {
        "r2": 1 - squared / variance if variance else float("nan"),
        "mean_absolute_error": float(error.mean()),
        "median_absolute_error": float(np.median(error, overwrite_input=True)),
        "root_mean_squared_error": squared**0.5,
    }


def of_classes(y: npt.NDArray[Any], log_proba: npt.NDArray[Any], classes: npt.NDArray[Any]) -> dict[str, float]:
    """Return the scores of a classification from finite log-probabilities (m, classes).

    An example of a class not in `classes` counts as wrong in the accuracy, and not at all in the other scores. The area
    under the ROC curve exists only for two classes.

    >>> P = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]])
    >>> found = of_classes(np.array(["a", "b", "b"]), np.log(P), np.array(["a", "b"]))
    >>> {name: round(value, 3) for name, value in found.items()}
    {'accuracy': 0.667, 'balanced_accuracy': 0.75, 'f1_macro': 0.667, 'log_loss': 0.607, 'roc_auc': 1.0}
    """
    found = _Counts(classes)
    found.add(y, log_proba)
    return found.scores()


class _Counts:
    """Counts for the scores of a classification, block by block; for two classes also the ranking."""

    def __init__(self, classes: npt.NDArray[Any]) -> None:
        self.classes = classes
        self.right, self.true, self.predicted = np.zeros((3, len(classes)), dtype=np.int64)
        self.unknown, self.loss = 0, 0.0
        self.ranks: tuple[list[npt.NDArray[Any]], list[npt.NDArray[Any]]] = ([], [])

    def add(self, y: npt.NDArray[Any], log_proba: npt.NDArray[Any]) -> None:
        """Add a block of examples."""
        count = len(self.classes)
        codes = np.minimum(np.searchsorted(self.classes, y), count - 1)
        known = self.classes[codes] == y
        if not known.all():
            self.unknown += int(np.count_nonzero(~known))
            codes, log_proba = codes[known], log_proba[known]
        predicted = np.argmax(log_proba, axis=1)
        self.right += np.bincount(codes[predicted == codes], minlength=count)
        self.true += np.bincount(codes, minlength=count)
        self.predicted += np.bincount(predicted, minlength=count)
        self.loss -= float(log_proba[np.arange(len(codes)), codes].sum(dtype=np.float64))
        if count == 2:
            ahead = log_proba[:, 1] - log_proba[:, 0]
            for label, kept in enumerate(self.ranks):
                kept.append(ahead[codes == label])

    def scores(self) -> dict[str, float]:
        """Return the scores of all blocks."""
        m, there = self.true.sum(), self.true > 0
        if not m:
            raise ValueError("the target has only classes that training did not have")
        recall = self.right[there] / self.true[there]
        found = {
            "accuracy": float(self.right.sum() / (m + self.unknown)),
            "balanced_accuracy": float(np.mean(recall)),
            "f1_macro": float(np.mean(2 * self.right[there] / (self.true + self.predicted)[there])),
            "log_loss": self.loss / float(m),
        }
        if len(self.classes) == there.sum() == 2:
            found["roc_auc"] = _share_of_pairs(*map(np.concatenate, self.ranks))
        return found


def _share_of_pairs(negative: npt.NDArray[Any], positive: npt.NDArray[Any]) -> float:
    """Return in what share of pairs the positive value is larger; ties count half.

    >>> _share_of_pairs(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    0.875
    """
    negative.sort()
    twice = 0
    for start in range(0, len(positive), _AT_ONCE):
        part = positive[start : start + _AT_ONCE]
        twice += sum(int(np.searchsorted(negative, part, side).sum()) for side in ("left", "right"))
    return twice / (2 * len(negative) * len(positive))
