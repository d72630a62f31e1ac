"""What is asked of every library: begin with fresh parameters, train epochs, tell how long they took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from peer_workloads import Examples, Training

Pairs = Sequence[tuple[np.ndarray, np.ndarray]]
Order = Callable[[int], np.ndarray]


class UnavailableError(Exception):
    """A library that cannot do this here; the message is the reason."""


class Timed(NamedTuple):
    """What a call of `train` took.

    Attributes
    ----------
    seconds : float
        Of one epoch (or pass, or run).
    wall : float or None
        The same by the clock around the whole call, for a library that keeps its own time.
    first : float or None
        What came before the steady state, where the call itself contains it.
    """

    seconds: float
    wall: float | None = None
    first: float | None = None


class Trainer:
    """One library at one workload: Adam with learning rate 1e-3, float32, mini-batches in a fresh order each epoch.

    Parameters
    ----------
    work : Training
    data : Examples
    start : sequence of (W (n_l, n_{l-1}), b (n_l, 1)), optional
        The parameters that `begin` begins with; random ones unless given.
    order : function, optional
        order(epoch) is the order of the examples; the library's usual shuffle unless given.
    """

    def __init__(self, work: Training, data: Examples, start: Pairs | None = None, order: Order | None = None) -> None:
        self.work, self.data, self.order = work, data, order
        self.start = draw_start(work.sizes) if start is None else start
        self.rng = np.random.default_rng(0)
        self.build()

    def build(self) -> None:
        """Make what lasts: the model, compiled functions, the data where the library wants them."""

    def begin(self, start: Pairs) -> None:
        """Go to the parameters given and forget what the optimizer remembers."""
        raise NotImplementedError

    def epoch(self, number: int) -> None:
        """Train one epoch."""
        raise NotImplementedError

    def finish(self) -> None:
        """Wait until everything is computed."""

    def parameters(self) -> Pairs:
        """Return the parameters in the form of `start`."""
        raise NotImplementedError

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return a score (m, n_L) for each class."""
        raise NotImplementedError

    def train(self, epochs: int) -> Timed:
        """Begin anew, so that no library goes on where the numbers have become odd, and time so many epochs."""
        self.begin(self.start)
        begin = time.perf_counter()
        for number in range(epochs):
            self.epoch(number)
        self.finish()
        return Timed((time.perf_counter() - begin) / epochs)

    def shuffled(self, number: int) -> np.ndarray:
        """Return the order of an epoch, drawn on the host."""
        return self.rng.permutation(self.work.m) if self.order is None else self.order(number)


def draw_start(sizes: Sequence[int], seed: int = 0) -> Pairs:
    """Return parameters to start from, the same for every library: normal weights of variance 1/n, biases 0."""
    rng = np.random.default_rng(seed)
    return [
        (
            (rng.standard_normal((n, n_in)) / np.sqrt(n_in)).astype(np.float32),
            np.zeros((n, 1), np.float32),
        )
        for n_in, n in pairwise(sizes)
    ]


def import_or_unavailable(name: str) -> object:
    """Import a library, or raise UnavailableError with the reason."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise UnavailableError(f"{name} cannot be imported: {error}") from error
