"""What a command may write over: never what it reads, and only with --force what is no output of the same command.

All is checked before any work is done. A file counts as an output by what it holds, not by its name; an empty one
holds nothing that could be lost.
"""

from __future__ import annotations

import csv
import errno
import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from vecprop.training.checkpoint import previous_of
from vecprop.utils import tensor_file

MODEL, REPORT = "model.safetensors", "report.json"
PICTURES = ("cost-curve.png", "confusion-matrix.png", "predicted-against-true.png")
_TABLES = (".csv", ".parquet", ".pq")
_HEADER = 1 << 16  # bytes: more than the names of the columns of a table of predictions take


def check_folder(folder: Path) -> None:
    """Raise OSError where a folder cannot be made or written to: at once, rather than after all the work."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
    if not os.access(there, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))


def check_file(out: Path, reads: Iterable[Path], ours: Callable[[Path], bool], force: bool) -> None:
    """Raise OSError or ValueError where a command must not write a file, or cannot.

    out : the file
    reads : the files that the command reads, which --force does not give up either
    ours : tells whether a file is an output of the same command
    """
    if out.is_dir():
        raise IsADirectoryError(f"cannot write {out}: it is a directory; name a file in it")
    if not out.absolute().parent.is_dir():
        raise FileNotFoundError(f"cannot write {out}: there is no folder {out.parent}")
    check_folder(out.absolute().parent)
    _check_replaced(out, reads, ours, force)


def check_files(
    folder: Path, names: Iterable[str], reads: Iterable[Path], ours: Callable[[Path], bool], force: bool
) -> None:
    """Do what `check_file` does for files of a folder that may be made; `ours` is asked about the folder."""
    check_folder(folder)
    for name in names:
        _check_replaced(folder / name, reads, lambda _: ours(folder), force)


def check_checkpoint(path: Path, reads: Iterable[Path], force: bool) -> None:
    """Do what `check_file` does for a checkpoint, and for the one before, which is kept beside it."""
    files = (path, previous_of(path.resolve()))  # where one of them is damaged, the other tells whose it is
    for file in files:
        check_file(file, reads, lambda _: any(tensor_file.kind(file) == "checkpoint" for file in files), force)


def check_table_ending(out: Path) -> None:
    """Raise ValueError for a name that promises another format than is written: CSV, or Parquet if it says so."""
    if out.suffix and out.suffix.lower() not in _TABLES:
        raise ValueError(f"FILE must end in .csv or .parquet, which tells the format, got {str(out)!r}")


def _check_replaced(out: Path, reads: Iterable[Path], ours: Callable[[Path], bool], force: bool) -> None:
    if not out.exists():
        return
    if any(path.exists() and os.path.samefile(out, path) for path in reads):
        raise ValueError(f"cannot write {out}: this command reads it; name another file")
    if not out.is_file():
        raise OSError(f"cannot write {out}: it is no file; what is not written into a file is printed")
    if out.stat().st_size and not force and not ours(out):
        raise FileExistsError(
            f"{out} is there already, and not known as an output of this command; name another place, or replace it "
            "(--force)"
        )


# --- what the commands write ----------------------------------------------------------------------------------


def holds_table_model(folder: Path) -> bool:
    """Tell whether a folder has a model of `vecprop train`."""
    return tensor_file.kind(folder / MODEL) == "table"


def holds_predictions(file: Path) -> bool:
    """Tell whether a file is a table of `vecprop predict`, by the names of its columns."""
    with open(file, "rb") as stream:
        beginning = stream.read(_HEADER)
    try:
        if beginning.startswith(b"PAR1"):
            import polars

            names = list(polars.read_parquet_schema(file))
        else:
            names = next(csv.reader(io.StringIO(beginning.decode(errors="replace"), newline="")), [])
    except Exception:  # noqa: BLE001 - whatever is raised for what is no such table
        return False
    return any(name.startswith("predicted_") for name in names)


def is_onnx_of_ours(file: Path) -> bool:
    """Tell whether a file begins as the ONNX models that vecprop writes: with the version, and who wrote it."""
    with open(file, "rb") as stream:
        return stream.read(11)[2:] == b"\x12\x07vecprop"


def holds_benchmark(folder: Path) -> bool:
    """Tell whether a folder has what `vecprop bench` and `vecprop demo` write last."""
    from vecprop.inspection.benchmark import Report

    try:
        Report.load(folder / "bench.json")
    except (OSError, ValueError):
        return False
    return True
