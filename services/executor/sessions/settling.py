"""What follows an accepted transition: its orders are done, then the session's state is written (architecture §4.4, §4.6)."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.executor.common.ports import AnotherTransition, Directory, OrderKey
from services.executor.sessions.ownership import Appending
from services.executor.sessions.session import run_of
from services.executor.sessions.states import SessionStates
from services.executor.sessions.views import denied_view
from shared.contracts import sessions as s
from shared.contracts import topics
from shared.contracts.envelope import Envelope, to_headers
from shared.contracts.orders import OrderResult
from shared.contracts.states import SessionState, key_of
from shared.kernel.ids import random_id
from shared.kernel.retrying import insist
from shared.messaging.log import LogUnavailable, Message

logger = logging.getLogger(__name__)
_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 2.0


def denial(state: SessionState, body: s.SessionAdvanced, refused: Sequence[OrderResult], now_us: int) -> s.SessionAdvanced:
    """The transition after one whose order was refused: no login, the run is denied, the session over."""
    events: list[s.Event] = [s.LoggedOut(login=e.login.login) for e in body.events if isinstance(e, s.LoggedIn)]
    if events:
        events.append(s.SessionRotated(why="logout"))
    for event in body.events:
        run = run_of(state, event.run) if isinstance(event, s.RunFinished | s.RunDenied | s.StageChallenged) else None
        if run and run.view:
            events.append(s.RunDenied(run=run.run, reason=refused[0].reason, view=denied_view(run.view.flow, "", "")))
            break
    events.append(s.SessionEnded(reason="order_refused"))
    return s.SessionAdvanced(
        session=body.session, command=body.command, kind="order_refused", at_us=max(state.last_us, now_us),
        events=tuple(events),
    )  # fmt: skip


def over(state: SessionState, reason: str, now_us: int) -> s.SessionAdvanced:
    """The transition that ends a session which nobody ends by themselves: it is too old, or one of too many."""
    cancelled = [s.RunCancelled(run=run.run, reason=reason) for run in state.runs if not run.over]
    return s.SessionAdvanced(
        session=state.session, command=f"{reason}.{state.version}", kind="expire", at_us=max(state.last_us, now_us),
        events=(*cancelled, s.SessionEnded(reason=reason)),
    )  # fmt: skip


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


class Settler:
    """Has orders done and states written, for one partition. `failed` is told of a state that the log will never take.

    States are written under an id of this takeover, and under another one after each that was not acknowledged: no record that comes
    to stand in the log late, ours or anybody's, takes the place of a newer one (architecture §4.6).
    """

    def __init__(
        self, log: Appending, directory: Directory, states: SessionStates, partition: int, done: Callable[[int], None],
        failed: Callable[[Exception], None],
    ) -> None:  # fmt: skip
        self._log = log
        self._directory = directory
        self._states = states
        self._partition = partition
        self._done = done
        self._failed = failed
        self._owner = random_id()
        self._unwritten: dict[str, _Unwritten] = {}
        self._writing: set[asyncio.Task[None]] = set()

    async def orders(self, envelope: Envelope, body: s.SessionAdvanced, offset: int) -> Sequence[OrderResult]:
        """Have the orders of the transition at this offset done; those that were refused. Tries until PostgreSQL answers: the session waits.

        Orders that cannot be carried out at all count as refused: what a session says must be true. `AnotherTransition`: see there.
        """
        if not body.orders:
            return ()
        key = OrderKey(body.session, envelope.subject_version or 0, envelope.id, self._partition, offset)
        try:
            results = await insist(
                lambda: self._directory.perform(key, body.orders), _FIRST_WAIT_S, _LONGEST_WAIT_S,
                told=lambda _: logger.warning("orders wait for PostgreSQL"),
            )  # fmt: skip
        except AnotherTransition:
            raise
        except Exception:
            logger.exception("orders cannot be carried out", extra={"transition": envelope.id})
            return [OrderResult(n=n, done=False, reason="failed") for n, _ in enumerate(body.orders, 1)]
        return [result for result in results if not result.done]

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
