"""`explain`: the passes of a network step by step, with shapes, reasons and numbers."""

from collections.abc import Iterable, Sequence
from typing import Any

from vecprop.backend.namespaces import Array, array_namespace, is_array
from vecprop.backend.selection import backend_for, get_backend
from vecprop.inspection.explanation.markdown import Explanation
from vecprop.inspection.explanation.mistakes import find_mistakes
from vecprop.inspection.explanation.numbers import compute, draw_examples, draw_params
from vecprop.inspection.explanation.parts import Given, Mistake, Operation, Step
from vecprop.inspection.explanation.passes import Passes
from vecprop.inspection.gradient_check import check_gradients
from vecprop.nn.array_checks import Checked, check_examples, check_l2, check_one_network
from vecprop.nn.network import Network
from vecprop.utils.arguments import check_flag, check_positive_integer
from vecprop.utils.random_streams import check_seed

__all__ = ["Explanation", "Given", "Mistake", "Operation", "Step", "explain"]

_FEWEST_EXAMPLES = 3
_LARGEST_SHOWN = 6  # numbers="auto" shows numbers for layers and m of at most this
_MOST_LAYERS_SHOWN = 4
_MOST_CHECKED = 1000  # parameters; with more, the numeric check takes longer than reading the explanation
_MOST_NUMBERS = 10**7  # in all quantities together: the mistakes are tried on them


def explain(
    net_or_sizes: Network | Sequence[int],
    m: int | None = None,
    *,
    params: Iterable[tuple[Array, Array]] | None = None,
    X: Array | None = None,
    Y: Array | None = None,
    l2: float = 0.0,
    numbers: bool | str = "auto",
    seed: int = 0,
) -> Explanation:
    """Explain the forward and the backward pass of a network step by step (E9-E25).

    Each step has its formula, shapes, kind and reason. Every number is computed by the library. The common mistakes at
    the end are tried with NumPy on arrays of these shapes; harmless ones are left out unless they work by accident.

    Parameters
    ----------
    net_or_sizes : Network or sequence of int
        Sizes (n0, n1, …, nL) stand for `Network(sizes)`: tanh in the hidden layers, a sigmoid output.
    m : int, optional
        The number of examples; by default that of X, else the least from 3 on that is no layer's size, so that m agrees
        with no size by accident.
    params, X, Y : optional
        As for `Network.gradients`, of one network; by default drawn from the seed, with one decimal.
    l2 : float, default 0
        λ of E32.
    numbers : "auto" (default), True or False
        Whether to show the numbers; "auto" does for at most 4 layers, with layer sizes and m of at most 6.
    seed : int, default 0
        The seed of drawn parameters and data.

    Returns
    -------
    Explanation
        Print it; `to_markdown()` and `to_dict()` give it in other forms, `explanation["dW1"]` one step, `program`
        all steps as NumPy code.

    Examples
    --------
    >>> import vecprop as vp
    >>> explanation = vp.explain((3, 4, 1), m=100)
    >>> step = explanation["dW2"]
    >>> step.formula, step.code, step.kind
    ('dW2 = (1/m) dZ2 A1ᵀ', 'dW2 = dZ2 @ A1.T / m', 'matrix product')
    >>> [operation.shapes for operation in step.operations]
    ['(1, 100) @ (100, 4) -> (1, 4)', '(1, 4) / m -> (1, 4)']

    With the numbers of the worked example in the equations:

    >>> import numpy as np
    >>> net = vp.Network((2, 2, 1), hidden="relu", output="identity")
    >>> params = [(np.array([[1.0, -1.0], [1.0, 1.0]]), np.array([[-1.0], [1.0]])),
    ...           (np.array([[2.0, -1.0]]), np.array([[1.0]]))]
    >>> X, Y = np.array([[1.0, 3.0], [2.0, -1.0]]), np.array([[1.0, 2.0]])
    >>> explanation = vp.explain(net, params=params, X=X, Y=Y)
    >>> explanation["dW2"].example
    'dW2[0, 0] = ((-4)·0 + 2·3) / 2 = 3'
    >>> explanation["dW1"].value.tolist()
    [[6.0, -2.0], [-1.0, 5.0]]
    """
    try:
        net = net_or_sizes if isinstance(net_or_sizes, Network) else Network(net_or_sizes)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        wanted = "a Network, such as network_ of an estimator, or sizes"
        raise type(error)(f"net_or_sizes must be {wanted}: {error}") from None
    m = _check_m(net, m, X, Y)
    if not isinstance(numbers, str):
        show = check_flag(numbers, "numbers")
    elif numbers == "auto":
        show = max(*net.sizes, m) <= _LARGEST_SHOWN and len(net.sizes) <= _MOST_LAYERS_SHOWN + 1
    else:
        raise ValueError(f'numbers must be True, False or "auto", got {numbers!r}')
    if m * net.numbers_per_example + net.parameter_count > _MOST_NUMBERS:
        raise ValueError(
            f"m, net_or_sizes: {net} with m = {m} has more than {_MOST_NUMBERS:,} numbers, on which the mistakes would "
            "be tried; explain it with a smaller m, every step is the same"
        )
    check_l2(l2)
    checked, X, Y = _data(net, params, X, Y, m, check_seed(seed))
    arrays, J, difference = compute(net, checked, X, Y, float(l2))
    check = {"difference": difference} if show else {}
    if show and net.parameter_count <= _MOST_CHECKED:
        check["numeric"] = max(check_gradients(net, checked.params, X, Y, l2=l2).values())
    passes = Passes(net, m, float(l2), arrays if show else {})
    steps = (*passes.forward(), *passes.cost(), *passes.backward())
    mistakes = tuple(find_mistakes(net, arrays | {"m": m}))
    return Explanation(net, m, float(l2), tuple(passes.given()), steps, mistakes, J if show else None, check)


def _check_m(net: Network, m: int | None, X: Any, Y: Any) -> int:
    """Return the number of examples, from those of m, X and Y that are given."""
    if (X is None) != (Y is None):
        raise ValueError(f"X and Y must be given together, got {'Y' if X is None else 'X'} alone")
    if X is None:
        if m is None:
            return next(k for k in range(_FEWEST_EXAMPLES, len(net.sizes) + 4) if k not in net.sizes)
        return check_positive_integer(m, "m")
    found = int(X.shape[-1]) if is_array(X) and X.ndim else None
    if m is not None and found is not None and check_positive_integer(m, "m") != found:
        raise ValueError(f"m must be the number of columns of X, {found}, or left out; got {m}")
    return 1 if found is None else found


def _data(net: Network, params: Any, X: Any, Y: Any, m: int, seed: int) -> tuple[Checked, Array, Array]:
    """Return the checked parameters, X and Y; those that are not given are drawn."""
    if params is None:  # drawn, on the backend of any data
        backend = backend_for(array_namespace(X)) if is_array(X) else get_backend("numpy")
        params = [[backend.asarray(a, "float64") for a in layer] for layer in draw_params(net, seed)]
    checked = check_one_network(net, params, instead="explain its members one by one")
    if X is None:
        X, Y = (checked.backend.asarray(V, checked.dtype) for V in draw_examples(net, m, seed))
    with checked.backend.scope(checked.dtype, "highest"):
        X, Y, _ = check_examples(net, checked, X, Y)
    if X.ndim > 2 or Y.ndim > 2:
        raise ValueError(f"X and Y must be matrices, got shapes {tuple(X.shape)} and {tuple(Y.shape)}")
    return checked, X, Y
