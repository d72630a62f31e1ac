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


def gradient_pass(backend: str, sweep: str, value: int) -> Callable[[], None]:
    sizes, m, part, networks = {
        "m": ((30, 100, 2), value, "gradient", 1),
        "n": ((64, value, 1), 1_000, "gradient", 1),
        "K": ((30, 16, 1), 32, "networks", value),
    }[sweep]
    output = "softmax" if sizes[-1] > 1 else "sigmoid"
    work = Workload(sweep, sizes, "tanh", output, m, m, part=part, networks=networks)
    return partial(on(backend, VecpropPass)(work, work.draw()).epoch, 0)


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
