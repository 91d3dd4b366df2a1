"""The embedded log's file read by another process while it is being written: what `sluice tail` stands on.

Topics kept an hour or less are not in the file and so are unknown here.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from shared.kernel.clock import Clock, SystemClock
from shared.messaging.embedded.sqlite_schema import SELECT, bounds_of, connect_reader, from_row
from shared.messaging.embedded.subscription import BATCH
from shared.messaging.log import LogUnavailable, Record, Refused, TopicPartition

POLL_S = 0.1

T = TypeVar("T")
Fetch = Callable[[TopicPartition, int, int], Awaitable[list[Record]]]


class LogFile:
    """A `ReadableLog` over the file."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._turn = asyncio.Lock()
        try:
            self._connection = connect_reader(path)
        except sqlite3.Error as error:
            raise LogUnavailable(f"{path} cannot be read: {error}") from error

    async def topics(self) -> list[str]:
        """The names of the topics in the file."""
        rows = await self._query(lambda connection: connection.execute("select topic from topics order by topic").fetchall())
        return [name for (name,) in rows]

    async def partitions(self, topic: str) -> int:
        """See `log.ReadableLog.partitions`."""
        found = await self._query(
            lambda connection: connection.execute("select partitions from topics where topic = ?", (topic,)).fetchone()
        )
        if found is None:
            raise Refused(f"{topic} is not in the file")
        return int(found[0])

    async def bounds(self, place: TopicPartition) -> tuple[int, int]:
        """See `log.ReadableLog.bounds`."""
        return await self._query(lambda connection: bounds_of(connection, place))

    async def bounds_of(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        """See `log.ReadableLog.bounds_of`."""
        return {place: await self.bounds(place) for place in places}

    async def read(self, place: TopicPartition, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """See `log.ReadableLog.read`."""
        while records := await self._fetch(place, start, end):
            yield records
            start = records[-1].offset + 1

    def tail(self, topic: str, start: Mapping[int, int]) -> "FileTail":
        """See `log.ReadableLog.tail`; looks for more ten times a second."""
        return FileTail({TopicPartition(topic, number): offset for number, offset in start.items()}, self._fetch, self._clock)

    async def close(self) -> None:
        """Let go of the file."""
        async with self._turn:
            self._connection.close()

    async def _fetch(self, place: TopicPartition, start: int, end: int) -> list[Record]:
        rows = await self._query(lambda connection: connection.execute(SELECT, (*place, start, end, BATCH)).fetchall())
        return [from_row(row) for row in rows]

    async def _query(self, job: Callable[[sqlite3.Connection], T]) -> T:
        async with self._turn:
            try:
                return await asyncio.to_thread(job, self._connection)
            except sqlite3.Error as error:
                raise LogUnavailable(str(error)) from error


class FileTail:
    """An endless read of the file; see `log.Tail`."""

    def __init__(self, positions: dict[TopicPartition, int], fetch: Fetch, clock: Clock) -> None:
        self._positions = positions
        self._fetch = fetch
        self._clock = clock
        self._fetched = clock.monotonic()
        self._closed = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[Sequence[Record]]:
        """See `log.Tail.__aiter__`."""
        return self._batches()

    async def _batches(self) -> AsyncIterator[Sequence[Record]]:
        while not self._closed.is_set():
            found = False
            for place, position in list(self._positions.items()):
                records = await self._fetch(place, position, _NO_END)
                self._fetched = self._clock.monotonic()
                if records:
                    found = True
                    self._positions[place] = records[-1].offset + 1
                    yield records
            if not found:
                await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._closed.wait()
        except TimeoutError:
            return

    def fetched_age(self) -> float:
        """See `log.Tail.fetched_age`."""
        return self._clock.monotonic() - self._fetched

    async def close(self) -> None:
        """See `log.Tail.close`."""
        self._closed.set()


_NO_END = 2**63 - 1
