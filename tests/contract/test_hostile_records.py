"""Decoders are total: for any bytes a message or an error of the closed list."""

import inspect
import random  # noqa: TID251 - seeded noise, the same in every run
import tracemalloc
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from shared.contracts import errors, wire
from shared.contracts.codec import DEFAULT_LIMIT, Received
from shared.contracts.directory import TOKENS_CODEC, TokenChanged
from shared.contracts.envelope import Headers, to_headers
from shared.contracts.messages import codec_of
from shared.contracts.model import Contract
from shared.contracts.placement import check_session
from shared.contracts.steps import StepRequested
from tests.contract.golden_files import SUBJECT, all_messages, envelope_of, example_of, path_of, record_of

KIND = TokenChanged.wire_type
GOOD: dict[str, Any] = {"hash": "ab", "user": 1, "username": "akadmin", "is_superuser": True, "is_active": True, "expires_us": None}
ERRORS = {one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, errors.BadRecord)}


def decoded(value: bytes | None, version: int = 1, kind: str = KIND, **record: Any) -> Received[Contract]:
    return TOKENS_CODEC.decode(record_of(value, kind, version, **record))


def body(**changes: Any) -> bytes:
    packed: bytes = msgpack.packb({**GOOD, **changes})
    return packed


def raw_field(name: str, raw: bytes) -> bytes:
    """The good message with these bytes as one field's value."""
    packer, out = msgpack.Packer(), b""
    for key, value in GOOD.items():
        out += packer.pack(key) + (raw if key == name else packer.pack(value))
    return bytes(packer.pack_map_header(len(GOOD))) + out


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\xc0"


def test_the_good_message_is_good() -> None:
    assert decoded(body()).body == TokenChanged.model_validate(GOOD)


BAD: list[tuple[str, bytes, type[errors.BadRecord]]] = [
    ("nothing", b"", errors.BadSyntax),
    ("the byte that msgpack never uses", b"\xc1", errors.BadSyntax),
    ("that byte as a value", raw_field("user", b"\xc1"), errors.BadSyntax),
    ("array that claims 4 Gi items", b"\xdd\xff\xff\xff\xff", errors.BadSize),
    ("map that claims 4 Gi items", b"\xdf\xff\xff\xff\xff", errors.BadSize),
    ("bytes that claim 4 GiB", b"\xc6\xff\xff\xff\xff", errors.BadSize),
    ("text that claims 4 GiB", b"\xdb\xff\xff\xff\xff", errors.BadSize),
    ("the same inside", raw_field("username", b"\xdb\xff\xff\xff\xff"), errors.BadSize),
    ("a nest of lists that each claim the rest", b"\xdd\x00\x03\xff\xf0" * 1000 + b"\xc0" * 200_000, errors.BadDepth),
    ("a list that claims more than is there", raw_field("user", b"\xdc\xff\xff"), errors.BadSyntax),
    ("nested 17 deep", raw_field("user", nested(16)), errors.BadDepth),
    ("nested 17 deep with a text inside", raw_field("user", b"\x91" * 16 + b"\xa1x"), errors.BadDepth),
    ("nested 1,024 deep", nested(1024), errors.BadDepth),
    ("nested 100,000 deep", nested(100_000), errors.BadDepth),
    ("extension", raw_field("user", b"\xd4\x05\x00"), errors.BadType),
    ("timestamp", raw_field("user", b"\xd6\xff\x00\x00\x00\x01"), errors.BadType),
    ("timestamp with nanoseconds over a second", raw_field("user", b"\xd7\xff" + b"\xff" * 8), errors.BadType),
    ("timestamp of year 584 billion", raw_field("user", b"\xc7\x0c\xff" + b"\x00" * 4 + b"\x7f" + b"\xff" * 7), errors.BadType),
    ("number for a key", b"\x81\x01\x01", errors.BadType),
    ("nil for a key", b"\x81\xc0\x01", errors.BadType),
    ("array for a key", b"\x81\x90\x01", errors.BadType),
    ("map for a key", b"\x81\x80\x01", errors.BadType),
    ("bytes for a key", b"\x81\xc4\x01a\x01", errors.BadType),
    ("doubled key", b"\x87" + body()[1:] + b"\xa4user\x01", errors.DuplicateKey),
    ("doubled key with another value", b"\x87" + body()[1:] + b"\xa4user\x02", errors.DuplicateKey),
    ("not a number", body(user=float("nan")), errors.BadType),
    ("infinity", body(user=float("inf")), errors.BadType),
    ("negative zero", body(user=-0.0), errors.BadType),
    ("fraction for a number", body(user=1.0), errors.BadType),
    ("number for a truth", body(is_active=1), errors.BadType),
    ("truth for a number", body(user=True), errors.BadType),
    ("largest number", body(user=2**64 - 1), errors.BadRange),
    ("2^63", body(user=2**63), errors.BadRange),
    ("negative", body(user=-1), errors.BadRange),
    ("text that is not UTF-8", raw_field("username", b"\xa2\xff\xfe"), errors.BadText),
    ("half a surrogate pair", raw_field("username", b"\xa3\xed\xa0\x80"), errors.BadText),
    ("NUL", body(username="a\0b"), errors.BadText),
    ("NUL in a key", msgpack.packb({**GOOD, "a\0": 1}), errors.BadText),
    ("bytes for a text", body(username=b"akadmin"), errors.BadType),
    ("something follows", body() + b"\xc0", errors.TrailingBytes),
    ("two messages", body() * 2, errors.TrailingBytes),
    ("long number", raw_field("user", b"\xd3" + b"\0" * 7 + b"\x01"), errors.NotCanonical),
    ("long header of a text", raw_field("username", b"\xd9\x01a"), errors.NotCanonical),
    ("long header of a map", b"\xde\x00\x06" + body()[1:], errors.NotCanonical),
    ("single precision", raw_field("user", b"\xca\x3f\x80\x00\x00"), errors.NotCanonical),
    ("a field that is not known", body(surprise=1), errors.BadField),
    ("a field is missing", msgpack.packb({key: value for key, value in GOOD.items() if key != "user"}), errors.BadField),
    ("not a map", b"\x90", errors.BadType),
    ("a number", b"\x01", errors.BadType),
    ("text that is too long", body(username="x" * 513), errors.BadRange),
    ("larger than allowed", body(username="x" * DEFAULT_LIMIT), errors.BadSize),
]


@pytest.mark.parametrize(("raw", "expected"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_value_is_refused_with_its_reason(raw: bytes, expected: type[errors.BadRecord]) -> None:
    with pytest.raises(errors.BadRecord) as refused:
        decoded(raw)
    assert type(refused.value) is expected


def test_16_deep_is_not_too_deep() -> None:
    for inner in (b"\xc0", b"\xa1x", b"\xcb" + b"\x3f" + b"\x00" * 7):
        assert wire.pack(wire.unpack(b"\x91" * 16 + inner, 100)) == b"\x91" * 16 + inner


def test_hostile_lengths_cost_no_memory() -> None:
    tracemalloc.start()
    for raw in (b"\xdd\x00\x03\xff\xf0" * 1000 + b"\xc0" * 200_000, b"\xdf\x00\x01\xff\xf0" * 15 + b"\xc0" * 200_000):
        with pytest.raises(errors.BadRecord):
            wire.unpack(raw, DEFAULT_LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_a_bad_value_is_never_repeated_in_the_error() -> None:
    with pytest.raises(errors.BadRecord) as refused:
        decoded(body(username=b"hunter2", surprise="hunter2", user="hunter2"))
    assert "hunter2" not in f"{refused.value} {refused.value.detail} {refused.value.__cause__}"


def test_nil_for_a_required_field_is_not_a_value() -> None:
    with pytest.raises((errors.BadField, errors.BadType)):
        decoded(body(user=None))


@pytest.mark.parametrize("version", [0, 2, 9_999_999_999_999_999])
def test_a_version_that_is_not_known_is_refused(version: int) -> None:
    with pytest.raises(errors.BadVersion):
        decoded(body(), version)


@pytest.mark.parametrize("kind", ["", "executor.step.requested", "x" * 1000, "directory.token.changed "])
def test_a_type_that_is_not_of_this_topic_is_refused(kind: str) -> None:
    with pytest.raises(errors.UnknownType):
        decoded(body(), kind=kind)


@pytest.mark.parametrize("key", [None, b"", b"07.another", b"\xff\xfe", b"k" * 65536])
def test_a_key_that_is_not_the_subject_is_refused(key: bytes | None) -> None:
    with pytest.raises(errors.BadKey):
        decoded(body(), key=key)


def test_a_tombstone_is_no_message() -> None:
    with pytest.raises(errors.BadSyntax):
        decoded(None)


@pytest.mark.parametrize(
    ("session", "subject", "partition"),
    [
        (SUBJECT, "08." + SUBJECT[3:], 7),
        (SUBJECT, SUBJECT, 8),
        ("alice", "alice", 0),
        ("", "", 0),
        (SUBJECT + "\n", SUBJECT + "\n", 7),
    ],
)
def test_a_record_has_to_lie_where_its_session_belongs(session: str, subject: str, partition: int) -> None:
    check_session(SUBJECT, SUBJECT, 7)
    with pytest.raises(errors.BadKey):
        check_session(session, subject, partition)


HEADERS = to_headers(envelope_of(KIND, 1))


def replaced(name: str, value: bytes) -> Headers:
    return tuple((key, value if key == name else old) for key, old in HEADERS)


def without(name: str) -> Headers:
    return tuple(one for one in HEADERS if one[0] != name)


def bad_headers() -> Iterator[tuple[str, Headers]]:
    yield "none", ()
    yield "ten thousand", HEADERS + tuple((f"x{n}", b"") for n in range(10_000))
    yield "33", HEADERS + tuple((f"x{n}", b"") for n in range(33 - len(HEADERS)))
    yield "9 KiB", (*HEADERS, ("x", b"y" * 9216))
    yield "a value of 1,025 bytes", replaced("ce_source", b"y" * 1025)
    yield "doubled type", (*HEADERS, ("ce_type", KIND.encode()))
    yield "doubled content type", (*HEADERS, ("content-type", b"application/msgpack"))
    for name in ("ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "ce_dataversion", "ce_specversion", "content-type"):
        yield f"no {name}", without(name)
        yield f"{name} not UTF-8", replaced(name, b"\xff\xfe")
    for bad in (b"0.3", b"1.1", b""):
        yield f"specversion {bad!r}", replaced("ce_specversion", bad)
    for bad in (b"", b"-1", b"1.0", b"1 ", b"+1", b"1e3", b"\xd9\xa1", b"1" * 17, b'"1"', b"0x1", b"1_000"):
        yield f"version {bad!r}", replaced("ce_dataversion", bad)
        yield f"subject version {bad!r}", replaced("ce_subjectversion", bad)
    for bad in (b"", b"now", b"2026-11-25", b"2026-11-25T12:00:00", b"2026-13-01T00:00:00Z", b"2026-11-25T12:00:00+99:00", b"0", b"-1",
                b"2026-11-25T24:00:00Z", b"2026-11-25T12:00:60Z", b"20261125T120000Z", b"2026-W48-3T12:00:00Z"):  # fmt: skip
        yield f"time {bad!r}", replaced("ce_time", bad)
    yield "JSON", replaced("content-type", b"application/json")


@pytest.mark.parametrize("headers", [case[1] for case in bad_headers()], ids=[case[0] for case in bad_headers()])
def test_an_envelope_that_is_not_in_order_is_refused(headers: Headers) -> None:
    with pytest.raises(errors.BadHeader):
        decoded(body(), headers=headers)


@pytest.mark.parametrize(
    "trace",
    [
        b"", b"00", b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01", b"00-0af7651916cd43dd8448eb211c80319c-" + b"0" * 16 + b"-01",
        b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", b"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
    ],
)  # fmt: skip
def test_a_damaged_trace_context_is_dropped_and_the_message_kept(trace: bytes) -> None:
    received = decoded(body(), headers=replaced("traceparent", trace))
    assert received.envelope.traceparent is None
    assert isinstance(received.body, TokenChanged)


def test_foreign_headers_are_left_alone() -> None:
    received = decoded(body(), headers=(("b3", b"\xff"), *HEADERS, ("x-other", b"\xff"), ("x-other", b"\xfe")))
    assert received.envelope == envelope_of(KIND, 1)


@pytest.mark.parametrize("time", ["1970-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z", "2026-11-25T12:00:00Z"])
def test_any_time_is_taken_for_what_it_says(time: str) -> None:
    assert decoded(body(), headers=replaced("ce_time", time.encode())).envelope.time_us >= 0


@pytest.mark.parametrize("message", all_messages(), ids=lambda one: one.wire_type)
def test_a_message_cut_off_anywhere_is_refused(message: type[Contract]) -> None:
    whole = path_of(message, message.wire_version).read_bytes()
    step = max(1, len(whole) // 300)
    for end in range(0, len(whole), step):
        with pytest.raises(errors.BadSyntax):
            codec_of(message).decode(record_of(whole[:end], message.wire_type, message.wire_version))


@pytest.mark.parametrize("message", all_messages(), ids=lambda one: one.wire_type)
def test_a_message_with_a_flipped_bit_is_another_message_or_none(message: type[Contract]) -> None:
    whole = bytearray(path_of(message, message.wire_version).read_bytes())
    codec = codec_of(message)
    step = max(1, len(whole) * 8 // 1000) | 1  # odd: every bit of a byte gets its turn
    for bit in range(0, len(whole) * 8, step):
        whole[bit // 8] ^= 1 << bit % 8
        raw = bytes(whole)
        whole[bit // 8] ^= 1 << bit % 8
        try:
            received = codec.decode(record_of(raw, message.wire_type, message.wire_version))
        except errors.BadRecord:
            continue
        again = wire.pack(received.body.model_dump())
        # An open enumeration reads what it does not know as `unknown`; anything else is a message that says this.
        assert again == raw or b"unknown" in again


def test_random_bytes_are_refused() -> None:
    noise = random.Random(4)
    for _ in range(10_000):
        raw = noise.randbytes(noise.randint(1, 256))
        with pytest.raises(errors.BadRecord):
            decoded(raw)


def test_random_headers_are_refused() -> None:
    noise = random.Random(5)
    names = [name for name, _ in HEADERS]
    for _ in range(3_000):
        headers = tuple((noise.choice(names), noise.randbytes(noise.randint(0, 40))) for _ in range(noise.randint(0, 14)))
        with pytest.raises(errors.BadHeader):
            decoded(body(), headers=headers)


@pytest.mark.parametrize("message", all_messages(), ids=lambda one: one.wire_type)
def test_a_field_that_is_not_known_is_refused_in_every_message(message: type[Contract]) -> None:
    raw = wire.pack({**example_of(message).model_dump(), "surprise": 1})
    with pytest.raises(errors.BadField):
        codec_of(message).decode(record_of(raw, message.wire_type, message.wire_version))


def test_a_size_limit_is_a_limit() -> None:
    value = body()
    record = record_of(value, KIND, 1)
    assert TOKENS_CODEC.decode(record, len(value)).body == TokenChanged.model_validate(GOOD)
    with pytest.raises(errors.BadSize):
        TOKENS_CODEC.decode(record, len(value) - 1)


def test_a_sealed_answer_has_a_limit_of_its_own() -> None:
    step = example_of(StepRequested).model_dump()
    step["sealed"]["box"] = b"x" * (72 * 1024 + 1)
    with pytest.raises(errors.BadRange):
        codec_of(StepRequested).decode(record_of(wire.pack(step), StepRequested.wire_type, 1))


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [one.code for one in ERRORS]
    assert len(set(codes)) == len(codes)
    assert all(code.startswith("E_EVT") for code in codes)
