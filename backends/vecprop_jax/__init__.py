"""The JAX backend: jit-compiled, on CPU, GPU or TPU, on one device or several.

Importing it imports JAX.
"""

from typing import Any

from vecprop.backend.contract import Backend
from vecprop_jax.one_device import JAXOnOneDevice, JAXPlacement, require_what_jax_needs

__all__ = ["JAXBackend"]


class _DefaultDevice(JAXPlacement):
    def over(self, devices: Any, networks: int | None) -> Backend:
        """Return JAX on several devices, with the networks spread over them if they are at least as many."""
        from vecprop_jax.mesh import mesh_of  # only needed for several devices
        from vecprop_jax.several import JAXOnSeveralDevices

        require_what_jax_needs()
        mesh = mesh_of(devices)
        return JAXOnSeveralDevices(mesh, networks if networks is not None and networks >= mesh.devices.size else None)


class JAXBackend(JAXOnOneDevice):
    """JAX on its default device, with `placement.over` on several."""

    def __init__(self) -> None:
        super().__init__()
        self.placement = _DefaultDevice(self)
