"""Backends × dtypes as fixtures."""

import json
import os
import time
from collections import Counter
from pathlib import Path

# scikit-learn takes arrays of other libraries only if SciPy was told so before it was imported
os.environ.setdefault("SCIPY_ARRAY_API", "1")

from importlib.util import find_spec

import pytest

from helpers import backend_or_skip
from vecprop.backend import scoped_settings

# Tests of what needs more than a GPU machine has by itself (`make gpu`): where the library is missing, they are named.
_NEEDS = {
    "array_api_strict": ["backend/test_array_api.py", "training/test_waits.py"],
    "cosmic_ray": ["project/mutants.py"],
    "hypothesis": [
        "test_properties.py", "data/test_streaming_order.py", "estimators/test_pack.py",
        "project/test_bad_arguments.py",
    ],
    "matplotlib": [
        "cli/test_[cp]*.py", "inspection/test_explain.py", "inspection/test_plots*.py", "utils/test_file_faults.py",
    ],
    "mpmath": ["nn/test_extreme_numbers.py", "nn/test_losses.py"],
    "onnx": ["export/test_onnx.py", "export/test_tabular_onnx.py"],
    "onnxruntime": ["export/test_onnx.py", "export/test_tabular_onnx.py"],
    "PIL": ["inspection/test_plots_animation.py", "project/test_pictures.py"],
    "polars": [
        "helpers/public_calls.py", "helpers/tables.py", "cli/test_cli_models.py", "export/test_file_strangers.py",
        "export/test_tabular_onnx.py", "tabular/*",
    ],
    "typer": ["cli/*", "export/test_file_strangers.py", "helpers/commands.py", "inspection/test_explain.py"],
}  # fmt: skip
collect_ignore_glob = [path for library, paths in _NEEDS.items() for path in paths if find_spec(library) is None]


def pytest_report_header():
    """Name the tests that are left out."""
    return f"left out, for want of a library: {', '.join(collect_ignore_glob)}" if collect_ignore_glob else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Of a file's cases on JAX, which compiles each, leave nineteen of twenty to `make test-all`."""
    seen = Counter()
    for item in items:
        case = getattr(item, "callspec", None)
        if case and (
            "jax" in (case.params.get("backend"), case.params.get("name")) or "jax_backend" in item.fixturenames
        ):
            if seen[item.path] % 20:
                item.add_marker("on_jax")
            seen[item.path] += 1


@pytest.fixture(params=["numpy", "jax", pytest.param("cupy", marks=pytest.mark.gpu)])
def backend(request):
    return backend_or_skip(request.param)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def jax_backend():
    return backend_or_skip("jax")


@pytest.fixture(autouse=True)
def default_choices(monkeypatch):
    """No test sees what another chose, or what the environment says."""
    monkeypatch.delenv("VECPROP_BACKEND", raising=False)
    monkeypatch.delenv("VECPROP_PRECISION", raising=False)
    scoped_settings.clear()
    yield
    scoped_settings.clear()


@pytest.fixture
def file(tmp_path):
    """Write a file and return its path."""

    def write(content, name="data.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="the long versions of the tests of reliability")
    parser.addoption(
        "--figures", type=Path, help="write what the tests of reliability measure into this file, as JSON lines"
    )


@pytest.fixture
def amount(request):
    """How much to do: `amount(short, long)` is the second with --long."""
    return lambda short, long: long if request.config.getoption("--long") else short


@pytest.fixture
def figure(request):
    """Note a figure for docs/reliability.md: `figure("kill -9", "200 of 200 runs went on to the same bits", "all")`.

    What was done, what was measured, and what is wanted; the test asserts it. Text, since it is to be read.
    """
    begin = time.perf_counter()

    def note(what, measured, wanted):
        path = request.config.getoption("--figures")
        if path is not None:
            seconds = round(time.perf_counter() - begin, 1)
            row = {
                "what": what, "measured": measured, "wanted": wanted, "test": request.node.nodeid, "seconds": seconds,
            }  # fmt: skip
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    return note
