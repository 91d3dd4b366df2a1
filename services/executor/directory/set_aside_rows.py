"""What PostgreSQL remembers of partitions of `executor.sessions`: which are set aside, and whose orders were carried out (architecture §4.15)."""

from collections.abc import Mapping, Sequence
from typing import Final

from services.executor.common.ports import Aside, Noted, OrderKey, Remembered
from shared.contracts.topics import SESSIONS, STATE
from shared.postgres.pool import Database, Row

_ROWS: Final = "SELECT partition, known_offset, bound, reason, since_us, repair FROM set_aside ORDER BY partition"
_PUT: Final = """
INSERT INTO set_aside (partition, known_offset, bound, reason, since_us) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (partition) DO NOTHING"""
_ASK: Final = "UPDATE set_aside SET repair = true WHERE partition = ANY($1::integer[])"
_REMEMBERED: Final = """
SELECT at_offset, transition, (SELECT reached FROM log_ends WHERE topic = $2 AND partition = $1) AS sessions,
    (SELECT reached FROM log_ends WHERE topic = $3 AND partition = $1) AS states
FROM (SELECT 1) AS one LEFT JOIN LATERAL (
    SELECT at_offset, transition FROM order_results WHERE partition = $1 AND at_offset IS NOT NULL ORDER BY at_offset DESC LIMIT 1
) AS furthest ON true"""
_REACHED: Final = """
INSERT INTO log_ends (topic, partition, reached) SELECT $1, * FROM unnest($2::integer[], $3::bigint[])
ON CONFLICT (topic, partition) DO UPDATE SET reached = excluded.reached"""
_ORDERED: Final = "SELECT session, version, transition, at_offset FROM order_results WHERE partition = $1 AND at_us >= $2"
_LOGINS: Final = """
SELECT session, username FROM logins JOIN users ON users.pk = user_pk WHERE session = ANY($1::text[]) AND ended_us IS NULL ORDER BY at_us"""
_REPAIRED: Final = """
WITH whole AS (DELETE FROM set_aside WHERE partition = $1), ends AS (DELETE FROM log_ends WHERE topic = $2 AND partition = $1)
UPDATE order_results SET at_offset = NULL WHERE partition = $1 AND at_offset IS NOT NULL"""


class PostgresSetAside:
    """See `services.executor.common.ports.SetAside`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(self) -> Mapping[int, Aside]:
        """See `SetAside.rows`."""
        return {row["partition"]: _aside(row) for row in await self._database.fetch(_ROWS)}

    async def put(self, aside: Aside) -> None:
        """See `SetAside.put`."""
        await self._database.execute(_PUT, aside.partition, aside.offset, aside.bound, aside.reason, aside.since_us)

    async def ask_for_repair(self, partitions: Sequence[int]) -> None:
        """Whoever holds these partitions is to repair them."""
        await self._database.execute(_ASK, list(partitions))

    async def logins(self, sessions: Sequence[str]) -> Mapping[str, str]:
        """Who was logged in by these sessions and still is, by session."""
        return {row["session"]: row["username"] for row in await self._database.fetch(_LOGINS, list(sessions))}

    async def remembered(self, partition: int) -> Remembered:
        """See `SetAside.remembered`."""
        row = await self._database.fetchrow(_REMEMBERED, partition, SESSIONS, STATE)
        if row is None:
            return Remembered()
        ordered = None if row["at_offset"] is None else Noted(row["at_offset"], row["transition"])
        return Remembered(ordered, row["sessions"] or 0, row["states"] or 0)

    async def reached(self, ends: Mapping[int, int]) -> None:
        """See `SetAside.reached`."""
        await self._database.execute(_REACHED, SESSIONS, list(ends), list(ends.values()))

    async def ordered(self, partition: int, since_us: int) -> Sequence[OrderKey]:
        """See `SetAside.ordered`."""
        rows = await self._database.fetch(_ORDERED, partition, since_us)
        return [OrderKey(row["session"], row["version"], row["transition"], partition, row["at_offset"]) for row in rows]

    async def repaired(self, partition: int) -> None:
        """See `SetAside.repaired`."""
        await self._database.execute(_REPAIRED, partition, SESSIONS)


def _aside(row: Row) -> Aside:
    return Aside(row["partition"], row["known_offset"], row["bound"], row["reason"], row["since_us"], row["repair"])
