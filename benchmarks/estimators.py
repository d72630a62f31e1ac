"""Our estimators against scikit-learn's networks, both with default settings: cross-validated score and time of a fit.

    python benchmarks/estimators.py [--seeds 6] [--backend numpy] [--solver adam] [--out FILE.json]

Five folds for each seed; each fold is fitted by both, one directly after the other, in turns who is first, so that a
slow minute slows both. The ratio is the median over folds and seeds of theirs / ours. A score is the mean over folds
and seeds, its standard error that of the means of the seeds.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import sklearn
from sklearn import datasets, neural_network
from sklearn.model_selection import KFold, StratifiedKFold

import vecprop as vp
from vecprop import estimators
from vecprop.inspection.benchmark_report import describe_environment

LOADERS = {
    "digits": datasets.load_digits,
    "breast cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "iris": datasets.load_iris,
    "diabetes": datasets.load_diabetes,
}
REGRESSIONS = ("diabetes", "house prices")


def load(name):
    """Return X and y, as they come."""
    if name == "house prices":
        houses = vp.datasets.house_prices()
        return np.ascontiguousarray(houses.X.T), houses.Y[0]
    return LOADERS[name](return_X_y=True)


def fold_of(kind, options, seed, X, y, train, test):
    """Return seconds and score of one fit."""
    estimator = kind(random_state=seed, **options)
    begin = time.perf_counter()
    estimator.fit(X[train], y[train])
    return time.perf_counter() - begin, estimator.score(X[test], y[test]), estimator.n_iter_


def measure(name, seeds, options, backend):
    """Return the row of one data set."""
    X, y = load(name)
    regression = name in REGRESSIONS
    word = "MLPRegressor" if regression else "MLPClassifier"
    kinds = {"theirs": (getattr(neural_network, word), options), "ours": (getattr(estimators, word), options | backend)}
    results = {who: [] for who in kinds}
    fold_of(*kinds["ours"], 0, X, y, *next(folds(regression, 0).split(X, y)))  # what is imported and compiled once
    for seed in range(seeds):
        for number, (train, test) in enumerate(folds(regression, seed).split(X, y)):
            for who in list(kinds)[:: 1 if (seed + number) % 2 else -1]:
                results[who].append(fold_of(*kinds[who], seed, X, y, train, test))
    row = {"data": name, "examples": len(X), "features": X.shape[1]}
    for who, values in results.items():
        seconds, scores, epochs = (np.array(column).reshape(seeds, 5) for column in zip(*values, strict=True))
        means = scores.mean(axis=1)
        row[who] = {
            "seconds": float(np.median(seconds)),
            "score": float(means.mean()),
            "standard_error": float(means.std(ddof=1) / np.sqrt(seeds)),
            "epochs": float(epochs.mean()),
        }
        row[f"{who}_seconds"] = seconds.ravel()
    row["ratio"] = float(np.median(row.pop("theirs_seconds") / row.pop("ours_seconds")))
    return row


def folds(regression, seed):
    """Return the splitter: five folds, by classes where there are any."""
    return (KFold if regression else StratifiedKFold)(5, shuffle=True, random_state=seed)


def environment(backend):
    """Return versions and device."""
    return describe_environment([vp.get_backend(backend)]) | {"scikit-learn": sklearn.__version__}


def main():
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--solver", default="adam")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # what has not converged after 200 epochs has not, here and there
    options = {} if arguments.solver == "adam" else {"solver": arguments.solver}
    rows = []
    print(f"{'data':14} {'theirs':>18} {'ours':>18} {'theirs, s':>10} {'ours, s':>10} {'ratio':>6}")
    for name in [*LOADERS, "house prices"]:
        row = measure(name, arguments.seeds, options, {"backend": arguments.backend})
        rows.append(row)
        theirs, ours = row["theirs"], row["ours"]
        scores = (f"{r['score']:.4f} ± {r['standard_error']:.4f}" for r in (theirs, ours))
        print(
            f"{name:14} {' '.join(f'{s:>18}' for s in scores)} {theirs['seconds']:10.4f} {ours['seconds']:10.4f} "
            f"{row['ratio']:6.2f}",
            flush=True,
        )
    if arguments.out is not None:
        about = {"solver": arguments.solver, "backend": arguments.backend, "seeds": arguments.seeds}
        arguments.out.write_text(
            json.dumps({**about, "environment": environment(arguments.backend), "rows": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
