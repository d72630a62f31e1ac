"""PyTorch: eager, with the fused Adam, and with `torch.compile`."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from peer_trainers import Pairs, Trainer, import_or_unavailable
from vecprop.backend.blas import usable_cores


class TorchTrainer(Trainer):
    """As its tutorials have it: `randperm`, an index for each batch, `zero_grad`, `backward`, `step`."""

    fused: bool | None = None
    device = "cpu"

    def build(self) -> None:
        """Make the model; the number of threads is that of the cores."""
        self.torch = torch = import_or_unavailable("torch")
        torch.set_num_threads(usable_cores())
        self.model = make_model(torch, self.work.sizes, self.work.hidden).to(self.device)
        self.X, self.T = (torch.from_numpy(a).to(self.device) for a in (self.data.rows, self.data.targets))
        self.criterion = make_loss(torch, self.work.output)
        self.loss = self.cost

    def cost(self, X: Any, T: Any) -> Any:
        """Return the cost of a batch, from the model's logits."""
        return self.criterion(self.model(X), T)

    def begin(self, start: Pairs) -> None:
        """Copy the parameters in and make a new Adam."""
        torch = self.torch
        copy_parameters(torch, self.model, start)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=self.fused)

    def epoch(self, number: int) -> None:
        """Train one epoch."""
        if self.work.full_batch:
            self.step(self.X, self.T)
            return
        m, B, torch, device = self.work.m, self.work.batch_size, self.torch, self.device
        given = None if self.order is None else torch.from_numpy(self.order(number)).to(device)
        order = torch.randperm(m, device=device) if given is None else given
        for i in range(0, m, B):
            batch = order[i : i + B]
            self.step(self.X[batch], self.T[batch])

    def step(self, X: Any, T: Any) -> None:
        """Take one step."""
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(X, T).backward()
        self.optimizer.step()

    def finish(self) -> None:
        """Wait for the device."""
        if self.device != "cpu":
            self.torch.cuda.synchronize()

    def parameters(self) -> Pairs:
        """Return the model's parameters."""
        pairs = [(a.weight.detach().cpu().numpy(), a.bias.detach().cpu().numpy()) for a in linear_layers(self.model)]
        return [(W.copy(), b[:, None].copy()) for W, b in pairs]

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return the logits."""
        with self.torch.no_grad():
            return self.model(self.torch.from_numpy(rows).to(self.device)).cpu().numpy()


class TorchFusedTrainer(TorchTrainer):
    """The same with `Adam(fused=True)`, which is not the default on a CPU."""

    fused = True


class TorchCompiledTrainer(TorchTrainer):
    """The same with model and loss through `torch.compile`, which needs a C++ compiler."""

    def build(self) -> None:
        """Compile when the first batch comes; a smaller last batch is a program of its own."""
        super().build()
        self.torch._dynamo.reset()  # an earlier workload's limit on recompilations is not this one's
        self.loss = self.torch.compile(self.cost, dynamic=False)


def make_model(torch: Any, sizes: tuple[int, ...], hidden: str) -> Any:
    """Return the model up to the logits."""
    activation = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[hidden]
    layers = []
    for n_in, n in pairwise(sizes):
        layers += [torch.nn.Linear(n_in, n), activation()]
    return torch.nn.Sequential(*layers[:-1])


def linear_layers(model: Any) -> list[Any]:
    """Return the layers that have parameters."""
    return [layer for layer in model if hasattr(layer, "weight")]


def copy_parameters(torch: Any, model: Any, start: Pairs) -> None:
    """Write parameters into a model, where it is."""
    with torch.no_grad():
        for layer, (W, b) in zip(linear_layers(model), start, strict=True):
            layer.weight.copy_(torch.from_numpy(W))
            layer.bias.copy_(torch.from_numpy(b[:, 0]))


def make_loss(torch: Any, output: str) -> Any:
    """Return the loss from logits; half the squared error, as here."""
    functional = torch.nn.functional
    return {
        "softmax": functional.cross_entropy,
        "sigmoid": functional.binary_cross_entropy_with_logits,
        "identity": lambda Z, T: 0.5 * functional.mse_loss(Z, T),
    }[output]
