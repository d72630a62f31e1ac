"""Snapshots of a training run, and the film of its decision boundary."""

import numpy as np
import pytest
from PIL import Image

import vecprop as vp
from helpers import assert_near, assert_same, backend_or_skip, cases, refusals
from helpers.pictures import legend
from vecprop import plots

NET = vp.Network((2, 5, 1))
DATA = vp.datasets.moons(m=60, seed=0)


def train(snapshots, **options):
    return vp.fit(NET, *DATA, callbacks=snapshots, **({"optimizer": vp.Adam(0.05), "epochs": 6} | options))


def test_which_epochs_are_kept():
    for snapshots, epochs in (
        (plots.Snapshots(), [0, 1, 2, 3, 4, 5, 6]),
        (plots.Snapshots(every=4), [0, 4]),
        (plots.Snapshots(at=[5, 1, 99]), [1, 5]),
    ):
        train(snapshots)
        assert list(snapshots) == epochs and len(snapshots) == len(epochs)
    assert repr(snapshots) == "Snapshots(at=[1, 5, 99]): 2 kept"


@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_what_is_kept_is_the_network_of_that_epoch(name):
    """Each is the result of a run that ends there; epoch 0 is the start; all are NumPy arrays of their own."""
    backend = backend_or_skip(name)
    snapshots = plots.Snapshots(every=3)
    train(snapshots, batch_size=20, backend=backend)
    assert_near(snapshots[0], NET.init(seed=0, backend="numpy"), rtol=1e-6)
    for epochs in (3, 6):
        alone = vp.fit(NET, *DATA, optimizer=vp.Adam(0.05), epochs=epochs, batch_size=20, backend=backend)
        assert_near(snapshots[epochs], alone.params, rtol=2e-6, atol=1e-6)
        assert all(type(a) is np.ndarray for layer in snapshots[epochs] for a in layer)


@cases({"standardize": True, "batch_norm": True, "batch_size": 20}, {"optimizer": vp.LBFGS()})
def test_the_last_one_is_the_result_with_all_folded_in(options):
    snapshots = plots.Snapshots()
    result = train(snapshots, **options)
    assert list(snapshots) == [0, 1, 2, 3, 4, 5, 6]
    assert_same(snapshots[6], result.params)


def test_with_early_stopping_each_epoch_is_its_own_and_not_the_best():
    snapshots = plots.Snapshots()
    result = vp.fit(NET, *DATA, epochs=40, validation=0.3, patience=2, optimizer=vp.Adam(0.5), callbacks=snapshots)
    best, last = int(result.state.best.epoch), result.state.epoch
    assert best < last and list(snapshots) == list(range(last + 1))
    assert_same(snapshots[best], result.params)
    assert_same(snapshots[last], result.state.params)


def test_a_run_that_goes_on_is_added_and_a_new_one_begins_anew():
    snapshots = plots.Snapshots(every=2)
    result = train(snapshots)
    train(snapshots, state=result.state, epochs=2)
    assert list(snapshots) == [0, 2, 4, 6, 8]
    train(snapshots, epochs=2)
    assert list(snapshots) == [0, 2]


test_wrong_epochs = refusals(
    lambda given: plots.Snapshots(**given),
    ({"at": 3}, TypeError, "at must be a sequence of epochs, got 3"),
    ({"at": [1, -1]}, "at must be epochs, integers of at least 0, got -1"),
    ({"at": "12"}, TypeError, "at must be a sequence of epochs"),
)


@pytest.mark.reliability
def test_the_film_shows_each_snapshot(tmp_path):
    snapshots = plots.Snapshots(at=[0, 2, 6])
    result = train(snapshots)
    path = tmp_path / "new" / "boundary.gif"
    ax = plots.panels()[0]
    film = plots.decision_boundary_animation(NET, snapshots, *DATA, path, ax, fps=5, dpi=40, names=["up", "down"])
    with Image.open(path) as gif:
        assert gif.n_frames == 3 and gif.info["loop"] == 0 and gif.size == (256, 200)
        durations = []
        for k in range(3):
            gif.seek(k)
            durations.append(gif.info["duration"])
        assert durations[:2] == [200, 200] and durations[2] >= 1500  # the last one stays
    # what stands there is the last frame, and the same as the picture of the result
    alone = plots.decision_boundary(NET, result.params, *DATA)
    np.testing.assert_allclose(ax.images[0].get_array(), alone.images[0].get_array(), atol=1e-12)
    assert len(ax.images) == 1 and legend(ax) == ["up", "down"]
    right = np.mean((result.forward(DATA.X)[0] > 0.5) == DATA.labels)
    assert ax.get_title() == f"epoch 6: {100 * right:.0f} % of the examples right"
    film._func(0)
    assert ax.get_title().startswith("epoch 0: ")
    start = plots.decision_boundary(NET, snapshots[0], *DATA)
    np.testing.assert_allclose(ax.images[0].get_array(), start.images[0].get_array(), atol=1e-12)


@pytest.mark.reliability
def test_parameters_of_ones_own_in_any_order(jax_backend, tmp_path):
    params = {10: NET.init(seed=1, backend=jax_backend), 0: NET.init(seed=0, backend=jax_backend)}
    path = tmp_path / "two.gif"
    film = plots.decision_boundary_animation(NET, params, *DATA, str(path), fps=2, dpi=30)
    assert [*film.new_frame_seq()][:2] == [0, 10] and path.read_bytes()[:4] == b"GIF8"


@pytest.mark.reliability
def test_the_same_film_is_the_same_file(tmp_path):
    params = {0: NET.init(seed=0)}
    for name in "ab":
        plots.decision_boundary_animation(NET, params, *DATA, tmp_path / f"{name}.gif", fps=2, dpi=30)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


test_what_cannot_be_animated = refusals(
    lambda change: plots.decision_boundary_animation(
        **{"net": NET, "snapshots": {0: NET.init()}, "X": DATA.X, "Y": DATA.Y} | change
    ),
    ({"snapshots": plots.Snapshots()}, "snapshots must have at least one epoch, got none: train with"),
    ({"snapshots": [NET.init()]}, TypeError, "snapshots must be a Snapshots that was a callback of fit, or a dict"),
    ({"snapshots": {"a": NET.init()}}, TypeError, "snapshots must be a dict of epoch -> params, got 'a'"),
    ({"snapshots": {3: vp.Network((2, 1)).init()}}, r"snapshots\[3\] must have one \(W, b\) for each"),
    ({"snapshots": {3: NET.init(seed=[0, 1])}}, r"snapshots\[3\] must be one network, got a stack"),
    ({"path": "film.mp4"}, "path must end in .gif, got 'film.mp4'"),
)
