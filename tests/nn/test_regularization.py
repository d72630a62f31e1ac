"""Dropout (E33), batch normalization (E34), penalties (E32), input scaling (E35): gradients and what they mean."""

import math

import array_api_compat.numpy as xp
import numpy as np
import pytest

import vecprop as vp
from helpers import PLAIN, assert_grads_close, assert_near, assert_same, cases, host, make_problem
from vecprop import activations, losses
from vecprop.nn import batch_norm, dropout, input_scaling
from vecprop.nn.weight_penalties import Penalties
from vecprop.training import epochs, training_pass
from vecprop.utils.random_streams import DROPOUT

# Known answers of Threefry-2x32-20, from the generator's authors: counter, key, result.
THREEFRY = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


def words(*values):
    """Numbers as arrays of one word."""
    return [np.array([value], dtype=np.uint32) for value in values]


@pytest.mark.parametrize(("counter", "key", "expected"), THREEFRY)
def test_threefry_gives_the_published_answers(counter, key, expected):
    result = dropout.threefry(*words(*key, *counter))
    assert [int(word[0]) for word in result] == list(expected)


def test_masks_are_the_same_on_every_backend_and_in_blocks(backend):
    key = dropout.step_keys(7, 3, 10, 2)[1, 2]
    columns = np.arange(50, dtype=np.uint32)
    expected = dropout.mask(xp, key, 13, columns, 0.3, xp.float64)
    with backend.scope("float64", "highest"):
        given = backend.asarray(key), backend.asarray(columns)
        D = host(dropout.mask(backend.xp, given[0], 13, given[1], 0.3, backend.xp.float64))
        block = host(dropout.mask(backend.xp, given[0], 13, given[1][20:], 0.3, backend.xp.float64))
    np.testing.assert_array_equal(D, expected)
    np.testing.assert_array_equal(block, expected[:, 20:])


def odd_hash(x):
    """The word of a counter, in Python's integers."""
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        x = (x ^ x >> shift) * factor % 2**32
    return (x ^ x >> 15) | 1


@pytest.mark.parametrize("n", [1, 4, 5, 11])
@pytest.mark.parametrize(("seed", "step", "layer"), [(0, 0, 0), (3, 7, 1), (2**63 + 5, 2**33 + 1, 2)])
def test_masks_are_what_they_always_were(seed, step, layer, n):
    """A run that goes on from a checkpoint needs the masks of before: keys, words and draws, written out again."""
    key = dropout.step_keys(seed, 3, step - step % 2, 2)[step % 2, layer]
    layers_key = dropout.threefry(*words(seed % 2**32, seed // 2**32, layer, DROPOUT))
    expected = dropout.threefry(*layers_key, *words(step % 2**32, step // 2**32))
    key0, key1 = key.tolist()
    assert [key0, key1] == [int(expected[0][0]) | 1, int(expected[1][0])]
    assert dropout.MASKS == 2, "masks drawn in another way need another number, by which checkpoints know them"
    columns = np.array([0, 1, 5, 2**20 + 12_345], dtype=np.uint32)
    D = dropout.mask(xp, key, n, columns, 0.3, xp.float64)
    for unit in range(n):
        for place, column in enumerate(columns.tolist()):
            word = odd_hash(unit) * odd_hash(column + 2**30)
            draw = ((word ^ key1) * key0) % 2**32
            assert D[unit, place] == (65536 / 45875 if draw < 45875 * 65536 else 0)


def test_the_last_draw_that_keeps_an_entry():
    """With the keys 1 and 0 the draw is the word itself; half of all words keep."""
    words = xp.asarray([2**31 - 1, 2**31], dtype=xp.uint32)
    keys = (xp.asarray(key, dtype=xp.uint32) for key in (1, 0))
    assert [float(d) for d in dropout.Kept(xp, 0.5, xp.float64)(*keys, words)] == [2.0, 0.0]


def test_masks_by_network_are_those_of_each_share():
    keys, columns = (
        np.stack([dropout.step_keys(seed, 1, 0, 1)[0, 0] for seed in range(3)]),
        np.arange(50, dtype=np.uint32),
    )
    kept = np.array([1.0, dropout.kept_share(0.3), 0.5])
    none_dropped, *others = dropout.mask(xp, keys, 13, columns, kept, xp.float64)
    assert (none_dropped == 1).all()
    for D, key, rate in zip(others, keys[1:], (0.3, 0.5), strict=True):
        np.testing.assert_array_equal(D, dropout.mask(xp, key, 13, columns, rate, xp.float64))


def test_a_draw_is_compared_with_all_its_bits():
    """A threshold that is odd, and enough draws that some are equal to it."""
    key, columns = dropout.step_keys(3, 1, 0, 1)[0, 0], np.arange(100_000, dtype=np.uint32)
    threshold = 40_001
    D = dropout.mask(np, key, 4, columns, 1 - threshold / 65_536, np.float64)
    word = dropout.Word(np)(np.arange(4, dtype=np.uint32)[:, None], columns)
    draws = ((word ^ key[1]) * key[0]) // 65_536
    assert (draws == threshold).any() and (draws == threshold - 1).any()
    np.testing.assert_array_equal(D > 0, draws < threshold)


def test_which_stages_are_the_same():
    """A pass with its arrays is equal to itself alone; a kernel is made once for activations that compute the same."""
    tanh, relu = activations.Tanh(), activations.ReLU()
    stage = training_pass.Stage(tanh)
    assert stage == stage and stage != training_pass.Stage(tanh)
    fused = training_pass.Fused(tanh, len)
    assert fused == training_pass.Fused(activations.Tanh(), max) and fused not in (training_pass.Fused(relu, len), tanh)
    loss, again = (training_pass.FusedLoss(losses.Huber(2.0), fuse) for fuse in (len, max))
    assert loss == again and hash(loss) == hash(again)
    assert loss not in (training_pass.FusedLoss(losses.Huber(1.0), len), losses.Huber(2.0))


class Fusing(vp.Backend):
    """A backend that makes kernels of elementwise functions; here they stay what they are, and are counted."""

    fuses = True

    def fuse(self, function):
        self.fused.add(type(function).__name__ + "." + getattr(function, "method", ""))
        return function


@pytest.mark.parametrize("output", ["sigmoid", "softmax", "identity"])
def test_a_backend_that_fuses_trains_the_same(output):
    """Bit for bit; a loss over outputs that depend on one another is left as it is."""
    net = vp.Network((3, 5, 2), hidden="gelu", output=output)
    params, X, Y, _ = make_problem(net, m=12)
    fusing = Fusing(xp, "fusing")
    fusing.fused = set()
    given = {"optimizer": vp.Adam(0.01), "epochs": 2, "batch_size": 5, "dropout": 0.2, "params": params}
    plain, fused = (vp.fit(net, X, Y, backend=backend, **given) for backend in (PLAIN, fusing))
    assert_same(plain.params, fused.params)
    methods = {name.removeprefix("BoundMethod.") for name in fusing.fused}
    assert {"Kept.", "_correction", "rule", "function", "backward"} <= methods
    assert ({"values", "dZ"} <= methods) == (output != "softmax")


def test_words_of_64_bits_give_the_same_masks():
    """PyTorch computes in int64, where sums and shifts are cut to 32 bits."""
    key, columns = dropout.step_keys(7, 3, 10, 2)[1, 2], np.arange(50, dtype=np.uint32)
    wide = dropout.mask(xp, key.astype(np.int64), 13, columns.astype(np.int64), 0.3, xp.float64)
    np.testing.assert_array_equal(wide, dropout.mask(xp, key, 13, columns, 0.3, xp.float64))


@cases((0.0, 65535), (0.5, 32768), (0.3, 45875), (1e-9, 65535), (1 - 2**-16, 1), (1 - 1e-9, 1), (0.75, 16384))
def test_the_share_that_is_kept_has_16_bits(rate, share):
    assert dropout.kept_share(rate) == share / 65536


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_masks_drop_the_share_that_was_asked_for(rate):
    keys = dropout.step_keys(1, 2, 0, 4)
    D = [dropout.mask(np, key, 64, np.arange(500, dtype=np.uint32), rate, np.float64) for step in keys for key in step]
    assert np.mean(np.array(D) == 0) == pytest.approx(rate, abs=0.005)
    assert np.mean(D) == pytest.approx(1.0, abs=0.01)  # inverted: the expected activation is that without dropout
    kept = np.array([d.ravel() > 0 for d in D], dtype=float)
    correlation = np.corrcoef(kept) - np.eye(len(D))
    assert np.abs(correlation).max() < 0.03, "masks of different steps and layers are independent"
    rows = np.corrcoef(kept.reshape(len(D), 64, 500).transpose(1, 0, 2).reshape(64, -1)) - np.eye(64)
    assert np.abs(rows).max() < 0.1, "and so are units"


def make_run(net, m, rate, normalized):
    hidden = len(net.hidden)
    return epochs.Run(
        PLAIN, net, vp.GradientDescent(), m, m, None, None, (normalized,) * hidden, (rate,) * hidden, None
    )


def trained_parameters(net, params, normalized, random):
    scales = [batch_norm.Scale(random.uniform(0.5, 2, (n, 1)), random.standard_normal((n, 1))) for n in net.sizes[1:-1]]
    return (*params, *(scales if normalized else ()))


@pytest.mark.parametrize("hidden", ["tanh", "relu", "gelu"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("rate", "normalized"), [(0.4, False), (0.0, True), (0.4, True)])
def test_gradients_against_a_complex_step(hidden, weighted, rate, normalized):
    """Every W, b, γ and β: the derivative of the cost of the same masks and the batch's own statistics, to 1e-12."""
    net = vp.Network((3, 6, 5, 2), hidden=hidden, output="softmax")
    params, X, Y, w = make_problem(net, 9, weights=weighted)
    run = make_run(net, 9, rate, normalized)
    tree = trained_parameters(net, params, normalized, np.random.default_rng(1))
    inputs = (np.asarray(0.1), dropout.step_keys(3, 2, 0, 1)[0])
    m = 9.0 if w is None else w.sum()
    _, grads, _ = epochs._batch_gradients(run, tree, (X, Y, w), inputs, m)
    for i, part in enumerate(tree):
        for j, array in enumerate(part):
            numeric = np.empty(array.shape)
            for place in np.ndindex(array.shape):
                moved = array.astype(complex)
                moved[place] += 1e-30j
                changed = [[a.astype(complex) for a in other] for other in tree]
                changed[i][j] = moved
                rebuilt = tuple(type(p)(*leaves) for p, leaves in zip(tree, changed, strict=True))
                numeric[place] = epochs._batch_gradients(run, rebuilt, (X, Y, w), inputs, m)[0].imag / 1e-30
            scale = np.linalg.norm(numeric) + 1e-3
            assert np.linalg.norm(numeric - grads[i][j]) / scale < 1e-12, (i, part._fields[j])


def test_batch_norm_against_torch():
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    Z, dU = random.standard_normal((2, 4, 7))
    gamma, beta = random.standard_normal((2, 4, 1))
    norm = batch_norm.BatchNorm(batch_norm.Scale(gamma, beta), None, 7.0)
    U = norm.forward(xp, Z)
    dZ = norm.backward(xp, dU)
    layer = torch.nn.BatchNorm1d(4, dtype=torch.float64)
    layer.weight.data, layer.bias.data = torch.tensor(gamma[:, 0]), torch.tensor(beta[:, 0])
    rows = torch.tensor(Z.T, requires_grad=True)
    out = layer(rows)
    out.backward(torch.tensor(dU.T))
    np.testing.assert_allclose(U, out.detach().numpy().T, rtol=1e-12)
    np.testing.assert_allclose(dZ, rows.grad.numpy().T, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(norm.grads.gamma[:, 0], layer.weight.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(norm.grads.beta[:, 0], layer.bias.grad.numpy(), rtol=1e-12)


def test_integer_weights_are_copies_for_batch_norm_too():
    net = vp.Network((3, 5, 1))
    params, X, Y, _ = make_problem(net, 8)
    counts = np.array([1, 2, 0, 1, 3, 1, 0, 1])
    tree = trained_parameters(net, params, True, np.random.default_rng(1))
    inputs = (np.asarray(0.1),)
    run = make_run(net, 8, 0.0, True)
    J, grads, norms = epochs._batch_gradients(run, tree, (X, Y, counts.astype(float)), inputs, float(counts.sum()))
    repeated = [np.repeat(a, counts, axis=1) for a in (X, Y)]
    J_copies, copies, others = epochs._batch_gradients(run, tree, (*repeated, None), inputs, float(counts.sum()))
    assert pytest.approx(J_copies, rel=1e-13) == J
    assert_near(grads, copies, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(norms[0].variance, others[0].variance, rtol=1e-12)


def test_folded_batch_norm_predicts_as_the_running_statistics_do(backend):
    """result.params are plain layers; they predict what γ (Z - μ)/σ + β by the running statistics predicts."""
    net = vp.Network((4, 6, 5, 3), hidden="relu", output="softmax")
    _, X, Y, _ = make_problem(net, 60)
    result = vp.fit(net, X, Y, epochs=3, batch_size=16, batch_norm=(True, False), dtype="float64", backend=backend)
    layers = [tuple(host(a) for a in layer) for layer in result.state.params[:3]]
    gamma, beta = (host(a) for a in result.state.params[3])
    mean, variance, count = (host(a) for a in result.state.statistics[0])
    assert count == 3 * 4
    Z = layers[0][0] @ X + layers[0][1]
    A = np.maximum(gamma * (Z - mean) / np.sqrt(variance + batch_norm.EPSILON) + beta, 0)
    A = np.maximum(layers[1][0] @ A + layers[1][1], 0)
    Z = layers[2][0] @ A + layers[2][1]
    expected = np.exp(Z) / np.exp(Z).sum(axis=0)
    np.testing.assert_allclose(result.forward(X), expected, rtol=1e-11)
    assert not host(result.state.params[0].b).any(), "the bias before a normalization has no effect and no gradient"


def test_running_statistics_are_the_mean_of_the_batches_and_forget_after_ten():
    one = np.ones((1, 1))
    seen, mean, variance = batch_norm.Statistics(0 * one, one, 0 * one), 0.0, 1.0
    for t in range(1, 16):
        norm = batch_norm.BatchNorm(batch_norm.Scale(one, 0 * one), None, 2.0)
        norm.mean, norm.variance = t**2 * one, t * one
        seen = batch_norm.update_statistics(np, seen, norm)
        rate = max(0.1, 1 / t)
        mean, variance = (1 - rate) * mean + rate * t**2, (1 - rate) * variance + rate * t
        assert seen.count == t
        if t == 3:
            assert seen.mean == pytest.approx((1 + 4 + 9) / 3) and seen.variance == pytest.approx(2.0)
    assert seen.mean.item() == pytest.approx(mean, rel=1e-14)
    assert seen.variance.item() == pytest.approx(variance, rel=1e-14)


def test_batch_norm_starts_as_no_more_than_a_normalization():
    """γ = 1, β = 0, and ε = 1e-5 under the root."""
    layer = vp.Layer(np.ones((2, 3, 4)), np.full((2, 3, 1), 7.0))
    scale, seen = batch_norm.initial(np, layer)
    assert (scale.gamma == 1).all() and (scale.beta == 0).all() and scale.gamma.shape == scale.beta.shape == (2, 3, 1)
    assert (seen.mean == 0).all() and (seen.variance == 1).all() and seen.mean.shape == seen.variance.shape == (2, 3, 1)
    assert seen.count.tolist() == [[[0.0]], [[0.0]]]
    one = np.ones((1, 1))
    U = batch_norm.BatchNorm(batch_norm.Scale(one, 0 * one), None, 2.0).forward(np, np.array([[1.0, 3.0]]))
    np.testing.assert_allclose(U, [[-1 / math.sqrt(1.00001), 1 / math.sqrt(1.00001)]], rtol=1e-15)


@pytest.mark.parametrize("row", [[-1e30, 0.0, 1.0], [-1.0, 0.0, 1e30], [-1e-30, 0.0, 1e-32], [0.0, 0.0, 0.0]])
def test_float32_holds_the_moments_of_features_of_any_size(row):
    X, exact = np.array([row], np.float32), max(np.std(row), float(not any(row)))
    found = input_scaling.moments(np, X, None)
    for moments in (found, found.add(np, found)):
        assert np.isfinite(moments.variance).all() and moments.variance.any() == any(row)
        assert float(moments.scale(np).deviation[0, 0]) == pytest.approx(exact, rel=1e-6)


@cases(
    ([1.0, 3.0], None, 2.0, 1.0),
    ([1.0, 3.0, 3.0, 1.0], None, 2.0, 1.0),
    ([1.0, 3.0], [3.0, 1.0], 1.5, 0.75),
    ([1.0, 3.0, 50.0], [3.0, 1.0, 0.0], 1.5, 0.75),
    ([0.1, 0.1, 0.1], None, 0.1, 1.0),  # constant: exactly, with no rounded mean
    ([0.1, 0.1, 0.1], [1.0, 5.0, 0.3], 0.1, 1.0),
    ([5.0, 5.0, 7.0], [1.0, 2.0, 0.0], 5.0, 1.0),  # constant where it counts
    ([5.0, 5.0, 3.0], [1.0, 2.0, 0.0], 5.0, 1.0),
    ([-2.0, -4.0, -4.0], [2.0, 1.0, 1.0], -3.0, 1.0),
)
def test_input_scale_on_paper(row, w, mean, variance):
    X = np.array([row, [10 * x for x in row]])
    scale = input_scaling.input_scale(np, X, None if w is None else np.array(w))
    constant = len({x for x, times in zip(row, w or [1] * len(row), strict=True) if times}) == 1
    assert scale.mean.shape == scale.deviation.shape == (2, 1)
    np.testing.assert_allclose(scale.mean[:, 0], [mean, 10 * mean], rtol=0 if constant else 1e-15)
    deviation = [1.0, 1.0] if constant else [math.sqrt(variance), 10 * math.sqrt(variance)]
    np.testing.assert_allclose(scale.deviation[:, 0], deviation, rtol=1e-15)


@pytest.mark.parametrize("size", [1.0, 1e200, 1e-200])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_of_parts_are_those_of_all(weighted, size):
    random = np.random.default_rng(0)
    X = random.standard_normal((2, 9)) * [[1.0], [100.0]] + [[5.0], [-3.0]]
    w = random.uniform(0.5, 3, 9) if weighted else None
    ordinary, X = input_scaling.input_scale(np, X, w), X * size
    for found, wanted in zip(input_scaling.input_scale(np, X, w), ordinary, strict=True):
        np.testing.assert_allclose(found / size, wanted, rtol=1e-13)
    parts = [slice(0, 2), slice(2, 8), slice(8, 9)]
    first, *others = (input_scaling.moments(np, X[:, part], None if w is None else w[part]) for part in parts)
    for other in others:
        first = first.add(np, other)
    assert_near(first, input_scaling.moments(np, X, w), rtol=1e-13)


def test_input_scale_folds_and_unfolds():
    random = np.random.default_rng(0)
    scale = input_scaling.InputScale(random.standard_normal((3, 1)), random.uniform(0.5, 3, (3, 1)))
    layer, X = vp.Layer(random.standard_normal((2, 3)), random.standard_normal((2, 1))), random.standard_normal((3, 5))
    folded = input_scaling.fold_input(np, layer, scale)
    np.testing.assert_allclose(input_scaling.scaled(X, scale), (X - scale.mean) / scale.deviation, rtol=1e-15)
    expected = layer.W @ input_scaling.scaled(X, scale) + layer.b
    np.testing.assert_allclose(folded.W @ X + folded.b, expected, rtol=1e-13)
    assert_near(input_scaling.unfold_input(np, folded, scale), layer, rtol=1e-14)


def test_dropout_in_blocks_is_dropout():
    net = vp.Network((4, 9, 6, 3), hidden="tanh", output="softmax")
    _, X, Y, _ = make_problem(net, 70)
    whole, blocked = (
        vp.fit(net, X, Y, dropout=0.4, epochs=5, dtype="float64", block_size=size, backend=PLAIN) for size in (None, 16)
    )
    assert_grads_close(blocked.params, whole.params, bound=1e-12)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_penalties_do_not_depend_on_the_batch_size(penalty):
    """λ is divided by all of m, whatever a step has of it: 40 steps of one example have 40 times the whole penalty."""
    net = vp.Network((3, 1), output="identity")
    _, X, Y, w = make_problem(net, 40, weights=True)
    params = net.init(dtype="float64")
    W = params[0].W
    share = 30.0 / w.sum() * {"l1": np.sign(W), "l2": W}[penalty]
    settings = {"sample_weight": w, "epochs": 1, "params": params, "optimizer": vp.GradientDescent(1e-6)}
    for size, rtol in ((40, 1e-8), (1, 1e-3)):
        batches = [slice(i, i + size) for i in range(0, 40, size)]
        grads = [net.gradients(params, X[:, b], Y[:, b], sample_weight=w[b])[1][0].W for b in batches]
        step = vp.fit(net, X, Y, batch_size=size, **{penalty: 30.0}, **settings).params[0].W - W
        np.testing.assert_allclose(step, -1e-6 * (np.sum(grads, axis=0) + len(batches) * share), rtol=rtol)


def test_a_weight_of_zero_has_no_l1_gradient():
    layers = (vp.Layer(np.array([[0.0, -2.0, 3.0]]), np.array([[5.0]])),)
    grads = (vp.Layer(np.array([[1.0, 1.0, 1.0]]), np.array([[7.0]])),)
    ((dW, db),) = Penalties(0.5, None, 2.0).update(grads, layers)
    assert (dW.tolist(), db.tolist()) == ([[1.0, 0.75, 1.25]], [[7.0]])


def test_penalties_of_a_stack_are_those_of_its_members():
    """Each network has λ₁, λ₂ and m of its own; nothing of one is in another."""
    random = np.random.default_rng(0)
    stack = tuple(
        vp.Layer(random.standard_normal((2, n, p)), random.standard_normal((2, n, 1))) for n, p in ((3, 4), (1, 3))
    )
    l1, l2, m = np.array([0.5, 0.1]), np.array([0.3, 2.0]), np.array([4.0, 10.0])
    penalties = Penalties(l1, l2, m)
    total, grads = penalties.cost(stack), penalties.update((*stack, "rest"), stack)
    assert total.shape == (2,) and grads[2] == "rest"
    for k in range(2):
        members = tuple(vp.Layer(W[k], b[k]) for W, b in stack)
        squares = sum((W**2).sum() for W, _ in members)
        sizes = sum(np.abs(W).sum() for W, _ in members)
        assert total[k] == pytest.approx(l2[k] / (2 * m[k]) * squares + l1[k] / m[k] * sizes, rel=1e-14)
        for (W, b), (dW, db) in zip(members, grads[:2], strict=True):
            np.testing.assert_allclose(dW[k], W + l2[k] / m[k] * W + l1[k] / m[k] * np.sign(W), rtol=1e-14)
            np.testing.assert_array_equal(db[k], b)


def test_standardize_is_folded_into_the_first_layer(backend):
    """The same as scaling by hand, and the result takes inputs as they come."""
    net = vp.Network((3, 5, 1), output="identity")
    _, X, Y, w = make_problem(net, 40, weights=True)
    X = X * np.array([[1.0], [100.0], [0.0]]) + np.array([[5.0], [-300.0], [0.1]])
    mean = np.average(X, axis=1, weights=w, keepdims=True)
    deviation = np.sqrt(np.average((X - mean) ** 2, axis=1, weights=w, keepdims=True))
    deviation[2], mean[2] = 1.0, 0.1
    arguments = {"sample_weight": w, "epochs": 10, "batch_size": 8, "dtype": "float64", "backend": backend}
    result = vp.fit(net, X, Y, standardize=True, **arguments)
    by_hand = vp.fit(net, (X - mean) / deviation, Y, **arguments)
    np.testing.assert_allclose(result.history["cost"], by_hand.history["cost"], rtol=1e-9)
    np.testing.assert_allclose(result.forward(X), by_hand.forward((X - mean) / deviation), rtol=1e-9, atol=1e-12)
    again = vp.fit(net, X, Y, standardize=True, params=result.params, **arguments | {"epochs": 1})
    assert again.history["cost"][0] < result.history["cost"][0]
