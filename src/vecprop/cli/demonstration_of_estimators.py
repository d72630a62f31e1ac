"""Compares our estimators with scikit-learn's on digits, predicts intervals, saves a model file.

`vecprop demo` shows the result of its function, `drop_in`.
"""

import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vecprop.data import datasets
from vecprop.export import files
from vecprop.utils.random_streams import check_seed


@dataclass(frozen=True)
class Fitted:
    """One estimator on the digits: seconds and epochs of its fit, and accuracy on the test digits."""

    seconds: float
    epochs: int
    accuracy: float


@dataclass(frozen=True)
class DropInResult:
    """The result of `drop_in`."""

    # `sklearn.neural_network.MLPClassifier` and ours, with default settings
    theirs: Fitted
    ours: Fitted
    median_r2: float  # R² of the predicted medians of the test house prices
    inside: float  # the share of the test prices between the 10 % and the 90 % quantile
    file_bytes: int  # the size of the classifier's model file
    loaded_predicts_the_same: bool


def drop_in(seed: int = 0) -> DropInResult:
    """Fit the estimators on the active backend, and scikit-learn's network beside them."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import r2_score
    from sklearn.neural_network import MLPClassifier as TheirClassifier

    from vecprop.estimators import MLPClassifier, MLPRegressor

    seed = check_seed(seed) % 2**32
    train, test = datasets.digits().split(0.2, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        results = []
        for kind in (TheirClassifier, MLPClassifier):
            begin = time.perf_counter()
            model = kind(random_state=seed).fit(train.X.T, train.labels)
            seconds = time.perf_counter() - begin
            results.append(Fitted(seconds, model.n_iter_, float(model.score(test.X.T, test.labels))))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "digits.safetensors")
            files.save(path, model)
            size, loaded = path.stat().st_size, files.load(path)
        same = bool((loaded.predict_proba(test.X.T) == model.predict_proba(test.X.T)).all())
        houses, unseen = datasets.house_prices(m=3000, seed=seed).split(0.2, seed=seed)
        intervals = MLPRegressor(
            "quantile",
            quantile=[0.1, 0.5, 0.9],
            hidden_layer_sizes=(50,),
            scale="standard",
            scale_target="standard",
            learning_rate_init=0.01,
            early_stopping=True,
            random_state=seed,
        ).fit(houses.X.T, houses.Y[0])
    low, median, high = intervals.predict(unseen.X.T).T
    inside = float(np.mean((low <= unseen.Y[0]) & (unseen.Y[0] <= high)))
    theirs, ours = results
    return DropInResult(theirs, ours, float(r2_score(unseen.Y[0], median)), inside, size, same)
