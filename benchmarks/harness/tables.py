"""A record as tables, in Markdown."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.report import OURS, Record, crossings, standings, tables_of
from benchmarks.harness.rounds import Row, ratio_of
from benchmarks.harness.workloads import WORKLOADS, Target
from vecprop.inspection.benchmark_report import duration
from vecprop.inspection.plots import group_digits

BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
_QUIET = 0.1  # cores that others may keep busy
_BACKENDS = {"numpy": "NumPy", "cupy": "CuPy", "jax": "JAX"}
_KINDS = {
    "vecprop": "vecprop", "products": "bare products", "singles": "one by one", "shared": "one order for all",
    "npy": "from a .npy file", "arrow": "from an Arrow file", "parquet": "from a Parquet file",
    "quick": "vecprop quick",
}  # fmt: skip
NAMES = {
    **{f"{kind}-{b}": f"{word}, {name}" for kind, word in _KINDS.items() for b, name in _BACKENDS.items()},
    "reading": "reading the .npy file",
    "plain-numpy": "plain NumPy",
    "sklearn": "scikit-learn",
    "torch": "PyTorch eager",
    "torch-fused": "PyTorch, fused Adam",
    "torch-compile": "PyTorch, compiled",
    "torch-graph": "PyTorch, CUDA graph",
    "keras": "Keras on JAX",
    "optax-step": "JAX + optax, a step",
    "optax-scan": "JAX + optax, an epoch",
    "optax-vmap": "JAX + optax, vmap",
    "jax": "jax.jit(value_and_grad)",
    "linear": "linear model",
    "histogram": "histogram boosting",
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
    "xgboost": "XGBoost",
    "realmlp": "RealMLP",
    "onnxruntime": "onnxruntime",
}


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table without the columns that say nothing."""
    rows = list(rows)
    kept = [i for i in range(len(header)) if any(row[i] not in ("", "–") for row in rows)]
    lines = [[header[i] for i in kept], ["---"] * len(kept), *([row[i] for i in kept] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) if rows else ""


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %" if value >= 0.1 else f"{100 * value:.2g} %"


def _or_dash(value: Any, shown: Callable[[Any], str] = duration) -> str:
    return "–" if value is None else shown(value)


_mebibytes = partial(_or_dash, shown=lambda count: f"{count / 2**20:.0f} MiB")


def _mean_and_error(scores: Sequence[float]) -> str:
    """Return the mean and its standard error, each round taken as independent."""
    error = statistics.stdev(scores) / len(scores) ** 0.5 if len(scores) > 1 else 0.0
    return f"{statistics.mean(scores):.4f} ± {error:.4f}" if scores else ""


def _missing(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(f"- {NAMES[row.peer]} not available: {row.reason}" for row in rows if row.reason))


def ceilings_table(record: Record) -> str:
    """Return the ceilings of each library, from the best of which the bounds follow."""
    libraries = list(dict.fromkeys(c.library for c in record.ceilings))
    kinds = [k for k in dict.fromkeys(c.what for c in record.ceilings) if k != "all"]
    value = {(c.what, c.library): c.value for c in record.ceilings}

    def cell(what: str, found: float | None) -> str:
        if found is None or what.startswith("launch"):
            return _or_dash(found)
        return f"{found / 1e12:.3g} {'TB/s' if what in ('copy', 'transfer') else 'TFLOP/s'}"

    rows = [[what, *(cell(what, value.get((what, name))) for name in libraries)] for what in kinds]
    return _markdown(["", *libraries], rows)


def rows_table(record: Record, workload: str) -> str:
    """Return the times of one workload, the ratios to vecprop's, and the shares of the bound."""
    least, ours, unit = record.bound(workload), [record.find(workload, (p,)) for p in OURS], WORKLOADS[workload].unit

    def cells(row: Row) -> dict[str, str]:
        ratios = [_or_dash(o, lambda o: f"{ratio_of(row, o):.2f}") for o in ours]
        return {
            "": NAMES[row.peer],
            unit: duration(row.median),
            "lowest–highest": f"{duration(min(row.seconds))}–{duration(max(row.seconds))}",
            "score": _mean_and_error(row.scores),
            "loss": _mean_and_error(row.losses),
            "processor": duration(statistics.mean(row.processor)) if row.processor else "–",
            "epoch": duration(row.median * row.steps) if row.steps > 1 else "",
            **{f"/ {name}": ratio for name, ratio in zip(_BACKENDS.values(), ratios, strict=True)},
            "of the bound": percent(record.share(row, "bound")),
            "of the products' rate": percent(record.share(row, "products")),
            "of the bandwidth": percent(record.share(row, "bandwidth")),
            "first call": _or_dash(row.first),
            "transfer": _or_dash(row.transfer),
            "by its history": duration(statistics.median(row.history)) if row.history else "–",
            "off by": _or_dash(row.difference, "{:.0e}".format),
        }

    rows = [cells(row) for row in record.rows_of(workload) if row.seconds]
    table = _markdown(list(rows[0]), [list(row.values()) for row in rows]) if rows else ""
    notes = _missing(record.rows_of(workload))
    others = record.neighbours.get(workload)
    if others is not None and others > _QUIET:
        notes.append(f"- not a quiet machine: other processes kept {others:.1f} cores busy meanwhile")
    due = "" if least is None else f"; the bound is {duration(least.seconds)}, by {least.by}"
    return "\n\n".join(part for part in (f"**{workload}**{due}", table, "\n".join(notes)) if part)


def targets_table(record: Record) -> str:
    """Return every target of the device, what was measured, and whether it is met."""
    rows = []
    for target, judged in record.judged():
        ours, theirs = (" or ".join(NAMES[p] for p in peers) for peers in (target.ours, target.theirs))
        what = f"{target.workload}, {ours}" + (f", against {theirs}" if theirs else "")
        sign = "≤" if target.measure == "seconds" else "≥"
        measured = "not measured" if judged is None else _of_target(target, judged[0])
        verdict = "" if judged is None else "met" if judged[1] else "**not met**"
        rows.append([what, f"{sign} {_of_target(target, target.wanted)}", measured, verdict])
    return _markdown(["what", "wanted", "measured", "verdict"], rows)


def _of_target(target: Target, value: float) -> str:
    if target.measure == "seconds":
        return duration(value)
    if target.measure == "times":
        return f"{value:.3g} ×"
    return f"{100 * value:.0f} % of " + ("the products' rate" if target.measure == "products" else "the bandwidth")


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
    return "\n".join([_markdown(header, rows), "", *lines]) if rows else ""


def standings_table(record: Record) -> str:
    """Return how each contestant stands over all public tables, and who is missing."""
    header = ["", "normalised score", "rank", "rank by accuracy or R²", "wins against LightGBM", "CPU s a fit"]
    rows = [
        [NAMES[peer], f"{s.normalised:.3f}", *(f"{rank:.2f}" for rank in s[1:3]), str(s.wins), f"{s.processor:.2f}"]
        for peer, s in standings(record).items()
    ]
    names = tables_of(record)
    missing = _missing(row for name in names for row in record.rows_of(name))
    return "\n\n".join(part for part in (_markdown(header, rows), "\n".join(missing)) if part)


def losses_table(record: Record) -> str:
    """Return log-loss / accuracy, or root mean squared error / R², of each contestant at each public table."""
    found = tables_of(record)
    peers = list(dict.fromkeys(peer for rows in found.values() for peer in rows))
    lines = []
    for name, rows in found.items():
        losses = {peer: statistics.mean(row.losses) for peer, row in rows.items()}
        cells = dict.fromkeys(peers, "–")
        for peer, loss in losses.items():
            number = group_digits(round(loss)) if loss >= 1000 else f"{loss:.3g}"
            mark = "**" if loss == min(losses.values()) else ""
            cells[peer] = f"{mark}{number}{mark} / {statistics.mean(rows[peer].scores):.3f}"
        lines.append([name, *cells.values()])
    return _markdown(["", *(NAMES[peer] for peer in peers)], lines)


def memory_table(record: Record) -> str:
    rows = []
    for found in record.memory:
        before, peak = found["before"], found["peak"]
        more = "not known" if before is None or peak is None else _mebibytes(peak - before)
        names = [found["workload"], NAMES[found["peer"]]]
        rows.append([*names, _mebibytes(before), _mebibytes(peak), more, found.get("reason", "")])
    return _markdown(["workload", "contestant", "ready, examples there", "peak", "more", "reason"], rows)


def text(record: Record) -> str:
    parts = [", ".join(f"{key} {value}" for key, value in record.environment.items())]
    if record.tiny:
        parts.append("**A tiny run: its figures mean nothing, and no target is judged.**")
    tables = {
        "What the device reaches": [ceilings_table(record)],
        "Training and gradients": [rows_table(record, n) for n in record.workloads if n not in tables_of(record)],
        "Public tables": [standings_table(record), losses_table(record)],
        "Loop and vectorized pass": [ladder_table(record)],
        "Memory": [memory_table(record)],
        "Targets": [targets_table(record) if set(record.workloads) - set(tables_of(record)) else ""],
    }
    for title, found in tables.items():
        parts += [f"### {title}", *filter(None, found)] if any(found) else []
    return "\n\n".join(parts)


def write_page(page: Path, record: Record) -> None:
    """Put the tables between the marks of a page."""
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    if not begin or END not in rest:
        raise ValueError(f"{page} has no place for the tables: wanted the lines {BEGIN.strip()} and {END.strip()}")
    page.write_text(f"{before}{BEGIN}\n{text(record)}\n\n{END}{after}", "utf-8")
