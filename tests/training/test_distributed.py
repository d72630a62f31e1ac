"""Training in several processes on this machine, over Gloo: the same run, the same errors, and what a death does."""

import json
import os
import signal
import socket
import sys
import time

import pytest

import vecprop as vp
from helpers import assert_near, backend_or_skip, cases
from helpers.processes import TESTS, environment, started
from helpers.several_processes import RUNS

pytestmark = [pytest.mark.reliability, pytest.mark.skipif(sys.platform != "linux", reason="Gloo, as JAX has it")]
WORKER = TESTS / "helpers" / "several_processes.py"


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A folder for compiled programs: those of one process serve another, and a restart."""
    folder = tmp_path_factory.mktemp("programs")
    folder.chmod(0o700)
    return folder


@pytest.fixture
def start(programs):
    """Start processes that belong together; none is left at the end."""
    backend_or_skip("jax")
    begun = []

    def begin(count, words, **extra):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        env = environment(
            "SLURM", "OMPI", path=TESTS, JAX_PLATFORMS="cpu", XLA_FLAGS="--xla_backend_optimization_level=0",
            JAX_COMPILATION_CACHE_DIR=str(programs), JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
        )  # fmt: skip
        processes = []
        for number in range(count):
            more = {name: value.format(port=port, number=number) for name, value in extra.items()}
            own = (word.format(port=port, count=count, number=number) for word in words)
            processes.append(started(*own, env=env | more))
        begun.extend(processes)
        return processes

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def worker(what, *rest):
    return [str(WORKER), what, "{port}", "{count}", "{number}", *map(str, rest)]


def finished(processes):
    """What the processes print, as JSON; all have ended well."""
    ended = [process.communicate(timeout=240) for process in processes]
    for process, (_, err) in zip(processes, ended, strict=True):
        assert process.returncode == 0, err[-3000:]
    return [[json.loads(line) for line in out.splitlines() if line.startswith("{")] for out, _ in ended]


@pytest.mark.parametrize(("count", "short", "long"), [(2, "everything", ",".join(RUNS)), (4, "", ",".join(RUNS))])
def test_the_same_run_as_in_one_process(count, short, long, start, amount, figure):
    names = amount(short, long)
    if names == "":
        pytest.skip("with --long")
    first, *others = finished(start(count, worker("runs", names)))
    assert [line["run"] for line in first] == names.split(",") and all(out == [] for out in others)
    assert max(line["difference"] for line in first) < 1e-10, first
    figure(
        f"20 epochs in {count} processes, each with its part of the examples: {names.replace(',', ', ')}",
        f"{max(line['difference'] for line in first):.0e} from the run in one",
        "1e-10",
    )


def test_what_is_wrong_in_one_is_said_by_all(start):
    one, two = finished(start(2, worker("wrong")))
    assert one == two
    found = {line["wrong"]: line["error"] for line in one}
    assert found["seed"].startswith("the processes disagree on seed: process 0 has 0, process 1 has 1")
    assert found["net"].startswith("the processes disagree on net: process 0 has ")
    assert found["NaN"].startswith("process 1 of 2: X must be finite, got 1 NaN or infinite value, the first at (1, 3)")
    assert found["empty"].startswith("process 1 of 2: X is empty: shape (2, 0)")
    assert found["shape"].startswith("process 1 of 2: X must have shape (2, m), one example per column, got (1, 113)")
    assert "devices: examples in files are read by one process, and there are several" in found["files"]
    assert found["weights"].startswith("the processes disagree on sample_weight: process 0 has 'given', process 1 has")


def test_a_death_ends_the_others_and_a_restart_goes_on(start, tmp_path, amount, figure):
    epochs, victims = 60, amount((1,), (1, 0))
    whole, _ = finished(start(2, worker("train", tmp_path / "whole", epochs)))
    path = tmp_path / "c"
    slowest = 0.0
    for victim in victims:
        processes = start(2, worker("train", path, epochs))
        before = path.read_bytes() if path.exists() else b""
        ready = time.monotonic() + 120
        while not path.exists() or path.read_bytes() == before:
            assert time.monotonic() < ready and all(p.poll() is None for p in processes)
            time.sleep(0.01)
        processes[victim].send_signal(signal.SIGKILL)
        begin = time.monotonic()
        _, err = processes[1 - victim].communicate(timeout=60)
        slowest = max(slowest, time.monotonic() - begin)
        assert processes[1 - victim].returncode not in (0, None)
        assert f"process {1 - victim} of 2 cannot go on: another one has ended" in err, err[-3000:]
        assert "with resume=True they go on from the checkpoint" in err
    assert slowest < 20
    (again,), (other,) = finished(start(2, worker("train", path, epochs)))
    assert again["bits"] == whole[0]["bits"] == other["bits"] and again["cost"] == whole[0]["cost"]
    assert again["epoch"] == epochs and not [name for name in os.listdir(tmp_path) if name.startswith(".")]
    figure(
        f"one of two processes killed, {len(victims)} times, and both started again",
        f"the other ended with an error after {slowest:.1f} s; the end has the bits of a run left alone",
        "20 s, the same bits",
    )


@cases(
    (ValueError, "UNKNOWN: Gloo AllGather failed: [pair.cc:538] Read error [127.0.0.1]:4504: Connection reset", True),
    (None, "INTERNAL: NCCL operation ncclAllReduce failed", True),
    (None, "UNAVAILABLE: failed to connect", True),
    (None, "INVALID_ARGUMENT: the shapes differ", False),
    (ValueError, "a callback's database: connection refused", False),
    (ValueError, "postgres: connection refused", False),
    (OSError, "UNAVAILABLE: a disk", False),
)
def test_which_errors_say_that_a_process_is_lost(kind, text, lost):
    jax = pytest.importorskip("jax")
    from vecprop_jax.mesh import JAXTeam

    assert JAXTeam().has_lost((kind or jax.errors.JaxRuntimeError)(text)) is lost


def test_vecprop_train_in_two_processes(start, tmp_path, amount):
    if amount(True, False):
        pytest.skip("with --long")
    pytest.importorskip("polars")
    from vecprop.data.houses import houses

    houses(m=120).write_csv(tmp_path / "h.csv")
    words = ["-m", "vecprop", "train", str(tmp_path / "h.csv"), "-t", "price", "--epochs", "5", "--hidden", "8"]
    variables = {"JAX_COORDINATOR_ADDRESS": "127.0.0.1:{port}", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "{number}"}
    models = []
    for count, more in ((1, ["--devices", "1", "--backend", "jax"]), (2, ["--distributed"])):
        folder = tmp_path / str(count)
        processes = start(count, [*words, *more, "-o", str(folder)], **(variables if count == 2 else {}))
        ended = [process.communicate(timeout=240) for process in processes]
        assert all(process.returncode == 0 for process in processes), ended
        assert f"wrote {folder}" in ended[0][0] and all(out == "" for out, _ in ended[1:])
        models.append(vp.load(folder / "model.safetensors"))
    one, two = (model.estimator.coefs_ for model in models)
    assert_near(two, one, rtol=1e-3, atol=1e-4)


@cases(
    ({"coordinator_address": "here"}, "coordinator_address must be \"host:port\", got 'here'"),
    ({"num_processes": 0}, "num_processes must be a positive integer, got 0"),
    ({"process_id": -1}, "process_id must be an integer from 0, got -1"),
    ({"num_processes": 2, "process_id": 2}, "process_id must be below num_processes = 2, got 2"),
    ({"timeout": 0}, "timeout must be a positive integer"),
    ({"heartbeat": 1.5}, "heartbeat must be a positive integer"),
    ({"JAX_NUM_PROCESSES": "two"}, "JAX_NUM_PROCESSES, for num_processes, must be a whole number, got 'two'"),
)
def test_arguments_that_are_refused(arguments, message, monkeypatch):
    backend_or_skip("jax")
    for name in [name for name in arguments if name.isupper()]:
        monkeypatch.setenv(name, arguments.pop(name))
    with pytest.raises((ValueError, TypeError), match=message):
        vp.distributed.initialize(**arguments)


def test_too_late_and_without_a_cluster():
    """Here JAX is in use already, and one process alone is a team."""
    backend_or_skip("jax").asarray([1.0])
    with pytest.raises(RuntimeError, match=r"before JAX is used: call vecprop.distributed.initialize\(\) first"):
        vp.distributed.initialize("127.0.0.1:1", 1, 0)
    assert vp.distributed.is_first() and vp.distributed.team().count == 1
    vp.distributed.shutdown()


def test_nobody_there(start, amount):
    if amount(True, False):
        pytest.skip("with --long: JAX waits longer than it was told")
    code = "import vecprop as vp; vp.distributed.initialize('127.0.0.1:{port}', 2, 1, timeout=2)"
    (process,) = start(1, ["-c", code])
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0 and err, err
    assert "cannot be reached within 2 s (coordinator_address 127.0.0.1:" in err or "DEADLINE_EXCEEDED" in err, err


def test_no_cluster_is_detected(start):
    (process,) = start(1, ["-c", "import vecprop as vp; vp.distributed.initialize()"])
    _, err = process.communicate(timeout=60)
    assert "ValueError: " in err and "No cluster (SLURM, Open MPI, Kubernetes) was detected: give coordinator" in err
