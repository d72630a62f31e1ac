"""JAX on several devices: the same compiled programs over a mesh, with XLA's reductions.

Either the examples are spread over the devices and each holds the parameters, or the networks of a stack are spread and
each device holds the examples. The devices may belong to several processes, each with its own part of the examples.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vecprop.backend.contract import Backend, Tree, add_trees, to_host
from vecprop.backend.namespaces import Array, marked
from vecprop.backend.processes import ALONE, Team
from vecprop.utils.arguments import check_positive_integer
from vecprop_jax.one_device import JAXOnOneDevice, compiled

AXIS = "examples"
# Messages when another process does not answer: by Gloo on CPUs, NCCL on GPUs, JAX's coordination service.
_LOST = re.compile(r"gloo|nccl|connection (reset|closed|refused)|coordination|UNAVAILABLE|DEADLINE_EXCEEDED", re.I)


def mesh_of(devices: Any) -> Mesh:
    """Return the mesh of one axis for `devices`: "all", a number, or a mesh.

    Raises
    ------
    ValueError
        For more devices than exist, a mesh of several axes, or one without devices of this process.
    TypeError
        For anything else.
    """
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

    def _all(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(multihost_utils.process_allgather(array))


def _sharding(mesh: Mesh, *axes: str | None) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec(*axes))  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class _OverTheMesh:
    """A function with its results, and for a stack its networks, placed on the mesh."""

    function: Callable[..., Any]
    backend: "JAXOnSeveralDevices"

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The function, whose signature says how its arguments may be treated."""
        return self.function

    def __call__(self, *arguments: Any) -> Any:
        backend, static = self.backend, marked(self.function, "Static")
        placed = tuple(
            a if i in static else backend.with_networks_spread(a, rest=False) for i, a in enumerate(arguments)
        )
        return backend.with_networks_spread(self.function(*placed), rest=True)


class JAXOnSeveralDevices(JAXOnOneDevice):
    """JAX on the devices of a mesh of one axis.

    Parameters
    ----------
    mesh : jax.sharding.Mesh
    networks : int, optional
        K of a stack whose networks are spread over the devices; by default the examples are spread.
    counts : tuple of int, optional
        The number of examples of each process; by default this process has all.
    """

    def __init__(self, mesh: Mesh, networks: int | None = None, counts: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.mesh, self.networks, self.counts = mesh, networks, counts
        self.count = int(mesh.devices.size)
        self.team = JAXTeam() if jax.process_count() > 1 else ALONE

    def _key(self) -> tuple[Any, ...]:
        return (self.mesh, self.networks, self.counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JAXOnSeveralDevices) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    # The places of arrays

    def _spread(self, axes: int, axis: int) -> NamedSharding:
        return _sharding(self.mesh, *(AXIS if i == axis else None for i in range(axes)))

    @property
    def _everywhere(self) -> NamedSharding:
        return _sharding(self.mesh)

    def _at(self, array: Array, place: NamedSharding) -> Array:
        """Place an array inside a compiled function; the devices need not divide its sizes."""
        return jax.lax.with_sharding_constraint(array, place)  # type: ignore[no-untyped-call]

    def _columns_spread(self, array: Array) -> Array:
        return self._at(array, self._spread(array.ndim, array.ndim - 1))

    def _is_network(self, shape: tuple[int, ...]) -> bool:
        return self.networks is not None and len(shape) >= 3 and shape[0] == self.networks

    def with_networks_spread(self, tree: Any, *, rest: bool) -> Any:
        """Return the arrays of K networks spread over the devices, with `rest` the others on each.

        The results of a compiled function are spread only if the devices divide K.
        """

        def placed(array: Any) -> Any:
            if not isinstance(array, jax.Array):
                return array
            if self._is_network(array.shape) and not (rest and array.shape[0] % self.count):
                return self._at(array, self._spread(array.ndim, 0))
            return self._at(array, self._everywhere) if rest else array

        return jax.tree_util.tree_map(placed, tree)

    def asarray(self, values: Any, dtype: str | None = None) -> Array:
        """Return the values on the devices: those of K networks spread, all others on each."""
        host = np.asarray(self.to_numpy(values) if isinstance(values, jax.Array) else to_host(values), dtype=dtype)
        spread = self._is_network(host.shape) and host.shape[0] % self.count == 0
        place = self._spread(host.ndim, 0) if spread else self._everywhere
        with jax.enable_x64(True):  # 64-bit arrays can only be made where x64 is enabled
            return jax.make_array_from_callback(host.shape, place, lambda part: host[part])

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        """Return a copy on the host, whole even if the array is spread over several processes."""
        if isinstance(array, jax.Array) and not (array.is_fully_addressable or array.is_fully_replicated):
            return np.asarray(multihost_utils.process_allgather(array, tiled=True))
        return np.array(array)

    def is_process_lost(self, error: BaseException) -> bool:
        """Recognise it by the messages of the communication libraries."""
        return self.team.count > 1 and isinstance(error, jax.errors.JaxRuntimeError) and bool(_LOST.search(str(error)))

    @property
    def gathers_alone(self) -> bool:
        """Whether everything trained is on each device, or on the devices of this process."""
        return self.networks is None or self.team.count == 1

    def home(self, array: Array) -> Array:
        """Return an array on JAX's default device, for use outside training."""
        return self._alone.asarray(self.to_numpy(array))

    @cached_property
    def _alone(self) -> JAXOnOneDevice:
        return JAXOnOneDevice()

    # The examples

    def laid_out(self, counts: tuple[int, ...]) -> Backend:
        """Return the backend for a set of examples; `counts` are those of each process."""
        return JAXOnSeveralDevices(self.mesh, self.networks, counts)

    @cached_property
    def _owners(self) -> list[int]:
        return [device.process_index for device in self.mesh.devices]

    @cached_property
    def _width(self) -> int:
        """The number of places for examples on a device."""
        counts = self.counts or (0,)
        return max(-(-m // self._owners.count(p)) for p, m in enumerate(counts))

    @cached_property
    def _positions(self) -> npt.NDArray[np.int64]:
        """The position of each example in an array over all devices, (m,)."""
        places = np.arange(self.count * self._width).reshape(self.count, self._width)
        parts = [
            places[[i for i, owner in enumerate(self._owners) if owner == p]].reshape(-1)[:m]
            for p, m in enumerate(self.counts or ())
        ]
        return np.concatenate(parts)

    def spread(self, data: tuple[Array | None, ...], batches: bool) -> tuple[Array | None, ...]:
        """Return X, Y and weights over the devices, filled up with examples of weight 0.

        With `batches` they are in rows, from which the examples of a batch are gathered.
        """
        if self.networks is not None:
            on_each = tuple(None if a is None else self.asarray(self.team.joined(a), str(a.dtype)) for a in data)
            return tuple(None if a is None else self.arrange(a) for a in on_each) if batches else on_each
        X, _, w = data
        assert X is not None
        if w is None and not batches and self.count * self._width > sum(self.counts or ()):
            w = np.ones(X.shape[-1], dtype=str(X.dtype))
        arrays = (*data[:2], w)
        return tuple(
            None if a is None else self._over_devices(np.asarray(a), self._width, rows=batches) for a in arrays
        )

    def load_columns(self, columns: npt.NDArray[Any], dtype: str) -> Array:
        """Return a copy on each device, or for K networks on the devices that have them."""
        return jax.block_until_ready(self.asarray(columns.copy(order="K"), dtype))  # type: ignore[no-untyped-call]

    def load(self, columns: npt.NDArray[Any], dtype: str) -> Array:
        """Return a copy of a window of this process's examples, in rows over the devices."""
        if self.networks is not None:
            return self.arrange(self.load_columns(columns, dtype))
        width = -(-columns.shape[-1] // self.count)
        # on a CPU a device may keep the given memory itself
        loaded = self._over_devices(columns.copy(order="K"), width, rows=True)
        return jax.block_until_ready(loaded)  # type: ignore[no-untyped-call]

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
            shape = (self.count * width, host.shape[0]) if turned else (*host.shape[:-1], self.count * width)
            place = self._spread(len(shape), 0 if turned else len(shape) - 1)
            return jax.make_array_from_single_device_arrays(shape, place, pieces)

    def unspread(self, array: Array) -> npt.NDArray[Any]:
        """Return the columns of examples on the host, in their original order."""
        host = self.to_numpy(array)
        return host if self.networks is not None else host[..., self._positions]

    def places(self, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the positions, in the arrays from `spread`, of the examples of an order."""
        return order if self.networks is not None or len(self.counts or ()) < 2 else self._positions[order]

    def column_numbers(self, X: Array) -> Array:
        """Return the numbers of the columns, for all the examples their numbers before spreading."""
        columns = X.shape[-1]
        if self.networks is None and len(self.counts or ()) > 1 and columns == self.count * self._width:
            numbers = np.full(columns, columns, dtype=np.uint32)
            numbers[self._positions] = np.arange(len(self._positions), dtype=np.uint32)
            return jnp.asarray(numbers)
        return super().column_numbers(X)

    # Compiled functions

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function under `jax.jit`, with its results on each device."""
        return compiled(_OverTheMesh(function, self))

    def compile_loop(
        self,
        function: Callable[..., Any],
        *,
        bound: bool = True,  # noqa: ARG002
        donated: bool = True,
    ) -> Callable[..., Any]:
        """Return the function under `jax.jit`, results on each device, arguments donated."""
        return compiled(_OverTheMesh(function, self), donated=donated)

    def _gathers_each_batch(self, order: Array) -> bool:
        return self.networks is None or super()._gathers_each_batch(order)

    def _columns_at(self, rows: Array, places: Array) -> Array:
        """Return columns, spread over the devices, at some places of rows that are spread too."""
        if self.networks is not None:
            return super()._columns_at(rows, places)
        # each device contributes its part of the batch and takes its share of the sum, so no places are sent
        places = self._at(places, self._everywhere)
        taken = self._at(rows.at[places].get(mode="promise_in_bounds"), self._everywhere)
        if rows.ndim == 2:
            taken = jnp.swapaxes(self._at(taken, self._spread(taken.ndim, taken.ndim - 2)), -1, -2)
        return self._columns_spread(taken)

    def sum_blocks(self, function: Callable[..., Tree], block_size: int, *arrays: Array | None) -> Tree:
        """Sum over blocks of columns, with equal shares of every block on the devices."""
        if self.networks is not None:
            return super().sum_blocks(function, block_size, *arrays)
        m = next(a.shape[-1] for a in arrays if a is not None)
        each, rest = divmod(m, self.count)
        local = max(1, min(block_size // self.count, each))
        total: Tree | None = None
        if each:
            parts = tuple(None if a is None else self._parts(a, each) for a in arrays)
            total = self._sum_parts(function, parts, local, each)
        if rest:
            last = function(*(None if a is None else a[..., m - rest :] for a in arrays))
            total = last if total is None else add_trees(total, last)
        assert total is not None
        return total

    def _parts(self, array: Array, each: int) -> Array:
        """Return the columns of each device, (…, devices, each)."""
        cut = array[..., : self.count * each].reshape(*array.shape[:-1], self.count, each)
        return self._at(cut, self._spread(cut.ndim, cut.ndim - 2))

    def _block(self, part: Array | None, start: Any, size: int) -> Array | None:
        """Return `size` columns of every device from `start` on, (…, devices · size).

        The part is (…, devices, each).
        """
        if part is None:
            return None
        taken = jax.lax.dynamic_slice_in_dim(part, start, size, axis=-1)
        return self._columns_spread(taken.reshape(*part.shape[:-2], self.count * size))

    def _sum_parts(self, function: Callable[..., Tree], parts: tuple[Array | None, ...], local: int, each: int) -> Tree:
        total = function(*(self._block(p, 0, local) for p in parts))
        whole = each // local
        if whole > 1:

            def add(sums: Tree, i: Any) -> tuple[Tree, None]:
                return add_trees(sums, function(*(self._block(p, i * local, local) for p in parts))), None

            total, _ = jax.lax.scan(add, total, jnp.arange(1, whole))
        if each % local:
            total = add_trees(total, function(*(self._block(p, whole * local, each % local) for p in parts)))
        return total

    def map_blocks(self, function: Callable[[Array], Array], block_size: int, array: Array) -> Array:
        """Map over blocks of columns, each device working on its own."""
        if self.networks is not None:
            return super().map_blocks(function, block_size, array)
        each, rest = divmod(array.shape[-1], self.count)
        local = max(1, min(block_size // self.count, each))
        done = []
        if each:
            part = self._parts(array, each)
            starts = [*range(0, each - local + 1, local)]
            blocks = jax.lax.map(lambda s: function(self._block(part, s, local)), jnp.asarray(starts))
            blocks = blocks.reshape(*blocks.shape[:-1], self.count, local)
            blocks = jnp.moveaxis(blocks, 0, -2)  # (…, devices, blocks, local)
            mapped = blocks.reshape(*blocks.shape[:-2], len(starts) * local)
            if each % local:
                more = function(self._block(part, len(starts) * local, each % local))
                mapped = jnp.concatenate([mapped, more.reshape(*more.shape[:-1], self.count, each % local)], axis=-1)
            done.append(mapped.reshape(*mapped.shape[:-2], self.count * each))
        if rest:
            done.append(function(array[..., array.shape[-1] - rest :]))
        return jnp.concatenate(done, axis=-1)

    def auto_block(self, m: int, units: int, itemsize: int) -> int | None:
        """Return the number for the share of one device, times the number of devices."""
        block = super().auto_block(-(-m // self.count), units, itemsize)
        return None if block is None else block * self.count

    @property
    def widest_pass(self) -> int | None:
        """The number for one device, times the number of devices."""
        widest = super().widest_pass
        return None if widest is None else widest * self.count
