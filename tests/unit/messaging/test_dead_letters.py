"""Records that cannot be handled are kept with their bytes and reason, and stop nobody."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from shared.contracts.errors import BadSyntax
from shared.contracts.failures import CODEC, RecordRefused
from shared.contracts.topics import DEAD_LETTERS, STEPS, TOPICS
from shared.kernel.clock import FixedClock
from shared.kernel.errors import Unavailable
from shared.messaging.dead_letters import FLOOD, DeadLetters, guarded
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import LogUnavailable, Record, TopicPartition


def record(offset: int = 7, value: bytes = b"\xc1 poison", headers: tuple[tuple[str, bytes], ...] = (("h", b"\xff"), ("h", b""))) -> Record:
    return Record(STEPS, 3, offset, 1, b"\x00key", value, headers)


@pytest.fixture
async def log() -> AsyncIterator[EmbeddedLog]:
    log = await EmbeddedLog.open(TOPICS)
    yield log
    await log.close()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def letters(log: EmbeddedLog, clock: FixedClock) -> DeadLetters:
    return DeadLetters(log, "policy", clock)


async def kept(log: EmbeddedLog) -> list[Record]:
    place = TopicPartition(DEAD_LETTERS, 0)
    return [one async for batch in log.read(place, *await log.bounds(place)) for one in batch]


async def test_a_dead_letter_holds_the_record_as_it_was(log: EmbeddedLog, letters: DeadLetters) -> None:
    await letters.put(record(), "E_EVT_SYNTAX", "truncated")
    (letter,) = await kept(log)
    received = CODEC.decode(letter)
    assert letter.key == b"executor.steps/3/7" == received.envelope.subject.encode()
    assert received.body == RecordRefused(
        service="policy",
        topic=STEPS,
        partition=3,
        offset=7,
        reason="E_EVT_SYNTAX",
        detail="truncated",
        key=b"\x00key",
        value=b"\xc1 poison",
        headers=(("h", b"\xff"), ("h", b"")),
    )


async def test_the_largest_and_strangest_record_fits(log: EmbeddedLog, letters: DeadLetters) -> None:
    await letters.put(record(value=b"x" * 256 * 1024, headers=(("a\0b", b"\0"),) * 100), "E", "nul \0 and \udcff")
    body = CODEC.decode((await kept(log))[0], 1024 * 1024).body
    assert isinstance(body, RecordRefused)
    assert len(body.value or b"") == 256 * 1024
    assert len(body.headers) == 64


async def test_the_same_record_has_the_same_id(log: EmbeddedLog, letters: DeadLetters) -> None:
    for _ in range(2):
        await letters.put(record(), "E")
    first, second = (CODEC.decode(one).envelope.id for one in await kept(log))
    assert first == second


async def test_a_dead_letter_is_not_dead_lettered(log: EmbeddedLog, letters: DeadLetters) -> None:
    await letters.put(record(), "E")
    (letter,) = await kept(log)
    await letters.put(letter, "E")
    fed_back = Record(STEPS, 0, 1, 1, letter.key, letter.value, letter.headers)
    await letters.put(fed_back, "E")
    assert len(await kept(log)) == 1


async def test_a_flood_is_bounded_counted_and_told_once(
    log: EmbeddedLog, letters: DeadLetters, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        for offset in range(FLOOD + 50):
            await letters.put(record(offset), "E")
        await letters.put(record(), "E_OTHER")
    assert [entry.levelname for entry in caplog.records] == ["CRITICAL"]
    assert "E_DEAD_LETTER_FLOOD" in caplog.text
    assert letters.counts[STEPS, "E"] == FLOOD + 50
    assert len(await kept(log)) == FLOOD + 1
    clock.advance(61)
    await letters.put(record(999), "E")
    assert len(await kept(log)) == FLOOD + 2
    assert "50 dead letters" in caplog.text


async def test_a_metric_hears_of_every_one(log: EmbeddedLog, clock: FixedClock) -> None:
    heard: list[tuple[str, str]] = []
    letters = DeadLetters(log, "policy", clock, lambda topic, reason: heard.append((topic, reason)))
    await letters.put(record(), "E")
    assert heard == [(STEPS, "E")]


async def test_poison_is_passed_and_the_next_record_handled(log: EmbeddedLog, letters: DeadLetters, clock: FixedClock) -> None:
    handled: list[int] = []

    async def handle(one: Record) -> None:
        if one.offset == 1:
            raise BadSyntax("no value")
        if one.offset == 2:
            raise ZeroDivisionError
        handled.append(one.offset)

    await guarded(handle, letters, clock)([record(offset) for offset in range(4)])
    assert handled == [0, 3]
    reasons = [CODEC.decode(one).body.reason for one in await kept(log)]  # type: ignore[attr-defined]
    assert reasons == ["E_EVT_SYNTAX", "E_UNEXPECTED"]


async def test_a_dependency_that_is_away_is_waited_for(log: EmbeddedLog, letters: DeadLetters, clock: FixedClock) -> None:
    handled: list[int] = []
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    async def handle(one: Record) -> None:
        if len(slept) < 3:
            raise Unavailable
        handled.append(one.offset)

    await guarded(handle, letters, clock, sleep)([record(0), record(1)])
    assert handled == [0, 1]
    assert slept == [0.05, 0.1, 0.2]
    assert await kept(log) == []


async def test_a_dependency_that_stays_away_ends_the_batch_and_loses_nothing(
    log: EmbeddedLog, letters: DeadLetters, clock: FixedClock
) -> None:
    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    async def handle(_: Record) -> None:
        raise Unavailable

    with pytest.raises(Unavailable):
        await guarded(handle, letters, clock, sleep)([record()])
    assert await kept(log) == []


async def test_a_dead_letter_that_cannot_be_kept_is_tried_again(log: EmbeddedLog, clock: FixedClock) -> None:
    letters = DeadLetters(log, "policy", clock)
    await log.close()

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)
        await asyncio.sleep(0)

    async def handle(_: Record) -> None:
        raise BadSyntax

    with pytest.raises(LogUnavailable):
        await guarded(handle, letters, clock, sleep)([record()])
