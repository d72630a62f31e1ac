"""Windows of streamed examples on the backend: one is used while the next is read."""

from collections.abc import Callable, Generator, Iterable
from functools import cache
from itertools import cycle
from typing import Any, NamedTuple

import numpy.typing as npt

from vecprop.backend.contract import Backend
from vecprop.backend.pytrees import leaves_of, map_tree
from vecprop.data.streaming.examples import StreamedExamples
from vecprop.data.streaming.order import Windows
from vecprop.data.streaming.reading import AHEAD, read_ahead

Memory = tuple[Any, Any, Any]
Place = tuple[int, int]  # a window by its epoch and its number in it


class Window(NamedTuple):
    """A window on the backend.

    data : X, Y and the weights or None
    order : (k,), the order in which its examples are trained on
    key : of its memory, where the backend computes directly with the memory that was read into
    """

    place: Place
    data: Memory
    order: npt.NDArray[Any]
    key: tuple[int, int]


def read_windows(
    examples: StreamedExamples,
    backend: Backend,
    places: Iterable[Place],
    *,
    windows: Windows | None = None,
    seed: int = 0,
    arranged: bool = True,
    checked_with: int | None = None,
) -> Generator[Window, None, None]:
    """Return a generator that reads windows ahead in the order of their places; it has to be closed.

    windows : by default those of the examples
    arranged : whether to lay the data out in mini-batches with `Placement.spread`; else they stay in columns
    checked_with : the epoch at whose end all examples have been read, and so checked
    """
    of = windows or examples.windows
    widest = max(end - begin for begin, end in of.bounds)
    # one memory is enough if the backend copies it; if it computes with it directly, two take turns
    turns = cycle(range(AHEAD if backend.computes_in_main_memory else 1))

    @cache
    def memory(_: int) -> Memory:
        return examples.buffers(widest)

    @cache  # the same objects for windows of the same turn and width
    def views(turn: int, width: int) -> Memory:
        X, Y, w = (None if a is None else a[..., :width] for a in memory(turn))
        return X, Y, w

    def read(place: Place, stopped: Callable[[], bool]) -> Window:
        epoch, number = place
        begin, end = of.bounds[number]
        key = (next(turns), end - begin)
        checked = checked_with is not None and epoch > checked_with
        examples.fill(views(*key), of.ranges(seed, *place), stopped, checked)
        return Window(place, _moved(views(*key), backend, arranged), of.order(seed, *place), key)

    return read_ahead(read, places, examples.close)


def _moved(views: Memory, backend: Backend, arranged: bool) -> Any:
    """Return them on the backend; when this returns, they may be written over, unless it computes with them."""
    # a copy, as a backend on a CPU may keep the memory that it is given
    data = views if backend.computes_in_main_memory else map_tree(lambda a: a.copy(order="K"), views)
    if arranged:
        data = backend.placement.laid_out((views[0].shape[-1],)).placement.spread(data, batches=True)
    else:
        data = map_tree(backend.asarray, data)
    for array in leaves_of(data):
        backend.synchronize(array)
    return data
