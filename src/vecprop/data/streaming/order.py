"""The order of examples from a file: blocks in random order, then shuffled within windows.

A block is a contiguous range of examples. Each epoch draws an order of the blocks, which makes one sequence of all
examples. Consecutive parts of it, the windows, are read one after the other, and each is shuffled.
"""

import numpy as np
import numpy.typing as npt

from vecprop.utils.random_streams import BLOCKS, generator, shuffle

Range = tuple[int, int]


class Windows:
    """The windows of an epoch over m examples.

    boundaries : the places where blocks begin, and m
    batch_size : the last batch of an epoch may be smaller; it is never a window of its own
    width : examples in a window, a multiple of the batch size; m or more means one window, with the same order as data
        in memory
    shuffled : False keeps the order of the file
    """

    def __init__(self, boundaries: npt.NDArray[np.int64], batch_size: int, width: int, shuffled: bool = True) -> None:
        self.boundaries, self.shuffled, self.width = boundaries, shuffled, width
        self.m = int(boundaries[-1])
        starts = list(range(0, self.m, width))
        if len(starts) > 1 and self.m - starts[-1] < batch_size:
            starts.pop()
        # (start, stop) of each window in the sequence
        self.bounds: list[Range] = list(zip(starts, [*starts[1:], self.m], strict=True))
        self._drawn: tuple[int, int] | None = None
        self._blocks = np.arange(len(boundaries) - 1)
        self._begins = boundaries

    def __len__(self) -> int:
        return len(self.bounds)

    def ranges(self, seed: int, epoch: int, number: int) -> list[Range]:
        """Return the ranges of examples to read for a window, in this order."""
        self._draw(seed, epoch)
        begin, end = self.bounds[number]
        first = int(np.searchsorted(self._begins, begin, side="right")) - 1
        found = []
        while begin < end:
            block, stop = int(self._blocks[first]), min(end, int(self._begins[first + 1]))
            offset = int(self.boundaries[block]) - int(self._begins[first])
            found.append((begin + offset, stop + offset))
            begin, first = stop, first + 1
        return found

    def order(self, seed: int, epoch: int, number: int) -> npt.NDArray[np.int64]:
        """Return the order of training on the examples of a window, as indices into it."""
        begin, end = self.bounds[number]
        return shuffle(seed, epoch, end - begin, number) if self.shuffled else np.arange(end - begin)

    def _draw(self, seed: int, epoch: int) -> None:
        """Draw the order of the blocks of an epoch, unless it is the one drawn last."""
        if not self.shuffled or len(self.bounds) == 1 or self._drawn == (seed, epoch):
            return
        self._blocks = generator(seed, BLOCKS, epoch).permutation(len(self.boundaries) - 1)
        lengths = np.diff(self.boundaries)[self._blocks]
        self._begins = np.concatenate([[0], np.cumsum(lengths)])
        self._drawn = (seed, epoch)


def regular(m: int, size: int) -> npt.NDArray[np.int64]:
    """Return the boundaries of blocks of one size, the last one smaller."""
    return np.append(np.arange(0, m, size), m)
