"""Turns an estimator's parameters into the engine's optimizer, schedule and stopping rule."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vecprop.estimators.parameters import Parameters
from vecprop.training.optimizers import LBFGS, SGD, Adam, GradientDescent, Optimizer
from vecprop.training.schedules import CONSTANT, Rates, ReduceOnPlateau, Schedule
from vecprop.training.stopping import EarlyStopping

# scikit-learn's "adaptive" divides by 5 until the rate is this small; its L-BFGS stops at SciPy's default.
_ADAPTIVE_FACTOR, _ADAPTIVE_END = 0.2, 1e-6
_LBFGS_RELATIVE_TOLERANCE = 1e7 * float(np.finfo(np.float64).eps)
_FOR_EVER = 2**31 - 1
# Patience counts only below this multiple of the baseline, at which a network that learns nothing ends.
_ABOVE_BASELINE = 1.05


@dataclass(frozen=True)
class InverseScalingOfExamples:
    """scikit-learn's "invscaling": α₀ / (t + 1)^power, t examples seen before the epoch, m in each.

    `seen` are those before the run, whose first step has the number `first`.

    >>> InverseScalingOfExamples(0.5, m=8).rates(1.0, 0, 3, 1, 3).round(6).tolist()
    [1.0, 0.333333, 0.242536]
    """

    power: float
    m: int
    seen: int = 0
    first: int = 0

    def rates(self, initial: float, first: int, count: int, per_epoch: int, total: int) -> Rates:  # noqa: ARG002
        """Return the rate of each step, by its epoch."""
        epochs = np.floor_divide(np.arange(first - self.first, first - self.first + count, dtype=np.float64), per_epoch)
        return np.asarray(initial / (self.seen + epochs * self.m + 1.0) ** self.power)


@dataclass(frozen=True)
class Planned:
    """A schedule of a run of a number of epochs, whatever the length of the parts in which it is trained.

    >>> from vecprop.training.schedules import Cosine
    >>> Planned(Cosine(), 4).rates(1.0, 2, 1, per_epoch=1, total=3).round(3).tolist()
    [0.5]
    """

    schedule: Schedule
    epochs: int

    def rates(self, initial: float, first: int, count: int, per_epoch: int, total: int) -> Rates:  # noqa: ARG002
        """Return the rate of each step."""
        return self.schedule.rates(initial, first, count, per_epoch, self.epochs * per_epoch)


def optimizer_of(estimator: Parameters, m: int, monitor: str, seen: int, first: int) -> Optimizer:
    """Return the optimizer of a run with m examples an epoch, after `seen` examples in `first` steps."""
    given, rate = estimator.solver, estimator.learning_rate
    own = None if isinstance(rate, str) else rate
    if not isinstance(given, str):
        if own is None or is_lbfgs(estimator):
            return given  # type: ignore[no-any-return]
        if not hasattr(given, "__dataclass_fields__"):
            raise TypeError(f"solver={given!r} cannot be given another schedule: leave learning_rate={own!r} out")
        return replace(given, schedule=own)  # type: ignore[no-any-return]
    if given == "lbfgs":
        return LBFGS(
            tolerance=estimator.tol,
            relative_tolerance=_LBFGS_RELATIVE_TOLERANCE,
            max_evaluations=estimator.max_fun,
        )
    alpha = estimator.learning_rate_init
    if given == "adam":
        return Adam(alpha, estimator.beta_1, estimator.beta_2, estimator.epsilon, own or CONSTANT)
    schedule: Schedule = own or CONSTANT
    if rate == "invscaling":
        schedule = InverseScalingOfExamples(estimator.power_t, m, seen, first)
    elif rate == "adaptive":
        schedule = ReduceOnPlateau(
            _ADAPTIVE_FACTOR,
            _FOR_EVER if estimator.n_iter_no_change == math.inf else int(estimator.n_iter_no_change),
            estimator.tol,
            monitor=monitor,
            cumulative=False,
            stop_at=_ADAPTIVE_END,
        )
    if estimator.momentum == 0:
        return GradientDescent(alpha, schedule)
    return SGD(alpha, estimator.momentum, estimator.nesterovs_momentum, schedule)


def is_lbfgs(estimator: Any) -> bool:
    """Tell whether the solver is L-BFGS, whose line searches take all the examples."""
    return estimator.solver == "lbfgs" or isinstance(estimator.solver, LBFGS)


def is_stochastic(estimator: Any) -> bool:
    """Return True; for L-BFGS, which has no single steps, raise AttributeError for `available_if`."""
    if is_lbfgs(estimator):
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic."
        )
    return True


def stopping_of(estimator: Any, monitor: str, baseline: float) -> EarlyStopping | None:
    """Return scikit-learn's stopping rule: at most `n_iter_no_change` epochs without a gain of `tol`.

    It does not count epochs with a training cost clearly above `baseline`, the cost of the best constant prediction:
    such a network oscillates, for example on unscaled features, and has not converged. With an adaptive learning rate
    the schedule ends training, when the rate has become too small.
    """
    stops_early = monitor != "training_cost"
    if is_lbfgs(estimator) and not stops_early:
        return None
    adaptive = estimator.solver == "sgd" and estimator.learning_rate == "adaptive"
    endless = adaptive or estimator.n_iter_no_change == math.inf
    if endless and not stops_early:
        return None
    return EarlyStopping(
        None if endless else int(estimator.n_iter_no_change) + 1,
        estimator.tol,
        monitor,
        restore_best=stops_early,
        cumulative=False,
        baseline=None if stops_early or baseline == math.inf else _ABOVE_BASELINE * baseline + estimator.tol,
    )
