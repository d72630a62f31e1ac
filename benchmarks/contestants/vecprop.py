"""vecprop itself through its public functions, the bare matrix products of its step, and a stack against singles."""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from typing import Any

import numpy as np

import vecprop as vp
from peer_trainers import Pairs, Timed, Trainer, UnavailableError
from vecprop.training.optimizers import Adam

# With one step an epoch `fit` does up to so many epochs in one compiled call, and all of a call's epochs tell their
# mean. A multiple of it makes all calls alike, so that only the first compiles.
_EPOCHS_A_CALL = 128


class VecpropTrainer(Trainer):
    """One `vp.fit`; an epoch is the median of what the result's history says of all but those of the first call."""

    backend = "numpy"
    seed: Any = 0

    def build(self) -> None:
        """Find the backend."""
        try:
            vp.get_backend(self.backend)
        except vp.BackendError as error:
            raise UnavailableError(str(error)) from error
        self.net = self.work.network()
        self.X, self.Y = self.data.rows.T, self.data.columns

    def fit(self, epochs: int, **arguments: Any) -> vp.FitResult:
        """Train so many epochs."""
        given = {"optimizer": Adam(1e-3), "batch_size": self.work.batch_size, "seed": self.seed, "dtype": "float32"}
        given |= {"epochs": epochs, "backend": self.backend, "progress": False}
        return vp.fit(self.net, self.X, self.Y, **given | arguments)

    def train(self, epochs: int) -> Timed:
        """Time the epochs after the first, which compiles."""
        calls = max(3, -(-epochs // _EPOCHS_A_CALL)) + 1
        epochs = calls * _EPOCHS_A_CALL if self.work.full_batch else max(2, epochs) + 1
        begin = time.perf_counter()
        self.result = self.fit(epochs)
        wall = time.perf_counter() - begin
        seconds = self.result.history["seconds"]
        call = next((i for i, s in enumerate(seconds) if s != seconds[0]), 1)  # the epochs of the first call
        steady = seconds[call:]
        return Timed(statistics.median(steady), (wall - sum(seconds[:call])) / len(steady), sum(seconds[:call]))

    def train_exactly(self, epochs: int, start: Pairs) -> Pairs:
        """Return the parameters after so many epochs from `start`, with seed 0."""
        self.result = self.fit(epochs, params=start)
        return self.parameters()

    def parameters(self) -> Pairs:
        """Return the trained parameters."""
        to_numpy = vp.get_backend(self.backend).to_numpy
        return [(to_numpy(W), to_numpy(b)) for W, b in self.result.params]


class VecpropJaxTrainer(VecpropTrainer):
    """The same on JAX."""

    backend = "jax"


class StackTrainer(VecpropTrainer):
    """K networks in one stack."""

    def build(self) -> None:
        """Take K seeds."""
        super().build()
        self.seed = range(self.work.networks)


class StackJaxTrainer(StackTrainer):
    """The same on JAX."""

    backend = "jax"


class SinglesTrainer(VecpropTrainer):
    """K networks one after the other, each with a `fit` of its own; their times are added up."""

    trained: int | None = None  # how many of the K; all of them unless given

    def train(self, epochs: int) -> Timed:
        """Time K fits."""
        count = min(self.trained or self.work.networks, self.work.networks)
        times = []
        for self.seed in range(count):
            times.append(super().train(epochs))
        factor = self.work.networks / count
        seconds, wall = (factor * sum(column) for column in list(zip(*times, strict=True))[:2])
        return Timed(seconds, wall, times[0].first)


class SinglesJaxTrainer(SinglesTrainer):
    """The same on JAX: 16 of them, multiplied up."""

    backend, trained = "jax", 16


class ProductsTrainer(Trainer):
    """The matrix products of a step and nothing else, written into memory that is there, on operands as in training.

    A batch of wide inputs is a view of rows, so that X is Fortran-ordered there; everything else is C-ordered.
    """

    def build(self) -> None:
        """Make the operands of a whole batch and of the smaller last one."""
        m, B = self.work.m, self.work.batch_size
        self.batches = [(m // B, self.operands(B))] + ([(1, self.operands(m % B))] if m % B else [])

    def operands(self, size: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Return (left, right, out) for every product of a step."""
        rng, sizes = np.random.default_rng(0), self.work.sizes

        def draw(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape, dtype=np.float32)

        A = [draw(size, sizes[0]).T if sizes[0] >= 8 else draw(sizes[0], size), *(draw(n, size) for n in sizes[1:])]
        dZ = [None, *(draw(n, size) for n in sizes[1:])]
        pairs = []
        for l, (n_in, n) in enumerate(pairwise(sizes), start=1):
            W = draw(n, n_in)
            pairs += [(W, A[l - 1]), (dZ[l], A[l - 1].T)] + ([(W.T, dZ[l])] if l > 1 else [])
        return [(a, b, np.empty((a.shape[0], b.shape[1]), np.float32)) for a, b in pairs]

    def begin(self, start: Pairs) -> None:
        """Nothing is remembered."""

    def epoch(self, number: int) -> None:  # noqa: ARG002
        """Compute the products of every step of an epoch."""
        for steps, products in self.batches:
            for _ in range(steps):
                for a, b, out in products:
                    np.matmul(a, b, out)


class ProductsJaxTrainer(ProductsTrainer):
    """The same products in one compiled function a step."""

    def build(self) -> None:
        """Put the operands on the device and compile."""
        try:
            backend = vp.get_backend("jax")
        except vp.BackendError as error:
            raise UnavailableError(str(error)) from error
        super().build()
        self.backend = backend
        self.products = backend.compile(_products)
        self.batches = [
            (steps, tuple((backend.asarray(a), backend.asarray(b)) for a, b, _ in products))
            for steps, products in self.batches
        ]

    def epoch(self, number: int) -> None:  # noqa: ARG002
        """Compute the products of every step of an epoch."""
        for steps, pairs in self.batches:
            for _ in range(steps):
                self.last = self.products(pairs)

    def finish(self) -> None:
        """Wait for the last step's."""
        self.backend.synchronize(self.last[-1])


def _products(pairs: Any) -> Any:
    return tuple(a @ b for a, b in pairs)
