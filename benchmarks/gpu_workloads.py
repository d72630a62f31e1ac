"""What is measured on a GPU, in the size that is meant and in a tiny one, and what is wanted of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeVar

from gpu_bounds import Needs, pass_needs, step_needs
from peer_workloads import Ensemble, FullGradient, Training

Work = TypeVar("Work", "Steps", "Stack", "Pass")


@dataclass(frozen=True)
class Steps(Training):
    """Training with Adam; what is reported is a step, as a share of a whole epoch."""

    precision: str = "highest"

    def needs(self) -> Needs:
        """Return what a step needs at least."""
        return step_needs(self.sizes, min(self.batch_size, self.m), gathers=not self.full_batch)


@dataclass(frozen=True)
class Stack(Ensemble):
    """K networks at once, each from its own seed."""

    precision: str = "highest"

    def needs(self) -> Needs:
        """Return what a step of all networks needs at least."""
        return step_needs(self.sizes, min(self.batch_size, self.m), not self.full_batch, self.networks)


@dataclass(frozen=True)
class Pass(FullGradient):
    """The cost and its gradients over all examples."""

    precision: str = "highest"

    def needs(self) -> Needs:
        """Return what a pass needs at least."""
        return pass_needs(self.sizes, self.m)


def _mnist(batch: int, m: int, precision: str = "highest") -> Steps:
    name = f"784-128-10 batch {batch}" + (" TF32" if precision == "fast" else "")
    return Steps(name, (784, 128, 10), "relu", "softmax", m, batch, precision=precision)


def _large(precision: str) -> Steps:
    name = "1024-4096-1000 batch 8192" + (" TF32" if precision == "fast" else "")
    return Steps(name, (1024, 4096, 1000), "relu", "softmax", 32_768, 8192, precision=precision)


# whole batches only: a smaller last one is one more program to compile for whoever compiles
STEPS = (
    Steps("2-4-1 batch 128", (2, 4, 1), "tanh", "sigmoid", 12_800, 128),
    _mnist(128, 61_440),
    _mnist(1024, 61_440),
    _mnist(60_000, 60_000),
    _mnist(60_000, 60_000, "fast"),
    _large("highest"),
    _large("fast"),
)
STACKS = (Stack("1000 × 2-16-1 batch 64", (2, 16, 1), "tanh", "sigmoid", 4096, 64, networks=1000),)
PASSES = tuple(
    Pass(f"gradient {label} m {m}", sizes, m)
    for label, sizes, counts in (
        ("2-4-1", (2, 4, 1), (100_000, 1_000_000, 10_000_000)),
        ("16-64-1", (16, 64, 1), (1_000_000, 10_000_000)),
    )
    for m in counts
)
WORKLOADS = {work.name: work for work in (*STEPS, *STACKS, *PASSES)}
# whose memory is measured
HEAVY = ("784-128-10 batch 60000", "1024-4096-1000 batch 8192", "gradient 16-64-1 m 10000000")
LADDER_SIZES = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
TINY_LADDER_SIZES = (1, 100)


def tiny(work: Work) -> Work:
    """Return a workload that any processor does in no time, to see that everything runs; its figures mean nothing.

    >>> tiny(WORKLOADS["784-128-10 batch 128"]).m
    96
    """
    if isinstance(work, Pass):
        return replace(work, m=max(50, work.m // 50_000))
    sizes = tuple(min(n, 12) for n in work.sizes)
    m = 96
    small = replace(work, sizes=sizes, m=m, batch_size=m if work.full_batch else m // 3)
    return replace(small, networks=5) if isinstance(small, Stack) else small


class Target(NamedTuple):
    """What is wanted of one contestant at one workload.

    Attributes
    ----------
    workload, ours : str
    measure : str
        "seconds" a step may take at most, the share of the "products" rate or of the "bandwidth" that is wanted at
        least, or how many "times" as fast as `theirs` it has to be at least.
    wanted : float
    theirs : str
        For "times".
    """

    workload: str
    ours: str
    measure: Literal["seconds", "products", "bandwidth", "times"]
    wanted: float
    theirs: str = ""


_OURS = ("vecprop-cupy", "vecprop-jax")
_SMALL = ("2-4-1 batch 128", "784-128-10 batch 128")

TARGETS = (
    Target("784-128-10 batch 128", "vecprop-jax", "seconds", 25e-6),
    Target("784-128-10 batch 128", "vecprop-cupy", "seconds", 120e-6),
    *(
        target
        for ours in _OURS
        for target in (
            Target("784-128-10 batch 60000", ours, "products", 0.6),
            Target("784-128-10 batch 60000 TF32", ours, "bandwidth", 0.6),
            Target("1024-4096-1000 batch 8192", ours, "products", 0.8),
            Target("1024-4096-1000 batch 8192 TF32", ours, "products", 0.6),
        )
    ),
    *(Target(work.name, ours, "times", 1.0, "torch") for work in (*STEPS, *PASSES) for ours in _OURS),
    *(Target(name, ours, "times", 1.0, "torch-compile") for name in _SMALL for ours in _OURS),
    *(Target(STACKS[0].name, f"vecprop-{b}", "times", 200.0, f"singles-{b}") for b in ("cupy", "jax")),
)
