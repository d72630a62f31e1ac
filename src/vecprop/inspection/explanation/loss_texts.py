"""The formulas of each loss and of its dZ_L, on paper and in NumPy, with the reason."""

from dataclasses import dataclass
from typing import Any

from vecprop.nn.network import Network


@dataclass(frozen=True)
class LossText:
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
    A, Y = f"A{len(net.sizes) - 1}", targets(net)
    loss: Any = net.loss
    match loss.name:
        case "binary_cross_entropy":
            return LossText(
                f"-[{Y} ∘ ln {A} + (1 - {Y}) ∘ ln(1 - {A})]",
                f"-({Y} * np.log({A}) + (1 - {Y}) * np.log(1 - {A}))",
                f"-{Y} / {A} + (1 - {Y}) / (1 - {A})",
                f"-{Y} / {A} + (1 - {Y}) / (1 - {A})",
                "E22",
                "Binary cross-entropy. The library computes it from Z, so that it is finite where A is rounded to 0 or "
                "1.",
            )
        case "cross_entropy":
            return LossText(
                f"-{Y} ∘ ln {A}",
                f"-{Y} * np.log({A})",
                f"-{Y} / {A}",
                f"-{Y} / {A}",
                "E23",
                "Cross-entropy: a one-hot column of Y picks the logarithm of the right class. The library computes it "
                "from Z, so that it is finite where A is rounded to 0.",
            )
        case "squared_error":
            why = "Half the squared error; the ½ cancels the 2 of the derivative."
            return LossText(f"½ ({A} - {Y})²", f"0.5 * ({A} - {Y})**2", f"{A} - {Y}", f"{A} - {Y}", "E24", why)
        case "absolute_error":
            why = "The absolute error."
            return LossText(f"|{A} - {Y}|", f"np.abs({A} - {Y})", f"sign({A} - {Y})", f"np.sign({A} - {Y})", "E25", why)
        case "huber":
            d = f"{loss.delta:g}"
            return LossText(
                f"h(R), R = {A} - {Y}",
                f"np.where(np.abs(R) <= {d}, 0.5 * R**2, {d} * (np.abs(R) - 0.5 * {d}))",
                f"R, cut to [-{d}, {d}]",
                f"np.clip(R, -{d}, {d})",
                "E25",
                f"Huber's loss: h(r) = ½ r² for |r| ≤ {d}, and {d} (|r| - ½·{d}) beyond, so that an outlier counts "
                "less.",
                f"R = {A} - {Y}",
            )
        case "poisson":
            return LossText(
                f"{Y} ∘ ln({Y} / {A}) - {Y} + {A}",
                f"np.where({Y} > 0, {Y} * np.log(np.where({Y} > 0, {Y}, 1) / {A}), 0) - {Y} + {A}",
                f"1 - {Y} / {A}",
                f"1 - {Y} / {A}",
                "E25",
                "Half the Poisson deviance, for counts; 0 ln 0 is 0.",
            )
        case "quantile":
            levels = ", ".join(f"{q:g}" for q in loss.levels)
            return LossText(
                f"q ({Y} - {A}) where {Y} ≥ {A}, (1 - q) ({A} - {Y}) elsewhere",
                f"np.where({Y} >= {A}, q * ({Y} - {A}), (1 - q) * ({A} - {Y}))",
                f"-q where {Y} ≥ {A}, 1 - q elsewhere",
                f"np.where({Y} >= {A}, -q, 1 - q)",
                "E25",
                f"The quantile loss, for the levels q = {levels} in the rows.",
                f"q = np.resize([{levels}], ({A}.shape[0], 1))",
            )
    raise ValueError(f"loss {loss.name!r} has no texts here")


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
    return {
        (
            "cross_entropy",
            "sigmoid",
        ): " The library multiplies this out, Y ∘ (A - 1): no division by an A rounded to 0.",
        ("binary_cross_entropy", "softmax"): " The library rearranges this product, so that nothing overflows.",
    }.get((net.loss.name, net.output.name), "")
