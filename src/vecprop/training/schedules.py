"""Learning-rate schedules: the step size α of every step, computed on the host in float64.

A schedule is a frozen value with one function: `rates(initial, first, count, per_epoch, total)` gives the rates of the
steps first … first + count - 1 (from 0), of `per_epoch` steps an epoch and `total` steps in all. An epoch's rates
travel to the device in one small array, so a new rate needs no compilation, and a resumed run finds its place by the
number of the step.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from vecprop.utils.arguments import (
    check_choice,
    check_flag,
    check_integer,
    check_number,
    check_positive_integer,
    check_real,
)

MONITORS = ("cost", "training_cost", "metric")

Rates = npt.NDArray[np.float64]


class Schedule(Protocol):
    """The interface of an optimizer's `schedule`."""

    def rates(self, initial: float, first: int, count: int, per_epoch: int, total: int) -> Rates:
        """Return the rates (count,) of the steps from `first` on."""


@dataclass(frozen=True)
class Constant:
    """The same rate at every step.

    >>> Constant().rates(0.5, 0, 3, 10, 100).tolist()
    [0.5, 0.5, 0.5]
    """

    def rates(self, initial: float, first: int, count: int, per_epoch: int, total: int) -> Rates:
        return np.full(count, initial)


CONSTANT = Constant()


@dataclass(frozen=True)
class StepDecay:
    """α = α₀ · factor^⌊epoch / every⌋: the rate falls in steps, after each `every` epochs.

    As `torch.optim.lr_scheduler.StepLR`.

    >>> StepDecay(every=2, factor=0.5).rates(1.0, 0, 6, 1, 6).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """

    every: int = 10
    factor: float = 0.5

    def __post_init__(self) -> None:
        check_positive_integer(self.every, "every")
        check_real(self.factor, "factor", "in (0, 1]", lambda x: 0 < x <= 1)

    def rates(self, initial: float, first: int, count: int, per_epoch: int, total: int) -> Rates:
        return initial * self.factor ** (_epochs(first, count, per_epoch) // self.every)


@dataclass(frozen=True)
class ExponentialDecay:
    """α = α₀ · factor^epoch (E31's slow fall). As `torch.optim.lr_scheduler.ExponentialLR`.

    >>> ExponentialDecay(factor=0.5).rates(1.0, 0, 4, 2, 4).tolist()
    [1.0, 1.0, 0.5, 0.5]
    """

    factor: float = 0.95

    def __post_init__(self) -> None:
        check_real(self.factor, "factor", "in (0, 1]", lambda x: 0 < x <= 1)

    def rates(self, initial: float, first: int, count: int, per_epoch: int, total: int) -> Rates:
        return initial * self.factor ** _epochs(first, count, per_epoch)


@dataclass(frozen=True)
class InverseScaling:
    """α = α₀ / (1 + epoch)^power; power 1 is the usual decay with decay rate 1.

    scikit-learn's "invscaling" counts examples instead of epochs.

    >>> InverseScaling(power=1.0).rates(1.0, 0, 4, 1, 4).round(3).tolist()
    [1.0, 0.5, 0.333, 0.25]
    """

    power: float = 0.5

    def __post_init__(self) -> None:
        check_number(self.power, "power", zero=False)

    def rates(self, initial: float, first: int, count: int, per_epoch: int, total: int) -> Rates:
        return initial / (1.0 + _epochs(first, count, per_epoch)) ** self.power


@dataclass(frozen=True)
class Cosine:
    """A linear warm-up over `warmup` steps, then half a cosine down to `final`·α₀.

    α_t = α₀ (t + 1) / warmup for t < warmup, then α₀ (final + (1 - final) · ½ (1 + cos(π s))) with
    s = (t - warmup) / (total - warmup).
    Source: Loshchilov and Hutter, 2017.

    >>> Cosine(warmup=2).rates(1.0, 0, 6, 6, 6).round(3).tolist()
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """

    warmup: int = 0
    final: float = 0.0

    def __post_init__(self) -> None:
        check_integer(self.warmup, "warmup", 0)
        check_real(self.final, "final", "in [0, 1]", lambda x: 0 <= x <= 1)

    def rates(self, initial: float, first: int, count: int, per_epoch: int, total: int) -> Rates:
        step = np.arange(first, first + count, dtype=np.float64)
        share = np.clip((step - self.warmup) / max(total - self.warmup, 1), 0.0, 1.0)
        fall = self.final + (1.0 - self.final) * 0.5 * (1.0 + np.cos(math.pi * share))
        return initial * np.where(step < self.warmup, (step + 1.0) / max(self.warmup, 1), fall)


def _epochs(first: int, count: int, per_epoch: int) -> Rates:
    return np.floor_divide(np.arange(first, first + count, dtype=np.float64), per_epoch)


@dataclass(frozen=True)
class ReduceOnPlateau(Constant):
    """The rate falls by `factor` when the watched value has not improved for `patience` epochs.

    The watched value is the cost of the validation set if there is one, else the training cost; or the metric. It must
    improve by more than `min_delta` to count. This schedule depends on the past, so its state (`PlateauState`) is part
    of the training state, and `rates` are those before any fall. Of a stack the mean over the networks that have not
    diverged is watched, and all their rates fall together. As `torch.optim.lr_scheduler.ReduceLROnPlateau` with
    threshold_mode="abs".

    Parameters
    ----------
    factor : float, default 0.5
        In (0, 1).
    patience : int, default 10
        Epochs without improvement that are tolerated; the rate falls after the next one.
    min_delta : float, default 1e-4
    least : float, default 0.0
        The lowest rate.
    monitor, cumulative
        As for `EarlyStopping`.
    stop_at : float, default 0.0
        Training ends when the rate would fall but is this small already.

    Examples
    --------
    >>> schedule, state = ReduceOnPlateau(factor=0.5, patience=1, min_delta=0.0), PlateauState()
    >>> for cost in (3.0, 2.0, 2.0, 2.0, 2.0):
    ...     state = schedule.observe(state, cost)
    ...     print(state.scale, end=" ")
    1.0 1.0 1.0 0.5 0.5
    """

    factor: float = 0.5
    patience: int = 10
    min_delta: float = 1e-4
    least: float = 0.0
    monitor: str = "cost"
    cumulative: bool = True
    stop_at: float = 0.0

    def __post_init__(self) -> None:
        check_real(self.factor, "factor", "in (0, 1)", lambda x: 0 < x < 1)
        check_integer(self.patience, "patience", 0)
        for name in ("min_delta", "least", "stop_at"):
            check_number(getattr(self, name), name)
        check_choice(self.monitor, "monitor", MONITORS)
        check_flag(self.cumulative, "cumulative")

    def observe(self, state: "PlateauState", cost: float) -> "PlateauState":
        """Return the state after an epoch with this cost, or negated metric."""
        if cost < state.best - self.min_delta:
            return PlateauState(state.scale, cost, 0)
        best = cost if not self.cumulative and cost < state.best else state.best
        if state.waited < self.patience:
            return PlateauState(state.scale, best, state.waited + 1)
        return PlateauState(state.scale * self.factor, best, 0)


class PlateauState(NamedTuple):
    """The state of `ReduceOnPlateau`: the factor reached, the best cost, the epochs since."""

    scale: float = 1.0
    best: float = math.inf
    waited: int = 0


SCHEDULES: tuple[type, ...] = (Constant, StepDecay, ExponentialDecay, InverseScaling, Cosine, ReduceOnPlateau)


def check_schedule(schedule: object) -> Schedule:
    """Return the schedule, Constant() for None, or raise TypeError."""
    if schedule is None:
        return CONSTANT
    if isinstance(schedule, type) or not hasattr(schedule, "rates"):
        raise TypeError(f"schedule must be a schedule such as Cosine() or StepDecay(), got {schedule!r}")
    return schedule
