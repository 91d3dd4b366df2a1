"""What the directory does by the clock, in workers: ends logins that nobody claimed or uses any more, forgets what is no longer asked for."""

import logging
from typing import Final

from services.executor.directory.events import login_revoked, token_forgotten, user_changed
from services.executor.rules.guess_limits import GuessLimits
from services.executor.rules.login_life import LoginLife
from shared.kernel.clock import Clock
from shared.kernel.retrying import again_and_again
from shared.postgres.outbox import append
from shared.postgres.pool import Database

logger = logging.getLogger(__name__)

SECOND_US: Final = 1_000_000
EVERY: Final = 30.0  # s
UNCLAIMED_US: Final = 600 * SECOND_US  # architecture §3
ASKS_KEPT_US: Final = 3600 * SECOND_US
ORDERS_KEPT_US: Final = 48 * 3600 * SECOND_US  # a session ends after 24 h at the latest; a takeover reads no further back
ADDRESSES_MAX: Final = 100_000
"""What addresses may fill: those with the fewest failures go first, which limit nobody yet."""
LOGINS_KEPT_US: Final = 30 * 86400 * SECOND_US  # after they ended or expired
TOKENS_KEPT_US: Final = 3600 * SECOND_US  # after they expired
BATCH: Final = 500

# SKIP LOCKED: several workers may sweep, each takes other rows. $2: what is older is over.
_END: Final = """
UPDATE logins SET ended_us = $1, end_reason = '{reason}' WHERE id IN (
    SELECT id FROM logins WHERE ended_us IS NULL AND {over} LIMIT $3 FOR UPDATE SKIP LOCKED
) RETURNING id, user_pk"""
_OVER: Final = {
    "unclaimed": "claimed_us IS NULL AND at_us < $2",
    "idle": "coalesce(seen_us, at_us) <= $2",
    "too_old": "at_us <= $2",
    "expired": "expires_us <= $2",
}
_FORGET: Final = (
    ("DELETE FROM ask_results WHERE at_us < $1", ASKS_KEPT_US),
    ("DELETE FROM order_results WHERE at_us < $1", ORDERS_KEPT_US),
    ("DELETE FROM logins WHERE coalesce(ended_us, expires_us) < $1", LOGINS_KEPT_US),
)
_FORGET_ACCOUNTS: Final = "DELETE FROM account_guesses WHERE at_us < $1"
_FORGET_ADDRESSES: Final = "DELETE FROM address_guesses WHERE window_us < $1"
_BOUND_ADDRESSES: Final = """
DELETE FROM address_guesses WHERE address IN (SELECT address FROM address_guesses ORDER BY failures DESC, at_us DESC OFFSET $1)"""


class Upkeep:
    """Run `run` in a task for as long as a worker lives; any number of workers may."""

    def __init__(self, database: Database, clock: Clock, limits: GuessLimits, life: LoginLife) -> None:
        self._database = database
        self._clock = clock
        self._ends = {"unclaimed": UNCLAIMED_US, "idle": life.idle_us, "too_old": life.absolute_us, "expired": 0}
        self._forget = (
            *_FORGET,
            (_FORGET_ACCOUNTS, limits.window_us),
            (_FORGET_ADDRESSES, limits.window_us),
        )

    async def run(self) -> None:
        """Do it all, again and again; PostgreSQL being away only delays it."""
        await again_and_again(self.once, EVERY, lambda away: logger.warning("the directory's upkeep waits: %s", away))

    async def once(self) -> None:
        """Do it all, once."""
        now = await self._database.bounded(self._clock.now_us())
        for reason, after_us in self._ends.items():
            while await self._end(reason, now, after_us) == BATCH:
                pass
        await self._forget_revoked_tokens(now)
        for statement, kept_us in self._forget:
            await self._database.execute(statement, now - kept_us)
        await self._database.execute(_BOUND_ADDRESSES, ADDRESSES_MAX)

    async def _forget_revoked_tokens(self, now: int) -> None:
        """Past its expiry, with room for clocks that differ, no record can make a token good again."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch("DELETE FROM revoked_tokens WHERE expires_us < $1 RETURNING hash", now - TOKENS_KEPT_US)
            await append(connection, self._database.schema, [token_forgotten(row["hash"], now) for row in rows])

    async def _end(self, reason: str, now: int, after_us: int) -> int:
        statement = _END.format(reason=reason, over=_OVER[reason])
        async with self._database.transaction() as connection:
            rows = await connection.fetch(statement, now, now - after_us, BATCH)
            said = [login_revoked(row["id"], row["user_pk"], now, reason) for row in rows]
            said += [user_changed(row["user_pk"], "logged_out", now, facts={"login": row["id"], "reason": reason}) for row in rows]
            await append(connection, self._database.schema, said)
            return len(rows)
