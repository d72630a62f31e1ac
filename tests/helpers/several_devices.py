"""Runs of `fit` on several virtual devices of the CPU beside the same run on one: a process of test_devices.py.

JAX makes the devices when it starts, so this has to be a process of its own. It prints one JSON object a line.
"""

import json
import re
import sys

import jax
import numpy as np

import vecprop as vp
from vecprop_jax.several import JAXOnSeveralDevices

M = 203  # which no number of devices divides
X, Y = vp.datasets.moons(m=M)
NET = vp.Network((2, 6, 5, 1))
BASE = {"optimizer": vp.Adam(0.01), "epochs": 20, "dtype": "float64", "backend": "jax", "seed": 0}
EVERYTHING = {
    "batch_size": 30, "dropout": 0.2, "batch_norm": True, "standardize": True, "validation": 0.2, "patience": 4,
    "metric": "accuracy", "sample_weight": np.arange(M) % 3 + 0.5, "class_weight": "balanced", "l2": 0.1, "l1": 0.01,
    "clip_norm": 1.0,
}  # fmt: skip
FILES = (vp.rows(X.T), vp.rows(Y.T))
IN_WINDOWS = {
    "batch_size": 10, "window": 60, "dropout": 0.2, "batch_norm": True, "standardize": True, "validation": FILES,
    "metric": "accuracy", "sample_weight": np.arange(M) % 3 + 0.5, "class_weight": "balanced",
}  # fmt: skip
OWN_METRIC = {"metric": lambda Y, A: float(((A > 0.5) == Y).mean())}
# name: the arguments, the numbers of devices, and those of the long version
RUNS = {
    "batches": ({"batch_size": 30, "dropout": 0.2}, (1, 2, 4, 8), (3,)),
    "everything": (EVERYTHING, (4,), (1, 2, 8)),
    "full batch": ({"dropout": 0.2, "batch_norm": True, "validation": 0.3, **OWN_METRIC}, (), (1, 3, 8)),
    "blocks": ({"batch_size": 100, "block_size": 30}, (3,), (4,)),
    "networks": ({"seed": range(8), "batch_size": 50}, (4,), (2, 8)),
    "ragged networks": ({"seed": range(9), "dropout": 0.1, "batch_norm": True, "validation": 0.2}, (), (4, 8)),
    "fewer examples than devices": ({"batch_size": 3, "validation": (X[:, :3], Y[:, :3])}, (), (8,)),
    "fewer networks than devices": ({"seed": range(2), "batch_size": 50, "dropout": 0.1}, (), (8,)),
    "learning rates": ({"optimizer": vp.Momentum((0.1, 0.01, 0.001)), "batch_size": 50}, (), (2,)),
    "windows of networks": ({"optimizer": vp.Adam((0.1, 0.01, 0.001)), "batch_size": 50, "window": 100}, (), (2,)),
    "windows": (IN_WINDOWS, (3,), (1, 2, 4, 8)),
    "L-BFGS": ({"optimizer": vp.LBFGS()}, (), (3,)),
}


def difference(one, two):
    """The largest difference of parameters, state and history of two results."""
    pairs = [(one.params, two.params), (one.state.params, two.state.params), (one.state.slots, two.state.slots)]
    found = [
        np.max(np.abs(np.asarray(a) - np.asarray(b)), initial=0.0)
        for left, right in pairs
        for a, b in zip(jax.tree_util.tree_leaves(left), jax.tree_util.tree_leaves(right), strict=True)
    ]
    assert set(one.history) == set(two.history)
    found += [np.max(np.abs(np.subtract(one.history[k], two.history[k]))) for k in one.history if k != "seconds"]
    assert one.stopped == two.stopped
    return float(max(found))


def counts_of(name, long):
    _, short, more = RUNS[name]
    return (*short, *more) if long else short


def compare(name, long):
    arguments, counts = RUNS[name][0], counts_of(name, long)
    if not counts:
        return
    few = 5 if name.startswith("fewer examples") else M
    data = FILES if name.startswith("windows") else (X[:, :few], Y[:, :few])
    one = vp.fit(NET, *data, **{**BASE, **arguments})
    for count in counts:
        devices = {4: "mesh"}.get(count, count)
        if devices == "mesh":
            devices = jax.sharding.Mesh(np.array(jax.devices()[4:]), ("whatever",))
        result = vp.fit(NET, *data, devices=devices, **{**BASE, **arguments})
        place = {len(a.devices()) for a in jax.tree_util.tree_leaves((result.params, result.state.slots))}
        A = result.forward(X)
        yield {"devices": count, "difference": difference(one, result), "places": sorted(place), "shape": A.shape}


def communication():
    """What a compiled epoch sends from device to device: the shapes of what is reduced or gathered."""
    original = JAXOnSeveralDevices.compile_loop
    found = []

    def looked_at(self, function, **options):
        compiled = original(self, function, **options)

        def call(*arguments):
            text = compiled.lower(*arguments).compile().as_text()
            sent = r"= (.*?) (?:all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
            shapes = [m[1] for line in text.splitlines() if (m := re.search(sent, line))]
            found.append([tuple(map(int, s.split(","))) for s in re.findall(r"\[([\d,]+)\]", " ".join(shapes))])
            return compiled(*arguments)

        return call

    JAXOnSeveralDevices.compile_loop = looked_at
    for arguments in ({"batch_size": 24}, {"seed": range(16), "batch_size": 24}):
        vp.fit(NET, X, Y, devices=8, **{**BASE, "epochs": 1, **arguments})
    JAXOnSeveralDevices.compile_loop = original
    return found


def estimators():
    from vecprop.estimators import MLPClassifier

    arguments = {"hidden_layer_sizes": (6,), "max_iter": 10, "early_stopping": True, "random_state": 0}
    fitted = [MLPClassifier(**arguments, backend="jax", devices=d).fit(X.T, Y[0] > 0) for d in (None, "all")]
    return [float(np.abs(one.predict_proba(X.T) - fitted[0].predict_proba(X.T)).max()) for one in fitted]


def main():
    long, *names = sys.argv[1:]
    for name in names:
        for found in compare(name, long == "long"):
            print(json.dumps({"run": name, **found}), flush=True)
    if "everything" in names:
        print(json.dumps({"run": "communication", "sent": communication()}))
        print(json.dumps({"run": "estimators", "differences": estimators()}))


if __name__ == "__main__":
    main()
