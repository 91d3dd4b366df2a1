"""The one reply to a step, from the session's state and what the step came to."""

import logging

from services.executor.sessions.answered import answered
from services.executor.sessions.decision import Again, Current, Decision, Stopped, Unwritten
from services.executor.sessions.ownership import Ownership
from services.executor.sessions.ports import AtHome
from services.executor.sessions.session import run_of
from shared.contracts import topics
from shared.contracts.envelope import Envelope
from shared.contracts.states import Answered, SessionState
from shared.contracts.steps import Outcome, StepReplied, StepRequested
from shared.kernel.errors import SluiceError
from shared.kernel.ids import derived_id
from shared.messaging.log import Message, TopicPartition
from shared.messaging.saying import message
from shared.telemetry.propagation import current_traceparent

logger = logging.getLogger(__name__)


def shown(step: StepRequested, state: SessionState, run: str | None, outcome: Outcome, before: Answered | None = None) -> StepReplied:
    """Show a run as it is. `before` says what the command brought: it advanced, logged in, logged out, rotated.

    A login, or another new cookie, goes out only as long as it is the session's: a later one belongs to who sent that command.
    """
    login = before.login if before and before.login == state.login else None
    logged_out = before is not None and before.logged_out and before.rotation == state.rotation
    rotated = before is not None and before.rotated and before.rotation == state.rotation
    found = run_of(state, run or "")
    return StepReplied(
        command=step.command, edge=step.edge, session=state.session, outcome=outcome, rotation=state.rotation, rotated=rotated,
        run=found.run if found else None, transition=found.head if found else None, version=found.version if found else 0,
        view=found.view if found else None,
        advanced=bool(before and before.advanced), login=login, logged_out=logged_out,
        session_over=bool(state.ended), begun=bool(state.version), open=any(not r.over for r in state.runs),
    )  # fmt: skip


def unwritten(step: StepRequested, state: SessionState, decision: Decision) -> StepReplied:
    """Show what a step came to of which nothing is written; `state` is the session as it stays."""
    run = decision.current
    begun = run_of(state, run.run)
    return StepReplied(
        command=step.command, edge=step.edge, session=state.session, outcome="current" if begun else "offered", rotation=state.rotation,
        run=run.run, transition=begun.head if begun else None, version=begun.version if begun else 0,
        binding=run.stages[0].binding if run.stages else "", view=run.view, begun=bool(state.version),
        open=any(not r.over for r in state.runs) or not run.over,
    )  # fmt: skip


def stopped(
    step: StepRequested, outcome: Outcome, reason: str, *, session_over: bool = False, retry_after_s: int = 0, unsettled: bool = False
) -> StepReplied:
    """The step was not taken, and why; `unsettled`: nobody knows yet whether it was."""
    return StepReplied(
        command=step.command, edge=step.edge, session=step.session, outcome=outcome, reason=reason,
        session_over=session_over, retry_after_s=retry_after_s, unsettled=unsettled,
    )  # fmt: skip


def unchanged(step: StepRequested, state: SessionState, handled: Again | Current | Stopped | Unwritten) -> StepReplied:
    """The reply to a step that wrote no transition."""
    match handled:
        case Again(before):
            return shown(step, state, before.run, "accepted", before)
        case Current(run):
            return shown(step, state, run, "current")
        case Unwritten(decision):
            return unwritten(step, state, decision)
        case Stopped(outcome, reason, session_over):
            return stopped(step, outcome, reason, session_over=session_over)


def accepted(step: StepRequested, state: SessionState) -> StepReplied:
    """The reply to a step whose transition was accepted just now."""
    before = answered(state, step.command, state.last_us)
    return shown(step, state, before.run if before else None, "accepted", before)


def located(step: StepRequested, slug: str | None) -> StepReplied:
    """The flow that was asked for."""
    return StepReplied(command=step.command, edge=step.edge, session=step.session, outcome="located", slug=slug)


def elsewhere(step: StepRequested, for_s: int) -> StepReplied:
    """Nothing happens in this session's partition: a fresh one, in another partition for so long, has to take its place."""
    return stopped(step, "refused", "session_over", session_over=True, retry_after_s=for_s)


async def send(log: Ownership, at_home: AtHome, secret_key: bytes, step: StepRequested, reply: StepReplied, now_us: int) -> None:
    """Hand the reply to an edge of this process, or write it for another one. One that cannot be written is asked for again: the
    transition is in the log."""
    await log.assured()
    if at_home(reply):
        return
    ident = derived_id(secret_key, step.command, step.edge, "reply")
    try:
        await log.append(_message(step, reply, ident, now_us))
    except SluiceError as error:
        logger.warning("a reply could not be written: %s", error, extra={"command": step.command})


def _message(step: StepRequested, reply: StepReplied, ident: str, now_us: int) -> Message:
    """The reply as a record for the edge that asked."""
    key = str(step.reply_partition)
    envelope = Envelope(
        id=ident, type=reply.wire_type, version=reply.wire_version, source="executor", subject=key, time_us=now_us,
        causation=step.command, correlation=step.session, traceparent=current_traceparent(),
    )  # fmt: skip
    return message(TopicPartition(topics.REPLIES, step.reply_partition), envelope, reply)
