"""Penalties on the weights added to the cost: L2 (E32) and L1.

    J + (λ₂/2m) Σ ‖W_l‖² + (λ₁/m) Σ |W_l|        dW_l gains (λ₂/m) W_l + (λ₁/m) sign(W_l)

m is the total weight of the whole training set, not of the batch as in scikit-learn, so that the objective does not
depend on the batch size. Biases are not penalized. sign(0) = 0, a subgradient.
"""

from typing import Any

from vecprop import propagation
from vecprop.backend.namespaces import Array, array_namespace, sign
from vecprop.propagation import Layer, Params, per_column


def penalties(layers: Params, l1: Array | float | None, l2: Array | float | None, m: Array | float) -> Array | float:
    """Return (λ₂/2m) Σ ‖W_l‖² + (λ₁/m) Σ |W_l|, shape (…).

    >>> import numpy as np
    >>> layers = (Layer(np.array([[3.0, -4.0]]), np.array([[9.0]])),)
    >>> float(penalties(layers, 1.0, 2.0, 10.0))  # 2/20 · 25 + 1/10 · 7
    3.2
    """
    total: Array | float = 0.0
    if l2 is not None:
        total = total + propagation.penalty(layers, l2, m)
    if l1 is not None:
        xp = array_namespace(layers[0].W)
        total = total + l1 / m * sum(xp.sum(xp.abs(W), axis=(-2, -1)) for W, _ in layers)
    return total


def add_penalties(grads: Any, layers: Params, l1: Array | float | None, l2: Array | float | None, m: Any) -> Any:
    """Return grads, the layers' first, with the gradients of the penalties added to the layers'.

    >>> import numpy as np
    >>> layers = (Layer(np.array([[3.0, -4.0]]), np.array([[9.0]])),)
    >>> zero = (Layer(np.zeros((1, 2)), np.zeros((1, 1))),)
    >>> add_penalties(zero, layers, 1.0, 2.0, 10.0)[0].W.round(6).tolist()
    [[0.7, -0.9]]
    """
    own, rest = grads[: len(layers)], grads[len(layers) :]
    if l2 is not None:
        own = propagation.add_decay(own, layers, l2, m)
    if l1 is not None:
        xp = array_namespace(layers[0].W)
        scale = per_column(l1 / m)
        own = tuple(Layer(dW + scale * sign(xp, W), db) for (dW, db), (W, _) in zip(own, layers, strict=True))
    return (*own, *rest)
