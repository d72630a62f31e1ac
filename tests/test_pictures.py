"""The pictures of the documentation: all there, all made by docs/pictures.py, small, and the same bytes each time."""

import importlib.util
import re
from pathlib import Path

import pytest
from PIL import Image

from vecprop import plots

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "benchmarks" / "README.md"]
LARGEST = {".png": 120_000, ".gif": 600_000}  # bytes


@pytest.fixture(scope="module")
def pictures():
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs" / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def images_named(page):
    """The pictures that a page shows or links to, as paths."""
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)", text) + re.findall(r"<img[^>]*\ssrc=[\"']([^\"']+)", text)
    return [(page.parent / link).resolve() for link in links if re.search(r"\.(png|gif|svg|jpe?g)$", link)]


def test_a_page_names_its_pictures(tmp_path):
    page = tmp_path / "page.md"
    page.write_text('![a](images/a.png) <img width="3" src="b.gif"> [text](c.md) ![d](x/d.svg "title")')
    assert [path.name for path in images_named(page)] == ["a.png", "d.svg", "b.gif"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_picture_named_exists_and_is_made_by_the_command(page, pictures):
    for path in images_named(page):
        assert path.parent == ROOT / "docs" / "images", f"{path} is not in docs/images"
        assert path.exists(), f"{path} is missing: make pictures"
        assert path.name in pictures.PICTURES, f"docs/pictures.py does not make {path.name}"


def test_some_page_names_some_picture():
    assert sum(len(images_named(page)) for page in PAGES) >= 4


def test_the_folder_holds_what_the_command_makes(pictures):
    there = {path.name: path for path in (ROOT / "docs" / "images").iterdir()}
    assert set(there) == set(pictures.PICTURES)
    for name, path in there.items():
        assert path.stat().st_size < LARGEST[path.suffix], name
        with Image.open(path) as image:
            assert image.width > 300 and "Software" not in image.info


def test_every_function_of_plots_has_a_picture():
    source = (ROOT / "docs" / "pictures.py").read_text(encoding="utf-8")
    missing = [
        name for name in plots.__all__ if re.match("[a-z]", name) and not re.search(rf"\bplots\.{name}\(", source)
    ]
    assert set(missing) == {"decorate", "group_digits"}


def test_a_second_run_writes_the_same_bytes(pictures, tmp_path, capsys):
    names = ["activation.png", "network-weights.png", "speedup.png", "peers-growth.png"]
    for folder in "ab":
        pictures.main([*names, "--out", str(tmp_path / folder)])
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert capsys.readouterr().out.count("kB") == 2 * len(names)


def test_an_unknown_picture_is_named(pictures, capsys):
    with pytest.raises(SystemExit):
        pictures.main(["hystory.png"])
    assert "unknown: hystory.png; known: cost-curve.png" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_makes_them_all(pictures, tmp_path):
    pictures.main(["--out", str(tmp_path)])
    for path in tmp_path.iterdir():
        assert path.stat().st_size < LARGEST[path.suffix], path.name
    assert {path.name for path in tmp_path.iterdir()} == set(pictures.PICTURES)
