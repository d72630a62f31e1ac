"""Measure the ladder: the loops over neurons and examples against the vectorized pass, on every backend.

What the clock runs around is one pass over m examples, already checked and already where they are computed with, and
the wait until the result is there (`Backend.synchronize`):

    forward      A_L (E14)                     `propagation.output`
    gradients    J, dW_l, db_l (E11, E15)      `propagation.gradients`, which is forward and backward

    per_neuron            for each example, for each neuron, one dot product; never compiled
    per_example           a Python loop over the examples, each step compiled where the backend compiles
    per_example_compiled  the loop itself compiled, `backend.scan`; only on a backend that compiles
    vectorized            all m examples at once

The checks of `Network`'s methods, compiling, drawing the data, moving it and cutting it into columns are not in these
times; compiling is reported apart. The bare products are the matrix products of the pass, of the same shapes and
layouts and nothing else; they are timed in turns with the vectorized pass, so that a slow minute slows both.

A loop costs the same for every example. Where all m would take longer than the budget, fewer are measured, the time is
multiplied up, and the row says so (`measured_m`, `extrapolated`).
"""

import json
import math
import os
import platform
import re
import statistics
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import vecprop
from vecprop import propagation
from vecprop.arguments import check_number, check_positive_integer
from vecprop.backend import Backend, add_trees
from vecprop.errors import UnknownBackendError, unknown_name
from vecprop.namespaces import Array, array_namespace
from vecprop.network import Network
from vecprop.propagation import Layer, Params
from vecprop.rungs import _mean, _neurons, _neurons_forward
from vecprop.selection import get_backend, get_precision
from vecprop.validation import dtype_name

NETWORKS = {
    "2-4-1": Network((2, 4, 1), hidden="tanh", output="sigmoid"),
    "784-128-10": Network((784, 128, 10), hidden="tanh", output="softmax"),
}
SIZES = (1, 10, 100, 1_000, 10_000, 100_000)
DTYPES = ("float32", "float64")
PASSES = ("forward", "gradients")
RUNGS = ("per_neuron", "per_example", "per_example_compiled", "vectorized")

_LEAST_SAMPLE = 2e-3  # seconds: a sample repeats a short pass until the clock's resolution does not matter
_MOST_RUNS = 51
_LEAST_RUNS = 3  # of the vectorized pass, whatever the budget: a median of fewer is none

Call = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """One measured cell.

    Attributes
    ----------
    backend, network, dtype, pass_name, rung : str
    m : int
        Examples in the pass.
    seconds : float
        Time of one pass over m examples, the median of `runs` samples.
    measured_m : int
        Examples that were in fact looped over.
    extrapolated : bool
        Whether measured_m < m, and `seconds` is the measured time multiplied by m / measured_m.
    runs : int
    speedup : float or None
        Time of the loop per example over this time, for the same backend, network, dtype, pass and m; None where that
        loop was not measured.
    matmul_share : float or None
        Time of the bare matrix products over that of the vectorized pass; None for a loop.
    compile_seconds : float or None
        What the first call took longer than the later ones, on a backend that compiles; near 0 where the same program
        had been compiled before.
    """

    backend: str
    network: str
    dtype: str
    pass_name: str
    rung: str
    m: int
    seconds: float
    measured_m: int
    extrapolated: bool
    runs: int
    speedup: float | None = None
    matmul_share: float | None = None
    compile_seconds: float | None = None


# --- what is timed ------------------------------------------------------------------------------------------


def _one_example(net: Network, params: Params, x: Array, y: Array, m: Array | float) -> tuple[Array, Params]:
    """Return what one example of m adds to J and to the gradients (E8)."""
    return propagation.gradients(net, params, x, y, None, None, m)


def _add_example(net: Network, params: Params, total: Any, x: Array, y: Array, m: Array | float) -> Any:
    """Return total + what one example adds: the step of the loop over the examples (E8)."""
    return add_trees(total, _one_example(net, params, x, y, m))


def _scan_gradients(backend: Backend, net: Network, params: Params, X: Array, Y: Array) -> tuple[Array, Params]:
    """Return J and the gradients by a loop over the columns that the backend can compile as a whole (E8)."""
    xp = array_namespace(X)
    zero = (xp.zeros((), dtype=X.dtype), tuple(Layer(xp.zeros_like(W), xp.zeros_like(b)) for W, b in params))
    columns = tuple(xp.matrix_transpose(V)[..., None] for V in (X, Y))  # (m, n, 1): one column per step
    m = float(X.shape[-1])
    return backend.scan(lambda total, xy: (_add_example(net, params, total, xy[0], xy[1], m), ()), zero, columns)[0]


def _scan_forward(backend: Backend, net: Network, params: Params, X: Array) -> Array:
    """Return A_L (n_L, m) by a loop over the columns that the backend can compile as a whole (E6)."""
    xp = array_namespace(X)
    columns = (xp.matrix_transpose(X)[..., None],)
    _, (A,) = backend.scan(lambda none, x: (none, (propagation.output(net, params, *x),)), (), columns)
    return xp.matrix_transpose(A[..., 0])


def _forward_products(params: Params, A: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return W_l A_{l-1} for l = 1 … L; A = (A_0, …, A_{L-1})."""
    return tuple(W @ A_in for (W, _), A_in in zip(params, A, strict=True))


def _gradient_products(params: Params, A: tuple[Array, ...], dZ: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return W_l A_{l-1} and dZ_l A_{l-1}ᵀ for l = 1 … L and W_lᵀ dZ_l for l = 2 … L; dZ = (dZ_1, …, dZ_L)."""
    xp = array_namespace(A[0])
    dW = tuple(dZ_l @ xp.matrix_transpose(A_in) for dZ_l, A_in in zip(dZ, A, strict=True))
    dA = tuple(xp.matrix_transpose(W) @ dZ_l for (W, _), dZ_l in zip(params[1:], dZ[1:], strict=True))
    return (*_forward_products(params, A), *dW, *dA)


def draw_examples(net: Network, m: int, dtype: str, seed: int = 0) -> tuple[Any, Any]:
    """Return X (n0, m), standard normal, and Y (n_L, m), valid random targets for the loss, as NumPy arrays.

    >>> X, Y = draw_examples(NETWORKS["784-128-10"], m=3, dtype="float32")
    >>> X.shape, Y.sum(axis=0).tolist()
    ((784, 3), [1.0, 1.0, 1.0])
    """
    rng = np.random.default_rng(seed)
    n_out, kind = net.sizes[-1], np.dtype(dtype).type
    X = rng.standard_normal((net.sizes[0], m), dtype=kind)
    if net.loss.name == "binary_cross_entropy":
        return X, (rng.random((n_out, m)) < 0.5).astype(kind)
    if net.loss.name == "cross_entropy":
        return X, (np.arange(n_out)[:, None] == rng.integers(n_out, size=m)).astype(kind)
    return X, rng.standard_normal((n_out, m), dtype=kind)


class Workload:
    """One network and m examples on one backend: it hands out the calls that are timed.

    Run the calls inside `scope()`, which sets the dtype and the precision as `Network`'s methods do.

    Parameters
    ----------
    backend : str or Backend
    net : Network
    dtype : "float32" or "float64"
    m : int
        Examples.

    Examples
    --------
    >>> work = Workload("numpy", NETWORKS["2-4-1"], "float64", m=5)
    >>> with work.scope():
    ...     J, _ = work.call("gradients", "vectorized")()
    ...     J_loop, _ = work.call("gradients", "per_example")()
    >>> bool(abs(J - J_loop) < 1e-15)
    True
    """

    def __init__(self, backend: str | Backend, net: Network, dtype: str, m: int) -> None:
        self.backend = get_backend(backend)
        self.net, self.dtype, self.m = net, dtype_name(dtype), check_positive_integer(m, "m")
        self._host = draw_examples(net, m, dtype)
        self._columns: list[tuple[Array, Array]] = []
        with self.scope():
            self.params = net.init(seed=0, dtype=dtype, backend=self.backend)
            self.X, self.Y = (self._on_device(V) for V in self._host)

    def scope(self) -> AbstractContextManager[object]:
        """Return the context in which the calls are to be run."""
        return self.backend.scope(self.dtype, get_precision())

    def call(self, pass_name: str, rung: str, m: int | None = None) -> Call:
        """Return the call that computes one pass on one rung, over the first m examples of a loop, and waits for it.

        The call returns the result: A_L (a list of columns from a Python loop), or (J, gradients).
        """
        if rung == "vectorized":
            return self._program(_CORE[pass_name], (0,), self.net, self.params, *self._data(pass_name))
        m = self.m if m is None else m
        if rung == "per_example_compiled":
            data = [V[:, :m] for V in self._data(pass_name)]
            loop = _scan_forward if pass_name == "forward" else _scan_gradients
            return self._program(loop, (0, 1), self.backend, self.net, self.params, *data)
        loops = {
            ("forward", "per_neuron"): self._forward_per_neuron,
            ("forward", "per_example"): self._forward_per_example,
            ("gradients", "per_neuron"): self._gradients_per_neuron,
            ("gradients", "per_example"): self._gradients_per_example,
        }
        return self._waiting(loops[pass_name, rung], self._cut(m))

    def products(self, pass_name: str) -> Call:
        """Return the call that computes the matrix products of a pass over all examples, and nothing else."""
        A = tuple(propagation.forward(self.net, self.params, self.X)[1][:-1])
        if pass_name == "forward":
            return self._program(_forward_products, (), self.params, A)
        rng = np.random.default_rng(1)
        kind: Any = np.dtype(self.dtype).type
        dZ = tuple(self._on_device(rng.standard_normal((n, self.m), dtype=kind)) for n in self.net.sizes[1:])
        return self._program(_gradient_products, (), self.params, A, dZ)

    def _on_device(self, values: Any) -> Array:
        return self.backend.asarray(values, self.dtype)

    def _data(self, pass_name: str) -> tuple[Array, ...]:
        return (self.X,) if pass_name == "forward" else (self.X, self.Y)

    def _cut(self, m: int) -> list[tuple[Array, Array]]:
        """Return the first m examples as pairs of columns (n0, 1), (n_L, 1)."""
        X, Y = self._host
        for i in range(len(self._columns), m):
            self._columns.append((self._on_device(X[:, i : i + 1]), self._on_device(Y[:, i : i + 1])))
        return self._columns[:m]

    def _program(self, function: Callable[..., Any], static: tuple[int, ...], *arguments: Any) -> Call:
        """Return a call of one compiled function. What it returns is ready together: waiting for one array is enough.

        A backend that does not compile runs one operation after the other, and every array is waited for.
        """
        compiled, together = self.backend.compile(function, static), compiles(self.backend)

        def call() -> Any:
            result = compiled(*arguments)
            for leaf in _leaves(result)[-1 if together else 0 :]:
                self.backend.synchronize(leaf)
            return result

        return call

    def _waiting(self, loop: Callable[[list[tuple[Array, Array]]], Any], columns: list[tuple[Array, Array]]) -> Call:
        def call() -> Any:
            result = loop(columns)
            for leaf in _leaves(result):
                self.backend.synchronize(leaf)
            return result

        return call

    def _forward_per_neuron(self, columns: list[tuple[Array, Array]]) -> list[Array]:
        xp = self.backend.xp
        return [_neurons_forward(self.net, xp, self.params, x)[1][-1] for x, _ in columns]

    def _gradients_per_neuron(self, columns: list[tuple[Array, Array]]) -> tuple[Array, Params]:
        return _mean(_neurons(self.net, self.backend.xp, self.params, x, y) for x, y in columns)

    def _forward_per_example(self, columns: list[tuple[Array, Array]]) -> list[Array]:
        step = self.backend.compile(propagation.output, (0,))
        return [step(self.net, self.params, x) for x, _ in columns]

    def _gradients_per_example(self, columns: list[tuple[Array, Array]]) -> tuple[Array, Params]:
        """Add inside the compiled step: adding outside would cost JAX more than the step itself."""
        one, add = (self.backend.compile(f, (0,)) for f in (_one_example, _add_example))
        m = self._on_device(len(columns))
        total = one(self.net, self.params, *columns[0], m)
        for x, y in columns[1:]:
            total = add(self.net, self.params, total, x, y, m)
        return total  # type: ignore[no-any-return]


_CORE: dict[str, Callable[..., Any]] = {"forward": propagation.output, "gradients": propagation.gradients}


def compiles(backend: Backend) -> bool:
    """Tell whether a backend really compiles, as JAX does; on the others `compile` returns the function itself.

    >>> compiles(get_backend("numpy"))
    False
    """
    return backend.compile(_forward_products) is not _forward_products


def _leaves(tree: Any) -> list[Array]:
    if not isinstance(tree, tuple | list):
        return [tree]
    return [leaf for branch in tree for leaf in _leaves(branch)]


# --- the clock ----------------------------------------------------------------------------------------------


def _clock(call: Call, times: int = 1) -> float:
    """Return the seconds of one call, the mean over `times` calls in a row."""
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begin) / times


def sample(calls: Sequence[Call], budget: float, least_runs: int = 1) -> list[list[float]]:
    """Return samples of the time of each call, taken in turns: one list of seconds per call, all equally long.

    Each call has been run before, so that nothing is compiled here. A sample is the mean of as many calls in a row as
    fill 2 ms; there are at least `least_runs` of them, and beyond that as many as fit into the budget (seconds), at
    most 51.
    """
    estimates = [_clock(call) for call in calls]
    counts = [math.ceil(_LEAST_SAMPLE / max(seconds, 1e-7)) for seconds in estimates]
    one_round = sum(count * seconds for count, seconds in zip(counts, estimates, strict=True))
    rounds = min(_MOST_RUNS, max(least_runs, int(budget / one_round)))
    samples = [estimates] if set(counts) == {1} else []  # a long pass is not run once more than need be
    while len(samples) < rounds:
        samples.append([_clock(call, count) for call, count in zip(calls, counts, strict=True)])
    return [list(column) for column in zip(*samples, strict=True)]


@dataclass(frozen=True)
class Cap:
    """How much of a loop fits into a budget: `m` examples; `seconds` per example; what compiling the step took."""

    m: int
    seconds: float
    compile_seconds: float


def cap_loop(work: Workload, pass_name: str, rung: str, budget: float) -> Cap:
    """Find out how many of the workload's examples a loop passes in `budget` seconds: all, or two digits and zeros.

    Loops of 1, 10, 100, … examples are tried, each after a first run that is not counted, until one takes a tenth of
    the budget. At least one example is run, whatever it takes.
    """
    n, compile_seconds = 1, 0.0
    while True:
        call = work.call(pass_name, rung, n)
        first, seconds = _clock(call), _clock(call)
        if n == 1:
            compile_seconds = max(0.0, first - seconds)
        if n == work.m or seconds > budget / 10:
            break
        n = min(10 * n, work.m)
    return Cap(min(work.m, _two_digits(budget * n / seconds)), seconds / n, compile_seconds)


def _two_digits(value: float) -> int:
    """Round down to two significant digits, at least 1.

    >>> _two_digits(18_963.0), _two_digits(7.9), _two_digits(0.2)
    (18000, 7, 1)
    """
    unit = 10 ** max(0, len(str(int(value))) - 2)
    return int(max(1, value // unit * unit))


class _Timed(NamedTuple):
    """Samples in seconds of a pass over m examples, what compiling took, and the share of the products."""

    m: int
    samples: list[float]
    compile_seconds: float
    share: float | None


def _time_vectorized(work: Workload, pass_name: str, budget: float) -> _Timed:
    calls = [work.call(pass_name, "vectorized"), work.products(pass_name)]
    first, _ = [_clock(call) for call in calls]
    samples, products = sample(calls, budget, _LEAST_RUNS)
    share = statistics.median(p / s for p, s in zip(products, samples, strict=True))
    return _Timed(work.m, samples, first - statistics.median(samples), share)


def _time_loop(work: Workload, pass_name: str, rung: str, budget: float) -> _Timed:
    cap = cap_loop(work, pass_name, rung, budget)
    call = work.call(pass_name, rung, cap.m)
    if rung != "per_example_compiled":
        return _Timed(cap.m, sample([call], budget)[0], cap.compile_seconds, None)
    first = _clock(call)  # the loop is one program for each m, and this compiles it
    (samples,) = sample([call], budget)
    return _Timed(cap.m, samples, first - statistics.median(samples), None)


def measure_cell(work: Workload, pass_name: str, rung: str, budget: float) -> Row:
    """Measure one pass of one rung; the speed-up is left for `measure`, which knows the other rows."""
    with work.scope():
        if rung == "vectorized":
            timed = _time_vectorized(work, pass_name, budget)
        else:
            timed = _time_loop(work, pass_name, rung, budget)
    return Row(
        backend=work.backend.name,
        network=network_label(work.net),
        dtype=work.dtype,
        pass_name=pass_name,
        rung=rung,
        m=work.m,
        seconds=statistics.median(timed.samples) * work.m / timed.m,
        measured_m=timed.m,
        extrapolated=timed.m < work.m,
        runs=len(timed.samples),
        matmul_share=timed.share,
        compile_seconds=max(0.0, timed.compile_seconds) if compiles(work.backend) else None,
    )


def measure(
    backends: Iterable[str | Backend] = ("numpy",),
    networks: Iterable[str | Network] = tuple(NETWORKS.values()),
    sizes: Iterable[int] = SIZES,
    dtypes: Iterable[str] = DTYPES,
    passes: Iterable[str] = PASSES,
    rungs: Iterable[str] = RUNGS,
    budget: float = 2.0,
    report: Callable[[str], object] | None = None,
) -> "Report":
    """Measure every combination of the arguments.

    Parameters
    ----------
    backends : names, or Backends, each usable
    networks : names in `NETWORKS`, or Networks
    sizes : numbers of examples
    dtypes : "float32", "float64"
    passes : "forward", "gradients"
    rungs : "per_neuron", "per_example", "per_example_compiled", "vectorized"
        `per_example_compiled` exists only on a backend that compiles, and is left out on the others.
    budget : float, default 2.0
        Seconds a cell may take, its first run and its first tries apart. A loop that does not fit is measured on fewer
        examples and extrapolated; the vectorized pass is run three times even if that takes longer.
    report : callable, optional
        Called with one line of text after each cell.

    Returns
    -------
    Report

    Raises
    ------
    ValueError, TypeError
        Naming the argument, for an unknown name or a number that is not positive.
    BackendError
        For a backend that cannot be used.

    Examples
    --------
    >>> result = measure(networks=["2-4-1"], sizes=[100], dtypes=["float32"], passes=["gradients"], budget=0.05)
    >>> [row.rung for row in result.rows]
    ['per_neuron', 'per_example', 'vectorized']
    >>> slow, loop, fast = (row.seconds for row in result.rows)
    >>> slow > loop > fast
    True
    """
    spaces = [_backend(b) for b in _listed(backends, "backends")]
    nets = [_network(n) for n in _listed(networks, "networks")]
    counts = [check_positive_integer(m, "sizes") for m in _listed(sizes, "sizes")]
    kinds = [dtype_name(d, "dtypes") for d in _listed(dtypes, "dtypes")]
    names = [_known(p, PASSES, "passes", "pass") for p in _listed(passes, "passes")]
    steps = [_known(r, RUNGS, "rungs", "rung") for r in _listed(rungs, "rungs")]
    budget = check_number(budget, "budget", zero=False)

    rows = []
    for backend, net, dtype, m in product(spaces, nets, kinds, counts):
        work = Workload(backend, net, dtype, m)
        for name, rung in product(names, steps):
            if rung == "per_example_compiled" and not compiles(backend):
                continue
            rows.append(measure_cell(work, name, rung, budget))
            if report is not None:
                report(_progress(rows[-1]))
    return Report(_with_speedups(rows), describe_environment(spaces))


def _with_speedups(rows: Sequence[Row]) -> list[Row]:
    loops = {_cell(row): row.seconds for row in rows if row.rung == "per_example"}
    return [replace(row, speedup=loops[_cell(row)] / row.seconds if _cell(row) in loops else None) for row in rows]


def _cell(row: Row) -> tuple[object, ...]:
    """Return what the rungs of one cell have in common."""
    return row.backend, row.network, row.dtype, row.pass_name, row.m


def _progress(row: Row) -> str:
    capped = f" (measured on {_count(row.measured_m)} examples)" if row.extrapolated else ""
    where = f"{row.backend} {row.network} {row.dtype} {row.pass_name} {row.rung}"
    return f"{where} m = {_count(row.m)}: {_duration(row.seconds)}{capped}"


# --- arguments ----------------------------------------------------------------------------------------------


def _listed(values: Any, argument: str) -> list[Any]:
    """Return the values of an argument that wants several; a single name would be taken apart into letters."""
    if isinstance(values, str | Backend | Network) or not isinstance(values, Iterable):
        raise TypeError(f"{argument} must be a sequence, got {values!r}; for a single one write ({values!r},)")
    listed = list(values)
    if not listed:
        raise ValueError(f"{argument} must not be empty")
    return listed


def _backend(given: Any) -> Backend:
    try:
        return get_backend(given)
    except UnknownBackendError as error:
        raise UnknownBackendError(f"backends: {error}") from None


def _network(given: Any) -> Network:
    if isinstance(given, Network):
        return given
    return NETWORKS[_known(given, tuple(NETWORKS), "networks", "network")]


def _known(given: Any, known: tuple[str, ...], argument: str, kind: str) -> str:
    if given not in known:
        raise ValueError(f"{argument}: {unknown_name(kind, given, known)}")
    return str(given)


def network_label(net: Network) -> str:
    """Return the layer sizes as the tables name them.

    >>> network_label(Network((2, 4, 1)))
    '2-4-1'
    """
    return "-".join(map(str, net.sizes))


# --- the record ---------------------------------------------------------------------------------------------

# Only numbers are copied from the environment; a variable that holds anything else could hold a path.
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def describe_environment(backends: Iterable[Backend] = ()) -> dict[str, str]:
    """Return what a time depends on besides the code: versions, processor, cores, devices, threads, precision.

    No name of a person, a machine or a folder is in it.

    >>> "numpy" in describe_environment()
    True
    """
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "vecprop": vecprop.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}".strip(),
        "CPU": _processor(),
        "cores": str(_cores()),
        "BLAS threads": _blas_threads(),
        "precision": get_precision(),
    }
    for backend in backends:
        for key, value in backend.describe().items():
            about[key if key == backend.name else f"{backend.name} {key}"] = str(value)
    return about


def _processor() -> str:
    """Return the processor's own name; Linux keeps it in /proc/cpuinfo, elsewhere Python's answer has to do."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return found[1].strip() if found else platform.processor() or "unknown"


def _cores() -> int:
    """Return how many cores this process may use, which in a container can be fewer than there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def _blas_threads() -> str:
    values = {name: os.environ.get(name, "") for name in _THREAD_VARIABLES}
    given = [f"{name}={value}" for name, value in values.items() if re.fullmatch(r"[\d,]+", value)]
    return ", ".join(given) or "as the library chooses"


@dataclass(frozen=True)
class Report:
    """What was measured, and on what.

    Attributes
    ----------
    rows : list of Row
    environment : dict of str
    """

    rows: list[Row]
    environment: dict[str, str] = field(default_factory=dict)

    def find(self, **fields: object) -> Row | None:
        """Return the first row with these values, as in `report.find(rung="vectorized", m=100)`; None if there is none.

        >>> Report([]).find(m=1) is None
        True
        """
        return next((r for r in self.rows if all(getattr(r, k) == v for k, v in fields.items())), None)

    def table(self) -> str:
        """Return the times as text, one block per backend, network and dtype, at most 100 characters wide.

        A time with ~ before it was extrapolated; how far, the notes below the block say.
        """
        groups: dict[tuple[str, str, str], list[Row]] = {}
        for row in self.rows:
            groups.setdefault((row.backend, row.network, row.dtype), []).append(row)
        blocks = [_block(f"{b}, network {n}, {d}", rows) for (b, n, d), rows in groups.items()]
        if not blocks:
            return "nothing was measured"
        about = (
            [_wrapped("", (f"{key} {value}" for key, value in self.environment.items()))] if self.environment else []
        )
        return "\n\n".join([*blocks, _LEGEND, *about])

    def to_json(self) -> str:
        """Return everything as JSON; `Report.load` reads it."""
        content = {"format": _FORMAT, "environment": self.environment, "rows": [asdict(row) for row in self.rows]}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write bench.json into the folder, which is made if need be, and return the paths written."""
        path = Path(folder) / "bench.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json(), encoding="utf-8")
        return [path]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Report":
        """Read what `save` wrote. Raises ValueError for a file that holds something else."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise ValueError(f"its format is {content['format']!r}, known is {_FORMAT!r}")
            return cls([Row(**row) for row in content["rows"]], dict(content["environment"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)} is no benchmark of vecprop: {error}") from error

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw the speed-up of the vectorized pass over the loop per example, against m, and return the path.

        Gradients in float32, one line per backend and network; a hollow marker where the loop was extrapolated.

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            Where no such speed-up was measured.
        """
        lines = self._speedup_lines()
        if not lines:
            raise ValueError("nothing to plot: measure float32 gradients on the rungs 'per_example' and 'vectorized'")
        return _draw_speedups(lines, self._subtitle(), Path(path))

    def _speedup_lines(self) -> dict[str, list[tuple[int, float, bool]]]:
        """Return, for each backend and network, (m, speed-up, whether the loop was extrapolated), by rising m."""
        wanted = {"dtype": "float32", "pass_name": "gradients"}
        lines: dict[str, list[tuple[int, float, bool]]] = {}
        for row in sorted(self.rows, key=lambda row: row.m):
            same = {"backend": row.backend, "network": row.network, "m": row.m, **wanted}
            loop = self.find(rung="per_example", **same)
            if (
                row.rung == "vectorized"
                and row.speedup
                and loop
                and (row.dtype, row.pass_name) == tuple(wanted.values())
            ):
                line = lines.setdefault(f"{row.backend}, {row.network}", [])
                line.append((row.m, row.speedup, loop.extrapolated))
        return dict(sorted(lines.items()))

    def _subtitle(self) -> str:
        known = [self.environment.get(key, "") for key in ("CPU", "cores")]
        return f"{known[0]}, {known[1]} cores" if all(known) else ""


_FORMAT = "vecprop benchmark 1"
_LEGEND = (
    "Times of one pass, medians. speed-up: per example / vectorized.\n"
    "products: the share of the vectorized time that the bare matrix products take.\n"
    "compile: the first vectorized call, less a later one."
)


# --- the table ----------------------------------------------------------------------------------------------

_HEADINGS = {
    "per_neuron": "per neuron",
    "per_example": "per example",
    "per_example_compiled": "compiled loop",
    "vectorized": "vectorized",
}


def _block(title: str, rows: Sequence[Row]) -> str:
    """Return one table: a line for each pass and m, a column for each rung, then the notes."""
    rungs = [rung for rung in RUNGS if any(row.rung == rung for row in rows)]
    compiled = any(row.compile_seconds is not None for row in rows)
    header = ["pass", "m", *(_HEADINGS[rung] for rung in rungs), "speed-up", "products"]
    lines = [[*header, "compile"] if compiled else header]
    for name, m in sorted({(row.pass_name, row.m) for row in rows}):
        cells = {row.rung: row for row in rows if (row.pass_name, row.m) == (name, m)}
        lines.append([name, _count(m), *(_time_cell(cells.get(rung)) for rung in rungs), *_rates(cells, compiled)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines]
    return "\n".join([title, *text, *_notes(rows)])


def _time_cell(row: Row | None) -> str:
    return "" if row is None else ("~" if row.extrapolated else "") + _duration(row.seconds)


def _rates(cells: dict[str, Row], compiled: bool) -> list[str]:
    """Return the cells behind the times: speed-up, share of the products and, where there is one, compile time."""
    row = cells.get("vectorized")
    if row is None:
        return [""] * (2 + compiled)
    loop = cells.get("per_example")
    mark = "~" if loop is not None and loop.extrapolated else ""
    speedup = "" if row.speedup is None else f"{mark}{_three_digits(row.speedup)}×"
    share = "" if row.matmul_share is None else f"{row.matmul_share:.0%}"
    # Under a millisecond nothing was compiled: what is left is noise.
    times = ["" if row.compile_seconds is None else _duration(row.compile_seconds if row.compile_seconds > 1e-3 else 0)]
    return [speedup, share, *(times if compiled else [])]


def _notes(rows: Sequence[Row]) -> list[str]:
    """Say for every capped loop how many examples were measured."""
    caps: dict[tuple[str, str], list[str]] = {}
    for row in sorted(rows, key=lambda row: (row.pass_name, row.m)):
        if row.extrapolated:
            note = f"{_count(row.measured_m)} for m = {_count(row.m)}"
            caps.setdefault((row.pass_name, _HEADINGS[row.rung]), []).append(note)
    lines = [_wrapped(f"  {name}, {rung}: ", notes) for (name, rung), notes in caps.items()]
    return ["~ extrapolated from a loop over fewer examples:", *lines] if lines else []


def _wrapped(begin: str, items: Iterable[str]) -> str:
    """Return the items after one another, broken between items where a line would be longer than 100."""
    text = begin + ", ".join(item.replace(" ", "\N{NO-BREAK SPACE}") for item in items)
    return textwrap.fill(text, width=100, subsequent_indent="    ").replace("\N{NO-BREAK SPACE}", " ")


_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


def _duration(seconds: float) -> str:
    """Return a time with three significant digits and a unit.

    >>> _duration(8.689e-4), _duration(0.01), _duration(1234.5), _duration(0.0)
    ('869 µs', '10.0 ms', '1230 s', '0 s')
    """
    if seconds <= 0:
        return "0 s"
    rounded = float(f"{seconds:.3g}")
    unit, size = next(((u, size) for u, size in _UNITS if rounded >= size), _UNITS[-1])
    return f"{_three_digits(rounded / size)} {unit}"


def _three_digits(value: float) -> str:
    """Return a positive number with three significant digits and no exponent.

    >>> _three_digits(1395.3), _three_digits(0.98765), _three_digits(1.1)
    ('1400', '0.988', '1.10')
    """
    rounded = float(f"{value:.3g}")
    return f"{rounded:.{max(0, 2 - math.floor(math.log10(rounded) + 1e-9))}f}"


def _count(m: int) -> str:
    """Group the digits of a number.

    >>> _count(100000)
    '100 000'
    """
    return f"{m:,}".replace(",", " ")


# --- the picture --------------------------------------------------------------------------------------------

# Okabe and Ito's palette, told apart by all common kinds of colour vision; the markers differ as well.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = "os^Dvp"


def _draw_speedups(lines: dict[str, list[tuple[int, float, bool]]], subtitle: str, path: Path) -> Path:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('a plot needs matplotlib: pip install "vecprop[cli]"') from error
    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for i, (label, points) in enumerate(lines.items()):
        colour, marker = _COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)]
        m, speedup, hollow = zip(*points, strict=True)
        axes.plot(m, speedup, color=colour, linewidth=1.8, marker=marker, markersize=7, label=label)
        masked = [(x, y) for x, y, h in zip(m, speedup, hollow, strict=True) if h]
        if masked:
            axes.plot(
                *zip(*masked, strict=True), linestyle="none", marker=marker, markersize=7, color=colour, mfc="white"
            )
    if any(hollow for points in lines.values() for *_, hollow in points):
        axes.plot([], [], linestyle="none", marker="o", color="0.4", mfc="white", label="loop extrapolated")
    axes.axhline(1, color="0.6", linewidth=1, linestyle="--", zorder=0)
    axes.set(xscale="log", yscale="log", xlabel="examples m", ylabel="time of the loop / time of the vectorized pass")
    figure.suptitle("Speed-up of the vectorized pass over a loop over the examples")
    axes.set_title(f"forward and backward, float32; {subtitle}".rstrip("; "), fontsize=9, color="0.3")
    axes.xaxis.set_major_formatter(lambda x, _: _count(round(x)))
    axes.yaxis.set_major_formatter(lambda y, _: f"{_count(round(y))}×" if y >= 1 else f"{y:g}×")
    axes.grid(visible=True, which="major", color="0.9")
    axes.legend(loc="upper left", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path
