"""A fetched batch is read without an error whatever it is, and never becomes more than was agreed."""

import struct
import tracemalloc
from hashlib import shake_256
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.envelope import UNREADABLE
from shared.contracts.topics import TOPICS
from shared.messaging.kafka import records
from shared.messaging.kafka.batches import MAX_RAW, Read, frames, read
from shared.messaging.kafka.codecs import Damaged, TooLarge, unpacked
from tests.conformance.log.batches import GZIP, LZ4, SNAPPY, ZSTD, Batch, Made, one, sealed, squeezed

LIMIT = 64 * 1024
CODECS = pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD], ids=["gzip", "snappy", "lz4", "zstd"])
THREE = Batch((Made(b"a"), Made(b"b" * 50, headers=((b"h", b"v"), (b"\xff", None))), Made(None, key=None)))


def noise(size: int) -> bytes:
    """Bytes that no codec makes smaller."""
    return shake_256(b"noise").digest(size)


def read_one(data: bytes) -> Read:
    (frame,) = frames(data)
    return read(frame, LIMIT)


def reasons(found: Read) -> list[str]:
    return [one.headers[0][1].decode() for one in found.records if one.headers[:1] and one.headers[0][0] == UNREADABLE]


@CODECS
def test_what_a_codec_packed_comes_out_to_the_last_byte_of_the_limit(codec: int) -> None:
    data = noise(5_000) + bytes(LIMIT - 5_000)
    assert unpacked(squeezed(data, codec), codec, LIMIT) == data
    with pytest.raises(TooLarge):
        unpacked(squeezed(data, codec), codec, LIMIT - 1)


@CODECS
def test_a_bomb_is_refused_without_room_for_it(codec: int) -> None:
    bomb = squeezed(bytes(20_000_000), codec)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            unpacked(bomb, codec, LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 8 * LIMIT + len(bomb)
    finally:
        tracemalloc.stop()


@CODECS
def test_what_is_cut_off_or_nothing_is_damaged(codec: int) -> None:
    whole = squeezed(b"something" * 100, codec)
    for spoilt in (b"", whole[:-3], b"\xff" * 50, whole[: len(whole) // 2]):
        with pytest.raises(Damaged):
            unpacked(spoilt, codec, LIMIT)


def test_javas_snappy_is_read_block_by_block() -> None:
    block = squeezed(b"x" * 1000, SNAPPY)[16:]
    head = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1)
    assert unpacked(head + block + block, SNAPPY, LIMIT) == b"x" * 2000
    with pytest.raises(TooLarge):
        unpacked(head + block + block, SNAPPY, 1999)
    for spoilt in (head + block[:-1], head + struct.pack(">i", -1) + block, head + b"\0"):
        with pytest.raises(Damaged):
            unpacked(spoilt, SNAPPY, LIMIT)


def test_a_codec_of_the_future_is_one_unreadable_record() -> None:
    made = THREE.bytes()
    made[22] |= 7
    found = read_one(bytes(sealed(made)))
    assert reasons(found) == ["Damaged"]
    assert (found.records[0].offset, found.next_offset, found.damaged) == (2, 3, False)


@CODECS
def test_packed_or_not_a_batch_says_the_same(codec: int) -> None:
    assert read_one(bytes(Batch(THREE.records, codec).bytes())) == read_one(bytes(THREE.bytes()))


def test_a_bad_record_costs_itself() -> None:
    whole = Batch((Made(b"first"), Made(b"spoilt", headers=((b"name", b"v"),)), Made(b"third"))).bytes()
    whole[whole.index(b"name") - 1] = 0x7F  # the name claims to be longer than its record
    found = read_one(bytes(sealed(whole)))
    assert [one.value for one in found.records][::2] == [b"first", b"third"]
    assert reasons(found) == ["ValueError"]
    assert found.records[1].offset == 1


def test_what_cannot_be_read_is_cut_short() -> None:
    found = read_one(bytes(one(noise(200_000), codec=GZIP).bytes()))
    assert reasons(found) == ["TooLarge"]
    assert len(found.records[0].value or b"") == MAX_RAW


def test_a_time_that_its_writer_set_is_none() -> None:
    made = THREE.bytes()
    assert {one.timestamp_ms for one in read_one(bytes(made)).records} == {0}
    made[22] |= 8
    assert {one.timestamp_ms for one in read_one(bytes(sealed(made))).records} == {1_800_000_000_000}


def test_every_record_of_ours_may_be_packed() -> None:
    for name, topic in TOPICS.items():
        body = one(bytes(topic.max_bytes - 128), codec=ZSTD).bytes()
        (frame,) = frames(bytes(body))
        assert not reasons(read(frame, records._limit(name))), name


@given(st.binary(max_size=400))
def test_any_bytes_are_no_error(data: bytes) -> None:
    for frame in frames(data):
        read(frame, LIMIT)


@given(st.integers(0, 4), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6), st.booleans())
def test_a_batch_with_wrong_bytes_is_no_error_and_its_places_grow(codec: int, wrong: list[tuple[int, int]], honest: bool) -> None:
    made = Batch(THREE.records, codec).bytes()
    for at, byte in wrong:
        if not 8 <= at % len(made) < 12:  # what the length says, the broker cuts by
            made[at % len(made)] = byte
    data = bytes(sealed(made) if honest else made)
    for frame in frames(data):
        found = read(frame, LIMIT)
        offsets = [one.offset for one in found.records]
        assert all(before < after for before, after in pairwise(offsets))
        assert not offsets or offsets[-1] < found.next_offset
        assert found.next_offset > struct.unpack_from(">q", frame)[0]


def test_a_fetch_that_ends_in_the_middle_of_a_batch_ends_before_it() -> None:
    whole = bytes(THREE.bytes())
    assert [bytes(frame) for frame in frames(whole + whole[:-1])] == [whole]
    assert list(frames(whole[:-1])) == []
    assert len(list(frames(b"\xff" * 30))) == 1, "a length below 0 leads nowhere: the rest is one batch"


@CODECS
@pytest.mark.parametrize(("count", "size"), [(33, 72), (200, 72), (500, 32)])
def test_records_that_hold_a_proof_are_never_too_many(codec: int, count: int, size: int) -> None:
    """A broker may compress what our services wrote: a signature or a keyed digest each, and headers that are all alike."""
    proofs = noise(count * size)
    same = ((b"ce_type", b"executor.session.advanced"),)
    made = tuple(Made(b"v", headers=((b"sluice-proof", proofs[at * size : (at + 1) * size]), *same)) for at in range(count))
    assert len(read_one(bytes(Batch(made, codec).bytes())).records) == count


@CODECS
@pytest.mark.parametrize("count", [33, 1_000, 8_000])
def test_very_many_records_in_very_few_bytes_are_one(codec: int, count: int) -> None:
    found = read_one(bytes(Batch((Made(b"", key=None),) * count, codec).bytes()))
    assert (reasons(found), found.next_offset, found.records[0].offset) == (["Crowded"], count, count - 1)
