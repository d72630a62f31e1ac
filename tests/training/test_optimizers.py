"""Every optimizer, step by step, against optax and PyTorch; on stacks, on flat buffers, and what it must not do."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import vecprop as vp
from helpers import assert_close, assert_same, on
from vecprop import LBFGS, SGD, Adam, AdamW, GradientDescent, Momentum, RMSProp
from vecprop.backend import Backend
from vecprop.backend.namespaces import Static
from vecprop.backend.pytrees import leaves_of, map_tree, map_trees
from vecprop.nn.batch_norm import Scale
from vecprop.training.optimizers import ClipByNorm, Optimizer, check_optimizer
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


def run(optimizer: Static[Optimizer], backend: Static[Backend], params, grads):
    """The parameters after every step (STEPS, …), one array for each leaf."""

    def step(carry, g):
        params, slots = carry
        params, slots = optimizer.update(tree_of(g), slots, params)
        return (params, slots), tuple(leaves_of(params))

    params = tree_of(params)
    return backend.scan(step, (params, optimizer.init(params)), tuple(grads))[1]


def single_steps(optimizer, params, grads):
    """The same as `run`, step by step, in whatever namespace the arrays are."""
    params = tree_of(params)
    slots, taken = optimizer.init(params), []
    for t in range(STEPS):
        params, slots = optimizer.update(tree_of([g[t, ...] for g in grads]), slots, params)
        taken.append(list(leaves_of(params)))
    return [np.stack([np.asarray(a) for a in column]) for column in zip(*taken, strict=True)]


# --- what others do -----------------------------------------------------------------------------------------


def by_torch(name, rate, options):
    """The steps of a torch optimizer; a weight decay is for the weights."""
    torch = pytest.importorskip("torch")
    params, grads = problem()
    variables = [torch.nn.Parameter(torch.tensor(np.array(p))) for p in params]
    groups = [{"params": variables[::2]}, {"params": variables[1::2], "weight_decay": 0.0}]
    optimizer = getattr(torch.optim, name)(groups, lr=rate, foreach=False, **options)
    taken = []
    for t in range(STEPS):
        for variable, g in zip(variables, grads, strict=True):
            variable.grad = torch.tensor(np.array(g[t]))
        optimizer.step()
        taken.append([v.detach().numpy().copy() for v in variables])
    return [np.stack(column) for column in zip(*taken, strict=True)]


def by_optax(name, rate, options):
    """The steps of an optax transformation."""
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")

    def steps(params, grads):
        transformation = getattr(optax, name)(rate, **options)

        def step(carry, g):
            params, state = carry
            updates, state = transformation.update(tree_of(g), state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), tuple(leaves_of(params))

        return jax.lax.scan(step, (params, transformation.init(params)), tuple(grads))[1]

    with jax.enable_x64(True):
        params, grads = ([jax.numpy.asarray(a) for a in arrays] for arrays in problem())
        return [np.asarray(a) for a in jax.jit(steps)(tree_of(params), grads)]


HEAVY, NESTEROV = {"momentum": 0.8}, {"momentum": 0.8, "nesterov": True}
ADAM, ADAM_OF_OPTAX = {"betas": (0.7, 0.95), "eps": 1e-4}, {"b1": 0.7, "b2": 0.95, "eps": 1e-4}
DECAY, DECAY_OF_OPTAX = {"weight_decay": 0.3}, {"weight_decay": 0.3, "mask": (vp.Layer(True, False),) * 2}
ADAM_OF_OURS = {"beta1": 0.7, "beta2": 0.95, "epsilon": 1e-4}

# Ours; and what it is in torch and optax, and with which learning rate. Momentum averages the gradients where the
# others add them up, with Nesterov's step and without: theirs have the learning rate α(1 - β).
CASES = {
    "GradientDescent": (GradientDescent(0.05), 0.05, ("SGD", {}), ("sgd", {})),
    "Momentum": (Momentum(0.05, beta=0.8), 0.05 * 0.2, ("SGD", HEAVY), ("sgd", HEAVY)),
    "Nesterov": (Momentum(0.05, beta=0.8, nesterov=True), 0.05 * 0.2, ("SGD", NESTEROV), ("sgd", NESTEROV)),
    "Momentum, beta 0": (Momentum(0.05, beta=0.0), 0.05, ("SGD", {}), ("sgd", {})),
    "SGD": (SGD(0.01, momentum=0.8, nesterov=False), 0.01, ("SGD", HEAVY), ("sgd", HEAVY)),
    "SGD, Nesterov": (SGD(0.01, momentum=0.8), 0.01, ("SGD", NESTEROV), ("sgd", NESTEROV)),
    "RMSProp": (
        RMSProp(0.02, rho=0.9, epsilon=1e-4), 0.02, ("RMSprop", {"alpha": 0.9, "eps": 1e-4}),
        ("rmsprop", {"decay": 0.9, "eps": 1e-4, "eps_in_sqrt": False}),
    ),
    "RMSProp, as it comes": (RMSProp(), 0.001, ("RMSprop", {}), ("rmsprop", {"decay": 0.99, "eps_in_sqrt": False})),
    "Adam": (Adam(0.02, **ADAM_OF_OURS), 0.02, ("Adam", ADAM), ("adam", ADAM_OF_OPTAX)),
    "Adam, as it comes": (Adam(), 0.001, ("Adam", {}), ("adam", {})),
    "AdamW": (
        AdamW(0.02, **ADAM_OF_OURS, weight_decay=0.3), 0.02, ("AdamW", ADAM | DECAY),
        ("adamw", ADAM_OF_OPTAX | DECAY_OF_OPTAX),
    ),
}  # fmt: skip
OPTIMIZERS = {name: case[0] for name, case in CASES.items()}
DISTINCT = {name: o for name, o in OPTIMIZERS.items() if "beta 0" not in name and "as it comes" not in name}
FLAT = {name: o for name, o in DISTINCT.items() if not o.decays_weights_alone}


def each(optimizers):
    return pytest.mark.parametrize("optimizer", optimizers.values(), ids=optimizers)


def assert_steps_close(actual, desired, bound=BOUND):
    for a, d in zip(actual, desired, strict=True):
        for t in range(STEPS):
            assert_close(np.asarray(a)[t], d[t], bound=bound)


@pytest.mark.parametrize("library", [by_optax, by_torch])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_step_is_that_of_other_libraries(case, library):
    optimizer, rate, torchs, optaxs = case
    name, options = torchs if library is by_torch else optaxs
    assert_steps_close(single_steps(optimizer, *problem()), library(name, rate, options))


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


@each(OPTIMIZERS)
def test_every_step_is_the_books(optimizer):
    params, grads = problem()
    actual = single_steps(optimizer, params, grads)
    for k, (leaf, p, g) in enumerate(zip(actual, params, grads, strict=True)):
        for place in np.ndindex(p.shape):
            numbers = [float(step[place]) for step in g]
            desired = by_the_book(optimizer, float(p[place]), numbers, is_weight=k % 2 == 0)
            np.testing.assert_allclose([step[place] for step in leaf], desired, rtol=1e-12, atol=1e-13)


@each(DISTINCT)
def test_every_backend_takes_the_same_steps(optimizer, backend, dtype):
    """In float32 as far from float64 as 60 roundings are, and float32 to the last."""
    with backend.scope(dtype, "highest"):
        moved = (on(backend, dtype, *arrays) for arrays in problem(dtype))
        actual = [backend.to_numpy(a) for a in backend.compile(run)(optimizer, backend, *moved)]
    assert {str(a.dtype) for a in actual} == {dtype}
    assert_steps_close(actual, single_steps(optimizer, *problem()), bound={"float64": BOUND, "float32": 2e-6}[dtype])


@each(DISTINCT)
def test_steps_under_array_api_strict(optimizer, dtype):
    strict = pytest.importorskip("array_api_strict")
    with strict.ArrayAPIStrictFlags(api_version="2024.12", boolean_indexing=False, data_dependent_shapes=False):
        params, grads = ([strict.asarray(np.array(a)) for a in arrays] for arrays in problem(dtype))
        assert all(a.dtype == params[0].dtype for a in leaves_of(optimizer.init(tree_of(params))))
        actual = single_steps(optimizer, params, grads)
    assert_steps_close(actual, single_steps(optimizer, *problem(dtype)), bound=0.0)


# --- stacks, flat buffers, purity ---------------------------------------------------------------------------


def at_step(t, seed=0):
    return tree_of([g[t] for g in problem(seed=seed)[1]])


def stacked(trees):
    return map_trees(lambda *leaves: np.stack(leaves), *trees)


def in_one(tree):
    """All numbers of a tree in one array."""
    return np.concatenate([np.reshape(a, -1) for a in leaves_of(tree)])


@each(DISTINCT)
def test_a_stack_of_networks_with_a_rate_each_is_the_single_networks(optimizer):
    rates = np.array([0.01, 0.5, 0.1])
    singles = [tree_of(problem(seed=k)[0]) for k in range(3)]
    slots = [optimizer.init(params) for params in singles]
    stack = stacked(singles)
    stack_slots = optimizer.init(stack)
    for t in range(5):
        grads = [at_step(t, seed=k) for k in range(3)]
        moved = map(optimizer.update, grads, slots, singles, map(float, rates))
        singles, slots = zip(*moved, strict=True)
        stack, stack_slots = optimizer.update(stacked(grads), stack_slots, stack, rates)
    assert_same((stack, stack_slots), (stacked(singles), stacked(slots)))


@each(FLAT)
def test_one_flat_buffer_is_the_tree_of_layers(optimizer):
    tree = tree_of(problem()[0])
    flat = in_one(tree)
    slots, flat_slots = optimizer.init(tree), optimizer.init(flat)
    for t in range(5):
        tree, slots = optimizer.update(at_step(t), slots, tree)
        flat, flat_slots = optimizer.update(in_one(at_step(t)), flat_slots, flat)
    assert_same(flat, in_one(tree))


@each(DISTINCT)
def test_update_is_pure(optimizer):
    """Read-only arguments stay what they are, no result lies in their memory, and the same call gives the same."""
    tree = tree_of(problem()[0])
    start = optimizer.init(tree)
    _, slots = optimizer.update(at_step(0), start, tree)
    for leaf in leaves_of(slots):
        if isinstance(leaf, np.ndarray):
            leaf.flags.writeable = False
    before = map_tree(np.array, (tree, slots))
    first, again = (optimizer.update(at_step(1), slots, tree) for _ in range(2))
    assert_same((tree, slots), before)
    assert_same(first, again)
    for a in leaves_of(first):
        assert not any(np.shares_memory(a, b) for b in leaves_of((tree, slots)))
    assert all(type(layer) is vp.Layer for layer in first[0])
    assert [np.shape(a) for a in leaves_of(first)] == [np.shape(a) for a in leaves_of((tree, start))]


def test_what_is_no_layer_does_not_decay():
    """γ and β of a normalization, and bare arrays, are left alone as biases are; a part may be empty."""
    one = np.ones((2, 1))
    params = (vp.Layer(one, one), Scale(one, one), one, ())
    zero = map_tree(np.zeros_like, params)
    optimizer = AdamW(0.1, weight_decay=0.5)
    layer, scale, bare, empty = optimizer.update(zero, optimizer.init(params), params)[0]
    assert type(scale) is Scale and empty == ()
    np.testing.assert_allclose(layer.W, 0.95 * one)
    for array in (layer.b, *scale, bare):
        np.testing.assert_array_equal(array, one)


def test_the_corrections_of_adam():
    """One for each network; in float32 c is 1 - β after a step to all digits, where 1 - β₂ᵗ would be off by 5e-5."""
    assert [c.shape for c in Adam().init((np.ones((4, 3, 2)),))[2:]] == [(4,), (4,)]
    assert [c.shape for c in Adam().init((np.ones((3, 2)),))[2:]] == [(), ()]
    params = (np.ones((1, 1), np.float32),)
    _, (_, _, c1, c2) = Adam().update(params, Adam().init(params), params)
    assert c1.dtype == c2.dtype == np.float32
    np.testing.assert_allclose([float(c1), float(c2)], [1 - 0.9, 1 - 0.999], rtol=1e-7)


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
        actual = ClipByNorm(most).update(tree_of(on(backend, "float64", *grads)))
        actual = [backend.to_numpy(a) for a in leaves_of(actual)]
    for a, d, g in zip(actual, desired, grads, strict=True):
        assert_close(a, d, bound=1e-15)
        if most == 1e3:
            np.testing.assert_array_equal(a, g, err_msg="a small gradient stays as it is")


def test_each_network_of_a_stack_is_clipped_on_its_own():
    """Also one that has no gradient; what is given stays as it was."""
    nothing, small, large = (tree_of([s * np.ones(shape) for shape in SHAPES]) for s in (0.0, 1e-3, 10.0))
    stack, clip = stacked([nothing, small, large]), ClipByNorm(1.0)
    before = map_tree(np.array, stack)
    clipped = clip.update(stack)
    assert_same(stack, before)
    assert_same(clipped, stacked([nothing, small, clip.update(large)]))
    norm = np.sqrt(sum(np.sum(a[2] ** 2) for a in leaves_of(clipped)))
    np.testing.assert_allclose(norm, 1.0, rtol=1e-15)
    assert_same(ClipByNorm(2.0).update(small), small)


# --- values -------------------------------------------------------------------------------------------------

EVERY = [GradientDescent, Momentum, SGD, RMSProp, Adam, AdamW]


@pytest.mark.parametrize("kind", EVERY)
def test_optimizers_are_values(kind):
    """Equal arguments, equal optimizers, with one hash: a compiled epoch is found again."""
    assert kind(0.1) == kind(0.1) and len({other(0.1) for other in EVERY}) == len(EVERY)
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
    assert LBFGS() == LBFGS(memory=10, tolerance=1e-5, relative_tolerance=0.0, max_evaluations=None)
    assert LBFGS.learning_rate == 1.0


def test_bounds_that_are_allowed():
    assert [SGD(momentum=value).momentum for value in (0, 1)] == [0.0, 1.0]
    assert Momentum(beta=0).beta == RMSProp(rho=0).rho == Adam(beta1=0, beta2=0).beta2 == 0.0
    assert AdamW(weight_decay=0).weight_decay == 0.0


def test_several_learning_rates_want_rates():
    params = (np.ones((2, 1, 1)),)
    optimizer = GradientDescent([0.1, 0.2])
    with pytest.raises(TypeError, match=r"rate must be given.*K = 2"):
        optimizer.update(params, (), params)
    (moved,), _ = optimizer.update(params, (), params, np.array(optimizer.learning_rate))
    assert moved.reshape(-1).tolist() == [0.9, 0.8]


@pytest.mark.parametrize("kind", EVERY)
def test_what_an_update_is_given_counts(kind):
    params = (vp.Layer(np.ones((1, 1)), np.ones((1, 1))),)

    def moved(optimizer, **given):
        return optimizer.update(params, optimizer.init(params), params, **given)

    assert_same(moved(kind(0.1), rate=0.2), moved(kind(0.2)))
    if kind is AdamW:
        assert_same(moved(kind(0.1), decay=0.5), moved(kind(0.1, weight_decay=0.5)))


def test_check_optimizer():
    assert check_optimizer(None) == GradientDescent()
    assert check_optimizer(Adam(0.1)) == Adam(0.1)

    class Half:
        init = update = learning_rate = None

    with pytest.raises(TypeError, match=r"optimizer must be an optimizer such as .*, which lacks schedule$"):
        check_optimizer(Half())
