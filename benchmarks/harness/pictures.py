"""Pictures of a record: ratios, shares of the bounds, loops beside vectorized passes, growth, public tables."""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.growth.sweeps import SWEEPS, TITLES
from benchmarks.harness.report import OURS, Record, standings, tables_of
from benchmarks.harness.rounds import ratio_of
from benchmarks.harness.tables import NAMES, percent
from vecprop.inspection.benchmark_report import duration
from vecprop.inspection.plots import COLOURS, panels, save

_ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # the line at 1 passes behind a number
Groups = dict[str, list[tuple[str, float]]]


class NothingToDrawError(ValueError):
    """A record without the figures of a picture."""


def _bars(groups: Groups, number: Callable[[float], str]) -> Any:
    """Return the axes of one horizontal bar for each contestant, in groups with a title, and a line at 1."""
    groups = {title: values for title, values in groups.items() if values}
    if not groups:
        raise NothingToDrawError("nothing to draw: no workload was measured with what it is compared with")
    (axes,), y, ticks = panels(width=9.0, height=1 + 0.24 * sum(len(v) + 1 for v in groups.values())), 0, []
    style = {"ha": "left", "va": "bottom", "fontweight": "bold", "fontsize": 9, "bbox": _ON_WHITE}
    for title, values in groups.items():
        axes.text(0.008, y - 0.45, title, transform=axes.get_yaxis_transform(), **style)
        for peer, value in values:
            axes.barh(y, value, left=0, height=0.75, color=COLOURS[0 if is_ours(peer) else 1])
            axes.annotate(
                number(value), (value, y), (4, 0), textcoords="offset points", va="center", fontsize=8, bbox=_ON_WHITE
            )
            ticks.append((y, NAMES[peer]))
            y += 1
        y += 1
    axes.axvline(1, color="0.3", linewidth=1, linestyle="--")
    axes.set_ylim(y - 0.5, -1.5)
    axes.set_yticks(*zip(*ticks, strict=True), fontsize=8)
    return axes


def is_ours(peer: str) -> bool:
    return peer.startswith(("vecprop", "shared", "singles", "quick"))


def draw_ratios(record: Record) -> Any:
    """Draw for each workload the time of each other contestant over that of the quicker of our backends."""
    groups: Groups = {}
    for name in (n for n in record.workloads if n not in tables_of(record)):
        ours = record.find(name, OURS)
        if ours is not None:
            rows = [r for r in record.rows_of(name) if r.seconds and r.peer not in OURS]
            groups[name] = [(r.peer, ratio_of(r, ours)) for r in rows if not r.peer.startswith("products")]
    axes = _bars(groups, lambda ratio: f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}")
    ratios = [ratio for values in groups.values() for _, ratio in values]
    axes.set(xscale="log", xlabel="their time / that of vecprop's quicker backend")
    axes.set_xlim(min(0.5, *(0.8 * r for r in ratios)), 3 * max(ratios))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}×")
    axes.set_title("Time of the same computation, float32; " + record.environment.get("CPU", ""), fontsize=9)
    return axes


def draw_shares(record: Record) -> Any:
    """Draw for each workload and contestant the share of the least time that it reaches."""
    groups: Groups = {}
    for name in record.workloads:
        least = record.bound(name)
        if least is not None:
            shares = [(r.peer, record.share(r, "bound")) for r in record.rows_of(name) if r.seconds]
            title = f"{name}: at least {duration(least.seconds)}, by {least.by}"
            groups[title] = [(peer, share) for peer, share in shares if share is not None]
    axes = _bars(groups, percent)
    axes.set_xlim(0, 1.12 * max(1.0, *(share for shares in groups.values() for _, share in shares)))
    axes.set_xlabel("least time / measured time" + ("; a tiny run, its figures mean nothing" if record.tiny else ""))
    return axes


def draw_ladder(record: Record) -> Any:
    """Draw for each network the time of a pass against m: loops dashed, vectorized passes solid."""
    networks = list(dict.fromkeys(r.network for r in record.ladder))
    if not networks:
        raise NothingToDrawError("nothing to draw: no loop and no vectorized pass was measured")
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
    return all_axes[0]


def draw_growth(record: Record) -> Any:
    """Draw the three sweeps side by side, both axes logarithmic, with a line for growth in proportion."""
    rows = record.growth
    if not rows:
        raise NothingToDrawError("nothing to draw: no growth was measured")
    backends = sorted({row["backend"] for row in rows}, reverse=True)
    sweeps = [sweep for sweep in SWEEPS if any(row["sweep"] == sweep for row in rows)]
    all_axes = panels(len(sweeps), width=4.0, height=4.2)
    for axes, sweep in zip(all_axes, sweeps, strict=True):
        points = [(r["value"], r["seconds"], r["backend"]) for r in rows if r["sweep"] == sweep]
        for colour, backend in zip(COLOURS, backends, strict=False):
            own = [(value, seconds) for value, seconds, name in points if name == backend]
            axes.plot(*zip(*own, strict=True), marker="o", color=colour, label=backend)
        (first, *_), (last, seconds, _) = min(points), max(points)
        axes.plot([first, last], [seconds * first / last, seconds], color="0.6", linestyle="--", label="in proportion")
        axes.set(xscale="log", yscale="log", xlabel=sweep, title=TITLES[sweep])
        axes.grid(visible=True, color="0.9")
    all_axes[0].set_ylabel("seconds of a pass (cost and gradients), float32")
    all_axes[0].legend(frameon=False)
    return all_axes[0]


def draw_tables(record: Record) -> Any:
    """Draw each contestant's mean normalised score over public tables, against seconds and beside its rank."""
    found = standings(record)
    if not found:
        raise NothingToDrawError("nothing to draw: no contestant has every public table")
    scatter, bars = panels(2, width=5.6, height=4.2)
    for y, (peer, standing) in enumerate(found.items()):
        colour = COLOURS[0 if is_ours(peer) else 1]
        scatter.plot(standing.processor, standing.normalised, "o", color=colour)
        beside = {"xytext": (5, 0), "textcoords": "offset points", "fontsize": 8, "va": "center"}
        scatter.annotate(NAMES[peer], (standing.processor, standing.normalised), **beside)
        bars.barh(y, standing.rank, height=0.75, color=colour)
        bars.annotate(f"{standing.rank:.1f}", (standing.rank, y), **beside)
    scatter.set(xscale="log", xlabel="CPU seconds of a fit, mean", ylabel="normalised score, mean (1: best, 0: worst)")
    scatter.margins(0.2)
    scatter.grid(alpha=0.3)
    bars.set_yticks(range(len(found)), [NAMES[peer] for peer in found], fontsize=8)
    bars.invert_yaxis()
    bars.set(xlabel="mean rank by log-loss or RMSE", xlim=(0, 1.1 * max(s.rank for s in found.values())))
    scatter.set_title(f"{len(tables_of(record))} public tables; {record.environment.get('CPU', '')}", fontsize=9)
    return scatter


def draw_all(record: Record, folder: Path) -> list[Path]:
    """Draw what the record has the figures for; return the paths written."""
    paths = []
    for draw in (draw_ratios, draw_shares, draw_ladder, draw_growth, draw_tables):
        path = folder / f"{record.device}-{draw.__name__.removeprefix('draw_')}.png"
        with suppress(NothingToDrawError):
            paths.append(save(draw(record), path, 110))
    return paths
