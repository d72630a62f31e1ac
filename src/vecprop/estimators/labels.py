"""Codes class labels of any kind as the columns that the core trains on, and decodes outputs."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from vecprop.backend.contract import to_host
from vecprop.backend.namespaces import Array, array_namespace, device_of
from vecprop.data.streaming.sources import ArraySource, Source
from vecprop.estimators.large_data import OneHot

_AT_ONCE = 1 << 18


class Labels(NamedTuple):
    """The sorted classes of a classifier, and whether an example has one of 2, one of K, or any of K.

    `kind` is "binary", "multiclass" or "multilabel" accordingly; `sparse` tells whether y is a sparse indicator matrix,
    in targets and predictions.
    """

    classes: npt.NDArray[Any]
    kind: str
    sparse: bool = False

    @property
    def outputs(self) -> int:
        """The number of the network's outputs, which is 1 for two classes."""
        return 1 if self.kind == "binary" else len(self.classes)

    def codes(self, y: Any) -> npt.NDArray[np.int64]:
        """Return the index of each example's class, (n,); ValueError for an unknown label."""
        y = column_or_1d(y)
        codes = np.minimum(np.searchsorted(self.classes, y), len(self.classes) - 1)
        if not np.array_equal(self.classes[codes], y):
            unknown = np.setdiff1d(y, self.classes)
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes}. 'y' has {unknown}."
            )
        return np.asarray(codes, dtype=np.int64)

    def encode(self, y: Any) -> npt.NDArray[np.int8]:
        """Return the targets (outputs, n): a row of 0 and 1, one-hot columns, or a row for each label."""
        if self.kind == "multilabel":
            y = y.toarray() if hasattr(y, "toarray") else np.asarray(y)
            if y.ndim != 2 or y.shape[1] != len(self.classes):
                raise ValueError(f"y must have {len(self.classes)} columns, one for each label, got shape {y.shape}")
            if len(others := np.setdiff1d(y, [0, 1])):
                raise ValueError(f"y of several columns must be 0 and 1, whether an example has a label, got {others}")
            return np.ascontiguousarray(y.T != 0, dtype=np.int8)
        codes = self.codes(y)
        if self.kind == "binary":
            return np.asarray(codes[None, :] == 1, dtype=np.int8)
        Y = np.zeros((len(self.classes), len(codes)), dtype=np.int8)
        Y[codes, np.arange(len(codes))] = 1
        return Y

    def source(self, y: Any) -> Source:
        """Return the targets of `encode` as a source, which makes one-hot columns as they are read."""
        if self.kind == "multilabel":
            return ArraySource(self.encode(y), rows_first=False)
        y, kind = column_or_1d(y), np.min_scalar_type(len(self.classes))
        starts = range(0, len(y), _AT_ONCE)
        codes = np.concatenate([self.codes(y[start : start + _AT_ONCE]).astype(kind) for start in starts])
        return ArraySource(codes) if self.kind == "binary" else OneHot(codes, len(self.classes))

    def decode(self, A: Array) -> Any:
        """Return the labels for outputs A (outputs, n): (n,), or (n, K) indicators if multilabel.

        In the namespace of A, or of NumPy for labels that are not numbers.
        """
        xp = array_namespace(A)
        integers = xp.__array_namespace_info__().default_dtypes()["integral"]  # JAX has no int64 by default
        if self.kind == "multilabel":
            indicators = xp.astype(xp.matrix_transpose(A) > 0.5, integers)
            return csr_matrix(indicators) if self.sparse else indicators
        codes = xp.argmax(A, axis=0) if self.kind == "multiclass" else xp.astype(A[0, ...] > 0.5, integers)
        if xp is array_namespace(self.classes):
            return self.classes[np.minimum(codes, len(self.classes) - 1)]
        if self.classes.dtype.kind not in "biuf":
            return self.classes[np.minimum(to_host(codes), len(self.classes) - 1)]
        classes = self.classes if len(self.classes) > 1 else np.repeat(self.classes, 2)
        return xp.take(xp.asarray(classes, **device_of(A)), codes, axis=0)


def check_classes(classes: Any) -> npt.NDArray[Any]:
    """Return the sorted classes; an error unless these are labels of one kind, (n_classes,)."""
    wanted = "classes must be a 1-d array of the labels there will be"
    try:
        given = np.asarray(classes)
        if given.dtype.kind == "f" and all(isinstance(label, int) for label in classes):
            given = np.asarray(classes, dtype=np.uint64)  # of which some alone are beyond int64
        found = np.unique(given)
        if np.ndim(classes) != 1 or not len(found):
            raise ValueError(f"got shape {np.shape(classes)}")
    except (TypeError, ValueError, OverflowError) as error:
        raise type(error)(f"{wanted}: {error}") from None
    if found.dtype.kind in "cmMV":
        raise TypeError(f"{wanted}, got dtype {found.dtype}")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise ValueError(f"{wanted}, got {classes!r}")
    return found


def labels_of(y: Any, classes: Any = None) -> Labels:
    """Return the labels of targets y; `classes`, for `partial_fit`, are all that there will be.

    >>> labels_of(np.array(["b", "a", "b"]))
    Labels(classes=array(['a', 'b'], dtype='<U1'), kind='binary', sparse=False)
    """
    check_classification_targets(y)
    kind = type_of_target(y, input_name="y")
    if kind.startswith("multilabel"):
        return Labels(np.arange(y.shape[1]), "multilabel", hasattr(y, "toarray"))
    if kind == "multiclass-multioutput":
        raise ValueError(
            "y has several columns of classes (multiclass-multioutput), of which this estimator takes one: give an "
            "indicator matrix of 0 and 1 for labels that do not exclude each other, or wrap the estimator in "
            "sklearn.multioutput.MultiOutputClassifier"
        )
    found = np.unique(column_or_1d(y)) if classes is None else classes
    return Labels(found, "binary" if len(found) <= 2 else "multiclass")


def name_classes(estimator: Any, names: npt.NDArray[Any]) -> None:
    """Give a classifier that was fitted to the codes 0, 1, … the sorted labels (n_classes,)."""
    estimator._set_labels(estimator._labels._replace(classes=names))
