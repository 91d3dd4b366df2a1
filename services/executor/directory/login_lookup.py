"""Logins and users for the edge: the look-ups behind its cookie check and its cache."""

from typing import Final

from services.executor.directory.finding import get_user
from services.executor.rules.login_life import LoginLife
from shared.contracts.people import UserFacts
from shared.kernel.clock import Clock
from shared.postgres.pool import Database

# `good` is as it was when the statement began, `noted` what this statement wrote. A login that was unclaimed and could not be
# noted has just been ended.
_LOOK_UP: Final = """
WITH good AS (
    SELECT l.id, l.claimed_us, l.seen_us FROM logins AS l JOIN users AS u ON u.pk = l.user_pk
    WHERE l.id = $1 AND l.user_pk = $2 AND l.epoch = $3 AND l.ended_us IS NULL AND (l.expires_us IS NULL OR l.expires_us > $4)
      AND l.at_us > $4 - $5 AND coalesce(l.seen_us, l.at_us) > $4 - $6 AND u.is_active AND u.epoch = $3
), noted AS (
    UPDATE logins SET claimed_us = coalesce(claimed_us, $4), seen_us = $4
    WHERE id = (SELECT id FROM good WHERE claimed_us IS NULL OR seen_us IS NULL OR seen_us <= $4 - $7) AND ended_us IS NULL
    RETURNING id
)
SELECT good.claimed_us IS NOT NULL OR EXISTS (SELECT FROM noted) AS good FROM good"""


class PostgresLogins:
    """See `services.executor.common.ports.Logins`."""

    def __init__(self, database: Database, clock: Clock, life: LoginLife) -> None:
        self._database = database
        self._clock = clock
        self._life = life

    async def look_up(self, login: str, user: int, epoch: int) -> bool:
        """See `Logins.look_up`. The first one marks the login claimed; that it was seen is written once a minute at most."""
        if not 0 <= user < 2**31:
            return False
        life = self._life
        limits = (life.absolute_us, life.idle_us, life.noted_every_us)
        row = await self._database.fetchrow(_LOOK_UP, login, user, epoch, self._clock.now_us(), *limits)
        return row is not None and row["good"]

    async def facts(self, user: int) -> UserFacts | None:
        """See `Logins.facts`."""
        return await get_user(self._database, user)
