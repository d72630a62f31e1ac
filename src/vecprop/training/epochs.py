"""One epoch, as the backend compiles it: gradients and update (E12) per mini-batch (E30).

These are pure functions of arrays. Everything that is constant during a run is in `Run`, which is hashable, so that one
compiled epoch serves the whole run.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from vecprop import propagation
from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import Array, Bound, Donated, Namespace, Static, array_namespace, device_of, dtype_name
from vecprop.backend.pytrees import leaves_of, map_trees
from vecprop.nn.activations import Activation, Identity, Softmax
from vecprop.nn.batch_norm import BatchNorm, Scale, Statistics, update_statistics
from vecprop.nn.dropout import mask
from vecprop.nn.losses import CrossEntropy, Loss
from vecprop.nn.network import Network
from vecprop.nn.weight_penalties import Penalties
from vecprop.propagation import Layer, Params, per_column
from vecprop.training.optimizers import ClipByNorm, Link, Optimizer, Slots
from vecprop.training.parameter_buffer import Layout, layout
from vecprop.training.training_pass import Fused, FusedLoss, Pass, SoftmaxLoss, Stage

Data = tuple[Array, Array, Array | None]  # X, Y and the sample weights
Outputs = tuple[Array, ...]  # of each step: the cost, the norms of dW_l, and with sample weights the batch's weight


class Run(NamedTuple):
    """The settings that are the same in all epochs."""

    backend: Backend
    net: Network
    optimizer: Optimizer
    m: int
    batch_size: int
    block_size: int | None
    layout: Layout | None  # of the parameter buffers, on a backend that uses them
    normalized: tuple[bool, ...]  # by hidden layer, whether it has batch normalization
    dropout: tuple[float | None, ...]  # by hidden layer, the share of units that is dropped; None: by network
    clip_norm: float | None
    epochs: int = 1  # done by one compiled call

    @property
    def drops(self) -> bool:
        """Whether there are dropout masks."""
        return any(rate != 0 for rate in self.dropout)

    def of_networks(self, k: npt.NDArray[np.int64], params: tuple[Any, ...]) -> "Run":
        """Return the settings for networks k of a stack, which have these parameters."""
        net = replace(self.net, loss=self.net.loss.member(k))
        return self._replace(net=net, layout=None if self.layout is None else layout(params, self.layout.apart))

    def initial_slots(self, params: tuple[Any, ...]) -> Slots:
        """Return the optimizer's slots before its first step."""
        if self.layout is not None:
            return self.optimizer.init(self.layout.pack(self.backend, params))
        host = map_trees(lambda a: np.zeros(a.shape, dtype_name(a)), params)  # a backend might have to compile
        return map_trees(self.backend.asarray, self.optimizer.init(host))  # type: ignore[no-any-return]


class Carry(NamedTuple):
    """The state that a step changes.

    params : tuple of `Layer`, then of `Scale`; or buffers
    slots : of the optimizer
    statistics : running statistics of batch normalization
    """

    params: Any
    slots: Slots
    statistics: tuple[Statistics, ...]


class ByNetwork(NamedTuple):
    """What can differ by network, and is (K,) then; the inputs of a compiled epoch beside the data.

    penalties : of the weights, with m, the total weight
    decay : δ of AdamW, if by network
    kept : 1 - rate of dropout, of each layer where it is by network
    weights : of the examples, (K, m), if by network; a batch has the numbers of its examples in their place
    rows : the inputs of the examples, (K, m, n_0), if by network; likewise
    """

    penalties: Penalties
    decay: Array | None = None
    kept: tuple[Array, ...] = ()
    weights: Array | None = None
    rows: Array | None = None


def epoch(
    run: Static[Run],
    params: Any,
    slots: Donated[Slots],
    statistics: tuple[Statistics, ...],
    data: Bound[Data],
    order: Array | None,
    inputs: tuple[Array, ...],
    by_network: ByNetwork,
) -> tuple[Any, ...]:
    """Return (params, slots, statistics, finite, cost, norms[, weight]) after some epochs.

    params : as in `Carry`, but never buffers
    data : from `Placement.spread` if there is more than one batch
    order : of the examples, (m,) or (K, m), or with several epochs (epochs, m) or (epochs, K, m); None for a full
        batch: an epoch is then one step, and there are as many epochs as inputs
    inputs : of each step the learning rate, and the dropout keys if there is dropout, (steps, …); `step` then has the
        shares kept, too

    `finite`, () or (K,), is true if all costs, norms and parameters are finite. The outputs after it have one entry for
    each step.
    """
    xp = array_namespace(inputs[0])
    packed = params if run.layout is None else run.layout.pack(run.backend, params)

    def one_step(carry: Carry, batch: Any, step_inputs: tuple[Array, ...]) -> tuple[Carry, Outputs]:
        return step(run, carry, batch, (*step_inputs, *by_network.kept), by_network)

    start = Carry(packed, slots, statistics)

    def one_epoch(carry: Carry, x: tuple[Array, ...]) -> tuple[Carry, Outputs]:
        return run.backend.scan_batches(one_step, carry, data, x[0], run.batch_size, x[1:])

    if run.batch_size < run.m and run.epochs == 1:
        carry, outputs = one_epoch(start, (order, *inputs))
    elif run.batch_size < run.m:
        parts = tuple(xp.reshape(a, (run.epochs, -1, *a.shape[1:])) for a in inputs)
        carry, outputs = run.backend.scan(one_epoch, start, (order, *parts))
        outputs = tuple(xp.reshape(a, (-1, *a.shape[2:])) for a in outputs)
    else:
        carry, outputs = run.backend.scan(lambda c, i: one_step(c, data, i), start, inputs)
    params = carry.params if run.layout is None else run.layout.unpack(xp, carry.params)
    return (params, carry.slots, carry.statistics, _finite(xp, carry.params, outputs), *outputs)


def step(
    run: Run, carry: Carry, batch: Data, inputs: tuple[Array, ...], by_network: ByNetwork
) -> tuple[Carry, Outputs]:
    """Return the carry after an update from one batch (E12), unchanged if all weights are 0."""
    X, Y, w = batch
    xp = array_namespace(X)
    if by_network.rows is not None:
        X = xp.matrix_transpose(_of_examples(xp, by_network.rows, X[..., 0, :]))
    if by_network.weights is not None:
        w = _of_examples(xp, by_network.weights, w)
    params = carry.params if run.layout is None else run.layout.unpack(xp, carry.params)
    layers = params[: len(run.net.activations)]
    weight = None if w is None else xp.sum(w, axis=-1)
    m = float(X.shape[-1]) if weight is None else xp.where(weight > 0, weight, xp.ones_like(weight))
    J, grads, norms = _batch_gradients(run, params, (X, Y, w), inputs, m)
    if by_network.penalties.given:
        J = J + by_network.penalties.cost(layers)
    seen = GradientNorms(run.backend.gradient_norms or propagation.gradient_norms)
    clipping = () if run.clip_norm is None else (ClipByNorm(run.clip_norm),)
    links: tuple[Link, ...] = (by_network.penalties, seen, *clipping)
    for link in links:
        grads = link.update(grads, layers)
    if run.layout is not None:
        grads = run.layout.pack(run.backend, grads)
    decay = () if by_network.decay is None else (by_network.decay,)
    updated, slots = run.optimizer.update(grads, carry.slots, carry.params, inputs[0], run.backend.fuse, *decay)
    statistics = tuple(update_statistics(xp, s, n) for s, n in zip(carry.statistics, norms, strict=True))
    new = Carry(updated, slots, statistics)
    if weight is None:
        return new, (J, seen.norms)
    return choose(xp, weight > 0, new, carry), (J, seen.norms, weight)


class GradientNorms:
    """A link that leaves the gradients as they are and keeps the norms of the dW_l for the history."""

    def __init__(self, norms_of: Callable[[Params], Array]) -> None:
        self._norms_of = norms_of

    def update(self, grads: Any, layers: Params) -> Any:
        """Return the gradients."""
        self.norms = self._norms_of(grads[: len(layers)])
        return grads


def _of_examples(xp: Namespace, all_of_them: Array, numbers: Array) -> Array:
    """Take the rows of a batch, (K, B, …), out of those of all examples, (K, m, …), by numbers (B,) or (K, B)."""
    K, m, *rest = all_of_them.shape
    first = xp.arange(0, K * m, m, dtype=numbers.dtype, **device_of(numbers))
    places = numbers + first[:, None]
    taken = xp.take(xp.reshape(all_of_them, (K * m, *rest)), xp.reshape(places, (-1,)), axis=0)
    return xp.reshape(taken, (*places.shape, *rest))


def _batch_gradients(
    run: Run, params: Any, batch: Data, inputs: tuple[Array, ...], m: Array | float
) -> tuple[Array, Any, list[BatchNorm]]:
    """Return J, the gradients, and the normalizations of the pass with the batch's statistics."""
    X, Y, w = batch
    xp = array_namespace(X)
    columns = run.backend.placement.column_numbers(X) if run.drops else None

    layers = params[: len(run.net.activations)]

    def part(X: Array, Y: Array, w: Array | None, columns: Array | None) -> tuple[Array, Params, list[BatchNorm]]:
        stages, norms = _stages(run, params, inputs, w, m, columns, X)
        return *propagation.gradients(stages, layers, X, Y, w, m=m), norms

    if run.block_size is not None:
        J, grads = run.backend.sum_blocks(lambda *block: part(*block)[:2], run.block_size, X, Y, w, columns)
        return J, grads, []
    J, grads, norms = part(X, Y, w, columns)
    # A bias before a normalization has no effect: its gradient is 0 up to rounding, which Adam would turn into steps
    grads = tuple(
        Layer(dW, xp.zeros_like(db)) if normalized else Layer(dW, db)
        for (dW, db), normalized in zip(grads, (*run.normalized, False), strict=True)
    )
    m = per_column(m)
    return J, (*grads, *(Scale(*(d / m for d in norm.grads)) for norm in norms)), norms


def _stages(
    run: Run,
    params: Any,
    inputs: tuple[Array, ...],
    w: Array | None,
    m: Array | float,
    columns: Array | None,
    X: Array,
) -> tuple[Pass, list[BatchNorm]]:
    """Return the network of one pass, with normalization and dropout around the activations."""
    xp, net = array_namespace(X), run.net
    scales, kept = iter(params[len(net.activations) :]), iter(inputs[2:])
    activations: list[Any] = []
    norms: list[BatchNorm] = []
    for l, (g, normalized, rate) in enumerate(zip(net.hidden, run.normalized, run.dropout, strict=True)):
        if run.backend.fuses and g.elementwise:
            g = Fused(g, run.backend.fuse)
        norm = BatchNorm(next(scales), w, m) if normalized else None
        dropped = None
        if rate != 0:
            share = next(kept) if rate is None else rate
            dropped = mask(xp, inputs[1][..., l, :], net.sizes[l + 1], columns, share, X.dtype, run.backend.fuse)
        activations.append(Stage(g, norm, dropped) if normalized or rate != 0 else g)
        norms += [norm] if norm is not None else []
    last, loss = _last_stage(run.backend, net)
    return Pass((*activations, last), net.output, loss), norms


def _last_stage(backend: Backend, net: Network) -> tuple[Activation, Loss]:
    """Return output and loss for one pass, in as few kernels as the backend allows."""
    kernel, for_all = backend.softmax_cross_entropy, net.loss.networks is None  # kernels know one loss for all networks
    # exact types: a user's loss may inherit from ours but compute something else
    if kernel is not None and for_all and type(net.output) is Softmax and type(net.loss) is CrossEntropy:
        return Identity(), SoftmaxLoss(kernel, cast(float, net.loss.smoothing))
    ours = all(type(part).__module__.startswith("vecprop.") for part in (net.output, net.loss))
    if backend.fuses and for_all and net.output.elementwise and ours:
        return Fused(net.output, backend.fuse), FusedLoss(net.loss, backend.fuse)
    return net.output, net.loss


def choose(xp: Namespace, condition: Array, new: Any, old: Any) -> Any:
    """Return `new` where the condition, () or (K,), holds, else `old`; both are nested tuples."""

    def chosen(a: Array, b: Array) -> Array:
        return xp.where(condition if a.ndim == condition.ndim else per_column(condition), a, b)

    return map_trees(chosen, new, old)


def _finite(xp: Namespace, params: Any, outputs: Outputs) -> Array:
    """Return whether all costs (steps, …), norms (steps, …, L) and parameters (…, n, p) are finite, shape (…)."""
    cost, norms = outputs[0], outputs[1]
    finite = xp.all(xp.isfinite(cost), axis=0) & xp.all(xp.all(xp.isfinite(norms), axis=-1), axis=0)
    for a in leaves_of(params):
        finite = finite & xp.all(xp.isfinite(a), axis=(-2, -1))
    return finite
