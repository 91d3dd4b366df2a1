"""The lead of relays is a lease: whoever falls silent, in whatever way, has lost it within its seconds, and nothing stays unsaid."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest

from shared.kernel.clock import SystemClock
from shared.messaging.log import LogUnavailable, Message
from shared.postgres.lead import Lead
from shared.postgres.outbox import OUTBOX, said
from shared.postgres.pool import Database, open_pool
from shared.postgres.relay import Relay
from sluice.embedded_postgres.server import Role
from tests.fixtures_patience import PATIENT_S
from tests.integration.postgres_shared.test_relay import PLACE, TOPICS, FailingLog, emptied, leader, log, message, published, say
from tests.loopback import Loopback, by_wire, loopback, socket_of

__all__ = ["log"]
LEASE_S = 0.5


class Stuck(FailingLog):
    """A log whose answers stop coming, while `stuck`; `away`: it takes nothing."""

    stuck = away = False

    async def append(self, message: Message) -> int:
        if self.stuck:
            await asyncio.get_running_loop().create_future()
        if self.away:
            raise LogUnavailable
        return await super().append(message)


def word(at_us: int) -> Message:
    return Message("latest", 0, b"word", str(at_us).encode())


@asynccontextmanager
async def silently(relay: Relay) -> AsyncIterator[asyncio.Task[None]]:
    """A relay that does not end in good order: killed."""
    task = asyncio.create_task(relay.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def relay_of(database: Database, log: FailingLog, **given: object) -> Relay:
    return Relay(database, log, SystemClock(), lease_s=LEASE_S, topics=TOPICS, **given)  # type: ignore[arg-type]


@pytest.fixture
def wire(postgres_dsn: Callable[[Role], str]) -> Iterator[Loopback]:
    with loopback(socket_of(postgres_dsn("executor"))) as proxy:
        yield proxy


@pytest.fixture
async def far(wire: Loopback, postgres_dsn: Callable[[Role], str], postgres_schema: str) -> AsyncIterator[Database]:
    """The same schema, by a wire that a test may cut."""
    far = await open_pool(by_wire(postgres_dsn("executor"), wire.port), schema=postgres_schema, migrations=(OUTBOX,))
    yield far
    await far.close()


async def test_a_leader_whose_network_is_cut_without_a_word_is_succeeded(
    database: Database, far: Database, wire: Loopback, log: FailingLog
) -> None:
    async with silently(relay_of(far, log)):
        first = await leader(database)
        async with silently(relay_of(database, log)):
            wire.cut()
            await say(database, message("a", "1"))
            await emptied(database)
            assert await leader(database) != first
            wire.mend()
            await say(database, message("a", "2"))
            await emptied(database)
    assert (await published(log, 2))[-1] == ("a", "2")


async def test_a_leader_that_stands_still_in_an_append_is_succeeded(database: Database, log: FailingLog) -> None:
    stuck = await Stuck.open(TOPICS, None)
    assert isinstance(stuck, Stuck)
    stuck.stuck = True
    async with silently(relay_of(database, stuck)):
        await leader(database)
        await say(database, message("a", "1"))
        async with silently(relay_of(database, log)):
            assert await published(log, 1) == [("a", "1")]
    await stuck.close()


async def test_a_leader_that_was_killed_is_succeeded(database: Database, log: FailingLog) -> None:
    async with silently(relay_of(database, log)):
        first = await leader(database)
    await say(database, message("a", "1"))
    async with silently(relay_of(database, log)):
        assert await published(log, 1) == [("a", "1")]
        assert await leader(database) != first


async def test_a_leader_to_whom_the_log_does_not_listen_gives_way(database: Database, log: FailingLog) -> None:
    deaf = await Stuck.open(TOPICS, None)
    assert isinstance(deaf, Stuck)
    deaf.away = True
    async with silently(relay_of(database, deaf)):
        await say(database, message("a", "1"))
        await leader(database)
        async with silently(relay_of(database, log)):
            assert await published(log, 1) == [("a", "1")]
            await emptied(database)
    await deaf.close()


async def test_while_postgres_does_not_let_it_renew_nothing_is_published_and_afterwards_everything_is(
    database: Database, log: FailingLog, postgres_dsn: Callable[[Role], str]
) -> None:
    relay = relay_of(database, log)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(silently(relay))
        await leader(database)
        slow = await asyncpg.connect(postgres_dsn("executor"), server_settings={"search_path": database.schema})
        stack.push_async_callback(slow.close)
        await slow.execute("BEGIN; LOCK TABLE outbox_lead IN EXCLUSIVE MODE")
        await asyncio.sleep(2 * LEASE_S)
        await say(database, message("a", "1"))
        await asyncio.sleep(LEASE_S)
        assert (await log.bounds(PLACE))[1] == 0
        assert relay.age() > LEASE_S, "what waits is known by its age"
        await slow.execute("COMMIT")
        assert await published(log, 1) == [("a", "1")]


async def test_a_successor_says_again_what_was_said_in_the_last_minute_in_its_order(database: Database, log: FailingLog) -> None:
    async with silently(relay_of(database, log)):
        await say(database, message("a", "1"), message("b", "1"))
        await say(database, message("a", "2"))
        await emptied(database)
    await log.append(message("a", "1"))  # what the silent leader had under way comes late
    async with silently(relay_of(database, log)):
        found = await published(log, 7)
        await emptied(database)
    assert found[4:] == [("a", "1"), ("b", "1"), ("a", "2")]


async def test_after_a_leader_that_went_in_good_order_nothing_is_said_again(database: Database, log: FailingLog) -> None:
    first = relay_of(database, log)
    task = asyncio.create_task(first.run())
    await say(database, message("a", "1"))
    await emptied(database)
    await first.stop(PATIENT_S)
    await task
    async with silently(relay_of(database, log)):
        await say(database, message("b", "1"))
        await emptied(database)
    assert await published(log, 2) == [("a", "1"), ("b", "1")]
    assert (await log.bounds(PLACE))[1] == 2


async def test_what_is_committed_is_published_before_a_relay_stops(database: Database, log: FailingLog) -> None:
    relay = relay_of(database, log)
    task = asyncio.create_task(relay.run())
    await leader(database)
    for n in range(1200):
        await say(database, message(f"k{n}", "1"), wake=False)
    await relay.stop(PATIENT_S)
    await task
    assert (await log.bounds(PLACE))[1] == 1200


async def test_a_relay_that_never_ran_is_stopped_at_once(database: Database, log: FailingLog) -> None:
    await relay_of(database, log).stop(within_s=1e9)


async def test_a_relay_that_can_publish_nothing_stops_all_the_same(database: Database, log: FailingLog) -> None:
    deaf = await Stuck.open(TOPICS, None)
    assert isinstance(deaf, Stuck)
    deaf.away = True
    relay = relay_of(database, deaf)
    task = asyncio.create_task(relay.run())
    await say(database, message("a", "1"))
    await relay.stop(PATIENT_S)
    await task
    async with silently(relay_of(database, log)):
        assert await published(log, 1) == [("a", "1")]
    await deaf.close()


async def test_the_leader_says_that_nothing_older_waits_only_when_nothing_does(database: Database, log: FailingLog) -> None:
    async with silently(relay_of(database, log, word=word)):
        first = await published(log, 3)
        assert [key for key, _ in first] == ["word"] * 3
        times = [int(value or "") for _, value in first]
        assert times == sorted(times)
        before = await database.fetchrow("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS us")
        assert before is not None
        await say(database, message("a", "1"))
        await emptied(database)
        count = (await log.bounds(PLACE))[1]
        later = await published(log, count + 1)
    keys = [key for key, _ in later]
    spoken_before = [int(value or "") for key, value in later[: keys.index("a")] if key == "word"]
    assert all(at < before["us"] + 1_000_000 for at in spoken_before)


async def test_a_clock_that_was_set_back_makes_no_lease_longer(database: Database, log: FailingLog) -> None:
    await say(database, message("a", "1"))
    await database.execute("INSERT INTO outbox_lead (holder, until) VALUES ('dead', clock_timestamp() + interval '1 day')")
    async with silently(relay_of(database, log)):
        assert await published(log, 1) == [("a", "1")]


async def test_of_two_who_ask_at_once_one_has_the_lead(database: Database) -> None:
    async with AsyncExitStack() as stack:
        await database.prepare()
        connections = [await database.connect(limit_s=PATIENT_S, silent_s=PATIENT_S) for _ in range(8)]
        for one in connections:
            stack.push_async_callback(one.close)
        leads = [Lead(one, f"holder {n}", PATIENT_S, SystemClock()) for n, one in enumerate(connections)]
        taken = await asyncio.gather(*(lead.take() for lead in leads))
        assert sum(one is not None for one in taken) == 1
        assert [lead.held for lead in leads] == [one is not None for one in taken]
        (winner,) = [lead for lead in leads if lead.held]
        await winner.give_back(clean=True)
        assert not winner.held
        again = await leads[0].take()
        assert again is not None
        assert not again.succeeds


async def test_the_server_lets_go_of_a_relay_that_says_nothing(database: Database, postgres_dsn: Callable[[Role], str]) -> None:
    await database.prepare()
    connection = await database.connect(limit_s=1, silent_s=0.3)
    pid = connection.get_server_pid()
    async with asyncio.timeout(PATIENT_S):
        while await database.fetch("SELECT FROM pg_stat_activity WHERE pid = $1", pid):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.fetchval("SELECT 1")


async def test_a_transaction_of_somebody_who_stands_still_is_over_after_twice_its_time(
    postgres_dsn: Callable[[Role], str], database: Database
) -> None:
    await database.prepare()
    await database.execute("CREATE TABLE held (n integer); INSERT INTO held VALUES (1)")
    standing = await open_pool(postgres_dsn("executor"), schema=database.schema, limit_s=0.5)
    connection = await standing._pool.acquire()
    await connection.execute("BEGIN; SELECT FROM held FOR UPDATE")
    async with asyncio.timeout(PATIENT_S):
        await database.execute("UPDATE held SET n = 2")
    await standing.close()


async def test_whoever_waits_for_the_log_is_told_at_once_that_no_relay_runs(database: Database, log: FailingLog) -> None:
    await database.prepare()
    assert await said(database, 0), "nothing waits"
    await say(database, message("a", "1"))
    assert not await said(database, 1e9)
    async with silently(relay_of(database, log)):
        await leader(database)
        assert await said(database, PATIENT_S)
