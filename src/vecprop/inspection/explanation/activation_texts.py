"""Formulas of each activation and of the step back through it, on paper and in NumPy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vecprop.nn.activations import Activation, Custom


@dataclass(frozen=True)
class ActivationText:
    """The texts for an activation of layer l, in terms of A{l}, Z{l} and dA{l}."""

    # the right side of A = g(Z), and the lines of code that compute A
    formula: str
    code: str
    slope: str  # g′(Z) on paper; empty if the derivative is not an elementwise factor
    back: str  # the right side of dZ on paper
    back_code: str  # the lines of code that compute dZ from dA
    why: str  # the origin of g′, for the reason of the step
    equation: str = "E14"  # its number, or "E14" if it has none of its own


def describe(g: Activation, l: int) -> ActivationText:
    """Return the texts of an activation in layer l.

    >>> from vecprop.nn.activations import Tanh
    >>> describe(Tanh(), 1).back_code
    'dZ1 = dA1 * (1 - A1 * A1)'
    """
    if isinstance(g, Custom):
        return _elementwise(
            l, f"g{l}(Z{l})", f"A{l} = g{l}(Z{l})", f"g{l}′(Z{l})", f"g{l}_prime(Z{l})", "g and g′ are your own."
        )
    return _TEXTS[g.name](g, l, f"Z{l}", f"A{l}")


def _elementwise(
    l: int, formula: str, code: str, slope: str, slope_code: str, why: str, equation: str = "E14"
) -> ActivationText:
    """Return the texts for dZ = dA ∘ g′; the last line of slope_code is g′."""
    *before, factor = slope_code.split("\n")
    lines = [*before, f"dZ{l} = dA{l} * {_factor(factor)}"]
    return ActivationText(formula, code, slope, f"dA{l} ∘ {_factor(slope)}", "\n".join(lines), why, equation)


def _factor(text: str) -> str:
    """Return a factor, in parentheses if it needs them.

    >>> _factor("1 - A1 ∘ A1"), _factor("A1"), _factor("(Z1 >= 0)"), _factor("g1(Z1)")
    ('(1 - A1 ∘ A1)', 'A1', '(Z1 >= 0)', 'g1(Z1)')
    """
    return text if " " not in text or _closed(text) else f"({text})"


def _closed(text: str) -> bool:
    """Tell whether the whole text is one call or one pair of brackets."""
    depth = 0
    opening = next((i for i, c in enumerate(text) if c in "(["), None)
    if opening is None or " " in text[:opening]:
        return False
    for i, c in enumerate(text):
        depth += (c in "([") - (c in ")]")
        if i > opening and depth == 0:
            return i == len(text) - 1
    return False


def _sigmoid(_: Any, l: int, Z: str, A: str) -> ActivationText:
    why = (
        f"For the sigmoid g′ = a (1 - a). It is computed from {A}, which the forward pass kept: no second exponential."
    )
    code = f"{A} = 1 / (1 + np.exp(-{Z}))"
    return _elementwise(l, f"1 / (1 + e^-{Z})", code, f"{A} ∘ (1 - {A})", f"{A} * (1 - {A})", why, "E17")


def _tanh(_: Any, l: int, Z: str, A: str) -> ActivationText:
    why = f"For tanh g′ = 1 - a². It is computed from {A}, which the forward pass kept: no second tanh."
    return _elementwise(l, f"tanh({Z})", f"{A} = np.tanh({Z})", f"1 - {A} ∘ {A}", f"1 - {A} * {A}", why, "E18")


def _relu(_: Any, l: int, Z: str, A: str) -> ActivationText:
    why = (
        f"For ReLU g′ is 1 where {Z} ≥ 0 and 0 elsewhere, computed from the sign of {Z}. A unit that was off for an "
        "example passes nothing back for it. At exactly 0 the value 1 is a choice; other libraries choose 0."
    )
    return _elementwise(l, f"max(0, {Z})", f"{A} = np.maximum(0, {Z})", f"[{Z} ≥ 0]", f"({Z} >= 0)", why, "E19")


def _leaky_relu(g: Any, l: int, Z: str, A: str) -> ActivationText:
    s = f"{g.slope:g}"
    why = f"For the leaky ReLU g′ is 1 where {Z} ≥ 0 and {s} elsewhere, computed from the sign of {Z}."
    code = f"{A} = np.maximum({s} * {Z}, {Z})"
    slope = f"[1 where {Z} ≥ 0, {s} elsewhere]"
    return _elementwise(l, f"max({s} {Z}, {Z})", code, slope, f"np.where({Z} >= 0, 1, {s})", why, "E20")


def _identity(_: Any, l: int, Z: str, A: str) -> ActivationText:
    why = "For the identity g′ = 1: nothing is to be multiplied."
    return ActivationText(f"{Z}", f"{A} = {Z}", "1", f"dA{l}", f"dZ{l} = dA{l}", why, "E21")


def _softmax(_: Any, l: int, Z: str, A: str) -> ActivationText:
    dA = f"dA{l}"
    why = (
        f"Each entry of a column of {A} depends on all entries of that column of {Z}, so there is no elementwise g′: "
        f"the whole Jacobian is multiplied, dz_k = a_k (da_k - Σ_j a_j da_j). It is computed from {A}."
    )
    code = f"E{l} = np.exp({Z} - np.max({Z}, axis=0, keepdims=True))\n{A} = E{l} / np.sum(E{l}, axis=0, keepdims=True)"
    back = f"{A} ∘ ({dA} - Σ_rows {A} ∘ {dA})"
    back_code = f"dZ{l} = {A} * ({dA} - np.sum({A} * {dA}, axis=0, keepdims=True))"
    return ActivationText(f"e^{Z} / Σ_rows e^{Z}", code, "", back, back_code, why, "E21")


def _softplus(_: Any, l: int, Z: str, A: str) -> ActivationText:
    why = f"For softplus g′ is the sigmoid of {Z}, computed from {Z}."
    code, slope = f"{A} = np.logaddexp(0, {Z})", f"1 / (1 + e^-{Z})"
    return _elementwise(l, f"ln(1 + e^{Z})", code, slope, f"1 / (1 + np.exp(-{Z}))", why)


def _elu(g: Any, l: int, Z: str, A: str) -> ActivationText:
    a = f"{g.alpha:g}"
    why = f"For ELU g′ is 1 where {Z} ≥ 0 and {a} e^z elsewhere, computed from {Z}."
    code = f"{A} = np.where({Z} >= 0, {Z}, {a} * np.expm1(np.minimum({Z}, 0)))"
    slope = f"[1 where {Z} ≥ 0, {a} e^{Z} elsewhere]"
    slope_code = f"np.where({Z} >= 0, 1, {a} * np.exp(np.minimum({Z}, 0)))"
    return _elementwise(l, f"[{Z} where {Z} ≥ 0, {a} (e^{Z} - 1) elsewhere]", code, slope, slope_code, why)


def _gelu(_: Any, l: int, Z: str, A: str) -> ActivationText:
    T, c = f"T{l}", "np.sqrt(2 / np.pi)"
    why = f"T{l} = tanh(u), u = √(2/π) (z + 0.044715 z³); g′ is the product rule, computed from {Z} and {T}."
    code = f"{T} = np.tanh({c} * ({Z} + 0.044715 * {Z}**3))\n{A} = 0.5 * {Z} * (1 + {T})"
    slope = f"½ (1 + {T}) + ½ {Z} ∘ (1 - {T} ∘ {T}) ∘ u′"
    slope_code = f"U{l} = {c} * (1 + 0.134145 * {Z} * {Z})\n0.5 * (1 + {T}) + 0.5 * {Z} * (1 - {T} * {T}) * U{l}"
    return _elementwise(l, f"½ {Z} ∘ (1 + {T}), {T} = tanh(u)", code, slope, slope_code, why)


def _silu(_: Any, l: int, Z: str, A: str) -> ActivationText:
    S = f"S{l}"
    why = f"{S} is the sigmoid of {Z}; the product rule gives g′ = s (1 + z (1 - s)), computed from {Z} and {S}."
    code = f"{S} = 1 / (1 + np.exp(-{Z}))\n{A} = {Z} * {S}"
    formula, slope = f"{Z} ∘ {S}, {S} = 1 / (1 + e^-{Z})", f"{S} ∘ (1 + {Z} ∘ (1 - {S}))"
    return _elementwise(l, formula, code, slope, f"{S} * (1 + {Z} * (1 - {S}))", why)


def _exp(_: Any, l: int, Z: str, A: str) -> ActivationText:
    why = f"For the exponential g′ = a: it is {A} itself, which the forward pass kept."
    return _elementwise(l, f"e^{Z}", f"{A} = np.exp({Z})", f"{A}", f"{A}", why)


def _ordered(g: Any, l: int, Z: str, A: str) -> ActivationText:
    dA, V, groups = f"dA{l}", f"V{l}", g.groups
    why = (
        f"Row k of {A} holds a running sum, so each z went into its own row and all rows below it. The derivative "
        "gathers from those rows, with the sigmoid of z as the derivative of ln(1 + e^z)."
    )
    cut = f".reshape({groups}, -1, m)"
    code = (
        f"{V} = {Z}{cut}\n"
        f"S{l} = np.concatenate([{V}[:, :1], np.logaddexp(0, {V}[:, 1:])], axis=1)\n"
        f"{A} = S{l}.cumsum(axis=1).reshape({Z}.shape)"
    )
    back_code = (
        f"B{l} = {dA}{cut}[:, ::-1].cumsum(axis=1)[:, ::-1]\n"
        f"dZ{l} = np.concatenate([B{l}[:, :1], B{l}[:, 1:] / (1 + np.exp(-{V}[:, 1:]))], axis=1)\n"
        f"dZ{l} = dZ{l}.reshape({Z}.shape)"
    )
    formula = "a_1 = z_1, a_k = a_(k-1) + ln(1 + e^z_k) down the rows"
    return ActivationText(formula, code, "", "σ(z_k) Σ_{j ≥ k} da_j", back_code, why)


_TEXTS: dict[str, Callable[..., ActivationText]] = {
    text.__name__[1:]: text
    for text in (
        _sigmoid, _tanh, _relu, _leaky_relu, _identity, _softmax, _softplus, _elu, _gelu, _silu, _exp, _ordered
    )
}  # fmt: skip
