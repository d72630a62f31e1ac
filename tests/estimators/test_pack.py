"""Packs: the mixture and its members, feature maps, ensemble selection, files, bad input."""

import os
import pickle
import signal
import time
import warnings
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.utils import get_tags

import vecprop as vp
from helpers import refusals
from vecprop.estimators import (
    MLPClassifier,
    MLPRegressor,
    PackClassifier,
    PackRegressor,
    feature_maps,
    large_data,
    to_sklearn,
)
from vecprop.estimators import pack as pack_module
from vecprop.estimators.ensemble_selection import bagged_greedy, greedy, log_losses, squared_errors
from vecprop.export import estimator_files

RNG = np.random.default_rng(5)
X = np.concatenate([RNG.normal(size=(240, 2)), RNG.integers(0, 2, (240, 1)), RNG.lognormal(size=(240, 1))], axis=1)
NUMBERS = 1e6 + 100 * X[:, 0] * X[:, 2] + RNG.normal(size=240)
LABELS = np.array(["few", "many", "none"])[(X[:, 1] > 0).astype(int) + (X[:, 3] > 2)]
EXTREME = np.where(RNG.random(X.shape) < 0.4, RNG.choice([1e300, -1e300, 1e30, 0.0], X.shape), X)


@pytest.fixture(scope="module")
def packs():
    two = LABELS != "none"
    return {
        "numbers": (PackRegressor(random_state=0).fit(X, NUMBERS), NUMBERS),
        "two classes": (PackClassifier(random_state=0, n_networks=1, maps=("cosines", "bins")).fit(X, two), two),
        "classes": (PackClassifier(random_state=0, class_weight="balanced").fit(X, LABELS), LABELS),
    }


KINDS = ("numbers", "two classes", "classes")


def outputs(pack, X, **options):
    return (pack.predict_proba if hasattr(pack, "classes_") else pack.predict)(X, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mixture_is_the_weighted_mean_of_its_members(packs, kind):
    pack, y = packs[kind]
    total, squares, weights = 0.0, 0.0, 0.0
    for view, estimator, own in pack.groups_:
        for k, weight in enumerate(own):
            alone = pickle.loads(pickle.dumps(estimator))
            alone.coefs_, alone.intercepts_ = ([a[k] for a in arrays] for arrays in (alone.coefs_, alone.intercepts_))
            member = outputs(alone, view(X)).astype(float)
            total, squares, weights = total + weight * member, squares + weight * member**2, weights + weight
    assert weights == pytest.approx(1.0)
    mean, deviation = outputs(pack, X, return_std=True)
    np.testing.assert_allclose(mean, total, rtol=1e-6, atol=1e-6)
    shifted = squares - total**2  # loses digits where the mean is large
    np.testing.assert_allclose(deviation**2, shifted, atol=1e-5 if kind != "numbers" else 1.0)
    assert pack.score(X, y) > 0.9 and np.isfinite(outputs(pack, EXTREME)).all()
    if kind != "numbers":
        assert np.isfinite(pack.predict_log_proba(EXTREME)).all()
        np.testing.assert_allclose(np.exp(pack.predict_log_proba(X)), mean, rtol=1e-9)
        np.testing.assert_allclose(mean.sum(axis=1), 1.0, rtol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_many_rows_are_predicted_part_by_part(packs, kind, monkeypatch):
    """The predictions of all members together would take many times the memory of the mixture."""
    pack, _ = packs[kind]
    whole = outputs(pack, X, return_std=True)
    for name in ("_AT_ONCE", "_AT_ONCE_OF_A_FILE"):
        monkeypatch.setattr(pack_module, name, 100)
    for rows in (X, vp.rows(X)):
        for a, b in zip(outputs(pack, rows, return_std=True), whole, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5 * np.ptp(b))


def test_all_networks_are_reported_with_their_weights(packs):
    pack, _ = packs["classes"]
    names = [name for name, _ in pack.found_]
    assert names == [*(f"{m} network" for m in ("standard", "bins", "normal")), "standard linear"]
    assert sum(sum(weights) for _, weights in pack.found_) == pytest.approx(1.0)
    assert sum(sum(w > 0 for w in weights) for _, weights in pack.found_) == sum(len(g.weights) for g in pack.groups_)
    heaviest = max(pack.groups_, key=lambda group: group.weights.sum())
    assert pack.leading_ is heaviest.estimator


def test_the_linear_model_can_be_chosen():
    rng, slopes = np.random.default_rng(0), np.arange(8.0)
    X = rng.normal(size=(60, 8))
    y = X @ slopes + rng.normal(size=60)
    pack = PackRegressor(random_state=0, n_networks=1, maps=["cosines"]).fit(X, y)
    name, (weight,) = pack.found_[-1]
    assert name == "standard linear" and weight > 0.8
    held = rng.normal(size=(500, 8))
    error, best = (np.mean((m.predict(held) - held @ slopes) ** 2) for m in (pack, LinearRegression().fit(X, y)))
    assert error < 2 * best < np.var(held @ slopes) / 5


@pytest.mark.parametrize("factor", [1e-300, 1e300])
def test_units_do_not_matter(factor):
    """No square overflows or vanishes."""
    plain, other = (
        PackRegressor(random_state=0, n_networks=1, maps=("standard",)).fit(X * by, X[:, 0] * by).predict(X * by) / by
        for by in (1.0, factor)
    )
    np.testing.assert_allclose(other, plain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("y", [NUMBERS.astype(np.longdouble), NUMBERS.astype(object), NUMBERS.astype(str)])
def test_numbers_of_any_dtype_are_targets(y):
    pack, plain = (PackRegressor(random_state=0, n_networks=1, maps=()).fit(X, y) for y in (y, NUMBERS))
    assert pack.predict(X).dtype == np.float64
    np.testing.assert_allclose(pack.predict(X), plain.predict(X), rtol=1e-12)


def test_a_pack_neither_warns_nor_filters_warnings():
    """Filters are those of all threads. The linear model learns nothing here, of which it would warn alone."""
    codes, y, seen = np.arange(16.0)[:, None] % 2, np.arange(16.0) // 2, []
    pack = PackRegressor(random_state=0, maps=(), callbacks=lambda *_: seen.append(list(warnings.filters)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pack.fit(codes, y, X_val=codes, y_val=y)
        assert all(filters == warnings.filters for filters in seen) and seen
    with pytest.warns(ConvergenceWarning, match="nothing was learned"):
        clone(pack.leading_).fit(codes, y)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_the_same_pack(packs, kind, tmp_path):
    pack, _ = packs[kind]
    vp.save(tmp_path / "pack.safetensors", pack)
    loaded = vp.load(tmp_path / "pack.safetensors")
    assert type(loaded) is type(pack) and loaded.found_ == pack.found_ and loaded.get_params() == pack.get_params()
    np.testing.assert_array_equal(outputs(loaded, X), outputs(pack, X))
    with pytest.raises(TypeError, match="fitted in this program"):
        vp.diagnose(loaded)
    header, tensors = estimator_files.to_parts(pack)
    heavy = {name: array * (1 + name.endswith("weights")) for name, array in tensors.items()}
    doubled = [[name, [2 * w for w in weights]] for name, weights in header["found"]]
    for found, message in ((header["found"], "its found are not the weights"), (doubled, "do not sum to 1")):
        with pytest.raises(ValueError, match=message):
            estimator_files.from_parts({**header, "found": found}, heavy, None, ())


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_computes_the_same(packs, kind):
    pytest.importorskip("onnx")
    session = pytest.importorskip("onnxruntime").InferenceSession(vp.export_onnx(packs[kind][0]))
    for rows in (X, EXTREME):
        found, wanted = session.run(None, {"X": rows})[-1], outputs(packs[kind][0], rows)
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize(("model", "y"), [(PackRegressor, NUMBERS), (PackClassifier, LABELS)])
def test_small_weights_say_how_examples_relate_and_not_how_many_there_are(model, y):
    w = np.repeat([0.0, 1.0, 2.0, 1.0], len(X) // 4)
    half = np.arange(len(X)) % 2 == 0
    held_out = {"X_val": X[~half], "y_val": y[~half]}
    large, small = (
        model(random_state=1, n_networks=1, maps=("standard",)).fit(
            X[half], y[half], w[half] * factor, sample_weight_val=w[~half] * factor, **held_out
        )
        for factor in (0.75, 0.75 / 1024)
    )
    np.testing.assert_array_equal(small.predict(X), large.predict(X))


def test_a_given_validation_set_and_weights():
    half = np.arange(len(X)) % 2 == 0
    weights = np.where(NUMBERS > 1e6, 1.0, 0.0)
    arguments = {"X_val": X[~half], "y_val": NUMBERS[~half], "sample_weight_val": weights[~half]}
    pack = PackRegressor(random_state=1, n_networks=1).fit(X[half], NUMBERS[half], weights[half], **arguments)
    wrong = np.where(weights[half] > 0, NUMBERS[half], 0.0)  # targets without a weight do not matter
    far = np.where(weights[half, None] > 0, X[half], 1e6)  # nor do inputs
    other = PackRegressor(random_state=1, n_networks=1).fit(far, wrong, weights[half], **arguments)
    np.testing.assert_array_equal(pack.predict(X), other.predict(X))
    balanced = PackClassifier(random_state=1, n_networks=1, class_weight="balanced", maps=("bins",))
    held_out = arguments | {"y_val": LABELS[~half]}
    one, two = (
        clone(balanced).fit(X[half], np.where(weights[half] > 0, LABELS[half], other), weights[half], **held_out)
        for other in np.unique(LABELS)[:2]
    )
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


@pytest.mark.parametrize(("kind", "y"), [(PackClassifier, LABELS), (PackRegressor, NUMBERS)])
def test_refit_learns_from_the_validation_examples(kind, y):
    """The mixture is the same, each member has gone on, and its curves are those of the first training."""
    arguments = {"random_state": 0, "n_networks": 1, "maps": ["bins"]}
    held_out = {"X_val": X[::4], "y_val": y[::4]}
    first, more = (kind(**arguments, refit=refit).fit(X[1::2], y[1::2], **held_out) for refit in (False, True))
    assert first.found_ == more.found_
    for before, after in zip(first.groups_, more.groups_, strict=True):
        assert before.estimator.loss_curve_ == after.estimator.loss_curve_
        assert all((a != b).any() for a, b in zip(before.estimator.coefs_, after.estimator.coefs_, strict=True))
    assert more.score(X[::4], y[::4]) > first.score(X[::4], y[::4])


test_parameters_refused = refusals(
    lambda change: PackClassifier(**{"random_state": 0} | change).fit(X, LABELS),
    ({"maps": "bins"}, TypeError, "maps must be a sequence of names, got 'bins'"),
    ({"maps": {"bins"}}, TypeError, "maps must be a sequence, in whose order random numbers are drawn, got {'bins'}"),
    ({"maps": ["bin"]}, "maps: unknown map .bin.: did you mean .bins."),
    ({"random_state": "seed"}, "random_state"),
    ({"class_weight": "even"}, "class_weight must be a dict .*, \"balanced\", .* got 'even'"),
)

test_data_refused = refusals(
    lambda change: PackClassifier(random_state=0).fit(**{"X": X, "y": LABELS} | change),
    ({"X": X[:, :1] * 0}, "X has no column with two different values among the 204 rows looked at"),
    ({"X": X[:2], "y": np.array(["a", "a"])}, "X has no column with two different values among the 1 rows looked at"),
    ({"X": X[:3], "y": np.array(["a", "b", "c"])}, "n_samples=3 are too few .*: no class has two rows$"),
    ({"sample_weight": np.eye(1, len(X))[0]}, "are too few to split off .*: no class has two rows with a weight"),
    ({"X": csr_array(X)}, TypeError, "X must be dense, since .* got sparse X of shape .*: MLPClassifier and MLPReg"),
    ({"sample_weight": 1e39}, "sample_weight has a sum too large for the networks of a pack: divide it"),
    ({"X_val": X}, "X_val and y_val go together, got X_val alone"),
    ({"sample_weight_val": np.ones(240)}, "sample_weight_val goes with X_val and y_val"),
)


def test_a_fit_that_fails_leaves_the_pack_as_it_was(packs):
    pack, y = packs["two classes"]
    before = dict(vars(pack))
    with pytest.raises(ValueError, match="`y_val` has classes not in"):
        pack.fit(X, LABELS, X_val=X, y_val=np.where(LABELS == "none", "extra", LABELS))
    assert vars(pack) == before and set(pack.predict(X)) <= set(y)


def test_a_pack_says_that_a_callback_ended_it():
    pack = PackClassifier(random_state=0, n_networks=1, maps=("standard",), callbacks=lambda state, _: state.epoch == 2)
    assert pack.fit(X, LABELS).stopped_ == "callback"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_keeps_the_kinds_that_have_begun(monkeypatch):
    """On one core the first kind; the others do not begin."""
    monkeypatch.setattr("vecprop.estimators.pack.usable_cores", lambda: 1)

    def interrupt(state, _):
        if state.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05 * (state.epoch >= 2))

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # the background of a shell ignores it
    try:
        with pytest.warns(RuntimeWarning, match="training was interrupted: the pack is of the kinds that had begun"):
            pack = PackClassifier(random_state=0, callbacks=interrupt).fit(X, LABELS)
    finally:
        signal.signal(signal.SIGINT, before)
    assert pack.stopped_ == "interrupted" and [name for name, _ in pack.found_] == ["standard network"]
    assert 2 <= pack.leading_.n_iter_ < 9 and pack.predict(X).shape == LABELS.shape


# --- feature maps -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["standard", "bins", "normal", "cosines"])
def test_maps_are_bounded_and_pass_through_a_file(name):
    view = feature_maps.learn(name, X, np.random.default_rng(0))
    for rows in (X, EXTREME):
        features = view(rows)
        assert features.dtype == np.float32 and np.isfinite(features).all() and np.abs(features).max() <= 20
    again = feature_maps.FeatureMap.from_tensors(name, view.to_tensors())
    np.testing.assert_array_equal(again(EXTREME), view(EXTREME))
    assert not any(part == other for part, other in zip(again.parts, view.parts, strict=True))  # nor an error


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=60), st.integers(1, 9))
def test_bins_count_the_quantiles_passed(values, count):
    x = np.array(values)[:, None]
    bins = feature_maps.Bins.learn(x, [0], count)
    edges = np.append(bins.low, bins.high[-1:])
    assert len(bins.column) <= count and set(edges) <= set(np.quantile(x, np.linspace(0, 1, count + 1)))
    assert (len(edges) > 1) == (np.ptp(x) > 0)
    np.testing.assert_allclose(bins(edges[:, None]).sum(axis=1), np.arange(len(edges)), atol=1e-6)


@pytest.mark.parametrize(("numbers", "each"), [(1, 16), (128, 16), (683, 2), (1100, 2)])
def test_many_numbers_get_fewer_bins(numbers, each):
    """2048 features for all, 2 at the least; the sines are half of the waves, and their frequencies are drawn."""
    wide = np.random.default_rng(1).normal(size=(50, numbers))
    for name in ("bins", "normal", "cosines"):
        view = feature_maps.learn(name, wide, np.random.default_rng(0))
        assert view(wide).shape == (50, numbers * (1 + each))
    np.testing.assert_array_equal(view.parts[1].frequencies, np.random.default_rng(0).normal(0.0, 0.5, each // 2))


def test_many_rows_get_fewer_bins():
    """64 Mi entries: 65 537 rows get 1023 features, 15 for each of 64 numbers."""
    x = np.random.default_rng(0).normal(size=(65_537, 1))
    view = feature_maps.learn("bins", np.broadcast_to(x, (len(x), 64)), RNG)
    assert len(view.parts[1].column) == 64 * 15


def test_columns_with_a_third_value_are_numbers():
    """One of them only beyond the first thousand rows; columns of two values are codes, 0 and 1."""
    X = np.tile([[0.0, 5.0, 5.0], [1.0, 6.0, 5.0]], (600, 1))[[*range(1200), 0]]
    X[-1, 0] = 2.0
    view = feature_maps.learn("bins", X, RNG)
    assert [part.column.tolist() for part in view.parts] == [[0], [0, 0], [1]]
    assert view(X[:2])[:, -1].tolist() == [0.0, 1.0]


def test_the_numbers_of_maps_by_hand():
    """Half of a column equal: half its range, 2, is the width. Farther than a million ranges is all the same."""
    robust = feature_maps.Robust.learn(np.array([[5.0, 1.0]] * 4 + [[9.0, -1.0]]), [0, 1])
    assert robust.width.tolist() == [2.0, 1.0]
    np.testing.assert_allclose(robust(np.array([[9.0, -1.0]])), [[2 / np.sqrt(1 + 4 / 9), -2 / np.sqrt(1 + 4 / 9)]])
    assert feature_maps.Standard.__call__(robust, np.array([[1e300, -1e300]])).tolist() == [[1e6, -1e6]]
    wave = feature_maps.Cosines(np.array([1, 0]), np.zeros(2), np.ones(2), np.array([0.25, 1 / 12]))
    turns = np.array([[0.0, 0.75, 0.0, 0.25]])  # 0 and 3 robust, a quarter and a twelfth of them
    expected = np.concatenate([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], axis=1)
    np.testing.assert_allclose(wave(np.array([[1e300, 0.0]])), expected[:, [0, 2, 1, 3, 4, 6, 5, 7]], atol=1e-9)


def test_normal_by_hand():
    """961 numbers: a share of 1 in 1922 lies below the first, which is cut at 1 in 1000."""
    k = np.random.default_rng(0).permutation(961)
    x = np.stack([k, np.minimum(k // 240, 3)], axis=1).astype(float)
    normal = feature_maps.learn("normal", x, RNG).parts[0]
    found = normal(np.array([[0.0, 0.0], [480.0, 1.0], [960.0, 9.0]]))
    wanted = [[0.001, 0.5, 0.999], [120 / 961, 360 / 961, 840.5 / 961]]  # half of the equal ones are below
    np.testing.assert_allclose(found.T, [[NormalDist().inv_cdf(p) for p in row] for row in wanted], atol=1e-9)
    assert np.bincount(normal.column).tolist() == [64, 3]
    np.testing.assert_allclose(feature_maps.Bins.__call__(normal, x) @ normal.sums + normal.start, normal(x), atol=1e-9)


@pytest.mark.parametrize(("gap", "bins"), [(4e-10, 1), (6e-10, 2)])
def test_numbers_apart_by_rounding_have_no_bin(gap, bins):
    """A tenth of a billionth of the range, 4."""
    assert len(feature_maps.Bins.learn(np.array([[-gap], [0.0], [4.0 - gap]]), [0], 2).column) == bins


# --- n_networks="auto" ----------------------------------------------------------------------------------------

AUTO = {"numbers": (MLPRegressor, PackRegressor, NUMBERS), "classes": (MLPClassifier, PackClassifier, LABELS)}


@pytest.mark.parametrize("kind", AUTO)
def test_an_estimator_with_auto_is_a_pack(kind, tmp_path):
    network, pack, y = AUTO[kind]
    estimator = clone(network(n_networks="auto", random_state=3)).fit(X, y)
    told, wanted = (get_tags(one) for one in (estimator, pack()))
    assert (told.input_tags, told.target_tags) == (wanted.input_tags, wanted.target_tags)
    assert told.classifier_tags == wanted.classifier_tags
    wanted = outputs(pack(random_state=3).fit(X, y), X)
    np.testing.assert_array_equal(outputs(estimator, X), wanted)
    assert estimator.score(X, y) > 0.9 and estimator.n_features_in_ == 4 and not hasattr(estimator, "coefs_")
    if kind == "classes":
        np.testing.assert_array_equal(estimator.predict(X), estimator.classes_[wanted.argmax(axis=1)])
        np.testing.assert_allclose(np.exp(estimator.predict_log_proba(X)), wanted, atol=1e-12)
    vp.save(tmp_path / "model", estimator)
    np.testing.assert_array_equal(outputs(vp.load(tmp_path / "model"), X), wanted)
    assert "of a stack" in str(vp.diagnose(estimator)) == str(vp.diagnose(estimator.pack_))
    with pytest.raises(ValueError, match=r"estimator: it is a pack .n_networks=.auto"):
        to_sklearn(estimator)
    pytest.importorskip("onnx")
    assert vp.export_onnx(estimator, name="pack") == vp.export_onnx(estimator.pack_, name="pack")
    with pytest.warns(ConvergenceWarning):
        estimator.set_params(n_networks=1, max_iter=1, warm_start=True).fit(X, y)
    assert not hasattr(estimator, "pack_") and len(estimator.coefs_) == 2
    estimator.set_params(n_networks="auto", max_iter=200, warm_start=False).fit(X, y)
    assert not hasattr(estimator, "coefs_")


test_auto_refuses_what_it_chooses_itself = refusals(
    lambda parameters: MLPClassifier(**{"n_networks": "auto"} | parameters).fit(X, LABELS),
    ({"hidden_layer_sizes": (9,)}, r"chooses hidden_layer_sizes itself, got \(9,\): leave it out, or give a number"),
    ({"early_stopping": True}, "chooses early_stopping itself"),
    ({"n_networks": "many"}, TypeError, "n_networks must be a positive integer or \"auto\", got 'many'"),
)


def test_auto_is_trained_by_fit():
    with pytest.raises(ValueError, match='n_networks="auto" is trained by fit'):
        MLPClassifier(n_networks="auto").partial_fit(X, LABELS, classes=np.unique(LABELS))


# --- ensemble selection -------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 100))
def test_weights_are_shares_and_no_worse_than_the_best_alone(members, m, seed):
    rng = np.random.default_rng(seed)
    P, y, w = rng.normal(size=(members, m)), rng.normal(size=m), rng.uniform(0.1, 1, m)
    losses = squared_errors(y)
    for weights in (greedy(P, losses, w), bagged_greedy(P, losses, w, rng)):
        assert weights.sum() == pytest.approx(1.0) and (weights >= 0).all()
    # a step adds the best alone at the least: convexity gives the bound
    assert losses(np.tensordot(greedy(P, losses, w), P, 1)) @ w <= min(losses(p) @ w for p in P) + 1e-9


def test_the_weights_of_members_by_hand():
    """Each is right for one of two examples: 25 samples of two count as two examples, equal losses as 50."""
    P, drawn = np.eye(2), np.random.default_rng(0).multinomial(2, [0.5, 0.5], size=25)
    shares = drawn.sum(axis=0)[::-1] / 50
    assert shares[0] not in (0.0, 0.5, 1.0)
    weights = bagged_greedy(P, squared_errors(np.zeros(2)), None, np.random.default_rng(0))
    np.testing.assert_allclose(weights, (2 * shares + 25) / 52, rtol=1e-14)
    # twelve steps: 3 to 1 is 9 to 3
    assert greedy(np.array([[0.0], [1.0]]), squared_errors(np.array([0.25])), np.ones(1)).tolist() == [0.75, 0.25]


def test_a_share_below_one_percent_is_left_out():
    """Losses 1 and 4: the second member has a fifth of 50 among m + 50."""
    for m, wanted in ((950, [0.99, 0.01]), (951, [1.0, 0.0])):
        P = np.repeat([[1.0], [2.0]], m, axis=1)
        assert bagged_greedy(P, squared_errors(np.zeros(m)), None, RNG).tolist() == wanted


def test_a_member_without_any_loss_has_all_the_weight():
    P = np.array([[1.0, 1.0], [11.0, 11.0]])
    assert bagged_greedy(P, squared_errors(np.ones(2)), None, RNG).tolist() == [1.0, 0.0]


def test_examples_without_a_weight_are_not_drawn():
    codes, P = np.array([0, 1]), np.array([[[0.9, 0.1], [1.0, 0.0]], [[0.2, 0.8], [0.0, 1.0]]])
    first = bagged_greedy(P, log_losses(codes), np.array([1.0, 0.0]), np.random.default_rng(0))
    alone = bagged_greedy(P[:, :1], log_losses(codes[:1]), None, np.random.default_rng(0))
    assert first.tolist() == alone.tolist() and first[0] > 0.5
    assert np.isfinite(log_losses(codes)(P[0])).all()


# --- rows in files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "y"), [(PackRegressor, NUMBERS), (PackClassifier, LABELS)])
def test_a_pack_of_rows_in_a_file_is_one_of_single_networks(kind, y):
    """The same maps, networks and mixture as in memory, without a refit; the file is read in parts."""
    in_memory = kind(random_state=0, n_networks=1, refit=False, maps=("bins",)).fit(X, y)
    in_file = kind(random_state=0, maps=("bins",)).fit(vp.rows(X), y)
    assert in_file.found_ == in_memory.found_
    for seen in (X, vp.rows(X)):
        np.testing.assert_array_equal(outputs(in_file, seen), outputs(in_memory, X))
    far = np.where(np.arange(X.size).reshape(X.shape) == 5, np.inf, X)
    for call in (lambda: in_file.predict(vp.rows(far)), lambda: clone(in_file).fit(vp.rows(far), y)):
        with pytest.raises(ValueError, match=r"X: row 1, column 1 must be finite, got inf"):
            call()


def test_a_rare_class_weighs_in_some_rows_of_a_file_as_much_as_in_all(monkeypatch):
    """A row of it is among them in any case, with the weight of one among all rows."""
    monkeypatch.setattr(large_data, "SOME", 200)
    X, rows = np.random.default_rng(0).normal(size=(20_000, 2)), np.arange(20_000)
    y = np.where(rows % 5000 == 77, 2, rows % 2)
    X[y == 2] = 0.0  # no feature tells it apart: its probability is its share of the weights
    how = {"random_state": 0, "maps": (), "refit": False, "class_weight": {0: 1.0, 1: 1.0, 2: 1000.0}}
    shares = [
        PackClassifier(**how).fit(given, y, X_val=X, y_val=y).predict_proba(X)[:, 2].mean() for given in (X, vp.rows(X))
    ]
    np.testing.assert_allclose(shares, 4000 / 24_000, atol=0.02)


def test_what_is_learned_from_some_rows_of_a_file_is_learned_from_rows_that_count(monkeypatch):
    """Also if few of them have a weight, or a class has none with a weight."""
    monkeypatch.setattr(large_data, "SOME", 10)
    w, y = np.zeros(240), np.where(np.arange(240) == 100, "rare", LABELS)
    w[[1, 5, 31, 77, 101, 150, 222, 239]] = 1, 2, 1, 1, 3, 1, 1, 1
    pack = PackClassifier(random_state=0, maps=("bins",)).fit(vp.rows(X), y, w, X_val=X, y_val=y, sample_weight_val=w)
    assert pack.classes_.tolist() == ["few", "many", "none", "rare"] and np.isfinite(pack.predict_log_proba(X)).all()
    assert np.unique(large_data.large_rows(vp.rows(X)).some(w)).tolist() == np.flatnonzero(w).tolist()
    constant = np.where(np.arange(240)[:, None] == 7, 1.0, np.zeros((240, 2)))
    with pytest.raises(ValueError, match="X has no column with two different values among the 10 rows looked at"):
        PackRegressor().fit(vp.rows(constant), NUMBERS, X_val=X[:, :2], y_val=NUMBERS)
