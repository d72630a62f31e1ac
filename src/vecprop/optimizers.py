"""Optimizers: frozen values with two pure functions.

    init(params) -> slots        update(grads, slots, params) -> (params, slots)

Slots are whatever an optimizer remembers between steps, nested tuples of arrays; together with the parameters, the
epoch and the seed they are the whole state of a training run.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from vecprop.arguments import check_number
from vecprop.propagation import Layer, Params

Slots = tuple[Any, ...]


class Optimizer(Protocol):
    """What `fit` asks of an optimizer; it must be hashable, since a compiled epoch is kept for it."""

    @property
    def learning_rate(self) -> float:
        """The step size α."""

    def init(self, params: Params) -> Slots:
        """Return the slots before the first step."""

    def update(self, grads: Params, slots: Slots, params: Params) -> tuple[Params, Slots]:
        """Return the parameters and the slots after one step; its arguments are left as they were."""


@dataclass(frozen=True)
class GradientDescent:
    """Gradient descent (E12): W ← W - α dW, b ← b - α db.

    Parameters
    ----------
    learning_rate : float, default 0.1
        α, positive.

    Raises
    ------
    ValueError, TypeError
        If the learning rate is not a positive finite number.

    Examples
    --------
    >>> import numpy as np
    >>> params = (Layer(np.array([[1.0]]), np.array([[0.0]])),)
    >>> grads = (Layer(np.array([[2.0]]), np.array([[1.0]])),)
    >>> ((W, b),), slots = GradientDescent(learning_rate=0.5).update(grads, (), params)
    >>> W.tolist(), b.tolist()
    ([[0.0]], [[-0.5]])
    """

    learning_rate: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", check_number(self.learning_rate, "learning_rate", zero=False))

    def init(self, params: Params) -> Slots:  # noqa: ARG002
        """Return (): plain gradient descent remembers nothing."""
        return ()

    def update(self, grads: Params, slots: Slots, params: Params) -> tuple[Params, Slots]:
        """Return W - α dW and b - α db."""
        alpha = self.learning_rate
        return tuple(
            Layer(W - alpha * dW, b - alpha * db) for (W, b), (dW, db) in zip(params, grads, strict=True)
        ), slots
