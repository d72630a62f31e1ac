"""Training: repeat { predict; gradients; update } over mini-batches (E12, E30), the same run on every backend.

A run is a function of its state: parameters, optimizer slots, epoch, seed. The shuffle of an epoch is drawn from
(seed, epoch) on the host, so every backend sees the same batches.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vecprop import propagation
from vecprop.arguments import check_positive_integer
from vecprop.backend import Backend
from vecprop.errors import DivergenceError
from vecprop.namespaces import Array, array_namespace, is_array, on_cuda
from vecprop.network import Network
from vecprop.optimizers import GradientDescent, Optimizer, Slots
from vecprop.progress import Progress
from vecprop.propagation import Layer, Params
from vecprop.selection import backend_for, check_precision, get_backend, get_precision
from vecprop.streams import check_seed, shuffle
from vecprop.validation import (
    FLOATING,
    Checked,
    check_examples,
    check_l2,
    check_params,
    dtype_name,
)

if TYPE_CHECKING:
    import numpy.typing as npt

History = dict[str, list[Any]]


class TrainingState(NamedTuple):
    """All there is of a training run between two epochs."""

    params: Params
    slots: Slots
    epoch: int
    seed: int


class _Run(NamedTuple):
    """What stays the same through all epochs: hashable, so that one compiled epoch serves them all."""

    backend: Backend
    net: Network
    optimizer: Optimizer
    batch_size: int


@dataclass(frozen=True)
class FitResult:
    """What `fit` returns.

    Attributes
    ----------
    net : Network
    state : TrainingState
        Parameters, optimizer slots, the number of epochs done, and the seed.
    history : dict of lists, one entry per epoch
        "cost": the mean cost of the epoch's batches, each before its update; for one batch J at the start of the epoch.
        "gradient_norm": ‖dW_l‖ for l = 1 … L (E36), the mean over the epoch's batches.
        "seconds": the time the epoch took.
    backend : Backend
        Where the parameters are.
    """

    net: Network
    state: TrainingState
    history: History
    backend: Backend

    @property
    def params(self) -> Params:
        """The trained parameters, on the backend that trained them."""
        return self.state.params

    def forward(self, X: Any) -> npt.NDArray[Any]:
        """Return A_L (n_L, m) as a NumPy array, for X (n_0, m) of any kind that `fit` takes."""
        return self.backend.to_numpy(self.net.forward(self.params, to_backend(self.backend, "X", X)))


def fit(
    net: Network,
    X: Any,
    Y: Any,
    *,
    optimizer: Optimizer | None = None,
    epochs: int = 100,
    batch_size: int | None = None,
    seed: int = 0,
    params: Iterable[tuple[Any, Any]] | None = None,
    init: str = "auto",
    sample_weight: Any = None,
    l2: float = 0.0,
    dtype: Any = None,
    backend: str | Backend | None = None,
    precision: str | None = None,
    progress: bool | None = None,
) -> FitResult:
    """Train a network.

    Parameters
    ----------
    net : Network
    X : array-like (n_0, m)
        One example per column; moved to the backend once.
    Y : array-like (n_L, m)
        One target per column, as for `Network.gradients`.
    optimizer : Optimizer, default GradientDescent(0.1)
    epochs : int, default 100
        Passes over all the examples.
    batch_size : int, optional
        Examples per update (E30); all of them unless given. The order is drawn anew in each epoch; the last batch
        may be smaller, and each example counts once.
    seed : int, default 0
        Of the initial parameters and of the shuffles. The same seed gives the same run on every backend, up to
        rounding.
    params : sequence of (W_l, b_l), optional
        Parameters to start from, instead of `net.init(seed, init)`; they are not modified.
    init : str, default "auto"
        As for `Network.init`.
    sample_weight : array-like (m,), optional
        Weights of the examples (E10).
    l2 : float, default 0
        λ of E32, relative to all the training examples whatever the batch size.
    dtype : "float32" or "float64", optional
        Unless given that of `params`, else that of X if it is one of these, else float32.
    backend : str or Backend, optional
        The active backend unless given.
    precision : "highest" or "fast", optional
        The active precision unless given.
    progress : bool, optional
        True shows a progress bar, False shows none; unless given, it shows on a terminal for runs longer than a second.

    Returns
    -------
    FitResult
        `params`, `history`, `state`, and `forward(X)`.

    Raises
    ------
    DivergenceError
        When the cost or a gradient is no longer finite: with the epoch, the step, the layer, what to change, and the
        last good parameters.
    ValueError, TypeError
        Naming the argument, what came and what is wanted.

    Examples
    --------
    >>> import vecprop as vp
    >>> X, Y = vp.datasets.xor(m=200)
    >>> net = vp.Network((2, 8, 1))
    >>> result = vp.fit(net, X, Y, optimizer=vp.GradientDescent(1.0), epochs=200, batch_size=50)
    >>> float(((result.forward(X) > 0.5) == Y).mean()) > 0.97
    True
    """
    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network, got {type(net).__name__}")
    epochs, seed = check_positive_integer(epochs, "epochs"), check_seed(seed)
    lam = check_l2(l2)
    target = get_backend(backend)
    precision = get_precision() if precision is None else check_precision(precision)
    X, Y = to_backend(target, "X", X), to_backend(target, "Y", Y)
    w = None if sample_weight is None else to_backend(target, "sample_weight", sample_weight)
    checked = _start(net, target, params, init, seed, _training_dtype(dtype, params, X))
    with (
        target.scope(checked.dtype, precision),
        np.errstate(over="ignore", invalid="ignore", divide="ignore"),
    ):
        X, Y, w = check_examples(net, checked, X, Y, w)
        m = X.shape[-1]
        size = m if batch_size is None else min(check_positive_integer(batch_size, "batch_size"), m)
        run = _Run(target, net, _check_optimizer(optimizer), size)
        slots = run.optimizer.init(checked.params)
        state = TrainingState(checked.params, slots, 0, seed)
        history: History = {"cost": [], "gradient_norm": [], "seconds": []}
        with Progress(epochs, progress) as bar:
            for epoch in range(epochs):
                state = _train_epoch(run, state, (X, Y, w), lam, history)
                bar.update(epoch + 1, history["cost"][-1])
    return FitResult(net, state, history, target)


def _check_optimizer(optimizer: Optimizer | None) -> Optimizer:
    if optimizer is None:
        return GradientDescent()
    if isinstance(optimizer, type) or not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise TypeError(f"optimizer must be an optimizer such as GradientDescent(0.1), got {optimizer!r}")
    return optimizer


def to_backend(backend: Backend, name: str, value: Any) -> Array:
    """Return array-like data as an array of the backend, in its own dtype, or raise an error that names it."""
    if is_array(value):
        if array_namespace(value) is backend.xp:
            return value
        if on_cuda(value) and not backend.has_gpu:
            value = backend_for(array_namespace(value)).to_numpy(value)
    try:
        host = value if is_array(value) else np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be an array: {error}") from None
    if isinstance(host, np.ndarray) and host.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be real numbers, float32 or float64, got dtype {host.dtype}")
    if not is_array(value) and host.dtype == np.float64 and isinstance(value, list | tuple):
        host = host.astype(np.float32)  # Python numbers say nothing of a dtype
    return backend.asarray(host)


def _training_dtype(dtype: Any, params: Iterable[tuple[Any, Any]] | None, X: Array) -> str:
    if dtype is not None:
        return dtype_name(dtype)
    source = X
    if params is not None:
        params = list(params)
        source = params[0][0] if params and isinstance(params[0], tuple | list) and len(params[0]) else X
    name = str(getattr(source, "dtype", "")).rpartition(".")[2]
    return name if name in FLOATING else "float32"


def _start(
    net: Network, backend: Backend, params: Iterable[tuple[Any, Any]] | None, init: str, seed: int, dtype: str
) -> Checked:
    """Return the parameters to start from, on the backend."""
    if params is None:
        return check_params(net, net.init(seed, init, dtype, backend))
    given = check_params(net, params)
    if given.stack:
        raise ValueError(f"params must be one network, got a stack {given.stack}")
    moved = tuple(Layer(*(backend.asarray(given.backend.to_numpy(a), dtype) for a in layer)) for layer in given.params)
    return replace(check_params(net, moved), dtype=dtype)


def _train_epoch(
    run: _Run,
    state: TrainingState,
    data: tuple[Array, Array, Array | None],
    l2: float | None,
    history: History,
) -> TrainingState:
    """Return the state one epoch later and write the epoch into the history, or raise DivergenceError."""
    begin = time.perf_counter()
    m = data[0].shape[-1]
    # With one batch an epoch the order does not matter, and the data need not be copied.
    order = run.backend.asarray(shuffle(state.seed, state.epoch, m), "int32") if run.batch_size < m else None
    epoch = run.backend.compile(_epoch, static=(0,))
    params, slots, finite, *outputs = epoch(run, state.params, state.slots, data, order, l2)
    costs, weights, norms = (run.backend.to_numpy(a).astype(np.float64) for a in outputs)
    if not finite:
        raise _divergence(run, state, costs, norms, data[0], history)
    history["cost"].append(float(costs @ weights / weights.sum()))
    history["gradient_norm"].append(norms.mean(axis=0).tolist())
    history["seconds"].append(time.perf_counter() - begin)
    return state._replace(params=params, slots=slots, epoch=state.epoch + 1)


def _epoch(
    run: _Run,
    params: Params,
    slots: Slots,
    data: tuple[Array, Array, Array | None],
    order: Array | None,
    l2: float | None,
) -> tuple[Any, ...]:
    """One pass over the examples: the whole batches as one loop, then the smaller last one (E30).

    Returns the parameters, the slots, whether all was finite, and for each batch its cost, its weight and the gradient
    norms (steps, L).
    """
    arrays = [a for a in data if a is not None]
    xp = array_namespace(arrays[0])
    m, B = arrays[0].shape[-1], run.batch_size
    m_l2 = propagation.total_weight(data[0], data[2])

    def step(carry: tuple[Params, Slots], batch: tuple[Array, ...]) -> tuple[tuple[Params, Slots], tuple[Array, ...]]:
        return _step(run, carry, batch, l2, m_l2)

    if order is not None:
        arrays = [xp.take(a, order, axis=-1) for a in arrays]
    whole = m // B
    batches = tuple(_cut(a, whole, B) for a in arrays)
    carry, outputs = run.backend.scan(step, (params, slots), batches)
    if m % B:
        carry, last = step(carry, tuple(a[..., whole * B :] for a in arrays))
        outputs = tuple(xp.concat([o, l[None, ...]]) for o, l in zip(outputs, last, strict=True))
    leaves = [outputs[0], outputs[2], *(a for layer in carry[0] for a in layer)]
    finite = xp.all(xp.stack([xp.all(xp.isfinite(a)) for a in leaves]))
    return (*carry, finite, *outputs)


def _cut(a: Array, count: int, size: int) -> Array:
    """Return (count, …, size): the first count·size columns cut into batches."""
    xp = array_namespace(a)
    cut = xp.reshape(a[..., : count * size], (*a.shape[:-1], count, size))
    return xp.moveaxis(cut, -2, 0)


def _step(
    run: _Run, carry: tuple[Params, Slots], batch: tuple[Array, ...], l2: float | None, m_l2: Array | float
) -> tuple[tuple[Params, Slots], tuple[Array, ...]]:
    """One update from one batch (E12); a batch whose weights are all zero changes nothing."""
    params, slots = carry
    X, Y, w = batch if len(batch) == 3 else (*batch, None)
    xp = array_namespace(X)
    if w is None:
        weight = xp.asarray(float(X.shape[-1]), dtype=X.dtype)
        J, grads = propagation.gradients(run.net, params, X, Y, None, l2, m_l2=m_l2)
        return run.optimizer.update(grads, slots, params), (J, weight, propagation.gradient_norms(grads))
    weight = xp.sum(w, axis=-1)
    counts = weight > 0
    J, grads = propagation.gradients(run.net, params, X, Y, w, l2, m=xp.where(counts, weight, 1.0), m_l2=m_l2)
    updated = run.optimizer.update(grads, slots, params)
    return _choose(xp, counts, updated, (params, slots)), (J, weight, propagation.gradient_norms(grads))


def _choose(xp: Any, condition: Array, new: Any, old: Any) -> Any:
    """Return `new` where the condition holds and `old` elsewhere, for arrays in nested tuples."""
    if not isinstance(new, tuple):
        return xp.where(condition, new, old)
    leaves = [_choose(xp, condition, a, b) for a, b in zip(new, old, strict=True)]
    return type(new)(*leaves) if hasattr(new, "_fields") else tuple(leaves)


def _divergence(
    run: _Run,
    state: TrainingState,
    costs: npt.NDArray[np.float64],
    norms: npt.NDArray[np.float64],
    X: Array,
    history: History,
) -> DivergenceError:
    """Return the error for an epoch in which a cost, a gradient or, after its last step, a parameter is not finite."""
    bad = ~np.isfinite(costs) | ~np.isfinite(norms).all(axis=1)
    step = int(np.argmax(bad)) if bad.any() else len(costs) - 1
    overflowed = np.flatnonzero(~np.isfinite(norms[step]))
    before = norms[step - 1] if step else np.asarray(history["gradient_norm"][-1]) if state.epoch else norms[step]
    layer = int(overflowed[-1] if len(overflowed) else np.argmax(before)) + 1
    largest_input = float(run.backend.xp.max(run.backend.xp.abs(X)))
    return DivergenceError(
        f"training diverged: the cost is {costs[step]:g} in epoch {state.epoch + 1}, step {step + 1} of {len(costs)}; "
        f"the gradient of layer {layer} was the first to go (its norm was {before[layer - 1]:g} just before). What to "
        f"change: lower the learning rate (now {run.optimizer.learning_rate:g}); scale the inputs (the largest |X| is "
        f"{largest_input:g}, near 1 is good); start from smaller weights (init). The parameters at the start of this "
        "epoch are in the error's `params`.",
        epoch=state.epoch + 1,
        step=step + 1,
        layer=layer,
        params=state.params,
        history=history,
    )
