"""Run the quick tests of each module of the core against every mutant of it; print the table and the survivors."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a forked process has one thread
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
os.environ.setdefault("SCIPY_ARRAY_API", "1")

from mutation.modules import MODULES
from mutation.report import table
from mutation.running import Outcome, try_all

ROOT = Path(__file__).resolve().parents[2]
# What the tests import beside the library: once here, and not in every process
ONCE = ("array_api_compat.numpy", "mpmath", "safetensors.numpy", "sklearn.neural_network", "threadpoolctl")


def main() -> int:
    """Run what the arguments name; 1 if a mutant survived that equivalent.py does not explain."""
    parser = argparse.ArgumentParser(prog="python -m mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(MODULES)}; all unless given")
    parser.add_argument("--verbose", action="store_true", help="say of each mutant which test noticed it")
    given = parser.parse_args()
    for unknown in set(given.modules) - set(MODULES):
        parser.error(f"MODULE must be of {', '.join(MODULES)}, got {unknown!r}")
    for name in ONCE:
        importlib.import_module(name)
    outcomes: dict[str, list[Outcome]] = {}
    for name in given.modules or MODULES:
        begin = time.perf_counter()
        outcomes[name] = try_all(ROOT, name, MODULES[name])
        survived = [o for o in outcomes[name] if o.noticed_by is None]
        seconds = time.perf_counter() - begin
        print(f"{name}: {len(outcomes[name])} mutants, {len(survived)} survived, {seconds:.0f} s", file=sys.stderr)
        for outcome in outcomes[name] if given.verbose else ():
            print(f"  {outcome.mutant.line} {outcome.mutant}  {outcome.noticed_by or 'SURVIVED'}", file=sys.stderr)
    text, unexplained = table(outcomes)
    print(text)
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
