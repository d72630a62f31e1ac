"""The JAX backend: jit-compiled, on CPU, GPU or TPU, on one device or several.

Importing it imports JAX.
"""

from typing import Any

from vecprop.backend.contract import Backend
from vecprop_jax.one_device import JAXOnOneDevice, require_what_jax_needs

__all__ = ["JAXBackend"]


class JAXBackend(JAXOnOneDevice):
    """JAX on its default device, with `over` on several."""

    def over(self, devices: Any, networks: int | None) -> Backend:
        """Return JAX on several devices.

        The examples are spread over them, or the networks if there are at least as many as devices.
        """
        from vecprop_jax.several import JAXOnSeveralDevices, mesh_of  # only needed for several devices

        require_what_jax_needs()
        mesh = mesh_of(devices)
        return JAXOnSeveralDevices(mesh, networks if networks is not None and networks >= mesh.devices.size else None)
