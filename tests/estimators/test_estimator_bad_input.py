"""What the estimators refuse: parameters that do not go together, and data that cannot be learned from or predicted."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError

import vecprop as vp
from helpers import refusals
from vecprop.estimators import MLPClassifier, MLPRegressor, PackRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).standard_normal((30, 3))
LABELS = np.array(["a", "b", "c"])[np.arange(30) % 3]
TARGETS = X[:, 0] - X[:, 1]
TWO_COLUMNS = np.stack([np.arange(30) % 3, np.arange(30) % 4], axis=1)
DAYS = np.datetime64("2024-01-01") + np.arange(30)
POSITIVE = {"y": np.abs(TARGETS)}
MASKED = np.ma.masked_array(X, mask=np.eye(len(X), 3) > 0)

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 2}
classifier, regressor = partial(MLPClassifier, **SMALL), partial(MLPRegressor, **SMALL)


def fit(model, arguments):
    return model.fit(**{"X": X, "y": LABELS if isinstance(model, MLPClassifier) else TARGETS} | arguments)


OWN = SimpleNamespace(init=None, update=None, learning_rate=0.1, schedule=vp.Cosine())
FITTED, BATCH_NORM = (classifier(warm_start=True, learning_rate=vp.Cosine()) for _ in range(2))
FITTED.fit(X, LABELS)
BATCH_NORM.set_params(hidden_layer_sizes=(3, 3), batch_norm=[True, False]).fit(X, LABELS)
BY_HAND = classifier(warm_start=True, batch_norm=True, learning_rate=vp.Cosine()).fit(X, LABELS)
BY_HAND.coefs_[1][0] = 0.0

test_parameters_that_do_not_go_together = refusals(
    fit,
    (classifier(solver="lbfgs", dropout=0.5), {}, "LBFGS needs the same cost at every step: no dropout"),
    (classifier(solver="lbfgs", n_networks=2), {}, 'n_networks=2 needs solver="adam", "sgd" or an optimizer: "lbfgs"'),
    (classifier(hidden_layer_sizes=(), dropout=0.5), {}, "dropout acts on hidden layers"),
    (classifier(hidden_layer_sizes=(4, 4), activation=["relu"]), {}, "one for each of the 2 hidden layers, got 1"),
    (classifier(early_stopping=True, validation_fraction=0.0), {}, "The validation set is too small. Increase"),
    (classifier(batch_norm=True, batch_size=29), {}, "batch_norm needs batches of at least 2 examples"),
    (regressor(loss="poisson", out_activation="identity"), POSITIVE, "needs output='exp'"),
    (regressor(loss="poisson", scale_target="standard"), POSITIVE, "scale_target='standard' goes with outputs of"),
    (regressor(loss="quantile", quantile=[0.1, 0.9], out_activation="relu"), {}, "several quantiles are ordered"),
    (regressor(out_activation="relu", scale_target="standard"), {}, "scale_target='standard' goes with"),
    (classifier(solver=vp.Adam([0.1, 0.2])), {}, "solver or dropout has values for 2 networks: set n_networks=2"),
    (classifier(solver=OWN, learning_rate=vp.Cosine()), {}, TypeError, "cannot be given another schedule: leave learn"),
    (classifier(learning_rate=vp.ReduceOnPlateau(monitor="metric")), {}, "watches the score of early stopping, and th"),
    (FITTED.set_params(resume="c"), {}, "resume goes on from a checkpoint, warm_start from the network fitted before"),
    (BATCH_NORM.set_params(batch_norm=[False, True]), {}, r"batch_norm=\[False, True\], and the network fitted before"),
    (BY_HAND, {}, "coefs_ or intercepts_ were changed, and with batch_norm training goes on from what"),
    (classifier(early_stopping=True, scoring="f1"), {}, "^scoring, on the validation set: Target is multiclass"),
    (
        classifier(early_stopping=True, scoring="neg_log_loss"),
        {"y": [*"ab" * 14, "b", "c"]},
        r"^scoring, on the validation set \(it has no example of \['c'\], with which scoring=\"loss\" can deal\): ",
    ),
    (
        classifier(hidden_layer_sizes=iter((3,))),
        {},
        TypeError,
        "hidden_layer_sizes must be a positive integer",
    ),
)

test_weights = refusals(
    fit,
    *(
        (kind(), {"sample_weight": weights}, message)
        for kind in (classifier, regressor)
        for weights, message in (
            (np.ones(29), r"sample_weight.shape == \(29,\), expected \(30,\)"),
            (np.ones((30, 1)), "must be 1D array or scalar"),
            (-np.ones(30), "sample_weight must be >= 0, got -1"),
            (np.zeros(30), "must not be all zero"),
            (np.full(30, 1e308), "sample_weight has a sum that is too large for float64"),
            (np.full(30, np.nan), "sample_weight must be finite"),
            (["much"] * 30, "sample_weight must be numbers"),
            (DAYS, r"sample_weight must be numbers, .*: got datetime64\[D\]"),
        )
    ),
    *(
        (classifier(class_weight=weight), {}, "class_weight must be >= 0 for every class and leave examples")
        for weight in ({"a": -1.0, "b": 1.0, "c": 1.0}, {"a": 0.0, "b": 0.0, "c": 0.0}, {"a": np.nan}, {"a": np.inf})
    ),
    (classifier(class_weight=[{"a": 1.0}]), {}, 'class_weight must be a dict or "balanced" if y is not multilabel'),
    (classifier(class_weight={"a": "much"}), {}, "^class_weight: could not convert string to float: 'much'"),
    error=(ValueError, TypeError),
)

test_validation_sets = refusals(
    lambda validation: classifier().fit(X, LABELS, **validation),
    ({"X_val": X}, "X_val and y_val go together, got X_val alone"),
    ({"y_val": LABELS}, "X_val and y_val go together, got y_val alone"),
    ({"sample_weight_val": np.ones(30)}, "sample_weight_val goes with X_val and y_val"),
    ({"X_val": X[:, :2], "y_val": LABELS}, "X_val has 2 features, but MLPClassifier is"),
    ({"X_val": X, "y_val": LABELS[:-1]}, "X_val, y_val: Found input variables with inconsistent"),
    ({"X_val": X, "y_val": np.full(30, "y")}, r"`y_val` has classes not in .*'y_val' has \['y'\]"),
    ({"X_val": X * np.nan, "y_val": LABELS}, "Input X_val contains NaN"),
)

test_data = refusals(
    fit,
    (classifier(), {"y": TWO_COLUMNS}, r"multiclass-multioutput.*MultiOutputClassifier"),
    (classifier(), {"y": TARGETS}, "Unknown label type: continuous"),
    (classifier(), {"y": TWO_COLUMNS % 2 + 1}, r"y of several columns must be 0 and 1, .*, got \[2\]"),
    (classifier(scale="standard"), {"X": csr_array(X)}, r"would make sparse X dense.*MaxAbsScaler"),
    (regressor(), {"y": LABELS}, "could not convert string to float"),
    (regressor(), {"y": None}, "requires y to be passed"),
    (regressor(loss="poisson"), {"y": -np.abs(TARGETS)}, r'y must be >= 0 for loss="poisson", got -'),
    *((kind(), {"y": DAYS}, r"y must be numbers, got datetime64\[D\]") for kind in (regressor, PackRegressor)),
    *((kind(), {"X": MASKED}, "^X has masked values: fill them, or leave out") for kind in (regressor, PackRegressor)),
    (regressor(), {"y": np.ma.masked_less(TARGETS, 0)}, "^y has masked values"),
    (regressor(), {"y": DAYS - DAYS[0]}, r"y must be numbers, got timedelta64\[D\]"),
    (regressor(), {"X_val": X, "y_val": DAYS}, r"y_val must be numbers, got datetime64\[D\]"),
    *(
        (kind(), {"X": DAYS[:, None]}, r"X must be numbers, got datetime64\[D\]")
        for kind in (classifier, PackRegressor)
    ),
    (regressor(), {"y": 1e300 * TARGETS}, r'diverged.*the largest \|y\| is .*e\+300, .*scale_target="standard"'),
    error=(ValueError, TypeError),
)


def test_what_was_different_in_the_first_call():
    model = regressor(warm_start=True).fit(X, TARGETS)
    with pytest.raises(ValueError, match="y must have 1 targets, as in the first call to fit, got 2"):
        model.fit(X, TWO_COLUMNS)
    for before, now in ((1, 3), (3, 2)):
        model = regressor(warm_start=True, n_networks=before).fit(X, TARGETS).set_params(n_networks=now)
        for go_on in (model.fit, model.partial_fit):
            with pytest.raises(ValueError, match=f"n_networks={now}, and training goes on from {before} fitted before"):
                go_on(X, TARGETS)
    for name in ("scale", "scale_target"):
        for before, now, how in ((None, "standard", "without"), ("standard", None, "with")):
            model = regressor(warm_start=True, **{name: before}).fit(X, TARGETS).set_params(**{name: now})
            with pytest.raises(ValueError, match=f"^{name}={now!r}, and the network .* was trained {how} scaling"):
                model.fit(X, TARGETS)
    with pytest.raises(ValueError, match=r'class_weight="balanced" needs all the examples at once'):
        classifier(class_weight="balanced").partial_fit(X, LABELS, classes=np.unique(LABELS))


def test_other_names_of_columns_are_an_error_of_x():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"^X_val: The feature names should match"):
        classifier().fit(frame, LABELS, X_val=frame[["b", "a", "c"]], y_val=LABELS)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
def test_what_predict_takes(method):
    model = classifier().fit(X, LABELS)
    with pytest.raises(TypeError, match=r"X must be numbers, got datetime64\[D\]"):
        getattr(model, method)(np.stack([DAYS] * 3, axis=1))
    for inputs, message in (
        (X[:, :2], "X has 2 features, but MLPClassifier is expecting 3"),
        (X[0], "Expected 2D array, got 1D array"),
        (X * np.nan, "Input X contains NaN"),
        (MASKED, "^X has masked values"),
        (X[:0], "Found array with 0 sample"),
        ([["a", "b", "c"]], "could not convert string to float"),
    ):
        with pytest.raises(ValueError, match=message):
            getattr(model, method)(inputs)
    with pytest.raises(ValueError, match="X holds values too large for float32, the dtype of the network"):
        getattr(classifier(dtype="float32").fit(X, LABELS), method)(X * 1e39)
    with pytest.raises(NotFittedError, match="This MLPClassifier instance is not fitted yet"):
        getattr(MLPClassifier(), method)(X)
    with pytest.raises(NotFittedError):
        MLPRegressor().predict(X)


def test_masked_values_are_refused_by_fit_too():
    with pytest.raises(ValueError, match=r"^X has masked values"):
        vp.fit(vp.Network((3, 1), output="identity"), MASKED.T, TARGETS[None], epochs=1)
