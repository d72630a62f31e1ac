"""Trained networks as ONNX files, which other programs run without vecprop and without Python.

A file holds every step from the inputs to the results of `predict` and `predict_proba`: the scaling of the inputs, the
layers (batch normalization is folded in), the mean over several networks, the scaling of the targets, the names of the
classes. Here examples are in rows, as in scikit-learn, so a layer is A W + b with W (n_{l-1}, n_l).
"""

import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop.backend.contract import to_host
from vecprop.export.onnx_graph import OnnxGraph, Port
from vecprop.nn import activations
from vecprop.nn.activations import Activation
from vecprop.nn.array_checks import check_params, dtype_name
from vecprop.nn.network import Network
from vecprop.training.results import FitResult
from vecprop.utils.arguments import check_integer, check_path, check_text
from vecprop.utils.atomic import write_atomically
from vecprop.utils.errors import imported

# The default version of the operator set, of 2022, old enough that programs which run models have it.
OPSET = 17
# From opset 13 on, the axes of Squeeze and ReduceSum are inputs; 26 is the newest opset tested.
_FIRST_OPSET, _LAST_OPSET = 13, 26
_LITTLE = 1e-6  # of a deviation


def export_onnx(
    model: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    opset: int | None = None,
    name: str | None = None,
    dtype: Any = "float32",
) -> bytes:
    """Return a trained model in the ONNX format as bytes, and write it to a file if a path is given.

    The input is "X" (n, n_features), one example per row for every kind of model; a model of tables instead has one
    input (n, 1) for each column, described in `vecprop.export.onnx_tables`. The outputs are

    - for a classifier "label" (n,), or for multilabel targets 0 and 1 (n, n_labels), as from `predict`, and
      "probabilities" (n, n_classes), as from `predict_proba`;
    - for a regressor "prediction", as from `predict`: (n,), (n, n_targets), (n, n_quantiles), or
      (n, n_targets, n_quantiles);
    - for any other model "A" (n, n_L), A_L with one example per row.

    Labels have the type of the classes: int64, double for every floating type, bool, or string. Several networks
    (`n_networks`, or a stack) become one model that gives the mean of their outputs, without networks that diverged.
    Estimators check X, the file does not: give it finite numbers. The same model gives the same bytes.

    Parameters
    ----------
    model : fitted estimator or pack of vecprop, TableModel, FitResult, or pair (net, params)
        With a pair, params is a sequence of (W_l, b_l) as `Network.forward` takes it.
    path : str or path-like, optional
        The file to write, atomically; an old one is replaced.
    opset : int, default 17
        The version of ONNX's standard operators, from 13 to 26, recorded in the model. Every version computes the same;
        a lower one is for a program too old for 17.
    name : str, optional
        The name of the graph; by default the class of the estimator or model of tables, else "Network".
    dtype : "float32" (default) or "float64"
        The dtype of X, the outputs and all between, whatever the model was trained in. Every program runs float32;
        float64 is for inputs and predictions that float32 cannot tell apart, such as 1e8 and 1e8 + 3. For a pack and a
        model of tables it is the dtype of the networks; all before and after is in float64, X included, so that dates
        and numbers far from 0 keep their digits.

    Raises
    ------
    ImportError, sklearn.exceptions.NotFittedError
        If onnx is not installed (pip install "vecprop[onnx]"), or the estimator has not been fitted.
    ValueError, TypeError
        For anything but such a model; for a custom activation, as ONNX has no operator for it; for parameters that are
        not finite in this dtype; for a wrong argument, which the message names.
    OSError
        If the file cannot be written; no part of it is left behind.

    Examples
    --------
    On paper: one unit, w = (1, 2), b = 0.5, x = (1, -1), so z = -0.5.

    >>> import numpy as np
    >>> import vecprop as vp
    >>> unit = vp.Network((2, 1), output="identity")
    >>> data = export_onnx((unit, [(np.array([[1.0, 2.0]]), np.array([[0.5]]))]))

    `onnxruntime.InferenceSession(data).run(None, {"X": X})` runs it, and so, slowly, does onnx itself:

    >>> import onnx
    >>> from onnx.reference import ReferenceEvaluator
    >>> reference = ReferenceEvaluator(onnx.load_from_string(data))
    >>> reference.run(None, {"X": np.array([[1.0, -1.0]], dtype="float32")})[0].tolist()
    [[-0.5]]
    """
    dtype, opset = dtype_name(dtype), _check_opset(opset)
    path = None if path is None else check_path(path)
    tables: Any = sys.modules.get("vecprop.tabular")  # imported, if the model is one of tables
    table = tables is not None and isinstance(model, tables.TableModel)
    inner = model.estimator if table else getattr(model, "pack_", model)
    groups = getattr(inner, "groups_", None)
    net, params, estimator = _parts(inner if groups is None else inner.leading_)
    if name is None:
        name = type(model).__name__ if estimator is not None else "Network"
    elif not check_text(name, "name"):
        raise ValueError("name must not be empty: ONNX wants one for every graph")
    graph = OnnxGraph(_import_onnx(opset), dtype)
    width = net.sizes[0] if groups is None else inner.n_features_in_
    around = graph.dtype if groups is None else np.dtype(np.float64)  # the dtype of all but the network
    inputs, X = [Port("X", "X", around, (width,))], "X"
    if table:
        from vecprop.export.onnx_tables import prepared  # needs polars, as no other model does

        inputs, X = prepared(graph, model)
        around = np.dtype(np.float64)
    if groups is not None:
        A = _mixture(graph, groups, X)
    else:
        X = X if estimator is None else _scaled(graph, X, estimator.scaling_, around)
        A = _forward(graph, net, params, X)
    if estimator is None:
        outputs = [Port("A", A, graph.dtype, (net.sizes[-1],))]
    elif hasattr(estimator, "classes_"):
        outputs = _classified(graph, estimator, A)
    else:
        outputs = _predicted(graph, estimator, A, around)
    data = graph.serialize(name, opset, inputs, outputs, str(net))
    if path is not None:
        write_atomically(path, data)
    return data


# --- checks of the arguments --------------------------------------------------------------------------------


def _check_opset(given: int | None) -> int:
    wanted = f"an integer from {_FIRST_OPSET} to {_LAST_OPSET}"
    opset = OPSET if given is None else check_integer(given, "opset", _FIRST_OPSET, wanted)
    if opset > _LAST_OPSET:
        raise ValueError(f"opset must be {wanted}, got {given!r}")
    return opset


def _import_onnx(opset: int) -> Any:
    onnx = imported("onnx", 'ONNX export needs onnx: pip install "vecprop[onnx]"')
    newest = onnx.defs.onnx_opset_version()
    if opset > newest:
        raise ValueError(
            f"opset must be at most {newest} with onnx {onnx.__version__}, which is installed here, got {opset}: "
            "pip install --upgrade onnx"
        )
    return onnx


def _parts(model: Any) -> tuple[Network, Sequence[Any], Any]:
    """Return a model's network, its layers (W, b), and the model if it is an estimator, or None."""
    if "vecprop.estimators.training" in sys.modules:  # imported, if the model is an estimator
        from sklearn.utils.validation import check_is_fitted

        from vecprop.estimators import MLPClassifier, MLPRegressor

        if isinstance(model, MLPClassifier | MLPRegressor):
            check_is_fitted(model)
            return model.network_, model.params_, model
    if isinstance(model, FitResult):
        return model.net, model.params, None
    if isinstance(model, tuple) and len(model) == 2 and isinstance(model[0], Network):
        return model[0], check_params(model[0], model[1]).params, None
    raise TypeError(
        "model must be a fitted MLPClassifier or MLPRegressor of vecprop.estimators, a TableModel, a FitResult, or a "
        f"pair (net, params), got {type(model).__module__}.{type(model).__qualname__}"
    )


# --- from the inputs to A_L -----------------------------------------------------------------------------------


def _scaled(graph: OnnxGraph, X: str, scaling: Any, dtype: np.dtype[Any]) -> str:
    """Add (X - mean) / deviation (E35) in this dtype, if X is scaled, and a cast to the graph's."""
    if scaling is not None:
        mean, deviation = (to_host(a).reshape(-1).astype(np.float64) for a in scaling)
        X = graph.add("Sub", X, graph.real("X_mean", mean, dtype))
        rest = mean - graph.constants["X_mean"]
        if (np.abs(rest) > _LITTLE * deviation).any():  # the mean was rounded too much: subtract the rest of it
            X = graph.add("Sub", X, graph.real("X_mean_rest", rest, dtype))
        X = graph.add("Div", X, graph.real("X_deviation", deviation, dtype))
        if not graph.constants["X_deviation"].all():
            raise ValueError(f"model divides X by deviations that are 0 in {dtype}; use dtype='float64'")
    return X if dtype == graph.dtype else graph.cast(X, graph.dtype)


def _mixture(graph: OnnxGraph, groups: Sequence[Any], X: str) -> str:
    """Add the groups of a pack, each behind its map of X in float64, and the weighted mean of their A_L.

    The groups of a regression have the same scale of the targets, so that the mean can be taken before it.
    """
    from vecprop.export.onnx_maps import mapped

    parts = []
    for k, (view, estimator, weights) in enumerate(groups):
        features = graph.cast(mapped(graph, view, X, f"map{k}"), graph.dtype)
        parts.append(_forward(graph, estimator.network_, estimator.params_, features, f"group{k}_", weights))
    return graph.add("Sum", *parts)


def _forward(
    graph: OnnxGraph, net: Network, params: Sequence[Any], X: str, prefix: str = "", weights: Any = None
) -> str:
    """Add the layers, Z_l = A_{l-1} W_l + b_l, A_l = g_l(Z_l), and the mean A_L of networks, or their weighted sum.

    Networks of a stack that are not finite are left out, unless no network is finite.
    """
    layers = [[np.swapaxes(to_host(a), -1, -2) for a in layer] for layer in params]
    if layers[0][0].ndim > 2:
        layers = [[a.reshape(-1, *a.shape[-2:]) for a in layer] for layer in layers]
        finite = np.all([np.isfinite(a).all(axis=(-2, -1)) for layer in layers for a in layer], axis=0)
        kept = np.flatnonzero(finite) if finite.any() else np.arange(len(finite))
        layers = [[a[kept[0] if len(kept) == 1 else kept] for a in layer] for layer in layers]
    stack = layers[0][0].shape[:-2]
    A = X
    for l, ((W, b), g) in enumerate(zip(layers, net.activations, strict=True), start=1):
        product = graph.add("MatMul", A, graph.real(f"{prefix}W{l}", W))
        Z = graph.add("Add", product, graph.real(f"{prefix}b{l}", b), name=f"{prefix}Z{l}")
        A = _activated(graph, g, Z, (*(0 for _ in stack), 0, net.sizes[l]), f"layer {l} of {len(layers)}")
    if weights is not None:
        A = graph.add("Mul", A, graph.real(f"{prefix}weights", weights.reshape(-1, *[1] * (2 * bool(stack)))))
        return graph.add("ReduceSum", A, graph.integers(0), keepdims=0) if stack else A
    if stack:
        A = graph.add("Div", graph.add("ReduceSum", A, graph.integers(0), keepdims=0), graph.number(stack[0]))
    return A


def _activated(graph: OnnxGraph, g: Activation, Z: str, shape: tuple[int, ...], place: str) -> str:
    """Add A = g(Z); `shape` is that of Z for ONNX's Reshape, in which 0 keeps a size."""
    if type(g) not in _ACTIVATIONS:  # not isinstance, as a subclass may be another function
        known = ", ".join(sorted(known.name for known in _ACTIVATIONS))
        raise ValueError(
            f"model: {place} has an activation of your own, {type(g).__name__}, which cannot be written as ONNX "
            f"operators; train with one of {known}"
        )
    return _ACTIVATIONS[type(g)](graph, Z, g, shape)


def _operator(operator: str, **attributes: Any) -> Callable[..., str]:
    """Return a function that adds an activation of one operator."""
    return lambda graph, Z, *_: graph.add(operator, Z, **attributes)


# ONNX's own operators for some of the following are not used: LeakyRelu and Elu keep their number in float32,
# onnxruntime has Elu and Softplus only in float32, ONNX's Softplus overflows, and Gelu came with opset 20.


def _softplus(graph: OnnxGraph, Z: str, *_: object) -> str:
    """Add max(z, 0) + ln(1 + e^-|z|), which overflows for no finite z."""
    power = graph.add("Exp", graph.add("Neg", graph.add("Abs", Z)))
    logarithm = graph.add("Log", graph.add("Add", graph.number(1.0), power))
    return graph.add("Add", graph.add("Relu", Z), logarithm)


def _elu(graph: OnnxGraph, Z: str, g: activations.ELU, *_: object) -> str:
    """Add max(z, 0) + alpha (e^min(z, 0) - 1), of which one term is 0."""
    power = graph.add("Exp", graph.add("Min", Z, graph.number(0.0)))
    below = graph.add("Mul", graph.number(g.alpha), graph.add("Sub", power, graph.number(1.0)))
    return graph.add("Add", graph.add("Relu", Z), below)


def _gelu(graph: OnnxGraph, Z: str, *_: object) -> str:
    """Add ½ z (1 + tanh(u)), u = √(2/π) z (1 + 0.044715 z²)."""
    # u of z cut at ±10, where tanh(u) is ±1 to the last bit
    z = graph.add("Clip", Z, graph.number(-10.0), graph.number(10.0))
    curve = graph.add("Mul", graph.number(0.044715), graph.add("Mul", z, z))
    line = graph.add("Mul", graph.number(math.sqrt(2 / math.pi)), z)
    u = graph.add("Mul", line, graph.add("Add", graph.number(1.0), curve))
    gate = graph.add("Add", graph.number(1.0), graph.add("Tanh", u))
    return graph.add("Mul", graph.add("Mul", graph.number(0.5), Z), gate)


def _silu(graph: OnnxGraph, Z: str, *_: object) -> str:
    """Add z·σ(z), σ(z) being ½ (1 + tanh(z/2)), as the library computes it."""
    # onnxruntime, up to 1.20 at least, fuses Z · Sigmoid(Z) into an operator that it does not have in float64
    half = graph.add("Mul", graph.number(0.5), Z)
    return graph.add("Mul", half, graph.add("Add", graph.number(1.0), graph.add("Tanh", half)))


def _ordered(graph: OnnxGraph, Z: str, g: activations.Ordered, shape: tuple[int, ...]) -> str:
    """Add the running sums of z_1 and ln(1 + e^z_k) in each group."""
    *rest, n = shape
    if n % g.groups:
        raise ValueError(f"model: ordered in {g.groups} groups needs a multiple of as many units, got {n}")
    size = n // g.groups
    grouped = graph.add("Reshape", Z, graph.integers(*rest, g.groups, size))
    first = graph.constant(f"first_of_{size}", np.arange(size) == 0)
    steps = graph.add("Where", first, grouped, _softplus(graph, grouped))
    sums = graph.add("CumSum", steps, graph.constant("last_axis", np.array(-1, dtype=np.int64)))
    return graph.add("Reshape", sums, graph.integers(*shape))


_ACTIVATIONS: dict[type[Activation], Callable[..., str]] = {
    activations.Sigmoid: _operator("Sigmoid"),
    activations.Tanh: _operator("Tanh"),
    activations.ReLU: _operator("Relu"),
    # max(slope·z, z), as slopes are below 1
    activations.LeakyReLU: lambda graph, Z, g, *_: graph.add("Max", Z, graph.add("Mul", graph.number(g.slope), Z)),
    activations.Identity: lambda _, Z, *__: Z,
    activations.Softmax: _operator("Softmax", axis=-1),
    activations.Softplus: _softplus,
    activations.ELU: _elu,
    activations.GELU: _gelu,
    activations.SiLU: _silu,
    activations.Exp: _operator("Exp"),
    activations.Ordered: _ordered,
}


# --- from A_L to the results of estimators ----------------------------------------------------------------------


def _classified(graph: OnnxGraph, estimator: Any, A: str) -> list[Port]:
    """Add the probabilities and the labels."""
    classes, kind = estimator.classes_, estimator._labels.kind
    P = A
    if kind == "binary" and len(classes) == 2:
        P = graph.add("Concat", graph.add("Sub", graph.number(1.0), A), A, axis=1)
    elif kind == "binary":
        P = graph.add("Softmax", A, axis=1)  # over one column: the probability 1 of the only class
    if kind == "multilabel":
        label = graph.cast(graph.add("Greater", P, graph.number(0.5)), np.int64)
        found = Port("label", label, np.dtype(np.int64), (len(classes),))
    else:  # argmax takes the first of equal numbers, so class 0 for 0.5, as `predict` does
        values = _label_values(classes)
        number = graph.add("ArgMax", P, axis=1, keepdims=0)
        found = Port("label", graph.add("Gather", graph.constant("classes", values), number), values.dtype, ())
    return [found, Port("probabilities", P, graph.dtype, (len(classes),))]


def _label_values(classes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the classes in a type that ONNX has.

    >>> _label_values(np.array([1, 2], dtype="int8")).dtype.name, _label_values(np.array(["a", "b"])).dtype.name
    ('int64', 'object')
    """
    kind = classes.dtype.kind
    if kind == "b":
        return classes
    if kind == "f":
        return classes.astype(np.float64)
    if kind in "iu" and int(classes[-1]) <= np.iinfo(np.int64).max:  # they are sorted
        return classes.astype(np.int64)
    values = classes.tolist()
    if all(isinstance(value, str) for value in values):
        return np.array(values, dtype=object)
    raise ValueError(f"model must have classes that are numbers up to 2**63 - 1, booleans or text, got {classes!r}")


def _predicted(graph: OnnxGraph, estimator: Any, A: str, dtype: np.dtype[Any]) -> list[Port]:
    """Add the predictions from outputs A, in the units of y and the shape of `predict`."""
    A = A if dtype == graph.dtype else graph.cast(A, dtype)
    count, levels, flat = estimator.network_.sizes[-1], len(estimator._quantile_levels()), not estimator._targets_shape
    if estimator.target_scaling_ is not None:
        mean, deviation = (np.repeat(to_host(a)[:, 0], levels) for a in estimator.target_scaling_)
        product = graph.add("Mul", A, graph.real("y_deviation", deviation, dtype))
        A = graph.add("Add", product, graph.real("y_mean", mean, dtype))
    shape: tuple[int, ...] = (count,)
    if levels > 1 and not flat:
        shape = (count // levels, levels)
        A = graph.add("Reshape", A, graph.integers(0, *shape))
    elif flat and levels == 1:
        shape = ()
        A = graph.add("Squeeze", A, graph.integers(1))
    return [Port("prediction", A, dtype, shape)]
