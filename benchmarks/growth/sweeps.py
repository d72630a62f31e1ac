"""How the cost of vecprop's gradients grows with the examples m, the units n and the networks K."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

import vecprop as vp
from benchmarks.harness.workloads import Workload
from vecprop.inspection.benchmark import sample

SWEEPS: dict[str, tuple[int, ...]] = {
    "m": (10, 100, 1_000, 10_000, 100_000, 1_000_000),
    "n": (4, 16, 64, 256, 1024, 4096),
    "K": (1, 4, 16, 64, 256),
}
TINY_SWEEPS: dict[str, tuple[int, ...]] = {"m": (5, 10), "n": (2, 4), "K": (1, 2)}
TITLES = {
    "m": "30-100-2, m examples",
    "n": "64-n-1, 1 000 examples",
    "K": "K networks 30-16-1, 32 examples",
}


def gradient_pass(backend: str, sweep: str, value: int) -> Callable[[], None]:
    sizes, m = {
        "m": ((30, 100, 2), value),
        "n": ((64, value, 1), 1_000),
        "K": ((30, 16, 1), 32),
    }[sweep]
    work = Workload(sweep, sizes, "tanh", "softmax" if sizes[-1] > 1 else "sigmoid", m, m)
    net, data, target = work.network(), work.draw(), vp.get_backend(backend)
    params = net.init(seed=range(value) if sweep == "K" else 0, dtype="float32", backend=target)
    X, Y = target.asarray(np.ascontiguousarray(data.rows.T)), target.asarray(data.columns)

    def one_pass() -> None:
        _, grads = net.gradients(params, X, Y)
        for layer in grads:
            target.synchronize(layer.W)

    return one_pass


def measure(
    backends: Iterable[str], budget: float, sweeps: Mapping[str, tuple[int, ...]] = SWEEPS
) -> Iterator[dict[str, Any]]:
    """Yield, for each sweep, backend and value, the median seconds of a pass, about `budget` seconds spent on each."""
    for sweep, values in sweeps.items():
        for value in values:
            for backend in backends:
                one_pass = gradient_pass(backend, sweep, value)
                one_pass()  # compiles
                seconds = statistics.median(sample([one_pass], budget, least_runs=3)[0])
                yield {"sweep": sweep, "value": value, "backend": backend, "seconds": seconds}
