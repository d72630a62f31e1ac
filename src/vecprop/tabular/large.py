"""Tables that stay in their Parquet file: a column is read to learn from it, and blocks of rows to encode them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vecprop.arguments import check_path
from vecprop.tabular.columns import Found
from vecprop.tabular.preparation import Preparation, Prepared, without_missing
from vecprop.tabular.reading import Table, import_polars, is_parquet, tidied_frame

if TYPE_CHECKING:
    import numpy.typing as npt
    import polars as pl

_ROWS = 50_000  # of a block


@dataclass(frozen=True)
class LargeTable(Table):
    """The columns of a Parquet file, none of them in memory but the one that was asked for last.

    frame : no rows, and the columns' names and types
    rows : of the file
    missing : texts that stand for a missing value
    """

    rows: int = 0
    missing: tuple[str, ...] = ()
    _last: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        return self.rows if self.origin is None else len(self.origin)

    def column(self, name: str) -> pl.Series:
        """Read a column."""
        if name not in self._last:
            self._last.clear()
            self._last[name] = self._read(0, self.rows, [name]).column(name)
        series: pl.Series = self._last[name]
        return series if self.origin is None else series[self.origin]

    def take(self, rows: npt.NDArray[np.int64]) -> LargeTable:
        """Return the table of some rows."""
        return replace(self, origin=rows if self.origin is None else self.origin[rows])

    def blocks(self) -> Iterator[Table]:
        """Yield the rows in the order of the file, some in memory at a time."""
        origin = np.arange(self.rows) if self.origin is None else np.sort(self.origin)
        for start in range(0, self.rows, _ROWS):
            stop = min(start + _ROWS, self.rows)
            first, last = np.searchsorted(origin, [start, stop])
            if first < last:
                yield self._read(start, stop, self.names).take(origin[first:last] - start)

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
    return LargeTable(tidied_frame(polars.DataFrame(schema=schema), source), source, "parquet", rows=rows)


def write_features(preparation: Preparation, table: LargeTable, target: str, path: Path) -> Prepared:
    """Write the features of a table into a .npy file, in the order of the rows, and return them mapped."""
    found: dict[str, Found] = {}
    ignored: tuple[str, ...] = ()
    shape = (len(table), len(preparation.features))
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
        for block in table.blocks():
            prepared = preparation.transform(block, target)
            file.write(np.ascontiguousarray(prepared.X, dtype="<f8").tobytes())
            found = {name: _added(found.get(name, Found()), met) for name, met in prepared.found.items()}
            ignored = prepared.ignored
    return Prepared(np.load(path, mmap_mode="r", allow_pickle=False), found, ignored)


def _added(one: Found, other: Found) -> Found:
    unseen = dict(one.unseen)
    for value, count in other.unseen.items():
        unseen[value] = unseen.get(value, 0) + count
    return Found(one.missing + other.missing, unseen)
