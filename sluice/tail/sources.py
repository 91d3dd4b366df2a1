"""Where a topic is read: all partitions as one stream in the order of the log's times, then what comes."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from shared.contracts.topics import TOPICS
from shared.kernel.clock import SystemClock
from shared.kernel.errors import SluiceError
from shared.messaging.embedded.sqlite_reader import LogFile
from shared.messaging.log import ReadableLog, Record, Refused, TopicPartition
from shared.messaging.proved import ProvedLog
from shared.runtime.proving import reading_proofs
from shared.runtime.settings import CommonSettings
from sluice.data_folder import DataFolder


class NothingToRead(SluiceError):
    """There is no such topic here, or no log at all."""

    code = "E_NOTHING_TO_READ"


@asynccontextmanager
async def opened(settings: CommonSettings, *topics: str) -> AsyncIterator[ReadableLog]:
    """The log of the settings: Kafka, or else the file in the data folder, opened to read these topics.

    Raises:
        NothingToRead: with what to do instead.
    """
    for topic in topics:
        if topic not in TOPICS:
            raise NothingToRead(f"there is no topic {topic}; there are: {', '.join(sorted(TOPICS))}")
    if (brokers := settings.brokers()) is not None:
        from shared.messaging.kafka.log import KafkaLog

        proofs = reading_proofs(topics, settings, SystemClock())
        kafka = await KafkaLog.open(brokers, TOPICS)
        try:
            yield ProvedLog(kafka, proofs)
        finally:
            await kafka.close()
        return
    path = DataFolder(settings.data).log
    for topic in (one for one in topics if TOPICS[one].volatile):
        raise NothingToRead(
            f"{topic} is kept for an hour or less, and the embedded log has such topics in memory only: no other process can read it. "
            "On Kafka (SLUICE_KAFKA) it can be read."
        )
    if not path.exists():
        raise NothingToRead(
            f"there is no log at {path} yet: `sluice up` makes it, SLUICE_DATA says where, SLUICE_KAFKA reads brokers instead"
        )
    file = LogFile(path)
    try:
        yield file
    finally:
        await file.close()


async def ends_of(log: ReadableLog, topic: str) -> dict[int, int]:
    """The next offset of each partition: where what is there now ends."""
    try:
        count = await log.partitions(topic)
    except Refused as error:
        raise NothingToRead(str(error)) from None
    return {number: (await log.bounds(TopicPartition(topic, number)))[1] for number in range(count)}


async def history(log: ReadableLog, topic: str, ends: dict[int, int]) -> AsyncIterator[Record]:
    """All that is still there before these ends, merged by the log's time; within a partition the order is the log's."""
    cursors = [_Cursor(log.read(TopicPartition(topic, number), 0, end)) for number, end in ends.items() if end > 0]
    await asyncio.gather(*(cursor.advance() for cursor in cursors))
    heap = [(cursor.head.timestamp_ms, number, cursor) for number, cursor in enumerate(cursors) if cursor.head is not None]
    heapq.heapify(heap)
    while heap:
        _, number, cursor = heap[0]
        if cursor.head is not None:
            yield cursor.head
        await cursor.advance()
        if cursor.head is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (cursor.head.timestamp_ms, number, cursor))


async def following(log: ReadableLog, topic: str, ends: dict[int, int]) -> AsyncIterator[Record]:
    """What comes after these ends, for ever, as it comes."""
    tail = log.tail(topic, ends)
    try:
        async for records in tail:
            for record in records:
                yield record
    finally:
        await tail.close()


class _Cursor:
    """One partition's records, one at a time; `head` None at the end."""

    def __init__(self, batches: AsyncIterator[Sequence[Record]]) -> None:
        self._batches = batches
        self._batch: list[Record] = []
        self.head: Record | None = None

    async def advance(self) -> None:
        if not self._batch:
            batch = await anext(self._batches, None)
            self._batch = list(batch or ())[::-1]
        self.head = self._batch.pop() if self._batch else None
