"""Who takes part: one file for each library, which imports it when it is used."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

# Both are read when the library is imported. JAX would take three quarters of a GPU at its first use.
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

from benchmarks.contestants import vecprop as ours
from benchmarks.contestants.base import TimeToAccuracy
from benchmarks.contestants.catboost import CatBoost
from benchmarks.contestants.estimators import CrossValidated
from benchmarks.contestants.files import FileTrainer, Reading, WindowTrainer
from benchmarks.contestants.keras import KerasTrainer
from benchmarks.contestants.lightgbm import LightGBM
from benchmarks.contestants.onnxruntime import OnnxPredictor
from benchmarks.contestants.optax import JaxPass, OptaxScanTrainer, OptaxStackTrainer, OptaxStepTrainer
from benchmarks.contestants.pytabkit import RealMLP
from benchmarks.contestants.sklearn import HistogramBoosting, MLPOnTables, SklearnPredictor, SklearnTrainer
from benchmarks.contestants.tables import VecpropLinear, VecpropQuick, VecpropTables
from benchmarks.contestants.torch import (
    TorchCompiledTrainer,
    TorchFusedTrainer,
    TorchGraphTrainer,
    TorchPass,
    TorchPredictor,
    TorchTrainer,
)
from benchmarks.contestants.xgboost import XGBoost
from benchmarks.harness.workloads import WORKLOADS

TRAINERS = {
    "sklearn": SklearnTrainer, "torch": TorchTrainer, "torch-fused": TorchFusedTrainer,
    "torch-compile": TorchCompiledTrainer, "torch-graph": TorchGraphTrainer, "keras": KerasTrainer,
    "optax-step": OptaxStepTrainer, "optax-scan": OptaxScanTrainer,
}  # fmt: skip
PRODUCTS = {"products-numpy": ours.ProductsTrainer, "products-jax": ours.ProductsJaxTrainer}
PASSES = {"plain-numpy": ours.PlainNumpyPass, "torch": TorchPass, "jax": JaxPass}
PREDICTORS = {"sklearn": SklearnPredictor, "torch": TorchPredictor, "onnxruntime": OnnxPredictor}
STACKS = {"vecprop": ours.StackTrainer, "shared": ours.SharedStackTrainer, "singles": ours.SinglesTrainer}
ON_TABLES = {
    "linear": VecpropLinear, "sklearn": MLPOnTables, "histogram": HistogramBoosting,
    "lightgbm": LightGBM, "catboost": CatBoost, "xgboost": XGBoost, "realmlp": RealMLP,
}  # fmt: skip
# who takes part only if asked: what computes on the host is no measure of a device, nor the other way round
NOT_BY_DEFAULT = {
    "cpu": ("torch-graph",),
    "gpu": ("sklearn", "keras", "optax-step", "plain-numpy", *PRODUCTS),
}


def on(backend: str, kind: type, **more: str) -> type:
    """Return a contestant of vecprop on a backend."""
    return type(f"{kind.__name__}{backend.title()}", (kind,), {"backend": backend, **more})


def contestants(work: Any, backends: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """Return who can take part in a workload, by name."""
    if work.part == "networks":
        own = {f"{name}-{b}": on(b, kind) for b in backends for name, kind in STACKS.items()}
        return own | PRODUCTS | {"optax-vmap": OptaxStackTrainer}
    if work.part == "gradient":
        return {f"vecprop-{b}": on(b, ours.VecpropPass) for b in backends} | PASSES
    if work.part == "predictions":
        return {f"vecprop-{b}": on(b, ours.EstimatorPredictor) for b in backends} | PREDICTORS
    if work.part == "streaming":
        files = {
            f"{kind}-{b}": on(b, FileTrainer, ending=kind) for b in backends for kind in ("npy", "arrow", "parquet")
        }
        return {f"vecprop-{b}": on(b, WindowTrainer) for b in backends} | files | {"reading": Reading}
    if work.part == "estimators":
        own = {f"vecprop-{b}": partial(CrossValidated, "vecprop.estimators", {"backend": b}) for b in backends}
        return own | {"sklearn": partial(CrossValidated, "sklearn.neural_network", {})}
    if work.part == "tables":
        kinds = {"vecprop": VecpropTables, "quick": VecpropQuick}
        return {f"{name}-{b}": on(b, kind) for b in backends for name, kind in kinds.items()} | ON_TABLES
    own = {f"vecprop-{b}": on(b, ours.VecpropTrainer) for b in backends}
    if work.part == "steps":
        return own | PRODUCTS | TRAINERS
    several_ways = ("torch-fused", "torch-compile", "torch-graph")
    return {name: partial(TimeToAccuracy, k) for name, k in (own | TRAINERS).items() if name not in several_ways}


def everybody(backends: Sequence[str] = ("numpy", "cupy", "jax")) -> list[str]:
    """Return the names of all who can take part in anything."""
    return list(dict.fromkeys(name for work in WORKLOADS.values() for name in contestants(work, backends)))
