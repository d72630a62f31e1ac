"""The pictures: what is drawn where, without a display, and what is refused."""

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

import vecprop as vp
from helpers import cases, refusals
from helpers.pictures import a_row, legend, lines
from helpers.processes import environment, python
from vecprop import plots

HISTORY = {"cost": [1.0, 0.5, 0.25], "gradient_norm": [[0.1, 1.0], [0.01, 0.5], [0.001, 0.2]], "seconds": [1, 1, 1]}
NET, DATA = vp.Network((2, 3, 1)), vp.datasets.xor(m=20)


def half_planes(w, b, dtype="float32"):
    """Return logistic regression whose boundary is w·x + b = 0."""
    return vp.Network((2, 1)), ((np.array([w], dtype=dtype), np.array([[b]], dtype=dtype)),)


def boundaries(ax):
    """Return the vertices of the lines between the classes."""
    paths = [path for collection in ax.collections if hasattr(collection, "levels") for path in collection.get_paths()]
    return np.concatenate([path.vertices for path in paths]) if paths else np.empty((0, 2))


def test_several_cost_curves_on_given_axes():
    left, right = plots.panels(2)
    assert plots.cost_curve({"one": HISTORY, "two": {"cost": [3.0, 2.0]}}, right, log=True) is right
    assert lines(right) == {"one": ([1, 2, 3], [1.0, 0.5, 0.25]), "two": ([1, 2], [3.0, 2.0])}
    assert legend(right) == ["one", "two"] and right.get_yscale() == "log"
    colours, styles = zip(*((line.get_color(), line.get_linestyle()) for line in right.get_lines()), strict=True)
    assert len(set(colours)) == len(set(styles)) == 2
    assert not left.lines and left.figure is right.figure


def test_norms_of_zero_leave_gaps_on_the_logarithmic_axis(tmp_path):
    ax = plots.gradient_norms({"gradient_norm": [[0.0, 0.0], [0.0, 1.0]]})
    assert legend(ax) == ["layer 1 (all 0)", "layer 2"]
    assert np.isnan(lines(ax)["layer 2"][1][0]) and ax.get_yscale() == "log"
    plots.save(ax, tmp_path / "gaps.png")
    plots.save(plots.gradient_norms({"gradient_norm": [[0.0]]}), tmp_path / "nothing.png")


def test_a_wide_logarithmic_range_has_readable_ticks(tmp_path):
    ax = plots.cost_curve({"cost": [1e3, 1e-12]}, log=True)
    plots.save(ax, tmp_path / "wide.png")
    assert 3 <= sum(bool(label.get_text()) for label in ax.get_yticklabels()) <= 16


def test_the_history_of_a_run_in_panels():
    rows = {"validation_cost": [0.9, 0.6, 0.3], "metric": [0.5, 0.8, 0.9], "learning_rate": [0.1, 0.05, 0.01]}
    ax = plots.history(HISTORY | rows)
    costs, metric, rate = ax.figure.axes
    assert ax is costs and costs.get_yscale() == "linear" and legend(costs) == ["training", "validation"]
    assert lines(costs) == {"training": ([1, 2, 3], HISTORY["cost"]), "validation": ([1, 2, 3], [0.9, 0.6, 0.3])}
    assert lines(metric) == {"metric": ([1, 2, 3], rows["metric"])} and metric.get_ylabel() == "metric"
    assert lines(rate) == {"learning_rate": ([1, 2, 3], rows["learning_rate"])}
    assert {panel.get_xlabel() for panel in (costs, metric, rate)} == {"epoch"}


def test_the_history_of_a_run_without_more():
    """A learning rate that stays the same needs no panel, and one line no legend."""
    ax = plots.history(HISTORY | {"learning_rate": [0.1, 0.1, 0.1]})
    assert len(ax.figure.axes) == 1 and lines(ax) == {"training": ([1, 2, 3], HISTORY["cost"])}
    assert ax.get_legend() is None


@cases(([1.0, 0.5], "linear"), ([1.0, 0.009], "log"), ([1.0, 0.0], "linear"), ([1.0, np.nan], "linear"))
def test_a_cost_that_spans_decades_has_a_logarithmic_axis(costs, scale, tmp_path):
    ax = plots.history({"cost": costs})
    assert ax.get_yscale() == scale
    plots.save(ax, tmp_path / "costs.png")


def test_the_history_of_a_stack_has_the_best_in_a_thick_line(tmp_path):
    costs = [[1.0, 2.0, 3.0], [0.5, 0.4, np.nan]]
    norms = [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]] * 2
    given = {"cost": costs, "learning_rate": [[0.1, 0.2, 0.3]] * 2, "gradient_norm": norms}
    ax = plots.history(given)
    plots.save(ax, tmp_path / "stack.png")
    *thin, thick = ax.get_lines()
    assert len(thin) == 3 and max(line.get_linewidth() for line in thin) < thick.get_linewidth()
    assert thick.get_label() == "training, the best of 3" and list(thick.get_ydata()) == [2.0, 0.4]
    assert lines(plots.gradient_norms(given)) == {"layer 1": ([1, 2], [3.0, 3.0]), "layer 2": ([1, 2], [4.0, 4.0])}


def test_results_can_be_given_for_their_history():
    data = vp.datasets.xor(m=80)
    options = {"validation": 0.25, "patience": 5, "optimizer": vp.Adam(0.3), "epochs": 60}
    net = vp.Network((2, 8, 1))
    result = vp.fit(net, *data, **options)
    training, validation, chosen = plots.history(result).get_lines()
    assert list(training.get_ydata()) == result.history["cost"]
    assert list(validation.get_ydata()) == result.history["validation_cost"]
    epoch = int(np.argmin(result.history["validation_cost"])) + 1
    assert list(chosen.get_xdata()) == [epoch, epoch] and chosen.get_label() == f"epoch {epoch}, given back"
    assert len(lines(plots.gradient_norms(result))) == 2
    stack = vp.fit(net, *data, **options, seed=[0, 1, 2])
    best = int(np.argmin(stack.final_costs))
    assert list(plots.history(stack).get_lines()[3].get_ydata()) == [row[best] for row in stack.history["cost"]]
    (first, _), norms = plots.gradient_norms(stack).get_lines(), stack.history["gradient_norm"]
    assert list(first.get_ydata()) == [row[best][0] for row in norms]
    by_layer = lines(plots.gradient_norms_by_layer({"stack": stack}))["stack"][1]
    assert by_layer == np.median([row[best] for row in norms], axis=0).tolist()
    assert set(lines(plots.cost_curve({"one": result, "stack": stack}))) == {"one", "stack, the best of 3"}
    for draw in (plots.gradient_norms_of_layer, plots.gradient_norms_by_layer, plots.cost_curve):
        assert len(draw(result).get_lines()) == 1 and draw(result).get_legend() is None
    worse_at_last = [*stack.history["validation_cost"][:-1], [float(k == best) for k in range(3)]]
    stack = replace(stack, history=stack.history | {"validation_cost": worse_at_last})
    for given in (stack, {"": stack}):
        assert list(plots.cost_curve(given).get_lines()[0].get_ydata()) == [row[best] for row in stack.history["cost"]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_boundary_is_where_it_should_be(dtype):
    net, params = half_planes([1.0, 0.0], -0.5, dtype)
    X, Y = np.array([[-1.0, 0.0, 1.0, 2.0], [0.0, 1.0, 2.0, -1.0]]), np.array([[0, 0, 1, 1]])
    ax = plots.decision_boundary(net, params, X, Y)
    line = boundaries(ax)
    assert np.allclose(line[:, 0], 0.5, atol=1e-3) and np.ptp(line[:, 1]) > 3
    assert legend(ax) == ["class 0", "class 1"] and "2-1" in ax.get_title()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x1", "x2")


def test_the_colours_are_those_of_the_classes():
    net, params = half_planes([100.0, 0.0], 0.0)
    X, Y = np.array([[-1.0, 1.0], [-1.0, 1.0]]), np.array([[0, 1]])
    image = np.asarray(plots.decision_boundary(net, params, X, Y).images[0].get_array())
    blue, orange = image[:, 0].mean(axis=0), image[:, -1].mean(axis=0)
    assert blue[2] > blue[0] + 0.2 and orange[0] > orange[2] + 0.2


def test_three_classes():
    data = vp.datasets.spirals(m=150, arms=3)
    net = vp.Network((2, 8, 3), output="softmax")
    params = net.init(seed=0)
    ax = plots.decision_boundary(net, params, *data)
    assert legend(ax) == ["class 0", "class 1", "class 2"]
    line = boundaries(ax)
    assert len(line)
    top = np.sort(net.forward(params, line.T.astype("float32")), axis=0)
    assert np.abs(top[-1] - top[-2]).max() < 0.02  # on the line the two best classes are equal


def test_a_class_that_wins_everywhere_has_no_boundary(tmp_path):
    net, params = half_planes([0.0, 0.0], 3.0)
    ax = plots.decision_boundary(net, params, np.array([[1.0, 1.0], [2.0, 2.0]]), np.array([[0, 1]]))
    assert not len(boundaries(ax))
    plots.save(ax, tmp_path / "one.png")


def test_arrays_of_another_library(jax_backend):
    theirs = (NET.init(seed=0, backend="jax"), *map(jax_backend.asarray, DATA))
    pictures = [
        np.asarray(plots.decision_boundary(NET, *given).images[0].get_array())
        for given in ((NET.init(seed=0), *DATA), theirs)
    ]
    np.testing.assert_allclose(*pictures, atol=1e-5)


test_what_cannot_be_drawn_is_named = refusals(
    lambda change: plots.decision_boundary(**{"net": NET, "params": NET.init(), "X": DATA.X, "Y": DATA.Y} | change),
    ({"net": vp.Network((3, 1))}, "net must have 2 inputs for a picture of the plane, got 3"),
    ({"net": vp.Network((2, 1), output="identity")}, "net must have a sigmoid or softmax output"),
    ({"params": NET.init(seed=[0, 1])}, "params must be one network, got a stack"),
)


def test_a_file_is_written_into_a_new_folder(tmp_path):
    path = plots.save(plots.cost_curve(HISTORY), tmp_path / "a" / "b" / "curve.png")
    image = imread(path)
    assert image.shape[:2] == (600, 768) and image[..., :3].std() > 0.01
    assert imread(plots.save(plots.cost_curve(HISTORY), tmp_path / "a.png", dpi=50)).shape[:2] == (250, 320)


# Every function that draws on axes, with what it is given.
DRAWN = {
    "activation": ("tanh",),
    "activations": (["tanh", "relu"],),
    "confusion_matrix": ([0, 1, 1], [0, 1, 0]),
    "cost_curve": (HISTORY,),
    "decision_boundary": (NET, NET.init(), *DATA),
    "first_layer_weights": (NET.init(),),
    "gradient_norms": (HISTORY,),
    "gradient_norms_by_layer": (HISTORY,),
    "gradient_norms_of_layer": (HISTORY,),
    "history": (HISTORY | {"metric": [0.1, 0.2, 0.3]},),
    "network_diagram": (NET, NET.init()),
    "predicted_against_true": ([1.0, 2.0], [1.0, 3.0]),
    "residuals": ([1.0, 2.0], [1.0, 3.0]),
    "speedup": ([a_row(rung="per_example"), a_row(speedup=2.0)],),
}
NOT_DRAWN = {
    "COLOURS", "LINES", "Snapshots", "decision_boundary_animation", "decorate", "group_digits", "panels", "save",
}  # fmt: skip


def test_every_public_function_is_here():
    assert set(plots.__all__) == set(DRAWN) | NOT_DRAWN
    assert all(getattr(plots, name).__doc__ for name in set(plots.__all__) - {"COLOURS", "LINES"})


@pytest.mark.parametrize("name", DRAWN)
def test_axes_are_used_and_returned_and_make_a_file(name, tmp_path):
    left, right = plots.panels(2)
    figure, before = right.figure, dict(matplotlib.rcParams)
    ax = getattr(plots, name)(*DRAWN[name], ax=right)
    assert ax is right and right.has_data()
    assert not left.has_data() and not left.texts and not left.get_title()
    own = getattr(plots, name)(*DRAWN[name])
    assert own.figure is not figure
    assert dict(matplotlib.rcParams) == before
    assert plots.save(ax, tmp_path / "given.png", dpi=60).stat().st_size > 2000


@pytest.mark.reliability
@pytest.mark.parametrize("name", DRAWN)
def test_the_same_picture_is_the_same_file(name, tmp_path):
    # drawn anew: a layout that was drawn once is only nearly the same when it is drawn again
    panels = (getattr(plots, name)(*DRAWN[name]) for _ in range(2))
    first, second = (plots.save(panel, tmp_path / "own.png", dpi=60).read_bytes() for panel in panels)
    assert first == second and b"matplotlib" not in first.lower()


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_vector_files_have_no_date(ending, tmp_path):
    assert b"Date" not in plots.save(plots.cost_curve(HISTORY), tmp_path / f"a.{ending}").read_bytes()


@pytest.mark.reliability
def test_nothing_global_is_touched(tmp_path):
    code = (
        "import sys; from vecprop import plots as p; assert not any(m.startswith('matplotlib') for m in sys.modules)\n"
        "import vecprop as vp, numpy as np; net = vp.Network((2, 1))\n"
        "p.cost_curve({'cost': [1.0, 0.5]}); p.network_diagram(net); p.first_layer_weights(net.init())\n"
        "p.activations(); p.confusion_matrix([0, 1], [1, 1]); p.residuals([1.0], [2.0])\n"
        "data = vp.datasets.xor(m=8); film = p.decision_boundary_animation\n"
        "film(net, {0: net.init()}, *data, sys.argv[1], fps=2, dpi=30)\n"
        "pyplot = sys.modules.get('matplotlib.pyplot'); assert pyplot is None or not pyplot.get_fignums()"
    )
    python("-W", "error", "-c", code, tmp_path / "a.gif", env=environment("DISPLAY"))
