"""A state that comes to stand in the log late takes no newer one's place, whoever wrote it (architecture §4.6).

`executor.state` is compacted: of two records with one key the later one stays, at any time. So a late record may not have the key of
a newer one, or its session falls back.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from services.executor.common.ports import Remembered
from services.executor.sessions import ownership
from services.executor.sessions.journal import Journal
from services.executor.sessions.states import SessionStates
from services.executor.sessions.takeover import take_over
from services.executor.sessions.worker import Worker
from shared.contracts import topics
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import LogUnavailable, Message, Record, TopicPartition
from shared.messaging.offsets import LowWater
from tests.unit.executor.test_trouble import until
from tests.unit.executor.world import Browser, World

PLACE = TopicPartition(topics.STATE, 3)
TWO_PASSWORDS = [{"uid_field": "alice"}, {"password": "wrong"}, {"password": "wrong, too"}, {"password": "secret"}]


@pytest.fixture(autouse=True)
def nobody_waits_long_for_who_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "HALT_S", 0.02)


class Sleeping:
    """The log of a process that sleeps: its states lie in the producer, and are sent when it wakes. Nobody waits for them by then."""

    def __init__(self, log: Any, tells: Callable[[], bool] = lambda: True) -> None:
        self._log = log
        self._tells = tells
        self.held: list[Message] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, message: Message) -> int:
        if message.topic == topics.STATE and self._tells():
            self.held.append(message)
            await asyncio.Event().wait()
        offset: int = await self._log.append(message)
        return offset

    async def wake(self) -> None:
        for message in self.held:
            await self._log.append(message)


class Unacknowledged(Sleeping):
    """One whose first state is not acknowledged, and sent at a later time by a producer that was replaced."""

    async def append(self, message: Message) -> int:
        if message.topic == topics.STATE and message.value and not self.held:
            self.held.append(message)
            raise LogUnavailable("not acknowledged")
        offset: int = await self._log.append(message)
        return offset


async def states_of(world: World) -> list[Record]:
    return [record async for batch in world.log.read(PLACE, *await world.log.bounds(PLACE)) for record in batch]


async def compacted(world: World) -> list[Record]:
    """What compaction may leave at any time: the last record of each key."""
    last = {record.key: record for record in await states_of(world)}
    return sorted((one for one in last.values() if one.value is not None), key=lambda one: one.offset)


class Compacted:
    """The log once it is compacted; everything of its sessions is done, and their history before that is of no use."""

    def __init__(self, world: World, left: Sequence[Record]) -> None:
        self._world = world
        self._left = left

    async def bounds(self, place: TopicPartition) -> tuple[int, int]:
        return await self._world.log.bounds(place)

    async def read(self, place: TopicPartition, start: int, end: int) -> Any:
        assert place == PLACE or start == end, "all of the history is done"
        if place == PLACE:
            yield self._left


async def found_by_the_next_owner(world: World) -> SessionStates:
    states = SessionStates()
    sessions = TopicPartition(topics.SESSIONS, 3)
    _, end = await world.log.bounds(sessions)
    journal = Journal(world.log, sessions, states, lambda *_: None, LowWater())
    letters = DeadLetters(world.log, "executor", world.clock)
    await take_over(Compacted(world, await compacted(world)), 3, end, Remembered(), states, journal, letters, 0)  # type: ignore[arg-type]
    return states


async def state_is_written(world: World, browser: Browser, version: int) -> None:
    async def there() -> bool:
        return (await found_by_the_next_owner(world)).get(browser.session).version == version

    async with asyncio.timeout(60):
        while not await there():  # noqa: ASYNC110 -- nothing tells of it
            await asyncio.sleep(0.005)


async def gone(worker: Worker, world: World) -> None:
    """The group gives its partitions to somebody else."""
    world.workers.remove(worker)
    await worker.stop()


@pytest.mark.parametrize("late", [1, 2, 3])
async def test_what_a_process_that_slept_writes_late_stands_beside_what_its_successor_wrote(late: int) -> None:
    async with World(workers=0) as world:
        browser, sleeping = world.browser(), None

        def falls_asleep(log: Any) -> Sleeping:
            nonlocal sleeping
            sleeping = Sleeping(log)
            return sleeping

        first = await world.add_worker(falls_asleep)
        for n, body in enumerate(TWO_PASSWORDS[:late], 1):
            await browser.post(body)
            await until(lambda: sleeping is not None and len(sleeping.held) >= 1)
            if n < late:
                await gone(first, world)
                first = await world.add_worker(lambda log: sleeping)
        await gone(first, world)
        await world.add_worker()
        for body in TWO_PASSWORDS[late:]:
            await browser.post(body)
        version = browser.shown["login"].version
        await state_is_written(world, browser, version)
        assert sleeping is not None and sleeping.held
        await sleeping.wake()
        assert (await found_by_the_next_owner(world)).get(browser.session).version == version


async def test_two_sleep_one_after_the_other_and_wake_in_the_other_order() -> None:
    async with World(workers=0) as world:
        browser, asleep = world.browser(), []

        def falls_asleep(log: Any) -> Sleeping:
            asleep.append(Sleeping(log))
            return asleep[-1]

        for body in TWO_PASSWORDS[:2]:
            worker = await world.add_worker(falls_asleep)
            await browser.post(body)
            await until(lambda: bool(asleep[-1].held))
            await gone(worker, world)
        await world.add_worker()
        for body in TWO_PASSWORDS[2:]:
            await browser.post(body)
        version = browser.shown["login"].version
        await state_is_written(world, browser, version)
        for one in reversed(asleep):
            await one.wake()
        assert (await found_by_the_next_owner(world)).get(browser.session).version == version


async def test_a_state_of_our_own_that_was_not_acknowledged_may_come_late_too() -> None:
    async with World(workers=0) as world:
        browser, logs = world.browser(), []

        def unsure(log: Any) -> Unacknowledged:
            logs.append(Unacknowledged(log))
            return logs[-1]

        await world.add_worker(unsure)
        for body in TWO_PASSWORDS:
            await browser.post(body)
        version = browser.shown["login"].version
        await state_is_written(world, browser, version)
        await logs[0].wake()
        assert (await found_by_the_next_owner(world)).get(browser.session).version == version


async def test_compaction_leaves_one_record_of_a_session_however_many_owned_it() -> None:
    async with World() as world:
        browser, idle = world.browser(), world.browser()
        await idle.post(TWO_PASSWORDS[0])
        for n, body in enumerate(TWO_PASSWORDS, 1):
            await browser.post(body)
            await state_is_written(world, browser, n)
            await gone(world.workers[0], world)
            await world.add_worker()
        left = await compacted(world)
        assert len({record.key for record in await states_of(world)}) == len(TWO_PASSWORDS) + 1
        assert sorted(record.key.decode().split("/")[0] for record in left if record.key) == sorted([browser.session, idle.session])


class RemovesNothing(Sleeping):
    """A log that takes no tombstone as long as `away`."""

    away = True

    async def append(self, message: Message) -> int:
        if message.topic == topics.STATE and message.value is None and self.away:
            raise LogUnavailable("away")
        offset: int = await self._log.append(message)
        return offset


async def test_what_could_not_be_removed_is_removed_after_the_next_state() -> None:
    async with World() as world:
        browser, logs = world.browser(), []
        await browser.post(TWO_PASSWORDS[0])
        await state_is_written(world, browser, 1)
        await gone(world.workers[0], world)

        def removes_nothing(log: Any) -> RemovesNothing:
            logs.append(RemovesNothing(log))
            return logs[-1]

        await world.add_worker(removes_nothing)
        await browser.post(TWO_PASSWORDS[1])
        await state_is_written(world, browser, 2)
        assert len(await compacted(world)) == 2
        logs[0].away = False
        await browser.post(TWO_PASSWORDS[2])
        async with asyncio.timeout(60):
            while len(await compacted(world)) > 1:  # noqa: ASYNC110 -- nothing tells of it
                await asyncio.sleep(0.005)
        assert (await found_by_the_next_owner(world)).get(browser.session).version == 3
