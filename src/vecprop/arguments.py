"""Checks of plain arguments, integers and numbers: each returns the value or raises an error that names it."""

import math
import operator
from collections.abc import Callable

import numpy as np


def check_integer(value: object, argument: str, least: int, wanted: str = "") -> int:
    """Return the value as an int of at least `least`: TypeError if it is no integer, ValueError if it is smaller.

    >>> check_integer(3, "arms", least=2)
    3
    """
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
    """Return the value as a positive int.

    >>> check_positive_integer(0, "epochs")
    Traceback (most recent call last):
    ValueError: epochs must be a positive integer, got 0
    """
    return check_integer(value, argument, 1, "a positive integer")


def check_real(value: object, argument: str, wanted: str, holds: Callable[[float], bool]) -> float:
    """Return the value as a finite float for which `holds`: TypeError if it is no number, ValueError if it is another.

    >>> check_real(1.5, "fraction", "in (0, 1)", lambda x: 0 < x < 1)
    Traceback (most recent call last):
    ValueError: fraction must be a finite number in (0, 1), got 1.5
    """
    message = f"{argument} must be a finite number {wanted}, got {value!r}"
    if isinstance(value, bool | np.bool_ | str | complex):
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


def check_number(value: object, argument: str, *, zero: bool = True) -> float:
    """Return the value as a finite float ≥ 0 (> 0 unless `zero`).

    >>> check_number(-1.0, "l2")
    Traceback (most recent call last):
    ValueError: l2 must be a finite number >= 0, got -1.0
    """
    if zero:
        return check_real(value, argument, ">= 0", lambda x: x >= 0)
    return check_real(value, argument, "> 0", lambda x: x > 0)


def check_flag(value: object, argument: str) -> bool:
    """Return the value if it is True or False, else raise TypeError.

    >>> check_flag(1, "nesterov")
    Traceback (most recent call last):
    TypeError: nesterov must be True or False, got 1
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{argument} must be True or False, got {value!r}")
    return bool(value)
