"""Atomic writing: a temporary file in the same directory replaces the old file."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
# Errors of systems that cannot open or flush a directory; the file itself is written.
_NO_DIRECTORY_FLUSH = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def write_atomically(path: str | os.PathLike[str], data: bytes, *, previous: Path | None = None) -> None:
    """Write a file atomically: a temporary file, flushed, replaces the old file.

    previous : a path in the same directory, under which the replaced file is kept; `path` exists all the time

    Readers see the old file or the new one. After an error the old file is unchanged, or the new one is complete. The
    mode of the replaced file is kept; a link is followed. If the process is killed, its temporary file,
    `.vecprop-….tmp`, may remain. OSError has the error number and this path.
    """
    name = os.fspath(path)
    target = Path(os.path.realpath(path))
    try:
        _replace(target, _mode_to_keep(target, name), data, previous)
        _sync_directory(target.parent)
    except OSError as error:
        if error.errno is None:
            raise
        if isinstance(error, FileNotFoundError) and not target.parent.is_dir():
            raise FileNotFoundError(f"cannot write {name!r}: there is no directory {target.parent}") from error
        raise OSError(error.errno, error.strerror or os.strerror(error.errno), name) from error


def _mode_to_keep(target: Path, name: str) -> int | None:
    """Return the mode of the file to be replaced, None if there is none."""
    try:
        mode = _persistently(os.stat, target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"cannot write {name!r}: it is a directory")
    if not stat.S_ISREG(mode):
        raise OSError(f"cannot write {name!r}: it is a device or a pipe, and would be replaced by a file")
    return stat.S_IMODE(mode)


def _replace(target: Path, mode: int | None, data: bytes, previous: Path | None = None) -> None:
    """Write a temporary file, flush it, and put it in the place of the target."""
    temporary = _temporary(target)
    try:
        # created with the final mode, so that it is never readable by more users than the target
        descriptor = _persistently(os.open, temporary, _CREATE, 0o666 if mode is None else mode)
        try:
            if mode is not None:
                _persistently(os.chmod, temporary, mode)
            _write_all(descriptor, data)
            _persistently(os.fsync, descriptor)
        finally:
            _close(descriptor)  # before it is renamed: Windows renames no open file
        if previous is not None and mode is not None:
            _keep(target, mode, previous)
        _persistently(os.replace, temporary, target)
    except BaseException:
        _remove(temporary)
        raise


def _keep(target: Path, mode: int, previous: Path) -> None:
    """Keep the file that is about to be replaced under a second name: a link, or else a copy."""
    spare = _temporary(target)
    try:
        _persistently(os.link, target, spare)
        _persistently(os.replace, spare, previous)
    except FileNotFoundError:
        pass  # the file is gone: there is nothing to keep
    except OSError:
        _replace(previous, mode, target.read_bytes())
    finally:
        _remove(spare)  # os.replace leaves it if both were already names of one file


def _temporary(target: Path) -> Path:
    return target.with_name(f".vecprop-{secrets.token_hex(16)}.tmp")


def _remove(temporary: Path) -> None:
    with contextlib.suppress(OSError):
        _persistently(os.unlink, temporary)


def _write_all(descriptor: int, data: bytes) -> None:
    """Write all data; the system may accept a part at a time."""
    rest = memoryview(data)
    while rest:
        count = _persistently(os.write, descriptor, rest)
        if count == 0:
            raise OSError(errno.EIO, "the system wrote nothing, and gave no reason")
        rest = rest[count:]


def _close(descriptor: int) -> None:
    with contextlib.suppress(InterruptedError):  # it is closed nevertheless
        os.close(descriptor)


def _sync_directory(folder: Path) -> None:
    """Flush a directory, if the system can, so that the new name survives a power failure."""
    try:
        descriptor = _persistently(os.open, folder, os.O_RDONLY)
        try:
            _persistently(os.fsync, descriptor)
        finally:
            _close(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_FLUSH:
            raise


def _persistently(call: Callable[..., Any], *arguments: Any) -> Any:
    """Repeat a call that a signal interrupts, as Python does not for every call on a network disk."""
    while True:
        try:
            return call(*arguments)
        except InterruptedError:
            continue
