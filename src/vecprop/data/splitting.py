"""Divides examples at random into two parts that keep the share of each class."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1 << 18


def share_of_groups(counts: NDArray[np.int64], fraction: float) -> list[int]:
    """Return the size of the second part of each group, by largest remainders.

    Each part gets at least one example of a group that has two or more.

    >>> share_of_groups(np.array([10, 5, 1]), 0.2)
    [2, 1, 0]
    """
    most = np.maximum(counts - 1, 0)
    quota = fraction * counts
    share = np.maximum(np.floor(quota), np.minimum(most, 1))  # never above `most`, as fraction < 1
    for group in np.argsort(share - quota, kind="stable").tolist():
        if share.sum() < math.floor(quota.sum() + 0.5) and share[group] < most[group]:
            share[group] += 1
    return [int(count) for count in share]


def in_second_part(
    groups: NDArray[Any] | None, fraction: float, order: NDArray[Any], w: NDArray[Any] | None = None
) -> NDArray[np.bool_]:
    """Tell which examples are in the second part, (m,): the first ones of each group.

    `groups` (m,) are the numbers of the groups; None means one group. "First" is meant in the given order. An example
    of weight 0 counts as absent: it stays in the first part, and in no share. Beside the arguments it takes 1 byte of
    memory for each example. ValueError if no group has two examples.

    >>> in_second_part(np.array([0, 0, 1, 1]), 0.5, np.array([3, 2, 1, 0])).tolist()
    [False, True, False, True]
    >>> in_second_part(None, 0.5, np.array([3, 2, 1, 0]), np.array([1.0, 2.0, 0.0, 0.0])).tolist()
    [False, True, False, False]
    """
    m = len(order)
    if w is not None and not w.all():
        order = order[w[order] > 0]
    starts = range(0, len(order), _AT_ONCE)
    if groups is None:
        counts = np.array([len(order)])
    else:
        counts = np.zeros(int(groups.max(initial=0)) + 1, dtype=np.int64)
        for start in starts:
            counts += np.bincount(groups[order[start : start + _AT_ONCE]], minlength=len(counts))
    share = share_of_groups(counts, fraction)
    if sum(share) == 0:
        raise ValueError("no group has two examples")
    second = np.zeros(m, dtype=bool)
    if groups is None:
        second[order[: share[0]]] = True
        return second
    left = np.array(share)
    for start in starts:
        places = order[start : start + _AT_ONCE]
        own = groups[places]
        by_group = np.argsort(own, kind="stable")
        sizes = np.bincount(own, minlength=len(left))
        rank = np.arange(len(places)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        second[places[by_group[rank < np.repeat(left, sizes)]]] = True
        left = np.maximum(left - sizes, 0)
    return second


def places_of(mask: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the indices at which a mask is true, in int32 if that is enough."""
    dtype = np.int32 if len(mask) <= np.iinfo(np.int32).max else np.int64
    starts = range(0, len(mask), _AT_ONCE)
    return np.concatenate([(start + np.flatnonzero(mask[start : start + _AT_ONCE])).astype(dtype) for start in starts])


def shuffled(m: int, random: np.random.Generator | np.random.RandomState) -> NDArray[Any]:
    """Return `random.permutation(m)`, as 4-byte integers where they suffice.

    >>> shuffled(5, np.random.default_rng(0)).tolist() == np.random.default_rng(0).permutation(5).tolist()
    True
    """
    order: NDArray[Any] = np.arange(m, dtype=np.int32 if m <= np.iinfo(np.int32).max else np.int64)
    random.shuffle(order)
    return order
