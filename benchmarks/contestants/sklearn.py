"""scikit-learn's MLPClassifier and MLPRegressor; and estimators of its kind with default settings."""

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.contestants.base import Contestant, Pairs, Participant, Timed, import_or_unavailable


class SklearnTrainer(Contestant):
    """One `fit` with `max_iter` epochs and nothing that would stop it.

    `partial_fit` would check the data anew in every epoch; in one `fit` that is done once. For two classes it has one
    logistic output in place of two of softmax, which is less work, and cannot be checked against them. It shuffles a
    full batch too, as it does by default.
    """

    penalty = 0.0

    def build(self) -> None:
        network = import_or_unavailable("sklearn.neural_network")
        output, classes, targets = self.work.output, self.work.sizes[-1], self.data.targets
        self.kind = network.MLPRegressor if output == "identity" else network.MLPClassifier
        self.checked = "" if (output, classes) == ("softmax", 2) else "full batch"
        self.T = targets if targets.ndim == 1 else targets[:, 0] if output == "identity" else targets[:, 0].astype(int)
        self.classes = {} if output == "identity" else {"classes": np.arange(max(2, classes))}

    def estimator(self, epochs: int, seed: int = 0) -> Any:
        return self.kind(
            hidden_layer_sizes=self.work.sizes[1:-1],
            activation=self.work.hidden,
            alpha=self.penalty,
            batch_size=min(self.work.batch_size, self.work.m),
            max_iter=epochs,
            random_state=seed,
            tol=0.0,
            n_iter_no_change=10**9,
        )

    def train(self, epochs: int) -> Timed:
        self.model = self.estimator(epochs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged: the epochs were all that was asked
            begin = time.perf_counter()
            self.model.fit(self.data.rows, self.T)
            return Timed((time.perf_counter() - begin) / epochs)

    def begin(self, start: Pairs) -> None:
        """Make an estimator with these parameters and nothing remembered; the epoch that makes them does not count."""
        self.model = self.estimator(1)
        self.epoch(0)
        for W, b, (W_start, b_start) in zip(self.model.coefs_, self.model.intercepts_, start, strict=True):
            W[...], b[...] = W_start.T, b_start[:, 0]
        del self.model._optimizer

    def epoch(self, number: int) -> None:  # noqa: ARG002
        self.model.partial_fit(self.data.rows, self.T, **self.classes)

    def fresh(self, seed: int) -> None:
        """Take a new estimator with its own initial weights and its own penalty."""
        self.penalty = 1e-4
        self.model = self.estimator(1, seed)

    def parameters(self) -> Pairs:
        return [(W.T.copy(), b[:, None].copy()) for W, b in zip(self.model.coefs_, self.model.intercepts_, strict=True)]

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(rows)


def predictor(model: Any, rows: np.ndarray) -> Callable[[], np.ndarray]:
    from vecprop.estimators import to_sklearn

    return partial(to_sklearn(model).predict_proba, rows)


class CrossValidated(Participant):
    """The networks of a library with scikit-learn's interface; each run has its own seed and folds."""

    library, backend = "sklearn.neural_network", ""

    def __init__(self, work: Any, data: tuple[np.ndarray, np.ndarray]) -> None:
        self.work, (self.X, self.y), self.seed = work, data, 0
        self.options = dict(work.options) | ({"backend": self.backend} if self.backend else {})
        self.kind = getattr(import_or_unavailable(self.library), "MLPRegressor" if work.regression else "MLPClassifier")

    def train(self, runs: int) -> Timed:  # noqa: ARG002 - all make the same number of runs, each of one seed
        from sklearn.model_selection import KFold, StratifiedKFold, cross_validate

        folds = (KFold if self.work.regression else StratifiedKFold)(5, shuffle=True, random_state=self.seed)
        estimator = self.kind(random_state=self.seed, **self.options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what has not converged after 200 epochs has not, here and there
            found = cross_validate(estimator, self.X, self.y, cv=folds, error_score="raise")
        self.seed += 1
        return Timed(float(found["fit_time"].mean()), score=float(found["test_score"].mean()))
