"""Windows of streamed examples on the backend: one is used while the next is read."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy.typing as npt

from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import Array
from vecprop.backend.pytrees import leaves_of, map_tree
from vecprop.data.streaming.examples import StreamedExamples
from vecprop.data.streaming.order import Range, Windows
from vecprop.data.streaming.reading import AHEAD, ReadAhead

Data = tuple[Array, Array, Array | None]


class WindowPlace(NamedTuple):
    """A window by its epoch and its number in it."""

    epoch: int
    number: int


class Window(NamedTuple):
    """A window on the backend.

    place : its epoch and number
    data : X, Y and the weights
    order : (k,), the order in which its examples are trained on
    key : of its memory, where the backend computes directly with the memory that was read into
    """

    place: WindowPlace
    data: Data
    order: npt.NDArray[Any]
    key: tuple[int, int]


class _Loader:
    """Reads windows into memory that is used again.

    One memory is enough if the backend copies it; if it computes with it directly, two take turns.
    """

    def __init__(
        self,
        examples: StreamedExamples,
        backend: Backend,
        windows: Windows,
        seed: int,
        arranged: bool,
        checked_with: int | None,
    ) -> None:
        self._examples, self._backend, self._windows, self._seed = examples, backend, windows, seed
        self._arranged, self._checked_with = arranged, checked_with
        self._turns = AHEAD if backend.computes_in_main_memory else 1
        self._memory: dict[int, Any] = {}
        self._views: dict[tuple[int, int], tuple[Any, Any, Any]] = {}
        self._count = 0

    def __call__(self, place: WindowPlace, stopped: Callable[[], bool]) -> Window:
        begin, end = self._windows.bounds[place.number]
        key = (self._count % self._turns, end - begin)
        self._count += 1
        views = self._memory_of(key)
        ranges: list[Range] = self._windows.ranges(self._seed, place.epoch, place.number)
        checked = self._checked_with is not None and place.epoch > self._checked_with
        self._examples.fill(views, ranges, stopped, checked)
        return Window(place, self._moved(views), self._windows.order(self._seed, place.epoch, place.number), key)

    def _moved(self, views: Data) -> Any:
        """Return them on the backend; when this returns, they may be written over, unless it computes with them."""
        backend = self._backend
        # a copy, as a backend on a CPU may keep the memory that it is given
        data = views if backend.computes_in_main_memory else map_tree(lambda a: a.copy(order="K"), views)
        if self._arranged:
            data = backend.placement.laid_out((views[0].shape[-1],)).placement.spread(data, batches=True)
        else:
            data = map_tree(backend.asarray, data)
        for array in leaves_of(data):
            backend.synchronize(array)
        return data

    def _memory_of(self, key: tuple[int, int]) -> tuple[Any, Any, Any]:
        """Return views of the memory, the same objects for windows of the same turn and width."""
        turn, width = key
        if turn not in self._memory:
            widest = max(end - begin for begin, end in self._windows.bounds)
            self._memory[turn] = self._examples.buffers(widest)
        if key not in self._views:
            X, Y, w = (None if a is None else a[..., :width] for a in self._memory[turn])
            self._views[key] = (X, Y, w)
        return self._views[key]


def read_windows(
    examples: StreamedExamples,
    backend: Backend,
    places: Iterable[WindowPlace],
    *,
    windows: Windows | None = None,
    seed: int = 0,
    arranged: bool = True,
    checked_with: int | None = None,
) -> ReadAhead[WindowPlace, Window]:
    """Return an iterator that reads windows ahead; close it, or use it in a `with` block.

    Parameters
    ----------
    examples : StreamedExamples
    backend : Backend
    places : iterable of WindowPlace
        The windows to read, in this order.
    windows : Windows, optional
        By default those of the examples.
    seed : int
    arranged : bool, default True
        Lay the data out in mini-batches with `Placement.spread`; False leaves columns.
    checked_with : int, optional
        The epoch at whose end all examples have been read, and so checked.
    """
    loader = _Loader(examples, backend, windows or examples.windows, seed, arranged, checked_with)
    return ReadAhead(loader, places, examples.close)
