"""The member under pressure: it stops taking questions when too many are in hand, and lets go of those it loses."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from services.policy.adapters.stream.member import PolicyMember
from services.policy.application.decide import Decide
from shared.contracts.codec import encode
from shared.contracts.definitions import PolicyBinding
from shared.contracts.envelope import Envelope
from shared.contracts.topics import POLICY_REQUESTS, TOPICS, VERDICTS
from shared.flows.policy import Decision
from shared.kernel.clock import FixedClock
from shared.messaging import answering
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.definitions_projection import Definitions
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Record, TopicPartition
from tests.unit.policy.questions import NOW_US, SESSION, FakeSandbox, publish, question

PLACE = TopicPartition(POLICY_REQUESTS, 3)


class GatedSandbox(FakeSandbox):
    """Answers nothing until the gate is opened."""

    def __init__(self) -> None:
        super().__init__(lambda _: Decision(passing=True))
        self.gate = asyncio.Event()

    async def evaluate(self, *given: object) -> Decision:
        await self.gate.wait()
        return Decision(passing=True)


class FakeMembership:
    """Notes what the member does with its hold on the group."""

    failure = None

    def __init__(self) -> None:
        self.notes: list[object] = []

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.notes.append(dict(offsets))

    async def committed(self, place: TopicPartition) -> int | None:
        return None

    def pause(self, partitions: frozenset[int]) -> None:
        self.notes.append(("pause", partitions))

    def resume(self, partitions: frozenset[int]) -> None:
        self.notes.append(("resume", partitions))

    def heartbeat_age(self) -> float:
        return 0.0

    async def leave(self) -> None:
        self.notes.append("leave")


class World:
    def __init__(self, log: EmbeddedLog) -> None:
        self.log = log
        self.sandbox = GatedSandbox()
        definitions, clock = Definitions(), FixedClock(NOW_US)
        self.binding = PolicyBinding(pk="b", order=0, policy=publish(definitions, "expression", {"expression": "return True"}))
        self.member = PolicyMember(log, Decide(definitions, self.sandbox, clock), DeadLetters(log, "policy", clock), clock)
        self.membership = self.member.membership = FakeMembership()

    def record(self, offset: int) -> Record:
        body = question(self.binding, request=f"request-{offset}", deadline_us=NOW_US + 60_000_000)
        headers, value = encode(Envelope(body.request, body.wire_type, 1, "executor", SESSION, NOW_US), body)
        return Record(POLICY_REQUESTS, 3, offset, 0, SESSION.encode(), value, headers)

    async def answers(self) -> int:
        return (await self.log.bounds(TopicPartition(VERDICTS, 3)))[1]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    log = await EmbeddedLog.open(TOPICS)
    yield World(log)
    await log.close()


async def test_pauses_with_too_many_questions_in_hand_and_goes_on_once_half_are_answered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "IN_HAND", 2)
    await world.member.assigned(frozenset({3}))
    await world.member.handle([world.record(0), world.record(1)])
    assert world.membership.notes == []
    await world.member.handle([world.record(2)])
    assert world.membership.notes == [("pause", frozenset({3}))]
    world.sandbox.gate.set()
    await world.member.drain(60.0)
    assert world.membership.notes == [("pause", frozenset({3})), ("resume", frozenset({3}))]
    assert await world.answers() == 3


async def test_commits_only_up_to_the_first_question_that_is_not_answered(world: World) -> None:
    await world.member.assigned(frozenset({3}))
    await world.member.handle([world.record(5)])
    await world.member.commit()
    assert world.membership.notes == []
    world.sandbox.gate.set()
    await world.member.drain(60.0)
    await world.member.commit()
    assert world.membership.notes == [{PLACE: 6}]


async def test_answers_the_questions_of_a_partition_that_it_keeps_and_commits_them(world: World) -> None:
    await world.member.assigned(frozenset({3, 4}))
    await world.member.handle([world.record(0), world.record(1)])
    await world.member.halted()
    await world.member.kept(frozenset({3}))
    world.sandbox.gate.set()
    await world.member.drain(60.0)
    await world.member.commit()
    assert world.membership.notes == [{PLACE: 2}]
    assert {place.partition for place in world.member.held()} == {3}
    assert await world.answers() == 2


async def test_drops_the_questions_of_a_partition_that_it_loses_and_commits_none_of_them(world: World) -> None:
    await world.member.assigned(frozenset({3}))
    await world.member.handle([world.record(0), world.record(1)])
    await world.member.halted()
    await world.member.kept(frozenset())
    world.sandbox.gate.set()
    await world.member.drain(60.0)
    assert world.membership.notes == []
    assert world.member.held() == ()
    assert await world.answers() == 0
