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
    """One step of the forward or the backward pass: a quantity and how it is computed.

    Attributes
    ----------
    name : str
        The quantity, such as "dW2".
    phase : "forward", "cost" or "backward"
    layer : int
    formula : str
        As on paper: "dW2 = (1/m) dZ2 A1ᵀ".
    code : str
        The same in NumPy, one or more lines: "dW2 = dZ2 @ A1.T / m".
    operations : tuple of Operation
        The shapes and the kind of each operation of the code, the main one first.
    shape : tuple of int
        The shape of the quantity.
    equation : str
        Its number in docs/equations.md.
    reason : str
        Why it is computed like this.
    example : str
        One entry computed with numbers; empty if no numbers are shown.
    value : array or None
        The value that the library computes; None if no numbers are shown.
    role : str
        The same text for steps that differ only in the layer.
    """

    name: str
    phase: str
    layer: int
    formula: str
    code: str
    operations: tuple[Operation, ...]
    shape: Shape
    equation: str
    reason: str
    role: str
    example: str = ""
    value: npt.NDArray[Any] | None = None

    @property
    def kind(self) -> str:
        """The kind of the main operation, such as "matrix product" or "elementwise"."""
        return self.operations[0].kind


@dataclass(frozen=True)
class Mistake:
    """Code often written by mistake, and what it does with arrays of these shapes.

    Attributes
    ----------
    wrong, right : str
        The two pieces of code.
    outcome : str
        "error", "wrong shape", "wrong numbers", or "right by accident": it works for these sizes only.
    what_happens : str
        The error or result of NumPy when the code is run.
    reason : str
        What was confused.
    shape, right_shape : tuple of int or None
        The shape of the result, or None after an error; and the shape of the right one.
    """

    wrong: str
    right: str
    outcome: str
    what_happens: str
    reason: str
    shape: Shape | None
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
