"""JAX on several devices: the same compiled programs over a mesh, the reductions put in by XLA.

Either the examples are spread over the devices and the parameters are everywhere, or, for a stack of K networks, the
networks are spread and the examples are everywhere. The devices may belong to several processes, each with its own
part of the examples.
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
from vecprop.backend.namespaces import Array
from vecprop.backend.processes import ALONE, Team
from vecprop.utils.arguments import check_positive_integer
from vecprop_jax.one_device import JAXOnOneDevice, compiled

AXIS = "examples"
# In what is raised where another process does not answer: by Gloo on CPUs, NCCL on GPUs, JAX's coordination service.
_LOST = re.compile(r"gloo|nccl|connection (reset|closed|refused)|coordination|UNAVAILABLE|DEADLINE_EXCEEDED", re.I)


def mesh_of(devices: Any) -> Mesh:
    """Return the mesh, of one axis, that `devices` asks for: "all", a number, or a mesh.

    Raises
    ------
    ValueError
        For more devices than there are, a mesh of several axes, or one without devices of this process.
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
    """Return the first devices."""
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
    """A function whose results, and in a stack whose networks, have their place on the mesh."""

    function: Callable[..., Any]
    backend: "JAXOnSeveralDevices"
    static: tuple[int, ...]

    def __call__(self, *arguments: Any) -> Any:
        backend = self.backend
        placed = tuple(
            a if i in self.static else backend.with_networks_spread(a, rest=False) for i, a in enumerate(arguments)
        )
        return backend.with_networks_spread(self.function(*placed), rest=True)


class JAXOnSeveralDevices(JAXOnOneDevice):
    """JAX on the devices of a mesh of one axis.

    Parameters
    ----------
    mesh : jax.sharding.Mesh
    networks : int, optional
        K of a stack whose networks are spread over the devices; unless given the examples are.
    counts : tuple of int, optional
        How many examples each process has; this process's are all unless given.
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

    # Where arrays are

    def _spread(self, axes: int, axis: int) -> NamedSharding:
        return _sharding(self.mesh, *(AXIS if i == axis else None for i in range(axes)))

    @property
    def _everywhere(self) -> NamedSharding:
        return _sharding(self.mesh)

    def _at(self, array: Array, place: NamedSharding) -> Array:
        """Say, inside a compiled function, where an array is; sizes that the devices do not divide are allowed."""
        return jax.lax.with_sharding_constraint(array, place)  # type: ignore[no-untyped-call]

    def _columns_spread(self, array: Array) -> Array:
        return self._at(array, self._spread(array.ndim, array.ndim - 1))

    def _is_network(self, shape: tuple[int, ...]) -> bool:
        return self.networks is not None and len(shape) >= 3 and shape[0] == self.networks

    def with_networks_spread(self, tree: Any, *, rest: bool) -> Any:
        """Return the arrays of K networks spread over the devices, and with `rest` the others everywhere.

        What leaves a compiled function is spread only if the devices divide K.
        """

        def placed(array: Any) -> Any:
            if not isinstance(array, jax.Array):
                return array
            if self._is_network(array.shape) and not (rest and array.shape[0] % self.count):
                return self._at(array, self._spread(array.ndim, 0))
            return self._at(array, self._everywhere) if rest else array

        return jax.tree_util.tree_map(placed, tree)

    def asarray(self, values: Any, dtype: str | None = None) -> Array:
        """Return the values on the devices: those of K networks spread over them, everything else on each."""
        host = np.asarray(self.to_numpy(values) if isinstance(values, jax.Array) else to_host(values), dtype=dtype)
        spread = self._is_network(host.shape) and host.shape[0] % self.count == 0
        place = self._spread(host.ndim, 0) if spread else self._everywhere
        with jax.enable_x64(True):  # an array 64 bits wide can be made nowhere else
            return jax.make_array_from_callback(host.shape, place, lambda part: host[part])

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        """Return a copy on the host; of an array that is spread over several processes each gets all."""
        if isinstance(array, jax.Array) and not (array.is_fully_addressable or array.is_fully_replicated):
            return np.asarray(multihost_utils.process_allgather(array, tiled=True))
        return np.array(array)

    def is_process_lost(self, error: BaseException) -> bool:
        """Tell it by the words of those that carry the messages."""
        return self.team.count > 1 and isinstance(error, jax.errors.JaxRuntimeError) and bool(_LOST.search(str(error)))

    @property
    def gathers_alone(self) -> bool:
        """Whether all that is trained is on each device, or on those of this process."""
        return self.networks is None or self.team.count == 1

    def home(self, array: Array) -> Array:
        """Return an array on JAX's default device, as others than the training want it."""
        return self._alone.asarray(self.to_numpy(array))

    @cached_property
    def _alone(self) -> JAXOnOneDevice:
        return JAXOnOneDevice()

    # The examples

    def laid_out(self, counts: tuple[int, ...]) -> Backend:
        """Return the backend for a set of examples; `counts` says how many of them each process has."""
        return JAXOnSeveralDevices(self.mesh, self.networks, counts)

    @cached_property
    def _owners(self) -> list[int]:
        return [device.process_index for device in self.mesh.devices]

    @cached_property
    def _width(self) -> int:
        """How many examples a device has place for."""
        counts = self.counts or (0,)
        return max(-(-m // self._owners.count(p)) for p, m in enumerate(counts))

    @cached_property
    def _positions(self) -> npt.NDArray[np.int64]:
        """Where each example is in an array over all devices, (m,)."""
        places = np.arange(self.count * self._width).reshape(self.count, self._width)
        parts = [
            places[[i for i, owner in enumerate(self._owners) if owner == p]].reshape(-1)[:m]
            for p, m in enumerate(self.counts or ())
        ]
        return np.concatenate(parts)

    def spread(self, data: tuple[Array | None, ...], batches: bool) -> tuple[Array | None, ...]:
        """Return examples X, Y and weights over the devices, examples of no weight where nothing is left.

        For batches in rows, from which those of a batch are gathered.
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
        """Return a copy on each device, or of K networks' examples wherever a network is."""
        return jax.block_until_ready(self.asarray(columns.copy(order="K"), dtype))  # type: ignore[no-untyped-call]

    def load(self, columns: npt.NDArray[Any], dtype: str) -> Array:
        """Return a copy of a window of this process's examples, in rows that are spread over the devices."""
        if self.networks is not None:
            return self.arrange(self.load_columns(columns, dtype))
        width = -(-columns.shape[-1] // self.count)
        # on a CPU a device may keep the very memory that it is given
        loaded = self._over_devices(columns.copy(order="K"), width, rows=True)
        return jax.block_until_ready(loaded)  # type: ignore[no-untyped-call]

    def _over_devices(self, host: npt.NDArray[Any], width: int, *, rows: bool) -> Array:
        """Return (n, m) or (m,) as an array over all devices, m examples on each; this process gives its own."""
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
        """Return the columns of examples, on the host, in their own order."""
        host = self.to_numpy(array)
        return host if self.networks is not None else host[..., self._positions]

    def places(self, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return where the examples of an order are in what `spread` made."""
        return order if self.networks is not None or len(self.counts or ()) < 2 else self._positions[order]

    def column_numbers(self, X: Array) -> Array:
        """Return the numbers of the columns; of all the examples, those they have without the devices."""
        columns = X.shape[-1]
        if self.networks is None and len(self.counts or ()) > 1 and columns == self.count * self._width:
            numbers = np.full(columns, columns, dtype=np.uint32)
            numbers[self._positions] = np.arange(len(self._positions), dtype=np.uint32)
            return jnp.asarray(numbers)
        return super().column_numbers(X)

    # Compiled functions

    def compile(self, function: Callable[..., Any], static: tuple[int, ...] = ()) -> Callable[..., Any]:
        """Return the function under `jax.jit`, its results everywhere."""
        return compiled(_OverTheMesh(function, self, static), static)

    def compile_loop(
        self,
        function: Callable[..., Any],
        static: tuple[int, ...] = (),
        bound: tuple[int, ...] = (),  # noqa: ARG002
        donated: tuple[int, ...] = (),
    ) -> Callable[..., Any]:
        """Return the function under `jax.jit`, its results everywhere, that may write over the donated arguments."""
        return compiled(_OverTheMesh(function, self, static), static, donated)

    def _gathers_each_batch(self, order: Array) -> bool:
        return self.networks is None or super()._gathers_each_batch(order)

    def _columns_at(self, rows: Array, places: Array) -> Array:
        """Return the columns at some places of rows that are spread over the devices, spread over them as well."""
        if self.networks is not None:
            return super()._columns_at(rows, places)
        # each device gives what it has of all the batch, and takes its part of the sum: the places need not be sent
        places = self._at(places, self._everywhere)
        taken = self._at(rows.at[places].get(mode="promise_in_bounds"), self._everywhere)
        if rows.ndim == 2:
            taken = jnp.swapaxes(self._at(taken, self._spread(taken.ndim, taken.ndim - 2)), -1, -2)
        return self._columns_spread(taken)

    def sum_blocks(self, function: Callable[..., Tree], block_size: int, *arrays: Array | None) -> Tree:
        """Sum over blocks of columns, each device working on as many of every block as the others."""
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
        """Return (…, devices, each): the columns of each device."""
        cut = array[..., : self.count * each].reshape(*array.shape[:-1], self.count, each)
        return self._at(cut, self._spread(cut.ndim, cut.ndim - 2))

    def _block(self, part: Array | None, start: Any, size: int) -> Array | None:
        """Return (…, devices · size) from (…, devices, each): `size` columns of every device, from `start` on."""
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
        """Return the number for one device's share, times the devices."""
        block = super().auto_block(-(-m // self.count), units, itemsize)
        return None if block is None else block * self.count

    @property
    def widest_pass(self) -> int | None:
        """So many for each device."""
        widest = super().widest_pass
        return None if widest is None else widest * self.count
