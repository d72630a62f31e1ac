"""Functions that read and check the histories of training runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vecprop.inspection.plots.figures import Floats
from vecprop.training.results import Best, FitResult, lowest
from vecprop.utils.arguments import check_instance


def labelled_histories(given: Any, key: str) -> list[tuple[str, int, Floats]]:
    """Return for each run its label, K, and column `key` of the best of K networks; a single run has the label ""."""
    wanted = "result.history, history_ of an estimator, or a dict of label -> one of these"
    if not isinstance(given, FitResult) and not check_instance(given, Mapping, "histories", wanted):
        raise ValueError("histories must not be empty")
    several = not isinstance(given, FitResult) and key not in given
    runs = {str(label): run for label, run in given.items()} if several else {"": given}
    names = {label: f"histories[{label!r}]" if label else "histories" for label in runs}
    return [(label, *of_best(names[label], run, key)) for label, run in runs.items()]


def of_best(argument: str, result: Any, key: str) -> tuple[int, Floats]:
    """Return the number K of networks, and one column of the history of the best, (epochs, …)."""
    values = column(argument, result, key)
    K = values.shape[1]
    return K, values[:, best_of(result) if K > 1 else 0]


def history_of(result: Any) -> Any:
    """Return the history of a result; a history is returned as it is."""
    return result.history if isinstance(result, FitResult) else result


def best_of(result: Any) -> int:
    """Return the index of the best network of a stack, else 0; of a history, by its last cost."""
    given = history_of(result)
    costs = given.get("validation_cost") or given.get("cost") or [0.0]
    last = np.atleast_1d(np.asarray(costs[-1], dtype=np.float64))
    if isinstance(result, FitResult) and result.networks is not None:
        last = result.final_costs
    return lowest(last)


def epoch_given_back(result: Any) -> int | None:
    """Return the epoch of a network's history, from 1, that early stopping chose, or None."""
    kept = result.state.given_back if isinstance(result, FitResult) and result.networks is None else None
    if not isinstance(kept, Best):
        return None
    earlier = result.state.epoch - len(result.history["cost"])  # epochs of the run that this one continued
    epoch = int(kept.epoch) - earlier
    return epoch if epoch > 0 else None


def column(argument: str, result: Any, key: str) -> Floats:
    """Return one column of a history, (epochs, K, …), K = 1 for one network; errors name the argument."""
    given = history_of(result)
    if key not in check_instance(given, Mapping, argument, "result.history of a fit, or history_ of an estimator"):
        raise ValueError(
            f"{argument} must be result.history of a fit; it has no {key!r}, only {sorted(map(str, given))}"
        )
    values = given[key]
    try:
        numbers = np.asarray(values)
    except ValueError:
        numbers = np.empty(0, dtype=object)
    if not isinstance(values, Sequence | np.ndarray) or (len(values) and numbers.dtype.kind not in "biuf"):
        raise TypeError(f"{argument} must be result.history of a fit, with numbers in {key!r}, got {values!r}")
    if not len(values):
        raise ValueError(f"{argument} must have at least one epoch, got none")
    numbers = numbers.astype(np.float64)
    return numbers if numbers.ndim == (3 if key == "gradient_norm" else 2) else numbers[:, np.newaxis]
