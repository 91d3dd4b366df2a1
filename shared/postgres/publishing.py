"""What a relay that leads does with the rows of an outbox: publishes them in their order, and forgets them once the log has them.

What went into a compacted topic is kept for a minute longer: should the lead change hands, it is said again, for there an older record
that came late would outlive a newer one. Elsewhere a record that comes twice, or late, is the same record.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg

from shared.contracts.topics import TOPICS, Topic
from shared.kernel.errors import SluiceError, Unavailable
from shared.messaging.log import Log, Refused
from shared.postgres.lead import PATIENCE_S, Lead
from shared.postgres.outbox import message_of, waves
from shared.postgres.pool import Row

BATCH: Final = 500  # rows
AGAIN_S: Final = 60
"""What was said in so many seconds is said again by a successor."""

_READ: Final = """
SELECT id, xid::text AS xid, topic, partition, key, value, headers FROM outbox WHERE said_at IS NULL ORDER BY id LIMIT $1"""
_FORGET: Final = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
_KEEP: Final = "UPDATE outbox SET said_at = clock_timestamp() WHERE id = ANY($1::bigint[])"
_AGAIN: Final = "UPDATE outbox SET said_at = NULL WHERE said_at IS NOT NULL"
_LOOK: Final = f"""
WITH kept AS (DELETE FROM outbox WHERE said_at < clock_timestamp() - interval '{AGAIN_S} seconds')
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 FROM outbox WHERE said_at IS NULL"""  # noqa: S608 -- a constant


class Publishing:
    """The rows of one schema's outbox, over the connection of a relay."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", log: Log, topics: Mapping[str, Topic] = TOPICS) -> None:
        self._connection = connection
        self._log = log
        self._compacted = frozenset(name for name, topic in topics.items() if "compact" in topic.cleanup)

    async def waits_s(self) -> float:
        """For how many seconds the oldest row waits, 0.0 without any; what was kept long enough is forgotten."""
        return float(await self._connection.fetchval(_LOOK, timeout=PATIENCE_S))

    async def say_again(self) -> None:
        """Have what is kept published once more, in its order."""
        await self._connection.execute(_AGAIN, timeout=PATIENCE_S)

    async def publish(self, lead: Lead) -> bool:
        """Publish a batch; true if nothing is left of what was committed before.

        Raises:
            LogUnavailable: the log did not take something; nothing went past that.
            Refused: the log can never take something.
        """
        rows = await self._connection.fetch(_READ, BATCH, timeout=PATIENCE_S)
        done: list[Row] = []
        failure: SluiceError | None = None
        for wave in waves(rows):
            if failure is not None or not lead.held:
                break
            results = await asyncio.gather(*(self._log.append(message_of(row)) for row in wave), return_exceptions=True)
            for row, result in zip(wave, results, strict=True):
                if isinstance(result, Unavailable | Refused):
                    failure = failure or result
                elif isinstance(result, BaseException):
                    raise result
                else:
                    done.append(row)
        await self._note(done)
        if failure is not None:
            raise failure
        return len(done) == len(rows) < BATCH

    async def _note(self, said: Sequence[Row]) -> None:
        kept = [row["id"] for row in said if row["topic"] in self._compacted]
        if kept:
            await self._connection.execute(_KEEP, kept, timeout=PATIENCE_S)
        if len(kept) < len(said):
            await self._connection.execute(_FORGET, [row["id"] for row in said if row["topic"] not in self._compacted], timeout=PATIENCE_S)
