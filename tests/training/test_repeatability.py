"""The same seed, the same bits; and a million steps that leave nothing behind."""

import hashlib
import inspect
import sys
import threading

import numpy as np
import pytest

import vecprop as vp
from helpers import backend_or_skip
from helpers.processes import environment, python

pytestmark = pytest.mark.reliability


def digest(backend, m=300, width=12, batch_size=64):
    X = np.random.default_rng(5).standard_normal((6, m)).astype("float32")
    Y = (X[:1] * X[1:2] > 0).astype("float32")
    run = vp.fit(
        vp.Network((6, width, 8, 1), hidden="relu"), X, Y, optimizer=vp.Adam(0.01), epochs=3, batch_size=batch_size,
        dropout=0.2, batch_norm=[True, False], l2=0.1, validation=0.2, seed=7, backend=backend,
    )  # fmt: skip
    arrays = [np.asarray(a) for layer in run.params for a in layer]
    text = b"".join(a.tobytes() for a in arrays) + repr((run.history["cost"], run.history["validation_cost"])).encode()
    return hashlib.sha256(text).hexdigest()


def fresh(code, **more):
    code = f"import hashlib\nimport numpy as np, vecprop as vp\n{inspect.getsource(digest)}\n{code}"
    return python("-c", code, env=environment(**more)).stdout.split()


@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_same_seed_same_bits(name, amount, figure):
    """Mini-batches, dropout, batch normalization, validation; in one process, and in fresh ones."""
    backend = backend_or_skip(name)
    here, elsewhere = amount(5, 20), amount(1, 20)
    one = digest(backend)
    same = sum(digest(backend) == one for _ in range(here))
    alike = sum(fresh(f"print(digest({name!r}))") == [one] for _ in range(elsewhere))
    assert (same, alike) == (here, elsewhere)
    assert digest(backend, width=13) != one, "the digest is of the run"
    figure(
        f"runs with the same seed, {name}: mini-batches, dropout, batch normalization",
        f"{same} of {here} in one process and {alike} of {elsewhere} in fresh ones: the same bits",
        "all",
    )


THREADS = "print(digest('numpy'), digest('numpy', m=20_000, width=256, batch_size=8192))"


def test_what_the_number_of_threads_changes(figure):
    """Where work is shared, column blocks are summed in as many parts as there are threads, so the last bits differ."""
    one, two = (fresh(THREADS, OPENBLAS_NUM_THREADS=n) for n in ("1", "2"))
    assert fresh(THREADS, OPENBLAS_NUM_THREADS="1") == one
    assert one[0] == two[0], "small work is not shared"
    shared = "the same" if one[1] == two[1] else "other"
    figure(
        "OPENBLAS_NUM_THREADS=1 against 2, NumPy: the same seed",
        f"small networks: the same bits; batches of 8192 in shared blocks: {shared} bits",
        "the same where work is not shared",
    )


def test_blocks_on_threads_give_the_same_bits_each_time(amount, figure):
    """Each thread adds up its own blocks, and the sums are added in a fixed order, whichever is ready first."""
    rounds = amount(10, 300)
    X = np.random.default_rng(0).standard_normal((32, 40_000)).astype("float32")
    Y = (X[:1] > 0).astype("float32")
    net = vp.Network((32, 64, 1))
    params = net.init(dtype="float32")

    def bits():
        J, grads = net.gradients(params, X, Y, block_size=1000)
        return J.tobytes(), *(a.tobytes() for layer in grads for a in layer)

    one = bits()
    same = sum(bits() == one for _ in range(rounds))
    assert same == rounds
    figure("gradients in 40 column blocks on 2 threads, NumPy", f"{same} of {rounds} times the same bits", "all")


# --- what is left behind -----------------------------------------------------------------------------------------

ENDURANCE = """
import gc, os, sys, threading, warnings
import numpy as np
import vecprop as vp
name, epochs = sys.argv[1], int(sys.argv[2])
def resident():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
def handles():
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
X, Y = vp.datasets.xor(m=2000)
net = vp.Network((2, 4, 1))
seen = []
def watch(state, history):
    if state.epoch >= 5:
        seen.append((resident(), *handles()))
options = {"optimizer": vp.Adam(1e-4), "batch_size": 2, "dtype": "float32", "backend": name, "callbacks": [watch]}
run = vp.fit(net, X, Y, epochs=epochs, **options)
assert run.state.step == 1000 * epochs and run.history["cost"][-1] < run.history["cost"][0]
grown = max(s[0] for s in seen) - seen[0][0]
print(run.state.step, grown, max(s[1] for s in seen) - seen[0][1], max(s[2] for s in seen) - seen[0][2])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_a_million_steps_leave_nothing_behind(name, amount, figure):
    backend_or_skip(name)
    out = python("-c", ENDURANCE, name, amount(20, 1000), timeout=900)
    steps, grown, files, threads = map(int, out.stdout.split())
    assert grown <= 2 * 2**20
    assert (files, threads) == (0, 0)
    figure(
        f"{steps:,} steps of 2-4-1, {name}: growth of resident memory, open files, threads",
        f"{grown / 2**20:.2f} MiB, {files}, {threads}",
        "≤ 2 MiB, 0, 0",
    )


def test_recorded_programs_are_bounded(amount, figure):
    """Fits of many shapes: the shelf keeps programs up to its limits of number and bytes, the others are freed."""
    from vecprop_numpy import trees
    from vecprop_numpy.programs import ALL_PROGRAMS, MOST_PROGRAMS, SHELF

    X, Y = vp.datasets.xor(m=32)
    fits = amount(300, 2000)
    for i in range(fits):
        vp.fit(vp.Network((2, 3 + i % 50, 3 + i // 50, 1)), X, Y, epochs=1, batch_size=16)
        assert SHELF.count <= MOST_PROGRAMS and SHELF.bytes <= ALL_PROGRAMS
    kept = [p for programs in SHELF.programs.values() for p in programs]
    assert (len(kept), sum(p.bytes for p in kept)) == (SHELF.count, SHELF.bytes) and all(SHELF.programs.values())
    assert trees._static.cache_info().maxsize == 256
    figure(f"{fits} fits of different shapes, NumPy: programs kept", f"{len(kept)}", f"≤ {MOST_PROGRAMS}")


def test_compiled_functions_are_bounded(jax_backend, monkeypatch):
    """JAX would keep 4096 programs of each function, some 4 MB each."""
    from vecprop_jax import one_device

    monkeypatch.setattr(one_device, "MOST_PROGRAMS", 4)

    def double(x):
        return x * 2

    for n in range(1, 12):
        compiled = jax_backend.compile(double)
        assert compiled(jax_backend.asarray(np.ones(n), "float32")).shape == (n,)
        assert compiled._cache_size() <= 4
    assert one_device._jit.cache_info().maxsize == 256


def test_a_thread_that_trained_can_go(amount):
    """Threads of the user come and go; those of the backend are as many as before."""
    X, Y = vp.datasets.xor(m=64)
    net = vp.Network((2, 4, 1))
    vp.fit(net, X, Y, epochs=1)
    before = threading.active_count()
    for _ in range(amount(20, 500)):
        thread = threading.Thread(target=vp.fit, args=(net, X, Y), kwargs={"epochs": 1})
        thread.start()
        thread.join()
    assert threading.active_count() == before
