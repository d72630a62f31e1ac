"""`MLPClassifier` and `PackClassifier`."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if

from vecprop.backend.namespaces import Array, array_namespace
from vecprop.estimators.construction import is_stochastic
from vecprop.estimators.documentation import documented
from vecprop.estimators.ensemble_selection import Losses, log_losses
from vecprop.estimators.inputs import Examples, named
from vecprop.estimators.kinds_of_data import average, targets_of
from vecprop.estimators.labels import Labels, check_classes, labels_of
from vecprop.estimators.large_data import LargeTargets
from vecprop.estimators.pack import Group, Pack
from vecprop.estimators.parameters import hidden_activations, hidden_sizes
from vecprop.estimators.prediction import scored
from vecprop.estimators.training import Training
from vecprop.nn.activations import log_softmax, softplus
from vecprop.nn.losses import BinaryCrossEntropy, CrossEntropy
from vecprop.nn.network import Network
from vecprop.training.prepare import class_factors
from vecprop.utils.arguments import check_flag, check_share


def _class_weight(value: Any, argument: str) -> None:
    dicts = value if isinstance(value, list) else [value]
    is_name = isinstance(value, str)
    if value is not None and not (is_name and value == "balanced") and not all(isinstance(d, Mapping) for d in dicts):
        wanted = 'a dict {class: weight}, "balanced", or for multilabel targets a list of dicts'
        raise (ValueError if is_name else TypeError)(f"{argument} must be {wanted}, got {value!r}")


def _factors(given: Any, classes: Any, groups: Any, w: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64]:
    """Return the factor of each class, for training examples with these indices of classes (n,) and weights."""
    if isinstance(given, str):
        return class_factors(np.bincount(groups, w, len(classes)).astype(np.float64), given)
    if not isinstance(given, Mapping):
        raise ValueError(f'class_weight must be a dict or "balanced" if y is not multilabel, got {given!r}')
    with named(lambda: "class_weight"):  # of all classes, also if none of these examples has one of them
        return np.asarray(compute_class_weight(given, classes=classes, y=classes), dtype=np.float64)


def _check_weighted(weights: npt.NDArray[np.float64], given: Any) -> None:
    """Raise an error for class_weight, if weights that it gives are not finite or >= 0, or all are 0."""
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not (weights >= 0).all() or not 0 < total < np.inf:
        raise ValueError(
            "class_weight must be >= 0 for every class and leave examples with a weight, and their sum must be finite, "
            f"got {given!r}"
        )


@documented
@dataclass(eq=False, repr=False)
class MLPClassifier(ClassifierMixin, Training):
    """A neural network that classifies: two classes, K classes, or labels that may occur together.

    It has the parameters, methods, attributes and defaults of scikit-learn's `MLPClassifier`, and more of each. Without
    hidden layers, `hidden_layer_sizes=()`, it is logistic or softmax regression.

    Parameters
    ----------
    {network}
    class_weight : dict, "balanced" or list of dict, default None
        Factors for the weights of the training examples by class, {class: factor}; "balanced" gives every class the
        same total weight. For multilabel targets, a list with one dict for each label.
    label_smoothing : float, default 0.0
        s in [0, 1): the targets are (1 - s) y + s/K, for K classes; for multilabel y, K is 2.
    {shared}

    Attributes
    ----------
    classes_ : array (n_classes,)
    {attributes}

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from vecprop.estimators import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MLPClassifier((10,), solver="lbfgs", scale="standard", max_iter=500, random_state=0).fit(X, y)
    >>> clf.score(X, y) > 0.97, clf.predict_proba(X[:2]).shape, clf.out_activation_
    (True, (2, 3), 'softmax')
    """

    hidden_layer_sizes: Any = (100,)
    activation: Any = "relu"
    _: KW_ONLY
    class_weight: Any = field(default=None, metadata={"check": _class_weight})
    label_smoothing: float = field(default=0.0, metadata={"check": check_share})

    @available_if(is_stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch from where the last call ended, with the optimizer's memory.

        A schedule such as vecprop.Cosine() ends after `max_iter` calls. Ctrl-C leaves the estimator as it was.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; some of the classes may be missing.
        classes : array-like (n_classes,)
            All the classes that there will be; needed in the first call.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                f'class_weight="{self.class_weight}" needs all the examples at once, and partial_fit has some of them: '
                "give a dict, as sklearn.utils.class_weight.compute_class_weight computes"
            )
        begun, found = hasattr(self, "coefs_"), None if classes is None else check_classes(classes)
        if found is None and not begun:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if found is not None and begun and not np.array_equal(found, self.classes_):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
            )
        self._given_classes = found
        try:
            return self._train(X, y, sample_weight, (None, None, None), incremental=True)
        finally:
            del self._given_classes

    def predict(self, X: Any) -> Any:
        """Return the classes (n_samples,), or 0 and 1 (n_samples, n_labels) for multilabel targets."""
        if hasattr(self, "pack_"):
            return self.pack_.predict(X)
        A = self._outputs(X, "predict")
        return self._labels.decode(A if A.ndim == 2 else array_namespace(A).mean(A, axis=0))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of examples with the right class, or with all labels right if multilabel."""
        from sklearn.metrics import accuracy_score  # half of scikit-learn: not for training

        return scored(self, accuracy_score, X, y, sample_weight)

    def predict_proba(self, X: Any, return_std: bool = False) -> Any:
        """Return the probabilities (n_samples, n_classes), columns in the order of `classes_`.

        The mean over the networks if there are several; with `return_std` also the standard deviation over them.
        """
        return_std = check_flag(return_std, "return_std")
        if hasattr(self, "pack_"):
            return self.pack_.predict_proba(X, return_std)
        P = self._probabilities(self._outputs(X, "predict_proba"))
        xp = array_namespace(P)
        if P.ndim == 2:
            return (P, xp.zeros_like(P)) if return_std else P
        mean = xp.mean(P, axis=0)
        return (mean, xp.std(P, axis=0)) if return_std else mean

    @np.errstate(under="ignore")
    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithms of `predict_proba`, computed from the logits: finite for every finite X."""
        if hasattr(self, "pack_"):
            return self.pack_.predict_log_proba(X)
        L = self._log_probabilities(X)
        if L.ndim == 2:
            return L
        xp = array_namespace(L)
        top = xp.max(L, axis=0)
        return top + xp.log(xp.mean(xp.exp(L - top), axis=0))

    def _log_probabilities(self, X: Any) -> Any:
        """Return the log-probabilities of each network, ([K,] n, n_classes)."""
        Z = self._outputs(X, "predict_log_proba", logits=True)
        xp = array_namespace(Z)
        if self._labels.kind == "multiclass":
            L = xp.matrix_transpose(log_softmax(xp, Z))
        elif self._labels.kind == "multilabel":
            L = xp.matrix_transpose(-softplus(xp, -Z))
        else:
            z = Z[..., 0, :]
            both = [-softplus(xp, z), -softplus(xp, -z)]
            L = xp.stack(both if len(self.classes_) == 2 else [0.0 * z], axis=-1)
        return xp.maximum(L, xp.finfo(L.dtype).min)

    def _probabilities(self, A: Array) -> Array:
        """Return A (…, outputs, n) as probabilities (…, n, n_classes), 1 for a single class."""
        xp = array_namespace(A)
        if self._labels.kind != "binary":
            return xp.matrix_transpose(A)
        a = A[..., 0, :]
        return xp.stack([1.0 - a, a] if len(self.classes_) == 2 else [xp.ones_like(a)], axis=-1)

    # The members that `Training` requires

    def _encode(self, y: Any, purpose: str, in_file: bool = False) -> Any:
        if purpose != "more":
            with named(lambda: "y"):
                found = labels_of(y, getattr(self, "_given_classes", None))
            if purpose == "first":
                self._set_labels(found)
            elif found.kind != self._labels.kind or not np.array_equal(found.classes, self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {found.classes}"
                )
        return LargeTargets(self._labels.source(y)) if in_file else self._labels.encode(y)

    def _set_labels(self, labels: Labels) -> None:
        self._labels, self.classes_ = labels, labels.classes

    def _network_for(self, n_in: int, n_out: int) -> Network:
        sizes = hidden_sizes(self.hidden_layer_sizes)
        multiclass = self._labels.kind == "multiclass"
        return Network(
            (n_in, *sizes, n_out),
            hidden_activations(self.activation, len(sizes)),
            "softmax" if multiclass else "sigmoid",
            (CrossEntropy if multiclass else BinaryCrossEntropy)(float(self.label_smoothing)),
        )

    def _groups(self, Y: Any) -> npt.NDArray[np.int64]:
        """Return the index of each example's class, (n,), or 0 for all if multilabel."""
        kind = self._labels.kind

        def groups(Y: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
            found = np.argmax(Y, axis=0) if kind == "multiclass" else Y[0] if kind == "binary" else np.zeros(Y.shape[1])
            return np.asarray(found, dtype=np.int64)

        return targets_of(Y).of_each(groups)

    def _training_weights(self, examples: Examples) -> npt.NDArray[np.float64] | None:
        if self.class_weight is None:
            return examples.w
        given, w, weights = self.class_weight, examples.w, np.ones(examples.n) if examples.w is None else examples.w
        if self._labels.kind == "multilabel":
            Y = targets_of(examples.Y).whole().astype(np.int8, copy=False)
            each = given if isinstance(given, list) else [given] * len(Y)
            if isinstance(given, Mapping) or len(each) != len(Y):
                raise ValueError(
                    f'class_weight must be "balanced" or a list of {len(Y)} dicts, one for each label, got {given!r}'
                )
            for own, row in zip(each, Y, strict=True):
                weights = weights * _factors(own, np.arange(2), row, w)[row]
        else:
            groups = self._groups(examples.Y)
            weights = weights * _factors(given, self.classes_, groups, w)[groups]
        _check_weighted(weights, given)
        return weights

    def _baseline(self, examples: Examples, w: npt.NDArray[np.float64] | None) -> float:
        """Return the entropy of the classes, or the sum over the labels if multilabel."""
        p = average(examples.Y, w)
        p = p if self._labels.kind == "multiclass" else np.concatenate([p, 1 - p])
        s = float(self.label_smoothing)
        p = (1 - s) * p + s / (len(p) if self._labels.kind == "multiclass" else 2)
        return float(-np.sum(p * np.log(np.where(p > 0, p, 1.0))))

    def _pack(self, **parameters: Any) -> Any:
        return PackClassifier(**parameters)

    def _default_metric(self) -> str:
        return "subset_accuracy" if self._labels.kind == "multilabel" else "accuracy"

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn which data the estimator accepts."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = self.n_networks != "auto"
        return tags


@dataclass(eq=False, repr=False, kw_only=True)
class PackClassifier(ClassifierMixin, Pack):
    """A pack of networks for classes: the mean of its members' probabilities, weighted.

    Parameters
    ----------
    n_networks : int, default 2
        The networks of each kind.
    maps : sequence of str, default ("standard", "bins", "normal")
        The kinds of networks, by what they see: "standard"ized numbers, numbers beside quantile "bins", "normal"
        quantiles beside bins, "cosines" (`vecprop.estimators.feature_maps`). A linear model is always among them.
    validation_fraction : float, default 0.15
        The share of examples split off to end the training and to choose the mixture.
    refit : bool, default True
        Whether the chosen networks then learn from the validation examples, too, from X_val as well.
    class_weight : "balanced" or dict, optional
        As for `MLPClassifier`; it counts in the validation set, too.
    random_state, callbacks, backend : optional
        As for `MLPClassifier`.

    Attributes
    ----------
    classes_ : the labels, in order
    groups_ : the groups that have a part in the mixture, each with its map, its estimator and its weights
    found_ : for each kind of networks that were trained its name and their weights
    leading_ : the estimator of the group with the largest weight

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> y = np.where(X[:, 0] * X[:, 1] > 0, "same", "different")
    >>> pack = PackClassifier(random_state=0).fit(X, y)
    >>> pack.score(X, y) > 0.9, sum(len(weights) for _, weights in pack.found_)
    (True, 7)
    """

    class_weight: Any = None

    _estimator: ClassVar[Callable[..., Any]] = MLPClassifier

    def _checked(self, X: Any, y: Any, w: Any, *, reset: bool) -> Examples:
        examples = super()._checked(X, y, w, reset=reset)
        if reset:
            with named(lambda: "y"):
                self.classes_ = labels_of(examples.y).classes
        return examples

    def _weighted(self, training: Examples, validation: Examples) -> tuple[Examples, Examples]:
        if self.class_weight is None:
            return training, validation
        _class_weight(self.class_weight, "class_weight")
        factors = _factors(self.class_weight, self.classes_, self._groups_of(training.y), training.w)
        _check_weighted(factors, self.class_weight)

        def weighted(part: Examples) -> Examples:
            own = factors[np.searchsorted(self.classes_, part.y).clip(max=len(factors) - 1)]
            return part._replace(w=own if part.w is None else own * part.w)

        return weighted(training), weighted(validation)

    def _of_each(self, estimator: Any, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return np.asarray(np.exp(self._logs_of_each(estimator, X)))

    @np.errstate(under="ignore")
    def _logs_of_each(self, estimator: Any, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        L = np.asarray(estimator._log_probabilities(X), dtype=np.float64)
        L -= np.log(np.exp(L).sum(axis=-1, keepdims=True))  # metrics warn of sums to 1 as rough as float32's
        return L if L.ndim == 3 else L[None]

    def _losses(self, y: npt.NDArray[Any]) -> Losses:
        return log_losses(self._groups_of(y))

    def _groups_of(self, y: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        return np.searchsorted(self.classes_, y)

    def _set_groups(self, groups: list[Group]) -> None:
        super()._set_groups(groups)
        self._set_labels(self.leading_._labels)

    def _set_labels(self, labels: Labels) -> None:
        self._labels, self.classes_ = labels, labels.classes
        for group in self.groups_:
            group.estimator._set_labels(labels)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the most probable label of each row, (n_samples,)."""
        best = np.argmax(self.predict_log_proba(X), axis=1)
        return np.asarray(self.classes_[best])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of examples with the right label."""
        from sklearn.metrics import accuracy_score  # half of scikit-learn: not for training

        return scored(self, accuracy_score, X, y, sample_weight)

    def predict_proba(self, X: Any, return_std: bool = False) -> Any:
        """Return the probabilities (n_samples, n_classes); with `return_std` also the deviation over the members."""
        return self._mixture(X, return_std)

    @np.errstate(under="ignore")
    def predict_log_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the logarithms of `predict_proba`, finite for every finite X."""
        blocks = []
        for L, weights in self._members(X, self._logs_of_each):
            top = L.max(axis=0)
            blocks.append(top + np.log(np.tensordot(weights, np.exp(L - top), axes=1)))
        return np.concatenate(blocks)
