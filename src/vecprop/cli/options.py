"""The options of the commands: types of single options, and groups of related ones.

typer reads the annotations at run time, and its older versions do not know `str | None` in Python 3.11.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from vecprop.nn.network import Network

Text = Optional[str]  # noqa: UP045
Names = Optional[list[str]]  # noqa: UP045
Integer = Optional[int]  # noqa: UP045
Flag = Optional[bool]  # noqa: UP045
File = Optional[Path]  # noqa: UP045
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
BackendName = Annotated[
    Text,
    typer.Option("--backend", metavar="NAME", help="numpy, cupy, jax or auto; VECPROP_BACKEND or numpy unless given."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there, though others wrote them.")]
L2 = Annotated[float, typer.Option("--l2", metavar="λ", help="L2 regularization (E32).")]


@dataclass(frozen=True)
class FileFormat:
    """The options for reading a table."""

    delimiter: Annotated[Text, typer.Option(metavar="CHARACTER", help="Of CSV; found out unless given.")] = None
    encoding: Annotated[Text, typer.Option(metavar="NAME", help="Of CSV, such as latin-1; UTF-8 unless given.")] = None
    header: Annotated[
        Flag,
        typer.Option(
            "--header/--no-header", help="Whether line 1 of CSV holds names.  [default: found out]", show_default=False
        ),
    ] = None
    skip: Annotated[int, typer.Option(metavar="LINES", help="Of CSV, above the header.")] = 0
    decimal: Annotated[
        Text, typer.Option(metavar="SIGN", help="Between whole and fraction, . or , ; found out unless given.")
    ] = None
    thousands: Annotated[
        Text, typer.Option(metavar="SIGN", help="Between groups of three digits: , . ' or a blank.")
    ] = None
    missing: Annotated[
        Names,
        typer.Option(
            metavar="TEXT", help='A text that stands for a missing value, or COLUMN=TEXT; "" for empty cells alone.'
        ),
    ] = None
    date_format: Annotated[
        Names, typer.Option(metavar="FORMAT", help="Of dates, such as %d/%m/%Y, or COLUMN=FORMAT.")
    ] = None


@dataclass(frozen=True)
class Wanted:
    """The options for the output of `predict`."""

    out: Annotated[
        File,
        typer.Option("--out", "-o", metavar="FILE", help="A .csv or .parquet file; printed as CSV unless given."),
    ] = None
    proba: Annotated[bool, typer.Option("--proba", help="The probability of each class, too.")] = False
    spread: Annotated[bool, typer.Option("--spread", help="How far the networks of the model disagree, too.")] = False
    keep: Annotated[
        Names, typer.Option(metavar="COLUMN", help="Repeat a column of the data beside the predictions.")
    ] = None


@dataclass(frozen=True)
class Measured:
    """The options for what `bench` measures."""

    backend: Annotated[
        Names, typer.Option(metavar="NAME", help="A backend, or all (the usable ones); repeat it for several.")
    ] = None
    network: Annotated[
        Names, typer.Option(metavar="N0-…-NL", help="Layer sizes; repeat it for several.  [default: 2-4-1]")
    ] = None
    sizes: Annotated[str, typer.Option(metavar="M,M,…", help="Numbers of examples.")] = "1,10,100,1000,10000,100000"
    dtype: Annotated[
        Names, typer.Option(metavar="DTYPE", help="float32 or float64; repeat it for both.  [default: float32]")
    ] = None
    passes: Annotated[
        Names,
        typer.Option("--pass", metavar="PASS", help="forward or gradients; repeat it for both.  [default: gradients]"),
    ] = None
    budget: Annotated[float, typer.Option(metavar="SECONDS", help="Time for one cell of the table.")] = 2.0


@dataclass(frozen=True)
class Parts:
    """The options for the activations and the loss of a network."""

    hidden: Annotated[str, typer.Option(metavar="NAME,…", help="One activation, or one per hidden layer.")] = "tanh"
    output: Annotated[str, typer.Option(metavar="NAME", help="Activation of the output layer.")] = "sigmoid"
    loss: Annotated[Text, typer.Option(metavar="NAME", help="The loss; that which fits the output unless given.")] = (
        None
    )

    def network(self, sizes: Sequence[int]) -> Network:
        """Return the network of these parts.

        >>> str(Parts("tanh, relu").network([3, 4, 4, 1]))
        'network 3-4-4-1 (tanh, relu, sigmoid; binary_cross_entropy)'
        """
        hidden: Any = [part.strip() for part in self.hidden.split(",")]
        return Network(tuple(sizes), hidden[0] if len(hidden) == 1 else hidden, self.output, self.loss)


@dataclass(frozen=True)
class PartsToExplain(Parts):
    """The same options for `explain`, which has a second name for --hidden."""

    hidden: Annotated[
        str, typer.Option("--hidden", "--activation", metavar="NAME,…", help="One activation, or one per hidden layer.")
    ] = "tanh"


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command for typer, with the options of a group in place of its argument."""
    arguments = inspect.signature(command).parameters.values()
    groups: dict[str, Any] = {part.name: part.annotation for part in arguments if is_dataclass(part.annotation)}
    parts = {part.name: [part] for part in arguments}
    parts |= {name: [*inspect.signature(group).parameters.values()] for name, group in groups.items()}

    @functools.wraps(command)
    def spread(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{part.name: given.pop(part.name) for part in parts[name]})
        command(**given)

    spread.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [part.replace(kind=inspect.Parameter.KEYWORD_ONLY) for part in chain(*parts.values())]
    )
    return spread
