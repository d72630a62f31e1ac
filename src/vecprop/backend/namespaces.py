"""What the core asks of an array before it computes: its namespace, its kind, whether its values can be read.

The core computes in the namespace of the arrays it is given (any namespace of the Python array API standard). Nothing
here imports an array library: `array_api_compat` looks only at those already loaded.
"""

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from inspect import signature, unwrap
from typing import Annotated, Any, TypeAlias, TypeVar

import array_api_compat

FLOATING = ("float32", "float64")  # the dtypes that are computed in

Array: TypeAlias = Any
Namespace: TypeAlias = Any

# Types of arrays with their namespaces, which backends enter: a look here takes a fifth of array_api_compat's time
NAMESPACES: dict[type, Namespace] = {}

# How a backend may treat an argument of a function that it compiles, said by the type in the function's signature
T = TypeVar("T")
Static = Annotated[T, "Static"]  # no array: a hashable value, for each of which the function is compiled
Bound = Annotated[T, "Bound"]  # the very same arrays in every call: the data
Donated = Annotated[T, "Donated"]  # not used again after the call, so that its memory may be


@lru_cache(maxsize=256)
def marked(function: Callable[..., Any], mark: str) -> tuple[int, ...]:
    """Return the positions of a function's parameters whose type is marked as "Static", "Bound" or "Donated".

    >>> def scaled(factor: Static[int], x: Array) -> Array: ...
    >>> marked(scaled, "Static"), marked(scaled, "Bound")
    ((0,), ())
    """
    names = getattr(unwrap(function), "__globals__", {})

    def is_marked(kind: Any) -> bool:
        kind = names.get(kind, kind) if isinstance(kind, str) else kind  # a string that is the name of a type
        return kind.startswith(f"{mark}[") if isinstance(kind, str) else mark in getattr(kind, "__metadata__", ())

    parameters = signature(function).parameters.values()
    return tuple(i for i, parameter in enumerate(parameters) if is_marked(parameter.annotation))


def array_namespace(*arrays: Array) -> Namespace:
    """Return the one namespace all the arrays belong to; Python scalars and None are ignored.

    NumPy's is NumPy, which follows the standard; that of `array_api_compat` takes 0.1 s to import.
    """
    known = NAMESPACES.get(type(arrays[0])) if len(arrays) == 1 else None
    if known is None or arrays[0].dtype.kind == "V":  # JAX's gradient with respect to integers is an array of NumPy
        own = any(map(array_api_compat.is_numpy_array, arrays))
        return array_api_compat.array_namespace(*arrays, use_compat=False if own else None)
    return known


def is_array(value: object) -> bool:
    """Tell whether a value is an array of some namespace; NumPy scalars, lists and data frames are not."""
    try:
        return bool(array_api_compat.is_array_api_obj(value)) and hasattr(value, "ndim")
    except AttributeError:  # of a library that another thread is importing
        return type(value) in NAMESPACES


def namespace_name(xp: Namespace) -> str:
    """Return the top name of a namespace: 'numpy', 'cupy', 'jax', 'array_api_strict', ..."""
    parts = str(xp.__name__).split(".")
    return parts[1] if parts[0] == "array_api_compat" else parts[0]


def is_concrete(array: Array) -> bool:
    """Tell whether the values of an array can be looked at now: not inside `jax.jit`, `jax.grad` or `jax.vmap`.

    What is computed inside `jax.jit` from an array of outside cannot, even though the array itself can.
    """
    tracer = getattr(sys.modules.get("jax.core"), "Tracer", None)  # None also while another thread imports JAX
    return tracer is None or not isinstance(array, tracer)


def on_cuda(value: Any) -> bool:
    """Tell whether an array lies in the memory of an NVIDIA GPU, whatever library it belongs to."""
    device = getattr(value, "__dlpack_device__", None)
    return device is not None and int(device()[0]) == 2  # kDLCUDA


def share(values: Array, from_dlpack: Callable[[Array], Array]) -> Array:
    """Return an array of another library on the same device: not copied, unless it is cut or strided and may not be.

    >>> import numpy as np
    >>> share(np.arange(4)[::2], np.from_dlpack).tolist()
    [0, 2]
    """
    if hasattr(values, "detach"):  # PyTorch hands over no tensor that requires a gradient
        values = values.detach()
    try:
        return from_dlpack(values)
    except RuntimeError as error:  # JAX, of memory with gaps
        if "UNIMPLEMENTED" not in str(error):
            raise
    return from_dlpack(array_namespace(values).asarray(values, copy=True))


def dtype_name(array: Array) -> str:
    """Return the name of an array's dtype, "float32" in every library; "" if it has none."""
    return str(getattr(array, "dtype", "")).rpartition(".")[2]


def device_of(array: Array) -> dict[str, Any]:
    """Return {"device": …} for a function that makes an array beside this one; {} where there is no choice.

    NumPy has one device, and JAX puts what is made while it compiles where it is needed.
    """
    if namespace_name(array_namespace(array)) in ("numpy", "jax"):
        return {}
    return {"device": array_api_compat.device(array)}


def joined(xp: Namespace, parts: Sequence[Array], axis: int) -> Array:
    """Return arrays joined along an axis, eight at once: CuPy would bring the addresses of more to the device.

    >>> import numpy as np
    >>> joined(np, [np.full(1, k) for k in range(20)], axis=0).tolist() == list(range(20))
    True
    """
    while len(parts) > 8:
        parts = [joined(xp, parts[i : i + 8], axis) for i in range(0, len(parts), 8)]
    return parts[0] if len(parts) == 1 else xp.concat(list(parts), axis=axis)


def is_complex(xp: Namespace, array: Array) -> bool:
    """Tell whether the array is complex, as it is in a complex-step derivative (E40) and nowhere else."""
    return bool(xp.isdtype(array.dtype, "complex floating"))


def real_part(xp: Namespace, array: Array) -> Array:
    """Return the real part; a real array is its own.

    The functions with a kink choose their branch by it, so that a complex step differentiates the branch taken.
    """
    return xp.real(array) if is_complex(xp, array) else array


def sign(xp: Namespace, array: Array) -> Array:
    """Return -1, 0 or 1 by the sign of each entry, and NaN of NaN.

    `xp.sign` of CuPy would wait for the device.

    >>> import numpy as np
    >>> sign(np, np.array([-2.0, -0.0, 0.0, 3.0, np.nan])).tolist()
    [-1.0, 0.0, 0.0, 1.0, nan]
    """
    signs = xp.astype(array > 0, array.dtype) - xp.astype(array < 0, array.dtype)
    return xp.where(xp.isnan(array), array, signs)
