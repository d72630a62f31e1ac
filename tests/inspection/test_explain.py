"""`explain`: its numbers against the library's, its program run, its shapes and its mistakes tried."""

import json
import re
import sys

import numpy as np
import pytest

import vecprop as vp
from helpers import cases, host, make_problem, refusals
from helpers.commands import refused, vecprop

NETWORKS = {
    "one unit": vp.Network((3, 1)),
    "one hidden layer": vp.Network((3, 4, 1)),
    "square": vp.Network((2, 2, 2)),
    "softmax": vp.Network((4, 5, 3), hidden="relu", output="softmax"),
    "softmax regression": vp.Network((3, 4), output="softmax"),
    "regression": vp.Network((2, 5, 2), hidden="sigmoid", output="identity"),
    "counts": vp.Network((2, 3, 1), hidden="softplus", output="exp"),
    "six layers": vp.Network((3, 6, 5, 4, 4, 2, 1), hidden=["relu", "tanh", "sigmoid", "leaky_relu", "elu"]),
    "other hidden": vp.Network((3, 4, 5, 2), hidden=["gelu", "silu"], output="identity", loss="huber"),
    "hidden softmax": vp.Network((2, 3, 4, 1), hidden=["softmax", "identity"], output="exp"),
    "hidden exp": vp.Network((2, 3, 3), hidden="exp", output="softmax", loss=vp.losses.CrossEntropy(smoothing=0.2)),
    "smoothed": vp.Network((2, 3, 2), loss=vp.losses.BinaryCrossEntropy(smoothing=0.1)),
    "smoothed, E25": vp.Network((2, 3), output="sigmoid", loss=vp.losses.CrossEntropy(smoothing=0.3)),
    "sigmoid, squared error": vp.Network((2, 3, 1), loss="squared_error"),
    "softmax, squared error": vp.Network((2, 4, 3), output="softmax", loss="squared_error"),
    "softmax, binary cross-entropy": vp.Network((2, 4, 3), output="softmax", loss="binary_cross_entropy"),
    "absolute error": vp.Network((3, 2), output="tanh", loss="absolute_error"),
    "huber": vp.Network((3, 2), output="softplus", loss=vp.losses.Huber(0.3)),
    "quantiles": vp.Network((3, 4, 4), output=vp.activations.Ordered(2), loss=vp.losses.Quantile((0.1, 0.9))),
    "own pair": vp.Network((3, 4, 1), hidden=(lambda Z: Z * Z, lambda Z: 2 * Z)),
}
EVERY = pytest.mark.parametrize("net", NETWORKS.values(), ids=NETWORKS)
SHAPE = r"\((?:\d+(?:, \d+)*,?)?\)"


def run(code, arrays):
    """Run NumPy code in the names of a program and return them all."""
    names = {"np": np, "g1": lambda Z: Z * Z, "g1_prime": lambda Z: 2 * Z} | arrays
    exec(code, names)
    return names


def computed_by(explanation):
    """What the program of an explanation with numbers computes."""
    given = {part.name: part.value for part in explanation.given}
    return run(explanation.program, given | {"m": explanation.m, "lam": explanation.l2})


def shape_of(text):
    return tuple(int(n) for n in re.findall(r"\d+", text))


def resulting_shape(claim):
    """The shape that NumPy gives for the left side of a claim such as "(4, 3) @ (3, 5) -> (4, 5)"."""
    left, _, _ = claim.partition(" -> ")
    arrays = [np.ones(shape_of(s)) for s in re.findall(SHAPE, left)]
    if " @ " in left:
        return (arrays[0] @ arrays[1]).shape
    if " over axis 1, keepdims" in left:
        return np.sum(arrays[0], axis=1, keepdims=True).shape
    if left.startswith("sum of "):
        return np.sum(arrays[0]).shape
    if re.search(r"\) [-+*] \(", left):
        return (arrays[0] + arrays[1]).shape
    assert re.match(rf"(\w+ of {SHAPE}|{SHAPE} / m)$", left), claim
    return arrays[0].shape


# --- numbers ------------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("l2", [0.0, 0.7])
def test_the_numbers_are_those_of_the_library_and_of_the_program(net, l2):
    """The program is the code that is printed, run as it stands, line by line."""
    params, X, Y, _ = make_problem(net, 5)
    explanation = vp.explain(net, params=params, X=X, Y=Y, l2=l2, numbers=True)
    J, grads = net.gradients(params, X, Y, l2=l2)
    assert explanation.cost == float(J) == float(explanation["J"].value)
    for l, (dW, db) in enumerate(grads, start=1):
        np.testing.assert_array_equal(explanation[f"dW{l}"].value, dW)
        np.testing.assert_array_equal(explanation[f"db{l}"].value, db)
    A = net.forward(params, X)
    assert np.linalg.norm(explanation[f"A{len(grads)}"].value - A) <= 1e-13 * np.linalg.norm(A)
    assert explanation.check["difference"] <= 1e-13 and explanation.check["numeric"] <= 1e-6
    computed = computed_by(explanation)
    for step in explanation.steps:
        assert np.shape(computed[step.name]) == step.shape == np.shape(step.value), step.name
        scale = max(np.linalg.norm(step.value), 1e-300)
        assert np.linalg.norm(computed[step.name] - step.value) <= 1e-13 * scale, step.name


def test_one_entry_by_hand_is_true():
    net = vp.Network((2, 3, 2), output="identity")
    explanation = vp.explain(net, l2=0.3)
    assert explanation.has_numbers
    checked = 0
    for step in explanation.steps:
        if step.example and step.name[0] != "A":
            name, *_, sum_, result = step.example.split(" = ")
            assert name == f"{step.name}[0, 0]"
            assert abs(float(result) - step.value[0, 0]) <= 5e-5
            terms = sum_.replace("·", "*").replace("dA1[0, 0]*g′", "0")
            assert abs(run(f"x = {terms}", {})["x"] - step.value[0, 0]) < 5e-3, step.example
            checked += 1
    assert checked == 9


def test_what_is_drawn_can_be_followed_with_a_pencil():
    explanation = vp.explain((2, 3, 1), seed=4)
    for part in explanation.given:
        np.testing.assert_array_equal(part.value, np.round(part.value, 1))
        assert part.name in ("X", "Y") or np.all(part.value != 0)
        assert part.name[0] != "b" or len(np.unique(part.value)) == part.value.size, "a wrong broadcast would not show"
    same, other = vp.explain((2, 3, 1), seed=4), vp.explain((2, 3, 1), seed=5)
    assert str(same) == str(explanation) != str(other)


@pytest.mark.reliability
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_of_a_backend(backend, dtype):
    net = vp.Network((3, 4, 1))
    params = net.init(seed=1, dtype=dtype, backend=backend)
    X = backend.asarray(np.linspace(-1, 1, 15).reshape(3, 5), dtype)
    Y = backend.asarray(np.array([[0.0, 1, 1, 0, 1]]), dtype)
    explanation = vp.explain(net, params=params, X=X, Y=Y)
    _, grads = net.gradients(params, X, Y)
    np.testing.assert_array_equal(explanation["dW1"].value, host(grads[0].W))
    assert explanation.check["difference"] <= {"float32": 1e-6, "float64": 1e-13}[dtype]
    assert vp.explain(net, X=X, Y=Y).has_numbers, "the parameters are drawn where X is"


# --- shapes and kinds ---------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("m", [1, 3, 7])
def test_every_shape_is_true(net, m):
    explanation = vp.explain(net, m)
    table = net.shapes(m)
    for step in explanation.steps:
        for operation in step.operations:
            claimed = shape_of(operation.shapes.partition(" -> ")[2])
            assert resulting_shape(operation.shapes) == claimed, operation
        assert claimed == step.shape or len(step.operations) > 1, step
        if step.name.startswith("db"):
            n = step.shape[0]
            assert f"keeps the shape ({n}, 1)" in step.reason and f"shape ({n},)," in step.reason
            assert np.sum(np.ones((n, m)), axis=1).shape == (n,)
        if step.name in table:
            assert step.shape == table[step.name]
    assert {part.name: part.shape for part in explanation.given} == {
        name: shape for name, shape in table.items() if name in {part.name for part in explanation.given}
    }
    products = [operation for step in explanation.steps for operation in step.operations if "@" in operation.shapes]
    L = len(net.sizes) - 1
    assert len(products) == 3 * L - 1, "Z and dW of every layer, dA of all but the last"
    assert all(operation.kind == "matrix product" for operation in products)


@EVERY
def test_the_kind_is_what_the_code_does(net):
    for step in vp.explain(net, 3).steps:
        code = step.code
        assert (step.kind == "matrix product") == ("@" in code), step.name
        assert step.kind != "elementwise" or "np.sum" not in code, step.name
        assert ("keepdims=True" in code and "axis=1" in code) == (step.name.startswith("db")), step.name
        assert ("/ m" in code) == (step.name.startswith(("dW", "db", "J"))), step.name


def test_equations_are_cited_and_exist():
    with open("docs/equations.md", encoding="utf-8") as file:
        known = set(re.findall(r"^### (E\d+) ", file.read(), flags=re.MULTILINE))
    for net in NETWORKS.values():
        for step in vp.explain(net, 3, l2=0.1).steps:
            numbers = re.findall(r"E\d+", step.equation)
            assert numbers and set(numbers) <= known, step.equation
    explanation = vp.explain((3, 4, 1))
    cited = {step.name: step.equation for step in explanation.steps}
    assert cited["Z1"] == "E9, E14" and cited["A1"] == "E18" and cited["J"] == "E10, E22"
    assert vp.explain((3, 1))["dW1"].equation == "E4, E15"
    assert cited["dZ2"] == "E11, E22" and cited["dW2"] == "E11, E15"


def test_which_output_simplifies():
    assert vp.explain((3, 4, 1))["dZ2"].code == "dZ2 = A2 - Y"
    explanation = vp.explain(vp.Network((3, 4, 1), loss="squared_error"))
    assert explanation["dA2"].code == "dA2 = A2 - Y"
    assert explanation["dZ2"].code == "dZ2 = dA2 * (A2 * (1 - A2))"
    assert "does not simplify" in explanation["dA2"].reason


def test_where_the_derivative_comes_from_is_said():
    sources = {"tanh": "A1", "sigmoid": "A1", "exp": "A1", "relu": "Z1", "elu": "Z1", "softplus": "Z1"}
    for name, source in sources.items():
        step = vp.explain(vp.Network((3, 4, 1), hidden=name))["dZ1"]
        assert re.search(rf"(computed from|it is|the sign of) {source}\b", step.reason), step.reason
        assert re.search(rf"\b{source}\b", step.code), step.code


# --- mistakes -----------------------------------------------------------------------------------------------


def value_of(code, arrays):
    """The value of a piece of code, of the right side of an assignment."""
    return run(f"result = {code.partition(' = ')[2] or code}", arrays)["result"]


@EVERY
@pytest.mark.parametrize("m", [1, 2, 3, 4, 9])
def test_the_mistakes_are_true(net, m):
    """The printed code is run: it does what the text says it does."""
    explanation = vp.explain(net, m, numbers=True)
    arrays = computed_by(explanation)
    for mistake in explanation.mistakes:
        right = value_of(mistake.right, arrays)
        assert np.shape(right) == mistake.right_shape
        if mistake.outcome == "error":
            with pytest.raises(ValueError) as raised:
                value_of(mistake.wrong, arrays)
            assert str(raised.value).strip() in mistake.what_happens
            continue
        wrong = value_of(mistake.wrong, arrays)
        assert np.shape(wrong) == mistake.shape
        same = np.shape(wrong) == np.shape(right) and np.allclose(wrong, right, rtol=1e-9, atol=1e-15)
        assert same == (mistake.outcome == "right by accident"), mistake
        assert (mistake.outcome == "wrong shape") == (np.shape(wrong) != np.shape(right)), mistake
        if times := re.search(r"all of them are ([\d.e-]+) times", mistake.what_happens):
            np.testing.assert_allclose(wrong, float(times[1]) * right, rtol=1e-3, atol=1e-12)


def test_which_mistakes_there_are_depends_on_the_sizes():
    def outcomes(net, m):
        return {mistake.wrong: mistake for mistake in vp.explain(net, m).mistakes}

    usual = outcomes((3, 4, 1), 100)
    assert usual["W1 * X"].outcome == "error"
    assert "shapes (4,3) (3,100)" in usual["W1 * X"].what_happens
    db = usual["db1 = np.sum(dZ1, axis=1) / m"]
    assert db.outcome == "wrong shape" and db.shape == (4,) and "b1 - 0.1 * db1 has the shape (4, 4)" in db.what_happens
    single = outcomes((3, 1), 7)["db1 = np.sum(dZ1, axis=1) / m"]
    assert "is right all the same" in single.what_happens and "right again" not in single.what_happens
    assert usual["dA1 = W2.T * dZ2"].outcome == "right by accident"
    assert "100 times" in usual["dW2 = dZ2 @ A1.T"].what_happens
    assert usual["dZ1 = dA1 * (1 - Z1 * Z1)"].outcome == "wrong numbers"
    square = outcomes((2, 2, 2), 2)
    assert square["W1 * X"].outcome == square["W1.T @ X"].outcome == square["dA1 = W2 @ dZ2"].outcome == "wrong numbers"
    one = outcomes((3, 4, 1), 1)
    assert "dW2 = dZ2 @ A1.T" not in one, "with one example the sum is the mean"
    assert outcomes((3, 4, 2), 7)["dA1 = W2.T * dZ2"].outcome == "error"
    assert "dZ1 = dA1" not in outcomes(vp.Network((3, 4, 1), hidden="identity"), 7)


# --- the forms ----------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("numbers", [True, False])
def test_the_text(net, numbers):
    explanation = vp.explain(net, 3, l2=0.1, numbers=numbers)
    text, lines = explanation.to_markdown(), str(explanation).splitlines()
    assert max(map(len, lines)) <= 80, max(lines, key=len)
    lines = [line.strip() for line in lines]
    assert " ".join(" ".join(lines[:3]).split()).startswith(f"N{str(net)[1:]}, m = 3, λ = 0.1")
    assert numbers == ("Z1 =" in lines) == explanation.has_numbers
    assert f"```python\n{explanation.program}\n```" in text, "the program stands in it as it can be copied"
    for line in explanation.program.splitlines():
        assert line in lines or len(line) > 78
    for claim in re.findall(rf"{SHAPE} [@+*-] {SHAPE} -> {SHAPE}", text):
        assert resulting_shape(claim) == shape_of(claim.partition(" -> ")[2])


def test_matrices_are_aligned_with_four_decimals():
    text = str(vp.explain((2, 2, 1), 3))
    rows = re.findall(r"(\[ [^\]]* \])$", text, flags=re.MULTILINE)
    assert len(rows) == 9 + 17, "of what is given, and of the steps"
    for row in rows:
        cells = row.strip("[] ").split()
        assert all(re.fullmatch(r"-?\d+\.\d{4}", cell) for cell in cells), row
    assert " -0.0000" not in text


def test_large_numbers_and_matrices():
    net = vp.Network((30, 2), output="identity")
    params, X, Y, _ = make_problem(net, 20)
    text = str(vp.explain(net, params=params, X=1e7 * X, Y=Y, numbers=True))
    assert max(map(len, text.splitlines())) <= 80 and "…" in text and "e+0" in text
    matrices = re.findall(r"^ \[ .*$", text, flags=re.MULTILINE)
    assert matrices and all(row.endswith(" ]") for row in matrices), "no row is broken"


def test_wide_layers_stay_within_80_columns():
    text = str(vp.explain(vp.Network((784, 128, 10), output="softmax"), 5000))
    assert max(map(len, text.splitlines())) <= 80
    assert "sum of (128, 5000) over axis 1, keepdims -> (128, 1)" in text


def test_a_deep_network_stays_short():
    deep = vp.explain((5,) * 41, m=7)
    assert len(deep.steps) == 40 * 2 + 1 + 1 + 40 * 4 - 2
    text = deep.to_markdown()
    below = [str(e).partition("How to read it")[2].splitlines() for e in (deep, vp.explain((5,) * 61, m=7))]
    assert len(below[0]) == len(below[1]) > 100, "what is printed below the title does not grow with the depth"
    assert "layers 3 to 38 repeat the same steps" in text
    assert len(text.splitlines()) < 300 and "dW40 = (1/m) dZ40 A39ᵀ" in text and "dW1 = dZ1 @ X.T / m" in text


def test_reasons_are_given_once():
    explanation = vp.explain((3, 4, 5, 1), m=100)
    assert explanation.to_markdown().count("no transpose is needed") == 1
    assert explanation["Z3"].reason.count("no transpose is needed") == 1, "each step has its own"


@EVERY
def test_markdown(net):
    explanation = vp.explain(net, 3, l2=0.2)
    text = explanation.to_markdown()
    assert text == explanation._repr_markdown_()
    assert text.startswith("# Network ") and text.count("```") % 2 == 0
    headings = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert headings == [
        "How to read it", "Given", "Forward pass", "Cost", "Backward pass", "The products", "Common mistakes",
        "The whole as a program",
    ]  # fmt: skip
    blocks = re.split(r"\n(?!\|)", text)
    tables = [block.lstrip().splitlines() for block in blocks if block.startswith("|") or "\n|" in block]
    tables = [[line for line in table if line.startswith("|")] for table in tables]
    assert len(tables) > 5
    for table in tables:
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
        assert len(columns) == 1 and re.fullmatch(r"\|( --- \|)+", table[1]), table


def test_without_rich_the_text_is_the_markdown(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    explanation = vp.explain((2, 3, 1))
    assert str(explanation) == explanation.to_markdown()


def test_as_a_dictionary():
    explanation = vp.explain((2, 3, 1))
    data = json.loads(json.dumps(explanation.to_dict()))
    assert data["sizes"] == [2, 3, 1] and data["m"] == explanation.m == 4 and data["cost"] == explanation.cost
    step = next(step for step in data["steps"] if step["name"] == "dW1")
    assert step["value"] == explanation["dW1"].value.tolist() and step["kind"] == "matrix product"
    assert step["operations"][0]["shapes"] == "(3, 4) @ (4, 2) -> (3, 2)"
    assert all(step["value"] is None for step in vp.explain((2, 3, 1), 50).to_dict()["steps"])


def test_no_such_step():
    with pytest.raises(KeyError, match="'dW3' is no step of this explanation; there are Z1, A1, Z2"):
        vp.explain((2, 3, 1))["dW3"]


# --- arguments ----------------------------------------------------------------------------------------------


def test_defaults():
    assert vp.explain((3, 4, 1)).m == 5, "the first from 3 on that is no layer's size"
    assert vp.explain((2, 2, 1)).m == 3
    assert vp.explain((7, 2, 1)).has_numbers is False and vp.explain((6, 2, 1)).has_numbers is True
    assert "also the size of a layer" in vp.explain((3, 4, 1), 4).to_markdown()
    assert "their W is square" in vp.explain((2, 2, 1)).to_markdown()


test_bad_input = refusals(
    lambda arguments: vp.explain(**{"net_or_sizes": (3, 4, 1)} | arguments),
    ({"net_or_sizes": 3}, TypeError, "sizes"),
    ({"m": 10**7}, "explain it with a smaller m"),
    ({"X": np.ones((3, 2))}, "X and Y must be given together, got X alone"),
    ({"X": np.ones((3, 2)), "Y": np.ones((1, 2)), "m": 5}, "m must be the number of columns of X, 2"),
    ({"params": vp.Network((3, 4, 1)).init(seed=[0, 1])}, "params must be one network, got a stack"),
    literal="",
)


# --- the command --------------------------------------------------------------------------------------------


def test_the_command():
    out, err = vecprop("explain", 3, 4, 1, "--m", 100, "--activation", "tanh")
    assert err == "" and out == f"{vp.explain((3, 4, 1), 100)}\n"
    out, _ = vecprop("explain", 4, 5, 3, "--hidden", "relu", "--output", "softmax", "--numbers", "--seed", 3, "--l2", 2)
    net = vp.Network((4, 5, 3), hidden="relu", output="softmax")
    assert out == f"{vp.explain(net, numbers=True, seed=3, l2=2.0)}\n"


def test_the_command_sets_it_in_colours_on_a_terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the output for a terminal
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    out, _ = vecprop("explain", 3, 4, 1, "--m", 100)
    plain = [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", out).splitlines()]
    assert "\x1b[1" in out and max(map(len, plain)) <= 80
    assert " ".join("\n".join(plain).split()) == " ".join(str(vp.explain((3, 4, 1), 100)).split())


def test_the_command_in_other_forms():
    assert json.loads(vecprop("explain", 2, 1, "--json")[0]) == vp.explain((2, 1)).to_dict()
    assert (
        vecprop("explain", 2, 3, 1, "--markdown", "--no-numbers")[0]
        == vp.explain((2, 3, 1), numbers=False).to_markdown()
    )


@cases(
    (["explain", 2, 1, "--loss", "poisson"], "loss: poisson needs output='exp'"),
    (["explain", 2, 1, "--seed", -1], "seed must be an integer"),
    (["explain", 2, 1, "--json", "--markdown"], "--json and --markdown exclude each other"),
)
def test_wrong_use_of_the_command(words, message):
    assert message in refused(*words)
