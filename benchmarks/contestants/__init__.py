"""Who takes part, in a file for each library, which imports it when it is used; public tables have one of their own."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

# Both are read when the library is imported. JAX would take three quarters of a GPU at its first use.
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

from benchmarks.contestants import keras, onnxruntime, optax, sklearn, tables, torch
from benchmarks.contestants import vecprop as ours
from benchmarks.contestants.base import Predictor, TimeToAccuracy
from benchmarks.contestants.files import FileTrainer, Reading, WindowTrainer
from benchmarks.harness.workloads import WORKLOADS


def like(kind: type, **different: Any) -> type:
    """Return a kind of contestants that differs from another in some attributes."""
    return type(kind.__name__, (kind,), different)


def on(backend: str, kind: type, **different: Any) -> type:
    """Return a kind of contestants of vecprop on a backend."""
    return like(kind, backend=backend, **different)


framed = partial(like, tables.WithFrames)
Kinds = dict[str, Callable[..., Any]]
TRAINERS: Kinds = {
    "sklearn": sklearn.SklearnTrainer, "torch": torch.TorchTrainer, "torch-fused": like(torch.TorchTrainer, fused=True),
    "torch-compile": torch.TorchCompiledTrainer, "torch-graph": torch.TorchGraphTrainer, "keras": keras.KerasTrainer,
    "optax-step": optax.OptaxStepTrainer, "optax-scan": optax.OptaxScanTrainer,
}  # fmt: skip
PRODUCTS: Kinds = {"products-numpy": ours.ProductsTrainer, "products-jax": ours.ProductsJaxTrainer}
_SEVERAL_WAYS = ("torch-fused", "torch-compile", "torch-graph")
# for each part the kinds of vecprop, of which there is one for each backend, and the others
OURS_AND_OTHERS: dict[str, tuple[Kinds, Kinds]] = {
    "steps": ({"vecprop": ours.VecpropTrainer}, PRODUCTS | TRAINERS),
    "networks": (
        {"vecprop": ours.StackTrainer, "shared": ours.SharedStackTrainer, "singles": ours.SinglesTrainer},
        PRODUCTS | {"optax-vmap": optax.OptaxStackTrainer},
    ),
    "gradient": (
        {"vecprop": ours.VecpropPass},
        {"plain-numpy": ours.PlainNumpyPass, "torch": torch.TorchPass, "jax": optax.JaxPass},
    ),
    "accuracy": ({"vecprop": ours.VecpropTrainer}, {n: k for n, k in TRAINERS.items() if n not in _SEVERAL_WAYS}),
    "predictions": (
        {"vecprop": ours.EstimatorPredictor},
        {
            "sklearn": like(Predictor, predictor=staticmethod(sklearn.predictor)),
            "torch": like(Predictor, predictor=staticmethod(torch.predictor)),
            "onnxruntime": like(Predictor, predictor=staticmethod(onnxruntime.predictor)),
        },
    ),
    "streaming": (
        {"vecprop": WindowTrainer} | {e: on("numpy", FileTrainer, ending=e) for e in ("npy", "arrow", "parquet")},
        {"reading": Reading},
    ),
    "estimators": (
        {"vecprop": on("numpy", sklearn.CrossValidated, library="vecprop.estimators")},
        {"sklearn": sklearn.CrossValidated},
    ),
    "tables": ({"vecprop": tables.VecpropTables, "quick": like(tables.VecpropTables, settings={"networks": 4})}, {
        "linear": like(tables.VecpropTables, settings={"linear": True}), "sklearn": tables.MLPOnTables,
        "histogram": framed(needs=("sklearn.ensemble",), name="HistGradientBoosting"),
        "lightgbm": framed(needs=("lightgbm",), name="LGBM", options={"verbose": -1, "n_jobs": 1}),
        "catboost": tables.CatBoost,
        "xgboost": framed(needs=("xgboost",), name="XGB", options={"enable_categorical": True, "n_jobs": 1}),
        "realmlp": tables.RealMLP,
    }),
}  # fmt: skip
OURS_AND_OTHERS["unseen-tables"] = OURS_AND_OTHERS["tables"]
# who takes part only if asked: what computes on the host is no measure of a device, nor the other way round
NOT_BY_DEFAULT = {
    "cpu": ("torch-graph",),
    "gpu": ("sklearn", "keras", "optax-step", "plain-numpy", *PRODUCTS),
}


def contestants(work: Any, backends: Sequence[str]) -> Kinds:
    """Return who can take part in a workload, by name."""
    own, others = OURS_AND_OTHERS[work.part]
    found = {f"{name}-{b}": on(b, kind) for b in backends for name, kind in own.items()} | others
    return {n: partial(TimeToAccuracy, k) for n, k in found.items()} if work.part == "accuracy" else found


def everybody() -> list[str]:
    """Return the names of all who can take part in anything."""
    known = (contestants(work, ("numpy", "cupy", "jax")) for work in WORKLOADS.values())
    return list(dict.fromkeys(name for kinds in known for name in kinds))
