"""One step, whole: a repeat gets its reply, anything else is decided, written, settled, and answered (architecture §5).

It may come twice: a step that has its transition already gets the same answer and does not run (architecture §4.5).
"""

import logging
from collections.abc import Mapping
from typing import Final

from services.executor.common.ports import Busy, LogDiverged
from services.executor.sessions import replying
from services.executor.sessions.answered import answered
from services.executor.sessions.catching_up import CatchingUp
from services.executor.sessions.closing import close
from services.executor.sessions.deciding import handle, precheck
from services.executor.sessions.decision import Again, Decided, Decision, Handled, StateBehind, Unwritten
from services.executor.sessions.effects import LiveEffects, Opened, OpenedOnce
from services.executor.sessions.journal import Journal
from services.executor.sessions.parts import Parts
from services.executor.sessions.ports import Unreadable
from services.executor.sessions.questions import UnknownFlow
from services.executor.sessions.repeats import Body, Repeats, repeated
from services.executor.sessions.session import run_of, stage_met
from services.executor.sessions.settling import WRONG_STATE, Settler
from services.executor.sessions.states import SessionStates
from services.executor.sessions.transition import Transition, written
from shared.contracts import topics
from shared.contracts.errors import BadSeal
from shared.contracts.people import Visitor
from shared.contracts.planner import FlowRequested, location_digest
from shared.contracts.states import SessionState
from shared.contracts.steps import Problems, StepReplied, StepRequested
from shared.flows.fields import Cleaned, Field, clean
from shared.kernel.errors import UNEXPECTED, Unavailable
from shared.kernel.ids import derived_id
from shared.messaging.log import Record, TopicPartition

logger = logging.getLogger(__name__)
ATTEMPTS: Final = 3


class StepRunner:
    """Takes the steps of one partition all the way; of a session, one after the other."""

    def __init__(
        self, place: TopicPartition, parts: Parts, states: SessionStates, journal: Journal, settler: Settler, unreadable: Unreadable
    ) -> None:
        self._parts = parts
        self._states = states
        self._journal = journal
        self._settler = settler
        self._unreadable = unreadable
        self._catching_up = CatchingUp(parts.log, place, journal)
        self._repeats = Repeats()

    async def run(self, record: Record, step: StepRequested) -> None:
        """Have a step decided, with all that follows from it, and reply; one that nobody waits for any more is dropped."""
        await self._parts.ownership.assured()
        now_us = self._parts.clock.now_us()
        self._parts.watch().queue_wait(topics.STEPS, (now_us - step.received_us) / 1e6)
        if now_us > step.deadline_us:
            logger.info("dropped a step past its deadline", extra={"command": step.command})
            return
        began = self._parts.clock.monotonic()
        met = stage_met(self._states.get(step.session), step)
        reply = await self._reply_or_why_not(record, step)
        self._parts.watch().step(met, reply.outcome, self._parts.clock.monotonic() - began)
        await self._send(step, reply)

    async def turn_away(self, step: StepRequested) -> None:
        """Tell one that is too many to come back; nothing of it is kept."""
        reply = replying.stopped(step, "busy", "worker_full", retry_after_s=1)
        self._parts.watch().step("", reply.outcome, 0.0)
        await self._send(step.model_copy(update={"sealed": None}), reply)

    async def _reply_or_why_not(self, record: Record, step: StepRequested) -> StepReplied:
        try:
            return await self._locate(step) if step.kind == "locate" else await self._reply_to(step)
        except UnknownFlow:
            return replying.stopped(step, "unknown_flow", "unknown_flow")
        except Busy as busy:
            return replying.stopped(step, "busy", "busy", retry_after_s=busy.retry_after_s)
        except BadSeal as bad:
            return replying.stopped(step, "refused", bad.code)
        except Unavailable as away:
            logger.warning("a step could not be decided: %s %s", away.code, away.detail)
            return replying.stopped(step, "unavailable", away.code, retry_after_s=1, unsettled=self._may_count(step))
        except LogDiverged:
            raise  # whoever sets the partition aside answers it
        except Exception as defect:  # noqa: BLE001 - kept with its traceback; a step must not stop its session
            await self._unreadable.put(record, UNEXPECTED, type(defect).__name__, defect)
            return replying.stopped(step, "unavailable", UNEXPECTED, retry_after_s=1, unsettled=self._may_count(step))

    def _may_count(self, step: StepRequested) -> bool:
        """Whether a transition of this step stands, or may come to stand, though it has no reply."""
        state = self._states.get(step.session)
        return answered(state, step.command, state.last_us) is not None or any(
            one.command == step.command for one in self._journal.unread(step.session)
        )

    async def _reply_to(self, step: StepRequested) -> StepReplied:
        caught_up, given = False, OpenedOnce(self._parts.opener, step)
        for _ in range(ATTEMPTS):
            await self._parts.ownership.assured()
            await self._catching_up.account_for(step.session)
            await self._settler.settle_owed(step.session)
            state = self._states.get(step.session)
            now_us = max(state.last_us, self._parts.clock.now_us())
            begins = self._states.may_begin(step.made_us, now_us)
            before = await repeated(state, step, now_us, self._parts.opener, given, self._repeats)
            if before and step.kind == "answer":
                self._repeats.note(step.command, before)
            try:
                handled = Again(before) if before else precheck(state, step, now_us, begins=begins, caught_up=caught_up)
            except StateBehind:
                await self._catching_up.catch_up()
                caught_up = True
                continue
            if handled is None:
                handled = await self._decide(state, step, now_us, given, begins=begins)
            if not isinstance(handled, Decided):
                return replying.unchanged(step, self._states.get(step.session), handled)
            transition = self._transition(state, handled)
            if transition.too_large:
                return replying.stopped(step, "refused", "session_full", session_over=True)
            if await self._write(transition) and not handled.goes_on:
                after = self._states.get(step.session)
                if after.ended == WRONG_STATE:
                    return replying.stopped(step, "refused", "session_over", session_over=True)
                return replying.accepted(step, after)
        raise Unavailable("others write this session")

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

    def _transition(self, on: SessionState, handled: Decided) -> Transition:
        body = handled.decision.transition()
        if handled.goes_on:  # the step is not answered by it
            body = body.model_copy(update={"command": f"{body.command}.over"})
        return written(self._parts.secret_key, on, body, handled.decision.state)

    async def _write(self, transition: Transition) -> bool:
        accepted = await self._settler.write(transition)
        self._parts.crowd.thin_out()
        return accepted

    async def _locate(self, step: StepRequested) -> StepReplied:
        visitor = Visitor(address=step.address, user_agent=step.user_agent, host=step.host, secure=step.secure)
        question = FlowRequested(
            request=derived_id(self._parts.secret_key, step.session, "locate", step.command), session=step.session,
            designation=step.designation, visitor=visitor, digest=location_digest(step.designation, "", visitor),
            deadline_us=step.deadline_us,
        )  # fmt: skip
        return replying.located(step, (await self._parts.planner.locate(question)).slug)

    async def _send(self, step: StepRequested, reply: StepReplied) -> None:
        await replying.send(self._parts.ownership, self._parts.at_home, self._parts.secret_key, step, reply, self._parts.clock.now_us())
