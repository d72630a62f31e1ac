"""Activations g and their derivatives g′, side by side (E17-E21).

Each is a frozen, hashable value. `function(xp, Z)` gives A = g(Z); `derivative(xp, Z, A)` gives g′(Z), from A where
that saves work; `backward(xp, dA, Z, A)` gives dZ = dA ∘ g′(Z) (E15), or for `Softmax` and `Ordered`, whose Jacobians
are not diagonal, the product of dA and the Jacobian. `xp` is the array namespace, Z and A have shape (…, n, m).

Functions branch on the real part of Z, so that they can be differentiated by a complex step (E40).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeAlias

from vecprop.backend.contract import locked
from vecprop.backend.namespaces import Array, Namespace, is_complex, real_part
from vecprop.nn.specification import Specification
from vecprop.utils.arguments import check_function, check_number, check_positive_integer, check_share
from vecprop.utils.errors import unknown_name


class Activation(Specification):
    """The base class of activations: a name, g, g′ and the backward step."""

    name: ClassVar[str]
    open_unit_interval: ClassVar[bool] = False  # A lies in (0, 1): a probability, as cross-entropy needs
    elementwise: ClassVar[bool] = True  # a_j depends on z_j alone
    homogeneous: ClassVar[bool] = False  # ReLU and its like, which start from He's initialization (E29)

    def function(self, xp: Namespace, Z: Array) -> Array:
        """Return A = g(Z)."""
        raise NotImplementedError

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        """Return g′(Z), elementwise."""
        raise NotImplementedError

    def backward(self, xp: Namespace, dA: Array, Z: Array, A: Array) -> Array:
        """Return dZ = dA ∘ g′(Z) (E15)."""
        return dA * self.derivative(xp, Z, A)


ActivationLike: TypeAlias = str | Activation | tuple[Callable[[Array], Array], Callable[[Array], Array]]


def relu(xp: Namespace, Z: Array) -> Array:
    """Return max(0, Z), by the real part of Z."""
    return xp.where(real_part(xp, Z) >= 0, Z, 0.0) if is_complex(xp, Z) else xp.maximum(Z, 0.0)


def softplus(xp: Namespace, Z: Array) -> Array:
    """Return ln(1 + e^Z) = max(Z, 0) + ln(1 + e^-|Z|), which overflows for no finite Z."""
    Z_abs = xp.where(real_part(xp, Z) >= 0, Z, -Z) if is_complex(xp, Z) else xp.abs(Z)
    return relu(xp, Z) + xp.log1p(xp.exp(-Z_abs))


def sigmoid(xp: Namespace, Z: Array) -> Array:
    """Return 1 / (1 + e^-Z) as ½ (1 + tanh(Z / 2)), which overflows for no finite Z."""
    return 0.5 * (1.0 + xp.tanh(0.5 * Z))


def log_softmax(xp: Namespace, Z: Array) -> Array:
    """Return ln of the softmax, Z - max - ln Σ e^(Z - max), finite where differences of Z are."""
    Z = Z - xp.max(real_part(xp, Z), axis=-2, keepdims=True)
    if is_complex(xp, Z):
        return Z - xp.log(xp.sum(xp.exp(Z), axis=-2, keepdims=True))
    # ln(1 + rest), with 1 = e^0 for one of the largest: in the sum 1 + rest a tiny rest would be rounded away, and with
    # it the whole loss of an example predicted with near certainty.
    below = xp.astype(Z < 0, Z.dtype)
    ties = float(Z.shape[-2]) - xp.sum(below, axis=-2, keepdims=True)
    rest = xp.sum(below * xp.exp(Z), axis=-2, keepdims=True) + (ties - 1.0)
    return Z - xp.log1p(rest)


class Sigmoid(Activation):
    """The logistic function (E17): g(z) = 1 / (1 + e^-z), g′ = a (1 - a).

    >>> import numpy as np
    >>> g = Sigmoid(); Z = np.array([[0.0]]); A = g.function(np, Z)
    >>> float(A[0, 0]), float(g.derivative(np, Z, A)[0, 0])
    (0.5, 0.25)
    """

    name: ClassVar[str] = "sigmoid"
    open_unit_interval: ClassVar[bool] = True

    def function(self, xp: Namespace, Z: Array) -> Array:
        return sigmoid(xp, Z)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        return A * (1.0 - A)


class Tanh(Activation):
    """The hyperbolic tangent (E18): g′ = 1 - a².

    >>> import numpy as np
    >>> g = Tanh(); Z = np.array([[0.0]])
    >>> float(g.derivative(np, Z, g.function(np, Z))[0, 0])
    1.0
    """

    name: ClassVar[str] = "tanh"

    def function(self, xp: Namespace, Z: Array) -> Array:
        return xp.tanh(Z)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        return 1.0 - A * A


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """The leaky ReLU (E20): g(z) = max(slope·z, z); g′ = slope for z < 0, 1 for z ≥ 0.

    At z = 0 the derivative is 1, as in the equations and in JAX; PyTorch uses `slope` there.

    Parameters
    ----------
    slope : float, default 0.01
        In [0, 1); 0 gives ReLU.

    Examples
    --------
    >>> import numpy as np
    >>> g = LeakyReLU(slope=0.25); Z = np.array([[-2.0, 0.0, 2.0]]); A = g.function(np, Z)
    >>> A.tolist(), g.derivative(np, Z, A).tolist()
    ([[-0.5, 0.0, 2.0]], [[0.25, 1.0, 1.0]])
    """

    slope: float = 0.01
    checks: ClassVar = {"slope": check_share}
    name: ClassVar[str] = "leaky_relu"
    homogeneous: ClassVar[bool] = True

    def function(self, xp: Namespace, Z: Array) -> Array:
        return xp.where(real_part(xp, Z) >= 0, Z, self.slope * Z)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        return xp.where(real_part(xp, Z) >= 0, xp.ones_like(Z), self.slope)

    def backward(self, xp: Namespace, dA: Array, Z: Array, A: Array) -> Array:
        return xp.where(Z >= 0, dA, self.slope * dA)


class ReLU(Activation):
    """The rectified linear unit (E19): g(z) = max(0, z); g′ = 0 for z < 0, 1 for z ≥ 0.

    At z = 0 the derivative is 1, as in the equations; PyTorch, JAX and scikit-learn use 0 there.

    >>> import numpy as np
    >>> g = ReLU(); Z = np.array([[-2.0, 0.0, 2.0]]); A = g.function(np, Z)
    >>> A.tolist(), g.derivative(np, Z, A).tolist()
    ([[0.0, 0.0, 2.0]], [[0.0, 1.0, 1.0]])
    """

    name: ClassVar[str] = "relu"
    homogeneous: ClassVar[bool] = True

    def function(self, xp: Namespace, Z: Array) -> Array:
        return relu(xp, Z)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        return xp.astype(real_part(xp, Z) >= 0, Z.dtype)


class Identity(Activation):
    """No activation (E21): g(z) = z, g′ = 1. The output of a regression (E24).

    >>> import numpy as np
    >>> Identity().function(np, np.array([[3.0]])).tolist()
    [[3.0]]
    """

    name: ClassVar[str] = "identity"

    def function(self, xp: Namespace, Z: Array) -> Array:
        return Z

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        return xp.ones_like(Z)

    def backward(self, xp: Namespace, dA: Array, Z: Array, A: Array) -> Array:
        return dA


class Softmax(Activation):
    """The softmax of each column (E21): a_k = e^z_k / Σ_j e^z_j, shifted by the column's maximum.

    Its Jacobian is not diagonal, so it has no elementwise derivative: dz_k = a_k (da_k - Σ_j a_j da_j) (E25).

    >>> import numpy as np
    >>> Softmax().function(np, np.array([[1000.0], [1000.0]])).tolist()
    [[0.5], [0.5]]
    """

    name: ClassVar[str] = "softmax"
    open_unit_interval: ClassVar[bool] = True
    elementwise: ClassVar[bool] = False

    def function(self, xp: Namespace, Z: Array) -> Array:
        E = xp.exp(Z - xp.max(real_part(xp, Z), axis=-2, keepdims=True))
        return E / xp.sum(E, axis=-2, keepdims=True)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        raise TypeError("softmax has no elementwise derivative; use backward(xp, dA, Z, A)")

    def backward(self, xp: Namespace, dA: Array, Z: Array, A: Array) -> Array:
        return A * (dA - xp.sum(A * dA, axis=-2, keepdims=True))


class Softplus(Activation):
    """The smooth ReLU: g(z) = ln(1 + e^z), g′ = sigmoid(z). Positive: an output for y > 0.

    >>> import numpy as np
    >>> g = Softplus(); Z = np.array([[0.0]]); A = g.function(np, Z)
    >>> round(float(A[0, 0]), 6), float(g.derivative(np, Z, A)[0, 0])
    (0.693147, 0.5)
    """

    name: ClassVar[str] = "softplus"
    homogeneous: ClassVar[bool] = True

    def function(self, xp: Namespace, Z: Array) -> Array:
        return softplus(xp, Z)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        return sigmoid(xp, Z)


@dataclass(frozen=True)
class ELU(Activation):
    """The exponential linear unit: g(z) = z for z ≥ 0, alpha (e^z - 1) below; g′ = 1, alpha e^z.

    Source: Clevert, Unterthiner and Hochreiter, 2016. At z = 0 the derivative is 1.

    Parameters
    ----------
    alpha : float, default 1.0
        Positive; g(z) tends to -alpha far below zero.

    Examples
    --------
    >>> import numpy as np
    >>> g = ELU(); Z = np.array([[0.0, 2.0]])
    >>> g.function(np, Z).tolist(), g.derivative(np, Z, g.function(np, Z)).tolist()
    ([[0.0, 2.0]], [[1.0, 1.0]])
    """

    alpha: float = 1.0
    checks: ClassVar = {"alpha": partial(check_number, zero=False)}
    name: ClassVar[str] = "elu"
    homogeneous: ClassVar[bool] = True

    def function(self, xp: Namespace, Z: Array) -> Array:
        # e^min(Z, 0), as the branch not chosen must not overflow either
        return xp.where(real_part(xp, Z) >= 0, Z, self.alpha * xp.expm1(-relu(xp, -Z)))

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        return xp.where(real_part(xp, Z) >= 0, 1.0, self.alpha * xp.exp(-relu(xp, -Z)))


class GELU(Activation):
    """The GELU in its tanh form: g(z) = ½ z (1 + tanh(u)), u = √(2/π) (z + 0.044715 z³).

    The Gaussian error linear unit of Hendrycks and Gimpel, 2016. The array API standard has no error function, so this
    is the tanh form of `jax.nn.gelu` and `torch.nn.GELU(approximate="tanh")`, within 5e-4 of the exact function.

    >>> import numpy as np
    >>> g = GELU(); Z = np.array([[0.0, 20.0]]); A = g.function(np, Z)
    >>> A.tolist(), g.derivative(np, Z, A).tolist()
    ([[0.0, 20.0]], [[0.5, 1.0]])
    """

    name: ClassVar[str] = "gelu"
    homogeneous: ClassVar[bool] = True

    @staticmethod
    def _inner(xp: Namespace, Z: Array) -> tuple[Array, Array, Array]:
        """Return z cut at ±10, u and du/dz."""
        # Beyond |z| = 10 tanh(u) is ±1 to the last bit, and z³ may overflow.
        x = real_part(xp, Z)
        z = xp.where(x > 10.0, 10.0, xp.where(x < -10.0, -10.0, Z))
        c = math.sqrt(2 / math.pi)
        return z, c * z * (1.0 + 0.044715 * z * z), c * (1.0 + 3 * 0.044715 * z * z)

    def function(self, xp: Namespace, Z: Array) -> Array:
        _, u, _ = self._inner(xp, Z)
        return 0.5 * Z * (1.0 + xp.tanh(u))

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        z, u, du = self._inner(xp, Z)
        # 1 - tanh²(u) = 4s / (1 + s)² with s = e^(-2|u|): the subtraction would leave an error of |z|·du/dz roundings
        s = xp.exp(-2.0 * xp.abs(u))
        return 0.5 * (1.0 + xp.tanh(u)) + 0.5 * z * (4.0 * s / (1.0 + s) ** 2 * du)


class SiLU(Activation):
    """The sigmoid linear unit, also called swish: g(z) = z·σ(z), g′ = σ (1 + z (1 - σ)).

    Source: Elfwing, Uchibe and Doya, 2018.

    >>> import numpy as np
    >>> g = SiLU(); Z = np.array([[0.0]]); A = g.function(np, Z)
    >>> float(A[0, 0]), float(g.derivative(np, Z, A)[0, 0])
    (0.0, 0.5)
    """

    name: ClassVar[str] = "silu"
    homogeneous: ClassVar[bool] = True

    def function(self, xp: Namespace, Z: Array) -> Array:
        return Z * sigmoid(xp, Z)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        S = sigmoid(xp, Z)
        return S * (1.0 + Z * (1.0 - S))


class Exp(Activation):
    """The exponential: g(z) = e^z = g′. An output for counts and rates (`losses.Poisson`).

    >>> import numpy as np
    >>> g = Exp(); Z = np.array([[0.0]]); A = g.function(np, Z)
    >>> A.tolist(), g.derivative(np, Z, A).tolist()
    ([[1.0]], [[1.0]])
    """

    name: ClassVar[str] = "exp"

    def function(self, xp: Namespace, Z: Array) -> Array:
        return xp.exp(Z)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        return A


@dataclass(frozen=True)
class Ordered(Activation):
    """Outputs that do not decrease down the rows: a_1 = z_1, a_k = a_{k-1} + ln(1 + e^z_k).

    For quantiles. Backward: dz_1 = Σ_j da_j, dz_k = σ(z_k) Σ_{j ≥ k} da_j.

    Parameters
    ----------
    groups : int, default 1
        The number of groups of equal size, one for each target, that the rows are divided into. Each group is ordered.

    Examples
    --------
    >>> import numpy as np
    >>> g = Ordered(); Z = np.array([[3.0], [0.0], [0.0]]); A = g.function(np, Z)
    >>> A.round(6).tolist(), g.backward(np, np.ones((3, 1)), Z, A).tolist()
    ([[3.0], [3.693147], [4.386294]], [[3.0], [1.0], [0.5]])
    """

    groups: int = 1
    checks: ClassVar = {"groups": check_positive_integer}
    name: ClassVar[str] = "ordered"
    elementwise: ClassVar[bool] = False

    def function(self, xp: Namespace, Z: Array) -> Array:
        steps = self._grouped(xp, Z)
        steps = xp.concat([steps[..., :1, :], softplus(xp, steps[..., 1:, :])], axis=-2)
        return xp.reshape(xp.cumulative_sum(steps, axis=-2), Z.shape)

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        raise TypeError("ordered outputs have no elementwise derivative; use backward(xp, dA, Z, A)")

    def backward(self, xp: Namespace, dA: Array, Z: Array, A: Array) -> Array:
        below = xp.flip(xp.cumulative_sum(xp.flip(self._grouped(xp, dA), axis=-2), axis=-2), axis=-2)
        rest = sigmoid(xp, self._grouped(xp, Z)[..., 1:, :]) * below[..., 1:, :]
        return xp.reshape(xp.concat([below[..., :1, :], rest], axis=-2), Z.shape)

    def _grouped(self, xp: Namespace, V: Array) -> Array:
        """Return V as (…, groups, rows of a group, m)."""
        n, m = V.shape[-2:]
        if n % self.groups:
            raise ValueError(f"output: ordered in {self.groups} groups needs a multiple of as many units, got {n}")
        return xp.reshape(V, (*V.shape[:-2], self.groups, n // self.groups, m))


@dataclass(frozen=True)
class Custom(Activation):
    """A pair of a function and its derivative, both elementwise functions of Z alone.

    Written with operators, or with functions of the namespace of Z (`array_api_compat.array_namespace(Z)`), they run on
    every backend; written with `numpy.…`, only on NumPy. `vp.check_gradients` tells whether the derivative is right.
    `Network` also takes a plain tuple (function, derivative) instead.

    Parameters
    ----------
    g, g_prime : callable
        Z (…, n, m) -> g(Z) and g′(Z), of the same shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> square = Custom(lambda Z: Z * Z, lambda Z: 2 * Z); Z = np.array([[3.0]])
    >>> square.function(np, Z).tolist(), square.derivative(np, Z, None).tolist()
    ([[9.0]], [[6.0]])
    """

    g: Callable[[Array], Array]
    g_prime: Callable[[Array], Array]
    name: ClassVar[str] = "custom"
    checks: ClassVar = dict.fromkeys(("g", "g_prime"), partial(check_function, of="Z"))

    def function(self, xp: Namespace, Z: Array) -> Array:
        return _in_dtype_of(Z, xp, self.g(locked(Z)))

    def derivative(self, xp: Namespace, Z: Array, A: Array) -> Array:
        return _in_dtype_of(Z, xp, self.g_prime(locked(Z)))


def _in_dtype_of(Z: Array, xp: Namespace, values: Array) -> Array:
    """Return a user's values in the dtype of Z: NumPy's integers and numbers such as numpy.sqrt(2) widen float32."""
    return xp.astype(values, Z.dtype) if type(values) is type(Z) and values.dtype != Z.dtype else values


ACTIVATIONS: dict[str, Activation] = {
    kind.name: kind()
    for kind in (Sigmoid, Tanh, ReLU, LeakyReLU, Identity, Softmax, Softplus, ELU, GELU, SiLU, Exp, Ordered)
}


def is_pair(given: object) -> bool:
    """Tell whether an object is a tuple of two functions, g and g′."""
    return isinstance(given, tuple) and len(given) == 2 and all(callable(f) for f in given)


def get_activation(given: ActivationLike | Sequence[object], argument: str = "activation") -> Activation:
    """Return the activation for a name, an `Activation`, or a pair (g, g′).

    ValueError for an unknown name suggests the nearest known one; TypeError for anything else.

    >>> get_activation("tanh")
    Tanh()
    >>> get_activation("rellu")
    Traceback (most recent call last):
    ValueError: activation: unknown activation 'rellu': did you mean 'relu'? Known: elu, exp, ...
    """
    if isinstance(given, Activation):
        return given
    if isinstance(given, str):
        if given not in ACTIVATIONS:
            raise ValueError(f"{argument}: {unknown_name('activation', given, ACTIVATIONS)}")
        return ACTIVATIONS[given]
    if is_pair(given):
        g, g_prime = given
        return Custom(g, g_prime)  # type: ignore[arg-type]
    raise TypeError(f"{argument} must be a name, an Activation or a pair (function, derivative), got {given!r}")
