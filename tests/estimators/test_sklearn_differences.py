"""Where the estimators differ from scikit-learn's on purpose: each row of docs/scikit-learn.md, both sides shown."""

from unittest import mock

import numpy as np
import pytest
from sklearn import neural_network as theirs

from helpers import assert_near, assert_same, cases
from helpers.processes import ROOT
from vecprop import LBFGS
from vecprop import estimators as ours
from vecprop.training import loop
from vecprop.utils.random_streams import shuffle

pytestmark = pytest.mark.filterwarnings("ignore")

PAGE = ROOT / "docs" / "scikit-learn.md"
RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((60, 3))
Y = np.stack([X[:, 0], X[:, 1] ** 2, X[:, 2] + 1], axis=1)
LABELS = np.array(["a", "b", "c"])[np.arange(60) % 3]
STILL = {"learning_rate_init": 1e-300, "solver": "sgd", "max_iter": 1, "random_state": 0}


def gradient_by_a_step(model, X, y):
    """What one step of gradient descent of rate 1 takes away from the first coefficients, and those before it."""
    model.set_params(**STILL, warm_start=True, momentum=0.0, batch_size=len(X), alpha=0.0).fit(X, y)
    before = [c.copy() for c in model.coefs_]
    kind = type(model)
    step = kind(**{**model.get_params(), "learning_rate_init": 1.0})
    step.fit(X, y)  # makes the private state; the coefficients are put back
    step.coefs_, step.intercepts_ = [c.copy() for c in before], [i.copy() for i in model.intercepts_]
    step.fit(X, y)
    return before[0] - step.coefs_[0], before[0]


def loss_with(model, X, y, coef):
    """The loss that a model reports when its first coefficients are these."""
    model.coefs_ = [coef.copy(), *(c.copy() for c in model.coefs_[1:])]
    return model.set_params(learning_rate_init=1e-300).fit(X, y).loss_


@pytest.mark.parametrize(("library", "factor"), [(theirs, 3.0), (ours, 1.0)])
def test_gradient_of_several_targets_is_that_of_the_loss(library, factor):
    model = library.MLPRegressor(hidden_layer_sizes=(4,), activation="tanh")
    G, coef = gradient_by_a_step(model, X, Y)
    epsilon, unit = 1e-5, np.zeros_like(coef)
    unit[0, 0] = epsilon
    slope = (loss_with(model, X, Y, coef + unit) - loss_with(model, X, Y, coef - unit)) / (2 * epsilon)
    assert G[0, 0] / slope == pytest.approx(factor, rel=1e-6)


def test_the_penalty_does_not_depend_on_the_batch_size():
    losses = {}
    for library in (theirs, ours):
        for size in (60, 10):
            model = library.MLPClassifier((4,), alpha=100.0, batch_size=size, shuffle=False, **STILL).fit(X, LABELS)
            losses[library.__name__, size] = model.loss_
    assert losses["vecprop.estimators", 10] == pytest.approx(losses["vecprop.estimators", 60], rel=1e-12)
    assert losses["sklearn.neural_network", 10] > 2 * losses["sklearn.neural_network", 60]


@cases(LABELS == "a", LABELS, (X[:, :2] > 0).astype(int), ids=["two classes", "several classes", "labels"])
def test_log_probabilities_are_finite(y):
    far, arguments = 1e4 * X, {"max_iter": 300, "learning_rate_init": 0.05, "random_state": 0}
    mine, other = (library.MLPClassifier((5,), **arguments).fit(X, y) for library in (ours, theirs))
    assert np.isneginf(other.predict_log_proba(far)).any()
    with np.errstate(all="raise"):
        found = mine.predict_log_proba(far)
    assert np.isfinite(found).all()
    assert found.min() < -800, "not cut off at what a probability can be"
    assert np.isfinite(mine.predict_log_proba(np.full((1, 3), 1e300))).all()


def test_the_log_loss_has_no_cap(dtype):
    inputs, y = 1e4 * X.astype(dtype), np.arange(60) % 2
    mine, other = (library.MLPClassifier((), batch_size=60, **STILL).fit(inputs, y) for library in (ours, theirs))
    assert other.loss_ < {"float32": 15.95, "float64": 36.05}[dtype]
    logits = (inputs @ mine.coefs_[0] + mine.intercepts_[0])[:, 0].astype(float)
    exact = np.mean(np.where(y == 1, np.logaddexp(0, -logits), np.logaddexp(0, logits)))
    assert mine.loss_ == pytest.approx(exact, rel=1e-5)
    assert mine.loss_ > 100


def test_partial_fit_draws_new_orders():
    """A linear unit, one example at a time: the second epoch, by hand, is in the order drawn for it."""
    y = X[:, 0] - 2 * X[:, 1]
    arguments = {"hidden_layer_sizes": (), "solver": "sgd", "momentum": 0.0, "alpha": 0.0, "batch_size": 1}
    arguments |= {"learning_rate_init": 0.05, "random_state": 7}
    model = ours.MLPRegressor(**arguments).partial_fit(X, y)
    seed = int(np.random.RandomState(7).randint(np.iinfo(np.int32).max))
    for epoch in (1, 2):
        w, b = model.coefs_[0][:, 0].copy(), model.intercepts_[0][0]
        orders = [shuffle(seed, e, 60) for e in (0, epoch)]
        assert (orders[0] != orders[1]).any()
        for i in orders[1]:
            error = X[i] @ w + b - y[i]
            w, b = w - 0.05 * error * X[i], b - 0.05 * error
        model.partial_fit(X, y)
        np.testing.assert_allclose(model.coefs_[0][:, 0], w, rtol=1e-12)


def test_ctrl_c_within_partial_fit_ends_the_program(monkeypatch):
    """Unlike in scikit-learn a loop over chunks does not go on without the rows of one."""
    interrupted = mock.Mock(side_effect=KeyboardInterrupt)
    model = ours.MLPRegressor(random_state=0).partial_fit(X, Y)
    before = [c.copy() for c in model.coefs_]
    monkeypatch.setattr(loop, "_advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(X, Y)
    assert_same(model.coefs_, before)
    assert model.n_iter_ == 1
    monkeypatch.setattr(theirs.MLPRegressor, "_backprop", interrupted)
    theirs.MLPRegressor(random_state=0).partial_fit(X, Y)


def test_a_batch_of_weight_zero_changes_nothing():
    w = np.repeat([1.0, 0.0], [50, 10])
    arguments = {"hidden_layer_sizes": (4,), "batch_size": 10, "shuffle": False, "max_iter": 2, "random_state": 0}
    with pytest.raises(ZeroDivisionError):
        theirs.MLPClassifier(**arguments).fit(X, LABELS, sample_weight=w)
    mine = ours.MLPClassifier(**arguments).fit(X, LABELS, sample_weight=w)
    without = ours.MLPClassifier(**arguments).fit(X[:50], LABELS[:50], sample_weight=w[:50])
    assert_near(mine.coefs_, without.coefs_, rtol=1e-12)


def test_partial_fit_of_a_regressor_with_lbfgs_is_not_there():
    assert hasattr(theirs.MLPRegressor(solver="lbfgs"), "partial_fit")
    for kind in (ours.MLPRegressor, ours.MLPClassifier):
        assert [hasattr(kind(solver=s), "partial_fit") for s in ("adam", "lbfgs", LBFGS())] == [True, False, False]


def test_a_validation_score_of_nan_counts_as_no_improvement():
    """Here the run ends; the best network is given back, with the epoch, the step and the layer in a warning."""
    arguments = {
        "hidden_layer_sizes": (4,), "activation": "identity", "solver": "sgd", "learning_rate_init": 1.0,
        "early_stopping": True, "max_iter": 300, "random_state": 0, "n_iter_no_change": 5,
    }  # fmt: skip
    other = theirs.MLPRegressor(**arguments).fit(100 * X, Y[:, 0])
    assert np.isnan(other.validation_scores_[-1])
    assert other.n_iter_ == 300, "a score of NaN sets the count of epochs without improvement back to 0"
    with pytest.warns(UserWarning, match=r"training diverged: the cost is .* in epoch \d+, step"):
        mine = ours.MLPRegressor(**arguments).fit(100 * X, Y[:, 0])
    assert (mine.stopped_, np.isfinite(mine.predict(X)).all()) == ("diverged", True)
    assert mine.n_iter_ < 20


# --- the page ------------------------------------------------------------------------------------------------


def test_the_page_has_every_parameter_beyond_scikit_learns():
    text = PAGE.read_text(encoding="utf-8")
    for name in ("MLPClassifier", "MLPRegressor"):
        own = set(getattr(ours, name)().get_params()) - set(getattr(theirs, name)().get_params())
        for parameter in own:
            assert f"`{parameter}`" in text or f"`{parameter}=" in text, parameter
