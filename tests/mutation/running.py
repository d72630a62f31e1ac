"""How mutants are tried: the tests are collected once, and run in a forked process for each mutant.

A mistake inside a function is put in by its code object, so that nothing need be imported again. One at the level of a
module or a class (a default, a constant) is put in by its value; where no test notices that, the changed module is
imported in a process that has not seen it yet.
"""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import sys
import tempfile
import traceback
import types
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mutation.modules import OPTIONS
from mutation.operators import Mutant, mutants

SECONDS = 30  # a mutant that runs longer is noticed
_MEMORY = 6 * 2**30  # and so is one that asks for more than this
_SURVIVED, _KILLED = 0, 1


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: the test that noticed it, "time" or "crash"; None if it survived."""

    mutant: Mutant
    noticed_by: str | None


def try_all(
    root: Path, module: str, tests: tuple[str, ...], only: Callable[[Mutant], bool] | None = None
) -> list[Outcome]:
    """Return what becomes of every mutant of src/vecprop/`module`.py, or of those that `only` chooses."""
    path = root / "src" / "vecprop" / f"{module}.py"
    name = "vecprop." + module.replace("/", ".")
    tried = [m for m in mutants(path.read_text("utf-8")) if only is None or only(m)]
    arguments = ["-q", "-x", "-p", "no:cacheprovider", "--rootdir", str(root),
                 *OPTIONS, str(path), *(str(root / t) for t in tests)]  # fmt: skip

    with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as file:
        code = _in_a_process(lambda: _collected_once(arguments, name, tried, Path(file.name)), limited=False)
        if code != 0:
            raise RuntimeError(f"the tests of {module} fail without a mutant: pytest {' '.join(arguments)}")
        noticed = {row[0]: row[1] for row in map(json.loads, file)}
        for i in set(range(len(tried))) - set(noticed):
            code = _in_a_process(lambda i=i: _imported_anew(arguments, name, path, tried[i].source))
            noticed[i] = {_SURVIVED: None, _KILLED: "a test", -signal.SIGALRM: "time"}.get(code, "crash")
    return [Outcome(mutant, noticed[i]) for i, mutant in enumerate(tried)]


def _in_a_process(work: Callable[[], int], limited: bool = True) -> int:
    """Return the exit code of `work` in a forked process, negative for a signal."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if limited:
                os.dup2(nowhere, 1)
                os.dup2(nowhere, 2)
                resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                signal.alarm(SECONDS)
            code = work()
        except BaseException:  # noqa: BLE001 - of whatever kind: this process ends here
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# --- in a module that is imported ------------------------------------------------------------------------------


def _collected_once(arguments: list[str], name: str, tried: list[Mutant], file: Path) -> int:
    """Try the mutants that can be put in place; the tests must pass without one."""
    plugin = _Forking(name, tried, file)
    with open(os.devnull, "w") as nowhere:
        sys.stdout = nowhere
        pytest.main(arguments, plugins=[plugin])
        sys.stdout = sys.__stdout__
    return 0 if plugin.sound else 1


class _Forking:
    """In place of running the tests once, run them in a forked process for every mutant."""

    def __init__(self, name: str, tried: list[Mutant], file: Path) -> None:
        self.name, self.tried, self.file = name, tried, file
        self.sound = False
        self.noticed: Counter[str] = Counter()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.sound = session.testsfailed == 0 and bool(session.items) and self._try(session, None)[0]
        if self.sound:
            gc.freeze()  # else every process would copy what its collector looks at
            with self.file.open("w") as out:
                for i, mutant in enumerate(self.tried):
                    try:
                        survived, by = self._try(session, mutant)
                    except _NotInPlaceError:
                        continue
                    if survived and not mutant.function:
                        continue  # what was made from the value at import has the old one still
                    json.dump([i, None if survived else by], out)
                    out.write("\n")
        return True

    def _try(self, session: pytest.Session, mutant: Mutant | None) -> tuple[bool, str | None]:
        patch = None if mutant is None else _patch(self.name, mutant)
        # the tests that notice most come first
        items = sorted(session.items, key=lambda item: -self.noticed[item.nodeid])
        read, write = os.pipe()

        def run() -> int:
            if patch is not None:
                patch()
            for item, following in zip(items, [*items[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.testsfailed:
                    os.write(write, item.nodeid.encode()[:4000])
                    return _KILLED
            return _SURVIVED

        code = _in_a_process(run)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            by = pipe.read().decode()
        if by:
            self.noticed[by] += 1
        return code == _SURVIVED, by or ("time" if code == -signal.SIGALRM else "crash")


class _NotInPlaceError(Exception):
    """The function is not to be reached by its name."""


def _patch(name: str, mutant: Mutant) -> Callable[[], None]:
    """Return what puts the mutant in place."""
    module = sys.modules[name]
    compiled = compile(mutant.source, str(module.__file__), "exec", dont_inherit=True)
    if not mutant.function:
        return lambda: _move_values(compiled, module)
    found: Any = module
    try:
        for part in mutant.function.split("."):
            found = vars(found)[part]
        found = getattr(found, "fget", None) or getattr(found, "__func__", found)
        while hasattr(found, "__wrapped__"):
            found = found.__wrapped__
        code = _code(compiled, mutant.function)
        if code is None or code.co_freevars != found.__code__.co_freevars:
            raise _NotInPlaceError(str(mutant))
    except (KeyError, AttributeError) as error:
        raise _NotInPlaceError(str(mutant)) from error
    return lambda: setattr(found, "__code__", code)


def _move_values(compiled: types.CodeType, module: types.ModuleType) -> None:
    """Run the module once more, and move its constants, and its functions' defaults, into the one that is in use."""
    other = types.ModuleType(module.__name__)
    exec(compiled, vars(other))
    _move(vars(other), module)


def _move(values: Mapping[str, Any], into: Any) -> None:
    for key, value in values.items():
        old = vars(into).get(key)
        if isinstance(value, bool | int | float | tuple) and value != old:
            setattr(into, key, value)
        elif isinstance(value, types.FunctionType) and isinstance(old, types.FunctionType):
            old.__defaults__, old.__kwdefaults__ = value.__defaults__, value.__kwdefaults__
        elif isinstance(value, type) and value.__module__ == getattr(old, "__module__", None):
            _move(vars(value), old)


def _code(code: types.CodeType, qualified: str) -> types.CodeType | None:
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            found = part if part.co_qualname == qualified else _code(part, qualified)
            if found is not None:
                return found
    return None


# --- in a module that is imported anew -------------------------------------------------------------------------


def _imported_anew(arguments: list[str], name: str, path: Path, source: str) -> int:
    """Run the tests with the module's source replaced; the module must not be imported yet."""
    assert name not in sys.modules
    sys.meta_path.insert(0, _Finder(name, path, source))
    importlib.import_module(name)  # before pytest, which reads for itself the files that it is given
    return _SURVIVED if pytest.main(arguments) == pytest.ExitCode.OK else _KILLED


class _Finder:
    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        loader = _Loader(name, str(self.path))
        loader.source = self.source
        return importlib.util.spec_from_file_location(name, self.path, loader=loader)


class _Loader(importlib.machinery.SourceFileLoader):
    source: str

    def get_code(self, fullname: str) -> types.CodeType:
        return compile(self.source, self.path, "exec", dont_inherit=True)
