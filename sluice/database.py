"""PostgreSQL for a command that writes to it and ends: the one of SLUICE_DATABASE, of a running `sluice up`, or its own.

Such commands write tables and outbox only; the next relay that runs tells the log.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal

import asyncpg

from shared.kernel.errors import Unavailable
from shared.kernel.retrying import insist
from shared.runtime.settings import CommonSettings
from sluice.data_folder import DataFolder
from sluice.embedded_postgres.server import EmbeddedPostgres

STARTING_S: Final = 60.0  # somebody else may be starting or stopping it
RETRY_S: Final = 0.1


@asynccontextmanager
async def database(settings: CommonSettings, role: Literal["catalog", "executor"]) -> AsyncIterator[str]:
    """A DSN for that role, good inside the block."""
    if settings.database is not None:
        yield settings.database.get_secret_value()
        return
    folder = DataFolder(settings.data)
    folder.find()
    postgres = EmbeddedPostgres(folder.postgres)
    try:
        if postgres.running():
            await _until_ready(postgres.dsn_for(role))
        else:
            await postgres.start()
        yield postgres.dsn_for(role)
    finally:
        await postgres.stop()


async def _until_ready(dsn: str) -> None:
    try:
        async with asyncio.timeout(STARTING_S):
            connection = await insist(lambda: asyncpg.connect(dsn), RETRY_S, on=(OSError, asyncpg.PostgresError))
            await connection.close()
    except TimeoutError:
        raise Unavailable("another process holds the PostgreSQL of this folder, but it does not answer") from None
