"""Delays slow imports of scikit-learn until they are used: they take half of a command's time.

Only for the process of the command line: a library must not change how its user's program imports.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

_LATER = ("numpy.f2py", "numpy.testing", "scipy.stats")


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name == "pandas" and _is_being_imported("sklearn"):  # scikit-learn and the commands work without it
            raise ModuleNotFoundError("left out by the command line of vecprop", name=name)
        spec = PathFinder.find_spec(name, path, target) if name in _LATER else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def _is_being_imported(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def load_less() -> None:
    """Delay or leave out these imports from now on."""
    sys.meta_path.insert(0, _Finder())
