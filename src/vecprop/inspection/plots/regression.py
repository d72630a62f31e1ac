"""Pictures of how far predicted values are from the true ones."""

from typing import Any

import numpy as np

from vecprop.inspection.plots.figures import COLOURS, Axes, Floats, axes_of, decorate, three_digits, tick_text
from vecprop.inspection.plots.values import check_numbers, check_pair
from vecprop.utils.arguments import check_text

_MOST_POINTS = 50_000  # drawn; the numbers in the text are of all points


def predicted_against_true(
    true: Any, predicted: Any, ax: Axes | None = None, *, quantity: str = "value", units: str = ""
) -> Axes:
    r"""Draw predicted values against the true ones; on the dashed line they are equal.

    The picture has R² and the root of the mean squared error (RMSE) as text. Errors are those of `activation`.

    Parameters
    ----------
    true, predicted : array-like (m,)
        Numbers, as scikit-learn's `y_true` and `y_pred`. From a network with one output: `data.Y[0]` and
        `result.forward(X)[0]`.
    ax : matplotlib Axes, default a new figure
    quantity : str, default "value"
        The predicted quantity in the labels, such as "price".
    units : str, optional
        Its unit in the labels, such as "€".

    Examples
    --------
    The errors are 1 and -1, so RMSE = 1; around their mean the true values have the sum of squares 2·2², so
    R² = 1 - 2/8.

    >>> ax = predicted_against_true([1.0, 5.0], [2.0, 4.0], quantity="length", units="m")
    >>> ax.texts[0].get_text(), ax.get_xlabel()
    ('R² = 0.75\nRMSE = 1 m', 'true length (m)')
    """
    true, predicted = check_pair(true, predicted, check_numbers)
    name, unit = check_text(quantity, "quantity"), check_text(units, "units")
    ax = axes_of(ax, width=5.8)
    _scatter(ax, true, predicted)
    both = np.concatenate([true, predicted])
    margin = 0.04 * np.ptp(both) or 1.0
    limits = (both.min() - margin, both.max() + margin)
    ax.plot(limits, limits, color="0.3", linestyle="--", linewidth=1.2, label="predicted = true")
    decorate(ax, _with_unit(f"true {name}", unit), _with_unit(f"predicted {name}", unit), "Predicted against true")
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    _number_ticks(ax)
    errors = true - predicted
    spread = float(np.sum((true - true.mean()) ** 2))
    notes = [f"R² = {three_digits(1 - float(np.sum(errors**2)) / spread)}"] if spread > 0 else []
    notes.append(f"RMSE = {three_digits(float(np.sqrt(np.mean(errors**2))))} {unit}".rstrip())
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 3}
    style: dict[str, Any] = {"va": "top", "ha": "left", "fontsize": 9.5, "bbox": box}
    ax.text(0.03, 0.97, "\n".join(notes), transform=ax.transAxes, **style)
    return ax


def residuals(true: Any, predicted: Any, ax: Axes | None = None, *, quantity: str = "value", units: str = "") -> Axes:
    """Draw the residuals, true - predicted, against the predicted values.

    A pattern in them was not learned. The dashed line is 0; the dotted lines are one standard deviation of the
    residuals from their mean. The title has the mean and the deviation. Parameters and errors are those of
    `predicted_against_true`.

    Examples
    --------
    >>> ax = residuals([1.0, 5.0], [2.0, 4.0], units="m")
    >>> ax.collections[0].get_offsets().tolist()
    [[2.0, -1.0], [4.0, 1.0]]
    >>> ax.get_title()
    'Residuals: mean 0 m, standard deviation 1 m'
    """
    true, predicted = check_pair(true, predicted, check_numbers)
    name, unit = check_text(quantity, "quantity"), check_text(units, "units")
    errors = true - predicted
    ax = axes_of(ax)
    _scatter(ax, predicted, errors)
    mean, deviation = float(errors.mean()), float(errors.std())
    ax.axhline(0, color="0.3", linestyle="--", linewidth=1.2, label="0")
    for sign in (-1, 1) if deviation > 0 else ():
        ax.axhline(mean + sign * deviation, color="0.3", linestyle=":", linewidth=1.2, label="_deviation")
    decorate(ax, _with_unit(f"predicted {name}", unit), _with_unit("true − predicted", unit), "")
    _number_ticks(ax)
    numbers = [f"{three_digits(value)} {unit}".rstrip() for value in (mean, deviation)]
    ax.set_title(f"Residuals: mean {numbers[0]}, standard deviation {numbers[1]}")
    return ax


def _with_unit(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name


def _scatter(ax: Axes, x: Floats, y: Floats) -> None:
    """Draw points, more transparent the more there are; of very many only some, evenly spread."""
    if x.size > _MOST_POINTS:
        places = np.linspace(0, x.size - 1, _MOST_POINTS).astype(np.int64)
        x, y = x[places], y[places]
    alpha = float(np.clip(30 / np.sqrt(x.size), 0.15, 0.75))
    ax.scatter(x, y, s=18, color=COLOURS[0], alpha=alpha, edgecolors="none", zorder=2)


def _number_ticks(ax: Axes) -> None:
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: tick_text(value))
    ax.locator_params(axis="x", nbins=6)
