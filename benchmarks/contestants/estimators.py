"""Estimators with default settings: time of a fit and score of five folds."""

import time
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
        from sklearn.model_selection import KFold, StratifiedKFold

        splitter = (KFold if self.work.regression else StratifiedKFold)(5, shuffle=True, random_state=self.seed)
        seconds, scores = [], []
        for train, test in splitter.split(self.X, self.y):
            estimator = self.kind(random_state=self.seed, **self.options)
            begin = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what has not converged after 200 epochs has not, here and there
                estimator.fit(self.X[train], self.y[train])
            seconds.append(time.perf_counter() - begin)
            scores.append(estimator.score(self.X[test], self.y[test]))
        self.seed += 1
        return Timed(float(np.mean(seconds)), score=float(np.mean(scores)))
