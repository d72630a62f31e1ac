"""`diagnose`: each trouble, made on purpose, is found by its name, and nothing is found in healthy runs."""

import copy
import re
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest

import vecprop as vp
from helpers import assert_same, cases
from vecprop.estimators import MLPClassifier, MLPRegressor, PackRegressor, training
from vecprop.inspection.diagnosis import Diagnosis, Finding, diagnose
from vecprop.inspection.diagnosis_checks import still_falling
from vecprop.inspection.diagnosis_evidence import evidence_of

Descent, Network = vp.GradientDescent, vp.Network
SEEDS = [0, 1]


def fit(net, X, Y, optimizer, epochs, seed, **options):
    return vp.fit(net, X, Y, **{"optimizer": optimizer, "epochs": epochs, "seed": seed, "batch_size": 50} | options)


def diverged(*args, **options):
    with pytest.raises(vp.DivergenceError) as caught:
        fit(*args, **options)
    return caught.value


def run(net, data, optimizer, epochs, train=fit, factors=None, **options):
    """A function of the seed that trains on its data; `factors` are those of the initial weights of the layers."""

    def trained(seed):
        X, Y, *more = data(seed=seed)
        if factors:
            more.append({"params": [(W * np.float32(c), b) for (W, b), c in zip(net.init(seed), factors, strict=True)]})
        return train(net, X, Y, optimizer, epochs, seed, **options, **(more[0] if more else {}))

    return trained


# --- data: X, Y, and options that belong to them ------------------------------------------------------------

circles, flower, xor = vp.datasets.circles, vp.datasets.flower, vp.datasets.xor


def surface(m, seed, noise=0.1, scale=1, shift=0, features=1, mean=0):
    """A regression with four features of these sizes around this mean: sin(x1) + x2 x3 of them before, and noise."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((4, m))
    Y = np.sin(X[:1]) + X[1:2] * X[2:3] + noise * random.standard_normal((1, m))
    return X * features + mean, scale * Y + shift


def moons(seed, scale=1.0, shift=0.0):
    X, Y = vp.datasets.moons(seed=seed)
    return X * scale + shift, Y


def other_moons(seed):
    X, Y = vp.datasets.moons(100, seed + 99)
    return *moons(seed), {"validation": (1.5 * X + 0.5, Y)}


def sorted_moons(seed):
    X, Y = moons(seed)
    order = np.argsort(Y[0])
    first, last = order[:250], order[250:]
    return X[:, first], Y[:, first], {"validation": (X[:, last], Y[:, last])}


def moons_of_tanh(seed):
    X, Y = moons(seed)
    return X, 2 * Y - 1, {"params": [(np.zeros((1, 2), "float32"), np.full((1, 1), -20.0, "float32"))]}


def moons_for_dead_units(seed):
    (W, b), last = Network((2, 16, 1), "relu").init(seed)
    b = b - np.where(np.arange(16)[:, None] < 8, 50, 0).astype("float32")
    return *moons(seed), {"params": [(W, b), last]}


def product_of_two(seed):
    X = np.random.default_rng(seed).standard_normal((3, 500))
    return X, X[:1] * X[1:2]


def chance(seed):
    random = np.random.default_rng(seed)
    return random.standard_normal((10, 100)), random.integers(0, 2, (1, 100)).astype(float)


def one_of_sixty_features(seed):
    random = np.random.default_rng(seed)
    X = random.standard_normal((60, 120))
    return X, X[:1] + 0.5 * random.standard_normal((1, 120))


def separable(seed):
    X = np.random.default_rng(seed).standard_normal((4, 300))
    return X, (X[:1] + X[1:2] > 0).astype(float)


def imbalanced(seed):
    Y = (np.arange(1000) < 50)[None].astype(float)
    return np.random.default_rng(seed).standard_normal((4, 1000)) + 2 * Y, Y


# --- troubles made on purpose -------------------------------------------------------------------------------

DEEP, LINE = Network((2, *[16] * 8, 1), "sigmoid"), Network((4, 1), output="identity")
HIDDEN, SURFACE = Network((4, 16, 1), "relu", "identity"), partial(surface, 300)
# Each is found by the name that its own begins with.
TROUBLES = {
    "vanishing_gradients": run(DEEP, partial(xor, 300), vp.Adam(0.001), 30),
    "exploding_gradients": run(
        Network((4, *[32] * 6, 1), "leaky_relu", "identity"), SURFACE, Descent(1e-3), 10, factors=[3] * 7, clip_norm=1.0
    ),
    "saturated_units": run(Network((2, 8, 1)), circles, Descent(0.1), 30, factors=[100, 1]),
    # with the squared error dZ carries the slope of the output too (E25)
    "saturated_units_at_the_output": run(
        Network((2, 1), output="tanh", loss="squared_error"), moons_of_tanh, Descent(0.1), 20
    ),
    "dead_relu": run(Network((2, 16, 1), "relu"), moons_for_dead_units, vp.Adam(0.02), 60),
    "identical_units": run(Network((2, 4, 1), "sigmoid"), flower, Descent(1.0), 30, init="zeros"),
    "identical_units_that_never_move": run(Network((2, 4, 1)), flower, Descent(1.0), 30, init="zeros"),
    "unscaled_inputs": run(
        Network((2, 16, 1)), partial(moons, scale=[[1.0], [1000.0]], shift=300), vp.Adam(0.01), 30
    ),
    "unscaled_inputs_far_from_0": run(Network((2, 16, 1)), partial(moons, scale=0.005, shift=2), vp.Adam(0.01), 30),
    "unscaled_inputs_small": run(Network((2, 16, 1)), partial(moons, scale=0.02), vp.Adam(0.01), 30),
    "unscaled_targets": run(
        Network((4, 16, 1), output="identity"), partial(surface, 300, scale=1000, shift=5000), vp.Adam(0.01), 30
    ),
    "different_data": run(Network((2, 16, 1)), other_moons, vp.Adam(0.02), 60),
    "different_data_sorted_by_class": run(Network((2, 16, 1)), sorted_moons, vp.Adam(0.03), 100),
    "learning_rate_too_high": run(LINE, SURFACE, Descent(1.7), 60, batch_size=30),
    "learning_rate_too_high_and_rising": run(LINE, SURFACE, Descent(2.03), 20, batch_size=None),
    "learning_rate_too_high_at_first": run(Network((4, 1)), separable, vp.Adam(100.0), 20),
    "still_falling": run(Network((2, 32, 1)), vp.datasets.spirals, vp.Adam(0.01), 15),
    "still_falling_barely": run(Network((2, 16, 1)), moons, Descent(1e-4), 60),
    "high_bias": run(Network((2, 1)), circles, Descent(1.0), 60, validation=0.2),
    "high_bias_regression": run(Network((3, 1), output="identity"), product_of_two, Descent(0.1), 60),
    "high_variance": run(Network((10, 64, 1)), chance, vp.Adam(0.01), 100, batch_size=20, validation=0.3),
    "high_variance_in_spite_of_early_stopping": run(
        Network((60, 64, 1), output="identity"), one_of_sixty_features, vp.Adam(0.003), 100,
        batch_size=20, validation=0.3, patience=5,
    ),
    "diverged_members": run(HIDDEN, SURFACE, Descent((0.001, 0.05, 100.0)), 60),
    "divergence": run(HIDDEN, partial(SURFACE, features=100), Descent(0.1), 60, diverged),
    "divergence_late": run(LINE, SURFACE, Descent(2.5), 2000, diverged, batch_size=None),
}  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_trouble_made_on_purpose_is_found_and_nothing_else(trouble, seed):
    diagnosis = diagnose(TROUBLES[trouble](seed))
    (name,) = [finding.name for finding in diagnosis]
    assert f"{trouble}_".startswith(f"{name}_"), str(diagnosis)
    assert diagnosis and name in diagnosis and len(diagnosis) == 1
    finding = diagnosis[name]
    assert finding.numbers and finding.message and finding.advice
    assert max(map(len, str(finding).splitlines())) <= 100
    assert diagnose.__doc__.count(f'"{name}"') >= 1


XOR = np.array([[0.0, 0, 1, 1], [0, 1, 0, 1]]), np.array([[1.0, 0, 0, 1], [0, 1, 1, 0]])


@cases(
    (Network((2, 2, 2), hidden="sigmoid", output="sigmoid", loss="squared_error"), XOR, Descent(0.1), True),
    (Network((2, 2, 1), hidden="sigmoid"), vp.datasets.xor(200), Descent(0.1), True),
    (Network((2, 1, 1)), vp.datasets.circles(), vp.Adam(0.05), False),
    (Network((2, 2, 1)), vp.datasets.flower(), vp.Adam(0.05), False),
    (Network((2, 1)), vp.datasets.xor(200), Descent(0.1), False),  # all seeds end at the same place
)
def test_other_seeds_are_advised_first_where_a_network_is_stuck(net, data, optimizer, stuck):
    finding = diagnose(fit(net, *data, optimizer, 300, 0))["high_bias"]
    assert finding.advice.startswith("other seeds") == stuck and finding.advice.count("other seeds") == 1
    assert ("training is stuck" in finding.message) == stuck


@cases((8, False), (9, True))
def test_a_few_epochs_are_no_rest(epochs, found):
    """Their costs may lie on a level by chance."""
    few = run(Network((2, 1)), circles, Descent(1.0), epochs, validation=0.2)
    assert ("high_bias" in diagnose(few(0))) == found


@pytest.mark.parametrize("seed", SEEDS)
def test_long_steps_that_kill_units(seed):
    net = Network((4, 32, 32, 1), hidden="relu", output="identity")
    names = [finding.name for finding in diagnose(fit(net, *surface(300, seed), vp.Adam(1.0), 30, seed))]
    assert names[0] == "dead_relu" and set(names) <= {"dead_relu", "learning_rate_too_high"}


# --- healthy runs -------------------------------------------------------------------------------------------


HEALTHY = {
    "xor_tanh": run(Network((2, 8, 1)), xor, vp.Adam(0.05), 100, validation=0.2),
    "xor_for_long": run(Network((2, 8, 1)), xor, vp.Adam(0.1), 1000, batch_size=None),
    "xor_relu": run(Network((2, 16, 1), "relu"), xor, Descent(0.5), 200),
    "moons_sigmoid": run(Network((2, 16, 1), "sigmoid"), moons, vp.Adam(0.05), 150, validation=0.2),
    "moons_wide": run(Network((2, 128, 128, 1), "relu"), moons, vp.Adam(0.003), 30, validation=0.2),
    "regression_tanh": run(
        Network((4, 32, 1), output="identity"), partial(surface, 800), vp.Adam(0.02), 100, validation=0.2, metric="r2"
    ),
    "regression_wide": run(
        Network((4, 256, 1), "relu", "identity"), partial(surface, 1000), vp.Adam(0.005), 40,
        validation=0.2, patience=10,
    ),
    "regression_noisy": run(
        Network((4, 16, 1), output="identity"), partial(surface, 800, noise=1.0), vp.Adam(0.01), 150,
        validation=0.2, patience=20,
    ),
    "regression_standardized": run(
        Network((4, 32, 1), output="identity"), partial(surface, 800, features=[[1], [100], [0.01], [5]], mean=40),
        vp.Adam(0.02), 100, standardize=True,
    ),
    "imbalanced_classes": run(
        Network((4, 8, 1)), imbalanced, vp.Adam(0.02), 60, class_weight="balanced", validation=0.2
    ),
}  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("healthy", HEALTHY)
def test_nothing_is_found_in_a_healthy_run(healthy, seed):
    diagnosis = diagnose(HEALTHY[healthy](seed))
    assert not diagnosis and list(diagnosis) == [] and "high_bias" not in diagnosis, str(diagnosis)
    assert "nothing found" in str(diagnosis) and diagnosis.numbers


@cases(
    (1, "relu", {"validation": 0.2, "metric": "accuracy"}),
    (1, "relu", {"dropout": 0.2, "validation": 0.2}),
    (2, "tanh", {"batch_norm": True, "standardize": True, "validation": 0.2, "patience": 3}),
    (2, "relu", {"batch_norm": True, "validation": 0.2}),
    (6, "sigmoid", {"batch_norm": True}),
)
def test_nothing_is_found_where_digits_are_learned(depth, hidden, options):
    data = vp.datasets.digits()
    net = Network((64, *[48] * depth, 10), hidden=hidden, output="softmax")
    diagnosis = diagnose(fit(net, data.X, data.Y, vp.Adam(0.003), 15, 0, **options))
    assert not diagnosis, str(diagnosis)


def test_the_scaling_that_training_did_itself_is_seen():
    X, Y = vp.datasets.moons()
    given = {"net": Network((2, 8, 8, 1)), "X": 100 * X, "Y": Y, "optimizer": vp.Adam(0.02), "epochs": 8, "seed": 0}
    for options in ({}, {"batch_norm": True}, {"patience": 3}, {"batch_norm": (False, True)}):
        assert "unscaled_inputs" not in diagnose(fit(**given, standardize=True, **options))
        assert "unscaled_inputs" in diagnose(fit(**given, **options))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_advice_for_an_estimator_has_its_words():
    """Each setting that is advised is one of its parameters, also after a divergence."""
    (X, Y), how = vp.datasets.moons(m=200, noise=0.4), {"random_state": 0, "max_iter": 300, "n_iter_no_change": 300}
    X, y, third = X.T, Y[0], np.arange(200) % 3 == 0
    found = [
        MLPRegressor(**how).fit(X, 1000 * y),
        MLPClassifier(**how).fit(1000 * X, y),
        MLPClassifier((64, 64), learning_rate_init=0.01, **how).fit(
            X[third], y[third], X_val=X[~third], y_val=y[~third]
        ),
        MLPClassifier((8,) * 8, "logistic", max_iter=30, random_state=0).fit(X, y),
    ]
    with pytest.raises(vp.DivergenceError) as diverged:
        MLPRegressor(solver="sgd", learning_rate_init=1e5, random_state=0).fit(X, y)
    diagnoses = [diagnose(result) for result in (*found, diverged.value)]
    names = [finding.name for diagnosis in diagnoses for finding in diagnosis]
    wanted = {"unscaled_targets", "unscaled_inputs", "high_variance", "vanishing_gradients", "divergence"}
    assert wanted <= set(names)
    advised = {word for d in diagnoses for f in d for word in re.findall(r"(\w+)=", f.advice)}
    assert {"scale", "scale_target", "alpha", "activation", "early_stopping"} <= advised
    assert advised <= {*MLPRegressor().get_params()}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_run_that_scaled_its_inputs_is_not_told_to():
    X, Y = surface(100, 0)
    errors = []
    for optimizer, solver, factor in ((vp.GradientDescent(2.5e3), "sgd", 1), (vp.LBFGS(), "lbfgs", 1e300)):
        for options in ({}, {"standardize": True}):
            with pytest.raises(vp.DivergenceError) as error:
                vp.fit(LINE, X, factor * Y, optimizer=optimizer, epochs=2000, **options)
            errors.append(error.value)
        for options in ({}, {"scale": "standard"}):
            with pytest.raises(vp.DivergenceError) as error, np.errstate(over="ignore"):
                MLPRegressor(solver=solver, learning_rate_init=1e5, random_state=0, **options).fit(X.T, factor * Y[0])
            errors.append(error.value)
    for advice in (list(map(str, errors)), [diagnose(error)["divergence"].advice for error in errors]):
        assert ["scale the inputs" in words for words in advice] == [True, False] * 4


def test_l_bfgs_has_no_learning_rate_to_change():
    X, Y = surface(100, 0)
    net = vp.Network((len(X), 6, 1), output="identity")
    advice = [
        diagnose(vp.fit(net, X, Y, optimizer=optimizer, epochs=5))["still_falling"].advice
        for optimizer in (vp.LBFGS(), vp.GradientDescent(1e-3))
    ]
    assert advice[0] == "more epochs." and "learning rate" in advice[1]


def test_a_pack_is_advised_nothing_that_it_chooses_by_itself():
    X, Y = surface(100, 0)
    findings = [*diagnose(PackRegressor(random_state=0).fit(X[:, :20].T, Y[0, 20:40]))]
    assert findings and not [f for f in findings if re.search(r"rate|l2|alpha|dropout|units|epochs", f.advice)]
    assert "→" not in str(replace(findings[0], advice=""))


# --- what is measured ---------------------------------------------------------------------------------------


def test_the_gradient_that_arrives_does_not_depend_on_the_widths():
    """At the start of a healthy network each layer gets about as much as the last, narrow or wide."""
    X, Y = surface(500, 0)
    for sizes in ((4, 8, 8, 1), (4, 512, 512, 1), (4, 512, 8, 1), (4, 8, 512, 1)):
        result = fit(Network(sizes, "relu", "identity"), X, Y, Descent(1e-4), 1, 0)
        numbers = diagnose(result).numbers
        assert 0.1 < numbers["gradient of the weakest layer / of the last"] < 10


def test_the_gradient_that_arrives_falls_by_the_slope_of_the_sigmoid():
    """About a factor 1/4 for each layer (E17, E36): He's and Xavier's weights alone would keep the size of dZ."""
    ratios = []
    for depth in (2, 6, 10):
        result = fit(Network((2, *[16] * depth, 1), "sigmoid"), *vp.datasets.xor(200), Descent(1e-3), 2, 0)
        ratios.append(diagnose(result).numbers["gradient of the weakest layer / of the last"])
    factors = (np.array(ratios[1:]) / ratios[:-1]) ** (1 / 4)
    assert (factors > 1 / 6).all() and (factors < 1 / 3).all()


def test_the_baseline_is_the_cost_of_predicting_the_mean():
    X, Y = np.zeros((1, 8)), np.array([[0, 0, 0, 0, 0, 0, 1, 1.0]])
    result = fit(Network((1, 1)), np.arange(8.0)[None] / 8, Y, Descent(0.01), 3, 0)
    p = 0.25
    assert evidence_of(result).baseline == pytest.approx(-p * np.log(p) - (1 - p) * np.log(1 - p))
    regression = fit(Network((1, 1), output="identity"), X + Y, Y, Descent(0.01), 3, 0)
    assert evidence_of(regression).baseline == pytest.approx(Y.var() / 2)
    one_hot = np.concatenate([Y, 1 - Y])
    classes = fit(Network((1, 2), output="softmax"), X + Y, one_hot, Descent(0.01), 3, 0)
    assert evidence_of(classes).baseline == pytest.approx(-p * np.log(p) - (1 - p) * np.log(1 - p))


def test_the_numbers_of_dead_and_saturated_units_are_right():
    result = TROUBLES["dead_relu"](0)
    (W1, b1), _ = result.params
    dead = (W1 @ result.sample.X + b1 <= 0).all(axis=1).mean()
    assert diagnose(result)["dead_relu"].numbers["share"] == dead >= 0.5
    assert diagnose(TROUBLES["saturated_units_at_the_output"](0))["saturated_units"].numbers["share"] == 1.0


def test_a_few_epochs_are_not_judged_by_their_cost():
    X, Y = vp.datasets.circles()
    for epochs in (1, 2):
        assert not diagnose(fit(Network((2, 1)), X, Y, Descent(0.1), epochs, 0))


def test_a_cost_above_its_first_is_not_said_to_fall_from_it():
    evidence = replace(evidence_of(TROUBLES["still_falling"](0)), stopped="epochs")
    falling = np.linspace(4.0, 2.7, 12)
    for first, found in ((5.0, True), (2.3, False)):
        costs = np.concatenate([[first], falling])
        assert (still_falling(replace(evidence, costs=costs, watched=costs), set()) is not None) == found


def test_costs_and_baselines_have_the_weights_of_training():
    """Integer weights are as many copies; those of classes are weights, too."""
    X, Y = vp.datasets.moons(m=60, seed=0)
    w = np.arange(60) % 4
    net, more = vp.Network((2, 3, 1)), {"epochs": 20, "optimizer": Descent(0.1)}
    weighted = vp.fit(net, X, Y, sample_weight=w, **more)
    copies = vp.fit(net, X.repeat(w, axis=1), Y.repeat(w, axis=1), **more)
    one, other = (diagnose(result).numbers for result in (weighted, copies))
    for name in ("training cost", "baseline, the cost of predicting the mean"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-5)
    by_network = vp.fit(net, X, Y, sample_weight=np.stack([np.ones(60), w]), seed=(0, 0), **more)
    assert evidence_of(by_network.member(1)).training.cost == evidence_of(weighted).training.cost
    balanced = evidence_of(vp.fit(net, X[:, Y[0] + w > 0], Y[:, Y[0] + w > 0], class_weight="balanced", **more))
    np.testing.assert_allclose(balanced.baseline, np.log(2), rtol=1e-6)


# --- what can be given --------------------------------------------------------------------------------------


def test_of_a_stack_the_best_network_is_diagnosed():
    stack = fit(Network((2, 8, 1)), *vp.datasets.xor(), vp.Adam((1e-6, 0.05)), 100, 0, validation=0.2)
    diagnosis = diagnose(stack)
    assert not diagnosis and diagnosis.subject.startswith("network 1 of a stack of 2, the best: network 2-8-1")
    assert "still_falling" in diagnose(stack.member(0))


def test_members_that_diverged_are_named():
    finding = diagnose(TROUBLES["diverged_members"](0))["diverged_members"]
    assert finding.numbers == {"members": [2], "networks": 3, "learning rates": [100.0]}
    assert "number 2, at learning rates of 100 and above" in finding.message


@cases((2.5, 0), ((2.5, 2.6), 0), (2.5, (0, 1)))
def test_an_error_tells_where_it_happened(rate, seed):
    error = diverged(LINE, *surface(300, 0), Descent(rate), 2000, seed, batch_size=None)
    diagnosis = diagnose(error)
    numbers = diagnosis["divergence"].numbers
    assert (numbers["epoch"], numbers["step"], numbers["layer"]) == (error.epoch, error.step, 1)
    assert numbers["last cost"] > 1e6 * numbers["first cost"] and numbers["learning rate"] == 2.5
    assert str(diagnosis).startswith("a training run that diverged: 1 finding")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@cases(
    *product(["adam", "sgd"], [1, 3], [False], [["fit"], ["partial_fit"] * 2, ["fit", "partial_fit"]]),
    *product(["adam", "sgd"], [1, 3], [True], [["fit"]]),
    *product(["lbfgs"], [1], [False, True], [["fit"]]),
)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_of_an_estimator_it_is_that_of_the_run(solver, networks, early_stopping, steps, kind, monkeypatch):
    runs = []
    monkeypatch.setattr(training, "fit", lambda *args, **given: runs.append((args, given)) or vp.fit(*args, **given))
    X, Y = surface(120, 0)
    X, y = 12 * X.T, Y[0] > 0 if kind is MLPClassifier else Y[0]
    estimator = kind(
        hidden_layer_sizes=(5,), solver=solver, n_networks=networks, early_stopping=early_stopping, max_iter=6,
        random_state=0,
    )  # fmt: skip
    for step in steps:
        classes = {"classes": [False, True]} if (step, kind) == ("partial_fit", MLPClassifier) else {}
        getattr(estimator, step)(X, y, **classes)
    (args, given), found = runs[-1], diagnose(estimator)
    # without early stopping the estimator's own rule cannot have ended so few epochs
    run = vp.fit(*args, **given | ({} if early_stopping else {"patience": None}))
    assert estimator.result_.history["cost"] == run.history["cost"]
    wanted = diagnose(run)
    assert (found.subject, found.numbers) == (wanted.subject, wanted.numbers)
    assert [(f.name, f.message, f.numbers) for f in found] == [(f.name, f.message, f.numbers) for f in wanted]
    assert "unscaled_inputs" in found


@pytest.mark.parametrize("seed", [0, (0, 1)])
def test_a_network_that_is_given_back_as_the_last_is_diagnosed_as_such(seed):
    options = {"batch_size": 20, "validation": 0.3}
    last, plain = (
        diagnose(fit(Network((10, 64, 1)), *chance(0), vp.Adam(0.01), 100, seed, **options, patience=patience))
        for patience in (vp.EarlyStopping(100, restore_best=False), None)
    )
    assert "high_variance" in plain
    assert [f.name for f in last] == [f.name for f in plain]
    assert "early stopping" in last["high_variance"].advice or seed != 0


def test_a_result_without_a_sample_is_diagnosed_by_its_history():
    result = replace(TROUBLES["vanishing_gradients"](0), sample=None)
    assert [finding.name for finding in diagnose(result)] == ["vanishing_gradients"]


def test_a_result_without_an_epoch():
    result = fit(Network((2, 4, 1)), *vp.datasets.xor(50), Descent(0.1), 1, 0)
    empty = replace(result, history={key: [] for key in result.history})
    assert not diagnose(empty) and "0 epochs" in str(diagnose(empty))


def test_nothing_is_modified():
    result = TROUBLES["high_variance"](0)
    params, history = copy.deepcopy((result.params, result.history))
    diagnose(result)
    assert_same(result.params, params)
    assert result.history == history


def test_an_error_that_is_no_divergence_cannot_be_diagnosed():
    with pytest.raises(TypeError, match=r"result must be the FitResult .*, the DivergenceError .* got ValueError"):
        diagnose(ValueError("diverged"))


@pytest.mark.reliability
@pytest.mark.usefixtures("jax_backend")
def test_the_same_on_jax():
    stack = fit(Network((2, 8, 1)), *vp.datasets.circles(), Descent((0.1, 0.2)), 20, 0, init="zeros", backend="jax")
    assert [finding.name for finding in diagnose(stack)] == ["identical_units"]
    error = diverged(LINE, *surface(100, 0), Descent(2.5), 2000, 0, batch_size=None, backend="jax")
    assert "divergence" in diagnose(error)


# --- how it reads -------------------------------------------------------------------------------------------


def test_the_text():
    text = str(diagnose(TROUBLES["high_bias"](0)))
    assert text.startswith("network 2-1 (sigmoid; binary_cross_entropy), 60 epochs: 1 finding\n  high_bias: ")
    assert "\n      → more units or layers" in text and max(map(len, text.splitlines())) <= 100
    healthy = str(diagnose(HEALTHY["xor_tanh"](0)))
    assert "100 epochs: nothing found\n" in healthy and "\n  training cost  " in healthy


def test_a_finding_that_is_not_there():
    diagnosis = Diagnosis("a run", (Finding("dead_relu", "dead", {}, "other units"),))
    assert "dead_relu" in diagnosis and "high_bias" not in diagnosis
    with pytest.raises(KeyError, match="'high_bias' was not found, only \\['dead_relu'\\]"):
        diagnosis["high_bias"]
