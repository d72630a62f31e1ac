"""The parts of an explanation: given quantities, steps of the passes, common mistakes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from vecprop.nn.network import Network

MATRIX_PRODUCT = "matrix product"
ELEMENTWISE = "elementwise"
BROADCAST = "broadcast"
OVER_EXAMPLES = "sum over examples"
OVER_ROWS = "sum over rows"

Shape = tuple[int, ...]
Values = Mapping[str, "npt.NDArray[Any]"]


@dataclass(frozen=True)
class Operation:
    """A NumPy operation: its shapes, such as "(4, 3) @ (3, 100) -> (4, 100)", and its kind."""

    shapes: str
    kind: str


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


@dataclass(frozen=True)
class Contents:
    """The contents of an explanation, without its layout; for the attributes see `Explanation`."""

    network: Network
    m: int
    l2: float
    given: tuple[Given, ...]
    steps: tuple[Step, ...]
    mistakes: tuple[Mistake, ...]
    cost: float | None = None
    check: Mapping[str, float] = field(default_factory=dict)

    @property
    def has_numbers(self) -> bool:
        """Whether numbers are shown."""
        return self.cost is not None

    @property
    def program(self) -> str:
        """All steps as NumPy code, from X, Y, the parameters, m (and lam, λ) to the gradients."""
        return "\n".join(step.code for step in self.steps)

    def __getitem__(self, name: str) -> Step:
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(f"{name!r} is no step of this explanation; there are {', '.join(s.name for s in self.steps)}")

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as a dict for JSON, with arrays as nested lists."""
        return {
            "network": str(self.network),
            "sizes": list(self.network.sizes),
            "m": self.m,
            "l2": self.l2,
            "given": [_plain(part) for part in self.given],
            "steps": [
                _plain(step) | {"kind": step.kind, "operations": [_plain(part) for part in step.operations]}
                for step in self.steps
            ],
            "mistakes": [_plain(mistake) for mistake in self.mistakes],
            "program": self.program,
            "cost": self.cost,
            "check": dict(self.check),
        }


def _plain(part: Any) -> dict[str, Any]:
    """Return the fields of a part; arrays and tuples of integers as lists."""
    fields = dict(vars(part))
    for name, value in fields.items():
        if hasattr(value, "tolist"):
            fields[name] = value.tolist()
        elif isinstance(value, tuple):
            fields[name] = list(value)
    return fields
