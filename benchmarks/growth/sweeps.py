"""How the cost of vecprop's gradients grows with the examples m, the units n and the networks K."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from benchmarks.contestants import on
from benchmarks.contestants.vecprop import VecpropPass
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


# the workload of a value
_WORKS: dict[str, Callable[[int], Workload]] = {
    "m": lambda m: Workload("m", (30, 100, 2), "tanh", "softmax", m, m, part="gradient"),
    "n": lambda n: Workload("n", (64, n, 1), "tanh", "sigmoid", 1_000, 1_000, part="gradient"),
    "K": lambda K: Workload("K", (30, 16, 1), "tanh", "sigmoid", 32, 32, part="networks", networks=K),
}


def measure(
    backends: Iterable[str], budget: float, sweeps: Mapping[str, tuple[int, ...]] = SWEEPS
) -> Iterator[dict[str, Any]]:
    """Yield, for each sweep, backend and value, the median seconds of a pass, about `budget` seconds spent on each."""
    for sweep, values in sweeps.items():
        for value in values:
            for backend in backends:
                work = _WORKS[sweep](value)
                one_pass = partial(on(backend, VecpropPass)(work, work.draw()).epoch, 0)
                one_pass()  # compiles
                seconds = statistics.median(sample([one_pass], budget, least_runs=3)[0])
                yield {"sweep": sweep, "value": value, "backend": backend, "seconds": seconds}
