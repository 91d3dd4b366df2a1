"""What is published of a session never runs ahead of the orders that its transitions gave."""

import asyncio
from typing import Any

from shared.contracts import topics
from shared.messaging.log import LogUnavailable, Message, TopicPartition
from tests.fixtures_patience import PATIENT_S
from tests.unit.executor.test_one_history import at_the_password
from tests.unit.executor.test_trouble import until
from tests.unit.executor.world import World


class StatesAway:
    """A log that takes no states as long as `away` is set."""

    def __init__(self, log: Any, away: asyncio.Event) -> None:
        self._log = log
        self._away = away

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, message: Message) -> int:
        if message.topic == topics.STATE and self._away.is_set():
            raise LogUnavailable("away")
        offset: int = await self._log.append(message)
        return offset


async def test_a_state_that_is_written_late_does_not_hide_orders_that_are_not_done() -> None:
    async with World(workers=0) as world:
        away = asyncio.Event()
        away.set()
        await world.add_worker(lambda log: StatesAway(log, away))
        browser = await at_the_password(world)
        world.directory.away_for_orders = 1000
        step = browser.compose("answer", "login", {"password": "secret"})
        asking = asyncio.create_task(world.ask(step))
        await until(lambda: world.directory.away_for_orders < 1000)
        away.clear()
        place = TopicPartition(topics.STATE, 3)
        async with asyncio.timeout(PATIENT_S):
            while not (await world.log.bounds(place))[1]:  # noqa: ASYNC110 -- until the state before the login is written
                await asyncio.sleep(0.005)
        await world.workers.pop().stop()
        world.directory.away_for_orders = 0
        await world.add_worker()
        assert (await asking).login
        assert len(world.directory.performed) == 1
