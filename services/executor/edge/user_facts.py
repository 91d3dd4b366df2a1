"""What is known of users, for `users/me`: a bounded cache, dropped by `directory.events`, so that asking costs no SQL."""

from typing import Final

from cachetools import TTLCache

from services.executor.common.ports import Logins
from shared.contracts.codec import prove
from shared.contracts.directory import EVENTS_CODEC, UserChanged
from shared.contracts.errors import BadProof
from shared.contracts.people import UserFacts
from shared.contracts.topics import DIRECTORY_EVENTS
from shared.kernel.clock import Clock
from shared.kernel.errors import why
from shared.messaging.listening import Listening
from shared.messaging.log import Log, Record, TopicPartition
from shared.telemetry.metrics import count_dead_letter

MAX_AGE_S: Final = 300.0
TAIL_AGE_S: Final = 5.0


class UserFactsCache:
    """Facts of users as they were a moment ago. While the tail is behind, every question goes to PostgreSQL."""

    def __init__(self, log: Log, logins: Logins, clock: Clock, limit: int) -> None:
        self._logins = logins
        self._known: TTLCache[int, UserFacts] = TTLCache(limit, MAX_AGE_S, timer=clock.monotonic)
        self._changes = 0
        self._following = Listening(log, TopicPartition(DIRECTORY_EVENTS, 0), self._changed, lost=self._forget)

    async def start(self) -> None:
        """Begin to listen."""
        await self._following.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._following.stop()

    @property
    def failure(self) -> BaseException | None:
        """Why listening ended by itself, which it never should."""
        return self._following.failure

    async def of(self, user: int) -> UserFacts | None:
        """The user's facts, None if they are gone; `Unavailable` when they are not known and PostgreSQL is away."""
        known = self._known.get(user)
        if known is not None and self._following.is_fresh(TAIL_AGE_S):
            return known
        changes = self._changes
        found = await self._logins.facts(user)
        if found is not None and changes == self._changes:
            self._known[user] = found
        return found

    def _changed(self, record: Record) -> None:
        try:
            prove(record)  # or a stranger could have everything looked up anew
            body = EVENTS_CODEC.decode(record).body
        except BadProof as forged:
            return count_dead_letter(record.topic, forged.code)
        except Exception as error:  # noqa: BLE001 - whatever it was, somebody may have changed; a record must not end the listening
            count_dead_letter(record.topic, why(error)[0])
            return self._forget()
        self._changes += 1
        if isinstance(body, UserChanged):
            self._known.pop(body.user, None)
        return None

    def _forget(self) -> None:
        """Anybody may have changed, also who is being looked up."""
        self._changes += 1
        self._known.clear()
