"""Whether a folder is private to the user: compiled programs are loaded from no other."""

import os
import stat
from pathlib import Path

from vecprop.utils.errors import BackendUnusableError


def refuse_shared_cache(folder: str, compiled: str, variable: str, instead: str) -> None:
    """Raise BackendUnusableError if others can write to the folder where a library keeps what it has compiled."""
    if why := why_not_private(folder):
        raise BackendUnusableError(
            f"{compiled} from its cache {folder}, and {why}: what somebody else puts there would run as yours. Set "
            f"{variable} to a folder of your own (chmod 700), or {instead}"
        )


def why_not_private(folder: str | os.PathLike[str]) -> str:
    """Return why others than the user and root can put files into a folder, or "" if they cannot.

    A missing folder is judged by the folders above it. Permissions of groups are ignored. On Windows, where a user's
    folders are private, the answer is always "".

    >>> why_not_private("/")
    ''
    """
    if not hasattr(os, "getuid"):
        return ""
    path = Path(os.path.realpath(os.path.expanduser(folder)))
    for place in (path, *path.parents):
        try:
            status = place.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"{place} cannot be looked at ({error.strerror})"
        if status.st_uid not in (0, os.getuid()):
            return f"{place} belongs to another user"
        # in a folder with the sticky bit, such as /tmp, others can add files but not touch the user's
        sticky = place != path and status.st_mode & stat.S_ISVTX
        if status.st_mode & stat.S_IWOTH and not sticky:
            return f"everybody can write into {place}"
    return ""
