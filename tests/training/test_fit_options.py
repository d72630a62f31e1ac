"""What surrounds the steps of `fit`: validation, stopping, schedules, class weights, callbacks, Ctrl-C, L-BFGS."""

import pickle
from unittest import mock

import numpy as np
import pytest
from sklearn import linear_model, metrics

import vecprop as vp
from helpers import assert_grads_close, assert_same, cases, host, make_problem, raising, refusals, stepped
from vecprop.training import fit_arguments, loop

NET = vp.Network((4, 6, 3), output="softmax")
_, X, Y, W = make_problem(NET, 60, weights=True)
VALIDATION = make_problem(NET, 25, seed=5)[1:3]


# --- validation and early stopping --------------------------------------------------------------------------


def test_validation_cost_and_metric_are_those_of_the_network(backend):
    """After each epoch, without penalties, by the parameters that predict: batch normalization folded."""
    result = vp.fit(
        NET, X, Y, epochs=3, batch_size=16, batch_norm=True, l2=1.0, validation=VALIDATION, metric="accuracy",
        dtype="float64", backend=backend,
    )  # fmt: skip
    cost = NET.cost([tuple(host(a) for a in layer) for layer in result.params], *VALIDATION)
    assert result.history["validation_cost"][-1] == pytest.approx(float(cost), rel=1e-10)
    right = result.forward(VALIDATION[0]).argmax(axis=0) == VALIDATION[1].argmax(axis=0)
    assert result.history["metric"][-1] == pytest.approx(right.mean())
    assert {len(values) for values in result.history.values()} == {3}


def test_min_delta_is_what_counts_as_an_improvement():
    result = vp.fit(NET, X, Y, epochs=300, patience=3, min_delta=0.01)
    assert result.stopped == "patience"
    best, waited, costs = np.inf, 0, result.history["cost"]
    for epoch, cost in enumerate(costs, start=1):
        best, waited = (cost, 0) if cost < best - 0.01 else (best, waited + 1)
        assert (waited == 3) == (epoch == len(costs))


def test_validation_share_is_split_off_by_classes_whatever_the_seed():
    labels = np.repeat([0, 1, 2], [40, 15, 5])
    Y = np.eye(3)[:, labels]
    X = np.vstack([np.arange(60.0), *np.random.default_rng(0).standard_normal((3, 60))])
    parts = [vp.fit(NET, X, Y, epochs=1, validation=0.2, seed=seed).sample for seed in (0, 1)]
    assert parts[0].Y_validation.sum(axis=1).tolist() == [8, 3, 1]
    assert parts[0].X.shape == (4, 48)
    together = np.sort(np.concatenate([parts[0].X[0], parts[0].X_validation[0]]))
    np.testing.assert_array_equal(together, np.arange(60))
    np.testing.assert_array_equal(parts[0].X_validation, parts[1].X_validation)
    regression = vp.Network((4, 1), output="identity")
    assert vp.fit(regression, X, X[:1], epochs=1, validation=0.25, optimizer=vp.Adam()).sample.X.shape == (4, 45)


@pytest.mark.parametrize("rows", [np.asarray, vp.rows], ids=["in memory", "streamed"])
def test_examples_of_weight_0_are_not_split_off(rows):
    X, Y, w = np.arange(20.0)[:, None], np.eye(3)[np.arange(20) % 3], np.zeros(20)
    w[[2, 3, 5, 6, 7]] = 2.0  # of each class two examples but for one
    turned = (a if rows is vp.rows else a.T for a in (X, Y, w))
    given = [rows(a) for a in turned]
    options = {"sample_weight": given[2], "validation": 0.5, "epochs": 2, "batch_size": 4}
    result = vp.fit(vp.Network((1, 3), output="softmax"), *given[:2], **options, window=4)
    assert w[result.sample.X_validation[0].astype(int)].all() and result.sample.Y_validation.sum(axis=1).max() == 1
    assert np.isfinite(result.history["validation_cost"]).all() and result.sample.X_validation.shape[1] == 2
    w[[2, 3, 5, 6]] = 0
    with pytest.raises(ValueError, match="validation: m = 20 examples, 1 of them with a weight, are too few to split"):
        vp.fit(vp.Network((1, 3), output="softmax"), X.T, Y.T, sample_weight=w, validation=0.5, epochs=2)


@pytest.mark.parametrize("name", ["accuracy", "r2", "mean_squared_error", "mean_absolute_error"])
def test_metrics_are_those_of_scikit_learn(name, backend):
    random = np.random.default_rng(0)
    A, Y, w = random.random((3, 30)), random.random((3, 30)), random.random(30)
    if name == "accuracy":
        Y = np.eye(3)[:, random.integers(0, 3, 30)]
        expected = metrics.accuracy_score(Y.argmax(0), A.argmax(0), sample_weight=w)
    else:
        function = {"r2": "r2_score"}.get(name, name)
        expected = getattr(metrics, function)(Y.T, A.T, sample_weight=w)
    with backend.scope("float64", "highest"):
        given = [backend.asarray(a, "float64") for a in (A, Y, w)]
        value = vp.metrics.METRICS[name](backend.xp, *given)
        assert float(value) == pytest.approx(expected, rel=1e-12)


def test_accuracy_of_labels_that_do_not_exclude_each_other():
    A, Y = np.array([[0.9, 0.9], [0.8, 0.2]]), np.array([[1.0, 1.0], [1.0, 1.0]])
    assert vp.metrics.accuracy(np, A, Y) == 0.5


def test_an_own_metric_sees_numpy_arrays(backend):
    seen = []

    def own(Y, A):
        seen.append((type(Y), Y.shape, A.shape, Y.flags.writeable))
        return float(np.abs(Y - A).max())

    result = vp.fit(NET, X, Y, epochs=2, metric=own, backend=backend)
    assert seen == [(np.ndarray, (3, 60), (3, 60), False)] * 2  # Y is the user's own array
    assert result.history["metric"][-1] == pytest.approx(np.abs(Y - result.forward(X)).max(), rel=1e-5)


# --- schedules ----------------------------------------------------------------------------------------------


@cases(vp.StepDecay(2, 0.5), vp.Cosine(warmup=3), vp.InverseScaling(), vp.ExponentialDecay())
def test_each_step_has_the_rate_of_the_schedule(schedule, backend):
    """Replayed by hand on NumPy: full batches, six steps."""
    optimizer = vp.GradientDescent(0.5, schedule=schedule)
    result = vp.fit(NET, X, Y, optimizer=optimizer, epochs=6, dtype="float64", backend=backend)
    params = NET.init(dtype="float64")
    rates = schedule.rates(0.5, 0, 6, 1, 6)
    for rate in rates:
        _, grads = NET.gradients(params, X, Y)
        params = stepped(params, grads, rate)
    assert_grads_close(result.params, params, bound=1e-12)
    assert result.history["learning_rate"] == pytest.approx(rates.tolist())


OF_LAYERS = {"dropout": np.array([0.3]), "batch_norm": np.array([True])}


@pytest.mark.parametrize("more", [OF_LAYERS, {"seed": (1, 2)}, {"standardize": True}])
def test_training_goes_on_from_a_state(more, backend):
    """Bit for bit: slots, epoch, schedule and dropout masks included."""
    arguments = {"optimizer": vp.Adam(0.01, schedule=vp.StepDecay(2, 0.5)), "batch_size": 16, "backend": backend}
    whole = vp.fit(NET, X, Y, epochs=5, **arguments, **more)
    first = vp.fit(NET, X, Y, epochs=2, **arguments, **more)
    pickled_earlier = first.state._replace(batch_norm=(), optimizer="", watched=("", ""))
    for state in (first.state, pickled_earlier):
        rest = vp.fit(NET, X, Y, epochs=3, state=state, **arguments, **more)
        assert_same(rest.params, whole.params)
        assert rest.state.epoch == 5
    for dtype in ("float32", "float64"):  # also in another one than before
        rest = vp.fit(NET, X, Y, epochs=1, state=first.state, dtype=dtype, **arguments, **more)
        assert {str(a.dtype) for layer in rest.params for a in layer} == {dtype}


def test_training_goes_on_from_a_state_twice(backend):
    """The calls of one epoch each that patience asks for overwrite the slots, but not those of the given state."""
    arguments = {"optimizer": vp.Adam(0.01), "patience": 5, "backend": backend}
    first = vp.fit(NET, X, Y, epochs=2, **arguments)
    rest, again = (vp.fit(NET, X, Y, epochs=2, state=first.state, **arguments) for _ in range(2))
    assert_same(rest.params, again.params)


def test_training_goes_on_with_the_scale_of_the_state(backend):
    first = vp.fit(NET, X, Y, epochs=2, standardize=True, backend=backend)
    other, (mean, deviation) = 3 * X + 1, first.state.scale
    rest = vp.fit(NET, other, Y, epochs=2, standardize=True, state=first.state, backend=backend)
    scaled = (other - mean) / deviation
    by_hand = vp.fit(NET, scaled, Y, epochs=2, state=first.state._replace(scale=None), backend=backend)
    np.testing.assert_allclose(rest.forward(other), by_hand.forward(scaled), rtol=1e-9)


def test_errors_are_pickled_with_what_they_hold():
    """As those of a search come back from other processes."""
    with pytest.raises(vp.DivergenceError) as diverged:
        vp.fit(vp.Network((4, 3), output="identity"), X, Y, optimizer=vp.GradientDescent(100.0), epochs=1000)
    with pytest.raises(vp.CallbackError) as called:
        vp.fit(NET, X, Y, epochs=1, callbacks=lambda *_: 1 / 0)
    no_memory = vp.OutOfMemoryError("none left", wanted=1, free=0, argument="block_size", columns=3)
    for error in (diverged.value, called.value, no_memory):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again).keys()) == (type(error), str(error), vars(error).keys())
        assert getattr(again, "history", None) == getattr(error, "history", None)
    assert again.columns == 3


# --- weights by class, batches -------------------------------------------------------------------------------


def test_class_weight_is_a_factor_of_the_sample_weight(backend):
    labels = Y.argmax(axis=0)
    arguments = {"epochs": 3, "batch_size": 16, "dtype": "float64"}
    by_class = vp.fit(NET, X, Y, class_weight={0.0: 2.0, 2: 0.0}, sample_weight=W, backend=backend, **arguments)
    by_hand = vp.fit(NET, X, Y, sample_weight=W * np.array([2.0, 1.0, 0.0])[labels], backend="numpy", **arguments)
    assert_grads_close(by_class.params, by_hand.params, bound=1e-11, xp=backend.xp)


def test_balanced_classes_have_one_total():
    labels = Y.argmax(axis=0)
    counts = np.bincount(labels)
    balanced = vp.fit(NET, X, Y, class_weight="balanced", epochs=2, dtype="float64")
    by_hand = vp.fit(NET, X, Y, class_weight=dict(enumerate(60 / (3 * counts))), epochs=2, dtype="float64")
    np.testing.assert_array_equal(balanced.params[0].W, by_hand.params[0].W)
    binary = vp.Network((4, 1))
    vp.fit(binary, X, labels[None, :] == 0, class_weight="balanced", epochs=1)


def test_auto_batch_follows_the_memory(backend, monkeypatch):
    free = backend.memory.free()
    assert free is None or 2**20 < free < 2**50
    assert fit_arguments.auto_batch(backend, 10**6, 100) == 256
    assert fit_arguments.auto_batch(backend, 40, 100) == 40
    monkeypatch.setattr(type(backend.memory), "free", lambda _: 8 * 100 * 64)
    assert fit_arguments.auto_batch(backend, 10**6, 100) == 64
    assert fit_arguments.auto_batch(backend, 10**6, 10**9) == 1
    vp.fit(NET, X, Y, batch_size="auto", epochs=1, backend="numpy")


# --- callbacks, Ctrl-C ---------------------------------------------------------------------------------------


def test_the_best_of_another_quantity_is_forgotten():
    def fit(monitor, net=NET, **more):
        optimizer = vp.Adam(0.01, schedule=vp.ReduceOnPlateau(patience=9, monitor=monitor))
        watches = {"optimizer": optimizer, "patience": vp.EarlyStopping(2, monitor=monitor), **more}
        return vp.fit(net, X, Y, epochs=9, validation=0.25, batch_size=16, **watches)

    squared = fit("cost", vp.Network(NET.sizes, output="softmax", loss="squared_error"))
    rest = fit("cost", state=squared.state)
    assert squared.state.best.cost < rest.state.best.cost == min(rest.history["validation_cost"])
    first = fit("metric", metric="accuracy")
    rest = fit("cost", state=first.state)
    assert first.state.best.cost < 0 < rest.state.best.cost == min(rest.history["validation_cost"])
    assert first.state.plateau.best < 0 < rest.state.plateau.best


@pytest.mark.parametrize("number", [int, np.int64, "of the backend"])
def test_callbacks_see_the_state_and_can_stop(backend, number):
    """A comparison of numbers gives Python's True, NumPy's, or an array of the backend."""
    number = number if callable(number) else lambda epoch: backend.asarray(np.array(epoch))
    seen = []
    calls = [
        lambda state, history: seen.append((state.epoch, len(history["cost"]))),
        lambda state, _: number(state.epoch) == 3,
        lambda *_: (np.True_, 1.0),  # says nothing
    ]
    result = vp.fit(NET, X, Y, epochs=10, callbacks=calls, backend=backend)
    assert seen == [(1, 1), (2, 2), (3, 3)]
    assert (result.stopped, len(result.history["cost"])) == ("callback", 3)


def test_states_kept_by_a_callback_stay_usable(backend):
    states = []
    vp.fit(NET, X, Y, epochs=3, optimizer=vp.Adam(), callbacks=lambda s, _: states.append(s), backend=backend)
    again = vp.fit(NET, X, Y, epochs=2, optimizer=vp.Adam(), state=states[0], backend=backend)
    assert_same(again.params, states[2].params)


def test_a_callback_that_raises_does_not_lose_the_training(backend):
    def writing(state, _):
        state.params[0].W[...] = 0.0

    with pytest.raises(vp.CallbackError, match="'writing' raised ValueError after epoch 1: assignment dest"):
        vp.fit(NET, X, Y, epochs=5, callbacks=writing, backend="numpy")
    broken = raising(ZeroDivisionError("oh"), 2)
    with pytest.raises(vp.CallbackError, match="'callback' raised ZeroDivisionError after epoch 2: oh") as caught:
        vp.fit(NET, X, Y, epochs=5, callbacks=broken, optimizer=vp.Adam(), dtype="float64", backend=backend)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert len(caught.value.history["cost"]) == 2
    rest = vp.fit(NET, X, Y, epochs=3, state=caught.value.state, optimizer=vp.Adam(), backend=backend)
    whole = vp.fit(NET, X, Y, epochs=5, optimizer=vp.Adam(), dtype="float64", backend="numpy")
    assert_grads_close(rest.params, whole.params, bound=1e-10, xp=backend.xp)


def test_ctrl_c_keeps_what_was_reached(backend):
    interrupt = raising(KeyboardInterrupt(), 4)
    with pytest.warns(RuntimeWarning, match="interrupted after 4 of 50 epochs"):
        result = vp.fit(NET, X, Y, epochs=50, callbacks=interrupt, dtype="float64", backend=backend)
    assert result.stopped == "interrupted"
    four = vp.fit(NET, X, Y, epochs=4, dtype="float64", backend="numpy")
    assert_grads_close(result.params, four.params, bound=1e-10, xp=backend.xp)


def test_ctrl_c_in_the_middle_of_an_epoch(backend, monkeypatch):
    """The state is that of the last whole epoch, and training can go on, even if the slots were given away."""
    advance, calls = loop._advance, []

    def interrupted(*arguments):
        calls.append(1)
        later = advance(*arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return later

    monkeypatch.setattr(loop, "_advance", interrupted)
    monkeypatch.setattr(loop, "_STEPS_A_CALL", 1)
    with pytest.warns(RuntimeWarning, match="interrupted"):
        result = vp.fit(NET, X, Y, epochs=9, batch_size=20, optimizer=vp.Adam(), backend=backend)
    assert result.state.epoch == 2
    monkeypatch.undo()
    vp.fit(NET, X, Y, epochs=1, batch_size=20, optimizer=vp.Adam(), state=result.state, backend=backend)


# --- L-BFGS --------------------------------------------------------------------------------------------------


def test_lbfgs_finds_the_optimum_of_a_convex_cost(backend):
    """Logistic regression with a penalty: the gradient vanishes, and it is scikit-learn's solution."""
    net = vp.Network((4, 1))
    y = (Y.argmax(axis=0) == 0).astype(float)
    result = vp.fit(
        net, X, y[None, :], optimizer=vp.LBFGS(tolerance=1e-9), epochs=200, l2=1.0, sample_weight=W, dtype="float64",
        backend=backend,
    )  # fmt: skip
    assert result.stopped == "converged"
    assert max(result.history["gradient_norm"][-1]) < 1e-7
    assert (np.diff(result.history["cost"]) <= 0).all()
    reference = linear_model.LogisticRegression(C=1.0, tol=1e-12, max_iter=1000).fit(X.T, y, sample_weight=W)
    np.testing.assert_allclose(host(result.params[0].W), reference.coef_, rtol=1e-5)


def test_lbfgs_stops_early_and_takes_callbacks():
    result = vp.fit(NET, X, Y, optimizer=vp.LBFGS(), epochs=200, validation=VALIDATION, patience=3, metric="accuracy")
    assert result.stopped == "patience"
    best = int(np.argmin(result.history["validation_cost"]))
    assert result.state.best.epoch == best + 1
    result = vp.fit(NET, X, Y, optimizer=vp.LBFGS(), epochs=200, callbacks=lambda s, _: s.epoch == 4)
    assert (result.stopped, len(result.history["cost"])) == ("callback", 4)
    assert vp.fit(NET, X, Y, optimizer=vp.LBFGS(), epochs=3).stopped == "epochs"


def test_lbfgs_says_why_it_ended():
    few = vp.fit(NET, X, Y, optimizer=vp.LBFGS(max_evaluations=5), epochs=200)
    assert (few.stopped, len(few.history["cost"]) <= 5) == ("evaluations", True)
    rough, fine = (
        vp.fit(NET, X, Y, optimizer=vp.LBFGS(tolerance=0.0, relative_tolerance=r), epochs=2000, dtype="float64")
        for r in (1e-3, 1e-9)
    )
    assert rough.stopped == "converged" and len(rough.history["cost"]) < len(fine.history["cost"])


# --- bad input -----------------------------------------------------------------------------------------------

NAN, FLAT, STATE = float("nan"), vp.Network((4, 3), output="softmax"), vp.fit(NET, X, Y, epochs=1).state
DEEP = vp.Network((4, 6, 6, 3), output="softmax")
NORMALIZED = vp.fit(DEEP, X, Y, epochs=1, batch_norm=[True, False]).state
MOMENTUM = vp.fit(NET, X, Y, epochs=1, optimizer=vp.Momentum()).state
SCALED = vp.fit(NET, X, Y, epochs=1, standardize=True).state


test_bad_arguments = refusals(
    lambda arguments: vp.fit(**({"net": NET, "X": X, "Y": Y, "epochs": 1} | arguments)),
    ({"dropout": [0.1, 0.1]}, "dropout must have one value for each of the 1 hidden layers, got 2"),
    ({"batch_norm": True, "batch_size": 1}, "batch_norm needs batches of at least 2.*batch of 1"),
    ({"batch_norm": True, "batch_size": 59}, "batch_norm needs batches of at least 2.*batch of 1"),
    ({"metric": lambda *_: None}, TypeError, "metric must return a number, got None"),
    ({"metric": lambda *_: np.ones(3), "seed": (0, 1)}, TypeError, r"metric must return a number, got array\("),
    ({"validation": 0.0}, r"validation must be a finite number in \(0, 1\).*got 0.0"),
    ({"validation": "some"}, TypeError, "validation must be"),
    ({"validation": (X,)}, r"validation must be \(X, Y\) or \(X, Y, sample_weight\), got 1"),
    ({"validation": (X[:3], Y)}, r"validation: X must have shape \(4, m\).*got \(3, 60\)"),
    ({"validation": (X, Y[:, :5])}, r"validation: Y must have shape \(3, 60\)"),
    ({"validation": (X * NAN, Y)}, "validation: X must be finite"),
    ({"validation": (X, Y, -W)}, "validation: sample_weight must be >= 0"),
    ({"class_weight": {7: 1.0}}, "class_weight: there is no class 7; the classes are 0 to 2"),
    ({"class_weight": {np.True_: 1.0}}, "class_weight: there is no class .*True_?; the classes are 0 to 2"),
    ({"class_weight": {0: -1.0}}, r"class_weight\[0\] must be a finite number >= 0"),
    ({"class_weight": {0: 0, 1: 0, 2: 0}}, "class_weight leaves no example"),
    ({"class_weight": "even"}, "class_weight must be a dict or \"balanced\", got 'even'"),
    ({"class_weight": [1, 2, 3]}, TypeError, 'class_weight must be a dict or "balanced", got list'),
    ({"optimizer": vp.LBFGS(), "batch_size": 10}, "LBFGS needs all the examples"),
    ({"optimizer": vp.LBFGS(), "dropout": 0.1}, "LBFGS needs the same cost at every step"),
    ({"optimizer": vp.LBFGS(), "seed": [1, 2]}, "LBFGS trains one network, got K = 2"),
    ({"state": 3}, TypeError, "state must be the state of a result"),
    (
        {"Y": np.eye(3)[:, np.arange(60) % 2], "validation": VALIDATION},
        r"validation has examples of class \[2\], of which the training set has none",
    ),
    ({"X": X[:, :1], "Y": Y[:, :1], "validation": 0.5}, "too few to split"),
    ({"net": FLAT, "dropout": 0.5}, "dropout acts on hidden layers, and network 4-3"),
    ({"net": vp.Network((4, 3), output="identity"), "class_weight": "balanced"}, "class_weight needs classes"),
    ({"net": vp.Network((4, 7, 3), output="softmax"), "state": STATE}, "W1 must have shape"),
    ({"state": STATE, "params": NET.init()}, "give state or params, not both"),
    ({"state": STATE, "l2": (0.0, 1.0)}, "state is of one network, and this run has K = 2: give params=result.params"),
    *(
        (
            {"optimizer": vp.GradientDescent(schedule=mock.Mock(**{"rates.return_value": rates}))},
            "schedule must give 1 rates, .* finite and >= 0",
        )
        for rates in ([0.1, 0.1], 0.1, None, [-0.1], [NAN])
    ),
    ({"params": [(W[None, None], b[None, None]) for W, b in NET.init()]}, r"stack of K .*, got a stack \(1, 1"),
    ({"params": NET.init(), "init": "he"}, "give params or init, not both: .*, got init = 'he'"),
    ({"checkpoint_every": 2}, "checkpoint_every is for checkpoint, and there is none: leave checkpoint_every = 2 out"),
    ({"state": STATE, "seed": 9}, "give state or seed, not both: the state has the seed 0, got seed = 9"),
    (
        {"state": STATE, "standardize": True},
        "state is of a run without standardize=True, .*: leave standardize out, or",
    ),
    ({"state": SCALED}, "state is of a run with standardize=True, .*: give standardize=True, or give params=result"),
    ({"state": MOMENTUM, "optimizer": vp.RMSProp()}, "memory that RMSProp keeps, 1 arrays; it has 1 of Momentum: give"),
    (
        {"net": DEEP, "state": NORMALIZED, "batch_norm": [False, True]},
        r"state is of a run with batch_norm = \[True, False\], and this run has \[False, True\]",
    ),
    ({"state": STATE, "batch_norm": True}, r"state is of a run with batch_norm = \[False\], and this run has \[True\]"),
)


def test_a_state_that_does_not_fit_is_refused_in_words(jax_backend):
    net, data = vp.Network((2, 3, 1)), vp.datasets.xor(m=20)
    ours = vp.fit(net, *data, optimizer=vp.Adam(), epochs=1, backend="numpy").state
    theirs = vp.fit(net, *data, optimizer=vp.Adam(), epochs=1, backend=jax_backend).state
    for state, backend in ((ours, "jax"), (theirs, "numpy")):
        with pytest.raises(ValueError, match=f"state has arrays of .* the backend '{backend}': give the backend"):
            vp.fit(net, *data, optimizer=vp.Adam(), state=state, backend=backend)
    with pytest.raises(ValueError, match=r"state has not the memory that Momentum keeps, 1 arrays; it has 4 of Adam: "):
        vp.fit(net, *data, optimizer=vp.Momentum(), state=ours)
    vp.fit(net, *data, optimizer=vp.Momentum(), epochs=1, state=ours._replace(slots=None))
