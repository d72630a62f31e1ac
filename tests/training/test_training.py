"""`fit`: gradient descent over mini-batches, one run on every backend (E12, E30, E32, E36)."""

import io
import sys

import numpy as np
import pytest

import vecprop as vp
from helpers import PLAIN, assert_divergence_told, assert_grads_close, assert_same, cases, host, make_problem, stepped
from vecprop.training import epochs
from vecprop.utils import progress, random_streams


@pytest.mark.parametrize("batch_size", [1, 4, 5, 7, 20, None])
@pytest.mark.parametrize(("weighted", "shuffle"), [(None, True), ("all", True), ("all", False), ("one", True)])
def test_each_example_counts_once(batch_size, weighted, shuffle, backend):
    """An epoch is one update per batch of the shuffled examples, the last batch smaller: replayed by hand (E30).

    A batch without any weight changes nothing, the penalty's share included.
    """
    net, m = vp.Network((3, 4, 1)), 20
    _, X, Y, w = make_problem(net, m, weights=weighted is not None)
    w = np.eye(m)[3] if weighted == "one" else w
    arguments = {"epochs": 2, "batch_size": batch_size, "seed": 4, "l2": 0.5, "shuffle": shuffle, "dtype": "float64"}
    result = vp.fit(net, X, Y, sample_weight=w, backend=backend, **arguments)
    params = net.init(seed=4, dtype="float64", backend="numpy")
    size, total = batch_size or m, float(m if w is None else w.sum())
    for epoch in range(2):
        order = random_streams.shuffle(4, epoch, m) if shuffle and size < m else np.arange(m)
        assert sorted(order) == list(range(m))
        for start in range(0, m, size):
            batch = order[start : start + size]
            weight = None if w is None else w[batch]
            if weight is not None and not weight.any():
                continue
            _, grads = vp.propagation.gradients(net, params, X[:, batch], Y[:, batch], weight, 0.5, m_l2=total)
            params = stepped(params, grads, 0.1)
    assert_grads_close(result.params, params, bound=1e-12)
    assert np.isfinite(result.history["cost"]).all()


NETS = [("softmax", "tanh"), ("sigmoid", "relu"), ("identity", "gelu")]
RUNS = [
    *((*net, {"l2": 0.01, "batch_size": size}) for net in NETS for size in (None, 16)),
    *(
        ("softmax", "tanh", arguments)
        for arguments in (
            {"dropout": 0.3},
            {"dropout": (0.0, 0.5), "batch_size": 16},
            {"batch_norm": True, "batch_size": 20},
            {"batch_norm": (True, False), "dropout": 0.2, "l1": 0.1, "l2": 0.3, "clip_norm": 0.5, "batch_size": 16},
            {"standardize": True, "l1": 0.2},
        )
    ),
]


@pytest.mark.parametrize(("output", "hidden", "arguments"), RUNS, ids=str)
def test_same_run_on_every_backend(output, hidden, arguments, backend):
    """After 20 epochs, batches, masks, statistics and penalties included: 1e-10 in float64, 1e-4 in float32."""
    net = vp.Network((4, 8, 6, 3), hidden=hidden, output=output)
    _, X, Y, _ = make_problem(net, 70)
    arguments = {"epochs": 20, "seed": 11} | arguments
    reference = vp.fit(net, X, Y, dtype="float64", backend=PLAIN, **arguments)
    run = vp.fit(net, X, Y, dtype="float64", backend=backend, **arguments)
    assert_grads_close(run.params, reference.params, bound=1e-10, xp=backend.xp)
    np.testing.assert_allclose(run.history["cost"], reference.history["cost"], rtol=1e-10)
    run = vp.fit(net, X, Y, dtype="float32", backend=backend, **arguments)
    assert_grads_close(run.params, reference.params, bound=1e-4, xp=backend.xp)


def test_gradient_norms_in_history(backend):
    """A deep sigmoid network's gradients vanish towards the input, and the history shows it (E36)."""
    nets = [vp.Network((4, *(8,) * 6, 1), hidden) for hidden in ("sigmoid", "relu")]
    _, X, Y, _ = make_problem(nets[0], 30)
    sick, healthy = (np.array(vp.fit(net, X, Y, epochs=3, backend=backend).history["gradient_norm"]) for net in nets)
    assert sick.shape == (3, 7)
    assert (sick[:, 0] < 1e-3 * sick[:, -1]).all()
    assert (healthy[:, 0] > 1e-2 * healthy[:, -1]).all()


def test_dtype_follows_the_data_unless_given(backend):
    net = vp.Network((2, 3, 1))
    X, Y = vp.datasets.xor(m=20)
    for arguments, expected in [
        ({"X": X}, "float64"),
        ({"X": X.astype("float32")}, "float32"),
        ({"X": (X * 10).astype(int)}, "float32"),
        ({"X": X.astype(">f8")}, "float64"),
        ({"X": X.tolist()}, "float32"),
        ({"X": X, "dtype": "float32"}, "float32"),
        ({"X": X, "params": net.init()}, "float32"),
    ]:
        result = vp.fit(net, Y=Y, epochs=1, backend=backend, **arguments)
        assert str(result.params[0].W.dtype).endswith(expected), arguments


def test_jax_compiles_an_epoch_once(jax_backend, monkeypatch):
    """Ragged last batch included, all epochs run one compiled program."""
    traced = []
    step = epochs.step
    monkeypatch.setattr(epochs, "step", lambda *a: traced.append(1) or step(*a))
    X, Y = vp.datasets.xor(m=50)
    vp.fit(vp.Network((2, 3, 1)), X, Y, epochs=6, batch_size=16, backend=jax_backend)
    assert len(traced) == 2, "one trace for the whole batches, one for the last"


@pytest.mark.parametrize("batch_size", [None, 8])
def test_divergence_says_where_and_what_to_do(batch_size, backend):
    net = vp.Network((3, 8, 1), hidden="relu", output="identity")
    _, X, Y, _ = make_problem(net, 30)
    with pytest.raises(vp.DivergenceError, match=r"layer \d") as caught:
        vp.fit(net, 1e4 * X, Y, optimizer=vp.GradientDescent(10.0), epochs=200, batch_size=batch_size, backend=backend)
    error = caught.value
    assert_divergence_told(error)
    assert error.epoch >= 1 and error.layer in (1, 2) and 1 <= error.step <= (1 if batch_size is None else 4)
    again = vp.fit(net, X / 100, Y, params=[tuple(host(a) * 0.0 for a in layer) for layer in error.params], epochs=2)
    assert np.isfinite(again.history["cost"]).all(), "the run can go on"


def test_divergence_in_the_very_last_update_is_noticed(backend):
    net = vp.Network((1, 1), output="identity")
    X, Y = np.array([[1e18]], dtype="float32"), np.array([[0.0]], dtype="float32")
    params = [(np.array([[1e-18]], dtype="float32"), np.array([[0.0]], dtype="float32"))]
    with pytest.raises(vp.DivergenceError, match="the gradient of layer 1 was the largest"):
        vp.fit(net, X, Y, params=params, optimizer=vp.GradientDescent(1e30), epochs=1, backend=backend)


def test_progress_bar(monkeypatch):
    pytest.importorskip("rich")
    X, Y = vp.datasets.xor(m=20)
    net = vp.Network((2, 2, 1))

    def shown(terminal, delay=0.0, **arguments):
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        sys.stderr.isatty = lambda: terminal
        monkeypatch.setattr(progress, "_DELAY", delay)
        vp.fit(net, X, Y, epochs=3, **arguments)
        return sys.stderr.getvalue()

    assert "cost" in shown(True)
    assert shown(False) == "", "not on a terminal"
    assert shown(True, progress=False) == "", "turned off"
    assert shown(True, delay=60.0) == "", "a short run shows none"
    assert "cost" in shown(False, progress=True)


@cases({}, {"dropout": 0.2, "l2": 0.1}, {"seed": range(3)}, {"sample_weight": np.arange(83.0)})
def test_an_epoch_of_more_steps_than_a_call_takes_is_several_calls(arguments, backend, monkeypatch):
    X, Y = vp.datasets.moons(m=83)
    given = {"optimizer": vp.Adam(0.01), "batch_size": 8, "epochs": 6, "backend": backend, **arguments}
    whole = vp.fit(vp.Network((2, 5, 1)), X, Y, **given)
    calls, compile_loop = [], backend.compile_loop

    def counting(*options, **more):
        compiled = compile_loop(*options, **more)
        return lambda *a: calls.append(len(a[6][0])) or compiled(*a)

    monkeypatch.setattr(backend, "compile_loop", counting)
    monkeypatch.setattr(type(backend), "most_steps", 4)
    parts = vp.fit(vp.Network((2, 5, 1)), X, Y, **given)
    assert calls == [4, 4, 3] * 6
    assert_same(whole.params, parts.params)
    for key in ("cost", "gradient_norm", "learning_rate"):
        assert whole.history[key] == parts.history[key]
    calls.clear()
    monkeypatch.setattr(type(backend), "most_steps", 25)
    vp.fit(vp.Network((2, 5, 1)), X, Y, **given)
    assert calls == [22] * 3
