"""The NumPy backend's recorded programs against the plain functions they were recorded from."""

import threading
import weakref
from functools import partial
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

import vecprop as vp
from helpers import BOUNDS, PAIRINGS, PLAIN, assert_near, cases, flattened, make_problem, on
from helpers.processes import ROOT
from helpers.threads import in_threads
from vecprop import propagation
from vecprop.backend import Backend, blas
from vecprop.backend.namespaces import Bound, Static, array_namespace
from vecprop.nn.activations import sigmoid
from vecprop.nn.weight_penalties import Penalties
from vecprop.propagation import Layer
from vecprop.training.epochs import ByNetwork, Run, epoch
from vecprop.training.parameter_buffer import layout
from vecprop_numpy import loops, programs
from vecprop_numpy.frames import Frame
from vecprop_numpy.threads import BLAS, execute

NUMPY = vp.get_backend("numpy")


def assert_same(actual, desired, scale=1):
    """Same structure, shapes and dtypes; every array equal, norm-wise, within `scale` times the bound of its dtype."""

    def structure(tree):
        return (type(tree), [structure(entry) for entry in tree]) if isinstance(tree, tuple) else tree is None

    assert structure(actual) == structure(desired)
    for a, d in zip(flattened(actual), flattened(desired), strict=True):
        assert (a.shape, a.dtype) == (d.shape, d.dtype)
        if a.dtype.kind != "f":
            assert np.array_equal(a, d)
            continue
        assert np.array_equal(np.isfinite(a), np.isfinite(d))
        a, d = np.where(np.isfinite(a), a, 0), np.where(np.isfinite(d), d, 0)
        error = np.linalg.norm((a.astype(np.float64) - d).reshape(-1))
        # where a sum cancels there is no relative accuracy
        assert error <= scale * BOUNDS[str(d.dtype)] * max(float(np.linalg.norm(d.reshape(-1))), 1e-3)


def recorded(function, *args):
    """function(*args) by a recorded program, run twice; it fails if the function could not be recorded."""
    compiled = NUMPY.compile_loop(function)
    first = compiled(*args)
    assert compiled.idle, "it was not asked"
    assert None not in compiled.idle.values(), "it was run as it is"
    assert_same(compiled(*args), first, scale=0)
    return first


def check(function, *args, scale=1):
    assert_same(recorded(function, *args), function(*args), scale)


def rng(seed=0):
    return np.random.default_rng(seed)


def stacked(params, K):
    """K networks: the one given, each scaled a little differently."""
    factors = 1 + 0.1 * np.arange(K).reshape(K, 1, 1)
    return tuple(Layer(W * factors, b * factors) for W, b in params)


# The mathematics of the core


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("K", [None, 3])
@pytest.mark.parametrize(("output", "loss"), PAIRINGS)
def test_gradients_of_every_pairing(dtype, output, loss, K, weights):
    net = vp.Network((3, 5, 4), hidden="tanh", output=output, loss=loss)
    params, X, Y, w = make_problem(net, 17, weights=weights)
    params = params if K is None else stacked(params, K)
    args = on(NUMPY, dtype, params, X, Y, w)
    check(lambda *a: propagation.gradients(net, *a, 0.1), *args, scale=4)


@pytest.mark.parametrize("sizes", [(1, 1), (2, 1, 1), (1, 3, 1), (40, 10, 2)])
@pytest.mark.parametrize("m", [1, 2, 50])
@pytest.mark.parametrize("transposed", [False, True])
def test_shapes_and_layouts(dtype, sizes, m, transposed):
    net = vp.Network(sizes, hidden="relu")
    params, X, Y, _ = on(NUMPY, dtype, *make_problem(net, m))
    X = np.ascontiguousarray(X.T).T if transposed else X

    def function(params, X, Y):
        J, grads = propagation.gradients(net, params, X, Y)
        return J, grads, propagation.gradient_norms(grads), propagation.cost(net, params, X, Y)

    check(function, params, X, Y, scale=4)


def test_the_sigmoid_by_exp():
    """In float32; to the last bits, also of small values, and without overflow."""
    Z = np.concatenate([np.linspace(-86, 120, 20_001), [-1e30, -np.inf, 1e30, np.inf, np.nan]]).astype(np.float32)
    compiled = NUMPY.compile_loop(lambda Z: sigmoid(array_namespace(Z), Z))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        A = compiled(Z)
    ((program,),) = compiled.idle.values()
    assert np.exp in [function for function, _ in program.code]
    assert_near(A[:-5], 1 / (1 + np.exp(-Z[:-5].astype(np.float64))), rtol=4e-7)
    np.testing.assert_array_equal(A[-5:], np.array([0, 0, 1, 1, np.nan], np.float32))


def test_transposed_matrices_are_copied_for_some_kernels(monkeypatch):
    """The products are equal with and without."""
    found = []
    for kernels, rows, columns, m in (
        ("Haswell", 40, 45, 50),
        ("SkylakeX", 40, 45, 50),
        ("SkylakeX", 31, 60, 50),
        ("SkylakeX", 40, 44, 50),
        ("SkylakeX", 40, 45, 556),
    ):
        monkeypatch.setattr(BLAS, "architectures", lambda kernels=kernels: {kernels})
        dZ, A = rng(1).standard_normal((3, rows, m)), rng(2).standard_normal((3, columns, m))
        product = NUMPY.compile_loop(lambda dZ, A: dZ @ A.mT)
        assert_same(product(dZ, A), dZ @ A.swapaxes(1, 2), scale=4)
        ((program,),) = product.idle.values()
        found.append([function for function, _ in program.code])
    assert found == [[np.matmul], [np.copyto, np.matmul], *[[np.matmul]] * 3]


# Programs that wait for the next run of the same shape


def test_a_small_program_serves_other_data_and_the_next_run(monkeypatch):
    monkeypatch.setattr(programs, "SHELF", shelf := programs.Shelf())
    monkeypatch.setattr(programs, "Program", made := mock.Mock(wraps=programs.Program))
    net, results = vp.Network((3, 5, 1)), []
    for seed in range(3):
        _, X, Y, _ = make_problem(net, 20, seed)
        results += [vp.fit(net, X, Y, epochs=3, batch_size=8, optimizer=vp.Adam()).params for _ in range(2)]
    assert made.call_count == 1
    assert shelf.bytes == sum(p.bytes for kept in shelf.programs.values() for p in kept) > 0
    assert (results[0][0].W == results[1][0].W).all()
    assert (results[0][0].W != results[2][0].W).any()


def test_large_data_are_not_copied_into_a_program(monkeypatch):
    monkeypatch.setattr(programs, "SHELF", shelf := programs.Shelf())
    net = vp.Network((3, 5, 1))
    _, X, Y, _ = make_problem(net, 40000)
    vp.fit(net, X, Y, epochs=2, batch_size=8000)
    assert not shelf.programs


def test_gradients_in_blocks_are_recorded_once_and_keep_no_data(monkeypatch):
    monkeypatch.setattr(programs, "SHELF", programs.Shelf())
    made, program = [], programs.Program

    def noted(*arguments):
        made.append(arguments[0])
        return program(*arguments)

    monkeypatch.setattr(programs, "Program", noted)
    net, counts = vp.Network((3, 5, 2), hidden="tanh"), []
    for small in (1 << 22, 0):
        monkeypatch.setattr(programs.CompiledForCalls, "small", small)
        for seed in range(2):
            params, X, Y, w = make_problem(net, 50, seed, weights=True)
            whole, blocks = (net.gradients(params, X, Y, sample_weight=w, l2=0.1, block_size=b) for b in (None, 16))
            for a, desired in zip(flattened(blocks), flattened(whole), strict=True):
                np.testing.assert_allclose(a, desired, rtol=1e-12, atol=1e-14)
            kept = [weakref.ref(a) for a in (X, Y, w)]
            del X, Y, w
            assert [ref() for ref in kept] == [None] * 3
        counts.append(len(made))
    assert counts == [1, 3], "larger data are recorded in each call"


def test_the_shelf_lets_the_oldest_go(monkeypatch):
    monkeypatch.setattr(programs, "ALL_PROGRAMS", 100)
    shelf = programs.Shelf()
    for key in "abc":
        shelf.give(key, SimpleNamespace(bytes=40))
    assert (shelf.bytes, list(shelf.programs)) == (80, ["b", "c"])
    assert shelf.take("a") is None
    assert shelf.take("c").bytes == 40
    assert (shelf.take("c"), shelf.bytes) == (None, 40)


# Operations


def many_operations(xp, a, b, i):
    mean = xp.mean(a, axis=-1, keepdims=True)
    picked = xp.take(a, i, axis=1)
    pieces = [
        xp.where(a > b, a, b) + xp.where(a > 0, 1.0, a) + xp.where(xp.sum(a) > 0, a, b),
        xp.maximum(a, 0.0) * xp.minimum(b, 0.5) - xp.clip(a, -0.5, 0.5),
        xp.exp(a) / (1 + xp.abs(b)) ** 2 + xp.sqrt(xp.abs(a)) - xp.log1p(xp.abs(b)) * xp.expm1(a),
        (a - mean) * xp.sign(b) + a**3 + xp.astype(a >= b, a.dtype) * b,
        a[::2, :][[0, 1][1] : 2, :] + b[1:2, :],
    ]
    logic = (a > 0) & ~(b > 0) | (a == b)
    whole = xp.concat(pieces, axis=0)
    return (
        whole,
        xp.stack([xp.max(a), xp.min(b), xp.sum(a * b), xp.mean(a)]),
        xp.any(logic, axis=0),
        xp.all(xp.isfinite(whole)),
        picked @ xp.matrix_transpose(picked),
        xp.argmax(a, axis=1),
        xp.reshape(xp.matrix_transpose(a), (-1,)),
        xp.moveaxis(xp.reshape(b, (3, 2, 2)), 0, -1) * 2,
        xp.broadcast_to(a[0, :], (2, 4)) + xp.zeros((2, 4), dtype=a.dtype) + xp.eye(2, 4, dtype=a.dtype),
        xp.vecdot(a, b) + xp.ones_like(a)[:, 0] + xp.full((3,), 2.5, dtype=a.dtype) + xp.arange(3, dtype=a.dtype),
        xp.squeeze(xp.expand_dims(a, axis=0), 0) - xp.permute_dims(xp.permute_dims(b, (1, 0)), (1, 0)),
        (a, None, 3.5),
    )


def selections(xp, a, b, _):
    return (
        xp.where(a >= 0, a, 0.01 * a),
        xp.where(a > b, xp.matrix_transpose(xp.reshape(b, (90, 70))), b),
        xp.where(a > b, 1.0, xp.broadcast_to(b[:1, :], (70, 90))),
        xp.maximum(a, 0.0),
        xp.minimum(0.5, b[:, 1:]),
    )


def functions_of_numpy_itself(_, x, *__):
    scaled = np.multiply(np.ones(4, x.dtype), np.sin(x)) + np.float32(1) * x
    return scaled, np.where(x > 0, x, 0.0), np.sum(x, axis=0), np.maximum(0.0, x).sum(), np.concatenate([x, x])


def positive(xp, a, *_):
    return xp.maximum(a, 0.0)


@cases(
    (many_operations, (3, 4)),
    (selections, (70, 90)),
    (positive, (1, 16411)),  # a prime: it cannot be cut into rows
    (functions_of_numpy_itself, (3, 4)),
)
def test_operations(function, shape, dtype):
    a, b = (rng(seed).standard_normal(shape).astype(dtype) for seed in (0, 1))
    if function is selections:
        a[0, :3] = np.nan, np.inf, -0.0
    scale = 1 if function is selections else 4
    args = a, b, np.array([2, 0, 0])
    check(lambda *args: function(array_namespace(args[0]), *args), *args, scale=scale)


def test_long_sums_are_accurate():
    """Cut into pieces: added up in float32 without a break, five million squares are wrong by 1e-5."""
    x = rng().standard_normal((2, 2_500_001)).astype(np.float32)

    def function(x):
        xp = array_namespace(x)
        return xp.sum(x * x), xp.sum(x * x, axis=-1), xp.sum(xp.reshape(x * x, (2, 1, -1)), axis=(-2, -1))

    exact = (x.astype(np.float64) ** 2).sum(axis=1)
    assert_near(recorded(function, x), (exact.sum(), exact, exact), rtol=1e-6)


def test_results_keep_the_dtype():
    x = np.ones(3, np.float32)
    y = np.arange(3)
    result = recorded(lambda x, y: (x * 2.5 + 1, x + y, y / 2, y * 2, x > 1, x * np.float64(2)), x, y)
    assert [a.dtype.name for a in result] == ["float32", "float64", "float64", "int64", "bool", "float64"]


# What a compiled function promises


def test_arguments_are_left_alone_and_results_are_new():
    x, y = np.arange(4.0), np.ones(4)
    x.flags.writeable = False

    def function(pair):
        a, b = pair
        a = a + b
        a += b
        return a, b

    compiled = NUMPY.compile_loop(function)
    first = compiled((x, y))
    kept = first[0].copy()
    second = compiled((x + 1, y))
    assert np.array_equal(first[0], kept) and np.array_equal(second[0], kept + 1)
    assert not np.shares_memory(first[1], y) and not np.shares_memory(first[0], second[0])
    assert np.array_equal(y, np.ones(4)) and np.array_equal(x, np.arange(4.0))
    second[0][...] = 0
    assert np.array_equal(compiled((x, y))[0], kept)


def test_shapes_dtypes_structures_and_numbers_each_have_a_program():
    def scaled(n: Static[object], x, s):
        return (x[0] * s if isinstance(x, tuple) else x * s, n)

    compiled = NUMPY.compile_loop(scaled)
    x = np.ones(3, np.float32)
    for args in [(1, x, 2.0), (2, x, 3.0), (1, (x, None), 2.0), (1, np.ones(5), 2.0), (1, x, np.float64(4))] * 2:
        assert_same(compiled(*args), compiled.function(*args))
    assert len(compiled.idle) == 5


def test_bound_arrays_are_used_where_they_are():
    data = np.arange(6.0).reshape(2, 3)

    def product(p, data: Bound[tuple]):
        return p @ data[0]

    compiled = NUMPY.compile_loop(product)
    p = np.ones((1, 2))
    assert compiled(p, (data,)).tolist() == [[3, 5, 7]]
    data *= 2  # not allowed, and shows that there is no copy
    assert compiled(p, (data,)).tolist() == [[6, 10, 14]]
    assert compiled(p, (np.ones((2, 3)),)).tolist() == [[2, 2, 2]]
    assert compiled(p, (data,)).tolist() == [[6, 10, 14]]


@cases(
    lambda x: x if x[0] > 0 else -x,
    lambda x: x * float(x[1]),
    lambda x: np.linalg.norm(x) * x,
    lambda x: x[x > 0],
    lambda x: np.asarray(x) * 2,
    lambda x: np.array([v * 2 for v in x.tolist()]),
    lambda x: np.sum(x, 0, np.float32),  # NumPy's order of arguments, which is not the standard's
)
def test_what_cannot_be_recorded_runs_as_it_is(function):
    compiled = NUMPY.compile_loop(function)
    x = np.array([1.0, -2.0])
    assert np.array_equal(compiled(x), function(x))
    assert np.array_equal(compiled(x), function(x))


def test_a_product_with_a_vector():
    v, Z = rng().standard_normal(4), rng(1).standard_normal((4, 5))
    check(lambda v, Z: Z @ (v @ Z + 1), v, Z)


def test_errors_of_the_function_are_its_own():
    compiled = NUMPY.compile_loop(lambda x, y: x @ y)
    with pytest.raises(ValueError, match="matmul"):
        compiled(np.ones((2, 3)), np.ones((2, 3)))
    assert compiled(np.ones((1, 2)), np.ones((2, 1))).tolist() == [[2]]
    with pytest.raises(ZeroDivisionError):
        NUMPY.sum_blocks(lambda X: X * (1 / 0), 2, np.ones((1, 5)))


def test_custom_activations(dtype):
    def branching(Z):
        return Z if float(Z[0, 0]) > 1e9 else Z * Z

    for g in (lambda Z: Z * Z, lambda Z: np.square(Z), branching):
        net = vp.Network((2, 3, 1), hidden=(g, lambda Z: 2 * Z))
        args = on(NUMPY, dtype, *make_problem(net, 20)[:3])
        compiled = NUMPY.compile_loop(lambda *a, net=net: propagation.gradients(net, *a))
        assert_same(compiled(*args), propagation.gradients(net, *args), scale=4)
        total = NUMPY.sum_blocks(
            lambda X, Y, net=net, args=args: propagation.gradients(net, args[0], X, Y, m=20.0), 8, *args[1:]
        )
        assert_same(total, propagation.gradients(net, *args), scale=4)
        run = partial(vp.fit, net, *args[1:], params=args[0], epochs=2, batch_size=8)
        assert_same(run(backend=NUMPY).params, run(backend=PLAIN).params, scale=20)


def test_threads_do_not_share_a_program():
    compiled = NUMPY.compile_loop(lambda x: (x @ x + x) * 2)

    def work(k):
        x = rng(k).standard_normal((60, 60))
        return all(np.allclose(compiled(x), (x @ x + x) * 2) for _ in range(50))

    assert in_threads(4, work) == [True] * 4


# Loops


def adam_rule(p, g, M, V, a, e):
    xp = array_namespace(p)
    M = 0.9 * M + 0.1 * g
    V = 0.99 * V + 0.01 * g * g
    return p - a * M / (xp.sqrt(V) + e), M, V


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("block", [None, 8])
@pytest.mark.parametrize("batch_size", [10, 16, 50])
@pytest.mark.parametrize("orders", [0, 1, 4])
def test_epochs(dtype, orders, batch_size, block, weighted):
    """Training as the core does it, with ragged last batches, weights, blocks, and K orders for K networks."""
    net = vp.Network((9, 7, 2), hidden="relu")
    params, X, Y, w = make_problem(net, 50, weights=weighted)
    params, *data = on(NUMPY, dtype, stacked(params, orders) if orders > 1 else params, X, Y, w)
    order = np.stack([rng(k).permutation(50) for k in range(orders or 1)]).astype(np.int32)
    order = None if orders == 0 else order if orders > 1 else order[0]
    rates = np.linspace(0.01, 0.02, -(-50 // batch_size)).astype(dtype)
    run = Run(NUMPY, net, vp.Adam(), 50, batch_size, block, layout(params, orders > 1), (False,), (0.0,), None)
    args = (params, run.initial_slots(params), (), tuple(data), order, (rates,), ByNetwork(Penalties(None, None, 1.0)))
    assert_same(recorded(epoch, run, *args), epoch(run._replace(backend=PLAIN), *args), scale=20)


@pytest.mark.parametrize("threads", [1, 3])
def test_epochs_on_any_number_of_threads(monkeypatch, threads):
    """With every threshold lowered, so that all that can be done in parallel is."""
    monkeypatch.setattr("vecprop_numpy.programs.usable_threads", lambda: threads)
    names = {"blocks.SMALLEST_PARALLEL": 1, "loops.SMALLEST_PARALLEL_GATHER": 1, "blocks.CHUNK": 16}
    for name, value in names.items():
        monkeypatch.setattr(f"vecprop_numpy.{name}", value)
    test_epochs("float64", 1, 16, 4, True)
    test_epochs("float32", 0, 50, 7, False)


@pytest.mark.parametrize("more", [{}, {"dropout": 0.2, "sample_weight": np.arange(50) % 7}])
def test_a_batch_is_gathered_while_the_step_before_ends(monkeypatch, more):
    """The last batch is smaller, and the first of it is gathered by itself."""
    monkeypatch.setattr(programs, "usable_threads", lambda: 2)
    monkeypatch.setattr(programs, "SMALL_PROGRAM", 0)  # each fit records its own
    net, gathered = vp.Network((40, 6, 3), output="softmax"), []
    _, X, Y = make_problem(net, 50)[:3]
    gather = loops._ParallelGather.alone

    def noted(self, i):
        gathered.append((threading.current_thread() is threading.main_thread(), i))
        gather(self, i)

    monkeypatch.setattr(loops._ParallelGather, "alone", noted)

    def fit():
        result = vp.fit(net, X, Y, epochs=3, batch_size=16, block_size=8, backend="numpy", **more)
        return [a.tobytes() for layer in result.params for a in layer], result.history["cost"]

    before = fit()
    assert not gathered
    monkeypatch.setattr(loops, "SMALLEST_PARALLEL_GATHER", 1)
    assert fit() == before
    assert gathered == 3 * [(True, 0), (False, 1), (False, 2)]
    monkeypatch.setattr(loops, "Parallel", LastFirst)  # the next batch is there before the rest of a step begins
    assert fit() == before


class LastFirst:
    """In place of `Parallel`: the pieces one after the other, the last one first."""

    def __init__(self, pieces):
        self.pieces = pieces

    def __call__(self):
        for code in reversed(self.pieces):
            execute(code)


def test_compiled_functions_within_compiled_functions():
    inner = NUMPY.compile_loop(lambda x: x * 2)
    x = np.ones(3)
    inner(x)
    check(lambda x: inner(x) + 1, x)


def test_carried_values_that_trade_places():
    def step(carry, inputs):
        a, b, (c, d) = carry
        return (b, a + inputs[0], (d * 1.0, c)), (a, b + c)

    def run(backend: Static[Backend], x, inputs):
        return backend.scan(step, (x, 2 * x, (x + 1, x)), inputs)

    x, inputs = np.arange(3.0), (np.arange(5.0),)
    assert_same(recorded(run, NUMPY, x, inputs), run(PLAIN, x, inputs))


def test_a_step_that_carries_on_another_shape_runs_as_it_is():
    def run(x, inputs):
        return NUMPY.scan(lambda c, i: ((c[0] + i[0],), (c[0].sum(),)), (x,), inputs)

    x, inputs = np.ones((1, 3)), (np.ones((4, 2, 1)),)
    assert_same(NUMPY.compile_loop(run)(x, inputs), run(x, inputs))


@pytest.mark.parametrize("n", [1, 5, 3000, 100_000])
def test_maximum_and_minimum_with_one_number(n):
    """Of the function's, or of an argument, which is not known when the function is recorded."""

    def function(x, number):
        xp = array_namespace(x)
        least = xp.maximum(number, 0.5)
        return xp.maximum(x, 0.0), xp.minimum(0.5, x), xp.maximum(x, number), xp.minimum(least, x), least

    compiled = NUMPY.compile_loop(function)
    for number in (0.25, 0.75):
        given = rng().standard_normal(n), np.asarray(number)
        assert_same(compiled(*given), function(*given), scale=0)


def test_fused_kernels(dtype):
    n = 100_003  # several chunks, on several threads if there are any
    arrays = [rng(k).standard_normal(n).astype(dtype) for k in range(3)]
    args = (*arrays, np.abs(arrays[0]), np.asarray(0.1, dtype), np.asarray(1e-3, dtype))

    def function(*args):
        return NUMPY.fuse(adam_rule)(*args)

    check(function, *args)
    square = [a[:99_000].reshape(3, 330, 100) for a in args[:4]]
    check(function, *square, np.full((3, 1, 1), 0.1, dtype), np.full((330, 1), 1e-3, dtype))
    assert_same(function(*args), adam_rule(*args), scale=0)


def test_fused_kernels_of_views_of_one_array(monkeypatch):
    monkeypatch.setattr("vecprop_numpy.blocks.CHUNK", 8)

    def function(x):
        y = x + 1
        first = NUMPY.fuse(lambda a, b: a + 2 * b)(y, y[::-1])
        z = x * 2
        return first, NUMPY.fuse(lambda a, b: a + b)(z, z[0])

    check(function, np.arange(50.0))


def test_a_kernel_that_is_not_elementwise_is_recorded_all_the_same():
    check(lambda x: NUMPY.fuse(lambda y: y / array_namespace(y).sum(y))(x), np.arange(1.0, 9.0))


def test_a_kernel_of_what_no_round_changes_is_run_once(monkeypatch):
    calls = []
    monkeypatch.setattr(Frame, "emit", lambda frame, function, *given: frame.code.append((counted, (function, *given))))

    def counted(function, *given):
        calls.append(function)
        return function(*given)

    def run(x, inputs):
        def step(carry, i):
            word = NUMPY.fuse(lambda a: a ^ (a >> 1))(array_namespace(x).arange(5))
            return (carry[0] + i[0] * word,), ()

        return NUMPY.scan(step, (x,), inputs)[0]

    x, inputs = np.zeros(5), (np.ones(4),)
    assert_same(NUMPY.compile_loop(run)(x, inputs), run(x, inputs))
    assert (calls.count(np.right_shift), calls.count(np.add)) == (1, 4)


# Sums over blocks


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize(("m", "block"), [(1000, 1000), (1000, 250), (1003, 100), (7, 2), (300, 299), (5, 100)])
@pytest.mark.parametrize("transposed", [False, True])
def test_sum_of_blocks(dtype, m, block, weights, transposed):
    net = vp.Network((4, 6, 2), output="softmax")
    params, X, Y, w = on(NUMPY, dtype, *make_problem(net, m, weights=weights))
    X = np.ascontiguousarray(X.T).T if transposed else X
    X.flags.writeable = False

    def part(X, Y, w):
        return propagation.gradients(net, params, X, Y, w, m=float(m))

    got = NUMPY.sum_blocks(part, block, X, Y, w)
    assert_same(got, part(X, Y, w), scale=4)
    assert_same(NUMPY.sum_blocks(part, block, X, Y, w), got, scale=0)


def test_sum_of_blocks_of_a_stack(dtype):
    net = vp.Network((4, 6, 2))
    params, X, Y, _ = make_problem(net, 500)
    params, X, Y = on(NUMPY, dtype, stacked(params, 3), X, Y)

    def part(X, Y):
        return propagation.gradients(net, params, X, Y, m=500.0)

    assert_same(NUMPY.sum_blocks(part, 90, X, Y), part(X, Y), scale=4)
    X = np.stack([X, X + 1, X - 1])
    assert_same(NUMPY.sum_blocks(part, 90, X, Y), part(X, Y), scale=4)


def test_whichever_thread_ends_last_gives_the_blas_its_threads_back():
    """threadpoolctl 3.8 obeys the first thread that sets a number alone, unless told otherwise."""
    before = [library.get_num_threads() for library in BLAS._find()]
    limited, first_ended = threading.Barrier(2, timeout=60), threading.Event()

    def limit(k):
        with BLAS.single():
            limited.wait()
            assert k == 0 or first_ended.wait(60)
        first_ended.set()
        limited.wait()  # whoever ends first is still there when the other one does

    in_threads(2, limit)
    assert [library.get_num_threads() for library in BLAS._find()] == before


def test_limits_of_the_blas_may_overlap():
    """The first to begin may end first, and of two limits one may be for one library only."""
    libraries = BLAS._find()
    if not libraries:
        pytest.skip("no BLAS whose threads can be set")
    before = [library.get_num_threads() for library in libraries]
    one = blas.BLAS(lambda found: [library for library in found if library.filepath == libraries[0].filepath])
    first, second = BLAS.single(), one.single()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert libraries[0].get_num_threads() == 1
    assert BLAS.threads() == min(before)
    second.__exit__(None, None, None)
    assert [library.get_num_threads() for library in libraries] == before
    assert not blas._held


@pytest.mark.parametrize(("m", "units", "wanted"), [(400, 10, False), (200_000, 600, True), (1_000_000, 12, True)])
def test_automatic_block(m, units, wanted):
    block = NUMPY.memory.auto_block(m, units, 4)
    assert (block is not None) == wanted
    assert block is None or 256 <= block < m


def test_the_readme_follows_a_real_step(monkeypatch):
    """Its numbers of operations, calls and bytes are those of this program."""
    make, graphs = programs.Graph, []
    monkeypatch.setattr(programs, "Graph", lambda *given: graphs.append(make(*given)) or graphs[-1])
    net = vp.Network((2, 4, 1))
    X, Y = (a.astype("float32") for a in vp.datasets.xor(m=8))
    step = NUMPY.compile_loop(lambda *given: propagation.gradients(net, *given))
    step(net.init(backend=NUMPY), X, Y)
    ((program,),) = step.idle.values()
    text = " ".join((ROOT / "backends" / "vecprop_numpy" / "README.md").read_text(encoding="utf-8").split())
    ops = len(graphs[0].scopes[0].ops)
    for words in (
        f"{ops} operations",
        f"{ops - 4} operations",
        f"{len(program.code)} calls",
        f"{program.bytes} bytes",
    ):
        assert words in text
