"""Reads ahead: a thread prepares the next item while the current one is used."""

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# The most results at a time: the one in use, and the one that is being prepared or ready.
AHEAD = 2


class ReadAhead(Generic[Item, Result]):
    """Iterates over `prepare(item)`, each computed in a thread while the one before is used.

    An error of `prepare` is raised where its result would have come. `close`, or the end of a `with` block, ends the
    thread and waits for it.

    Parameters
    ----------
    prepare : function (item, stopped) -> result
        Called in the thread. Once `stopped()` is true the result is no longer wanted, and it may return at once.
    items : iterable
    finish : function (), optional
        Called when the thread has ended, for whatever reason.

    Examples
    --------
    >>> with ReadAhead(lambda item, stopped: item**2, range(3)) as squares:
    ...     list(squares)
    [0, 1, 4]
    """

    def __init__(
        self,
        prepare: Callable[[Item, Callable[[], bool]], Result],
        items: Iterable[Item],
        finish: Callable[[], None] = lambda: None,
    ) -> None:
        self._finish, self._stopped = finish, threading.Event()
        self._thread = ThreadPoolExecutor(1, "vecprop-reader")
        # choices made by `with` in the training thread apply in this thread too
        run = contextvars.copy_context().run
        self._begun = (self._thread.submit(run, prepare, item, self._stopped.is_set) for item in items)
        self._waiting: deque[Future[Result]] = deque(islice(self._begun, AHEAD - 1))

    def __iter__(self) -> Iterator[Result]:
        return self

    def __next__(self) -> Result:
        """Return the next result; the previous one must no longer be in use."""
        self._waiting.extend(islice(self._begun, 1))
        if not self._waiting:
            raise StopIteration
        return self._waiting.popleft().result()

    def close(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.shutdown(cancel_futures=True)
        self._finish()

    def __enter__(self) -> "ReadAhead[Item, Result]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
