"""Faults for tests of what is written to disk: system calls that fail, stop half-way, or are the last of the process.

`recorded(action)` tells which calls a save makes; `faults_of` makes the list of all that can happen at them; `injected`
lets one of them happen; `dies_at` lets it happen in a process of its own that ends there, without any clean-up.
"""

import contextlib
import errno
import os
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from unittest import mock

import pytest

from vecprop.training import checkpoint
from vecprop.utils import atomic

# What a save asks of the system. `os` of vecprop.utils.atomic stands for it: everything goes through that.
CALLS = ("stat", "open", "chmod", "write", "fsync", "link", "replace", "unlink", "close")
ERRORS = ("EIO", "ENOSPC", "EACCES", "EROFS")
EXIT_CODE = 77


@dataclass(frozen=True)
class Fault:
    """What happens at the n-th call of a name, counted from 1.

    effect : the name of an errno, "short" (of a write: a part is taken), "interrupt" (KeyboardInterrupt), "exit"
    after : whether the call is done before it happens
    """

    call: str
    n: int
    effect: str
    after: bool = False

    def __str__(self) -> str:
        return f"{self.effect} {'after' if self.after else 'at'} {self.call} {self.n}"


def happen(fault, call, *arguments):
    """Let a fault happen at a call."""
    if fault.effect == "short":
        descriptor, data = arguments
        return call(descriptor, data[: max(1, len(data) // 3)])
    result = None
    if fault.after:
        with contextlib.suppress(OSError):  # what the system itself says is no hindrance
            result = call(*arguments)
    if fault.effect == "exit":
        os._exit(EXIT_CODE)
    if fault.call == "open" and fault.after:
        os.close(result)  # nobody has got its number
    if fault.effect == "interrupt":
        raise KeyboardInterrupt
    number = getattr(errno, fault.effect)
    raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def injected(fault=None):
    """Let a fault happen in whatever `write_atomically` writes meanwhile; gives the list of the calls as they come."""
    seen = []

    def watched(name, *arguments):
        seen.append(name)
        now = fault is not None and (fault.call, fault.n) == (name, seen.count(name))
        return happen(fault, getattr(os, name), *arguments) if now else getattr(os, name)(*arguments)

    system = SimpleNamespace(**vars(os) | {name: partial(watched, name) for name in CALLS})
    with mock.patch.object(atomic, "os", system):
        yield seen


class BrokenOff(BaseException):
    """The end of a run, where a checkpoint would have been written."""


def broken_off(after, run, *arguments, **options):
    """Make a run that ends after a number of checkpoints."""
    calls = {"wraps": checkpoint.write_atomically, "side_effect": [*[mock.DEFAULT] * after, BrokenOff]}
    with mock.patch.object(checkpoint, "write_atomically", **calls), pytest.raises(BrokenOff):
        run(*arguments, **options)


def recorded(action):
    """Return the names of the calls that an action makes, in their order."""
    with injected() as seen:
        action()
    return list(seen)


def faults_of(seen, effects=(*ERRORS, "EINTR", "interrupt"), deaths=True):
    """Return every fault that can happen at the calls: before and after each, a short write at each write."""
    counted, faults = Counter(), []
    for name in seen:
        counted[name] += 1
        n = counted[name]
        for effect in effects:
            faults.append(Fault(name, n, effect))
            if effect != "EINTR":  # which says that nothing was done
                faults.append(Fault(name, n, effect, after=True))
        if name == "write":
            faults.append(Fault(name, n, "short"))
        if deaths:
            faults += [Fault(name, n, "exit", after) for after in (False, True)]
    return faults


def in_process(action):
    """Do something in a process of its own, a fork of this one, and return its exit code; -9 if it was killed."""
    process = forked(action)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def forked(action):
    """Start something in a process of its own, a fork of this one, and return its id; exit code 0, 1 for an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX and Python warn of forks beside threads; the child needs none of them
        process = os.fork()
    if process:
        return process
    code = 1
    try:
        action()
        code = 0
    finally:
        os._exit(code)


def dies_at(action, fault):
    """Do something in a process of its own that ends at once where the fault is, and return its exit code."""

    def dying():
        with injected(fault):
            action()

    return in_process(dying)
