"""The same training from memory and from a file, a window at a time, and the reading of a file alone."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import vecprop as vp
from benchmarks.contestants.base import Contestant, import_or_unavailable
from benchmarks.contestants.vecprop import VecpropTrainer
from vecprop.data.streaming.examples import WINDOW

_A_ROW_GROUP = 20_000


class WindowTrainer(VecpropTrainer):
    """One `vp.fit` on examples in memory, in the order of those in a file."""

    def fit(self, epochs: int, **arguments: Any) -> vp.FitResult:
        return super().fit(epochs, window=WINDOW // (4 * (self.work.sizes[0] + self.work.sizes[-1])), **arguments)


class FileTrainer(WindowTrainer):
    """One `vp.fit` on examples in files of some kind, in a temporary folder."""

    ending = "npy"

    def build(self) -> None:
        super().build()
        self.folder = tempfile.TemporaryDirectory()
        paths = [Path(self.folder.name, f"{name}.{self.ending}") for name in "XY"]
        for path, columns in zip(paths, (self.data.rows.T, self.data.columns), strict=True):
            self.write(path, columns)
        self.X, self.Y = (vp.rows(path) for path in paths)

    def write(self, path: Path, columns: np.ndarray) -> None:
        """Write (n, m) numbers as m rows."""
        if self.ending == "npy":
            np.save(path, np.ascontiguousarray(columns.T))
            return
        import_or_unavailable("pyarrow")
        from pyarrow import feather, parquet, table

        content = table({f"x{j}": column for j, column in enumerate(columns)})
        if self.ending == "parquet":
            parquet.write_table(content, path, row_group_size=_A_ROW_GROUP)
        else:
            feather.write_feather(content, str(path), compression="uncompressed", chunksize=_A_ROW_GROUP)


class Reading(Contestant):
    """The reading of X from a .npy file in pieces of 1 MiB into one buffer, in the time of a step."""

    checked = ""

    def build(self) -> None:
        self.file = tempfile.NamedTemporaryFile(suffix=".npy")  # noqa: SIM115 - it is read in every epoch
        np.save(self.file, self.data.rows)
        self.buffer = bytearray(1 << 20)

    def epoch(self, number: int) -> None:  # noqa: ARG002
        with open(self.file.name, "rb", buffering=0) as file:
            while file.readinto(self.buffer):
                pass
