"""Numeric checks of hand-derived gradients (E39, E40).

A complex step, ∂f/∂x ≈ Im f(x + ih) / h with h = 1e-30, subtracts nothing, so it is exact to rounding; it needs a
function of differentiable branches that takes complex numbers, as all functions of vecprop do. Central
differences, (f(x + ε) - f(x - ε)) / 2ε, work for any function, to about nine digits.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop import propagation
from vecprop.backend.namespaces import Array, Namespace, array_namespace, dtype_name, is_array, is_concrete
from vecprop.backend.selection import get_precision
from vecprop.nn.activations import Custom
from vecprop.nn.array_checks import array_dtype, check_examples, check_l2, check_one_network, check_params
from vecprop.nn.network import Network, check_network
from vecprop.propagation import Layer, Params
from vecprop.utils.arguments import check_choice, check_function, check_number, check_positive_integer
from vecprop.utils.random_streams import CHECKED_ENTRIES, check_seed, generator

COMPLEX_STEP = 1e-30
CENTRAL_STEP = {"float64": 1e-6, "float32": 5e-3}  # ε for numbers up to 1, of larger ones that share
TOLERANCE = {"complex": 1e-12, "central": 1e-6}
_CHUNK_BYTES = 2**25


class GradientReport(dict[str, float]):
    """The relative error of each parameter's gradient, by name: "W1", "b1", "W2", and so on.

    The error is ‖numeric - analytic‖ / (‖numeric‖ + ‖analytic‖) (E40), in float64. It is at most `tolerance` if the
    difference is within the rounding of the whole gradient, as for a parameter whose gradient cancels to zero, and of
    the cost, for central differences.
    Printing the report shows a table.

    Attributes
    ----------
    method : "complex" or "central"
    tolerance : float
        The largest error that passes.
    entries : dict
        name -> (number of entries checked, number of entries).
    """

    def __init__(
        self, errors: dict[str, float], method: str, tolerance: float, entries: dict[str, tuple[int, int]]
    ) -> None:
        super().__init__(errors)
        self.method, self.tolerance, self.entries = method, tolerance, entries

    @property
    def wrong(self) -> list[str]:
        """The names of the parameters whose gradient is wrong, the worst first."""
        names = [name for name, error in self.items() if not error <= self.tolerance]  # NaN is wrong too
        return sorted(names, key=lambda name: -self[name] if math.isfinite(self[name]) else -math.inf)

    @property
    def passed(self) -> bool:
        """Whether every gradient is right."""
        return not self.wrong

    def raise_if_wrong(self) -> None:
        """Raise ArithmeticError that names the parameters whose gradient is wrong, if there are any."""
        if self.wrong:
            raise ArithmeticError(f"the gradient of {', '.join(self.wrong)} is wrong:\n{self}")

    def __str__(self) -> str:
        title = {"complex": "complex step", "central": "central differences"}[self.method]
        lines = [f"gradient check by {title}, tolerance {self.tolerance:g}"]
        for name, error in self.items():
            some, every = self.entries[name]
            verdict = "WRONG" if name in self.wrong else "ok"
            lines.append(f"  d{name:<4} {error:9.2e}  {verdict:<5}  {some} of {every} entries")
        return "\n".join(lines)


def check_gradients(
    net: Network,
    params: Iterable[tuple[Array, Array]],
    X: Array,
    Y: Array,
    *,
    sample_weight: Array | None = None,
    l2: float = 0.0,
    grads: Iterable[tuple[Array, Array]] | None = None,
    method: str = "auto",
    tolerance: float | None = None,
    max_entries: int = 1000,
    seed: int = 0,
) -> GradientReport:
    """Compare the hand-derived gradient with a numeric one, parameter by parameter (E40).

    Everything is computed in float64 whatever the dtype of the parameters, on the backend of their arrays; all the
    entries of a parameter are perturbed at once, as a stack of networks.

    Parameters
    ----------
    net, params, X, Y, sample_weight, l2
        As for `Network.gradients`; one network, no stack.
    grads : sequence of (dW_l, db_l), optional
        Gradients to check, such as your own; by default those of `net.gradients`.
    method : "auto" (default), "complex" or "central"
        "auto" is the complex step, but central differences if the network has a custom activation, which may not take
        complex numbers.
    tolerance : float, optional
        By default 1e-12 for the complex step, 1e-6 for central differences.
    max_entries : int, default 1000
        Of a larger parameter this many entries are checked, chosen from the seed.

    Returns
    -------
    GradientReport
        A dict: name -> relative error, with `passed`, `wrong` (the names) and a table when printed.

    Examples
    --------
    >>> import vecprop as vp
    >>> X, Y = vp.datasets.xor(m=20)
    >>> net = vp.Network((2, 3, 1)); params = net.init(seed=0, dtype="float64")
    >>> report = vp.check_gradients(net, params, X, Y)
    >>> report.passed, sorted(report)
    (True, ['W1', 'W2', 'b1', 'b2'])

    One wrong factor is found and named:

    >>> J, (first, second) = net.gradients(params, X, Y)
    >>> vp.check_gradients(net, params, X, Y, grads=[(1.01 * first.W, first.b), second]).wrong
    ['W1']
    """
    check_network(net)
    check_positive_integer(max_entries, "max_entries")
    method, seed = check_choice(method, "method", ("auto", "complex", "central")), check_seed(seed)
    tolerance = None if tolerance is None else check_number(tolerance, "tolerance", zero=False)
    if method == "auto":
        method = "central" if any(isinstance(g, Custom) for g in net.activations) else "complex"
    tolerance = TOLERANCE[method] if tolerance is None else tolerance
    given = check_one_network(net, params, instead="check its members one by one")
    backend, xp = given.backend, given.xp
    with backend.scope("float64", get_precision()):
        checked = check_params(net, _float64(xp, given.params))
        w: Array | None
        X, Y, w = check_examples(net, checked, X, Y, sample_weight)
        lam = check_l2(l2)
        gradients, cost = (backend.compile(f) for f in (propagation.gradients, propagation.cost))
        J, analytic = gradients(net, checked.params, X, Y, w, lam)
        if grads is not None:
            analytic = _float64(xp, check_params(net, grads, "grads").params)
        known = [Layer(*map(backend.to_numpy, layer)) for layer in analytic]
        analytic_norm = math.sqrt(sum(float(np.sum(g * g)) for layer in known for g in layer))
        # the difference that rounding explains: of the gradient's sums, and of costs that are subtracted
        subtracted = 0.0 if method == "complex" else abs(float(J)) / CENTRAL_STEP["float64"]
        floor = 8 * float(np.finfo(np.float64).eps) * (analytic_norm + subtracted)
        host = [Layer(*map(backend.to_numpy, layer)) for layer in checked.params]
        # in chunks, so that a stack of one network per entry stays small
        chunk = max(1, _CHUNK_BYTES // (16 * (max(net.sizes) * X.shape[-1] * 3 + net.parameter_count)))

        def costs(params: list[Layer]) -> npt.NDArray[Any]:
            stack = tuple(Layer(*map(backend.asarray, layer)) for layer in params)  # JAX compiles xp.asarray's copy
            return backend.to_numpy(cost(net, stack, X, Y, w, lam))

        errors, entries = {}, {}
        for l, layer in enumerate(known, start=1):
            for field, grad in zip(Layer._fields, layer, strict=True):
                size = math.prod(grad.shape)
                picked = np.arange(size)
                if size > max_entries:
                    picked = np.sort(generator(seed, CHECKED_ENTRIES).choice(size, max_entries, replace=False))
                parts = (picked[start : start + chunk] for start in range(0, len(picked), chunk))
                numeric = np.concatenate([_numeric(costs, host, (l, field), part, method) for part in parts])
                errors[f"{field}{l}"] = _relative_error(numeric, grad.reshape(-1)[picked], floor, tolerance)
                entries[f"{field}{l}"] = (len(picked), size)
    return GradientReport(errors, method, tolerance, entries)


def _float64(xp: Namespace, params: Params) -> Params:
    return tuple(Layer(xp.astype(W, xp.float64), xp.astype(b, xp.float64)) for W, b in params)


def _relative_error(numeric: npt.NDArray[Any], analytic: npt.NDArray[Any], floor: float, tolerance: float) -> float:
    difference = float(np.linalg.norm(numeric - analytic))
    if difference == 0:
        return 0.0
    error = difference / float(np.linalg.norm(numeric) + np.linalg.norm(analytic))
    return tolerance if error > tolerance and difference <= floor * math.sqrt(numeric.size) else error


def _numeric(
    costs: Callable[[list[Layer]], npt.NDArray[Any]],
    host: list[Layer],
    which: tuple[int, str],
    picked: npt.NDArray[np.int64],
    method: str,
) -> npt.NDArray[np.float64]:
    """Return the numeric gradient of J at the picked entries of one parameter, by a stack of one network for each."""
    (l, field), K = which, len(picked)

    def value(step: Any) -> npt.NDArray[Any]:
        dtype = np.result_type(np.float64, step)
        stack = [Layer(*(np.repeat(array[None].astype(dtype), K, axis=0) for array in layer)) for layer in host]
        getattr(stack[l - 1], field).reshape(K, -1)[np.arange(K), picked] += step
        return costs(stack)

    steps = _central_steps(np, getattr(host[l - 1], field).reshape(-1)[picked], "float64")
    return _derivative(np, value, method, steps)  # type: ignore[no-any-return]


def _central_steps(xp: Namespace, x: Array, dtype: str) -> Array:
    """Return ε for each number, in proportion to those above 1, which would not be changed by a fixed one."""
    return CENTRAL_STEP[dtype] * xp.maximum(xp.abs(x), xp.ones_like(x))


def _derivative(xp: Namespace, value: Callable[[Any], Array], method: str, step: Array) -> Array:
    """Return the derivative of value(step) at step 0 (E40); `step` is that of central differences."""
    if method == "complex":
        return xp.imag(value(1j * COMPLEX_STEP)) / COMPLEX_STEP
    return (value(step) - value(-step)) / (2 * step)


def numeric_gradient(function: Callable[[Array], Array], x: Array, method: str = "central") -> Array:
    """Return the gradient of a scalar function of an array, entry by entry (E39, E40).

    Parameters
    ----------
    function : callable
        x -> a scalar. For "complex" it must take complex arrays and be analytic: no abs, no max, no comparison.
    x : array of any shape
        Finite, in float64, or in float32 with about four digits by central differences.
    method : "central" (default) or "complex"

    Returns
    -------
    array of the shape of x

    Examples
    --------
    z = y1² + y2², y1 = x1 + x2², y2 = x2 + x3² (E39), at x = (1, 1, 0): y = (2, 1), so
    ∇z = (2y1, 4 y1 x2 + 2 y2, 4 y2 x3) = (4, 10, 0).

    >>> import numpy as np
    >>> z = lambda x: (x[0] + x[1] ** 2) ** 2 + (x[1] + x[2] ** 2) ** 2
    >>> numeric_gradient(z, np.array([1.0, 1.0, 0.0]), method="complex").tolist()
    [4.0, 10.0, 0.0]
    """
    check_choice(method, "method", ("complex", "central"))
    check_function(function, "function", "x")
    if not is_array(x):
        raise TypeError(f"x must be an array, got {type(x).__name__}; use numpy.asarray(x)")
    xp = array_namespace(x)
    if array_dtype(xp, x) is None:
        raise TypeError(f"x must be float32 or float64, got {x.dtype}")
    if not math.prod(x.shape):
        raise ValueError(f"x must have at least one entry, got shape {tuple(x.shape)}")
    if is_concrete(x) and not bool(xp.all(xp.isfinite(x))):
        raise ValueError("x must be finite, got NaN or infinity")
    size, steps = math.prod(x.shape), _central_steps(xp, x, dtype_name(x))

    def value(unit: Array, step: Any) -> Array:
        result = function(x + step * unit)
        if isinstance(result, complex | float | int):
            result = xp.asarray(result)
        if not is_array(result) or math.prod(result.shape) != 1:
            got = f"an array {tuple(result.shape)}" if is_array(result) else repr(result)
            raise TypeError(f"function must return one number, got {got}")
        return xp.reshape(result, ())

    values = []
    for k in range(size):
        unit = xp.reshape(xp.astype(xp.arange(size) == k, x.dtype), x.shape)
        values.append(_derivative(xp, partial(value, unit), method, xp.sum(steps * unit)))
    return xp.reshape(xp.stack(values), x.shape)
