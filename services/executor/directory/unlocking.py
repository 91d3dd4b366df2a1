"""An account that was guessed at too often is given back to its owner: by an administrator, who is named in the event."""

from dataclasses import dataclass
from typing import Final

from services.executor.directory.events import user_changed
from services.executor.directory.slots import clear
from services.executor.rules.guess_limits import GuessLimits, Lock, counted, locks
from shared.kernel.clock import Clock
from shared.postgres.outbox import append
from shared.postgres.pool import Database

_USER: Final = "SELECT username, epoch FROM users WHERE pk = $1 FOR NO KEY UPDATE"


@dataclass(frozen=True, slots=True)
class Unlocked:
    """`locked`: what was used up by the limits of who asks; `guesses`: how many were given back, whatever the limits are."""

    locked: tuple[Lock, ...]
    guesses: int


class Unlocking:
    """Gives back all slots of guesses at an account. What an address has used up stays: it is nobody's in particular."""

    def __init__(self, database: Database, clock: Clock, limits: GuessLimits) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits

    async def unlock(self, user: int, by: str, by_user: int | None = None) -> Unlocked | None:
        """What was given back, None if there is no such user. Every call is told, also one that found nothing to do.

        `by` is the name of the administrator and `by_user` their number, None at a terminal. `Unavailable` when PostgreSQL is away.
        """
        if not 0 <= user < 2**31:
            return None
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_USER, user)
            if row is None:
                return None
            now = self._clock.now_us()
            slots = await clear(connection, user, now)
            were = Unlocked(locks(slots, self._limits, now), len(counted(slots, self._limits, now)))
            facts = {"username": row["username"], "by": by, "by_user": by_user, "locked": were.locked}
            await append(connection, self._database.schema, [user_changed(user, "unlocked", now, epoch=row["epoch"], facts=facts)])
        return were
