"""The public gradient check, and the chain rule (E39, E40)."""

import numpy as np
import pytest

import vecprop as vp
from helpers import cases, make_problem, on

NET = vp.Network((3, 4, 1))
PARAMS, X, Y, _ = make_problem(NET, 9)


@pytest.mark.parametrize("name", ["W1", "b1", "W2", "b2", "W3", "b3"])
@pytest.mark.parametrize("method", ["complex", "central"])
def test_wrong_by_one_percent_is_named(name, method, backend):
    net = vp.Network((3, 4, 5, 2), hidden=["tanh", "relu"], output="softmax")
    params, X, Y, w = make_problem(net, 9, weights=True)
    params, X, Y, w = on(backend, "float64", params, X, Y, w)
    _, grads = net.gradients(params, X, Y, sample_weight=w, l2=0.1)
    wrong = [list(layer) for layer in grads]
    with backend.scope("float64", "highest"):
        wrong[int(name[1]) - 1]["Wb".index(name[0])] *= 1.01
    check = {"sample_weight": w, "l2": 0.1, "method": method}
    report = vp.check_gradients(net, params, X, Y, grads=wrong, **check)
    assert report.wrong == [name]
    assert report[name] == pytest.approx(0.01 / 2.01, rel=1e-3)
    assert not report.passed
    assert "WRONG" in str(report)
    with pytest.raises(ArithmeticError, match=name):
        report.raise_if_wrong()
    assert vp.check_gradients(net, params, X, Y, **check).passed


def test_report_of_one_wrong_entry_and_of_nan():
    _, (first, second) = NET.gradients(PARAMS, X, Y)
    entry = first.W.copy()
    entry[2, 1] += 1e-9
    assert vp.check_gradients(NET, PARAMS, X, Y, grads=[(entry, first.b), second]).wrong == ["W1"]
    entry[2, 1] = np.nan
    assert vp.check_gradients(NET, PARAMS, X, Y, grads=[(entry, first.b), second]).wrong == ["W1"]


def test_central_differences_are_reported_as_they_are():
    report = vp.check_gradients(NET, PARAMS, X, Y, method="central")
    assert report.passed
    assert 1e-12 < max(report.values()) < 1e-8, "about nine digits"


def test_float32_parameters_are_checked_in_float64(backend):
    net = vp.Network((3, 4, 2), output="softmax")
    params, X, Y, _ = make_problem(net, 9)
    report = vp.check_gradients(net, *on(backend, "float32", params, X, Y))
    assert report.passed
    assert report.tolerance == 1e-12
    assert set(report) == {"W1", "b1", "W2", "b2"}


def test_a_zero_gradient_passes():
    assert vp.check_gradients(NET, NET.init(init="zeros"), X, Y).passed


def test_a_large_network_is_sampled():
    net = vp.Network((50, 40, 3), output="softmax")
    params, X, Y, _ = make_problem(net, 5)
    report = vp.check_gradients(net, params, X, Y, max_entries=100)
    assert report.entries["W1"] == (100, 2000)
    assert report.entries["b1"] == (40, 40)
    assert report.passed


def test_at_a_kink_the_branch_of_the_equations_is_checked():
    """z = 0 exactly: ReLU'(0) = 1, and the complex step differentiates that branch."""
    net = vp.Network((1, 1, 1), hidden="relu", output="identity")
    params = [(np.array([[1.0]]), np.array([[0.0]])), (np.array([[2.0]]), np.array([[1.0]]))]
    X, Y = np.array([[0.0]]), np.array([[0.0]])
    assert vp.check_gradients(net, params, X, Y).passed
    _, grads = net.gradients(params, X, Y)
    assert grads[0].b.tolist() == [[2.0]]


@pytest.mark.parametrize("method", ["complex", "central"])
def test_chain_rule_cases(method):
    """The worked cases of E39: dz/dx = dz/dy · dy/dx."""
    tolerance = {"complex": 1e-15, "central": 1e-8}[method]
    for x in (-1.5, 0.0, 2.0):  # z = 2y + 1, y = x²: 4x
        got = vp.numeric_gradient(lambda x: (2 * x**2 + 1)[0], np.array([x]), method)
        np.testing.assert_allclose(got, [4 * x], rtol=tolerance, atol=tolerance)

    def z(x):
        y1, y2 = x[0] + x[1] ** 2, x[1] + x[2] ** 3
        return y1**2 + y2**2

    for x1, x2, x3 in [(1.0, 2.0, 3.0), (-0.5, 0.25, 1.5), (0.0, 0.0, 0.0)]:
        y1, y2 = x1 + x2**2, x2 + x3**3
        hand = [2 * y1, 4 * y1 * x2 + 2 * y2, 2 * y2 * 3 * x3**2]
        got = vp.numeric_gradient(z, np.array([x1, x2, x3]), method)
        np.testing.assert_allclose(got, hand, rtol=tolerance * 10, atol=tolerance)


@cases(("float64", 1e-9, 1e-9), ("float64", 1e12, 1e-9), ("float32", 3.0, 1e-3), ("float32", 1e9, 1e-3))
def test_the_step_suits_numbers_of_every_size(dtype, x, bound):
    got = vp.numeric_gradient(lambda x: (x**2).sum(), np.full((2, 3), x, dtype))
    assert got.shape == (2, 3) and np.abs(got - 2 * x).max() <= bound * max(2 * x, 1)


def test_central_differences_of_large_weights():
    net = vp.Network((1, 1), output="identity")
    params = [(np.array([[3e12]]), np.array([[1e12]]))]
    report = vp.check_gradients(net, params, np.array([[2.0]]), np.array([[1.0]]), method="central")
    assert report.passed
    assert max(report.values()) < 1e-9
