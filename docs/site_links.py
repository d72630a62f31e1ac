"""Whether every link of a built site leads to a file that is there, and to an anchor that is there."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """The anchors of a page, where it links to, and what a browser would fetch for it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors, self.links, self.fetched = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note the addresses in a tag."""
        given = dict(attrs)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if given.get("src"):
            self.fetched.append(given["src"])
        if tag == "link" and given.get("href") and given.get("rel") != "canonical":
            self.fetched.append(given["href"])


def missing_names(site: Path, names: set[str]) -> set[str]:
    """Return the names that the reference has no anchor for."""
    pages = (site / "api").glob("*.html")
    return names - set().union(*(_Page(path.read_text(encoding="utf-8")).anchors for path in pages))


def problems(site: Path) -> Iterator[str]:
    """Yield a sentence for each link that leads nowhere, and for each thing that another host would have to send."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    pages.pop(site / "404.html", None)  # its links start at the root of a host
    for path, page in pages.items():
        where = path.relative_to(site).as_posix()
        for address in page.fetched:
            if urlsplit(address).netloc:
                yield f"{where}: {address} would be fetched from another host"
        for address in (*page.links, *page.fetched):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                yield f"{where}: {address} leads to no file"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{where}: {address} leads to no anchor"
