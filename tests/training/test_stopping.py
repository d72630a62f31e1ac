"""Early stopping: what is watched, what counts as an improvement, and what is given back."""

from functools import partial

import numpy as np
import pytest

import vecprop as vp
from helpers import assert_grads_close, cases, make_problem, refusals
from vecprop.nn.metrics import METRICS, greater_is_better
from vecprop.training.results import TrainingState
from vecprop.training.stopping import EarlyStopping, remember_best

NET = vp.Network((4, 6, 3), output="softmax")
_, X, Y, W = make_problem(NET, 60, weights=True)
VALIDATION = make_problem(NET, 25, seed=5)[1:3]


def followed(values, rule):
    """The best of a sequence of values, of one network or of several, and the epoch (from 1) of the stop."""
    best = None
    for epoch, value in enumerate(values, start=1):
        value = np.asarray(value, dtype=np.float64)
        layer = vp.Layer(np.full((*value.shape, 1, 1), float(epoch)), np.zeros((*value.shape, 1, 1)))
        best, stop = remember_best(best, TrainingState((layer,), (), epoch, 0), value, rule)
        if stop:
            return best, epoch
    return best, None


def counted_like_scikit_learn(values, tol, n_iter_no_change):
    """The epoch of the stop by scikit-learn's counter, or None."""
    best, count = np.inf, 0
    for epoch, value in enumerate(values, start=1):
        count = count + 1 if not value <= best - tol else 0
        best = min(best, value) if value == value else best
        if count > n_iter_no_change:
            return epoch
    return None


SLOW = [1.0 - 0.01 * k for k in range(50)]  # falls for ever, each time by less than 0.05
HIGH = [9.0, 7.0, 8.0, 8.0, 8.0, 8.0, 8.0, 2.0, 3.0, 3.0, 3.0, 3.0]
NAN = np.nan


@cases(
    (SLOW, EarlyStopping(7, min_delta=0.05), None, 49, 0.52),  # small improvements add up
    (SLOW, EarlyStopping(7, min_delta=0.05, cumulative=False), 8, 8, 0.93),  # or not, yet the best is the best
    ([1.0, 0.5, NAN, NAN, NAN], EarlyStopping(3), 5, 2, 0.5),  # NaN is no improvement
    ([NAN, NAN, 0.5, 0.6], EarlyStopping(5), None, 3, 0.5),
    ([NAN] * 5, EarlyStopping(3), 4, 1, np.inf),
    (HIGH, EarlyStopping(3), 5, 2, 7.0),
    (HIGH, EarlyStopping(3, baseline=5.0), 11, 8, 2.0),  # above the baseline nothing ends
    ([1.0] * 100, EarlyStopping(None), None, 1, 1.0),
)
def test_when_training_ends_and_what_was_best(values, rule, end, epoch, cost):
    best, stop = followed(values, rule)
    assert (stop, best.epoch, best.cost, best.params[0].W.item()) == (end, epoch, pytest.approx(cost), epoch)


def test_the_baseline_of_each_network_of_a_stack():
    best, stop = followed(np.stack([HIGH, np.full(12, 1.0)], axis=-1), EarlyStopping(3, baseline=5.0))
    assert stop == 11, "the second network ran out of patience long before"
    assert best.improved.tolist() == [8, 1]


@pytest.mark.parametrize("seed", range(5))
def test_the_rule_of_scikit_learn(seed):
    random = np.random.default_rng(seed)
    values = np.cumsum(random.standard_normal(300) * 0.05 - 0.01)
    values[random.integers(0, 300, 5)] = np.nan
    for tol, patience in ((0.0, 3), (0.03, 5), (0.1, 10)):
        rule = EarlyStopping(patience + 1, min_delta=tol, cumulative=False)
        assert followed(values, rule)[1] == counted_like_scikit_learn(values, tol, patience)


@cases(
    (5, None),
    (EarlyStopping(5, restore_best=False), None),
    (EarlyStopping(5, monitor="metric"), "accuracy"),
    (EarlyStopping(5, monitor="metric"), "mean_squared_error"),
)
def test_which_epoch_is_given_back(rule, metric, backend):
    """It overfits 60 random labels: the best epoch of the watched value, or the last; a metric in its own direction."""
    arguments = {"optimizer": vp.Adam(0.05), "batch_size": 16, "validation": VALIDATION, "dtype": "float64"}
    result = vp.fit(NET, X, Y, epochs=200, patience=rule, metric=metric, backend=backend, **arguments)
    values = np.array(result.history["metric" if metric else "validation_cost"])
    best = 1 + int(np.argmax(values) if metric == "accuracy" else np.argmin(values))
    assert (result.stopped, result.state.best.epoch, len(values)) == ("patience", best, best + 5)
    epochs = best if getattr(rule, "restore_best", True) else best + 5
    until = vp.fit(NET, X, Y, epochs=epochs, backend="numpy", **arguments)
    assert_grads_close(result.params, until.params, bound=1e-9, xp=backend.xp)


@pytest.mark.parametrize("patience", [None, EarlyStopping(50, restore_best=False)])
def test_a_run_that_goes_on_without_giving_the_best_back_gives_its_own_last(patience):
    arguments = {"optimizer": vp.Adam(0.05), "batch_size": 16, "validation": VALIDATION, "dtype": "float64"}
    begun = vp.fit(NET, X, Y, epochs=200, patience=2, **arguments)
    result = vp.fit(NET, X, Y, epochs=5, patience=patience, state=begun.state, **arguments)
    assert result.history["validation_cost"][-1] == pytest.approx(NET.cost(result.params, *VALIDATION))


def test_which_metrics_are_better_when_greater():
    assert {name for name, metric in METRICS.items() if not greater_is_better(metric)} == {
        "mean_squared_error", "mean_absolute_error"
    }  # fmt: skip
    assert greater_is_better(lambda Y, A: 0.0)  # noqa: ARG005


def test_the_rate_falls_until_it_is_small_and_then_training_ends():
    """As scikit-learn's "adaptive": nothing improves, so the rate falls every third epoch, and at 1/8 it ends."""
    schedule = vp.ReduceOnPlateau(factor=0.5, patience=2, min_delta=10.0, cumulative=False, stop_at=0.125)
    result = vp.fit(NET, X, Y, optimizer=vp.SGD(0.5, schedule=schedule), epochs=99)
    assert result.stopped == "patience"
    assert result.history["learning_rate"] == pytest.approx([0.5] * 4 + [0.25] * 3 + [0.125] * 3)


def test_a_schedule_watches_the_metric():
    schedule = vp.ReduceOnPlateau(factor=0.5, patience=0, min_delta=2.0, monitor="metric")
    result = vp.fit(NET, X, Y, optimizer=vp.SGD(0.1, schedule=schedule), epochs=4, metric="accuracy")
    assert result.history["learning_rate"] == pytest.approx([0.1, 0.1, 0.05, 0.025])


def test_a_network_that_diverges_lowers_no_rate_of_others():
    net, schedule = vp.Network((4, 3), output="identity"), vp.ReduceOnPlateau(patience=10, min_delta=0.0)
    optimizer = vp.GradientDescent((1e30, 0.01), schedule=schedule)
    with np.errstate(all="ignore"):
        result = vp.fit(net, X, Y, optimizer=optimizer, epochs=40)
    assert not np.isfinite(result.history["cost"][-1][0])
    assert result.history["learning_rate"][-1][1] == pytest.approx(0.01)


fit = partial(vp.fit, NET, X, Y, epochs=1)
test_bad_arguments = refusals(
    lambda call, arguments: call(**arguments),
    (EarlyStopping, {"baseline": 0.5, "monitor": "metric"}, "baseline is a cost"),
    (fit, {"patience": EarlyStopping(monitor="metric")}, "patience watches the metric, and there is none"),
    (fit, {"patience": EarlyStopping(), "min_delta": 0.1}, "min_delta is a part of patience="),
    (fit, {"min_delta": 0.1}, "min_delta is for patience, and there is none: leave min_delta = 0.1 out"),
    (fit, {"optimizer": vp.SGD(schedule=vp.ReduceOnPlateau(monitor="metric"))}, "schedule watches the metric"),
    error=(ValueError, TypeError),
)
