"""Every public function, constructor and method: one valid call of each, and values that each argument refuses.

`CALLS` has the calls by name; `test_bad_arguments.py` makes them, with one argument at a time replaced by one of its
bad values, and checks that nothing public is missing here.
"""

import functools
import importlib.util
import inspect
import math
import pathlib
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any
from unittest.mock import sentinel

import numpy as np
import polars
import sklearn.neural_network

import vecprop as vp
from helpers import spoiled
from helpers.pictures import a_row
from vecprop import losses, plots, tabular
from vecprop.estimators import MLPClassifier, MLPRegressor, PackClassifier, PackRegressor, parameters
from vecprop.inspection.benchmark_report import with_speedups
from vecprop.utils.arguments import check_flag, check_number, check_positive_integer, check_share

NAN, INF, HUGE = math.nan, math.inf, 10**18


THING = sentinel.thing  # no value of any kind that an argument takes

# --- values that are refused, by the kind of the argument ------------------------------------------------------


class Wrong(list):
    """Wrong values of an argument, and how each of them is answered: `says`, with the argument's name and the value in it.

    A number of one of the `types`, which is out of bounds, is a ValueError, all else a TypeError. Where `several` are
    taken, the last of a list is the wrong one.
    """

    def __init__(self, values, says, types=(), several=False):
        super().__init__(values)
        self.says, self.types, self.several = says, types, several

    def answer(self, name, value):
        """The type of the error, and a pattern of its message."""
        if self.several and isinstance(value, list | tuple):
            if not value:
                return ValueError, f"^{name} must (hold at least one|have one) "
            name, value = rf"{name}\[{len(value) - 1}\]", value[-1]
        out_of_bounds = isinstance(value, self.types) and (self.types is object or not isinstance(value, bool))
        return ValueError if out_of_bounds else TypeError, self.says.format(name, re.escape(repr(value)))


def reals(bounds, *values, several=False):
    """What is refused where a finite number within bounds is wanted."""
    others = ["3", None, 1j, THING, True] if several else NOT_NUMBERS
    says = f"^{{}} must be a finite number {bounds}.*, got {{}}$"
    return Wrong([*values, NAN, INF, 10**400, *others], says, (int, float), several)


def integers(wanted, *values):
    """What is refused where an integer is wanted."""
    return Wrong([*values, 2.5, 1e18, NAN, INF, *NOT_NUMBERS], f"^{{}} must be {wanted}.*, got {{}}$", int)


NOT_NUMBERS = ["3", None, 1j, [2], THING, True, np.array([1.0, 2.0])]
NUMBER = reals("")
POSITIVE = reals("(> 0|above 0)", 0, 0.0, -1, -1e-9)
NOT_NEGATIVE = reals("(>= 0|of at least 0)", -1, -1e-9)
SHARE = reals(r"in \[0, 1\)", -0.1, 1, 1.0, 1.5, 2)
SHARES = reals(r"in \[0, 1\)", -0.1, 1, 1.0, 2, (), [], ["a"], [None], [1.0], several=True)
OPEN_SHARE = reals(r"(in \(0, 1\)|above 0 and below 1)", 0, 1, -0.1, 0.0, 1.0, 1.5, 2)
CLOSED_SHARE = reals(r"in \[0, 1\]", -0.1, 1.1, 1.5)
FACTOR = reals(r"in \(0, 1\]", 0, 0.0, -1, -0.5, 1.1, 1.5, 2)
COUNT = integers("a positive integer", 0, -1, -3)
INDEX = integers("an integer (of at least 0|from 0 on)", -1)
SEED = integers(r"an integer from 0 to 2\*\*64 - 1", -1, 2**64)
FLAG = Wrong(
    [1, 0, "yes", None, 2.0, [True], THING, NAN, np.array([True, False])],
    "^{} must be True(, False)? or (False|None).*, got {}$",
)
NAME = Wrong(["no such name", "", 3, 1.5, True, b"name", ["x"], {}, THING, np.array(["a", "b"]), None],
             "^{}(: unknown .*| must be 'rows' or 'columns', got) {}", object)  # fmt: skip
TEXT = Wrong([3, None, b"text", ["x"], THING, NAN], "^{} must be text, got {}$")
PATH = Wrong([3, None, 1.5, ["x"], THING, 1j], "^{} must be text or a pathlib.Path.*, got {}$")
NETWORK = Wrong([None, "net", 3, (2, 3, 1), {}, THING], "^{} must be a Network")
DEVICES = [np.array([]), 0, -1, 2.5, "some", ["cpu"], THING, True, NAN, {}]
BACKEND = Wrong(
    ["nunpy", 3, 1.5, ["numpy"], THING, np], "(unknown backend|backend must be a name or a Backend, got) {1}", str
)
DTYPE = Wrong(
    [b"a", "float16", "f2", "int64", "text", 3, 1.5, int, complex, object, ["float32"], THING],
    "^{} must be float32 or float64, got {}$", object,
)  # fmt: skip
FUNCTION = Wrong([None, 3, "function", [1], THING], "^{} must be a function.*, got {}$")
STRINGS = Wrong(["abc", 3, THING, [1, 2], [3], [None]], "^{} must be a sequence of .*, got {}$")


def without(values, *kept):
    """The values but those that the argument takes."""
    left = [v for v in values if repr(v) not in map(repr, kept)]
    return Wrong(left, values.says, values.types, values.several) if isinstance(values, Wrong) else left


optional = lambda values: without(values, None)


def at_most(values):
    """These values, and one that is too large."""
    says = values.says.replace("must be ", r"must be (at most \d+|from 0.01 to 1000|").replace(", got", "), got")
    return Wrong([*values, HUGE], says, values.types)


# --- what the valid calls are made of --------------------------------------------------------------------------


def frozen(array):
    """A read-only array: a call that writes into what it was given fails."""
    array.setflags(write=False)
    return array


RANDOM = np.random.default_rng(0)
NET = vp.Network((2, 3, 1))
X = frozen(RANDOM.standard_normal((2, 12)))
Y = frozen((X[:1] > 0).astype(np.float64))
WEIGHT = frozen(np.ones(12))
PARAMS = tuple(vp.Layer(*(frozen(a) for a in layer)) for layer in NET.init(dtype="float64"))
(W1, B1), LAST = PARAMS
LABELS = frozen(np.arange(12) % 3)
VALUES = frozen(RANDOM.standard_normal(12))
ROWS = frozen(np.ascontiguousarray(X.T))


def data(array, *, lists=False):
    """What is wrong as X or Y, given one that is right; with `lists` lists are taken, and numbers as text are not."""
    return [
        None, "text", 3, 1.5, THING, {}, b"bytes", math.sqrt, array[0], np.array(1.0), array[None],
        array[:, :0], array[:0], array[:, :-1][:1] if array.shape[0] > 1 else np.vstack([array, array]),
        spoiled(array, NAN), spoiled(array, INF), spoiled(array, -INF),
        array + 1j, array.astype(object), array.astype(str), array.astype("M8[s]"),
        np.full(array.shape, 2**60),
        *([] if lists else [array.tolist()]),
        [[1.0, 2.0], [3.0]], [], [["a"]], [[None]],
    ]  # fmt: skip


WEIGHTS = [
    "text", 3, THING, {}, [], WEIGHT[:-1], WEIGHT[None, :, None], np.zeros(12), spoiled(WEIGHT, -1.0), spoiled(WEIGHT, NAN),
    spoiled(WEIGHT, INF), WEIGHT + 1j, WEIGHT.astype(object), WEIGHT.astype(str), WEIGHT[:0],
]  # fmt: skip
SHORT = PARAMS[:1]
PARAMETERS = [
    None, 3, "text", [], {}, (), THING, SHORT, [W1, B1], (W1,), [(W1,), (W1,)], [None, None], ((1, 2), (3, 4)),
    ((W1.T, B1), LAST), ((W1[:, :1], B1), LAST), ((W1, B1[:, 0]), LAST), ((W1[0], B1), LAST), ((W1[:0], B1), LAST),
    ((W1.astype(int), B1), LAST), ((W1 + 1j, B1), LAST), ((W1.astype(object), B1), LAST), ((W1.astype(str), B1), LAST),
    ((W1.tolist(), B1), LAST), ((W1.astype("f4"), B1), LAST), ((np.stack([W1, W1]), B1), LAST),
]  # fmt: skip
# Network's methods and what only passes parameters on take these as arithmetic does: see TAKEN.
NOT_FINITE = [((spoiled(W1, NAN), B1), LAST), ((W1, spoiled(B1, INF)), LAST)]
FINITE = [*PARAMETERS, *NOT_FINITE]
LABEL_LISTS = [None, 3, THING, {}, [], [[1, 2]] * 12, LABELS[:-1], LABELS[:0], [[1], [1, 2]]]
REAL_LISTS = [*LABEL_LISTS, "text", ["a"] * 12, spoiled(VALUES, NAN), spoiled(VALUES, INF), VALUES + 1j, [None] * 12]
SCHEDULE = Wrong(
    [3, 0.1, "cosine", vp.Cosine, THING, [], {}, lambda t: 0.1], "^{} must be a schedule such as Cosine.*, got {}$"
)
RATE = reals("> 0", 0, 0.0, -0.1, -1.0, [], [0.1, -1.0], [0.1, 0.0], [[0.1]], ["a"], np.ones((2, 2)), several=True)
PENALTY = reals(">= 0", -1, -1e-9, [], [-0.1], ["a"], [None], [NAN], several=True)
LEVELS = [0, 1, 1.5, -0.1, "half", None, [0.9, 0.1], [0.5, 0.5], [], NAN, {}, THING, [None], True, 1j]
# More than fit into any memory is a message of its own.
M = Wrong([1, 0, -5, *COUNT, HUGE],
          "^{} (must be (an integer of at least|a positive integer)|is too large: 1e.18 numbers do not fit).*, got {}$", int)  # fmt: skip
DELIMITER = Wrong(["", "ab", ", ", 3, True, THING, ["x"], "\n", "\r", '"'], "^{} must be one character", object)
LIMITS = [None, 3, "ab", (1,), (1, 1), (2, 1), (NAN, 1), (0, INF), ("a", "b"), (0, 1, 2), THING, (1j, 2), (None, 1)]
AXES = [3, "ax", [], THING, 1.5]
NAMES = ["ab", 3, [1, 2], THING, [None, None], ["one"]]
INIT = Wrong(["hee", "", 3, None, ["he"], {}, THING, 1.5, True], "^{}: unknown initializer {}.*Known: auto, ", object)
BLOCK = Wrong([0, -1, -5, "big", "all", "", 2.5, NAN, INF, 1j, [2], THING, True],
              "^{} must be a positive integer.*, got {}$", (int, str))  # fmt: skip
EVERY = reals("of whole epochs", 0, -1, 1.5)
SPELLING = [3, ",", {}, THING, tabular.Spelling]
TABLES = [None, 3, THING, [], {}, X]
MODELS = [None, 3, "text", [], {}, (), THING, (NET,), X, vp.fit]
HISTORY = [
    None, 3, "text", [], {}, THING, NET, {"cost": 3}, {"cost": []}, {"cost": ["a"]}, {"cost": [None]}, {"a": {}}, [1.0],
]  # fmt: skip


@dataclass(frozen=True)
class Call:
    """A function with arguments that are right, and for each of its parameters the values that it refuses."""

    function: Callable[..., Any]
    valid: Callable[[pathlib.Path], dict[str, Any]]
    refused: dict[str, list[Any]]
    variadic: str = ""  # the parameter that is *this or **this: each of its values is given alone


CALLS: dict[str, Call] = {}
OWNERS: dict[str, object] = {"Network": NET}  # whose methods are called
# What a parameter of these names is given where it has no default and nothing else is said
GIVEN = {"net": NET, "params": PARAMS, "X": X, "Y": Y, "true": VALUES, "predicted": VALUES}
# and what it refuses.
NAMED = {
    "learning_rate": RATE, "schedule": SCHEDULE, "beta": SHARE, "beta1": SHARE, "beta2": SHARE, "rho": SHARE,
    "momentum": CLOSED_SHARE, "nesterov": FLAG, "epsilon": POSITIVE, "weight_decay": PENALTY, "memory": COUNT,
    "tolerance": NOT_NEGATIVE, "relative_tolerance": NOT_NEGATIVE, "max_evaluations": optional(COUNT), "every": COUNT,
    "factor": FACTOR, "power": POSITIVE, "warmup": INDEX, "final": CLOSED_SHARE, "min_delta": NOT_NEGATIVE,
    "least": NOT_NEGATIVE, "monitor": NAME, "cumulative": FLAG, "stop_at": NOT_NEGATIVE, "smoothing": SHARES, "delta": POSITIVE,
    "levels": LEVELS, "slope": SHARE, "alpha": POSITIVE, "groups": COUNT, "g": FUNCTION, "g_prime": FUNCTION, "m": M,
    "seed": SEED, "noise": NOT_NEGATIVE, "margin": POSITIVE, "turns": POSITIVE, "net": NETWORK, "method": NAME, "l2": NOT_NEGATIVE,
    "path": PATH, "task": optional(NAME), "delimiter": DELIMITER, "header": optional(FLAG), "backend": BACKEND, "ax": AXES,
    "limits": LIMITS, "names": NAMES, "log": FLAG, "return_std": FLAG, "params": PARAMETERS, "X": data(X),
    "Y": [*data(Y), Y + 0.5, 2 * Y - 1], "sample_weight": [*WEIGHTS, [1.0] * 12], "result": HISTORY, "histories": HISTORY,
    "patience": optional(COUNT), "max_entries": COUNT, "model": MODELS, "spelling": SPELLING, "data": TABLES, "quantity": TEXT,
    "units": TEXT, "what": TEXT, "expected": STRINGS, "devices": DEVICES, "checkpoint_every": EVERY, "epochs": COUNT,
    "precision": optional(NAME), "dtype": DTYPE, "block_size": BLOCK, "init": INIT, "settings": [3, "s", THING, {}, tabular.Settings],
    "class_weight": ["equal", 3, THING, [1], {"a": -1}, {"a": "b"}], "fps": at_most(POSITIVE), "dpi": at_most(POSITIVE),
}  # fmt: skip


def call(target, given=(), function=None, /, variadic="", **refused):
    """Register a call; `given` is a dict, or a function of a folder that makes one."""
    owner, _, name = target.rpartition(".")
    public = functools.reduce(getattr, target.split("."), vp)
    parameters = inspect.signature(public).parameters
    needed = {name: GIVEN[name] for name, p in parameters.items() if name in GIVEN and p.default is p.empty}
    refused = {name: NAMED[name] for name in parameters if name in NAMED} | refused
    function = function or (getattr(OWNERS[owner], name) if owner in OWNERS else public)
    valid = lambda folder: needed | dict(given(folder) if callable(given) else given)
    CALLS[target] = Call(function, valid, refused, variadic)


# --- networks and training ---------------------------------------------------------------------------------------

HIDDEN = [
    "relo", 3, None, ["relu", "relu"], [3], [None], {}, THING, (np.sin,), [["relu"]], np.tanh, [], np.array([1.0]),
]  # fmt: skip
call("Network", {"sizes": (2, 3, 1)}, hidden=HIDDEN,
     sizes=[(), (3,), (3, 0, 1), (3, -1, 1), (2, 2.5, 1), (True, 1), 3, "3-4-1", None, {}, THING, (2, "a", 1), (2, None,
        1), ((2, 3), 1), (2, NAN, 1), np.ones((2, 2)), [2, 1j, 1]],
     output=["relo", 3, None, [], {}, THING, (np.sin,), "softmax", True],
     loss=["squared", 3, [], {}, THING, True, "cross_entropy", losses.SquaredError, np.array([1])])  # fmt: skip
SEEDS = Wrong(
    [-1, 2**64, 0.5, "1", None, 1j, THING, [], [1, 2.5], [-1], ["a"], [None], NAN, True, [[1, 2]], range(HUGE), {}],
    r"^{} must (be an integer from 0 to 2\*\*64 - 1|hold at most 16777216 seeds.*), got {}$", (int, range), several=True,
)  # fmt: skip
call("Network.init", seed=SEEDS, dtype=optional(DTYPE),
     widths=[3, [], (), "2", b"2", THING, {}, True, [2], [(2, 2)], [(0,)], [(-1,)], [(4,)], [(1.5,)], [("a",)], [None], [(True,)], [(NAN,)]])  # fmt: skip
call("Network.forward")
FULL = {"sample_weight": WEIGHT, "l2": 0.1}
call("Network.cost", FULL)
call("Network.gradients", FULL)
call("Network.shapes", {"m": 4}, m=COUNT)
call("Network.collapse", {}, vp.Network((2, 3, 1), hidden="identity", output="identity").collapse)

OPTIMIZER = Wrong(["adam", 3, vp.Adam, vp.GradientDescent, THING, [], {}, True, [vp.Adam()]],
                  "^{} must be an optimizer such as GradientDescent.*, got {}$")  # fmt: skip
VALIDATION = [0.0, 1.0, -0.5, 2, NAN, INF, "half", True, 1j, THING, [], (X,), (X, Y, WEIGHT, WEIGHT), {}, X, (X[:1], Y),
              (X, Y[:, :-1]), (spoiled(X, NAN), Y), (X, None), (None, Y), (X, Y, np.ones(3)), ("a", "b")]  # fmt: skip
BIG = vp.fit(NET, X, Y, epochs=2, seed=0)
STATES = [3, "state", {}, (), THING, [], True, BIG, vp.fit(vp.Network((2, 2, 1)), X, Y, epochs=1).state]
FIT = {
    "X": data(X, lists=True), "Y": [*data(Y, lists=True), Y + 0.5], "optimizer": OPTIMIZER, "batch_size": BLOCK, "seed": SEEDS,
    "params": optional(FINITE), "sample_weight": WEIGHTS,
    "class_weight": ["heavy", 3, [1, 2], np.ones(3), THING, {0: -1}, {0: "a"}, {0: NAN}, {7: 1.0}, {"a": 1.0}, {0: None}, True,
                     {0: INF}, {0: 10**400}, {1.5: 1.0}, {0: 0, 1: 0}],
    "l1": PENALTY, "l2": PENALTY, "dropout": SHARES,
    "batch_norm": Wrong([1, 0, "yes", None, 2.0, THING, NAN, (), [], [1], [None]], FLAG.says, several=True),
    "standardize": FLAG, "clip_norm": optional(POSITIVE), "validation": VALIDATION,
    "metric": Wrong(["accuracyy", 3, ["accuracy"], {}, THING, True, 1.5],
                    "^{}(: unknown metric| must be a name or a function of .Y, A., got) {}", str),
    "shuffle": FLAG,
    "window": Wrong([*BLOCK, None], BLOCK.says, BLOCK.types),
    "callbacks": Wrong([3, "print", [None], [print, None], {}, [3], None, THING, 1.5], "^{} must be functions .state, history., got "),
    "state": STATES,
    "checkpoint": Wrong([3, True, 1.5, ["x"], b"x", THING], "^{} must be a path, got {}$"),
    "resume": Wrong([3, 1.5, ["x"], b"x", THING], "^{} must be a path or True, got {}$"),
    "progress": optional(FLAG),
}  # fmt: skip
call("rows", {"source": ROWS},
     source=[None, 3, THING, {}, b"bytes", [], [[1.0, 2.0]], 1.5, X[None], np.array(1.0), ROWS + 1j, ROWS.astype(str)],
     columns=["a", [], ["a", "a"], 3, [1, 2], THING])  # fmt: skip
call("fit", {"epochs": 1, "sample_weight": WEIGHT}, **FIT)
STACK = vp.fit(NET, X, Y, epochs=1, seed=[0, 1])
OWNERS["FitResult"] = STACK
call("FitResult.forward", {}, BIG.forward, X=data(X, lists=True))
call("FitResult.member", {"k": 1}, k=integers("an integer from 0 to 1", 2, -3, HUGE))
call("FitResult.mean_and_deviation", X=data(X, lists=True))
call("EarlyStopping", restore_best=FLAG, baseline=optional(NUMBER))
call("check_gradients", FULL | {"grads": PARAMS}, params=FINITE, grads=optional(PARAMETERS),
     tolerance=optional(POSITIVE))  # fmt: skip
call("numeric_gradient", {"function": lambda x: np.tanh(x).sum(), "x": VALUES},
     function=[*FUNCTION, lambda x: "text", lambda x: x, lambda x: None],
     x=[None, 3, "text", [1.0], THING, {}, VALUES.astype(int), VALUES + 1j, VALUES.astype(object), VALUES[:0],
        VALUES.astype(str), spoiled(VALUES, NAN), spoiled(VALUES, INF)])  # fmt: skip
call("gradient_norms", {"grads": PARAMS},
     grads=[None, 3, "text", [], {}, (), THING, [3], [(W1,)], [(W1, None)], [("a", "b")], [(W1.tolist(), B1)], (W1, B1)])  # fmt: skip
call("diagnose", {"result": BIG}, result=[None, 3, "text", [], {}, THING, NET, {"cost": 3}, {"cost": []}, vp.fit])
for name in ("per_neuron", "per_example", "vectorized", "forward_per_neuron", "forward_per_example"):
    call(f"rungs.{name}")
call("rungs.networks", {"params": NET.init([0, 1], dtype="float64")})

# --- optimizers, schedules, losses, activations ------------------------------------------------------------------

OF_FIELDS = """
GradientDescent Momentum SGD RMSProp Adam AdamW LBFGS Constant StepDecay ExponentialDecay InverseScaling Cosine
losses.BinaryCrossEntropy losses.CrossEntropy losses.Huber losses.Quantile losses.AbsoluteError losses.Poisson
losses.SquaredError activations.LeakyReLU activations.ELU activations.Ordered activations.Sigmoid activations.Tanh
activations.ReLU activations.Identity activations.Softmax activations.Softplus activations.GELU activations.SiLU
activations.Exp datasets.flower datasets.moons datasets.circles datasets.xor datasets.linearly_separable
datasets.breast_cancer datasets.diabetes datasets.digits datasets.iris datasets.wine datasets.names backends get_precision
"""
for name in OF_FIELDS.split():
    call(name)
call("ReduceOnPlateau", factor=OPEN_SHARE, patience=INDEX)
call("activations.Custom", {"g": np.sin, "g_prime": np.cos})

# --- data sets -----------------------------------------------------------------------------------------------------

ds = vp.datasets
call("datasets.house_prices", m=without(M, 1))
call("datasets.spirals", arms=integers("an integer of at least 2", 1, 0, -1))
call("datasets.load", {"name": "xor", "m": 10}, variadic="arguments", name=NAME,
     arguments=[{"m": 0}, {"n": 3}, {"seed": -1}])  # fmt: skip
OWNERS["datasets.Dataset"] = DATASET = ds.moons(12)
call("datasets.Dataset.split", fraction=OPEN_SHARE, stratify=optional(FLAG))
call("datasets.standardize", {"train": DATASET}, train=[None, 3, "text", X, THING, (X, Y)],
     others=[[3], [None], [X], [THING], [ds.spirals(12), ds.iris()]], variadic="others")  # fmt: skip
call("datasets.Dataset", {"name": "n", "feature_names": ("a", "b"), "target_names": ("c", "d"), "task": "binary"},
     X=[None, "text", 3, THING, {}, X[0], X + 1j, X.astype(str), X[:, :0], X[None]],
     Y=[None, "text", 3, THING, {}, Y[0], Y + 1j, Y.astype(str), Y[:, :-1], spoiled(Y, NAN)], name=TEXT,
     feature_names=["ab", 3, [1, 2], THING, ("a",), None], target_names=["cd", 3, [1, 2], THING, None], task=NAME)  # fmt: skip


def csv(folder):
    """The path of a small table."""
    path = folder / "table.csv"
    path.write_text("a,b,c\n1,2,0\n3,4,1\n5,6,0\n", encoding="utf-8")
    return path


def npy(folder):
    """The path of an array in a file."""
    np.save(folder / "x.npy", ROWS)
    return folder / "x.npy"


call("datasets.from_csv", lambda folder: {"path": csv(folder), "header": True},
     target=[9, -9, HUGE, "no such column", 1.5, None, True, [], [0, 0], THING, [None], {}, NAN],
     classes=["ab", 3, [], THING, [None], ["a", "b"], [0, 0], [[1], [2]]])  # fmt: skip
call("datasets.from_npy", lambda folder: {"x_path": npy(folder)}, x_path=PATH, y_path=optional(PATH),
     target=[9, -9, HUGE, "column", 1.5, None, True, [], THING, [None], {}, NAN], examples=NAME,
     classes=["ab", 3, [], THING, [None], ["a", "b"], [[1], [2]]])  # fmt: skip

# --- files and interchange -------------------------------------------------------------------------------------------


def saved(folder):
    """The path of a saved result."""
    path = folder / "model.npz"
    if not path.exists():
        vp.save(path, BIG)
    return path


call("save", lambda folder: {"path": folder / "saved.npz", "model": NET, "params": PARAMS}, params=optional(PARAMETERS))
call("load", lambda folder: {"path": saved(folder)}, custom=[3, "text", [3], [None], THING, (np.sin,), {}, None, [(np.sin, 3)]])  # fmt: skip
call("export_onnx", lambda folder: {"model": BIG, "path": folder / "model.onnx"}, path=optional(PATH), name=optional(TEXT),
     opset=optional(integers("an integer from 13 to 26", 0, -1, 12, 27, HUGE)))  # fmt: skip

if importlib.util.find_spec("torch"):
    call("to_torch", {"model": NET, "params": PARAMS}, params=optional(PARAMETERS), logits=FLAG)
    import torch

    MODULE = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1), torch.nn.Sigmoid())
    call("from_torch", {"module": MODULE}, module=[None, 3, "text", [], {}, THING, NET],
         output=["relo", 3, [], {}, THING])  # fmt: skip

# --- choices --------------------------------------------------------------------------------------------------------

# the parameter is `name`, the message says "backend", which is what it names
call("use_backend", {"name": "numpy"},
     name=Wrong([*BACKEND, None], f"({BACKEND.says}|^name must be the name of a backend or a Backend, got None)", str))  # fmt: skip
call("get_backend", name=BACKEND)
call("use_precision", {"precision": "fast"}, precision=NAME)

# --- explaining -------------------------------------------------------------------------------------------------------

call("explain", {"net_or_sizes": NET, "params": PARAMS, "X": X, "Y": Y},
     net_or_sizes=[None, 3, "2-3-1", (), (3,), (3, 0), (2, 2.5), (2, "a"), THING, {}, (10**400, 1)], m=optional(COUNT),
     params=optional(FINITE), X=optional(data(X)), Y=optional(NAMED["Y"]),
     numbers=Wrong(FLAG, r"^{} must be (True or False|True, False or \"auto\"), got {}$", str))  # fmt: skip

# --- pictures ---------------------------------------------------------------------------------------------------------

call("plots.activation", {"activation": "relu"}, activation=["relo", 3, None, [], {}, THING, (np.sin,), "softmax"])  # fmt: skip
call("plots.activations", {"activations": ["relu"]},
     activations=["relo", 3, None, [], {}, THING, [3], ["relo"], ["softmax"]])  # fmt: skip
call("plots.confusion_matrix", {"true": LABELS, "predicted": LABELS},
     true=[*LABEL_LISTS, "text"], predicted=[*LABEL_LISTS, "text"],
     labels=[3, "ab", [], [0, 0, 1, 2], THING, [[0], [1], [2]], {}], normalize=FLAG)  # fmt: skip
for name in ("cost_curve", "gradient_norms_by_layer"):
    call(f"plots.{name}", {"histories": BIG})
for name in ("history", "gradient_norms"):
    call(f"plots.{name}", {"result": BIG})
call("plots.gradient_norms_of_layer", {"histories": BIG}, layer=Wrong([*COUNT, 3, HUGE], r"^{} must be (a positive integer|from 1 to 2), got {}$", int))  # fmt: skip
PLANE = {
    "net": [*NETWORK, vp.Network((3, 2, 1))], "X": data(X, lists=True), "Y": data(Y, lists=True), "names": without(NAMES, [1, 2]),
}  # fmt: skip
call("plots.decision_boundary", **PLANE, params=FINITE)
call("plots.decision_boundary_animation",
     lambda folder: {"snapshots": {0: PARAMS}, "path": folder / "a.gif", "dpi": 10, "fps": 1}, **PLANE,
     snapshots=[None, 3, "text", [], {}, THING, PARAMS, {0: 3}, {0: None}, {"a": PARAMS}, {0: PARAMS[:1]}],
     path=[*optional(PATH), "picture.txt", "picture"])  # fmt: skip
call("plots.Snapshots", at=[3, "ab", [1.5], ["a"], [None], [-1], THING, [NAN]])
call("plots.first_layer_weights", {"image_shape": (1, 2)},
     params=[p for p in PARAMETERS[:11] if p is not SHORT], image_shape=[3, "ab", (1,), (0, 2), (-1, -2), (1.0, 2), (2, 2), (HUGE, 1), THING, (None, 2), (1, 2, 1)],
     columns=optional(COUNT))  # fmt: skip
call("plots.network_diagram", {"params": PARAMS}, params=optional(FINITE),
     most=integers("an integer of at least 3", 0, -1, 1, 2))  # fmt: skip
for name in ("predicted_against_true", "residuals"):
    call(f"plots.{name}", true=REAL_LISTS, predicted=REAL_LISTS)
call("plots.panels", columns=at_most(COUNT), width=at_most(POSITIVE), height=at_most(POSITIVE))
call("plots.save", lambda folder: {"ax": plots.panels()[0], "path": folder / "p.png"}, ax=[None, *AXES],
     path=[*PATH, "picture.no"], dpi=at_most(optional(POSITIVE)))  # fmt: skip
call("plots.decorate", lambda folder: {"ax": plots.panels()[0], "x": "x", "y": "y", "title": "t"},
     ax=[None, *AXES], x=TEXT, y=TEXT, title=TEXT, grid=FLAG)  # fmt: skip
call("plots.group_digits", {"m": 1000}, m=INDEX)
MEASURED = with_speedups([a_row(rung="per_example", seconds=1e-2), a_row(seconds=1e-4)])
call("plots.speedup", {"report": MEASURED}, report=[None, 3, "text", [], {}, THING, [3], [{}]], dtype=[3, None, "float16", THING, []], pass_name=[3, None, "sideways", THING, []])  # fmt: skip

# --- tables -----------------------------------------------------------------------------------------------------------

FRAME = polars.DataFrame({"area": range(40, 100), "town": ["Ulm", "Bonn"] * 30, "price": range(100, 160)})
TABLE = tabular.table_of(FRAME)
PLAN = tabular.plan(TABLE, "price")
SETTINGS = tabular.Settings(hidden=(2,), epochs=1, networks=1)
call("tabular.Choices", drop=STRINGS, categorical=STRINGS, numeric=STRINGS,
     date_format=[3, b"%Y", [3], THING, True], missing=STRINGS, most_categories=COUNT, weight=TEXT[:1] + TEXT[2:])  # fmt: skip
SIGN = [*without(NAME, "x", None), ";"]
call("tabular.Spelling", decimal=SIGN, thousands=[*SIGN, "_"], missing=STRINGS, date_format=STRINGS)
call("tabular.Settings", hidden=[3, "64", (0,), (-1,), (2.5,), THING, ("a",), (True,), (NAN,), {}, (None,)],
     activation=["relo", 3, [], {}, THING], epochs=optional(COUNT), patience=optional(COUNT), l2=optional(NOT_NEGATIVE),
     learning_rate=optional(POSITIVE), batch_size=optional(COUNT), dropout=optional(SHARE), networks=optional(COUNT), test_share=OPEN_SHARE, validation_share=OPEN_SHARE,
     linear=FLAG, resume=[*FLAG, True], checkpoint=[3, True, 1.5, ["x"], THING], cache=[3, True, 1.5, ["x"], THING])  # fmt: skip


def parquet(folder):
    FRAME.write_parquet(folder / "t.parquet")
    return folder / "t.parquet"


call("tabular.scan", lambda folder: {"path": parquet(folder)})
call("tabular.table_of", {"given": FRAME}, given=TABLES)
call("tabular.read", lambda folder: {"path": csv(folder)},
     encoding=["no such encoding", "", 3, True, THING, ["x"]], skip=INDEX)  # fmt: skip
call("tabular.plan", {"table": TABLE, "target": "price"}, table=[None, 3, "t", THING, FRAME, {}],
     target=["no such column", "", 3, None, THING, ["price"], {}], choices=[3, "c", THING, {}, tabular.Choices],
     drop_unlabelled=FLAG)  # fmt: skip
call("tabular.train", {"plan": PLAN, "settings": SETTINGS}, plan=[None, 3, "p", THING, TABLE, {}],
     callbacks=[3, "print", [None], {}, [3], THING])  # fmt: skip
OWNERS["tabular.TableModel"] = tabular.train(PLAN, SETTINGS).model
for name in ("evaluate", "predict", "prepare"):
    call(f"tabular.TableModel.{name}", {"data": FRAME})
CLASSES = tabular.train(tabular.plan(TABLE, "town"), SETTINGS).model
call("tabular.TableModel.predict_proba", {"data": FRAME}, CLASSES.predict_proba)

# --- estimators -------------------------------------------------------------------------------------------------------

with warnings.catch_warnings():  # that two iterations are not enough
    warnings.simplefilter("ignore")
    THEIRS = sklearn.neural_network.MLPClassifier((2,), max_iter=1).fit(ROWS, LABELS)
    CLASSIFIER = MLPClassifier((2,), max_iter=2, random_state=0, tol=0, n_iter_no_change=2).fit(ROWS, LABELS)
    REGRESSOR = MLPRegressor(hidden_layer_sizes=(2,), max_iter=2, random_state=0).fit(ROWS, VALUES)
SMALL = {"n_networks": 1, "random_state": 0}
PACK_OF_CLASSES, PACK_OF_NUMBERS = PackClassifier(**SMALL).fit(ROWS, LABELS), PackRegressor(**SMALL).fit(ROWS, VALUES)
ESTIMATOR_X = [None, "text", 3, THING, {}, ROWS[0], np.array(1.0), ROWS[None], ROWS[:0], ROWS[:, :0], spoiled(ROWS, NAN),
               spoiled(ROWS, INF), ROWS + 1j, [["a", "b"]] * 12, [[1.0, 2.0], [3.0]], [], [[None, 1.0]] * 12]  # fmt: skip
OTHER_X = [*ESTIMATOR_X, ROWS[:, :1], np.hstack([ROWS, ROWS])]
LABEL_Y = [None, "text", 3, THING, {}, LABELS[:-1], LABELS[:0], np.array(1), spoiled(VALUES, NAN), VALUES + 1j, VALUES]
REAL_Y = [None, "text", 3, THING, {}, VALUES[:-1], VALUES[:0], np.array(1.0), spoiled(VALUES, NAN), spoiled(VALUES, INF),
          VALUES + 1j, ["a"] * 12]  # fmt: skip
ESTIMATOR_WEIGHT = ["text", THING, {}, [], WEIGHT[:-1], np.ones((12, 2)), np.zeros(12), spoiled(WEIGHT, -1.0), spoiled(WEIGHT, NAN),
                    spoiled(WEIGHT, INF), WEIGHT + 1j, ["a"] * 12]  # fmt: skip
ONE_EPOCH = {"hidden_layer_sizes": (2,), "max_iter": 1, "random_state": 0}
for estimator, y, wrong, how in (
    (CLASSIFIER, LABELS, LABEL_Y, ONE_EPOCH), (REGRESSOR, VALUES, REAL_Y, ONE_EPOCH),
    (PACK_OF_CLASSES, LABELS, LABEL_Y, SMALL), (PACK_OF_NUMBERS, VALUES, REAL_Y, SMALL),
):  # fmt: skip
    kind = f"estimators.{type(estimator).__name__}"
    OWNERS[kind] = estimator
    new = functools.partial(type(estimator), **how)
    given = {"X": ROWS, "y": y, "sample_weight": WEIGHT}
    refused = {"X": ESTIMATOR_X, "y": wrong, "sample_weight": ESTIMATOR_WEIGHT}
    own = {"X_val": OTHER_X[1:], "y_val": wrong[1:], "sample_weight_val": ESTIMATOR_WEIGHT}
    call(f"{kind}.fit", given | {"X_val": ROWS, "y_val": y, "sample_weight_val": WEIGHT},
         lambda *, new=new, **arguments: new().fit(**arguments), **refused, **own)  # fmt: skip
    call(f"{kind}.score", given, **(refused | {"X": OTHER_X}))
    for name in ("predict", "predict_log_proba", "predict_proba"):
        if hasattr(estimator, name):
            call(f"{kind}.{name}", {"X": ROWS}, X=OTHER_X)
    if how is not SMALL:
        part = {"classes": [3, "ab", [], [0, 1], THING, [[0], [1], [2]], [NAN, 1.0], {}]} if y is LABELS else {}
        call(f"{kind}.partial_fit", given | ({"classes": [0, 1, 2]} if part else {}),
             lambda *, new=new, **arguments: new().partial_fit(**arguments), **refused, **part)  # fmt: skip
# The kinds of the parameters are those of the checks that the estimators declare.
CHECKED = {check_number: NOT_NEGATIVE, check_positive_integer: COUNT, check_flag: FLAG, check_share: SHARE,
           parameters.positive: POSITIVE}  # fmt: skip
DECLARED = {field.name: field.metadata.get("check") for field in fields(parameters.Parameters)}
SHARED = {name: CHECKED[check] for name, check in DECLARED.items() if check in CHECKED} | {
    "hidden_layer_sizes": [0, (10, 0), (-1,), "100", 2.5, (2.5,), None, [True], 1j],
    "activation": ["relo", 3, None, ["relu", "relu"], [], (np.sin,), [None], "LOGISTIC"],
    "solver": ["newton", None, 3, vp.Adam, THING], "batch_size": Wrong([*BLOCK, None], BLOCK.says, int), "n_networks": Wrong([*BLOCK, None], BLOCK.says, int),
    "learning_rate": ["fast", 0.1, None, vp.Cosine],
    "random_state": ["seed", -1, 2.5, [1.5], THING], "verbose": ["yes", -1, None, 2.5], "momentum": CLOSED_SHARE,
    "n_iter_no_change": Wrong([0, -1, 2.5, NAN, *NOT_NUMBERS], "^{} must be an integer of at least 1, or infinity, got {}$", int), "init": ["HE", None, 3],
    "dropout": [*SHARES, [0.1, 0.1]], "batch_norm": [*FIT["batch_norm"], (True, True)], "clip_norm": optional(POSITIVE),
    "scale": ["minmax", True, 3], "scoring": ["accuracyy", 3, ["accuracy"]], "callbacks": [3, "print", [None], {}],
    "checkpoint": [3, True, b"x"], "checkpoint_every": EVERY, "resume": [3, False, ["c"], True], "block_size": BLOCK,
    "devices": [2, *DEVICES], "dtype": DTYPE, "precision": ["low", 3], "backend": [*BACKEND, "torch"],
}  # fmt: skip
WEIGHTS_OF_CLASSES = ["heavy", 3, [1, 2], np.ones(3)]
OF_PACKS = {"n_networks": COUNT} | {name: SHARED[name] for name in ("random_state", "callbacks", "backend")} | {
    "maps": ["bins", 3, ["bin"], [None], THING, None], "validation_fraction": OPEN_SHARE, "refit": FLAG,
}  # fmt: skip
STOPPED = ONE_EPOCH | {"early_stopping": True, "validation_fraction": 0.3}
# targets, parameters that are right, and what is refused
KINDS = {
    MLPClassifier: (LABELS, STOPPED, SHARED | {"class_weight": WEIGHTS_OF_CLASSES, "label_smoothing": SHARE}),
    MLPRegressor: (VALUES, STOPPED | {"loss": "quantile"}, SHARED | {
        "loss": ["squared", None, 3, losses.CrossEntropy(), losses.SquaredError], "quantile": LEVELS,
        "huber_delta": POSITIVE, "scale_target": ["minmax", True, 3], "out_activation": ["relo", 3],
    }),
    PackClassifier: (LABELS, SMALL, OF_PACKS | {"class_weight": WEIGHTS_OF_CLASSES}),
    PackRegressor: (VALUES, SMALL, OF_PACKS),
}  # fmt: skip


def fitted(kind, y, **given):
    """An estimator with these parameters, fitted; one that refuses them has learned nothing."""
    model = kind(**given)
    try:
        return model.fit(ROWS, y)
    except Exception:
        assert not [name for name in vars(model) if name.endswith("_")]
        raise


for kind, (y, given, refused) in KINDS.items():
    call(f"estimators.{kind.__name__}", given, functools.partial(fitted, kind, y), **refused)
call("estimators.from_sklearn", {"model": THEIRS}, model=[None, 3, "text", [], THING, NET, MLPClassifier()])
call("estimators.to_sklearn", {"estimator": CLASSIFIER}, estimator=[None, 3, "text", [], THING, NET])

# --- what is not here, and why -------------------------------------------------------------------------------------------

CORE = "part of a pass: it takes arrays that Network's methods or fit have checked"
MADE = "what the library returns; nobody calls it to make one"
FIT = "fit calls it"
OTHERS = {
    **dict.fromkeys(("propagation", "initializers", "metrics", "losses.get_loss"), CORE),
    **{f"activations.{n}": CORE for n in ("relu", "softplus", "sigmoid", "log_softmax", "is_pair", "get_activation")},
    **{f"rungs.{n}": CORE for n in ("mean_of_examples", "example_forward_per_neuron", "example_per_neuron")},
    **dict.fromkeys(("Diagnosis", "Explanation", "FitResult", "GradientReport", "Layer", "TrainingState"), MADE),
    **{f"tabular.{n}": MADE for n in ("LargeTable", "Preparation", "Table", "TableModel", "Target", "Trained")},
    "Activation": "a base class",
    "Loss": "a base class",
    "Backend": "what one who writes a backend implements",
    **{f"plots.Snapshots.{n}": FIT for n in ("start", "get", "items", "keys", "values")},
    **{f"{n}.{m}": FIT for n in ("GradientDescent", "Momentum", "SGD", "RMSProp", "Adam", "AdamW", "LBFGS")
       for m in ("init", "update", "rule", "scalars")},
    **{f"{n}.{m}": FIT for n in ("Constant", "StepDecay", "ExponentialDecay", "InverseScaling", "Cosine", "ReduceOnPlateau")
       for m in ("rates", "observe")},
    "distributed": "in tests/training/test_distributed.py, in processes of their own",
    "to_torch": "without PyTorch it says how to install it",
    "from_torch": "without PyTorch it says how to install it",
}  # fmt: skip
