"""Leaves until it is used, which for most commands is never, what scikit-learn imports first: half of a command's time.

Only for the process of the command line: in a library it would be somebody else's business.
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
        if name == "pandas" and _is_being_imported("sklearn"):  # which does without, and so do the commands
            raise ModuleNotFoundError("left out by the command line of vecprop", name=name)
        spec = PathFinder.find_spec(name, path, target) if name in _LATER else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def _is_being_imported(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))  # as the import system itself tells


def load_less() -> None:
    """Begin to leave out what is not used."""
    sys.meta_path.insert(0, _Finder())
