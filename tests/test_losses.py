"""Losses: values from Z, dZ of the matching and the other pairings (E2, E22-E25)."""

import numpy as np
import pytest

import vecprop as vp
from helpers import PAIRINGS, make_targets, on
from vecprop.activations import get_activation
from vecprop.losses import LOSSES, get_loss

mpmath = pytest.importorskip("mpmath")

LOGITS = [0.0, 0.3, -2.0, 30.0, -30.0, 88.8, -88.8, 710.0, -710.0, 1e4, -1e4]


def exact_binary(z, y):
    with mpmath.workdps(50 + int(abs(z))):
        a = 1 / (1 + mpmath.exp(-mpmath.mpf(z)))
        return float(-mpmath.log(a) if y else -mpmath.log(1 - a))


@pytest.mark.parametrize("y", [0.0, 1.0])
@pytest.mark.parametrize("z", LOGITS)
def test_values_against_mpmath(z, y):
    loss, g = LOSSES["binary_cross_entropy"], get_activation("sigmoid")
    Z = np.array([[z]])
    value = loss.values(np, g, Z, g.function(np, Z), np.array([[y]])).item()
    assert value == pytest.approx(exact_binary(z, y), rel=4 * np.finfo(float).eps, abs=5e-324)


@pytest.mark.parametrize("z", [0.0, 3.0, -3.0, 500.0, -500.0])
def test_cross_entropy_against_mpmath(z):
    loss, g = LOSSES["cross_entropy"], get_activation("softmax")
    Z = np.array([[z], [0.0], [1.0]])
    Y = np.array([[0.0], [1.0], [0.0]])
    with mpmath.workdps(400):
        exact = float(mpmath.log(sum(mpmath.exp(v) for v in Z[:, 0])))
    assert loss.values(np, g, Z, g.function(np, Z), Y).sum() == pytest.approx(exact, rel=1e-15)


@pytest.mark.parametrize("loss", LOSSES)
def test_matching_pair_is_a_minus_y(loss):
    loss = LOSSES[loss]
    net = vp.Network((2, 3), output=loss.matching_output)
    assert net.loss is loss, "the loss follows the output"
    random = np.random.default_rng(0)
    Z, Y = random.standard_normal((3, 5)), make_targets(random, net, 5)
    A = net.output.function(np, Z)
    assert (loss.dZ(np, net.output, Z, A, Y) == A - Y).all()


@pytest.mark.parametrize(("output", "loss"), PAIRINGS)
def test_derivative_by_complex_step(output, loss):
    net = vp.Network((2, 3), output=output, loss=loss)
    random = np.random.default_rng(1)
    Z, Y, g = random.standard_normal((3, 4)) * 3, make_targets(random, net, 4), net.output
    dZ = net.loss.dZ(np, g, Z, g.function(np, Z), Y)
    for k in range(3):
        moved = Z + 1e-30j * (np.arange(3) == k)[:, None]
        column_losses = net.loss.values(np, g, moved, g.function(np, moved), Y).sum(axis=0)
        np.testing.assert_allclose(dZ[k], column_losses.imag / 1e-30, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("output", "loss"), [p for p in PAIRINGS if p[1] != "squared_error"])
def test_finite_for_extreme_logits(output, loss, backend, dtype):
    net = vp.Network((2, 3), output=output, loss=loss)
    extremes = np.array([0.0, 88.8, -88.8, 710.0, -710.0, 1e4, -1e4, 1e38, -1e38])
    Z = np.stack([extremes, np.zeros_like(extremes), np.roll(extremes, 1)])
    Y = make_targets(np.random.default_rng(2), net, Z.shape[1])
    with np.errstate(over="raise", invalid="raise", divide="raise"), backend.scope(dtype, "highest"):
        Z, Y = on(backend, dtype, Z, Y)
        A = net.output.function(backend.xp, Z)
        L = net.loss.values(backend.xp, net.output, Z, A, Y)
        dZ = net.loss.dZ(backend.xp, net.output, Z, A, Y)
    for value in (L, dZ):
        assert np.isfinite(backend.to_numpy(value)).all()
        assert str(value.dtype).endswith(dtype)


@pytest.mark.parametrize("output", ["tanh", "relu", "identity", "softplus", "elu", "gelu", "silu", "leaky_relu"])
@pytest.mark.parametrize("loss", ["binary_cross_entropy", "cross_entropy"])
def test_cross_entropy_needs_a_probability(output, loss):
    with pytest.raises(ValueError, match=r"loss: .* needs outputs in \(0, 1\).*squared_error"):
        vp.Network((2, 3), output=output, loss=loss)


def test_cross_entropy_of_an_own_output():
    """E25 with a pair of the user's own, which is sigmoid by another name."""
    pair = (lambda Z: 1 / (1 + np.exp(-Z)), lambda Z: np.exp(-Z) / (1 + np.exp(-Z)) ** 2)
    X, Y = np.random.default_rng(0).standard_normal((2, 6)), np.array([[0.0, 1, 1, 0, 1, 0]])
    own, builtin = vp.Network((2, 3, 1), output=pair, loss="binary_cross_entropy"), vp.Network((2, 3, 1))
    params = builtin.init(seed=0, dtype="float64")
    (J, grads), (J_ref, grads_ref) = own.gradients(params, X, Y), builtin.gradients(params, X, Y)
    assert pytest.approx(J_ref, rel=1e-13) == J
    np.testing.assert_allclose(grads[0].W, grads_ref[0].W, rtol=1e-12)


def test_default_loss_of_other_outputs_is_the_squared_error():
    assert get_loss(None, get_activation("relu"), 1).name == "squared_error"
