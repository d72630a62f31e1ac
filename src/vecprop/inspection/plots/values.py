"""Checks of the arguments of pictures, which also bring arrays to the host."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.backend.contract import to_host
from vecprop.inspection.plots.figures import Floats
from vecprop.utils.arguments import is_sequence


def check_vector(values: Any, argument: str, of: str) -> npt.NDArray[Any]:
    """Return values (m,), at least one, as a NumPy array; `of` is "labels" or "numbers"."""
    if values is None or isinstance(values, str | bytes | dict | set):
        raise TypeError(f"{argument} must be a 1-d array or a list of {of}, got {type(values).__name__}")
    try:
        array = to_host(values)
    except ValueError as error:
        raise ValueError(f"{argument} must be a 1-d array or a list of {of}: {error}") from None
    if array.ndim != 1:
        hint = ""
        if array.ndim == 2 and array.shape[0] == 1:
            hint = f"; of one row (1, m) use {argument}[0]"
        elif array.ndim == 2:
            hint = f"; of one-hot columns (K, m) use {argument}.argmax(axis=0)" if of == "labels" else ""
        raise ValueError(f"{argument} must be a 1-d array of {of}, got shape {array.shape}{hint}")
    if not array.size:
        raise ValueError(f"{argument} must have at least one entry, got none")
    return array


def check_numbers(values: Any, argument: str) -> Floats:
    """Return finite real numbers (m,) in float64."""
    array = check_vector(values, argument, "numbers")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{argument} must be real numbers, got dtype {array.dtype}")
    array = array.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise ValueError(f"{argument} must be finite, got {array[bad[0]]} at place {bad[0]}")
    return array


def check_pair(
    true: Any, predicted: Any, check: Callable[[Any, str], npt.NDArray[Any]]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return true and predicted values, each checked, of one length."""
    true, predicted = check(true, "true"), check(predicted, "predicted")
    if true.size != predicted.size:
        raise ValueError(f"true and predicted must have the same length, got {true.size} and {predicted.size}")
    return true, predicted


def check_names(names: Any, count: int, of: str) -> tuple[str, ...]:
    """Return `count` names as text, or raise an error that says how many are wanted."""
    if not is_sequence(names):
        raise TypeError(f"names must be a sequence of {count} names, one for each {of}, got {names!r}")
    if not all(isinstance(name, str | int | float | np.generic) for name in names):
        raise TypeError(f"names must be a sequence of {count} names, each a text or a number, got {names!r}")
    texts = tuple(str(name) for name in names)
    if len(texts) != count:
        raise ValueError(f"names must have {count} names, one for each {of}, got {len(texts)}")
    return texts
