"""The namespace of symbolic arrays: it records the functions of the array API standard."""

# The signatures are the standard's, also where a symbolic array has no use for an argument.
# ruff: noqa: ARG002

import functools
from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat.numpy
import numpy as np

from vecprop_numpy.graph import Graph, TraceError, Value

_SAME_NAME = """
    abs add ceil cos cosh divide equal exp expm1 floor floor_divide greater greater_equal hypot isfinite isinf isnan
    less less_equal log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor maximum minimum
    multiply negative nextafter not_equal positive reciprocal remainder sign signbit sin sinh sqrt square subtract tan
    tanh trunc bitwise_and bitwise_or bitwise_xor copysign exp2 cbrt rint
"""
_OTHER_NAME = {
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "bitwise_invert": "invert",
    "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift",
    "round": "rint",
}
# NumPy's ufuncs by their names in the standard.
UFUNCS: dict[str, np.ufunc] = {
    name: getattr(np, other) for name, other in [*((n, n) for n in _SAME_NAME.split()), *_OTHER_NAME.items()]
}
# Functions that are called unchanged, with the result copied into place.
_CALLED = "argmax argmin argsort sort roll flip tile repeat cumulative_sum prod var std tril triu"
CALLED = {name: getattr(array_api_compat.numpy, name) for name in _CALLED.split()}
# NumPy's other names for functions of the standard.
ALIASES = {"concatenate": "concat", "amax": "max", "amin": "min", "transpose": "permute_dims"}


class TraceNamespace:
    """The namespace of a symbolic array, from its `__array_namespace__`."""

    __name__ = "array_api_compat.numpy"

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __getattr__(self, name: str) -> Any:
        if name in UFUNCS:
            return functools.partial(self._graph.ufunc, UFUNCS[name])
        if name in CALLED:
            return functools.partial(self._call, CALLED[name])
        return getattr(array_api_compat.numpy, name)

    def function(self, name: str) -> Callable[..., Any] | None:
        """Return the function that records NumPy's function of this name, or None."""
        name = ALIASES.get(name, name)
        known = name in UFUNCS or name in CALLED or (name in vars(type(self)) and not name.startswith("_"))
        return getattr(self, name) if known else None

    def _call(self, function: Callable[..., Any], x: Any, *args: Any, **options: Any) -> Value:
        if isinstance(x, tuple | list) or any(isinstance(a, Value) for a in (*args, *options.values())):
            raise TraceError("only the first argument may be an array")
        called = functools.partial(_with_arguments, function, args)
        return self._graph.call(called, (x,), **options)

    # Reductions

    def sum(self, x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Value:
        """Return the sum."""
        return self._graph.reduce(np.add, x, axis, keepdims, dtype)

    def max(self, x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Value:
        """Return the largest entry."""
        return self._graph.reduce(np.maximum, x, axis, keepdims)

    def min(self, x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Value:
        """Return the smallest entry."""
        return self._graph.reduce(np.minimum, x, axis, keepdims)

    def mean(self, x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Value:
        """Return the mean."""
        x = self._graph.value(x)
        if x.dtype.kind != "f":
            x = self._graph.cast(x, np.float64)
        total = self._graph.reduce(np.add, x, axis, keepdims)
        return self._graph.ufunc(np.divide, total, float(x.size // max(total.size, 1)))

    def all(self, x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Value:
        """Return whether all entries are true."""
        return self._graph.reduce(np.logical_and, x, axis, keepdims, bool)

    def any(self, x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Value:
        """Return whether any entry is true."""
        return self._graph.reduce(np.logical_or, x, axis, keepdims, bool)

    # Products

    def matmul(self, a: Any, b: Any, /) -> Value:
        """Return a @ b."""
        return self._graph.matmul(a, b)

    def vecdot(self, a: Any, b: Any, /, *, axis: int = -1) -> Value:
        """Return the sum of products along an axis."""
        return self._graph.reduce(np.add, self._graph.ufunc(np.multiply, a, b), axis, False)

    # Elementwise

    def where(self, condition: Any, a: Any, b: Any, /) -> Value:
        """Return a where the condition holds, b elsewhere."""
        return self._graph.where(condition, a, b)

    def clip(self, x: Any, /, min: Any = None, max: Any = None) -> Value:
        """Return the entries cut to an interval."""
        low = x if min is None else self._graph.ufunc(np.maximum, x, min)
        return self._graph.value(low if max is None else self._graph.ufunc(np.minimum, low, max))

    def astype(self, x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Value:
        """Return the array in another dtype."""
        return self._graph.cast(x, dtype)

    def pow(self, a: Any, b: Any, /) -> Value:
        """Return a to the power b."""
        return a**b  # type: ignore[no-any-return]

    def real(self, x: Any, /) -> Value:
        """Return a real array unchanged."""
        if self._graph.value(x).dtype.kind == "c":
            raise TraceError("complex numbers")
        return self._graph.value(x)

    # Making arrays

    def asarray(self, x: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Value:
        """Return numbers as an array."""
        if isinstance(x, Value):
            return x if dtype is None else self._graph.cast(x, dtype)
        return self._graph.constant(x, dtype)

    def full(self, shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Value:
        """Return an array of one number."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if isinstance(fill_value, Value):
            filled = fill_value if dtype is None else self._graph.cast(fill_value, dtype)
            return self.broadcast_to(filled, shape)
        return self._graph.constant(fill_value, dtype, shape)

    def zeros(self, shape: Any, *, dtype: Any = None, device: Any = None) -> Value:
        """Return zeros."""
        return self.full(shape, 0.0, dtype=np.float64 if dtype is None else dtype)

    def ones(self, shape: Any, *, dtype: Any = None, device: Any = None) -> Value:
        """Return ones."""
        return self.full(shape, 1.0, dtype=np.float64 if dtype is None else dtype)

    empty = zeros

    def full_like(self, x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Value:
        """Return an array of one number, shaped as x."""
        return self.full(x.shape, fill_value, dtype=x.dtype if dtype is None else dtype)

    def zeros_like(self, x: Any, /, *, dtype: Any = None, device: Any = None) -> Value:
        """Return zeros, shaped as x."""
        return self.full_like(x, 0, dtype=dtype)

    def ones_like(self, x: Any, /, *, dtype: Any = None, device: Any = None) -> Value:
        """Return ones, shaped as x."""
        return self.full_like(x, 1, dtype=dtype)

    empty_like = zeros_like

    def arange(self, *args: Any, dtype: Any = None, device: Any = None, **options: Any) -> Value:
        """Return numbers at equal distances."""
        return self._graph.constant(np.arange(*args, dtype=dtype, **options))

    def eye(self, *args: Any, dtype: Any = None, device: Any = None, **options: Any) -> Value:
        """Return a matrix with ones on a diagonal."""
        return self._graph.constant(np.eye(*args, dtype=np.float64 if dtype is None else dtype, **options))

    def linspace(self, *args: Any, dtype: Any = None, device: Any = None, **options: Any) -> Value:
        """Return numbers at equal distances, the last one included."""
        return self._graph.constant(np.linspace(*args, dtype=dtype, **options))

    # Changing shapes

    def reshape(self, x: Any, /, shape: Any, *, copy: bool | None = None) -> Value:
        """Return the numbers in another shape."""
        return self._graph.reshape(x, shape)

    def permute_dims(self, x: Any, /, axes: Any = None) -> Value:
        """Return the array with its axes in another order."""
        axes = tuple(range(x.ndim))[::-1] if axes is None else tuple(axes)
        return self._graph.view(x, ("permute", axes), lambda a: np.transpose(a, axes))

    def matrix_transpose(self, x: Any, /) -> Value:
        """Return the array with its last two axes exchanged."""
        return self._graph.view(x, ("transpose",), lambda a: np.swapaxes(a, -1, -2))

    def moveaxis(self, x: Any, source: Any, destination: Any, /) -> Value:
        """Return the array with axes moved."""
        return self._graph.view(x, ("moveaxis", source, destination), lambda a: np.moveaxis(a, source, destination))

    def expand_dims(self, x: Any, /, *, axis: int = 0) -> Value:
        """Return the array with one more axis."""
        return self._graph.view(x, ("expand", axis), lambda a: np.expand_dims(a, axis))

    def squeeze(self, x: Any, /, axis: Any) -> Value:
        """Return the array without axes of length 1."""
        return self._graph.view(x, ("squeeze", axis), lambda a: np.squeeze(a, axis))

    def broadcast_to(self, x: Any, /, shape: Sequence[int]) -> Value:
        """Return the array repeated over a shape."""
        return self._graph.view(x, ("broadcast", tuple(shape)), lambda a: np.broadcast_to(a, shape))

    # Joining and taking

    def concat(self, arrays: Sequence[Any], /, *, axis: int | None = 0) -> Value:
        """Return arrays joined along an axis."""
        if axis is None:
            arrays, axis = [self.reshape(a, (-1,)) for a in arrays], 0
        return self._graph.join(arrays, axis, False)

    def stack(self, arrays: Sequence[Any], /, *, axis: int = 0) -> Value:
        """Return arrays joined along a new axis."""
        return self._graph.join(arrays, axis, True)

    def take(self, x: Any, indices: Any, /, *, axis: int | None = None) -> Value:
        """Return the entries at indices along an axis."""
        return self._graph.take(x, indices, axis)


def _with_arguments(function: Callable[..., Any], args: tuple[Any, ...], x: Any, **options: Any) -> Any:
    return function(x, *args, **options)
