"""What a benchmark of GPUs found: shares of the bounds, targets, tables, JSON, pictures.

python benchmarks/gpu_report.py benchmarks/results/gpu.json --page docs/performance.md --pictures docs/images
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import peer_report
from gpu_bounds import Bound, Needs, Rates, bound
from gpu_ceilings import Ceiling, best
from gpu_rounds import Cell
from gpu_workloads import TARGETS, Target
from vecprop.inspection.benchmark_report import Row as LadderRow
from vecprop.inspection.benchmark_report import duration
from vecprop.inspection.plots import COLOURS, LINES, group_digits, panels, save

FORMAT = "vecprop gpu 1"
BEGIN, END = "<!-- gpu: begin -->\n", "<!-- gpu: end -->\n"
NAMES = peer_report.NAMES | {
    "vecprop-cupy": "vecprop, CuPy",
    "torch-graph": "PyTorch, CUDA graph",
    "shared-numpy": "one order for all, NumPy",
    "shared-cupy": "one order for all, CuPy",
    "shared-jax": "one order for all, JAX",
    "singles-cupy": "one by one, CuPy",
    "jax": "jax.jit(value_and_grad)",
}
_PRECISION = {"highest": "float32", "fast": "TF32"}


@dataclass
class Record:
    """Everything that was measured.

    Attributes
    ----------
    environment : dict
    ceilings : list of Ceiling
    needs : dict
        For each workload (Needs, precision, steps in an epoch).
    cells : list of Cell
    ladder : list of vecprop.inspection.benchmark_report.Row
    memory : list of dict
        workload, peer, before, peak (bytes or None), reason.
    tiny : bool
        Whether it was a look whether everything runs; then no figure means anything.
    """

    environment: dict[str, str] = field(default_factory=dict)
    ceilings: list[Ceiling] = field(default_factory=list)
    needs: dict[str, tuple[Needs, str, int]] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    ladder: list[LadderRow] = field(default_factory=list)
    memory: list[dict[str, Any]] = field(default_factory=list)
    tiny: bool = False

    def find(self, workload: str, peer: str) -> Cell | None:
        """Return a contestant's cell if it was timed."""
        found = (c for c in self.cells if c.workload == workload and c.peer == peer and c.seconds)
        return next(found, None)

    def rates(self, precision: str) -> Rates:
        """Return what the device reached in this run."""
        products = best(self.ceilings, _PRECISION[precision])
        return Rates(products, best(self.ceilings, "copy"), best(self.ceilings, "launch"))

    def bound(self, workload: str) -> Bound | None:
        """Return the least time of a workload at the rates of this run."""
        needs, precision, _ = self.needs[workload]
        return bound(needs, self.rates(precision))

    def share(self, cell: Cell, of: str) -> float | None:
        """Return the share of the "bound", or of the rate of "products" or "bandwidth" alone, that a cell reaches."""
        needs, precision, _ = self.needs[cell.workload]
        rates = self.rates(precision)
        if of == "bound":
            least = bound(needs, rates)
            return None if least is None else least.seconds / cell.median
        rate, amount = (rates.products, needs.operations) if of == "products" else (rates.bandwidth, needs.bytes)
        return None if rate is None else amount / cell.median / rate

    def judge(self, target: Target) -> tuple[float, bool] | None:
        """Return what was measured and whether it is what is wanted, or None if it was not measured."""
        ours = self.find(target.workload, target.ours)
        if ours is None or self.tiny:
            return None
        if target.measure == "seconds":
            return ours.median, ours.median <= target.wanted
        if target.measure == "times":
            theirs = self.find(target.workload, target.theirs)
            value = None if theirs is None else peer_report.ratio_of(theirs, ours)
        else:
            value = self.share(ours, target.measure)
        return None if value is None else (value, value >= target.wanted)

    def to_json(self) -> str:
        """Return everything as JSON, the bounds and the targets with what was measured; `load` reads it."""
        judged = [(target, self.judge(target)) for target in TARGETS]
        content = {
            "format": FORMAT,
            "tiny": self.tiny,
            "environment": self.environment,
            "ceilings": [asdict(c) for c in self.ceilings],
            "needs": {
                name: {**asdict(needs), "precision": precision, "steps": steps}
                for name, (needs, precision, steps) in self.needs.items()
            },
            "bounds": {name: None if (b := self.bound(name)) is None else asdict(b) for name in self.needs},
            "cells": [asdict(c) for c in self.cells],
            "ladder": [asdict(r) for r in self.ladder],
            "memory": self.memory,
            "targets": [t._asdict() | {"measured": j and j[0], "met": j and j[1]} for t, j in judged],
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def save(self, path: Path) -> None:
        """Write the JSON, whole or not at all; the folder is made if need be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(path.name + ".new")
        new.write_text(self.to_json(), encoding="utf-8")
        new.replace(path)

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read what `save` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT:
            raise ValueError(f"{path}: the format is {content.get('format')!r}, known is {FORMAT!r}")
        return cls(
            content["environment"],
            [Ceiling(**c) for c in content["ceilings"]],
            {
                name: (Needs(n["operations"], n["bytes"], n["launches"]), n["precision"], n["steps"])
                for name, n in content["needs"].items()
            },
            [Cell(**c) for c in content["cells"]],
            [LadderRow(**r) for r in content["ladder"]],
            content["memory"],
            content["tiny"],
        )


# --- the m at which one overtakes another -------------------------------------------------------------------


def overtakes(sizes: Sequence[int], theirs: Sequence[float], ours: Sequence[float]) -> float | None:
    """Return the m from which on `ours` is quicker at all that were measured; None if it is slower at the last.

    Between two m both times are taken as powers of m.

    >>> overtakes([1, 10, 100], [1.0, 10.0, 100.0], [5.0, 5.0, 5.0])  # theirs is m seconds
    5.0
    >>> overtakes([1, 10], [1.0, 1.0], [2.0, 2.0]) is None, overtakes([1, 10], [2.0, 2.0], [1.0, 1.0])
    (True, 1.0)
    """
    gains = [math.log(t / o) for t, o in zip(theirs, ours, strict=True)]
    if not gains or gains[-1] <= 0:
        return None
    last = max((i for i, gain in enumerate(gains) if gain <= 0), default=-1)
    if last < 0:
        return float(sizes[0])
    part = -gains[last] / (gains[last + 1] - gains[last])
    low, high = math.log(sizes[last]), math.log(sizes[last + 1])
    return round(math.exp(low + part * (high - low)), 6)


def crossings(ladder: Iterable[LadderRow]) -> dict[tuple[str, str], float | None]:
    """Return for each (network, backend other than NumPy) the m at which its vectorized pass overtakes NumPy's."""
    times: dict[tuple[str, str], dict[int, float]] = {}
    for row in ladder:
        if row.rung == "vectorized":
            times.setdefault((row.network, row.backend), {})[row.m] = row.seconds
    found = {}
    for (network, backend), ours in times.items():
        theirs = times.get((network, "numpy"), {})
        sizes = sorted(ours.keys() & theirs.keys())
        if backend != "numpy" and sizes:
            found[network, backend] = overtakes(sizes, [theirs[m] for m in sizes], [ours[m] for m in sizes])
    return found


# --- tables -------------------------------------------------------------------------------------------------


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def ceilings_table(record: Record) -> str:
    """Return the ceilings of each library, and the best of each, from which the bounds follow."""
    libraries = list(dict.fromkeys(c.library for c in record.ceilings))
    kinds = [k for k in dict.fromkeys(c.what for c in record.ceilings) if k != "all"]
    value = {(c.what, c.library): c.value for c in record.ceilings}
    rows = [[what, *(_quantity(what, value.get((what, name))) for name in libraries)] for what in kinds]
    return _markdown(["", *libraries], rows) if rows else ""


def _quantity(what: str, value: float | None) -> str:
    if value is None:
        return "–"
    if what.startswith("launch"):
        return duration(value)
    return f"{value / 1e12:.3g} TB/s" if what in ("copy", "transfer") else f"{value / 1e12:.3g} TFLOP/s"


def cells_table(record: Record, workload: str) -> str:
    """Return the times of one workload, with the shares of the bound."""
    least, (_, _, steps) = record.bound(workload), record.needs[workload]
    rows = []
    for cell in (c for c in record.cells if c.workload == workload and c.seconds):
        shares = [record.share(cell, of) for of in ("bound", "products", "bandwidth")]
        first = "–" if cell.first is None else duration(cell.first)
        epoch = [duration(cell.median * steps)] if steps > 1 else []
        rows.append([NAMES[cell.peer], duration(cell.median), *epoch, *map(_percent, shares), first])
    due = "" if least is None else f"; the bound is {duration(least.seconds)}, by {least.by}"
    left = [f"- {NAMES[c.peer]}: {c.reason}" for c in record.cells if c.workload == workload and c.reason]
    unit = ["step", "epoch"] if steps > 1 else ["time"]
    header = ["", *unit, "of the bound", "of the products' rate", "of the bandwidth", "first call"]
    return "\n".join([f"**{workload}**{due}", "", _markdown(header, rows), *([""] if left else []), *left])


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %" if value >= 0.1 else f"{100 * value:.2g} %"


def targets_table(record: Record) -> str:
    """Return every target, what was measured, and whether it is met."""
    rows = []
    for target in TARGETS:
        judged = record.judge(target)
        than = f", against {NAMES[target.theirs]}" if target.theirs else ""
        measured = "not measured" if judged is None else _of_target(target, judged[0])
        verdict = "" if judged is None else "met" if judged[1] else "**not met**"
        sign = "≤" if target.measure == "seconds" else "≥"
        what = f"{target.workload}, {NAMES[target.ours]}{than}"
        rows.append([what, f"{sign} {_of_target(target, target.wanted)}", measured, verdict])
    return _markdown(["", "wanted", "measured", ""], rows)


def _of_target(target: Target, value: float) -> str:
    if target.measure == "seconds":
        return duration(value)
    if target.measure == "times":
        return f"{value:.3g} ×"
    rate = "the products' rate" if target.measure == "products" else "the bandwidth"
    return f"{100 * value:.0f} % of {rate}"


def ladder_table(record: Record) -> str:
    """Return loop and vectorized pass of each backend against m, and where each overtakes NumPy."""
    backends = list(dict.fromkeys(r.backend for r in record.ladder))
    value = {(r.network, r.m, r.backend, r.rung): r for r in record.ladder}
    rows = []
    for network, m in dict.fromkeys((r.network, r.m) for r in record.ladder):
        cells = [value.get((network, m, b, rung)) for b in backends for rung in ("per_example", "vectorized")]
        times = ["–" if c is None else ("~" if c.extrapolated else "") + duration(c.seconds) for c in cells]
        rows.append([network, group_digits(m), *times])
    header = ["network", "m", *(f"{b}, {word}" for b in backends for word in ("loop", "vectorized"))]
    lines = [
        f"- {network}: {backend} "
        + ("does not overtake NumPy" if m is None else f"overtakes NumPy at m = {group_digits(round(m))}")
        for (network, backend), m in crossings(record.ladder).items()
    ]
    return "\n".join([_markdown(header, rows), "", *lines])


def memory_table(record: Record) -> str:
    """Return the device memory of each training and pass."""
    rows = []
    for found in record.memory:
        sizes = [_mebibytes(found["before"]), _mebibytes(found["peak"])]
        rows.append([found["workload"], NAMES[found["peer"]], *sizes, found["reason"]])
    return _markdown(["", "", "ready, examples on the device", "peak", ""], rows)


def _mebibytes(count: int | None) -> str:
    return "not known" if count is None else f"{count / 2**20:.0f} MiB"


def text(record: Record) -> str:
    """Return all tables as Markdown."""
    about = ", ".join(f"{key} {value}" for key, value in record.environment.items())
    parts = [about]
    if record.tiny:
        parts.append("**A tiny run: its figures mean nothing, and no target is judged.**")
    if record.ceilings:
        parts += ["### What the device reaches", ceilings_table(record)]
    if record.cells:
        names = dict.fromkeys(c.workload for c in record.cells)
        parts += ["### Training and gradients", *(cells_table(record, name) for name in names)]
    if record.ladder:
        parts += ["### Loop and vectorized pass", ladder_table(record)]
    if record.memory:
        parts += ["### Memory", memory_table(record)]
    return "\n\n".join([*parts, "### Targets", targets_table(record)])


# --- pictures -----------------------------------------------------------------------------------------------


def draw_ladder(record: Record, path: Path, dpi: float = 110) -> None:
    """Draw for each network the time of a pass against m: loops dashed, vectorized passes solid."""
    networks = list(dict.fromkeys(r.network for r in record.ladder))
    if not networks:
        raise ValueError("nothing to draw: no loop and no vectorized pass was measured")
    backends = list(dict.fromkeys(r.backend for r in record.ladder))
    all_axes = panels(len(networks), width=5.2, height=4.4)
    for axes, network in zip(all_axes, networks, strict=True):
        for k, backend in enumerate(backends):
            for rung, style, word in (("per_example", "--", "loop"), ("vectorized", "-", "vectorized")):
                rows = [r for r in record.ladder if (r.network, r.backend, r.rung) == (network, backend, rung)]
                points = sorted((r.m, r.seconds) for r in rows)
                look = {"color": COLOURS[k], "linestyle": style, "marker": "os^D"[k % 4], "markersize": 4}
                axes.plot(*zip(*points, strict=True), label=f"{backend}, {word}", **look)
        axes.set(xscale="log", yscale="log", xlabel="examples m", title=f"network {network}, float32")
        axes.yaxis.set_major_formatter(lambda seconds, _: re.sub(r"\.0+ ", " ", duration(seconds)))
        axes.grid(alpha=0.3)
    all_axes[0].set_ylabel("cost and gradients, time of a pass")
    all_axes[-1].legend(fontsize=8)
    save(all_axes[0], path, dpi)


def draw_shares(record: Record, path: Path, dpi: float = 110) -> None:
    """Draw for each workload one bar per contestant: the share of the least time that it reaches."""
    groups = {name: _shares(record, name) for name in dict.fromkeys(c.workload for c in record.cells)}
    groups = {name: shares for name, shares in groups.items() if shares}
    if not groups:
        raise ValueError("nothing to draw: no workload was timed together with the ceilings")
    count = sum(len(shares) + 1.4 for shares in groups.values())
    (axes,), y, ticks = panels(width=9.0, height=1 + 0.22 * count), 0.0, []
    for name, shares in groups.items():
        least = record.bound(name)
        assert least is not None
        title = f"{name}: at least {duration(least.seconds)}, by {least.by}"
        axes.text(0.008, y - 0.5, title, transform=axes.get_yaxis_transform(), va="bottom", fontsize=8, weight="bold")
        for peer, share in shares:
            ours = peer.startswith(("vecprop", "shared", "singles"))
            axes.barh(y, share, height=0.75, color=COLOURS[0 if ours else 1])
            axes.text(share + 0.01, y, _percent(share), va="center", fontsize=7)
            ticks.append((y, NAMES[peer]))
            y += 1
        y += 1.4
    axes.set_ylim(y - 0.9, -1.6)
    axes.set_xlim(0, 1.12 * max(1.0, *(share for shares in groups.values() for _, share in shares)))
    axes.axvline(1, color="0.3", linewidth=1, linestyle=LINES[1] if len(LINES) > 1 else "--")
    axes.set_yticks(*zip(*ticks, strict=True), fontsize=7)
    axes.set_xlabel("least time / measured time" + ("; a tiny run, its figures mean nothing" if record.tiny else ""))
    save(axes, path, dpi)


def _shares(record: Record, workload: str) -> list[tuple[str, float]]:
    cells = [c for c in record.cells if c.workload == workload and c.seconds]
    shares = [(cell.peer, record.share(cell, "bound")) for cell in cells]
    return [(peer, share) for peer, share in shares if share is not None]


# --- the command --------------------------------------------------------------------------------------------


def write_page(page: Path, tables: str) -> None:
    """Put the tables between the marks of a page."""
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    if not begin or END not in rest:
        raise ValueError(f"{page} has no place for the tables: wanted the lines {BEGIN.strip()} and {END.strip()}")
    page.write_text(f"{before}{BEGIN}\n{tables}\n\n{END}{after}", "utf-8")


def main(given: Sequence[str] | None = None) -> None:
    """Print the tables of a saved record, put them into a page, draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("record", type=Path, help="JSON that gpu.py has written")
    parser.add_argument("--page", type=Path, help="a Markdown page with the two marks")
    parser.add_argument("--pictures", type=Path, help="a folder for gpu-ladder.png and gpu-shares.png")
    arguments = parser.parse_args(given)
    record = Record.load(arguments.record)
    tables = text(record)
    if arguments.page:
        write_page(arguments.page, tables)
    else:
        print(tables)
    if arguments.pictures:
        if record.ladder:
            draw_ladder(record, arguments.pictures / "gpu-ladder.png")
        if record.cells and record.ceilings:
            draw_shares(record, arguments.pictures / "gpu-shares.png")


if __name__ == "__main__":
    main()
