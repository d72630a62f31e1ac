"""Dividing examples at random into two parts, the share of each class kept."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def share_of_groups(counts: NDArray[np.int64], fraction: float) -> list[int]:
    """Return how many of each group go to the second part: largest remainders, one at least on each side.

    >>> share_of_groups(np.array([10, 5, 1]), 0.2)
    [2, 1, 0]
    """
    most = np.maximum(counts - 1, 0)
    quota = fraction * counts
    share = np.maximum(np.floor(quota), np.minimum(most, 1))  # at most `most`, as fraction < 1
    for group in np.argsort(share - quota, kind="stable").tolist():
        if share.sum() < math.floor(quota.sum() + 0.5) and share[group] < most[group]:
            share[group] += 1
    return [int(count) for count in share]


def divide(groups: NDArray[Any], fraction: float, order: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the numbers of the examples of the first and of the second part, each in the given order.

    Raises
    ------
    ValueError
        If no group has two examples.

    Examples
    --------
    >>> [part.tolist() for part in divide(np.array([0, 0, 1, 1]), 0.5, np.array([3, 2, 1, 0]))]
    [[2, 0], [3, 1]]
    """
    share = share_of_groups(np.bincount(groups, minlength=1), fraction)
    if sum(share) == 0:
        raise ValueError("no group has two examples")
    second = np.zeros(len(order), dtype=bool)
    for group, count in enumerate(share):
        second[np.flatnonzero(groups[order] == group)[:count]] = True
    return order[~second], order[second]
