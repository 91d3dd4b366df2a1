"""Says everything current again, where what stands in a compacted topic is not what its writer said last.

That is so when the writer has a new signing key, whose readers may not know the old one any more; and when somebody who may
write the topic wrote over a key: readers pass such a record by, but compaction keeps it and drops the true one of before, so
that a reader who starts later would know nothing of it. Any number of processes may watch; PostgreSQL lets one speak.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from shared.contracts.errors import BadRecord
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.kernel.retrying import insist
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import Log, Record
from shared.messaging.projection import Projection
from shared.messaging.proved import signer_of
from shared.postgres.pool import Database

logger = logging.getLogger(__name__)

PAUSE_S: Final = 60.0
"""Between two times, whoever writes over what: each costs as much as the topic is large."""
RETRY_S: Final = 1.0
_SIGNER: Final = "SELECT signer FROM outbox_signer"
_CLAIM: Final = """
INSERT INTO outbox_signer (signer) VALUES ($1) ON CONFLICT (one) DO UPDATE SET signer = excluded.signer, said_at = now()
WHERE outbox_signer.signer <> excluded.signer OR outbox_signer.said_at < now() - $2 * interval '1 second'
RETURNING signer"""

VersionOf = Callable[[Record], int | None]
"""The version of what a record says of its key, None where it has none; `BadRecord` if it is not the topic's writer's."""


async def never() -> bool:
    """Of a topic whose readers take any record that comes later."""
    return False


class Repeating:
    """Run `run` in a task for as long as the service lives. `again` puts everything current into the outbox; `is_ahead`, asked once the
    topic is read to its end, whether it knows more than PostgreSQL.

    Where nothing is signed there is one writer, and nothing to do.
    """

    def __init__(
        self, database: Database, log: Log, topic: str, version_of: VersionOf, again: Callable[[], Awaitable[object]],
        dead_letters: DeadLetters, clock: Clock, *, is_ahead: Callable[[], Awaitable[bool]] = never,
    ) -> None:  # fmt: skip
        self._database = database
        self._again = again
        self._signer = signer_of(log)
        self._topic = topic
        self._version_of = version_of
        self._versions: dict[bytes | None, int] = {}
        self._wrong = asyncio.Event()
        self._is_ahead = is_ahead
        self._projection = Projection(log, topic, self._look, dead_letters, clock)

    async def run(self) -> None:
        """Watch, and say everything again when that is due, for ever; PostgreSQL being away only delays it."""
        if not self._signer:
            await asyncio.get_running_loop().create_future()
        await self._projection.start()
        try:
            await self._at_the_start()
            while True:
                await self._wrong.wait()
                self._wrong.clear()
                if not await self._say():
                    self._wrong.set()
                await asyncio.sleep(PAUSE_S)
        finally:
            await self._projection.stop()

    async def _at_the_start(self) -> None:
        row = await insist(lambda: self._database.fetchrow(_SIGNER), RETRY_S)
        await self._projection.ready.wait()  # what stands there has to be known before it is said again
        if row is None or row["signer"] != self._signer or await insist(self._is_ahead, RETRY_S):
            self._wrong.set()

    async def _say(self) -> bool:
        try:
            if await self._database.fetchrow(_CLAIM, self._signer, PAUSE_S) is not None:
                await self._again()
                logger.warning("%s: everything current is said again", self._topic)
        except Unavailable as away:
            logger.warning("%s: what is current cannot be said again now: %s", self._topic, away)
            return False
        return True

    def _look(self, record: Record) -> None:
        try:
            version = self._version_of(record)
        except BadRecord:
            self._wrong.set()
            raise
        if version is None:
            return
        if version < self._versions.get(record.key, 0):
            self._wrong.set()
        else:
            self._versions[record.key] = version
