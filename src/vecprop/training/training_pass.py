"""Batch normalization before an activation (E34) and dropout after it (E33), for training.

A `Stage` takes the place of the activation in `propagation`, so that the same functions do forward and backward
propagation with and without it. It belongs to one pass: forward stores in it the values that backward needs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vecprop.backend.namespaces import Array, Namespace
from vecprop.nn.activations import Activation
from vecprop.nn.batch_norm import BatchNorm
from vecprop.nn.dropout import Fuse
from vecprop.nn.losses import Loss


class Stage(Activation):
    """A = D/keep ∘ g(norm(Z)): an activation with optional normalization and mask."""

    def __init__(self, g: Activation, norm: BatchNorm | None = None, mask: Array | None = None) -> None:
        self.g, self.norm, self.mask = g, norm, mask

    __eq__, __hash__ = object.__eq__, object.__hash__

    def function(self, xp: Namespace, Z: Array) -> Array:
        self._U = Z if self.norm is None else self.norm.forward(xp, Z)
        self._A = self.g.function(xp, self._U)
        return self._A if self.mask is None else self._A * self.mask

    def backward(self, xp: Namespace, dA: Array, Z: Array, A: Array) -> Array:
        """Return dZ: through the mask, then g′, then the normalization."""
        dA = dA if self.mask is None else dA * self.mask
        dU = self.g.backward(xp, dA, self._U, self._A)
        return dU if self.norm is None else self.norm.backward(xp, dU)


@dataclass(frozen=True)
class Fused(Activation):
    """An elementwise activation with one kernel each for g and backward (`Backend.fuse`)."""

    g: Activation
    fuse: Fuse = field(compare=False)

    def function(self, xp: Namespace, Z: Array) -> Array:
        return self.fuse(BoundMethod(self.g, "function", xp))(Z)

    def backward(self, xp: Namespace, dA: Array, Z: Array, A: Array) -> Array:
        return self.fuse(BoundMethod(self.g, "backward", xp))(dA, Z, A)


@dataclass(frozen=True)
class FusedLoss(Loss):
    """A loss with one kernel each for values and dZ, for an elementwise output."""

    loss: Loss
    fuse: Fuse = field(compare=False)

    def values(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        return self.fuse(BoundMethod(self.loss, "values", xp, (output,)))(Z, A, Y)

    def dZ(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:  # noqa: N802
        return self.fuse(BoundMethod(self.loss, "dZ", xp, (output,)))(Z, A, Y)


class SoftmaxLoss(Loss):
    """The cross-entropy of a softmax, with values and dZ from Z by one kernel (`Backend.softmax_cross_entropy`).

    It belongs to one pass: `values` stores the result of `dZ`.
    """

    def __init__(self, kernel: Callable[[Array, Array, float], tuple[Array, Array]], smoothing: float) -> None:
        self._kernel, self._smoothing = kernel, smoothing

    def values(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        """Return the loss of each example, already summed over its outputs, (…, 1, m)."""
        L, self._dZ = self._kernel(Z, Y, self._smoothing)
        return L

    def dZ(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:  # noqa: N802
        return self._dZ


@dataclass(frozen=True)
class BoundMethod:
    """A method of a value, bound to its arguments that are not arrays; equal if it computes the same."""

    of: Any
    method: str
    xp: Namespace
    others: tuple[Activation, ...] = ()

    def __call__(self, *arrays: Array | float) -> Any:
        """Return the method's result."""
        return getattr(self.of, self.method)(self.xp, *self.others, *arrays)


class Pass(NamedTuple):
    """A network for `propagation` in one training pass, with stages as hidden activations."""

    activations: tuple[Activation, ...]
    output: Activation
    loss: Loss
