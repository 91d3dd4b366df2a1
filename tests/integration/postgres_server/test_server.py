"""The embedded PostgreSQL on this machine's real processes: where it runs, who gets in, and what a kill leaves behind."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from sluice.embedded_postgres import server
from sluice.embedded_postgres.account import PostgresFailed, installed_binaries, servers_in
from sluice.embedded_postgres.server import EmbeddedPostgres, PostgresInUse, Role

ROOT = os.geteuid() == 0
REPOSITORY = Path(__file__).parents[3]

PARENT = """
import asyncio, sys
from pathlib import Path
from sluice.embedded_postgres.server import EmbeddedPostgres

async def main():
    postgres = EmbeddedPostgres(Path(sys.argv[1]))
    await postgres.start()
    sys.stdout.write("started\\n"); sys.stdout.flush()
    await postgres.wait()

asyncio.run(main())
"""


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(folder)
    await postgres.start()
    try:
        yield postgres
    finally:
        await postgres.stop()


async def run(postgres: EmbeddedPostgres, sql: str, role: Role = "sluice_admin") -> object:
    connection = await asyncpg.connect(postgres.dsn_for(role))
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def postmaster(folder: Path) -> psutil.Process:
    return psutil.Process(int((folder / "data" / "postmaster.pid").read_text().splitlines()[0]))


async def test_roles_own_their_schema_and_see_no_other(tmp_path: Path) -> None:
    async with started(tmp_path / "with a blank" / "pg") as postgres:
        await run(postgres, "CREATE TABLE secret AS SELECT 1 AS n", "executor")
        assert await run(postgres, "SELECT n FROM executor.secret", "executor") == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run(postgres, "SELECT n FROM executor.secret", "catalog")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run(postgres, "CREATE TABLE public.mine (n int)", "catalog")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run(postgres, "SELECT pg_read_file('PG_VERSION')", "catalog")


async def test_listens_nowhere_but_in_a_private_folder(tmp_path: Path) -> None:
    folder = tmp_path / "pg"
    async with started(folder):
        main = postmaster(folder)
        assert not main.net_connections(kind="inet")
        assert (folder / "run" / ".s.PGSQL.5432").is_socket()
        for private in (folder, folder / "run", folder / "data"):
            assert stat.S_IMODE(private.stat().st_mode) == 0o700
        rules = [line.split() for line in (folder / "data" / "pg_hba.conf").read_text().splitlines()]
        assert rules == [["local", "all", "all", "peer", "map=sluice"]]


@pytest.mark.skipif(not ROOT, reason="only root has to become somebody else")
async def test_as_root_runs_as_somebody_else_and_opens_no_parent_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    async with started(closed / "pg"):
        assert all(uid != 0 for uid in postmaster(closed / "pg").uids())
        assert (stat.S_IMODE(closed.stat().st_mode), closed.stat().st_uid) == (0o700, 0)


@pytest.mark.skipif(not ROOT, reason="only root has to become somebody else")
async def test_binaries_out_of_reach_are_copied_for_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    package = installed_binaries().parent
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, closed / folder.name, ignore=shutil.ignore_patterns("pginstall", "include", "*.a"))
    monkeypatch.setattr(server, "installed_binaries", lambda: closed / package.name / installed_binaries().name)
    async with started(tmp_path / "pg") as postgres:
        assert await run(postgres, "SELECT 1") == 1
        program = Path(postmaster(tmp_path / "pg").exe())
        assert closed not in program.parents
    assert not program.exists()


@pytest.mark.parametrize("name", ["long" * 40, "with, comma"])
async def test_a_path_that_no_socket_address_can_hold(tmp_path: Path, name: str) -> None:
    async with started(tmp_path / name / "pg") as postgres:
        assert await run(postgres, "SELECT 1") == 1


async def test_stopped_and_started_again_it_has_the_same_data(tmp_path: Path) -> None:
    async with started(tmp_path / "pg") as postgres:
        await run(postgres, "CREATE TABLE kept AS SELECT 7 AS n", "catalog")
        await postgres.stop()
        assert not postgres.running()
        await postgres.start()
        assert await run(postgres, "SELECT n FROM kept", "catalog") == 7
    assert not servers_in(tmp_path / "pg" / "data")


async def test_killed_with_its_parent_it_ends_and_starts_again(tmp_path: Path) -> None:
    folder = tmp_path / "with a blank"
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(folder), cwd=REPOSITORY, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    assert await asyncio.wait_for(parent.stdout.readline(), 120) == b"started\n"
    postgres = EmbeddedPostgres(folder)
    assert postgres.running()
    await run(postgres, "CREATE TABLE kept AS SELECT 7 AS n", "executor")
    main = postmaster(folder)
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(main.wait, 60)
    async with started(folder) as postgres:
        assert await run(postgres, "SELECT n FROM kept", "executor") == 7


async def test_an_orphan_is_ended_and_replaced(tmp_path: Path) -> None:
    async with started(tmp_path / "pg") as orphaned:
        assert orphaned._lock is not None
        orphaned._lock.close()  # as the kernel does for a parent that is killed
        orphan = postmaster(tmp_path / "pg")
        async with started(tmp_path / "pg") as postgres:
            assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
            assert await run(postgres, "SELECT 1") == 1


async def test_a_pid_file_that_names_a_stranger_is_forgotten(tmp_path: Path) -> None:
    async with started(tmp_path / "pg") as postgres:
        await run(postgres, "CREATE TABLE kept AS SELECT 7 AS n", "catalog")
        pid_file = tmp_path / "pg" / "data" / "postmaster.pid"
        owner = pid_file.stat().st_uid
        lines = pid_file.read_text().splitlines()
        postmaster(tmp_path / "pg").send_signal(signal.SIGKILL)
        await postgres.wait()
        await postgres.stop()
        stranger = await asyncio.create_subprocess_exec("sleep", "60", user=owner if ROOT else None)
        try:
            pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]))
            await postgres.start()
            assert await run(postgres, "SELECT n FROM kept", "catalog") == 7
            assert stranger.returncode is None
        finally:
            stranger.kill()
            await stranger.wait()


async def test_only_one_process_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LOCK_TIMEOUT", 0.1)
    other = EmbeddedPostgres(tmp_path / "pg")
    assert not other.running()
    async with started(tmp_path / "pg") as postgres:
        assert other.running()
        with pytest.raises(PostgresInUse):
            await other.start()
        assert await run(postgres, "SELECT 1") == 1


async def test_half_a_creation_is_started_over(tmp_path: Path) -> None:
    half = tmp_path / "pg" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    async with started(tmp_path / "pg") as postgres:
        assert await run(postgres, "SELECT 1") == 1
        assert half not in half.parent.iterdir()


async def test_data_of_another_version_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "pg" / "data").mkdir(parents=True)
    (tmp_path / "pg" / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(PostgresFailed, match="made by PostgreSQL 17"):
        await EmbeddedPostgres(tmp_path / "pg").start()


async def test_a_server_that_dies_at_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SETTINGS", [*server.SETTINGS, "no_such_setting=1"])
    postgres = EmbeddedPostgres(tmp_path / "pg")
    with pytest.raises(PostgresFailed, match="no_such_setting"):
        await postgres.start()
    assert not postgres.running()
