"""The built catalog on a real PostgreSQL and the embedded log: what others read is what was asked for."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from services.catalog.bootstrap import SCHEMA, Catalog, apply_files, build
from services.catalog.settings import Settings
from shared.contracts.codec import encode
from shared.contracts.directory import TokenChanged
from shared.contracts.envelope import Envelope
from shared.contracts.topics import DEFINITIONS, TOKENS, TOPICS
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Unavailable
from shared.kernel.variables import Misconfigured
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.definitions_projection import Definitions
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Log, LogUnavailable, Message, TopicPartition
from shared.messaging.projection import Projection
from shared.postgres.pool import open_pool
from shared.web.app import make_app
from shared.web.limits import Limits
from shared.web.security_log import SecurityLog
from sluice.embedded_postgres.server import Role

TOKEN = "a-token"
PLACE = TopicPartition(DEFINITIONS, 0)
SYSTEM = SystemClock()


@pytest_asyncio.fixture
async def log() -> AsyncIterator[EmbeddedLog]:
    opened = await EmbeddedLog.open(TOPICS)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def definitions(log: EmbeddedLog) -> AsyncIterator[Definitions]:
    held = Definitions()
    following = Projection(log, DEFINITIONS, held.apply, DeadLetters(log, "test", SYSTEM), SYSTEM)
    await following.start()
    yield held
    await following.stop()


@pytest_asyncio.fixture
async def dsn(postgres_dsn: Callable[[Role], str]) -> AsyncIterator[str]:
    """The real schema, emptied afterwards: the service has no other."""
    uri = postgres_dsn("catalog")
    yield uri
    database = await open_pool(uri, schema=SCHEMA)
    tables = "events, definitions, pointers, bodies, applied_files, outbox, outbox_lead, outbox_signer, write_probe, schema_migrations"
    await database.execute(f"DROP TABLE IF EXISTS {tables}; DROP FUNCTION IF EXISTS refuse_change")
    await database.close()


@pytest_asyncio.fixture
async def service(dsn: str, log: EmbeddedLog) -> AsyncIterator[Catalog]:
    built = await build(Settings.model_validate({"database": dsn}), log, SYSTEM)
    await built.start()
    yield built
    await built.stop()


async def until(holds: Callable[[], object], seconds: float = 60) -> None:
    for _ in range(round(seconds / 0.01)):
        if holds():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not become so in time")


async def let_in(log: EmbeddedLog, token: str) -> None:
    name = hashlib.sha256(token.encode()).hexdigest()
    body = TokenChanged(hash=name, user=1, username="akadmin", is_superuser=True, is_active=True)
    headers, value = encode(Envelope("1", body.wire_type, 1, "executor", name, 1), body)
    await log.append(Message(TOKENS, 0, name.encode(), value, headers))


async def test_the_shipped_flows_reach_readers_after_a_start(service: Catalog, definitions: Definitions) -> None:
    await until(definitions.brands)
    assert definitions.pending == 0
    assert definitions.flow_by_slug("default-authentication-flow") is not None
    await until(lambda: all(service.readiness().values()))
    assert service.failure is None


async def test_what_a_post_made_is_there_for_readers_when_it_is_answered(
    service: Catalog, log: EmbeddedLog, definitions: Definitions
) -> None:
    await let_in(log, TOKEN)
    await until(lambda: all(service.readiness().values()))
    app = make_app(service.routes(), Limits(), SecurityLog(lambda what, size=0, facts=None: None, SYSTEM))
    async with TestClient(TestServer(app)) as client:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        body = {"name": "n", "slug": "mine", "title": "t", "designation": "recovery"}
        async with client.post("/api/v3/flows/instances/", json=body, headers=headers) as answer:
            assert answer.status == 201, await answer.text()
        _, end = await log.bounds(PLACE)
        records = [one async for batch in log.read(PLACE, 0, end) for one in batch]
        reader = Definitions()
        for record in records:
            reader.apply(record)
        assert reader.flow_by_slug("mine") is not None


async def test_files_applied_beside_a_running_catalog_reach_readers(
    service: Catalog, dsn: str, definitions: Definitions, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("entries:\n- model: authentik_stages_dummy.dummystage\n  identifiers: {name: mine}\n", encoding="utf-8")
    assert await apply_files(dsn, [file], "ann") == ["created stage mine"]
    assert await apply_files(dsn, [file], "ann") == []
    await until(lambda: definitions._by_name.get(("stage", "mine")))


async def test_files_applied_without_a_running_catalog_are_published_by_the_next_one(
    dsn: str, log: EmbeddedLog, definitions: Definitions, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("entries:\n- model: authentik_stages_dummy.dummystage\n  identifiers: {name: mine}\n", encoding="utf-8")
    await apply_files(dsn, [file], "ann")
    built = await build(Settings.model_validate({"database": dsn}), log, SYSTEM)
    await built.start()
    await until(lambda: definitions._by_name.get(("stage", "mine")))
    await built.stop()


async def test_a_log_that_lost_the_definitions_is_told_them_again(service: Catalog, dsn: str, definitions: Definitions) -> None:
    await until(definitions.brands)
    another = await EmbeddedLog.open(TOPICS)
    reader, again = Definitions(), await build(Settings.model_validate({"database": dsn}), another, SYSTEM)
    following = Projection(another, DEFINITIONS, reader.apply, DeadLetters(another, "test", SYSTEM), SYSTEM)
    await following.start()
    await service.stop()  # else it may be the one that publishes, into its own log
    await again.start()
    await until(reader.brands)
    assert reader.pending == 0
    assert reader.flow_by_slug("default-authentication-flow") == definitions.flow_by_slug("default-authentication-flow")
    assert await again._store.published(60)  # else the next one publishes the rest
    await again.stop()
    _, end = await another.bounds(PLACE)
    once_more = await build(Settings.model_validate({"database": dsn}), another, SYSTEM)
    await once_more.start()
    await until(lambda: once_more.readiness()["shipped_flows"])
    await asyncio.sleep(0.2)
    assert (await another.bounds(PLACE))[1] == end
    await once_more.stop()
    await following.stop()
    await another.close()


async def test_a_catalog_waits_for_its_database(log: EmbeddedLog, tmp_path: Path) -> None:
    away = f"postgresql://catalog@/sluice?host={tmp_path}"
    built = await build(Settings.model_validate({"database": away}), log, SYSTEM)
    await built.start()
    assert built.readiness()["shipped_flows"] is False
    assert built.failure is None
    await built.stop()
    with pytest.raises(Unavailable):
        await apply_files(away, [], "ann")


async def test_without_a_database_nothing_is_built(log: EmbeddedLog) -> None:
    with pytest.raises(Misconfigured, match="SLUICE_DATABASE"):
        await build(Settings.model_validate({"database": None}), log, SYSTEM)


class Refusing:
    """A log that takes nothing until it is told to."""

    def __init__(self, log: EmbeddedLog) -> None:
        self._log = log
        self.refuses = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, message: Message) -> int:
        if self.refuses:
            raise LogUnavailable("not yet")
        return await self._log.append(message)


async def test_a_catalog_is_ready_only_when_readers_can_find_its_flows(log: EmbeddedLog, dsn: str) -> None:
    refusing = Refusing(log)
    built = await build(Settings.model_validate({"database": dsn}), cast("Log", refusing), SYSTEM)
    await built.start()
    await asyncio.sleep(0.3)
    assert built.readiness()["shipped_flows"] is False
    refusing.refuses = False
    await until(lambda: built.readiness()["shipped_flows"])
    await built.stop()
