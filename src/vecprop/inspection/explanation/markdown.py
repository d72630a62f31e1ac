"""An explanation as Markdown."""

from collections.abc import Iterator, Sequence

from vecprop.inspection.explanation import words
from vecprop.inspection.explanation.parts import Contents, Step

WIDTH = 80  # columns of the text for a terminal


def markdown_lines(explanation: Contents) -> Iterator[str]:
    """Yield the lines of the explanation as Markdown."""
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
    yield from ("", "## Common mistakes", "", "Each was tried with NumPy on these shapes.")
    for title, mistakes in words.by_outcome(explanation):
        yield from ("", f"### {title[0].upper()}{title[1:]}", "")
        for mistake, happens in mistakes:  # two spaces at the end break the line
            yield f"- {_code(mistake.wrong)}  "
            yield f"  instead of {_code(mistake.right)}  "
            yield f"  {_text(happens)}  "
            yield f"  {_text(mistake.reason)}"
    yield from ("", "## The whole as a program", "")
    program, most = explanation.program.splitlines(), words.MOST_FULL_LAYERS
    told = f"It has {len(program)} lines: print explanation.program, or take a network of at most {most} layers."
    yield from [told] if words.middle_layers(explanation) else _block(program, "python")
    yield from ("", "The E-numbers are those of `docs/equations.md`.")


def _steps(explanation: Contents) -> Iterator[str]:
    full, middle = words.shown_in_full(explanation), words.middle_layers(explanation)
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
    """Return text as inline code that is safe in a table."""
    return f"`{text.replace('|', chr(0x2223))}`"


def _text(text: str) -> str:
    """Return a sentence with the signs escaped that Markdown would interpret."""
    for sign in ("\\", "*", "_", "|", "<"):
        text = text.replace(sign, f"\\{sign}")
    return text
