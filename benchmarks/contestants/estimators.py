"""Estimators with default settings: time of a fit and score of five folds."""

import time
import warnings
from typing import Any

import numpy as np

from benchmarks.contestants.base import Timed, import_or_unavailable


class CrossValidated:
    """The networks of a library with scikit-learn's interface; each run has its own seed and folds."""

    checked = ""
    each_is_a_first = False
    transfer = None

    def __init__(self, library: str, options: dict[str, Any], work: Any, data: tuple[np.ndarray, np.ndarray]) -> None:
        self.work, (self.X, self.y), self.seed = work, data, 0
        kind = "MLPRegressor" if work.regression else "MLPClassifier"
        self.kind, self.options = getattr(import_or_unavailable(library), kind), options | dict(work.options)

    def train(self, runs: int) -> Timed:  # noqa: ARG002 - all make the same number of runs, each of one seed
        """Return the mean of the folds."""
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
