"""Why bytes are not one canonical value: a walk through refused msgpack, slower than `wire` and only taken after it said no.

It reads headers and never builds what they claim, so hostile lengths cost nothing; the first thing that is wrong counts.
"""

import math
import struct
from dataclasses import dataclass, field
from typing import Final

from shared.contracts import errors

MAX_DEPTH: Final = 16
_EXTENSIONS: Final = frozenset((0xC7, 0xC8, 0xC9, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8))
_INTS: Final = {0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q", 0xD0: "b", 0xD1: "h", 0xD2: "i", 0xD3: "q"}
_SMALLEST: Final = {0xCC: 0x80, 0xCD: 0x100, 0xCE: 0x1_0000, 0xCF: 0x1_0000_0000}
_LARGEST: Final = {0xD0: -0x21, 0xD1: -0x81, 0xD2: -0x8001, 0xD3: -0x8000_0001}
_TEXTS: Final = {0xD9: ("B", 0x20), 0xDA: ("H", 0x100), 0xDB: ("I", 0x1_0000)}
_BYTES: Final = {0xC4: ("B", 0), 0xC5: ("H", 0x100), 0xC6: ("I", 0x1_0000)}
_ARRAYS: Final = {0xDC: ("H", 0x10), 0xDD: ("I", 0x1_0000)}
_MAPS: Final = {0xDE: ("H", 0x10), 0xDF: ("I", 0x1_0000)}
"""Formats with a length: how it is written, and the smallest that needs this format."""


def why_refused(raw: bytes, limit: int) -> errors.BadRecord:
    """The reason, as the error to raise. `limit` is how long anything in the record may claim to be."""
    walk = _Walk(raw, limit)
    try:
        walk.run()
    except errors.BadRecord as reason:
        return reason
    if walk.at < len(raw):
        return errors.TrailingBytes()
    return errors.NotCanonical() if walk.longer else errors.BadSyntax()


@dataclass(slots=True)
class _Open:
    """A container whose items are being read; `keys` of a map so far, `left` counts keys and values."""

    left: int
    keys: set[str] | None


@dataclass(slots=True)
class _Walk:
    raw: bytes
    limit: int
    at: int = 0
    longer: bool = False
    open: list[_Open] = field(default_factory=list)

    def run(self) -> None:
        self._value()
        while self.open:
            inner = self.open[-1]
            if inner.left == 0:
                self.open.pop()
                continue
            inner.left -= 1
            if inner.keys is not None and inner.left % 2 == 1:
                self._key(inner.keys)
            else:
                self._value()

    def _key(self, keys: set[str]) -> None:
        byte = self._peek()
        if not (0xA0 <= byte <= 0xBF or byte in _TEXTS):
            raise errors.BadType
        key = self._text(self._byte())
        if key in keys:
            raise errors.DuplicateKey
        keys.add(key)

    def _value(self) -> None:
        byte = self._byte()
        if byte == 0xC1:
            raise errors.BadSyntax
        if byte in _EXTENSIONS:
            raise errors.BadType
        if byte in (0xCA, 0xCB):
            self._float(byte)
        elif byte in _INTS:
            self._int(byte)
        elif 0xA0 <= byte <= 0xBF or byte in _TEXTS:
            self._text(byte)
        elif byte in _BYTES:
            self._take(self._length(*_BYTES[byte]))
        elif 0x90 <= byte <= 0x9F or byte in _ARRAYS:
            self._enter(byte & 0x0F if byte <= 0x9F else self._length(*_ARRAYS[byte]), None)
        elif 0x80 <= byte <= 0x8F or byte in _MAPS:
            self._enter(2 * (byte & 0x0F if byte <= 0x8F else self._length(*_MAPS[byte])), set())

    def _enter(self, items: int, keys: set[str] | None) -> None:
        if len(self.open) >= MAX_DEPTH:
            raise errors.BadDepth
        self.open.append(_Open(items, keys))

    def _text(self, byte: int) -> str:
        length = byte & 0x1F if byte <= 0xBF else self._length(*_TEXTS[byte])
        try:
            text = self._take(length).decode()
        except UnicodeDecodeError:
            raise errors.BadText from None
        if "\0" in text:
            raise errors.BadText
        return text

    def _float(self, byte: int) -> None:
        (number,) = struct.unpack(">f" if byte == 0xCA else ">d", self._take(4 if byte == 0xCA else 8))
        if not math.isfinite(number) or (number == 0 and math.copysign(1, number) < 0):
            raise errors.BadType
        self.longer = self.longer or byte == 0xCA

    def _int(self, byte: int) -> None:
        form = _INTS[byte]
        (number,) = struct.unpack(f">{form}", self._take(struct.calcsize(form)))
        needed = number >= _SMALLEST[byte] if byte in _SMALLEST else number <= _LARGEST[byte]
        self.longer = self.longer or not needed

    def _length(self, form: str, smallest: int) -> int:
        (length,) = struct.unpack(f">{form}", self._take(struct.calcsize(form)))
        if length > self.limit:
            raise errors.BadSize
        self.longer = self.longer or length < smallest
        return int(length)

    def _peek(self) -> int:
        if self.at >= len(self.raw):
            raise errors.BadSyntax
        return self.raw[self.at]

    def _byte(self) -> int:
        byte = self._peek()
        self.at += 1
        return byte

    def _take(self, length: int) -> bytes:
        end = self.at + length
        if end > len(self.raw):
            raise errors.BadSyntax
        taken, self.at = self.raw[self.at : end], end
        return taken
