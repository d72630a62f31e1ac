"""Training in one and in two processes, where the time of a step goes, and what more devices would do.

    python benchmarks/growth/processes.py [--out FILE.json]

Each process computes in one thread. Strong scaling: one batch for both; weak scaling: one for each. Runs of one
and of two processes take turns; a figure is the median over rounds of the quickest epoch. Communication is timed
apart, in the same processes: an all-reduce of as many numbers as a step sends. `model` is the time of a step on N
devices from that; it is compared with what was measured for two.
"""

import argparse
import itertools
import json
import math
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, ThreadPoolExecutor, wait
from pathlib import Path

WORKLOADS = {"784-128-10": ((784, 128, 10), 4096), "30-100-2": ((30, 100, 2), 16384)}
BATCHES = (128, 1024, 4096)
EPOCHS = 6


def step_time(parameters, numbers_per_example, batch, devices, rate, bandwidth, latency, step=0.0):
    """Return (compute, communication) of a step in seconds, on a number of devices.

    An example takes 6 P operations (2 forward, 4 backward), at the `rate` of a device, a step `step` seconds whatever
    its size. An all-reduce passes 2 (N - 1)/N of the bytes over each link, and takes 2 log2 N messages one after the
    other; there is one for the batch, X and Y, and one for the gradients, of 4 bytes a number.

    >>> step_time(1000, 10, 100, 1, 6e8, 1e9, 1e-5)
    (0.001, 0.0)
    >>> compute, sent = step_time(1000, 10, 100, 2, 6e8, 1e9, 1e-5)  # 4 (1000 + 1000) bytes, 2 · 2 messages
    >>> compute, round(sent, 9)
    (0.0005, 4.8e-05)
    """
    compute = step + 6 * parameters * batch / devices / rate
    if devices == 1:
        return compute, 0.0
    size = 4 * (parameters + batch * numbers_per_example)
    return compute, 2 * (devices - 1) / devices * size / bandwidth + 4 * math.ceil(math.log2(devices)) * latency


def begin(programs, *place):
    """Take one thread, keep compiled programs in a folder, and join the other processes, if there are any."""
    threads = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ |= {"XLA_FLAGS": threads, "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
    os.environ |= {"JAX_COMPILATION_CACHE_DIR": programs, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    if place:
        import vecprop as vp

        vp.distributed.initialize(*place)


def fit(sizes, m, batch):
    """Return the seconds of a step: of the quickest epoch, over its steps."""
    import numpy as np

    import vecprop as vp

    random = np.random.default_rng(0)
    X = random.standard_normal((sizes[0], m), dtype=np.float32)
    Y = np.eye(sizes[-1], dtype=np.float32)[:, random.integers(0, sizes[-1], m)]
    team = vp.distributed.team()
    part = slice(m * team.index // team.count, m * (team.index + 1) // team.count)
    net = vp.Network(sizes, hidden="relu", output="softmax")
    result = vp.fit(
        net, X[:, part], Y[:, part], optimizer=vp.Adam(1e-3), batch_size=batch, epochs=EPOCHS, backend="jax",
        devices="all", progress=False, callbacks=lambda *_: None,
    )  # fmt: skip
    return min(result.history["seconds"][1:]) / (m // batch)


def all_reduce(numbers):
    """Return the seconds of an all-reduce of float32 over all devices, one of a hundred in a row."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("d",))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("d"))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    shape = (len(jax.devices()), numbers)
    values = jax.make_array_from_callback(shape, spread, lambda _: np.ones((1, numbers), np.float32))

    @jax.jit
    def several(values):
        def one(carry, _):
            total = jnp.sum(values * carry[0], axis=0)
            return jax.lax.with_sharding_constraint(total, everywhere) / shape[0], None

        return jax.lax.scan(one, jnp.ones(numbers, jnp.float32), None, length=100)[0]

    several(values).block_until_ready()
    found = []
    for _ in range(5):
        begin = time.perf_counter()
        several(values).block_until_ready()
        found.append((time.perf_counter() - begin) / 100)
    return min(found)


def team(count, programs):
    """Return processes that compute the same at the same time."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    places = [(address, count, number) for number in range(count)] if count > 1 else [()]
    spawn = multiprocessing.get_context("spawn")
    return [ProcessPoolExecutor(1, spawn, begin, (programs, *place)) for place in places]


def ask(team, function, *arguments):
    """Return the seconds that the slowest process answers."""
    answers = [process.submit(function, *arguments) for process in team]
    done, waiting = wait(answers, return_when=FIRST_EXCEPTION)
    if waiting:  # for one that has died
        for child in multiprocessing.active_children():
            if isinstance(child, multiprocessing.context.SpawnProcess):  # as `team` starts them
                child.kill()
    return max(answer.result() for answer in done)


def parameters_of(sizes):
    return sum(n * (p + 1) for p, n in itertools.pairwise(sizes))


def measure(rounds, programs):
    """Return the figures of every workload and batch, from one and from two processes, and those of the link."""
    one, two = team(1, programs), team(2, programs)
    found = []
    for name, (sizes, m) in WORKLOADS.items():
        for batch in BATCHES:
            numbers = parameters_of(sizes) + batch * (sizes[0] + sizes[-1])
            asked = {
                "one": (one, fit, sizes, m, batch),
                "two": (two, fit, sizes, m, batch),
                "two, twice the batch": (two, fit, sizes, 2 * m, 2 * batch),
                "half": (one, fit, sizes, m, batch // 2),
                "all-reduce": (two, all_reduce, numbers),
            }
            rows = [[ask(*what) for what in asked.values()] for _ in range(rounds)]
            seconds = dict(zip(asked, map(statistics.median, zip(*rows, strict=True)), strict=True))
            ratios = {
                "strong": seconds["one"] / seconds["two"],
                "weak": seconds["one"] / seconds["two, twice the batch"],
                "compute": seconds["half"],
                "communication": seconds["two"] - seconds["half"],
            }
            found.append({"network": name, "batch": batch, "seconds": seconds} | ratios)
            print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    small, large = (statistics.median(ask(two, all_reduce, n) for _ in range(rounds)) for n in (16, 4_000_000))
    with ThreadPoolExecutor() as at_once:  # the processes of a team wait for each other when they end
        at_once.map(ProcessPoolExecutor.shutdown, (*one, *two))
    return found, {"latency": small / 2, "bandwidth": 4 * 4_000_000 / (large - small)}


def modelled(found, link):
    """Add to each figure what the model says of two processes, from the rate of one and the link."""
    for line in found:
        sizes, m = WORKLOADS[line["network"]]
        seconds, P, each = line["seconds"], parameters_of(sizes), sizes[0] + sizes[-1] if line["batch"] < m else 0
        # a step of B and one of B/2 give what every step takes, and the rate
        work = max(seconds["one"] - seconds["half"], 1e-9)
        rate, step = 6 * P * line["batch"] / 2 / work, max(0.0, 2 * seconds["half"] - seconds["one"])
        compute, sent = step_time(P, each, line["batch"], 2, rate, link["bandwidth"], link["latency"], step)
        line["model"] = {"compute": compute, "communication": sent, "two": compute + sent}
        line["model"]["of measured"] = (compute + sent) / seconds["two"]


# What is assumed of one device and of a link between two, within 8 and beyond: operations and bytes a second, seconds
ASSUMED = {"rate": 4e13, "step": 2e-5, "near": (4e11, 3e-6), "far": (5e10, 5e-6)}
# network, batch, and whether that is all the examples: then none are gathered
ASKED = (
    ((784, 128, 10), 1024, False),
    ((784, 128, 10), 65_536, False),
    ((1024, 4096, 1000), 8192, False),
    ((1024, 4096, 1000), 262_144, False),
    ((784, 128, 10), 1_000_000, True),
    ((1024, 4096, 1000), 1_000_000, True),
)


def extended():
    """Print, for 1 to 512 devices, how many times as fast the model says a step is as on one."""
    counts = (1, 8, 64, 512)
    print("| network, batch | one device | " + " | ".join(f"{n} devices" for n in counts[1:]) + " |")
    print("|---|---|" + "---|" * (len(counts) - 1))
    for sizes, batch, full in ASKED:
        times = []
        for n in counts:
            bandwidth, latency = ASSUMED["near" if n <= 8 else "far"]
            each, rate, step = 0 if full else sizes[0] + sizes[-1], ASSUMED["rate"], ASSUMED["step"]
            times.append(sum(step_time(parameters_of(sizes), each, batch, n, rate, bandwidth, latency, step)))
        cells = " | ".join(f"{times[0] / t:.2g} ×" for t in times[1:])
        name = f"{'-'.join(map(str, sizes))}, {batch:_}{', all there are' if full else ''}"
        print(f"| {name} | {1e6 * times[0]:_.0f} µs | {cells} |".replace("_", " "))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="store_true", help="print what the model says of 8, 64 and 512 GPUs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    given = parser.parse_args()
    if given.model:
        extended()
        return
    from vecprop.inspection.benchmark_report import describe_environment

    with tempfile.TemporaryDirectory() as programs:
        os.chmod(programs, 0o700)
        found, link = measure(given.rounds, programs)
    modelled(found, link)
    result = {"environment": describe_environment(), "link": link, "figures": found}
    if given.out:
        given.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(f"link: {link['bandwidth'] / 1e9:.2f} GB/s, {1e6 * link['latency']:.0f} us a message")
    for line in found:
        seconds = line["seconds"]
        print(
            f"{line['network']:>12} batch {line['batch']:>5}: one {1e3 * seconds['one']:.2f} ms, two "
            f"{1e3 * seconds['two']:.2f} ms ({line['strong']:.2f} times as fast; twice the work: {line['weak']:.0%}); "
            f"compute {1e3 * line['compute']:.2f} ms, communication {1e3 * line['communication']:.2f} ms; model "
            f"{1e3 * line['model']['two']:.2f} ms"
        )


if __name__ == "__main__":
    main()
