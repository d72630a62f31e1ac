"""`fit(devices=…)`: the same run on several devices as on one, and what is sent between them."""

import json

import numpy as np
import pytest
from scipy import sparse

import vecprop as vp
from helpers import backend_or_skip, refusals
from helpers.processes import TESTS, environment, python
from helpers.several_devices import RUNS, M, counts_of

NET = vp.Network((2, 3, 1))
X, Y = vp.datasets.xor(m=20)
NAMES = list(RUNS)


def in_a_process(names, long):
    """What a process with eight devices prints of these runs."""
    backend_or_skip("jax")
    env = environment(
        "JAX_COMPILATION_CACHE_DIR", path=TESTS, JAX_NUM_CPU_DEVICES="8", JAX_PLATFORMS="cpu",
        XLA_FLAGS="--xla_backend_optimization_level=0",  # which compiles sooner
    )  # fmt: skip
    script = TESTS / "helpers" / "several_devices.py"
    done = python(script, "long" if long else "short", *names, env=env, timeout=600)
    assert "rematerialization" not in done.stderr, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.reliability
@pytest.mark.parametrize("names", [NAMES[::2], NAMES[1::2]], ids=["one half", "the other"])
def test_the_same_run_as_on_one_device(names, request, figure):
    """Dropout, batch normalization, weights, early stopping, ragged sizes, stacks: float64 to 1e-10 after 20 epochs."""
    long = request.config.getoption("--long")
    found = in_a_process(names, long)
    runs = [line for line in found if line["run"] in RUNS]
    assert len(runs) == sum(len(counts_of(name, long)) for name in names) > 0
    for line in runs:
        assert line["difference"] < 1e-10, line
        assert line["places"] == [1], "what is given back is on one device, as always"
        assert line["shape"][-2:] == [1, M]
    figure(
        f"20 epochs on 1 to 8 devices, {', '.join(dict.fromkeys(line['run'] for line in runs))}",
        f"{max(line['difference'] for line in runs):.0e} from the run on one device",
        "1e-10",
    )
    rest = {line["run"]: line for line in found if line["run"] not in RUNS}
    assert set(rest) == ({"communication", "estimators"} if "everything" in names else set())
    if rest:
        # for each step the batch and the gradients, never the data; for networks nothing but the costs at the end
        batches, networks = rest["communication"]["sent"]
        assert batches and max(np.prod(shape) for shape in batches) <= 24 * 3, batches
        steps = -(-M // 24)
        assert networks and {tuple(s) for s in networks} <= {(16,), (steps, 16), (steps, 16, 3)}, "costs, norms, finite"
        alone, several = rest["estimators"]["differences"]
        assert alone == 0 and several < 1e-6


def mesh_of(shape, *names):
    jax = pytest.importorskip("jax")
    return jax.sharding.Mesh(np.array(jax.devices()[:1]).reshape(shape), names)


def fit_on(devices):
    if backend_or_skip("jax").has_gpu and devices == 2:
        pytest.skip("there may be two")
    vp.fit(NET, X, Y, backend="jax", devices=devices() if callable(devices) else devices)


test_what_is_refused = refusals(
    fit_on,
    (2, r"devices=2, and JAX has 1 \(cpu\): give at most as many; JAX_NUM_CPU_DEVICES=2"),
    (0, "devices must be a positive integer, got 0"),
    ("some", "devices must be \"all\", a number or a jax.sharding.Mesh, got 'some'"),
    (2.0, TypeError, "devices must be .*got 2.0"),
    (True, TypeError, "devices must be .*got True"),
    (["cpu"], TypeError, "devices must be .*got"),
    (lambda: mesh_of((1, 1), "data", "model"), r"a mesh with one axis, got the axes \('data', 'model'\)"),
)


def test_other_backends_have_one_device():
    with pytest.raises(ValueError, match="devices='all': the backend 'numpy' computes on one device"):
        vp.fit(NET, X, Y, devices="all")
    model = vp.estimators.MLPClassifier(devices=2, max_iter=2)
    with pytest.raises(ValueError, match="devices=2: the backend 'numpy' computes on one"):
        model.fit(X.T, Y[0])


def test_sparse_data_stay_on_one_device(monkeypatch):
    backend_or_skip("jax")
    monkeypatch.setattr("vecprop.data.sparse.SMALL", 10)
    with pytest.raises(ValueError, match="devices: sparse X"):
        vp.fit(NET, sparse.csc_array(X), Y, backend="jax", devices=1)


def test_a_checkpoint_is_of_a_number_of_devices(tmp_path):
    backend_or_skip("jax")
    arguments = {"epochs": 2, "backend": "jax", "checkpoint": tmp_path / "c"}
    vp.fit(NET, X, Y, devices=1, **arguments)
    assert vp.fit(NET, X, Y, devices=1, resume=True, **arguments | {"epochs": 3}).state.epoch == 3
