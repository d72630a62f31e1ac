"""Error types of vecprop, its warnings, and wording that messages share."""

import math
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from importlib import import_module
from typing import Any


class VecpropError(Exception):
    """Base of every error type that vecprop defines; what is known beside the message is in its attributes."""

    def __init__(self, message: object = "", **known: Any) -> None:
        super().__init__(message)
        vars(self).update(known)


class BackendError(VecpropError):
    """A backend cannot be used; the subclasses say why."""


class UnknownBackendError(BackendError, ValueError):
    """No backend has this name."""


class BackendNotInstalledError(BackendError, ImportError):
    """A backend's array library is not installed; the message has the install command."""


class BackendUnusableError(BackendError, RuntimeError):
    """A backend's array library is installed but does not work; the message has the reason."""


class DivergenceError(VecpropError, ArithmeticError):
    """Training produced a cost or a gradient that is not finite.

    Attributes
    ----------
    epoch, step : int
        Where it happened, both counted from 1; the step is counted inside the epoch.
    layer : int
        The layer whose gradient was not finite, or the largest just before the cost was not.
    gradient_norm : float
        The largest ‖dW_l‖ of all layers at the last step where all were finite, or at this step if there is none.
    params : tuple of Layer
        The parameters of the last good epoch, all finite.
    state : TrainingState
        The state after that epoch; `fit(state=error.state)` continues from it.
    history : dict
        The history of the finished epochs.
    advice : str
        What went wrong, and what to change, in the words of `fit`.
    """

    advice: str
    epoch: int
    step: int
    layer: int
    gradient_norm: float = math.nan
    params: Any
    state: Any
    history: dict[str, list[Any]]


class OutOfMemoryError(VecpropError, MemoryError):
    """Memory has run out, on any backend; what the failed call had allocated is freed.

    `fit(…, **{error.argument: error.columns})` fits into memory, unless `argument` is "X" or "".

    Attributes
    ----------
    wanted : int or None
        Bytes that could not be allocated in one piece, if the library tells.
    free : int or None
        Bytes that are free now, if known.
    argument : str
        The argument to change: "block_size", which computes the same; "batch_size"; "window"; "X", which may have
        `columns` columns; "" if no change of an argument is enough.
    columns : int
        The value that fits, 0 if none does.
    """

    wanted: int | None
    free: int | None
    argument: str
    columns: int


class ModelFileError(VecpropError, ValueError):
    """`load` cannot read a file: it is no model, truncated, altered, or of a newer format."""


class CallbackError(VecpropError, RuntimeError):
    """A callback of `fit` raised an error, which is `__cause__`; the training so far is kept.

    Attributes
    ----------
    state : TrainingState
        The state after the epoch in which the callback was called; `fit(state=error.state)` continues from it.
    history : dict
        The history up to that epoch.
    """

    state: Any
    history: dict[str, list[Any]]


class ProcessLostError(VecpropError, RuntimeError):
    """A process of a joint training has ended or cannot be reached; all processes must restart."""


_kept: ContextVar[list[str] | None] = ContextVar("_kept", default=None)


def warn(message: str, category: type[Warning], stacklevel: int) -> None:
    """Warn as `warnings.warn` does, or inside `warnings_kept` keep the message."""
    if (kept := _kept.get()) is None:
        warnings.warn(message, category, stacklevel=stacklevel + 1)
    else:
        kept.append(message)


@contextmanager
def warnings_kept() -> Iterator[list[str]]:
    """Keep what vecprop warns of meanwhile, in this context alone; Python's own filters hold in all threads.

    >>> with warnings_kept() as found:
    ...     warn("it has not converged", UserWarning, 1)
    >>> found
    ['it has not converged']
    """
    found: list[str] = []
    token = _kept.set(found)
    try:
        yield found
    finally:
        _kept.reset(token)


def one_line(text: object, most: int = 300) -> str:
    r"""Return foreign text for a message: on one line, escaped where unprintable, not too long.

    >>> print(one_line("a\nb\x1b[31m"), one_line("x" * 9, most=3))
    a\nb\x1b[31m xxx…
    """
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text)[: most + 1])
    return line if len(line) <= most else f"{line[:most]}…"


def shown(value: object) -> str:
    """Return a value as text of at most 80 characters, of a fingerprint the first ones, for a message.

    >>> shown([1, 2]), len(shown(list(range(100)))), shown("0123abcd" * 8)
    ('[1, 2]', 80, "'0123abcd…'")
    """
    text = re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1…", repr(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


def imported(name: str, how_to_get_it: str) -> Any:
    """Return a module that is not everywhere, or raise ImportError with this text, `{}` in it being Python's reason."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(how_to_get_it.format(error)) from error


# Names in scikit-learn, Keras and PyTorch, and ours.
_ELSEWHERE = {
    "linear": "identity", "logistic": "sigmoid", "swish": "silu", "lrelu": "leaky_relu", "mse": "mean_squared_error",
    "mae": "mean_absolute_error", "l1": "absolute_error", "l2": "squared_error", "bce": "binary_cross_entropy",
    "log_loss": "binary_cross_entropy", "nll": "cross_entropy", "pinball": "quantile", "acc": "accuracy",
    "kaiming": "he", "he_normal": "he", "glorot_normal": "glorot", "cpu": "numpy", "cuda": "cupy", "gpu": "cupy",
}  # fmt: skip


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the error message for an unknown name, with the nearest known one, or what others call by that name."""
    names, said = sorted(known), str(name).lower()
    near = get_close_matches(_ELSEWHERE.get(said, ""), names, n=1) or get_close_matches(said, names, n=1, cutoff=0.5)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r}:{hint} Known: {', '.join(names)}"
