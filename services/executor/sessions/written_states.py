"""Writes the states of one partition's sessions, from which a new owner begins (architecture §4.6)."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from services.executor.sessions.ownership import Appending
from services.executor.sessions.states import SessionStates
from shared.contracts import topics
from shared.contracts.envelope import Envelope, to_headers
from shared.contracts.states import SessionState, key_of
from shared.kernel.ids import random_id
from shared.kernel.retrying import insist
from shared.messaging.log import LogUnavailable, Message

_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 2.0


def state_message(partition: int, state: SessionState, packed: bytes, owner: str) -> Message:
    """The record of a written state, by this owner."""
    key = key_of(state.session, owner)
    envelope = Envelope(
        id=f"{state.head}.{state.version}", type=state.wire_type, version=state.wire_version, source="executor", subject=key,
        time_us=state.last_us, subject_version=state.version, causation=state.head, correlation=state.session,
    )  # fmt: skip
    return Message(topics.STATE, partition, key.encode(), packed, to_headers(envelope))


@dataclass(slots=True)
class _Unwritten:
    """The newest state of a session all of whose orders are done, its bytes (none: they are written, or being written), and the
    transitions (version, offset) that wait for it."""

    state: SessionState
    packed: bytes
    waiting: list[tuple[int, int]] = field(default_factory=list)
    writing: bool = False


class WrittenStates:
    """What the log has, or is to have, of the sessions' states. `done` is told of the offset of each transition that is in a written one,
    `failed` of a state that the log will never take.

    States are written under an id of this takeover, and under another one after each that was not acknowledged: no record that comes
    to stand in the log late, ours or anybody's, takes the place of a newer one (architecture §4.6).
    """

    def __init__(
        self, log: Appending, states: SessionStates, partition: int, done: Callable[[int], None], failed: Callable[[Exception], None]
    ) -> None:
        self._log = log
        self._states = states
        self._partition = partition
        self._done = done
        self._failed = failed
        self._owner = random_id()
        self._unwritten: dict[str, _Unwritten] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def publish(self, envelope: Envelope, offset: int) -> None:
        """Have the session's state after this transition, whose orders are done, written with the next `write`; it is done once that is acknowledged.

        If the session has gone on already, the orders of what it went on with are not done yet and its state would hide
        them from the next owner: then that one's state, written in its turn, does for both.
        """
        state = self._states.get(envelope.subject)
        unwritten = self._unwritten.setdefault(envelope.subject, _Unwritten(state, b""))
        unwritten.waiting.append((envelope.subject_version or 0, offset))
        if state.head != envelope.id:
            return
        unwritten.state, unwritten.packed = state, self._states.packed(state.session)

    def write(self) -> None:
        """Begin to write the newest state of each session that has gone on since, one of a session at a time. A session that goes on several
        times between two calls is written once, for all of them."""
        for session, unwritten in self._unwritten.items():
            if unwritten.packed and not unwritten.writing:
                unwritten.writing = True
                task = asyncio.create_task(self._write(session, unwritten))
                self._writing.add(task)
                task.add_done_callback(self._writing.discard)

    async def written(self) -> None:
        """Wait until the log has acknowledged what `write` has begun."""
        await asyncio.gather(*self._writing)

    async def _write(self, session: str, unwritten: _Unwritten) -> None:
        state, packed, unwritten.packed = unwritten.state, unwritten.packed, b""
        try:
            owner = await self._insisted(state, packed)
            for done in [one for one in unwritten.waiting if one[0] <= state.version]:
                unwritten.waiting.remove(done)
                self._done(done[1])
            await self._remove_superseded(session, owner)
        except Exception as error:  # noqa: BLE001 - told to the worker, which ends with it: the next owner folds it anew
            return self._failed(error)
        unwritten.writing = False
        if not unwritten.waiting:
            del self._unwritten[session]
        return None

    async def _insisted(self, state: SessionState, packed: bytes) -> str:
        """Write a state, however long the log is away; the owner that it is written by."""
        owner = self._owner
        message = state_message(self._partition, state, packed, owner)
        self._states.written_by(state.session, owner)

        def not_acknowledged(_: Exception) -> None:
            if self._owner == owner:  # this one may come to stand in the log at any later time
                self._owner = random_id()

        await insist(lambda: self._log.append(message), _FIRST_WAIT_S, _LONGEST_WAIT_S, on=LogUnavailable, told=not_acknowledged)
        return owner

    async def _remove_superseded(self, session: str, owner: str) -> None:
        """What others wrote of a session is older than what this owner has written, and would stay for as long as the topic keeps records."""
        for other in self._states.superseded(session, owner):
            try:
                await self._log.append(Message(topics.STATE, self._partition, key_of(session, other).encode(), None))
            except LogUnavailable:
                return  # after its next state, then
            self._states.removed(session, other)

    async def stop(self) -> None:
        """Stop writing; what is not acknowledged, the next owner folds anew."""
        for task in list(self._writing):
            task.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)
