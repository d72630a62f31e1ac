"""A network as a diagram: its units, its layers with their shapes (E16), and its weights."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from vecprop.backend.contract import to_host
from vecprop.inspection.plots.figures import COLOURS, Axes, Floats, axes_of, three_digits
from vecprop.nn.array_checks import check_one_network
from vecprop.nn.network import Network, check_network
from vecprop.utils.arguments import check_integer

_APART = 3.4  # from layer to layer, where units are 1 apart
_MARGIN = 1.5
_RADIUS = 0.38
_INCHES = 0.52  # of 1, on a new figure
_FILLS = ("0.93", "#D6E8F5", "#FBE3D2")  # inputs, hidden units, outputs
_THINNEST, _THICKEST = 0.15, 3.0  # points
_LINE = 0.42  # height of a line of text under a layer


class _Column(NamedTuple):
    """The units of a layer that are drawn."""

    x: float
    units: list[int]  # numbers from 0
    y: list[float]
    ellipsis: float | None  # height of the dots that stand for the others


def network_diagram(net: Network, params: Any = None, ax: Axes | None = None, *, most: int = 8) -> Axes:
    """Draw the units of a network as circles in columns, and every weight as a line between two.

    Below each layer are its activation and the shapes of W and b (E16). With parameters, lines are blue for positive
    and red for negative weights; their width is |w| relative to the largest of the layer, which is written below it.
    Errors are those of `activation`.

    Parameters
    ----------
    net : Network
    params : sequence of (W_l, b_l), optional
        One network, on any backend.
    ax : matplotlib Axes, default a new figure
    most : int, default 8
        At least 3. Of a layer with more units the first and last ones are drawn, with dots in between.

    Examples
    --------
    >>> ax = network_diagram(Network((2, 4, 1)))
    >>> len(ax.patches), [len(lines.get_segments()) for lines in ax.collections]
    (7, [8, 4])
    >>> ax.texts[-1].get_text().splitlines()
    ['output', 'sigmoid', 'W2 (1, 4)', 'b2 (1, 1)']
    """
    check_network(net)
    weights = None if params is None else [to_host(W) for W, _ in check_one_network(net, params).params]
    slots = check_integer(most, "most", 3)
    columns = [_column(l, n, slots) for l, n in enumerate(net.sizes)]
    low = -max(len(c.units) + (c.ellipsis is not None) for c in columns) / 2
    bottom = low - 0.4 - (4 if weights is None else 5) * _LINE
    span = columns[-1].x + 2 * _MARGIN
    ax = axes_of(ax, width=_INCHES * span + 0.2, height=_INCHES * (-low + 0.1 - bottom) + 0.5)
    from matplotlib.lines import Line2D

    for l, (left, right) in enumerate(pairwise(columns), start=1):
        _draw_weights(ax, left, right, None if weights is None else weights[l - 1])
    for l, column in enumerate(columns):
        _draw_units(ax, column, l, len(columns) - 1)
    for l, column in enumerate(columns):
        _describe(ax, net, l, column.x, low - 0.25, None if weights is None or l == 0 else weights[l - 1])
    ax.set(xlim=(-_MARGIN, columns[-1].x + _MARGIN), ylim=(bottom, -low + 0.1), aspect="equal")
    ax.set_axis_off()
    ax.set_title(f"{'-'.join(map(str, net.sizes))}: {net.parameter_count:,} parameters".replace(",", " "))
    if weights is not None:
        signs = [(COLOURS[0], "w > 0"), (COLOURS[1], "w < 0")]
        handles = [Line2D([], [], color=colour, linewidth=2.2, label=text) for colour, text in signs]
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0), frameon=False, borderaxespad=0.0)
    return ax


def _column(l: int, n: int, slots: int) -> _Column:
    """Return the drawn ones of n units and their places; the dots take the place of one."""
    gap = None if n <= slots else slots // 2
    places = [place for place in range(min(n, slots)) if place != gap]
    units = places if gap is None else [place if place < gap else n - slots + place for place in places]
    middle = (min(n, slots) - 1) / 2
    return _Column(l * _APART, units, [middle - place for place in places], None if gap is None else middle - gap)


def _draw_weights(ax: Axes, left: _Column, right: _Column, W: Floats | None) -> None:
    """Draw a line for each weight between drawn units, row by row of W."""
    from matplotlib.collections import LineCollection

    segments = [[(left.x, y0), (right.x, y1)] for y1 in right.y for y0 in left.y]
    style: dict[str, Any] = {"colors": "0.7", "linewidths": 0.7}
    if W is not None:
        w = W[np.ix_(right.units, left.units)].ravel().astype(np.float64)
        size = np.abs(w) / (float(np.abs(W).max()) or 1.0)
        widths = _THINNEST + (_THICKEST - _THINNEST) * size
        style = {"colors": np.where(w >= 0, COLOURS[0], COLOURS[1]).tolist(), "linewidths": widths.tolist()}
        style["alpha"] = 0.25 + 0.65 * size
    ax.add_collection(LineCollection(segments, zorder=1, **style))


def _draw_units(ax: Axes, column: _Column, l: int, last: int) -> None:
    from matplotlib.patches import Circle

    fill = _FILLS[0 if l == 0 else 2 if l == last else 1]
    for unit, y in zip(column.units, column.y, strict=True):
        ax.add_patch(Circle((column.x, y), _RADIUS, facecolor=fill, edgecolor="0.25", linewidth=1, zorder=2))
        text = f"$x_{{{unit + 1}}}$" if l == 0 else f"$a_{{{unit + 1}}}$"
        size = 9 if unit < 99 else 7.5
        ax.text(column.x, y, text, ha="center", va="center", fontsize=size, zorder=3)
    if column.ellipsis is not None:
        ax.text(column.x, column.ellipsis, "⋮", ha="center", va="center", fontsize=16, zorder=3)


def _describe(ax: Axes, net: Network, l: int, x: float, y: float, W: Floats | None) -> None:
    """Write under a layer what it is, its activation and its shapes."""
    last = len(net.sizes) - 1
    if l == 0:
        lines = ["inputs", f"X ({net.sizes[0]}, m)"]
    else:
        what = "output" if l == last else "hidden layer" if last == 2 else f"hidden layer {l}"
        n, n_in = net.sizes[l], net.sizes[l - 1]
        lines = [what, net.activations[l - 1].name, f"W{l} ({n}, {n_in})", f"b{l} ({n}, 1)"]
        if W is not None:
            lines.append(f"|w| ≤ {three_digits(float(np.abs(W).max()))}")
    ax.text(x, y, "\n".join(lines), ha="center", va="top", fontsize=9, linespacing=1.35)
