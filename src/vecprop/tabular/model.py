"""A trained model of tables: the preparation of columns, the target, and the network."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vecprop.backend.contract import to_host
from vecprop.data.tables import Table, table_of
from vecprop.tabular.encoders import same_as
from vecprop.tabular.preparation import Preparation, Prepared
from vecprop.tabular.scores import scores
from vecprop.tabular.targets import Target, labelled
from vecprop.tabular.understanding import spelled

if TYPE_CHECKING:
    from vecprop.estimators import MLPClassifier, MLPRegressor, PackClassifier, PackRegressor

_FARTHEST = 1e30  # standard deviations: up to here a network's float32 results stay finite


@dataclass(frozen=True)
class TableModel:
    """A network with the preparation of its columns; it predicts from files and data frames.

    preparation : what each column becomes
    target : the column to be predicted
    estimator : the networks, which take prepared features
    about : the training's file, numbers of examples, scores and settings
    """

    preparation: Preparation
    target: Target
    estimator: "MLPClassifier | MLPRegressor | PackClassifier | PackRegressor"
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> list[Any]:
        """The classes, or [] for a regression."""
        return self.estimator.classes_.tolist() if hasattr(self.estimator, "classes_") else []

    @property
    def names(self) -> list[str]:
        """The names of the columns that are used, and of the target."""
        return [*self.preparation.names, self.target.name]

    def prepare(self, data: Any) -> Prepared:
        """Return the features of a file, a pandas or polars data frame, or a Table, with counts.

        TypeError for anything else, and errors as in `Preparation.transform`.
        """
        table = replace(table_of(data, expected=self.names), forms=None)  # those of another training may be others
        prepared = self.preparation.transform(table, self.target.name)
        X, scale = prepared.X, getattr(self.estimator, "scaling_", None)  # the maps of a pack are bounded
        if scale is None or not len(X):
            return prepared
        mean, deviation = (to_host(a)[:, 0].astype(np.float64) for a in scale)
        with np.errstate(over="ignore"):
            far = np.maximum(X.max(axis=0) - mean, mean - X.min(axis=0)) > _FARTHEST * deviation
        if far.any():
            feature = int(np.argmax(far))
            row = int(np.argmax(np.abs(X[:, feature])))
            names = [column.name for column in self.preparation.columns for _ in column.features]
            raise ValueError(
                f"{table.place(row, names[feature])}: {X[row, feature]:g} is too far from the numbers of the training, "
                f"{mean[feature]:g} ± {deviation[feature]:g}, to predict from; correct it, or leave the cell empty"
            )
        return prepared

    def predict(self, data: Any) -> npt.NDArray[Any]:
        """Return predictions (m,): numbers in units of the target, or labels. Arguments as in `prepare`."""
        return np.asarray(self.estimator.predict(self.prepare(data).X))

    def predict_proba(self, data: Any) -> npt.NDArray[Any]:
        """Return the probabilities (m, classes), ordered as `classes`. Arguments as in `prepare`."""
        if not hasattr(self.estimator, "classes_"):
            raise TypeError(f"the target {self.target.name!r} is a number: a regression has no probabilities")
        return np.asarray(self.estimator.predict_proba(self.prepare(data).X))

    def evaluate(self, data: Any) -> dict[str, float]:
        """Return name -> score on data that contain the target."""
        table = self.labelled(data)[0]
        return scores(self.estimator, self.prepare(table).X, self.truth(table))

    def truth(self, table: Table) -> npt.NDArray[Any]:
        """Return the targets (m,) of a table without gaps in them; other spellings of a class, as 3 of 3.0, are it."""
        y, classes = self.target.values(table), self.classes
        if not self.target.words:
            return y
        key = same_as(classes)
        alike = {key(name): name for name in classes}
        labels, places = np.unique(y, return_inverse=True)
        found = [name if name in classes else alike.get(key(name), name) for name in labels.tolist()]
        return np.array(found, dtype=str)[places]

    def labelled(self, data: Any) -> tuple[Table, int]:
        """Return a Table of the rows with a target, and the number of others. Arguments as in `prepare`."""
        table, target = spelled(table_of(data, expected=self.names), self.preparation.missing), self.target
        return labelled(table, target.name, target.words) if target.name in table.names else (table, 0)

    def __str__(self) -> str:
        lines = [
            f"{self.target.task} of {self.target.name!r} from {len(self.preparation.columns)} columns, "
            f"{len(self.preparation.features)} features",
            *networks_of(self.estimator),
        ]
        if self.classes:
            lines.append(f"classes: {', '.join(map(str, self.classes))}")
        return "\n".join([*lines, "columns:", str(self.preparation)])


def leading(estimator: Any) -> Any:
    """Return the networks of an estimator, of a pack the group with the largest weight."""
    return getattr(estimator, "leading_", estimator)


def networks_of(estimator: Any) -> list[str]:
    """Return lines on the networks of a model: one, or for a pack each kind and its weights."""
    if not hasattr(estimator, "groups_"):
        several = f"{estimator.n_networks} networks, averaged: each " if estimator.n_networks > 1 else ""
        return [f"{several}{estimator.network_}"]
    members = sum(len(group.weights) for group in estimator.groups_)
    then = ", then trained on all" * getattr(estimator, "_went_on", False)  # unknown of those of a file
    chosen = f"{members} network{'s' * (members > 1)}, chosen by the rows that told when to stop{then}"
    lines = [f"a pack: the weighted mean of {chosen}"]
    width = max(len(name) for name, _ in estimator.found_)
    return lines + [f"  {name.ljust(width)}  {'  '.join(f'{w:.2f}' for w in own)}" for name, own in estimator.found_]
