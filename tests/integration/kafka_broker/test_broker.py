"""The broker that the other tests stand on: it serves, keeps its records over a kill, and answers as configured."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.child import ChildFailed
from deploy.kafka import broker as module
from deploy.kafka.broker import Broker, jars, missing
from shared.contracts.topics import Topic
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.log import KafkaLog
from shared.messaging.log import TopicPartition

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PLACE = TopicPartition("things", 0)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    lacking = missing()
    if lacking:
        pytest.skip(f"kafka: {lacking}")
    made = Broker(tmp_path_factory.mktemp("a broker"), quick_start=True)
    try:
        made.start()
        yield made
    finally:
        made.stop()


async def values(broker: Broker) -> list[tuple[bytes | None, bool]]:
    """What is there, each with whether its time is the broker's: producers say 1 ms after 1970."""
    log = await KafkaLog.open(Brokers(broker.bootstrap), {PLACE.topic: Topic(PLACE.topic, "", "", "things", partitions=1)})
    try:
        batches = [batch async for batch in log.read(PLACE, *await log.bounds(PLACE))]
        return [(record.value, record.timestamp_ms > 1) for batch in batches for record in batch]
    finally:
        await log.close()


async def append(broker: Broker, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(PLACE.topic, value, partition=0, timestamp_ms=1)


async def test_records_outlive_a_kill_and_carry_the_brokers_time(broker: Broker) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(PLACE.topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()
    await append(broker, b"before")
    first = broker.process.pid
    broker.kill()
    assert not broker.process.is_alive()
    broker.start()
    assert broker.process.pid != first
    await append(broker, b"after")
    assert await values(broker) == [(b"before", True), (b"after", True)]


async def test_topics_are_not_made_by_asking_for_them(broker: Broker) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        await admin.describe_topics(["never-made"])
        assert "never-made" not in await admin.list_topics()
    finally:
        await admin.close()


def test_a_port_that_is_taken_is_told_with_the_brokers_own_words(broker: Broker, tmp_path: Path) -> None:
    second = Broker(tmp_path / "second", port=broker.port, quick_start=True)
    started = time.monotonic()
    with pytest.raises(ChildFailed, match="Address already in use"):
        second.start()
    assert time.monotonic() - started < module.START_TIMEOUT


def test_the_jars_of_an_unpacked_release_are_used(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    with pytest.raises(ChildFailed, match="not an unpacked Kafka release"):
        jars()
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-4.4.0.jar").touch()
    assert jars() == tmp_path / "libs"


def test_a_machine_without_java_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(os.environ, "PATH", str(tmp_path))
    assert "Java is not installed" in str(missing())
