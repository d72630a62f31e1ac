"""Checks and conversions of arrays given to public functions, before the core computes.

X, Y and sample_weight must be of the parameters' library, and are converted to the parameters' dtype. Shapes and types
are always checked; values only where they can be read, so not inside `jax.jit` or `jax.grad`.
"""

import operator
from collections.abc import Sequence
from functools import reduce
from itertools import chain, pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np

from vecprop import propagation
from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import (
    FLOATING,
    Array,
    Namespace,
    Static,
    array_namespace,
    is_array,
    is_concrete,
    namespace_name,
)
from vecprop.backend.selection import backend_for
from vecprop.nn.losses import CrossEntropy, Loss
from vecprop.propagation import Layer, NetLike, Params
from vecprop.utils.arguments import check_number

# Columns of Y: checking makes arrays as large as the targets checked.
_CHECKED_AT_ONCE = 1 << 16
_EXACT_INTEGERS = {"float32": 2**24, "float64": 2**53}
_NUMPYS_DTYPES = {np.dtype(name): name for name in FLOATING}  # CuPy and JAX have them, too


class Sized(NetLike, Protocol):
    """A network whose layers have known sizes."""

    @property
    def sizes(self) -> Sequence[int]:
        """(n_0, …, n_L)."""


def dtype_name(dtype: Any, argument: str = "dtype") -> str:
    """Return "float32" or "float64" for a dtype given as a name, a type or a library's own object."""
    # NumPy reads names that begin with "a" as types of text, with a warning
    if isinstance(dtype, bytes) or (isinstance(dtype, str) and dtype.startswith("a")):
        raise ValueError(f"{argument} must be float32 or float64, got {dtype!r}")
    try:
        name = str(np.dtype(dtype).name)
    except (TypeError, ValueError):
        name = str(dtype).rpartition(".")[2]
    if name not in FLOATING:
        raise ValueError(f"{argument} must be float32 or float64, got {dtype!r}")
    return name


def array_dtype(xp: Namespace, array: Array) -> str | None:
    """Return "float32" or "float64", or None for any other dtype."""
    if isinstance(array.dtype, np.dtype):
        return _NUMPYS_DTYPES.get(array.dtype)
    return next((name for name in FLOATING if array.dtype == getattr(xp, name)), None)


class Checked(NamedTuple):
    """Checked parameters, and their namespace, dtype, stack and backend, for checking data."""

    params: Params
    xp: Namespace
    dtype: str
    stack: tuple[int, ...]
    backend: Backend


def check_params(net: Sized, params: object, argument: str = "params") -> Checked:
    """Check that params is (W_l, b_l) for each layer, all of one namespace, dtype and stack."""
    if not isinstance(params, tuple | list):
        raise TypeError(f"{argument} must be a tuple of (W, b), one per layer, got {type(params).__name__}")
    if len(params) != len(net.sizes) - 1:
        raise ValueError(
            f"{argument} must have one (W, b) for each of the {len(net.sizes) - 1} layers of {net}, got {len(params)}"
        )
    layers = as_layers(params, argument, "(W, b)")
    alike = _are_alike(net, layers)
    if alike:
        xp = array_namespace(layers[0].W)
    else:
        xp = _one_namespace({f"{n}{l}": a for l, layer in enumerate(layers, 1) for n, a in layer._asdict().items()})
    dtype = array_dtype(xp, layers[0].W)
    if dtype is None:
        raise TypeError(f"{argument}: W1 must be float32 or float64, got {layers[0].W.dtype}")
    stack = tuple(layers[0].W.shape[:-2])
    for l, (W, b) in enumerate(() if alike else layers, start=1):
        _check_parameter(xp, argument, f"W{l}", W, (*stack, net.sizes[l], net.sizes[l - 1]), dtype)
        _check_parameter(xp, argument, f"b{l}", b, (*stack, net.sizes[l], 1), dtype)
    return Checked(tuple(layers), xp, dtype, stack, backend_for(xp))


def as_layers(pairs: Sequence[Any], argument: str, wanted: str) -> list[Layer]:
    """Return pairs of arrays as layers, or raise TypeError that names the first that is none."""
    for l, layer in enumerate(pairs, start=1):
        if not isinstance(layer, tuple | list) or len(layer) != 2:
            raise TypeError(f"{argument}: layer {l} must be a pair {wanted}, got {type(layer).__name__}")
    return [layer if type(layer) is Layer else Layer(*layer) for layer in pairs]


def _are_alike(net: Sized, layers: Sequence[Layer]) -> bool:
    """Tell, in a tenth of the time of the other checks, whether arrays have one type and dtype and fit the sizes."""
    first = layers[0].W
    if not is_array(first):
        return False
    kind, dtype, stack, n_in = type(first), first.dtype, tuple(first.shape[:-2]), net.sizes[0]
    for (W, b), n in zip(layers, net.sizes[1:], strict=True):
        if not (type(W) is type(b) is kind and W.dtype == dtype == b.dtype):
            return False
        if W.shape != (*stack, n, n_in) or b.shape != (*stack, n, 1):
            return False
        n_in = n
    return True


def check_finite_params(checked: Checked, argument: str = "params") -> None:
    """Raise ValueError for parameters with NaN or infinity, where their values can be read.

    The methods of Network accept such parameters and compute with them, as a member of a stack may have diverged.
    """
    names = [f"{argument}: {name}{l}" for l in range(1, 1 + len(checked.params)) for name in Layer._fields]
    known = [(name, array) for name, array in zip(names, chain(*checked.params), strict=True) if is_concrete(array)]
    fine: Any = not known or checked.backend.compile(_are_finite)(tuple(array for _, array in known))
    for name, array in known if is_concrete(fine) and not fine else ():
        _require_finite(checked.xp, name, array, array, checked.dtype)


def check_one_network(
    net: Sized, params: object, argument: str = "params", instead: str = "result.best is one of them"
) -> Checked:
    """Return the checked, finite parameters of one network; of a stack, ValueError says what to do instead."""
    checked = check_params(net, params, argument)
    if checked.stack:
        raise ValueError(f"{argument} must be one network, got a stack {checked.stack}; {instead}")
    check_finite_params(checked, argument)
    return checked


def gradient_norms(grads: Sequence[tuple[Array, Array]]) -> Array:
    """Return ‖dW_l‖ for each layer, (L,), or (…, L) for a stack: the Frobenius norms (E36).

    Parameters
    ----------
    grads : sequence of (dW_l, db_l)
        As `Network.gradients` returns them.

    Examples
    --------
    >>> gradient_norms([(np.array([[3.0, 4.0]]), np.array([[1.0]]))]).tolist()
    [5.0]
    """
    if not isinstance(grads, tuple | list) or isinstance(grads, Layer):
        raise TypeError(f"grads must be a sequence of (dW, db), one per layer, got {type(grads).__name__}")
    if not grads:
        raise ValueError("grads must have one (dW, db) for each layer, got none")
    layers = as_layers(grads, "grads", "(dW, db)")
    arrays = {f"grads[{l}].{n}": a for l, layer in enumerate(layers) for n, a in layer._asdict().items()}
    xp = _one_namespace(arrays)
    for name, array in arrays.items():
        if array.ndim < 2 or not _is_kind(xp, array, "real floating"):
            raise ValueError(
                f"{name} must be a floating-point array (n, p), got {array.dtype} of shape {tuple(array.shape)}"
            )
    return propagation.gradient_norms(layers)


def _check_parameter(xp: Namespace, argument: str, name: str, value: Array, shape: tuple[int, ...], dtype: str) -> None:
    if array_dtype(xp, value) != dtype:
        raise TypeError(f"{argument}: {name} must have the dtype of W1, {dtype}, got {value.dtype}")
    if tuple(value.shape) != shape:
        hint = ""
        if name.startswith("b") and value.ndim == 1:
            hint = "; a bias is kept two-dimensional: use b.reshape(-1, 1)"
        elif name.startswith("W") and tuple(value.shape[-2:]) == shape[:-3:-1]:
            hint = "; this is the transpose: row j of W holds the weights into neuron j"
        raise ValueError(f"{argument}: {name} must have shape {shape}, got {tuple(value.shape)}{hint}")


def _one_namespace(arrays: dict[str, object]) -> Namespace:
    """Return the namespace of the named arrays, or raise TypeError that names the odd one out."""
    for name, array in arrays.items():
        if not is_array(array):
            raise TypeError(f"{name} must be an array, got {type(array).__name__}; use numpy.asarray({name})")
    spaces = {name: array_namespace(array) for name, array in arrays.items()}
    (first, xp), *rest = spaces.items()
    for name, space in rest:
        if space is not xp:
            ours, theirs = namespace_name(xp), namespace_name(space)
            raise TypeError(
                f"mixed array libraries: {first} is a {ours} array and {name} is a {theirs} array; move one of them, "
                f"for example with vecprop.get_backend({ours!r}).asarray({name})"
            )
    return xp


def check_inputs(net: Sized, checked: Checked, X: Any) -> Array:
    """Check X (…, n_0, m), and return it in the dtype of the parameters."""
    array = _check_layout(checked, "X", X, net.sizes[0])
    if is_concrete(array):
        with np.errstate(over="ignore", invalid="ignore"):
            fine = checked.backend.compile(_has_finite_sum)(array)
        if is_concrete(fine) and not fine:
            _require_finite(checked.xp, "X", X, array, checked.dtype)
    return array


def _are_finite(arrays: tuple[Array, ...]) -> Array:
    """Return (0-d) whether all numbers of some arrays are finite, by one program."""
    xp = array_namespace(arrays[0])
    return reduce(operator.and_, [xp.all(xp.isfinite(array)) for array in arrays])


def _has_finite_sum(array: Array) -> Array:
    """Return (0-d) whether the sum is finite: one pass, and NaN or infinity stay in the sum."""
    xp = array_namespace(array)
    return xp.isfinite(xp.sum(array))


def check_examples(
    net: Sized, checked: Checked, X: Any, Y: Any, sample_weight: Any = None
) -> tuple[Array, Array, Array | None]:
    """Check X, Y and sample_weight, and return them in the dtype of the parameters."""
    arrays = {"X": (X, _check_layout(checked, "X", X, net.sizes[0]))}
    arrays |= _target_layouts(net, checked, Y, sample_weight, arrays["X"][1].shape[-1])
    found = _check_values(net, checked, arrays)
    return found["X"], found["Y"], found.get("sample_weight")


def check_targets(net: Sized, checked: Checked, Y: Any, sample_weight: Any, m: int) -> tuple[Array, Array | None]:
    """Check Y and sample_weight as `check_examples` does, for m examples without their X."""
    found = _check_values(net, checked, _target_layouts(net, checked, Y, sample_weight, m))
    return found["Y"], found.get("sample_weight")


def _target_layouts(net: Sized, checked: Checked, Y: Any, sample_weight: Any, m: int) -> dict[str, tuple[Array, Array]]:
    classes = isinstance(net.loss, CrossEntropy) and net.sizes[-1] > 1
    if net.loss.networks is not None and checked.stack != (net.loss.networks,):
        raise ValueError(
            f"params must be a stack of {net.loss.networks} networks, as the loss is {net.loss}, got the stack "
            f"{checked.stack}"
        )
    arrays = {"Y": (Y, _check_layout(checked, "Y", Y, net.sizes[-1], m, classes))}
    if sample_weight is not None:
        _one_namespace({"W1": checked.params[0].W, "sample_weight": sample_weight})
        if tuple(sample_weight.shape) not in ((m,), (*checked.stack, m)):
            got = tuple(sample_weight.shape)
            raise ValueError(f"sample_weight must have shape ({m},), one weight per example, got {got}")
        arrays["sample_weight"] = (sample_weight, _as_floating(checked, "sample_weight", sample_weight))
    return arrays


def _check_layout(
    checked: Checked, name: str, value: object, rows: int, m: int | None = None, classes: bool = False
) -> Array:
    """Check all but the values of X or Y (…, rows, m), and return it in the parameters' dtype.

    With `classes` each row stands for a class, and the error for 1-d labels says how to convert them.
    """
    if type(value) is not type(checked.params[0].W):
        _one_namespace({"W1": checked.params[0].W, name: value})
    array: Array = value
    wanted = f"({rows}, {'m' if m is None else m})"
    shape = tuple(array.shape)
    if classes and shape in ((m,), (1, m), (m, 1)):
        hint = f"; these seem to be labels: use {_one_hot(checked.xp, name, array, rows)}"
        raise ValueError(f"{name} must have shape {wanted}, one class per row, got {shape}{hint}")
    if array.ndim < 2:
        hint = ""
        if rows == 1 and m in (None, *shape):
            hint = f"; use {name}.reshape(1, -1)"
        elif shape == (rows,) and m in (None, 1):
            hint = f"; this seems to be one example: use {name}.reshape(-1, 1)"
        raise ValueError(
            f"{name} must have rank 2, shape {wanted}, one example per column; got rank {array.ndim}, shape "
            f"{shape}{hint}"
        )
    if shape[-1] == 0:
        raise ValueError(f"{name} is empty: shape {shape}; at least one example is needed")
    if shape[-2] != rows or m not in (None, shape[-1]):
        flipped = shape[-1] == rows and m in (None, shape[-2])
        hint = f"; it seems to have the examples in rows: use {name}.T" if flipped else ""
        raise ValueError(f"{name} must have shape {wanted}, one example per column, got {shape}{hint}")
    if shape[:-2] not in ((), checked.stack):
        raise ValueError(
            f"{name} must have shape {wanted} or the stack of the parameters before it, {checked.stack}, got {shape}"
        )
    return _as_floating(checked, name, array)


def _one_hot(xp: Namespace, name: str, labels: Array, rows: int) -> str:
    """Return, for an error message, the expression that makes one row for each class from labels."""
    numbered = False
    if is_concrete(labels) and _is_kind(xp, labels, "integral"):
        fits = (xp.min(labels) >= 0) & (xp.max(labels) < rows)
        numbered = is_concrete(fits) and bool(fits)
    classes = f"numpy.arange({rows})" if numbered else f"numpy.unique({name})"
    return f"({name}.reshape(1, -1) == {classes}[:, None]) * 1.0"


def _as_floating(checked: Checked, name: str, array: Array) -> Array:
    """Convert real numbers to the parameters' dtype; integers too large to be exact are refused."""
    xp, dtype = checked.xp, checked.dtype
    if array_dtype(xp, array) == dtype:
        return array
    kinds = [k for k in ("bool", "integral", "real floating") if _is_kind(xp, array, k)]
    if not kinds:
        raise TypeError(f"{name} must be real numbers, float32 or float64, got dtype {array.dtype}")
    with checked.backend.scope("float64", "highest"):  # the given array may have 64 bits
        if kinds == ["integral"] and is_concrete(array) and is_concrete(most := xp.max(array)):
            exact = _EXACT_INTEGERS[dtype]
            if int(most) > exact or int(xp.min(array)) < -exact:
                raise ValueError(
                    f"{name} holds integers beyond ±{exact}, which {dtype} cannot hold exactly; convert "
                    f"{name} yourself or use parameters in float64"
                )
        return xp.astype(array, getattr(xp, dtype))


def _is_kind(xp: Namespace, array: Array, kind: str) -> bool:
    try:
        return bool(xp.isdtype(array.dtype, kind))
    except (TypeError, ValueError):  # a dtype that the standard does not know, such as object or text
        return False


def _check_values(net: Sized, checked: Checked, arrays: dict[str, tuple[Array, Array]]) -> dict[str, Array]:
    """Return name -> array from name -> (as given, in the parameters' dtype), or raise ValueError if a value is wrong.

    One compiled check of all arrays waits for a device only once; they are examined one by one only if it fails, as it
    also does where the sum of finite numbers is too large.
    """
    found = {name: array for name, (_, array) in arrays.items()}
    if not all(map(is_concrete, found.values())):
        return found
    X, Y, w = found.get("X"), found["Y"], found.get("sample_weight")
    many = Y.shape[-1] > _CHECKED_AT_ONCE
    good = checked.backend.compile(_values_are_good)
    with np.errstate(over="ignore", invalid="ignore"):
        fine = (many and X is None and w is None) or good(net.loss, X, None if many else Y, w)
    if not is_concrete(fine):
        return found
    if fine and many:  # some columns at a time
        ends = [*range(0, Y.shape[-1], _CHECKED_AT_ONCE), Y.shape[-1]]
        fine = all(good(net.loss, part, part, None) for part in (Y[..., a:b] for a, b in pairwise(ends)))
    if fine:
        return found
    xp = checked.xp
    for name, (given, array) in arrays.items():
        _require_finite(xp, name, given, array, checked.dtype)
    if not net.loss.valid_targets(xp, Y):
        raise ValueError(net.loss.describe_invalid(xp, Y))
    if w is not None:
        if xp.min(w) < 0:
            raise ValueError(f"sample_weight must be >= 0, got {float(xp.min(w)):g}")
        with np.errstate(over="ignore"):
            total = xp.sum(w, axis=-1)
        check_total_weight(xp, total, checked.dtype)
    return found


def check_total_weight(xp: Namespace, total: Array, dtype: str) -> None:
    """Raise ValueError for sums of weights that are 0, or too large or too small to divide by."""
    if not xp.all(total > 0):
        raise ValueError("sample_weight must not be all zero: no example would count")
    if not _is_ordinary(xp, total, dtype):
        raise ValueError(
            f"sample_weight must have a sum of ordinary size for {dtype}, got {float(xp.max(total)):g}; multiply the "
            "weights by a number, which changes nothing where there is no penalty"
        )


def _values_are_good(loss: Static[Loss], X: Array | None, Y: Array | None, w: Array | None) -> Array:
    """Return (0-d) whether X has a finite sum, Y fits the loss, and w is ≥ 0 with an ordinary sum."""
    xp = array_namespace(next(a for a in (X, Y, w) if a is not None))
    good: Array = True if X is None else _has_finite_sum(X)
    if Y is not None:
        good = loss.valid_targets(xp, Y) & good
    if w is not None:
        good = good & (xp.min(w) >= 0) & _is_ordinary(xp, xp.sum(w, axis=-1), array_dtype(xp, w))
    return good


def _is_ordinary(xp: Namespace, total: Array, dtype: str | None) -> Array:
    """Return (0-d) whether sums of weights are finite, and so large that shares of them are not rounded to 0."""
    info = np.finfo(np.dtype(dtype))
    return xp.all((total >= float(info.smallest_normal) / float(info.eps)) & (total <= float(info.max)))


def _require_finite(xp: Namespace, name: str, given: Array, array: Array, dtype: str) -> None:
    finite = xp.isfinite(array)
    if xp.all(finite):
        return
    if _is_kind(xp, given, "real floating") and xp.all(xp.isfinite(given)):
        raise ValueError(f"{name} holds values too large for {dtype}, the dtype of the parameters; use float64")
    count = int(xp.sum(xp.astype(~finite, xp.int32)))
    first = int(xp.argmax(xp.reshape(xp.astype(~finite, xp.int32), (-1,))))
    place = tuple(int(i) for i in np.unravel_index(first, tuple(array.shape)))
    raise ValueError(
        f"{name} must be finite, got {count} NaN or infinite value{'s' if count > 1 else ''}, the first at {place}"
    )


def check_l2(l2: object) -> float | None:
    """Return λ (E32), or None for 0, so that no penalty is computed."""
    return check_number(l2, "l2") or None
