"""Reads ahead: a thread prepares the next item while the current one is used."""

import contextvars
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# The most results at a time: the one in use, and the one that is being prepared or ready.
AHEAD = 2


class _Ready(NamedTuple, Generic[Result]):
    result: Result | None
    error: BaseException | None = None


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
        self._prepare, self._items, self._finish = prepare, items, finish
        self._stopped = threading.Event()
        self._ready: queue.SimpleQueue[_Ready[Result] | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(AHEAD)
        # choices made by `with` in the training thread apply in this thread too
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="vecprop-reader", daemon=True)
        self._used = False
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self._items:
                self._room.acquire()
                if self._stopped.is_set():
                    return
                self._ready.put(_Ready(self._prepare(item, self._stopped.is_set)))
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
            self._ready.put(_Ready(None, error))
        else:
            self._ready.put(None)

    def __iter__(self) -> Iterator[Result]:
        return self

    def __next__(self) -> Result:
        """Return the next result; the previous one must no longer be in use."""
        if self._used:
            self._used = False
            self._room.release()
        found = self._ready.get()
        if found is None:
            self._ready.put(None)
            raise StopIteration
        if found.error is not None:
            self._ready.put(None)
            raise found.error
        self._used = True
        return found.result  # type: ignore[return-value]

    def close(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._room.release()
        self._thread.join()
        self._finish()

    def __enter__(self) -> "ReadAhead[Item, Result]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
