"""How aiokafka reads what it has fetched, replaced by ours: it has no setting for it.

Its own reading raises at a batch that it cannot decode, at the same offset again and again, and takes a reader's other partitions
along; it believes a producer's word about offsets; and it hands out so many records whatever their size, all of one partition if that
has as many, so that a million empty ones, 20 kB when they are compressed, would keep a reader from its other partitions for a minute.
"""

import logging
from collections.abc import Iterator
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher

from shared.contracts.topics import TOPICS
from shared.messaging.kafka.batches import frames, read
from shared.messaging.log import Record

DRAIN_BYTES: Final = 256 * 1024
DRAIN_RECORDS: Final = 100
"""How much of a partition is handed out at a time, about, however small it was when it was fetched: its turn comes again after the others'."""
LARGEST: Final = max(topic.max_bytes for topic in TOPICS.values())
_SPARE: Final = 1024
_HEADER: Final = 64

_log = logging.getLogger(__name__)


def install() -> None:
    """Let every consumer of this process read so; to be called any number of times."""
    fetcher.MemoryRecords, fetcher.PartitionRecords, fetcher.FetchResult = Fetched, PlacedRecords, Drained


class Fetched:
    """The bytes fetched of one partition; takes the place of aiokafka's `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self.frames = list(frames(data))
        self._size = len(data)

    def size_in_bytes(self) -> int:
        """How much was fetched."""
        return self._size

    def has_next(self) -> bool:
        """Whether there is a whole batch."""
        return bool(self.frames)


class PlacedRecords:
    """The records of one fetched partition from an offset on; takes the place of aiokafka's `PartitionRecords`, raises nothing.

    We read uncommitted: who may write in transactions here is nobody of ours, so an aborted record is as foreign as any other.
    """

    def __init__(self, place: TopicPartition, fetched: Fetched, _aborted: Any, fetch_offset: int, *_settings: Any) -> None:
        self._place = place
        self.next_fetch_offset = fetch_offset
        self._records = self._read(fetched)

    def __iter__(self) -> Iterator[Record]:
        return self._records

    def __next__(self) -> Record:
        return next(self._records)

    def _read(self, fetched: Fetched) -> Iterator[Record]:
        topic, partition = self._place
        began, limit = self.next_fetch_offset, _limit(topic)
        for frame in fetched.frames:
            records, following, damaged = read(frame, limit)
            if damaged:
                _log.error("%s: the batch before offset %d is damaged; what proves its writer still counts", self._place, following)
            for one in records:
                if one.offset >= self.next_fetch_offset:
                    self.next_fetch_offset = one.offset + 1
                    yield Record(topic, partition, *one)
            self.next_fetch_offset = max(self.next_fetch_offset, following)
        # a head that is damaged may say that it ends before where we are: then it would be fetched for ever
        self.next_fetch_offset = max(self.next_fetch_offset, began + 1)


class Drained(fetcher.FetchResult):  # type: ignore[misc] # aiokafka has no types for it
    """What is handed out of a fetched partition at a time; takes the place of aiokafka's own."""

    _partition_records: PlacedRecords | None

    def getall(self, max_records: int | None = None) -> list[Record]:
        """This partition's turn: so many records, or so many bytes and the last one; the rest comes with the next call."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        most = min(DRAIN_RECORDS, max_records or DRAIN_RECORDS)
        taken: list[Record] = []
        size = 0
        for record in self._partition_records or ():
            taken.append(record)
            size += len(record.value or b"") + len(record.key or b"") + _HEADER * len(record.headers)
            if len(taken) == most or size >= DRAIN_BYTES:
                self._update_position()
                return taken
        self._update_position()
        self._partition_records = None
        return taken


def _limit(topic: str) -> int:
    """To how much a batch may unpack: none of ours is larger than its topic's largest record."""
    found = TOPICS.get(topic)
    return (found.max_bytes if found else LARGEST) + _SPARE
