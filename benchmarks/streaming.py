"""Training from a file against training from memory, and against reading the file alone.

    python benchmarks/streaming.py [--backend numpy] [--format npy] [--network 64-128-1] [--rows 1000000] [--rounds 5]
        [--folder DIR] [--out FILE.json]

A file of float32 is written into the folder, and each network is trained on it: read into memory before, and a window
at a time. The two take turns, and so does reading the file in pieces of 1 MiB into one buffer. The times are
those of an epoch, medians over the rounds; the first epoch of each run, in which programs are made, is left out. Where
the file fits into the memory of the system it is read from there and not from the disk: the figures say what the
reading costs the processor.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import vecprop as vp
from vecprop.data.streaming.examples import WINDOW
from vecprop.inspection.benchmark_report import describe_environment

FEATURES = 64
FORMATS = ("npy", "arrow", "parquet")  # the latter two with pyarrow
A_ROW_GROUP = 20_000
NETWORKS = {"64-16-1": (16,), "64-128-1": (128,), "64-256-64-1": (256, 64)}
AT_ONCE = 100_000


def write(folder, rows):
    """Write X and Y, rows first, and return their paths."""
    random = np.random.default_rng(0)
    paths = folder / "X.npy", folder / "Y.npy"
    X = np.lib.format.open_memmap(paths[0], "w+", np.float32, (rows, FEATURES))
    Y = np.lib.format.open_memmap(paths[1], "w+", np.float32, (rows, 1))
    for start in range(0, rows, AT_ONCE):
        X[start : start + AT_ONCE] = random.standard_normal((min(AT_ONCE, rows - start), FEATURES), dtype=np.float32)
        Y[start : start + AT_ONCE, 0] = X[start : start + AT_ONCE, :2].sum(axis=1) > 0
    return paths


def rows_of(paths, kind, folder):
    """Return X and Y in files of some kind, as `fit` takes them, and the file that X is in."""
    if kind == "npy":
        return [vp.rows(path) for path in paths], paths[0]
    import pyarrow
    from pyarrow import feather, parquet

    names = [f"x{j}" for j in range(FEATURES)]
    X, Y = (np.load(path, mmap_mode="r") for path in paths)
    table = pyarrow.table({**{name: X[:, j] for j, name in enumerate(names)}, "y": Y[:, 0]})
    path = folder / f"data.{kind}"
    if kind == "parquet":
        parquet.write_table(table, path, row_group_size=A_ROW_GROUP)
    else:
        feather.write_feather(table, str(path), compression="uncompressed", chunksize=A_ROW_GROUP)
    return [vp.rows(path, names), vp.rows(path, "y")], path


def seconds_of_an_epoch(net, X, Y, backend, window):
    """Return the seconds of the second epoch."""
    result = vp.fit(
        net, X, Y, optimizer=vp.Adam(1e-3), epochs=2, batch_size=256, window=window, backend=backend, progress=False
    )
    return result.history["seconds"][1]


def seconds_of_reading(path):
    """Return the seconds that reading the file in pieces of 1 MiB takes."""
    buffer = bytearray(1 << 20)
    begin = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return time.perf_counter() - begin


def measure(name, hidden, in_memory, streamed, path, backend, rounds):
    """Return the row of one network."""
    net = vp.Network((FEATURES, *hidden, 1), hidden="relu", output="sigmoid")
    width = WINDOW // (4 * (FEATURES + 2))
    times = {"memory": [], "streamed": [], "reading": []}
    for number in range(rounds):
        for who in ("memory", "streamed")[:: 1 if number % 2 else -1]:
            data = in_memory if who == "memory" else streamed
            times[who].append(seconds_of_an_epoch(net, *data, backend, width))
        times["reading"].append(seconds_of_reading(path))
    row = {"network": name, **{f"{who}_seconds": statistics.median(found) for who, found in times.items()}}
    ratios = [a / b for a, b in zip(times["memory"], times["streamed"], strict=True)]
    return row | {"throughput": statistics.median(ratios), "throughputs": ratios}


def main():
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--format", choices=FORMATS, default="npy")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--network", action="append", choices=list(NETWORKS), help="all of them unless given")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        paths = write(Path(folder), arguments.rows)
        streamed, path = rows_of(paths, arguments.format, Path(folder))
        in_memory = [np.load(p).T for p in paths]
        size = path.stat().st_size
        print(f"{arguments.backend}, a .{arguments.format} file of {size / 2**20:.0f} MiB, seconds of an epoch")
        print(f"{'network':14} {'memory':>8} {'streamed':>9} {'throughput':>11} {'reading':>8} {'MiB/s':>7}")
        for name in arguments.network or NETWORKS:
            row = measure(name, NETWORKS[name], in_memory, streamed, path, arguments.backend, arguments.rounds)
            row["streamed_bytes_a_second"] = size / row["streamed_seconds"]
            rows.append(row)
            print(
                f"{name:14} {row['memory_seconds']:8.2f} {row['streamed_seconds']:9.2f} {row['throughput']:11.2f} "
                f"{row['reading_seconds']:8.2f} {row['streamed_bytes_a_second'] / 2**20:7.0f}",
                flush=True,
            )
    if arguments.out is not None:
        about = {
            "backend": arguments.backend,
            "format": arguments.format,
            "examples": arguments.rows,
            "bytes": size,
            "rounds": arguments.rounds,
        }
        environment = describe_environment([vp.get_backend(arguments.backend)])
        arguments.out.write_text(json.dumps({**about, "environment": environment, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
