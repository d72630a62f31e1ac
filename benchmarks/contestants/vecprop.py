"""vecprop itself through its public functions, the bare matrix products of its step, and plain NumPy."""

import statistics
import time
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import vecprop as vp
from benchmarks.contestants import base
from benchmarks.contestants.base import Contestant, Pairs, Predictor, Timed
from benchmarks.harness.workloads import Examples
from vecprop.training.loop import most_epochs_a_call
from vecprop.training.optimizers import Adam


class VecpropTrainer(Contestant):
    """One `vp.fit`, timed by the clock around it, its checks and what it moves included."""

    backend = "numpy"
    seed: Any = 0

    def build(self) -> None:
        """Find the backend, and move the examples where they are to be there before the clock starts."""
        self.target, self.net = base.backend_or_unavailable(self.backend), self.work.network()
        self.X, self.Y = self.data.rows.T, self.data.columns
        if self.work.resident:
            begin = time.perf_counter()
            self.X, self.Y = (self.target.asarray(a, "float32") for a in (self.X, self.Y))
            for array in (self.X, self.Y):
                self.target.synchronize(array)
            self.transfer = time.perf_counter() - begin

    def fit(self, epochs: int, **arguments: Any) -> vp.FitResult:
        given = {"optimizer": Adam(1e-3), "batch_size": self.work.batch_size, "seed": self.seed, "dtype": "float32"}
        given |= {"epochs": epochs, "backend": self.backend, "precision": self.work.precision, "progress": False}
        return vp.fit(self.net, self.X, self.Y, **given | self.settings() | arguments)

    def settings(self) -> dict[str, Any]:
        """Return the settings that differ between several networks."""
        return {}

    def train(self, epochs: int) -> Timed:
        """Time whole compiled calls: the first, which compiles, tells its seconds, and is taken off the clock's."""
        work = self.work.m * self.net.parameter_count * self.work.networks
        each = most_epochs_a_call(self.target, self.work.steps, work)
        steady = max(2, -(-epochs // each)) * each
        begin = time.perf_counter()
        self.result = self.fit(steady + each)
        wall = time.perf_counter() - begin
        seconds = self.result.history["seconds"]
        first = sum(seconds[:each])
        return Timed((wall - first) / steady, statistics.median(seconds[each:]), first)

    def train_exactly(self, epochs: int, start: Pairs) -> Pairs:
        self.result = self.fit(epochs, params=start)
        return self.parameters()

    def epochs_until(self, wanted: float, most: int, test: Examples, seed: int) -> int | None:
        """One `fit` that a callback ends."""
        history = self.fit(
            most,
            seed=seed,
            validation=(test.rows.T, test.columns),
            metric="accuracy",
            callbacks=lambda state, history: history["metric"][-1] >= wanted,  # noqa: ARG005
        ).history
        return len(history["cost"]) if history["metric"][-1] >= wanted else None

    def parameters(self) -> Pairs:
        return [(self.target.to_numpy(W), self.target.to_numpy(b)) for W, b in self.result.params]


class StackTrainer(VecpropTrainer):
    """K networks in one stack, each from its seed and with its own order of the examples."""

    def build(self) -> None:
        super().build()
        self.seed = range(self.work.networks)

    def settings(self) -> dict[str, Any]:
        return {"optimizer": Adam(self.work.rates), "l2": self.work.penalties} if self.work.tuned else {}


class SharedStackTrainer(VecpropTrainer):
    """K networks in one stack, from one seed with one order of the examples, each with its learning rate."""

    one_order = True

    def settings(self) -> dict[str, Any]:
        """Return K learning rates, all 1e-3 unless the workload says otherwise."""
        return {"optimizer": Adam(self.work.rates), "l2": self.work.penalties if self.work.tuned else 0.0}


class SinglesTrainer(VecpropTrainer):
    """K networks one after the other, each with a `fit` of its own: some of them, multiplied up."""

    trained = 8

    def settings(self) -> dict[str, Any]:
        return {"optimizer": Adam(self.work.rates[self.seed]), "l2": self.work.penalties[self.seed]}

    def train(self, epochs: int) -> Timed:
        times = []
        for seed in range(min(self.trained, self.work.networks)):
            self.seed = seed
            times.append(super().train(epochs))
        factor = self.work.networks / len(times)
        seconds, history = (factor * sum(column) for column in list(zip(*times, strict=True))[:2])
        return Timed(seconds, history, times[0].first)

    def train_exactly(self, epochs: int, start: Pairs) -> Pairs:
        """Return the parameters of the first three networks, as a stack."""
        each = []
        for seed in range(min(3, self.work.networks)):
            self.seed = seed
            each.append(super().train_exactly(epochs, [(W[seed], b[seed]) for W, b in start]))
        return base.stacked(each)


class VecpropPass(Contestant):
    """`Network.gradients`, with everything it chooses by itself."""

    backend = "numpy"

    def build(self) -> None:
        self.target, self.net = base.backend_or_unavailable(self.backend), self.work.network()
        move = self.target.asarray
        self.params = tuple((move(W), move(b)) for W, b in self.start)
        self.X, self.Y = move(np.ascontiguousarray(self.data.rows.T)), move(self.data.columns)

    def epoch(self, number: int) -> None:  # noqa: ARG002
        self.cost, self.last = self.net.gradients(self.params, self.X, self.Y)
        for layer in self.last:
            self.target.synchronize(layer.W)

    def parameters(self) -> Pairs:
        return [tuple(self.target.to_numpy(a) for a in layer) for layer in self.last]


class PlainNumpyPass(Contestant):
    """NumPy, line by line as the equations stand: what one writes down first. Two layers, tanh and sigmoid."""

    def build(self) -> None:
        self.X, self.Y = np.ascontiguousarray(self.data.rows.T), self.data.columns

    def epoch(self, number: int) -> None:  # noqa: ARG002
        (W1, b1), (W2, b2) = self.start
        X, Y, m = self.X, self.Y, self.work.m
        Z1 = W1 @ X + b1
        A1 = np.tanh(Z1)
        Z2 = W2 @ A1 + b2
        A2 = 1 / (1 + np.exp(-Z2))
        self.cost = -(1 / m) * np.sum(Y * np.log(A2) + (1 - Y) * np.log(1 - A2))
        dZ2 = A2 - Y
        dW2 = (1 / m) * (dZ2 @ A1.T)
        db2 = (1 / m) * np.sum(dZ2, axis=1, keepdims=True)
        dZ1 = (W2.T @ dZ2) * (1 - A1**2)
        dW1 = (1 / m) * (dZ1 @ X.T)
        db1 = (1 / m) * np.sum(dZ1, axis=1, keepdims=True)
        self.gradients = [(dW1, db1), (dW2, db2)]

    def parameters(self) -> Pairs:
        return self.gradients


class EstimatorPredictor(Predictor):
    """`MLPClassifier.predict_proba`."""

    backend = "numpy"

    def predictor(self, model: Any, rows: np.ndarray) -> Callable[[], np.ndarray]:
        base.backend_or_unavailable(self.backend)
        return partial(deepcopy(model).set_params(backend=self.backend).predict_proba, rows)


class ProductsTrainer(Contestant):
    """The matrix products of a step and nothing else, written into memory that is there, on operands as in training.

    A batch of wide inputs is a view of rows, so that X is Fortran-ordered there; everything else is C-ordered.
    """

    checked = ""

    def build(self) -> None:
        """Make the operands of a whole batch and of the smaller last one."""
        m, B = self.work.m, self.work.batch_size
        self.batches = [(m // B, self.operands(B))] + ([(1, self.operands(m % B))] if m % B else [])

    def operands(self, size: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Return (left, right, out) for every product of a step; K networks share X, so their first layers are one."""
        sizes, K = self.work.sizes, self.work.networks

        def draw(*shape: int) -> np.ndarray:
            return self.rng.standard_normal(shape, dtype=np.float32)

        A, pairs = draw(size, sizes[0]).T if sizes[0] >= 8 else draw(sizes[0], size), []
        for l, (n_in, n) in enumerate(pairwise(sizes), start=1):
            shape = (K * n,) if l == 1 else (K, n) if K > 1 else (n,)
            W, dZ = draw(*shape, n_in), draw(*shape, size)
            pairs += [(W, A), (dZ, A.swapaxes(-1, -2))] + ([(W.swapaxes(-1, -2), dZ)] if l > 1 else [])
            A = draw(*((K, n) if K > 1 else (n,)), size)
        return [(a, b, np.empty((*a.shape[:-1], b.shape[-1]), np.float32)) for a, b in pairs]

    def epoch(self, number: int) -> None:  # noqa: ARG002
        for steps, products in self.batches:
            for _ in range(steps):
                for a, b, out in products:
                    np.matmul(a, b, out)


class ProductsJaxTrainer(ProductsTrainer):
    """The same products in one compiled function a step."""

    def build(self) -> None:
        self.target = base.backend_or_unavailable("jax")
        super().build()
        self.products = self.target.compile(lambda pairs: tuple(a @ b for a, b in pairs))
        move = self.target.asarray
        self.batches = [(steps, tuple((move(a), move(b)) for a, b, _ in each)) for steps, each in self.batches]

    def epoch(self, number: int) -> None:  # noqa: ARG002
        for steps, pairs in self.batches:
            for _ in range(steps):
                self.last = self.products(pairs)

    def finish(self) -> None:
        self.target.synchronize(self.last[-1])
