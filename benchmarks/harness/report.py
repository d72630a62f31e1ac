"""What was found: the record, its JSON, shares of the bounds, which targets are met."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.devices.bounds import Bound, Needs, Rates, bound
from benchmarks.devices.ceilings import Ceiling, best
from benchmarks.harness.rounds import Row, ratio_of
from benchmarks.harness.workloads import DEVICES, TARGETS, WORKLOADS, PublicTable, Target
from vecprop.inspection.benchmark_report import Row as LadderRow
from vecprop.utils.atomic import write_atomically

FORMAT = "vecprop comparison 1"
OURS = ("vecprop-numpy", "vecprop-cupy", "vecprop-jax")
_PRECISION = {"highest": "float32", "fast": "TF32"}


@dataclass
class Record:
    """Everything that was measured."""

    environment: dict[str, str] = field(default_factory=dict)
    device: str = "cpu"  # {"cpu", "gpu"}
    ceilings: list[Ceiling] = field(default_factory=list)
    # for each workload that has bounds (Needs, precision)
    needs: dict[str, tuple[Needs, str]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    growth: list[dict[str, Any]] = field(default_factory=list)  # sweep, value, backend, seconds
    ladder: list[LadderRow] = field(default_factory=list)
    memory: list[dict[str, Any]] = field(default_factory=list)  # workload, peer, before, peak (bytes or None), reason
    # for each workload the cores that other processes kept busy
    neighbours: dict[str, float | None] = field(default_factory=dict)
    tiny: bool = False  # whether it was a look whether everything runs; then no figure means anything

    @property
    def workloads(self) -> list[str]:
        """The workloads that have rows."""
        return list(dict.fromkeys(row.workload for row in self.rows))

    def rows_of(self, workload: str) -> list[Row]:
        return [row for row in self.rows if row.workload == workload]

    def find(self, workload: str, peers: Sequence[str]) -> Row | None:
        """Return the quickest of these contestants, or None if none was timed."""
        found = [row for row in self.rows_of(workload) if row.peer in peers and row.seconds]
        return min(found, key=lambda row: row.median, default=None)

    def bound(self, workload: str, of: str = "bound") -> Bound | None:
        """Return the least time of a workload at the rates of this run, or at that of "products" or "bandwidth"."""
        needs, precision = self.needs.get(workload, (None, "highest"))
        rates = Rates(*(best(self.ceilings, what) for what in (_PRECISION[precision], "copy", "launch")))
        alone = {"products": Rates(products=rates.products), "bandwidth": Rates(bandwidth=rates.bandwidth)}
        return None if needs is None else bound(needs, alone.get(of, rates))

    def share(self, row: Row, of: str) -> float | None:
        """Return the share of the "bound", or of the rate of "products" or "bandwidth" alone, that a row reaches."""
        least = self.bound(row.workload, of)
        return None if least is None else least.seconds / row.median

    def judge(self, target: Target) -> tuple[float, bool] | None:
        """Return the measured value and whether the target is met, or None if it was not measured."""
        ours = self.find(target.workload, target.ours)
        if ours is None or self.tiny:
            return None
        if target.measure == "seconds":
            return ours.median, ours.median <= target.wanted
        if target.measure == "times":
            theirs = self.find(target.workload, target.theirs)
            value = None if theirs is None else ratio_of(theirs, ours)
        else:
            value = self.share(ours, target.measure)
        return None if value is None else (value, value >= target.wanted)

    def judged(self) -> list[tuple[Target, tuple[float, bool] | None]]:
        """Return the targets of this device and what became of them."""
        names = {work.name for work in DEVICES[self.device]}
        return [(target, self.judge(target)) for target in TARGETS if target.workload in names]

    def to_json(self) -> str:
        """Return everything as JSON, the bounds and the targets with what was measured; `load` reads it."""
        content = {"format": FORMAT, **asdict(self)}
        content["needs"] = {n: {**needs._asdict(), "precision": p} for n, (needs, p) in self.needs.items()}
        content["bounds"] = {name: (b := self.bound(name)) and b._asdict() for name in self.needs}
        content["targets"] = [t._asdict() | {"measured": j and j[0], "met": j and j[1]} for t, j in self.judged()]
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def save(self, path: Path) -> None:
        """Write the JSON, whole or not at all; the folder is made if need be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self.to_json().encode())

    @classmethod
    def load(cls, path: Path) -> "Record":
        """Read what `save` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT:
            raise ValueError(f"{path}: the format is {content.get('format')!r}, known is {FORMAT!r}")
        content["needs"] = {w: (Needs(*map(n.get, Needs._fields)), n["precision"]) for w, n in content["needs"].items()}
        for name, kind in {"ceilings": Ceiling, "rows": Row, "ladder": LadderRow}.items():
            content[name] = [kind(**row) for row in content[name]]
        return cls(**{field.name: content[field.name] for field in fields(cls)})


class Standing(NamedTuple):
    """How a contestant stands among those that have all public tables; a table's figure is the mean of its splits."""

    normalised: float  # mean over the tables of (worst - own) / (worst - best), by log-loss or root mean squared error
    # mean over the tables, by the same, and by accuracy or R²
    rank: float
    rank_by_score: float
    wins: int | None  # tables with a lower loss than LightGBM's
    processor: float  # seconds of the processor for a fit, mean over the tables


def tables_of(record: Record) -> dict[str, dict[str, Row]]:
    """Return for each public table the contestants that have figures."""
    tables = [name for name in record.workloads if isinstance(WORKLOADS[name], PublicTable)]
    found = {name: {row.peer: row for row in record.rows_of(name) if row.losses} for name in tables}
    return {name: rows for name, rows in found.items() if rows}


def standings(record: Record) -> dict[str, Standing]:
    """Return how each contestant stands that has all tables, the best first."""
    tables = list(tables_of(record).values())
    peers = [peer for peer in (tables[0] if tables else ()) if all(peer in rows for rows in tables)]
    if not peers:
        return {}
    losses, scores, seconds = (
        np.array([[np.mean(getattr(rows[peer], name)) for peer in peers] for rows in tables])
        for name in ("losses", "scores", "processor")
    )
    best, worst = losses.min(axis=1, keepdims=True), losses.max(axis=1, keepdims=True)
    spread = np.where(worst > best, worst - best, 1.0)
    normalised = np.mean((worst - losses) / spread, axis=0)
    ranks = [1 + np.mean(np.sum(v[:, :, None] > v[:, None, :], axis=2), axis=0) for v in (losses, -scores)]
    their = losses[:, [peers.index("lightgbm")]] if "lightgbm" in peers else None
    wins = [None] * len(peers) if their is None else np.sum(losses < their, axis=0).tolist()
    columns = zip(normalised.tolist(), *(r.tolist() for r in ranks), wins, seconds.mean(axis=0).tolist(), strict=True)
    found = {peer: Standing(*values) for peer, values in zip(peers, columns, strict=True)}
    return dict(sorted(found.items(), key=lambda item: item[1].rank))


def overtakes(sizes: Sequence[int], theirs: Sequence[float], ours: Sequence[float]) -> float | None:
    """Return the m above which `ours` is quicker at every m that was measured; None if it is slower at the last.

    Between two m both times are taken as powers of m.

    >>> overtakes([1, 10, 100], [1.0, 10.0, 100.0], [5.0, 5.0, 5.0])  # theirs is m seconds
    5.0
    >>> overtakes([1, 10], [1.0, 1.0], [2.0, 2.0]) is None, overtakes([1, 10], [2.0, 2.0], [1.0, 1.0])
    (True, 1.0)
    """
    gains = np.log(theirs) - np.log(ours)
    if not sizes or gains[-1] <= 0:
        return None
    (slower,) = np.nonzero(gains <= 0)
    around = slice(slower[-1], slower[-1] + 2) if len(slower) else slice(0, 1)
    return round(float(np.exp(np.interp(0.0, gains[around], np.log(sizes[around])))), 6)


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
