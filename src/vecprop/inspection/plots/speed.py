"""The speed-up by vectorizing over a loop over the examples, against their number m."""

from itertools import cycle
from typing import Any

from vecprop.inspection.plots.figures import COLOURS, MARKERS, Axes, axes_of, group_digits
from vecprop.utils.arguments import check_text, is_sequence

_FIELDS = ("backend", "network", "dtype", "pass_name", "rung", "m", "extrapolated", "speedup")
_PASSES = {"forward": "forward", "gradients": "forward and backward"}


def speedup(report: Any, ax: Axes | None = None, *, dtype: str = "float32", pass_name: str = "gradients") -> Axes:
    """Draw the speed-up of the vectorized pass over the loop per example, against m.

    Both axes are logarithmic. One line per backend and network; hollow markers: loops extrapolated from fewer examples.

    Parameters
    ----------
    report : Report or sequence of Row
        What `vecprop.inspection.benchmark.measure` returned or `Report.load` read, or its `rows`.
    ax : matplotlib Axes, default a new figure
    dtype : str, default "float32"
    pass_name : str, default "gradients"
        "gradients" or "forward".

    Raises
    ------
    ImportError, TypeError, ValueError
        Without matplotlib; for what is not a report, or if no such speed-up was measured.

    Examples
    --------
    >>> from vecprop.inspection.benchmark_report import Row, with_speedups
    >>> cell = {"backend": "numpy", "network": "2-4-1", "dtype": "float32", "pass_name": "gradients", "m": 100}
    >>> how = {"measured_m": 100, "extrapolated": False, "runs": 5}
    >>> loop = Row(rung="per_example", seconds=1e-2, **cell, **how)
    >>> pass_ = Row(rung="vectorized", seconds=1e-4, **cell, **how)
    >>> (line, _) = speedup(with_speedups([loop, pass_])).get_lines()
    >>> line.get_label(), line.get_xdata().tolist(), line.get_ydata().round().tolist()
    ('numpy, 2-4-1', [100], [100.0])
    """
    rows, dtype, pass_name = _check_rows(report), check_text(dtype, "dtype"), check_text(pass_name, "pass_name")
    lines = _speedups(rows, dtype, pass_name)
    if not lines:
        raise ValueError(
            f"nothing to plot for dtype={dtype!r}, pass_name={pass_name!r}: measure {dtype} {pass_name} on the rungs "
            f"'per_example' and 'vectorized'; report has {len(rows)} rows without such a pair"
        )
    ax = axes_of(ax, width=8.0)
    for (label, points), colour, marker in zip(lines.items(), cycle(COLOURS), cycle(MARKERS), strict=False):
        style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 7}
        m, factors, _ = zip(*points, strict=True)
        ax.plot(m, factors, linewidth=1.8, label=label, **style)
        if hollow := [(m, factor) for m, factor, extrapolated in points if extrapolated]:
            ax.plot(*zip(*hollow, strict=True), linestyle="none", mfc="white", label="_extrapolated", **style)
    if any(hollow for points in lines.values() for *_, hollow in points):
        ax.plot([], [], linestyle="none", marker="o", color="0.4", mfc="white", label="loop extrapolated")
    ax.axhline(1, color="0.6", linewidth=1, linestyle="--", zorder=0, label="_one")
    ax.set(xscale="log", yscale="log", xlabel="examples m", ylabel="time of the loop / time of the vectorized pass")
    ax.set_title("Speed-up of the vectorized pass over a loop over the examples", pad=22)
    about = f"{_PASSES.get(pass_name, pass_name)}, {dtype}"
    environment = getattr(report, "environment", {})
    if environment.get("CPU") and environment.get("cores"):
        about += f"; {environment['CPU']}, {environment['cores']} cores"
    ax.text(0.5, 1.015, about, transform=ax.transAxes, ha="center", va="bottom", fontsize=9, color="0.3")
    ax.xaxis.set_major_formatter(lambda x, _: group_digits(round(x)))
    ax.yaxis.set_major_formatter(lambda y, _: f"{group_digits(round(y))}×" if y >= 1 else f"{y:g}×")
    ax.grid(visible=True, which="major", color="0.9")
    ax.legend(loc="upper left", frameon=False)
    return ax


def _check_rows(report: Any) -> list[Any]:
    rows = getattr(report, "rows", report)
    if not is_sequence(rows):
        raise TypeError(
            f"report must be a Report of vecprop.inspection.benchmark or its rows, got {type(report).__name__}"
        )
    rows = list(rows)
    for i, row in enumerate(rows):
        if not all(hasattr(row, name) for name in _FIELDS):
            raise TypeError(f"report: row {i} must be a Row of vecprop.inspection.benchmark, got {type(row).__name__}")
    return rows


def _speedups(rows: list[Any], dtype: str, pass_name: str) -> dict[str, list[tuple[int, float, bool]]]:
    """Return (m, speed-up, whether the loop was extrapolated) by rising m, for each line."""
    wanted = [row for row in rows if (row.dtype, row.pass_name) == (dtype, pass_name)]
    loops = {(row.backend, row.network, row.m): row for row in reversed(wanted) if row.rung == "per_example"}
    lines: dict[str, list[tuple[int, float, bool]]] = {}
    for row in sorted(wanted, key=lambda row: row.m):
        loop = loops.get((row.backend, row.network, row.m))
        if row.rung == "vectorized" and row.speedup and loop:
            lines.setdefault(f"{row.backend}, {row.network}", []).append((row.m, row.speedup, loop.extrapolated))
    return dict(sorted(lines.items()))
