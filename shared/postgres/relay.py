"""Carries the outbox of one schema into the log, one process at a time.

The leader holds a session advisory lock on the connection that it reads by, so it leads for as long as it can read.
A record can be published twice (a crash between acknowledgement and delete), never lost.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg

from shared.kernel.clock import Clock
from shared.kernel.errors import SluiceError, Unavailable
from shared.messaging.log import Log, Refused
from shared.postgres.outbox import channel, message_of, waves
from shared.postgres.pool import TIMEOUT, Database, Row, unavailable

logger = logging.getLogger(__name__)

POLL: Final = 1.0  # s; NOTIFY is quicker but promises nothing
BATCH: Final = 500  # rows
STALE: Final = 3.0  # s since the rows were read: a process that was stopped meanwhile may have lost the lead

_TAKE_LEAD: Final = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"
_READ: Final = "SELECT id, xid::text AS xid, topic, partition, key, value, headers FROM outbox ORDER BY id LIMIT $1"
_DELETE: Final = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"


class Relay:
    """Publishes a schema's outbox; run `run` in a task for as long as the service lives, cancel it to stop."""

    def __init__(self, database: Database, log: Log, clock: Clock) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._awake = asyncio.Event()

    async def run(self) -> None:
        """Try to lead, publish while leading, start over when PostgreSQL or the log goes away.

        `Refused`, a record that the log can never take, ends it: that is a mistake in a writer, and to skip the record
        would be to lose what a transaction promised to say.
        """
        told = False
        while True:
            try:
                async with self._connection() as connection:
                    told = False
                    await self._lead(connection)
            except Unavailable as failure:
                if not told:
                    logger.warning("the outbox of %s waits: %s", self._database.schema, failure)
                told = True
            await asyncio.sleep(POLL)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        with unavailable(self._database.place):
            await self._database.prepare()
        connection = await self._database.connect()
        try:
            with unavailable(self._database.place):
                yield connection
        finally:
            with suppress(Exception):  # it may be broken, and that was told already
                await connection.close(timeout=TIMEOUT)

    async def _lead(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Publish until something breaks; wait meanwhile for others who lead."""
        lock = f"sluice outbox {self._database.schema}"
        while not await connection.fetchval(_TAKE_LEAD, lock, timeout=TIMEOUT):  # noqa: ASYNC110 -- a lock in PostgreSQL
            await asyncio.sleep(POLL)
        await connection.execute("SET synchronous_commit = off")  # a delete that a crash undoes is a record published twice
        await connection.add_listener(channel(self._database.schema), self._wake)
        while True:
            self._awake.clear()
            read_at = self._clock.monotonic()
            rows = await connection.fetch(_READ, BATCH, timeout=5 * TIMEOUT)
            await self._publish(connection, rows, read_at)
            if len(rows) < BATCH:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL):
                        await self._awake.wait()

    def _wake(self, *_: object) -> None:
        self._awake.set()

    async def _publish(self, connection: "asyncpg.Connection[asyncpg.Record]", rows: Sequence[Row], read_at: float) -> None:
        """Publish in waves, delete what was acknowledged; nothing goes past a wave that failed."""
        done: list[int] = []
        failure: SluiceError | None = None
        for wave in waves(rows):
            if self._clock.monotonic() - read_at > STALE:
                break
            results = await asyncio.gather(*(self._log.append(message_of(row)) for row in wave), return_exceptions=True)
            for row, result in zip(wave, results, strict=True):
                if isinstance(result, Unavailable | Refused):
                    failure = failure or result
                elif isinstance(result, BaseException):
                    raise result
                else:
                    done.append(row["id"])
            if failure is not None:
                break
        if done:
            await connection.execute(_DELETE, done, timeout=5 * TIMEOUT)
        if failure is not None:
            raise failure
