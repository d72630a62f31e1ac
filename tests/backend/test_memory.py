"""Memory that runs out: one error, what it says, and that the process goes on with what it says."""

import sys

import numpy as np
import pytest
from scipy.sparse import csc_array

import vecprop as vp
from helpers import backend_or_skip, cases, raising
from helpers.processes import environment, python
from vecprop.backend import main_memory, out_of_memory
from vecprop.data.streaming.examples import StreamedExamples
from vecprop.training import fitting

pytestmark = pytest.mark.reliability
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS, /proc")

# A network whose pass over all examples takes 0.6 GiB, a process that may take 200 MiB more than it has, and the error.
LIMITED = """
import resource, sys, warnings
warnings.simplefilter("error")
import numpy as np
import vecprop as vp

backend = vp.get_backend(sys.argv[1])
net = vp.Network((32, 512, 512, 1), hidden="relu")
X, Y = np.ones((32, 40_000), "float32"), np.ones((1, 40_000), "float32")
few = X[:, :2048], Y[:, :2048]
params = net.init(backend=backend)
moved = backend.asarray(X), backend.asarray(Y)
net.gradients(params, *(a[:, :2048] for a in moved))
vp.fit(net, *few, epochs=1, backend=backend)            # starts the threads, each of which reserves addresses

import importlib.util
if importlib.util.find_spec("sklearn"):
    from vecprop.estimators import MLPRegressor  # its libraries are no part of what is measured
with open("/proc/self/statm") as statm:
    taken = int(statm.read().split()[0]) * resource.getpagesize()
limit = taken + 200 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

def caught(call):
    try:
        call()
    except vp.OutOfMemoryError as error:
        assert isinstance(error, MemoryError) and isinstance(error, vp.VecpropError)
        assert error.wanted > 10 * 2**20 and 0 < error.free < 2**30 and error.columns >= 64, vars(error)
        assert str(error.columns) in str(error) and "free now" in str(error), error
        again(error)                                    # also where it is still being handled
        print(error.argument, error.columns, "|", error)
    else:
        raise AssertionError("there was enough memory")

def fit(X=X, Y=Y, **options):
    return vp.fit(net, X, Y, epochs=1, backend=backend, seed=3, **options)
"""


def limited(backend, code):
    return python("-c", LIMITED + code, backend, env=environment(OPENBLAS_NUM_THREADS="2")).stdout.splitlines()


FIT = """
def again(error):
    assert error.argument == "block_size"
    result = fit(block_size=error.columns)              # what the error says
    assert np.isfinite(result.history["cost"][0])
caught(lambda: fit(block_size=None))
assert np.isfinite(fit(batch_size=1024).history["cost"][0])
"""
PASS = """
def again(error):
    assert error.argument == "block_size"
    J, grads = net.gradients(params, *moved, block_size=error.columns)
    assert np.isfinite(float(J)) and np.isfinite(backend.to_numpy(grads[0].W)).all()
caught(lambda: net.gradients(params, *moved, block_size=None))
"""


@on_linux
@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_process_that_runs_out_of_memory_goes_on(backend, amount, figure):
    calls = [FIT, PASS]
    if backend == "jax":
        pytest.importorskip("jax")
        calls = amount([FIT], calls)
    lines = [line for call in calls for line in limited(backend, call)]
    assert [line.split()[0] for line in lines] == ["block_size"] * len(calls), lines
    assert f"out of memory on {backend}" in lines[0]
    figure(
        f"a pass of 0.6 GiB where 200 MiB are left, {backend}: `fit`, `gradients`",
        f"`OutOfMemoryError` {len(lines)} of {len(calls)}; the size it names trains",
        "2 of 2",
    )


FORWARD = """
def again(error):
    assert error.argument == "X"
    assert np.isfinite(backend.to_numpy(net.forward(params, moved[0][:, : error.columns]))).all()
    assert np.isfinite(float(net.cost(params, *(a[:, : error.columns] for a in moved))))
caught(lambda: net.forward(params, *moved[:1]))
caught(lambda: net.cost(params, *moved))
def again(error):
    assert error.argument == "batch_size"
    fit(*few, batch_norm=True, **{error.argument: error.columns})
caught(lambda: fit(batch_norm=True))
from vecprop.estimators import MLPClassifier
rows, labels = np.asarray(X.T), np.arange(X.shape[1]) % 2
def again(error):
    MLPClassifier((512, 512), max_iter=1, block_size=None, batch_size=error.columns).fit(rows[:2048], labels[:2048])
def estimate():
    MLPClassifier((512, 512), max_iter=1, block_size=None, batch_size=len(rows)).fit(rows, labels)
warnings.simplefilter("ignore")
caught(estimate)
"""


@on_linux
def test_forward_cost_batch_norm_and_estimators():
    lines = limited("numpy", FORWARD)
    assert [line.split()[0] for line in lines] == ["X", "X", "batch_size", "block_size"], lines


def full(*_):
    raise MemoryError


@pytest.fixture
def small(backend, monkeypatch):
    """A backend that seems to have 128 MiB of main memory."""
    monkeypatch.setattr(out_of_memory, "free_swap", lambda: 0)
    monkeypatch.setattr(type(backend.memory), "free", lambda _: 2**27)
    monkeypatch.setattr(type(backend), "has_gpu", False)
    return backend


def test_a_pass_that_cannot_fit_is_refused_before_the_system_ends_the_process(small):
    """Linux promises more memory than there is: what is hopeless is not begun."""
    net = vp.Network((2, 4096, 1))
    X, Y = vp.datasets.xor(m=16_000)
    for call in (
        lambda: vp.fit(net, X, Y, epochs=1, block_size=None, backend=small, dtype="float32"),
        lambda: net.gradients(net.init(backend=small), small.asarray(X), small.asarray(Y), block_size=None),
    ):
        with pytest.raises(vp.OutOfMemoryError, match="block_size=256 fits") as caught:
            call()
        assert caught.value.wanted == 4 * 4097 * 16_000
        assert caught.value.free == 2**27
    vp.fit(net, X, Y, epochs=1, block_size=256, backend=small, dtype="float32")
    K = vp.Network((2, 512, 512, 1))
    with pytest.raises(vp.OutOfMemoryError, match=r"alone take .*: train fewer networks at once"):
        vp.fit(K, X, Y, epochs=1, seed=range(64), backend=small, dtype="float32")


def test_a_batch_that_is_normalized_counts_as_a_whole(small):
    """Its mean and variance are those of all its examples, so it does not go in blocks, whatever block_size says."""
    net = vp.Network((2, 512, 512, 1))
    X, Y = vp.datasets.xor(m=40_000)
    for block_size in ("auto", 256):
        with pytest.raises(
            vp.OutOfMemoryError, match=r"takes about 626 MiB for 40000 examples.*batch_size=\d+ fits\.$"
        ) as e:
            vp.fit(net, X, Y, epochs=1, backend=small, dtype="float32", batch_norm=True, block_size=block_size)
        assert e.value.argument == "batch_size" and e.value.wanted == 4 * 1025 * 40_000
    few, options = (X[:, :4096], Y[:, :4096]), {"batch_norm": True, "batch_size": e.value.columns}
    assert np.isfinite(vp.fit(net, *few, epochs=1, backend=small, **options).history["cost"][0])


def test_only_gradients_take_memory_for_gradients(monkeypatch):
    monkeypatch.setattr("vecprop.nn.network.wait_if_large", full)
    net = vp.Network((2, 512, 512, 1))
    (X, Y), params = vp.datasets.xor(m=40_000), net.init()
    X, Y = X.astype("float32"), Y.astype("float32")
    calls = {"forward": (X,), "cost": (X, Y), "gradients": (X, Y)}
    for free, sizes, words in (
        (2**30, {"forward": 313, "cost": 313, "gradients": 626}, r"{} of .* takes about {} MiB for 40000 examples"),
        (2**19, {"forward": "parameters", "cost": "parameters"}, r"{} of .* The {} alone take 1.01 MiB"),
        (2**19, {"gradients": "parameters, their gradients"}, r"{} of .* The {} and the optimizer alone take 4.04 MiB"),
    ):
        monkeypatch.setattr(type(vp.get_backend("numpy").memory), "free", lambda _, free=free: free)
        for name, size in sizes.items():
            with pytest.raises(vp.OutOfMemoryError, match=words.format(name, size)):
                getattr(net, name)(params, *calls[name], **({"block_size": None} if name == "gradients" else {}))


@pytest.mark.parametrize("where", ["_start", "prepare"])
def test_before_the_training_begins_fewer_examples_are_the_remedy(monkeypatch, where):
    monkeypatch.setattr(type(vp.get_backend("numpy").memory), "free", lambda _: 2**20)
    X, Y = vp.datasets.xor(m=64_000)
    with monkeypatch.context() as patch:
        patch.setattr(fitting, where, full)
        with pytest.raises(
            vp.OutOfMemoryError, match=r"X and Y and their copies .*: give fit at most 2048 examples"
        ) as e:
            vp.fit(vp.Network((2, 3, 1)), X, Y, epochs=1, batch_size=4)
    assert (e.value.argument, e.value.columns, e.value.free) == ("X", 2048, 2**20)


@pytest.mark.parametrize("window", ["auto", 4000, 2000])
def test_examples_in_files_count_a_window_at_a_time(monkeypatch, window):
    """Of 64 000 examples of 1 KiB those of a window are in memory, four times."""
    room, buffers = 1500, StreamedExamples.buffers

    def limited_buffers(examples, width, dtype=None):
        if width > room:
            raise MemoryError
        return buffers(examples, width, dtype)

    monkeypatch.setattr(StreamedExamples, "buffers", limited_buffers)
    monkeypatch.setattr("vecprop.data.streaming.examples.SMALL", 1)
    monkeypatch.setattr(type(vp.get_backend("numpy").memory), "free", lambda _: 10 * 2**20)
    x, y = (vp.rows(np.zeros((64_000, n), dtype=np.float32)) for n in (255, 1))
    net = vp.Network((255, 2, 1))
    with pytest.raises(vp.OutOfMemoryError) as caught:
        vp.fit(net, x, y, epochs=1, batch_size=256, window=window)
    assert "X and Y" not in str(caught.value)
    assert (caught.value.argument == "window") == (window == 4000)
    if window == 4000:
        assert "A window and its copies on the way take up to 15.6 MiB: window=512 fits." in str(caught.value)
        vp.fit(net, x, y, epochs=1, batch_size=256, window=caught.value.columns)


def test_what_is_in_memory(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((2, 3)))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    in_memory = [np.ones((2, 3)), [[1.0]], csc_array(np.ones((2, 3))), np.array(mapped)]
    assert all(fitting._is_in_memory(x) for x in in_memory)
    assert not any(fitting._is_in_memory(x) for x in (mapped, np.asarray(mapped).T, vp.rows(mapped)))


def test_what_is_free():
    free = main_memory.free_main_memory()
    assert free is None or 2**20 < free < 2**50
    assert main_memory.free_swap() >= 0


def test_the_limit_of_a_container_counts(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    monkeypatch.setattr(main_memory, "_GROUP", tmp_path)
    assert main_memory.free_main_memory() == 450
    (tmp_path / "memory.max").write_text("max\n")
    assert main_memory.free_main_memory() != 450


def test_other_errors_pass_through(backend):
    X, Y = vp.datasets.xor(m=8)
    net = vp.Network((2, 3, 1))
    stop = raising(RuntimeError("RESOURCE_EXHAUSTED: not what it seems"), 1)
    with pytest.raises(vp.CallbackError):
        vp.fit(net, X, Y, epochs=1, callbacks=[stop], backend=backend)


FULL = """
import numpy as np
import vecprop as vp
backend, net = vp.get_backend("{name}"), vp.Network((32, 512, 512, 1), hidden="relu")
{limit}
X, Y = np.ones((32, m), "float32"), np.ones((1, m), "float32")
try:
    vp.fit(net, X, Y, epochs=1, backend=backend, block_size=None)
except vp.OutOfMemoryError as error:
    {again}
    print(error)
"""
A_POOL = "import cupy; cupy.get_default_memory_pool().set_limit(size=400 * 2**20); m = 40_000"
AS_SAID = (
    "assert error.wanted and error.free <= 400 * 2**20 and error.argument == 'block_size', vars(error); "
    "vp.fit(net, X, Y, epochs=1, backend=backend, block_size=error.columns)"
)
A_PART = "m = min(int(backend.memory.free() // (2 * 32 * 4)), 2_000_000)"  # of the device, by the variable
FEWER = "vp.fit(net, X[:, :50_000], Y[:, :50_000], epochs=1, backend=backend, block_size=4096)"


@pytest.mark.gpu
@cases(
    ("cupy", A_POOL, AS_SAID), ("jax", A_PART, FEWER), ids=["a limit of CuPy's pool", "a small part of JAX's device"]
)
def test_a_device_that_is_full(name, limit, again):
    """In a process of its own."""
    if not backend_or_skip(name).has_gpu:
        pytest.skip(f"{name} has no GPU here")
    code, env = FULL.format(name=name, limit=limit, again=again), environment(XLA_PYTHON_CLIENT_MEM_FRACTION="0.02")
    out = python("-c", code, check=False, env=env)
    assert out.stdout.startswith(f"out of memory on {name}"), out
