"""What `use_backend` and `use_precision` chose: for the rest of the program, or for a block in one thread or task.

The choice of a `with` block is kept in a context variable, so that other threads and asyncio tasks do not see it, and
counts there before those for the program. A choice for the program counts at once in its own thread and in threads
started later, and in those that run already when it is certain that no `with` follows: its value was dropped, shown,
or used in its own thread.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextvars import ContextVar
from types import TracebackType
from typing import Any

_lock = threading.Lock()
_lasting: dict[str, tuple[_Made, ...]] = {}  # the last one counts
_blocks: ContextVar[tuple[_Made, ...]] = ContextVar("vecprop_choices", default=())  # innermost last


class _Made:
    """A remembered choice: the setting, its value, its maker, and whether a block may follow."""

    def __init__(self, setting: str, value: Any, choice: Choice, ends: bool) -> None:
        self.setting, self.value, self.ends = setting, value, ends
        self.choice = weakref.ref(choice)
        self.maker = threading.get_ident()
        self.running = weakref.WeakSet(threading.enumerate())  # which may see it as a block's, and not for the program
        self.certain = False

    def is_dropped(self) -> bool:
        return self.choice() is None

    def counts_here(self) -> bool:
        """Tell whether this thread sees it as a choice for the program."""
        if threading.get_ident() == self.maker:
            self.certain = True
        return self.certain or self.is_dropped() or threading.current_thread() not in self.running


class Choice:
    """What `use_backend` and `use_precision` return: a choice that lasts, or that `with` ends with its block."""

    def __init__(self, setting: str, value: Any) -> None:
        self._setting, self._value = setting, value
        self._entered: list[_Made] = []
        self._made: _Made | None = _Made(setting, value, self, ends=False)
        with _lock:
            before = _lasting.get(setting, ())
            # one that is dropped is never withdrawn, so what was chosen before it never counts again
            dropped = [i for i, made in enumerate(before) if made.is_dropped()]
            _lasting[setting] = (*before[dropped[-1] if dropped else 0 :], self._made)
        inside = _blocks.get()
        if any(block.setting == setting for block in inside):  # it counts here, too, being later than the block
            _blocks.set((*inside, self._made))

    def __enter__(self) -> Any:
        made, self._made = self._made, None
        inside = _blocks.get()
        if made is not None:
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
            inside = tuple(block for block in inside if block.setting != self._setting)  # they last anyway
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


def _after_fork() -> None:
    """Make the lock anew: a thread that was not forked may hold it."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
