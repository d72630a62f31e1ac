"""Data that are not in memory: the same run, the order, what is bounded, and what is refused."""

import os
import threading
from contextlib import closing
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import vecprop as vp
from helpers import assert_near, assert_same_run, cases, epoch_order, raising, refusals, spoiled
from helpers.faults import broken_off
from helpers.processes import environment, python
from vecprop.data.streaming import as_source
from vecprop.data.streaming import examples as streamed
from vecprop.data.streaming.order import Windows, regular
from vecprop.data.streaming.reading import read_ahead
from vecprop.training import prepare as examples_module
from vecprop.training import results

# Of the process alone: what getrusage says begins with the peak of the process that started it.
PEAK = 'peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024'
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is in /proc, of Linux")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RANDOM = np.random.default_rng(0)
M = 103
X = RANDOM.standard_normal((M, 5))
Y = np.eye(3)[RANDOM.integers(0, 3, M)]
W = RANDOM.uniform(0.5, 2, M)
NET = vp.Network((5, 6, 3), output="softmax")
COLUMNS = [f"c{j}" for j in range(5)]
ARGUMENTS = {"optimizer": vp.Adam(0.01), "epochs": 3, "batch_size": 7, "dtype": "float64"}


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "Y.npy", Y)
    return tmp_path


def rows_of(files):
    return vp.rows(files / "X.npy"), vp.rows(files / "Y.npy")


def fit(x, y, **arguments):
    return vp.fit(NET, x, y, **{**ARGUMENTS, **arguments})


close = partial(assert_same_run, atol=1e-12, rtol=1e-10)


def write_parquet(folder, parts, names=COLUMNS, group=19):
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    folder.mkdir(exist_ok=True)
    for i, part in enumerate(parts):
        columns = dict(zip(names, np.asarray(part).T, strict=True))
        parquet.write_table(pyarrow.table(columns), folder / f"part-{i}.parquet", row_group_size=group)
    return folder


def write_feather(folder):
    feather, pyarrow = pytest.importorskip("pyarrow.feather"), pytest.importorskip("pyarrow")
    feather.write_feather(pyarrow.table(dict(zip(COLUMNS, X.T, strict=True))), folder / "X.feather", chunksize=33)
    return folder / "X.feather"


def dataset_of(path, **options):
    return vp.rows(pytest.importorskip("pyarrow.dataset").dataset(path, **options))


def hdf5(folder, data, chunks):
    return pytest.importorskip("h5py").File(folder / "X.h5", "w").create_dataset("X", data=data, chunks=chunks)


def zarr(folder):
    return pytest.importorskip("zarr").create_array(store=str(folder / "X.zarr"), data=X, chunks=(13, 5))


def mapped(folder, array, mode="r"):
    np.save(folder / "map.npy", array)
    return np.load(folder / "map.npy", mmap_mode=mode)


# X in sources of every kind
SOURCES = {
    "npy": lambda folder: vp.rows(folder / "X.npy"),
    "memory map": lambda folder: mapped(folder, X).T,
    "memory map in columns": lambda folder: mapped(folder, np.ascontiguousarray(X.T)),
    "part of a memory map": lambda folder: mapped(folder, np.repeat(X, 2, axis=1))[:, ::2].T,
    "private memory map": lambda folder: mapped(folder, X, "c").T,
    "parquet": lambda folder: vp.rows(write_parquet(folder / "parquet", [X[:40], X[40:40], X[40:]]), columns=COLUMNS),
    "dataset": lambda folder: dataset_of(write_parquet(folder / "parquet", [X[:40], X[40:]])),
    "feather": lambda folder: vp.rows(write_feather(folder), COLUMNS),
    "arrow dataset": lambda folder: dataset_of(write_feather(folder), format="arrow"),
    "hdf5": lambda folder: vp.rows(hdf5(folder, X, (13, 5))),
    "hdf5 in columns": lambda folder: hdf5(folder, X.T, (5, 13)),
    "zarr": lambda folder: vp.rows(zarr(folder)),
}


# --- the same run -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.filterwarnings("ignore:.*zarr.*")
def test_every_source_gives_the_run_in_memory(kind, files, monkeypatch):
    """With one window; with many of them where the order is that of the file. Predictions are made part by part."""
    x, y = SOURCES[kind](files), vp.rows(files / "Y.npy")
    assert x.shape == (5, M)
    in_memory = X if kind != "memory map in columns" else np.asfortranarray(X)
    for window in ("auto", M, 1000):
        assert_same_run(fit(x, y, window=window), fit(in_memory.T, Y.T))
    result = fit(x, y, window=20, shuffle=False)
    assert_same_run(result, fit(X.T, Y.T, shuffle=False))
    monkeypatch.setattr(results, "_AT_ONCE", 40)
    np.testing.assert_allclose(result.forward(x), result.forward(X.T), rtol=1e-12)


def test_windows_are_trained_on_in_the_documented_order(files, backend):
    """An epoch in windows is the epoch over the examples put into that order beforehand."""
    x, y = rows_of(files)
    order = epoch_order(Windows(regular(M, 21 // streamed.BLOCKS), 7, 21), 5, 0)
    arguments = {"epochs": 1, "seed": 5, "backend": backend, "dropout": 0.2}
    ours, theirs = fit(x, y, window=20, **arguments), fit(X[order].T, Y[order].T, shuffle=False, **arguments)
    assert len(np.unique(order)) == M and (order != np.arange(M)).any()
    (assert_same_run if backend.name == "numpy" else close)(ours, theirs)


OPTIONS = {
    "weights": {"sample_weight": W},
    "balanced classes": {"class_weight": "balanced", "sample_weight": W, "l2": 0.1},
    "classes by number": {"class_weight": {0: 2.0, 2: 0.5}},
    "standardize": {"standardize": True, "sample_weight": W},
    "validation, accuracy": {"validation": (X[:50].T, Y[:50].T, W[:50]), "metric": "accuracy", "patience": 1},
    "r2": {"metric": "r2", "sample_weight": W},
    "absolute error": {"validation": (X[:50].T, Y[:50].T), "metric": "mean_absolute_error"},
    "own metric": {"metric": lambda Y, A: float(np.abs(Y - A).mean())},
    "batch normalization": {"batch_norm": True, "dropout": 0.1, "clip_norm": 0.5, "sample_weight": W},
    "K learning rates": {"optimizer": vp.Adam([0.01, 0.02]), "metric": "accuracy"},
    "a share for validation": {"validation": 0.3, "metric": "accuracy", "standardize": True},
    "K seeds": {"seed": (3, 4)},
}  # fmt: skip


@pytest.mark.parametrize("case", OPTIONS)
def test_options_are_those_of_data_in_memory(case, files, monkeypatch):
    """In windows of 21 examples, 7 of them read at once, in the order of the file."""
    monkeypatch.setattr(streamed, "READ", 7 * 9 * 8)
    arguments = {"shuffle": False, **OPTIONS[case]}
    theirs = fit(X.T, Y.T, **arguments)
    np.save(files / "W.npy", W)
    if "sample_weight" in arguments:
        arguments["sample_weight"] = vp.rows(files / "W.npy")
    if isinstance(arguments.get("validation"), tuple):
        np.save(files / "held.npy", X[:50])
        arguments["validation"] = (vp.rows(files / "held.npy"), *arguments["validation"][1:])
    close(fit(*rows_of(files), window=20, **arguments), theirs)


def test_a_large_share_for_validation_is_streamed(files, monkeypatch):
    arguments = {"validation": 0.3, "metric": "accuracy", "shuffle": False}
    theirs = fit(X.T, Y.T, **arguments)
    monkeypatch.setattr(streamed, "SMALL", 0)
    close(fit(SOURCES["parquet"](files), Y.T, window=20, **arguments), theirs)


def test_either_of_x_and_y_may_be_in_memory(files):
    theirs = fit(X.T, Y.T, shuffle=False)
    close(fit(X.T, vp.rows(files / "Y.npy"), window=20, shuffle=False), theirs)
    close(fit(vp.rows(files / "X.npy"), Y.T.tolist(), window=20, shuffle=False), theirs)


# --- the order --------------------------------------------------------------------------------------------------


def test_epochs_and_seeds_have_orders_of_their_own():
    windows = Windows(regular(1000, 10), 10, 100)
    orders = {tuple(epoch_order(windows, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4
    mixed = epoch_order(windows, 0, 0)[:100]
    assert len({place // 10 for place in mixed.tolist()}) == 10 and np.ptp(mixed) > 500


def test_a_file_of_ten_billion_rows_needs_no_list_of_them():
    windows = Windows(regular(10**10, 10**5), 1000, 10**6)
    assert sum(stop - start for start, stop in windows.ranges(0, 3, 7777)) == 10**6
    assert len(windows) == 10**4


# --- reading ahead ----------------------------------------------------------------------------------------------


def test_the_next_is_prepared_while_one_is_used_and_no_more():
    begun = [threading.Event() for _ in range(5)]
    names = set()

    def prepare(item, _):
        names.add(threading.current_thread().name)
        begun[item].set()
        return item

    with closing(read_ahead(prepare, range(5))) as items:
        for item in items:
            if item < 4:
                assert begun[item + 1].wait(30), "nothing is read while this one is used"
            assert all(not event.is_set() for event in begun[item + 2 :]), "it reads too far ahead"
    assert names == {"vecprop-reader_0"}


class Watched:
    """An array that notes when and in which thread it is read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.reads, self.threads, self.fails_at = [], set(), None

    def __getitem__(self, key):
        self.threads.add(threading.current_thread().name)
        self.reads.append(key)
        if self.fails_at is not None and len(self.reads) > self.fails_at:
            raise RuntimeError("the disk is gone")
        return self.array[key]


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("vecprop-reader")]


def test_no_thread_and_no_file_is_left(files):
    def handles():
        return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0

    x, y = SOURCES["parquet"](files), vp.rows(files / "Y.npy")
    fit(x, y, window=20)  # what is opened once, by pyarrow too
    before = handles()
    fit(x, y, window=20)
    assert readers() == [] and handles() == before
    fit(x, y, window=20, callbacks=lambda state, _: state.epoch == 1)
    assert readers() == [] and handles() == before
    with pytest.raises(vp.CallbackError):
        fit(x, y, window=20, callbacks=raising(ValueError("no"), 2))
    assert readers() == []
    with pytest.warns(RuntimeWarning, match="interrupted after 2 of 3"):
        assert fit(x, y, window=20, callbacks=raising(KeyboardInterrupt(), 2)).stopped == "interrupted"
    assert readers() == []
    watched = Watched(X)
    watched.fails_at = 40
    with pytest.raises(OSError, match=r"X: rows \d+ to \d+ cannot be read: RuntimeError: the disk is gone"):
        fit(vp.rows(watched), y, window=20)
    assert readers() == [] and "vecprop-reader_0" in watched.threads
    vp.fit(NET, x, y, window=20, batch_size=7, epochs=1, validation=(x, y), metric="accuracy")
    assert readers() == []


@needs_proc
@pytest.mark.reliability
@pytest.mark.slow
def test_memory_is_that_of_the_windows(tmp_path, figure):
    """A file of 320 MB, read twice, and a tenth of it added to the memory of the process at most."""
    path = tmp_path / "X.npy"
    rows, features = 1_250_000, 64
    data = np.lib.format.open_memmap(path, "w+", np.float32, (rows, features))
    block = np.random.default_rng(0).standard_normal((50_000, features), dtype=np.float32)
    for start in range(0, rows, 50_000):
        data[start : start + 50_000] = block
    del data
    np.save(tmp_path / "Y.npy", np.tile((block[:, :1] > 0).astype(np.float32), (rows // 50_000, 1)))
    code = f"""
import numpy as np, vecprop as vp
{PEAK}
net = vp.Network(({features}, 8, 1))
arguments = dict(optimizer=vp.Adam(1e-3), batch_size=500, epochs=1, standardize=True)
vp.fit(net, np.zeros(({features}, 1000), "float32"), np.ones((1, 1000), "float32"), **arguments)
before = peak()
for X in (vp.rows({str(path)!r}), np.load({str(path)!r}, mmap_mode="r").T):
    vp.fit(net, X, vp.rows({str(tmp_path / "Y.npy")!r}), window=20_000, **arguments)
print(peak() - before)
"""
    found = python("-c", code)
    size, more = path.stat().st_size, int(found.stdout)
    assert more < size / 8, f"{more / 2**20:.0f} MiB more"
    figure(
        f"trained on a .npy file of {size / 2**20:.0f} MiB, by `vp.rows` and as a memory map",
        f"resident memory {more / 2**20:.0f} MiB larger than for a thousand examples",
        f"an eighth of the file, {size / 2**23:.0f} MiB",
    )


# --- checkpoints ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "every"), [(20, 0.2), (42, 0.1), (20, 0.5), (20, 1)])
def test_a_run_goes_on_in_the_middle_of_an_epoch(files, tmp_path, window, every):
    x, y, path = vp.rows(Watched(X)), vp.rows(files / "Y.npy"), tmp_path / "run.ckpt"
    arguments = {"window": window, "checkpoint_every": every, "validation": (X[:9].T, Y[:9].T)}
    whole = fit(x, y, window=window, validation=arguments["validation"])
    broken_off(2, fit, x, y, checkpoint=path, **arguments)
    x.source.array.reads.clear()
    assert_same_run(fit(x, y, checkpoint=path, resume=True, **arguments), whole)
    if every < 1:
        assert len(x.source.array.reads) > 1, "it is read"
    with pytest.raises(ValueError, match="window"):
        fit(x, y, resume=path, window=2 * window, validation=arguments["validation"])


def test_other_data_are_not_resumed(files, tmp_path):
    path = tmp_path / "run.ckpt"
    fit(*rows_of(files), window=20, checkpoint=path)
    np.save(files / "X.npy", X + 1)
    with pytest.raises(ValueError, match="the values of X and Y"):
        fit(*rows_of(files), window=20, resume=path)


# --- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", ["auto", 20])
@cases(
    (spoiled(X, np.nan, (88, 3)), Y, r"X must be finite, got NaN in rows .*block \d+. of .*X.npy, first in row 88"),
    (spoiled(X, np.inf, (88, 3)), Y, "X must be finite, got an infinite value .*first in row 88, column 3"),
    (spoiled(X, 1e300, (88, 3)), Y, "X holds values too large for float32 in rows .*use dtype='float64'"),
    (spoiled((X * 9).astype(int), 2**40, (88, 3)), Y, r"X: it holds integers beyond .16777216, which .* in rows"),
    (X, spoiled(Y, np.nan, (70, 0)), r"Y must be finite, got NaN in rows .*Y.npy, first in row 70"),
    (X.T, Y, r"X must have shape \(5, m\).*got \(103, 5\); .*use vp.rows\(X\)"),
    (X[:50], Y, r"Y must have shape \(3, 50\)"),
    (X[:, :4], Y, r"X must have shape \(5, m\), one example per column, got \(4, 103\)"),
    (X * 1j, Y, "X.npy: must be real numbers.*complex128"),
)  # fmt: skip
def test_wrong_values_are_named_with_their_place(x, y, message, files, window):
    np.save(files / "X.npy", x)
    np.save(files / "Y.npy", y)
    with pytest.raises((ValueError, TypeError), match=message):
        fit(*rows_of(files), dtype="float32", window=window)


def test_targets_are_checked_as_they_are_read(files):
    np.save(files / "Y.npy", spoiled(Y, 7.0, (70, 0)))
    with pytest.raises(ValueError, match=r"Y must have columns that sum to 1 .*; found in rows \d+ to \d+ \(block"):
        fit(*rows_of(files), window=20)
    np.save(files / "W.npy", spoiled(W, -1.0, 70))
    with pytest.raises(ValueError, match=r"sample_weight must be >= 0, got -1 in rows"):
        fit(vp.rows(files / "X.npy"), Y.T, window=20, sample_weight=vp.rows(files / "W.npy"))
    with pytest.raises(ValueError, match="sample_weight must not be all zero"):
        fit(vp.rows(files / "X.npy"), Y.T, window=20, sample_weight=np.zeros(M))
    with pytest.raises(ValueError, match="sample_weight must have a sum of ordinary size for float64"):
        fit(vp.rows(files / "X.npy"), Y.T, window=20, sample_weight=np.full(M, 1e-300))


def test_the_block_is_named_whichever_it_is(tmp_path, monkeypatch):
    """As in a large file: 1 000 blocks of 10 rows."""
    rows = np.zeros((10_000, 5))
    rows[7314, 2] = np.nan
    np.save(tmp_path / "X.npy", rows)
    y = np.tile(Y[:1], (10_000, 1)).T
    monkeypatch.setattr(streamed, "READ", 10 * 9 * 8)
    with pytest.raises(ValueError, match=r"in rows 7310 to 7319 \(block 731\) of .*X.npy, first in row 7314, column 2"):
        fit(vp.rows(tmp_path / "X.npy"), y, window=1000)


@pytest.mark.parametrize("kind", ["npy", "parquet", "object"])
def test_what_would_be_seen_to_change_is_checked_until_all_has_been_read(files, monkeypatch, kind):
    x = vp.rows(Watched(X)) if kind == "object" else SOURCES[kind](files)
    check = streamed.StreamedExamples._require_finite
    watched = mock.create_autospec(check, side_effect=check)
    monkeypatch.setattr(streamed.StreamedExamples, "_require_finite", watched)
    counts = []
    for epochs in (1, 2, 4):
        watched.reset_mock()
        fit(x, vp.rows(files / "Y.npy"), window=20, epochs=epochs)
        checks = [call.args[1:4] for call in watched.call_args_list]
        counts.append([sum(stop - start for which, start, stop in checks if which == i) for i in (0, 1)])
    (once, of_y), *later = counts
    assert min(once, of_y) >= M
    assert later == [[once + (epochs - 1) * M * (kind == "object"), of_y] for epochs in (2, 4)]


@pytest.mark.parametrize("how", ["longer", "shorter", "written"])
def test_a_file_that_changes_is_named(files, how):
    path = files / "X.npy"
    before = os.stat(path)

    def change(state, _):
        if state.epoch == 1:
            with path.open("r+b") as file:
                file.truncate(before.st_size + {"longer": 40, "shorter": -40, "written": 0}[how])
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))

    message = "it has been written to" if how == "written" else r"it had \d+ bytes and now has \d+"
    with pytest.raises(OSError, match=rf"X: .*X.npy changed while it was read: {message}"):
        fit(vp.rows(path), Y.T, window=20, callbacks=change)


def test_arrow_files_that_change_or_differ_are_named(files):
    folder = write_parquet(files / "q", [X[:40], X[40:]])
    x = vp.rows(folder)

    def change(state, _):
        if state.epoch == 1:
            write_parquet(folder, [X[:40], X[50:]])

    with pytest.raises(OSError, match=r"X: .*part-\d.parquet changed while it was read"):
        fit(x, Y.T, window=20, callbacks=change)
    write_parquet(folder, [X[:40], X[40:80], X[80:].astype(np.float32)])
    with pytest.raises(ValueError, match=r"part-2.parquet: column 'c0' is float, and double in the files before"):
        vp.rows(folder)
    write_parquet(folder, [X[:40], X[40:]])
    write_parquet(files / "other", [X], names=["c0", "c1", "c2", "z", "c4"])
    (files / "other" / "part-0.parquet").rename(folder / "part-1.parquet")
    with pytest.raises(ValueError, match=r"part-1.parquet has no column 'c3'; its columns are 'c0'.*'z'"):
        vp.rows(folder)


def test_arrow_columns_that_hold_no_numbers_are_named(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"a": [1.0] * 30, "b": ["x"] * 30, "c": [*range(25), None, *range(4)]}), path)
    with pytest.raises(TypeError, match=r"t.parquet: column 'b' must hold numbers, got string; leave it out"):
        vp.rows(path)
    with pytest.raises(ValueError, match=r"t.parquet has no column 'd'; its columns are 'a', 'b', 'c'"):
        vp.rows(path, columns=["a", "d"])
    source = vp.rows(path, columns="c").source
    for _ in range(2):  # what comes after an error is not read from behind it
        with pytest.raises(ValueError, match=r"column 'c' has 1 null value in rows 0 to 29, first in row 25"):
            source.raw(0, 30)
    assert vp.rows(path, columns="a").shape == (1, 30)
    parquet.write_table(pyarrow.table({"a": pyarrow.array([], "float64")}), path)
    with pytest.raises(ValueError, match=r"t.parquet has no rows"):
        vp.rows(path)
    path.write_bytes(b"")
    with pytest.raises(OSError, match=r"t.parquet cannot be read: .*0 bytes"):
        vp.rows(path)


test_wrong_rows = refusals(
    lambda arguments: vp.rows(*arguments),
    (("no such file.npy",), FileNotFoundError, "source: there is no file 'no such file.npy'"),
    ((3,), TypeError, "source must be a path, a pyarrow dataset, or an array .* got int"),
    ((X, "c0"), "columns by name are those of Parquet and Arrow files"),
    ((X[None],), "must have rank 2, shape .m, n., one example per row, got shape .1, 103, 5."),
    (("here", ["a", "a"]), "columns must differ"),
    (("here", []), "columns must have at least one name"),
    (("here", 3), TypeError, "columns must be a name or a sequence of names, got 3"),
)


def test_wrong_files(tmp_path):
    with pytest.raises(ValueError, match=r"has no files .parquet"):
        vp.rows(tmp_path)
    (tmp_path / "data.h5").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"For HDF5 and Zarr open the file and give the array: vp.rows\(file\['X'\]\)"):
        vp.rows(tmp_path / "data.h5")
    (tmp_path / "data.npy").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"data.npy is no .npy file of numbers"):
        vp.rows(tmp_path / "data.npy")
    np.save(tmp_path / "data.npy", X[:0])
    with pytest.raises(ValueError, match=r"data.npy is empty: shape \(0, 5\)"):
        vp.rows(tmp_path / "data.npy")


def test_what_needs_all_the_examples_says_so(files, monkeypatch):
    x, y = rows_of(files)
    assert_same_run(fit(x, y, batch_size=None), fit(X.T, Y.T, batch_size=None))
    with pytest.raises(ValueError, match=r"batch_size takes all m = 103 .* give a batch_size.* or leave window out"):
        fit(x, y, batch_size=None, window=20)
    monkeypatch.setattr(streamed, "SMALL", 0)
    assert_same_run(fit(x, y, batch_size=None), fit(X.T, Y.T, batch_size=None))
    monkeypatch.setattr(examples_module, "free_main_memory", lambda: 1000)
    with pytest.raises(ValueError, match=r"batch_size takes all m = 103 .* give a batch_size, such as 256$"):
        fit(x, y, batch_size=None)
    with pytest.raises(ValueError, match=r"LBFGS needs all m = 103 examples at once, .* take another optimizer"):
        fit(x, y, batch_size=None, optimizer=vp.LBFGS())


def test_several_seeds_have_orders_of_their_own(files):
    with pytest.raises(ValueError, match=r"several seeds, each of which would read the file .*\(window=103\)"):
        fit(vp.rows(files / "X.npy"), Y.T, window=20, seed=(0, 1))
    assert_same_run(fit(vp.rows(files / "X.npy"), Y.T, window=103, seed=(0, 1)), fit(X.T, Y.T, seed=(0, 1)))


def test_divergence_is_reported_and_the_reading_ends(files):
    np.save(files / "X.npy", X * 1e200)
    net = vp.Network((5, 6, 3), hidden="relu", output="identity")
    with pytest.raises(vp.DivergenceError, match=r"the largest \|X\| is \d.*e\+200"):
        vp.fit(net, vp.rows(files / "X.npy"), Y.T, window=20, batch_size=7, epochs=2, dtype="float64")
    assert readers() == []


def test_what_is_in_memory_is_no_source():
    pandas = pytest.importorskip("pandas")
    assert all(as_source(value) is None for value in (X, X.tolist(), pandas.DataFrame(X), None, 3, "X"))


# --- estimators -------------------------------------------------------------------------------------------------


LETTERS = np.array(list("abc"))[Y.argmax(axis=1)]
ESTIMATED = {
    "as it is": (LETTERS, {}),
    "scaled": (LETTERS, {"scale": "standard"}),
    "stops early": (LETTERS, {"scale": "standard", "early_stopping": True, "max_iter": 4}),
    "another scorer": (LETTERS, {"early_stopping": True, "scoring": "neg_log_loss", "max_iter": 2}),
    "balanced": (LETTERS, {"class_weight": "balanced"}),
    "balanced labels": (Y[:, 1:].astype(int), {"class_weight": "balanced"}),
    "a regressor": (W, {"scale_target": "standard"}),
    "whole numbers": (LETTERS, {}),
}


@pytest.mark.parametrize("case", ESTIMATED)
def test_an_estimator_reads_x_from_its_file(case, files, monkeypatch):
    """As if X were in memory, in the order of the file; the scaling to rounding."""
    from vecprop.estimators import MLPClassifier, MLPRegressor

    y, more = ESTIMATED[case]
    kind, proba = (MLPRegressor, "predict") if y is W else (MLPClassifier, "predict_proba")
    arguments = {"hidden_layer_sizes": (6,), "max_iter": 3, "batch_size": 7, "shuffle": False, "random_state": 0} | more
    rows = (3 * X).astype(np.int16) if case == "whole numbers" else X
    np.save(files / "X.npy", rows)
    theirs = kind(**arguments).fit(rows, y)
    monkeypatch.setattr(streamed, "SMALL", 0)
    monkeypatch.setattr(streamed, "WINDOW", 20 * 9 * 8)
    in_file = np.load(files / "X.npy", mmap_mode="r")
    for x in (in_file, vp.rows(files / "X.npy")):
        ours = kind(**arguments).fit(x, y)
        assert_near(ours.coefs_, theirs.coefs_, atol=1e-12)
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-10)
        assert_near(getattr(ours, proba)(x), getattr(theirs, proba)(rows), atol=1e-12)
        assert y is W or (ours.predict(x) == theirs.predict(rows)).all()
    assert ours.n_features_in_ == 5 and not readers()


def test_wrong_examples_of_an_estimator_are_named(files, monkeypatch):
    from vecprop.estimators import MLPClassifier

    monkeypatch.setattr(streamed, "SMALL", 0)
    y = Y.argmax(axis=1)
    in_file = np.load(files / "X.npy", mmap_mode="r")
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        MLPClassifier((6,)).fit(in_file, y[:-1])
    with pytest.raises(ValueError, match=r"n_networks=3: X stays in its file"):
        MLPClassifier((6,), n_networks=3, batch_size=7).fit(in_file, y)
    model = MLPClassifier((6,), max_iter=1, batch_size=7).fit(in_file, y)
    with pytest.raises(ValueError, match="5 features"):
        model.predict(np.load(files / "Y.npy", mmap_mode="r"))
    np.save(files / "bad.npy", spoiled(X, np.nan, (88, 3)))
    bad = np.load(files / "bad.npy", mmap_mode="r")
    with pytest.raises(ValueError, match=r"X must be finite, got NaN in rows .*first in row 88, column 3"):
        MLPClassifier((6,), batch_size=7).fit(bad, y)
    with pytest.raises(ValueError, match="NaN"):
        MLPClassifier((6,), batch_size=7, scale="standard").fit(bad, y)
    with pytest.raises(ValueError, match="NaN"):
        model.predict(bad)


# --- tables -----------------------------------------------------------------------------------------------------


@needs_proc
@pytest.mark.reliability
@pytest.mark.slow
@pytest.mark.alone
def test_memory_of_a_large_table_is_that_of_its_target(tmp_path, amount, figure):
    """What is in a file of 70 MB is found out, with --long it is 850 MB and trained on, in an eighth of that."""
    polars = pytest.importorskip("polars")
    random, columns = np.random.default_rng(0), 50
    rows, path = amount(160_000, 2_000_000), tmp_path / "t.parquet"
    block = random.standard_normal((40_000, columns))
    numbers = polars.DataFrame(np.tile(block, (rows // len(block), 1)) + np.arange(rows)[:, None] * 1e-6, orient="row")
    town = polars.Series("town", ["Ulm", "Bonn", None, "a town of a longer name"] * (rows // 4))
    names = (polars.int_range(rows, eager=True).cast(polars.String) + " is a name").alias("name")
    table = numbers.with_columns(town, names, polars.Series("house id", random.permutation(rows)))
    table = table.with_columns((polars.col("column_0") + (polars.col("town") == "Ulm").fill_null(False)).alias("t"))
    table.write_parquet(path, row_group_size=5000)
    table[:40_000].write_parquet(tmp_path / "small.parquet", row_group_size=5000)
    code = f"""
import warnings
{PEAK}
from vecprop import tabular
from vecprop.data.streaming import examples
from vecprop.estimators import large_data
from vecprop.tabular import large_tables
from vecprop.tabular.preparation import learn
warnings.simplefilter("ignore")
examples.SMALL, examples.WINDOW, large_tables._CELLS, large_data.SOME_NUMBERS = 1 << 20, 1 << 20, 1 << 18, 1 << 18
large_tables._PART, large_tables._PART_OF_TEXTS = 1 << 15, 1 << 13
settings = tabular.Settings(hidden=(4,), epochs=1, batch_size=1000, cache={str(tmp_path)!r})
before = 0
for name in {str(tmp_path / "small.parquet")!r}, {str(path)!r}:
    before = peak()
    plan = tabular.plan(tabular.scan(name), "t")
    found = {amount("learn(plan.table, plan.kinds, plan.choices)", "tabular.train(plan, settings).model.preparation")}
print(peak() - before, *sorted(found.left_out))
"""
    # Polars' allocator keeps what is freed for a while, so that the peak would depend on the clock.
    found = python("-c", code, env=environment(_RJEM_MALLOC_CONF="dirty_decay_ms:0,muzzy_decay_ms:0"))
    more, *left_out = found.stdout.split(maxsplit=1)
    assert left_out == ["house id name\n"]
    size, larger = path.stat().st_size, f"{int(more) / 2**20:.0f} MiB larger"
    assert int(more) < size / 8, f"{larger}, {int(more) / rows:.0f} bytes a row"
    figure(
        f"{amount('looked at', 'trained on')} a table of {size / 2**20:.0f} MiB that stays in its file, {rows} rows",
        f"resident memory {larger} than for 40 000 rows",
        f"an eighth of the file, {size / 2**23:.0f} MiB",
    )
