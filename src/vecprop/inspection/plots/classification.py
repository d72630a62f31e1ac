"""The confusion matrix: how well classes are told apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.inspection.plots.figures import COLOURS, Axes, Floats, axes_of, colour_map, decorate, tick_style
from vecprop.inspection.plots.values import check_names, check_pair, check_vector
from vecprop.utils.arguments import check_flag

_CONTRAST = 4.0
_MOST_WITH_TEXT = 25  # classes; with more the numbers are too small to read


def confusion_matrix(
    true: Any,
    predicted: Any,
    labels: Any = None,
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
    normalize: bool = False,
) -> Axes:
    """Draw how many examples of each true class (row) were predicted as each class (column).

    Errors are those of `activation`.

    Parameters
    ----------
    true, predicted : array-like (m,) of labels
        Numbers or text, as scikit-learn's `y_true` and `y_pred`. From a network: `data.labels` and
        `result.forward(X).argmax(axis=0)`, or `result.forward(X)[0] > 0.5`.
    labels : sequence of labels, optional
        The classes to draw, in this order, as in scikit-learn; others are left out. By default all that occur, sorted.
    ax : matplotlib Axes, default a new figure
    names : sequence of str, optional
        Names of the rows and columns, one for each label, as `data.target_names`; by default the labels.
    normalize : bool, default False
        Show shares of the true class instead of counts; rows then sum to 1.

    Examples
    --------
    >>> ax = confusion_matrix([0, 0, 0, 1], [0, 0, 1, 1])
    >>> ax.images[0].get_array().tolist()
    [[2.0, 1.0], [0.0, 1.0]]
    >>> [text.get_text() for text in ax.texts]
    ['2', '1', '0', '1']
    """
    counts, classes = _count(true, predicted, labels)
    K = len(classes)
    texts = tuple(map(str, classes)) if names is None else check_names(names, K, "class")
    shares = check_flag(normalize, "normalize")
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)  # a class without examples is a row of zeros
    values = counts / totals if shares else counts.astype(np.float64)
    ax = axes_of(ax, width=5.8)
    top = 1.0 if shares else max(float(values.max()), 1.0)
    image = ax.imshow(
        values, cmap=colour_map("counts", "white", COLOURS[0]), vmin=0, vmax=top, aspect="equal", origin="upper"
    )
    if K <= _MOST_WITH_TEXT:
        _write(ax, values, image.to_rgba(values)[..., :3], shares)
    right = np.trace(counts) / max(counts.sum(), 1)
    decorate(ax, "predicted class", "true class", f"Confusion matrix: {100 * right:.1f} % right", grid=False)
    ax.set_xticks(range(K), texts, **tick_style(max(map(len, texts)) * K > 40))
    ax.set_yticks(range(K), texts)
    label = "share of the true class" if shares else "examples"
    ax.figure.colorbar(image, ax=ax, label=label, shrink=0.85)
    return ax


def _count(true: Any, predicted: Any, labels: Any) -> tuple[npt.NDArray[np.int64], list[Any]]:
    """Return the counts (K, K), rows true, and the K classes."""
    columns = check_pair(true, predicted, _labels)
    chosen = [] if labels is None else [_labels(labels, "labels")]
    kinds = {"text" if a.dtype.kind == "U" else "numbers" for a in (*columns, *chosen)}
    if len(kinds) > 1:
        names = "true, predicted and labels" if chosen else "true and predicted"
        raise TypeError(f"{names} must be all text or all numbers, got both")
    classes = chosen[0] if chosen else np.unique(np.concatenate(columns))
    if len(np.unique(classes)) < len(classes):
        raise ValueError(f"labels must name each class once, got {classes.tolist()}")
    if chosen and not np.isin(columns[0], classes).any():
        raise ValueError(f"labels must hold at least one class of true, got {classes.tolist()}")
    order = np.argsort(classes)
    kept = np.isin(columns[0], classes) & np.isin(columns[1], classes)
    rows, places = (order[np.searchsorted(classes, a[kept], sorter=order)] for a in columns)
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (rows, places), 1)
    return counts, classes.tolist()


def _labels(values: Any, argument: str) -> npt.NDArray[Any]:
    """Return labels (m,), as text or as numbers."""
    array = check_vector(values, argument, "labels")
    if array.dtype.kind == "O":  # such as text of pandas
        if not all(isinstance(label, str) for label in array):
            raise TypeError(f"{argument} must be labels, all text or all numbers, got dtype object")
        array = array.astype(str)
    if array.dtype.kind not in "biufU":
        raise TypeError(f"{argument} must be labels, text or numbers, got dtype {array.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{argument} must be finite labels, got {array[~np.isfinite(array)][0]}")
    if array.dtype.kind == "f" and (array == np.round(array)).all() and float(np.abs(array).max()) < 2**53:
        array = array.astype(np.int64)  # 1.0 and 1 are one class, and "1" reads better
    return array


def _write(ax: Axes, values: Floats, colours: Floats, shares: bool) -> None:
    """Write the numbers into the cells, white on sRGB colours (K, K, 3) that contrast with it by 4:1."""
    K = len(values)
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])  # relative, by WCAG 2
    white = 1.05 / (luminance + 0.05) >= _CONTRAST  # else black contrasts by more than 21 / 4
    digits = 4 if shares else len(str(int(values.max())))
    size = min(11.0, 230.0 / (K * max(1.5, 0.62 * digits)))  # as wide as a cell of a new figure
    for (i, j), value in np.ndenumerate(values):
        text = f"{value:.2f}" if shares else f"{int(value)}"
        colour = "0.5" if value == 0 else "white" if white[i, j] else "black"
        ax.text(j, i, text, ha="center", va="center", color=colour, fontsize=size)
