"""scikit-learn estimators on the training engine: `MLPClassifier` and `MLPRegressor`, and packs of networks.

The first two replace those of `sklearn.neural_network`, with the same parameters, methods, attributes and defaults, and
add activations, losses, optimizers, schedules, dropout, batch normalization, class weights, validation sets given by
the user, several networks at once, and the backends, with GPUs among them. `PackClassifier` and `PackRegressor` train
networks of several kinds at once and choose their best mixture.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vecprop.estimators.classifier import MLPClassifier, PackClassifier
    from vecprop.estimators.interchange import from_sklearn, to_sklearn
    from vecprop.estimators.regressor import MLPRegressor, PackRegressor

if find_spec("sklearn") is None:
    raise ImportError('vecprop.estimators needs scikit-learn. Install it: pip install "vecprop[sklearn]"')

_HOMES = {
    "MLPClassifier": "classifier",
    "MLPRegressor": "regressor",
    "PackClassifier": "classifier",
    "PackRegressor": "regressor",
    "from_sklearn": "interchange",
    "to_sklearn": "interchange",
}
__all__ = ["MLPClassifier", "MLPRegressor", "PackClassifier", "PackRegressor", "from_sklearn", "to_sklearn"]


def __getattr__(name: str) -> Any:
    """Import a name at its first use: scikit-learn takes a second, and some modules do without it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'vecprop.estimators' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"vecprop.estimators.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
