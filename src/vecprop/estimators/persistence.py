"""A fitted estimator as a header and tensors, and back: what a model file holds of it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from vecprop.activations import Custom
from vecprop.backend import Backend, to_host
from vecprop.codec import NotStorableError, Pair, from_json, network_from_json, network_to_json, to_json
from vecprop.estimators.classifier import MLPClassifier
from vecprop.estimators.labels import Labels
from vecprop.estimators.regressor import MLPRegressor
from vecprop.files import Tensors, layers_from_tensors, layers_to_tensors
from vecprop.normalization import InputScale

Estimator = MLPClassifier | MLPRegressor
CLASSES: dict[str, type[Any]] = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
RECORD = (
    "n_iter_",
    "t_",
    "loss_",
    "best_loss_",
    "loss_curve_",
    "validation_loss_curve_",
    "validation_scores_",
    "best_validation_score_",
    "history_",
    "stopped_",
)
# A model is to load wherever it goes: what decides there is the active backend, and its paths are of no use.
_LEFT_OUT = ("backend", "checkpoint", "resume")
_LABEL_KINDS = "biufU"
# Pairs of functions are parameters that a file cannot hold; the network's specification has their places.
_IN_THE_NETWORK = ("activation", "out_activation")


def to_parts(estimator: Any) -> tuple[dict[str, Any], Tensors]:
    """Return the header and the tensors of a fitted estimator; a warning names what a file cannot hold."""
    check_is_fitted(estimator)
    if CLASSES.get(type(estimator).__name__) is not type(estimator):
        raise TypeError(
            f"model is a {type(estimator).__name__}, a class of your own, which `load` could not make again: save a "
            "MLPClassifier or MLPRegressor"
        )
    parameters, lost = {}, []
    for name, value in estimator.get_params(deep=False).items():
        try:
            parameters[name] = None if name in _LEFT_OUT else _parameter_to_json(name, value)
        except NotStorableError:
            parameters[name] = None
            if name not in _IN_THE_NETWORK:
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
    for name, scale in _scales(estimator).items():
        if scale is not None:
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
    estimator.n_features_in_ = int(header["features"])
    if header["feature_names"]:
        estimator.feature_names_in_ = np.array(header["feature_names"], dtype=object)
    targets = header["targets"]
    if isinstance(estimator, MLPClassifier):
        classes = np.array(from_json(targets["classes"]), dtype=targets["dtype"])
        estimator._set_labels(Labels(classes, targets["kind"], bool(targets["sparse"])))
    else:
        estimator._set_targets(tuple(targets["shape"]), _scale_of(tensors, "target_scaling_"))
    estimator._set_network(net, layers_from_tensors(tensors, net), _scale_of(tensors, "scaling_"))
    for name in RECORD:
        setattr(estimator, name, from_json(header["record"][name]))
    return estimator  # type: ignore[no-any-return]


def _parameter_to_json(name: str, value: Any) -> Any:
    if name == "dtype" and value is not None:
        return str(np.dtype(value))
    return to_json(value.tolist() if isinstance(value, np.ndarray) else value)


def _targets_to_json(estimator: Any) -> dict[str, Any]:
    if not isinstance(estimator, MLPClassifier):
        return {"shape": list(estimator._targets_shape)}
    classes, kind, sparse = estimator._labels
    if classes.dtype.kind not in _LABEL_KINDS and not all(isinstance(c, str) for c in classes.tolist()):
        raise NotStorableError(
            f"classes_ must be numbers or texts to be saved, got dtype {classes.dtype}: {classes[:3]!r}"
        )
    return {"classes": to_json(classes.tolist()), "dtype": str(classes.dtype), "kind": kind, "sparse": sparse}


def _scales(estimator: Any) -> dict[str, InputScale | None]:
    return {name: getattr(estimator, name, None) for name in ("scaling_", "target_scaling_")}


def _scale_of(tensors: Tensors, name: str) -> InputScale | None:
    if f"{name}.mean" not in tensors:
        return None
    return InputScale(tensors[f"{name}.mean"], tensors[f"{name}.deviation"])
