"""Common mistakes, each described by what NumPy did with it on arrays of these shapes."""

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.inspection.explanation import activation_texts, loss_texts
from vecprop.inspection.explanation.parts import Mistake, Shape
from vecprop.nn.network import Network

NDArray = npt.NDArray[Any]

Arrays = Mapping[str, Any]
_CLOSE = 1e-9  # relative tolerance for rounding

# Right code, and below it each mistake with its reason. L is the last layer, l the one before, `below` its output or X;
# the mistakes in db are tried on the first layer, which mostly has more than one neuron.
_FORWARD = {
    "W1 @ X": {
        "W1 * X": "* multiplies entry by entry and sums nothing; a layer is a matrix product, @.",
        "W1.T @ X": "Here the neurons are the rows of W already. (Other books store W the other way round and need the "
        "transpose.)",
        "W1 @ X.T": "The examples are the columns of X here; tables and scikit-learn have them in the rows.",
    },
    "W1 @ X + b1": {
        "W1 @ X + b1.ravel()": "A rank-1 bias broadcasts along the last axis, the examples, not along the neurons. "
        "Keep b two-dimensional.",
    },
}
_OUTPUT = {
    "dZ{L} = A{L} - Y.T": "Targets with one example per row: the difference of a row and a column broadcasts to a "
    "table of all pairs.",
}
_SIGMOID_OUTPUT = {
    "dZ{L} = (A{L} - Y) * A{L} * (1 - A{L})": "A{L} - Y contains the derivative of the sigmoid already. This would be "
    "the squared error's gradient.",
}
_GRADIENTS = {
    "dW{L} = dZ{L} @ {below}.T / m": {
        "dW{L} = dZ{L} @ {below} / m": "The examples have to be the inner size. They are the columns of both, so "
        "{below} is transposed.",
        "dW{L} = dZ{L} * {below} / m": "* sums nothing, and a weight's derivative is a sum over the examples.",
        "dW{L} = dZ{L} @ {below}.T": "1/m is missing: this is the sum over the examples, not their mean. The more "
        "examples, the larger the steps.",
        "dW{L} = dZ{L} @ {below}.T / X.shape[0]": "m is the number of columns, X.shape[1]; X.shape[0] and len(X) are "
        "the number of features.",
    },
    "db1 = np.sum(dZ1, axis=1, keepdims=True) / m": {
        "db1 = np.sum(dZ1, axis=1) / m": "Without keepdims the sum has rank 1 and broadcasts against the column b as "
        "a row.",
        "db1 = np.sum(dZ1, axis=0, keepdims=True) / m": "Axis 0 runs over the neurons, axis 1 over the examples. The "
        "neurons do not share a bias.",
        "db1 = np.sum(dZ1) / m": "Without an axis everything is summed: every neuron would get the same derivative.",
        "db1 = dZ1 / m": "The sum over the examples is missing.",
    },
}
_BACK = {
    "dA{l} = W{L}.T @ dZ{L}": {
        "dA{l} = W{L} @ dZ{L}": "The neurons of layer {L} have to be the inner size; they are the rows of W{L}, so it "
        "is transposed.",
        "dA{l} = W{L}.T * dZ{L}": "* sums nothing, and the derivative collects from all {outputs} outputs.",
        "dA{l} = W{L}.T @ dZ{L} / m": "Here neurons are summed, not examples. With this 1/m the layers below would be "
        "divided by m twice.",
    },
}
_SLOPE = {
    "dZ{l} = dA{l}": "The activation's derivative is missing: the way back must pass {g} too.",
    "{at}": "Each entry has its own derivative: entry by entry, *, is right here and @ is wrong.",
}
_SLOPES = {
    "tanh": {"dZ{l} = dA{l} * (1 - Z{l} * Z{l})": "1 - a² holds for the output of tanh, A, not for its input, Z."},
    "sigmoid": {
        "dZ{l} = dA{l} * Z{l} * (1 - Z{l})": "a (1 - a) holds for the output of the sigmoid, A, not for its input, Z."
    },
}
# Why a mistake works for these sizes only. Without a text, a harmless one is left out.
_BY_ACCIDENT = {
    "dA{l} = W{L}.T * dZ{L}": "With one output the sum has one term, and W{L}.T * dZ{L} broadcasts to the same "
    "numbers. With more outputs it fails. Write @.",
}


# What the code computes: W, dZ and out = A of layer L; dA, g_prime, and z, a, dz of layer l.
_RUN: dict[str, Callable[[Any], Any]] = {
    "W1 @ X": lambda v: v.W1 @ v.X,
    "W1 * X": lambda v: v.W1 * v.X,
    "W1.T @ X": lambda v: v.W1.T @ v.X,
    "W1 @ X.T": lambda v: v.W1 @ v.X.T,
    "W1 @ X + b1": lambda v: v.W1 @ v.X + v.b1,
    "W1 @ X + b1.ravel()": lambda v: v.W1 @ v.X + v.b1.ravel(),
    "dZ{L} = A{L} - Y": lambda v: v.out - v.Y,
    "dZ{L} = A{L} - Y.T": lambda v: v.out - v.Y.T,
    "dZ{L} = (A{L} - Y) * A{L} * (1 - A{L})": lambda v: (v.out - v.Y) * v.out * (1 - v.out),
    "dW{L} = dZ{L} @ {below}.T / m": lambda v: v.dZ @ v.A.T / v.m,
    "dW{L} = dZ{L} @ {below} / m": lambda v: v.dZ @ v.A / v.m,
    "dW{L} = dZ{L} * {below} / m": lambda v: v.dZ * v.A / v.m,
    "dW{L} = dZ{L} @ {below}.T": lambda v: v.dZ @ v.A.T,
    "dW{L} = dZ{L} @ {below}.T / X.shape[0]": lambda v: v.dZ @ v.A.T / v.X.shape[0],
    "db1 = np.sum(dZ1, axis=1, keepdims=True) / m": lambda v: v.dZ1.sum(axis=1, keepdims=True) / v.m,
    "db1 = np.sum(dZ1, axis=1) / m": lambda v: v.dZ1.sum(axis=1) / v.m,
    "db1 = np.sum(dZ1, axis=0, keepdims=True) / m": lambda v: v.dZ1.sum(axis=0, keepdims=True) / v.m,
    "db1 = np.sum(dZ1) / m": lambda v: v.dZ1.sum() / v.m,
    "db1 = dZ1 / m": lambda v: v.dZ1 / v.m,
    "dA{l} = W{L}.T @ dZ{L}": lambda v: v.W.T @ v.dZ,
    "dA{l} = W{L} @ dZ{L}": lambda v: v.W @ v.dZ,
    "dA{l} = W{L}.T * dZ{L}": lambda v: v.W.T * v.dZ,
    "dA{l} = W{L}.T @ dZ{L} / m": lambda v: v.W.T @ v.dZ / v.m,
    "{times}": lambda v: v.dz,
    "{at}": lambda v: v.dA @ v.g_prime(np, v.z, v.a),
    "dZ{l} = dA{l}": lambda v: v.dA,
    "dZ{l} = dA{l} * (1 - Z{l} * Z{l})": lambda v: v.dA * (1 - v.z * v.z),
    "dZ{l} = dA{l} * Z{l} * (1 - Z{l})": lambda v: v.dA * v.z * (1 - v.z),
}
# The lines after a derivative, whose result r may have the wrong shape.
_THEN: dict[str, dict[str, Callable[[Any, Any], Any]]] = {
    "dW": {"W{L} - 0.1 * dW{L}": lambda v, r: v.W - 0.1 * r},
    "db": {"b1 - 0.1 * db1": lambda v, r: v.b1 - 0.1 * r, "the next W1 @ X + b1": lambda v, r: v.W1 @ v.X + r},
}


def find_mistakes(net: Network, arrays: Arrays) -> Iterator[Mistake]:
    """Yield the common mistakes that matter for these arrays: X, Y and all quantities by name."""
    L, table = len(net.sizes) - 1, dict(_FORWARD)
    l, below = L - 1, f"A{L - 1}" if L > 1 else "X"
    v = SimpleNamespace(**arrays, L=L, l=l, below=below, outputs=net.sizes[-1])
    v.W, v.dZ, v.A, v.out = (arrays[name] for name in (f"W{L}", f"dZ{L}", below, f"A{L}"))
    if loss_texts.matches(net) and loss_texts.targets(net) == "Y":
        table["dZ{L} = A{L} - Y"] = _OUTPUT | (_SIGMOID_OUTPUT if net.output.name == "sigmoid" else {})
    table |= _GRADIENTS
    if L > 1:
        g, table = net.activations[l - 1], table | _BACK
        if g.elementwise and g.name != "identity":
            v.times = activation_texts.describe(g, l).back_code.split("\n")[-1]
            v.z, v.a, v.dA, v.dz = (arrays[f"{name}{l}"] for name in ("Z", "A", "dA", "dZ"))
            v.g, v.g_prime, v.at = g.name, g.derivative, v.times.replace(f"dA{l} * ", f"dA{l} @ ")
            table["{times}"] = _SLOPE | _SLOPES.get(g.name, {})
    for right, mistakes in table.items():
        for wrong, reason in mistakes.items():
            outcome, says, shape, right_shape = _try(v, wrong, right)
            why = _BY_ACCIDENT.get(wrong) if outcome == "right by accident" else reason
            if why is not None:
                written, meant, why = (text.format_map(vars(v)) for text in (wrong, right, why))
                yield Mistake(written, meant, outcome, says, why, shape, right_shape)


def _try(v: Any, wrong: str, right: str) -> tuple[str, str, Shape | None, Shape]:
    """Return the outcome of a mistake, what happens, and the shapes of its result and of the right one."""
    desired = np.asarray(_RUN[right](v))
    wanted = desired.shape
    try:
        result = np.asarray(_RUN[wrong](v))
    except ValueError as error:
        return "error", f"ValueError: {str(error).strip()}", None, wanted
    if result.shape != wanted:
        follows = _follow(v, _THEN.get(wrong[:2], {}), result, desired)
        says = f"The result has the shape {result.shape} instead of {wanted}.{follows}"
        return "wrong shape", says, result.shape, wanted
    if _same(result, desired):
        return "right by accident", f"The shape {wanted} and the numbers are right.", wanted, wanted
    says = f"The shape {wanted} is right, the numbers are wrong{_how_wrong(result, desired)}."
    return "wrong numbers", says, wanted, wanted


def _follow(v: Any, then: Mapping[str, Callable[[Any, Any], Any]], wrong: NDArray, right: NDArray) -> str:
    """Follow a result of the wrong shape through the next lines, until one fails or has the right shape."""
    told = ""
    for text, function in then.items():
        code = text.format_map(vars(v))
        right = np.asarray(function(v, right))
        try:
            wrong = np.asarray(function(v, wrong))
        except ValueError:
            return f"{told} Then {code} stops with an error, far from its cause."
        if wrong.shape == right.shape and _same(wrong, right):
            return f"{told} Then {code} is right all the same: with these sizes it does no harm."
        if wrong.shape == right.shape:
            return f"{told} Then {code} has the right shape again, {wrong.shape}, and nothing shows the mistake."
        told += f" Then {code} has the shape {wrong.shape} instead of {right.shape}."
    return told


def _same(result: NDArray, right: NDArray) -> bool:
    """Tell whether two arrays of one shape hold the same numbers, apart from rounding."""
    return bool(np.allclose(result, right, rtol=_CLOSE, atol=_CLOSE * float(np.max(np.abs(right), initial=0.0))))


def _how_wrong(result: NDArray, right: NDArray) -> str:
    """Return a text with the common factor of the wrong numbers, or "" if there is none."""
    at = np.abs(right) > 1e-12
    if not at.any() or right.size == 1:
        return ""
    ratio = (result[at] / right[at]).flat[0]
    if not np.allclose(result, ratio * right, rtol=1e-6, atol=1e-12):
        return ""
    return f": all of them are {ratio:.4g} times what they should be"
