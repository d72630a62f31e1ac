"""The numbers of an explanation: data with one decimal, and the library's results for them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop import propagation
from vecprop.backend.selection import get_precision
from vecprop.inspection.explanation import loss_texts
from vecprop.nn.activations import Identity
from vecprop.nn.array_checks import Checked
from vecprop.nn.network import Network
from vecprop.propagation import Layer, Params
from vecprop.utils.random_streams import EXPLANATION, generator


def draw_params(net: Network, seed: int) -> Params:
    """Return parameters in float64 with one decimal, easy to compute with by hand.

    The weights are those of `net.init(seed)`, rounded, or ±0.1 in place of 0.
    """
    random = generator(seed, EXPLANATION)
    tenths = np.array([k / 10 for k in range(-5, 6) if k])
    layers = []
    for W, b in net.init(seed, dtype="float64", backend="numpy"):
        weights = np.where(np.abs(W) < 0.05, np.copysign(0.1, W), np.round(W, 1))
        biases = random.choice(tenths, b.shape, replace=b.size > len(tenths))  # as different as they can be
        layers.append(Layer(weights, biases))
    return tuple(layers)


def draw_examples(net: Network, m: int, seed: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return X with one decimal and valid targets for the loss, as NumPy arrays in float64."""
    random = generator(seed, EXPLANATION, 1)
    n_in, n_out = net.sizes[0], net.sizes[-1]
    X = np.round(random.uniform(-2, 2, (n_in, m)), 1)
    if net.loss.name == "binary_cross_entropy":
        return X, (np.arange(n_out)[:, None] + random.permutation(m) % 2) % 2 * 1.0
    if net.loss.name == "cross_entropy":
        return X, np.eye(n_out)[:, random.permutation(m) % n_out]
    if net.loss.name == "poisson":
        return X, random.integers(0, 4, (n_out, m)) * 1.0
    return X, np.round(random.uniform(-2, 2, (n_out, m)), 1)


def compute(
    net: Network, checked: Checked, X: Any, Y: Any, l2: float
) -> tuple[dict[str, npt.NDArray[np.float64]], float, float]:
    """Return every quantity of the passes by name, J, and the largest gradient difference.

    Z, A, dA and dZ come from the functions that the library's passes call, dW and db from `net.gradients`; the
    difference is between dW, db and the products of the quantities shown.
    """
    params, xp = checked.params, checked.xp
    J, grads = net.gradients(params, X, Y, l2=l2)
    with checked.backend.scope(checked.dtype, get_precision()):
        Z, A = propagation.forward(net, params, X)
        found = {"X": X, "Y": Y, "J": J}
        if smoothing := getattr(net.loss, "smoothing", 0.0):
            classes = 2 if net.loss.name == "binary_cross_entropy" else net.sizes[-1]
            found["Ys"] = (1 - smoothing) * Y + smoothing / classes
        if not loss_texts.matches(net):  # with the identity as output, dZ is the derivative with respect to A
            found[f"dA{len(params)}"] = net.loss.dZ(xp, Identity(), A[-1], A[-1], Y)
        dZ, difference = net.loss.dZ(xp, net.output, Z[-1], A[-1], Y), 0.0
        for l in range(len(params), 0, -1):
            (W, b), (dW, db) = params[l - 1], grads[l - 1]
            found |= {f"W{l}": W, f"b{l}": b, f"Z{l}": Z[l], f"A{l}": A[l], f"dZ{l}": dZ, f"dW{l}": dW, f"db{l}": db}
            m = X.shape[-1]
            shown = (dZ @ xp.matrix_transpose(A[l - 1]) / m + l2 / m * W, xp.sum(dZ, axis=-1, keepdims=True) / m)
            difference = max(difference, *(float(xp.max(xp.abs(a - g))) for a, g in zip(shown, (dW, db), strict=True)))
            if l > 1:
                found[f"dA{l - 1}"] = xp.matrix_transpose(W) @ dZ
                dZ = net.activations[l - 2].backward(xp, found[f"dA{l - 1}"], Z[l - 1], A[l - 1])
    to_numpy = checked.backend.to_numpy
    return {name: np.asarray(to_numpy(value), dtype=np.float64) for name, value in found.items()}, float(J), difference


def worked_product(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> str:
    """Return entry [0, 0] of a matrix product written out, such as '1·3 + (-2)·0.5'."""
    return " + ".join(f"{number(a)}·{number(b)}" for a, b in zip(left[0], right[:, 0], strict=True))


def plain(value: float) -> str:
    """Return a number with at most 4 decimals.

    >>> plain(0.5), plain(-0.123456), plain(-1e-9)
    ('0.5', '-0.1235', '0')
    """
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def number(value: float) -> str:
    """Return a number for a product, in parentheses if it is negative."""
    text = plain(value)
    return f"({text})" if text.startswith("-") else text
