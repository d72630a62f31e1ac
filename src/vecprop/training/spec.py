"""What a training run is: one value, from which processes, checkpoints and compiled epochs take what they compare."""

from dataclasses import dataclass, fields, replace
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
    epochs: int
    networks: int | None  # K of a stack
    window: int | str
    # what processes and checkpoints compare, in the order in which messages name the first difference
    precision: str
    dtype: str
    optimizer: Optimizer
    seed: int | tuple[int, ...]
    batch_size: int | str | None
    block_size: int | str | None
    dropout: tuple[float | tuple[float, ...], ...]  # for each hidden layer, by network or for all
    batch_norm: tuple[bool, ...]  # for each hidden layer
    clip_norm: float | None
    l1: float | tuple[float, ...]
    l2: float | tuple[float, ...]
    standardize: bool
    shuffle: bool
    metric: Any
    patience: EarlyStopping | None

    def __post_init__(self) -> None:
        same_cost = not any(self.dropout) and not any(self.batch_norm) and self.clip_norm is None
        if isinstance(self.optimizer, LBFGS) and not same_cost:
            raise ValueError("LBFGS needs the same cost at every step: no dropout, batch_norm or clip_norm with it")

    def described(self) -> dict[str, Any]:
        """Return, by their names as arguments of `fit` and as JSON has them, what processes and checkpoints compare."""
        compared = [field.name for field in fields(self)]
        compared = compared[compared.index("precision") :]
        return {name: _as_json(getattr(self, name)) for name in compared}

    def watched(self, validates: bool) -> tuple[str, str]:
        """Return the costs or metrics that early stopping and the schedule watch, each as a text; "" for none."""

        def of(watcher: Any) -> str:
            monitor = getattr(watcher, "monitor", "")
            name = _as_json(self.metric) if monitor == "metric" else type(self.net.loss).__name__
            return f"{monitor} {name} {validates}" if monitor else ""

        return of(self.patience), of(self.optimizer.schedule)

    def run(self, checked: Checked, m: int) -> Run:
        """Return the key of compiled epochs, for m examples and parameters on their backend."""
        backend, itemsize, units = checked.backend, np.dtype(self.dtype).itemsize, self.net.numbers_per_example
        size = self._batch(checked, m, units * itemsize)
        block = self.block_size
        if any(self.batch_norm):
            block = None  # mean and variance need the whole batch
        elif block == "auto":
            block = None if checked.stack else backend.memory.auto_block(size, units, itemsize)
        scales = [initial(backend.xp, layer)[0] for layer, n in zip(checked.params, self.batch_norm, strict=False) if n]
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
            self.batch_norm,
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
        if any(self.batch_norm) and min(size, last) < 2:
            raise ValueError(
                f"batch_norm needs batches of at least 2 examples: batch_size = {size} with m = {m} examples leaves a "
                "batch of 1; choose another batch_size"
            )
        if isinstance(self.optimizer, LBFGS) and size < m:
            raise ValueError(f"LBFGS needs all the examples at once: leave batch_size out, got {size} with m = {m}")
        return size


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_as_json(entry) for entry in value]
    return value.name if isinstance(value, Metric) else described(value)
