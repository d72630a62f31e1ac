"""Every schedule against its formula by hand, and the plateau against PyTorch's."""

import math
from dataclasses import FrozenInstanceError
from functools import partial

import numpy as np
import pytest

from vecprop import Constant, Cosine, ExponentialDecay, InverseScaling, ReduceOnPlateau, StepDecay
from vecprop.training.schedules import SCHEDULES, PlateauState

INITIAL = 0.3
EPOCHS, PER_EPOCH = 25, 4
TOTAL = EPOCHS * PER_EPOCH


def rates_of(schedule, first=0, count=TOTAL, per_epoch=PER_EPOCH, total=TOTAL):
    return schedule.rates(INITIAL, first, count, per_epoch, total)


def assert_rates(actual, desired, rtol=1e-14):
    assert actual.dtype == np.float64 and actual.shape == np.shape(desired)
    np.testing.assert_allclose(actual, desired, rtol=rtol, atol=0)


# --- by hand ------------------------------------------------------------------------------------------------


def warm_cosine(t, warmup, final):
    if t < warmup:
        return INITIAL * (t + 1) / warmup
    share = (t - warmup) / (TOTAL - warmup)
    return INITIAL * (final + (1 - final) * (1 + math.cos(math.pi * share)) / 2)


# schedule, and α at step t
BY_HAND = {
    "constant": (Constant(), lambda t: INITIAL),  # noqa: ARG005
    "steps": (StepDecay(every=3, factor=0.1), lambda t: INITIAL * 0.1 ** (t // PER_EPOCH // 3)),
    "steps, as they come": (StepDecay(), lambda t: INITIAL * 0.5 ** (t // PER_EPOCH // 10)),
    "exponential": (ExponentialDecay(0.9), lambda t: INITIAL * 0.9 ** (t // PER_EPOCH)),
    "exponential, factor 1": (ExponentialDecay(1), lambda t: INITIAL),  # noqa: ARG005
    "inverse": (InverseScaling(1.0), lambda t: INITIAL / (1 + t // PER_EPOCH)),
    "inverse root": (InverseScaling(), lambda t: INITIAL / math.sqrt(1 + t // PER_EPOCH)),
    "cosine": (Cosine(), partial(warm_cosine, warmup=0, final=0.0)),
    "cosine, warm": (Cosine(warmup=7, final=0.1), partial(warm_cosine, warmup=7, final=0.1)),
    "plateau": (ReduceOnPlateau(), lambda t: INITIAL),  # noqa: ARG005
}


@pytest.mark.parametrize(("schedule", "rate"), BY_HAND.values(), ids=BY_HAND)
def test_every_step_by_hand(schedule, rate):
    """The rates from step k on are the tail of all, bit for bit, wherever an epoch is cut; all scale with the first."""
    whole = rates_of(schedule)
    assert_rates(whole, [rate(t) for t in range(TOTAL)], rtol=1e-13)
    for k in (1, PER_EPOCH, 4 * PER_EPOCH + 3, TOTAL - 1):
        np.testing.assert_array_equal(rates_of(schedule, first=k, count=TOTAL - k), whole[k:])
        np.testing.assert_array_equal(rates_of(schedule, first=k, count=1), whole[k : k + 1])
    assert rates_of(schedule, first=3, count=0).shape == (0,)
    np.testing.assert_allclose(schedule.rates(1.0, 0, TOTAL, PER_EPOCH, TOTAL) * INITIAL, whole, rtol=1e-15)


def test_cosine_at_its_ends():
    rates = Cosine(warmup=5, final=0.2).rates(1.0, 0, 12, 1, 10)
    assert_rates(rates[:6], [0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert_rates(rates[10:], [0.2, 0.2])  # past the end of the run it stays where it is
    assert_rates(Cosine(warmup=10).rates(1.0, 0, 3, 1, 3), [0.1, 0.2, 0.3])  # a run that is over before it is warm
    assert_rates(Cosine(final=1.0).rates(1.0, 0, 4, 1, 4), [1, 1, 1, 1])
    assert (np.diff(rates_of(Cosine())) < 0).all()


# --- the plateau --------------------------------------------------------------------------------------------


def observed(schedule, costs):
    """The states after each cost."""
    state, states = PlateauState(), []
    for cost in costs:
        state = schedule.observe(state, float(cost))
        states.append(state)
    return states


def plateaus(seed, count=300):
    """Costs that fall, rest and rise, with steps about as large as min_delta; one is NaN, one infinite."""
    rng = np.random.default_rng(seed)
    costs = 3.0 + np.cumsum(rng.choice([-0.1, -0.01, 0.0, 0.02], count) * rng.integers(0, 2, count))
    costs[50], costs[60] = np.nan, np.inf
    return costs


@pytest.mark.parametrize("patience", [0, 1, 5])
@pytest.mark.parametrize("min_delta", [0.0, 0.01, 0.05])
def test_plateau_of_torch(min_delta, patience):
    torch = pytest.importorskip("torch")
    schedule = ReduceOnPlateau(factor=0.5, patience=patience, min_delta=min_delta)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=INITIAL)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience, threshold=min_delta, threshold_mode="abs", eps=0.0
    )
    falls = set()
    for seed in range(3):
        theirs._reset()
        optimizer.param_groups[0]["lr"] = INITIAL
        costs = plateaus(seed)
        for cost, state in zip(costs, observed(schedule, costs), strict=True):
            theirs.step(float(cost))
            assert INITIAL * state.scale == optimizer.param_groups[0]["lr"]  # halving rounds nothing
            assert (state.best, state.waited) == (theirs.best, theirs.num_bad_epochs)
        falls.add(state.scale)
    assert max(falls) < 1.0, "the sequences have plateaus"


def test_a_fall_of_min_delta_is_no_improvement():
    state = observed(ReduceOnPlateau(min_delta=0.25), [1.0, 0.75])[-1]
    assert state == (1.0, 1.0, 1)
    assert observed(ReduceOnPlateau(min_delta=0.25), [1.0, 0.7])[-1] == (1.0, 0.7, 0)
    assert observed(ReduceOnPlateau(patience=0), [1.0, 1.0, 0.5])[-1] == (0.5, 0.5, 0), "the rate stays low"


@pytest.mark.parametrize("kind", SCHEDULES)
def test_schedules_are_values(kind):
    assert kind() == kind() and hash(kind()) == hash(kind())
    with pytest.raises((FrozenInstanceError, AttributeError)):
        kind().factor = 2.0
