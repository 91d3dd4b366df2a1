"""Retention and compaction of the embedded log, in small pieces so that no append waits long for them."""

import sqlite3
from collections.abc import Iterable, Sequence

from shared.messaging.embedded.partition import Partition
from shared.messaging.embedded.sqlite_store import SqliteStore, transaction
from shared.messaging.log import Record

STORED_WINDOW_BYTES = 16 * 1024 * 1024
VOLATILE_BYTES = 64 * 1024 * 1024
GROWTH_BYTES = 1024 * 1024
TOMBSTONE_MS = 24 * 3600 * 1000  # Kafka's delete.retention.ms: how long a reader may take to see a deletion
DIRTY = 1000
PIECE = 500

_EXPIRED = """
select max(offset) from (select offset, timestamp_ms from records where topic = ? and partition = ?
order by offset limit ?) where timestamp_ms < ?
"""
_SUPERSEDED = """
select offset from (
    select offset, timestamp_ms, value is null as gone, row_number() over (partition by key order by offset desc) as nth
    from records where topic = ? and partition = ?)
where nth > 1 or (gone and timestamp_ms < ?) order by offset
"""
_COUNT = "select count(*) from records where topic = ? and partition = ?"
_SAVE_BOUNDS = "insert or replace into bounds values (?, ?, ?, ?)"


def bound_windows(partitions: Iterable[Partition], limit: int) -> None:
    """Shorten the largest windows until all together fit; what is in the file can still be read from there."""
    partitions = list(partitions)
    total = sum(one.size for one in partitions)
    while total > limit:
        largest = max(partitions, key=lambda one: one.size)
        freed = largest.forget((len(largest.records) + 1) // 2)
        if not freed:
            return
        total -= freed


def expire_window(partition: Partition, now_ms: int) -> None:
    """Drop what is older than the topic's retention from memory."""
    age = partition.topic.retention_s
    if age is None or "delete" not in partition.topic.cleanup:
        return
    cutoff, count = now_ms - age * 1000, 0
    while count < len(partition.records) and partition.records[count].timestamp_ms < cutoff:
        count += 1
    partition.forget(count)


def compact_window(partition: Partition, now_ms: int) -> None:
    """Keep the newest record of every key, of a partition that is in memory only."""
    if "compact" not in partition.topic.cleanup or not _is_dirty(partition):
        return
    latest = {record.key: record.offset for record in partition.records}
    cutoff = now_ms - TOMBSTONE_MS
    partition.keep(one for one in partition.records if latest[one.key] == one.offset and not _buried(one, cutoff))


async def expire_stored(partition: Partition, store: SqliteStore, now_ms: int) -> None:
    """Drop what is older than the topic's retention from the file, a piece at a time."""
    age = partition.topic.retention_s
    if age is None or "delete" not in partition.topic.cleanup:
        return
    topic, number = partition.place
    cutoff = now_ms - age * 1000

    def expired(connection: sqlite3.Connection) -> int | None:
        found: int | None = connection.execute(_EXPIRED, (topic, number, PIECE, cutoff)).fetchone()[0]
        return found

    while (last := await store.queried(expired)) is not None:
        partition.first = max(partition.first, last + 1)
        await _delete(partition, store, "delete from records where topic = ? and partition = ? and offset <= ?", [(topic, number, last)])


async def compact_stored(partition: Partition, store: SqliteStore, now_ms: int) -> None:
    """Drop from the file what a later record of the same key supersedes, once there is enough of it."""
    if "compact" not in partition.topic.cleanup or not _is_dirty(partition):
        return
    topic, number = partition.place
    partition.dirty = 0
    found = await store.queried(lambda connection: connection.execute(_SUPERSEDED, (topic, number, now_ms - TOMBSTONE_MS)).fetchall())
    for start in range(0, len(found), PIECE):
        rows = [(topic, number, offset) for (offset,) in found[start : start + PIECE]]
        await _delete(partition, store, "delete from records where topic = ? and partition = ? and offset = ?", rows)
    partition.live = await store.queried(lambda connection: int(connection.execute(_COUNT, (topic, number)).fetchone()[0]))


async def _delete(partition: Partition, store: SqliteStore, statement: str, rows: Sequence[tuple[str, int, int]]) -> None:
    # an emptied partition still knows its next offset
    bounds = (*partition.place, partition.first, partition.next)

    def job(connection: sqlite3.Connection) -> None:
        with transaction(connection):
            connection.execute(_SAVE_BOUNDS, bounds)
            connection.executemany(statement, rows)

    await store.written(job)


def _is_dirty(partition: Partition) -> bool:
    # as Kafka's min.cleanable.dirty.ratio: compaction costs what the partition holds, so appends must have earned it
    return partition.dirty >= max(DIRTY // partition.topic.partitions, partition.live // 2)


def _buried(record: Record, cutoff: int) -> bool:
    return record.value is None and record.timestamp_ms < cutoff
