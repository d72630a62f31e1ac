"""Ensemble selection: the weights of a mixture, chosen by the members' predictions for a validation set.

Again and again the member is added that lowers the mixture's loss most. With few examples that alone fits their noise.
So the weights are the mean over bootstrap samples of the examples, and drawn towards weights that need no choice.

Source: Caruana, Niculescu-Mizil, Crew and Ksikes, 2004, "Ensemble selection from libraries of models".
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vecprop.estimators.feature_maps import power_of_2

# Of a mixture's predictions (m, …): the loss of each example, (m,).
Losses: TypeAlias = "Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]"

_SAMPLES, _STEPS = 25, 12
_PRIOR, _LEAST = 50, 0.01
_TINY = float(np.finfo(np.float64).tiny)


def log_losses(codes: npt.NDArray[np.int64]) -> Losses:
    """Return -ln of the true class's probability, as a function of probabilities (m, classes).

    >>> log_losses(np.array([0, 1]))(np.array([[0.5, 0.5], [0.0, 1.0]])).round(4).tolist()
    [0.6931, -0.0]
    """
    rows = np.arange(len(codes))
    return lambda P: np.asarray(-np.log(np.maximum(P[rows, codes], _TINY)))


def squared_errors(y: npt.NDArray[Any]) -> Losses:
    """Return the squared errors, in a unit in which none overflows or vanishes, as a function of predictions (m,).

    >>> squared_errors(np.array([1.0, 2.0]))(np.array([3.0, 2.0])).tolist()  # in units of 2
    [1.0, 0.0]
    """
    unit = power_of_2(y)
    return lambda P: np.asarray(((P - y) / unit) ** 2)


def greedy(P: npt.NDArray[Any], losses: Losses, w: npt.NDArray[Any], steps: int = _STEPS) -> npt.NDArray[np.float64]:
    """Return the weights (J,) of members with predictions P (J, m, …), each added as often as it lowers the loss most.

    The loss is the sum over the examples, weighted by w (m,).

    >>> greedy(np.array([[0.0], [2.0], [9.0]]), squared_errors(np.array([1.0])), np.ones(1), steps=2).tolist()
    [0.5, 0.5, 0.0]
    """
    counts, total = np.zeros(len(P)), np.zeros_like(P[0])
    for step in range(steps):
        best = int(np.argmin([losses((total + p) / (step + 1)) @ w for p in P]))
        counts[best] += 1
        total += P[best]
    return counts / steps


def bagged_greedy(
    P: npt.NDArray[Any], losses: Losses, w: npt.NDArray[Any] | None, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Return the weights (J,) of members with predictions P (J, m, …) for examples of weights w (m,).

    The mean of the greedy weights over bootstrap samples counts as m examples; weights in inverse proportion to each
    member's own loss count as 50. A member with a share below 1 % is left out.

    >>> P = np.array([[0.0, 0.0], [2.0, 2.0], [9.0, 9.0]])
    >>> y = np.array([1.0, 1.0])
    >>> bagged_greedy(P, squared_errors(y), None, np.random.default_rng(0)).round(2).tolist()  # losses 1, 1 and 64
    [0.5, 0.5, 0.0]
    """
    w = np.ones(P.shape[1]) if w is None else w
    m = int(np.count_nonzero(w))
    samples = rng.multinomial(m, w / w.sum(), size=_SAMPLES)
    chosen = np.mean([greedy(P, losses, counts) for counts in samples], axis=0)
    own = np.array([losses(p) @ w for p in P]) + _TINY
    inverse = own.min() / own
    weights = (m * chosen + _PRIOR * inverse / inverse.sum()) / (m + _PRIOR)
    weights[weights < _LEAST] = 0.0
    return np.asarray(weights / weights.sum())
