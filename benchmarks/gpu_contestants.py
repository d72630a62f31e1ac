"""Who takes part on a GPU: vecprop through its public functions, PyTorch in four ways, JAX's own derivatives and optax.

Each has its data where it computes before the clock starts.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

# JAX would take three quarters of the device at its first use, whoever imports it.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import vecprop as vp
from peer_gradients import JaxPass, TorchPass, VecpropPass
from peer_optax import OptaxScanTrainer, OptaxStepTrainer
from peer_torch import TorchCompiledTrainer, TorchFusedTrainer, TorchTrainer, copy_parameters
from peer_trainers import Pairs, Timed, UnavailableError, import_or_unavailable
from peer_vecprop import VecpropTrainer
from vecprop.training.loop import most_epochs_a_call
from vecprop.training.optimizers import Adam


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Set how PyTorch and JAX multiply float32: "highest", as float32, or "fast", as TensorFloat-32.

    vecprop is told by its own argument. A library that is not there needs no setting.
    """
    try:
        torch: Any = import_or_unavailable("torch")
    except UnavailableError:
        torch = None
    try:
        jax: Any = import_or_unavailable("jax")
    except UnavailableError:
        jax = None
    before = torch and torch.get_float32_matmul_precision()
    try:
        if torch:
            torch.set_float32_matmul_precision({"highest": "highest", "fast": "high"}[precision])
        if jax:
            with jax.default_matmul_precision({"highest": "highest", "fast": "tensorfloat32"}[precision]):
                yield
        else:
            yield
    finally:
        if torch:
            torch.set_float32_matmul_precision(before)


class VecpropSteps(VecpropTrainer):
    """`vp.fit`, with the examples on the device; an epoch is the median of its history after the first call."""

    def build(self) -> None:
        """Move the examples."""
        super().build()
        self.target = vp.get_backend(self.backend)
        begin = time.perf_counter()
        self.X, self.Y = (self.target.asarray(a, "float32") for a in (self.X, self.Y))
        for array in (self.X, self.Y):
            self.target.synchronize(array)
        self.transfer = time.perf_counter() - begin

    def fit(self, epochs: int, **arguments: Any) -> vp.FitResult:
        """Train so many epochs in the workload's precision."""
        return super().fit(epochs, **{"precision": self.work.precision} | arguments)

    @property
    def epochs_a_call(self) -> int:
        """The epochs that one compiled call does, all of which tell their mean."""
        work = self.work.m * self.net.parameter_count * getattr(self.work, "networks", 1)
        return most_epochs_a_call(self.target, self.work.steps, work)

    def train(self, epochs: int) -> Timed:
        """Time the epochs after those of the first call, which compiles; whole calls, so that all are alike."""
        each = self.epochs_a_call
        calls = max(2, -(-epochs // each))
        begin = time.perf_counter()
        self.result = self.fit((calls + 1) * each)
        wall = time.perf_counter() - begin
        seconds = self.result.history["seconds"]
        first, steady = sum(seconds[:each]), seconds[each:]
        return Timed(statistics.median(steady), (wall - first) / len(steady), first)


class StackSteps(VecpropSteps):
    """K networks in one stack, each from its seed and with its own order of the examples."""

    def build(self) -> None:
        """Take K seeds."""
        super().build()
        self.seed = range(self.work.networks)


class SharedStackSteps(VecpropSteps):
    """K networks in one stack, from one seed with one order of the examples, each with its learning rate."""

    def fit(self, epochs: int, **arguments: Any) -> vp.FitResult:
        """Train with K learning rates, all 1e-3 so that the work is that of the others."""
        return super().fit(epochs, **{"optimizer": Adam((1e-3,) * self.work.networks)} | arguments)


class SinglesSteps(VecpropSteps):
    """K networks one after the other, each with a `fit` of its own: some of them, multiplied up."""

    trained = 8

    def train(self, epochs: int) -> Timed:
        """Time the fits of the first few seeds."""
        times = []
        for seed in range(min(self.trained, self.work.networks)):
            self.seed = seed
            times.append(super().train(epochs))
        factor = self.work.networks / len(times)
        seconds, wall = (factor * sum(column) for column in list(zip(*times, strict=True))[:2])
        return Timed(seconds, wall, times[0].first)

    def train_exactly(self, epochs: int, start: Pairs) -> Pairs:
        """Return the parameters of the first few networks, as a stack."""
        each = []
        for seed in range(min(3, self.work.networks)):
            self.seed = seed
            each.append(super().train_exactly(epochs, [(W[seed], b[seed]) for W, b in start]))
        return [tuple(np.stack(arrays) for arrays in zip(*layers, strict=True)) for layers in zip(*each, strict=True)]


def torch_device() -> str:
    """Return where PyTorch computes; UnavailableError if that is a CPU and another library has a GPU."""
    torch: Any = import_or_unavailable("torch")
    if torch.cuda.is_available():
        return "cuda"
    _refuse_a_cpu_beside_a_gpu("PyTorch")
    return "cpu"


def _refuse_a_cpu_beside_a_gpu(name: str) -> None:
    if vp.get_backend("auto").has_gpu:
        raise UnavailableError(f"{name} has no GPU here, and another library has one")


class _OnDevice:
    """PyTorch on the GPU, where it has one."""

    def build(self) -> None:
        """Choose the device."""
        self.device = torch_device()
        super().build()  # type: ignore[misc]


class _JaxOnDevice:
    """JAX on the GPU, where it has one."""

    def build(self) -> None:
        """Look at the device."""
        vp.get_backend("jax")  # it imports JAX so that it takes no more memory than it needs
        jax: Any = import_or_unavailable("jax")
        if jax.default_backend() == "cpu":
            _refuse_a_cpu_beside_a_gpu("JAX")
        super().build()  # type: ignore[misc]


class OptaxStepSteps(_JaxOnDevice, OptaxStepTrainer):
    """A compiled step."""


class OptaxScanSteps(_JaxOnDevice, OptaxScanTrainer):
    """A compiled epoch."""


class JaxDevicePass(_JaxOnDevice, JaxPass):
    """`jax.jit(jax.value_and_grad(cost))`."""


class TorchSteps(_OnDevice, TorchTrainer):
    """Eager."""


class TorchFusedSteps(_OnDevice, TorchFusedTrainer):
    """Eager, with the fused Adam."""


class TorchCompiledSteps(_OnDevice, TorchCompiledTrainer):
    """Model and loss through `torch.compile`, with the fused Adam, which is a kernel already."""

    fused = True


class TorchGraphSteps(_OnDevice, TorchTrainer):
    """The whole step, fused Adam included, recorded as a CUDA graph for each size of a batch, and replayed."""

    def build(self) -> None:
        """Record the graphs."""
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
            self.criterion(self.model(X), T).backward()
            self.optimizer.step()
        return graph, X, T

    def begin(self, start: Pairs) -> None:
        """Write the parameters and empty slots where the graphs look for them."""
        copy_parameters(self.torch, self.model, start)
        for state in self.optimizer.state.values():
            for slot in state.values():
                slot.zero_()

    def epoch(self, number: int) -> None:
        """Replay an epoch; each batch is gathered into the graph's own memory."""
        m, B, torch = self.work.m, self.work.batch_size, self.torch
        if self.work.full_batch:
            self.graphs[m][0].replay()
            return
        given = None if self.order is None else torch.from_numpy(self.order(number)).to(self.device)
        order = torch.randperm(m, device=self.device) if given is None else given
        for i in range(0, m, B):
            graph, X, T = self.graphs[min(B, m - i)]
            torch.index_select(self.X, 0, order[i : i + B], out=X)
            torch.index_select(self.T, 0, order[i : i + B], out=T)
            graph.replay()


class TorchDevicePass(_OnDevice, TorchPass):
    """Eager."""


def on(backend: str, kind: type) -> type:
    """Return a contestant of vecprop on a backend."""
    return type(f"{kind.__name__}{backend.title()}", (kind,), {"backend": backend})


def trainers(backends: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """Return who trains, by name."""
    return {f"vecprop-{b}": on(b, VecpropSteps) for b in backends} | {
        "torch": TorchSteps,
        "torch-fused": TorchFusedSteps,
        "torch-compile": TorchCompiledSteps,
        "torch-graph": TorchGraphSteps,
        "optax-step": OptaxStepSteps,
        "optax-scan": OptaxScanSteps,
    }


def stacks(backends: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """Return who trains K networks, by name."""
    kinds = {"vecprop": StackSteps, "shared": SharedStackSteps, "singles": SinglesSteps}
    return {f"{name}-{b}": on(b, kind) for b in backends for name, kind in kinds.items()}


def passes(backends: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """Return who computes gradients, by name."""
    return {f"vecprop-{b}": on(b, VecpropPass) for b in backends} | {"torch": TorchDevicePass, "jax": JaxDevicePass}
