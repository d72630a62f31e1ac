"""`MLPRegressor` and `PackRegressor`."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if

from vecprop.backend.namespaces import Array, array_namespace, device_of
from vecprop.data.streaming.sources import ArraySource
from vecprop.estimators.construction import is_stochastic
from vecprop.estimators.documentation import documented
from vecprop.estimators.ensemble_selection import Losses, squared_errors
from vecprop.estimators.inputs import Examples, named
from vecprop.estimators.kinds_of_data import average, targets_of
from vecprop.estimators.large_data import LargeTargets
from vecprop.estimators.pack import Pack
from vecprop.estimators.parameters import (
    SCALES,
    activation_of,
    check_choice,
    hidden_activations,
    hidden_sizes,
    one_of,
    optional,
    positive,
)
from vecprop.estimators.prediction import scored
from vecprop.estimators.training import Training
from vecprop.nn import losses
from vecprop.nn.activations import Ordered
from vecprop.nn.input_scaling import InputScale
from vecprop.nn.losses import AbsoluteError, Huber, Loss, Poisson, Quantile
from vecprop.nn.losses.classification import Smoothing
from vecprop.nn.network import Network
from vecprop.utils.arguments import check_flag

LOSSES = ("absolute_error", "huber", "poisson", "quantile", "squared_error")
_OF_ANY_SIZE = ("identity", "ordered")  # outputs
_WEIGHTED: dict[str, Any] = {"method": "inverted_cdf"}  # of the methods of quantiles the one that takes weights
_LARGE = 10.0  # targets that are better scaled


def _loss(value: Any, argument: str) -> None:
    if isinstance(value, int | tuple | list):
        raise TypeError(
            f"{argument} comes first, as in scikit-learn from 1.7 on, and {value!r} is none: give the layers by name, "
            f"hidden_layer_sizes={value!r}"
        )
    if not isinstance(value, Loss) or isinstance(value, Smoothing):
        check_choice(value, argument, LOSSES)


@documented
@dataclass(eq=False, repr=False)
class MLPRegressor(RegressorMixin, Training):
    """A neural network that predicts numbers: one or several, or quantiles of them.

    It has the parameters, methods, attributes and defaults of scikit-learn's `MLPRegressor`, and more of each. Without
    hidden layers, `hidden_layer_sizes=()`, it is linear or Poisson regression.

    Parameters
    ----------
    loss : str or vecprop.losses.Loss, default "squared_error"
        "squared_error" (half of the square), "absolute_error", "huber", "poisson" (for y >= 0, with an exponential
        output), or "quantile". Summed over the targets, averaged over the examples.
    {network}
    quantile : float or sequence of float, default 0.5
        The level for loss="quantile", in (0, 1), or several increasing levels: `predict` then has one column for each,
        and they do not cross.
    huber_delta : float, default 1.0
        The residual beyond which loss="huber" is absolute; in the units of y, or with `scale_target` in deviations.
    scale_target : "standard" or None, default None
        Train on targets of zero mean and unit variance, as targets such as prices in the hundred thousands need.
        Predictions are in the units of y, in float64 whatever the network's dtype; losses are of the scaled targets.
    out_activation : str, Activation or pair, default None
        The output's activation, by default the identity, for Poisson the exponential; "relu" or "softplus" for y that
        is never negative.
    {shared}

    Attributes
    ----------
    {attributes}
    target_scaling_ : (mean, deviation) of the targets with scale_target="standard", else None

    Examples
    --------
    >>> import numpy as np
    >>> from vecprop.estimators import MLPRegressor
    >>> X = np.linspace(-3, 3, 200)[:, None]
    >>> y = 1000 * np.sin(X[:, 0])
    >>> reg = MLPRegressor(hidden_layer_sizes=(20,), activation="tanh", solver="lbfgs", scale="standard",
    ...                    scale_target="standard", random_state=0).fit(X, y)
    >>> reg.score(X, y) > 0.99
    True

    Three quantiles at once:

    >>> reg = MLPRegressor("quantile", quantile=[0.1, 0.5, 0.9], tol=0.01, random_state=0).fit(X, np.sin(X[:, 0]))
    >>> low, median, high = reg.predict(X).T
    >>> bool((low <= median).all() and (median <= high).all())
    True
    """

    loss: Any = field(default="squared_error", metadata={"check": _loss})
    hidden_layer_sizes: Any = (100,)
    activation: Any = "relu"
    _: KW_ONLY
    quantile: Any = field(default=0.5, metadata={"check": lambda value, _: _levels(value)})
    huber_delta: float = field(default=1.0, metadata={"check": positive})
    scale_target: str | None = field(default=None, metadata={"check": optional(one_of(SCALES))})
    out_activation: Any = field(default=None, metadata={"check": optional(activation_of)})

    @available_if(is_stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch from where the last call ended, with the optimizer's memory.

        X, y, sample_weight are as for `fit`. A schedule such as vecprop.Cosine() ends after `max_iter` calls. Ctrl-C
        leaves the estimator as it was.
        """
        return self._train(X, y, sample_weight, (None, None, None), incremental=True)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the predictions (n_samples,) or (n_samples, n_targets).

        Several quantiles give (n_samples, n_quantiles), or (n_samples, n_targets, n_quantiles) for several targets.
        The mean over several networks, with `return_std` also the deviation; float64 with `scale_target`.
        """
        return_std = check_flag(return_std, "return_std")
        if hasattr(self, "pack_"):
            return self.pack_.predict(X, return_std)
        A = self._outputs(X, "predict")
        xp = array_namespace(A)
        mean, deviation = (A, xp.zeros_like(A)) if A.ndim == 2 else (xp.mean(A, axis=0), xp.std(A, axis=0))
        shift, factor = self._target_columns(xp, A)
        mean = self._shaped(xp, mean * factor + shift)
        return (mean, self._shaped(xp, deviation * factor)) if return_std else mean

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R², or for several quantiles the mean of D², the explained share of the pinball loss.

        D² is `sklearn.metrics.d2_pinball_score`, 1 for perfect predictions, 0 for the constant quantiles of y.
        """
        from sklearn.metrics import d2_pinball_score, r2_score  # half of scikit-learn: not for training

        levels = self._quantile_levels()

        def mean_d2(y: Any, predicted: Any, **weight: Any) -> Any:
            return np.mean([d2_pinball_score(y, predicted[..., k], alpha=q, **weight) for k, q in enumerate(levels)])

        return scored(self, r2_score if len(levels) == 1 else mean_d2, X, y, sample_weight)

    # The members that `Training` requires

    def _encode(self, y: Any, purpose: str, in_file: bool = False) -> Any:
        if purpose == "first":
            self._targets_shape = y.shape[1:]
        elif y.shape[1:] != self._targets_shape:
            targets = [shape[0] if shape else 1 for shape in (self._targets_shape, y.shape[1:])]
            raise ValueError(f"y must have {targets[0]} targets, as in the first call to fit, got {targets[1]}")
        with named(lambda: "y"):
            Y = np.asarray(y, dtype=np.float64).reshape(len(y), -1).T
        if isinstance(self._loss(), Poisson) and Y.min() < 0:
            raise ValueError(f'y must be >= 0 for loss="poisson", got {Y.min():g}')
        levels = len(self._quantile_levels(self._loss()))
        Y = Y if levels == 1 else np.repeat(Y, levels, axis=0)
        return LargeTargets(ArraySource(Y, rows_first=False)) if in_file else Y

    def _set_targets(self, shape: tuple[int, ...], scaling: InputScale | None) -> None:
        """Set the shape of an example's targets, () or (n_targets,), and their scaling."""
        self._targets_shape, self.target_scaling_ = shape, scaling

    def _loss(self) -> Loss:
        if isinstance(self.loss, Loss):
            return self.loss
        if self.loss == "huber":
            return Huber(self.huber_delta)
        if self.loss == "quantile":
            return Quantile(_levels(self.quantile))
        return losses.LOSSES[self.loss]

    def _quantile_levels(self, loss: Loss | None = None) -> tuple[float, ...]:
        """Return the levels of a loss, by default the network's; one that is not of quantiles has a level, unused."""
        loss = loss or (self.network_.loss if hasattr(self, "network_") else self._loss())  # a pack has no network_
        return loss.levels if isinstance(loss, Quantile) else (0.5,)

    def _network_for(self, n_in: int, n_out: int) -> Network:
        sizes, loss = hidden_sizes(self.hidden_layer_sizes), self._loss()
        levels = len(self._quantile_levels(loss))
        output: Any = loss.matching_output or "identity"
        if levels > 1:
            output = Ordered(n_out // levels)
        if self.out_activation is not None:
            if levels > 1:
                raise ValueError(f"out_activation: several quantiles are ordered outputs, got {self.out_activation!r}")
            output = activation_of(self.out_activation, "out_activation")
        net = Network((n_in, *sizes, n_out), hidden_activations(self.activation, len(sizes)), output, loss)
        if self.scale_target is not None and net.output.name not in _OF_ANY_SIZE:
            raise ValueError(
                f"scale_target={self.scale_target!r} goes with outputs of any size, and here they are "
                f"{net.output.name}: leave one of the two out"
            )
        return net

    def _prepare(self, examples: Examples, goes_on: bool) -> None:
        super()._prepare(examples, goes_on)
        if goes_on:
            return
        self.target_scaling_ = None
        if self.scale_target is not None:
            of_all, levels = targets_of(examples.Y).input_scale(examples.w), len(self._quantile_levels())
            self.target_scaling_ = InputScale(*(a[::levels] for a in of_all))

    def _scaled_targets(self, Y: Any) -> Any:
        if self.target_scaling_ is None:
            return Y
        mean, deviation = (np.repeat(a, len(self._quantile_levels()), axis=0) for a in self.target_scaling_)
        return targets_of(Y).scaled(InputScale(mean, deviation))

    def _target_advice(self, Y: Any) -> str | None:
        fits = self.scale_target is None and self.network_.output.name in _OF_ANY_SIZE and not targets_of(Y).in_file
        if not fits or (top := np.abs(Y).max()) <= _LARGE:
            return None
        return f'scale the targets (the largest |y| is {top:g}, near 1 is good; scale_target="standard" does it)'

    def _target_columns(self, xp: Any, A: Array) -> tuple[Any, Any]:
        """Return the shift of the outputs and the factor applied before it, (n_L, 1) or numbers.

        In float64 if the device has it: float32 has no numbers between 1e8 and 1e8 + 8.
        """
        if self.target_scaling_ is None:
            return 0.0, 1.0
        place = device_of(A)
        known = xp.__array_namespace_info__().dtypes(**place, kind="real floating")
        repeated = (np.repeat(a[:, 0], len(self._quantile_levels())) for a in self.target_scaling_)
        dtype = known.get("float64", A.dtype)
        mean, deviation = (xp.reshape(xp.asarray(a.tolist(), dtype=dtype, **place), (-1, 1)) for a in repeated)
        return mean, deviation

    def _shaped(self, xp: Any, A: Array) -> Array:
        """Return outputs (n_L, n) in the shape that `predict` returns."""
        levels, flat = len(self._quantile_levels()), not self._targets_shape
        if levels > 1 and not flat:
            return xp.permute_dims(xp.reshape(A, (-1, levels, A.shape[-1])), (2, 0, 1))
        return A[0, ...] if flat and levels == 1 else xp.matrix_transpose(A)

    def _baseline(self, examples: Examples, w: npt.NDArray[np.float64] | None) -> float:
        """Return the cost of the mean, of the median for absolute and Huber losses, or of quantiles."""
        Y, loss = self._scaled_targets(examples.Y), self._loss()
        if isinstance(loss, Quantile | AbsoluteError | Huber):
            Y = targets_of(Y).whole()
        if isinstance(loss, Quantile) or (isinstance(loss, AbsoluteError | Huber) and w is not None):
            levels, how = self._quantile_levels() * len(Y), {} if w is None else _WEIGHTED | {"weights": w}
            best = np.stack([np.quantile(row, q, **how) for row, q in zip(Y, levels, strict=False)])
        else:
            best = np.median(Y, axis=1) if isinstance(loss, AbsoluteError | Huber) else average(Y, w)

        def costs(block: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            A = np.broadcast_to(best[:, None], block.shape)
            Z = np.log(np.maximum(A, np.finfo(float).tiny)) if isinstance(loss, Poisson) else A
            return np.asarray(loss.values(np, self.network_.output, Z, A, block).sum(axis=0, keepdims=True))

        with np.errstate(over="ignore"):  # squares of such targets diverge in training, which says what to do
            return float(average(Y, w, costs)[0])

    def _pack(self, **parameters: Any) -> Any:
        return PackRegressor(**parameters)

    def _default_metric(self) -> str:
        return "r2"

    def _scoring(self, validation: Examples | None) -> Any:
        """Return `scoring`, with "loss" as the default for several quantiles or equal targets."""
        if self.scoring is not None or validation is None:
            return self.scoring
        Y, w = targets_of(validation.Y).whole(), validation.w
        Y = Y if w is None else Y[:, w > 0]
        return "loss" if len(self._quantile_levels()) > 1 or (Y[:, :1] == Y).all() else None


def _levels(given: Any) -> tuple[float, ...]:
    try:
        return Quantile(given.tolist() if isinstance(given, np.ndarray) else given).levels
    except (ValueError, TypeError) as error:
        raise type(error)(str(error).replace("levels", "quantile")) from None


@dataclass(eq=False, repr=False, kw_only=True)
class PackRegressor(RegressorMixin, Pack):
    """A pack of networks for numbers: the mean of its members' predictions, weighted.

    Parameters, attributes and methods are those of `PackClassifier`, but for classes.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).uniform(-3, 3, size=(300, 1))
    >>> y = 1000 * np.sin(X[:, 0])
    >>> pack = PackRegressor(random_state=0).fit(X, y)
    >>> pack.score(X, y) > 0.98
    True
    >>> mean, deviation = pack.predict(X, return_std=True)
    """

    _estimator: ClassVar[Callable[..., Any]] = staticmethod(partial(MLPRegressor, scale_target="standard"))
    _losses: ClassVar[Callable[..., Losses]] = staticmethod(squared_errors)

    def _of_each(self, estimator: Any, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        A = np.asarray(estimator._outputs(X, "predict"), dtype=np.float64)[..., 0, :]
        mean, deviation = (float(np.asarray(a)[0, 0]) for a in estimator.target_scaling_)
        return np.atleast_2d(A * deviation + mean)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the predictions (n_samples,); with `return_std` also the deviation over the members."""
        return self._mixture(X, return_std)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R²."""
        from sklearn.metrics import r2_score  # half of scikit-learn: not for training

        return scored(self, r2_score, X, y, sample_weight)
