"""In a browser, that is in Pyodide: no thread starts, some modules are missing, and threadpoolctl may be.

What can be known without a browser is tested here, in processes of their own; `make pyodide` runs Pyodide itself.
"""

import doctest
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import vecprop as vp
from helpers import assert_near
from helpers.processes import ROOT, environment, python

pytestmark = pytest.mark.reliability
CLASSROOM = Path(__file__).parent / "browser" / "classroom.py"
# The standard library's modules that Pyodide 314 (Python 3.14) cannot import: asked of it, private ones left out.
NOT_IN_PYODIDE = {
    "curses", "dbm", "ensurepip", "grp", "msvcrt", "nt", "pwd", "pydoc_data", "readline", "resource", "syslog",
    "tkinter", "turtle", "turtledemo", "venv", "winreg", "winsound",
}  # fmt: skip
NO_THREADS = """
import threading
def refuse(self): raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
"""
NO_PROCESSES = """
import os, subprocess
def refuse_process(*_, **__): raise OSError(58, "emscripten does not support processes.")
subprocess.Popen.__init__ = refuse_process
os.fork = os.posix_spawn = refuse_process
"""


def run(code, cores=None, **more):
    """Run code in a process of its own and return what it prints, as JSON; with so many cores if given."""
    given = f"import os; os.sched_getaffinity = lambda pid: set(range({cores}))\n" if cores else ""
    done = python("-W", "ignore", "-c", given + code, env=environment(path=CLASSROOM.parent, **more))
    return json.loads(done.stdout.splitlines()[-1])


def test_a_lesson_where_no_thread_starts_and_no_process_either():
    found = run(f"{NO_THREADS}{NO_PROCESSES}\nimport json, classroom; print(json.dumps(classroom.lesson()))")
    assert found["error of the gradients"] < 1e-12
    for library, part in {"matplotlib": "pictures", "sklearn": "estimators", "safetensors": "model_files"}.items():
        assert (found[part] == f"{library} is not installed") == (find_spec(library) is None)


@pytest.mark.parametrize("missing", [("threadpoolctl",), ("threadpoolctl", "safetensors")])
def test_the_core_without_threadpoolctl_and_safetensors(missing):
    code = "import sys, json\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in missing)
    code += f"{NO_THREADS}\nimport classroom; print(json.dumps(classroom.core()))"
    one = run("import json, classroom; print(json.dumps(classroom.core()))", cores=1)
    assert run(code) == one, "the same numbers as on one thread, to the last bit"


def test_the_numbers_do_not_depend_on_whether_threads_start():
    """What would be shared among two threads is done by one, in the same pieces."""
    lesson = "import json, classroom; print(json.dumps(classroom.core()))"
    pinned = {"OPENBLAS_NUM_THREADS": "2"}
    shared = run(lesson, cores=2, **pinned)
    refused = run(NO_THREADS + lesson, cores=2, **pinned)
    assert refused["accuracy"] == shared["accuracy"]
    np.testing.assert_allclose(refused["costs"], shared["costs"], rtol=1e-5)
    np.testing.assert_allclose(refused["gradient"], shared["gradient"], rtol=1e-4, atol=1e-6)


@pytest.fixture
def no_thread_starts(monkeypatch):
    """Two cores and no thread: as after a limit of the system, or in a browser that counts its cores."""
    from vecprop_numpy import threads

    def refuse(thread):
        attempts.append(thread)
        raise RuntimeError("can't start new thread")

    attempts = []
    monkeypatch.setattr(threads, "_queues", [])
    monkeypatch.setattr(threads, "_no_more", False)
    monkeypatch.setattr(threads.threading.Thread, "start", refuse)
    monkeypatch.setattr("vecprop_numpy.programs.usable_threads", lambda: 3)
    return attempts


def test_pieces_of_a_program_without_workers(no_thread_starts):
    from vecprop_numpy import threads

    done = []
    parallel = threads.Parallel([[(done.append, (i,))] for i in range(3)])
    parallel()
    parallel()
    assert done == [0, 1, 2, 0, 1, 2] and len(no_thread_starts) == 1, "it is tried once"
    assert threads.usable_threads() == 1


def test_blocks_without_workers(no_thread_starts):
    backend = vp.get_backend("numpy")
    random = np.random.default_rng(0)
    X, Y = random.standard_normal((3, 5003)), random.standard_normal((2, 5003))
    net = vp.Network((3, 7, 2), output="identity")
    params = net.init(seed=0, dtype="float64")
    J, grads = net.gradients(params, X, Y, block_size=None)
    J_blocks, in_blocks = net.gradients(params, X, Y, block_size=500)
    assert no_thread_starts, "workers were asked for"
    np.testing.assert_allclose(J_blocks, J, rtol=1e-13)
    assert_near(in_blocks, grads, rtol=1e-11)
    assert backend.name == "numpy"


def test_a_pool_that_is_smaller_than_asked_for(monkeypatch):
    from vecprop_numpy import threads

    start = threads.threading.Thread.start
    started = []

    def one_only(self):
        if started:
            raise RuntimeError("can't start new thread")
        started.append(self)
        start(self)

    monkeypatch.setattr(threads, "_queues", [])
    monkeypatch.setattr(threads, "_no_more", False)
    monkeypatch.setattr(threads.threading.Thread, "start", one_only)
    done = []
    threads.Parallel([[(done.append, (i,))] for i in range(4)])()
    assert sorted(done) == [0, 1, 2, 3] and len(started) == 1


def test_an_error_of_the_calling_thread_waits_for_the_workers():
    """Otherwise the next run would take what these left behind for its own."""
    from vecprop_numpy import threads

    def fail():
        raise FloatingPointError("overflow")

    done = []
    fails = [True]
    parallel = threads.Parallel([[(lambda: fail() if fails else None, ())], [(done.append, (1,))]])
    for _ in range(50):
        with pytest.raises(FloatingPointError):
            parallel()
    fails.clear()
    for i in range(50):
        parallel()
        assert len(done) == 51 + i, "the worker has finished before the call returns"


def test_only_modules_that_pyodide_has():
    """Of the import, of a fit, and of its picture."""
    code = (
        "import json, sys\nbefore = set(sys.modules)\nimport classroom\nclassroom.core()\n"
        "if classroom.is_there('matplotlib'): classroom.pictures()\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    loaded = run(code)
    missing = NOT_IN_PYODIDE & {name.split(".")[0] for name in loaded}
    # Matplotlib and the standard library ask for these and do without them
    assert missing <= {"pwd", "grp"}, missing
    core = run(
        "import json, sys\nbefore = set(sys.modules)\nimport vecprop as vp\n"
        "vp.fit(vp.Network((2, 3, 1)), *vp.datasets.xor(m=8), epochs=2)\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    assert not {"multiprocessing", "concurrent.futures.process", "ctypes", "ssl"} & set(core) - _numpys_own()


def _numpys_own():
    """The modules that NumPy imports itself; Pyodide has a NumPy for which they are there."""
    return set(run("import json, sys, numpy; print(json.dumps(list(sys.modules)))"))


def test_the_lesson_of_the_page():
    """What docs/browser.md shows."""
    results = doctest.testfile(str(ROOT / "docs" / "browser.md"), module_relative=False)
    assert results.failed == 0 and results.attempted >= 7


def test_what_it_depends_on_is_pure_python_or_in_pyodide():
    """NumPy, safetensors and threadpoolctl are in Pyodide's own list; the rest has to be a wheel for any platform."""
    tomllib = pytest.importorskip("tomllib")
    from importlib.metadata import distribution

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {line.split(">")[0].split("=")[0] for line in project["dependencies"]}
    for name in names - {"numpy", "safetensors", "threadpoolctl"}:
        wheel = distribution(name).read_text("WHEEL")
        assert "Root-Is-Purelib: true" in wheel and "Tag: py3-none-any" in wheel, name
