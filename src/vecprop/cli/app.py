"""The commands and their options; a command imports its code when it runs, so that --help is quick."""

from pathlib import Path
from typing import Annotated

import typer

from vecprop._version import __version__
from vecprop.backend import selection
from vecprop.cli import models
from vecprop.cli.exit_codes import FAILED
from vecprop.cli.options import L2, BackendName, Flag, Force, Integer, Measured, Parts, PartsToExplain, grouped, option
from vecprop.cli.output import Commands, console, error, note, print_either, print_json, reason
from vecprop.nn.network import Network
from vecprop.utils.arguments import check_positive_integer

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

JsonForTable = Annotated[bool, option("Print JSON instead of a table.", "--json")]
LayerSizes = Annotated[
    list[str], typer.Argument(metavar="N0 N1 … NL", help="Units of each layer, the inputs first; 3-4-1 is 3 4 1.")
]
Seed = Annotated[int, option("The same seed gives the same numbers on every backend.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vecprop {__version__}")
        raise typer.Exit


@app.callback()
def vecprop_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Vectorized forward and backward propagation, hand-derived, on NumPy, CuPy and JAX.

    Start with `vecprop demo`, or on a table of your own with `vecprop train data.csv --target COLUMN`.
    Exit codes: 0, 1 a check failed or training diverged, 2 wrong usage or input, 130 interrupted, 143 ended by SIGTERM.
    """


@app.command(short_help="See it all at work, in under a minute.")
def demo(
    out: Annotated[Path, option("Where the pictures go.", metavar="FOLDER")] = Path("vecprop-demo"),
    seed: Seed = 0,
    backend: BackendName = None,
    quick: Annotated[bool, option("Time fewer sizes; every claim is still checked.", "--quick")] = False,
    force: Force = False,
) -> None:
    """See it all at work, in under a minute.

    Checks gradients, learns handwritten digits, shows what a hidden layer adds, what zero and what large initial
    weights do, puts our estimators beside scikit-learn's, and times loops against the vectorized pass on every
    backend. It writes pictures into a folder, and ends with exit code 1 if anything it claims does not hold.

    Example: vecprop demo --quick
    """
    from vecprop.cli.demo import run

    if not run(out, seed, backend, quick, force):
        raise typer.Exit(FAILED)


@app.command(short_help="Time loops against the vectorized pass.")
@grouped
def bench(
    measured: Measured,
    out: Annotated[Path, option("Where the files go.", metavar="FOLDER")] = Path("vecprop-bench"),
    force: Force = False,
    json: JsonForTable = False,
) -> None:
    """Time the loops over neurons and examples against the vectorized pass, over the number of examples m.

    Example: vecprop bench --network 2-4-1 --sizes 10,1000
    """
    from vecprop.cli.arguments import backend_names, integers, network
    from vecprop.cli.writing import check_files, holds_benchmark
    from vecprop.inspection import benchmark

    check_files(out, ("bench.json", "speed-up.png"), (), holds_benchmark, force)
    report = benchmark.measure(
        backends=[selection.get_backend(name) for name in backend_names(measured.backend)],
        networks=[network(text) for text in measured.network or ["2-4-1"]],
        sizes=integers(measured.sizes, "--sizes"),
        dtypes=measured.dtype or ["float32"],
        passes=measured.passes or ["gradients"],
        budget=measured.budget,
        report=note,
    )
    typer.echo(report.to_json() if json else report.table(), nl=not json)
    paths = report.save(out)
    if any(row.speedup and (row.dtype, row.pass_name) == ("float32", "gradients") for row in report.rows):
        paths.append(report.plot(out / "speed-up.png"))
    else:
        note("no picture: it shows the speed-up of float32 gradients, which were not measured")
    for path in paths:
        (note if json else typer.echo)(f"wrote {path}")


@app.command(short_help="Check the gradients of a network (E40).")
@grouped
def check(
    sizes: Annotated[str, option("Units of each layer, the inputs first.", metavar="N0,…,NL")] = "3,4,1",
    *,
    parts: Parts,
    m: Annotated[int, option("Number of random examples.", "--m", metavar="M")] = 5,
    l2: L2 = 0.1,
    backend: BackendName = None,
    seed: Seed = 0,
    json: JsonForTable = False,
) -> None:
    """Check the hand-derived gradients of a network against numeric ones, on random data (E40).

    Example: vecprop check --sizes 3,4,1 --hidden tanh --output sigmoid
    """
    from vecprop.cli.arguments import layer_sizes
    from vecprop.inspection import benchmark, gradient_check

    net = parts.network(layer_sizes(sizes, "--sizes"))
    target = selection.get_backend(backend)
    params = net.init(seed, dtype="float64", backend=target)
    data = benchmark.random_examples(net, check_positive_integer(m, "m"), "float64", seed)
    report = gradient_check.check_gradients(net, params, *map(target.asarray, data), l2=l2, seed=seed)
    found = {"network": str(net), "method": report.method, "tolerance": report.tolerance}
    found |= {"errors": dict(report), "wrong": report.wrong, "passed": report.passed}
    print_either(json, f"{net}, m = {m}, λ = {l2:g}\n{report}", found)
    if not report.passed:
        error(f"the gradient of {', '.join(report.wrong)} is wrong")
        raise typer.Exit(FAILED)


@app.command(short_help="Show what can be used here, and why.")
def backends(json: JsonForTable = False) -> None:
    """Show which backends can be used here, which one is active and why; and what is wrong with the others.

    Example: vecprop backends
    """
    table = selection.backends()
    active = next((status.name for status in table.values() if status.active), None)
    statuses = [{"name": s.name, "usable": s.usable, "active": s.active, "detail": s.detail} for s in table.values()]
    found = {"active": active, "reason": reason(), "backends": statuses}
    print_either(json, f"{table}\n\nactive: {active or 'none'}, {reason()}", found)
    selection.get_backend()  # raises the error of an unusable backend that the environment names


@app.command(short_help="Print the shape of every quantity (E16).")
def shapes(
    sizes: LayerSizes,
    m: Annotated[int, option("Number of examples.", "--m", metavar="M")] = 100,
    json: JsonForTable = False,
) -> None:
    """Print the shape of every quantity of a network, in the order in which they are computed (E16).

    Example: vecprop shapes 784 128 10 --m 100
    """
    from vecprop.cli.arguments import layer_sizes

    table = Network(tuple(layer_sizes(" ".join(sizes), "sizes"))).shapes(m)
    print_either(json, table, table)


@app.command(short_help="Explain the forward and the backward pass step by step.")
@grouped
def explain(
    sizes: LayerSizes,
    m: Annotated[
        Integer, option("Number of examples; from 3 on the first that is no layer's size.", "--m", metavar="M")
    ] = None,
    *,
    parts: PartsToExplain,
    l2: L2 = 0.0,
    numbers: Annotated[
        Flag, option("Show numbers; for small networks and few examples unless given.", "--numbers/--no-numbers")
    ] = None,
    seed: Seed = 0,
    json: JsonForTable = False,
    markdown: Annotated[bool, option("Print Markdown, for a notebook or a page.", "--markdown")] = False,
) -> None:
    """Explain the forward and the backward pass of a network step by step.

    Every step with its formula, its NumPy code, its shapes, which product is a matrix product and which is elementwise,
    and why; then the common mistakes, and the whole as a program.

    Example: vecprop explain 3 4 1 --m 100 --activation tanh
    """
    from vecprop.cli.arguments import layer_sizes
    from vecprop.inspection import explanation as explanations
    from vecprop.inspection.explanation.markdown import WIDTH

    if json and markdown:
        raise ValueError("--json and --markdown exclude each other: choose one")
    shown = "auto" if numbers is None else numbers
    net = parts.network(layer_sizes(" ".join(sizes), "sizes"))
    explanation = explanations.explain(net, m, l2=l2, numbers=shown, seed=seed)
    if json:
        print_json(explanation.to_dict())
    elif markdown:
        typer.echo(explanation.to_markdown(), nl=False)
    elif (terminal := console()).is_terminal:
        terminal.print(explanation, width=WIDTH, soft_wrap=False)
    else:
        typer.echo(explanation)


for command, short_help in (
    (models.train, "Train a network on a table: CSV, Parquet or .npy."),
    (models.predict, "Predict the target of each row of a table."),
    (models.evaluate, "Judge a model on a table that has the target."),
    (models.export, "Write a model as ONNX."),
    (models.info, "Show what a model file holds."),
    (models.sample, "Write a table of houses to try things on."),
):
    app.command(short_help=short_help)(command)
