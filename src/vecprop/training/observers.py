"""What happens between the epochs of a run: judging, schedules, stopping, callbacks, the progress bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from vecprop.backend.contract import locked
from vecprop.backend.namespaces import Array
from vecprop.backend.processes import Team
from vecprop.nn.network import Network
from vecprop.training.evaluation import Judge, cost_and_metric, judge
from vecprop.training.results import History, TrainingState
from vecprop.training.schedules import ReduceOnPlateau
from vecprop.training.stopping import EarlyStopping, remember_best, watched
from vecprop.training.training_data import TrainingData
from vecprop.utils.errors import CallbackError
from vecprop.utils.progress import Progress

Whole: TypeAlias = Callable[[TrainingState, History], tuple[TrainingState, History]]


def as_they_are(state: TrainingState, history: History) -> tuple[TrainingState, History]:
    """Return both."""
    return state, history


class Done(NamedTuple):
    """Epochs that have just been computed.

    epochs : how many
    stop : why training is to end now, or ""
    whole : from state and history to those of the whole stack, of which some networks may have left
    """

    state: TrainingState
    history: History
    epochs: int = 1
    stop: str = ""
    whole: Whole = as_they_are


class Observer:
    """One that is told of a run's epochs, and may end it; this one does nothing.

    keys : of the history that it fills
    sees_every_epoch : whether no more than one epoch may be done before it is told
    keeps_state : whether it needs the optimizer's slots after the next epoch has begun
    """

    keys: tuple[str, ...] = ()
    sees_every_epoch: ClassVar[bool] = False
    keeps_state: ClassVar[bool] = False

    def allows(self, state: TrainingState, count: int) -> int:
        """Return how many of the next `count` epochs may be done before it has to be told."""
        return 1 if self.sees_every_epoch else count

    def before(self, epoch: int) -> None:
        """Note that an epoch begins, after `epoch` others."""

    def after(self, done: Done) -> Done:
        """Note that epochs are done; return the state that training goes on from, or why it ends."""
        return done


def allowed(observers: Sequence[Observer], state: TrainingState, count: int) -> int:
    """Return how many of the next `count` epochs all observers allow to be done at once."""
    return reduce(lambda count, observer: observer.allows(state, count), observers, count)


def told(observers: Sequence[Observer], done: Done) -> Done:
    """Tell all observers, one after the other, that epochs are done."""
    return reduce(lambda done, observer: observer.after(done), observers, done)


class Judging(Observer):
    """Writes the validation cost and the metric into the history."""

    sees_every_epoch: ClassVar[bool] = True

    def __init__(self, by: Judge, data: TrainingData, validates: bool) -> None:
        self.by, self.data, self.validates = by, data, validates
        self._compiled = by.backend.compile_loop(cost_and_metric)
        self.keys = ("validation_cost",) * validates + ("metric",) * (by.metric is not None)

    def of_networks(self, net: Network, take: Callable[[Array], Array]) -> Judging:
        """Return one that judges some networks of the stack, which `take` takes out of an array."""
        return Judging(self.by._replace(net=net), self.data.of_networks(take), self.validates)

    def after(self, done: Done) -> Done:
        cost, metric = judge(self.by, self._compiled, done.state, self.data)
        if self.validates:
            done.history["validation_cost"].append(cost.tolist())
        if self.by.metric is not None:
            done.history["metric"].append(metric.tolist() if hasattr(metric, "tolist") else metric)
        return done


class Plateau(Observer):
    """Lowers the learning rate when the watched value stays where it is."""

    sees_every_epoch: ClassVar[bool] = True

    def __init__(self, schedule: ReduceOnPlateau, metric: Any) -> None:
        self.schedule, self.metric = schedule, metric

    def after(self, done: Done) -> Done:
        before, values = done.state.plateau, watched(done.history, self.schedule.monitor, self.metric)
        values = values[np.isfinite(values)]  # without the networks that have diverged
        now = self.schedule.observe(before, float(values.mean()) if values.size else np.nan)
        ends = now.scale < before.scale and np.min(done.history["learning_rate"][-1]) <= self.schedule.stop_at
        return done._replace(state=done.state._replace(plateau=now), stop="patience" if ends else done.stop)


class Stopping(Observer):
    """Remembers the best network, and ends the run when patience has run out.

    several : whether several epochs may be one call. Not for a stack, whose networks each have their own stop; nor
        where compiling is slow: the program for one epoch, which the last ones need, then serves for all.
    """

    def __init__(self, rule: EarlyStopping, metric: Any, several: bool) -> None:
        self.rule, self.metric, self.several = rule, metric, several

    def allows(self, state: TrainingState, count: int) -> int:
        """Return some of the epochs in which patience cannot run out."""
        patience = self.rule.patience
        if self.rule.restore_best or (patience is not None and not self.several):
            return 1
        if patience is None:
            return count
        count, waited = min(count, (patience + 1) // 2), 0 if state.best is None else state.epoch - state.best.improved
        return count if patience - int(waited) >= count else 1

    def after(self, done: Done) -> Done:
        for last in range(done.epochs, 0, -1):
            value, state = watched(done.history, self.rule.monitor, self.metric, last), done.state
            then = state._replace(epoch=state.epoch - last + 1)
            best, out_of_patience = remember_best(state.best, then, value, self.rule)
            done = done._replace(state=state._replace(best=best), stop="patience" if out_of_patience else done.stop)
        return done


class Callbacks(Observer):
    """Calls the user's functions (state, history); of several processes, the first decides for all."""

    sees_every_epoch: ClassVar[bool] = True
    keeps_state: ClassVar[bool] = True

    def __init__(self, functions: Sequence[Callable[..., Any]], team: Team) -> None:
        self.functions, self.team = functions, team

    def before(self, epoch: int) -> None:
        for function in self.functions:
            if hasattr(function, "begin"):
                function.begin(epoch)

    def after(self, done: Done) -> Done:
        (state, history), stop = done.whole(done.state, done.history), done.stop
        seen = state.mapped(locked)
        for function in self.functions:
            try:
                wants_stop = function(seen, history)
            except Exception as error:
                raise CallbackError(
                    f"the callback {getattr(function, '__name__', function)!r} raised {type(error).__name__} after "
                    f"epoch {state.epoch}: {error}. The error's `state` and `history` have the training so far.",
                    state=state,
                    history=history,
                ) from error
            # a comparison of an array library's numbers gives an array in the place of True
            is_true = getattr(wants_stop, "shape", None) == () and wants_stop.dtype == bool and bool(wants_stop)
            stop = "callback" if wants_stop is True or is_true else stop
        return done._replace(stop=self.team.from_first(stop.encode).decode())


class ProgressBar(Observer):
    """Shows how many epochs are done."""

    def __init__(self, bar: Progress) -> None:
        self.bar = bar

    def after(self, done: Done) -> Done:
        self.bar.update(len(done.history["cost"]), done.history)
        return done
