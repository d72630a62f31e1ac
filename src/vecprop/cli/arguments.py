"""Parses arguments of commands: integers separated by commas, backends, networks."""

import re
from collections.abc import Iterable

from vecprop.backend.selection import backends
from vecprop.inspection.benchmark import NETWORKS
from vecprop.nn.network import Network
from vecprop.utils.errors import unknown_name


def integers(text: str, option: str) -> list[int]:
    """Return the integers of a text such as "1,10,100"; their range is checked later.

    >>> integers("1,10, 1_000", "--sizes")
    [1, 10, 1000]
    """
    return _split(text, ",", f"{option} must be integers separated by commas, such as 3,4,1")


def layer_sizes(text: str, option: str, example: str = "3,4,1") -> list[int]:
    """Return the sizes of layers, in any of the usual forms; their range is checked later.

    >>> [layer_sizes(text, "--sizes") for text in ("3,4,1", "3-4-1", "3 4 1")]
    [[3, 4, 1], [3, 4, 1], [3, 4, 1]]
    """
    return _split(text, "[-, ]+", f"{option} must be integers such as {example}")


def _split(text: str, between: str, wanted: str) -> list[int]:
    try:
        return [int(part) for part in re.split(between, text)]
    except ValueError:
        raise ValueError(f"{wanted}; got {text!r}") from None


def network(text: str) -> Network:
    """Return the benchmark's network of some layer sizes, or else one with tanh in hidden layers.

    >>> str(network("2-4-1")), str(network("30-100-2"))
    ('network 2-4-1 (tanh, sigmoid; binary_cross_entropy)', 'network 30-100-2 (tanh, softmax; cross_entropy)')
    """
    if text in NETWORKS:
        return NETWORKS[text]
    try:
        sizes = layer_sizes(text, "--network")
    except ValueError:
        raise ValueError(
            f"--network: {unknown_name('network', text, NETWORKS)}; or any layer sizes, such as 30-100-2"
        ) from None
    return Network(tuple(sizes), hidden="tanh", output="softmax" if sizes[-1] > 1 else "sigmoid")


def usable_backends() -> list[str]:
    """Return the names of all backends that work here."""
    return [status.name for status in backends().values() if status.usable]


def backend_names(given: Iterable[str] | None) -> list[str | None]:
    """Return the backends of `--backend`, each once; "all" means the usable ones, None the active."""
    if not given:
        return [None]
    chosen: dict[str | None, None] = {}
    for name in given:
        chosen |= dict.fromkeys(usable_backends() if name.strip().lower() == "all" else [name])
    return list(chosen)
