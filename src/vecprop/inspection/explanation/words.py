"""Texts of an explanation apart from its layout, such as the rules for reading it."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy.typing as npt

from vecprop.inspection.explanation.parts import Contents, Given, Mistake
from vecprop.nn.network import Network

RULES = (
    "A column is one example, a row is one unit: (n, m) is n units for m examples.",
    "@ is the matrix product: (p, q) @ (q, r) -> (p, r). It multiplies and sums over the inner size q, which must be "
    "the same on both sides and is gone from the result. On paper it has no sign: W X.",
    "* is entry by entry (∘ on paper): two arrays of one shape give that shape, and nothing is summed.",
    "A column (n, 1) beside a matrix (n, m) is used for every column: broadcasting.",
    "dW and db are the derivatives of the cost J. dA and dZ have one column for each example: the derivative of that "
    "example's loss. Whatever V is, dV has the shape of V.",
    "[j, i] is row j, column i, counted from 0 as in NumPy. Below j is a neuron of the layer, i an example, k a unit "
    "of the layer before.",
)
_LARGEST_MATRIX = 6  # rows and columns printed, to fit 80 characters; a larger one has its middle left out
MOST_FULL_LAYERS = 6


def heading(explanation: Contents) -> str:
    """Return the title: the network and the number of examples."""
    l2 = f", λ = {explanation.l2:g}" if explanation.l2 else ""
    return f"{explanation.network}, m = {explanation.m}{l2}"


def overview(explanation: Contents) -> list[str]:
    """Return the two passes as a line each, without the middle layers of a deep network.

    >>> from vecprop import explain
    >>> overview(explain((3, 4, 1), m=100))
    ['forward:  X → Z1 → A1 → Z2 → A2 → J', 'backward: dZ2 → dA1 → dZ1, and from every dZ its dW and db']
    """
    L = len(explanation.network.sizes) - 1
    layers = range(1, L + 1) if L <= MOST_FULL_LAYERS else (1, 2, 0, L)
    there = ["X", *(f"Z{l} → A{l}" if l else "…" for l in layers), "J"]
    back = [f"dZ{L}", *(f"dA{l} → dZ{l}" if l else "…" for l in reversed(layers) if l != L)]
    if explanation.network.loss.matching_output != explanation.network.output.name:
        back.insert(0, f"dA{L}")
    return [f"forward:  {' → '.join(there)}", f"backward: {' → '.join(back)}, and from every dZ its dW and db"]


def coincidence(explanation: Contents) -> str:
    """Return a warning if m is a layer's size or neighbouring layers are equally large, else ""."""
    sizes, m = explanation.network.sizes, explanation.m
    if m in sizes:
        return (
            f"m = {m} is also the size of a layer. Shapes may then fit by accident; explain it with another m to see "
            "which sizes really have to agree."
        )
    if any(a == b for a, b in pairwise(sizes)):
        return (
            "Two neighbouring layers have the same size, so their W is square. NumPy then takes a forgotten or "
            "needless transpose without an error: see the mistakes."
        )
    return ""


def three_products(explanation: Contents) -> list[tuple[str, ...]]:
    """Return the matrix products of the last layer, as rows with PRODUCT_COLUMNS."""
    sizes, m = explanation.network.sizes, explanation.m
    L = len(sizes) - 1
    n, n_in, A, below = sizes[L], sizes[L - 1], f"A{L - 1}" if L > 1 else "X", units(explanation.network, L - 1)
    rows: list[tuple[str, ...]] = [
        (f"Z{L}", below, f"{n_in}", f"W{L} @ {A}", f"{(n, n_in)} @ {(n_in, m)} -> {(n, m)}"),
        (f"dW{L}", count(m, "example"), f"{m}", f"dZ{L} @ {A}.T", f"{(n, m)} @ {(m, n_in)} -> {(n, n_in)}"),
    ]
    if L > 1:
        shapes = f"{(n_in, n)} @ {(n, m)} -> {(n_in, m)}"
        rows.append((f"dA{L - 1}", units(explanation.network, L), f"{n}", f"W{L}.T @ dZ{L}", shapes))
    return rows


def count(n: int, noun: str) -> str:
    """Return a number with its noun.

    >>> count(1, "target"), count(3, "unit of layer 1")
    ('1 target', '3 units of layer 1')
    """
    first, _, rest = noun.partition(" ")
    return f"{n} {first}{'' if n == 1 else 's'}{' ' if rest else ''}{rest}"


def units(net: Network, l: int) -> str:
    """Return the number of units of layer l with their name; layer 0 has inputs."""
    return count(net.sizes[l], f"unit of layer {l}" if l else "input")


PRODUCT_COLUMNS = ("", "sums over", "inner size", "product", "shapes")
PRODUCTS = (
    "Where the transposes come from, in one table. All products of a layer have the same sizes to deal with, and each "
    "sums a different one away. That size must stand inside; the factor in which it does not is transposed."
)


def closing(explanation: Contents) -> str:
    """Return the text after the last gradient."""
    L = len(explanation.network.sizes) - 1
    rest = f", …, W{L} = W{L} - α dW{L}, b{L} = b{L} - α db{L}" if L > 1 else ""
    return (
        "X needs no derivative, so the way back ends here. Each dW has the shape of its W and each db that of its b. "
        f"Gradient descent (E12) is therefore entry by entry: W1 = W1 - α dW1, b1 = b1 - α db1{rest}."
    )


def verdict(explanation: Contents) -> str:
    """Return the text on how the numbers were checked."""
    check = explanation.check
    text = (
        "Checked: the products of the numbers above give the gradients of Network.gradients, largest difference "
        f"{check['difference']:.2g}."
    )
    if "numeric" in check:
        text += f" A numeric derivative of the cost (E40) agrees with them to {check['numeric']:.2g}, relative."
    return text


def shown_in_full(explanation: Contents) -> set[str]:
    """Return the names of the steps shown with their reason: the first of each role."""
    first: dict[str, str] = {}
    for step in explanation.steps:
        first.setdefault(step.role, step.name)
    return set(first.values())


def middle_layers(explanation: Contents) -> range:
    """Return the layers that the text leaves out, since they repeat those beside them."""
    L = len(explanation.network.sizes) - 1
    return range(3, L - 1) if L > MOST_FULL_LAYERS and not explanation.has_numbers else range(0)


def given(explanation: Contents) -> Iterator[Given]:
    """Yield the given quantities, without the middle layers of a deep network."""
    left_out = {f"{letter}{l}" for letter in "Wb" for l in middle_layers(explanation)}
    return (part for part in explanation.given if part.name not in left_out)


def matrix_lines(value: npt.NDArray[Any]) -> list[str]:
    """Return a matrix as aligned lines with 4 decimals, the middle of a large one left out.

    >>> import numpy as np
    >>> matrix_lines(np.array([[1.0, -0.25], [10.0, 0.5]]))
    ['[  1.0000  -0.2500 ]', '[ 10.0000   0.5000 ]']
    """
    cells = [[_cell(x) for x in _cut(row)] for row in _cut(value.tolist())]
    width = max(len(text) for row in cells for text in row)
    return ["[ " + "  ".join(f"{text:>{width}}" for text in row) + " ]" for row in cells]


def _cut(entries: Sequence[Any]) -> list[Any]:
    """Return the entries, the middle of many replaced by an ellipsis."""
    if len(entries) <= _LARGEST_MATRIX:
        return list(entries)
    keep = _LARGEST_MATRIX - 3
    middle = ["…"] * len(entries[0]) if isinstance(entries[0], list) else "…"
    return [*entries[:keep], middle, *entries[-2:]]


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    text = f"{value:.4f}" if abs(value) < 1e4 else f"{value:.2e}"
    return text.removeprefix("-") if float(text) == 0 else text


_MATMUL = "Input operand 1 has a mismatch in its core dimension 0, with gufunc signature (n?,k),(k,m?)->(n?,m?)"
_OUTCOMES = {  # those that are hardest to notice first
    "wrong numbers": "no error, the right shape and wrong numbers",
    "wrong shape": "no error, and a wrong shape",
    "right by accident": "right by accident",
    "error": "NumPy stops with an error (the harmless case)",
}


def by_outcome(explanation: Contents) -> Iterator[tuple[str, list[tuple[Mistake, str]]]]:
    """Yield the mistakes of each outcome with what happens; NumPy's long message on @ stands there only once."""
    seen = False
    for outcome, title in _OUTCOMES.items():
        group = []
        for mistake in explanation.mistakes:
            if mistake.outcome == outcome:
                happens = mistake.what_happens
                group.append((mistake, happens.replace(_MATMUL, "…") if seen else happens))
                seen = seen or _MATMUL in happens
        if group:
            yield title, group
