"""Pages of the site that stand elsewhere in the repository: guides of other folders, source files, notebooks."""

import ast
import base64
import inspect
import json
import os
import posixpath
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
# One text serves both: GitHub shows it in its folder, the site as a page.
GUIDES = {
    "backends/README.md": "howto/add-backend.md",
    "benchmarks/README.md": "howto/benchmarks.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
}
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^()\s]+)\)")
_FENCED = re.compile(r"(^(?: *)(```+).*?^ *\2[ \t]*$)", re.MULTILINE | re.DOTALL)


def guides() -> dict[str, Path]:
    """Return the pages of the site whose text stands in another folder."""
    return {page: ROOT / source for source, page in GUIDES.items() if source != "README.md"}


def outside_fences(text: str, change) -> str:
    """Apply a function to what is no block of code."""
    return "".join(part if i % 3 == 1 else change(part) for i, part in enumerate(_FENCED.split(text)) if i % 3 != 2)


def linked_sources(pages: dict[str, str]) -> set[str]:
    """Return the files outside docs/ that pages link to, by their path in the repository.

    Parameters
    ----------
    pages : dict of path in the repository -> Markdown
    """
    found = set()
    for origin, text in pages.items():
        for _, target in LINK.findall(text):
            path = repository_path(origin, target.partition("#")[0])
            if path and not path.startswith("docs/") and path not in GUIDES and (ROOT / path).is_file():
                found.add(path)
    return found


def repository_path(origin: str, target: str) -> str | None:
    """Return where a relative link of a file leads, as a path in the repository; None for an address or an anchor."""
    if not target or re.match(r"[a-z]+:", target):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))


def page_of(path: str) -> str | None:
    """Return the site's source path for a path in the repository."""
    if path in GUIDES:
        return GUIDES[path]
    if path.startswith("docs/"):
        inside = path.removeprefix("docs/")
        return inside.removesuffix(".ipynb") + ".md" if inside.endswith(".ipynb") else inside
    return f"source/{path}.md" if path.endswith(".py") else f"source/{path}"


def rewritten(text: str, origin: str, page: str) -> str:
    """Return Markdown in which links that leave docs/ lead to their pages on the site, at the line of what they name.

    Parameters
    ----------
    text : str
    origin : str
        Where the text stands in the repository: links are relative to it.
    page : str
        Its source path on the site.
    """

    def one(match: re.Match) -> str:
        label, target = match.groups()
        where, mark, anchor = target.partition("#")
        path = repository_path(origin, where)
        if path is None:
            return match.group(0)
        if (ROOT / path).is_dir():
            raise ValueError(f"{origin}: {target} is a folder; link to a file in it")
        to = posixpath.relpath(page_of(path), posixpath.dirname(page) or ".")
        if path.endswith(".py") and not mark:
            line = line_of(path, label)
            mark, anchor = ("#", f"__codelineno-0-{line}") if line else ("", "")
        return f"{label}({to}{mark}{anchor})"

    return outside_fences(text, lambda part: LINK.sub(one, part))


def line_of(path: str, label: str) -> int | None:
    """Return the line of the function or class that a link's label names, as `module.Class.method` or `file::test`."""
    names = re.split(r"::|\.", label.strip("![]`"))
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for first in range(len(names)):
        body, line = tree.body, None
        for name in names[first:]:
            node = next((n for n in body if getattr(n, "name", None) == name), None)
            if node is None:
                break
            body, line = getattr(node, "body", []), node.lineno
        else:
            return line
    return None


def public_names() -> set[str]:
    """Return the full name of everything public: of `vecprop`, its estimators, tables, plots and data sets."""
    import vecprop
    from vecprop import datasets, estimators, plots, tabular

    names = {f"vecprop.{name}" for name in vecprop.__all__ if name != "__version__"}
    for room, module in {"estimators": estimators, "plots": plots, "tabular": tabular}.items():
        names |= {f"vecprop.{room}.{name}" for name in module.__all__ if callable(getattr(module, name))}
    functions = (name for name, value in vars(datasets).items() if inspect.isfunction(value) and name[0] != "_")
    return names | {
        f"vecprop.datasets.{name}" for name in functions if getattr(datasets, name).__module__ == datasets.__name__
    }


@cache
def equation_anchors() -> dict[str, str]:
    """Return the anchor of each equation of docs/equations.md by its number: "E12" -> "e12-gradient-descent"."""
    titles = re.findall(r"^### (E\d+) (.+)$", (ROOT / "docs/equations.md").read_text("utf-8"), re.MULTILINE)
    return {number: re.sub(r"[^a-z0-9]+", "-", f"{number} {title}".lower()).strip("-") for number, title in titles}


def equations_linked(html: str, page: str) -> str:
    """Return a page in which E12 in the text is a link to that equation; not in code, headings and other links."""
    to = posixpath.relpath("equations.html", posixpath.dirname(page) or ".")

    def link(match: re.Match) -> str:
        anchor = equation_anchors().get(match.group(0))
        return f'<a href="{to}#{anchor}">{match.group(0)}</a>' if anchor else match.group(0)

    parts = re.split(r"(<(?P<tag>a|code|pre|h\d|math)\b.*?</(?P=tag)>|<[^>]*>)", html, flags=re.DOTALL)
    # of each match split gives the text before it, the whole of it, and the name of its tag, which is dropped
    return "".join(re.sub(r"\bE\d+\b", link, part) if i % 3 == 0 else part for i, part in enumerate(parts) if i % 3 < 2)


def source_page(path: str) -> str:
    """Return the page that shows a source file."""
    code = (ROOT / path).read_text(encoding="utf-8")
    fence = "`" * 6
    return (
        "---\nsearch: { exclude: true }\nhide: [toc]\n---\n\n"
        f"# {posixpath.basename(path)}\n\n`{path}`\n\n{fence}{{.python linenums='1'}}\n{code}{fence}\n"
    )


def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and the pictures in its outputs by their names."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts, pictures = [], {}
    for cell in cells:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{path.stem}-{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![{_caption(cell)}]({name})")
            else:
                shown = "".join(output.get("text") or data.get("text/plain", ()))
                parts.append(f"```text\n{shown.rstrip()}\n```")
    parts.insert(1, f"This page is a notebook: [`docs/notebooks/{path.name}`]({path.name}).")
    return "\n\n".join(parts) + "\n", pictures


def _caption(cell: dict) -> str:
    """Return the text for readers who cannot see the picture: the cell's metadata have it."""
    return cell.get("metadata", {}).get("alt", "Output of the code above")


def relative(path: str | os.PathLike[str]) -> str:
    """Return a path in the repository, with slashes."""
    return Path(path).resolve().relative_to(ROOT).as_posix()
