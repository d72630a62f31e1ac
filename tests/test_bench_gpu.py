"""The benchmark of GPUs, on the processor: bounds by hand, who computes something else, every part, the record."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import gpu
import gpu_bounds
import gpu_ceilings
import gpu_contestants
import gpu_memory
import gpu_report
import gpu_rounds
import gpu_workloads
import vecprop as vp
from gpu_bounds import Bound, Needs, Rates
from gpu_ceilings import Ceiling
from gpu_report import Record
from gpu_rounds import Cell, TimeLimit

# What other libraries warn of is not for these tests to judge.
pytestmark = pytest.mark.filterwarnings("ignore")

NAME = "784-128-10 batch 128"


# --- bounds -------------------------------------------------------------------------------------------------


def test_the_operations_of_a_step_by_hand():
    """784-128-10, 128 examples: W1 has 100 352 weights, W2 1280; Z and dW take both, dA the second alone."""
    assert gpu_bounds.products_of((784, 128, 10), 128) == 2 * 128 * (2 * (100_352 + 1280) + 1280)
    # three layers: dA of the two upper ones
    assert gpu_bounds.products_of((2, 3, 4, 5), 1) == 2 * (2 * (6 + 12 + 20) + 12 + 20)


def test_the_operations_are_those_of_the_arrays():
    """Counted in the products that the benchmark of the other libraries makes of a step."""
    import peer_vecprop
    import peer_workloads

    work = peer_workloads.Training("small", (6, 8, 3), "relu", "softmax", 32, 32)
    ((_, operands),) = peer_vecprop.ProductsTrainer(work, work.draw()).batches
    assert gpu_bounds.products_of((6, 8, 3), 32) == sum(
        2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in operands
    )


def test_the_bytes_of_a_pass_by_hand():
    """One layer 3-2 and 10 examples: Z 6 + 30 + 20, dZ 20 + 20 + 20, dW 20 + 30 + 6 numbers; 2 products, 1 pass."""
    assert gpu_bounds.pass_needs((3, 2), 10) == Needs(2 * 10 * 12, 4 * 172, 3)
    assert gpu_bounds.pass_needs((3, 2), 10, itemsize=8).bytes == 8 * 172


def test_a_stack_needs_the_work_of_all_and_the_launches_of_one():
    one = gpu_bounds.step_needs((2, 16, 1), 64, gathers=True)
    all_of_them = gpu_bounds.step_needs((2, 16, 1), 64, gathers=True, networks=1000)
    assert all_of_them == Needs(1000 * one.operations, 1000 * one.bytes, one.launches)
    assert one.launches == 5 + 3 + 1 + 1


@pytest.mark.parametrize(
    ("rates", "wanted"),
    [
        (Rates(10.0, 10.0, 1.0), Bound(6.0, "products")),
        (Rates(60.0, 10.0, 1.0), Bound(4.0, "bandwidth")),
        (Rates(60.0, 40.0, 1.0), Bound(3.0, "launches")),
        (Rates(bandwidth=40.0), Bound(1.0, "bandwidth")),
        (Rates(), None),
    ],
)
def test_the_bound_is_the_largest(rates, wanted):
    assert gpu_bounds.bound(Needs(60, 40, 3), rates) == wanted


# --- the check before the clock -----------------------------------------------------------------------------


class TooFast(gpu_contestants.VecpropSteps):
    """It says that it trains with a learning rate of 1e-3."""

    def fit(self, epochs, **arguments):
        return super().fit(epochs, **{"optimizer": vp.Adam(1.05e-3)} | arguments)


class WrongGradient(gpu_contestants.VecpropPass):
    """One gradient is off by 1 %."""

    def parameters(self):
        (W1, b1), *rest = super().parameters()
        return [(1.01 * W1, b1), *rest]


def cells_of(work, kinds, limit=None):
    cells = []
    gpu_rounds.compare(work, kinds, rounds=2, seconds=0.002, limit=TimeLimit(limit), cells=cells)
    return {cell.peer: cell for cell in cells}


@pytest.mark.parametrize(
    ("work", "right", "wrong"),
    [
        (gpu_workloads.tiny(gpu_workloads.STEPS[1]), gpu_contestants.VecpropSteps, TooFast),
        (gpu_workloads.tiny(gpu_workloads.PASSES[0]), gpu_contestants.VecpropPass, WrongGradient),
    ],
)
def test_who_computes_something_else_is_not_timed(work, right, wrong):
    kinds = {"right": right, "wrong": wrong}
    found = cells_of(work, {name: gpu_contestants.on("numpy", kind) for name, kind in kinds.items()})
    assert len(found["right"].seconds) == 2 and min(found["right"].seconds) > 0 and found["right"].difference < 1e-5
    assert found["wrong"].seconds == [] and found["wrong"].first is None
    assert found["wrong"].reason.startswith("not timed: its")


def test_the_time_limit(monkeypatch):
    monkeypatch.setattr(gpu_rounds.time, "perf_counter", iter(range(10**6)).__next__)
    work = gpu_workloads.tiny(gpu_workloads.PASSES[0])
    (cell,) = cells_of(work, {"ours": gpu_contestants.on("numpy", gpu_contestants.VecpropPass)}, limit=0.5).values()
    assert cell.reason == "the time limit was reached"


def test_networks_one_by_one_are_those_of_the_stack():
    """The stack's networks, and the same trained alone from the same start with the same seeds."""
    work = gpu_workloads.tiny(gpu_workloads.STACKS[0])
    start, data = gpu_rounds.draw_starts(work), work.draw()
    stack, alone = (
        gpu_contestants.on("numpy", kind)(work, data).train_exactly(1, start)
        for kind in (gpu_contestants.StackSteps, gpu_contestants.SinglesSteps)
    )
    for (W, b), (W_alone, b_alone) in zip(stack, alone, strict=True):
        np.testing.assert_allclose(W[:3], W_alone, rtol=1e-5)
        np.testing.assert_allclose(b[:3], b_alone, rtol=1e-5, atol=1e-7)


# --- a run --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", pytest.param("jax", marks=pytest.mark.slow)])
def test_every_part_runs(backend, tmp_path, monkeypatch, capsys):
    """One workload of each part, on the processor; PyTorch and optax if they are there."""
    out = tmp_path / "new" / "gpu.json"
    monkeypatch.setattr(gpu, "TINY_LADDER_SIZES", (1, 20))
    monkeypatch.setattr(gpu, "HEAVY", (NAME,))
    monkeypatch.setattr(gpu_memory, "in_its_own_process", lambda *_: gpu_memory.DeviceMemory(None, 2**20))
    names = [NAME, gpu_workloads.STACKS[0].name, gpu_workloads.PASSES[0].name]
    options = [f"--backend={backend}", "--tiny", "--rounds=2", f"--out={out}", *(f"--only={name}" for name in names)]
    contestants = [f"vecprop-{backend}", f"singles-{backend}", "torch", "torch-graph", "optax-scan"]
    gpu.main([*options, *(f"--contestant={name}" for name in contestants)])
    record = Record.load(out)
    assert record.tiny and {c.workload for c in record.cells} == set(names)
    for name in names:
        assert record.find(name, f"vecprop-{backend}")
        assert record.bound(name).seconds > 0
    for cell in record.cells:
        assert len(cell.seconds) == 2 or "cannot be imported" in cell.reason or "need a GPU" in cell.reason, cell
    assert {(r.backend, r.m) for r in record.ladder} >= {("numpy", 1), (backend, 20)}
    printed = capsys.readouterr().out
    assert "its figures mean nothing" in printed and "1 MiB" in printed
    assert printed.count("not measured") == len(gpu_workloads.TARGETS), "a tiny run is judged by no target"


def test_a_part_is_added_to_a_file(tmp_path):
    out = tmp_path / "gpu.json"
    common = ["--backend=numpy", "--tiny", "--rounds=1", f"--out={out}", "--contestant=vecprop-numpy"]
    for name in (gpu_workloads.PASSES[0].name, gpu_workloads.PASSES[1].name):
        gpu.main([*common, "--part=gradient", "--add", f"--only={name}"])
    assert len(Record.load(out).cells) == 2
    gpu.main([*common, "--part=gradient", f"--only={name}"])
    assert len(Record.load(out).cells) == 1


def test_memory_in_a_process_of_its_own():
    """NumPy has no device memory; the process has run all the same, and one that fails says why."""
    options = ["--backend=numpy", "--tiny"]
    assert gpu_memory.in_its_own_process("vecprop-numpy", NAME, options) == gpu_memory.DeviceMemory(None, None)
    assert "nobody" in gpu_memory.in_its_own_process("nobody", NAME, options)


def test_a_cpu_is_not_measured_as_a_gpu(capsys):
    with pytest.raises(SystemExit, match="no backend to measure"):
        gpu.main(["--backend", "numpy"])
    assert "it computes on the CPU here" in capsys.readouterr().out


@pytest.mark.parametrize("given", [["--part", "x"], ["--only", "x"], ["--seconds", "0"], ["--backend", "x"]])
def test_bad_options(given, capsys):
    with pytest.raises(SystemExit):
        gpu.parse(given)
    assert given[0] in capsys.readouterr().err


def test_ceilings_of_numpy():
    found = {c.what: c for c in gpu_ceilings.measure(["numpy", "nobody"], n=32, count=1024)}
    assert all(found[what].value > 0 for what in ("float32", "copy", "launch", "transfer"))
    assert found["TF32"].value is None and "no products in TF32" in found["TF32"].reason
    assert "nobody" in found["all"].reason


# --- the record ---------------------------------------------------------------------------------------------


def example():
    """Made-up rates of 1e12 operations, 1e12 bytes a second and 1 µs; times in whole multiples of the bounds."""
    fast, full = gpu_workloads.WORKLOADS["784-128-10 batch 60000 TF32"], gpu_workloads.WORKLOADS[NAME]
    ceilings = [Ceiling("cupy", what, value) for what, value in (("TF32", 1e15), ("copy", 1e12), ("launch", 1e-6))]
    cells = [
        Cell(fast.name, "vecprop-cupy", 1, [2 * fast.needs().bytes / 1e12] * 3, first=1.0),
        Cell(full.name, "vecprop-jax", 480, [20e-6, 20e-6, 20e-6]),
        Cell(full.name, "vecprop-cupy", 480, [130e-6, 130e-6, 130e-6]),
        Cell(full.name, "torch", 480, [100e-6, 100e-6, 100e-6]),
        Cell(full.name, "torch-graph", 480, reason="CUDA graphs need a GPU"),
    ]
    needs = {w.name: (w.needs(), w.precision, w.steps) for w in (fast, full)}
    return Record({"numpy": "2"}, ceilings, needs, cells)


def test_targets_are_judged():
    record = example()
    judged = {(t.workload, t.ours, t.measure, t.theirs): record.judge(t) for t in gpu_workloads.TARGETS}
    assert judged[NAME, "vecprop-jax", "seconds", ""] == (20e-6, True)
    assert judged[NAME, "vecprop-cupy", "seconds", ""] == (130e-6, False)
    assert judged[NAME, "vecprop-jax", "times", "torch"] == (pytest.approx(5.0), True)
    assert judged[NAME, "vecprop-cupy", "times", "torch"] == (pytest.approx(1 / 1.3), False)
    share, met = judged["784-128-10 batch 60000 TF32", "vecprop-cupy", "bandwidth", ""]
    assert share == pytest.approx(0.5) and not met
    assert judged["784-128-10 batch 60000 TF32", "vecprop-jax", "bandwidth", ""] is None
    assert all(replace(record, tiny=True).judge(t) is None for t in gpu_workloads.TARGETS)


def test_shares_of_the_bound():
    """10 launches of 1 µs bound a step of 784-128-10 with 128 examples; products of float32 were not measured."""
    record = example()
    assert record.bound(NAME) == Bound(pytest.approx(10e-6), "launches")
    assert record.share(record.find(NAME, "vecprop-jax"), "bound") == pytest.approx(0.5)
    assert record.share(record.find(NAME, "vecprop-jax"), "products") is None


def test_the_targets_name_who_takes_part():
    for target in gpu_workloads.TARGETS:
        known = gpu.contestants(gpu_workloads.WORKLOADS[target.workload], ("cupy", "jax"))
        assert target.ours in known and target.theirs in ("", *known), target
        assert target.ours in gpu_report.NAMES
    everybody = [gpu.contestants(w, ("numpy", "cupy", "jax")) for w in gpu_workloads.WORKLOADS.values()]
    assert {name for names in everybody for name in names} <= set(gpu_report.NAMES)


def test_the_record_in_a_file_and_on_a_page(tmp_path):
    record, path, page = example(), tmp_path / "gpu.json", tmp_path / "page.md"
    record.save(path)
    assert Record.load(path) == record and not list(tmp_path.glob("*.new"))
    by_name = {(t["workload"], t["ours"], t["measure"]): t for t in json.loads(path.read_text("utf-8"))["targets"]}
    assert by_name[NAME, "vecprop-jax", "seconds"]["met"] is True
    page.write_text(f"before\n{gpu_report.BEGIN}old\n{gpu_report.END}after\n", "utf-8")
    gpu_report.main([str(path), "--page", str(page)])
    written = page.read_text("utf-8")
    assert written.startswith("before\n") and written.endswith("after\n") and "old" not in written
    assert "| vecprop, JAX | 20.0 µs | 9.60 ms | 50 % | – |" in written
    assert "PyTorch, CUDA graph: CUDA graphs need a GPU" in written and "**not met**" in written
    page.write_text("no marks", "utf-8")
    with pytest.raises(ValueError, match="no place for the tables"):
        gpu_report.write_page(page, "x")
    path.write_text('{"format": "something else"}', "utf-8")
    with pytest.raises(ValueError, match="something else"):
        Record.load(path)


def test_where_one_overtakes_the_other():
    """NumPy takes m ns and more, the other 1 µs and m/100 ns: they meet where both lines do, m = 1 010 or so."""
    sizes = [1, 10, 100, 1000, 10_000]
    found = gpu_report.overtakes(sizes, [m * 1e-9 for m in sizes], [1e-6 + m * 1e-11 for m in sizes])
    assert 1000 < found < 1020
    again_slower = gpu_report.overtakes([1, 10, 100], [1.0, 1.0, 2.0], [0.5, 2.0, 1.0])
    assert math.isclose(again_slower, math.sqrt(1000), rel_tol=1e-6), "the last crossing counts"


def test_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    record = example()
    with pytest.raises(ValueError, match="nothing to draw"):
        gpu_report.draw_ladder(record, tmp_path / "none.png")
    with pytest.raises(ValueError, match="nothing to draw"):
        gpu_report.draw_shares(Record(), tmp_path / "none.png")
    row = {"dtype": "float32", "pass_name": "gradients", "measured_m": 1, "extrapolated": False, "runs": 3}
    record.ladder = [
        gpu_report.LadderRow(backend=b, network=n, rung=rung, m=m, seconds=scale * m * 1e-6, **row)
        for b, scale in (("numpy", 1), ("cupy", 0.1))
        for n in ("2-4-1", "784-128-10")
        for rung in ("per_example", "vectorized")
        for m in (1, 100)
    ]
    record.save(tmp_path / "gpu.json")
    gpu_report.main([str(tmp_path / "gpu.json"), "--pictures", str(tmp_path)])
    for name in ("gpu-ladder.png", "gpu-shares.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"
