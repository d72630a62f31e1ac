"""Look at every page of the built site in Chromium, at the width of a phone: `make docs-check`.

Needs Chromium: the machine's (`apt-get install chromium`), or Playwright's (`playwright install chromium`).
"""

import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from project.test_docs import public_names

SITE = Path(__file__).parent.parent / "site"
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html") if path.name != "404.html")
HOST = "http://site.invalid/"
PHONE = {"width": 390, "height": 844}  # pixels
# What a page finds wrong with itself. A letter is 3 pixels wide at least, the tallest formula some hundreds high.
LOOK = r"""width => {
  const box = element => element.getBoundingClientRect(), all = what => [...document.querySelectorAll(what)];
  const outside = all('body *').filter(e => {
    if (!e.checkVisibility() || e.closest('.md-sidebar, .md-search, [data-md-component=skip]')) return false;
    for (let up = e.parentElement; up !== document.body; up = up.parentElement)
      if (['auto', 'scroll'].includes(getComputedStyle(up).overflowX)) return false;
    return box(e).right > width + 1;
  });
  const odd = all('article math').filter(m => m.checkVisibility() && (m.querySelector('merror') ||
    box(m).width < 3 || box(m).width > 2000 || box(m).height < 6 || box(m).height > 900));
  const latex = all('article p, article li, article td').filter(e => !e.querySelector('code') &&
    /\\(frac|begin|sum|mathcal|hat|lVert|cdot)/.test(e.textContent));
  const scrolls = document.documentElement.scrollWidth > width ? [document.body] : [];
  const named = { 'wider than the screen': [...scrolls, ...outside], 'formula of an odd size': odd,
    'LaTeX left in the text': latex, 'picture not loaded': [...document.images].filter(i => !i.naturalWidth) };
  return Object.entries(named).flatMap(([name, found]) =>
    found.slice(0, 3).map(e => `${name}: ${e.tagName} ${(e.src ?? e.textContent).trim().slice(0, 60)}`));
}"""


@pytest.fixture(scope="module")
def chromium():
    """Return the browser."""
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        yield playwright.chromium.launch(executable_path=program)


def test_the_reference_has_every_public_name():
    """Each has an anchor in the built pages."""
    reference = "".join(path.read_text(encoding="utf-8") for path in (SITE / "api").glob("*.html"))
    assert not [name for name in public_names() if f'id="{name}"' not in reference]


@pytest.mark.parametrize("path", PAGES)
def test_page(chromium, path):
    """Nothing is wider than the screen, missing, or asked of another host; formulas are laid out; no errors."""
    problems = []

    def answer(route):
        address = urlsplit(route.request.url)
        file = SITE / address.path[1:]
        if route.request.url.startswith(HOST) and file.is_file():
            route.fulfill(path=file)
        else:
            problems.append(f"asks for {route.request.url}, which the site does not have")
            route.abort()

    page = chromium.new_page(viewport=PHONE, is_mobile=True)
    page.route("**/*", answer)
    page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(HOST + path)
    problems += page.evaluate(LOOK, PHONE["width"])
    page.close()
    assert not problems
