"""An epoch waits for nothing: no value of an array is looked at on the host before the epoch has been queued."""

import array_api_strict
import numpy as np
import pytest

import vecprop as vp
from helpers import assert_near, assert_same_run, backend_or_skip
from vecprop import losses
from vecprop.backend.namespaces import array_namespace

RNG = np.random.default_rng(0)
M = 83
X, ONE_HOT = RNG.normal(size=(6, M)), np.eye(3)[:, RNG.integers(3, size=M)]
TARGETS, WEIGHTS = RNG.normal(size=(1, M)), RNG.random(M)
NET, LINE = vp.Network((6, 8, 5, 3), hidden="relu", output="softmax"), {"output": "identity", "hidden": "tanh"}
NINE = losses.Quantile(tuple(k / 10 for k in range(1, 10)))
KINDS = {
    "full batch": {},
    "batches": {"batch_size": 16},
    "several epochs at once": {"batch_size": 16, "epochs": 66},
    "blocks": {"block_size": 20},
    "weights": {"batch_size": 16, "sample_weight": np.where(np.arange(M) < 16, 0.0, WEIGHTS)},
    "dropout": {"batch_size": 16, "dropout": 0.2},
    "batch normalization": {"batch_size": 16, "batch_norm": True, "dropout": 0.2},
    "penalties and clipping": {"batch_size": 16, "l1": 0.1, "l2": 0.1, "clip_norm": 0.5},
    "K seeds": {"batch_size": 16, "seed": range(3), "dropout": 0.2},
    "K inputs": {"batch_size": 16, "seed": range(3), "X": np.stack([X, X + 1, 2 * X])},
    "K rates and decays": {"batch_size": 16, "optimizer": vp.AdamW([0.1, 0.01], weight_decay=[0.1, 0.2])},
    "a schedule": {"batch_size": 16, "optimizer": vp.SGD(schedule=vp.Cosine())},
    "validation": {"batch_size": 16, "validation": 0.2, "metric": "accuracy", "patience": 50},
    "absolute error": {"batch_size": 16, "net": vp.Network((6, 8, 1), loss="absolute_error", **LINE), "Y": TARGETS},
    "one quantile": {"batch_size": 16, "net": vp.Network((6, 8, 1), loss="quantile", **LINE), "Y": TARGETS},
    "eleven layers, nine quantiles": {
        "batch_size": 16,
        "net": vp.Network((6, *[4] * 10, 9), hidden="tanh", output="ordered", loss=NINE),
        "Y": TARGETS.repeat(9, axis=0),
    },
    "Huber": {"batch_size": 16, "net": vp.Network((6, 8, 1), loss="huber", **LINE), "Y": TARGETS},
    "L-BFGS": {"optimizer": vp.LBFGS()},
}


def fitted(backend, net=NET, X=X, Y=ONE_HOT, **arguments):
    given = {"optimizer": vp.Adam(0.01), "epochs": 5, "dtype": "float64", "progress": False} | arguments
    return vp.fit(net, X, Y, backend=backend, **given)


class Watched(vp.Backend):
    """Arrays of the standard alone, whose values are asked for in vain while an epoch is computed."""

    def __init__(self):
        super().__init__(array_api_strict, "watched")
        self.asked, self._computes, self.epochs = [], False, 0

    def compile_loop(self, function, **_):
        def watched(*arguments):
            self._computes, self.epochs = True, self.epochs + 1
            try:
                return function(*arguments)
            finally:
                self._computes = False

        return watched

    def watch(self, monkeypatch, name):
        own = getattr(type(array_api_strict.ones(1)), name)

        def asked(array, *arguments, **options):
            if self._computes:
                self.asked.append(name)
            return own(array, *arguments, **options)

        monkeypatch.setattr(type(array_api_strict.ones(1)), name, asked)


@pytest.mark.parametrize("arguments", KINDS.values(), ids=KINDS)
def test_no_value_is_asked_for_within_an_epoch(monkeypatch, arguments):
    backend = Watched()
    for name in ("__bool__", "__float__", "__int__", "__index__", "__complex__", "__array__", "__dlpack__"):
        backend.watch(monkeypatch, name)
    with array_api_strict.ArrayAPIStrictFlags(boolean_indexing=False, data_dependent_shapes=False):
        fitted(backend, **arguments)
    assert backend.epochs and backend.asked == []


@pytest.mark.gpu
@pytest.mark.parametrize("arguments", KINDS.values(), ids=KINDS)
def test_epochs_and_judging_on_cupy_are_captured_as_graphs(monkeypatch, arguments):
    """Which refuse to wait, and to take numbers from the host; the bits are those of the plain functions."""
    backend = backend_or_skip("cupy")
    from vecprop_cupy import graphs

    made = []
    original = backend.compile_loop
    monkeypatch.setattr(backend, "compile_loop", lambda *a, **b: made.append(original(*a, **b)) or made[-1])
    watched = {} if "patience" in arguments else {"callbacks": [lambda *_: None]}  # for epochs one by one
    captured = fitted("cupy", **arguments, **watched)
    assert len(made) == 1 + ("validation" in arguments)
    for compiled in made:
        assert compiled.why_not is None and any(graph is not None for graph in compiled._graphs.values())
    monkeypatch.setattr(graphs, "capturing", lambda: True)  # then it leaves the function as it is
    plain = fitted("cupy", **arguments, **watched)
    assert_same_run(captured, plain)


def looks(Z):
    return Z * (1.0 if float(Z[..., 0, 0].sum()) < np.inf else 0.0)


def brings(Z):
    return Z * array_namespace(Z).asarray(np.ones((Z.shape[-2], 1)))


@pytest.mark.gpu
@pytest.mark.parametrize(("g", "why"), [(looks, "D2H"), (brings, "H2D")])
def test_why_an_epoch_of_cupy_is_not_captured_is_said_once(caplog, g, why):
    """Here for a user's activation that looks at a value, or brings numbers from the host; it trains as elsewhere."""
    backend_or_skip("cupy")
    net = vp.Network((6, 5, 3), hidden=(g, lambda Z: Z * 0.0 + 1.0), output="softmax")
    with caplog.at_level("INFO"):
        found = fitted("cupy", net=net, batch_size=16, callbacks=[lambda *_: None])
    (message,) = caplog.messages
    assert message.startswith("epoch is not captured as a CUDA graph: ") and why in message
    expected = fitted("numpy", net=net, batch_size=16)
    assert_near(found.params, expected.params, atol=1e-12)
