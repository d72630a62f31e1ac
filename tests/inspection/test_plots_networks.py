"""The pictures of networks: diagrams, weights of the first layer, activations."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

import vecprop as vp
from helpers import refusals
from helpers.pictures import legend, texts, ticks
from vecprop import plots

BLUE, RED = (to_rgb(colour) for colour in plots.COLOURS[:2])
PARAMS = (
    (np.array([[1.0, -2.0], [0.0, 4.0], [0.5, 0.25]]), np.zeros((3, 1))),
    (np.array([[3.0, -1.5, 0.75]]), np.zeros((1, 1))),
)
NET = vp.Network((2, 3, 1))


def test_a_diagram_has_every_unit_and_every_weight():
    ax = plots.network_diagram(vp.Network((3, 5, 4, 2), hidden=["relu", "tanh"], output="softmax"))
    assert len(ax.patches) == 3 + 5 + 4 + 2
    assert [len(lines.get_segments()) for lines in ax.collections] == [15, 20, 8]
    layers = [text.splitlines() for text in texts(ax)[-4:]]
    assert layers == [
        ["inputs", "X (3, m)"],
        ["hidden layer 1", "relu", "W1 (5, 3)", "b1 (5, 1)"],
        ["hidden layer 2", "tanh", "W2 (4, 5)", "b2 (4, 1)"],
        ["output", "softmax", "W3 (2, 4)", "b3 (2, 1)"],
    ]
    assert "54 parameters" in ax.get_title() and ax.get_legend() is None


@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_colour_and_width_are_sign_and_size_of_the_weights(name, request):
    backend = vp.get_backend("numpy") if name == "numpy" else request.getfixturevalue("jax_backend")
    params = [[backend.asarray(a.astype("float32")) for a in layer] for layer in PARAMS]
    ax = plots.network_diagram(NET, params)
    for lines, (W, _) in zip(ax.collections, PARAMS, strict=True):
        w = W.ravel()  # row by row, as the lines
        colours = [tuple(colour[:3]) for colour in lines.get_colors()]
        assert colours == [BLUE if value >= 0 else RED for value in w]
        widths, size = lines.get_linewidths(), np.abs(w) / np.abs(w).max()
        np.testing.assert_allclose(widths, 0.15 + 2.85 * size)
        for (left, right), place in zip(lines.get_segments(), np.ndindex(W.shape), strict=True):
            same_layer = [c.center for c in ax.patches if c.center[0] == right[0]]
            assert tuple(right) == tuple(same_layer[place[0]])
            assert left[1] == [c.center[1] for c in ax.patches if c.center[0] == left[0]][place[1]]
    assert "|w| ≤ 4" in texts(ax)[-2] and "|w| ≤ 3" in texts(ax)[-1]
    assert legend(ax) == ["w > 0", "w < 0"]


def test_a_large_layer_has_dots(tmp_path):
    net = vp.Network((784, 128, 10), output="softmax")
    params = net.init(seed=0)
    ax = plots.network_diagram(net, params, most=5)
    assert len(ax.patches) == 3 * 4 and texts(ax).count("⋮") == 3
    assert "$x_{784}$" in texts(ax) and "$a_{128}$" in texts(ax) and "$x_{3}$" not in texts(ax)
    W = params[0].W[np.ix_([0, 1, 126, 127], [0, 1, 782, 783])].ravel()
    np.testing.assert_allclose(
        ax.collections[0].get_linewidths(), 0.15 + 2.85 * np.abs(W) / np.abs(params[0].W).max(), rtol=1e-6
    )
    plots.save(ax, tmp_path / "large.png")


def test_a_diagram_of_weights_that_are_all_zero(tmp_path):
    plots.save(plots.network_diagram(NET, NET.init(init="zeros")), tmp_path / "zeros.png")


test_what_no_diagram_can_show = refusals(
    plots.network_diagram,
    (NET, NET.init(seed=[0, 1]), "params must be one network, got a stack"),
)


def test_weights_as_images():
    W = np.arange(1.0, 19.0).reshape(3, 6) * [[1], [-1], [1]]
    ax = plots.first_layer_weights([(W, np.zeros((3, 1)))], (2, 3), columns=2)
    (image,) = ax.images
    drawn = image.get_array()
    assert drawn.shape == (2 * 3 + 1, 2 * 4 + 1)
    for k, (top, left) in enumerate([(1, 1), (1, 5), (4, 1)]):
        np.testing.assert_array_equal(drawn[top : top + 2, left : left + 3], W[k].reshape(2, 3))
    assert drawn.mask[4:6, 5:8].all() and drawn.mask[0].all() and drawn.mask.sum() == drawn.size - 18
    assert image.get_clim() == (-18, 18)


def test_images_make_a_square_unless_told():
    params = [(np.ones((9, 4)), np.zeros((9, 1)))]
    assert plots.first_layer_weights(params, (2, 2)).images[0].get_array().shape == (10, 10)


def test_weights_as_a_heat_map(jax_backend, tmp_path):
    params = [(jax_backend.asarray(np.float32([[1, -2, 0.5]])), jax_backend.asarray(np.zeros((1, 1), "float32")))]
    ax = plots.first_layer_weights(params, names=["area", "age", "distance"])
    np.testing.assert_array_equal(ax.images[0].get_array(), [[1, -2, 0.5]])
    assert ax.images[0].get_clim() == (-2, 2)
    assert ticks(ax.xaxis) == ["area", "age", "distance"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("input", "unit")
    plots.save(ax, tmp_path / "map.png")
    assert ticks(ax.yaxis) == ["1"]


def test_the_sign_of_a_weight_is_its_colour():
    image = plots.first_layer_weights([(np.array([[1.0, -1.0, 0.0]]), np.zeros((1, 1)))]).images[0]
    np.testing.assert_allclose(image.to_rgba(image.get_array())[0, :, :3], [BLUE, RED, (1, 1, 1)], atol=0.01)


test_weights_that_cannot_be_drawn = refusals(
    lambda given: plots.first_layer_weights(**({"params": PARAMS} | given)),
    ({"params": None}, TypeError, "params must be a tuple of"),
    ({"params": NET.init(seed=[0, 1])}, "params must be one network, got a stack"),
    ({"params": [(np.array([[np.nan]]), np.ones((1, 1)))]}, "W1 must hold finite real numbers"),
    ({"image_shape": (2, 2)}, "image_shape must have as many pixels as there are inputs, 2, got 2 × 2"),
    ({"image_shape": 2}, TypeError, r"image_shape must be \(height, width\), got 2"),
    ({"columns": 2}, "columns is for images"),
    ({"image_shape": (1, 2), "names": ["a", "b"]}, "names are for the heat map"),
    ({"names": "ab"}, TypeError, "names must be a sequence of 2 names"),
)


def test_an_activation_and_its_derivative():
    ax = plots.activation("tanh", limits=(-2, 2))
    g, slope = ax.get_lines()[:2]
    z = g.get_xdata()
    assert (z[0], z[-1], z[500]) == (-2, 2, 0)
    np.testing.assert_allclose(g.get_ydata(), np.tanh(z))
    np.testing.assert_allclose(slope.get_ydata(), 1 - np.tanh(z) ** 2, atol=1e-15)
    assert legend(ax) == ["g(z)", "g′(z)"] and ax.get_title() == "tanh"


@pytest.mark.parametrize("name", sorted(vp.activations.ACTIVATIONS))
def test_every_elementwise_activation_and_only_jumps_leave_gaps(name):
    g = vp.activations.get_activation(name)
    if not g.elementwise:
        with pytest.raises(ValueError, match=f"activation must be elementwise, a function of one z; {name}"):
            plots.activation(name)
        return
    slope = plots.activation(name).get_lines()[1].get_ydata()
    assert np.isnan(slope).sum() == (name in ("relu", "leaky_relu"))


def test_where_a_derivative_jumps_no_line_joins_the_sides():
    z, slope = plots.activation(vp.activations.LeakyReLU(0.25)).get_lines()[1].get_data()
    assert set(slope[z < 0]) == {0.25} and set(slope[z > 0]) == {1.0} and np.isnan(slope[z == 0]).all()


def test_a_pair_of_ones_own_on_jax(jax_backend):
    xp = jax_backend.xp
    ax = plots.activation((lambda Z: xp.asarray(Z) ** 2, lambda Z: 2 * xp.asarray(Z)), limits=(0, 3))
    assert [line.get_ydata()[-1] for line in ax.get_lines()[:2]] == [9, 6]


def test_several_activations_and_their_derivatives():
    ax = plots.activations(["sigmoid", vp.activations.LeakyReLU(0.1)], limits=(-1, 1))
    left, right = ax.figure.axes
    assert ax is left
    assert legend(left) == ["sigmoid", "leaky_relu(slope=0.1)"]
    assert [line.get_ydata()[-1] for line in right.get_lines()[:2]] == pytest.approx([0.19661193, 1])
    assert [line.get_ydata()[0] for line in left.get_lines()[:2]] == pytest.approx([0.26894142, -0.1])
    styles = {(line.get_color(), line.get_linestyle()) for line in plots.activations().get_lines()}
    assert len(styles) >= 8


test_what_is_no_activation = refusals(
    lambda draw, given: draw(**given),
    (plots.activation, {"activation": "tanh", "limits": (1, 1)}, "limits must be two finite numbers"),
    (plots.activation, {"activation": "tanh", "limits": 5}, TypeError, "limits must be two numbers"),
    (plots.activation, {"activation": (np.sum, np.cos)}, r"activation: g\(Z\) must have the shape of Z"),
    (plots.activations, {"activations": "tanh"}, TypeError, "activations must be a sequence"),
    (plots.activations, {"activations": []}, "activations must have at least one"),
    (plots.activations, {"activations": ["tanh", "softmax"]}, r"activations\[1\] must be elementwise"),
)
