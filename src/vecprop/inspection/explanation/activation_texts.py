"""Formulas of each activation and of the step back through it, on paper and in NumPy."""

from typing import NamedTuple

from vecprop.nn.activations import Activation


class ActivationText(NamedTuple):
    """The texts for an activation of layer l, in terms of A{l}, Z{l} and dA{l}."""

    # the right side of A = g(Z), and the lines of code that compute A
    formula: str
    code: str
    # the right side of dZ on paper, and the lines of code that compute dZ from dA
    back: str
    back_code: str
    why: str  # the origin of g′, for the reason of the step
    equation: str = "E14"  # its number, or "E14" if it has none of its own


def describe(g: Activation, l: int) -> ActivationText:
    """Return the texts of an activation in layer l."""
    names = {name: f"{name}{l}" for name in ("Z", "A", "dA", "dZ")}
    return ActivationText(*(text.format(g=g, l=l, **names) for text in _TEXTS[g.name]))


_TEXTS = {
    "sigmoid": ActivationText(
        "1 / (1 + e^-{Z})",
        "{A} = 1 / (1 + np.exp(-{Z}))",
        "{dA} ∘ ({A} ∘ (1 - {A}))",
        "{dZ} = {dA} * ({A} * (1 - {A}))",
        "For the sigmoid g′ = a (1 - a). It is computed from {A}, which the forward pass kept: no second exponential.",
        "E17",
    ),
    "tanh": ActivationText(
        "tanh({Z})",
        "{A} = np.tanh({Z})",
        "{dA} ∘ (1 - {A} ∘ {A})",
        "{dZ} = {dA} * (1 - {A} * {A})",
        "For tanh g′ = 1 - a². It is computed from {A}, which the forward pass kept: no second tanh.",
        "E18",
    ),
    "relu": ActivationText(
        "max(0, {Z})",
        "{A} = np.maximum(0, {Z})",
        "{dA} ∘ [{Z} ≥ 0]",
        "{dZ} = {dA} * ({Z} >= 0)",
        "For ReLU g′ is 1 where {Z} ≥ 0 and 0 elsewhere, computed from the sign of {Z}. A unit that was off for an "
        "example passes nothing back for it. At exactly 0 the value 1 is a choice; other libraries choose 0.",
        "E19",
    ),
    "leaky_relu": ActivationText(
        "max({g.slope:g} {Z}, {Z})",
        "{A} = np.maximum({g.slope:g} * {Z}, {Z})",
        "{dA} ∘ [1 where {Z} ≥ 0, {g.slope:g} elsewhere]",
        "{dZ} = {dA} * np.where({Z} >= 0, 1, {g.slope:g})",
        "For the leaky ReLU g′ is 1 where {Z} ≥ 0 and {g.slope:g} elsewhere, computed from the sign of {Z}.",
        "E20",
    ),
    "identity": ActivationText(
        "{Z}", "{A} = {Z}", "{dA}", "{dZ} = {dA}", "For the identity g′ = 1: nothing is to be multiplied.", "E21"
    ),
    "softmax": ActivationText(
        "e^{Z} / Σ_rows e^{Z}",
        "E{l} = np.exp({Z} - np.max({Z}, axis=0, keepdims=True))\n{A} = E{l} / np.sum(E{l}, axis=0, keepdims=True)",
        "{A} ∘ ({dA} - Σ_rows {A} ∘ {dA})",
        "{dZ} = {A} * ({dA} - np.sum({A} * {dA}, axis=0, keepdims=True))",
        "Each entry of a column of {A} depends on all entries of that column of {Z}, so there is no elementwise g′: "
        "the whole Jacobian is multiplied, dz_k = a_k (da_k - Σ_j a_j da_j). It is computed from {A}.",
        "E21",
    ),
    "softplus": ActivationText(
        "ln(1 + e^{Z})",
        "{A} = np.logaddexp(0, {Z})",
        "{dA} ∘ (1 / (1 + e^-{Z}))",
        "{dZ} = {dA} * (1 / (1 + np.exp(-{Z})))",
        "For softplus g′ is the sigmoid of {Z}, computed from {Z}.",
    ),
    "elu": ActivationText(
        "[{Z} where {Z} ≥ 0, {g.alpha:g} (e^{Z} - 1) elsewhere]",
        "{A} = np.where({Z} >= 0, {Z}, {g.alpha:g} * np.expm1(np.minimum({Z}, 0)))",
        "{dA} ∘ [1 where {Z} ≥ 0, {g.alpha:g} e^{Z} elsewhere]",
        "{dZ} = {dA} * np.where({Z} >= 0, 1, {g.alpha:g} * np.exp(np.minimum({Z}, 0)))",
        "For ELU g′ is 1 where {Z} ≥ 0 and {g.alpha:g} e^z elsewhere, computed from {Z}.",
    ),
    "gelu": ActivationText(
        "½ {Z} ∘ (1 + T{l}), T{l} = tanh(u)",
        "T{l} = np.tanh(np.sqrt(2 / np.pi) * ({Z} + 0.044715 * {Z}**3))\n{A} = 0.5 * {Z} * (1 + T{l})",
        "{dA} ∘ (½ (1 + T{l}) + ½ {Z} ∘ (1 - T{l} ∘ T{l}) ∘ u′)",
        "U{l} = np.sqrt(2 / np.pi) * (1 + 0.134145 * {Z} * {Z})\n"
        "{dZ} = {dA} * (0.5 * (1 + T{l}) + 0.5 * {Z} * (1 - T{l} * T{l}) * U{l})",
        "T{l} = tanh(u), u = √(2/π) (z + 0.044715 z³); g′ is the product rule, computed from {Z} and T{l}.",
    ),
    "silu": ActivationText(
        "{Z} ∘ S{l}, S{l} = 1 / (1 + e^-{Z})",
        "S{l} = 1 / (1 + np.exp(-{Z}))\n{A} = {Z} * S{l}",
        "{dA} ∘ (S{l} ∘ (1 + {Z} ∘ (1 - S{l})))",
        "{dZ} = {dA} * (S{l} * (1 + {Z} * (1 - S{l})))",
        "S{l} is the sigmoid of {Z}; the product rule gives g′ = s (1 + z (1 - s)), computed from {Z} and S{l}.",
    ),
    "exp": ActivationText(
        "e^{Z}",
        "{A} = np.exp({Z})",
        "{dA} ∘ {A}",
        "{dZ} = {dA} * {A}",
        "For the exponential g′ = a: it is {A} itself, which the forward pass kept.",
    ),
    "ordered": ActivationText(
        "a_1 = z_1, a_k = a_(k-1) + ln(1 + e^z_k) down the rows",
        "V{l} = {Z}.reshape({g.groups}, -1, m)\n"
        "S{l} = np.concatenate([V{l}[:, :1], np.logaddexp(0, V{l}[:, 1:])], axis=1)\n"
        "{A} = S{l}.cumsum(axis=1).reshape({Z}.shape)",
        "σ(z_k) Σ_{{j ≥ k}} da_j",
        "B{l} = {dA}.reshape({g.groups}, -1, m)[:, ::-1].cumsum(axis=1)[:, ::-1]\n"
        "{dZ} = np.concatenate([B{l}[:, :1], B{l}[:, 1:] / (1 + np.exp(-V{l}[:, 1:]))], axis=1)\n"
        "{dZ} = {dZ}.reshape({Z}.shape)",
        "Row k of {A} holds a running sum, so each z went into its own row and all rows below it. The derivative "
        "gathers from those rows, with the sigmoid of z as the derivative of ln(1 + e^z).",
    ),
    "custom": ActivationText(
        "g{l}({Z})", "{A} = g{l}({Z})", "{dA} ∘ g{l}′({Z})", "{dZ} = {dA} * g{l}_prime({Z})", "g and g′ are your own."
    ),
}
