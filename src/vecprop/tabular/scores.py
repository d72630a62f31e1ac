"""How good predictions are, beside those of a model that knows nothing of the columns. scikit-learn computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

# What each score says, in the order in which they are shown.
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
    if hasattr(estimator, "classes_"):
        return of_classes(y, estimator.predict_log_proba(X), estimator.classes_)
    return of_numbers(y, estimator.predict(X))


def of_numbers(y: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> dict[str, float]:
    """Return the scores of a regression.

    >>> {name: round(value, 3) for name, value in of_numbers(np.array([1.0, 3.0]), np.array([1.0, 2.0])).items()}
    {'r2': 0.5, 'mean_absolute_error': 0.5, 'median_absolute_error': 0.5, 'root_mean_squared_error': 0.707}
    """
    error = np.abs(y - predicted)
    variance = float(np.mean((y - y.mean()) ** 2))
    squared = float(np.mean(error**2))
    return {
        "r2": 1 - squared / variance if variance else float("nan"),
        "mean_absolute_error": float(error.mean()),
        "median_absolute_error": float(np.median(error)),
        "root_mean_squared_error": squared**0.5,
    }


def of_classes(y: npt.NDArray[Any], log_proba: npt.NDArray[Any], classes: npt.NDArray[Any]) -> dict[str, float]:
    """Return the scores of a classification, from ln of the probabilities (m, classes), which are finite.

    The area under the ROC curve is there for two classes only.

    >>> P = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]])
    >>> found = of_classes(np.array(["a", "b", "b"]), np.log(P), np.array(["a", "b"]))
    >>> {name: round(value, 3) for name, value in found.items()}
    {'accuracy': 0.667, 'balanced_accuracy': 0.75, 'f1_macro': 0.667, 'log_loss': 0.607, 'roc_auc': 1.0}
    """
    from sklearn import metrics

    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(f"the target has classes that training did not have: {', '.join(map(str, unknown))}")
    predicted = classes[np.argmax(log_proba, axis=1)]
    there = np.unique(y)
    recall = [float(np.mean(predicted[y == c] == c)) for c in there]
    own = log_proba[np.arange(len(y)), np.searchsorted(classes, y)].astype(np.float64)
    found = {
        "accuracy": float(np.mean(predicted == y)),
        "balanced_accuracy": float(np.mean(recall)),
        "f1_macro": float(metrics.f1_score(y, predicted, average="macro", labels=there, zero_division=0.0)),
        "log_loss": float(-own.mean()),
    }
    if len(classes) == len(there) == 2:
        found["roc_auc"] = float(metrics.roc_auc_score(y == classes[1], log_proba[:, 1] - log_proba[:, 0]))
    return found
