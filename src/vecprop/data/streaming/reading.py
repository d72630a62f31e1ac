"""Reads ahead: a thread prepares the next item while the current one is used."""

from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from contextvars import copy_context
from threading import Event
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# The most results at a time: the one in use, and the one that is being prepared or ready.
AHEAD = 2


def read_ahead(
    prepare: Callable[[Item, Callable[[], bool]], Result],
    items: Iterable[Item],
    finish: Callable[[], None] = lambda: None,
) -> Generator[Result, None, None]:
    """Yield `prepare(item, stopped)` of each item, computed in a thread while the one before is used.

    Once `stopped()` is true, the result is no longer wanted. An error of `prepare` is raised where its result would
    have come. At the end, or when the generator is closed, the thread ends, which is waited for; then comes `finish`.

    >>> list(read_ahead(lambda item, stopped: item**2, range(3)))
    [0, 1, 4]
    """
    from concurrent.futures import ThreadPoolExecutor  # only where it is needed: it loads `logging`

    stopped = Event()
    with ExitStack() as at_end:
        at_end.callback(finish)
        thread = at_end.enter_context(ThreadPoolExecutor(1, "vecprop-reader"))
        at_end.callback(stopped.set)
        # choices made by `with` in the training thread apply in this thread too
        begun = (thread.submit(copy_context().run, prepare, item, stopped.is_set) for item in items)
        coming = next(begun, None)
        while coming is not None:
            result = coming.result()
            coming = next(begun, None)
            yield result
