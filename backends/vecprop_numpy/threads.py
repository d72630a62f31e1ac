"""Worker threads, and their number."""

import threading
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any

from vecprop.backend import blas
from vecprop.utils.threads import after_fork

Code = list[tuple[Callable[..., Any], tuple[Any, ...]]]


def execute(code: Code) -> None:
    """Call the functions of a program one after the other."""
    for function, arguments in code:
        function(*arguments)


def shares(count: int, threads: int) -> list[tuple[int, int]]:
    """Return where the share of each thread in `count` things begins and ends.

    >>> shares(5, 2)
    [(0, 2), (2, 5)]
    """
    return [(count * t // threads, count * (t + 1) // threads) for t in range(threads)]


class _Job:
    """A piece of a program for another thread, reused by one caller at a time."""

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
        except BaseException as error:  # noqa: BLE001 - passed to the waiting thread
            self.error = error
        finally:
            self.done.release()


class Parallel:
    """Pieces of a program that run at once, the first, and those that no worker is left for, in the calling thread."""

    def __init__(self, pieces: Sequence[Code]) -> None:
        self.process = _process
        self.queues = _workers(len(pieces) - 1)
        first = len(pieces) - len(self.queues)
        self.own = [call for code in pieces[:first] for call in code]
        self.jobs = [_Job(code) for code in pieces[first:]]

    def __call__(self) -> None:
        """Run the pieces and wait for all of them, also after an error."""
        if self.process is not _process:  # after a fork the threads of this object are gone
            self.queues, self.process = _workers(len(self.jobs)), _process
            self.jobs = [_Job(job.code) for job in self.jobs]
        for job in self.jobs[len(self.queues) :]:
            execute(job.code)
        handed = self.jobs[: len(self.queues)]
        for queue, job in zip(self.queues, handed, strict=True):
            job.context = copy_context()  # NumPy's error state belongs to the context
            queue.put(job)
        try:
            execute(self.own)
        finally:
            for job in handed:
                job.done.acquire()
            errors = [job.error for job in handed if job.error is not None]
            for job in handed:
                job.error = None
        if errors:
            raise errors[0]


_queues: list[SimpleQueue[_Job]] = []
_no_more = False  # whether the system has refused to start a thread
_starting = threading.Lock()
_process = object()  # replaced after a fork


def _work(queue: SimpleQueue[_Job]) -> None:
    while True:
        queue.get().run()


def _workers(count: int) -> list[SimpleQueue[_Job]]:
    """Return the queues of worker threads, started when first needed: fewer if the system refuses, as in a browser."""
    global _no_more
    with _starting:
        while len(_queues) < count and not _no_more:
            queue: SimpleQueue[_Job] = SimpleQueue()
            try:
                threading.Thread(target=_work, args=(queue,), name="vecprop", daemon=True).start()
            except RuntimeError:  # can't start new thread
                _no_more = True
                break
            _queues.append(queue)
        return _queues[:count]


BLAS = blas.BLAS()


def usable_threads() -> int:
    """Return the number of threads to use: the usable cores, within the BLAS's limit, or those the system allowed."""
    threads = min(blas.usable_cores(), BLAS.threads())
    return min(threads, 1 + len(_queues)) if _no_more else threads


@after_fork
def _after_fork() -> None:
    """Forget the threads that were not forked, and a lock that one of them may hold."""
    global _starting, _no_more, _process
    _no_more, _process = False, object()
    _queues.clear()
    _starting = threading.Lock()
