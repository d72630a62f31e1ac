"""Python in a process of its own, on the source tree."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
SOURCES = os.pathsep.join(str(ROOT / part) for part in ("src", "backends"))


def environment(*without, path="", **more):
    """The environment of this process: without VECPROP… and what begins as given, with our sources on Python's path."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("VECPROP", *without))}
    folders = [str(path), SOURCES, kept.get("PYTHONPATH", "")]
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, folders))} | more


def python(*words, check=True, env=None, timeout=300, **options):
    """Run `python WORDS…` to its end, which has to be a good one unless `check` is false."""
    options |= {"env": environment() if env is None else env, "encoding": "utf-8", "timeout": timeout}
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, check=False, **options)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


class Started(subprocess.Popen):
    """A process that does not outlive the block of its `with` if that ends with an error."""

    def __exit__(self, error, *more):
        if error is not None:
            self.kill()
        super().__exit__(error, *more)


def started(*words, env=None, **options):
    """Start `python WORDS…`, with pipes for what it prints."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"} | options
    return Started([sys.executable, *map(str, words)], env=environment() if env is None else env, **pipes)
