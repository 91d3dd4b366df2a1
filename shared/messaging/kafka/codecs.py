"""What producers compress batches with, undone without ever making more of it than was agreed.

Sluice's own producers compress nothing, but a broker does if its operator sets `compression.type`, and anybody else may: 100 bytes
of zstd can stand for a gigabyte.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Final

from cramjam import DecompressionError, lz4, snappy, zstd

_GZIP_WINDOW: Final = 31  # zlib's word for gzip's own header
_XERIAL: Final = b"\x82SNAPPY\0"
_XERIAL_HEAD: Final = 16
"""Java's snappy puts its blocks behind a head of 16 bytes, each after its length (snappy-java, SnappyOutputStream)."""
_FULL: Final = "whole buffer"


class Damaged(ValueError):
    """Not what its codec makes, or an unknown codec."""


class TooLarge(ValueError):
    """It unpacks to more than the limit."""


def unpacked(data: bytes, codec: int, limit: int) -> bytes:
    """What was compressed; `TooLarge` if that is more than so many bytes, of which never more are made, `Damaged` if it is nothing."""
    unpack = _CODECS.get(codec)
    if unpack is None:
        raise Damaged(f"codec {codec}")
    try:
        return unpack(data, limit)
    except (DecompressionError, zlib.error, struct.error) as error:
        raise (TooLarge if _FULL in str(error) else Damaged)(str(error)) from None


def _gzip(data: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj(_GZIP_WINDOW)
    found = stream.decompress(data, limit + 1)
    if len(found) > limit:
        raise TooLarge(f"more than {limit} bytes")
    if not stream.eof:
        raise Damaged("gzip without an end")
    return found


def _snappy(data: bytes, limit: int) -> bytes:
    if not data.startswith(_XERIAL):
        return _block(data, limit)
    found, at = bytearray(), _XERIAL_HEAD
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        if not 0 < size <= len(data) - at - 4:
            raise Damaged("a block longer than its batch")
        found += _block(data[at + 4 : at + 4 + size], limit - len(found))
        at += 4 + size
    return bytes(found)


def _block(data: bytes, limit: int) -> bytes:
    size = int(snappy.decompress_raw_len(data))
    if size > limit:
        raise TooLarge(f"more than {limit} bytes")
    return bytes(snappy.decompress_raw(data))


def _into(decompress_into: Callable[[bytes, bytearray], int]) -> Callable[[bytes, int], bytes]:
    def unpack(data: bytes, limit: int) -> bytes:
        room = bytearray(limit)
        return bytes(memoryview(room)[: decompress_into(data, room)])

    return unpack


_CODECS: Final[Mapping[int, Callable[[bytes, int], bytes]]] = {
    1: _gzip,
    2: _snappy,
    3: _into(lz4.decompress_into),
    4: _into(zstd.decompress_into),
}
"""By the number that a batch's attributes have of them (Kafka protocol guide, "Record Batch")."""
