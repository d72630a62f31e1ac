"""vecprop on a GPU: against a loop, against PyTorch and JAX with optax, and against what the device can do at all.

    python benchmarks/gpu.py --out benchmarks/results/gpu.json                  # everything; some eight minutes
    python benchmarks/gpu.py --part steps --only "784-128-10 batch 128"         # a part
    python benchmarks/gpu.py --backend numpy --backend jax --tiny               # on any machine: does everything run?

It needs NumPy and a backend; PyTorch and optax are left out, with the reason, where they are not installed. The file is
written after each measurement. `gpu_report.py` makes tables and pictures of it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import gpu_ceilings
import gpu_contestants
import gpu_memory
import vecprop as vp
from gpu_report import Record, text
from gpu_rounds import TimeLimit, compare, release
from gpu_workloads import (
    HEAVY,
    LADDER_SIZES,
    PASSES,
    STACKS,
    STEPS,
    TINY_LADDER_SIZES,
    WORKLOADS,
    Pass,
    Stack,
    tiny,
)
from peer_trainers import UnavailableError
from vecprop.inspection.benchmark import NETWORKS, Workload, measure_cell
from vecprop.inspection.benchmark_report import describe_environment, duration

LIBRARIES = ("jaxlib", "torch", "optax")
_NOT_BY_DEFAULT = ("optax-step",)


def contestants(work: Any, backends: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """Return who can take part in a workload, by name."""
    if isinstance(work, Stack):
        return gpu_contestants.stacks(backends)
    return gpu_contestants.passes(backends) if isinstance(work, Pass) else gpu_contestants.trainers(backends)


def chosen(work: Any, arguments: argparse.Namespace) -> dict[str, Callable[..., Any]]:
    """Return who does take part."""
    known = contestants(work, arguments.backend)
    asked = arguments.contestant or [name for name in known if name not in _NOT_BY_DEFAULT]
    return {name: kind for name, kind in known.items() if name in asked}


class Run:
    """One run of the benchmark: what was asked for, what has been found."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.limit = arguments, TimeLimit(arguments.limit)
        out = arguments.out
        self.record = Record.load(out) if out and arguments.add and out.exists() else Record()
        self.record.environment, self.record.tiny = environment(arguments.backend), arguments.tiny

    def save(self) -> None:
        """Write what has been found so far."""
        if self.arguments.out:
            self.record.save(self.arguments.out)

    def works(self, kinds: Sequence[Any]) -> list[Any]:
        """Return the workloads of a part that were asked for, tiny if that was."""
        asked = [w for w in kinds if not self.arguments.only or w.name in self.arguments.only]
        return [tiny(w) for w in asked] if self.arguments.tiny else asked

    def compared(self, kinds: Sequence[Any]) -> None:
        """Measure workloads, each contestant in turns."""
        arguments = self.arguments
        for work in self.works(kinds):
            self.record.needs[work.name] = work.needs(), work.precision, work.steps
            before = [c for c in self.record.cells if c.workload != work.name]
            self.record.cells = before
            who = chosen(work, arguments)
            compare(work, who, arguments.rounds, arguments.seconds, self.limit, self.record.cells, self.save)
            for cell in (c for c in self.record.cells if c.workload == work.name):
                say(f"{work.name}  {cell.peer}: {cell.reason or duration(cell.median)}")

    def ceilings(self) -> None:
        """Measure what the device reaches."""
        names = [*self.arguments.backend, "torch"]
        self.record.ceilings = []

        def note(found: gpu_ceilings.Ceiling) -> None:
            self.record.ceilings.append(found)
            self.save()
            say(f"{found.library} {found.what}: {found.reason or format(found.value, '.3g')}")

        size: dict[str, int] = {"n": 128, "count": 1 << 16} if self.arguments.tiny else {}
        gpu_ceilings.measure(names, note=note, **size)

    def loop(self) -> None:
        """Measure the loop over the examples and the vectorized pass on NumPy and every backend."""
        budget = 0.002 if self.arguments.tiny else 0.2
        names = dict.fromkeys(["numpy", *self.arguments.backend])
        self.record.ladder = []
        for label, net in NETWORKS.items():
            for m in TINY_LADDER_SIZES if self.arguments.tiny else LADDER_SIZES:
                for backend in names:
                    self._rungs(f"{label} m {m} {backend}", partial(Workload, backend, net, "float32", m), budget)
                    release([f"vecprop-{backend}"])

    def _rungs(self, label: str, make: Callable[[], Workload], budget: float) -> None:
        try:
            self.limit.require()
            work = make()
            for rung in ("per_example", "vectorized"):
                self.record.ladder.append(measure_cell(work, "gradients", rung, budget))
                self.save()
                row = self.record.ladder[-1]
                say(f"{label} {rung}: {duration(row.seconds)}")
        except Exception as error:  # noqa: BLE001 - what does not fit into memory is left out, whoever says so
            say(f"{label} is left out: {error}")

    def memory(self) -> None:
        """Measure the device memory of the heavy workloads, each contestant in a process of its own."""
        options = [f"--backend={name}" for name in self.arguments.backend]
        options += ["--tiny"] if self.arguments.tiny else []
        self.record.memory = []
        for work in self.works([WORKLOADS[name] for name in HEAVY]):
            for peer in (p for p in chosen(work, self.arguments) if p not in ("torch-fused", "torch-compile")):
                found: Any
                try:
                    self.limit.require()
                    found = gpu_memory.in_its_own_process(peer, work.name, options)
                except UnavailableError as error:
                    found = str(error)
                known = isinstance(found, gpu_memory.DeviceMemory)
                before, peak = found if known else (None, None)
                about = {"workload": work.name, "peer": peer, "before": before, "peak": peak}
                self.record.memory.append({**about, "reason": "" if known else found})
                self.save()
                say(f"{work.name}  {peer}: memory {found}")


PARTS: dict[str, Callable[[Run], None]] = {
    "ceilings": Run.ceilings,
    "steps": lambda run: run.compared(STEPS),
    "networks": lambda run: run.compared(STACKS),
    "gradient": lambda run: run.compared(PASSES),
    "loop": Run.loop,
    "memory": Run.memory,
}


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def usable_backends(asked: Sequence[str] | None, on_any_device: bool) -> list[str]:
    """Return the backends that compute on a GPU, or any that can be used, and say why others are left out."""
    usable = []
    for name in asked or ("cupy", "jax"):
        try:
            backend = vp.get_backend(name)
        except vp.BackendError as error:
            say(f"{name} is left out: {error}")
            continue
        if backend.has_gpu or on_any_device:
            usable.append(name)
        else:
            say(f"{name} is left out: it computes on the CPU here; --tiny looks whether everything runs")
    return usable


def environment(backends: Sequence[str]) -> dict[str, str]:
    """Return what the times depend on: versions, devices, processor."""
    about = describe_environment([vp.get_backend(name) for name in dict.fromkeys(["numpy", *backends])])
    for library in LIBRARIES:
        try:
            about[library] = version(library)
        except PackageNotFoundError:
            continue
    return about


def memory_of(arguments: argparse.Namespace) -> gpu_memory.DeviceMemory:
    """Return the device memory of one contestant at one workload."""
    work = WORKLOADS[arguments.only[0]]
    work = tiny(work) if arguments.tiny else replace(work)
    kind = contestants(work, arguments.backend)[arguments.memory_of]
    with gpu_contestants.products_in(work.precision):
        return gpu_memory.memory_of(arguments.memory_of, lambda: kind(work, work.draw()))


def parse(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="a part; all of them unless given")
    parser.add_argument(
        "--backend", action="append", choices=("numpy", "cupy", "jax"), help="cupy and jax unless given"
    )
    parser.add_argument("--only", action="append", choices=WORKLOADS, metavar="WORKLOAD", help="a workload")
    parser.add_argument("--contestant", action="append", help="who takes part, torch-graph for example")
    parser.add_argument("--rounds", type=_positive(int), default=5, help="turns of each contestant (5)")
    parser.add_argument("--seconds", type=_positive(float), help="for each contestant at each workload (0.6)")
    parser.add_argument("--limit", type=_positive(float), help="seconds after which nothing new is begun")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, on any device: does everything run?")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--add", action="store_true", help="keep what the file has of other parts and workloads")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args(given)
    arguments.seconds = arguments.seconds or (0.005 if arguments.tiny else 0.6)
    return arguments


def _positive(kind: type) -> Callable[[str], Any]:
    def read(value: str) -> Any:
        number = kind(value)
        if not number > 0:
            raise argparse.ArgumentTypeError(f"must be positive, got {value}")
        return number

    return read


def main(given: Sequence[str] | None = None) -> None:
    """Run the command."""
    arguments = parse(given)
    arguments.backend = usable_backends(arguments.backend, arguments.tiny)
    if not arguments.backend:
        raise SystemExit("no backend to measure; on a machine without a GPU: --backend numpy --backend jax --tiny")
    if arguments.memory_of:
        print(json.dumps(memory_of(arguments)))
        return
    run = Run(arguments)
    for part in arguments.part or PARTS:
        begin = time.perf_counter()
        PARTS[part](run)
        run.save()
        say(f"-- {part}: {time.perf_counter() - begin:.0f} s")
    print("\n" + text(run.record), flush=True)


if __name__ == "__main__":
    main()
