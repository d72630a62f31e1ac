"""The cells that `vecprop bench` measures (E13), one benchmark each, compared and stored by pytest-benchmark."""

from functools import lru_cache
from itertools import product
from typing import Any

import pytest

from vecprop import Backend
from vecprop.backend.selection import known_names
from vecprop.inspection.benchmark import (
    DTYPES,
    NETWORKS,
    PASSES,
    RUNGS,
    SIZES,
    Workload,
    cap_loop,
    describe_environment,
)

LOOPS = RUNGS[:-1]


def cells() -> list[Any]:
    """Return the parameters of every cell, those on the same data side by side; the quick ones marked as smoke."""
    params = []
    for backend, network, dtype, m, pass_name, rung in product(known_names(), NETWORKS, DTYPES, SIZES, PASSES, RUNGS):
        # One neuron after the other, 784-128-10 takes JAX seconds even for one example.
        quick = m == 10 and (network == "2-4-1" or (rung != "per_neuron" and dtype == "float32"))
        name = f"{backend}-{network}-{dtype}-{pass_name}-{rung}-m{m}"
        marks = [pytest.mark.smoke] if quick else []
        params.append(pytest.param(backend, network, dtype, m, pass_name, rung, id=name, marks=marks))
    return params


@lru_cache(maxsize=1)  # the next cell wants the same data, or never again
def workload(backend: Backend, network: str, dtype: str, m: int) -> Workload:
    return Workload(backend, NETWORKS[network], dtype, m)


# rounds of 2 ms or more
@pytest.mark.benchmark(min_time=2e-3, min_rounds=3, max_time=0.5)
@pytest.mark.parametrize(("backend", "network", "dtype", "m", "pass_name", "rung"), cells(), indirect=["backend"])
def test_rung(
    backend: Backend, benchmark: Any, budget: float, network: str, dtype: str, m: int, pass_name: str, rung: str
) -> None:
    if rung == "per_example_compiled" and not backend.compiles:
        pytest.skip(f"the {backend.name} backend does not compile")
    work = workload(backend, network, dtype, m)
    with work.scope():
        if rung in LOOPS and (cap := cap_loop(work, pass_name, rung, budget)).m < m:
            pytest.skip(
                f"{rung}: about {cap.seconds * m:.3g} s a pass for m = {m}, over the cap of {budget:g} s (--budget), "
                f"which allows m = {cap.m}; `vecprop bench` measures that many and extrapolates"
            )
        call = work.call(pass_name, rung)
        call()  # compiles
        benchmark.group = f"{backend.name} {network} {dtype} {pass_name} m = {m}"
        benchmark.extra_info.update(
            backend=backend.name, network=network, dtype=dtype, m=m, pass_name=pass_name, rung=rung
        )
        benchmark.extra_info["environment"] = describe_environment([backend])
        benchmark(call)
