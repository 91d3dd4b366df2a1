"""What stands in `catalog.definitions` is what PostgreSQL says, whoever writes over it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.catalog.adapters.postgres.store import PostgresStore
from services.catalog.application.editing import Editing
from services.catalog.application.ids import new_pk
from services.catalog.bootstrap import SCHEMA, build
from services.catalog.settings import Settings
from shared.contracts.topics import DEFINITIONS, TOPICS
from shared.kernel.clock import SystemClock
from shared.kernel.ids import random_id
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.definitions_projection import Definitions
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Message, Record, TopicPartition
from shared.messaging.projection import Projection
from shared.postgres.pool import open_pool
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


SAVED = ("definitions", "events", "pointers", "bodies")


async def flows(bare: EmbeddedLog) -> dict[str, int]:
    """The flows of this test that a reader would know that starts now, and how many stages each has."""
    held, log = Definitions(), as_service(bare, "planner")
    following = Projection(log, DEFINITIONS, held.apply, DeadLetters(log, "planner", CLOCK), CLOCK)
    await following.start()
    await following.ready.wait()
    await following.stop()
    found = [held.flow_by_slug(slug) for slug in ("kept", "gone-since", "since")]
    return {flow.facts.slug: len(flow.bindings) for flow in found if flow}


async def until(bare: EmbeddedLog, expected: dict[str, int]) -> None:
    async with asyncio.timeout(PATIENT_S):
        while await flows(bare) != expected:  # noqa: ASYNC110 -- the log tells nobody
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("edits", [0, 1, 4])
async def test_postgres_is_restored_from_before_some_edits(dsn: str, bare: EmbeddedLog, edits: int) -> None:
    """Readers hold versions above those that the catalog draws now, and would drop what it says; one edit less, and it has their version."""
    log = as_service(bare, "catalog")
    service = await build(Settings.model_validate({"database": dsn}), log, CLOCK)
    await service.start()
    database = await open_pool(dsn, schema=SCHEMA)
    editing = Editing(PostgresStore(database, CLOCK, random_id), new_pk)
    try:
        kept, later = [
            await editing.create("ann", "flow", "", {"name": slug, "slug": slug, "title": slug, "designation": "recovery"})
            for slug in ("kept", "gone-since")
        ]

        async def bind(order: int) -> None:
            stage = await editing.create("ann", "stage", "dummy", {"name": random_id()})
            await editing.create("ann", "flow_binding", "", {"target": kept.pk, "stage": stage.pk, "order": order})

        for table in SAVED:
            await database.execute(f"CREATE TABLE saved_{table} AS TABLE {table}")
        for order in range(edits):
            await bind(order)
        await editing.create("ann", "flow", "", {"name": "since", "slug": "since", "title": "since", "designation": "recovery"})
        await editing.delete("ann", later)
        await until(bare, {"kept": edits, "since": 0})
        await service.stop()
        for table in SAVED:
            await database.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")  # events are appended, by whoever is no backup
            await database.execute(f"DELETE FROM {table}")  # noqa: S608 -- ours
            await database.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE saved_{table}")
            await database.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            await database.execute(f"DROP TABLE saved_{table}")
        service = await build(Settings.model_validate({"database": dsn}), log, CLOCK)
        await service.start()
        await until(bare, {"kept": 0, "gone-since": 0})
        await bind(0)
        await until(bare, {"kept": 1, "gone-since": 0})
    finally:
        await database.close()
        await service.stop()
