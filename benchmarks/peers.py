"""vecprop against what one would take instead: the same networks, data, batches and optimizer, measured in turns.

    python benchmarks/peers.py --out benchmarks/results/peers.json --picture vecprop-bench/peers.png
    python benchmarks/peers.py --only 30-100-2 --peers vecprop-numpy,torch --rounds 3 --budget 1

A library that is not installed is left out with the reason. What is timed is the steady state: everything has been
compiled before, and what the first call took is reported beside it.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# Keras reads it when it is imported; here that is before any of the libraries is.
os.environ.setdefault("KERAS_BACKEND", "jax")

import peer_accuracy
import peer_gradients
import peer_keras
import peer_optax
import peer_sklearn
import peer_torch
import peer_vecprop
import vecprop as vp
from peer_growth import SWEEPS, draw_growth, measure_growth
from peer_memory import extra_memory
from peer_quiet import Neighbours
from peer_report import OURS, Comparison, Row, draw_ratios
from peer_trainers import Timed, UnavailableError
from peer_workloads import WORKLOADS, Accuracy, Ensemble, FullGradient, Training
from vecprop.backend.blas import usable_cores
from vecprop.inspection.benchmark_report import describe_environment

TRAINERS: dict[str, Callable[..., Any]] = {
    "vecprop-numpy": peer_vecprop.VecpropTrainer,
    "vecprop-jax": peer_vecprop.VecpropJaxTrainer,
    "products-numpy": peer_vecprop.ProductsTrainer,
    "products-jax": peer_vecprop.ProductsJaxTrainer,
    "sklearn": peer_sklearn.SklearnTrainer,
    "torch": peer_torch.TorchTrainer,
    "torch-fused": peer_torch.TorchFusedTrainer,
    "torch-compile": peer_torch.TorchCompiledTrainer,
    "keras": peer_keras.KerasTrainer,
    "optax-step": peer_optax.OptaxStepTrainer,
    "optax-scan": peer_optax.OptaxScanTrainer,
}
PASSES: dict[str, Callable[..., Any]] = {
    "vecprop-numpy": peer_gradients.VecpropPass,
    "vecprop-jax": peer_gradients.VecpropJaxPass,
    "plain-numpy": peer_gradients.PlainNumpyPass,
    "torch": peer_gradients.TorchPass,
    "jax": peer_gradients.JaxPass,
}
STACKS: dict[str, Callable[..., Any]] = {
    "vecprop-numpy": peer_vecprop.StackTrainer,
    "vecprop-jax": peer_vecprop.StackJaxTrainer,
    "singles-numpy": peer_vecprop.SinglesTrainer,
    "singles-jax": peer_vecprop.SinglesJaxTrainer,
}
RUNS: dict[str, Callable[..., Any]] = {
    "vecprop-numpy": peer_accuracy.VecpropAccuracy,
    "vecprop-jax": peer_accuracy.VecpropJaxAccuracy,
    "sklearn": peer_accuracy.SklearnAccuracy,
    "torch": peer_accuracy.TorchAccuracy,
    "keras": peer_accuracy.KerasAccuracy,
    "optax-step": peer_accuracy.OptaxStepAccuracy,
    "optax-scan": peer_accuracy.OptaxScanAccuracy,
}
PEERS = tuple(dict.fromkeys([*TRAINERS, *PASSES, *STACKS, *RUNS]))
LIBRARIES = ("scikit-learn", "torch", "keras", "jax", "jaxlib", "optax", "scipy", "threadpoolctl")


def contestants(work: Any) -> dict[str, Callable[..., Any]]:
    """Return, by name, who takes part in a workload."""
    kinds = ((Ensemble, STACKS), (Training, TRAINERS), (FullGradient, PASSES), (Accuracy, RUNS))
    return next(peers for kind, peers in kinds if isinstance(work, kind))


def make(work: Any, peer: str, data: Any) -> Any:
    """Return a contestant, ready for its first call."""
    kind = contestants(work)[peer]
    return kind(work) if isinstance(work, Accuracy) else kind(work, data)


def compare(work: Any, peers: Sequence[str], rounds: int, budget: float) -> list[Row]:
    """Return a row for each contestant: in every round each of them has its turn, in an order that turns too."""
    data = None if isinstance(work, Accuracy) else work.draw()
    rows = {peer: Row(work.name, peer, work.steps) for peer in contestants(work) if peer in peers}
    ready = {}
    for peer, row in rows.items():
        with _reason_instead(row):
            ready[peer] = _warm_up(make(work, peer, data), row, budget / rounds)
    gc.collect()
    for number in range(rounds):
        order = [peer for peer in ready if not rows[peer].reason]
        turn = number % max(1, len(order))
        for peer in order[turn:] + order[:turn]:
            train, epochs = ready[peer]
            with _reason_instead(rows[peer]):
                _note(rows[peer], train(epochs))
    return list(rows.values())


@contextmanager
def _reason_instead(row: Row) -> Iterator[None]:
    """Give a row a reason in place of its times where a library raises, so that the others still have theirs."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the reason
        row.seconds, row.wall = [], []
        lines = str(error).strip().splitlines() or [""]
        known = isinstance(error, UnavailableError)
        row.reason = lines[0][:200] if known else f"{type(error).__name__}: {lines[0][:200]}"


def _warm_up(trainer: Any, row: Row, seconds: float) -> tuple[Callable[[int], Timed], int]:
    """Run a contestant twice, once to compile and once for an estimate; return how many epochs fill so many seconds."""
    if isinstance(trainer, peer_accuracy.TimeToAccuracy):
        return trainer.train, 1  # each run is a first one
    begin = time.perf_counter()
    first = trainer.train(1)
    row.first = time.perf_counter() - begin if first.first is None else first.first
    estimate = trainer.train(1).seconds
    return trainer.train, max(1, min(50_000, math.floor(seconds / estimate)))


def _note(row: Row, timed: Timed) -> None:
    row.seconds.append(timed.seconds / row.steps)
    if timed.wall is not None:
        row.wall.append(timed.wall / row.steps)


def measure_memory(work: Any, rows: Sequence[Row]) -> None:
    """Write into each row what its training needs, each measured in a process of its own."""
    for row in rows:
        if row.seconds:
            command = [sys.executable, __file__, "--memory-of", row.peer, "--only", work.name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            lines = done.stdout.strip().splitlines()
            row.memory = json.loads(lines[-1]) if done.returncode == 0 and lines else None


def memory_of(work: Any, peer: str) -> int:
    """Return the bytes that one contestant's first calls need, above imports and data."""

    def prepare() -> Callable[[], object]:
        data = None if isinstance(work, Accuracy) else work.draw()
        small = work if isinstance(work, Accuracy) else work.shrunk(8)
        make(small, peer, data if small is work else small.draw())  # imports
        return lambda: make(work, peer, data).train(1)

    return extra_memory(prepare)


def environment() -> dict[str, str]:
    """Return what the times depend on: versions, processor, threads, dtype."""
    usable = []
    for name in ("numpy", "jax"):
        try:
            usable.append(vp.get_backend(name))
        except vp.BackendError:
            continue
    about = describe_environment(usable)
    for library in LIBRARIES:
        try:
            about[library] = version(library)
        except PackageNotFoundError:
            continue
    return about | {"dtype": "float32", "threads": f"all {usable_cores()} usable cores"}


def run(arguments: argparse.Namespace) -> Comparison:
    """Measure what is asked for, with a table as soon as a workload is done."""
    comparison = Comparison([], environment())
    print(", ".join(f"{key} {value}" for key, value in comparison.environment.items()), flush=True)
    for name in arguments.only:
        work = WORKLOADS[name]
        neighbours = Neighbours()
        rows = compare(work, arguments.peers, arguments.rounds, arguments.budget)
        comparison.rows += rows
        comparison.neighbours[name] = neighbours.cores()
        if arguments.memory:
            measure_memory(work, rows)
        print("\n" + comparison.table(name), flush=True)
        if arguments.out:
            comparison.save(arguments.out)  # what has been measured is not lost if a later workload fails
    if arguments.growth:
        backends = [p.removeprefix("vecprop-") for p in OURS if p in arguments.peers]
        comparison.growth = measure_growth(backends, arguments.budget / 20, SWEEPS)
    print("\n" + comparison.verdicts(), flush=True)
    return comparison


def parse(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", type=_names(WORKLOADS), default=list(WORKLOADS), help="workloads, with commas")
    parser.add_argument("--peers", type=_names(PEERS), default=list(PEERS), help="libraries, with commas")
    parser.add_argument("--rounds", type=_positive(int), default=5, help="turns of each library (5)")
    parser.add_argument(
        "--budget", type=_positive(float), default=5.0, help="seconds for each library and workload (5)"
    )
    parser.add_argument("--memory", action="store_true", help="measure the memory too, in a process for each")
    parser.add_argument("--no-growth", dest="growth", action="store_false", help="leave out how the cost grows")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--picture", type=Path, help="PNG to draw; growth goes beside it, as …-growth.png")
    parser.add_argument("--memory-of", choices=PEERS, help=argparse.SUPPRESS)
    return parser.parse_args(given)


def _names(known: Any) -> Callable[[str], list[str]]:
    def split(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        wrong = [name for name in names if name not in known]
        if wrong or not names:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(wrong)}; known: {', '.join(known)}")
        return names

    return split


def _positive(kind: type) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"must be positive, got {text}")
        return value

    return read


def main(given: Sequence[str] | None = None) -> None:
    """Run the command."""
    arguments = parse(given)
    if arguments.memory_of:
        print(json.dumps(memory_of(WORKLOADS[arguments.only[0]], arguments.memory_of)))
        return
    comparison = run(arguments)
    if arguments.out:
        comparison.save(arguments.out)
    if arguments.picture:
        draw_ratios(comparison, arguments.picture)
        if comparison.growth:
            path = arguments.picture
            draw_growth(comparison.growth, path.with_name(f"{path.stem}-growth{path.suffix}"))


if __name__ == "__main__":
    main()
