"""One partition of the embedded log: its newest records in memory, and whoever waits for the next."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Protocol

from shared.contracts.topics import Topic
from shared.messaging.log import Record, TopicPartition

_OFFSET = attrgetter("offset")


class Waiter(Protocol):
    """Somebody who wants to know that a partition has more records."""

    def wake(self, partition: "Partition") -> None:
        """There is more. Called on the event loop, must only take note."""
        ...


class Partition:
    """A window of records on top of what the file holds.

    `first` is the oldest offset that readers may ask for, `next` the one that the next record gets. Every record from
    `window_start` on is in `records`; older ones are in the file, if the topic has one. `dirty` counts appends since the
    last compaction, `live` the records that it left.
    """

    __slots__ = ("dirty", "first", "live", "next", "place", "records", "size", "stored", "topic", "waiters", "window_start")

    def __init__(self, topic: Topic, number: int, *, stored: bool, first: int = 0, next_offset: int = 0) -> None:
        self.topic = topic
        self.place = TopicPartition(topic.name, number)
        self.stored = stored
        self.first = first
        self.next = next_offset
        self.window_start = next_offset
        self.records: list[Record] = []
        self.size = 0
        self.dirty = 0
        self.live = 0
        self.waiters: set[Waiter] = set()

    def publish(self, records: Sequence[Record]) -> int:
        """Make appended records visible and wake the readers; the bytes of memory that they take."""
        self.records.extend(records)
        self.next = records[-1].offset + 1
        grown = sum(map(weight, records))
        self.size += grown
        self.dirty += len(records)
        for waiter in self.waiters:
            waiter.wake(self)
        return grown

    def recent(self, start: int, limit: int) -> list[Record]:
        """Up to `limit` records from an offset that is not below `window_start`."""
        if not self.records:
            return []
        at = start - self.records[0].offset
        if at < 0 or at >= len(self.records) or self.records[at].offset != start:
            at = bisect_left(self.records, start, key=_OFFSET)
        return self.records[at : at + limit]

    def forget(self, count: int) -> int:
        """Let go of the oldest `count` records in memory, return the bytes freed.

        Where there is no file they are gone, as if their retention had passed.
        """
        gone = self.records[:count]
        if not gone:
            return 0
        del self.records[:count]
        freed = sum(map(weight, gone))
        self.size -= freed
        self.window_start = gone[-1].offset + 1
        if not self.stored:
            self.first = self.window_start
        return freed

    def keep(self, records: Iterable[Record]) -> None:
        """Replace what is in memory by the part of it that compaction keeps; the bounds stay as they are."""
        self.records = list(records)
        self.size = sum(map(weight, self.records))
        self.dirty, self.live = 0, len(self.records)


def weight(record: Record) -> int:
    """About how many bytes a record takes in memory: cheap to tell, since it is asked for every append."""
    return 400 + 100 * len(record.headers) + len(record.value or b"")
