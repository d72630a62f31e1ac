"""The parameters of the estimators, scikit-learn's with its defaults and our own, and their checks.

They are fields of a data class, so that the constructor names each and only stores it, as scikit-learn requires.
`check_parameters` checks them when `fit` is called.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vecprop.backend.selection import check_precision
from vecprop.nn.activations import ACTIVATIONS, Activation, get_activation, is_pair
from vecprop.nn.array_checks import check_block_size, dtype_name
from vecprop.nn.initializers import INITIALIZERS
from vecprop.training.checkpoint import check_every
from vecprop.training.optimizers import check_optimizer
from vecprop.training.schedules import check_schedule
from vecprop.utils.arguments import check_flag, check_integer, check_number, check_positive_integer, check_real
from vecprop.utils.errors import unknown_name

SOLVERS = ("adam", "lbfgs", "sgd")
LEARNING_RATES = ("adaptive", "constant", "invscaling")
SCALES = ("standard",)
# scikit-learn's names for activations, where ours differ
THEIR_NAMES = {"logistic": "sigmoid"}


@dataclass(eq=False, repr=False, kw_only=True)
class Parameters:
    """The parameters that `MLPClassifier` and `MLPRegressor` share, documented there."""

    solver: Any = "adam"
    alpha: float = 0.0001
    batch_size: int | str = "auto"
    learning_rate: Any = "constant"
    learning_rate_init: float = 0.001
    power_t: float = 0.5
    max_iter: int = 200
    shuffle: bool = True
    random_state: Any = None
    tol: float = 1e-4
    verbose: bool | int = False
    warm_start: bool = False
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    early_stopping: bool = False
    validation_fraction: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    n_iter_no_change: float = 10
    max_fun: int = 15000
    # Beyond scikit-learn's
    init: str = "sklearn"
    l1: float = 0.0
    dropout: Any = 0.0
    batch_norm: Any = False
    clip_norm: float | None = None
    scale: str | None = None
    scoring: Any = None
    n_networks: Any = 1
    callbacks: Any = None
    checkpoint: Any = None
    checkpoint_every: float = 1
    resume: Any = None
    block_size: int | str | None = "auto"
    dtype: Any = None
    precision: str | None = None
    backend: Any = None
    devices: Any = None


def hidden_sizes(given: Any) -> tuple[int, ...]:
    """Return hidden_layer_sizes as a tuple; a single number is one layer.

    >>> hidden_sizes(50), hidden_sizes([20, 10]), hidden_sizes(())
    ((50,), (20, 10), ())
    """
    if isinstance(given, str) or (not hasattr(given, "__iter__") and not hasattr(given, "__index__")):
        raise TypeError(f"hidden_layer_sizes must be a positive integer or a sequence of them, got {given!r}")
    if not hasattr(given, "__iter__") or getattr(given, "ndim", 1) == 0:
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


def _optional(check: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    return lambda value, argument: None if value is None else check(value, argument)


def _share(value: Any, argument: str) -> float:
    return check_real(value, argument, "in [0, 1)", lambda x: 0 <= x < 1)


def _positive(value: Any, argument: str) -> float:
    return check_number(value, argument, zero=False)


def _at_least_one(value: Any, argument: str) -> Any:
    if isinstance(value, float | np.floating) and value == math.inf:
        return value
    return check_integer(value, argument, 1, "an integer of at least 1, or infinity")


def _count_or_auto(value: Any, argument: str) -> Any:
    if isinstance(value, str) and value == "auto":
        return value
    return check_integer(value, argument, 1, 'a positive integer or "auto"')


def _verbose(value: Any, argument: str) -> Any:
    return value if isinstance(value, bool | np.bool_) else check_integer(value, argument, 0, "True, False or a level")


def _solver(value: Any, argument: str) -> Any:
    if isinstance(value, str):
        return check_choice(value, argument, SOLVERS)
    try:
        return check_optimizer(value if value is not None else ())
    except TypeError:
        raise TypeError(
            f"{argument} must be one of {', '.join(map(repr, SOLVERS))} or an optimizer such as vecprop.AdamW(0.001), "
            f"got {value!r}"
        ) from None


def _learning_rate(value: Any, argument: str) -> Any:
    if isinstance(value, str):
        return check_choice(value, argument, LEARNING_RATES)
    try:
        return check_schedule(value if value is not None else ())
    except TypeError:
        raise TypeError(
            f"{argument} must be one of {', '.join(map(repr, LEARNING_RATES))} or a schedule such as vecprop.Cosine(), "
            f"got {value!r}; the initial rate is learning_rate_init"
        ) from None


def _scoring(value: Any, argument: str) -> Any:
    if value is None or callable(value):
        return value
    if isinstance(value, str):
        if value == "loss":
            return value
        from sklearn.metrics import get_scorer_names  # half of scikit-learn

        return check_choice(value, argument, ["loss", *get_scorer_names()])
    raise TypeError(f'{argument} must be None, "loss", the name of a scorer or a function, got {value!r}')


def _path(value: Any, argument: str) -> Any:
    if isinstance(value, str | os.PathLike):
        return value
    raise TypeError(f"{argument} must be a path or None, got {value!r}")


def _callbacks(value: Any, argument: str) -> Any:
    for callback in () if value is None else value if isinstance(value, Sequence) else (value,):
        if not callable(callback):
            raise TypeError(f"{argument} must be functions (state, history), got {callback!r}")
    return value


CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "solver": _solver,
    "alpha": check_number,
    "batch_size": _count_or_auto,
    "learning_rate": _learning_rate,
    "learning_rate_init": _positive,
    "power_t": check_number,
    "max_iter": check_positive_integer,
    "shuffle": check_flag,
    "tol": check_number,
    "verbose": _verbose,
    "warm_start": check_flag,
    "momentum": lambda value, argument: check_real(value, argument, "in [0, 1]", lambda x: 0 <= x <= 1),
    "nesterovs_momentum": check_flag,
    "early_stopping": check_flag,
    "validation_fraction": _share,
    "beta_1": _share,
    "beta_2": _share,
    "epsilon": _positive,
    "n_iter_no_change": _at_least_one,
    "max_fun": check_positive_integer,
    "init": lambda value, argument: check_choice(value, argument, ["auto", *INITIALIZERS]),
    "l1": check_number,
    "clip_norm": _optional(_positive),
    "checkpoint": _optional(_path),
    "checkpoint_every": lambda value, _: check_every(value),
    "resume": lambda value, argument: value if value is None or value is True else _path(value, argument),
    "scale": _optional(lambda value, argument: check_choice(value, argument, SCALES)),
    "scoring": _scoring,
    "n_networks": _count_or_auto,
    "callbacks": _callbacks,
    "block_size": lambda value, _: check_block_size(value),
    "dtype": _optional(dtype_name),
    "precision": _optional(check_precision),
}


def check_parameters(estimator: Any, more: dict[str, Callable[[Any, str], Any]]) -> None:
    """Check the parameters; ValueError or TypeError names the first wrong one and what is wanted.

    `more` are checks of parameters that the estimators do not share. Dropout and batch_norm are checked with the
    network, backend and random_state where they are used.
    """
    hidden_activations(estimator.activation, len(hidden_sizes(estimator.hidden_layer_sizes)))
    for name, check in (CHECKS | more).items():
        check(getattr(estimator, name), name)
