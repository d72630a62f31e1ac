"""JAX on several devices: the same compiled programs over a mesh, with XLA's reductions."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from vecprop.backend.contract import Function, Tree, add_trees, to_host
from vecprop.backend.namespaces import Array, marked
from vecprop_jax.mesh import MeshPlacement, at
from vecprop_jax.one_device import JAXOnOneDevice


@dataclass(frozen=True)
class _OverTheMesh:
    """A function with its results, and for a stack its networks, placed on the mesh."""

    __wrapped__: Callable[..., Any]  # its signature says how its arguments may be treated
    backend: "JAXOnSeveralDevices"

    def __call__(self, *arguments: Any) -> Any:
        place, static = self.backend.placement, marked(self.__wrapped__, "Static")
        placed = tuple(a if i in static else place.with_networks_spread(a, rest=False) for i, a in enumerate(arguments))
        return place.with_networks_spread(self.__wrapped__(*placed), rest=True)


class JAXOnSeveralDevices(JAXOnOneDevice):
    """JAX on the devices of a mesh; the arguments are those of its `MeshPlacement`."""

    placement: MeshPlacement

    def __init__(self, mesh: Mesh, networks: int | None = None, counts: tuple[int, ...] | None = None) -> None:
        super().__init__(int(mesh.devices.size))
        self.placement = MeshPlacement(self, mesh, networks, counts)
        self.gathers_each_batch = networks is None
        self._key = mesh, networks, counts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JAXOnSeveralDevices) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def asarray(self, values: Any, dtype: str | None = None) -> Array:
        """Return the values on the devices: those of K networks spread, all others on each."""
        place = self.placement
        host = np.asarray(self.to_numpy(values) if isinstance(values, jax.Array) else to_host(values), dtype=dtype)
        spread = place.is_network(host.shape) and host.shape[0] % place.devices == 0
        where = place.along(host.ndim, 0) if spread else place.everywhere
        with jax.enable_x64(True):  # 64-bit arrays can only be made where x64 is enabled
            return jax.make_array_from_callback(host.shape, where, lambda part: host[part])

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        """Return a copy on the host, whole even if the array is spread over several processes."""
        if isinstance(array, jax.Array) and not (array.is_fully_addressable or array.is_fully_replicated):
            return np.asarray(multihost_utils.process_allgather(array, tiled=True))
        return np.array(array)

    def placed(self, function: Function) -> Function:
        return _OverTheMesh(function, self)

    def _columns_at(self, rows: Array, places: Array) -> Array:
        """Return columns, spread over the devices, at some places of rows that are spread too."""
        if self.placement.networks is not None:
            return super()._columns_at(rows, places)
        # each device contributes its part of the batch and takes its share of the sum, so no places are sent
        places = at(places, self.placement.everywhere)
        taken = at(rows.at[places].get(mode="promise_in_bounds"), self.placement.everywhere)
        if rows.ndim == 2:
            taken = jnp.swapaxes(at(taken, self.placement.along(taken.ndim, taken.ndim - 2)), -1, -2)
        return self.placement.columns_spread(taken)

    def sum_blocks(self, function: Callable[..., Tree], block_size: int, *arrays: Array | None) -> Tree:
        """Sum over blocks of columns, with equal shares of every block on the devices."""
        if self.placement.networks is not None:
            return super().sum_blocks(function, block_size, *arrays)
        m = next(a.shape[-1] for a in arrays if a is not None)
        each, rest, local = self._shares(m, block_size)
        sums = []
        if each:
            parts = [None if a is None else self._parts(a, each) for a in arrays]
            sums.append(super().sum_blocks(lambda *part: function(*map(self._together, part)), local, *parts))
        if rest:
            sums.append(function(*(None if a is None else a[..., m - rest :] for a in arrays)))
        return reduce(add_trees, sums)

    def map_blocks(self, function: Callable[[Array], Array], block_size: int, array: Array) -> Array:
        """Map over blocks of columns, each device working on its own."""
        if self.placement.networks is not None:
            return super().map_blocks(function, block_size, array)
        each, rest, local = self._shares(array.shape[-1], block_size)
        done = []
        if each:
            devices = self.placement.devices

            def apart(part: Array) -> Array:
                mapped = function(self._together(part))
                return mapped.reshape(*mapped.shape[:-1], devices, part.shape[-1])

            mapped = super().map_blocks(apart, local, self._parts(array, each))
            done.append(mapped.reshape(*mapped.shape[:-2], devices * each))
        if rest:
            done.append(function(array[..., array.shape[-1] - rest :]))
        return jnp.concatenate(done, axis=-1)

    def _shares(self, m: int, block_size: int) -> tuple[int, int, int]:
        """Return the columns of each device, the columns left over, and each device's columns of a block."""
        each, rest = divmod(m, self.placement.devices)
        return each, rest, max(1, min(block_size // self.placement.devices, each))

    def _parts(self, array: Array, each: int) -> Array:
        """Return the columns of each device, (…, devices, each)."""
        cut = array[..., : self.placement.devices * each].reshape(*array.shape[:-1], self.placement.devices, each)
        return at(cut, self.placement.along(cut.ndim, cut.ndim - 2))

    def _together(self, part: Array | None) -> Array | None:
        """Return the columns (…, devices, size) of every device as one block, (…, devices · size)."""
        return None if part is None else self.placement.columns_spread(part.reshape(*part.shape[:-2], -1))
