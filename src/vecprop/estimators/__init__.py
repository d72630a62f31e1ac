"""scikit-learn estimators on the training engine: `MLPClassifier` and `MLPRegressor`.

They take the place of `sklearn.neural_network`'s, with its parameters, methods, attributes and defaults, and have
what that lacks: other activations, losses, optimizers and schedules, dropout, batch normalization, class weights, a
validation set of one's own, several networks at once, and the backends, a GPU among them.
"""

try:
    import sklearn  # noqa: F401 - to say what to install where it is missing
except ImportError as error:
    raise ImportError(
        f'vecprop.estimators needs scikit-learn ({error}). Install it: pip install "vecprop[sklearn]"'
    ) from error

from vecprop.estimators.classifier import MLPClassifier
from vecprop.estimators.interchange import from_sklearn, to_sklearn
from vecprop.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "from_sklearn", "to_sklearn"]
