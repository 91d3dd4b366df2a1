"""No record that a broker takes keeps a reader from those behind it, whoever wrote it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from shared.contracts.envelope import UNREADABLE
from shared.contracts.topics import Topic
from shared.messaging.kafka.admin import create_topics
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.log import Message, Record, Refused, TopicPartition
from tests.conformance.log import poison
from tests.conformance.log.batches import ZSTD, Batch, Made, one, send, transaction
from tests.conformance.log.batches_cases import HOSTILE, LARGEST
from tests.conformance.log.support import Bench, Recorder, joined, until

on_kafka = pytest.mark.parametrize("bench", [pytest.param("kafka", marks=pytest.mark.kafka)], indirect=True)
SPOILT: poison.Headers = (("zz", b"v"), ("none", None))
BATCH = ((b"before", ()), (b"spoilt" * 8, SPOILT), (b"behind", ()))


async def marked(bench: Bench, short: str, end: int) -> None:
    """A coordinator answers before it has written its mark."""
    async with asyncio.timeout(30):
        while (await bench.log.bounds(bench.place(short)))[1] < end:  # noqa: ASYNC110 - a coordinator tells nobody
            await asyncio.sleep(0.05)


async def read_in_all_ways(bench: Bench, short: str = "plain") -> list[list[Record]]:
    """By a range, by a tail and as a member of a group, until `after` has come."""
    name = bench.name(short)
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
    return [ranged, tailed, [record for record in member.records if record.partition == 0]]


@on_kafka
@pytest.mark.timeout(300)
async def test_whatever_a_producer_may_send_costs_itself(bench: Bench, kafka_broker: str) -> None:
    starts: dict[str, int] = {}
    for name, (batch, _) in HOSTILE.items():
        (starts[name],) = await send(kafka_broker, bench.name("plain"), 0, batch)
        await bench.write("plain", b"between")
    await bench.write("plain", b"after")
    ends = dict(zip(starts, [*list(starts.values())[1:], 2**62], strict=True))
    for records in await read_in_all_ways(bench):
        offsets = [record.offset for record in records]
        assert offsets == sorted(set(offsets)), "no place is told twice, none before another"
        found = {name: [one for one in records if starts[name] <= one.offset < ends[name]][:-1] for name in starts}
        found[name] = found[name][:-1]  # the last of them has `after` behind it as well
        assert [name for name, (_, told) in HOSTILE.items() if not told(found[name])] == []
        assert [record.value for record in records].count(b"between") == len(HOSTILE)
        assert all(record.timestamp_ms for record in records), "the broker's time, whatever the producer says"


@on_kafka
@pytest.mark.parametrize("commit", [True, False])
async def test_a_transaction_is_read_as_anything_else_and_so_is_its_mark(bench: Bench, kafka_broker: str, commit: bool) -> None:
    await transaction(kafka_broker, bench.name("plain"), 0, b"one", b"two", commit=commit)
    await marked(bench, "plain", 3)
    await bench.write("plain", b"after")
    for records in await read_in_all_ways(bench):
        assert [record.value for record in records][:2] == [b"one", b"two"]
        assert [record.offset for record in records] == [0, 1, 2, 3], "no place is left out: who waits for the end reaches it"
        assert records[2].headers == ((UNREADABLE, b"ControlRecord"),)


@on_kafka
async def test_a_topic_that_ends_with_a_mark_is_read_to_its_end(bench: Bench, kafka_broker: str) -> None:
    await transaction(kafka_broker, bench.name("latest"), 0, b"one", commit=True)
    await marked(bench, "latest", 2)
    assert [record.offset for record in await bench.everything("latest")] == [0, 1]


@on_kafka
async def test_a_batch_that_is_larger_than_a_fetch_comes_whole(bench: Bench, kafka_broker: str) -> None:
    roomy = Topic(bench.name("plain") + "-roomy", "k", "test", "records", partitions=3, retention_s=86_400, max_bytes=8_000_000)
    await create_topics(Brokers(kafka_broker), [roomy])
    for _ in range(2):
        await send(kafka_broker, roomy.name, 0, one(b"x" * 5_000_000))
        for partition in (1, 2):
            await send(kafka_broker, roomy.name, partition, *[one(b"y" * 400_000)] * 4)
    bench.topics["roomy"] = roomy
    bench.log._topics["roomy"] = bench.log._topics[roomy.name] = roomy  # type: ignore[attr-defined]
    await bench.log.append(Message(roomy.name, 0, b"k", b"after"))
    for records in await read_in_all_ways(bench, "roomy"):
        assert [len(record.value or b"") for record in records] == [5_000_000, 5_000_000, len(b"after")]


@on_kafka
async def test_what_is_small_on_the_wire_is_not_held_all_at_once(bench: Bench, kafka_broker: str) -> None:
    bomb = one(bytes(LARGEST), codec=1)
    await send(kafka_broker, bench.name("plain"), 0, *[bomb] * 50)
    await bench.write("plain", b"after")
    batches = bench.log.read(bench.place("plain"), *await bench.log.bounds(bench.place("plain")))
    together = [sum(len(record.value or b"") for record in batch) async for batch in batches]
    assert sum(together) == 50 * LARGEST + len(b"after")
    assert max(together) <= 2 * 1024 * 1024


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
async def test_a_record_that_the_brokers_find_too_large_costs_nobody_elses_append(bench: Bench, kafka_broker: str) -> None:
    """Their limit is lower than ours, as an operator may have it; a producer whose batch was refused for good can be left with a gap."""
    narrow = Topic(bench.name("plain") + "-narrow", "k", "test", "records", partitions=1, retention_s=86_400, max_bytes=2_000)
    await create_topics(Brokers(kafka_broker), [narrow])
    bench.log._topics[narrow.name] = replace(narrow, max_bytes=256 * 1024)  # type: ignore[attr-defined]
    for turn in range(5):
        refused, *taken = await asyncio.gather(
            bench.log.append(Message(narrow.name, 0, b"k", b"x" * 10_000)),
            *(bench.log.append(bench.message("plain", b"%d" % turn, partition)) for partition in (0, 1, 2)),
            return_exceptions=True,
        )
        assert isinstance(refused, Refused)
        assert taken == [turn] * 3
        assert await bench.log.append(Message(narrow.name, 0, b"k", b"small")) == turn


@on_kafka
@pytest.mark.parametrize(("codec", "count", "batches"), [(0, 10_000, 3), (ZSTD, 32, 900)], ids=["plain", "zstd"])
async def test_a_flood_in_one_partition_keeps_nobody_from_the_others(
    bench: Bench, kafka_broker: str, codec: int, count: int, batches: int
) -> None:
    """Very many records in few bytes: all of them were fetched before what the others hold, and come after."""
    member = await joined(bench.log, bench.group("g"), [bench.name("plain")])
    await until(lambda: member.held == {0, 1, 2})
    assert member.membership is not None
    member.membership.pause(member.held)
    await send(kafka_broker, bench.name("plain"), 0, *[Batch((Made(b"", key=None),) * count, codec)] * batches)
    for partition in (1, 2):
        await bench.write("plain", b"other", partition=partition)
    member.membership.resume(member.held)
    await until(lambda: member.values.count(b"other") == 2)
    assert len(member.records) < count * batches / 3
    await until(lambda: len(member.records) == count * batches + 2)
    await member.membership.leave()


class Others:
    """What else is to be done in this process: how often it had its turn by each batch."""

    def __init__(self) -> None:
        self._turns = 0
        self.by_batch: list[int] = []
        self._task = asyncio.create_task(self._go_on())

    def note(self) -> None:
        self.by_batch.append(self._turns)

    async def _go_on(self) -> None:
        while True:
            self._turns += 1
            await asyncio.sleep(0)

    def stop(self) -> None:
        self._task.cancel()


class Greedy(Recorder):
    """A member that waits for nothing."""

    def __init__(self, others: Others) -> None:
        super().__init__()
        self._others = others

    async def handle(self, records: Sequence[Record]) -> None:
        self._others.note()
        self.records.extend(records)


@on_kafka
@pytest.mark.parametrize("way", ["range", "tail", "group"])
async def test_a_flood_leaves_everything_else_in_the_process_its_turn(bench: Bench, kafka_broker: str, way: str) -> None:
    await send(kafka_broker, bench.name("plain"), 0, *[Batch((Made(b"", key=None),) * 10_000)] * 3)
    await bench.write("plain", b"after")
    others = Others()
    match way:
        case "range":
            async for _ in bench.log.read(bench.place("plain"), *await bench.log.bounds(bench.place("plain"))):
                others.note()
        case "tail":
            tail = bench.log.tail(bench.name("plain"), {0: 0})
            async for batch in tail:
                others.note()
                if batch[-1].value == b"after":
                    break
            await tail.close()
        case _:
            member = Greedy(others)
            member.membership = await bench.log.join(bench.group("g"), [bench.name("plain")], member)
            await until(lambda: b"after" in member.values)
            await member.membership.leave()
    others.stop()
    assert len(others.by_batch) > 100
    assert all(before < following for before, following in pairwise(others.by_batch))
