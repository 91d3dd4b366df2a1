"""The owner of one partition of sessions: takes steps, decides, writes transitions, has their orders done, replies.

Sessions run concurrently, the steps of one session in order. Everything here may come twice: a step counts as done only
with its consequences in the log, and one that has its transition already gets the same answer and does not run (architecture §4).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.executor.common.ports import AnotherTransition, Busy, Directory, LogDiverged, Noted, SealOpener, SetAside
from services.executor.sessions import history, replying, settling
from services.executor.sessions.closing import close
from services.executor.sessions.crowd import Crowd
from services.executor.sessions.cursor import Cursor, UnknownFlow
from services.executor.sessions.deciding import handle, precheck
from services.executor.sessions.decision import Again, Decided, Decision, Handled, StateBehind, Unwritten
from services.executor.sessions.effects import LiveEffects, Opened, OpenedOnce
from services.executor.sessions.journal import Journal, Transition, written
from services.executor.sessions.ownership import Ownership
from services.executor.sessions.ports import Marks, Planner, Unreadable, Watching
from services.executor.sessions.queues import SessionQueues
from services.executor.sessions.repeats import Body, repeated
from services.executor.sessions.session import is_unproven, packed, run_of, stage_met
from services.executor.sessions.settling import Settler, over
from services.executor.sessions.starts import Starts
from services.executor.sessions.states import SessionStates
from shared.contracts import topics
from shared.contracts.codec import Received
from shared.contracts.envelope import Envelope
from shared.contracts.errors import BadSeal
from shared.contracts.people import Visitor
from shared.contracts.planner import FlowRequested, location_digest
from shared.contracts.sessions import SessionAdvanced
from shared.contracts.states import SessionState
from shared.contracts.steps import StepReplied, StepRequested
from shared.flows.fields import Cleaned, Field, Problems, clean
from shared.kernel.clock import Clock
from shared.kernel.errors import UNEXPECTED, Unavailable
from shared.kernel.ids import derived_id
from shared.messaging.log import Log, Record, TopicPartition
from shared.telemetry.propagation import processing

logger = logging.getLogger(__name__)
GROUP: Final = "executor"
ATTEMPTS: Final = 3
CATCH_UP_S: Final = 1.0
RETRY_S: Final = 0.2
IN_HAND: Final = 256
"""Steps of one partition that may wait at a time; each can hold an answer of 64 KiB. To pause the group instead would also hold
back the plans and verdicts that these steps wait for."""
IN_HAND_OF_SESSION: Final = 32
"""As many of one session, a browser's tabs: they go one after the other, so one visitor could keep all others waiting."""
WRONG_STATE: Final = "state_wrong"
"""Why a session ends whose owner decided on another state than its history has."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What an owner works with; it writes through `ownership` alone. Who asks for a session in a partition that is set aside gets none there
    for `elsewhere_s`. `failed` is told why a partition cannot go on."""

    log: Log
    directory: Directory
    opener: SealOpener
    cursor: Cursor
    planner: Planner
    clock: Clock
    secret_key: bytes
    starts: Starts
    crowd: Crowd
    set_aside: SetAside
    elsewhere_s: int
    watch: Watching
    ownership: Ownership
    failed: Callable[[int, Exception], None]


class Owner:
    """Owns one partition from `take_over` to `stop`."""

    def __init__(self, partition: int, parts: Parts, marks: Marks, unreadable: Unreadable) -> None:
        self.partition = partition
        self.queues = SessionQueues(self._failed)
        self._parts = parts
        self._marks = marks
        self._unreadable = unreadable
        self.states = SessionStates(parts.crowd, self._give_up, parts.watch)
        self.journal = Journal(parts.ownership, TopicPartition(topics.SESSIONS, partition), self.states, self._unawaited, marks)
        self._settler = Settler(parts.ownership, parts.directory, self.states, partition, self.journal.done, self._failed)
        self._unfinished: dict[str, deque[tuple[Envelope, SessionAdvanced, int]]] = {}
        self._stopped = False
        self._in_hand: dict[int, tuple[Record, StepRequested]] = {}
        self.diverged: LogDiverged | None = None

    # --- taking work ---

    def take_step(self, record: Record, received: Received[Any]) -> None:
        """Queue a step behind what its session is doing; one too many is told to come back, and nothing of it is kept."""
        step = received.body
        if self._stopped:
            return None
        if len(self._in_hand) >= IN_HAND or self.queues.length(step.session) >= IN_HAND_OF_SESSION:
            reply = replying.stopped(step, "busy", "worker_full", retry_after_s=1)
            self._parts.watch().step("", reply.outcome, 0.0)
            self.queues.spawn(self._send(step.model_copy(update={"sealed": None}), reply))
            return self._marks.done(record)

        async def work() -> None:
            with processing(record, received.envelope, GROUP):
                await self._step(record, step)
            self._in_hand.pop(record.offset, None)
            self._marks.done(record)

        self._in_hand[record.offset] = record, step
        return self.queues.submit(step.session, work)

    def unanswered(self) -> list[tuple[Record, StepRequested]]:
        """The steps that were taken and have no reply yet; once it has stopped, they are somebody else's to answer."""
        return list(self._in_hand.values())

    async def stop(self) -> None:
        """Drop what is held, take nothing more: unfinished steps are somebody else's now."""
        self._stopped = True
        await self.queues.stop()
        await self._settler.stop()
        self.states.close()

    def write_states(self) -> None:
        """Have the states written that are newer than what the log has of them: from what is not written, a new owner folds them anew."""
        self._settler.write()

    def _failed(self, error: Exception) -> None:
        if isinstance(error, LogDiverged):
            self.diverged = error
        self._parts.failed(self.partition, error)

    # --- one step ---

    async def _step(self, record: Record, step: StepRequested) -> None:
        await self._parts.ownership.assured()
        now_us = self._parts.clock.now_us()
        self._parts.watch().queue_wait(topics.STEPS, (now_us - step.received_us) / 1e6)
        if now_us > step.deadline_us:
            logger.info("dropped a step past its deadline", extra={"command": step.command})
            return
        began = self._parts.clock.monotonic()
        met = stage_met(self.states.get(step.session), step)
        try:
            reply = await self._reply_to(step)
        except UnknownFlow:
            reply = replying.stopped(step, "unknown_flow", "unknown_flow")
        except Busy as busy:
            reply = replying.stopped(step, "busy", "busy", retry_after_s=busy.retry_after_s)
        except BadSeal as bad:
            reply = replying.stopped(step, "refused", bad.code)
        except Unavailable as away:
            logger.warning("a step could not be decided: %s %s", away.code, away.detail)
            reply = replying.stopped(step, "unavailable", away.code, retry_after_s=1)
        except LogDiverged:
            raise  # whoever sets the partition aside answers it
        except Exception as defect:  # noqa: BLE001 - kept with its traceback; a step must not stop its session
            await self._unreadable.put(record, UNEXPECTED, type(defect).__name__, defect)
            reply = replying.stopped(step, "unavailable", UNEXPECTED, retry_after_s=1)
        self._parts.watch().step(met, reply.outcome, self._parts.clock.monotonic() - began)
        await self._send(step, reply)

    async def _reply_to(self, step: StepRequested) -> StepReplied:
        if step.kind == "locate":
            return await self._locate(step)
        caught_up, given = False, OpenedOnce(self._parts.opener, step)
        for _ in range(ATTEMPTS):
            await self._parts.ownership.assured()
            await self._finish_all(step.session)
            state = self.states.get(step.session)
            now_us = max(state.last_us, self._parts.clock.now_us())
            begins = self.states.may_begin(step.made_us, now_us)
            before = await repeated(state, step, now_us, self._parts.opener, given)
            try:
                handled = Again(before) if before else precheck(state, step, now_us, begins=begins, caught_up=caught_up)
            except StateBehind:
                await self._catch_up()
                caught_up = True
                continue
            if handled is None:
                handled = await self._decide(state, step, now_us, given, begins=begins)
            if not isinstance(handled, Decided):
                return replying.unchanged(step, self.states.get(step.session), handled)
            transition = self._transition(state, handled)
            if transition.too_large:
                return replying.stopped(step, "refused", "session_full", session_over=True)
            if await self.write(transition) and not handled.goes_on:
                after = self.states.get(step.session)
                if after.ended == WRONG_STATE:
                    return replying.stopped(step, "refused", "session_over", session_over=True)
                return replying.accepted(step, after)
        raise Unavailable("others write this session")

    def _give_up(self, session: str) -> None:
        self.queues.submit(session, lambda: self.end(session, "too_many"))

    async def end(self, session: str, reason: str) -> None:
        """End a session that nobody ends by themselves: a transition under a derived id, like any other (architecture §4.7)."""
        await self._finish_all(session)
        state = self.states.get(session)
        if state.ended or not state.version or (reason == "too_many" and not is_unproven(state)):
            return
        try:
            await self.write(written(self._parts.secret_key, state, over(state, reason, self._parts.clock.now_us())))
        except Unavailable as away:
            self.states.put(state, self.states.packed(session))  # it counts again
            logger.warning("the end of a session is put off: %s", away.code)

    def _transition(self, on: SessionState, handled: Decided) -> Transition:
        body = handled.decision.transition()
        if handled.goes_on:  # the step is not answered by it
            body = body.model_copy(update={"command": f"{body.command}.over"})
        return written(self._parts.secret_key, on, body, handled.decision.state)

    async def _decide(self, state: SessionState, step: StepRequested, now_us: int, body: Body, *, begins: bool) -> Handled:
        parts = self._parts
        given = await body() if step.kind == "answer" else Opened(None)
        do = LiveEffects(parts.directory, parts.secret_key, step.session, state.version + 1, step.command, now_us, step.devices)
        decision = Decision(state, step, do, now_us, given.mark)
        if step.page:
            decision.replies = parts.starts.of(step.session, step.page.run, now_us)

        def read(fields: Mapping[str, Field]) -> Cleaned | Problems:
            cleaned = clean(fields, given.body)
            if isinstance(cleaned, Cleaned):
                do.secrets = cleaned.secret
            return cleaned

        handled = await handle(decision, parts.cursor, read, begins=begins)
        if isinstance(handled, Unwritten) and not run_of(state, decision.run or ""):
            parts.starts.keep(step.session, decision.run or "", decision.replies, now_us)
        if isinstance(handled, Decided):
            if step.page:
                parts.starts.drop(step.session, step.page.run)
            close(handled.decision)
        return handled

    async def write(self, transition: Transition) -> bool:
        """Write a transition, and have done what it orders; false if it was not accepted.

        The session may have gone on meanwhile: the parent says so, and another one stands in its place.
        """
        await self._parts.ownership.assured()
        accepted, offset = await self.journal.append(transition)
        if accepted:
            await self._finish(transition.envelope, transition.body, offset)
        self._parts.crowd.thin_out()
        return accepted

    async def _finish(self, envelope: Envelope, body: SessionAdvanced, offset: int) -> None:
        try:
            refused = await self._settler.orders(envelope, body, offset)
        except AnotherTransition as another:
            refused = ()
            await self._end_wrong(body.session, another.noted)
        while refused and self.states.get(body.session).head == envelope.id:
            state = self.states.get(body.session)
            denial = settling.denial(state, body, refused, self._parts.clock.now_us())
            follow_up = written(self._parts.secret_key, state, denial)
            accepted, at = await self._insisted(follow_up)
            if accepted:
                self._settler.publish(follow_up.envelope, at)
        self._settler.publish(envelope, offset)

    async def _end_wrong(self, session: str, noted: Noted) -> None:
        """Another transition had its orders carried out where ours stands. If the history has it, our own state was wrong, as after a former
        owner that wrote late: the session ends, behind what the history really says. Else the log lost it (architecture §4.4).
        """
        place = TopicPartition(topics.SESSIONS, self.partition)
        head = await history.head_after(self._parts.log, place, session, noted)
        if head is None:
            raise LogDiverged(self.partition, noted.offset, self.journal.known, "order")
        logger.error("a session whose state was wrong ends: its history has another transition", extra={"transition": noted.transition})
        state = self.states.get(session).model_copy(update={"version": head.version, "head": head.id})
        self.states.put(state, packed(state))
        ended = written(self._parts.secret_key, state, over(state, WRONG_STATE, self._parts.clock.now_us()))
        accepted, at = await self._insisted(ended)
        if accepted:
            self._settler.publish(ended.envelope, at)

    async def _insisted(self, transition: Transition) -> tuple[bool, int]:
        """Write what has to follow, however long the log is away: a refused login may not stand in a session."""
        while True:
            try:
                return await self.journal.append(transition)
            except Unavailable:
                await asyncio.sleep(RETRY_S)
                await self._parts.ownership.assured()
                if self.states.get(transition.body.session).version >= (transition.envelope.subject_version or 0):
                    return False, 0

    def _unawaited(self, envelope: Envelope, body: SessionAdvanced, offset: int) -> None:
        self._unfinished.setdefault(body.session, deque()).append((envelope, body, offset))
        self.queues.submit(body.session, lambda: self._finish_all(body.session))

    async def _finish_all(self, session: str) -> None:
        """Have done what accepted transitions order that nobody waited for: no step is answered on top of them before."""
        left = self._unfinished.get(session, ())
        while left:
            await self._finish(*left[0])
            left.popleft()
        self._unfinished.pop(session, None)

    async def _catch_up(self) -> None:
        try:
            async with asyncio.timeout(CATCH_UP_S):
                _, end = await self._parts.log.bounds(TopicPartition(topics.SESSIONS, self.partition))
                while self.journal.known < end:  # noqa: ASYNC110 - offsets are read by many, awaited by few
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise Unavailable("this session's state is behind") from None

    # --- replies ---

    async def _locate(self, step: StepRequested) -> StepReplied:
        visitor = Visitor(address=step.address, user_agent=step.user_agent, host=step.host, secure=step.secure)
        question = FlowRequested(
            request=derived_id(self._parts.secret_key, step.session, "locate", step.command), session=step.session,
            designation=step.designation, visitor=visitor, digest=location_digest(step.designation, "", visitor),
            deadline_us=step.deadline_us,
        )  # fmt: skip
        return replying.located(step, (await self._parts.planner.locate(question)).slug)

    async def _send(self, step: StepRequested, reply: StepReplied) -> None:
        await replying.send(self._parts.ownership, self._parts.secret_key, step, reply, self._parts.clock.now_us())
