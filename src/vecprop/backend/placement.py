"""Where a backend's arrays are: on one device, or on several of one process or more."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vecprop.backend.namespaces import Array, array_namespace, device_of
from vecprop.backend.processes import ALONE, Team

Backend: TypeAlias = Any  # `vecprop.backend.contract.Backend`, which has a placement
Columns: TypeAlias = tuple[Array | None, ...]  # X, Y and weights, one example per column; None in place of one


class Placement:
    """One device of one process; a backend that puts arrays elsewhere, or otherwise, has a subclass.

    devices : how many there are
    team : the processes that compute together
    gathers_alone : whether `to_numpy` needs no other process
    """

    devices: int = 1
    team: Team = ALONE
    gathers_alone: bool = True

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def over(self, devices: Any, networks: int | None) -> Backend:  # noqa: ARG002
        """Return the backend that computes on several devices, for K networks or for one (None)."""
        name = self.backend.name
        raise ValueError(f"devices={devices!r}: the backend {name!r} computes on one device; use backend='jax'")

    def laid_out(self, counts: tuple[int, ...]) -> Backend:  # noqa: ARG002
        """Return the backend for a set of examples; `counts` says how many of them each process has."""
        return self.backend

    def spread(self, data: Columns, batches: bool) -> Columns:  # noqa: ARG002
        """Return data in columns, X, Y and weights, of the backend or the host, where and as training wants them.

        batches : whether `scan_batches` gathers from them, and so in the memory order in which it is fastest
        """
        backend = self.backend
        return tuple(a if a is None or array_namespace(a) is backend.xp else backend.asarray(a) for a in data)

    def unspread(self, array: Array) -> npt.NDArray[Any]:
        """Return columns of examples (…, m) that were spread, on the host, in their own order."""
        return self.backend.to_numpy(array)  # type: ignore[no-any-return]

    def places(self, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the positions of the examples of an order in the arrays that `spread` made."""
        return order

    def column_numbers(self, X: Array) -> Array:
        """Return 0 … m - 1 (m,), the numbers by which masks tell the columns of X (…, n, m) apart."""
        xp = array_namespace(X)
        return xp.arange(X.shape[-1], dtype=xp.uint32, **device_of(X))

    def argument(self, values: npt.NDArray[Any], dtype: str) -> Array:
        """Return a small host array in a form in which `compile_loop`'s functions take it quickest."""
        return self.backend.asarray(values, dtype)

    def home(self, array: Array) -> Array:
        """Return an array as it is used after training: on one device."""
        return array
