"""The embedded log: the whole of Kafka that one process needs, in one SQLite file or in memory (architecture §7).

Records of topics kept longer than an hour are in the file, a bounded window of the newest ones also in memory; all
others are in memory only, bounded by their retention and, should they be written faster than that, by 64 MiB.
Everything runs on the event loop that opened it, except the file's reading and writing.
"""

import asyncio
import logging
import sqlite3
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from shared.contracts.topics import Topic
from shared.kernel.clock import Clock, SystemClock
from shared.messaging.embedded import upkeep
from shared.messaging.embedded.group import EmbeddedMembership, Group
from shared.messaging.embedded.journal import Journal
from shared.messaging.embedded.partition import Partition
from shared.messaging.embedded.sqlite_schema import bounds_of
from shared.messaging.embedded.sqlite_store import SqliteStore, transaction
from shared.messaging.embedded.subscription import BATCH, EmbeddedTail, Subscription, read_at
from shared.messaging.log import GroupMember, LogClosed, Message, Mismatched, Record, Refused, TopicPartition, check

UPKEEP_S = 10.0
SAID = 256

_log = logging.getLogger(__name__)


class EmbeddedLog:
    """The log port in one process; see `log.Log`. Made by `open`."""

    def __init__(self, topics: Mapping[str, Topic], clock: Clock, store: SqliteStore | None) -> None:
        self._topics = topics
        self._clock = clock
        self._store = store
        self._partitions = {
            topic.name: [Partition(topic, number, stored=store is not None and not topic.volatile) for number in range(topic.partitions)]
            for topic in topics.values()
        }
        self._all = [one for partitions in self._partitions.values() for one in partitions]
        self._journal = None if store is None else Journal(store, self._now_ms, self._grown)
        self._groups: dict[str, Group] = {}
        self._saved_offsets: dict[str, dict[TopicPartition, int]] = defaultdict(dict)
        self._readers: set[Subscription] = set()
        self._unbounded = 0
        self._said: deque[Record] = deque()
        self._upkeep_task: asyncio.Task[None] | None = None
        self._closed = False

    @classmethod
    async def open(cls, topics: Mapping[str, Topic], path: Path | None = None, clock: Clock | None = None) -> "EmbeddedLog":
        """Open the log in a file, made when it is not there, or in memory; `LogInUse` if another process has it."""
        store = None if path is None else SqliteStore(path)
        log = cls(topics, clock or SystemClock(), store)
        if store is not None:
            try:
                await log._recover(store)
            except BaseException:
                await store.close()
                raise
        log._upkeep_task = asyncio.create_task(log._keep_up(), name="log upkeep")
        return log

    async def append(self, message: Message) -> int:
        """See `log.Log.append`; `Refused` for a record that breaks its topic's rules."""
        self._check_open()
        check(message, self._topics)
        partition = self._partitions[message.topic][message.partition]
        if partition.stored and self._journal is not None:
            return await self._journal.append(partition, message)
        if self._journal is not None:
            await self._journal.check()  # what would follow from this record could not be written
        offset = partition.next
        record = Record(
            message.topic, message.partition, offset, self._now_ms(), message.key, message.value, message.headers, None, message.said
        )
        self._grown(partition.publish([record]))
        if message.said is not None:
            self._forget_said(record)
        return offset

    def _forget_said(self, newest: Record) -> None:
        """Objects take five times their bytes, and who reads a record does so at once: only of the newest is held what they say."""
        self._said.append(newest)
        if len(self._said) > SAID:
            object.__setattr__(self._said.popleft(), "said", None)

    def lacking(self) -> dict[str, bool]:
        """`{"log.file": False}` while the file refuses what is written (its disk is full), for readiness; else nothing."""
        return {"log.file": False} if self._journal is not None and self._journal.refusal else {}

    async def partitions(self, topic: str) -> int:
        """See `log.Log.partitions`."""
        self._check_open()
        return len(self._topic(topic))

    async def bounds(self, place: TopicPartition) -> tuple[int, int]:
        """See `log.Log.bounds`."""
        self._check_open()
        partition = self._partition(place)
        return partition.first, partition.next

    async def bounds_of(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        """See `log.Log.bounds_of`."""
        return {place: await self.bounds(place) for place in places}

    async def read(self, place: TopicPartition, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """See `log.Log.read`."""
        partition = self._partition(place)
        while start < end:
            records, start = await read_at(partition, start, BATCH, self._fetch)
            inside = [record for record in records if record.offset < end]
            if not inside:
                return
            yield inside

    def tail(self, topic: str, start: Mapping[int, int]) -> EmbeddedTail:
        """See `log.Log.tail`."""
        subscription = self._subscription()
        for number, offset in start.items():
            subscription.add(self._partition(TopicPartition(topic, number)), offset)
        return EmbeddedTail(subscription, self._clock.monotonic)

    async def join(self, group: str, topics: Sequence[str], member: GroupMember, unhurried: Collection[str] = ()) -> EmbeddedMembership:
        """See `log.Log.join`; `Mismatched` if the topics have unlike partition counts or others in the group differ."""
        self._check_open()
        for topic in topics:
            self._topic(topic)
        found = self._groups.get(group)
        if found is None:
            found = Group(group, topics, self._partitions, self._note_offset, self._saved_offsets.pop(group, {}))
            self._groups[group] = found
        if found.topics != frozenset(topics):
            raise Mismatched(f"group {group} reads {sorted(found.topics)}, not {sorted(topics)}")
        return found.join(member, self._subscription())

    async def close(self) -> None:
        """See `log.Log.close`."""
        if self._closed:
            return
        self._closed = True
        if self._upkeep_task is not None:
            self._upkeep_task.cancel()
            await asyncio.gather(self._upkeep_task, return_exceptions=True)
        gone = LogClosed("the log is closed")
        for group in self._groups.values():
            await group.end(gone)
        for subscription in list(self._readers):
            if not subscription.closed:
                subscription.close(gone)
        if self._journal is not None and self._store is not None:
            self._journal.stop()
            try:
                await self._journal.flush()
            finally:
                await self._store.close()

    def _subscription(self) -> Subscription:
        self._check_open()
        self._readers = {one for one in self._readers if not one.closed}
        subscription = Subscription(self._fetch)
        self._readers.add(subscription)
        return subscription

    async def _fetch(self, partition: Partition, start: int, end: int, limit: int) -> list[Record]:
        if self._store is None:
            return []
        return await self._store.fetch(*partition.place, start, end, limit)

    def _note_offset(self, group: str, place: TopicPartition, offset: int) -> None:
        if self._journal is not None and not self._topics[place.topic].volatile:
            self._journal.note(group, place, offset)

    def _topic(self, topic: str) -> list[Partition]:
        if topic not in self._partitions:
            raise Refused(f"unknown topic {topic}")
        return self._partitions[topic]

    def _partition(self, place: TopicPartition) -> Partition:
        partitions = self._topic(place.topic)
        if not 0 <= place.partition < len(partitions):
            raise Refused(f"{place.topic} has no partition {place.partition}")
        return partitions[place.partition]

    def _check_open(self) -> None:
        if self._closed:
            raise LogClosed("the log is closed")

    def _now_ms(self) -> int:
        return self._clock.now_us() // 1000

    def _grown(self, size: int) -> None:
        """Bound the windows once so many bytes came; summing them all up costs more than an append."""
        self._unbounded += size
        if self._unbounded >= upkeep.GROWTH_BYTES:
            self._unbounded = 0
            upkeep.bound_windows((one for one in self._all if one.stored), upkeep.STORED_WINDOW_BYTES)
            upkeep.bound_windows((one for one in self._all if one.topic.volatile), upkeep.VOLATILE_BYTES)

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(UPKEEP_S)
            try:
                await self.keep_up()
            except Exception:  # noqa: BLE001 - without upkeep the file only grows, whatever was wrong once
                _log.exception("retention and compaction of the log failed; tried again in %s s", UPKEEP_S)

    async def keep_up(self) -> None:
        """Apply retention and compaction now; runs by itself every 10 s."""
        now = self._now_ms()
        for partition in self._all:
            if partition.stored and self._store is not None:
                await upkeep.expire_stored(partition, self._store, now)
                await upkeep.compact_stored(partition, self._store, now)
            else:
                upkeep.expire_window(partition, now)
                upkeep.compact_window(partition, now)

    async def _recover(self, store: SqliteStore) -> None:
        """Learn from the file where every partition and every group stands."""
        await store.written(self._describe)
        for partition in self._all:
            if partition.stored:
                first, following = await store.queried(partial(bounds_of, place=partition.place))
                partition.first, partition.next, partition.window_start = first, following, following
        saved = await store.queried(lambda connection: connection.execute("select * from group_offsets").fetchall())
        for group, topic, number, offset in saved:
            self._saved_offsets[group][TopicPartition(topic, number)] = offset

    def _describe(self, connection: sqlite3.Connection) -> None:
        stored = [topic for topic in self._topics.values() if not topic.volatile]
        for name, count in connection.execute("select topic, partitions from topics").fetchall():
            if name in self._topics and count > self._topics[name].partitions:
                raise Refused(f"{name} has {count} partitions in the file, {self._topics[name].partitions} are wanted")
        rows = [(one.name, one.partitions, ",".join(one.cleanup), one.retention_s) for one in stored]
        with transaction(connection):
            connection.executemany("insert or replace into topics values (?, ?, ?, ?)", rows)
