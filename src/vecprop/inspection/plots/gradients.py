"""Pictures of gradient norms (E36): over the epochs, of one layer, and over the layers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vecprop.inspection.plots.figures import Axes, Floats, axes_of, decorate, draw_curves
from vecprop.inspection.plots.histories import labelled_histories, of_best
from vecprop.training.results import FitResult, History
from vecprop.utils.arguments import check_positive_integer

_NORM = "‖dW‖, mean over the epoch's batches"


def gradient_norms(result: FitResult | History, ax: Axes | None = None) -> Axes:
    """Draw ‖dW_l‖ of each layer over the epochs, on a logarithmic axis (E36).

    Norms that shrink by a factor from each layer to the one before show a vanishing gradient. Epochs with a norm of
    exactly 0 leave a gap. Of a stack the best network is drawn. Errors are those of `cost_curve`.

    Parameters
    ----------
    result : FitResult or history
        What `vp.fit` returned, or its `history`.
    ax : matplotlib Axes, default a new figure

    Examples
    --------
    >>> ax = gradient_norms({"gradient_norm": [[0.1, 2.0], [0.2, 1.0]]})
    >>> [list(line.get_ydata()) for line in ax.get_lines()] == [[0.1, 0.2], [2.0, 1.0]]
    True
    """
    _, norms = of_best("result", result, "gradient_norm")
    ax = axes_of(ax)
    draw_curves(ax, [_curve(f"layer {l}", column) for l, column in enumerate(norms.T, start=1)])
    decorate(ax, "epoch", _NORM, "Norm of the gradient, by layer", log=True)
    return ax


def gradient_norms_of_layer(
    histories: FitResult | History | Mapping[str, Any], ax: Axes | None = None, *, layer: int = 1
) -> Axes:
    """Draw ‖dW_l‖ of one layer over the epochs, a line for each run, to compare them (E28).

    Errors are those of `cost_curve`, and ValueError for a layer that a run does not have.

    Parameters
    ----------
    histories : FitResult, history, or dict of label -> one of these
        One run, or several to compare. Of a stack the best network is drawn.
    ax : matplotlib Axes, default a new figure
    layer : int, default 1
        From 1, the one next to the inputs.

    Examples
    --------
    >>> ax = gradient_norms_of_layer({"gradient_norm": [[0.1, 2.0], [0.2, 1.0]]}, layer=2)
    >>> ax.get_lines()[0].get_ydata().tolist()
    [2.0, 1.0]
    """
    l = check_positive_integer(layer, "layer")
    runs = labelled_histories(histories, "gradient_norm")
    for label, _, norms in runs:
        if l > norms.shape[1]:
            where = f" in {label!r}" if label else ""
            raise ValueError(f"layer must be from 1 to {norms.shape[1]}{where}, got {l}")
    ax = axes_of(ax)
    curves = [_curve(label, norms[:, l - 1]) for label, _, norms in runs]
    draw_curves(ax, curves, legend=any(label for label, *_ in runs))
    decorate(ax, "epoch", _NORM.replace("dW", f"dW{l}"), f"Norm of the gradient of layer {l}", log=True)
    return ax


def gradient_norms_by_layer(histories: FitResult | History | Mapping[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the median of ‖dW_l‖ over the epochs against the layer l, a line for each run (E36).

    If the gradient vanishes, by a factor below 1 in each layer on its way back, the line rises from left to right.
    Parameters and errors are those of `gradient_norms_of_layer`.

    Examples
    --------
    >>> ax = gradient_norms_by_layer({"gradient_norm": [[0.1, 2.0], [0.1, 1.0], [0.4, 1.5]]})
    >>> ax.get_lines()[0].get_ydata().tolist()
    [0.1, 1.5]
    """
    runs = labelled_histories(histories, "gradient_norm")
    ax = axes_of(ax)
    curves = [_curve(label, np.median(norms, axis=0)) for label, _, norms in runs]
    draw_curves(ax, curves, markers=True, legend=any(label for label, *_ in runs))
    decorate(ax, "layer", "‖dW‖, median over the epochs", "Norm of the gradient, by layer", log=True)
    return ax


def _curve(label: str, norms: Floats) -> tuple[str, Floats]:
    """Return a label and the norms to draw, NaN for 0, which a logarithmic axis cannot show."""
    drawn = np.where(norms > 0, norms, np.nan)
    return f"{label} (all 0)" if np.isnan(drawn).all() else label, drawn
