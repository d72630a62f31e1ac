"""Early stopping: what is watched, when a run ends, and which network it gives back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vecprop.backend.namespaces import array_namespace, device_of
from vecprop.backend.pytrees import map_trees
from vecprop.nn.metrics import greater_is_better
from vecprop.propagation import per_column
from vecprop.training.results import Best, History, TrainingState
from vecprop.training.schedules import check_monitor
from vecprop.utils.arguments import check_flag, check_number, check_positive_integer, check_real

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class EarlyStopping:
    """End training when what is watched has not improved for a while.

    `fit(patience=10)` is `fit(patience=EarlyStopping(10))`.

    Parameters
    ----------
    patience : int or None, default 10
        Epochs without improvement after which training ends; None: it does not, and the best network is given back.
    min_delta : float, default 0.0
        An improvement is one by more than this.
    monitor : "cost" (default), "training_cost" or "metric"
        The cost of the validation set, without one the training cost; the training cost; or the metric that `fit` was
        given, which is better the greater it is, but for the mean errors.
    restore_best : bool, default True
        Give back the network of the best epoch; else that of the last.
    cumulative : bool, default True
        Improvements smaller than min_delta add up, as in Keras: one epoch is compared with the last that improved. If
        False, as in scikit-learn, with the best of all so far.
    baseline : float, optional
        Patience does not begin to run out before the cost that is watched has been as low as this: the cost of a
        constant prediction, say, above which a run is not at its end, it oscillates.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what came and what is wanted.

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
        check_monitor(self.monitor)
        check_flag(self.restore_best, "restore_best")
        check_flag(self.cumulative, "cumulative")
        if self.baseline is not None:
            if self.monitor == "metric":
                raise ValueError(f"baseline is a cost, and monitor={self.monitor!r} watches none")
            check_real(self.baseline, "baseline", "or None", lambda _: True)

    @property
    def limit(self) -> float:
        """The cost above which nothing ends."""
        return math.inf if self.baseline is None else self.baseline


def watched(history: History, monitor: str, metric: Any, last: int = 1) -> npt.NDArray[np.float64]:
    """Return the value to be minimized, a cost or a negated metric; (K,) for a stack.

    That of the last epoch, or the one `last` from the end.

    >>> float(watched({"cost": [2.0], "validation_cost": [3.0]}, "cost", None))
    3.0
    """
    if monitor == "metric":
        value = np.asarray(history["metric"][-last], dtype=np.float64)
        return -value if greater_is_better(metric) else value
    key = "validation_cost" if monitor == "cost" and "validation_cost" in history else "cost"
    return np.asarray(history[key][-last], dtype=np.float64)


def remember_best(
    best: Best | None, state: TrainingState, value: npt.NDArray[np.float64], rule: EarlyStopping
) -> tuple[Best, bool]:
    """Return the best network so far and whether patience has run out, for a stack that of all its networks.

    A network of a stack whose patience has run out is not looked at again: what is kept of it is what its own run would
    give back. A value that is NaN is no improvement.
    """
    if value.ndim == 0:
        return _remember_one(best, state, float(value), rule)
    kept = (state.params, state.statistics)
    if best is None:
        start, epoch = np.where(np.isfinite(value), value, np.inf), np.full(value.shape, state.epoch)
        return Best(start, epoch, *kept, epoch), False
    waiting = np.full(value.shape, True)
    if rule.patience is not None:
        waiting &= state.epoch - 1 - best.improved < rule.patience
    with np.errstate(invalid="ignore"):
        improved = waiting & (value < best.cost - rule.min_delta)
        better = improved if rule.cumulative else waiting & (value < best.cost)
    taken = better if rule.restore_best else waiting  # the last one, while it waits
    if not taken.all():
        kept = _choose(taken, kept, (best.params, best.statistics)) if taken.any() else (best.params, best.statistics)
    cost, epoch = np.where(better, value, best.cost), np.where(better, state.epoch, best.epoch)
    best = Best(cost, epoch, *kept, np.where(improved | (cost > rule.limit), state.epoch, best.improved))
    return best, rule.patience is not None and bool((state.epoch - best.improved >= rule.patience).all())


def _remember_one(best: Best | None, state: TrainingState, value: float, rule: EarlyStopping) -> tuple[Best, bool]:
    """`remember_best` of one network; that of the last epoch needs no keeping."""
    kept = (state.params, state.statistics) if rule.restore_best else ((), ())
    if best is None:
        return Best(value if math.isfinite(value) else math.inf, state.epoch, *kept, state.epoch), False
    improved = value < best.cost - rule.min_delta
    if improved or (not rule.cumulative and value < best.cost):
        best = Best(value, state.epoch, *kept, state.epoch if improved else best.improved)
    if not rule.restore_best:  # nor does it give back what an earlier run kept
        best = best._replace(params=(), statistics=())
    if best.cost > rule.limit:
        best = best._replace(improved=state.epoch)
    return best, rule.patience is not None and state.epoch - best.improved >= rule.patience


def _choose(better: npt.NDArray[np.bool_], new: Any, old: Any) -> Any:
    """Return the arrays of a stack, of `new` for the networks that are better and of `old` for the others."""
    W = new[0][0].W
    xp = array_namespace(W)
    where = per_column(xp.asarray(better, **device_of(W)))
    return map_trees(lambda a, b: xp.where(where, a, b), new, old)
