"""Tables that stay in their Parquet file: parts of columns are read to learn from them, blocks of rows to encode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vecprop.arguments import check_path
from vecprop.tabular.columns import Found
from vecprop.tabular.preparation import Preparation, Prepared, without_missing
from vecprop.tabular.reading import Table, import_polars, is_empty, is_parquet, tidied_frame, without_values

if TYPE_CHECKING:
    import numpy.typing as npt
    import polars as pl

# Of a block of all the columns so many rows, but no more than so many cells; and of one column, of texts fewer.
_ROWS = 50_000
_CELLS = 1 << 21
_PART, _PART_OF_TEXTS = 1 << 18, 1 << 15
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class LargeTable(Table):
    """The columns of a Parquet file, of which a part at a time is in memory.

    frame : no rows, and the columns' names and types
    rows : of the file
    kept : which of them are rows of the table, (rows,); None for all
    missing : texts that stand for a missing value
    """

    rows: int = 0
    kept: npt.NDArray[np.bool_] | None = None
    missing: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.rows if self.kept is None else int(np.count_nonzero(self.kept))

    def column(self, name: str) -> pl.Series:
        """Read a column as a whole."""
        parts = list(self.parts(name))
        series: pl.Series = import_polars().concat(parts)
        return series

    def parts(self, name: str) -> Iterator[pl.Series]:
        """Yield a column in parts, in the order of the rows."""
        size = _PART_OF_TEXTS if self.dtype(name) == import_polars().String else _PART
        for block in self._blocks([name], size):
            yield block.column(name)

    def blocks(self) -> Iterator[Table]:
        """Yield the rows in the order of the file, some in memory at a time."""
        return self._blocks(self.names, max(1, min(_ROWS, _CELLS // len(self.names))))

    def take(self, rows: npt.NDArray[Any]) -> LargeTable:
        """Return the table of some rows, by their numbers or a mask (m,); they stay in the order of the file."""
        kept = np.zeros(self.rows, dtype=bool)
        if self.kept is None:
            kept[rows] = True
        elif rows.dtype == bool:
            kept[self.kept] = rows
        else:
            mask = np.zeros(len(self), dtype=bool)
            mask[rows] = True
            kept[self.kept] = mask
        return replace(self, kept=kept)

    def place(self, row: int, name: str) -> str:
        """Say where a cell stands."""
        return super().place(row if self.kept is None else self._row(row), name)

    def _row(self, row: int) -> int:
        """Return the row of the file that is a row of the table."""
        assert self.kept is not None
        for start in range(0, self.rows, _AT_ONCE):
            places = np.flatnonzero(self.kept[start : start + _AT_ONCE])
            if row < len(places):
                return start + int(places[row])
            row -= len(places)
        raise IndexError(f"the table has no such row: {row} more than it has")

    def _blocks(self, names: list[str], size: int) -> Iterator[Table]:
        for start in range(0, self.rows, size):
            stop = min(start + size, self.rows)
            if self.kept is None:
                yield self._read(start, stop, names)
            elif self.kept[start:stop].any():
                yield self._read(start, stop, names).take(self.kept[start:stop])

    def _read(self, start: int, stop: int, names: list[str]) -> Table:
        """Return columns of rows start … stop - 1 in memory, tidied."""
        polars = import_polars()
        try:
            frame = polars.scan_parquet(self.source).select(names).slice(start, stop - start).collect()
        except (polars.exceptions.PolarsError, OSError) as error:
            raise ValueError(f"{self.source} cannot be read as Parquet: {str(error).splitlines()[0]}") from None
        if frame.height != stop - start:
            raise ValueError(f"{self.source} changed while it was read: row {start + frame.height} is not there")
        table = Table(tidied_frame(frame, self.source), self.source, self.kind, origin=np.arange(start, stop))
        return without_missing(table, self.missing)


def scan(path: Any) -> LargeTable:
    """Return the table of a Parquet file that stays there.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no Parquet file, or has no rows.
    """
    source = check_path(path)
    if not is_parquet(source):
        raise ValueError(
            f"{source} is no Parquet file, which alone can be read in parts; make one of CSV, in little memory: "
            f"polars.scan_csv({source!r}).sink_parquet({str(Path(source).with_suffix('.parquet'))!r})"
        )
    polars = import_polars()
    try:
        lazy = polars.scan_parquet(source)
        schema, rows = lazy.collect_schema(), int(lazy.select(polars.len()).collect().item())
    except (polars.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{source} cannot be read as Parquet: {str(error).splitlines()[0]}") from None
    if not rows:
        raise ValueError(f"{source} has only a header ({', '.join(schema.names())}) and no examples")
    table = LargeTable(tidied_frame(polars.DataFrame(schema=schema), source), source, "parquet", rows=rows)
    if all(is_empty(block.frame) for block in table.blocks()):
        raise without_values(table.frame, source)
    return table


def write_features(preparation: Preparation, table: LargeTable, target: str, path: Path) -> Prepared:
    """Write the features of a table into a .npy file, in the order of the rows, and return them mapped."""
    found: dict[str, Found] = {}
    ignored: tuple[str, ...] = ()
    shape = (len(table), len(preparation.features))
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
        for block in table.blocks():
            prepared = preparation.transform(block, target)
            file.write(np.ascontiguousarray(prepared.X, dtype="<f8").data)
            found = {name: _added(found.get(name, Found()), met) for name, met in prepared.found.items()}
            ignored = prepared.ignored
    return Prepared(np.load(path, mmap_mode="r", allow_pickle=False), found, ignored)


def _added(one: Found, other: Found) -> Found:
    unseen = dict(one.unseen)
    for value, count in other.unseen.items():
        unseen[value] = unseen.get(value, 0) + count
    return Found(one.missing + other.missing, unseen)
