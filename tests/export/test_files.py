"""Model files: what comes back, on any backend; what is refused; and that nothing is lost or half-written."""

import json
import os
import stat
from unittest import mock

import numpy as np
import pytest
import safetensors.numpy

import vecprop as vp
from helpers import assert_same, cases, cube, cube_prime
from helpers.processes import python
from vecprop.nn.activations import ACTIVATIONS, LeakyReLU, Ordered
from vecprop.nn.losses import LOSSES, Huber, Quantile
from vecprop.training.json_values import NotStorableError, from_json, to_json
from vecprop.utils import atomic, tensor_file

NET = vp.Network((3, 4, 2), hidden=[LeakyReLU(0.2)], output="softmax", loss=vp.losses.CrossEntropy(0.1))
X = np.random.default_rng(0).standard_normal((3, 20))
Y = np.eye(2)[:, np.arange(20) % 2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def saved(path):
    vp.save(path, NET, NET.init(seed=1))
    return path.read_bytes()


@pytest.mark.parametrize("seed", [5, (5, 6, 7)])
def test_a_result_comes_back_on_every_backend(path, backend, dtype, seed):
    result = vp.fit(
        NET, X, Y, epochs=3, optimizer=vp.Adam(), seed=seed, dtype=dtype, metric="accuracy", backend=backend
    )
    vp.save(path, result)
    for target in ("numpy", backend):
        loaded = vp.load(path, target)
        assert (loaded.net, loaded.stopped, loaded.state.seed, loaded.state.epoch) == (NET, "epochs", seed, 3)
        assert loaded.history == result.history
        assert str(loaded.params[0].W.dtype).endswith(dtype)
        assert_same(loaded.params, result.params)
        np.testing.assert_array_equal(loaded.forward(X), result.forward(X) if target is backend else loaded.forward(X))
    assert loaded.networks == result.networks


def test_training_goes_on_from_a_loaded_network(path):
    result = vp.fit(NET, X, Y, epochs=3, seed=5, batch_size=8)
    vp.save(path, result)
    more = vp.fit(NET, X, Y, epochs=2, batch_size=8, state=vp.load(path).state)
    whole = vp.fit(NET, X, Y, epochs=5, seed=5, batch_size=8)
    np.testing.assert_array_equal(more.params[0].W, whole.params[0].W)


def test_every_activation_and_loss_comes_back():
    values = [*ACTIVATIONS.values(), *LOSSES.values(), LeakyReLU(0.3), Ordered(2), Huber(0.5), Quantile((0.1, 0.9))]
    values += [vp.AdamW(schedule=vp.Cosine(3)), vp.SGD(0.1), vp.LBFGS(5), vp.ReduceOnPlateau(), vp.EarlyStopping(None)]
    values += [None, True, 3, 2.5, "text", (1, (2, [3])), {0: 1.5, "a": [None]}, float("-inf")]
    for value in values:
        through_text = json.loads(json.dumps(to_json(value), allow_nan=False))
        assert from_json(through_text) == value
        assert type(from_json(through_text)) is type(value)
    assert np.isnan(from_json(to_json(float("nan"))))
    for value in (cube, object(), {1, 2}, 1j, np.zeros(2)):
        with pytest.raises(NotStorableError):
            to_json(value)


def test_activations_of_ones_own_are_given_again(path):
    net = vp.Network((3, 4, 5, 2), hidden=[(cube, cube_prime), (np.sin, np.cos)], output="softmax")
    vp.save(path, net, net.init(seed=0))
    with pytest.raises(vp.ModelFileError, match=r"the functions \['cube', 'cube_prime'\].*custom=\(g, g_prime\)"):
        vp.load(path)
    loaded = vp.load(path, custom=[(cube, cube_prime), (np.sin, np.cos)])
    assert loaded.net == net
    np.testing.assert_array_equal(loaded.forward(X), net.forward(net.init(seed=0), X.astype("float32")))
    with pytest.raises(TypeError, match="custom must be a pair of functions"):
        vp.load(path, custom=["sin"])


def test_equal_models_are_equal_files_without_anything_executable(path, saved):
    vp.save(path, NET, NET.init(seed=1))
    assert path.read_bytes() == saved
    assert b"pickle" not in saved
    assert not {b"\x80\x04", b"\x80\x05"} & {saved[i : i + 2] for i in range(400)}
    tensors = safetensors.numpy.load(saved)
    assert sorted(tensors) == ["W1", "W2", "b1", "b2"], "any reader of safetensors has the numbers"


@pytest.mark.usefixtures("saved")
def test_loading_executes_and_imports_nothing_of_the_file(path):
    out = python("-c", f"import sys, vecprop as vp; vp.load({str(path)!r}); print('sklearn' in sys.modules)")
    assert out.stdout.strip() == "False"


def refused(path, data, match=None):
    path.write_bytes(data)
    with pytest.raises(vp.ModelFileError, match=match) as caught:
        vp.load(path)
    assert str(path) in str(caught.value)


def test_files_of_another_kind(path, monkeypatch):
    refused(path, b"", "no model file, or was truncated")
    for data in (b"PK\x03\x04" + bytes(200), b"\x80\x04\x95" + bytes(200), b"a,b,c\n1,2,3\n" * 20):
        refused(path, data, "no model file")
    for metadata in (None, {"vecprop": "hello"}):
        refused(path, safetensors.numpy.save({"W1": np.zeros(2)}, metadata=metadata), "no model that vecprop saved")
    with monkeypatch.context() as later:
        later.setattr(tensor_file, "FORMAT", 2)
        data = tensor_file.encode({}, {})
    refused(path, data, "has format 2, and this version of vecprop reads formats up to 1: up")


def test_headers_that_are_whole_and_mean_nothing(path, saved):
    header, tensors = tensor_file.decode(saved)
    strange = {"sizes": [2, 1], "hidden": [], "output": {"class": "os"}}
    for parts, words in (
        (({"kind": "cat"}, {}), "holds no model that this version of vecprop knows.*'cat'"),
        (({}, {}), "KeyError: 'kind'"),
        (({"kind": "network", "network": strange}, {}), None),
        (({"kind": "estimator", "class": "Popen"}, {}), "KeyError"),
        ((header, tensors | {"W1": np.zeros((1, 2))}), "W1 must have shape"),
        ((header, {name: tensor for name, tensor in tensors.items() if name != "b1"}), "'b1'"),
    ):
        refused(path, tensor_file.encode(*parts), words)


@cases(
    ("net", None, "model must be a fitted MLPClassifier"),
    (NET, None, "a Network is saved with its parameters"),
    (None, NET.init(), "params goes with a Network as model, got it with NoneType"),
    (NET, [(1, 2)], "params must have one"),
)
def test_what_cannot_be_saved(model, params, message, path):
    with pytest.raises((TypeError, ValueError), match=message):
        vp.save(path, model, params)
    assert not list(path.parent.iterdir())


@pytest.fixture(params=[vp.save, vp.export_onnx])
def write(request):
    """Write the network of a seed by each of the functions that write a model."""
    if request.param is vp.save:
        return lambda path, seed: vp.save(path, NET, NET.init(seed=seed))
    pytest.importorskip("onnx")
    return lambda path, seed: vp.export_onnx((NET, NET.init(seed=seed)), path)


@cases(OSError(28, "No space left"), PermissionError(13, "Permission denied"), KeyboardInterrupt(), ids=repr)
def test_an_error_leaves_the_old_file(error, path, write, monkeypatch):
    write(path, 1)
    before = path.read_bytes()
    for name in ("fsync", "replace", "open"):
        with monkeypatch.context() as patch:
            patch.setattr(atomic.os, name, mock.Mock(side_effect=error))
            with pytest.raises(type(error), match=getattr(error, "strerror", None)):
                write(path, 2)
        assert path.read_bytes() == before
        assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_mode_and_link_are_kept(path, write, tmp_path):
    path.write_bytes(b"old")
    path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(path)
    write(link, 2)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_bytes() != b"old"
    new = tmp_path / "new"
    write(new, 2)
    assert new.read_bytes() == path.read_bytes()
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(new.stat().st_mode) == 0o666 & ~mask


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        vp.save(tmp_path / "no" / "model", NET, NET.init())
    with pytest.raises(IsADirectoryError, match="it is a directory"):
        vp.save(tmp_path, NET, NET.init())
    assert not list(tmp_path.iterdir())
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="a device or a pipe"):
        vp.save(tmp_path / "pipe", NET, NET.init())
    vp.save(tmp_path / ("m" * 255), NET, NET.init())  # the longest name there is
