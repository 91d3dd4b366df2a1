"""Topics on a real broker, made and described from their definitions: `sluice topics create|describe`."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

from shared.contracts.topics import Topic
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.check import check, metadata_request
from shared.messaging.kafka.client import new_consumer, stop
from shared.messaging.log import LogUnavailable

ANSWER_S = 30.0


def settings(topic: Topic, replication: int) -> dict[str, str]:
    """The broker's settings of a topic; times in ms, -1 for ever."""
    wanted = {
        "cleanup.policy": ",".join(sorted(topic.cleanup)),
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(topic.max_bytes),
        # a record is acknowledged when all but one of its copies have it
        "min.insync.replicas": str(max(1, replication - 1)),
        "retention.ms": "-1" if topic.retention_s is None else str(topic.retention_s * 1000),
    }
    if topic.segment_s is not None:
        wanted["segment.ms"] = str(topic.segment_s * 1000)
    return wanted


async def create_topics(brokers: Brokers, topics: Iterable[Topic], replication: int = 1) -> dict[str, str]:
    """Make what is not there, add partitions where there are too few; what was done, by topic.

    "created", "there", "N -> M partitions", or "differs: ..." where the broker has other settings: those are the
    operator's and are told, not overwritten. `LogUnavailable` if the broker does not answer or refuses, `KafkaRefused` if it will not have us.
    """
    wanted = {topic.name: topic for topic in topics}
    async with _admin(brokers) as admin:
        done = await _create(admin, wanted, replication)
        there = await _describe(admin, [name for name, outcome in done.items() if outcome == "there"])
        for name, found in there.items():
            done[name] = await _compare(admin, wanted[name], found, replication)
    if fresh := [wanted[name] for name, outcome in done.items() if outcome == "created" or outcome.endswith("partitions")]:
        await _served(brokers, fresh)
    return done


async def describe_topics(brokers: Brokers, topics: Iterable[Topic], replication: int = 1) -> dict[str, dict[str, str]]:
    """The settings on the broker of those topics that are there, by topic; "differs" tells what is not as defined."""
    wanted = {topic.name: topic for topic in topics}
    async with _admin(brokers) as admin:
        described = await _describe(admin, list(wanted))
    for name, found in described.items():
        if differing := _differences(wanted[name], found, replication):
            found["differs"] = differing
    return described


@asynccontextmanager
async def _admin(brokers: Brokers) -> AsyncIterator[AIOKafkaAdminClient]:
    await check(brokers)
    admin = AIOKafkaAdminClient(request_timeout_ms=10_000, **brokers.client())
    try:
        async with asyncio.timeout(ANSWER_S):
            await admin.start()
            yield admin
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogUnavailable(f"no answer from the broker at {brokers.servers}: {error!r}") from error
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, wanted: dict[str, Topic], replication: int) -> dict[str, str]:
    new = [NewTopic(one.name, one.partitions, replication, topic_configs=settings(one, replication)) for one in wanted.values()]
    response = await admin.create_topics(new)
    outcomes = {}
    for name, code, *rest in response.topic_errors:
        error = for_code(code)
        if error not in (NoError, TopicAlreadyExistsError):
            raise LogUnavailable(f"topic {name} was not made: {error.__name__} {rest[0] if rest else ''}")
        outcomes[name] = "created" if error is NoError else "there"
    return outcomes


async def _served(brokers: Brokers, topics: list[Topic]) -> None:
    """Until their leaders answer: a broker says that a topic is made a second before it takes records for it."""
    consumer = new_consumer(brokers, request_timeout_ms=int(ANSWER_S * 1000))
    try:
        async with asyncio.timeout(ANSWER_S):
            await consumer.start()
            for topic in topics:
                await consumer.end_offsets([TopicPartition(topic.name, number) for number in range(topic.partitions)])
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogUnavailable(f"topics were made but are not served yet: {error!r}") from error
    finally:
        await stop(consumer)


async def _compare(admin: AIOKafkaAdminClient, topic: Topic, found: dict[str, str], replication: int) -> str:
    if int(found["partitions"]) < topic.partitions:
        await admin.create_partitions({topic.name: NewPartitions(topic.partitions)})
        return f"{found['partitions']} -> {topic.partitions} partitions"
    differing = _differences(topic, found, replication)
    return f"differs: {differing}" if differing else "there"


def _differences(topic: Topic, found: dict[str, str], replication: int) -> str:
    wanted = settings(topic, replication) | {"partitions": str(topic.partitions)}
    return ", ".join(f"{name}={found.get(name)} instead of {value}" for name, value in wanted.items() if _told(found.get(name)) != value)


def _told(value: str | None) -> str | None:
    # the broker gives a list in the order in which it was set
    return value if value is None else ",".join(sorted(value.split(",")))


async def _describe(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    found = (await admin._send_request(metadata_request(names))).to_object()["topics"]  # its own way of asking can make topics
    known = {one["topic"]: len(one["partitions"]) for one in found if one["error_code"] == NoError.errno}
    described = {name: {"partitions": str(count)} for name, count in known.items()}
    for response in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in known]):
        for resource in response.resources:
            described[resource[3]] |= _settings_in(resource[4])
    return described


def _settings_in(entries: Iterable[Any]) -> dict[str, str]:
    names = ("cleanup.policy", "message.timestamp.type", "max.message.bytes", "min.insync.replicas", "retention.ms", "segment.ms")
    return {entry[0]: str(entry[1]) for entry in entries if entry[0] in names}
