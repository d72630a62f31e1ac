"""Would the tests notice a mistake in the mathematical core? All of it with --long, a small module without."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.reliability

ROOT = Path(__file__).resolve().parents[1]


def python(*arguments):
    path = os.pathsep.join(str(ROOT / folder) for folder in ("src", "backends", "tests"))
    return subprocess.run(
        [sys.executable, *arguments], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )


def test_mistakes_in_the_core_are_noticed(amount, figure):
    run = python("-m", "mutation", *amount(["backend/pytrees"], []))
    assert run.returncode == 0, run.stdout + run.stderr
    row = re.search(r"^\| all \| (\d+) \| (\d+) \((.*) %\) \| (\d+) \| (\d+) \|$", run.stdout, re.MULTILINE)
    made, noticed, share, survived, same = row.groups()
    assert int(noticed) + int(survived) == int(made) and survived == same
    assert float(share) >= 90
    figure(
        "mistakes put into the mathematical core, one at a time",
        f"{noticed} of {made} noticed ({share} %); the other {survived} compute the same",
        "90 %, and a reason for every other",
    )


def test_a_mistake_that_no_test_sees_survives():
    """Tests of something else: every mutant survives, in a function and at the level of a module."""
    code = (
        "from pathlib import Path; from mutation.running import try_all; import os; "
        "os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'; "
        f"tried = try_all(Path({str(ROOT)!r}), 'nn/losses/base', ('tests/test_flat.py',)); "
        "print([o.noticed_by for o in tried])"
    )
    run = python("-c", code)
    assert run.stdout.strip() == "[None, None, None, None]", run.stdout + run.stderr
