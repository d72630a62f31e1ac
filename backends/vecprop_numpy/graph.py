"""Symbolic arrays, and the graph of the operations that a pure function does on them.

A function of the core is run once with `Value`s in place of arrays. Every operation on a `Value` is recorded in a
`Graph`, with the shape and dtype of NumPy's result. Repeated operations are recorded once, constants are folded, and
the graph's rewrites replace operations by shorter ways to the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.mixins import NDArrayOperatorsMixin

NDArray = npt.NDArray[Any]
Shape = tuple[int, ...]
WEAK = (int, float, complex, bool)  # numbers that take the dtype of the arrays beside them


class TraceError(TypeError):
    """An operation on a symbolic array that cannot be recorded; its function runs unrecorded."""


@dataclass(eq=False, slots=True)
class Op:
    """One recorded operation."""

    kind: str
    inputs: tuple[Value, ...]
    attributes: Any
    scope: Scope
    regions: list[Region] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)


@dataclass(eq=False)
class Scope:
    """A sequence of operations: those of the function itself, or of a loop body in it."""

    depth: int
    ops: list[Op] = field(default_factory=list)
    known: dict[Any, Value] = field(default_factory=dict)


@dataclass(eq=False)
class Region:
    """The body of a loop, with the inputs and results of each round."""

    scope: Scope
    leaves: list[Value]
    results: list[Value] = field(default_factory=list)
    free: list[Value] | None = None  # the values of outer scopes that it uses, once somebody asks


class Sum(NamedTuple):
    """A wanted sum of an array: its axes, whether they are kept, and the result's shape."""

    axes: tuple[int, ...]
    keepdims: bool
    shape: Shape


class Rewrites(NamedTuple):
    """Shorter ways to an operation's result: functions that return it, or None if not usable."""

    elementwise: Mapping[np.ufunc, Sequence[Callable[[Graph, np.ufunc, tuple[Value, ...], Shape], Value | None]]]
    sums: Sequence[Callable[[Graph, Value, Sum], Value | None]]


class Graph:
    """The operations of one function, recorded while it runs on `Value`s."""

    def __init__(self, namespace: Callable[[Graph], Any], rewrites: Rewrites) -> None:
        self.scopes = [Scope(0)]
        self.ops: list[Op] = []  # of all scopes
        self.namespace = namespace(self)
        self.rewrites = rewrites

    @contextmanager
    def region(self, leaves: Sequence[tuple[Shape, Any]]) -> Iterator[Region]:
        """Record the operations in the context that depend on the leaves as a loop body."""
        scope = Scope(len(self.scopes))
        region = Region(scope, [self.leaf(shape, dtype, scope) for shape, dtype in leaves])
        self.scopes.append(scope)
        try:
            yield region
        finally:
            self.scopes.pop()

    def leaf(self, shape: Shape, dtype: Any, scope: Scope | None = None) -> Value:
        """Return an input value."""
        scope = self.scopes[0] if scope is None else scope
        return self._new(Op("leaf", (), None, scope), shape, dtype)

    def constant(self, value: Any, dtype: Any = None, shape: Shape | None = None) -> Value:
        """Return a constant: an array, or one number repeated over a shape."""
        array = np.asarray(value, dtype)
        scope = self.scopes[0]
        if array.ndim:
            key: Any = ("constant", id(array))
            shape = array.shape
        else:
            shape = () if shape is None else shape
            key = ("constant", array.dtype, array.tobytes(), shape)
        if key not in scope.known:
            scope.known[key] = self._new(Op("constant", (), array, scope), shape, array.dtype)
        return scope.known[key]

    def value(self, operand: Any) -> Value:
        """Return an operand as a value of this graph."""
        if isinstance(operand, Value):
            if operand.graph is not self:
                raise TraceError("an array of another recording")
            return operand
        return self.constant(operand)

    def _operand(self, operand: Any, dtype: Any) -> Value:
        """Return an operand as a value, a number of Python's in the given dtype."""
        return self.constant(operand, dtype) if type(operand) in WEAK else self.value(operand)

    def record(
        self, kind: str, inputs: tuple[Value, ...], key: Any, attributes: Any, shape: Shape, dtype: Any
    ) -> Value:
        """Return the result of an operation, recorded in the innermost loop of its inputs."""
        scope = self.scope_of(inputs)
        known = (kind, key, dtype, *map(id, inputs))
        if known in scope.known:
            return scope.known[known]
        op = self._op(kind, inputs, attributes, scope, [])
        scope.known[known] = value = self._new(op, shape, dtype)
        return value

    def record_loop(
        self,
        kind: str,
        inputs: tuple[Value, ...],
        attributes: Any,
        regions: list[Region],
        outputs: Sequence[tuple[Shape, Any]],
    ) -> Iterator[Value]:
        """Return the results of an operation with bodies, recorded in the current scope."""
        op = self._op(kind, inputs, attributes, self.scopes[-1], regions)
        for shape, dtype in outputs:
            self._new(op, shape, dtype)
        return iter(op.outputs)

    def scope_of(self, inputs: Sequence[Value]) -> Scope:
        """Return the innermost scope of the inputs."""
        depth = max((value.op.scope.depth for value in inputs), default=0)
        if depth >= len(self.scopes) or any(v.op.scope is not self.scopes[v.op.scope.depth] for v in inputs):
            raise TraceError("an array of a loop's body is used outside of it")
        return self.scopes[depth]

    def _op(self, *parts: Any) -> Op:
        op = Op(*parts)
        op.scope.ops.append(op)
        self.ops.append(op)
        return op

    def _new(self, op: Op, shape: Shape, dtype: Any) -> Value:
        value = Value(self, op, tuple(int(n) for n in shape), np.dtype(dtype))
        op.outputs.append(value)
        return value

    # The operations

    def ufunc(self, function: np.ufunc, *operands: Any) -> Value:
        """Return function(*operands), elementwise."""
        if function is np.matmul:
            return self.matmul(*operands)
        if function.nout != 1 or function.signature is not None or len(operands) != function.nin:
            raise TraceError(f"numpy.{function.__name__} is not recorded")
        dtypes = [np.dtype(bool) if type(x) is bool else type(x) if type(x) in WEAK else _dtype(x) for x in operands]
        *loop, dtype = function.resolve_dtypes((*dtypes, None))
        values = tuple(map(self._operand, operands, loop))
        shape = np.broadcast_shapes(*(v.shape for v in values))
        splats = [v.splat for v in values]
        if all(s is not None for s in splats):
            return self.constant(function(*splats), dtype, shape)
        plain = dtype.kind == "f" and all(v.dtype == dtype for v in values)
        rewrites = self.rewrites.elementwise.get(function, ()) if plain else ()
        shorter = _first(rewrite(self, function, values, shape) for rewrite in rewrites)
        return self.record("ufunc", values, function, function, shape, dtype) if shorter is None else shorter

    def matmul(self, left: Any, right: Any) -> Value:
        """Return left @ right."""
        a, b = self.value(left), self.value(right)
        if not a.ndim or not b.ndim or a.shape[-1] != b.shape[-2 if b.ndim > 1 else -1]:
            raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit")
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        shape = (*stack, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ()))
        return self.record("matmul", (a, b), None, None, shape, np.result_type(a.dtype, b.dtype))

    def reduce(
        self, function: np.ufunc, operand: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None
    ) -> Value:
        """Return function.reduce over one axis, several, or all (None)."""
        x = self.value(operand)
        given = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int | np.integer) else axis
        axes = tuple(sorted(int(a) % x.ndim for a in given))
        if dtype is None:
            dtype = function.reduce(np.ones((1,) * x.ndim, x.dtype), axis=None).dtype
        shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes)
        if function is np.add and np.dtype(dtype) == x.dtype and x.dtype.kind == "f" and x.splat is None:
            wanted = Sum(axes, keepdims, shape)
            shorter = _first(rewrite(self, x, wanted) for rewrite in self.rewrites.sums)
            if shorter is not None:
                return shorter
        attributes = (function, axes, bool(keepdims))
        return self.record("reduce", (x,), attributes, attributes, shape, dtype)

    def view(self, operand: Any, key: Any, function: Callable[[NDArray], NDArray]) -> Value:
        """Return a view of the operand's memory: a new shape, order of axes, or a part."""
        x = self.value(operand)
        seen = function(np.broadcast_to(np.zeros((), x.dtype), x.shape))
        if x.splat is not None:
            return self.constant(x.splat, x.dtype, seen.shape)
        if seen.shape == x.shape and key[0] in ("reshape", "broadcast_to"):
            return x
        return self.record("view", (x,), key, (key[0], function), seen.shape, x.dtype)

    def reshape(self, operand: Any, shape: Sequence[int] | int, *, copy: bool | None = None) -> Value:  # noqa: ARG002
        """Return the same numbers in another shape, in C order."""
        x = self.value(operand)
        shape = np.broadcast_to(np.zeros((), bool), x.shape).reshape(shape).shape  # -1 replaced
        return self.view(x, ("reshape", shape), lambda a: a.reshape(shape))

    def where(self, condition: Any, a: Any, b: Any) -> Value:
        """Return a where the condition holds and b elsewhere."""
        c = self.value(condition)
        dtype = np.result_type(*(x if type(x) in WEAK else _dtype(x) for x in (a, b)))
        values = (c, self._operand(a, dtype), self._operand(b, dtype))
        shape = np.broadcast_shapes(*(v.shape for v in values))
        if c.dtype != bool:
            raise TraceError("where with a condition that is not boolean")
        return self.record("where", values, None, None, shape, dtype)

    def astype(self, operand: Any, dtype: Any, *, copy: bool = True, device: Any = None) -> Value:  # noqa: ARG002
        """Return the operand in another dtype."""
        x, dtype = self.value(operand), np.dtype(dtype)
        if x.dtype == dtype:
            return x
        if x.splat is not None:
            return self.constant(x.splat.astype(dtype), dtype, x.shape)
        return self.record("cast", (x,), None, None, x.shape, dtype)

    def join(self, operands: Sequence[Any], axis: int) -> Value:
        """Return arrays joined along an axis."""
        values = [self.value(x) for x in operands]
        axis %= values[0].ndim
        rest = {(*v.shape[:axis], *v.shape[axis + 1 :]) for v in values}
        if len(rest) != 1:
            raise ValueError("concat: shapes differ")
        length = sum(v.shape[axis] for v in values)
        shape = (*values[0].shape[:axis], length, *values[0].shape[axis + 1 :])
        dtype = np.result_type(*(v.dtype for v in values))
        return self.record("join", tuple(values), axis, axis, shape, dtype)

    def take(self, operand: Any, indices: Any, axis: int | None = None) -> Value:
        """Return the entries at the indices along an axis."""
        x, i = self.value(operand), self.value(indices)
        if axis is None:
            if x.ndim != 1:
                raise TraceError("take without an axis")
            axis = 0
        axis %= x.ndim
        shape = (*x.shape[:axis], *i.shape, *x.shape[axis + 1 :])
        return self.record("take", (x, i), axis, axis, shape, x.dtype)

    def call(self, function: Callable[..., Any], operands: Sequence[Any], **options: Any) -> Value:
        """Return function(*operands, **options), whose shape must depend on shapes alone."""
        values = tuple(self.value(x) for x in operands)
        sample = np.asarray(function(*(np.zeros(v.shape, v.dtype) for v in values), **options))
        key = (function, tuple(sorted(options.items())))
        return self.record("call", values, key, (function, options), sample.shape, sample.dtype)


def _dtype(operand: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = getattr(operand, "dtype", None) or np.asarray(operand).dtype
    return dtype


def _first(found: Iterable[Value | None]) -> Value | None:
    """Return the first that is there; a `Value` has no truth."""
    return next((value for value in found if value is not None), None)


def _refuse(name: str) -> Callable[..., Any]:
    def method(*_: Any, **__: Any) -> Any:
        raise TraceError(f"{name} of an array whose values are not known while it is recorded")

    return method


def _reduction(function: np.ufunc) -> Callable[..., Value]:
    return lambda self, axis=None, keepdims=False: self.graph.reduce(function, self, axis, keepdims)


@dataclass(eq=False, repr=False, slots=True)
class Value(NDArrayOperatorsMixin):
    """A symbolic array: shape and dtype are known, the numbers are not. The operators are NumPy's functions of it."""

    graph: Graph
    op: Op
    shape: Shape
    dtype: np.dtype[Any]
    device: ClassVar = "cpu"
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<{self.op.kind} {self.shape} {self.dtype}>"

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return self.graph.namespace

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def splat(self) -> NDArray | None:
        """The number that fills a constant, or None."""
        return self.op.attributes if self.op.kind == "constant" and not self.op.attributes.ndim else None

    def is_ufunc(self, *functions: np.ufunc) -> bool:
        """Tell whether this is the result of one of the functions."""
        return self.op.kind == "ufunc" and self.op.attributes in functions

    @property
    def T(self) -> Value:  # noqa: N802
        return self.graph.namespace.permute_dims(self, tuple(range(self.ndim))[::-1])  # type: ignore[no-any-return]

    @property
    def mT(self) -> Value:  # noqa: N802
        return self.graph.namespace.matrix_transpose(self)  # type: ignore[no-any-return]

    def astype(self, dtype: Any, copy: bool = True) -> Value:  # noqa: ARG002
        return self.graph.astype(self, dtype)

    def reshape(self, *shape: Any) -> Value:
        return self.graph.reshape(self, shape[0] if len(shape) == 1 else shape)

    sum, max, min = map(_reduction, (np.add, np.maximum, np.minimum))

    def mean(self, axis: Any = None, keepdims: bool = False) -> Value:
        return self.graph.namespace.mean(self, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]

    def copy(self) -> Value:
        """Return the array itself, as it never changes."""
        return self

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d array")
        return self.shape[0]

    def __iter__(self) -> Iterator[Value]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Value:
        keys = key if isinstance(key, tuple) else (key,)
        if not all(k is None or k is Ellipsis or isinstance(k, int | np.integer | slice) for k in keys):
            raise TraceError("an index that is not made of integers and slices")
        # With an ellipsis NumPy returns a view even where all axes are indexed.
        keys = keys if any(k is Ellipsis for k in keys) else (*keys, Ellipsis)
        name = tuple((k.start, k.stop, k.step) if isinstance(k, slice) else k for k in keys)
        return self.graph.view(self, ("index", name), lambda a: a[keys])

    def __array_ufunc__(self, function: np.ufunc, method: str, *operands: Any, **options: Any) -> Value:
        if method == "reduce" and len(operands) == 1 and set(options) <= {"axis", "keepdims"}:
            return self.graph.reduce(function, operands[0], options.get("axis", 0), options.get("keepdims", False))
        if method != "__call__" or options:
            raise TraceError(f"numpy.{function.__name__}.{method} with {sorted(options)}")
        return self.graph.ufunc(function, *operands)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        ours = self.graph.namespace.function(function.__name__)
        if ours is None:
            raise TraceError(f"numpy.{function.__name__} is not recorded")
        return ours(*args, **options)

    def __pow__(self, exponent: Any) -> Value:
        shortcuts = {2: np.square, 0.5: np.sqrt, 1: np.positive}
        if type(exponent) in (int, float) and exponent in shortcuts and self.dtype.kind == "f":
            return self.graph.ufunc(shortcuts[exponent], self)
        return self.graph.ufunc(np.power, self, exponent)

    __divmod__, __rdivmod__ = map(_refuse, ("divmod()", "divmod()"))
    __bool__, __float__, __int__, __index__ = map(_refuse, ("bool()", "float()", "int()", "the integer value"))
    __complex__, __array__, __setitem__ = map(_refuse, ("complex()", "the values", "assignment to a part"))
    item, tolist = map(_refuse, ("item()", "tolist()"))


# What is recorded never changes: `a += b` makes `a` the name of another array.
for _name in (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift", "matmul"
):  # fmt: skip
    setattr(Value, f"__i{_name}__", getattr(Value, f"__{_name}__"))
