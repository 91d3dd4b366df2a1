"""No record that a broker takes keeps a reader from those behind it, whoever wrote it."""

import asyncio

import pytest

from shared.messaging.kafka.records import UNREADABLE
from shared.messaging.log import Record, TopicPartition
from tests.conformance.log import poison
from tests.conformance.log.support import Bench, joined, until

on_kafka = pytest.mark.parametrize("bench", [pytest.param("kafka", marks=pytest.mark.kafka)], indirect=True)
SPOILT: poison.Headers = (("zz", b"v"), ("none", None))
BATCH = ((b"before", ()), (b"spoilt" * 8, SPOILT), (b"behind", ()))


async def read_in_all_ways(bench: Bench) -> list[list[Record]]:
    """By a range, by a tail and as a member of a group, until `after` has come."""
    name = bench.name("plain")
    place = TopicPartition(name, 0)
    ranged = [record async for batch in bench.log.read(place, *await bench.log.bounds(place)) for record in batch]
    tailed: list[Record] = []
    tail = bench.log.tail(name, {0: 0})

    async def follow() -> None:
        async for batch in tail:
            tailed.extend(batch)

    following = asyncio.create_task(follow())
    member = await joined(bench.log, bench.group("g"), [name])
    await until(lambda: b"after" in member.values and any(record.value == b"after" for record in tailed))
    assert member.membership is not None
    assert member.membership.failure is None
    await member.membership.leave()
    await tail.close()
    await following
    return [ranged, tailed, member.records]


@on_kafka
async def test_a_header_name_that_is_no_text_stops_nobody(bench: Bench, kafka_broker: str) -> None:
    await poison.put(kafka_broker, bench.name("plain"), 0, BATCH, poison.foreign_header_name)
    await bench.write("plain", b"after")
    for records in await read_in_all_ways(bench):
        assert [(record.offset, record.value) for record in records] == [
            (0, b"before"), (1, b"spoilt" * 8), (2, b"behind"), (3, b"after"),
        ]  # fmt: skip
        assert records[1].headers == (("\\xff\\xfe", b"v"), ("none", b""))
        assert all(record.timestamp_ms for record in records)


@on_kafka
async def test_a_batch_in_a_codec_that_is_not_here_is_handed_on_as_it_is(bench: Bench, kafka_broker: str) -> None:
    await poison.put(kafka_broker, bench.name("plain"), 0, BATCH, poison.codec_we_lack)
    await bench.write("plain", b"after")
    for records in await read_in_all_ways(bench):
        assert [record.offset for record in records] == [2, 3]
        assert records[0].headers == ((UNREADABLE, b"UnsupportedCodecError"),)
        assert b"spoilt" in (records[0].value or b"")
        assert records[1].value == b"after"
