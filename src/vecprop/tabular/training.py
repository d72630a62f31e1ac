"""Training on a table: split, prepare, train, and score on test rows beside two baselines."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt

from vecprop.backend.selection import check_backend_name
from vecprop.data.splitting import in_second_part, shuffled
from vecprop.data.tables import Table
from vecprop.estimators.large_data import large_rows
from vecprop.inspection.diagnosis import Diagnosis, diagnose
from vecprop.nn.activations import get_activation
from vecprop.tabular import column_stats, target_encoding
from vecprop.tabular.large_tables import LargeTable, write_features
from vecprop.tabular.model import TableModel
from vecprop.tabular.preparation import Plan, Preparation, Prepared, learn
from vecprop.tabular.remarks import about_classes, about_columns
from vecprop.tabular.scores import of_classes, of_numbers, predictions, scores
from vecprop.training.checkpoint import check_every
from vecprop.training.fit_arguments import check_callbacks
from vecprop.training.json_values import without_nan
from vecprop.utils import random_streams
from vecprop.utils.advice import TRAIN, TRAIN_LINEAR, TRAIN_PACK, said
from vecprop.utils.arguments import (
    check_annotated,
    check_choice,
    check_flag,
    check_instance,
    check_integer,
    check_number,
    check_path,
    check_positive_integer,
    check_real,
    check_share,
)
from vecprop.utils.errors import DivergenceError, unknown_name, warnings_kept

if TYPE_CHECKING:
    from vecprop.estimators.inputs import Examples  # imports scikit-learn, which takes a while

_SPLIT, _FOLDS = 301, 303  # the streams of this module (`vecprop.utils.random_streams.generator`)
EPOCHS, ITERATIONS = 300, 1000  # at most: of networks of one kind, and of the linear model
# The settings of networks of one kind: the estimators' parameter, and what holds unless they are given.
_OF_ONE_KIND: dict[str, tuple[str, Any]] = {
    "hidden": ("hidden_layer_sizes", (64, 64)), "activation": ("activation", "silu"), "epochs": ("max_iter", EPOCHS),
    "patience": ("n_iter_no_change", 20), "learning_rate": ("learning_rate_init", 0.002), "l2": ("alpha", 1.0),
    "batch_size": ("batch_size", None), "dropout": ("dropout", 0.0), "networks": ("n_networks", 4),
}  # fmt: skip
_SMALLEST_BATCH, _LARGEST_BATCH, _FEWEST_UPDATES = 16, 256, 40  # updates of an epoch, unless batches get too small
# Settings with a check that several need
_Count = Annotated[int | None, check_positive_integer]
_Share = Annotated[float, partial(check_real, wanted="above 0 and below 1", holds=lambda share: 0 < share < 1)]
_Path = Annotated[str | os.PathLike[str] | None, check_path]


@dataclass(frozen=True)
class Settings:
    """How to train.

    hidden : the units of each hidden layer, () for none; (64, 64) unless given
    activation : the activation of the hidden layers; "silu" unless given
    epochs : the most epochs; 300 unless given
    patience : the number of epochs without a better validation score after which training ends; 20 unless given
    learning_rate : the learning rate of Adam; 0.002 unless given
    batch_size : examples in a batch; None to choose by the number of examples
    l2, dropout : strengths of the remedies for overfitting; 1 and 0 unless given
    networks : how many networks of one kind are trained, each from its own seed; their predictions are averaged. None
        for a pack of networks of several kinds (`vecprop.estimators.pack`); or, where one of the settings above, a
        checkpoint or devices are given, for 4 of one kind. Of a table that stays in its file, one of each kind
    test_share, validation_share : the share of all examples, and of those that remain
    class_weight : "balanced", or class -> weight of its examples, 1 where not given
    linear : whether the linear model that serves as a baseline becomes the model; it has none of the settings above,
        but for the share of the test and the weights
    seed : the seed of the split and of the training
    cache : the folder for the features of a table that stays in its file; None for the system's temporary folder
    checkpoint, checkpoint_every, resume : as for `vecprop.fit`; `resume` continues from `checkpoint`, if it exists
    backend, devices : None for the active backend, and for one device
    """

    hidden: Sequence[int] | None = None
    activation: Annotated[str | None, lambda given, _: get_activation(given)] = None
    epochs: _Count = None
    patience: _Count = None
    learning_rate: Annotated[float | None, partial(check_number, zero=False)] = None
    batch_size: _Count = None
    l2: Annotated[float | None, check_number] = None
    dropout: Annotated[float | None, check_share] = None
    networks: _Count = None
    test_share: _Share = 0.2
    validation_share: _Share = 0.15
    class_weight: str | Mapping[Any, float] | None = None
    linear: Annotated[bool, check_flag] = False
    seed: Annotated[int, random_streams.check_seed] = 0
    checkpoint: _Path = None
    checkpoint_every: Annotated[float, lambda given, _: check_every(given)] = 1
    resume: Annotated[bool, check_flag] = False
    backend: Annotated[str | None, lambda given, _: check_backend_name(given)] = None
    devices: str | int | None = None
    cache: _Path = None

    def __post_init__(self) -> None:
        if isinstance(self.hidden, str | bytes) or not isinstance(self.hidden, Sequence | None):
            raise TypeError(f"hidden must be a sequence of numbers of units or None, got {self.hidden!r}")
        for l, units in enumerate(self.hidden or ()):
            check_positive_integer(units, f"hidden[{l}]")
        check_annotated(self)
        if self.devices is not None and not (isinstance(self.devices, str) and self.devices == "all"):
            check_integer(self.devices, "devices", 1, 'a positive integer, "all" or None')
        if isinstance(self.class_weight, str):
            check_choice(self.class_weight, "class_weight", ("balanced",))
        elif self.class_weight is not None:
            check_instance(self.class_weight, Mapping, "class_weight", '"balanced", a dict of classes, or None')
            for label, weight in self.class_weight.items():
                check_number(weight, f"class_weight[{label!r}]")
        if self.checkpoint is None and (self.resume or self.checkpoint_every != Settings.checkpoint_every):
            what = "resume goes on from" if self.resume else "checkpoint_every is for"
            raise ValueError(f"{what} a checkpoint, and there is none: name its file (--checkpoint)")
        stops = ["validation_share"] if self.validation_share != Settings.validation_share else []
        for name in [*self.of_one_kind, *stops] if self.linear else ():
            raise ValueError(
                f"linear: a linear model has no {name}; leave out --linear or --{name.replace('_', '-')}, got {name} "
                f"{getattr(self, name)!r}"
            )

    @property
    def of_one_kind(self) -> list[str]:
        """The names of the settings given that speak of networks of one kind."""
        return [name for name in (*_OF_ONE_KIND, "checkpoint", "devices") if getattr(self, name) is not None]


@dataclass(frozen=True)
class Trained:
    """The result of training on a table.

    model : the trained model
    table : the table, as it was used
    rows : the number of examples in "training", in "validation" (part of training: tells when to stop), and in "test"
    training, test : the prepared examples, with the counts of missing and unseen values; mean targets of training rows
        come from other folds (`target_encoding`)
    scores : of "network", "linear" and "constant" on the test examples; "training" are the network's in training
    truth, predicted : labels or numbers of the test examples
    diagnosis : the diagnosis of the training run
    seconds : the duration
    notes : remarks on the data and the model
    """

    model: TableModel
    table: Table
    rows: dict[str, int]
    training: Prepared
    test: Prepared
    scores: dict[str, dict[str, float]]
    truth: npt.NDArray[Any]
    predicted: npt.NDArray[Any]
    diagnosis: Diagnosis
    seconds: float
    notes: tuple[str, ...] = ()


def train(plan: Plan, settings: Settings | None = None, callbacks: Sequence[Callable[..., Any]] = ()) -> Trained:
    """Train as planned, and score the model on the test examples.

    DivergenceError if the run diverges before its first good epoch. KeyboardInterrupt on Ctrl-C; the state is in the
    checkpoint, if one was asked for.
    """
    check_instance(plan, Plan, "plan", "what tabular.plan returns")
    settings = check_instance(settings, Settings | None, "settings", "tabular.Settings or None") or Settings()
    callbacks = check_callbacks(callbacks)
    if not isinstance(plan.table, LargeTable):
        if settings.cache is not None:
            what = "--cache is for the features of a table that stays in its file (--stream, tabular.scan)"
            raise ValueError(f"{what}; leave it out, got cache {os.fspath(settings.cache)!r}")
        return _train(plan, settings, callbacks, None)
    if settings.cache is not None and not Path(settings.cache).is_dir():
        raise FileNotFoundError(f"cache: there is no folder {os.fspath(settings.cache)}; make it, or name another")
    with TemporaryDirectory(prefix="vecprop-", dir=settings.cache, ignore_cleanup_errors=True) as folder:
        return _train(plan, settings, callbacks, Path(folder))


def _train(plan: Plan, settings: Settings, callbacks: Sequence[Callable[..., Any]], folder: Path | None) -> Trained:
    from vecprop.estimators.labels import name_classes  # imports scikit-learn, which the time leaves out

    begin, task = time.perf_counter(), plan.target.task
    preparation, classes, y_known, examples, prepared = _examples(plan, settings, folder)
    training, stopping, test = examples
    rows = {"training": len(y_known), "validation": len(stopping.y), "test": test.n}
    some = [part.some(None if classes is None else part.y) for part in (training, stopping)]
    remarks = about_columns(preparation, some[0].X, some[0].y, task)
    linear = _linear(settings, classes, some, callbacks)
    del some
    if settings.linear:
        estimator, rows["validation"] = linear, 0
    else:
        settings = _completed(settings, training.in_file, remarks)
        estimator = _fitted(settings, classes, examples[:2], callbacks, remarks)
    if estimator.stopped_ == "interrupted":
        raise KeyboardInterrupt
    diagnosis = diagnose(estimator)
    words = TRAIN_LINEAR if settings.linear else TRAIN if settings.of_one_kind else TRAIN_PACK
    findings = tuple(replace(found, advice=said(found.advice, words=words)) for found in diagnosis)
    diagnosis = replace(diagnosis, findings=findings)
    of_this_run = ("callbacks", "checkpoint", "resume", "devices")
    estimator.set_params(**dict.fromkeys(of_this_run & estimator.get_params().keys()))
    found = {
        "network": scores(estimator, test.X, test.y),
        "linear": scores(linear, test.X, test.y),
        "constant": constant(y_known, test.y, task),
        "training": scores(estimator, training.X, training.y),
    }
    truth, predicted = test.y, predictions(estimator, test.X)
    if classes is not None:  # the estimator was fitted to their indices
        remarks += about_classes(classes, y_known, truth, predicted, settings.class_weight is not None)
        name_classes(estimator, classes)
        estimator.set_params(class_weight=settings.class_weight)
        truth, predicted = classes[truth], classes[predicted]
    where = ("checkpoint", "checkpoint_every", "resume", "devices", "cache")
    used = {name: value for name, value in asdict(settings).items() if name not in where}
    used["hidden"] = None if settings.hidden is None else list(settings.hidden)
    about = {"source": plan.table.source, "rows": rows, "scores": found, "settings": used}
    model = TableModel(preparation, plan.target, estimator, without_nan(about))
    seconds, notes = time.perf_counter() - begin, tuple(remarks)
    return Trained(model, plan.table, rows, *prepared, found, truth, predicted, diagnosis, seconds, notes)


def _examples(
    plan: Plan, settings: Settings, folder: Path | None
) -> tuple[Preparation, Any, npt.NDArray[Any], "list[Examples]", tuple[Prepared, Prepared]]:
    """Return the preparation, the classes, the targets of all rows but the test's, the three parts, and the counts."""
    from vecprop.estimators.inputs import Examples, scaled_up

    y, classes = plan.target.coded(plan.table)
    weights = scaled_up(_weights(plan))
    parts = split(y, weights, plan.target.task, settings, masks=folder is not None)
    known = parts[0] | parts[1] if folder is not None else np.concatenate(parts[:2])
    targets = [(y[part], None if weights is None else weights[part]) for part in parts]
    preparation = learn(plan.table.take(known), plan.kinds, plan.choices)
    count, rng = 0 if classes is None else len(classes), random_streams.generator(settings.seed, _FOLDS)
    preparation, out_of_fold = target_encoding.learn(preparation, plan.table.take(parts[0]), *targets[0], count, rng)
    of_known, features = _features(preparation, plan, parts[:2], folder)
    for column in out_of_fold:
        column.write(features[0])
    of_test, [X_test] = _features(preparation, plan, parts[2:], folder)
    examples = [Examples(large_rows(X) or X, *own) for X, own in zip([*features, X_test], targets, strict=True)]
    return preparation, classes, y[known], examples, (of_known, of_test)


def _completed(settings: Settings, in_file: bool, remarks: list[str]) -> Settings:
    """Return the settings of networks of one kind with all that was not given, those of a pack as they are."""
    one_kind = settings.of_one_kind
    own = {name: value for name, (_, value) in _OF_ONE_KIND.items() if getattr(settings, name) is None}
    if settings.networks != 1 and in_file:
        own["networks"] = 1
        of_each = "" if one_kind else " of each kind"
        remarks.append(f"one network{of_each}: several would each read the file in an order of its own")
    elif settings.networks is None and one_kind:
        remarks.append(f"{own['networks']} networks of one kind, since {one_kind[0]} was given; else a pack is trained")
    return replace(settings, **own) if one_kind else settings


def _fitted(
    settings: Settings, classes: Any, parts: "Sequence[Examples]", callbacks: Sequence[Any], remarks: list[str]
) -> Any:
    """Return a pack or networks of one kind, fitted to the examples for training and stopping."""
    training, stopping = parts
    m = len(training.y) + len(stopping.y)
    estimator = _untrained(settings, classes, _of_networks(m, settings) if settings.of_one_kind else None)
    estimator.set_params(callbacks=list(callbacks) or None)
    try:
        with warnings_kept() as kept:
            estimator.fit(*training[:3], X_val=stopping.X, y_val=stopping.y, sample_weight_val=stopping.w)
    except DivergenceError as error:
        error.args = (said(error.advice, words=TRAIN, after="."),)
        raise
    epochs = f"{settings.epochs} epoch{'s' * (settings.epochs != 1)}"
    ended = f"training ended after {epochs} before it converged: more --epochs"
    remarks += dict.fromkeys(said(text, words={**TRAIN, "ended": ended}) for text in kept)
    return estimator


def _weights(plan: Plan) -> npt.NDArray[np.float64] | None:
    if plan.choices.weight is None:
        return None
    name = plan.table.find(plan.choices.weight, "--weight")
    if (dtype := plan.table.dtype(name)).is_temporal():
        raise ValueError(f"--weight {name!r} must hold numbers; it has {dtype}")
    weights = column_stats.whole(plan.table, name)
    for row in np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))[:1].tolist():
        raise ValueError(f"{plan.table.place(row, name)}: a weight must be a number from 0 on")
    if not 0 < (total := weights.sum()) <= np.finfo(np.float32).max:
        raise ValueError(f"--weight {name!r}: its numbers must have a sum above 0 that float32 can hold, got {total:g}")
    return weights


def _features(
    preparation: Preparation, plan: Plan, parts: Sequence[npt.NDArray[Any]], folder: Path | None
) -> tuple[Prepared, list[npt.NDArray[Any]]]:
    """Return counts of missing and unseen values of parts of the rows, and each part's features."""
    table, target = plan.table, plan.target.name
    if folder is not None:
        return write_features(preparation, map(table.take, parts), target, folder)
    prepared = preparation.transform(table.take(np.concatenate(parts)), target)
    return prepared, np.split(prepared.X, np.cumsum([len(part) for part in parts])[:-1])


def split(
    y: npt.NDArray[Any], weights: npt.NDArray[Any] | None, task: str, settings: Settings, masks: bool = False
) -> Sequence[npt.NDArray[Any]]:
    """Return the rows for training, stopping and testing, or masks (m,); classes, in y (m,), keep their shares.

    No row of weight 0 is for stopping.
    """
    groups = y if task == "classification" else None
    order = shuffled(len(y), random_streams.generator(settings.seed, _SPLIT))
    try:
        test = in_second_part(groups, settings.test_share, order)
        known = order[~test[order]]
        own = None if groups is None else groups[known]
        of_known = None if weights is None else weights[known]
        stops = in_second_part(own, settings.validation_share, np.arange(len(known)), of_known)
    except ValueError:
        if groups is None or np.bincount(groups).max() > 2:
            raise ValueError(
                f"test_share {settings.test_share:g} of {len(y)} rows leaves none to learn from beside one "
                f"that tells when to stop{'' if weights is None else ', both with a weight'}; take a smaller one"
            ) from None
        raise ValueError(
            "target: no class has three rows or more; at least one has to: one row to learn from, one that tells when "
            "to stop, one to test"
        ) from None
    validation = np.zeros(len(y), dtype=bool)
    validation[known[stops]] = True
    parts = (~test & ~validation, validation, test)
    return parts if masks else [order[part[order]] for part in parts]


def _of_networks(m: int, settings: Settings) -> dict[str, Any]:
    """Return the parameters of networks of one kind for m training examples."""
    names = [(parameter, name) for name, (parameter, _) in _OF_ONE_KIND.items()]
    names += [(name, name) for name in ("checkpoint", "checkpoint_every", "backend", "devices")]
    size = min(max(_SMALLEST_BATCH, min(_LARGEST_BATCH, m // _FEWEST_UPDATES)), m // 2)
    return {parameter: getattr(settings, name) for parameter, name in names} | {
        "hidden_layer_sizes": tuple(settings.hidden or ()),
        "batch_size": settings.batch_size or size,
        "early_stopping": True,
        "scoring": "loss",
        "tol": 0.0,
        "validation_fraction": settings.validation_share,
        "init": "auto",
        "dtype": "float32",
        "resume": True if settings.resume else None,
    }


def _linear(settings: Settings, classes: Any, parts: "Sequence[Examples]", callbacks: Sequence[Any]) -> Any:
    """Return the baseline, linear or logistic regression, fitted to all parts; it has callbacks if it is delivered."""
    own = {"backend": settings.backend, "callbacks": list(callbacks)} if settings.linear else {"backend": "numpy"}
    lbfgs = {"hidden_layer_sizes": (), "solver": "lbfgs", "alpha": 1.0, "max_iter": ITERATIONS}
    model = _untrained(settings, classes, lbfgs | own)
    columns = [None if values[0] is None else np.concatenate(values) for values in zip(*parts, strict=True)]
    with warnings_kept():
        return model.fit(*columns[:3])


def _untrained(settings: Settings, classes: Any, of_networks: dict[str, Any] | None) -> Any:
    """Return networks of one kind with these parameters, or a pack; weights of classes are by their codes."""
    from vecprop import estimators  # scikit-learn takes a while to import

    weight: Any = settings.class_weight
    if classes is None and weight is not None:
        raise ValueError("class_weight is for classes, and the target is a number")
    if isinstance(weight, Mapping):
        known = {str(label): code for code, label in enumerate(classes.tolist())}
        if unknown := [label for label in weight if str(label) not in known]:
            raise ValueError(f"class_weight: {unknown_name('class', str(unknown[0]), known)}")
        weight = dict.fromkeys(known.values(), 1.0) | {known[str(label)]: float(w) for label, w in weight.items()}
    own = {"random_state": settings.seed} | ({} if classes is None else {"class_weight": weight})
    if of_networks is None:
        pack = estimators.PackRegressor if classes is None else estimators.PackClassifier
        return pack(**own, backend=settings.backend)
    if classes is None:
        return estimators.MLPRegressor(**own, **of_networks, scale="standard", scale_target="standard")
    return estimators.MLPClassifier(**own, **of_networks, scale="standard")


def constant(y: npt.NDArray[Any], y_test: npt.NDArray[Any], task: str) -> dict[str, float]:
    """Return the scores of always predicting the mean, or the shares of the classes, in training.

    >>> constant(np.array([1.0, 3.0]), np.array([2.0, 4.0]), "regression")["mean_absolute_error"]
    1.0
    """
    if task == "regression":
        return of_numbers(y_test, np.full(len(y_test), y.mean()))
    classes, counts = np.unique(y, return_counts=True)
    shares = np.broadcast_to(np.log(counts / counts.sum()), (len(y_test), len(classes)))
    return of_classes([(y_test, shares)], classes)
