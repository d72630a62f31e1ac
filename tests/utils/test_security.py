"""Programs are taken from no place where others can put theirs; what a model file may do is in test_files.py."""

import os

import pytest

from helpers.processes import environment, python
from vecprop.utils.directories import why_not_private

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions of POSIX"),
]


@pytest.fixture
def shared(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def test_what_is_private(tmp_path, shared):
    own = tmp_path / "own"
    own.mkdir(mode=0o755)
    assert why_not_private(own) == ""
    assert why_not_private(own / "not" / "there") == ""
    assert "everybody can write into" in why_not_private(shared)
    assert "everybody can write into" in why_not_private(shared / "not" / "there")
    inside = shared / "inside"
    inside.mkdir(mode=0o700)
    assert "everybody can write into" in why_not_private(inside), "others can put another folder in its place"
    shared.chmod(0o1777)  # as /tmp
    assert why_not_private(inside) == ""
    assert why_not_private(shared / "not there") == "", "it would be made, and be the user's"
    assert "everybody can write into" in why_not_private(shared), "the sticky bit lets others add files"
    link = tmp_path / "link"
    link.symlink_to(shared)
    assert "everybody" in why_not_private(link)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    assert "belongs to another user" in why_not_private(folder)
    assert "belongs to another user" in why_not_private(folder / "cache")


LOAD = """
import sys, vecprop as vp
try:
    vp.get_backend(sys.argv[1])
except vp.BackendUnusableError as error:
    print(error)
else:
    import jax
    print("loaded", jax.config.jax_compilation_cache_dir)
"""


def load(name, **more):
    env = environment("JAX_COMPILATION_CACHE_DIR", "CUPY_CACHE_DIR", **more)
    return python("-c", LOAD, name, env=env, check=False).stdout


def test_jax_takes_no_programs_from_a_shared_folder(shared, tmp_path):
    pytest.importorskip("jax")
    assert load("jax") == "loaded None\n", "nothing is kept unless the user says so"
    said = load("jax", JAX_COMPILATION_CACHE_DIR=str(shared))
    assert str(shared) in said and "everybody can write into" in said and "JAX_COMPILATION_CACHE_DIR" in said
    assert load("jax", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own")).startswith("loaded")


def test_commands_keep_compiled_programs_in_a_private_folder(shared, tmp_path):
    pytest.importorskip("jax")
    pytest.importorskip("typer")

    def programs(home):
        env = environment("JAX_COMPILATION_CACHE_DIR", XDG_CACHE_HOME=str(home))
        python("-m", "vecprop", "check", "--backend", "jax", env=env)
        return {path.name for path in home.rglob("*-cache")}

    kept = programs(tmp_path)
    assert kept, "the first command keeps what it compiles"
    assert programs(tmp_path) == kept, "the second compiles nothing"
    assert not programs(shared)


def test_cupy_takes_no_kernels_from_a_shared_folder(shared):
    """Needs no GPU: it is refused before the device is asked."""
    pytest.importorskip("cupy")
    said = load("cupy", CUPY_CACHE_DIR=str(shared))
    assert str(shared) in said and "CUPY_CACHE_DIR" in said and "everybody can write into" in said
    assert "everybody" not in load("cupy", CUPY_CACHE_DIR=str(shared), CUPY_CACHE_IN_MEMORY="1")
    said = load("cupy", HOME=str(shared))
    assert f"{shared}/.cupy/kernel_cache" in said and "everybody can write into" in said
