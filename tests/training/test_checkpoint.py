"""Checkpoints: a run that was broken off goes on and ends, bit for bit, where it would have ended."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from unittest import mock

import numpy as np
import pytest

import vecprop as vp
from helpers import assert_same, assert_same_run, backend_or_skip, cases, raising
from helpers.faults import broken_off
from helpers.processes import started
from vecprop.training import checkpoint
from vecprop.training.results import TrainingState

pytestmark = pytest.mark.reliability
MOONS = vp.datasets.moons(m=230)
NET = vp.Network((2, 8, 1))
BASE = {"optimizer": vp.Adam(0.02), "epochs": 6, "batch_size": 20, "seed": 0}
EVERYTHING = {
    "dropout": 0.2, "batch_norm": True, "validation": 0.2, "patience": 3, "standardize": True, "metric": "accuracy",
    "l1": 0.01, "l2": 0.1, "clip_norm": 1.0,
}  # fmt: skip


def fit(backend, **arguments):
    return vp.fit(NET, *MOONS, **{**BASE, "backend": backend, **arguments})


def same(one, two):
    """Whether two results are the same to the last bit, with all that can be gone on from."""
    assert_same_run(one, two)
    assert_same(*((*result.state[:2], result.state.statistics) for result in (one, two)))
    assert (one.stopped, one.state.epoch, one.state.step) == (two.stopped, two.state.epoch, two.state.step)
    return True


# --- bits -----------------------------------------------------------------------------------------------------

LEAVING = {
    "seed": range(5), "validation": 0.2, "patience": 2, "epochs": 25, "batch_size": 60,
    "optimizer": vp.Adam((0.3, 0.001, 0.1, 0.2, 0.03)),
}  # fmt: skip
RUNS = {
    "epochs": (1, 2, {}),
    "every second": (2, 2, {}),
    "in an epoch": (0.25, 6, {}),
    "batch by batch": (0.01, 17, {}),
    "full batch": (2, 2, {"batch_size": None}),
    "everything": (0.3, 7, EVERYTHING),
    "a stack": (0.25, 6, {"seed": range(3), "dropout": 0.2, "batch_norm": True, "validation": 0.2, "patience": 3}),
    "a stack that networks leave": (0.25, 40, LEAVING),
    "learning rates": (1, 3, {"optimizer": vp.Momentum((0.1, 0.01), schedule=vp.Cosine())}),
    "a plateau": (1, 3, {"optimizer": vp.RMSProp(0.01, schedule=vp.ReduceOnPlateau()), "validation": 0.2}),
    "weights": (0.5, 4, {"sample_weight": np.arange(230) % 3, "optimizer": vp.AdamW(0.01)}),
}


@pytest.mark.parametrize("case", RUNS)
def test_it_ends_where_it_would_have_ended(backend, case, tmp_path, amount):
    if backend.name == "jax" and case not in amount(("everything",), ("in an epoch", "everything", "a stack")):
        pytest.skip("a compilation less")
    every, after, plain = RUNS[case]
    arguments = {**plain, "checkpoint_every": every}
    whole = fit(backend, checkpoint=tmp_path / "whole", **arguments)
    broken_off(after, fit, backend, checkpoint=tmp_path / "c", **arguments)
    for path in (tmp_path / "c", checkpoint.previous_of(tmp_path / "c")):
        assert same(fit(backend, resume=path, **arguments), whole)
    assert same(fit(backend, checkpoint=tmp_path / "c", resume=True, **arguments), whole)
    if backend.name == "numpy":
        assert same(fit(backend, **plain), whole), "checkpoints change nothing"


def test_a_run_that_goes_on_from_a_state_is_resumed_to_its_end(tmp_path):
    """Epochs are counted from where the run began, also those between two checkpoints."""
    begun = fit("numpy", epochs=3).state
    more = {"epochs": 5, "checkpoint_every": 2, "checkpoint": tmp_path / "c"}
    whole = fit("numpy", state=begun, epochs=5)
    broken_off(1, fit, "numpy", state=begun, **more)
    assert checkpoint._read(tmp_path / "c")[1]["epoch"] == 5
    assert same(fit("numpy", **more, resume=True), whole)
    assert whole.state.epoch == 8


def test_ctrl_c_writes_what_was_reached(tmp_path):
    arguments = {"checkpoint": tmp_path / "c", "checkpoint_every": 100}
    with pytest.warns(RuntimeWarning, match="training was interrupted after 3 of 6 epochs"):
        assert fit("numpy", callbacks=raising(KeyboardInterrupt(), 3), **arguments).stopped == "interrupted"
    assert (tmp_path / "c").exists(), "although none was due"
    assert same(fit("numpy", resume=True, **arguments), fit("numpy"))


def test_a_run_that_ended_is_given_back(tmp_path):
    """It is started with resume=True as well."""
    run = {"epochs": 200, "validation": 0.3, "patience": 2}
    arguments = run | {"checkpoint": tmp_path / "c", "resume": True}
    whole = fit("numpy", **arguments)
    assert whole.stopped == "patience" and same(whole, fit("numpy", **run))
    calls = []
    assert same(fit("numpy", callbacks=lambda *_: calls.append(1), **arguments), whole)
    assert calls == []
    done = fit("numpy", checkpoint=tmp_path / "d")
    assert same(fit("numpy", resume=tmp_path / "d"), done)
    more = fit("numpy", resume=tmp_path / "d", epochs=8)
    assert same(more, fit("numpy", epochs=8)), "and more epochs may be asked for"


# --- files ----------------------------------------------------------------------------------------------------


def test_the_one_before_serves_where_the_last_is_damaged(tmp_path):
    whole = fit("numpy", checkpoint=tmp_path / "c")
    data = (tmp_path / "c").read_bytes()
    for damaged in (data[:-1], data[:20], b"", data[:500] + bytes([data[500] ^ 1]) + data[501:]):
        (tmp_path / "c").write_bytes(damaged)
        with pytest.warns(RuntimeWarning, match=r"going on from the one before, '.*c\.previous'"):
            assert same(fit("numpy", resume=tmp_path / "c"), whole)
    (tmp_path / "c").unlink()
    with pytest.warns(RuntimeWarning, match=r"No such file|going on from the one before"):
        assert same(fit("numpy", resume=tmp_path / "c"), whole)
    (tmp_path / "c.previous").write_bytes(b"x")
    (tmp_path / "c").write_bytes(b"y")
    with pytest.raises(vp.ModelFileError, match=r"'.*c' is no model file"):
        fit("numpy", resume=tmp_path / "c")


def test_the_one_before_is_beside_the_file_that_a_link_names(tmp_path):
    (tmp_path / "c").symlink_to("real")
    whole = fit("numpy", checkpoint=tmp_path / "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "real", "real.previous"]
    (tmp_path / "real").write_bytes(b"")
    with pytest.warns(RuntimeWarning, match="going on from the one before"):
        assert same(fit("numpy", resume=tmp_path / "c"), whole)


def test_a_file_system_without_hard_links(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", mock.Mock(side_effect=PermissionError(1, "no links here")))
    whole = fit("numpy", checkpoint=tmp_path / "c")
    assert same(fit("numpy", resume=tmp_path / "c.previous"), whole)


def test_a_checkpoint_is_no_model(tmp_path):
    result = fit("numpy", checkpoint=tmp_path / "c")
    with pytest.raises(vp.ModelFileError, match=r"is a checkpoint of a training run: vp.fit\(…, resume=path\)"):
        vp.load(tmp_path / "c")
    vp.save(tmp_path / "m", result)
    with pytest.raises(vp.ModelFileError, match=r"is a file with a 'network': load it with vp.load"):
        fit("numpy", resume=tmp_path / "m")


def test_a_checkpoint_with_parts_missing_is_damaged(tmp_path):
    fit("numpy", checkpoint=tmp_path / "c")
    parts = checkpoint.tensor_file.decode((tmp_path / "c").read_bytes())
    (tmp_path / "c.previous").unlink()
    needed = ("specification", "epoch", "first", "stopped", "plateau", "history", "best")
    for which, name in (*((0, name) for name in needed), *((1, name) for name in parts[1])):
        rest = [dict(part) for part in parts]
        del rest[which][name]
        (tmp_path / "c").write_bytes(checkpoint.tensor_file.encode(*rest))
        with pytest.raises(vp.ModelFileError, match="holds no checkpoint that this version of vecprop knows"):
            fit("numpy", resume=tmp_path / "c")


def test_other_masks_are_told(tmp_path, recwarn):
    """As in a checkpoint of a version that drew the masks of dropout in another way; a run without them is the same."""
    for dropout in (0.2, 0.0):
        fit("numpy", checkpoint=tmp_path / "c", dropout=dropout)
        header, tensors = checkpoint.tensor_file.decode((tmp_path / "c").read_bytes())
        del header["masks"]
        (tmp_path / "c").write_bytes(checkpoint.tensor_file.encode(header, tensors))
        fit("numpy", resume=tmp_path / "c", dropout=dropout)
    (told,) = recwarn
    assert "other dropout masks: from here on the run has new ones" in str(told.message)


OTHERS = {
    "optimizer": vp.Adam(0.03), "l1": 0.1, "dropout": 0.1, "batch_norm": True, "standardize": True, "shuffle": False,
    "metric": "accuracy", "patience": 3, "precision": "fast", "block_size": 10, "sample_weight": np.ones(230),
    "net": vp.Network((2, 9, 1)),
}  # fmt: skip


@cases(
    ({"seed": 1}, "seed = 0, and this fit has seed = 1"),
    ({"batch_size": 30}, "batch_size = 20, and this fit has batch_size = 30"),
    ({"optimizer": vp.GradientDescent(0.02)}, "optimizer: class = 'Adam', and this fit has optimizer: class = 'Gr"),
    ({"l2": 0.1}, "l2 = 0.0, and this fit has l2 = 0.1"),
    *(({name: value}, rf"{name}(: \w+)* = ") for name, value in OTHERS.items()),
    ({"clip_norm": 1.0}, "clip_norm = None, and this fit has clip_norm = 1.0"),
    ({"dtype": "float32"}, "dtype = 'float64', and this fit has dtype = 'float32'"),
    ({"backend": "jax"}, "backend = 'numpy', and this fit has backend = 'jax'"),
    ({"net": vp.Network((2, 8, 1), hidden="relu")}, r"net: hidden = .*Tanh.*, and this fit has net: hidden = .*ReLU"),
    ({"X": MOONS.X[:, :200], "Y": MOONS.Y[:, :200]}, r"the shape of X = \[2, 230\], and this fit has"),
    ({"X": MOONS.X + 1e-9}, "the values of X and Y = '[0-9a-f]{8}…', and this fit has .* = '[0-9a-f]{8}…'; give it"),
    ({"Y": 1 - MOONS.Y}, "the values of X and Y = "),
    ({"validation": 0.1}, "the shape of X = |the values of X and Y = "),
)
def test_another_run_is_refused_by_name(change, named, tmp_path):
    if "backend" in change:
        backend_or_skip("jax")
    fit("numpy", checkpoint=tmp_path / "c")
    before = (tmp_path / "c").read_bytes()
    arguments = {"net": NET, "X": MOONS.X, "Y": MOONS.Y, "backend": "numpy", **BASE, **change}
    with pytest.raises(ValueError, match=f"resume: the checkpoint '.*c' was written with ({named})"):
        vp.fit(**arguments, checkpoint=tmp_path / "c", resume=True)
    assert (tmp_path / "c").read_bytes() == before


@cases(
    ({"checkpoint": "."}, IsADirectoryError, "checkpoint: '.' is a directory"),
    ({"checkpoint": "no/c"}, FileNotFoundError, "checkpoint: there is no directory .*no"),
    ({"resume": "none"}, FileNotFoundError, "resume: there is no checkpoint 'none'"),
    ({"resume": True}, ValueError, "resume=True goes on from `checkpoint`, and there is none"),
    ({"checkpoint": "a\0b"}, ValueError, "checkpoint must have no zero character"),
    ({"checkpoint": "c", "optimizer": vp.LBFGS(), "batch_size": None}, ValueError, "LBFGS keeps its memory"),
    ({"resume": "c", "state": TrainingState((), None, 0, 0)}, ValueError, "state or resume, not both"),
)
def test_what_is_refused(arguments, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        fit("numpy", **arguments)
    assert os.listdir(tmp_path) == []


# --- estimators and the command line --------------------------------------------------------------------------


def test_estimators(tmp_path):
    X, y = MOONS.X.T, MOONS.Y[0].astype(int)
    arguments = {"hidden_layer_sizes": (8,), "max_iter": 8, "random_state": 0, "early_stopping": True, "tol": 0.0}
    arguments |= {"n_iter_no_change": 20, "learning_rate": vp.Cosine(), "learning_rate_init": 0.01}
    whole = vp.estimators.MLPClassifier(**arguments).fit(X, y)
    path = tmp_path / "c"
    broken_off(3, vp.estimators.MLPClassifier(**arguments, checkpoint=path).fit, X, y)
    resumed = vp.estimators.MLPClassifier(**arguments, checkpoint=path, resume=True).fit(X, y)
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))
    assert resumed.loss_curve_ == whole.loss_curve_ and resumed.n_iter_ == whole.n_iter_ == 8
    vp.save(tmp_path / "m", resumed)
    assert vp.load(tmp_path / "m").checkpoint is None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_write_a_last_checkpoint(number, code, tmp_path, figure):
    pytest.importorskip("polars")
    from vecprop.data.houses import houses

    houses(m=300).write_csv(tmp_path / "h.csv")
    words = ("-m", "vecprop", "train", "h.csv", "-t", "price", "--epochs", 100_000, "--patience", 100_000, "-q")
    with started(*words, "--checkpoint", "c", "--checkpoint-every", 1000, cwd=tmp_path) as run:
        ready = time.monotonic() + 60
        while not (tmp_path / "c").exists():
            assert run.poll() is None and time.monotonic() < ready, run.kill() or run.communicate()
            time.sleep(0.02)
        time.sleep(0.3)  # so that there is more to be written
        begin = time.monotonic()
        run.send_signal(number)
        out, err = run.communicate(timeout=30)
        seconds = time.monotonic() - begin
    assert run.returncode == code and out == "", (run.returncode, err)
    assert err == "Error: interrupted; the checkpoint c has what was reached: go on from it with --resume\n"
    header, _ = checkpoint.tensor_file.decode((tmp_path / "c").read_bytes())
    assert header["epoch"] > 1000 and not (tmp_path / "h-model").exists()
    done = f"last checkpoint, exit code {code}, after {seconds:.1f} s"
    figure(f"{signal.Signals(number).name} to `vecprop train`", done, "5 s")
    assert seconds < 5


def test_a_signal_in_a_long_computation_ends_it_within_5_s(tmp_path):
    """The main thread sleeps in C, where Python's handler cannot run."""
    code = (
        "import ctypes, sys, vecprop as vp\n"
        "from vecprop.cli import signals\n"
        "def busy(state, history):\n"
        "    if state.epoch == 4:\n"
        "        print('busy', flush=True)\n"
        "        libc = ctypes.CDLL(None)\n"
        "        for _ in range(30): libc.poll(None, 0, 1000)\n"
        "X, Y = vp.datasets.moons(m=100)\n"
        "signals._interrupt = lambda *_: None\n"  # as if Python never came to it
        "with signals.handled():\n"
        "    vp.fit(vp.Network((2, 4, 1)), X, Y, epochs=9, callbacks=busy, checkpoint='c', checkpoint_every=100)\n"
    )
    with started("-c", code, cwd=tmp_path) as run:
        assert run.stdout.readline() == "busy\n"
        begin = time.monotonic()
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=30)
    assert run.returncode == 143 and time.monotonic() - begin < 5
    header, _ = checkpoint.tensor_file.decode((tmp_path / "c").read_bytes())
    assert header["epoch"] == 3, "the last epoch that was done with all that belongs to it"


def test_train_and_resume_give_the_model_of_one_run(tmp_path):
    pytest.importorskip("polars")
    from helpers.commands import vecprop
    from vecprop.data.houses import houses

    houses(m=200).write_csv(tmp_path / "h.csv")
    words = ("train", tmp_path / "h.csv", "-t", "price", "-q", "--hidden", "8")
    vecprop(*words, "--epochs", 10, "-o", tmp_path / "whole")
    vecprop(*words, "--epochs", 4, "-o", tmp_path / "part", "--checkpoint", tmp_path / "c")
    vecprop(*words, "--epochs", 10, "-o", tmp_path / "rest", "--checkpoint", tmp_path / "c", "--resume")
    one, two = (vp.load(tmp_path / name / "model.safetensors") for name in ("whole", "rest"))
    assert_same(one.estimator.coefs_, two.estimator.coefs_)
    assert "names" not in json.dumps(two.about) and "checkpoint" not in two.about["settings"]
    _, err = vecprop(*words, "--resume", code=2)
    assert "resume goes on from a checkpoint, and there is none" in err


# --- kill -9 --------------------------------------------------------------------------------------------------

CHILD = """
import os, sys
import numpy as np
import vecprop as vp
from vecprop.backend.contract import to_host
name, path = sys.argv[1:]
X, Y = vp.datasets.spirals(m=300)
net = vp.Network((2, 16, 16, 1))
arguments = dict(optimizer=vp.Adam(0.01), epochs=40, batch_size=20, dropout=0.1, backend=name, seed=0, patience=30)


def train():
    result = vp.fit(net, X, Y, checkpoint=path, checkpoint_every=0.5, resume=True, **arguments)
    np.savez(path + ".done.npz", *(to_host(a) for layer in result.params for a in layer), cost=result.history["cost"])


# each line of the input starts a process that trains, from a parent that has everything imported but has used nothing
if name == "jax":
    import jax
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        train()
        os._exit(0)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(status, flush=True)
"""


@pytest.mark.parametrize(("name", "short", "long"), [("numpy", 17, 140), ("jax", 3, 60)])
def test_kill_9_at_random_moments(name, short, long, tmp_path, amount, figure):
    """A run is killed again and again, goes on each time, and ends with the bits of one that was left alone."""
    backend_or_skip(name)
    (tmp_path / "child.py").write_text(CHILD)
    moment, kills, rounds = random.Random(0), 0, 0
    longest = {"numpy": 0.25, "jax": 1.6}[name]
    for path in ("alone", *(f"killed{i}" for i in range(1000))):
        pipes = {"stdin": subprocess.PIPE, "stderr": None}
        with started("child.py", name, path, cwd=tmp_path, **pipes) as parent:
            while not (tmp_path / f"{path}.done.npz").exists():
                parent.stdin.write("\n")
                parent.stdin.flush()
                child = int(parent.stdout.readline())
                if path != "alone" and kills < amount(short, long):
                    time.sleep(moment.uniform(0.02, longest))
                    with contextlib.suppress(ProcessLookupError):  # it was quicker
                        os.kill(child, signal.SIGKILL)
                        kills += 1
                parent.stdout.readline()
            parent.stdin.close()
        rounds += 1
        if path != "alone":
            with np.load(tmp_path / "alone.done.npz") as a, np.load(tmp_path / f"{path}.done.npz") as b:
                assert_same([a[key] for key in sorted(a)], [b[key] for key in sorted(b)])
            if kills >= amount(short, long):
                break
    figure(
        f"kill -9 while training and saving, {name}",
        f"{kills} kills in {rounds - 1} runs, which all ended in the bits of one left alone",
        "the same bits, every time",
    )
    assert kills == amount(short, long)
