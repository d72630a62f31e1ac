"""Norms of gradients across runs and layers, and the speed-up over m."""

import numpy as np
import pytest

from helpers import cases, refusals
from helpers.pictures import a_row, legend, lines, texts
from vecprop import plots
from vecprop.inspection.benchmark_report import Report, with_speedups

RUN = {"gradient_norm": [[0.1, 1.0], [0.3, 3.0], [0.2, 8.0]]}
OTHER = {"gradient_norm": [[0.0, 4.0], [0.0, 5.0]], "cost": [1.0, 0.5]}


def test_one_layer_in_several_runs():
    ax = plots.gradient_norms_of_layer({"a": RUN, "b": OTHER}, layer=2)
    assert lines(ax) == {"a": ([1, 2, 3], [1.0, 3.0, 8.0]), "b": ([1, 2], [4.0, 5.0])}
    assert "dW2" in ax.get_ylabel() and "layer 2" in ax.get_title() and ax.get_yscale() == "log"
    assert legend(ax) == ["a", "b"]
    assert legend(plots.gradient_norms_of_layer({"a": RUN, "b": OTHER})) == ["a", "b (all 0)"]


def test_over_the_layers_the_median_of_the_epochs():
    ax = plots.gradient_norms_by_layer({"a": RUN, "b": OTHER})
    assert lines(ax)["a"] == ([1, 2], [0.2, 3.0])
    (_, (first, second)) = lines(ax)["b"]
    assert np.isnan(first) and second == 4.5
    assert ax.get_xlabel() == "layer" and len({line.get_marker() for line in ax.get_lines()}) == 2


@pytest.mark.parametrize("draw", [plots.gradient_norms_of_layer, plots.gradient_norms_by_layer])
@cases(
    ([1.0], TypeError, "histories must be result.history, history_ of an estimator, or a dict"),
    ({}, ValueError, "histories must not be empty"),
    ({"gradient_norm": []}, ValueError, "histories must have at least one epoch, got none"),
    ({"a": {"cost": [1.0]}}, ValueError, r"histories\['a'\] .*no 'gradient_norm', only \['cost'\]"),
    ({"a": RUN, "b": 3}, TypeError, r"histories\['b'\] must be result.history of a fit, or history_ of"),
)
def test_what_has_no_norms(given, error, message, draw):
    with pytest.raises(error, match=message):
        draw(given)


def test_a_layer_that_is_not_there():
    with pytest.raises(ValueError, match="layer must be from 1 to 2 in 'a', got 3"):
        plots.gradient_norms_of_layer({"a": RUN}, layer=3)


def pair(loop, **fields):
    """The rows of the vectorized pass, which takes 0.01 s, and of its loop."""
    return [a_row(seconds=0.01, **fields), a_row(rung="per_example", seconds=loop, **fields)]


ROWS = with_speedups(
    [
        a_row(m=100, seconds=0.01),
        a_row(rung="per_example", m=100, seconds=0.9, extrapolated=True),
        *pair(0.02, m=1),
        a_row(m=10, seconds=0.01),  # without its loop
        *pair(0.5, m=10, pass_name="forward"),
        *pair(0.7, m=10, dtype="float64"),
        *pair(0.3, m=10, backend="jax"),
    ]
)


@pytest.mark.parametrize("given", [ROWS, tuple(ROWS), Report(ROWS)])
def test_the_speed_up_by_rising_m(given):
    drawn = lines(plots.speedup(given))
    assert drawn["numpy, 2-4-1"] == ([1, 100], [2.0, pytest.approx(90.0)]) and drawn["jax, 2-4-1"][0] == [10]
    assert drawn["_extrapolated"] == ([100], [pytest.approx(90.0)])
    assert lines(plots.speedup(given, pass_name="forward"))["numpy, 2-4-1"] == ([10], [pytest.approx(50.0)])
    assert lines(plots.speedup(given, dtype="float64"))["numpy, 2-4-1"] == ([10], [pytest.approx(70.0)])


def test_what_the_picture_says():
    ax = plots.speedup(Report(ROWS, {"CPU": "a processor", "cores": "2"}))
    assert texts(ax) == ["forward and backward, float32; a processor, 2 cores"]
    assert legend(ax) == ["jax, 2-4-1", "numpy, 2-4-1", "loop extrapolated"]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert texts(plots.speedup(ROWS)) == ["forward and backward, float32"]


test_what_is_no_report = refusals(
    plots.speedup,
    (3, TypeError, "report must be a Report of vecprop.inspection.benchmark or its rows, got int"),
    ("rows", TypeError, "report must be a Report"),
    ([{"m": 1}], TypeError, "report: row 0 must be a Row of vecprop.inspection.benchmark, got dict"),
    ([], "nothing to plot for dtype='float32', .*: measure float32 gradients on the rungs"),
    (ROWS[:1], "nothing to plot"),
)
