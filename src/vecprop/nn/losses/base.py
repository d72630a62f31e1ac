"""The base class of the losses."""

from typing import Any, ClassVar, Self, TypeAlias

from vecprop.backend.namespaces import Array, Namespace
from vecprop.nn.activations import Activation
from vecprop.nn.specification import Specification


class Loss(Specification):
    """A loss: its name, the output it matches, its values and dZ_L, the targets it accepts."""

    name: ClassVar[str]
    matching_output: ClassVar[str] = ""  # the activation g_L for which dZ_L = A - Y, if there is one

    @property
    def networks(self) -> int | None:
        """K, if the loss has parameters for each of K networks; None if it serves any number."""
        return None

    def member(self, k: Any) -> Self:
        """Return the loss of network k of a stack, or of several."""
        return self

    def values(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        """Return the loss of each output of each example, shape (…, n_L, m)."""
        raise NotImplementedError

    def dZ(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        """Return ∂(loss)/∂Z_L, shape (…, n_L, m)."""
        raise NotImplementedError

    def check_output(self, output: Activation, n_out: int) -> None:
        """Raise ValueError if the loss is not defined for this output layer."""

    def valid_targets(self, xp: Namespace, Y: Array) -> Array:
        """Return whether the loss is defined for all values of Y, as a 0-d boolean array."""
        return xp.all(xp.isfinite(Y))

    def describe_invalid(self, xp: Namespace, Y: Array) -> str:
        """Return the error message, with the remedy, for a finite Y that `valid_targets` rejects."""
        return f"Y holds values {self.name} is not defined for"


LossLike: TypeAlias = str | Loss
