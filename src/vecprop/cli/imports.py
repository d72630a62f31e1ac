"""Delays slow imports of other libraries until they are used, and the search for garbage: half of a command's time.

It also has JAX keep what it compiles. Only for the process of the command line: a library must not change how its
user's program imports, or write into the user's folders.
"""

import atexit
import gc
import os
import platform
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from pathlib import Path
from types import ModuleType

from vecprop.utils.directories import why_not_private

_LATER = ("joblib", "numpy.f2py", "numpy.testing", "scipy.spatial", "scipy.special", "scipy.stats")
# What is left out while the library that could use it is imported: it works without.
_LEFT_OUT = {"pandas": "sklearn", "rich.progress": "sklearn.callback", "mpl_toolkits.mplot3d": "matplotlib.projections"}


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name in _LEFT_OUT and _is_being_imported(_LEFT_OUT[name]):
            raise ModuleNotFoundError("left out by the command line of vecprop", name=name)
        spec = PathFinder.find_spec(name, path, target) if name in _LATER else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def _is_being_imported(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def load_less() -> None:
    """Delay or leave out these imports from now on, and search for reference cycles less often."""
    sys.meta_path.insert(0, _Finder())
    warnings.filterwarnings("ignore", "Unable to import Axes3D")
    gc.set_threshold(100_000, 50, 1000)  # the default searches hundreds of times while modules are loaded
    atexit.register(gc.freeze)  # else the interpreter searches all modules at its end


def keep_compiled_programs() -> None:
    """Have JAX keep compiled programs in the user's cache, unless others can write there or JAX was told a folder."""
    # one for each machine: a program for one processor may not run on another
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    folder = home / "vecprop" / f"jax-{platform.node()}"
    if home.is_absolute() and "JAX_COMPILATION_CACHE_DIR" not in os.environ and not why_not_private(folder):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
