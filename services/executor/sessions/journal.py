"""The sessions topic of one partition: append transitions, and learn which are accepted (architecture §4.2).

The owner folds only what it knows to be in the log in this order. If the acknowledged offset is the
very next one that is so; if it is not, the record has to be read back first.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from services.executor.common.ports import LogDiverged
from services.executor.sessions.ownership import Appending
from services.executor.sessions.ports import Marks
from services.executor.sessions.session import evolve, packed
from services.executor.sessions.states import SessionStates
from services.executor.sessions.transition import Transition
from shared.contracts.acceptance import follows
from shared.contracts.envelope import Envelope, to_headers
from shared.contracts.sessions import CODEC, SessionAdvanced
from shared.kernel.errors import Unavailable
from shared.messaging.log import LogUnavailable, Message, Record, TopicPartition

READ_BACK_S: Final = 2.0
UNREAD: Final = 1024
"""So many transitions that nobody has accounted for are remembered: of an outage the newest."""
Unawaited = Callable[[Envelope, SessionAdvanced, int], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    transition: Transition
    settled: asyncio.Future[tuple[bool, int]]


@dataclass(frozen=True, slots=True)
class Unread:
    """A transition that was not acknowledged, or not read back, in time: it may stand in the log, or come to. `late` has its offset, should it
    be acknowledged yet."""

    id: str
    session: str
    command: str
    late: asyncio.Future[int] | None


class Journal:
    """One partition of `executor.sessions`, as its owner writes and reads it.

    `unawaited` is called for an accepted transition that nobody here waits for: a former owner's, or our own after its
    acknowledgement got lost; its orders may still have to be done. Every offset is begun in `marks`; those that lead to
    nothing are done at once, the others when `done` is called.
    """

    def __init__(self, log: Appending, place: TopicPartition, states: SessionStates, unawaited: Unawaited, marks: Marks) -> None:
        self._log = log
        self._place = place
        self._states = states
        self._unawaited = unawaited
        self._marks = marks
        self._acked: dict[int, Transition] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._unread: LRUCache[str, Unread] = LRUCache(UNREAD)
        self._replaced: LogDiverged | None = None
        self.known = 0

    async def append(self, transition: Transition) -> tuple[bool, int]:
        """Write a transition; whether it was accepted, and its offset. `LogDiverged` if it stands where another one was read.

        `Unavailable` if that cannot be said now; should the record be in the log all the same, reading it back folds it.
        """
        envelope = transition.envelope
        settled: asyncio.Future[tuple[bool, int]] = asyncio.get_running_loop().create_future()
        self._waiting[envelope.id] = _Waiting(transition, settled)
        try:
            message = Message(*self._place, envelope.subject.encode(), transition.value, to_headers(envelope))
            offset = await self._log.append(message)
            if offset >= self.known:
                self._acked[offset] = transition
                self._fold_own()
            elif offset >= 0 and not settled.done():
                # All that stands there was read, and it was not this: the log ended before it (-1: the broker does not say where).
                raise LogDiverged(self._place.partition, self.known, offset, "acknowledged")
            async with asyncio.timeout(READ_BACK_S):
                return await asyncio.shield(settled)  # the end of the wait must not look like the end of the task
        except (TimeoutError, Unavailable) as away:
            if settled.done():
                # Read back before its acknowledgement got lost: whoever waits has to know, for nobody else finishes it.
                return settled.result()
            late = away.late if isinstance(away, LogUnavailable) else None
            self._unread[envelope.id] = Unread(envelope.id, envelope.subject, transition.body.command, late)
            if late is not None:
                late.add_done_callback(lambda late: None if late.cancelled() else self._came_late(envelope.id, late.result()))
            if isinstance(away, TimeoutError):
                raise Unavailable("the transition was not read back in time") from None
            raise
        finally:
            self._waiting.pop(envelope.id, None)

    def read(self, record: Record) -> None:
        """A record of the partition, read back in order. Raises `BadRecord` for one that is none of ours, or our mistake over it: neither is
        read again, nor keeps others from being done."""
        if record.offset < self.known:
            return
        ident = next((value for name, value in record.headers if name == "ce_id"), b"").decode(errors="replace")
        waiting = self._waiting.get(ident)
        try:
            # What we wrote and wait for, if this is that to the byte, need not be decoded.
            own = waiting.transition if waiting and waiting.transition.value == record.value else None
            received = None if own else CODEC.decode(record)
            if own:
                self._fold(own.envelope, own.body, record.offset, own)
            elif received and isinstance(received.body, SessionAdvanced):
                self._fold(received.envelope, received.body, record.offset)
        except Exception:
            if waiting and not waiting.settled.done():
                waiting.settled.set_result((False, record.offset))  # nobody believes it
            self._marks.begin(record)
            self._marks.done(record)  # nor reads it again
            raise
        finally:
            self._unread.pop(ident, None)
            self._acked.pop(record.offset, None)
            self.known = record.offset + 1
            self._fold_own()

    def _came_late(self, ident: str, offset: int) -> None:
        """What was not acknowledged in time stands here: where all was read already, and was not this, the log had ended before."""
        if ident in self._unread and 0 <= offset < self.known:
            self._replaced = LogDiverged(self._place.partition, self.known, offset, "acknowledged")

    def unread(self, session: str) -> list[Unread]:
        """What of this session is not accounted for."""
        return [one for one in self._unread.values() if one.session == session] if self._unread else []

    def lost(self, unread: Iterable[Unread]) -> None:
        """All that the log has was read, and these were not there."""
        for one in unread:
            self._unread.pop(one.id, None)

    def check(self, known: int, first: int, end: int) -> None:
        """`LogDiverged` if the log, which has these bounds, does not have what was `known` of it before it was asked for them."""
        if self._replaced is not None:
            raise self._replaced
        if end < known:
            raise LogDiverged(self._place.partition, known, end, "end")
        if first > self.known:
            raise LogDiverged(self._place.partition, self.known, first, "below_start")

    def _fold_own(self) -> None:
        while self.known in self._acked:
            own = self._acked.pop(self.known)
            self._fold(own.envelope, own.body, self.known, own)
            self.known += 1

    def _fold(self, envelope: Envelope, body: SessionAdvanced, offset: int, own: Transition | None = None) -> None:
        """`own`: the transition is ours, so that what it leaves is known."""
        state = self._states.get(envelope.subject)
        accepted = follows(state.version, state.head, envelope)
        after = own.after if own else evolve(state, envelope, body) if accepted else state
        self._marks.begin(self._at(offset))
        self._unread.pop(envelope.id, None)
        if accepted:
            self._states.put(after, own.packed if own else packed(after))
        waiting = self._waiting.get(envelope.id)
        if waiting and not waiting.settled.done():
            waiting.settled.set_result((accepted, offset))
            if not accepted:
                self.done(offset)
        elif accepted:
            self._unawaited(envelope, body, offset)
        else:
            self.done(offset)

    def done(self, offset: int) -> None:
        """All that the transition at this offset led to is in the log."""
        self._marks.done(self._at(offset))

    def _at(self, offset: int) -> Record:
        return Record(*self._place, offset, 0, None, None)
