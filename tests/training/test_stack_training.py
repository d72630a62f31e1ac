"""The fourth rung in training: K networks in one stack, each as it would be alone."""

import numpy as np
import pytest

import vecprop as vp
from helpers import assert_grads_close, cases, host, make_problem, refusals
from vecprop.nn.losses import BinaryCrossEntropy, CrossEntropy
from vecprop.training import loop, network_groups, shuffling
from vecprop.utils import random_streams

NET = vp.Network((4, 6, 5, 3), hidden=("tanh", "relu"), output="softmax")
_, X, Y, W = make_problem(NET, 50, weights=True)
X_VALIDATION, Y_VALIDATION = make_problem(NET, 20, seed=9)[1:3]

CASES = {
    "full batch": {"optimizer": vp.Adam(0.01)},
    "mini-batches": {"optimizer": vp.Momentum(0.1, nesterov=True), "batch_size": 16, "sample_weight": W, "l2": 0.2},
    "in their own order": {"optimizer": vp.GradientDescent(0.1), "batch_size": 25, "shuffle": False},
    "everything": {
        "optimizer": vp.AdamW(0.01, schedule=vp.Cosine(warmup=2)), "batch_size": 20, "dropout": (0.2, 0.0),
        "batch_norm": (False, True), "clip_norm": 0.3, "l1": 0.1, "sample_weight": W,
    },
    "early stopping": {
        "optimizer": vp.RMSProp(0.05), "batch_size": 16, "validation": (X_VALIDATION, Y_VALIDATION), "patience": 2,
        "metric": "accuracy",
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    """On NumPy the networks are in groups, as those of larger stacks are."""
    monkeypatch.setattr("vecprop_numpy.SMALLEST_STACK", 0)
    monkeypatch.setattr("vecprop_numpy.SMALLEST_CALL", 0)
    monkeypatch.setattr("vecprop_numpy.usable_threads", lambda: 2)


def test_groups_of_networks_are_trained_at_once(monkeypatch):
    """Five networks on two threads; the tests of this file show that each is as it would be alone."""
    groups = []

    def in_turns(jobs, threads):
        groups.extend((threads, job.args[2][0].W.shape[0]) for job in jobs)
        return [job() for job in jobs]

    monkeypatch.setattr(network_groups, "at_once", in_turns)
    for largest, wanted in ((1 << 22, [(2, 2), (2, 3)]), (1, [(2, 1)] * 5)):
        monkeypatch.setattr("vecprop_numpy.LARGEST_GROUP", largest)
        vp.fit(NET, X, Y, seed=range(5), epochs=2, batch_size=16, backend="numpy")
        assert groups == wanted
        groups.clear()


@pytest.mark.parametrize("case", ["dropout of seeds", "decays"])
def test_groups_on_jax_are_as_the_whole_stack(case, monkeypatch):
    arguments = {"epochs": 2, "batch_size": 16, "optimizer": vp.Adam(0.01), "dtype": "float64", "backend": "jax"}
    arguments |= DIFFERENT[case][0]
    whole = vp.fit(NET, X, Y, **arguments)
    for limit in ("SMALLEST_STACK", "SMALLEST_CALL", "LARGEST_GROUP"):
        monkeypatch.setattr(f"vecprop_jax.one_device.{limit}", 1)
    groups = vp.fit(NET, X, Y, **arguments)
    for k in range(whole.networks):
        assert_is(groups.member(k), whole.member(k), vp.get_backend("jax").xp)


def test_stacks_on_jax_are_divided_where_that_is_faster(monkeypatch):
    monkeypatch.setattr("vecprop_jax.one_device.usable_cores", lambda: 2)
    divided = vp.get_backend("jax").memory.auto_groups
    assert divided(64, 1 << 20, 100) == (2, 2)
    assert divided(64, 1 << 25, 100) == (8, 2)  # for the caches
    assert divided(63, 1 << 20, 100) == (3, 2)  # all of one size
    assert divided(61, 1 << 20, 100) == divided(64, 1 << 10, 10**6) == divided(64, 1 << 20, 1) == (1, 1)


def assert_is(member, single, xp):
    """A network of a stack is the one that was trained alone: the parameters, and the history until that ended."""
    assert_grads_close(member.params, single.params, bound=1e-10, xp=xp)
    done = len(single.history["cost"])
    for key in set(single.history) - {"seconds"}:
        np.testing.assert_allclose(member.history[key][:done], single.history[key], rtol=1e-9)
    if single.state.best is not None:
        assert member.state.best.epoch == single.state.best.epoch


@pytest.mark.parametrize("case", CASES)
def test_member_k_is_the_single_run_with_seed_k(case, backend):
    arguments = {"epochs": 8, "dtype": "float64", "backend": backend, **CASES[case]}
    seeds = (3, 0, 12)
    stack = vp.fit(NET, X, Y, seed=seeds, **arguments)
    assert stack.networks == 3
    for k, seed in enumerate(seeds):
        if k != 1 or backend.name != "jax":  # a compilation less
            assert_is(stack.member(k), vp.fit(NET, X, Y, seed=seed, **arguments), backend.xp)


RATES, LAMBDAS, SHARES = (0.01, 0.1, 0.5), (0.0, 1.0, 5.0), (0.0, 0.2, 0.9)
SOME_WEIGHTS = np.where(np.arange(50) < 25, 0.0, 1.0) * [[1.0], [0.5]]
# the arguments of the stack, and what is another for each of its networks
DIFFERENT = {
    "learning rates and penalties": (
        {"optimizer": vp.Momentum(RATES), "l1": LAMBDAS, "l2": LAMBDAS, "seed": 4, "dropout": (0.1, 0.0)},
        [{"optimizer": vp.Momentum(rate), "l1": lam, "l2": lam} for rate, lam in zip(RATES, LAMBDAS, strict=True)],
    ),
    "decays": (
        {
            "optimizer": vp.AdamW(RATES[:2], weight_decay=(0.0, 3.0), schedule=vp.Cosine()), "seed": (4, 5),
            "patience": vp.EarlyStopping(None),
        },
        [
            {"optimizer": vp.AdamW(RATES[k], weight_decay=3.0 * k, schedule=vp.Cosine()), "seed": 4 + k}
            for k in range(2)
        ],
    ),
    "dropout of seeds": (
        {"dropout": (0.3, SHARES), "seed": (4, 5, 6), "batch_norm": True},
        [{"dropout": (0.3, share), "seed": 4 + k} for k, share in enumerate(SHARES)],
    ),
    "dropout in blocks": (
        {"dropout": (0.3, SHARES), "seed": 4, "block_size": 9},
        [{"dropout": (0.3, share)} for share in SHARES],
    ),
    "weights, in some batches none": (
        {"sample_weight": SOME_WEIGHTS, "seed": (1, 2), "batch_size": 5, "shuffle": False},
        [{"sample_weight": w, "seed": k} for k, w in enumerate(SOME_WEIGHTS, start=1)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "others"), DIFFERENT.values(), ids=DIFFERENT)
def test_each_network_may_have_its_own(backend, arguments, others):
    given = {"epochs": 5, "batch_size": 16, "dtype": "float64", "optimizer": vp.Adam(0.01)} | arguments
    stack = vp.fit(NET, X, Y, backend=backend, **given)
    for k, other in enumerate(others):
        assert_is(stack.member(k), vp.fit(NET, X, Y, backend="numpy", **given | other), backend.xp)


@cases(("softmax", CrossEntropy), ("sigmoid", BinaryCrossEntropy), ("sigmoid", CrossEntropy))
def test_k_smoothings_of_the_labels(output, loss, backend):
    shares = (0.0, 0.1, 0.5)
    arguments = {"epochs": 4, "batch_size": 16, "dtype": "float64", "optimizer": vp.Adam(0.01), "patience": 9}
    arguments |= {"seed": 4, "validation": (X_VALIDATION, Y_VALIDATION), "metric": "accuracy"}
    nets = [vp.Network(NET.sizes, NET.hidden, output, loss(share)) for share in (shares, *shares)]
    stack = vp.fit(nets[0], X, Y, backend=backend, **arguments)
    for k, net in enumerate(nets[1:]):
        assert_is(stack.member(k), vp.fit(net, X, Y, backend="numpy", **arguments), backend.xp)
        assert stack.member(k).net == net


def test_a_loss_of_k_networks_is_for_a_stack_of_k():
    net = vp.Network((4, 3), output="softmax", loss=CrossEntropy((0.1, 0.2)))
    assert net.cost(net.init(seed=(0, 1)), X, Y).shape == (2,)
    for seed, stack in ((0, r"\(\)"), (range(3), r"\(3,\)")):
        with pytest.raises(ValueError, match=f"params must be a stack of 2 networks.*smoothing.*got the stack {stack}"):
            net.gradients(net.init(seed=seed), X, Y)
    with pytest.raises(ValueError, match="seed: 3, smoothing: 2"):
        vp.fit(net, X, Y, seed=range(3), epochs=1)


@cases(
    {"seed": (4, 5, 6), "batch_size": 16, "batch_norm": True, "validation": 0.3, "class_weight": "balanced"},
    {"seed": 4, "batch_size": 16, "block_size": 9, "l2": (0.1, 0.2, 0.3), "dropout": 0.1},
    {"seed": (4, 5, 6), "l1": 0.2, "metric": "accuracy"},
)
@pytest.mark.parametrize("differ", ["weights", "inputs", "both"])
def test_k_inputs_and_weights_of_the_examples(arguments, backend, differ):
    weights = np.stack([W, W[::-1], np.arange(50) % 7]) + 0.1  # an example of weight 0 would be in no validation set
    inputs = np.stack([X, 0.5 * X, X[::-1] + 1]) if differ != "weights" else np.stack([X] * 3)
    arguments = {"epochs": 4, "dtype": "float64", "optimizer": vp.Adam(0.01), **arguments}
    if differ == "inputs":
        weights[1:] = weights[0]
    given = {"weights": (X, weights), "inputs": (inputs, weights[0]), "both": (inputs, weights)}[differ]
    stack = vp.fit(NET, given[0], Y, sample_weight=given[1], backend=backend, **arguments)
    for k, (x, w) in enumerate(zip(inputs, weights, strict=True)):
        own = {name: v[k] for name, v in arguments.items() if isinstance(v, tuple)}
        single, member = vp.fit(NET, x, Y, sample_weight=w, backend="numpy", **arguments | own), stack.member(k)
        np.testing.assert_array_equal(member.sample.X, single.sample.X)
        assert_is(member, single, backend.xp)


@pytest.mark.parametrize("more", [{"batch_norm": True, "clip_norm": 0.3}, {"l1": 0.1, "dropout": (0.0, 0.3)}])
def test_k_widths(backend, more):
    """Units beyond a network's widths stay zero, bit for bit; the rest is the narrower network."""
    widths = ((6, 5), (2, 5), (3, 1))
    arguments = {"epochs": 5, "batch_size": 16, "optimizer": vp.AdamW(0.01), "backend": backend, **more}
    params = NET.init(range(3), dtype="float64", backend=backend, widths=widths)
    stack = vp.fit(NET, X, Y, seed=range(3), params=params, **arguments)
    for k, own in enumerate(widths):
        narrow = vp.Network((4, *own, 3), NET.hidden, NET.output)
        single = vp.fit(narrow, X, Y, seed=k, dtype="float64", **arguments | {"backend": "numpy"})
        kept = []
        for (W, b), (n, p) in zip(stack.member(k).params, zip((*own, 3), (4, *own), strict=True), strict=True):
            W, b = host(W), host(b)
            assert not W[n:].any() and not W[:, p:].any() and not b[n:].any()
            kept.append(vp.Layer(W[:n, :p], b[:n]))
        assert_grads_close(kept, single.params, bound=1e-10)


SIGMOID = vp.Network((4, 3, 1), hidden="sigmoid")
test_bad_widths = refusals(
    lambda widths, net=NET: net.init((0, 1), widths=widths),
    ([(2,)] * 2, SIGMOID, r"widths need elementwise hidden activations with g\(0\) = 0, got sigmoid"),
    ([(6, 5)], "widths must have one entry for each of 2 seeds, got 1"),
    ([(6,), (6, 5)], r"widths\[0\] must have 2 widths, from 1 to those of \(6, 5\), got \(6,\)"),
    ([(6, 5), (6, 6)], r"widths\[1\] must have 2 widths, from 1 to those of \(6, 5\), got \(6, 6\)"),
    ([(6, 5), (0, 5)], r"widths\[1\] must be a positive integer, got 0"),
)


def test_all_the_best_and_mean_and_spread():
    stack = vp.fit(
        NET, X, Y, seed=range(5), epochs=30, optimizer=vp.Adam(0.02), validation=(X_VALIDATION, Y_VALIDATION)
    )
    A = stack.forward(X_VALIDATION)
    assert A.shape == (5, 3, 20)
    mean, deviation = stack.mean_and_deviation(X_VALIDATION)
    np.testing.assert_allclose(mean, A.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(deviation, A.std(axis=0), rtol=1e-5, atol=1e-7)
    costs = [float(NET.cost(stack.member(k).params, X_VALIDATION, Y_VALIDATION)) for k in range(5)]
    np.testing.assert_allclose(stack.final_costs, costs, rtol=1e-5)
    best = stack.best
    assert best.networks is None
    np.testing.assert_array_equal(best.forward(X), stack.forward(X)[int(np.argmin(costs))])
    with pytest.raises(ValueError, match="this is one network"):
        best.member(0)


def test_a_stack_of_one_is_a_stack():
    stack = vp.fit(NET, X, Y, seed=[7], epochs=2)
    assert stack.networks == 1
    np.testing.assert_allclose(stack.forward(X)[0], vp.fit(NET, X, Y, seed=7, epochs=2).forward(X), rtol=1e-5)


def test_one_network_may_diverge_alone(backend):
    net = vp.Network((4, 3), output="identity")
    Y = np.vstack([X[:2], X[3:]])
    stack = vp.fit(net, X, Y, optimizer=vp.GradientDescent((1e12, 0.1, 1e12)), epochs=30, backend=backend)
    for costs in (stack.final_costs, stack.history["cost"][-1]):
        assert np.isfinite(costs).tolist() == [False, True, False]
    alone = vp.fit(net, X, Y, optimizer=vp.GradientDescent(0.1), epochs=30, backend="numpy")
    assert_grads_close(stack.member(1).params, alone.params, bound=1e-10)
    mean, spread = stack.mean_and_deviation(X)
    assert np.isfinite(mean).all() and not spread.any()
    assert np.isfinite(stack.best.forward(X)).all()
    with pytest.raises(vp.DivergenceError) as caught:
        vp.fit(net, X, Y, optimizer=vp.GradientDescent((1e11, 1e12)), epochs=30, backend=backend)
    assert caught.value.gradient_norm > 0


test_bad_stacks = refusals(
    lambda arguments: vp.fit(NET, **{"X": X, "Y": Y, "epochs": 1} | arguments),
    ({"seed": [1, 2], "l2": [0.1, 0.2, 0.3]}, "needs K of each.*seed: 2.*l2: 3"),
    ({"optimizer": vp.AdamW(weight_decay=(0.1, 0.2, 0.3)), "l2": [0.1, 0.2]}, "weight_decay: 3.*l2: 2"),
    ({"sample_weight": np.ones((2, 50))}, r"sample_weight must have shape \(m,\).*got \(2, 50\)"),
    ({"sample_weight": np.ones((2, 50)), "seed": [1, 2, 3]}, r"sample_weight must have shape \(50,\).*got \(2, 50\)"),
    ({"sample_weight": np.ones((2, 50)) * [[1], [0]], "seed": [1, 2]}, "sample_weight must not be all zero"),
    (
        {"sample_weight": np.stack([W + 1, np.eye(50)[0]]), "seed": [1, 2], "validation": 0.2},
        "validation: a network has no",
    ),
    ({"sample_weight": np.ones((2, 50)), "seed": [1, 2], "standardize": True}, "standardize=True needs sample_weight"),
    ({"X": np.ones((2, *X.shape)), "seed": [1, 2], "standardize": True}, "standardize=True needs X of shape"),
    ({"X": np.ones((2, *X.shape))}, "X must have rank 2, one example per column, got shape"),
    (
        {"X": np.ones((2, *X.shape)), "seed": [1, 2, 3]},
        r"X must have shape .* or the stack of the parameters before it",
    ),
    ({"dropout": (0.1, (0.1, 0.2)), "seed": [1, 2, 3]}, r"seed: 3.*dropout\[1\]: 2"),
    ({"dropout": (0.1, ())}, r"dropout\[1\] must hold at least one value.*K = 0"),
    ({"dropout": ((0.1, 1.0), 0.1)}, r"dropout\[0\]\[1\] must be a finite number in \[0, 1\).*got 1.0"),
)


def test_orders_drawn_on_threads_are_the_same(monkeypatch):
    monkeypatch.setattr(shuffling, "_WORTH_THREADS", 1)
    monkeypatch.setattr(shuffling, "_threads", lambda: 3)
    seeds = (7, 0, 2**64 - 1, 5)
    drawn = shuffling.shuffles(seeds, 3, 100)
    np.testing.assert_array_equal(drawn, [random_streams.shuffle(seed, 3, 100) for seed in seeds])


STOPS = {"optimizer": vp.Adam((0.003, 0.03, 0.3, 0.1, 0.01, 0.2)), "seed": range(6), "dtype": "float64", "epochs": 40}
STOPS |= {"validation": (X_VALIDATION, Y_VALIDATION), "patience": 3, "batch_size": 16, "metric": "accuracy"}


@cases(
    vp.EarlyStopping(3),
    vp.EarlyStopping(3, restore_best=False),
    vp.EarlyStopping(3, min_delta=0.005, restore_best=False, cumulative=False),
)
def test_networks_that_have_stopped_leave_the_stack(rule, backend, monkeypatch):
    """The others go on as before; the left ones keep their parameters, and their last entries in the history."""
    monkeypatch.setattr(loop, "_CALLS_WORTH_COMPILING", 0)
    weights, inputs = np.stack([W + 0.1 * k for k in range(1, 7)]), np.stack([X + 0.1 * k for k in range(6)])
    judged = np.stack([X_VALIDATION + 0.1 * k for k in range(6)])
    more = {"dropout": ((0.0, 0.1, 0.2, 0.0, 0.3, 0.1), 0.1), "l2": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), "patience": rule}
    widths = []
    stack = vp.fit(
        NET, inputs, Y, backend=backend, sample_weight=weights, **STOPS | more | {"validation": (judged, Y_VALIDATION)},
        callbacks=lambda state, history: widths.append((len(state.params[0].W), len(history["cost"][-1]), history)),
    )  # fmt: skip
    assert {width[:2] for width in widths} == {(6, 6)} and widths[0][2] is stack.history
    assert all(
        len(row) == 6 for key in ("cost", "validation_cost", "metric", "gradient_norm") for row in stack.history[key]
    )
    for k in range(6):
        own = {"optimizer": vp.Adam(STOPS["optimizer"].learning_rate[k]), "seed": k, "sample_weight": weights[k]}
        own |= {"dropout": (more["dropout"][0][k], 0.1), "l2": more["l2"][k], "validation": (judged[k], Y_VALIDATION)}
        assert_is(stack.member(k), vp.fit(NET, inputs[k], Y, backend="numpy", **STOPS | more | own), backend.xp)
    ends = np.asarray(stack.state.best.improved) + 3
    first = int(np.argmin(ends))
    assert ends.max() > ends[first] + 5, "the case must have networks that stop early"
    costs = stack.member(first).history["cost"]
    assert costs[-1] == costs[-2] != costs[0], "it has left"


def test_networks_that_leave_have_the_scaling_of_all(backend, monkeypatch):
    monkeypatch.setattr(loop, "_CALLS_WORTH_COMPILING", 0)
    stack = vp.fit(NET, 3 + X, Y, backend=backend, standardize=True, **STOPS | {"validation": (3 + X, Y)})
    assert np.ptp(np.asarray(stack.state.best.improved)) > 5, "the case must have networks that stop early"
    again = vp.fit(NET, 3 + X, Y, backend=backend, standardize=True, state=stack.state, **STOPS | {"epochs": 1})
    np.testing.assert_array_equal(again.state.scale, stack.state.scale)
    for k in range(6):
        own = {"optimizer": vp.Adam(STOPS["optimizer"].learning_rate[k]), "seed": k, "validation": (3 + X, Y)}
        assert_is(stack.member(k), vp.fit(NET, 3 + X, Y, backend="numpy", standardize=True, **STOPS | own), backend.xp)
