"""Where records go that cannot be handled, with the reason and the beginning of their bytes, so that nothing waits behind them.

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

from shared.contracts.topics import DEAD_LETTERS
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable, why
from shared.kernel.retrying import insist
from shared.messaging.dead_letter_box import Letter, LetterBox
from shared.messaging.dead_letter_records import body, id_of, place_of
from shared.messaging.log import Log, Record

FLOOD: Final = 100
"""Dead letters of one topic and reason in a minute that are kept; more are only counted."""
WINDOW_S: Final = 60.0
PATIENCE_S: Final = 5.0
"""How long a dependency that is away is waited for before the membership is given up, and its records with it."""
LOST: Final = "E_DEAD_LETTER_LOST"
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Window:
    since: float
    count: int = 0


class DeadLetters:
    """One service's way to the topic `dead-letters`: nothing here raises, or waits longer than a second or two.

    `counts` are by source topic and reason, kept or not; `counted` is told of every one (the metric), and of a letter that was
    lost once more, as `LOST`.
    """

    def __init__(
        self,
        log: Log,
        service: str,
        clock: Clock,
        counted: Callable[[str, str], None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._service = service
        self._clock = clock
        self._counted = counted
        self._box = LetterBox(log, service, self._lost, sleep)
        self._windows: dict[tuple[str, str], _Window] = {}
        self.counts: Counter[tuple[str, str]] = Counter()

    async def put(self, record: Record, reason: str, detail: str = "", error: Exception | None = None) -> None:
        """Keep a record with an error code and a text for people that holds nothing a visitor sent.

        `error` is logged with its traceback, for the first ones of a flood. A dead letter is never dead-lettered again, only logged.
        """
        await self._tell(record, reason, detail, error, once=False)

    async def put_once(self, record: Record, reason: str, detail: str = "", error: Exception | None = None) -> None:
        """`put`, for who reads again what was read before (a topic from its beginning): what this service has told stays told.

        Does not wait for it, for that is somebody who starts or takes over; the record is met again if the process ends before.
        """
        await self._tell(record, reason, detail, error, once=True)

    async def _tell(self, record: Record, reason: str, detail: str, error: Exception | None, *, once: bool) -> None:
        place = self._count(record, reason)
        if self._is_flood(record.topic, reason, place):
            return
        if record.topic == DEAD_LETTERS:
            _log.error("dead letter %s cannot be read: %s %s", place, reason, detail)
            return
        _log.warning("dead letter: %s %s %s", place, reason, detail, exc_info=error)
        told = body(record, self._service, reason, detail)
        await self._box.keep(Letter(id_of(record, self._service), told, self._clock.now_us(), once))

    def skip(self, record: Record, reason: str, detail: str = "") -> None:
        """Count a record that is passed by and not kept: what a tail does, of which there are many."""
        place = self._count(record, reason)
        if not self._is_flood(record.topic, reason, place):
            _log.warning("skipped: %s %s %s", place, reason, detail)

    async def close(self) -> None:
        """Keep what is held, if that can be done within 2 s; before the log is closed."""
        await self._box.close()

    def _lost(self, letter: Letter, why: str) -> None:
        told = letter.body
        _log.error("%s: %s was not kept (%s): %s %s", LOST, letter.id, why, told.reason, told.detail)
        if self._counted is not None:
            self._counted(told.topic, LOST)

    def _count(self, record: Record, reason: str) -> str:
        self.counts[record.topic, reason] += 1
        if self._counted is not None:
            self._counted(record.topic, reason)
        return place_of(record)

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
        except Exception as error:  # noqa: BLE001 - kept with its traceback; a record must not stop its partition
            await dead_letters.put(record, *why(error))

    async def batch(records: Sequence[Record]) -> None:
        for record in records:
            deadline = clock.monotonic() + PATIENCE_S
            await insist(
                partial(attempt, record), _FIRST_PAUSE_S, _LONGEST_PAUSE_S,
                gives_up=lambda pause_s, deadline=deadline: clock.monotonic() + pause_s > deadline, sleep=sleep,  # type: ignore[misc]
            )  # fmt: skip

    return batch
