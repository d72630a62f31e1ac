"""What CuPy makes of our functions, traced by the real library without a GPU: kernels, their dtypes, memory orders.

Nothing is computed by them: the arrays have an address and no memory. What the kernels compute is tested on a GPU, with
`make gpu`; a kernel of our own is compiled for the CPU, too.
"""

import ctypes
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

import vecprop as vp
from helpers import assert_near, cases
from vecprop import activations, losses, propagation
from vecprop.backend.contract import cut_along
from vecprop.nn import dropout
from vecprop.training import optimizers
from vecprop.training.epochs import _last_stage
from vecprop.training.training_pass import BoundMethod, Fused, FusedLoss, Pass, SoftmaxLoss

cupy = pytest.importorskip("cupy")
xp = pytest.importorskip("array_api_compat.cupy")
vecprop_cupy = pytest.importorskip("vecprop_cupy")
fusion = pytest.importorskip("cupy._core.fusion")
from vecprop_cupy import gradients, softmax  # noqa: E402


def array(shape, dtype="float32", strides=None):
    """An array with a shape, a dtype and strides, and an address at which there is nothing."""
    memory = cupy.cuda.UnownedMemory(2**20, 2**40, None, device_id=0)
    return cupy.ndarray(shape, dtype, memptr=cupy.cuda.MemoryPointer(memory, 0), strides=strides)


def traced(function, *arrays):
    """Return the dtypes of what `cupy.fuse` makes one kernel for; it raises what `cupy.fuse` raises."""
    local = fusion._fusion_thread_local.thread_local
    local.history, local.is_old_fusing = fusion._FusionHistory(), True
    try:
        kernel, _ = local.history.get_fusion(lambda *given: function(*given), arrays, "traced")
    finally:
        local.history, local.is_old_fusing = None, False
    assert isinstance(kernel, cupy.ElementwiseKernel)
    return [p.dtype.name for p in kernel.out_params]


class Recorder:
    """A `fuse` that traces a function when it is called, and returns what it was called with."""

    def __init__(self):
        self.dtypes = []

    def __call__(self, function):
        def call(*arrays):
            self.dtypes.append(traced(function, *arrays))
            return arrays[0]

        return call


ELEMENTWISE = [
    kind()
    for kind in vars(activations).values()
    if isinstance(kind, type) and issubclass(kind, activations.Activation)
    if kind not in (activations.Activation, activations.Custom) and kind.elementwise
]


@pytest.mark.parametrize("g", ELEMENTWISE, ids=lambda g: g.name)
def test_an_activation_is_one_kernel_each_way(g, dtype):
    record, Z = Recorder(), array((3, 4), dtype)
    fused = Fused(g, record)
    fused.function(xp, Z)
    fused.backward(xp, Z, Z, Z)
    assert record.dtypes == [[dtype], [dtype]]


@cases(
    (losses.BinaryCrossEntropy(), activations.Sigmoid()),
    (losses.BinaryCrossEntropy(smoothing=0.1), activations.Sigmoid()),
    (losses.SquaredError(), activations.Identity()),
    (losses.SquaredError(), activations.Tanh()),
    (losses.Huber(2.0), activations.Identity()),
    (losses.Poisson(), activations.Exp()),
    ids=lambda value: value.name,
)
def test_a_loss_is_one_kernel_each_way(loss, output, dtype):
    record, Z = Recorder(), array((3, 4), dtype)
    fused = FusedLoss(loss, record)
    fused.values(xp, output, Z, Z, Z)
    fused.dZ(xp, output, Z, Z, Z)
    assert record.dtypes == [[dtype], [dtype]]


@cases(
    optimizers.GradientDescent(), optimizers.Momentum(nesterov=True), optimizers.SGD(), optimizers.RMSProp(),
    optimizers.Adam(),
    ids=lambda o: type(o).__name__,
)  # fmt: skip
def test_an_update_is_one_kernel(optimizer, dtype):
    """Of one buffer for all parameters; the rates are 0-d arrays."""
    P, rate = array((10, 1), dtype), array((), dtype)
    numbers = [rate] * (2 if isinstance(optimizer, optimizers.Adam) else 1)
    outputs = traced(BoundMethod(optimizer, "rule", xp), P, P, *[P] * optimizer.slot_count, *numbers)
    assert outputs == [dtype] * (1 + optimizer.slot_count)


@pytest.mark.parametrize("shape", [(), (5,)])
def test_the_correction_of_adam_is_one_kernel(shape):
    number = array(shape)
    assert traced(BoundMethod(optimizers.Adam(), "_correction", xp), number, number, number) == ["float32"] * 4


def test_a_mask_is_two_kernels():
    """The words of all entries, of 32 bits, and what the keys of a step make of them."""
    key, unit, column, word = (array(shape, "uint32") for shape in ((1, 1), (3, 1), (1, 7), (3, 7)))
    assert traced(dropout.Word(xp), unit, column) == ["uint32"]
    assert traced(dropout.Kept(xp, 0.5, cupy.float32), key, key, word) == ["float32"]


def test_batches_are_operands_as_they_are():
    """In rows of memory a batch is contiguous; cut out of columns it is not, and each product would copy it."""
    n, m, size = 6, 50, 8
    X = array((n, m), strides=(4, 4 * n))  # as `spread` leaves it
    cut = cut_along(xp, X, -1, m // size, size)
    assert cut.shape == (m // size, n, size) and cut[2].flags.f_contiguous
    assert X[..., m - m % size :].flags.f_contiguous
    plain = cut_along(xp, array((n, m)), -1, m // size, size)[2]
    assert not plain.flags.f_contiguous and not plain.flags.c_contiguous


def test_only_what_is_multiplied_is_arranged():
    """X here is in rows of memory already, so that nothing has to be computed."""
    backend = object.__new__(vecprop_cupy.CuPyBackend)
    backend.xp = vecprop_cupy.array_api_compat.cupy
    placement = vecprop_cupy.CuPyPlacement(backend)
    X, Y = array((3, 4), strides=(4, 12)), array((2, 4))
    arranged, same, none = placement.spread((X, Y, None), batches=True)
    assert arranged.flags.f_contiguous and same is Y and none is None
    assert placement.spread((X, Y, None), batches=False)[0] is X


# --- kernels of our own, compiled for the CPU -------------------------------------------------------------------

# A block's threads are threads, one block after the other; what CUDA adds to C++ is what these lines say it is.
ON_A_CPU = """
#include <barrier>
#include <cmath>
#include <thread>
#include <vector>
using std::exp; using std::log1p;
struct Index { int x, y; };
static thread_local Index threadIdx; static Index blockIdx; static std::barrier<>* together;
#define __global__
#define __shared__ static
#define __syncthreads() together->arrive_and_wait()
"""
LAUNCH = """
extern "C" void launch(int blocks, const T* Z, const T* Y, T* L, T* dZ, long long n, long long m, long long columns,
                       long long y_stack, long long y_row, long long y_column, T kept, T spread) {
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
        std::barrier<> all(COLUMNS * SLICES);
        together = &all;
        std::vector<std::thread> threads;
        for (int t = 0; t < COLUMNS * SLICES; ++t) threads.emplace_back([=] {
            threadIdx = {t % COLUMNS, t / COLUMNS};
            softmax_cross_entropy(Z, Y, L, dZ, n, m, columns, y_stack, y_row, y_column, kept, spread);
        });
        for (auto& thread : threads) thread.join();
    }
}
"""


def compiled(folder, source, name):
    """A function of C++ source, compiled for the CPU."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++")
    (folder / "kernel.cpp").write_text(source)
    words = [compiler, "-std=c++20", "-O1", "-shared", "-fPIC", "-pthread", "kernel.cpp", "-o", "kernel.so"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=120)
    return getattr(ctypes.CDLL(str(folder / "kernel.so")), name)


@pytest.fixture(scope="module", params=["float32", "float64"])
def on_a_cpu(request, tmp_path_factory):
    """The kernel of a dtype as a function (Z, Y, smoothing) of NumPy arrays."""
    dtype = request.param
    launch = compiled(tmp_path_factory.mktemp("kernel"), ON_A_CPU + softmax.source(dtype) + LAUNCH, "launch")
    real = ctypes.c_float if dtype == "float32" else ctypes.c_double
    launch.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 4, *[ctypes.c_longlong] * 6, real, real]

    def compute(Z, Y, smoothing):
        L, dZ = np.full((*Z.shape[:-2], 1, Z.shape[-1]), 7, dtype), np.full_like(Z, 7)
        sizes = softmax.arguments(Z, Y, smoothing)
        launch(-(-sizes[2] // softmax.COLUMNS), *(a.ctypes.data for a in (Z, Y, L, dZ)), *sizes)
        return L, dZ

    compute.dtype = dtype
    return compute


@pytest.mark.parametrize("shape", [(10, 70), (3, 1), (2, 33), (21, 32), (4, 5, 19)])
@pytest.mark.parametrize("y", ["rows", "cut from more columns", "shared"])
def test_the_softmax_kernel(on_a_cpu, shape, y):
    """Against the loss of the core: sizes that blocks and slices do not divide, stacks, Y in any memory order."""
    n, m = shape[-2:]
    random = np.random.default_rng(0)
    Z = (5 * random.standard_normal(shape)).astype(on_a_cpu.dtype)
    Z[..., 0, 0], Z[..., 1, 0] = 80.0, 80.0  # two that are the largest
    of_y = (n, m) if y == "shared" else shape
    Y = np.moveaxis(np.eye(n)[random.integers(n, size=(*of_y[:-2], m))], -1, -2).astype(Z.dtype)
    if y == "cut from more columns":
        wide = np.zeros((*Y.shape[:-1], 3 * m), Z.dtype)
        wide[..., m : 2 * m] = Y
        Y = wide[..., m : 2 * m]
    for smoothing in (0.0, 0.2):
        loss, softmax = losses.CrossEntropy(smoothing), activations.Softmax()
        L, dZ = on_a_cpu(Z, Y, smoothing)
        exact, target = Z.astype(np.float64), Y.astype(np.float64)
        A = softmax.function(np, exact)
        bound = 4 * np.finfo(Z.dtype).eps
        expected = loss.values(np, softmax, exact, A, target).sum(axis=-2, keepdims=True)
        np.testing.assert_allclose(L, expected, rtol=bound, atol=bound)
        np.testing.assert_allclose(dZ, loss.dZ(np, softmax, exact, A, target), rtol=0, atol=bound)


def test_the_softmax_kernel_of_extreme_numbers(on_a_cpu):
    Z = np.array([[0, -1e4, 1e30, np.nan, 0], [0, 1e4, -1e30, 0, np.inf], [0, 0, 0, 0, 0]], dtype=on_a_cpu.dtype)
    Y = np.zeros_like(Z)
    Y[1] = 1
    L, dZ = on_a_cpu(Z, Y, 0.0)
    np.testing.assert_allclose(L[0, :2], [np.log(3), 0], rtol=1e-6)
    assert L[0, 2] == np.float64(2e30).astype(Z.dtype) and np.isnan(L[0, 3:]).all()
    np.testing.assert_allclose(dZ[:, :3], [[1 / 3, 0, 1], [-2 / 3, 0, -1], [1 / 3, 0, 0]], rtol=1e-6)


@pytest.mark.parametrize("n", [3, 21])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_the_softmax_kernel_of_nearly_certain_examples(on_a_cpu, n, row):
    """All digits of a loss near 0, wherever the largest of a column is: two others are e^-g of it."""
    g = np.array([5.0, 20.0, 36.0, 40.0, 60.0], dtype=on_a_cpu.dtype)
    Z, Y = np.full((n, 5), -1e4, dtype=g.dtype), np.zeros((n, 5), dtype=g.dtype)
    Z[:3], Z[row], Y[row] = 0, g, 1
    L, _ = on_a_cpu(Z, Y, 0.0)
    np.testing.assert_allclose(L[0], np.log1p(2 * np.exp(-g.astype(np.float64))), rtol=4 * np.finfo(g.dtype).eps)


JOIN = """
extern "C" void join(const double* a0, const double* a1, const double* a2, long long n0, long long n1, long long n2,
                     long long width, double* place, long long size) {
    for (long long i = 0; i < size; ++i) { double out; OPERATION; place[i] = out; }
}
"""


def test_the_kernel_that_joins(tmp_path):
    join = compiled(tmp_path, JOIN.replace("OPERATION", gradients.joining(3).operation), "join")
    join.argtypes = [*[ctypes.c_void_p] * 3, *[ctypes.c_longlong] * 4, ctypes.c_void_p, ctypes.c_longlong]
    for stack in (1, 4):
        columns = [np.random.default_rng(n).random((stack, n, 1)) for n in (5, 1, 3)]
        found = np.empty((stack, 9, 1))
        join(*(a.ctypes.data for a in columns), 5, 1, 3, 9, found.ctypes.data, found.size)
        np.testing.assert_array_equal(found, np.concatenate(columns, axis=1))


def test_a_loss_of_ones_own_is_not_replaced():
    """Neither by the kernel nor by one that another of its class shares."""

    class Twice(losses.CrossEntropy):
        def values(self, *arguments):
            return 2 * super().values(*arguments)

    backend = SimpleNamespace(softmax_cross_entropy=lambda *_: None, fuses=True, fuse=lambda f: f)
    for output in ("softmax", "sigmoid"):
        net = vp.Network((3, 4), output=output, loss=Twice())
        assert _last_stage(backend, net) == (net.output, net.loss)
    assert isinstance(_last_stage(backend, vp.Network((3, 4), output="softmax"))[1], SoftmaxLoss)


def test_a_pass_with_the_softmax_kernel(on_a_cpu):
    """In the place of the output and the loss, weights included."""
    net = vp.Network((3, 5, 4), output="softmax", loss=losses.CrossEntropy(0.1))
    random = np.random.default_rng(1)
    X, w = random.standard_normal((3, 40)).astype(on_a_cpu.dtype), random.uniform(size=40).astype(on_a_cpu.dtype)
    Y = np.eye(4, dtype=X.dtype)[:, random.integers(4, size=40)]
    params = net.init(dtype=on_a_cpu.dtype)
    output, loss = _last_stage(SimpleNamespace(softmax_cross_entropy=on_a_cpu, fuses=True), net)
    J, grads = propagation.gradients(Pass((*net.hidden, output), net.output, loss), params, X, Y, w)
    expected_J, expected = propagation.gradients(net, params, X, Y, w)
    bound = 20 * np.finfo(X.dtype).eps
    np.testing.assert_allclose(J, expected_J, rtol=bound)
    assert_near(grads, expected, atol=bound)
