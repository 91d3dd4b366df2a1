"""Where records go that cannot be handled, with the reason and their original bytes, so that nothing waits behind them.

A flood of them (a release that cannot read its neighbour's records) is kept up to a bound and told once: the records
themselves are still in their topic, from the offset that the alarm names.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from shared.contracts.codec import encode
from shared.contracts.envelope import Envelope
from shared.contracts.failures import RecordRefused
from shared.contracts.topics import DEAD_LETTERS
from shared.kernel.clock import Clock
from shared.kernel.errors import UNEXPECTED, SluiceError, Unavailable
from shared.kernel.retrying import insist
from shared.messaging.log import Log, Message, Record

FLOOD: Final = 100
"""Dead letters of one topic and reason in a minute that are kept; more are only counted."""
WINDOW_S: Final = 60.0
PATIENCE_S: Final = 5.0
"""How long a dependency that is away is waited for before the membership is given up, and its records with it."""
_MAX_HEADERS: Final = 64
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Window:
    since: float
    count: int = 0


class DeadLetters:
    """One service's way to the topic `dead-letters`.

    `counts` are by source topic and reason, kept or not; `counted` is told of every one (the metric).
    """

    def __init__(self, log: Log, service: str, clock: Clock, counted: Callable[[str, str], None] | None = None) -> None:
        self._log = log
        self._service = service
        self._clock = clock
        self._counted = counted
        self._windows: dict[tuple[str, str], _Window] = {}
        self.counts: Counter[tuple[str, str]] = Counter()

    async def put(self, record: Record, reason: str, detail: str = "", error: Exception | None = None) -> None:
        """Keep a record with an error code and a text for people that holds nothing a visitor sent.

        `error` is logged with its traceback, for the first ones of a flood. Raises `Unavailable` when the log does. A dead letter is never dead-lettered again, only logged.
        """
        place = self._count(record, reason)
        if _is_dead_letter(record):
            _log.error("dead letter %s cannot be read: %s %s", place, reason, detail)
        elif self._is_flood(record.topic, reason, place):
            return
        else:
            _log.warning("dead letter: %s %s %s", place, reason, detail, exc_info=error)
            await self._log.append(self._letter(record, reason, detail, place))

    def skip(self, record: Record, reason: str, detail: str = "") -> None:
        """Count a record that is passed by and not kept: what a tail does, of which there are many."""
        place = self._count(record, reason)
        if not self._is_flood(record.topic, reason, place):
            _log.warning("skipped: %s %s %s", place, reason, detail)

    def _count(self, record: Record, reason: str) -> str:
        self.counts[record.topic, reason] += 1
        if self._counted is not None:
            self._counted(record.topic, reason)
        return f"{record.topic}/{record.partition}/{record.offset}"

    def _letter(self, record: Record, reason: str, detail: str, place: str) -> Message:
        body = RecordRefused(
            service=self._service,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason[:512],
            detail=_clean(detail)[:512],
            key=record.key,
            value=record.value,
            headers=tuple((_clean(name), value) for name, value in record.headers[:_MAX_HEADERS]),
        )
        # the same id every time: whoever meets the record again says the same thing again
        envelope = Envelope(
            id=f"{place}/{self._service}",
            type=RecordRefused.wire_type,
            version=RecordRefused.wire_version,
            source=self._service,
            subject=place,
            time_us=self._clock.now_us(),
        )
        headers, value = encode(envelope, body)
        return Message(DEAD_LETTERS, 0, place.encode(), value, headers)

    def _is_flood(self, topic: str, reason: str, place: str) -> bool:
        now = self._clock.monotonic()
        window = self._windows.setdefault((topic, reason), _Window(now))
        if now - window.since >= WINDOW_S:
            if window.count > FLOOD:
                _log.error("%d dead letters of %s with %s were not kept", window.count - FLOOD, topic, reason)
            window.since, window.count = now, 0
        window.count += 1
        if window.count == FLOOD + 1:
            _log.critical("E_DEAD_LETTER_FLOOD: %s from %s on: %s; further ones are counted, not kept", topic, place, reason)
        return window.count > FLOOD


def guarded(
    handle: Callable[[Record], Awaitable[None]],
    dead_letters: DeadLetters,
    clock: Clock,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Callable[[Sequence[Record]], Awaitable[None]]:
    """A handler of batches from one of records, that no record can stop.

    What the handler raises decides: an `Unavailable` says that a dependency is away, so the record is tried again,
    and after 5 s the error is raised, which ends the membership and loses nothing. Anything else says that this
    record cannot be handled, now or later: it is dead-lettered at once and the next one comes.
    """

    async def attempt(record: Record) -> None:
        try:
            await handle(record)
        except Unavailable:
            raise
        except SluiceError as error:
            await dead_letters.put(record, error.code, error.detail)
        except Exception as error:  # noqa: BLE001 - kept with its traceback; a record must not stop its partition
            await dead_letters.put(record, UNEXPECTED, type(error).__name__, error)

    async def batch(records: Sequence[Record]) -> None:
        for record in records:
            deadline = clock.monotonic() + PATIENCE_S
            await insist(
                partial(attempt, record), _FIRST_PAUSE_S, _LONGEST_PAUSE_S,
                gives_up=lambda pause_s, deadline=deadline: clock.monotonic() + pause_s > deadline, sleep=sleep,  # type: ignore[misc]
            )  # fmt: skip

    return batch


def _is_dead_letter(record: Record) -> bool:
    return record.topic == DEAD_LETTERS or ("ce_type", RecordRefused.wire_type.encode()) in record.headers


def _clean(text: str) -> str:
    # what the codec refuses in text would make the letter itself unreadable
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
