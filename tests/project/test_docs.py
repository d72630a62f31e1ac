"""The pages of docs/: what they show works, what they link to is there, and nothing public is left out.

Sessions (`>>>`) on the pages are doctests, which pytest collects by itself. `make docs` builds the site with warnings
as errors; `make docs-check` looks at it in a browser.
"""

import inspect
import json
import re
import shlex

import pytest

import vecprop as vp
from helpers.processes import ROOT, environment

DOCS = ROOT / "docs"


def name(path):
    return path.relative_to(ROOT).as_posix()


def text(path):
    return path.read_text(encoding="utf-8")


NAVIGATION = re.findall(r"[\w./-]+\.(?:md|ipynb)$", text(ROOT / "mkdocs.yml").partition("\nnav:")[2], re.MULTILINE)
PAGES = sorted((DOCS / page).resolve() for page in NAVIGATION if page.endswith(".md"))
NOTEBOOKS = sorted(DOCS.glob("notebooks/*.ipynb"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

# Commands that the pages show and this file does not run.
NOT_RUN = {
    "vecprop demo": "half a minute; tests/cli/test_cli.py runs it with --quick",
    "vecprop bench --backend numpy --backend jax": "minutes of compiling: tests/inspection/test_benchmark.py",
    "vecprop bench --backend jax --backend cupy --network 784-128-10": "needs a GPU",
    "vecprop check --backend cupy": "needs a GPU",
    "vecprop train data.csv --target y": "data.csv is the reader's own",
}


def blocks(path, language):
    return [code for kind, code in FENCE.findall(text(path)) if kind == language]


def commands(page):
    """The lines `vecprop …` in the shell blocks of a page, in their order, without comments."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [line.partition("#")[0].strip() for line in lines if re.match(r"(VECPROP_\w+=\S+ )?vecprop ", line)]


@pytest.mark.reliability
@pytest.mark.parametrize("page", [page for page in [ROOT / "README.md", *PAGES] if commands(page)], ids=name)
def test_commands_on_the_pages_work(page, tmp_path, monkeypatch):
    """In their order, in one folder, as a reader would type them."""
    pytest.importorskip("typer")
    from helpers.commands import vecprop

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
        vecprop(*words)


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


@pytest.mark.reliability
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_run(path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    cells = nbclient.NotebookClient(nbformat.read(path, as_version=4), timeout=120).execute().cells
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert len(outputs) >= 5
    assert not [output.text for output in outputs if output.get("name") == "stderr"]


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


def anchors(path):
    """The anchors of a page's headings, as GitHub and the site make them."""
    titles = re.findall(r"^#+ (.+?)(?: \{: #[\w-]+ \})?$", FENCE.sub("", text(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^()\s]+)\)", FENCE.sub("", text(page))):
        path, _, anchor = target.partition("#")
        if not re.match(r"[a-z]+:", target):
            there = (page.parent / path).resolve() if path else page
            assert there.is_file(), target
            assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_tests_that_a_page_names_exist(page):
    """As `tests/file.py::test_name`, with a link to the file or none, or as a link of the test's name alone."""
    linked = re.findall(r"\[`(?:(tests/[\w/]+\.py)::)?(test_\w+)`\]\(\.\./(tests/[\w/]+\.py)\)", text(page))
    named = {(file, test) for _, test, file in linked} | {*re.findall(r"(tests/[\w/]+\.py)::(test_\w+)", text(page))}
    assert all(said in ("", file) for said, _, file in linked)
    assert len(named) >= {"docs/equations.md": 21, "docs/scikit-learn.md": 14}.get(name(page), 0)
    for file, test in named:
        assert re.search(rf"^(def )?{test}\b", text(ROOT / file), re.MULTILINE), test


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_equations_that_a_page_cites_exist(page):
    there = re.findall(r"^### (E\d+) ", text(DOCS / "equations.md"), re.MULTILINE)
    assert set(re.findall(r"\bE\d{1,2}\b", FENCE.sub("", text(page)))) <= set(there)


def test_every_page_is_in_the_navigation():
    listed = {(DOCS / page).resolve() for page in NAVIGATION}
    assert {*DOCS.rglob("*.md"), *NOTEBOOKS} <= listed and all(page.is_file() for page in listed)


def public_names():
    """The full name of everything public: of `vecprop`, its estimators, tables, plots and data sets."""
    from vecprop import datasets, estimators, plots, tabular

    names = {f"vecprop.{name}" for name in vp.__all__ if name != "__version__"}
    for room, module in {"estimators": estimators, "plots": plots, "tabular": tabular}.items():
        names |= {f"vecprop.{room}.{name}" for name in module.__all__ if callable(getattr(module, name))}
    functions = [value for name, value in vars(datasets).items() if inspect.isfunction(value) and name[0] != "_"]
    return names | {f"vecprop.datasets.{f.__name__}" for f in functions if f.__module__ == datasets.__name__}


def test_the_reference_has_every_public_name():
    """A name has an entry of its own, or stands in a module that has one and shows its members."""
    entries = {e for page in (DOCS / "api").glob("*.md") for e in re.findall(r"^::: (\S+)", text(page), re.MULTILINE)}
    wanted = public_names()
    assert {"vecprop.fit", "vecprop.plots.history", "vecprop.estimators.to_sklearn"} <= wanted
    missing = {n for n in wanted if n not in entries and n.rpartition(".")[0] not in entries - {"vecprop"}}
    assert not missing


@pytest.fixture(scope="module")
def hooks():
    pytest.importorskip("mkdocs")
    pytest.importorskip("math_core")
    import site_hooks

    return site_hooks


def test_every_formula_of_the_pages_becomes_mathml(hooks):
    inline, block = (
        r"(?<![\\$\w])\$(?![\s$])([^$\n]+?)(?<![\s\\])\$(?![\w$])",
        r"^(?:\$\$|```math)\n(.+?)^(?:\$\$|```)$",
    )
    formulas = set()
    for page in PAGES:
        formulas |= set(re.findall(block, text(page), re.MULTILINE | re.DOTALL))
        formulas |= set(re.findall(inline, re.sub(r"`[^`\n]*`", "", FENCE.sub("", text(page)))))
    assert len(formulas) > 300
    for latex in formulas:
        made = hooks._FORMULA.sub(hooks.mathml, f'<span class="arithmatex">\\({latex}\\)</span>')
        assert made.startswith("<math") and "\\" not in made, latex


def test_a_link_to_a_source_file_leads_to_the_line_of_what_it_names(hooks):
    line = text(ROOT / "src/vecprop/nn/activations.py").splitlines().index("class Tanh(Activation):") + 1
    anchor = f"#__codelineno-0-{line}"
    assert hooks.line_anchor("src/vecprop/nn/activations.py", "vecprop.activations.Tanh") == anchor
    assert hooks.line_anchor("src/vecprop/nn/activations.py", "the activations") == ""


def test_numbers_of_equations_become_links_but_not_in_code(hooks):
    html = hooks.equations_linked("<h2>E1</h2><p>E12 and <code>E2</code>, E99</p>", "api/x.html")
    link = '<a href="../equations.html#e12-gradient-descent">E12</a>'
    assert html == f"<h2>E1</h2><p>{link} and <code>E2</code>, E99</p>"


def test_the_anchors_of_the_equations_are_those_of_the_page(hooks):
    assert set(hooks.equation_anchors().values()) <= anchors(DOCS / "equations.md")
    assert len(hooks.equation_anchors()) == 40


def test_a_notebook_becomes_a_page_with_its_pictures(hooks):
    page = hooks.notebook_page(text(DOCS / "notebooks" / "ladder.ipynb"), "notebooks/ladder.ipynb")
    assert page.startswith("# From one neuron") and "```python\ndef vectorized" in page
    assert page.count("](data:image/png;base64,iVBORw0K") == 2
