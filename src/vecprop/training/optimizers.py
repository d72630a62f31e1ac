"""Optimizers: frozen values with two pure functions.

    init(params) -> slots        update(grads, slots, params, rate) -> (params, slots)

Slots are the memory of an optimizer between steps. With the parameters, the numbers of the epoch and the step, and the
seed they are the whole state of a training run. Parameters, gradients and slots may be any nested tuples of arrays: the
layers of a network, or one buffer that holds them all.

The `rule` of an optimizer is an elementwise function, which `update` applies to every array.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol, TypeAlias

from vecprop.backend.namespaces import Array, Namespace, array_namespace, device_of
from vecprop.backend.pytrees import leaves_of, map_tree, map_trees, unzip_trees
from vecprop.nn.dropout import Fuse
from vecprop.propagation import Layer, Params, per_column
from vecprop.training.schedules import CONSTANT, Schedule, check_schedule
from vecprop.training.training_pass import BoundMethod
from vecprop.utils.arguments import (
    check_flag,
    check_number,
    check_positive_integer,
    check_real,
    check_share,
    one_or_each,
)

Slots: TypeAlias = tuple[Any, ...]


class Optimizer(Protocol):
    """The interface of optimizers for `fit`; hashable, as a compiled epoch is kept for each."""

    @property
    def learning_rate(self) -> float | tuple[float, ...]:
        """The step size α₀ at which the schedule starts; K of them train K networks."""

    @property
    def schedule(self) -> Schedule:
        """How the step size changes from step to step."""

    def init(self, params: Any) -> Slots:
        """Return the slots before the first step."""

    def update(
        self, grads: Any, slots: Slots, params: Any, rate: Array | float | None = None, fuse: Fuse = ...
    ) -> tuple[Any, Slots]:
        """Return parameters and slots after one step of size `rate`; the arguments stay unchanged."""


def _unfused(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


class Elementwise:
    """The base of elementwise optimizers: slots of zeros, and a rule applied to every array.

    `rate` is a number, a 0-d array, or (K,) for a stack of K networks. `fuse` makes one kernel of an elementwise
    function (`Backend.fuse`).
    """

    learning_rate: float | tuple[float, ...]
    schedule: Schedule
    slot_count: ClassVar[int] = 0
    decays_weights_alone: ClassVar[bool] = False  # then W and b must not share a buffer
    # (xp, P, G, *slots, *scalars) -> (P, *slots) after one step, elementwise
    rule: Callable[..., tuple[Array, ...]]

    def __post_init__(self) -> None:
        given = vars(self)
        for name, check in _CHECKS.items():
            if name in given:
                object.__setattr__(self, name, check(given[name], name))

    def init(self, params: Any) -> Slots:
        """Return slots of zeros, each with the structure of the parameters."""
        return tuple(map_tree(lambda a: array_namespace(a).zeros_like(a), params) for _ in range(self.slot_count))

    def update(
        self, grads: Any, slots: Slots, params: Any, rate: Array | float | None = None, fuse: Fuse = _unfused
    ) -> tuple[Any, Slots]:
        """Return parameters and slots after one step, of size `learning_rate` by default."""
        rate = _single(self.learning_rate, "learning_rate", "rate") if rate is None else rate
        scalars, remembered = self.scalars(slots, rate, fuse)
        xp = array_namespace(next(leaves_of(params)))

        fused = fuse(BoundMethod(self, "rule", xp))
        columns = tuple(per_column(s) for s in scalars)
        moved = map_trees(lambda *leaves: fused(*leaves, *columns), params, grads, *slots[: self.slot_count])
        params, *trees = unzip_trees(moved, 1 + self.slot_count, params)
        return params, (*trees, *remembered)

    def scalars(self, slots: Slots, rate: Array | float, fuse: Fuse) -> tuple[tuple[Array | float, ...], Slots]:
        """Return the rule's numbers, the same for all parameters, and the slots that are numbers."""
        return (rate,), ()


# How the parameters of elementwise optimizers are checked, by their names.
_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "learning_rate": lambda value, name: one_or_each(value, name, partial(check_number, zero=False)),
    "schedule": lambda value, _: check_schedule(value),
    **dict.fromkeys(("beta", "rho", "beta1", "beta2"), check_share),
    "momentum": lambda value, name: check_real(value, name, "in [0, 1]", lambda x: 0 <= x <= 1),
    "nesterov": check_flag,
    "epsilon": partial(check_number, zero=False),
    "weight_decay": lambda value, name: one_or_each(value, name, check_number),
}


def _scalar_zero(params: Any) -> Array:
    """Return 0 as an array of the parameters' dtype: (K,) for a stack, 0-d for one network."""
    a = next(leaves_of(params))
    xp = array_namespace(a)
    return xp.zeros(a.shape[:-2], dtype=a.dtype, **device_of(a))


@dataclass(frozen=True)
class GradientDescent(Elementwise):
    """Gradient descent (E12): P ← P - α dP for every W and b.

    Parameters
    ----------
    learning_rate : float or sequence of float, default 0.1
        α, positive, else ValueError or TypeError. With K of them `fit` trains K networks in one stack, one with each.
    schedule : Schedule, default Constant()
        How α changes.

    Examples
    --------
    >>> import numpy as np
    >>> params = (Layer(np.array([[1.0]]), np.array([[0.0]])),)
    >>> grads = (Layer(np.array([[2.0]]), np.array([[1.0]])),)
    >>> ((W, b),), slots = GradientDescent(learning_rate=0.5).update(grads, (), params)
    >>> W.tolist(), b.tolist()
    ([[0.0]], [[-0.5]])
    """

    learning_rate: float | tuple[float, ...] = 0.1
    schedule: Schedule = CONSTANT

    def rule(self, xp: Namespace, P: Array, G: Array, alpha: Array | float) -> tuple[Array, ...]:
        return (P - alpha * G,)


@dataclass(frozen=True)
class Momentum(Elementwise):
    """Gradient descent along a running mean of the gradients (E31).

        V ← βV + (1 - β) dP      P ← P - αV

    With `nesterov` the step looks ahead: P ← P - α (βV + (1 - β) dP), with the new V.

    Sources: Polyak, 1964; Sutskever, Martens, Dahl and Hinton, 2013, section 2 for Nesterov's. Deviation: PyTorch,
    optax and scikit-learn add the whole gradient, V ← βV + dP; their learning rate α(1 - β) corresponds to α here, and
    `SGD` has their form.

    Parameters
    ----------
    learning_rate, schedule
        As for `GradientDescent`.
    beta : float, default 0.9
        β, in [0, 1); 0 is gradient descent.
    nesterov : bool, default False

    Examples
    --------
    On paper: V = 0.5·0 + 0.5·2 = 1, then 1 - 0.1·1.

    >>> import numpy as np
    >>> optimizer = Momentum(0.1, beta=0.5)
    >>> params = (np.array([[1.0]]),)
    >>> (P,), ((V,),) = optimizer.update((np.array([[2.0]]),), optimizer.init(params), params)
    >>> P.tolist(), V.tolist()
    ([[0.9]], [[1.0]])
    """

    learning_rate: float | tuple[float, ...] = 0.1
    beta: float = 0.9
    nesterov: bool = False
    schedule: Schedule = CONSTANT
    slot_count: ClassVar[int] = 1

    def rule(self, xp: Namespace, P: Array, G: Array, V: Array, alpha: Array | float) -> tuple[Array, ...]:
        V = self.beta * V + (1.0 - self.beta) * G
        direction = self.beta * V + (1.0 - self.beta) * G if self.nesterov else V
        return P - alpha * direction, V


@dataclass(frozen=True)
class SGD(Elementwise):
    """Gradient descent with momentum in the form of scikit-learn and Keras.

        V ← μV - α dP      P ← P + V

    With `nesterov` the step looks ahead: P ← P + μV - α dP, with the new V. Unlike in `Momentum` (E31) the whole
    gradient is added, so steps are 1/(1 - μ) times as long, and a changed α acts on new gradients only.

    Source: Sutskever, Martens, Dahl and Hinton, 2013, equations 1 to 4.

    Parameters
    ----------
    learning_rate, schedule
        As for `GradientDescent`; the rate is 0.001 by default.
    momentum : float, default 0.9
        μ, in [0, 1].
    nesterov : bool, default True

    Examples
    --------
    On paper: V = 0.5·0 - 0.1·2, then 1 - 0.2.

    >>> import numpy as np
    >>> optimizer = SGD(0.1, momentum=0.5, nesterov=False)
    >>> params = (np.array([[1.0]]),)
    >>> (P,), ((V,),) = optimizer.update((np.array([[2.0]]),), optimizer.init(params), params)
    >>> P.tolist(), V.tolist()
    ([[0.8]], [[-0.2]])
    """

    learning_rate: float | tuple[float, ...] = 0.001
    momentum: float = 0.9
    nesterov: bool = True
    schedule: Schedule = CONSTANT
    slot_count: ClassVar[int] = 1

    def rule(self, xp: Namespace, P: Array, G: Array, V: Array, alpha: Array | float) -> tuple[Array, ...]:
        step = alpha * G
        V = self.momentum * V - step
        return P + (self.momentum * V - step if self.nesterov else V), V


@dataclass(frozen=True)
class RMSProp(Elementwise):
    """Steps scaled by a running mean of the squared gradients.

        S ← ρS + (1 - ρ) dP²      P ← P - α dP / (√S + ε)

    Source: Tieleman and Hinton, 2012, lecture 6.5. As `torch.optim.RMSprop` without momentum; optax's default has ε
    under the root.

    Parameters
    ----------
    learning_rate, schedule
        As for `GradientDescent`; the rate is 0.001 by default.
    rho : float, default 0.99
        ρ, in [0, 1).
    epsilon : float, default 1e-8
        ε, positive.

    Examples
    --------
    On paper: S = 0.75·0 + 0.25·4 = 1, then 1 - 0.5·2/1.

    >>> import numpy as np
    >>> optimizer = RMSProp(0.5, rho=0.75)
    >>> params = (np.array([[1.0]]),)
    >>> (P,), ((S,),) = optimizer.update((np.array([[2.0]]),), optimizer.init(params), params)
    >>> P.round(6).tolist(), S.tolist()
    ([[0.0]], [[1.0]])
    """

    learning_rate: float | tuple[float, ...] = 0.001
    rho: float = 0.99
    epsilon: float = 1e-8
    schedule: Schedule = CONSTANT
    slot_count: ClassVar[int] = 1

    def rule(self, xp: Namespace, P: Array, G: Array, S: Array, alpha: Array | float) -> tuple[Array, ...]:
        S = self.rho * S + (1.0 - self.rho) * (G * G)
        return P - alpha * G / (xp.sqrt(S) + self.epsilon), S


@dataclass(frozen=True)
class Adam(Elementwise):
    """Adam: running means of the gradient and its square, corrected for their start at zero.

        M ← β₁M + (1 - β₁) dP      S ← β₂S + (1 - β₂) dP²      P ← P - α (M/c₁) / (√(S/c₂) + ε)

    c₁ = 1 - β₁ᵗ and c₂ = 1 - β₂ᵗ are computed as running means of the constant 1, c ← βc + (1 - β), since a subtraction
    from 1 would cost float32 four digits.

    Source: Kingma and Ba, 2015, algorithm 1. As `torch.optim.Adam` and `optax.adam`; scikit-learn divides by √S + ε,
    with ε not scaled by √c₂.

    Parameters
    ----------
    learning_rate, schedule
        As for `GradientDescent`; the rate is 0.001 by default.
    beta1, beta2 : float, default 0.9 and 0.999
        In [0, 1).
    epsilon : float, default 1e-8
        ε, positive.

    Examples
    --------
    The first step is α long whatever the gradient: M/c₁ = dP and √(S/c₂) = |dP|.

    >>> import numpy as np
    >>> optimizer = Adam(0.1)
    >>> params = (np.array([[1.0, 1.0]]),)
    >>> (P,), slots = optimizer.update((np.array([[3.0, -0.01]]),), optimizer.init(params), params)
    >>> P.round(6).tolist()
    [[0.9, 1.1]]
    """

    learning_rate: float | tuple[float, ...] = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    schedule: Schedule = CONSTANT
    slot_count: ClassVar[int] = 2

    def init(self, params: Any) -> Slots:
        """Return (M, S, c₁, c₂), all zero."""
        return (*super().init(params), _scalar_zero(params), _scalar_zero(params))

    def scalars(self, slots: Slots, rate: Array | float, fuse: Fuse) -> tuple[tuple[Array | float, ...], Slots]:
        """Return α√c₂/c₁ and ε√c₂, so that the rule divides by neither c, and the new (c₁, c₂)."""
        step, epsilon, c1, c2 = fuse(BoundMethod(self, "_correction", array_namespace(slots[2])))(rate, *slots[2:])
        return (step, epsilon), (c1, c2)

    def _correction(self, xp: Namespace, rate: Array | float, c1: Array, c2: Array) -> tuple[Array, ...]:
        """Return α√c₂/c₁, ε√c₂ and the new c₁ and c₂."""
        c1, c2 = self.beta1 * c1 + (1.0 - self.beta1), self.beta2 * c2 + (1.0 - self.beta2)
        root = xp.sqrt(c2)
        return rate * root / c1, self.epsilon * root, c1, c2

    def rule(
        self, xp: Namespace, P: Array, G: Array, M: Array, S: Array, step: Array | float, epsilon: Array | float
    ) -> tuple[Array, ...]:
        """Return P - (α√c₂/c₁) M / (√S + ε√c₂), M and S."""
        M = self.beta1 * M + (1.0 - self.beta1) * G
        S = self.beta2 * S + (1.0 - self.beta2) * (G * G)
        return P - step * M / (xp.sqrt(S) + epsilon), M, S


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: Adam's step, and W ← W - αδW; b does not decay.

    Source: Loshchilov and Hutter, 2019, algorithm 2. Deviation: `torch.optim.AdamW` and `optax.adamw` decay the biases
    too by default; here, as in E32, they do not decay. The decay does not depend on the number of examples.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon, schedule
        As for `Adam`.
    weight_decay : float or sequence of float, default 0.01
        δ, not negative. With K of them `fit` trains K networks in one stack, one with each.

    Examples
    --------
    With a zero gradient only the decay is left: 1 - 0.1·0.5·1.

    >>> import numpy as np
    >>> optimizer = AdamW(0.1, weight_decay=0.5)
    >>> params = (Layer(np.array([[1.0]]), np.array([[1.0]])),)
    >>> zero = (Layer(np.array([[0.0]]), np.array([[0.0]])),)
    >>> ((W, b),), slots = optimizer.update(zero, optimizer.init(params), params)
    >>> W.tolist(), b.tolist()
    ([[0.95]], [[1.0]])
    """

    weight_decay: float | tuple[float, ...] = 0.01
    decays_weights_alone: ClassVar[bool] = True

    def update(
        self,
        grads: Any,
        slots: Slots,
        params: Any,
        rate: Array | float | None = None,
        fuse: Fuse = _unfused,
        decay: Array | float | None = None,
    ) -> tuple[Any, Slots]:
        """Return the parameters, their weights decayed, and the slots after one step; decay (K,) if δ has K values."""
        rate = _single(self.learning_rate, "learning_rate", "rate") if rate is None else rate
        decay = _single(self.weight_decay, "weight_decay", "decay") if decay is None else decay
        shrink = per_column(1.0 - rate * decay)
        decayed = tuple(Layer(p.W * shrink, p.b) if isinstance(p, Layer) else p for p in params)
        return super().update(grads, slots, decayed, rate, fuse)


class Link(Protocol):
    """A link of the chain before the optimizer, which is the last: gradients in, gradients out, as in optax."""

    def update(self, grads: Any, layers: Params) -> Any:
        """Return the gradients for the next link; the arguments stay unchanged."""


@dataclass(frozen=True)
class ClipByNorm:
    """A link that scales the gradients down to the norm `most` if their common norm is greater.

    For a stack, (K, …, …), each network is clipped on its own. As `optax.clip_by_global_norm`.

    >>> import numpy as np
    >>> (g,) = ClipByNorm(1.0).update((np.array([[3.0, 4.0]]),))
    >>> g.round(6).tolist()
    [[0.6, 0.8]]
    """

    most: float

    def update(self, grads: Any, layers: Params = ()) -> Any:
        """Return the gradients, none of them 0/0: a norm of 0 gives most/most = 1."""
        leaves = list(leaves_of(grads))
        xp = array_namespace(leaves[0])
        norm = xp.sqrt(sum(xp.sum(g * g, axis=(-2, -1)) for g in leaves))
        scale = per_column(self.most / xp.maximum(norm, self.most * xp.ones_like(norm)))
        return map_tree(lambda g: g * scale, grads)


def check_optimizer(optimizer: object) -> Optimizer:
    """Return the optimizer, GradientDescent() for None, or raise TypeError."""
    if optimizer is None:
        return GradientDescent()
    lacking = [a for a in ("init", "update", "learning_rate", "schedule") if not hasattr(optimizer, a)]
    if isinstance(optimizer, type) or lacking:
        lacks = f", which lacks {lacking[0]}" if len(lacking) == 1 else ""
        raise TypeError(
            f"optimizer must be an optimizer such as GradientDescent(0.1) or Adam(), got {optimizer!r}{lacks}"
        )
    return optimizer  # type: ignore[return-value]


def _single(value: float | tuple[float, ...], field: str, argument: str) -> float:
    if isinstance(value, tuple):
        raise TypeError(f"{argument} must be given, an array (K,), when the optimizer's {field} has K = {len(value)}")
    return value


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS: line searches with a curvature estimate from the last gradients.

    For full batches of small data, where it needs far fewer passes than gradient descent. `epochs` of `fit` is the
    number of its iterations, each of one or a few passes over the data. It has no learning rate. Needs SciPy
    (`scipy.optimize.minimize`, method "L-BFGS-B"), which computes in float64 whatever the network's dtype.

    Source: Liu and Nocedal, 1989; Byrd, Lu, Nocedal and Zhu, 1995.

    Parameters
    ----------
    memory : int, default 10
        The number of gradient changes that are remembered.
    tolerance : float, default 1e-5
        The run has converged when no component of the gradient is larger.
    relative_tolerance : float, default 0.0
        The run has converged when an iteration lowers the cost by no more than this share of it, or of 1.
    max_evaluations : int, optional
        The most evaluations of cost and gradient; by default 20 for each of the `epochs`.
    """

    memory: int = 10
    tolerance: float = 1e-5
    relative_tolerance: float = 0.0
    max_evaluations: int | None = None
    learning_rate: ClassVar[float] = 1.0
    schedule: ClassVar[Schedule] = CONSTANT

    def __post_init__(self) -> None:
        check_positive_integer(self.memory, "memory")
        check_number(self.tolerance, "tolerance")
        check_number(self.relative_tolerance, "relative_tolerance")
        if self.max_evaluations is not None:
            check_positive_integer(self.max_evaluations, "max_evaluations")

    def init(self, params: Any) -> tuple[Any, ...]:
        """Return (): SciPy keeps the memory, and each `fit` starts anew."""
        return ()

    def update(self, *arguments: object) -> Any:
        """Raise: L-BFGS takes whole line searches, not single steps."""
        raise TypeError("LBFGS has no single step; give it to vp.fit(net, X, Y, optimizer=vp.LBFGS())")


OPTIMIZERS: tuple[type, ...] = (GradientDescent, Momentum, SGD, RMSProp, Adam, AdamW, LBFGS)
