"""A worker that slept is ready once the group has confirmed that it is its member, and what it owns is taken over (architecture §4.1)."""

import asyncio
from typing import Any

import pytest

from services.executor.sessions.worker import STALE_S, Worker
from tests.unit.executor.test_trouble import until
from tests.unit.executor.world import World

EVERYTHING = frozenset(range(12))


class Silent:
    """A membership of which the group was last heard so long ago."""

    def __init__(self, membership: Any, age_s: float) -> None:
        self._membership = membership
        self.age_s = age_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._membership, name)

    def heartbeat_age(self) -> float:
        return self.age_s


def falls_silent(worker: Worker, age_s: float) -> Silent:
    silent = Silent(worker._membership, age_s)
    worker._membership = silent
    return silent


@pytest.mark.parametrize("age_s", [STALE_S, 10.0, 36_000.0])
async def test_it_is_not_ready_before_the_group_is_heard_of_again(age_s: float) -> None:
    async with World() as world:
        worker = world.workers[0]
        await until(lambda: worker.caught_up)
        silent = falls_silent(worker, age_s)
        assert not worker.caught_up
        silent.age_s = 0.1
        assert worker.caught_up, "it was its member all the time"


async def test_one_that_was_forgotten_is_ready_once_it_has_taken_over_again() -> None:
    async with World() as world:
        worker = world.workers[0]
        await until(lambda: worker.caught_up)
        silent = falls_silent(worker, 10.0)
        await worker.halted()
        await worker.kept(frozenset())
        silent.age_s = 0.1
        assert not worker.caught_up
        await worker.assigned(EVERYTHING)
        assert worker.caught_up


@pytest.mark.parametrize("kept", [1, 6, 11, 12])
async def test_one_that_keeps_some_stays_ready(kept: int) -> None:
    async with World() as world:
        worker = world.workers[0]
        await until(lambda: worker.caught_up)
        await worker.halted()
        await worker.kept(frozenset(range(kept)))
        assert worker.caught_up
        assert {place.partition for place in worker.held()} == set(range(kept))


async def test_what_it_owns_writes_nothing_from_halting_to_keeping() -> None:
    async with World() as world:
        worker, browser = world.workers[0], world.browser()
        await browser.post({"uid_field": "alice"})
        await worker.halted()
        asking = asyncio.create_task(browser.post({"password": "secret"}))
        for _ in range(50):
            await asyncio.sleep(0.002)
        assert not asking.done()
        assert len(await world.history(browser.session)) == 1
        await worker.kept(EVERYTHING)
        assert (await asking).login
        assert len(world.directory.performed) == 1
