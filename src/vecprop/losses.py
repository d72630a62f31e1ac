"""Losses, each with its value from the pre-activation Z_L and its dZ_L, side by side (E2, E22-E25).

`values(xp, output, Z, A, Y)` gives the loss of every output of every example, shape (…, n_L, m); the cost (E10) sums
it over the outputs and averages it over the examples. `dZ(xp, output, Z, A, Y)` gives its derivative with respect to
Z_L, of the same shape. Where the loss matches the output's activation dZ_L = A - Y; elsewhere dZ_L = dA_L ∘
g_L′(Z_L) (E25), rearranged so that neither side overflows for any finite Z_L.
"""

from typing import ClassVar, TypeAlias

from vecprop.activations import Activation, Custom, log_softmax, softplus
from vecprop.errors import unknown_name
from vecprop.namespaces import Array, Namespace, real_part


class Loss:
    """What every loss is: a name, the output it matches, its values and its dZ_L, and the targets it accepts."""

    name: ClassVar[str]
    matching_output: ClassVar[str]  # the activation g_L for which dZ_L = A - Y

    # Values: two without parameters are equal if they are of one class.
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def values(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        """Return the loss of each output of each example, shape (…, n_L, m)."""
        raise NotImplementedError

    def dZ(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:  # noqa: N802
        """Return ∂(loss)/∂Z_L, shape (…, n_L, m)."""
        raise NotImplementedError

    def check_output(self, output: Activation, n_out: int) -> None:
        """Raise ValueError if the loss is not defined for this output layer."""

    def valid_targets(self, xp: Namespace, Y: Array) -> Array:
        """Return whether the loss is defined for all the values of Y, as a 0-d boolean array."""
        return xp.all(xp.isfinite(Y))

    def describe_invalid(self, xp: Namespace, Y: Array) -> str:  # noqa: ARG002
        """Return what is wrong with a finite Y for which `valid_targets` is false, and what to do."""
        return f"Y holds values {self.name} is not defined for"


LossLike: TypeAlias = str | Loss


def _check_probability(loss: Loss, output: Activation) -> None:
    if not (output.open_unit_interval or isinstance(output, Custom)):
        raise ValueError(
            f"loss: {loss.name} needs outputs in (0, 1), that is output='sigmoid' or output='softmax', "
            f"got output={output.name!r}; for outputs of any size use loss='squared_error'"
        )


class BinaryCrossEntropy(Loss):
    """L = -[y ln a + (1 - y) ln(1 - a)] (E2, E22); with a sigmoid output dZ = A - Y.

    Evaluated from Z, so it is finite for every finite Z: with a sigmoid output it is
    (1 - y) max(z, 0) + y max(-z, 0) + ln(1 + e^-|z|), a sum without cancellation.

    >>> import numpy as np
    >>> from vecprop.activations import Sigmoid
    >>> Z = np.array([[0.0, 1e4]]); Y = np.array([[1.0, 0.0]])
    >>> BinaryCrossEntropy().values(np, Sigmoid(), Z, Sigmoid().function(np, Z), Y).round(6).tolist()
    [[0.693147, 10000.0]]
    """

    name: ClassVar[str] = "binary_cross_entropy"
    matching_output: ClassVar[str] = "sigmoid"

    def values(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        """Return -[Y ln A + (1 - Y) ln(1 - A)], from Z."""
        if output.name == "sigmoid":
            return Y * softplus(xp, -Z) + (1.0 - Y) * softplus(xp, Z)
        if output.name == "softmax":
            log_rest, _ = _softmax_rest(xp, Z)
            return -Y * log_softmax(xp, Z) - (1.0 - Y) * log_rest
        return -(Y * xp.log(A) + (1.0 - Y) * xp.log(1.0 - A))

    def dZ(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:  # noqa: N802
        """Return A - Y (E22), or what E25 gives for another output."""
        if output.name == self.matching_output:
            return A - Y
        if output.name == "softmax":
            _, P = _softmax_rest(xp, Z)
            return float(Z.shape[-2]) * A - Y - xp.sum((1.0 - Y)[..., :, None, :] * P, axis=-3)
        return output.backward(xp, -Y / A + (1.0 - Y) / (1.0 - A), Z, A)

    def check_output(self, output: Activation, n_out: int) -> None:  # noqa: ARG002
        """Raise ValueError unless the output lies in (0, 1)."""
        _check_probability(self, output)

    def valid_targets(self, xp: Namespace, Y: Array) -> Array:
        """Return whether every label is 0 or 1."""
        return xp.all((Y == 0) | (Y == 1))

    def describe_invalid(self, xp: Namespace, Y: Array) -> str:
        """Return the range of the labels."""
        return (
            f"Y must hold only the labels 0 and 1 for {self.name}, got values from {float(xp.min(Y)):g} to "
            f"{float(xp.max(Y)):g}; code the two classes as 0 and 1, or use loss='squared_error' for real targets"
        )


def _softmax_rest(xp: Namespace, Z: Array) -> tuple[Array, Array]:
    """Return ln(1 - a_k) for a = softmax(Z), (…, n, m), and the softmax P_kj over the others j ≠ k, (…, n, n, m).

    1 - a_k is the share of the other units; it is summed over them, since 1 - a_k itself rounds to 0 when a_k is
    near 1.
    """
    n = Z.shape[-2]
    own = xp.reshape(xp.eye(n), (n, n, 1)) > 0
    others = Z[..., None, :, :]
    top = xp.max(xp.where(own, -xp.inf, real_part(xp, others)), axis=-2, keepdims=True)
    E = xp.where(own, 0.0, xp.exp(xp.where(own, 0.0, others - top)))
    S = xp.sum(E, axis=-2, keepdims=True)
    top_all = xp.max(real_part(xp, Z), axis=-2, keepdims=True)
    log_sum_exp = top_all + xp.log(xp.sum(xp.exp(Z - top_all), axis=-2, keepdims=True))
    return (top + xp.log(S))[..., 0, :] - log_sum_exp, E / S


class CrossEntropy(Loss):
    """L = -Σ_k y_k ln a_k over the one-hot column y (E23); with a softmax output dZ = A - Y.

    Evaluated from Z by log-sum-exp, so it is finite for every finite Z. Columns of Y are class probabilities that
    sum to 1.

    >>> import numpy as np
    >>> from vecprop.activations import Softmax
    >>> Z = np.array([[0.0], [0.0]]); Y = np.array([[1.0], [0.0]]); A = Softmax().function(np, Z)
    >>> loss = CrossEntropy()
    >>> float(loss.values(np, Softmax(), Z, A, Y).sum().round(6)), loss.dZ(np, Softmax(), Z, A, Y).tolist()
    (0.693147, [[-0.5], [0.5]])
    """

    name: ClassVar[str] = "cross_entropy"
    matching_output: ClassVar[str] = "softmax"

    def values(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:
        """Return -Y ln A, from Z."""
        if output.name == "softmax":
            return -Y * log_softmax(xp, Z)
        if output.name == "sigmoid":
            return Y * softplus(xp, -Z)
        return -Y * xp.log(A)

    def dZ(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:  # noqa: N802
        """Return A - Y (E23), or what E25 gives for another output."""
        if output.name == self.matching_output:
            return A - Y
        if output.name == "sigmoid":
            return Y * (A - 1.0)
        return output.backward(xp, -Y / A, Z, A)

    def check_output(self, output: Activation, n_out: int) -> None:
        """Raise ValueError unless the output lies in (0, 1) and has at least two units."""
        _check_probability(self, output)
        if n_out < 2:
            raise ValueError(
                f"loss: {self.name} needs one output unit per class, at least 2, got {n_out}; "
                "for two classes coded in one unit use output='sigmoid' with loss='binary_cross_entropy'"
            )

    def valid_targets(self, xp: Namespace, Y: Array) -> Array:
        """Return whether every column is a probability distribution."""
        return xp.all(Y >= 0) & xp.all(xp.abs(xp.sum(Y, axis=-2) - 1.0) <= 1e-5)

    def describe_invalid(self, xp: Namespace, Y: Array) -> str:
        """Return which of the two conditions fails, and by how much."""
        if xp.min(Y) < 0:
            return f"Y must be class probabilities for {self.name}, got a negative value: {float(xp.min(Y)):g}"
        off = float(xp.max(xp.abs(xp.sum(Y, axis=-2) - 1.0)))
        return (
            f"Y must have columns that sum to 1 for {self.name} (one-hot: 1 in the row of the class, 0 elsewhere), "
            f"got a column whose sum is off by {off:g}; for labels that do not exclude each other use output='sigmoid'"
        )


class SquaredError(Loss):
    """L = ½ Σ_k (a_k - y_k)², half the squared error (E24); with an identity output dZ = A - Y.

    scikit-learn's MLPRegressor averages it over the outputs instead, PyTorch's MSELoss averages and has no ½.

    >>> import numpy as np
    >>> from vecprop.activations import Identity
    >>> Z = np.array([[3.0]]); Y = np.array([[1.0]])
    >>> SquaredError().values(np, Identity(), Z, Z, Y).tolist(), SquaredError().dZ(np, Identity(), Z, Z, Y).tolist()
    ([[2.0]], [[2.0]])
    """

    name: ClassVar[str] = "squared_error"
    matching_output: ClassVar[str] = "identity"

    def values(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:  # noqa: ARG002
        """Return ½ (A - Y)²."""
        return 0.5 * (A - Y) ** 2

    def dZ(self, xp: Namespace, output: Activation, Z: Array, A: Array, Y: Array) -> Array:  # noqa: N802
        """Return (A - Y) ∘ g′(Z) (E24, E25)."""
        return output.backward(xp, A - Y, Z, A)


LOSSES: dict[str, Loss] = {loss.name: loss for loss in (BinaryCrossEntropy(), CrossEntropy(), SquaredError())}


def get_loss(given: LossLike | None, output: Activation, n_out: int) -> Loss:
    """Return the loss for a name or a `Loss`; None gives the one that matches the output, else half the squared error.

    Raises
    ------
    ValueError
        For an unknown name, and for a loss that is not defined for the output.
    TypeError
        For anything that is neither a name nor a `Loss`.

    Examples
    --------
    >>> from vecprop.activations import Softmax
    >>> get_loss(None, Softmax(), 3)
    CrossEntropy()
    """
    if given is None:
        matching = [loss for loss in LOSSES.values() if loss.matching_output == output.name]
        given = matching[0] if matching else "squared_error"
    if isinstance(given, str):
        if given not in LOSSES:
            raise ValueError(f"loss: {unknown_name('loss', given, LOSSES)}")
        given = LOSSES[given]
    if not isinstance(given, Loss):
        raise TypeError(f"loss must be a name or a Loss, got {given!r}")
    given.check_output(output, n_out)
    return given
