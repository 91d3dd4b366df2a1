"""The records of a batch one by one, where the batch as a whole cannot be decoded: one bad record costs itself."""

from collections.abc import Iterator
from typing import NamedTuple

from aiokafka.record.util import decode_varint


class Parts(NamedTuple):
    """A record; `place` is its offset within the batch. `unread`: why its fields cannot be told, `raw` are its bytes then."""

    place: int
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    unread: str = ""
    raw: bytes = b""


def salvaged(body: bytes | memoryview, count: int) -> Iterator[Parts]:
    """The records; `ValueError` or `IndexError` where not even their places can be told."""
    buffer, at = bytearray(body), 0
    for _ in range(count):
        length, start = decode_varint(buffer, at)
        at = start + length
        if length < 1 or at > len(buffer):
            raise ValueError("a record longer than its batch")
        yield _parts(buffer[start:at])


def _parts(record: bytearray) -> Parts:
    _, at = decode_varint(record, 1)  # the time, after a byte of attributes that mean nothing yet
    place, at = decode_varint(record, at)
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
        return Parts(place, unread=type(error).__name__, raw=bytes(record))
    return Parts(place, key, value, tuple(headers))


def _bytes(record: bytearray, at: int) -> tuple[bytes | None, int]:
    size, at = decode_varint(record, at)
    if size < 0:
        return None, at
    if at + size > len(record):
        raise ValueError("a field longer than its record")
    return bytes(record[at : at + size]), at + size
