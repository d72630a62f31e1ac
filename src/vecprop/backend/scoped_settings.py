"""Choices of `use_backend` and `use_precision`, for the rest of the program or for a block.

`use_backend` says which threads see a choice. That of a `with` block is kept in a context variable. One for the program
counts in threads that run already when it is certain that no `with` follows: when the `Choice` was dropped or shown, or
the setting was used in its own thread.
"""

import threading
import weakref
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from vecprop.utils.threads import after_fork

_lock = threading.Lock()
_lasting: "dict[str, tuple[_Made, ...]]" = {}  # the last one counts
_blocks: "ContextVar[tuple[_Made, ...]]" = ContextVar("vecprop_choices", default=())  # innermost last


class _Made:
    """A remembered choice: the setting, its value, its thread, and whether it ends with a block."""

    def __init__(self, setting: str, value: Any, choice: "Choice", ends: bool) -> None:
        self.setting, self.value, self.ends = setting, value, ends
        self.choice = weakref.ref(choice)
        self.maker = threading.get_ident()
        self.running = weakref.WeakSet(threading.enumerate())  # these must not see it if a block follows
        self.certain = False
        self.withdrawn = False  # whether a block has taken its place

    def is_dropped(self) -> bool:
        return self.choice() is None

    def counts_here(self) -> bool:
        """Tell whether it counts in this thread; asking in its own thread makes that certain."""
        if threading.get_ident() == self.maker:
            self.certain = True
        counts = self.certain or self.is_dropped() or threading.current_thread() not in self.running
        return counts and not self.withdrawn  # in this order: the block may begin and end, and drop it, meanwhile


class Choice:
    """A choice of `use_backend` or `use_precision`, which lasts, or as a context manager ends."""

    def __init__(self, setting: str, value: Any) -> None:
        self._setting, self._value = setting, value
        self._entered: list[_Made] = []
        self._made: _Made | None = _Made(setting, value, self, ends=False)
        with _lock:
            before = _lasting.get(setting, ())
            # a dropped choice is never withdrawn, so those before it never count again
            dropped = [i for i, made in enumerate(before) if made.is_dropped()]
            _lasting[setting] = (*before[dropped[-1] if dropped else 0 :], self._made)
        inside = _blocks.get()
        if any(block.setting == setting for block in inside):  # it is later than the block, and counts inside it, too
            _blocks.set((*inside, self._made))

    def __enter__(self) -> Any:
        made, self._made = self._made, None
        inside = _blocks.get()
        if made is not None:
            made.withdrawn = True
            with _lock:
                _lasting[self._setting] = tuple(other for other in _lasting.get(self._setting, ()) if other is not made)
            inside = tuple(block for block in inside if block is not made)
        self._entered.append(_Made(self._setting, self._value, self, ends=True))
        _blocks.set((*inside, self._entered[-1]))
        return self._value

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = self._entered.pop()
        inside = tuple(block for block in _blocks.get() if block is not ended)
        if not any(block.ends and block.setting == self._setting for block in inside):
            inside = tuple(block for block in inside if block.setting != self._setting)  # `_lasting` has the others
        _blocks.set(inside)

    def __repr__(self) -> str:
        if self._made is not None:
            self._made.certain = True
        holds = "for its block" if self._made is None else "for the rest of the program"
        value = getattr(self._value, "name", self._value)
        return f"<vecprop: {self._setting} {value!r} {holds}; `with` ends it with a block>"


def current(setting: str) -> Any:
    """Return the value chosen for a setting in this thread and task, or None."""
    for block in reversed(_blocks.get()):
        if block.setting == setting:
            return block.value
    for made in reversed(_lasting.get(setting, ())):
        if made.counts_here():
            return made.value
    return None


def clear() -> None:
    """Forget all lasting choices, and the blocks that this thread is in."""
    with _lock:
        _lasting.clear()
    _blocks.set(())


@after_fork
def _after_fork() -> None:
    """Replace the lock, which a thread that was not forked may hold."""
    global _lock
    _lock = threading.Lock()
