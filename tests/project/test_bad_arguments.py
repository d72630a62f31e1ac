"""Every argument of every public function with wrong values: an error that names it, and no input changed.

The calls and the values are in public_calls.py; where the kind of an argument says it (`Wrong`), the error is of the
right type and names the argument, what is wanted and what came. A value of the wrong type, rank, dtype or size, NaN,
infinity, empty, complex, text, objects, negative, zero, huge: a ValueError or a TypeError with the name, always.
"""

import copy
import functools
import inspect
import pathlib
import re
import time

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vecprop as vp
from helpers import public_calls as public
from helpers import spoiled
from helpers.public_calls import CALLS, OTHERS, PARAMS, THING, W1, Wrong, Y
from vecprop import activations, estimators, losses, plots, rungs, tabular
from vecprop.data.houses import houses

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CASES = [(name, parameter) for name, call in CALLS.items() for parameter in call.refused]
LONGEST = 5.0  # seconds for an answer

# Where the message names a part in place of the whole, or what a function calls its argument in messages.
PARTS = {
    "X": "X|(Y|sample_weight) must have shape",  # where two do not fit, either may be named
    "params": r"params|[Wb]\d",
    "grads": r"grads|[Wb]\d",
    "name": "name|backend",
    "given": "given|data|path",
    "data": "data|path",
    "result": "result|histories|history",
}


def arrays_in(value):
    """All the arrays in nested arguments."""
    if isinstance(value, np.ndarray):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else ()
    return [array for part in parts for array in arrays_in(part)]


def answer(call, arguments, parameter, wanted=None):
    """What is wrong with how bad arguments are answered, or "" if nothing is: taken, or refused by name.

    With `wanted`, an error and a pattern, nothing but an error of that type with such a message is right.
    """
    before = [(a, a.tobytes()) for a in arrays_in(arguments) if a.dtype != object]
    begin = time.perf_counter()
    extra, names = [], [parameter]
    if call.variadic == parameter:  # *this gets each value of a list, **this those of a dict, under their names
        given = arguments.pop(parameter)
        extra, names = (given, names) if isinstance(given, list) else ([], list(given))
        arguments = arguments if isinstance(given, list) else arguments | given
    try:
        call.function(*(arguments.values() if extra else ()), *extra, **({} if extra else arguments))
        verdict = "taken"
    except vp.DivergenceError:
        verdict = "taken"
    except (ValueError, TypeError) as error:
        words = ((name, rf"(?<![A-Za-z0-9_])({PARTS.get(name, name)})(?![A-Za-z0-9])") for name in names)
        named = any(re.search(word, str(error)) and len(str(error)) > len(name) + 10 for name, word in words)
        if wanted is not None:
            named = isinstance(error, wanted[0]) and re.search(wanted[1], str(error), re.DOTALL)
        verdict = "" if named else f"{type(error).__name__} without the name: {error}"
    except Exception as error:  # noqa: BLE001 - what escapes is what is looked for
        verdict = f"{type(error).__name__}: {error}"
    if verdict != "taken" and time.perf_counter() - begin > LONGEST:
        return f"took {time.perf_counter() - begin:.1f} s"
    if any(a.tobytes() != content for a, content in before):
        return "an input was changed"
    return verdict


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_refused(name, parameter, tmp_path):
    call, wrong = CALLS[name], []
    values = call.refused[parameter]
    for value in values:
        wanted = values.answer(parameter, value) if isinstance(values, Wrong) else None
        verdict = answer(call, call.valid(tmp_path) | {parameter: value}, parameter, wanted)
        if verdict:
            wrong.append(f"{parameter}={value!r:.80}: {verdict}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.reliability
def test_how_many(figure):
    calls, cases = len(CALLS), sum(len(values) for call in CALLS.values() for values in call.refused.values())
    assert cases >= 4000
    figure(
        "wrong arguments",
        f"{cases} of {cases} refused by ValueError or TypeError with the argument's name: {len(CASES)} arguments of "
        f"{calls} public calls",
        "all",
    )


@pytest.mark.parametrize("name", CALLS)
def test_right_arguments_are_not_changed(name, tmp_path):
    """Read-only arrays are taken, as those of the table are, and arrays that could be written stay as they were."""
    call = CALLS[name]
    call.function(**call.valid(tmp_path))
    arguments = {k: copy.deepcopy(v) if arrays_in(v) else v for k, v in call.valid(tmp_path).items()}
    before = [a.tobytes() for a in arrays_in(arguments)]
    assert all(a.flags.writeable for a in arrays_in(arguments))
    call.function(**arguments)
    assert [a.tobytes() for a in arrays_in(arguments)] == before


def public_names():
    """Every public function, class and method: {name: object}."""
    found = {}
    modules = {"": vp, "activations.": activations, "losses.": losses, "rungs.": rungs, "datasets.": vp.datasets,
               "plots.": plots, "tabular.": tabular, "estimators.": estimators}  # fmt: skip
    for prefix, module in modules.items():
        for name in getattr(module, "__all__", vars(module)):
            value = getattr(module, name)
            mine = getattr(value, "__module__", "").startswith("vecprop")
            if not callable(value) or name.startswith("_") or not mine:
                continue
            at_home = hasattr(module, "__all__") or value.__module__ == module.__name__
            if at_home or (prefix == "datasets." and name in ("Dataset", "standardize")):
                found[prefix + name] = value
    for name, value in list(found.items()):
        if inspect.isclass(value) and not issubclass(value, Exception):
            for method, function in vars(value).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    found[f"{name}.{method}"] = function
    return found


def test_every_public_call_is_in_the_table():
    missing = []
    for name in public_names():
        base = {"losses.Loss": "Loss", "activations.Activation": "Activation"}.get(name, name)
        owner = name.rpartition(".")[0]
        covered = {name, base, owner if owner in OTHERS and owner not in CALLS else name} & ({*CALLS} | {*OTHERS})
        own_pass = re.match(r"(activations|losses)\.[A-Za-z]+\.", name)  # function, derivative, values, dZ: of a pass
        error = inspect.isclass(getattr(vp, name, None)) and issubclass(getattr(vp, name), Exception)
        if not covered and not own_pass and not error and name not in ("losses.LossLike", "activations.ActivationLike"):
            missing.append(name)
    assert missing == []


def test_methods_of_what_is_returned_are_in_the_table():
    for name in ("FitResult.forward", "FitResult.member", "FitResult.mean_and_deviation", "tabular.TableModel.predict"):
        assert name in CALLS


@pytest.mark.parametrize("name", CALLS)
def test_every_parameter_is_in_the_table(name):
    call = CALLS[name]
    home = functools.reduce(getattr, name.split("."), vp)
    parameters = [p for p in inspect.signature(home).parameters if p not in ("self", "cls")]
    assert sorted(call.refused) == sorted(parameters)


def test_not_finite_parameters_go_through_a_pass():
    """As a member of a stack that diverged has them: NaN in, NaN out, and no warning."""
    net = public.NET
    for params in public.NOT_FINITE:
        assert net.gradients(params, public.X, Y)[1][0].W.shape == (3, 2)
        assert net.forward(params, public.X).shape == (1, 12)
        assert np.isnan(net.cost(((spoiled(W1, np.nan), params[0][1]), params[1]), public.X, Y))


def test_lists_tuples_and_numpy_scalars_where_they_mean_the_same(tmp_path):
    X, Y, net = public.X, public.Y, public.NET
    want = vp.fit(net, X, Y, epochs=2, seed=1)
    for changes in (
        {"X": X.tolist(), "Y": Y.tolist(), "dtype": "float64"},
        {"epochs": np.int8(2)},
        {"seed": np.uint64(1)},
        {"sample_weight": [1] * 12},
        {"l1": 0, "l2": np.float32(0)},
        {"dropout": [0.0], "batch_norm": [np.bool_(False)]},
        {"batch_size": 10**18},  # more than there are: all of them
        {"block_size": 10**18},
        {"callbacks": ()},
        {"min_delta": 0},
    ):
        got = vp.fit(net, **({"X": X, "Y": Y, "epochs": 2, "seed": 1} | changes))
        np.testing.assert_allclose(got.params[0].W, want.params[0].W, rtol=1e-14)
    assert vp.Network((10**400, 1)).sizes[0] == 10**400  # a specification; init refuses it
    with pytest.raises(ValueError, match="sizes is too large"):
        vp.Network((10**400, 1)).init()
    with pytest.raises(ValueError, match="m is too large"):
        houses(10**18)
    data = vp.datasets.Dataset(X.tolist(), Y.astype(object), "n", ["a", "b"], ("c", "d"), "binary")
    assert data.X.dtype == data.Y.dtype == np.float64 and data.feature_names == ("a", "b")
    missing = vp.datasets.Dataset(spoiled(X, np.nan), Y, "n", ("a", "b"), ("c", "d"), "binary")
    assert np.isnan(missing.X).sum() == 1
    assert vp.check_gradients(net, PARAMS, X, Y, max_entries=10**18).passed
    vp.save(tmp_path / "not-finite", net, public.NOT_FINITE[0])  # a file keeps what it is given
    assert np.isnan(vp.load(tmp_path / "not-finite").params[0].W).any()


# No positive numbers: they are what many arguments want, and some would train for long.
LEAVES = st.one_of(
    st.none(), st.integers(max_value=0), st.floats(max_value=0.0), st.just(float("nan")), st.just(float("inf")),
    st.complex_numbers(), st.text("ab -_\0é", max_size=8), st.binary(max_size=4), st.booleans(), st.just(THING),
    st.sampled_from([np.sin, np.float32(-1), np.datetime64("2020-01-01"), range(0), set(), {1}]),
)  # fmt: skip
DTYPES = st.sampled_from(["f2", "f4", "f8", "i1", "i8", "u4", "?", "c8", "c16", "U3", "S2", "M8[s]", "O"])
SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)
ARRAYS = st.builds(lambda shape, dtype: np.zeros(shape, dtype), SHAPES, DTYPES)
FLOATS = arrays.arrays(np.float64, SHAPES, elements=st.floats(allow_nan=True, allow_infinity=True))
BAD = st.one_of(
    LEAVES,
    st.recursive(
        LEAVES,
        lambda parts: (
            st.lists(parts, max_size=3)
            | st.tuples(parts, parts)
            | st.dictionaries(st.text("ab", max_size=2), parts, max_size=2)
        ),
        max_leaves=5,
    ),
    ARRAYS,
    FLOATS,
)


@pytest.mark.reliability
@pytest.mark.filterwarnings("ignore:Animation was deleted")  # one without a path is drawn by who asked for it
def test_anything_at_random(amount, figure, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cases = [case for case in CASES if CALLS[case[0]].variadic != case[1]]
    counts = {"taken": 0, "refused": 0}

    @settings(
        max_examples=amount(400, 20_500), deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.sampled_from(cases), BAD)
    def check(case, value):
        name, parameter = case
        if callable(value) or (isinstance(value, str) and "\0" not in value and pathlib.Path(value).exists()):
            return  # a function of the user's raises what it likes; a file may be there from another call
        call = CALLS[name]
        verdict = answer(call, call.valid(tmp_path) | {parameter: value}, parameter)
        if parameter in ("path", "x_path", "y_path", "given", "data", "source", "checkpoint", "resume") and re.match(
            r"(FileNotFound|IsADirectory|Permission|NotADirectory|OS)Error", verdict
        ):
            verdict = ""
        assert verdict in ("", "taken"), f"{name}({parameter}={value!r}): {verdict}"
        counts["taken" if verdict else "refused"] += 1

    check()
    every = sum(counts.values())
    figure(
        "arguments at random",
        f"{every} calls: {counts['refused']} refused by name, {counts['taken']} values right and taken; nothing else",
        "nothing else",
    )
