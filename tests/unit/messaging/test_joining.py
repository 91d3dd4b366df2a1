"""A membership that failed is joined anew, and left in order at the end."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from shared.contracts.topics import TOPICS, VERDICTS
from shared.messaging import joining
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import LogClosed, Membership, Message, Record, TopicPartition
from tests.fixtures_patience import PATIENT_S


class Fragile:
    def __init__(self) -> None:
        self.memberships: list[Membership] = []
        self.values: list[bytes | None] = []
        self.events: list[str] = []
        self.seen = asyncio.Event()

    def joined(self, membership: Membership) -> None:
        self.memberships.append(membership)

    async def assigned(self, partitions: frozenset[int]) -> None:
        assert self.memberships
        self.events.append("assigned")

    async def halted(self) -> None:
        self.events.append("halted")

    async def kept(self, partitions: frozenset[int]) -> None:
        pass

    async def handle(self, records: Sequence[Record]) -> None:
        if len(self.memberships) == 1:
            raise ValueError
        self.values += [record.value for record in records]
        self.seen.set()


@pytest.fixture
async def log() -> AsyncIterator[EmbeddedLog]:
    log = await EmbeddedLog.open(TOPICS)
    yield log
    await log.close()


async def test_what_a_failed_membership_left_comes_to_the_next(log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "FIRST_PAUSE_S", 0.01)
    member = Fragile()
    task = asyncio.create_task(joining.stay_joined(log, "g", [VERDICTS], member))
    await log.append(Message(VERDICTS, 2, b"k", b"v"))
    await asyncio.wait_for(member.seen.wait(), PATIENT_S)
    assert member.values == [b"v"]
    membership, place = member.memberships[-1], TopicPartition(VERDICTS, 2)
    assert not await membership.committed(place)
    await membership.commit({place: 1})
    assert await membership.committed(place) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert member.events == ["assigned", "assigned", "halted"]


async def test_a_closed_log_ends_it(log: EmbeddedLog) -> None:
    member = Fragile()
    task = asyncio.create_task(joining.stay_joined(log, "g", [VERDICTS], member))
    async with asyncio.timeout(PATIENT_S):
        while "assigned" not in member.events:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)
    await log.close()
    with pytest.raises(LogClosed):
        await asyncio.wait_for(task, PATIENT_S)
    with pytest.raises(LogClosed):
        await joining.stay_joined(log, "g", [VERDICTS], member)
