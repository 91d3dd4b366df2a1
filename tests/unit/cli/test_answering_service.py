"""Planner and policy as a service: they answer once they know the definitions, however long that takes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.contracts.topics import DEFINITIONS, POLICY_REQUESTS, TOPICS
from shared.kernel.clock import SystemClock
from shared.messaging.answering import AnsweringMember, Work
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Record
from shared.messaging.projection import Projection
from shared.runtime.answering_service import AnsweringService

WAIT_S = 30.0


class Silent(AnsweringMember):
    """A member with nothing to say."""

    reads = (POLICY_REQUESTS,)

    def work(self, record: Record) -> Work | None:
        return None


class Late(Projection):
    """Definitions that are read when the test says so."""

    async def start(self) -> None: ...


@pytest.fixture
async def log() -> AsyncIterator[EmbeddedLog]:
    log = await EmbeddedLog.open(TOPICS)
    yield log
    await log.close()


async def test_it_joins_its_group_only_when_the_definitions_are_read(log: EmbeddedLog) -> None:
    clock = SystemClock()
    dead_letters = DeadLetters(log, "policy", clock)
    definitions, member = Late(log, DEFINITIONS, lambda _: None, dead_letters, clock), Silent(dead_letters, clock, lambda _: None)
    service = AnsweringService("policy", log, definitions, member)
    await service.start()
    await asyncio.sleep(0.05)
    assert service.readiness() == {"caught_up": False, "log": False}
    assert (member.membership, service.failure) == (None, None)
    definitions.ready.set()
    async with asyncio.timeout(WAIT_S):
        while not all(service.readiness().values()):  # noqa: ASYNC110 - readiness has no event
            await asyncio.sleep(0.01)
    await service.stop()
    assert service.readiness()["log"] is False


async def test_it_stops_though_it_was_never_started(log: EmbeddedLog) -> None:
    clock = SystemClock()
    dead_letters = DeadLetters(log, "policy", clock)
    service = AnsweringService(
        "policy", log, Projection(log, DEFINITIONS, lambda _: None, dead_letters, clock), Silent(dead_letters, clock, lambda _: None)
    )
    await service.stop()
    assert service.failure is None
