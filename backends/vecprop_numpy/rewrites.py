"""A table of shorter ways to the same result, tried in order when recording operations."""

import numpy as np

from vecprop_numpy.graph import Graph, Rewrites, Shape, Sum, Value


def _ways(function: np.ufunc, values: tuple[Value, ...]) -> tuple[tuple[Value, Value], ...]:
    """Return the operands in each order that gives the same result."""
    a, b = values
    return ((a, b), (b, a)) if function is np.multiply else ((a, b),)


def _absolute_of_negative(graph: Graph, function: np.ufunc, values: tuple[Value, ...], _: Shape) -> Value | None:
    """Replace |-x| by |x|."""
    (x,) = values
    return graph.ufunc(function, x.op.inputs[0]) if x.is_ufunc(np.negative) else None


def _one_left_out(_: Graph, function: np.ufunc, values: tuple[Value, ...], shape: Shape) -> Value | None:
    """Replace 1 x, x 1 and x / 1 by x."""
    for x, one in _ways(function, values):
        if one.splat is not None and one.splat == 1 and x.shape == shape:
            return x
    return None


def _smaller_factor_scaled(graph: Graph, function: np.ufunc, values: tuple[Value, ...], _: Shape) -> Value | None:
    """Replace (A B) / s by (A / s) B, if the smaller factor is smaller than the product."""
    for product, scale in _ways(function, values):
        one_each = scale.ndim == product.ndim and scale.shape[-2:] == (1, 1)
        one_number = one_each or (scale.size == 1 and scale.ndim <= 2)
        if product.op.kind != "matmul" or product.ndim < 2 or not one_number:
            continue
        left, right = product.op.inputs
        factor = left if left.size <= right.size else right
        if factor.size >= product.size or (one_each and factor.ndim != product.ndim):
            continue
        scaled = graph.ufunc(function, factor, scale)
        return graph.matmul(scaled, right) if factor is left else graph.matmul(left, scaled)
    return None


def _sign_of_a_product(graph: Graph, function: np.ufunc, values: tuple[Value, ...], _: Shape) -> Value | None:
    """Replace (-a) b by -(a b)."""
    a, b = values
    if not a.is_ufunc(np.negative) or b.splat is not None:
        return None
    return graph.ufunc(np.negative, graph.ufunc(function, a.op.inputs[0], b))


def _beside(number: float, x: Value, function: np.ufunc) -> Value | None:
    """Return a, if x is function(a, number) or function(number, a)."""
    for a, b in (x.op.inputs, x.op.inputs[::-1]) if x.is_ufunc(function) else ():
        if b.splat is not None and b.splat == number and a.shape == x.shape:
            return a
    return None


def _logistic_by_exp(graph: Graph, function: np.ufunc, values: tuple[Value, ...], _: Shape) -> Value | None:
    """Replace ½ (1 + tanh(½ x)) by eˣ / (1 + eˣ) in float32, where NumPy's exp takes half as long as its tanh."""
    for half, rest in _ways(function, values):
        t = _beside(1.0, rest, np.add) if half.splat is not None and half.splat == 0.5 else None
        x = _beside(0.5, t.op.inputs[0], np.multiply) if t is not None and t.is_ufunc(np.tanh) else None
        if x is not None and x.dtype == np.float32:
            e = graph.ufunc(np.exp, graph.ufunc(np.minimum, x, 87.0))  # e⁸⁹ overflows
            return graph.ufunc(np.divide, e, graph.ufunc(np.add, e, 1.0))
    return None


def _sum_of_a_sum(graph: Graph, x: Value, wanted: Sum) -> Value | None:
    """Replace a sum over some axes, then over others, by one sum."""
    if x.op.kind != "reduce" or x.op.attributes[0] is not np.add or x.op.attributes[2] or wanted.keepdims:
        return None
    (inner,), (_, first, _) = x.op.inputs, x.op.attributes
    kept = [i for i in range(inner.ndim) if i not in first]
    if inner.dtype != x.dtype:
        return None
    return graph.reduce(np.add, inner, (*first, *(kept[a] for a in wanted.axes)), False)


def _sign_of_a_sum(graph: Graph, x: Value, wanted: Sum) -> Value | None:
    """Replace Σ -a by -Σ a."""
    if not x.is_ufunc(np.negative) or x.op.inputs[0].dtype != x.dtype:
        return None
    return graph.ufunc(np.negative, graph.reduce(np.add, x.op.inputs[0], wanted.axes, wanted.keepdims))


def _factors(x: Value) -> tuple[Value, Value] | None:
    """Return the factors of a product or square, if all have its dtype."""
    if not x.is_ufunc(np.multiply, np.square) or any(v.dtype != x.dtype for v in x.op.inputs):
        return None
    a, b = x.op.inputs if len(x.op.inputs) == 2 else x.op.inputs * 2
    return a, b


def _number_out_of_a_sum(graph: Graph, x: Value, wanted: Sum) -> Value | None:
    """Replace Σ c a by c Σ a."""
    factors = _factors(x)
    for factor, other in (factors, factors[::-1]) if factors else ():
        if factor.splat is not None and other.shape == x.shape:
            return graph.ufunc(np.multiply, graph.reduce(np.add, other, wanted.axes, wanted.keepdims), factor)
    return None


def _sum_of_products(graph: Graph, x: Value, wanted: Sum) -> Value | None:
    """Replace Σ a b over the last axes by a scalar product."""
    factors, axes = _factors(x), wanted.axes
    if factors is None or any(v.shape != x.shape for v in factors) or wanted.keepdims or not axes:
        return None
    if axes != tuple(range(x.ndim - len(axes), x.ndim)) or len(axes) not in (x.ndim, 1, 2):
        return None
    return graph.record("dot", factors, len(axes), len(axes), wanted.shape, x.dtype)


REWRITES = Rewrites(
    elementwise={
        np.absolute: (_absolute_of_negative,),
        np.multiply: (_one_left_out, _smaller_factor_scaled, _sign_of_a_product, _logistic_by_exp),
        np.divide: (_one_left_out, _smaller_factor_scaled),
    },
    sums=(_sum_of_a_sum, _sign_of_a_sum, _number_out_of_a_sum, _sum_of_products),
)
