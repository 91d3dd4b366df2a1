"""A real PostgreSQL for integration tests: one server a test run, a schema of its own for each test. In `tests/conftest.py`."""

from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Final

import asyncpg
import pytest
import pytest_asyncio

from sluice.embedded_postgres.server import EmbeddedPostgres, Role

_NUMBERS: Final = count(1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """The server of this test run."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    await server.start()
    admin = await asyncpg.connect(server.dsn_for("sluice_admin"))
    for role in ("sluice_admin", "executor", "catalog"):  # hundreds of schemas are made and nothing has to survive a crash
        await admin.execute(f"ALTER ROLE {role} SET synchronous_commit = off")
    await admin.close()
    yield server
    await server.stop()


@pytest.fixture(scope="session")
def postgres_dsn(postgres: EmbeddedPostgres) -> Callable[[Role], str]:
    """From a role (`executor`, `catalog`, `sluice_admin`) to its libpq URI."""
    return postgres.dsn_for


@pytest.fixture
async def postgres_schema(postgres_dsn: Callable[[Role], str]) -> AsyncIterator[str]:
    """The name of an empty schema that `executor` and `catalog` may use, dropped after the test."""
    name = f"test_{next(_NUMBERS)}"
    admin = await asyncpg.connect(postgres_dsn("sluice_admin"))
    try:
        await admin.execute(f"CREATE SCHEMA {name}; GRANT ALL ON SCHEMA {name} TO executor, catalog")
        yield name
        await admin.execute(f"DROP SCHEMA {name} CASCADE")
    finally:
        await admin.close()
