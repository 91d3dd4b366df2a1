"""Who carries an outbox into the log: the lead is a row with a deadline, by PostgreSQL's clock.

A lock lives as long as its connection, and the connection of a process that stands still, or whose network was cut, lives on.
A deadline passes by itself: whoever does not renew it in time has lost the lead, whatever they believe.
"""

from dataclasses import dataclass
from typing import Final

import asyncpg

from shared.kernel.clock import Clock
from shared.postgres.pool import TIMEOUT

PATIENCE_S: Final = 5 * TIMEOUT
"""For one statement of whoever leads or waits to."""

LONGEST_S: Final = 60.0
"""No lease is longer: one that seems to be was written before PostgreSQL's clock was set back."""

# `before` is as it was when the statement began. The time is read before whatever the holder reads next.
_TAKE: Final = """
WITH before AS (SELECT holder FROM outbox_lead)
INSERT INTO outbox_lead AS held (holder, until) VALUES ($1, clock_timestamp() + $2 * interval '1 second')
ON CONFLICT (one) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE held.holder = excluded.holder OR held.until <= clock_timestamp() OR held.until > clock_timestamp() + $3 * interval '1 second'
RETURNING (SELECT holder FROM before) AS before, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS at_us"""
_FREE_IN: Final = "SELECT extract(epoch FROM until - clock_timestamp())::float8 FROM outbox_lead"
_GIVE_BACK: Final = "UPDATE outbox_lead SET until = clock_timestamp(), holder = $2 WHERE holder = $1"
_NOBODY: Final = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """The lead is ours. `succeeds`: somebody else had it and did not give it back, and may still have records under way.
    `at_us` is PostgreSQL's time."""

    succeeds: bool
    at_us: int


class Lead:
    """One relay's hold on the lead of a schema, over its own connection. `holder` names the process."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", holder: str, lease_s: float, clock: Clock) -> None:
        self._connection = connection
        self._holder = holder
        self._lease_s = lease_s
        self._clock = clock
        self._until = 0.0

    @property
    def held(self) -> bool:
        """Whether nobody else can have it yet; counted from before we asked for it, so we are the first to doubt it."""
        return self._clock.monotonic() < self._until

    async def take(self) -> Taken | None:
        """Take it, or keep it for another lease; None while it is somebody else's."""
        asked = self._clock.monotonic()
        row = await self._connection.fetchrow(_TAKE, self._holder, self._lease_s, LONGEST_S, timeout=PATIENCE_S)
        if row is None:
            self._until = 0.0
            return None
        self._until = asked + self._lease_s
        return Taken(row["before"] not in (None, _NOBODY, self._holder), row["at_us"])

    async def free_in(self) -> float:
        """Seconds until it may be taken from whoever has it."""
        left = await self._connection.fetchval(_FREE_IN, timeout=PATIENCE_S)
        return max(0.0, left or 0.0)

    async def give_back(self, *, clean: bool) -> None:
        """Let others have it. Not `clean`: records of ours may still be under way, and the successor should know."""
        self._until = 0.0
        await self._connection.execute(_GIVE_BACK, self._holder, _NOBODY if clean else self._holder, timeout=PATIENCE_S)
