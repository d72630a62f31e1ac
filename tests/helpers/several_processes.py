"""One of several processes that train together: test_distributed.py starts them.

Arguments: what to do, the port of the first process, how many there are, the number of this one, and what it needs.
It prints one JSON object a line.
"""

import json
import sys
import time

import numpy as np

import vecprop as vp
from helpers.several_devices import EVERYTHING, NET, M, X, Y, difference

ARGUMENTS = {"optimizer": vp.Adam(0.01), "dtype": "float64", "backend": "jax", "seed": 0}
# Where the examples of each process begin: one of four has a single one
BOUNDS = {2: [0, 90, M], 4: [0, 50, 51, 151, M]}
RUNS = {
    "batches": {"batch_size": 20, "dropout": 0.1},
    "everything": EVERYTHING,
    "full batch": {"dropout": 0.2, "batch_norm": True, "validation": (X[:, ::3], Y[:, ::3])},
    "networks": {"seed": range(8), "batch_size": 50, "validation": 0.2, "metric": "accuracy"},
}


def part_of(arguments, part):
    """The arguments of a process that has a part of the examples."""
    own = dict(arguments)
    if own.get("sample_weight") is not None:
        own["sample_weight"] = own["sample_weight"][part]
    if isinstance(own.get("validation"), tuple):
        m = own["validation"][0].shape[1]
        share = vp.distributed.team().share(m)
        own["validation"] = tuple(a[:, share] for a in own["validation"])
    return own


def runs(team, part, names):
    """Each run in all processes, and by the first one alone with all the examples."""
    for name in names.split(","):
        arguments = {**ARGUMENTS, "epochs": 20, "progress": False, **RUNS[name]}
        result = vp.fit(NET, X[:, part], Y[:, part], devices="all", **part_of(arguments, part))
        if team.index == 0:
            print(json.dumps({"run": name, "difference": difference(vp.fit(NET, X, Y, **arguments), result)}))


def wrong(team, part):
    """Arguments that are wrong in one of the processes."""
    nan = X[:, part].copy()
    nan[1, 3] = np.nan if team.index == 1 else 0.0
    cases = {
        "seed": ((X[:, part], Y[:, part]), {"seed": team.index}),
        "net": ((X[:, part], Y[:, part]), {"net": vp.Network((2, 3 + team.index, 1))}),
        "NaN": ((nan, Y[:, part]), {}),
        "empty": ((X[:, part], Y[:, part]) if team.index == 0 else (X[:, :0], Y[:, :0]), {}),
        "shape": ((X[:, part], Y[:, part]) if team.index == 0 else (X[:1, part], Y[:, part]), {}),
        "files": ((vp.rows(X[:, part].T), vp.rows(Y[:, part].T)), {"window": 50, "batch_size": 10}),
        "weights": ((X[:, part], Y[:, part]), {"sample_weight": np.ones(90) if team.index == 0 else None}),
    }
    for name, (data, arguments) in cases.items():
        try:
            vp.fit(**{"net": NET, "epochs": 2, "devices": "all", **ARGUMENTS, "X": data[0], "Y": data[1], **arguments})
        except (ValueError, TypeError) as error:
            print(json.dumps({"wrong": name, "type": type(error).__name__, "error": str(error)}), flush=True)


def train(_, part, path, epochs):
    """A run with a checkpoint, slow enough to be broken off."""

    def wait(*_):
        time.sleep(0.01)

    result = vp.fit(
        NET, X[:, part], Y[:, part], devices="all", epochs=int(epochs), batch_size=60, dropout=0.1, callbacks=wait,
        checkpoint=path, checkpoint_every=5, resume=True, progress=False, **ARGUMENTS,
    )  # fmt: skip
    bits = [np.asarray(a).tobytes().hex() for layer in result.params for a in layer]
    print(json.dumps({"epoch": result.state.epoch, "bits": bits, "cost": result.history["cost"]}))


def main():
    what, port, count, number, *rest = sys.argv[1:]
    vp.distributed.initialize(f"127.0.0.1:{port}", int(count), int(number), heartbeat=5)
    team = vp.distributed.team()
    assert (team.index, team.count, vp.distributed.is_first()) == (int(number), int(count), int(number) == 0)
    part = slice(*BOUNDS[team.count][team.index : team.index + 2])
    {"runs": runs, "wrong": wrong, "train": train}[what](team, part, *rest)


if __name__ == "__main__":
    main()
