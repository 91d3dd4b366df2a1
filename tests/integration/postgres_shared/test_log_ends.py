"""What the log lost is noticed, whoever looks first, and said again by who said it (architecture §4.15)."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from unittest.mock import AsyncMock

import pytest

from shared.contracts.topics import DIRECTORY_EVENTS, KEYS, REVOCATIONS, TOKENS, TOPICS
from shared.kernel.errors import Unavailable
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import LogUnavailable, Message, TopicPartition
from shared.messaging.watched import WatchedLog
from shared.postgres.log_ends import LogEnds
from shared.postgres.pool import Database

NAMES = (KEYS, REVOCATIONS, TOKENS, DIRECTORY_EVENTS)
PLACES = [TopicPartition(name, 0) for name in NAMES]


@dataclass
class Process:
    """One that looks: what it had said again, and what it told the metric."""

    ends: LogEnds
    log: WatchedLog
    again: list[tuple[str, int]]
    told: list[tuple[str, int]]


@dataclass
class Log:
    """The log, and a way to take records from it."""

    log: EmbeddedLog
    away: bool = False
    processes: list[Process] = field(default_factory=list)

    async def write(self, topic: str, count: int = 1, through: Process | None = None) -> None:
        for n in range(count):
            await (through.log if through else self.log).append(Message(topic, 0, b"k%d" % n, b"v", ()))

    def cut(self, topic: str, count: int) -> None:
        there = self.log._partition(TopicPartition(topic, 0))
        del there.records[len(there.records) - count :]
        there.next -= count


@pytest.fixture
async def log() -> AsyncIterator[Log]:
    opened = await EmbeddedLog.open(TOPICS)
    yield Log(opened)
    await opened.close()


@pytest.fixture
def process(log: Log, database: Database) -> Callable[[], Process]:
    def begun() -> Process:
        again: list[tuple[str, int]] = []
        told: list[tuple[str, int]] = []

        def remedy(topic: str) -> Callable[[int], object]:
            async def said(partition: int) -> None:
                if log.away:
                    raise Unavailable("away")
                again.append((topic, partition))

            return said

        watched = WatchedLog(log.log)
        remedies = {topic: remedy(topic) for topic in NAMES if topic != DIRECTORY_EVENTS}
        ends = LogEnds(database, watched, lambda: PLACES, remedies, lambda *place: told.append(place), wary=(REVOCATIONS,))  # type: ignore[arg-type]
        return Process(ends, watched, again, told)

    return begun


@pytest.mark.parametrize("topic", NAMES)
@pytest.mark.parametrize("count", [1, 5])
async def test_a_tail_that_is_cut_is_noticed_once_and_said_again(
    log: Log, process: Callable[[], Process], topic: str, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    looking = process()
    for name in NAMES:
        await log.write(name, 5)
    await looking.ends.look()
    log.cut(topic, count)
    for _ in range(3):
        await looking.ends.look()
    assert looking.told == [(topic, 0)]
    assert looking.again == ([] if topic == DIRECTORY_EVENTS else [(topic, 0)])
    assert f"LOG_DIVERGED: {topic} 0 has lost records: it reached 5 and ends at {5 - count}" in caplog.text


async def test_while_all_is_well_nothing_is_said(log: Log, process: Callable[[], Process]) -> None:
    looking, other = process(), process()
    for _ in range(4):
        await log.write(TOKENS, 3, looking)
        await log.write(KEYS, 2, other)
        await looking.ends.look()
        await other.ends.look()
    assert looking.told == other.told == []


@pytest.mark.parametrize("topic", [KEYS, TOKENS, DIRECTORY_EVENTS])
async def test_what_was_lost_while_nobody_looked_is_known_from_before(log: Log, process: Callable[[], Process], topic: str) -> None:
    await log.write(topic, 4)
    await process().ends.look()
    log.cut(topic, 2)
    later = process()
    await later.ends.look()
    assert later.told == [(topic, 0)]
    third = process()
    await third.ends.look()
    assert third.told == []


@pytest.mark.parametrize("more", [1, 2, 7])
async def test_a_log_that_grows_over_what_it_lost_is_told_by_where_a_record_is_put(
    log: Log, process: Callable[[], Process], more: int
) -> None:
    looking = process()
    await log.write(TOKENS, 3, looking)
    await looking.ends.look()
    log.cut(TOKENS, 1)
    await log.write(TOKENS, more, looking)
    await looking.ends.look()
    await looking.ends.look()
    assert looking.again == [(TOKENS, 0)]


async def test_what_cannot_be_said_again_now_is_found_lost_again(log: Log, process: Callable[[], Process]) -> None:
    looking = process()
    await log.write(TOKENS, 3)
    await looking.ends.look()
    log.cut(TOKENS, 1)
    log.away = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await looking.ends.look()
    log.away = False
    await looking.ends.look()
    assert looking.again == [(TOKENS, 0)] and looking.told == [(TOKENS, 0)]


async def test_after_an_outage_what_it_may_have_hidden_is_said_again_of_wary_topics_alone(log: Log, process: Callable[[], Process]) -> None:
    looking = process()
    for topic in (REVOCATIONS, TOKENS):
        looking.log.doubted.add(TopicPartition(topic, 0))
    await looking.ends.look()
    await looking.ends.look()
    assert looking.again == [(REVOCATIONS, 0)] and looking.told == []


async def test_topics_that_are_kept_an_hour_begin_anew_with_the_embedded_log(log: Log, process: Callable[[], Process]) -> None:
    await log.write(REVOCATIONS, 3)
    await process().ends.look()
    log.cut(REVOCATIONS, 3)
    later = process()
    await later.ends.look()
    assert later.told == []


@pytest.mark.parametrize("gone", NAMES)
@pytest.mark.parametrize("topic", NAMES)
async def test_a_topic_that_is_not_there_hides_no_loss_of_another(
    log: Log, process: Callable[[], Process], topic: str, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = process()
    for name in NAMES:
        await log.write(name, 5)
    await looking.ends.look()
    log.cut(topic, 2)
    bounds_of = log.log.bounds_of

    async def without_one(places: Collection[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        if any(place.topic == gone for place in places):
            raise LogUnavailable(f"no {gone}")
        return await bounds_of(places)

    monkeypatch.setattr(log.log, "bounds_of", without_one)
    await looking.ends.look()
    assert looking.told == ([] if topic == gone else [(topic, 0)])
    monkeypatch.undo()
    await looking.ends.look()
    assert looking.told == [(topic, 0)]


async def test_a_log_that_is_away_is_looked_at_later(log: Log, process: Callable[[], Process], monkeypatch: pytest.MonkeyPatch) -> None:
    looking = process()
    monkeypatch.setattr(log.log, "bounds_of", AsyncMock(side_effect=LogUnavailable("away")))
    with pytest.raises(LogUnavailable):
        await looking.ends.look()
