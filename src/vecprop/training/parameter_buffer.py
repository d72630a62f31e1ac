"""One buffer for all parameters, with each W and b a view: an update is then one pass."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import Array, Namespace, array_namespace
from vecprop.backend.pytrees import leaves_of, map_trees, rebuild
from vecprop.propagation import Layer


class Layout(NamedTuple):
    """The places of a tree's arrays in the buffers; hashable, made by `layout`.

    A buffer is (…, P, 1), P numbers for each network of a stack. There is one for everything or, for decoupled weight
    decay, one for the weights and one for the rest.
    """

    model: Any  # the tree with shapes (tuples of int, wrapped in Leaf) in place of arrays
    apart: bool

    def pack(self, backend: Backend, tree: Any) -> tuple[Any, ...]:
        """Return the tree's arrays in buffers: (all,), or (Layer(weights, the rest),)."""
        leaves = [
            (array_namespace(a).reshape(a, (*leaf.stack, math.prod(leaf.shape), 1)), leaf)
            for a, leaf in zip(leaves_of(tree), leaves_of(self.model), strict=True)
        ]
        if not self.apart:
            return (backend.joined([a for a, _ in leaves]),)
        weights, rest = ([a for a, leaf in leaves if leaf.is_weight is wanted] for wanted in (True, False))
        return (Layer(backend.joined(weights), backend.joined(rest)),)

    def unpack(self, xp: Namespace, buffers: tuple[Any, ...]) -> Any:
        """Return the tree, with slices of the buffers as its arrays."""
        both = list(leaves_of(buffers))
        places = [0, 0]

        def take(leaf: Leaf) -> Array:
            which = 1 if self.apart and not leaf.is_weight else 0
            size = math.prod(leaf.shape)
            start, places[which] = places[which], places[which] + size
            part = both[which][..., start : start + size, :]
            return xp.reshape(part, (*leaf.stack, *leaf.shape))

        return map_trees(take, self.model)


@dataclass(frozen=True)
class Leaf:
    """One array in a layout: its shape, stack and (n, p), and whether it is a weight matrix."""

    stack: tuple[int, ...]
    shape: tuple[int, ...]
    is_weight: bool


def layout(tree: tuple[Any, ...], apart: bool) -> Layout:
    """Return the layout of a tuple of layers (and other named tuples) of arrays (…, n, p)."""

    def leaf(a: Array, part: Any) -> Leaf:
        return Leaf(tuple(a.shape[:-2]), tuple(a.shape[-2:]), isinstance(part, Layer) and a is part.W)

    return Layout(tuple(rebuild(part, [leaf(a, part) for a in part]) for part in tree), apart)
