"""Functions called while an estimator trains: printing, scorers, scikit-learn's callbacks."""

from __future__ import annotations  # else the tool that makes the API pages looks for scikit-learn's decorator

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.backend.contract import to_host
from vecprop.estimators.inputs import dispatches, named
from vecprop.estimators.prediction import layer_attributes, set_layers
from vecprop.nn.input_scaling import InputScale
from vecprop.propagation import Layer, Params
from vecprop.training.evaluation import plain_layers
from vecprop.training.results import History, TrainingState

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn < 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Empty, as this version of scikit-learn has no callbacks."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method unchanged."""
        return method


__all__ = ["CallbackSupportMixin", "ScorerMetric", "TheirCallbacks", "print_epoch", "with_callbacks"]


def print_epoch(_: TrainingState, history: History) -> None:
    """Print the last epoch as scikit-learn does with `verbose`; of a stack the least and the greatest numbers."""
    iteration = f"Iteration {len(history['cost'])}, loss ="
    texts = {"cost": iteration, "validation_cost": "Validation loss =", "metric": "Validation score:"}
    for name, text in texts.items():
        if name in history:
            value, digits = history[name][-1], 6 if name == "metric" else 8
            ends = (min(value), max(value)) if isinstance(value, list) else (value,)
            print(text, " to ".join(f"{end:.{digits}f}" for end in ends))


class ScorerMetric:
    """A scikit-learn scorer as a metric of the engine: scores a copy of the estimator, which lacks only the layers."""

    def __init__(
        self, estimator: Any, scorer: Callable[..., float], X: Any, y: Any, w: npt.NDArray[np.float64] | None
    ) -> None:
        self.estimator = copy.copy(estimator)
        # X was checked already, and is an array without names
        vars(self.estimator).pop("feature_names_in_", None)
        if dispatches(X):  # computed on the host, as scikit-learn's metrics do not take all libraries
            X, scaling = to_host(X), estimator.scaling_
            self.estimator.scaling_ = scaling and InputScale(*map(to_host, scaling))
        self.scorer, self.data = scorer, (X, y)
        lacking = np.setdiff1d(getattr(estimator, "classes_", ()), y).tolist() if np.ndim(y) == 1 else []
        why = f' (it has no example of {lacking}, with which scoring="loss" can deal)' if lacking else ""
        self.judged = f"scoring, on the validation set{why}"
        parameters = inspect.signature(scorer).parameters.values()  # scikit-learn's own have sample_weight
        takes_weights = any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in parameters)
        self.weights = {} if w is None or not takes_weights else {"sample_weight": w}

    def of_layers(self, layers: Params) -> float | npt.NDArray[np.float64]:
        """Return the score, or the score of each network of a stack."""
        if layers[0].W.ndim == 2:
            return self._score(layers)
        count = layers[0].W.shape[0]
        return np.array([self._score(tuple(Layer(W[k], b[k]) for W, b in layers)) for k in range(count)])

    def _score(self, layers: Params) -> float:
        if not all(np.isfinite(a).all() for layer in layers for a in layer):
            return float("nan")
        set_layers(self.estimator, layers)
        with named(lambda: self.judged):
            return float(self.scorer(self.estimator, *self.data, **self.weights))


class TheirCallbacks:
    """Calls the hooks of `sklearn.callback` from the engine: one task for each epoch; they get `data`, X and y."""

    def __init__(self, estimator: Any, context: Any, data: dict[str, Any]) -> None:
        self.estimator, self.context, self.data = estimator, context, data
        self.task: Any = None
        context.call_on_fit_task_begin(estimator=estimator, **data)

    def begin(self, _: int) -> None:
        """Open the task of an epoch."""
        self.task = self.context.subcontext(task_name="iteration")
        self.task.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def __call__(self, state: TrainingState, history: History) -> bool:
        """Close the task of an epoch; True if a callback stops training."""
        if self.task is None:  # L-BFGS does not say when an iteration begins
            self.begin(state.epoch)
        task, self.task = self.task, None

        def attributes() -> dict[str, Any]:
            net, normalized = self.estimator.network_, self.estimator._normalized()
            layers = plain_layers(net, normalized, state.params, state.statistics)
            own = layer_attributes(layers, self.data["X"])
            return own | {"n_iter_": len(history["cost"]), "loss_": history["cost"][-1]}

        how = {"estimator": self.estimator, "reconstruction_attributes": attributes}
        return bool(task.call_on_fit_task_end(**how, **self.data))

    def end(self) -> None:
        """Close the task of the whole fit."""
        self.context.call_on_fit_task_end(estimator=self.estimator, **self.data)
