"""How dead letters reach their topic: nobody who puts one in waits longer than a second, or hears of a failure.

A record that cannot be handled must not stop its partition, and neither must its letter: while the topic is away (deleted, full,
another's only, its broker gone) letters are held, up to a bound, and what cannot be kept is told as lost.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from cachetools import FIFOCache

from shared.contracts.codec import prove
from shared.contracts.errors import BadProof
from shared.contracts.failures import RecordRefused
from shared.contracts.topics import DEAD_LETTERS
from shared.kernel.errors import SluiceError, Unavailable
from shared.kernel.retrying import insist
from shared.messaging.dead_letter_records import LITTLE, ROOM, message
from shared.messaging.log import Log, LogClosed, Record, Refused, TopicPartition

PATIENCE_S: Final = 1.0
HELD: Final = 1_000
"""Letters that wait for their topic, 32 MB at most."""
LOOK_BACK: Final = 2_000
"""Letters that are looked through for what was told before."""
LOOK_S: Final = 10.0
"""For a look of the first time; what was seen by then is kept for the next one."""
BLIND_S: Final = 60.0
"""How long it is not looked again after the topic could not be read: letters are then told once more."""
REMEMBERED: Final = 10_000
LAST_S: Final = 2.0
"""How long a process that stops still tries."""
_PLACE: Final = TopicPartition(DEAD_LETTERS, 0)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
_AWAY: Final = (Unavailable, OSError, TimeoutError)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Letter:
    """What is said, and when it was found; `once`: only if this service has not said it before, as its reader begins anew."""

    id: str
    body: RecordRefused
    at_us: int
    once: bool = False


class LetterBox:
    """One service's way to the topic. `lost` is told of each letter that is not kept, in the end."""

    def __init__(
        self, log: Log, service: str, lost: Callable[[Letter, str], None], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._log = log
        self._lost = lost
        self._sleep = sleep
        self._told = Told(log, service)
        self._blind_until = 0.0
        self._held: deque[Letter] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def keep(self, letter: Letter) -> None:
        """Append it; where that does not work within a second, hold it. One that is said `once` is looked after by and by."""
        if not self._held and not letter.once:
            try:
                return await self._deliver(letter)
            except _AWAY as away:
                _log.error("dead letters are held until their topic takes them: %s", away)
        return self._hold(letter)

    async def close(self) -> None:
        """Try once more what is held; the log must still be open."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        with suppress(SluiceError, OSError, TimeoutError):
            async with asyncio.timeout(LAST_S):
                while self._held:
                    await self._deliver(self._held[0])
                    self._held.popleft()
        self._give_up("the process ends")

    async def _deliver(self, letter: Letter) -> None:
        if letter.once and await self._knows(letter.id):
            return
        async with asyncio.timeout(PATIENCE_S):
            await self._append(letter)

    async def _knows(self, id: str) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._blind_until:
            return False
        try:
            async with asyncio.timeout(LOOK_S):
                return await self._told.has(id)
        except (SluiceError, OSError) as away:
            self._blind_until = now + BLIND_S
            _log.warning("dead letters cannot be looked through, some may be told again: %r", away)
            return False

    async def _append(self, letter: Letter) -> None:
        reason = ""
        for room in (ROOM, LITTLE):
            try:
                offset = await self._log.append(message(letter.body, letter.at_us, room))
            except Refused as refused:
                reason = str(refused)
            else:
                return self._told.note(letter.id, offset)
        return self._lost(letter, reason)

    def _hold(self, letter: Letter) -> None:
        if len(self._held) >= HELD:
            return self._lost(letter, "too many are held")
        self._held.append(letter)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send(0.0 if letter.once else _FIRST_PAUSE_S), name="dead letters that are held")
        return None

    async def _send(self, pause: float) -> None:
        await self._sleep(pause)
        try:
            while self._held:
                await insist(self._deliver_next, 2 * _FIRST_PAUSE_S, _LONGEST_PAUSE_S, on=_AWAY, told=_unless_closed, sleep=self._sleep)
                self._held.popleft()
        except LogClosed:
            self._give_up("the log is closed")

    async def _deliver_next(self) -> None:
        await self._deliver(self._held[0])

    def _give_up(self, reason: str) -> None:
        while self._held:
            self._lost(self._held.popleft(), reason)


def _unless_closed(failure: Exception) -> None:
    if isinstance(failure, LogClosed):
        raise failure


class Told:
    """The ids of a service's letters that are in the topic: of the newest ones there, and of those since then."""

    def __init__(self, log: Log, service: str) -> None:
        self._log = log
        self._source = ("ce_source", service.encode())
        self._ids: FIFOCache[str, bool] = FIFOCache(REMEMBERED)
        self._next: int | None = None

    async def has(self, id: str) -> bool:
        """Whether it was told; `Unavailable` if the topic cannot be read. One look at a time."""
        if id in self._ids:
            return True
        first, end = await self._log.bounds(_PLACE)
        if self._next is None:
            self._next = max(first, end - LOOK_BACK)
        async for records in self._log.read(_PLACE, self._next, end):
            for record in records:
                self._take(record)
                self._next = record.offset + 1
                await asyncio.sleep(0)  # each proof is a signature, and there may be thousands
        self._next = end
        return id in self._ids

    def note(self, id: str, offset: int) -> None:
        """Ours was appended there."""
        self._remember(id)
        if offset == self._next:
            self._next = offset + 1

    def _take(self, record: Record) -> None:
        if self._source in record.headers:
            with suppress(BadProof):  # or anybody could keep us from telling
                prove(record)
                self._remember(dict(record.headers).get("ce_id", b"").decode(errors="replace"))

    def _remember(self, id: str) -> None:
        self._ids[id] = True
