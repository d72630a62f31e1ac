"""Bringing what users hand over, arrays of any library and lists of numbers, to the backend that computes."""

from typing import Any

import numpy as np

from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import Array, array_namespace, dtype_name, is_array, on_cuda
from vecprop.backend.selection import backend_for


def to_backend(backend: Backend, name: str, value: Any) -> Array:
    """Return array-like data as an array of the backend, in its own dtype, or raise an error that names it."""
    refuse_masked(name, value)
    if is_array(value):
        if array_namespace(value) is backend.xp:
            return value
        if on_cuda(value) and not backend.has_gpu:
            value = backend_for(array_namespace(value)).to_numpy(value)
    try:
        host = value if is_array(value) else np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be an array: {error}") from None
    if isinstance(host, np.ndarray) and host.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be real numbers, float32 or float64, got dtype {host.dtype}")
    return backend.asarray(host)


def refuse_masked(name: str, value: Any) -> None:
    """Raise ValueError for a masked array with masked values, which other arrays would take as they are."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"{name} has masked values: fill them, or leave out their examples")


def floating_name(array: Any) -> str:
    """Return "float32" or "float64", the dtype of an array, and "float32" for an array of any other type."""
    return "float64" if dtype_name(array) in ("float64", ">f8") else "float32"
