"""Logits as large as there are, against mpmath, with floating-point errors raised; and runs that diverge."""

import statistics
import time

import mpmath as mp
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import vecprop as vp
from helpers import assert_divergence_told, backend_or_skip, cases, host
from vecprop import losses
from vecprop.nn.activations import Sigmoid, Softmax, log_softmax
from vecprop.training import epochs

pytestmark = pytest.mark.reliability

SIZES = [0.0, 1e-3, 1.0, 20.0, 40.0, 88.8, 710.0, 1e4, 1e38]
LOGITS = sorted({sign * size for size in SIZES for sign in (1, -1)})


@pytest.fixture(params=["numpy", "jax"])
def xp_backend(request):
    return backend_or_skip(request.param)


@pytest.fixture(autouse=True)
def digits():
    with mp.workprec(400):
        yield


def raised():
    """Every floating-point error raised but underflow: to round e^-1e4 to 0 is right."""
    return np.errstate(all="raise", under="ignore")


def softplus(z):
    """ln(1 + e^z) without overflow of the exponent."""
    return mp.log1p(mp.exp(z)) if z <= 0 else z + mp.log1p(mp.exp(-z))


def sigmoid(z):
    return 1 / (1 + mp.exp(-z)) if z >= 0 else mp.exp(z) / (1 + mp.exp(z))


def errors(got, exact, dtype, scale=0):
    """The largest error in units of eps: relative to the exact value, or to `scale` where that is more.

    An error below three times the least normal number is none: there numbers underflow, each of three in a sum, and XLA
    makes 0 of them.
    """
    info = np.finfo(dtype)
    least, worst = mp.mpf(float(info.tiny)), mp.mpf(0)
    for value, want in zip(np.ravel(got).tolist(), exact, strict=True):
        error = abs(mp.mpf(value) - want)
        if error > 3 * least:
            worst = max(worst, error / max(abs(want), mp.mpf(scale)))
    return float(worst) / float(info.eps)


def of_a_loss(backend, dtype, loss, output, Z, Y):
    """(values, dZ) on the host, with errors raised."""
    xp = backend.xp
    with backend.scope(dtype, "highest"), raised():
        z, y = backend.asarray(Z, dtype), backend.asarray(Y, dtype)
        A = output.function(xp, z)
        return host(loss.values(xp, output, z, A, y)), host(loss.dZ(xp, output, z, A, y))


def test_binary_cross_entropy(xp_backend, dtype, figure):
    """Both labels; dZ = A - Y (E22), whose terms are at most 1, is measured against 1."""
    Z = np.array([LOGITS * 2], dtype)
    Y = np.repeat([0.0, 1.0], len(LOGITS))[None].astype(dtype)
    values, dZ = of_a_loss(xp_backend, dtype, losses.BinaryCrossEntropy(), Sigmoid(), Z, Y)
    points = [(mp.mpf(z), y) for z, y in zip(Z[0].tolist(), Y[0].tolist(), strict=True)]
    cost = errors(values, [softplus(-z if y else z) for z, y in points], dtype)
    gradient = errors(dZ, [-sigmoid(-z) if y else sigmoid(z) for z, y in points], dtype, scale=1)
    figure(f"sigmoid and binary cross-entropy, |z| to 1e38, {xp_backend.name}, {dtype}",
           f"cost {cost:.2g} eps of itself, gradient {gradient:.2g} eps of 1", "4 eps")  # fmt: skip
    assert cost <= 4 and gradient <= 4


def log_softmax_of(z):
    """Exactly what follows from the differences z_k - max as they are rounded.

    That rounding is half an eps of the difference, which e^(z_k - max) makes |z_k - max|/2 eps of the result.
    """
    apart = [mp.mpf(float(v)) for v in z - z.max()]
    rest = mp.fsum(mp.exp(v) for k, v in enumerate(apart) if k != int(z.argmax()))
    return [v - mp.log1p(rest) for v in apart]


def test_cross_entropy(xp_backend, dtype, figure, amount):
    """Every class of every triple of logits, of some or of all."""
    some = amount([-1e38, -1e4, -88.8, -20.0, 0.0, 20.0, 710.0, 1e38], LOGITS)
    Z = np.array(np.meshgrid(some, some, some)).reshape(3, -1).astype(dtype)
    if dtype == "float32":  # 1e38 - -1e38 is still a float32, so all differences are
        assert np.isfinite(Z.max() - Z.min())
    exact_log = [log_softmax_of(column) for column in Z.T]
    worst_cost = worst_gradient = 0.0
    for label in range(3):
        Y = np.zeros_like(Z)
        Y[label] = 1
        values, dZ = of_a_loss(xp_backend, dtype, losses.CrossEntropy(), Softmax(), Z, Y)
        exact_cost = [-log[label] for log in exact_log]
        worst_cost = max(worst_cost, errors(values.sum(axis=0), exact_cost, dtype))
        exact_dZ = [mp.exp(log[k]) - (k == label) for k in range(3) for log in exact_log]
        worst_gradient = max(worst_gradient, errors(dZ, exact_dZ, dtype, scale=1))
    figure(f"softmax and cross-entropy, |z| to 1e38, {xp_backend.name}, {dtype}",
           f"{3 * Z.shape[1]} columns: cost {worst_cost:.2g} eps of itself, gradient {worst_gradient:.2g} eps of 1",
           "4 eps")  # fmt: skip
    assert worst_cost <= 4 and worst_gradient <= 4


def test_log_softmax_of_a_complex_stack():
    Z = np.random.default_rng(0).standard_normal((2, 3, 4))
    np.testing.assert_allclose(log_softmax(np, Z + 0j), log_softmax(np, Z), rtol=1e-13)


def test_log_softmax_of_what_is_nearly_certain():
    """The loss of a right and certain answer is e^-40, not 0; equal logits share."""
    assert log_softmax(np, np.array([[40.0], [0.0]])).T.tolist()[0][0] == pytest.approx(-np.exp(-40), rel=1e-15)
    np.testing.assert_allclose(log_softmax(np, np.full((4, 1), 1e38)), np.full((4, 1), -np.log(4)), rtol=1e-15)


@cases(
    ("sigmoid", "binary_cross_entropy"), ("softmax", "cross_entropy"), ("softmax", "binary_cross_entropy"),
    ("sigmoid", "cross_entropy"), ("sigmoid", "squared_error"), ("softmax", "squared_error"),
)  # fmt: skip
def test_whole_networks(output, loss, xp_backend, dtype):
    """Weights scaled so that the logits are that large: cost and gradients stay finite, and J is what mpmath says."""
    net = vp.Network((3, 4, 3), output=output, loss=loss)
    first, last = net.init(seed=1, dtype=dtype)
    X = np.random.default_rng(0).standard_normal((3, 6))
    Y = np.eye(3)[[0, 1, 2, 0, 1, 2]].T.copy()
    for size in (1.0, 88.8, 710.0, 1e4, 1e30):
        params = (first, vp.Layer(last.W * np.asarray(size, dtype), last.b))
        moved = [vp.Layer(*(xp_backend.asarray(a, dtype) for a in layer)) for layer in params]
        with raised():
            J, grads = net.gradients(moved, xp_backend.asarray(X), xp_backend.asarray(Y))
        assert all(np.isfinite(host(a)).all() for layer in grads for a in layer)
        with np.errstate(under="ignore"):
            A1 = np.tanh(first.W.astype(float) @ X.astype(dtype).astype(float))
        Z = [[mp.fsum(mp.mpf(float(w)) * mp.mpf(float(a)) for w, a in zip(row, col, strict=True)) for col in A1.T]
             for row in params[1].W]  # fmt: skip
        if (output, loss) == ("sigmoid", "binary_cross_entropy"):
            exact = mp.fsum(softplus(-Z[k][i] if Y[k, i] else Z[k][i]) for k in range(3) for i in range(6)) / 6
            # a rounding of tanh or of the product moves Z, and J with it, by some eps of the largest |z|
            slack = 16 * float(np.finfo(dtype).eps) * max(abs(float(v)) for row in Z for v in row)
            assert abs(float(J) - float(exact)) <= slack + 16 * float(np.finfo(dtype).eps) * float(exact)
        assert np.isfinite(float(J))


def problem(m=64):
    X = np.random.default_rng(0).standard_normal((2, m))
    return vp.Network((2, 4, 1), hidden="relu", output="identity"), X, X[:1] * X[1:]


def diverged(net, X, Y, **settings):
    """The error of a run that diverges."""
    with pytest.raises(vp.DivergenceError) as caught:
        vp.fit(net, X, Y, **settings)
    return caught.value


def test_the_largest_gradient_is_that_of_the_step_before():
    """One batch an epoch: the norm in the error is the largest in the history's last entry."""
    error = diverged(*problem(), optimizer=vp.GradientDescent(5.0), epochs=60)
    assert error.gradient_norm == pytest.approx(max(error.history["gradient_norm"][-1]))


def test_nan_that_comes_late():
    """Data that a callback spoils after three epochs: found in the fourth, whose number is in the error."""
    net, X, Y = problem()

    def spoil(state, _):
        if state.epoch == 3:
            X[0, 5] = np.nan

    error = diverged(net, X, Y, dtype="float64", epochs=10, callbacks=spoil)
    assert error.epoch == 4
    assert_divergence_told(error)


def test_lbfgs_from_what_is_not_finite():
    net, X, Y = problem()
    params = [vp.Layer(layer.W * 1e200, layer.b) for layer in net.init(dtype="float64")]
    error = diverged(net, X, Y, optimizer=vp.LBFGS(), params=params)
    assert "initial parameters" in str(error) and not np.isfinite(error.gradient_norm)
    error = diverged(net, X * 1e120, Y, optimizer=vp.LBFGS(), dtype="float64")  # the gradient's square overflows
    assert "the cost after 0 iterations is nan" in str(error) and np.isfinite(error.params[0].W).all()


@pytest.mark.alone
@cases(((2, 4, 1), 2000, 32, 20), ((784, 128, 10), 2048, 128, 2))
def test_the_watch_costs_little(sizes, m, batch_size, count, monkeypatch, figure, amount):
    """With and without it in turn, in one process: the quickest quarter of each, since noise only ever adds."""
    if sizes[0] > 2 and amount(True, False):
        pytest.skip("with --long: it needs a machine at rest")
    net = vp.Network(sizes, output="softmax" if sizes[-1] > 1 else "sigmoid")
    random = np.random.default_rng(0)
    X = random.standard_normal((sizes[0], m)).astype("float32")
    labels = random.integers(0, max(sizes[-1], 2), m)
    Y = np.eye(sizes[-1])[labels].T.astype("float32") if sizes[-1] > 1 else labels[None].astype("float32")
    watch = epochs._finite

    def seconds(watched):
        monkeypatch.setattr(epochs, "_finite", watch if watched else lambda xp, *_: xp.asarray(True))
        begin = time.process_time()  # what other processes take does not count
        vp.fit(net, X, Y, optimizer=vp.Adam(1e-4), epochs=count, batch_size=batch_size, seed=0)
        return time.process_time() - begin

    seconds(True), seconds(False)
    times = {True: [], False: []}
    with threadpool_limits(1):  # threads that wait for one another would be counted, too
        for _ in range(5):  # more of them where the noise leaves it open
            for k in range(amount(24, 80)):
                for watched in (k % 2 == 0, k % 2 == 1):  # turn about which comes first
                    times[watched].append(seconds(watched))
            quickest = {w: statistics.fmean(sorted(found)[: len(found) // 4]) for w, found in times.items()}
            ratio = quickest[True] / quickest[False]
            if ratio <= 1.01:
                break
    figure(f"the watch for divergence, {'-'.join(map(str, sizes))}, batches of {batch_size}",
           f"{100 * (ratio - 1):+.2f} % of the time", "at most 1 %")  # fmt: skip
    assert ratio <= 1.01
