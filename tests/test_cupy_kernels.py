"""What CuPy makes of our functions, traced by the real library without a GPU: kernels, their dtypes, memory orders.

Nothing is computed: the arrays have an address and no memory. What the kernels compute is tested on a GPU (`make gpu`).
"""

import pytest

from vecprop import activations, dropout, losses, optimizers
from vecprop.backend import cut_columns
from vecprop.stages import Fused, FusedLoss

cupy = pytest.importorskip("cupy")
xp = pytest.importorskip("array_api_compat.cupy")
vecprop_cupy = pytest.importorskip("vecprop_cupy")
fusion = pytest.importorskip("cupy._core.fusion")


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
    if isinstance(kind, type)
    and issubclass(kind, activations.Activation)
    and kind is not activations.Activation
    and kind is not activations.Custom
    and kind.elementwise
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("g", ELEMENTWISE, ids=lambda g: g.name)
def test_an_activation_is_one_kernel_each_way(g, dtype):
    record, Z = Recorder(), array((3, 4), dtype)
    fused = Fused(g, record)
    fused.function(xp, Z)
    fused.backward(xp, Z, Z, Z)
    assert record.dtypes == [[dtype], [dtype]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("loss", "output"),
    [
        (losses.BinaryCrossEntropy(), activations.Sigmoid()),
        (losses.BinaryCrossEntropy(smoothing=0.1), activations.Sigmoid()),
        (losses.SquaredError(), activations.Identity()),
        (losses.SquaredError(), activations.Tanh()),
        (losses.Huber(2.0), activations.Identity()),
        (losses.Poisson(), activations.Exp()),
    ],
    ids=lambda value: value.name,
)
def test_a_loss_is_one_kernel_each_way(loss, output, dtype):
    record, Z = Recorder(), array((3, 4), dtype)
    fused = FusedLoss(loss, record)
    fused.values(xp, output, Z, Z, Z)
    fused.dZ(xp, output, Z, Z, Z)
    assert record.dtypes == [[dtype], [dtype]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.GradientDescent(),
        optimizers.Momentum(nesterov=True),
        optimizers.SGD(),
        optimizers.RMSProp(),
        optimizers.Adam(),
    ],
    ids=lambda o: type(o).__name__,
)
def test_an_update_is_one_kernel(optimizer, dtype):
    """Of one buffer for all parameters; the rates are 0-d arrays."""
    P, rate = array((10, 1), dtype), array((), dtype)
    numbers = [rate] * (2 if isinstance(optimizer, optimizers.Adam) else 1)
    outputs = traced(optimizers.Rule(optimizer, xp), P, P, *[P] * optimizer.slot_count, *numbers)
    assert outputs == [dtype] * (1 + optimizer.slot_count)


@pytest.mark.parametrize("shape", [(), (5,)])
def test_the_correction_of_adam_is_one_kernel(shape):
    number = array(shape)
    assert traced(optimizers.Correction(optimizers.Adam(), xp), number, number, number) == ["float32"] * 4


def test_a_mask_is_one_kernel():
    """All twenty rounds of the generator on 32-bit words, and the four entries that they decide."""
    key, unit, column = array((1, 1), "uint32"), array((3, 1), "uint32"), array((1, 7), "uint32")
    assert traced(dropout.Kept(xp, 0.5, cupy.float32), key, key, unit, column) == ["float32"] * 4
    assert traced(lambda *words: dropout.threefry(xp, *words), key, key, unit, column) == ["uint32"] * 2


def test_batches_are_operands_as_they_are():
    """In rows of memory a batch is contiguous; cut out of columns it is not, and each product would copy it."""
    n, m, size = 6, 50, 8
    X = array((n, m), strides=(4, 4 * n))  # as `arrange` leaves it
    cut = cut_columns(xp, X, m // size, size)
    assert cut.shape == (m // size, n, size) and cut[2].flags.f_contiguous
    assert X[..., m - m % size :].flags.f_contiguous
    plain = cut_columns(xp, array((n, m)), m // size, size)[2]
    assert not plain.flags.f_contiguous and not plain.flags.c_contiguous


def test_only_what_is_multiplied_is_arranged():
    """X here is in rows of memory already, so that nothing has to be computed."""
    backend = object.__new__(vecprop_cupy.CuPyBackend)
    X, Y = array((3, 4), strides=(4, 12)), array((2, 4))
    arranged, same, none = backend.spread((X, Y, None), batches=True)
    assert arranged.flags.f_contiguous and same is Y and none is None
    assert backend.spread((X, Y, None), batches=False)[0] is X
