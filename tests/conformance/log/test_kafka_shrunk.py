"""A log has less than somebody was told that it has: readers and writers are told so, soon, and in the port's words."""

import asyncio
from collections.abc import Sequence
from typing import Final

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from shared.messaging.log import Log, LogUnavailable, Message, Record, Refused
from shared.messaging.log import TopicPartition as Place
from tests.conformance.log.batches import transaction
from tests.conformance.log.support import WAIT_S, Bench
from tests.conformance.log.test_kafka_poison import marked, on_kafka

FIVE: Final = tuple(b"%d" % number for number in range(5))


async def read(bench: Bench, start: int, end: int, told: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> Sequence[Record]:
    """What a reader gets who was told of these bounds before the log shrank."""

    async def as_it_was(_: object) -> tuple[int, int]:
        return told

    monkeypatch.setattr(bench.log, "bounds", as_it_was)
    async with asyncio.timeout(WAIT_S):
        return [record async for batch in bench.log.read(bench.place("plain"), start, end) for record in batch]


@on_kafka
@pytest.mark.parametrize(
    ("start", "end", "left"),
    [(0, 10, FIVE), (3, 10, FIVE[3:]), (5, 10, ()), (6, 10, ()), (8, 10, ()), (0, 10**12, FIVE), (10**12, 10**12 + 1, ())],
)
async def test_a_log_that_lost_its_tail_is_read_to_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, start: int, end: int, left: Sequence[bytes]
) -> None:
    await bench.write("plain", *FIVE)
    records = await read(bench, start, end, (0, end), monkeypatch)
    assert [(record.offset, record.value) for record in records] == list(enumerate(FIVE))[5 - len(left) :]


@on_kafka
@pytest.mark.parametrize("deleted", [3, 5], ids=["the start", "all"])
async def test_a_log_that_lost_its_start_is_read_from_where_it_begins(
    bench: Bench, kafka_broker: str, monkeypatch: pytest.MonkeyPatch, deleted: int
) -> None:
    await bench.write("plain", *FIVE)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_broker)
    await admin.start()
    await admin.delete_records({TopicPartition(*bench.place("plain")): RecordsToDelete(deleted)})
    await admin.close()
    records = await read(bench, 0, 9, (0, 9), monkeypatch)
    assert [record.value for record in records] == list(FIVE[deleted:])


@on_kafka
async def test_a_log_that_lost_its_tail_and_ends_with_a_mark_is_read_to_its_end(
    bench: Bench, kafka_broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await transaction(kafka_broker, bench.name("plain"), 0, b"one", commit=True)
    await marked(bench, "plain", 2)
    assert len(await read(bench, 0, 9, (0, 9), monkeypatch)) == 2


@on_kafka
@pytest.mark.parametrize(
    "count", [0, *(pytest.param(left, marks=pytest.mark.long) for left in (1, 2))], ids=["deleted", "one partition is left", "two are left"]
)
async def test_a_topic_that_is_made_anew_with_fewer_partitions_is_away_for_who_wants_the_others(
    bench: Bench, kafka_broker: str, count: int
) -> None:
    gone = bench.place("plain", 2)
    await bench.write("plain", b"before", partition=2)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_broker)
    await admin.start()
    await admin.delete_topics([bench.name("plain")])
    if count:
        async with asyncio.timeout(WAIT_S):
            while bench.name("plain") in await admin.list_topics():  # noqa: ASYNC110 - a broker's
                await asyncio.sleep(0.05)
        await admin.create_topics([NewTopic(bench.name("plain"), count, 1)])
    await admin.close()
    another = await bench.another()
    for log in (bench.log, another):
        for ask in (log.append(Message(bench.name("plain"), 2, b"k", b"x")), log.bounds(gone), log.bounds_of([gone]), read_all(log, gone)):
            with pytest.raises(LogUnavailable):
                await ask
    assert await bench.write("latest", b"others go on") == [0]


async def read_all(log: Log, place: Place) -> None:
    async for _ in log.read(place, 0, 1):
        pass


@on_kafka
async def test_a_partition_that_no_topic_of_ours_has_is_the_callers_mistake(bench: Bench) -> None:
    beyond = Place(bench.name("plain"), 3)
    for ask in (
        bench.log.append(Message(*beyond, b"k", b"x")),
        bench.log.bounds(beyond),
        bench.log.bounds_of([beyond]),
        read_all(bench.log, beyond),
    ):
        with pytest.raises(Refused):
            await ask
