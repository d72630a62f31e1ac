"""The estimators: what they take, what they give, and that parameters mean what scikit-learn's mean."""

import inspect
import pickle
import warnings
from functools import partial

import numpy as np
import pytest
from scipy.sparse import csr_matrix, issparse
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.metrics import d2_pinball_score, log_loss
from sklearn.preprocessing import StandardScaler

import vecprop as vp
from helpers import assert_near, assert_same, backend_or_skip, cases, host, raising
from vecprop import estimators
from vecprop.estimators import MLPClassifier, MLPRegressor
from vecprop.nn import array_checks

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, LABELS = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)[::3]
LABELS = LABELS[::3]
NAMES = np.array(["setosa", "versicolor", "virginica"])[LABELS]
RANDOM = np.random.default_rng(0)
TARGETS = X @ RANDOM.standard_normal((4, 2)) + np.sin(X[:, :1])
W = RANDOM.integers(0, 3, len(X)).astype(float)
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 4, "random_state": 0}
classifier, regressor = partial(MLPClassifier, **SMALL), partial(MLPRegressor, **SMALL)


# --- scikit-learn's surface ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_every_parameter_of_scikit_learn_with_its_default(name):
    """As positional arguments too, and each method with its arguments."""
    ours, sklearns = getattr(estimators, name), getattr(theirs, name)
    mine, other = inspect.signature(ours).parameters, inspect.signature(sklearns).parameters
    for parameter, value in other.items():
        assert mine[parameter].default == value.default, parameter
    positional = [p for p, v in other.items() if v.kind is v.POSITIONAL_OR_KEYWORD]
    assert [p for p, v in mine.items() if v.kind is v.POSITIONAL_OR_KEYWORD] == positional
    for method in ("fit", "partial_fit", "predict", "score", "predict_proba", "predict_log_proba"):
        if hasattr(sklearns, method):
            wanted = list(inspect.signature(getattr(sklearns, method)).parameters)
            assert list(inspect.signature(getattr(ours, method)).parameters)[: len(wanted)] == wanted, method


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_every_attribute_of_scikit_learn(solver, early_stopping):
    arguments = {"solver": solver, "early_stopping": early_stopping, "max_iter": 3, "random_state": 0}
    arguments["hidden_layer_sizes"] = (5,)
    for kind, y in (("MLPClassifier", NAMES), ("MLPRegressor", TARGETS)):
        mine, other = (getattr(library, kind)(**arguments).fit(X, y) for library in (estimators, theirs))
        for name in (name for name in vars(other) if name.endswith("_") and name[0] != "_"):
            found, value = getattr(mine, name), getattr(other, name)
            assert (found is None) == (value is None), name
            if isinstance(value, list):
                assert [(np.shape(a), np.result_type(a)) for a in found] == [
                    (np.shape(a), np.result_type(a)) for a in value
                ], name
            elif name in ("n_layers_", "n_outputs_", "out_activation_", "n_features_in_", "t_", "n_iter_"):
                assert found == value or (solver == "lbfgs" and name == "t_"), name


@cases(
    {"solver": "sgd"},
    {"solver": "sgd", "momentum": 0},
    {"solver": "sgd", "nesterovs_momentum": False},
    {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.2},
    {"solver": "adam", "epsilon": 1e-30},  # theirs is not corrected like ours
    ids=str,
)
@pytest.mark.parametrize(
    ("kind", "y"), [("MLPClassifier", NAMES), ("MLPClassifier", NAMES == "setosa"), ("MLPRegressor", TARGETS[:, 0])]
)
def test_whole_runs_equal_scikit_learns(options, kind, y):
    """From the same parameters in the same order: 5 epochs of full batches, with weights; losses and coefficients."""
    arguments = {"hidden_layer_sizes": (5,), "activation": "tanh", "learning_rate_init": 0.05, "random_state": 0}
    arguments |= {"batch_size": len(X), "shuffle": False, "alpha": 0.1, **options}
    mine, other = (
        getattr(library, kind)(**arguments, warm_start=True, max_iter=1).fit(X, y) for library in (estimators, theirs)
    )
    mine.coefs_, mine.intercepts_ = ([a.copy() for a in arrays] for arrays in (other.coefs_, other.intercepts_))
    mine._progress = mine._progress._replace(kind=())  # a new optimizer, as scikit-learn makes for every fit
    mine.t_ = other.t_ = 0
    for estimator in (mine, other):
        estimator.set_params(max_iter=5).fit(X, y, sample_weight=W)
    assert_near(mine.coefs_ + mine.intercepts_, other.coefs_ + other.intercepts_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mine.loss_curve_[-5:], other.loss_curve_[-5:], rtol=1e-10)


def test_lbfgs_finds_scikit_learns_optima():
    """Without hidden layers the optimum is known: logistic, softmax, ridge and Poisson regression."""
    # solver="lbfgs" would also end, as scikit-learn's does, when the cost falls by less than 2e-9: not near enough here
    lbfgs = {"hidden_layer_sizes": (), "solver": vp.LBFGS(tolerance=1e-8), "max_iter": 1000, "alpha": 1.0}
    for y in (NAMES, NAMES == "setosa"):
        reference = LogisticRegression(C=1.0, tol=1e-10, max_iter=5000).fit(X, y)
        mine = MLPClassifier(**lbfgs).fit(X, y)
        np.testing.assert_allclose(mine.predict_proba(X), reference.predict_proba(X), atol=1e-4)
    mine = MLPRegressor(**lbfgs).fit(X, TARGETS)
    np.testing.assert_allclose(mine.coefs_[0], Ridge(alpha=1.0, tol=1e-10).fit(X, TARGETS).coef_.T, atol=1e-5)
    counts = RANDOM.poisson(np.exp(0.5 * X[:, 0]))
    mine = MLPRegressor("poisson", **lbfgs).fit(X, counts)
    reference = PoissonRegressor(alpha=1.0 / len(X), tol=1e-10).fit(X, counts)
    np.testing.assert_allclose(mine.predict(X), reference.predict(X), rtol=1e-4)


# --- targets of all kinds -----------------------------------------------------------------------------------


@cases(
    (LABELS, "softmax"),
    (NAMES, "softmax"),
    (NAMES.astype(object), "softmax"),
    (LABELS + 0.0, "softmax"),
    (LABELS > 0, "logistic"),
    (np.where(LABELS > 0, "b", "a"), "logistic"),
    (np.where(LABELS > 0, 7, -3), "logistic"),
)
def test_classes_of_every_kind(y, kind, backend):
    model = classifier(max_iter=60, backend=backend.name).fit(X, y)
    assert model.out_activation_ == kind
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    predicted, P = model.predict(X), model.predict_proba(X)
    assert predicted.dtype == y.dtype
    assert set(predicted) <= set(y)
    np.testing.assert_array_equal(predicted, model.classes_[P.argmax(axis=1)])
    np.testing.assert_allclose(P.sum(axis=1), 1)
    np.testing.assert_allclose(np.log(P), model.predict_log_proba(X), atol=1e-9)
    assert model.score(X, y) == (predicted == y).mean()


def test_one_class_is_certain():
    model = classifier().fit(X, np.full(len(X), "only"))
    assert set(model.predict(X)) == {"only"}
    np.testing.assert_array_equal(model.predict_proba(X), np.ones((len(X), 1)))
    assert (model.predict_log_proba(X) == 0).all()


@pytest.mark.parametrize("sparse", [False, True])
def test_labels_that_do_not_exclude_each_other(sparse):
    inputs, Y = make_multilabel_classification(60, n_classes=4, random_state=0)
    model = classifier(max_iter=300, learning_rate_init=0.01, scale="standard")
    predicted = model.fit(inputs, csr_matrix(Y) if sparse else Y).predict(inputs)
    assert issparse(predicted) == sparse
    predicted = predicted.toarray() if sparse else predicted
    P = model.predict_proba(inputs)
    assert (model.out_activation_, P.shape, model.classes_.tolist()) == ("logistic", (60, 4), [0, 1, 2, 3])
    np.testing.assert_array_equal(predicted, P > 0.5)
    np.testing.assert_allclose(P, np.exp(model.predict_log_proba(inputs)), rtol=1e-3, atol=1e-12)
    assert (predicted == Y).mean() > 0.9


def test_dtype_follows_the_inputs(dtype, backend):
    inputs = X.astype(dtype)
    for kind, y in ((classifier, NAMES), (regressor, TARGETS)):
        model = kind(backend=backend.name).fit(inputs, y)
        assert {a.dtype.name for a in model.coefs_ + model.intercepts_} == {dtype}
        outputs = model.predict_proba(inputs) if hasattr(model, "classes_") else model.predict(inputs)
        assert (type(outputs), outputs.dtype.name) == (np.ndarray, dtype)
    other = {"float32": "float64", "float64": "float32"}[dtype]
    assert classifier(dtype=other).fit(inputs, NAMES).predict_proba(inputs).dtype.name == other


# --- what goes beyond ----------------------------------------------------------------------------------------


def test_the_active_backend_is_used(monkeypatch):
    pytest.importorskip("jax")
    seen = []
    watch = regressor(callbacks=lambda state, _: seen.append(type(state.params[0].W).__module__.split(".")[0]))
    monkeypatch.setenv("VECPROP_BACKEND", "jax")
    watch.fit(X, TARGETS)
    monkeypatch.delenv("VECPROP_BACKEND")
    watch.fit(X, TARGETS)
    with vp.use_backend("jax"):
        watch.fit(X, TARGETS)
    assert seen == ["jaxlib"] * 4 + ["numpy"] * 4 + ["jaxlib"] * 4


def test_network_and_params_are_those_of_the_core(backend):
    model = MLPClassifier((6,), activation=vp.activations.LeakyReLU(0.2), max_iter=3, random_state=0).fit(X, NAMES)
    A = model.network_.forward(model.params_, X.T)
    np.testing.assert_allclose(A.T, model.predict_proba(X), rtol=1e-12)
    assert vp.check_gradients(model.network_, model.params_, X.T, np.eye(3)[:, LABELS]).passed
    vp.fit(model.network_, X.T, np.eye(3)[:, LABELS], params=model.params_, epochs=1)
    on_device = tuple(vp.Layer(*(backend.asarray(a) for a in layer)) for layer in model.params_)
    A = model.network_.forward(on_device, backend.asarray(X.T.copy()))
    np.testing.assert_allclose(host(A).T, model.predict_proba(X), rtol=1e-10)


def test_predictions_follow_layers_that_the_user_changes(backend):
    """In place, by another array, by another list; the layers of an estimator that is unchanged are moved once."""
    model = classifier(backend=backend.name).fit(X, NAMES)
    before = model.predict_proba(X)
    assert model._layers_on(backend)[1] is model._layers_on(backend)[1]
    model.intercepts_[-1][0] += 1.0
    raised = model.predict_proba(X)
    assert (raised[:, 0] > before[:, 0]).all()
    model.intercepts_[-1] = model.intercepts_[-1] - np.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(model.predict_proba(X), before, atol=1e-12)
    model.coefs_ = [0.0 * coef for coef in model.coefs_]
    np.testing.assert_allclose(np.ptp(model.predict_proba(X), axis=0), 0.0, atol=1e-15)


def test_numbers_of_rows_share_compiled_programs():
    jax = pytest.importorskip("jax")
    model = classifier(backend="jax").fit(X, NAMES)
    whole, compiled = model.predict_proba(X[:32]), []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: compiled.append(name))
    try:
        for n in range(17, 33):
            np.testing.assert_array_equal(model.predict_proba(X[:n]), whole[:n])
    finally:
        jax.monitoring.clear_event_listeners()
    assert not [name for name in compiled if "compile" in name or "trace" in name]


def test_optimizers_and_schedules():
    for solver in (vp.AdamW(0.01, weight_decay=0.1), vp.RMSProp(0.01), vp.Momentum(0.1), vp.LBFGS()):
        assert classifier(solver=solver, max_iter=50).fit(X, NAMES).score(X, NAMES) > 0.5
    rates = []
    keep = {"callbacks": lambda _, history: rates.append(history["learning_rate"][-1])}
    classifier(learning_rate=vp.StepDecay(1, 0.5), learning_rate_init=0.1, **keep).fit(X, NAMES)
    classifier(solver=vp.Adam(0.1), learning_rate=vp.StepDecay(1, 0.5), **keep).fit(X, NAMES)
    assert rates == [0.1, 0.05, 0.025, 0.0125] * 2


def test_class_weight_is_a_factor_of_the_sample_weight():
    arguments = {**SMALL, "batch_size": 16}
    factors = {"setosa": 1.0, "versicolor": 2.0, "virginica": 0.0}
    weights = W * np.vectorize(factors.get)(NAMES)
    weighted = MLPClassifier(**arguments, class_weight=factors).fit(X, NAMES, sample_weight=W)
    reference = MLPClassifier(**arguments).fit(X, NAMES, sample_weight=weights)
    np.testing.assert_allclose(weighted.coefs_[0], reference.coefs_[0], rtol=1e-12)
    y = np.where(np.arange(len(X)) < 5, "rare", "often")
    shares = {"rare": len(X) / 10, "often": len(X) / 2 / (len(X) - 5)}
    balanced, by_hand = (MLPClassifier(**arguments, class_weight=c).fit(X, y) for c in ("balanced", shares))
    np.testing.assert_allclose(balanced.coefs_[0], by_hand.coefs_[0], rtol=1e-12)
    labels = np.stack([LABELS > 0, LABELS > 1], axis=1).astype(int)
    MLPClassifier(**arguments, class_weight=[{0: 1.0, 1: 2.0}, {0: 1.0, 1: 3.0}]).fit(X, labels)
    model = MLPClassifier(**arguments, class_weight={"setosa": 2.0, "virginica": 3.0})
    for some in (slice(None), NAMES != "virginica"):  # a part may lack a class that has a factor
        model.partial_fit(X[some], NAMES[some], classes=np.unique(NAMES))


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("y", [NAMES, np.stack([LABELS > 0, LABELS > 1], axis=1).astype(int)])
def test_integer_weights_are_repetitions_and_zero_is_absence(y, class_weight):
    times = W.astype(int)
    data = ((X, y, W), (np.repeat(X, times, axis=0), np.repeat(y, times, axis=0)))
    weighted, repeated = (
        classifier(max_iter=20, batch_size=len(part[0]), class_weight=class_weight).fit(*part) for part in data
    )
    np.testing.assert_allclose(weighted.coefs_[0], repeated.coefs_[0], rtol=1e-9)


def test_label_smoothing_keeps_probabilities_from_the_ends():
    arguments = {"hidden_layer_sizes": (20,), "solver": "lbfgs", "max_iter": 500, "alpha": 0.0}
    sharp, smooth = (classifier(**arguments, label_smoothing=s).fit(X, NAMES) for s in (0.0, 0.3))
    assert sharp.predict_proba(X).max() > 0.999
    assert smooth.predict_proba(X).max() == pytest.approx(0.8, abs=0.03)
    assert smooth.score(X, NAMES) > 0.97


def test_scaling_inside_is_a_scaler_in_front():
    raw, y = (a[::5] for a in load_breast_cancer(return_X_y=True))
    inside = classifier(scale="standard", max_iter=10).fit(raw, y)
    scaler = StandardScaler().fit(raw)
    outside = classifier(max_iter=10).fit(scaler.transform(raw), y)
    np.testing.assert_allclose(inside.predict_proba(raw), outside.predict_proba(scaler.transform(raw)), rtol=1e-9)
    np.testing.assert_allclose(inside.scaling_.mean[:, 0], scaler.mean_)
    np.testing.assert_allclose(inside.scaling_.deviation[:, 0], scaler.scale_)


def test_scaled_targets_come_back_in_their_units():
    prices = vp.datasets.house_prices(m=400, seed=3)
    inputs, y = prices.X.T, prices.Y[0]
    arguments = {"scale": "standard", "random_state": 0, "max_iter": 500, "learning_rate_init": 0.01}
    assert MLPRegressor(**arguments, scale_target="standard").fit(inputs, y).score(inputs, y) > 0.9
    assert MLPRegressor(**arguments).fit(inputs, y).score(inputs, y) < 0.5, "what it is for"
    far = 1000 + 50 * TARGETS
    scaling = regressor(scale_target="standard").fit(X, far).target_scaling_
    np.testing.assert_allclose(np.squeeze(scaling), [far.mean(axis=0), far.std(axis=0)])


@cases(
    ({}, np.array([1e8])),
    ({}, np.array([1e8, -3e9])),
    ({"n_networks": 2}, np.array([1e8, -3e9])),
    ({"loss": "quantile", "quantile": [0.1, 0.5, 0.9]}, np.array([1e8])),
    ({"early_stopping": True, "scoring": "neg_mean_squared_error"}, np.array([1e8, -3e9])),
    ids=["one", "two", "networks", "quantiles", "scorer"],
)
def test_a_target_far_from_0_keeps_its_digits(parameters, far):
    """In float32 1e8 ± 3 would be a few numbers: what a network of float32 learns is the same beside 0."""
    near = np.squeeze(3 * TARGETS[:, : len(far)])
    model, beside_0 = (
        MLPRegressor(dtype="float32", scale_target="standard", max_iter=30, random_state=0, **parameters).fit(X, y)
        for y in (near + far, near)
    )
    levels = [1, -1] if "quantile" in parameters else [-1]
    predicted, deviation = model.predict(X, return_std=True)
    assert predicted.dtype == deviation.dtype == np.float64
    assert np.abs(predicted.reshape(len(X), *levels) - far - beside_0.predict(X).reshape(len(X), *levels)).max() < 1e-4
    assert model.score(X, near + far) == pytest.approx(beside_0.score(X, near), abs=1e-5)
    if model.validation_scores_ is not None:
        np.testing.assert_allclose(model.validation_scores_, beside_0.validation_scores_, rtol=1e-3)
    assert regressor(dtype="float32").fit(X, near).predict(X).dtype == np.float32, "without scale_target as before"


@pytest.mark.parametrize("weights", [None, np.tile([0.0, 1.0, 2.0], 40)])
def test_features_of_float32_are_scaled_in_float64(weights):
    """Their mean, 16 000 000.5 more or less, is no number of float32; and a sum of many would lose what is added."""
    part = 16_000_000.0 + np.arange(120) % 50
    inputs = np.stack([part, RANDOM.normal(size=120)], axis=1).astype(np.float32)
    model = regressor(scale="standard", max_iter=30).fit(inputs, part - 16e6, weights)
    mean = np.average(inputs.astype(float), axis=0, weights=weights)
    np.testing.assert_allclose(model.scaling_.mean[:, 0], mean, rtol=1e-15)
    np.testing.assert_allclose(model.predict(inputs), model.predict(inputs.astype(np.float64)), rtol=1e-5, atol=1e-5)
    many = np.repeat(inputs[:, 1:] + 5, 30_000, axis=0)
    scale = MLPRegressor(hidden_layer_sizes=(), scale="standard", max_iter=1).fit(many, many[:, 0]).scaling_
    np.testing.assert_allclose(np.squeeze(scale), [f(many, dtype=np.float64) for f in (np.mean, np.std)], rtol=1e-12)


@cases(("squared_error", 3.2), ("absolute_error", 2.0), ("huber", 2.5), ("quantile", 9.0))
def test_losses_have_their_constants(loss, best):
    """Of 1, 1, 2, 3, 9: the mean, the median, between them, the 0.9-quantile; by a unit whose input says nothing."""
    y = np.tile([1.0, 1.0, 2.0, 3.0, 9.0], 4)
    model = MLPRegressor(
        loss, hidden_layer_sizes=(), quantile=0.9, huber_delta=3.0, solver=vp.Adam(0.02, schedule=vp.Cosine()),
        max_iter=3000, tol=0, n_iter_no_change=np.inf, alpha=0, random_state=0,
    ).fit(np.zeros((20, 1)), y)  # fmt: skip
    assert model.predict([[0.0]])[0] == pytest.approx(best, abs=0.05)


def test_several_quantiles_at_once_do_not_cross():
    levels = [0.1, 0.5, 0.9]
    inputs = RANDOM.uniform(-2, 2, (800, 1))
    y = np.sin(inputs[:, 0]) + RANDOM.standard_normal(800) * (0.2 + 0.2 * np.abs(inputs[:, 0]))
    model = MLPRegressor("quantile", hidden_layer_sizes=(30,), quantile=levels, max_iter=300, random_state=0)
    model.set_params(learning_rate_init=0.01, n_iter_no_change=30).fit(inputs, y)
    far = np.linspace(-50, 50, 500)[:, None]
    for points in (inputs, far):
        predicted = model.predict(points)
        assert predicted.shape == (len(points), 3)
        assert (np.diff(predicted, axis=1) >= 0).all()
    coverage = (y[:, None] <= model.predict(inputs)).mean(axis=0)
    np.testing.assert_allclose(coverage, levels, atol=0.04)
    scores = [d2_pinball_score(y, model.predict(inputs)[:, k], alpha=q) for k, q in enumerate(levels)]
    assert model.score(inputs, y) == pytest.approx(np.mean(scores))
    two = MLPRegressor("quantile", quantile=levels, max_iter=3, random_state=0, scale_target="standard")
    assert two.fit(inputs, np.stack([y, -100 * y], axis=1)).predict(far).shape == (500, 2, 3)
    assert (np.diff(two.predict(far), axis=2) >= 0).all()


# --- validation, stopping -----------------------------------------------------------------------------------


def test_early_stopping_gives_back_the_best_epoch():
    cancer = load_breast_cancer()
    arguments = {"hidden_layer_sizes": (10,), "scale": "standard", "early_stopping": True, "random_state": 1}
    model = MLPClassifier(**arguments, max_iter=300).fit(cancer.data, cancer.target)
    assert model.stopped_ == "patience"
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert (model.best_loss_, len(model.validation_scores_)) == (None, model.n_iter_)
    best = int(np.argmax(model.validation_scores_))
    assert model.n_iter_ <= best + 1 + 11 + 11, "patience is 10 epochs without an improvement by tol"
    again = MLPClassifier(**arguments, max_iter=best + 1).fit(cancer.data, cancer.target)
    np.testing.assert_allclose(again.coefs_[0], model.coefs_[0], rtol=1e-12)


@pytest.mark.parametrize("scoring", [None, "loss", "neg_log_loss", "f1_macro", "own"])
def test_a_validation_set_of_ones_own(scoring):
    def own(estimator, inputs, y):
        return -log_loss(y, estimator.predict_proba(inputs))

    stopping = {"early_stopping": True, "scoring": own if scoring == "own" else scoring, "n_iter_no_change": 3}
    inputs, y, w = X[1::2], NAMES[1::2], W[1::2] + 0.5
    model = classifier(**stopping, max_iter=60, learning_rate_init=0.05)
    model.fit(X[::2], NAMES[::2], X_val=inputs, y_val=y, sample_weight_val=w)
    assert model.t_ == model.n_iter_ * len(X[::2]), "all the training examples were trained on"
    cost = model.network_.cost(model.params_, inputs.T, np.eye(3)[:, LABELS[1::2]], sample_weight=w)
    best = int(np.argmax(model.validation_scores_))
    assert model.validation_loss_curve_[best] == pytest.approx(float(cost), rel=1e-9)
    if scoring is None:
        assert model.best_validation_score_ == pytest.approx(np.average(model.predict(inputs) == y, weights=w))
    if scoring in ("loss", "own", "neg_log_loss"):
        value = -log_loss(y, model.predict_proba(inputs), sample_weight=None if scoring == "own" else w)
        assert model.best_validation_score_ == pytest.approx(value, rel=1e-6)


def test_a_validation_set_without_early_stopping_is_recorded():
    model = classifier().fit(X[::2], NAMES[::2], X_val=X[1::2], y_val=NAMES[1::2])
    assert (len(model.validation_loss_curve_), model.validation_scores_) == (4, None)
    plain = classifier().fit(X[::2], NAMES[::2])
    np.testing.assert_array_equal(plain.coefs_[0], model.coefs_[0])
    assert plain.validation_loss_curve_ is None


def test_a_score_of_nan_is_no_improvement():
    scores = iter([0.5, np.nan, 0.6, *[np.nan] * 50])
    model = classifier(early_stopping=True, scoring=lambda *_: next(scores), max_iter=50, n_iter_no_change=3)
    model.fit(X, NAMES)
    assert (model.n_iter_, model.best_validation_score_, model.stopped_) == (7, 0.6, "patience")


def test_the_split_keeps_the_shares_of_the_classes():
    y = np.repeat(["a", "b", "c"], [90, 50, 10])
    inputs = np.arange(150.0)[:, None]
    seen = []

    def scorer(_, validation, labels):
        seen.append((validation[:, 0], labels))
        return 0.0

    MLPClassifier((), early_stopping=True, scoring=scorer, max_iter=1, validation_fraction=0.2).fit(inputs, y)
    ((rows, labels),) = seen
    assert dict(zip(*np.unique(labels, return_counts=True), strict=True)) == {"a": 18, "b": 10, "c": 2}
    np.testing.assert_array_equal(y[rows.astype(int)], labels)


@pytest.mark.parametrize("kind", [classifier, regressor])
@pytest.mark.parametrize("seed", range(4))
def test_examples_of_weight_0_are_not_split_off(kind, seed):
    seen, y = [], NAMES if kind is classifier else X[:, 0]
    model = kind(early_stopping=True, random_state=seed, scoring=lambda _, rows, __: seen.append(rows) or 0.0)
    w = np.arange(len(X)) % 12 == 0
    with pytest.raises(ValueError, match=r"too small.*validation_fraction=0\.1 of 50 examples, 1 of them weighted"):
        model.fit(X, y, np.arange(len(X)) == 7)
    model.set_params(validation_fraction=0.4).fit(X, y, w)
    assert len(seen[0]) == 2 and all((X[w] == row).all(axis=1).any() for row in seen[0])


def test_adaptive_learning_rate_falls_by_five_until_it_is_small():
    adaptive = {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.01}
    model = classifier(**adaptive, tol=10.0, n_iter_no_change=2, max_iter=99).fit(X, NAMES)
    rates = model.history_["learning_rate"]
    assert rates[:8] == pytest.approx([0.01] * 4 + [0.002] * 3 + [0.0004])
    assert model.stopped_ == "patience"
    assert rates[-1] <= 1e-6 < rates[-4]


def test_warnings_where_it_has_not_converged():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(4\) reached"):
        classifier().fit(X, NAMES)
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 4 iterations: the limit max_iter=4"):
        classifier(solver="lbfgs").fit(X, NAMES)
    with pytest.warns(ConvergenceWarning, match="Increase the limit$"):
        classifier(solver="lbfgs", scale="standard").fit(X, NAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier(tol=10.0, max_iter=50, learning_rate_init=0.1).fit(X, NAMES)
        regressor(solver="lbfgs", max_iter=500).fit(X, np.full(len(X), 0.1))  # a constant is all there is to learn
        classifier(max_iter=1).partial_fit(X, NAMES, classes=np.unique(NAMES))
        # a schedule is a plan, which max_iter is the end of
        classifier(learning_rate=vp.Cosine()).fit(X, NAMES)
        classifier(solver=vp.Adam(schedule=vp.Cosine())).fit(X, NAMES)
        # with the penalty the loss is above that of a constant, without it a tenth of that
        large = regressor(hidden_layer_sizes=(64, 64), alpha=1.0, init="he", early_stopping=True, max_iter=2000)
        large.set_params(learning_rate_init=0.003).fit(X, X[:, 0])
        assert large.stopped_ == "patience" and large.score(X, X[:, 0]) > 0.9 and large.loss_ > 1


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@cases(
    ({"solver": "lbfgs", "random_state": 3}, 8e4 + X),  # all the units are dead
    ({"solver": "lbfgs", "alpha": 1e7}, X),
    ({"n_networks": 2, "learning_rate_init": 0.01}, 0 * X),
    ({"solver": "sgd", "early_stopping": True, "scoring": "loss", "learning_rate_init": 0.1}, 0 * X),
)
def test_a_loss_that_ends_at_that_of_a_constant_is_warned_of(parameters, data, kind):
    model = kind(**{"hidden_layer_sizes": (3,), "max_iter": 2000, "random_state": 0} | parameters)
    with pytest.warns(ConvergenceWarning, match="the best constant prediction is .*: nothing was learned from X"):
        model.fit(data, NAMES if kind is MLPClassifier else X[:, 0])
    assert model.stopped_ in ("converged", "patience")


@pytest.mark.parametrize("loss", ["absolute_error", "quantile"])
def test_the_best_constant_counts_the_weights(loss):
    y = np.arange(len(X)) % 3.0
    model = regressor(loss=loss, quantile=0.3, max_iter=2000, learning_rate_init=0.01)
    with pytest.warns(ConvergenceWarning, match="nothing was learned from X"):
        model.fit(0 * X, y, np.where(y == 2, 9.0, 0.5))
    assert np.abs(model.predict(X) - 2).max() < 0.1


@pytest.mark.parametrize("given", [False, True], ids=["split off", "given"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("targets", [(), (2,)])
def test_where_validation_targets_are_all_equal_the_loss_is_watched(targets, weighted, given):
    """R² is 0 there whatever is predicted, and the first epoch would be the best."""
    y, w = np.full((len(X), *targets), 7.0), np.ones(len(X))
    if weighted:
        y[::5], w[::5] = 100.0, 0.0
    held_out = {"X_val": X, "y_val": y, "sample_weight_val": w} if given else {}
    model = regressor(early_stopping=True, max_iter=2000, learning_rate_init=0.01)
    model.fit(X, y, w, **held_out)
    assert np.abs(model.predict(X) - 7.0).mean() < 2, "it stays near 0 else"
    assert model.best_validation_score_ == -min(model.validation_loss_curve_)
    model.set_params(scoring="r2", max_iter=3).fit(X, y, w, **held_out)
    assert model.validation_scores_ == [0.0] * 3, "what was asked for"


def test_training_is_not_called_converged_above_the_cost_of_a_constant():
    """Features of very different size: the loss swings for more than 10 epochs before it gets anywhere."""
    from sklearn.datasets import load_wine

    wine = load_wine()
    model = MLPClassifier(random_state=1).fit(wine.data, wine.target)
    p = np.bincount(wine.target) / len(wine.target)
    entropy = -(p * np.log(p)).sum()
    assert model.best_loss_ < entropy
    before = np.minimum.accumulate(model.loss_curve_)
    waits = np.array([e - np.argmax(before == before[e]) for e in range(model.n_iter_)])
    assert waits[before > entropy].max() > 10, "it waited longer than n_iter_no_change while it was worse than that"


# --- going on ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("solver", "networks"), [("adam", 1), ("sgd", 1), ("adam", 2)])
def test_warm_start_goes_on_bit_for_bit(solver, networks, backend):
    """5 + 5 epochs are 10, optimizer, order and dropout included."""
    arguments = {"hidden_layer_sizes": (5,), "solver": solver, "random_state": 0, "batch_size": 16, "dropout": 0.1}
    arguments |= {"backend": backend.name, "batch_norm": True, "scale": "standard", "n_networks": networks}
    whole = MLPClassifier(max_iter=10, **arguments).fit(X, NAMES)
    parts = MLPClassifier(max_iter=5, warm_start=True, **arguments).fit(X, NAMES).fit(X, NAMES)
    assert_same(parts.coefs_, whole.coefs_)
    assert parts.loss_curve_ == whole.loss_curve_
    assert (parts.n_iter_, whole.n_iter_, parts.t_) == (5, 10, whole.t_)


@pytest.mark.parametrize("schedule", ["constant", vp.Cosine(warmup=2), vp.ReduceOnPlateau(patience=0)])
def test_partial_fit_is_fit_epoch_by_epoch(schedule, backend):
    arguments = {**SMALL, "batch_size": 16, "backend": backend.name, "learning_rate": schedule}
    whole = MLPRegressor(**arguments).fit(X, TARGETS)
    parts = MLPRegressor(**arguments)
    for _ in range(4):
        parts.partial_fit(X, TARGETS)
    assert_same(parts.coefs_, whole.coefs_)
    assert (parts.n_iter_, parts.t_, len(parts.loss_curve_)) == (1, whole.t_, 4)


def test_partial_fit_needs_the_classes_once():
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        classifier().partial_fit(X, NAMES)
    model = classifier().partial_fit(X[:20], NAMES[:20], classes=["virginica", "setosa", "versicolor"])
    np.testing.assert_array_equal(model.classes_, np.unique(NAMES))
    model.partial_fit(X, NAMES)
    with pytest.raises(ValueError, match="is not the same as on last call to partial_fit"):
        model.partial_fit(X, NAMES, classes=["a", "b"])
    with pytest.raises(ValueError, match=r"`y` has classes not in `self.classes_`.*rose"):
        model.partial_fit(X, np.where(NAMES == "setosa", "rose", NAMES))
    labels = np.stack([LABELS > 0, LABELS > 1], axis=1).astype(int)
    large = np.array([5, 2**63 + 1, 2**63 + 2], dtype=np.uint64)
    assert classifier().partial_fit(X, large[LABELS], classes=large.tolist()).classes_.tolist() == large.tolist()
    assert classifier().partial_fit(X, labels, classes=[0, 1]).predict(X).shape == labels.shape


def test_another_solver_may_go_on():
    model = classifier(warm_start=True).fit(X, NAMES)
    first = model.loss_
    model.set_params(solver="lbfgs", max_iter=100).fit(X, NAMES)
    assert model.loss_ < first / 2
    with pytest.raises(ValueError, match=r"the network fitted before has the sizes \(4, 5, 3\).*ask for \(4, 7, 3\)"):
        model.set_params(hidden_layer_sizes=(7,)).fit(X, NAMES)
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same classes"):
        model.set_params(hidden_layer_sizes=(5,)).fit(X, LABELS)


def test_warm_start_after_early_stopping_goes_on_from_the_best():
    model = classifier(early_stopping=True, warm_start=True, max_iter=60, learning_rate_init=0.05, n_iter_no_change=3)
    model.set_params(batch_norm=True).fit(X, NAMES)
    best = [c.copy() for c in model.coefs_]
    model.set_params(solver="sgd", learning_rate_init=1e-12, max_iter=1).fit(X, NAMES)
    np.testing.assert_allclose(model.coefs_[0], best[0], rtol=1e-6)
    model.set_params(early_stopping=False, max_iter=30).fit(X, NAMES)
    assert model.n_iter_ == 5, "1 epoch and 4 without change: a loss is not compared with the score watched before"


@cases(
    ({}, LABELS[::-1], "the values of X and Y"),
    ({}, np.append(LABELS[:-1], 1), "the values of X and Y"),
    ({"random_state": 1, "early_stopping": True}, LABELS, "seed"),
    ({"alpha": 1.0}, LABELS, "l2"),
    ({"class_weight": "balanced"}, LABELS, "sample_weight"),
)
def test_a_checkpoint_of_another_fit_is_refused_by_what_was_changed(parameters, y, name, tmp_path):
    """Not by the patience, which follows from the shares of classes, nor by a split, which follows from the seed."""
    given = {"checkpoint": tmp_path / "c", "early_stopping": "early_stopping" in parameters}
    classifier(**given).fit(X, LABELS)
    with pytest.raises(ValueError, match=f"^resume: the checkpoint .* was written with {name} = ") as error:
        classifier(**given | {"resume": True} | parameters).fit(X, y)
    assert str(error.value).endswith("the seed is drawn by random_state=1") == (name == "seed")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_ctrl_c_keeps_what_was_reached(solver):
    with pytest.warns(RuntimeWarning, match="interrupted after 2 of 4 epochs"):
        model = classifier(solver=solver, callbacks=raising(KeyboardInterrupt(), 2)).fit(X, NAMES)
    assert (model.stopped_, model.n_iter_) == ("interrupted", 2)
    np.testing.assert_array_equal(model.coefs_[0], classifier(solver=solver, max_iter=2).fit(X, NAMES).coefs_[0])


# --- several networks ----------------------------------------------------------------------------------------


def test_a_stack_predicts_the_mean_of_its_networks(backend):
    stack = classifier(n_networks=3, backend=backend.name).fit(X, NAMES)
    single = classifier(backend=backend.name).fit(X, NAMES)
    assert [c.shape for c in stack.coefs_] == [(3, 4, 5), (3, 5, 3)]
    np.testing.assert_allclose(stack.coefs_[0][0], single.coefs_[0], rtol=1e-9)  # a seed means the same
    A = np.stack([stack.network_.forward([(W[k], b[k]) for W, b in stack.params_], X.T).T for k in range(3)])
    P, deviation = stack.predict_proba(X, return_std=True)
    np.testing.assert_allclose(P, A.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(deviation, A.std(axis=0), atol=1e-12)
    np.testing.assert_allclose(stack.predict_log_proba(X), np.log(P), rtol=1e-9)
    np.testing.assert_array_equal(stack.predict(X), stack.classes_[P.argmax(axis=1)])
    models = regressor(n_networks=3, scale_target="standard").fit(X, TARGETS)
    mean, deviation = models.predict(X, return_std=True)
    assert (mean.shape, deviation.shape) == (TARGETS.shape, TARGETS.shape)
    assert (deviation > 0).any()
    np.testing.assert_array_equal(mean, models.predict(X))
    _, nothing = regressor().fit(X, TARGETS).predict(X, return_std=True)
    assert (nothing == 0).all()


def test_networks_that_diverge_are_left_out():
    start = {"solver": vp.GradientDescent(0.15), "n_networks": 6, "max_iter": 30, "random_state": 0, "init": "he"}
    model = MLPRegressor(hidden_layer_sizes=(5,), activation="relu", batch_size=len(X), **start)
    with pytest.warns(RuntimeWarning, match=r"\d of 6 networks diverged and are left out"):
        model.fit(2 * X, 3 * TARGETS[:, 0])
    assert 0 < len(model.coefs_[0]) < 6
    assert np.isfinite(model.predict(X)).all()


def test_a_stack_scores_each_network_by_itself():
    model = classifier(n_networks=3, early_stopping=True, scoring="neg_log_loss", max_iter=30).fit(X, NAMES)
    assert len(model.history_["metric"][0]) == 3
    assert model.validation_scores_[0] == pytest.approx(np.mean(model.history_["metric"][0]))


# --- the life of an estimator ---------------------------------------------------------------------------------


def test_a_fit_that_fails_leaves_the_estimator_as_it_was():
    model = classifier().fit(X, NAMES)
    before, attributes = model.predict_proba(X), set(vars(model))
    for arguments in ((X[:, :2] * np.nan, NAMES), (X[:, :2], NAMES[:-1]), (X[:, :2], np.linspace(0, 1, len(X)))):
        with pytest.raises(ValueError):
            model.fit(*arguments)
    with pytest.raises(TypeError, match="max_iter"):
        model.set_params(max_iter="many").fit(X[:, :2], LABELS)
    np.testing.assert_array_equal(model.set_params(max_iter=4).predict_proba(X), before)
    assert set(vars(model)) == attributes
    fresh = classifier()
    with pytest.raises(ValueError):
        fresh.fit(X, np.linspace(0, 1, len(X)))
    assert not [name for name in vars(fresh) if name.endswith("_")]


def test_divergence_is_an_error_with_advice_or_the_best_network():
    wild = {"hidden_layer_sizes": (5,), "activation": "identity", "solver": "sgd", "learning_rate_init": 50.0}
    wild |= {"random_state": 0, "max_iter": 50}
    inputs, y = load_diabetes(return_X_y=True)
    advice = r"non-finite parameter weights.*learning_rate_init.*scale=\"standard\".*\|y\| is 346, .*scale_target"
    with pytest.raises(vp.DivergenceError, match=advice) as caught:
        MLPRegressor(**wild).fit(inputs, y)
    assert isinstance(caught.value, ValueError), "what scikit-learn raises"
    assert np.isfinite(caught.value.params[0].W).all()
    words = r"training diverged.*The network of the best epoch, \d+, is given back"
    with pytest.warns(ConvergenceWarning, match=words):
        model = MLPRegressor(**wild, early_stopping=True).fit(inputs, y)
    assert model.stopped_ == "diverged" and np.isfinite(model.predict(inputs)).all()


def test_pickle_and_clone_and_repr(backend):
    arguments = {"activation": [vp.activations.LeakyReLU(0.1)], "solver": vp.Adam(0.01), "backend": backend.name}
    model = classifier(**arguments, warm_start=True, class_weight={"setosa": 2.0}).fit(X, NAMES)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(copy.fit(X, NAMES).coefs_[0], model.fit(X, NAMES).coefs_[0])
    fresh = clone(model)
    assert repr(fresh) == repr(model)
    assert fresh.get_params() == model.get_params()
    assert not hasattr(fresh, "coefs_")
    assert "LeakyReLU(slope=0.1)" in repr(model)
    assert "MLPClassifier" in model._repr_html_()


def test_documentation_has_every_parameter_and_attribute():
    for kind in (MLPClassifier, MLPRegressor):
        text = kind.__doc__
        for name in inspect.signature(kind).parameters:
            assert f"\n{name}" in text or f", {name}" in text, name
        model = kind(**SMALL).fit(X, LABELS)
        for name in vars(model):
            if name.endswith("_"):
                assert name in text, name
        assert "{" not in text.replace("{class: factor}", "")


def test_verbose_prints_what_scikit_learn_prints(capsys):
    classifier(verbose=True, early_stopping=True).fit(X, NAMES)
    first, second, third, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("Iteration 1, loss = ")
    assert second.startswith("Validation loss = ") and third.startswith("Validation score: ")


def test_same_seed_same_model_and_other_seeds_others():
    state, same_state = np.random.RandomState(0), np.random.RandomState(0)
    seeds = (1, 1, 2, state, state, same_state)
    one, same, other, first, second, again = (classifier(random_state=s).fit(X, NAMES).coefs_[0] for s in seeds)
    np.testing.assert_array_equal([one, first], [same, again])
    assert (one != other).any()
    assert (first != second).any(), "a RandomState goes on"


@pytest.mark.filterwarnings("error")
def test_targets_that_are_all_equal_give_no_warning():
    X = np.random.default_rng(0).standard_normal((10, 2))
    for seed in range(8):  # some of them reach max_iter
        MLPRegressor(early_stopping=True, validation_fraction=0.2, random_state=seed).fit(X, np.ones(10))


@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_x_is_checked_once_and_brought_to_the_backend_as_steps_take_it(name, monkeypatch):
    """scikit-learn's check is the only one, unless values are new; on JAX rows are moved as rows, not turned twice."""
    backend, checked, spread = backend_or_skip(name), [], []
    good, spreads = array_checks._values_are_good, backend.placement.spread

    def recorded(loss, X, Y, w):
        checked.append(X is not None and X.shape == (2, len(Y[0])))
        return good(loss, X, Y, w)

    monkeypatch.setattr(array_checks, "_values_are_good", recorded)
    monkeypatch.setattr(
        backend.placement, "spread", lambda data, **how: spread.append(type(data[0])) or spreads(data, **how)
    )
    X, y = np.random.default_rng(0).standard_normal((40, 2)), np.arange(40) % 3
    fitted = {"hidden_layer_sizes": (3,), "max_iter": 2, "batch_size": 8, "backend": backend, "random_state": 0}
    MLPClassifier(**fitted, early_stopping=True).fit(X, y)
    assert checked == [False, False]  # the targets of the training and of the validation set
    assert set(spread) == {np.ndarray}
    MLPClassifier(**fitted, dtype="float32").fit(X, y)
    MLPClassifier(**fitted, scale="standard").fit(X, y)
    assert checked == [False, False, True, True]


def test_more_examples_than_are_checked_at_once(monkeypatch):
    """X has been checked by the estimator, and the targets are checked in parts."""
    X = np.random.default_rng(0).normal(size=(50, 3))
    arguments = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0, "tol": 0.0, "n_iter_no_change": 5}
    whole = MLPRegressor(**arguments).fit(X, X[:, 0])
    monkeypatch.setattr(array_checks, "_CHECKED_AT_ONCE", 16)
    np.testing.assert_array_equal(MLPRegressor(**arguments).fit(X, X[:, 0]).coefs_[0], whole.coefs_[0])
    with pytest.raises(ValueError, match="y"):
        MLPRegressor(**arguments).fit(X, np.where(np.arange(50) == 40, np.nan, X[:, 0]))
