"""The pages of docs/: what they show works, what they link to is there, and nothing public is left out.

Sessions (`>>>`) on the pages are doctests, which pytest collects by itself. `make docs` builds the site with warnings
as errors; `make docs-check` looks at it in a browser.
"""

import json
import re
import shlex
from pathlib import Path

import pytest

import run_notebooks
import site_links
import site_pages
import vecprop as vp
from vecprop.nn.activations import Activation

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *(ROOT / source for source in site_pages.GUIDES)])
NOTEBOOKS = sorted(run_notebooks.FOLDER.glob("*.ipynb"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

# Commands that the pages show and this file does not run.
NOT_RUN = {
    "vecprop demo": "half a minute; tests/test_cli.py runs it with --quick",
    "vecprop bench --backend numpy --backend jax": "minutes, most of them compiling; tests/test_benchmark.py",
    "vecprop bench --backend jax --backend cupy --network 784-128-10": "needs a GPU",
    "vecprop check --backend cupy": "needs a GPU",
    "vecprop train data.csv --target y": "data.csv is the reader's own",
}


def name(path):
    return path.relative_to(ROOT).as_posix()


def text(path):
    return path.read_text(encoding="utf-8")


def blocks(path, language):
    return [code for kind, code in FENCE.findall(text(path)) if kind == language]


def commands(page):
    """The lines `vecprop …` in the shell blocks of a page, in their order, without comments."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [line.partition("#")[0].strip() for line in lines if re.match(r"(VECPROP_\w+=\S+ )?vecprop ", line)]


# --- code -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [page for page in [ROOT / "README.md", *PAGES] if commands(page)], ids=name)
def test_commands_on_the_pages_work(page, tmp_path, monkeypatch):
    """In their order, in one folder, as a reader would type them."""
    pytest.importorskip("typer")
    from typer.testing import CliRunner

    from vecprop.cli.app import app

    monkeypatch.chdir(tmp_path)
    data = tmp_path / "docs" / "data" / "houses.csv"
    data.parent.mkdir(parents=True)
    data.write_bytes((DOCS / "data" / "houses.csv").read_bytes())
    for command in commands(page):
        if command in NOT_RUN:
            continue
        words = shlex.split(command)[1:]
        if words[0] == "bench":
            words += ["--budget", "0.02"]  # the same command, in less time
        result = CliRunner().invoke(app, words, prog_name="vecprop")
        assert result.exit_code == 0, (command, result.output)


def test_there_are_commands_and_those_not_run_are_on_a_page():
    shown = {command for page in [ROOT / "README.md", *PAGES] for command in commands(page)}
    assert len(shown) > 5 and set(NOT_RUN) <= shown


@pytest.mark.parametrize("page", [p for p in PAGES if name(p).startswith("docs/")], ids=name)
def test_code_that_is_no_session_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    namespace = {"vp": vp}
    for code in blocks(page, "python"):
        if ">>>" not in code:
            exec(code, namespace)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_run(path):
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    shown = [cell for cell in run_notebooks.execute(path).cells if cell.get("outputs")]
    assert len(shown) >= 5
    warned = [o.text for cell in shown for o in cell.outputs if o.get("name") == "stderr"]
    assert not warned


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_kept_small_whole_and_with_their_outputs(path):
    cells = [cell for cell in json.loads(text(path))["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), "run in order, once"
    assert path.stat().st_size < 100_000
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert kinds <= {"stream", "execute_result", "display_data"}, "no error"
    for cell in cells:
        if any("image/png" in output.get("data", {}) for output in cell["outputs"]):
            assert cell["metadata"]["alt"], "words for who cannot see the picture"


# --- links and contents -----------------------------------------------------------------------------------------


def anchors(path):
    """The anchors of a page's headings, as GitHub and the site make them."""
    titles = re.findall(r"^#+ (.+?)(?: \{: #[\w-]+ \})?$", FENCE.sub("", text(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for label, target in site_pages.LINK.findall(FENCE.sub("", text(page))):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        there = ROOT / site_pages.repository_path(name(page), path) if path else page
        if there.suffix == ".md" and "notebooks" in there.parts:
            there = there.with_suffix(".ipynb")
        if name(there) in ("docs/howto/add-backend.md", "docs/howto/benchmarks.md"):  # the site makes these
            continue
        assert there.is_file(), f"{label} leads to {target}"
        assert not anchor or anchor in anchors(there), f"{label} leads to {target}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_equations_that_a_page_cites_exist(page):
    prose = FENCE.sub("", text(page))
    assert set(re.findall(r"\bE\d{1,2}\b", prose)) <= set(site_pages.equation_anchors())


def test_the_anchors_of_the_equations_are_those_of_the_page():
    assert set(site_pages.equation_anchors().values()) <= anchors(DOCS / "equations.md")
    assert len(site_pages.equation_anchors()) == 40


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"[\w/-]+\.md", text(ROOT / "mkdocs.yml").partition("\nnav:")[2]))
    made = {*site_pages.guides(), *(f"notebooks/{path.stem}.md" for path in NOTEBOOKS)}
    assert listed == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} | made


def test_the_reference_has_every_public_name():
    """A name has an entry of its own, or stands in a module that has one and shows its members."""
    entries = {e for page in (DOCS / "api").glob("*.md") for e in re.findall(r"^::: (\S+)", text(page), re.MULTILINE)}
    wanted = site_pages.public_names()
    assert {"vecprop.fit", "vecprop.plots.history", "vecprop.estimators.to_sklearn"} <= wanted
    missing = {n for n in wanted if n not in entries and n.rpartition(".")[0] not in entries - {"vecprop"}}
    assert not missing


# --- the tools of the site --------------------------------------------------------------------------------------


def test_links_out_of_docs_lead_to_pages_of_the_site():
    def rewritten(link, origin="docs/tutorial/x.md", page="tutorial/x.md"):
        return site_pages.rewritten(link, origin, page)

    assert rewritten("[E1](../equations.md#e1)") == "[E1](../equations.md#e1)"
    assert rewritten("[b](../../benchmarks/README.md)") == "[b](../howto/benchmarks.md)"
    assert rewritten("[b](README.md)", "backends/README.md", "howto/add-backend.md") == "[b](add-backend.md)"
    assert rewritten("[w](https://x.org/a.md)") == "[w](https://x.org/a.md)"
    line = text(ROOT / "src/vecprop/nn/activations.py").splitlines().index("class Tanh(Activation):") + 1
    source = "../source/src/vecprop/nn/activations.py.md"
    given = "[`vecprop.activations.Tanh`](../../src/vecprop/nn/activations.py)"
    assert rewritten(given) == f"[`vecprop.activations.Tanh`]({source}#__codelineno-0-{line})"
    assert (
        rewritten("```\n[a](../../src/vecprop/backend/pytrees.py)\n```")
        == "```\n[a](../../src/vecprop/backend/pytrees.py)\n```"
    )
    with pytest.raises(ValueError, match="is a folder"):
        rewritten("[s](../../src)")


def test_numbers_of_equations_become_links_but_not_in_code():
    html = site_pages.equations_linked("<h2>E1</h2><p>E12 and <code>E2</code>, E99</p>", "api/x.md")
    link = '<a href="../equations.html#e12-gradient-descent">E12</a>'
    assert html == f"<h2>E1</h2><p>{link} and <code>E2</code>, E99</p>"


def test_a_notebook_becomes_a_page_with_its_pictures():
    page, pictures = site_pages.notebook_page(run_notebooks.FOLDER / "ladder.ipynb")
    assert page.startswith("# From one neuron") and "```python\ndef vectorized" in page
    assert all(data.startswith(b"\x89PNG") and f"]({name})" in page for name, data in pictures.items())
    assert len(pictures) == 2


def test_broken_links_other_hosts_and_missing_names_are_found(tmp_path):
    (tmp_path / "api").mkdir()
    (tmp_path / "a.html").write_text('<a href="b.html">b</a><a href="#x">x</a><a href="api/c.html#y">y</a>')
    (tmp_path / "api/c.html").write_text('<p id="y"></p><img src="https://x.org/i.png"><a href="https://x.org">x</a>')
    assert list(site_links.problems(tmp_path)) == [
        "a.html: b.html leads to no file",
        "a.html: #x leads to no anchor",
        "api/c.html: https://x.org/i.png would be fetched from another host",
    ]
    assert site_links.missing_names(tmp_path, {"y", "z"}) == {"z"}


def test_the_list_of_public_names_has_functions_of_the_module_alone():
    assert "vecprop.plots.array_namespace" not in site_pages.public_names()
    assert issubclass(vp.activations.Tanh, Activation)


# --- mathematics ------------------------------------------------------------------------------------------------


@pytest.fixture
def mathml():
    pytest.importorskip("latex2mathml")
    pytest.importorskip("markdown")
    import site_math

    return site_math.mathml


def formulas():
    found = set()
    for page in PAGES:
        content = text(page)
        found |= set(blocks(page, "math")) | set(re.findall(r"^\$\$\n(.+?)\n\$\$$", content, re.MULTILINE | re.DOTALL))
        prose = re.sub(r"`[^`\n]*`", "", re.sub(r"\$\$.*?\$\$", "", FENCE.sub("", content), flags=re.DOTALL))
        found |= set(re.findall(r"(?<![\\$\w])\$(?![\s$])([^$]+?)(?<![\s\\])\$(?![\w$])", prose))
    return sorted(found)


def test_every_formula_of_the_pages_becomes_mathml(mathml):
    assert len(formulas()) > 300
    for latex in formulas():
        made = mathml(latex)
        assert made.startswith("<math") and "\\" not in made and "&amp;" not in made, latex


def test_mathml_is_what_browsers_lay_out(mathml):
    aligned = mathml(r"\begin{aligned} a &= -1 \\ b &= \begin{bmatrix} 1 & 2 \end{bmatrix} \end{aligned}", "block")
    assert 'display="block"' in aligned and 'class="aligned"' in aligned and 'class="matrix"' in aligned
    assert 'columnalign="' not in aligned and 'class="right"' in aligned
    assert '<mo form="prefix">−</mo>' in aligned, "a sign, not a subtraction"
    assert '<mi mathvariant="normal">softplus</mi>' in mathml(r"\mathrm{softplus}(z)")
    assert "<mi>ln</mi><mspace" in mathml(r"\ln a").replace(' mathvariant="normal"', "")
    assert '<mi mathvariant="normal">E</mi>' in mathml(r"\mathrm{E}\bigl[a^2\bigr]")
