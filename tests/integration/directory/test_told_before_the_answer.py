"""What ends a right is in the log before whoever asked for it is answered, while no relay works at all (architecture §4.4)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from services.executor.common.ports import OrderKey
from services.executor.directory.directory import PostgresDirectory
from services.executor.directory.epoch_keys import EpochKeys
from services.executor.directory.events import login_revoked
from services.executor.directory.stored import StoredUser
from services.executor.directory.telling import OUT_OF_TURN, at_once
from services.executor.directory.tokens import create_token
from services.executor.directory.users import Users
from shared.contracts.codec import Codec
from shared.contracts.directory import KEYS_CODEC, REVOCATIONS_CODEC, TOKENS_CODEC, KeyPublished, LoginRevoked, TokenChanged
from shared.contracts.model import Contract
from shared.contracts.orders import LogOut, Order
from shared.contracts.topics import DIRECTORY_EVENTS, KEYS, REVOCATIONS, TOKENS, TOPICS
from shared.kernel.clock import SystemClock
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import LogUnavailable, Message, TopicPartition
from shared.postgres.outbox import append
from shared.postgres.relay import Relay
from tests.fixtures_patience import PATIENT_S
from tests.integration.directory.conftest import SECRET, People

CODECS: dict[str, Codec] = {REVOCATIONS: REVOCATIONS_CODEC, TOKENS: TOKENS_CODEC, KEYS: KEYS_CODEC}


class Flaky(EmbeddedLog):
    """Takes nothing while it is away."""

    away = False

    async def append(self, message: Message) -> int:
        if self.away:
            raise LogUnavailable
        return await super().append(message)

    async def holds(self, topic: str) -> list[Contract]:
        place = TopicPartition(topic, 0)
        return [CODECS[topic].decode(one).body async for batch in self.read(place, *await self.bounds(place)) for one in batch]

    async def has_ended(self, user: int, login: str = "login-1", epoch: int = 0) -> bool:
        """Whether this login is over, as edges hear it."""
        told = [one for one in await self.holds(REVOCATIONS) if isinstance(one, LoginRevoked)]
        return any(one.login == login or (one.what == "user" and one.user == user and epoch < one.epoch) for one in told)


@pytest.fixture
async def log() -> AsyncIterator[Flaky]:
    log = await Flaky.open(TOPICS, None)
    assert isinstance(log, Flaky)
    yield log
    await log.close()


@pytest.fixture
def telling(people: People, log: Flaky) -> People:
    """People whose directory has a log to tell, and no relay."""
    directory = PostgresDirectory(people.database, people.hashes, people.clock, secret=SECRET, tell=at_once(log))
    return replace(people, directory=directory, users=Users(people.database, people.hashes, people.clock, at_once(log)))


async def perform(people: People, order: Order) -> bool:
    """Have it done under a key that is the same each time: the second time is the same transition again."""
    (result,) = await people.directory.perform(OrderKey("07.session", 90, "t90"), [order])
    return result.done


async def by_log_out(people: People, user: StoredUser) -> bool:
    return await perform(people, LogOut(login="login-1", user=user.pk, at_us=people.clock.now_us(), reason="logout"))


async def by_another_log_in(people: People, user: StoredUser) -> bool:
    return await perform(people, people.order(user.facts, "login-2", replaces="login-1"))


async def by_ending_all_others(people: People, user: StoredUser) -> bool:
    return await perform(people, people.order(user.facts, "login-2", terminate_others=True))


async def by_new_password(people: People, user: StoredUser) -> bool:
    return await people.users.set_password(user.pk, "another-pw")


async def by_disabling(people: People, user: StoredUser) -> bool:
    return await people.users.set_active(user.pk, active=False)


async def by_deleting(people: People, user: StoredUser) -> bool:
    return await people.users.delete(user.pk)


Ending = Callable[[People, StoredUser], Awaitable[bool]]
ENDINGS: tuple[Ending, ...] = (by_log_out, by_another_log_in, by_ending_all_others, by_new_password, by_disabling, by_deleting)


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_right_that_ends_is_told_before_the_answer(telling: People, log: Flaky, ending: Ending) -> None:
    alice = await telling.make()
    await telling.log_in(alice.facts)
    assert not await log.has_ended(alice.pk)
    assert await ending(telling, alice)
    assert await log.has_ended(alice.pk)


@pytest.mark.parametrize("ending", ENDINGS)
async def test_while_the_log_is_away_nobody_hears_that_it_is_done_and_who_asks_again_does_once_it_is_told(
    telling: People, log: Flaky, ending: Ending
) -> None:
    alice = await telling.make()
    await telling.log_in(alice.facts)
    log.away = True
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            await ending(telling, alice)
    log.away = False
    assert await ending(telling, alice) == (ending is not by_deleting), "who is deleted is not there the second time"
    assert await log.has_ended(alice.pk)


@pytest.mark.parametrize("ending", ENDINGS)
async def test_who_asks_again_behind_thousands_that_wait_is_told_no_sooner(telling: People, log: Flaky, ending: Ending) -> None:
    alice = await telling.make()
    await telling.log_in(alice.facts)
    async with telling.database.transaction() as connection:
        others = [login_revoked(f"other-{n}", 10**6, telling.clock.now_us(), "logout") for n in range(1200)]
        await append(connection, telling.database.schema, others)
    log.away = True
    with pytest.raises(LogUnavailable):
        await ending(telling, alice)
    log.away = False
    await ending(telling, alice)
    assert await log.has_ended(alice.pk)


@pytest.mark.parametrize("ending", [by_disabling, by_deleting])
async def test_tokens_that_end_are_told_before_the_answer(telling: People, log: Flaky, ending: Ending) -> None:
    alice = await telling.make()
    await create_token(telling.database, telling.clock, alice.pk, "ci")
    await ending(telling, alice)
    told = [one for one in await log.holds(TOKENS) if isinstance(one, TokenChanged)]
    assert [one.is_active for one in told] == [False]


async def test_of_a_token_the_newest_record_is_the_last_though_older_ones_were_still_to_come(telling: People, log: Flaky) -> None:
    alice = await telling.make()
    await create_token(telling.database, telling.clock, alice.pk, "ci")  # waits in the outbox
    await by_disabling(telling, alice)  # overtakes it
    relay = Relay(telling.database, log, SystemClock())
    running = asyncio.create_task(relay.run())
    await relay.stop(PATIENT_S)
    await running
    told = [one for one in await log.holds(TOKENS) if isinstance(one, TokenChanged)]
    assert told[-1].is_active is False
    assert told[-1].version == max(one.version for one in told)


async def test_nothing_else_is_said_out_of_turn(telling: People, log: Flaky) -> None:
    alice = await telling.make()
    await telling.log_in(alice.facts)
    for ending in (by_log_out, by_new_password, by_disabling, by_deleting):
        await ending(telling, alice)
    assert {topic for topic in TOPICS if (await log.bounds(TopicPartition(topic, 0)))[1]} <= OUT_OF_TURN
    assert (await log.bounds(TopicPartition(DIRECTORY_EVENTS, 0)))[1] == 0


async def test_a_new_epoch_key_is_told_by_its_maker(telling: People, log: Flaky) -> None:
    await EpochKeys(telling.database, SECRET, telling.clock, tell=at_once(log)).renew()
    assert len(await log.holds(KEYS)) == 1


async def test_a_key_that_its_maker_could_not_tell_is_told_by_any_worker(telling: People, log: Flaky) -> None:
    log.away = True
    with pytest.raises(LogUnavailable):
        await EpochKeys(telling.database, SECRET, telling.clock, tell=at_once(log)).renew()
    log.away = False
    other = asyncio.create_task(EpochKeys(telling.database, SECRET, telling.clock, tell=at_once(log)).run())
    async with asyncio.timeout(PATIENT_S):
        while len({one.epoch for one in await log.holds(KEYS) if isinstance(one, KeyPublished)}) < 2:  # noqa: ASYNC110 -- its own, and the untold
            await asyncio.sleep(0.01)
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)


async def test_a_broker_that_is_away_at_a_worker_s_start_gets_one_key_not_one_a_second(telling: People, log: Flaky) -> None:
    log.away = True
    worker = EpochKeys(telling.database, SECRET, telling.clock, age_s=1.0, tell=at_once(log))  # looks every 0.2 s
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(2)
    assert len(await telling.said(KeyPublished)) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
