"""Fits an estimator: turns rows into columns, trains with the engine, and sets the attributes."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from vecprop.backend import distributed
from vecprop.backend.contract import Backend, to_host
from vecprop.backend.namespaces import dtype_name, is_array
from vecprop.backend.pytrees import leaves_of
from vecprop.backend.transfer import floating_name
from vecprop.estimators.callbacks import CallbackSupportMixin, ScorerMetric, TheirCallbacks, print_epoch, with_callbacks
from vecprop.estimators.construction import Planned, is_lbfgs, optimizer_of, stopping_of
from vecprop.estimators.inputs import (
    Examples,
    backend_of,
    check_examples,
    is_held_out,
    is_too_large_when_dense,
    named_as_validation,
    split,
    unchanged_if_it_fails,
)
from vecprop.estimators.kinds_of_data import rows_of, targets_of
from vecprop.estimators.parameters import THEIR_NAMES, callbacks_of, check_parameters
from vecprop.estimators.prediction import Prediction, set_layers
from vecprop.nn.input_scaling import InputScale
from vecprop.nn.network import Network
from vecprop.nn.weight_penalties import Penalties
from vecprop.propagation import Layer, Params
from vecprop.training.checkpoint import OtherRunError
from vecprop.training.fit_arguments import check_rates, count_networks, for_each_layer
from vecprop.training.fitting import fit
from vecprop.training.json_values import digest
from vecprop.training.optimizers import Optimizer
from vecprop.training.results import FitResult, History, TrainingState
from vecprop.training.schedules import CONSTANT, ReduceOnPlateau
from vecprop.training.training_data import FiniteColumns
from vecprop.utils.advice import ESTIMATOR, SCALED, Advice, said
from vecprop.utils.arguments import check_flag
from vecprop.utils.errors import DivergenceError, warn

_AUTO_BATCH = 200  # scikit-learn's
_NOTHING = 1 - 1e-4  # a loss above this share of the best constant prediction's means that nothing was learned
_OF_PACKS = ("random_state", "class_weight", "callbacks", "backend")  # parameters that packs have, too
_OF_FIT = ("init", "l1", "dropout", "batch_norm", "clip_norm", "block_size", "devices", "precision")  # as they are
_OF_WHOLE_RUNS = ("checkpoint", "checkpoint_every", "resume")  # of fit, too, but not of partial_fit
_WORDS = {**ESTIMATOR, "learning_rate": "learning_rate_init", "seed": "random_state"}
_CURVES = ("cost", "validation_cost", "metric")  # of which the mean over the networks is an attribute
_MOST_SEED = int(np.iinfo(np.int32).max)


class PastTraining(NamedTuple):
    """The state from which `warm_start` and `partial_fit` continue; arrays on the host."""

    state: TrainingState
    kind: tuple[Any, ...] = ()  # the slots are of use only to a run of the same kind
    monitor: str = ""  # the quantity of which `state.best` is the best
    folded: str = ""  # a fingerprint of coefs_ and intercepts_ that hold batch normalization


class NonFiniteParametersError(DivergenceError, ValueError):
    """Training diverged; also a ValueError, as scikit-learn's networks raise it. `scale` is that of the estimator."""

    scale: str | None


class Training(CallbackSupportMixin, Prediction, BaseEstimator):
    """The training behind `fit` and `partial_fit`; a subclass defines the first members, by the kind of its targets."""

    _encode: Callable[..., Any]  # the targets as columns (n_L, n), of y, a purpose as in `_examples`, and "in a file"
    _network_for: Callable[[int, int], Network]  # of the numbers of inputs and outputs
    _baseline: Callable[..., float]  # of examples and weights the cost of the best constant, or a little more
    _default_metric: Callable[[], str]
    _pack: Callable[..., Any]  # the unfitted pack that `n_networks="auto"` asks for

    def _groups(self, Y: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return each example's group, (n,); the split for validation keeps the groups' shares."""
        return np.broadcast_to(np.int64(0), Y.shape[1])

    def _training_weights(self, examples: Examples) -> npt.NDArray[np.float64] | None:
        return examples.w

    # Attributes of a fitted estimator
    pack_: Any
    target_scaling_: InputScale | None
    history_: History
    result_: FitResult
    t_: int
    n_iter_: int
    _progress: PastTraining | None

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
    ) -> Self:
        """Train on examples X (n_samples, n_features) with targets y; a fit that fails leaves the estimator as it was.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame (n_samples, n_features)
            A sparse one is made dense, a part at a time if memory is short.
        y : array-like (n_samples,), (n_samples, n_targets) or indicator matrix (n_samples, n_labels)
            Numbers for a regressor. For a classifier classes of any kind that can be sorted; for labels that may occur
            together, a column of 0 and 1 for each.
        sample_weight : array-like (n_samples,), optional
            An integer weight counts as that many copies of the example, 0 as absent.
        X_val, y_val, sample_weight_val : optional
            A validation set. Its loss is in `validation_loss_curve_`; `early_stopping` watches it in place of a share
            of the training examples.
        """
        return self._train(X, y, sample_weight, (X_val, y_val, sample_weight_val))

    def _train(
        self, X: Any, y: Any, sample_weight: Any, held_out: tuple[Any, Any, Any], *, incremental: bool = False
    ) -> Self:
        """Fit to the examples, or do one epoch if incremental; a failure leaves self as it was."""
        with unchanged_if_it_fails(self):
            check_parameters(self)
            if self.n_networks == "auto":
                self._train_pack(X, y, sample_weight, held_out, incremental)
                return self
            self.__dict__.pop("pack_", None)
            if incremental and self.early_stopping:
                raise ValueError("partial_fit does not support early_stopping=True")
            goes_on = hasattr(self, "coefs_") and (incremental or self.warm_start)
            random = random_state_of(self.random_state)
            purpose = ("more" if incremental else "again") if goes_on else "first"
            examples, validation = self._examples(X, y, sample_weight, purpose), None
            if is_held_out(*held_out):
                with named_as_validation():
                    validation = self._examples(*held_out, "more")
            elif self.early_stopping and not incremental and not is_lbfgs(self):
                examples, validation = split(examples, self._groups(examples.Y), self.validation_fraction, random)
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
        self.__dict__.update({name: value for name, value in vars(pack).items() if name in shared})

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn which data the estimator accepts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse, tags.array_api_support = self.n_networks != "auto", True
        tags.target_tags.multi_output = self.n_networks != "auto" and isinstance(self, RegressorMixin)
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a pickle, without `result_`: it has arrays of the backend, and data."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "result_"}

    # The data

    def _examples(self, X: Any, y: Any, sample_weight: Any, purpose: str) -> Examples:
        """Return checked examples: of a "first" fit, to fit "again" (`warm_start`), or "more" of them."""
        examples = check_examples(self, X, y, sample_weight, reset=purpose == "first")
        return examples._replace(Y=self._encode(examples.y, purpose, examples.in_file))

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
        if examples.in_file and self.n_networks > 1 and self.shuffle:
            raise ValueError(
                f"n_networks={self.n_networks}: X stays in its file, and each network would read it in an order of its "
                "own; fit one network at a time, or set shuffle=False"
            )
        stops_early = self.early_stopping and validation is not None
        self._prepare(examples, goes_on)
        scoring = self._scoring(validation)
        monitor = "training_cost"  # the quantity to watch, or the cost or the score of a validation set
        if stops_early:
            monitor = "cost" if isinstance(scoring, str) and scoring == "loss" else "metric"
        optimizer = self._optimizer(examples.n, monitor, goes_on, incremental)
        kind = (backend.name, type(optimizer), self._normalized(), self.n_networks, self._dtype(examples.X))
        seed = seeds_from(random, self.n_networks)
        if goes_on and self.resume and not incremental:
            raise ValueError("resume goes on from a checkpoint, warm_start from the network fitted before: give one")
        state = self._state(backend, kind, monitor, seed) if goes_on else None
        weights = self._training_weights(examples)
        baseline = self._baseline(examples, weights)
        theirs = [] if incremental else self._their_callbacks(given)
        own = [print_epoch] if self.verbose else []
        result = self._run(
            examples,
            weights,
            validation,
            backend,
            optimizer=optimizer,
            epochs=1 if incremental else self.max_iter,
            seed=seed if state is None else state.seed,
            state=state,
            metric=self._metric(validation, scoring) if monitor == "metric" else None,
            patience=None if incremental else stopping_of(self, monitor, baseline),
            callbacks=[] if incremental else [*own, *callbacks_of(self.callbacks), *theirs],
            **({} if incremental else {name: getattr(self, name) for name in _OF_WHOLE_RUNS}),
        )
        if incremental and result.stopped == "interrupted":
            raise KeyboardInterrupt
        self._keep(result, examples, stops_early, goes_on)
        folded = digest([*self.coefs_, *self.intercepts_]) if any(self._normalized()) else ""
        self._progress = PastTraining(_on_host(result.state), kind, monitor, folded)
        # _progress has the optimizer's memory
        self.result_ = replace(result, state=result.state._replace(slots=None))
        for callback in theirs:
            callback.end()
        if not incremental:
            self._warn(result, baseline, float(examples.n if weights is None else weights.sum()))

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
                sample_weight=w,
                l2=self.alpha,
                validation=held_out,
                shuffle=bool(self.shuffle),
                dtype=dtype,
                backend=backend,
                progress=False,
                **{name: getattr(self, name) for name in _OF_FIT},
                **arguments,
            )
        except DivergenceError as error:
            rule = arguments["patience"]
            given_back = rule is not None and rule.restore_best
            return self._best_before(error, backend, given_back, self._target_advice(examples.Y))
        except OtherRunError as error:
            if error.argument != "seed":
                raise
            raise ValueError(f"{error}; the seed is drawn by random_state={self.random_state!r}") from None

    def _best_before(self, error: DivergenceError, backend: Backend, given_back: bool, advice: str | None) -> FitResult:
        """Return the best network of a diverged run, with a warning, or raise the error for users, with more advice."""
        words = {**_WORDS, "targets": advice, **(SCALED if self.scale == "standard" else {})}
        if error.state.best is None or not given_back:
            raise NonFiniteParametersError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                f"preprocessed: {said(error.advice, words=words)}",
                **vars(error),
                scale=self.scale,
            ) from None
        epoch = int(np.max(error.state.best.epoch))
        after = f". The network of the best epoch, {epoch}, is given back."
        warn(said(error.advice, words=words, after=after), ConvergenceWarning, 7)
        return FitResult(self.network_, error.params, error.state, error.history, backend, "diverged")

    def _prepare(self, examples: Examples, goes_on: bool) -> None:
        """Set the attributes that are known before the first epoch."""
        net = self._network_for(int(examples.X.shape[1]), int(examples.Y.shape[0]))
        if goes_on and net.sizes != self.network_.sizes:
            raise ValueError(
                f"the network fitted before has the sizes {self.network_.sizes}, and now hidden_layer_sizes and the "
                f"targets ask for {net.sizes}: set warm_start=False, or use a new estimator"
            )
        for name, kept in (("scale", "scaling_"), ("scale_target", "target_scaling_")) if goes_on else ():
            given, before = getattr(self, name, None), getattr(self, kept, None)
            if (given is None) != (before is None):
                raise ValueError(
                    f"{name}={given!r}, and the network fitted before was trained {'with' if before else 'without'} "
                    "scaling: set warm_start=False, or use a new estimator"
                )
        self._set_specification(net)
        if not goes_on:
            self._progress = None
            self.scaling_ = rows_of(examples.X).input_scale(examples.w) if self.scale == "standard" else None
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
        rows: Any = examples.X if self.scaling_ is None else rows_of(examples.X).scaled(self.scaling_)
        # sparse X that would be too large dense is taken in parts by `fit`
        X = rows.T if is_too_large_when_dense(rows, dtype) else rows_of(rows).columns()
        Y = targets_of(self._scaled_targets(examples.Y)).columns()
        if self.devices is not None and distributed.team().count > 1:
            part = distributed.team().share(X.shape[1])
            X, Y, w = X[:, part], Y[:, part], None if w is None else w[part]
        checked = is_array(X) and self.scaling_ is None and dtype_name(X) == dtype
        return FiniteColumns(X) if checked else X, Y, w

    def _scaled_targets(self, Y: Any) -> Any:
        return Y

    def _target_advice(self, Y: Any) -> str | None:  # noqa: ARG002
        """Return the advice for the targets after a divergence, if there is any."""
        return None

    def _dtype(self, X: Any) -> str:
        return str(np.dtype(self.dtype)) if self.dtype is not None else floating_name(X)

    def _batch_size(self, n: int) -> int | None:
        if is_lbfgs(self):
            return None
        if self.batch_size == "auto":
            return min(_AUTO_BATCH, n)
        size = int(self.batch_size)
        if size > n:
            warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped: "
                f"{size} for {n} examples",
                UserWarning,
                stacklevel=7,
            )
        return min(size, n)

    def _optimizer(self, m: int, monitor: str, goes_on: bool, incremental: bool) -> Optimizer:
        if is_lbfgs(self) and self.n_networks > 1:
            raise ValueError(
                f'n_networks={self.n_networks} needs solver="adam", "sgd" or an optimizer: "lbfgs" trains one network'
            )
        first = self._progress.state.step if goes_on and self._progress is not None else 0
        optimizer: Any = optimizer_of(self, m, monitor, self.t_ if goes_on else 0, first)
        found = count_networks(self.network_, 0, optimizer, 0, 0, check_rates(self.network_, self.dropout), None)
        if found not in (None, self.n_networks):
            raise ValueError(f"solver or dropout has values for {found} networks: set n_networks={found}")
        if getattr(optimizer.schedule, "monitor", "") == "metric" != monitor:
            raise ValueError(
                f"{optimizer.schedule} watches the score of early stopping, and there is none: set early_stopping=True "
                'and another scoring than "loss", or take monitor="cost"'
            )
        planned = incremental and not isinstance(optimizer.schedule, ReduceOnPlateau)
        if planned and hasattr(optimizer, "__dataclass_fields__"):
            optimizer = replace(optimizer, schedule=Planned(optimizer.schedule, self.max_iter))
        return optimizer  # type: ignore[no-any-return]

    def _metric(self, validation: Any, scoring: Any) -> Any:
        """Return the metric that early stopping watches."""
        if scoring is None:
            return self._default_metric()
        from sklearn.metrics import check_scoring

        scorer = check_scoring(self, scoring)
        return ScorerMetric(self, scorer, validation.X, validation.targets, validation.w)

    def _scoring(self, validation: Examples | None) -> Any:  # noqa: ARG002
        return self.scoring

    def _their_callbacks(self, given: dict[str, Any]) -> list[TheirCallbacks]:
        """Return scikit-learn's callbacks as one of the engine, if this version has them and any are set."""
        if not hasattr(self, "_init_callback_context"):
            return []
        context = self._init_callback_context(max_subtasks=self.max_iter)
        return [TheirCallbacks(self, context, given)] if vars(self).get("_skl_callbacks") else []

    def _normalized(self) -> tuple[bool, ...]:
        return for_each_layer(self.network_, self.batch_norm, "batch_norm", check_flag)

    # Continuing

    def _state(self, backend: Backend, kind: tuple[Any, ...], monitor: str, seed: Any) -> TrainingState:
        """Return the state to continue from: the present layers, and slots if they still fit."""
        normalized = any(self._normalized())
        if self._progress is None and normalized:
            raise ValueError(
                "batch_norm: this network was loaded, with its normalization folded into coefs_ and intercepts_, and "
                "cannot be trained further with it: set batch_norm=False, or fit anew with warm_start=False"
            )
        before = self._progress or PastTraining(TrainingState((), None, self.n_iter_, seed))
        if before.kind and before.kind[2] != kind[2]:
            raise ValueError(
                f"batch_norm={self.batch_norm!r}, and the network fitted before was trained with another: set "
                "warm_start=False, or use a new estimator"
            )
        if before.folded and before.folded != digest([*self.coefs_, *self.intercepts_]):
            raise ValueError(
                "coefs_ or intercepts_ were changed, and with batch_norm training goes on from what they are computed "
                "of: set warm_start=False, or use a new estimator"
            )
        state = before.state
        if not normalized:  # the user may have changed coefficients
            state = state._replace(params=tuple(Layer(*map(to_host, layer)) for layer in self.params_))
        W = state.params[0].W
        if (count := len(W) if W.ndim == 3 else 1) != self.n_networks:
            raise ValueError(
                f"n_networks={self.n_networks}, and training goes on from {count} fitted before, without those that "
                "diverged: set warm_start=False, or use a new estimator"
            )
        if kind != before.kind:
            state = state._replace(slots=None)
        if monitor != before.monitor:
            state = state._replace(best=None)
        dtype = self._dtype(self.coefs_[0])
        return state.mapped(lambda a: backend.asarray(a, dtype))

    # The result

    def _keep(self, result: FitResult, examples: Examples, stops_early: bool, goes_on: bool) -> None:
        """Set the attributes of the result."""
        set_layers(self, _without_diverged(result, self._or_scale), examples.X)
        self._keep_history(result.history, stops_early, goes_on)
        self.n_iter_ = len(result.history["cost"])
        self.t_ += self.n_iter_ * examples.n
        self.stopped_ = result.stopped

    def _keep_history(self, history: History, stops_early: bool, goes_on: bool) -> None:
        """Set or lengthen the curves, and set what follows from them."""
        before = self.history_ if goes_on else {}
        self.history_ = {key: [*before.get(key, []), *values] for key, values in history.items()}
        means = {key: [float(np.mean(c)) for c in self.history_[key]] for key in _CURVES if key in self.history_}
        self.loss_curve_ = means["cost"]
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else float("nan")
        self.best_loss_ = None if stops_early else min(self.loss_curve_, default=float("nan"))
        self.validation_loss_curve_ = means.get("validation_cost")
        self.validation_scores_ = self.best_validation_score_ = None
        if stops_early:
            self.validation_scores_ = means.get("metric", [-c for c in self.validation_loss_curve_ or []])
            self.best_validation_score_ = max((s for s in self.validation_scores_ if s == s), default=float("nan"))

    @property
    def _or_scale(self) -> str:
        """The end of advice, "" if the inputs are scaled already."""
        return "" if self.scale == "standard" else ', or scale the data (scale="standard")'

    def _warn(self, result: FitResult, baseline: float, m: float) -> None:
        """Warn if training on examples of total weight m ended before it converged, or learned nothing."""
        done, planned = self.n_iter_, None if isinstance(self.solver, str) else getattr(self.solver, "schedule", None)
        has_own_schedule = not isinstance(self.learning_rate, str) or planned not in (None, CONSTANT)  # until max_iter
        if is_lbfgs(self) and result.stopped in ("epochs", "evaluations", "stalled"):
            reason = {
                "epochs": f"the limit max_iter={self.max_iter}",
                "evaluations": f"the limit max_fun={self.max_fun}",
                "stalled": "no lower cost along the search direction",
            }[result.stopped]
            message = f"lbfgs failed to converge after {done} iterations: {reason}. Increase the limit{self._or_scale}"
        elif not is_lbfgs(self) and result.stopped == "epochs" and not has_own_schedule:
            if self.early_stopping and baseline <= np.finfo(float).eps:
                return  # all targets are equal: the loss falls towards 0 for ever
            ended = f"Maximum iterations ({self.max_iter}) reached and the optimization hasn't converged yet."
            message = Advice("{ended}", {"ended": f"Stochastic Optimizer: {ended}"}, after="")
        elif result.stopped in ("converged", "patience") and self._learned_nothing(result, baseline, m):
            take = "Take" if self.scale == "standard" else 'Scale the data (scale="standard"), or take'
            message = Advice(
                "another {seed}, another {learning_rate} or a smaller {l2}",
                _WORDS,
                f"training ended at a loss of {self.loss_:.4g}, and that of the best constant prediction is "
                f"{baseline:.4g}: nothing was learned from X. {take} ",
                "",
            )
        else:
            return
        warn(message, ConvergenceWarning, stacklevel=6)

    def _learned_nothing(self, result: FitResult, baseline: float, m: float) -> bool:
        """Tell whether no network's loss, less the penalties for examples of total weight m, has come below `baseline`.

        That is the loss of the best constant prediction. False for equal targets, where it is 0, and with dropout,
        where the loss is not of the whole network.
        """
        params = _on_host(result.state._replace(slots=None)).params
        costs = np.asarray(result.history["cost"]) - Penalties(self.l1, self.alpha, m).cost(params)
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


def _on_host(state: TrainingState) -> TrainingState:
    """Return a state of NumPy arrays, with the best network, and no slots, if it replaced the last one."""
    state = state.mapped(to_host)
    best = state.best
    if best is None or not best.params or all(map(np.array_equal, leaves_of(best.params), leaves_of(state.params))):
        return state
    return state._replace(params=best.params, statistics=best.statistics, slots=None)


def _without_diverged(result: FitResult, or_scale: str) -> Params:
    """Return the layers without the networks of a stack that have diverged."""
    if result.networks is None:
        return result.params
    finite = np.all([np.isfinite(to_host(a)).all(axis=(-2, -1)) for layer in result.params for a in layer], axis=0)
    if finite.all():
        return result.params
    kept = np.flatnonzero(finite)
    lost = f"{result.networks - len(kept)} of {result.networks} networks diverged and are left out: "
    warn(Advice("lower {learning_rate}", _WORDS, lost, or_scale), RuntimeWarning, stacklevel=7)
    return tuple(Layer(*(to_host(a)[kept] for a in layer)) for layer in result.params)
