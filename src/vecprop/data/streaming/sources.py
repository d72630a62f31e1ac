"""Sources of examples to read a part at a time: the interface, and arrays of any kind."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

_EXACT_INTEGERS = {"float32": 2**24, "float64": 2**53}


class InexactError(ValueError):
    """Integers that a floating-point dtype cannot hold."""


class Source:
    """Numbers of m examples, (n, m), read a range of examples at a time.

    shape : (n, m)
    dtype : of the numbers, as NumPy's
    name : of the file, "" if there is none
    rows_first : whether the numbers of one example are contiguous
    in_rows : whether an example is a row of the file, for messages
    unit : the number of examples that are best read together, such as a chunk of the file; 1 if there is none
    boundaries : the starts of parts that can only be read from their start, and m; or None
    watched : whether reading notices a change of the file, so that examples need only be checked once
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    name: str = ""
    rows_first: bool = True
    in_rows: bool = True
    unit: int = 1
    boundaries: npt.NDArray[np.int64] | None = None
    watched: bool = False

    def raw(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return examples start … stop - 1, (n, stop - start), in their own dtype."""
        raise NotImplementedError

    def read(self, start: int, stop: int, out: npt.NDArray[Any]) -> None:
        """Write examples start … stop - 1 into out (n, stop - start), float32 or float64.

        OSError if they cannot be read, or the file has changed; InexactError for integers that out cannot hold.
        """
        self.convert(self.raw(start, stop), out)

    def convert(self, values: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        """Write numbers of the source's dtype into out, in its dtype."""
        exact = _EXACT_INTEGERS[out.dtype.name]
        wide = values.dtype.kind in "iu" and np.iinfo(values.dtype).max > exact
        if wide and values.size and (int(values.max()) > exact or int(values.min()) < -exact):
            raise InexactError(f"it holds integers beyond ±{exact}, which {out.dtype} cannot hold exactly")
        np.copyto(out, values, casting="unsafe")

    def place(self, index: int) -> int:
        """Return the number of an example in the file."""
        return index

    def held(self) -> AbstractContextManager[None]:
        """Return a context for reading many ranges, during which a file may stay open."""
        return nullcontext()

    def close(self) -> None:
        """Close the files that reading has opened; it opens them again if needed."""


class ArraySource(Source):
    """An array of NumPy or Zarr, a dataset of h5py, …: (m, n) or (m,), or (n, m) unless `rows_first`."""

    def __init__(self, array: Any, rows_first: bool = True, name: str = "") -> None:
        self.array, self.in_rows = array, rows_first or len(array.shape) == 1
        self.name = name or _name_of(array)
        self._said = f"{self.name}: " if self.name else ""  # the beginning of a message
        self._shape = tuple(int(n) for n in array.shape)
        self.dtype = np.dtype(array.dtype)
        if len(self._shape) == 1:
            self.shape = (1, self._shape[0])
        elif len(self._shape) == 2:
            self.shape = self._shape[::-1] if rows_first else self._shape
        else:
            wanted = "(m, n), one example per row" if rows_first else "(n, m), one example per column"
            raise ValueError(f"{self._said}must have rank 2, shape {wanted}, got shape {self._shape}")
        self.rows_first = self.in_rows
        if self.dtype.kind not in "biuf":
            raise TypeError(f"{self._said}must be real numbers, float32 or float64, got dtype {self.dtype}")
        chunks = getattr(array, "chunks", None)
        if isinstance(chunks, tuple) and len(chunks) == len(self._shape):
            along = chunks[0] if self.in_rows else chunks[1]
            self.unit = int(along) if isinstance(along, int) else 1

    def raw(self, start: int, stop: int) -> npt.NDArray[Any]:
        if tuple(self.array.shape) != self._shape:
            raise OSError(f"{self._said}it had the shape {self._shape} and now has {tuple(self.array.shape)}")
        try:
            found = np.asarray(self.array[start:stop] if self.in_rows else self.array[:, start:stop])
        except MemoryError:
            raise
        except Exception as error:  # other libraries may raise any exception
            which = f"{'rows' if self.in_rows else 'columns'} {start} to {stop - 1}"
            raise OSError(f"{self._said}{which} cannot be read: {type(error).__name__}: {error}") from error
        return found.reshape(found.shape[0], -1).T if self.in_rows else found


class Derived(Source):
    """Examples made from those of another source, which is opened, watched and closed with it."""

    def __init__(self, source: Source) -> None:
        self.source, self.dtype, self.name, self.watched = source, source.dtype, source.name, source.watched
        self.rows_first, self.in_rows = source.rows_first, source.in_rows
        self.unit, self.boundaries = source.unit, source.boundaries

    def place(self, index: int) -> int:
        return self.source.place(index)

    def held(self) -> AbstractContextManager[None]:
        return self.source.held()

    def close(self) -> None:
        self.source.close()


class Chosen(Derived):
    """Some examples of a source; their numbers, in increasing order, stay in memory."""

    def __init__(self, source: Source, places: npt.NDArray[Any], at_once: int) -> None:
        super().__init__(source)
        self.places, self._at_once = places, at_once
        self.shape = (source.shape[0], len(places))
        if source.boundaries is not None:
            self.boundaries = np.unique(np.searchsorted(places, source.boundaries))
        self.unit = max(1, round(source.unit * len(places) / source.shape[1]))

    def raw(self, start: int, stop: int) -> npt.NDArray[Any]:
        out = np.empty((stop - start, self.shape[0]), self.dtype).T
        for part, values in self._parts(start, stop):
            out[:, part] = values
        return out

    def read(self, start: int, stop: int, out: npt.NDArray[Any]) -> None:
        for part, values in self._parts(start, stop):
            self.convert(values, out[:, part])

    def _parts(self, start: int, stop: int) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
        """Yield nearby examples, which are read at once, each time with their part of the range."""
        begin = start
        while begin < stop:
            first = int(self.places[begin])
            end = begin + int(np.searchsorted(self.places[begin:stop], first + self._at_once))
            places = self.places[begin:end]
            values = self.source.raw(first, int(places[-1]) + 1)[:, places - first]
            yield slice(begin - start, end - start), values
            begin = end

    def place(self, index: int) -> int:
        return self.source.place(int(self.places[index]))


def _name_of(array: Any) -> str:
    """Return the name of an array if it has one; for h5py with the file."""
    name, file = getattr(array, "name", None), getattr(array, "file", None)
    inside = str(name) if isinstance(name, str) and name.strip("/") else ""
    outside = getattr(file, "filename", None) or getattr(getattr(array, "store", None), "root", None)
    return "".join(str(part) for part in (outside, inside) if part)
