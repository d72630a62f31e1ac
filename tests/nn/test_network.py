"""The specification: sizes, initial parameters, shapes, collapse (E16, E26-E29)."""

import dataclasses
import pickle

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

import vecprop as vp
from helpers import assert_close, assert_grads_close, assert_near, host, make_problem, on
from vecprop.nn.initializers import INITIALIZERS


def test_network_is_a_value():
    net = vp.Network((4, 3, 2), hidden="relu", output="softmax")
    assert net == vp.Network([4, np.int64(3), 2], hidden=["relu"], output="softmax", loss="cross_entropy")
    assert hash(net) == hash(pickle.loads(pickle.dumps(net)))
    assert net != vp.Network((4, 3, 2), hidden="tanh", output="softmax")
    assert dataclasses.replace(net, output="sigmoid", loss=None).loss.name == "binary_cross_entropy"
    assert str(net) == "network 4-3-2 (relu, softmax; cross_entropy)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        net.sizes = (1, 2)


@pytest.mark.parametrize("sizes", [(5, 1), (2, 4, 1), (3, 4, 5, 6)])
def test_shapes_table_is_true(sizes):
    """Each entry is the shape of the real array (E16)."""
    net, m = vp.Network(sizes, output="identity"), 7
    table = net.shapes(m=m)
    params, X, Y, _ = make_problem(net, m)
    Z, A = vp.propagation.forward(net, params, X)
    _, grads = net.gradients(params, X, Y)
    real = {"X": X, "Y": Y}
    for l in range(1, len(sizes)):
        real |= {f"Z{l}": Z[l], f"A{l}": A[l], f"dZ{l}": Z[l], f"dA{l}": A[l]}
        real |= {f"W{l}": params[l - 1].W, f"b{l}": params[l - 1].b, f"dW{l}": grads[l - 1].W, f"db{l}": grads[l - 1].b}
    assert set(table) == set(real) - {f"dA{len(sizes) - 1}"}
    assert all(table[name] == real[name].shape for name in table)
    assert f"W1   {table['W1']}" in str(table)


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
def test_collapse(output, backend, dtype):
    """With identity activations any depth is W'x + b'; with a sigmoid output, logistic regression (E26)."""
    deep = vp.Network((3, 5, 4, 2), hidden="identity", output=output)
    flat = vp.Network((3, 2), output=output)
    params, X, _, _ = make_problem(deep, 9)
    params, X = on(backend, dtype, params, X)
    W, b = deep.collapse(params)
    assert (tuple(W.shape), tuple(b.shape)) == ((2, 3), (2, 1))
    assert_close(flat.forward([(W, b)], X), host(deep.forward(params, X)).astype(np.float64), xp=backend.xp)
    with pytest.raises(ValueError, match="layer 2 is tanh"):
        vp.Network((3, 5, 4, 2), hidden=["identity", "tanh"]).collapse(params)


def test_collapse_of_a_stack():
    net = vp.Network((3, 5, 2), hidden="identity", output="identity")
    W, b = net.collapse(net.init(seed=range(4), dtype="float64"))
    assert_near((W[2], b[2]), net.collapse(net.init(seed=2, dtype="float64")), rtol=1e-14)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_init_statistics(name):
    """Mean 0 and the standard deviation of E28, E29, within 5 standard errors of the draws; biases 0 or alike."""
    assert INITIALIZERS[name].name == name and pickle.loads(pickle.dumps(INITIALIZERS[name])) == INITIALIZERS[name]
    n_in, n_out = 300, 200
    (W, b), _ = vp.Network((n_in, n_out, 1)).init(seed=3, init=name, dtype="float64")
    base = name.removesuffix("_uniform")
    std = {"zeros": 0, "small": 0.01, "he": (2 / 300) ** 0.5, "xavier": (1 / 300) ** 0.5, "glorot": (2 / 500) ** 0.5}
    std["sklearn"] = std["glorot"]
    error = 5 / np.sqrt(W.size)
    assert abs(W.mean()) <= error * std[base]
    assert abs(W.std() - std[base]) <= error * std[base]
    if name == "sklearn":
        assert abs(b.std() - std[base]) <= 5 / np.sqrt(b.size) * std[base]
    else:
        assert (b == 0).all()
    if base != "zeros":
        limit = np.sqrt(3) * std[base]
        assert (np.abs(W).max() <= limit) == (name.endswith("_uniform") or name == "sklearn")


@pytest.mark.parametrize(("ours", "theirs"), [("relu", "relu"), ("tanh", "tanh"), ("sigmoid", "logistic")])
def test_init_of_scikit_learn(ours, theirs):
    """The limits of the draws equal those of a fitted network of theirs, layer by layer, biases included."""
    model = MLPClassifier((40, 50), activation=theirs, max_iter=1, learning_rate_init=1e-30)
    X = np.random.default_rng(0).standard_normal((30, 20))
    with pytest.warns(UserWarning, match="Maximum iterations"):
        model.fit(X, np.arange(30) % 3)
    layers = vp.Network((20, 40, 50, 3), hidden=ours, output="softmax").init(seed=0, init="sklearn", dtype="float64")
    for (W, b), coef, intercept in zip(layers, model.coefs_, model.intercepts_, strict=True):
        limit = np.sqrt((2 if ours == "sigmoid" else 6) / sum(W.shape))
        assert b.shape == (W.shape[0], 1)
        for mine, other in ((W, coef), (b, intercept)):
            assert 0 < np.abs(mine).max() <= limit
            assert np.abs(other).max() <= limit
        assert np.abs(W).max() > 0.9 * limit
        assert np.abs(coef).max() > 0.9 * limit


def test_auto_init_follows_the_activation():
    net = vp.Network((5, 40, 30, 1), hidden=["relu", "tanh"])
    auto, he, xavier = (net.init(seed=1, init=name) for name in ("auto", "he", "xavier"))
    assert (auto[0].W == he[0].W).all()
    assert (auto[1].W == xavier[1].W).all()
    assert (auto[2].W == xavier[2].W).all()
    output = vp.Network((5, 40, 1), hidden="relu")
    assert (output.init(seed=1)[1].W == output.init(seed=1, init="xavier")[1].W).all(), "by its own activation"


def test_init_is_the_same_on_every_backend(backend, dtype):
    net = vp.Network((5, 4, 2))
    params = net.init(seed=7, dtype=dtype, backend=backend)
    assert str(params[0].W.dtype).endswith(dtype)
    assert_grads_close(params, net.init(seed=7, dtype=dtype, backend="numpy"), bound=0.0, xp=backend.xp)


def test_init_default_is_float32_and_depends_on_the_seed():
    net = vp.Network((5, 4, 2))
    assert net.init()[0].W.dtype == np.float32
    assert (net.init(seed=1)[0].W != net.init(seed=2)[0].W).all()
    # a stack is its members
    for k, seed in enumerate((5, 1)):
        assert (net.init(seed=[5, 1])[1].W[k] == net.init(seed=seed)[1].W).all()


def test_zero_init_keeps_symmetry(backend):
    """All hidden units compute the same function, get the same gradient and stay the same (E27)."""
    net = vp.Network((3, 4, 1))
    _, X, Y, _ = make_problem(net, 12)
    params = net.init(init="zeros", dtype="float64", backend=backend)
    _, grads = net.gradients(params, *on(backend, "float64", X, Y))
    assert (host(grads[0].W) == host(grads[0].W)[:1]).all()
    trained = vp.fit(net, X, Y, init="zeros", epochs=30, batch_size=5, backend=backend).params
    W = host(trained[0].W)
    assert (W[:1] == W).all()
    broken = vp.fit(net, X, Y, init="small", epochs=30, batch_size=5, backend=backend).params
    assert not (host(broken[0].W) == host(broken[0].W)[:1]).all()


def test_gradient_norms(backend, dtype):
    """‖dW_l‖ per layer, for one network and for a stack (E36)."""
    net = vp.Network((3, 4, 4, 1), hidden="sigmoid")
    params, X, Y, _ = make_problem(net, 8)
    _, grads = net.gradients(params, X, Y)
    expected = [np.linalg.norm(dW) for dW, _ in grads]
    _, moved = net.gradients(*on(backend, dtype, params, X, Y))
    with backend.scope(dtype, "highest"):
        assert_close(vp.gradient_norms(moved), expected, bound={"float32": 1e-4, "float64": 1e-12}[dtype])
    stack = tuple(vp.Layer(np.stack([W, 2 * W]), np.stack([b, b])) for W, b in grads)
    np.testing.assert_allclose(vp.gradient_norms(stack), np.outer([1, 2], expected))
    np.testing.assert_allclose(vp.gradient_norms(grads[:1]), expected[:1], err_msg="of one layer")
