"""scikit-learn's MLPClassifier and MLPRegressor."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np

from peer_trainers import Pairs, Timed, Trainer, import_or_unavailable


class SklearnTrainer(Trainer):
    """One `fit` with `max_iter` epochs and nothing that would stop it.

    `partial_fit` would check the data anew in every epoch; in one `fit` that is done once. For two classes it has one
    logistic output in place of two of softmax, which is less work. It shuffles a full batch too, as it does by default.
    """

    penalty = 0.0

    def build(self) -> None:
        """Choose the estimator."""
        network = import_or_unavailable("sklearn.neural_network")
        self.exceptions: Any = import_or_unavailable("sklearn.exceptions")
        self.kind = network.MLPRegressor if self.work.output == "identity" else network.MLPClassifier
        targets = self.data.targets
        self.T = targets[:, 0] if targets.ndim == 2 else targets

    def estimator(self, epochs: int, seed: int = 0) -> Any:
        """Return an estimator that trains so many epochs."""
        return self.kind(
            hidden_layer_sizes=self.work.sizes[1:-1],
            activation=self.work.hidden,
            solver="adam",
            alpha=self.penalty,
            batch_size=min(self.work.batch_size, self.work.m),
            learning_rate_init=1e-3,
            max_iter=epochs,
            random_state=seed,
            tol=0.0,
            n_iter_no_change=10**9,
        )

    def train(self, epochs: int) -> Timed:
        """Time one `fit`."""
        self.model = self.estimator(epochs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self.exceptions.ConvergenceWarning)  # the epochs were all that was asked
            begin = time.perf_counter()
            self.model.fit(self.data.rows, self.T)
            return Timed((time.perf_counter() - begin) / epochs)

    def begin(self, start: Pairs) -> None:
        """Make an estimator with these parameters and nothing remembered; the epoch that makes them does not count."""
        self.model = self.estimator(1)
        self.epoch(0)
        for W, b, (W_start, b_start) in zip(self.model.coefs_, self.model.intercepts_, start, strict=True):
            W[...], b[...] = W_start.T, b_start[:, 0]
        del self.model._optimizer

    def epoch(self, number: int) -> None:  # noqa: ARG002
        """Train one epoch."""
        classes = {} if self.work.output == "identity" else {"classes": np.unique(self.T)}
        self.model.partial_fit(self.data.rows, self.T, **classes)

    def parameters(self) -> Pairs:
        """Return the coefficients, transposed back."""
        return [(W.T.copy(), b[:, None].copy()) for W, b in zip(self.model.coefs_, self.model.intercepts_, strict=True)]

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return the probabilities of the classes."""
        return self.model.predict_proba(rows)
