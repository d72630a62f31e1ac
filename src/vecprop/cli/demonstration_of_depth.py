"""An experiment on depth: the vanishing gradient of a deep sigmoid network, and two cures.

`vecprop demo` shows it, beside those of `vecprop.cli.demonstrations`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vecprop.backend.contract import Backend
from vecprop.cli.demonstrations import accuracy, trained
from vecprop.data import datasets
from vecprop.nn.network import Network
from vecprop.training.optimizers import Momentum
from vecprop.training.results import FitResult
from vecprop.utils.arguments import check_integer, check_positive_integer

VANISHED = 1e-3  # ‖dW1‖ / ‖dW_L‖ below this: the first layer learns a thousand times slower than the last
ALIVE = 0.1  # above this ratio the first layer learns about as fast as the last
LEARNED = 0.85  # the least accuracy of a network that learns; others stay near 0.1

_WAYS = (  # name, hidden activation, initialization, batch normalization
    ("sigmoid", "sigmoid", "xavier", False),
    ("ReLU, He initialization", "relu", "he", False),
    ("sigmoid, batch normalization", "sigmoid", "xavier", True),
)


@dataclass(frozen=True, eq=False)
class DeepRun:
    """One network of `deep_gradients`."""

    name: str  # what distinguishes the network
    training: FitResult
    norms: npt.NDArray[np.float64]  # float array (epochs, L): ‖dW_l‖ of each epoch (E36)
    ratio: float  # ‖dW1‖ / ‖dW_L‖, the median over the epochs
    test_accuracy: float  # the accuracy on the test digits


@dataclass(frozen=True, eq=False)
class DeepResult:
    """The result of `deep_gradients`: the sigmoid network, then its two cures."""

    sigmoid: DeepRun
    relu: DeepRun
    batch_norm: DeepRun

    @property
    def runs(self) -> tuple[DeepRun, DeepRun, DeepRun]:
        """All three runs."""
        return self.sigmoid, self.relu, self.batch_norm

    @property
    def vanished(self) -> bool:
        """Whether the sigmoid network's gradient vanishes before layer 1, and it learns nothing."""
        return self.sigmoid.ratio < VANISHED and self.sigmoid.test_accuracy < 0.5

    @property
    def cured(self) -> bool:
        """Whether the gradient arrives at layer 1 in both other networks, and they learn."""
        return all(run.ratio > ALIVE and run.test_accuracy > LEARNED for run in (self.relu, self.batch_norm))


def deep_gradients(
    seed: int = 0,
    depth: int = 8,
    units: int = 32,
    epochs: int = 20,
    learning_rate: float = 0.1,
    backend: str | Backend | None = None,
) -> DeepResult:
    """Train a deep network on digits three times: with sigmoid units, and with each of two cures.

    From layer l to layer l - 1 the gradient gets a factor W_lᵀ and a factor g′ (E15). For the sigmoid
    g′ ≤ 1/4 (E17), so each layer of Xavier's weights divides the norm by four or more (E36). ReLU's slope is 1 on the
    half of the units that are on, and He's weights make up for the other half (E19, E29). Batch normalization divides
    Z by its deviation, and the gradient with it, which undoes the loss whatever the activation (E34).

    There are `depth` hidden layers, at least 2, of so many units each, trained by `Momentum` in mini-batches of 64; the
    other arguments and the errors are those of the other demonstrations.
    """
    depth, units = check_integer(depth, "depth", 2), check_positive_integer(units, "units")
    train, test = datasets.digits().split(0.2, seed=seed)

    def run(name: str, hidden: str, init: str, batch_norm: bool) -> DeepRun:
        net = Network((64, *(units,) * depth, 10), hidden=hidden, output="softmax")
        options = {"epochs": epochs, "batch_size": 64, "seed": seed, "backend": backend, "progress": False}
        training = trained(net, train, Momentum(learning_rate), init=init, batch_norm=batch_norm, **options)
        norms = np.asarray(training.history["gradient_norm"], dtype=np.float64)
        ratio = float(np.median(norms[:, 0] / norms[:, -1]))
        return DeepRun(name, training, norms, ratio, accuracy(training, test))

    return DeepResult(*(run(*way) for way in _WAYS))
