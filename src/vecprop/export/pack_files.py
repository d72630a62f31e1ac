"""A fitted pack as the header and tensors of a model file, and back."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from vecprop.backend.contract import Backend
from vecprop.estimators.classifier import PackClassifier
from vecprop.estimators.feature_maps import FeatureMap
from vecprop.estimators.pack import NAMES, Group, Pack
from vecprop.estimators.regressor import PackRegressor
from vecprop.export import estimator_files
from vecprop.training.json_values import Pair, from_json, to_json
from vecprop.utils.arguments import check_text
from vecprop.utils.tensor_file import Tensors

_ROUNDING = 1e-6
CLASSES: dict[str, type[Any]] = {"PackClassifier": PackClassifier, "PackRegressor": PackRegressor}


def to_parts(pack: Any) -> tuple[dict[str, Any], Tensors]:
    """Return the header and tensors of a fitted pack."""
    check_is_fitted(pack, "groups_")
    if CLASSES.get(type(pack).__name__) is not type(pack):
        raise TypeError(f"model is a {type(pack).__name__}, a class of your own, which `load` could not make again")
    groups: list[dict[str, Any]] = []
    tensors: Tensors = {}
    for k, (view, estimator, weights) in enumerate(pack.groups_):
        header, arrays = estimator_files.to_parts(estimator)
        groups.append({"map": view.name, "estimator": header})
        own = {f"map.{name}": array for name, array in view.to_tensors().items()}
        tensors |= {f"{k}.{name}": array for name, array in {**arrays, **own, "weights": weights}.items()}
    seed = pack.random_state
    header = {
        "kind": "pack",
        "class": type(pack).__name__,
        "parameters": {
            "n_networks": pack.n_networks,
            "maps": list(pack.maps),
            "validation_fraction": pack.validation_fraction,
            **({} if pack.refit else {"refit": False}),  # files from before it have none
            "random_state": seed if isinstance(seed, int) else None,
            **({"class_weight": to_json(pack.class_weight)} if isinstance(pack, PackClassifier) else {}),
        },
        "features": pack.n_features_in_,
        "feature_names": to_json([str(name) for name in getattr(pack, "feature_names_in_", [])]),
        "found": [[name, weights] for name, weights in pack.found_],
        "stopped": pack.stopped_,
        "groups": groups,
    }
    return header, tensors


def from_parts(header: dict[str, Any], tensors: Tensors, backend: str | Backend | None, custom: Sequence[Pair]) -> Pack:
    """Return the pack of a header and tensors."""
    given = header["parameters"]
    more = {"class_weight": from_json(given["class_weight"])} if "class_weight" in given else {}
    pack = CLASSES[header["class"]](**{**given, **more, "maps": tuple(given["maps"]), "backend": backend})
    pack._check_parameters()
    estimator_files.set_features(pack, header)
    pack.found_ = [(check_text(name, "found"), list(map(float, weights))) for name, weights in header["found"]]
    pack.stopped_ = check_text(header["stopped"], "stopped")
    kinds = [(group["estimator"]["class"], group["estimator"]["targets"]) for group in header["groups"]]
    if not kinds or any(kind != (header["class"].replace("Pack", "MLP"), kinds[0][1]) for kind in kinds):
        raise ValueError("its groups do not predict the same")
    groups = []
    for k, group in enumerate(header["groups"]):
        own = {name.removeprefix(f"{k}."): array for name, array in tensors.items() if name.startswith(f"{k}.")}
        estimator = estimator_files.from_parts(group["estimator"], own, backend, custom)
        arrays = {name.removeprefix("map."): array for name, array in own.items() if name.startswith("map.")}
        groups.append(
            Group(FeatureMap.from_tensors(group["map"], arrays), estimator, _weights(own["weights"], estimator))
        )
        count = groups[-1].map(np.zeros((1, pack.n_features_in_))).shape[1]
        if count != estimator.n_features_in_:
            raise ValueError(f"its map has {count} features for a network of {estimator.n_features_in_}")
    kept = [(name, some) for name, weights in pack.found_ if (some := [w for w in weights if w])]
    if kept != [(group.name, group.weights.tolist()) for group in groups] or not {n for n, _ in pack.found_} <= NAMES:
        raise ValueError("its found are not the weights of its networks")
    if abs(sum(group.weights.sum() for group in groups) - 1) > _ROUNDING:
        raise ValueError("the weights of its networks do not sum to 1")
    pack._set_groups(groups)
    return pack  # type: ignore[no-any-return]


def _weights(weights: Any, estimator: Any) -> Any:
    """Return the weights of a group's networks, checked."""
    if weights.shape != estimator.coefs_[0].shape[:1] or not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError(f"weights of shape {weights.shape} for {estimator.coefs_[0].shape[0]} networks")
    return weights
