"""`MLPRegressor` and `PackRegressor`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.metaestimators import available_if

from vecprop.backend.contract import to_host
from vecprop.backend.namespaces import Array, array_namespace, device_of, is_array
from vecprop.estimators.callbacks import CallbackSupportMixin, with_callbacks
from vecprop.estimators.construction import is_stochastic
from vecprop.estimators.documentation import documented
from vecprop.estimators.ensemble_selection import Losses, squared_errors
from vecprop.estimators.inputs import Examples, check_weights, named
from vecprop.estimators.large_data import LargeTargets, average
from vecprop.estimators.pack import Pack, mean_and_deviation
from vecprop.estimators.parameters import Parameters, activation_of, check_choice, hidden_activations, hidden_sizes
from vecprop.estimators.prediction import Prediction
from vecprop.estimators.training import Training
from vecprop.nn.activations import Ordered
from vecprop.nn.input_scaling import InputScale, input_scale
from vecprop.nn.losses import AbsoluteError, Huber, Loss, Poisson, Quantile, SquaredError
from vecprop.nn.losses.classification import Smoothing
from vecprop.nn.network import Network
from vecprop.utils.arguments import check_flag, check_number

if TYPE_CHECKING:
    import numpy.typing as npt

LOSSES = ("absolute_error", "huber", "poisson", "quantile", "squared_error")


def _loss(value: Any, argument: str) -> Any:
    if isinstance(value, Loss) and not isinstance(value, Smoothing):
        return value
    if isinstance(value, int | tuple | list):
        raise TypeError(
            f"{argument} comes first, as in scikit-learn from 1.7 on, and {value!r} is none: give the layers by name, "
            f"hidden_layer_sizes={value!r}"
        )
    return check_choice(value, argument, LOSSES)


@documented
@dataclass(eq=False, repr=False)
class MLPRegressor(RegressorMixin, CallbackSupportMixin, Training, Prediction, Parameters, BaseEstimator):
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
        The residual up to which loss="huber" is squared, and beyond which it is absolute; in the units of y, or with
        `scale_target` in standard deviations of y.
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

    loss: Any = "squared_error"
    hidden_layer_sizes: Any = (100,)
    activation: Any = "relu"
    _: KW_ONLY
    quantile: Any = 0.5
    huber_delta: float = 1.0
    scale_target: str | None = None
    out_activation: Any = None

    _numeric_targets: ClassVar[bool] = True
    _more_checks: ClassVar[dict[str, Callable[[Any, str], Any]]] = {
        "loss": _loss,
        "quantile": lambda value, _: _levels(value),
        "huber_delta": lambda value, name: check_number(value, name, zero=False),
        "scale_target": lambda value, name: None if value is None else check_choice(value, name, ("standard",)),
        "out_activation": lambda value, name: None if value is None else activation_of(value, name),
    }

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> MLPRegressor:
        """Train on examples X (n_samples, n_features) with targets y.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame (n_samples, n_features)
        y : array-like (n_samples,) or (n_samples, n_targets)
        sample_weight : array-like (n_samples,), optional
            An integer weight counts as that many copies of the example, 0 as absent.
        X_val, y_val, sample_weight_val : optional
            A validation set. Its loss is in `validation_loss_curve_`; `early_stopping` watches it in place of a share
            of the training examples.

        Returns
        -------
        MLPRegressor
            The estimator itself. A fit that fails leaves it as it was.
        """
        return self._train(X, y, sample_weight, (X_val, y_val, sample_weight_val))  # type: ignore[no-any-return]

    @available_if(is_stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one epoch from where the last call ended, with the optimizer's memory.

        The parameters are those of `fit`.
        """
        return self._train(X, y, sample_weight, (None, None, None), incremental=True)  # type: ignore[no-any-return]

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the predictions (n_samples,) or (n_samples, n_targets).

        Several quantiles give (n_samples, n_quantiles), or (n_samples, n_targets, n_quantiles) for several targets.
        The mean over the networks if there are several; with `return_std` also the standard deviation over them. The
        dtype is the network's, or float64 with `scale_target`.
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

        levels, predicted = self._quantile_levels(), self.predict(X)
        w = check_weights(sample_weight, int(predicted.shape[0]))
        sample_weight = w if np.ndim(sample_weight) == 0 else sample_weight
        with named(lambda: "y"):
            if len(levels) == 1:
                return float(r2_score(y, predicted, sample_weight=sample_weight))
            predicted, y = to_host(predicted), to_host(y) if is_array(y) else y
            scores = [
                d2_pinball_score(y, predicted[..., k], alpha=q, sample_weight=sample_weight)
                for k, q in enumerate(levels)
            ]
            return float(np.mean(scores))

    # The methods that `Training` requires

    def _encode(self, y: Any, purpose: str) -> npt.NDArray[np.float64]:
        if purpose == "first":
            self._targets_shape = y.shape[1:]
        elif y.shape[1:] != self._targets_shape:
            targets = [shape[0] if shape else 1 for shape in (self._targets_shape, y.shape[1:])]
            raise ValueError(f"y must have {targets[0]} targets, as in the first call to fit, got {targets[1]}")
        with named(lambda: "y"):
            Y = np.asarray(y, dtype=np.float64).reshape(len(y), -1).T
        if isinstance(self._loss(), Poisson) and Y.min() < 0:
            raise ValueError(f'y must be >= 0 for loss="poisson", got {Y.min():g}')
        levels = len(self._quantile_levels())
        return Y if levels == 1 else np.asarray(np.repeat(Y, levels, axis=0), dtype=np.float64)

    def _set_targets(self, shape: tuple[int, ...], scaling: InputScale | None) -> None:
        """Set the shape of an example's targets, () or (n_targets,), and their scaling."""
        self._targets_shape, self.target_scaling_ = shape, scaling

    def _loss(self) -> Loss:
        if isinstance(self.loss, Loss):
            return self.loss
        makes: dict[str, Callable[[], Loss]] = {
            "absolute_error": AbsoluteError,
            "huber": lambda: Huber(self.huber_delta),
            "poisson": Poisson,
            "quantile": lambda: Quantile(_levels(self.quantile)),
            "squared_error": SquaredError,
        }
        return makes[self.loss]()

    def _quantile_levels(self) -> tuple[float, ...]:
        """Return the levels of the quantiles; other losses have one, which has no meaning."""
        loss = self._loss()
        return loss.levels if isinstance(loss, Quantile) else (0.5,)

    def _network_for(self, n_in: int, n_out: int) -> Network:
        sizes, loss, levels = hidden_sizes(self.hidden_layer_sizes), self._loss(), len(self._quantile_levels())
        output: Any = loss.matching_output or "identity"
        if levels > 1:
            output = Ordered(n_out // levels)
        if self.out_activation is not None:
            if levels > 1:
                raise ValueError(f"out_activation: several quantiles are ordered outputs, got {self.out_activation!r}")
            output = activation_of(self.out_activation, "out_activation")
        net = Network((n_in, *sizes, n_out), hidden_activations(self.activation, len(sizes)), output, loss)
        if self.scale_target is not None and net.output.name not in ("identity", "ordered"):
            raise ValueError(
                f"scale_target={self.scale_target!r} goes with outputs of any size, and here they are "
                f"{net.output.name}: leave one of the two out"
            )
        return net

    def _prepare(self, examples: Examples, goes_on: bool) -> None:
        super()._prepare(examples, goes_on)
        if not goes_on:
            self.target_scaling_ = None if self.scale_target is None else self._scaling_of(examples.Y, examples.w)

    def _scaling_of(self, Y: Any, w: npt.NDArray[np.float64] | None) -> InputScale:
        """Return the mean and the deviation of each target, (n_targets, 1)."""
        levels = len(self._quantile_levels())
        if isinstance(Y, LargeTargets):
            mean, deviation = Y.input_scale(w)
            return InputScale(mean[::levels], deviation[::levels])
        return input_scale(np, Y[::levels], w)

    def _scaled_targets(self, Y: Any) -> Any:
        if self.target_scaling_ is None:
            return Y
        mean, deviation = (np.repeat(a, len(self._quantile_levels()), axis=0) for a in self.target_scaling_)
        if isinstance(Y, LargeTargets):
            return Y.scaled(InputScale(mean, deviation))
        return np.asarray((Y - mean) / deviation, dtype=np.float64)

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

    def _groups(self, Y: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        return np.broadcast_to(np.int64(0), Y.shape[1])

    def _training_weights(self, examples: Examples) -> npt.NDArray[np.float64] | None:
        return examples.w

    def _baseline(self, examples: Examples, w: npt.NDArray[np.float64] | None) -> float:
        """Return the cost of the mean, of the median for absolute and Huber losses, or of quantiles."""
        Y, loss = self._scaled_targets(examples.Y), self._loss()
        if isinstance(loss, Quantile | AbsoluteError | Huber) and isinstance(Y, LargeTargets):
            Y = Y.whole()
        if isinstance(loss, Quantile):
            best = np.stack([np.quantile(row, q) for row, q in zip(Y, loss.levels * len(Y), strict=False)])
        else:
            best = np.median(Y, axis=1) if isinstance(loss, AbsoluteError | Huber) else average(Y, w)

        def costs(block: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            A = np.broadcast_to(best[:, None], block.shape)
            Z = np.log(np.maximum(A, np.finfo(float).tiny)) if isinstance(loss, Poisson) else A
            return np.asarray(loss.values(np, self.network_.output, Z, A, block).sum(axis=0, keepdims=True))

        return float(average(Y, w, costs)[0])

    def _pack(self, **parameters: Any) -> PackRegressor:
        return PackRegressor(**parameters)

    def _default_metric(self) -> str:
        return "r2"

    def _scoring(self, validation: Examples | None) -> Any:
        """Return `scoring`, with "loss" as the default for several quantiles or equal targets."""
        if self.scoring is not None or not (len(self._quantile_levels()) > 1 or _all_equal(validation)):
            return self.scoring
        return "loss"

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn which data the estimator accepts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        tags.array_api_support = True
        return tags


def _all_equal(examples: Examples | None) -> bool:
    """Tell whether all examples with a weight have the same targets; False if there are none."""
    if examples is None:
        return False
    Y = examples.Y.whole() if isinstance(examples.Y, LargeTargets) else examples.Y
    Y = Y if examples.w is None else Y[:, examples.w > 0]
    return bool((Y[:, :1] == Y).all())


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

    _numeric_targets: ClassVar[bool] = True

    def _estimator(self, **parameters: Any) -> MLPRegressor:
        return MLPRegressor(**parameters, scale_target="standard")

    def _of_each(self, estimator: Any, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        A = np.asarray(estimator._outputs(X, "predict"), dtype=np.float64)[..., 0, :]
        mean, deviation = (float(np.asarray(a)[0, 0]) for a in estimator.target_scaling_)
        return np.atleast_2d(A * deviation + mean)

    def _losses(self, y: npt.NDArray[Any]) -> Losses:
        return squared_errors(y)

    def _groups_of(self, y: npt.NDArray[Any]) -> None:  # noqa: ARG002
        return None

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the predictions (n_samples,); with `return_std` also the deviation over the members."""
        mean, deviation = mean_and_deviation(*self._members(X))
        return (mean, deviation) if check_flag(return_std, "return_std") else mean

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R²."""
        from sklearn.metrics import r2_score  # half of scikit-learn: not for training

        predicted = self.predict(X)
        with named(lambda: "y"):
            return float(r2_score(y, predicted, sample_weight=check_weights(sample_weight, len(predicted))))
