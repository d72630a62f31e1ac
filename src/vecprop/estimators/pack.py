"""Packs: groups of networks that see the data through different maps, and the best mixture of them.

Each group is a stack of networks with a learning rate and a weight decay of their own, drawn at random. All are trained
once; the weights of the networks in the mixture are chosen by their predictions for a validation set. Then the chosen
ones go on for a few epochs, in which they learn from the validation set, too.

Sources: a pack of networks with drawn hyperparameters as Gorishniy and others, 2026 (TabPack, arXiv 2607.05380);
choosing with replacement as Caruana, Niculescu-Mizil, Crew and Ksikes, 2004.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from vecprop.backend.blas import BLAS, sharing_cores, usable_cores
from vecprop.backend.contract import to_host
from vecprop.backend.selection import get_backend
from vecprop.data.splitting import in_second_part, places_of
from vecprop.data.streaming.sources import ArraySource
from vecprop.estimators.ensemble_selection import Losses, bagged_greedy
from vecprop.estimators.feature_maps import FeatureMap, learn
from vecprop.estimators.inputs import (
    Examples,
    check_examples,
    check_rows,
    dispatches,
    is_held_out,
    named,
    named_as_validation,
    scaled_up,
    unchanged_if_it_fails,
)
from vecprop.estimators.kinds_of_data import rows_of
from vecprop.estimators.large_data import LargeRows
from vecprop.estimators.parameters import callbacks_of
from vecprop.estimators.prediction import set_layers
from vecprop.estimators.training import NonFiniteParametersError, random_state_of
from vecprop.propagation import Layer
from vecprop.training.optimizers import Adam, AdamW, Optimizer
from vecprop.training.schedules import Cosine, ReduceOnPlateau
from vecprop.utils.arguments import check_flag, check_positive_integer, check_real, check_texts
from vecprop.utils.errors import unknown_name, warn, warnings_kept

_BLAS = BLAS()
_AT_ONCE, _AT_ONCE_OF_A_FILE = 8192, 1 << 17  # rows of one prediction
_FOR_THREADS = 250_000  # with this many numbers in X, or more, NumPy trains the kinds in threads
_FEWEST_UPDATES = 34  # in an epoch, unless batches become too small
_SMALLEST_BATCH, _LARGEST_BATCH = 16, 256


class Kind(NamedTuple):
    """A kind of networks: the map of their inputs, their hidden layers, and where rates and decays are drawn from.

    ReLU suits bins, whose edges are thresholds; SiLU the smooth maps. Without decays it is Adam with an L2 penalty, and
    its rate falls where the validation loss does not, else AdamW along a cosine. The linear model, without hidden
    layers, has one optimum, which L-BFGS finds.
    """

    map: str
    hidden: tuple[int, ...] = ()
    rates: tuple[float, float] = (2e-3, 1e-2)
    decays: tuple[float, float] | None = (1e-2, 2.0)
    activation: str = "silu"

    def parameters(self, rng: np.random.Generator, networks: int, m: int) -> dict[str, Any]:
        """Return the parameters of an estimator of K networks of this kind, for m training examples."""
        seed = int(rng.integers(np.iinfo(np.int32).max))
        if not self.hidden:
            linear = {"solver": "lbfgs", "alpha": 1.0, "max_iter": 1000, "dtype": "float64"}
            return {"hidden_layer_sizes": (), "random_state": seed, **linear}
        own: dict[str, Any] = {"alpha": 1.0, "max_iter": _MOST_EPOCHS, "n_iter_no_change": _PATIENCE}
        rates = _drawn(rng, self.rates, networks)
        optimizer: Optimizer = Adam(rates, schedule=_FALLING)
        if self.decays is not None:
            own = {"alpha": 0.0, "max_iter": _EPOCHS, "n_iter_no_change": math.inf}
            optimizer = AdamW(rates, weight_decay=_drawn(rng, self.decays, networks), schedule=Cosine())
        return own | {
            "hidden_layer_sizes": self.hidden,
            "activation": self.activation,
            "solver": optimizer,
            "n_networks": networks,
            "batch_size": min(max(_SMALLEST_BATCH, min(_LARGEST_BATCH, m // _FEWEST_UPDATES)), max(m // 2, 1)),
            "early_stopping": True,
            "scoring": "loss",
            "tol": 0.0,
            "init": "auto",
            "dtype": "float32",
            "random_state": seed,
        }


KINDS = {
    "standard": Kind("standard", (64, 64), (4e-3, 1.2e-2), None),
    "bins": Kind("bins", (64, 64, 64), activation="relu"),
    "normal": Kind("normal", (64, 64, 64)),
    "cosines": Kind("cosines", (64, 64, 64)),
}
LINEAR = Kind("standard")
NAMES = {f"{kind} network" for kind in KINDS} | {f"{LINEAR.map} linear"}  # of groups
_EPOCHS, _MOST_EPOCHS, _PATIENCE = 20, 300, 9
_FALLING = ReduceOnPlateau(factor=0.3, patience=3, min_delta=0.0)
_MORE_EPOCHS, _LOWER = 6, 0.6  # of `refit`, and its rates as a share of those before


class Group(NamedTuple):
    """Networks of one kind: their map, the fitted estimator, and each one's weight in the mixture, (K,)."""

    map: FeatureMap
    estimator: Any
    weights: npt.NDArray[np.float64] = np.empty(0)

    @property
    def layers(self) -> list[Layer]:
        """The layers as stacks, W (K, n_l, n_{l-1}), on the host."""
        layers = [Layer(*map(np.asarray, layer)) for layer in self.estimator.params_]
        return layers if layers[0].W.ndim == 3 else [Layer(*(a[None] for a in layer)) for layer in layers]

    @property
    def name(self) -> str:
        """The name of the kind of networks."""
        return f"{self.map.name} {'linear' if len(self.layers) == 1 else 'network'}"

    def seen(self, X: Any) -> Any:
        """Return the features that the networks see of rows X, made as they are read if X is in a file."""
        return rows_of(X).mapped(self.map)


@dataclass(eq=False, repr=False, kw_only=True)
class Pack(BaseEstimator):
    """The training of packs, and what both kinds share."""

    n_networks: int = 2
    maps: Any = ("standard", "bins", "normal")
    validation_fraction: float = 0.15
    refit: bool = True
    random_state: Any = None
    callbacks: Any = None
    backend: Any = None

    _estimator: ClassVar[Callable[..., Any]]  # makes that of a group
    # For an estimator of K networks and features X what each predicts: probabilities (K, m, classes), or (K, m)
    _of_each: ClassVar[Callable[..., Any]]
    _losses: ClassVar[Callable[..., Losses]]  # for targets y

    def _weighted(self, training: Examples, validation: Examples) -> tuple[Examples, Examples]:
        """Return both parts with the weights that count in training, in its end and in the choice of the mixture."""
        return training, validation

    def _groups_of(self, y: npt.NDArray[Any]) -> npt.NDArray[np.int64] | None:  # noqa: ARG002
        """Return the group of each example, whose shares a split keeps."""
        return None

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Train the networks of all groups, and choose their mixture.

        Parameters
        ----------
        X : array-like (n_samples, n_features)
            Finite numbers. Columns with at most two values are taken for codes, others for numbers. Rows of a file
            (`vp.rows`, or a memory map of more than 256 MiB) are read in parts; then there is one network of each kind,
            and maps and linear model are learned from 100 000 rows that count, or fewer with more than 41 features.
        y : array-like (n_samples,)
        sample_weight : array-like (n_samples,), optional
            Weights with a mean below 1 are scaled up to 1, so that the penalties of a pack stay as strong as without.
        X_val, y_val, sample_weight_val : optional
            A validation set, which ends the training and chooses the mixture, and from which the chosen networks
            learn at last; by default a share `validation_fraction` of the examples, at random. With X or X_val in a
            file, at most 100 000 rows choose the mixture, and the networks do not learn from them (`refit`).
        """
        with unchanged_if_it_fails(self):
            return self._fit((X, y, sample_weight), (X_val, y_val, sample_weight_val))

    def _check_parameters(self) -> None:
        check_positive_integer(self.n_networks, "n_networks")
        if isinstance(self.maps, set | frozenset):
            raise TypeError(f"maps must be a sequence, in whose order random numbers are drawn, got {self.maps!r}")
        for name in check_texts(self.maps, "maps"):
            if name not in KINDS:
                raise ValueError(f"maps: {unknown_name('map', name, KINDS)}")
        check_real(self.validation_fraction, "validation_fraction", "in (0, 1)", lambda x: 0 < x < 1)
        check_flag(self.refit, "refit")

    def _fit(self, given: Any, held_out: Any) -> Any:
        """Train on X, y and weights, with such a validation set or three times None."""
        self._check_parameters()
        random = random_state_of(self.random_state)
        training, validation = self._weighted(*self._parts(given, held_out, random))
        if any(part.w is not None and part.w.sum() > np.finfo(np.float32).max for part in (training, validation)):
            raise ValueError("sample_weight has a sum too large for the networks of a pack: divide it by a number")
        if training.in_file and not validation.in_file:
            validation = validation._replace(X=LargeRows(ArraySource(validation.X)))  # its features are many more
        rng = np.random.default_rng(random.randint(np.iinfo(np.int32).max))
        groups = self._trained(training, validation, rng)
        judged = validation.at(validation.X.some(validation.w)) if validation.in_file else validation
        found = [self._of_each(group.estimator, group.seen(judged.X)) for group in groups]
        weights = bagged_greedy(np.concatenate(found), self._losses(judged.y), judged.w, rng)
        of_groups = np.split(weights, np.cumsum([len(P) for P in found])[:-1])
        groups = [group._replace(weights=own) for group, own in zip(groups, of_groups, strict=True)]
        self.found_ = [(group.name, group.weights.tolist()) for group in groups]
        self._went_on = self.refit and not validation.in_file and self.stopped_ != "interrupted"
        if self._went_on:
            parts, w = (training, validation), None
            if any(part.w is not None for part in parts):  # weights that only one part has are 1 for the other
                w = np.concatenate([np.ones(part.n) if part.w is None else part.w for part in parts])
            X, y = np.concatenate([part.X for part in parts]), np.concatenate([part.y for part in parts])
            examples = Examples(X, y, w)
            self._in_threads([partial(_go_on, group, examples) for group in groups], examples)
        self._choose(groups)
        if self.stopped_ == "interrupted":
            message = "training was interrupted: the pack is of the kinds that had begun, as far as they had come"
            warn(message, RuntimeWarning, stacklevel=3)
        return self

    def _parts(self, given: Any, held_out: Any, random: np.random.RandomState) -> tuple[Examples, Examples]:
        """Return the checked examples for training and for validation."""
        examples = self._checked(*given, reset=True)
        if is_held_out(*held_out):
            with named_as_validation():
                return examples, self._checked(*held_out, reset=False)
        order, groups = random.permutation(len(examples.y)), self._groups_of(examples.y)
        try:
            second = in_second_part(groups, self.validation_fraction, order, examples.w)
        except ValueError:
            why = "there are no two rows" if groups is None else "no class has two rows"
            why += "" if examples.w is None else " with a weight"
            message = f"n_samples={len(examples.y)} are too few to split off a validation set: {why}"
            raise ValueError(message) from None
        return examples.at(places_of(~second)), examples.at(places_of(second))

    def _checked(self, X: Any, y: Any, w: Any, *, reset: bool) -> Examples:
        X, y = _dense_on_host(X), to_host(y) if dispatches(y) else y
        examples = check_examples(self, X, y, w, reset=reset, multi_output=False, dtype=np.float64)
        if isinstance(self, RegressorMixin):
            with named(lambda: "y"):
                examples = examples._replace(y=np.asarray(examples.y, dtype=np.float64))
        return examples._replace(w=scaled_up(examples.w))

    def _trained(self, training: Examples, validation: Examples, rng: np.random.Generator) -> list[Group]:
        """Return the groups that have not diverged."""
        networks = 1 if training.in_file else self.n_networks
        with named(lambda: "X"):
            some = training.some(self._groups_of(training.y))
        seen = some.X if some.w is None else some.X[some.w > 0]  # a row of weight 0 is absent from the maps, too
        if not (seen.min(axis=0) < seen.max(axis=0)).any():
            raise ValueError(
                f"X has no column with two different values among the {len(seen)} rows looked at, so that there is "
                "nothing to learn from"
            )
        groups, jobs = [], []
        for kind in (*(KINDS[name] for name in self.maps), LINEAR):  # all random numbers are drawn in this order
            view = learn(kind.map, seen, rng, training.n)
            parameters = kind.parameters(rng, networks, len(training.y))
            groups.append(Group(view, self._estimator(**parameters, backend=self.backend)))
            own = partial(_fit, groups[-1], training if kind.hidden else some, validation, callbacks_of(self.callbacks))
            jobs.append(own)
        self.stopped_ = "epochs"
        fitted = self._in_threads(jobs, training, validation)
        kept = [group for group, found in zip(groups, fitted, strict=True) if found]
        if not kept and self.stopped_ == "interrupted":
            raise KeyboardInterrupt
        if not kept:
            raise ValueError("the training of all networks diverged: X or y may contain extreme values")
        found = {group.estimator.stopped_ for group in kept}
        if self.stopped_ == "epochs":  # no Ctrl-C, at which callbacks of `_in_threads` end the training
            self.stopped_ = next((why for why in ("interrupted", "callback") if why in found), "epochs")
        return kept

    def _in_threads(self, jobs: Sequence[Callable[[list[Any]], Any]], *parts: Examples) -> list[Any]:
        """Return the results of the jobs, each with callbacks that end its training.

        After Ctrl-C those that have begun end with their epoch, and the others give False. One thread for each kind is
        faster than several in the products of one, which are small. For few numbers threads of NumPy would wait for
        Python's lock more than they compute, so there is one, and within a kind, too; those of one file would read it
        side by side.
        """
        ends = Event()
        backend = get_backend(self.backend)
        cores = 1 if backend.has_gpu or any(part.in_file for part in parts) else usable_cores()
        threads = cores if backend.compiles or np.size(parts[0].X) >= _FOR_THREADS else 1
        with warnings_kept(), _BLAS.single(), sharing_cores(cores), ThreadPoolExecutor(threads) as pool:
            started = [pool.submit(copy_context().run, job, [lambda *_: ends.is_set()]) for job in jobs]
            try:
                for job in started:
                    job.result()
            except BaseException as error:
                for waiting in started:
                    waiting.cancel()
                ends.set()  # after this epoch, for the groups that are still trained
                if not isinstance(error, KeyboardInterrupt):
                    raise
                self.stopped_ = "interrupted"
        return [not job.cancelled() and job.result() for job in started]

    def _choose(self, groups: list[Group]) -> None:
        """Keep the networks with a weight."""
        chosen = []
        for group in groups:
            kept = np.flatnonzero(group.weights)
            if len(kept):
                set_layers(group.estimator, tuple(Layer(*(a[kept] for a in layer)) for layer in group.layers))
                chosen.append(group._replace(weights=group.weights[kept]))
        self._set_groups(chosen)

    def _set_groups(self, groups: list[Group]) -> None:
        """Set the groups of the mixture, and what follows from them."""
        self.groups_ = groups
        self.leading_ = max(self.groups_, key=lambda group: float(group.weights.sum())).estimator

    def _members(
        self, X: Any, of_each: Callable[[Any, npt.NDArray[Any]], npt.NDArray[np.float64]]
    ) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
        """Yield what each member predicts for some of the rows X by such a function, (J, k, …), and weights (J,)."""
        check_is_fitted(self, "groups_")
        X = check_rows(self, _dense_on_host(X), dtype=np.float64)
        size = _AT_ONCE_OF_A_FILE if rows_of(X).in_file else _AT_ONCE
        weights = np.concatenate([group.weights for group in self.groups_])
        for start in range(0, len(X), size):
            with named(lambda: "X"):  # its setting for NumPy's warnings must not be that of whoever takes the parts
                part = rows_of(X).take(np.arange(start, min(start + size, len(X))))
                found = np.concatenate([of_each(g.estimator, g.seen(part)) for g in self.groups_])
            yield found, weights

    def _mixture(self, X: Any, return_std: bool) -> Any:
        """Return the weighted mean of the members' predictions; with `return_std` also the deviation from it."""
        return_std, means, deviations = check_flag(return_std, "return_std"), [], []
        for P, weights in self._members(X, self._of_each):
            means.append(np.tensordot(weights, P, axes=1))
            if return_std:
                deviations.append(np.sqrt(np.tensordot(weights, (P - means[-1]) ** 2, axes=1)))
        mean = np.concatenate(means)
        return (mean, np.concatenate(deviations)) if return_std else mean


def _fit(group: Group, training: Examples, validation: Examples, given: list[Any], callbacks: list[Any]) -> bool:
    """Fit a group, and tell whether a network of it has not diverged."""
    estimator = group.estimator.set_params(callbacks=[*callbacks, *given])
    held_out = {"X_val": group.seen(validation.X), "y_val": validation.y, "sample_weight_val": validation.w}
    try:
        estimator.fit(group.seen(training.X), training.y, training.w, **held_out)
    except NonFiniteParametersError:
        return False
    estimator.set_params(callbacks=None)
    return True


def _go_on(group: Group, examples: Examples, callbacks: list[Any]) -> None:
    """Train the networks of a group some more if they have a part in the mixture; the linear model to its end.

    If that fails or is interrupted, they stay as they are. `result_` and the curves remain those of the first training,
    which had a validation set.
    """
    estimator, layers = group.estimator, group.layers
    if not group.weights.any() or len(layers[0].W) != estimator.n_networks:
        return
    more, before = copy(estimator).set_params(callbacks=callbacks, warm_start=True), estimator._progress
    more._progress = before._replace(state=before.state._replace(slots=None))  # the optimizer starts anew
    if len(layers) > 1:
        rates = tuple(_LOWER * rate for rate in estimator.solver.learning_rate)
        optimizer = replace(estimator.solver, learning_rate=rates, schedule=Cosine())
        shorter = {"max_iter": _MORE_EPOCHS, "n_iter_no_change": math.inf, "early_stopping": False, "scoring": None}
        more.set_params(solver=optimizer, **shorter)
    with suppress(NonFiniteParametersError):
        more.fit(group.map(examples.X), examples.y, examples.w)
        if more.stopped_ != "callback" and len(group._replace(estimator=more).layers[0].W) == len(layers[0].W):
            set_layers(estimator, more.params_)


def _dense_on_host(X: Any) -> Any:
    """Return X, where packs compute under scikit-learn's array API dispatch, too; TypeError if it is sparse."""
    if hasattr(X, "toarray"):
        raise TypeError(
            f"X must be dense, since the maps of a pack make numbers of its zeros, got sparse X of shape {X.shape}: "
            "MLPClassifier and MLPRegressor take it as it is"
        )
    return to_host(X) if dispatches(X) else X


def _drawn(rng: np.random.Generator, ends: tuple[float, float], count: int) -> tuple[float, ...]:
    """Return numbers between the ends whose logarithms are uniform."""
    low, high = map(math.log, ends)
    return tuple(np.exp(rng.uniform(low, high, count)).tolist())
