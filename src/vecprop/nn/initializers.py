"""Initial parameters (E27-E29), drawn on the host from the seed: the same for every backend.

An initializer is a scale, the standard deviation of a weight, and a distribution. Biases start at zero, except with
"sklearn", which draws them like the weights.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vecprop.nn.activations import Activation, ReLU
from vecprop.utils.errors import unknown_name
from vecprop.utils.random_streams import INITIAL_WEIGHTS, generator

Numbers: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Initializer:
    """A normal or uniform distribution of weights, of the deviation √(variance / (per_in n_{l-1} + per_out n_l))."""

    name: str
    variance: float
    per_in: int
    per_out: int
    uniform: bool = False
    biases: bool = False  # whether biases are drawn too

    def scale(self, n_in: int, n_out: int) -> float:
        """Return the standard deviation of a weight."""
        return math.sqrt(self.variance / (self.per_in * n_in + self.per_out * n_out or 1))

    def draw(self, random: np.random.Generator, n_in: int, n_out: int) -> tuple[Numbers, Numbers]:
        """Return W (n_out, n_in) and b (n_out, 1) in float64."""
        std = self.scale(n_in, n_out)
        W = self._numbers(random, (n_out, n_in), std)
        return W, self._numbers(random, (n_out, 1), std) if self.biases else np.zeros((n_out, 1))

    def _numbers(self, random: np.random.Generator, shape: tuple[int, int], std: float) -> Numbers:
        if self.uniform:
            # U(-a, a) has the standard deviation a / √3
            return (2 * random.random(shape) - 1) * (math.sqrt(3) * std)
        return random.standard_normal(shape) * std


# variance, per_in and per_out
_SCALES = {"small": (0.01**2, 0, 0), "he": (2, 1, 0), "xavier": (1, 1, 0), "glorot": (2, 1, 1)}
INITIALIZERS: dict[str, Initializer] = {"zeros": Initializer("zeros", 0, 0, 0)} | {
    name + suffix: Initializer(name + suffix, *scale, uniform=bool(suffix))
    for name, scale in _SCALES.items()
    for suffix in ("", "_uniform")
}
# scikit-learn's: uniform in ±√(6/(n_{l-1} + n_l)), for sigmoid ±√(2/(n_{l-1} + n_l)).
INITIALIZERS["sklearn"] = Initializer("sklearn", *_SCALES["glorot"], uniform=True, biases=True)
_SKLEARN_SIGMOID = Initializer("sklearn", 2 / 3, 1, 1, uniform=True, biases=True)


def get_initializer(name: str, activation: Activation) -> Initializer:
    """Return the initializer of a name; "auto" is He for ReLU and its like, else Xavier (E29)."""
    if isinstance(name, str) and name == "auto":
        name = "he" if activation.homogeneous else "xavier"
    if not isinstance(name, str) or name not in INITIALIZERS:
        raise ValueError(f"init: {unknown_name('initializer', name, ['auto', *INITIALIZERS])}")
    if name == "sklearn" and activation.name == "sigmoid":
        return _SKLEARN_SIGMOID
    return INITIALIZERS[name]


def draw_layers(
    sizes: tuple[int, ...], activations: tuple[Activation, ...], init: str, seed: int
) -> list[tuple[Numbers, Numbers]]:
    """Return W_l (n_l, n_{l-1}) and b_l (n_l, 1) for l = 1 … L, in float64, from one seed."""
    random = generator(seed, INITIAL_WEIGHTS)
    if isinstance(init, str) and init == "sklearn":  # draws the output layer by the hidden layers' activation
        activations = (*activations[:-1], *(activations[-2:-1] or (ReLU(),)))
    return [
        get_initializer(init, g).draw(random, n_in, n_out)
        for g, n_in, n_out in zip(activations, sizes[:-1], sizes[1:], strict=True)
    ]
