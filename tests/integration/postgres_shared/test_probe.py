"""A write that is taken back: what a visitor would meet, for the price of one a second."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from shared.kernel.clock import FixedClock, SystemClock
from shared.postgres.away import PostgresReadOnly, PostgresUnavailable
from shared.postgres.outbox import OUTBOX
from shared.postgres.pool import Database, open_pool
from shared.postgres.probe import KEPT_S, WriteProbe
from sluice.embedded_postgres.server import EmbeddedPostgres


async def set_read_only(server: EmbeddedPostgres, value: str) -> None:
    admin = await asyncpg.connect(server.dsn_for("sluice_admin"))
    try:
        await admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        await admin.execute("SELECT pg_reload_conf()")
    finally:
        await admin.close()


async def test_a_server_that_only_answers_questions_is_told_from_one_that_takes_writes(tmp_path: Path) -> None:
    server, clock = EmbeddedPostgres(tmp_path), FixedClock()
    database = await open_pool(server.dsn_for("executor"), schema="executor", migrations=(OUTBOX,))
    probe = WriteProbe(database, clock)

    async def until(*wanted: type[Exception]) -> None:
        async with asyncio.timeout(60):
            while True:  # the server reads its settings again in its own time
                clock.advance(KEPT_S)
                found = (await asyncio.gather(probe.reach(), return_exceptions=True))[0]
                if type(found) in (wanted or (type(None),)):
                    return
                await asyncio.sleep(0.05)

    try:
        await until(PostgresUnavailable)
        await server.start()
        await until()
        await set_read_only(server, "on")
        await until(PostgresReadOnly)
        assert await database.fetch("SELECT 1")
        await set_read_only(server, "off")
        await until()
        assert await database.fetch("SELECT 1 FROM write_probe") == []
    finally:
        await database.close()
        await server.stop()


async def test_a_thousand_questions_within_a_second_are_one_try(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, tries = FixedClock(), 0
    connection = Database.connection

    def counted(self: Database) -> object:
        nonlocal tries
        tries += 1
        return connection(self)

    monkeypatch.setattr(Database, "connection", counted)
    probe = WriteProbe(database, clock)
    await asyncio.gather(*(probe.reach() for _ in range(500)))
    for _ in range(500):
        await probe.reach()
    assert tries == 1
    clock.advance(KEPT_S)
    await probe.reach()
    assert tries == 2


async def test_who_gives_up_waiting_takes_the_answer_from_nobody(database: Database) -> None:
    probe = WriteProbe(database, SystemClock())
    impatient = asyncio.create_task(probe.reach())
    await asyncio.sleep(0)
    impatient.cancel()
    await probe.reach()
