"""One server for the run, one schema for each test."""

from collections.abc import AsyncIterator, Callable

import pytest

from shared.postgres.outbox import OUTBOX
from shared.postgres.pool import Database, open_pool
from sluice.embedded_postgres.server import Role


@pytest.fixture
async def database(postgres_dsn: Callable[[Role], str], postgres_schema: str) -> AsyncIterator[Database]:
    database = await open_pool(postgres_dsn("executor"), schema=postgres_schema, size=4, migrations=(OUTBOX,))
    yield database
    await database.close()
