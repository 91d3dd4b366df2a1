"""The catalog's store on a real PostgreSQL, in a schema of its own."""

from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from services.catalog.adapters.postgres.store import MIGRATIONS, PostgresStore
from shared.kernel.clock import FixedClock
from shared.kernel.ids import random_id
from shared.postgres.pool import Database, open_pool
from sluice.embedded_postgres.server import Role


@pytest_asyncio.fixture
async def database(postgres_dsn: Callable[[Role], str], postgres_schema: str) -> AsyncIterator[Database]:
    opened = await open_pool(postgres_dsn("catalog"), schema=postgres_schema, migrations=MIGRATIONS)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def clock() -> FixedClock:
    return FixedClock()


@pytest_asyncio.fixture
async def store(database: Database, clock: FixedClock) -> PostgresStore:
    return PostgresStore(database, clock, random_id)
