"""The cost and its gradients over all the examples of a large set, by each library in its own way."""

from __future__ import annotations

from typing import Any

import numpy as np

import vecprop as vp
from peer_optax import make_cost
from peer_torch import copy_parameters, linear_layers, make_loss, make_model
from peer_trainers import Pairs, Trainer, UnavailableError, import_or_unavailable
from vecprop.backend.blas import usable_cores


class GradientPass(Trainer):
    """An epoch is a pass. After one, `cost` is J and `parameters` the gradients."""

    cost: Any

    def begin(self, start: Pairs) -> None:
        """Leave the parameters as they are."""

    def parameters(self) -> Pairs:
        """Return the gradients (dW, db) of the last pass."""
        return self.gradients


class PlainNumpyPass(GradientPass):
    """NumPy, line by line as the equations stand: what one writes down first. Two layers, tanh and sigmoid."""

    def build(self) -> None:
        """Take the examples in columns."""
        self.X, self.Y = np.ascontiguousarray(self.data.rows.T), self.data.columns

    def epoch(self, number: int) -> None:  # noqa: ARG002
        """One pass."""
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


class VecpropPass(GradientPass):
    """`Network.gradients`, with everything it chooses by itself."""

    backend = "numpy"

    def build(self) -> None:
        """Put parameters and columns where the backend computes."""
        try:
            self.target = vp.get_backend(self.backend)
        except vp.BackendError as error:
            raise UnavailableError(str(error)) from error
        self.net, move = self.work.network(), self.target.asarray
        self.params = tuple((move(W), move(b)) for W, b in self.start)
        self.X, self.Y = move(np.ascontiguousarray(self.data.rows.T)), move(self.data.columns)

    def epoch(self, number: int) -> None:  # noqa: ARG002
        """One pass."""
        self.cost, self.last = self.net.gradients(self.params, self.X, self.Y)
        for layer in self.last:
            self.target.synchronize(layer.W)

    def parameters(self) -> Pairs:
        """Return the gradients."""
        return [tuple(self.target.to_numpy(a) for a in layer) for layer in self.last]


class VecpropJaxPass(VecpropPass):
    """The same on JAX."""

    backend = "jax"


class TorchPass(GradientPass):
    """PyTorch eager: `zero_grad`, the cost, `backward`."""

    device = "cpu"

    def build(self) -> None:
        """Make the model with the parameters to start from."""
        self.torch = torch = import_or_unavailable("torch")
        torch.set_num_threads(usable_cores())
        self.model = make_model(torch, self.work.sizes, self.work.hidden).to(self.device)
        copy_parameters(torch, self.model, self.start)
        self.X, self.T = (torch.from_numpy(a).to(self.device) for a in (self.data.rows, self.data.targets))
        self.loss = make_loss(torch, self.work.output)

    def epoch(self, number: int) -> None:  # noqa: ARG002
        """One pass."""
        self.model.zero_grad(set_to_none=True)
        cost = self.loss(self.model(self.X), self.T)
        cost.backward()
        self.cost = cost.detach()
        if self.device != "cpu":
            self.torch.cuda.synchronize()

    def parameters(self) -> Pairs:
        """Return the gradients."""
        linear = linear_layers(self.model)
        return [(a.weight.grad.cpu().numpy(), a.bias.grad.cpu().numpy()[:, None]) for a in linear]


class JaxPass(GradientPass):
    """`jax.jit(jax.value_and_grad(cost))`."""

    def build(self) -> None:
        """Put everything on the device."""
        self.jax = jax = import_or_unavailable("jax")
        cost = make_cost(jax, import_or_unavailable("optax"), self.work.hidden, self.work.output)
        self.differentiated = jax.jit(jax.value_and_grad(cost))
        self.params = [(jax.numpy.asarray(W.T), jax.numpy.asarray(b[:, 0])) for W, b in self.start]
        self.X, self.T = jax.numpy.asarray(self.data.rows), jax.numpy.asarray(self.data.targets)

    def epoch(self, number: int) -> None:  # noqa: ARG002
        """One pass."""
        self.cost, self.last = self.jax.block_until_ready(self.differentiated(self.params, self.X, self.T))

    def parameters(self) -> Pairs:
        """Return the gradients, transposed back."""
        return [(np.asarray(W).T, np.asarray(b)[:, None]) for W, b in self.last]
