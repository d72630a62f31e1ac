"""The core in the strictest namespace of the standard, and on arrays that cannot be written to."""

import array_api_strict as strict
import numpy as np
import pytest

import vecprop as vp
from helpers import (
    ELEMENTWISE,
    NETWORKS,
    PAIRINGS,
    assert_close,
    assert_grads_close,
    assert_pass_close,
    make_problem,
    make_targets,
    mapped,
    on,
    round_to,
)
from vecprop import rungs

STRICT = vp.Backend(strict, "strict")


@pytest.fixture(autouse=True)
def strictest():
    """No boolean indexing, no shape that depends on values, version 2024.12: what every array library has."""
    flags = strict.ArrayAPIStrictFlags(api_version="2024.12", boolean_indexing=False, data_dependent_shapes=False)
    with flags:
        yield


@pytest.mark.parametrize("net", NETWORKS, ids=str)
def test_core_under_array_api_strict(net, dtype):
    params, X, Y, w = round_to(dtype, *make_problem(net, 6, weights=True))
    J, grads = net.gradients(params, X, Y, sample_weight=w, l2=0.3)
    moved = on(STRICT, dtype, params, X, Y, w)
    for block_size in (None, 4):
        found = net.gradients(*moved[:3], sample_weight=moved[3], l2=0.3, block_size=block_size)
        assert_pass_close(found, (J, grads), xp=strict)
    assert_close(net.forward(*moved[:2]), net.forward(params, X), xp=strict)
    assert_close(net.cost(*moved[:3], sample_weight=moved[3], l2=0.3), J, xp=strict)
    assert_close(vp.gradient_norms(found[1]), vp.gradient_norms(grads), bound=1e-5 if dtype == "float32" else 1e-12)
    plain = rungs.vectorized(net, params, X, Y)
    for rung in (rungs.per_neuron, rungs.per_example):
        assert_pass_close(rung(net, *moved[:3]), plain)
    assert vp.check_gradients(net, *moved[:3]).passed


@pytest.mark.parametrize(("output", "loss"), [*PAIRINGS, *((g, None) for g in ELEMENTWISE)])
def test_complex_step_under_array_api_strict(output, loss):
    """Complex numbers have no order: branches are chosen by the real part, here as in NumPy, which has one."""
    net = vp.Network((2, 3), output=output, loss=loss)
    random = np.random.default_rng(0)
    Z, Y = 3 * random.standard_normal((3, 5)) + 1e-30j, make_targets(random, net, 5)
    A = net.output.function(np, Z)
    Z_s, Y_s = strict.asarray(Z), strict.asarray(Y)
    A_s = net.output.function(strict, Z_s)
    L, L_s = net.loss.values(np, net.output, Z, A, Y), net.loss.values(strict, net.output, Z_s, A_s, Y_s)
    pairs = [(A_s, A), (L_s, L)]
    if net.output.elementwise:
        pairs.append((net.output.derivative(strict, Z_s, A_s), net.output.derivative(np, Z, A)))
    for actual, desired in pairs:
        numbers = np.asarray(actual)
        np.testing.assert_allclose(numbers.real, desired.real, rtol=1e-14, atol=1e-15)
        np.testing.assert_allclose(numbers.imag, desired.imag, rtol=1e-14, atol=1e-45)


def test_stack_and_collapse_under_array_api_strict():
    net = vp.Network((3, 4, 2), hidden="identity", output="softmax")
    _, X, Y, w = make_problem(net, 6, weights=True)
    stack = net.init(seed=range(3), dtype="float64")
    moved = on(STRICT, "float64", stack, X, Y, w)
    found = net.gradients(*moved[:3], sample_weight=moved[3], l2=0.1)
    assert_pass_close(found, net.gradients(stack, X, Y, sample_weight=w, l2=0.1), xp=strict)
    assert_close(net.collapse(moved[0]).W, net.collapse(stack).W)


@pytest.mark.parametrize("net", NETWORKS, ids=str)
def test_read_only_arrays(net):
    params, X, Y, w = make_problem(net, 6, weights=True)
    expected = net.gradients(params, X, Y, sample_weight=w, l2=0.3)
    for array in (*(a for layer in params for a in layer), X, Y, w):
        array.flags.writeable = False
    assert_pass_close(net.gradients(params, X, Y, sample_weight=w, l2=0.3, block_size=4), expected)
    assert_grads_close(rungs.per_example(net, params, X, Y)[1], rungs.per_neuron(net, params, X, Y)[1])
    vp.fit(net, X, Y, params=params, sample_weight=w, epochs=2, batch_size=4)
    vp.check_gradients(net, params, X, Y)


def test_torch_arrays_compute_in_torch():
    """Any namespace will do: PyTorch's, where it is installed."""
    torch = pytest.importorskip("torch")
    net = vp.Network((3, 4, 2), output="softmax")
    params, X, Y, _ = make_problem(net, 5)
    J, grads = net.gradients(params, X, Y)
    J_t, grads_t = net.gradients(mapped(torch.asarray, params), torch.asarray(X), torch.asarray(Y), block_size=2)
    assert isinstance(J_t, torch.Tensor)
    np.testing.assert_allclose(J_t.numpy(), J, rtol=1e-13)
    np.testing.assert_allclose(grads_t[0].W.numpy(), grads[0].W, rtol=1e-12, atol=1e-15)
