"""The logs that the suite runs on: in memory, in a SQLite file, and a real Kafka broker (marker `kafka`)."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.contracts.topics import Topic
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.kafka.admin import create_topics
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.log import KafkaLog
from shared.messaging.log import Log
from tests.conformance.log.support import Bench

DAY = 86_400
_tests = itertools.count(1)
TOPICS = (
    Topic("plain", "k", "test", "records", partitions=3, retention_s=DAY),
    Topic("brief", "k", "test", "records", partitions=3, retention_s=600),
    Topic("latest", "k", "test", "records", partitions=3, cleanup=("compact",)),
    Topic("few", "k", "test", "records", partitions=2, retention_s=DAY),
    Topic("wide", "k", "test", "records", partitions=12, retention_s=DAY),
    Topic("wider", "k", "test", "records", partitions=12, retention_s=600),
    Topic("widest", "k", "test", "records", partitions=12, retention_s=DAY),
)
KINDS = ["memory", "sqlite", pytest.param("kafka", marks=pytest.mark.kafka)]


def topics(prefix: str = "") -> dict[str, Topic]:
    return {one.name: replace(one, name=prefix + one.name) for one in TOPICS}


@pytest.fixture(params=KINDS)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    if request.param == "kafka":
        bench = await _on_kafka(Brokers(request.getfixturevalue("kafka_broker")))
    else:
        bench = await _embedded(request.param, tmp_path / "log.db" if request.param == "sqlite" else None)
    yield bench
    await bench.close()


@pytest.fixture
async def wide(request: pytest.FixtureRequest, bench: Bench) -> list[str]:
    """The names of three topics of twelve partitions; made only for those who ask, it takes a broker a second."""
    own = [bench.topics[short] for short in ("wide", "wider", "widest")]
    if bench.kind == "kafka":
        await create_topics(Brokers(request.getfixturevalue("kafka_broker")), own)
    return [one.name for one in own]


async def _embedded(kind: str, path: Path | None) -> Bench:
    log = await EmbeddedLog.open(topics(), path)

    async def same() -> Log:
        return log

    return Bench(kind, topics(), log, same, [log])


async def _on_kafka(brokers: Brokers) -> Bench:
    """Topics of its own for every test, and groups with them: the broker is the same for all."""
    own = topics(f"t{next(_tests)}-")
    by_name = {one.name: one for one in own.values()}
    await create_topics(brokers, [one for short, one in own.items() if not short.startswith("wide")])
    logs: list[Log] = [await KafkaLog.open(brokers, by_name)]

    async def another() -> Log:
        logs.append(await KafkaLog.open(brokers, by_name))
        return logs[-1]

    return Bench("kafka", own, logs[0], another, logs)
