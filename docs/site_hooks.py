"""What the plug-ins of mkdocs.yml leave to do: pages from outside docs/, formulas, links to equations and to lines.

Pages link as a code host needs it: to a file where it lies in the repository. mkdocs follows such a link by itself once
it knows the file by its path relative to docs/, as in `../src/vecprop/propagation.py`.
"""

import ast
import html
import json
import posixpath
import re
import sys
from functools import cache
from pathlib import Path

from math_core import LatexToMathML
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, InclusionLevel

ROOT = Path(__file__).parent.parent
GUIDES = {
    "../backends/README.md": "howto/add-backend",
    "../benchmarks/README.md": "howto/benchmarks",
    "../CONTRIBUTING.md": "contributing",
    "../CHANGELOG.md": "changelog",
}
_TARGET = re.compile(r"\]\(([^():#\s]+)")
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
_SOURCE = re.compile(r'(href="(?:\.\./)*source/([^"#]+\.py)\.html)">(?=(?:<code>)?([^<]+))')
_NO_TEXT = re.compile(r"(<(?P<tag>a|code|pre|h\d|math)\b.*?</(?P=tag)>|<[^>]*>)", re.DOTALL)


class _Page(File):
    """A file that becomes the page of a given address, whatever its own name is."""

    def is_documentation_page(self) -> bool:
        return True

    @property
    def name(self) -> str:  # mkdocs' is "index" for a README
        return posixpath.basename(self.dest_uri).removesuffix(".html")


def on_config(config):
    """Let the reference be read from this tree, not from what is installed."""
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "backends")]
    return config


@event_priority(100)  # before the plug-ins, which are to know these files
def on_files(files, config):
    """Add the guides, the notebooks, and the files outside docs/ that pages link to."""

    def add(kind, path: str, address: str) -> None:
        level = InclusionLevel.NOT_IN_NAV if address.startswith("source/") else InclusionLevel.INCLUDED
        files.append(kind(path, config.docs_dir, config.site_dir, False, dest_uri=address, inclusion=level))

    for path, address in GUIDES.items():
        add(_Page, path, f"{address}.html")
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(notebook)
        add(_Page, notebook.src_uri, notebook.src_uri.replace(".ipynb", ".html"))
        add(File, f"../docs/{notebook.src_uri}", notebook.src_uri)  # to download
    for page in files.documentation_pages():
        for target in _TARGET.findall(page.content_string):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(page.src_uri), target))
            outside = path.startswith("../") and not path.startswith("../docs/") and not path.endswith(".md")
            if outside and path not in files and (ROOT / "docs" / path).is_file():
                address = f"source/{path.removeprefix('../')}"
                add(*((_Page, path, f"{address}.html") if path.endswith(".py") else (File, path, address)))
    return files


def on_page_read_source(page, config):  # noqa: ARG001 - mkdocs' signature, here and below
    """Return the Markdown of a source file and of a notebook."""
    path = page.file.src_uri.removeprefix("../")
    if path.endswith(".py"):
        head = f"---\nsearch: {{ exclude: true }}\nhide: [toc]\n---\n\n# {posixpath.basename(path)}\n\n`{path}`\n\n"
        return f"{head}``````{{.python linenums='1'}}\n{page.file.content_string}``````\n"
    return notebook_page(page.file.content_string, path) if path.endswith(".ipynb") else None


def notebook_page(text: str, path: str) -> str:
    """Return a notebook as Markdown, with its pictures in it; a cell's metadata have the words for a picture."""
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                picture = "".join(data["image/png"]).replace("\n", "")
                parts.append(f"![{cell['metadata'].get('alt', '')}](data:image/png;base64,{picture})")
            else:
                shown = "".join(output.get("text") or data.get("text/plain", ()))
                parts.append(f"```text\n{shown.rstrip()}\n```")
    parts.insert(1, f"This page is a notebook: [`docs/{path}`](../../docs/{path}).")
    return "\n\n".join(parts) + "\n"


def on_page_markdown(markdown, page, config, files):  # noqa: ARG001
    """Mark sessions as such, since what they print is no code, and let links of guides into docs/ start there."""
    if page.file.src_uri.endswith(".py"):
        return markdown
    if page.file.src_uri in GUIDES:
        markdown = re.sub(r"\]\((\.\./)*docs/", "](/", markdown)
    return markdown.replace("```python\n>>>", "```pycon\n>>>")


def on_page_content(html, page, config, files):  # noqa: ARG001
    """Lay out the formulas, and complete the links to source files and equations."""
    if page.file.src_uri.endswith(".py"):
        return html
    html = _SOURCE.sub(lambda m: f'{m[1]}{line_anchor(m[2], m[3])}">', _FORMULA.sub(mathml, html))
    return html if page.file.src_uri == "equations.md" else equations_linked(html, page.url)


def mathml(formula: re.Match) -> str:
    """Return a formula as MathML, which browsers lay out without a script; one on lines of its own can scroll."""
    block = formula[1] == "div"
    made = LatexToMathML(fancy_error=False).convert_with_local_state(html.unescape(formula[2]), displaystyle=block)
    return f'<div class="math-box" tabindex="0">{made}</div>' if block else made


def line_anchor(path: str, label: str) -> str:
    """Return the anchor of the function or class that a label names, as `module.Class.method` or `file::test`."""
    body, line = ast.parse((ROOT / path).read_text("utf-8")).body, None
    for name in re.split(r"::|\.", label):
        for node in body:
            if getattr(node, "name", None) == name:
                body, line = getattr(node, "body", []), node.lineno
                break
    return f"#__codelineno-0-{line}" if line else ""


@cache
def equation_anchors() -> dict[str, str]:
    """Return the anchor of each equation of docs/equations.md by its number: "E12" -> "e12-gradient-descent"."""
    titles = re.findall(r"^### (E\d+) (.+)$", (ROOT / "docs/equations.md").read_text("utf-8"), re.MULTILINE)
    return {number: re.sub(r"[^a-z0-9]+", "-", f"{number} {title}".lower()).strip("-") for number, title in titles}


def equations_linked(html: str, page: str) -> str:
    """Return a page in which E12 in the text is a link to that equation; not in code, headings and other links."""
    to = posixpath.relpath("equations.html", posixpath.dirname(page) or ".")

    def link(match: re.Match) -> str:
        anchor = equation_anchors().get(match[0])
        return f'<a href="{to}#{anchor}">{match[0]}</a>' if anchor else match[0]

    # of each match split gives the text before it, the whole of it, and the name of its tag, which is dropped
    parts = _NO_TEXT.split(html)
    return "".join(re.sub(r"\bE\d+\b", link, part) if i % 3 == 0 else part for i, part in enumerate(parts) if i % 3 < 2)
