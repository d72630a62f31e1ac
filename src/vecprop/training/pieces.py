"""The pieces of an epoch: some of its steps, with the examples that are at hand for them."""

from collections.abc import Callable, Generator, Iterator
from typing import Any

from vecprop.backend.namespaces import Array
from vecprop.data.streaming.windows import Window, read_windows
from vecprop.training.epochs import Data, Run
from vecprop.training.shuffling import Orders

Compiled = Callable[..., Any]


# Some steps of an epoch, begin … end - 1: their program, run, data and order
Piece = tuple[int, int, Compiled, Run, Data, Array | None]


class Pieces:
    """The epochs of a run up to `last` in pieces, of data in memory.

    data : `TrainingData`, whose `columns` are those of some examples, and whose `widest` is the most steps of a piece
    """

    def __init__(self, run: Run, orders: Orders, compile_epoch: Callable[[], Compiled], data: Any, last: int) -> None:
        self._run, self._orders, self._compile, self._data, self._last = run, orders, compile_epoch, data, last
        self._programs: dict[Any, Compiled] = {}

    def program(self, memory: Any = None) -> Compiled:
        """Return the epoch, compiled; one for each memory that windows are read into, as it may keep that memory."""
        if memory not in self._programs:
            self._programs[memory] = self._compile()
        return self._programs[memory]

    def of(self, epoch: int, first: int, size: int) -> Iterator[Piece]:
        """Yield the pieces of an epoch from step `first` on, of at most about `size` steps."""
        run, order = self._run, self._orders.draw(epoch)
        for begin, end in self._ranges(0, -(-run.m // run.batch_size), min(size, self._data.widest(run)), first):
            places = order[..., begin * run.batch_size : end * run.batch_size]
            yield begin, end, self.program(), *self._data.columns(run, places)

    def _ranges(self, begin: int, end: int, size: int, first: int) -> Iterator[tuple[int, int]]:
        """Yield the steps (begin, end) of pieces; an epoch's last, smaller batch is never alone."""
        run, begins = self._run, list(range(begin, end, size))
        if len(begins) > 1 and begins[-1] == run.m // run.batch_size and run.m % run.batch_size:
            begins.pop()
        for start, stop in zip(begins, [*begins[1:], end], strict=True):
            if stop > first:
                yield max(start, first), stop

    def close(self) -> None:
        """End what reads ahead."""


class PiecesOfWindows(Pieces):
    """Windows that are read ahead, from each epoch into the next."""

    def __init__(self, run: Run, orders: Orders, compile_epoch: Callable[[], Compiled], data: Any, last: int) -> None:
        super().__init__(run, orders, compile_epoch, data, last)
        self._steps = [(b // run.batch_size, -(-e // run.batch_size)) for b, e in data.X.windows.bounds]
        self._reader: Generator[Window, None, None] | None = None

    def of(self, epoch: int, first: int, size: int) -> Iterator[Piece]:
        """Yield the windows of an epoch from step `first` on, cut where a checkpoint is due inside them."""
        run, batch = self._run, self._run.batch_size
        begins_at = next(i for i, (_, end) in enumerate(self._steps) if end > first)
        if self._reader is None:
            first_of = {epoch: begins_at}
            places = ((e, i) for e in range(epoch, self._last) for i in range(first_of.get(e, 0), len(self._steps)))
            seed, whole = self._orders.first_seed, epoch + (begins_at > 0)
            self._reader = read_windows(self._data.X, run.backend, places, seed=seed, checked_with=whole)
        for number in range(begins_at, len(self._steps)):
            window, (start, stop) = next(self._reader), self._steps[number]
            assert window.place == (epoch, number)
            program = self.program(window.key if run.backend.computes_in_main_memory else None)
            pieces = -(-(stop - start) // size)
            for begin, end in self._ranges(start, stop, -(-(stop - start) // pieces), first):
                order = window.order[(begin - start) * batch : (end - start) * batch]
                order = run.backend.placement.argument(order, "int32")
                yield begin, end, program, run, window.data, order

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
