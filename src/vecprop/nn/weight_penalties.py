"""Penalties on the weights added to the cost: L2 (E32) and L1.

    J + (λ₂/2m) Σ ‖W_l‖² + (λ₁/m) Σ |W_l|        dW_l gains (λ₂/m) W_l + (λ₁/m) sign(W_l)

m is the total weight of the whole training set, not of the batch as in scikit-learn, so that the objective does not
depend on the batch size. Biases are not penalized. sign(0) = 0, a subgradient.
"""

from typing import Any, NamedTuple

from vecprop import propagation
from vecprop.backend.namespaces import Array, array_namespace, sign
from vecprop.propagation import Layer, Params, per_column


class Penalties(NamedTuple):
    """λ₁ and λ₂, or None, and m; numbers, or (K,) by network. A link of the chain before the optimizer.

    >>> import numpy as np
    >>> layers = (Layer(np.array([[3.0, -4.0]]), np.array([[9.0]])),)
    >>> zero = (Layer(np.zeros((1, 2)), np.zeros((1, 1))),)
    >>> penalties = Penalties(1.0, 2.0, 10.0)
    >>> float(penalties.cost(layers))  # 2/20 · 25 + 1/10 · 7
    3.2
    >>> penalties.update(zero, layers)[0].W.round(6).tolist()
    [[0.7, -0.9]]
    >>> [Penalties(l1, l2, 10.0).given for l1, l2 in ((None, None), (1.0, None), (None, 2.0), (1.0, 2.0))]
    [False, True, True, True]
    """

    l1: Array | float | None
    l2: Array | float | None
    m: Array | float

    @property
    def given(self) -> bool:
        """Whether there is one."""
        return self.l1 is not None or self.l2 is not None

    def cost(self, layers: Params) -> Array | float:
        """Return (λ₂/2m) Σ ‖W_l‖² + (λ₁/m) Σ |W_l|, shape (…)."""
        total: Array | float = 0.0
        if self.l2 is not None:
            total = total + propagation.penalty(layers, self.l2, self.m)
        if self.l1 is not None:
            xp = array_namespace(layers[0].W)
            total = total + self.l1 / self.m * sum(xp.sum(xp.abs(W), axis=(-2, -1)) for W, _ in layers)
        return total

    def update(self, grads: Any, layers: Params) -> Any:
        """Return grads, the layers' first, with the gradients of the penalties added to the layers'."""
        own, rest = grads[: len(layers)], grads[len(layers) :]
        if self.l2 is not None:
            own = propagation.add_decay(own, layers, self.l2, self.m)
        if self.l1 is not None:
            xp = array_namespace(layers[0].W)
            scale = per_column(self.l1 / self.m)
            own = tuple(Layer(dW + scale * sign(xp, W), db) for (dW, db), (W, _) in zip(own, layers, strict=True))
        return (*own, *rest)
