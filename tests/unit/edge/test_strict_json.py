"""One document, one meaning."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.web import strict_json
from shared.web.strict_json import BadJson, parse

REFUSED = {
    "empty": (b"", BadJson), "blank": (b"  ", BadJson), "cut off": (b'{"uid_field": "ali', BadJson),
    "byte order mark": (b'\xef\xbb\xbf{"a":1}', strict_json.ByteOrderMark),
    "invalid UTF-8": (b'{"a":"\xc3\x28"}', strict_json.BadEncoding), "overlong": (b'{"a":"\xc0\xaf"}', strict_json.BadEncoding),
    "CESU surrogate": (b'{"a":"\xed\xa0\x80"}', strict_json.BadEncoding), "UTF-16": ('{"a":1}'.encode("utf-16"), strict_json.BadEncoding),
    "lone surrogate": (rb'{"a":"\ud800"}', strict_json.BadText), "lone surrogate as a key": (rb'{"\udfff":1}', strict_json.BadText),
    "surrogate deep inside": (rb'{"a":[{"b":["\ud800"]}]}', strict_json.BadText),
    "key twice": (b'{"password":"a","password":"b"}', strict_json.DuplicateKey),
    "key twice, spelled otherwise": (rb'{"password":"a","pass\u0077ord":"b"}', strict_json.DuplicateKey),
    "NaN": (b"[NaN]", strict_json.BadNumber), "infinity": (b"[-Infinity]", strict_json.BadNumber),
    "minus zero": (b"[-0]", strict_json.BadNumber), "minus zero point zero": (b"[-0.0]", strict_json.BadNumber),
    "too large": (b"[1e999]", strict_json.BadNumber), "64 bits": (b"[9223372036854775808]", strict_json.BadNumber),
    "5000 digits": (b"[" + b"9" * 5000 + b"]", strict_json.BadNumber),
    "depth": (b"[" * 17 + b"]" * 17, strict_json.TooDeep), "60000 brackets": (b"[" * 60_000, strict_json.TooDeep),
    "257 keys": (json.dumps({str(n): n for n in range(257)}).encode(), strict_json.TooManyKeys),
    "257 keys in parts": (json.dumps([{str(n): n} for n in range(257)]).encode(), strict_json.TooManyKeys),
    "two documents": (b"{}{}", strict_json.TrailingBytes), "something after": (b"{} x", strict_json.TrailingBytes),
    "comment": (b"{/* */}", BadJson), "trailing comma": (b'{"a":1,}', BadJson), "single quotes": (b"{'a':1}", BadJson),
    "raw control character": (b'{"a":"\x01"}', BadJson), "other blank": ("\u00a0{}".encode(), BadJson),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_and_why(name: str) -> None:
    raw, error = REFUSED[name]
    with pytest.raises(BadJson) as refused:
        parse(raw)
    assert type(refused.value) is error


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b' {"a": [1, -2, 0.5, true, null, "\xc3\xa4"]}\r\n', {"a": [1, -2, 0.5, True, None, "\u00e4"]}), (b"null", None), (b'"x"', "x"),
        (rb'"\ud83d\ude00"', "\U0001f600"), (b"[" * 16 + b"]" * 16, None), (b'"[[[[[[[[[[[[[[[[[[[[["', "[" * 21),
        (rb'"\"[[[[[[[[[[[[[[[[[[[[[["', '"' + "[" * 22), (b"[9223372036854775807]", [2**63 - 1]), (b"0", 0),
    ],
)  # fmt: skip
def test_what_is_taken(raw: bytes, value: object) -> None:
    found = parse(raw)
    if value is not None:
        assert found == value


@pytest.mark.timeout(60)  # a quadratic reading takes minutes
def test_hostile_documents_cost_little() -> None:
    for raw in (b"[" * 65_000, b'"' + b"\\" * 65_000, b'{"a":' * 12_000, b'["' * 32_000, b"9" * 65_000):
        with pytest.raises(BadJson):
            parse(raw)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN, st.booleans())
def test_what_json_writes_is_read_back(value: object, ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    try:
        assert parse(raw) == value
    except strict_json.TooDeep:
        assert raw.count(b"[") + raw.count(b"{") > 16


@given(st.binary(max_size=200))
def test_reading_ends_in_a_value_or_in_one_of_our_errors(raw: bytes) -> None:
    with suppress(BadJson):
        parse(raw)
