"""Searches on engines that exist: scikit-learn's GridSearchCV and HalvingGridSearchCV under joblib's loky and Dask."""

import warnings

import joblib
import numpy as np
import pytest
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - it makes the next import possible
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV

import vecprop as vp
from helpers import backend_or_skip

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((240, 4))
Y = (X[:, 0] * X[:, 1] > 0).astype(int)
GRID = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(8,), ()]}
# What is left open by Dask and its web server when a cluster ends is theirs
pytestmark = pytest.mark.filterwarnings("ignore")


def classifier(backend):
    return vp.estimators.MLPClassifier(
        max_iter=150, learning_rate_init=0.02, random_state=0, backend=backend, n_iter_no_change=150
    )


def searches(backend):
    yield GridSearchCV(classifier(backend), GRID, cv=2, n_jobs=2)
    # the resource is a parameter of the estimator: cheap fits first
    yield HalvingGridSearchCV(
        classifier(backend), GRID, cv=2, n_jobs=2, factor=2, resource="max_iter", max_resources=150, min_resources=50,
        random_state=0,
    )  # fmt: skip


def check(search, backend):
    """It finds what has hidden units, and scores as a search in one process does, which shares no state with it."""
    assert search.best_params_["hidden_layer_sizes"] == (8,) and search.best_score_ > 0.8
    alone = type(search)(**{**search.get_params(deep=False), "n_jobs": 1, "estimator": classifier(backend)})
    alone.fit(X, Y)
    found = [s.cv_results_["mean_test_score"] for s in (search, alone)]
    np.testing.assert_allclose(*found, atol=0 if backend == "numpy" else 1e-2)


@pytest.mark.reliability
@pytest.mark.parametrize(("backend", "which"), [("numpy", 0), ("numpy", 1), ("jax", 0)])
def test_loky(backend, which):
    """JAX is loaded in processes of their own: nothing is forked after it was used."""
    backend_or_skip(backend)
    vp.fit(vp.Network((2, 1)), np.zeros((2, 4)), np.ones((1, 4)), epochs=1, backend=backend)
    with joblib.parallel_config("loky"):
        check(list(searches(backend))[which].fit(X, Y), backend)


@pytest.mark.reliability
def test_dask(amount):
    """A cluster of two processes on this machine."""
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster):
            backend_or_skip("jax")
            for backend, which in amount((("numpy", 1),), (("numpy", 0), ("numpy", 1), ("jax", 0), ("jax", 1))):
                search = list(searches(backend))[which]
                with joblib.parallel_config("dask"):
                    search.fit(X, Y)
                check(search, backend)
