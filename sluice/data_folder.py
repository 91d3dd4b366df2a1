"""The folder in which `sluice up` keeps everything (`SLUICE_DATA`), and the lock that lets one process have it.

data/             mode 0700
  secret.key      mode 0600: cookies are proved with it, epoch keys wrapped
  log.sqlite      the log: any SQLite client reads it
  postgres/       PostgreSQL (`sluice.embedded_postgres.server`)
  lock            held with flock(2), so that a killed process leaves no stale one; its text is the holder's pid

A folder that holds anything, and nothing of these, is somebody else's (`/etc`, a mistyped path): it is refused untouched.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shared.kernel.errors import SluiceError
from shared.kernel.variables import Misconfigured, variable
from sluice.private_files import close_file, close_folder

_FILES: Final = ("secret.key", "lock")  # PostgreSQL looks after its own
_MARKS: Final = ("secret.key", "log.sqlite", "postgres/PG_VERSION")
_CLUSTER: Final = "cluster/secret.key"  # `make cluster` keeps its folder in the usual data folder
_BEGUN: Final = {"lock", "secret.new", "log.sqlite-wal", "log.sqlite-shm", "postgres"}
"""What a first start that was killed can leave, without any mark."""
_OF_THE_DISK: Final = {"lost+found"}  # in the root of a new file system


class DataInUse(SluiceError):
    """Another `sluice up` runs on this folder."""

    code = "E_DATA_IN_USE"


class DataFolder:
    """The paths in it."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.secret_key = self.path / "secret.key"
        self.log = self.path / "log.sqlite"
        self.postgres = self.path / "postgres"

    def make(self) -> None:
        """Make the folder itself if it is not there: it names people, so nobody else may look in, nor into one that was there.

        Raises:
            Misconfigured: there can be no folder, it holds other things than ours, or it or one of our files in it belongs to
                somebody else.
        """
        with _refused():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = {entry.name for entry in self.path.iterdir()} - _OF_THE_DISK
            if names and not self._ours(names) and not (self.path / _CLUSTER).is_file():
                raise Misconfigured(
                    f"{variable('data')}: {self.path} is not empty and holds nothing of Sluice: it is left as it is. "
                    "Name a folder that is empty or not there yet"
                )
        self.close()

    def find(self) -> None:
        """Refuse a folder that `sluice up` did not make; close the one that it made.

        Raises:
            Misconfigured: there is none, or as for `make`.
        """
        with _refused():
            names = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
            if not self._ours(names):
                raise Misconfigured(
                    f"{variable('data')}: there is no data folder of Sluice at {self.path}. `sluice up` makes one; "
                    f"{variable('database')} names a PostgreSQL elsewhere"
                )
        self.close()

    def close(self) -> None:
        """Close the folder and our files in it to everybody else."""
        with _refused():
            close_folder(self.path, variable("data"))
            for name in (*_FILES, *(f"{self.log.name}{part}" for part in ("", "-wal", "-shm"))):
                close_file(self.path / name, variable("data"))

    def _ours(self, names: set[str]) -> bool:
        """Whether these, which are all names in the folder, are of a data folder, or of one whose first start was cut short."""
        marked = any(os.path.lexists(self.path / mark) for mark in _MARKS)  # a planted link is refused later, with its name
        begun = names - _OF_THE_DISK
        return marked or (bool(begun) and begun <= _BEGUN and ("lock" in begun or "postgres" not in begun))

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Make the folder if need be, and hold it inside the block.

        Raises:
            DataInUse: another process has it.
            Misconfigured: there can be no folder, or we may not write in it.
        """
        self.make()
        with _refused():
            (self.path / "lock").touch(mode=0o600)
            lock = (self.path / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise DataInUse(
                f"another `sluice up` (process {holder or 'unknown'}) runs on {self.path}; stop it first, or set SLUICE_DATA to another folder"
            ) from None
        with lock:
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def make_secret_key(self) -> Path:
        """The file of the secret key, filled with 48 random bytes as text on the first start; whole or not there."""
        if not self.secret_key.exists():
            fresh = self.secret_key.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(48) + "\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self.secret_key)
        return self.secret_key


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except OSError as failure:
        raise Misconfigured(f"{variable('data')}: {failure.filename} cannot be used: {failure.strerror}") from None
