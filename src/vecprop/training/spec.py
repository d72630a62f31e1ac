"""What a training run is: one value, from which processes, checkpoints and compiled epochs take what they compare."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vecprop.nn.array_checks import Checked
from vecprop.nn.batch_norm import initial
from vecprop.nn.metrics import Metric
from vecprop.nn.network import Network
from vecprop.training.epochs import Run
from vecprop.training.fit_arguments import auto_batch
from vecprop.training.json_values import described
from vecprop.training.optimizers import LBFGS, Elementwise, Optimizer
from vecprop.training.parameter_buffer import layout
from vecprop.training.schedules import CONSTANT
from vecprop.training.stopping import EarlyStopping


@dataclass(frozen=True)
class TrainingSpec:
    """Everything that defines a run but its data and the parameters it starts from; checked, hashable."""

    net: Network
    optimizer: Optimizer
    epochs: int
    seeds: int | tuple[int, ...]
    networks: int | None  # K of a stack
    dtype: str
    precision: str
    batch_size: int | str | None
    block_size: int | str | None
    window: int | str
    l1: float | tuple[float, ...]
    l2: float | tuple[float, ...]
    dropout: tuple[float | tuple[float, ...], ...]  # for each hidden layer, by network or for all
    normalized: tuple[bool, ...]  # for each hidden layer
    standardize: bool
    clip_norm: float | None
    metric: Any
    stopping: EarlyStopping | None
    shuffled: bool

    def __post_init__(self) -> None:
        same_cost = not any(self.dropout) and not any(self.normalized) and self.clip_norm is None
        if isinstance(self.optimizer, LBFGS) and not same_cost:
            raise ValueError("LBFGS needs the same cost at every step: no dropout, batch_norm or clip_norm with it")

    def described(self) -> dict[str, Any]:
        """Return, by their names as arguments of `fit` and as JSON has them, what processes and checkpoints compare."""
        return {
            "precision": self.precision,
            "dtype": self.dtype,
            "optimizer": described(self.optimizer),
            "seed": list(self.seeds) if isinstance(self.seeds, tuple) else self.seeds,
            "batch_size": self.batch_size,
            "block_size": self.block_size,
            "dropout": [list(rate) if isinstance(rate, tuple) else rate for rate in self.dropout],
            "batch_norm": list(self.normalized),
            "clip_norm": self.clip_norm,
            "l1": list(self.l1) if isinstance(self.l1, tuple) else self.l1,
            "l2": list(self.l2) if isinstance(self.l2, tuple) else self.l2,
            "standardize": self.standardize,
            "shuffle": self.shuffled,
            "metric": self.metric.name if isinstance(self.metric, Metric) else described(self.metric),
            "patience": described(self.stopping),
        }

    def run(self, checked: Checked, m: int) -> Run:
        """Return what compiled epochs are keyed by, for m examples and parameters on their backend."""
        backend, itemsize, units = checked.backend, np.dtype(self.dtype).itemsize, self.net.numbers_per_example
        size = self._batch(checked, m, units * itemsize)
        block = self.block_size
        if any(self.normalized):
            block = None  # mean and variance need the whole batch
        elif block == "auto":
            block = None if checked.stack else backend.memory.auto_block(size, units, itemsize)
        scales = [initial(backend.xp, layer)[0] for layer, n in zip(checked.params, self.normalized, strict=False) if n]
        apart = getattr(self.optimizer, "decays_weights_alone", False)
        buffers = layout((*checked.params, *scales), apart) if backend.flat_parameters else None
        optimizer = self.optimizer
        if isinstance(optimizer, Elementwise):
            # the rate and δ by network are inputs, so optimizers that differ only in them share a compiled epoch
            optimizer = replace(optimizer, learning_rate=1.0, schedule=CONSTANT)  # type: ignore[type-var]
            if isinstance(getattr(optimizer, "weight_decay", None), tuple):
                optimizer = replace(optimizer, weight_decay=0.0)  # type: ignore[type-var]
        return Run(
            backend,
            self.net,
            optimizer,
            m,
            size,
            int(block) if block is not None and int(block) < size else None,
            buffers,
            self.normalized,
            tuple(None if isinstance(rate, tuple) else rate for rate in self.dropout),
            self.clip_norm,
        )

    def _batch(self, checked: Checked, m: int, bytes_each: int) -> int:
        """Return the batch size, of at most m examples, or raise ValueError if such batches cannot be used."""
        if isinstance(self.batch_size, str):
            size = auto_batch(checked.backend, m, bytes_each * (checked.stack[0] if checked.stack else 1))
        else:
            size = m if self.batch_size is None else min(self.batch_size, m)
        last = m % size or size
        if any(self.normalized) and min(size, last) < 2:
            raise ValueError(
                f"batch_norm needs batches of at least 2 examples: batch_size = {size} with m = {m} examples leaves a "
                "batch of 1; choose another batch_size"
            )
        if isinstance(self.optimizer, LBFGS) and size < m:
            raise ValueError(f"LBFGS needs all the examples at once: leave batch_size out, got {size} with m = {m}")
        return size
