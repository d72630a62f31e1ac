"""Parquet and Arrow files: columns by name, read in row groups and batches with pyarrow."""

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecprop.data.streaming.sources import Source
from vecprop.utils.errors import imported

SUFFIXES = {".parquet": "parquet", ".pq": "parquet", ".arrow": "ipc", ".feather": "ipc", ".ipc": "ipc"}
_BATCH = 8192  # rows that are decoded at once
_NOTHING = np.empty((0, 0))


class _File(NamedTuple):
    """One file: path, kind, size and time, rows of its parts, and the columns to read."""

    path: str
    kind: str
    stamp: tuple[Any, ...]
    rows: list[int]
    places: list[int]


class ArrowSource(Source):
    """Columns of Parquet or Arrow files, one example per row, read file after file.

    paths : files in the file system, read in this order
    kinds : "parquet" or "ipc" for each
    columns : by name, or None for all
    filesystem : one of pyarrow's, by default the local one
    """

    watched = True  # the size and time of a file are checked at the start of each part

    def __init__(
        self, paths: Sequence[str], kinds: Sequence[str], columns: Sequence[str] | None, filesystem: Any = None
    ) -> None:
        how = 'Parquet and Arrow files are read by pyarrow: pip install "vecprop[stream]"'
        self._arrow, *_ = (imported(name, how) for name in ("pyarrow", "pyarrow.ipc", "pyarrow.parquet"))
        from pyarrow import fs

        self._fs = fs.LocalFileSystem() if filesystem is None else filesystem
        self.name = paths[0] if len(paths) == 1 else str(Path(paths[0]).parent)
        self.columns: list[str] = [] if columns is None else list(columns)
        self._types: list[Any] = []
        self._files: list[_File] = []
        for path, kind in zip(paths, kinds, strict=True):
            self._add(path, kind)
        lengths = [rows for file in self._files for rows in file.rows]
        self._parts = [(file, part) for file in self._files for part in range(len(file.rows))]
        m = sum(lengths)
        if m == 0:
            raise ValueError(f"{self.name} has no rows; at least one example is needed")
        self.boundaries = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        self.shape = (len(self.columns), m)
        self.dtype = np.result_type(*(_numpy_type(t) for t in self._types))
        self._alike = self.dtype.kind == "f" and len(set(self._types)) == 1
        self._lock = threading.Lock()
        # a part, its batches that have not been read, and what has been read and not used, with its place
        self._open: tuple[int, Generator[Any, None, None]] | None = None
        self._at, self._left = 0, _NOTHING

    # The files

    def _add(self, path: str, kind: str) -> None:
        """Add a file, whose columns must be those of the first."""
        with self._failing(path), self._reader(path, kind) as reader:
            schema = reader.schema_arrow if kind == "parquet" else reader.schema
            rows = []
            if kind == "parquet":
                rows = [reader.metadata.row_group(i).num_rows for i in range(reader.num_row_groups)]
        if not self.columns:
            self.columns = list(schema.names)
        self._check_schema(path, schema)
        places = [schema.get_field_index(column) for column in self.columns]
        if kind == "ipc":  # a row count comes with the values of its batch, so one column is read
            with self._failing(path), self._reader(path, kind, places[:1]) as reader:
                rows = [reader.get_batch(i).num_rows for i in range(reader.num_record_batches)]
        if sum(rows):
            self._files.append(_File(path, kind, self._stamp(path), rows, places))

    def _check_schema(self, path: str, schema: Any) -> None:
        for j, column in enumerate(self.columns):
            places = schema.get_all_field_indices(column)
            if len(places) != 1:
                what = f"{len(places)} columns" if places else "no column"
                shown, more = ", ".join(map(repr, schema.names[:10])), len(schema.names) - 10
                others = f" and {more} more" if more > 0 else ""
                raise ValueError(f"{path} has {what} {column!r}; its columns are {shown}{others}")
            found = schema.field(places[0]).type
            if _numpy_type(found) is None:
                raise TypeError(
                    f"{path}: column {column!r} must hold numbers, got {found}; leave it out (columns=[...]), or make "
                    "numbers of it first"
                )
            if len(self._types) == j:  # the first file
                self._types.append(found)
            elif found != self._types[j]:
                raise ValueError(
                    f"{path}: column {column!r} is {found}, and {self._types[j]} in the files before; write them with "
                    "one schema"
                )

    def _stamp(self, path: str) -> tuple[Any, ...]:
        found = self._fs.get_file_info(path)
        return found.size, found.mtime_ns

    # Reading

    def raw(self, start: int, stop: int) -> npt.NDArray[Any]:
        out = np.empty((stop - start, self.shape[0]), self.dtype).T
        self._read(start, stop, out)
        return out

    def read(self, start: int, stop: int, out: npt.NDArray[Any]) -> None:
        if self.dtype.kind in "iu":
            super().read(start, stop, out)
            return
        self._read(start, stop, out)

    def _read(self, start: int, stop: int, out: npt.NDArray[Any]) -> None:
        at = start
        with self._lock:
            try:
                while at < stop:
                    values = self._some(at, stop)
                    np.copyto(out[:, at - start : at - start + values.shape[1]], values, casting="unsafe")
                    at += values.shape[1]
            except BaseException:
                self._close()  # the batch that could not be used is behind
                raise

    def _some(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the columns (n, k) of some examples from `start` on, which is best where the last call ended."""
        assert self.boundaries is not None
        part = int(np.searchsorted(self.boundaries, start, side="right")) - 1
        end = int(self.boundaries[part + 1])
        if self._open is None or self._open[0] != part or self._at > start:
            self._close()
            self._open, self._at = (part, self._batches(part)), int(self.boundaries[part])
        while self._at + self._left.shape[1] <= start:
            self._at += self._left.shape[1]
            self._left = self._decoded(*self._open)
        skipped = start - self._at
        values = self._left[:, skipped : skipped + min(stop, end) - start]
        self._left = self._left[:, skipped + values.shape[1] :]
        self._at = start + values.shape[1]
        if self._at == end:
            self._close()
        return values

    def _decoded(self, part: int, batches: Iterator[Any]) -> npt.NDArray[Any]:
        """Return the columns (n, k) of the next batch of a part."""
        file, number = self._parts[part]
        with self._failing(file.path, file):
            found = next(batches, None)
        if found is None:
            self._require_unchanged(file)
            raise OSError(f"{file.path} ends before its last row: it changed while it was read")
        assert self.boundaries is not None
        return self._values(found, file.path, self._at - int(self.boundaries[part - number]))

    def _values(self, batch: Any, path: str, first: int) -> npt.NDArray[Any]:
        """Return the columns (n, k) of a record batch that begins in row `first` of a file; nulls are an error."""
        if self._alike:
            with suppress(self._arrow.ArrowTypeError):  # raised for a null
                tensor = batch.select(self.columns).to_tensor(row_major=False)  # one call, without Python's lock
                return np.asarray(tensor.to_numpy().T)
        out = np.empty((len(self.columns), batch.num_rows), self.dtype)
        for j, column in enumerate(self.columns):
            values = batch.column(batch.schema.get_field_index(column))
            if values.null_count:
                where = first + int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
                raise ValueError(
                    f"{path}: column {column!r} has {values.null_count} null value{'s'[: values.null_count > 1]} in "
                    f"rows {first} to {first + batch.num_rows - 1}, first in row {where}; fill them in, or leave those "
                    "rows or that column out"
                )
            out[j] = values.to_numpy(zero_copy_only=False)
        return out

    def _batches(self, part: int) -> Generator[Any, None, None]:
        """Yield the record batches of a row group."""
        file, number = self._parts[part]
        self._require_unchanged(file)
        if file.kind == "parquet":
            with self._reader(file.path, file.kind) as reader:
                yield from reader.iter_batches(_BATCH, row_groups=[number], columns=self.columns, use_threads=False)
        else:
            with self._reader(file.path, file.kind, file.places) as reader:
                batch = reader.get_batch(number)
                for begin in range(0, batch.num_rows, _BATCH):
                    yield batch.slice(begin, _BATCH)

    def _require_unchanged(self, file: _File) -> None:
        if self._stamp(file.path) != file.stamp:
            raise OSError(f"{file.path} changed while it was read: it has been written to")

    def _close(self) -> None:
        """Close the file that is being read."""
        if self._open is not None:
            self._open[1].close()
        self._open, self._left = None, _NOTHING

    def close(self) -> None:
        with self._lock:
            self._close()

    @contextmanager
    def _reader(self, path: str, kind: str, places: list[int] | None = None) -> Iterator[Any]:
        """Open a file; of Arrow's own format also some columns only."""
        with self._fs.open_input_file(path) as file:
            if kind == "parquet":
                yield self._arrow.parquet.ParquetFile(file, pre_buffer=False)
            else:
                options = self._arrow.ipc.IpcReadOptions(included_fields=places, use_threads=False)
                yield self._arrow.ipc.open_file(file, options=options)

    @contextmanager
    def _failing(self, path: str, file: _File | None = None) -> Iterator[None]:
        """Add the path to pyarrow's errors, unless the file has changed, which is a better reason."""
        try:
            yield
        except (self._arrow.ArrowException, OSError) as error:
            if file is not None:
                self._require_unchanged(file)
            if isinstance(error, self._arrow.ArrowException) or path not in str(error):
                raise OSError(f"{path} cannot be read: {error}") from error
            raise


def _numpy_type(arrow_type: Any) -> Any:
    """Return NumPy's dtype for an Arrow type of numbers or booleans, else None."""
    from pyarrow import types

    if types.is_integer(arrow_type) or types.is_floating(arrow_type) or types.is_boolean(arrow_type):
        return np.dtype(arrow_type.to_pandas_dtype())
    return None
