"""A worker hands the replies to its own process's edge over, and writes those to all others (ADR 15)."""

import asyncio

from shared.contracts import topics
from shared.contracts.steps import StepReplied
from shared.messaging.log import TopicPartition
from tests.unit.executor.test_trouble import until
from tests.unit.executor.world import World

REPLIES = TopicPartition(topics.REPLIES, 0)


def taken(handed: list[StepReplied], reply: StepReplied) -> bool:
    handed.append(reply)
    return True


async def test_only_replies_to_other_edges_go_through_the_log() -> None:
    async with World(workers=0) as world:
        handed: list[StepReplied] = []
        worker = await world.add_worker(at_home=lambda reply: reply.edge == "home" and taken(handed, reply))
        await until(lambda: worker.caught_up)
        browser = world.browser()
        step = browser.compose("start", "login", None)
        await world.send(step.model_copy(update={"edge": "home"}))
        await until(lambda: bool(handed))
        assert (handed[0].command, handed[0].outcome) == (step.command, "offered")
        assert await world.log.bounds(REPLIES) == (0, 0)
        assert (await world.ask(browser.compose("start", "login", None))).outcome == "offered"
        assert await world.log.bounds(REPLIES) == (0, 1)
        assert len(handed) == 1


async def test_one_that_may_have_lost_its_partitions_hands_nothing_over() -> None:
    async with World(workers=0) as world:
        handed: list[StepReplied] = []
        worker = await world.add_worker(at_home=lambda reply: taken(handed, reply))
        await until(lambda: worker.caught_up)
        worker._ownership._free.clear()
        await world.send(world.browser().compose("start", "login", None))
        await asyncio.sleep(0.2)
        assert not handed
        worker._ownership.go_on()
        await until(lambda: bool(handed))
