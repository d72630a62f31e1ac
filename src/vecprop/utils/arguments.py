"""Checks of plain arguments: each returns the value or raises an error that names the argument."""

import math
import operator
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from vecprop.utils.errors import unknown_name

Name = TypeVar("Name", bound=str)

# 8 TiB of float64: a request for more numbers is taken for a mistake.
MOST_NUMBERS = 2**40


def check_integer(value: object, argument: str, least: int, wanted: str = "") -> int:
    """Return the value as an int; TypeError if it is not an integer, ValueError if it is below `least`."""
    message = f"{argument} must be {wanted or f'an integer of at least {least}'}, got {value!r}"
    if isinstance(value, bool | np.bool_):
        raise TypeError(message)
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(message) from None
    if number < least:
        raise ValueError(message)
    return number


def check_positive_integer(value: object, argument: str) -> int:
    """Return the value as a positive int."""
    return check_integer(value, argument, 1, "a positive integer")


def check_count(value: Any, argument: str, *, none: bool = True) -> Any:
    """Return the value if it is a positive int, "auto" or, where that has a meaning, None."""
    if (value is None and none) or (isinstance(value, str) and value == "auto"):
        return value
    if isinstance(value, str):
        others = ', "auto" or None' if none else ' or "auto"'
        raise ValueError(f"{argument} must be a positive integer{others}, got {value!r}")
    return check_positive_integer(value, argument)


def check_real(value: object, argument: str, wanted: str, holds: Callable[[float], bool]) -> float:
    """Return the value as a finite float that `holds`, else ValueError; TypeError if it is not a number."""
    message = f"{argument} must be a finite number {wanted}, got {value!r}"
    kind = getattr(getattr(value, "dtype", None), "kind", "f")  # of NumPy's arrays and numbers
    if isinstance(value, bool | np.bool_ | str | complex) or kind not in "biufO":
        raise TypeError(message)
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:  # an integer beyond the largest float
        raise ValueError(message) from None
    except (TypeError, ValueError):
        raise TypeError(message) from None
    if not math.isfinite(number) or not holds(number):
        raise ValueError(message)
    return number


def check_share(value: object, argument: str) -> float:
    """Return the value as a float in [0, 1); errors as `check_real`."""
    return check_real(value, argument, "in [0, 1)", lambda x: 0 <= x < 1)


def check_number(value: object, argument: str, *, zero: bool = True) -> float:
    """Return the value as a finite float ≥ 0 (> 0 unless `zero`)."""
    if zero:
        return check_real(value, argument, ">= 0", lambda x: x >= 0)
    return check_real(value, argument, "> 0", lambda x: x > 0)


def is_several(value: object) -> bool:
    """Tell whether a value is a sequence of values, one for each network."""
    return (isinstance(value, Sequence) and not isinstance(value, str)) or getattr(value, "ndim", 0) == 1


def one_or_each(given: Any, argument: str, check: Callable[[Any, str], float]) -> float | tuple[float, ...]:
    """Return the checked value, or of a sequence the tuple of checked values, one for each network."""
    if not is_several(given):
        return check(given, argument)
    if len(given) == 0:
        raise ValueError(f"{argument} must hold at least one value, got an empty sequence: K = 0 networks")
    return tuple(check(value, f"{argument}[{k}]") for k, value in enumerate(given))


def check_flag(value: object, argument: str) -> bool:
    """Return the value if it is True or False, else raise TypeError."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{argument} must be True or False, got {value!r}")
    return bool(value)


def check_size(numbers: int, argument: str, value: object) -> None:
    """Raise ValueError if the argument asks for more numbers than any memory holds."""
    if numbers > MOST_NUMBERS:
        count = f"{numbers:.3g}" if numbers < 10**300 else "more than 1e+300"
        text = repr(value)
        text = text if len(text) <= 60 else f"{text[:56]} ..."
        raise ValueError(f"{argument} is too large: {count} numbers do not fit into any memory, got {text}")


def check_choice(value: object, argument: str, known: Collection[Name]) -> Name:
    """Return the value if it is a known name, else raise ValueError that suggests the nearest one."""
    for name in known:
        if isinstance(value, str) and value == name:
            return name
    raise ValueError(f"{argument}: {unknown_name(argument, value, known)}")


def check_text(value: object, argument: str) -> str:
    """Return the value if it is text, else raise TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be text, got {value!r}")
    return value


def check_texts(values: object, argument: str, of: str = "names") -> tuple[str, ...]:
    """Return a sequence of texts as a tuple, else raise TypeError."""
    several = isinstance(values, Sequence | set | frozenset) and not isinstance(values, str | bytes)
    if not several or not all(isinstance(text, str) for text in values):  # type: ignore[attr-defined]
        raise TypeError(f"{argument} must be a sequence of {of}, got {values!r}")
    return tuple(values)  # type: ignore[arg-type]


def is_sequence(value: object) -> bool:
    """Tell whether a value can be iterated over, as a list or an array, but is not text or bytes.

    >>> is_sequence([1]), is_sequence(np.zeros(2)), is_sequence(np.zeros(())), is_sequence("ab"), is_sequence(b"ab")
    (True, True, False, False, False)
    """
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes) and getattr(value, "ndim", 1) > 0


def check_path(value: object, argument: str = "path") -> str:
    """Return a path as text, else raise TypeError."""
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str):
        raise TypeError(f"{argument} must be text or a pathlib.Path, got {value!r}")
    if "\0" in path:
        raise ValueError(f"{argument} must have no zero character, got {value!r}")
    return path


def check_function(value: Any, argument: str, of: str) -> Any:
    """Return the value if it can be called, else raise TypeError."""
    if not callable(value):
        raise TypeError(f"{argument} must be a function of {of}, got {value!r}")
    return value


def check_instance(value: Any, kind: Any, argument: str, wanted: str) -> Any:
    """Return the value if it is an instance of `kind`, a type or a union, else raise TypeError."""
    if not isinstance(value, kind):
        raise TypeError(f"{argument} must be {wanted}, got {type(value).__name__}")
    return value


def check_annotated(settings: Any) -> None:
    """Check the fields of a data class as they are annotated; None needs no check where it is the default."""
    for f in fields(settings):
        for check in getattr(f.type, "__metadata__", ()):
            if (value := getattr(settings, f.name)) is not None or f.default is not None:
                check(value, f.name)
