"""One partition listened to from now on: what was said before is nobody's here."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from shared.kernel.errors import SluiceError, Unavailable
from shared.kernel.tasks import failure_of
from shared.messaging.log import Log, Record, Tail, TopicPartition

RETRY_S: Final = 0.5

_log = logging.getLogger(__name__)


class Listening:
    """Calls `take` with each record. Where the log goes away, it goes on behind the last one when that is back; or, if somebody is told
    that it was `lost` sight of, at the end that there is then."""

    def __init__(self, log: Log, place: TopicPartition, take: Callable[[Record], None], lost: Callable[[], None] | None = None) -> None:
        self._log = log
        self._place = place
        self._take = take
        self._lost = lost
        self._next: int | None = None
        self._tail: Tail | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen from now on; where the log is away, from when it comes."""
        with suppress(Unavailable):
            await self._open()
        self._task = asyncio.create_task(self._listen(), name=f"listening to {self._place.topic}")

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)  # why it ended is `failure`, and told already
        if self._tail is not None:
            await self._tail.close()
            self._tail = None

    def is_fresh(self, age_s: float) -> bool:
        """Whether the log has answered within so many seconds."""
        return self._tail is not None and self._tail.fetched_age() <= age_s

    @property
    def failure(self) -> BaseException | None:
        """Why listening ended by itself, which it never should."""
        return failure_of(self._task)

    async def _open(self) -> Tail:
        if self._next is None:
            _, self._next = await self._log.bounds(self._place)
        self._tail = self._log.tail(self._place.topic, {self._place.partition: self._next})
        return self._tail

    async def _listen(self) -> None:
        while True:
            try:
                async for records in self._tail or await self._open():
                    for record in records:
                        self._next = record.offset + 1
                        self._take(record)
            except (Unavailable, OSError) as away:
                _log.warning("%s cannot be read: %s", self._place.topic, type(away).__name__)
            except SluiceError:
                _log.exception("%s cannot be read", self._place.topic)
            self._tail = None
            if self._lost is not None:
                self._next = None
                self._lost()
            await asyncio.sleep(RETRY_S)
