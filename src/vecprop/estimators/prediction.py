"""The outputs of an estimator's network, or of its K networks, for rows of X."""

from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.utils.validation import check_array, check_is_fitted

from vecprop.backend.contract import Backend, to_host
from vecprop.backend.namespaces import Array, array_namespace, dtype_name, is_array
from vecprop.backend.selection import get_precision
from vecprop.backend.transfer import to_backend
from vecprop.estimators.inputs import (
    backend_at,
    backend_of,
    check_inputs,
    check_weights,
    dispatches,
    named,
)
from vecprop.estimators.kinds_of_data import rows_of
from vecprop.estimators.parameters import Parameters
from vecprop.nn.input_scaling import InputScale
from vecprop.nn.network import Network, compiled_output
from vecprop.propagation import Layer, Params

# The most columns of one compiled forward pass.
_AT_ONCE = 8192


class _Kept(NamedTuple):
    """The layers of an estimator where a backend wants them, and what they were made from."""

    made_from: tuple[Backend, list[int], list[bytes]]  # and the arrays' identities; their contents if they were copied
    given: list[Array]  # the arrays, so that no others get their identities
    dtype: str
    layers: Params


_kept: WeakKeyDictionary[Any, _Kept] = WeakKeyDictionary()  # not attributes: a prediction leaves an estimator as it is


class Prediction(Parameters):
    """The computation of outputs that all methods of prediction share."""

    coefs_: list[Any]
    intercepts_: list[Any]
    network_: Network
    scaling_: InputScale | None

    @property
    def params_(self) -> Params:
        """The layers (W, b) as the functions of vecprop take them: coefs_ and intercepts_, neurons in rows."""
        return tuple(
            Layer(array_namespace(coef).matrix_transpose(coef), intercept[..., None])
            for coef, intercept in zip(self.coefs_, self.intercepts_, strict=True)
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn whether there is a network, or a pack of them."""
        return hasattr(self, "coefs_") or hasattr(self, "pack_")

    def _outputs(self, X: Any, method: str, *, logits: bool = False) -> Array:
        """Return A_L or the logits Z_L, ([K,] n_L, n), where X is under dispatch, else in NumPy."""
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)
        X = check_inputs(self, X, method)
        net: Network = self.network_
        if logits:
            net = Network(net.sizes, net.hidden, "identity")
        backend = backend_of(self, X)
        if (parts := rows_of(X).parts()) is not None:
            checked = (check_array(part, input_name=name) if name else part for name, part in parts)
            return np.concatenate([backend.to_numpy(self._forward(net, part, backend)) for part in checked], axis=-1)
        A = self._forward(net, X, backend)
        if not dispatches(X):
            return backend.to_numpy(A)
        return A if array_namespace(A) is array_namespace(X) else backend_at(X).asarray(to_host(A))

    def _forward(self, net: Network, X: Any, backend: Backend) -> Array:
        """Return the outputs, on the host if the backend compiles, else as an array of the backend."""
        dtype, layers = self._layers_on(backend)
        rows = X if self.scaling_ is None else rows_of(X).scaled(self.scaling_)
        inputs = rows_of(rows).columns()
        xp = array_namespace(inputs)
        wide = dtype_name(inputs) != dtype == "float32"
        if wide and max(xp.max(inputs), -xp.min(inputs)) > xp.finfo(xp.float32).max:
            raise ValueError(f"X holds values too large for {dtype}, the dtype of the network")
        with backend.scope(dtype, self.precision or get_precision()), np.errstate(all="ignore"):
            if backend.compiles:  # cut on the host, since a cut on the device is compiled for each number of rows
                inputs = backend.placement.argument(_padded(to_host(inputs)), dtype)
                return backend.to_numpy(compiled_output(net, backend, layers, inputs))[..., : X.shape[0]]
            inputs = backend.xp.astype(to_backend(backend, "X", inputs), getattr(backend.xp, dtype), copy=False)
            return compiled_output(net, backend, layers, inputs)

    def _layers_on(self, backend: Backend) -> tuple[str, Params]:
        """Return the dtype and the layers on the backend, kept until coefs_ or intercepts_ change, also in place."""
        given, kept = [*self.coefs_, *self.intercepts_], _kept.get(self)
        own = array_namespace(given[0]) is backend.xp  # which the backend computes with as they are
        bits = [] if own else [to_host(a).tobytes("A") for a in given]
        made_from = (backend, list(map(id, given)), bits)
        if kept is not None and kept.made_from == made_from:
            return kept.dtype, kept.layers
        params = self.params_
        dtype = dtype_name(params[0].W)
        if bits:
            with backend.scope(dtype, "highest"):
                params = tuple(Layer(*(backend.asarray(to_host(a), dtype) for a in layer)) for layer in params)
        _kept[self] = _Kept(made_from, given, dtype, params)
        return dtype, params


def layer_attributes(layers: Params, X: Any = None) -> dict[str, Any]:
    """Return coefs_ and intercepts_ in scikit-learn's shapes, (…, n_{l-1}, n_l) and (…, n_l).

    They are NumPy arrays, or under array API dispatch arrays where X is.
    """
    place = backend_at(X) if dispatches(X) else None

    def bring(array: Any) -> Any:
        if place is None:
            return np.require(to_host(array), requirements="W")  # JAX lends its arrays to be read
        return array if array_namespace(array) is place.xp else place.asarray(to_host(array))

    brought = [(bring(W), bring(b)) for W, b in layers]
    coefs = [array_namespace(W).matrix_transpose(W) for W, _ in brought]
    return {"coefs_": coefs, "intercepts_": [b[..., 0] for _, b in brought]}


def set_layers(estimator: Any, layers: Params, X: Any = None) -> None:
    """Set coefs_ and intercepts_, under array API dispatch where X is."""
    vars(estimator).update(layer_attributes(layers, X))


def scored(estimator: Any, metric: Callable[..., Any], X: Any, y: Any, sample_weight: Any) -> float:
    """Return a metric of scikit-learn's of the predictions for X; on the host, as it does not take all libraries."""
    predicted = estimator.predict(X)
    w = check_weights(sample_weight, int(predicted.shape[0]))
    y, predicted = (to_host(a) if is_array(a) else a for a in (y, predicted))
    with named(lambda: "y"):
        return float(metric(y, predicted, sample_weight=w))


def _padded(inputs: Any) -> Any:
    """Return columns (n_0, n) padded with zeros: fewer shapes mean fewer compilations.

    >>> [_padded(np.ones((1, n))).shape[1] for n in (1, 5, 9000)]
    [1, 8, 16384]
    """
    n = inputs.shape[1]
    wide = 1 << max(n - 1, 0).bit_length() if n <= _AT_ONCE else -(-n // _AT_ONCE) * _AT_ONCE
    if wide == n:
        return inputs
    padded = np.zeros_like(inputs, shape=(len(inputs), wide))  # in the same order of memory
    padded[:, :n] = inputs
    return padded
