"""A fitted estimator as the header and tensors of a model file, and back."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from vecprop.backend.contract import Backend, to_host
from vecprop.estimators.classifier import MLPClassifier
from vecprop.estimators.labels import Labels
from vecprop.estimators.parameters import check_parameters
from vecprop.estimators.regressor import MLPRegressor
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
from vecprop.utils.arguments import check_flag, check_positive_integer
from vecprop.utils.tensor_file import Tensors

Estimator = MLPClassifier | MLPRegressor
CLASSES: dict[str, type[Any]] = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
RECORD = (
    "n_iter_", "t_", "loss_", "best_loss_", "loss_curve_", "validation_loss_curve_", "validation_scores_",
    "best_validation_score_", "history_", "stopped_",
)  # fmt: skip
# Not saved, as a model may be loaded elsewhere: there the active backend counts, and paths mean nothing.
_LEFT_OUT = ("backend", "devices", "checkpoint", "resume")
_LABEL_KINDS = "biufU"
_WIDE = 1024


def to_parts(estimator: Any) -> tuple[dict[str, Any], Tensors]:
    """Return the header and tensors of a fitted estimator; warn of what a file cannot hold."""
    check_is_fitted(estimator)
    if CLASSES.get(type(estimator).__name__) is not type(estimator):
        raise TypeError(
            f"model is a {type(estimator).__name__}, a class of your own, which `load` could not make again: save a "
            "MLPClassifier or MLPRegressor"
        )
    check_parameters(estimator)  # parameters that `from_parts` would refuse are not saved
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
            stacklevel=4,
        )
    header = {
        "kind": "estimator",
        "class": type(estimator).__name__,
        "parameters": parameters,
        "network": network_to_json(estimator.network_),
        "features": estimator.n_features_in_,
        "feature_names": to_json([str(name) for name in getattr(estimator, "feature_names_in_", [])]),
        "record": {name: to_json(getattr(estimator, name)) for name in RECORD},
        "targets": _targets_to_json(estimator),
        "custom_output": isinstance(estimator.network_.output, Custom),
    }
    tensors = layers_to_tensors(estimator.params_)
    for name in ("scaling_", "target_scaling_"):
        if (scale := getattr(estimator, name, None)) is not None:
            tensors |= {f"{name}.{part}": to_host(array) for part, array in scale._asdict().items()}
    return header, tensors


def from_parts(
    header: dict[str, Any], tensors: Tensors, backend: str | Backend | None, custom: Sequence[Pair]
) -> Estimator:
    """Return the estimator of a header and tensors."""
    net = network_from_json(header["network"], custom)
    parameters = {name: from_json(value, custom) for name, value in header["parameters"].items()}
    if parameters["activation"] is None:
        parameters["activation"] = list(net.hidden)
    if header["custom_output"]:
        parameters["out_activation"] = net.output
    estimator: Any = CLASSES[header["class"]](**{**parameters, "backend": backend})
    check_parameters(estimator)
    set_features(estimator, header)
    if estimator.n_features_in_ != net.sizes[0]:
        raise ValueError(f"{estimator.n_features_in_} features for the network {net}")
    if isinstance(estimator, MLPClassifier):
        estimator._set_labels(_labels_of(net, header["targets"]))
    else:
        _set_targets(estimator, net, header["targets"]["shape"], tensors)
    layers = layers_from_tensors(tensors, net)
    if layers[0].W.ndim > 3:
        raise ValueError(f"W1 has shape {layers[0].W.shape}, and an estimator has one network or one row of them")
    estimator._set_network(net, layers, _scale_of(tensors, "scaling_", net.sizes[0]))
    for name in RECORD:
        setattr(estimator, name, _record_of(name, header["record"][name]))
    return estimator  # type: ignore[no-any-return]


def set_features(estimator: Any, header: Mapping[str, Any]) -> None:
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


def _set_targets(estimator: Any, net: Network, shape: Any, tensors: Tensors) -> None:
    """Set the shape of a regressor's targets, and their scale."""
    counts = [check_positive_integer(n, "shape") for n in shape]
    count = counts[0] if counts else 1
    if len(counts) > 1 or count * len(estimator._quantile_levels(net.loss)) != net.sizes[-1]:
        raise ValueError(f"targets of shape {tuple(counts)} for the network {net}")
    estimator._set_targets(tuple(counts), _scale_of(tensors, "target_scaling_", count))


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
    # `from_parts` refuses a dtype that is much wider than the texts
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
