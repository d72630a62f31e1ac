"""Estimators with default settings: time of a fit and score of five folds."""

import warnings
from typing import Any

import numpy as np

from benchmarks.contestants.base import Participant, Timed, import_or_unavailable


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
