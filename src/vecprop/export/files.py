"""`save` and `load`: trained models as files, which are read without executing anything.

A file is safetensors with a JSON header: the specification, classes, scaling, versions of the libraries, a checksum.
It loads on any backend, whichever trained the model.
"""

import json
import os
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np

from vecprop._version import __version__
from vecprop.backend.contract import Backend
from vecprop.backend.selection import get_backend
from vecprop.export.tensors import layers_from_tensors, layers_to_tensors
from vecprop.nn.activations import is_pair
from vecprop.nn.array_checks import check_params
from vecprop.nn.network import Network
from vecprop.propagation import Layer
from vecprop.training.json_values import (
    Pair,
    difference,
    history_from_json,
    network_from_json,
    network_to_json,
    to_json,
)
from vecprop.training.results import FitResult, TrainingState
from vecprop.utils import tensor_file
from vecprop.utils.arguments import check_integer, check_path
from vecprop.utils.atomic import write_atomically
from vecprop.utils.errors import ModelFileError, one_line
from vecprop.utils.random_streams import check_seed
from vecprop.utils.tensor_file import Tensors

# The kinds of models that need scikit-learn, and the packages of their classes.
_KINDS, _ROOMS = {"pack", "estimator", "table"}, ("vecprop.estimators.", "vecprop.tabular.")


def save(path: str | os.PathLike[str], model: Any, params: Any = None) -> None:
    """Save a model as one file; an old file of that name is replaced once the new one is complete.

    Parameters
    ----------
    path : str or path
        Any name; "model.safetensors" tells the format.
    model : estimator or pack of vecprop, TableModel, FitResult, or Network
        A fitted one; a model of tables; the result of `fit`, whose parameters, history and seed are saved; or a
        network with `params`.
    params : sequence of (W_l, b_l), optional
        The parameters of a `Network`.

    Raises
    ------
    TypeError, sklearn.exceptions.NotFittedError
        For anything else, such as an estimator that was not fitted, and for classes that are neither numbers nor texts.
    OSError
        If the file cannot be written. The old file is unchanged, or, if only the directory could not be flushed, the
        new file is complete.
    ValueError
        For an estimator with parameters that `fit` would refuse, and for values that no file can hold.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> net = Network((2, 3, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Path(folder, "model.safetensors"), net, net.init(seed=0))
    ...     model = load(Path(folder, "model.safetensors"))
    >>> model.net == net, bool((model.params[0].W == net.init(seed=0)[0].W).all())
    (True, True)
    """
    path = check_path(path)
    if isinstance(model, Network):
        if params is None:
            raise TypeError("a Network is saved with its parameters: save(path, net, params)")
        checked = check_params(model, params)
        history: dict[str, list[Any]] = {"cost": [], "learning_rate": [], "gradient_norm": [], "seconds": []}
        untrained = TrainingState(checked.params, None, 0, 0)
        model = FitResult(model, checked.params, untrained, history, checked.backend)
    elif params is not None:
        raise TypeError(f"params goes with a Network as model, got it with {type(model).__name__}")
    header, tensors = _to_parts(model)
    versions = {"vecprop": __version__, "python": platform.python_version(), "numpy": np.__version__}
    if header["kind"] in _KINDS:
        import sklearn

        versions["scikit-learn"] = sklearn.__version__
    write_atomically(path, tensor_file.encode(header | {"versions": versions}, tensors))


def load(
    path: str | os.PathLike[str],
    backend: str | Backend | None = None,
    custom: Pair | Sequence[Pair] = (),
) -> Any:
    """Load a saved model: a network as a `FitResult`, which predicts by `forward`, others as saved.

    Parameters
    ----------
    path : str or path
    backend : str or Backend, optional
        The backend of a network's parameters, and the parameter `backend` of an estimator; by default the active one.
    custom : pair (g, g′) or sequence of pairs, optional
        The model's custom activations, in the order of the layers, as no file can hold functions.

    Raises
    ------
    ModelFileError
        A ValueError: the file is no model, truncated, altered, or of a newer format; the message says which.
    FileNotFoundError, OSError
        If the file is missing, cannot be read, or is a device or a pipe.
    ImportError
        For an estimator or a model of tables, without scikit-learn.
    """
    source = f"the file {check_path(path)!r}"
    pairs: Any = [custom] if is_pair(custom) else custom
    if not isinstance(pairs, list | tuple) or not all(map(is_pair, pairs)):
        raise TypeError(f"custom must be a pair of functions (g, g_prime) or a list of such pairs, got {custom!r}")
    header, tensors = tensor_file.decode(tensor_file.read(path), source)
    place = get_backend(backend) if header.get("kind") == "network" else None
    try:
        if place is not None:
            model: Any = _result_from_parts(header, tensors, place, pairs)
        elif header["kind"] in _KINDS:
            model = _estimator_files().from_parts(header, tensors, backend, pairs)
        elif header["kind"] == "checkpoint":
            raise ModelFileError("it is a checkpoint of a training run: vp.fit(…, resume=path) goes on from it")
        else:
            raise ValueError(f"it holds a {header['kind']!r}")
        _check_made(header, tensors, model)
    except ModelFileError as error:
        raise ModelFileError(f"{source}: {error}") from error
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ModelFileError(  # contents that `save` of this version would not have written
            f"{source} holds no model that this version of vecprop knows: {type(error).__name__}: {one_line(error)}"
        ) from error
    return model


def _to_parts(model: Any) -> tuple[dict[str, Any], Tensors]:
    """Return the header, without versions, and the tensors of a model; of `n_networks="auto"` those of its pack."""
    model = getattr(model, "pack_", model)
    if isinstance(model, FitResult):
        return _result_to_parts(model)
    if any(f"{cls.__module__}.".startswith(_ROOMS) for cls in type(model).__mro__):  # no class is imported
        return _estimator_files().to_parts(model)  # type: ignore[no-any-return]
    raise TypeError(
        "model must be a fitted MLPClassifier or MLPRegressor of vecprop, a TableModel, a FitResult, or a Network "
        f"with params, got {type(model).__name__}"
    )


def _check_made(header: dict[str, Any], tensors: Tensors, model: Any) -> None:
    """Raise ValueError unless the loaded model, saved again, has the same header and tensor names."""
    versions = header["versions"]
    if not isinstance(versions, dict) or not all(isinstance(version, str) for version in versions.values()):
        raise ValueError("its versions are no texts by their names")
    made, arrays = _to_parts(model)
    words = difference(header, json.loads(json.dumps(made)) | {"versions": versions})
    if words is not None:
        raise ValueError(words)
    if unknown := tensors.keys() ^ arrays.keys():
        raise ValueError(f"a tensor {min(unknown)!r}, which is no part of this model")


def _estimator_files() -> Any:
    from vecprop import estimators  # noqa: F401 - first, since it says what to install where scikit-learn is missing
    from vecprop.export import estimator_files

    return estimator_files


def _result_to_parts(result: FitResult) -> tuple[dict[str, Any], Tensors]:
    seed = result.state.seed
    header = {
        "kind": "network",
        "network": network_to_json(result.net),
        "history": to_json(result.history),
        "seed": list(seed) if isinstance(seed, tuple) else seed,
        "epoch": result.state.epoch,
        "step": result.state.step,
        "stopped": result.stopped,
    }
    return header, layers_to_tensors(result.params)


def _result_from_parts(header: dict[str, Any], tensors: Tensors, backend: Backend, custom: Sequence[Pair]) -> FitResult:
    net = network_from_json(header["network"], custom)
    host = layers_from_tensors(tensors, net)
    dtype = str(host[0].W.dtype)
    params = tuple(Layer(backend.asarray(W, dtype), backend.asarray(b, dtype)) for W, b in host)
    epoch, step = (check_integer(header[name], name, 0) for name in ("epoch", "step"))
    given, shape = header["seed"], tuple(params[0].W.shape)
    if isinstance(given, list) and shape[:-2] != (len(given),):  # one for each network of a stack
        raise ValueError(f"{len(given)} seeds for W1 of shape {shape}")
    seed = tuple(map(check_seed, given)) if isinstance(given, list) else check_seed(given)
    state = TrainingState(params, None, epoch, seed, step)
    return FitResult(net, params, state, history_from_json(header["history"]), backend, str(header["stopped"]))
