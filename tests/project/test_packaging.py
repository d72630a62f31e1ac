"""The wheel, straight and by way of the sdist, has the library and the backends."""

import tarfile
import zipfile

import pytest

from helpers.processes import ROOT, environment, python

pytestmark = pytest.mark.reliability
CODE = (
    "import vecprop as vp; X, Y = vp.datasets.xor(m=8)\n"
    "print(vp.__version__, vp.fit(vp.Network((2, 3, 1)), X, Y, epochs=2).backend.name, vp.__file__)"
)


def build(*arguments):
    pytest.importorskip("build")
    python("-m", "build", "--no-isolation", *arguments)


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}, archive.namelist()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """One wheel from the tree, one from the sdist made of the tree."""
    folder = tmp_path_factory.mktemp("dist")
    build("--wheel", "--outdir", folder / "direct", ROOT)
    build("--sdist", "--outdir", folder, ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "tree", filter="data")
    (tree,) = (folder / "tree").iterdir()
    build("--wheel", "--outdir", folder / "by_sdist", tree)
    return [next((folder / name).glob("*.whl")) for name in ("direct", "by_sdist")], tree


def test_wheels_hold_the_library_and_the_backends(wheels):
    (direct, by_sdist), _ = wheels
    files, everything = contents(direct)
    assert files == contents(by_sdist)[0]
    assert direct.name.endswith("-py3-none-any.whl"), "pure Python"
    for package in ("vecprop", "vecprop_numpy", "vecprop_cupy", "vecprop_jax"):
        assert {f"{package}/__init__.py", f"{package}/py.typed"} <= files
    in_tree = {p.relative_to(ROOT / "src").as_posix() for p in (ROOT / "src" / "vecprop").rglob("*.py")}
    assert in_tree <= files
    assert {f.split("/")[0] for f in files} == {"vecprop", "vecprop_numpy", "vecprop_cupy", "vecprop_jax"}
    assert any(name.endswith("licenses/LICENSE") for name in everything)


def test_sdist_holds_tests_benchmarks_and_docs(wheels):
    _, tree = wheels
    for path in ("tests/conftest.py", "benchmarks", "docs/equations.md", "backends/README.md", "README.md", "LICENSE"):
        assert (tree / path).exists(), path


def test_wheel_works_installed(wheels, tmp_path):
    (direct, _), _ = wheels
    python("-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", tmp_path, direct)
    env = environment() | {"PYTHONPATH": str(tmp_path)}
    done = python("-P", "-c", CODE, env=env, cwd=tmp_path)
    assert done.stdout.split()[1:2] == ["numpy"], done
    assert str(tmp_path) in done.stdout
