"""The checks of a diagnosis: each looks for the trouble of its name and returns message, numbers and advice, or None.

They run in the order of `CHECKS`, causes before effects, and each is given the names of the earlier findings.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from vecprop.inspection.diagnosis_evidence import Evidence, Floats
from vecprop.nn.losses import SquaredError

Found: TypeAlias = tuple[str, dict[str, Any], str]  # message, numbers, and the steps of an `Advice`

# Every threshold on a cost is a share of the baseline, the cost of predicting the mean of Y (for classes their shares)
# whatever X is, so that it means the same for every loss and every unit of Y. `learned` is the share removed.
_LEARNED = 0.9  # a network that learned this share has no trouble worth naming in how it learns
_POOR = 0.3  # below, a network has hardly learned; above, noise alone may be the reason
_NOTHING = 0.02  # below, a network with hidden layers is where it began, on a plateau or a saddle
_TOGETHER = 0.98  # correlation above which two units are worth one
_CONSTANT = 1e-6  # deviation of a unit over its size, below which it is rounding
_GAP = 0.2  # validation costs a fifth of the baseline more than training: R² 0.79 against 0.99
_RISE = 0.05  # larger than the chance changes of an epoch
_FAR = 3.0  # times the cost of equal probabilities: certain of classes that are wrong
_CHANCE = 2.0  # standard errors: a gap this large comes by chance once in 40 times

_FAINT = 0.01  # of the last layer's gradient: a layer with less needs 100 epochs for what the last learns in one
_FLAT = 0.05  # of the steepest slope: tanh beyond |z| = 2.2, sigmoid beyond 4.4
_NEARLY_ALL = 0.95  # of the examples; units that are flat on fewer still learn from the others
_MANY_FLAT = 0.5  # of a layer's units: some are flat in every trained network
_MANY_DEAD = 0.2  # of a layer's units: some die in healthy runs, a fifth is a loss of capacity
_HALF_DEAD = 0.5  # of a layer's units, if the network has learned all the same: wide networks can spare a third

_LARGE = 10.0  # root mean square of a feature: with it alone z is near 10, where tanh and sigmoid are flat (E28)
_LARGE_ALL = 5.0  # of all features: the deviation of z under Xavier's weights (E29); tanh′ is 0.0002 there
_SMALL = 0.3  # the largest |x|: a layer sees less than a third of what its initialization is made for
_APART = 100.0  # range of one feature over that of another: the weights of the smaller learn 100² times slower
_OFFSET = 10.0  # distance from 0 over half the range: the offset is all that a unit sees of the feature
_LARGE_TARGET, _SMALL_TARGET = 30.0, 0.01  # initial outputs are near 1 in size


# --- the data -----------------------------------------------------------------------------------------------


def unscaled_inputs(e: Evidence, _: set[str]) -> Found | None:
    """Find features far from mean 0 and deviation 1, unless training itself scaled them (E35).

    Constant features are left out. Ranges are compared, not deviations: a pixel that is seldom on has a small
    deviation and does no harm.
    """
    if e.training is None or e.standardized:
        return None
    X = e.training.X
    low, high = X.min(axis=1), X.max(axis=1)
    varying = np.flatnonzero(high > low)
    if not len(varying):
        return None
    X, middle, half = X[varying], (high + low)[varying] / 2, (high - low)[varying] / 2
    size = np.sqrt((X**2).mean(axis=1))
    offset = np.abs(middle) / half
    all_sizes = float(np.sqrt((size**2).mean()))
    numbers = {
        "size of the inputs": all_sizes,
        "largest feature": float(size.max()),
        "largest |x|": float(np.abs(X).max()),
        "range, largest / smallest": float(half.max() / half.min()),
        "offset / half the range": float(offset.max()),
    }
    e.numbers["size of the inputs (root mean square)"] = all_sizes
    k, j, n = (int(varying[f(a)]) for f, a in ((np.argmax, size), (np.argmax, offset), (np.argmin, half)))
    wrong = []
    if numbers["largest feature"] > _LARGE or all_sizes > _LARGE_ALL:
        wrong.append(f"feature {k} has the root mean square {size.max():.3g} (all of them {all_sizes:.3g})")
    if numbers["largest |x|"] < _SMALL:
        wrong.append(f"no |x| is larger than {numbers['largest |x|']:.2g}")
    if numbers["range, largest / smallest"] > _APART:
        wrong.append(f"the range of feature {n} is {half.max() / half.min():.3g} times smaller than another's")
    if numbers["offset / half the range"] > _OFFSET:
        wrong.append(f"feature {j} lies {offset.max():.3g} times half its range away from 0")
    if not wrong:
        return None
    message = f"the inputs are not scaled: {'; '.join(wrong)}. Mean 0 and deviation 1 are good (E35)."
    return message, numbers, "{scaled_inputs}; then choose the {learning_rate} anew"


def unscaled_targets(e: Evidence, _: set[str]) -> Found | None:
    """Find real targets much larger or smaller than the outputs of an untrained network."""
    if e.training is None or e.training.net.output.name != "identity":
        return None
    Y = e.training.Y
    size, deviation = float(np.sqrt((Y**2).mean(axis=1)).max()), float(Y.std(axis=1).max())
    if size <= _LARGE_TARGET and not 0 < deviation < _SMALL_TARGET:
        return None
    return (
        f"the targets have the root mean square {size:.3g} and the deviation {deviation:.3g}; an untrained network "
        "gives outputs near 1, and the gradients have the scale of the difference.",
        {"size of the targets": size, "deviation of the targets": deviation},
        "{scaled_targets}",
    )


def different_data(e: Evidence, _: set[str]) -> Found | None:
    """Find training and validation sets that come from different distributions (E37).

    This is Kolmogorov and Smirnov's test of each row of X and Y, at a level of 1 in 1000 for all rows together. The
    largest distance between two empirical distribution functions needs no assumption about the data. It shows
    differences of means and of deviations; on a row of one-hot Y it is the difference of the shares.
    """
    if e.training is None or e.validation is None:
        return None
    pairs = [*zip(e.training.X, e.validation.X, strict=True), *zip(e.training.Y, e.validation.Y, strict=True)]
    distances = np.array([_distance(a, b) for a, b in pairs])
    m, n = e.training.X.shape[1], e.validation.X.shape[1]
    bound = float(np.sqrt(np.log(2 * len(pairs) / 1e-3) / 2 * (m + n) / (m * n)))
    worst, distance = int(distances.argmax()), float(distances.max())
    e.numbers["training against validation set (distance of distributions)"] = distance
    if distance <= bound:
        return None
    n_0, (a, b) = len(e.training.X), pairs[worst]
    row = f"feature {worst}" if worst < n_0 else f"row {worst - n_0} of Y"
    means, deviations = (float(a.mean()), float(b.mean())), (float(a.std()), float(b.std()))
    return (
        f"training and validation set differ more than chance explains, {row} most: mean {means[0]:.3g} and deviation "
        f"{deviations[0]:.3g} in training, {means[1]:.3g} and {deviations[1]:.3g} in validation; "
        f"{(distances > bound).sum()} of {len(pairs)} rows differ.",
        {"row": worst, "distance": distance, "bound": bound, "means": means, "deviations": deviations},
        "shuffle before splitting, or let fit split ({validation}); scale both with the training set's {statistics}; "
        "{new_split}",
    )


def _distance(a: Floats, b: Floats) -> float:
    """Return the largest distance between the empirical distribution functions of two samples.

    >>> _distance(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.5
    """
    places = np.concatenate([a, b])
    shares = (np.searchsorted(np.sort(s), places, side="right") / len(s) for s in (a, b))
    return float(np.abs(next(shares) - next(shares)).max())


# --- units and gradients ------------------------------------------------------------------------------------


def identical_units(e: Evidence, _: set[str]) -> Found | None:
    """Find a hidden layer whose units all compute the same, as after zero initialization (E27)."""
    for l, (W, b) in enumerate(e.layers[:-1], start=1):
        rows = np.concatenate([W, b], axis=1)
        difference, largest = float((rows.max(axis=0) - rows.min(axis=0)).max()), float(np.abs(rows).max())
        if len(W) > 1 and difference <= 1e-4 * largest:
            return (
                f"the {len(W)} units of layer {l} are all alike (their weights differ by {difference:.1g} at most), so "
                "they get the same gradient and never part: the layer is worth one unit (E27).",
                {"layer": l, "units": len(W), "largest difference": difference, "largest weight": largest},
                'start from random weights: {init:"auto"}; {new_seed}',
            )
    return None


def saturated_units(e: Evidence, found: set[str]) -> Found | None:
    """Find sigmoid and tanh units that are flat on nearly all examples (E28), so dZ is nearly 0.

    A network that has learned well is left out: its units may be flat because they are right. So is layer 1 if the
    inputs are out of scale, which explains flat units.
    """
    if e.training is None:
        return None
    net, shares = e.training.net, {}
    first = 2 if "unscaled_inputs" in found else 1
    for l, g in enumerate(net.activations[first - 1 :], start=first):
        steepest = {"tanh": 1.0, "sigmoid": 0.25}.get(g.name)
        passes_slope = l < len(net.activations) or isinstance(net.loss, SquaredError)
        if steepest is not None and passes_slope:
            slope = g.derivative(np, e.training.Z[l], e.training.A[l])
            shares[l] = float(((slope < _FLAT * steepest).mean(axis=1) >= _NEARLY_ALL).mean())
    if not shares:
        return None
    worst = max(shares, key=lambda l: shares[l])
    e.numbers["saturated units, largest share of a layer"] = shares[worst]
    if shares[worst] < _MANY_FLAT or e.learned > _LEARNED:
        return None
    size = float(np.median(np.abs(e.training.Z[worst])))
    cause = "scale the inputs ({standardize})" if worst == 1 else "a lower {learning_rate}"
    return (
        f"{shares[worst]:.0%} of the {net.activations[worst - 1].name} units of layer {worst} are in the flat part "
        f"on nearly all examples (half of all |z| are above {size:.3g}), so hardly any gradient passes them (E28).",
        {"layer": worst, "share": shares[worst], "shares": shares, "median |z|": size},
        cause + '; smaller initial weights ({init:"auto"}); {batch_norm:True}; L2 ({l2:…}); or {hidden:"relu"}',
    )


def dead_relu(e: Evidence, _: set[str]) -> Found | None:
    """Find ReLU units that are 0 on every example: with slope 0, they never come back (E19)."""
    if e.training is None:
        return None
    shares = {
        l: float((e.training.A[l] <= 0).all(axis=1).mean())
        for l, g in enumerate(e.training.net.activations, start=1)
        if g.name == "relu"
    }
    if not shares:
        return None
    worst = max(shares, key=lambda l: shares[l])
    e.numbers["dead ReLU units, largest share of a layer"] = shares[worst]
    if shares[worst] < (_HALF_DEAD if e.learned > _LEARNED else _MANY_DEAD):
        return None
    m = e.training.X.shape[1]
    return (
        f"{shares[worst]:.0%} of the ReLU units of layer {worst} are 0 on all of {m} examples: no gradient reaches "
        "them, and they never come back (E19).",
        {"layer": worst, "share": shares[worst], "shares": shares},
        'a lower {learning_rate}; {init:"he"}; scale the inputs ({standardize}); {hidden:"leaky_relu"} or "elu", or '
        "{batch_norm:True}",
    )


def _signals(e: Evidence) -> Floats | None:
    """Return the gradient at each layer relative to the last, over the last quarter of the run.

    It is ‖dW_l‖ (E36) over the size of a column of A_{l-1}, which leaves the size of dZ_l. ‖dW_l‖ alone grows with the
    width of layer l - 1, since dW_l = (1/m) dZ_l A_{l-1}ᵀ has a column for each of its units; ‖dW_l‖ / ‖W_l‖ falls with
    n_l, since ‖W_l‖² is near n_l under every initialization of E29. Each layer multiplies dZ by W_lᵀ and by g′ (E15),
    and with He's and Xavier's weights its size stays the same whatever the widths.
    """
    late = e.norms[-max(1, len(e.norms) // 4) :]
    if len(e.layers) < 2 or not len(late):
        return None
    inputs = np.sqrt(np.array([W.shape[1] for W, _ in e.layers], dtype=np.float64))
    if e.training is not None:
        measured = np.array([np.sqrt((a**2).sum(axis=0).mean()) for a in e.training.A[:-1]])
        inputs = np.concatenate([inputs[:1], measured[1:]]) if e.standardized else measured
    tiny = np.finfo(np.float64).tiny
    signals = np.exp(np.log(np.maximum(late, tiny)).mean(axis=0)) / np.maximum(inputs, tiny)
    if not np.isfinite(signals).all() or late[:, -1].max() == 0:
        return None
    return np.asarray(signals / signals[-1], dtype=np.float64)


def _hidden_gradient(e: Evidence, name: str, chosen: Callable[[Floats], Any]) -> dict[str, Any] | None:
    """Return the numbers of the hidden layer whose gradient, relative to the last layer's, is chosen."""
    signals = _signals(e)
    if signals is None:
        return None
    worst = int(chosen(signals[:-1]))
    e.numbers[f"gradient of the {name} layer / of the last"] = ratio = float(signals[worst])
    return {"layer": worst + 1, "ratio": ratio, "ratios": signals.tolist(), "norm": float(e.norms[-1, worst])}


# Findings of which a vanishing gradient is an effect. Inputs out of scale saturate layer 1.
_NO_SLOPE = {"unscaled_inputs", "identical_units", "saturated_units", "dead_relu"}


def vanishing_gradients(e: Evidence, found: set[str]) -> Found | None:
    """Find a hidden layer with under 1/100 of the last layer's gradient and no known cause (E36)."""
    numbers = _hidden_gradient(e, "weakest", np.argmin)
    if numbers is None or numbers["ratio"] >= _FAINT or found & _NO_SLOPE:
        return None
    part = f"only {numbers['ratio']:.1g}" if numbers["norm"] > 0 else "nothing"
    return (
        f"of the gradient that the last layer gets, {part} arrives at layer {numbers['layer']} (its norm is "
        f"{numbers['norm']:.1g} at the end), so it hardly learns.",
        numbers,
        '{hidden:"relu"} with {init:"he"} (E29); {batch_norm:True} (E34); fewer {layers}',
    )


def exploding_gradients(e: Evidence, found: set[str]) -> Found | None:
    """Find a hidden layer with over 100 times the last layer's gradient (compare E36)."""
    numbers = None if "identical_units" in found else _hidden_gradient(e, "strongest", np.argmax)
    if numbers is None or numbers["ratio"] <= 1 / _FAINT:
        return None
    return (
        f"the gradient grows on its way back: layer {numbers['layer']} gets {numbers['ratio']:.2g} times what the last "
        f"layer gets (its norm is {numbers['norm']:.2g} at the end), so no learning rate fits both.",
        numbers,
        'smaller initial weights ({init:"auto"}, E29); {clip_norm:1.0}; {batch_norm:True}; fewer {layers}',
    )


# --- the course of the cost ---------------------------------------------------------------------------------


def learning_rate_too_high(e: Evidence, found: set[str]) -> Found | None:
    """Find a cost that swings by a twentieth of the baseline each epoch, ends above its start, or starts far above it.

    The swing is a median over the second half of the run, so a single jump that training recovers from does not count.
    Of the start only classes tell: a new network gives each of them about the same probability.
    If inputs or targets are out of scale, a learning rate can only be judged after they are scaled.
    """
    costs = e.costs
    explained = found & {"divergence", "unscaled_inputs", "unscaled_targets"}
    if explained or len(costs) < 6:  # fewer changes have no useful median
        return None
    scale = e.baseline if np.isfinite(e.baseline) else float(np.abs(costs[0])) or 1.0
    changes = np.diff(costs[len(costs) // 2 - 1 :])
    swing, rising = float(np.median(np.abs(changes))) / scale, float((changes > 0).mean())
    end = float(costs[-max(1, len(costs) // 4) :].mean())
    rise = (end - costs[0]) / scale
    e.numbers["change of the cost from epoch to epoch / baseline"] = swing
    above = not end <= e.baseline  # true if the baseline is unknown
    if swing > _RISE and rising > 0.2:
        what = f"the cost swings by {swing:.0%} of the baseline from epoch to epoch, and rises in {rising:.0%} of them"
    elif rise > _RISE and above:
        what = f"the cost was {costs[0]:.3g} in the first epoch and is {end:.3g} at the end"
    elif costs[:2].min() > _FAR * e.equal_shares:
        start = f"the cost was {costs[0]:.3g} and {costs[1]:.3g} in the first epochs"
        what = f"{start}, and of equal probabilities for all classes it is {e.equal_shares:.3g}"
    else:
        return None
    numbers = {"swing": swing, "rising epochs": rising, "first cost": float(costs[0]), "last cost": end}
    return (
        f"{what}: the steps are too long.",
        numbers | {"learning rate": e.rate},
        f"lower the {{learning_rate}}{_now(e)} by a factor of 3 to 10{{or_schedule}}; {{larger_batches}}; scale the "
        "inputs ({standardize})",
    )


def _now(e: Evidence) -> str:
    """Return the largest learning rate of the run in brackets, or nothing if it is unknown."""
    return f" (now {e.rate:.3g})" if np.isfinite(e.rate) else ""


# Findings that explain a high cost: neither the number of epochs nor the size of the network is then to blame.
_OBSTACLES = {
    "divergence", "unscaled_inputs", "unscaled_targets", "identical_units", "saturated_units", "dead_relu",
    "vanishing_gradients", "exploding_gradients", "learning_rate_too_high",
}  # fmt: skip


def still_falling(e: Evidence, found: set[str]) -> Found | None:
    """Find a cost that still falls, on the training set and on the validation set if there is one."""
    costs = e.costs if "different_data" in found else e.watched
    if len(costs) < 3 or e.stopped in ("patience", "converged") or found & _OBSTACLES:
        return None
    fall, falls = _fall(costs)
    end = float(costs[-1])
    e.numbers["fall of the cost in the last third / cost"] = fall / end
    if not (falls and _fall(e.costs)[1] and end < costs[0]) or e.learned > _LEARNED:
        return None
    begun = _has_only_begun(costs)
    rate = f"a {{learning_rate}} 10 times larger{_now(e)}{{or_adam}}"
    return (
        f"the cost {'barely falls' if begun else 'is still falling'}: from {costs[0]:.4g} to {end:.4g} in {len(costs)} "
        f"epochs, and by {fall:.2g} from the second to the last third of them.",
        {"first cost": float(costs[0]), "last cost": end, "fall": fall, "learning rate": e.rate},
        f"{rate}; then more {{epochs}}" if begun else f"more {{epochs}}; {rate}",
    )


def _fall(costs: Floats) -> tuple[float, bool]:
    """Return the fall of a cost from the second to the last third of a run, and if it goes on.

    Each third is taken to bring r times the fall of the third before, so as many epochs again bring three more falls.
    The cost still falls if they are worth a twentieth of it, or if it has only begun to fall, evenly (r near 1).
    """
    n = len(costs) // 3
    thirds = (costs[-3 * n : -2 * n], costs[-2 * n : -n], costs[-n:])
    before, fall = (float(a.mean() - b.mean()) for a, b in pairwise(thirds))
    noise = float(np.diff(costs[-2 * n :], 2).std() / np.sqrt(6 * n)) if n > 2 else 0.0  # second differences: no trend
    end = abs(float(costs[-1]))
    if fall <= max(3 * noise, 1e-5 * end):  # smaller falls are noise or rounding in float32
        return fall, False
    r = min(fall / before, 1.0) if before > 0 else 1.0
    even = before > 0 and r > 0.9
    return fall, fall * (r + r**2 + r**3) > _RISE * end or (even and _has_only_begun(costs))


def _has_only_begun(costs: Floats) -> bool:
    """Return whether a cost fell by less than a tenth in the whole run."""
    return float(costs[0] - costs[-1]) < 0.1 * abs(float(costs[0]))


def high_bias(e: Evidence, found: set[str]) -> Found | None:
    """Find a training set that is not learned, with training at rest and nothing else wrong (E37)."""
    # with fewer than three epochs in a third of the run, noise cannot be told from rest (`_fall`)
    fewest = 9 if e.stopped == "epochs" else 3
    if e.training is None or not np.isfinite(e.learned) or len(e.costs) < fewest:
        return None
    J, learned = e.training.cost, e.learned
    e.numbers.update({"training cost": J, "baseline, the cost of predicting the mean": e.baseline})
    if learned >= _POOR or found & (_OBSTACLES | {"still_falling"}):
        return None
    stuck = len(e.layers) > 1 and (learned < _NOTHING or any(map(_worth_one_unit, e.training.A[1:-1])))
    reason, seeds = "the network is too simple for the data, or X tells no more about Y", "{seeds} (E38)"
    less = "less regularization ({l2}, {dropout})"
    steps = ["more units or {layers}", "another {activation}", less, seeds, "more features"]
    if stuck:  # a plateau or a saddle: from other initial weights the same network may learn
        reason = f"training is stuck, {reason}"
        steps = [seeds, "a larger {learning_rate}{or_adam}", *(step for step in steps if step != seeds)]
    return (
        f"the training cost has come to rest at {J:.3g}, where predicting the mean of Y, whatever X is, costs "
        f"{e.baseline:.3g}: {reason}.",
        {"training cost": J, "baseline": e.baseline, "learned": learned},
        "; ".join(steps),
    )


def _worth_one_unit(A: Floats) -> bool:
    """Tell whether a layer of several units is worth one: all move together or stay constant.

    >>> _worth_one_unit(np.array([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.1], [5.0, 5.0, 5.0]]))
    True
    """
    varying = A[A.std(axis=1) > _CONSTANT * np.abs(A).max(axis=1)]
    return len(A) > 1 and (len(varying) < 2 or bool(np.abs(np.corrcoef(varying)).min() > _TOGETHER))


def high_variance(e: Evidence, found: set[str]) -> Found | None:
    """Find a validation set predicted much worse than the training set (E37), or worse and worse.

    Both costs are of the sample, with the parameters of the result and without penalties and dropout, so that they
    compare. If the two sets differ in distribution, that may be the reason for the gap, and nothing is found.
    """
    if e.training is None or e.validation is None or not np.isfinite(e.baseline):
        return None
    training = e.training if e.validation.w is not None else replace(e.training, w=None)  # class weights are not its
    J, J_held_out, baseline = training.cost, e.validation.cost, training.baseline
    gap = (J_held_out - J) / baseline
    error = np.sqrt(sum(p.losses.var() / len(p.losses) for p in (training, e.validation))) / baseline
    lowest = float(np.nanmin(e.watched)) if len(e.watched) else float("nan")
    rise = 0.0 if e.keeps_best or not len(e.watched) else float(e.watched[-1] - lowest) / baseline
    e.numbers.update({"validation cost": J_held_out, "(validation - training cost) / baseline": float(gap)})
    rising = rise > _RISE and gap > _RISE
    if not (gap > _GAP or rising) or gap < _CHANCE * error or "different_data" in found:
        return None
    epoch = int(np.nanargmin(e.watched)) + 1 if len(e.watched) else 0
    since = f", and has risen from {lowest:.3g} since epoch {epoch}" if rising else ""
    return (
        f"the validation cost is {J_held_out:.3g}, the training cost {J:.3g}{since} (predicting the mean costs "
        f"{baseline:.3g}): the network has learned what is special about its training examples.",
        {"training cost": J, "validation cost": J_held_out, "gap": float(gap), "rise": rise, "epoch": epoch},
        "{patience}; " * (not e.keeps_best) + "{l2:…}; {dropout:…}; more examples; fewer {units}",
    )


CHECKS: tuple[Callable[[Evidence, set[str]], Found | None], ...] = (
    unscaled_inputs, unscaled_targets, different_data, identical_units, saturated_units, dead_relu,
    vanishing_gradients, exploding_gradients, learning_rate_too_high, still_falling, high_bias, high_variance,
)  # fmt: skip
