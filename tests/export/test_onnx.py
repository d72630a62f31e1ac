"""ONNX export: onnxruntime gives what the model itself gives, for every kind of model, output and activation."""

import os
from functools import partial

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import vecprop as vp
from helpers import assert_close, cases, cube, cube_prime, make_problem, refusals, round_to
from vecprop.estimators import MLPClassifier, MLPRegressor
from vecprop.export.onnx_export import OPSET, export_onnx
from vecprop.nn.activations import ACTIVATIONS, ELU, Custom, LeakyReLU, Ordered, ReLU

# Networks that are trained for a few epochs only, on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RANDOM = np.random.default_rng(0)
# float32 values, so that the estimators and onnxruntime see the same numbers
X = RANDOM.normal(size=(60, 4)).astype(np.float32).astype(np.float64)
NUMBERS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
LABELS = np.stack([X[:, 0] > 0, X[:, 1] > 0, X[:, 2] > 1], axis=1).astype(int)
TARGETS = np.stack([X[:, 0] - X[:, 1] ** 2, 300 + 50 * X[:, 2]], axis=1)
COUNTS = RANDOM.poisson(np.exp(0.5 * X[:, 0]))
LEVELS = [0.1, 0.5, 0.9]
BOUND = 1e-5  # of float32

NET = vp.Network((3, 4, 2))
PARAMS, COLUMNS, _, _ = make_problem(NET, 5)


def run(data, X, dtype="float32"):
    """The outputs by name, after ONNX's own check of the file."""
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    values = session.run(None, {"X": np.asarray(X, dtype=dtype)})
    return dict(zip([output.name for output in session.get_outputs()], values, strict=True))


def assert_classifies_alike(model, X=X, dtype="float32", bound=BOUND):
    found = run(export_onnx(model, dtype=dtype), X, dtype)
    assert list(found) == ["label", "probabilities"]
    assert found["probabilities"].dtype == dtype
    desired = model.predict_proba(X)
    assert found["probabilities"].shape == desired.shape
    assert np.abs(found["probabilities"] - desired).max() <= bound
    labels = model.predict(X)
    labels = labels.toarray() if hasattr(labels, "toarray") else labels
    assert found["label"].shape == labels.shape
    assert (found["label"] == labels).all()
    return found["label"].dtype


def assert_predicts_alike(model, X=X, dtype="float32", bound=BOUND):
    found = run(export_onnx(model, dtype=dtype), X, dtype)
    assert list(found) == ["prediction"] and found["prediction"].dtype == dtype
    assert_close(found["prediction"], model.predict(X), bound)


SMALL = {"hidden_layer_sizes": (5,), "max_iter": 5, "random_state": 0}
classifier, regressor = partial(MLPClassifier, **SMALL), partial(MLPRegressor, **SMALL)


# --- classifiers --------------------------------------------------------------------------------------------


KINDS = {
    "bool": (NUMBERS > 0, np.bool_),
    "two integers": (np.where(NUMBERS > 0, 7, -3), np.int64),
    "int8": (NUMBERS.astype(np.int8), np.int64),
    "floats": (NUMBERS * 2.0, np.float64),
    "float32": (NUMBERS.astype(np.float32) - 5, np.float64),
    "two words": (np.array(["no", "yes"])[LABELS[:, 0]], np.object_),
    "three words": (np.array(["hund", "katze", "öhrchen"])[NUMBERS], np.object_),
    "objects": (np.array(["b", "a"], dtype=object)[LABELS[:, 0]], np.object_),
    "one integer": (np.full(60, 4), np.int64),
    "one word": (np.full(60, "only"), np.object_),
    "one bool": (np.full(60, True), np.bool_),
    "multilabel": (LABELS, np.int64),
    "multilabel bool": (LABELS > 0, np.int64),
    "sparse multilabel": (csr_matrix(LABELS), np.int64),
}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_any_kind(kind):
    y, dtype = KINDS[kind]
    assert assert_classifies_alike(classifier().fit(X, y)) == dtype


@pytest.mark.parametrize("y", [NUMBERS, LABELS[:, 0], LABELS, np.full(60, 1)], ids=["three", "two", "labels", "one"])
@cases(
    {"hidden_layer_sizes": ()},
    {"n_networks": 3},
    {"batch_norm": True},
    {"scale": "standard"},
    {"hidden_layer_sizes": (5, 4), "activation": ["gelu", LeakyReLU(0.2)], "dropout": 0.2},
    {"n_networks": 2, "batch_norm": True, "scale": "standard", "hidden_layer_sizes": (4, 3), "dtype": "float32"},
    ids=lambda parameters: ", ".join(parameters),
)
def test_classifiers(parameters, y):
    assert_classifies_alike(classifier(**parameters).fit(3 * X + 20, y), 3 * X + 20)


def test_classifier_in_float64():
    model = classifier(n_networks=2, scale="standard", activation="softplus").fit(X, NUMBERS)
    assert_classifies_alike(model, RANDOM.normal(size=(50, 4)), "float64", 1e-13)


# --- regressors ---------------------------------------------------------------------------------------------


@cases(
    (TARGETS[:, 0], {}),
    (TARGETS, {}),
    (COUNTS, {"loss": "poisson"}),
    (COUNTS, {"loss": "poisson", "hidden_layer_sizes": ()}),
    (TARGETS[:, 0], {"loss": "quantile", "quantile": 0.2}),
    (TARGETS[:, 0], {"loss": "quantile", "quantile": LEVELS}),
    (TARGETS, {"loss": "quantile", "quantile": LEVELS}),
    (TARGETS, {"loss": "quantile", "quantile": LEVELS, "scale_target": "standard", "n_networks": 3}),
    (TARGETS[:, 0], {"loss": "quantile", "quantile": LEVELS, "scale_target": "standard"}),
    (TARGETS[:, 1], {"scale_target": "standard"}),
    (TARGETS, {"scale_target": "standard", "scale": "standard", "batch_norm": True}),
    (np.abs(TARGETS[:, 0]), {"out_activation": "relu"}),
    (np.abs(TARGETS), {"out_activation": "softplus"}),
    (TARGETS, {"n_networks": 3, "hidden_layer_sizes": (4, 3), "activation": ("tanh", "relu")}),
    (TARGETS[:, 1], {"n_networks": 2, "hidden_layer_sizes": (), "scale_target": "standard"}),
    (TARGETS[:, 0], {"solver": "lbfgs", "activation": "logistic"}),
)
def test_regressors(y, parameters):
    assert_predicts_alike(regressor(**parameters).fit(X, y))


def test_regressor_in_float64():
    model = regressor(loss="quantile", quantile=LEVELS, scale="standard", scale_target="standard", n_networks=2)
    assert_predicts_alike(model.fit(X + 1e9, TARGETS), RANDOM.normal(size=(50, 4)) + 1e9, "float64", 1e-13)


def test_a_mean_that_is_no_float32():
    """Whole numbers around 16 000 000 are float32, their mean is not."""
    far = (16_000_000 + np.arange(120) % 50).astype(np.float32)[:, None]
    model = regressor(scale="standard", solver="lbfgs", max_iter=100).fit(far, far[:, 0] - 16_000_025)
    assert_predicts_alike(model, far)


# --- networks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [*ACTIVATIONS.values(), LeakyReLU(0.3), ELU(0.3), Ordered(2)], ids=repr)
def test_every_activation_hidden_and_last(hidden, dtype):
    """Also far from 0, where a careless form overflows; exp, which does, is given less."""
    net = vp.Network((3, 4, 6), hidden=hidden, output=hidden, loss="squared_error")
    far = 1.0 if hidden.name == "exp" else 200.0
    params, columns, _, _ = make_problem(net, 40)
    columns[:, 20:] *= far
    params, columns = round_to(dtype, params, columns)
    found = run(export_onnx((net, params), dtype=dtype), columns.T, dtype)["A"]
    assert_close(found, net.forward(params, columns).T, {"float32": 1e-5, "float64": 1e-13}[dtype])


def test_pair_and_result_of_fit():
    result = vp.fit(NET, COLUMNS, np.ones((2, 5)), epochs=3, seed=0, batch_norm=True, standardize=True)
    for model in (result, (NET, result.params), (NET, [tuple(layer) for layer in result.params])):
        found = run(export_onnx(model), COLUMNS.T)
        assert list(found) == ["A"]
        assert_close(found["A"], result.forward(COLUMNS).T, BOUND)


def test_parameters_on_another_backend(jax_backend):
    params = NET.init(seed=0, backend=jax_backend)
    expected = NET.forward(NET.init(seed=0), COLUMNS.astype(np.float32)).T
    assert_close(run(export_onnx((NET, params)), COLUMNS.T)["A"], expected, BOUND)


@pytest.mark.parametrize("net", [NET, vp.Network((3, 4, 6), output=Ordered(2), loss="squared_error")], ids=str)
@pytest.mark.parametrize("seeds", [range(3), range(1)])
def test_stack_gives_the_mean(seeds, net):
    result = vp.fit(net, COLUMNS, np.ones((net.sizes[-1], 5)), epochs=3, seed=seeds)
    found = run(export_onnx(result), COLUMNS.T)["A"]
    assert_close(found, result.mean_and_deviation(COLUMNS)[0].T, BOUND)


@pytest.mark.parametrize("kept", [2, 1])
def test_networks_of_a_stack_that_diverged_are_left_out(kept):
    params = tuple(vp.Layer(W.copy(), b.copy()) for W, b in NET.init(seed=range(3), dtype="float64"))
    expected = NET.forward(params, COLUMNS)[:kept].mean(axis=0)
    params[1].W[kept:, 0, 0] = np.nan
    assert_close(run(export_onnx((NET, params)), COLUMNS.T)["A"], expected.T, BOUND)


# --- the file -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    with pytest.warns(ConvergenceWarning):
        return regressor(loss="quantile", quantile=LEVELS, activation="gelu", n_networks=2).fit(X, TARGETS)


@pytest.fixture(scope="module")
def data(model):
    return export_onnx(model)


@pytest.mark.parametrize("rows", [1, 0])
def test_one_row_and_none(rows, model):
    few = X[:rows]
    assert run(export_onnx(model), few)["prediction"].shape == (rows, 2, 3)
    for y, shape in ((NUMBERS, (rows,)), (LABELS, (rows, 3)), (np.full(60, "only"), (rows,))):
        found = run(export_onnx(classifier(max_iter=1, n_networks=2).fit(X, y)), few)
        assert found["label"].shape == shape
        assert found["probabilities"].shape == (rows, 1 if y.dtype.kind == "U" else 3)


@pytest.mark.parametrize("opset", range(13, 27))
def test_every_opset(opset, model):
    if opset > onnx.defs.onnx_opset_version():
        pytest.skip(f"onnx {onnx.__version__} is older")
    data = export_onnx(model, opset=opset)
    (recorded,) = onnx.load_from_string(data).opset_import
    assert (recorded.domain, recorded.version) == ("", opset)
    try:
        found = run(data, X)
    except Exception as error:  # of different types in different versions
        if "opset" in str(error).lower():
            pytest.skip(f"onnxruntime {ort.__version__} is older")
        raise
    assert_close(found["prediction"], model.predict(X), BOUND)


def test_another_program_gives_the_same(model, data):
    """The reference evaluator of ONNX itself, which shares no code with onnxruntime."""
    from onnx.reference import ReferenceEvaluator

    (found,) = ReferenceEvaluator(onnx.load_from_string(data)).run(None, {"X": X.astype(np.float32)})
    assert_close(found, model.predict(X), BOUND)


def test_what_the_file_says_of_itself(model, data):
    loaded = onnx.load_from_string(data)
    assert [o.version for o in loaded.opset_import] == [OPSET]
    assert loaded.ir_version == 8, "that of opset 17, not the newest"
    assert (loaded.producer_name, loaded.producer_version) == ("vecprop", vp.__version__)
    assert (loaded.graph.name, loaded.graph.doc_string) == ("MLPRegressor", str(model.network_))
    assert onnx.load_from_string(export_onnx((NET, PARAMS))).graph.name == "Network"
    assert onnx.load_from_string(export_onnx(model, name="prices")).graph.name == "prices"
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    (given,), (output,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, given.type) == ("X", ["n", 4], "tensor(float)")
    assert (output.name, output.shape, output.type) == ("prediction", ["n", 2, 3], "tensor(float)")


# --- writing ------------------------------------------------------------------------------------------------


def test_writes_what_it_returns(tmp_path, model, data):
    """The same bytes for the same model; how files are written is tested in test_files.py."""
    for path in (tmp_path / "model.onnx", str(tmp_path / "text.onnx")):
        assert export_onnx(model, path) == data != export_onnx(model, opset=18)
        with open(path, "rb") as file:
            assert file.read() == data
    assert sorted(os.listdir(tmp_path)) == ["model.onnx", "text.onnx"]


# --- what cannot be exported --------------------------------------------------------------------------------


class Derived(ReLU):
    """Not one of ours, for all we know."""


def with_own(g):
    net = vp.Network((3, 4, 4, 2), hidden=["tanh", g])
    return net, net.init()


def changed(value, l=0):
    params = [vp.Layer(W.copy(), b.copy()) for W, b in PARAMS]
    params[l].W[0, 0] = value
    return NET, params


SCALED = vp.Network((3, 4), output=Ordered(3), loss="squared_error")
OWN = "model: layer 2 of 3 has an activation of your own.*train with one of elu, "
NO_MODELS = (None, NET, PARAMS, (PARAMS, NET), LogisticRegression(), MLPClassifier, make_pipeline(MLPRegressor()), "m")
test_bad_arguments = refusals(
    lambda arguments: export_onnx(**{"model": (NET, PARAMS)} | arguments),
    *(({"model": with_own(g)}, OWN) for g in ((cube, cube_prime), Custom(cube, cube_prime), Derived())),
    *(
        ({"model": given}, TypeError, r"model must be a fitted MLPClassifier.* or a pair \(net, params\), got \w+\.")
        for given in NO_MODELS
    ),
    ({"model": (NET, PARAMS[:1])}, "params must have one .* 2 layers"),
    ({"model": (NET, [(W.T, b) for W, b in PARAMS])}, "W1 must have shape .*transpose"),
    ({"model": changed(np.nan)}, "model must have parameters that are finite in float32, and W1 has"),
    ({"model": changed(1e300, 1)}, "W2 has NaN, infinite or too large values"),
    ({"model": (SCALED, SCALED.init())}, "ordered in 3 groups needs a multiple of as many units, got 4"),
    ({"model": MLPClassifier()}, NotFittedError, "not fitted yet"),
    ({"model": MLPRegressor()}, NotFittedError, "not fitted yet"),
    ({"name": ""}, "name must not be empty"),
    ({"path": os.curdir}, IsADirectoryError, r"'\.'.* is a directory"),
    ({"path": "no such place/model.onnx"}, FileNotFoundError, "'no such place/model.onnx'.* no directory"),
)


def test_values_that_need_float64():
    model = regressor(scale="standard").fit(X * [1e-60, 1, 1, 1], TARGETS)
    with pytest.raises(ValueError, match="divides X by deviations that are 0 in float32; use dtype='float64'"):
        export_onnx(model)
    assert_predicts_alike(model, X * [1e-60, 1, 1, 1], "float64", 1e-13)
    params = changed(1e300)
    assert run(export_onnx(params, dtype="float64"), COLUMNS.T, "float64")["A"].shape == (5, 2)


def test_classes_that_onnx_has_no_type_for():
    model = classifier().fit(X, NUMBERS > 0)
    for classes in (np.array([0, 2**64 - 1], dtype=np.uint64), np.array([b"a", b"b"]), np.array([None, "a"])):
        model.classes_ = classes
        with pytest.raises(ValueError, match="model must have classes that are numbers up to"):
            export_onnx(model)


def test_an_onnx_that_is_too_old(monkeypatch):
    monkeypatch.setattr(onnx.defs, "onnx_opset_version", lambda: 18)
    assert export_onnx((NET, PARAMS), opset=18)
    with pytest.raises(ValueError, match=r"opset must be at most 18 with onnx .*, got 19: pip install --upgrade onnx"):
        export_onnx((NET, PARAMS), opset=19)
