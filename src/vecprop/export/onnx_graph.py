"""The graph of an ONNX model: operators in the order in which they compute, constants, inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vecprop._version import __version__

if TYPE_CHECKING:
    import numpy.typing as npt

# The number of examples, in shapes: a size that the file leaves open.
_ROWS = "n"
# The operators that look texts up, and their version: that which fits opset 13, and all later ones.
ML_DOMAIN, _ML_OPSET = "ai.onnx.ml", 2


class Node(NamedTuple):
    """An operator, the names of the values it takes, and that of the value it gives."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]


class Port(NamedTuple):
    """An input or output of the model: its name, the value it is, and type and shape of it without the examples."""

    name: str
    value: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class OnnxGraph:
    """The operators of a model in the order in which they compute, and its constants. A value is known by its name."""

    def __init__(self, onnx: Any, dtype: str) -> None:
        self.onnx, self.dtype = onnx, np.dtype(dtype)
        self.nodes: list[Node] = []
        self.constants: dict[str, npt.NDArray[Any]] = {}

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add an operator and return the name of its output."""
        name = name or f"{operator}_{len(self.nodes) + 1}"
        self.nodes.append(Node(operator, inputs, name, attributes))
        return name

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        """Return the name of a constant, kept once however often it is asked for."""
        self.constants.setdefault(name, values)
        return name

    def cast(self, value: str, dtype: npt.DTypeLike) -> str:
        """Add the conversion to another dtype."""
        return self.add("Cast", value, to=self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def real(self, name: str, values: Any, dtype: npt.DTypeLike | None = None) -> str:
        """Return the name of real numbers in the dtype of the model, or another; ValueError if it cannot hold them."""
        dtype = self.dtype if dtype is None else np.dtype(dtype)
        with np.errstate(over="ignore"):
            array = np.asarray(values).astype(dtype)
        if not np.isfinite(array).all():
            raise ValueError(
                f"model must have parameters that are finite in {dtype}, and {name} has NaN, infinite or too "
                "large values"
            )
        return self.constant(name, array)

    def number(self, value: float) -> str:
        """Return the name of one real number."""
        return self.real(f"number_{float(value)!r}", float(value))

    def integers(self, *values: int) -> str:
        """Return the name of integers: axes, or a shape."""
        return self.constant(f"integers_{'_'.join(map(str, values))}", np.array(values, dtype=np.int64))

    def serialize(
        self, name: str, opset: int, inputs: Sequence[Port], outputs: Sequence[Port], description: str
    ) -> bytes:
        """Return the model."""
        helper, from_array = self.onnx.helper, self.onnx.numpy_helper.from_array
        public = {given.value: given.name for given in (*inputs, *outputs)}
        taken = set(public.values())

        def named(value: str) -> str:
            """Return a value's name in the file: one that an input has, a column of a table, is changed inside."""
            return public.get(value, f"{value}/" if value in taken else value)

        graph = helper.make_graph(
            [
                helper.make_node(
                    node.operator,
                    [named(value) for value in node.inputs],
                    [named(node.output)],
                    name=named(node.output),
                    **node.attributes,
                )
                for node in self.nodes
            ],
            name,
            [self._described(given) for given in inputs],
            [self._described(output) for output in outputs],
            [from_array(values, name=named(constant)) for constant, values in self.constants.items()],
            doc_string=description,
        )
        opsets = [helper.make_opsetid("", opset)]
        if any(node.attributes.get("domain") == ML_DOMAIN for node in self.nodes):
            opsets.append(helper.make_opsetid(ML_DOMAIN, _ML_OPSET))
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for(opsets),  # the newest is more than most programs can read
            producer_name="vecprop",
            producer_version=__version__,
        )
        return model.SerializeToString(deterministic=True)  # type: ignore[no-any-return]

    def _described(self, given: Port) -> Any:
        helper = self.onnx.helper
        return helper.make_tensor_value_info(
            given.name, helper.np_dtype_to_tensor_dtype(given.dtype), (_ROWS, *given.shape)
        )
