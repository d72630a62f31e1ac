"""Ends a run on SIGTERM or SIGINT with a last checkpoint and the signal's exit code."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vecprop.cli.exit_codes import INTERRUPTED
from vecprop.training import checkpoint

_GRACE = 3.0  # seconds for the main thread to end, which may be inside a compiled program that ignores signals
_received: list[int] = []


def exit_code() -> int:
    """Return the exit code of a command that was interrupted: 143 after SIGTERM, else 130."""
    return 128 + _received[-1] if _received else INTERRUPTED


@contextmanager
def handled() -> Iterator[None]:
    """Let SIGTERM act like Ctrl-C in the block; if ending takes too long, write checkpoints and exit."""
    _received.clear()
    if threading.current_thread() is not threading.main_thread():  # Python handles signals only in the main thread
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    old = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(reader, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.write(writer, b"\0")
        watcher.join()
        os.close(reader)
        os.close(writer)


def _interrupt(number: int, _: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt


def _watch(reader: int, ended: threading.Event) -> None:
    """Wait for a signal, then for the end of the block; after `_GRACE` write checkpoints and exit."""
    number = 0
    while number not in (signal.SIGTERM, signal.SIGINT):
        number = os.read(reader, 1)[0]
        if ended.is_set():
            return
    if not ended.wait(_GRACE):
        checkpoint.flush_all()
        os._exit(128 + number)
