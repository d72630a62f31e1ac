"""Writing a file so that it is there whole or not at all, whatever happens meanwhile.

A temporary file in the same directory takes the place of the old one. A writer that is killed leaves its temporary file
behind, and the next save to the same target removes it. A live writer holds a lock on its own, which the kernel gives
back when the process ends, however it ends; so nothing of a live writer's is taken for a leftover.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import secrets
import stat
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

fcntl: Any = None
with contextlib.suppress(ImportError):  # Windows has none
    fcntl = import_module("fcntl")

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_LOOK = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# Where a lock tells nothing (another machine's file, a file system without locks), a file is left over from this age.
_SECONDS_OF_A_LEFTOVER = 24 * 3600
_ATTEMPTS = 100
# What a system says that does not let a directory be opened or flushed, which is no fault of the file.
_NO_DIRECTORY_FLUSH = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def write_atomically(path: str | os.PathLike[str], data: bytes, *, previous: Path | None = None) -> None:
    """Write a file: a temporary one in the same directory, flushed to the disk, takes the place of the old one.

    path : the file
    data : what it holds then
    previous : in the same directory; the file that is replaced gets this name, and is nowhere missing meanwhile

    A reader sees the old file or the new one; after an error the old one is what it was, or the new one is there whole.
    The mode of a file that is replaced is kept; a link is followed. What killed writers to this path have left is
    removed: at once if they ran on this machine, else after a day.

    Raises
    ------
    OSError
        If it cannot be written, with its number and this path: FileNotFoundError without the directory,
        IsADirectoryError for a directory.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder, "numbers"), b"123")
    ...     Path(folder, "numbers").read_bytes(), os.listdir(folder)
    (b'123', ['numbers'])
    """
    name = os.fspath(path)
    target = Path(os.path.realpath(path))
    try:
        mode = _mode_to_keep(target, name)
        if not any(_replaced(target, mode, data, previous) for _ in range(_ATTEMPTS)):
            raise OSError(errno.EAGAIN, "others take the temporary files away", name)
        _sync_directory(target.parent)
    except OSError as error:
        if error.errno is None:
            raise
        if isinstance(error, FileNotFoundError) and not target.parent.is_dir():
            raise FileNotFoundError(f"cannot write {name!r}: there is no directory {target.parent}") from error
        raise OSError(error.errno, error.strerror or os.strerror(error.errno), name) from error


def _mode_to_keep(target: Path, name: str) -> int | None:
    """Return the mode of the file that is to be replaced, None if there is none."""
    try:
        mode = _persistently(os.stat, target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"cannot write {name!r}: it is a directory")
    if not stat.S_ISREG(mode):
        raise OSError(f"cannot write {name!r}: it is a device or a pipe, and would be replaced by a file")
    return stat.S_IMODE(mode)


def _replaced(target: Path, mode: int | None, data: bytes, previous: Path | None = None) -> bool:
    """Write a temporary file and put it in the place of the target; False if it was taken for a leftover."""
    temporary = _temporary(target)
    descriptor = None
    try:
        # never readable by more than the target is, not even while it is empty
        descriptor = _persistently(os.open, temporary, _CREATE, 0o666 if mode is None else mode)
        if not _hold(descriptor, temporary):
            _close(descriptor)
            return False  # who took it removes it
        for file in (target, previous):
            if file is not None:
                _remove_leftovers(file, temporary)
        if mode is not None:
            _persistently(os.chmod, temporary, mode)
        _write_all(descriptor, data)
        _persistently(os.fsync, descriptor)
        if os.name == "nt":  # which renames no open file
            _close(descriptor)
            descriptor = None
        if previous is not None and mode is not None:
            _keep(target, mode, previous)
        _persistently(os.replace, temporary, target)
    except BaseException as error:
        if not isinstance(error, FileExistsError):  # then it is none of ours
            with contextlib.suppress(OSError):
                _persistently(os.unlink, temporary)
        if descriptor is not None:
            with contextlib.suppress(OSError):
                _close(descriptor)
        raise
    _close(descriptor)
    return True


def _keep(target: Path, mode: int, previous: Path) -> None:
    """Give a file that is about to be replaced another name, too."""
    if not any(_named(target, mode, previous) for _ in range(_ATTEMPTS)):
        raise OSError(errno.EAGAIN, "others take the temporary files away", os.fspath(target))


def _named(target: Path, mode: int, previous: Path) -> bool:
    """Give a file another name by a link, or a copy where there are none; False if it was taken for a leftover."""
    spare = _temporary(target)
    try:
        _persistently(os.link, target, spare)
        _persistently(os.replace, spare, previous)
    except FileNotFoundError:
        return not target.exists()  # somebody else's doing: then there is nothing to be kept
    except OSError:
        return _replaced(previous, mode, target.read_bytes())
    finally:
        with contextlib.suppress(OSError):  # it is there still if both are names of one file already
            _persistently(os.unlink, spare)
    return True


def _temporary(target: Path) -> Path:
    return target.with_name(f"{_prefix(target)}{_machine()}-{secrets.token_hex(8)}.tmp")


def _write_all(descriptor: int, data: bytes) -> None:
    """Write all of it: the system may take a part at a time."""
    rest = memoryview(data)
    while rest:
        count = _persistently(os.write, descriptor, rest)
        if count == 0:
            raise OSError(errno.EIO, "the system wrote nothing, and gave no reason")
        rest = rest[count:]


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        with contextlib.suppress(InterruptedError):  # it is closed all the same
            os.close(descriptor)


def _sync_directory(folder: Path) -> None:
    """Make the new name last through a power failure, where the system lets a directory be flushed."""
    descriptor = None
    try:
        descriptor = _persistently(os.open, folder, os.O_RDONLY)
        _persistently(os.fsync, descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_FLUSH:
            raise
    finally:
        _close(descriptor)


def _persistently(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call again what a signal has interrupted: Python does so for most calls, not for all that network disks have."""
    while True:
        try:
            return call(*arguments)
        except InterruptedError:
            continue


# --- what killed writers have left ------------------------------------------------------------------------------


def _prefix(target: Path) -> str:
    """Return how the names of a target's temporary files begin; a digest, since the name may be as long as names get.

    >>> _prefix(Path("a", "model"))
    '.vecprop-9372c470eeadd5ec-'
    """
    return f".vecprop-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}-"


def _machine() -> str:
    return hashlib.sha256(platform.node().encode(errors="replace")).hexdigest()[:8]


def _hold(descriptor: int, temporary: Path) -> bool:
    """Mark a temporary file as that of a live writer; False if it was removed before that, or is about to be."""
    if fcntl is None:
        return True
    try:
        _persistently(fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks, where age decides
        pass
    try:
        _persistently(os.lstat, temporary)
    except FileNotFoundError:
        return False
    return True


def _remove_leftovers(target: Path, own: Path) -> None:
    """Remove the temporary files of this target whose writers are dead; what cannot be removed stays."""
    prefix = _prefix(target)
    with contextlib.suppress(OSError):
        names = [n for n in os.listdir(target.parent) if n.startswith(prefix) and n.endswith(".tmp") and n != own.name]
        if not names:
            return
        now = os.stat(own).st_mtime  # by the clock of the file system, as the ages of the others
        locks = _is_held(own)
        for name in names:
            with contextlib.suppress(OSError):
                _remove_leftover(target.with_name(name), now, name.startswith(f"{prefix}{_machine()}-"), locks)


def _remove_leftover(path: Path, now: float, ours: bool, locks: bool) -> None:
    """Remove a temporary file that none holds, if it is this machine's, where locks tell, or old."""
    status = os.lstat(path)
    old = now - status.st_mtime > _SECONDS_OF_A_LEFTOVER
    if not stat.S_ISREG(status.st_mode):
        return
    if locks and (ours or old):
        _is_held(path, remove=True)
    elif old:
        os.unlink(path)


def _is_held(path: Path, *, remove: bool = False) -> bool:
    """Tell whether a live writer holds a file; one that none holds is removed, if asked for, while we hold it."""
    if fcntl is None:
        return False
    descriptor = os.open(path, _LOOK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if remove:
            os.unlink(path)
    except BlockingIOError:
        return True
    finally:
        _close(descriptor)
    return False
