"""The ladder: J and its gradients computed four ways, with one loop fewer on each rung (E13).

    per_neuron    for every example, for every neuron, one dot product (E5)
    per_example   for every example, matrix times vector (E6, E7, E8)
    vectorized    all m examples at once, matrix times matrix (E9, E11)
    networks      all K networks at once, stacks of matrices

Each takes (net, params, X, Y) and returns (J, grads), equal within rounding. `per_neuron` shares no propagation code
with `vectorized`, so each tests the other. The input is checked once, before the loop.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from vecprop import propagation
from vecprop.backend.contract import add_trees
from vecprop.backend.namespaces import Array, Namespace
from vecprop.backend.selection import get_precision
from vecprop.nn.array_checks import Checked, check_examples, check_inputs, check_params
from vecprop.nn.network import Network, check_network
from vecprop.propagation import Layer, Params

Pairs = Iterable[tuple[Array, Array]]


def per_neuron(net: Network, params: Pairs, X: Array, Y: Array) -> tuple[Array, Params]:
    """Return J and the gradients, neuron by neuron and example by example (E5, E8).

    >>> import vecprop as vp
    >>> X, Y = vp.datasets.xor(m=8)
    >>> net = vp.Network((2, 3, 1)); params = net.init(seed=0, dtype="float64")
    >>> slow, fast = vp.rungs.per_neuron(net, params, X, Y), vp.rungs.vectorized(net, params, X, Y)
    >>> bool(abs(slow[0] - fast[0]) < 1e-15)
    True
    """
    with _single(net, params) as checked:
        columns = _columns(*check_examples(net, checked, X, Y)[:2])
        return mean_of_examples(example_per_neuron(net, checked.xp, checked.params, x, y) for x, y in columns)


def per_example(net: Network, params: Pairs, X: Array, Y: Array) -> tuple[Array, Params]:
    """Return J and the gradients: E6 and E7 for each example, then the mean (E8)."""
    with _single(net, params) as checked:
        columns = _columns(*check_examples(net, checked, X, Y)[:2])
        step = checked.backend.compile(propagation.gradients)
        return mean_of_examples(step(net, checked.params, x, y) for x, y in columns)


def vectorized(net: Network, params: Pairs, X: Array, Y: Array) -> tuple[Array, Params]:
    """Return J and the gradients, all examples at once (E9, E11, E15), by `net.gradients`."""
    with _single(net, params) as checked:
        return net.gradients(checked.params, X, Y)


def networks(net: Network, params: Pairs, X: Array, Y: Array) -> tuple[Array, Params]:
    """Return J (K,) and the gradients of K networks in one pass over stacks of matrices.

    `params` is a stack, W_l (K, n_l, n_{l-1}), such as `net.init(seed=range(K))` makes. X and Y are each (n, m),
    shared by all networks, or (K, n, m). Member k of the result is that of `vectorized` for network k.

    >>> import vecprop as vp
    >>> X, Y = vp.datasets.xor(m=8)
    >>> net = vp.Network((2, 3, 1)); J, grads = vp.rungs.networks(net, net.init(seed=range(5)), X, Y)
    >>> J.shape, grads[0].W.shape
    ((5,), (5, 3, 2))
    """
    checked = check_params(check_network(net), params)
    if not checked.stack:
        raise ValueError(
            "params must be a stack of networks, W1 of shape (K, n1, n0); make one with net.init(seed=range(K)), "
            f"got W1 of shape {tuple(checked.params[0].W.shape)}"
        )
    return net.gradients(checked.params, X, Y)


def forward_per_neuron(net: Network, params: Pairs, X: Array) -> Array:
    """Return A_L (n_L, m), one dot product for each neuron and example (E5)."""
    with _single(net, params) as checked:
        columns = _columns(check_inputs(net, checked, X))
        A = [example_forward_per_neuron(net, checked.xp, checked.params, x)[1][-1] for (x,) in columns]
        return checked.xp.concat(A, axis=-1)


def forward_per_example(net: Network, params: Pairs, X: Array) -> Array:
    """Return A_L (n_L, m), one matrix-vector product for each layer and example (E6)."""
    with _single(net, params) as checked:
        step, columns = checked.backend.compile(propagation.output), _columns(check_inputs(net, checked, X))
        return checked.xp.concat([step(net, checked.params, x) for (x,) in columns], axis=-1)


@contextmanager
def _single(net: Network, params: Pairs) -> Iterator[Checked]:
    """Check that params are of one network, and enter its backend's scope."""
    checked = check_params(check_network(net), params)
    if checked.stack:
        raise ValueError(f"params must be one network, got a stack {checked.stack}; use vecprop.rungs.networks")
    with checked.backend.scope(checked.dtype, get_precision()):
        yield checked


def _columns(*matrices: Array) -> Iterator[tuple[Array, ...]]:
    return (tuple(V[:, i : i + 1] for V in matrices) for i in range(matrices[0].shape[-1]))


def mean_of_examples(parts: Iterable[tuple[Array, Params]]) -> tuple[Array, Params]:
    """Return the mean of J and of the gradients over single examples (E8)."""
    total, m = None, 0
    for m, part in enumerate(parts, start=1):  # noqa: B007 - m is the count after the loop
        total = part if total is None else add_trees(total, part)
    assert total is not None
    J, grads = total
    return J / m, tuple(Layer(dW / m, db / m) for dW, db in grads)


def example_forward_per_neuron(
    net: Network, xp: Namespace, params: Params, x: Array
) -> tuple[list[Array], list[Array]]:
    """Return [None, z_1, …, z_L] and [x, a_1, …, a_L] of one example, each (n_l, 1) (E5)."""
    Z, A = [None], [x]
    for (W, b), g in zip(params, net.activations, strict=True):
        z = [xp.reshape(W[j, :] @ A[-1][:, 0] + b[j, 0], (1, 1)) for j in range(W.shape[0])]
        Z.append(xp.concat(z))
        A.append(xp.concat([g.function(xp, z_j) for z_j in z]) if g.elementwise else g.function(xp, Z[-1]))
    return Z, A


def example_per_neuron(net: Network, xp: Namespace, params: Params, x: Array, y: Array) -> tuple[Array, Params]:
    """Return the loss and the gradients of one example, neuron by neuron (E5, E7)."""
    Z, A = example_forward_per_neuron(net, xp, params, x)
    J = xp.sum(net.loss.values(xp, net.output, Z[-1], A[-1], y))
    dz = net.loss.dZ(xp, net.output, Z[-1], A[-1], y)
    grads: list[Layer] = []
    for l in range(len(params), 0, -1):
        W, a = params[l - 1].W, A[l - 1][:, 0]
        grads.insert(0, Layer(xp.stack([dz[j, 0] * a for j in range(W.shape[0])]), dz))
        if l > 1:
            g = net.activations[l - 2]
            da = [xp.reshape(W[:, i] @ dz[:, 0], (1, 1)) for i in range(W.shape[1])]
            if g.elementwise:
                z, a_i = Z[l - 1], A[l - 1]
                dz = xp.concat([g.backward(xp, d, z[i : i + 1, :], a_i[i : i + 1, :]) for i, d in enumerate(da)])
            else:
                dz = g.backward(xp, xp.concat(da), Z[l - 1], A[l - 1])
    return J, tuple(grads)
