"""How many threads the BLAS libraries of this process use while something else needs the cores.

The number belongs to the library, so whoever limits it limits it for all threads of the process. Limits may overlap:
the last one to end gives a library back what it had. Without threadpoolctl there is nothing to limit.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Multiplications in a product: below this, sharing the work with a second thread costs more than it saves.
SMALL_PRODUCT = 1 << 21


class _Held:
    """A library limited to one thread: how many limits are active, and how many threads it had before."""

    def __init__(self, library: Any) -> None:
        self.library, self.count, self.threads = library, 0, library.get_num_threads()


_lock = threading.Lock()
_held: dict[str, _Held] = {}
_left_over: list[_Held] = []  # held, when this process was forked, by threads that it does not have


def usable_cores() -> int:
    """Return how many cores this process may use, which in a container can be fewer than there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


class BLAS:
    """Some of the BLAS libraries that this process has loaded, those there are when one is first asked for.

    Parameters
    ----------
    chosen : function of libraries -> those meant
        A library is a controller of threadpoolctl, with its `filepath`.
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
        """Return how many threads it uses when nobody limits it, 1 if that cannot be found out or set."""
        with _lock:
            _free_left_over()
            counts = [
                _held[library.filepath].threads if library.filepath in _held else library.get_num_threads()
                for library in self._find()
            ]
        return min(counts, default=1)

    @contextmanager
    def single(self) -> Iterator[None]:
        """Let it use one thread."""
        with _lock:
            _free_left_over()
            ours = []
            for library in self._find():
                if library.filepath not in _held:
                    _held[library.filepath] = _Held(library)
                    library.set_num_threads(1)
                ours.append(_held[library.filepath])
                ours[-1].count += 1
        try:
            yield
        finally:
            with _lock:
                for held in ours:
                    held.count -= 1
                    if not held.count and _held.get(held.library.filepath) is held:
                        held.library.set_num_threads(held.threads)
                        del _held[held.library.filepath]


def _free_left_over() -> None:
    while _left_over:
        held = _left_over.pop()
        held.library.set_num_threads(held.threads)


def _after_fork() -> None:
    """Make the lock anew, and let go of what threads hold that were not forked."""
    global _lock
    _lock = threading.Lock()
    _left_over.extend(_held.values())
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
