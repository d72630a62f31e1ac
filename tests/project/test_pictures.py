"""The pictures of the documentation: all there, all made by docs/pictures.py, small, and the same bytes each time."""

import importlib
import re

import numpy as np
import pytest
from PIL import Image

from helpers.processes import ROOT
from vecprop import plots

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "benchmarks" / "README.md"]
IMAGES = ROOT / "docs" / "images"
LARGEST = {".png": 120_000, ".gif": 600_000}  # bytes


@pytest.fixture(scope="module")
def pictures():
    return importlib.import_module("pictures")


def name_of(path):
    return path.relative_to(IMAGES).as_posix()


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=float) / 255


def images_named(page):
    """The pictures that a page shows or links to, as paths."""
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)", text) + re.findall(r"<img[^>]*\ssrc=[\"']([^\"']+)", text)
    return [(page.parent / link).resolve() for link in links if re.search(r"\.(png|gif|svg|jpe?g)$", link)]


def test_every_picture_is_on_some_page(pictures):
    assert {name_of(path) for page in PAGES for path in images_named(page)} == set(pictures.PICTURES)


def test_the_folder_holds_what_the_command_makes(pictures):
    there = {name_of(path): path for path in IMAGES.rglob("*.*")}
    assert set(there) == set(pictures.PICTURES)
    for name, path in there.items():
        assert path.stat().st_size < LARGEST[path.suffix], name
        with Image.open(path) as image:
            assert image.width > 300 and "Software" not in image.info


def test_every_function_of_plots_has_a_picture():
    files = ROOT / "docs" / "pictures.py", ROOT / "src" / "vecprop" / "cli" / "demo.py"  # which draws two of them
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    missing = [
        name for name in plots.__all__ if re.match("[a-z]", name) and not re.search(rf"\bplots\.{name}\(", source)
    ]
    assert set(missing) == {"decorate", "group_digits"}


@pytest.mark.reliability
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
@pytest.mark.reliability
def test_the_command_makes_them_all(pictures, tmp_path, amount):
    if amount(True, False):
        pytest.skip("with --long: they are many")
    pictures.main(["--out", str(tmp_path)])
    drawn = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*.*")}
    assert set(drawn) == set(pictures.PICTURES)
    for name, path in drawn.items():
        assert path.stat().st_size < LARGEST[path.suffix], name
        new, kept = pixels(path), pixels(IMAGES / name)
        assert np.abs(np.subtract(new.shape, kept.shape)).max() <= 4, "another matplotlib measures texts otherwise"
        if new.shape == kept.shape:
            assert np.abs(new - kept).mean() < 0.02, f"{name} is not what is drawn now: make pictures"
