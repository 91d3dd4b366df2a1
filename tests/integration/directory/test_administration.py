"""Users administered from outside the service: by a person at a terminal, who waits longer than a visitor."""

import asyncio
from pathlib import Path

import asyncpg

from services.executor.administration import NewUser, administration
from services.executor.settings import Settings
from shared.postgres.pool import TIMEOUT
from shared.postgres.server import EmbeddedPostgres


async def test_a_change_waits_for_a_database_that_takes_longer_than_a_visitor_would_wait(tmp_path: Path, limits_as_shipped: None) -> None:
    server = EmbeddedPostgres(tmp_path)
    await server.start()
    dsn = server.dsn_for("executor")
    try:
        async with administration(dsn, Settings.model_validate({})) as users:
            first = await users.create(NewUser("alice", password="alice-pw"))
            somebody = await asyncpg.connect(dsn)
            await somebody.execute("BEGIN; LOCK TABLE executor.users IN ACCESS EXCLUSIVE MODE")
            making = asyncio.create_task(users.create(NewUser("bob", password="bob-pw")))
            await asyncio.sleep(2 * TIMEOUT)
            assert not making.done()
            await somebody.close()
            assert await making > first
    finally:
        await server.stop()
