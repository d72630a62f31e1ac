"""Several pieces of work at once, and what is left of them in a forked process."""

import os
from collections.abc import Callable, Sequence
from contextvars import ContextVar, copy_context
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")
_failed: ContextVar[Event | None] = ContextVar("failed", default=None)


def after_fork(function: Callable[[], None]) -> Callable[[], None]:
    """Have a function called in every process that is forked from this one, where there is a fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)
    return function


class EndedError(Exception):
    """A piece of work has ended because another one failed."""


def other_failed() -> Event | None:
    """Return the event that another piece of the same work has failed; None if this is no piece of any.

    A long piece looks at it now and then, and raises EndedError.
    """
    return _failed.get()


def at_once(jobs: Sequence[Callable[[], T]], threads: int) -> list[T]:
    """Return the results of the jobs, each done once: by the calling thread, and by others if they can be started.

    After an error in one of them, or Ctrl-C, no other job begins; it is raised as soon as the others have ended.
    """
    waiting: SimpleQueue[int] = SimpleQueue()
    for number in range(len(jobs)):
        waiting.put(number)
    results, errors, failed = dict[int, T](), list[BaseException](), Event()

    def work() -> None:
        _failed.set(failed)
        try:
            while not failed.is_set():
                number = waiting.get_nowait()
                results[number] = jobs[number]()
        except Empty:
            pass
        except BaseException as error:  # noqa: BLE001 - raised in the calling thread
            errors.append(error)
            failed.set()

    helpers = []
    try:
        for _ in range(min(threads, len(jobs)) - 1):
            helpers.append(Thread(target=copy_context().run, args=(work,), name="vecprop", daemon=True))
            helpers[-1].start()
    except RuntimeError:  # the system starts no more threads, or the interpreter is about to end
        helpers.pop()
    copy_context().run(work)
    try:
        for helper in helpers:
            helper.join()
    except BaseException:  # Ctrl-C
        failed.set()
        raise
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(jobs))]
