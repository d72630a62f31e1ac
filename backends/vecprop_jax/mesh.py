"""Where the arrays are when JAX computes on a mesh of devices.

Either the examples are spread over the devices and each holds the parameters, or the networks of a stack are spread and
each device holds the examples. The devices may belong to several processes, each with its own part of the examples.
"""

import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import Array
from vecprop.backend.placement import Columns
from vecprop.backend.processes import ALONE, Team
from vecprop.backend.selection import get_backend
from vecprop.utils.arguments import check_positive_integer
from vecprop_jax.one_device import JAXPlacement

AXIS = "examples"
# Messages when another process does not answer: by Gloo on CPUs, NCCL on GPUs, JAX's coordination service. They begin
# with a status; most are JaxRuntimeError, those of a program called for the first time also ValueError.
_LOST = re.compile(
    r"UNAVAILABLE|DEADLINE_EXCEEDED|[A-Z_]+: .*\b(?i:gloo|nccl|connection (reset|closed|refused)|coordination)", re.S
)


def mesh_of(devices: Any) -> Mesh:
    """Return the mesh of one axis for `devices`: "all", a number, or a mesh with devices of each process."""
    there = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    if isinstance(devices, str):
        if devices != "all":
            raise ValueError(f'devices must be "all", a number or a jax.sharding.Mesh, got {devices!r}')
        chosen: Sequence[Any] = there
    elif isinstance(devices, Mesh):
        if len(devices.axis_names) != 1:
            raise ValueError(
                f"devices must be a mesh with one axis, got the axes {devices.axis_names} of shape "
                f'{devices.devices.shape}: jax.sharding.Mesh(mesh.devices.reshape(-1), ("{AXIS}",)) has one'
            )
        chosen = list(devices.devices)
        own = {d.process_index for d in chosen}
        if own != set(range(jax.process_count())):
            raise ValueError(
                f"devices: the mesh has devices of the processes {sorted(own)}, and there are {jax.process_count()}"
            )
    elif isinstance(devices, bool) or not hasattr(devices, "__index__"):
        raise TypeError(f'devices must be "all", a number or a jax.sharding.Mesh, got {devices!r}')
    else:
        chosen = _so_many(check_positive_integer(devices, "devices"), there)
    return Mesh(np.array(chosen, dtype=object), (AXIS,))


def _so_many(count: int, there: Sequence[Any]) -> Sequence[Any]:
    """Return the first `count` devices."""
    if count > len(there):
        hint = ""
        if there[0].platform == "cpu":
            hint = f"; JAX_NUM_CPU_DEVICES={count}, set before JAX is first used, makes as many of the CPU"
        raise ValueError(f"devices={count}, and JAX has {len(there)} ({there[0].platform}): give at most as many{hint}")
    if jax.process_count() > 1 and count < len(there):
        raise ValueError(
            f'devices={count} of {len(there)} leaves processes without any: give "all", or a mesh with some of each'
        )
    return there[:count]


class JAXTeam(Team):
    """The processes of `jax.distributed`."""

    def __init__(self) -> None:
        self.index, self.count = jax.process_index(), jax.process_count()

    def gather(self, array: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return every process's array."""
        array = np.asarray(array)
        with jax.enable_x64(True):
            sizes = self._all(np.asarray([array.shape[-1] if array.ndim else 0], dtype=np.int64))[:, 0]
            if not array.ndim:
                return list(self._all(array))
            rest = int(sizes.max()) - array.shape[-1]
            padded = np.concatenate([array, np.zeros((*array.shape[:-1], rest), array.dtype)], axis=-1)
            return [part[..., :size] for part, size in zip(self._all(padded), sizes, strict=True)]

    def has_lost(self, error: BaseException) -> bool:
        """Recognise it by the messages of the communication libraries."""
        return isinstance(error, (jax.errors.JaxRuntimeError, ValueError)) and bool(_LOST.match(str(error)))

    def _all(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(multihost_utils.process_allgather(array))


def at(array: Array, place: NamedSharding) -> Array:
    """Place an array inside a compiled function; the devices need not divide its sizes."""
    return jax.lax.with_sharding_constraint(array, place)  # type: ignore[no-untyped-call]


class MeshPlacement(JAXPlacement):
    """The devices of a mesh of one axis.

    networks : K of a stack whose networks are spread over the devices, or None if the examples are
    counts : the number of examples of each process; None before they are known
    """

    def __init__(self, backend: Backend, mesh: Mesh, networks: int | None, counts: tuple[int, ...] | None) -> None:
        super().__init__(backend)
        self.mesh, self.networks, self.counts = mesh, networks, counts or ()
        self.devices = int(mesh.devices.size)
        self.everywhere = self.along(0, 0)  # the place of an array that is on each device
        owners = np.array([device.process_index for device in mesh.devices])
        # the number of places for examples on a device, and the position of each example in an array over all (m,)
        self._width = max((-(-m // int((owners == p).sum())) for p, m in enumerate(self.counts)), default=0)
        places = np.arange(self.devices * self._width).reshape(self.devices, self._width)
        own = [places[owners == p].reshape(-1)[:m] for p, m in enumerate(self.counts)]
        self._positions = np.concatenate(own or [places.reshape(-1)])
        self.team = JAXTeam() if jax.process_count() > 1 else ALONE
        # everything trained is on each device, or on the devices of this process
        self.gathers_alone = networks is None or self.team.count == 1

    def laid_out(self, counts: tuple[int, ...]) -> Backend:
        """Return the backend for a set of examples; `counts` are those of each process."""
        return type(self.backend)(self.mesh, self.networks, counts)  # type: ignore[no-any-return]

    def along(self, axes: int, axis: int) -> NamedSharding:
        """Return the place of an array that is spread along one of its axes."""
        axes_of_mesh = (AXIS if i == axis else None for i in range(axes))
        return NamedSharding(self.mesh, PartitionSpec(*axes_of_mesh))  # type: ignore[no-untyped-call]

    def columns_spread(self, array: Array) -> Array:
        """Return an array, inside a compiled function, spread along its last axis."""
        return at(array, self.along(array.ndim, array.ndim - 1))

    def is_network(self, shape: tuple[int, ...]) -> bool:
        """Tell whether an array of this shape has an entry for each of the networks that are spread."""
        return self.networks is not None and len(shape) >= 3 and shape[0] == self.networks

    def with_networks_spread(self, tree: Any, *, rest: bool) -> Any:
        """Return the arrays of K networks spread over the devices, with `rest` the others on each.

        The results of a compiled function are spread only if the devices divide K.
        """

        def placed(array: Any) -> Any:
            if not isinstance(array, jax.Array):
                return array
            if self.is_network(array.shape) and not (rest and array.shape[0] % self.devices):
                return at(array, self.along(array.ndim, 0))
            return at(array, self.everywhere) if rest else array

        return jax.tree_util.tree_map(placed, tree)

    def spread(self, data: Columns, batches: bool) -> Columns:
        """Return X, Y and weights over the devices, filled up with examples of weight 0; for batches in rows."""
        if self.networks is not None:
            return super().spread(tuple(None if a is None else self.team.joined(a) for a in data), batches)
        X, _, w = data
        assert X is not None
        if w is None and not batches and self.devices * self._width > sum(self.counts):
            w = np.ones(X.shape[-1], dtype=str(X.dtype))
        arrays = (*data[:2], w)
        return tuple(
            None if a is None else self._over_devices(np.asarray(a), self._width, rows=batches) for a in arrays
        )

    def _over_devices(self, host: npt.NDArray[Any], width: int, *, rows: bool) -> Array:
        """Return this process's (n, m) or (m,) as its part of an array over all devices."""
        turned, pieces, start = rows and host.ndim == 2, [], 0
        with jax.enable_x64(True):
            for device in self.mesh.devices:
                if device.process_index != jax.process_index():
                    continue
                part = host[..., start : start + width]
                start += width
                if part.shape[-1] < width:
                    part = np.concatenate([part, np.zeros((*part.shape[:-1], width - part.shape[-1]), part.dtype)], -1)
                pieces.append(jax.device_put(np.ascontiguousarray(part.T) if turned else part, device))
            shape = (self.devices * width, host.shape[0]) if turned else (*host.shape[:-1], self.devices * width)
            place = self.along(len(shape), 0 if turned else len(shape) - 1)
            return jax.make_array_from_single_device_arrays(shape, place, pieces)

    def unspread(self, array: Array) -> npt.NDArray[Any]:
        """Return the columns of examples on the host, in their original order."""
        host = self.backend.to_numpy(array)
        return host if self.networks is not None else host[..., self._positions]  # type: ignore[no-any-return]

    def places(self, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the positions, in the arrays from `spread`, of the examples of an order."""
        return order if self.networks is not None or len(self.counts) < 2 else self._positions[order]

    def column_numbers(self, X: Array) -> Array:
        """Return the numbers of the columns, for all the examples their numbers before spreading."""
        columns = X.shape[-1]
        if self.networks is None and len(self.counts) > 1 and columns == self.devices * self._width:
            numbers = np.full(columns, columns, dtype=np.uint32)
            numbers[self._positions] = np.arange(len(self._positions), dtype=np.uint32)
            return jnp.asarray(numbers)
        return super().column_numbers(X)

    def home(self, array: Array) -> Array:
        """Return an array on JAX's default device, for use outside training."""
        return get_backend("jax").asarray(self.backend.to_numpy(array))
