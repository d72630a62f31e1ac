"""The options of the commands: types of single options, and groups of related ones.

typer reads the annotations at run time, and its older versions do not know `str | None` in Python 3.11.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from vecprop.nn.network import Network

Text = Optional[str]  # noqa: UP045
Names = Optional[list[str]]  # noqa: UP045
Integer = Optional[int]  # noqa: UP045
Number = Optional[float]  # noqa: UP045
Flag = Optional[bool]  # noqa: UP045
File = Optional[Path]  # noqa: UP045


def option(text: str, *names: str, metavar: str | None = None, default: str = "") -> Any:
    """Return an option with a text for --help; `default` says in words what holds unless it is given."""
    shown = {"help": f"{text}  [default: {default}]", "show_default": False} if default else {"help": text}
    return typer.Option(*names, metavar=metavar, **shown)


Json = Annotated[bool, option("Print JSON.", "--json")]
Quiet = Annotated[bool, option("Print nothing but errors.", "--quiet", "-q")]
BackendName = Annotated[
    Text, option("numpy, cupy, jax or auto; VECPROP_BACKEND or numpy unless given.", "--backend", metavar="NAME")
]
Force = Annotated[bool, option("Replace files that are there, though others wrote them.", "--force")]
L2 = Annotated[float, option("L2 regularization (E32).", "--l2", metavar="λ")]


@dataclass(frozen=True)
class FileFormat:
    """The options for reading a table."""

    delimiter: Annotated[Text, option("Of CSV; found out unless given.", metavar="CHARACTER")] = None
    encoding: Annotated[Text, option("Of CSV, such as latin-1; UTF-8 unless given.", metavar="NAME")] = None
    header: Annotated[
        Flag, option("Whether line 1 of CSV holds names.", "--header/--no-header", default="found out")
    ] = None
    skip: Annotated[int, option("Of CSV, above the header.", metavar="LINES")] = 0
    decimal: Annotated[Text, option("Between whole and fraction, . or , ; found out unless given.", metavar="SIGN")] = (
        None
    )
    thousands: Annotated[Text, option("Between groups of three digits: , . ' or a blank.", metavar="SIGN")] = None
    missing: Annotated[
        Names,
        option('A text that stands for a missing value, or COLUMN=TEXT; "" for empty cells alone.', metavar="TEXT"),
    ] = None
    date_format: Annotated[Names, option("Of dates, such as %d/%m/%Y, or COLUMN=FORMAT.", metavar="FORMAT")] = None

    @property
    def words(self) -> list[str]:
        """The options that were given, as words of a command.

        >>> FileFormat(header=False, skip=2, missing=["?", "a=9"]).words
        ['--no-header', '--skip', '2', '--missing', '?', '--missing', 'a=9']
        """
        words = []
        for field in fields(self):
            name, value = field.name.replace("_", "-"), getattr(self, field.name)
            if isinstance(value, bool):
                words.append(f"--{'' if value else 'no-'}{name}")
            elif value != field.default:
                values = value if isinstance(value, list) else [value]
                words += [word for one in values for word in (f"--{name}", str(one))]
        return words


@dataclass(frozen=True)
class Wanted:
    """The options for the output of `predict`."""

    out: Annotated[
        File, option("A .csv or .parquet file; printed as CSV unless given.", "--out", "-o", metavar="FILE")
    ] = None
    proba: Annotated[bool, option("The probability of each class, too.", "--proba")] = False
    spread: Annotated[bool, option("How far the networks of the model disagree, too.", "--spread")] = False
    keep: Annotated[Names, option("Repeat a column of the data beside the predictions.", metavar="COLUMN")] = None


@dataclass(frozen=True)
class Measured:
    """The options for what `bench` measures."""

    backend: Annotated[Names, option("A backend, or all (the usable ones); repeat it for several.", metavar="NAME")] = (
        None
    )
    network: Annotated[Names, option("Layer sizes; repeat it for several.", metavar="N0-…-NL", default="2-4-1")] = None
    sizes: Annotated[str, option("Numbers of examples.", metavar="M,M,…")] = "1,10,100,1000,10000,100000"
    dtype: Annotated[Names, option("float32 or float64; repeat it for both.", metavar="DTYPE", default="float32")] = (
        None
    )
    passes: Annotated[
        Names, option("forward or gradients; repeat it for both.", "--pass", metavar="PASS", default="gradients")
    ] = None
    budget: Annotated[float, option("Time for one cell of the table.", metavar="SECONDS")] = 2.0


@dataclass(frozen=True)
class Parts:
    """The options for the activations and the loss of a network."""

    hidden: Annotated[str, option("One activation, or one per hidden layer.", metavar="NAME,…")] = "tanh"
    output: Annotated[str, option("Activation of the output layer.", metavar="NAME")] = "sigmoid"
    loss: Annotated[Text, option("The loss; that which fits the output unless given.", metavar="NAME")] = None

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
        str, option("One activation, or one per hidden layer.", "--hidden", "--activation", metavar="NAME,…")
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
