"""Who takes part: vecprop, scikit-learn, PyTorch, Keras, JAX with optax; one file for each, which imports it when used."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

# Both are read when the library is imported. JAX would take three quarters of a GPU at its first use.
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

from benchmarks.contestants import vecprop as ours
from benchmarks.contestants.base import TimeToAccuracy
from benchmarks.contestants.keras import KerasTrainer
from benchmarks.contestants.optax import JaxPass, OptaxScanTrainer, OptaxStepTrainer
from benchmarks.contestants.sklearn import SklearnTrainer
from benchmarks.contestants.torch import (
    TorchCompiledTrainer,
    TorchFusedTrainer,
    TorchGraphTrainer,
    TorchPass,
    TorchTrainer,
)
from benchmarks.harness.workloads import WORKLOADS, Accuracy, Ensemble, FullGradient

TRAINERS = {
    "sklearn": SklearnTrainer,
    "torch": TorchTrainer,
    "torch-fused": TorchFusedTrainer,
    "torch-compile": TorchCompiledTrainer,
    "torch-graph": TorchGraphTrainer,
    "keras": KerasTrainer,
    "optax-step": OptaxStepTrainer,
    "optax-scan": OptaxScanTrainer,
}
PRODUCTS = {"products-numpy": ours.ProductsTrainer, "products-jax": ours.ProductsJaxTrainer}
PASSES = {"plain-numpy": ours.PlainNumpyPass, "torch": TorchPass, "jax": JaxPass}
STACKS = {"vecprop": ours.StackTrainer, "shared": ours.SharedStackTrainer, "singles": ours.SinglesTrainer}
# who takes part only if asked: what computes on the host is no measure of a device, nor the other way round
NOT_BY_DEFAULT = {
    "cpu": ("torch-graph",),
    "gpu": ("sklearn", "keras", "optax-step", "plain-numpy", *PRODUCTS),
}


def on(backend: str, kind: type) -> type:
    """Return a contestant of vecprop on a backend."""
    return type(f"{kind.__name__}{backend.title()}", (kind,), {"backend": backend})


def contestants(work: Any, backends: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """Return who can take part in a workload, by name."""
    if isinstance(work, Ensemble):
        return {f"{name}-{b}": on(b, kind) for b in backends for name, kind in STACKS.items()}
    kind = ours.VecpropPass if isinstance(work, FullGradient) else ours.VecpropTrainer
    own: dict[str, Any] = {f"vecprop-{b}": on(b, kind) for b in backends}
    if isinstance(work, FullGradient):
        return own | PASSES
    if isinstance(work, Accuracy):
        several_ways = ("torch-fused", "torch-compile", "torch-graph")
        others = {name: kind for name, kind in TRAINERS.items() if name not in several_ways}
        return {name: partial(TimeToAccuracy, kind) for name, kind in (own | others).items()}
    return own | PRODUCTS | TRAINERS


def everybody(backends: Sequence[str] = ("numpy", "cupy", "jax")) -> list[str]:
    """Return the names of all who can take part in anything."""
    return list(dict.fromkeys(name for work in WORKLOADS.values() for name in contestants(work, backends)))
