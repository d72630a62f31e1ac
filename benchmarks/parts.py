"""The parts of a run: one for each question."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.contestants import NOT_BY_DEFAULT, contestants
from benchmarks.contestants.base import UnavailableError, products_in
from benchmarks.devices import ceilings
from benchmarks.devices.memory import Memory, in_its_own_process, memory_of
from benchmarks.growth import sweeps
from benchmarks.harness.environment import Neighbours, environment
from benchmarks.harness.report import Record
from benchmarks.harness.rounds import TimeLimit, compare, release
from benchmarks.harness.tables import rows_table
from benchmarks.harness.workloads import DEVICES, HEAVY, WORKLOADS, PublicTable
from vecprop.inspection.benchmark import NETWORKS, Workload, measure_cell
from vecprop.inspection.benchmark_report import duration

LADDER_SIZES = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
TINY_LADDER_SIZES = (1, 100)
# the operands of the products, and the numbers that are copied
CEILINGS = {
    "cpu": {"n": 2048, "count": 1 << 24},
    "gpu": {"n": 8192, "count": 1 << 28},
    "tiny": {"n": 128, "count": 1 << 16},
}
_MEMORY_SECONDS = {"cpu": 300.0, "gpu": 60.0}
_MEMORY_ONLY_IF_ASKED = ("torch-fused", "torch-compile")  # they need what torch needs, and compile for minutes


class Run:
    """One run of the benchmark: what was asked for, what has been found."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.limit = arguments, TimeLimit(arguments.limit)
        out = arguments.out
        self.record = Record.load(out) if out and arguments.add and out.exists() else Record()
        self.record.environment, self.record.tiny = environment(arguments.backend), arguments.tiny
        self.record.device = arguments.device

    def save(self) -> None:
        if self.arguments.out:
            self.record.save(self.arguments.out)

    def works(self, part: str) -> list[Any]:
        """Return the workloads of a part that were asked for, those of the device unless they were named."""
        asked = [WORKLOADS[name] for name in self.arguments.only or ()] or DEVICES[self.arguments.device]
        found = [as_asked(work, self.arguments) for work in asked if work.part == part]
        return found[:2] if self.arguments.tiny and found and isinstance(found[0], PublicTable) else found

    def chosen(self, work: Any) -> dict[str, Callable[..., Any]]:
        """Return who takes part in a workload."""
        known = contestants(work, self.arguments.backend)
        asked = self.arguments.contestant or set(known).difference(NOT_BY_DEFAULT[self.arguments.device])
        return {name: kind for name, kind in known.items() if name in asked}

    def compared(self, part: str) -> None:
        """Measure the workloads of a part, all contestants in turns."""
        arguments, record = self.arguments, self.record
        for work in self.works(part):
            needs = work.needs()
            if needs is not None:
                record.needs[work.name] = needs, work.precision
            record.rows = [row for row in record.rows if row.workload != work.name]
            neighbours, who = Neighbours(), self.chosen(work)
            compare(work, who, arguments.rounds, arguments.seconds, self.limit, record.rows, self.save)
            record.neighbours[work.name] = neighbours.cores()
            say("\n" + rows_table(record, work.name))

    def ceilings(self) -> None:
        self.record.ceilings = []
        sizes = CEILINGS["tiny" if self.arguments.tiny else self.arguments.device]
        for found in ceilings.measure([*self.arguments.backend, "torch"], **sizes, require=self.limit.require):
            self.record.ceilings.append(found)
            self.save()
            say(f"{found.library} {found.what}: {found.reason or format(found.value, '.3g')}")

    def growth(self) -> None:
        """Measure the gradients against m, n and K."""
        self.record.growth = []
        asked = sweeps.TINY_SWEEPS if self.arguments.tiny else sweeps.SWEEPS
        for found in sweeps.measure(self.arguments.backend, self.arguments.seconds / 20, asked):
            self.record.growth.append(found)
            self.save()
            say("{sweep} {value} {backend}: ".format(**found) + duration(found["seconds"]))
            if self.limit.reached:
                say("the rest of how the cost grows is left out: the time limit was reached")
                break

    def loop(self) -> None:
        """Measure the loop over the examples and the vectorized pass on NumPy and every backend."""
        self.record.ladder = []
        for label, net in NETWORKS.items():
            for m in TINY_LADDER_SIZES if self.arguments.tiny else LADDER_SIZES:
                for backend in dict.fromkeys(["numpy", *self.arguments.backend]):
                    self._rungs(f"{label} m {m} {backend}", partial(Workload, backend, net, "float32", m))
                    release([f"vecprop-{backend}"])

    def _rungs(self, label: str, make: Callable[[], Workload]) -> None:
        try:
            self.limit.require()
            work = make()
            for rung in ("per_example", "vectorized"):
                row = measure_cell(work, "gradients", rung, 0.002 if self.arguments.tiny else 0.2)
                self.record.ladder.append(row)
                self.save()
                say(f"{label} {rung}: {duration(row.seconds)}")
        except Exception as error:  # noqa: BLE001 - what does not fit into memory is left out, whoever says so
            say(f"{label} is left out: {error}")

    def memory(self) -> None:
        """Measure the memory of the workloads named, or of the heavy ones, each contestant in a process of its own."""
        arguments = self.arguments
        self.record.memory = []
        for name in arguments.only or HEAVY[arguments.device]:
            for peer in self.chosen(WORKLOADS[name]):
                if peer in _MEMORY_ONLY_IF_ASKED and not arguments.contestant:
                    continue
                found, reason = Memory(None, None), ""
                try:
                    self.limit.require()
                    found = in_its_own_process(_MEMORY_SECONDS[arguments.device], memory_at, peer, name, arguments)
                except UnavailableError as error:
                    reason = str(error)
                self.record.memory.append({"workload": name, "peer": peer, **found._asdict(), "reason": reason})
                self.save()
                say(f"{name}  {peer}: {reason or found}")


def as_asked(work: Any, arguments: argparse.Namespace) -> Any:
    """Return a workload, tiny if that was asked; on a GPU the data are there before the clock starts."""
    return replace(work.tiny() if arguments.tiny else work, resident=arguments.device == "gpu")


def memory_at(peer: str, name: str, arguments: argparse.Namespace) -> Memory:
    """Return the memory of a contestant at a workload, in this process."""
    work = as_asked(WORKLOADS[name], arguments)
    kind = contestants(work, arguments.backend)[peer]
    with products_in(work.precision):
        return memory_of(peer, arguments.device, lambda: kind(work, work.draw()))


def say(line: str) -> None:
    print(line, flush=True)


PARTS: dict[str, Callable[[Run], None]] = {
    "ceilings": Run.ceilings,
    **{part: partial(Run.compared, part=part) for part in dict.fromkeys(work.part for work in WORKLOADS.values())},
    "growth": Run.growth,
    "loop": Run.loop,
    "memory": Run.memory,
}
# the others can be asked for; on the CPU `vecprop bench` has the loop
BY_DEFAULT = {
    "cpu": ("ceilings", "steps", "networks", "gradient", "accuracy", "growth", "memory"),
    "gpu": ("ceilings", "steps", "networks", "gradient", "loop", "memory"),
}
