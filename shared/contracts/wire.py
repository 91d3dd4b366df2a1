"""msgpack as we put it on the wire: strict, bounded and canonical, so that one value has one byte string.

Reading is total: `unpack` returns plain values (arrays as tuples) or raises a `BadRecord`. Canonical is what
`msgpack.packb` writes; comparing the re-encoded value with what came in finds long integers, long headers, doubled
keys and foreign types in one step (security reference 7.3, E4-E14).
"""

import math
from typing import Any

import msgpack

from shared.contracts import errors

MAX_DEPTH = 16
_SCALARS = (int, bool, bytes, type(None))


def pack(value: Any) -> bytes:
    """The canonical bytes of plain values: None, bool, int, finite float, str, bytes, tuple/list, dict with text keys."""
    packed: bytes = msgpack.packb(value)
    return packed


def unpack(raw: bytes, limit: int) -> Any:
    """The plain value in these bytes (arrays as tuples); a `BadRecord` if they are not exactly one canonical value."""
    if len(raw) > limit:
        raise errors.BadSize
    try:
        value = msgpack.unpackb(raw, use_list=False, strict_map_key=True)
    except msgpack.ExtraData:
        raise errors.TrailingBytes from None
    except msgpack.StackError:
        raise errors.BadDepth from None
    except UnicodeDecodeError:
        raise errors.BadText from None
    except ValueError as failure:
        raise _classified(failure, raw) from None
    except (msgpack.UnpackException, TypeError, OverflowError):
        raise errors.BadSyntax from None
    _check(value, MAX_DEPTH - 1)
    try:
        canonical = msgpack.packb(value)
    except (UnicodeEncodeError, ValueError, TypeError, OverflowError):
        raise errors.BadType from None
    if canonical != raw:
        raise _why_not_canonical(raw)
    return value


def _classified(failure: ValueError, raw: bytes) -> errors.BadRecord:
    text = str(failure)
    if "exceeds max_" in text:
        return errors.BadSize()
    if "not allowed for map key" in text or "timestamp" in text.lower():
        return errors.BadType()
    return errors.BadSyntax()


def _check(value: Any, depth: int) -> None:
    if depth < 0:
        raise errors.BadDepth
    kind = type(value)
    if kind is str:
        if "\0" in value:
            raise errors.BadText
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise errors.BadType
            if type(item) not in _SCALARS:
                _check(item, depth - 1)
    elif kind is tuple:
        for item in value:
            if type(item) not in _SCALARS:
                _check(item, depth - 1)
    elif kind is float:
        if not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0):
            raise errors.BadType
    elif kind not in _SCALARS:
        raise errors.BadType


def _why_not_canonical(raw: bytes) -> errors.BadRecord:
    doubled = False

    def pairs(items: list[tuple[Any, Any]]) -> dict[Any, Any]:
        nonlocal doubled
        out = dict(items)
        doubled = doubled or len(out) != len(items)
        return out

    msgpack.unpackb(raw, use_list=False, object_pairs_hook=pairs)
    return errors.DuplicateKey() if doubled else errors.NotCanonical()
