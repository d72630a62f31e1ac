"""Forward and backward propagation, for every array API namespace (E9, E10, E11, E14, E15).

Read this file first. Each column is an example; row j of W holds the weights into neuron j:

    X = A0 (n0, m)   W_l (n_l, n_{l-1})   b_l (n_l, 1)   Z_l, A_l (n_l, m)   Y (n_L, m)   dV = ∂J/∂V, shaped as V

Every array may have leading stack axes: K networks in one pass have W_l (K, n_l, n_{l-1}), and X is (K, n0, m), or
(n0, m) if all share it.

The functions check nothing: the methods of `Network` do. They compute in the namespace of X, never modify an input,
and write in place (`Z += b`) only into an array they have just made.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from vecprop.backend.namespaces import Array, Static, array_namespace


class Layer(NamedTuple):
    """The parameters of a layer, W (…, n_l, n_{l-1}) and b (…, n_l, 1), or their gradients."""

    W: Array
    b: Array


Params = tuple[Layer, ...]
Given: TypeAlias = Array | float | None  # one number, or (K,) for a stack; None if not given
Net: TypeAlias = "Static[NetLike]"


class NetLike(Protocol):
    """The attributes of a network that propagation uses."""

    @property
    def activations(self) -> Sequence[Any]:
        """g_1, …, g_L."""

    @property
    def output(self) -> Any:
        """g_L."""

    @property
    def loss(self) -> Any:
        """The loss L of A_L and Y."""


def forward(net: Net, params: Params, X: Array) -> tuple[list[Array], list[Array]]:
    """Return Z = [None, Z_1, …, Z_L] and A = [X, A_1, …, A_L], which the backward pass needs.

    Z_l = W_l A_{l-1} + b_l, A_l = g_l(Z_l) for l = 1 … L (E14, E9).
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
    """Return A_L (…, n_L, m), freeing each layer once the next is computed (E14)."""
    xp = array_namespace(X)
    A = X
    for (W, b), g in zip(params, net.activations, strict=True):
        Z = W @ A
        Z += b
        A = g.function(xp, Z)
    return A


def mean_loss(net: Net, Z: Array, A: Array, Y: Array, w: Array | None, m: Array | float) -> Array:
    """Return J = (1/m) Σ_i w_i L(ŷ⁽ⁱ⁾, y⁽ⁱ⁾) from Z_L and A_L, shape (…) (E10)."""
    xp = array_namespace(Z)
    L = xp.sum(net.loss.values(xp, net.output, Z, A, Y), axis=-2)
    return xp.sum(L if w is None else w * L, axis=-1) / m


def penalty(params: Params, l2: Array | float, m: Array | float) -> Array:
    """Return (λ/2m) Σ_l ‖W_l‖² (E32); biases are not penalised."""
    xp = array_namespace(params[0].W)
    return l2 / (2 * m) * sum(xp.sum(W * W, axis=(-2, -1)) for W, _ in params)


def cost(net: Net, params: Params, X: Array, Y: Array, w: Array = None, l2: Given = None, m: Given = None) -> Array:
    """Return J (E10), with the penalty of E32 if l2 (λ) is given; m is Σ w unless given."""
    Z, A = forward(net, params, X)
    m = total_weight(X, w) if m is None else m
    J = mean_loss(net, Z[-1], A[-1], Y, w, m)
    return J if l2 is None else J + penalty(params, l2, m)


def gradients(
    net: Net, params: Params, X: Array, Y: Array, w: Array = None, l2: Given = None, m: Given = None, m_l2: Given = None
) -> tuple[Array, Params]:
    """Return J and (dW_l, db_l), l = 1 … L (E11, E15), with the penalty (E32) if l2 (λ) is given.

    m divides the sum over the examples: their total weight Σ w unless given. m_l2 divides the penalty: m unless given;
    if X is a part of the training set, the total weight of the whole set (E32).
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
    """Return the gradients with (λ/m) W_l added to each dW_l (E32)."""
    scale = per_column(l2 / m)
    return tuple(Layer(dW + scale * W, db) for (dW, db), (W, _) in zip(grads, params, strict=True))


def total_weight(X: Array, w: Array | None) -> Array | float:
    """Return m, the number of examples, or with sample weights Σ_i w_i (E10)."""
    return float(X.shape[-1]) if w is None else array_namespace(X).sum(w, axis=-1)


def per_column(value: Array) -> Array:
    """Return a number as it is, (K,) as (K, 1, 1): both broadcast against W and b."""
    return value[..., None, None] if getattr(value, "ndim", 0) else value


def gradient_norms(grads: Sequence[Layer]) -> Array:
    """Return ‖dW_l‖ (…, L), which shrinks towards layer 1 where gradients vanish (E36)."""
    xp = array_namespace(grads[0].W)
    return xp.sqrt(xp.stack([xp.sum(dW * dW, axis=(-2, -1)) for dW, _ in grads], axis=-1))
