"""Checks an estimator's data, one example per row."""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from sklearn import get_config
from sklearn.base import RegressorMixin
from sklearn.utils.validation import column_or_1d, validate_data

from vecprop.backend.contract import Backend, to_host
from vecprop.backend.main_memory import free_main_memory, map_of
from vecprop.backend.namespaces import Array, array_namespace, device_of, is_array, namespace_name
from vecprop.backend.selection import BUILT_IN, get_backend
from vecprop.backend.transfer import refuse_masked
from vecprop.data import sparse
from vecprop.data.sparse import is_sparse
from vecprop.data.splitting import in_second_part, places_of, shuffled
from vecprop.estimators.kinds_of_data import rows_of, targets_of
from vecprop.estimators.large_data import large_rows, of_all

_IN_FILE = {"ensure_all_finite": False}  # how X is checked whose values are checked as they are read
_NAMES = re.compile(r"\b(?<!')(?:X|y|sample_weight)\b|(?<=')y(?=' has)")  # arguments, but not quoted labels


class Examples(NamedTuple):
    """Checked examples: features X (n, n_0), targets y, and weights w (n,) or None.

    X is dense, sparse, of another array library or in a file. Y (n_L, n) are the coded targets. If X has only some rows
    of a file, y has the targets of all its rows, to avoid a copy, and `places` are the numbers of those in X.
    """

    X: Any
    y: Any
    w: npt.NDArray[np.float64] | None
    Y: Any = None
    places: npt.NDArray[Any] | None = None

    @property
    def n(self) -> int:
        """The number of examples."""
        return int(self.X.shape[0])

    @property
    def in_file(self) -> bool:
        """Whether X stays in its file."""
        return rows_of(self.X).in_file

    @property
    def targets(self) -> Any:
        """The targets of these examples, as they were given."""
        return self.y if self.places is None else self.y[self.places]

    def at(self, places: npt.NDArray[np.int64]) -> Self:
        """Return the examples at these places."""
        w = None if self.w is None else self.w[places]
        Y = None if self.Y is None else targets_of(self.Y).take(places)
        found = self._replace(X=rows_of(self.X).take(places), w=w, Y=Y)
        return found._replace(places=places) if targets_of(Y).in_file else found._replace(y=self.y[places])

    def some(self, codes: npt.NDArray[Any] | None = None) -> Self:
        """Return the examples, or of those in a file enough for memory: some of each class of `codes`.

        Their weights are such that each class counts as among all. X has to be finite.
        """
        if not self.in_file:
            return self
        places = self.X.some(self.w, codes)
        found = self.at(places)._replace(X=self.X.take(places).mapped(np.asarray).block(0, len(places)))
        if codes is None or found.n == self.n:
            return found
        return found._replace(w=of_all(self.w, codes, places))


def dispatches(X: Any) -> bool:
    """Tell whether to compute where X is: dispatch is on, and X is an array of another library."""
    on = get_config()["array_api_dispatch"] and is_array(X)
    return bool(on and namespace_name(array_namespace(X)) != "numpy")


def check_examples(
    estimator: Any, X: Any, y: Any, sample_weight: Any, *, reset: bool, multi_output: bool = True, **how: Any
) -> Examples:
    """Return the examples given to `fit`, checked as scikit-learn's estimators check them; `how` says what X may be."""
    follows, numeric = dispatches(X), isinstance(estimator, RegressorMixin)
    y = to_host(y) if follows and is_array(y) else y
    large = large_rows(X)
    if large is not None:
        X, how = large.skeleton(), _IN_FILE
    how = how or _how(follows)

    def wrong_one() -> str:
        try:
            validate_data(estimator, X, reset=reset, **how)
        except (TypeError, ValueError):
            return "X"
        return "y"

    refuse_unfit("X", X)
    refuse_unfit("y", y, numeric)
    with named(wrong_one):
        X, y = validate_data(estimator, X, y, reset=reset, multi_output=multi_output, y_numeric=numeric, **how)
    if y.ndim == 2 and y.shape[1] == 1 and not hasattr(y, "toarray"):
        y = column_or_1d(y, warn=True)
    return Examples(X if large is None else large, y, check_weights(sample_weight, int(X.shape[0])))


def refuse_unfit(name: str, value: Any, numeric: bool = True) -> None:
    """Raise an error for masked values, and for dates and durations, which NumPy takes for numbers without a word."""
    refuse_masked(name, value)
    dtypes = getattr(value, "dtypes", None)
    for dtype in [getattr(value, "dtype", None)] if dtypes is None or not np.iterable(dtypes) else dtypes:
        if numeric and re.match("date|time|duration", str(dtype).lower()):
            raise TypeError(
                f"{name} must be numbers, got {dtype}: make numbers of dates, such as days since one of them, or use "
                "vecprop.tabular, which takes dates as features"
            )


def _how(follows: bool) -> dict[str, Any]:
    """Return the arguments of scikit-learn's check of X."""
    return {"accept_sparse": ("csr", "csc"), "dtype": "numeric" if follows else (np.float64, np.float32)}


@contextmanager
def named(argument: Callable[[], str]) -> Iterator[None]:
    """Add the argument's name, found by a function, to errors of scikit-learn that lack one."""
    try:
        with np.errstate(invalid="ignore"):
            yield
    except (TypeError, ValueError) as error:
        if re.search(r"\b[Xy]\b|sample_weight", str(error)):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        name = "X, y" if "inconsistent numbers of samples" in str(error) else argument()
        raise kind(f"{name}: {error}") from error


def is_held_out(X: Any, y: Any, w: Any) -> bool:
    """Tell whether a validation set is given; ValueError for a part of one.

    >>> is_held_out(None, None, None), is_held_out([[1.0]], [1.0], None)
    (False, True)
    """
    if (X is None) != (y is None):
        raise ValueError(f"X_val and y_val go together, got {'y_val' if X is None else 'X_val'} alone")
    if X is None and w is not None:
        raise ValueError("sample_weight_val goes with X_val and y_val, got it alone")
    return X is not None


@contextmanager
def named_as_validation() -> Iterator[None]:
    """Name X_val, y_val and sample_weight_val in errors that name X, y and sample_weight."""
    try:
        yield
    except (ValueError, TypeError) as error:
        text, names = _NAMES.subn(r"\g<0>_val", str(error))
        raise type(error)(text if names else f"X_val, y_val, sample_weight_val: {error}") from None


@contextmanager
def unchanged_if_it_fails(estimator: Any) -> Iterator[None]:
    """Give an estimator the fitted attributes that it had before, if what is done meanwhile raises an error."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        for name in [name for name in vars(estimator) if name.endswith("_") or name == "_progress"]:
            delattr(estimator, name)
        vars(estimator).update(before)
        raise


def check_rows(estimator: Any, X: Any, **how: Any) -> Any:
    """Return X for a prediction, checked as scikit-learn's estimators check it; `how` says what it may be."""
    refuse_unfit("X", X)
    large = large_rows(X)
    with named(lambda: "X"):
        if large is None:
            return validate_data(estimator, X, reset=False, **how)
        validate_data(estimator, large.skeleton(), reset=False, **_IN_FILE)
    return large


def check_inputs(estimator: Any, X: Any, method: str) -> Any:
    """Return checked X for a prediction; under array API dispatch it must be where `fit`'s X was."""
    if _is_fine(estimator, X):
        return X
    X = check_rows(estimator, X, **_how(dispatches(X)))
    if get_config()["array_api_dispatch"] and not rows_of(X).in_file:
        place, wanted = (_place(a) for a in (X if is_array(X) else np.empty(0), estimator.coefs_[0]))
        if place != wanted:
            raise ValueError(
                f"Inputs passed to {type(estimator).__name__}.{method}() must use the same namespace and the same "
                f"device as those passed to fit(): fit had {wanted}, got {place}. Bring X there, or save and load the "
                "estimator, which makes one that takes NumPy arrays"
            )
    return X


def _is_fine(estimator: Any, X: Any) -> bool:
    """Tell, in a fraction of the time of scikit-learn's checks, whether X would pass all of them as it is."""
    if type(X) is not np.ndarray or X.ndim != 2 or X.dtype not in (np.float32, np.float64) or not len(X):
        return False
    if X.shape[1] != getattr(estimator, "n_features_in_", None) or hasattr(estimator, "feature_names_in_"):
        return False
    if get_config()["array_api_dispatch"] or map_of(X) is not None:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(X.sum()))


def _place(array: Array) -> str:
    device = device_of(array).get("device")
    return namespace_name(array_namespace(array)) + ("" if device is None else f" on {device}")


def check_weights(given: Any, n: int) -> npt.NDArray[np.float64] | None:
    """Return the weights (n,) as float64, None for none; one number is the weight of every example."""
    if given is None:
        return None
    try:
        w = np.asarray(to_host(given) if is_array(given) else given)
        if w.dtype.kind in "cmM":
            raise TypeError(f"got {'complex ones' if w.dtype.kind == 'c' else w.dtype}")
        w = np.asarray(w, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"sample_weight must be numbers, one for each example: {error}") from None
    if w.ndim == 0:
        w = np.full(n, w)
    if w.ndim != 1:
        raise ValueError(f"sample_weight must be 1D array or scalar, got an array of shape {w.shape}")
    if len(w) != n:
        raise ValueError(f"sample_weight.shape == {w.shape}, expected {(n,)}: one weight for each example of X")
    if not np.isfinite(w).all():
        raise ValueError("sample_weight must be finite; Input sample_weight contains NaN or infinity")
    if (w < 0).any():
        raise ValueError(f"sample_weight must be >= 0, got {w.min():g}")
    if n and not w.any():
        raise ValueError("sample_weight must not be all zero: no example would count")
    with np.errstate(over="ignore"):
        total = w.sum()
    if not np.isfinite(total):
        raise ValueError("sample_weight has a sum that is too large for float64: divide the weights by a number")
    return w


def scaled_up(w: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64] | None:
    """Return weights whose mean over the examples that count is at least 1, or None.

    A penalty of fixed strength is shared by the sum of the weights. Weights that sum to 1 say how the examples relate,
    not that all together are one. Larger ones may be counts of equal examples, and stay.

    >>> scaled_up(np.asarray([0.25, 0.75, 0.0])).tolist(), scaled_up(np.asarray([1.0, 3.0])).tolist()
    ([0.5, 1.5, 0.0], [1.0, 3.0])
    """
    if w is None or w.sum() >= (count := np.count_nonzero(w)):
        return w
    return np.asarray(w / (w.sum() / count))


def backend_of(estimator: Any, X: Any) -> Backend:
    """Return the backend: the parameter's, else that of X under dispatch, else the active one."""
    if estimator.backend is None and dispatches(X):
        return backend_at(X)
    return get_backend(estimator.backend)


def backend_at(array: Array) -> Backend:
    """Return the backend that computes where an array is, on its device."""
    xp = array_namespace(array)
    name = namespace_name(xp)
    if name in BUILT_IN:
        return get_backend(name)
    return Backend(xp, device=device_of(array)["device"])


def is_too_large_when_dense(X: Any, dtype: str) -> bool:
    """Tell whether X (n, n_0) is sparse and would, dense, take more than a third of the free memory."""
    size = math.prod(X.shape) * np.dtype(dtype).itemsize
    if not is_sparse(X) or size <= sparse.SMALL:
        return False
    free = free_main_memory()
    return free is not None and 3 * size > free


def split(
    examples: Examples, groups: npt.NDArray[np.int64], fraction: float, random: np.random.RandomState
) -> tuple[Examples, Examples]:
    """Return training and validation examples, divided at random, the same share of each group (n,).

    Examples of weight 0 are training examples and do not count in the shares.
    """
    n, w, second = examples.n, examples.w, np.zeros(examples.n, dtype=bool)
    with suppress(ValueError):  # too few to split
        if fraction:
            second = in_second_part(groups, fraction, shuffled(n, random), w)
    if np.count_nonzero(second) < 2:
        counted = "" if w is None or w.all() else f", {np.count_nonzero(w)} of them weighted"
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your dataset: "
            f"validation_fraction={fraction!r} of {n} examples{counted}"
        )
    return examples.at(places_of(~second)), examples.at(places_of(second))
