"""Random numbers of a counter-based generator on the host, keyed by seed and purpose.

Nothing is drawn on a device, so a seed gives the same run on every backend. No state of a generator is kept: the
shuffle of an epoch is drawn without those before it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.random.bit_generator import ISeedSequence

from vecprop.utils.arguments import check_integer

# One stream per purpose, so that drawing more for one does not change the numbers of another.
INITIAL_WEIGHTS = 1
SHUFFLES = 2
CHECKED_ENTRIES = 3
DROPOUT = 4
VALIDATION = 5
EXPLANATION = 6
BLOCKS = 7

_MOST_SEEDS = 2**24


def check_seed(seed: object, argument: str = "seed") -> int:
    """Return the seed as an int; TypeError if it is no integer, ValueError outside 0 … 2⁶⁴ - 1."""
    wanted = "an integer from 0 to 2**64 - 1"
    value = check_integer(seed, argument, 0, wanted)
    if value >= 2**64:
        raise ValueError(f"{argument} must be {wanted}, got {seed!r}")
    return value


def check_seeds(seed: Any) -> int | tuple[int, ...]:
    """Return a seed, or for a sequence or 1-d array of K seeds a tuple of them."""
    if (not isinstance(seed, Sequence) or isinstance(seed, str)) and getattr(seed, "ndim", 0) != 1:
        return check_seed(seed)
    if isinstance(seed, range) and seed and max(seed[0], seed[-1]) - min(seed[0], seed[-1]) >= _MOST_SEEDS:
        raise ValueError(f"seed must hold at most {_MOST_SEEDS} seeds, one for each network, got {seed!r}")
    seeds = tuple(check_seed(s, f"seed[{k}]") for k, s in enumerate(seed))
    if not seeds:
        raise ValueError("seed must hold at least one seed, got an empty sequence")
    return seeds


class _Key(ISeedSequence):
    """The key of a generator, which given as `key` would also draw an unused seed from the system: half of the time."""

    def __init__(self, *words: int) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> npt.NDArray[Any]:  # noqa: ARG002
        return np.array(self._words, dtype=dtype)


def generator(seed: int, purpose: int, epoch: int = 0, part: int = 0) -> np.random.Generator:
    """Return the generator of (seed, purpose, epoch, part of the epoch).

    It is Philox-4x64 with the key (seed, purpose) and a counter that starts at epoch·2¹⁹² + part·2¹²⁸.
    """
    counter = np.array([0, 0, part, epoch], dtype=np.uint64)
    key: Any = _Key(check_seed(seed), purpose)  # NumPy takes any ISeedSequence; its types leave that out
    return np.random.Generator(np.random.Philox(key, counter=counter))


def shuffle(seed: int, epoch: int, m: int, part: int = 0) -> npt.NDArray[np.int64]:
    """Return the order of the m examples of an epoch, or of a part of it, both from 0 (E30)."""
    return generator(seed, SHUFFLES, epoch, part).permutation(m)
