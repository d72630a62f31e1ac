"""The loop over the epochs: the host's work between the epochs that the backend computes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import Array
from vecprop.backend.pytrees import leaves_of
from vecprop.nn.dropout import step_keys
from vecprop.training.epochs import Penalties, Run, epoch
from vecprop.training.evaluation import Judge, judge
from vecprop.training.pieces import Piece, Pieces
from vecprop.training.results import History, Partial, Resumed, TrainingState
from vecprop.training.schedules import ReduceOnPlateau
from vecprop.training.shuffling import Orders
from vecprop.training.spec import TrainingSpec
from vecprop.training.stopping import remember_best, watched
from vecprop.training.training_data import TrainingData
from vecprop.utils.errors import CallbackError, DivergenceError
from vecprop.utils.progress import Progress

if TYPE_CHECKING:
    import numpy.typing as npt

    from vecprop.training.checkpoint import Saver

Callback = Callable[[TrainingState, History], Any]

# One compiled call does several short epochs: enough to make the cost of the call small, and few enough that Ctrl-C and
# the progress bar respond soon.
_STEPS_A_CALL = 256
_MOST_WORK_A_CALL = 2e9  # multiplications, a few hundredths of a second
_MOST_WORK_A_CALL_ON_A_GPU = 5e11


class TrainingPlan(NamedTuple):
    """Everything that the loop needs besides the state."""

    spec: TrainingSpec
    run: Run
    data: TrainingData  # spread for mini-batches if there are any
    penalties: Penalties
    judge: Judge | None  # of the validation set; for a metric without one, of the training set
    judged: TrainingData | None
    validates: bool
    callbacks: Sequence[Callback]
    progress: bool | None
    saver: Saver | None = None

    @property
    def steps_an_epoch(self) -> int:
        """The number of batches, counting a smaller last one."""
        return -(-self.run.m // self.run.batch_size)


def train(
    plan: TrainingPlan, state: TrainingState, resumed: Resumed | None = None
) -> tuple[TrainingState, History, str]:
    """Return the last state, the history and why training ended; starts at `resumed` if given."""
    history, partial, first = new_history(plan), None, state.epoch
    if resumed is not None:
        state, partial, history, first = resumed.state, resumed.partial, resumed.history, resumed.first
    saver, last, at_once = plan.saver, first + plan.spec.epochs, _epochs_a_call(plan)
    if saver is not None:
        saver.first = first
    # the slots may be overwritten if they are not needed again
    given_away = () if plan.callbacks or at_once > 1 or saver is not None else (2,)
    bound = (4,) if plan.data.same_arrays else ()

    def compile_epoch() -> Callable[..., Any]:
        return plan.run.backend.compile_loop(epoch, static=(0,), bound=bound, donated=given_away)

    orders = Orders(plan.run, state.seed, plan.spec.shuffled)
    begins = [callback.begin for callback in plan.callbacks if hasattr(callback, "begin")]
    pieces = plan.data.pieces(plan.run, orders, last, compile_epoch)
    with Progress(plan.spec.epochs, plan.progress) as bar, pieces:
        try:
            while state.epoch < last:
                count = min(at_once, last - state.epoch, saver.epochs_until_due(state.epoch) if saver else last)
                in_parts = partial is not None or (saver is not None and saver.parts > 1)
                if in_parts or (count > 1 and _epochs_before_a_stop(plan, state) < count):
                    count = 1
                for begin in begins:
                    begin(state.epoch)
                later = _advance(plan, pieces, orders, state, count, last, history, partial)
                partial = None
                if later is None:
                    at_once = 1
                    continue
                state = later
                state, stop = call_back(plan, state, history, count)
                bar.update(len(history["cost"]), history)
                if saver is not None:
                    saver.reached(state, history, stopped=stop)
                if stop:
                    return state, history, stop
        except KeyboardInterrupt:
            if saver is not None:
                saver.flush()
            if any(getattr(a, "is_deleted", bool)() for a in leaves_of(state.slots)):  # overwritten by the call
                state = state._replace(slots=plan.run.initial_slots(state.params))
            done = len(history["cost"])
            warnings.warn(
                f"training was interrupted after {done} of {plan.spec.epochs} epochs; the result has the parameters "
                "reached so far",
                RuntimeWarning,
                stacklevel=4,
            )
            return state, history, "interrupted"
    if saver is not None:
        saver.flush()
    return state, history, "epochs"


def new_history(plan: TrainingPlan) -> History:
    """Return an empty history with the keys that this run fills."""
    history: History = {"cost": [], "learning_rate": [], "gradient_norm": [], "seconds": []}
    if plan.validates:
        history["validation_cost"] = []
    if plan.judge is not None and plan.judge.metric is not None:
        history["metric"] = []
    return history


def _epochs_a_call(plan: TrainingPlan) -> int:
    """Return the number of epochs of one compiled call."""
    if not plan.data.at_hand:
        return 1
    stopping = plan.spec.stopping
    looks = plan.judge is not None or plan.callbacks or (stopping is not None and stopping.restore_best)
    if looks or isinstance(plan.spec.optimizer.schedule, ReduceOnPlateau):
        return 1
    work = plan.run.m * plan.run.net.parameter_count * (plan.spec.networks or 1)
    most = most_epochs_a_call(plan.run.backend, plan.steps_an_epoch, work)
    if stopping is not None and stopping.patience is not None:
        # Several epochs may be done while patience cannot run out, but not for a stack, whose networks each have their
        # own stop. Where compiling is slow, the program for one epoch, which the last ones need, serves for all.
        several = not plan.run.backend.compiles_shapes and plan.spec.networks is None
        return min(plan.spec.epochs, most, (stopping.patience + 1) // 2) if several else 1
    calls = -(-plan.spec.epochs // most)
    # even shares, so that at most two programs are needed
    return -(-plan.spec.epochs // calls)


def most_epochs_a_call(backend: Backend, steps: int, work: float) -> int:
    """Return the most epochs of one call, for `work` multiplications an epoch, forward only.

    >>> from vecprop.backend.selection import get_backend
    >>> most_epochs_a_call(get_backend("numpy"), steps=100, work=1e6)
    3
    """
    most = _MOST_WORK_A_CALL_ON_A_GPU if backend.has_gpu else _MOST_WORK_A_CALL
    return max(1, min(-(-_STEPS_A_CALL // steps), int(most / work)))


def _epochs_before_a_stop(plan: TrainingPlan, state: TrainingState) -> float:
    """Return the number of epochs until early stopping can end the run."""
    if plan.spec.stopping is None or plan.spec.stopping.patience is None:
        return float("inf")
    return plan.spec.stopping.patience - (0 if state.best is None else state.epoch - int(state.best.improved))


def _advance(
    plan: TrainingPlan,
    pieces: Pieces,
    orders: Orders,
    state: TrainingState,
    count: int,
    last: int,
    history: History,
    partial: Partial | None = None,
) -> TrainingState | None:
    """Return the state `count` epochs later and write the history, or raise DivergenceError.

    None if one of several epochs diverged: they are then repeated one by one, to keep the good ones. `partial` is the
    part of the first epoch that is done already.
    """
    begin = time.perf_counter()
    run, backend = plan.run, plan.run.backend
    rates = _rates(plan, state, count, last)
    inputs = [backend.argument(rates, plan.spec.dtype)]
    if any(run.dropout):
        inputs.append(backend.argument(_keys(plan, state.seed, state.step, len(rates)), "uint32"))
    in_parts = partial is not None or (plan.saver is not None and plan.saver.parts > 1)
    if in_parts or not plan.data.at_hand:
        first = 0 if partial is None else partial.position
        some = pieces.of(state.epoch, first, _checkpoint_steps(plan))
        result = _epoch_in_parts(plan, some, state, inputs, history, partial)
    else:
        order = orders.of(state.epoch, count)
        run = run._replace(epochs=count) if count > 1 else run
        result = pieces.compiled(
            run, state.params, state.slots, state.statistics, plan.data.arrays, order, tuple(inputs), plan.penalties
        )
    if state.epoch + count < last and plan.data.at_hand:  # while a device computes this epoch
        orders.prepare(state.epoch + count, min(count, last - state.epoch - count))
    params, slots, statistics, finite, *outputs = result
    costs, norms, *weights = (backend.to_numpy(a).astype(np.float64) for a in outputs)
    if not backend.to_numpy(finite).any():
        if count > 1:
            return None
        raise _divergence(plan, state, costs, norms, history)
    _record(plan, history, count, rates, costs, norms, *weights)
    history["seconds"] += [(time.perf_counter() - begin) / count] * count
    return state._replace(
        params=params, slots=slots, statistics=statistics, epoch=state.epoch + count, step=state.step + len(rates)
    )


def _epoch_in_parts(
    plan: TrainingPlan,
    pieces: Iterable[Piece],
    state: TrainingState,
    inputs: list[Array],
    history: History,
    partial: Partial | None,
) -> tuple[Any, ...]:
    """Run an epoch as `epochs.epoch` does, but in parts.

    For X that is not in memory, and for checkpoints inside the epoch.
    """
    backend, saver, size = plan.run.backend, plan.saver, _checkpoint_steps(plan)
    finite = np.asarray(True) if partial is None else partial.finite
    outputs = [] if partial is None else [partial.outputs]
    for begin, end, compiled, run, data, order in pieces:
        params, slots, statistics, good, *out = compiled(
            run, state.params, state.slots, state.statistics, data, order,
            tuple(a[begin:end, ...] for a in inputs), plan.penalties,
        )  # fmt: skip
        finite = finite & backend.to_numpy(good)
        outputs.append(tuple(backend.to_numpy(a) for a in out))
        state = state._replace(params=params, slots=slots, statistics=statistics)
        is_due = end // size > begin // size and end < plan.steps_an_epoch
        if saver is not None and is_due and finite.any():
            saver.reached(state, history, Partial(end, finite, _joined(outputs)))
    return state.params, state.slots, state.statistics, finite, *_joined(outputs)


def _joined(outputs: list[tuple[Any, ...]]) -> tuple[npt.NDArray[Any], ...]:
    return tuple(np.concatenate(column) for column in zip(*outputs, strict=True))


def _checkpoint_steps(plan: TrainingPlan) -> int:
    """Return the number of steps between two checkpoints inside an epoch."""
    return max(1, -(-plan.steps_an_epoch // plan.saver.parts)) if plan.saver is not None else plan.steps_an_epoch


def _record(
    plan: TrainingPlan,
    history: History,
    count: int,
    rates: npt.NDArray[np.float64],
    costs: npt.NDArray[np.float64],
    norms: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64] | None = None,
) -> None:
    """Write `count` epochs into the history; costs, norms and batch weights are (steps, …)."""
    steps = plan.steps_an_epoch
    if weights is None:
        weights = np.full((len(costs), *(1,) * (costs.ndim - 1)), float(plan.run.batch_size))
        if plan.run.m % plan.run.batch_size:
            weights[steps - 1 :: steps] = plan.run.m % plan.run.batch_size
    costs, norms, weights = (a.reshape(count, steps, *a.shape[1:]) for a in (costs, norms, weights))
    history["cost"] += ((costs * weights).sum(axis=1) / weights.sum(axis=1)).tolist()
    history["gradient_norm"] += norms.mean(axis=1).tolist()
    history["learning_rate"] += rates[steps - 1 :: steps].tolist()


def _rates(plan: TrainingPlan, state: TrainingState, count: int, last: int) -> npt.NDArray[np.float64]:
    """Return the learning rates of the next steps, (steps,) or, with K of them, (steps, K)."""
    per_epoch, schedule = plan.steps_an_epoch, plan.spec.optimizer.schedule
    given = plan.spec.optimizer.learning_rate
    initial = list(given) if isinstance(given, tuple) else [given]
    rates = np.stack(
        [schedule.rates(a, state.step, count * per_epoch, per_epoch, last * per_epoch) for a in initial], axis=-1
    )
    if isinstance(schedule, ReduceOnPlateau):
        rates = np.maximum(rates * state.plateau.scale, np.minimum(rates, schedule.least))
    return rates if isinstance(given, tuple) else rates[:, 0]


def _keys(plan: TrainingPlan, seed: int | tuple[int, ...], step: int, count: int) -> npt.NDArray[np.uint32]:
    """Return the keys of the masks, (steps, layers, 2), or (steps, K, layers, 2) for K seeds."""
    layers = len(plan.run.dropout)
    if isinstance(seed, tuple):
        return np.stack([step_keys(s, layers, step, count) for s in seed], axis=1)
    return step_keys(seed, layers, step, count)


def call_back(plan: TrainingPlan, state: TrainingState, history: History, count: int = 1) -> tuple[TrainingState, str]:
    """Judge the network and call the callbacks after an epoch or several.

    Returns the state and the reason to stop, or "".
    """
    stop = ""
    if plan.judge is not None and plan.judged is not None:
        cost, metric = judge(plan.judge, state, plan.judged)
        if plan.validates:
            history["validation_cost"].append(cost.tolist())
        if "metric" in history:
            history["metric"].append(metric.tolist() if hasattr(metric, "tolist") else metric)
    metric = None if plan.judge is None else plan.judge.metric
    schedule = plan.spec.optimizer.schedule
    if isinstance(schedule, ReduceOnPlateau):
        before, value = state.plateau, watched(history, schedule.monitor, metric)
        state = state._replace(plateau=schedule.observe(before, float(np.mean(value))))
        falls = state.plateau.scale < before.scale
        stop = "patience" if falls and np.min(history["learning_rate"][-1]) <= schedule.stop_at else ""
    if plan.spec.stopping is not None:
        for last in range(count, 0, -1):
            value = watched(history, plan.spec.stopping.monitor, metric, last)
            then = state._replace(epoch=state.epoch - last + 1)
            best, out_of_patience = remember_best(state.best, then, value, plan.spec.stopping)
            state = state._replace(best=best)
            stop = "patience" if out_of_patience else stop
    for callback in plan.callbacks:
        try:
            wants_stop = callback(state, history)
        except Exception as error:
            raise CallbackError(
                f"the callback {getattr(callback, '__name__', callback)!r} raised {type(error).__name__} after epoch "
                f"{state.epoch}: {error}. The error's `state` and `history` have the training so far.",
                state=state,
                history=history,
            ) from error
        stop = "callback" if wants_stop is True else stop
    if plan.callbacks:  # the first process decides for all
        told = stop
        stop = plan.run.backend.team.from_first(told.encode).decode()
    return state, stop


def _divergence(
    plan: TrainingPlan,
    state: TrainingState,
    costs: npt.NDArray[np.float64],
    norms: npt.NDArray[np.float64],
    history: History,
) -> DivergenceError:
    """Return the error for an epoch in which a cost, gradient or parameter is not finite.

    For a stack, all of whose networks diverged, it describes the first.
    """
    if costs.ndim > 1:
        costs, norms = costs[:, 0], norms[:, 0]
    bad = ~np.isfinite(costs) | ~np.isfinite(norms).all(axis=1)
    step = int(np.argmax(bad)) if bad.any() else len(costs) - 1
    overflowed = np.flatnonzero(~np.isfinite(norms[step]))
    earlier = np.asarray(history["gradient_norm"][-1]) if history["gradient_norm"] else norms[step]
    before = norms[step - 1] if step else earlier[0] if earlier.ndim > 1 else earlier
    layer = int(overflowed[-1] if len(overflowed) else np.argmax(before)) + 1
    steps = plan.steps_an_epoch
    rate = _rates(plan, state, 1, state.epoch + 1)[0]
    number = state.epoch + step // steps + 1
    return DivergenceError(
        f"training diverged: the cost is {costs[step]:g} in epoch {number}, step {step % steps + 1} of {steps}; "
        f"the gradient of layer {layer} was the first to go (its norm was {before[layer - 1]:g} just before; the "
        f"largest of all layers was {np.max(before):g}). What to change: lower the learning rate (now "
        f"{np.min(rate):g}); scale the inputs (the largest |X| is {plan.data.largest:g}, near 1 is good; "
        "standardize=True does it); start from smaller weights (init); clip the gradients (clip_norm=1.0). The "
        "parameters of the last good epoch are in the error's `params`.",
        epoch=number,
        step=step % steps + 1,
        layer=layer,
        params=state.params,
        state=state,
        history=history,
        gradient_norm=float(np.max(before)),
    )
