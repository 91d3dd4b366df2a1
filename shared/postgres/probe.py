"""Would PostgreSQL take a write now? Only a write can tell: a standby answers every question (readiness)."""

import asyncio
from typing import Final

from shared.kernel.clock import Clock
from shared.postgres.pool import Database

KEPT_S: Final = 1.0
"""For so long an answer holds: whoever asks more often costs nothing."""


class WriteProbe:
    """Writes one row and takes it back, at most once in `KEPT_S`, for all that ask meanwhile."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._tried_at = 0.0
        self._try: asyncio.Task[None] | None = None

    async def reach(self) -> None:
        """One try: returns if a visitor's write would be taken; raises what `Database.prepare` and a write raise."""
        now = self._clock.monotonic()
        if self._try is None or (self._try.done() and now - self._tried_at >= KEPT_S):
            self._tried_at = now
            self._try = asyncio.create_task(self._tried(), name=f"write probe {self._database.schema}")
            self._try.add_done_callback(_retrieve)
        await asyncio.shield(self._try)

    async def _tried(self) -> None:
        await self._database.prepare()
        async with self._database.connection() as connection:
            taken_back = connection.transaction()
            await taken_back.start()
            try:
                await connection.execute("INSERT INTO write_probe DEFAULT VALUES")
            finally:
                await taken_back.rollback()


def _retrieve(task: asyncio.Task[None]) -> None:
    """Take note of the failure even if all who waited have given up."""
    if not task.cancelled():
        task.exception()
