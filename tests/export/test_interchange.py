"""Networks of scikit-learn and PyTorch as ours and back: they predict the same, and what cannot be is refused."""

import doctest
import pickle
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn import neural_network as theirs
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

import vecprop as vp
from helpers import ELEMENTWISE, assert_close, assert_same, cases, flattened, make_problem, refusals
from vecprop.estimators import MLPClassifier, MLPRegressor
from vecprop.estimators.interchange import from_sklearn, to_sklearn
from vecprop.export import pytorch
from vecprop.export.pytorch import from_torch, to_torch
from vecprop.nn.activations import ELU, LeakyReLU

# Few epochs are enough for a network whose layers are not those it began with.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning"),
]

BOUNDS = {"float64": 1e-12, "float32": 1e-6}
random = np.random.default_rng(0)
X = random.standard_normal((60, 4))
CLASSES = {
    "binary": (X[:, 0] > 0).astype(int),
    "multiclass": np.array(["a", "b", "c"])[np.argmax(X[:, :3], axis=1)],
    "two strings": np.where(X[:, 0] > 0, "yes", "no"),
    "booleans": X[:, 0] > 0,
    "multilabel": (X[:, :3] > 0).astype(int),
    "sparse multilabel": csr_matrix((X[:, :2] > 0).astype(int)),
    "one class": np.full(60, "only"),
}
NUMBERS = {"one": X[:, 0] + X[:, 1], "two": X[:, :2] * [3.0, 1.0] + 2.0, "a column": X[:, :1]}
RUNS = {
    "adam": {"hidden_layer_sizes": (6, 5)},
    "sgd": {"hidden_layer_sizes": 6, "solver": "sgd", "activation": "tanh", "learning_rate": "invscaling"},
    "lbfgs": {"hidden_layer_sizes": (6,), "solver": "lbfgs", "activation": "logistic"},
    "linear": {"hidden_layer_sizes": (), "activation": "tanh"},
    "identity": {"hidden_layer_sizes": [3, 4, 5], "activation": "identity", "batch_size": 17},
}


def fitted(cls, X, y, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cls(**{"max_iter": 4, "random_state": 0} | parameters).fit(X, y)


def dense(predicted):
    return predicted.toarray() if hasattr(predicted, "toarray") else predicted


def converted(convert, *given):
    """What a conversion returns; a skip if it needs PyTorch, which is missing."""
    if convert in (to_torch, from_torch):
        pytest.importorskip("torch")
    return convert(*given)


def assert_same_layers(model, other):
    assert_same((model.coefs_, model.intercepts_), (other.coefs_, other.intercepts_))


def assert_same_model(model, other):
    """Parameters and attributes, all that is public."""
    assert type(model) is type(other) and model.get_params() == other.get_params()
    names, others = ({n for n in vars(m) if n.endswith("_")} for m in (model, other))
    assert names == others
    for name in names - {"coefs_", "intercepts_"}:
        np.testing.assert_array_equal(getattr(model, name), getattr(other, name), err_msg=name)
    assert_same_layers(model, other)


# From scikit-learn, and back


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("kind", CLASSES)
def test_classifiers_of_scikit_learn(kind, run, dtype):
    x, y = X.astype(dtype), CLASSES[kind]
    model = fitted(theirs.MLPClassifier, x, y, **RUNS[run])
    before = [c.copy() for c in model.coefs_]
    ours = from_sklearn(model)
    predicted = model.predict(x)
    assert type(ours) is MLPClassifier and type(ours.predict(x)) is type(predicted)
    np.testing.assert_array_equal(dense(ours.predict(x)), dense(predicted))
    if kind == "one class":  # of the only class there is, it is certain
        assert ours.predict_proba(x).tolist() == [[1.0]] * 60
    else:
        for method in ("predict_proba", "predict_log_proba"):
            assert_close(getattr(ours, method)(x), getattr(model, method)(x), BOUNDS[str(ours.coefs_[0].dtype)])
    assert_same_layers(ours, model)
    loaded = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(loaded.predict_proba(x), ours.predict_proba(x))
    assert_same_model(to_sklearn(ours), model)
    ours.set_params(warm_start=True, max_iter=2).fit(x, y)
    assert any((a != b).any() for a, b in zip(ours.coefs_, before, strict=True)), "it goes on training"
    assert_same(model.coefs_, before)  # and the other does not


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("targets", NUMBERS)
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_regressors_of_scikit_learn(loss, targets, run, dtype):
    x, y = X.astype(dtype), np.abs(NUMBERS[targets])
    model = fitted(theirs.MLPRegressor, x, y, loss=loss, **RUNS[run])
    ours = from_sklearn(model)
    assert type(ours) is MLPRegressor
    assert_close(ours.predict(x), model.predict(x), BOUNDS[str(ours.coefs_[0].dtype)])
    assert_same_model(to_sklearn(ours), model)
    ours.set_params(warm_start=True, max_iter=2).fit(x, y.ravel() if targets == "a column" else y)


@pytest.mark.parametrize("cls", [theirs.MLPClassifier, theirs.MLPRegressor])
def test_what_training_wrote_down_is_kept(cls):
    model = fitted(cls, X, CLASSES["binary"], max_iter=6, early_stopping=True)
    ours = from_sklearn(model)
    assert (ours.n_iter_, ours.t_, ours.loss_) == (model.n_iter_, model.t_, model.loss_)
    assert ours.loss_curve_ == model.loss_curve_ == ours.history_["cost"]
    assert ours.validation_scores_ == model.validation_scores_ == ours.history_["metric"]
    assert ours.best_validation_score_ == model.best_validation_score_ and ours.best_loss_ is None
    assert (ours.n_layers_, ours.n_outputs_, ours.n_features_in_) == (3, 1, 4)
    assert ours.out_activation_ == model.out_activation_ and ours.stopped_ == "converted"
    assert {len(v) for v in ours.history_.values()} == {6}
    ours.set_params(warm_start=True, max_iter=2).fit(X, CLASSES["binary"])
    assert {len(v) for v in ours.history_.values()} == {8} and ours.loss_curve_[:6] == model.loss_curve_


def test_lbfgs_has_no_curve_and_its_loss_is_kept():
    model = fitted(theirs.MLPRegressor, X, NUMBERS["two"], solver="lbfgs")
    ours = from_sklearn(model)
    assert ours.loss_curve_ == [] and ours.loss_ == ours.best_loss_ == model.loss_
    back = to_sklearn(ours)
    assert back.loss_ == model.loss_ and not hasattr(back, "loss_curve_")


def test_feature_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    model = fitted(theirs.MLPClassifier, frame, CLASSES["multiclass"])
    ours = from_sklearn(model)
    back = to_sklearn(ours)
    for other in (ours, back):
        assert other.feature_names_in_.tolist() == list("abcd")
        np.testing.assert_array_equal(other.predict(frame), model.predict(frame))
        with pytest.raises(ValueError, match="feature names"):
            other.predict(frame.rename(columns={"a": "z"}))


def test_a_subclass_of_scikit_learns():
    class Own(theirs.MLPClassifier):
        def __init__(self, more=1):
            super().__init__((3,), max_iter=3, random_state=np.random.RandomState(0))
            self.more = more

    model = Own()
    model.fit(X, CLASSES["multiclass"])
    state = model.random_state.get_state()[1].copy()
    ours = from_sklearn(model)
    np.testing.assert_array_equal(ours.predict(X), model.predict(X))
    assert ours.hidden_layer_sizes == (3,) and ours.random_state is not model.random_state
    np.testing.assert_array_equal(model.random_state.get_state()[1], state)


def test_partial_fit_with_all_classes_named_first():
    model = theirs.MLPClassifier((3,), random_state=0).partial_fit(X[:5], np.zeros(5, int), classes=[0, 3, 7])
    ours = from_sklearn(model)
    assert ours.classes_.tolist() == [0, 3, 7]
    assert_close(ours.predict_proba(X), model.predict_proba(X), 1e-12)
    ours.partial_fit(X, np.repeat([3, 7], 30))
    assert ours.t_ == 65


# From scikit-learn it goes on, with an optimizer that remembers nothing

PLAIN = {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.25, "batch_size": 60, "alpha": 0.0}


@pytest.mark.parametrize("targets", ["binary", "multiclass", "multilabel", "one", "two"])
def test_partial_fit_goes_on_from_the_layers(targets):
    """The first step is -α dW: nothing is left of the steps before, nor of what conversion did."""
    cls, y = theirs.MLPClassifier if targets in CLASSES else theirs.MLPRegressor, (CLASSES | NUMBERS)[targets]
    model = fitted(cls, X, y, hidden_layer_sizes=(5,), **PLAIN)
    ours = from_sklearn(model)
    Y = ours._encode(y, "more").astype(float)
    _, grads = ours.network_.gradients(ours.params_, X.T, Y)
    before = [c.copy() for c in ours.coefs_]
    ours.partial_fit(X, y)
    for coef, was, (dW, _) in zip(ours.coefs_, before, grads, strict=True):
        assert_close((was - coef) / 0.25, dW.T, 1e-11)


@pytest.mark.parametrize("cls", [theirs.MLPClassifier, theirs.MLPRegressor])
def test_early_stopping_gives_back_no_worse_layers(cls):
    model = fitted(cls, X, CLASSES["binary"], early_stopping=True, warm_start=True)
    model.best_validation_score_ = 2.0  # none will be better
    ours = from_sklearn(model)
    before = [c.copy() for c in ours.coefs_]
    ours.fit(X, CLASSES["binary"])
    assert_same(ours.coefs_, before)


# From ours

OURS = {
    "scaled": {"scale": "standard"},
    "in training": {"dropout": 0.2, "batch_norm": True, "l1": 0.01, "clip_norm": 1.0, "init": "he"},
    "our names": {"activation": "sigmoid", "hidden_layer_sizes": (3, 3), "scoring": "loss", "early_stopping": True},
    "objects": {"activation": [vp.activations.Tanh(), "tanh"], "hidden_layer_sizes": [3, 4], "solver": vp.AdamW(0.01)},
    "schedule": {"learning_rate": vp.Cosine(), "activation": "identity"},
    "lbfgs": {"solver": vp.LBFGS(tolerance=1e-3), "hidden_layer_sizes": ()},
}


@pytest.mark.parametrize("options", OURS)
@pytest.mark.parametrize("kind", CLASSES)
def test_our_classifiers(kind, options, dtype):
    x, y = (3.0 * X + 5.0).astype(dtype), CLASSES[kind]
    ours = fitted(MLPClassifier, x, y, **OURS[options])
    model = to_sklearn(ours)
    assert type(model) is theirs.MLPClassifier
    np.testing.assert_array_equal(dense(model.predict(x)), dense(ours.predict(x)))
    if kind != "one class":
        assert_close(model.predict_proba(x).astype(dtype), ours.predict_proba(x), BOUNDS[dtype])
    back = from_sklearn(model)
    assert_close(back.predict_proba(x).astype(dtype), ours.predict_proba(x), BOUNDS[dtype])


@cases(
    *OURS.values(),
    {"scale": "standard", "scale_target": "standard"},
    {"loss": "huber", "scale_target": "standard"},
    {"loss": "quantile", "quantile": 0.3},
    {"loss": vp.losses.AbsoluteError()},
    {"loss": "poisson", "scale": "standard"},
    {"out_activation": "identity"},
    {"out_activation": "exp", "loss": "huber"},
)
@pytest.mark.parametrize("targets", ["one", "two"])
def test_our_regressors(options, targets, dtype):
    x, y = (3.0 * X + 5.0).astype(dtype), np.abs(NUMBERS[targets])
    ours = fitted(MLPRegressor, x, y, **options)
    model = to_sklearn(ours)
    predicted = ours.predict(x)
    assert model.loss == ("poisson" if ours.out_activation_ == "exp" else "squared_error")
    assert_close(model.predict(x).astype(dtype), predicted, BOUNDS[dtype])
    assert_close(from_sklearn(model).predict(x).astype(dtype), predicted, BOUNDS[dtype])
    assert to_sklearn(from_sklearn(model)).get_params() == model.get_params()


def test_features_far_from_zero_keep_their_digits_in_float32():
    x = (X + 1e5).astype("float32")
    ours = fitted(MLPRegressor, x, NUMBERS["one"], scale="standard")
    model = to_sklearn(ours)
    assert {c.dtype for c in model.coefs_} == {np.dtype("float64")}
    assert_close(model.predict(x).astype("float32"), ours.predict(x), 1e-6)


@pytest.mark.reliability
def test_lbfgs_in_float32_goes_on_in_jax(jax_backend):
    """scikit-learn's is float64 then, whatever X is."""
    x = X.astype("float32")
    ours = from_sklearn(fitted(theirs.MLPClassifier, x, CLASSES["binary"], solver="lbfgs"))
    assert ours.coefs_[0].dtype == np.float64
    ours.set_params(warm_start=True, backend=jax_backend).fit(x, CLASSES["binary"])


# What cannot be

REFUSED = [
    ({"n_networks": 2}, "it has 2 networks (n_networks=2)"),
    ({"activation": "gelu"}, "its hidden layers are gelu"),
    ({"activation": ["tanh", "relu"], "hidden_layer_sizes": (2, 3)}, "its hidden layers are tanh, relu"),
    ({"activation": [(np.sin, np.cos), "silu"], "hidden_layer_sizes": (2, 3)}, "its hidden layers are custom, silu"),
    ({"loss": "quantile", "quantile": [0.1, 0.9]}, "its outputs are ordered"),
    ({"loss": "quantile", "quantile": [0.1, 0.9], "scale_target": "standard"}, "scale_target='standard'"),
    ({"out_activation": "softplus"}, "its outputs are softplus (loss='squared_error', out_activation='softplus')"),
]
NO_MODULE = [
    ({"loss": "poisson"}, "layer 2 of 2 is exp, which PyTorch has no module for"),
    ({"loss": "quantile", "quantile": [0.1, 0.9]}, "layer 2 of 2 is ordered"),
    ({"activation": (np.sin, np.cos)}, "layer 1 of 2 is custom"),
    ({"n_networks": 2}, "it has 2 networks"),
    ({"loss": "quantile", "quantile": [0.1, 0.9], "scale_target": "standard"}, "scale_target='standard'"),
]


@cases(*((to_sklearn, *row) for row in REFUSED), *((to_torch, *row) for row in NO_MODULE))
def test_what_others_cannot_be(convert, options, words):
    ours = fitted(MLPRegressor, X, np.abs(NUMBERS["one"]), max_iter=1, **options)
    with pytest.raises(ValueError, match="^" + ("estimator: " if convert is to_sklearn else "model: ")) as error:
        converted(convert, ours)
    assert words in str(error.value)


NET = vp.Network((2, 3, 1))
test_something_else = refusals(
    converted,
    (from_sklearn, LogisticRegression(), "model must be a fitted MLPClassifier or MLPRegressor of sklearn.neural_"),
    (from_sklearn, MLPClassifier(), "got vecprop.estimators.classifier.MLPClassifier"),
    (from_sklearn, None, "got builtins.NoneType"),
    (to_sklearn, theirs.MLPRegressor(), "estimator must be a fitted MLPClassifier or MLPRegressor of vecprop.est"),
    (to_torch, NET, "params must be given with a Network"),
    (to_torch, MLPRegressor(), NET.init(), "got MLPRegressor: leave params out"),
    (to_torch, [NET], r"model must be a Network with params, a FitResult.*got builtins.list"),
    (to_torch, theirs.MLPRegressor(), r"got sklearn\.neural_network"),
    (to_torch, NET, NET.init()[:1], ValueError, "params must have one"),
    (from_torch, [NET], "module must be a torch.nn.Sequential, got list"),
    (from_sklearn, theirs.MLPClassifier(), NotFittedError, "not fitted"),
    (to_sklearn, MLPRegressor(), NotFittedError, "not fitted"),
    (to_torch, MLPClassifier(), NotFittedError, "not fitted"),
    error=TypeError,
)


test_parameters_that_were_changed_after_the_fit = refusals(
    lambda changes: from_sklearn(fitted(theirs.MLPRegressor, X, NUMBERS["one"]).set_params(**changes)),
    ({"hidden_layer_sizes": (9,)}, "model: its layers do not fit its parameters.*W1 must have shape"),
    ({"loss": "poisson"}, "model: it has the output 'identity', and its parameters ask for 'exp'"),
)


# PyTorch


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def rows(torch, module, X):
    """The outputs of a module for columns X, as columns."""
    with torch.no_grad():
        return module(torch.tensor(np.ascontiguousarray(X.T))).numpy().T


def same(layers, others):
    pairs = zip(flattened(layers), flattened(others), strict=True)
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs)


@pytest.mark.parametrize("hidden", [*ELEMENTWISE, "softmax", LeakyReLU(0.3), ELU(0.7)])
@pytest.mark.parametrize("output", ["identity", "softmax", "softplus"])
def test_to_torch_and_back(output, hidden, torch, dtype):
    net = vp.Network((4, 6, 5, 3), hidden, output)
    params, X, _, _ = make_problem(net, 40, params_scale=3.0)
    params, X = tuple(vp.Layer(W.astype(dtype), b.astype(dtype)) for W, b in params), (8 * X).astype(dtype)
    state = torch.get_rng_state()
    module = to_torch(net, params)
    assert not module.training and torch.equal(torch.get_rng_state(), state)
    assert_close(rows(torch, module, X), net.forward(params, X), BOUNDS[dtype])
    again, same_params = from_torch(module)
    assert (again.sizes, again.activations) == (net.sizes, net.activations) and same(same_params, params)


def test_the_module_and_the_parameters_share_nothing(torch):
    module = torch.nn.Sequential(torch.nn.Linear(2, 1))
    _, params = from_torch(module)
    before = params[0].W.copy()
    with torch.no_grad():
        module[0].weight.add_(1.0)
    assert np.array_equal(params[0].W, before)
    back = to_torch(vp.Network((2, 1)), params)
    with torch.no_grad():
        back[0].weight.add_(1.0)
    assert np.array_equal(params[0].W, before)


def test_what_is_folded_dropped_and_flattened(torch, dtype):
    nn = torch.nn
    torch.manual_seed(0)
    act = nn.Tanh()
    module = nn.Sequential(
        nn.Identity(),
        nn.Linear(4, 5, bias=False),
        nn.BatchNorm1d(5, eps=0.1),
        act,
        nn.Dropout(0.5),
        nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4, affine=False), nn.Sequential(nn.AlphaDropout(0.1), nn.SiLU())),
        nn.Sequential(),
        nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
        act,
        nn.Linear(4, 3),
        nn.Linear(3, 2),
        nn.Softmax(dim=1),
    )
    module = module.to(getattr(torch, dtype)).train()  # as it was left in training
    with torch.no_grad():
        for norm in (norm for norm in module.modules() if isinstance(norm, nn.BatchNorm1d)):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2.0)
            for number in norm.parameters():  # none if it is not affine
                number.normal_()
    module[1].weight.grad = torch.ones_like(module[1].weight)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    net, params = from_torch(module)
    assert str(net) == "network 4-5-4-4-3-2 (tanh, silu, tanh, identity, softmax; cross_entropy)"
    assert {a.dtype for layer in params for a in layer} == {np.dtype(dtype)}
    assert module.training and all(child.training for child in module.modules())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert bool((module[1].weight.grad == 1).all()) and module[1].weight.requires_grad
    X = np.random.default_rng(1).standard_normal((4, 30)).astype(dtype)
    assert_close(net.forward(params, X), rows(torch, module.eval(), X), BOUNDS[dtype])


def test_logits_and_their_output(torch):
    nn = torch.nn
    module = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    net, params = from_torch(module, output="softmax")
    assert net.output.name == "softmax" and from_torch(module)[0].output.name == "identity"
    X = np.random.default_rng(1).standard_normal((4, 30)).astype("float32")
    assert_close(net.forward(params, X), rows(torch, nn.Sequential(module, nn.Softmax(dim=-1)), X), 1e-6)
    assert_close(rows(torch, to_torch(net, params, logits=True), X), rows(torch, module, X), 1e-6)
    assert type(to_torch(net, params, logits=True)[-1]) is nn.Linear
    alone, layers = from_torch(nn.Linear(3, 2, dtype=torch.float64), "sigmoid")
    assert (alone.sizes, alone.output.name, layers[0].W.dtype.name) == ((3, 2), "sigmoid", "float64")
    exp = vp.Network((4, 5, 3), "relu", "exp")
    assert same(from_torch(to_torch(exp, params, logits=True))[1], params)


def test_softplus_of_pytorch_is_cut_off_at_twenty(torch):
    module = torch.nn.Sequential(torch.nn.Linear(1, 1, dtype=torch.float64), torch.nn.Softplus())
    net, params = from_torch(module)
    X = np.linspace(-90, 90, 2001)[None]
    assert np.abs(net.forward(params, X) - rows(torch, module, X)).max() < 2.1e-9


def modules(nn):
    """Modules that cannot be ours, some with the output asked for, and what is said of them."""
    linear = nn.Linear(2, 2)

    class Own(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    return [
        (nn.Sequential(), "module must have at least one Linear"),
        (nn.Sequential(nn.Tanh(), linear), r"module\[0\] is Tanh\(\), before the first Linear"),
        (nn.Sequential(nn.BatchNorm1d(2), linear), r"module\[0\] is BatchNorm1d\(2, .*before the first Linear"),
        (nn.Sequential(linear, nn.Tanh(), nn.ReLU()), r"module\[2\] is ReLU\(\), behind an activation"),
        (nn.Sequential(linear, nn.Tanh(), nn.BatchNorm1d(2)), r"module\[2\] is BatchNorm1d.*behind an activation"),
        (nn.Sequential(linear, nn.BatchNorm1d(2, track_running_stats=False)), "without running statistics"),
        (nn.Sequential(linear, nn.BatchNorm1d(3)), "has 3 features, and the Linear before it 2 outputs"),
        (
            nn.Sequential(linear, nn.Sequential(nn.Dropout(), nn.PReLU())),
            r"module\[1\]\[1\] is PReLU\(num_parameters=1\), which has no counterpart here; supported are Linear, Sig",
        ),
        (nn.Sequential(nn.Flatten(), linear), r"module\[0\] is Flatten"),
        (nn.Sequential(linear, nn.Conv1d(1, 1, 1)), r"module\[1\] is Conv1d"),
        (nn.Sequential(Own(2, 2)), r"module\[0\] is Own"),
        (nn.LSTM(2, 2), r"module is LSTM\(2, 2\)"),
        (nn.Sequential(linear, nn.GELU()), r"module\[1\] is GELU\(approximate='none'\): .*up to 5e-4"),
        (nn.Sequential(linear, nn.Softmax(dim=0)), "dim=1 or dim=-1"),
        (nn.Sequential(linear, nn.Softmax()), "dim=1 or dim=-1"),
        (nn.Sequential(linear, nn.Softplus(beta=2)), "beta=1 and threshold=20 or more"),
        (nn.Sequential(linear, nn.Softplus(threshold=5)), "beta=1 and threshold=20 or more"),
        (
            nn.Sequential(linear, nn.LeakyReLU(1.5)),
            r"module\[1\] is LeakyReLU\(.*slope must be a finite number in \[0, 1\), got 1.5",
        ),
        (nn.Sequential(linear, nn.ELU(-1.0)), "alpha must be a finite number > 0, got -1.0"),
        (nn.Sequential(nn.Linear(2, 2)).half(), r"module\[0\].weight must be float32 or float64, got torch.float16"),
        (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()), r"module\[1\].weight must be float32 as that"),
        (nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 2)), r"W2 must have shape \(2, 2\), got \(2, 3\)"),
        (nn.Sequential(nn.Linear(2, 1), nn.Softmax(dim=1)), "softmax over 1 unit"),
        (nn.Sequential(linear, nn.Tanh()), "softmax", "output is for a module that ends in a Linear.* ends in tanh"),
        (linear, "softmx", "output: unknown activation 'softmx'"),
    ]


def test_modules_that_cannot_be_ours(torch):
    for *given, words in modules(torch.nn):
        with pytest.raises(ValueError, match=words):
            from_torch(*given)


# To PyTorch: results and estimators


def test_a_result_and_one_of_a_stack(torch):
    X, Y = vp.datasets.xor(m=50)
    net = vp.Network((2, 4, 1))
    result = vp.fit(net, X, Y, epochs=3, batch_norm=True, standardize=True)
    assert_close(rows(torch, to_torch(result), X), result.forward(X), 1e-12)
    stack = vp.fit(net, X, Y, epochs=3, seed=range(3))
    with pytest.raises(ValueError, match=r"params are a stack of 3 networks.*result.best"):
        to_torch(stack)
    assert_close(rows(torch, to_torch(stack.best), X), stack.best.forward(X), 1e-12)


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind != "one class"])
def test_a_classifier(kind, torch, dtype):
    x = (3.0 * X + 5.0).astype(dtype)
    ours = fitted(MLPClassifier, x, CLASSES[kind], scale="standard", activation="gelu", batch_norm=True)
    A = rows(torch, to_torch(ours), x.T)
    P = ours.predict_proba(x)
    assert_close(A, (P[:, 1:] if ours.n_outputs_ == 1 else P).T, BOUNDS[dtype])


@cases({}, {"loss": "huber", "activation": "elu"}, {"out_activation": "softplus", "scale_target": None})
@pytest.mark.parametrize("targets", NUMBERS)
def test_a_regressor(options, targets, torch, dtype):
    x, y = (3.0 * X + 5.0).astype(dtype), NUMBERS[targets]
    ours = fitted(MLPRegressor, x, y, **{"scale": "standard", "scale_target": "standard"} | options)
    module = to_torch(ours)
    assert {str(p.dtype) for p in module.parameters()} == {f"torch.{dtype}"}
    assert_close(rows(torch, module, x.T), ours.predict(x).reshape(60, -1).T, BOUNDS[dtype])


def test_parameters_of_any_library_and_layout(torch, backend):
    net = vp.Network((4, 3, 2))
    params, X, _, _ = make_problem(net, 10)
    moved = [tuple(backend.asarray(a, "float32") for a in layer) for layer in params]
    X = X.astype("float32")
    assert_close(rows(torch, to_torch(net, moved), X), backend.to_numpy(net.forward(moved, backend.asarray(X))), 1e-6)
    turned = [(np.asfortranarray(W)[::-1], b[::-1]) for W, b in params]
    assert same(from_torch(to_torch(net, turned))[1], turned)


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("function", [from_torch, to_torch])
def test_the_examples_in_the_docstrings(function):
    """They are skipped where doctests run without PyTorch."""
    text = function.__doc__.replace("# doctest: +SKIP", "")
    test = doctest.DocTestParser().get_doctest(text, vars(pytorch).copy(), function.__name__, None, 0)
    assert len(test.examples) >= 3
    assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test).failed == 0
