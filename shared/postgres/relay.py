"""Carries the outbox of one schema into the log, one process at a time.

Who leads has a row with a deadline (`lead`), and publishes only while it is sure of it. Whoever takes over from a silent one waits
until the silent one's last appends are over, and says again what was said lately. A record can be published twice, never lost.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg

from shared.contracts.topics import TOPICS, Topic
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.kernel.ids import random_id
from shared.messaging.log import Log, LogUnavailable, Message
from shared.postgres.away import unavailable
from shared.postgres.lead import PATIENCE_S, Lead, Taken
from shared.postgres.outbox import channel
from shared.postgres.pool import TIMEOUT, Database
from shared.postgres.publishing import Publishing

logger = logging.getLogger(__name__)

LEASE_S: Final = 3.0
POLL_S: Final = 1.0
"""NOTIFY is quicker but promises nothing."""
APPEND_S: Final = 1.0
"""For so long a record of a predecessor may be under way: what the log gives an append (`log.Log.append`)."""
DRAIN_S: Final = 5.0
LATE_S: Final = 30.0
"""What waits longer than this says that no relay works, or none is fast enough."""

Word = Callable[[int], Message]
"""What the leader says when everything that was committed before this time (PostgreSQL's, us) is in the log."""


class Relay:
    """Publishes a schema's outbox; run `run` in a task for as long as the service lives, `stop` it in good order."""

    def __init__(
        self, database: Database, log: Log, clock: Clock, *, lease_s: float = LEASE_S, word: Word | None = None,
        topics: Mapping[str, Topic] = TOPICS,
    ) -> None:  # fmt: skip
        self._database = database
        self._log = log
        self._clock = clock
        self._lease_s = lease_s
        self._beat_s = min(POLL_S, lease_s / 3)
        self._word = word
        self._topics = topics
        self._holder = random_id()
        self._awake = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()  # what never ran need not be waited for
        self._stopping = False
        self._barred_until = self._spoke_at = float("-inf")
        self._waited_s, self._looked_at = 0.0, clock.monotonic()

    def age(self) -> float:
        """Seconds for which the oldest row waits, at most: while PostgreSQL does not tell, it grows."""
        return self._waited_s + self._clock.monotonic() - self._looked_at

    @property
    def in_time(self) -> bool:
        """Whether nothing waits for long; readiness says it."""
        return self.age() <= LATE_S

    async def run(self) -> None:
        """Lead when nobody else does, publish while leading, start over when PostgreSQL or the log goes away.

        `Refused`, a record that the log can never take, ends it: that is a mistake in a writer, and to skip the record
        would be to lose what a transaction promised to say.
        """
        told = False
        self._ended.clear()
        try:
            while not self._stopping:
                try:
                    async with self._connection() as connection:
                        told = False
                        await self._work(Publishing(connection, self._log, self._topics), self._lead(connection))
                except Unavailable as failure:
                    if not told:
                        logger.warning("the outbox of %s waits: %s", self._database.schema, failure)
                    told = True
                if not self._stopping:
                    self._awake.clear()
                    await self._pause(POLL_S)
        finally:
            self._ended.set()

    async def stop(self, within_s: float = DRAIN_S) -> None:
        """Publish what is committed, give the lead back, and let `run` return; what takes longer is left to others."""
        self._stopping = True
        self._awake.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._ended.wait()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        with unavailable(self._database.place):
            await self._database.prepare()
        connection = await self._database.connect(limit_s=PATIENCE_S, silent_s=2 * PATIENCE_S)
        try:
            with unavailable(self._database.place):
                await connection.execute("SET synchronous_commit = off")  # a delete that a crash undoes is a record published twice
                await connection.add_listener(channel(self._database.schema), self._wake)
                yield connection
        finally:
            with suppress(Exception):  # it may be broken, and that was told already
                await connection.close(timeout=TIMEOUT)

    def _lead(self, connection: "asyncpg.Connection[asyncpg.Record]") -> Lead:
        return Lead(connection, self._holder, self._lease_s, self._clock)

    async def _work(self, outbox: Publishing, lead: Lead) -> None:
        while True:
            self._awake.clear()
            self._waited_s = await outbox.waits_s()
            self._looked_at = self._clock.monotonic()
            taken = await lead.take() if self._looked_at >= self._barred_until else None
            if taken is None:
                if self._stopping:
                    return
                await self._pause(min(POLL_S, max(await lead.free_in(), self._barred_until - self._looked_at, 0.01)))
            elif taken.succeeds:
                await self._succeed(outbox, lead)
            elif await self._publish(outbox, lead, taken):
                if self._stopping:
                    await lead.give_back(clean=True)
                    return
                await self._pause(self._beat_s)

    async def _publish(self, outbox: Publishing, lead: Lead, taken: Taken) -> bool:
        """Whether everything that was committed when the lead was taken is in the log, and that was said.

        Where the log does not take it, others may have more luck: the lead goes back, and is not asked for again at once.
        """
        try:
            if not await outbox.publish(lead):
                return False
            await self._speak(lead, taken)
        except LogUnavailable as failure:
            logger.warning("the outbox of %s waits: %s", self._database.schema, failure)
            self._barred_until = self._clock.monotonic() + self._lease_s
            await lead.give_back(clean=False)
            return False
        return True

    async def _succeed(self, outbox: Publishing, lead: Lead) -> None:
        """Wait out a predecessor's last appends, then have what was said lately said again."""
        logger.warning("the outbox of %s has a new leader: the one of before fell silent", self._database.schema)
        over = self._clock.monotonic() + APPEND_S
        while (left := over - self._clock.monotonic()) > 0:
            await asyncio.sleep(min(left, self._beat_s))
            if await lead.take() is None:
                return
        await outbox.say_again()

    async def _speak(self, lead: Lead, taken: Taken) -> None:
        """Say, once in a beat, that nothing older waits."""
        now = self._clock.monotonic()
        if self._word is not None and now - self._spoke_at >= 0.9 * self._beat_s and lead.held:
            await self._log.append(self._word(taken.at_us))
            self._spoke_at = now

    async def _pause(self, seconds: float) -> None:
        """Sleep until something was committed, or we are to stop, or so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._awake.wait()

    def _wake(self, *_: object) -> None:
        self._awake.set()
