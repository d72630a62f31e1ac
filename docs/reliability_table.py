"""Write the table of docs/reliability.md from the file of what `make reliability` measured."""

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

PAGE = Path(__file__).resolve().parent / "reliability.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
LIBRARIES = ("numpy", "jax", "scikit-learn", "safetensors")


def table(rows: list[dict[str, str]]) -> str:
    """Return the rows as a Markdown table.

    >>> print(table([{"what": "a", "measured": "3 of 3", "wanted": "all", "test": "tests/t.py::x", "seconds": 1.5}]))
    | what was done | measured | wanted | test | s |
    |---|---|---|---|---|
    | a | 3 of 3 | all | `tests/t.py::x` | 1.5 |
    """
    lines = ["| what was done | measured | wanted | test | s |", "|---|---|---|---|---|"]
    for row in rows:
        cells = [row["what"], row["measured"], row["wanted"], f"`{row['test']}`", str(row["seconds"])]
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines)


def environment() -> str:
    """Return where it was measured, in a sentence."""
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"Python {platform.python_version()}, {versions}, {platform.system()} on {platform.machine()}."


def main(path: str) -> None:
    """Put the table into the page."""
    rows = [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{environment()}\n\n{table(rows)}\n\n{END}{after}", "utf-8")
    print(f"{len(rows)} figures written into {PAGE.name}")


if __name__ == "__main__":
    main(sys.argv[1])
