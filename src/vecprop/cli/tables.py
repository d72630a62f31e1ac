"""The work of the commands on tables: train, predict, evaluate, export, info."""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from vecprop import tabular
from vecprop.backend import distributed
from vecprop.backend.selection import get_backend, use_backend
from vecprop.cli import pictures, signals
from vecprop.cli.arguments import layer_sizes
from vecprop.cli.options import FileFormat, Wanted
from vecprop.cli.output import Interrupted, reason
from vecprop.cli.writing import MODEL, REPORT
from vecprop.data.spelling import pl
from vecprop.data.tables import first_rows, refuse_options_of_csv
from vecprop.export import files
from vecprop.export.onnx_export import export_onnx
from vecprop.tabular import Choices, Settings, Spelling, Table, TableModel, Trained
from vecprop.tabular.model import leading, networks_of
from vecprop.tabular.preparation import Plan, units
from vecprop.tabular.report import as_json, blank_lines, concluded, described, score_table
from vecprop.tabular.scores import scores
from vecprop.tabular.targets import as_kind
from vecprop.tabular.training import EPOCHS, ITERATIONS, constant
from vecprop.training.json_values import without_nan
from vecprop.utils import tensor_file
from vecprop.utils.atomic import write_atomically
from vecprop.utils.errors import ModelFileError
from vecprop.utils.progress import Progress

Say = Callable[[str], None]


def devices(given: str | None, several_processes: bool) -> str | int | None:
    """Return the value of `--devices`: a number, "all", or None for one device.

    >>> devices("4", False), devices("all", False), devices(None, True)
    (4, 'all', 'all')
    """
    if given is None:
        return "all" if several_processes else None
    if given.isdecimal() and int(given) > 0:
        return int(given)
    if given != "all":
        raise ValueError(f"--devices must be a number of devices, or all, got {given!r}")
    return given


def join() -> bool:
    """Connect with the other processes; tell whether this is the first, which prints and writes."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)  # Gloo reports its connection on stdout
    try:
        distributed.initialize()
        distributed.team().gather_bytes(b"")
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
    return distributed.is_first()


def layers(text: str | None) -> tuple[int, ...] | None:
    """Return the sizes of hidden layers from a text such as "64,32", or "" for none.

    >>> layers("64, 32"), layers("64-32"), layers(""), layers(None)
    ((64, 32), (64, 32), (), None)
    """
    if text is None:
        return None
    return tuple(layer_sizes(text.strip(), "--hidden", '64,32, or "" for none')) if text.strip() else ()


def class_weights(given: Sequence[str] | None, balance: bool) -> str | dict[str, float] | None:
    """Return the class weights of `--balance` and `--class-weight`.

    >>> class_weights(["yes=3", "a=b=0.5"], False), class_weights(None, True)
    ({'yes': 3.0, 'a=b': 0.5}, 'balanced')
    """
    if not given:
        return "balanced" if balance else None
    if balance:
        raise ValueError("--balance and --class-weight say two different things; give one of them")
    try:
        found = [(label, float(weight)) for label, weight in (entry.rsplit("=", 1) for entry in given)]
    except ValueError:
        raise ValueError(f"--class-weight must be CLASS=WEIGHT, such as yes=3; got {', '.join(given)}") from None
    labels = [label for label, _ in found]
    for label in labels:
        if labels.count(label) > 1:
            raise ValueError(f"--class-weight names the class {label!r} twice; got {', '.join(given)}")
    return dict(found)


def read(path: Path, file_format: FileFormat, expected: Sequence[str], stream: bool = False) -> Table:
    r"""Read a table, or with `stream` leave it in its file; the delimiter "\t" is a tab."""
    given = file_format
    spelling = Spelling(given.decimal, given.thousands, tuple(given.missing or ()), tuple(given.date_format or ()))
    delimiter = "\t" if given.delimiter in (r"\t", "tab") else given.delimiter
    if stream:
        table = tabular.scan(path, spelling)
        refuse_options_of_csv(table.source, delimiter, given.encoding, given.header, given.skip)
        return table
    return tabular.read(path, delimiter, given.encoding, given.header, given.skip, spelling, expected)


def plan(table: Table, targets: Sequence[str], task: str | None, choices: Choices) -> Plan:
    """Return the plan for the single target that `--target` must name."""
    if len(targets) > 1:
        raise ValueError(f"--target is one column, got {' and '.join(map(repr, targets))}")
    if not targets:
        raise ValueError(
            f"which column is to be predicted? --target NAME; {table.source} has: {', '.join(table.names)}"
        )
    return tabular.plan(table, targets[0], task, choices)


def train(
    plan: Plan,
    settings: Settings,
    folder: Path,
    file_format: FileFormat,
    say: Say,
    show_progress: bool,
    draw: pictures.Draw | None,
) -> dict[str, Any]:
    """Train, write the files unless `draw` is None, and return the report; `say` prints messages."""
    say(described(plan))
    trained = _train(plan, settings, say, show_progress)
    say(f"columns, and the option that says otherwise:\n{trained.model.preparation}")
    counts = {name: found.missing + trained.test.found[name].missing for name, found in trained.training.found.items()}
    filled = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    unseen = [f"test rows, {line}" for line in trained.test.notes() if "training did not have" in line]
    say("\n".join(["", f"missing values filled in: {filled or 'none'}", *unseen, "", concluded(trained), ""]))
    report = as_json(plan, trained)
    if draw is None:
        return report
    for path in _write(folder, trained, report, draw):
        say(f"wrote {path}")
    words = ["vecprop", "predict", str(folder), plan.table.source, *file_format.words, "-o", "predictions.csv"]
    say(f"next: {shlex.join(words)}")
    return report


def _train(plan: Plan, settings: Settings, say: Say, show_progress: bool) -> Trained:
    """Train on the backend of the settings, with a progress bar, until the end or a signal."""
    most = ITERATIONS if settings.linear else settings.epochs or EPOCHS
    with nullcontext() if settings.backend is None else use_backend(settings.backend):
        say(f"backend {get_backend().name} ({reason(settings.backend)}), seed {settings.seed}\n")
        try:
            with signals.handled(), Progress(most, None if show_progress else False) as bar:
                return tabular.train(plan, settings, [lambda _, history: bar.update(len(history["cost"]), history)])
        except KeyboardInterrupt:
            saved = f"; the checkpoint {settings.checkpoint} has what was reached: go on from it with --resume"
            there = settings.checkpoint and Path(settings.checkpoint).exists()  # not before the first epoch
            raise Interrupted(f"interrupted{saved if there else ''}", signals.exit_code()) from None


def _write(folder: Path, trained: Trained, report: dict[str, Any], draw: pictures.Draw) -> list[Path]:
    """Write the files, each completely or not at all, the model first; return their paths."""
    drawn = draw(pictures.Run.of(trained))  # meanwhile the others are written
    folder.mkdir(parents=True, exist_ok=True)
    files.save(folder / MODEL, trained.model)
    text = json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(folder / REPORT, (text + "\n").encode())
    images = drawn()
    for file, data in images.items():
        write_atomically(folder / file, data)
    return [folder / file for file in (MODEL, REPORT, *images)]


def model_file(path: Path) -> Path:
    """Return the model file: the path itself, or the one in a folder of `vecprop train`."""
    if path.is_dir():
        if not (path / MODEL).exists():
            raise FileNotFoundError(f"the folder {path} has no {MODEL}, as `vecprop train` writes it")
        return path / MODEL
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist (looked from {os.getcwd()})")
    return path


def load(path: Path, backend: str | None = None) -> TableModel:
    """Return the model of tables in a file, or in a folder of `vecprop train`."""
    model = files.load(model_file(path), backend)
    if not isinstance(model, TableModel):
        raise ModelFileError(
            f"{path} holds a {type(model).__name__}, which knows nothing of tables; wanted is a model of "
            "`vecprop train`"
        )
    return model


def predict(model: TableModel, table: Table, wanted: Wanted, say: Say | None) -> str | None:
    """Write the predictions to a file, or return them as CSV; `say` prints notes on the table."""
    if wanted.proba and not model.classes:
        raise ValueError(f"--proba is for classes, and {model.target.name!r} is a number; see --spread")
    if wanted.spread and model.estimator.n_networks == 1 and not hasattr(model.estimator, "groups_"):
        raise ValueError("--spread needs a model of several networks: vecprop train … --networks 4")
    kept = {name: table.column(name) for name in (table.find(given, "--keep") for given in wanted.keep or ())}
    prepared = model.prepare(table)
    found = _predictions(model, prepared.X, wanted.proba, wanted.spread)
    twice = kept.keys() & found.keys()
    if twice:
        raise ValueError(
            f"--keep: {min(twice)!r} is the name of a prediction, too; rename the column of {table.source}"
        )
    say = say or (lambda _: None)
    for line in [*blank_lines(table), *prepared.notes()]:
        say(line)
    for name, values in found.items():
        if values.dtype.kind == "f" and (count := int((~np.isfinite(values)).sum())):
            say(f"{name}: {count} of {len(values)} are not finite numbers")
    data = frame_bytes(pl.DataFrame(kept | found), wanted.out)
    if wanted.out is None:
        return data.decode()
    write_atomically(wanted.out, data)
    say(f"wrote {len(table)} predictions to {wanted.out}")
    return None


def _predictions(model: TableModel, X: Any, proba: bool, spread: bool) -> dict[str, Any]:
    """Return name -> column of predictions."""
    estimator: Any = model.estimator
    name = f"predicted_{model.target.name}"
    if not model.classes:
        if not spread:
            return {name: estimator.predict(X)}
        return dict(zip((name, "spread"), estimator.predict(X, return_std=True), strict=True))
    columns = {name: estimator.predict(X)}
    if proba or spread:
        both = estimator.predict_proba(X, return_std=True)
        for what, wanted, values in zip(("probability", "spread"), (proba, spread), both, strict=True):
            columns |= {f"{what}_{label}": values[:, k] for k, label in enumerate(model.classes) if wanted}
    return columns


def frame_bytes(frame: pl.DataFrame, out: Path | None) -> bytes:
    """Return the bytes of a data frame as Parquet if the name of `out` ends so, else as CSV."""
    buffer = io.BytesIO()
    if out is not None and out.suffix.lower() in (".parquet", ".pq"):
        frame.write_parquet(buffer)
    else:
        frame.write_csv(buffer)
    return buffer.getvalue()


def evaluate(model: TableModel, table: Table, say: Say) -> tuple[str, dict[str, Any]]:
    """Return the scores on a table, in words and as a dict."""
    table, unlabelled = model.labelled(table)
    if unlabelled:
        say(f"{unlabelled} row{'s' * (unlabelled > 1)} without a target left out")
    prepared, target = model.prepare(table), model.target
    y = model.truth(table)
    remarks = [] if model.classes else units(as_kind(table, target.name, "number", target.decimal), [target])
    for line in [*blank_lines(table), *prepared.notes(), *remarks]:
        say(line)
    if unseen := sorted({*y.tolist()} - {*model.classes}) if model.classes else []:
        count = int(np.isin(y, unseen).sum())
        say(f"{count} row{'s' * (count > 1)} of a class that training did not have, errors all: {first_rows(unseen)}")
    shown = {"network": scores(model.estimator, prepared.X, y), "constant": constant(y, y, target.task)}
    if (training := _training_of(model)) is not None:
        shown["test rows of the training"] = training[2]
    return score_table(f"{len(table)} rows", shown), without_nan({"rows": len(table), **shown})


def _training_of(model: TableModel) -> tuple[str, dict[str, int], dict[str, float]] | None:
    """Return file, rows and scores of a model's training; None if `about`, which may hold anything, lacks them."""
    source, rows, found = (model.about.get(name) for name in ("source", "rows", "scores"))
    scores = found.get("network") if isinstance(found, dict) else None
    if not (isinstance(source, str) and isinstance(rows, dict) and isinstance(scores, dict)):
        return None
    counts = all(type(rows.get(part)) is int for part in ("training", "test"))
    numbers = all(isinstance(score, int | float) or score is None for score in scores.values())
    return (source, rows, scores) if counts and numbers else None


def export(path: Path, out: Path, opset: int | None, dtype: str) -> str:
    """Write the model of a file as ONNX, and return a description of its inputs and outputs."""
    model = files.load(model_file(path))
    export_onnx(model, out, opset=opset, dtype=dtype)
    if not isinstance(model, TableModel):
        return f"wrote {out}"
    from vecprop.export.onnx_tables import described as inputs_and_outputs

    return f"wrote {out}\n{inputs_and_outputs(model, dtype)}"


def info(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the description of a model file, in words and as a dict."""
    file = model_file(path)
    model = files.load(file)
    header, tensors = tensor_file.decode(tensor_file.read(file), f"the file {os.fspath(file)!r}")
    kind = {"table": "model of tables", "network": "network"}.get(header["kind"], type(model).__name__)
    layers = [tensor for name, tensor in tensors.items() if name.rpartition(".")[2][0] in "Wb" and ".map." not in name]
    count = sum(tensor.size for tensor in layers)
    versions = ", ".join(f"{name} {version}" for name, version in header["versions"].items())
    lines = [
        f"{file}: a {kind}, {count} parameters, {file.stat().st_size} bytes",
        f"written by {versions}",
    ]
    found = {"file": str(file), "kind": header["kind"], "parameters": count, "versions": header["versions"]}
    if isinstance(model, TableModel):
        about = model.about
        found |= {"target": model.target.to_json(), "classes": model.classes, "features": model.preparation.features}
        found |= {"columns": model.preparation.names, "network": str(leading(model.estimator).network_), "about": about}
        lines.append(str(model))
        if (training := _training_of(model)) is not None:
            source, rows, scores = training
            tested = score_table(f"{rows['test']} test rows", {"network": scores})
            lines += [f"trained on {rows['training']} rows of {source}", "", tested]
    else:
        own = hasattr(model, "net")
        found["network"] = str(model.net if own else leading(model).network_)
        lines += [found["network"]] if own else networks_of(model)
    return "\n".join(lines), without_nan(found)
