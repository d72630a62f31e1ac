"""The experiments: what `vecprop demo` claims of them holds for several seeds."""

import numpy as np
import pytest

import vecprop as vp
from helpers import assert_near
from vecprop.cli import demo, demonstrations

pytestmark = pytest.mark.reliability
SEEDS = [1, 2, 3]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("section", [demo._gradients, demo._digits, demo._zeros])
def test_what_the_demo_claims_holds(section, seed, tmp_path):
    shown = demo.Demo(tmp_path, seed, quick=True)
    section(shown)
    assert shown.claims and all(holds for _, holds in shown.claims)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hidden_layer_beats_logistic_regression(seed):
    result = demonstrations.planar(seed, epochs=300)
    logistic, network = (demonstrations.accuracy(run, result.test) for run in (result.regression, result.network))
    assert logistic < 0.65 and network > 0.85


@pytest.mark.parametrize("seed", SEEDS)
def test_large_weights_stall_learning(seed):
    small, _, large = runs = demonstrations.saturation(seed)
    assert [run.scale for run in runs] == [1.0, 10.0, 100.0]
    assert large.slope < small.slope / 10 and large.gradient_norm < small.gradient_norm / 5
    assert small.cost < 0.2 and large.cost > 0.5 and small.accuracy > 0.95 > 0.7 > large.accuracy


def test_zero_weights_of_tanh_never_move():
    (tanh, _), (sigmoid, other) = (demonstrations.zero_initialization(hidden=g) for g in ("tanh", "sigmoid"))
    assert tanh.row_difference == tanh.largest_weight == sigmoid.row_difference == 0.0 < sigmoid.largest_weight
    assert other.row_difference > 0.1 and other.accuracy > sigmoid.accuracy


def test_the_slope_is_that_of_tanh_at_the_start():
    (run,) = demonstrations.saturation(0, scales=[3.0], epochs=1)
    first, _ = vp.Network((2, 4, 1)).init(0, "xavier")
    Z1 = 3 * first.W.astype(float) @ vp.datasets.circles().X
    assert run.slope == pytest.approx(np.mean(1 / np.cosh(Z1) ** 2), rel=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_gradient_vanishes_in_a_deep_sigmoid_network_and_two_ways_cure_it(seed):
    sigmoid, *cures = result = demonstrations.deep_gradients(seed)
    assert sigmoid.ratio < 1e-4 and sigmoid.test_accuracy < 0.2
    for run in cures:
        assert 0.5 < run.ratio < 5 and run.test_accuracy > 0.9
    # each layer takes its part: about 1/4 for the sigmoid, about 1 with either cure
    norms = [np.median(run.training.history["gradient_norm"], axis=0) for run in result]
    steps = [each[1:-1] / each[2:] for each in norms]
    assert steps[0].max() < 0.5 and min(steps[1].min(), steps[2].min()) > 0.5
    assert [g.name for g in sigmoid.training.net.hidden] == ["sigmoid"] * 8


@pytest.mark.usefixtures("jax_backend")
def test_the_same_on_jax_where_it_is_the_active_backend():
    ours = demonstrations.planar(5, epochs=20)
    with vp.use_backend("jax"):
        theirs = demonstrations.planar(5, epochs=20)
        zeros, _ = demonstrations.zero_initialization(0, epochs=20)
        assert demonstrations.saturation(0, epochs=1)[0].training.backend.name == "jax"
    assert theirs.network.backend.name == "jax"
    assert_near(theirs.network.params, ours.network.params, rtol=1e-3, atol=1e-4)
    assert zeros.row_difference <= 1e-6 * zeros.largest_weight > 0
    assert str(zeros.training.params[0].W.dtype) == "float64"


@pytest.mark.reliability
@pytest.mark.parametrize("seed", SEEDS)
def test_the_estimators_do_what_the_demonstration_says(seed, request):
    if seed != SEEDS[0] and not request.config.getoption("--long"):
        pytest.skip("with --long")
    result = demonstrations.drop_in(seed)
    assert abs(result.theirs.accuracy - result.ours.accuracy) <= 0.02 and abs(result.inside - 0.8) <= 0.1
    assert result.loaded_predicts_the_same
    assert result.median_r2 > 0.9 and min(result.theirs.accuracy, result.ours.accuracy) > 0.95
    assert result.file_bytes > 4 * 7510  # bytes of 64·100 + 100 + 100·10 + 10 numbers


def test_the_cost_and_the_accuracy_of_a_data_set():
    data = vp.datasets.xor(m=60)
    result = vp.fit(vp.Network((2, 4, 1)), data.X, data.Y, epochs=2)
    A = result.forward(data.X)
    assert demonstrations.accuracy(result, data) == np.mean((A > 0.5) == data.Y)
    loss = -np.mean(data.Y * np.log(A) + (1 - data.Y) * np.log(1 - A))
    assert demonstrations.cost(result, data) == pytest.approx(loss, rel=1e-6)
    digits = demonstrations.digits(epochs=1)
    right = digits.network.forward(digits.test.X).argmax(axis=0) == digits.test.Y.argmax(axis=0)
    assert demonstrations.accuracy(digits.network, digits.test) == right.mean() < 1


def test_the_largest_seed_works_and_the_test_has_other_points():
    result = demonstrations.planar(2**64 - 1, epochs=1)
    assert result.train.X.shape == result.test.X.shape == (2, 400)
    assert not {tuple(x) for x in result.train.X.T} & {tuple(x) for x in result.test.X.T}
