"""Keras 3 on JAX."""

import numpy as np

from benchmarks.contestants.base import Contestant, Pairs, UnavailableError, import_or_unavailable


class KerasTrainer(Contestant):
    """`Sequential`, `compile`, and `fit` on arrays for all the epochs at once, as its guides have it."""

    checked = "full batch"

    def build(self) -> None:
        self.keras = keras = import_or_unavailable("keras")
        if keras.backend.backend() != "jax":
            raise UnavailableError(f"Keras runs on {keras.backend.backend()}: set KERAS_BACKEND=jax")
        *hidden, last = self.work.sizes[1:]
        layers = [keras.layers.Dense(n, activation=self.work.hidden) for n in hidden]
        self.model = keras.Sequential([keras.Input((self.work.sizes[0],)), *layers, keras.layers.Dense(last)])
        loss = {
            "softmax": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "sigmoid": keras.losses.BinaryCrossentropy(from_logits=True),
            "identity": lambda T, Z: 0.5 * keras.losses.mean_squared_error(T, Z),
        }[self.work.output]
        # its own ε is 1e-7; everybody else's is 1e-8
        self.model.compile(optimizer=keras.optimizers.Adam(1e-3, epsilon=1e-8), loss=loss)

    def begin(self, start: Pairs) -> None:
        """Set the weights, and what Adam remembers to zero; the compiled step stays."""
        self.model.set_weights([a for W, b in start for a in (W.T, b[:, 0])])
        for variable in self.model.optimizer.variables:
            if variable.name != "learning_rate":
                variable.assign(np.zeros(variable.shape, variable.dtype))

    def epochs(self, count: int) -> None:
        """Train in one call, which waits for its results."""
        given = {"batch_size": self.work.batch_size, "shuffle": not self.work.full_batch, "verbose": 0}
        self.model.fit(self.data.rows, self.data.targets, epochs=count, **given)

    def epoch(self, number: int) -> None:  # noqa: ARG002
        self.epochs(1)

    def fresh(self, seed: int) -> None:
        """Take the model as it is made, with its own initial weights."""

    def parameters(self) -> Pairs:
        weights = self.model.get_weights()
        return [(W.T, b[:, None]) for W, b in zip(weights[::2], weights[1::2], strict=True)]

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.model.predict(rows, batch_size=len(rows), verbose=0)
