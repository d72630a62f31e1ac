"""The windows of a training run, read ahead from each epoch into the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from vecprop.backend.contract import Backend
from vecprop.data.streaming.examples import StreamedExamples
from vecprop.data.streaming.reading import ReadAhead
from vecprop.data.streaming.windows import Window, WindowPlace, read_windows


class StreamedEpochs:
    """Reads windows from a given step on; as a context it ends the reading.

    Parameters
    ----------
    examples : StreamedExamples
        Already `cut`.
    backend : Backend
    batch_size : int
    seed : int
    last : int
        The epoch before which the run ends.
    compile_epoch : function () -> compiled epoch
        Called once for each memory that windows are read into, as a program may keep that memory.
    """

    def __init__(
        self,
        examples: StreamedExamples,
        backend: Backend,
        batch_size: int,
        seed: int,
        last: int,
        compile_epoch: Callable[[], Callable[..., Any]],
    ) -> None:
        self._examples, self._backend, self._seed, self._last = examples, backend, seed, last
        self._compile = compile_epoch
        self._programs: dict[Any, Callable[..., Any]] = {}
        self._steps = [(b // batch_size, -(-e // batch_size)) for b, e in examples.windows.bounds]
        self._reader: ReadAhead[WindowPlace, Window] | None = None

    def windows(self, epoch: int, first: int) -> Iterator[tuple[int, int, Window]]:
        """Yield the windows of an epoch from a step on, as (first step, last step + 1, window)."""
        begin = next(i for i, (_, end) in enumerate(self._steps) if end > first)
        if self._reader is None:
            places, whole = self._places(epoch, begin), epoch + (begin > 0)
            self._reader = read_windows(self._examples, self._backend, places, seed=self._seed, checked_with=whole)
        for number in range(begin, len(self._steps)):
            window = next(self._reader)
            assert window.place == (epoch, number)
            yield *self._steps[number], window

    def program(self, window: Window) -> Callable[..., Any]:
        """Return the compiled epoch for a window."""
        key = window.key if self._backend.computes_in_main_memory else None
        if key not in self._programs:
            self._programs[key] = self._compile()
        return self._programs[key]

    def _places(self, epoch: int, begin: int) -> Iterator[WindowPlace]:
        while epoch < self._last:
            yield from (WindowPlace(epoch, number) for number in range(begin, len(self._steps)))
            epoch, begin = epoch + 1, 0

    def __enter__(self) -> StreamedEpochs:
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
