"""How mutants are tried: the tests are collected once, and run in a forked process for each mutant.

A mistake inside a function is put in by its code object, so that nothing need be imported again; one at the level of a
module or a class (a default, a constant) by importing the changed module in a process that has not seen it yet.
"""

from __future__ import annotations

import gc
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
from collections.abc import Callable
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
        inside = [i for i, m in enumerate(tried) if m.function]
        code = _in_a_process(lambda: _collected_once(arguments, name, tried, inside, Path(file.name)), limited=False)
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


# --- inside functions -----------------------------------------------------------------------------------------


def _collected_once(arguments: list[str], name: str, tried: list[Mutant], chosen: list[int], file: Path) -> int:
    """Try the mutants of these numbers; the tests must pass without one."""
    plugin = _Forking(name, tried, chosen, file)
    with open(os.devnull, "w") as nowhere:
        sys.stdout = nowhere
        pytest.main(arguments, plugins=[plugin])
        sys.stdout = sys.__stdout__
    return 0 if plugin.sound else 1


class _Forking:
    """In place of running the tests once, run them in a forked process for every mutant."""

    def __init__(self, name: str, tried: list[Mutant], chosen: list[int], file: Path) -> None:
        self.name, self.tried, self.chosen, self.file = name, tried, chosen, file
        self.sound = False
        self.noticed: Counter[str] = Counter()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.sound = session.testsfailed == 0 and bool(session.items) and self._try(session, None)[0]
        if self.sound:
            gc.freeze()  # else every process would copy what its collector looks at
            with self.file.open("w") as out:
                for i in self.chosen:
                    try:
                        survived, by = self._try(session, self.tried[i])
                    except _NotInPlaceError:
                        continue
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
                function, code = patch
                function.__code__ = code
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


def _patch(name: str, mutant: Mutant) -> tuple[Any, types.CodeType]:
    """Return the live function that the mutant is in, and its mutated code."""
    found: Any = sys.modules[name]
    try:
        for part in mutant.function.split("."):
            found = vars(found)[part]
        found = getattr(found, "fget", None) or getattr(found, "__func__", found)
        while hasattr(found, "__wrapped__"):
            found = found.__wrapped__
        code = _code(compile(mutant.source, found.__code__.co_filename, "exec", dont_inherit=True), mutant.function)
    except (KeyError, AttributeError) as error:
        raise _NotInPlaceError(str(mutant)) from error
    if code is None or code.co_freevars != found.__code__.co_freevars:
        raise _NotInPlaceError(str(mutant))
    return found, code


def _code(code: types.CodeType, qualified: str) -> types.CodeType | None:
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            found = part if part.co_qualname == qualified else _code(part, qualified)
            if found is not None:
                return found
    return None


# --- at the level of a module or a class ----------------------------------------------------------------------


def _imported_anew(arguments: list[str], name: str, path: Path, source: str) -> int:
    """Run the tests with the module's source replaced; the module must not be imported yet."""
    assert name not in sys.modules
    sys.meta_path.insert(0, _Finder(name, path, source))
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
