"""`diagnose(result)`: what is wrong with a training run, and what to change.

Causes are looked for before effects. Inputs out of scale, units that do nothing and gradients that do not arrive (E36)
explain a cost that does not fall. Only if none of these is found is a high cost called bias, and only if training and
validation set are alike is the gap between them called variance (E37).
"""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vecprop.inspection.diagnosis_checks import CHECKS, Found
from vecprop.inspection.diagnosis_evidence import Evidence, evidence_of
from vecprop.training.results import FitResult, lowest
from vecprop.utils.advice import ESTIMATOR, FIT, PACK, SCALED, Advice
from vecprop.utils.errors import DivergenceError

_WIDTH = 100  # characters in a line of the text


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    name : str
        One of those listed at `diagnose`.
    message : str
        What is wrong, with the numbers that show it.
    numbers : dict
        These numbers.
    advice : str
        What to change, the most promising first.
    """

    name: str
    message: str
    numbers: dict[str, Any]
    advice: str

    def __str__(self) -> str:
        text = textwrap.fill(f"{self.name}: {self.message}", _WIDTH, initial_indent="  ", subsequent_indent="      ")
        indent = " " * 6
        advice = textwrap.fill(f"→ {self.advice}", _WIDTH, initial_indent=indent, subsequent_indent=indent)
        return f"{text}\n{advice}" if self.advice else text


@dataclass(frozen=True)
class Diagnosis:
    """The findings of `diagnose`: a collection, true if there are any, that prints as text.

    Attributes
    ----------
    subject : str
        What was diagnosed.
    findings : tuple of Finding
        Causes before effects.
    numbers : dict of str -> float
        The numbers that the checks looked at, by a description.

    Examples
    --------
    >>> diagnosis = Diagnosis("network 2-1", (Finding("high_bias", "too simple", {"cost": 0.7}, "add a layer"),), {})
    >>> bool(diagnosis), "high_bias" in diagnosis, diagnosis["high_bias"].numbers
    (True, True, {'cost': 0.7})
    >>> print(diagnosis)
    network 2-1: 1 finding
      high_bias: too simple
          → add a layer
    >>> print(Diagnosis("network 2-1", (), {"training cost": 0.25}))
    network 2-1: nothing found
      training cost  0.25
    """

    subject: str
    findings: tuple[Finding, ...]
    numbers: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __contains__(self, name: object) -> bool:
        return any(finding.name == name for finding in self.findings)

    def __getitem__(self, name: str) -> Finding:
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(f"{name!r} was not found, only {[finding.name for finding in self.findings]}")

    def __str__(self) -> str:
        if self.findings:
            count = f"{len(self)} finding{'s' if len(self) > 1 else ''}"
            return "\n".join([f"{self.subject}: {count}", *map(str, self.findings)])
        width = max(map(len, self.numbers), default=0)
        rows = (f"  {name.ljust(width)}  {value:.3g}" for name, value in self.numbers.items())
        return "\n".join([f"{self.subject}: nothing found", *rows])


def diagnose(result: Any) -> Diagnosis:
    """Find what went wrong in a training run from its history, parameters and data (E36-E38).

    Parameters
    ----------
    result : FitResult, DivergenceError, or a fitted estimator
        The result or error of `vp.fit`, or a fitted estimator of vecprop. Of a stack the best network is diagnosed,
        of a pack that of the group with the largest weight.

    Returns
    -------
    Diagnosis
        `print` it, or ask `"dead_relu" in diagnosis`. The names of the findings:

        "divergence", "diverged_members" : a cost or a gradient that is not finite
        "unscaled_inputs", "unscaled_targets" : features or targets far from mean 0 and deviation 1 (E35)
        "different_data" : training and validation set do not come from one distribution (E37)
        "identical_units" : a layer whose units are all alike (E27)
        "saturated_units" : sigmoid or tanh where it is flat, on nearly all examples (E28)
        "dead_relu" : ReLU units that are 0 on all examples (E19)
        "vanishing_gradients", "exploding_gradients" : a layer that gets far less, or more, than the last (E36)
        "learning_rate_too_high" : the cost rises or oscillates, or is far too high in the first epochs
        "still_falling" : the cost has not come to rest: too few epochs, or too low a learning rate
        "high_bias" : the training set itself is not learned, for none of the reasons above (E37)
        "high_variance" : the validation set is predicted much worse than the training set (E37)

    Raises
    ------
    TypeError
        For anything else, and for an estimator that was loaded from a file, which has no record of the data.

    Examples
    --------
    No line separates the classes of XOR, so logistic regression stays at ln 2 = 0.693:

    >>> import vecprop as vp
    >>> X, Y = vp.datasets.xor(m=200)
    >>> simple = vp.fit(vp.Network((2, 1)), X, Y, optimizer=vp.GradientDescent(1.0), epochs=100)
    >>> diagnosis = diagnose(simple)
    >>> [finding.name for finding in diagnosis], round(diagnosis["high_bias"].numbers["training cost"], 2)
    (['high_bias'], 0.69)

    >>> result = vp.fit(vp.Network((2, 8, 1)), X, Y, optimizer=vp.Adam(0.05), epochs=100)
    >>> bool(diagnose(result))
    False
    """
    given = result
    for name in ("pack_", "leading_", "result_"):  # of an estimator, the pack of one, its network that counts most
        result = getattr(result, name, result)
    if isinstance(result, DivergenceError):
        evidence, title = evidence_of(result), "a training run that diverged"
        found = {"divergence": _divergence(result, evidence)}
    elif isinstance(result, FitResult):
        member, place, found = _best_member(result)
        evidence = evidence_of(member)
        title = f"{place}{member.net}, {len(evidence.costs)} epochs"
    else:
        raise TypeError(
            "result must be the FitResult that vp.fit returned, the DivergenceError that it raised, or an estimator of "
            f"vecprop fitted in this program, such as `estimator` of a model of tables, got {type(given).__name__}"
        )
    with np.errstate(all="ignore"):
        for check in CHECKS:
            if (trouble := check(evidence, {*found})) is not None:
                found[check.__name__] = trouble
    # an estimator's divergence is a ValueError, too
    words = ESTIMATOR if result is not given or isinstance(given, ValueError) else FIT
    if hasattr(getattr(given, "pack_", given), "leading_"):
        words = PACK
    elif evidence.standardized or getattr(given, "scale", None) == "standard":
        words = {**words, **SCALED}
    if len(evidence.costs) and np.isnan(evidence.rate):  # of L-BFGS
        words = {**words, "learning_rate": None}
    findings = (Finding(name, text, numbers, Advice(steps, words)) for name, (text, numbers, steps) in found.items())
    return Diagnosis(title, tuple(findings), evidence.numbers)


def _divergence(error: DivergenceError, e: Evidence) -> Found:
    numbers: dict[str, Any] = {"epoch": error.epoch, "step": error.step, "layer": error.layer}
    before = ""
    if len(e.costs):
        numbers |= {"first cost": float(e.costs[0]), "last cost": float(e.costs[-1]), "learning rate": e.rate}
        before = f" The cost was {e.costs[0]:.3g} in the first epoch and {e.costs[-1]:.3g} in the last good one."
    return (
        f"in epoch {error.epoch}, step {error.step}, the cost or a gradient was no longer finite; layer {error.layer} "
        f"was the first to go.{before}",
        numbers,
        "lower the {learning_rate} by a factor of 3 to 10; scale the inputs ({standardize}); clip the gradients "
        "({clip_norm:1.0}); start from smaller weights ({init}). The error's `state` is good to go on from",
    )


def _best_member(result: FitResult) -> tuple[FitResult, str, dict[str, Found]]:
    """Return the network to diagnose, its place in a stack, and what is found if others diverged."""
    K = result.networks
    if K is None:
        return result, "", {}
    best = lowest(result.final_costs)
    last = np.asarray(result.history["cost"][-1:], dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(last).all(axis=0)).tolist() if last.size else []
    place = f"network {best} of a stack of {K}, the best: "
    if not bad:
        return result.member(best), place, {}
    rates = np.broadcast_to(np.asarray(result.history["learning_rate"][-1], dtype=np.float64), (K,))
    where = f", at learning rates of {min(rates[bad]):g} and above" if np.ptp(rates) > 0 else ""
    found: Found = (
        f"{len(bad)} of the {K} networks of the stack diverged, number {', '.join(map(str, bad))}{where}.",
        {"members": bad, "networks": K, "learning rates": rates[bad].tolist()},
        "lower or leave out the largest {learning_rate}s; scale the inputs ({standardize}); clip the gradients "
        "({clip_norm:1.0})",
    )
    return result.member(best), place, {"diverged_members": found}
