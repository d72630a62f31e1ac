"""JAX's own derivatives with optax, compiled: a step at a time, an epoch at a time, and the gradients alone."""

from typing import Any

import numpy as np

from benchmarks.contestants import base
from benchmarks.contestants.base import Contestant, Pairs


class JaxModel(Contestant):
    """A cost, and the data on the device; `compile` makes the compiled functions of each form."""

    def build(self) -> None:
        base.backend_or_unavailable("jax")  # it imports JAX so that it takes no more memory than it needs
        self.jax = jax = base.import_or_unavailable("jax")
        self.optax = base.import_or_unavailable("optax")
        if jax.default_backend() == "cpu":
            base.refuse_a_cpu_beside_a_gpu("JAX")
        self.move_examples()
        self.activation = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh}[self.work.hidden]
        self.compile()

    def move_examples(self) -> None:
        self.X, self.T = self.jax.numpy.asarray(self.data.rows), self.jax.numpy.asarray(self.data.targets)

    def moved(self, start: Pairs) -> Any:
        """Return parameters on the device, with weights (n_{l-1}, n_l)."""
        return [(self.jax.numpy.asarray(W.swapaxes(-1, -2)), self.jax.numpy.asarray(b[..., 0])) for W, b in start]

    def logits(self, params: Any, X: Any) -> Any:
        """Return the logits (m, n_L), one example per row."""
        for W, b in params[:-1]:
            X = self.activation(X @ W + b)
        W, b = params[-1]
        return X @ W + b

    def cost_of(self, params: Any, X: Any, T: Any) -> Any:
        """Return the mean over the examples; half the squared error, as here."""
        loss = {
            "softmax": self.optax.softmax_cross_entropy_with_integer_labels,
            "sigmoid": self.optax.sigmoid_binary_cross_entropy,
            "identity": lambda Z, T: 0.5 * (Z - T) ** 2,
        }[self.work.output]
        return loss(self.logits(params, X), T).mean()


class OptaxTrainer(JaxModel):
    """The data are shuffled once an epoch; the state's memory is donated to the next."""

    def build(self) -> None:
        super().build()
        self.adam, self.scores = self.optax.adam(1e-3), self.jax.jit(self.logits)
        self.slots = self.adam.init

    def step(self, carry: Any, X: Any, T: Any) -> Any:
        """One step, to be compiled."""
        params, slots = carry
        cost, grads = self.jax.value_and_grad(self.cost_of)(params, X, T)
        updates, slots = self.adam.update(grads, slots, params)
        return (self.optax.apply_updates(params, updates), slots), cost

    def begin(self, start: Pairs) -> None:
        params = self.moved(start)
        self.carry = self.jax.block_until_ready((params, self.slots(params)))

    def epochs(self, count: int) -> None:
        if not self.work.resident:  # then the clock of the others has it, too
            self.move_examples()
        super().epochs(count)

    def finish(self) -> None:
        self.jax.block_until_ready(self.carry)

    def parameters(self) -> Pairs:
        return [(np.array(W).swapaxes(-1, -2), np.array(b)[..., None]) for W, b in self.carry[0]]

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.scores(self.carry[0], rows))


class OptaxStepTrainer(OptaxTrainer):
    """One compiled call for each step, which cuts its batch out of the shuffled data."""

    def compile(self) -> None:
        jax = self.jax

        def step(carry: Any, X: Any, T: Any, begin: Any, size: int) -> Any:
            return self.step(carry, *(jax.lax.dynamic_slice_in_dim(a, begin, size) for a in (X, T)))

        self.shuffle = jax.jit(lambda X, T, order: (X[order], T[order]))
        self.one_step = jax.jit(step, donate_argnums=0, static_argnums=4)

    def epoch(self, number: int) -> None:
        m, B = self.work.m, self.work.batch_size
        X, T = self.X, self.T
        if not self.work.full_batch:
            X, T = self.shuffle(X, T, self.shuffled(number))
        for i in range(0, m, B):
            self.carry, self.last_cost = self.one_step(self.carry, X, T, i, min(B, m - i))


class OptaxScanTrainer(OptaxTrainer):
    """One compiled call for each epoch: shuffle, `lax.scan` over the whole batches, then the smaller last one."""

    def compile(self) -> None:
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
        order = None if self.work.full_batch else self.shuffled(number)
        self.carry, self.last_cost = self.one_epoch(self.carry, self.X, self.T, order)


class OptaxStackTrainer(OptaxScanTrainer):
    """K networks by `jax.vmap` over parameters, learning rates and penalties; they share the order of the examples."""

    one_order = True

    def build(self) -> None:
        super().build()
        self.adam = self.optax.scale_by_adam()
        self.slots = self.jax.vmap(self.adam.init)
        self.rates, self.penalties = (self.jax.numpy.asarray(v) for v in (self.work.rates, self.work.penalties))

    def step(self, carry: Any, X: Any, T: Any) -> Any:
        def penalized(params: Any, penalty: Any) -> Any:
            return self.cost_of(params, X, T) + penalty / (2 * self.work.m) * sum((W**2).sum() for W, _ in params)

        def one(params: Any, slots: Any, rate: Any, penalty: Any) -> Any:
            cost, grads = self.jax.value_and_grad(penalized)(params, penalty)
            updates, slots = self.adam.update(grads, slots)
            return (self.jax.tree.map(lambda P, update: P - rate * update, params, updates), slots), cost

        return self.jax.vmap(one)(*carry, self.rates, self.penalties)


class JaxPass(JaxModel):
    """`jax.jit(jax.value_and_grad(cost))`."""

    def compile(self) -> None:
        self.differentiated = self.jax.jit(self.jax.value_and_grad(self.cost_of))
        self.params = self.moved(self.start)

    def epoch(self, number: int) -> None:  # noqa: ARG002
        self.cost, self.last = self.jax.block_until_ready(self.differentiated(self.params, self.X, self.T))

    def parameters(self) -> Pairs:
        return [(np.asarray(W).T, np.asarray(b)[:, None]) for W, b in self.last]
