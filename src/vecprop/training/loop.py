"""The loop over the epochs: the host's work between the epochs that the backend computes."""

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import Array, array_namespace
from vecprop.backend.pytrees import leaves_of, map_tree, map_trees
from vecprop.nn.dropout import step_keys
from vecprop.training.checkpoint import Saver
from vecprop.training.epochs import ByNetwork, Run, epoch
from vecprop.training.network_groups import GroupedEpochs
from vecprop.training.observers import Done, Judging, Observer, ProgressBar, Whole, allowed, as_they_are, told
from vecprop.training.pieces import Piece, Pieces
from vecprop.training.results import History, Partial, Start, TrainingState
from vecprop.training.schedules import ReduceOnPlateau
from vecprop.training.shuffling import Orders
from vecprop.training.spec import TrainingSpec
from vecprop.training.stopping import leaving
from vecprop.training.training_data import TrainingData
from vecprop.utils.advice import FIT, SCALED, Advice
from vecprop.utils.errors import DivergenceError, shown
from vecprop.utils.progress import Progress

# One compiled call does several short epochs: enough to make the cost of the call small, and few enough that Ctrl-C and
# the progress bar respond soon.
_STEPS_A_CALL = 256
_MOST_WORK_A_CALL = 2e9  # multiplications, a few hundredths of a second
_MOST_WORK_A_CALL_ON_A_GPU = 5e11
# Networks go on without the rest of their stack once they are at most this share; fewer where each size is compiled.
_SHARE, _SHARE_COMPILED = 0.75, 0.5
_CALLS_WORTH_COMPILING = 50  # there they stay together in a run of less work than such calls


class TrainingPlan(NamedTuple):
    """Everything that the loop needs besides the state."""

    spec: TrainingSpec
    run: Run
    data: TrainingData  # spread for mini-batches if there are any
    by_network: ByNetwork
    observers: tuple[Observer, ...]
    progress: bool | None
    saver: Saver | None = None
    networks: npt.NDArray[np.int64] | None = None  # those of the stack that are still trained, if others have left
    whole: Whole = as_they_are  # adds those
    others_are_finite: bool = False  # whether one of those has not diverged

    @property
    def work_an_epoch(self) -> int:
        """The multiplications of an epoch, forward only."""
        return self.run.m * self.run.net.parameter_count * (self.spec.networks or 1)

    @property
    def steps_an_epoch(self) -> int:
        """The number of batches, counting a smaller last one."""
        return -(-self.run.m // self.run.batch_size)


def train(plan: TrainingPlan, start: Start) -> tuple[TrainingState, History, str]:
    """Return the last state, the history and why training ended."""
    state, partial, history, first, _ = start
    with Progress(plan.spec.epochs, plan.progress) as bar:
        savers = () if plan.saver is None else (plan.saver,)
        plan = plan._replace(observers=(*plan.observers, ProgressBar(bar), *savers))
        state, history, stopped = _train(plan, state, history, partial, first + plan.spec.epochs)
    if plan.saver is not None:
        plan.saver.flush()
    return state, history, stopped


def _train(
    plan: TrainingPlan, state: TrainingState, history: History, partial: Partial | None, last: int
) -> tuple[TrainingState, History, str]:
    """Train up to epoch `last`; in a stack, once many networks have stopped, only the others."""
    at_once, going_on = allowed(plan.observers, state, _epochs_a_call(plan)), None
    # the slots may be overwritten if they are not needed again
    given_away = at_once == 1 and not any(observer.keeps_state for observer in plan.observers)

    def compile_epoch() -> Callable[..., Any]:
        def compile_one() -> Callable[..., Any]:
            return plan.run.backend.compile_loop(epoch, bound=plan.data.same_arrays, donated=given_away)

        run, spec = plan.run, plan.spec
        if spec.networks is None or (run.backend.compiles and run.net.loss.networks is not None):
            return compile_one()  # groups with losses of their own would be programs of their own
        K, steps = state.params[0].W.shape[0], at_once * plan.steps_an_epoch
        groups, threads = run.backend.memory.auto_groups(K, K * run.batch_size * run.net.numbers_per_example, steps)
        return GroupedEpochs(run.backend, spec, compile_one, groups, threads) if groups > 1 else compile_one()

    orders = Orders(plan.run, state.seed, plan.spec.shuffle)
    try:
        with closing(plan.data.pieces(plan.run, orders, compile_epoch, plan.data, last)) as pieces:
            while state.epoch < last:
                if history["cost"] and (going_on := _going_on(plan, state)) is not None:
                    break
                count = 1 if partial is not None else allowed(plan.observers, state, min(at_once, last - state.epoch))
                for observer in plan.observers:
                    observer.before(state.epoch)
                later = _advance(plan, pieces, orders, state, count, last, history, partial)
                partial = None
                if later is None:
                    at_once = 1
                    continue
                state = later
                state, _, _, stop, _ = told(plan.observers, Done(state, history, count, "", plan.whole))
                if stop:
                    return *plan.whole(state, history), stop
        if going_on is not None:
            return _train(*_of_some(plan, state, history, going_on), partial, last)
    except KeyboardInterrupt:
        if any(getattr(a, "is_deleted", bool)() for a in leaves_of(state.slots)):  # overwritten by the call
            state = state._replace(slots=plan.run.initial_slots(state.params))
        return *plan.whole(state, history), "interrupted"
    return *plan.whole(state, history), "epochs"


def _going_on(plan: TrainingPlan, state: TrainingState) -> npt.NDArray[np.int64] | None:
    """Return the networks that go on without the rest of their stack, or None."""
    spec, backend, best = plan.spec, plan.run.backend, state.best
    patience = None if spec.patience is None else spec.patience.patience
    if spec.networks is None or best is None or patience is None or backend.placement.devices > 1:
        return None
    if isinstance(spec.optimizer.schedule, ReduceOnPlateau):  # it watches the whole stack
        return None
    if not backend.compiles:
        return leaving(best, state.epoch, patience, _SHARE)
    worth = spec.epochs * plan.work_an_epoch >= _CALLS_WORTH_COMPILING * _most_work_a_call(backend)
    return leaving(best, state.epoch, patience, _SHARE_COMPILED) if worth else None


def _of_some(
    plan: TrainingPlan, state: TrainingState, history: History, k: npt.NDArray[np.int64]
) -> tuple[TrainingPlan, TrainingState, History]:
    """Return plan, state and history of some networks of a stack; the others stay as they are."""
    run, count = plan.run, len(history["cost"][-1])
    there = np.arange(count)
    there[k] = count + np.arange(len(k))  # where a network is found among all and then some

    def at(places: npt.NDArray[np.int64], a: Any, *more: Any) -> Any:
        if not getattr(a, "ndim", 0):
            return (a, *more)[-1]
        xp = array_namespace(a)
        index = places if isinstance(a, np.ndarray) else run.backend.asarray(places, "int32")
        return xp.take(xp.concat([a, *more]) if more else a, index, axis=0)

    def take(a: Any) -> Any:
        return at(k, a)

    def whole(some: TrainingState, rows: History) -> tuple[TrainingState, History]:
        for key, all_rows in history.items():
            for row in rows[key][len(all_rows) :]:
                both = [*all_rows[-1], *row] if isinstance(row, list) else row
                all_rows.append([both[i] for i in there] if isinstance(row, list) else row)
        joined = map_trees(lambda a, b: at(there, a, b), *(s._replace(seed=0, scale=None) for s in (state, some)))
        return plan.whole(joined._replace(seed=state.seed, scale=state.scale), history)

    seed = tuple(state.seed[i] for i in k) if isinstance(state.seed, tuple) else state.seed
    part = map_tree(take, state._replace(seed=0, scale=None))._replace(seed=seed, scale=state.scale)
    own = run.of_networks(k, part.params)
    less = plan._replace(
        run=own,
        data=plan.data.of_networks(take),
        by_network=map_tree(take, plan.by_network),
        observers=tuple(o.of_networks(own.net, take) if isinstance(o, Judging) else o for o in plan.observers),
        networks=np.arange(count)[k] if plan.networks is None else plan.networks[k],
        whole=whole,
        others_are_finite=plan.others_are_finite or bool(np.isfinite(np.delete(history["cost"][-1], k)).any()),
    )
    rows = {key: [[row[i] for i in k] if isinstance(row, list) else row for row in v] for key, v in history.items()}
    return less, part, rows


def new_history(plan: TrainingPlan) -> History:
    """Return an empty history with the keys that this run fills."""
    history: History = {"cost": [], "learning_rate": [], "gradient_norm": [], "seconds": []}
    return history | {key: [] for observer in plan.observers for key in observer.keys}


def _epochs_a_call(plan: TrainingPlan) -> int:
    """Return the number of epochs of one compiled call, as far as the work in them allows."""
    if not plan.data.at_hand:
        return 1
    epochs = plan.spec.epochs
    fewest = -(-epochs // most_epochs_a_call(plan.run.backend, plan.steps_an_epoch, plan.work_an_epoch))
    # one program where at most a quarter more calls, or one, make all shares equal; else even shares, and so two
    more = max(1, fewest // 4)
    calls = next((calls for calls in range(fewest, fewest + more + 1) if epochs % calls == 0), fewest)
    return -(-epochs // calls)


def most_epochs_a_call(backend: Backend, steps: int, work: float) -> int:
    """Return the most epochs of one call, for `work` multiplications an epoch, forward only.

    >>> from vecprop.backend.selection import get_backend
    >>> most_epochs_a_call(get_backend("numpy"), steps=100, work=1e6)
    3
    """
    most = int(_most_work_a_call(backend) / work)
    return max(1, min(-(-_STEPS_A_CALL // steps), most, backend.most_steps // steps))


def _most_work_a_call(backend: Backend) -> float:
    return _MOST_WORK_A_CALL_ON_A_GPU if backend.has_gpu else _MOST_WORK_A_CALL


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
    inputs = [backend.placement.argument(rates, plan.spec.dtype)]
    if run.drops:
        seeds = state.seed if isinstance(state.seed, tuple) else (state.seed,)
        keys = np.stack([step_keys(seed, len(run.dropout), state.step, len(rates)) for seed in seeds], axis=1)
        inputs.append(backend.placement.argument(keys if isinstance(state.seed, tuple) else keys[:, 0], "uint32"))
    size = min(_checkpoint_steps(plan), backend.most_steps)
    in_parts = partial is not None or size < plan.steps_an_epoch or not plan.data.at_hand
    if in_parts:
        some = pieces.of(state.epoch, 0 if partial is None else partial.position, size)
        result = _epoch_in_parts(plan, some, state, inputs, history, partial)
    else:
        order, run = orders.of(state.epoch, count), run._replace(epochs=count) if count > 1 else run
        carried = (state.params, state.slots, state.statistics)
        result = pieces.program()(run, *carried, plan.data.arrays, order, tuple(inputs), plan.by_network)
    if state.epoch + count < last and not in_parts:  # while a device computes this epoch
        orders.prepare(state.epoch + count, min(count, last - state.epoch - count))
    params, slots, statistics, finite, *outputs = result
    costs, norms, *weights = (backend.to_numpy(a).astype(np.float64) for a in outputs)
    if not plan.others_are_finite and not backend.to_numpy(finite).any():
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
    """Run an epoch as `epochs.epoch` does, in parts: for X that is not in memory, and for checkpoints inside it."""
    backend, saver, size = plan.run.backend, plan.saver, _checkpoint_steps(plan)
    finite = np.asarray(True) if partial is None else partial.finite
    outputs = [] if partial is None else [partial.outputs]
    for begin, end, compiled, run, data, order in pieces:
        carried, steps = (state.params, state.slots, state.statistics), tuple(a[begin:end, ...] for a in inputs)
        params, slots, statistics, good, *out = compiled(run, *carried, data, order, steps, plan.by_network)
        finite = finite & backend.to_numpy(good)
        outputs.append(tuple(backend.to_numpy(a) for a in out))
        state = state._replace(params=params, slots=slots, statistics=statistics)
        is_due = end // size > begin // size and end < plan.steps_an_epoch
        if saver is not None and is_due and (plan.others_are_finite or finite.any()):
            saver.reached(*plan.whole(state, history), Partial(end, finite, _joined(outputs)))
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
    if weights.ndim < costs.ndim:  # the same batches for all networks of a stack
        weights = weights[:, None]
    costs, norms, weights = (a.reshape(count, steps, *a.shape[1:]) for a in (costs, norms, weights))
    history["cost"] += ((costs * weights).sum(axis=1) / weights.sum(axis=1)).tolist()
    history["gradient_norm"] += norms.mean(axis=1).tolist()
    history["learning_rate"] += rates[steps - 1 :: steps].tolist()


def _rates(plan: TrainingPlan, state: TrainingState, count: int, last: int) -> npt.NDArray[np.float64]:
    """Return the learning rates of the next steps, (steps,) or, with K of them, (steps, K)."""
    per_epoch, schedule = plan.steps_an_epoch, plan.spec.optimizer.schedule
    given = plan.spec.optimizer.learning_rate
    initial = list(given) if isinstance(given, tuple) else [given]
    steps = count * per_epoch
    found = [schedule.rates(a, state.step, steps, per_epoch, last * per_epoch) for a in initial]
    if any(np.shape(row) != (steps,) or not (np.isfinite(row) & (np.asarray(row) >= 0)).all() for row in found):
        raise ValueError(f"schedule must give {steps} rates, one for each step, finite and >= 0, got {shown(found)}")
    rates = np.stack(found, axis=-1)
    if isinstance(schedule, ReduceOnPlateau):
        rates = np.maximum(rates * state.plateau.scale, np.minimum(rates, schedule.least))
    if not isinstance(given, tuple):
        return rates[:, 0]
    return rates if plan.networks is None else rates[:, plan.networks]


def _divergence(
    plan: TrainingPlan,
    state: TrainingState,
    costs: npt.NDArray[np.float64],
    norms: npt.NDArray[np.float64],
    history: History,
) -> DivergenceError:
    """Return the error for an epoch in which a cost, gradient or parameter is not finite; in a stack of the first."""
    if costs.ndim > 1:
        costs, norms = costs[:, 0], norms[:, 0]
    bad = ~np.isfinite(costs) | ~np.isfinite(norms).all(axis=1)
    step = int(np.argmax(bad)) if bad.any() else len(costs) - 1
    overflowed = np.flatnonzero(~np.isfinite(norms[step]))
    earlier = np.asarray(history["gradient_norm"][-1]) if history["gradient_norm"] else norms[step]
    before = norms[step - 1] if step else earlier[0] if earlier.ndim > 1 else earlier
    layer = int(overflowed[-1] if len(overflowed) else np.argmax(before)) + 1
    place = "first to go" if len(overflowed) else "largest"  # a parameter or the cost alone may overflow
    steps = plan.steps_an_epoch
    rate = _rates(plan, state, 1, state.epoch + 1)[0]
    state, history = plan.whole(state, history)
    number = state.epoch + step // steps + 1
    advice = Advice(
        f"lower the {{learning_rate}} (now {np.min(rate):g}); scale the inputs (the largest |X| is "
        f"{plan.data.largest:g}, near 1 is good; {{standardize}} does it); {{targets}}; start from smaller weights "
        "({init}); clip the gradients ({clip_norm:1.0})",
        {**FIT, **SCALED} if plan.spec.standardize else FIT,
        f"training diverged: the cost is {costs[step]:g} in epoch {number}, step {step % steps + 1} of {steps}; "
        f"the gradient of layer {layer} was the {place} (its norm was {before[layer - 1]:g} just before; the "
        f"largest of all layers was {np.max(before):g}). What to change: ",
        ". The parameters of the last good epoch are in the error's `params`.",
    )
    return DivergenceError(
        advice,
        advice=advice,
        epoch=number,
        step=step % steps + 1,
        layer=layer,
        params=state.params,
        state=state,
        history=history,
        gradient_norm=float(np.max(before)),
    )
