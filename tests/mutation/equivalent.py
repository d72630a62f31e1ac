"""Mutants that compute the same as the original, each with the reason: {module: {mutant: reason}}."""

_CUT = "at |z| = 10 and beyond tanh(u) is 1 to the last bit, wherever z is cut"

_NUMBERS = "NumPy takes a number there, too; the standard does since 2024.12"
_TWO_AXES = "of an array with two axes"

_TORCH = "PyTorch alone, which has no arithmetic of uint32, needs it: tests/test_array_api.py, where it is installed"

EQUIVALENT: dict[str, dict[str, str]] = {
    "nn/dropout": {
        "_cut: x if x.dtype == xp.uint32 else x & _ALL_BITS → x & _ALL_BITS": ("all 32 bits of a word of 32 bits"),
        "_words: xp.astype(x, xp.int64) if namespace_name(xp) == 'torch' else x → xp.astype(x, xp.int64)": (
            "words of 64 bits give the same masks"
        ),
        "_words: xp.astype(x, xp.int64) if namespace_name(xp) == 'torch' else x → x": _TORCH,
        "_words: namespace_name(xp) == 'torch' → namespace_name(xp) != 'torch'": _TORCH,
    },
    "nn/batch_norm": {
        "update_statistics: _FORGET * xp.ones_like(count) → _FORGET / xp.ones_like(count)": "divided by 1",
        "update_statistics: _FORGET * xp.ones_like(count) → _FORGET": _NUMBERS,
    },
    "nn/input_scaling": {
        "input_scale: -1 → 1": _TWO_AXES,
        "input_scale: -1 → 1 (2)": _TWO_AXES,
        "input_scale: -1 → 1 (3)": _TWO_AXES,
        "input_scale: -1 → 1 (4)": _TWO_AXES,
        "input_scale: -1 → 1 (5)": _TWO_AXES,
        "input_scale: xp.where(share > 0, X, xp.nan * xp.ones_like(X)) if w is not None else X"
        " → xp.where(share > 0, X, xp.nan * xp.ones_like(X))": "without weights every share is positive",
        "input_scale: xp.nan * xp.ones_like(X) → xp.nan / xp.ones_like(X)": "NaN divided by 1",
        "input_scale: xp.nan * xp.ones_like(X) → xp.nan": _NUMBERS,
        "input_scale: xp.ones_like(X) → xp.zeros_like(X)": "NaN times 0 is NaN",
    },
    "nn/activations": {
        "softplus: xp.where(real_part(xp, Z) >= 0, Z, -Z) if is_complex(xp, Z) else xp.abs(Z)"
        " → xp.where(real_part(xp, Z) >= 0, Z, -Z)": "|Z|, written in another way",
        "GELU._inner: x > 10.0 → x >= 10.0": "10 is cut to 10",
        "GELU._inner: x < -10.0 → x <= -10.0": "-10 is cut to -10",
        "GELU._inner: 10.0 → 20.0": _CUT,
        "GELU._inner: 10.0 → 20.0 (2)": _CUT,
        "GELU._inner: 10.0 → 20.0 (3)": _CUT,
        "GELU._inner: 10.0 → 20.0 (4)": _CUT,
    },
    "nn/initializers": {
        "module: False → True": "the default serves `zeros` alone, whose numbers are 0 in any distribution"
    },
    "nn/losses/classification": {
        "Smoothing._smoothed: Y if self.smoothing == 0 else (1.0 - self.smoothing) * Y + self.smoothing / classes"
        " → (1.0 - self.smoothing) * Y + self.smoothing / classes": "with s = 0 that is Y",
        "Smoothing._smoothed: 0 → 1": "s is below 1; and with s = 0 the other branch is Y, too",
        "_softmax_rest: real_part(xp, A) < 0.5 → real_part(xp, A) <= 0.5": "at ½ both are ln ½",
        "_softmax_rest: 0.0 → 1.0 (2)": "its exponential stands where the unit itself is, and is not chosen there",
        "CrossEntropy.valid_targets: xp.abs(xp.sum(Y, axis=-2) - 1.0) <= 1e-05"
        " → xp.abs(xp.sum(Y, axis=-2) - 1.0) < 1e-05": "distances of numbers from 1 are multiples of 2^-53",
    },
    "nn/losses/regression": {
        "Huber.values: real_part(xp, far) <= self.delta → real_part(xp, far) < self.delta": (
            "at |r| = δ both branches are δ"
        ),
        "Poisson.values: 1.0 → 2.0": "ln of it stands where y is 0, and is not chosen there",
    },
    "nn/weight_penalties": {
        "penalties: total + propagation.penalty(layers, l2, m) → propagation.penalty(layers, l2, m)": (
            "total is 0 there"
        ),
    },
    "training/optimizers": {
        "module: False → True": "two buffers in place of one, for the same updates",
        "Adam.scalars: 2 → 3": "the namespace of c₂ is that of c₁",
        "clip_by_norm: 1 → 0 (2)": "-0 for the axis of an array that has one",
        "clip_by_norm: most * xp.ones_like(norm) → most / xp.ones_like(norm)": "divided by 1",
        "clip_by_norm: most * xp.ones_like(norm) → most": _NUMBERS,
    },
}
