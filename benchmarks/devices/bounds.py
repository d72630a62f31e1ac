"""What a piece of work needs at least: operations, bytes and launches, and the time that follows from measured rates.

    least time = the largest of   operations / rate,   bytes / bandwidth,   launches · time of a launch

The operations are those of the matrix products, two for each multiplication. The bytes are those of the following
sequence of kernels, each of which reads its inputs from memory and writes its results there once; so are the launches.

    gather     X and Y of the batch, out of the whole            mini-batches only
    product    Z_l = W_l A_{l-1}                                 l = 1 … L
    pass       A_l = g(Z_l + b_l)                                l < L
    pass       Z_L, Y -> dZ_L, with the cost
    product    dW_l = dZ_l A_{l-1}ᵀ                              l = L … 1
    product    dA_{l-1} = W_lᵀ dZ_l                              l > 1
    pass       dA_{l-1}, A_{l-1} -> dZ_{l-1}, with db            l > 1
    update     Adam: P, dP, M, S -> P, M, S                      training only

It is a model, no law: what a cache keeps is not read again, and a share above 1 says so.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

_UPDATE = 7  # numbers that Adam reads and writes for each parameter
_ITEMSIZE = 4  # bytes of a number


class Needs(NamedTuple):
    """What one step or pass needs: operations of the products, bytes read and written, kernels launched."""

    operations: int
    bytes: int
    launches: int


class Rates(NamedTuple):
    """What the device reaches: operations and bytes a second, seconds of a launch; None where it was not measured."""

    products: float | None = None
    bandwidth: float | None = None
    launch: float | None = None


class Bound(NamedTuple):
    """The least time of a piece of work in seconds, and what it is due to: "products", "bandwidth" or "launches"."""

    seconds: float
    by: str


def pass_needs(sizes: Sequence[int], columns: int) -> Needs:
    """Return the work of the cost and its gradients (E11, E15): 3L - 1 products and 2L - 1 passes between them.

    On paper, 2-4-1 and one example. Multiplications: Z 8 + 4, dW as many, dA 4, in all 28, and as many additions.
    Numbers: products Z_1 8 + 2 + 4, Z_2 4 + 4 + 1, dW_2 1 + 4 + 4, dW_1 4 + 2 + 8, dA_1 4 + 1 + 4; passes A_1 4 + 4,
    dZ_2 1 + 1 + 1, dZ_1 4 + 4 + 4; in all 78.

    >>> pass_needs((2, 4, 1), 1)
    Needs(operations=56, bytes=312, launches=8)
    """
    each = [(n * n_in, n_in * columns, n * columns) for n_in, n in pairwise(sizes)]  # W, A_{l-1}, Z
    products = each + each + each[1:]  # Z and dW of each layer, dA of all but the first
    hidden = sum(sizes[1:-1]) * columns
    numbers = sum(map(sum, products)) + 5 * hidden + 3 * sizes[-1] * columns
    operations = 2 * columns * sum(W for W, _, _ in products)
    return Needs(operations, _ITEMSIZE * numbers, len(products) + 2 * len(each) - 1)


def step_needs(sizes: Sequence[int], batch: int, gathers: bool, networks: int = 1) -> Needs:
    """Return the work of a step of training: a pass, Adam's update, and for mini-batches the gathering of the batch.

    K networks in one stack need K times the operations and bytes, and the launches of one. They share X and Y, but
    each gathers its own batch.

    On paper, 2-4-1: 17 parameters are 7·17 numbers more; gathering one example 2·(2 + 1).

    >>> step_needs((2, 4, 1), 1, gathers=True)
    Needs(operations=56, bytes=812, launches=10)
    """
    once = pass_needs(sizes, batch)
    parameters = sum(n * (n_in + 1) for n_in, n in pairwise(sizes))
    more = _UPDATE * parameters + (2 * (sizes[0] + sizes[-1]) * batch if gathers else 0)
    launches = once.launches + 1 + int(gathers)
    return Needs(networks * once.operations, networks * (once.bytes + _ITEMSIZE * more), launches)


def bound(needs: Needs, rates: Rates) -> Bound | None:
    """Return the least time at these rates and what it is due to; None if none of them was measured.

    >>> bound(Needs(operations=600, bytes=100, launches=2), Rates(products=100.0, bandwidth=50.0, launch=1.0))
    Bound(seconds=6.0, by='products')
    """
    times = {
        "products": rates.products and needs.operations / rates.products,
        "bandwidth": rates.bandwidth and needs.bytes / rates.bandwidth,
        "launches": rates.launch and needs.launches * rates.launch,
    }
    known = [Bound(seconds, name) for name, seconds in times.items() if seconds is not None]
    return max(known, default=None)
