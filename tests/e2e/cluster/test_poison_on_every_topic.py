"""Whoever may write the topics writes what cannot be read, into every partition of each, while people log in: nobody notices."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.cluster import Cluster
from shared.contracts import topics
from shared.contracts.failures import CODEC, RecordRefused
from shared.contracts.topics import TOPICS
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.log import KafkaLog
from shared.messaging.log import TopicPartition
from tests.conformance.log.batches import Batch, send, transaction
from tests.conformance.log.batches_cases import HOSTILE
from tests.e2e.cluster import faults, seeing
from tests.e2e.cluster.seeing import ME, eventually, finish, identified, logged_in

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]
KEYLESS: Final = frozenset(name for name, (batch, _) in HOSTILE.items() if any(record.key is None for record in batch.records))
"""What brokers refuse in compacted topics."""
MANY: Final = frozenset(("10,000 empty records",))
FLOODED: Final = (topics.STEPS, topics.SESSIONS)
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    topics.STEPS: ("executor",), topics.SESSIONS: ("executor",), topics.PLANS: ("executor",), topics.VERDICTS: ("executor", "planner"),
    topics.PLAN_REQUESTS: ("planner",), topics.POLICY_REQUESTS: ("policy",),
}  # fmt: skip


@pytest.fixture(autouse=True)
def all_go_on(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[None]:
    """The same processes go on, are ready, and a new visitor can log in."""
    started = {} if "start" in request.node.name else faults.pids(cluster)
    yield
    faults.all_well(cluster, started)
    logged_in(cluster.url, "akadmin", cluster.password)


def poisoned(topic: str, partition: int) -> list[Batch]:
    """What this partition is sent: the first one all that is hostile, the others a third each; very many records come twice in all."""
    compacted = "compact" in TOPICS[topic].cleanup
    mine = [name for number, name in enumerate(HOSTILE) if not partition or (number - partition) % 3 == 0]
    left_out = (KEYLESS if compacted else frozenset()) | (MANY if partition or topic not in FLOODED else frozenset())
    return [HOSTILE[name][0] for name in mine if name not in left_out]


async def poison(cluster: Cluster, topic: str) -> None:
    """What is hostile into every partition, and two transactions."""
    for partition in range(TOPICS[topic].partitions):
        await send(cluster.broker.bootstrap, topic, partition, *poisoned(topic, partition))
    for commit in (True, False):
        await transaction(cluster.broker.bootstrap, topic, 0, b"one", b"two", commit=commit)


def waiting(cluster: Cluster, topic: str) -> dict[tuple[str, int], int]:
    """Records that a group has not passed yet, by group and partition."""
    return asyncio.run(_waiting(cluster, topic))


async def _waiting(cluster: Cluster, topic: str) -> dict[tuple[str, int], int]:
    log = await KafkaLog.open(Brokers(cluster.broker.bootstrap), TOPICS)
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.broker.bootstrap)
    await admin.start()
    try:
        places = [TopicPartition(topic, number) for number in range(TOPICS[topic].partitions)]
        ends = {place: (await log.bounds(place))[1] for place in places}
        left: dict[tuple[str, int], int] = {}
        for group in GROUPS[topic]:
            done = await admin.list_consumer_group_offsets(group, partitions=places)
            left |= {(group, place.partition): ends[place] - done[place].offset for place in places if done[place].offset < ends[place]}
        return left
    finally:
        await admin.close()
        await log.close()


@pytest.mark.parametrize("topic", TOPICS)
def test_everything_hostile_on_a_topic_while_people_log_in(cluster: Cluster, topic: str) -> None:
    half_way, member = identified(cluster.url), logged_in(cluster.url, "akadmin", cluster.password)
    with seeing.watched(member, ME), seeing.watched(identified(cluster.url)):
        asyncio.run(poison(cluster, topic))
        finish(half_way, cluster.password)
        for _ in range(3):
            logged_in(cluster.url, "akadmin", cluster.password)
    assert [process.name for process in cluster.ended()] == []
    if topic in GROUPS:
        assert eventually(lambda: waiting(cluster, topic), lambda left: not left, pause_s=1) == {}
        assert {partition for name, partition, _ in dead(cluster) if name == topic}


@pytest.mark.parametrize("topic", [topics.SESSIONS, topics.DEFINITIONS])
def test_what_is_hostile_is_told_of_as_unreadable_to_who_looks(cluster: Cluster, topic: str) -> None:
    told = tailed(cluster, topic)
    assert told.returncode == 0, told.stderr
    assert "(unreadable)" in told.stdout


def dead(cluster: Cluster, service: str = "") -> Counter[tuple[str, int, int]]:
    """How often each record was told of, by anybody or by this service."""
    told = (body for body in faults.bodies(cluster, topics.DEAD_LETTERS, CODEC) if isinstance(body, RecordRefused))
    return Counter((one.topic, one.partition, one.offset) for one in told if one.service in (service or one.service))


def tailed(cluster: Cluster, topic: str) -> subprocess.CompletedProcess[str]:
    """`sluice tail` of all of it."""
    command = [sys.executable, "-m", "sluice", "tail", topic, "--lines", "5000"]
    return subprocess.run(
        command, env=os.environ | cluster.settings_of("executor"), capture_output=True, text=True, check=False, timeout=120
    )


def test_services_that_start_on_poisoned_topics_become_ready_and_tell_nothing_twice(cluster: Cluster) -> None:
    """What is compacted stays: whoever starts, or takes over, reads it all again."""
    compacted = [name for name, topic in TOPICS.items() if "compact" in topic.cleanup]
    for topic in (*compacted, topics.SESSIONS):
        asyncio.run(poison(cluster, topic))
    member = logged_in(cluster.url, "akadmin", cluster.password)
    for _ in range(2):
        for name in ("executor", "catalog", "planner", "policy"):
            cluster.restart(name).wait_ready()
        assert eventually(lambda: member.ask(ME).status, lambda status: status != 503) == 200
        logged_in(cluster.url, "akadmin", cluster.password)
    counts = dead(cluster, "executor")
    assert {name for name, _, _ in counts} >= {topics.STATE, topics.SESSIONS}
    assert {place: count for place, count in counts.items() if place[0] in (topics.STATE, topics.SESSIONS) and count > 1} == {}


def test_a_topic_of_dead_letters_that_takes_nothing_stops_nobody(cluster: Cluster) -> None:
    """Its brokers take less than any letter needs: all are lost, each is told."""
    asyncio.run(limited(cluster, 100))
    try:
        asyncio.run(poison(cluster, topics.STEPS))
        for _ in range(3):
            logged_in(cluster.url, "akadmin", cluster.password)
        assert eventually(lambda: waiting(cluster, topics.STEPS), lambda left: not left, pause_s=1) == {}
        assert "E_DEAD_LETTER_LOST" in cluster.members["executor"].process.log.read_text()
    finally:
        asyncio.run(limited(cluster, TOPICS[topics.DEAD_LETTERS].max_bytes))


async def limited(cluster: Cluster, size: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.broker.bootstrap)
    await admin.start()
    configs = {"max.message.bytes": str(size), "cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topics.DEAD_LETTERS, configs)])
    await admin.close()
