"""Pictures of a training run and of what it learned; they need matplotlib, which is imported when one is drawn.

Each function draws on the axes given, or on a figure of its own, and returns the axes; nothing is shown and no global
state of matplotlib is touched, so they work without a display. `ax.figure.savefig(path)` writes a file:

>>> import vecprop as vp
>>> X, Y = vp.datasets.xor(m=40)
>>> result = vp.fit(vp.Network((2, 4, 1)), X, Y, epochs=5)
>>> ax = cost_curve(result.history)
>>> ax.get_xlabel()
'epoch'

Colours are Okabe and Ito's, which all common kinds of colour vision tell apart; markers and line styles differ too.
"""

from collections.abc import Iterable, Mapping
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vecprop.arguments import check_number, check_positive_integer
from vecprop.namespaces import Array, array_namespace, is_array
from vecprop.network import Network
from vecprop.results import FitResult, History
from vecprop.selection import backend_for
from vecprop.validation import check_examples, check_params

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "o^sDvPX"
LINES = ("-", "--", "-.", ":")
_DECADES = 100.0  # a cost that falls by two decades is drawn on a logarithmic axis
_GRID = 250  # points along each side of the grid on which a decision boundary is evaluated
_BLOCK = 16_384  # grid points in one forward pass

Floats = npt.NDArray[np.float64]


def panels(columns: int = 1, width: float = 6.4) -> "list[Axes]":
    """Return new axes, side by side on one figure that has no window, each `width` × 5 inches with its labels.

    Raises ImportError, with the install command, without matplotlib.
    """
    count, width = check_positive_integer(columns, "columns"), check_number(width, "width", zero=False)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('a plot needs matplotlib: pip install "vecprop[cli]"') from error
    figure = Figure(figsize=(width * count, 5.0), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return [figure.add_subplot(1, count, k + 1) for k in range(count)]


def save(ax: "Axes", path: str | Path) -> Path:
    """Write the figure that holds the axes into a file, whose ending tells the format, and return the path."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    ax.figure.savefig(target)  # type: ignore[union-attr]
    return target


def cost_curve(histories: History | Mapping[str, History], ax: "Axes | None" = None, *, log: bool = False) -> "Axes":
    """Draw the cost over the epochs.

    Parameters
    ----------
    histories : history, or dict of label -> history
        `result.history` of one run, or of several that are to be compared.
    ax : matplotlib Axes, optional
        A figure of its own unless given.
    log : bool, default False
        A logarithmic axis for the cost.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        If that is no history, or an empty one.
    """
    runs = _histories(histories)
    ax = panels()[0] if ax is None else ax
    for (label, history), colour, line in zip(runs.items(), cycle(COLOURS), cycle(LINES), strict=False):
        epochs = np.arange(1, len(history["cost"]) + 1)
        ax.plot(epochs, history["cost"], color=colour, linestyle=line, linewidth=1.8, label=label)
    decorate(ax, "epoch", "cost J (mean loss per example)", "Cost over the epochs", log=log)
    if list(runs) != [""]:
        _legend(ax)
    return ax


def history(result: FitResult | History, ax: "Axes | None" = None) -> "Axes":
    """Draw what a training run wrote down: its cost and, where there are, validation cost, metric and learning rate.

    The cost's axis is logarithmic where it spans two decades. A stack of networks is drawn in thin lines, the best of
    it in a thick one; a dotted line marks the epoch whose parameters early stopping gave back.

    Parameters
    ----------
    result : FitResult or history
        What `vp.fit` returned, or its `history`.
    ax : matplotlib Axes, optional
        Given, it gets the costs alone. Otherwise a new figure has a panel for them, one for the metric if there is one,
        and one for the learning rate if it changes; the first is returned, all are `ax.figure.axes`.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        If that is no history, or an empty one.
    """
    given = _history_of(result)
    costs = _column("result", given, "cost")
    best, marked = _best_of(result), _epoch_given_back(result)
    kept = {"training": costs}
    if "validation_cost" in given:
        kept["validation"] = _column("result", given, "validation_cost")
    rates = _column("result", given, "learning_rate") if "learning_rate" in given else np.zeros((1, 1))
    extra = [key for key, drawn in (("metric", "metric" in given), ("learning_rate", np.ptp(rates) > 0)) if drawn]
    axes = panels(1 + len(extra), width=6.4 if not extra else 5.0) if ax is None else [ax]
    finite = np.concatenate([a[np.isfinite(a)] for a in kept.values()])
    log = finite.size > 0 and finite.min() > 0 and finite.max() > _DECADES * finite.min()
    _draw_runs(axes[0], kept, best, marked)
    decorate(axes[0], "epoch", "cost J (mean loss per example)", "Cost over the epochs", log=bool(log))
    if len(axes[0].get_lines()) > 1:
        _legend(axes[0])
    for key, panel in zip(extra, axes[1:], strict=False):
        _draw_runs(panel, {key: _column("result", given, key)}, best, marked)
        name = key.replace("_", " ")
        decorate(panel, "epoch", name, f"{name.capitalize()} over the epochs")
    return axes[0]


def gradient_norms(result: FitResult | History, ax: "Axes | None" = None) -> "Axes":
    """Draw ‖dW_l‖ of each layer over the epochs, on a logarithmic axis (E36).

    Norms that shrink by a factor from each layer to the one before it are a vanishing gradient. Epochs with a norm of
    exactly 0 leave a gap. Of a stack the best network is drawn.

    Parameters
    ----------
    result : FitResult or history
        What `vp.fit` returned, or its `history`.
    ax : matplotlib Axes, optional
        A figure of its own unless given.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        If that is no history, or an empty one.
    """
    given = _history_of(result)
    norms = np.asarray(_history("result", given, "gradient_norm"), dtype=np.float64)
    norms = norms[:, _best_of(result)] if norms.ndim == 3 else norms
    ax = panels()[0] if ax is None else ax
    drawn = np.where(norms > 0, norms, np.nan)
    epochs = np.arange(1, len(norms) + 1)
    for l, (column, colour, line) in enumerate(zip(drawn.T, cycle(COLOURS), cycle(LINES), strict=False), start=1):
        zero = " (all 0)" if np.isnan(column).all() else ""
        ax.plot(epochs, column, color=colour, linestyle=line, linewidth=1.8, label=f"layer {l}{zero}")
    decorate(ax, "epoch", "‖dW‖, mean over the epoch's batches", "Norm of the gradient, by layer", log=True)
    _legend(ax)
    return ax


def decision_boundary(net: Network, params: Any, X: Any, Y: Any, ax: "Axes | None" = None) -> "Axes":
    """Draw what a classifier of points in the plane has learned: its regions, their boundary, and the examples.

    The colour of a place mixes the colours of the classes by their probabilities; the black line is where the most
    probable class changes (with one output, where it is ½).

    Parameters
    ----------
    net : Network
        With 2 inputs, and a sigmoid or softmax output.
    params : sequence of (W_l, b_l)
        One network, on any backend.
    X : array (2, m)
        The examples, one per column; of any array library.
    Y : array (1, m) of 0 and 1, or one-hot (K, m)
        Their classes.
    ax : matplotlib Axes, optional
        A figure of its own unless given.

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError, TypeError
        Naming the argument that does not fit.
    """
    score = _scorer(net, params)
    X, labels = _examples(net, params, X, Y)
    ax = panels()[0] if ax is None else ax
    low, high = _limits(X)
    ticks = [np.linspace(a, b, _GRID) for a, b in zip(low, high, strict=True)]
    x1, x2 = np.meshgrid(*ticks)
    scores = score(np.stack([x1.ravel(), x2.ravel()])).reshape(-1, *x1.shape)
    _draw_regions(ax, scores, ticks)
    for k in range(len(scores)):
        _draw_class(ax, X[:, labels == k], k)
    decorate(ax, "x1", "x2", _title(net), grid=False)
    # Equal units on both axes, unless that would make a strip of the picture.
    width, height = high - low
    ax.set_aspect("equal" if 1 / 3 < width / height < 3 else "auto")
    # Below the picture, where it hides no example.
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=min(4, len(scores)), frameon=False)
    return ax


# --- histories ----------------------------------------------------------------------------------------------


def _histories(given: Any) -> dict[str, History]:
    """Return label -> history; a single one has the label ""."""
    if not isinstance(given, Mapping):
        raise TypeError(
            "histories must be result.history, or a dict of label -> result.history, got " + type(given).__name__
        )
    if not given:
        raise ValueError("histories must not be empty")
    labelled: Mapping[Any, Any] = {"": given} if "cost" in given else given
    runs: dict[str, History] = {str(label): history for label, history in labelled.items()}
    for label, history in runs.items():
        _history(f"histories[{label!r}]" if label else "histories", history, "cost")
    return runs


def _history_of(result: Any) -> Any:
    """Return the history of a result, or what was given in its place."""
    return result.history if isinstance(result, FitResult) else result


def _column(argument: str, given: Any, key: str) -> Floats:
    """Return one column of a history, (epochs, K), K = 1 for one network."""
    values = np.asarray(_history(argument, given, key), dtype=np.float64)
    return values if values.ndim == 2 else values[:, np.newaxis]


def _best_of(result: Any) -> int:
    """Return the place of the best network in its stack, 0 for one network; by the last cost in a history alone."""
    given = _history_of(result)
    costs = given.get("validation_cost") or given.get("cost") or [0.0]
    last = np.atleast_1d(np.asarray(costs[-1], dtype=np.float64))
    if isinstance(result, FitResult) and result.networks is not None:
        last = result.final_costs
    return int(np.argmin(np.where(np.isfinite(last), last, np.inf)))


def _epoch_given_back(result: Any) -> int | None:
    """Return the epoch of the history, from 1, that early stopping chose; None without, and for a stack."""
    if not isinstance(result, FitResult) or result.state.best is None or result.networks is not None:
        return None
    earlier = result.state.epoch - len(result.history["cost"])  # of the run that this one went on from
    epoch = int(result.state.best.epoch) - earlier
    return epoch if epoch > 0 else None


def _draw_runs(ax: "Axes", columns: dict[str, Floats], best: int, marked: int | None) -> None:
    """Draw columns (epochs, K): thin lines for the networks of a stack, thick ones for the best of it."""
    for (name, values), colour, line in zip(columns.items(), COLOURS, LINES, strict=False):
        epochs, K = np.arange(1, len(values) + 1), values.shape[1]
        for k in range(K if K > 1 else 0):
            ax.plot(epochs, values[:, k], color=colour, linestyle=line, linewidth=0.7, alpha=0.4, label="_thin")
        label = name if K == 1 else f"{name}, the best of {K}"
        chosen = values[:, best if K > 1 else 0]
        ax.plot(epochs, chosen, color=colour, linestyle=line, linewidth=1.8 if K == 1 else 2.6, label=label)
    if marked is not None:
        ax.axvline(marked, color="0.5", linestyle=":", linewidth=1.2, label=f"epoch {marked}, given back")


def _history(argument: str, given: Any, key: str) -> list[Any]:
    """Return one column of a history, or raise an error that names the argument."""
    if not isinstance(given, Mapping):
        raise TypeError(f"{argument} must be a history, that is result.history of a fit, got {type(given).__name__}")
    if key not in given:
        raise ValueError(
            f"{argument} must be result.history of a fit; it has no {key!r}, only {sorted(map(str, given))}"
        )
    values = list(given[key])
    if not values:
        raise ValueError(f"{argument} must have at least one epoch, got none")
    return values


def decorate(ax: "Axes", x: str, y: str, title: str, *, log: bool = False, grid: bool = True) -> None:
    """Set the labels, the title, the ticks and the grid that all pictures here have; log: of the vertical axis."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    ax.set(xlabel=x, ylabel=y, title=title)
    if x == "epoch":
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if log:
        ax.set_yscale("log")
        # 0.2 and 0.05 read better than powers of ten, which over a narrow range would hardly appear.
        low, high = ax.get_ylim()
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 1e3 * low else (1.0,)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
    if grid:
        ax.grid(visible=True, which="major", color="0.9")
        ax.set_axisbelow(True)


def _legend(ax: "Axes") -> None:
    ax.legend(framealpha=0.85, edgecolor="none")


# --- the plane ----------------------------------------------------------------------------------------------


def _scorer(net: Network, params: Any) -> Any:
    """Return the function from points (2, n) to the score of each class (K, n), with everything checked that can be."""
    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network, got {type(net).__name__}")
    if net.sizes[0] != 2:
        raise ValueError(f"net must have 2 inputs for a picture of the plane, got {net.sizes[0]} ({net})")
    if not net.output.open_unit_interval:
        raise ValueError(f"net must have a sigmoid or softmax output: a decision boundary needs classes, got {net}")
    checked = check_params(net, params)
    if checked.stack:
        raise ValueError(f"params must be one network, got a stack {checked.stack}")

    def scores(points: Floats) -> Floats:
        backend = checked.backend
        blocks = [
            backend.to_numpy(net.forward(params, backend.asarray(points[:, i : i + _BLOCK], checked.dtype)))
            for i in range(0, points.shape[1], _BLOCK)
        ]
        A = np.concatenate(blocks, axis=1).astype(np.float64)
        return np.concatenate([1 - A, A]) if len(A) == 1 else A

    return scores


def _examples(net: Network, params: Any, X: Any, Y: Any) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return X (2, m) on the host and the class of each example (m,)."""
    checked = check_params(net, [tuple(_host(a) for a in layer) for layer in params])
    X, Y, _ = check_examples(net, checked, _host(X), _host(Y), None)
    labels = Y[0] > 0.5 if len(Y) == 1 else Y.argmax(axis=0)
    return np.asarray(X, dtype=np.float64), np.asarray(labels, dtype=np.int64)


def _host(values: Array) -> npt.NDArray[Any]:
    """Return an array of any library, or anything array-like, as a NumPy array."""
    return backend_for(array_namespace(values)).to_numpy(values) if is_array(values) else np.asarray(values)


def _limits(X: Floats) -> tuple[Floats, Floats]:
    """Return the corners of the picture: the examples and a margin of a tenth around them."""
    low, high = X.min(axis=1), X.max(axis=1)
    margin = np.where(high > low, 0.1 * (high - low), 1.0)
    return low - margin, high + margin


def _draw_regions(ax: "Axes", scores: Floats, ticks: list[Floats]) -> None:
    """Colour the plane by the scores (K, n2, n1) and draw the lines where the best class changes."""
    from matplotlib.colors import to_rgb

    count = len(scores)
    palette = np.array([to_rgb(COLOURS[k % len(COLOURS)]) for k in range(count)])
    light = 1 - 0.45 * (1 - palette)
    share = scores / np.maximum(scores.sum(axis=0), np.finfo(np.float64).tiny)
    extent = (ticks[0][0], ticks[0][-1], ticks[1][0], ticks[1][-1])
    image = np.clip(np.einsum("kij,kc->ijc", share, light), 0, 1)
    ax.imshow(image, origin="lower", extent=extent, aspect="auto", interpolation="bilinear", zorder=0)
    for k in range(1 if count == 2 else count):
        margin = scores[k] - np.delete(scores, k, axis=0).max(axis=0)
        if margin.min() < 0 < margin.max():  # else there is no line, and matplotlib would warn
            ax.contour(*ticks, margin, levels=[0.0], colors="black", linewidths=1.3)


def _draw_class(ax: "Axes", X: Floats, k: int) -> None:
    colour, marker = COLOURS[k % len(COLOURS)], _MARKERS[k % len(_MARKERS)]
    style: dict[str, Any] = {"s": 22, "color": colour, "marker": marker, "edgecolors": "white", "linewidths": 0.5}
    ax.scatter(X[0], X[1], label=f"class {k}", zorder=2, **style)


def _title(net: Network) -> str:
    names: Iterable[str] = (g.name for g in net.activations)
    return f"Decision boundary of {'-'.join(map(str, net.sizes))} ({', '.join(names)})"
