"""The namespace of symbolic arrays: it records the functions of the array API standard."""

# The signatures are the standard's, also where a symbolic array has no use for an argument.
# ruff: noqa: ARG002

from collections.abc import Callable, Sequence
from functools import partial, partialmethod
from typing import Any

import numpy as np

from vecprop_numpy.graph import Graph, TraceError, Value


def _functions(names: str) -> dict[str, Any]:
    return {name: getattr(np, name) for name in names.split()}


UFUNCS = {name: value for name, value in vars(np).items() if isinstance(value, np.ufunc)} | {"round": np.rint}
REDUCTIONS = {"sum": np.add, "max": np.maximum, "min": np.minimum, "all": np.logical_and, "any": np.logical_or}
# Functions that return a view of their first argument.
VIEWS = _functions("permute_dims matrix_transpose moveaxis expand_dims squeeze broadcast_to")
# Functions that return a constant.
CONSTANTS = _functions("arange eye linspace")
# Functions that are called unchanged, with the result copied into place.
CALLED = _functions("argmax argmin argsort sort roll flip tile repeat cumulative_sum prod var std tril triu")
# NumPy's other names for functions of the standard.
ALIASES = {"concatenate": "concat", "amax": "max", "amin": "min", "transpose": "permute_dims"}


class TraceNamespace:
    """The namespace of a symbolic array, from its `__array_namespace__`."""

    __name__ = "numpy"

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.astype, self.reshape, self.take, self.where = graph.astype, graph.reshape, graph.take, graph.where
        self._tables: tuple[tuple[dict[str, Any], Callable[..., Value]], ...] = (
            (UFUNCS, graph.ufunc),
            (REDUCTIONS, self._reduce),
            (VIEWS, self._view),
            (CONSTANTS, lambda function, *args, **options: graph.constant(function(*args, **options))),
            (CALLED, self._call),
        )

    def __getattr__(self, name: str) -> Any:
        found = next((partial(record, table[name]) for table, record in self._tables if name in table), None)
        found = found or getattr(np, name)
        setattr(self, name, found)
        return found

    def function(self, name: str) -> Callable[..., Any] | None:
        """Return the function that records NumPy's function of this name, or None."""
        name = ALIASES.get(name, name)
        found = getattr(self, name, None)
        return None if found is getattr(np, name, None) else found

    def _reduce(
        self, function: np.ufunc, x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False
    ) -> Value:
        return self._graph.reduce(function, x, axis, keepdims, dtype)

    def _view(self, function: Callable[..., Any], x: Any, *args: Any, **options: Any) -> Value:
        key = (function.__name__, repr(args), repr(options))
        return self._graph.view(x, key, lambda a: function(a, *args, **options))

    def _call(self, function: Callable[..., Any], x: Any, *args: Any, **options: Any) -> Value:
        if isinstance(x, tuple | list) or any(isinstance(a, Value) for a in (*args, *options.values())):
            raise TraceError("only the first argument may be an array")
        return self._graph.call(lambda a, **given: function(a, *args, **given), (x,), **options)

    def full(self, shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Value:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if isinstance(fill_value, Value):
            filled = fill_value if dtype is None else self.astype(fill_value, dtype)
            return self.broadcast_to(filled, shape)  # type: ignore[no-any-return]
        return self._graph.constant(fill_value, dtype, shape)

    def full_like(self, x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Value:
        return self.full(x.shape, fill_value, dtype=x.dtype if dtype is None else dtype)

    zeros = empty = partialmethod(full, fill_value=0.0)
    ones = partialmethod(full, fill_value=1.0)
    zeros_like = empty_like = partialmethod(full_like, fill_value=0.0)
    ones_like = partialmethod(full_like, fill_value=1.0)

    def asarray(self, x: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Value:
        if isinstance(x, Value):
            return x if dtype is None else self.astype(x, dtype)
        return self._graph.constant(x, dtype)

    def mean(self, x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Value:
        x = self._graph.value(x)
        if x.dtype.kind != "f":
            x = self.astype(x, np.float64)
        total = self._graph.reduce(np.add, x, axis, keepdims)
        return self._graph.ufunc(np.divide, total, float(x.size // max(total.size, 1)))

    def vecdot(self, a: Any, b: Any, /, *, axis: int = -1) -> Value:
        return self._graph.reduce(np.add, self._graph.ufunc(np.multiply, a, b), axis)

    def clip(self, x: Any, /, min: Any = None, max: Any = None) -> Value:
        low = x if min is None else self._graph.ufunc(np.maximum, x, min)
        return self._graph.value(low if max is None else self._graph.ufunc(np.minimum, low, max))

    def pow(self, a: Any, b: Any, /) -> Value:
        return a**b  # type: ignore[no-any-return]

    def real(self, x: Any, /) -> Value:
        if self._graph.value(x).dtype.kind == "c":
            raise TraceError("complex numbers")
        return self._graph.value(x)

    def concat(self, arrays: Sequence[Any], /, *, axis: int | None = 0) -> Value:
        if axis is None:
            arrays, axis = [self.reshape(a, (-1,)) for a in arrays], 0
        return self._graph.join(arrays, axis)

    def stack(self, arrays: Sequence[Any], /, *, axis: int = 0) -> Value:
        return self.concat([self.expand_dims(a, axis=axis) for a in arrays], axis=axis)
