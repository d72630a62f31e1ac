"""The JAX backend: jit-compiled, on the CPU, a GPU or a TPU, on one device or several. Importing it imports JAX."""

from typing import Any

from vecprop.backend.contract import Backend
from vecprop_jax.one_device import JAXOnOneDevice, require_what_jax_needs

__all__ = ["JAXBackend"]


class JAXBackend(JAXOnOneDevice):
    """JAX on its default device, until it is told to use several."""

    def over(self, devices: Any, networks: int | None) -> Backend:
        """Return JAX on several devices: examples spread over them, or at least as many networks as there are."""
        from vecprop_jax.several import JAXOnSeveralDevices, mesh_of  # only who has several needs it

        require_what_jax_needs()
        mesh = mesh_of(devices)
        return JAXOnSeveralDevices(mesh, networks if networks is not None and networks >= mesh.devices.size else None)
