"""One record batch as a broker hands it out, read so that nothing in it can be an error (Kafka protocol guide, "Record Batch").

A broker takes much that aiokafka's decoder raises at, or believes: header names that are not UTF-8, offsets far outside of their
batch, a few bytes that unpack to gigabytes; and a disk can damage what was whole. What cannot be read is handed on as one record
whose header `UNREADABLE` says why and whose value is the beginning of the bytes: for its reader to dead-letter, and to go on behind.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from aiokafka.record.default_records import DefaultRecordBatch

from shared.contracts.envelope import UNREADABLE
from shared.messaging.kafka.codecs import unpacked
from shared.messaging.kafka.salvage import Parts, salvaged

MAX_RAW: Final = 16 * 1024
_HEAD: Final = struct.Struct(">qiibIhiqqqhii")
_BASE_AND_LENGTH: Final = struct.Struct(">qi")
_ATTRIBUTES_AT: Final = 21
_CODEC, _LOG_APPEND_TIME, _CONTROL = 0x07, 0x08, 0x20
_MAGIC: Final = 2
_FEW: Final = 32
"""Records of a compressed batch that are not too many, however small it is; more have to be worth `_LEAST` bytes each. Else 17 kB of zstd
are 26,000 records, and a reader is busy with 2 MB of these for a minute."""
_LEAST: Final = 16


class ReadRecord(NamedTuple):
    """A record of a batch; `timestamp_ms` 0 where its writer set the time: by that old records could be made young."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Read(NamedTuple):
    """What a batch holds, at offsets that only grow, and where the next one begins. `damaged`: its checksum does not hold."""

    records: Sequence[ReadRecord]
    next_offset: int
    damaged: bool = False


class _Decoded(Protocol):
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Unsound(ValueError):
    """A batch that no honest producer writes."""


class Crowded(ValueError):
    """Very many records in very few bytes: each of ours holds a proof, which no codec makes smaller."""


def frames(data: bytes) -> Iterator[memoryview]:
    """The whole batches that were fetched; the last one may have been cut off by the fetch's size, and comes again."""
    view, at = memoryview(data), 0
    while len(data) - at >= _BASE_AND_LENGTH.size:
        _, length = _BASE_AND_LENGTH.unpack_from(data, at)
        end = at + _BASE_AND_LENGTH.size + length if length >= 0 else len(data)
        if end > len(data):
            return
        yield view[at:end]
        at = end


def read(frame: memoryview, limit: int) -> Read:
    """The records of one whole batch, which may unpack to `limit` bytes; raises nothing."""
    (base,) = struct.unpack_from(">q", frame)
    if len(frame) < _HEAD.size or frame[16] != _MAGIC:
        return Read((_unread(base, 0, frame, "Magic"),), base + 1, damaged=True)
    _, _, _, _, _, attributes, last, _, latest_ms, _, _, _, count = _HEAD.unpack_from(frame)
    time_ms = latest_ms if attributes & _LOG_APPEND_TIME else 0
    whole = DefaultRecordBatch(frame).validate_crc()
    # of a damaged head neither number is to be trusted, and to leap over others' records is worse than to be given this batch again
    following = base + max(1, last + 1 if whole else min(last + 1, count))
    if attributes & _CONTROL:
        return Read((_unread(following - 1, time_ms, frame, "ControlRecord"),), following, not whole)
    try:
        if attributes & _CODEC and count > max(_FEW, len(frame) // _LEAST):
            raise Crowded(f"{count} records in {len(frame)} bytes")
        body = _plain(frame, attributes & _CODEC, limit)
        found = _decoded(body, time_ms) or [_placed(one, base, time_ms) for one in salvaged(body[_HEAD.size :], count)]
        _check_places(found, base, following)
    except Exception as error:  # noqa: BLE001 - handed on with its name: whatever a batch is, the next one has to be reached
        found = [_unread(following - 1, time_ms, frame, type(error).__name__)]
    return Read(found, following, not whole)


def _plain(frame: memoryview, codec: int, limit: int) -> bytes | memoryview:
    """The batch as if it had never been compressed."""
    if not codec:
        return frame
    head = bytearray(frame[: _HEAD.size])
    head[_ATTRIBUTES_AT + 1] &= ~_CODEC
    return bytes(head) + unpacked(bytes(frame[_HEAD.size :]), codec, limit)


def _decoded(batch: bytes | memoryview, time_ms: int) -> list[ReadRecord] | None:
    """By aiokafka's decoder, which is written in C and takes all or nothing; None for nothing."""
    try:
        decoded: Sequence[_Decoded] = list(DefaultRecordBatch(batch))
    except Exception:  # noqa: BLE001 - what it stumbles over is found again, and named, record by record
        return None
    return [ReadRecord(one.offset, time_ms, one.key, one.value, _headers(one.headers)) for one in decoded]


def _headers(headers: Sequence[tuple[str, bytes | None]]) -> tuple[tuple[str, bytes], ...]:
    return tuple([(name, value or b"") for name, value in headers])


def _placed(one: Parts, base: int, time_ms: int) -> ReadRecord:
    offset = base + one.place
    if one.unread:
        return _unread(offset, time_ms, one.raw, one.unread)
    return ReadRecord(offset, time_ms, one.key, one.value, _headers(one.headers))


def _check_places(found: Sequence[ReadRecord], base: int, following: int) -> None:
    """A record's place in its batch is its producer's word, and a reader that believed it would leap over what others wrote."""
    before = base - 1
    for one in found:
        if not before < one.offset < following:
            raise Unsound("a record outside of its batch, or of its order")
        before = one.offset


def _unread(offset: int, time_ms: int, raw: memoryview | bytes, why: str) -> ReadRecord:
    return ReadRecord(offset, time_ms, None, bytes(raw[:MAX_RAW]), ((UNREADABLE, why.encode()),))
