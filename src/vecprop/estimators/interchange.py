"""Converts fitted networks of scikit-learn into ours, and ours into scikit-learn's.

Only public attributes of scikit-learn's estimators are read and written, except for the label binarizer, with which its
classifier turns outputs into labels.
"""

import warnings
from copy import deepcopy
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from vecprop.backend.contract import to_host
from vecprop.estimators.classifier import MLPClassifier
from vecprop.estimators.labels import Labels
from vecprop.estimators.parameters import activation_of
from vecprop.estimators.regressor import MLPRegressor
from vecprop.estimators.training import PastTraining, random_state_of, seeds_from
from vecprop.nn.activations import Exp, Identity
from vecprop.nn.array_checks import check_params
from vecprop.nn.input_scaling import InputScale, fold_input
from vecprop.nn.network import Network
from vecprop.propagation import Layer, Params
from vecprop.training.results import Best, History, TrainingState

_THEIR_ACTIVATIONS = {activation_of(name): name for name in ("identity", "logistic", "tanh", "relu")}
_UNKNOWN = float("nan")


def from_sklearn(model: Any) -> MLPClassifier | MLPRegressor:
    """Return scikit-learn's fitted network as ours, with its parameters, layers and losses.

    It predicts the same and shares no data with the model; for a single class `predict_proba` has one column of 1,
    scikit-learn's two. `fit` with `warm_start` and `partial_fit` continue from its layers with a new optimizer. Their
    losses are summed over the targets of a regression, the losses kept from scikit-learn averaged. What scikit-learn
    does not record is NaN in `history_`, and `stopped_` is "converted".

    Parameters
    ----------
    model : fitted sklearn.neural_network.MLPClassifier or MLPRegressor, or of a subclass

    Raises
    ------
    TypeError
        If the model is anything else; for a pipeline pass its last step.
    sklearn.exceptions.NotFittedError
        If it was not fitted.
    ValueError
        If its layers do not fit its parameters, because these were changed after fitting.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> theirs = MLPClassifier((10,), solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
    >>> ours = from_sklearn(theirs)
    >>> bool((ours.predict(X) == theirs.predict(X)).all()), ours.network_.sizes
    (True, (4, 10, 3))
    """
    _, ours, shared = _classes_of(model, 0, "sklearn.neural_network")
    check_is_fitted(model)
    estimator: Any = ours(**{name: deepcopy(getattr(model, name)) for name in shared})
    estimator.n_features_in_ = model.n_features_in_
    if hasattr(model, "feature_names_in_"):
        estimator.feature_names_in_ = model.feature_names_in_.copy()
    if ours is MLPClassifier:
        estimator._set_labels(_labels_of(model))
    else:
        estimator._set_targets(() if model.n_outputs_ == 1 else (model.n_outputs_,), None)
    _take_layers(estimator, model)
    _take_history(estimator, model)
    return estimator  # type: ignore[no-any-return]


def to_sklearn(estimator: Any) -> Any:
    """Return a fitted network of ours as scikit-learn's, which predicts the same.

    `scale` is folded into the first layer and `scale_target` into the last; then all layers are float64, since features
    with means far from zero would lose digits in float32. What acts only in training (dropout, class weights, a loss
    such as Huber's, …) is left out. A `solver` or `learning_rate` that is an object becomes the default.

    The result is for predictions: it lacks scikit-learn's private state for `partial_fit` and `warm_start`. For a
    single class its `predict_proba` has two columns, ours one.

    Parameters
    ----------
    estimator : fitted vecprop.estimators.MLPClassifier or MLPRegressor

    Raises
    ------
    TypeError
        If the estimator is anything else.
    sklearn.exceptions.NotFittedError
        If it was not fitted.
    ValueError
        For what scikit-learn does not have: several networks (`n_networks`), hidden activations other than
        "identity", "logistic", "tanh" and "relu" or several of these, several quantiles, an `out_activation`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from vecprop.estimators import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> ours = MLPClassifier((10,), solver="lbfgs", scale="standard", max_iter=500, random_state=0).fit(X, y)
    >>> theirs = to_sklearn(ours)
    >>> bool(abs(theirs.predict_proba(X) - ours.predict_proba(X)).max() < 1e-12)
    True
    """
    theirs, ours, shared = _classes_of(estimator, 1, "vecprop.estimators")
    net, params = folded(estimator)
    model = theirs(**_their_parameters(estimator, shared, net))
    model.coefs_ = [np.array(W.T, order="C") for W, _ in params]
    model.intercepts_ = [np.array(b[:, 0]) for _, b in params]
    if ours is MLPClassifier:
        labels, coded = estimator._labels, np.repeat([[0], [1]], estimator.n_outputs_, axis=1)
        if labels.kind != "multilabel":
            coded = np.repeat(labels.classes, 2)  # repeated, against a warning about regression
        model._label_binarizer = LabelBinarizer().fit(csr_matrix(coded) if labels.sparse else coded)
        model.classes_ = model._label_binarizer.classes_
    names = {"n_layers_", "n_outputs_", "out_activation_", "n_features_in_", "feature_names_in_", "n_iter_", "t_"}
    losses = {"loss_", "best_loss_", "loss_curve_", "validation_scores_", "best_validation_score_"}
    names |= {"loss_"} if model.solver == "lbfgs" else losses  # with it scikit-learn has no others
    vars(model).update({name: deepcopy(value) for name, value in vars(estimator).items() if name in names})
    return model


def folded(estimator: Any, argument: str = "estimator") -> tuple[Network, Params]:
    """Return the network and layers of a fitted estimator, for unscaled features and targets.

    The layers are NumPy arrays, in float64 if a scaling is folded into them. ValueError for several networks, and for
    scaled targets of an output other than the identity, such as ordered quantiles.
    """
    check_is_fitted(estimator)
    if hasattr(estimator, "pack_"):
        raise ValueError(f'{argument}: it is a pack (n_networks="auto"), no single network: fit it with n_networks=1')
    layers = [Layer(*map(to_host, layer)) for layer in estimator.params_]
    if layers[0].W.ndim > 2:
        raise ValueError(
            f"{argument}: it has {len(layers[0].W)} networks (n_networks={estimator.n_networks}), whose mean is no "
            "network of this kind: fit it with n_networks=1"
        )
    net, scale, target = estimator.network_, estimator.scaling_, getattr(estimator, "target_scaling_", None)
    if scale is not None or target is not None:
        layers = [Layer(*(a.astype(np.float64) for a in layer)) for layer in layers]
    if scale is not None:
        layers[0] = fold_input(np, layers[0], InputScale(*(to_host(a).astype(np.float64) for a in scale)))
    if target is not None:
        if net.output != Identity():
            raise ValueError(
                f"{argument}: scale_target={estimator.scale_target!r} is a part of the last layer where the output is "
                f"the identity, and here it is {net.output.name}: leave scale_target out"
            )
        mean, deviation = target
        layers[-1] = Layer(layers[-1].W * deviation, layers[-1].b * deviation + mean)
    return net, tuple(layers)


def _classes_of(value: Any, side: int, module: str) -> tuple[Any, Any, set[str]]:
    """Return scikit-learn's class and ours for a value of the class at index `side`, and the parameters of both."""
    from sklearn import neural_network

    for pair in ((neural_network.MLPClassifier, MLPClassifier), (neural_network.MLPRegressor, MLPRegressor)):
        if isinstance(value, pair[side]):
            return *pair, set(pair[0]().get_params()) & set(pair[1]().get_params())
    argument = ("model", "estimator")[side]
    raise TypeError(
        f"{argument} must be a fitted MLPClassifier or MLPRegressor of {module}, got "
        f"{type(value).__module__}.{type(value).__qualname__}"
    )


# From scikit-learn


def _labels_of(model: Any) -> Labels:
    """Return the labels of scikit-learn's classifier; multilabel ones have at least two outputs."""
    if model.n_outputs_ == 1:
        return Labels(model.classes_.copy(), "binary")
    if model.out_activation_ == "softmax":
        return Labels(model.classes_.copy(), "multiclass")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the row has no feature names
        predicted = model.predict(np.zeros((1, model.n_features_in_)))
    return Labels(np.arange(model.n_outputs_), "multilabel", hasattr(predicted, "toarray"))


def _take_layers(estimator: Any, model: Any) -> None:
    """Set the network, its layers, and the state from which training continues."""
    layers = tuple(
        Layer(np.array(coef.T, order="C"), np.array(intercept)[:, None])
        for coef, intercept in zip(model.coefs_, model.intercepts_, strict=True)
    )
    net = estimator._network_for(model.n_features_in_, model.n_outputs_)
    try:
        params = check_params(net, layers, "coefs_ and intercepts_").params
    except (TypeError, ValueError) as error:
        raise type(error)(f"model: its layers do not fit its parameters, which say {net}: {error}") from None
    estimator._set_network(net, params, None)
    if estimator.out_activation_ != model.out_activation_:
        raise ValueError(
            f"model: it has the output {model.out_activation_!r}, and its parameters ask for "
            f"{estimator.out_activation_!r}: give it back the loss that it was fitted with"
        )
    best = None
    if getattr(model, "validation_scores_", None) is not None:  # a network that is no better is not restored
        best = Best(-float(model.best_validation_score_), 0, params, (), 0)
    # As at the start of a run: the schedule starts again with the optimizer.
    seed = seeds_from(random_state_of(estimator.random_state), 1)
    estimator._progress = PastTraining(
        TrainingState(params, None, 0, seed, best=best), monitor="metric" if best else ""
    )


def _take_history(estimator: Any, model: Any) -> None:
    """Set the curves, with one entry for each epoch, and the figures that follow from them."""
    curve, scores = getattr(model, "loss_curve_", []), getattr(model, "validation_scores_", None)
    unknown = [_UNKNOWN] * len(curve)
    history: History = {
        "cost": [float(loss) for loss in curve],
        "learning_rate": unknown,
        "gradient_norm": [[_UNKNOWN] * len(model.coefs_) for _ in curve],
        "seconds": unknown.copy(),
    }
    if scores is not None:
        history |= {"validation_cost": unknown.copy(), "metric": [float(score) for score in scores]}
    estimator._keep_history(history, stops_early=scores is not None, goes_on=False)
    estimator.loss_ = float(model.loss_)
    if not curve:  # "lbfgs" records only the last loss, which is its lowest
        estimator.best_loss_ = estimator.loss_
    if scores is not None:
        estimator.best_validation_score_ = float(model.best_validation_score_)
    estimator.n_iter_, estimator.t_ = int(model.n_iter_), int(model.t_)
    estimator.stopped_ = "converted"


# To scikit-learn


def _their_parameters(estimator: Any, shared: set[str], net: Network) -> dict[str, Any]:
    """Return the parameters of scikit-learn's estimator, or raise an error for what it lacks."""
    given = {name: deepcopy(getattr(estimator, name)) for name in shared}
    given["activation"] = _their_activation(net, estimator.activation)
    for name in ("solver", "learning_rate"):
        if not isinstance(given[name], str):
            del given[name]
    if isinstance(estimator, MLPClassifier):
        return given
    if net.output not in (Identity(), Exp()):
        raise ValueError(
            f"estimator: its outputs are {net.output.name} (loss={estimator.loss!r}, "
            f"out_activation={estimator.out_activation!r}), and scikit-learn's are the identity, or the exponential "
            'for loss="poisson"'
        )
    return given | {"loss": "poisson" if net.output == Exp() else "squared_error"}


def _their_activation(net: Network, given: Any) -> str:
    """Return scikit-learn's name of the hidden layers' activation, or any name if there are none."""
    known = list(_THEIR_ACTIVATIONS.values())
    if not net.hidden:
        return str(given) if isinstance(given, str) and given in known else "relu"
    names = {_THEIR_ACTIVATIONS.get(g) for g in net.hidden}
    if None in names or len(names) > 1:
        raise ValueError(
            f"estimator: its hidden layers are {', '.join(g.name for g in net.hidden)}, and scikit-learn has one "
            f"activation for all of them: {', '.join(known)}"
        )
    return str(names.pop())
