"""The parts of an explanation: given quantities, steps of the passes, common mistakes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt

from vecprop.nn.network import Network

Kind = Literal["matrix product", "elementwise", "broadcast", "sum over examples", "sum over rows"]
Shape = tuple[int, ...]
Values = Mapping[str, "npt.NDArray[Any]"]


@dataclass(frozen=True)
class Operation:
    """A NumPy operation: its shapes, such as "(4, 3) @ (3, 100) -> (4, 100)", and its kind."""

    shapes: str
    kind: Kind


@dataclass(frozen=True)
class Given:
    """A quantity that the passes start from; its meaning tells what rows and columns are."""

    name: str
    shape: Shape
    meaning: str
    value: npt.NDArray[Any] | None = None


@dataclass(frozen=True)
class Step:
    """One step of the forward or the backward pass: a quantity and how it is computed."""

    name: str  # of the quantity, such as "dW2"
    phase: str  # "forward", "cost" or "backward"
    layer: int
    formula: str  # as on paper: "dW2 = (1/m) dZ2 A1ᵀ"
    code: str  # the same in NumPy, one or more lines: "dW2 = dZ2 @ A1.T / m"
    operations: tuple[Operation, ...]  # of the code, the main one first
    shape: Shape  # of the quantity
    equation: str  # its number in docs/equations.md
    reason: str  # why it is computed like this
    role: str  # the same text for steps that differ only in the layer
    example: str = ""  # one entry computed with numbers, if they are shown
    value: npt.NDArray[Any] | None = None  # what the library computes, if numbers are shown

    @property
    def kind(self) -> str:
        """The kind of the main operation, such as "matrix product" or "elementwise"."""
        return self.operations[0].kind


@dataclass(frozen=True)
class Mistake:
    """Code often written by mistake, and what it does with arrays of these shapes."""

    wrong: str
    right: str
    outcome: str  # "error", "wrong shape", "wrong numbers", or "right by accident": it works for these sizes only
    what_happens: str  # the error or result of NumPy when the code is run
    reason: str  # what was confused
    shape: Shape | None  # of the result, None after an error
    right_shape: Shape


def count(n: int, noun: str) -> str:
    """Return a number with its noun.

    >>> count(1, "target"), count(3, "unit of layer 1")
    ('1 target', '3 units of layer 1')
    """
    first, _, rest = noun.partition(" ")
    return f"{n} {first}{'' if n == 1 else 's'}{' ' if rest else ''}{rest}"


def units(net: Network, l: int) -> str:
    """Return the number of units of layer l with their name; layer 0 has inputs."""
    return count(net.sizes[l], f"unit of layer {l}" if l else "input")
