"""Time the rungs of the ladder, from a loop over neurons to the vectorized pass.

A timed call is one pass over m examples, checked and on the device beforehand, and the wait for its result
(`Backend.synchronize`):

    forward      A_L (E14)                     `propagation.output`
    gradients    J, dW_l, db_l (E11, E15)      `propagation.gradients`, which is forward and backward

    per_neuron            for each example, for each neuron, one dot product; never compiled
    per_example           a Python loop over the examples, each step compiled where the backend compiles
    per_example_compiled  the loop itself compiled, `backend.scan`; only on a backend that compiles
    vectorized            all m examples at once

These times leave out the checks of `Network`'s methods, compiling (reported apart), and drawing the data, moving it and
cutting it into columns. The bare products are the matrix products of the pass alone, in the same shapes and layouts;
they are timed in turns with the vectorized pass, so that a slow minute slows both.

A loop takes the same time for every example. If all m would take longer than the budget, fewer are measured, the time
is multiplied up, and the row says so (`measured_m`, `extrapolated`).
"""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial, reduce
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from vecprop import propagation
from vecprop.backend.contract import Backend, add_trees
from vecprop.backend.namespaces import Array, Static, array_namespace
from vecprop.backend.pytrees import leaves_of
from vecprop.backend.selection import get_backend, get_precision
from vecprop.inspection.benchmark_report import RUNGS, Report, Row, describe_environment, duration, with_speedups
from vecprop.inspection.plots import group_digits
from vecprop.nn.array_checks import dtype_name
from vecprop.nn.network import Network
from vecprop.propagation import Layer, Params
from vecprop.rungs import example_forward_per_neuron, example_per_neuron, mean_of_examples
from vecprop.utils.arguments import check_number, check_positive_integer
from vecprop.utils.errors import UnknownBackendError, unknown_name

__all__ = [
    "DTYPES", "NETWORKS", "PASSES", "RUNGS", "SIZES", "Report", "Row", "Workload", "describe_environment", "measure",
    "measure_cell",
]  # fmt: skip

NETWORKS = {
    "2-4-1": Network((2, 4, 1), hidden="tanh", output="sigmoid"),
    "784-128-10": Network((784, 128, 10), hidden="tanh", output="softmax"),
}
SIZES = (1, 10, 100, 1_000, 10_000, 100_000)
DTYPES = ("float32", "float64")
_CORE: dict[str, Callable[..., Any]] = {"forward": propagation.output, "gradients": propagation.gradients}
PASSES = tuple(_CORE)

_LEAST_SAMPLE = 2e-3  # seconds: a sample repeats a short pass until the clock's resolution does not matter
_MOST_RUNS = 51
_LEAST_RUNS = 3  # of the vectorized pass, whatever the budget: fewer have no useful median

Call = Callable[[], Any]
Columns = list[tuple[Array, Array]]


# --- what is timed ------------------------------------------------------------------------------------------


def _add_example(net: Static[Network], params: Params, total: Any, x: Array, y: Array, m: Array | float) -> Any:
    """Return total + the share of one example of m in J and in the gradients: a step of the loop over them (E8)."""
    return add_trees(total, propagation.gradients(net, params, x, y, None, None, m))


def _scan(backend: Static[Backend], net: Static[Network], params: Params, *data: Array) -> Any:
    """Return A_L of X (E6), or J and the gradients of X and Y (E8), by a loop over columns that can be compiled."""
    xp = array_namespace(data[0])
    columns = tuple(xp.matrix_transpose(V)[..., None] for V in data)  # (m, n, 1): one column per step
    if len(data) == 1:
        _, (A,) = backend.scan(lambda none, x: (none, (propagation.output(net, params, *x),)), (), columns)
        return xp.matrix_transpose(A[..., 0])
    m, dtype = float(data[0].shape[-1]), data[0].dtype
    zero = (xp.zeros((), dtype=dtype), tuple(Layer(xp.zeros_like(W), xp.zeros_like(b)) for W, b in params))
    return backend.scan(lambda total, xy: (_add_example(net, params, total, xy[0], xy[1], m), ()), zero, columns)[0]


def _products(params: Params, A: tuple[Array, ...], dZ: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return W_l A_{l-1} for l = 1 … L; with dZ also dZ_l A_{l-1}ᵀ, and W_lᵀ dZ_l for l = 2 … L.

    A is (A_0, …, A_{L-1}), dZ is (dZ_1, …, dZ_L).
    """
    xp = array_namespace(A[0])
    Z = tuple(W @ A_in for (W, _), A_in in zip(params, A, strict=True))
    dW = tuple(dZ_l @ xp.matrix_transpose(A_in) for dZ_l, A_in in zip(dZ, A, strict=False))
    dA = tuple(xp.matrix_transpose(W) @ dZ_l for (W, _), dZ_l in zip(params[1:], dZ[1:], strict=False))
    return (*Z, *dW, *dA)


def random_examples(net: Network, m: int, dtype: str, seed: int = 0) -> tuple[Any, Any]:
    """Return NumPy arrays X (n0, m) and Y (n_L, m), standard normal; for classes Y is random labels.

    >>> X, Y = random_examples(NETWORKS["784-128-10"], m=3, dtype="float32")
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
    if net.loss.name == "poisson":
        return X, rng.integers(4, size=(n_out, m)).astype(kind)
    return X, rng.standard_normal((n_out, m), dtype=kind)


class Workload:
    """One network and m examples on one backend, and the calls to be timed.

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
        self._host = random_examples(net, m, dtype)
        self._columns: Columns = []
        with self.scope():
            self.params = net.init(seed=0, dtype=dtype, backend=self.backend)
            self.X, self.Y = (self._on_device(V) for V in self._host)

    def scope(self) -> AbstractContextManager[object]:
        """Return the context in which the calls are run."""
        return self.backend.scope(self.dtype, get_precision())

    def call(self, pass_name: str, rung: str, m: int | None = None) -> Call:
        """Return the call that computes one pass on one rung and waits for its result.

        A loop runs over the first m examples. The call returns A_L (from a Python loop a list of columns), or
        (J, gradients).
        """
        data = (self.X,) if pass_name == "forward" else (self.X, self.Y)
        if rung == "vectorized":
            return self._program(_CORE[pass_name], self.net, self.params, *data)
        m = self.m if m is None else m
        if rung == "per_example_compiled":
            return self._program(_scan, self.backend, self.net, self.params, *(V[:, :m] for V in data))
        net, params, backend, columns = self.net, self.params, self.backend, self._cut(m)
        xp, count = backend.xp, self._on_device(m)
        step, one, add = (backend.compile(f) for f in (propagation.output, propagation.gradients, _add_example))
        loops: dict[tuple[str, str], Call] = {
            ("forward", "per_neuron"): lambda: [
                example_forward_per_neuron(net, xp, params, x)[1][-1] for x, _ in columns
            ],
            ("forward", "per_example"): lambda: [step(net, params, x) for x, _ in columns],
            ("gradients", "per_neuron"): lambda: mean_of_examples(
                example_per_neuron(net, xp, params, x, y) for x, y in columns
            ),
            # the compiled step adds: adding outside would cost JAX more than the step
            ("gradients", "per_example"): lambda: reduce(
                lambda total, xy: add(net, params, total, *xy, count),
                columns[1:],
                one(net, params, *columns[0], None, None, count),
            ),
        }
        return self._waiting(loops[pass_name, rung])

    def products(self, pass_name: str) -> Call:
        """Return the call that computes only the matrix products of a pass over all examples."""
        A = tuple(propagation.forward(self.net, self.params, self.X)[1][:-1])
        rng, kind = np.random.default_rng(1), np.dtype(self.dtype).type
        sizes = () if pass_name == "forward" else self.net.sizes[1:]
        dZ = tuple(self._on_device(rng.standard_normal((n, self.m), dtype=kind)) for n in sizes)
        return self._program(_products, self.params, A, dZ)

    def _on_device(self, values: Any) -> Array:
        return self.backend.asarray(values, self.dtype)

    def _cut(self, m: int) -> Columns:
        """Return the first m examples as pairs of columns (n0, 1), (n_L, 1)."""
        X, Y = self._host
        for i in range(len(self._columns), m):
            self._columns.append((self._on_device(X[:, i : i + 1]), self._on_device(Y[:, i : i + 1])))
        return self._columns[:m]

    def _program(self, function: Callable[..., Any], *arguments: Any) -> Call:
        """Return a call of a function, compiled if the backend compiles, that waits for its result.

        The results of a compiled function are ready together: one is waited for. Otherwise each of them is.
        """
        compiled = partial(self.backend.compile(function), *arguments)
        return self._waiting(compiled, -1 if self.backend.compiles else 0)

    def _waiting(self, compute: Call, first: int = 0) -> Call:
        def call() -> Any:
            result = compute()
            for leaf in [*(result if isinstance(result, list) else leaves_of(result))][first:]:
                self.backend.synchronize(leaf)
            return result

        return call


# --- the clock ----------------------------------------------------------------------------------------------


def _clock(call: Call, times: int = 1) -> float:
    """Return the seconds of one call, the mean over `times` calls in a row."""
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begin) / times


def sample(calls: Sequence[Call], budget: float, least_runs: int = 1) -> list[list[float]]:
    """Return a list of time samples in seconds for each call, taken in turns.

    Each call must have run before, so that nothing is compiled here. A sample is the mean of as many calls in a row as
    fill 2 ms. All lists are equally long: at least `least_runs`, and up to 51 if they fit into the budget (seconds).
    """
    estimates = [_clock(call) for call in calls]
    counts = [math.ceil(_LEAST_SAMPLE / max(seconds, 1e-7)) for seconds in estimates]
    one_round = sum(count * seconds for count, seconds in zip(counts, estimates, strict=True))
    rounds = min(_MOST_RUNS, max(least_runs, int(budget / one_round)))
    samples = [estimates] if set(counts) == {1} else []  # spares one run of a long pass
    while len(samples) < rounds:
        samples.append([_clock(call, count) for call, count in zip(calls, counts, strict=True)])
    return [list(column) for column in zip(*samples, strict=True)]


class Cap(NamedTuple):
    """The examples of a loop that fit into a budget, and the times of one and of compiling."""

    m: int
    seconds: float
    compile_seconds: float


def cap_loop(work: Workload, pass_name: str, rung: str, budget: float) -> Cap:
    """Find how many of the workload's examples a loop passes in `budget` seconds.

    The number is rounded down to two digits unless all fit, and at least 1. Loops of 1, 10, 100, … examples are tried,
    each after a first run that is not counted, until one takes a tenth of the budget.
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
    fitting = budget * n / seconds
    return Cap(work.m if fitting >= work.m else _two_digits(fitting), seconds / n, compile_seconds)


def _two_digits(value: float) -> int:
    """Round down to two significant digits, at least 1.

    >>> _two_digits(18_963.0), _two_digits(7.9), _two_digits(0.2)
    (18000, 7, 1)
    """
    unit = 10 ** max(0, len(str(int(value))) - 2)
    return int(max(1, value // unit * unit))


def measure_cell(work: Workload, pass_name: str, rung: str, budget: float) -> Row:
    """Measure one pass on one rung; `measure` adds the speed-up, which needs the other rows."""
    with work.scope():
        if rung == "vectorized":
            m, calls = work.m, [work.call(pass_name, rung), work.products(pass_name)]
            first, _ = [_clock(call) for call in calls]
        else:
            cap = cap_loop(work, pass_name, rung, budget)
            m, calls = cap.m, [work.call(pass_name, rung, cap.m)]
            # a compiled loop is one program for each m
            first = _clock(calls[0]) if rung == "per_example_compiled" else math.nan
        samples, *products = sample(calls, budget, _LEAST_RUNS if len(calls) > 1 else 1)
    seconds = statistics.median(samples)
    share = statistics.median(p / s for p, s in zip(products[0], samples, strict=True)) if products else None
    compile_seconds = cap.compile_seconds if math.isnan(first) else max(0.0, first - seconds)
    return Row(
        backend=work.backend.name,
        network="-".join(map(str, work.net.sizes)),
        dtype=work.dtype,
        pass_name=pass_name,
        rung=rung,
        m=work.m,
        seconds=seconds * work.m / m,
        measured_m=m,
        extrapolated=m < work.m,
        runs=len(samples),
        matmul_share=share,
        compile_seconds=compile_seconds if work.backend.compiles else None,
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
        Seconds for a cell, without its first runs and tries. A loop that does not fit is measured on fewer examples and
        extrapolated; the vectorized pass is run three times even if that takes longer.
    report : callable, optional
        Called with one line of text after each cell.

    Returns
    -------
    Report

    Raises
    ------
    ValueError, TypeError
        For an unknown name or a number that is not positive; the message names the argument.
    BackendError
        For a backend that cannot be used.

    Examples
    --------
    >>> result = measure(networks=["2-4-1"], sizes=[100], dtypes=["float32"], passes=["gradients"], budget=0.05)
    >>> [row.rung for row in result.rows]
    ['per_neuron', 'per_example', 'vectorized']
    >>> slow, loop, fast = (row.seconds for row in result.rows)
    >>> min(slow, loop) > fast
    True
    """
    try:
        spaces = [get_backend(b) for b in _listed(backends, "backends")]
    except UnknownBackendError as error:
        raise UnknownBackendError(f"backends: {error}") from None
    nets = [
        n if isinstance(n, Network) else NETWORKS[_known(n, tuple(NETWORKS), "networks", "network")]
        for n in _listed(networks, "networks")
    ]
    counts = [check_positive_integer(m, "sizes") for m in _listed(sizes, "sizes")]
    kinds = [dtype_name(d, "dtypes") for d in _listed(dtypes, "dtypes")]
    names = [_known(p, PASSES, "passes", "pass") for p in _listed(passes, "passes")]
    steps = [_known(r, RUNGS, "rungs", "rung") for r in _listed(rungs, "rungs")]
    budget = check_number(budget, "budget", zero=False)

    rows = []
    for backend, net, dtype, m in product(spaces, nets, kinds, counts):
        work = Workload(backend, net, dtype, m)
        for name, rung in product(names, steps):
            if rung == "per_example_compiled" and not backend.compiles:
                continue
            rows.append(measure_cell(work, name, rung, budget))
            if report is not None:
                report(_progress(rows[-1]))
    return Report(with_speedups(rows), describe_environment(spaces))


def _progress(row: Row) -> str:
    capped = f" (measured on {group_digits(row.measured_m)} examples)" if row.extrapolated else ""
    where = f"{row.backend} {row.network} {row.dtype} {row.pass_name} {row.rung}"
    return f"{where} m = {group_digits(row.m)}: {duration(row.seconds)}{capped}"


# --- arguments ----------------------------------------------------------------------------------------------


def _listed(values: Any, argument: str) -> list[Any]:
    """Return the values of a sequence; a single name, which would be split into letters, is refused."""
    if isinstance(values, str | Backend | Network) or not isinstance(values, Iterable):
        raise TypeError(f"{argument} must be a sequence, got {values!r}; for a single one write ({values!r},)")
    listed = list(values)
    if not listed:
        raise ValueError(f"{argument} must not be empty")
    return listed


def _known(given: Any, known: tuple[str, ...], argument: str, kind: str) -> str:
    if given not in known:
        raise ValueError(f"{argument}: {unknown_name(kind, given, known)}")
    return str(given)
