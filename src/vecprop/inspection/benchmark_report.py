"""The results of a benchmark: rows, environment, table, JSON and picture."""

import json
import math
import os
import platform
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from vecprop._version import __version__
from vecprop.backend.blas import usable_cores
from vecprop.backend.contract import Backend
from vecprop.backend.selection import get_precision
from vecprop.inspection.plots.figures import group_digits, save
from vecprop.inspection.plots.speed import speedup
from vecprop.utils.alignment import aligned

_HEADINGS = {
    "per_neuron": "per neuron",
    "per_example": "per example",
    "per_example_compiled": "compiled loop",
    "vectorized": "vectorized",
}
RUNGS = tuple(_HEADINGS)


@dataclass(frozen=True)
class Row:
    """One measured cell."""

    backend: str
    network: str
    dtype: str
    pass_name: str
    rung: str
    m: int  # examples in the pass
    seconds: float  # time of one pass over m examples, the median of `runs` samples
    measured_m: int  # examples that were in fact measured
    extrapolated: bool  # whether measured_m < m; `seconds` is then the measured time multiplied by m / measured_m
    runs: int
    # time of the loop per example over this time, for the same backend, network, dtype, pass and m; None if that
    # loop was not measured
    speedup: float | None = None
    # time of the bare matrix products over that of the vectorized pass; None for a loop
    matmul_share: float | None = None
    # time of the first call less that of a later one, on a backend that compiles; near 0 if the same program had
    # been compiled before
    compile_seconds: float | None = None


def with_speedups(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with their speed-up over the loop per example of the same cell."""
    loops = {_cell(row): row.seconds for row in rows if row.rung == "per_example"}
    return [replace(row, speedup=loops[_cell(row)] / row.seconds if _cell(row) in loops else None) for row in rows]


def _cell(row: Row) -> tuple[object, ...]:
    """Return the key that the rungs of one cell share."""
    return row.backend, row.network, row.dtype, row.pass_name, row.m


# Only numbers are copied from the environment; a variable that holds anything else could hold a path.
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def describe_environment(backends: Iterable[Backend] = ()) -> dict[str, str]:
    """Return the environment that times depend on, such as versions, processor and threads.

    It names no person, machine or folder.

    >>> "numpy" in describe_environment()
    True
    """
    variables = {name: os.environ.get(name, "") for name in _THREAD_VARIABLES}
    threads = [f"{name}={value}" for name, value in variables.items() if re.fullmatch(r"[\d,]+", value)]
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "vecprop": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}".strip(),
        "CPU": _processor(),
        "cores": str(usable_cores()),
        "BLAS threads": ", ".join(threads) or "as the library chooses",
        "precision": get_precision(),
    }
    for backend in backends:
        for key, value in backend.describe().items():
            about[key if key == backend.name else f"{backend.name} {key}"] = str(value)
    return about


def _processor() -> str:
    """Return the name of the processor: on Linux from /proc/cpuinfo, elsewhere from Python."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return found[1].strip() if found else platform.processor() or "unknown"


@dataclass(frozen=True)
class Report:
    """The measured rows and their environment."""

    rows: list[Row]
    environment: dict[str, str] = field(default_factory=dict)

    def find(self, **fields: object) -> Row | None:
        """Return the first row with these values, or None: `report.find(rung="vectorized", m=100)`.

        >>> Report([]).find(m=1) is None
        True
        """
        return next((r for r in self.rows if all(getattr(r, k) == v for k, v in fields.items())), None)

    def table(self) -> str:
        """Return the times as text, one block per backend, network and dtype.

        Lines have at most 100 characters. ~ marks an extrapolated time; notes below the block say on how many examples
        it was measured.
        """
        groups: dict[tuple[str, str, str], list[Row]] = {}
        for row in self.rows:
            groups.setdefault((row.backend, row.network, row.dtype), []).append(row)
        blocks = [_block(f"{b}, network {n}, {d}", rows) for (b, n, d), rows in groups.items()]
        if not blocks:
            return "nothing was measured"
        about = _wrapped("", (f"{key} {value}" for key, value in self.environment.items()))
        return "\n\n".join(filter(None, [*blocks, _LEGEND, about]))

    def to_json(self) -> str:
        """Return everything as JSON; `Report.load` reads it."""
        content = {"format": _FORMAT, "environment": self.environment, "rows": [asdict(row) for row in self.rows]}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write bench.json into the folder, made if missing, and return a list of its path."""
        path = Path(folder) / "bench.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json(), encoding="utf-8")
        return [path]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Report":
        """Read the file that `save` wrote; raise ValueError for any other."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise ValueError(f"its format is {content['format']!r}, known is {_FORMAT!r}")
            return cls([Row(**row) for row in content["rows"]], dict(content["environment"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)} is no benchmark of vecprop: {error}") from error

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw `plots.speedup` of the gradients in float32 into a file, and return its path; errors are the same."""
        return save(speedup(self), Path(path))


_FORMAT = "vecprop benchmark 1"
_LEGEND = (
    "Times of one pass, medians. speed-up: per example / vectorized.\n"
    "products: the share of the vectorized time that the bare matrix products take.\n"
    "compile: the first vectorized call, less a later one."
)


def _block(title: str, rows: Sequence[Row]) -> str:
    """Return one table: a line for each pass and m, a column for each rung, then the notes."""
    rungs = [rung for rung in RUNGS if any(row.rung == rung for row in rows)]
    columns = ["speed-up", "products"] + ["compile"] * any(row.compile_seconds is not None for row in rows)
    lines = [["pass", "m", *(_HEADINGS[rung] for rung in rungs), *columns]]
    for name, m in sorted({(row.pass_name, row.m) for row in rows}):
        cells = {row.rung: row for row in rows if (row.pass_name, row.m) == (name, m)}
        times = ("~" * cells[r].extrapolated + duration(cells[r].seconds) if r in cells else "" for r in rungs)
        rates = dict.fromkeys(columns, "")
        if (row := cells.get("vectorized")) is not None:
            loop = cells.get("per_example", row)
            if row.speedup is not None:
                rates["speed-up"] = f"{'~' * loop.extrapolated}{_three_digits(row.speedup)}×"
            if row.matmul_share is not None:
                rates["products"] = f"{row.matmul_share:.0%}"
            if row.compile_seconds is not None:  # under a millisecond nothing was compiled: what is left is noise
                rates["compile"] = duration(row.compile_seconds if row.compile_seconds > 1e-3 else 0)
        lines.append([name, group_digits(m), *times, *rates.values()])
    return "\n".join([title, aligned(lines), *_notes(rows)])


def _notes(rows: Sequence[Row]) -> list[str]:
    """Say for every capped loop how many examples were measured."""
    caps: dict[tuple[str, str], list[str]] = {}
    for row in sorted(rows, key=lambda row: (row.pass_name, row.m)):
        if row.extrapolated:
            note = f"{group_digits(row.measured_m)} for m = {group_digits(row.m)}"
            caps.setdefault((row.pass_name, _HEADINGS[row.rung]), []).append(note)
    lines = [_wrapped(f"  {name}, {rung}: ", notes) for (name, rung), notes in caps.items()]
    return ["~ extrapolated from a loop over fewer examples:", *lines] if lines else []


def _wrapped(begin: str, items: Iterable[str]) -> str:
    """Return the items with commas, in lines of at most 100 characters that break between items."""
    text = begin + ", ".join(item.replace(" ", "\N{NO-BREAK SPACE}") for item in items)
    return textwrap.fill(text, width=100, subsequent_indent="    ").replace("\N{NO-BREAK SPACE}", " ")


_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


def duration(seconds: float) -> str:
    """Return a time with three significant digits and a unit.

    >>> duration(8.689e-4), duration(0.01), duration(1234.5), duration(0.0)
    ('869 µs', '10.0 ms', '1230 s', '0 s')
    """
    if seconds <= 0:
        return "0 s"
    rounded = float(f"{seconds:.3g}")
    unit, size = next(((u, size) for u, size in _UNITS if rounded >= size), _UNITS[-1])
    return f"{_three_digits(rounded / size)} {unit}"


def _three_digits(value: float) -> str:
    """Return a positive number with three significant digits and no exponent.

    >>> _three_digits(1395.3), _three_digits(0.98765), _three_digits(1.1)
    ('1400', '0.988', '1.10')
    """
    rounded = float(f"{value:.3g}")
    return f"{rounded:.{max(0, 2 - math.floor(math.log10(rounded) + 1e-9))}f}"
