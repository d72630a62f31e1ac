"""The ladder: every rung gives the same J and the same gradients (E13)."""

import pytest

import vecprop as vp
from helpers import (
    NETWORKS,
    PAIRINGS,
    assert_close,
    assert_pass_close,
    make_problem,
    on,
    round_to,
)
from vecprop import rungs

FEW = [*NETWORKS[:6], *NETWORKS[len(PAIRINGS) :], vp.Network((3, 1))]


@pytest.mark.parametrize(("net", "dtype"), [(n, "float64") for n in FEW] + [(n, "float32") for n in FEW[::4]], ids=str)
def test_rungs_agree(net, dtype, backend):
    rounded = round_to(dtype, *make_problem(net, 5)[:3])
    expected = rungs.per_neuron(net, *rounded)
    A = rungs.forward_per_neuron(net, *rounded[:2])
    moved = on(backend, dtype, *rounded)
    for rung in (rungs.per_neuron, rungs.per_example, rungs.vectorized):
        assert_pass_close(rung(net, *moved), expected, xp=backend.xp)
    for forward in (rungs.forward_per_neuron, rungs.forward_per_example, vp.Network.forward):
        assert_close(forward(net, *moved[:2]), A, xp=backend.xp)


def test_stack_and_single_are_told_apart():
    net = vp.Network((3, 4, 1))
    _, X, Y, _ = make_problem(net, 7)
    with pytest.raises(ValueError, match=r"params must be a stack of networks.*seed=range"):
        rungs.networks(net, net.init(dtype="float64"), X, Y)
    for rung in (rungs.per_neuron, rungs.per_example, rungs.vectorized):
        with pytest.raises(ValueError, match=r"params must be one network.*rungs\.networks"):
            rung(net, net.init(seed=[1, 2], dtype="float64"), X, Y)
