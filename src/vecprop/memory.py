"""Memory that has run out: one error for all libraries, which says what was wanted, what there is, and what fits."""

from __future__ import annotations

import functools
import inspect
import re
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, ParamSpec, TypeVar

from vecprop.backend import Backend
from vecprop.errors import OutOfMemoryError
from vecprop.main_memory import free_swap, map_of
from vecprop.namespaces import Array, array_namespace, is_array, is_concrete
from vecprop.selection import backend_for, get_backend
from vecprop.sparse import is_sparse

P = ParamSpec("P")
R = TypeVar("R")

# What a suggestion may take of what is free: a pass keeps every number and its gradient, and makes others on its way.
_SHARE = 4
_COPIES = 4  # of the data: as given, in the dtype and order of the backend, in the order of an epoch
_ALLOCATED = re.compile(r"llocat\w* ([\d,]+) ?(bytes|B\b)")
# From so many numbers on a pass is waited for: a library that computes later would run out of memory later, elsewhere.
_WORTH_WAITING = 1 << 24


class _Job(NamedTuple):
    """What did not fit."""

    net: Any
    backend: Backend
    m: int
    columns: int  # that went through at once
    itemsize: int
    networks: int
    blocks: bool  # whether it can be computed in blocks
    held: int  # examples that are in memory at a time, of X in files those of a window; 0 for the few of "auto"


def reports_out_of_memory(function: Callable[P, R]) -> Callable[P, R]:
    """Return `fit` or a method of `Network`, which raises OutOfMemoryError whatever library ran out of memory.

    What the failed call had made is freed first, so that the next one can have it also where the error is caught.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except OutOfMemoryError:
            raise
        except Exception as error:
            arguments = signature.bind(*args, **kwargs)
            arguments.apply_defaults()
            backend = _backend(arguments.arguments)
            if backend is None or not backend.is_out_of_memory(error):
                raise
            failed: Exception = error
        wanted = _wanted(failed)
        _release(failed, backend)
        raise _explained(function.__name__, arguments.arguments, backend, wanted, failed) from failed

    return call


def require_memory(net: Any, backend: Backend, columns: int, itemsize: int, networks: int = 1) -> None:
    """Raise MemoryError if the activations alone of one backward pass, on the CPU, take more than there is.

    A system that promises more memory than it has would not refuse them, but end the process.
    """
    least = sum(net.sizes[1:]) * columns * itemsize * networks
    if least < _WORTH_WAITING or backend.has_gpu:
        return
    free = backend.free_memory()
    if free is not None and least > free + free_swap():
        raise MemoryError(f"allocating {least} bytes for the activations")


def wait_if_large(backend: Backend, numbers: int, array: Array) -> None:
    """Wait for an array whose computation takes so many numbers, if that is a lot: its errors come now, not later."""
    if numbers >= _WORTH_WAITING and is_concrete(array):
        backend.synchronize(array)


def _backend(arguments: Mapping[str, Any]) -> Backend | None:
    """Return where it was computed; None if the arguments do not tell, as wrong ones."""
    if "backend" in arguments and not is_array(arguments.get("backend")):
        try:
            return get_backend(arguments["backend"])
        except Exception:  # noqa: BLE001 - it is the error that is being handled
            return None
    arrays = [a for layer in _layers(arguments) for a in layer if is_array(a)]
    return backend_for(array_namespace(arrays[0])) if arrays else None


def _layers(arguments: Mapping[str, Any]) -> list[Any]:
    params = arguments.get("params")
    return [p for p in params if isinstance(p, tuple | list)] if isinstance(params, tuple | list) else []


def _release(error: BaseException | None, backend: Backend) -> None:
    """Free what the frames of an error hold on to, and those of the errors before it."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    backend.release_memory()


def _wanted(error: BaseException) -> int | None:
    """Return the bytes of the array that could not be made, as the library's error has them."""
    shape, dtype = getattr(error, "shape", None), getattr(error, "dtype", None)  # NumPy's
    if isinstance(shape, tuple) and dtype is not None:
        return int(functools.reduce(lambda a, b: a * int(b), shape, int(dtype.itemsize)))
    found = _ALLOCATED.search(str(error))
    return int(found[1].replace(",", "")) if found else None


def _job(name: str, arguments: Mapping[str, Any], backend: Backend) -> _Job:
    """Return what was to be computed."""
    net = arguments.get("net") or arguments["self"]
    m = int(arguments["X"].shape[-1]) if hasattr(arguments["X"], "shape") else len(arguments["X"][0])
    typed = [arguments.get("dtype"), *(a.dtype for layer in _layers(arguments) for a in layer if hasattr(a, "dtype"))]
    typed = [t for t in typed if t is not None] or [getattr(arguments["X"], "dtype", "float32")]
    itemsize = 8 if str(typed[0]).endswith(("float64", "float64'>")) else 4
    columns = m
    batch = arguments.get("batch_size")
    if batch is not None:
        columns = min(m, 256 if batch == "auto" else int(batch))
    block = arguments.get("block_size") if name != "forward" else None
    if block == "auto":
        block = backend.auto_block(columns, net.numbers_per_example, itemsize)
    columns = columns if block is None else min(columns, int(block))
    normalized = arguments.get("batch_norm", False)
    blocks = name in ("fit", "gradients") and not (
        any(normalized) if isinstance(normalized, list | tuple) else normalized
    )
    held = m if name != "fit" or _is_in_memory(arguments["X"]) else min(m, _window(arguments))
    return _Job(net, backend, m, columns, itemsize, _networks(arguments), blocks, held)


def _is_in_memory(X: Any) -> bool:
    """Tell whether X is an array of numbers in memory, or lists of them."""
    return map_of(X) is None and (isinstance(X, list | tuple) or is_array(X) or is_sparse(X))


def _window(arguments: Mapping[str, Any]) -> int:
    window: Any = arguments.get("window")
    return int(window) if hasattr(window, "__index__") else 0


def _networks(arguments: Mapping[str, Any]) -> int:
    """Return K, the number of networks in the stack."""
    several: list[Any] = [arguments.get("seed"), arguments.get("l1"), arguments.get("l2")]
    several.append(getattr(arguments.get("optimizer"), "learning_rate", None))
    counts = [len(v) for v in several if hasattr(v, "__len__") and not isinstance(v, str)]
    counts += [int(a.shape[0]) for layer in _layers(arguments) for a in layer if getattr(a, "ndim", 2) == 3]
    return max(counts, default=1)


def _explained(
    name: str, arguments: Mapping[str, Any], backend: Backend, wanted: int | None, error: Exception
) -> OutOfMemoryError:
    """Return the error, with what fits."""
    try:
        job = _job(name, arguments, backend)
    except Exception:  # noqa: BLE001 - arguments too wrong to say more
        return OutOfMemoryError(f"out of memory: {error}", wanted=wanted, free=None, argument="", columns=0)
    free = backend.free_memory()
    each = 2 * job.net.numbers_per_example * job.itemsize * job.networks  # every number and its gradient
    least = each * job.columns
    said = f"{error}; " if type(error) is MemoryError and wanted is None and error.args else ""
    text = f"out of memory on {backend.name}: {said}{_asked(name, job, wanted, least)}; "
    text += "how much is free is not known. " if free is None else f"{_size(free)} is free now. "
    argument, columns, advice = _advice(name, job, free, each)
    return OutOfMemoryError(text + advice, wanted=wanted, free=free, argument=argument, columns=columns)


def _asked(name: str, job: _Job, wanted: int | None, least: int) -> str:
    """Say what was wanted."""
    what = f"{name} of {job.net} takes about {_size(least)} for {job.columns} examples at once"
    return what if wanted is None else f"{_size(wanted)} could not be had in one piece; {what}"


def _advice(name: str, job: _Job, free: int | None, each: int) -> tuple[str, int, str]:
    """Return the argument to change, its value, and the sentence."""
    least = job.backend.least_memory
    if free is not None and free < least:
        return "", 0, f"It cannot work with less than {_size(least)}: free memory, raise the limit, or use NumPy."
    parameters = 4 * job.net.parameter_count * job.itemsize * job.networks  # with gradients and what Adam remembers
    if free is not None and parameters > free:
        remedy = "train fewer networks at once" if job.networks > 1 else "make the layers smaller"
        return "", 0, f"The parameters, their gradients and the optimizer alone take {_size(parameters)}: {remedy}."
    data = _COPIES * (job.net.sizes[0] + job.net.sizes[-1]) * job.itemsize
    if name == "fit" and free is not None and data * job.held > free:
        columns = _power_of_two(free // (_SHARE * data))
        if job.held == job.m:
            text = f"X and Y and their copies on the way take up to {_size(data * job.m)}: give fit at most {columns} "
            return "X", columns, text + "examples at a time, and go on with state=result.state."
        if columns >= job.columns:
            text = f"A window and its copies on the way take up to {_size(data * job.held)}: "
            return "window", columns, text + f"window={columns} fits."
    # What is said to be free is not the last word: what has failed does not fit, and little less may not
    columns = _power_of_two(job.columns // 4 if free is None else min(free // (_SHARE * each), job.columns // 4))
    if columns == 0:
        return "", 0, "Not even one example fits: make the layers smaller, or free memory."
    if name == "fit" and not job.blocks:
        return "batch_size", columns, f"batch_size={columns} fits."
    if job.blocks:
        rest = f"; batch_size={columns} as well, in steps of its own" if name == "fit" else ""
        return "block_size", columns, f"block_size={columns} fits, and computes the same{rest}."
    return "X", columns, f"Give {name} at most {columns} columns of X at a time."


def _power_of_two(number: int) -> int:
    """Return the largest power of two that is not greater, 0 for 0.

    >>> [_power_of_two(n) for n in (0, 1, 5, 64)]
    [0, 1, 4, 64]
    """
    return 1 << number.bit_length() - 1 if number > 0 else 0


def _size(count: int) -> str:
    """Return bytes as text.

    >>> _size(3 * 2**29), _size(100)
    ('1.5 GiB', '100 bytes')
    """
    for unit, bits in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 1 << bits:
            return f"{count / (1 << bits):.3g} {unit}"
    return f"{count} bytes"
