"""Epoch keys: told before they are used, shared by all workers, gone after a quarter of an hour."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.executor.common.sealing import seal
from services.executor.directory.epoch_keys import EpochKeys
from services.executor.directory.events import revocations_told
from services.executor.edge.revocations import RevocationTail
from services.executor.edge.sealing_keys import SealingKeys
from shared.contracts.directory import KeyPublished
from shared.contracts.errors import BadSeal
from shared.contracts.people import LoginClaims
from shared.contracts.steps import Sealed
from shared.contracts.topics import TOPICS
from shared.kernel.clock import SystemClock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.embedded.log import EmbeddedLog
from shared.postgres.relay import Relay
from tests.fixtures_patience import PATIENT_S
from tests.integration.directory.conftest import People

SECRET = b"s" * 32


def sealed_to(key: KeyPublished) -> Sealed:
    return seal(key.public, key.epoch, "07.session", "command", b'{"password": "canary-5512"}')


@pytest.fixture
async def log(people: People) -> AsyncIterator[EmbeddedLog]:
    log = await EmbeddedLog.open(TOPICS, None)
    relay = asyncio.create_task(Relay(people.database, log, SystemClock()).run())
    yield log
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    await log.close()


async def test_any_worker_opens_what_was_sealed_to_a_told_key(people: People) -> None:
    first, second = (EpochKeys(people.database, SECRET, people.clock) for _ in range(2))
    await first.renew()
    (key,) = await people.said(KeyPublished)
    for worker in (first, second):
        assert await worker.open(sealed_to(key), "07.session", "command") == b'{"password": "canary-5512"}'
    for session, command in (("07.other", "command"), ("07.session", "other")):
        with pytest.raises(BadSeal):
            await second.open(sealed_to(key), session, command)


async def test_a_key_is_made_every_five_minutes_by_one_worker(people: People) -> None:
    workers = [EpochKeys(people.database, SECRET, people.clock) for _ in range(4)]
    await asyncio.gather(*(worker.renew() for worker in workers))
    people.clock.advance(299)
    await asyncio.gather(*(worker.renew() for worker in workers))
    assert len(await people.said(KeyPublished)) == 1
    people.clock.advance(2)
    await asyncio.gather(*(worker.renew() for worker in workers))
    assert len(await people.said(KeyPublished)) == 2


async def test_a_key_is_destroyed_after_a_quarter_of_an_hour(people: People) -> None:
    worker, other = (EpochKeys(people.database, SECRET, people.clock) for _ in range(2))
    await worker.renew()
    (key,) = await people.said(KeyPublished)
    box = sealed_to(key)
    people.clock.advance(899)
    await worker.renew()
    assert await worker.open(box, "07.session", "command")
    people.clock.advance(2)
    for opener in (worker, other):
        with pytest.raises(BadSeal):
            await opener.open(box, "07.session", "command")
    await worker.renew()
    rows = await people.database.fetch("SELECT epoch FROM epoch_keys")
    assert key.epoch not in [row["epoch"] for row in rows]
    assert worker._privates == {}


async def test_the_private_half_is_nowhere_in_the_clear_and_needs_the_secret_key(people: People) -> None:
    worker = EpochKeys(people.database, SECRET, people.clock)
    await worker.renew()
    (key,) = await people.said(KeyPublished)
    await worker.open(sealed_to(key), "07.session", "command")
    private = worker._privates[key.epoch].key.private_bytes_raw()
    (row,) = await people.database.fetch("SELECT wrapped FROM epoch_keys")
    assert private not in row["wrapped"]
    with pytest.raises(BadSeal):
        await EpochKeys(people.database, b"t" * 32, people.clock).open(sealed_to(key), "07.session", "command")


async def test_an_epoch_that_nobody_knows_is_asked_for_once(people: People) -> None:
    worker = EpochKeys(people.database, SECRET, people.clock)
    box = Sealed(epoch="unknown", box=b"x" * 100)
    with pytest.raises(BadSeal):
        await worker.open(box, "07.session", "command")
    await people.database.close()
    with pytest.raises(BadSeal):
        await worker.open(box, "07.session", "command")


async def test_edges_seal_to_the_newest_key_that_is_not_over(people: People, log: EmbeddedLog) -> None:
    keys = SealingKeys(log, DeadLetters(log, "executor", people.clock), people.clock)
    await keys.start()
    assert keys.current() is None
    worker = EpochKeys(people.database, SECRET, people.clock)
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(PATIENT_S):
        while (first := keys.current()) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    running.cancel()
    people.clock.advance(301)
    await worker.renew()
    async with asyncio.timeout(PATIENT_S):
        while (second := keys.current()) == first:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert second is not None
    assert await worker.open(sealed_to(second), "07.session", "command")
    people.clock.advance(601)
    assert keys.current() is None
    await keys.stop()


async def test_an_edge_hears_that_a_login_or_a_user_is_over(people: People, log: EmbeddedLog) -> None:
    tail = RevocationTail(log, DeadLetters(log, "executor", people.clock), people.clock)
    await tail.start()

    def claims(login: str, user: int, epoch: int) -> LoginClaims:
        return LoginClaims(
            login=login, user=user, uid="", username="", methods=(), at_us=0, expires_us=None, persistent=False, epoch=epoch
        )  # fmt: skip

    async def revoked(login: str, user: int, epoch: int) -> bool:
        async with asyncio.timeout(PATIENT_S):
            while not tail.is_revoked(claims(login, user, epoch)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return True

    alice, bob = await people.make(), await people.make("bob")
    await people.log_in(alice.facts, "first")
    await people.log_in(alice.facts, "second", replaces="first")
    assert await revoked("first", alice.pk, 0)
    assert not tail.is_revoked(claims("second", alice.pk, 0))
    await people.users.set_password(bob.pk, "new")
    assert await revoked("any", bob.pk, 0)
    assert not tail.is_revoked(claims("any", bob.pk, 1))
    assert tail.age() < 5
    people.clock.advance(6)
    assert tail.age() > 5, "the log answers, but nobody says that it has everything"
    await log.append(revocations_told(people.clock.now_us()))
    async with asyncio.timeout(PATIENT_S):
        while tail.age() > 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    people.clock.advance(3700)
    await people.users.set_password(alice.pk, "new")
    assert await revoked("second", alice.pk, 0)
    assert not tail.is_revoked(claims("any", bob.pk, 0)), "what is an hour old is looked up, not remembered"
    assert tail.failure is None
    await tail.stop()
