"""A model of tables as the header and tensors of a model file, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

from vecprop.backend.contract import Backend
from vecprop.export import estimator_files, pack_files
from vecprop.tabular.model import TableModel
from vecprop.tabular.preparation import Preparation
from vecprop.tabular.targets import Target
from vecprop.training.json_values import Pair
from vecprop.utils.tensor_file import Tensors

_PARTS: dict[str, Any] = {"estimator": estimator_files, "pack": pack_files}


def to_parts(model: TableModel) -> tuple[dict[str, Any], Tensors]:
    """Return the header and tensors of a model."""
    parts = _PARTS["pack" if hasattr(model.estimator, "groups_") else "estimator"]
    estimator, tensors = parts.to_parts(model.estimator)
    header = {
        "kind": "table",
        "preparation": model.preparation.to_json(),
        "target": model.target.to_json(),
        "about": model.about,
        "estimator": estimator,
    }
    return header, tensors


def from_parts(
    header: Mapping[str, Any], tensors: Tensors, backend: str | Backend | None, custom: Sequence[Pair]
) -> TableModel:
    """Return the model of a header and tensors."""
    parts = _PARTS[header["estimator"]["kind"]]
    estimator = parts.from_parts(header["estimator"], tensors, backend, custom)
    preparation = Preparation.from_json(header["preparation"])
    if len(preparation.features) != estimator.n_features_in_:
        raise ValueError(f"{len(preparation.features)} features for a network of {estimator.n_features_in_}")
    about = header["about"]
    if not isinstance(about, dict):
        raise TypeError("its about is no object")
    classes = getattr(estimator, "classes_", None)
    return TableModel(preparation, Target.from_json(header["target"], classes), estimator, about)
