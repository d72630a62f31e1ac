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
from vecprop.checking import GradientReport, check_gradients, numeric_gradient
from vecprop.errors import (
    BackendError,
    BackendNotInstalledError,
    BackendUnusableError,
    DivergenceError,
    UnknownBackendError,
    VecpropError,
)
from vecprop.losses import Loss
from vecprop.network import Network
from vecprop.optimizers import GradientDescent
from vecprop.propagation import Layer, gradient_norms
from vecprop.selection import backends, get_backend, get_precision, use_backend, use_precision
from vecprop.training import FitResult, fit

if TYPE_CHECKING:
    from vecprop import datasets, plots

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "Backend",
    "BackendError",
    "BackendNotInstalledError",
    "BackendUnusableError",
    "DivergenceError",
    "FitResult",
    "GradientDescent",
    "GradientReport",
    "Layer",
    "Loss",
    "Network",
    "UnknownBackendError",
    "VecpropError",
    "__version__",
    "activations",
    "backends",
    "check_gradients",
    "datasets",
    "fit",
    "get_backend",
    "get_precision",
    "gradient_norms",
    "initializers",
    "losses",
    "numeric_gradient",
    "plots",
    "propagation",
    "rungs",
    "use_backend",
    "use_precision",
]

# Not needed to compute: loaded when they are first used, so that the import stays quick.
_LAZY = ("datasets", "plots")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return import_module(f"vecprop.{name}")
    raise AttributeError(f"module 'vecprop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
