"""What only a GPU can show: arrays that stay on the device, and backends that share it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest

import vecprop as vp
from helpers import backend_or_skip, host, make_problem
from vecprop.backend.transfer import to_backend

pytestmark = pytest.mark.gpu
X, Y = vp.datasets.moons(m=203)
NET = vp.Network((2, 16, 8, 1))
ARGUMENTS = {"optimizer": vp.Adam(0.01), "epochs": 20, "batch_size": 32, "dropout": 0.2, "dtype": "float64"}


def gpu(name):
    backend = backend_or_skip(name)
    if not backend.has_gpu:
        pytest.skip(f"{name} has no GPU here")
    return backend


def on_the_device(library, values):
    """An array on the GPU."""
    if library == "torch":
        return pytest.importorskip("torch").tensor(values, device="cuda")
    return gpu(library).asarray(values)


def address(array):
    """Where its numbers are."""
    if hasattr(array, "data_ptr"):  # PyTorch
        return array.data_ptr()
    return array.data.ptr if hasattr(array, "get") else array.unsafe_buffer_pointer()


@pytest.mark.parametrize("name", ["cupy", "jax"])
@pytest.mark.parametrize("library", ["cupy", "jax", "torch"])
def test_an_array_on_the_device_is_taken_as_it_is(name, library):
    """By DLPack: the numbers are where they were, and JAX would refuse to bring them from the host or to it."""
    backend = gpu(name)
    array = on_the_device(library, np.arange(6, dtype=np.float32).reshape(2, 3))
    place, guard = address(array), nullcontext()
    if "jax" in (name, library):
        import jax

        guard = jax.transfer_guard("disallow")
    with guard:
        taken = to_backend(backend, "X", array)
    assert address(taken) == place
    np.testing.assert_array_equal(host(taken), np.arange(6).reshape(2, 3))


@pytest.mark.parametrize("name", ["cupy", "jax"])
@pytest.mark.parametrize("library", ["cupy", "jax", "torch"])
def test_arrays_on_the_device_are_trained_on(name, library):
    backend = gpu(name)
    x, y = (on_the_device(library, a) for a in (X, Y))
    expected = vp.fit(NET, X, Y, backend="numpy", **ARGUMENTS)
    result = vp.fit(NET, x, y, backend=backend, **ARGUMENTS)
    np.testing.assert_allclose(host(result.params[0].W), expected.params[0].W, rtol=0, atol=1e-10)


def test_two_backends_share_the_device():
    """One after the other, and at the same time in two threads."""
    backends = [gpu("cupy"), gpu("jax")]
    expected = vp.fit(NET, X, Y, backend="numpy", **ARGUMENTS)

    def difference(backend):
        result = vp.fit(NET, X, Y, backend=backend, **ARGUMENTS)
        return max(float(np.abs(host(a.W) - b.W).max()) for a, b in zip(result.params, expected.params, strict=True))

    assert max(difference(backend) for backend in 2 * backends) < 1e-10
    with ThreadPoolExecutor(2) as pool:
        assert max(pool.map(difference, 3 * backends)) < 1e-10


@pytest.mark.parametrize("seed", [0, (0, 1, 2)])
def test_fast_products_of_cupy_are_those_of_stacks_too(seed):
    net = vp.Network((64, 32, 10), output="softmax")
    backend = gpu("cupy")
    params = net.init(seed=seed, backend="cupy")
    X, Y = (backend.asarray(a, "float32") for a in make_problem(net, 128)[1:3])
    exact, fast = [], []
    for precision, found in (("highest", exact), ("fast", fast)):
        with vp.use_precision(precision):
            found += [host(a) for layer in net.gradients(params, X, Y)[1] for a in layer]
    assert not all(np.array_equal(a, b) for a, b in zip(exact, fast, strict=True))
    for a, b in zip(exact, fast, strict=True):
        assert np.linalg.norm(a - b) < 1e-2 * np.linalg.norm(a)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stack", [(), (3,)])
@pytest.mark.parametrize("sizes", [(2, 1), (40, 130, 3), (5,) * 40])
def test_gradients_of_cupy_are_joined_and_their_norms_taken(dtype, stack, sizes):
    """More columns than a kernel takes, and matrices wider than a block of threads."""
    backend, layers = gpu("cupy"), []
    random = np.random.default_rng(0)
    for n, p in pairwise(sizes):
        layers.append(vp.Layer(*(random.normal(size=(*stack, n, k)).astype(dtype) for k in (p, 1))))
    columns = [a.reshape(*stack, -1, 1) for layer in layers for a in layer]
    found = backend.joined([backend.asarray(a) for a in columns])
    np.testing.assert_array_equal(host(found), np.concatenate(columns, axis=-2))
    norms = backend.gradient_norms(tuple(vp.Layer(*map(backend.asarray, layer)) for layer in layers))
    expected = np.stack([np.linalg.norm(W, axis=(-2, -1)) for W, _ in layers], axis=-1)
    np.testing.assert_allclose(host(norms), expected, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("given", ["float32", "float64"])
@pytest.mark.parametrize("wanted", ["float32", "float64", None])
@pytest.mark.parametrize("order", ["C", "F", "cut"])
def test_large_arrays_come_to_cupy_without_a_copy_in_pinned_memory(given, wanted, order):
    cupy, backend, asked = pytest.importorskip("cupy"), gpu("cupy"), []
    values = np.random.default_rng(0).normal(size=(300, 2000)).astype(given, order="F" if order == "F" else "C")
    values = values[:, ::2] if order == "cut" else values
    pinned = cupy.cuda.PinnedMemoryPool()
    cupy.cuda.set_pinned_memory_allocator(lambda size: asked.append(size) or pinned.malloc(size))
    try:
        array = backend.asarray(values, wanted)
    finally:
        cupy.cuda.set_pinned_memory_allocator(cupy.get_default_pinned_memory_pool().malloc)
    assert (sum(asked) > 0) == (order == "cut") and array.flags.f_contiguous == (order == "F")
    expected = values.astype(wanted or given)
    values[...] = 0
    np.testing.assert_array_equal(host(array), expected)
