"""Activations and their derivatives (E17-E21)."""

import math
import pickle

import numpy as np
import pytest

import vecprop as vp
from helpers import ELEMENTWISE, cases, cube, cube_prime, on
from vecprop.nn.activations import ACTIVATIONS, ELU, Custom, LeakyReLU, Ordered, get_activation, is_pair, log_softmax


@cases(
    ("sigmoid", 10.0, 0.9999546021312976, 4.5395807735951673e-5),
    ("sigmoid", -10.0, 4.5397868702434395e-5, 4.5395807735951673e-5),
    ("tanh", 0.0, 0.0, 1.0),
    ("tanh", 10.0, 0.9999999958776927, 8.244614546626394e-9),
    ("relu", -3.0, 0.0, 0.0),
    ("relu", 3.0, 3.0, 1.0),
    ("leaky_relu", -3.0, -0.03, 0.01),
    ("leaky_relu", 3.0, 3.0, 1.0),
    ("identity", -3.0, -3.0, 1.0),
    ("softplus", 0.0, math.log(2), 0.5),
    ("elu", -1.0, math.exp(-1) - 1, math.exp(-1)),
    (ELU(0.5), -1e3, -0.5, 0.0),
    (ELU(0.5), -1.0, 0.5 * math.expm1(-1), 0.5 * math.exp(-1)),
    (ELU(0.5), 0.0, 0.0, 1.0),
    (ELU(0.5), 0.3, 0.3, 1.0),
    (LeakyReLU(0), -2.0, 0.0, 0.0),
    ("silu", 1.0, 1 / (1 + math.exp(-1)), 0.92767051187),
    ("gelu", 1.0, 0.8411919906082768, 1.0829640838457826),
    ("gelu", -1.0, -0.15880800939172324, -0.08296408384578255),
    ("gelu", -20.0, 0.0, 0.0),
    ("gelu", 1e300, 1e300, 1.0),
    ("gelu", -1e300, 0.0, 0.0),
)
def test_values_on_paper(name, z, a, slope):
    g, Z = get_activation(name), np.array([[z]])
    A = g.function(np, Z)
    assert A.item() == pytest.approx(a, rel=1e-11, abs=1e-15)
    # 1 - a² and a (1 - a) subtract nearly equal numbers where the function is flat
    assert g.derivative(np, Z, A).item() == pytest.approx(slope, rel=1e-7)


def test_softmax_is_shifted_by_the_column_maximum():
    Z = np.array([[1000.0, 0.0, -1e308], [1000.0, math.log(3), 0.0]])
    A = vp.activations.Softmax().function(np, Z)
    np.testing.assert_allclose(A, [[0.5, 0.25, 0.0], [0.5, 0.75, 1.0]], rtol=1e-15)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_derivative_by_complex_step(name):
    g = get_activation(name)
    Z = np.concatenate([np.linspace(-30, 30, 601), [1e-8, -1e-8, 0.0]])[None, :]
    numeric = g.function(np, Z + 1e-30j).imag / 1e-30
    analytic = g.derivative(np, Z, g.function(np, Z))
    # σ = ½ (1 + tanh) is good to a rounding of 1, and SiLU multiplies it by z
    rounding = 4e-16 * (np.maximum(1, np.abs(Z)) if name == "silu" else 1)
    assert (np.abs(analytic - numeric) <= 1e-13 * np.abs(numeric) + rounding).all()


def test_softmax_backward_is_the_full_jacobian():
    random = np.random.default_rng(0)
    (Z, dA), softmax = random.standard_normal((2, 4, 3)), vp.activations.Softmax()
    A = softmax.function(np, Z)
    for i in range(3):
        a = A[:, i]
        jacobian = np.diag(a) - np.outer(a, a)
        np.testing.assert_allclose(softmax.backward(np, dA, Z, A)[:, i], jacobian @ dA[:, i], rtol=1e-13, atol=1e-16)
    with pytest.raises(TypeError, match="backward"):
        softmax.derivative(np, Z, A)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu"])
def test_kinks(name):
    g, Z = get_activation(name), np.array([[0.0, -0.0, -1e-300]])
    A = g.function(np, Z)
    assert g.derivative(np, Z, A)[0, :2].tolist() == [1.0, 1.0]
    np.testing.assert_array_equal(g.backward(np, np.full((1, 3), 3.0), Z, A), 3.0 * g.derivative(np, Z, A))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_not_a_number_stays_so(name):
    """A diverging run is seen in its cost; no activation may hide it."""
    Z = np.array([[np.nan, 1.0], [1.0, 1.0]])
    A = get_activation(name).function(np, Z)
    assert np.isnan(A[0, 0]) and np.isfinite(A[:, 1]).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_stack_is_its_members(name):
    g, (Z, dA) = get_activation(name), np.random.default_rng(0).standard_normal((2, 5, 3, 4))
    A = g.function(np, Z)
    dZ, logs = g.backward(np, dA, Z, A), log_softmax(np, Z)
    for k in range(5):
        np.testing.assert_array_equal(A[k], g.function(np, Z[k]))
        np.testing.assert_array_equal(dZ[k], g.backward(np, dA[k], Z[k], A[k]))
        np.testing.assert_allclose(logs[k], np.log(vp.activations.Softmax().function(np, Z[k])), rtol=1e-14)


def test_what_each_is_good_for():
    """Probabilities, He initialization, and the elementwise ones, which a backend may fuse."""
    assert {n for n, g in ACTIVATIONS.items() if g.open_unit_interval} == {"sigmoid", "softmax"}
    kin_of_relu = {"relu", "leaky_relu", "softplus", "elu", "gelu", "silu"}
    assert {n for n, g in ACTIVATIONS.items() if g.homogeneous} == kin_of_relu
    assert {n for n, g in ACTIVATIONS.items() if not g.elementwise} == {"softmax", "ordered"}
    own = Custom(cube, cube_prime)
    assert (own.open_unit_interval, own.elementwise, own.homogeneous) == (False, True, False)
    assert (LeakyReLU(), ELU(), Ordered()) == (LeakyReLU(0.01), ELU(1.0), Ordered(1))


@pytest.mark.parametrize("name", [*ELEMENTWISE, "softmax"])
def test_extreme_values(name, backend, dtype):
    largest = float(np.finfo(dtype).max)
    Z = np.array([0.0, 88.8, 710.0, 1e4, 1e19, 1e38, largest])
    Z = np.concatenate([Z, -Z])[None, :]
    Z = np.concatenate([Z, np.zeros_like(Z)]) if name == "softmax" else Z
    g = get_activation(name)
    with np.errstate(over="raise", invalid="raise", divide="raise"), backend.scope(dtype, "highest"):
        Z = on(backend, dtype, Z)
        A = g.function(backend.xp, Z)
        values = [A, g.backward(backend.xp, backend.xp.ones_like(Z), Z, A)]
        values += [g.derivative(backend.xp, Z, A)] if g.elementwise else []
    for value in values:
        assert str(value.dtype).endswith(dtype)
        assert np.isfinite(backend.to_numpy(value)).all()


def test_own_pair():
    net = vp.Network((2, 3, 1), hidden=(cube, cube_prime), output="identity")
    assert net.activations[0] == Custom(cube, cube_prime)
    params = net.init(seed=0, dtype="float64")
    X, Y = np.random.default_rng(0).standard_normal((2, 2, 5))
    assert vp.check_gradients(net, params, X, Y[:1]).passed
    wrong = vp.Network((2, 3, 1), hidden=(cube, lambda Z: 2 * Z**2), output="identity")
    assert set(vp.check_gradients(wrong, params, X, Y[:1]).wrong) == {"W1", "b1"}
    wide = vp.Network((2, 3, 1), hidden=(lambda Z: Z * np.sqrt(2), lambda Z: np.where(Z > 9, 0, 1) * np.sqrt(2)))
    trained = vp.fit(wide, X.astype("float32"), Y[:1] > 0, epochs=1, batch_size=2, backend="numpy")
    assert {a.dtype for layer in trained.params for a in layer} == {np.dtype("float32")}
    number = vp.Network((2, 3, 1), hidden=(lambda Z: 2 * Z, lambda _: 2.0), output="identity")
    assert vp.check_gradients(number, params, X, Y[:1]).passed
    in_place = vp.Network((2, 3, 1), hidden=(lambda Z: np.multiply(Z, Z, out=Z), lambda Z: 2 * Z))
    with pytest.raises(ValueError, match="read-only"):
        in_place.gradients(params, X, Y[:1] > 0)
    with pytest.raises(TypeError, match="g_prime must be a function"):
        Custom(cube, 3)


@pytest.mark.parametrize(
    "given", [(cube, 3), (3, cube), (cube,), (cube, cube, cube), [cube, cube], ("relu", "tanh"), 3]
)
def test_what_is_no_pair(given):
    assert not is_pair(given)
    with pytest.raises(TypeError, match=r"hidden must be a name, an Activation or a pair"):
        get_activation(given, "hidden")


def test_values_are_hashable_comparable_and_pickle():
    for g in [*ACTIVATIONS.values(), LeakyReLU(0.2), Custom(cube, cube_prime)]:
        assert pickle.loads(pickle.dumps(g)) == g
        assert hash(pickle.loads(pickle.dumps(g))) == hash(g)
    assert LeakyReLU(0.2) != LeakyReLU(0.1)
    assert vp.Network((2, 3, 1), hidden="sigmoid") == vp.Network([2, 3, 1], hidden=[vp.activations.Sigmoid()])
