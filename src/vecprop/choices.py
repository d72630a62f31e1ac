"""What `use_backend` and `use_precision` chose: for the rest of the program, or for a block in one thread or task.

A lasting choice is one for all threads. That of a `with` block is kept in a context variable, so that other threads
and asyncio tasks do not see it. Where both were made, the later one counts.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from contextvars import ContextVar
from types import TracebackType
from typing import Any

# For so long (seconds) a choice made elsewhere and not yet dropped may be about to become that of a block.
_UNDECIDED = 0.02

_lock = threading.Lock()
_lasting: dict[str, list[_Made]] = {}  # the last one counts
_blocks: ContextVar[tuple[_Made, ...]] = ContextVar("vecprop_choices", default=())  # innermost last


class _Made:
    """A choice as it is remembered: the setting and its value, when and by whom it was made."""

    __slots__ = ("choice", "ends", "made", "setting", "thread", "value")

    def __init__(self, setting: str, value: Any, choice: Choice, ends: bool) -> None:
        self.setting, self.value, self.ends = setting, value, ends
        self.choice = weakref.ref(choice)
        self.thread = threading.get_ident()
        self.made = time.monotonic()

    def is_undecided(self) -> bool:
        """Tell whether another thread has made it only now, and may use it with `with` next."""
        young = time.monotonic() - self.made < _UNDECIDED
        return young and self.thread != threading.get_ident() and self.choice() is not None


class Choice:
    """What `use_backend` and `use_precision` return: a choice that lasts, or that `with` ends with its block."""

    def __init__(self, setting: str, value: Any) -> None:
        self._setting, self._value = setting, value
        self._entered: list[_Made] = []
        self._made: _Made | None = _Made(setting, value, self, ends=False)
        with _lock:
            # what is older than a choice that lasts is not asked for again; but this one may yet be withdrawn
            _lasting[setting] = [*_lasting.get(setting, [])[-_MOST_UNDECIDED:], self._made]
        inside = _blocks.get()
        if any(block.setting == setting for block in inside):  # it counts here, too, being later than the block
            _blocks.set((*inside, self._made))

    def __enter__(self) -> Any:
        made, self._made = self._made, None
        inside = _blocks.get()
        if made is not None:
            with _lock:
                _lasting[self._setting] = [other for other in _lasting.get(self._setting, []) if other is not made]
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
        holds = "for its block" if self._made is None else "for the rest of the program"
        value = getattr(self._value, "name", self._value)
        return f"<vecprop: {self._setting} {value!r} {holds}; `with` ends it with a block>"


# Choices that other threads may be about to use with `with`, at one moment.
_MOST_UNDECIDED = 64


def current(setting: str) -> Any:
    """Return what was chosen for a setting in this thread and task, or None."""
    for block in reversed(_blocks.get()):
        if block.setting == setting:
            return block.value
    while True:
        made = _lasting.get(setting)
        if not made:
            return None
        if not made[-1].is_undecided():
            return made[-1].value
        time.sleep(_UNDECIDED / 20)


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
