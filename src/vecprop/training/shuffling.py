"""The order of the examples in each epoch (E30), drawn on the host while a device computes."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from vecprop.backend.blas import BLAS, usable_cores
from vecprop.backend.namespaces import Array
from vecprop.training.epochs import Run
from vecprop.utils.random_streams import shuffle
from vecprop.utils.threads import at_once

# The total number of entries from which orders are drawn on several threads, which NumPy lets run in parallel.
_WORTH_THREADS = 1 << 21
_BLAS = BLAS()


class Orders:
    """The orders of the examples in epochs, (m,), or (K, m) for K seeds; None for a full batch."""

    def __init__(self, run: Run, seed: int | tuple[int, ...], shuffled: bool) -> None:
        self._run, self._seed, self._shuffled = run, seed, shuffled
        self._ready: tuple[int, int, Array | None] = (-1, 0, None)

    @property
    def first_seed(self) -> int:
        """The seed, or the first of several."""
        return self._seed[0] if isinstance(self._seed, tuple) else self._seed

    def of(self, epoch: int, count: int) -> Array | None:
        """Return the order of an epoch, or with count > 1 the orders of consecutive epochs."""
        if self._ready[:2] != (epoch, count):
            self.prepare(epoch, count)
        return self._ready[2]

    def prepare(self, epoch: int, count: int) -> None:
        """Draw the orders that will be needed next."""
        run, place = self._run, self._run.backend.placement
        if run.batch_size >= run.m:
            self._ready = epoch, count, None  # for a full batch the order does not matter
            return
        orders = [self.draw(e) for e in range(epoch, epoch + count)]
        order = orders[0] if count == 1 else np.stack(orders)
        self._ready = epoch, count, place.argument(place.places(order), "int32")

    def draw(self, epoch: int) -> npt.NDArray[np.int64]:
        """Return the order of an epoch, drawn on the host."""
        m = self._run.m
        if not self._shuffled:
            return np.arange(m)
        return shuffles(self._seed, epoch, m) if isinstance(self._seed, tuple) else shuffle(self._seed, epoch, m)


def shuffles(seeds: Sequence[int], epoch: int, m: int) -> npt.NDArray[np.int64]:
    """Return the orders of K seeds in an epoch, (K, m), as `random_streams.shuffle` draws them."""
    orders = np.empty((len(seeds), m), np.int64)
    threads = min(_threads(), len(seeds)) if orders.size >= _WORTH_THREADS else 1

    def draw(first: int) -> None:
        for k in range(first, len(seeds), threads):
            orders[k] = shuffle(seeds[k], epoch, m)

    at_once([partial(draw, first) for first in range(threads)], threads)
    return orders


def _threads() -> int:
    """Return the number of usable cores, within the user's limit for the BLAS."""
    return min(usable_cores(), _BLAS.threads())
