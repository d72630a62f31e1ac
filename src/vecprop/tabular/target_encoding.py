"""Target encoding: the mean target of each category of a column with rare ones, as deviation from the mean of all.

With w the weights of the rows, 1 without any, t their targets, and t̄ the mean target of all rows, category c becomes

    v_c = Σ_c w (t - t̄) / (Σ_c w + a),    a = SMOOTHING,

which is the m-estimate of its mean (Micci-Barreca, 2001), less t̄: 0 for an unseen category, and near it for a rare one.
In a regression t is the target; with K classes there is a feature for each but the first, where t is 1 for its rows and
0 for others, or for the 10 most frequent of them. All sums run over training rows. A training row's own value comes
from the other folds, t̄ too; later rows, those for validation and for the test included, have that of all folds.

A column keeps one feature for all rare categories if less than a twentieth of the rows has one of them, or if the sum
of v (t - t̄) over all rows, v from other folds, is within 3 standard deviations of 0: noise as a feature costs 0.3 %.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecprop.data.tables import Table
from vecprop.tabular.encoders import Category
from vecprop.tabular.preparation import Preparation

SMOOTHING = 10.0
_RARE_ROWS, _SIGNIFICANT = 0.05, 3.0  # less than this, and a column has no such features
_FOLDS, _MOST_CLASSES = 5, 10
_AT_ONCE = 1 << 18
_TINY = np.finfo(np.float64).tiny


class OutOfFold(NamedTuple):
    """The features of training rows from column `first` on: values[fold, feature, code] for folds and codes (m,)."""

    first: int
    folds: npt.NDArray[np.uint8]
    codes: npt.NDArray[np.int32]  # of categories, as `Category.codes` has them
    values: npt.NDArray[np.float64]

    def write(self, X: npt.NDArray[Any]) -> None:
        """Write the features of the training rows into their X (m, n_x), or into the file that it is a map of."""
        if not X.flags.writeable:
            X = np.load(X.filename, mmap_mode="r+", allow_pickle=False)  # type: ignore[attr-defined]
        for a in range(0, len(X), _AT_ONCE):
            rows = slice(a, a + _AT_ONCE)
            found = self.values[self.folds[rows], :, self.codes[rows]]
            X[rows, self.first : self.first + found.shape[1]] = found


def learn(
    preparation: Preparation, table: Table, y: npt.NDArray[Any], w: npt.NDArray[Any] | None, classes: int, rng: Any
) -> tuple[Preparation, list[OutOfFold]]:
    """Return the preparation with means for columns with many rows of rare categories, and training rows' features.

    `table` has the training rows, y (m,) their targets, which are indices if there are classes (0 for a regression).
    """
    columns, found, first = list(preparation.columns), [], 0
    folds = rng.integers(_FOLDS, size=len(y), dtype=np.uint8)
    for j, column in enumerate(columns):
        if isinstance(column, Category) and column.other:
            codes = np.concatenate([column.codes(part.to_list()).astype(np.int32) for part in table.parts(column.name)])
            rare = (codes >= len(column.categories)) & (codes < len(column.categories) + len(column.other))
            values, significance = means(codes, folds, y, w, len(column.places) - 1, classes)
            if significance > _SIGNIFICANT and rare.sum() >= _RARE_ROWS * len(codes):
                columns[j] = column = replace(column, means=tuple(map(tuple, values[-1].tolist())))
                found.append(OutOfFold(first + len(column.features) - len(column.means), folds, codes, values[:-1]))
        first += len(column.features)
    return replace(preparation, columns=tuple(columns)), found


def means(
    codes: npt.NDArray[Any], folds: npt.NDArray[Any], y: npt.NDArray[Any], w: Any, categories: int, classes: int
) -> tuple[npt.NDArray[np.float64], float]:
    """Return v without each fold, and last with all, (folds + 1, features, categories), and the significance.

    >>> codes, y = np.array([0, 0, 1]), np.array([4.0, 4.0, 1.0])
    >>> means(codes, np.zeros(3, dtype=int), y, None, 2, 0)[0][-1].round(4).tolist()  # 2 (4 - 3) / 12, (1 - 3) / 11
    [[0.1667, -0.1818]]
    """
    chosen = sorted(sorted(range(1, classes), key=lambda k: -np.count_nonzero(y == k))[:_MOST_CLASSES])
    sums = np.zeros((1 + (len(chosen) if classes else 1), _FOLDS * categories))  # of the weights, and of each target
    mean_weight = 1.0 if w is None else w.mean() or 1.0
    for a in range(0, len(y), _AT_ONCE):
        rows = slice(a, a + _AT_ONCE)
        cells = folds[rows].astype(np.int64) * categories + codes[rows]
        shares = np.ones(len(cells)) if w is None else w[rows] / mean_weight
        targets = [y[rows] == k for k in chosen] if classes else [y[rows]]
        for total, t in zip(sums, [1.0, *targets], strict=True):
            total += np.bincount(cells, shares * t, len(total))
    n, *s = sums.reshape(-1, _FOLDS, categories)
    found = np.empty((_FOLDS + 1, len(s), categories))
    for fold in range(_FOLDS + 1):  # not the sums of all less those of a fold: its targets would show by their rounding
        others = np.arange(_FOLDS) != fold
        N = n[others].sum(axis=0)
        for k, own in enumerate(s):
            S = own[others].sum(axis=0)
            found[fold, k] = (S - N * (S.sum() / max(N.sum(), _TINY))) / (N + SMOOTHING)
    significant = [_significance(found[:-1, k], n, own, None if classes else y) for k, own in enumerate(s)]
    return found, max(significant)


def _significance(v: npt.NDArray[Any], n: npt.NDArray[Any], s: npt.NDArray[Any], y: npt.NDArray[Any] | None) -> float:
    """Return Σ v (t - t̄) over all rows, by its standard deviation for targets that have nothing to do with categories.

    v are values from other folds, n sums of weights and s of targets, all (folds, categories); without y, t is 0 or 1.
    """
    mean = s.sum() / max(n.sum(), _TINY)
    deviation = max(np.sqrt(mean * (1 - mean)) if y is None else np.std(y), _TINY)
    v, rest = v / deviation, (s - n * mean) / deviation
    return float((v * rest).sum() / max(np.sqrt(2 * (v**2 * n).sum()), _TINY))  # 2: a pair of folds counts twice
