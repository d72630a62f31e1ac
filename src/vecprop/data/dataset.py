"""A set of examples: how it is held, split and scaled (with the statistics of E35).

Data stands in columns, as everywhere in vecprop: X is (n_x, m), one example per column, and Y is (n_y, m).
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vecprop.data.splitting import in_second_part
from vecprop.nn.input_scaling import input_scale, scaled
from vecprop.utils import random_streams
from vecprop.utils.arguments import check_choice, check_instance, check_real, check_text, check_texts

PathLike: TypeAlias = str | os.PathLike[str]
Task: TypeAlias = Literal["binary", "classification", "regression"]

TASKS: tuple[Task, ...] = ("binary", "classification", "regression")
MOST_INTEGER_CLASSES = 20  # an integer target with more distinct values is taken for a regression
_SPLIT = 100  # random stream of the splits (`vecprop.utils.random_streams.generator`), apart from the core's


def is_number(text: str) -> bool:
    """Tell whether a text is a finite number; '1_000', which Python accepts, is not."""
    try:
        return "_" not in text and math.isfinite(float(text))
    except ValueError:
        return False


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples in columns, with the names of the features and targets.

    Parameters
    ----------
    X : array (n_x, m)
        The features, made float64 and C-contiguous.
    Y : array (n_y, m)
        The targets, also made float64 and C-contiguous: one row of 0.0 and 1.0 (binary), one-hot columns
        (classification) or any numbers (regression).
    name : str
        The name of the data set.
    feature_names : tuple of str
        One for each row of X.
    target_names : tuple of str
        The classes in order, two for binary; for regression one name for each row of Y.
    task : {"binary", "classification", "regression"}
        What is to be learned.

    Raises
    ------
    ValueError
        If the shapes, the names and the task do not fit together.

    Examples
    --------
    >>> data = Dataset([[1.0, 2.0, 3.0]], [[0, 1, 1]], "tiny", ("x",), ("no", "yes"), "binary")
    >>> data
    Dataset('tiny', binary, X (1, 3), Y (1, 3))
    >>> X, Y = data
    >>> data.labels
    array([0, 1, 1])
    """

    X: NDArray[np.float64]
    Y: NDArray[np.float64]
    name: str
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    task: Task

    def __post_init__(self) -> None:
        for argument in ("X", "Y"):
            value = _real(getattr(self, argument), argument)
            if value.ndim != 2:
                raise ValueError(f"{argument} must have one example per column, (n, m), got shape {value.shape}")
            object.__setattr__(self, argument, value)
        if self.X.shape[1] != self.Y.shape[1]:
            raise ValueError(f"X and Y must have one column per example, got X {self.X.shape} and Y {self.Y.shape}")
        check_choice(self.task, "task", TASKS)
        check_text(self.name, "name")
        rows = {
            "feature_names": self.X.shape[0],
            "target_names": 2 if self.task == "binary" else self.Y.shape[0],
        }
        for argument, count in rows.items():
            names = check_texts(getattr(self, argument), argument)
            if len(names) != count:
                raise ValueError(f"{argument} must be {count} names, got {names!r}")
            object.__setattr__(self, argument, names)
        self._check_targets()

    def _check_targets(self) -> None:
        if self.task == "regression":
            return
        if not ((self.Y == 0) | (self.Y == 1)).all():
            raise ValueError(f"Y must hold only 0 and 1 for task={self.task!r}")
        if self.task == "binary" and self.Y.shape[0] != 1:
            raise ValueError(f"Y must be (1, m) for task='binary', got shape {self.Y.shape}")
        if self.task == "classification" and not (self.Y.sum(axis=0) == 1).all():
            raise ValueError("Y must have exactly one 1 in each column for task='classification'")

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        """Yield X, then Y, so that `X, Y = dataset` works."""
        yield self.X
        yield self.Y

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {self.task}, X {self.X.shape}, Y {self.Y.shape})"

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each example, (m,): an index into `target_names`; AttributeError for a regression."""
        if self.task == "regression":
            raise AttributeError(f"{self.name} is a regression: it has numbers in Y and no class labels")
        return np.asarray(self.Y[0] if self.task == "binary" else self.Y.argmax(axis=0), dtype=np.int64)

    def split(self, fraction: float = 0.2, seed: int = 0, stratify: bool | None = None) -> tuple["Dataset", "Dataset"]:
        """Divide the examples at random into (train, test), each in random order.

        Parameters
        ----------
        fraction : float, default 0.2
            The share that goes into test, in (0, 1).
        seed : int, default 0
            The same seed gives the same split.
        stratify : bool, optional
            Keep the share of each class in both parts; a class with two or more examples is in both, a class
            with one is in train. The default is True unless the task is a regression.

        Raises
        ------
        ValueError
            For a fraction outside (0, 1), too few examples for both sides, or a stratified regression.

        Examples
        --------
        >>> import vecprop as vp
        >>> train, test = vp.datasets.xor(m=20).split(0.25)
        >>> train.X.shape, test.X.shape, sorted(train.Y[0].tolist()).index(1.0) in (7, 8)
        ((2, 15), (2, 5), True)
        """
        fraction = check_real(fraction, "fraction", "in (0, 1)", lambda value: 0 < value < 1)
        if not (stratify is None or isinstance(stratify, bool)):
            raise TypeError(f"stratify must be True, False or None, got {stratify!r}")
        if stratify is None:
            stratify = self.task != "regression"
        if stratify and self.task == "regression":
            raise ValueError(f"{self.name} is a regression and has no class labels: stratify must be False or None")
        m = self.X.shape[1]
        order = random_streams.generator(seed, _SPLIT).permutation(m)
        try:
            second = in_second_part(self.labels if stratify else None, fraction, order)[order]
        except ValueError:
            some = " of some class" * stratify
            raise ValueError(f"split needs two examples or more{some}, {self.name} has m = {m}") from None
        train, test = (replace(self, X=self.X[:, part], Y=self.Y[:, part]) for part in (order[~second], order[second]))
        return train, test


def _real(values: object, argument: str) -> NDArray[np.float64]:
    """Return an array of real numbers, NaN allowed for missing ones; errors name the argument."""
    try:
        given = np.asarray(values)
        if given.dtype.kind not in "biufO":
            raise TypeError(f"got dtype {given.dtype}")
        return np.asarray(given, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise type(error)(f"{argument} must be an array (n, m) of real numbers: {error}") from None


def standardize(train: Dataset, *others: Dataset) -> tuple[Dataset, ...]:
    """Scale every feature to zero mean and unit variance, as measured on the first data set.

    A feature that is constant in the first is only centred. Returns one for each that was given: `train, test =
    standardize(train, test)`. TypeError for an argument that is not a data set, ValueError if the numbers of features
    differ, or the first has no examples.

    >>> train = Dataset([[1.0, 3.0], [5.0, 5.0]], [[0, 1]], "train", ("a", "b"), ("no", "yes"), "binary")
    >>> test = Dataset([[4.0], [6.0]], [[1]], "test", ("a", "b"), ("no", "yes"), "binary")
    >>> [data.X.tolist() for data in standardize(train, test)]
    [[[-1.0, 1.0], [0.0, 0.0]], [[2.0], [1.0]]]
    """
    for k, data in enumerate((train, *others)):
        check_instance(data, Dataset, f"others[{k - 1}]" if k else "train", "a Dataset")
        if data.X.shape[0] != train.X.shape[0]:
            raise ValueError(
                f"others[{k - 1}]: {data.name} has {data.X.shape[0]} features and {train.name} has {train.X.shape[0]}"
            )
    if train.X.shape[1] == 0:
        raise ValueError(f"{train.name} has no examples to take a mean of")
    scale = input_scale(np, train.X, None)
    return tuple(replace(data, X=scaled(data.X, scale)) for data in (train, *others))
