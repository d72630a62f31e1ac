"""Every optimizer, step by step, against optax and PyTorch; on stacks, on flat buffers, and what it must not do."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest

import vecprop as vp
from helpers import assert_close, assert_same, backend_or_skip
from vecprop import LBFGS, SGD, Adam, AdamW, GradientDescent, Momentum, RMSProp
from vecprop.backend import Backend
from vecprop.backend.namespaces import Static
from vecprop.backend.pytrees import leaves_of, map_tree, map_trees, rebuild
from vecprop.nn.batch_norm import Scale
from vecprop.training.optimizers import Optimizer, check_optimizer, clip_by_norm
from vecprop.training.schedules import StepDecay

STEPS = 60
# Both sides round at every step, and differently: 60 roundings of 1e-16 are what is left.
BOUND = 1e-14
SHAPES = ((3, 2), (3, 1), (1, 3), (1, 1))


def tree_of(leaves):
    W1, b1, W2, b2 = leaves
    return (vp.Layer(W1, b1), vp.Layer(W2, b2))


@cache
def problem(dtype="float64", seed=0):
    """Parameters and the gradients of every step, exact in float32.

    The gradients are of all sizes from 1e-10 to 100, so that ε counts; one number never has a gradient, and from step
    20 to 30 none has.
    """
    rng = np.random.default_rng(seed)

    def draw(shape):
        values = rng.standard_normal(shape) * 10.0 ** rng.uniform(-10, 2, shape)
        return values.astype(np.float32).astype(dtype)

    params = [rng.standard_normal(shape).astype(np.float32).astype(dtype) for shape in SHAPES]
    grads = [draw((STEPS, *shape)) for shape in SHAPES]
    for g in grads:
        g[20:30] = 0.0
    grads[0][:, 0, 0] = 0.0
    for array in (*params, *grads):
        array.flags.writeable = False
    return params, grads


def move(backend, arrays, dtype="float64"):
    return [backend.asarray(a, dtype) for a in arrays]


def run(optimizer: Static[Optimizer], backend: Static[Backend], params, grads):
    """The parameters after every step (STEPS, …), one array for each leaf."""

    def step(carry, g):
        params, slots = carry
        params, slots = optimizer.update(tree_of(g), slots, params)
        return (params, slots), tuple(leaves_of(params))

    params = tree_of(params)
    return backend.scan(step, (params, optimizer.init(params)), tuple(grads))[1]


def compiled_run(optimizer, backend, dtype="float64"):
    with backend.scope(dtype, "highest"):
        params, grads = (move(backend, arrays, dtype) for arrays in problem(dtype))
        return backend.compile(run)(optimizer, backend, params, grads)


def single_steps(optimizer, params, grads):
    """The same as `run`, step by step, in whatever namespace the arrays are."""
    params = tree_of(params)
    slots, taken = optimizer.init(params), []
    for t in range(STEPS):
        params, slots = optimizer.update(tree_of([g[t, ...] for g in grads]), slots, params)
        taken.append(list(leaves_of(params)))
    return [np.stack([np.asarray(a) for a in column]) for column in zip(*taken, strict=True)]


# --- what others do -----------------------------------------------------------------------------------------


def by_torch(make):
    """The steps of a torch optimizer; `make(torch, weights, biases)` returns it."""
    torch = pytest.importorskip("torch")
    params, grads = problem()
    variables = [torch.nn.Parameter(torch.tensor(np.array(p))) for p in params]
    optimizer = make(torch, variables[::2], variables[1::2])
    taken = []
    for t in range(STEPS):
        for variable, g in zip(variables, grads, strict=True):
            variable.grad = torch.tensor(np.array(g[t]))
        optimizer.step()
        taken.append([v.detach().numpy().copy() for v in variables])
    return [np.stack(column) for column in zip(*taken, strict=True)]


def by_optax(make):
    """The steps of an optax transformation; `make(optax)` returns it."""
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")

    def steps(params, grads):
        transformation = make(optax)

        def step(carry, g):
            params, state = carry
            updates, state = transformation.update(tree_of(g), state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), tuple(leaves_of(params))

        return jax.lax.scan(step, (params, transformation.init(params)), tuple(grads))[1]

    with jax.enable_x64(True):
        params, grads = problem()
        params = tree_of([jax.numpy.asarray(p) for p in params])
        return [np.asarray(a) for a in jax.jit(steps)(params, [jax.numpy.asarray(g) for g in grads])]


def both(torch_name, torch_options, optax_name, optax_options):
    """The same optimizer in both libraries, the same for weights and biases."""
    return {
        "torch": partial(
            by_torch, lambda torch, W, b: getattr(torch.optim, torch_name)([*W, *b], foreach=False, **torch_options)
        ),
        "optax": partial(by_optax, lambda optax: getattr(optax, optax_name)(**optax_options)),
    }


def torch_adamw(torch, weights, biases):
    groups = [{"params": weights, "weight_decay": 0.3}, {"params": biases, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.02, betas=(0.7, 0.95), eps=1e-4, foreach=False)


ONLY_WEIGHTS = (vp.Layer(True, False), vp.Layer(True, False))

# Ours, and what it is elsewhere. Momentum averages the gradients where the others add them up, with Nesterov's step
# and without: theirs have the learning rate α(1 - β).
CASES = {
    "GradientDescent": (GradientDescent(0.05), both("SGD", {"lr": 0.05}, "sgd", {"learning_rate": 0.05})),
    "Momentum": (
        Momentum(0.05, beta=0.8),
        both("SGD", {"lr": 0.05 * 0.2, "momentum": 0.8}, "sgd", {"learning_rate": 0.05 * 0.2, "momentum": 0.8}),
    ),
    "Nesterov": (
        Momentum(0.05, beta=0.8, nesterov=True),
        both(
            "SGD", {"lr": 0.05 * 0.2, "momentum": 0.8, "nesterov": True}, "sgd",
            {"learning_rate": 0.05 * 0.2, "momentum": 0.8, "nesterov": True},
        ),
    ),
    "Momentum, beta 0": (Momentum(0.05, beta=0.0), both("SGD", {"lr": 0.05}, "sgd", {"learning_rate": 0.05})),
    "SGD": (
        SGD(0.01, momentum=0.8, nesterov=False),
        both("SGD", {"lr": 0.01, "momentum": 0.8}, "sgd", {"learning_rate": 0.01, "momentum": 0.8}),
    ),
    "SGD, Nesterov": (
        SGD(0.01, momentum=0.8),
        both(
            "SGD", {"lr": 0.01, "momentum": 0.8, "nesterov": True}, "sgd",
            {"learning_rate": 0.01, "momentum": 0.8, "nesterov": True},
        ),
    ),
    "RMSProp": (
        RMSProp(0.02, rho=0.9, epsilon=1e-4),
        both(
            "RMSprop", {"lr": 0.02, "alpha": 0.9, "eps": 1e-4}, "rmsprop",
            {"learning_rate": 0.02, "decay": 0.9, "eps": 1e-4, "eps_in_sqrt": False},
        ),
    ),
    "RMSProp, as it comes": (
        RMSProp(),
        both("RMSprop", {"lr": 0.001}, "rmsprop", {"learning_rate": 0.001, "decay": 0.99, "eps_in_sqrt": False}),
    ),
    "Adam": (
        Adam(0.02, beta1=0.7, beta2=0.95, epsilon=1e-4),
        both(
            "Adam", {"lr": 0.02, "betas": (0.7, 0.95), "eps": 1e-4}, "adam",
            {"learning_rate": 0.02, "b1": 0.7, "b2": 0.95, "eps": 1e-4},
        ),
    ),
    "Adam, as it comes": (Adam(), both("Adam", {}, "adam", {"learning_rate": 0.001})),
    "AdamW": (
        AdamW(0.02, beta1=0.7, beta2=0.95, epsilon=1e-4, weight_decay=0.3),
        {
            "torch": partial(by_torch, torch_adamw),
            "optax": partial(
                by_optax,
                lambda optax: optax.adamw(0.02, b1=0.7, b2=0.95, eps=1e-4, weight_decay=0.3, mask=ONLY_WEIGHTS),
            ),
        },
    ),
}  # fmt: skip
NAMES = list(CASES)
DISTINCT = ["GradientDescent", "Momentum", "Nesterov", "SGD", "SGD, Nesterov", "RMSProp", "Adam", "AdamW"]
FLAT = [name for name in DISTINCT if not CASES[name][0].decays_weights_alone]


@cache
def reference(name, library):
    return CASES[name][1][library]()


def assert_steps_close(actual, desired, bound=BOUND):
    for a, d in zip(actual, desired, strict=True):
        for t in range(STEPS):
            assert_close(np.asarray(a)[t], d[t], bound=bound)


@pytest.mark.parametrize("library", ["optax", "torch"])
@pytest.mark.parametrize("name", NAMES)
def test_every_step_is_that_of_other_libraries(name, library):
    desired = reference(name, library)
    assert_steps_close(single_steps(CASES[name][0], *problem()), desired)


def by_the_book(optimizer, p, grads, is_weight):
    """The steps of one number, in Python's own arithmetic, as the formulas stand in the papers."""
    o, taken = optimizer, []
    a, v, s = o.learning_rate, 0.0, 0.0
    for t, g in enumerate(grads, start=1):
        match o:
            case AdamW() | Adam():
                p -= a * o.weight_decay * p if isinstance(o, AdamW) and is_weight else 0.0
                v = o.beta1 * v + (1 - o.beta1) * g
                s = o.beta2 * s + (1 - o.beta2) * g**2
                p -= a * (v / (1 - o.beta1**t)) / ((s / (1 - o.beta2**t)) ** 0.5 + o.epsilon)
            case RMSProp():
                s = o.rho * s + (1 - o.rho) * g**2
                p -= a * g / (s**0.5 + o.epsilon)
            case SGD():
                v = o.momentum * v - a * g
                p += o.momentum * v - a * g if o.nesterov else v
            case Momentum():
                v = o.beta * v + (1 - o.beta) * g
                p -= a * (o.beta * v + (1 - o.beta) * g if o.nesterov else v)
            case GradientDescent():
                p -= a * g
        taken.append(p)
    return taken


@pytest.mark.parametrize("name", NAMES)
def test_every_step_is_the_books(name):
    optimizer, (params, grads) = CASES[name][0], problem()
    actual = single_steps(optimizer, params, grads)
    for k, (leaf, p, g) in enumerate(zip(actual, params, grads, strict=True)):
        for place in np.ndindex(p.shape):
            numbers = [float(step[place]) for step in g]
            desired = by_the_book(optimizer, float(p[place]), numbers, is_weight=k % 2 == 0)
            np.testing.assert_allclose([step[place] for step in leaf], desired, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", DISTINCT)
def test_every_backend_takes_the_same_steps(name, backend):
    optimizer = CASES[name][0]
    desired = single_steps(optimizer, *problem())
    actual = compiled_run(optimizer, backend)
    assert_steps_close([backend.to_numpy(a) for a in actual], desired)


@pytest.mark.parametrize("name", DISTINCT)
def test_steps_in_float32(name):
    """As far from float64 as 60 roundings are, and float32 to the last."""
    optimizer = CASES[name][0]
    actual = compiled_run(optimizer, backend_or_skip("numpy"), "float32")
    assert {str(a.dtype) for a in actual} == {"float32"}
    assert_steps_close(actual, single_steps(optimizer, *problem()), bound=2e-6)


@pytest.mark.parametrize("name", DISTINCT)
def test_steps_under_array_api_strict(name, dtype):
    strict = pytest.importorskip("array_api_strict")
    with strict.ArrayAPIStrictFlags(api_version="2024.12", boolean_indexing=False, data_dependent_shapes=False):
        params, grads = ([strict.asarray(np.array(a)) for a in arrays] for arrays in problem(dtype))
        slots = CASES[name][0].init(tree_of(params))
        assert all(a.dtype == params[0].dtype for a in leaves_of(slots))
        actual = single_steps(CASES[name][0], params, grads)
    assert_steps_close(actual, single_steps(CASES[name][0], *problem(dtype)), bound=0.0)


# --- stacks, flat buffers, purity ---------------------------------------------------------------------------


def at_step(grads, t):
    return tree_of([g[t] for g in grads])


def stacked(trees):
    return map_trees(lambda *leaves: np.stack(leaves), *trees)


@pytest.mark.parametrize("name", DISTINCT)
def test_a_stack_of_networks_with_a_rate_each_is_the_single_networks(name):
    optimizer, rates = CASES[name][0], np.array([0.01, 0.5, 0.1])
    problems = [problem(seed=k) for k in range(3)]
    singles = [tree_of(params) for params, _ in problems]
    slots = [optimizer.init(params) for params in singles]
    stack = stacked(singles)
    stack_slots = optimizer.init(stack)
    for t in range(5):
        grads = [at_step(g, t) for _, g in problems]
        moved = [
            optimizer.update(g, s, p, float(rate)) for g, s, p, rate in zip(grads, slots, singles, rates, strict=True)
        ]
        singles, slots = [p for p, _ in moved], [s for _, s in moved]
        stack, stack_slots = optimizer.update(stacked(grads), stack_slots, stack, rates)
    for tree, wanted in ((stack, stacked(singles)), (stack_slots, stacked(slots))):
        assert_same(tree, wanted)


@pytest.mark.parametrize("bare", [False, True], ids=["in a tuple", "bare"])
@pytest.mark.parametrize("name", FLAT)
def test_one_flat_buffer_is_the_tree_of_layers(name, bare):
    optimizer = CASES[name][0]
    params, grads = problem()
    tree, flat = tree_of(params), np.concatenate([p.reshape(-1) for p in params])
    flat = flat if bare else (flat,)
    slots, flat_slots = optimizer.init(tree), optimizer.init(flat)
    for t in range(5):
        tree, slots = optimizer.update(at_step(grads, t), slots, tree)
        g = np.concatenate([g[t].reshape(-1) for g in grads])
        flat, flat_slots = optimizer.update(g if bare else (g,), flat_slots, flat)
    (buffer,) = leaves_of(flat)
    np.testing.assert_array_equal(buffer, np.concatenate([a.reshape(-1) for a in leaves_of(tree)]))


@pytest.mark.parametrize("name", FLAT)
def test_a_stack_in_one_buffer(name):
    """(K, 1, P): the parameters of network k in one row, so that a rate each broadcasts as for layers."""
    optimizer, rates = CASES[name][0], np.array([0.01, 0.5])
    params = [np.concatenate([p.reshape(1, -1) for p in problem(seed=k)[0]], axis=1) for k in range(2)]
    grads = [np.concatenate([g[0].reshape(1, -1) for g in problem(seed=k)[1]], axis=1) for k in range(2)]
    stack = np.stack(params)
    moved, _ = optimizer.update((np.stack(grads),), optimizer.init((stack,)), (stack,), rates)
    for k in range(2):
        single, _ = optimizer.update((grads[k],), optimizer.init((params[k],)), (params[k],), float(rates[k]))
        np.testing.assert_array_equal(moved[0][k], single[0])


@pytest.mark.parametrize("name", DISTINCT)
def test_update_is_pure(name):
    """Read-only arguments stay what they are, no result lies in their memory, and the same call gives the same."""
    optimizer = CASES[name][0]
    params, grads = problem()
    tree = tree_of(params)
    _, slots = optimizer.update(at_step(grads, 0), optimizer.init(tree), tree)
    for leaf in leaves_of(slots):
        if isinstance(leaf, np.ndarray):
            leaf.flags.writeable = False
    before = map_tree(np.array, (tree, slots))
    first = optimizer.update(at_step(grads, 1), slots, tree)
    again = optimizer.update(at_step(grads, 1), slots, tree)
    assert_same((tree, slots), before)
    assert_same(first, again)
    for a in leaves_of(first):
        assert not any(np.shares_memory(a, b) for b in leaves_of((tree, slots)))


@pytest.mark.parametrize("name", DISTINCT)
def test_the_structure_stays(name):
    optimizer = CASES[name][0]
    tree = tree_of(problem()[0])
    params, slots = optimizer.update(at_step(problem()[1], 0), optimizer.init(tree), tree)
    assert all(type(layer) is vp.Layer for layer in params)
    assert [np.shape(a) for a in leaves_of(slots)] == [np.shape(a) for a in leaves_of(optimizer.init(tree))]
    assert [a.shape for a in leaves_of(params)] == list(SHAPES)


@pytest.mark.parametrize("name", DISTINCT)
def test_a_rate_that_is_given_replaces_the_learning_rate(name):
    optimizer, (params, grads) = CASES[name][0], problem()
    tree, other = tree_of(params), replace(CASES[name][0], learning_rate=0.3)
    slots = optimizer.init(tree)
    given, _ = optimizer.update(at_step(grads, 0), slots, tree, 0.3)
    own, _ = other.update(at_step(grads, 0), slots, tree)
    assert_same(given, own)


@pytest.mark.parametrize("name", DISTINCT)
def test_the_rule_goes_through_fuse(name):
    """A backend's kernel sees every array of the parameters, and what it returns is the result."""
    optimizer, (params, grads) = CASES[name][0], problem()
    tree, seen = tree_of(params), []

    def fuse(function):
        def kernel(*arguments):
            seen.append(np.shape(arguments[0]))
            return function(*arguments)

        return kernel

    fused = optimizer.update(at_step(grads, 0), optimizer.init(tree), tree, 0.3, fuse)
    plain = optimizer.update(at_step(grads, 0), optimizer.init(tree), tree, 0.3)
    numbers = [()] if isinstance(optimizer, Adam) else []  # its correction
    assert seen == [*numbers, *SHAPES]
    assert_same(fused, plain)


def test_weight_decay_is_for_weights_alone():
    zero = tree_of([np.zeros(shape) for shape in SHAPES])
    params = tree_of(problem()[0])
    optimizer = AdamW(0.1, weight_decay=0.5)
    moved, _ = optimizer.update(zero, optimizer.init(params), params)
    for old, new in zip(params, moved, strict=True):
        np.testing.assert_allclose(new.W, 0.95 * old.W, rtol=1e-15)
        np.testing.assert_array_equal(new.b, old.b)
    no_decay = AdamW(0.1, weight_decay=0.0).update(at_step(problem()[1], 0), optimizer.init(params), params)
    adam = Adam(0.1).update(at_step(problem()[1], 0), optimizer.init(params), params)
    assert_same(no_decay, adam)


def test_what_is_no_layer_does_not_decay():
    """γ and β of a normalization, and bare arrays, are left alone as biases are; a part may be empty."""
    one = np.ones((2, 1))
    params = (vp.Layer(one, one), Scale(one, one), one, ())
    optimizer = AdamW(0.1, weight_decay=0.5)
    (layer, scale, bare, empty), _ = optimizer.update(map_tree(np.zeros_like, params), optimizer.init(params), params)
    assert type(scale) is Scale and empty == ()
    np.testing.assert_allclose(layer.W, 0.95 * one)
    for array in (layer.b, *scale, bare):
        np.testing.assert_array_equal(array, one)


@pytest.mark.parametrize("name", DISTINCT)
def test_a_part_may_be_empty(name):
    optimizer, (params, grads) = CASES[name][0], problem()
    tree, g = tree_of(params), at_step(grads, 0)
    wanted, _ = optimizer.update(g, optimizer.init(tree), tree)
    (*moved, empty), slots = optimizer.update((*g, ()), optimizer.init((*tree, ())), (*tree, ()))
    assert empty == () and len(slots) == len(optimizer.init(tree))
    assert_same(tuple(moved), wanted)


def test_corrections_of_adam_are_one_for_each_network():
    assert [c.shape for c in Adam().init((np.ones((4, 3, 2)),))[2:]] == [(4,), (4,)]
    assert [c.shape for c in Adam().init((np.ones((3, 2)),))[2:]] == [(), ()]


def test_the_correction_of_adam_keeps_its_digits_in_float32():
    """c₂ after a step is 1 - β₂ to float32's precision; 1 - β₂ᵗ by subtraction would be off by 5e-5."""
    params = (np.ones((1, 1), np.float32),)
    _, (_, _, c1, c2) = Adam().update(params, Adam().init(params), params)
    assert c1.dtype == c2.dtype == np.float32
    assert abs(float(c2) / (1 - 0.999) - 1) < 1e-7
    assert abs(float(c1) / (1 - 0.9) - 1) < 1e-7


# --- clipping -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1e-3, 0.5, 1e3])
def test_clipping_is_that_of_optax(most, backend):
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    rng = np.random.default_rng(1)
    grads = [rng.standard_normal(shape) for shape in SHAPES]
    with jax.enable_x64(True):
        clip = optax.clip_by_global_norm(most)
        desired, _ = clip.update(tree_of([jax.numpy.asarray(g) for g in grads]), clip.init(None))
        desired = [np.asarray(a) for a in leaves_of(desired)]
    with backend.scope("float64", "highest"):
        actual = clip_by_norm(tree_of(move(backend, grads)), most)
        actual = [backend.to_numpy(a) for a in leaves_of(actual)]
    for a, d, g in zip(actual, desired, grads, strict=True):
        assert_close(a, d, bound=1e-15)
        if most == 1e3:
            np.testing.assert_array_equal(a, g, err_msg="a small gradient stays as it is")


def test_each_network_of_a_stack_is_clipped_on_its_own():
    small, large = (tree_of([s * np.ones(shape) for shape in SHAPES]) for s in (1e-3, 10.0))
    clipped = clip_by_norm(stacked([small, large]), 1.0)
    for both_, a, b in zip(leaves_of(clipped), leaves_of(small), leaves_of(clip_by_norm(large, 1.0)), strict=True):
        np.testing.assert_array_equal(both_[0], a)
        np.testing.assert_array_equal(both_[1], b)
    norm = np.sqrt(sum(np.sum(a[1] ** 2) for a in leaves_of(clipped)))
    np.testing.assert_allclose(norm, 1.0, rtol=1e-15)


@pytest.mark.parametrize("most", [1e-3, 0.5, 1e3])
def test_clipping_scales_down_and_never_up(most):
    grads = [np.random.default_rng(1).standard_normal(shape) for shape in SHAPES]
    norm = np.sqrt(sum(np.sum(g**2) for g in grads))
    for a, g in zip(leaves_of(clip_by_norm(tree_of(grads), most)), grads, strict=True):
        np.testing.assert_allclose(a, g * min(1.0, most / norm), rtol=1e-14)
    small = tree_of([0.01 * g / norm for g in grads])
    assert_same(clip_by_norm(small, 0.5), small)


def test_clipping_nothing_and_leaving_the_input_alone():
    zero = tree_of([np.zeros(shape) for shape in SHAPES])
    assert all(np.all(a == 0) for a in leaves_of(clip_by_norm(zero, 1.0)))
    grads = at_step(problem()[1], 0)  # read-only
    before = map_tree(np.array, grads)
    clip_by_norm(grads, 1e-3)
    assert_same(grads, before)


def test_clipping_one_flat_buffer():
    grads = [np.random.default_rng(1).standard_normal(shape) for shape in SHAPES]
    (flat,) = clip_by_norm((np.concatenate([g.reshape(-1) for g in grads]),), 0.5)
    tree = clip_by_norm(tree_of(grads), 0.5)
    np.testing.assert_allclose(flat, np.concatenate([a.reshape(-1) for a in leaves_of(tree)]), rtol=1e-15)


# --- values -------------------------------------------------------------------------------------------------

EVERY = [GradientDescent, Momentum, SGD, RMSProp, Adam, AdamW]


@pytest.mark.parametrize("kind", EVERY)
def test_optimizers_are_values(kind):
    """Equal arguments, equal optimizers, with one hash: a compiled epoch is found again."""
    assert kind(0.1) == kind(0.1)
    assert hash(kind(1)) == hash(kind(np.float32(1.0))) and kind(1) == kind(np.float32(1.0))
    assert kind(0.1) != kind(0.2)
    assert kind(0.1, schedule=StepDecay(2)) != kind(0.1)
    assert kind([0.1, 0.2]) == kind((0.1, 0.2)) == kind(np.array([0.1, 0.2]))
    assert hash(kind([0.1, 0.2])) == hash(kind((0.1, 0.2)))
    assert kind(0.1, schedule=None) == kind(0.1)
    assert replace(kind(0.1), learning_rate=0.2) == kind(0.2)
    with pytest.raises(AttributeError):
        kind(0.1).learning_rate = 0.2


def test_defaults_are_the_documented_ones():
    assert GradientDescent() == GradientDescent(learning_rate=0.1)
    assert Momentum() == Momentum(learning_rate=0.1, beta=0.9, nesterov=False)
    assert SGD() == SGD(learning_rate=0.001, momentum=0.9, nesterov=True)
    assert RMSProp() == RMSProp(learning_rate=0.001, rho=0.99, epsilon=1e-8)
    assert Adam() == Adam(learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8)
    assert AdamW() == AdamW(learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.01)


def test_bounds_that_are_allowed():
    assert [SGD(momentum=value).momentum for value in (0, 1)] == [0.0, 1.0]
    assert Momentum(beta=0).beta == RMSProp(rho=0).rho == Adam(beta1=0, beta2=0).beta2 == 0.0
    assert AdamW(weight_decay=0).weight_decay == 0.0


def test_lbfgs_has_the_documented_defaults():
    assert LBFGS() == LBFGS(memory=10, tolerance=1e-5, relative_tolerance=0.0, max_evaluations=None)
    assert LBFGS.learning_rate == 1.0


def test_different_kinds_are_different():
    assert len({kind(0.1) for kind in EVERY}) == len(EVERY)


def test_several_learning_rates_want_rates():
    params = (np.ones((2, 1, 1)),)
    optimizer = GradientDescent([0.1, 0.2])
    with pytest.raises(TypeError, match=r"rate must be given.*K = 2"):
        optimizer.update(params, (), params)
    (moved,), _ = optimizer.update(params, (), params, np.array(optimizer.learning_rate))
    assert moved.reshape(-1).tolist() == [0.9, 0.8]


def test_check_optimizer():
    assert check_optimizer(None) == GradientDescent()
    assert check_optimizer(Adam(0.1)) == Adam(0.1)

    class Half:
        init = learning_rate = None

    with pytest.raises(TypeError, match="optimizer must be an optimizer such as"):
        check_optimizer(Half())


def test_trees_of_named_tuples_and_none():
    tree = (vp.Layer(1, 2), None, ())
    assert map_tree(lambda a: 10 * a, tree) == (vp.Layer(10, 20), None, ())
    assert list(leaves_of(tree)) == [1, 2]
    assert type(rebuild(vp.Layer(1, 2), [3, 4])) is vp.Layer
    with pytest.raises(ValueError, match="zip"):
        map_trees(lambda a, b: a + b, (1, 2), (1,))
