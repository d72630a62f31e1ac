"""Look at every page of the built site in a real browser, at the width of a phone, and say what is wrong.

    python docs/check_site.py [--screenshots FOLDER] [--only TEXT]

On every page: nothing makes the page scroll sideways, the console has no error, nothing is asked of another host, every
picture is loaded, and the mathematics is laid out in boxes of a sensible size. Needs Chromium with its chromedriver
(`apt-get install chromium chromium-driver`) and `pip install "vecprop[docs]"`.
"""

import argparse
import functools
import http.server
import json
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

SITE = Path(__file__).parent.parent / "site"
PHONE, DESKTOP = (390, 844), (1280, 900)  # pixels
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip
# What a page tells about itself; the numbers are pixels.
LOOK = """
const box = element => element.getBoundingClientRect();
const outside = [...document.querySelectorAll('body *')].filter(e => {
  if (!e.checkVisibility() || e.closest('.md-sidebar, .md-search, [data-md-component=skip]')) return false;
  for (let up = e.parentElement; up !== document.body; up = up.parentElement)
    if (['auto', 'scroll'].includes(getComputedStyle(up).overflowX)) return false;
  return box(e).right > arguments[0] + 1;
});
return {
  width: document.documentElement.scrollWidth,
  outside: outside.slice(0, 3).map(e => e.tagName + ' ' + e.textContent.trim().slice(0, 60)),
  pictures: [...document.images].filter(i => !(i.complete && i.naturalWidth)).map(i => i.src),
  formulas: [...document.querySelectorAll('article math')].map(m => ({
    text: m.textContent.slice(0, 40), width: box(m).width, height: box(m).height,
    error: !!m.querySelector('merror'), visible: m.checkVisibility() })),
  dollars: [...document.querySelectorAll('article p, article li, article td')].filter(e => !e.querySelector('code') &&
    /\\\\(frac|begin|sum|mathcal|hat|lVert|cdot)/.test(e.textContent)).map(e => e.textContent.slice(0, 60)),
};
"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        """Say nothing about each request."""


@contextmanager
def served(site: Path) -> Iterator[str]:
    """Serve a folder on a free port of this machine."""
    handler = functools.partial(_Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


@contextmanager
def browser() -> Iterator:
    """Start Chromium with a profile of its own, noting its console and its requests."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    program, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not program or not driver:
        raise SystemExit("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = program
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        window = webdriver.Chrome(options=options, service=Service(driver))
        try:
            yield window
        finally:
            window.quit()


def resize(window, size: tuple[int, int]) -> None:
    """Give the page the width and height of a screen."""
    screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def problems(window, address: str) -> Iterator[str]:
    """Open a page and yield a sentence for each thing that is wrong with it."""
    window.get_log("browser"), window.get_log("performance")  # what came before is not this page's
    window.get(address)
    page = window.execute_script(LOOK, PHONE[0])  # a phone makes innerWidth as wide as the page needs it
    if page["width"] > PHONE[0] or page["outside"]:
        yield f"is {page['width']} wide on a screen of {PHONE[0]}: {page['outside']}"
    for entry in window.get_log("browser"):
        if entry["level"] in ("SEVERE", "WARNING"):
            yield f"console: {entry['message']}"
    host = urlsplit(address).netloc
    for entry in window.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked = urlsplit(message["params"]["request"]["url"])
            if asked.scheme in ("http", "https", "ws", "wss") and asked.netloc != host:
                yield f"asks another host: {asked.geturl()}"
    yield from (f"picture not loaded: {source}" for source in page["pictures"])
    yield from (f"LaTeX is left in the text: {text}" for text in page["dollars"])
    for formula in page["formulas"]:
        # One letter is 5 pixels wide at least, the tallest matrix with its equations some hundreds high.
        sensible = 3 <= formula["width"] < 2000 and 6 <= formula["height"] < 900
        if formula["visible"] and (formula["error"] or not sensible):
            yield f"mathematics of {formula['width']:.0f} × {formula['height']:.0f}: {formula['text']}"


def screenshot(window, address: str, path: Path, size: tuple[int, int]) -> None:
    """Write a picture of a whole page, cut at 12 000 pixels."""
    resize(window, size)
    window.get(address)
    height = window.execute_script("return document.documentElement.scrollHeight")
    resize(window, (size[0], min(height, 12_000)))
    path.parent.mkdir(parents=True, exist_ok=True)
    window.save_screenshot(str(path))


def main() -> int:
    """Check every page; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER", help="also write pictures at two widths")
    parser.add_argument("--only", default="", metavar="TEXT", help="pages whose path has this text")
    given = parser.parse_args()
    paths = [path.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("*.html"))]
    paths = [path for path in paths if given.only in path and path != "404.html"]
    if not paths:
        raise SystemExit(f"no page in {SITE}: run `make docs` first")
    wrong, formulas = 0, 0
    with served(SITE) as root, browser() as window:
        for path in paths:
            resize(window, PHONE)
            for problem in problems(window, root + path):
                wrong += 1
                print(f"{path} {problem}")
            formulas += window.execute_script("return document.querySelectorAll('article math').length")
            if given.screenshots and not path.startswith("source/"):
                for name, size in (("phone", PHONE), ("desktop", DESKTOP)):
                    picture = given.screenshots / name / (path.replace("/", "-").removesuffix(".html") + ".png")
                    screenshot(window, root + path, picture, size)
    print(f"{len(paths)} pages, {formulas} formulas, {wrong} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
