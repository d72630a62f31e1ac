"""Common mistakes, each described by what NumPy did with it on arrays of these shapes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.inspection.explanation import activation_texts, loss_texts
from vecprop.inspection.explanation.parts import Mistake
from vecprop.nn.network import Network

NDArray = npt.NDArray[Any]

Arrays = Mapping[str, Any]
_CLOSE = 1e-9  # relative tolerance for rounding


@dataclass(frozen=True)
class _Trial:
    """A mistake to try: its code and function, the right ones, and the lines that follow.

    `then` has pairs of code and function(arrays, result), run on a wrong shape until one fails or has the right shape.
    """

    wrong: tuple[str, Callable[[Arrays], Any]]
    right: tuple[str, Callable[[Arrays], Any]]
    reason: str
    then: tuple[tuple[str, Callable[[Arrays, Any], Any]], ...] = ()
    by_accident: str = ""  # why it works for these sizes only; without a text, a harmless mistake is left out


def find_mistakes(net: Network, arrays: Arrays) -> Iterator[Mistake]:
    """Yield the common mistakes that matter for these arrays: X, Y and all quantities by name."""
    for trial in (*_forward(), *_output(net), *_weights(net), *_biases(), *_hidden(net)):
        mistake = _try(trial, arrays)
        if mistake is not None:
            yield mistake


def _try(trial: _Trial, arrays: Arrays) -> Mistake | None:
    """Return the mistake with its outcome, or None if it does no harm with these arrays."""
    right = np.asarray(trial.right[1](arrays))
    wanted, reason = right.shape, trial.reason
    mistake = partial(Mistake, trial.wrong[0], trial.right[0], right_shape=wanted)
    try:
        result = np.asarray(trial.wrong[1](arrays))
    except ValueError as error:
        return mistake("error", f"ValueError: {str(error).strip()}", reason, None)
    if result.shape != wanted:
        says = f"The result has the shape {result.shape} instead of {wanted}.{_follow(trial, arrays, result, right)}"
        return mistake("wrong shape", says, reason, result.shape)
    if not _same(result, right):
        says = f"The shape {wanted} is right, the numbers are wrong{_how_wrong(result, right)}."
        return mistake("wrong numbers", says, reason, wanted)
    says = f"The shape {wanted} and the numbers are right."
    return mistake("right by accident", says, trial.by_accident, wanted) if trial.by_accident else None


def _follow(trial: _Trial, arrays: Arrays, wrong: NDArray, right: NDArray) -> str:
    """Return the outcome of the next lines with a result of the wrong shape."""
    told = ""
    for code, function in trial.then:
        right = np.asarray(function(arrays, right))
        try:
            wrong = np.asarray(function(arrays, wrong))
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


def _forward() -> Iterator[_Trial]:
    right = ("W1 @ X + b1", lambda v: v["W1"] @ v["X"] + v["b1"])
    product = ("W1 @ X", lambda v: v["W1"] @ v["X"])
    yield _Trial(
        ("W1 * X", lambda v: v["W1"] * v["X"]),
        product,
        "* multiplies entry by entry and sums nothing; a layer is a matrix product, @.",
    )
    yield _Trial(
        ("W1.T @ X", lambda v: v["W1"].T @ v["X"]),
        product,
        "Here the neurons are the rows of W already. (Other books store W the other way round and need the transpose.)",
    )
    yield _Trial(
        ("W1 @ X.T", lambda v: v["W1"] @ v["X"].T),
        product,
        "The examples are the columns of X here; tables and scikit-learn have them in the rows.",
    )
    yield _Trial(
        ("W1 @ X + b1.ravel()", lambda v: v["W1"] @ v["X"] + v["b1"].ravel()),
        right,
        "A rank-1 bias broadcasts along the last axis, the examples, not along the neurons. Keep b two-dimensional.",
    )


def _output(net: Network) -> Iterator[_Trial]:
    L, Y = len(net.sizes) - 1, loss_texts.targets(net)
    A, dZ = f"A{L}", f"dZ{L}"
    if not loss_texts.matches(net) or Y != "Y":
        return
    right = (f"{dZ} = {A} - Y", lambda v: v[A] - v["Y"])
    yield _Trial(
        (f"{dZ} = {A} - Y.T", lambda v: v[A] - v["Y"].T),
        right,
        "Targets with one example per row: the difference of a row and a column broadcasts to a table of all pairs.",
    )
    if net.output.name == "sigmoid":
        yield _Trial(
            (f"{dZ} = ({A} - Y) * {A} * (1 - {A})", lambda v: (v[A] - v["Y"]) * v[A] * (1 - v[A])),
            right,
            f"{A} - Y contains the derivative of the sigmoid already. This would be the squared error's gradient.",
        )


def _weights(net: Network) -> Iterator[_Trial]:
    """Yield mistakes in dW of the last layer."""
    L = len(net.sizes) - 1
    A, dZ, W = f"A{L - 1}" if L > 1 else "X", f"dZ{L}", f"W{L}"
    product = (f"d{W} = {dZ} @ {A}.T / m", lambda v: v[dZ] @ v[A].T / v["m"])
    update = (f"{W} - 0.1 * d{W}", lambda v, r: v[W] - 0.1 * r)
    yield _Trial(
        (f"d{W} = {dZ} @ {A} / m", lambda v: v[dZ] @ v[A] / v["m"]),
        product,
        f"The examples have to be the inner size. They are the columns of both, so {A} is transposed.",
    )
    yield _Trial(
        (f"d{W} = {dZ} * {A} / m", lambda v: v[dZ] * v[A] / v["m"]),
        product,
        "* sums nothing, and a weight's derivative is a sum over the examples.",
        (update,),
    )
    yield _Trial(
        (f"d{W} = {dZ} @ {A}.T", lambda v: v[dZ] @ v[A].T),
        product,
        "1/m is missing: this is the sum over the examples, not their mean. The more examples, the larger the steps.",
    )
    yield _Trial(
        (f"d{W} = {dZ} @ {A}.T / X.shape[0]", lambda v: v[dZ] @ v[A].T / v["X"].shape[0]),
        product,
        "m is the number of columns, X.shape[1]; X.shape[0] and len(X) are the number of features.",
    )


def _biases() -> Iterator[_Trial]:
    """Yield mistakes in db of the first layer, which mostly has more than one neuron."""
    dZ, b = "dZ1", "b1"
    total = (f"d{b} = np.sum({dZ}, axis=1, keepdims=True) / m", lambda v: v[dZ].sum(axis=1, keepdims=True) / v["m"])
    then = (
        (f"{b} - 0.1 * d{b}", lambda v, r: v[b] - 0.1 * r),
        (f"the next W1 @ X + {b}", lambda v, r: v["W1"] @ v["X"] + r),
    )
    yield _Trial(
        (f"d{b} = np.sum({dZ}, axis=1) / m", lambda v: v[dZ].sum(axis=1) / v["m"]),
        total,
        "Without keepdims the sum has rank 1 and broadcasts against the column b as a row.",
        then,
    )
    yield _Trial(
        (f"d{b} = np.sum({dZ}, axis=0, keepdims=True) / m", lambda v: v[dZ].sum(axis=0, keepdims=True) / v["m"]),
        total,
        "Axis 0 runs over the neurons, axis 1 over the examples. The neurons do not share a bias.",
        then,
    )
    yield _Trial(
        (f"d{b} = np.sum({dZ}) / m", lambda v: v[dZ].sum() / v["m"]),
        total,
        "Without an axis everything is summed: every neuron would get the same derivative.",
        then,
    )
    yield _Trial((f"d{b} = {dZ} / m", lambda v: v[dZ] / v["m"]), total, "The sum over the examples is missing.", then)


def _hidden(net: Network) -> Iterator[_Trial]:
    """Yield mistakes in the step back to the last hidden layer and through its activation."""
    L = len(net.sizes) - 1
    if L == 1:
        return
    g, W, dZ, l = net.activations[L - 2], f"W{L}", f"dZ{L}", L - 1
    dA, product = f"dA{l}", (f"dA{l} = {W}.T @ {dZ}", lambda v: v[W].T @ v[dZ])
    yield _Trial(
        (f"{dA} = {W} @ {dZ}", lambda v: v[W] @ v[dZ]),
        product,
        f"The neurons of layer {L} have to be the inner size; they are the rows of {W}, so it is transposed.",
    )
    yield _Trial(
        (f"{dA} = {W}.T * {dZ}", lambda v: v[W].T * v[dZ]),
        product,
        f"* sums nothing, and the derivative collects from all {net.sizes[-1]} outputs.",
        by_accident=(
            f"With one output the sum has one term, and {W}.T * {dZ} broadcasts to the same numbers. With more outputs "
            "it fails. Write @."
        ),
    )
    yield _Trial(
        (f"{dA} = {W}.T @ {dZ} / m", lambda v: v[W].T @ v[dZ] / v["m"]),
        product,
        "Here neurons are summed, not examples. With this 1/m the layers below would be divided by m twice.",
    )
    if g.elementwise and g.name != "identity":
        yield from _slopes(net, l)


def _slopes(net: Network, l: int) -> Iterator[_Trial]:
    """Yield mistakes in dZ = dA ∘ g′ of hidden layer l."""
    g, Z, A, dA = net.activations[l - 1], f"Z{l}", f"A{l}", f"dA{l}"
    right = (activation_texts.describe(g, l).back_code.split("\n")[-1], lambda v: v[f"dZ{l}"])
    yield _Trial(
        (f"dZ{l} = {dA}", lambda v: v[dA]),
        right,
        f"The activation's derivative is missing: the way back must pass {g.name} too.",
    )
    yield _Trial(
        (right[0].replace(f"{dA} * ", f"{dA} @ "), lambda v: v[dA] @ g.derivative(np, v[Z], v[A])),
        right,
        "Each entry has its own derivative: entry by entry, *, is right here and @ is wrong.",
    )
    if g.name == "tanh":
        yield _Trial(
            (f"dZ{l} = {dA} * (1 - {Z} * {Z})", lambda v: v[dA] * (1 - v[Z] * v[Z])),
            right,
            "1 - a² holds for the output of tanh, A, not for its input, Z.",
        )
    if g.name == "sigmoid":
        yield _Trial(
            (f"dZ{l} = {dA} * {Z} * (1 - {Z})", lambda v: v[dA] * v[Z] * (1 - v[Z])),
            right,
            "a (1 - a) holds for the output of the sigmoid, A, not for its input, Z.",
        )
