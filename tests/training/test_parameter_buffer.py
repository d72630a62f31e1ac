"""One buffer for all parameters: what goes in comes out, in order, and the layout is a value."""

import numpy as np
import pytest

import vecprop as vp
from vecprop.backend.pytrees import leaves_of, map_tree, map_trees, rebuild, unzip_trees
from vecprop.nn.batch_norm import Scale
from vecprop.training.parameter_buffer import layout

NUMPY = vp.get_backend("numpy")
STACKS = [(), (1,), (4,), (2, 3)]


def make_tree(stack=()):
    """Two layers and the parameters of a normalization, every number another."""
    shapes = [(3, 2), (3, 1), (1, 3), (1, 1), (3, 1), (3, 1)]
    numbers = iter(range(1000))
    W1, b1, W2, b2, gamma, beta = (
        np.array([next(numbers) for _ in range(int(np.prod((*stack, *s))))], dtype=float).reshape(*stack, *s)
        for s in shapes
    )
    return (vp.Layer(W1, b1), vp.Layer(W2, b2), Scale(gamma, beta))


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("stack", STACKS)
def test_what_goes_in_comes_out(stack, apart):
    tree = make_tree(stack)
    plan = layout(tree, apart)
    buffers = plan.pack(NUMPY, tree)
    back = plan.unpack(np, buffers)
    assert [type(part) for part in back] == [vp.Layer, vp.Layer, Scale]
    for a, b in zip(leaves_of(back), leaves_of(tree), strict=True):
        np.testing.assert_array_equal(a, b)
        assert any(np.shares_memory(a, buffer) for buffer in leaves_of(buffers)), "a view: no copy for each step"


@pytest.mark.parametrize("stack", STACKS)
def test_what_a_buffer_holds_in_which_order(stack):
    """Everything; or for decay, which is of weights alone, W_1, W_2 in one buffer and b_1, b_2, γ, β in the other."""
    tree = make_tree(stack)
    W1, b1, W2, b2, gamma, beta = rows = [a.reshape(*stack, -1) for a in leaves_of(tree)]
    (buffer,), (buffers,) = (layout(tree, apart).pack(NUMPY, tree) for apart in (False, True))
    assert type(buffers) is vp.Layer
    for found, held in ((buffer, rows), (buffers.W, [W1, W2]), (buffers.b, [b1, b2, gamma, beta])):
        np.testing.assert_array_equal(found, np.concatenate(held, axis=-1)[..., None])


def test_a_layout_is_a_value():
    """Equal shapes, equal layouts with one hash, so that a compiled epoch is found again; others are others."""
    plan = layout(make_tree(), False)
    assert plan == layout(map_tree(lambda a: a + 1, make_tree()), False)
    assert hash(plan) == hash(layout(make_tree(), False))
    assert plan != layout(make_tree(), True)
    assert plan != layout(make_tree((2,)), False)


def test_trees_of_named_tuples_and_of_nothing():
    assert list(leaves_of(None)) == [] and map_trees(max, (), ()) == ()
    assert map_tree(lambda a: 10 * a, (vp.Layer(1, 2), None, ())) == (vp.Layer(10, 20), None, ())
    assert type(rebuild(vp.Layer(1, 2), [3, 4])) is vp.Layer
    assert unzip_trees((), 3, ()) == [(), (), ()]
    layer, nothing = unzip_trees(((vp.Layer((1, 2), (3, 4)),), ()), 2, ((vp.Layer(0, 0),), ()))
    assert layer == ((vp.Layer(1, 3),), ()) and nothing == ((vp.Layer(2, 4),), ())
    with pytest.raises(ValueError, match="zip"):
        map_trees(lambda a, b: a + b, (1, 2), (1,))
