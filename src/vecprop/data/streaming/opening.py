"""Opens sources: `vp.rows`, and the arguments that `fit` recognises without it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vecprop.backend.main_memory import map_of
from vecprop.backend.namespaces import is_array
from vecprop.data.sparse import is_sparse
from vecprop.data.streaming.arrow import SUFFIXES, ArrowSource
from vecprop.data.streaming.mapped import MappedSource
from vecprop.data.streaming.sources import ArraySource, Source
from vecprop.utils.arguments import check_path


class Rows:
    """Examples in rows, from `vp.rows`, that `fit` takes in place of X or Y.

    shape : (n, m), as of an array with one example per column
    dtype : of the numbers
    """

    ndim = 2

    def __init__(self, source: Source) -> None:
        self.source = source
        self.shape = source.shape
        self.dtype = source.dtype

    def __repr__(self) -> str:
        name = f" of {self.source.name}" if self.source.name else ""
        return f"<rows{name}: {self.shape[1]} examples of {self.shape[0]} numbers, {self.dtype}>"


def rows(source: Any, columns: str | Sequence[str] | None = None) -> Rows:
    """Open data with one example per row, which `fit` then reads a part at a time.

    Parameters
    ----------
    source : path, array (m, n) or (m,), or pyarrow.dataset.Dataset
        A .npy file; a Parquet file (.parquet, .pq), an Arrow or Feather file (.arrow, .feather, .ipc), a folder of such
        files, or a sequence of their paths; a memory map, a dataset of h5py, an array of Zarr, or any object with
        shape, dtype and slicing. Files of a folder are read in the order of their names; files without rows are
        skipped. Parquet, Arrow and Feather need pyarrow (`pip install "vecprop[stream]"`).
    columns : str or sequence of str, optional
        The columns of Parquet and Arrow files, by name and in this order; by default all of them. A single name gives
        the shape (1, m).

    Returns
    -------
    Rows
        For `fit`, as X, Y, or in `validation`. Its `shape` is (n, m).

    Raises
    ------
    OSError, ImportError
        For a file that is missing or cannot be read; if pyarrow is needed but not installed.
    ValueError, TypeError
        For files without rows, and for columns that are missing, hold no numbers, or differ in type between files.
        The message names the file and the column.

    Examples
    --------
    >>> rows(np.zeros((100, 3))).shape
    (3, 100)
    """
    if isinstance(source, Rows):
        if columns is not None:
            raise ValueError("columns are chosen where the file is named: rows(path, columns=…)")
        return source
    wanted = _names(columns)
    if isinstance(source, str | os.PathLike):
        return Rows(_of_path(Path(check_path(source, "source")), wanted))
    if hasattr(source, "get_fragments") and hasattr(source, "schema"):
        return Rows(_of_dataset(source, wanted))
    if isinstance(source, list | tuple) and source and all(isinstance(p, str | os.PathLike) for p in source):
        return Rows(_of_files([Path(check_path(p, "source")) for p in source], wanted))
    shape = getattr(source, "shape", None)
    if is_sparse(source) or not isinstance(shape, tuple) or not hasattr(source, "dtype"):
        raise TypeError(
            "source must be a path, a pyarrow dataset, or an array with shape, dtype and slicing, got "
            f"{type(source).__name__}"
        )
    if wanted is not None:
        raise ValueError("columns by name are those of Parquet and Arrow files; take columns of an array by slicing it")
    try:
        return Rows(_of_array(source, rows_first=True))
    except (ValueError, TypeError) as error:
        raise type(error)(f"source: {error}") from None


def as_source(value: Any) -> Source | None:
    """Return the source of `Rows` or of columns (n, m) to stream; None for anything else."""
    if isinstance(value, Rows):
        return value.source
    shape, kind = getattr(value, "shape", None), getattr(getattr(value, "dtype", None), "kind", None)
    if not (isinstance(shape, tuple) and len(shape) == 2 and kind and hasattr(value, "__getitem__")):
        return None
    in_memory = is_sparse(value) or (is_array(value) and map_of(value) is None)
    return None if in_memory else _of_array(value, rows_first=False)


def _names(columns: Any) -> list[str] | None:
    if columns is None:
        return None
    names = [columns] if isinstance(columns, str) else columns
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"columns must be a name or a sequence of names, got {columns!r}")
    if not names:
        raise ValueError("columns must have at least one name, got none")
    if len(set(names)) < len(names):
        raise ValueError(f"columns must differ from each other, got {columns!r}")
    return list(names)


def _of_array(array: Any, rows_first: bool) -> Source:
    return MappedSource(array, rows_first) if map_of(array) is not None else ArraySource(array, rows_first)


def _of_path(path: Path, columns: list[str] | None) -> Source:
    if not path.exists():
        raise FileNotFoundError(f"source: there is no file {os.fspath(path)!r} (looked from {os.getcwd()})")
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(("_", ".")))
        if not found:
            raise ValueError(f"source: {path} has no files {', '.join(SUFFIXES)}")
        return _of_files(found, columns)
    if path.suffix.lower() != ".npy":
        return _of_files([path], columns)
    if columns is not None:
        raise ValueError(f"columns by name are those of Parquet and Arrow files, and {path} is a .npy file")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no .npy file of numbers that can be read in parts: {error}") from error
    if 0 in array.shape:
        raise ValueError(f"{path} is empty: shape {array.shape}; at least one example is needed")
    return _of_array(array, rows_first=True)


def _of_files(paths: list[Path], columns: list[str] | None) -> Source:
    for path in paths:
        if path.suffix.lower() not in SUFFIXES:
            raise ValueError(
                f"{path}: the kind of file is not known by {path.suffix or 'its name'!r}; known are .npy, "
                f"{', '.join(SUFFIXES)}. For HDF5 and Zarr open the file and give the array: vp.rows(file['X'])"
            )
        if not path.exists():
            raise FileNotFoundError(f"source: there is no file {os.fspath(path)!r} (looked from {os.getcwd()})")
    return ArrowSource([str(p) for p in paths], [SUFFIXES[p.suffix.lower()] for p in paths], columns)


def _of_dataset(dataset: Any, columns: list[str] | None) -> Source:
    """Return the source of a pyarrow dataset: the files of its fragments, in their order."""
    fragments = list(dataset.get_fragments())
    if not fragments:
        raise ValueError("source: the dataset has no files")
    kinds = []
    for fragment in fragments:
        kind = SUFFIXES.get("." + getattr(getattr(fragment, "format", None), "default_extname", ""))
        if kind is None or not getattr(fragment, "path", None):
            raise TypeError(
                "source must be a dataset of Parquet or Arrow files, which can be read from any row on, got "
                f"{type(fragment).__name__}; pyarrow.dataset.write_dataset writes one"
            )
        kinds.append(kind)
    names = list(dataset.schema.names) if columns is None else columns
    return ArrowSource([f.path for f in fragments], kinds, names, fragments[0].filesystem)
