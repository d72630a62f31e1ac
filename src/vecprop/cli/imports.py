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
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from vecprop.utils.directories import why_not_private

_LATER = (
    "asyncio",
    "numpy.ctypeslib",
    "numpy.f2py",
    "numpy.polynomial",
    "numpy.testing",
    "scipy.spatial",
    "scipy.special",
    "scipy.stats",
)
# What is left out while the library that could use it is imported: it works without.
_LEFT_OUT = {
    "pandas": "sklearn",
    "psutil": "sklearn",
    "rich.progress": "sklearn.callback",
    "mpl_toolkits.mplot3d": "matplotlib.projections",
}
# Methods that no command calls, of which `scipy.optimize` takes functions by name: with what they import, two thirds of
# its time.
_FUNCTIONS_LATER = {"scipy.optimize._dual_annealing", "scipy.optimize._linprog", "scipy.optimize._milp"}


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        importing = getattr(sys.modules.get(_LEFT_OUT.get(name, "")), "__spec__", None)
        if getattr(importing, "_initializing", False):
            raise ModuleNotFoundError("left out by the command line of vecprop", name=name)
        spec = PathFinder.find_spec(name, path, target) if name in _LATER else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def _function_of(name: str, function: str) -> Callable[..., Any]:
    """Return a function that imports the real one when it is called."""
    if function.startswith("_"):
        raise AttributeError(f"module {name!r} has no attribute {function!r}")

    def call(*args: Any, **kwargs: Any) -> Any:
        if name in _FUNCTIONS_LATER:
            _FUNCTIONS_LATER.remove(name)
            del sys.modules[name]
        return getattr(import_module(name), function)(*args, **kwargs)

    return call


def load_less() -> None:
    """Delay or leave out these imports from now on, and search for reference cycles less often."""
    sys.meta_path.insert(0, _Finder())
    for name in _FUNCTIONS_LATER.difference(sys.modules):
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name])["__getattr__"] = partial(_function_of, name)
    warnings.filterwarnings("ignore", "Unable to import Axes3D")
    # The default searches hundreds of times while modules are loaded; a command makes 150 000 objects that stay.
    gc.set_threshold(300_000, 50, 1000)
    atexit.register(gc.freeze)  # else the interpreter searches all modules at its end


def leave_out_setters_texts() -> None:
    """Have matplotlib's classes do without the lists of properties in the texts of `set`: a fifth of its import."""
    import matplotlib.artist

    matplotlib.artist.kwdoc = lambda _: ""  # type: ignore[assignment]


def keep_compiled_programs() -> None:
    """Have JAX keep compiled programs in the user's cache, unless others can write there or JAX was told a folder."""
    # one for each machine: a program for one processor may not run on another
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    folder = home / "vecprop" / f"jax-{platform.node()}"
    if home.is_absolute() and "JAX_COMPILATION_CACHE_DIR" not in os.environ and not why_not_private(folder):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
