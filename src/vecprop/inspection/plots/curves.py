"""Curves of runs, from their histories: costs, all of a history, and norms of gradients (E36)."""

from collections.abc import Mapping, Sequence
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
from vecprop.training.results import Best, FitResult, History, lowest
from vecprop.utils.arguments import check_instance, check_positive_integer

_DECADES = 100.0  # a cost that falls by two decades is drawn on a logarithmic axis
_NORM = "‖dW‖, mean over the epoch's batches"


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
    curves = {f"layer {l}": norm for l, norm in enumerate(norms.T, start=1)}
    return _draw(ax, curves, "epoch", _NORM, "Norm of the gradient, by layer")


def gradient_norms_of_layer(
    histories: FitResult | History | Mapping[str, Any], ax: Axes | None = None, *, layer: int = 1
) -> Axes:
    """Draw ‖dW_l‖ of one layer over the epochs, a line for each run, to compare them (E28).

    Errors are those of `cost_curve`, and ValueError for a layer that a run does not have.

    Parameters
    ----------
    histories, ax
        As for `cost_curve`.
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
    curves = {label: norms[:, l - 1] for label, _, norms in runs}
    return _draw(ax, curves, "epoch", _NORM.replace("dW", f"dW{l}"), f"Norm of the gradient of layer {l}")


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
    curves = {label: np.median(norms, axis=0) for label, _, norms in runs}
    return _draw(ax, curves, "layer", "‖dW‖, median over the epochs", "Norm of the gradient, by layer")


def _draw(ax: Axes | None, norms: dict[str, Floats], x: str, y: str, title: str) -> Axes:
    """Draw labelled norms, with a gap for 0, which a logarithmic axis cannot show."""
    ax = axes_of(ax)
    curves = [
        (label if (values > 0).any() else f"{label} (all 0)", np.where(values > 0, values, np.nan))
        for label, values in norms.items()
    ]
    draw_curves(ax, curves, markers=x == "layer", legend=any(norms))
    decorate(ax, x, y, title, log=True)
    return ax


def labelled_histories(given: Any, key: str) -> list[tuple[str, int, Floats]]:
    """Return for each run its label, K, and column `key` of the best of K networks; a single run has the label ""."""
    wanted = "result.history, history_ of an estimator, or a dict of label -> one of these"
    if not isinstance(given, FitResult) and not check_instance(given, Mapping, "histories", wanted):
        raise ValueError("histories must not be empty")
    several = not isinstance(given, FitResult) and key not in given
    runs = {str(label): run for label, run in given.items()} if several else {"": given}
    names = {label: f"histories[{label!r}]" if label else "histories" for label in runs}
    return [(label, *of_best(names[label], run, key)) for label, run in runs.items()]


def of_best(argument: str, result: Any, key: str) -> tuple[int, Floats]:
    """Return the number K of networks, and one column of the history of the best, (epochs, …)."""
    values = column(argument, result, key)
    K = values.shape[1]
    return K, values[:, best_of(result) if K > 1 else 0]


def history_of(result: Any) -> Any:
    """Return the history of a result; a history is returned as it is."""
    return result.history if isinstance(result, FitResult) else result


def best_of(result: Any) -> int:
    """Return the index of the best network of a stack, else 0; of a history, by its last cost."""
    if isinstance(result, FitResult) and result.networks is not None:
        return lowest(result.final_costs)
    given = history_of(result)
    costs = given.get("validation_cost") or given.get("cost") or [0.0]
    return lowest(np.atleast_1d(np.asarray(costs[-1], dtype=np.float64)))


def epoch_given_back(result: Any) -> int | None:
    """Return the epoch of a network's history, from 1, that early stopping chose, or None."""
    kept = result.state.given_back if isinstance(result, FitResult) and result.networks is None else None
    if not isinstance(kept, Best):
        return None
    earlier = result.state.epoch - len(result.history["cost"])  # epochs of the run that this one continued
    epoch = int(kept.epoch) - earlier
    return epoch if epoch > 0 else None


def column(argument: str, result: Any, key: str) -> Floats:
    """Return one column of a history, (epochs, K, …), K = 1 for one network; errors name the argument."""
    given = history_of(result)
    if key not in check_instance(given, Mapping, argument, "result.history of a fit, or history_ of an estimator"):
        raise ValueError(
            f"{argument} must be result.history of a fit; it has no {key!r}, only {sorted(map(str, given))}"
        )
    values = given[key]
    try:
        numbers = np.asarray(values)
    except ValueError:
        numbers = np.empty(0, dtype=object)
    if not isinstance(values, Sequence | np.ndarray) or (len(values) and numbers.dtype.kind not in "biuf"):
        raise TypeError(f"{argument} must be result.history of a fit, with numbers in {key!r}, got {values!r}")
    if not len(values):
        raise ValueError(f"{argument} must have at least one epoch, got none")
    numbers = numbers.astype(np.float64)
    return numbers if numbers.ndim == (3 if key == "gradient_norm" else 2) else numbers[:, np.newaxis]
