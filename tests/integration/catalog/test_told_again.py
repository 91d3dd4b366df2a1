"""What stands in `catalog.definitions` is what PostgreSQL says, whoever writes over it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.catalog.bootstrap import build
from services.catalog.settings import Settings
from shared.contracts.topics import DEFINITIONS, TOPICS
from shared.kernel.clock import SystemClock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.definitions_projection import Definitions
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Message, Record, TopicPartition
from shared.messaging.projection import Projection
from tests.fixtures_patience import PATIENT_S
from tests.integration.catalog.test_service import dsn as dsn
from tests.signing import as_service

CLOCK = SystemClock()
PLACE = TopicPartition(DEFINITIONS, 0)


@pytest.fixture
async def bare() -> AsyncIterator[EmbeddedLog]:
    log = await EmbeddedLog.open(TOPICS)
    yield log
    await log.close()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.postgres.repeating.PAUSE_S", 0.0)


async def compacted(bare: EmbeddedLog) -> EmbeddedLog:
    """Another log with what compaction leaves of this one."""
    last: dict[bytes | None, Record] = {one.key: one async for batch in bare.read(PLACE, 0, 100_000) for one in batch}
    other = await EmbeddedLog.open(TOPICS)
    for one in sorted(last.values(), key=lambda record: record.offset):
        await other.append(Message(*PLACE, one.key, one.value, one.headers))
    return other


async def slugs(bare: EmbeddedLog) -> set[str]:
    """The flows that a planner would know that starts now, after a compaction."""
    other = await compacted(bare)
    held = Definitions()
    log = as_service(other, "planner")
    following = Projection(log, DEFINITIONS, held.apply, DeadLetters(log, "planner", CLOCK), CLOCK)
    await following.start()
    await following.ready.wait()
    await following.stop()
    await other.close()
    found = {held.flow_by_slug(slug) for slug in ("default-authentication-flow", "default-invalidation-flow")}
    return {flow.facts.slug for flow in found if flow}


async def test_pointers_and_bodies_that_somebody_wrote_over_are_said_again(dsn: str, bare: EmbeddedLog) -> None:
    service = await build(Settings.model_validate({"database": dsn}), as_service(bare, "catalog"), CLOCK)
    await service.start()
    try:
        async with asyncio.timeout(PATIENT_S):
            while len(shipped := await slugs(bare)) < 2:  # noqa: ASYNC110 -- the log tells nobody
                await asyncio.sleep(0.05)
            keys = {one.key async for batch in bare.read(PLACE, 0, 100_000) for one in batch}
            for key in keys:
                await bare.append(Message(*PLACE, key, b"junk"))
            while await slugs(bare) != shipped:  # noqa: ASYNC110 -- as above
                await asyncio.sleep(0.05)
        assert service.failure is None
    finally:
        await service.stop()
