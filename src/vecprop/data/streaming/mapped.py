"""Memory-mapped .npy files, read with plain reads.

The pages of a map would count as memory of the process.
"""

import contextlib
import mmap
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.backend.main_memory import map_of
from vecprop.data.streaming.sources import ArraySource


class MappedSource(ArraySource):
    """A memory-mapped array or a view of one, read from its file.

    It is read through the map where the file cannot serve: a map with private changes (mode "c"), a view that goes
    backward, a file that no longer has a name.
    """

    def __init__(self, array: npt.NDArray[Any], rows_first: bool = True) -> None:
        root = map_of(array)
        assert root is not None
        super().__init__(array, rows_first, str(root.filename or ""))
        if root.mode in ("r+", "w+"):
            root.flush()
        self._root = root
        strides = array.strides if rows_first or array.ndim == 1 else array.strides[::-1]
        self._step = strides[0]  # in bytes, from one example to the next
        self._inner = strides[1] if array.ndim == 2 else array.itemsize
        self._offset = int(root.offset + array.ctypes.data - root.ctypes.data)
        self._stamp: tuple[int, int] | None = None
        if root.mode != "c" and min(self._step, self._inner) > 0:
            with contextlib.suppress(OSError):
                found = os.stat(self.name)
                self._stamp = found.st_size, found.st_mtime_ns
        self.watched = self._stamp is not None
        self._file: Any = None
        self._holders = 0
        self._lock = threading.Lock()
        self.rows_first = self._step >= self._inner or self.shape[0] == 1

    def raw(self, start: int, stop: int) -> npt.NDArray[Any]:
        if self._stamp is None:
            return self._through_the_map(start, stop)
        n, itemsize = self.shape[0], self.dtype.itemsize
        count = stop - start
        if self.rows_first:
            span = (count - 1) * self._step + (n - 1) * self._inner + itemsize
            data = self._bytes(start * self._step, span)
            return np.ndarray((n, count), self.dtype, data, strides=(self._inner, self._step))
        span = (count - 1) * self._step + itemsize
        out = np.empty((n, count), self.dtype)
        for j in range(n):
            data = self._bytes(j * self._inner + start * self._step, span)
            out[j] = np.ndarray((count,), self.dtype, data, strides=(self._step,))
        return out

    def read(self, start: int, stop: int, out: npt.NDArray[Any]) -> None:
        """Write examples start … stop - 1 into out, directly where it has the layout of the file."""
        n, itemsize = self.shape[0], self.dtype.itemsize
        whole = self._inner == itemsize and self._step == n * itemsize
        if self._stamp is None or not (whole and self.dtype == out.dtype and out.T.flags.c_contiguous):
            super().read(start, stop, out)
            return
        self._fill(start * self._step, out.T.reshape(-1).view(np.uint8).data)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        if self._stamp is None:
            yield
            return
        with self._lock:
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                self._close_unless_held()

    def _close_unless_held(self) -> None:
        if not self._holders and self._file is not None:
            self._file.close()
            self._file = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None, "_holders": 0, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def _bytes(self, offset: int, count: int) -> bytearray:
        data = bytearray(count)
        self._fill(offset, memoryview(data))
        return data

    def _fill(self, offset: int, view: memoryview) -> None:
        """Read into the view from an offset in the file; OSError if the file has changed."""
        with self._lock:  # two sets of examples may share one file
            if self._file is None:
                self._file = open(self.name, "rb", buffering=0)  # noqa: SIM115 - may be held
            try:
                self._require_unchanged()
                self._file.seek(self._offset + offset)
                while len(view):
                    count = self._file.readinto(view)
                    if not count:
                        raise OSError(f"{self.name} ends before its last example: it was cut while it was read")
                    view = view[count:]
            finally:
                self._close_unless_held()

    def _require_unchanged(self) -> None:
        assert self._stamp is not None
        found, (size, changed) = os.fstat(self._file.fileno()), self._stamp
        if found.st_size != size:
            raise OSError(f"{self.name} changed while it was read: it had {size} bytes and now has {found.st_size}")
        if found.st_mtime_ns != changed:
            raise OSError(f"{self.name} changed while it was read: it has been written to")

    def _through_the_map(self, start: int, stop: int) -> npt.NDArray[Any]:
        values = np.array(super().raw(start, stop))
        # a private map must keep its pages, the only place of its changes
        if self._root.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
            with contextlib.suppress(OSError, ValueError):
                self._root._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]
        return values
