"""The commands that train and use models of tables, and their options; `app` registers them.

A command imports its code when it runs, so that --help is quick.
"""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from vecprop.cli.options import (
    BackendName,
    File,
    FileFormat,
    Force,
    Integer,
    Json,
    Names,
    Number,
    Quiet,
    Text,
    Wanted,
    grouped,
    option,
)
from vecprop.cli.output import note, print_either, print_json

Data = Annotated[Path, typer.Argument(metavar="DATA", help="A CSV, Parquet or .npy file.", show_default=False)]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file, or the folder of `vecprop train`.")]


@grouped
def train(
    data: Data,
    target: Annotated[
        Names, option("What is to be predicted: a name, or an index.", "--target", "-t", metavar="COLUMN")
    ] = None,
    out: Annotated[File, option("Where the files go.", "--out", "-o", metavar="FOLDER", default="NAME-model")] = None,
    task: Annotated[Text, option("regression or classification; found out unless given.", metavar="TASK")] = None,
    drop: Annotated[Names, option("Leave a column out; repeat it for several.", metavar="COLUMN")] = None,
    categorical: Annotated[Names, option("Take a column as categories.", metavar="COLUMN")] = None,
    numeric: Annotated[Names, option("Take a column as numbers.", metavar="COLUMN")] = None,
    weight: Annotated[Text, option("How much each row counts.", metavar="COLUMN")] = None,
    balance: Annotated[bool, option("Give all classes the same weight.", "--balance")] = False,
    class_weight: Annotated[
        Names, option("How much each row of a class counts; repeat it for several.", metavar="CLASS=W")
    ] = None,
    *,
    file_format: FileFormat,
    linear: Annotated[bool, option("Deliver the linear model that networks are compared with.", "--linear")] = False,
    hidden: Annotated[
        Text, option('Units of each hidden layer; "" for none.', metavar="N,N,…", default="64,64")
    ] = None,
    activation: Annotated[Text, option("Of the hidden layers.", metavar="NAME", default="silu")] = None,
    networks: Annotated[
        Integer,
        option("Networks of one kind from as many seeds, averaged.", metavar="K", default="a pack of several kinds"),
    ] = None,
    quick: Annotated[bool, option("Four networks of one kind in place of a pack.", "--quick")] = False,
    epochs: Annotated[Integer, option("Passes over the training rows at most.", default="300")] = None,
    patience: Annotated[
        Integer, option("Epochs without a better validation loss before the end.", default="20")
    ] = None,
    learning_rate: Annotated[Number, option("Of Adam.", default="0.002")] = None,
    batch_size: Annotated[Integer, option("Rows for each update.", default="16 to 256, by the data")] = None,
    l2: Annotated[Number, option("L2 regularization (E32).", "--l2", metavar="λ", default="1")] = None,
    dropout: Annotated[Number, option("Of hidden units, dropped at each step.", metavar="SHARE", default="0")] = None,
    test_share: Annotated[float, option("Of the rows, held out to judge the model.", metavar="SHARE")] = 0.2,
    validation_share: Annotated[float, option("Of the other rows, which tell when to stop.", metavar="SHARE")] = 0.15,
    seed: Annotated[int, option("The same seed gives the same model.")] = 0,
    checkpoint: Annotated[
        File, option("Write the state of the training, to go on from after a break.", metavar="FILE")
    ] = None,
    checkpoint_every: Annotated[float, option("How often; 0.5 is twice in an epoch.", metavar="EPOCHS")] = 1,
    resume: Annotated[bool, option("Go on from the checkpoint, if there is one.", "--resume")] = False,
    stream: Annotated[
        bool, option("Leave a Parquet file larger than memory where it is, and read it in parts.", "--stream")
    ] = False,
    cache: Annotated[
        File, option("With --stream, for the features meanwhile.", metavar="FOLDER", default="temporary files")
    ] = None,
    backend: BackendName = None,
    devices: Annotated[
        Text, option("Devices of JAX to train on: a number, or all; one unless given.", metavar="N")
    ] = None,
    distributed: Annotated[
        bool, option("Train in several processes, as JAX_COORDINATOR_ADDRESS or SLURM say.", "--distributed")
    ] = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train networks on a table, and judge them on rows they have not seen.

    What each column holds is found out and printed: numbers, categories, dates; missing values are filled in. The
    folder gets the model, a report in JSON and two pictures. With --distributed the same command is started in every
    process; each reads the table and trains on its share, and the first one prints and writes.

    Example: vecprop train houses.csv --target price
    """
    from vecprop.cli import pictures, tables, writing
    from vecprop.tabular import Choices, Settings

    if quick and (linear or networks is not None):
        raise ValueError(f"--quick and {'--linear' if linear else '--networks'} exclude each other: choose one")
    missing = file_format.missing or ()
    choices = Choices(tuple(drop or ()), tuple(categorical or ()), tuple(numeric or ()), missing=missing, weight=weight)
    chosen = tables.devices(devices, distributed)
    settings = Settings(
        tables.layers(hidden), activation, epochs, patience, learning_rate, batch_size, l2, dropout,
        4 if quick else networks,
        test_share, validation_share, tables.class_weights(class_weight, balance), linear, seed,
        checkpoint=checkpoint, checkpoint_every=checkpoint_every, resume=resume,
        backend="jax" if distributed and backend is None else backend, devices=chosen, cache=cache
    )  # fmt: skip
    folder = Path(f"{data.stem}-model") if out is None else out
    writing.check_files(folder, writing.OF_TRAINING, (data,), writing.holds_table_model, force)
    if checkpoint is not None:
        writing.check_checkpoint(checkpoint, (data,), force)
    first = not distributed or tables.join()
    quiet = quiet or not first
    say = (lambda _: None) if quiet else note if json else typer.echo
    file_format = replace(file_format, missing=None)  # the model keeps them
    with pictures.drawing(first) as draw:
        table = tables.read(data, file_format, target or (), stream)
        plan = tables.plan(table, target or (), task, choices)
        report = tables.train(plan, settings, folder, file_format, say, not quiet, draw if first else None)
    if json and not quiet:
        print_json(report)


@grouped
def predict(
    model: Model,
    data: Data,
    wanted: Wanted,
    file_format: FileFormat,
    backend: BackendName = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Predict the target of each row of a table.

    Columns may come in any order, and others may be there; what is missing or unknown is filled in and told.

    Example: vecprop predict houses-model houses.csv -o predictions.csv
    """
    from vecprop.cli import tables, writing

    if wanted.out is not None:
        writing.check_ending(wanted.out, writing.TABLE)
        writing.check_file(wanted.out, (data, tables.model_file(model)), writing.holds_predictions, force)
    loaded = tables.load(model, backend)
    table = tables.read(data, file_format, loaded.names)
    text = tables.predict(loaded, table, wanted, note if not quiet else None)
    if text is not None:
        typer.echo(text, nl=False)


@grouped
def evaluate(
    model: Model, data: Data, file_format: FileFormat, backend: BackendName = None, json: Json = False
) -> None:
    """Judge a model on a table that has the target, beside the prediction that looks at no column.

    Example: vecprop evaluate houses-model houses.csv
    """
    from vecprop.cli import tables

    loaded = tables.load(model, backend)
    table = tables.read(data, file_format, loaded.names)
    print_either(json, *tables.evaluate(loaded, table, note))


def export(
    model: Model,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The .onnx file.")],
    opset: Annotated[Integer, option("Version of ONNX's operators.", metavar="N", default="17")] = None,
    dtype: Annotated[
        str, option("Of the network: float32, or float64 for what float32 cannot tell apart.", metavar="NAME")
    ] = "float32",
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Write a model as ONNX, which other programs run without vecprop: the preparation of the columns is inside.

    Example: vecprop export houses-model houses.onnx
    """
    from vecprop.cli import tables, writing

    writing.check_file(out, (tables.model_file(model),), writing.is_onnx_of_ours, force)
    writing.check_ending(out, writing.ONNX)
    text = tables.export(model, out, opset, dtype)
    if not quiet:
        typer.echo(text)


def info(model: Model, json: Json = False) -> None:
    """Show what a model file holds: its columns, its network, its scores, the versions that wrote it.

    Example: vecprop info houses-model
    """
    from vecprop.cli import tables

    print_either(json, *tables.info(model))


def sample(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The .csv or .parquet file.")] = Path("houses.csv"),
    rows: Annotated[int, option("Houses.", "--rows", "-n", metavar="M")] = 1000,
    seed: Annotated[int, option("The same seed gives the same houses.")] = 0,
    force: Force = False,
) -> None:
    """Write a table of generated houses to try things on: categories, dates, missing values, and prices.

    Example: vecprop sample houses.csv
    """
    from vecprop.cli import tables, writing
    from vecprop.data.houses import houses
    from vecprop.utils.atomic import write_atomically

    writing.check_ending(out, writing.TABLE)
    writing.check_file(out, (), lambda _: False, force)
    write_atomically(out, tables.frame_bytes(houses(rows, seed), out))
    typer.echo(f"wrote {rows} houses to {out}\nnext: vecprop train {shlex.quote(str(out))} --target price")
