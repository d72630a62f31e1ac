"""Scores of predictions of numbers and of classes, for data in memory or in files."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.estimators.large_data import large_rows

_AT_ONCE = 1 << 18
# The scores, in the order in which they are shown: the name, and what it means.
SCORES = {
    "r2": ("R²", "R²: the share of the variance that is explained; 1 is perfect, 0 is the mean"),
    "mean_absolute_error": ("mean absolute error", "how far off on average, in the units of the target"),
    "median_absolute_error": ("median absolute error", "half of the predictions are nearer than this"),
    "root_mean_squared_error": ("root mean squared error", "as the mean error, but large errors count more"),
    "accuracy": ("accuracy", "the share of right answers"),
    "balanced_accuracy": ("balanced accuracy", "the mean of the classes' shares of right answers"),
    "f1_macro": (
        "F1, mean of the classes", "the mean of the classes' F1, 2 precision·recall / (precision + recall)"
    ),
    "log_loss": ("log loss", "the mean of -ln of the true class's probability; 0 is perfect"),
    "roc_auc": ("area under the ROC curve", "how often the positive one of a pair gets the higher probability"),
}  # fmt: skip


def scores(estimator: Any, X: npt.NDArray[Any], y: npt.NDArray[Any]) -> dict[str, float]:
    """Return the scores of a fitted estimator on features X (m, n_x) and targets y (m,)."""
    if not hasattr(estimator, "classes_"):
        return of_numbers(y, predictions(estimator, X), overwrite=True)
    blocks = ((y[start:stop], estimator.predict_log_proba(block)) for start, stop, block in _blocks(X))
    return of_classes(blocks, estimator.classes_)


def predictions(estimator: Any, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return predictions (m,) of a fitted estimator; features in a file are read in blocks."""
    found = np.empty(0)
    for start, stop, block in _blocks(X):  # filled, not joined: that would take twice the memory
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


def of_classes(blocks: Iterable[tuple[npt.NDArray[Any], npt.NDArray[Any]]], classes: Any) -> dict[str, float]:
    """Return the scores of a classification from blocks of targets (m,) and finite log-probabilities (m, classes).

    An example of a class not in `classes` counts as wrong in the accuracy, and not at all in the other scores. The area
    under the ROC curve exists only for two classes.

    >>> P = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]])
    >>> found = of_classes([(np.array(["a", "b", "b"]), np.log(P))], np.array(["a", "b"]))
    >>> {name: round(value, 3) for name, value in found.items()}
    {'accuracy': 0.667, 'balanced_accuracy': 0.75, 'f1_macro': 0.667, 'log_loss': 0.607, 'roc_auc': 1.0}
    """
    count = len(classes)
    right, true, told = np.zeros((3, count), dtype=np.int64)
    unknown, loss = 0, 0.0
    ahead: tuple[list[npt.NDArray[Any]], list[npt.NDArray[Any]]] = ([], [])  # of two classes, for the ranking
    for y, log_proba in blocks:
        codes = np.minimum(np.searchsorted(classes, y), count - 1)
        known = classes[codes] == y
        if not known.all():
            unknown += int(np.count_nonzero(~known))
            codes, log_proba = codes[known], log_proba[known]
        predicted = np.argmax(log_proba, axis=1)
        right += np.bincount(codes[predicted == codes], minlength=count)
        true += np.bincount(codes, minlength=count)
        told += np.bincount(predicted, minlength=count)
        loss -= float(log_proba[np.arange(len(codes)), codes].sum(dtype=np.float64))
        if count == 2:
            lead = log_proba[:, 1] - log_proba[:, 0]
            for label, kept in enumerate(ahead):
                kept.append(lead[codes == label])
    m, there = true.sum(), true > 0
    if not m:
        raise ValueError("the target has only classes that training did not have")
    found = {
        "accuracy": float(right.sum() / (m + unknown)),
        "balanced_accuracy": float(np.mean(right[there] / true[there])),
        "f1_macro": float(np.mean(2 * right[there] / (true + told)[there])),
        "log_loss": loss / float(m),
    }
    if count == there.sum() == 2:
        negative, positive = map(np.concatenate, ahead)
        negative.sort()
        parts = np.array_split(positive, 1 + len(positive) // _AT_ONCE)
        twice = sum(int(np.searchsorted(negative, part, side).sum()) for part in parts for side in ("left", "right"))
        found["roc_auc"] = twice / (2 * len(negative) * len(positive))  # the share of pairs, of which ties count half
    return found
