"""Keras 3 on JAX."""

from __future__ import annotations

import os
import time

import numpy as np

from peer_trainers import Pairs, Timed, Trainer, UnavailableError, import_or_unavailable


class KerasTrainer(Trainer):
    """`Sequential`, `compile`, and `fit` on arrays for all the epochs at once, as its guides have it."""

    def build(self) -> None:
        """Make and compile the model."""
        os.environ.setdefault("KERAS_BACKEND", "jax")  # read when Keras is imported, here for the first time
        self.keras = keras = import_or_unavailable("keras")
        if keras.backend.backend() != "jax":
            raise UnavailableError(f"Keras runs on {keras.backend.backend()}: set KERAS_BACKEND=jax")
        *hidden, last = self.work.sizes[1:]
        layers = [keras.layers.Dense(n, activation=self.work.hidden) for n in hidden]
        self.model = keras.Sequential([keras.Input((self.work.sizes[0],)), *layers, keras.layers.Dense(last)])
        loss = {
            "softmax": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "sigmoid": keras.losses.BinaryCrossentropy(from_logits=True),
            "identity": keras.losses.MeanSquaredError(),
        }[self.work.output]
        # its own ε is 1e-7; everybody else's is 1e-8
        self.model.compile(optimizer=keras.optimizers.Adam(1e-3, epsilon=1e-8), loss=loss)

    def begin(self, start: Pairs) -> None:
        """Set the weights, and what Adam remembers to zero; the compiled step stays."""
        self.model.set_weights([a for W, b in start for a in (W.T, b[:, 0])])
        for variable in self.model.optimizer.variables:
            if variable.name != "learning_rate":
                variable.assign(np.zeros(variable.shape, variable.dtype))

    def fit(self, epochs: int) -> None:
        """Train so many epochs in one call."""
        self.model.fit(
            self.data.rows,
            self.data.targets,
            batch_size=self.work.batch_size,
            epochs=epochs,
            shuffle=not self.work.full_batch,
            verbose=0,
        )

    def epoch(self, number: int) -> None:  # noqa: ARG002
        """Train one epoch."""
        self.fit(1)

    def train(self, epochs: int) -> Timed:
        """Time so many epochs of one `fit`, which waits for its results."""
        self.begin(self.start)
        begin = time.perf_counter()
        self.fit(epochs)
        return Timed((time.perf_counter() - begin) / epochs)

    def parameters(self) -> Pairs:
        """Return the weights, transposed back."""
        weights = self.model.get_weights()
        return [(W.T, b[:, None]) for W, b in zip(weights[::2], weights[1::2], strict=True)]

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return the logits."""
        return self.model.predict(rows, batch_size=len(rows), verbose=0)
