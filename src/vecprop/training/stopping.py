"""Early stopping: the watched value, the end of a run, and the network it returns."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.backend.namespaces import array_namespace, device_of
from vecprop.nn.metrics import greater_is_better
from vecprop.training.epochs import choose
from vecprop.training.results import Best, History, TrainingState
from vecprop.training.schedules import MONITORS
from vecprop.utils.arguments import check_choice, check_flag, check_number, check_positive_integer, check_real


@dataclass(frozen=True)
class EarlyStopping:
    """End training when the watched value has not improved for a while.

    `fit(patience=10)` is `fit(patience=EarlyStopping(10))`.

    Parameters
    ----------
    patience : int or None, default 10
        Epochs without improvement after which training ends. With None it does not end early, but the best network is
        returned.
    min_delta : float, default 0.0
        An improvement must be larger than this.
    monitor : "cost" (default), "training_cost" or "metric"
        "cost" is that of the validation set, or without one the training cost. "metric" is that given to `fit`; greater
        is better, except for the mean errors.
    restore_best : bool, default True
        Return the network of the best epoch; else that of the last.
    cumulative : bool, default True
        Improvements smaller than min_delta add up, as in Keras: an epoch is compared with the last one that improved.
        If False it is compared with the best of all so far, as in scikit-learn.
    baseline : float, optional
        Patience starts to run out only when the watched cost has been as low as this. For example the cost of a
        constant prediction: above it a run still oscillates.

    Raises
    ------
    ValueError, TypeError
        With the argument, its value and the values allowed.

    Examples
    --------
    >>> EarlyStopping(patience=0)
    Traceback (most recent call last):
    ValueError: patience must be a positive integer, got 0
    """

    patience: int | None = 10
    min_delta: float = 0.0
    monitor: str = "cost"
    restore_best: bool = True
    cumulative: bool = True
    baseline: float | None = None

    def __post_init__(self) -> None:
        if self.patience is not None:
            check_positive_integer(self.patience, "patience")
        object.__setattr__(self, "min_delta", check_number(self.min_delta, "min_delta"))
        check_choice(self.monitor, "monitor", MONITORS)
        check_flag(self.restore_best, "restore_best")
        check_flag(self.cumulative, "cumulative")
        if self.baseline is not None:
            if self.monitor == "metric":
                raise ValueError(f"baseline is a cost, and monitor={self.monitor!r} watches none")
            check_real(self.baseline, "baseline", "or None", lambda _: True)

    @property
    def limit(self) -> float:
        """The cost above which training does not end."""
        return math.inf if self.baseline is None else self.baseline


def watched(history: History, monitor: str, metric: Any, last: int = 1) -> npt.NDArray[np.float64]:
    """Return the value to be minimized, a cost or a negated metric, (K,) for a stack, `last` epochs from the end."""
    if monitor == "metric":
        value = np.asarray(history["metric"][-last], dtype=np.float64)
        return -value if greater_is_better(metric) else value
    key = "validation_cost" if monitor == "cost" and "validation_cost" in history else "cost"
    return np.asarray(history[key][-last], dtype=np.float64)


def remember_best(
    best: Best | None, state: TrainingState, value: npt.NDArray[np.float64], rule: EarlyStopping
) -> tuple[Best, bool]:
    """Return the best network so far and whether patience has run out, in a stack for all.

    A network of a stack whose patience has run out is no longer updated, so that it ends as in a run of its own. NaN is
    not an improvement.
    """
    several = value.ndim > 0
    # without restore_best one network is that of the last epoch, which need not be kept
    kept = (state.params, state.statistics) if rule.restore_best or several else ((), ())
    if best is None:
        value = np.where(np.isfinite(value), value, np.inf)
        best = Best(np.inf, state.epoch, *kept, state.epoch)
    waiting = np.full(value.shape, True)
    if rule.patience is not None and several:
        waiting &= state.epoch - 1 - best.improved < rule.patience
    with np.errstate(invalid="ignore"):
        improved = waiting & (value < best.cost - rule.min_delta)
        better = improved if rule.cumulative else waiting & (value < best.cost)
    taken = better if rule.restore_best else waiting  # without restore_best, the last one before patience ran out
    if not taken.all():
        before, W = (best.params, best.statistics), state.params[0].W
        xp = array_namespace(W)
        kept = choose(xp, xp.asarray(taken, **device_of(W)), kept, before) if taken.any() else before
    cost, epoch = np.where(better, value, best.cost), np.where(better, state.epoch, best.epoch)
    since = np.where(improved | (cost > rule.limit), state.epoch, best.improved)
    ends = rule.patience is not None and bool((state.epoch - since >= rule.patience).all())
    if not several:
        cost, epoch, since = (number.item() for number in (cost, epoch, since))
    return Best(cost, epoch, *kept, since), ends


def leaving(best: Best, epoch: int, patience: int, share: float) -> npt.NDArray[np.int64] | None:
    """Return the networks of a stack (K',) that go on alone, once they are no more than a share of it; else None.

    They are those that had patience left when there were as few for the first time, also if `epoch` is later: a run
    that is resumed takes the same ones.

    >>> improved = np.array([3, 9, 2, 5])
    >>> leaving(Best(None, None, (), (), improved), 9, 4, 0.5).tolist()
    [1, 3]
    """
    ends = best.improved + patience
    for end in np.unique(ends[ends <= epoch]):
        going_on = np.flatnonzero(ends > end)
        if 0 < len(going_on) <= share * len(ends):
            return going_on
    return None
