"""What vecprop needs of the standard library, tried in Pyodide itself: `make pyodide` runs it there, without NumPy."""

import ast
import importlib
import importlib.util
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path("/repository")
SOURCES = [*sorted((ROOT / "src").rglob("*.py")), *sorted((ROOT / "backends" / "vecprop_numpy").rglob("*.py"))]


def imported(path):
    """The top names of the modules a file imports anywhere; compiling it is part of the check."""
    source = path.read_text(encoding="utf-8")
    compile(source, str(path), "exec")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def check():
    """Import the modules, write a file, try to start a thread; return the findings as a sentence."""
    modules = {name for path in SOURCES for name in imported(path)}
    standard = sorted(name for name in modules if name.split(".")[0] in sys.stdlib_module_names)
    for name in standard:
        importlib.import_module(name)

    # This file imports nothing but the standard library, so it can be loaded without the rest
    spec = importlib.util.spec_from_file_location("atomic", ROOT / "src" / "vecprop" / "utils" / "atomic.py")
    atomic = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(atomic)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        atomic.write_atomically(path, b"first")
        atomic.write_atomically(path, b"second")
        assert path.read_bytes() == b"second" and len(list(Path(folder).iterdir())) == 1

    try:
        threading.Thread(target=print).start()
        threads = "threads start"
    except RuntimeError as error:
        threads = f"no thread starts ({error})"
    return (
        f"Python {sys.version.split()[0]} on {sys.platform}: {len(SOURCES)} files compile, "
        f"{len(standard)} standard modules import, files are written, {threads}"
    )
