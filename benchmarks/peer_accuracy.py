"""How long each library takes from nothing to a test accuracy."""

from __future__ import annotations

import sys
import time

import numpy as np

from peer_keras import KerasTrainer
from peer_optax import OptaxScanTrainer, OptaxStepTrainer
from peer_sklearn import SklearnTrainer
from peer_torch import TorchTrainer
from peer_trainers import Timed, Trainer, UnavailableError, draw_start
from peer_vecprop import VecpropJaxTrainer, VecpropTrainer
from peer_workloads import Accuracy


class TimeToAccuracy:
    """A run: make the model, compile, train; after each epoch judge on the test set, until the accuracy is reached.

    Everything is in the time but the imports and reading the data. Each run has its own seed and compiles anew.
    """

    kind: type[Trainer]

    def __init__(self, work: Accuracy) -> None:
        self.work, self.seed = work, 0
        self.problem, self.train_set, self.test_set = work.problem()
        self.epochs: list[int] = []

    def train(self, runs: int) -> Timed:
        """Return the mean of so many runs."""
        seconds = 0.0
        for _ in range(runs):
            self.seed += 1
            if "jax" in sys.modules:
                sys.modules["jax"].clear_caches()
            begin = time.perf_counter()
            self.epochs.append(self.run(self.seed))
            seconds += time.perf_counter() - begin
        return Timed(seconds / runs)

    def run(self, seed: int) -> int:
        """Train until the accuracy is reached, and return the number of epochs."""
        trainer = self.trainer(seed)
        for number in range(self.work.most_epochs):
            trainer.epoch(number)
            found = np.argmax(trainer.predict(self.test_set.rows), axis=1)
            if np.mean(found == self.test_set.targets) >= self.work.wanted:
                return number + 1
        raise UnavailableError(f"{self.work.wanted:.0%} not reached in {self.work.most_epochs} epochs")

    def trainer(self, seed: int) -> Trainer:
        """Return the library ready to train."""
        trainer = self.kind(self.problem, self.train_set)
        trainer.rng = np.random.default_rng(seed)
        trainer.begin(draw_start(self.problem.sizes, seed))
        return trainer


class TorchAccuracy(TimeToAccuracy):
    """PyTorch eager."""

    kind = TorchTrainer


class KerasAccuracy(TimeToAccuracy):
    """Keras, its own initial weights."""

    kind = KerasTrainer

    def trainer(self, seed: int) -> Trainer:  # noqa: ARG002
        """Return a new model as it is made."""
        return KerasTrainer(self.problem, self.train_set)


class OptaxStepAccuracy(TimeToAccuracy):
    """JAX and optax, step by step."""

    kind = OptaxStepTrainer


class OptaxScanAccuracy(TimeToAccuracy):
    """JAX and optax, epoch by epoch."""

    kind = OptaxScanTrainer


class SklearnAccuracy(TimeToAccuracy):
    """scikit-learn with `partial_fit`, its own initial weights and its own penalty."""

    def trainer(self, seed: int) -> Trainer:
        """Return a new estimator."""
        trainer = SklearnTrainer(self.problem, self.train_set)
        trainer.penalty = 1e-4
        trainer.model = trainer.estimator(1, seed)
        return trainer


class VecpropAccuracy(TimeToAccuracy):
    """One `vp.fit` that a callback ends."""

    kind = VecpropTrainer

    def run(self, seed: int) -> int:
        """Train until the accuracy is reached."""
        trainer = self.kind(self.problem, self.train_set)
        result = trainer.fit(
            self.work.most_epochs,
            seed=seed,
            validation=(self.test_set.rows.T, self.test_set.columns),
            metric="accuracy",
            callbacks=lambda state, history: history["metric"][-1] >= self.work.wanted,  # noqa: ARG005
        )
        if result.history["metric"][-1] < self.work.wanted:
            raise UnavailableError(f"{self.work.wanted:.0%} not reached in {self.work.most_epochs} epochs")
        return len(result.history["cost"])


class VecpropJaxAccuracy(VecpropAccuracy):
    """The same on JAX."""

    kind = VecpropJaxTrainer
