"""Hostile records, row by row (E): every decoder ends in a message or in one error of the closed list, nothing else."""

import itertools
import struct
from dataclasses import dataclass, replace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import catalog, definitions, directory, errors, failures, planner, policy, sessions, steps
from shared.contracts.codec import DEFAULT_LIMIT, Codec, encode
from shared.contracts.envelope import Envelope
from shared.contracts.errors import BadRecord

SESSION = "03." + "s" * 22
CODECS: list[Codec] = [
    found
    for module in (catalog, definitions, directory, failures, planner, policy, sessions, steps)
    for found in vars(module).values()
    if isinstance(found, Codec)
]
STEP = steps.StepRequested(
    command="c" * 22, kind="start", session=SESSION, fresh=True, rotation=0, flow="flow", received_us=1, deadline_us=2, reply_partition=0, edge="e"
)
ENVELOPE = Envelope("i", STEP.wire_type, 1, "test", SESSION, 1_700_000_000_000_000)
HEADERS, VALUE = encode(ENVELOPE, STEP)
BODY = STEP.model_dump()


@dataclass(frozen=True, slots=True)
class Raw:
    key: bytes | None = SESSION.encode()
    value: bytes | None = VALUE
    headers: tuple[tuple[str, bytes], ...] = HEADERS


def body(**changes: Any) -> Raw:
    return Raw(value=msgpack.packb({**BODY, **changes}))


def without(name: str) -> Raw:
    return Raw(value=msgpack.packb({key: value for key, value in BODY.items() if key != name}))


def headers(*changes: tuple[str, bytes]) -> Raw:
    return Raw(headers=(*(pair for pair in HEADERS if pair[0] not in dict(changes)), *changes))


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\xc0"


ONE_LONG = msgpack.packb(BODY).replace(b"\xa8rotation\x00", b"\xa8rotation\xd3" + bytes(8))
ROWS: list[tuple[str, Raw, type[BadRecord]]] = [
    ("E1 nothing", Raw(value=b""), errors.BadSyntax),
    ("E1 never used", Raw(value=b"\xc1"), errors.BadSyntax),
    ("E4 array of 4 GiB", Raw(value=b"\xdd\xff\xff\xff\xff"), errors.BadSize),
    ("E4 map of 4 GiB", Raw(value=b"\xdf\xff\xff\xff\xff"), errors.BadSize),
    ("E4 bytes of 4 GiB", Raw(value=b"\xc6\xff\xff\xff\xff"), errors.BadSize),
    ("E4 text of 4 GiB", Raw(value=b"\xdb\xff\xff\xff\xff"), errors.BadSize),
    ("E4 more than the topic takes", Raw(value=b"\0" * (DEFAULT_LIMIT + 1)), errors.BadSize),
    ("E5 depth 17", Raw(value=nested(17)), errors.BadDepth),
    ("E5 depth 1,024", Raw(value=nested(1024)), errors.BadDepth),
    ("E5 depth 100,000", Raw(value=nested(100_000)), errors.BadDepth),
    ("E6 extension", Raw(value=msgpack.packb({"a": msgpack.ExtType(5, b"x")})), errors.BadType),
    ("E6 timestamp", Raw(value=msgpack.packb(msgpack.Timestamp(2**33, 5))), errors.BadType),
    ("E7 number as a key", Raw(value=msgpack.packb({1: 1})), errors.BadType),
    ("E7 nil as a key", Raw(value=msgpack.packb({None: 1})), errors.BadType),
    ("E8 key twice", Raw(value=b"\x82\xa1a\x01\xa1a\x02"), errors.DuplicateKey),
    ("E9 NaN", body(rotation=float("nan")), errors.BadType),
    ("E9 minus zero", body(rotation=-0.0), errors.BadType),
    ("E9 fraction for a number", body(rotation=1.5), errors.BadType),
    ("E9 number for a truth", body(fresh=1), errors.BadType),
    ("E10 2^63", body(rotation=2**63), errors.BadRange),
    ("E10 2^64 - 1", body(received_us=2**64 - 1), errors.BadRange),
    ("E10 negative", body(rotation=-1), errors.BadRange),
    ("E11 invalid UTF-8", Raw(value=b"\x81\xa1a\xa2\xc3\x28"), errors.BadText),
    ("E11 surrogate", Raw(value=b"\x81\xa1a\xa3\xed\xa0\x80"), errors.BadText),
    ("E11 NUL", body(host="a\0b"), errors.BadText),
    ("E12 bytes for a text", body(host=b"a"), errors.BadType),
    ("E12 text for bytes", body(sealed={"epoch": "e", "box": "x"}), errors.BadType),
    ("E13 two records joined", Raw(value=VALUE + VALUE), errors.TrailingBytes),
    ("E14 long integer", Raw(value=ONE_LONG), errors.NotCanonical),
    ("E14 long text header", Raw(value=b"\x81\xd9\x01a\x01"), errors.NotCanonical),
    ("E15 unknown type", headers(("ce_type", b"executor.step.imagined")), errors.UnknownType),
    ("E15 version 0", headers(("ce_dataversion", b"0")), errors.BadVersion),
    ("E15 version 3", headers(("ce_dataversion", b"3")), errors.BadVersion),
    ("E15 version -1", headers(("ce_dataversion", b"-1")), errors.BadHeader),
    ("E16 unknown field", body(surplus=1), errors.BadField),
    ("E17 missing field", without("command"), errors.BadField),
    ("E17 nil for a field", body(command=None), errors.BadType),
    ("E18 key of another", replace(Raw(), key=b"03." + b"x" * 22), errors.BadKey),
    ("E18 no key", replace(Raw(), key=None), errors.BadKey),
    ("E18 key of 64 KiB", replace(Raw(), key=b"k" * 65536), errors.BadKey),
    ("E19 tombstone", replace(Raw(), value=None), errors.BadSyntax),
    ("E20 10,000 headers", Raw(headers=tuple((f"h{n}", b"") for n in range(10_000))), errors.BadHeader),
    ("E20 type twice", Raw(headers=(*HEADERS, ("ce_type", b"x"))), errors.BadHeader),
    ("E20 no text", headers(("ce_source", b"\xff")), errors.BadHeader),
    ("E20 none", Raw(headers=()), errors.BadHeader),
    ("E26 seal of another shape", body(sealed={"epoch": "e", "box": b"x" * 80_000}), errors.BadRange),
    ("not a map", Raw(value=b"\x93\x01\x02\x03"), errors.BadType),
    ("unknown kind", body(kind="guess"), errors.BadField),
]  # fmt: skip


@pytest.mark.parametrize(("name", "raw", "error"), ROWS, ids=[row[0] for row in ROWS])
def test_the_row(name: str, raw: Raw, error: type[BadRecord]) -> None:
    with pytest.raises(BadRecord) as refused:
        steps.CODEC.decode(raw)
    assert type(refused.value) is error


def test_the_record_that_the_rows_change_is_good() -> None:
    assert steps.CODEC.decode(Raw()).body == STEP


def test_e2_cut_off_at_every_place() -> None:
    for end in range(len(VALUE)):
        with pytest.raises(BadRecord):
            steps.CODEC.decode(Raw(value=VALUE[:end]))


def test_e3_one_bit_turned_at_every_place() -> None:
    for at, bit in itertools.product(range(len(VALUE)), range(8)):
        turned = bytes([*VALUE[:at], VALUE[at] ^ (1 << bit), *VALUE[at + 1 :]])
        try:
            found = steps.CODEC.decode(Raw(value=turned)).body
        except BadRecord:
            continue
        assert found != STEP


@given(st.binary(max_size=1024), st.sampled_from(CODECS))
def test_e1_random_bytes(value: bytes, codec: Codec) -> None:
    for message in codec.messages:
        envelope = ("ce_type", message.wire_type.encode())
        raw = headers(envelope, ("ce_dataversion", struct.pack(">B", 48 + message.wire_version)))
        with pytest.raises(BadRecord):
            codec.decode(replace(raw, value=value))


def test_every_codec_is_tried() -> None:
    assert len(CODECS) >= 8
