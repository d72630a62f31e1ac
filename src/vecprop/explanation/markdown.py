"""An explanation as Markdown, for a notebook or a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vecprop.explanation import words
from vecprop.explanation.parts import Explanation, Step


def render(explanation: Explanation) -> str:
    """Return the whole text."""
    return "\n".join(_lines(explanation)) + "\n"


def _lines(explanation: Explanation) -> Iterator[str]:
    title = words.heading(explanation)
    yield from (f"# {title[0].upper()}{title[1:]}", "", *_block(words.overview(explanation)))
    yield from ("", "## How to read it", "")
    yield from (f"- {_text(rule)}" for rule in words.RULES)
    if words.coincidence(explanation):
        yield from ("", f"> {words.coincidence(explanation)}")
    yield from ("", "## Given", "")
    yield from _table(
        ("quantity", "shape", "what it is"),
        [(_code(part.name), _code(str(part.shape)), _text(part.meaning)) for part in words.given(explanation)],
    )
    for part in words.given(explanation):
        if part.value is not None:
            yield from ("", *_block([f"{part.name} =", *words.matrix_lines(part.value)]))
    yield from _steps(explanation)
    yield from ("", words.closing(explanation), "", "## The products", "", words.PRODUCTS, "")
    rows = [(_code(a), b, c, _code(d), _code(e)) for a, b, c, d, e in words.three_products(explanation)]
    yield from _table(words.PRODUCT_COLUMNS, rows)
    if explanation.has_numbers:
        yield from ("", words.verdict(explanation))
    happens = words.what_happens(explanation)
    yield from ("", "## Common mistakes", "", "Each was tried with NumPy on these shapes.", "")
    yield from _table(
        ("written", "instead of", "what happens", "why"),
        [
            (_code(mistake.wrong), _code(mistake.right), _text(happens[mistake.wrong]), _text(mistake.reason))
            for _, mistakes in words.by_outcome(explanation)
            for mistake in mistakes
        ],
    )
    yield from ("", "## The whole as a program", "")
    program = _block(explanation.program.splitlines(), "python")
    yield from [words.no_program(explanation)] if words.is_deep(explanation) else program
    yield from ("", "The E-numbers are those of `docs/equations.md`.")


def _steps(explanation: Explanation) -> Iterator[str]:
    full = words.shown_in_full(explanation)
    titles = {"forward": "Forward pass", "cost": "Cost", "backward": "Backward pass"}
    phase = ""
    rows: list[tuple[str, str, str]] = []
    for i, step in enumerate(explanation.steps, start=1):
        if rows and (step.phase != phase or step.name in full):
            yield from ("", *_table(("", "NumPy", "shapes"), rows))
            rows = []
        if step.phase != phase:
            phase = step.phase
            yield from ("", f"## {titles[phase]}")
        if step.name in full or explanation.has_numbers:
            yield from _step(i, step, step.name in full)
        elif not words.left_out(explanation, step, full):
            shapes = "<br>".join(_code(part.shapes) for part in step.operations)
            rows.append((str(i), "<br>".join(_code(line) for line in step.code.splitlines()), shapes))
        elif not rows or "…" not in rows[-1][1]:
            rows.append(("", words.omission(explanation), ""))
    if rows:
        yield from ("", *_table(("", "NumPy", "shapes"), rows))


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
        lines += one or [f"{step.name} =", *words.matrix_lines(step.value)]
    if step.example:
        lines += ["", step.example]
    if lines:
        yield from ("", *_block(lines))


def _block(lines: Sequence[str], language: str = "text") -> Iterator[str]:
    yield from (f"```{language}", *lines, "```")


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for row in (header, tuple("---" for _ in header), *rows):
        yield f"| {' | '.join(row)} |"


def _code(text: str) -> str:
    """Return text as code that a table can hold."""
    return f"`{text.replace('|', chr(0x2223))}`"


def _text(text: str) -> str:
    """Return a sentence whose operators are not taken for emphasis, nor its bars for a table's."""
    for sign in ("\\", "*", "_", "|", "<"):
        text = text.replace(sign, f"\\{sign}")
    return text
