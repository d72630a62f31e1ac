"""Prepares the data of a run: checks, weights, splits, scales, moves them to the backend."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecprop.backend.contract import to_host
from vecprop.backend.main_memory import free_main_memory
from vecprop.backend.namespaces import Array, is_array
from vecprop.backend.out_of_memory import sized
from vecprop.backend.processes import ALONE, Team
from vecprop.backend.transfer import to_backend
from vecprop.data import sparse as sparse_data
from vecprop.data.sparse import SparseColumns, is_sparse
from vecprop.data.splitting import in_second_part, places_of
from vecprop.data.streaming import as_source
from vecprop.data.streaming import examples as streamed
from vecprop.data.streaming.examples import StreamedExamples
from vecprop.data.streaming.sources import ArraySource, Source
from vecprop.nn.array_checks import Checked, check_examples, check_targets
from vecprop.nn.input_scaling import InputScale, Moments, moments
from vecprop.nn.losses import BinaryCrossEntropy, CrossEntropy
from vecprop.nn.network import Network
from vecprop.training.fit_arguments import AUTO_BATCH
from vecprop.training.optimizers import LBFGS
from vecprop.training.results import Sample
from vecprop.training.spec import TrainingSpec
from vecprop.training.training_data import SparseData, StreamedData, TrainingData, unmarked
from vecprop.utils import random_streams
from vecprop.utils.arguments import check_number, check_real
from vecprop.utils.random_streams import VALIDATION

_COPIES = 3  # of data that are read as a whole: as they are read, in the order of the backend, of an epoch


class PreparedData(NamedTuple):
    """The data for training; each process has its own."""

    data: TrainingData
    validation: TrainingData | None
    counts: tuple[int, ...]  # of the training examples, and
    held_out: tuple[int, ...]  # of those of the validation set, in each process
    weight: Array | float  # the total weight of all training examples
    scale: InputScale | None  # on the host
    sample: Sample

    @property
    def m(self) -> int:
        """The training examples of all processes."""
        return sum(self.counts)


class GivenData(NamedTuple):
    """The data as given to `fit`; `scale` is that of the run it goes on from."""

    X: Any
    Y: Any
    sample_weight: Any
    class_weight: Any
    validation: Any
    scale: InputScale | None


def prepare(spec: TrainingSpec, checked: Checked, given: GivenData, team: Team = ALONE) -> PreparedData:
    """Return the data checked, weighted, split and scaled, as if all processes were one."""
    net, validation = spec.net, given.validation

    def taken() -> tuple[TrainingData, TrainingData | None]:
        data, held_out = _on_backend(spec, checked, given[:3], trained_on=True), None
        if isinstance(validation, tuple | list):
            if len(validation) not in (2, 3):
                raise ValueError(f"validation must be (X, Y) or (X, Y, sample_weight), got {len(validation)} items")
            with _named("validation"):
                held_out = _on_backend(spec, checked, (*validation, None)[:3], trained_on=False)
        if team.count > 1:
            for part in filter(None, (data, held_out)):
                part.check_processes()
        return data, held_out

    data, held_out = team.together(taken)
    if held_out is not None:
        _require_classes_seen(net, data, held_out, team)
    elif validation is not None:
        data, held_out = _split(net, data, validation, team)
    if given.class_weight is not None:
        data = _with_class_weights(net, data, given.class_weight, team)
    sample = Sample(*data.sample(), *(held_out.sample() if held_out is not None else (None, None, None)))
    scale = None
    if spec.standardize:
        own = _scale_of(checked, data, team) if given.scale is None else given.scale
        own = InputScale(*(checked.backend.asarray(a, checked.dtype) for a in own))
        data, held_out = data.scaled(own), None if held_out is None else held_out.scaled(own)
        scale = InputScale(*map(checked.backend.to_numpy, own))
    held, weight = 0 if held_out is None else held_out.m, data.total_weight()
    counts, judged = (tuple(map(int, row)) for row in team.joined(np.asarray([[data.m], [held]], dtype=np.int64)))
    weight = weight if team.count == 1 else float(team.total(weight))
    return PreparedData(data, held_out, counts, judged, weight, scale, sample)


def _scale_of(checked: Checked, data: TrainingData, team: Team) -> InputScale:
    """Return the mean and the deviation of each feature over the examples of all processes."""
    if team.count == 1:
        return data.input_scale()
    own, w = np.zeros((data.X.shape[0], len(Moments._fields))), data.weights()
    if data.m and (w is None or np.any(w)):
        found = moments(np, np.asarray(data.X, dtype=np.float64), None if w is None else w.astype(np.float64))
        own = np.concatenate([np.broadcast_to(a, (len(own), 1)) for a in found], axis=1)
    parts = [Moments(*np.split(part, part.shape[1], axis=1)) for part in team.gather(own) if part[0, 0]]
    scale = reduce(lambda a, b: a.add(np, b), parts).scale(np)
    return InputScale(*(a.astype(checked.dtype) for a in scale))


def _on_backend(spec: TrainingSpec, checked: Checked, given: tuple[Any, Any, Any], *, trained_on: bool) -> TrainingData:
    """Return examples checked, on the backend or in their files; `trained_on`, or to judge by."""
    net, backend, (X, Y, w) = spec.net, checked.backend, given
    sources: list[Source | None] = []
    for name, value in zip(streamed.ARGUMENTS, given, strict=True):
        with _named(name):
            sources.append(as_source(value))
    X, is_finite = unmarked(X)
    given = (X, Y, w)
    if any(source is not None for source in sources):
        examples = _streamed(net, checked.dtype, given, sources)
        if not _is_read_whole(spec, examples, sources, trained_on):
            if trained_on and isinstance(spec.seed, tuple) and spec.shuffle:
                raise ValueError(
                    "seed has several seeds, each of which would read the file in an order of its own: train the "
                    "networks one after the other, or set shuffle=False, or have one window cover all the examples "
                    f"(window={examples.m})"
                )
            examples.window = spec.window
            examples.prefix = "" if trained_on else "validation: "  # for what is read later
            return StreamedData(net, checked, examples)
        X, Y, w = (examples.whole(i) if sources[i] is not None else given[i] for i in range(3))
    Y = to_backend(backend, "Y", Y)
    w = None if w is None else to_backend(backend, "sample_weight", w)
    if is_sparse(X):
        sparse = SparseColumns(X, checked.dtype)
        if sparse.dense_bytes > sparse_data.SMALL:
            return _beside_sparse(net, checked, sparse, Y, w)
        X = sparse.take(slice(None))
    X = to_backend(backend, "X", X)
    if is_finite:
        return TrainingData(net, checked, X, *check_targets(net, checked, Y, w, X.shape[1]))
    for name, array, most in (("X", X, 2 + len(checked.stack)), ("Y", Y, 2)):
        if array.ndim > most:
            raise ValueError(f"{name} must have rank 2, one example per column, got shape {tuple(array.shape)}")
    if w is not None and w.ndim > 1 + len(checked.stack):
        raise ValueError(f"sample_weight must have shape (m,), one weight per example, got {tuple(w.shape)}")
    return TrainingData(net, checked, *check_examples(net, checked, X, Y, w))


@contextmanager
def _named(argument: str) -> Iterator[None]:
    """Put the name of an argument before the messages of errors."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise type(error)(f"{argument}: {error}") from error


def _streamed(net: Network, dtype: str, given: tuple[Any, ...], sources: list[Source | None]) -> StreamedExamples:
    """Return streamed examples; arrays in memory beside the sources become sources too."""
    if is_sparse(given[0]):
        raise TypeError("Y and sample_weight beside sparse X must be in memory: numpy.asarray(...) reads them")

    def source_of(name: str, value: Any, found: Source | None) -> Source:
        if found is not None:
            return found
        with _named(name):
            return ArraySource(to_host(value) if is_array(value) else np.asarray(value), rows_first=False)

    X, Y = (source_of(name, *pair) for name, *pair in zip("XY", given, sources, strict=False))
    w = None if given[2] is None else source_of("sample_weight", given[2], sources[2])
    return StreamedExamples(net, dtype, (X, Y, w))


def _is_read_whole(
    spec: TrainingSpec, examples: StreamedExamples, sources: list[Source | None], trained_on: bool
) -> bool:
    """Tell whether to read all into memory: if small, in one window, or needed by each step."""
    m, itemsize, lbfgs = examples.m, np.dtype(examples.dtype).itemsize, isinstance(spec.optimizer, LBFGS)
    size = sum(s.shape[0] * m * itemsize for s in sources if s is not None)
    if size <= streamed.SMALL if isinstance(spec.window, str) else spec.window >= m:
        return True
    batch_size = AUTO_BATCH if isinstance(spec.batch_size, str) else spec.batch_size
    if not trained_on or not (lbfgs or batch_size is None or batch_size >= m):
        return False
    free = free_main_memory()
    if isinstance(spec.window, str) and (free is None or _COPIES * size <= free):
        return True
    batch = "LBFGS needs" if lbfgs else "batch_size takes"
    remedy = "take another optimizer, with a batch_size" if lbfgs else "give a batch_size, such as 256"
    raise ValueError(
        f"{batch} all m = {m} examples at once, {sized(size)}, and they are to be read in windows: {remedy}"
        + ("" if isinstance(spec.window, str) else ", or leave window out")
    )


def _beside_sparse(net: Network, checked: Checked, X: SparseColumns, Y: Array, w: Any) -> SparseData:
    """Return data whose X stays sparse, with Y, the weights and the shapes checked."""
    if X.shape[0] != net.sizes[0]:
        hint = "; it seems to have the examples in rows: use X.T" if X.shape[1] == net.sizes[0] else ""
        raise ValueError(f"X must have shape ({net.sizes[0]}, m), one example per column, got {X.shape}{hint}")
    if checked.stack:
        raise ValueError(
            f"sparse X of shape {X.shape} would take {sized(X.dense_bytes)} dense, which a stack of networks "
            "needs: train the networks one after the other, or take fewer features"
        )
    return SparseData(net, checked, X, *check_targets(net, checked, Y, w, X.shape[1]))


def _require_classes_seen(net: Network, train: TrainingData, held_out: TrainingData, team: Team) -> None:
    """Raise ValueError for a validation set with classes that the training set lacks."""
    if not isinstance(net.loss, CrossEntropy):
        return
    seen, asked = (team.total(part.class_sums()) > 0 for part in (train, held_out))
    unseen = np.flatnonzero(asked & ~seen)
    if len(unseen):
        raise ValueError(
            f"validation has examples of {'classes' if len(unseen) > 1 else 'class'} {unseen.tolist()}, of which "
            "the training set has none; what is never seen is never learned: use a stratified split"
        )


def _split(net: Network, data: TrainingData, fraction: Any, team: Team) -> tuple[TrainingData, TrainingData]:
    """Return the training and the validation part, stratified by classes.

    The split does not depend on the seed of the run, so that runs from several seeds are judged by one set.
    """
    fraction = check_real(
        fraction, "validation", "in (0, 1), or a tuple (X, Y): the share to split off", lambda x: 0 < x < 1
    )
    parts_of = team.gather(data.labels if _has_classes(net) else np.zeros(data.m, dtype=np.int64))
    first_of_ours, groups = sum(len(part) for part in parts_of[: team.index]), np.concatenate(parts_of)
    m, w = len(groups), data.weights()
    if data.weighted_by_network and w is not None:
        w = w.max(axis=0)  # absent is an example that no network has
    w = None if w is None else np.concatenate(team.gather(w))
    try:
        second = in_second_part(groups, fraction, random_streams.generator(0, VALIDATION).permutation(m), w)
    except ValueError:
        counted = "" if w is None else f", {np.count_nonzero(w)} of them with a weight,"
        raise ValueError(f"validation: m = {m} examples{counted} are too few to split") from None
    ours = second[first_of_ours : first_of_ours + data.m]
    parts = data.part(places_of(~ours)), data.part(places_of(ours)).in_memory_if_small()
    totals = (part.checked.backend.to_numpy(part.total_weight()) for part in parts) if data.weighted_by_network else ()
    if not all(total.all() for total in totals):
        raise ValueError("validation: a network has no example with a weight above 0 in one of the two parts")
    return parts


def _has_classes(net: Network) -> bool:
    """Tell whether there are mutually exclusive classes."""
    return isinstance(net.loss, CrossEntropy) or (isinstance(net.loss, BinaryCrossEntropy) and net.sizes[-1] == 1)


def _with_class_weights(net: Network, data: TrainingData, given: Any, team: Team) -> TrainingData:
    """Return the data with each example's weight, (m,), times the factor of its class."""
    if not _has_classes(net):
        raise ValueError(
            f"class_weight needs classes: one-hot Y with {CrossEntropy.name}, or one row of Y with "
            f"{BinaryCrossEntropy.name}; this network has {net.sizes[-1]} outputs and {net.loss.name}"
        )
    totals = team.total(data.class_totals(max(net.sizes[-1], 2)))
    factors = np.apply_along_axis(class_factors, -1, totals, given)
    if not ((totals * factors).sum(axis=-1) > 0).all():
        raise ValueError("class_weight leaves no example with a weight above 0")
    return data.reweighted(factors)


def class_factors(totals: npt.NDArray[np.float64], given: Any) -> npt.NDArray[np.float64]:
    """Return the factor of each class, from the total weights of the classes."""
    classes = len(totals)
    if isinstance(given, str):
        if given != "balanced":
            raise ValueError(f'class_weight must be a dict or "balanced", got {given!r}')
        present = np.where(totals > 0, totals, 1.0)
        return np.where(totals > 0, totals.sum() / (np.count_nonzero(totals) * present), 0.0)
    if not isinstance(given, Mapping):
        raise TypeError(f'class_weight must be a dict or "balanced", got {type(given).__name__}')
    factors = np.ones(classes)
    for label, factor in given.items():
        if isinstance(label, bool | np.bool_) or label not in range(classes):
            raise ValueError(f"class_weight: there is no class {label!r}; the classes are 0 to {classes - 1}")
        factors[int(label)] = check_number(factor, f"class_weight[{label!r}]")
    return factors
