"""A vecprop backend on array_api_strict, the reference implementation of the standard."""

import array_api_strict

from vecprop.backend import Backend


class StrictBackend(Backend):
    """array_api_strict on the CPU."""

    def __init__(self):
        super().__init__(array_api_strict, "strict")

    def describe(self):
        """Return the version."""
        return {"array_api_strict": array_api_strict.__version__}
