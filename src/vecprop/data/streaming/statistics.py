"""Statistics from one pass over streamed examples: means, deviations, classes, weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vecprop.data.streaming.examples import StreamedExamples

if TYPE_CHECKING:
    import numpy.typing as npt


class Moments:
    """Weighted mean and variance of rows, added up block by block, in float64.

    Source: Chan, Golub and LeVeque, 1983, equations 2.1.

    Examples
    --------
    On paper: 1, 3 and 5 have the mean 3 and the variance 8/3.

    >>> moments = Moments(1)
    >>> moments.add(np.array([[1.0, 3.0]]), None)
    >>> moments.add(np.array([[5.0]]), None)
    >>> moments.mean.tolist(), moments.variance.round(6).tolist()
    ([[3.0]], [[2.666667]])
    """

    def __init__(self, n: int) -> None:
        self.weight = 0.0
        self.mean = np.zeros((n, 1))
        self._squares = np.zeros((n, 1))  # Σ w (x - mean)²
        self.low, self.high = np.full((n, 1), np.inf), np.full((n, 1), -np.inf)

    def add(self, X: npt.NDArray[np.float64], w: npt.NDArray[np.float64] | None) -> None:
        """Add columns X (n, k) with weights (k,)."""
        if w is not None:
            X, w = X[:, w > 0], w[w > 0]
        if not X.shape[1]:
            return
        weight = float(X.shape[1]) if w is None else float(w.sum())
        share = np.full(X.shape[1], 1 / weight) if w is None else w / weight
        mean = (X @ share)[:, None]
        squares = weight * ((X - mean) ** 2 @ share)[:, None]
        total = self.weight + weight
        change = mean - self.mean
        self._squares += squares + change * (change * (self.weight * weight / total))  # at first 0, not 0 · ∞
        self.mean += change * (weight / total)
        self.weight = total
        self.low = np.minimum(self.low, X.min(axis=1, keepdims=True))
        self.high = np.maximum(self.high, X.max(axis=1, keepdims=True))

    @property
    def variance(self) -> npt.NDArray[np.float64]:
        """The variance (n, 1), divided by the sum of the weights."""
        return self._squares / self.weight

    def scale(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return mean and deviation, (n, 1); 1 for the deviation of a constant row."""
        constant = self.low == self.high  # tested exactly, as the mean is rounded
        deviation = np.where(constant, 1.0, np.sqrt(self.variance))
        return np.where(constant, self.low, self.mean), deviation


def input_scale(examples: StreamedExamples) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and deviation of every row of X, (n_0, 1) (E35); deviation 1 if constant."""
    moments = Moments(examples.shape[0])
    for X, _, w in examples.blocks(X=True, dtype="float64"):
        moments.add(X, w)
    return moments.scale()


def class_totals(examples: StreamedExamples, classes: int) -> npt.NDArray[np.float64]:
    """Return the total weight of the examples of each class, (classes,)."""
    totals = np.zeros(classes)
    for _, Y, w in examples.blocks(Y=True):
        totals += np.bincount(examples.labels(Y), weights=w, minlength=classes)
    return totals


def class_sums(examples: StreamedExamples) -> npt.NDArray[np.float64]:
    """Return the sum of each row of Y, (n_L,)."""
    return sum(
        (Y.sum(axis=1, dtype=np.float64) for _, Y, _ in examples.blocks(Y=True)), np.zeros(examples.net.sizes[-1])
    )


def all_labels(examples: StreamedExamples) -> npt.NDArray[np.int64]:
    """Return the class of each example, (m,)."""
    return np.concatenate([examples.labels(Y) for _, Y, _ in examples.blocks(Y=True)])


def all_weights(examples: StreamedExamples) -> npt.NDArray[np.float64]:
    """Return the weight of each example, (m,)."""
    return np.concatenate([w.astype(np.float64) for _, _, w in examples.blocks()])


def total_weight(examples: StreamedExamples) -> float:
    """Return the sum of the weights."""
    if not examples.weighted:
        return float(examples.m)
    return float(sum(w.sum(dtype=np.float64) for _, _, w in examples.blocks()))
