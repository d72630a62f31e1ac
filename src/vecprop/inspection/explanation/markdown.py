"""An explanation, and its Markdown."""

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy.typing as npt

from vecprop.inspection.explanation.parts import Given, Mistake, Step, count, units
from vecprop.nn.network import Network

WIDTH = 80  # columns of the text for a terminal
_RULES = (
    "A column is one example, a row is one unit: (n, m) is n units for m examples.",
    "@ is the matrix product: (p, q) @ (q, r) -> (p, r). It multiplies and sums over the inner size q, which must be "
    "the same on both sides and is gone from the result. On paper it has no sign: W X.",
    "* is entry by entry (∘ on paper): two arrays of one shape give that shape, and nothing is summed.",
    "A column (n, 1) beside a matrix (n, m) is used for every column: broadcasting.",
    "dW and db are the derivatives of the cost J. dA and dZ have one column for each example: the derivative of that "
    "example's loss. Whatever V is, dV has the shape of V.",
    "[j, i] is row j, column i, counted from 0 as in NumPy. Below j is a neuron of the layer, i an example, k a unit "
    "of the layer before.",
)
_LARGEST_MATRIX = 6  # rows and columns printed, to fit 80 characters; a larger one has its middle left out
_MOST_FULL_LAYERS = 6


@dataclass(frozen=True)
class Explanation:
    """The passes of one network step by step; it prints as text, in a notebook as Markdown.

    Attributes
    ----------
    network : Network
    m : int
        The number of examples.
    l2 : float
        λ of E32.
    given : tuple of Given
        X, Y and the parameters.
    steps : tuple of Step
        In the order of computation; `explanation["dW1"]` is one of them.
    mistakes : tuple of Mistake
    cost : float or None
        J, if numbers are shown.
    check : dict
        If numbers are shown: "difference", the largest between the gradients computed again with the products of the
        steps and `Network.gradients`; "numeric", the largest error of `check_gradients`, except for large networks.
    """

    network: Network
    m: int
    l2: float
    given: tuple[Given, ...]
    steps: tuple[Step, ...]
    mistakes: tuple[Mistake, ...]
    cost: float | None = None
    check: Mapping[str, float] = field(default_factory=dict)

    @property
    def has_numbers(self) -> bool:
        """Whether numbers are shown."""
        return self.cost is not None

    @property
    def program(self) -> str:
        """All steps as NumPy code, from X, Y, the parameters, m (and lam, λ) to the gradients."""
        return "\n".join(step.code for step in self.steps)

    def __getitem__(self, name: str) -> Step:
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(f"{name!r} is no step of this explanation; there are {', '.join(s.name for s in self.steps)}")

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as a dict for JSON, with arrays as nested lists."""
        content = {
            "network": str(self.network),
            "sizes": self.network.sizes,
            "m": self.m,
            "l2": self.l2,
            "given": [asdict(part) for part in self.given],
            "steps": [asdict(step) | {"kind": step.kind} for step in self.steps],
            "mistakes": [asdict(mistake) for mistake in self.mistakes],
            "program": self.program,
            "cost": self.cost,
            "check": dict(self.check),
        }
        return json.loads(json.dumps(content, default=lambda array: array.tolist()))  # type: ignore[no-any-return]

    def __str__(self) -> str:
        """Return the Markdown as text 80 characters wide if `rich` is installed, else as it is."""
        try:
            from rich.console import Console
        except ImportError:
            return self.to_markdown()
        text = io.StringIO()
        Console(file=text, width=WIDTH, color_system=None, force_terminal=False, force_jupyter=False).print(self)
        lines = [line.rstrip() for line in text.getvalue().splitlines()]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines).strip())

    def __rich__(self) -> Any:
        """Return the Markdown for rich to print."""
        from rich.markdown import Markdown

        return Markdown(self.to_markdown())

    def to_markdown(self) -> str:
        """Return the explanation as Markdown, for a notebook or a page."""
        return "\n".join(markdown_lines(self)) + "\n"

    _repr_markdown_ = to_markdown  # what IPython and Jupyter ask for


def markdown_lines(explanation: Explanation) -> Iterator[str]:
    """Yield the lines of the explanation as Markdown."""
    net, middle = explanation.network, _middle_layers(explanation)
    title, l2 = str(net), f", λ = {explanation.l2:g}" if explanation.l2 else ""
    yield from (f"# {title[0].upper()}{title[1:]}, m = {explanation.m}{l2}", "", *_block(_overview(net)))
    yield from ("", "## How to read it", "")
    yield from (f"- {_text(rule)}" for rule in _RULES)
    if warning := _coincidence(net.sizes, explanation.m):
        yield from ("", f"> {warning}")
    yield from ("", "## Given", "")
    left_out = {f"{letter}{l}" for letter in "Wb" for l in middle}
    given = [part for part in explanation.given if part.name not in left_out]
    yield from _table(
        ("quantity", "shape", "what it is"),
        [(_code(part.name), _code(str(part.shape)), _text(part.meaning)) for part in given],
    )
    for part in given:
        if part.value is not None:
            yield from ("", *_block([f"{part.name} =", *_matrix_lines(part.value)]))
    yield from _steps(explanation)
    yield from _products(explanation)
    if explanation.has_numbers:
        check = explanation.check
        told = "Checked: the products of the numbers above give the gradients of Network.gradients, largest difference"
        told += f" {check['difference']:.2g}."
        if "numeric" in check:
            told += f" A numeric derivative of the cost (E40) agrees with them to {check['numeric']:.2g}, relative."
        yield from ("", told)
    yield from ("", "## Common mistakes", "", "Each was tried with NumPy on these shapes.")
    yield from _mistakes(explanation.mistakes)
    yield from ("", "## The whole as a program", "")
    program, most = explanation.program.splitlines(), _MOST_FULL_LAYERS
    told = f"It has {len(program)} lines: print explanation.program, or take a network of at most {most} layers."
    yield from [told] if middle else _block(program, "python")
    yield from ("", "The E-numbers are those of `docs/equations.md`.")


def _middle_layers(explanation: Explanation) -> range:
    """Return the layers that the text leaves out, since they repeat those beside them."""
    L = len(explanation.network.sizes) - 1
    return range(3, L - 1) if L > _MOST_FULL_LAYERS and not explanation.has_numbers else range(0)


def _overview(net: Network) -> list[str]:
    """Return the two passes as a line each, without the middle layers of a deep network.

    >>> _overview(Network((3, 4, 1)))
    ['forward:  X → Z1 → A1 → Z2 → A2 → J', 'backward: dZ2 → dA1 → dZ1, and from every dZ its dW and db']
    """
    L = len(net.sizes) - 1
    layers = range(1, L + 1) if L <= _MOST_FULL_LAYERS else (1, 2, 0, L)
    there = ["X", *(f"Z{l} → A{l}" if l else "…" for l in layers), "J"]
    back = [f"dZ{L}", *(f"dA{l} → dZ{l}" if l else "…" for l in reversed(layers) if l != L)]
    if net.loss.matching_output != net.output.name:
        back.insert(0, f"dA{L}")
    return [f"forward:  {' → '.join(there)}", f"backward: {' → '.join(back)}, and from every dZ its dW and db"]


def _coincidence(sizes: Sequence[int], m: int) -> str:
    """Return a warning if m is a layer's size or neighbouring layers are equally large, else ""."""
    if m in sizes:
        return (
            f"m = {m} is also the size of a layer. Shapes may then fit by accident; explain it with another m to see "
            "which sizes really have to agree."
        )
    if any(a == b for a, b in pairwise(sizes)):
        return (
            "Two neighbouring layers have the same size, so their W is square. NumPy then takes a forgotten or "
            "needless transpose without an error: see the mistakes."
        )
    return ""


def _steps(explanation: Explanation) -> Iterator[str]:
    first: dict[str, str] = {}
    for step in explanation.steps:
        first.setdefault(step.role, step.name)
    full, middle = set(first.values()), _middle_layers(explanation)  # the first step of each role has its reason
    titles = {"forward": "Forward pass", "cost": "Cost", "backward": "Backward pass"}
    phase = ""
    like_before: list[str] = []
    for i, step in enumerate(explanation.steps, start=1):
        if like_before and (step.phase != phase or step.name in full):
            yield from ("", *_block(like_before, "python"))
            like_before = []
        if step.phase != phase:
            phase = step.phase
            yield from ("", f"## {titles[phase]}")
        if step.name in full or explanation.has_numbers:
            yield from _step(i, step, step.name in full)
        elif step.layer not in middle:
            shapes = [part.shapes for part in step.operations if "/ m" not in part.shapes]
            like_before += [f"# {i}. {', '.join(shapes)}", *step.code.splitlines()]
        elif not like_before or "…" not in like_before[-1]:
            layers = f"layers {middle[0]} to {middle[-1]}"
            like_before.append(f"# … and so on: {layers} repeat the same steps with their own sizes …")
    if like_before:
        yield from ("", *_block(like_before, "python"))


def _step(i: int, step: Step, reason: bool) -> Iterator[str]:
    yield from ("", f"### {i}. {_code(step.formula)} ({step.equation})", "")
    yield from _block(step.code.splitlines(), "python")
    yield ""
    yield from _table(("shapes", "kind"), [(_code(part.shapes), part.kind) for part in step.operations])
    if reason:
        yield from ("", _text(step.reason))
    lines = []
    if step.value is not None:
        one = [f"{step.name} = {float(step.value):.4f}"] if not step.value.ndim else None
        lines += one or [f"{step.name} =", *_matrix_lines(step.value)]
    if step.example:
        lines += ["", step.example]
    if lines:
        yield from ("", *_block(lines))


def _products(explanation: Explanation) -> Iterator[str]:
    """Yield the text after the last gradient, and the matrix products of the last layer."""
    net, L = explanation.network, len(explanation.network.sizes) - 1
    rest = f", …, W{L} = W{L} - α dW{L}, b{L} = b{L} - α db{L}" if L > 1 else ""
    yield from (
        "",
        "X needs no derivative, so the way back ends here. Each dW has the shape of its W and each db that of its b. "
        f"Gradient descent (E12) is therefore entry by entry: W1 = W1 - α dW1, b1 = b1 - α db1{rest}.",
        "",
        "## The products",
        "",
        "Where the transposes come from, in one table. All products of a layer have the same sizes to deal with, and "
        "each sums a different one away. That size must stand inside; the factor in which it does not is transposed.",
        "",
    )
    summed = {f"Z{L}": units(net, L - 1), f"dW{L}": count(explanation.m, "example"), f"dA{L - 1}": units(net, L)}
    rows = []
    for step in explanation.steps:
        if step.name in summed:
            what, (product,) = summed[step.name], re.findall(r"\S+ @ \S+", step.code)
            rows.append((_code(step.name), what, what.split()[0], _code(product), _code(step.operations[0].shapes)))
    yield from _table(("", "sums over", "inner size", "product", "shapes"), rows)


_MATMUL = "Input operand 1 has a mismatch in its core dimension 0, with gufunc signature (n?,k),(k,m?)->(n?,m?)"
_OUTCOMES = {  # those that are hardest to notice first
    "wrong numbers": "no error, the right shape and wrong numbers",
    "wrong shape": "no error, and a wrong shape",
    "right by accident": "right by accident",
    "error": "NumPy stops with an error (the harmless case)",
}


def _mistakes(mistakes: Sequence[Mistake]) -> Iterator[str]:
    """Yield the mistakes by their outcome; NumPy's long message on @ stands there only once."""
    seen = False
    for outcome, title in _OUTCOMES.items():
        group = [mistake for mistake in mistakes if mistake.outcome == outcome]
        if group:
            yield from ("", f"### {title[0].upper()}{title[1:]}", "")
        for mistake in group:  # two spaces at the end break the line
            happens = mistake.what_happens.replace(_MATMUL, "…") if seen else mistake.what_happens
            seen = seen or _MATMUL in happens
            yield f"- {_code(mistake.wrong)}  "
            yield f"  instead of {_code(mistake.right)}  "
            yield f"  {_text(happens)}  "
            yield f"  {_text(mistake.reason)}"


def _block(lines: Sequence[str], language: str = "text") -> Iterator[str]:
    yield from (f"```{language}", *lines, "```")


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for row in (header, tuple("---" for _ in header), *rows):
        yield f"| {' | '.join(row)} |"


def _code(text: str) -> str:
    """Return text as inline code that is safe in a table."""
    return f"`{text.replace('|', chr(0x2223))}`"


def _text(text: str) -> str:
    """Return a sentence with the signs escaped that Markdown would interpret."""
    for sign in ("\\", "*", "_", "|", "<"):
        text = text.replace(sign, f"\\{sign}")
    return text


def _matrix_lines(value: npt.NDArray[Any]) -> list[str]:
    """Return a matrix as aligned lines with 4 decimals, the middle of a large one left out.

    >>> import numpy as np
    >>> _matrix_lines(np.array([[1.0, -0.25], [10.0, 0.5]]))
    ['[  1.0000  -0.2500 ]', '[ 10.0000   0.5000 ]']
    """
    cells = [[_cell(x) for x in _cut(row)] for row in _cut(value.tolist())]
    width = max(len(text) for row in cells for text in row)
    return ["[ " + "  ".join(f"{text:>{width}}" for text in row) + " ]" for row in cells]


def _cut(entries: Sequence[Any]) -> list[Any]:
    """Return the entries, the middle of many replaced by an ellipsis."""
    if len(entries) <= _LARGEST_MATRIX:
        return list(entries)
    keep = _LARGEST_MATRIX - 3
    middle = ["…"] * len(entries[0]) if isinstance(entries[0], list) else "…"
    return [*entries[:keep], middle, *entries[-2:]]


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    text = f"{value:.4f}" if abs(value) < 1e4 else f"{value:.2e}"
    return text.removeprefix("-") if float(text) == 0 else text
