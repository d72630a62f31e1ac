"""`Network`: sizes, activations and loss, with the functions of the core as checked methods."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vecprop import propagation
from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import Array, Bound, Static
from vecprop.backend.out_of_memory import Demand, columns_of, reports_out_of_memory, require_memory, wait_if_large
from vecprop.backend.selection import get_backend, get_precision
from vecprop.nn.activations import Activation, get_activation, is_pair
from vecprop.nn.array_checks import (
    Checked,
    check_examples,
    check_inputs,
    check_l2,
    check_params,
    dtype_name,
)
from vecprop.nn.initializers import draw_layers
from vecprop.nn.losses import get_loss
from vecprop.nn.shapes import ShapeTable, shape_table
from vecprop.propagation import Layer, Params
from vecprop.utils.arguments import check_count, check_instance, check_positive_integer, check_size, is_sequence
from vecprop.utils.errors import shown
from vecprop.utils.random_streams import check_seeds


@dataclass(frozen=True)
class Network:
    """A feed-forward network as a frozen, hashable specification, without its parameters.

    Parameters
    ----------
    sizes : sequence of int
        The number of units (n0, n1, …, nL), n0 being the number of inputs. (n0, nL) has no hidden layer: logistic,
        softmax or linear regression.
    hidden : str, Activation, pair (g, g′), or a list with one of these per hidden layer; default "tanh"
        The activation of the hidden layers (E17-E21).
    output : str, Activation or pair (g, g′), default "sigmoid"
        The activation of the last layer.
    loss : str or Loss, optional
        "binary_cross_entropy" (E22), "cross_entropy" (E23), "squared_error" (E24, with the factor ½), "absolute_error",
        "huber", "poisson", "quantile", or one of `vecprop.losses` with its parameters. By default it follows from the
        output: binary cross-entropy for sigmoid, cross-entropy for softmax, Poisson for "exp", else the squared error.

    Raises
    ------
    ValueError, TypeError
        For sizes that are not positive integers, an unknown name, a number of hidden activations that does not fit the
        sizes, and a loss that is not defined for the output.

    Examples
    --------
    >>> net = Network((784, 128, 10), hidden="relu", output="softmax")
    >>> net.loss.name, net.parameter_count
    ('cross_entropy', 101770)

    On paper: one unit, w = (1, 2), b = 0.5, x = (1, -1), so z = -0.5.

    >>> import numpy as np
    >>> unit = Network((2, 1), output="identity")
    >>> params = [(np.array([[1.0, 2.0]]), np.array([[0.5]]))]
    >>> X, Y = np.array([[1.0], [-1.0]]), np.array([[0.0]])
    >>> unit.forward(params, X).tolist(), float(unit.cost(params, X, Y))
    ([[-0.5]], 0.125)
    >>> J, (layer,) = unit.gradients(params, X, Y)
    >>> layer.W.tolist(), layer.b.tolist()
    ([[-0.5, 0.5]], [[-0.5]])
    """

    sizes: tuple[int, ...]
    hidden: Any = "tanh"
    output: Any = "sigmoid"
    loss: Any = None
    activations: tuple[Activation, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sizes = _check_sizes(self.sizes)
        hidden = _check_hidden(self.hidden, len(sizes) - 2)
        output = get_activation(self.output, "output")
        if output.name == "softmax" and sizes[-1] == 1:
            raise ValueError(
                "output: softmax over 1 unit is always 1; use output='sigmoid' for two classes in one unit"
            )
        set_field = object.__setattr__  # the dataclass is frozen; these are the normalized values
        set_field(self, "sizes", sizes)
        set_field(self, "hidden", hidden)
        set_field(self, "output", output)
        set_field(self, "loss", get_loss(self.loss, output, sizes[-1]))
        set_field(self, "activations", (*hidden, output))

    def __str__(self) -> str:
        names = [*(g.name for g in self.hidden), self.output.name]
        return f"network {'-'.join(map(str, self.sizes))} ({', '.join(names)}; {self.loss.name})"

    @property
    def parameter_count(self) -> int:
        """The number of weights and biases."""
        return sum(n * (n_in + 1) for n_in, n in zip(self.sizes[:-1], self.sizes[1:], strict=True))

    @property
    def numbers_per_example(self) -> int:
        """How many numbers X and all Z_l and A_l have for one example: n_0 + 2 Σ n_l.

        >>> Network((2, 4, 1)).numbers_per_example
        12
        """
        return self.sizes[0] + 2 * sum(self.sizes[1:])

    def init(
        self,
        seed: int | Sequence[int] = 0,
        init: str = "auto",
        dtype: Any = "float32",
        backend: str | Backend | None = None,
        widths: Sequence[Sequence[int]] | None = None,
    ) -> Params:
        """Return initial parameters (E27-E29), the same numbers on every backend; biases are 0.

        Parameters
        ----------
        seed : int or sequence of int, default 0
            K seeds give a stack of K networks, W_l (K, n_l, n_{l-1}); network k is that of the k-th seed.
        init : str, default "auto"
            Normal weights of a standard deviation: "zeros" 0 (E27), "small" 0.01 (E28), "he" √(2/n_{l-1}), "xavier"
            √(1/n_{l-1}), "glorot" √(2/(n_{l-1} + n_l)) (E29). All but "zeros" with "_uniform": uniform weights of that
            deviation. "auto": He for ReLU and its like, Xavier for the others. "sklearn": as scikit-learn's networks,
            "glorot_uniform" (for sigmoid narrower by √3), biases included.
        dtype : "float32" (default) or "float64"
            The numbers are drawn in float64 and rounded.
        backend : str or Backend, optional
            The backend of the arrays; by default the active one.
        widths : K sequences of int, optional
            For each network of a stack the sizes of its hidden layers, at most those of this network. It starts, and
            trains, as a network of these sizes does. The units beyond them have the weights 0, which training leaves as
            they are; so the hidden activations must be elementwise with g(0) = 0.

        Returns
        -------
        tuple of Layer
            W_l (n_l, n_{l-1}) and b_l (n_l, 1) for l = 1 … L.

        Examples
        --------
        >>> params = Network((2, 4, 1)).init(seed=0)
        >>> params[0].W.shape, params[0].b.shape
        ((4, 2), (4, 1))
        >>> Network((2, 4, 1)).init(seed=(0, 0), widths=[(4,), (1,)])[1].W.astype(bool).tolist()
        [[[True, True, True, True]], [[True, False, False, False]]]
        """
        dtype = dtype_name(dtype)
        checked = check_seeds(seed)
        if widths is not None and (not is_sequence(widths) or len(widths) == 0):
            raise TypeError(f"widths must be a sequence of widths, one for each network, got {widths!r}")
        several = isinstance(checked, tuple) or widths is not None
        seeds = checked if isinstance(checked, tuple) else (checked,) * (1 if widths is None else len(widths))
        own_sizes = _sizes_of_each(self, widths, len(seeds))
        check_size(self.parameter_count, "sizes", self.sizes)
        check_size(self.parameter_count * len(seeds), "seed", seed)
        target, params = get_backend(backend), []
        for n_in, n in zip(self.sizes[:-1], self.sizes[1:], strict=True):
            params.append((np.zeros((len(seeds), n, n_in)), np.zeros((len(seeds), n, 1))))
        for k, (sizes, s) in enumerate(zip(own_sizes, seeds, strict=True)):
            for (W, b), (W_k, b_k) in zip(params, draw_layers(sizes, self.activations, init, s), strict=True):
                W[k, : W_k.shape[0], : W_k.shape[1]], b[k, : len(b_k)] = W_k, b_k
        return tuple(Layer(*(target.asarray(a if several else a[0], dtype) for a in layer)) for layer in params)

    @reports_out_of_memory
    def forward(self, params: Iterable[tuple[Array, Array]], X: Array) -> Array:
        """Return A_L (…, n_L, m), the output for each column of X (n_0, m) (E14).

        X is converted to the dtype of the parameters. Raises ValueError or TypeError that names the wrong argument, and
        OutOfMemoryError with the number of columns that fit.
        """
        checked = check_params(self, params)
        _require_memory(self, "forward", checked, columns_of(X))
        with checked.backend.scope(checked.dtype, get_precision()):
            X = check_inputs(self, checked, X)
            A = compiled_output(self, checked.backend, checked.params, X)
            wait_if_large(checked.backend, X.shape[-1] * self.numbers_per_example, A)
            return A

    @reports_out_of_memory
    def cost(
        self,
        params: Iterable[tuple[Array, Array]],
        X: Array,
        Y: Array,
        *,
        sample_weight: Array | None = None,
        l2: float = 0.0,
    ) -> Array:
        """Return J (E10) with the penalty of E32, a scalar, or (…) for a stack.

        The arguments are those of `gradients`.
        """
        checked = check_params(self, params)
        _require_memory(self, "cost", checked, columns_of(X))
        with checked.backend.scope(checked.dtype, get_precision()):
            data, lam = check_examples(self, checked, X, Y, sample_weight), check_l2(l2)
            block_size = _forward_block(checked.backend, data[0])
            if block_size is None:
                J = checked.backend.compile(propagation.cost)(self, checked.params, *data, lam)
            else:
                blocked = checked.backend.compile(_blocked_cost)
                J = blocked(checked.backend, block_size, self, checked.params, data, lam)
            wait_if_large(checked.backend, data[0].shape[-1] * self.numbers_per_example, J)
            return J

    @reports_out_of_memory
    def gradients(
        self,
        params: Iterable[tuple[Array, Array]],
        X: Array,
        Y: Array,
        *,
        sample_weight: Array | None = None,
        l2: float = 0.0,
        block_size: int | str | None = "auto",
    ) -> tuple[Array, Params]:
        """Return J and its gradients (E11, E15).

        Parameters
        ----------
        params : sequence of (W_l, b_l)
            W_l (…, n_l, n_{l-1}), b_l (…, n_l, 1), float32 or float64, of any array API library.
        X : array (n_0, m) or (…, n_0, m)
            One example per column.
        Y : array (n_L, m) or (…, n_L, m)
            One target per column: labels 0 and 1 for sigmoid, one-hot columns for softmax, real numbers for the
            squared error.
        sample_weight : array (m,), optional
            Non-negative weights of the examples; an integer weight counts as that many copies of the column (E10).
        l2 : float, default 0
            λ of E32: J gains (λ/2m) Σ ‖W_l‖², biases excepted.
        block_size : int, "auto" (default) or None
            The number of columns computed at once: gradients are summed over blocks of columns, with the activations of
            only one block in memory. "auto" uses blocks where they are faster (many examples); None uses none.

        Returns
        -------
        J : scalar, or (…) for a stack
        grads : tuple of Layer
            dW_l and db_l, of the structure and the dtype of params.

        Raises
        ------
        ValueError, TypeError
            The message names the argument, its value and the values allowed.
        OutOfMemoryError
            The message tells the memory needed, the memory free, and the block size that fits.
        """
        checked = check_params(self, params)
        block_size = check_count(block_size, "block_size")
        _require_memory(self, "gradients", checked, columns_of(X))
        with checked.backend.scope(checked.dtype, get_precision()):
            X, Y, w = check_examples(self, checked, X, Y, sample_weight)
            lam = check_l2(l2)
            m = X.shape[-1]
            if block_size == "auto":
                memory, units = checked.backend.memory, self.numbers_per_example
                n, itemsize = self.sizes[0], np.dtype(checked.dtype).itemsize
                blocks = not checked.stack and X.ndim == 2 and memory.worth_blocks(m, n, units - n, itemsize)
                block_size = memory.auto_block(m, units, itemsize) if blocks else None
            columns = m if block_size is None else min(m, int(block_size))
            _require_memory(self, "gradients", checked, columns, begins=True)
            if columns == m:
                J, grads = checked.backend.compile(propagation.gradients)(self, checked.params, X, Y, w, lam)
            else:
                blocked = checked.backend.compile(_blocked_gradients)
                J, grads = blocked(checked.backend, block_size, self, checked.params, (X, Y, w), lam)
            wait_if_large(checked.backend, m * self.numbers_per_example, J)
            return J, grads

    def shapes(self, m: int) -> ShapeTable:
        """Return the table of E16: the shape of every quantity for m examples.

        >>> Network((2, 4, 1)).shapes(m=100)["dW1"]
        (4, 2)
        """
        return shape_table(self.sizes, check_positive_integer(m, "m"))

    def collapse(self, params: Iterable[tuple[Array, Array]]) -> Layer:
        """Return W′ (…, n_L, n_0) and b′ (…, n_L, 1) with Z_L = W′X + b′ (E26).

        ValueError if a hidden activation is not the identity.

        On paper: W2 W1 = 3·2 = 6, W2 b1 + b2 = 3·1 + 4 = 7.

        >>> import numpy as np
        >>> net = Network((1, 1, 1), hidden="identity")
        >>> W, b = net.collapse([(np.array([[2.0]]), np.array([[1.0]])), (np.array([[3.0]]), np.array([[4.0]]))])
        >>> W.tolist(), b.tolist()
        ([[6.0]], [[7.0]])
        """
        for l, g in enumerate(self.hidden, start=1):
            if g.name != "identity":
                raise ValueError(f"only identity hidden layers collapse into one linear map; layer {l} is {g.name}")
        checked = check_params(self, params)
        with checked.backend.scope(checked.dtype, get_precision()):
            W, b = checked.params[0]
            for W_l, b_l in checked.params[1:]:
                W, b = W_l @ W, W_l @ b + b_l
            return Layer(W, b)


def _check_sizes(sizes: object) -> tuple[int, ...]:
    if not is_sequence(sizes):
        raise TypeError(f"sizes must be a sequence (n0, n1, …, nL) of layer sizes, got {shown(sizes)}")
    given = list(sizes)  # type: ignore[call-overload]
    if len(given) < 2:
        raise ValueError(f"sizes must have at least 2 entries, the inputs and the outputs, got {given}")
    return tuple(check_positive_integer(n, f"sizes[{l}]") for l, n in enumerate(given))


def _sizes_of_each(net: Network, widths: Any, networks: int) -> list[tuple[int, ...]]:
    """Return the sizes (n_0, …, n_L) of each of K networks, from the widths of their hidden layers."""
    if widths is None:
        return [net.sizes] * networks
    if len(widths) != networks:
        raise ValueError(f"widths must have one entry for each of {networks} seeds, got {len(widths)}")
    for g in net.hidden:
        if not g.elementwise or np.any(g.function(np, np.zeros((1, 1)))):
            raise ValueError(f"widths need elementwise hidden activations with g(0) = 0, got {g.name}")
    found = []
    for k, own in enumerate(widths):
        wanted = f"widths[{k}] must have {len(net.hidden)} widths, from 1 to those of {net.sizes[1:-1]}, got {own!r}"
        if not is_sequence(own) or len(own) != len(net.hidden):
            raise ValueError(wanted)
        sizes = tuple(check_positive_integer(n, f"widths[{k}]") for n in own)
        if any(n > most for n, most in zip(sizes, net.sizes[1:-1], strict=True)):
            raise ValueError(wanted)
        found.append((net.sizes[0], *sizes, net.sizes[-1]))
    return found


def _check_hidden(hidden: Any, count: int) -> tuple[Activation, ...]:
    if isinstance(hidden, str | Activation) or is_pair(hidden):
        return (get_activation(hidden, "hidden"),) * count
    if not isinstance(hidden, Sequence):
        raise TypeError(f"hidden must be an activation or a list with one per hidden layer, got {hidden!r}")
    if len(hidden) != count:
        raise ValueError(f"hidden must have one activation for each of the {count} hidden layers, got {len(hidden)}")
    return tuple(get_activation(g, f"hidden[{l}]") for l, g in enumerate(hidden))


def check_network(net: object) -> Network:
    """Return the network, or raise TypeError."""
    return check_instance(net, Network, "net", "a Network")  # type: ignore[no-any-return]


def pass_demand(net: Network, name: str, dtype: str, networks: int, columns: int, argument: str, advice: str) -> Demand:
    """Return the memory that a forward and backward pass of K networks together takes."""
    itemsize = np.dtype(dtype).itemsize * networks
    return Demand(
        f"{name} of {net}",
        2 * net.numbers_per_example * itemsize,  # every number and its gradient
        columns,
        argument,
        advice,
        4 * net.parameter_count * itemsize,  # parameters, gradients and the two moments of Adam
        "train fewer networks at once" if networks > 1 else "make the layers smaller",
    )


def activation_bytes(net: Network, dtype: str, networks: int, columns: int) -> int:
    """Return the bytes of the activations that a forward pass keeps for the backward pass."""
    return sum(net.sizes[1:]) * columns * np.dtype(dtype).itemsize * networks


def _require_memory(net: Network, name: str, checked: Checked, columns: int, begins: bool = False) -> None:
    """Register the memory a method takes; with `begins`, raise MemoryError if it is not free."""

    def demand() -> Demand:
        dtype, networks = checked.dtype, math.prod(checked.stack)
        if name == "gradients":
            advice = "block_size={columns} fits, and computes the same."
            return pass_demand(net, name, dtype, networks, columns, "block_size", advice)
        advice = f"Give {name} at most {{columns}} columns of X at a time."
        both = pass_demand(net, name, dtype, networks, columns, "X", advice)
        # a forward pass alone: no gradient of a number, no optimizer
        return both._replace(each=both.each // 2, fixed=both.fixed // 4, fixed_for="parameters")

    least = activation_bytes(net, checked.dtype, math.prod(checked.stack), columns) if begins else 0
    require_memory(checked.backend, demand, least)


def compiled_output(net: Network, backend: Backend, params: Params, X: Array) -> Array:
    """Return A_L of checked arguments, compiled, in blocks of columns where that is faster."""
    block_size = _forward_block(backend, X)
    if block_size is None:
        return backend.compile(propagation.output)(net, params, X)
    return backend.compile(_blocked_output)(backend, block_size, net, params, X)


def _forward_block(backend: Backend, X: Array) -> int | None:
    """Return the columns of X to compute in one forward pass, or None for all."""
    widest = backend.memory.widest_pass
    return None if widest is None or X.shape[-1] <= widest else widest


def _blocked_output(
    backend: Static[Backend], block_size: Static[int], net: Static[Network], params: Params, X: Array
) -> Array:
    """`propagation.output`, block by block."""
    return backend.map_blocks(lambda X: propagation.output(net, params, X), block_size, X)


def _blocked_cost(
    backend: Static[Backend], block_size: Static[int], net: Static[Network], params: Params, examples: Any, l2: Any
) -> Array:
    """`propagation.cost` of examples (X, Y, w) as a sum over blocks of columns."""
    m = propagation.total_weight(examples[0], examples[2])
    J = backend.sum_blocks(lambda X, Y, w: propagation.cost(net, params, X, Y, w, m=m), block_size, *examples)
    return J if l2 is None else J + propagation.penalty(params, l2, m)


def _blocked_gradients(
    backend: Static[Backend],
    block_size: Static[int],
    net: Static[Network],
    params: Params,
    examples: Bound[Any],
    l2: Any,
) -> tuple[Array, Params]:
    """`propagation.gradients` of examples (X, Y, w) as a sum over blocks of columns."""
    m = propagation.total_weight(examples[0], examples[2])
    J, grads = backend.sum_blocks(
        lambda X, Y, w: propagation.gradients(net, params, X, Y, w, m=m), block_size, *examples
    )
    if l2 is None:
        return J, grads
    return J + propagation.penalty(params, l2, m), propagation.add_decay(grads, params, l2, m)
