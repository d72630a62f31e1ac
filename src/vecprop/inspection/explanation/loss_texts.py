"""The formulas of each loss and of its dZ_L, on paper and in NumPy, with the reason."""

from typing import NamedTuple

from vecprop.nn.network import Network


class LossText(NamedTuple):
    """The texts for the loss of a network of L layers."""

    # the loss of each output of each example, an array shaped as A, on paper and in NumPy
    formula: str
    code: str
    slope: str  # its derivative with respect to A, dA_L
    equation: str  # its number
    why: str  # a sentence on the loss
    slope_code: str = ""  # the derivative in NumPy, where it is not as on paper
    before: str = ""  # a line of code that the others need
    cancels: str = ""  # why dZ_L is A_L - Y with the output that matches the loss
    rearranged: str = ""  # a sentence on the library's own form of dZ_L with another output


def describe(net: Network) -> LossText:
    """Return the texts of a network's loss."""
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
        "E22",
        "Binary cross-entropy. The library computes it from Z, so that it is finite where A is rounded to 0 or 1.",
        cancels="The chain rule has two factors: the loss gives -{Y}/{A} + (1 - {Y})/(1 - {A}), the sigmoid gives "
        "{A} ∘ (1 - {A}). Multiplied out everything cancels but {A} - {Y} (E3).",
        rearranged=" The library rearranges this product, so that nothing overflows.",
    ),
    "cross_entropy": LossText(
        "-{Y} ∘ ln {A}",
        "-{Y} * np.log({A})",
        "-{Y} / {A}",
        "E23",
        "Cross-entropy: a one-hot column of Y picks the logarithm of the right class. The library computes it from Z, "
        "so that it is finite where A is rounded to 0.",
        cancels="The loss gives -{Y}/{A}, the softmax its Jacobian: together -{Y} + {A} times the sum of the column of "
        "{Y}, and that sum is 1.",
        rearranged=" The library multiplies this out, Y ∘ (A - 1): no division by an A rounded to 0.",
    ),
    "squared_error": LossText(
        "½ ({A} - {Y})²",
        "0.5 * ({A} - {Y})**2",
        "{A} - {Y}",
        "E24",
        "Half the squared error; the ½ cancels the 2 of the derivative.",
        cancels="The derivative of ½ (a - y)² is a - y, and the identity adds the factor 1: {A} - {Y}.",
    ),
    "absolute_error": LossText(
        "|{A} - {Y}|", "np.abs({A} - {Y})", "sign({A} - {Y})", "E25", "The absolute error.", "np.sign({A} - {Y})"
    ),
    "huber": LossText(
        "h(R), R = {A} - {Y}",
        "np.where(np.abs(R) <= {loss.delta:g}, 0.5 * R**2, {loss.delta:g} * (np.abs(R) - 0.5 * {loss.delta:g}))",
        "R, cut to [-{loss.delta:g}, {loss.delta:g}]",
        "E25",
        "Huber's loss: h(r) = ½ r² for |r| ≤ {loss.delta:g}, and {loss.delta:g} (|r| - ½·{loss.delta:g}) beyond, so "
        "that an outlier counts less.",
        "np.clip(R, -{loss.delta:g}, {loss.delta:g})",
        before="R = {A} - {Y}",
    ),
    "poisson": LossText(
        "{Y} ∘ ln({Y} / {A}) - {Y} + {A}",
        "np.where({Y} > 0, {Y} * np.log(np.where({Y} > 0, {Y}, 1) / {A}), 0) - {Y} + {A}",
        "1 - {Y} / {A}",
        "E25",
        "Half the Poisson deviance, for counts; 0 ln 0 is 0.",
        cancels="The loss gives 1 - {Y}/{A}, the exponential gives the factor {A}: together {A} - {Y}.",
    ),
    "quantile": LossText(
        "q ({Y} - {A}) where {Y} ≥ {A}, (1 - q) ({A} - {Y}) elsewhere",
        "np.where({Y} >= {A}, q * ({Y} - {A}), (1 - q) * ({A} - {Y}))",
        "-q where {Y} ≥ {A}, 1 - q elsewhere",
        "E25",
        "The quantile loss, for the levels q = {levels} in the rows.",
        "np.where({Y} >= {A}, -q, 1 - q)",
        before="q = np.resize([{levels}], ({A}.shape[0], 1))",
    ),
}


def targets(net: Network) -> str:
    """Return the name of the targets in the formulas: Y, or Ys with label smoothing."""
    return "Ys" if getattr(net.loss, "smoothing", 0) else "Y"


def matches(net: Network) -> bool:
    """Tell whether dZ_L = A_L - Y (E22-E24)."""
    return bool(net.loss.matching_output == net.output.name)
