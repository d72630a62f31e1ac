"""What training puts around an activation: batch normalization before it (E34), dropout after it (E33).

A `Stage` takes the place of the activation in `propagation`, so that forward and backward propagation are the same
functions with and without it. It belongs to one pass: forward leaves in it what backward needs.
"""

from __future__ import annotations

from typing import NamedTuple

from vecprop.activations import Activation
from vecprop.losses import Loss
from vecprop.namespaces import Array, Namespace
from vecprop.normalization import BatchNorm


class Stage(Activation):
    """A = D/keep ∘ g(norm(Z)): an activation with a normalization before it and a mask after it, either optional."""

    def __init__(self, g: Activation, norm: BatchNorm | None = None, mask: Array | None = None) -> None:
        self.g, self.norm, self.mask = g, norm, mask

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def function(self, xp: Namespace, Z: Array) -> Array:
        """Return A (…, n, m)."""
        self._U = Z if self.norm is None else self.norm.forward(xp, Z)
        self._A = self.g.function(xp, self._U)
        return self._A if self.mask is None else self._A * self.mask

    def backward(self, xp: Namespace, dA: Array, Z: Array, A: Array) -> Array:  # noqa: ARG002
        """Return dZ: the same mask, then g′, then back through the normalization."""
        dA = dA if self.mask is None else dA * self.mask
        dU = self.g.backward(xp, dA, self._U, self._A)
        return dU if self.norm is None else self.norm.backward(xp, dU)


class Pass(NamedTuple):
    """What `propagation` reads of a network, for one pass in training: stages in place of the hidden activations."""

    activations: tuple[Activation, ...]
    output: Activation
    loss: Loss
