"""The formulas of each loss and of its dZ_L, on paper and in NumPy, with the reason."""

from typing import NamedTuple

from vecprop.nn.network import Network


class LossText(NamedTuple):
    """The texts for the loss of a network of L layers."""

    # the loss of each output of each example: an array shaped as A
    formula: str
    code: str
    # its derivative with respect to A, dA_L
    slope: str
    slope_code: str
    equation: str  # its number
    why: str  # A sentence on the loss
    before: str = ""  # A line of code that the others need


def describe(net: Network) -> LossText:
    """Return the texts of a network's loss.

    >>> from vecprop import Network
    >>> describe(Network((2, 1), output="identity")).slope_code
    'A1 - Y'
    """
    if net.loss.name not in _TEXTS:
        raise ValueError(f"loss {net.loss.name!r} has no texts here")
    levels = ", ".join(f"{q:g}" for q in getattr(net.loss, "levels", ()))
    known = {"A": f"A{len(net.sizes) - 1}", "Y": targets(net), "loss": net.loss, "levels": levels}
    return LossText(*(text.format(**known) for text in _TEXTS[net.loss.name]))


_TEXTS = {
    "binary_cross_entropy": LossText(
        "-[{Y} ∘ ln {A} + (1 - {Y}) ∘ ln(1 - {A})]",
        "-({Y} * np.log({A}) + (1 - {Y}) * np.log(1 - {A}))",
        "-{Y} / {A} + (1 - {Y}) / (1 - {A})",
        "-{Y} / {A} + (1 - {Y}) / (1 - {A})",
        "E22",
        "Binary cross-entropy. The library computes it from Z, so that it is finite where A is rounded to 0 or 1.",
    ),
    "cross_entropy": LossText(
        "-{Y} ∘ ln {A}",
        "-{Y} * np.log({A})",
        "-{Y} / {A}",
        "-{Y} / {A}",
        "E23",
        "Cross-entropy: a one-hot column of Y picks the logarithm of the right class. The library computes it from Z, "
        "so that it is finite where A is rounded to 0.",
    ),
    "squared_error": LossText(
        "½ ({A} - {Y})²",
        "0.5 * ({A} - {Y})**2",
        "{A} - {Y}",
        "{A} - {Y}",
        "E24",
        "Half the squared error; the ½ cancels the 2 of the derivative.",
    ),
    "absolute_error": LossText(
        "|{A} - {Y}|", "np.abs({A} - {Y})", "sign({A} - {Y})", "np.sign({A} - {Y})", "E25", "The absolute error."
    ),
    "huber": LossText(
        "h(R), R = {A} - {Y}",
        "np.where(np.abs(R) <= {loss.delta:g}, 0.5 * R**2, {loss.delta:g} * (np.abs(R) - 0.5 * {loss.delta:g}))",
        "R, cut to [-{loss.delta:g}, {loss.delta:g}]",
        "np.clip(R, -{loss.delta:g}, {loss.delta:g})",
        "E25",
        "Huber's loss: h(r) = ½ r² for |r| ≤ {loss.delta:g}, and {loss.delta:g} (|r| - ½·{loss.delta:g}) beyond, so "
        "that an outlier counts less.",
        "R = {A} - {Y}",
    ),
    "poisson": LossText(
        "{Y} ∘ ln({Y} / {A}) - {Y} + {A}",
        "np.where({Y} > 0, {Y} * np.log(np.where({Y} > 0, {Y}, 1) / {A}), 0) - {Y} + {A}",
        "1 - {Y} / {A}",
        "1 - {Y} / {A}",
        "E25",
        "Half the Poisson deviance, for counts; 0 ln 0 is 0.",
    ),
    "quantile": LossText(
        "q ({Y} - {A}) where {Y} ≥ {A}, (1 - q) ({A} - {Y}) elsewhere",
        "np.where({Y} >= {A}, q * ({Y} - {A}), (1 - q) * ({A} - {Y}))",
        "-q where {Y} ≥ {A}, 1 - q elsewhere",
        "np.where({Y} >= {A}, -q, 1 - q)",
        "E25",
        "The quantile loss, for the levels q = {levels} in the rows.",
        "q = np.resize([{levels}], ({A}.shape[0], 1))",
    ),
}


def targets(net: Network) -> str:
    """Return the name of the targets in the formulas: Y, or Ys with label smoothing."""
    return "Ys" if getattr(net.loss, "smoothing", 0) else "Y"


def matches(net: Network) -> bool:
    """Tell whether dZ_L = A_L - Y (E22-E24)."""
    return bool(net.loss.matching_output == net.output.name)


def cancellation(net: Network) -> str:
    """Return the reason why dZ_L is A_L - Y for the network's output and loss."""
    A, Y = f"A{len(net.sizes) - 1}", targets(net)
    return {
        "sigmoid": (
            f"The chain rule has two factors: the loss gives -{Y}/{A} + (1 - {Y})/(1 - {A}), the sigmoid gives "
            f"{A} ∘ (1 - {A}). Multiplied out everything cancels but {A} - {Y} (E3)."
        ),
        "softmax": (
            f"The loss gives -{Y}/{A}, the softmax its Jacobian: together -{Y} + {A} times the sum of the column of "
            f"{Y}, and that sum is 1."
        ),
        "identity": f"The derivative of ½ (a - y)² is a - y, and the identity adds the factor 1: {A} - {Y}.",
        "exp": f"The loss gives 1 - {Y}/{A}, the exponential gives the factor {A}: together {A} - {Y}.",
    }[net.output.name]


def rearranged(net: Network) -> str:
    """Return a sentence on the library's own form of dZ_L, or "" for most losses and outputs."""
    match net.loss.name, net.output.name:
        case "cross_entropy", "sigmoid":
            return " The library multiplies this out, Y ∘ (A - 1): no division by an A rounded to 0."
        case "binary_cross_entropy", "softmax":
            return " The library rearranges this product, so that nothing overflows."
    return ""
