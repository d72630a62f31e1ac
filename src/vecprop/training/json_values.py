"""Specifications as JSON: activations, losses, optimizers, schedules, and plain values.

The table of classes is closed: names in a file are looked up in it, never imported.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from vecprop.backend.contract import to_host
from vecprop.nn.activations import ACTIVATIONS, Custom
from vecprop.nn.losses import LOSSES
from vecprop.nn.network import Network
from vecprop.training.optimizers import OPTIMIZERS
from vecprop.training.schedules import SCHEDULES
from vecprop.training.stopping import EarlyStopping
from vecprop.utils.errors import ModelFileError, one_line

Pair = tuple[Callable[..., Any], Callable[..., Any]]

_CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (*map(type, (*ACTIVATIONS.values(), *LOSSES.values())), *OPTIMIZERS, *SCHEDULES, EarlyStopping)
}


class NotStorableError(TypeError):
    """A value that a file cannot hold: a function, or an object of a user's own class."""


def to_json(value: Any) -> Any:
    """Return a value as JSON data, or raise NotStorableError.

    >>> to_json(ACTIVATIONS["leaky_relu"])
    {'class': 'LeakyReLU', 'fields': {'slope': 0.01}}
    >>> from_json(to_json((1, [2.5, None, "x"]))), from_json(to_json(float("inf")))
    ((1, [2.5, None, 'x']), inf)
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [to_json(entry) for entry in value]
    if type(value) is tuple:
        return {"tuple": [to_json(entry) for entry in value]}
    if isinstance(value, dict):
        return {"dict": [[to_json(key), to_json(entry)] for key, entry in value.items()]}
    if isinstance(value, Custom):
        return {"custom": [described(value.g), described(value.g_prime)]}
    name = type(value).__name__
    if _CLASSES.get(name) is type(value):
        names = [f.name for f in fields(value) if f.init] if is_dataclass(value) else []
        return {"class": name, "fields": {f: to_json(getattr(value, f)) for f in names}}
    raise NotStorableError(f"{value!r}")


def described(value: Any) -> Any:
    """Return a value as JSON has it, or in words if a file cannot hold it."""
    try:
        return to_json(value)
    except NotStorableError:
        return getattr(value, "__qualname__", type(value).__qualname__)


def without_nan(value: Any) -> Any:
    """Return a value for strict JSON: None for NaN and infinity, plain Python types."""
    if isinstance(value, Mapping):
        return {str(key): without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def digest(arrays: Any) -> str:
    """Return a fingerprint of arrays, some of which may be None."""
    found = hashlib.sha256()
    for array in arrays:
        if array is not None:
            host = np.ascontiguousarray(to_host(array))
            found.update(f"{host.dtype}{host.shape}".encode())
            found.update(host.view(np.uint8).data if host.size else b"")
        found.update(b"\0")
    return found.hexdigest()


def from_json(value: Any, custom: Iterable[Pair] = ()) -> Any:
    """Return the value from the output of `to_json`.

    `custom` are the user's own activations, in the order of the file; of an iterator those that are needed are taken.
    """
    own = iter(custom)

    def read(value: Any) -> Any:
        if isinstance(value, list):
            return [read(entry) for entry in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {"class", "fields"} and value["class"] in _CLASSES and isinstance(value["fields"], dict):
            return _CLASSES[value["class"]](**{name: read(entry) for name, entry in value["fields"].items()})
        if len(value) == 1:
            ((kind, entry),) = value.items()
            if kind == "float" and entry in ("nan", "inf", "-inf"):
                return float(entry)
            if kind == "tuple" and isinstance(entry, list):
                return tuple(read(e) for e in entry)
            if kind == "dict" and isinstance(entry, list):
                return {read(key): read(e) for key, e in entry}
            if kind == "custom":
                return _own(next(own, None), entry)
        raise ValueError(f"unknown value {value!r}")

    return read(value)


def _own(functions: Pair | None, names: Any) -> Custom:
    if functions is None:
        raise ModelFileError(
            f"the model has an activation of its user's own, the functions {one_line(names)}, which no file can "
            "hold: give them again, load(path, custom=(g, g_prime)), with several in a list in the order of the "
            "layers"
        )
    return Custom(*functions)


def difference(given: Any, made: Any, place: str = "") -> str | None:
    """Return, in words, how a header differs from that of the model made from it, or None.

    A difference means that a part of the file was misread. Only parameters of an estimator may be absent, as some are
    new in this version. A user's own functions may have other names now, and are null in a file where they are
    parameters of an estimator.
    """
    if (given is None or (isinstance(given, dict) and _is_own(given))) and _is_own(made):
        return None
    if isinstance(made, dict) and isinstance(given, dict):
        keys = given if place.endswith("parameters") else given | made
        entries = [(str(key), given.get(key, _NOTHING), made.get(key, _NOTHING)) for key in keys]
    elif isinstance(made, list) and isinstance(given, list) and len(made) == len(given):
        entries = [(str(i), *pair) for i, pair in enumerate(zip(given, made, strict=True))]
    elif type(given) is type(made) and not isinstance(given, list) and given == made:
        return None
    else:
        return f"{place} is {_short(given)}, which is read as {_short(made)}"
    found = (difference(value, ours, f"{place}.{key}".removeprefix(".")) for key, value, ours in entries)
    return next((words for words in found if words is not None), None)


def _is_own(value: Any) -> bool:
    """Tell whether a value is a user's own function, or a list with one."""
    if isinstance(value, dict):
        return set(value) == {"custom"}
    return isinstance(value, list) and any(map(_is_own, value))


_NOTHING = object()


def _short(value: Any) -> str:
    text = "nothing" if value is _NOTHING else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def history_from_json(value: Any) -> dict[str, list[Any]]:
    """Return a history: lists by name."""
    history = from_json(value)
    if not isinstance(history, dict) or not all(isinstance(entries, list) for entries in history.values()):
        raise ValueError(f"its history is {_short(value)}, and no lists by their names")
    return history


def network_to_json(net: Network) -> dict[str, Any]:
    """Return a network's specification."""
    return {
        "sizes": list(net.sizes),
        "hidden": [to_json(g) for g in net.hidden],
        "output": to_json(net.output),
        "loss": to_json(net.loss),
    }


def network_from_json(value: dict[str, Any], custom: Iterable[Pair] = ()) -> Network:
    """Return the network of a specification."""
    own = iter(custom)
    hidden, output, loss = (from_json(value[key], own) for key in ("hidden", "output", "loss"))
    return Network(value["sizes"], hidden, output, loss)
