"""Choosing a backend, what a backend does, and what it says when it cannot: selection, dtypes, precision."""

import copy
import pickle
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

import vecprop as vp
from helpers import assert_grads_close, backend_or_skip, cases, make_problem, on
from helpers.processes import TESTS, environment, python
from vecprop.backend import scoped_settings, selection


def fresh(code, **more):
    """Run code in a fresh interpreter, where nobody has chosen anything for JAX."""
    return python("-c", code, env=environment("JAX", "XLA", **more), check=False)


def test_argument_beats_use_backend_beats_environment_beats_numpy(monkeypatch, jax_backend):
    assert vp.get_backend().name == "numpy"
    monkeypatch.setenv("VECPROP_BACKEND", "jax")  # read at use, so setting it after the import works
    assert vp.get_backend() is jax_backend
    with vp.use_backend("numpy") as chosen:
        assert vp.get_backend() is chosen
        assert vp.get_backend("jax") is jax_backend
        with vp.use_backend("jax"):
            assert vp.get_backend() is jax_backend
        assert vp.get_backend() is chosen
    assert vp.get_backend() is jax_backend
    vp.use_backend("numpy")  # without `with` it lasts
    assert vp.get_backend().name == "numpy"
    monkeypatch.setenv("VECPROP_BACKEND", "")
    scoped_settings.clear()
    assert vp.get_backend().name == "numpy"


@pytest.mark.parametrize("name", ["nunpy", "jaxx", "tensorflow", ""])
def test_unknown_backend(name, monkeypatch):
    with pytest.raises(vp.UnknownBackendError, match=r"unknown backend '.*Known: auto, cupy, jax, numpy") as caught:
        vp.get_backend(name)
    assert isinstance(caught.value, ValueError)
    if name == "nunpy":
        assert "did you mean 'numpy'?" in str(caught.value)
    monkeypatch.setenv("VECPROP_BACKEND", name or "x")
    with pytest.raises(vp.UnknownBackendError, match="VECPROP_BACKEND"):
        vp.get_backend()


@pytest.mark.parametrize("name", ["jax", "cupy"])
def test_not_installed_gives_the_install_command(name):
    """A fresh interpreter in which the library cannot be found."""
    code = (
        f"import sys; sys.modules[{name!r}] = None; sys.modules['array_api_compat.cupy'] = None\n"
        "import vecprop as vp\n"
        f"try: vp.get_backend({name!r})\n"
        "except vp.BackendNotInstalledError as e: print(isinstance(e, ImportError), e)"
    )
    out = fresh(code)
    assert out.stdout.startswith(f"True backend '{name}' is not installed"), out
    assert f'pip install "vecprop[{name}]"' in out.stdout


def test_cupy_without_a_gpu_gives_the_drivers_words():
    """The real CuPy imports anywhere; without a device it must be reported unusable, with the reason."""
    pytest.importorskip("cupy")
    try:
        backend = vp.get_backend("cupy")
    except vp.BackendUnusableError as error:
        assert isinstance(error, RuntimeError)
        assert "installed but unusable here" in str(error)
        assert "cuda" in str(error).lower()
        status = vp.backends()["cupy"]
        assert (status.usable, status.active) == (False, False)
        assert status.detail == str(error)
    else:
        assert backend.has_gpu


def test_auto(jax_backend, monkeypatch):
    """JAX with a GPU, else CuPy with a device, else NumPy."""
    expected = "jax" if jax_backend.has_gpu else "numpy"
    monkeypatch.setenv("VECPROP_BACKEND", "auto")
    assert vp.get_backend().name == expected
    monkeypatch.setattr(type(jax_backend), "has_gpu", True)
    assert vp.get_backend("auto") is jax_backend


def test_status_of_all(jax_backend):
    with vp.use_backend(jax_backend):
        table = vp.backends()
    assert list(table)[:3] == ["numpy", "cupy", "jax"]
    assert [s.name for s in table.values() if s.active] == ["jax"]
    assert table["numpy"].usable
    assert f"numpy {np.__version__}" in table["numpy"].detail
    assert "* jax" in str(table)


def test_third_party_backend(tmp_path):
    """A distribution of its own, installed with pip, is found by its entry point and computes."""
    pytest.importorskip("hatchling")
    pytest.importorskip("array_api_strict")
    source = TESTS / "third_party" / "vecprop_strict"
    install = ("-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index")
    python(*install, "--target", tmp_path, source)
    code = (
        "import vecprop as vp\n"
        "X, Y = vp.datasets.moons(m=40)\n"
        "net = vp.Network((2, 5, 1), hidden='relu')\n"
        "run = vp.fit(net, X, Y, epochs=3, batch_size=16)\n"
        "print(vp.get_backend().name, type(run.params[0].W).__module__.split('.')[0], vp.backends()['strict'].usable)\n"
        "same = vp.fit(net, X, Y, epochs=3, batch_size=16, backend='numpy')\n"
        "print(abs(run.history['cost'][-1] - same.history['cost'][-1]) < 1e-13)\n"
        "try: vp.get_backend('strickt')\n"
        "except ValueError as e: print(e)"
    )
    out = fresh(code, path=tmp_path, VECPROP_BACKEND="strict")
    assert out.stdout.splitlines()[:2] == ["strict array_api_strict True", "True"], out
    assert "did you mean 'strict'?" in out.stdout


WRONG = vp.Backend(np, "wrong")
WRONG.to_numpy = np.zeros_like


@cases(
    (mock.Mock(side_effect=OSError("libcudart.so.12: no")), "installed but cannot be loaded: OSError: libcudart"),
    (lambda: WRONG, "computes 1 @ 1 = 0"),
)
def test_a_library_that_is_broken_is_unusable_not_missing(make, message, monkeypatch):
    monkeypatch.setitem(selection.BUILT_IN, "broken", ("helpers:make", "pip install broken"))
    monkeypatch.setattr("helpers.make", make, raising=False)
    with pytest.raises(vp.BackendUnusableError, match=message):
        vp.get_backend("broken")


FLOAT64 = """
import warnings; warnings.simplefilter("error")
import jax, numpy as np, vecprop as vp
net = vp.Network((2, 3, 1)); X, Y = vp.datasets.xor(m=8)
vp.use_backend("jax"); b = vp.get_backend()
params = net.init(dtype="float64"); X, Y = b.asarray(X), b.asarray(Y)
J, grads = net.gradients(params, X, Y, l2=0.1, block_size=3)
print(params[0].W.dtype, X.dtype, net.forward(params, X).dtype, J.dtype, grads[0].W.dtype)
run = vp.fit(net, X, Y, epochs=2, batch_size=3)
print(run.params[1].b.dtype, vp.check_gradients(net, params, X, Y).passed)
try: net.forward(params, X.T)
except ValueError: pass
J, grads = net.gradients(net.init(), X, Y); print(J.dtype, grads[0].W.dtype)
print(jax.config.jax_enable_x64, jax.numpy.ones(1).dtype)
"""
X64_ON = """
import vecprop as vp; vp.use_backend("jax"); net = vp.Network((2, 3, 1), hidden="gelu")
X, Y = vp.datasets.xor(m=8); run = vp.fit(net, X.astype("float32"), Y, epochs=2, batch_size=3, l2=0.1)
b = vp.get_backend(); J, g = net.gradients(run.params, b.asarray(X, "float32"), b.asarray(Y, "float32"))
print(run.params[0].W.dtype, J.dtype, g[1].b.dtype)
"""
MEMORY = "import os, vecprop; vecprop.get_backend('jax'); print(os.environ.get('XLA_PYTHON_CLIENT_PREALLOCATE'))"


@pytest.mark.reliability
@cases(
    (FLOAT64, {}, [*["float64"] * 6, "True", "float32", "float32", "False", "float32"]),
    (X64_ON, {"JAX_ENABLE_X64": "1"}, ["float32"] * 3),
    (MEMORY, {}, ["false"]),
    (MEMORY, {"XLA_PYTHON_CLIENT_PREALLOCATE": "true"}, ["true"]),
    ("import jax; " + MEMORY, {}, ["None"]),
    ids=[
        "float64 leaves the global flag alone, also after an error", "x64 on keeps float32",
        "memory is not preallocated", "unless the user says so", "or has imported JAX already",
    ],
)  # fmt: skip
def test_what_jax_keeps_as_it_was(code, variables, printed):
    pytest.importorskip("jax")
    out = fresh(code, **variables)
    assert out.stdout.split() == printed, out


def test_precision_switch(monkeypatch):
    assert vp.get_precision() == "highest"
    monkeypatch.setenv("VECPROP_PRECISION", "fast")
    assert vp.get_precision() == "fast"
    with vp.use_precision("highest"):
        assert vp.get_precision() == "highest"
    monkeypatch.setenv("VECPROP_PRECISION", "fastt")
    with pytest.raises(ValueError, match=r"VECPROP_PRECISION: unknown precision 'fastt': did you mean 'fast'\?"):
        vp.get_precision()


def test_precision_reaches_jax(jax_backend):
    """The switch is in the compiled program: the products are marked with it."""
    import jax

    net = vp.Network((3, 4, 1))
    params, X, Y, _ = on(jax_backend, "float32", *make_problem(net, 5))
    texts = {}
    for precision in ("highest", "fast"):
        with jax_backend.scope("float32", precision):
            texts[precision] = str(jax.make_jaxpr(lambda p: vp.propagation.gradients(net, p, X, Y))(params))
    assert "Precision.HIGHEST" in texts["highest"]
    assert "Precision.HIGHEST" not in texts["fast"]
    assert texts["highest"] != texts["fast"]


def test_fast_precision_is_near_the_highest(backend):
    """On a GPU "fast" is TensorFloat-32: within 1e-3; on a CPU it is the same thing."""
    net = vp.Network((64, 32, 10), output="softmax")
    params, X, Y, _ = make_problem(net, 100)
    _, expected = net.gradients(params, X, Y)
    with vp.use_precision("fast"):
        _, grads = net.gradients(*on(backend, "float32", params, X, Y))
    assert_grads_close(grads, expected, bound=1e-3)
    _, grads = net.gradients(*on(backend, "float32", params, X, Y))
    assert_grads_close(grads, expected)


class Tensor:
    """As PyTorch's: a dtype with the library's name, and no DLPack while it requires a gradient."""

    def __init__(self, array, requires_grad=False):
        self.array, self.requires_grad, self.ndim = array, requires_grad, array.ndim
        self.dtype = f"torch.{array.dtype}"

    def detach(self):
        return Tensor(self.array)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __dlpack__(self, **options):
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return self.array.__dlpack__(**options)

    def __array_namespace__(self, api_version=None):
        return SimpleNamespace(
            __name__="tensors", asarray=lambda tensor, copy: Tensor(np.array(tensor.array, copy=copy, order="C"))
        )


CUT = {
    "whole": lambda a: a,
    "transposed": lambda a: a.T,
    "strided": lambda a: a[:, ::2],
    "columns": lambda a: a[:, 1:4],
    "one row": lambda a: a[1],
    "repeated": lambda a: np.lib.stride_tricks.as_strided(a, a.shape, (0, a.itemsize)),
}


@pytest.mark.parametrize("cut", CUT.values(), ids=CUT)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
def test_jax_takes_tensors_of_its_device_in_any_layout(jax_backend, monkeypatch, cut, dtype):
    monkeypatch.setattr("vecprop_jax.one_device.on_cuda", lambda _: True)
    values = cut((np.arange(24) % 7).reshape(4, 6).astype(dtype))
    for requires_grad in (False, True):
        taken = jax_backend.asarray(Tensor(values, requires_grad))
        assert taken.dtype == dtype
        np.testing.assert_array_equal(np.asarray(taken), values)
    assert jax_backend.asarray(Tensor(values), "float64").dtype == "float64"


@pytest.mark.parametrize(("flags", "level"), [("", "1"), ("--xla_backend_optimization_level=2 ", "2")])
def test_a_first_fit_compiles_its_epochs_alone_at_level_1_on_a_cpu_unless_told_otherwise(tmp_path, flags, level):
    pytest.importorskip("jax")
    code = (
        "import vecprop as vp; X, Y = vp.datasets.xor(m=8)\n"
        "vp.fit(vp.Network((2, 3, 1)), X, Y, epochs=2, backend='jax')"
    )
    done = fresh(code, JAX_PLATFORMS="cpu", XLA_FLAGS=f"{flags}--xla_dump_to={tmp_path}")
    assert done.returncode == 0, done.stderr
    (options,) = tmp_path.glob("*.debug_options")  # of the only program that is compiled
    assert "jit_epoch" in options.name
    assert f"xla_backend_optimization_level: {level}\n" in options.read_text(encoding="utf-8") + "\n"


def test_fits_compile_few_programs_beside_their_epochs(tmp_path):
    """An operation outside a compiled function is a program of its own for each shape, of 10 ms and more."""
    pytest.importorskip("jax")
    code = (
        "import vecprop as vp; X, Y = vp.datasets.xor(m=8); net = vp.Network((2, 3, 1))\n"
        "how = {'epochs': 2, 'backend': 'jax', 'standardize': True, 'batch_norm': True}\n"
        "state = vp.fit(net, X, Y, **how).state; vp.fit(net, X, Y, state=state, **how)\n"
        "vp.fit(net, X, Y, optimizer=vp.LBFGS(), epochs=2, backend='jax')"
    )
    done = fresh(code, JAX_PLATFORMS="cpu", XLA_FLAGS=f"--xla_dump_to={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.debug_options"))) <= 10


@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_what_holds_a_backend_is_pickled_and_copied_with_its_name(name):
    backend, (X, Y) = backend_or_skip(name), vp.datasets.xor(m=20)
    result = vp.fit(vp.Network((2, 3, 1)), X, Y, epochs=1, backend=name)
    for again in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert again.backend is backend and again.history == result.history
        np.testing.assert_array_equal(again.forward(X), result.forward(X))
