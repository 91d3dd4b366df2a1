"""Logins and users for the edge: the look-ups behind its cookie check and its cache."""

from typing import Final

from services.executor.adapters.directory.finding import get_user
from shared.contracts.people import UserFacts
from shared.kernel.clock import Clock
from shared.postgres.pool import Database

# `good` is as it was when the statement began; `claimed` is what this statement did. A login that was unclaimed and is not
# claimed by us was either claimed by another edge or has just been ended: asking again tells.
_LOOK_UP: Final = """
WITH good AS (
    SELECT l.id, l.claimed_us FROM logins AS l JOIN users AS u ON u.pk = l.user_pk
    WHERE l.id = $1 AND l.user_pk = $2 AND l.epoch = $3 AND l.ended_us IS NULL AND (l.expires_us IS NULL OR l.expires_us > $4)
      AND u.is_active AND u.epoch = $3
), claimed AS (
    UPDATE logins SET claimed_us = $4 WHERE id = (SELECT id FROM good WHERE claimed_us IS NULL) AND claimed_us IS NULL AND ended_us IS NULL
    RETURNING id
)
SELECT good.claimed_us IS NOT NULL AS was, EXISTS (SELECT FROM claimed) AS now FROM good"""


class PostgresLogins:
    """See `services.executor.application.ports.Logins`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def look_up(self, login: str, user: int, epoch: int) -> bool:
        """See `Logins.look_up`. The first one marks the login claimed, later ones write nothing."""
        if not 0 <= user < 2**31:
            return False
        for _ in range(2):
            row = await self._database.fetchrow(_LOOK_UP, login, user, epoch, self._clock.now_us())
            if row is None:
                return False
            if row["was"] or row["now"]:
                return True
        return False

    async def facts(self, user: int) -> UserFacts | None:
        """See `Logins.facts`."""
        return await get_user(self._database, user)
