"""Batches that a broker takes and aiokafka cannot decode, made byte by byte."""

import struct
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

Spoil = Callable[[bytearray], bytearray]
_ATTRIBUTES_AT, _CRC_AT, _LENGTH_AT, _RECORDS_AT = 21, 17, 8, 61
_SNAPPY = 2
Headers = Sequence[tuple[str, bytes | None]]


def foreign_header_name(batch: bytearray) -> bytearray:
    """The header `zz` is called by two bytes that are not UTF-8."""
    assert b"\x04zz" in batch
    return batch.replace(b"\x04zz", b"\x04\xff\xfe")


def codec_we_lack(batch: bytearray) -> bytearray:
    """Snappy, as one literal (format_description.txt, 2.1)."""
    records = bytes(batch[_RECORDS_AT:])
    assert 60 < len(records) < 128
    batch[_RECORDS_AT:] = bytes((len(records), 60 << 2, len(records) - 1)) + records
    batch[_ATTRIBUTES_AT + 1] |= _SNAPPY
    return batch


async def put(bootstrap: str, topic: str, partition: int, records: Sequence[tuple[bytes, Headers]], spoil: Spoil) -> int:
    """Append one batch of these values and headers, spoilt; its first offset."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        batch = producer.create_batch()
        for value, headers in records:
            assert batch.append(timestamp=None, key=b"k", value=value, headers=list(headers))
        build = batch._build

        def spoilt() -> bytearray:
            made = spoil(bytearray(build()))
            struct.pack_into(">i", made, _LENGTH_AT, len(made) - _LENGTH_AT - 4)
            struct.pack_into(">I", made, _CRC_AT, calc_crc32c(bytes(made[_ATTRIBUTES_AT:])))
            return made

        batch._build = spoilt
        told = await (await producer.send_batch(batch, topic, partition=partition))
        return int(told.offset)
    finally:
        await producer.stop()
