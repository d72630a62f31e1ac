"""Takes nested tuples of arrays apart into leaves and structure, and rebuilds them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from vecprop_numpy.graph import Value

# A structure is LEAF, (FIXED, type, value) for None, a number or an object, or (type of a tuple, its structures).
LEAF, FIXED = "leaf", "fixed"
Structure = Any

_ARRAYS = (np.ndarray, Value, np.generic)
_TUPLES = (tuple, list)


@dataclass(eq=False)
class Static:
    """A constant that is not an array, as a structure: hashed and compared by its identity."""

    value: Any


_static = lru_cache(maxsize=256, typed=True)(Static)


def static(value: Any) -> Static:
    """Return a value as a structure, the same object for equal values.

    >>> static((1, 2)) is static((1, 2)), static(1) is static(True), unflatten(static((1, 2)), iter(()))
    (True, False, (1, 2))
    """
    _static(value)  # two threads that ask at once each get an object of their own, of which the cache keeps one
    return _static(value)


def flatten(tree: Any, leaves: list[Any]) -> Structure:
    """Append the arrays of a tree to `leaves`, and return its structure.

    The structure is hashable if its values are.

    >>> leaves = []
    >>> structure = flatten((np.zeros(2), (None, np.ones(1))), leaves)
    >>> len(leaves), unflatten(structure, iter("ab"))
    (2, ('a', (None, 'b')))
    """
    kind = type(tree)
    if kind is np.ndarray or issubclass(kind, _ARRAYS):
        leaves.append(tree)
        return LEAF
    if issubclass(kind, _TUPLES):
        return kind, tuple([flatten(entry, leaves) for entry in tree])
    return FIXED, kind, tree


def unflatten(structure: Structure, leaves: Iterator[Any]) -> Any:
    """Return the tree of a structure, with leaves taken from an iterator."""
    if structure is LEAF:
        return next(leaves)
    if type(structure) is Static:
        return structure.value
    if structure[0] is FIXED:
        return structure[2]
    kind, entries = structure
    built = [unflatten(entry, leaves) for entry in entries]
    return kind(*built) if hasattr(kind, "_fields") else kind(built)
