"""Checkpoints: the state of a training run in one file, from which it resumes bit for bit.

The file is written whole or not at all, and the previous one is kept beside it. It holds parameters, optimizer slots,
running statistics, the states of early stopping and schedule, the epoch, the position in it and the history. It also
holds the arguments of the run, so that a run with other arguments is refused.
"""

from __future__ import annotations

import math
import os
import threading
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import Array
from vecprop.backend.pytrees import leaves_of, map_tree
from vecprop.nn.dropout import MASKS
from vecprop.training.json_values import from_json, to_json
from vecprop.training.observers import Done, Observer
from vecprop.training.results import Best, History, Partial, Start, TrainingState
from vecprop.training.schedules import PlateauState
from vecprop.utils import tensor_file
from vecprop.utils.arguments import check_path, check_real
from vecprop.utils.atomic import write_atomically
from vecprop.utils.errors import ModelFileError, VecpropError, shown, warn

_TREES = ("params", "slots", "statistics")
_NUMBERS = ("cost", "epoch", "improved")  # of the best network


class OtherRunError(VecpropError, ValueError):
    """A checkpoint is of a run with another `argument`."""

    argument: str


def check_every(given: Any) -> float:
    """Return `checkpoint_every`: a number of epochs, or a share of one."""
    wanted = "of whole epochs, or a share of one above 0"
    return check_real(given, "checkpoint_every", wanted, lambda x: 0 < x < 1 or (x >= 1 and x % 1 == 0))


# The active runs that write checkpoints.
_running: weakref.WeakSet[Saver] = weakref.WeakSet()


def flush_all() -> None:
    """Write a checkpoint of every active run that has one; from any thread."""
    for saver in list(_running):
        if saver.backend.placement.gathers_alone:
            saver.flush()


@dataclass(eq=False)
class Saver(Observer):
    """Writes checkpoints of one run.

    path : the file
    every : epochs between two checkpoints, or the share of an epoch
    specification : the arguments of the run
    first : the epoch at which the run began
    """

    keeps_state: ClassVar[bool] = True

    path: Path
    every: float
    specification: dict[str, Any]
    backend: Backend
    first: int = 0
    _latest: tuple[TrainingState, Partial | None, int, str] | None = None
    _history: History = field(default_factory=dict)
    _written: tuple[int, int, str] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        _running.add(self)

    @property
    def parts(self) -> int:
        """The number of parts of an epoch between checkpoints."""
        return 1 if self.every >= 1 else math.ceil(1 / self.every - 1e-9)

    def allows(self, state: TrainingState, count: int) -> int:
        """Return 1 if there are several checkpoints in an epoch, else the epochs until the next one is due."""
        every = max(1, int(self.every))
        return 1 if self.parts > 1 else min(count, every - (state.epoch - self.first) % every)

    def after(self, done: Done) -> Done:
        """Write the state if a checkpoint is due, or if the run ends."""
        self.reached(*done.whole(done.state, done.history), stopped=done.stop)
        return done

    def reached(
        self, state: TrainingState, history: History, partial: Partial | None = None, stopped: str = ""
    ) -> None:
        """Note the state, and write it if a checkpoint is due."""
        with self._lock:
            self._latest, self._history = (state, partial, len(history["cost"]), stopped), history
        due = partial is not None or (state.epoch - self.first) % max(1, int(self.every)) == 0
        if due or stopped:
            self.flush()

    def flush(self) -> None:
        """Write the last noted state, unless that is done; from any thread."""
        with self._lock:
            if self._latest is None:
                return
            state, partial, epochs, stopped = self._latest
            place = (state.epoch, 0 if partial is None else partial.position, stopped)
            if place == self._written:
                return
            history = {key: values[:epochs] for key, values in self._history.items()}
            header, tensors = _to_parts(self.backend, state, partial, history)
            header |= {"specification": self.specification, "first": self.first, "stopped": stopped, "masks": MASKS}
            if self.backend.placement.team.index == 0:  # the other processes only helped to collect it
                data = tensor_file.encode(header, tensors)
                write_atomically(self.path, data, previous=previous_of(self.path.resolve()))
            self._written = place


def previous_of(path: Path) -> Path:
    """Return the path of the previous checkpoint."""
    return path.with_name(f"{path.name}.previous")


def resume(path: Path, specification: dict[str, Any], template: TrainingState, backend: Backend) -> Start:
    """Return the contents of a checkpoint, on the backend; OtherRunError if a run with other arguments wrote it."""
    team = backend.placement.team
    if team.count == 1:
        source, header, tensors = _read(path)
    else:  # the first process reads, and sends it to the others
        source = f"the checkpoint {os.fspath(path)!r}"
        header, tensors = tensor_file.decode(team.from_first(lambda: tensor_file.encode(*_read(path)[1:])), source)
    found = header.get("specification")
    if not isinstance(found, dict):
        raise ModelFileError(f"{source} holds no checkpoint that this version of vecprop knows: no specification")
    for key, wanted in specification.items():
        if (before := found.get(key)) != wanted:
            argument = key
            while isinstance(before, dict) and isinstance(wanted, dict) and before.keys() == wanted.keys():
                part = next(part for part in wanted if before[part] != wanted[part])
                key, before, wanted = f"{key}: {part}", before[part], wanted[part]
            raise OtherRunError(
                f"resume: {source} was written with {key} = {shown(before)}, and this fit has {key} = "
                f"{shown(wanted)}; give it the same, or start anew without resume",
                argument=argument,
            )
    if any(specification.get("dropout", ())) and header.get("masks") != MASKS:
        message = f"{source} is from a version of vecprop with other dropout masks: from here on the run has new ones"
        warn(message, RuntimeWarning, stacklevel=2)
    try:
        state, partial, history = _from_parts(header, tensors, template, backend)
        return Start(state, partial, history, int(header["first"]), str(header["stopped"]))
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ModelFileError(f"{source} holds no checkpoint that this version of vecprop knows: {error}") from error


def _read(path: Path) -> tuple[str, dict[str, Any], tensor_file.Tensors]:
    """Return name, header and tensors of a checkpoint, or of the previous one if it is damaged."""
    previous = previous_of(path.resolve())
    first: Exception | None = None
    for file in (path, previous):
        source = f"the checkpoint {os.fspath(file)!r}"
        try:
            header, tensors = tensor_file.decode(tensor_file.read(file), source)
            if header.get("kind") != "checkpoint":
                raise ModelFileError(f"{source} is a file with a {header.get('kind')!r}: load it with vp.load")
        except (ModelFileError, FileNotFoundError) as error:
            first = first or error
            continue
        if first is not None:
            warn(f"{first}; going on from the one before, {os.fspath(file)!r}", RuntimeWarning, stacklevel=3)
        return source, header, tensors
    if isinstance(first, FileNotFoundError):
        raise FileNotFoundError(f"resume: there is no checkpoint {os.fspath(path)!r} (looked from {os.getcwd()})")
    raise first or ModelFileError(os.fspath(path))


# --- a state as a header and tensors, and back --------------------------------------------------------------


def _to_parts(
    backend: Backend, state: TrainingState, partial: Partial | None, history: History
) -> tuple[dict[str, Any], tensor_file.Tensors]:
    tensors: tensor_file.Tensors = {}

    def keep(name: str, tree: Any) -> None:
        for i, leaf in enumerate(leaves_of(tree)):
            array = np.asarray(backend.to_numpy(leaf))
            tensors[f"{name}.{i}"] = array if array.dtype.kind == "f" else array.astype(np.float64)

    for name in _TREES:
        keep(name, getattr(state, name))
    for key, values in history.items():
        tensors[f"history.{key}"] = np.asarray(values, dtype=np.float64)
    header: dict[str, Any] = {
        "kind": "checkpoint",
        "epoch": state.epoch,
        "step": state.step,
        "seed": list(state.seed) if isinstance(state.seed, tuple) else state.seed,
        "plateau": [to_json(value) for value in state.plateau],
        "history": list(history),
        "best": None,
        "partial": None,
    }
    if state.best is not None:
        keep("best.params", state.best.params)
        keep("best.statistics", state.best.statistics)
        numbers = {name: to_json(np.asarray(getattr(state.best, name)).tolist()) for name in _NUMBERS}
        header["best"] = numbers | {"kept": bool(state.best.params)}
    if partial is not None:
        keep("partial", partial.outputs)
        header["partial"] = {
            "position": partial.position,
            "finite": np.asarray(partial.finite).tolist(),
            "count": len(partial.outputs),
        }
    return header, tensors


def _from_parts(
    header: dict[str, Any], tensors: tensor_file.Tensors, template: TrainingState, backend: Backend
) -> tuple[TrainingState, Partial | None, History]:
    def fill(name: str, tree: Any) -> Any:
        leaves = iter(range(sum(1 for _ in leaves_of(tree))))

        def one(leaf: Array) -> Array:
            array = tensors[f"{name}.{next(leaves)}"]
            shape, dtype = tuple(leaf.shape), np.asarray(backend.to_numpy(leaf)).dtype
            if array.size != math.prod(shape):
                raise ValueError(f"{name} has the shape {array.shape} instead of {shape}")
            return backend.asarray(np.reshape(array, shape).astype(dtype))

        return map_tree(one, tree)

    seed = header["seed"]
    state = template._replace(
        **{name: fill(name, getattr(template, name)) for name in _TREES},
        epoch=int(header["epoch"]),
        step=int(header["step"]),
        seed=tuple(int(s) for s in seed) if isinstance(seed, list) else int(seed),
        plateau=PlateauState(*(from_json(value) for value in header["plateau"])),
    )
    best = header["best"]
    if best is not None:
        found: dict[str, Any] = {name: from_json(best[name]) for name in _NUMBERS}
        found = {name: np.asarray(value) if isinstance(value, list) else value for name, value in found.items()}
        for name in ("params", "statistics"):
            found[name] = fill(f"best.{name}", getattr(template, name)) if best["kept"] else ()
        state = state._replace(best=Best(**found))
    partial = header["partial"]
    if partial is not None:
        outputs = tuple(tensors[f"partial.{i}"] for i in range(int(partial["count"])))
        partial = Partial(int(partial["position"]), np.asarray(partial["finite"], dtype=bool), outputs)
    history = {str(key): tensors[f"history.{key}"].tolist() for key in header["history"]}
    return state, partial, history


# --- the arguments of a run ---------------------------------------------------------------------------------


def _require_place(path: Path) -> bytes:
    """Raise an error if no file can be written at this path."""
    if path.is_dir():
        raise IsADirectoryError(f"checkpoint: {os.fspath(path)!r} is a directory; name a file in it")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"checkpoint: there is no directory {path.absolute().parent}")
    return b""


def open_checkpoints(
    checkpoint: Any,
    every: float,
    resume_from: Any,
    specification: dict[str, Any],
    template: TrainingState,
    backend: Backend,
) -> tuple[Saver | None, Start | None]:
    """Return the writer of checkpoints and the contents to resume from, each None if unused."""
    for name, given, wanted in (("checkpoint", checkpoint, "a path"), ("resume", resume_from, "a path or True")):
        if isinstance(given, str | os.PathLike):
            check_path(given, name)
        elif given is not None and (given is not True or name == "checkpoint"):
            raise TypeError(f"{name} must be {wanted}, got {given!r}")
    path, team = None if checkpoint is None else Path(checkpoint), backend.placement.team
    if resume_from is True:
        if path is None:
            raise ValueError("resume=True goes on from `checkpoint`, and there is none: name the file")
        found = team.from_first(lambda: b"1" if path.exists() or previous_of(path.resolve()).exists() else b"")
        resume_from = path if found else None
    if path is not None:
        team.from_first(lambda: _require_place(path))
    resumed = None if resume_from is None else resume(Path(resume_from), specification, template, backend)
    if path is None:
        return None, resumed
    return Saver(path, every, specification, backend, template.epoch if resumed is None else resumed.first), resumed
