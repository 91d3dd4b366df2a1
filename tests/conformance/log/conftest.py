"""The logs that the suite runs on: in memory, in a SQLite file, and a real Kafka broker (marker `kafka`)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.contracts.topics import Topic
from shared.messaging.embedded import EmbeddedLog
from shared.messaging.log import Log
from tests.conformance.log.support import Bench

DAY = 86_400
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
    log = await EmbeddedLog.open(topics(), tmp_path / "log.db" if request.param == "sqlite" else None)

    async def same() -> Log:
        return log

    yield Bench(request.param, log, topics(), same)
    await log.close()
