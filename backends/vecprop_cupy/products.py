"""The precision of float32 products in cuBLAS: float32 or TensorFloat-32.

CuPy's only public switch is the variable CUPY_TF32, read once. The setting here holds for all threads of the process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from cupy._core import _routines_linalg as _linalg

_FLOAT32 = np.dtype("float32")
_free = threading.Condition()
_holders: list[tuple[int, int]] = []  # thread and compute type, the last one in force
_before = 0  # the compute type outside all contexts


@contextmanager
def float32_products(compute_type: int) -> Iterator[None]:
    """Set the precision of float32 products; threads that want another one wait."""
    global _before
    holder = threading.get_ident(), compute_type
    with _free:
        # a thread that already holds it changes it at once, as it cannot wait for itself
        while not any(thread == holder[0] for thread, _ in _holders) and any(t != compute_type for _, t in _holders):
            _free.wait()
        if not _holders:
            _before = _linalg.get_compute_type(_FLOAT32)
        _linalg.set_compute_type(_FLOAT32, compute_type)  # if this raises, nothing is held
        _holders.append(holder)
    try:
        yield
    finally:
        with _free:
            _holders.reverse()
            _holders.remove(holder)  # this thread's last
            _holders.reverse()
            _linalg.set_compute_type(_FLOAT32, _holders[-1][1] if _holders else _before)
            _free.notify_all()


def _after_fork() -> None:
    """Forget the threads that were not forked."""
    global _free
    _free = threading.Condition()
    _holders.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
