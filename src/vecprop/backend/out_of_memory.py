"""One error for memory that has run out: it says what was wanted, what is free, and what fits.

A call registers beforehand the bytes it takes (`require_memory`), as it alone knows what they are for.
"""

import functools
import re
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple, ParamSpec, TypeVar

from vecprop.backend.contract import Backend
from vecprop.backend.main_memory import free_swap
from vecprop.backend.namespaces import Array, is_concrete
from vecprop.utils.errors import OutOfMemoryError

P = ParamSpec("P")
R = TypeVar("R")

# A suggestion takes at most 1/_SHARE of free memory, as a pass also makes temporary arrays.
_SHARE = 4
_ALLOCATED = re.compile(r"llocat\w* ([\d,]+) ?(bytes|B\b)")
# A pass over more numbers than this is waited for: a library that computes later would run out of memory later,
# elsewhere.
_WORTH_WAITING = 1 << 24  # numbers
_WORTH_ASKING = 1 << 24  # bytes: for a pass that takes less it is not asked what is free


class Demand(NamedTuple):
    """The memory that a call takes, and how it can take less."""

    what: str  # the name of the call in the message
    each: int  # bytes for each column of a pass
    columns: int  # columns in one pass
    argument: str  # the argument that reduces the columns
    advice: str  # how to set it; {columns} is the number that fits
    fixed: int  # bytes that do not depend on the columns
    remedy: str  # what to do if `fixed` is too much
    example: int = 0  # bytes of one example, with all its copies
    held: int = 0  # examples in memory at once
    held_by: str = "X"  # "X": all examples; "window": those of one window
    fixed_for: str = "parameters, their gradients and the optimizer"


# What the innermost call of a decorated function has registered, with its backend: worked out only for an error.
_said: ContextVar[list[tuple[Backend, Callable[[], Demand]]]] = ContextVar("vecprop_memory")


def reports_out_of_memory(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function raise OutOfMemoryError, whichever library has run out of memory.

    What the failed call had allocated is freed first, so that a caller that catches the error can use this memory.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        said: list[tuple[Backend, Callable[[], Demand]]] = []
        before = _said.set(said)
        try:
            return function(*args, **kwargs)
        except OutOfMemoryError:
            raise
        except Exception as error:
            if not said or not said[-1][0].memory.ran_out(error):
                raise
            failed: Exception = error
        finally:
            _said.reset(before)
        wanted, (backend, demand) = _wanted(failed), said[-1]
        _release(failed, backend)
        raise _explained(demand(), backend, wanted, failed) from failed

    return call


def require_memory(backend: Backend, demand: Callable[[], Demand], least: int = 0) -> None:
    """Register what the running call takes; on a CPU, raise MemoryError if the least bytes to begin are not free.

    A system that overcommits memory would not refuse it, but end the process.
    """
    _said.get().append((backend, demand))
    if least < _WORTH_ASKING or backend.has_gpu:
        return
    free = backend.memory.free()
    if free is not None and least > free + free_swap():
        raise MemoryError(f"allocating {least} bytes for the activations")


def wait_if_large(backend: Backend, numbers: int, array: Array) -> None:
    """Wait for an array whose computation takes many numbers, so that it fails now, not later."""
    if numbers >= _WORTH_WAITING and is_concrete(array):
        backend.synchronize(array)


def columns_of(X: Any) -> int:
    """Return the number of columns of an X not yet checked, 0 if unknown.

    >>> columns_of([[1.0, 2.0]]), columns_of(None)
    (2, 0)
    """
    shape = getattr(X, "shape", None)
    if isinstance(shape, tuple) and shape and isinstance(shape[-1], int):
        return shape[-1]
    return len(X[0]) if isinstance(X, list | tuple) and X and hasattr(X[0], "__len__") else 0


def _release(error: BaseException | None, backend: Backend) -> None:
    """Free what the frames of an error and of the errors before it hold."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    backend.memory.release()


def _wanted(error: BaseException) -> int | None:
    """Return the bytes of the array that could not be made, if the library's error tells."""
    shape, dtype = getattr(error, "shape", None), getattr(error, "dtype", None)  # NumPy's
    if isinstance(shape, tuple) and dtype is not None:
        return int(functools.reduce(lambda a, b: a * int(b), shape, int(dtype.itemsize)))
    found = _ALLOCATED.search(str(error))
    return int(found[1].replace(",", "")) if found else None


def _explained(demand: Demand, backend: Backend, wanted: int | None, error: Exception) -> OutOfMemoryError:
    """Return the error, which says what fits."""
    free = backend.memory.free()
    text = f"out of memory on {backend.name}: "
    if wanted is not None:
        text += f"{sized(wanted)} could not be had in one piece; "
    elif type(error) is MemoryError and error.args:
        text += f"{error}; "
    text += f"{demand.what} takes about {sized(demand.each * demand.columns)} for {demand.columns} examples at once; "
    text += "how much is free is not known. " if free is None else f"{sized(free)} is free now. "
    argument, columns, advice = _advice(demand, free, backend.memory.least)
    return OutOfMemoryError(text + advice, wanted=wanted, free=free, argument=argument, columns=columns)


def _advice(demand: Demand, free: int | None, least: int) -> tuple[str, int, str]:
    """Return the argument to change, its value, and the advice in words."""
    if free is not None and free < least:
        return "", 0, f"It cannot work with less than {sized(least)}: free memory, raise the limit, or use NumPy."
    if free is not None and demand.fixed > free:
        taken = f"The {demand.fixed_for} alone take {sized(demand.fixed)}"
        return "", 0, f"{taken}: {demand.remedy}."
    if free is not None and demand.example * demand.held > free:
        columns, taken = _power_of_two(free // (_SHARE * demand.example)), sized(demand.example * demand.held)
        if demand.held_by == "X":
            text = f"X and Y and their copies on the way take up to {taken}: give fit at most {columns} "
            return "X", columns, text + "examples at a time, and go on with state=result.state."
        if columns >= demand.columns:
            text = f"A window and its copies on the way take up to {taken}: "
            return "window", columns, text + f"window={columns} fits."
    # Whatever is said to be free, the number of columns that failed does not fit, and slightly fewer may not either
    fewer = demand.columns // 4
    columns = _power_of_two(fewer if free is None else min(free // (_SHARE * demand.each), fewer))
    if columns == 0:
        return "", 0, "Not even one example fits: make the layers smaller, or free memory."
    return demand.argument, columns, demand.advice.format(columns=columns)


def _power_of_two(number: int) -> int:
    """Return the largest power of two up to a number, 0 for 0.

    >>> [_power_of_two(n) for n in (0, 1, 5, 64)]
    [0, 1, 4, 64]
    """
    return 1 << number.bit_length() - 1 if number > 0 else 0


def sized(count: int) -> str:
    """Return a number of bytes as text with its unit.

    >>> sized(3 * 2**29), sized(100)
    ('1.5 GiB', '100 bytes')
    """
    for unit, bits in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 1 << bits:
            return f"{count / (1 << bits):.3g} {unit}"
    return f"{count} bytes"
