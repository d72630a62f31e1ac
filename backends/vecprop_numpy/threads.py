"""Worker threads, and how many of them there are to be."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any

from vecprop import blas

Code = list[tuple[Callable[..., Any], tuple[Any, ...]]]


def execute(code: Code) -> None:
    """Call the functions of a straight-line program one after the other."""
    for function, arguments in code:
        function(*arguments)


class _Job:
    """A piece of a program for another thread; used again and again, by one caller at a time."""

    __slots__ = ("code", "context", "done", "error")

    def __init__(self, code: Code) -> None:
        self.code = code
        self.context: Context | None = None
        self.error: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()

    def run(self) -> None:
        try:
            assert self.context is not None
            self.context.run(execute, self.code)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self.error = error
        finally:
            self.done.release()


class Parallel:
    """Pieces of a program that run at the same time: the first in the calling thread, the others in workers."""

    def __init__(self, pieces: Sequence[Code]) -> None:
        self.own = pieces[0]
        self.jobs = [_Job(code) for code in pieces[1:]]
        self.queues = _workers(len(self.jobs))

    def __call__(self) -> None:
        """Run the pieces and wait for all of them."""
        for queue, job in zip(self.queues, self.jobs, strict=True):
            job.context = copy_context()  # NumPy's error state belongs to the context
            queue.put(job)
        execute(self.own)
        for job in self.jobs:
            job.done.acquire()
            if job.error is not None:
                error, job.error = job.error, None
                raise error


_queues: list[SimpleQueue[_Job]] = []
_starting = threading.Lock()


def _work(queue: SimpleQueue[_Job]) -> None:
    while True:
        queue.get().run()


def _workers(count: int) -> list[SimpleQueue[_Job]]:
    """Return the queues of so many worker threads, which are started when they are first needed."""
    with _starting:
        while len(_queues) < count:
            queue: SimpleQueue[_Job] = SimpleQueue()
            threading.Thread(target=_work, args=(queue,), name="vecprop", daemon=True).start()
            _queues.append(queue)
        return _queues[:count]


BLAS = blas.BLAS()


def usable_threads() -> int:
    """Return the number of threads to work on: the usable cores, but no more than the BLAS may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, BLAS.threads())


def _after_fork() -> None:
    """Forget the threads that were not forked, and the lock that one of them may hold."""
    global _starting
    _queues.clear()
    _starting = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
