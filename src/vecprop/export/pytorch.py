"""Conversion of networks from and to PyTorch: `nn.Sequential` of linear layers and activations.

PyTorch has examples in rows, (n, n_0), vecprop in columns; W (n_l, n_{l-1}) is the same in both.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vecprop.backend.contract import to_host
from vecprop.nn import activations
from vecprop.nn.activations import Activation, Identity, get_activation
from vecprop.nn.array_checks import check_params, dtype_name
from vecprop.nn.network import Network
from vecprop.propagation import Layer, Params
from vecprop.training.results import FitResult
from vecprop.utils.arguments import check_flag
from vecprop.utils.errors import imported

_SUPPORTED = (
    "Linear, Sigmoid, Tanh, ReLU, LeakyReLU, Softmax, Softplus, ELU, GELU, SiLU, BatchNorm1d behind a Linear, Dropout, "
    "Identity, and Sequential of these"
)
_DROPPED = ("Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")
# Beyond its threshold PyTorch's softplus is z, an error of e^-threshold: 2e-9 with its default, 4e-18 with ours.
_TORCH_THRESHOLD, _EXACT_THRESHOLD = 20.0, 40.0
# The activations that PyTorch has, under the same names, each with the arguments of its module.
_ARGUMENTS: dict[type[Activation], Callable[[Any], dict[str, Any]]] = {
    activations.Sigmoid: lambda _: {},
    activations.Tanh: lambda _: {},
    activations.ReLU: lambda _: {},
    activations.LeakyReLU: lambda g: {"negative_slope": g.slope},
    activations.Softmax: lambda _: {"dim": -1},
    activations.Softplus: lambda _: {"threshold": _EXACT_THRESHOLD},
    activations.ELU: lambda g: {"alpha": g.alpha},
    activations.GELU: lambda _: {"approximate": "tanh"},
    activations.SiLU: lambda _: {},
}
_ACTIVATIONS = {kind.__name__: kind for kind in _ARGUMENTS}


def from_torch(module: Any, output: Any = None) -> tuple[Network, Params]:
    """Return a PyTorch module as a `Network` and parameters, NumPy arrays of the module's dtype.

    In eval mode `module(X.T).T` is `net.forward(params, X)`: dropout is left out, batch normalization is folded into
    the linear layer before it. The module is not changed, and shares no memory with the parameters.

    Parameters
    ----------
    module : nn.Sequential
        Of `Linear`, each followed by an activation or none; a nested `Sequential` is flattened. On any device.
    output : str, Activation or pair (g, g′), optional
        The output's activation, if the module ends in a `Linear` that gives logits: "softmax" if it was trained with
        `nn.CrossEntropyLoss`, "sigmoid" with `nn.BCEWithLogitsLoss`. By default the module's, or the identity.

    Returns
    -------
    net : Network
        With the default loss of its output.
    params : tuple of Layer
        W_l (n_l, n_{l-1}) and b_l (n_l, 1), zeros for a `Linear` without bias.

    Raises
    ------
    ImportError, TypeError
        If PyTorch is not installed (pip install torch), or module is no `nn.Module`.
    ValueError
        For a module without a counterpart here; the message has its place and its class. `GELU` needs
        approximate="tanh", from which its exact form differs by up to 5e-4. For dtypes other than float32 and float64.

    Examples
    --------
    >>> from torch import nn  # doctest: +SKIP
    >>> module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3))  # doctest: +SKIP
    >>> net, params = from_torch(module, output="softmax")  # doctest: +SKIP
    >>> print(net)  # doctest: +SKIP
    network 4-8-3 (tanh, softmax; cross_entropy)
    """
    nn = _import_torch().nn
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Sequential, got {type(module).__name__}")
    layers, chosen = _read(nn, module)
    if output is not None:
        if chosen[-1] is not None:
            raise ValueError(
                f"output is for a module that ends in a Linear, and this one ends in {chosen[-1].name}: leave "
                "output out"
            )
        chosen[-1] = get_activation(output, "output")
    *hidden, last = (Identity() if g is None else g for g in chosen)
    net = Network((layers[0].W.shape[1], *(W.shape[0] for W, _ in layers)), hidden, last)
    return net, check_params(net, layers, "module").params


def to_torch(model: Any, params: Any = None, *, logits: bool = False) -> Any:
    """Return a network as a PyTorch `nn.Sequential` of `Linear` and activations, in eval mode, on the CPU.

    The module has the dtype of the parameters, takes one example per row, (n, n_0), and returns A_L (n, n_L): of a
    classifier the probabilities of the classes, for two classes only that of the second.

    `scale` is folded into the first layer, `scale_target` into the last one. In float32 this multiplies the rounding
    error of a feature by |mean| / deviation.

    Parameters
    ----------
    model : Network, FitResult, or fitted MLPClassifier or MLPRegressor of vecprop.estimators
    params : sequence of (W_l, b_l)
        Required with a `Network`, else not allowed.
    logits : bool, default False
        Leave out the output's activation, for further training with `nn.CrossEntropyLoss` or `nn.BCEWithLogitsLoss`.

    Raises
    ------
    ImportError, TypeError
        If PyTorch is not installed (pip install torch); for other models, and params that are missing or not allowed.
    sklearn.exceptions.NotFittedError
        If the estimator was not fitted.
    ValueError
        For a stack of networks, and for an activation that PyTorch has no module for: "exp", "ordered", a custom pair.
        As an output it can be left out by logits=True.

    Examples
    --------
    >>> import vecprop as vp
    >>> net = vp.Network((2, 4, 1))
    >>> to_torch(net, net.init(seed=0))  # doctest: +SKIP
    Sequential(
      (0): Linear(in_features=2, out_features=4, bias=True)
      (1): Tanh()
      (2): Linear(in_features=4, out_features=1, bias=True)
      (3): Sigmoid()
    )
    """
    torch = _import_torch()
    net, layers = _parts(model, params)
    chosen = [*net.hidden, Identity() if check_flag(logits, "logits") else net.output]
    modules = []
    for l, (layer, g) in enumerate(zip(layers, chosen, strict=True), start=1):
        modules.append(_linear(torch, layer))
        if g != Identity():
            modules.append(_module_of(torch.nn, g, f"model: layer {l} of {len(layers)}"))
    return torch.nn.Sequential(*modules).eval()


def _import_torch() -> Any:
    return imported("torch", "models are exchanged with PyTorch only where it is installed: pip install torch")


def _read(nn: Any, module: Any) -> tuple[tuple[Layer, ...], list[Activation | None]]:
    """Return the layers of a module, and the activation of each, None if it has none."""
    layers: list[Layer] = []
    chosen: list[Activation | None] = []
    dtype = ""
    for place, child in _flattened(nn, module, "module"):
        name = _class_name(nn, child)
        if name in _DROPPED:
            continue
        if name == "Linear":
            found = dtype_name(child.weight.dtype, f"{place}.weight")
            if found != (dtype := dtype or found):
                raise ValueError(f"{place}.weight must be {dtype} as that of the first Linear is, got {found}")
            W = _host(child.weight)
            layers.append(Layer(W, np.zeros((len(W), 1)) if child.bias is None else _host(child.bias)[:, None]))
            chosen.append(None)
        elif not layers or chosen[-1] is not None:
            where = "behind an activation" if layers else "before the first Linear"
            raise ValueError(f"{place} is {_described(child)}, {where}: it can only follow a Linear")
        elif name == "BatchNorm1d":
            layers[-1] = _normalized(place, layers[-1], child)
        else:
            chosen[-1] = _activation_of(place, name, child)
    if not layers:
        raise ValueError("module must have at least one Linear, got none")
    return tuple(Layer(*(a.astype(dtype) for a in layer)) for layer in layers), chosen


def _flattened(nn: Any, module: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield the modules in order, each with its place, such as "module[0][2]"."""
    if _class_name(nn, module) != "Sequential":
        yield place, module
        return
    for i, child in enumerate(module):
        yield from _flattened(nn, child, f"{place}[{i}]")


def _class_name(nn: Any, module: Any) -> str:
    """Return the name of the `torch.nn` class whose forward pass the module has, "" for others."""
    for name in ("Sequential", "Linear", "BatchNorm1d", *_ACTIVATIONS, *_DROPPED):
        known = getattr(nn, name)
        if isinstance(module, known) and type(module).forward is known.forward:
            return name
    return ""


def _described(module: Any) -> str:
    return f"{type(module).__name__}({module.extra_repr()})"


def _host(tensor: Any) -> Any:
    """Copy a tensor into a NumPy array of float64."""
    return np.array(tensor.detach().cpu().numpy(), dtype=np.float64)


def _normalized(place: str, layer: Layer, norm: Any) -> Layer:
    """Return the layer with a batch normalization after it folded in, by running statistics (E34)."""
    if norm.running_mean is None:
        raise ValueError(
            f"{place} is {_described(norm)}: without running statistics it depends on the batch, which no layer does "
            "here"
        )
    if norm.num_features != len(layer.W):
        raise ValueError(f"{place} has {norm.num_features} features, and the Linear before it {len(layer.W)} outputs")
    mean, variance = _host(norm.running_mean)[:, None], _host(norm.running_var)[:, None]
    gamma = 1.0 if norm.weight is None else _host(norm.weight)[:, None]
    beta = 0.0 if norm.bias is None else _host(norm.bias)[:, None]
    factor = gamma / np.sqrt(variance + norm.eps)
    return Layer(layer.W * factor, (layer.b - mean) * factor + beta)


def _activation_of(place: str, name: str, module: Any) -> Activation:
    """Return the activation of a module with this class name."""
    if not name:
        raise ValueError(f"{place} is {_described(module)}, which has no counterpart here; supported are {_SUPPORTED}")
    try:
        match name:
            case "LeakyReLU":
                return activations.LeakyReLU(float(module.negative_slope))
            case "ELU":
                return activations.ELU(float(module.alpha))
            case "Softmax" if module.dim not in (1, -1):
                raise ValueError("softmax is over the outputs of each example here: dim=1 or dim=-1")
            case "Softplus" if module.beta != 1 or module.threshold < _TORCH_THRESHOLD:
                raise ValueError(f"softplus is ln(1 + e^z) here: beta=1 and threshold={_TORCH_THRESHOLD:g} or more")
            case "GELU" if module.approximate != "tanh":
                raise ValueError(
                    "gelu is the tanh form here, which is up to 5e-4 from the exact one: set "
                    'approximate="tanh", or train with it, if that is near enough'
                )
        return _ACTIVATIONS[name]()
    except ValueError as error:
        raise ValueError(f"{place} is {_described(module)}: {error}") from None


def _parts(model: Any, params: Any) -> tuple[Network, Params]:
    """Return the network of a model, and its layers as NumPy arrays."""
    if isinstance(model, Network):
        if params is None:
            raise TypeError("params must be given with a Network: to_torch(net, params)")
        return model, _host_layers(model, params)
    if params is not None:
        name = type(model).__name__
        raise TypeError(
            f"model must be a Network where params are given, got {name}: leave params out if it has its own"
        )
    if isinstance(model, FitResult):
        return model.net, _host_layers(model.net, model.params)
    if "vecprop.estimators.training" in sys.modules:  # imported, if the model is an estimator
        from vecprop.estimators import MLPClassifier, MLPRegressor
        from vecprop.estimators.interchange import folded

        if isinstance(model, MLPClassifier | MLPRegressor):
            net, layers = folded(model, "model")
            dtype = to_host(model.coefs_[0]).dtype
            return net, tuple(Layer(W.astype(dtype), b.astype(dtype)) for W, b in layers)
    raise TypeError(
        "model must be a Network with params, a FitResult, or a fitted MLPClassifier or MLPRegressor of "
        f"vecprop.estimators, got {type(model).__module__}.{type(model).__qualname__}"
    )


def _host_layers(net: Network, params: Any) -> Params:
    checked = check_params(net, params)
    if checked.stack:
        raise ValueError(
            f"params are a stack of {checked.stack[0]} networks, and a module is one: take one of them, of a result "
            "`result.best` or `result.member(k)`"
        )
    return tuple(Layer(to_host(W), to_host(b)) for W, b in checked.params)


def _linear(torch: Any, layer: Layer) -> Any:
    """Return an nn.Linear with these parameters, without drawing PyTorch's random numbers."""
    n, n_in = layer.W.shape
    linear = torch.nn.utils.skip_init(torch.nn.Linear, n_in, n, dtype=getattr(torch, str(layer.W.dtype)))
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(np.ascontiguousarray(layer.W), device="cpu"))
        linear.bias.copy_(torch.tensor(np.ascontiguousarray(layer.b[:, 0]), device="cpu"))
    return linear


def _module_of(nn: Any, g: Activation, place: str) -> Any:
    """Return the PyTorch module of an activation."""
    if type(g) not in _ARGUMENTS:
        known = ", ".join(sorted([Identity.name, *(kind.name for kind in _ARGUMENTS)]))
        raise ValueError(
            f"{place} is {g.name}, which PyTorch has no module for; it has: {known}. An output can be left out: "
            "logits=True"
        )
    return getattr(nn, type(g).__name__)(**_ARGUMENTS[type(g)](g))
