"""The base class of activations and losses."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar


class Specification:
    """A value equal to others of its class; one with parameters is a frozen data class, which checks them."""

    checks: ClassVar[Mapping[str, Callable[[Any, str], Any]]] = {}  # of each parameter, by its name

    def __post_init__(self) -> None:
        for name, check in self.checks.items():
            object.__setattr__(self, name, check(getattr(self, name), name))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
