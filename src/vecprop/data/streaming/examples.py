"""Streamed examples: X, Y and weights are read, checked and scaled a block at a time."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.backend.namespaces import array_namespace
from vecprop.data.streaming.order import Range, Windows, regular
from vecprop.data.streaming.sources import Chosen, InexactError, Source
from vecprop.nn.losses import CrossEntropy
from vecprop.nn.network import Network

Host = npt.NDArray[Any]

# Data of up to SMALL bytes, in the dtype of the training, are read as a whole; larger ones in windows of WINDOW bytes.
SMALL = 1 << 28
WINDOW = 1 << 26
# The bytes that are read at once, and the least number of blocks in a window, so that it mixes parts of the file.
READ = 1 << 20
BLOCKS = 16
# Examples that are read at once where the numbers of an example lie far apart in the file.
_LONG_READ = 1 << 14
_SAMPLES, _IN_A_SAMPLE = 16, 64
ARGUMENTS = ("X", "Y", "sample_weight")


class StreamedExamples:
    """X (n_0, m), Y (n_L, m) and weights (m,), read from sources.

    sources : (X, Y, weights or None); ValueError for shapes that do not fit the network or each other
    window : the examples of a window, or "auto"; `cut` makes it a multiple of the batch size
    prefix : put before the names of the arguments in messages
    scale : (mean, deviation) (n_0, 1) by which X is scaled as it is read, or None
    factors : (classes,) by which the weights are multiplied, or None
    windows : those of an epoch
    largest : the largest |x| of `sample`
    """

    def __init__(
        self,
        net: Network,
        dtype: str,
        sources: Iterable[Source | None],
        window: int | str = "auto",
        prefix: str = "",
    ) -> None:
        self.net, self.dtype, self.window, self.prefix = net, dtype, window, prefix
        self.sources = tuple(source for source in sources if source is not None)
        self.scale: tuple[Host, Host] | None = None
        self.factors: npt.NDArray[np.float64] | None = None
        self._check_shapes()
        self.shape = self.sources[0].shape
        self.windows = self.cut()
        self.largest = 0.0

    @property
    def m(self) -> int:
        """The number of examples."""
        return self.shape[1]

    @property
    def weighted(self) -> bool:
        """Whether the examples have weights."""
        return len(self.sources) > 2 or self.factors is not None

    @property
    def bytes_each(self) -> int:
        """The bytes of an example as it is computed with."""
        return (self.net.sizes[0] + self.net.sizes[-1] + 1) * np.dtype(self.dtype).itemsize

    def _check_shapes(self) -> None:
        X, Y, *weights = self.sources
        for name, source, n in (("X", X, self.net.sizes[0]), ("Y", Y, self.net.sizes[-1])):
            m = None if source is X else X.shape[1]
            if 0 in source.shape:
                raise ValueError(f"{name} is empty: shape {source.shape}; at least one example is needed")
            if source.shape[0] == n and m in (None, source.shape[1]):
                continue
            flipped = source.shape[1] == n and m in (None, source.shape[0])
            hint = f"; it seems to have the examples in rows: use vp.rows({name})" if flipped else ""
            wanted = f"({n}, {'m' if m is None else m})"
            raise ValueError(f"{name} must have shape {wanted}, one example per column, got {source.shape}{hint}")
        if any(w.shape != (1, X.shape[1]) for w in weights):
            got = weights[0].shape
            raise ValueError(f"sample_weight must have shape ({X.shape[1]},), one weight per example, got {got}")

    # Windows

    def cut(self, batch_size: int = 1, shuffled: bool = False) -> Windows:
        """Return the windows of an epoch in batches of this size, by default in the order of the file."""
        width = max(1, WINDOW // self.bytes_each) if isinstance(self.window, str) else self.window
        width = -(-width // batch_size) * batch_size
        return Windows(self._boundaries(width), batch_size, width, shuffled)

    def _boundaries(self, width: int) -> npt.NDArray[np.int64]:
        """Return where blocks begin, and m; a block is a part of a file, a chunk, or what is read at once."""
        for source in self.sources:
            if source.boundaries is not None:
                return source.boundaries
        size = min(self._at_once, max(1, width // BLOCKS))
        unit = max(source.unit for source in self.sources)
        return regular(self.m, -(-size // unit) * unit)

    @property
    def _at_once(self) -> int:
        """The number of examples to read at once, where the sources prefer no other."""
        size = max(1, READ // self.bytes_each)
        return size if self.sources[0].rows_first else max(size, _LONG_READ)

    def subset(self, places: npt.NDArray[np.int64]) -> "StreamedExamples":
        """Return some of the examples, by their numbers in increasing order."""
        at_once = max(1, 4 * READ // self.bytes_each)
        chosen = (Chosen(source, places, at_once) for source in self.sources)
        return StreamedExamples(self.net, self.dtype, chosen, self.window, self.prefix)

    # Reading

    def buffers(self, width: int, dtype: str | None = None) -> tuple[Host, Host, Host | None]:
        """Return memory for a number of examples, in columns, each example contiguous."""
        dtype = dtype or self.dtype
        X, Y = (np.empty((width, n), dtype).T for n in (self.net.sizes[0], self.net.sizes[-1]))
        return X, Y, np.empty(width, dtype) if self.weighted else None

    def fill(
        self,
        out: tuple[Host | None, Host | None, Host | None],
        ranges: Iterable[Range],
        stopped: Callable[[], bool] = lambda: False,
        checked: bool = False,
    ) -> None:
        """Read ranges of examples into memory, one after the other: checked, scaled, weighted.

        Skips those of X, Y and weights whose memory is None. With `checked`, only sources that would not notice a
        change are checked again.
        """
        at = 0
        with ExitStack() as opened:
            for source in self.sources:
                opened.enter_context(source.held())
            for start, stop in ranges:
                for begin, end in self.pieces(start, stop):
                    if stopped():
                        return
                    X, Y, w = (None if a is None else a[..., at : at + end - begin] for a in out)
                    self.read(begin, end, X, Y, w, checked)
                    at += end - begin

    def pieces(self, start: int, stop: int) -> Iterator[Range]:
        """Yield the pieces of a range that are each read and checked at once."""
        size = max(self._at_once, *(source.unit for source in self.sources))
        for begin in range(start, stop, size):
            yield begin, min(begin + size, stop)

    def read(
        self, start: int, stop: int, X: Host | None, Y: Host | None, w: Host | None, checked: bool = False
    ) -> None:
        """Read one range, as `fill` does."""
        with np.errstate(all="ignore"):
            if X is not None:
                self._read_checked(0, start, stop, X, checked)
                if self.scale is not None:
                    np.subtract(X, self.scale[0], out=X)
                    np.divide(X, self.scale[1], out=X)
            if Y is None and w is not None and self.factors is not None:
                Y = np.empty((stop - start, self.net.sizes[-1]), self.dtype).T
            if Y is not None:
                self._read_checked(1, start, stop, Y, checked)
            if w is not None:
                if len(self.sources) > 2:
                    self._read_checked(2, start, stop, w[None, :], checked)
                else:
                    w[...] = 1
                if self.factors is not None:
                    assert Y is not None
                    w[...] = w * self.factors[labels_of(self.net, Y)]

    def _read_checked(self, which: int, start: int, stop: int, out: Host, checked: bool) -> None:
        self._read(which, start, stop, out)
        if checked and self.sources[which].watched:
            return
        self._require_finite(which, start, stop, out)
        loss, xp = self.net.loss, array_namespace(out)
        if which == 1 and not loss.valid_targets(xp, out):
            where = self._where(1, start, stop)
            raise ValueError(f"{self.prefix}{loss.describe_invalid(xp, out)}; found {where}")
        if which == 2 and out.min() < 0:
            where = self._where(2, start, stop)
            raise ValueError(f"{self.prefix}sample_weight must be >= 0, got {float(out.min()):g} {where}")

    def _read(self, which: int, start: int, stop: int, out: Host) -> None:
        name = self.prefix + ARGUMENTS[which]
        try:
            self.sources[which].read(start, stop, out)
        except InexactError as error:
            raise ValueError(f"{name}: {error}, {self._where(which, start, stop)}; use dtype='float64'") from None
        except (OSError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from error

    def _require_finite(self, which: int, start: int, stop: int, values: Host) -> None:
        """Raise ValueError, with the place, unless all values are finite."""
        # the sum is quicker to test than each value, but may overflow
        if np.isfinite(values.sum()) or np.isfinite(values).all():
            return
        source, name, where = self.sources[which], self.prefix + ARGUMENTS[which], self._where(which, start, stop)
        given = source.raw(start, stop)
        if np.isfinite(given).all():
            raise ValueError(f"{name} holds values too large for {self.dtype} {where}; use dtype='float64'")
        bad = ~np.isfinite(given)
        column = int(np.argmax(bad.any(axis=0)))
        row = int(np.argmax(bad[:, column]))
        what = "NaN" if np.isnan(given[row, column]) else "an infinite value"
        words = ("row", "column") if source.in_rows else ("column", "row")
        inside = f", {words[1]} {row}" if source.shape[0] > 1 else ""
        raise ValueError(
            f"{name} must be finite, got {what} {where}, first in {words[0]} {source.place(start + column)}{inside}"
        )

    def _where(self, which: int, start: int, stop: int) -> str:
        """Return the place of a range of examples, for messages."""
        source = self.sources[which]
        block = int(np.searchsorted(self.windows.boundaries, start, side="right")) - 1
        of = f" of {source.name}" if source.name else ""
        words = "rows" if source.in_rows else "columns"
        return f"in {words} {source.place(start)} to {source.place(stop - 1)} (block {block}){of}"

    def close(self) -> None:
        """Close what reading has opened."""
        for source in self.sources:
            source.close()

    # All examples

    def blocks(self, X: bool = False, Y: bool = False, dtype: str | None = None) -> Iterator[tuple[Any, Any, Any]]:
        """Yield X, Y and the weights of all examples, a piece at a time, in the order of the file.

        X or Y is None unless asked for. The memory is used again for the next piece.
        """
        kept: dict[int, tuple[Any, Any, Any]] = {}
        for start, stop in self.pieces(0, self.m):
            if stop - start not in kept:
                buffers = self.buffers(stop - start, dtype)
                kept[stop - start] = (buffers[0] if X else None, buffers[1] if Y else None, buffers[2])
            found = kept[stop - start]
            self.read(start, stop, *found)
            yield found

    def whole(self, which: int) -> Host:
        """Return all of X or Y (n, m) or the weights (m,), in the memory order of the file."""
        n, m = self.sources[which].shape
        out = np.empty((m, n), self.dtype).T if self.sources[which].rows_first else np.empty((n, m), self.dtype)
        for start, stop in self.pieces(0, m):
            with np.errstate(all="ignore"):
                self._read(which, start, stop, out[:, start:stop])
                self._require_finite(which, start, stop, out[:, start:stop])
        return out if which < 2 else out[0]

    def sample(self) -> tuple[Host, Host, Host | None]:
        """Return X, Y and the weights of some examples, evenly spread."""
        count = min(self.m, _SAMPLES)
        each = max(1, min(_IN_A_SAMPLE, WINDOW // (count * self.bytes_each)))
        starts = [self.m * i // count for i in range(count + 1)]
        ranges = [(start, min(start + each, end)) for start, end in pairwise(starts)]
        X, Y, w = self.buffers(sum(stop - start for start, stop in ranges))
        self.fill((X, Y, w), ranges)
        self.largest = float(np.max(np.abs(X)))
        return X, Y, w


def labels_of(net: Network, Y: Host) -> npt.NDArray[np.int64]:
    """Return the class of each example of Y (n_L, k), for a network whose classes exclude each other."""
    if isinstance(net.loss, CrossEntropy):
        return np.asarray(np.argmax(Y, axis=0), dtype=np.int64)
    return np.asarray(Y[0] > 0.5, dtype=np.int64)
