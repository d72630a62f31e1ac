"""vecprop: vectorized, hand-derived forward and backward propagation of neural networks.

>>> import vecprop as vp
>>> X, Y = vp.datasets.flower()
>>> net = vp.Network((2, 4, 1), hidden="tanh", output="sigmoid")
>>> net.forward(net.init(seed=0), X.astype("float32")).shape
(1, 400)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vecprop import propagation, rungs
from vecprop._version import __version__
from vecprop.backend.contract import Backend
from vecprop.backend.selection import backends, get_backend, get_precision, use_backend, use_precision
from vecprop.nn import activations, initializers, losses
from vecprop.nn.activations import Activation
from vecprop.nn.array_checks import gradient_norms
from vecprop.nn.losses import Loss
from vecprop.nn.network import Network
from vecprop.propagation import Layer
from vecprop.utils.errors import (
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

if TYPE_CHECKING:
    from vecprop import estimators
    from vecprop.backend import distributed
    from vecprop.data import datasets
    from vecprop.data.streaming import rows
    from vecprop.export.files import load, save
    from vecprop.export.onnx_export import export_onnx
    from vecprop.export.pytorch import from_torch, to_torch
    from vecprop.inspection import plots
    from vecprop.inspection.diagnosis import Diagnosis, diagnose
    from vecprop.inspection.explanation import Explanation, explain
    from vecprop.inspection.gradient_check import GradientReport, check_gradients, numeric_gradient
    from vecprop.nn import metrics
    from vecprop.training.fitting import fit
    from vecprop.training.optimizers import LBFGS, SGD, Adam, AdamW, GradientDescent, Momentum, RMSProp
    from vecprop.training.results import FitResult, TrainingState
    from vecprop.training.schedules import (
        Constant,
        Cosine,
        ExponentialDecay,
        InverseScaling,
        ReduceOnPlateau,
        StepDecay,
    )
    from vecprop.training.stopping import EarlyStopping

# Not needed for a pass, and loaded when first used, so that `import vecprop` is quick.
_MODULES = {
    "datasets": "data.datasets",
    "distributed": "backend.distributed",
    "estimators": "estimators",
    "metrics": "nn.metrics",
    "plots": "inspection.plots",
    "tabular": "tabular",
}
_NAMES = {
    "data.streaming": ("rows",),
    "export.files": ("load", "save"),
    "export.onnx_export": ("export_onnx",),
    "export.pytorch": ("from_torch", "to_torch"),
    "inspection.diagnosis": ("Diagnosis", "diagnose"),
    "inspection.explanation": ("Explanation", "explain"),
    "inspection.gradient_check": ("GradientReport", "check_gradients", "numeric_gradient"),
    "training.fitting": ("fit",),
    "training.optimizers": ("LBFGS", "SGD", "Adam", "AdamW", "GradientDescent", "Momentum", "RMSProp"),
    "training.results": ("FitResult", "TrainingState"),
    "training.schedules": ("Constant", "Cosine", "ExponentialDecay", "InverseScaling", "ReduceOnPlateau", "StepDecay"),
    "training.stopping": ("EarlyStopping",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "LBFGS", "SGD", "Activation", "Adam", "AdamW", "Backend", "BackendError", "BackendNotInstalledError",
    "BackendUnusableError", "CallbackError", "Constant", "Cosine", "Diagnosis", "DivergenceError", "EarlyStopping",
    "Explanation", "ExponentialDecay", "FitResult", "GradientDescent", "GradientReport", "InverseScaling", "Layer",
    "Loss", "ModelFileError", "Momentum", "Network", "OutOfMemoryError", "ProcessLostError", "RMSProp",
    "ReduceOnPlateau", "StepDecay", "TrainingState", "UnknownBackendError", "VecpropError", "__version__",
    "activations", "backends", "check_gradients", "datasets", "diagnose", "distributed", "estimators", "explain",
    "export_onnx", "fit", "from_torch", "get_backend", "get_precision", "gradient_norms", "initializers", "load",
    "losses", "metrics", "numeric_gradient", "plots", "propagation", "rows", "rungs", "save", "tabular", "to_torch",
    "use_backend", "use_precision",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"vecprop.{_MODULES[name]}")
    if name in _HOME:
        value = getattr(import_module(f"vecprop.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'vecprop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_HOME})
