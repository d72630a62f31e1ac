"""How much memory a training needs at most, measured in a process of its own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def extra_memory(make: Callable[[], Callable[[], object]]) -> int:
    """Return by how many bytes the memory in use rose at most above what it was after imports and data.

    Parameters
    ----------
    make : function
        Imports, draws the data, and returns the function whose memory is asked for.
    """
    run = make()
    before = _begin()
    run()
    return max(0, _peak() - before)


def _begin() -> int:
    """Return the bytes in use now, and forget the peak so far: drawing the data may have needed more than training."""
    try:
        _RESET.write_text("5", encoding="ascii")
        return _field("VmRSS")
    except OSError:
        return _peak()


def _peak() -> int:
    """Return the most bytes that were in use.

    `ru_maxrss` would do, but on Linux a new process begins with the peak of the one that started it.
    """
    if _STATUS.exists():
        return _field("VmHWM")
    try:
        import resource
    except ImportError as error:  # Windows
        raise RuntimeError("the peak of the memory cannot be asked for on this system") from error
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _field(name: str) -> int:
    found = re.search(rf"^{name}:\s*(\d+) kB", _STATUS.read_text(encoding="ascii"), flags=re.MULTILINE)
    if found is None:
        raise OSError(f"{_STATUS} has no {name} for process {os.getpid()}")
    return int(found[1]) * 1024
