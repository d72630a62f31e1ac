"""The data of a training run, checked and brought to the backend: examples, weights, validation set, scaling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vecprop import sparse as sparse_data
from vecprop import streams
from vecprop.arguments import check_number, check_real
from vecprop.backend import take_columns
from vecprop.epochs import Data
from vecprop.losses import BinaryCrossEntropy, CrossEntropy
from vecprop.moving import to_backend
from vecprop.namespaces import Array
from vecprop.network import Network
from vecprop.normalization import InputScale, input_scale, scaled
from vecprop.results import Sample
from vecprop.sparse import SparseColumns, is_sparse
from vecprop.splitting import divide
from vecprop.streams import VALIDATION
from vecprop.team import ALONE, Team
from vecprop.validation import Checked, check_examples, check_targets

if TYPE_CHECKING:
    import numpy.typing as npt

_SAMPLE = 1000  # columns that are kept for `vp.diagnose`


class Prepared(NamedTuple):
    """What training needs of the data; of each process its own."""

    data: Data
    validation: Data | None
    counts: tuple[int, ...]  # of the training examples, and
    held_out: tuple[int, ...]  # of those of the validation set, in each process
    weight: Array | float  # the total weight of the training examples of all
    scale: InputScale | None
    sample: Sample

    @property
    def m(self) -> int:
        """The training examples of all processes."""
        return sum(self.counts)


def prepare(
    net: Network,
    checked: Checked,
    X: Any,
    Y: Any,
    sample_weight: Any,
    class_weight: Any,
    validation: Any,
    standardize: bool,
    team: Team = ALONE,
) -> Prepared:
    """Return the data as `fit` takes them, checked, weighted, split and scaled, as if all processes' were in one."""
    given = isinstance(validation, tuple | list)

    def taken() -> tuple[Data, Data | None]:
        return (
            _on_backend(net, checked, X, Y, sample_weight),
            _validation_on_backend(net, checked, validation) if given else None,
        )

    data, held_out = team.together(taken)
    if held_out is not None:
        _require_classes_seen(net, checked, data, held_out, team)
    elif validation is not None:
        data, held_out = _split(net, checked, data, validation, team)
    if class_weight is not None:
        data = (*data[:2], _class_weights(net, checked, data, class_weight, team))
    sample = _sample(checked, data, held_out)
    if standardize and isinstance(data[0], SparseColumns):
        raise ValueError("standardize=True subtracts the mean of every feature, which would make sparse X dense")
    scale = _scale(checked, data, team) if standardize else None
    if scale is not None:
        data = (scaled(data[0], scale), *data[1:])
        held_out = None if held_out is None else (scaled(held_out[0], scale), *held_out[1:])
    m, w = int(data[0].shape[-1]), data[2]
    if team.count == 1:
        alone = () if held_out is None else (int(held_out[0].shape[-1]),)
        return Prepared(data, held_out, (m,), alone, float(m) if w is None else checked.xp.sum(w), scale, sample)
    sizes = team.joined(np.asarray([[m], [0 if held_out is None else held_out[0].shape[-1]]], dtype=np.int64))
    counts, held = (tuple(map(int, row)) for row in sizes)
    return Prepared(data, held_out, counts, held, float(team.total(m if w is None else np.sum(w))), scale, sample)


def _scale(checked: Checked, data: Data, team: Team) -> InputScale:
    """Return the mean and the deviation of each feature over the examples of all processes."""
    X, _, w = data
    if team.count == 1:
        return input_scale(checked.xp, X, w)
    X, w = np.asarray(X, dtype=np.float64), np.ones(X.shape[-1]) if w is None else np.asarray(w, dtype=np.float64)
    counted = X[:, w > 0]
    low = np.min(team.joined(np.min(counted, axis=1, keepdims=True, initial=np.inf)), axis=1, keepdims=True)
    high = np.max(team.joined(np.max(counted, axis=1, keepdims=True, initial=-np.inf)), axis=1, keepdims=True)
    weight = team.total(np.sum(w))
    mean = np.where(low == high, low, team.total(X @ w[:, None]) / weight)
    variance = team.total((X - mean) ** 2 @ w[:, None]) / weight
    deviation = np.where(low == high, 1.0, np.sqrt(variance))
    return InputScale(mean.astype(checked.dtype), deviation.astype(checked.dtype))


def _on_backend(net: Network, checked: Checked, X: Any, Y: Any, w: Any) -> Data:
    backend = checked.backend
    Y = to_backend(backend, "Y", Y)
    w = None if w is None else to_backend(backend, "sample_weight", w)
    if is_sparse(X):
        sparse = SparseColumns(X, checked.dtype)
        if sparse.dense_bytes > sparse_data.SMALL:
            return _beside_sparse(net, checked, sparse, Y, w)
        X = sparse.take(slice(None))
    X = to_backend(backend, "X", X)
    for name, array in (("X", X), ("Y", Y)):
        if array.ndim > 2:
            raise ValueError(f"{name} must have rank 2, one example per column, got shape {tuple(array.shape)}")
    if w is not None and w.ndim > 1:
        raise ValueError(f"sample_weight must have shape (m,), one weight per example, got {tuple(w.shape)}")
    return check_examples(net, checked, X, Y, w)


def _beside_sparse(net: Network, checked: Checked, X: SparseColumns, Y: Array, w: Any) -> Data:
    """Return data whose X stays sparse: with its shape, and Y and the weights, checked."""
    if X.shape[0] != net.sizes[0]:
        hint = "; it seems to have the examples in rows: use X.T" if X.shape[1] == net.sizes[0] else ""
        raise ValueError(f"X must have shape ({net.sizes[0]}, m), one example per column, got {X.shape}{hint}")
    if checked.stack:
        raise ValueError(
            f"sparse X of shape {X.shape} would take {X.dense_bytes / 2**30:.1f} GiB dense, which a stack of networks "
            "needs: train the networks one after the other, or take fewer features"
        )
    return (X, *check_targets(net, checked, Y, w, X.shape[1]))


def _validation_on_backend(net: Network, checked: Checked, given: Any) -> Data:
    """Return the validation set that was given, checked like the training set."""
    if len(given) not in (2, 3):
        raise ValueError(f"validation must be (X, Y) or (X, Y, sample_weight), got {len(given)} items")
    try:
        return _on_backend(net, checked, *given, *(None,) * (3 - len(given)))
    except (ValueError, TypeError) as error:
        raise type(error)(f"validation: {error}") from None


def _require_classes_seen(net: Network, checked: Checked, train: Data, held_out: Data, team: Team) -> None:
    """Raise ValueError for a validation set with classes that the training set has not."""
    if not isinstance(net.loss, CrossEntropy):
        return
    xp = checked.xp
    counts = (checked.backend.to_numpy(xp.sum(part[1], axis=-1)) for part in (train, held_out))
    seen, asked = (team.total(count) > 0 for count in counts)
    unseen = np.flatnonzero(asked & ~seen)
    if len(unseen):
        raise ValueError(
            f"validation has examples of {'classes' if len(unseen) > 1 else 'class'} {unseen.tolist()}, of which "
            "the training set has none; what is never seen is never learned: use a stratified split"
        )


def _split(net: Network, checked: Checked, data: Data, fraction: Any, team: Team) -> tuple[Data, Data]:
    """Return the training and the validation part: stratified by classes, the same whatever the seed of the run.

    So that runs from several seeds are judged by one set.
    """
    fraction = check_real(
        fraction, "validation", "in (0, 1), or a tuple (X, Y): the share to split off", lambda x: 0 < x < 1
    )
    labels = _labels(net, checked, data[1])
    own = np.zeros(data[0].shape[-1], dtype=np.int64) if labels is None else labels
    parts_of = team.gather(own)
    first_of_ours, groups = sum(len(part) for part in parts_of[: team.index]), np.concatenate(parts_of)
    m = len(groups)
    try:
        parts = divide(groups, fraction, streams.generator(0, VALIDATION).permutation(m))
    except ValueError:
        raise ValueError(f"validation: m = {m} examples are too few to split") from None
    # the order of the examples is kept, so that nothing but their number changes
    ours = (np.sort(part) - first_of_ours for part in parts)
    first, second = (checked.backend.asarray(part[(part >= 0) & (part < len(own))], "int32") for part in ours)
    train, held_out = (
        tuple(None if a is None else _columns_at(checked, a, part) for a in data) for part in (first, second)
    )
    return train, held_out  # type: ignore[return-value]


def _columns_at(checked: Checked, array: Any, places: Array) -> Any:
    if isinstance(array, SparseColumns):
        return array.subset(checked.backend.to_numpy(places))
    return take_columns(checked.xp, array, places)


def _labels(net: Network, checked: Checked, Y: Array) -> npt.NDArray[np.int64] | None:
    """Return the class of each example, (m,), or None where there are no classes that exclude each other."""
    if isinstance(net.loss, CrossEntropy):
        return np.asarray(np.argmax(checked.backend.to_numpy(Y), axis=0), dtype=np.int64)
    if isinstance(net.loss, BinaryCrossEntropy) and net.sizes[-1] == 1:
        return np.asarray(checked.backend.to_numpy(Y)[0] > 0.5, dtype=np.int64)
    return None


def _class_weights(net: Network, checked: Checked, data: Data, given: Any, team: Team) -> Array:
    """Return the weights of the examples, (m,), times the factor of each one's class."""
    labels = _labels(net, checked, data[1])
    if labels is None:
        raise ValueError(
            f"class_weight needs classes: one-hot Y with {CrossEntropy.name}, or one row of Y with "
            f"{BinaryCrossEntropy.name}; this network has {net.sizes[-1]} outputs and {net.loss.name}"
        )
    classes = max(net.sizes[-1], 2)
    w = np.ones(len(labels)) if data[2] is None else checked.backend.to_numpy(data[2]).astype(np.float64)
    if isinstance(given, str):
        if given != "balanced":
            raise ValueError(f'class_weight must be a dict or "balanced", got {given!r}')
        totals = team.total(np.bincount(labels, weights=w, minlength=classes))
        factors = np.where(
            totals > 0, totals.sum() / (np.count_nonzero(totals) * np.where(totals > 0, totals, 1.0)), 0.0
        )
    elif isinstance(given, Mapping):
        factors = np.ones(classes)
        for label, factor in given.items():
            if isinstance(label, bool) or label not in range(classes):
                raise ValueError(f"class_weight: there is no class {label!r}; the classes are 0 to {classes - 1}")
            factors[label] = check_number(factor, f"class_weight[{label!r}]")
    else:
        raise TypeError(f'class_weight must be a dict or "balanced", got {type(given).__name__}')
    weights = w * factors[labels]
    if not team.total(weights.sum()) > 0:
        raise ValueError("class_weight leaves no example with a weight above 0")
    return checked.backend.asarray(weights, checked.dtype)


def _sample(checked: Checked, data: Data, held_out: Data | None) -> Sample:
    """Return some columns, evenly spread, on the host."""

    def some(array: Any) -> npt.NDArray[Any]:
        m = int(array.shape[-1])
        every = max(1, -(-m // _SAMPLE))
        if isinstance(array, SparseColumns):
            return array.take(slice(None, None, max(every, array.dense_bytes // sparse_data.PART)))
        return checked.backend.to_numpy(array[:, ::every] if every > 1 else array)

    given = (*data[:2], *(held_out[:2] if held_out is not None else (None, None)))
    return Sample(*(None if a is None else np.array(some(a)) for a in given))  # type: ignore[arg-type]
