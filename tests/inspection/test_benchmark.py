"""The measuring library: what is timed is what is claimed, and the record says what was done."""

import getpass
import json
import platform
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import array_api_compat.numpy
import numpy as np
import pytest

import vecprop as vp
from helpers import cases, refusals
from helpers.pictures import a_row
from vecprop.backend import Backend
from vecprop.inspection import benchmark
from vecprop.inspection.benchmark import NETWORKS, PASSES, RUNGS, Report, Workload, cap_loop, measure
from vecprop.propagation import Layer

pytestmark = pytest.mark.alone
DELAY = 2e-3


class Late(Backend):
    """Returns from every compiled call at once; the result is ready 2 ms later, in a queue, as on a GPU."""

    def __init__(self, waits=True):
        super().__init__(array_api_compat.numpy, "late")
        self.ready, self.waited, self.waits = 0.0, 0, waits

    def compile(self, function):
        def enqueue(*arguments):
            self.ready = max(self.ready, time.perf_counter()) + DELAY
            return function(*arguments)

        return enqueue

    def synchronize(self, array):
        self.waited += 1
        if self.waits:
            time.sleep(max(0.0, self.ready - time.perf_counter()))


class Spy(np.ndarray):
    """Notes the shapes of every matrix product."""

    seen: ClassVar[list] = []

    def __matmul__(self, other):
        Spy.seen.append((self.shape, other.shape))
        return super().__matmul__(other)

    def __rmatmul__(self, other):
        Spy.seen.append((other.shape, self.shape))
        return super().__rmatmul__(other)


@pytest.fixture(scope="module")
def small():
    lines = []
    report = measure(networks=["2-4-1"], sizes=[1, 60], dtypes=["float32"], budget=0.02, report=lines.append)
    return report, lines


def test_one_row_for_every_cell(small):
    report, lines = small
    wanted = [(m, p, r) for m in (1, 60) for p in PASSES for r in RUNGS if r != "per_example_compiled"]
    assert [(row.m, row.pass_name, row.rung) for row in report.rows] == wanted
    assert len(lines) == len(wanted) and "gradients vectorized m = 60" in lines[-1]
    for row in report.rows:
        assert 0 < row.seconds < 1
        assert row.runs >= 1
        assert row.compile_seconds is None
        assert (row.matmul_share is not None) == (row.rung == "vectorized")
        assert 1 <= row.measured_m <= row.m


def test_no_speed_up_without_the_loop():
    report = measure(networks=["2-4-1"], sizes=[3], dtypes=["float64"], rungs=["vectorized"], budget=0.01)
    assert [row.speedup for row in report.rows] == [None, None]
    assert report.rows[0].dtype == "float64"


@pytest.mark.parametrize("network", ["2-4-1", "784-128-10"])
def test_every_rung_computes_the_same(backend, network):
    net, m = NETWORKS[network], 3
    work = Workload(backend, net, "float64", m)
    J, grads = net.gradients(work.params, work.X, work.Y)
    wanted = [J, *(V for layer in grads for V in layer)]
    A = backend.to_numpy(net.forward(work.params, work.X))
    slow = () if (backend.name, network) == ("jax", "784-128-10") else ("per_neuron",)
    with work.scope():
        for rung in (*slow, "per_example", "per_example_compiled", "vectorized"):
            J, grads = work.call("gradients", rung)()
            for got, want in zip([J, *(V for layer in grads for V in layer)], wanted, strict=True):
                assert got.dtype == want.dtype and got.shape == want.shape
                got, want = backend.to_numpy(got), backend.to_numpy(want)
                assert np.linalg.norm(got - want) <= 1e-13 * np.linalg.norm(want)
            output = work.call("forward", rung)()
            columns = [backend.to_numpy(a) for a in output] if isinstance(output, list) else [backend.to_numpy(output)]
            np.testing.assert_allclose(np.concatenate(columns, axis=-1), A, rtol=1e-12)


@pytest.mark.parametrize("pass_name", PASSES)
def test_the_bare_products_are_those_of_the_pass(pass_name):
    net = vp.Network((5, 4, 3, 2), output="softmax")
    work = Workload("numpy", net, "float64", 7)
    work.params = tuple(Layer(W.view(Spy), b.view(Spy)) for W, b in work.params)
    work.X = work.X.view(Spy)
    products, whole = work.products(pass_name), work.call(pass_name, "vectorized")
    Spy.seen.clear()
    products()
    bare = sorted(Spy.seen)
    Spy.seen.clear()
    whole()
    assert bare == sorted(Spy.seen)
    assert len(bare) == {"forward": 3, "gradients": 8}[pass_name]


def test_the_clock_stops_only_when_the_result_is_there():
    backend = Late()
    report = measure([backend], ["2-4-1"], sizes=[4], dtypes=["float32"], passes=["gradients"], budget=0.05)
    times = {row.rung: row.seconds for row in report.rows}
    assert backend.waited > 0
    assert times["vectorized"] >= DELAY
    assert times["per_example_compiled"] >= DELAY
    assert times["per_example"] >= 4 * DELAY, "one wait for each of the four queued steps"
    assert report.find(rung="vectorized").compile_seconds is not None

    hasty = measure([Late(waits=False)], ["2-4-1"], [4], ["float32"], ["gradients"], ["vectorized"], budget=0.05)
    assert hasty.rows[0].seconds < DELAY, "without the wait nothing of the delay is seen"


def test_a_loop_beyond_the_budget_is_measured_on_fewer_examples_and_multiplied_up():
    report = measure([Late()], ["2-4-1"], [1000], ["float32"], ["forward"], ["per_example", "vectorized"], budget=0.1)
    loop, fast = report.rows
    assert loop.extrapolated and 10 <= loop.measured_m <= 50
    assert 1000 * DELAY <= loop.seconds < 3 * 1000 * DELAY
    assert not fast.extrapolated and fast.measured_m == 1000
    assert fast.speedup == loop.seconds / fast.seconds
    text = report.table()
    assert f"  forward, per example: {loop.measured_m} for m = 1 000" in text
    assert text.count("~") == 3, "the time, the speed-up and the note"


def test_a_loop_within_the_budget_is_run_in_full():
    work = Workload(Late(), NETWORKS["2-4-1"], "float32", 12)
    with work.scope():
        assert cap_loop(work, "forward", "per_example", budget=10).m == 12
        capped = cap_loop(work, "forward", "per_example", budget=1e-3)
    assert capped.m == 1, "one example at least, whatever it takes"
    assert capped.seconds >= DELAY


def test_the_data_are_no_zeros_and_fit_the_loss():
    counts = vp.Network((3, 2), output="exp", loss="poisson")
    for net in (*NETWORKS.values(), vp.Network((3, 2), output="identity"), counts):
        X, Y = benchmark.random_examples(net, 40, "float32")
        assert X.dtype == Y.dtype == np.float32
        assert np.count_nonzero(X) == X.size and np.ptp(Y) > 0
        net.gradients(net.init(), X, Y)  # checks the targets


def test_json_round_trip(small, tmp_path):
    report, _ = small
    (path,) = report.save(tmp_path / "new" / "folder")
    assert path.name == "bench.json"
    assert Report.load(path) == report
    assert json.loads(report.to_json())["rows"][0]["rung"] == "per_neuron"


@cases("", "[]", "{}", '{"format": "other"}', '{"format": "vecprop benchmark 1", "rows": 1}')
def test_a_file_that_is_no_benchmark_is_refused_by_name(text, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"other\.json is no benchmark of vecprop"):
        Report.load(path)


def test_the_environment_names_versions_and_devices_and_nobody(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", str(Path.home()))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    about = benchmark.describe_environment([vp.get_backend("numpy")])
    assert about["vecprop"] == vp.__version__ and about["numpy"] == np.__version__
    assert {"python", "CPU", "cores", "numpy BLAS", "precision", "date"} <= set(about)
    assert about["BLAS threads"] == "OPENBLAS_NUM_THREADS=2"
    text = json.dumps(about)
    assert str(Path.home()) not in text and str(Path.cwd()) not in text
    for name in (getpass.getuser(), platform.node()):
        assert not name or not re.search(rf"\b{re.escape(name)}\b", text)


def test_the_table_fits_and_has_a_column_only_for_what_was_measured(small):
    report, _ = small
    text = report.table()
    assert max(map(len, text.splitlines())) <= 100
    assert "numpy, network 2-4-1, float32" in text
    assert "per neuron" in text and "compiled loop" not in text and "compile " not in text
    widest = [
        a_row(rung=rung, m=m, pass_name=p, seconds=12345.6, measured_m=1, extrapolated=True, backend="jax")
        for m in benchmark.SIZES
        for p in PASSES
        for rung in RUNGS
    ]
    widest = [replace(row, speedup=12345.6, matmul_share=1.234, compile_seconds=0.0123) for row in widest]
    assert max(map(len, Report(widest).table().splitlines())) <= 100
    assert Report([]).table() == "nothing was measured"


def test_the_table_leaves_a_gap_where_a_rung_was_not_measured():
    text = Report([a_row(rung="per_example", m=1, measured_m=1), a_row(seconds=2.5e-6, matmul_share=0.31)]).table()
    lines = text.splitlines()
    assert lines[2].split() == ["gradients", "1", "1.00", "ms"]
    assert lines[3].split() == ["gradients", "100", "2.50", "µs", "31%"]


test_bad_arguments_are_named = refusals(
    lambda arguments: measure(**arguments),
    ({"backends": ["nunpy"]}, "backends: unknown backend 'nunpy': did you mean 'numpy'"),
    ({"backends": "numpy"}, TypeError, "backends must be a sequence"),
    ({"backends": []}, "backends must not be empty"),
    ({"networks": ["2-4-2"]}, "networks: unknown network '2-4-2': did you mean '2-4-1'"),
    ({"networks": NETWORKS["2-4-1"]}, TypeError, "networks must be a sequence"),
    ({"sizes": [10, 0]}, "sizes must be a positive integer, got 0"),
    ({"sizes": 10}, TypeError, "sizes must be a sequence"),
    ({"dtypes": ["float16"]}, "dtypes must be float32 or float64"),
    ({"passes": ["backward"]}, "passes: unknown pass 'backward'"),
    ({"rungs": ["per_nuron"]}, "rungs: unknown rung 'per_nuron': did you mean 'per_neuron'"),
    ({"budget": 0}, "budget must be a finite number > 0"),
    literal="",
)
