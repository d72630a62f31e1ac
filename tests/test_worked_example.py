"""The worked examples of docs/equations.md, number by number, and the truth of what that page cites.

All numbers of the 2-2-1 example are small integers, halves or quarters, so they are exact in floating point.
"""

import inspect
import math
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import vecprop as vp
from helpers.processes import ROOT
from vecprop import propagation
from vecprop.nn.activations import Sigmoid, Softmax, Tanh
from vecprop.nn.losses import CrossEntropy, SquaredError

PAGE = ROOT / "docs" / "equations.md"
TEXT = PAGE.read_text(encoding="utf-8")

# --- a 2-2-1 network, ReLU and identity, half the squared error, two examples -------------------------------

NET = vp.Network((2, 2, 1), hidden="relu", output="identity")
X = np.array([[1.0, 3.0], [2.0, -1.0]])
Y = np.array([[1.0, 2.0]])
W1 = np.array([[1.0, -1.0], [1.0, 1.0]])
b1 = np.array([[-1.0], [1.0]])
W2 = np.array([[2.0, -1.0]])
b2 = np.array([[1.0]])
PARAMS = ((W1, b1), (W2, b2))

PAPER = {
    "Z_1": [[-2, 3], [4, 3]],
    "A_1": [[0, 3], [4, 3]],
    "Z_2": [[-3, 4]],
    "A_2": [[-3, 4]],
    "J": 5,
    "dZ_2": [[-4, 2]],
    "dW_2": [[3, -5]],
    "db_2": [[-1]],
    "dA_1": [[-8, 4], [4, -2]],
    "dZ_1": [[0, 4], [4, -2]],
    "dW_1": [[6, -2], [-1, 5]],
    "db_1": [[2], [1]],
}
GRADIENTS = ("dW_1", "db_1", "dW_2", "db_2")
EXACT = {name: PAPER[name] for name in GRADIENTS}

# E7 for each example: its loss and its gradients.
EXAMPLES = [
    (8, {"dW_1": [[0, 0], [4, 8]], "db_1": [[0], [4]], "dW_2": [[0, -16]], "db_2": [[-4]]}),
    (2, {"dW_1": [[12, -4], [-6, 2]], "db_1": [[4], [-2]], "dW_2": [[6, 6]], "db_2": [[2]]}),
]

STEP = {
    "W_1'": [[0.4, -0.8], [1.1, 0.5]],
    "b_1'": [[-1.2], [0.9]],
    "W_2'": [[1.7, -0.5]],
    "b_2'": [[1.1]],
    "A_2'": [[-0.4, 0.61]],
    "J'": 0.973025,
}


def named(grads):
    """Return the gradients by the names they have on paper, as lists: a list knows its shape."""
    return dict(zip(GRADIENTS, (array.tolist() for layer in grads for array in layer), strict=True))


def test_every_quantity_equals_the_paper():
    """Those of E9-E11, by their names on paper."""
    Z, A = propagation.forward(NET, PARAMS, X)
    dZ2 = NET.loss.dZ(np, NET.output, Z[2], A[2], Y)
    dA1 = W2.T @ dZ2
    dZ1 = NET.hidden[0].backward(np, dA1, Z[1], A[1])
    J, grads = NET.gradients(PARAMS, X, Y)
    inner = {"Z_1": Z[1], "A_1": A[1], "Z_2": Z[2], "A_2": A[2], "dZ_2": dZ2, "dA_1": dA1, "dZ_1": dZ1}
    assert {name: array.tolist() for name, array in inner.items()} | {"J": float(J)} | named(grads) == PAPER
    assert NET.forward(PARAMS, X).tolist() == PAPER["A_2"]
    assert float(NET.cost(PARAMS, X, Y)) == PAPER["J"]


def test_each_example_equals_the_paper():
    for i, (loss, paper) in enumerate(EXAMPLES):
        J, grads = NET.gradients(PARAMS, X[:, i : i + 1], Y[:, i : i + 1])
        assert float(J) == loss
        assert named(grads) == paper
        # for one example db is dz (E7): column i of dZ
        for l in (1, 2):
            assert named(grads)[f"db_{l}"] == np.array(PAPER[f"dZ_{l}"])[:, i : i + 1].tolist()


def test_networks_rung_equals_the_paper():
    """Two networks in one stack: the one on paper, and one whose signs of W2, b2 and Y are turned round."""
    stack = [(np.stack([W1, W1]), np.stack([b1, b1])), (np.stack([W2, -W2]), np.stack([b2, -b2]))]
    J, grads = vp.rungs.networks(NET, stack, X, np.stack([Y, -Y]))
    assert J.tolist() == [5, 5]
    assert named([(dW[0], db[0]) for dW, db in grads]) == EXACT
    turned = {name: (-np.array(PAPER[name])).tolist() for name in ("dW_2", "db_2")}
    assert named([(dW[1], db[1]) for dW, db in grads]) == EXACT | turned


def test_one_step_of_gradient_descent():
    optimizer = vp.GradientDescent(0.1)
    _, grads = NET.gradients(PARAMS, X, Y)
    stepped, _ = optimizer.update(grads, optimizer.init(PARAMS), PARAMS)
    trained = vp.fit(NET, X, Y, params=PARAMS, optimizer=optimizer, epochs=1, backend="numpy", progress=False)
    for params in (stepped, trained.params):
        values = [array for layer in params for array in layer]
        values += [NET.forward(params, X), NET.cost(params, X, Y)]
        for (name, paper), value in zip(STEP.items(), values, strict=True):
            assert value.shape == np.shape(paper), name
            np.testing.assert_allclose(value, paper, rtol=0, atol=2e-15, err_msg=name)
    assert trained.history["cost"] == [5]


def test_weights_and_penalty_on_paper():
    J, grads = NET.gradients(PARAMS, X, Y, l2=2.0)
    assert float(J) == float(NET.cost(PARAMS, X, Y, l2=2.0)) == 9.5
    assert named(grads) == {"dW_1": [[7, -3], [0, 6]], "db_1": [[2], [1]], "dW_2": [[5, -6]], "db_2": [[-1]]}
    J, grads = NET.gradients(PARAMS, X, Y, sample_weight=np.array([3.0, 1.0]))
    assert float(J) == 6.5
    # (3 · example 1 + 1 · example 2) / 4
    assert named(grads) == {
        "dW_1": [[3, -1], [1.5, 6.5]],
        "db_1": [[1], [2.5]],
        "dW_2": [[1.5, -10.5]],
        "db_2": [[-2.5]],
    }
    norms = vp.gradient_norms(NET.gradients(PARAMS, X, Y)[1])
    np.testing.assert_allclose(norms, [8.124038404636, 5.830951894845], rtol=1e-12)


def test_collapse_on_paper():
    linear = vp.Network((2, 2, 1), hidden="identity", output="identity")
    W, b = linear.collapse(PARAMS)
    assert (W.tolist(), b.tolist()) == ([[1, -3]], [[-2]])
    assert linear.forward(PARAMS, X).tolist() == (W @ X + b).tolist() == [[-7, 4]]


@pytest.mark.parametrize("hidden", ["tanh", "relu"])
def test_zero_weights_on_paper(hidden):
    net = vp.Network((2, 2, 1), hidden=hidden, output="identity")
    _, grads = net.gradients([(0 * W, 0 * b) for W, b in PARAMS], X, Y)
    # prediction 0, so dZ2 = -Y = (-1, -2): only the last bias learns
    assert named(grads) == {"dW_1": [[0, 0]] * 2, "db_1": [[0]] * 2, "dW_2": [[0, 0]], "db_2": [[-1.5]]}


def test_central_difference_on_paper():
    above, below = (float(NET.cost([(W1, b1), (W2, b2 + step)], X, Y)) for step in (1.0, -1.0))
    assert (above, below, (above - below) / 2) == (4.5, 6.5, -1)
    assert vp.check_gradients(NET, PARAMS, X, Y).passed


# --- logistic regression, softmax and activations -----------------------------------------------------------


def test_logistic_regression_on_paper():
    net = vp.Network((2, 1), output="sigmoid")
    params = [(np.array([[1.0, 2.0]]), np.array([[-1.0]]))]
    X, Y = np.array([[2.0, 1.0], [-1.0, 1.0]]), np.array([[1.0, 0.0]])
    Z, A = propagation.forward(net, params, X)
    assert Z[1].tolist() == [[-1, 2]]
    assert A[1] == pytest.approx(np.array([[0.268941421370, 0.880797077978]]), abs=1e-12)
    losses = net.loss.values(np, net.output, Z[1], A[1], Y)
    assert losses == pytest.approx(np.array([[1.313261687518, 2.126928011043]]), abs=1e-12)

    # one example: E3, the long way round and the short one
    da = -Y / A[1] + (1 - Y) / (1 - A[1])
    assert da[0, 0] == pytest.approx(-(1 + math.e), rel=1e-14) == pytest.approx(-3.718281828459, abs=1e-12)
    dz = net.loss.dZ(np, net.output, Z[1], A[1], Y)
    assert dz == pytest.approx(np.array([[-0.731058578630, 0.880797077978]]), abs=1e-12)
    assert dz == pytest.approx(net.output.backward(np, da, Z[1], A[1]), rel=1e-14)
    J, ((dW, db),) = net.gradients(params, X[:, :1], Y[:, :1])
    assert float(J) == pytest.approx(1.313261687518, abs=1e-12)
    assert dW == pytest.approx(np.array([[-1.462117157260, 0.731058578630]]), abs=1e-12)
    assert db == pytest.approx(np.array([[-0.731058578630]]), abs=1e-12)

    # both examples: E4
    J, ((dW, db),) = net.gradients(params, X, Y)
    assert float(J) == float(net.cost(params, X, Y)) == pytest.approx(1.720094849281, abs=1e-12)
    assert dW == pytest.approx(np.array([[-0.290660039641, 0.805927828304]]), abs=1e-12)
    assert db == pytest.approx(np.array([[0.074869249674]]), abs=1e-12)


def test_softmax_on_paper():
    Z, Y = np.log([[1.0], [2.0], [3.0]]), np.array([[0.0], [0.0], [1.0]])
    A = Softmax().function(np, Z)
    np.testing.assert_allclose(A, [[1 / 6], [1 / 3], [1 / 2]], rtol=1e-15)
    cross_entropy, squared = CrossEntropy(), SquaredError()
    assert cross_entropy.values(np, Softmax(), Z, A, Y).sum() == pytest.approx(0.693147180560, abs=1e-12)
    np.testing.assert_allclose(cross_entropy.dZ(np, Softmax(), Z, A, Y), [[1 / 6], [1 / 3], [-1 / 2]], rtol=1e-15)
    # E25: softmax and sigmoid with half the squared error
    assert squared.values(np, Softmax(), Z, A, Y).sum() == pytest.approx(7 / 36, rel=1e-15)
    np.testing.assert_allclose(
        squared.dZ(np, Softmax(), Z, A, Y), [[5 / 108], [16 / 108], [-21 / 108]], rtol=0, atol=1e-16
    )
    z, a, one = np.array([[0.0]]), np.array([[0.5]]), np.array([[1.0]])
    assert squared.values(np, Sigmoid(), z, a, one).item() == 1 / 8
    assert squared.dZ(np, Sigmoid(), z, a, one).item() == -1 / 8


def test_activations_on_paper():
    for g, z, a, slope in ((Sigmoid(), math.log(3), 0.75, 0.1875), (Tanh(), math.log(2), 0.6, 0.64)):
        Z = np.array([[z]])
        A = g.function(np, Z)
        assert (A.item(), g.derivative(np, Z, A).item()) == pytest.approx((a, slope), abs=1e-15)


# --- the page -----------------------------------------------------------------------------------------------


def display_rows(heading):
    """Return name -> value for the rows `name &= … value` in the displays of one section: a matrix or a number."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = {}
    for block in re.findall(r"^```math\n(.*?)^```$", section, flags=re.M | re.S):
        for name, right in re.findall(r"^(\S+) &= (.*)$", block, flags=re.M):
            matrices = re.findall(r"\\begin\{bmatrix\}(.*?)\\end\{bmatrix\}", right)
            if matrices:
                value = [[float(cell) for cell in row.split("&")] for row in matrices[-1].split(r"\\")]
            else:
                value = float(right.rpartition("=")[2])
            assert name not in rows, f"{name} stands twice"
            rows[name] = value
    return rows


def test_page_has_the_same_numbers():
    given = {"X": X, "Y": Y, "W_1": W1, "b_1": b1, "W_2": W2, "b_2": b2}
    assert display_rows("A worked example") == {name: a.tolist() for name, a in given.items()} | PAPER | STEP


def test_page_has_every_equation():
    found = re.findall(r"^#{2,3} E(\d+) (.*?)(?=^#{2,3} |\Z)", TEXT, flags=re.M | re.S)
    assert sorted(int(number) for number, _ in found) == list(range(1, 41)), "each once"
    for number, text in found:
        for wanted in ("```math" if number != "29" else "|", "\n- Shapes: ", "\n- Code: ", "\n- Test: "):
            assert wanted in text, f"E{number} lacks {wanted.strip()!r}"
        shapes, code, test = re.split(r"\n- (?:Shapes|Code|Test): ", text)[1:4]
        assert shapes
        assert re.search(r"vecprop\.\w+\.\w+", code + text * (number == "13")), f"E{number} names no function"
        assert re.search(r"tests/[\w/]+\.py::test_\w+", test), f"E{number} names no test"


def test_functions_that_the_page_names_exist():
    links = set(re.findall(r"\[`(vecprop\.[\w.]+)`\]\(([^)\s]+)\)", TEXT))
    assert len(links) > 40
    for name, target in links:
        value = pkgutil.resolve_name(name)
        source = inspect.getsourcefile(inspect.unwrap(getattr(value, "fget", value)))
        assert (PAGE.parent / target).resolve() == Path(source), f"{name} is not in {target}"
    # nothing is named without its link
    assert set(re.findall(r"`(vecprop\.[\w.]+)`", TEXT)) == {name for name, _ in links}
