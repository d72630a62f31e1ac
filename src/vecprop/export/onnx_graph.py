"""The graph of an ONNX model: operators in order of computation, constants, inputs and outputs."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecprop._version import __version__

# In shapes, the name of the number of examples, which the file leaves open.
_ROWS = "n"
# The domain of the operators that look texts up, and its version, which fits opset 13 and all later ones.
ML_DOMAIN, _ML_OPSET = "ai.onnx.ml", 2


class Port(NamedTuple):
    """An input or output: name, name of its value in the graph, dtype, shape without the examples."""

    name: str
    value: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class OnnxGraph:
    """The operators and constants of a model; each value is known by its name."""

    def __init__(self, onnx: Any, dtype: str) -> None:
        self.onnx, self.dtype = onnx, np.dtype(dtype)
        self.nodes: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = []  # operator, inputs, output, attributes
        self.constants: dict[str, npt.NDArray[Any]] = {}

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add an operator and return the name of its output."""
        name = name or f"{operator}_{len(self.nodes) + 1}"
        self.nodes.append((operator, inputs, name, attributes))
        return name

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        """Keep a constant, once for each name, and return the name."""
        self.constants.setdefault(name, values)
        return name

    def cast(self, value: str, dtype: npt.DTypeLike) -> str:
        """Add the conversion of a value to another dtype, and return its name."""
        return self.add("Cast", value, to=self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def real(self, name: str, values: Any, dtype: npt.DTypeLike | None = None) -> str:
        """Keep a constant in the model's or another dtype; ValueError if it is not finite in it."""
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
        """Keep a real number in the model's dtype, and return its name."""
        return self.real(f"number_{float(value)!r}", float(value))

    def integers(self, *values: int) -> str:
        """Keep integers, axes or a shape, and return their name."""
        return self.constant(f"integers_{'_'.join(map(str, values))}", np.array(values, dtype=np.int64))

    def joined(self, parts: Sequence[str]) -> str:
        """Join columns, if there are several values of them, and return their name."""
        return self.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]

    def circle(self, turns: str, real: Callable[[str, float], str]) -> tuple[str, str]:
        """Add cosine and sine of turns; onnxruntime has sines in float64, but cosines only in float32."""
        angle = self.add("Mul", turns, real("circle", 2 * np.pi))
        return self.add("Sin", self.add("Add", angle, real("quarter", np.pi / 2))), self.add("Sin", angle)

    def serialize(
        self, name: str, opset: int, inputs: Sequence[Port], outputs: Sequence[Port], description: str
    ) -> bytes:
        """Return the bytes of the model."""
        helper, from_array = self.onnx.helper, self.onnx.numpy_helper.from_array
        public = {given.value: given.name for given in (*inputs, *outputs)}
        taken = set(public.values())

        def named(value: str) -> str:
            """Return a value's name in the file, changed if an input, such as a column, has it."""
            return public.get(value, f"{value}/" if value in taken else value)

        def described(port: Port) -> Any:
            dtype = helper.np_dtype_to_tensor_dtype(port.dtype)
            return helper.make_tensor_value_info(port.name, dtype, (_ROWS, *port.shape))

        graph = helper.make_graph(
            [
                helper.make_node(operator, [*map(named, given)], [named(output)], name=named(output), **attributes)
                for operator, given, output, attributes in self.nodes
            ],
            name,
            list(map(described, inputs)),
            list(map(described, outputs)),
            [from_array(values, name=named(constant)) for constant, values in self.constants.items()],
            doc_string=description,
        )
        opsets = [helper.make_opsetid("", opset)]
        if any(attributes.get("domain") == ML_DOMAIN for *_, attributes in self.nodes):
            opsets.append(helper.make_opsetid(ML_DOMAIN, _ML_OPSET))
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for(opsets),  # most programs cannot read the newest version
            producer_name="vecprop",
            producer_version=__version__,
        )
        return model.SerializeToString(deterministic=True)  # type: ignore[no-any-return]
