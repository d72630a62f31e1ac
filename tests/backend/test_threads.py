"""Threads, asyncio tasks and forked processes: whose choice of a backend counts, and that nobody disturbs another."""

import asyncio
import gc
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from types import ModuleType

import numpy as np
import pytest

import vecprop as vp
from helpers import PLAIN
from helpers.processes import python
from helpers.threads import in_threads
from vecprop.backend import blas, scoped_settings

pytestmark = pytest.mark.reliability


def test_numpy_trains_while_another_thread_imports_jax(monkeypatch):
    """JAX is then in `sys.modules`, but has not yet all of its names."""
    for module in ("jax", "jax.core"):
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
    X, Y = vp.datasets.xor(m=20)
    assert vp.fit(vp.Network((2, 3, 1)), X, Y.astype(int), epochs=2, backend="numpy").stopped == "epochs"
    assert vp.distributed.is_first()


def name():
    return vp.get_backend().name


# --- whose choice counts -----------------------------------------------------------------------------------------


@pytest.fixture
def earlier():
    """A thread that runs already: `earlier(call)` is what the call returns there."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        yield lambda call: pool.submit(call).result()


def test_a_block_in_another_thread_is_not_seen(earlier):
    block = ExitStack()
    earlier(lambda: block.enter_context(vp.use_backend(PLAIN)))
    assert name() == "numpy"
    with vp.use_precision("fast"):
        assert (earlier(name), earlier(vp.get_precision)) == ("plain", "highest")
    earlier(block.close)
    assert (name(), vp.get_precision()) == ("numpy", "highest")


def test_a_call_by_itself_is_seen_by_threads_that_run_already(earlier):
    block = ExitStack()
    vp.use_backend(PLAIN)
    assert earlier(name) == "plain"
    earlier(lambda: block.enter_context(vp.use_backend("numpy")))
    vp.use_backend(PLAIN)
    assert earlier(name) == "numpy", "in its block"
    earlier(block.close)
    assert earlier(name) == "plain"


def test_a_call_by_itself_is_seen_by_threads_started_later_also_where_it_is_kept():
    kept = vp.use_backend(PLAIN)  # as a notebook keeps the value of a cell
    assert in_threads(2, lambda _: name()) == ["plain", "plain"]
    with kept:
        assert name() == "plain"
        assert in_threads(1, lambda _: name()) == ["numpy"], "a thread started in a block begins without it"
        context = copy_context()
        assert in_threads(1, lambda _: context.run(name)) == ["plain"]
    assert name() == "numpy"


@pytest.mark.parametrize("done", [repr, lambda _: name()])
def test_a_kept_choice_is_seen_by_threads_that_run_already_once_it_was_shown_or_used(done, earlier):
    """Before that it may become the choice of a block, which is none of their business."""
    kept = vp.use_backend(PLAIN)
    assert earlier(name) == "numpy"
    done(kept)
    assert earlier(name) == "plain"


def test_nested_and_out_of_order():
    vp.use_backend(PLAIN)
    with vp.use_backend("numpy"):
        assert name() == "numpy"
        vp.use_backend(PLAIN)  # later, so it counts here too
        assert name() == "plain"
        with vp.use_backend("numpy"):
            assert name() == "numpy"
        assert name() == "plain"
    assert name() == "plain"
    first, second = vp.use_backend("numpy"), vp.use_backend(PLAIN)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert name() == "plain", "the block that is still open counts"
    second.__exit__(None, None, None)
    assert name() == "plain"
    choice = vp.use_backend("numpy")
    with choice, choice:
        assert name() == "numpy"
    assert name() == "plain"
    with ExitStack() as stack:
        stack.enter_context(vp.use_backend("numpy"))
        assert name() == "numpy"
    with pytest.raises(ZeroDivisionError), vp.use_backend("numpy"):
        raise ZeroDivisionError
    assert name() == "plain"


def test_a_choice_says_what_it_is():
    choice = vp.use_backend("numpy")
    assert repr(choice) == "<vecprop: backend 'numpy' for the rest of the program; `with` ends it with a block>"
    with choice:
        assert "'numpy' for its block" in repr(choice)
    assert "precision 'fast'" in repr(vp.use_precision("fast"))


def test_choices_are_not_piled_up():
    for _ in range(1000):
        vp.use_precision("fast")
    assert sum(len(made) for made in scoped_settings._lasting.values()) <= 4
    for _ in range(1000):
        with vp.use_precision("highest"):
            pass
    assert scoped_settings._blocks.get() == ()


def test_a_thread_that_looked_before_a_block_began_does_not_see_it_when_it_is_over():
    """It may be stopped between reading the choices and asking each whether it counts."""
    choice = vp.use_precision("fast")
    *_, looked_at = scoped_settings._lasting["precision"]
    with choice:
        pass
    del choice
    assert in_threads(1, lambda _: looked_at.counts_here()) == [False]


def test_asyncio_tasks_do_not_see_each_others_blocks():
    async def task(backend, rounds=20):
        seen = set()
        with vp.use_backend(backend):
            for _ in range(rounds):
                await asyncio.sleep(0)
                seen.add(name())
        return seen

    async def main():
        return await asyncio.gather(*(task(["numpy", PLAIN][k % 2]) for k in range(8)))

    assert asyncio.run(main()) == [{"numpy"}, {"plain"}] * 4
    assert name() == "numpy"


@pytest.mark.usefixtures("jax_backend")
def test_eight_threads_with_backends_of_their_own(amount, figure):
    """Blocks opened and closed all the time; two threads that choose nothing see nothing of it."""
    rounds = amount(300, 20_000)
    net, (X, Y) = vp.Network((2, 3, 1)), vp.datasets.xor(m=16)
    kinds = [["numpy", "jax", None][k % 3] for k in range(8)]

    def work(k):
        wrong = 0
        for i in range(rounds):
            if kinds[k] is None:
                wrong += name() != "numpy" or vp.get_precision() != "highest"
                continue
            with vp.use_backend(kinds[k]) as backend, vp.use_precision("fast"):
                wrong += vp.get_backend() is not backend or vp.get_precision() != "fast"
                if i % 100 == 0:
                    wrong += vp.fit(net, X, Y, epochs=1).backend is not backend
        return wrong

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        wrong = in_threads(8, work)
    finally:
        sys.setswitchinterval(before)
    assert wrong == [0] * 8
    figure(
        f"8 threads, `use_backend` and `use_precision` as blocks, {rounds} times each",
        f"{sum(wrong)} saw another's choice",
        "0",
    )


def test_threads_that_load_a_backend_at_once_get_the_same_one():
    code = (
        "import threading, vecprop as vp\n"
        "found, together = [], threading.Barrier(8)\n"
        "def load():\n    together.wait(); found.append(vp.get_backend('jax'))\n"
        "threads = [threading.Thread(target=load) for _ in range(8)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "print(len(found), len(set(map(id, found))))"
    )
    assert python("-c", code).stdout.split() == ["8", "1"]


# --- training in threads -----------------------------------------------------------------------------------------


def jobs():
    """Eight runs of different kinds: small and large batches and products, K networks, dropout, batch normalization."""
    kinds = [(2, 3, 500, 32), (20, 20, 3000, 1000), (100, 64, 6000, 3000), (64, 300, 4000, 4000)]
    for k in range(8):
        n0, n1, m, batch = kinds[k % 4]
        X = np.random.default_rng(k).standard_normal((n0, m)).astype("float32")
        yield vp.Network((n0, n1, 1), hidden="relu"), X, (X[:1] > 0).astype("float32"), batch, k


def trained(job):
    net, X, Y, batch, k = job
    options = {"dropout": 0.2, "batch_norm": k % 2 == 0} if k < 6 else {"seed": (1, 2, 3)}
    run = vp.fit(net, X, Y, optimizer=vp.Adam(), epochs=2, batch_size=batch, **options)
    J, grads = net.gradients(run.params, X, Y)
    return [np.asarray(a).tobytes() for layer in (*run.params, *grads) for a in layer], np.asarray(J).tobytes()


def test_eight_threads_train_as_one(amount, figure):
    """The threads share recorded programs, worker threads and the BLAS, whose threads they limit.

    On some processors (OpenBLAS's Haswell kernels) a large product has other last bits on two threads of the BLAS than
    on one, which is what a run gets while another one limits it: here all have one, alone and together.
    """
    work, rounds, same = list(jobs()), amount(2, 60), 0
    with blas.BLAS().single():
        alone = [trained(job) for job in work]
        for _ in range(rounds):
            same += sum(a == b for a, b in zip(in_threads(8, lambda k: trained(work[k])), alone, strict=True))
    assert same == 8 * rounds
    assert not blas._held, "the BLAS has its threads again"
    figure(
        "8 threads train at the same time, NumPy, one thread of the BLAS: bits of parameters, cost and gradients",
        f"{same} of {8 * rounds} as one after the other",
        "all",
    )


# --- fork --------------------------------------------------------------------------------------------------------

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
FORK = """
import os, signal, sys, threading, time, warnings
import numpy as np
import vecprop as vp
X = np.random.default_rng(0).standard_normal((20, 4000)).astype("float32")
Y = (X[:1] > 0).astype("float32")
net = vp.Network((20, 200, 1))
def run(backend="numpy"):
    params = vp.fit(net, X, Y, epochs=2, batch_size=1000, backend=backend).params
    return [np.asarray(a).tobytes() for layer in params for a in layer]
def forked(work):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)                                # a child that hangs is ended, and its status is not 0
        try:
            os._exit(work())
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(3)
    return os.waitpid(pid, 0)[1]
"""


def forking(code):
    """The words that a process prints in which these functions are there."""
    return python("-c", FORK + code, timeout=600).stdout.split()


NUMPY_FORK = """
from vecprop_numpy.programs import SHELF
before = run()
assert SHELF.count, "a recorded program is there to be used again"
print(forked(lambda: 0 if run() == before else 1))
print(forked(lambda: forked(lambda: 0 if run() == before else 1)))
statuses = [forked(lambda: 0 if run() == before else 1) for _ in range(ROUNDS)]
print(sum(status != 0 for status in statuses))
"""


@forks
def test_numpy_goes_on_after_a_fork(amount, figure):
    """In the child the worker threads are gone: they are started anew, the same bits come out, nothing waits."""
    rounds = amount(3, 100)
    assert forking(NUMPY_FORK.replace("ROUNDS", str(rounds))) == ["0", "0", "0"]
    figure(
        "os.fork after training, NumPy: the child trains",
        f"{rounds} of {rounds} children: the same bits, none hangs",
        "all",
    )


@forks
def test_a_fork_in_the_middle_of_training():
    """A callback forks: the child goes on with programs that its parent has recorded for threads it does not have."""
    code = """
seen = []
def fork(state, history):
    if state.epoch == 2:
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)
        seen.append(pid)
def train(*callbacks):
    run = vp.fit(net, X, Y, epochs=4, batch_size=1000, callbacks=[lambda *_: None, *callbacks])
    return [np.asarray(a).tobytes() for W in run.params for a in W]
expected = train()
same = train(fork) == expected
if seen[0] == 0:
    os._exit(0 if same else 1)
print(os.waitpid(seen[0], 0)[1], same)
"""
    assert forking(code) == ["0", "True"]


@forks
def test_jax_refuses_after_a_fork():
    """JAX's threads are not in the child: without the error it would wait for ever."""
    pytest.importorskip("jax")
    code = """
warnings.simplefilter("ignore")                         # JAX's own, of the fork
run("jax")
params, A = net.init(backend="jax"), vp.get_backend("jax").asarray(X)
def child():
    for call in (lambda: run("jax"), lambda: net.forward(params, A), lambda: vp.get_backend("jax").asarray(X)):
        try:
            call()
        except vp.BackendUnusableError as error:
            assert "os.fork" in str(error) and "spawn" in str(error)
        else:
            return 1
    run("numpy")
    return 0
print(forked(child))
run("jax")
"""
    assert forking(code) == ["0"]


# --- the switch of CuPy, which is one for all threads -------------------------------------------------------------


def test_two_precisions_at_once_wait_for_each_other():
    """CuPy keeps how products are computed for the whole process; this part of it needs no GPU."""
    pytest.importorskip("cupy")
    from cupy._core import _routines_linalg as linalg

    from vecprop_cupy.products import float32_products

    def get():
        return linalg.get_compute_type(np.dtype("float32"))

    # TensorFloat-32 asks the device whether it has it; any other type does for this
    before, kinds = get(), (linalg.COMPUTE_TYPE_FP32, linalg.COMPUTE_TYPE_PEDANTIC)

    def work(k):
        wrong = 0
        for _ in range(200):
            with float32_products(kinds[k % 2]):
                wrong += get() != kinds[k % 2]
                with float32_products(kinds[k % 2]):
                    wrong += get() != kinds[k % 2]
        return wrong

    assert in_threads(8, work) == [0] * 8
    with float32_products(kinds[0]), float32_products(kinds[1]):  # a thread does not wait for itself
        assert get() == kinds[1]
    gc.collect()
    assert get() == before
