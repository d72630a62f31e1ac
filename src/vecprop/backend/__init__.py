"""Where arrays are computed: the contract of a backend, the choice of one, its memory and its processes."""

from vecprop.backend.contract import Backend

__all__ = ["Backend"]
