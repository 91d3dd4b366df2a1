"""Appends to stored topics: everything that arrives while a commit runs goes into the next one.

One batch is under way at a time and offsets are given when it starts, so a batch that fails leaves no gap.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.messaging.embedded_partition import Partition
from shared.messaging.log import LogUnavailable, Message, Record, TopicPartition
from shared.messaging.sqlite_schema import INSERT, to_row
from shared.messaging.sqlite_store import SqliteStore, transaction

APPEND_TIMEOUT_S = 1.0
COMMIT_DELAY_S = 0.05

Offsets = dict[tuple[str, TopicPartition], int]

_SAVE_OFFSET = "insert or replace into group_offsets values (?, ?, ?, ?)"


@dataclass(slots=True)
class _Batch:
    futures: list[asyncio.Future[int]] = field(default_factory=list)
    messages: list[tuple[Partition, Message]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    offsets: Offsets = field(default_factory=dict)


class Journal:
    """Collects appends and group offsets, commits them together."""

    def __init__(self, store: SqliteStore, now_ms: Callable[[], int], published: Callable[[int], None]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._published = published
        self._loop = asyncio.get_running_loop()
        self._pending = _Batch()
        self._running: _Batch | None = None
        self._scheduled = False
        self._late_offsets: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._stuck = False

    async def append(self, partition: Partition, message: Message) -> int:
        """Append, wait for the commit; `LogUnavailable` after 1 s or when the file refuses."""
        if self._stuck:
            raise LogUnavailable("the log's file does not answer")
        future: asyncio.Future[int] = self._loop.create_future()
        self._pending.futures.append(future)
        self._pending.messages.append((partition, message))
        self._schedule()
        return await future

    def note(self, group: str, place: TopicPartition, offset: int) -> None:
        """Commit a group's offset with the next batch, or by itself after 50 ms: losing it only repeats records."""
        self._pending.offsets[group, place] = offset
        if self._late_offsets is None:
            self._late_offsets = self._loop.call_later(COMMIT_DELAY_S, self._offsets_due)

    async def flush(self) -> None:
        """Until nothing is pending."""
        while self._running is not None or self._pending.messages or self._pending.offsets:
            self._schedule()
            await asyncio.sleep(0.001)
            if self._stuck:
                raise LogUnavailable("the log's file does not answer")

    def _schedule(self) -> None:
        # the loop's next turn, so that everybody who appends in this one shares the commit
        if not self._scheduled and self._running is None:
            self._scheduled = True
            self._loop.call_soon(self._start)

    def _offsets_due(self) -> None:
        self._late_offsets = None
        self._schedule()

    def _start(self) -> None:
        self._scheduled = False
        if self._late_offsets is not None:
            self._late_offsets.cancel()
            self._late_offsets = None
        batch, self._pending = self._pending, _Batch()
        if not batch.messages and not batch.offsets:
            return
        self._running = batch
        batch.records = self._number(batch)
        self._deadline = self._loop.call_later(APPEND_TIMEOUT_S, self._expire)
        self._store.write(lambda connection: _commit(connection, batch), lambda _, error: self._finish(batch, error))

    def _number(self, batch: _Batch) -> list[Record]:
        now, records = self._now_ms(), []
        following: dict[Partition, int] = {}
        for partition, message in batch.messages:
            offset = following.get(partition, partition.next)
            following[partition] = offset + 1
            records.append(Record(message.topic, message.partition, offset, now, message.key, message.value, message.headers))
        return records

    def _finish(self, batch: _Batch, error: Exception | None) -> None:
        self._running, self._stuck = None, False
        if self._deadline is not None:
            self._deadline.cancel()
        if error is None:
            self._publish(batch)
        else:
            self._pending.offsets = batch.offsets | self._pending.offsets
            _fail(batch, f"the log's file refused: {error}")
        if self._pending.messages:
            self._start()
        elif self._pending.offsets and self._late_offsets is None:
            self._late_offsets = self._loop.call_later(COMMIT_DELAY_S, self._offsets_due)

    def _publish(self, batch: _Batch) -> None:
        grouped: dict[Partition, list[Record]] = {}
        for (partition, _), record in zip(batch.messages, batch.records, strict=True):
            grouped.setdefault(partition, []).append(record)
        for future, record in zip(batch.futures, batch.records, strict=True):
            if not future.done():
                future.set_result(record.offset)
        self._published(sum(partition.publish(records) for partition, records in grouped.items()))

    def _expire(self) -> None:
        """The file is slow: tell everybody, what is under way may still get in; what waits is dropped."""
        self._stuck = True
        waiting, self._pending = self._pending, _Batch(offsets=self._pending.offsets)
        for batch in (self._running, waiting):
            if batch is not None:
                _fail(batch, "the log's file did not answer in time")


def _fail(batch: _Batch, detail: str) -> None:
    for future in batch.futures:
        if not future.done():
            future.set_exception(LogUnavailable(detail))


def _commit(connection: sqlite3.Connection, batch: _Batch) -> None:
    with transaction(connection):
        connection.executemany(INSERT, map(to_row, batch.records))
        if batch.offsets:
            rows = [(group, place.topic, place.partition, offset) for (group, place), offset in batch.offsets.items()]
            connection.executemany(_SAVE_OFFSET, rows)
