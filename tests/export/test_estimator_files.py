"""Estimators as model files: everything that predicts comes back, wherever it was trained."""

import json
import warnings
from functools import partial

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import vecprop as vp
from helpers import backend_or_skip, cube, cube_prime
from helpers.processes import python
from vecprop.estimators import MLPClassifier, MLPRegressor
from vecprop.utils import tensor_file

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = 3 + np.random.default_rng(0).standard_normal((40, 3))
NAMES = np.array(["a", "b", "ç"])[np.arange(40) % 3]
TARGETS = np.stack([X[:, 0] - X[:, 1], 100 + X[:, 2]], axis=1)
LABELS = (np.stack([X[:, 0] > 3, X[:, 1] > 3], axis=1)).astype(int)


CASES = {
    "plain": (MLPClassifier, {}, NAMES),
    "two classes": (MLPClassifier, {}, NAMES == "a"),
    "objects": (MLPClassifier, {}, NAMES.astype(object)),
    "integers": (MLPClassifier, {"n_networks": 3}, np.arange(40) % 4 - 7),
    "floats": (MLPClassifier, {"dtype": "float32"}, np.arange(40) % 2 + 0.0),
    "one class": (MLPClassifier, {}, np.full(40, 5)),
    "labels": (MLPClassifier, {"batch_norm": True}, LABELS),
    "everything": (
        MLPClassifier,
        {
            "scale": "standard", "activation": [vp.activations.ELU(0.5), "logistic"], "hidden_layer_sizes": [5, 4],
            "solver": vp.AdamW(0.01, schedule=vp.Cosine(2)), "class_weight": {"a": 1.0, "b": 2.5},
            "dropout": (0.1, 0.0), "early_stopping": True, "scoring": "neg_log_loss", "label_smoothing": 0.1,
            "n_iter_no_change": np.inf, "random_state": np.int64(3),
        },
        NAMES,
    ),
    "numbers": (MLPRegressor, {}, TARGETS[:, 0]),
    "targets": (MLPRegressor, {"scale": "standard", "scale_target": "standard", "dtype": np.float32}, TARGETS),
    "quantiles": (
        MLPRegressor, {"loss": "quantile", "quantile": np.array([0.1, 0.5, 0.9]), "scale_target": "standard"}, TARGETS
    ),
    "a loss object": (
        MLPRegressor, {"loss": vp.losses.Huber(2.0), "learning_rate": vp.StepDecay(), "n_networks": 2}, TARGETS
    ),
    "poisson": (MLPRegressor, {"loss": "poisson"}, np.abs(TARGETS)),
    "an output": (MLPRegressor, {"out_activation": "softplus", "solver": "lbfgs"}, np.abs(TARGETS[:, 0])),
}  # fmt: skip


def fitted(kind, options, y, **more):
    return kind(**{"hidden_layer_sizes": (5,), "max_iter": 4, "random_state": 0, **options, **more}).fit(X, y)


@pytest.mark.parametrize("case", CASES)
def test_what_is_saved_comes_back(case, tmp_path):
    model = fitted(*CASES[case])
    vp.save(tmp_path / "model", model)
    loaded = vp.load(tmp_path / "model")
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(model, method):
            first, second = getattr(model, method)(X), getattr(loaded, method)(X)
            np.testing.assert_array_equal(first, second)
            assert first.dtype == second.dtype
    for name, value in vars(model).items():
        if name.endswith("_") and name not in ("coefs_", "intercepts_", "result_"):
            np.testing.assert_equal(getattr(loaded, name), value, err_msg=name)
    for name, value in model.get_params().items():
        found = getattr(loaded, name)
        if name == "dtype" and value is not None:
            assert found == np.dtype(value).name
        elif name != "backend":
            np.testing.assert_equal(found, value if not isinstance(value, np.ndarray) else value.tolist(), err_msg=name)


@pytest.mark.parametrize(("case", "loss"), [("numbers", "quantile"), ("targets", "quantile"), ("quantiles", "huber")])
def test_parameters_for_the_next_fit_change_no_prediction(case, loss, tmp_path):
    model = fitted(*CASES[case])
    before, score = model.predict(X), model.score(X, CASES[case][2])
    model.set_params(loss=loss, quantile=[0.2, 0.8], scale_target=None, hidden_layer_sizes=(9,), n_networks=3)
    vp.save(tmp_path / "model", model)
    for each in (model, vp.load(tmp_path / "model")):
        np.testing.assert_array_equal(each.predict(X), before)
        assert each.score(X, CASES[case][2]) == score


def test_trained_on_one_backend_and_loaded_on_another(backend, tmp_path):
    model = fitted(*CASES["everything"], backend=backend.name)
    vp.save(tmp_path / "model", model)
    there = vp.load(tmp_path / "model")
    assert there.backend is None, "a file loads where the backend that trained it is missing"
    for name in ("numpy", "jax"):
        loaded = vp.load(tmp_path / "model", backend=backend_or_skip(name).name)
        assert loaded.backend == name
        np.testing.assert_allclose(loaded.predict_proba(X), model.predict_proba(X), rtol=1e-9)


def test_the_header_says_what_it_is(tmp_path):
    vp.save(tmp_path / "model", fitted(*CASES["everything"]))
    header, tensors = tensor_file.decode((tmp_path / "model").read_bytes())
    assert header["class"] == "MLPClassifier"
    assert set(header["versions"]) == {"vecprop", "python", "numpy", "scikit-learn"}
    assert header["targets"]["classes"] == ["a", "b", "ç"]
    assert {"W1", "b3", "scaling_.mean", "scaling_.deviation"} <= set(tensors)
    json.dumps(header, allow_nan=False)


def test_training_goes_on_after_loading(tmp_path):
    model = fitted(MLPClassifier, {"warm_start": True, "max_iter": 30}, NAMES)
    vp.save(tmp_path / "model", model)
    loaded = vp.load(tmp_path / "model").fit(X, NAMES)
    assert len(loaded.loss_curve_) == 60
    assert loaded.loss_curve_[:30] == model.loss_curve_
    assert abs(loaded.loss_curve_[30] - model.loss_curve_[-1]) < 0.05
    loaded = vp.load(tmp_path / "model").partial_fit(X, NAMES)
    assert len(loaded.loss_curve_) == 31
    normalized = fitted(MLPClassifier, {"batch_norm": True}, NAMES)
    vp.save(tmp_path / "model", normalized)
    with pytest.raises(ValueError, match="batch_norm: this network was loaded, with its normalization folded"):
        vp.load(tmp_path / "model").partial_fit(X, NAMES)


def test_what_a_file_cannot_hold_is_said(tmp_path):
    options = {"callbacks": lambda *_: None, "random_state": np.random.RandomState(0), "early_stopping": True}
    model = fitted(MLPClassifier, {**options, "scoring": lambda *_: 0.0}, NAMES)
    with pytest.warns(UserWarning, match=r"holds no functions and no objects.*callbacks=.*random_state=.*scoring="):
        vp.save(tmp_path / "model", model)
    loaded = vp.load(tmp_path / "model")
    assert (loaded.callbacks, loaded.random_state, loaded.scoring) == (None, None, None)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_own_activations(tmp_path):
    own = {"activation": (cube, cube_prime), "out_activation": (partial(np.exp), np.exp)}
    model = fitted(MLPRegressor, own, TARGETS[:, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vp.save(tmp_path / "model", model)
    with pytest.raises(vp.ModelFileError, match=r"custom=\(g, g_prime\)"):
        vp.load(tmp_path / "model")
    loaded = vp.load(tmp_path / "model", custom=[(cube, cube_prime), (np.exp, np.exp)])
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    np.testing.assert_array_equal(loaded.fit(X, TARGETS[:, 0]).predict(X), model.fit(X, TARGETS[:, 0]).predict(X))


def test_what_is_refused(tmp_path):
    path = tmp_path / "model"
    with pytest.raises(NotFittedError):
        vp.save(path, MLPClassifier())
    days = np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[D]")[np.arange(40) % 2]
    model = fitted(MLPClassifier, {}, NAMES == "a")
    model._set_labels(model._labels._replace(classes=np.unique(days)))
    with pytest.raises(TypeError, match="classes_ must be numbers or texts to be saved"):
        vp.save(path, model)

    class Own(MLPClassifier):
        pass

    with pytest.raises(TypeError, match="a class of your own, which `load` could not make again"):
        vp.save(path, fitted(Own, {}, NAMES))
    assert not path.exists()


def test_without_scikit_learn_the_error_says_what_to_install(tmp_path):
    vp.save(tmp_path / "model", fitted(MLPClassifier, {}, NAMES))
    for use in ("vp.estimators", f"vp.load({str(tmp_path / 'model')!r})"):
        done = python("-c", f"import sys; sys.modules['sklearn'] = None; import vecprop as vp; {use}", check=False)
        wanted = 'vecprop.estimators needs scikit-learn. Install it: pip install "vecprop[sklearn]"'
        assert done.stderr.splitlines()[-1] == f"ImportError: {wanted}"
