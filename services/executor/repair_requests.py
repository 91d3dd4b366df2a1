"""Partitions of sessions that are set aside, for whoever mends them from outside the service: the command line, beside running workers."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from services.executor.common.ports import Aside
from services.executor.directory.directory import open_directory
from services.executor.directory.secret_key_check import refuse_another_secret
from services.executor.directory.set_aside_rows import PostgresSetAside
from services.executor.sessions.differing import Differing, survey
from services.executor.sessions.lifetime import REACH
from shared.contracts.topics import SESSIONS, STATE
from shared.kernel.clock import Clock, SystemClock
from shared.messaging.log import ReadableLog

LIMIT_S: Final = 20.0
LOOK_S: Final = 0.5
TOPICS: Final = (SESSIONS, STATE)
"""What is read to tell what differs."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A partition that is set aside, the sessions that differ, and who stays logged in though their session ends."""

    aside: Aside
    differing: tuple[Differing, ...]
    logged_in: Mapping[str, str]


class Mending:
    """Says what is damaged and asks for repairs; the worker that holds a partition makes them, for it alone writes there."""

    def __init__(self, rows: PostgresSetAside, log: ReadableLog, clock: Clock) -> None:
        self._rows = rows
        self._log = log
        self._clock = clock

    async def damages(self, partitions: Collection[int]) -> Sequence[Damage]:
        """Of these partitions, or of all, those that are set aside."""
        asides = await self._rows.rows()
        return [await self._damage(one) for number, one in asides.items() if not partitions or number in partitions]

    async def _damage(self, aside: Aside) -> Damage:
        now_us = self._clock.now_us()
        ordered = await self._rows.ordered(aside.partition, now_us - REACH)
        differing = (await survey(self._log, aside.partition, ordered, now_us)).differing
        return Damage(aside, differing, await self._rows.logins([one.session for one in differing]))

    async def repair(self, partitions: Sequence[int], patience_s: float) -> Sequence[int]:
        """Have these partitions repaired by whoever holds them; those that are not yet, after so many seconds."""
        await self._rows.ask_for_repair(partitions)
        deadline = self._clock.monotonic() + patience_s
        while left := sorted((await self._rows.rows()).keys() & set(partitions)):
            if self._clock.monotonic() > deadline:
                break
            await asyncio.sleep(LOOK_S)
        return left


@asynccontextmanager
async def mending(dsn: str, log: ReadableLog, secrets: Sequence[bytes] = ()) -> AsyncIterator[Mending]:
    """Over this database and this log. `SecretKeyDiffers` if `secrets`, by which records of the log are believed, lack the installation's."""
    database = await open_directory(dsn, size=1, limit_s=LIMIT_S)
    try:
        if any(secrets):
            await refuse_another_secret(database, secrets)
        yield Mending(PostgresSetAside(database), log, SystemClock())
    finally:
        await database.close()
