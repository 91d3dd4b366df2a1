"""One partition is listened to from now on, whatever becomes of the log meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from shared.contracts.topics import DIRECTORY_EVENTS, TOPICS
from shared.messaging import listening
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.embedded.subscription import EmbeddedTail
from shared.messaging.listening import Listening
from shared.messaging.log import LogUnavailable, Message, Record, Refused, TopicPartition
from tests.fixtures_patience import PATIENT_S

PLACE = TopicPartition(DIRECTORY_EVENTS, 0)


class Breaking(EmbeddedLog):
    """Its tails can be broken; a log that is away has none."""

    away: Exception | None = None

    async def bounds(self, place: TopicPartition) -> tuple[int, int]:
        if self.away:
            raise self.away
        return await super().bounds(place)

    def tail(self, topic: str, positions: Mapping[int, int]) -> EmbeddedTail:
        if self.away:
            raise self.away
        self.last = super().tail(topic, positions)
        return self.last

    async def say(self, value: bytes) -> None:
        await self.append(Message(*PLACE, b"1", value))

    async def break_off(self) -> None:
        await self.last.close()


@pytest.fixture
async def log(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Breaking]:
    monkeypatch.setattr(listening, "RETRY_S", 0.01)
    log = await Breaking.open(TOPICS)
    assert isinstance(log, Breaking)
    yield log
    await log.close()


class Heard:
    def __init__(self) -> None:
        self.values: list[bytes | None] = []
        self.times_lost = 0

    def take(self, record: Record) -> None:
        self.values.append(record.value)

    def lost(self) -> None:
        self.times_lost += 1


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)


async def test_what_was_said_before_is_not_heard(log: Breaking) -> None:
    await log.say(b"before")
    heard = Heard()
    listener = Listening(log, PLACE, heard.take)
    await listener.start()
    await log.say(b"after")
    await until(lambda: heard.values == [b"after"])
    assert listener.is_fresh(PATIENT_S)
    await listener.stop()
    assert not listener.is_fresh(PATIENT_S) and listener.failure is None


async def test_nothing_is_missed_where_a_tail_breaks(log: Breaking) -> None:
    heard = Heard()
    listener = Listening(log, PLACE, heard.take)
    await listener.start()
    await log.say(b"1")
    await until(lambda: heard.values == [b"1"])
    await log.break_off()
    await log.say(b"2")
    await until(lambda: heard.values == [b"1", b"2"])
    await listener.stop()


async def test_who_is_told_of_the_loss_hears_what_comes_after_it(log: Breaking) -> None:
    heard = Heard()
    listener = Listening(log, PLACE, heard.take, heard.lost)
    await listener.start()
    log.away = LogUnavailable("away")
    await log.break_off()
    await until(lambda: heard.times_lost > 1)
    await log.say(b"missed")
    assert not listener.is_fresh(PATIENT_S)
    log.away = None
    await until(lambda: listener.is_fresh(PATIENT_S))
    await log.say(b"heard")
    await until(lambda: b"heard" in heard.values)
    assert heard.values == [b"heard"]
    await listener.stop()


@pytest.mark.parametrize("away", [LogUnavailable("away"), OSError("reset"), Refused("no such topic")])
async def test_a_log_that_is_away_is_waited_for(log: Breaking, away: Exception) -> None:
    heard = Heard()
    listener = Listening(log, PLACE, heard.take)
    await listener.start()
    log.away = away
    await log.break_off()
    await until(lambda: not listener.is_fresh(PATIENT_S))
    log.away = None
    await log.say(b"1")
    await until(lambda: heard.values == [b"1"])
    assert listener.failure is None
    await listener.stop()


async def test_it_may_be_started_before_the_log_is_there(log: Breaking) -> None:
    heard = Heard()
    log.away = LogUnavailable("away")
    listener = Listening(log, PLACE, heard.take)
    await listener.start()
    assert not listener.is_fresh(PATIENT_S)
    log.away = None
    await until(lambda: listener.is_fresh(PATIENT_S))
    await log.say(b"1")
    await until(lambda: heard.values == [b"1"])
    await listener.stop()


async def test_a_mistake_of_ours_ends_it_and_is_told(log: Breaking) -> None:
    def take(record: Record) -> None:
        raise RuntimeError("a defect")

    listener = Listening(log, PLACE, take)
    await listener.start()
    await log.say(b"1")
    await until(lambda: isinstance(listener.failure, RuntimeError))
    await listener.stop()
