"""What follows an accepted transition: its orders are done, and only then is the session's state written (architecture §4.4, §4.6)."""

import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

from services.executor.common.ports import AnotherTransition, Directory, LogDiverged, Noted, OrderKey
from services.executor.sessions import history
from services.executor.sessions.journal import Journal
from services.executor.sessions.ownership import Ownership
from services.executor.sessions.session import packed, run_of
from services.executor.sessions.states import SessionStates
from services.executor.sessions.transition import Transition, written
from services.executor.sessions.views import denied_view
from services.executor.sessions.written_states import WrittenStates
from shared.contracts import sessions as s
from shared.contracts.envelope import Envelope
from shared.contracts.orders import OrderResult
from shared.contracts.states import SessionState
from shared.kernel.clock import Clock
from shared.kernel.retrying import insist
from shared.messaging.log import Log, TopicPartition

logger = logging.getLogger(__name__)
RETRY_S: Final = 0.2
WRONG_STATE: Final = "state_wrong"
"""Why a session ends whose owner decided on another state than its history has."""
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


class Settler:
    """Has done what the accepted transitions of one partition order, and what follows from that."""

    def __init__(
        self, place: TopicPartition, log: Log, ownership: Ownership, directory: Directory, clock: Clock, secret_key: bytes,
        states: SessionStates, journal: Journal, written_states: WrittenStates,
    ) -> None:  # fmt: skip
        self._place = place
        self._log = log
        self._ownership = ownership
        self._directory = directory
        self._clock = clock
        self._secret_key = secret_key
        self._states = states
        self._journal = journal
        self._written = written_states
        self._owed: dict[str, deque[tuple[Envelope, s.SessionAdvanced, int]]] = {}

    async def write(self, transition: Transition) -> bool:
        """Write a transition, and have done what it orders; false if it was not accepted.

        The session may have gone on meanwhile: the parent says so, and another one stands in its place.
        """
        await self._ownership.assured()
        accepted, offset = await self._journal.append(transition)
        if accepted:
            await self._settle(transition.envelope, transition.body, offset)
        return accepted

    def owe(self, envelope: Envelope, body: s.SessionAdvanced, offset: int) -> None:
        """Note an accepted transition that nobody waits for."""
        self._owed.setdefault(body.session, deque()).append((envelope, body, offset))

    async def settle_owed(self, session: str) -> None:
        """Have done what accepted transitions order that nobody waited for: no step is answered on top of them before."""
        left = self._owed.get(session, ())
        while left:
            await self._settle(*left[0])
            left.popleft()
        self._owed.pop(session, None)

    async def _settle(self, envelope: Envelope, body: s.SessionAdvanced, offset: int) -> None:
        try:
            refused = await self._orders(envelope, body, offset)
        except AnotherTransition as another:
            refused = ()
            await self._end_wrong(body.session, another.noted)
        while refused and self._states.get(body.session).head == envelope.id:
            state = self._states.get(body.session)
            await self._insisted(written(self._secret_key, state, denial(state, body, refused, self._clock.now_us())))
        self._written.publish(envelope, offset)

    async def _orders(self, envelope: Envelope, body: s.SessionAdvanced, offset: int) -> Sequence[OrderResult]:
        """Have the orders of the transition at this offset done; those that were refused. Tries until PostgreSQL answers: the session waits.

        Orders that cannot be carried out at all count as refused: what a session says must be true. `AnotherTransition`: see there.
        """
        if not body.orders:
            return ()
        key = OrderKey(body.session, envelope.subject_version or 0, envelope.id, self._place.partition, offset)
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

    async def _end_wrong(self, session: str, noted: Noted) -> None:
        """Another transition had its orders carried out where ours stands. If the history has it, our own state was wrong, as after a former
        owner that wrote late: the session ends, behind what the history really says. Else the log lost it (architecture §4.4).
        """
        head = await history.head_after(self._log, self._place, session, noted)
        if head is None:
            raise LogDiverged(self._place.partition, noted.offset, self._journal.known, "order")
        logger.error("a session whose state was wrong ends: its history has another transition", extra={"transition": noted.transition})
        state = self._states.get(session).model_copy(update={"version": head.version, "head": head.id})
        self._states.put(state, packed(state))
        await self._insisted(written(self._secret_key, state, over(state, WRONG_STATE, self._clock.now_us())))

    async def _insisted(self, transition: Transition) -> None:
        """Write what has to follow, however long the log is away: a refused login may not stand in a session. It orders nothing."""
        session, version = transition.body.session, transition.envelope.subject_version or 0

        async def append() -> tuple[bool, int]:
            await self._ownership.assured()
            if self._states.get(session).version >= version:
                return False, 0  # read back since, or another stands there
            return await self._journal.append(transition)

        accepted, offset = await insist(append, RETRY_S)
        if accepted:
            self._written.publish(transition.envelope, offset)
