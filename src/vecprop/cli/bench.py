"""The measurement and the files of `vecprop bench`."""

from pathlib import Path

from vecprop.backend.selection import get_backend
from vecprop.cli.arguments import backend_names, integers, network
from vecprop.cli.options import Measured
from vecprop.cli.output import note
from vecprop.cli.writing import check_files, holds_benchmark
from vecprop.inspection import benchmark
from vecprop.inspection.benchmark import Report


def measure(options: Measured, folder: Path, force: bool) -> Report:
    """Measure as the options say, with progress on stderr, after a check of `folder` for the files."""
    check_files(folder, ("bench.json", "speed-up.png"), (), holds_benchmark, force)
    return benchmark.measure(
        backends=[get_backend(name) for name in backend_names(options.backend)],
        networks=[network(text) for text in options.network or ["2-4-1"]],
        sizes=integers(options.sizes, "--sizes"),
        dtypes=options.dtype or ["float32"],
        passes=options.passes or ["gradients"],
        budget=options.budget,
        report=note,
    )


def write(report: Report, folder: Path) -> list[Path]:
    """Write the figures, and the picture if there is a speed-up to show; return the paths."""
    paths = report.save(folder)
    if any(row.speedup and (row.dtype, row.pass_name) == ("float32", "gradients") for row in report.rows):
        paths.append(report.plot(folder / "speed-up.png"))
    else:
        note("no picture: it shows the speed-up of float32 gradients, which were not measured")
    return paths
