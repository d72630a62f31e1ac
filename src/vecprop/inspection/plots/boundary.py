"""The regions of a classifier of points in the plane, their boundary, and the examples; and a film of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vecprop.backend.contract import to_host
from vecprop.inspection.plots.figures import COLOURS, MARKERS, Axes, Floats, axes_of, check_dpi, decorate
from vecprop.inspection.plots.values import check_names
from vecprop.nn.array_checks import check_examples, check_one_network, check_params
from vecprop.nn.network import Network, check_network
from vecprop.propagation import Layer, Params
from vecprop.training.results import History, TrainingState
from vecprop.utils.arguments import check_integer, check_number, check_path, check_positive_integer, is_sequence

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.artist import Artist

_HOLD = 1.5  # seconds for which the last picture of a film stays before it restarts
_GRID = 250  # points along each side of the grid on which a decision boundary is evaluated
_BLOCK = 16_384  # grid points in one forward pass


def decision_boundary(
    net: Network, params: Any, X: Any, Y: Any, ax: Axes | None = None, *, names: Sequence[str] | None = None
) -> Axes:
    """Draw the regions of a classifier of points in the plane, their boundary, and the examples.

    At each point the colours of the classes are mixed by their probabilities; on the black line the most probable class
    changes (with one output, at ½). Errors are those of `activation`.

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
    ax : matplotlib Axes, default a new figure
    names : sequence of str, optional
        Names of the classes, as `data.target_names`; by default "class 0" and so on.

    Examples
    --------
    The line x1 = 0.5 separates the classes:

    >>> net, params = Network((2, 1)), [(np.array([[1.0, 0.0]]), np.array([[-0.5]]))]
    >>> ax = decision_boundary(net, params, np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([[0.0, 1.0]]))
    >>> line = ax.collections[0].get_paths()[0].vertices
    >>> bool(np.allclose(line[:, 0], 0.5))
    True
    """
    check_network(net)
    score = scorer(net, params)
    plane = Plane(net, params, X, Y, names)
    ax = axes_of(ax)
    plane.draw_regions(ax, score)
    plane.draw_examples(ax)
    activations = ", ".join(g.name for g in net.activations)
    ax.set_title(f"Decision boundary of {'-'.join(map(str, net.sizes))} ({activations})")
    return ax


class Plane:
    """Examples checked against a network, the names of their classes, and the grid on which scores are evaluated."""

    def __init__(self, net: Network, params: Any, X: Any, Y: Any, names: Any) -> None:
        checked = check_params(net, [tuple(to_host(a) for a in layer) for layer in params])
        X, Y, _ = check_examples(net, checked, _array(X, "X"), _array(Y, "Y"))
        self.labels = np.asarray(Y[0] > 0.5 if len(Y) == 1 else Y.argmax(axis=0), dtype=np.int64)
        self.X = np.asarray(X, dtype=np.float64)
        count = max(2, net.sizes[-1])
        self.names = [f"class {k}" for k in range(count)] if names is None else check_names(names, count, "class")
        low, high = self.X.min(axis=1), self.X.max(axis=1)
        margin = np.where(high > low, 0.1 * (high - low), 1.0)
        self.ticks = [np.linspace(a, b, _GRID) for a, b in zip(low - margin, high + margin, strict=True)]

    def draw_regions(self, ax: Axes, score: Callable[[Floats], Floats]) -> "list[Artist]":
        """Colour the plane by scores, draw lines where the best class changes, return all drawn."""
        from matplotlib.colors import to_rgb

        x1, x2 = np.meshgrid(*self.ticks)
        scores = score(np.stack([x1.ravel(), x2.ravel()])).reshape(-1, *x1.shape)
        count = len(scores)
        palette = np.array([to_rgb(COLOURS[k % len(COLOURS)]) for k in range(count)])
        light = 1 - 0.45 * (1 - palette)
        share = scores / np.maximum(scores.sum(axis=0), np.finfo(np.float64).tiny)
        (a, *_, b), (c, *_, d) = self.ticks
        image = np.clip(np.einsum("kij,kc->ijc", share, light), 0, 1)
        drawn: list[Artist] = [
            ax.imshow(image, origin="lower", extent=(a, b, c, d), aspect="auto", interpolation="bilinear", zorder=0)
        ]
        for k in range(1 if count == 2 else count):
            margin = scores[k] - np.delete(scores, k, axis=0).max(axis=0)
            if margin.min() < 0 < margin.max():  # else there is no line, and matplotlib would warn
                drawn.append(ax.contour(*self.ticks, margin, levels=[0.0], colors="black", linewidths=1.3))
        return drawn

    def draw_examples(self, ax: Axes) -> None:
        """Draw the examples over the regions, with labels and a legend."""
        for k, name in enumerate(self.names):
            colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]
            style: dict[str, Any] = {"color": colour, "marker": marker, "edgecolors": "white", "linewidths": 0.5}
            x1, x2 = self.X[:, self.labels == k]
            shown = f" {name}" if name.startswith("_") else name  # a legend leaves out names that begin with _
            ax.scatter(x1, x2, s=22, label=shown, zorder=2, **style)
        decorate(ax, "x1", "x2", "", grid=False)
        # Equal units on both axes, unless the picture would be a narrow strip.
        width, height = (ticks[-1] - ticks[0] for ticks in self.ticks)
        ax.set_aspect("equal" if 1 / 3 < width / height < 3 else "auto")
        # Below the picture, where it hides no example.
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=min(4, len(self.names)), frameon=False)


def scorer(net: Network, params: Any, argument: str = "params") -> Callable[[Floats], Floats]:
    """Check a network and return its function from points (2, n) to class scores (K, n)."""
    if net.sizes[0] != 2:
        raise ValueError(f"net must have 2 inputs for a picture of the plane, got {net.sizes[0]} ({net})")
    if not net.output.open_unit_interval:
        raise ValueError(f"net must have a sigmoid or softmax output: a decision boundary needs classes, got {net}")
    checked = check_one_network(net, params, argument)

    def scores(points: Floats) -> Floats:
        backend = checked.backend
        blocks = [
            backend.to_numpy(net.forward(params, backend.asarray(points[:, i : i + _BLOCK], checked.dtype)))
            for i in range(0, points.shape[1], _BLOCK)
        ]
        A = np.concatenate(blocks, axis=1).astype(np.float64)
        return np.concatenate([1 - A, A]) if len(A) == 1 else A

    return scores


def _array(values: Any, argument: str) -> npt.NDArray[Any]:
    """Return an array on the host, or raise ValueError that names the argument."""
    try:
        return to_host(values)
    except ValueError as error:
        raise ValueError(f"{argument} must be an array, one example per column: {error}") from None


class Snapshots(dict[int, Params]):
    """A callback of `vp.fit` that keeps networks: a dict from epoch to parameters.

    Epoch 0 is the network before the first step. Networks are kept as layers (W, b) of NumPy arrays, with batch
    normalization and input scaling folded in, so that `net.forward(snapshots[epoch], X)` takes unscaled X. A run that
    goes on from a `state` adds to the snapshots; a new run replaces them.

    Parameters
    ----------
    every : int, default 1
        Keep the networks of epoch 0 and of each multiple of this number.
    at : sequence of int, optional
        Keep the networks of exactly these epochs instead.

    Raises
    ------
    ValueError, TypeError
        The message names the argument, its value and the values allowed.

    Examples
    --------
    >>> import vecprop as vp
    >>> snapshots = Snapshots(every=10)
    >>> X, Y = vp.datasets.xor(m=40)
    >>> result = vp.fit(vp.Network((2, 4, 1)), X, Y, epochs=20, callbacks=snapshots)
    >>> list(snapshots)
    [0, 10, 20]
    >>> bool((snapshots[20][0].W == result.params[0].W).all())
    True
    """

    def __init__(self, every: int = 1, *, at: Iterable[int] | None = None) -> None:
        self.every = check_positive_integer(every, "every")
        self.at: frozenset[int] | None = None
        if at is not None:
            if not is_sequence(at):
                raise TypeError(f"at must be a sequence of epochs, got {at!r}")
            self.at = frozenset(check_integer(epoch, "at", 0, "epochs, integers of at least 0") for epoch in at)
        self._plain: Callable[[TrainingState], Params] | None = None

    def start(self, state: TrainingState, plain: Callable[[TrainingState], Params]) -> None:
        """Begin or continue a run, for `fit`; `plain` turns a state into the layers that predict."""
        for epoch in [epoch for epoch in self if epoch >= state.epoch]:
            del self[epoch]
        self._plain = plain
        self(state, {})

    def __call__(self, state: TrainingState, history: History) -> None:  # noqa: ARG002
        """Keep the network after an epoch, if the epoch is wanted."""
        wanted = state.epoch % self.every == 0 if self.at is None else state.epoch in self.at
        if wanted and self._plain is not None:
            # without the best network of early stopping, which `plain` would take instead of this epoch's
            layers = self._plain(state._replace(best=None))
            self[state.epoch] = tuple(Layer(*(np.array(to_host(a)) for a in layer)) for layer in layers)

    def __repr__(self) -> str:
        what = f"every={self.every}" if self.at is None else f"at={sorted(self.at)}"
        return f"Snapshots({what}): {len(self)} kept"


def decision_boundary_animation(
    net: Network,
    snapshots: Mapping[int, Any],
    X: Any,
    Y: Any,
    path: str | Path | None = None,
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
    fps: float = 10.0,
    dpi: float = 80.0,
) -> "FuncAnimation":
    """Animate the decision boundary over the epochs, one picture for each snapshot.

    Errors are those of `decision_boundary`.

    Parameters
    ----------
    net : Network
        With 2 inputs, and a sigmoid or softmax output.
    snapshots : Snapshots, or dict of epoch -> params
        Filled by `vp.fit(…, callbacks=snapshots)`; or your own parameters, each as for `net.forward`.
    X, Y, ax, names
        As for `decision_boundary`.
    path : str or Path, optional
        A GIF to write; it needs Pillow, which comes with matplotlib, and no other program.
    fps : float, default 10
        Pictures a second.
    dpi : float, default 80
        Dots per inch in the file.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        Keep a reference to it while it plays; `.to_jshtml()` shows it in a notebook, `.save(path)` writes it again.

    Examples
    --------
    >>> import tempfile, vecprop as vp
    >>> X, Y = vp.datasets.moons(m=100)
    >>> net, snapshots = vp.Network((2, 8, 1)), Snapshots(every=10)
    >>> result = vp.fit(net, X, Y, optimizer=vp.Adam(0.05), epochs=20, callbacks=snapshots)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "boundary.gif"
    ...     film = decision_boundary_animation(net, snapshots, X, Y, file, fps=2)
    ...     file.read_bytes()[:4]
    b'GIF8'
    """
    check_network(net)
    if not isinstance(snapshots, Mapping):
        raise TypeError(
            f"snapshots must be a Snapshots that was a callback of fit, or a dict of epoch -> params, got "
            f"{type(snapshots).__name__}"
        )
    if not snapshots:
        raise ValueError("snapshots must have at least one epoch, got none: train with vp.fit(…, callbacks=snapshots)")
    epochs = sorted(check_integer(epoch, "snapshots", 0, "a dict of epoch -> params") for epoch in snapshots)
    scorers = {epoch: scorer(net, snapshots[epoch], f"snapshots[{epoch}]") for epoch in epochs}
    plane = Plane(net, next(iter(snapshots.values())), X, Y, names)
    rate, dots = check_number(fps, "fps", zero=False), check_dpi(dpi)
    if not 0.01 <= rate <= 1000:
        raise ValueError(f"fps must be from 0.01 to 1000, got {fps!r}")
    target = None if path is None else Path(check_path(path))
    if target is not None and target.suffix.lower() != ".gif":
        raise ValueError(f"path must end in .gif, got {str(path)!r}; for other formats use the animation's own save")
    ax = axes_of(ax, width=5.6)
    from matplotlib.animation import FuncAnimation, PillowWriter

    plane.draw_examples(ax)
    ax.set_title("epoch")  # reserves its place
    drawn: list[Artist] = []

    def draw(epoch: int) -> "list[Artist]":
        for artist in drawn:
            artist.remove()
        drawn[:] = plane.draw_regions(ax, scorers[epoch])
        right = float(np.mean(scorers[epoch](plane.X).argmax(axis=0) == plane.labels))
        ax.set_title(f"epoch {epoch}: {100 * right:.0f} % of the examples right")
        return drawn

    frames = [*epochs, *epochs[-1:] * round(_HOLD * rate)]
    figure: Any = ax.figure
    film = FuncAnimation(figure, draw, frames=frames, init_func=list, interval=1000 / rate)
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        writer: Any = PillowWriter  # typed for an integer fps, but any number works
        film.save(target, writer=writer(fps=rate), dpi=dots)
    return film
