"""What the estimators refuse: parameters that do not go together, and data that cannot be learned from or predicted."""

import numpy as np
import pytest

from helpers import refusals

pytest.importorskip("sklearn")
from sklearn.exceptions import NotFittedError

import vecprop as vp
from vecprop.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).standard_normal((30, 3))
LABELS = np.array(["a", "b", "c"])[np.arange(30) % 3]
TARGETS = X[:, 0] - X[:, 1]


test_parameters_that_do_not_go_together = refusals(
    lambda parameters: MLPClassifier(**{"hidden_layer_sizes": (4,), "max_iter": 2, **parameters}).fit(X, LABELS),
    ({"solver": "lbfgs", "dropout": 0.5}, "LBFGS needs the same cost at every step: no dropout"),
    ({"solver": "lbfgs", "n_networks": 2}, 'n_networks=2 needs solver="adam", "sgd" or an optimizer: "lbfgs"'),
    ({"hidden_layer_sizes": (), "dropout": 0.5}, "dropout acts on hidden layers"),
    ({"hidden_layer_sizes": (4, 4), "activation": ["relu"]}, "one for each of the 2 hidden layers, got 1"),
    ({"early_stopping": True, "validation_fraction": 0.0}, "The validation set is too small. Increase"),
    ({"batch_norm": True, "batch_size": 29}, "batch_norm needs batches of at least 2 examples"),
)


test_parameters_of_the_regressor_that_do_not_go_together = refusals(
    lambda parameters, y: MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, **parameters).fit(X, y),
    ({"loss": "poisson"}, -np.abs(TARGETS), r'y must be >= 0 for loss="poisson", got -'),
    ({"loss": "poisson", "out_activation": "identity"}, np.abs(TARGETS), "needs output='exp'"),
    (
        {"loss": "poisson", "scale_target": "standard"},
        np.abs(TARGETS),
        "scale_target='standard' goes with outputs of",
    ),
    (
        {"loss": "quantile", "quantile": [0.1, 0.9], "out_activation": "relu"},
        TARGETS,
        "several quantiles are ordered",
    ),
    ({"out_activation": "relu", "scale_target": "standard"}, TARGETS, "scale_target='standard' goes with"),
)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(29), r"sample_weight.shape == \(29,\), expected \(30,\)"),
        (np.ones((30, 1)), "must be 1D array or scalar"),
        (-np.ones(30), "sample_weight must be >= 0, got -1"),
        (np.zeros(30), "must not be all zero"),
        (np.full(30, np.nan), "sample_weight must be finite"),
        (["much"] * 30, "sample_weight must be numbers"),
    ],
)
def test_weights(weights, message):
    for model, y in ((MLPClassifier(max_iter=1), LABELS), (MLPRegressor(max_iter=1), TARGETS)):
        with pytest.raises((ValueError, TypeError), match=message):
            model.fit(X, y, sample_weight=weights)


test_validation_sets = refusals(
    lambda validation: MLPClassifier(max_iter=1).fit(X, LABELS, **validation),
    ({"X_val": X}, "X_val and y_val go together, got X_val alone"),
    ({"y_val": LABELS}, "X_val and y_val go together, got y_val alone"),
    ({"sample_weight_val": np.ones(30)}, "sample_weight_val goes with X_val and y_val"),
    (
        {"X_val": X[:, :2], "y_val": LABELS},
        "X_val has 2 features, but MLPClassifier is",
    ),
    (
        {"X_val": X, "y_val": LABELS[:-1]},
        "X_val, y_val: Found input variables with inconsistent",
    ),
    ({"X_val": X, "y_val": np.full(30, "y")}, r"`y_val` has classes not in .*'y_val' has \['y'\]"),
    ({"X_val": X * np.nan, "y_val": LABELS}, "Input X_val contains NaN"),
)


TWO_COLUMNS = np.stack([np.arange(30) % 3, np.arange(30) % 4], axis=1)
test_targets = refusals(
    lambda model, y: model.fit(X, y),
    (MLPClassifier(max_iter=1), TWO_COLUMNS, r"multiclass-multioutput.*MultiOutputClassifier"),
    (MLPClassifier(max_iter=1), TARGETS, "Unknown label type: continuous"),
    (MLPRegressor(max_iter=1), LABELS, "could not convert string to float"),
    (MLPRegressor(max_iter=1), None, "requires y to be passed"),
)


def test_as_many_targets_as_before():
    model = MLPRegressor(max_iter=1, warm_start=True).fit(X, TARGETS)
    with pytest.raises(ValueError, match="y must have 1 targets, as in the first call to fit, got 2"):
        model.fit(X, TWO_COLUMNS)


def test_what_predict_takes():
    model = MLPClassifier(max_iter=1).fit(X, LABELS)
    for inputs, message in (
        (X[:, :2], "X has 2 features, but MLPClassifier is expecting 3"),
        (X[0], "Expected 2D array, got 1D array"),
        (X * np.nan, "Input X contains NaN"),
        (X[:0], "Found array with 0 sample"),
        ([["a", "b", "c"]], "could not convert string to float"),
    ):
        for method in (model.predict, model.predict_proba, model.predict_log_proba):
            with pytest.raises(ValueError, match=message):
                method(inputs)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        with pytest.raises(NotFittedError, match="This MLPClassifier instance is not fitted yet"):
            getattr(MLPClassifier(), method)(X)
    with pytest.raises(NotFittedError):
        MLPRegressor().predict(X)


def test_class_weights():
    for weight in ({"a": -1.0, "b": 1.0, "c": 1.0}, {"a": 0.0, "b": 0.0, "c": 0.0}, {"a": np.nan}):
        with pytest.raises(ValueError, match="class_weight must be >= 0 for every class and leave examples"):
            MLPClassifier(max_iter=1, class_weight=weight).fit(X, LABELS)
    with pytest.raises(ValueError, match=r'class_weight="balanced" needs all the examples at once'):
        MLPClassifier(class_weight="balanced").partial_fit(X, LABELS, classes=np.unique(LABELS))


def test_sparse_data_cannot_be_centred():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(ValueError, match=r"would make sparse X dense.*MaxAbsScaler"):
        MLPClassifier(scale="standard").fit(sparse.csr_array(X), LABELS)


def test_backends_that_are_not_there(monkeypatch):
    monkeypatch.setenv("VECPROP_BACKEND", "nunpy")
    with pytest.raises(vp.UnknownBackendError, match=r"VECPROP_BACKEND: unknown backend 'nunpy': did you mean 'numpy'"):
        MLPClassifier(max_iter=1).fit(X, LABELS)
