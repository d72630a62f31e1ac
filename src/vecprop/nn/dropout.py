"""Inverted dropout (E33), with the same masks on every backend, from counters and keys.

A mask is a function of (seed, step, layer, unit, column) alone: no generator state is kept, no mask is copied from the
host to a device, and a batch may be computed in blocks of columns.

Each step and layer has two keys from Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, 2011, "Parallel
random numbers: as easy as 1, 2, 3"). Drawing each entry of a mask by Threefry would take longer than the rest of a
step, as that is 110 operations. So each unit and column have a word that never changes, and the keys choose a function
of words: x → (x ^ key1) · key0 modulo 2³², whose upper bits decide. For random keys each entry is uniform, and two
entries are all but independent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vecprop.backend.namespaces import Array, Namespace, device_of, namespace_name
from vecprop.propagation import per_column
from vecprop.utils.random_streams import DROPOUT

Fuse: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
Words: TypeAlias = npt.NDArray[Any]  # uint32

MASKS = 2  # counts the ways in which masks were drawn, for checkpoints
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_ALL_BITS = 0xFFFFFFFF
_FIRST_COLUMN = 1 << 30  # counters of columns begin here, those of units at 0
_LEVELS = 65536  # a mask entry is decided by 16 random bits


def threefry(key0: Words, key1: Words, x0: Words, x1: Words) -> tuple[Words, Words]:
    """Return the two words of Threefry-2x32-20 for a key and a counter, arrays that broadcast together."""
    keys = (key0, key1, key0 ^ key1 ^ _PARITY)
    x0, x1 = x0 + keys[0], x1 + keys[1]
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = (x1 << rotation | x1 >> 32 - rotation) ^ x0
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + (keys[(group + 2) % 3] + (group + 1))
    return x0, x1


def _cut(xp: Namespace, x: Array) -> Array:
    """Return x modulo 2³², which uint32 arithmetic has already taken."""
    return x if x.dtype == xp.uint32 else x & _ALL_BITS


def _words(xp: Namespace, x: Array) -> Array:
    """Return words in the dtype for computing: int64 in PyTorch, which cannot shift uint32."""
    return xp.astype(x, xp.int64) if namespace_name(xp) == "torch" else x


def step_keys(seed: int, layers: int, first: int, count: int) -> Words:
    """Return the mask keys (count, layers, 2) of count steps from `first`, drawn on the host; those at 0 are odd."""
    steps = np.arange(first, first + count, dtype=np.uint64)[:, None]
    low, high = (np.asarray(part, dtype=np.uint32).reshape(1, 1) for part in (seed & 0xFFFFFFFF, seed >> 32))
    with np.errstate(over="ignore"):
        layer = np.arange(layers, dtype=np.uint32)[None, :]
        purpose = np.full((1, 1), DROPOUT, dtype=np.uint32)
        key0, key1 = threefry(low, high, layer, purpose)  # a key for each layer, and from it one for each step
        words = threefry(key0, key1, steps.astype(np.uint32), (steps >> np.uint64(32)).astype(np.uint32))
    return np.stack((words[0] | np.uint32(1), words[1]), axis=-1)


def kept_share(rate: float) -> float:
    """Return the probability of keeping an entry: 1 - rate to 16 bits, neither 0 nor 1."""
    return min(max(round((1.0 - rate) * _LEVELS), 1), _LEVELS - 1) / _LEVELS


def mask(
    xp: Namespace,
    key: Array,
    n: int,
    columns: Array,
    rate: float | Array,
    dtype: Any,
    fuse: Fuse = lambda function: function,
) -> Array:
    """Return D / keep (…, n, m): 1/keep where a unit is kept, 0 where it is dropped (E33).

    key : of the step and the layer, one for each network of a stack, (…, 2), uint32
    n : the number of units
    columns : the positions of the columns in the batch, (m,), uint32
    rate : the share of entries dropped, in [0, 1), rounded as in `kept_share`; or (K,), the share kept by each network,
        rounded already, and 1 where nothing is dropped
    fuse : makes one kernel of an elementwise function (`Backend.fuse`)

    >>> key, columns = step_keys(0, 1, 0, 1)[0, 0], np.arange(1000, dtype=np.uint32)
    >>> D = mask(np, key, 3, columns, 0.5, np.float64)
    >>> D.shape, sorted(set(D.ravel().tolist())), round(float(D.mean()), 1)
    ((3, 1000), [0.0, 2.0], 1.0)
    """
    key, columns = _words(xp, key), _words(xp, columns)
    unit = xp.arange(n, dtype=columns.dtype, **device_of(columns))
    # apart from the rest, so that a backend that records a loop over steps computes the words once, before it
    word = fuse(Word(xp))(unit[:, None], columns[None, :])
    given = (key[..., 0, None, None], key[..., 1, None, None], word)
    if isinstance(rate, float):
        return fuse(Kept(xp, kept_share(rate), dtype))(*given)
    keep = per_column(rate)
    return fuse(Kept(xp, None, dtype))(*given, xp.astype(keep * _LEVELS - 1, columns.dtype), 1.0 / keep)


@dataclass(frozen=True)
class Word:
    """An elementwise function, equal to others that compute the same: the word of a unit and a column."""

    xp: Namespace

    def __call__(self, unit: Array, column: Array) -> Array:
        """Return the product of two odd words."""
        return _cut(self.xp, self._odd(unit) * self._odd(column + _FIRST_COLUMN))

    def _odd(self, x: Array) -> Array:
        """Return a hash of a counter, with the best shifts and factors that C. Wellons' hash-prospector found."""
        x = _cut(self.xp, (x ^ (x >> 16)) * 0x21F0AAAD)
        x = _cut(self.xp, (x ^ (x >> 15)) * 0x735A2D97)
        return (x ^ (x >> 15)) | 1


@dataclass(frozen=True)
class Kept:
    """An elementwise function, equal to others that compute the same: the mask entry of a word."""

    xp: Namespace
    keep: float | None  # None: by network, as an argument
    dtype: Any

    def __call__(self, key0: Array, key1: Array, word: Array, *by_network: Array) -> Array:
        """Return 1/keep where the unit is kept, else 0; by network from keep·2¹⁶ - 1 and 1/keep."""
        last, scale = by_network if self.keep is None else (round(self.keep * _LEVELS) - 1, 1.0 / self.keep)
        last = last << 16 | 0xFFFF  # as draw >> 16 <= last, in one pass less
        if namespace_name(self.xp) == "jax":
            last = self.xp.asarray(last, dtype=self.xp.uint32)  # JAX takes Python's integers for int32
        draw = _cut(self.xp, (word ^ key1) * key0)
        return self.xp.astype(draw <= last, self.dtype) * scale
