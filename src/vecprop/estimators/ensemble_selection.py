"""Ensemble selection: the weights of a mixture, chosen by the members' predictions for a validation set.

Source: Caruana, Niculescu-Mizil, Crew and Ksikes, 2004, "Ensemble selection from libraries of models": again and again
the member is added that lowers the mixture's loss most. With few examples that alone fits noise, so that half of each
weight comes from the plain mean of the better half of the members.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

# Of a mixture's predictions (m, …): its mean loss.
Loss: TypeAlias = "Callable[[npt.NDArray[Any]], float]"

_STEPS = 25


def log_loss(codes: npt.NDArray[np.int64], w: npt.NDArray[Any] | None) -> Loss:
    """Return the mean of -ln of the true class's probability, as a function of probabilities (m, classes).

    >>> round(log_loss(np.array([0, 1]), None)(np.array([[0.5, 0.5], [0.0, 1.0]])), 4)
    0.3466
    """
    rows, tiny = np.arange(len(codes)), np.finfo(np.float64).tiny
    return lambda P: float(np.average(-np.log(np.maximum(P[rows, codes], tiny)), weights=w))


def squared_error(y: npt.NDArray[Any], w: npt.NDArray[Any] | None) -> Loss:
    """Return the mean squared error, as a function of predictions (m,).

    >>> squared_error(np.array([1.0, 2.0]), np.array([1.0, 0.0]))(np.array([3.0, 9.0]))
    4.0
    """
    return lambda P: float(np.average((P - y) ** 2, weights=w))


def greedy(P: npt.NDArray[Any], loss: Loss, steps: int = _STEPS) -> npt.NDArray[np.float64]:
    """Return the weights (J,) of members with predictions P (J, m, …), each added as often as it lowers the loss most.

    >>> greedy(np.array([[0.0], [2.0], [9.0]]), squared_error(np.array([1.0]), None), steps=2).tolist()
    [0.5, 0.5, 0.0]
    """
    counts, total = np.zeros(len(P)), np.zeros_like(P[0])
    for step in range(steps):
        best = int(np.argmin([loss((total + p) / (step + 1)) for p in P]))
        counts[best] += 1
        total += P[best]
    return counts / steps


def half_greedy(P: npt.NDArray[Any], loss: Loss) -> npt.NDArray[np.float64]:
    """Return the mean of the greedy weights and of equal weights for the better half of the members, (J,).

    >>> P = np.array([[0.0], [2.0], [9.0], [9.0]])
    >>> half_greedy(P, squared_error(np.array([1.0]), None)).round(2).tolist()
    [0.51, 0.49, 0.0, 0.0]
    """
    alone = np.array([loss(p) for p in P])
    better = np.argsort(alone, kind="stable")[: max(1, len(P) // 2)]
    weights = greedy(P, loss) / 2
    weights[better] += 0.5 / len(better)
    return weights
