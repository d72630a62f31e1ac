"""The active backend, argument > `use_backend` > VECPROP_BACKEND > "numpy", and the precision.

The environment is read when a backend is asked for, not at import, so that the variable may be set later. A backend's
library is imported when the backend is first used.
"""

import copyreg
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

from vecprop.backend import scoped_settings
from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import Namespace, namespace_name
from vecprop.backend.scoped_settings import Choice
from vecprop.utils.errors import (
    BackendError,
    BackendNotInstalledError,
    BackendUnusableError,
    UnknownBackendError,
    unknown_name,
)
from vecprop.utils.threads import after_fork

# The backends that ship with vecprop work in a bare source tree, too; others come from the entry-point group.
BUILT_IN = {
    "numpy": ("vecprop_numpy:NumPyBackend", "pip install numpy"),
    "cupy": (
        "vecprop_cupy:CuPyBackend",
        'pip install "vecprop[cupy]" for CUDA 12, or "vecprop[cupy-cuda13]" for CUDA 13',
    ),
    "jax": (
        "vecprop_jax:JAXBackend",
        'pip install "vecprop[jax]", on a GPU "vecprop[jax-cuda12]" or "vecprop[jax-cuda13]"',
    ),
}
ENTRY_POINT_GROUP = "vecprop.backends"
BACKEND_VARIABLE = "VECPROP_BACKEND"
PRECISION_VARIABLE = "VECPROP_PRECISION"
PRECISIONS = ("highest", "fast")

_loaded: dict[str, Backend] = {}
_loading = threading.RLock()  # two threads that ask at once get the same backend


def known_names() -> list[str]:
    """Return the names of all backends that can be asked for, built-in ones first."""
    return [*BUILT_IN, *sorted(set(_third_party()) - set(BUILT_IN))]


def _third_party() -> dict[str, Any]:
    """Return the entry points of backends in other distributions, by name."""
    from importlib.metadata import entry_points  # not at import: it is not needed for the built-in backends

    return {e.name: e for e in entry_points(group=ENTRY_POINT_GROUP)}


def get_backend(name: str | Backend | None = None) -> Backend:
    """Return a backend: the one named, or the active one.

    Parameters
    ----------
    name : str or Backend, optional
        "numpy", "cupy", "jax", the name of a third party's backend, or "auto": JAX where it has a GPU, else CuPy
        where it has a working device, else NumPy. By default the choice of `use_backend`, else the environment variable
        VECPROP_BACKEND, else "numpy". A Backend is returned as it is.

    Raises
    ------
    UnknownBackendError
        A ValueError: no backend has that name; the message lists the known ones.
    BackendNotInstalledError
        An ImportError: its library is missing; the message has the install command.
    BackendUnusableError
        A RuntimeError: its library is installed but does not work, for instance without a driver or a device; the
        message has the reason.

    Examples
    --------
    >>> get_backend("numpy").name
    'numpy'
    """
    source = ""
    if name is None:
        name = scoped_settings.current("backend")
    if name is None:
        name = os.environ.get(BACKEND_VARIABLE) or "numpy"
        source = f"{BACKEND_VARIABLE}: " if os.environ.get(BACKEND_VARIABLE) else ""
    if isinstance(name, Backend):
        return name
    if not isinstance(name, str):
        raise TypeError(f"backend must be a name or a Backend, got {name!r}")
    name = name.strip().lower()
    if name == "auto":
        return _auto()
    if name not in _loaded:
        with _loading:
            if name not in _loaded:
                _loaded[name] = _load(name, source)
                copyreg.dispatch_table[type(_loaded[name])] = _by_name
    return _loaded[name]


def _by_name(backend: Backend) -> Any:
    """Reduce a backend to its name: pickles and copies of what holds it, such as a result of `fit`, hold the same."""
    for name, loaded in _loaded.items():
        if loaded is backend:
            return get_backend, (name,)
    return backend.__reduce_ex__(2)


def check_backend_name(name: object) -> None:
    """Raise an error unless name is a Backend or a known name; no library is imported."""
    if isinstance(name, Backend):
        return
    if not isinstance(name, str):
        raise TypeError(f"backend must be a name or a Backend, got {name!r}")
    if name.strip().lower() not in ("auto", *known_names()):
        raise UnknownBackendError(unknown_name("backend", name, ["auto", *known_names()]))


def use_backend(name: str | Backend) -> Choice:
    """Choose the backend for the rest of the program, or, as a context manager, for the block.

    A plain call holds in all threads that are not in a block. If its result is kept in a variable, threads that run
    already follow only when it is shown, or the backend is next used in the calling thread. A block holds only in its
    own thread or asyncio task. A thread started inside a block does not take over its choice: start it with
    `contextvars.copy_context().run`, or give it `backend=`. Parameters and errors are those of `get_backend`.

    >>> with use_backend("numpy") as backend:
    ...     get_backend() is backend
    True
    """
    if name is None:
        raise TypeError("name must be the name of a backend or a Backend, got None")
    return Choice("backend", get_backend(name))


def use_precision(precision: str) -> Choice:
    """Choose how float32 matrix products are computed.

    The choice holds for the rest of the program or, as a context manager, for the block, in the same threads as that of
    `use_backend`.

    "highest" (the default; also the environment variable VECPROP_PRECISION): in float32 everywhere. "fast": in
    TensorFloat-32 on NVIDIA GPUs that have it, about 3 decimal digits, several times faster. No effect on a CPU or
    on float64.

    >>> with use_precision("fast"):
    ...     get_precision()
    'fast'
    """
    return Choice("precision", check_precision(precision))


def get_precision() -> str:
    """Return the active precision: `use_precision` > VECPROP_PRECISION > "highest"."""
    return scoped_settings.current("precision") or check_precision(
        os.environ.get(PRECISION_VARIABLE) or "highest", PRECISION_VARIABLE
    )


def check_precision(precision: object, argument: str = "precision") -> str:
    """Return the precision, or raise ValueError if it is neither "highest" nor "fast"."""
    if not isinstance(precision, str) or precision not in PRECISIONS:
        raise ValueError(f"{argument}: {unknown_name('precision', precision, PRECISIONS)}")
    return precision


def _load(name: str, source: str) -> Backend:
    """Import, make and probe a backend."""
    target: Any
    if name in BUILT_IN:
        target, install = BUILT_IN[name]
    else:
        third_party = _third_party()
        if name not in third_party:
            raise UnknownBackendError(source + unknown_name("backend", name, ["auto", *known_names()]))
        target, install = third_party[name], "see the documentation of that backend"
    try:
        backend = (resolve_name(target) if isinstance(target, str) else target.load())()
    except ModuleNotFoundError as error:
        raise BackendNotInstalledError(
            f"{source}backend {name!r} is not installed ({error}). Install it: {install}"
        ) from error
    except BackendError:
        raise
    except Exception as error:  # a broken library may raise anything, and the user needs the reason
        raise BackendUnusableError(
            f"{source}backend {name!r} is installed but cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(backend, Backend):
        raise BackendUnusableError(f"backend {name!r} is no vecprop.backend.Backend: {backend!r}")
    _require_products(backend)
    return backend


def _require_products(backend: Backend) -> None:
    """Raise BackendUnusableError, with the device's own words, unless a real 1-element product comes out right.

    Where it would be compiled for a CPU, which has no driver to fail, it is left out: it takes as long as a short fit.
    """
    if backend.compiles and not backend.has_gpu:
        return
    try:
        one = backend.asarray([[1.0]], dtype="float32")
        product = float(backend.to_numpy(one @ one)[0, 0])
    except Exception as error:  # whatever the library raises is the reason we report
        raise BackendUnusableError(
            f"backend {backend.name!r} is installed but unusable here: {type(error).__name__}: {error}"
        ) from error
    if product != 1.0:
        raise BackendUnusableError(f"backend {backend.name!r} computes 1 @ 1 = {product}: the device is broken")


def _auto() -> Backend:
    for name in ("jax", "cupy"):
        with suppress(BackendError):
            if (backend := get_backend(name)).has_gpu:
                return backend
    return get_backend("numpy")


def backend_for(xp: Namespace) -> Backend:
    """Return the backend that computes in a namespace, whichever backend is active."""
    name = namespace_name(xp)
    if name in BUILT_IN:
        return get_backend(name)
    for backend in list(_loaded.values()):  # another thread may load one
        if backend.xp is xp:
            return backend
    return Backend(xp)


@dataclass(frozen=True)
class BackendStatus:
    """The status of a backend: whether it is usable and active, and details or the reason why not."""

    name: str
    usable: bool
    active: bool
    detail: str


class BackendTable(dict[str, BackendStatus]):
    """The status of every backend by name; printing it shows a table."""

    def __str__(self) -> str:
        width = max(len(name) for name in self)
        return "\n".join(
            f"{'*' if s.active else ' '} {name:<{width}}  {'usable  ' if s.usable else 'unusable'}  {s.detail}"
            for name, s in self.items()
        )


def backends() -> BackendTable:
    """Return the status of every known backend; this imports their libraries and tries each one.

    Returns
    -------
    BackendTable
        A dict: name -> BackendStatus(name, usable, active, detail). `print(vp.backends())` shows it as a table, the
        active backend marked by a star.

    Examples
    --------
    >>> backends()["numpy"].usable
    True
    """
    try:
        active = get_backend().name
    except BackendError:
        active = ""
    table = BackendTable()
    for name in known_names():
        try:
            described = get_backend(name).describe()
            detail = ", ".join(f"{key} {value}" for key, value in described.items())
            table[name] = BackendStatus(name, True, name == active, detail)
        except BackendError as error:
            table[name] = BackendStatus(name, False, False, str(error))
    return table


@after_fork
def _after_fork() -> None:
    """Replace the lock, which a thread that was not forked may hold."""
    global _loading
    _loading = threading.RLock()
