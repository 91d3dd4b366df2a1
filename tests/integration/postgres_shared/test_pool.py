"""Connections on demand: PostgreSQL may be away, come, go and come again, and nobody has to be restarted for it."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg
import psutil
import pytest

from shared.postgres.away import PostgresRefused, PostgresUnavailable
from shared.postgres.migrations import Migration, MigrationRefused, MigrationSet
from shared.postgres.outbox import OUTBOX
from shared.postgres.pool import Database, open_pool
from shared.postgres.uri import place_of
from sluice.embedded_postgres.server import EmbeddedPostgres, Role
from tests.certificates import Authority
from tests.fixtures_patience import PATIENT_S

FIRST = Migration(1, "0001_first.sql", "CREATE TABLE first (n integer)")
SECOND = Migration(2, "0002_second.sql", "ALTER TABLE first ADD COLUMN m integer")


async def test_it_opens_without_a_server_and_finds_it_when_it_comes_goes_and_comes_again(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    database = await open_pool(server.dsn_for("executor"), schema="executor", migrations=(MigrationSet("test", (FIRST,)),))
    try:
        for _ in range(2):
            with pytest.raises(PostgresUnavailable):
                await database.fetch("SELECT n FROM first")
            await server.start()
            await database.execute("INSERT INTO first VALUES (1)")
            await server.stop()
        await server.start()
        assert len(await database.fetch("SELECT n FROM first")) == 2
    finally:
        await database.close()
        await server.stop()


async def test_what_takes_longer_than_the_limit_is_unavailable_and_the_connection_serves_the_next(
    postgres_dsn: Callable[[Role], str], postgres_schema: str
) -> None:
    database = await open_pool(postgres_dsn("executor"), schema=postgres_schema, size=1, limit_s=3)
    with pytest.raises(PostgresUnavailable):
        await database.execute("SELECT pg_sleep(60)")
    await served_again(database)
    await database.close()


@pytest.mark.parametrize("in_a_transaction", [False, True])
async def test_a_connection_that_is_cut_between_two_round_trips_of_a_statement_is_unavailable(
    database: Database, monkeypatch: pytest.MonkeyPatch, in_a_transaction: bool
) -> None:
    prepare = asyncpg.Connection._get_statement  # type: ignore[attr-defined]

    async def cut(connection: Any, *given: Any, **how: Any) -> Any:
        statement = await prepare(connection, *given, **how)
        connection.terminate()  # as the end of the limit does, whatever the driver is doing
        return statement

    await database.fetch("SELECT 1")
    with monkeypatch.context() as patched:
        patched.setattr(asyncpg.Connection, "_get_statement", cut)
        with pytest.raises(PostgresUnavailable):
            async with database.transaction() if in_a_transaction else database.connection() as connection:
                await connection.fetch("SELECT $1::integer", 1)
    assert await database.fetch("SELECT 1")


async def test_a_mistake_beside_a_living_connection_stays_one(database: Database) -> None:
    with pytest.raises(AttributeError, match="nothing"):
        async with database.connection() as connection:
            connection.nothing()  # type: ignore[union-attr]
    assert await database.fetch("SELECT 1")


async def served_again(database: Database) -> None:
    """Until a statement is served; one that a slow machine holds up for longer than the limit is said again."""
    async with asyncio.timeout(PATIENT_S):
        while True:
            try:
                assert await database.fetch("SELECT 1")
            except PostgresUnavailable:
                await asyncio.sleep(0.1)
            else:
                return


async def test_waiting_for_a_connection_counts_towards_the_limit(postgres_dsn: Callable[[Role], str], postgres_schema: str) -> None:
    database = await open_pool(postgres_dsn("executor"), schema=postgres_schema, size=1, limit_s=6)
    await database.fetch("SELECT 1")
    both = (database.execute("SELECT pg_sleep(3.2)") for _ in range(2))  # either has time enough, not one behind the other
    first, second = await asyncio.gather(*both, return_exceptions=True)
    assert first == "SELECT 1"
    assert isinstance(second, PostgresUnavailable)
    await database.close()


async def test_a_server_that_will_not_have_us_is_not_waited_for(postgres_dsn: Callable[[Role], str]) -> None:
    migrations = [MigrationSet("x", (Migration(1, "0001_x.sql", "CREATE TABLE x ()"),))]
    known = postgres_dsn("executor")
    for dsn, schema, reason in (
        (known.replace("//executor@", "//nobody@"), "executor", 'SLUICE_DATABASE: .*authentication failed for user "nobody"'),
        (known, "not_made", "SLUICE_DATABASE: no schema .*roles.sql"),
        (known, "catalog", "SLUICE_DATABASE: .*schema"),
    ):
        refused = await open_pool(dsn, schema=schema, migrations=migrations)
        with pytest.raises(PostgresRefused, match=reason):
            await refused.prepare()
        await refused.close()


@pytest.mark.parametrize("password", ["hunter#2", "hunter/2", "hun[ter", "x@hunter:2"])
async def test_a_uri_that_cannot_be_read_is_refused_and_not_repeated(password: str) -> None:
    unread = await open_pool(f"postgresql://somebody:{password}@127.0.0.1:1/db", schema="x", migrations=[OUTBOX])
    with pytest.raises((PostgresRefused, PostgresUnavailable)) as refused:
        await unread.prepare()
    assert "hun" not in str(refused.value)
    await unread.close()


@pytest.mark.parametrize("name", ["sslrootcert", "sslcert"])
async def test_a_certificate_that_cannot_be_read_is_not_waited_for(name: str, tmp_path: Path) -> None:
    given = {"sslmode": "verify-full", "sslrootcert": str(Authority(tmp_path, "ours").file), name: str(tmp_path / "absent")}
    wrong = await open_pool(f"postgresql://somebody@127.0.0.1:1/db?{urlencode(given)}", schema="x", migrations=[OUTBOX])
    with pytest.raises(PostgresRefused, match=f"SLUICE_DATABASE: {name}: the file cannot be read"):
        await wrong.prepare()
    await wrong.close()


async def test_a_socket_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    early = await open_pool(f"postgresql://somebody@/db?host={tmp_path}", schema="x", migrations=[OUTBOX])
    with pytest.raises(PostgresUnavailable, match=re.escape(f"PostgreSQL at {tmp_path} is away")):
        await early.prepare()
    await early.close()


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("postgresql://somebody:hunter2@db-1:5432,db-2/x", "db-1:5432,db-2"),
        ("postgresql://[::1]:5432/x", "[::1]:5432"),
        ("postgresql://somebody:hunter2@/x?password=hunter3&host=/run/postgresql", "/run/postgresql"),
        ("postgresql:///x", ""),
        ("postgresql://somebody:hunter/2@db/x", ""),
        ("postgresql://somebody:12/34@db/x", ""),
        ("postgresql://somebody:x@hunter:2@db/x", ""),
        ("postgresql://somebody:hun[ter@db/x", ""),
    ],
)
def test_a_place_is_read_off_a_uri_where_that_cannot_be_a_part_of_the_password(uri: str, place: str) -> None:
    assert place_of(uri) == place


async def test_an_outage_names_postgresql_and_where_and_no_password() -> None:
    away = await open_pool("postgresql://somebody:hunter2@127.0.0.1:1/db", schema="x", migrations=[OUTBOX])
    for asked in (away.prepare(), away.fetchrow("SELECT 1")):
        with pytest.raises(
            PostgresUnavailable, match=r"PostgreSQL at 127\.0\.0\.1:1 is away or too slow \(ConnectionRefusedError: "
        ) as told:
            await asked
        assert "hunter" not in str(told.value)
    await away.close()


async def test_a_mistake_of_ours_is_no_outage(database: Database) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await database.fetch("SELECT 1 FROM nowhere")
    with pytest.raises(asyncpg.DataError):
        await database.fetch("SELECT $1::integer", "x")


async def test_an_exception_rolls_the_transaction_back(database: Database) -> None:
    await database.execute("CREATE TABLE t (n integer)")

    async def fail() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO t VALUES (1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await database.fetch("SELECT * FROM t") == []


async def opened(dsn: str, schema: str, *migrations: Migration) -> Database:
    return await open_pool(dsn, schema=schema, migrations=(MigrationSet("test", migrations),))


async def test_many_processes_migrate_once(postgres_dsn: Callable[[Role], str], postgres_schema: str) -> None:
    databases = [await opened(postgres_dsn("executor"), postgres_schema, FIRST, SECOND) for _ in range(5)]
    await asyncio.gather(*(one.prepare() for one in databases))
    assert len(await databases[0].fetch("SELECT * FROM schema_migrations")) == 2
    for one in databases:
        await one.close()


async def test_a_changed_file_is_refused_and_a_newer_release_left_alone(postgres_dsn: Callable[[Role], str], postgres_schema: str) -> None:
    newer = await opened(postgres_dsn("executor"), postgres_schema, FIRST, SECOND)
    await newer.prepare()
    older = await opened(postgres_dsn("executor"), postgres_schema, FIRST)
    assert await older.fetch("SELECT m FROM first") == []
    changed = await opened(postgres_dsn("executor"), postgres_schema, Migration(1, FIRST.name, FIRST.sql + " "))
    with pytest.raises(MigrationRefused, match="0001_first"):
        await changed.fetch("SELECT 1")
    for one in (newer, older, changed):
        await one.close()


async def test_a_file_that_fails_leaves_nothing_behind(postgres_dsn: Callable[[Role], str], postgres_schema: str) -> None:
    database = await opened(postgres_dsn("executor"), postgres_schema, FIRST, Migration(2, "0002_bad.sql", "CREATE TABLE b (n nonsense)"))
    with pytest.raises(asyncpg.UndefinedObjectError):
        await database.prepare()
    await database.close()
    database = await opened(postgres_dsn("executor"), postgres_schema)
    assert (await database.fetch("SELECT to_regclass('first') AS found"))[0]["found"] is None
    await database.close()


@pytest.mark.parametrize("names", [["0002_late.sql"], ["0001_a.sql", "0001_b.sql"], ["0001_a.sql", "0003_c.sql"]])
def test_numbers_have_no_gap_and_no_double(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(MigrationRefused):
        MigrationSet.load("test", tmp_path)


@contextmanager
def standing_still(folder: Path) -> Iterator[None]:
    """The server and all its backends stop (SIGSTOP): a machine that hangs, a network that drops everything."""
    postmaster = psutil.Process(int((folder / "data" / "postmaster.pid").read_text().split()[0]))
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


async def test_a_server_that_stands_still_keeps_nobody_and_serves_again(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    await server.start()
    database = await open_pool(server.dsn_for("executor"), schema="executor", size=2, limit_s=2)
    await asyncio.gather(*(served_again(database) for _ in range(2)))

    async def in_a_transaction() -> None:
        async with database.transaction() as connection:
            await connection.execute("SELECT 1")

    try:
        with standing_still(tmp_path):
            async with asyncio.timeout(PATIENT_S):
                for _ in range(3):
                    with pytest.raises(PostgresUnavailable):
                        await database.fetch("SELECT 1")
                    with pytest.raises(PostgresUnavailable):
                        await in_a_transaction()
        await served_again(database)
    finally:
        await database.close()
        await server.stop()


async def test_who_is_cancelled_in_a_transaction_does_not_wait_for_the_server(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    await server.start()
    database = await open_pool(server.dsn_for("executor"), schema="executor", limit_s=60)
    started = asyncio.Event()

    async def slow() -> None:
        async with database.transaction() as connection:
            await connection.execute("SELECT 1")
            started.set()
            await connection.execute("SELECT pg_sleep(50)")

    try:
        task = asyncio.create_task(slow())
        await started.wait()
        with standing_still(tmp_path):
            task.cancel()
            async with asyncio.timeout(30):  # half of what the server may take
                await asyncio.wait([task])
        assert task.cancelled()
        assert await database.fetch("SELECT 1")
    finally:
        await database.close()
        await server.stop()
