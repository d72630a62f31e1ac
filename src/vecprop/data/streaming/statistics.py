"""The statistics of examples that come in parts."""

from collections.abc import Iterable
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.nn.input_scaling import Moments, moments


def moments_of(parts: Iterable[tuple[npt.NDArray[Any], npt.NDArray[Any] | None]]) -> Moments:
    """Return the moments of examples that come as parts X (n, k), with weights (k,) or None."""
    found = [moments(np, X, w) for X, w in parts if w is None or w.any()]
    if not found:
        raise ValueError("sample_weight must not be all zero: no example would count")
    return reduce(lambda a, b: a.add(np, b), found)
