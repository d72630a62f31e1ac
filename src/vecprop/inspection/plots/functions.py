"""Activations as functions of z: g and its derivative g′ (E17-E21)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vecprop.backend.contract import to_host
from vecprop.inspection.plots.figures import Axes, Floats, axes_of, check_axes, decorate, draw_curves, panels
from vecprop.nn.activations import Activation, ActivationLike, get_activation, is_pair
from vecprop.utils.arguments import is_sequence

_POINTS = 1001
_JUMP = 0.05  # of the height: a larger change from one point to the next is a jump, drawn as a gap
_USUAL = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "gelu", "silu")


def activation(
    activation: ActivationLike, ax: Axes | None = None, *, limits: tuple[float, float] = (-5.0, 5.0)
) -> Axes:
    """Draw an activation g and its derivative g′ over z, with a gap where g′ jumps (E17-E21).

    Parameters
    ----------
    activation : str, Activation or pair (g, g′)
        Elementwise: softmax and ordered outputs depend on more than one z.
    ax : matplotlib Axes, default a new figure
    limits : (float, float), default (-5, 5)
        The range of z.

    Raises
    ------
    ImportError, ValueError, TypeError
        Without matplotlib; otherwise the message names the argument, its value and the values allowed.

    Examples
    --------
    >>> g, slope = activation("tanh", limits=(0, 1)).get_lines()[:2]
    >>> float(g.get_ydata()[0]), float(slope.get_ydata()[0])
    (0.0, 1.0)
    """
    z = _check_limits(limits)
    name, values, slopes = _curves(activation, z, "activation")
    ax = axes_of(ax)
    draw_curves(ax, [("g(z)", values), ("g′(z)", slopes)], z, width=2)
    _cross(ax)
    decorate(ax, "z", "g(z), g′(z)", name)
    return ax


def activations(
    activations: Sequence[ActivationLike] = _USUAL,
    ax: Axes | None = None,
    *,
    limits: tuple[float, float] = (-4.0, 4.0),
) -> Axes:
    """Draw several activations over z, and their derivatives beside them; errors are those of `activation`.

    Parameters
    ----------
    activations : sequence of str, Activation or pair (g, g′)
        Elementwise ones; by default the usual ones of hidden layers.
    ax : matplotlib Axes, optional
        If given, only the functions g are drawn. A new figure has a second panel with the derivatives; the first is
        returned, both are `ax.figure.axes`.
    limits : (float, float), default (-4, 4)
        The range of z.

    Examples
    --------
    >>> ax = activations(["sigmoid", "relu"], limits=(0, 1))
    >>> [float(line.get_ydata()[0]) for line in ax.get_lines()[:2]], len(ax.figure.axes)
    ([0.5, 0.0], 2)
    """
    if isinstance(activations, str | Activation) or is_pair(activations) or not is_sequence(activations):
        raise TypeError(f"activations must be a sequence of names or activations, got {activations!r}")
    z = _check_limits(limits)
    curves = [_curves(g, z, f"activations[{i}]") for i, g in enumerate(activations)]
    if not curves:
        raise ValueError("activations must have at least one, got none")
    names, *sides = zip(*curves, strict=True)
    axes = panels(2, width=5.0) if ax is None else [check_axes(ax)]
    titles = (("g(z)", "Activations"), ("g′(z)", "Their derivatives"))
    for panel, side, (y, title) in zip(axes, sides, titles, strict=False):
        draw_curves(panel, zip(names, side, strict=True), z, legend=panel is axes[0])
        _cross(panel)
        decorate(panel, "z", y, title)
    return axes[0]


def _check_limits(limits: Any) -> Floats:
    """Return the points z at which a function is drawn."""
    try:
        if not is_sequence(limits) or np.asarray(limits).dtype.kind not in "biuf":
            raise TypeError
        low, high = map(float, limits)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"limits must be two numbers (low, high), got {limits!r}") from None
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f"limits must be two finite numbers, the lower one first, got {limits!r}")
    z = np.linspace(low, high, _POINTS)
    return np.where(np.abs(z) < 1e-12 * (high - low), 0.0, z)


def _curves(given: Any, z: Floats, argument: str) -> tuple[str, Floats, Floats]:
    """Return the name of an activation, with its parameters unless they are functions, g(z) and g′(z) (n,), z (n,)."""
    g = get_activation(given, argument)
    if not g.elementwise:
        raise ValueError(f"{argument} must be elementwise, a function of one z; {g.name} depends on all of a column")
    Z, text = z[np.newaxis], repr(g)
    with np.errstate(over="ignore"):
        A = g.function(np, Z)
        slopes = g.derivative(np, Z, A)
    results = [np.asarray(to_host(a), dtype=np.float64) for a in (A, slopes)]
    for part, result in zip(("g", "g′"), results, strict=True):
        if result.shape != Z.shape:
            raise ValueError(f"{argument}: {part}(Z) must have the shape of Z, {Z.shape}, got {result.shape}")
    name = g.name if text.endswith("()") or "<" in text else g.name + text[text.index("(") :]
    return name, results[0][0], _gapped(results[1][0])


def _gapped(y: Floats) -> Floats:
    """Return the values with NaN for the first one after a jump, which leaves a gap in the line."""
    finite = y[np.isfinite(y)]
    height = np.ptp(finite) if finite.size else 0.0
    steps = np.abs(np.diff(y, prepend=y[:1]))
    # A line that is only steep has steep neighbours; a jump stands alone.
    around = np.maximum(np.roll(steps, 1), np.roll(steps, -1))
    return np.where((steps > _JUMP * height) & (around < 0.5 * steps), np.nan, y)


def _cross(ax: Axes) -> None:
    """Draw the axes z = 0 and y = 0."""
    for draw in (ax.axhline, ax.axvline):
        draw(0, color="0.6", linewidth=0.8, zorder=0.9, label="_cross")
