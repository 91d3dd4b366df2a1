"""A record that cannot be handled costs itself: no worker ends over it, no partition waits, and it is told once."""

import asyncio
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from services.executor.sessions.session import evolve
from shared.contracts import topics
from shared.contracts.codec import Codec
from shared.contracts.failures import CODEC as FAILURES
from shared.contracts.failures import RecordRefused
from shared.kernel.ids import partition_of
from shared.messaging.log import Message, TopicPartition
from tests.unit.executor.test_set_aside import partition
from tests.unit.executor.test_steps import log_in
from tests.unit.executor.world import World

DEFECTS = [
    ZeroDivisionError(),
    RecursionError(),
    MemoryError(),
    KeyError("x"),
    TypeError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"),
]
MINE = b"spoilt"


async def told(world: World, topic: str) -> list[tuple[int, str]]:
    """Offset and reason of each dead letter of the topic, once none is under way."""
    await world.workers[0]._dead_letters.close()
    place = TopicPartition(topics.DEAD_LETTERS, 0)
    letters = [FAILURES.decode(record).body async for batch in world.log.read(place, *await world.log.bounds(place)) for record in batch]
    return [(one.offset, one.reason) for one in letters if isinstance(one, RecordRefused) and one.topic == topic]


async def spoil(world: World, topic: str, session: str) -> int:
    return await world.log.append(Message(topic, partition_of(session), MINE, b"\xc1", (("ce_type", b"x"),)))


async def taken_over(world: World) -> None:
    """One worker goes, another one comes and has read all."""
    await world.workers.pop().stop()
    worker = await world.add_worker()
    async with asyncio.timeout(30):
        while not worker.assigned_once:  # noqa: ASYNC110 - a worker tells nobody
            await asyncio.sleep(0.005)


def raising(defect: Exception) -> Callable[..., Any]:
    decode, unopened = Codec.decode, Codec.unopened

    def decoded(codec: Codec, record: Any, *limit: int) -> Any:
        if record.key == MINE:
            raise defect
        return decode(codec, record, *limit)

    def held(codec: Codec, record: Any) -> Any:
        if record.key == MINE:
            raise defect
        return unopened(codec, record)

    return lambda: patch.multiple(Codec, decode=decoded, unopened=held)


@pytest.mark.parametrize("topic", [topics.STEPS, topics.SESSIONS])
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda one: type(one).__name__)
async def test_a_mistake_of_ours_over_a_record_is_that_records(topic: str, defect: Exception) -> None:
    async with World() as world:
        browser = world.browser()
        await browser.post({"uid_field": "alice"})
        with raising(defect)():
            offset = await spoil(world, topic, browser.session)
            assert (await browser.post({"password": "secret"})).login
        assert world.workers[0].failure is None
        assert await told(world, topic) == [(offset, "E_UNEXPECTED")]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda one: type(one).__name__)
async def test_a_mistake_of_ours_over_a_state_keeps_nobody_from_taking_over(defect: Exception) -> None:
    async with World() as world:
        browser = world.browser()
        await browser.post({"uid_field": "alice"})
        offset = await spoil(world, topics.STATE, browser.session)
        await world.workers.pop().stop()
        with raising(defect)():
            await world.add_worker()
            assert (await browser.post({"password": "secret"})).login
        assert await told(world, topics.STATE) == [(offset, "E_UNEXPECTED")]


@pytest.mark.parametrize("topic", [topics.STATE, topics.SESSIONS])
async def test_what_every_new_owner_reads_is_told_once(topic: str) -> None:
    async with World() as world:
        browser = world.browser()
        await log_in(browser)
        offsets = [await spoil(world, topic, browser.session) for _ in range(3)]
        for _ in range(4):
            await taken_over(world)
        assert [offset for offset, _ in await told(world, topic)] == offsets
        another = await spoil(world, topic, browser.session)
        for _ in range(2):
            await taken_over(world)
        assert [offset for offset, _ in await told(world, topic)] == [*offsets, another]


async def test_poison_at_the_end_of_the_history_is_read_once() -> None:
    async with World() as world:
        browser = world.browser()
        await log_in(browser)
        offset = await spoil(world, topics.SESSIONS, browser.session)
        while not await told(world, topics.SESSIONS):
            await browser.get("login")
        await taken_over(world)
        membership = world.workers[0]._membership
        assert membership is not None
        assert await membership.committed(TopicPartition(topics.SESSIONS, partition_of(browser.session))) == offset + 1


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda one: type(one).__name__)
async def test_a_mistake_of_ours_over_a_transition_that_can_be_read_is_that_records(defect: Exception) -> None:
    """Its fold goes wrong, as over a true transition of a newer release: while it is read back, and at every takeover after that."""
    async with World() as world:
        browser, other = world.browser(), world.browser()
        await browser.post({"uid_field": "alice"})
        await world.workers.pop().stop()

        def spoilt(state: Any, envelope: Any, body: Any) -> Any:
            if body.session == browser.session:
                raise defect
            return evolve(state, envelope, body)

        partition(world, TopicPartition(topics.STATE, 3)).records.clear()
        world.set_aside.states[3] = 10**9  # so that all of the history is folded
        with patch("services.executor.sessions.journal.evolve", spoilt):
            for _ in range(2):
                await world.add_worker()
                await log_in(other)
                assert world.workers[0].failure is None
                await world.workers.pop().stop()
            await world.add_worker()
            assert [reason for _, reason in await told(world, topics.SESSIONS)] == ["E_UNEXPECTED"]
