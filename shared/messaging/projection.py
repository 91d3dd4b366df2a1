"""A compacted topic kept in memory by whoever needs it: read to its end, then followed."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from shared.contracts.errors import BadProof
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable, why
from shared.kernel.tasks import failure_of
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import LogClosed, LogUnavailable, ReadableLog, Record, Tail, TopicPartition

RETRY_S = 0.5

_log = logging.getLogger(__name__)


class Projection:
    """Calls `apply` with every record of a topic, in order within each partition.

    `ready` is set once everything has been applied that was in the topic when it started. A record that `apply`
    refuses (a `BadRecord`, or any other error) is dead-lettered and passed; nothing a writer sends ends a projection. One that
    does not prove its writer is only counted: a projection runs in many processes, and each would keep it.
    """

    def __init__(self, log: ReadableLog, topic: str, apply: Callable[[Record], None], dead_letters: DeadLetters, clock: Clock) -> None:
        self._log = log
        self._topic = topic
        self._apply = apply
        self._dead_letters = dead_letters
        self._clock = clock
        self._began = clock.monotonic()
        self._positions: dict[int, int] = {}
        self._tail: Tail | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self.ready = asyncio.Event()

    async def start(self) -> None:
        """Begin to read; a log that is away is waited for."""
        self._task = asyncio.create_task(self._follow(), name=f"projection of {self._topic}")

    def fetched_age(self) -> float:
        """Seconds since the log last answered; since the start, while the beginning is still being read."""
        return self._clock.monotonic() - self._began if self._tail is None else self._tail.fetched_age()

    @property
    def failure(self) -> BaseException | None:
        """Why it ended by itself, None while it goes on."""
        return failure_of(self._task)

    async def stop(self) -> None:
        """End it."""
        self._stopped = True
        if self._tail is not None:
            await self._tail.close()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError, LogUnavailable):
                await self._task

    async def _follow(self) -> None:
        """Read to the end, then tail; a log that is away, or a tail that breaks, is waited for and gone on with."""
        while not self._stopped:
            try:
                await self._catch_up()
                self.ready.set()
                self._tail = self._log.tail(self._topic, dict(self._positions))
                async for records in self._tail:
                    for record in records:
                        await self._take(record)
            except LogClosed:
                raise
            except Unavailable as error:
                _log.warning("projection of %s waits for the log: %s", self._topic, error)
            except OSError as error:
                _log.warning("projection of %s waits for the log: %r", self._topic, error)
            await asyncio.sleep(RETRY_S)

    async def _catch_up(self) -> None:
        """Read to the end that is found now: a tail could wait for ever for a last record that compaction removed."""
        for number in range(await self._log.partitions(self._topic)):
            place = TopicPartition(self._topic, number)
            first, end = await self._log.bounds(place)
            async for records in self._log.read(place, max(first, self._positions.get(number, 0)), end):
                for record in records:
                    await self._take(record)
            self._positions[number] = max(end, self._positions.get(number, 0))

    async def _take(self, record: Record) -> None:
        try:
            self._apply(record)
        except BadProof as error:
            self._dead_letters.skip(record, error.code, error.detail)
        except Exception as error:  # noqa: BLE001 - kept, with its traceback if it is ours; a record must not end a projection
            await self._dead_letters.put_once(record, *why(error))
        self._positions[record.partition] = record.offset + 1


class Followed:
    """What somebody knows of a topic by a projection of it: the part that is the same whatever is known. Start it before use."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection

    async def start(self) -> None:
        """Begin to read; returns at once."""
        await self._projection.start()

    async def stop(self) -> None:
        """End reading."""
        await self._projection.stop()

    @property
    def ready(self) -> bool:
        """Whether the topic has been read to the end that it had at the start."""
        return self._projection.ready.is_set()

    @property
    def failure(self) -> BaseException | None:
        """Why reading ended by itself, None while it goes on."""
        return self._projection.failure
