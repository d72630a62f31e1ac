"""What the comparison found: rows, ratios, bars, the table, the JSON, the picture."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from peer_workloads import BARS, WORKLOADS, Bar
from vecprop.inspection.benchmark_report import duration
from vecprop.inspection.plots import COLOURS, panels, save

FORMAT = "vecprop peers 1"
_ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # the line at 1 passes behind a number
_QUIET = 0.1  # cores that others may keep busy
OURS = ("vecprop-numpy", "vecprop-jax")
NAMES = {
    "vecprop-numpy": "vecprop, NumPy",
    "vecprop-jax": "vecprop, JAX",
    "products-numpy": "bare products, NumPy",
    "products-jax": "bare products, JAX",
    "singles-numpy": "one by one, NumPy",
    "singles-jax": "one by one, JAX",
    "plain-numpy": "plain NumPy",
    "sklearn": "scikit-learn",
    "torch": "PyTorch eager",
    "torch-fused": "PyTorch, fused Adam",
    "torch-compile": "PyTorch, compiled",
    "keras": "Keras on JAX",
    "optax-step": "JAX + optax, a step",
    "optax-scan": "JAX + optax, an epoch",
    "jax": "jax.jit(value_and_grad)",
}


@dataclass
class Row:
    """One library at one workload.

    Attributes
    ----------
    workload, peer : str
    steps : int
        Steps in an epoch.
    seconds : list of float
        Of one step (pass, run), one for each round; all rows of a workload have the same rounds.
    wall : list of float
        The same by the clock around the call, for a library that keeps its own time.
    first : float or None
        Seconds of the first call, compilation in it.
    memory : int or None
        Bytes at most above what was in use after imports and data.
    reason : str
        Why there are no times.
    """

    workload: str
    peer: str
    steps: int = 1
    seconds: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    first: float | None = None
    memory: int | None = None
    reason: str = ""

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.seconds)


@dataclass
class Comparison:
    """All rows, what they depend on, how the cost grows, and for each workload the cores that others kept busy."""

    rows: list[Row]
    environment: dict[str, str] = field(default_factory=dict)
    growth: list[dict[str, Any]] = field(default_factory=list)
    neighbours: dict[str, float | None] = field(default_factory=dict)

    def find(self, workload: str, peers: tuple[str, ...]) -> Row | None:
        """Return the quickest of these rows, or None if none was measured."""
        found = [row for row in self.rows if row.workload == workload and row.peer in peers and row.seconds]
        return min(found, key=lambda row: row.median, default=None)

    def ratio(self, bar: Bar) -> float | None:
        """Return the median over the rounds of the quickest of theirs over the quickest of ours."""
        theirs, ours = self.find(bar.workload, bar.theirs), self.find(bar.workload, bar.ours)
        return None if theirs is None or ours is None else ratio_of(theirs, ours)

    def table(self, workload: str) -> str:
        """Return the times of one workload as text."""
        rows = [row for row in self.rows if row.workload == workload]
        unit = WORKLOADS[workload].unit
        ours = [self.find(workload, (peer,)) for peer in OURS]
        lines = [["", unit, "lowest–highest", *(f"/ {NAMES[p].split(', ')[1]}" for p in OURS), "first call", "memory"]]
        for row in rows:
            if not row.seconds:
                continue
            ratios = ["" if o is None else f"{ratio_of(row, o):.2f}" for o in ours]
            spread = f"{duration(min(row.seconds))}–{duration(max(row.seconds))}"
            first = "" if row.first is None else duration(row.first)
            memory = "" if row.memory is None else f"{row.memory / 2**20:.0f} MiB"
            lines.append([NAMES[row.peer], duration(row.median), spread, *ratios, first, memory])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines]
        notes = self._notes(rows)
        others = self.neighbours.get(workload)
        if others is not None and others > _QUIET:
            notes.append(f"  not a quiet machine: other processes kept {others:.1f} cores busy meanwhile")
        return "\n".join([workload, *text, *notes])

    def _notes(self, rows: list[Row]) -> list[str]:
        """Return what has no times and why, and where the two clocks disagree."""
        notes = [f"  {NAMES[row.peer]} not available: {row.reason}" for row in rows if row.reason]
        for row in rows:
            if row.wall and row.seconds:
                wall = statistics.median(row.wall)
                mark = "; they differ by more than 15 %" if abs(wall / row.median - 1) > 0.15 else ""
                notes.append(
                    f"  {NAMES[row.peer]}: {duration(row.median)} by its history, {duration(wall)} by the clock around "
                    f"the call{mark}"
                )
        return notes

    def verdicts(self) -> str:
        """Return the bars, each with its ratio and whether it was reached."""
        lines = []
        for bar in BARS:
            ratio = self.ratio(bar)
            theirs, ours = (" or ".join(NAMES[p] for p in peers) for peers in (bar.theirs, bar.ours))
            what = f"{bar.workload}: {theirs} / {ours}"
            if ratio is None:
                lines.append(f"{'not measured':12}  wanted {bar.least:5.2f}          {what}")
            else:
                verdict = "reached" if ratio >= bar.least else "not reached"
                lines.append(f"{verdict:12}  wanted {bar.least:5.2f}  is {ratio:5.2f}  {what}")
        if any(cores is not None and cores > _QUIET for cores in self.neighbours.values()):
            lines.append("not a quiet machine: threads waited for one another, these ratios mean nothing yet")
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return everything as JSON, the bars with their ratios; `load` reads it."""
        content = {
            "format": FORMAT,
            "environment": self.environment,
            "rows": [asdict(row) for row in self.rows],
            "bars": [{**bar._asdict(), "ratio": self.ratio(bar)} for bar in BARS],
            "growth": self.growth,
            "neighbours": self.neighbours,
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def save(self, path: Path) -> None:
        """Write the JSON; the folder is made if need be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Comparison:
        """Read what `save` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"{path}: the format is {content['format']!r}, known is {FORMAT!r}")
        rows = [Row(**row) for row in content["rows"]]
        return cls(rows, content["environment"], content["growth"], content["neighbours"])


def ratio_of(theirs: Row, ours: Row) -> float:
    """Return the median over the rounds of their time over ours: a slow minute slows both."""
    return statistics.median(a / b for a, b in zip(theirs.seconds, ours.seconds, strict=True))


def draw_ratios(comparison: Comparison, path: Path, dpi: float = 110) -> None:
    """Draw for each workload one bar per library: its time over that of the quicker of our backends."""
    groups = {name: _ratios(comparison, name) for name in WORKLOADS}
    groups = {name: ratios for name, ratios in groups.items() if ratios}
    if not groups:
        raise ValueError("nothing to draw: no workload was measured with vecprop and another library")
    count = sum(len(ratios) + 1 for ratios in groups.values())
    (axes,), y, ticks = panels(width=9.0, height=1 + 0.24 * count), 0, []
    for name, ratios in groups.items():
        style = {"ha": "left", "va": "bottom", "fontweight": "bold", "bbox": _ON_WHITE}
        axes.text(0.008, y - 0.45, name, transform=axes.get_yaxis_transform(), **style)
        for peer, ratio in ratios:
            axes.barh(y, ratio, left=0, height=0.75, color=COLOURS[0])
            axes.text(
                ratio * 1.04,
                y,
                f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}",
                va="center",
                fontsize=8,
                bbox=_ON_WHITE,
            )
            ticks.append((y, NAMES[peer]))
            y += 1
        y += 1
    axes.axvline(1, color="0.3", linewidth=1, linestyle="--")
    axes.set(xscale="log", xlabel="their time / that of vecprop's quicker backend", ylim=(y - 0.5, -1.5))
    largest = max(ratio for ratios in groups.values() for _, ratio in ratios)
    axes.set_xlim(min(0.5, *(0.8 * r for ratios in groups.values() for _, r in ratios)), 3 * largest)
    axes.set_yticks(*zip(*ticks, strict=True), fontsize=8)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}×")
    axes.set_title("Time of the same computation, float32; " + comparison.environment.get("CPU", ""), fontsize=9)
    save(axes, path, dpi)


def _ratios(comparison: Comparison, workload: str) -> list[tuple[str, float]]:
    """Return the libraries that were measured, and their times over our best."""
    ours = comparison.find(workload, OURS)
    others = [row for row in comparison.rows if row.workload == workload and row.seconds and row.peer not in OURS]
    others = [row for row in others if not row.peer.startswith("products")]
    return [] if ours is None else [(row.peer, ratio_of(row, ours)) for row in others]
