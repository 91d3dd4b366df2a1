"""The one process of `sluice up`, as far as it can go before the services are imported (architecture §7).

PostgreSQL is another process: while it starts, the services' modules are imported, which takes as long.
"""

import asyncio
from contextlib import AsyncExitStack
from importlib import import_module

from shared.runtime import process
from shared.runtime.settings import CommonSettings
from sluice.data_folder import DataFolder
from sluice.embedded_postgres.server import EmbeddedPostgres


async def serve(settings: CommonSettings, folder: DataFolder) -> None:
    """Run all services on the folder until cancelled, or until one of them or PostgreSQL ends by itself."""
    importing = asyncio.create_task(asyncio.to_thread(import_module, "sluice.together"))
    async with AsyncExitStack() as stack:
        postgres = EmbeddedPostgres(folder.postgres)
        await process.started(stack, postgres)
        together = await importing
        await together.serve(stack, settings, folder, postgres)
