"""vecprop: vectorized forward and backward propagation of a neural network, hand-derived, written once.

>>> import vecprop as vp
>>> X, Y = vp.datasets.flower()
>>> net = vp.Network((2, 4, 1), hidden="tanh", output="sigmoid")
>>> net.forward(net.init(seed=0), X.astype("float32")).shape
(1, 400)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vecprop import activations, initializers, losses, propagation, rungs
from vecprop.activations import Activation
from vecprop.backend import Backend
from vecprop.errors import (
    BackendError,
    BackendNotInstalledError,
    BackendUnusableError,
    CallbackError,
    DivergenceError,
    ModelFileError,
    OutOfMemoryError,
    ProcessLostError,
    UnknownBackendError,
    VecpropError,
)
from vecprop.losses import Loss
from vecprop.network import Network
from vecprop.propagation import Layer
from vecprop.selection import backends, get_backend, get_precision, use_backend, use_precision
from vecprop.validation import gradient_norms

if TYPE_CHECKING:
    from vecprop import datasets, distributed, estimators, metrics, plots
    from vecprop.checking import GradientReport, check_gradients, numeric_gradient
    from vecprop.diagnosis import Diagnosis, diagnose
    from vecprop.explanation import Explanation, explain
    from vecprop.files import load, save
    from vecprop.onnx_export import export_onnx
    from vecprop.optimizers import SGD, Adam, AdamW, GradientDescent, Momentum, RMSProp
    from vecprop.quasi_newton import LBFGS
    from vecprop.results import FitResult, TrainingState
    from vecprop.schedules import Constant, Cosine, ExponentialDecay, InverseScaling, ReduceOnPlateau, StepDecay
    from vecprop.stopping import EarlyStopping
    from vecprop.streaming import rows
    from vecprop.torch_interchange import from_torch, to_torch
    from vecprop.training import fit

__version__ = "0.1.0"

# Not needed to compute a pass: loaded when they are first used, so that the import stays quick.
_MODULES = ("datasets", "distributed", "estimators", "metrics", "plots", "tabular")
_NAMES = {
    "checking": ("GradientReport", "check_gradients", "numeric_gradient"),
    "diagnosis": ("Diagnosis", "diagnose"),
    "explanation": ("Explanation", "explain"),
    "files": ("load", "save"),
    "onnx_export": ("export_onnx",),
    "optimizers": ("SGD", "Adam", "AdamW", "GradientDescent", "Momentum", "RMSProp"),
    "quasi_newton": ("LBFGS",),
    "results": ("FitResult", "TrainingState"),
    "schedules": ("Constant", "Cosine", "ExponentialDecay", "InverseScaling", "ReduceOnPlateau", "StepDecay"),
    "stopping": ("EarlyStopping",),
    "streaming": ("rows",),
    "torch_interchange": ("from_torch", "to_torch"),
    "training": ("fit",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "LBFGS",
    "SGD",
    "Activation",
    "Adam",
    "AdamW",
    "Backend",
    "BackendError",
    "BackendNotInstalledError",
    "BackendUnusableError",
    "CallbackError",
    "Constant",
    "Cosine",
    "Diagnosis",
    "DivergenceError",
    "EarlyStopping",
    "Explanation",
    "ExponentialDecay",
    "FitResult",
    "GradientDescent",
    "GradientReport",
    "InverseScaling",
    "Layer",
    "Loss",
    "ModelFileError",
    "Momentum",
    "Network",
    "OutOfMemoryError",
    "ProcessLostError",
    "RMSProp",
    "ReduceOnPlateau",
    "StepDecay",
    "TrainingState",
    "UnknownBackendError",
    "VecpropError",
    "__version__",
    "activations",
    "backends",
    "check_gradients",
    "datasets",
    "diagnose",
    "distributed",
    "estimators",
    "explain",
    "export_onnx",
    "fit",
    "from_torch",
    "get_backend",
    "get_precision",
    "gradient_norms",
    "initializers",
    "load",
    "losses",
    "metrics",
    "numeric_gradient",
    "plots",
    "propagation",
    "rows",
    "rungs",
    "save",
    "tabular",
    "to_torch",
    "use_backend",
    "use_precision",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"vecprop.{name}")
    if name in _HOME:
        value = getattr(import_module(f"vecprop.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'vecprop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_HOME})
