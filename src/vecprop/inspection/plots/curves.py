"""Curves over the epochs: the cost of one or several runs, and the whole history of one."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vecprop.inspection.plots.figures import (
    COLOURS,
    LINES,
    Axes,
    Floats,
    axes_of,
    check_axes,
    decorate,
    draw_curves,
    draw_legend,
    panels,
)
from vecprop.inspection.plots.histories import best_of, column, epoch_given_back, history_of, labelled_histories
from vecprop.training.results import FitResult, History

_DECADES = 100.0  # a cost that falls by two decades is drawn on a logarithmic axis


def cost_curve(
    histories: FitResult | History | Mapping[str, Any], ax: Axes | None = None, *, log: bool = False
) -> Axes:
    """Draw the cost over the epochs.

    Parameters
    ----------
    histories : FitResult, history, or dict of label -> one of these
        Results of `vp.fit` or their `history`, of one run or several to compare. Of a stack the best network is drawn.
    ax : matplotlib Axes, default a new figure
    log : bool, default False
        Whether the axis of the cost is logarithmic.

    Raises
    ------
    ImportError, TypeError, ValueError
        Without matplotlib; for what is not a history, or an empty one.

    Examples
    --------
    >>> ax = cost_curve({"slow": {"cost": [1.0, 0.9]}, "quick": {"cost": [1.0, 0.2]}})
    >>> [(line.get_label(), line.get_ydata().tolist()) for line in ax.get_lines()]
    [('slow', [1.0, 0.9]), ('quick', [1.0, 0.2])]
    """
    runs = labelled_histories(histories, "cost")
    ax = axes_of(ax)
    curves = [(f"{label}, the best of {K}".removeprefix(", ") if K > 1 else label, costs) for label, K, costs in runs]
    draw_curves(ax, curves, legend=any(label for label, *_ in runs))
    decorate(ax, "epoch", "cost J (mean loss per example)", "Cost over the epochs", log=log)
    return ax


def history(result: FitResult | History, ax: Axes | None = None) -> Axes:
    """Draw the history of a run: cost and, if present, validation cost, metric, learning rate.

    The axis of the cost is logarithmic if it spans two decades. The networks of a stack are drawn in thin lines, the
    best in a thick one; a dotted line marks the epoch whose parameters early stopping gave back. Errors are those of
    `cost_curve`.

    Parameters
    ----------
    result : FitResult or history
        What `vp.fit` returned, or its `history`.
    ax : matplotlib Axes, optional
        If given, only the costs are drawn. A new figure has a panel for them, one for a metric, and one for a learning
        rate that changes; the first is returned, all are `ax.figure.axes`.
    """
    column("result", result, "cost")  # checks it
    return draw_history(history_of(result), best_of(result), epoch_given_back(result), ax)


def draw_history(given: Any, best: int, marked: int | None, ax: Axes | None = None) -> Axes:
    """Draw a history as `history` does: `best` is the index of the best network, `marked` the epoch given back."""
    costs = column("result", given, "cost")
    kept = {"training": costs}
    if "validation_cost" in given:
        kept["validation"] = column("result", given, "validation_cost")
    rates = column("result", given, "learning_rate") if "learning_rate" in given else np.zeros((1, 1))
    extra = [key for key, drawn in (("metric", "metric" in given), ("learning_rate", np.ptp(rates) > 0)) if drawn]
    axes = panels(1 + len(extra), width=6.4 if not extra else 5.0) if ax is None else [check_axes(ax)]
    finite = np.concatenate([a[np.isfinite(a)] for a in kept.values()])
    log = finite.size > 0 and finite.min() > 0 and finite.max() > _DECADES * finite.min()
    _draw_runs(axes[0], kept, best, marked)
    decorate(axes[0], "epoch", "cost J (mean loss per example)", "Cost over the epochs", log=bool(log))
    if len(axes[0].get_lines()) > 1:
        draw_legend(axes[0])
    for key, panel in zip(extra, axes[1:], strict=False):
        _draw_runs(panel, {key: column("result", given, key)}, best, marked)
        name = key.replace("_", " ")
        decorate(panel, "epoch", name, f"{name.capitalize()} over the epochs")
    return axes[0]


def _draw_runs(ax: Axes, columns: dict[str, Floats], best: int, marked: int | None) -> None:
    """Draw columns (epochs, K): thin lines for the networks of a stack, a thick one for the best."""
    for (name, values), colour, line in zip(columns.items(), COLOURS, LINES, strict=False):
        epochs, K = np.arange(1, len(values) + 1), values.shape[1]
        for k in range(K if K > 1 else 0):
            ax.plot(epochs, values[:, k], color=colour, linestyle=line, linewidth=0.7, alpha=0.4, label="_thin")
        label = name if K == 1 else f"{name}, the best of {K}"
        chosen = values[:, best if K > 1 else 0]
        ax.plot(epochs, chosen, color=colour, linestyle=line, linewidth=1.8 if K == 1 else 2.6, label=label)
    if marked is not None:
        ax.axvline(marked, color="0.5", linestyle=":", linewidth=1.2, label=f"epoch {marked}, given back")
