"""Forward and backward propagation: the whole of it, once, for every array API namespace (E9, E10, E11, E14, E15).

Read this file first. One example per column; row j of W holds the weights into neuron j:

    X = A0 (n0, m)   W_l (n_l, n_{l-1})   b_l (n_l, 1)   Z_l, A_l (n_l, m)   Y (n_L, m)   dV = ∂J/∂V, shaped as V

Every array may have leading stack axes: K networks in one pass have W_l (K, n_l, n_{l-1}), and X is shared or (K,
n0, m).

The functions take what `Network`'s methods have checked. They compute in the namespace of X, never modify an input,
and write in place (`Z += b`) only into an array they have just made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from vecprop.backend.namespaces import Array, array_namespace


class Layer(NamedTuple):
    """The parameters of one layer, or their gradients (dW, db): W (…, n_l, n_{l-1}) and b (…, n_l, 1)."""

    W: Array
    b: Array


Params = tuple[Layer, ...]
Given: TypeAlias = Array | float | None  # one number, or (K,) of a stack; None is what is not given


class Net(Protocol):
    """What propagation asks of a network, which in training may have batch normalization and dropout in it."""

    @property
    def activations(self) -> Sequence[Any]:
        """g_1, …, g_L."""

    @property
    def output(self) -> Any:
        """g_L."""

    @property
    def loss(self) -> Any:
        """What compares A_L with Y."""


def forward(net: Net, params: Params, X: Array) -> tuple[list[Array], list[Array]]:
    """Z_l = W_l A_{l-1} + b_l, A_l = g_l(Z_l) for l = 1 … L (E14, E9).

    Returns Z = [None, Z_1, …, Z_L] and A = [X, A_1, …, A_L]; the backward pass needs them all.
    """
    xp = array_namespace(X)
    Z, A = [None], [X]
    for l, ((W, b), g) in enumerate(zip(params, net.activations, strict=True), start=1):
        Z_l = W @ A[l - 1]
        Z_l += b
        Z.append(Z_l)
        A.append(g.function(xp, Z_l))
    return Z, A


def output(net: Net, params: Params, X: Array) -> Array:
    """A_L (…, n_L, m), keeping no layer longer than the next one needs it (E14)."""
    xp = array_namespace(X)
    A = X
    for (W, b), g in zip(params, net.activations, strict=True):
        Z = W @ A
        Z += b
        A = g.function(xp, Z)
    return A


def mean_loss(net: Net, Z: Array, A: Array, Y: Array, w: Array | None, m: Array | float) -> Array:
    """J = (1/m) Σ_i w_i L(ŷ⁽ⁱ⁾, y⁽ⁱ⁾), L summed over the outputs of an example (E10), from Z_L and A_L; shape (…)."""
    xp = array_namespace(Z)
    L = xp.sum(net.loss.values(xp, net.output, Z, A, Y), axis=-2)
    return xp.sum(L if w is None else w * L, axis=-1) / m


def penalty(params: Params, l2: Array | float, m: Array | float) -> Array:
    """(λ/2m) Σ_l ‖W_l‖² (E32); biases are not penalised."""
    xp = array_namespace(params[0].W)
    return l2 / (2 * m) * sum(xp.sum(W * W, axis=(-2, -1)) for W, _ in params)


def cost(net: Net, params: Params, X: Array, Y: Array, w: Array = None, l2: Given = None, m: Given = None) -> Array:
    """J of E10, with the penalty of E32 where l2 (λ) is given; m is the total weight, Σ w, unless given."""
    Z, A = forward(net, params, X)
    m = total_weight(X, w) if m is None else m
    J = mean_loss(net, Z[-1], A[-1], Y, w, m)
    return J if l2 is None else J + penalty(params, l2, m)


def gradients(
    net: Net, params: Params, X: Array, Y: Array, w: Array = None, l2: Given = None, m: Given = None, m_l2: Given = None
) -> tuple[Array, Params]:
    """J and (dW_l, db_l) for l = 1 … L (E11, E15), with E32 where l2 (λ) is given.

    m divides the sum over the examples: the total weight Σ w of these, unless given. m_l2 divides the penalty: the
    total weight of the whole training set when X is a part of it (E32); m unless given.
    """
    xp = array_namespace(X)
    Z, A = forward(net, params, X)
    m = total_weight(X, w) if m is None else m
    J = mean_loss(net, Z[-1], A[-1], Y, w, m)

    grads: list[Layer] = []
    dZ = net.loss.dZ(xp, net.output, Z[-1], A[-1], Y)  # A_L - Y (E22-E24), or E25
    if w is not None:
        dZ = dZ * w[..., None, :]
    m_columns = per_column(m)  # one m for each network of a stack
    for l in range(len(params), 0, -1):
        W = params[l - 1].W
        dW = dZ @ xp.matrix_transpose(A[l - 1]) / m_columns
        db = xp.sum(dZ, axis=-1, keepdims=True) / m_columns
        grads.insert(0, Layer(dW, db))
        if l > 1:
            dA = xp.matrix_transpose(W) @ dZ
            dZ = net.activations[l - 2].backward(xp, dA, Z[l - 1], A[l - 1])

    if l2 is None:
        return J, tuple(grads)
    m_l2 = m if m_l2 is None else m_l2
    return J + penalty(params, l2, m_l2), add_decay(tuple(grads), params, l2, m_l2)


def add_decay(grads: Params, params: Params, l2: Array | float, m: Array | float) -> Params:
    """dW_l + (λ/m) W_l (E32)."""
    scale = per_column(l2 / m)
    return tuple(Layer(dW + scale * W, db) for (dW, db), (W, _) in zip(grads, params, strict=True))


def total_weight(X: Array, w: Array | None) -> Array | float:
    """m, the number of examples; with sample weights Σ_i w_i (E10)."""
    return float(X.shape[-1]) if w is None else array_namespace(X).sum(w, axis=-1)


def per_column(value: Array) -> Array:
    """One number, or (K,) of a stack as (K, 1, 1): what broadcasts against W, b and their gradients."""
    return value[..., None, None] if getattr(value, "ndim", 0) else value


def gradient_norms(grads: Sequence[Layer]) -> Array:
    """‖dW_l‖ for l = 1 … L (E36), shape (…, L): norms that shrink towards layer 1 are a vanishing gradient."""
    xp = array_namespace(grads[0].W)
    return xp.sqrt(xp.stack([xp.sum(dW * dW, axis=(-2, -1)) for dW, _ in grads], axis=-1))
