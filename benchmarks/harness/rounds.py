"""Contestants in turns, each checked before it is timed: who computes something else is not timed."""

from __future__ import annotations

import gc
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import vecprop as vp
from gpu_contestants import SharedStackSteps, StackSteps, VecpropSteps, on, products_in
from gpu_workloads import Pass, Stack
from peer_gradients import VecpropPass
from peer_report import Row
from peer_trainers import Pairs, UnavailableError, draw_start

# How far a cost may be off, as a share of what the training has changed it by; TensorFloat-32 has 10 bits.
_TRAINING_BOUND = {"highest": 0.01, "fast": 0.05}
_GRADIENT_BOUND = 1e-3
_JUDGED = 1024  # examples that the cost is computed of


class DifferentError(Exception):
    """A contestant that computes something else than the reference."""


@dataclass
class Cell(Row):
    """A row of a GPU's benchmark.

    Attributes
    ----------
    difference : float or None
        How far its cost was off in the check, as a share of what training changes it by; of gradients the relative
        error of the worst array.
    transfer : float or None
        Seconds in which its examples came to the device.
    """

    difference: float | None = None
    transfer: float | None = None


class TimeLimit:
    """A number of seconds from its making on; None is no limit."""

    def __init__(self, seconds: float | None) -> None:
        self.end = None if seconds is None else time.perf_counter() + seconds

    def require(self) -> None:
        """Raise UnavailableError where the time is over."""
        if self.end is not None and time.perf_counter() > self.end:
            raise UnavailableError("the time limit was reached")


def compare(
    work: Any,
    kinds: Mapping[str, Callable[..., Any]],
    rounds: int,
    seconds: float,
    limit: TimeLimit,
    cells: list[Cell],
    save: Callable[[], object] = lambda: None,
) -> None:
    """Add a cell for each contestant to `cells`; all that are alike have their turn in every round.

    `seconds` is for each contestant, over all rounds; `save` is called after each measurement.
    """
    data, check = work.draw(), Reference(work)
    new = {name: Cell(work.name, name, work.steps) for name in kinds}
    cells += new.values()
    ready = {}
    for name, cell in new.items():
        with _reason_instead(cell), products_in(work.precision):
            limit.require()
            ready[name] = _prepared(kinds[name](work, data), cell, check, data, seconds / rounds)
        save()
    _take_turns(ready, new, rounds, work, limit)
    save()
    ready.clear()
    release(kinds)


def _prepared(contestant: Any, cell: Cell, check: Reference, data: Any, seconds: float) -> tuple[Any, int]:
    """Return a contestant that has compiled and has been checked, and how many epochs fill so many seconds."""
    cell.transfer = getattr(contestant, "transfer", None)
    cell.first = _first_call(contestant)
    cell.difference = check.difference(contestant, data)
    return contestant, _epochs_in(contestant, seconds)


def _take_turns(ready: dict[str, Any], cells: dict[str, Cell], rounds: int, work: Any, limit: TimeLimit) -> None:
    for number in range(rounds):
        order = [name for name in ready if not cells[name].reason]
        turn = number % max(1, len(order))
        if number:
            try:
                limit.require()
            except UnavailableError:
                return  # all have the same number of rounds
        for name in order[turn:] + order[:turn]:
            contestant, epochs = ready[name]
            with _reason_instead(cells[name]), products_in(work.precision):
                timed = contestant.train(epochs)
                cells[name].seconds.append(timed.seconds / work.steps)
                if timed.wall is not None:
                    cells[name].wall.append(timed.wall / work.steps)


def _first_call(contestant: Any) -> float:
    """Return the seconds of the first call, which compiles."""
    begin = time.perf_counter()
    first = contestant.train(1).first
    return time.perf_counter() - begin if first is None else first


def _epochs_in(contestant: Any, seconds: float) -> int:
    """Return how many epochs a contestant does in so many seconds."""
    share = getattr(contestant, "trained", 1)  # of K networks one after the other, so many are really trained
    estimate = contestant.train(1).seconds * (share / getattr(contestant.work, "networks", 1) if share > 1 else 1)
    return max(1, min(50_000, math.floor(seconds / estimate)))


@contextmanager
def _reason_instead(cell: Cell) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the reason
        cell.seconds, cell.wall, cell.first = [], [], None
        line = (str(error).strip().splitlines() or [""])[0][:200]
        known = isinstance(error, UnavailableError | DifferentError)
        cell.reason = line if known else f"{type(error).__name__}: {line}"


class Reference:
    """What vecprop computes on NumPy from the same parameters over the same batches."""

    def __init__(self, work: Any) -> None:
        self.work = work
        self._known: dict[type, Any] = {}

    def difference(self, contestant: Any, data: Any) -> float:
        """Return how far a contestant is off, or raise DifferentError."""
        is_pass = isinstance(self.work, Pass)
        found = self._of_pass(contestant, data) if is_pass else self._of_training(contestant, data)
        bound = _GRADIENT_BOUND if is_pass else _TRAINING_BOUND[self.work.precision]
        if not found <= bound:
            what = "its gradients are" if is_pass else "its cost after training is"
            raise DifferentError(f"not timed: {what} off by {found:.2g}, and {bound:g} is allowed")
        return found

    def _of_pass(self, contestant: Any, data: Any) -> float:
        if VecpropPass not in self._known:
            ours = on("numpy", VecpropPass)(self.work, data)
            ours.train(1)
            self._known[VecpropPass] = _arrays_of(ours)
        contestant.train(1)
        wanted = self._known[VecpropPass]
        least = 1e-3 * max(map(np.linalg.norm, wanted))  # an array of hardly anything but rounding
        pairs = zip(_arrays_of(contestant), wanted, strict=True)
        return max(float(np.linalg.norm(a - w) / max(np.linalg.norm(w), least)) for a, w in pairs)

    def _of_training(self, contestant: Any, data: Any) -> float:
        kind = VecpropSteps
        if isinstance(self.work, Stack):
            kind = SharedStackSteps if isinstance(contestant, SharedStackSteps) else StackSteps
        epochs = 3 if self.work.full_batch else 1
        start = draw_starts(self.work)
        if kind not in self._known:
            ours = on("numpy", kind)(self.work, data)
            self._known[kind] = self._cost(start, data), self._cost(ours.train_exactly(epochs, start), data)
        before, wanted = self._known[kind]
        found = self._cost(trained(contestant, epochs, start), data)
        # of networks one after the other there are only the first few; among many one may have hardly changed
        return float(np.max(np.abs(found - wanted[: found.size])) / np.mean(np.abs(wanted - before)))

    def _cost(self, params: Pairs, data: Any) -> np.ndarray:
        """Return the cost of some examples, in float64, one for each network."""
        some = slice(0, _JUDGED // 4 if isinstance(self.work, Stack) else _JUDGED)
        layers = [tuple(np.asarray(a, dtype=np.float64) for a in layer) for layer in params]
        X, Y = (np.asarray(a[:, some], dtype=np.float64) for a in (data.rows.T, data.columns))
        return np.atleast_1d(self.work.network().cost(layers, X, Y))


def trained(contestant: Any, epochs: int, start: Pairs) -> Pairs:
    """Return a contestant's parameters after so many epochs from `start`, over the batches of seed 0."""
    if hasattr(contestant, "train_exactly"):
        return contestant.train_exactly(epochs, start)
    contestant.order = lambda number: vp.utils.random_streams.shuffle(0, number, contestant.work.m)
    contestant.begin(start)
    for number in range(epochs):
        contestant.epoch(number)
    contestant.finish()
    contestant.order = None  # from now on it shuffles as it likes
    return contestant.parameters()


def draw_starts(work: Any) -> Pairs:
    """Return parameters to start from; for K networks a stack of K."""
    if not isinstance(work, Stack):
        return draw_start(work.sizes)
    each = [draw_start(work.sizes, seed) for seed in range(work.networks)]
    return [tuple(np.stack(arrays) for arrays in zip(*layers, strict=True)) for layers in zip(*each, strict=True)]


def _arrays_of(contestant: Any) -> list[np.ndarray]:
    """Return the cost of a pass and its gradients, in float64."""
    gradients = [np.asarray(a, dtype=np.float64) for layer in contestant.parameters() for a in layer]
    return [np.asarray([float(contestant.cost)]), *gradients]


def release(names: Iterable[str]) -> None:
    """Give the device's memory back that the libraries keep."""
    gc.collect()
    for name in {n.rpartition("-")[2] for n in names if n.startswith("vecprop-")}:
        vp.get_backend(name).release_memory()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
