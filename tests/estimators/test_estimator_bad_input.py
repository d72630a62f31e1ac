"""What the estimators refuse: every parameter with wrong values, and data that cannot be learned from or predicted."""

import math

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.exceptions import NotFittedError

import vecprop as vp
from vecprop.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).standard_normal((30, 3))
LABELS = np.array(["a", "b", "c"])[np.arange(30) % 3]
TARGETS = X[:, 0] - X[:, 1]
NOT_NUMBERS = ["text", None, [1.0], 1j]
SHARE = [-0.1, 1.0, 2, math.nan, math.inf, *NOT_NUMBERS]
NOT_NEGATIVE = [-1, -0.1, math.nan, math.inf, 10**400, *NOT_NUMBERS]
POSITIVE = [0, *NOT_NEGATIVE]
COUNT = [0, -1, 2.5, True, math.nan, *NOT_NUMBERS]
FLAG = [1, 0, "yes", None, 2.0]

# For each parameter values that are refused; that the constructor has no others is tested below.
REFUSED = {
    "hidden_layer_sizes": [0, (10, 0), (-1,), "100", 2.5, (2.5,), None, [True], 1j],
    "activation": ["relo", 3, None, ["relu", "relu"], [], (np.sin,), [None], "LOGISTIC"],
    "solver": ["newton", None, 3, vp.Adam, object()],
    "alpha": NOT_NEGATIVE,
    "batch_size": [0, -1, 2.5, "all", None, True],
    "learning_rate": ["fast", 0.1, None, vp.Cosine],
    "learning_rate_init": POSITIVE,
    "power_t": NOT_NEGATIVE,
    "max_iter": COUNT,
    "shuffle": FLAG,
    "random_state": ["seed", -1, 2.5, [1.5], object()],
    "tol": NOT_NEGATIVE,
    "verbose": ["yes", -1, None, 2.5],
    "warm_start": FLAG,
    "momentum": [-0.1, 1.1, math.nan, *NOT_NUMBERS],
    "nesterovs_momentum": FLAG,
    "early_stopping": FLAG,
    "validation_fraction": SHARE,
    "beta_1": SHARE,
    "beta_2": SHARE,
    "epsilon": POSITIVE,
    "n_iter_no_change": [0, -1, 2.5, True, math.nan, *NOT_NUMBERS],
    "max_fun": COUNT,
    "init": ["HE", None, 3],
    "l1": NOT_NEGATIVE,
    "dropout": [*SHARE[:5], "text", None, (0.1, 0.1)],
    "batch_norm": [1, "yes", None, (True, True)],
    "clip_norm": [value for value in POSITIVE if value is not None],
    "scale": ["minmax", True, 3],
    "scoring": ["accuracyy", 3, ["accuracy"]],
    "n_networks": COUNT,
    "callbacks": [3, "print", [None], {}],
    "checkpoint": [3, True, b"x"],
    "checkpoint_every": [0, -1, 1.5, math.nan, math.inf, "often", None, True],
    "resume": [3, False, ["c"], True],
    "block_size": [0, -5, "big", 2.5],
    "devices": [2, "some", 1.5, True],  # where there is one, as on NumPy
    "dtype": ["float16", "int64", 3, "text"],
    "precision": ["low", 3],
    "backend": ["nunpy", 3, "torch"],
    "class_weight": ["heavy", 3, [1, 2], np.ones(3)],
    "label_smoothing": SHARE,
    "loss": ["squared", None, 3, vp.losses.CrossEntropy(), vp.losses.SquaredError],
    "quantile": [0, 1, 1.5, -0.1, "half", None, [0.5, 0.5], [0.9, 0.1], [], math.nan],
    "huber_delta": POSITIVE,
    "scale_target": ["minmax", True, 3],
    "out_activation": ["relo", 3],
}
CASES = [(name, value) for name, values in REFUSED.items() for value in values]


def fitting(name):
    """An estimator that has the parameter, set so that it is looked at, and its targets."""
    options = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
    if name == "scoring":
        options["early_stopping"] = True
    if name in MLPRegressor().get_params() and name not in MLPClassifier().get_params():
        return MLPRegressor(**options), TARGETS
    return MLPClassifier(**options), LABELS


def test_the_table_has_every_parameter():
    assert set(REFUSED) == set(MLPClassifier().get_params()) | set(MLPRegressor().get_params())


@pytest.mark.parametrize(("name", "value"), CASES, ids=[f"{n}={str(v)[:20]}" for n, v in CASES])
def test_every_parameter_names_itself(name, value):
    """ValueError or TypeError with the parameter's name and what is wanted; nothing is fitted, nothing else escapes."""
    model, y = fitting(name)
    with pytest.raises((ValueError, TypeError)) as caught:
        model.set_params(**{name: value}).fit(X, y)
    words = str(caught.value)
    assert name in words or (name == "class_weight" and "class" in words), words
    assert len(words) > len(name) + 10
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"solver": "lbfgs", "dropout": 0.5}, "LBFGS needs the same cost at every step: no dropout"),
        ({"solver": "lbfgs", "n_networks": 2}, 'n_networks=2 needs solver="adam", "sgd" or an optimizer: "lbfgs"'),
        ({"hidden_layer_sizes": (), "dropout": 0.5}, "dropout acts on hidden layers"),
        ({"hidden_layer_sizes": (4, 4), "activation": ["relu"]}, "one for each of the 2 hidden layers, got 1"),
        ({"early_stopping": True, "validation_fraction": 0.0}, "The validation set is too small. Increase"),
        ({"batch_norm": True, "batch_size": 29}, "batch_norm needs batches of at least 2 examples"),
    ],
)
def test_parameters_that_do_not_go_together(parameters, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**{"hidden_layer_sizes": (4,), "max_iter": 2, **parameters}).fit(X, LABELS)


@pytest.mark.parametrize(
    ("parameters", "y", "message"),
    [
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
    ],
)
def test_parameters_of_the_regressor_that_do_not_go_together(parameters, y, message):
    with pytest.raises(ValueError, match=message):
        MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, **parameters).fit(X, y)


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


@pytest.mark.parametrize(
    ("validation", "message"),
    [
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
    ],
)
def test_validation_sets(validation, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(max_iter=1).fit(X, LABELS, **validation)


def test_targets():
    two_columns = np.stack([np.arange(30) % 3, np.arange(30) % 4], axis=1)
    with pytest.raises(ValueError, match=r"multiclass-multioutput.*MultiOutputClassifier"):
        MLPClassifier(max_iter=1).fit(X, two_columns)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        MLPClassifier(max_iter=1).fit(X, TARGETS)
    with pytest.raises(ValueError, match="could not convert string to float"):
        MLPRegressor(max_iter=1).fit(X, LABELS)
    with pytest.raises(ValueError, match="requires y to be passed"):
        MLPRegressor(max_iter=1).fit(X, None)
    model = MLPRegressor(max_iter=1, warm_start=True).fit(X, TARGETS)
    with pytest.raises(ValueError, match="y must have 1 targets, as in the first call to fit, got 2"):
        model.fit(X, two_columns)


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
