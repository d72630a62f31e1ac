"""Contestants in turns, each checked before it is timed: who computes something else is not timed."""

import gc
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import vecprop as vp
from benchmarks.contestants import on
from benchmarks.contestants.base import Pairs, UnavailableError, draw_starts, first_line, products_in
from benchmarks.contestants.files import WindowTrainer
from benchmarks.contestants.vecprop import SharedStackTrainer, StackTrainer, VecpropPass, VecpropTrainer

# How far a cost may be off, as a share of what the training has changed it by; TensorFloat-32 has 10 bits.
_TRAINING_BOUND = {"highest": 0.01, "fast": 0.05}
_GRADIENT_BOUND = 1e-3
_PROBABILITY_BOUND = 1e-5
_JUDGED = 1024  # examples that the cost is computed of
_OF_EACH_ROUND = ("seconds", "history", "scores", "losses", "processor")  # of a row, in the order of a `Timed`
_FULL_BATCH = 256  # examples of the check of who shuffles as it likes


class DifferentError(Exception):
    """A contestant that computes something else than the reference."""


@dataclass
class Row:
    """One contestant at one workload."""

    workload: str
    peer: str
    steps: int = 1  # steps in an epoch
    # of one step (pass, run) by the clock, one for each round; all rows of a workload have the same rounds
    seconds: list[float] = field(default_factory=list)
    # the same as a library that keeps its own time has noted it: without checks, and without what lies between
    # calls
    history: list[float] = field(default_factory=list)
    first: float | None = None  # seconds of the first call, compilation in it
    # how far its cost was off in the check, as a share of what training changes it by; of gradients the relative
    # error of the worst array, of probabilities the largest error. None where it could not be checked.
    difference: float | None = None
    transfer: float | None = None  # seconds in which its examples came to the device
    # what each round's model reached on examples held out, where that is compared
    scores: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # the same as log-loss or root mean squared error
    processor: list[float] = field(default_factory=list)  # seconds of all cores together, one for each round
    reason: str = ""  # why there are no times

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def ratio_of(theirs: Row, ours: Row) -> float:
    """Return the median over the rounds of their time over ours: a slow minute slows both."""
    return statistics.median(a / b for a, b in zip(theirs.seconds, ours.seconds, strict=True))


class TimeLimit:
    """A number of seconds that begin when it is made; None is no limit."""

    def __init__(self, seconds: float | None) -> None:
        self.end = math.inf if seconds is None else time.perf_counter() + seconds

    @property
    def reached(self) -> bool:
        """Whether nothing new is to be begun."""
        return time.perf_counter() > self.end

    def require(self) -> None:
        if self.reached:
            raise UnavailableError("the time limit was reached")


def compare(
    work: Any,
    kinds: Mapping[str, Callable[..., Any]],
    rounds: int,
    seconds: float,
    limit: TimeLimit,
    rows: list[Row],
    save: Callable[[], object] = lambda: None,
) -> None:
    """Add a row for each contestant to `rows`; in every round each has its turn, in an order that turns too.

    `seconds` is for each contestant, over all rounds; `save` is called after each measurement.
    """
    new = {name: Row(work.name, name, work.steps) for name in kinds}
    rows += new.values()
    try:
        data, check = work.draw(), Reference(work)
    except ImportError as error:  # the package that has the data
        for row in new.values():
            row.reason = f"{error.name} cannot be imported: {error}"
        return
    ready = {}
    for name, row in new.items():
        with _reason_instead(row), products_in(work.precision):
            limit.require()
            ready[name] = _prepared(kinds[name](work, data), row, check, data, seconds / rounds)
        save()
    gc.collect()
    for number in range(rounds):
        if number and limit.reached:
            break  # all have the same number of rounds
        order = [name for name in ready if not new[name].reason]
        turn = number % max(1, len(order))
        for name in order[turn:] + order[:turn]:
            contestant, epochs = ready[name]
            with _reason_instead(new[name]), products_in(work.precision):
                timed = contestant.train(epochs)
                of_a_step = (None if value is None else value / work.steps for value in timed[:2])
                for found, value in zip(_OF_EACH_ROUND, (*of_a_step, *timed[3:]), strict=True):
                    if value is not None:
                        getattr(new[name], found).append(value)
        save()
    ready.clear()
    release(kinds)


def _prepared(contestant: Any, row: Row, check: "Reference", data: Any, seconds: float) -> tuple[Any, int]:
    """Return a contestant that has compiled and has been checked, and how many epochs fill the seconds."""
    if contestant.each_is_a_first:
        return contestant, 1
    row.transfer = contestant.transfer
    begin = time.perf_counter()
    first = contestant.train(1).first
    row.first = time.perf_counter() - begin if first is None else first
    row.difference = check.difference(contestant, data)
    # of K networks one after the other, some are really trained
    share = min(1.0, getattr(contestant, "trained", math.inf) / contestant.work.networks)
    return contestant, max(1, min(50_000, math.floor(seconds / (share * contestant.train(1).seconds))))


@contextmanager
def _reason_instead(row: Row) -> Iterator[None]:
    """Give a row a reason in place of its times where a library raises, so that the others still have theirs."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the reason
        vars(row).update({found: [] for found in _OF_EACH_ROUND}, first=None)
        known = isinstance(error, UnavailableError | DifferentError)
        row.reason = ("" if known else f"{type(error).__name__}: ") + first_line(error)


class Reference:
    """What vecprop computes on NumPy from the same parameters over the same batches."""

    def __init__(self, work: Any) -> None:
        self.work = work
        self._known: dict[type, Any] = {}

    def difference(self, contestant: Any, data: Any) -> float | None:
        """Return how far a contestant is off, None for one that cannot be compared, or raise DifferentError."""
        if not contestant.checked:
            return None
        if self.work.part == "predictions":
            model, rows = data
            found, what = float(np.max(np.abs(contestant.predict() - model.predict_proba(rows)))), "probabilities are"
            bound = _PROBABILITY_BOUND
        elif self.work.part == "gradient":
            found, bound, what = self._of_pass(contestant, data), _GRADIENT_BOUND, "gradients are"
        else:
            found, bound = self._of_training(contestant, data), _TRAINING_BOUND[self.work.precision]
            what = "cost after training is"
        if not found <= bound:
            raise DifferentError(f"not timed: its {what} off by {found:.2g}, and {bound:g} is allowed")
        return found

    def _of_pass(self, contestant: Any, data: Any) -> float:
        if VecpropPass not in self._known:
            self._known[VecpropPass] = _arrays_after_a_pass(VecpropPass(self.work, data))
        wanted = self._known[VecpropPass]
        least = 1e-3 * max(map(np.linalg.norm, wanted))  # an array of hardly anything but rounding
        pairs = zip(_arrays_after_a_pass(contestant), wanted, strict=True)
        return max(float(np.linalg.norm(a - w) / max(np.linalg.norm(w), least)) for a, w in pairs)

    def _of_training(self, contestant: Any, data: Any) -> float:
        if contestant.checked == "full batch" and not self.work.full_batch:
            m = min(self.work.m, _FULL_BATCH)
            small, data = replace(self.work, m=m, batch_size=m), data.first(m)
            return Reference(small)._of_training(type(contestant)(small, data), data)
        kind: type = WindowTrainer if self.work.part == "streaming" else VecpropTrainer
        if self.work.part == "networks":
            kind = SharedStackTrainer if contestant.one_order else StackTrainer
        epochs = 3 if self.work.full_batch else 1
        start = draw_starts(self.work)
        if kind not in self._known:
            ours = on("numpy", kind)(self.work, data)
            self._known[kind] = self._cost(start, data), self._cost(ours.train_exactly(epochs, start), data)
        before, wanted = self._known[kind]
        found = self._cost(contestant.train_exactly(epochs, start), data)
        # of networks one after the other there are only the first few; among many one may have hardly changed
        return float(np.max(np.abs(found - wanted[: found.size])) / np.mean(np.abs(wanted - before)))

    def _cost(self, params: Pairs, data: Any) -> np.ndarray:
        """Return the cost of some examples, in float64, one for each network."""
        some = slice(0, _JUDGED // 4 if self.work.part == "networks" else _JUDGED)
        layers = [tuple(np.asarray(a, dtype=np.float64) for a in layer) for layer in params]
        X, Y = (np.asarray(a[:, some], dtype=np.float64) for a in (data.rows.T, data.columns))
        return np.atleast_1d(self.work.network().cost(layers, X, Y))


def _arrays_after_a_pass(contestant: Any) -> list[np.ndarray]:
    """Return the cost of a pass and its gradients, in float64."""
    contestant.train(1)
    gradients = [np.asarray(a, dtype=np.float64) for layer in contestant.parameters() for a in layer]
    return [np.asarray([float(contestant.cost)]), *gradients]


def release(names: Iterable[str]) -> None:
    """Give the device's memory back that the libraries keep."""
    gc.collect()
    for name in {n.rpartition("-")[2] for n in names if n.startswith("vecprop-")}:
        vp.get_backend(name).memory.release()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
