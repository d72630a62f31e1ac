"""Losses for real targets: half the squared error (E24); others for outliers, counts, quantiles.

Sources: Huber, 1964; McCullagh and Nelder, 1989, section 6.2, for the Poisson deviance; Koenker and Bassett, 1978, for
quantiles.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import ClassVar

from vecprop.backend.namespaces import Array, Namespace, device_of, joined, real_part, sign
from vecprop.nn.activations import Activation
from vecprop.nn.losses.base import Loss
from vecprop.utils.arguments import check_number, check_real


class SquaredError(Loss):
    """L = ½ Σ_k (a_k - y_k)², half the squared error (E24); with an identity output dZ = A - Y.

    scikit-learn's MLPRegressor averages over the outputs instead of summing; so does PyTorch's MSELoss, without the ½.

    >>> import numpy as np
    >>> from vecprop.nn.activations import Identity
    >>> Z = np.array([[3.0]]); Y = np.array([[1.0]])
    >>> SquaredError().values(np, Identity(), Z, Z, Y).tolist(), SquaredError().dZ(np, Identity(), Z, Z, Y).tolist()
    ([[2.0]], [[2.0]])
    """

    name: ClassVar[str] = "squared_error"
    matching_output: ClassVar[str] = "identity"

    def values(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        return 0.5 * (A - Y) ** 2

    def dZ(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        return output.backward(xp, A - Y, Z, A)


class AbsoluteError(Loss):
    """L = Σ_k |a_k - y_k|, the absolute error: its best constant prediction is the median.

    An outlier counts no more than its distance. The derivative at a = y is taken to be 0.

    >>> import numpy as np
    >>> from vecprop.nn.activations import Identity
    >>> Z = np.array([[3.0, 1.0]]); Y = np.array([[1.0, 1.0]]); loss = AbsoluteError()
    >>> loss.values(np, Identity(), Z, Z, Y).tolist(), loss.dZ(np, Identity(), Z, Z, Y).tolist()
    ([[2.0, 0.0]], [[1.0, 0.0]])
    """

    name: ClassVar[str] = "absolute_error"

    def values(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        return _absolute(xp, A - Y)

    def dZ(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        return output.backward(xp, sign(xp, A - Y), Z, A)


@dataclass(frozen=True)
class Huber(Loss):
    """L = Σ_k h(a_k - y_k), h(r) = ½ r² for |r| ≤ δ and δ (|r| - ½ δ) beyond.

    Parameters
    ----------
    delta : float, default 1.0
        δ, positive, in the units of the targets.

    Examples
    --------
    >>> import numpy as np
    >>> from vecprop.nn.activations import Identity
    >>> Z = np.array([[3.0, 0.5]]); Y = np.array([[0.0, 0.0]])
    >>> Huber(1.0).values(np, Identity(), Z, Z, Y).tolist(), Huber(1.0).dZ(np, Identity(), Z, Z, Y).tolist()
    ([[2.5, 0.125]], [[1.0, 0.5]])
    """

    delta: float = 1.0
    checks: ClassVar = {"delta": partial(check_number, zero=False)}
    name: ClassVar[str] = "huber"

    def values(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        far = _absolute(xp, A - Y)
        near = xp.where(real_part(xp, far) <= self.delta, far, self.delta)
        return near * (far - 0.5 * near)  # both cases, squaring nothing above δ

    def dZ(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        return output.backward(xp, xp.maximum(xp.minimum(A - Y, self.delta), -self.delta), Z, A)


class Poisson(Loss):
    """L = Σ_k y_k ln(y_k / a_k) - y_k + a_k, half the Poisson deviance (0 ln 0 = 0).

    For counts and rates y ≥ 0. The output must be a = e^z, the log link; dZ = A - Y. Evaluated as y (e^u - 1 - u) with
    u = z - ln y, whose error is rounding of y u, not of y, where the prediction is good. Equals scikit-learn's
    "poisson".

    >>> import numpy as np
    >>> from vecprop.nn.activations import Exp
    >>> Z = np.array([[0.0, 0.0]]); Y = np.array([[0.0, 1.0]]); A = Exp().function(np, Z)
    >>> Poisson().values(np, Exp(), Z, A, Y).tolist(), Poisson().dZ(np, Exp(), Z, A, Y).tolist()
    ([[1.0, 0.0]], [[1.0, 0.0]])
    """

    name: ClassVar[str] = "poisson"
    matching_output: ClassVar[str] = "exp"

    def values(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        U = Z - xp.log(xp.where(Y > 0, Y, 1.0))
        near = (Y > 0) & (real_part(xp, U) < 1.0)
        V = xp.where(near, U, 0.0)  # for a tiny y, e^u overflows where y e^u = a does not
        return xp.where(near, Y * (xp.expm1(V) - V), A - Y * (1.0 + U))

    def dZ(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        return A - Y

    def check_output(self, output: Activation, n_out: int) -> None:
        if output.name != self.matching_output:
            raise ValueError(f"loss: {self.name} needs output='exp', the log link, got output={output.name!r}")

    def valid_targets(self, xp: Namespace, Y: Array) -> Array:
        return xp.all(xp.isfinite(Y)) & xp.all(Y >= 0)

    def describe_invalid(self, xp: Namespace, Y: Array) -> str:
        return f"Y must be >= 0 for {self.name}, got values down to {float(xp.min(Y)):g}"


@dataclass(frozen=True)
class Quantile(Loss):
    """L = Σ_k ρ_q(y_k - a_k), ρ_q(r) = q r for r ≥ 0 and (q - 1) r below.

    The best constant prediction is the q-quantile. The derivative at a = y is taken to be -q. With several levels each
    target has one output for each level, in the order given, and its row of Y is repeated for each of them. With the
    output `Ordered` quantiles do not cross.

    Parameters
    ----------
    levels : float or sequence of float, default (0.5,)
        q, each in (0, 1), increasing.

    Examples
    --------
    >>> import numpy as np
    >>> from vecprop.nn.activations import Identity
    >>> Z = np.zeros((2, 2)); Y = np.array([[2.0, -2.0], [2.0, -2.0]]); loss = Quantile((0.25, 0.75))
    >>> loss.values(np, Identity(), Z, Z, Y).tolist()
    [[0.5, 1.5], [1.5, 0.5]]
    >>> loss.dZ(np, Identity(), Z, Z, Y).tolist()
    [[-0.25, 0.75], [-0.75, 0.25]]
    """

    levels: tuple[float, ...] = (0.5,)
    name: ClassVar[str] = "quantile"

    def __post_init__(self) -> None:
        given = self.levels if isinstance(self.levels, list | tuple) else (self.levels,)
        levels = tuple(check_real(q, "levels", "in (0, 1)", lambda x: 0 < x < 1) for q in given)
        if not levels or any(a >= b for a, b in pairwise(levels)):
            raise ValueError(f"levels must be one number in (0, 1) or an increasing sequence of them, got {given!r}")
        object.__setattr__(self, "levels", levels)

    def values(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        R, q = Y - A, self._column(xp, Y)
        return xp.where(real_part(xp, R) >= 0, q * R, (q - 1.0) * R)

    def dZ(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        q = self._column(xp, Y)
        return output.backward(xp, xp.where(Y >= A, -q, 1.0 - q), Z, A)

    def _column(self, xp: Namespace, Y: Array) -> Array:
        """Return the level of each output, (n_L, 1)."""
        levels = self.levels * (Y.shape[-2] // len(self.levels))  # made where Y is, not brought there
        return joined(xp, [xp.full((1, 1), q, dtype=Y.dtype, **device_of(Y)) for q in levels], axis=0)

    def check_output(self, output: Activation, n_out: int) -> None:
        if n_out % len(self.levels):
            raise ValueError(
                f"loss: {self.name} with {len(self.levels)} levels needs as many outputs for each target, that is a "
                f"multiple of {len(self.levels)}, got {n_out}"
            )


def _absolute(xp: Namespace, R: Array) -> Array:
    """Return |R|, by the real part of R."""
    return xp.where(real_part(xp, R) >= 0, R, -R)
