"""Fits an estimator: turns rows into columns, trains with the engine, and sets the attributes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from vecprop.backend import distributed
from vecprop.backend.contract import Backend, to_host
from vecprop.backend.namespaces import array_namespace, dtype_name, is_array
from vecprop.backend.transfer import floating_name
from vecprop.data.streaming.sources import ArraySource
from vecprop.estimators.callbacks import ScorerMetric, TheirCallbacks, print_epoch
from vecprop.estimators.construction import is_lbfgs, monitor_of, optimizer_of, stopping_of
from vecprop.estimators.inputs import (
    Examples,
    backend_at,
    backend_of,
    check_examples,
    columns,
    dispatches,
    is_held_out,
    named_as_validation,
    scale_of,
    scaled_rows,
    split,
    unchanged_if_it_fails,
)
from vecprop.estimators.large_data import LargeRows, LargeTargets
from vecprop.estimators.parameters import THEIR_NAMES, Parameters, check_parameters
from vecprop.nn.input_scaling import InputScale
from vecprop.nn.network import Network
from vecprop.propagation import Layer, Params
from vecprop.training.evaluation import plain_layers
from vecprop.training.fitting import fit
from vecprop.training.optimizers import Optimizer
from vecprop.training.results import FitResult, History, TrainingState
from vecprop.training.schedules import CONSTANT
from vecprop.training.training_data import FiniteColumns
from vecprop.utils.errors import DivergenceError

if TYPE_CHECKING:
    import numpy.typing as npt

_AUTO_BATCH = 200  # scikit-learn's
_NOTHING = 1 - 1e-4  # a loss above this share of the best constant prediction's means that nothing was learned
_OF_PACKS = ("random_state", "class_weight", "callbacks", "backend")  # parameters that packs have, too
_MOST_SEED = int(np.iinfo(np.int32).max)


class PastTraining(NamedTuple):
    """The state from which `warm_start` and `partial_fit` continue; arrays on the host."""

    state: TrainingState
    kind: tuple[Any, ...] = ()  # the slots are of use only to a run of the same kind
    monitor: str = ""  # the quantity of which `state.best` is the best


class NonFiniteParametersError(DivergenceError, ValueError):
    """Training diverged; also a ValueError, as scikit-learn's networks raise it."""

    @classmethod
    def of(cls, error: DivergenceError, words: str) -> NonFiniteParametersError:
        """Return the error with the data of another one, and words for users of estimators."""
        return cls(
            "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
            f"preprocessed: {words}",
            epoch=error.epoch,
            step=error.step,
            layer=error.layer,
            params=error.params,
            state=error.state,
            history=error.history,
            gradient_norm=error.gradient_norm,
        )


class Training(Parameters):
    """The training behind `fit` and `partial_fit` of both estimators.

    A subclass defines the first members and methods, which depend on the kind of targets.
    """

    _numeric_targets: ClassVar[bool]
    _more_checks: ClassVar[dict[str, Callable[[Any, str], Any]]]

    def _encode(self, y: Any, purpose: str) -> npt.NDArray[Any]:
        """Return the targets as columns (n_L, n); for `purpose` see `_examples`."""
        raise NotImplementedError

    def _large_targets(self, y: Any, purpose: str) -> LargeTargets:
        """Return the targets of `_encode` for X in a file, possibly made as they are read."""
        return LargeTargets(ArraySource(self._encode(y, purpose), rows_first=False))

    def _network_for(self, n_in: int, n_out: int) -> Network:
        raise NotImplementedError

    def _groups(self, Y: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return each example's group, (n,); the split for validation keeps the groups' shares."""
        raise NotImplementedError

    def _training_weights(self, examples: Examples) -> npt.NDArray[np.float64] | None:
        raise NotImplementedError

    def _default_metric(self) -> str:
        raise NotImplementedError

    def _pack(self, **parameters: Any) -> Any:
        """Return the unfitted pack that `n_networks="auto"` asks for."""
        raise NotImplementedError

    def _baseline(self, examples: Examples, w: npt.NDArray[np.float64] | None) -> float:
        """Return the training cost of the best constant prediction, or a little more."""
        raise NotImplementedError

    # Attributes of a fitted estimator
    coefs_: list[Any]
    intercepts_: list[Any]
    pack_: Any
    network_: Network
    scaling_: InputScale | None
    target_scaling_: InputScale | None
    history_: History
    result_: FitResult
    t_: int
    n_iter_: int
    _progress: PastTraining | None

    def _train(self, X: Any, y: Any, sample_weight: Any, held_out: Sequence[Any], *, incremental: bool = False) -> Any:
        """Fit to the examples, or do one epoch if incremental; a failure leaves self as it was."""
        with unchanged_if_it_fails(self):
            check_parameters(self, self._more_checks)
            if self.n_networks == "auto":
                self._train_pack(X, y, sample_weight, held_out, incremental)
                return self
            vars(self).pop("pack_", None)
            if incremental and self.early_stopping:
                raise ValueError("partial_fit does not support early_stopping=True")
            goes_on = hasattr(self, "coefs_") and (incremental or self.warm_start)
            random = random_state_of(self.random_state)
            purpose = ("more" if incremental else "again") if goes_on else "first"
            examples = self._examples(X, y, sample_weight, purpose)
            examples, validation = self._divide(examples, held_out, random, incremental)
            self._fit_examples(examples, validation, goes_on, incremental, random, {"X": X, "y": y})
        return self

    def _train_pack(self, X: Any, y: Any, w: Any, held_out: Sequence[Any], incremental: bool) -> None:
        """Set `pack_` and what it shares with this estimator; there are no `coefs_` then."""
        if incremental:
            raise ValueError('partial_fit needs a number of networks: n_networks="auto" is trained by fit')
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("n_networks", *_OF_PACKS) and repr(value) != repr(field.default):
                raise ValueError(
                    f'n_networks="auto" chooses {field.name} itself, got {value!r}: leave it out, or give a number of '
                    "networks"
                )
        pack = self._pack(**{name: getattr(self, name) for name in _OF_PACKS if hasattr(self, name)})
        pack.fit(X, y, w, **dict(zip(("X_val", "y_val", "sample_weight_val"), held_out, strict=True)))
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)  # of networks fitted before
        self.pack_ = pack
        shared = ("classes_", "n_features_in_", "feature_names_in_", "stopped_")
        vars(self).update({name: value for name, value in vars(pack).items() if name in shared})

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a pickle, without `result_`: it has arrays of the backend, and data."""
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        return {name: value for name, value in state.items() if name != "result_"}

    # The data

    def _examples(self, X: Any, y: Any, sample_weight: Any, purpose: str) -> Examples:
        """Return checked examples: of a "first" fit, to fit "again" (`warm_start`), or "more" of them."""
        examples = check_examples(self, X, y, sample_weight, reset=purpose == "first", numeric=self._numeric_targets)
        large = isinstance(examples.X, LargeRows)
        return examples._replace(Y=(self._large_targets if large else self._encode)(examples.y, purpose))

    def _divide(
        self, examples: Examples, held_out: Sequence[Any], random: np.random.RandomState, incremental: bool
    ) -> tuple[Examples, Examples | None]:
        """Return training and validation examples, given ones or a share of all for early stopping."""
        X, y, w = held_out
        if is_held_out(X, y, w):
            with named_as_validation():
                return examples, self._examples(X, y, w, "more")
        if self.early_stopping and not incremental and not is_lbfgs(self):
            return split(examples, self._groups(examples.Y), self.validation_fraction, random)
        return examples, None

    # The run

    def _fit_examples(
        self,
        examples: Examples,
        validation: Examples | None,
        goes_on: bool,
        incremental: bool,
        random: np.random.RandomState,
        given: dict[str, Any],
    ) -> None:
        backend = backend_of(self, examples.X)
        if isinstance(examples.X, LargeRows) and self.n_networks > 1 and self.shuffle:
            raise ValueError(
                f"n_networks={self.n_networks}: X stays in its file, and each network would read it in an order of its "
                "own; fit one network at a time, or set shuffle=False"
            )
        stops_early = self.early_stopping and validation is not None
        self._prepare(examples, goes_on)
        scoring = self._scoring(validation)
        monitor = monitor_of(scoring, stops_early)
        optimizer = self._optimizer(examples.n, monitor, goes_on)
        kind = (backend.name, type(optimizer), self.batch_norm, self.n_networks, self._dtype(examples.X))
        seed = seeds_from(random, self.n_networks)
        state = self._state(backend, kind, monitor, seed) if goes_on else None
        weights = self._training_weights(examples)
        baseline = self._baseline(examples, weights)
        callbacks = [] if incremental else [*self._own_callbacks(), *self._their_callbacks(given)]
        result = self._run(
            examples,
            weights,
            validation,
            backend,
            optimizer=optimizer,
            epochs=1 if incremental else self.max_iter,
            seed=seed,
            state=state,
            metric=self._metric(validation, scoring) if stops_early else None,
            patience=None if incremental else stopping_of(self, monitor, baseline),
            callbacks=callbacks,
            checkpoint=None if incremental else self.checkpoint,
            checkpoint_every=self.checkpoint_every,
            resume=None if incremental else self.resume,
        )
        self._keep(result, examples, stops_early, goes_on)
        self._progress = PastTraining(_on_host(result.state), kind, monitor)
        # _progress has the optimizer's memory
        self.result_ = replace(result, state=result.state._replace(slots=None))
        for callback in callbacks:
            if isinstance(callback, TheirCallbacks):
                callback.end()
        if not incremental:
            self._warn(result, baseline)

    def _run(
        self, examples: Examples, weights: Any, validation: Examples | None, backend: Backend, **arguments: Any
    ) -> FitResult:
        """Train with the engine."""
        dtype = self._dtype(examples.X)
        held_out = None if validation is None else self._given(validation, validation.w, dtype)
        X, Y, w = self._given(examples, weights, dtype)
        try:
            return fit(
                self.network_,
                X,
                Y,
                batch_size=self._batch_size(examples.n),
                init=self.init,
                sample_weight=w,
                l1=self.l1,
                l2=self.alpha,
                dropout=self.dropout,
                batch_norm=self.batch_norm,
                clip_norm=self.clip_norm,
                validation=held_out,
                shuffle=bool(self.shuffle),
                block_size=self.block_size,
                dtype=dtype,
                backend=backend,
                devices=self.devices,
                precision=self.precision,
                progress=False,
                **arguments,
            )
        except DivergenceError as error:
            rule = arguments["patience"]
            return self._best_before(error, backend, given_back=rule is not None and rule.restore_best)

    def _best_before(self, error: DivergenceError, backend: Backend, given_back: bool) -> FitResult:
        """Return the best network of a diverged run, with a warning, or raise the error for users."""
        words = str(error)
        for ours, theirs in (("learning rate", "learning_rate_init"), ("standardize=True", 'scale="standard"')):
            words = words.replace(ours, theirs)
        if error.state.best is None or not given_back:
            raise NonFiniteParametersError.of(error, words) from None
        epoch = int(np.max(error.state.best.epoch))
        words = words.partition(" The parameters of the last")[0]
        warnings.warn(
            f"{words} The network of the best epoch, {epoch}, is given back.", ConvergenceWarning, stacklevel=7
        )
        return FitResult(self.network_, error.params, error.state, error.history, backend, "diverged")

    def _prepare(self, examples: Examples, goes_on: bool) -> None:
        """Set the attributes that are known before the first epoch."""
        net = self._network_for(int(examples.X.shape[1]), int(examples.Y.shape[0]))
        if goes_on and net.sizes != self.network_.sizes:
            raise ValueError(
                f"the network fitted before has the sizes {self.network_.sizes}, and now hidden_layer_sizes and the "
                f"targets ask for {net.sizes}: set warm_start=False, or use a new estimator"
            )
        self._set_specification(net)
        if not goes_on:
            self._progress = None
            self.scaling_ = scale_of(examples.X, examples.w) if self.scale == "standard" else None
            self.t_ = 0

    def _set_specification(self, net: Network) -> None:
        self.network_ = net
        self.n_layers_, self.n_outputs_ = len(net.sizes), net.sizes[-1]
        name = net.output.name
        self.out_activation_ = next((theirs for theirs, ours in THEIR_NAMES.items() if ours == name), name)

    def _set_network(self, net: Network, layers: Params, scaling: InputScale | None) -> None:
        """Set a network that was trained elsewhere; further training starts with a new optimizer."""
        self._set_specification(net)
        self.scaling_, self._progress = scaling, None
        set_layers(self, layers)

    def _given(self, examples: Examples, w: Any, dtype: str) -> tuple[Any, Any, Any]:
        """Return this process's X, Y and weights as `fit` takes them, X marked if `fit` need not check its values."""
        X, Y = columns(scaled_rows(examples.X, self.scaling_)), self._target_columns_of(examples)
        if self.devices is not None and distributed.team().count > 1:
            part = distributed.team().share(X.shape[1])
            X, Y, w = X[:, part], Y[:, part], None if w is None else w[part]
        checked = is_array(X) and self.scaling_ is None and dtype_name(X) == dtype
        return FiniteColumns(X) if checked else X, Y, w

    def _scaled_targets(self, Y: Any) -> Any:
        return Y

    def _target_columns_of(self, examples: Examples) -> Any:
        """Return the scaled targets as `fit` takes them."""
        Y = self._scaled_targets(examples.Y)
        return Y.columns() if isinstance(Y, LargeTargets) else Y

    def _dtype(self, X: Any) -> str:
        return str(np.dtype(self.dtype)) if self.dtype is not None else floating_name(X)

    def _batch_size(self, n: int) -> int | None:
        if is_lbfgs(self):
            return None
        if self.batch_size == "auto":
            return min(_AUTO_BATCH, n)
        size = int(self.batch_size)
        if size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped: "
                f"{size} for {n} examples",
                UserWarning,
                stacklevel=7,
            )
        return min(size, n)

    def _optimizer(self, m: int, monitor: str, goes_on: bool) -> Optimizer:
        if is_lbfgs(self) and self.n_networks > 1:
            raise ValueError(
                f'n_networks={self.n_networks} needs solver="adam", "sgd" or an optimizer: "lbfgs" trains one network'
            )
        first = self._progress.state.step if goes_on and self._progress is not None else 0
        return optimizer_of(self, m, monitor, self.t_ if goes_on else 0, first)

    def _metric(self, validation: Examples | None, scoring: Any) -> Any:
        """Return the metric that early stopping watches, or None if it watches the cost."""
        if scoring == "loss" or validation is None:
            return None
        if scoring is None:
            return self._default_metric()
        from sklearn.metrics import check_scoring

        scorer = check_scoring(self, scoring)
        return ScorerMetric(self, scorer, validation.X, validation.targets, validation.w, set_layers)

    def _scoring(self, validation: Examples | None) -> Any:  # noqa: ARG002
        return self.scoring

    def _own_callbacks(self) -> list[Callable[..., Any]]:
        given = self.callbacks if isinstance(self.callbacks, Sequence) else [self.callbacks]
        return [*([print_epoch] if self.verbose else []), *(c for c in given if c is not None)]

    def _their_callbacks(self, given: dict[str, Any]) -> list[TheirCallbacks]:
        """Return scikit-learn's callbacks as one of the engine, if this version has them and any are set."""
        if not hasattr(self, "_init_callback_context"):
            return []
        context = self._init_callback_context(max_subtasks=self.max_iter)
        if not vars(self).get("_skl_callbacks"):
            return []

        def attributes(state: TrainingState, history: History) -> dict[str, Any]:
            normalized = _flags(self.batch_norm, len(self.network_.hidden))
            layers = plain_layers(self.network_, normalized, state.params, state.statistics)
            return _layer_attributes(layers) | {"n_iter_": len(history["cost"]), "loss_": history["cost"][-1]}

        return [TheirCallbacks(self, context, given, attributes)]

    # Continuing

    def _state(self, backend: Backend, kind: tuple[Any, ...], monitor: str, seed: Any) -> TrainingState:
        """Return the state to continue from: the present layers, and slots if they still fit."""
        normalized = any(_flags(self.batch_norm, len(self.network_.hidden)))
        if self._progress is None and normalized:
            raise ValueError(
                "batch_norm: this network was loaded, with its normalization folded into coefs_ and intercepts_, and "
                "cannot be trained further with it: set batch_norm=False, or fit anew with warm_start=False"
            )
        before = self._progress or PastTraining(TrainingState((), None, self.n_iter_, seed))
        state = before.state
        if not normalized:  # the user may have changed coefficients
            layers = (
                Layer(np.swapaxes(to_host(c), -1, -2), to_host(i)[..., None])
                for c, i in zip(self.coefs_, self.intercepts_, strict=True)
            )
            state = state._replace(params=tuple(layers))
        if kind != before.kind:
            state = state._replace(slots=None)
        if monitor != before.monitor:
            state = state._replace(best=None)
        dtype = self._dtype(self.coefs_[0])
        return state.mapped(lambda a: backend.asarray(a, dtype))

    # The result

    def _keep(self, result: FitResult, examples: Examples, stops_early: bool, goes_on: bool) -> None:
        """Set the attributes of the result."""
        place = backend_at(examples.X) if dispatches(examples.X) else None
        set_layers(self, _without_diverged(result), place)
        self._keep_history(result.history, stops_early, goes_on)
        self.n_iter_ = len(result.history["cost"])
        self.t_ += self.n_iter_ * examples.n
        self.stopped_ = result.stopped

    def _keep_history(self, history: History, stops_early: bool, goes_on: bool) -> None:
        """Set or lengthen the curves, and set what follows from them."""
        before = self.history_ if goes_on else {}
        self.history_ = {key: [*before.get(key, []), *values] for key, values in history.items()}
        self.loss_curve_ = [float(np.mean(c)) for c in self.history_["cost"]]
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else float("nan")
        self.best_loss_ = None if stops_early else min(self.loss_curve_, default=float("nan"))
        self.validation_loss_curve_ = None
        if "validation_cost" in self.history_:
            self.validation_loss_curve_ = [float(np.mean(c)) for c in self.history_["validation_cost"]]
        self.validation_scores_ = self.best_validation_score_ = None
        if stops_early:
            curve = self.history_.get("metric")
            self.validation_scores_ = (
                [-c for c in self.validation_loss_curve_ or []] if curve is None else [float(np.mean(s)) for s in curve]
            )
            self.best_validation_score_ = max((s for s in self.validation_scores_ if s == s), default=float("nan"))

    def _has_own_schedule(self) -> bool:
        """Tell whether the user gave a schedule of the learning rate, which is to end at max_iter."""
        planned = self.learning_rate if isinstance(self.solver, str) else getattr(self.solver, "schedule", CONSTANT)
        return not isinstance(self.learning_rate, str) or (not isinstance(planned, str) and planned != CONSTANT)

    def _warn(self, result: FitResult, baseline: float) -> None:
        """Warn if training ended before it converged, or learned nothing."""
        done = self.n_iter_
        if is_lbfgs(self) and result.stopped in ("epochs", "evaluations", "stalled"):
            reason = {
                "epochs": f"the limit max_iter={self.max_iter}",
                "evaluations": f"the limit max_fun={self.max_fun}",
                "stalled": "no lower cost along the search direction",
            }[result.stopped]
            message = (
                f"lbfgs failed to converge after {done} iterations: {reason}. Increase the limit, or scale the data "
                '(scale="standard")'
            )
        elif not is_lbfgs(self) and result.stopped == "epochs" and not self._has_own_schedule():
            if self.early_stopping and baseline <= np.finfo(float).eps:
                return  # all targets are equal: the loss falls towards 0 for ever
            message = (
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet."
            )
        elif result.stopped in ("converged", "patience") and self._learned_nothing(result, baseline):
            message = (
                f"training ended at a loss of {self.loss_:.4g}, and that of the best constant prediction is "
                f'{baseline:.4g}: nothing was learned from X. Scale the data (scale="standard"), or take another '
                "random_state, another learning_rate_init or a smaller alpha"
            )
        else:
            return
        warnings.warn(message, ConvergenceWarning, stacklevel=6)

    def _learned_nothing(self, result: FitResult, baseline: float) -> bool:
        """Tell whether no network's loss has come below that of the best constant prediction.

        False for equal targets, where that is 0, and with dropout, where the loss is not of the whole network.
        """
        costs = result.history["cost"]
        least = float(np.min(costs if self.early_stopping else costs[-1:], initial=np.inf))
        return bool(baseline > np.finfo(float).eps and least > _NOTHING * baseline and not np.any(self.dropout))


def random_state_of(given: Any) -> np.random.RandomState:
    """Return the generator that the parameter random_state asks for."""
    try:
        return check_random_state(given)  # type: ignore[no-any-return]
    except ValueError as error:
        raise ValueError(f"random_state: {error}") from None


def seeds_from(random: np.random.RandomState, networks: int) -> int | tuple[int, ...]:
    """Return the seed of a run, or K seeds for K networks, first the one of a single network."""
    seed = int(random.randint(_MOST_SEED))
    return seed if networks == 1 else tuple(seed + k for k in range(networks))


def _flags(given: Any, count: int) -> tuple[bool, ...]:
    """Return a flag for each hidden layer, from one for all or one for each."""
    return tuple(map(bool, given)) if isinstance(given, Sequence) else (bool(given),) * count


def _layer_attributes(layers: Params, place: Backend | None = None) -> dict[str, Any]:
    """Return coefs_ and intercepts_ in scikit-learn's shapes, (…, n_{l-1}, n_l) and (…, n_l).

    They are NumPy arrays, or arrays of the backend `place`.
    """

    def bring(array: Any) -> Any:
        if place is None:
            return to_host(array)
        return array if array_namespace(array) is place.xp else place.asarray(to_host(array))

    coefs, intercepts = [], []
    for W, b in layers:
        W, b = bring(W), bring(b)
        coefs.append(array_namespace(W).matrix_transpose(W))
        intercepts.append(b[..., 0])
    return {"coefs_": coefs, "intercepts_": intercepts}


def set_layers(estimator: Any, layers: Params, place: Backend | None = None) -> None:
    """Set coefs_ and intercepts_."""
    for name, value in _layer_attributes(layers, place).items():
        setattr(estimator, name, value)


def _on_host(state: TrainingState) -> TrainingState:
    """Return a state of NumPy arrays, with the best network if it replaced the last one."""
    best = state.best
    if best is not None and best.params:
        state = state._replace(params=best.params, statistics=best.statistics, slots=None)
    return state.mapped(to_host)


def _without_diverged(result: FitResult) -> Params:
    """Return the layers without the networks of a stack that have diverged."""
    if result.networks is None:
        return result.params
    finite = np.ones(result.networks, dtype=bool)
    for layer in result.params:
        for array in layer:
            finite &= np.isfinite(to_host(array)).all(axis=(-2, -1))
    if finite.all():
        return result.params
    kept = np.flatnonzero(finite)
    warnings.warn(
        f"{result.networks - len(kept)} of {result.networks} networks diverged and are left out: lower "
        "learning_rate_init, or scale the inputs",
        RuntimeWarning,
        stacklevel=7,
    )
    return tuple(Layer(*(to_host(a)[kept] for a in layer)) for layer in result.params)
