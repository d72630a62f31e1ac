"""Tables that stay in their Parquet file: parts of columns or blocks of rows are read as needed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vecprop.data.spelling import Spelling, check_spelling, pl
from vecprop.data.tables import Table, kind_of, polars_reads, tidied, tidied_names
from vecprop.tabular.preparation import Preparation, Prepared
from vecprop.utils.arguments import check_path

# The most rows and cells of a block of all columns, and the rows of a part of a single column, or of one of texts.
_ROWS, _CELLS = 50_000, 1 << 21
_PART, _PART_OF_TEXTS = 1 << 18, 1 << 15


@dataclass(frozen=True)
class LargeTable(Table):
    """The columns of a Parquet file, of which one part at a time is in memory.

    frame : the columns' names and types, without rows
    rows : the number of rows of the file
    kept : which rows of the file belong to the table, (rows,); None for all
    steps : functions applied in turn to each part that is read
    """

    rows: int = 0
    kept: npt.NDArray[np.bool_] | None = None
    steps: tuple[Callable[[Table], Table], ...] = ()

    def __len__(self) -> int:
        return self.rows if self.kept is None else int(np.count_nonzero(self.kept))

    def parts(self, name: str) -> Iterator[pl.Series]:
        """Yield a column in parts, in the order of the rows."""
        size = _PART_OF_TEXTS if self.dtype(name) == pl.String else _PART
        for block in self._blocks([name], size):
            yield block.column(name)

    def blocks(self) -> Iterator[Table]:
        """Yield blocks of rows in the order of the file, one in memory at a time."""
        return self._blocks(self.names, max(1, min(_ROWS, _CELLS // len(self.names))))

    def mapped(self, step: Callable[[Table], Table]) -> Self:
        """Return the table with `step` applied to every part."""
        return replace(self, frame=step(Table(self.frame, self.source)).frame, steps=(*self.steps, step))

    def take(self, rows: npt.NDArray[Any]) -> Self:
        """Return the table of some rows, given by numbers or a mask (m,), in the order of the file."""
        chosen = np.zeros(len(self), dtype=bool)
        chosen[rows] = True
        kept = np.ones(self.rows, dtype=bool) if self.kept is None else self.kept.copy()
        kept[kept] = chosen
        return replace(self, kept=kept)

    def place(self, row: int, name: str) -> str:
        """Return the place of a cell for messages."""
        if self.kept is not None:
            row = int(np.flatnonzero(self.kept)[row])
        return super().place(row, name)

    def _blocks(self, names: list[str], size: int) -> Iterator[Table]:
        for start in range(0, self.rows, size):
            stop = min(start + size, self.rows)
            if self.kept is None:
                yield self._read(start, stop, names)
            elif self.kept[start:stop].any():
                yield self._read(start, stop, names).take(self.kept[start:stop])

    def _read(self, start: int, stop: int, names: list[str]) -> Table:
        with polars_reads(self.source, "Parquet"):
            lazy = pl.scan_parquet(self.source, glob=False)
            stored = lazy.collect_schema().names()
            wanted = [old for old, new in zip(stored, tidied_names(stored), strict=True) if new in set(names)]
            frame = lazy.select(wanted).slice(start, stop - start).collect()
        if frame.height != stop - start:
            raise ValueError(f"{self.source} changed while it was read: row {start + frame.height} is not there")
        part = tidied(Table(frame, self.source, self.kind, origin=np.arange(start, stop), spelling=self.spelling))
        for step in self.steps:
            part = step(part)
        return replace(part, forms=self.forms)


def scan(path: Any, spelling: Spelling | None = None) -> LargeTable:
    """Return the table of a Parquet file, whose rows stay in the file.

    FileNotFoundError if there is none, ValueError if it is no Parquet file, or has no rows.
    """
    source, spelling = check_path(path), check_spelling(spelling)
    if kind_of(source) != "parquet":
        raise ValueError(
            f"{source} is no Parquet file, which alone can be read in parts; make one of CSV, in little memory: "
            f"polars.scan_csv({source!r}).sink_parquet({str(Path(source).with_suffix('.parquet'))!r})"
        )
    with polars_reads(source, "Parquet"):
        lazy = pl.scan_parquet(source, glob=False)
        schema, rows = lazy.collect_schema(), int(lazy.select(pl.len()).collect().item())
    return tidied(LargeTable(pl.DataFrame(schema=schema), source, "parquet", spelling=spelling, rows=rows))


def write_features(
    preparation: Preparation, tables: Iterable[Table], target: str, folder: Path
) -> tuple[Prepared, list[npt.NDArray[Any]]]:
    """Write the features of each table to a .npy file in a folder; return the counts of all, and memory maps."""
    counted: list[Prepared] = []
    maps = []
    for table in tables:
        shape = (len(table), len(preparation.features))
        with NamedTemporaryFile(dir=folder, suffix=".npy", delete=False) as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
            for block in table.blocks():
                prepared = preparation.transform(block, target)
                file.write(np.ascontiguousarray(prepared.X, dtype="<f8").data)
                counted = [counted[0] + prepared if counted else replace(prepared, X=prepared.X[:0].copy())]
        maps.append(np.load(file.name, mmap_mode="r", allow_pickle=False))
    return counted[0], maps
