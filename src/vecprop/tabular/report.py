"""The report of training on a table, in words for a terminal and as JSON."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vecprop.data.tables import Table
from vecprop.tabular.model import leading, networks_of
from vecprop.tabular.preparation import Plan
from vecprop.tabular.scores import SCORES
from vecprop.tabular.training import Trained
from vecprop.training.json_values import without_nan
from vecprop.utils.alignment import aligned

_TITLES = {"network": "network", "linear": "linear model", "constant": "constant"}
_OWN_UNITS = frozenset({"mean_absolute_error", "median_absolute_error", "root_mean_squared_error"})


def described(plan: Plan) -> str:
    """Return the lines about the file and its columns, printed before anything is trained."""
    table, target = plan.table, plan.target
    delimiter = "tabs" if table.delimiter == "\t" else repr(table.delimiter)
    csv = f"CSV with {delimiter}{'' if table.header else ', without a header'}"
    how = {"parquet": "Parquet", "arrow": "Arrow", "npy": "array", "frame": "data frame"}.get(table.kind, csv)
    lines = [f"{table.source}: {how}, {len(table)} rows, {len(table.names)} columns", *blank_lines(table)]
    if plan.unlabelled:
        lines.append(f"{plan.unlabelled} row{'s' * (plan.unlabelled > 1)} without a target left out")
    other = {"regression": "classification", "classification": "regression"}[target.task]
    otherwise = f" (--task {other} says otherwise)" if target.whole else ""
    return "\n".join([*lines, f"target {target.name}: {target.task}, since {target.reason}{otherwise}"])


def blank_lines(table: Table) -> list[str]:
    """Return a line on those that were left out of a file, since nothing stands in them, or none."""
    return [f"{table.blank} line{'s' * (table.blank > 1)} without any value left out"] if table.blank else []


def concluded(trained: Trained) -> str:
    """Return the lines after training: the scores beside the two baselines, notes, the diagnosis."""
    estimator = trained.model.estimator
    epochs, stopped = len(leading(estimator).history_["cost"]), leading(estimator).stopped_
    ended = {
        "patience": "no better validation loss for a while",
        "epochs": "as many as were allowed",
        "diverged": "it diverged; the best network before is kept",
    }.get(stopped, stopped)
    stops = trained.rows["validation"]
    learned = f"{trained.rows['training'] - stops} rows" + (f", and {stops} more told when to stop" if stops else "")
    undefined = [SCORES[name][0] for name, value in trained.scores["network"].items() if not np.isfinite(value)]
    why = f"{', '.join(undefined)} cannot be told: all test rows have one target, or too large ones"
    is_linear = trained.model.about["settings"]["linear"]  # then it is the network
    shown = {t: trained.scores[k] for k, t in _TITLES.items() if not (is_linear and k == "network")}
    lines = [
        *linear_is_better(trained.scores, trained.model.about["settings"]["class_weight"] is not None),
        *networks_of(estimator),
        f"trained on {learned} in {trained.seconds:.1f} s, {epochs} epochs ({ended})",
        "",
        score_table(f"{trained.rows['test']} test rows", shown),
        "",
        *(f"note: {note}" for note in [*trained.notes, *([why] if undefined else [])]),
        str(trained.diagnosis) if trained.diagnosis else "diagnosis: nothing found",
    ]
    return "\n".join(lines)


def linear_is_better(scores: Mapping[str, Mapping[str, float]], class_weights: bool = False) -> list[str]:
    """Return lines that recommend the linear model if it is better on the test rows, or say that none is any good.

    After training with class weights, which move the probabilities on purpose, the balanced accuracy has to agree.

    >>> linear_is_better({"network": {"log_loss": 0.5}, "linear": {"log_loss": 0.4}})
    ['the linear model is better on the test rows (log loss 0.400 against 0.500): --linear delivers it', '']
    >>> linear_is_better({"network": {"log_loss": 0.5}, "linear": {"log_loss": 0.4}, "constant": {"log_loss": 0.3}})
    ['nothing was learned that holds for the test rows: the constant is the best there (log loss 0.300)', '']
    """
    name = "log_loss" if "log_loss" in scores["network"] else "root_mean_squared_error"
    signs = {name: 1} | ({"balanced_accuracy": -1} if class_weights else {})

    def as_good(one: str, other: str) -> bool:
        return all(sign * scores[one][score] <= sign * scores[other][score] for score, sign in signs.items())

    if "constant" in scores and as_good("constant", "network") and as_good("constant", "linear"):
        best = f"{SCORES[name][0]} {_number(name, scores['constant'][name])}"
        return [f"nothing was learned that holds for the test rows: the constant is the best there ({best})", ""]
    if not as_good("linear", "network") or as_good("network", "linear"):
        return []
    shown = f"{_number(name, scores['linear'][name])} against {_number(name, scores['network'][name])}"
    return [f"the linear model is better on the test rows ({SCORES[name][0]} {shown}): --linear delivers it", ""]


def score_table(heading: str, columns: Mapping[str, Mapping[str, float]]) -> str:
    """Return scores side by side.

    >>> print(score_table("2 rows", {"network": {"r2": 0.5, "mean_absolute_error": 12345.6}}))
    2 rows               network
    R²                     0.500
    mean absolute error   12 346
    """
    cells = [[heading, *columns]]
    for name, (title, _) in SCORES.items():
        if any(name in scores for scores in columns.values()):
            cells.append([title, *(_number(name, scores.get(name)) for scores in columns.values())])
    return aligned(cells)


def _number(name: str, value: float | None) -> str:
    if value is None or not np.isfinite(value):
        return "-"
    if name in _OWN_UNITS:
        return f"{value:,.0f}".replace(",", " ") if 1000 <= abs(value) < 1e12 else f"{value:.4g}"
    return f"{value:.3f}"


def as_json(plan: Plan, trained: Trained) -> dict[str, Any]:
    """Return the whole report as values for JSON."""
    table, target, estimator = plan.table, plan.target, leading(trained.model.estimator)
    preparation = trained.model.preparation
    report = {
        "data": {
            "file": table.source,
            "kind": table.kind,
            "delimiter": table.delimiter,
            "encoding": table.encoding if table.kind == "csv" else None,
            "rows": len(table),
            "blank_lines": table.blank,
            "unlabelled_rows": plan.unlabelled,
        },
        "target": {"name": target.name, "task": target.task, "reason": target.reason, "classes": trained.model.classes},
        "columns": {column.name: {"kind": column.kind, "use": str(column)} for column in preparation.columns},
        "left_out": preparation.left_out,
        "missing": {
            part: {name: found.missing for name, found in prepared.found.items() if found.missing}
            for part, prepared in (("training", trained.training), ("test", trained.test))
        },
        "rows": trained.rows,
        "network": str(estimator.network_),
        "pack": getattr(trained.model.estimator, "found_", None),
        "settings": trained.model.about["settings"],
        "training": {
            "seconds": trained.seconds,
            "epochs": len(estimator.history_["cost"]),
            "stopped": estimator.stopped_,
            "loss": estimator.loss_curve_,
            "validation_loss": estimator.validation_loss_curve_,
        },
        "scores": trained.scores,
        "meanings": {name: SCORES[name][1] for name in trained.scores["network"]},
        "diagnosis": [{"name": f.name, "message": f.message, "advice": f.advice} for f in trained.diagnosis],
        "notes": list(trained.notes),
    }
    return without_nan(report)  # type: ignore[no-any-return]
