"""Losses for classes: the cross-entropies (E2, E22, E23), with label smoothing.

Label smoothing replaces y by (1 - s) y + s/K, with K = 2 for labels 0 and 1, so that the network is not driven to
certainty. Source: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, 2016, section 7.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

from vecprop.backend.namespaces import Array, Namespace, device_of, real_part
from vecprop.nn.activations import Activation, Custom, log_softmax, softplus
from vecprop.nn.losses.base import Loss
from vecprop.utils.arguments import check_share, is_several, one_or_each


@dataclass(frozen=True)
class Smoothing(Loss):
    """A loss with label smoothing, of outputs in (0, 1)."""

    smoothing: float | tuple[float, ...] = 0.0
    checks: ClassVar = {"smoothing": partial(one_or_each, check=check_share)}

    @property
    def networks(self) -> int | None:
        return len(self.smoothing) if isinstance(self.smoothing, tuple) else None

    def member(self, k: Any) -> Self:
        if not isinstance(self.smoothing, tuple):
            return self
        return replace(self, smoothing=tuple(self.smoothing[i] for i in k) if is_several(k) else self.smoothing[k])

    def check_output(self, output: Activation, n_out: int) -> None:
        if not (output.open_unit_interval or isinstance(output, Custom)):
            raise ValueError(
                f"loss: {self.name} needs outputs in (0, 1), that is output='sigmoid' or output='softmax', "
                f"got output={output.name!r}; for outputs of any size use loss='squared_error'"
            )

    def _smoothed(self, xp: Namespace, Y: Array, classes: int) -> Array:
        """Return (1 - s) Y + s/K."""
        if self.smoothing == 0:
            return Y
        s: Any = self.smoothing
        if isinstance(s, tuple):
            s = xp.asarray(s, dtype=Y.dtype, **device_of(Y))[:, None, None]
        return (1.0 - s) * Y + s / classes


@dataclass(frozen=True)
class BinaryCrossEntropy(Smoothing):
    """L = -[y ln a + (1 - y) ln(1 - a)] (E2, E22); with a sigmoid output dZ = A - Y.

    Evaluated from Z, so finite for every finite Z; with a sigmoid output as the sum, without cancellation, of
    (1 - y) max(z, 0) + y max(-z, 0) + ln(1 + e^-|z|).

    Parameters
    ----------
    smoothing : float or sequence of float, default 0.0
        s of label smoothing, in [0, 1). With K of them `fit` trains K networks in one stack, one with each.

    Examples
    --------
    >>> import numpy as np
    >>> from vecprop.nn.activations import Sigmoid
    >>> Z = np.array([[0.0, 1e4]]); Y = np.array([[1.0, 0.0]])
    >>> BinaryCrossEntropy().values(np, Sigmoid(), Z, Sigmoid().function(np, Z), Y).round(6).tolist()
    [[0.693147, 10000.0]]
    >>> BinaryCrossEntropy(smoothing=0.2).dZ(np, Sigmoid(), Z[:, :1], np.array([[0.5]]), Y[:, :1]).round(6).tolist()
    [[-0.4]]
    """

    name: ClassVar[str] = "binary_cross_entropy"
    matching_output: ClassVar[str] = "sigmoid"

    def values(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        Y = self._smoothed(xp, Y, 2)
        if output.name == "sigmoid":
            return Y * softplus(xp, -Z) + (1.0 - Y) * softplus(xp, Z)
        if output.name == "softmax":
            log_rest, _ = _softmax_rest(xp, Z)
            return -Y * log_softmax(xp, Z) - (1.0 - Y) * log_rest
        return -(Y * xp.log(A) + (1.0 - Y) * xp.log(1.0 - A))

    def dZ(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        Y = self._smoothed(xp, Y, 2)
        if output.name == self.matching_output:
            return A - Y
        if output.name == "softmax":
            _, P = _softmax_rest(xp, Z)
            return float(Z.shape[-2]) * A - Y - xp.sum((1.0 - Y)[..., :, None, :] * P, axis=-3)
        return output.backward(xp, -Y / A + (1.0 - Y) / (1.0 - A), Z, A)

    def valid_targets(self, xp: Namespace, Y: Array) -> Array:
        return xp.all((Y == 0) | (Y == 1))

    def describe_invalid(self, xp: Namespace, Y: Array) -> str:
        return (
            f"Y must hold only the labels 0 and 1 for {self.name}, got values from {float(xp.min(Y)):g} to "
            f"{float(xp.max(Y)):g}; code the two classes as 0 and 1, or use loss='squared_error' for real targets"
        )


def _softmax_rest(xp: Namespace, Z: Array) -> tuple[Array, Array]:
    """Return ln(1 - a_k) (…, n, m) for a = softmax(Z), and the softmax P_kj over j ≠ k (…, n, n, m).

    For large a_k, 1 - a_k is the sum of the other outputs, as the difference could round to 0; for small a_k the sum
    could round to 1, and log1p(-a_k) is taken.
    """
    n = Z.shape[-2]
    Z = Z - xp.max(real_part(xp, Z), axis=-2, keepdims=True)
    own = xp.reshape(xp.eye(n, **device_of(Z)), (n, n, 1)) > 0
    others = Z[..., None, :, :]
    top = xp.max(xp.where(own, -xp.inf, real_part(xp, others)), axis=-2, keepdims=True)
    E = xp.where(own, 0.0, xp.exp(xp.where(own, 0.0, others - top)))
    S = xp.sum(E, axis=-2, keepdims=True)
    log_sum_exp = xp.log(xp.sum(xp.exp(Z), axis=-2, keepdims=True))
    A = xp.exp(Z - log_sum_exp)
    small = real_part(xp, A) < 0.5
    return xp.where(small, xp.log1p(-xp.where(small, A, 0.0)), (top + xp.log(S))[..., 0, :] - log_sum_exp), E / S


@dataclass(frozen=True)
class CrossEntropy(Smoothing):
    """L = -Σ_k y_k ln a_k over the one-hot column y (E23); with a softmax output dZ = A - Y.

    Evaluated from Z by log-sum-exp, so finite where differences of Z are. Each column of Y holds class probabilities,
    which sum to 1.

    Parameters
    ----------
    smoothing : float or sequence of float, default 0.0
        As for `BinaryCrossEntropy`.

    Examples
    --------
    >>> import numpy as np
    >>> from vecprop.nn.activations import Softmax
    >>> Z = np.array([[0.0], [0.0]]); Y = np.array([[1.0], [0.0]]); A = Softmax().function(np, Z)
    >>> loss = CrossEntropy()
    >>> float(loss.values(np, Softmax(), Z, A, Y).sum().round(6)), loss.dZ(np, Softmax(), Z, A, Y).tolist()
    (0.693147, [[-0.5], [0.5]])
    """

    name: ClassVar[str] = "cross_entropy"
    matching_output: ClassVar[str] = "softmax"

    def values(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        Y = self._smoothed(xp, Y, Y.shape[-2])
        if output.name == "softmax":
            return -Y * log_softmax(xp, Z)
        if output.name == "sigmoid":
            return Y * softplus(xp, -Z)
        return -Y * xp.log(A)

    def dZ(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        Y = self._smoothed(xp, Y, Y.shape[-2])
        if output.name == self.matching_output:
            return A - Y
        if output.name == "sigmoid":
            return Y * (A - 1.0)
        return output.backward(xp, -Y / A, Z, A)

    def check_output(self, output: Activation, n_out: int) -> None:
        super().check_output(output, n_out)
        if n_out < 2:
            raise ValueError(
                f"loss: {self.name} needs one output unit per class, at least 2, got {n_out}; "
                "for two classes coded in one unit use output='sigmoid' with loss='binary_cross_entropy'"
            )

    def valid_targets(self, xp: Namespace, Y: Array) -> Array:
        return xp.all(Y >= 0) & xp.all(xp.abs(xp.sum(Y, axis=-2) - 1.0) <= 1e-5)

    def describe_invalid(self, xp: Namespace, Y: Array) -> str:
        if xp.min(Y) < 0:
            return f"Y must be class probabilities for {self.name}, got a negative value: {float(xp.min(Y)):g}"
        off = float(xp.max(xp.abs(xp.sum(Y, axis=-2) - 1.0)))
        return (
            f"Y must have columns that sum to 1 for {self.name} (one-hot: 1 in the row of the class, 0 elsewhere), "
            f"got a column whose sum is off by {off:g}; for labels that do not exclude each other use output='sigmoid'"
        )
