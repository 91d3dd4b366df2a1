"""JSON as we take it from strangers: one document has one meaning, and reading it costs little (RFC 8259, RFC 7493).

Python's own parser takes the last of two equal keys, NaN, numbers without end, and recurses; each of these has let
somebody past a check elsewhere.
"""

import json
import math
import re
from typing import Any, Final

from shared.kernel.errors import SluiceError

MAX_DEPTH: Final = 16
MAX_KEYS: Final = 256
_WHITESPACE: Final = " \t\r\n"
# A string ends at its quote or, if it has none, with the document: what always matches is never looked at again.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


class BadJson(SluiceError):
    """A text that is not one JSON document of the kind that we take; the subclass says why."""

    code = "json_syntax"


class BadEncoding(BadJson):
    """Not UTF-8."""

    code = "json_encoding"


class ByteOrderMark(BadJson):
    """A byte order mark before the document (RFC 8259 §8.1: must not be added)."""

    code = "json_bom"


class DuplicateKey(BadJson):
    """An object names a key twice, however it is spelled."""

    code = "json_duplicate_key"


class BadNumber(BadJson):
    """NaN, an infinity, minus zero, or an integer of more than 63 bits."""

    code = "json_number"


class TooDeep(BadJson):
    """Nested deeper than 16."""

    code = "json_depth"


class TooManyKeys(BadJson):
    """More than 256 keys in the whole document."""

    code = "json_keys"


class BadText(BadJson):
    """Half a surrogate pair, which is no text (RFC 7493 §2.1)."""

    code = "json_text"


class TrailingBytes(BadJson):
    """Something follows the document."""

    code = "json_trailing"


def explained(bad: BadJson, raw: bytes) -> str:
    """What authentik's API says of a text that is no JSON; our code for what only we refuse. Nothing of the text is in it."""
    if type(bad) is not BadJson:
        return bad.code
    text = raw.decode()
    try:
        json.loads(text)
    except json.JSONDecodeError as failure:
        # Where the text just ends, authentik's parser says so; for the rest the words are Python's.
        what = "unexpected end of data" if failure.pos >= len(text) else failure.msg
        return f"{what}: line {failure.lineno} column {failure.colno} (char {failure.pos})"
    return bad.code


def parse(raw: bytes) -> Any:
    """The value of the one JSON document in these bytes; a `BadJson` for anything else."""
    if raw.startswith(b"\xef\xbb\xbf"):
        raise ByteOrderMark
    _check_depth(raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise BadEncoding from None
    start = len(text) - len(text.lstrip(_WHITESPACE))
    try:
        value, end = _reader.read(text, start)
    except ValueError:
        raise BadJson from None
    if text[end:].strip(_WHITESPACE):
        raise TrailingBytes
    if "\\u" in text:
        _check_text(value)
    return value


class _Reader:
    """The decoder and the count of keys that its hooks keep for one document. Making one costs more than most documents."""

    def __init__(self) -> None:
        self._keys = 0
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object, parse_int=_integer, parse_float=_float, parse_constant=_constant, strict=True
        )

    def read(self, text: str, start: int) -> tuple[Any, int]:
        """The value that begins there, and where it ends."""
        self._keys = 0
        return self._decoder.raw_decode(text, start)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self._keys += len(pairs)
        if self._keys > MAX_KEYS:
            raise TooManyKeys
        out = dict(pairs)
        if len(out) != len(pairs):
            raise DuplicateKey
        return out


def _integer(text: str) -> int:
    if len(text) > 20 or text == "-0":
        raise BadNumber
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise BadNumber
    return value


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or (value == 0 and text.startswith("-")):
        raise BadNumber
    return value


def _constant(text: str) -> float:
    raise BadNumber


_reader: Final = _Reader()


def _check_depth(raw: bytes) -> None:
    # Before the parser runs, because its recursion ends in an error that no caller can tell from a bug.
    depth = 0
    for found in _BRACKET.finditer(_STRING.sub(b"", raw)):
        depth += 1 if found[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            raise TooDeep


def _check_text(value: Any) -> None:
    match value:
        case str():
            if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
                raise BadText
        case dict():
            for key, item in value.items():
                _check_text(key)
                _check_text(item)
        case list():
            for item in value:
                _check_text(item)
        case _:
            pass
