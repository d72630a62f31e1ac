"""In a browser, that is in Pyodide: no thread starts, some modules are missing, and threadpoolctl may be.

What can be known without a browser is tested here, in processes of their own; `make pyodide` runs Pyodide itself.
"""

import json
import tomllib
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from helpers.processes import ROOT, environment, python
from helpers.threads import refuse_to_start
from vecprop_numpy import threads

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


def run(code="", value="classroom.core()", cores=None, **more):
    """Run code in a process of its own, with a number of cores if given, and return a value there, by way of JSON."""
    given = f"import os; os.sched_getaffinity = lambda pid: set(range({cores}))\n" if cores else ""
    code = f"{given}{code}\nimport json, classroom; print(json.dumps({value}))"
    done = python("-W", "ignore", "-c", code, env=environment(path=CLASSROOM.parent, **more))
    return json.loads(done.stdout.splitlines()[-1])


def test_a_lesson_where_no_thread_starts_and_no_process_either():
    found = run(NO_THREADS + NO_PROCESSES, "classroom.lesson()")
    assert found["error of the gradients"] < 1e-12
    for library, part in {"matplotlib": "pictures", "sklearn": "estimators", "safetensors": "model_files"}.items():
        assert (found[part] == f"{library} is not installed") == (find_spec(library) is None)


@pytest.mark.parametrize("missing", [("threadpoolctl",), ("threadpoolctl", "safetensors")])
def test_the_core_without_threadpoolctl_and_safetensors(missing):
    code = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in missing)
    assert run(code + NO_THREADS) == run(cores=1), "the same numbers as on one thread, to the last bit"


def test_the_numbers_do_not_depend_on_whether_threads_start():
    """What would be shared among two threads is done by one, in the same pieces."""
    shared, refused = (run(code, cores=2, OPENBLAS_NUM_THREADS="2") for code in ("", NO_THREADS))
    assert refused["accuracy"] == shared["accuracy"]
    np.testing.assert_allclose(refused["costs"], shared["costs"], rtol=1e-5)
    np.testing.assert_allclose(refused["gradient"], shared["gradient"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("most", [0, 1])
def test_pieces_of_a_program_with_fewer_workers(most, monkeypatch):
    attempts, done, start = [], [], threads.threading.Thread.start

    def start_or_refuse(thread):
        attempts.append(thread)
        (start if len(attempts) <= most else refuse_to_start)(thread)

    monkeypatch.setattr(threads, "_queues", [])
    monkeypatch.setattr(threads, "_no_more", False)
    monkeypatch.setattr(threads.threading.Thread, "start", start_or_refuse)
    parallel = threads.Parallel([[(done.append, (i,))] for i in range(4)])
    for calls in (1, 2):
        parallel()
        assert sorted(done) == sorted([0, 1, 2, 3] * calls)
    assert len(attempts) == most + 1, "it is tried once"
    assert threads.usable_threads() <= most + 1


def test_an_error_of_the_calling_thread_waits_for_the_workers():
    """Otherwise the next run would take what these left behind for its own."""

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
    before, new = "import json, sys\nbefore = set(sys.modules)\n", "sorted(set(sys.modules) - before)"
    picture = "if classroom.is_there('matplotlib'): classroom.pictures()"
    loaded = run(f"{before}import classroom; classroom.core()\n{picture}", new)
    missing = NOT_IN_PYODIDE & {name.split(".")[0] for name in loaded}
    # Matplotlib and the standard library ask for these and do without them
    assert missing <= {"pwd", "grp"}, missing
    fit = "import vecprop as vp\nvp.fit(vp.Network((2, 3, 1)), *vp.datasets.xor(m=8), epochs=2)"
    core = run(before + fit, new)
    numpys_own = run("import sys, numpy", "list(sys.modules)")  # Pyodide has a NumPy for which they are there
    assert not {"multiprocessing", "concurrent.futures.process", "ctypes", "ssl"} & set(core) - set(numpys_own)


def test_what_it_depends_on_is_pure_python_or_in_pyodide():
    """NumPy, safetensors and threadpoolctl are in Pyodide's own list; the rest has to be a wheel for any platform."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {line.split(">")[0].split("=")[0] for line in project["dependencies"]}
    for name in names - {"numpy", "safetensors", "threadpoolctl"}:
        wheel = distribution(name).read_text("WHEEL")
        assert "Root-Is-Purelib: true" in wheel and "Tag: py3-none-any" in wheel, name
