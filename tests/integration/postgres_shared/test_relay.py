"""The outbox and its relay: what commits is published, in the order that matters, whoever dies in between."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest

from shared.contracts.topics import Topic
from shared.kernel.clock import SystemClock
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import LogUnavailable, Message, TopicPartition
from shared.postgres.outbox import OUTBOX, append, message_of, waves
from shared.postgres.pool import Database, open_pool
from shared.postgres.relay import Relay
from sluice.embedded_postgres.server import Role
from tests.fixtures_patience import PATIENT_S

TOPICS = {"latest": Topic("latest", "k", "test", "records", partitions=1, cleanup=("compact",))}
PLACE = TopicPartition("latest", 0)


def message(key: str, value: str | None, headers: tuple[tuple[str, bytes], ...] = ()) -> Message:
    return Message("latest", 0, key.encode(), None if value is None else value.encode(), headers)


class FailingLog(EmbeddedLog):
    """Says of some appends that they were not acknowledged, although they may be in the log."""

    failures = 0

    async def append(self, message: Message) -> int:
        offset = await super().append(message)
        if self.failures:
            self.failures -= 1
            raise LogUnavailable
        return offset


@pytest.fixture
async def log() -> AsyncIterator[FailingLog]:
    log = await FailingLog.open(TOPICS, None)
    assert isinstance(log, FailingLog)
    yield log
    await log.close()


@asynccontextmanager
async def running(database: Database, log: EmbeddedLog) -> AsyncIterator[None]:
    relay = Relay(database, log, SystemClock(), topics=TOPICS)
    task = asyncio.create_task(relay.run())
    try:
        yield
    finally:
        await relay.stop(PATIENT_S)
        await task


async def published(log: EmbeddedLog, count: int) -> list[tuple[str, str | None]]:
    """The first `count` records, waited for."""
    async with asyncio.timeout(PATIENT_S):
        while (await log.bounds(PLACE))[1] < count:  # noqa: ASYNC110 -- the log has no event to wait for
            await asyncio.sleep(0.01)
    found = []
    async for batch in log.read(PLACE, 0, (await log.bounds(PLACE))[1]):
        found += [((r.key or b"").decode(), None if r.value is None else r.value.decode()) for r in batch]
    return found


async def leader(database: Database, other_than: str = "") -> str:
    """Who leads the relays of this schema, waited for."""
    async with asyncio.timeout(PATIENT_S):
        while True:
            found = await database.fetchrow("SELECT holder FROM outbox_lead WHERE until > clock_timestamp()")
            if found is not None and found["holder"] != other_than:
                return str(found["holder"])
            await asyncio.sleep(0.01)


async def emptied(database: Database) -> None:
    async with asyncio.timeout(PATIENT_S):
        while await database.fetch("SELECT 1 FROM outbox WHERE said_at IS NULL LIMIT 1"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def say(database: Database, *messages: Message, wake: bool = True) -> None:
    async with database.transaction() as connection:
        await append(connection, database.schema, messages, wake=wake)


async def test_rows_are_published_with_headers_and_tombstones_and_deleted(database: Database, log: FailingLog) -> None:
    async with running(database, log):
        await say(database, message("a", "1", (("traceparent", b"x"),)), message("a", None), wake=False)
        assert await published(log, 2) == [("a", "1"), ("a", None)]
        await emptied(database)
    async for batch in log.read(PLACE, 0, 1):
        assert batch[0].headers == (("traceparent", b"x"),)


async def test_what_is_rolled_back_is_never_said(database: Database, log: FailingLog) -> None:
    async def fail() -> None:
        async with database.transaction() as connection:
            await append(connection, database.schema, [message("a", "1")])
            raise ZeroDivisionError

    async with running(database, log):
        with pytest.raises(ZeroDivisionError):
            await fail()
        await say(database, message("b", "2"))
        assert await published(log, 1) == [("b", "2")]


async def test_a_row_with_an_early_id_that_commits_late_is_not_skipped(
    database: Database, log: FailingLog, postgres_dsn: Callable[[Role], str]
) -> None:
    slow = await asyncpg.connect(postgres_dsn("executor"), server_settings={"search_path": database.schema})
    async with running(database, log):
        await database.prepare()
        transaction = slow.transaction()
        await transaction.start()
        await append(slow, database.schema, [message("early", "id")])
        await say(database, message("late", "id"))
        assert await published(log, 1) == [("late", "id")]
        await emptied(database)
        await transaction.commit()
        assert await published(log, 2) == [("late", "id"), ("early", "id")]
    await slow.close()


async def test_rows_of_one_entity_keep_the_order_in_which_it_was_locked(database: Database, log: FailingLog) -> None:
    await database.prepare()
    await database.execute("CREATE TABLE entity (n integer)")
    await database.execute("INSERT INTO entity VALUES (0)")

    async def raise_it() -> None:
        async with database.transaction() as connection:
            n = await connection.fetchval("UPDATE entity SET n = n + 1 RETURNING n")
            await append(connection, database.schema, [message("entity", str(n)), message(f"other {n}", "x")])

    async with running(database, log):
        await asyncio.gather(*(raise_it() for _ in range(20)))
        await emptied(database)
    found = [value for key, value in await published(log, 40) if key == "entity"]
    assert found == [str(n) for n in range(1, 21)]


@pytest.mark.parametrize("failures", [1, 2])
async def test_a_log_that_fails_is_asked_again_and_the_last_value_stays_the_last(
    database: Database, log: FailingLog, failures: int
) -> None:
    log.failures = failures
    async with running(database, log):
        await say(database, message("a", "1"), message("a", "2"))
        await emptied(database)
    found = await published(log, 2)
    assert found[-1] == ("a", "2")
    assert len(found) > 2, "nothing was published twice: the failure was not met"


async def test_one_leads_and_another_takes_over(database: Database, log: FailingLog) -> None:
    async with AsyncExitStack() as later:
        async with running(database, log):
            first = await leader(database)
            await later.enter_async_context(running(database, log))
            await asyncio.gather(*(say(database, message("a", str(n))) for n in range(20)))
            await emptied(database)
            assert await leader(database) == first
        assert await leader(database, other_than=first)
        await say(database, message("b", "1"))
        await emptied(database)
    assert sorted(await published(log, 21)) == sorted([("b", "1"), *(("a", str(n)) for n in range(20))])


async def test_a_lost_connection_is_made_again(database: Database, log: FailingLog, postgres_dsn: Callable[[Role], str]) -> None:
    admin = await asyncpg.connect(postgres_dsn("sluice_admin"))
    async with running(database, log):
        await say(database, message("a", "1"))
        await published(log, 1)
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", f"sluice {database.schema}"
        )
        async with asyncio.timeout(PATIENT_S):
            while True:
                try:
                    await say(database, message("b", "2"))
                    break
                except Exception:  # noqa: BLE001 -- a cut pooled connection says so once
                    await asyncio.sleep(0.01)
        assert (await published(log, 2))[-1] == ("b", "2")
    await admin.close()


async def test_an_outbox_row_needs_a_transaction(database: Database) -> None:
    async with database.connection() as connection:
        with pytest.raises(RuntimeError):
            await append(connection, database.schema, [message("a", "1")])


async def test_waves_name_no_key_and_no_transaction_twice(database: Database) -> None:
    await say(database, message("a", "1"), message("b", "1"))
    await say(database, message("b", "2"))
    await say(database, message("c", "1"))
    rows = await database.fetch("SELECT *, xid::text FROM outbox ORDER BY id")
    found = [[(message_of(row).key, message_of(row).value) for row in wave] for wave in waves(rows)]
    assert found == [[(b"a", b"1")], [(b"b", b"1")], [(b"b", b"2"), (b"c", b"1")]]


async def test_schemas_have_relays_of_their_own(database: Database, log: FailingLog, postgres_dsn: Callable[[Role], str]) -> None:
    admin = await asyncpg.connect(postgres_dsn("sluice_admin"))
    await admin.execute("CREATE SCHEMA beside; GRANT ALL ON SCHEMA beside TO catalog")
    other = await open_pool(postgres_dsn("catalog"), schema="beside", migrations=(OUTBOX,))
    async with running(database, log), running(other, log):
        await say(database, message("a", "1"))
        await say(other, message("b", "1"))
        assert sorted(await published(log, 2)) == [("a", "1"), ("b", "1")]
    await other.close()
    await admin.execute("DROP SCHEMA beside CASCADE")
    await admin.close()
