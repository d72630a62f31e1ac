"""The estimators in what is built around scikit-learn: pipelines, searches, frames, other arrays, callbacks."""

import warnings
from functools import partial

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import BaggingClassifier, StackingRegressor, VotingClassifier, VotingRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - it makes the import of one possible
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import vecprop as vp
from helpers import backend_or_skip, cases
from vecprop.backend.contract import to_host
from vecprop.estimators import MLPClassifier, MLPRegressor, PackClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CANCER = load_breast_cancer()
X = StandardScaler().fit_transform(CANCER.data)[:200, :6]
Y = CANCER.target_names[CANCER.target[:200]]
TARGET = load_diabetes().target[:200] / 100
W = np.random.default_rng(0).uniform(0.5, 2, len(X))
FAST = {"hidden_layer_sizes": (5,), "max_iter": 15, "random_state": 0, "learning_rate_init": 0.02}
classifier, regressor = partial(MLPClassifier, **FAST), partial(MLPRegressor, **FAST)


# --- what is built from estimators ----------------------------------------------------------------------------


def test_pipelines_and_column_transformers():
    numbers = [f"x{i}" for i in range(6)]
    frame = pytest.importorskip("pandas").DataFrame(X, columns=numbers)
    frame["place"] = np.where(np.arange(200) % 3, "left", "right")
    columns = ColumnTransformer([("numbers", StandardScaler(), numbers), ("words", OneHotEncoder(), ["place"])])
    pipeline = make_pipeline(columns, classifier(max_iter=60))
    assert pipeline.fit(frame, Y).score(frame, Y) > 0.9
    assert pipeline[-1].n_features_in_ == 8
    assert "MLPClassifier" in pipeline._repr_html_()


def test_searches_over_our_own_parameters():
    space = {
        "activation": ["relu", ["silu"], vp.activations.LeakyReLU(0.1)],
        "solver": ["adam", vp.AdamW(0.02), vp.RMSProp(0.01)],
        "learning_rate": ["constant", vp.Cosine()],
        "dropout": [0.0, 0.2],
        "class_weight": [None, "balanced", {"benign": 2.0, "malignant": 1.0}],
        "n_networks": [1, 3],
    }
    search = RandomizedSearchCV(classifier(max_iter=3), space, n_iter=8, cv=2, random_state=0, error_score="raise")
    assert search.fit(X, Y).best_score_ > 0.5


def test_cross_validation_and_curves():
    assert cross_val_score(classifier(), X, Y, cv=3).mean() > 0.85
    scores = ["r2", "neg_mean_absolute_error"]
    result = cross_validate(regressor(scale_target="standard"), X, TARGET, cv=3, scoring=scores)
    assert set(result) >= {f"test_{score}" for score in scores}
    assert cross_val_predict(classifier(), X, Y, cv=3, method="predict_proba").shape == (200, 2)
    sizes, train, test = learning_curve(classifier(), X, Y, cv=3, train_sizes=[0.3, 1.0])
    assert (len(sizes), train.shape, test.shape) == (2, (2, 3), (2, 3))
    learning_curve(classifier(), X, Y, cv=3, train_sizes=[0.3, 1.0], exploit_incremental_learning=True)
    validation_curve(regressor(), X, TARGET, param_name="alpha", param_range=[0, 1], cv=2)


def test_calibration_votes_and_stacks():
    inputs = X.astype(np.float32)  # scikit-learn once failed to calibrate probabilities in float32
    calibrated = CalibratedClassifierCV(classifier(), cv=3, method="isotonic").fit(inputs, Y)
    np.testing.assert_allclose(calibrated.predict_proba(inputs).sum(axis=1), 1, rtol=1e-6)
    votes = VotingClassifier([("a", classifier()), ("b", LogisticRegression())], voting="soft").fit(X, Y)
    assert votes.score(X, Y) > 0.9
    VotingRegressor([("a", regressor()), ("b", Ridge())]).fit(X, TARGET).predict(X)
    StackingRegressor([("a", regressor())], final_estimator=Ridge(), cv=2).fit(X, TARGET).predict(X)
    BaggingClassifier(classifier(max_iter=2), n_estimators=2, random_state=0).fit(X, Y).predict(X)
    OneVsRestClassifier(classifier(max_iter=2)).fit(X, np.arange(200) % 3).predict(X)
    MultiOutputClassifier(classifier(max_iter=2)).fit(X, np.stack([Y, Y[::-1]], axis=1)).predict(X)
    prices = TransformedTargetRegressor(regressor(max_iter=60), func=np.log, inverse_func=np.exp)
    assert (prices.fit(X, TARGET).predict(X) > 0).all()


def test_inspection():
    model = classifier().fit(X, Y)
    assert permutation_importance(model, X, Y, n_repeats=2, random_state=0).importances_mean.shape == (6,)
    assert partial_dependence(model, X, [0])["average"].shape[0] == 1


def test_metadata_routing():
    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        search = GridSearchCV(model, {"alpha": [0.1, 1.0]}, cv=2).fit(X, Y, sample_weight=W)
        weighted = clone(search.best_estimator_).fit(X, Y, sample_weight=W)
        np.testing.assert_array_equal(search.best_estimator_.coefs_[0], weighted.coefs_[0])


def test_the_pipeline_transforms_the_validation_set():
    raw, held_out = CANCER.data[:200], {"y_val": Y[150:]}
    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier(early_stopping=True, scoring="loss").set_fit_request(X_val=True, y_val=True)
        pipeline = make_pipeline(StandardScaler(), model, transform_input=["X_val"])
        pipeline.fit(raw[:150], Y[:150], X_val=raw[150:], **held_out)
    scaler = StandardScaler().fit(raw[:150])
    by_hand = clone(model).fit(scaler.transform(raw[:150]), Y[:150], X_val=scaler.transform(raw[150:]), **held_out)
    np.testing.assert_allclose(pipeline[-1].validation_loss_curve_, by_hand.validation_loss_curve_)
    assert len(pipeline[-1].validation_scores_) == pipeline[-1].n_iter_


# --- frames ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_have_names(library):
    frames = pytest.importorskip(library)
    names = [f"feature {i}" for i in range(6)]
    frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
    labels, target = frames.Series(Y), frames.Series(TARGET)
    for model, y in ((classifier(), labels), (regressor(), target)):
        model.fit(frame, y, sample_weight=frames.Series(W))
        assert model.feature_names_in_.tolist() == names
        np.testing.assert_array_equal(model.predict(frame), model.set_params(verbose=0).predict(frame))
        with pytest.warns(UserWarning, match="X does not have valid feature names"):
            model.predict(X)
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(frame[names[::-1]])
    early = classifier(early_stopping=True, scoring="neg_log_loss").fit(frame, labels)  # no warning about names
    assert early.feature_names_in_.tolist() == names


# --- arrays of other libraries ---------------------------------------------------------------------------------


NUMBERS = (Y == "benign").astype(np.int64)


@pytest.mark.parametrize("device", ["CPU_DEVICE", "device1"])
@pytest.mark.parametrize("labels", ["numbers", "text in NumPy", "numbers in NumPy"])
def test_computation_follows_the_inputs(device, labels):
    strict = pytest.importorskip("array_api_strict")
    device = strict.Device(device)
    y = Y if labels == "text in NumPy" else NUMBERS
    y_given = strict.asarray(y, device=device) if labels == "numbers" else y
    inputs = strict.asarray(X, device=device)
    reference = classifier(scale="standard").fit(X, y)
    with sklearn.config_context(array_api_dispatch=True):
        model = classifier(scale="standard").fit(inputs, y_given)
        assert all(a.device == device for a in model.coefs_ + model.intercepts_)
        P, log_P = model.predict_proba(inputs), model.predict_log_proba(inputs)
        assert (P.device, type(P)) == (device, type(inputs))
        predicted = model.predict(inputs)
        assert isinstance(predicted, np.ndarray) if y is Y else predicted.device == device
        assert model.score(inputs, y_given) == reference.score(X, y)
        other = strict.asarray(X) if device != strict.Device("CPU_DEVICE") else X
        with pytest.raises(ValueError, match=r"MLPClassifier.predict\(\) must use the same namespace and the same"):
            model.predict(other)
    np.testing.assert_allclose(np.from_dlpack(P), reference.predict_proba(X), rtol=1e-8)
    np.testing.assert_allclose(np.from_dlpack(log_P), reference.predict_log_proba(X), rtol=1e-8)
    np.testing.assert_array_equal(predicted if y is Y else np.from_dlpack(predicted), reference.predict(X))


def test_regression_follows_the_inputs():
    strict = pytest.importorskip("array_api_strict")
    inputs, y = strict.asarray(X), strict.asarray(np.stack([TARGET, -TARGET], axis=1))
    options = {"scale": "standard", "scale_target": "standard", "n_networks": 2, "dropout": 0.1, "early_stopping": True}
    reference = regressor(**options).fit(X, np.asarray(y))
    with sklearn.config_context(array_api_dispatch=True):
        model = regressor(**options).fit(inputs, y)
        assert model.predict(inputs, return_std=True)[1].shape == (200, 2)
        quantiles = regressor(loss="quantile", quantile=[0.1, 0.9]).fit(inputs, y)
        assert quantiles.predict(inputs).shape == (200, 2, 2)
        for fitted in (model, regressor(**options, backend="numpy").fit(inputs, y)):
            np.testing.assert_allclose(np.asarray(fitted.predict(inputs)), reference.predict(X), rtol=1e-6)


@pytest.mark.parametrize("library", ["array_api_strict", "jax.numpy"])
def test_scores_are_computed_on_the_host(library):
    xp = pytest.importorskip(library)
    host = [a.astype(np.float32) for a in (X, TARGET, W)] + [NUMBERS.astype(np.int32)]
    inputs, target, weights, classes = map(xp.asarray, host)
    early = classifier(early_stopping=True, scoring="roc_auc", scale="standard")
    watched = clone(early).fit(host[0], host[3]).validation_scores_
    r2 = regressor().fit(*host[:2]).score(*host[:3])
    with sklearn.config_context(array_api_dispatch=True):
        np.testing.assert_allclose(early.fit(inputs, classes).validation_scores_, watched, rtol=1e-6)
        model = regressor().fit(inputs, target)
        assert model.score(inputs, target, weights) == pytest.approx(r2, rel=1e-5)
        if hasattr(model, "set_callbacks"):
            callback = Recording()
            model = classifier().set_callbacks(callback).fit(inputs, classes)
            assert callback.scores[-1] == model.score(inputs, classes)


def test_packs_bring_arrays_to_the_host():
    strict = pytest.importorskip("array_api_strict")
    pack = PackClassifier(random_state=0, n_networks=1, maps=())
    wanted = clone(pack).fit(X, NUMBERS).predict_proba(X)
    with sklearn.config_context(array_api_dispatch=True):
        inputs, y = strict.asarray(X), strict.asarray(NUMBERS)
        assert pack.fit(inputs, y, X_val=inputs, y_val=y).predict_proba(X).shape == (200, 2)
        np.testing.assert_array_equal(pack.fit(inputs, y).predict_proba(inputs), wanted)
        assert pack.score(inputs, y) > 0.85


@pytest.mark.parametrize("library", ["torch", pytest.param("cupy", marks=pytest.mark.gpu)])
def test_arrays_stay_where_they_are(library):
    xp = pytest.importorskip(library)
    if library == "cupy":
        backend_or_skip("cupy")
    inputs, options = xp.asarray(X, dtype=xp.float32), {"dropout": 0.2, "batch_norm": True, "batch_size": 50}
    with sklearn.config_context(array_api_dispatch=True):
        for y in (xp.asarray(NUMBERS), Y):
            model = classifier(**options).fit(inputs, y)
            P = model.predict_proba(inputs)
            assert all(type(a) is type(inputs) for a in (P, *model.coefs_)) and P.dtype == xp.float32
            assert model.score(inputs, y) > 0.85
    reference = classifier(**options).fit(X.astype(np.float32), Y)
    np.testing.assert_allclose(to_host(P), reference.predict_proba(X.astype(np.float32)), atol=1e-3)
    if library == "torch":
        assert isinstance(classifier().fit(inputs, Y).predict_proba(inputs), np.ndarray), "without dispatch"


# --- scikit-learn's callbacks ------------------------------------------------------------------------------------


class Recording:
    """A callback in the sense of sklearn.callback; it stops after a number of epochs."""

    def __init__(self, stop_after=None):
        self.events, self.scores, self.stop_after = [], [], stop_after

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.events.append(f"end {context.task_name}")
        if context.task_name == "iteration":
            self.scores.append(fitted_estimator.score(X, y))
            return self.stop_after is not None and len(self.scores) >= self.stop_after
        return False


needs_callbacks = pytest.mark.skipif(not hasattr(MLPClassifier, "set_callbacks"), reason="scikit-learn < 1.9")


@needs_callbacks
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_every_epoch_is_a_task(solver):
    callback = Recording()
    model = classifier(solver=solver, max_iter=3).set_callbacks(callback)
    model.fit(X, Y)
    iterations = ["begin iteration", "end iteration"] * 3
    assert callback.events == ["setup", "begin fit", *iterations, "end fit", "teardown"]
    assert callback.scores[-1] == model.score(X, Y)
    plain = classifier(solver=solver, max_iter=3).fit(X, Y)
    np.testing.assert_allclose(model.coefs_[0], plain.coefs_[0], rtol=1e-12)


@needs_callbacks
def test_a_callback_ends_training_and_is_torn_down_after_an_error():
    callback = Recording(stop_after=2)
    model = classifier().set_callbacks(callback).fit(X, Y)
    assert (model.n_iter_, model.stopped_) == (2, "callback")
    failing = Recording()
    failing.on_fit_task_end = None
    with pytest.raises(vp.CallbackError):
        classifier().set_callbacks(failing).fit(X, Y)
    assert failing.events[-1] == "teardown"


@needs_callbacks
def test_callbacks_of_scikit_learn_in_a_search():
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring="accuracy")
    GridSearchCV(classifier(max_iter=4).set_callbacks(monitor), {"alpha": [0.1, 1.0]}, cv=2).fit(X, Y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "iteration"]
    assert len(rows) == 4 * (2 * 2 + 1), "4 epochs of each fit, and of the last one on all the data"


@needs_callbacks
def test_the_progress_bar_of_scikit_learn(capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    classifier(max_iter=3).set_callbacks(ProgressBar()).fit(X, Y)
    assert "MLPClassifier" in capsys.readouterr().out


# --- searches in other processes ---------------------------------------------------------------------------------

CROSSED = np.random.default_rng(0).standard_normal((240, 4))
SIGNS = (CROSSED[:, 0] * CROSSED[:, 1] > 0).astype(int)
LONG = {"max_iter": 150, "learning_rate_init": 0.02, "random_state": 0, "n_iter_no_change": 150}
GRID = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(8,), ()]}
# the resource is a parameter of the estimator: cheap fits first
HALVING = {"factor": 2, "resource": "max_iter", "max_resources": 150, "min_resources": 50, "random_state": 0}


def check_search(kind, backend, engine):
    """It finds what has hidden units, and scores as a search in one process does, which shares no state with it."""
    how = {"cv": 2, **(HALVING if kind is HalvingGridSearchCV else {})}
    search, alone = (kind(MLPClassifier(backend=backend, **LONG), GRID, n_jobs=n, **how) for n in (2, 1))
    with joblib.parallel_config(engine):
        search.fit(CROSSED, SIGNS)
    assert search.best_params_["hidden_layer_sizes"] == (8,) and search.best_score_ > 0.8
    found = [s.cv_results_["mean_test_score"] for s in (search, alone.fit(CROSSED, SIGNS))]
    np.testing.assert_allclose(*found, atol=0 if backend == "numpy" else 1e-2)


@pytest.mark.reliability
@pytest.mark.filterwarnings("ignore")
@cases((GridSearchCV, "numpy"), (HalvingGridSearchCV, "numpy"), (GridSearchCV, "jax"))
def test_loky(kind, backend):
    """JAX is loaded in processes of their own: nothing is forked after it was used."""
    backend_or_skip(backend)
    vp.fit(vp.Network((2, 1)), np.zeros((2, 4)), np.ones((1, 4)), epochs=1, backend=backend)
    check_search(kind, backend, "loky")


@pytest.mark.reliability
@pytest.mark.filterwarnings("ignore")  # what Dask and its web server leave open when a cluster ends is theirs
def test_dask(amount):
    """A cluster of two processes on this machine."""
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster):
            for backend in amount(("numpy",), ("numpy", "jax")):
                for kind in amount((HalvingGridSearchCV,), (GridSearchCV, HalvingGridSearchCV)):
                    backend_or_skip(backend)
                    check_search(kind, backend, "dask")
