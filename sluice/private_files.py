"""Files and folders that hold keys or name people: this user's own, and closed to all others, or refused."""

import logging
import os
import stat
from pathlib import Path
from typing import Final

from shared.kernel.variables import Misconfigured

_OTHERS: Final = 0o077
_log = logging.getLogger(__name__)


def close_folder(path: Path, what: str) -> None:
    """Make an existing folder one that only we may enter; `what` names it in the sentence of a refusal."""
    _check_owner(path, what)
    if not stat.S_ISDIR(path.stat().st_mode):
        raise Misconfigured(f"{what}: {path} is no folder")
    _close(path, what)


def close_file(path: Path, what: str) -> None:
    """Make a file one that only we may read, if it is there.

    Raises:
        Misconfigured: it (or a link in its place) belongs to somebody else, is no file, or does not stay closed.
    """
    if not path.is_symlink() and not path.exists():
        return
    _check_owner(path, what)
    if not stat.S_ISREG(path.stat().st_mode):
        raise Misconfigured(f"{what}: {path} is no file")
    _close(path, what)


def _check_owner(path: Path, what: str) -> None:
    """Of the link too, if it is one: who made it chose what it leads to."""
    me = os.geteuid()
    for found in (path.lstat(), path.stat()):
        if found.st_uid != me:
            raise Misconfigured(
                f"{what}: {path} belongs to the user with number {found.st_uid}, this process is {me}: "
                f"start as that user, or give it away (chown)"
            )


def _close(path: Path, what: str) -> None:
    before = stat.S_IMODE(path.stat().st_mode)
    if not before & _OTHERS:
        return
    path.chmod(before & ~_OTHERS)
    if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
        raise Misconfigured(f"{what}: {path} is open to other users and its file system keeps no modes: choose another place")
    _log.warning("%s was open to other users (mode %04o) and now is not; whoever could read it may know what it held", path, before)
