"""The examples of a run, in memory, sparse or in files; all kinds answer the same questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from vecprop.backend.contract import Backend, take_columns
from vecprop.backend.namespaces import Array
from vecprop.data import sparse
from vecprop.data.sparse import SparseColumns
from vecprop.data.streaming import examples as streamed
from vecprop.data.streaming.examples import StreamedExamples
from vecprop.data.streaming.windows import read_windows
from vecprop.nn.array_checks import Checked, check_total_weight
from vecprop.nn.input_scaling import InputScale, input_scale, moments_of, scaled
from vecprop.nn.network import Network
from vecprop.training.epochs import Data, Run
from vecprop.training.json_values import digest
from vecprop.training.pieces import Pieces, PiecesOfWindows

Host = npt.NDArray[Any]

_SAMPLE = 1000  # columns kept for `vp.diagnose`


class FiniteColumns(NamedTuple):
    """X (n_0, m) that an estimator has checked: finite numbers in the dtype of the training, which `fit` takes as X."""

    array: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (n_0, m)."""
        return tuple(self.array.shape)


def unmarked(X: Any) -> tuple[Any, bool]:
    """Return X as an array, and whether it is marked as checked."""
    return (X.array, True) if isinstance(X, FiniteColumns) else (X, False)


class TrainingData:
    """Examples in memory, as arrays of the backend; the other kinds override what they do otherwise.

    net : Network
    checked : Checked
        The parameters, with the backend and the dtype.
    X, Y, w : arrays (n_0, m), (n_L, m) and (m,) or None; (K, n_0, m) and (K, m) for inputs and weights by network
    """

    at_hand: ClassVar[bool] = True  # whether all of them are on the backend
    same_arrays: ClassVar[bool] = True  # whether a compiled epoch gets the very same arrays in each call
    in_windows: ClassVar[bool] = False  # whether a window of them is in memory at a time
    pieces: ClassVar[type[Pieces]] = Pieces  # in which epochs are computed

    def __init__(self, net: Network, checked: Checked, X: Any, Y: Any = None, w: Any = None) -> None:
        self.net, self.checked, self.X, self.Y, self.w = net, checked, X, Y, w

    def _of(self, X: Any, Y: Any, w: Any) -> Self:
        return type(self)(self.net, self.checked, X, Y, w)

    @property
    def m(self) -> int:
        """The number of examples, of this process."""
        return int(self.X.shape[-1])

    @property
    def arrays(self) -> Data:
        """X, Y and the weights, as an epoch takes them."""
        return self.X, self.Y, self.w

    @property
    def largest(self) -> float:
        """The largest |x|, or of examples in files that of a sample."""
        xp = self.checked.xp
        return float(xp.max(xp.abs(self.X)) if self.at_hand else self.X.largest)

    def described(self) -> dict[str, Any]:
        """Return the facts that decide the order of the examples beside the seed; a checkpoint holds them."""
        return {"window": None}

    @property
    def inputs_by_network(self) -> bool:
        """Whether each network of a stack has inputs of its own."""
        return getattr(self.X, "ndim", 2) == 3

    @property
    def weighted_by_network(self) -> bool:
        """Whether each network of a stack has weights of its own."""
        return getattr(self.w, "ndim", 1) == 2

    def check_devices(self) -> None:
        """Raise ValueError if they cannot be spread over several devices."""
        if self.inputs_by_network:
            raise ValueError(f"devices: X must have shape (n_0, m) on several devices, got {tuple(self.X.shape)}")
        if self.weighted_by_network:
            raise ValueError("devices: sample_weight must have shape (m,) on several devices, one weight per example")

    def check_processes(self) -> None:
        """Raise ValueError if several processes cannot each have a part of them."""
        self.check_devices()

    # --- what they hold ---

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """The class of each example, (m,), for a network whose classes exclude each other."""
        return streamed.labels_of(self.net, self.checked.backend.to_numpy(self.Y))

    def weights(self) -> Host | None:
        """Return the weight of each example, (m,) or (K, m), or None if all are equal."""
        return None if self.w is None else self.checked.backend.to_numpy(self.w)

    def class_sums(self) -> Host:
        """Return the sum of the targets of each class, (n_L,)."""
        return self.checked.backend.to_numpy(self.checked.xp.sum(self.Y, axis=-1))

    def class_totals(self, classes: int) -> npt.NDArray[np.float64]:
        """Return the total weight of the examples of each class, (classes,) or (K, classes)."""
        w = self.weights()
        weights = np.ones(self.m) if w is None else w.astype(np.float64)
        return np.apply_along_axis(
            lambda row: np.bincount(self.labels, weights=row, minlength=classes).astype(np.float64), -1, weights
        )

    def total_weight(self) -> Array | float:
        """Return the sum of the weights, () or (K,), on the backend."""
        return float(self.m) if self.w is None else self.checked.xp.sum(self.w, axis=-1)

    def input_scale(self) -> InputScale:
        """Return the mean and the deviation of each feature (E35)."""
        if self.inputs_by_network:
            raise ValueError(
                f"standardize=True needs X of shape (n_0, m), got {tuple(self.X.shape)}: scale it yourself"
            )
        if self.weighted_by_network:
            raise ValueError("standardize=True needs sample_weight of shape (m,): one scaling of X serves all networks")
        return self.checked.backend.compile(input_scale)(self.checked.xp, self.X, self.w)  # type: ignore[no-any-return]

    def sample(self) -> tuple[Host, Host, Host | None]:
        """Return X, Y and the weights of some examples, evenly spread, on the host."""
        return self._some(self.X), self._some(self.Y), None if self.w is None else self._some(self.w)

    def _some(self, array: Any) -> Host:
        return np.array(self.checked.backend.to_numpy(array[..., :: self._every] if self._every > 1 else array))

    @property
    def _every(self) -> int:
        return max(1, -(-self.m // _SAMPLE))

    # --- others made from them ---

    def part(self, places: npt.NDArray[np.int64]) -> Self:
        """Return the examples of these numbers."""
        return self._of(*self._chosen(places, *self.arrays))

    def _chosen(self, places: npt.NDArray[np.int64], *arrays: Array | None) -> list[Array | None]:
        chosen = self.checked.backend.asarray(places, "int32")
        return [None if a is None else take_columns(self.checked.xp, a, chosen) for a in arrays]

    def in_memory_if_small(self) -> TrainingData:
        """Return them in memory if they are small."""
        return self

    def reweighted(self, factors: npt.NDArray[np.float64]) -> Self:
        """Return them with the weight of each times the factor of its class."""
        w = self.weights()
        weights = (np.ones(self.m) if w is None else w.astype(np.float64)) * factors[..., self.labels]
        return self._of(self.X, self.Y, self.checked.backend.asarray(weights, self.checked.dtype))

    def numbered(self) -> Self:
        """Return them with their numbers, (1, m) or (m,), in place of inputs and of weights by network."""
        numbers = self.checked.backend.asarray(np.arange(self.m), "int32")
        X = numbers[None, :] if self.inputs_by_network else self.X
        return self._of(X, self.Y, numbers if self.weighted_by_network else self.w)

    def of_networks(self, take: Callable[[Array], Array]) -> Self:
        """Return them for some networks of a stack, which `take` takes out of an array."""
        X = take(self.X) if self.inputs_by_network else self.X
        return self._of(X, self.Y, take(self.w) if self.weighted_by_network else self.w)

    def scaled(self, scale: InputScale) -> Self:
        """Return them with every feature scaled (E35)."""
        return self._of(self.checked.backend.compile(scaled)(self.X, scale), self.Y, self.w)

    # --- how they are trained on, and judged ---

    def spread(self, backend: Backend, *, batches: bool) -> Self:
        """Return them where and as training wants them, for batches arranged; what is not at hand is spread later."""
        return self._of(*backend.placement.spread(self.arrays, batches=batches)) if self.at_hand else self

    def cut(self, batch_size: int, shuffled: bool) -> None:
        """Choose what is read together, for epochs in batches of this size."""

    def widest(self, run: Run) -> int:
        """Return the most steps of an epoch whose examples are at hand together."""
        return -(-run.m // run.batch_size)

    def columns(self, run: Run, places: npt.NDArray[np.int64]) -> tuple[Run, Data, Array | None]:
        """Return run, data and order for steps on the examples of these numbers, in this order."""
        place = run.backend.placement
        order = None if run.batch_size >= run.m else place.argument(place.places(places), "int32")
        return run, self.arrays, order

    def parts(self, backend: Backend) -> Iterator[Data]:
        """Yield all of them in their order, as arrays, in parts that fit into memory."""
        yield self.arrays


class SparseData(TrainingData):
    """Sparse X (`SparseColumns`) that is made dense a part at a time, beside Y and weights in memory."""

    X: SparseColumns
    at_hand: ClassVar[bool] = False
    same_arrays: ClassVar[bool] = False

    def check_devices(self) -> None:
        raise ValueError(
            "devices: sparse X, made dense a part at a time, is trained on with one device; leave devices out, or give "
            "an array"
        )

    def input_scale(self) -> InputScale:
        raise ValueError("standardize=True subtracts the mean of every feature, which would make sparse X dense")

    def sample(self) -> tuple[Host, Host, Host | None]:
        w = None if self.w is None else self._some(self.w)
        return self.X.take(slice(None, None, self._every)), self._some(self.Y), w

    @property
    def _every(self) -> int:
        return max(super()._every, self.X.dense_bytes // sparse.PART)

    def part(self, places: npt.NDArray[np.int64]) -> Self:
        return self._of(self.X.subset(places), *self._chosen(places, self.Y, self.w))

    def widest(self, run: Run) -> int:
        return self.X.part(run.batch_size) // run.batch_size

    def columns(self, run: Run, places: npt.NDArray[np.int64]) -> tuple[Run, Data, Array | None]:
        backend, on_device = run.backend, run.backend.asarray(places, "int32")
        Y, w = (None if a is None else take_columns(backend.xp, a, on_device) for a in (self.Y, self.w))
        data = backend.asarray(self.X.take(places), self.X.dtype), Y, w
        if run.batch_size < len(places):
            data = backend.placement.spread(data, batches=True)  # type: ignore[assignment]
        return run._replace(m=len(places)), data, None

    def parts(self, backend: Backend) -> Iterator[Data]:
        size = self.X.part(1)
        for start in range(0, self.m, size):
            part = slice(start, min(start + size, self.m))
            weights = None if self.w is None else self.w[part]
            yield backend.asarray(self.X.take(part), self.X.dtype), self.Y[:, part], weights


class StreamedData(TrainingData):
    """X, Y and weights that are read from files a window at a time (`StreamedExamples`)."""

    X: StreamedExamples
    at_hand: ClassVar[bool] = False
    in_windows: ClassVar[bool] = True
    pieces: ClassVar[type[Pieces]] = PiecesOfWindows

    def described(self) -> dict[str, Any]:
        windows = self.X.windows
        return {"window": windows.width, "the blocks of the file": digest([windows.boundaries])}

    def check_processes(self) -> None:
        raise ValueError(
            "devices: examples in files are read by one process, and there are several; give each process its part of "
            "them in memory, or train in one process on its devices"
        )

    @property  # not kept: there may be many
    def labels(self) -> npt.NDArray[np.int64]:
        return np.concatenate([streamed.labels_of(self.net, Y) for _, Y, _ in self.X.blocks(Y=True)])

    def weights(self) -> Host | None:
        return np.concatenate([w.astype(np.float64) for _, _, w in self.X.blocks()]) if self.X.weighted else None

    def class_sums(self) -> Host:
        sums = (Y.sum(axis=1, dtype=np.float64) for _, Y, _ in self.X.blocks(Y=True))
        return sum(sums, np.zeros(self.net.sizes[-1]))

    def class_totals(self, classes: int) -> npt.NDArray[np.float64]:
        totals = np.zeros(classes)
        for _, Y, w in self.X.blocks(Y=True):
            totals += np.bincount(streamed.labels_of(self.net, Y), weights=w, minlength=classes)
        return totals

    def total_weight(self) -> float:
        if not self.X.weighted:
            return float(self.m)
        weight = sum(w.sum(dtype=np.float64) for _, _, w in self.X.blocks())
        check_total_weight(np, weight, self.checked.dtype)
        return float(weight)

    def input_scale(self) -> InputScale:
        backend, dtype = self.checked.backend, self.checked.dtype
        parts = ((X, w) for X, _, w in self.X.blocks(X=True, dtype="float64"))
        return InputScale(*(backend.asarray(a, dtype) for a in moments_of(parts).scale(np)))

    def sample(self) -> tuple[Host, Host, Host | None]:
        return self.X.sample()

    def part(self, places: npt.NDArray[np.int64]) -> Self:
        return self._of(self.X.subset(places), None, None)

    def in_memory_if_small(self) -> TrainingData:
        examples = self.X
        if self.m * examples.bytes_each > streamed.SMALL:
            return self
        memory = examples.buffers(self.m)
        examples.fill(memory, [(0, self.m)])
        backend, dtype = self.checked.backend, self.checked.dtype
        arrays = (None if a is None else backend.asarray(a, dtype) for a in memory)
        return TrainingData(self.net, self.checked, *arrays)

    def reweighted(self, factors: npt.NDArray[np.float64]) -> Self:
        self.X.factors = factors
        return self

    def scaled(self, scale: InputScale) -> Self:
        mean, deviation = (self.checked.backend.to_numpy(a) for a in scale)
        self.X.scale = (mean, deviation)
        return self

    def cut(self, batch_size: int, shuffled: bool) -> None:
        self.X.windows = self.X.cut(batch_size, shuffled)

    def parts(self, backend: Backend) -> Iterator[Data]:
        windows = self.X.cut()
        places = ((0, number) for number in range(len(windows)))
        with closing(read_windows(self.X, backend, places, windows=windows, arranged=False)) as found:
            for window in found:
                yield window.data
