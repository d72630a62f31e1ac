"""What a backend is: the few things the array API standard lacks, and nothing else.

`Backend` works as it stands for any namespace of the standard; a subclass in `backends/` adds what its library does
better. No arithmetic (that is `xp`), no random numbers, no second copy of the mathematics: a backend moves,
compiles, loops and waits.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from typing import Any, ClassVar, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from vecprop.backend.device_memory import DeviceMemory
from vecprop.backend.namespaces import Array, Namespace, array_namespace, is_array, joined, namespace_name
from vecprop.backend.placement import Columns, Placement
from vecprop.backend.pytrees import map_trees

Carry = TypeVar("Carry")
Tree = TypeVar("Tree")
Function: TypeAlias = Callable[..., Any]
Arrays: TypeAlias = tuple[Array, ...]
Step: TypeAlias = Callable[[Carry, Any], tuple[Carry, Arrays]]
BatchStep: TypeAlias = Callable[[Carry, Columns, Arrays], tuple[Carry, Arrays]]


def take_columns(xp: Namespace, array: Array, order: Array) -> Array:
    """Return the columns of an array (…, m) in an order (m,), or in K orders (K, m) as a stack (K, …, m)."""
    if order.ndim == 1:
        return xp.take(array, order, axis=-1)
    taken = xp.take(array, xp.reshape(order, (-1,)), axis=-1)
    return xp.moveaxis(xp.reshape(taken, (*array.shape[:-1], *order.shape)), -2, 0)


class Backend:
    """One array library, as the rest of vecprop sees it.

    Parameters
    ----------
    xp : namespace
        A namespace of the Python array API standard.
    name : str, optional
        The name it is selected by; the namespace's own unless given.
    device : object, optional
        The device of that namespace on which arrays are made; its default unless given.

    Examples
    --------
    >>> import array_api_compat.numpy as xp
    >>> backend = Backend(xp)
    >>> backend.name, backend.to_numpy(backend.asarray([[1, 2]], dtype="float32")).dtype.name
    ('numpy', 'float32')
    """

    # Whether training keeps all parameters in one buffer, so that an update is one pass and not one for each array.
    flat_parameters: ClassVar[bool] = False
    # Whether an activation is worth a kernel of its own: `fuse` in a library that runs each operation by itself.
    fuses: ClassVar[bool] = False
    # The most steps of one call of a compiled epoch; a longer epoch is several calls.
    most_steps: ClassVar[int] = 2**31
    # (Z, Y, smoothing) -> the cross-entropy of the softmax of each example (…, 1, m) and dZ (E23), as one kernel.
    softmax_cross_entropy: Callable[[Array, Array, float], tuple[Array, Array]] | None = None
    # (dW_l, db_l), l = 1 … L -> ‖dW_l‖ (…, L) (E36), in fewer kernels than `propagation.gradient_norms`.
    gradient_norms: Callable[[Any], Array] | None = None
    # What puts columns in order, keeping the order in memory that a library's products want.
    take_columns = staticmethod(take_columns)
    # The memory in which the arrays are.
    memory: DeviceMemory = DeviceMemory()

    def __init__(self, xp: Namespace, name: str = "", device: Any = None) -> None:
        self.xp = xp
        self.name = name or namespace_name(xp)
        self.device = device
        self.placement = Placement(self)  # where the arrays are

    def asarray(self, values: Any, dtype: str | None = None) -> Array:
        """Return the values as an array of this backend, on its device, as "float32", "float64" or their own type."""
        if not is_array(values):
            values = np.asarray(values)
        elif not self.has_gpu and array_namespace(values) is not self.xp:
            values = to_host(values)
        place = {} if self.device is None else {"device": self.device}
        return self.xp.asarray(values, dtype=None if dtype is None else getattr(self.xp, dtype), **place)

    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        """Return the array as a NumPy array on the host; this waits for it to be computed."""
        return to_host(array)

    def scope(self, dtype: str, precision: str) -> AbstractContextManager[object]:  # noqa: ARG002
        """Return the context for a dtype ("float32" or "float64") and a precision ("highest" or "fast")."""
        return nullcontext()

    def compile(self, function: Function) -> Function:
        """Compile the function, if the library can; the types of its arguments say which are `Static`."""
        return function

    def compile_loop(self, function: Function, *, bound: bool = True, donated: bool = True) -> Function:  # noqa: ARG002
        """Compile a function that is called repeatedly with arrays of the same shapes.

        Nearly all that the library keeps for it, such as buffers, is freed with the returned function.

        Parameters
        ----------
        function : callable
            Pure; its arguments and results are arrays in nested tuples, and None. The types of its arguments say which
            are `Static`, `Bound` and `Donated` (`vecprop.backend.namespaces`).
        bound, donated : bool, default True
            False: those marked as `Bound` differ between calls, or those marked as `Donated` are used again.
        """
        return self.compile(function)

    def fuse(self, function: Function) -> Function:
        """Return an elementwise function of arrays as one kernel, if this library fuses.

        The function is hashable, and equal to others that compute the same: a kernel is made once for all of them.
        """
        return function

    def joined(self, columns: Sequence[Array]) -> Array:
        """Return columns (…, p, 1), each below the one before, as one (…, P, 1)."""
        return joined(array_namespace(columns[0]), columns, axis=-2)

    def scan(self, step: Step[Carry], carry: Carry, inputs: Arrays) -> tuple[Carry, Arrays]:
        """Run `carry, out = step(carry, inputs[i])` over the leading axis of the inputs, which is not empty.

        Returns the last carry, and for each array that a step puts out all of them, stacked along a new leading axis.
        """
        outputs = []
        for i in range(inputs[0].shape[0]):
            carry, out = step(carry, tuple(a[i, ...] for a in inputs))
            outputs.append(out)
        return carry, tuple(self.xp.stack(list(column)) for column in zip(*outputs, strict=True))

    def scan_batches(
        self, step: BatchStep[Carry], carry: Carry, data: Columns, order: Array | None, batch_size: int, inputs: Arrays
    ) -> tuple[Carry, Arrays]:
        """Run `carry, out = step(carry, batch, input)` over mini-batches of the data's columns, the last one smaller.

        Parameters
        ----------
        data : arrays (n, m) or (m,) as `placement.spread` left them, or None in place of one
            A batch has the same structure, and one example per column.
        order : array (m,) or (K, m), optional
            The columns in the order in which they come, all or some of them; with K orders a batch is a stack
            (K, …, batch_size).
        batch_size : int
            Columns in a batch, 1 to m.
        inputs : arrays (steps, …)
            For each step one entry, handed to it.

        Returns
        -------
        The last carry, and for each array that a step puts out all of them, stacked along a new leading axis.
        """
        xp, present = self.xp, [a is not None for a in data]
        parts, axis, batch_of = self.batches_from(tuple(a for a in data if a is not None), order)
        whole, rest = divmod(parts[0].shape[axis], batch_size)

        def one(carry: Carry, x: Arrays) -> tuple[Carry, Arrays]:
            arrays = iter(batch_of(x[: len(parts)]))
            return step(carry, tuple(next(arrays) if there else None for there in present), x[len(parts) :])

        cut = (cut_along(xp, a, axis, whole, batch_size) for a in parts)
        carry, outputs = self.scan(one, carry, (*cut, *(a[:whole, ...] for a in inputs)))
        if rest:
            ends = (part_along(a, axis, slice(whole * batch_size, None)) for a in parts)
            carry, last = one(carry, (*ends, *(a[whole, ...] for a in inputs)))
            outputs = tuple(xp.concat([o, a[None, ...]]) for o, a in zip(outputs, last, strict=True))
        return carry, outputs

    def batches_from(
        self, arrays: Arrays, order: Array | None
    ) -> tuple[Arrays, int, Callable[[Arrays], Iterable[Array]]]:
        """Return the arrays that `scan_batches` cuts, the axis, and a function from a cut to a batch."""
        if order is not None:
            arrays = tuple(self.take_columns(self.xp, a, order) for a in arrays)
        return arrays, -1, iter

    def sum_blocks(self, function: Callable[..., Tree], block_size: int, *arrays: Array | None) -> Tree:
        """Return the sum of function(*blocks) over blocks of the arrays' last axis; the last block may be smaller.

        What the function returns is an array or nested tuples of arrays. None in place of an array is handed on.
        """
        m = next(a.shape[-1] for a in arrays if a is not None)
        blocks = [(start, min(start + block_size, m)) for start in range(0, m, block_size)]
        return reduce(add_trees, (function(*(None if a is None else a[..., i:j] for a in arrays)) for i, j in blocks))

    def map_blocks(self, function: Callable[[Array], Array], block_size: int, array: Array) -> Array:
        """Return function(block) for blocks of the array's last axis, put together again along the last axis."""
        m = array.shape[-1]
        starts = range(0, m, block_size)
        return self.xp.concat([function(array[..., s : min(s + block_size, m)]) for s in starts], axis=-1)

    def synchronize(self, array: Array) -> None:
        """Wait until the array has been computed: a clock stopped before that measures nothing."""

    @property
    def has_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return False

    def describe(self) -> Mapping[str, str]:
        """Return the library's version and the device, for a status line and for the record of a benchmark."""
        return {"library": namespace_name(self.xp), "device": "CPU"}

    @property
    def compiles(self) -> bool:
        """Whether `compile` does anything: a function is then compiled anew for arrays of other shapes."""
        return self.compile(to_host) is not to_host

    @property
    def computes_in_main_memory(self) -> bool:
        """Whether the arrays are NumPy's, so that what has been read into memory need not be moved."""
        return namespace_name(self.xp) == "numpy"

    def __repr__(self) -> str:
        return f"<vecprop backend {self.name!r}>"


def to_host(array: Array) -> npt.NDArray[Any]:
    """Return an array of any library, on any device, as a NumPy array on the host; of one on the host no copy.

    >>> to_host(np.ones(2)).tolist()
    [1.0, 1.0]
    """
    if hasattr(array, "detach"):  # PyTorch
        return np.asarray(array.detach().cpu())
    if hasattr(array, "get") and hasattr(array, "__cuda_array_interface__"):  # CuPy
        return array.get()  # type: ignore[no-any-return]
    try:
        return np.asarray(array)
    except RuntimeError:  # array_api_strict has devices of its own, whose arrays leave by DLPack only
        return np.from_dlpack(array)


def locked(array: Array) -> Array:
    """Return NumPy's array as a view that cannot be written into, as JAX's cannot be; others as they are."""
    if isinstance(array, np.ndarray):
        array = array.view()
        array.flags.writeable = False
    return array


def part_along(array: Array, axis: int, part: slice) -> Array:
    """Return a part of an array along an axis."""
    return array[(slice(None),) * (axis % array.ndim) + (part,)]


def cut_along(xp: Namespace, array: Array, axis: int, count: int, size: int) -> Array:
    """Return (count, …, size, …): the first count·size entries along an axis, cut into batches."""
    axis %= array.ndim
    cut = part_along(array, axis, slice(count * size))
    return xp.moveaxis(xp.reshape(cut, (*array.shape[:axis], count, size, *array.shape[axis + 1 :])), axis, 0)


def add_trees(a: Any, b: Any) -> Any:
    """Return a + b, leaf by leaf, for arrays in nested tuples.

    >>> add_trees((1, (2, 3)), (10, (20, 30)))
    (11, (22, 33))
    """
    return map_trees(operator.add, a, b)
