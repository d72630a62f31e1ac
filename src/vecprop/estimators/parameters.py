"""The parameters of the estimators, scikit-learn's with its defaults and our own, and their checks.

They are fields of a data class, so that the constructor names each and only stores it, as scikit-learn requires.
`check_parameters` checks them when `fit` is called.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from vecprop.backend.selection import check_precision
from vecprop.nn.activations import ACTIVATIONS, Activation, get_activation, is_pair
from vecprop.nn.array_checks import dtype_name
from vecprop.nn.initializers import INITIALIZERS
from vecprop.training.checkpoint import check_every
from vecprop.training.optimizers import check_optimizer
from vecprop.training.schedules import check_schedule
from vecprop.utils.arguments import (
    check_count,
    check_flag,
    check_integer,
    check_number,
    check_positive_integer,
    check_real,
    check_share,
)
from vecprop.utils.errors import unknown_name

SOLVERS = ("adam", "lbfgs", "sgd")
LEARNING_RATES = ("adaptive", "constant", "invscaling")
SCALES = ("standard",)
# scikit-learn's names for activations, where ours differ
THEIR_NAMES = {"logistic": "sigmoid"}

# Of a parameter's value and its name: raises ValueError or TypeError unless the value can be used.
Check: TypeAlias = Callable[[Any, str], object]
positive: Check = partial(check_number, zero=False)
_momentum: Check = partial(check_real, wanted="in [0, 1]", holds=lambda x: 0 <= x <= 1)


def hidden_sizes(given: Any) -> tuple[int, ...]:
    """Return hidden_layer_sizes as a tuple; a single number is one layer.

    >>> hidden_sizes(50), hidden_sizes([20, 10]), hidden_sizes(())
    ((50,), (20, 10), ())
    """
    if isinstance(given, str) or (not hasattr(given, "__len__") and not hasattr(given, "__index__")):
        raise TypeError(f"hidden_layer_sizes must be a positive integer or a sequence of them, got {given!r}")
    if not hasattr(given, "__len__") or getattr(given, "ndim", 1) == 0:
        return (check_positive_integer(given, "hidden_layer_sizes"),)
    return tuple(check_positive_integer(n, f"hidden_layer_sizes[{l}]") for l, n in enumerate(given))


def activation_of(given: Any, argument: str = "activation") -> Activation:
    """Return the activation of scikit-learn's name or ours, or the given activation.

    >>> activation_of("logistic").name
    'sigmoid'
    """
    if isinstance(given, str):
        given = THEIR_NAMES.get(given, given)
        if given not in ACTIVATIONS:
            known = [*ACTIVATIONS, *THEIR_NAMES]
            raise ValueError(f"{argument}: {unknown_name('activation', given, known)}")
    return get_activation(given, argument)


def hidden_activations(given: Any, count: int) -> tuple[Activation, ...]:
    """Return one activation for each of `count` hidden layers, from one for all or one for each."""
    if isinstance(given, str | Activation) or is_pair(given) or not isinstance(given, Sequence):
        return (activation_of(given),) * count
    if len(given) != count:
        raise ValueError(
            f"activation must be one for all or one for each of the {count} hidden layers, got {len(given)}: {given!r}"
        )
    return tuple(activation_of(g, f"activation[{l}]") for l, g in enumerate(given))


def check_choice(value: Any, argument: str, known: Sequence[str]) -> str:
    """Return the value if it is one of the known names, else raise an error that lists them."""
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be one of {', '.join(map(repr, known))}, got {value!r}")
    if value not in known:
        raise ValueError(f"{argument}: {unknown_name(argument, value, known)}")
    return value


def callbacks_of(given: Any) -> list[Any]:
    """Return the callbacks of one function, of a sequence of them, or of None."""
    return [] if given is None else list(given) if isinstance(given, Sequence) else [given]


def check_parameters(estimator: Any) -> None:
    """Check the parameters; ValueError or TypeError names the first wrong one and what is wanted.

    Dropout and batch_norm are checked with the network, backend and random_state where they are used.
    """
    hidden_activations(estimator.activation, len(hidden_sizes(estimator.hidden_layer_sizes)))
    for parameter in fields(estimator):
        if "check" in parameter.metadata:
            parameter.metadata["check"](getattr(estimator, parameter.name), parameter.name)


def optional(check: Check) -> Check:
    """Return a check that lets None pass."""
    return lambda value, argument: None if value is None else check(value, argument)


def one_of(known: Sequence[str]) -> Check:
    """Return a check for these names."""
    return lambda value, argument: check_choice(value, argument, known)


def _name_or_object(known: Sequence[str], check: Callable[[Any], Any], otherwise: str, hint: str = "") -> Check:
    """Return the check of a name, or of an object of the engine."""

    def check_either(value: Any, argument: str) -> None:
        try:
            if isinstance(value, str):
                check_choice(value, argument, known)
            else:
                check(() if value is None else value)
        except TypeError:
            names = ", ".join(map(repr, known))
            raise TypeError(f"{argument} must be one of {names} or {otherwise}, got {value!r}{hint}") from None

    return check_either


_solver = _name_or_object(SOLVERS, check_optimizer, "an optimizer such as vecprop.AdamW(0.001)")
_learning_rate = _name_or_object(
    LEARNING_RATES, check_schedule, "a schedule such as vecprop.Cosine()", "; the initial rate is learning_rate_init"
)


def _at_least_one(value: Any, argument: str) -> None:
    if not (isinstance(value, float | np.floating) and value == math.inf):
        check_integer(value, argument, 1, "an integer of at least 1, or infinity")


def _count_or_auto(value: Any, argument: str) -> None:
    if not (isinstance(value, str) and value == "auto"):
        check_integer(value, argument, 1, 'a positive integer or "auto"')


def _verbose(value: Any, argument: str) -> None:
    if not isinstance(value, bool | np.bool_):
        check_integer(value, argument, 0, "True, False or a level")


def _scoring(value: Any, argument: str) -> None:
    if isinstance(value, str):
        if value != "loss":
            from sklearn.metrics import get_scorer_names  # half of scikit-learn

            check_choice(value, argument, ["loss", *get_scorer_names()])
    elif value is not None and not callable(value):
        raise TypeError(f'{argument} must be None, "loss", the name of a scorer or a function, got {value!r}')


def _path(value: Any, argument: str) -> None:
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{argument} must be a path or None, got {value!r}")


def _resume(value: Any, argument: str) -> None:
    if value is not None and value is not True:
        _path(value, argument)


def _callbacks(value: Any, argument: str) -> None:
    for callback in callbacks_of(value):
        if not callable(callback):
            raise TypeError(f"{argument} must be functions (state, history), got {callback!r}")


@dataclass(eq=False, repr=False, kw_only=True)
class Parameters:
    """The parameters that `MLPClassifier` and `MLPRegressor` share, documented there."""

    solver: Any = field(default="adam", metadata={"check": _solver})
    alpha: float = field(default=0.0001, metadata={"check": check_number})
    batch_size: int | str = field(default="auto", metadata={"check": _count_or_auto})
    learning_rate: Any = field(default="constant", metadata={"check": _learning_rate})
    learning_rate_init: float = field(default=0.001, metadata={"check": positive})
    power_t: float = field(default=0.5, metadata={"check": check_number})
    max_iter: int = field(default=200, metadata={"check": check_positive_integer})
    shuffle: bool = field(default=True, metadata={"check": check_flag})
    random_state: Any = None
    tol: float = field(default=1e-4, metadata={"check": check_number})
    verbose: bool | int = field(default=False, metadata={"check": _verbose})
    warm_start: bool = field(default=False, metadata={"check": check_flag})
    momentum: float = field(default=0.9, metadata={"check": _momentum})
    nesterovs_momentum: bool = field(default=True, metadata={"check": check_flag})
    early_stopping: bool = field(default=False, metadata={"check": check_flag})
    validation_fraction: float = field(default=0.1, metadata={"check": check_share})
    beta_1: float = field(default=0.9, metadata={"check": check_share})
    beta_2: float = field(default=0.999, metadata={"check": check_share})
    epsilon: float = field(default=1e-8, metadata={"check": positive})
    n_iter_no_change: float = field(default=10, metadata={"check": _at_least_one})
    max_fun: int = field(default=15000, metadata={"check": check_positive_integer})
    # Beyond scikit-learn's
    init: str = field(default="sklearn", metadata={"check": one_of(["auto", *INITIALIZERS])})
    l1: float = field(default=0.0, metadata={"check": check_number})
    dropout: Any = 0.0
    batch_norm: Any = False
    clip_norm: float | None = field(default=None, metadata={"check": optional(positive)})
    scale: str | None = field(default=None, metadata={"check": optional(one_of(SCALES))})
    scoring: Any = field(default=None, metadata={"check": _scoring})
    n_networks: Any = field(default=1, metadata={"check": _count_or_auto})
    callbacks: Any = field(default=None, metadata={"check": _callbacks})
    checkpoint: Any = field(default=None, metadata={"check": optional(_path)})
    checkpoint_every: float = field(default=1, metadata={"check": lambda value, _: check_every(value)})
    resume: Any = field(default=None, metadata={"check": _resume})
    block_size: int | str | None = field(default="auto", metadata={"check": check_count})
    dtype: Any = field(default=None, metadata={"check": optional(dtype_name)})
    precision: str | None = field(default=None, metadata={"check": optional(check_precision)})
    backend: Any = None
    devices: Any = None
