"""A reply that a worker of the edge's own process hands over reaches who waits for it, as one that came by the log does."""

import asyncio

import pytest

from services.executor.edge.replies import Replies
from shared.contracts.steps import StepReplied
from shared.contracts.topics import REPLIES, TOPICS
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import TopicPartition


def reply(command: str, edge: str = "mine") -> StepReplied:
    return StepReplied(command=command, edge=edge, session="03.AAAAAAAAAAAAAAAAAAAAAA", outcome="current")


@pytest.fixture
async def log() -> EmbeddedLog:
    return await EmbeddedLog.open(TOPICS)


@pytest.fixture
async def replies(log: EmbeddedLog) -> Replies:
    made = Replies(log, "mine", 3, 10)
    await made.start()
    return made


async def test_who_waits_has_it_at_once_and_nothing_is_written(replies: Replies, log: EmbeddedLog) -> None:
    with replies.expect("c1") as first, replies.expect("c1") as again, replies.expect("c2") as other:
        assert replies.hand_over(reply("c1"))
        arrived = await first
        assert (arrived.reply, arrived.size) == (reply("c1"), None)
        assert (await again).reply == reply("c1")
        assert not other.done()
    assert await log.bounds(TopicPartition(REPLIES, 3)) == (0, 0)


async def test_another_edges_is_left_to_the_log(replies: Replies) -> None:
    with replies.expect("c1") as waiting:
        assert not replies.hand_over(reply("c1", edge="another"))
        assert not waiting.done()


async def test_one_that_nobody_waits_for_any_more_is_dropped(replies: Replies) -> None:
    assert replies.hand_over(reply("gone"))
    with replies.expect("c1") as waiting:
        waiting.cancel()
        assert replies.hand_over(reply("c1"))
    with replies.expect("c2") as waiting:
        assert replies.hand_over(reply("c2"))
        assert replies.hand_over(reply("c2").model_copy(update={"outcome": "accepted"}))
        assert (await asyncio.wait_for(waiting, 60)).reply.outcome == "current"
