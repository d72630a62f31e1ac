"""Several pieces of work at once."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


def at_once(jobs: Sequence[Callable[[], T]], threads: int) -> list[T]:
    """Return what the jobs give, shared by so many threads, in the context of the caller.

    Where no thread can be started, one after the other.

    >>> at_once([lambda: 1, lambda: 2, lambda: 3], threads=2)
    [1, 2, 3]
    """
    if min(threads, len(jobs)) > 1:
        try:
            with ThreadPoolExecutor(min(threads, len(jobs))) as pool:
                return [job.result() for job in [pool.submit(copy_context().run, job) for job in jobs]]
        except RuntimeError as error:
            if "thread" not in str(error):
                raise
    return [job() for job in jobs]
