"""What the device reaches at best, in each library: matrix products, copies, launches, transfers.

    products    n × n times n × n, 2n³ operations: float32, TF32 (float32 rounded to 10 bits), bfloat16
    copy        an array read and another one written, bytes of both
    launch      a kernel on one number, one after the other; "in a graph" is recorded once and replayed
    transfer    from the host's ordinary memory to the device

Each is the median of several samples, a sample being as many calls in a row as fill 20 ms, which are then waited for.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.contestants.base import backend_or_unavailable, first_line, import_or_unavailable, products_in
from benchmarks.contestants.torch import torch_and_device

KINDS = ("float32", "TF32", "bfloat16")
_GRAPH = 1000  # launches in a graph
_SAMPLES, _FILLS = 7, 0.02
Call = Callable[[], Any]


@dataclass(frozen=True)
class Ceiling:
    """What a library reached."""

    library: str
    what: str  # "float32", "TF32", "bfloat16", "copy", "launch", "launch in a graph" or "transfer"
    # operations a second, bytes a second, or seconds of a launch; None if it could not be measured
    value: float | None = None
    reason: str = ""  # why not


class Library:
    """The questions, as NumPy answers them; each method returns what begins a piece of work."""

    xp: Any = np

    def scope(self, kind: str) -> AbstractContextManager[object]:
        """Return the context in which products are of this kind."""
        return products_in("fast" if kind == "TF32" else "highest")

    def draw(self, n: int, kind: str) -> Any:
        if kind != "float32":
            raise NotImplementedError(f"NumPy has no products in {kind}")
        return _host(n)

    def product(self, a: Any, b: Any) -> Call:
        """Multiply, into memory that is there."""
        out = self.xp.empty_like(a)
        return lambda: self.xp.matmul(a, b, out=out)

    def copy(self, count: int) -> Call:
        x, y = self.xp.ones(count, self.xp.float32), self.xp.empty(count, self.xp.float32)
        return lambda: self.xp.copyto(y, x)

    def launch(self) -> Call:
        x, y = self.xp.ones(1, self.xp.float32), self.xp.empty(1, self.xp.float32)
        return lambda: self.xp.add(x, x, y)

    def graph(self) -> Call:
        """Replay `_GRAPH` launches."""
        raise NotImplementedError("there is no graph")

    def transfer(self, host: np.ndarray) -> Call:
        return host.copy

    def wait(self) -> None:
        """Wait for everything begun."""


class Cupy(Library):
    """CuPy; bfloat16 is left to the others."""

    def __init__(self) -> None:
        self.backend, self.xp = backend_or_unavailable("cupy"), import_or_unavailable("cupy")

    def scope(self, kind: str) -> AbstractContextManager[object]:
        return self.backend.scope("float32", "fast" if kind == "TF32" else "highest")

    def draw(self, n: int, kind: str) -> Any:
        if kind == "bfloat16":
            raise NotImplementedError("bfloat16 is measured in JAX and PyTorch")
        return self.xp.asarray(_host(n))

    def graph(self) -> Call:
        launch, stream = self.launch(), self.xp.cuda.Stream(non_blocking=True)
        launch()  # compiled and loaded before
        self.wait()
        with stream:
            stream.begin_capture()
            for _ in range(_GRAPH):
                launch()
            graph = stream.end_capture()
        return lambda: (graph.launch(stream), stream.synchronize())

    def transfer(self, host: np.ndarray) -> Call:
        return lambda: self.xp.asarray(host)

    def wait(self) -> None:
        self.xp.cuda.Device().synchronize()


class Jax(Library):
    """JAX, compiled; a copy is an addition, which XLA cannot leave out."""

    def __init__(self) -> None:
        backend_or_unavailable("jax")
        self.jax, self.last = import_or_unavailable("jax"), None

    def draw(self, n: int, kind: str) -> Any:
        return self.jax.numpy.asarray(_host(n), dtype="bfloat16" if kind == "bfloat16" else "float32")

    def _begun(self, function: Callable[..., Any], *arrays: Any) -> Call:
        def call() -> None:
            self.last = function(*arrays)

        return call

    def product(self, a: Any, b: Any) -> Call:
        return self._begun(self.jax.jit(lambda a, b: a @ b), a, b)

    def copy(self, count: int) -> Call:
        return self._begun(self.jax.jit(lambda x: x + 1), self.jax.numpy.ones(count))

    def launch(self) -> Call:
        return self.copy(1)

    def transfer(self, host: np.ndarray) -> Call:
        return self._begun(self.jax.device_put, host)

    def wait(self) -> None:
        """Wait for the last call, which is computed after all others."""
        self.jax.block_until_ready(self.last)


class Torch(Library):
    """PyTorch."""

    def __init__(self) -> None:
        self.xp, self.device = torch_and_device()

    def draw(self, n: int, kind: str) -> Any:
        return self.xp.from_numpy(_host(n)).to(self.device, self.xp.bfloat16 if kind == "bfloat16" else self.xp.float32)

    def copy(self, count: int) -> Call:
        x = self.xp.ones(count, device=self.device)
        y = self.xp.empty_like(x)
        return lambda: y.copy_(x)

    def launch(self) -> Call:
        x = self.xp.ones(1, device=self.device)
        return lambda: x.add_(1.0)

    def graph(self) -> Call:
        if self.device == "cpu":
            return super().graph()
        launch, graph = self.launch(), self.xp.cuda.CUDAGraph()
        launch()
        self.wait()
        with self.xp.cuda.graph(graph, capture_error_mode="thread_local"):
            for _ in range(_GRAPH):
                launch()
        return graph.replay

    def transfer(self, host: np.ndarray) -> Call:
        return lambda: self.xp.from_numpy(host).to(self.device, copy=True)

    def wait(self) -> None:
        if self.device != "cpu":
            self.xp.cuda.synchronize()


LIBRARIES: dict[str, type[Library]] = {"numpy": Library, "cupy": Cupy, "jax": Jax, "torch": Torch}


def measure(
    names: Iterable[str], n: int = 8192, count: int = 1 << 28, require: Callable[[], object] = lambda: None
) -> Iterator[Ceiling]:
    """Yield the ceilings of these libraries, each as soon as it is there.

    Products have n x n operands; `count` numbers are copied, a quarter of them transferred. Before each measurement
    `require` is called; where it raises, the measurement is left out.
    """
    for name in names:
        try:
            library = LIBRARIES[name]()
        except Exception as error:  # noqa: BLE001 - a library that cannot be used has no ceilings
            yield Ceiling(name, "all", reason=first_line(error) or type(error).__name__)
            continue
        for what, prepare, value in _questions(library, n, count):
            try:
                require()
                with library.scope(what):
                    found = Ceiling(name, what, value(seconds_of(prepare(), library.wait)))
            except Exception as error:  # noqa: BLE001 - what a library cannot do is said
                found = Ceiling(name, what, reason=first_line(error) or type(error).__name__)
            yield found


def _questions(library: Library, n: int, count: int) -> list[tuple[str, Callable[[], Call], Callable[[float], float]]]:
    """Return (what, what makes the call, the value from its seconds)."""

    def product_of(kind: str) -> Callable[[], Call]:
        return lambda: library.product(library.draw(n, kind), library.draw(n, kind))

    return [
        *((kind, product_of(kind), lambda s: 2 * n**3 / s) for kind in KINDS),
        ("copy", lambda: library.copy(count), lambda s: 2 * 4 * count / s),
        ("launch", library.launch, lambda s: s),
        ("launch in a graph", library.graph, lambda s: s / _GRAPH),
        ("transfer", lambda: library.transfer(np.ones(count // 4, np.float32)), lambda s: 4 * (count // 4) / s),
    ]


def seconds_of(call: Call, wait: Call) -> float:
    """Return the seconds of one call among many in a row: the median of the samples."""
    for _ in range(3):
        call()
    wait()

    def sample(times: int) -> float:
        begin = time.perf_counter()
        for _ in range(times):
            call()
        wait()
        return (time.perf_counter() - begin) / times

    times = max(1, int(_FILLS / max(sample(3), 1e-7)))
    return statistics.median(sample(times) for _ in range(_SAMPLES))


def best(ceilings: Sequence[Ceiling], what: str) -> float | None:
    """Return the best that any library reached: the highest rate, the shortest launch.

    >>> best([Ceiling("cupy", "copy", 2.0), Ceiling("torch", "copy", 3.0)], "copy")
    3.0
    >>> best([Ceiling("cupy", "launch", 2.0), Ceiling("torch", "launch in a graph", 1.0)], "launch")
    1.0
    """
    values = [c.value for c in ceilings if c.what.removesuffix(" in a graph") == what and c.value is not None]
    return (min if what == "launch" else max)(values, default=None)


def _host(n: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, n), dtype=np.float32)
