"""Common parts of the pictures: figures without a window, files, colours, labels, ticks."""

import math
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, NewType

import numpy as np
import numpy.typing as npt

from vecprop.utils.arguments import (
    check_flag,
    check_integer,
    check_number,
    check_path,
    check_positive_integer,
    check_text,
)
from vecprop.utils.errors import imported

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.colors import LinearSegmentedColormap
else:  # a name for signatures, as matplotlib is imported when a picture is drawn
    Axes = NewType("Axes", object)

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "o^sDvPX"
LINES = ("-", "--", "-.", ":")

_MOST_COLUMNS, _MOST_INCHES, _FEWEST_DOTS, _MOST_DOTS = 100, 500, 5, 10_000

Floats = npt.NDArray[np.float64]

# Metadata left out, so that a picture gives the same file at any time and with any version.
_LEFT_OUT: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}


def panels(columns: int = 1, width: float = 6.4, height: float = 5.0) -> list[Axes]:
    """Return new axes side by side on one figure without a window.

    Each takes `width` × `height` inches with its labels. Without matplotlib ImportError has the install command.
    """
    count = check_positive_integer(columns, "columns")
    if count > _MOST_COLUMNS:
        raise ValueError(f"columns must be at most {_MOST_COLUMNS}, got {count}")
    width, height = _check_at_most(width, "width", _MOST_INCHES), _check_at_most(height, "height", _MOST_INCHES)
    imported("matplotlib.figure", 'a plot needs matplotlib: pip install "vecprop[cli]"')
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * count, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return [figure.add_subplot(1, count, k + 1) for k in range(count)]


def check_axes(ax: Any) -> Axes:
    """Return the axes, or raise TypeError."""
    if not all(hasattr(ax, name) for name in ("figure", "plot", "imshow", "set_xlabel")):
        raise TypeError(f"ax must be axes of matplotlib, got {type(ax).__name__}")
    return ax  # type: ignore[no-any-return]


def axes_of(ax: Axes | None, **size: float) -> Axes:
    """Return the axes given, or new ones of this size."""
    return panels(**size)[0] if ax is None else check_axes(ax)  # type: ignore[arg-type]


def check_dpi(dpi: object) -> float:
    """Return the dots per inch, checked: with more than 10 000 no picture fits into memory."""
    number = _check_at_most(dpi, "dpi", _MOST_DOTS)
    if number < _FEWEST_DOTS:  # the labels alone would be wider than the picture
        raise ValueError(f"dpi must be at least {_FEWEST_DOTS}, got {dpi!r}")
    return number


def _check_at_most(value: object, argument: str, most: int) -> float:
    number = check_number(value, argument, zero=False)
    if number > most:
        raise ValueError(f"{argument} must be at most {most}, got {value!r}")
    return number


def save(ax: Axes, path: str | Path, dpi: float | None = None) -> Path:
    """Write the figure of the axes to a file and return the path.

    Parameters
    ----------
    ax : matplotlib Axes
    path : str or Path
        The ending tells the format; the folder is made if missing.
    dpi : float, optional
        Dots per inch; by default those of the figure.
    """
    target, figure = Path(check_path(path)), check_axes(ax).figure
    dots: Any = "figure" if dpi is None else check_dpi(dpi)
    formats = figure.canvas.get_supported_filetypes()
    if target.suffix and target.suffix[1:].lower() not in formats:
        raise ValueError(f"path must end in one of {', '.join(formats)}, which tells the format, got {str(target)!r}")
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=dots, metadata=_LEFT_OUT.get(target.suffix.lower()))  # type: ignore[union-attr]
    return target


def decorate(ax: Axes, x: str, y: str, title: str, *, log: bool = False, grid: bool = True) -> None:
    """Set the labels, title, ticks and grid of all pictures; `log` is for the vertical axis."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    check_axes(ax).set(xlabel=check_text(x, "x"), ylabel=check_text(y, "y"), title=check_text(title, "title"))
    log, grid = check_flag(log, "log"), check_flag(grid, "grid")
    if x in ("epoch", "layer"):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if log:
        ax.set_yscale("log")
        # Over a narrow range few powers of ten would appear; 0.2 and 0.05 read better.
        low, high = ax.get_ylim()
        if high < 1e3 * low:
            ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if high < 8 * low else (1, 2, 5)))
            ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
    if grid:
        ax.grid(visible=True, which="major", color="0.9")
        ax.set_axisbelow(True)


def draw_curves(
    ax: Axes,
    curves: Iterable[tuple[str, Floats]],
    x: Floats | None = None,
    *,
    width: float = 1.8,
    markers: bool = False,
    legend: bool = True,
) -> None:
    """Draw labelled values over x, or over 1, 2, …, each in a colour and a style of its own."""
    for (label, y), colour, line, marker in zip(curves, cycle(COLOURS), cycle(LINES), cycle(MARKERS), strict=False):
        style: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": width, "label": label}
        ax.plot(np.arange(1, len(y) + 1) if x is None else x, y, marker=marker if markers else None, **style)
    if legend:
        draw_legend(ax)


def draw_legend(ax: Axes) -> None:
    """Draw a legend where it hides least."""
    ax.legend(framealpha=0.85, edgecolor="none")


def colour_map(name: str, *colours: str) -> "LinearSegmentedColormap":
    """Return the colours between these."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, colours)


def tick_style(slanted: bool) -> dict[str, Any]:
    """Return the style of the labels under an axis, slanted if they are too long to stand side by side."""
    return {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slanted else {}


def group_digits(m: int) -> str:
    """Group the digits of a number.

    >>> group_digits(100000)
    '100 000'
    """
    return f"{check_integer(m, 'm', 0):,}".replace(",", " ")


def tick_text(value: float) -> str:
    """Return a number for an axis: its digits grouped, and without an exponent below 10^12.

    >>> tick_text(250000.0), tick_text(-0.25), tick_text(0.0)
    ('250 000', '−0.25', '0')
    """
    return f"{value:,.12g}".replace(",", " ").replace("-", "\N{MINUS SIGN}")


def three_digits(value: float) -> str:
    """Return a number rounded to three significant digits, for a note in a picture.

    >>> three_digits(21345.0), three_digits(-0.98765), three_digits(0.0)
    ('21 300', '−0.988', '0')
    """
    if value == 0 or not math.isfinite(value):
        return tick_text(value)
    return tick_text(round(value, 2 - math.floor(math.log10(abs(value)))))
