"""An experiment on depth: the vanishing gradient of a deep sigmoid network, and two cures.

`vecprop demo` shows it, beside those of `vecprop.cli.demonstrations`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vecprop.cli.demonstrations import accuracy, trained
from vecprop.data import datasets
from vecprop.nn.network import Network
from vecprop.training.optimizers import Momentum
from vecprop.training.results import FitResult

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


def deep_gradients(seed: int = 0) -> list[DeepRun]:
    """Train a deep network on digits three times: with sigmoid units, and with each of two cures.

    From layer l to layer l - 1 the gradient gets a factor W_lᵀ and a factor g′ (E15). For the sigmoid
    g′ ≤ 1/4 (E17), so each layer of Xavier's weights divides the norm by four or more (E36). ReLU's slope is 1 on the
    half of the units that are on, and He's weights make up for the other half (E19, E29). Batch normalization divides
    Z by its deviation, and the gradient with it, which undoes the loss whatever the activation (E34).

    There are 8 hidden layers of 32 units each, trained by `Momentum` for 20 epochs in mini-batches of 64.
    """
    train, test = datasets.digits().split(0.2, seed=seed)
    runs = []
    for name, hidden, init, batch_norm in _WAYS:
        net = Network((64, *[32] * 8, 10), hidden=hidden, output="softmax")
        options = {"epochs": 20, "batch_size": 64, "seed": seed, "progress": False}
        training = trained(net, train, Momentum(0.1), init=init, batch_norm=batch_norm, **options)
        norms = np.asarray(training.history["gradient_norm"], dtype=np.float64)
        ratio = float(np.median(norms[:, 0] / norms[:, -1]))
        runs.append(DeepRun(name, training, norms, ratio, accuracy(training, test)))
    return runs
