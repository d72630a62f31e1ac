"""Pictures of the weights of the first layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vecprop.backend.contract import to_host
from vecprop.inspection.plots.figures import COLOURS, Axes, Floats, axes_of, colour_map, decorate, tick_style
from vecprop.inspection.plots.values import check_names
from vecprop.nn.array_checks import as_layers
from vecprop.utils.arguments import check_positive_integer


def first_layer_weights(
    params: Any,
    image_shape: tuple[int, int] | None = None,
    ax: Axes | None = None,
    *,
    columns: int | None = None,
    names: Sequence[str] | None = None,
) -> Axes:
    """Draw the incoming weights of each unit of the first layer: as images, or as one heat map.

    Blue weights are positive, red ones negative, white is 0; the scale is the same for all units. Errors are those of
    `activation`.

    Parameters
    ----------
    params : sequence of (W_l, b_l)
        One network, on any backend; row j of W_1 (n_1, n_0) holds the weights into unit j.
    image_shape : (int, int), optional
        Height and width of the input images, n_0 = height · width: each unit's weights are drawn as such an image, in
        rows from the upper left. By default units are the rows of one heat map and inputs its columns.
    ax : matplotlib Axes, default a new figure
    columns : int, optional
        Number of images side by side; by default about as many as rows.
    names : sequence of str, optional
        Names of the inputs for the heat map, as `data.feature_names`.

    Examples
    --------
    >>> params = [(np.array([[1.0, -2.0], [3.0, 0.0]]), np.zeros((2, 1)))]
    >>> ax = first_layer_weights(params, names=("area", "age"))
    >>> ax.images[0].get_array().tolist(), [label.get_text() for label in ax.get_xticklabels()]
    ([[1.0, -2.0], [3.0, 0.0]], ['area', 'age'])
    """
    W = _first_weights(params)
    n1, n0 = W.shape
    if columns is not None and image_shape is None:
        raise ValueError("columns is for images: give image_shape too, or leave columns out")
    if names is not None and image_shape is not None:
        raise ValueError("names are for the heat map: leave out names or image_shape")
    if image_shape is None:
        labels = None if names is None else check_names(names, n0, "input")
        picture, tall, aspect = W, 5.0, "auto"
    else:
        height, width = _check_image_shape(image_shape, n0)
        across = min(n1, check_positive_integer(columns, "columns") if columns is not None else -int(-(n1**0.5) // 1))
        picture, aspect = _tiles(W.reshape(n1, height, width), across), "equal"
        tall = min(8.0, 5.2 * picture.shape[0] / picture.shape[1] + 0.4)
    ax = axes_of(ax, height=tall)
    colours = colour_map("signed", COLOURS[1], "white", COLOURS[0]).with_extremes(bad="0.25")  # between the images
    largest = float(np.abs(W).max()) or 1.0
    style: dict[str, Any] = {"cmap": colours, "vmin": -largest, "vmax": largest, "aspect": aspect}
    image = ax.imshow(np.ma.masked_invalid(picture), interpolation="nearest", **style)
    if image_shape is None:
        decorate(ax, "input", "unit", "Weights of the first layer", grid=False)
        _label_units(ax, n1, n0, labels)
    else:
        ax.set_title("Incoming weights of each unit of layer 1")
        ax.set_axis_off()
    ax.figure.colorbar(image, ax=ax, label="weight", fraction=0.05, pad=0.02)
    return ax


def _first_weights(params: Any) -> Floats:
    """Return W_1 (n_1, n_0) on the host."""
    if not isinstance(params, tuple | list) or not params:
        raise TypeError(f"params must be a tuple of (W, b), one per layer, got {type(params).__name__}")
    W = to_host(as_layers(params[:1], "params", "(W, b)")[0].W)
    if W.ndim == 3:
        raise ValueError(f"params must be one network, got a stack ({W.shape[0]},); result.best is one of them")
    if W.ndim != 2 or not W.size:
        raise ValueError(f"W1 must have shape (n1, n0), got {W.shape}")
    if W.dtype.kind not in "iuf" or not np.isfinite(W).all():
        raise ValueError(f"W1 must hold finite real numbers, got dtype {W.dtype} or a number that is not finite")
    return W.astype(np.float64)


def _check_image_shape(shape: Any, n0: int) -> tuple[int, int]:
    if not isinstance(shape, tuple | list) or len(shape) != 2:
        raise TypeError(f"image_shape must be (height, width), got {shape!r}")
    height, width = (check_positive_integer(side, "image_shape") for side in shape)
    if height * width != n0:
        raise ValueError(f"image_shape must have as many pixels as there are inputs, {n0}, got {height} × {width}")
    return height, width


def _tiles(images: Floats, columns: int) -> Floats:
    """Return images (n, h, w) in rows of `columns`, with a pixel of NaN between and around them."""
    n, h, w = images.shape
    rows = -(-n // columns)
    picture = np.full((rows * (h + 1) + 1, columns * (w + 1) + 1), np.nan)
    for k, image in enumerate(images):
        top, left = k // columns * (h + 1) + 1, k % columns * (w + 1) + 1
        picture[top : top + h, left : left + w] = image
    return picture


def _label_units(ax: Axes, n1: int, n0: int, names: tuple[str, ...] | None) -> None:
    """Label units and inputs with numbers from 1, or the inputs with their names."""
    from matplotlib.ticker import MaxNLocator

    for axis, n in ((ax.xaxis, n0), (ax.yaxis, n1)):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=10, steps=[1, 2, 5, 10], min_n_ticks=1))
        axis.set_major_formatter(lambda place, _: f"{round(place) + 1}")
        if n <= 12:
            axis.set_ticks(range(n))
    if names is not None:
        ax.set_xticks(range(n0), names, **tick_style(sum(map(len, names)) > 50))
