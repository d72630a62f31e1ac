"""The gradient, against every oracle: complex step, central differences, automatic differentiation, scikit-learn."""

import tracemalloc

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

import vecprop as vp
from helpers import (
    ELEMENTWISE,
    PAIRINGS,
    assert_close,
    assert_grads_close,
    assert_near,
    assert_pass_close,
    host,
    make_problem,
    on,
    round_to,
    stepped,
)
from vecprop.nn.activations import LeakyReLU

DEPTHS = [(3, 2), (3, 4, 2), (3, 4, 5, 2), (2, 3, 4, 3, 2)]
GRID = [
    *((sizes, "tanh", output, loss) for sizes in DEPTHS for output, loss in PAIRINGS),
    *((sizes, hidden, "softmax", "cross_entropy") for sizes in DEPTHS[1:] for hidden in ELEMENTWISE),
    ((3, 4, 3, 2), ["softmax", "relu"], "sigmoid", "binary_cross_entropy"),
    ((3, 4, 3, 2), ["gelu", LeakyReLU(0.3)], "identity", "squared_error"),
    ((3, 1), [], "sigmoid", "binary_cross_entropy"),
]


@pytest.mark.parametrize("l2", [0.0, 0.7])
@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize(("sizes", "hidden", "output", "loss"), GRID)
def test_against_complex_step(sizes, hidden, output, loss, weights, l2):
    net = vp.Network(sizes, hidden=hidden, output=output, loss=loss)
    params, X, Y, w = make_problem(net, m=6, seed=len(sizes), weights=weights)
    report = vp.check_gradients(net, params, X, Y, sample_weight=w, l2=l2)
    assert report.method == "complex" and max(report.values()) <= 1e-12, report


@pytest.mark.parametrize(("sizes", "hidden", "output", "loss"), GRID[::5])
def test_against_central_differences(sizes, hidden, output, loss):
    net = vp.Network(sizes, hidden=hidden, output=output, loss=loss)
    params, X, Y, w = make_problem(net, m=6, weights=True)
    report = vp.check_gradients(net, params, X, Y, sample_weight=w, l2=0.3, method="central")
    assert report.method == "central" and max(report.values()) <= 1e-7, report


@pytest.mark.parametrize(
    ("sizes", "hidden", "output", "loss", "dtype"),
    [(*g, "float64") for g in GRID] + [(*g, "float32") for g in GRID[::7]],
)
def test_against_jax_grad(sizes, hidden, output, loss, dtype, jax_backend):
    """Automatic differentiation of our cost; at no kink, where JAX's derivative of ReLU is another."""
    import jax

    net = vp.Network(sizes, hidden=hidden, output=output, loss=loss)
    params, X, Y, w = make_problem(net, m=7, weights=True)
    params, X, Y, w = on(jax_backend, dtype, params, X, Y, w)

    def both(params, X, Y, w):
        automatic = jax.value_and_grad(lambda p: vp.propagation.cost(net, p, X, Y, w, 0.3))(params)
        return vp.propagation.gradients(net, params, X, Y, w, 0.3), automatic

    quickly = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    with jax_backend.scope(dtype, "highest"):
        assert_pass_close(*jax.jit(both, compiler_options=quickly)(params, X, Y, w), xp=jax_backend.xp)


@pytest.mark.parametrize("seed", range(16))
def test_backends_agree(seed, backend, dtype):
    """Every backend against NumPy in float64, from the same rounded input; m = 1 and 2 among the sizes."""
    random = np.random.default_rng(seed)
    m = [1, 2, 7, 33][seed % 4]
    sizes = tuple(int(n) for n in random.integers(2, 12, int(random.integers(2, 6))))
    output, loss = PAIRINGS[seed % len(PAIRINGS)]
    hidden = [ELEMENTWISE[int(i)] for i in random.integers(0, len(ELEMENTWISE), len(sizes) - 2)]
    net = vp.Network(sizes, hidden=hidden, output=output, loss=loss)
    params, X, Y, w = round_to(dtype, *make_problem(net, m, seed, weights=True))
    J, grads = net.gradients(params, X, Y, sample_weight=w, l2=0.1)
    A = net.forward(params, X)
    params_b, X_b, Y_b, w_b = on(backend, dtype, params, X, Y, w)
    J_b, grads_b = net.gradients(params_b, X_b, Y_b, sample_weight=w_b, l2=0.1)
    assert_close(net.forward(params_b, X_b), A, xp=backend.xp)
    assert_close(J_b, J)
    assert_close(net.cost(params_b, X_b, Y_b, sample_weight=w_b, l2=0.1), J)
    assert_grads_close(grads_b, grads, xp=backend.xp)


@pytest.mark.parametrize(("output", "loss"), PAIRINGS[:4])
def test_sample_weight_is_repetition(output, loss, backend):
    """An integer weight is that many copies of the column, weight 0 an absent one (E10)."""
    net = vp.Network((3, 4, 2), output=output, loss=loss)
    params, X, Y, _ = make_problem(net, 6)
    w = np.array([1.0, 3, 0, 2, 1, 0])
    times = w.astype(int)
    repeated = (np.repeat(X, times, axis=1), np.repeat(Y, times, axis=1))
    expected = net.gradients(*on(backend, "float64", params, *repeated), l2=0.2)
    params, X, Y, w = on(backend, "float64", params, X, Y, w)
    assert_pass_close(net.gradients(params, X, Y, sample_weight=w, l2=0.2), expected)


@pytest.mark.parametrize("block_size", [1, 7, 40, 41, 1000])
def test_blocked_equals_unblocked(block_size, backend):
    net = vp.Network((3, 4, 2), output="softmax")
    params, X, Y, w = make_problem(net, 41, weights=True)
    expected = net.gradients(params, X, Y, sample_weight=w, l2=0.2)
    params, X, Y, w = on(backend, "float64", params, X, Y, w)
    found = net.gradients(params, X, Y, sample_weight=w, l2=0.2, block_size=block_size)
    assert_pass_close(found, expected, xp=backend.xp)


@pytest.mark.parametrize("m", [5, 10, 17])
def test_forward_in_blocks(m, backend, monkeypatch):
    """A wide X goes forward in blocks where that is faster (JAX on a CPU): nothing else may change."""
    net = vp.Network((3, 4, 2), output="softmax")
    params, X, Y, w = make_problem(net, m, weights=True)
    A, J = net.forward(params, X), net.cost(params, X, Y, sample_weight=w, l2=0.2)
    params, X, Y, w = on(backend, "float64", params, X, Y, w)
    monkeypatch.setattr(backend.memory, "widest_pass", 5)
    assert_close(net.forward(params, X), A, xp=backend.xp)
    assert_close(net.cost(params, X, Y, sample_weight=w, l2=0.2), J)
    stack = net.init(seed=[1, 2], dtype="float64", backend=backend)
    blocked = host(net.forward(stack, X))
    monkeypatch.setattr(backend.memory, "widest_pass", None)
    assert_close(blocked, host(net.forward(stack, X)))


def stacked(layers):
    return tuple(vp.Layer(*map(np.stack, zip(*alike, strict=True))) for alike in zip(*layers, strict=True))


def member(layers, k):
    return tuple(vp.Layer(W[k, ...], b[k, ...]) for W, b in layers)


@pytest.mark.parametrize(("own_data", "weights"), [(False, True), (True, True), (True, False)])
@pytest.mark.parametrize(("output", "loss"), PAIRINGS[:3])
def test_stacked_equals_one_by_one(output, loss, own_data, weights, backend, dtype):
    """K networks in one pass, with shared data and with data of their own, sample weights and L2 included.

    Without weights each network divides by the number of its examples, which is not that of its features.
    """
    net, K = vp.Network((3, 4, 5, 2), output=output, loss=loss), 4
    singles = [round_to(dtype, *make_problem(net, 9, seed=k, weights=weights)) for k in range(K)]
    data = [s[1:] if own_data else singles[0][1:] for s in singles]
    expected = [
        net.gradients(p, X, Y, sample_weight=w, l2=0.2) for (p, *_), (X, Y, w) in zip(singles, data, strict=True)
    ]
    X, Y, w = (None if a[0] is None else np.stack(a) for a in zip(*data, strict=True)) if own_data else data[0]
    stack, X, Y, w = on(backend, dtype, stacked([s[0] for s in singles]), X, Y, w)
    J, grads = net.gradients(stack, X, Y, sample_weight=w, l2=0.2)
    assert_close(J, np.array([e[0] for e in expected]), xp=backend.xp)
    for k in range(K):
        assert_grads_close(member(grads, k), expected[k][1], xp=backend.xp)


def test_a_batch_is_penalised_by_the_whole_training_set():
    """m divides the sum over the batch, m_l2 the penalty (E32), for one network and for a stack with two of each."""
    net = vp.Network((3, 4, 2))
    params, X, Y, w = make_problem(net, 6, weights=True)
    J, grads = vp.propagation.gradients(net, params, X, Y, w, None, 5.0)
    J_l2, grads_l2 = vp.propagation.gradients(net, params, X, Y, w, 0.6, 5.0, 40.0)
    assert_close(J, vp.propagation.cost(net, params, X, Y, w) * w.sum() / 5)
    assert_close(J_l2, J + 0.6 / 80 * sum((W**2).sum() for W, _ in params))
    assert_grads_close(
        grads_l2, [vp.Layer(dW + 0.6 / 40 * W, db) for (dW, db), (W, _) in zip(grads, params, strict=True)]
    )
    m, m_l2 = np.array([5.0, 10.0]), np.array([40.0, 20.0])
    J_s, grads_s = vp.propagation.gradients(net, stacked([params, params]), X, Y, w, 0.6, m, m_l2)
    for k in range(2):
        expected = vp.propagation.gradients(net, params, X, Y, w, 0.6, float(m[k]), float(m_l2[k]))
        assert_pass_close((J_s[k], member(grads_s, k)), expected)


def test_wrong_by_one_percent_fails_the_helper():
    """The comparison the other tests rely on raises at a gradient wrong by 1 %, and at a NaN."""
    net = vp.Network((3, 4, 2))
    params, X, Y, _ = make_problem(net, 8)
    _, grads = net.gradients(params, X, Y)
    assert_grads_close(grads, grads)
    wrong = (grads[0], vp.Layer(grads[1].W, grads[1].b * 1.01))
    with pytest.raises(AssertionError, match="norm-wise"):
        assert_grads_close(wrong, grads)
    with pytest.raises(AssertionError, match="finite"):
        assert_close(np.full_like(X, np.nan), X)
    with pytest.raises(AssertionError, match="shape"):
        assert_close(X[:, :1], X)


@pytest.mark.parametrize("activation", ["tanh", "logistic", "identity"])
def test_one_step_of_scikit_learn(activation):
    """One gradient-descent step of sklearn's MLPClassifier from its own parameters (no L2, no momentum)."""
    random = np.random.default_rng(0)
    rows, labels = random.standard_normal((30, 4)), random.integers(0, 3, 30)

    def model(steps):
        return MLPClassifier(
            (5,), activation=activation, solver="sgd", alpha=0, batch_size=30, learning_rate_init=0.1, momentum=0,
            max_iter=steps, random_state=0, shuffle=False, tol=0, n_iter_no_change=1000,
        )  # fmt: skip

    with pytest.warns(Warning, match="Maximum iterations"):
        before, after = model(1).fit(rows, labels), model(2).fit(rows, labels)
    net = vp.Network((4, 5, 3), hidden="sigmoid" if activation == "logistic" else activation, output="softmax")
    params = tuple(vp.Layer(W.T, b[:, None]) for W, b in zip(before.coefs_, before.intercepts_, strict=True))
    _, grads = net.gradients(params, rows.T, np.eye(3)[labels].T)
    theirs = [(W.T, b[:, None]) for W, b in zip(after.coefs_, after.intercepts_, strict=True)]
    assert_near(stepped(params, grads, 0.1), theirs, rtol=1e-12, atol=1e-14)


def test_gradient_inside_the_users_own_jax_transformations(jax_backend):
    """`net` goes into jit, grad and vmap: values cannot be looked at there, shapes still are."""
    import jax

    net = vp.Network((3, 4, 2))
    params, X, Y, _ = on(jax_backend, "float32", *make_problem(net, 8))
    expected = net.gradients(params, X, Y)
    assert_pass_close(jax.jit(lambda p, X, Y: net.gradients(p, X, Y))(params, X, Y), expected)
    assert_grads_close(jax.grad(net.cost)(params, X, Y), expected[1])
    whole, w = Y.astype(int), jax.numpy.ones(8)  # closed over: concrete, but not what follows from them
    assert_pass_close(jax.jit(lambda p: net.gradients(p, X, whole, sample_weight=w))(params), expected)
    assert_close(jax.jit(lambda p: net.forward(p, X))(params), host(net.forward(params, X)))
    with pytest.raises(ValueError, match="these seem to be labels"):
        jax.jit(lambda p: vp.Network((3, 4, 2), output="softmax").cost(p, X, whole[0]))(params)
    with pytest.raises(ValueError, match="rows"):
        jax.jit(net.forward)(params, X.T)
    columns = jax.vmap(lambda x: net.forward(params, x[:, None])[:, 0], in_axes=1, out_axes=1)(X)
    assert_close(columns, host(net.forward(params, X)))


def test_memory_of_a_gradient_does_not_grow_with_the_examples():
    """block_size="auto": what is allocated beyond the data is the blocks' (the largest activation alone is 100 MB)."""
    net, peaks = vp.Network((16, 64, 1)), []
    params = net.init()
    for m in (100_000, 400_000):
        X, Y = np.ones((16, m), dtype="float32"), np.zeros((1, m), dtype="float32")
        net.gradients(params, X, Y)
        tracemalloc.start()
        net.gradients(params, X, Y)
        left, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        peaks.append(peak)
        assert left < 2**20
    assert peaks[1] < 1.5 * peaks[0]
    assert peaks[1] < 2**24


@pytest.mark.parametrize("place", [0, 65_536, 149_999])
def test_a_wrong_target_among_many_is_found(place):
    net = vp.Network((1, 1))
    X, Y = np.ones((1, 150_000)), np.zeros((1, 150_000))
    params = net.init(dtype="float64")
    net.gradients(params, X, Y)
    Y[0, place] = 0.5
    with pytest.raises(ValueError, match="labels 0 and 1"):
        net.gradients(params, X, Y)
    Y[0, place] = np.nan
    with pytest.raises(ValueError, match="Y must be finite"):
        net.gradients(params, X, Y)
