"""scikit-learn estimators on the training engine: `MLPClassifier` and `MLPRegressor`.

They take the place of `sklearn.neural_network`'s, with its parameters, methods, attributes and defaults, and have
what that lacks: other activations, losses, optimizers and schedules, dropout, batch normalization, class weights, a
validation set of one's own, several networks at once, and the backends, a GPU among them.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vecprop.estimators.classifier import MLPClassifier
    from vecprop.estimators.interchange import from_sklearn, to_sklearn
    from vecprop.estimators.regressor import MLPRegressor

if find_spec("sklearn") is None:
    raise ImportError('vecprop.estimators needs scikit-learn. Install it: pip install "vecprop[sklearn]"')

__all__ = ["MLPClassifier", "MLPRegressor", "from_sklearn", "to_sklearn"]


def __getattr__(name: str) -> Any:
    """Import scikit-learn, which takes a second, when the first of them is used: some modules here do without it."""
    if name not in __all__:
        raise AttributeError(f"module 'vecprop.estimators' has no attribute {name!r}")
    from vecprop.estimators import classifier, interchange, regressor

    for home in (classifier, interchange, regressor):
        globals().update({public: getattr(home, public) for public in __all__ if hasattr(home, public)})
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
