"""What is asked of every library: begin with given parameters, train epochs, tell how long they took."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import vecprop as vp
from benchmarks.harness.workloads import Examples
from vecprop.utils import random_streams

Pairs = Sequence[tuple[np.ndarray, np.ndarray]]


class UnavailableError(Exception):
    """A library that cannot do this here; the message is the reason."""


class Timed(NamedTuple):
    """What a call of `train` took."""

    seconds: float  # of one epoch (or pass, or run), by the clock around the whole call
    history: float | None = None  # the same as the library itself has noted it
    # what came before the steady state and is not in `seconds`, where the call itself contains it
    first: float | None = None
    score: float | None = None  # what the model reached on examples held out, where that is compared too
    loss: float | None = None  # the same as log-loss or root mean squared error
    processor: float | None = None  # the seconds of all cores together


class Participant:
    """Who takes part: `train` returns a `Timed`; the rest holds unless a class says otherwise."""

    checked = ""
    each_is_a_first = False  # whether every run makes its model anew, so that there is nothing to get ready
    transfer: float | None = None  # seconds in which the examples came to the device


class Contestant(Participant):
    """One library at one workload: Adam with learning rate 1e-3, float32, mini-batches in a fresh order each epoch.

    After `train_exactly` it has computed what vecprop computes on NumPy over the same batches; `checked` says how that
    can be seen: over batches in a given "order", over a "full batch" where it shuffles as it likes, or not at all.

    Each has `epoch(number)`, which trains one epoch, `parameters()` in the form of `start`, and `predict(rows)`, a
    score (m, n_L) for each class. Each call of `train` begins with the parameters `start`. Where an epoch is a pass,
    `cost` is J after one, and `parameters()` gives the gradients (dW, db).
    """

    checked = "order"
    one_order = False  # whether K networks share the order of the examples

    def __init__(self, work: Any, data: Examples) -> None:
        self.work, self.data, self.start = work, data, draw_starts(work)
        self.order: Callable[[int], np.ndarray] | None = None
        self.rng = np.random.default_rng(0)
        self.build()

    def build(self) -> None:
        """Make what lasts: the model, compiled functions, the data where the library wants them."""

    def begin(self, start: Pairs) -> None:
        """Go to the parameters given and forget what the optimizer remembers."""

    def epochs(self, count: int) -> None:
        for number in range(count):
            self.epoch(number)

    def finish(self) -> None:
        """Wait until everything is computed."""

    def train(self, epochs: int) -> Timed:
        """Begin anew, so that no library goes on where the numbers have become odd, and time the epochs."""
        self.begin(self.start)
        begin = time.perf_counter()
        self.epochs(epochs)
        self.finish()
        return Timed((time.perf_counter() - begin) / epochs)

    def train_exactly(self, epochs: int, start: Pairs) -> Pairs:
        """Return the parameters after this many epochs from `start`, over the batches of vecprop's seed 0."""
        self.order = lambda number: random_streams.shuffle(0, number, self.work.m)
        self.begin(start)
        self.epochs(epochs)
        self.finish()
        self.order = None  # from now on it shuffles as it likes
        return self.parameters()

    def fresh(self, seed: int) -> None:
        """Go to new parameters to start from."""
        self.rng = np.random.default_rng(seed)
        self.begin(draw_start(self.work.sizes, seed))

    def epochs_until(self, wanted: float, most: int, test: Examples, seed: int) -> int | None:
        """Train anew until the accuracy on a test set is reached; return the number of epochs, None if they end."""
        self.fresh(seed)
        for number in range(most):
            self.epoch(number)
            if np.mean(np.argmax(self.predict(test.rows), axis=1) == test.targets) >= wanted:
                return number + 1
        return None

    def shuffled(self, number: int) -> np.ndarray:
        """Return the order of an epoch, drawn on the host."""
        return self.rng.permutation(self.work.m) if self.order is None else self.order(number)


class Predictor(Participant):
    """A classifier of a library with the layers of the workload's; an epoch is a call.

    Each has `predictor(model, rows)`, which makes the library's own model, and returns a function without arguments:
    the probabilities (m, classes) of the rows.
    """

    checked = "probabilities"

    def __init__(self, work: Any, data: tuple[Any, np.ndarray]) -> None:
        self.work, self.predict = work, self.predictor(*data)

    def train(self, calls: int) -> Timed:
        begin = time.perf_counter()
        for _ in range(calls):
            self.predict()
        return Timed((time.perf_counter() - begin) / calls)


class TimeToAccuracy(Participant):
    """A run: make the model, compile, train; after each epoch judge on the test set, until the accuracy is reached.

    Everything is in the time but the imports and reading the data. Each run has its own seed and compiles anew.
    """

    each_is_a_first = True

    def __init__(self, kind: type[Contestant], work: Any, data: Any) -> None:
        self.kind, self.work, self.seed = kind, work, 0
        self.problem, self.examples, self.test = data

    def train(self, runs: int) -> Timed:
        seconds = 0.0
        for _ in range(runs):
            self.seed += 1
            if "jax" in sys.modules:
                sys.modules["jax"].clear_caches()
            begin = time.perf_counter()
            contestant = self.kind(self.problem, self.examples)
            if contestant.epochs_until(self.work.wanted, self.work.most_epochs, self.test, self.seed) is None:
                raise UnavailableError(f"{self.work.wanted:.0%} not reached in {self.work.most_epochs} epochs")
            seconds += time.perf_counter() - begin
        return Timed(seconds / runs)


def draw_start(sizes: Sequence[int], seed: int = 0) -> Pairs:
    """Return parameters to start from, the same for every library: normal weights of variance 1/n, biases 0."""
    rng = np.random.default_rng(seed)
    return [
        ((rng.standard_normal((n, n_in)) / np.sqrt(n_in)).astype(np.float32), np.zeros((n, 1), np.float32))
        for n_in, n in pairwise(sizes)
    ]


def draw_starts(work: Any) -> Pairs:
    """Return parameters to start from; for K networks a stack of K."""
    if work.part != "networks":
        return draw_start(work.sizes)
    return stacked([draw_start(work.sizes, seed) for seed in range(work.networks)])


def stacked(each: list[Pairs]) -> Pairs:
    """Return the parameters of several networks as a stack."""
    return [tuple(np.stack(arrays) for arrays in zip(*layers, strict=True)) for layers in zip(*each, strict=True)]


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


def import_or_unavailable(name: str) -> Any:
    """Import a library, or raise UnavailableError with the reason."""
    try:
        return import_module(name)
    except ImportError as error:
        raise UnavailableError(f"{name} cannot be imported: {error}") from error


def backend_or_unavailable(name: str) -> vp.Backend:
    """Return a backend, or raise UnavailableError with the reason."""
    try:
        return vp.get_backend(name)
    except vp.BackendError as error:
        raise UnavailableError(str(error)) from error


def refuse_a_cpu_beside_a_gpu(name: str) -> None:
    """Raise UnavailableError for a library that computes on the CPU where another one has a GPU."""
    if vp.get_backend("auto").has_gpu:
        raise UnavailableError(f"{name} has no GPU here, and another library has one")


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Set how PyTorch and JAX, where they are, multiply float32: "highest", as such, or "fast", as TensorFloat-32."""
    fast = precision == "fast"
    with ExitStack() as settings:
        with suppress(UnavailableError):
            torch = import_or_unavailable("torch")
            settings.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
            torch.set_float32_matmul_precision("high" if fast else "highest")
        with suppress(UnavailableError):
            jax = import_or_unavailable("jax")
            settings.enter_context(jax.default_matmul_precision("tensorfloat32" if fast else "highest"))
        yield
