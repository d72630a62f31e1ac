"""What the device reaches at best, in each library: matrix products, copies, launches, transfers.

    products    n × n times n × n, 2n³ operations: float32, TF32 (float32 rounded to 10 bits), bfloat16
    copy        an array read and another one written, bytes of both
    launch      a kernel on one number, one after the other; "in a graph" is recorded once and replayed
    transfer    from the host's ordinary memory to the device

Each is the median of several samples, a sample being so many calls in a row as fill 20 ms, and then waited for.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

import vecprop as vp
from gpu_contestants import products_in, torch_device
from peer_trainers import import_or_unavailable

KINDS = ("float32", "TF32", "bfloat16")
_GRAPH = 1000  # launches in a graph
_SAMPLES, _FILLS = 7, 0.02
Call = Callable[[], Any]


@dataclass(frozen=True)
class Ceiling:
    """What a library reached.

    Attributes
    ----------
    library, what : str
        "float32", "TF32", "bfloat16", "copy", "launch", "launch in a graph" or "transfer".
    value : float or None
        Operations a second, bytes a second, or seconds of a launch; None if it could not be measured.
    reason : str
        Why not.
    """

    library: str
    what: str
    value: float | None = None
    reason: str = ""


class Numpy:
    """The processor, for a look whether everything runs."""

    def __init__(self) -> None:
        self.last: Any = None

    def scope(self, kind: str) -> AbstractContextManager[object]:  # noqa: ARG002
        """Return the context in which products are of this kind."""
        return nullcontext()

    def draw(self, n: int, kind: str) -> Any:
        """Return a matrix (n, n)."""
        if kind != "float32":
            raise NotImplementedError(f"NumPy has no products in {kind}")
        return _host(n)

    def product(self, a: Any, b: Any) -> Call:
        """Return what begins to compute a product."""
        return lambda: a @ b

    def copy(self, count: int) -> Call:
        """Return what begins to copy so many float32 numbers."""
        x, y = np.ones(count, np.float32), np.empty(count, np.float32)
        return lambda: np.copyto(y, x)

    def launch(self) -> Call:
        """Return what computes one number."""
        x, y = np.ones(1, np.float32), np.empty(1, np.float32)
        return lambda: np.add(x, x, y)

    def graph(self) -> Call:
        """Return what replays `_GRAPH` launches."""
        raise NotImplementedError("there is no graph")

    def transfer(self, host: np.ndarray) -> Call:
        """Return what moves an array to the device."""
        return host.copy

    def wait(self) -> None:
        """Wait for everything begun."""


class Cupy(Numpy):
    """CuPy."""

    def __init__(self) -> None:
        self.backend = vp.get_backend("cupy")
        self.cupy: Any = import_or_unavailable("cupy")

    def scope(self, kind: str) -> AbstractContextManager[object]:
        """Set cuBLAS's compute type."""
        return self.backend.scope("float32", "fast" if kind == "TF32" else "highest")

    def draw(self, n: int, kind: str) -> Any:
        """Return a matrix; bfloat16 is left to the others."""
        if kind == "bfloat16":
            raise NotImplementedError("bfloat16 is measured in JAX and PyTorch")
        return self.cupy.asarray(_host(n))

    def product(self, a: Any, b: Any) -> Call:
        """Write into memory that is there."""
        out = self.cupy.empty_like(a)
        return lambda: self.cupy.matmul(a, b, out=out)

    def copy(self, count: int) -> Call:
        """Copy on the device."""
        x, y = self.cupy.ones(count, self.cupy.float32), self.cupy.empty(count, self.cupy.float32)
        return lambda: self.cupy.copyto(y, x)

    def launch(self) -> Call:
        """Add one number."""
        x, y = self.cupy.ones(1, self.cupy.float32), self.cupy.empty(1, self.cupy.float32)
        return lambda: self.cupy.add(x, x, y)

    def graph(self) -> Call:
        """Record the additions on a stream of their own."""
        launch, stream = self.launch(), self.cupy.cuda.Stream(non_blocking=True)
        launch()  # compiled and loaded before
        self.wait()
        with stream:
            stream.begin_capture()
            for _ in range(_GRAPH):
                launch()
            graph = stream.end_capture()
        return lambda: (graph.launch(stream), stream.synchronize())

    def transfer(self, host: np.ndarray) -> Call:
        """Move by `asarray`."""
        return lambda: self.cupy.asarray(host)

    def wait(self) -> None:
        """Wait for the device."""
        self.cupy.cuda.Device().synchronize()


class Jax(Numpy):
    """JAX, compiled."""

    def __init__(self) -> None:
        vp.get_backend("jax")
        self.jax: Any = import_or_unavailable("jax")
        self.last: Any = None

    def scope(self, kind: str) -> AbstractContextManager[object]:
        """Set JAX's precision."""
        return products_in("fast" if kind == "TF32" else "highest")

    def draw(self, n: int, kind: str) -> Any:
        """Return a matrix."""
        return self.jax.numpy.asarray(_host(n), dtype="bfloat16" if kind == "bfloat16" else "float32")

    def _begun(self, function: Callable[..., Any], *arrays: Any) -> Call:
        compiled = self.jax.jit(function)

        def call() -> None:
            self.last = compiled(*arrays)

        return call

    def product(self, a: Any, b: Any) -> Call:
        """Return the product as a compiled function."""
        return self._begun(lambda a, b: a @ b, a, b)

    def copy(self, count: int) -> Call:
        """Read and write by an addition, which XLA cannot leave out."""
        return self._begun(lambda x: x + 1, self.jax.numpy.ones(count))

    def launch(self) -> Call:
        """Call a compiled function of one number."""
        return self._begun(lambda x: x + 1, self.jax.numpy.ones(1))

    def transfer(self, host: np.ndarray) -> Call:
        """Move by `device_put`."""

        def call() -> None:
            self.last = self.jax.device_put(host)

        return call

    def wait(self) -> None:
        """Wait for the last call, which is computed after all others."""
        self.jax.block_until_ready(self.last)


class Torch(Numpy):
    """PyTorch."""

    def __init__(self) -> None:
        self.torch: Any = import_or_unavailable("torch")
        self.device = torch_device()

    def scope(self, kind: str) -> AbstractContextManager[object]:
        """Set PyTorch's precision."""
        return products_in("fast" if kind == "TF32" else "highest")

    def draw(self, n: int, kind: str) -> Any:
        """Return a matrix."""
        dtype = self.torch.bfloat16 if kind == "bfloat16" else self.torch.float32
        return self.torch.from_numpy(_host(n)).to(self.device, dtype)

    def product(self, a: Any, b: Any) -> Call:
        """Write into memory that is there."""
        out = self.torch.empty_like(a)
        return lambda: self.torch.matmul(a, b, out=out)

    def copy(self, count: int) -> Call:
        """Copy on the device."""
        x = self.torch.ones(count, device=self.device)
        y = self.torch.empty_like(x)
        return lambda: y.copy_(x)

    def launch(self) -> Call:
        """Add to one number."""
        x = self.torch.ones(1, device=self.device)
        return lambda: x.add_(1.0)

    def graph(self) -> Call:
        """Record the additions."""
        if self.device == "cpu":
            raise NotImplementedError("there is no graph")
        launch, graph = self.launch(), self.torch.cuda.CUDAGraph()
        launch()
        self.wait()
        with self.torch.cuda.graph(graph, capture_error_mode="thread_local"):
            for _ in range(_GRAPH):
                launch()
        return graph.replay

    def transfer(self, host: np.ndarray) -> Call:
        """Move by `to`."""
        return lambda: self.torch.from_numpy(host).to(self.device, copy=True)

    def wait(self) -> None:
        """Wait for the device."""
        if self.device != "cpu":
            self.torch.cuda.synchronize()


LIBRARIES: dict[str, type[Numpy]] = {"numpy": Numpy, "cupy": Cupy, "jax": Jax, "torch": Torch}


def measure(
    names: Iterable[str], n: int = 8192, count: int = 1 << 28, note: Callable[[Ceiling], object] = lambda _: None
) -> list[Ceiling]:
    """Return the ceilings of these libraries; `note` is called with each as soon as it is there.

    Parameters
    ----------
    n : int
        Rows and columns of the products' operands.
    count : int
        Numbers in the arrays that are copied; a quarter of them are transferred.
    """
    found = []
    for name in names:
        try:
            library = LIBRARIES[name]()
        except Exception as error:  # noqa: BLE001 - a library that cannot be used has no ceilings
            found.append(Ceiling(name, "all", reason=_line(error)))
            note(found[-1])
            continue
        for what, prepare, value in _questions(library, n, count):
            found.append(_answer(library, name, what, prepare, value))
            note(found[-1])
    return found


def _questions(library: Numpy, n: int, count: int) -> list[tuple[str, Callable[[], Call], Callable[[float], float]]]:
    """Return (what, what makes the call, the value from its seconds)."""

    def product_of(kind: str) -> Callable[[], Call]:
        return lambda: library.product(library.draw(n, kind), library.draw(n, kind))

    def moved() -> Call:
        return library.transfer(np.ones(count // 4, np.float32))

    return [
        *((kind, product_of(kind), lambda s: 2 * n**3 / s) for kind in KINDS),
        ("copy", lambda: library.copy(count), lambda s: 2 * 4 * count / s),
        ("launch", library.launch, lambda s: s),
        ("launch in a graph", library.graph, lambda s: s / _GRAPH),
        ("transfer", moved, lambda s: 4 * (count // 4) / s),
    ]


def _answer(
    library: Numpy, name: str, what: str, prepare: Callable[[], Call], value: Callable[[float], float]
) -> Ceiling:
    try:
        with library.scope(what):
            return Ceiling(name, what, value(seconds_of(prepare(), library.wait)))
    except Exception as error:  # noqa: BLE001 - what a library cannot do is said
        return Ceiling(name, what, reason=_line(error))


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


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
