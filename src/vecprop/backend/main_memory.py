"""The main memory that this process can still take, and which arrays are maps of files."""

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np

_MEMORY = Path("/proc/meminfo")
_PROCESS = Path("/proc/self/statm")
_GROUP = Path("/sys/fs/cgroup")  # in a container, the container's


def map_of(array: Any) -> np.memmap[Any, Any] | None:
    """Return the memory map that an array is or views; None for any other array.

    >>> map_of(np.ones(2)) is None
    True
    """
    found: np.memmap[Any, Any] | None = None
    base: Any = array
    while isinstance(base, np.ndarray):
        owner: Any = base.base
        if isinstance(base, np.memmap) and isinstance(owner, mmap.mmap):
            found = base
        base = owner
    return found


def free_main_memory() -> int | None:
    """Return the bytes that the system, the container and `ulimit -v` all allow, None if unknown."""
    known = [bytes_ for bytes_ in (_of_the_system(), _of_the_group(), room_below_the_limit()) if bytes_ is not None]
    return max(min(known), 0) if known else None


def free_swap() -> int:
    """Return the free bytes of swap, 0 if unknown."""
    return _told("SwapFree") or 0


def _told(name: str) -> int | None:
    """Return a line of Linux's /proc/meminfo in bytes, None if there is none."""
    try:
        lines = _MEMORY.read_text("ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":")), None)


def _of_the_system() -> int | None:
    """Return the bytes available without swapping: unused, or caching files."""
    available = _told("MemAvailable")
    if available is not None:
        return available
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # unknown on some systems
        return None


def _of_the_group() -> int | None:
    """Return the bytes that a container's limit leaves, counting inactive cached files as free."""
    try:
        limit = (_GROUP / "memory.max").read_text("ascii").strip()
        if limit == "max":
            return None
        used = int((_GROUP / "memory.current").read_text("ascii"))
        stats = dict(line.split() for line in (_GROUP / "memory.stat").read_text("ascii").splitlines())
        return int(limit) - used + int(stats.get("inactive_file", 0))
    except (OSError, ValueError):
        return None


def room_below_the_limit() -> int | None:
    """Return the bytes that `ulimit -v` leaves, None if it is not set."""
    try:
        import resource  # not on Windows

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return None
        return limit - int(_PROCESS.read_text("ascii").split()[0]) * resource.getpagesize()
    except (ImportError, OSError, ValueError):
        return None
