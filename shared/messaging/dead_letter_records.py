"""Dead letters as they are written: whatever a record is, its letter is small enough for any topic."""

from hashlib import sha256
from typing import Final

from shared.contracts.codec import encode
from shared.contracts.envelope import Envelope, Headers
from shared.contracts.failures import RecordRefused
from shared.contracts.topics import DEAD_LETTERS
from shared.messaging.log import Message, Record

ROOM: Final = 32 * 1024
"""Bytes for what a record holds, at most; half of them for its value, a quarter for its headers, an eighth for its key."""
LITTLE: Final = 512
"""Where the brokers refuse more, of an operator's own making."""
_HEADERS: Final = 64
_NAME: Final = 64


def place_of(record: Record) -> str:
    """Where it lies: topic, partition and offset."""
    return f"{record.topic}/{record.partition}/{record.offset}"


def id_of(record: Record, service: str) -> str:
    """The same every time: whoever meets the record again says the same thing again."""
    return f"{place_of(record)}/{service}"


def body(record: Record, service: str, reason: str, detail: str) -> RecordRefused:
    """What is said of a record."""
    value = record.value or b""
    return _within(
        RecordRefused(
            service=service,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason[:512],
            detail=_clean(detail)[:512],
            key=record.key,
            key_size=len(record.key or b""),
            value=record.value,
            value_size=len(value),
            digest=sha256(value).hexdigest(),
            headers=_some(record.headers, ROOM // 4),
            header_count=len(record.headers),
            header_size=sum(len(name.encode(errors="replace")) + len(content) for name, content in record.headers),
        ),
        ROOM,
    )


def message(told: RecordRefused, at_us: int, room: int) -> Message:
    """The letter as it is appended, with so much of the record."""
    place = f"{told.topic}/{told.partition}/{told.offset}"
    envelope = Envelope(
        id=f"{place}/{told.service}",
        type=RecordRefused.wire_type,
        version=RecordRefused.wire_version,
        source=told.service,
        subject=place,
        time_us=at_us,
    )
    headers, value = encode(envelope, _within(told, room))
    return Message(DEAD_LETTERS, 0, place.encode(), value, headers)


def _within(told: RecordRefused, room: int) -> RecordRefused:
    return told.model_copy(
        update={
            "key": None if told.key is None else told.key[: room // 8],
            "value": None if told.value is None else told.value[: room // 2],
            "headers": _some(told.headers, room // 4),
        }
    )


def _some(headers: Headers, room: int) -> Headers:
    """The first ones, each with its beginning."""
    taken = []
    for name, content in headers[:_HEADERS]:
        short = (_clean(name[:_NAME]), content[: room // 8])
        room -= len(short[0].encode()) + len(short[1])
        if room < 0:
            break
        taken.append(short)
    return tuple(taken)


def _clean(text: str) -> str:
    # what the codec refuses in text would make the letter itself unreadable
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
