"""JAX's automatic differentiation with optax, compiled: a step at a time, and an epoch at a time."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from peer_trainers import Pairs, Trainer, import_or_unavailable


class OptaxTrainer(Trainer):
    """The data are shuffled once an epoch; the state's memory is donated to the next."""

    def build(self) -> None:
        """Put the data on the device; compile when the first batch comes."""
        self.jax, self.optax = jax, optax = import_or_unavailable("jax"), import_or_unavailable("optax")
        self.adam = optax.adam(1e-3)
        self.X, self.T = jax.numpy.asarray(self.data.rows), jax.numpy.asarray(self.data.targets)
        self.cost = make_cost(jax, optax, self.work.hidden, self.work.output)
        self.logits = jax.jit(partial(forward, jax, self.work.hidden))
        self.compile()

    def compile(self) -> None:
        """Make the compiled functions of this form."""
        raise NotImplementedError

    def step(self, carry: Any, X: Any, T: Any) -> Any:
        """One step, to be compiled."""
        params, slots = carry
        cost, grads = self.jax.value_and_grad(self.cost)(params, X, T)
        updates, slots = self.adam.update(grads, slots, params)
        return (self.optax.apply_updates(params, updates), slots), cost

    def begin(self, start: Pairs) -> None:
        """Put the parameters on the device."""
        params = [(self.jax.numpy.asarray(W.T), self.jax.numpy.asarray(b[:, 0])) for W, b in start]
        self.carry = self.jax.block_until_ready((params, self.adam.init(params)))

    def finish(self) -> None:
        """Wait for the state."""
        self.jax.block_until_ready(self.carry)

    def parameters(self) -> Pairs:
        """Return the parameters, transposed back."""
        return [(np.array(W).T, np.array(b)[:, None]) for W, b in self.carry[0]]

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return the logits."""
        return np.asarray(self.logits(self.carry[0], rows))


class OptaxStepTrainer(OptaxTrainer):
    """One compiled call for each step, which cuts its batch out of the shuffled data."""

    def compile(self) -> None:
        """Compile the shuffle and the step."""
        jax = self.jax

        def step(carry: Any, X: Any, T: Any, begin: Any, size: int) -> Any:
            batch = (jax.lax.dynamic_slice_in_dim(a, begin, size) for a in (X, T))
            return self.step(carry, *batch)

        self.shuffle = jax.jit(lambda X, T, order: (X[order], T[order]))
        self.one_step = jax.jit(step, donate_argnums=0, static_argnums=4)

    def epoch(self, number: int) -> None:
        """Train one epoch."""
        m, B = self.work.m, self.work.batch_size
        X, T = self.X, self.T
        if not self.work.full_batch:
            X, T = self.shuffle(X, T, self.shuffled(number))
        for i in range(0, m, B):
            self.carry, self.last_cost = self.one_step(self.carry, X, T, i, min(B, m - i))


class OptaxScanTrainer(OptaxTrainer):
    """One compiled call for each epoch: shuffle, `lax.scan` over the whole batches, then the smaller last one."""

    def compile(self) -> None:
        """Compile the epoch."""
        jax, m, B = self.jax, self.work.m, self.work.batch_size
        whole = m // B

        def epoch(carry: Any, X: Any, T: Any, order: Any) -> Any:
            if order is not None:
                X, T = X[order], T[order]
            batches = tuple(a[: whole * B].reshape(whole, B, *a.shape[1:]) for a in (X, T))
            carry, costs = jax.lax.scan(lambda carry, batch: self.step(carry, *batch), carry, batches)
            if m % B:
                carry, _ = self.step(carry, X[whole * B :], T[whole * B :])
            return carry, costs

        self.one_epoch = jax.jit(epoch, donate_argnums=0)

    def epoch(self, number: int) -> None:
        """Train one epoch."""
        order = None if self.work.full_batch else self.shuffled(number)
        self.carry, self.last_cost = self.one_epoch(self.carry, self.X, self.T, order)


def forward(jax: Any, hidden: str, params: Any, X: Any) -> Any:
    """Return the logits (m, n_L), one example per row."""
    activation = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh}[hidden]
    for W, b in params[:-1]:
        X = activation(X @ W + b)
    W, b = params[-1]
    return X @ W + b


def make_cost(jax: Any, optax: Any, hidden: str, output: str) -> Any:
    """Return cost(params, X, T), the mean over the examples; half the squared error, as here."""
    loss = {
        "softmax": lambda Z, T: optax.softmax_cross_entropy_with_integer_labels(Z, T),
        "sigmoid": lambda Z, T: optax.sigmoid_binary_cross_entropy(Z, T),
        "identity": lambda Z, T: 0.5 * (Z - T) ** 2,
    }[output]
    return lambda params, X, T: loss(forward(jax, hidden, params, X), T).mean()
