"""Losses, each with its value and its derivative dZ_L (E2, E22-E25).

`values(xp, output, Z, A, Y)` gives the loss of every output of every example, shape (…, n_L, m); the cost (E10) sums
the values over the outputs and averages over the examples. `dZ(xp, output, Z, A, Y)` gives the derivative with respect
to Z_L, of the same shape: A - Y where the loss matches the output's activation, elsewhere dA_L ∘ g_L′(Z_L) (E25).
For sigmoid and softmax the cross-entropies are computed from Z_L and overflow only where differences of Z_L do.
"""

from vecprop.nn.activations import Activation
from vecprop.nn.losses.base import Loss, LossLike
from vecprop.nn.losses.classification import BinaryCrossEntropy, CrossEntropy
from vecprop.nn.losses.regression import AbsoluteError, Huber, Poisson, Quantile, SquaredError
from vecprop.utils.arguments import check_choice

__all__ = [
    "LOSSES", "AbsoluteError", "BinaryCrossEntropy", "CrossEntropy", "Huber", "Loss", "LossLike", "Poisson",
    "Quantile", "SquaredError", "get_loss",
]  # fmt: skip

LOSSES: dict[str, Loss] = {
    kind.name: kind()
    for kind in (BinaryCrossEntropy, CrossEntropy, SquaredError, AbsoluteError, Huber, Poisson, Quantile)
}


def get_loss(given: LossLike | None, output: Activation, n_out: int) -> Loss:
    """Return the loss for a name or a `Loss`; None is the output's match, or "squared_error".

    ValueError for an unknown name, and for a loss that is not defined for the output; TypeError for anything else.

    >>> from vecprop.nn.activations import Softmax
    >>> get_loss(None, Softmax(), 3).name
    'cross_entropy'
    """
    if given is None:
        matching = [loss for loss in LOSSES.values() if loss.matching_output == output.name]
        given = matching[0] if matching else "squared_error"
    if isinstance(given, str):
        given = LOSSES[check_choice(given, "loss", LOSSES)]
    if not isinstance(given, Loss):
        raise TypeError(f"loss must be a name or a Loss, got {given!r}")
    given.check_output(output, n_out)
    return given
