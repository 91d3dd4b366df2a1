"""What only a real broker can do to us: go away, give unlike shares, know topics that differ."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from aiokafka.protocol.group import LeaveGroupRequest

from deploy.kafka.broker import Broker, missing
from shared.contracts.topics import Topic
from shared.kernel.clock import SystemClock
from shared.messaging.kafka import client as kafka_client
from shared.messaging.kafka import log as kafka
from shared.messaging.kafka import producer as kafka_producer
from shared.messaging.kafka.admin import create_topics, describe_topics
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.check import KafkaRefused
from shared.messaging.kafka.group import KafkaMembership
from shared.messaging.kafka.log import KafkaLog
from shared.messaging.log import LogUnavailable, Message, Mismatched, Record, TopicPartition
from tests.conformance.log.conftest import topics
from tests.conformance.log.support import WAIT_S, Bench, Recorder, Slow, joined, until

pytestmark = pytest.mark.kafka
on_kafka = pytest.mark.parametrize("bench", [pytest.param("kafka", marks=pytest.mark.kafka)], indirect=True)


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that may be stopped: nobody else uses it."""
    lacking = missing()
    if lacking:
        pytest.skip(f"kafka: {lacking}")
    broker = Broker(tmp_path_factory.mktemp("own-kafka"))
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@pytest.fixture
async def fragile(own_broker: Broker) -> AsyncIterator[KafkaLog]:
    await create_topics(Brokers(own_broker.bootstrap), topics().values())
    log = await KafkaLog.open(Brokers(own_broker.bootstrap), topics())
    yield log
    await log.close()


@contextmanager
def frozen(broker: Broker) -> Iterator[None]:
    broker.process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        broker.process.signal(signal.SIGCONT)


async def append_until_taken(log: KafkaLog, message: Message) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                await log.append(message)
            except LogUnavailable:
                await asyncio.sleep(0.1)
            else:
                return


async def test_a_broker_that_stops_answering_is_unavailable_and_is_back_after(
    fragile: KafkaLog, own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = Message("plain", 0, b"k", b"before")
    await fragile.append(message)
    member = await joined(fragile, "frozen", ["plain"])
    tail = fragile.tail("plain", {0: 0})
    seen: list[Record] = []

    async def follow() -> None:
        async for batch in tail:
            seen.extend(batch)

    following = asyncio.create_task(follow())
    await until(lambda: bool(seen) and bool(member.records))
    assert member.membership is not None
    with frozen(own_broker):
        with monkeypatch.context() as shipped:
            shipped.setattr(kafka_producer, "APPEND_TIMEOUT_S", 1.0)  # of the producer's own patience of 2 s
            with pytest.raises(LogUnavailable, match="in time") as away:
                await fragile.append(replace(message, value=b"lost or late"))
        await asyncio.sleep(1.5)
        assert member.membership.heartbeat_age() > 1.5
        assert tail.fetched_age() > 1.0
    await append_until_taken(fragile, replace(message, value=b"after"))
    await until(lambda: any(record.value == b"after" for record in seen))
    late = away.value.late
    assert late is not None
    await until(late.done)
    stands = {record.offset for record in seen if record.value == b"lost or late"}
    assert late.cancelled() or late.result() in stands, "where it stands is told, if it does"
    await until(lambda: b"after" in member.values)
    await until(lambda: tail.fetched_age() < 1.0 and member.membership is not None and member.membership.heartbeat_age() < 1.5)
    assert member.membership.failure is None
    await member.membership.leave()
    await tail.close()
    await following


async def test_a_broker_that_died_and_came_back_has_what_it_acknowledged(
    fragile: KafkaLog, own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = Message("plain", 1, b"k", b"kept")
    offset = await fragile.append(message)
    await asyncio.to_thread(own_broker.kill)
    with monkeypatch.context() as shipped:
        shipped.setattr(kafka_producer, "APPEND_TIMEOUT_S", 1.0)
        shipped.setattr(kafka, "ANSWER_S", 5.0)
        with pytest.raises(LogUnavailable):
            await fragile.append(message)
        with pytest.raises(LogUnavailable):
            await fragile.bounds(TopicPartition("plain", 1))
    await asyncio.to_thread(own_broker.start)
    await append_until_taken(fragile, replace(message, value=b"after"))
    values = [record.value async for batch in fragile.read(TopicPartition("plain", 1), offset, offset + 9) for record in batch]
    assert values[0] == b"kept"
    assert values[-1] == b"after"


async def test_no_broker_is_unavailable(unused_tcp_port: int) -> None:
    with pytest.raises(LogUnavailable):
        await KafkaLog.open(Brokers(f"127.0.0.1:{unused_tcp_port}"), topics())
    with pytest.raises(LogUnavailable):
        await create_topics(Brokers(f"127.0.0.1:{unused_tcp_port}"), topics().values())


@on_kafka
async def test_a_producer_that_was_refused_for_good_is_replaced(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A gap in an idempotent producer's sequence would have everything after it refused."""
    assert isinstance(bench.log, KafkaLog)
    await bench.write("latest", b"a")
    with caplog.at_level(logging.CRITICAL), pytest.raises(LogUnavailable):
        # past `check`: the broker takes no record without a key into a compacted topic
        await bench.log._appender.append(bench.message("latest", b"v", key=None))
    assert await bench.write("latest", b"b") == [1]


@on_kafka
async def test_unlike_shares_are_refused(bench: Bench) -> None:
    names = [bench.name("plain"), bench.name("brief")]
    first = await joined(bench.log, bench.group("g"), names)
    await until(lambda: len(first.held) == 3)
    second = await joined(await bench.another(), bench.group("g"), names[:1])
    membership = first.membership
    assert membership is not None
    assert second.membership is not None
    await until(lambda: membership.failure is not None)
    assert isinstance(membership.failure, Mismatched)
    await until(lambda: len(second.held) == 3)
    await second.membership.leave()


@on_kafka
async def test_heartbeats_go_on_while_a_member_prepares(bench: Bench) -> None:
    """Taking over may take seconds: the group must not think that the member is dead, nor the member itself."""

    class Listening(Recorder):
        async def assigned(self, partitions: frozenset[int]) -> None:
            assert self.membership is not None
            heard, age = 0, self.membership.heartbeat_age()
            async with asyncio.timeout(WAIT_S):
                while heard < 3:
                    await asyncio.sleep(0.05)
                    before, age = age, self.membership.heartbeat_age()
                    heard += age < before  # it grows, unless there was another one
            await super().assigned(partitions)

    member = Listening()
    member.membership = await bench.log.join(bench.group("g"), [bench.name("plain")], member)
    await bench.write("plain", b"a")
    await until(lambda: member.values == [b"a"])
    assert [what for what, _ in member.events] == ["kept", "assigned"]
    await member.membership.leave()


async def _forget(membership: KafkaMembership) -> None:
    """The group takes the member for dead, as it does with a process that was stopped for longer than its session lasts."""
    coordinator = membership._consumer._coordinator
    await coordinator._send_req(LeaveGroupRequest(coordinator.group_id, coordinator.member_id))


async def _ask_to_rejoin(membership: KafkaMembership) -> None:
    """The member joins anew by itself, as it does when a topic has changed: it stays who it is."""
    membership._consumer._coordinator.request_rejoin()


async def _miss_a_generation(membership: KafkaMembership) -> None:
    """The group shared its partitions once without the member knowing: who had them in between, nobody can say."""
    membership._share._member = (membership._share._member[0], membership._share._member[1] - 1)
    await _ask_to_rejoin(membership)


@on_kafka
@pytest.mark.parametrize(("happens", "keeps"), [(_ask_to_rejoin, 3), (_forget, 0), (_miss_a_generation, 0)])
async def test_a_member_keeps_what_nobody_else_can_have_had(
    bench: Bench, happens: Callable[[KafkaMembership], Awaitable[None]], keeps: int
) -> None:
    member = await joined(bench.log, bench.group("g"), [bench.name("plain")])
    await until(lambda: len(member.held) == 3)
    assert isinstance(member.membership, KafkaMembership)
    await bench.write("plain", b"before")
    await until(lambda: member.values == [b"before"])
    await member.membership.commit({bench.place("plain"): 1})
    member.events.clear()
    await happens(member.membership)
    await until(lambda: len(member.events) == 3)
    everything = frozenset(range(3))
    kept = frozenset(range(keeps))
    assert member.events == [("halted", everything), ("kept", kept), ("assigned", everything - kept)]
    await bench.write("plain", b"after")
    await until(lambda: b"after" in member.values)
    assert member.values == [b"before", b"after"]
    await member.membership.leave()


@on_kafka
async def test_a_rebalance_goes_on_while_a_member_prepares(bench: Bench, wide: list[str]) -> None:
    """Who prepares for long keeps nobody else waiting, and what it keeps meanwhile is prepared once."""
    slow = Slow()
    slow.membership = await bench.log.join(bench.group("g"), wide[:1], slow)
    await until(lambda: len(slow.coming) == 12)
    other = await joined(await bench.another(), bench.group("g"), wide[:1])
    await until(lambda: bool(other.held) and len(other.held | slow.coming) == 12)
    assert not other.held & slow.coming
    slow.go_on.set()
    await until(lambda: len(slow.held | other.held) == 12)
    await asyncio.gather(*(bench.log.append(bench.message("wide", b"v", number)) for number in range(12)))
    await until(lambda: len(slow.records) + len(other.records) == 12)
    assert {record.partition for record in slow.records} == slow.held
    for member in (other, slow):
        assert member.membership is not None
        await member.membership.leave()


@on_kafka
async def test_nothing_is_handed_out_while_the_group_may_have_given_it_away(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was stopped holds fetched records; somebody else may own their partitions meanwhile."""
    member = await joined(bench.log, bench.group("g"), [bench.name("plain")])
    await until(lambda: len(member.held) == 3)
    with monkeypatch.context() as patched:
        patched.setattr(kafka_client.Heard, "heartbeat_age", lambda _: 4.0)
        await bench.write("plain", b"a")
        await asyncio.sleep(0.5)
        assert member.values == []
    await until(lambda: member.values == [b"a"])
    assert member.membership is not None
    await member.membership.leave()


@on_kafka
async def test_a_single_join_is_a_single_assignment(bench: Bench) -> None:
    member = await joined(bench.log, bench.group("g"), [bench.name("plain"), bench.name("brief")])
    await until(lambda: len(member.held) == 3)
    await asyncio.sleep(1.5)
    assert member.events == [("kept", frozenset()), ("assigned", frozenset({0, 1, 2}))]
    assert member.membership is not None
    await member.membership.leave()


async def test_topics_are_made_once_and_described(kafka_broker: str) -> None:
    mine = {name: replace(one, name="admin-" + one.name, segment_s=60) for name, one in topics().items() if "wide" not in name}
    assert await create_topics(Brokers(kafka_broker), mine.values()) == {one.name: "created" for one in mine.values()}
    assert await create_topics(Brokers(kafka_broker), mine.values()) == {one.name: "there" for one in mine.values()}
    described = await describe_topics(Brokers(kafka_broker), mine.values())
    assert described["admin-brief"] == {
        "partitions": "3",
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": "262144",
        "min.insync.replicas": "1",
        "retention.ms": "600000",
        "segment.ms": "60000",
    }
    assert described["admin-latest"]["cleanup.policy"] == "compact"
    assert described["admin-latest"]["retention.ms"] == "-1"

    changed = [replace(mine["plain"], partitions=5), replace(mine["brief"], retention_s=60)]
    outcome = await create_topics(Brokers(kafka_broker), changed)
    assert outcome == {"admin-plain": "3 -> 5 partitions", "admin-brief": "differs: retention.ms=600000 instead of 60000"}
    assert "differs" in (await describe_topics(Brokers(kafka_broker), changed))["admin-brief"]


@on_kafka
async def test_partitions_added_later_are_used(bench: Bench, kafka_broker: str) -> None:
    await bench.write("few", b"a")
    await create_topics(Brokers(kafka_broker), [replace(bench.topics["few"], partitions=4)])
    async with asyncio.timeout(WAIT_S):
        await bench.write("few", b"b", partition=3)
    assert await bench.log.partitions(bench.name("few")) == 4


async def test_topics_that_are_missing_or_unlike_are_named_before_anything_stands_on_them(kafka_broker: str) -> None:
    mine = {f"reach-{name}": Topic(f"reach-{name}", "session", "x", "y") for name in ("a", "b")}
    brokers = Brokers(kafka_broker)
    await create_topics(brokers, [replace(mine["reach-a"], partitions=3)])
    with pytest.raises(KafkaRefused, match="reach-a has 3 partitions instead of 12, reach-b is not there"):
        await KafkaLog(brokers, mine, SystemClock()).reach()
    await create_topics(brokers, [replace(one, partitions=14) for one in mine.values()][:1])
    await create_topics(brokers, mine.values())
    with pytest.raises(KafkaRefused, match="reach-a has 14 partitions, reach-b has 12 partitions, all of these need the same number"):
        await KafkaLog(brokers, mine, SystemClock()).reach()
    await create_topics(brokers, [replace(mine["reach-b"], partitions=14)])
    log = KafkaLog(brokers, mine, SystemClock())
    await log.reach()
    assert await log.append(Message("reach-b", 13, b"k", b"v")) == 0
    await log.close()


async def test_a_log_that_was_never_reached_is_closed(unused_tcp_port: int) -> None:
    log = KafkaLog(Brokers(f"127.0.0.1:{unused_tcp_port}"), topics(), SystemClock())
    with pytest.raises(LogUnavailable, match=str(unused_tcp_port)):
        await log.reach()
    await log.close()
