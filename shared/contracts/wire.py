"""msgpack as we put it on the wire: strict, bounded and canonical, so that one value has one byte string.

Reading is total: `unpack` returns plain values (arrays as tuples) or raises a `BadRecord`. Canonical is what
`msgpack.packb` writes; comparing the re-encoded value with what came in finds long integers, long headers, doubled
keys and foreign types in one step. Only what is refused is looked at twice.
"""

import math
import re
from typing import Any, Final

import msgpack

from shared.contracts import errors
from shared.contracts.wire_reasons import MAX_DEPTH, why_refused

_SCALARS: Final = frozenset((int, bool, bytes, type(None)))
_LONG_HEADER: Final = re.compile(rb"[\xdc-\xdf]")
_HARMLESS: Final = 1024
"""Bytes: what so few can claim is less than 3 MiB."""


def pack(value: Any) -> bytes:
    """The canonical bytes of plain values: None, bool, int, finite float, str, bytes, tuple/list, dict with text keys."""
    packed: bytes = msgpack.packb(value)
    return packed


def unpack(raw: bytes, limit: int) -> Any:
    """The plain value in these bytes (arrays as tuples); a `BadRecord` if they are not exactly one canonical value."""
    if len(raw) <= limit:
        try:
            if len(raw) > _HARMLESS and _LONG_HEADER.search(raw):
                _walk_over(raw)
            value = msgpack.unpackb(raw, use_list=False, strict_map_key=True)
            if _is_plain(value, MAX_DEPTH) and msgpack.packb(value) == raw:
                return value
        except (ValueError, TypeError, OverflowError, msgpack.UnpackException, msgpack.OutOfData):
            pass  # whatever msgpack minds, the walk below finds and names
    raise errors.BadSize if len(raw) > limit else why_refused(raw, limit)


def first(raw: bytes, count: int) -> dict[str, Any]:
    """The first fields of an object in these bytes; a `BadRecord` if they are none. The rest is not looked at."""
    reader = msgpack.Unpacker(max_buffer_size=len(raw), use_list=False)
    try:
        reader.feed(raw)
        return {reader.unpack(): reader.unpack() for _ in range(min(count, reader.read_map_header()))}
    except (ValueError, TypeError, msgpack.UnpackException, msgpack.OutOfData):
        raise errors.BadSyntax("not an object's first fields") from None


def _walk_over(raw: bytes) -> None:
    """Find lengths that nothing stands behind, without making room for what they claim.

    A nest of arrays that each claim the rest of the record would cost hundreds of megabytes.
    """
    reader = msgpack.Unpacker(max_buffer_size=len(raw))
    reader.feed(raw)
    reader.skip()


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a value, nested at most `depth` deep, is made of what `pack` takes, with no NUL in a text."""
    kind = type(value)
    if kind is dict:
        # A key that is no text makes `join` raise TypeError, as a value of a foreign type does in `packb`.
        return depth > 0 and "\0" not in "".join(value) and _are_plain(value.values(), depth - 1)
    if kind is tuple:
        return depth > 0 and _are_plain(value, depth - 1)
    if kind is str:
        return "\0" not in value
    if kind is float:
        return math.isfinite(value) and (value != 0 or math.copysign(1, value) > 0)
    return kind in _SCALARS


def _are_plain(items: Any, depth: int) -> bool:
    for item in items:
        kind = type(item)
        if kind is str:
            if "\0" in item:
                return False
        elif kind not in _SCALARS and not _is_plain(item, depth):
            return False
    return True
