"""Model files from strangers: whatever is in them, one type of error or the model they describe, and little memory."""

import copy
import json
import os
import random
import re
import resource
import signal
import sys
import tracemalloc
import warnings
from collections import Counter
from itertools import chain, product

import numpy as np
import polars as pl
import pytest
import safetensors.numpy

import vecprop as vp
from helpers import cases
from helpers.commands import refused, vecprop
from helpers.faults import in_process
from vecprop import tabular
from vecprop.estimators import MLPClassifier, MLPRegressor, PackClassifier
from vecprop.utils import tensor_file

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:X does not have valid feature names"),
]

KINDS = ("network", "stack", "classifier", "labels", "regressor", "quantiles", "pack", "houses", "flowers")
X = np.random.default_rng(0).standard_normal((24, 3))
FRAME = pl.DataFrame({"size": [1.5, None, 3.0] * 8, "kind": ["a", "b", "c", None] * 6, "day": ["2024-05-01"] * 24})
FRAME = FRAME.with_columns(
    day=pl.Series([f"2024-0{i % 9 + 1}-0{i % 7 + 1}" for i in range(24)]),
    price=pl.Series([10.5 * i + i % 3 for i in range(24)]),
    flower=pl.Series([("iris", "rose")[i % 2] for i in range(24)]),
)
# Values of which another one of the same type describes another model; which then is what the file says.
OF_THE_MODEL = re.compile(
    r"(groups\.\d\.)?(estimator\.)?(network\.(hidden\.\d+|output)(\.fields\.\w+)?|targets\.classes\.\d+)"
    r"|preparation\.columns\.\d+\.(name|fill|format|decimal|(categories|other)(\.\d+)?)"
)
VALUES = (None, -1, "x", [], {}, "1e400", True)


def made(kind):
    """A small model of a kind."""
    small = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}
    settings = tabular.Settings(hidden=(3,), epochs=2, networks=1, seed=0)
    Y = (X[:, :2] > 0).astype(int)
    if kind in ("network", "stack"):
        net = vp.Network((3, 2, 2), hidden=vp.activations.LeakyReLU(0.2), output="softmax")
        return vp.fit(net, X.T, np.eye(2)[:, Y[:, 0]], epochs=2, seed=[1, 2] if kind == "stack" else 1)
    if kind == "classifier":
        y = np.array(["a", "b", "ç"])[np.arange(24) % 3]
        solver = vp.AdamW(0.01, schedule=vp.Cosine(2))
        more = {"scale": "standard", "solver": solver, "class_weight": {"a": 2.0}, "early_stopping": True}
        import pandas

        return MLPClassifier(**small, **more, n_networks=2).fit(pandas.DataFrame(X, columns=["u", "v", "w"]), y)
    if kind == "labels":
        return MLPClassifier(**small).fit(X, Y)
    if kind == "regressor":
        return MLPRegressor(**small, scale_target="standard", dtype="float32").fit(X, X[:, :2])
    if kind == "quantiles":
        return MLPRegressor(**small, loss="quantile", quantile=(0.1, 0.9)).fit(X, X[:, 0])
    if kind == "pack":
        return PackClassifier(random_state=0, n_networks=1, maps=("bins",)).fit(X, np.array(["a", "b"])[Y[:, 0]])
    target, others = ("price", "flower") if kind == "houses" else ("flower", "price")
    return tabular.train(tabular.plan(tabular.table_of(FRAME.drop(others)), target), settings).model


def predictions(model):
    """All that a model predicts of the same data."""
    if isinstance(model, tabular.TableModel):
        return [model.predict(FRAME)] + ([model.predict_proba(FRAME)] if model.classes else [])
    if hasattr(model, "net"):
        return [model.forward(X.T)]
    found = [getattr(model, name)(X) for name in ("predict", "predict_proba") if hasattr(model, name)]
    return [array.toarray() if hasattr(array, "toarray") else array for array in found]  # as `sparse` says


class Saved:
    """A model of a kind, and the bytes of its file in parts."""

    def __init__(self, kind, folder):
        self.kind, self.path = kind, folder / f"{kind}.safetensors"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.model = made(kind)
        vp.save(self.path, self.model)
        self.data = self.path.read_bytes()
        self.length = 8 + int.from_bytes(self.data[:8], "little")
        self.header, self.tensors = tensor_file.decode(self.data)
        self.predictions = predictions(vp.load(self.path))

    def write(self, data):
        self.path.write_bytes(data)
        return self.path


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The models by their kinds, each made when it is first asked for."""
    folder, there = tmp_path_factory.mktemp("models"), {}

    def get(kind):
        if kind not in there:
            there[kind] = Saved(kind, folder)
        return there[kind]

    return get


@pytest.fixture(params=KINDS)
def model(saved, request):
    return saved(request.param)


def forged(header, tensors):
    """The file of any header at all, its checksum right: that is no secret."""
    text = header if isinstance(header, str) else json.dumps(header, sort_keys=True)
    entry = f"1:{tensor_file._checksum('1', text, tensors)}:{text}"
    return safetensors.numpy.save(dict(tensors), metadata={"vecprop": entry})


def raw(header, payload=b""):
    """The bytes of a safetensors file with this header, a text or bytes."""
    header = header if isinstance(header, bytes) else header.encode()
    return len(header).to_bytes(8, "little") + header + payload


def outcome(path, errors=vp.ModelFileError):
    """The model of a file, or None if it was refused, in words that name it."""
    try:
        return vp.load(path)
    except errors as error:
        text = str(error)
        assert os.fspath(path) in text and len(text) < 2000 and not {"\n", "\x1b"} & {*text}, text
        return None


@pytest.fixture(autouse=True)
def nothing_hangs():
    def late(*_):
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(540)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


# --- damage -----------------------------------------------------------------------------------------------------


def test_truncated_and_flipped(model, amount, figure):
    """Of a network, which is small, every length, every bit of the header, and one of each byte of the numbers."""
    chance, whole = random.Random(0), amount(model.kind == "network", True)
    data, size = model.data, len(model.data)
    lengths = range(0, size, 1 if whole else 97)
    header_bits = range(8 * model.length)
    header_bits = header_bits if whole else chance.sample(header_bits, 100)
    payload_bits = [chance.randrange(8 * model.length, 8 * size) for _ in range(amount(100, 10_000))]
    payload_bits += [8 * place + place % 8 for place in range(model.length, size) if whole]

    def flipped(place):
        return data[: place // 8] + bytes([data[place // 8] ^ 1 << place % 8]) + data[place // 8 + 1 :]

    def overwritten(place, count):
        return data[:place] + chance.randbytes(min(count, size - place)) + data[place + count :]

    bursts = [overwritten(chance.randrange(size), count) for count in (2, 8, 64) for _ in range(amount(5, 300))]
    for damaged in chain((data[:n] for n in lengths), map(flipped, header_bits), (b for b in bursts if b != data)):
        with pytest.raises(vp.ModelFileError):
            tensor_file.decode(damaged)
    for damaged in map(flipped, payload_bits):
        with pytest.raises(vp.ModelFileError, match="altered"):
            tensor_file.decode(damaged)
    assert outcome(model.write(data[: size // 2])) is None
    assert outcome(model.write(data + b"\0")) is None
    figure(
        f"a file of a model ({model.kind}) is damaged",
        f"{len(lengths)} truncations, {len(header_bits)} bits of the header, {len(payload_bits)} of the numbers: all "
        "refused",
        "all refused",
    )


# --- files that are none -----------------------------------------------------------------------------------------


def hostile():
    """Files that are no model's, by what they are."""
    tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    metadata = '"__metadata__": {"vecprop": "1:x:{}"}'
    zeros = bytes(64)

    def tensors(*entries, payload=zeros):
        return raw("{" + metadata + "".join(f', "{n}": {json.dumps(t)}' for n, t in entries) + "}", payload)

    shapes = ([2], [4], [-2, -1], [2.5], [1] * 500 + [2], [2**62, 2**62, 4], [2**61 + 2, 8], [0, 2**62])
    places = ([0, 8], [0, 0], [8, 16], [8, 0], [-8, 0], [60, 68], [2**63, 2**63 + 8])
    kinds = product(("F32", "F9", "O", "I32", "BF16"), shapes, places, (8, 0, 64))
    return {
        f"{dtype} {shape[-2:]} {place} of {size} bytes": tensors(
            ("W1", {"dtype": dtype, "shape": shape, "data_offsets": place}), payload=bytes(size)
        )
        for dtype, shape, place, size in kinds
    } | {
        "empty": b"",
        "seven bytes": bytes(7),
        "eight zeros": bytes(8),
        "zeros": bytes(1000),
        "text": b"a,b,c\n1,2,3\n" * 50,
        "zip": b"PK\x03\x04" + zeros,
        "an empty zip": b"PK\x05\x06" + bytes(18),
        "pickle": b"\x80\x05\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R."
        + zeros,
        "pickle 0": b"cos\nsystem\n(S'id'\ntR.",
        "npy": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }" + zeros,
        "HDF5": b"\x89HDF\r\n\x1a\n" + zeros,
        "header of 2^63": (2**63).to_bytes(8, "little") + b"{}",
        "header of 2^64 - 1": b"\xff" * 8 + b"{}",
        "header one too long": (3).to_bytes(8, "little") + b"{}",
        "no JSON": raw("{", zeros),
        "a list": raw("[]", zeros),
        "a number": raw("1", zeros),
        "a text in quotes": raw('"text"'),
        "no entry": raw("{}", zeros),
        "metadata of another type": raw('{"__metadata__": 7}'),
        "an entry of another type": raw('{"__metadata__": {"vecprop": 7}}'),
        "a format from the future": raw('{"__metadata__": {"vecprop": "99:x:{}"}}'),
        "a negative format": raw('{"__metadata__": {"vecprop": "-1:x:{}"}}'),
        "a format in other digits": raw('{"__metadata__": {"vecprop": "\\u0661:x:{}"}}'),
        "a format of 5000 digits": raw('{"__metadata__": {"vecprop": "' + "9" * 5000 + ':x:{}"}}'),
        "a key twice": raw('{"__metadata__": {"vecprop": "1:x:{}", "vecprop": "1:x:{}"}}'),
        "a tensor twice": tensors(("W1", tensor), ("W1", tensor)),
        "tensors that overlap": tensors(("W1", tensor), ("b1", tensor | {"data_offsets": [4, 12]})),
        "the same bytes": tensors(("W1", tensor), ("b1", tensor)),
        "deep lists": raw("[" * 100_000),
        "deep objects": raw('{"a":' * 100_000),
        "deep and closed": raw('{"a":' + "[" * 100_000 + "]" * 100_000 + "}"),
        "not a number": raw('{"__metadata__": {"vecprop": NaN}}'),
        "infinity": raw('{"__metadata__": {"vecprop": -Infinity}}'),
        "a large float": raw('{"a": 1e400}'),
        "a large integer": raw('{"a": ' + "9" * 10_000 + "}"),
        "no UTF-8": raw(b'{"__metadata__": {"vecprop": "\xff\xfe"}}'),
        "overlong UTF-8": raw(b'{"__metadata__": {"vecprop": "\xc0\xaf"}}'),
        "UTF-16": raw('{"__metadata__": {}}'.encode("utf-16")),
        "half a character": raw('{"__metadata__": {"vecprop": "1:\\ud800:{}"}}'),
        "a byte order mark": raw("\ufeff{}"),
        "bytes of zero": raw('{"__metadata__": {"vecprop": "1:\\u0000:{}"}}'),
    }


def headers(header):
    """Headers that no model has, each with its right checksum, by what they are."""
    deep = "[" * 100_000 + "]" * 100_000

    def text(**more):
        return json.dumps(header | more)

    changed = {
        "nothing": "{}",
        "no object": "[]",
        "deep": text()[:-1] + f', "more": {deep}}}',
        "rather deep": text()[:-1] + f', "more": {"[" * 900}{"]" * 900}}}',
        "a key twice": text()[:-1] + ', "kind": "network"}',
        "half a character": text(kind="\ud800"),
        "half a character somewhere": text()[:-1] + ', "more": "\\udfff"}',
        "another kind": text(kind="cat"),
        "a kind that is a list": text(kind=["network"]),
        "a module": text(kind="os"),
        "infinity": text()[:-1] + ', "more": Infinity}',
        "a large float": text()[:-1] + ', "more": -1e999}',
        "one more": text(more=1),
        "versions of numbers": text(versions={"vecprop": 1}),
    }
    if "network" in header:
        network = header["network"]
        for name, other in {
            "huge sizes": {"sizes": [10**9, 10**9, 10**9]},
            "sizes beyond all": {"sizes": [10**4000, 2, 2]},
            "many sizes": {"sizes": [1] * 1000},
            "sizes of fractions": {"sizes": [2.0, 2.0]},
            "a text of sizes": {"sizes": "322"},
            "an activation of a class": {"output": {"class": "Popen", "fields": {}}},
            "fields of another class": {"output": {"class": "Softmax", "fields": {"slope": 1}}},
            "functions": {"output": {"custom": ["os.system\n\x1b[31m", "x" * 100]}},
        }.items():
            changed[name] = text(network=network | other)
    if "groups" in header:
        changed["an unknown map"] = text(parameters=header["parameters"] | {"maps": ["none"]})
    if "feature_names" in header:
        changed["names of too few features"] = text(feature_names=["a"])
    for columns in ([], [{"kind": "poem"}]) if "preparation" in header else ():
        changed[f"columns {columns}"] = text(preparation=header["preparation"] | {"columns": columns})
    if "classes" in header.get("targets", {}):
        targets = header["targets"]
        for dtype in ("<U100000000", "V100000000", "O", "M8[s]", "i4,f8", "x", "S9", "complex128"):
            changed[f"classes of {dtype}"] = text(targets=targets | {"dtype": dtype})
    return changed


def test_files_that_are_no_models(tmp_path):
    path = tmp_path / "model"
    for name, data in hostile().items():
        path.write_bytes(data)
        assert outcome(path) is None, name


def test_headers_that_no_model_has(model):
    for name, text in headers(model.header).items():
        assert outcome(model.write(forged(text, model.tensors))) is None, name
    assert outcome(model.write(forged(model.header, model.tensors))) is not None, "the forger's tool works"


def test_tensors_that_no_such_model_has(model):
    for name, array in model.tensors.items():
        for other in (
            None, array[..., :0], array.T, array[None], array.ravel(), array[..., None], array.astype("float64" if
            array.dtype == "float32" else "float32"), array[:1],
        ):  # fmt: skip
            if other is not None and other.shape == array.shape and name not in ("W1", "b1"):
                continue
            if other is not None and other.shape == array.shape and other.dtype == array.dtype:
                continue
            tensors = {n: t for n, t in model.tensors.items() if n != name}
            tensors |= {} if other is None else {name: np.ascontiguousarray(other)}
            assert outcome(model.write(forged(model.header, tensors))) is None, (name, other)
    assert outcome(model.write(forged(model.header, model.tensors | {"W9": np.zeros(3)}))) is None
    assert outcome(model.write(forged(model.header, model.tensors | {"": np.zeros(3)}))) is None


def places(value, place=()):
    """The place of every value of a header, as a sequence of keys."""
    if place:
        yield place
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from places(entry, (*place, key))


def value_at(header, place):
    for key in place:
        header = header[key]
    return header


def with_value(header, place, value):
    changed = copy.deepcopy(header)
    value_at(changed, place[:-1])[place[-1]] = value
    return json.dumps(changed, sort_keys=True).replace('"1e400"', "1e400")


def test_every_value_of_the_header_replaced(model, amount, figure):
    """ModelFileError, or a model that predicts the same and says of itself what the file says: nothing else.

    `vecprop info` refuses the same of them, in words for a terminal, and shows the others.
    """
    cases = [(place, value) for place in places(model.header) for value in VALUES]
    cases = amount(random.Random(0).sample(cases, min(len(cases), 120)), cases)
    counts = Counter()
    for number, (place, value) in enumerate(cases):
        text, name = with_value(model.header, place, value), ".".join(map(str, place))
        if text == json.dumps(model.header, sort_keys=True):
            continue
        loaded = outcome(model.write(forged(text, model.tensors)))
        counts["refused" if loaded is None else "loaded"] += 1
        if number % 8 == 0:
            said = refused("info", model.path) if loaded is None else "".join(vecprop("info", model.path))
            assert "\x1b" not in said and (loaded is None or "parameters" in said), (name, value)
        if loaded is None:
            continue
        vp.save(model.path, loaded)
        again, _ = tensor_file.decode(model.path.read_bytes())
        expected = json.loads(text) | {"versions": again["versions"]}
        assert json.dumps(again, sort_keys=True) == json.dumps(expected, sort_keys=True), (name, value)
        if not OF_THE_MODEL.fullmatch(name):
            for found, wanted in zip(predictions(loaded), model.predictions, strict=True):
                np.testing.assert_array_equal(found, wanted, err_msg=f"{name}: {value!r}")
    assert counts["refused"] > counts["loaded"] > 0
    figure(
        f"each value of the header ({model.kind}) replaced by null, -1, a text, [], {{}}, 1e400, true",
        f"{counts['refused']} refused, {counts['loaded']} loaded and predict as before or as the file now says",
        "nothing else",
    )


def test_every_key_of_the_header_left_out_or_added(model):
    objects = [p for p in [(), *places(model.header)] if isinstance(value_at(model.header, p), dict)]
    for place in objects:
        changed = copy.deepcopy(model.header)
        value_at(changed, place)["another"] = 1
        loaded = outcome(model.write(forged(changed, model.tensors)))
        assert loaded is None or {"about", "versions"} & set(place) or "class_weight" in place, place
        for key in value_at(model.header, place):
            changed = copy.deepcopy(model.header)
            del value_at(changed, place)[key]
            loaded = outcome(model.write(forged(changed, model.tensors)))
            if loaded is not None and "columns" not in place:
                np.testing.assert_array_equal(predictions(loaded)[0], model.predictions[0])


# --- what is read at all ------------------------------------------------------------------------------------------


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    os.symlink(tmp_path / "pipe", tmp_path / "link")
    os.symlink("circle", tmp_path / "circle")
    for path, error, words in (
        (tmp_path, IsADirectoryError, "it is a directory"),
        (tmp_path / "pipe", OSError, "it is a device or a pipe"),
        (tmp_path / "link", OSError, "it is a device or a pipe"),
        ("/dev/zero", OSError, "it is a device or a pipe"),
        ("/dev/null", OSError, "it is a device or a pipe"),
        (tmp_path / "circle", OSError, "circle"),
        (tmp_path / "nowhere", FileNotFoundError, "nowhere"),
        (tmp_path / "pipe" / "file", NotADirectoryError, "pipe"),
        (tmp_path / ("m" * 300), OSError, "too long"),
    ):
        with pytest.raises(error, match=words):
            vp.load(path)
    with pytest.raises(ValueError, match="zero character"):
        vp.load("a\0b")


def test_of_what_is_no_model_only_the_beginning_is_read(tmp_path):
    """A terabyte without contents, as sparse files have them."""
    path = tmp_path / "sparse"
    for beginning in (b"PK\x03\x04\x14\x00\x00\x00", b"\xff" * 8):
        with path.open("wb") as file:
            file.write(beginning)
            file.truncate(1 << 40)
        assert outcome(path) is None


def test_an_unknown_backend_is_no_fault_of_the_file(saved):
    model = saved("network")
    model.write(model.data)
    with pytest.raises(vp.UnknownBackendError, match="nope") as caught:
        vp.load(model.path, "nope")
    assert not isinstance(caught.value, vp.ModelFileError)


def memory_of(path):
    """The peak of what Python allocates while a file is loaded, in bytes."""
    tracemalloc.start()
    try:
        outcome(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_bounded_by_the_size_of_the_file(saved, tmp_path, amount, figure):
    path, worst, files = tmp_path / "model", 0, []
    for kind in amount(("stack", "classifier"), KINDS):
        model = saved(kind)
        model.write(model.data)
        vp.load(model.path)  # imports, and what is kept
        files += [forged(text, model.tensors) for text in headers(model.header).values()]
    files += list(hostile().values())
    for data in files:
        path.write_bytes(data)
        used = memory_of(path)
        worst = max(worst, used) if len(data) < 20_000 else worst
        assert used < 4e6 + 100 * len(data), (used, len(data), data[:200])
    header, tensors = saved("classifier").header, saved("classifier").tensors
    for entry in ("[]", "{}", '"a"', "1.5", '{"a":1}'):
        text = json.dumps(header)[:-1] + f', "more": [{",".join([entry] * amount(20_000, 500_000))}]}}'
        path.write_bytes(forged(text, tensors))
        assert memory_of(path) < 100 * path.stat().st_size, entry

    def load_all():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for data in files:
            if len(data) < 20_000:
                path.write_bytes(data)
                outcome(path)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < (16 << 10 if sys.platform == "linux" else 16 << 20), grown

    assert in_process(load_all) == 0, "the process itself grew"
    figure(f"{len(files)} hostile files", f"at most {worst / 1e6:.1f} MB for one of less than 20 kB", "a few megabytes")


# --- the program ------------------------------------------------------------------------------------------------


def test_a_model_of_tables_about_which_nothing_is_told(saved, tmp_path):
    """`about` is free: `info` and `evaluate` do without it."""
    model = saved("houses").model
    for about in ({}, {"rows": 3}, {"source": "a", "rows": {"training": 1}, "scores": []}, {"scores": {"network": 1}}):
        vp.save(tmp_path / "model", tabular.TableModel(model.preparation, model.target, model.estimator, about))
        assert vp.load(tmp_path / "model").about == about
        assert "trained on" not in vecprop("info", tmp_path / "model")[0]
        FRAME.write_csv(tmp_path / "data.csv")
        vecprop("evaluate", tmp_path / "model", tmp_path / "data.csv")


# --- what is saved can be loaded -----------------------------------------------------------------------------------


@cases(
    ({"deep": json.loads("[" * 200 + "]" * 200)}, "levels of lists"),
    ({"half a character": "\ud800"}, "surrogates not allowed"),
    ({"not a number": float("nan")}, "nan|JSON compliant"),
    (None, "alpha"),
)
def test_what_would_not_be_loaded_is_not_saved(about, words, tmp_path, saved):
    """What tells about a table, or a parameter: `set_params` checks nothing."""
    if about is None:
        model = MLPRegressor(hidden_layer_sizes=(2,), max_iter=2).fit(X, X[:, 0]).set_params(alpha=-1)
    else:
        houses = saved("houses").model
        model = tabular.TableModel(houses.preparation, houses.target, houses.estimator, about)
    with pytest.raises(ValueError, match=words):
        vp.save(tmp_path / "m", model)
    assert not list(tmp_path.iterdir())


def test_a_header_that_safetensors_would_not_read_is_not_written(monkeypatch):
    monkeypatch.setattr(tensor_file, "_LONGEST_HEADER", 1000)
    with pytest.raises(ValueError, match="too many for a file"):
        tensor_file.encode({"history": "x" * 600}, {})


def test_classes_in_a_wide_array(tmp_path):
    y = np.array(["a", "b"], dtype="<U5000")[np.arange(24) % 2]
    model = MLPClassifier((2,), max_iter=2, random_state=0).fit(X, y)
    vp.save(tmp_path / "model", model)
    assert vp.load(tmp_path / "model").predict(X).tolist() == model.predict(X).tolist()
