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
from vecprop.validation import Checked, check_examples, check_targets

if TYPE_CHECKING:
    import numpy.typing as npt

_SAMPLE = 1000  # columns that are kept for `vp.diagnose`


class Prepared(NamedTuple):
    """What training needs of the data."""

    data: Data
    validation: Data | None
    m: int
    weight: Array | float  # the total weight of the training examples
    scale: InputScale | None
    sample: Sample


def prepare(
    net: Network,
    checked: Checked,
    X: Any,
    Y: Any,
    sample_weight: Any,
    class_weight: Any,
    validation: Any,
    standardize: bool,
) -> Prepared:
    """Return the data as `fit` takes them, checked, weighted, split and scaled."""
    data = _on_backend(net, checked, X, Y, sample_weight)
    held_out: Data | None = None
    if isinstance(validation, tuple | list):
        held_out = _given_validation(net, checked, validation, data)
    elif validation is not None:
        data, held_out = _split(net, checked, data, validation)
    if class_weight is not None:
        data = (*data[:2], _class_weights(net, checked, data, class_weight))
    sample = _sample(checked, data, held_out)
    if standardize and isinstance(data[0], SparseColumns):
        raise ValueError("standardize=True subtracts the mean of every feature, which would make sparse X dense")
    scale = input_scale(checked.xp, data[0], data[2]) if standardize else None
    if scale is not None:
        data = (scaled(data[0], scale), *data[1:])
        held_out = None if held_out is None else (scaled(held_out[0], scale), *held_out[1:])
    m = int(data[0].shape[-1])
    weight = float(m) if data[2] is None else checked.xp.sum(data[2])
    return Prepared(data, held_out, m, weight, scale, sample)


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


def _given_validation(net: Network, checked: Checked, given: Any, train: Data) -> Data:
    """Return the validation set that was given, checked like the training set and against it."""
    if len(given) not in (2, 3):
        raise ValueError(f"validation must be (X, Y) or (X, Y, sample_weight), got {len(given)} items")
    try:
        data = _on_backend(net, checked, *given, *(None,) * (3 - len(given)))
    except (ValueError, TypeError) as error:
        raise type(error)(f"validation: {error}") from None
    if isinstance(net.loss, CrossEntropy):
        xp = checked.xp
        seen, asked = (xp.sum(part[1], axis=-1) > 0 for part in (train, data))
        unseen = np.flatnonzero(checked.backend.to_numpy(asked & ~seen))
        if len(unseen):
            raise ValueError(
                f"validation has examples of {'classes' if len(unseen) > 1 else 'class'} {unseen.tolist()}, of which "
                "the training set has none; what is never seen is never learned: use a stratified split"
            )
    return data


def _split(net: Network, checked: Checked, data: Data, fraction: Any) -> tuple[Data, Data]:
    """Return the training and the validation part: stratified by classes, the same whatever the seed of the run.

    So that runs from several seeds are judged by one set.
    """
    fraction = check_real(
        fraction, "validation", "in (0, 1), or a tuple (X, Y): the share to split off", lambda x: 0 < x < 1
    )
    m = int(data[0].shape[-1])
    labels = _labels(net, checked, data[1])
    groups = np.zeros(m, dtype=np.int64) if labels is None else labels
    try:
        parts = divide(groups, fraction, streams.generator(0, VALIDATION).permutation(m))
    except ValueError:
        raise ValueError(f"validation: m = {m} examples are too few to split") from None
    # the order of the examples is kept, so that nothing but their number changes
    first, second = (checked.backend.asarray(np.sort(part), "int32") for part in parts)
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


def _class_weights(net: Network, checked: Checked, data: Data, given: Any) -> Array:
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
        totals = np.bincount(labels, weights=w, minlength=classes)
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
    if not weights.sum() > 0:
        raise ValueError("class_weight leaves no example with a weight above 0")
    return checked.backend.asarray(weights, checked.dtype)


def _sample(checked: Checked, data: Data, held_out: Data | None) -> Sample:
    """Return some columns, evenly spread, on the host."""

    def some(array: Any) -> npt.NDArray[Any]:
        m = int(array.shape[-1])
        every = -(-m // _SAMPLE)
        if isinstance(array, SparseColumns):
            return array.take(slice(None, None, max(every, array.dense_bytes // sparse_data.PART)))
        return checked.backend.to_numpy(array[:, ::every] if every > 1 else array)

    given = (*data[:2], *(held_out[:2] if held_out is not None else (None, None)))
    return Sample(*(None if a is None else np.array(some(a)) for a in given))  # type: ignore[arg-type]
