"""What mkdocs does for this site beside its own work: mathematics, pages from other folders, a check of every link."""

import logging
import sys
from pathlib import Path

from mkdocs.structure.files import File

import site_links
import site_pages
from site_math import MathExtension, fence

log = logging.getLogger("mkdocs.hooks.vecprop")


def on_config(config):
    """Add the mathematics to Markdown."""
    sys.path[:0] = [str(site_pages.ROOT / "src"), str(site_pages.ROOT / "backends")]  # the tree, not what is installed
    config.markdown_extensions.append(MathExtension())
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {}).setdefault("custom_fences", [])
    fences.append({"name": "math", "class": "math", "format": fence})
    return config


def on_files(files, config):
    """Add the guides of other folders, the notebooks, and the source files that pages link to."""
    docs = Path(config.docs_dir)
    texts = {f"docs/{f.src_uri}": (docs / f.src_uri).read_text("utf-8") for f in files.documentation_pages()}
    for page, path in site_pages.guides().items():
        texts[site_pages.relative(path)] = path.read_text("utf-8")
        files.append(File.generated(config, page, content=path.read_text("utf-8")))
    for path in sorted((docs / "notebooks").glob("*.ipynb")):
        text, pictures = site_pages.notebook_page(path)
        texts[site_pages.relative(path)] = text
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
        for name, data in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=data))
    for path in sorted(site_pages.linked_sources(texts)):
        page = site_pages.page_of(path)
        if page.endswith(".md"):
            files.append(File.generated(config, page, content=site_pages.source_page(path)))
        else:
            files.append(File.generated(config, page, abs_src_path=str(site_pages.ROOT / path)))
    return files


def on_page_markdown(markdown, page, config, files):  # noqa: ARG001 - mkdocs' signature
    """Let links that leave docs/ lead to the pages made above."""
    uri = page.file.src_uri
    markdown = markdown.replace("```python\n>>>", "```pycon\n>>>")  # what a session prints is no code
    if uri.startswith("source/"):
        return markdown
    origins = {guide: site_pages.relative(path) for guide, path in site_pages.guides().items()}
    return site_pages.rewritten(markdown, origins.get(uri, f"docs/{uri}"), uri)


def on_page_content(html, page, config, files):  # noqa: ARG001
    """Let the numbers of equations lead to them."""
    if page.file.src_uri.startswith(("source/", "equations.md")):
        return html
    return site_pages.equations_linked(html, page.file.src_uri)


def on_post_build(config):
    """Warn, which `--strict` makes an error, of links that lead nowhere, and of public names left out."""
    for problem in site_links.problems(Path(config.site_dir)):
        log.warning(problem)
    for name in sorted(site_links.missing_names(Path(config.site_dir), site_pages.public_names())):
        log.warning(f"the reference has no entry for {name}")
