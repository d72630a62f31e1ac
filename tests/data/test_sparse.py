"""Sparse X: small ones are made dense, large ones a part at a time, with the same result."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as scipy_sparse

import vecprop as vp
from helpers import assert_grads_close, refusals
from vecprop import estimators
from vecprop.data import sparse

NET = vp.Network((40, 6, 3), output="softmax")
RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((40, 90)) * (RANDOM.random((40, 90)) < 0.1)
Y = np.eye(3)[:, RANDOM.integers(0, 3, 90)]
W = RANDOM.uniform(0, 2, 90)
HELD_OUT = (X[:, :25], Y[:, :25], W[:25])
ARGUMENTS = {"optimizer": vp.Adam(0.01), "epochs": 3, "dtype": "float64", "l2": 0.1}


@pytest.fixture
def in_parts(monkeypatch):
    """Everything sparse is too large to be dense at once, and a part holds some 20 columns."""
    monkeypatch.setattr(sparse, "SMALL", 0)
    monkeypatch.setattr(sparse, "PART", 20 * 40 * 8)


def same(one, other, bound=1e-12):
    assert_grads_close(one.params, other.params, bound=bound)
    for key in set(one.history) - {"seconds"}:
        np.testing.assert_allclose(one.history[key], other.history[key], rtol=1e-10)


CASES = {
    "batches": {"batch_size": 7},
    "weights, dropout and normalization": {
        "batch_size": 8, "sample_weight": W, "dropout": 0.2, "batch_norm": True, "clip_norm": 0.5
    },
    "one batch a part": {"batch_size": 20},
    "batches larger than a part": {"batch_size": 33},
    "full batch": {},
    "in their own order": {"batch_size": 7, "shuffle": False},
    "validation and a metric": {"batch_size": 7, "validation": HELD_OUT, "metric": "accuracy", "patience": 1},
    "a share for validation, an own metric": {
        "batch_size": 7, "validation": 0.4, "metric": lambda Y, A: float(np.abs(Y - A).mean())
    },
    "metric of the training set": {"batch_size": 7, "metric": "r2", "sample_weight": W},
    "L-BFGS": {"optimizer": vp.LBFGS(), "epochs": 5, "sample_weight": W, "l1": 0.1},
}  # fmt: skip


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("case", CASES)
def test_parts_are_the_whole(case, backend):
    if backend.name == "jax" and case not in (
        "weights, dropout and normalization",
        "validation and a metric",
        "L-BFGS",
    ):
        pytest.skip("a compilation less")
    arguments = {**ARGUMENTS, **CASES[case], "backend": backend}
    dense = vp.fit(NET, X, Y, **arguments)
    if case.startswith("validation"):
        arguments["validation"] = (scipy_sparse.csc_array(HELD_OUT[0]), *HELD_OUT[1:])
    same(vp.fit(NET, scipy_sparse.csc_array(X), Y, **arguments), dense, bound=1e-9 if case == "L-BFGS" else 1e-12)


@pytest.mark.parametrize("kind", ["csr_array", "csc_array", "coo_array", "csr_matrix", "lil_matrix"])
def test_every_kind_of_sparse_matrix(kind):
    same(
        found := vp.fit(NET, matrix := getattr(scipy_sparse, kind)(X), Y, batch_size=7, **ARGUMENTS),
        vp.fit(NET, X, Y, batch_size=7, **ARGUMENTS),
    )
    np.testing.assert_allclose(found.forward(matrix), found.forward(X), rtol=1e-14)


@pytest.mark.usefixtures("in_parts")
def test_rows_of_an_estimator_stay_sparse_where_memory_is_short(monkeypatch):
    """The same network and probabilities; a stack, which needs all of them dense, says so."""
    arguments = {"hidden_layer_sizes": (6,), "batch_size": 7, "max_iter": 20, "tol": 1.0, "random_state": 0}
    rows, labels = scipy_sparse.csr_array(X.T), Y.argmax(axis=0)
    wanted = estimators.MLPClassifier(**arguments).fit(X.T, labels).predict_proba(X.T)
    monkeypatch.setattr("vecprop.estimators.inputs.free_main_memory", lambda: 3 * X.nbytes - 1)
    found = estimators.MLPClassifier(**arguments).fit(rows, labels).predict_proba(rows)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    stack = estimators.MLPClassifier(**arguments, n_networks=2)
    with pytest.raises(ValueError, match=r"would take 28.1 KiB dense, which a stack of networks needs"):
        stack.fit(rows, labels)
    monkeypatch.setattr("vecprop.estimators.inputs.free_main_memory", lambda: 3 * X.nbytes)
    assert stack.fit(rows, labels).coefs_[0].shape == (2, 40, 6)


@pytest.mark.reliability
def test_memory_is_that_of_a_part():
    """20 000 features, 20 000 examples: 1.5 GiB dense in float32, trained in a twentieth of it."""
    matrix = scipy_sparse.random_array((20_000, 20_000), density=1e-4, format="csc", dtype=np.float32, rng=1)
    net, targets = vp.Network((20_000, 4, 1)), (np.arange(20_000) % 2)[None, :].astype(np.float32)
    tracemalloc.start()
    result = vp.fit(net, matrix, targets, optimizer=vp.Adam(1e-3), epochs=1, batch_size=500)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.isfinite(result.history["cost"][0])
    assert peak < 6 * sparse.PART < 20_000**2 * 4 / 3


test_bad_input = refusals(
    lambda _, matrix, arguments: vp.fit(NET, scipy_sparse.csr_array(matrix), Y, epochs=1, **arguments),
    (X.T, {}, ValueError, r"X must have shape \(40, m\).*got \(90, 40\); .* use X.T"),
    (X * np.nan, {}, ValueError, "X must be finite, got NaN"),
    (X * 1j, {}, TypeError, "X must be real numbers.*complex128"),
    (X, {"seed": (0, 1)}, ValueError, r"would take 28.1 KiB dense, which a stack of networks needs"),
    (X, {"standardize": True}, ValueError, "standardize=True subtracts the mean"),
    (X[:, :50], {}, ValueError, r"Y must have shape \(3, 50\)"),
    fixtures=["in_parts"],
)


@pytest.mark.usefixtures("in_parts")
def test_divergence_is_reported():
    net, huge = vp.Network((40, 6, 3), hidden="relu", output="identity"), np.where(X == 0, 0, 3e200)
    with pytest.raises(vp.DivergenceError, match=r"the largest \|X\| is 3e\+200"):
        vp.fit(net, scipy_sparse.csc_array(huge), Y, epochs=2, dtype="float64", batch_size=9)
