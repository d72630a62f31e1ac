"""Limits on the threads of BLAS libraries, while something else needs the cores.

A limit holds for all threads of the process. Limits may overlap: the last one to end restores a library's number of
threads. Without threadpoolctl nothing is limited.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from vecprop.utils.threads import after_fork

# Multiplications in a product: below this, sharing the work with a second thread costs more than it saves.
SMALL_PRODUCT = 1 << 21


class _Held:
    """A library limited to one thread: its number of active limits, and of threads before."""

    def __init__(self, library: Any) -> None:
        self.library, self.count, self.threads = library, 0, library.get_num_threads()


_lock = threading.Lock()
_held: dict[str, _Held] = {}
_left_over: list[_Held] = []  # held at a fork by threads that were not forked


_sharers: ContextVar[int] = ContextVar("sharers", default=1)


def usable_cores() -> int:
    """Return the number of cores that may be used: in a container perhaps not all, inside `sharing_cores` a share."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return max(1, cores // _sharers.get())


def shares_cores() -> bool:
    """Tell whether other threads run beside this one, in `sharing_cores`."""
    return _sharers.get() > 1


@contextmanager
def sharing_cores(count: int) -> Iterator[None]:
    """Let what runs inside use a `count`-th of the cores, since `count` of its kind run at once."""
    token = _sharers.set(_sharers.get() * count)
    try:
        yield
    finally:
        _sharers.reset(token)


class BLAS:
    """BLAS libraries of this process, found when first needed; later ones are not noticed.

    chosen : returns of a list of libraries, controllers of threadpoolctl with their `filepath`, those to use
    """

    def __init__(self, chosen: Callable[[list[Any]], list[Any]] = list) -> None:
        self._chosen = chosen
        self._libraries: list[Any] | None = None

    def _find(self) -> list[Any]:
        if self._libraries is None:
            try:
                from threadpoolctl import ThreadpoolController

                found = ThreadpoolController().select(user_api="blas").lib_controllers
            except ImportError:
                found = []
            self._libraries = self._chosen(found)
        return self._libraries

    def threads(self) -> int:
        """Return the least number of threads that a library has without limits, 1 if unknown."""
        with _lock:
            _free_left_over()
            counts = [
                _held[library.filepath].threads if library.filepath in _held else library.get_num_threads()
                for library in self._find()
            ]
        return min(counts, default=1)

    def architectures(self) -> set[str]:
        """Return the processors that the libraries have chosen their kernels for, as OpenBLAS names them."""
        return {getattr(library, "architecture", "") for library in self._find()}

    @contextmanager
    def single(self) -> Iterator[None]:
        """Limit the libraries to one thread each."""
        with _lock:
            _free_left_over()
            ours = []
            for library in self._find():
                if library.filepath not in _held:
                    _held[library.filepath] = _Held(library)
                    _set_threads(library, 1)
                ours.append(_held[library.filepath])
                ours[-1].count += 1
        try:
            yield
        finally:
            with _lock:
                for held in ours:
                    held.count -= 1
                    if not held.count and _held.get(held.library.filepath) is held:
                        _set_threads(held.library, held.threads)
                        del _held[held.library.filepath]


def _set_threads(library: Any, count: int) -> None:
    """Set a library's number of threads, from any thread.

    threadpoolctl 3.8 lets only the first thread that sets OpenBLAS's number set it again, unless that is cleared.
    """
    let_everyone = getattr(library, "clear_controlling_thread", lambda **_: None)
    let_everyone(force=True)
    library.set_num_threads(count)
    let_everyone(force=True)  # and those who limit it for themselves are obeyed, too


def _free_left_over() -> None:
    while _left_over:
        held = _left_over.pop()
        _set_threads(held.library, held.threads)


@after_fork
def _after_fork() -> None:
    """Replace the lock, and release the limits of threads that were not forked."""
    global _lock
    _lock = threading.Lock()
    _left_over.extend(_held.values())
    _held.clear()
