"""Fitted estimators, packs and models of tables as the header and tensors of a model file, and back."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from vecprop.backend.contract import Backend, to_host
from vecprop.estimators.classifier import MLPClassifier, PackClassifier
from vecprop.estimators.feature_maps import FeatureMap
from vecprop.estimators.labels import Labels
from vecprop.estimators.pack import NAMES, Group, Pack
from vecprop.estimators.parameters import check_parameters
from vecprop.estimators.regressor import MLPRegressor, PackRegressor
from vecprop.export.tensors import layers_from_tensors, layers_to_tensors
from vecprop.nn.activations import Custom
from vecprop.nn.input_scaling import InputScale
from vecprop.nn.network import Network
from vecprop.training.json_values import (
    NotStorableError,
    Pair,
    from_json,
    history_from_json,
    network_from_json,
    network_to_json,
    to_json,
)
from vecprop.utils.arguments import check_flag, check_positive_integer, check_text
from vecprop.utils.tensor_file import Tensors

_CLASSES: dict[str, type[Any]] = {cls.__name__: cls for cls in (MLPClassifier, MLPRegressor)}
_PACKS: dict[str, type[Any]] = {cls.__name__: cls for cls in (PackClassifier, PackRegressor)}
_RECORD = (
    "n_iter_", "t_", "loss_", "best_loss_", "loss_curve_", "validation_loss_curve_", "validation_scores_",
    "best_validation_score_", "history_", "stopped_",
)  # fmt: skip
# Not saved, as a model may be loaded elsewhere: there the active backend counts, and paths mean nothing.
_LEFT_OUT = ("backend", "devices", "checkpoint", "resume")
_LABEL_KINDS = "biufU"
_WIDE = 1024
_ROUNDING = 1e-6


def to_parts(model: Any) -> tuple[dict[str, Any], Tensors]:
    """Return the header and tensors of a fitted model; warn of what a file cannot hold."""
    if not isinstance(model, BaseEstimator):
        return _parts_of_table(model)
    is_pack = isinstance(model, Pack)
    check_is_fitted(model, "groups_" if is_pack else None)
    if type(model) not in (_PACKS if is_pack else _CLASSES).values():
        hint = "" if is_pack else ": save a MLPClassifier or MLPRegressor"
        raise TypeError(
            f"model is a {type(model).__name__}, a class of your own, which `load` could not make again{hint}"
        )
    header, tensors = (_parts_of_pack if is_pack else _parts_of_estimator)(model)
    header |= {
        "class": type(model).__name__,
        "features": model.n_features_in_,
        "feature_names": to_json([str(name) for name in getattr(model, "feature_names_in_", [])]),
    }
    return header, tensors


def from_parts(header: dict[str, Any], tensors: Tensors, backend: str | Backend | None, custom: Sequence[Pair]) -> Any:
    """Return the model of a header and tensors."""
    table = header["kind"] == "table"
    inner = header["estimator"] if table else header
    made = {"estimator": _estimator_from_parts, "pack": _pack_from_parts}[inner["kind"]]
    estimator = made(inner, tensors, backend, custom)
    return _table_from_parts(header, estimator) if table else estimator


def _parts_of_estimator(estimator: Any) -> tuple[dict[str, Any], Tensors]:
    check_parameters(estimator)  # parameters that `_estimator_from_parts` would refuse are not saved
    parameters, lost = {}, []
    for name, value in estimator.get_params(deep=False).items():
        if name == "dtype" and value is not None:
            value = str(np.dtype(value))
        try:
            value = value.tolist() if isinstance(value, np.ndarray) else value
            parameters[name] = None if name in _LEFT_OUT else to_json(value)
        except NotStorableError:
            parameters[name] = None
            # of pairs of functions the network's specification has the places
            if name not in ("activation", "out_activation"):
                lost.append(f"{name}={value!r}")
    if lost:
        warnings.warn(
            f"a model file holds no functions and no objects: the loaded estimator will have None for "
            f"{', '.join(lost)}; it predicts the same",
            UserWarning,
            stacklevel=5,
        )
    header = {
        "kind": "estimator",
        "parameters": parameters,
        "network": network_to_json(estimator.network_),
        "record": {name: to_json(getattr(estimator, name)) for name in _RECORD},
        "targets": _targets_to_json(estimator),
        "custom_output": isinstance(estimator.network_.output, Custom),
    }
    tensors = layers_to_tensors(estimator.params_)
    for name in ("scaling_", "target_scaling_"):
        if (scale := getattr(estimator, name, None)) is not None:
            tensors |= {f"{name}.{part}": to_host(array) for part, array in scale._asdict().items()}
    return header, tensors


def _estimator_from_parts(
    header: dict[str, Any], tensors: Tensors, backend: str | Backend | None, custom: Sequence[Pair]
) -> Any:
    net = network_from_json(header["network"], custom)
    parameters = {name: from_json(value, custom) for name, value in header["parameters"].items()}
    if parameters["activation"] is None:
        parameters["activation"] = list(net.hidden)
    if header["custom_output"]:
        parameters["out_activation"] = net.output
    estimator = _CLASSES[header["class"]](**{**parameters, "backend": backend})
    check_parameters(estimator)
    _set_features(estimator, header)
    if estimator.n_features_in_ != net.sizes[0]:
        raise ValueError(f"{estimator.n_features_in_} features for the network {net}")
    if isinstance(estimator, MLPClassifier):
        estimator._set_labels(_labels_of(net, header["targets"]))
    else:
        shape = tuple(check_positive_integer(n, "shape") for n in header["targets"]["shape"])
        count = shape[0] if shape else 1
        if len(shape) > 1 or count * len(estimator._quantile_levels(net.loss)) != net.sizes[-1]:
            raise ValueError(f"targets of shape {shape} for the network {net}")
        estimator._set_targets(shape, _scale_of(tensors, "target_scaling_", count))
    layers = layers_from_tensors(tensors, net)
    if layers[0].W.ndim > 3:
        raise ValueError(f"W1 has shape {layers[0].W.shape}, and an estimator has one network or one row of them")
    estimator._set_network(net, layers, _scale_of(tensors, "scaling_", net.sizes[0]))
    for name in _RECORD:
        setattr(estimator, name, _record_of(name, header["record"][name]))
    return estimator


def _set_features(estimator: Any, header: Mapping[str, Any]) -> None:
    """Set the number of the features, and their names if there are any."""
    names, count = header["feature_names"], check_positive_integer(header["features"], "features")
    estimator.n_features_in_ = count
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("its feature_names are no list of texts")
    if names:
        if len(names) != count:
            raise ValueError(f"{len(names)} feature_names for {count} features")
        estimator.feature_names_in_ = np.array(names, dtype=object)


def _labels_of(net: Network, targets: Mapping[str, Any]) -> Labels:
    """Return the labels of a classifier, checked against its network."""
    values = from_json(targets["classes"])
    if not isinstance(targets["dtype"], str) or not isinstance(values, list) or not values:
        raise TypeError("its classes are no list with a dtype")
    dtype = np.dtype(targets["dtype"])
    if dtype.kind not in f"{_LABEL_KINDS}O" or dtype.itemsize > 4 * _widest(values):
        raise ValueError(f"its classes have the dtype {targets['dtype']!r}")
    classes = np.array(values, dtype=dtype)
    labels = Labels(classes, targets["kind"], check_flag(targets["sparse"], "sparse"))
    if classes.ndim != 1 or not np.array_equal(np.unique(classes), classes):
        raise ValueError("its classes are not in order, or stand there twice")
    output = {"binary": "sigmoid", "multiclass": "softmax", "multilabel": "sigmoid"}[labels.kind]
    if (labels.outputs, output) != (net.sizes[-1], net.output.name) or (labels.kind == "binary" and len(classes) > 2):
        raise ValueError(f"{len(classes)} classes ({labels.kind}) for the network {net}")
    return labels


def _widest(values: list[Any]) -> int:
    """Return the most characters that the dtype of an array of these labels may provide for."""
    return max([_WIDE, *(len(value) for value in values if isinstance(value, str))])


def _record_of(name: str, value: Any) -> Any:
    """Return an entry of the record, of the right type: history, curve, word, number or numbers."""
    if name == "history_":
        return history_from_json(value)
    entry = from_json(value)
    kinds: Any = str if name == "stopped_" else list if name.endswith(("_curve_", "_scores_")) else int | float | list
    if not isinstance(entry, kinds) and (entry is not None or name == "stopped_"):
        raise TypeError(f"{name} is {entry!r}")
    return entry


def _targets_to_json(estimator: Any) -> dict[str, Any]:
    if not isinstance(estimator, MLPClassifier):
        return {"shape": list(estimator._targets_shape)}
    classes, kind, sparse = estimator._labels
    if classes.dtype.kind not in _LABEL_KINDS and not all(isinstance(c, str) for c in classes.tolist()):
        raise NotStorableError(
            f"classes_ must be numbers or texts to be saved, got dtype {classes.dtype}: {classes[:3]!r}"
        )
    values, dtype = classes.tolist(), classes.dtype
    # `_labels_of` refuses a dtype that is much wider than the texts
    if dtype.kind == "U" and dtype.itemsize > 4 * _widest(values):
        dtype = np.array(values).dtype
    return {"classes": to_json(values), "dtype": str(dtype), "kind": kind, "sparse": bool(sparse)}


def _scale_of(tensors: Tensors, name: str, rows: int) -> InputScale | None:
    if f"{name}.mean" not in tensors:
        return None
    scale = InputScale(tensors[f"{name}.mean"], tensors[f"{name}.deviation"])
    for part, array in scale._asdict().items():
        if array.shape != (rows, 1):
            raise ValueError(f"{name}.{part} must have shape {(rows, 1)}, got {array.shape}")
    return scale


def _parts_of_pack(pack: Any) -> tuple[dict[str, Any], Tensors]:
    groups: list[dict[str, Any]] = []
    tensors: Tensors = {}
    for k, (view, estimator, weights) in enumerate(pack.groups_):
        header, arrays = to_parts(estimator)
        groups.append({"map": view.name, "estimator": header})
        own = {f"map.{name}": array for name, array in view.to_tensors().items()}
        tensors |= {f"{k}.{name}": array for name, array in {**arrays, **own, "weights": weights}.items()}
    seed = pack.random_state
    header = {
        "kind": "pack",
        "parameters": {
            "n_networks": pack.n_networks,
            "maps": list(pack.maps),
            "validation_fraction": pack.validation_fraction,
            **({} if pack.refit else {"refit": False}),  # files from before it have none
            "random_state": seed if isinstance(seed, int) else None,
            **({"class_weight": to_json(pack.class_weight)} if isinstance(pack, PackClassifier) else {}),
        },
        "found": [[name, weights] for name, weights in pack.found_],
        "stopped": pack.stopped_,
        "groups": groups,
    }
    return header, tensors


def _pack_from_parts(
    header: dict[str, Any], tensors: Tensors, backend: str | Backend | None, custom: Sequence[Pair]
) -> Any:
    given = header["parameters"]
    more = {"class_weight": from_json(given["class_weight"])} if "class_weight" in given else {}
    pack = _PACKS[header["class"]](**{**given, **more, "maps": tuple(given["maps"]), "backend": backend})
    pack._check_parameters()
    _set_features(pack, header)
    pack.found_ = [(check_text(name, "found"), list(map(float, weights))) for name, weights in header["found"]]
    pack.stopped_ = check_text(header["stopped"], "stopped")
    kinds = [(group["estimator"]["class"], group["estimator"]["targets"]) for group in header["groups"]]
    if not kinds or any(kind != (header["class"].replace("Pack", "MLP"), kinds[0][1]) for kind in kinds):
        raise ValueError("its groups do not predict the same")
    groups = []
    for k, group in enumerate(header["groups"]):
        own = {name.removeprefix(f"{k}."): array for name, array in tensors.items() if name.startswith(f"{k}.")}
        estimator = _estimator_from_parts(group["estimator"], own, backend, custom)
        arrays = {name.removeprefix("map."): array for name, array in own.items() if name.startswith("map.")}
        view, weights, W = FeatureMap.from_tensors(group["map"], arrays), own["weights"], estimator.coefs_[0]
        if weights.shape != W.shape[:1] or not (np.isfinite(weights) & (weights >= 0)).all():
            raise ValueError(f"weights of shape {weights.shape} for {len(W)} networks")
        groups.append(Group(view, estimator, weights))
        count = view(np.zeros((1, pack.n_features_in_))).shape[1]
        if count != estimator.n_features_in_:
            raise ValueError(f"its map has {count} features for a network of {estimator.n_features_in_}")
    kept = [(name, some) for name, weights in pack.found_ if (some := [w for w in weights if w])]
    if kept != [(group.name, group.weights.tolist()) for group in groups] or not {n for n, _ in pack.found_} <= NAMES:
        raise ValueError("its found are not the weights of its networks")
    if abs(sum(group.weights.sum() for group in groups) - 1) > _ROUNDING:
        raise ValueError("the weights of its networks do not sum to 1")
    pack._set_groups(groups)
    return pack


def _parts_of_table(model: Any) -> tuple[dict[str, Any], Tensors]:
    estimator, tensors = to_parts(model.estimator)
    header = {
        "kind": "table",
        "preparation": model.preparation.to_json(),
        "target": model.target.to_json(),
        "about": model.about,
        "estimator": estimator,
    }
    return header, tensors


def _table_from_parts(header: dict[str, Any], estimator: Any) -> Any:
    from vecprop.tabular.model import TableModel  # needs polars, as no other model does
    from vecprop.tabular.preparation import Preparation
    from vecprop.tabular.targets import Target

    preparation = Preparation.from_json(header["preparation"])
    if len(preparation.features) != estimator.n_features_in_:
        raise ValueError(f"{len(preparation.features)} features for a network of {estimator.n_features_in_}")
    about = header["about"]
    if not isinstance(about, dict):
        raise TypeError("its about is no object")
    classes = getattr(estimator, "classes_", None)
    return TableModel(preparation, Target.from_json(header["target"], classes), estimator, about)
