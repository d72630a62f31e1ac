"""Bad input: an error of the right type that names the argument, what came and what is wanted; inputs stay as they were."""

import numpy as np
import pytest

import vecprop as vp
from helpers import cases, make_problem, on, refusals, spoiled

NET = vp.Network((3, 4, 2))
SOFTMAX = vp.Network((3, 4, 2), output="softmax")
PARAMS, X, Y, _ = make_problem(NET, 5)
W1, b1 = PARAMS[0]
ONE_HOT = np.eye(2)[[0, 1, 1, 0, 1]].T


def with_first(W=W1, b=b1):
    return ((W, b), PARAMS[1])


DATA = {
    # X
    "X is a list": ({"X": X.tolist()}, TypeError, r"X must be an array, got list; use numpy\.asarray\(X\)"),
    "X has rank 1": ({"X": X[0]}, ValueError, r"X must have rank 2, shape \(3, m\), one example per column; got rank 1, shape \(5,\)$"),
    "X has examples in rows": ({"X": X.T}, ValueError, r"X must have shape \(3, m\).*got \(5, 3\); it seems to have the examples in rows: use X\.T"),
    "X has other features": ({"X": X[:2]}, ValueError, r"X must have shape \(3, m\), one example per column, got \(2, 5\)$"),
    "X is empty": ({"X": X[:, :0]}, ValueError, r"X is empty: shape \(3, 0\)"),
    "X has NaN": ({"X": spoiled(X, np.nan)}, ValueError, r"X must be finite, got 1 NaN or infinite value, the first at \(0, 1\)"),
    "X is complex": ({"X": X + 1j}, TypeError, "X must be real numbers, float32 or float64, got dtype complex128"),
    "X is object": ({"X": X.astype(object)}, TypeError, "X must be real numbers.*got dtype object"),
    "X is a date": ({"X": np.zeros((3, 5), "M8[D]")}, TypeError, "X must be real numbers.*datetime64"),
    "X has a stack the parameters lack": ({"X": np.stack([X, X])}, ValueError, r"X must have shape \(3, m\) or the stack"),
    "X has integers too large to be exact": ({"X": np.full((3, 5), 2**60)}, ValueError, "X holds integers beyond"),
    # Y
    "Y has rank 1": ({"Y": Y[0]}, ValueError, r"Y must have rank 2, shape \(2, 5\)"),
    "Y has examples in rows": ({"Y": Y.T}, ValueError, r"Y must have shape \(2, 5\).*got \(5, 2\).*use Y\.T"),
    "Y has another m": ({"Y": Y[:, :4]}, ValueError, r"Y must have shape \(2, 5\), one example per column, got \(2, 4\)"),
    "Y has NaN": ({"Y": spoiled(Y, np.nan)}, ValueError, "Y must be finite"),
    "Y is outside {0, 1}": ({"Y": spoiled(Y, 2.0)}, ValueError, r"Y must hold only the labels 0 and 1 for binary_cross_entropy, got values from 0 to 2"),
    "columns of Y do not sum to 1": ({"net": SOFTMAX, "Y": np.ones((2, 5))}, ValueError, "Y must have columns that sum to 1 for cross_entropy.*off by 1;.*sigmoid"),
    "Y has a negative probability": ({"net": SOFTMAX, "Y": spoiled(ONE_HOT, -1.0)}, ValueError, "Y must be class probabilities.*negative value: -1"),
    "Y is class numbers": ({"net": SOFTMAX, "Y": np.array([[0, 1, 1, 0, 1]])}, ValueError, r"Y must have shape \(2, 5\)"),
    # parameters
    "b has rank 1": ({"params": with_first(b=b1[:, 0])}, ValueError, r"b1 must have shape \(4, 1\), got \(4,\); a bias is kept two-dimensional"),
    "W is transposed": ({"params": with_first(W=W1.T)}, ValueError, r"W1 must have shape \(4, 3\), got \(3, 4\); this is the transpose"),
    "W has another size": ({"params": with_first(W=W1[:, :2])}, ValueError, r"W1 must have shape \(4, 3\), got \(4, 2\)$"),
    "a layer is missing": ({"params": PARAMS[:1]}, ValueError, "params must have one .* 2 layers.*got 1"),
    "a layer is no pair": ({"params": (W1, PARAMS[1])}, TypeError, r"params: layer 1 must be a pair \(W, b\), got ndarray"),
    "params is a dict": ({"params": {"W1": W1}}, TypeError, "params must be a tuple of .*got dict"),
    "W is a list": ({"params": with_first(W=W1.tolist())}, TypeError, "W1 must be an array, got list"),
    "W is integer": ({"params": with_first(W=W1.astype(int))}, TypeError, "W1 must be float32 or float64, got int64"),
    "dtypes are mixed": ({"params": with_first(b=b1.astype("f4"))}, TypeError, "b1 must have the dtype of W1, float64, got float32"),
    "only one layer is a stack": ({"params": (vp.Layer(np.stack([W1, W1]), np.stack([b1, b1])), PARAMS[1])}, ValueError, r"W2 must have shape \(2, 2, 4\)"),
    # keywords
    "a weight is missing": ({"sample_weight": np.ones(4)}, ValueError, r"sample_weight must have shape \(5,\), one weight per example, got \(4,\)"),
    "a weight is negative": ({"sample_weight": np.array([1.0, -2, 1, 1, 1])}, ValueError, "sample_weight must be >= 0, got -2"),
    "a weight is NaN": ({"sample_weight": np.array([1.0, np.nan, 1, 1, 1])}, ValueError, "sample_weight must be finite"),
    "all weights are zero": ({"sample_weight": np.zeros(5)}, ValueError, "sample_weight must not be all zero"),
    "weights have too large a sum": ({"sample_weight": np.full(5, 1e308)}, ValueError, "sample_weight must have a sum of ordinary size for float64, got inf"),
    "weights are too small": ({"sample_weight": np.full(5, 1e-300)}, ValueError, "got 5e-300; multiply the weights by a number"),
}  # fmt: skip


@pytest.mark.parametrize("case", DATA)
def test_gradients_and_cost(case):
    changes, kind, message = DATA[case]
    arguments = {"params": PARAMS, "X": X, "Y": Y} | changes
    net = arguments.pop("net", NET)
    for method in (net.gradients, net.cost):
        with pytest.raises(kind, match=message):
            method(**arguments)
    if not {"Y", "sample_weight"} & set(changes):
        with pytest.raises(kind, match=message):
            net.forward(arguments["params"], arguments["X"])


@pytest.mark.parametrize("case", [c for c in DATA if not {"list", "stack", "array", "None"} & set(c.split())])
def test_fit(case):
    """The same through `fit`, which takes lists, too, and draws parameters where none are given."""
    changes, kind, message = DATA[case]
    arguments = {"X": X, "Y": Y, "epochs": 1, "dtype": "float64"} | changes
    net = arguments.pop("net", NET)
    with pytest.raises(kind, match=message.split(", got")[0].split("; use")[0]):
        vp.fit(net, **arguments)


@cases(
    (SOFTMAX, "Y", np.array([0, 1, 1, 0, 1])),
    (SOFTMAX, "Y", np.array([0, 0, 0, 0, 0])),
    (SOFTMAX, "Y", np.array([[1, 2, 1, 1, 2]])),
    (SOFTMAX, "Y", np.array([[-1.0], [1.0], [1.0], [-1.0], [1.0]])),
    (SOFTMAX, "Y", np.array(["a", "b", "b", "a", "b"])),
    (vp.Network((3, 4, 1)), "Y", np.array([0, 1, 1, 0, 1])),
    (vp.Network((1, 4, 2)), "X", X[0]),
    (NET, "X", X[:, 0]),
)
def test_what_is_advised_where_a_shape_is_wrong_works(net, name, given):
    data = {"X": X[: net.sizes[0]], "Y": Y[: net.sizes[-1]]} | {name: given}
    if given is data["X"] and len(given) == 3:
        data["Y"] = Y[:, :1]
    params = net.init(dtype="float64")
    with pytest.raises(ValueError, match=r"use .*reshape") as caught:
        net.cost(params, **data)
    advice = str(caught.value).rpartition("use ")[2]
    data[name] = eval(advice, {"numpy": np, name: given})
    assert np.isfinite(net.cost(params, **data))
    assert vp.fit(net, **data, epochs=1).history["cost"]


test_arguments_of_fit = refusals(
    lambda arguments: vp.fit(NET, **({"X": X, "Y": Y, "epochs": 1} | arguments)),
    ({"X": [[1.0, 2.0], [3.0]]}, "X must be an array"),
    ({"X": [["a", "b"]]}, TypeError, "X must be real numbers"),
    ({"params": [(W1, b1)]}, "params must have one"),
    ({"params": NET.init(seed=[1, 2], dtype="float64"), "seed": [1, 2, 3]}, "seed: 3, params: 2"),
)


test_network = refusals(
    lambda arguments: vp.Network(**({"sizes": (3, 4, 2)} | arguments)),
    ({"sizes": (3,)}, r"sizes must have at least 2 entries.*got \[3\]"),
    ({"sizes": (3, 0, 1)}, r"sizes\[1\] must be a positive integer, got 0"),
    ({"sizes": (3, 4.0, 1)}, TypeError, r"sizes\[1\] must be a positive integer, got 4\.0"),
    ({"sizes": 3}, TypeError, "sizes must be a sequence"),
    ({"hidden": "relo"}, "hidden: unknown activation 'relo': did you mean 'relu'"),
    ({"hidden": ["relu", "tan"]}, r"hidden must have one activation for each of the 1 hidden layers, got 2"),
    ({"hidden": ["tan"]}, r"hidden\[0\]: unknown activation 'tan': did you mean 'tanh'"),
    ({"hidden": 3}, TypeError, "hidden must be an activation or a list"),
    ({"hidden": [np.tanh]}, TypeError, r"hidden\[0\] must be a name"),
    ({"output": "sofmax"}, "output: unknown activation 'sofmax': did you mean 'softmax'"),
    ({"sizes": (3, 4, 1), "output": "softmax"}, "softmax over 1 unit"),
    ({"loss": "crossentropy"}, "loss: unknown loss 'crossentropy': did you mean 'cross_entropy'"),
    ({"loss": "MSE"}, "loss: unknown loss 'MSE': did you mean 'squared_error'"),
    ({"output": "linear"}, "output: unknown activation 'linear': did you mean 'identity'"),
    ({"loss": 3}, TypeError, "loss must be a name or a Loss"),
)  # fmt: skip


def test_mixed_namespaces(jax_backend):
    """NumPy data with JAX parameters and the other way round: named, with the way to move them."""
    jax_params, jax_X = on(jax_backend, "float64", PARAMS, X)
    message = r"mixed array libraries: W1 is a {} array and {} is a {} array.*get_backend\('{}'\)\.asarray\({}\)"
    for net_call, names in [
        (lambda: NET.forward(jax_params, X), ("jax", "X", "numpy", "jax", "X")),
        (lambda: NET.forward(PARAMS, jax_X), ("numpy", "X", "jax", "numpy", "X")),
        (lambda: NET.gradients(PARAMS, X, jax_backend.asarray(Y)), ("numpy", "Y", "jax", "numpy", "Y")),
        (lambda: NET.forward((jax_params[0], PARAMS[1]), jax_X), ("jax", "W2", "numpy", "jax", "W2")),
        (
            lambda: NET.gradients(PARAMS, X, Y, sample_weight=jax_backend.asarray(np.ones(5))),
            ("numpy", "sample_weight", "jax", "numpy", "sample_weight"),
        ),
    ]:
        with pytest.raises(TypeError, match=message.format(*names)):
            net_call()


@pytest.mark.parametrize("kind", ["int8", "int64", "uint8", "bool", "float16", "float32"])
def test_integers_booleans_and_narrow_floats_are_converted(kind, backend, dtype):
    values = np.arange(15).reshape(3, 5) % 2 if kind == "bool" else np.arange(15).reshape(3, 5)
    params = on(backend, dtype, PARAMS)
    got = NET.forward(params, backend.asarray(values.astype(kind)))
    expected = NET.forward(params, backend.asarray(values.astype(float), dtype))
    assert str(got.dtype).endswith(dtype)
    np.testing.assert_array_equal(backend.to_numpy(got), backend.to_numpy(expected))
    J, _ = NET.gradients(params, backend.asarray(values.astype(kind)), backend.asarray(Y.astype("bool")))
    assert np.isfinite(float(J))


def test_too_large_for_float32():
    params = on(vp.get_backend("numpy"), "float32", PARAMS)
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="X holds values too large for float32"):
        NET.forward(params, spoiled(X, 1e300))


def test_numbers_are_finite_though_their_sum_is_not():
    params = [tuple(a.astype(np.float32) for a in layer) for layer in PARAMS]
    large = np.full_like(X, 3e38, dtype=np.float32)
    with np.errstate(all="ignore"):  # the computation overflows, but is not refused
        assert NET.cost(params, large, Y.astype(np.float32)).shape == ()
    large[..., 1] = np.inf
    with pytest.raises(ValueError, match="X must be finite, got"):
        NET.cost(params, large, Y.astype(np.float32))
