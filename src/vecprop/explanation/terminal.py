"""An explanation as text for a terminal, at most 100 columns wide."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from itertools import zip_longest

from vecprop.explanation import words
from vecprop.explanation.parts import Explanation, Mistake, Step

WIDTH = 100
_SHAPES = 52  # column of the shapes beside the code
_LABEL = 11  # columns for "formula", "why" and the like


def render(explanation: Explanation) -> str:
    """Return the whole text."""
    lines = [line.rstrip() for line in _lines(explanation)]
    return "\n".join(line for line, before in zip(lines, ["", *lines], strict=False) if line or before)


def _lines(explanation: Explanation) -> Iterator[str]:
    yield from _wrap(words.heading(explanation), "", "  ")
    for line in words.overview(explanation):
        yield from _wrap(line, "  ", " " * 12)
    yield from _title("How to read it")
    for rule in words.RULES:
        yield from _wrap(rule, "  - ", "    ")
    if words.coincidence(explanation):
        yield from _wrap(words.coincidence(explanation), "  ! ", "    ")
    yield from _title("Given")
    yield from _given(explanation)
    full = words.shown_in_full(explanation)
    titles = {"forward": "Forward pass", "cost": "Cost", "backward": "Backward pass"}
    phase, gap = "", False
    for i, step in enumerate(explanation.steps, start=1):
        if step.phase != phase:
            phase, gap = step.phase, False
            yield from _title(titles[phase])
        if words.left_out(explanation, step, full):
            if not gap:
                yield f"      {words.omission(explanation)}"
            gap = True
        elif step.name in full or explanation.has_numbers:
            yield from _full(i, step, step.name in full)
        else:
            yield from _short(i, step)
    yield ""
    yield from _wrap(words.closing(explanation))
    yield ""
    yield from _wrap(words.PRODUCTS)
    yield from _products(explanation)
    if explanation.has_numbers:
        yield ""
        yield from _wrap(words.verdict(explanation))
    yield from _title("Common mistakes, each tried with NumPy on these shapes")
    happens = words.what_happens(explanation)
    for title, mistakes in words.by_outcome(explanation):
        yield ""
        yield f"  {title[0].upper()}{title[1:]}:"
        for mistake in mistakes:
            yield from _mistake(mistake, happens[mistake.wrong])
    yield from _title("The whole as a program")
    if words.is_deep(explanation):
        yield from _wrap(words.no_program(explanation))
    else:
        yield from (f"    {line}" for line in explanation.program.splitlines())
    yield ""
    yield "E-numbers: docs/equations.md."


def _title(text: str) -> Iterator[str]:
    yield from ("", text, "-" * len(text))


def _wrap(text: str, first: str = "", rest: str | None = None, width: int = WIDTH) -> list[str]:
    """Return the lines of a text; an index such as [j, i] and a shape are never broken."""
    lines = textwrap.wrap(
        re.sub(r"(?<=,) (?=[\w]*[\])])", "\N{NO-BREAK SPACE}", text),
        width,
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _given(explanation: Explanation) -> Iterator[str]:
    width = max(len(str(part.shape)) for part in explanation.given)
    for part in words.given(explanation):
        prefix = f"  {part.name:<4} {part.shape!s:<{width}}  "
        yield from _wrap(part.meaning, prefix, " " * len(prefix))
        if part.value is not None:
            yield from (f"{'':<{_LABEL + 5}}{line}" for line in words.matrix_lines(part.value))


def _full(i: int, step: Step, reason: bool) -> Iterator[str]:
    """Yield a step with everything."""
    head, equation = f"{i:>3}  {step.formula}", f"  {step.equation}"
    yield ""
    if len(head + equation) <= WIDTH:
        yield head + equation.rjust(WIDTH - len(head))
    else:
        yield from _wrap(f"{step.formula}  ({step.equation})", f"{i:>3}  ", " " * 9)
    yield from _labelled("NumPy", step.code.splitlines())
    width = max(len(part.shapes) for part in step.operations)
    yield from _labelled("shapes", [f"{part.shapes:<{width}}   {part.kind}" for part in step.operations])
    if reason:
        yield from _labelled("why", _wrap(step.reason, width=WIDTH - 5 - _LABEL))
    if step.value is not None:
        matrix = step.value.ndim > 0
        yield from _labelled("numbers", words.matrix_lines(step.value) if matrix else [f"{float(step.value):.4f}"])
    if step.example:
        yield from _labelled("by hand", _wrap(step.example, width=WIDTH - 5 - _LABEL))
    yield ""


def _labelled(label: str, lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield f"     {label:<{_LABEL}}{line}"
        label = ""


def _short(i: int, step: Step) -> Iterator[str]:
    """Yield a step like an earlier one: its code and its shapes side by side, or one under the other if too wide."""
    shapes = [part.shapes for part in step.operations if "/ m" not in part.shapes]
    code = step.code.splitlines()
    if max(map(len, shapes)) + _SHAPES > WIDTH:
        code, shapes = code + [""] * len(shapes), [""] * len(code) + shapes
    for k, (left, right) in enumerate(zip_longest(code, shapes, fillvalue="")):
        head = f"{i if k == 0 else '':>3}  {left}"
        yield f"{head:<{_SHAPES}}{right}" if left or len(right) + _SHAPES <= WIDTH else f"{'':<9}{right}"


def _products(explanation: Explanation) -> Iterator[str]:
    rows = [words.PRODUCT_COLUMNS, *words.three_products(explanation)]
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    for row in rows:
        yield "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))


def _mistake(mistake: Mistake, happens: str) -> Iterator[str]:
    yield f"   x {mistake.wrong}"
    yield f"     instead of  {mistake.right}"
    yield from _wrap(happens, "       ")
    yield from _wrap(mistake.reason, "       ")
