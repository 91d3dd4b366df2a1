"""What a worker does when something goes wrong that is nobody's turn to be away: no step is lost, nothing waits for ever."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from services.executor.common.ports import OrderKey
from services.executor.sessions import catching_up
from shared.contracts import topics
from shared.contracts.orders import OrderResult
from shared.kernel.ids import new_session_id
from shared.messaging.log import TopicPartition
from tests.fixtures_patience import PATIENT_S
from tests.unit.executor.test_one_history import at_the_password
from tests.unit.executor.test_steps import log_in
from tests.unit.executor.world import FakeDirectory, World

STEPS = TopicPartition(topics.STEPS, 3)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_step_that_breaks_something_is_answered_and_holds_nothing_up() -> None:
    async with World() as world:
        browser = world.browser()
        await browser.get()
        world.directory.fail = RuntimeError("a defect")
        bad = browser.compose("answer", "login", {"uid_field": "alice"})
        behind = browser.compose("state", "login", None)
        replies = await asyncio.gather(world.ask(bad), world.ask(behind))
        assert [reply.outcome for reply in replies] == ["unavailable", "current"]
        assert replies[0].reason == "E_UNEXPECTED"
        world.directory.fail = None
        await log_in(world.browser())
        worker = world.workers[0]
        _, end = await world.log.bounds(STEPS)
        await until(lambda: worker.mark(STEPS) == end)
        assert (await world.log.bounds(TopicPartition(topics.DEAD_LETTERS, 0)))[1] == 1


class BreaksOrders(FakeDirectory):
    async def perform(self, key: OrderKey, orders: Any) -> list[OrderResult]:
        raise RuntimeError("a defect")


async def test_orders_that_break_something_count_as_refused() -> None:
    world = World()
    world.directory = BreaksOrders()
    async with world:
        browser = await at_the_password(world)
        step = browser.compose("answer", "login", {"password": "secret"})
        for _ in range(2):
            reply = await world.ask(step)
            assert reply.login is None and reply.session_over


async def test_steps_wait_while_the_group_has_not_heard_of_us_and_go_on_after() -> None:
    async with World() as world:
        browser = world.browser()
        await browser.get()
        worker, age = world.workers[0], 10.0
        membership = worker._membership
        assert membership
        membership.heartbeat_age = lambda: age  # type: ignore[method-assign]
        asking = asyncio.create_task(browser.post({"uid_field": "alice"}))
        await asyncio.sleep(0.3)
        assert not asking.done()
        age = 0.0
        assert (await asking).advanced
        _, end = await world.log.bounds(STEPS)
        await until(lambda: worker.mark(STEPS) == end)


async def test_orders_that_wait_while_the_group_has_not_heard_of_us_are_done_after() -> None:
    async with World() as world:
        browser = await at_the_password(world)
        worker, age = world.workers[0], 0.0
        membership = worker._membership
        assert membership
        membership.heartbeat_age = lambda: age  # type: ignore[method-assign]
        world.directory.away_for_orders = 3
        step = browser.compose("answer", "login", {"password": "secret"})
        asking = asyncio.create_task(world.ask(step))
        await until(lambda: world.directory.away_for_orders < 3)
        age = 10.0
        await asyncio.sleep(0.3)
        age = 0.0
        assert (await asking).login
        assert len(world.directory.performed) == 1


async def test_a_step_of_an_unknown_session_makes_the_owner_read_on_before_it_refuses() -> None:
    async with World() as world:
        session, looked = new_session_id(3), 0
        await world.browser().get()
        bounds = world.log.bounds

        async def counted(place: TopicPartition) -> tuple[int, int]:
            nonlocal looked
            looked += place.topic == topics.SESSIONS
            return await bounds(place)

        world.log.bounds = counted  # type: ignore[method-assign]
        browser = world.browser()
        browser.session, browser.rotation = session, 1
        reply = await browser.get()
        assert reply.session_over and looked == 1


async def test_what_ends_a_transaction_is_nothing_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker's mark stands at the end of the partition, takes an offset, and is never read."""
    monkeypatch.setattr(catching_up, "CATCH_UP_S", 0.05)
    async with World() as world:
        await world.browser().get()
        bounds = world.log.bounds

        async def with_a_mark(place: TopicPartition) -> tuple[int, int]:
            first, end = await bounds(place)
            return first, end + (place.topic == topics.SESSIONS)

        world.log.bounds = with_a_mark  # type: ignore[method-assign]
        browser = world.browser()
        browser.session, browser.rotation = new_session_id(3), 1
        reply = await browser.get()
        assert (reply.outcome, reply.session_over) == ("refused", True)
