"""The command line: what it prints, what it writes, its exit codes, and that an error is a message, not a traceback."""

import json
import os
import signal
import time
from unittest import mock

import pytest
from matplotlib.image import imread

import vecprop as vp
from helpers import cases
from helpers.commands import RUNNER, app, refused, vecprop
from helpers.processes import environment, python, started
from vecprop.cli import arguments, demo, demonstrations
from vecprop.inspection import gradient_check
from vecprop.propagation import Layer

RUNGS = ("per_neuron", "per_example", "vectorized")


# --- the program --------------------------------------------------------------------------------------------


def test_it_runs_as_a_module():
    done = python("-m", "vecprop", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"vecprop {vp.__version__}\n", "")
    done = python("-m", "vecprop", "shapes", "2", "4", "1", "--m", "7")
    assert done.returncode == 0 and "dW1  (4, 2)" in done.stdout
    done = python("-m", "vecprop", "shapes", "2", check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "Error: sizes must have at least 2 entries, the inputs and the outputs, got [2]\n"


def test_help_names_the_commands_and_loads_no_heavy_library():
    code = (
        "import sys; sys.argv = ['vecprop', '--help']\n"
        "from vecprop.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'jax', 'cupy', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    for name in ("demo", "bench", "check", "backends", "shapes", "explain", "--version"):
        assert name in done.stdout


@pytest.mark.alone
def test_help_is_quick():
    """Measured in imports of NumPy, which it cannot do without, so that a slow or busy machine does not matter."""
    numpy, shown = (
        min(_seconds(*words) for _ in range(4)) for words in (("-c", "import numpy"), ("-m", "vecprop", "-h"))
    )
    assert shown < 4 * numpy, (shown, numpy)  # about 2; 0.3 s where NumPy takes 0.15


def _seconds(*words):
    begin = time.perf_counter()
    assert python(*words).returncode == 0
    return time.perf_counter() - begin


def test_no_command_shows_the_help():
    result = RUNNER.invoke(app)
    assert "Commands:" in result.output


def test_a_mistyped_command():
    _, err = vecprop("chek", code=2)
    assert "No such command 'chek'" in err and "Traceback" not in err


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_one_line_says_how_to_get_it(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; from vecprop.cli import main; main()"
    done = python("-c", code, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f'The command line needs {missing}: pip install "vecprop[cli]"\n'


def test_a_terminal_that_lacks_greek_letters(tmp_path):
    done = python(
        "-c",
        "import sys; sys.argv = ['vecprop', 'check']\nfrom vecprop.cli import main; main()",
        env=environment(PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr


def test_a_reader_that_has_gone():
    words = ["-m", "vecprop", "shapes", *["1"] * 9000]
    process = started(*words)
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_control_c_ends_it_with_130(tmp_path):
    # a test run in the background of a shell ignores the signal, and would hand that on
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = started("-u", "-m", "vecprop", "demo", "--out", tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err == "Error: interrupted\n"


# --- shapes -------------------------------------------------------------------------------------------------


def test_shapes():
    out, err = vecprop("shapes", 784, 128, 10, "--m", 100)
    assert err == "" and out == f"{vp.Network((784, 128, 10)).shapes(100)}\n"


def test_shapes_as_json():
    out, _ = vecprop("shapes", "3-5-2", "--m", 9, "--json")
    table = json.loads(out)
    assert table["W1"] == [5, 3] and table["dZ2"] == [2, 9] and next(iter(table)) == "X"


@pytest.mark.parametrize("words", [["shapes"], ["shapes", 2, 1, "--m", "x"], ["shapes", "--n", 1]])
def test_wrong_usage_shows_the_usage(words):
    out, err = vecprop(*words, code=2)
    assert out == "" and "Usage: vecprop shapes" in err and "Error: " in err


# --- backends -----------------------------------------------------------------------------------------------


def test_backends():
    out, _ = vecprop("backends")
    assert f"{vp.backends()}" in out and out.endswith("active: numpy, the default\n")


@pytest.mark.usefixtures("jax_backend")
def test_backends_as_json_with_the_choice_of_the_environment(monkeypatch):
    monkeypatch.setenv("VECPROP_BACKEND", "jax")
    status = json.loads(vecprop("backends", "--json")[0])
    assert status["active"] == "jax" and "VECPROP_BACKEND" in status["reason"]
    by_name = {entry["name"]: entry for entry in status["backends"]}
    assert by_name["jax"]["active"] and not by_name["numpy"]["active"] and by_name["numpy"]["usable"]
    assert {"numpy", "cupy", "jax"} <= set(by_name)


def test_backends_when_the_environment_asks_for_none_of_them(monkeypatch):
    monkeypatch.setenv("VECPROP_BACKEND", "nunpy")
    out, err = vecprop("backends", code=2)
    assert "numpy" in out and "active: none" in out
    assert err.startswith("Error: VECPROP_BACKEND: unknown backend 'nunpy': did you mean 'numpy'?")


# --- check --------------------------------------------------------------------------------------------------


@cases(
    [],
    ["--sizes", "3,4,5,2", "--hidden", "tanh,relu", "--output", "softmax", "--l2", 0],
    ["--sizes", "4,2", "--output", "identity", "--m", 1],
    ["--sizes", "3,4,2", "--output", "softmax", "--loss", "squared_error", "--seed", 9],
)
def test_gradients_are_checked(options):
    out, err = vecprop("check", *options)
    assert err == "" and out.startswith("network ") and "complex step" in out
    assert "ok" in out and "WRONG" not in out


def test_gradients_are_checked_on_the_backend_asked_for(jax_backend, monkeypatch):
    seen, real = [], gradient_check.check_gradients
    monkeypatch.setattr(gradient_check, "check_gradients", lambda *a, **k: seen.append(a[1]) or real(*a, **k))
    assert "ok" in vecprop("check", "--sizes", "2,1", "--backend", "jax")[0]
    assert isinstance(seen[0][0].W, type(jax_backend.asarray([1.0])))


def test_check_as_json():
    found = json.loads(vecprop("check", "--sizes", "3,4,1", "--json")[0])
    assert found["passed"] and found["wrong"] == [] and sorted(found["errors"]) == ["W1", "W2", "b1", "b2"]
    assert found["network"].startswith("network 3-4-1") and max(found["errors"].values()) <= found["tolerance"]


def test_a_wrong_gradient_ends_with_1(monkeypatch):
    real = gradient_check.check_gradients

    def with_a_mistake(net, params, X, Y, **options):
        _, (first, second) = net.gradients(params, X, Y, l2=options["l2"])
        return real(net, params, X, Y, grads=[Layer(first.W, -first.b), second], **options)

    monkeypatch.setattr(gradient_check, "check_gradients", with_a_mistake)
    out, err = vecprop("check", code=1)
    assert "db1" in out and "WRONG" in out and err == "Error: the gradient of b1 is wrong\n"
    out, err = vecprop("check", "--json", code=1)
    assert json.loads(out)["wrong"] == ["b1"] and err == "Error: the gradient of b1 is wrong\n"


@cases(
    (["shapes", 2, 0, 1], "sizes[1] must be a positive integer, got 0"),
    (["shapes", 2, 1, "--m", -4], "m must be a positive integer, got -4"),
    (["check", "--sizes", "3,x,1"], "--sizes must be integers such as 3,4,1; got '3,x,1'"),
    (["explain", 3, "a", 1], "sizes must be integers such as 3,4,1; got '3 a 1'"),
    (["check", "--hidden", "tahn"], "hidden: unknown activation 'tahn': did you mean 'tanh'?"),
    (["check", "--output", "softmax"], "output: softmax over 1 unit"),
    (["check", "--loss", "squared_eror"], "did you mean 'squared_error'?"),
    (["check", "--m", 0], "m must be a positive integer, got 0"),
    (["check", "--l2", -1], "l2 must be a finite number >= 0, got -1.0"),
    (["check", "--seed", -1], "seed must be an integer from 0 to 2**64 - 1, got -1"),
    (["check", "--backend", "jaxx"], "unknown backend 'jaxx': did you mean 'jax'?"),
)
def test_what_the_library_refuses(words, message):
    assert message in refused(*words)


# --- errors -------------------------------------------------------------------------------------------------


@cases(
    (ValueError("no such thing"), 2, "no such thing"),
    (TypeError("of the wrong kind"), 2, "of the wrong kind"),
    (ImportError('pip install "vecprop[jax]"'), 2, 'pip install "vecprop[jax]"'),
    (vp.BackendUnusableError("no driver"), 2, "no driver"),
    (FileNotFoundError(2, "No such file or directory", "x.csv"), 2, "x.csv: No such file or directory"),
    (MemoryError("Unable to allocate 9 TiB"), 2, "not enough memory: Unable to allocate 9 TiB"),
    (MemoryError(), 2, "not enough memory"),
    (ValueError(), 2, "ValueError"),
    (vp.DivergenceError("diverged", epoch=1, step=1, layer=1, params=(), state=None, history={}), 1, "diverged"),
    (KeyboardInterrupt(), 130, "interrupted"),
)
def test_errors_are_messages_with_an_exit_code(raised, code, message, monkeypatch):
    monkeypatch.setattr(gradient_check, "check_gradients", mock.Mock(side_effect=raised))
    assert refused("check", code=code) == message


def test_a_mistake_of_the_program_is_not_hidden(monkeypatch):
    monkeypatch.setattr(gradient_check, "check_gradients", mock.Mock(side_effect=AssertionError("a mistake of ours")))
    with pytest.raises(AssertionError, match="a mistake of ours"):
        vecprop("check")


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for command in ("demo", "bench"):
        for folder in (file / "sub", file):
            assert refused(command, "--out", folder) == f"cannot write into {file}: it is a file; name a folder"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    assert "Permission denied" in refused("bench", "--out", tmp_path / "sub")


# --- bench --------------------------------------------------------------------------------------------------


def test_bench_prints_a_table_and_writes_files(tmp_path):
    out, err = vecprop("bench", "--sizes", "1,20", "--budget", 0.01, "--out", tmp_path / "new")
    assert "numpy, network 2-4-1, float32" in out and "speed-up" in out
    paths = [tmp_path / "new" / name for name in ("bench.json", "speed-up.png")]
    assert out.splitlines()[-2:] == [f"wrote {path}" for path in paths]
    assert imread(paths[1]).ndim == 3
    assert len(json.loads(paths[0].read_text(encoding="utf-8"))["rows"]) == 2 * len(RUNGS)
    assert len(err.splitlines()) == 2 * len(RUNGS)  # one line of progress for each cell


def test_bench_as_json(tmp_path):
    options = ["--sizes", "3", "--dtype", "float32", "--dtype", "float64", "--pass", "forward", "--pass", "gradients"]
    out, err = vecprop("bench", *options, "--budget", 0.01, "--network", "3-2-2", "--out", tmp_path, "--json")
    rows = json.loads(out)["rows"]
    assert {(r["dtype"], r["pass_name"], r["rung"]) for r in rows} == {
        (d, p, r) for d in ("float32", "float64") for p in ("forward", "gradients") for r in RUNGS
    }
    assert {r["network"] for r in rows} == {"3-2-2"} and f"wrote {tmp_path / 'bench.json'}" in err


def test_bench_without_a_speed_up_to_draw(tmp_path):
    _, err = vecprop("bench", "--sizes", "2", "--pass", "forward", "--budget", 0.01, "--out", tmp_path)
    assert "no picture" in err and [path.name for path in tmp_path.iterdir()] == ["bench.json"]


@cases(
    (["bench", "--sizes", "1,x"], "--sizes must be integers"),
    (["bench", "--sizes", "0"], "sizes must be a positive integer, got 0"),
    (["bench", "--network", "2-4-x"], "--network: unknown network '2-4-x': did you mean '2-4-1'?"),
    (["bench", "--network", "0-1"], "sizes[0] must be a positive integer, got 0"),
    (["bench", "--dtype", "float16"], "must be float32 or float64, got 'float16'"),
    (["bench", "--pass", "backward"], "did you mean 'forward'?"),
    (["bench", "--budget", 0], "budget must be a finite number > 0, got 0"),
    (["bench", "--backend", "nunpy"], "did you mean 'numpy'?"),
    (["demo", "--seed", -3], "seed must be an integer from 0"),
    (["demo", "--backend", "numpie"], "did you mean 'numpy'?"),
)
def test_a_bench_and_a_demo_that_cannot_be(options, message, tmp_path):
    assert message in refused(*options, "--out", tmp_path / "unused")
    assert not (tmp_path / "unused").exists()


def test_backends_of_the_command_line(monkeypatch):
    monkeypatch.setattr(arguments, "usable_backends", lambda: ["numpy", "jax"])
    assert arguments.backend_names(None) == arguments.backend_names([]) == [None]
    assert arguments.backend_names(["jax", "ALL"]) == ["jax", "numpy"]
    assert arguments.backend_names(["cupy", "cupy"]) == ["cupy"]


# --- demo ---------------------------------------------------------------------------------------------------


@pytest.mark.reliability
@pytest.mark.alone
def test_the_quick_demo_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out, err = vecprop("demo", "--quick", "--out", "pictures", "--seed", 1, "--backend", "numpy")
    assert err == "" and out.startswith(f"vecprop {vp.__version__}, seed 1, backend numpy (from --backend)")
    assert "FAILED" not in out and "claims hold, " in out.splitlines()[-1]
    for words in (
        "(E40)",
        "(E23",
        "(E27)",
        "(E28)",
        "(E36)",
        "% of the test digits",
        "speed-up",
        "numpy, network 2-4-1",
    ):
        assert words in out
    names = ["cost-curve.png", "decision-boundary.png", "saturation.png", "speed-up.png", "vanishing-gradient.png"]
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["bench.json", *names]
    for name in names:
        assert os.path.join("pictures", name) in out
        image = imread(tmp_path / "pictures" / name)
        assert min(image.shape[:2]) >= 500 and image[..., :3].std() > 0.02
    rows = json.loads((tmp_path / "pictures" / "bench.json").read_text(encoding="utf-8"))["rows"]
    assert {row["backend"] for row in rows} == {s.name for s in vp.backends().values() if s.usable}
    assert vp.get_backend().name == "numpy"


@pytest.mark.reliability
@pytest.mark.alone
def test_the_whole_demo_takes_less_than_a_minute(tmp_path):
    begin = time.perf_counter()
    done = python("-m", "vecprop", "demo", cwd=tmp_path)
    seconds = time.perf_counter() - begin
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "" and (tmp_path / "vecprop-demo" / "speed-up.png").exists()
    assert seconds < 60, done.stdout


def test_the_demo_runs_on_the_backend_of_the_environment(tmp_path, monkeypatch, jax_backend):
    used = []
    real = demonstrations.saturation
    monkeypatch.setenv("VECPROP_BACKEND", jax_backend.name)
    monkeypatch.setattr(demonstrations, "saturation", lambda seed: used.append(real(seed)) or used[0])
    monkeypatch.setattr(demo, "_SECTIONS", (demo._saturation,))
    out, _ = vecprop("demo", "--out", tmp_path)
    assert "backend jax (from the environment variable VECPROP_BACKEND)" in out and "1 of 1 claims hold" in out
    assert all(run.training.backend is jax_backend for run in used[0])


@cases(
    ("_digits", "digits", lambda r: r._replace(network=r.regression), "at least 96 % of the test digits"),
    ("_planar", "planar", lambda r: r._replace(network=r.regression), "hidden layer adds"),
    ("_zeros", "zero_initialization", lambda r: (r[1], r[1]), "all rows of W1 stay equal"),
    ("_zeros", "zero_initialization", lambda r: (r[0], r[1]._replace(cost=0.7)), "cost gets lower"),
    ("_saturation", "saturation", lambda r: r[::-1], "large weights make the gradient of layer 1 small"),
)
def test_every_section_judges_what_it_shows(section, name, change, claim, monkeypatch, tmp_path):
    real = getattr(demonstrations, name)
    monkeypatch.setattr(demonstrations, name, lambda *a, **k: change(real(*a, epochs=3, **k)))
    fails(monkeypatch, tmp_path, getattr(demo, section), claim)


def fails(monkeypatch, out, section, claim, verdict=""):
    """A demo of this section alone fails for want of this claim."""
    monkeypatch.setattr(demo, "_SECTIONS", (section,))
    told, _ = vecprop("demo", "--out", out, code=1)
    assert verdict in told and any("FAILED: " in line and claim in line for line in told.splitlines()), told


@pytest.mark.reliability
@cases(
    (0, {"ratio": 0.01}, "sigmoid: ‖dW1‖ is less than 0.001 of ‖dW9‖"),
    (0, {"test_accuracy": 0.6}, "and nothing is learned"),
    (1, {"ratio": 0.01}, "ReLU with He's weights, and batch normalization"),
    (2, {"test_accuracy": 0.8}, "ReLU with He's weights, and batch normalization"),
)
def test_the_section_on_depth_judges_what_it_shows(place, change, claim, monkeypatch, tmp_path):
    runs = demonstrations.deep_gradients(0)
    runs[place] = runs[place]._replace(**change)
    monkeypatch.setattr(demonstrations, "deep_gradients", lambda seed: runs)  # noqa: ARG005
    fails(monkeypatch, tmp_path, demo._depth, claim, "1 of 2 claims hold")


@cases(
    ({"inside": 0.8 - 0.101}, "the interval holds 80 % of the prices"),
    ({"inside": 0.8 + 0.101}, "the interval holds 80 % of the prices"),
    ({"loaded_predicts_the_same": False}, "the model predicts the same when it is loaded"),
    ({"theirs": demonstrations.Fitted(1.0, 1, 0.9498)}, "both read as many digits"),
)
def test_the_section_on_the_estimators_judges_what_it_shows(change, claim, monkeypatch, tmp_path):
    fitted = demonstrations.Fitted(seconds=1.0, epochs=200, accuracy=0.97)
    result = demonstrations.DropInResult(fitted, fitted, 0.9, 0.8, 30_000, True)._replace(**change)
    monkeypatch.setattr(demonstrations, "drop_in", lambda seed: result)  # noqa: ARG005
    fails(monkeypatch, tmp_path, demo._estimators, claim, "2 of 3 claims hold")


def test_a_check_that_finds_nothing_fails_the_demo(monkeypatch, tmp_path):
    right = demonstrations.wrong_gradient(0, factor=1.0)
    monkeypatch.setattr(demonstrations, "wrong_gradient", lambda _: right)
    fails(monkeypatch, tmp_path, demo._gradients, "the check finds it")


def test_a_demo_without_its_libraries_says_so_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    message = refused("demo", "--out", tmp_path / "unused")
    assert message == (
        'the demo needs scikit-learn for the digits and matplotlib for the pictures: pip install "vecprop[cli,sklearn]"'
    )
    assert not (tmp_path / "unused").exists()
