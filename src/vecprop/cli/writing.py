"""Checks which files a command may replace, before it does any work.

A command never replaces what it reads, and only with --force a file that is not its own output. Its contents decide
what a file is, not its name; an empty one may always be replaced.
"""

import csv
import errno
import io
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from vecprop.training.checkpoint import previous_of
from vecprop.utils import tensor_file

MODEL, REPORT = "model.safetensors", "report.json"
OF_TRAINING = (MODEL, REPORT, "cost-curve.png", "confusion-matrix.png", "predicted-against-true.png")
TABLE, ONNX = (".csv", ".parquet", ".pq"), (".onnx",)  # how names of such files end
_HEADER = 1 << 16  # bytes: more than the column names of a table of predictions need


def check_folder(folder: Path) -> None:
    """Raise OSError if a folder cannot be made or written to."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"cannot write into {there}: it is a file; name a folder")
    if not os.access(there, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))


def check_file(out: Path, reads: Iterable[Path], ours: Callable[[Path], bool], force: bool) -> None:
    """Raise OSError or ValueError if a command that `reads` some files must not write another one, or cannot."""
    if out.is_dir():
        raise IsADirectoryError(f"cannot write {out}: it is a directory; name a file in it")
    if not out.absolute().parent.is_dir():
        raise FileNotFoundError(f"cannot write {out}: there is no folder {out.parent}")
    check_folder(out.absolute().parent)
    _check_replaced(out, reads, ours, force)


def check_files(
    folder: Path, names: Iterable[str], reads: Iterable[Path], ours: Callable[[Path], bool], force: bool
) -> None:
    """Check files like `check_file`, in a folder that may not exist; `ours` gets the folder."""
    check_folder(folder)
    for name in names:
        _check_replaced(folder / name, reads, lambda _: ours(folder), force)


def check_checkpoint(path: Path, reads: Iterable[Path], force: bool) -> None:
    """Check a checkpoint like `check_file`, and the previous one, which is kept beside it."""
    files = (path, previous_of(path.resolve()))  # one may be damaged: the other shows whose they are
    for file in files:
        check_file(file, reads, lambda _: any(tensor_file.kind(file) == "checkpoint" for file in files), force)


def check_ending(out: Path, endings: Sequence[str]) -> None:
    """Raise ValueError for a name that ends like another format."""
    if out.suffix and out.suffix.lower() not in endings:
        raise ValueError(f"FILE must end in {' or '.join(endings[:2])}, which tells the format, got {str(out)!r}")


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


def holds_table_model(folder: Path) -> bool:
    """Tell whether a folder has a model of `vecprop train`."""
    return tensor_file.kind(folder / MODEL) == "table"


def holds_predictions(file: Path) -> bool:
    """Tell by the names of its columns whether a file is a table of `vecprop predict`."""
    with open(file, "rb") as stream:
        beginning = stream.read(_HEADER)
    try:
        if beginning.startswith(b"PAR1"):
            import polars

            with open(file, "rb") as stream:  # of a path polars would take [1] for a pattern
                names = list(polars.read_parquet_schema(stream))
        else:
            names = next(csv.reader(io.StringIO(beginning.decode(errors="replace"), newline="")), [])
    except Exception:  # noqa: BLE001 - whatever is raised for what is no such table
        return False
    return any(name.startswith("predicted_") for name in names)


def is_onnx_of_ours(file: Path) -> bool:
    """Tell whether a file begins as vecprop's ONNX models do, with a version and the producer."""
    with open(file, "rb") as stream:
        return stream.read(11)[2:] == b"\x12\x07vecprop"


def holds_benchmark(folder: Path) -> bool:
    """Tell whether a folder has the file that `vecprop bench` and `vecprop demo` write last."""
    from vecprop.inspection.benchmark import Report

    try:
        Report.load(folder / "bench.json")
    except (OSError, ValueError):
        return False
    return True
