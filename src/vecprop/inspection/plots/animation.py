"""Decision boundaries over the epochs: a callback that keeps networks, and a film of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vecprop.backend.contract import to_host
from vecprop.inspection.plots.boundary import Plane, scorer
from vecprop.inspection.plots.figures import Axes, axes_of, check_dpi
from vecprop.nn.network import Network, check_network
from vecprop.propagation import Layer, Params
from vecprop.training.results import History, TrainingState
from vecprop.utils.arguments import check_integer, check_number, check_path, check_positive_integer, is_sequence

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.artist import Artist

_HOLD = 1.5  # seconds for which the last picture stays before the film restarts


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
