"""What is known of users, for `users/me`: a bounded cache, dropped by `directory.events`, so that asking costs no SQL."""

import asyncio
import logging
from typing import Final

from cachetools import TTLCache

from services.executor.common.ports import Logins
from shared.contracts.codec import prove
from shared.contracts.directory import EVENTS_CODEC, UserChanged
from shared.contracts.errors import BadProof
from shared.contracts.people import UserFacts
from shared.contracts.topics import DIRECTORY_EVENTS
from shared.kernel.clock import Clock
from shared.kernel.errors import SluiceError, why
from shared.kernel.tasks import failure_of
from shared.messaging.log import Log, Record, Tail, TopicPartition
from shared.telemetry.metrics import count_dead_letter

MAX_AGE_S: Final = 300.0
TAIL_AGE_S: Final = 5.0
RETRY_S: Final = 0.5

_log = logging.getLogger(__name__)


class UserFactsCache:
    """Facts of users as they were a moment ago. While the tail is behind, every question goes to PostgreSQL."""

    def __init__(self, log: Log, logins: Logins, clock: Clock, limit: int) -> None:
        self._log = log
        self._logins = logins
        self._known: TTLCache[int, UserFacts] = TTLCache(limit, MAX_AGE_S, timer=clock.monotonic)
        self._changes = 0
        self._tail: Tail | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._listen(), name="edge user facts")

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)  # why it ended is `failure`, and told already
        if self._tail is not None:
            await self._tail.close()

    @property
    def failure(self) -> BaseException | None:
        """Why listening ended by itself, which it never should."""
        return failure_of(self._task)

    async def of(self, user: int) -> UserFacts | None:
        """The user's facts, None if they are gone; `Unavailable` when they are not known and PostgreSQL is away."""
        known = self._known.get(user)
        if known is not None and self._is_fresh():
            return known
        changes = self._changes
        found = await self._logins.facts(user)
        if found is not None and changes == self._changes:
            self._known[user] = found
        return found

    def _is_fresh(self) -> bool:
        return self._tail is not None and self._tail.fetched_age() <= TAIL_AGE_S

    async def _listen(self) -> None:
        while True:
            try:
                _, end = await self._log.bounds(TopicPartition(DIRECTORY_EVENTS, 0))
                self._tail = self._log.tail(DIRECTORY_EVENTS, {0: end})
                async for records in self._tail:
                    for record in records:
                        self._changed(record)
            except (SluiceError, OSError) as away:
                _log.warning("users' events cannot be read: %s", type(away).__name__)
            # What happened meanwhile is not known.
            self._tail = None
            self._known.clear()
            await asyncio.sleep(RETRY_S)

    def _changed(self, record: Record) -> None:
        try:
            prove(record)  # or a stranger could have everything looked up anew
            body = EVENTS_CODEC.decode(record).body
        except BadProof as forged:
            return count_dead_letter(record.topic, forged.code)
        except Exception as error:  # noqa: BLE001 - whatever it was, somebody may have changed; a record must not end the listening
            count_dead_letter(record.topic, why(error)[0])
            self._changes += 1
            return self._known.clear()
        self._changes += 1
        if isinstance(body, UserChanged):
            self._known.pop(body.user, None)
        return None
