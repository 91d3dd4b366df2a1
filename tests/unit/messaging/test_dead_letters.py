"""Records that cannot be handled are kept with their bytes and reason, and stop nobody."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256

import pytest

from shared.contracts.errors import BadProof, BadSyntax
from shared.contracts.failures import CODEC, RecordRefused
from shared.contracts.topics import DEAD_LETTERS, STEPS, TOPICS
from shared.kernel.clock import FixedClock
from shared.kernel.errors import Unavailable
from shared.messaging.dead_letter_box import HELD
from shared.messaging.dead_letters import FLOOD, LOST, DeadLetters, guarded
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import LogClosed, LogUnavailable, Message, Record, Refused, TopicPartition


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
        key_size=4,
        value=b"\xc1 poison",
        value_size=8,
        digest=sha256(b"\xc1 poison").hexdigest(),
        headers=(("h", b"\xff"), ("h", b"")),
        header_count=2,
        header_size=3,
    )


BIG = 3 * 1024 * 1024
STRANGE = {
    "a value of 3 MB": record(value=b"x" * BIG),
    "a key of 3 MB": replace(record(), key=b"k" * BIG),
    "a header of 3 MB": record(headers=(("h", b"x" * BIG), ("behind", b"it"))),
    "a header's name of 3 MB": record(headers=(("h" * BIG, b""),)),
    "a million headers": record(headers=(("h", b"x"),) * 1_000_000),
    "names of many bytes": record(headers=(("\N{SNOWMAN}" * 100, b"\0"),) * 100),
    "all of it": Record(STEPS, 3, 7, 1, b"k" * BIG, b"x" * BIG, (("a\0b\udcff", b"\0" * 4096),) * 1000),
    "nothing": Record(STEPS, 3, 7, 1, None, None),
}


@pytest.mark.parametrize("name", STRANGE)
async def test_whatever_a_record_is_its_letter_is_kept_and_small(log: EmbeddedLog, letters: DeadLetters, name: str) -> None:
    strange = STRANGE[name]
    await letters.put(strange, "E" * 10_000, "nul \0 and \udcff " * 1000)
    (letter,) = await kept(log)
    assert len(letter.value or b"") < 48 * 1024
    body = CODEC.decode(letter).body
    assert isinstance(body, RecordRefused)
    assert (body.key_size, body.value_size, body.header_count) == (
        len(strange.key or b""), len(strange.value or b""), len(strange.headers),
    )  # fmt: skip
    assert body.digest == sha256(strange.value or b"").hexdigest()
    assert (strange.value or b"").startswith(body.value or b"")
    assert len(body.value or b"") == min(len(strange.value or b""), 16 * 1024)
    assert (body.key is None, body.value is None) == (strange.key is None, strange.value is None)


async def test_the_same_record_has_the_same_id(log: EmbeddedLog, letters: DeadLetters) -> None:
    for _ in range(2):
        await letters.put(record(), "E")
    first, second = (CODEC.decode(one).envelope.id for one in await kept(log))
    assert first == second


async def test_what_is_read_again_is_told_once_also_by_another_process(log: EmbeddedLog, letters: DeadLetters, clock: FixedClock) -> None:
    other_process, other_service = DeadLetters(log, "policy", clock), DeadLetters(log, "planner", clock)
    for teller in (letters, letters, other_process, DeadLetters(log, "policy", clock), other_service, other_service):
        await teller.put_once(record(), "E")
        await teller.close()
    assert [CODEC.decode(one).envelope.source for one in await kept(log)] == ["policy", "planner"]
    for teller in (other_process, letters):
        await teller.put_once(record(8), "E")
        await teller.close()
    assert len(await kept(log)) == 3
    assert letters.counts[STEPS, "E"] == 3


async def test_what_somebody_else_says_in_our_name_keeps_nothing_untold(log: EmbeddedLog, clock: FixedClock) -> None:
    await DeadLetters(log, "policy", clock).put(record(), "E")

    class Forged(EmbeddedLog):
        async def read(self, place: TopicPartition, start: int, end: int) -> AsyncIterator[list[Record]]:
            async for records in log.read(place, start, end):
                yield [replace(one, prover=Nobody()) for one in records]

    class Nobody:
        def check(self, record: Record) -> None:
            raise BadProof

    forged = Forged.__new__(Forged)
    forged.bounds, forged.append = log.bounds, log.append  # type: ignore[method-assign]
    letters = DeadLetters(forged, "policy", clock)
    await letters.put_once(record(), "E")
    await letters.close()
    assert len(await kept(log)) == 2


async def test_a_dead_letter_is_not_dead_lettered(log: EmbeddedLog, letters: DeadLetters) -> None:
    await letters.put(record(), "E")
    (letter,) = await kept(log)
    await letters.put(letter, "E")
    assert len(await kept(log)) == 1
    # one that lies elsewhere is a record like any other, or whoever marks theirs so would leave no trace
    await letters.put(Record(STEPS, 0, 1, 1, letter.key, letter.value, letter.headers), "E")
    assert len(await kept(log)) == 2


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


class Ailing:
    """A log whose dead letters are refused as it is told; `tries` counts them."""

    def __init__(self, log: EmbeddedLog, raises: Exception | None, limit: int = 2**40) -> None:
        self._log, self.raises, self._limit, self.tries = log, raises, limit, 0
        self.bounds, self.read = log.bounds, log.read

    async def append(self, message: Message) -> int:
        self.tries += 1
        if self.raises:
            raise self.raises
        if len(message.value or b"") > self._limit:
            raise Refused("too large")
        return await self._log.append(message)


class Patient:
    """A sleep that ends when it is told."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.turn = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self.turn.wait()
        self.turn.clear()


AWAY = [LogUnavailable("no leader"), LogClosed("closed"), TimeoutError(), OSError("connection reset")]


@pytest.mark.parametrize("away", AWAY, ids=lambda one: type(one).__name__)
async def test_no_consumer_hears_of_a_letter_that_cannot_be_kept(log: EmbeddedLog, clock: FixedClock, away: Exception) -> None:
    ailing, patient, handled = Ailing(log, away), Patient(), []
    letters = DeadLetters(ailing, "policy", clock, sleep=patient)  # type: ignore[arg-type]

    async def handle(one: Record) -> None:
        if one.offset < 90:
            raise BadSyntax
        handled.append(one.offset)

    await guarded(handle, letters, clock)([record(offset) for offset in range(91)])
    assert handled == [90]
    assert ailing.tries == 1, "who is away is not waited for again by each record"
    await letters.close()


async def test_letters_that_were_held_are_kept_when_their_topic_is_back(log: EmbeddedLog, clock: FixedClock) -> None:
    ailing, patient = Ailing(log, LogUnavailable("away")), Patient()
    letters = DeadLetters(ailing, "policy", clock, sleep=patient)  # type: ignore[arg-type]
    for offset in (1, 2, 3):
        await letters.put(record(offset), "E")
    async with asyncio.timeout(30):
        while len(patient.pauses) < 3:
            patient.turn.set()
            await asyncio.sleep(0)
        ailing.raises = None
        while len(await kept(log)) < 3:
            patient.turn.set()
            await asyncio.sleep(0)
    assert [CODEC.decode(one).body.offset for one in await kept(log)] == [1, 2, 3]  # type: ignore[attr-defined]
    assert patient.pauses[:3] == [0.5, 1.0, 2.0]
    await letters.put(record(4), "E")
    assert len(await kept(log)) == 4


async def test_what_is_held_at_the_end_is_tried_once_more(log: EmbeddedLog, clock: FixedClock) -> None:
    ailing = Ailing(log, LogUnavailable("away"))
    letters = DeadLetters(ailing, "policy", clock, sleep=Patient())  # type: ignore[arg-type]
    for offset in (1, 2):
        await letters.put(record(offset), "E")
    ailing.raises = None
    await letters.close()
    assert len(await kept(log)) == 2


async def test_where_the_brokers_take_less_a_letter_says_less(log: EmbeddedLog, clock: FixedClock) -> None:
    letters = DeadLetters(Ailing(log, None, limit=2048), "policy", clock)  # type: ignore[arg-type]
    await letters.put(STRANGE["all of it"], "E")
    (letter,) = await kept(log)
    body = CODEC.decode(letter).body
    assert isinstance(body, RecordRefused)
    assert (body.value_size, len(body.value or b"")) == (BIG, 256)


@pytest.mark.parametrize("refused", ["by size", "for good", "too many"])
async def test_a_letter_that_is_lost_is_told_and_counted(
    log: EmbeddedLog, clock: FixedClock, caplog: pytest.LogCaptureFixture, refused: str
) -> None:
    ailing = {
        "by size": Ailing(log, None, limit=1),
        "for good": Ailing(log, Refused("not ours")),
        "too many": Ailing(log, LogUnavailable()),
    }
    counted: Counter[tuple[str, str]] = Counter()
    letters = DeadLetters(ailing[refused], "policy", clock, lambda *what: counted.update([what]), Patient())  # type: ignore[arg-type]
    for number in range(HELD + 200 if refused == "too many" else 1):
        await letters.put(record(number), f"E{number % 20}")  # a flood's bound is a reason's
    await letters.close()
    assert counted[STEPS, LOST] == {"by size": 1, "for good": 1, "too many": HELD + 200}[refused]
    assert LOST in caplog.text
    assert "executor.steps/3/" in caplog.text
