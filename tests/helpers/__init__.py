"""What the tests share: the one comparison, random problems, and the list of pairings."""

import inspect
import os
import re

import array_api_compat.numpy
import numpy as np
import pytest

import vecprop as vp
from vecprop.backend.namespaces import array_namespace
from vecprop.nn.losses import BinaryCrossEntropy, CrossEntropy, Huber, Quantile

# Backends that must be there: their tests fail rather than skip.
REQUIRED = {name for name in os.environ.get("VECPROP_REQUIRE", "").replace(" ", "").split(",") if name}

# NumPy with nothing recorded, fused or shared among threads.
PLAIN = vp.Backend(array_api_compat.numpy, "plain")

# Norm-wise relative error against the float64 oracle; float32 is with precision "highest".
BOUNDS = {"float64": 1e-13, "float32": 2e-6}

ELEMENTWISE = ["sigmoid", "tanh", "relu", "leaky_relu", "identity", "softplus", "elu", "gelu", "silu"]
PAIRINGS = [
    ("sigmoid", "binary_cross_entropy"),
    ("softmax", "cross_entropy"),
    ("identity", "squared_error"),
    ("softmax", "binary_cross_entropy"),
    ("sigmoid", "cross_entropy"),
    *((g, "squared_error") for g in [*ELEMENTWISE, "softmax", "exp", "ordered"] if g != "identity"),
    ("softmax", CrossEntropy(smoothing=0.1)),
    ("sigmoid", BinaryCrossEntropy(smoothing=0.2)),
    ("softmax", BinaryCrossEntropy(smoothing=0.2)),
    ("exp", "poisson"),
    ("identity", "absolute_error"),
    ("identity", "huber"),
    ("tanh", Huber(0.5)),
    ("identity", "quantile"),
    ("ordered", Quantile(0.3)),
]
# Each pairing as output, each activation in a hidden layer, and a hidden softmax.
NETWORKS = [
    *(vp.Network((3, 4, 2), output=output, loss=loss) for output, loss in PAIRINGS),
    *(vp.Network((3, 4, 3, 1), hidden=[g, "tanh"]) for g in ELEMENTWISE),
    vp.Network((2, 3, 3, 2), hidden=["softmax", "relu"], output="softmax"),
]


def cube(Z):
    """An activation of one's own, with `cube_prime`."""
    return Z**3


def cube_prime(Z):
    return 3 * Z**2


def backend_or_skip(name):
    """The backend, or a skip with the reason; a required one raises instead."""
    try:
        backend = vp.get_backend(name)
    except vp.BackendError as error:
        if name in REQUIRED or "all" in REQUIRED:
            raise
        pytest.skip(str(error))
    if name == "jax" and "jax-gpu" in REQUIRED and not backend.has_gpu:
        pytest.fail(f"JAX on a GPU is required, got {dict(backend.describe())}")
    return backend


def host(array):
    """An array of any of the namespaces under test, as NumPy."""
    return vp.backend.selection.backend_for(array_namespace(array)).to_numpy(array)


def assert_close(actual, desired, bound=None, xp=None):
    """Namespace, dtype, shape, finiteness, then the norm-wise error; `desired` is a NumPy array in float64."""
    space = array_namespace(actual) if hasattr(actual, "dtype") else np
    if xp is not None:
        assert space is xp, f"namespace {space.__name__}, wanted {xp.__name__}"
    dtype = str(actual.dtype).rpartition(".")[2]
    bound = BOUNDS[dtype] if bound is None else bound
    desired = host(desired) if hasattr(desired, "dtype") else desired
    value, desired = host(actual).astype(np.float64), np.asarray(desired, dtype=np.float64)
    assert value.shape == desired.shape, f"shape {value.shape}, wanted {desired.shape}"
    assert np.isfinite(value).all(), "not finite"
    error = float(np.linalg.norm(value - desired))
    scale = float(np.linalg.norm(desired))
    assert error <= bound * max(scale, 1e-300), f"norm-wise error {error / max(scale, 1e-300):.3g}, bound {bound:g}"


def flattened(tree):
    """The arrays of nested tuples and lists, such as parameters and slots, as NumPy."""
    if tree is None or isinstance(tree, tuple | list):
        return [leaf for part in tree or () for leaf in flattened(part)]
    return [host(tree) if hasattr(tree, "dtype") else np.asarray(tree)]


def assert_same(actual, desired):
    """Every array the same, bit for bit."""
    for a, d in zip(flattened(actual), flattened(desired), strict=True):
        np.testing.assert_array_equal(a, d)


def assert_near(actual, desired, rtol=0.0, atol=0.0):
    """Every array nearly the same, number by number."""
    for a, d in zip(flattened(actual), flattened(desired), strict=True):
        np.testing.assert_allclose(a, d, rtol=rtol, atol=atol)


def assert_same_run(actual, desired, atol=0.0, rtol=0.0):
    """The same parameters within `atol`, and the same history within `rtol`, but for what took how long."""
    assert_near(actual.params, desired.params, atol=atol)
    assert actual.history.keys() == desired.history.keys()
    for key in actual.history.keys() - {"seconds"}:
        np.testing.assert_allclose(actual.history[key], desired.history[key], rtol=rtol, err_msg=key)


def assert_grads_close(actual, desired, bound=None, xp=None):
    """`assert_close` of the whole gradient as one vector, after structure, shapes and dtypes layer by layer.

    One vector, since a parameter whose gradient cancels to nearly nothing has no relative accuracy of its own.
    """
    for got, want in zip(actual, desired, strict=True):
        assert type(got) is vp.Layer
        for a, d in zip(got, want, strict=True):
            assert_close(a, d, bound=np.inf, xp=xp)
    assert len({str(a.dtype) for layer in actual for a in layer}) == 1
    assert_close(*(np.concatenate([a.ravel() for a in flattened(tree)]) for tree in (actual, desired)), bound=bound)


def assert_pass_close(actual, desired, xp=None):
    """Two pairs (J, gradients) are close."""
    assert_close(actual[0], desired[0], xp=xp)
    assert_grads_close(actual[1], desired[1], xp=xp)


def assert_divergence_told(error):
    """All that a DivergenceError is to say, and parameters to go on from."""
    assert re.search(rf"epoch {error.epoch}, step {error.step} of \d+", str(error))
    assert re.search(r"the largest of all layers was \S+\)", str(error)) and "lower the learning rate" in str(error)
    assert error.gradient_norm >= 0
    assert f"{error.gradient_norm:g}" in str(error)
    assert all(np.isfinite(host(a)).all() for layer in error.params for a in layer)
    assert len(error.history["cost"]) == error.epoch - 1 and np.isfinite(error.history["cost"]).all()


def stepped(params, grads, rate):
    """The parameters after a step of gradient descent (E12)."""
    return tuple(vp.Layer(W - rate * dW, b - rate * db) for (W, b), (dW, db) in zip(params, grads, strict=True))


def make_targets(random, net, m, stack=()):
    """Targets that the network's loss is defined for, as NumPy float64."""
    n = net.sizes[-1]
    if net.loss.name in ("squared_error", "absolute_error", "huber", "quantile"):
        return random.standard_normal((*stack, n, m))
    if net.loss.name == "poisson":
        return random.poisson(1.5, (*stack, n, m)).astype(float)
    if net.loss.name == "cross_entropy":
        labels = random.integers(0, n, (*stack, m))
        return np.moveaxis(np.eye(n)[labels], -1, -2).copy()
    return random.integers(0, 2, (*stack, n, m)).astype(float)


def make_problem(net, m, seed=0, weights=False, params_scale=1.0):
    """Random parameters (biases too), X, Y and sample weights for a network, as NumPy float64."""
    random = np.random.default_rng(seed)
    params = tuple(
        vp.Layer(random.standard_normal((n, n_in)) * params_scale / np.sqrt(n_in), random.standard_normal((n, 1)) * 0.5)
        for n_in, n in zip(net.sizes[:-1], net.sizes[1:], strict=True)
    )
    X = random.standard_normal((net.sizes[0], m))
    w = random.uniform(0, 3, m) if weights else None
    return params, X, make_targets(random, net, m), w


def spoiled(array, value, place=None):
    """A copy with one value changed, the second of all unless a place is given."""
    changed = array.copy()
    changed[np.unravel_index(1, array.shape) if place is None else place] = value
    return changed


def mapped(function, value):
    """What a function makes of an array, or of each array of parameters; None stays."""
    if isinstance(value, tuple):
        return tuple(vp.Layer(function(W), function(b)) for W, b in value)
    return None if value is None else function(value)


def on(backend, dtype, *values):
    """Values (arrays, parameters, None) on a backend in a dtype."""
    moved = tuple(mapped(lambda a: backend.asarray(a, dtype), v) for v in values)
    return moved[0] if len(moved) == 1 else moved


def round_to(dtype, *values):
    """The float64 values of what `on` makes: rounded once, so that an oracle sees the same input."""
    return tuple(mapped(lambda a: np.asarray(a, dtype=dtype).astype(np.float64), v) for v in values)


def cases(*rows, ids=None):
    """Parametrize a test by rows of its first arguments, or by values of the first, which the function names."""

    def parametrized(test):
        row = rows[0].values if hasattr(rows[0], "marks") else rows[0]
        names = list(inspect.signature(test).parameters)[: len(row) if isinstance(row, tuple) else 1]
        return pytest.mark.parametrize(",".join(names), rows, ids=ids)(test)

    return parametrized


def refusals(call, *rows, error=ValueError, literal=None, fixtures=()):
    """A test of what a call refuses, from rows: arguments, error if it is another, pattern of its message.

    Where messages are `literal` they are no patterns: "" is in front of what is looked for, or "^" for the beginning.
    The values of the `fixtures` of these names come before a row's arguments.
    """

    @pytest.mark.parametrize("row", rows, ids=[row[-1][:60] for row in rows])
    def test(row, request):
        *given, message = *map(request.getfixturevalue, fixtures), *row
        expected = given.pop() if isinstance(given[-1], type) and issubclass(given[-1], Exception) else error
        with pytest.raises(expected, match=message if literal is None else literal + re.escape(message)):
            call(*given)

    return test


def raising(error, epoch):
    """A callback that raises an error after an epoch."""

    def callback(state, _):
        if state.epoch == epoch:
            raise error

    return callback


def epoch_order(windows, seed, epoch):
    """The examples in the order in which they are trained on."""
    found = []
    for number in range(len(windows)):
        places = np.concatenate([np.arange(*r) for r in windows.ranges(seed, epoch, number)])
        found.append(places[windows.order(seed, epoch, number)])
    return np.concatenate(found)
