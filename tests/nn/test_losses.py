"""Losses: values from Z, dZ of the matching and the other pairings (E2, E22-E25)."""

import mpmath
import numpy as np
import pytest

import vecprop as vp
from helpers import PAIRINGS, cases, make_targets, on, refusals
from vecprop.nn.activations import Ordered, get_activation
from vecprop.nn.losses import LOSSES, BinaryCrossEntropy, CrossEntropy, Huber, Quantile, get_loss

OWN_SIGMOID = (lambda Z: 1 / (1 + np.exp(-Z)), lambda Z: np.exp(-Z) / (1 + np.exp(-Z)) ** 2)


@pytest.mark.parametrize("loss", [name for name, loss in LOSSES.items() if loss.matching_output])
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


# A square and e^z themselves overflow.
@pytest.mark.parametrize(("output", "loss"), [p for p in PAIRINGS if p[1] != "squared_error" and p[0] != "exp"])
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
    X, Y = np.random.default_rng(0).standard_normal((2, 6)), np.array([[0.0, 1, 1, 0, 1, 0]])
    own, builtin = vp.Network((2, 3, 1), output=OWN_SIGMOID, loss="binary_cross_entropy"), vp.Network((2, 3, 1))
    params = builtin.init(seed=0, dtype="float64")
    (J, grads), (J_ref, grads_ref) = own.gradients(params, X, Y), builtin.gradients(params, X, Y)
    assert pytest.approx(J_ref, rel=1e-13) == J
    np.testing.assert_allclose(grads[0].W, grads_ref[0].W, rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_classes_with_an_own_output(smoothing):
    """E25 again: -Σ y ln a, and -y/a back through the user's own derivative."""
    g, loss = vp.Network((2, 3), output=OWN_SIGMOID, loss="squared_error").output, CrossEntropy(smoothing)
    Z, Y = np.random.default_rng(0).standard_normal((3, 5)), np.eye(3)[:, [0, 2, 1, 1, 0]]
    A, soft = 1 / (1 + np.exp(-Z)), (1 - smoothing) * Y + smoothing / 3
    np.testing.assert_allclose(loss.values(np, g, Z, A, Y), -soft * np.log(A), rtol=1e-14)
    np.testing.assert_allclose(loss.dZ(np, g, Z, A, Y), -soft * (1 - A), rtol=1e-13)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("shift", [0.0, 50.0, -1000.0])
def test_binary_cross_entropy_of_a_softmax(shift, turned):
    """Each unit's own two-class loss, Σ_k -y_k ln a_k - (1 - y_k) ln(1 - a_k), though the units sum to 1."""
    g, loss = get_activation("softmax"), BinaryCrossEntropy()
    Z = np.array([[3.0, 0.0, -20.0], [0.0, 0.0, 15.0], [-2.0, 0.0, 1.0]])
    Y = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    Y = 1.0 - Y if turned else Y
    L = loss.values(np, g, Z + shift, g.function(np, Z + shift), Y)
    dZ = loss.dZ(np, g, Z + shift, g.function(np, Z + shift), Y)
    for i in range(3):
        with mpmath.workdps(60):
            e = [mpmath.exp(z) for z in Z[:, i]]
            a = [x / sum(e) for x in e]
            y = Y[:, i]
            exact = [-(mpmath.log(a[k]) if y[k] else mpmath.log(1 - a[k])) for k in range(3)]
            dA = [(-1 / a[k] if y[k] else 1 / (1 - a[k])) for k in range(3)]
            back = [a[j] * (dA[j] - sum(d * x for d, x in zip(dA, a, strict=True))) for j in range(3)]
        np.testing.assert_allclose(L[:, i], [float(x) for x in exact], rtol=1e-13)
        np.testing.assert_allclose(dZ[:, i], [float(x) for x in back], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("y", [0.0, 1e-300, 1e-3, 1.0, 7.0])
@pytest.mark.parametrize("z", [-30.0, -1e-9, 0.0, 1e-5, 1.945910149055, 40.0, 100.0])
def test_poisson_against_mpmath(z, y):
    """Half the deviance, to the last digits where the prediction is good too: z near ln 7 with y = 7."""
    g, Z, Y = get_activation("exp"), np.array([[z]]), np.array([[y]])
    with mpmath.workdps(60):
        a, t = mpmath.exp(mpmath.mpf(z)), mpmath.mpf(y)
        exact = (t * mpmath.log(t / a) if y else 0) - t + a
        # u = z - ln y is rounded before it is squared: an error of eps·|z| in u
        error = mpmath.mpf(2.0**-51) * (abs(z) + 1) * abs(a - t) + exact * mpmath.mpf(2.0**-49)
    assert abs(LOSSES["poisson"].values(np, g, Z, g.function(np, Z), Y).item() - exact) <= error


@cases(("squared_error", 3.2), ("absolute_error", 2.0), (Quantile(0.3), 1.0), (Quantile(0.9), 9.0))
def test_best_constant(loss, best):
    """Mean, median and quantiles of 1, 1, 2, 3, 9 minimize their losses."""
    Y = np.array([[1.0, 1.0, 2.0, 3.0, 9.0]])
    loss, g = get_loss(loss, get_activation("identity"), 1), get_activation("identity")
    grid = np.arange(0, 1000) / 100
    costs = [loss.values(np, g, np.full((1, 5), a), np.full((1, 5), a), Y).sum() for a in grid]
    assert grid[int(np.argmin(costs))] == best


def test_quantile_levels_of_several_targets():
    """Two targets of three levels: each output is judged by its own level."""
    loss, g = Quantile((0.1, 0.5, 0.9)), get_activation("identity")
    A, Y = np.zeros((6, 1)), np.repeat([[1.0], [-1.0]], 3, axis=0)
    np.testing.assert_allclose(loss.values(np, g, A, A, Y)[:, 0], [0.1, 0.5, 0.9, 0.9, 0.5, 0.1])
    net = vp.Network((2, 4, 6), output=Ordered(groups=2), loss=loss)
    params = net.init(seed=1, dtype="float64")
    X = np.random.default_rng(0).standard_normal((2, 9))
    report = vp.check_gradients(net, params, X, np.repeat(X, 3, axis=0))
    assert max(report.values()) <= 1e-12
    groups = net.forward(params, X).reshape(2, 3, 9)
    assert (np.diff(groups, axis=1) >= 0).all(), "quantiles do not cross"


@cases((CrossEntropy, "softmax", 0.2 / 4, 1e-15), (BinaryCrossEntropy, "sigmoid", 0.2 / 2, 1e-14))
def test_label_smoothing_is_soft_targets(loss, output, share, rtol):
    """(1 - s) y + s/K, K = 2 for labels 0 and 1, whatever the number of outputs."""
    random = np.random.default_rng(0)
    Z, Y, g = random.standard_normal((4, 6)), np.eye(4)[:, random.integers(0, 4, 6)], get_activation(output)
    A, plain, smooth, soft = g.function(np, Z), loss(), loss(smoothing=0.2), 0.8 * Y + share
    np.testing.assert_allclose(smooth.values(np, g, Z, A, Y), plain.values(np, g, Z, A, soft), rtol=rtol)
    np.testing.assert_allclose(smooth.dZ(np, g, Z, A, Y), A - soft, rtol=rtol)


EXP = vp.Network((1, 1), output="exp")

test_bad_arguments = refusals(
    lambda call: call(),
    (lambda: Quantile(1.0), r"levels must be a finite number in \(0, 1\), got 1.0"),
    (lambda: Quantile((0.5, 0.5)), "increasing sequence"),
    (lambda: Quantile(()), "increasing sequence"),
    (lambda: Quantile(0.0), r"levels must be a finite number in \(0, 1\), got 0.0"),
    (lambda: vp.Network((2, 3), output="identity", loss="poisson"), "needs output='exp'"),
    (lambda: vp.Network((2, 3), output="identity", loss=Quantile((0.2, 0.4))), "multiple of 2, got 3"),
    (
        lambda: vp.Network((2, 1), loss="cross_entropy"),
        "needs one output unit per class.*at least 2, got 1",
    ),
    (
        lambda: EXP.cost(EXP.init(), np.ones((1, 2), "f4"), np.array([[-1.0, 2.0]])),
        "Y must be >= 0 for poisson, got .* -1",
    ),
    error=(ValueError, TypeError),
)


def test_defaults():
    assert Huber() == Huber(1.0)
    assert Quantile() == Quantile(0.5)
    assert Quantile([0.1, 0.9]) == Quantile((0.1, 0.9))
    assert CrossEntropy() == CrossEntropy(smoothing=0.0) and CrossEntropy(smoothing=0).smoothing == 0.0
    assert get_loss(None, get_activation("relu"), 1).name == "squared_error"


@cases(
    ("absolute_error", 1.0, 0.0, -1.0),
    (Huber(0.5), 0.5, 0.0, -0.5),
    (Quantile(0.3), 0.7, -0.3, -0.3),  # at y = a as where y > a
    ("squared_error", 2.0, 0.0, -2.0),
)
def test_derivative_at_a_kink(loss, above, at, below):
    g = get_activation("identity")
    loss = get_loss(loss, g, 1)
    A, Y = np.array([[3.0, 1.0, -1.0]]), np.ones((1, 3))
    assert loss.dZ(np, g, A, A, Y).tolist() == [[above, at, below]]
    numeric = loss.values(np, g, A + 1e-30j, A + 1e-30j, Y).imag / 1e-30
    kink = 1.0 if loss == get_loss("absolute_error", g, 1) else at  # |r| itself is differentiated as r at 0
    np.testing.assert_allclose(numeric, [[above, kink, below]], rtol=1e-15)


@pytest.mark.parametrize(("output", "loss"), PAIRINGS)
def test_a_stack_is_its_members(output, loss):
    net = vp.Network((2, 3), output=output, loss=loss)
    random = np.random.default_rng(3)
    Z, Y, g = random.standard_normal((4, 3, 6)), make_targets(random, net, 6, stack=(4,)), net.output
    A = g.function(np, Z)
    L, dZ = net.loss.values(np, g, Z, A, Y), net.loss.dZ(np, g, Z, A, Y)
    for k in range(4):
        np.testing.assert_allclose(L[k], net.loss.values(np, g, Z[k], A[k], Y[k]), rtol=1e-13)
        np.testing.assert_allclose(dZ[k], net.loss.dZ(np, g, Z[k], A[k], Y[k]), rtol=1e-13, atol=1e-15)


def test_labels_and_class_probabilities():
    """0 and 1 alone, or columns that sum to 1 within 1e-5; the message has the condition that fails."""
    binary, classes = LOSSES["binary_cross_entropy"], LOSSES["cross_entropy"]
    assert binary.valid_targets(np, np.array([[0.0, 1.0]]))
    for wrong in (0.5, -1.0, 2.0):
        assert not binary.valid_targets(np, np.array([[0.0, 1.0, wrong]]))
    assert "got values from -1 to 2" in binary.describe_invalid(np, np.array([[-1.0, 2.0]]))
    good = np.array([[0.0, 0.25], [1.0, 0.75]])
    for off, valid in ((0.0, True), (9e-6, True), (-9e-6, True), (1.5e-5, False), (-1.5e-5, False)):
        assert classes.valid_targets(np, good + np.array([[0.0, off], [0.0, 0.0]])) == valid
    negative = np.array([[1.5, 1.0], [-0.5, 0.0]])
    assert not classes.valid_targets(np, negative)
    assert "got a negative value: -0.5" in classes.describe_invalid(np, negative)
    assert "a column whose sum is off by 0.5" in classes.describe_invalid(np, np.array([[0.0, 0.5], [0.5, 0.5]]))


def test_targets_that_are_not_finite_are_not_valid():
    good = np.array([[0.0, 2.0]])
    for loss in ("poisson", "squared_error"):
        assert LOSSES[loss].valid_targets(np, good)
        for wrong in (np.inf, np.nan):
            assert not LOSSES[loss].valid_targets(np, np.array([[0.0, wrong]]))
    assert not LOSSES["poisson"].valid_targets(np, np.array([[0.0, -1.0]]))
