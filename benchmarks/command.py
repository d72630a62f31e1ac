"""vecprop against what one would take instead, and against what the device can do at all, on a CPU or on a GPU.

It needs NumPy and a backend; a library that is not installed is left out with the reason. The file is written after
each measurement. README.md has calls to begin with.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import vecprop as vp
from benchmarks.contestants import everybody
from benchmarks.harness.pictures import draw_all
from benchmarks.harness.report import Record
from benchmarks.harness.tables import text, write_page
from benchmarks.harness.workloads import WORKLOADS
from benchmarks.parts import BY_DEFAULT, PARTS, Run, say

BACKENDS = {"cpu": ("numpy", "jax"), "gpu": ("cupy", "jax")}
_SECONDS = {"cpu": 5.0, "gpu": 0.6}


def parse(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    several: dict[str, Any] = {"action": "extend", "metavar": "NAME"}
    add("--device", choices=BACKENDS, default="cpu")
    add(
        "--part", **several, type=_names(PARTS), help="a part, or several with commas; those of the device unless given"
    )
    add("--backend", **several, type=_names(("numpy", "cupy", "jax")), help="of vecprop")
    add("--only", **several, type=_names(WORKLOADS), help="a workload")
    add("--contestant", "--peers", **several, type=_names(everybody()), help="who takes part, torch-graph for example")
    add("--rounds", type=_positive(int), default=5, help="turns of each contestant (5)")
    add("--seconds", "--budget", type=_positive(float), help="for each contestant and workload (CPU 5, GPU 0.6)")
    add("--limit", type=_positive(float), help="seconds after which nothing new is begun")
    add("--tiny", action="store_true", help="tiny sizes, on any machine: does everything run?")
    add("--out", type=Path, help="JSON file to write")
    add("--add", action="store_true", help="keep what the file has of other parts and workloads")
    add("--read", type=Path, help="measure nothing: tables and pictures of such a file")
    add("--page", type=Path, help="a Markdown page with two marks, to put the tables between")
    add("--pictures", type=Path, help="a folder to draw into")
    arguments = parser.parse_args(given)
    arguments.seconds = arguments.seconds or (0.005 if arguments.tiny else _SECONDS[arguments.device])
    return arguments


def _names(known: Any) -> Callable[[str], list[str]]:
    def split(words: str) -> list[str]:
        # the names of some workloads have a comma themselves
        names = [words] if words in known else [name.strip() for name in words.split(",") if name.strip()]
        wrong = [name for name in names if name not in known]
        if wrong or not names:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(wrong)}; known: {', '.join(known)}")
        return names

    return split


def _positive(kind: type) -> Callable[[str], Any]:
    def read(value: str) -> Any:
        number = kind(value)
        if not number > 0:
            raise argparse.ArgumentTypeError(f"must be positive, got {value}")
        return number

    return read


def usable_backends(arguments: argparse.Namespace) -> list[str]:
    """Return the backends that compute on the device, or any that can be used, and say why others are left out."""
    usable = []
    for name in arguments.backend or BACKENDS[arguments.device]:
        try:
            backend = vp.get_backend(name)
        except vp.BackendError as error:
            say(f"{name} is left out: {error}")
            continue
        if backend.has_gpu or arguments.device == "cpu" or arguments.tiny:
            usable.append(name)
        else:
            say(f"{name} is left out: it computes on the CPU here; --tiny looks whether everything runs")
    if not usable:
        raise SystemExit("no backend to measure; on a machine without a GPU: --backend numpy --backend jax --tiny")
    return usable


def measure(arguments: argparse.Namespace) -> Record:
    run = Run(arguments)
    for part in arguments.part or BY_DEFAULT[arguments.device]:
        if run.limit.reached:
            say(f"-- {part} is left out: the time limit was reached")
            continue
        begin = time.perf_counter()
        PARTS[part](run)
        run.save()
        say(f"-- {part}: {time.perf_counter() - begin:.0f} s")
    return run.record


def main(given: Sequence[str] | None = None) -> None:
    arguments = parse(given)
    if given is None and arguments.device == "cpu":  # a process of its own: no library is to see a GPU
        os.environ |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    if arguments.read:
        record = Record.load(arguments.read)
    else:
        arguments.backend = usable_backends(arguments)
        record = measure(arguments)
    if arguments.page:
        write_page(arguments.page, record)
    else:
        say("\n" + text(record))
    for path in draw_all(record, arguments.pictures) if arguments.pictures else ():
        say(f"drawn: {path}")
