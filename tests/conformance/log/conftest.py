"""The logs that the suite runs on: in memory, in a SQLite file, and a real Kafka broker (marker `kafka`)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from shared.contracts.topics import Topic
from shared.messaging.embedded import EmbeddedLog
from shared.messaging.log import Log

PLAIN = Topic("plain", "k", "test", "records", partitions=3, retention_s=86_400)
BRIEF = Topic("brief", "k", "test", "records", partitions=3, retention_s=600)
LATEST = Topic("latest", "k", "test", "records", partitions=3, cleanup=("compact",))
WIDE = tuple(Topic(f"wide{n}", "k", "test", "records", partitions=12, retention_s=86_400) for n in range(3))
OTHER = Topic("other", "k", "test", "records", partitions=2, retention_s=86_400)
KINDS = ["memory", "sqlite", pytest.param("kafka", marks=pytest.mark.kafka)]


@dataclass(frozen=True)
class Bench:
    """A log under test, its topics by their short names (on a shared broker every test has its own)."""

    log: Log
    topics: dict[str, Topic]
    another: Callable[[], "asyncio.Future[Log]"]

    def name(self, short: str) -> str:
        return self.topics[short].name


def _topics(prefix: str) -> dict[str, Topic]:
    return {one.name: replace(one, name=prefix + one.name) for one in (PLAIN, BRIEF, LATEST, OTHER, *WIDE)}


@pytest.fixture(params=KINDS)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    topics = _topics("")
    by_name = {one.name: one for one in topics.values()}
    log = await EmbeddedLog.open(by_name, tmp_path / "log.db" if request.param == "sqlite" else None)

    def same() -> "asyncio.Future[Log]":
        future: asyncio.Future[Log] = asyncio.get_running_loop().create_future()
        future.set_result(log)
        return future

    yield Bench(log, topics, same)
    await log.close()
