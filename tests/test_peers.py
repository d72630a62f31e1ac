"""The comparison with other libraries: all compute the same thing, every contestant runs, the record is whole."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import peer_growth
import peer_memory
import peer_quiet
import peer_report
import peer_trainers
import peer_vecprop
import peer_workloads
import peers
import vecprop as vp

Comparison, Row = peer_report.Comparison, peer_report.Row

# What other libraries warn of is not for these tests to judge.
pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = {
    "softmax": peer_workloads.Training("small", (6, 8, 3), "relu", "softmax", 50, 16),
    "sigmoid": peer_workloads.Training("small", (6, 8, 1), "tanh", "sigmoid", 50, 16),
    "identity": peer_workloads.Training("small", (6, 8, 1), "relu", "identity", 50, 16),
}


def slow(*values):
    """A case that compiles for longer than it computes."""
    return pytest.param(*values, marks=pytest.mark.slow)


OTHERS = ["torch", "sklearn", "optax-scan", slow("torch-fused"), slow("optax-step"), slow("keras")]


def trainer_or_skip(peer, work, data, **arguments):
    try:
        return peers.TRAINERS[peer](work, data, **arguments)
    except peer_trainers.UnavailableError as error:
        pytest.skip(str(error))


def assert_same(actual, desired, bound=1e-4):
    for (W, b), (W_ours, b_ours) in zip(actual, desired, strict=True):
        assert W.shape == W_ours.shape and b.shape == b_ours.shape
        for a, d in ((W, W_ours), (b, b_ours)):
            assert np.linalg.norm(a - d) <= bound * np.linalg.norm(d)


def ours_after(work, data, start, epochs):
    return peer_vecprop.VecpropTrainer(work, data).train_exactly(epochs, start)


def theirs_after(trainer, start, epochs):
    trainer.begin(start)
    for number in range(epochs):
        trainer.epoch(number)
    trainer.finish()
    return trainer.parameters()


# Keras and scikit-learn shuffle as they like: they get full batches, for which the order does not matter.
ORDERED = [
    ("torch", "softmax"),
    ("torch", "sigmoid"),
    ("torch", "identity"),
    ("optax-step", "softmax"),
    slow("torch-fused", "softmax"),
    slow("optax-step", "sigmoid"),
    slow("optax-scan", "softmax"),
    slow("optax-scan", "identity"),
]


@pytest.mark.parametrize(("peer", "output"), ORDERED)
def test_the_same_batches_give_the_same_parameters(peer, output):
    """Three epochs of three whole batches and a smaller last one, in our order, from the same start."""
    work = SMALL[output]
    data, start = work.draw(), peer_trainers.draw_start(work.sizes)
    trainer = trainer_or_skip(peer, work, data, order=lambda epoch: vp.utils.random_streams.shuffle(0, epoch, work.m))
    ours = ours_after(work, data, start, 3)
    assert_same(theirs_after(trainer, start, 3), ours)
    assert np.linalg.norm(ours[0][0] - start[0][0]) > 0.03, "it has trained"
    assert_same(theirs_after(trainer, start, 3), ours)  # begin() forgets what was before


@pytest.mark.parametrize("peer", OTHERS)
def test_full_batches_give_the_same_parameters(peer):
    work = replace(SMALL["softmax"], batch_size=50)
    data, start = work.draw(), peer_trainers.draw_start(work.sizes)
    trainer = trainer_or_skip(peer, work, data)
    assert_same(theirs_after(trainer, start, 12), ours_after(work, data, start, 12))


@pytest.mark.parametrize("peer", ["vecprop-numpy", "vecprop-jax", "torch", "jax"])
def test_gradients_are_the_same(peer):
    work = peer_workloads.FullGradient("small", (6, 8, 1), 300)
    data = work.draw()
    plain = peers.PASSES["plain-numpy"](work, data)
    try:
        other = peers.PASSES[peer](work, data)
    except peer_trainers.UnavailableError as error:
        pytest.skip(str(error))
    plain.epoch(0)
    other.train(1)
    assert_same(other.parameters(), plain.parameters())
    assert abs(float(other.cost) - float(plain.cost)) < 1e-5


def test_the_products_are_those_of_a_step():
    """As many multiplications as two forward passes and one more, less the product that the first layer spares."""
    work = replace(SMALL["softmax"], m=32, batch_size=32)
    products = peer_vecprop.ProductsTrainer(work, work.draw())
    ((steps, operands),) = products.batches
    assert steps == 1 and len(operands) == 5
    multiplications = sum(a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in operands)
    assert multiplications == 32 * (2 * 6 * 8 + 3 * 8 * 3)
    products.train(1)
    for a, b, out in operands:
        np.testing.assert_allclose(out, a @ b, rtol=1e-5, atol=1e-5)


# --- a smoke run --------------------------------------------------------------------------------------------

# torch.compile is left out: it compiles for a minute
QUICK = ["vecprop-numpy", "products-numpy", "singles-numpy", "plain-numpy", "sklearn", "torch"]
SLOW = ["vecprop-numpy", "vecprop-jax", "products-jax", "singles-jax", "jax", "keras", "optax-step", "optax-scan"]
CELLS = ["30-100-2", "2-4-2", "gradient 2-4-1", "64 × 30-16-1", "digits to 97 %"]


@pytest.fixture
def small_workloads():
    """The workloads with few examples, and a test set that is easy to please."""
    sizes = {"784-128-10": 60, "784-1024-10": 30, "2-4-2": 40}
    small = {
        name: work.shrunk(sizes.get(name, 50))
        for name, work in peer_workloads.WORKLOADS.items()
        if not isinstance(work, peer_workloads.Accuracy)
    }
    easy = {work.name: replace(work, wanted=0.2) for work in peer_workloads.ACCURACIES}
    stack = next(name for name, work in small.items() if isinstance(work, peer_workloads.Ensemble))
    small[stack] = replace(small[stack], networks=3)
    return small | easy


@pytest.mark.parametrize(
    ("asked", "name"), [*((QUICK, n) for n in CELLS[:-1]), slow(QUICK, CELLS[-1]), *(slow(SLOW, n) for n in CELLS)]
)
@pytest.mark.reliability
def test_every_contestant_runs(asked, name, small_workloads, amount):
    """A time from everybody who is there, and from everybody else the reason; ours is always there."""
    if asked is SLOW and amount(True, False):
        pytest.skip("with --long: they compile")
    if name.startswith("digits"):
        pytest.importorskip("sklearn")
    rounds = 2 if asked is QUICK else 1
    rows = peers.compare(small_workloads[name], asked, rounds, budget=0.002)
    comparison = Comparison(rows)
    by_peer = {row.peer: row for row in rows}
    assert set(by_peer) == set(peers.contestants(small_workloads[name])) & set(asked)
    for row in rows:
        assert (len(row.seconds) == rounds and min(row.seconds) > 0) or "cannot be imported" in row.reason, row
    assert by_peer["vecprop-numpy"].seconds
    assert "vecprop, NumPy" in comparison.table(name)


def test_what_fails_is_a_reason(small_workloads, monkeypatch):
    def broken(work, data):  # noqa: ARG001
        raise RuntimeError("no compiler\nand more")

    monkeypatch.setitem(peers.TRAINERS, "torch", broken)
    (row,) = peers.compare(small_workloads["2-4-2"], ["torch"], rounds=1, budget=0.01)
    assert row.seconds == [] and row.reason == "RuntimeError: no compiler"
    assert "PyTorch eager not available: RuntimeError: no compiler" in Comparison([row]).table("2-4-2")


def test_the_command(small_workloads, monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    for name, work in small_workloads.items():
        monkeypatch.setitem(peers.WORKLOADS, name, work)
    monkeypatch.setattr(peers, "SWEEPS", {"m": (5, 10), "K": (1, 2)})
    out, picture = tmp_path / "new" / "peers.json", tmp_path / "new" / "peers.png"
    options = ["--only", "30-100-2,gradient 2-4-1", "--peers", "vecprop-numpy,products-numpy,plain-numpy,sklearn"]
    peers.main([*options, "--rounds", "1", "--budget", "0.01", "--out", str(out), "--picture", str(picture)])
    printed = capsys.readouterr().out
    assert "30-100-2" in printed and "plain NumPy" in printed
    assert "not measured" in printed and "wanted" in printed
    assert picture.read_bytes()[:4] == (tmp_path / "new" / "peers-growth.png").read_bytes()[:4] == b"\x89PNG"
    content = json.loads(out.read_text(encoding="utf-8"))
    assert {"numpy", "dtype", "threads", "cores"} <= set(content["environment"])
    assert len(content["growth"]) == 4
    assert len(content["bars"]) == len(peer_workloads.BARS)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--only", "9-9-9"),
        ("--only", ""),
        ("--peers", "matlab"),
        ("--rounds", "0"),
        ("--budget", "-1"),
        ("--budget", "x"),
    ],
)
def test_bad_options(option, value, capsys):
    with pytest.raises(SystemExit):
        peers.parse([option, value])
    assert option in capsys.readouterr().err


# --- the record ---------------------------------------------------------------------------------------------


def example():
    """Three workloads' worth of made-up times; ours are 1 ms on NumPy and 2 ms on JAX."""
    rows = [
        Row("30-100-2", "vecprop-numpy", 20, [1e-3, 1e-3, 1e-3], [1e-3, 1.1e-3, 1e-3], 0.1, 3 * 2**20),
        Row("30-100-2", "vecprop-jax", 20, [2e-3, 2e-3, 2e-3], [3e-3, 3e-3, 3e-3], 1.0),
        Row("30-100-2", "sklearn", 20, [2.9e-3, 3.1e-3, 9e-3], first=0.01),
        Row("30-100-2", "torch", 20, reason="torch cannot be imported: no"),
        Row("30-100-2", "optax-step", 20, [2e-3, 2e-3, 2e-3]),
        Row("30-100-2", "optax-scan", 20, [1.5e-3, 1.5e-3, 1.5e-3]),
    ]
    growth = [{"sweep": "m", "value": 10, "backend": "numpy", "seconds": 1e-5}]
    return Comparison(rows, {"numpy": "2.4", "CPU": "a processor"}, growth, {"30-100-2": 0.9})


def test_ratios_and_verdicts():
    comparison = example()
    lines = {line.partition("30-100-2: ")[2]: line for line in comparison.verdicts().splitlines()}
    assert lines["scikit-learn / vecprop, NumPy"].startswith("reached       wanted  3.00  is  3.10")
    assert lines["scikit-learn / vecprop, JAX"].startswith("not reached   wanted  6.00  is  1.55")
    optax = "JAX + optax, a step or JAX + optax, an epoch / vecprop, NumPy or vecprop, JAX"
    assert lines[optax].startswith("not reached   wanted  1.60  is  1.50"), "the quicker of theirs, the quicker of ours"
    assert lines["PyTorch eager / vecprop, NumPy or vecprop, JAX"].startswith("not measured")
    *bars, warning = comparison.verdicts().splitlines()
    assert len(bars) == len(peer_workloads.BARS) and warning.startswith("not a quiet machine")


def test_table():
    table = example().table("30-100-2")
    header, ours, jax, sklearn = table.splitlines()[1:5]
    assert header.split() == ["step", "lowest–highest", "/", "NumPy", "/", "JAX", "first", "call", "memory"]
    assert "1.00 ms" in ours and "0.50" in ours and "100 ms" in ours and "3 MiB" in ours
    assert "2.00" in jax and "1.00" in jax
    assert sklearn.split() == ["scikit-learn", "3.10", "ms", "2.90", "ms–9.00", "ms", "3.10", "1.55", "10.0", "ms"]
    assert "PyTorch eager not available: torch cannot be imported: no" in table
    assert "vecprop, JAX: 2.00 ms by its history, 3.00 ms by the clock around the call; they differ" in table
    assert table.count("they differ by more than 15 %") == 1
    assert "other processes kept 0.9 cores busy" in table
    assert max(map(len, table.splitlines())) <= 120


def test_json_round_trip(tmp_path):
    comparison, path = example(), tmp_path / "new" / "peers.json"
    comparison.save(path)
    assert Comparison.load(path) == comparison
    content = json.loads(path.read_text(encoding="utf-8"))
    bars = {(bar["workload"], *bar["theirs"], *bar["ours"]): bar["ratio"] for bar in content["bars"]}
    assert bars["30-100-2", "sklearn", "vecprop-numpy"] == pytest.approx(3.1)
    path.write_text('{"format": "something else"}', encoding="utf-8")
    with pytest.raises(ValueError, match="something else"):
        Comparison.load(path)


def test_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    peer_report.draw_ratios(example(), tmp_path / "ratios.png")
    rows = [
        {"sweep": s, "value": v, "backend": b, "seconds": 1e-5 * v}
        for s in ("m", "K")
        for v in (10, 100)
        for b in ("numpy", "jax")
    ]
    peer_growth.draw_growth(rows, tmp_path / "growth.png")
    assert {p.name for p in tmp_path.iterdir()} == {"ratios.png", "growth.png"}
    with pytest.raises(ValueError, match="nothing to draw"):
        peer_report.draw_ratios(Comparison([]), tmp_path / "none.png")


def test_every_bar_can_be_measured():
    """A bar names a workload and contestants that take part in it."""
    for bar in peer_workloads.BARS:
        assert {*bar.theirs, *bar.ours} <= set(peers.contestants(peer_workloads.WORKLOADS[bar.workload])), bar
    assert set(peer_report.NAMES) == set(peers.PEERS)


def test_memory_is_that_of_the_run_alone():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the peak of the memory can be reset on Linux only")

    def make():
        np.ones(2**25)  # 256 MiB that are no longer there when the run begins
        return lambda: np.ones(2**23).sum()  # 64 MiB

    assert 60 * 2**20 < peer_memory.extra_memory(make) < 100 * 2**20


def test_neighbours_are_counted():
    cores = peer_quiet.Neighbours().cores()
    assert cores is None or cores >= 0
