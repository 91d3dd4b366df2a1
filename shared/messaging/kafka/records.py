"""Fetched batches that no record in them can make unreadable for ever.

aiokafka decodes a batch as a whole: one header name that is not UTF-8, which brokers take, or a codec that is not
installed here, and it raises at the same offset again and again; the records of other partitions that it had taken out
before are lost. Here such a batch is read record by record, and what still cannot be read is handed on as raw bytes,
for its reader to dead-letter (`UNREADABLE` names the reason).
"""

import logging
import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from aiokafka.codec import gzip_decode
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

UNREADABLE: Final = "sluice-unreadable"
"""Header of a record whose value is not a producer's, but the bytes that could not be read; its value says why."""
MAX_RAW: Final = 16 * 1024
# Kafka's record batch, magic 2 (Kafka protocol guide, "Record Batch"): up to and with the count of records
_BATCH: Final = struct.Struct(">qiibIhiqqqhii")
_LENGTH_AT, _OVERHEAD = 8, 12
_CODEC, _GZIP, _LOG_APPEND_TIME = 0x07, 0x01, 0x08

_log = logging.getLogger(__name__)


class RawRecord(NamedTuple):
    """A record as aiokafka's fetcher wants it."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    checksum: None = None


class ReadableRecords:
    """The batches fetched of one partition; takes the place of aiokafka's `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records: Any = MemoryRecords(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        """How much was fetched."""
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        """Whether there is another whole batch."""
        return bool(self._records.has_next())

    def next_batch(self) -> "ReadableBatch":
        """The next batch."""
        start = self._at
        (length,) = struct.unpack_from(">i", self._data, start + _LENGTH_AT)
        self._at = start + _OVERHEAD + length
        return ReadableBatch(self._records.next_batch(), memoryview(self._data)[start : self._at])


class ReadableBatch:
    """A batch whose iteration raises nothing."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except Exception as error:  # noqa: BLE001 - whatever the decoder stumbles over is told and passed
            _log.warning("records %d to %d are read one by one: %r", self._batch.base_offset, self._batch.next_offset - 1, error)
            return iter(self._one_by_one(error))

    def _one_by_one(self, error: Exception) -> list[RawRecord]:
        base, *_, attributes, _, first_ms, latest_ms, _, _, _, count = _BATCH.unpack_from(self._raw)
        kind = int(bool(attributes & _LOG_APPEND_TIME))
        unread = RawRecord(self._batch.next_offset - 1, latest_ms, kind, *_unreadable(self._raw, error))
        body = bytes(self._raw[_BATCH.size :])
        try:
            if codec := attributes & _CODEC:
                if codec != _GZIP:
                    return [unread]
                body = gzip_decode(memoryview(body))
            return [_placed(one, base, latest_ms if kind else first_ms, kind) for one in _split(body, count)]
        except (ValueError, IndexError, OSError, EOFError):
            return [unread]


class _Parts(NamedTuple):
    offset_delta: int
    time_delta: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def _placed(one: _Parts, base: int, time_ms: int, kind: int) -> RawRecord:
    timestamp = time_ms if kind else time_ms + one.time_delta
    return RawRecord(base + one.offset_delta, timestamp, kind, one.key, one.value, one.headers)


def _split(body: bytes, count: int) -> Iterator[_Parts]:
    """The records of a batch; `ValueError` or `IndexError` where not even their places can be told."""
    buffer, at = bytearray(body), 0
    for _ in range(count):
        length, start = decode_varint(buffer, at)
        at = start + length
        if length < 1 or at > len(buffer):
            raise ValueError("a record longer than its batch")
        yield _parts(buffer[start:at])


def _parts(record: bytearray) -> _Parts:
    time_delta, at = decode_varint(record, 1)  # a byte of attributes that mean nothing yet comes first
    offset_delta, at = decode_varint(record, at)
    try:
        key, at = _bytes(record, at)
        value, at = _bytes(record, at)
        count, at = decode_varint(record, at)
        headers = []
        for _ in range(count):
            name, at = _bytes(record, at)
            content, at = _bytes(record, at)
            headers.append(((name or b"").decode(errors="backslashreplace"), content))
        if at != len(record):
            raise ValueError("bytes after the last header")
    except (ValueError, IndexError) as error:
        return _Parts(offset_delta, time_delta, *_unreadable(memoryview(record), error))
    return _Parts(offset_delta, time_delta, key, value, tuple(headers))


def _bytes(record: bytearray, at: int) -> tuple[bytes | None, int]:
    size, at = decode_varint(record, at)
    if size < 0:
        return None, at
    if at + size > len(record):
        raise ValueError("a field longer than its record")
    return bytes(record[at : at + size]), at + size


def _unreadable(raw: memoryview, error: Exception) -> tuple[None, bytes, tuple[tuple[str, bytes | None], ...]]:
    return None, bytes(raw[:MAX_RAW]), ((UNREADABLE, type(error).__name__.encode()),)
