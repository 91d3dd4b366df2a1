"""A compacted topic is read to its end, then followed, whatever stands in it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.contracts.errors import BadSyntax
from shared.contracts.topics import DEAD_LETTERS, STATE, TOKENS, TOPICS
from shared.kernel.clock import SystemClock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.embedded.subscription import EmbeddedTail
from shared.messaging.log import LogUnavailable, Message, Record, TopicPartition
from shared.messaging.projection import Projection
from tests.fixtures_patience import PATIENT_S


class Seen:
    def __init__(self) -> None:
        self.records: list[Record] = []
        self.changed = asyncio.Event()

    def apply(self, record: Record) -> None:
        if record.value == b"bad":
            raise BadSyntax
        if record.value == b"worse":
            raise KeyError("x")
        self.records.append(record)
        self.changed.set()

    @property
    def values(self) -> list[bytes | None]:
        return [record.value for record in self.records]


@pytest.fixture
async def log() -> AsyncIterator[EmbeddedLog]:
    log = await EmbeddedLog.open(TOPICS)
    yield log
    await log.close()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
async def projection(log: EmbeddedLog, seen: Seen) -> AsyncIterator[Projection]:
    clock = SystemClock()
    projection = Projection(log, TOKENS, seen.apply, DeadLetters(log, "edge", clock), clock)
    yield projection
    await projection.stop()


async def put(log: EmbeddedLog, value: bytes | None, key: bytes = b"k") -> None:
    await log.append(Message(TOKENS, 0, key, value))


async def test_ready_means_that_all_that_was_there_is_applied(log: EmbeddedLog, seen: Seen, projection: Projection) -> None:
    for value in (b"a", b"b", None):
        await put(log, value)
    await projection.start()
    await asyncio.wait_for(projection.ready.wait(), PATIENT_S)
    assert seen.values == [b"a", b"b", None]


async def test_it_follows(log: EmbeddedLog, seen: Seen, projection: Projection) -> None:
    await projection.start()
    await asyncio.wait_for(projection.ready.wait(), PATIENT_S)
    await put(log, b"a")
    await asyncio.wait_for(seen.changed.wait(), PATIENT_S)
    assert seen.values == [b"a"]
    assert projection.fetched_age() < PATIENT_S


async def test_an_emptied_topic_is_ready_at_once(log: EmbeddedLog, seen: Seen, projection: Projection) -> None:
    await put(log, b"a")
    log._partitions[TOKENS][0].keep([])
    await projection.start()
    await asyncio.wait_for(projection.ready.wait(), PATIENT_S)
    assert seen.values == []


async def test_bad_records_are_dead_lettered_and_passed(log: EmbeddedLog, seen: Seen, projection: Projection) -> None:
    for value in (b"a", b"bad", b"worse", b"b"):
        await put(log, value)
    await projection.start()
    await asyncio.wait_for(projection.ready.wait(), PATIENT_S)
    assert seen.values == [b"a", b"b"]
    await projection._dead_letters.close()
    assert await log.bounds(TopicPartition(DEAD_LETTERS, 0)) == (0, 2)
    assert projection.failure is None


async def test_all_partitions_are_read(log: EmbeddedLog, seen: Seen) -> None:
    clock = SystemClock()
    for number in range(12):
        await log.append(Message(STATE, number, b"k", b"%d" % number))
    projection = Projection(log, STATE, seen.apply, DeadLetters(log, "worker", clock), clock)
    await projection.start()
    await asyncio.wait_for(projection.ready.wait(), PATIENT_S)
    assert seen.values == [b"%d" % number for number in range(12)]
    await projection.stop()


async def test_a_closed_log_shows_as_failure(log: EmbeddedLog, projection: Projection) -> None:
    await projection.start()
    await asyncio.wait_for(projection.ready.wait(), PATIENT_S)
    await log.close()
    async with asyncio.timeout(PATIENT_S):
        while projection.failure is None:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)
    assert isinstance(projection.failure, LogUnavailable)
    assert projection.fetched_age() >= 0


async def test_a_tail_that_breaks_is_gone_on_with(
    log: EmbeddedLog, seen: Seen, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await projection.start()
    await asyncio.wait_for(projection.ready.wait(), PATIENT_S)
    await put(log, b"a")
    await asyncio.wait_for(seen.changed.wait(), PATIENT_S)
    seen.changed.clear()
    monkeypatch.setattr("shared.messaging.projection.RETRY_S", 0.01)
    tail = projection._tail
    assert isinstance(tail, EmbeddedTail)
    tail._subscription.close(LogUnavailable("for a moment"))
    await put(log, b"b")
    await asyncio.wait_for(seen.changed.wait(), PATIENT_S)
    assert seen.values == [b"a", b"b"]
    assert projection.failure is None
