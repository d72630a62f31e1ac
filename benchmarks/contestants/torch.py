"""PyTorch: eager, with the fused Adam, with `torch.compile`, and as a CUDA graph; on its GPU where it has one."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

import vecprop as vp
from benchmarks.contestants import base
from benchmarks.contestants.base import Contestant, Pairs, UnavailableError
from vecprop.backend.blas import usable_cores


def torch_and_device() -> tuple[Any, str]:
    """Return PyTorch and where it computes; UnavailableError if that is a CPU and another library has a GPU."""
    torch = base.import_or_unavailable("torch")
    if torch.cuda.is_available():
        return torch, "cuda"
    base.refuse_a_cpu_beside_a_gpu("PyTorch")
    return torch, "cpu"


class TorchModel(Contestant):
    """A model with its loss, and the data where it computes."""

    def build(self) -> None:
        """Make the model; the number of threads is that of the cores."""
        self.torch, self.device = torch, device = torch_and_device()
        torch.set_num_threads(usable_cores())
        activation = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[self.work.hidden]
        layers = [f for n_in, n in pairwise(self.work.sizes) for f in (torch.nn.Linear(n_in, n), activation())]
        self.model, self.linear = torch.nn.Sequential(*layers[:-1]).to(device), layers[::2]  # up to the logits
        self.X, self.T = (torch.from_numpy(a).to(device) for a in (self.data.rows, self.data.targets))
        functional = torch.nn.functional
        self.criterion = {
            "softmax": functional.cross_entropy,
            "sigmoid": functional.binary_cross_entropy_with_logits,
            "identity": lambda Z, T: 0.5 * functional.mse_loss(Z, T),
        }[self.work.output]
        self.loss = self.cost_of

    def cost_of(self, X: Any, T: Any) -> Any:
        """Return the cost of examples, from the model's logits."""
        return self.criterion(self.model(X), T)

    def copy(self, start: Pairs) -> None:
        with self.torch.no_grad():
            for layer, (W, b) in zip(self.linear, start, strict=True):
                layer.weight.copy_(self.torch.from_numpy(W))
                layer.bias.copy_(self.torch.from_numpy(b[:, 0]))

    def finish(self) -> None:
        if self.device != "cpu":
            self.torch.cuda.synchronize()


class TorchTrainer(TorchModel):
    """As its tutorials have it: `randperm`, an index for each batch, `zero_grad`, `backward`, `step`."""

    fused: bool | None = None  # of Adam, for which PyTorch's default is another

    def begin(self, start: Pairs) -> None:
        self.copy(start)
        self.optimizer = self.torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=self.fused)

    def batches(self, number: int) -> Any:
        """Return the examples of each batch of an epoch, on the device."""
        if self.order is None:
            order = self.torch.randperm(self.work.m, device=self.device)
        else:
            order = self.torch.from_numpy(self.order(number)).to(self.device)
        return order.split(self.work.batch_size)

    def epoch(self, number: int) -> None:
        if self.work.full_batch:
            self.step(self.X, self.T)
            return
        for batch in self.batches(number):
            self.step(self.X[batch], self.T[batch])

    def step(self, X: Any, T: Any) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(X, T).backward()
        self.optimizer.step()

    def parameters(self) -> Pairs:
        pairs = [(a.weight.detach().cpu().numpy(), a.bias.detach().cpu().numpy()) for a in self.linear]
        return [(W.copy(), b[:, None].copy()) for W, b in pairs]

    def predict(self, rows: np.ndarray) -> np.ndarray:
        with self.torch.no_grad():
            return self.model(self.torch.from_numpy(rows).to(self.device)).cpu().numpy()


class TorchCompiledTrainer(TorchTrainer):
    """Model and loss through `torch.compile`, which needs a C++ compiler; on a GPU with the fused Adam, a kernel."""

    def build(self) -> None:
        """Compile when the first batch comes; a smaller last batch is a program of its own."""
        super().build()
        self.fused = True if self.device == "cuda" else None
        self.torch._dynamo.reset()  # an earlier workload's limit on recompilations is not this one's
        self.loss = self.torch.compile(self.cost_of, dynamic=False)


class TorchGraphTrainer(TorchTrainer):
    """The whole step, fused Adam included, recorded as a CUDA graph for each size of a batch, and replayed."""

    def build(self) -> None:
        super().build()
        if self.device == "cpu":
            raise UnavailableError("CUDA graphs need a GPU")
        self.optimizer = self.torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True, capturable=True)
        sizes = {min(self.work.batch_size, self.work.m), self.work.m % self.work.batch_size} - {0}
        self.graphs = {size: self.record(size) for size in sizes}

    def record(self, size: int) -> tuple[Any, Any, Any]:
        """Return (graph, X, T): what replays a step, and where it takes its batch from."""
        torch = self.torch
        X, T = (self.X, self.T) if self.work.full_batch else (self.X[:size].clone(), self.T[:size].clone())
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):  # memory, cuBLAS's workspace and Adam's slots have to be there before
                self.step(X, T)
        torch.cuda.current_stream().wait_stream(aside)
        self.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other libraries have threads
            self.loss(X, T).backward()
            self.optimizer.step()
        return graph, X, T

    def begin(self, start: Pairs) -> None:
        """Write the parameters and empty slots where the graphs look for them."""
        self.copy(start)
        for state in self.optimizer.state.values():
            for slot in state.values():
                slot.zero_()

    def epoch(self, number: int) -> None:
        """Replay an epoch; each batch is gathered into the graph's own memory."""
        if self.work.full_batch:
            self.graphs[self.work.m][0].replay()
            return
        for batch in self.batches(number):
            graph, X, T = self.graphs[len(batch)]
            self.torch.index_select(self.X, 0, batch, out=X)
            self.torch.index_select(self.T, 0, batch, out=T)
            graph.replay()


class TorchPass(TorchModel):
    """Eager: `zero_grad`, the cost, `backward`."""

    def build(self) -> None:
        super().build()
        self.copy(self.start)

    def epoch(self, number: int) -> None:  # noqa: ARG002
        self.model.zero_grad(set_to_none=True)
        cost = self.loss(self.X, self.T)
        cost.backward()
        self.cost = cost.detach()
        self.finish()

    def parameters(self) -> Pairs:
        return [(a.weight.grad.cpu().numpy(), a.bias.grad.cpu().numpy()[:, None]) for a in self.linear]


def predictor(model: Any, rows: np.ndarray) -> Callable[[], np.ndarray]:
    """Predict by a module in inference mode."""
    torch, device = torch_and_device()
    torch.set_num_threads(usable_cores())
    module = vp.to_torch(model).to(device)
    return torch.inference_mode()(lambda: module(torch.from_numpy(rows).to(device)).cpu().numpy())
