"""Target encoding: the mean target of each category of a column with rare ones, as deviation from the mean of all.

With w the weights of the rows, 1 without any, t their targets, and t̄ the mean target of all rows, category c becomes

    v_c = Σ_c w (t - t̄) / (Σ_c w + a),    a = SMOOTHING,

which is the m-estimate of its mean (Micci-Barreca, 2001), less t̄: 0 for an unseen category, and near it for a rare one.
In a regression t is the target; with K classes there is a feature for each but the first, where t is 1 for its rows and
0 for others, or for the 10 most frequent of them. All sums run over training rows. A training row's own value comes
from the other folds, t̄ too; later rows, those for validation and for the test included, have that of all folds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vecprop.data.tables import Table
from vecprop.tabular.encoders import Category
from vecprop.tabular.preparation import Preparation

if TYPE_CHECKING:
    import numpy.typing as npt

SMOOTHING = 10.0
_RARE_ROWS = 0.1  # the share of training rows in rare categories from which on the means are worth a feature
_FOLDS = 5
_MOST_CLASSES = 10
_AT_ONCE = 1 << 16


class OutOfFold(NamedTuple):
    """The features of training rows: values[fold, feature, code] for folds (m,) and codes (m,), from column `first` on.

    codes : of categories, as `Category.codes` has them
    """

    first: int
    folds: npt.NDArray[np.uint8]
    codes: npt.NDArray[np.int32]
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
    columns, found = list(preparation.columns), []
    folds = rng.integers(_FOLDS, size=len(y), dtype=np.uint8)
    first = 0
    for j, column in enumerate(columns):
        if isinstance(column, Category) and column.other:
            codes = np.concatenate([column.codes(part.to_list()).astype(np.int32) for part in table.parts(column.name)])
            rare = np.bincount(codes)[len(column.categories) :][: len(column.other)].sum()
            if rare >= _RARE_ROWS * len(codes):
                values = means(codes, folds, y, w, len(column.places) - 1, classes)
                columns[j] = column = replace(column, means=tuple(map(tuple, values[-1].tolist())))
                found.append(OutOfFold(first + len(column.features) - len(column.means), folds, codes, values[:-1]))
        first += len(column.features)
    return replace(preparation, columns=tuple(columns)), found


def means(
    codes: npt.NDArray[Any], folds: npt.NDArray[Any], y: npt.NDArray[Any], w: Any, categories: int, classes: int
) -> npt.NDArray[np.float64]:
    """Return v without each fold, and last with all: (folds + 1, features, categories).

    >>> codes, y = np.array([0, 0, 1]), np.array([4.0, 4.0, 1.0])
    >>> means(codes, np.zeros(3, dtype=int), y, None, 2, 0)[-1].round(4).tolist()  # 2 (4 - 3) / 12, (1 - 3) / 11
    [[0.1667, -0.1818]]
    """
    cells, shape = folds.astype(np.int64) * categories + codes, (_FOLDS, categories)
    w = np.ones(len(y)) if w is None else w / (w.mean() or 1.0)
    n = np.bincount(cells, w, _FOLDS * categories).reshape(shape)
    used = [*(np.arange(_FOLDS) != fold for fold in range(_FOLDS)), np.ones(_FOLDS, dtype=bool)]
    found = []
    for t in _targets(y, classes):
        s = np.bincount(cells, w * t, _FOLDS * categories).reshape(shape)
        for_folds = []
        for others in used:  # sums without a fold, not of all less its own: those would see its targets by rounding
            N, S = n[others].sum(axis=0), s[others].sum(axis=0)
            for_folds.append((S - N * (S.sum() / max(N.sum(), 1e-300))) / (N + SMOOTHING))
        found.append(for_folds)
    return np.array(found).swapaxes(0, 1)


def _targets(y: npt.NDArray[Any], classes: int) -> list[npt.NDArray[Any]]:
    """Return the numbers whose means are taken, each (m,)."""
    if not classes:
        return [y]
    counts = np.bincount(y, minlength=classes)[1:]
    return [y == k + 1 for k in np.sort(np.argsort(-counts, kind="stable")[:_MOST_CLASSES])]
