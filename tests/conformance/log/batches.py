"""Kafka record batches made byte by byte (Kafka protocol guide, "Record Batch", magic 2), as any producer may send them."""

import gzip
import struct
from dataclasses import dataclass, replace
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.codec import lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.util import calc_crc32c

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
_HEAD: Final = struct.Struct(">qiibIhiqqqhii")
_CRC_AT, _ATTRIBUTES_AT, _LENGTH_AT = 17, 21, 8
_SIZED_FROM: Final = 12


@dataclass(frozen=True)
class Made:
    """One record; `place` is its offset within the batch, None for the right one."""

    value: bytes | None
    key: bytes | None = b"k"
    headers: tuple[tuple[bytes, bytes | None], ...] = ()
    place: int | None = None


@dataclass(frozen=True)
class Batch:
    """Some records, sent as one batch; `count` None is the true one."""

    records: tuple[Made, ...]
    codec: int = 0
    time_ms: int = 1_800_000_000_000

    def bytes(self) -> bytearray:
        """As it is sent."""
        body = b"".join(_record(one, number if one.place is None else one.place) for number, one in enumerate(self.records))
        count = len(self.records)
        head = _HEAD.pack(0, 0, -1, 2, 0, self.codec, count - 1, self.time_ms, self.time_ms, -1, -1, -1, count)
        return sealed(bytearray(head + squeezed(body, self.codec)))


def one(value: bytes | None, **how: object) -> Batch:
    """A batch of one record."""
    codec = int(how.pop("codec", 0))  # type: ignore[call-overload]
    return Batch((Made(value, **how),), codec)  # type: ignore[arg-type]


def squeezed(body: bytes, codec: int) -> bytes:
    """The records as a producer compresses them."""
    match codec:
        case 1:
            return gzip.compress(body)
        case 2:
            return bytes(snappy_encode(body))
        case 3:
            return bytes(lz4_encode(body))
        case 4:
            return bytes(zstd_encode(body))
        case _:
            return body


def sealed(made: bytearray) -> bytearray:
    """With the length and the checksum that these bytes have."""
    struct.pack_into(">i", made, _LENGTH_AT, len(made) - _SIZED_FROM)
    struct.pack_into(">I", made, _CRC_AT, calc_crc32c(bytes(made[_ATTRIBUTES_AT:])))
    return made


async def send(bootstrap: str, topic: str, partition: int, *batches: Batch) -> list[int]:
    """Append these as they are, one after the other; their first offsets. An error of Kafka's if the broker refuses one."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=64 * 1024 * 1024, request_timeout_ms=10_000)
    await producer.start()
    try:
        return [await _put(producer, topic, partition, one.bytes()) for one in batches]
    finally:
        await producer.stop()


async def _put(producer: AIOKafkaProducer, topic: str, partition: int, made: bytearray) -> int:
    batch = producer.create_batch()
    batch.append(timestamp=None, key=b"k", value=b"", headers=[])
    batch._build = lambda: made
    told = await (await producer.send_batch(batch, topic, partition=partition))
    return int(told.offset)


async def transaction(bootstrap: str, topic: str, partition: int, *values: bytes, commit: bool) -> None:
    """These values in a transaction, which is ended so: behind them comes its marker, a control record."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"stranger-{topic}-{partition}-{commit}")
    await producer.start()
    try:
        await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(topic, value, b"k", partition=partition)
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    finally:
        await producer.stop()


def _record(made: Made, place: int) -> bytes:
    body = b"\0" + _varint(0) + _varint(place) + _sized(made.key) + _sized(made.value) + _varint(len(made.headers))
    body += b"".join(_sized(name) + _sized(value) for name, value in made.headers)
    return _varint(len(body)) + body


def _sized(field: bytes | None) -> bytes:
    return _varint(-1) if field is None else _varint(len(field)) + field


def _varint(number: int) -> bytes:
    """Zigzag, seven bits a byte."""
    left, out = (number << 1) ^ (number >> 63), bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


def misplaced(batch: Batch, *places: int) -> Batch:
    """With offsets that its records should not have."""
    return replace(batch, records=tuple(replace(record, place=place) for record, place in zip(batch.records, places, strict=True)))
