"""Writing a file so that it is there whole or not at all, whatever happens meanwhile."""

import contextlib
import os
import secrets
import stat
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file: a temporary one in the same directory, flushed to the disk, takes the place of the old one.

    A reader sees the old file or the new one; after an error the old one is what it was, and nothing else is left.
    The mode of a file that is replaced is kept; a link is followed.

    Raises
    ------
    OSError
        If it cannot be written: FileNotFoundError without the directory, IsADirectoryError for a directory.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder, "numbers"), b"123")
    ...     Path(folder, "numbers").read_bytes(), os.listdir(folder)
    (b'123', ['numbers'])
    """
    target = Path(path).resolve()
    if target.is_dir():
        raise IsADirectoryError(f"cannot write {os.fspath(path)!r}: it is a directory")
    if target.exists() and not target.is_file():
        raise OSError(f"cannot write {os.fspath(path)!r}: it is a device or a pipe, and would be replaced by a file")
    temporary = target.with_name(f".vecprop-{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"cannot write {os.fspath(path)!r}: there is no directory {target.parent}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            if target.exists():
                os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_directory(target.parent)


def _sync_directory(folder: Path) -> None:
    """Make the new name last through a power failure, where the system lets a directory be flushed."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows
        return
    try:
        os.fsync(descriptor)
    except OSError:  # a file system without it
        pass
    finally:
        os.close(descriptor)
