"""Appends to stored topics: everything that arrives while a commit runs goes into the next one.

One batch is under way at a time and offsets are given when it starts, so a batch that fails leaves no gap. After one that
the file refused (a full disk), a trial is written every second, and whenever somebody asks, until the file takes one.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.messaging.embedded.partition import Partition
from shared.messaging.embedded.sqlite_schema import INSERT, to_row
from shared.messaging.embedded.sqlite_store import SqliteStore, transaction
from shared.messaging.log import LogUnavailable, Message, Record, TopicPartition

APPEND_TIMEOUT_S = 1.0
COMMIT_DELAY_S = 0.05
TRIAL_S = 1.0
TRIAL_BYTES = 64 * 1024  # as much as a large record: what is smaller may find a place on a disk that is full

Offsets = dict[tuple[str, TopicPartition], int]

_log = logging.getLogger(__name__)

_TRIAL = Record("", 0, 0, 0, b"", bytes(TRIAL_BYTES), ())  # nobody reads a topic of no name
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
        self._refusal = ""
        self._trial: asyncio.Future[None] | None = None
        self._next_trial: asyncio.TimerHandle | None = None

    @property
    def refusal(self) -> str:
        """Why the file refused the last records, "" if it took them."""
        return self._refusal

    async def check(self) -> None:
        """Nothing while the file takes what is written; else try it, and `LogUnavailable` if it still refuses."""
        if not self._refusal:
            return
        if self._stuck:
            raise LogUnavailable("the log's file does not answer")
        await asyncio.shield(self._try())
        if self._refusal:
            raise LogUnavailable(f"the log's file refused: {self._refusal}")

    def stop(self) -> None:
        """Try no more."""
        if self._next_trial is not None:
            self._next_trial.cancel()

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
            if self._refusal and self._running is None and not self._pending.messages:
                return  # offsets that it will not take: losing them only repeats records
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
            if batch.messages:
                self._took()
            self._publish(batch)
        else:
            self._refused(error)
            self._pending.offsets = batch.offsets | self._pending.offsets
            _fail(batch, f"the log's file refused: {error}")
        if self._pending.messages:
            self._start()
        elif self._pending.offsets and self._late_offsets is None:
            self._late_offsets = self._loop.call_later(COMMIT_DELAY_S, self._offsets_due)

    def _refused(self, error: Exception) -> None:
        if not self._refusal:
            _log.error("the log's file refuses what is written (%s): nobody can log in until it takes a trial", error)
        self._refusal = str(error) or type(error).__name__
        if self._next_trial is None:
            self._next_trial = self._loop.call_later(TRIAL_S, self._try_by_itself)

    def _took(self) -> None:
        if self._refusal:
            _log.warning("the log's file takes what is written again")
        self._refusal = ""

    def _try_by_itself(self) -> None:
        self._next_trial = None
        if self._refusal:
            self._try()

    def _try(self) -> "asyncio.Future[None]":
        """The trial that is under way, or a new one; it has a result when it is known how it went."""
        if self._trial is None:
            self._trial = self._loop.create_future()
            self._store.write(_attempt, lambda _, error: self._tried(error))
        return self._trial

    def _tried(self, error: Exception | None) -> None:
        trial, self._trial = self._trial, None
        if error is None:
            self._took()
        else:
            self._refused(error)
        if trial is not None and not trial.done():
            trial.set_result(None)

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


def _attempt(connection: sqlite3.Connection) -> None:
    """Write a large record and take it away: only a commit shows whether there is room."""
    with transaction(connection):
        connection.execute("delete from records where topic = ?", (_TRIAL.topic,))  # of a process that was killed in between
        connection.execute(INSERT, to_row(_TRIAL))
    with transaction(connection):
        connection.execute("delete from records where topic = ?", (_TRIAL.topic,))


def _commit(connection: sqlite3.Connection, batch: _Batch) -> None:
    with transaction(connection):
        connection.executemany(INSERT, map(to_row, batch.records))
        if batch.offsets:
            rows = [(group, place.topic, place.partition, offset) for (group, place), offset in batch.offsets.items()]
            connection.executemany(_SAVE_OFFSET, rows)
