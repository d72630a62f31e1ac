"""Nested tuples of arrays: parameters, gradients, slots, and the state of a run are such trees."""

from collections.abc import Callable, Iterator
from typing import Any


def leaves_of(tree: Any) -> Iterator[Any]:
    """Yield the arrays of a tree from left to right; None is no leaf.

    >>> list(leaves_of((1, (2, None), ())))
    [1, 2]
    """
    if isinstance(tree, tuple):
        for branch in tree:
            yield from leaves_of(branch)
    elif tree is not None:
        yield tree


def map_trees(function: Callable[..., Any], *trees: Any) -> Any:
    """Return the tree of function(a, b, …) over the leaves of trees of the same structure.

    Named tuples keep their type.

    >>> map_trees(lambda a, b: a + b, (1, (2, 3)), (10, (20, 30)))
    (11, (22, 33))
    """
    first = trees[0]
    if first is None:
        return None
    if not isinstance(first, tuple):
        return function(*trees)
    return rebuild(first, [map_trees(function, *branches) for branches in zip(*trees, strict=True)])


map_tree = map_trees  # for one tree


def unzip_trees(tree: Any, count: int, model: Any) -> list[Any]:
    """Return `count` trees from one whose leaves are tuples of that length; `model` has its structure.

    >>> unzip_trees(((1, 2), ((3, 4),)), 2, (0, (0,)))
    [(1, (3,)), (2, (4,))]
    """
    return [map_trees(lambda _, leaf, i=i: leaf[i], model, tree) for i in range(count)]


def rebuild(model: tuple[Any, ...], leaves: list[Any]) -> Any:
    """Return a tuple of the type of `model`."""
    return type(model)(*leaves) if hasattr(model, "_fields") else tuple(leaves)
